"""hydrant: write events into rings in shared memory, from which Hydrant's agent takes them.

    import hydrant

    with hydrant.Client() as client:
        clicks = client.stream("clicks")
        clicks.write({"user": "ann", "amount": 9.5})    # JSON
        clicks.write("a line of text")
        client.flush("durable", timeout=5)

A Client may be used by all threads, and by a child after fork. hydrant.minifirehose has the classes
of MiniFirehose, hydrant.logging a handler for the logging module, StreamClient writes over sockets.
"""
from ._hydrant import Client, Error, Full, RecordType, Stream, Timeout
from ._hydrant import version as __version__
from .sockets import JsonEncoder, StreamClient

__all__ = ["Client", "Error", "Full", "JsonEncoder", "RecordType", "Stream", "StreamClient",
           "Timeout", "__version__"]
