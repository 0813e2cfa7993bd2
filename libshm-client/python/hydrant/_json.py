"""_json: a dict as one line of JSON in UTF-8, as fast as the standard library does it.

json.JSONEncoder.encode() makes its encoder in C anew for each call, which takes longer than
encoding a small dict; here it is made once. Where there is none, encode() is what it is.
"""
import json
import json.encoder

# NaN is no JSON; the agent would refuse the event.
_encoder = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _in_c():
    """The encoder in C, tried once; None where there is none that is called like this."""
    try:
        chunks = json.encoder.c_make_encoder(None, _encoder.default, json.encoder.encode_basestring,
                                             None, ":", ",", False, False, False)
        return chunks if "".join(chunks({"a": [1, "\u00e9"]}, 0)) == '{"a":[1,"\u00e9"]}' else None
    except (AttributeError, TypeError, ValueError):
        return None


_chunks = _in_c()


def encode(event, _join="".join, _chunks=_chunks):
    """One line of JSON; a value that is not JSON is a TypeError or ValueError."""
    return _join(_chunks(event, 0))


if _chunks is None:
    encode = _encoder.encode
