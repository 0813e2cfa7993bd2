"""logging: a handler for the logging module that writes each record as JSON by ring.

    logging.getLogger().addHandler(hydrant.logging.RingHandler("log"))

What goes wrong in a call of the program's goes to Handler.handleError(), as is usual there, and
never to the program. A full ring makes nobody wait: records are dropped, and counted in stats().
"""
import datetime
import json
import logging
import traceback

from ._hydrant import Client

# What a LogRecord has by itself; the rest came by extra=.
_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


class RingHandler(logging.Handler):
    """Writes to a stream. Options are those of Client; a client of the program's may be given."""

    def __init__(self, stream="log", level=logging.NOTSET, client=None, **options):
        super().__init__(level)
        self._own = client is None
        self._client = client or Client(**{"full": "drop", **options})
        self._stream = self._client.stream(stream)
        self._encode = json.JSONEncoder(separators=(",", ":"), default=str).encode

    def fields(self, record):
        """The members of the JSON object; a subclass may have others."""
        found = {
            "time": datetime.datetime.fromtimestamp(record.created, datetime.timezone.utc)
                    .isoformat(timespec="microseconds").replace("+00:00", "Z"),
            "level": record.levelname, "logger": record.name, "message": record.getMessage(),
            "file": record.pathname, "line": record.lineno, "function": record.funcName,
            "pid": record.process, "thread": record.threadName,
        }
        if record.exc_info and record.exc_info[0]:
            found["exception"] = "".join(traceback.format_exception(*record.exc_info))
        if record.stack_info:
            found["stack"] = record.stack_info
        for name, value in vars(record).items():
            if name not in _OWN and name not in found:
                found[name] = value
        return found

    def emit(self, record):
        try:
            self._stream.write(self._encode(self.fields(record)), "json",
                               time_ns=int(record.created * 1e9))
        except Exception:       # whatever it is: the program must not fail for its log
            self.handleError(record)

    def stats(self):
        return self._client.stats()

    def flush(self):
        """Nothing is held back here; the agent has what was written as soon as it looks."""

    def close(self):
        if self._own:
            self._client.close()
        super().close()
