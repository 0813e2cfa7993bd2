"""_records: what a RecordType is made of: the fields of a dataclass or a dict as the library's.

Types: bool, int (64 bits), float (64 bits), str, bytes, datetime; or one of the words of TYPES.
Optional[T] (T | None) is a field that may have no value.
"""
import collections.abc
import dataclasses
import datetime
import types
import typing

TYPES = {"bool": 1, "i32": 2, "i64": 3, "u64": 4, "f32": 5, "f64": 6, "string": 7, "bytes": 8,
         "timestamp": 9}
OF_PYTHON = {bool: "bool", int: "i64", float: "f64", str: "string", bytes: "bytes",
             datetime.datetime: "timestamp"}

# What these words are in annotations: at: "i32 | None".
_WORDS = {word: type(word, (), {}) for word in TYPES}
_NUMBERS = {**{_WORDS[word]: number for word, number in TYPES.items()},
            **{of: TYPES[word] for of, word in OF_PYTHON.items()}}

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
_MICROSECOND = datetime.timedelta(microseconds=1)


def microseconds(value):
    """Since 1970, UTC. A datetime without a zone is local time, as everywhere in Python."""
    if not isinstance(value, datetime.datetime):
        raise TypeError("a datetime, or microseconds as int, is wanted, not %r" % (value,))
    return (value.astimezone(datetime.timezone.utc) - _EPOCH) // _MICROSECOND


def _type_of(field, kind):
    """(number of the type, whether it may have no value)."""
    if isinstance(kind, str):
        word, _, tail = kind.replace(" ", "").partition("|")
        if word in TYPES and tail in ("", "None"):
            return TYPES[word], tail == "None"
    elif typing.get_origin(kind) in (typing.Union, types.UnionType):
        inner = [of for of in typing.get_args(kind) if of is not type(None)]
        if len(inner) == 1:
            return _type_of(field, inner[0])[0], True
    elif isinstance(kind, type) and kind in _NUMBERS:
        return _NUMBERS[kind], False
    raise TypeError("field %r: %r is none of %s, %s, nor Optional of one"
                    % (field, kind, ", ".join(t.__name__ for t in OF_PYTHON),
                       ", ".join(map(repr, TYPES))))


def describe(schema):
    """A tuple of (name, number of the type, nullable) of what record_type() was given."""
    if dataclasses.is_dataclass(schema):
        of = schema if isinstance(schema, type) else type(schema)
        hints = typing.get_type_hints(of, localns=_WORDS)
        fields = [(field.name, hints[field.name]) for field in dataclasses.fields(of)]
    elif isinstance(schema, collections.abc.Mapping):
        fields = list(schema.items())
    else:
        raise TypeError("record_type(): a dataclass, or a dict of names and types, is wanted")
    return tuple((str(name), *_type_of(name, kind)) for name, kind in fields)
