"""hydrant: write events into rings in shared memory, from which Hydrant's agent takes them.

    import hydrant

    with hydrant.Client() as client:
        clicks = client.stream("clicks")
        clicks.write({"user": "ann", "amount": 9.5})    # JSON
        clicks.write("a line of text")
        client.flush("durable", timeout=5)

A Client may be used by all threads, and by a child after fork. hydrant.minifirehose has the classes
of MiniFirehose, which are found here too, hydrant.logging a handler for the logging module,
StreamClient writes over sockets.
"""
import importlib
import typing

from ._hydrant import Client, Error, Full, RecordType, Stream, Timeout
from ._hydrant import version as __version__
from .sockets import JsonEncoder, StreamClient

__all__ = ["Client", "Error", "Full", "JsonEncoder", "RecordType", "Stream", "StreamClient",
           "Timeout", "__version__"]

if typing.TYPE_CHECKING:
    from .minifirehose import FirehoseConfig, LocalSink, MiniFirehose, S3Sink

_MINIFIREHOSE = ("FirehoseConfig", "LocalSink", "MiniFirehose", "S3Sink")


def __getattr__(name):
    """What most programs do without is imported when it is asked for."""
    if name in ("logging", "minifirehose"):
        return importlib.import_module("." + name, __name__)
    if name in _MINIFIREHOSE:
        return getattr(importlib.import_module(".minifirehose", __name__), name)
    raise AttributeError("module %r has no attribute %r" % (__name__, name))
