"""minifirehose: the classes of MiniFirehose, with an agent behind them.

    config = FirehoseConfig(buffer_count_limit=1000, buffer_time_limit=60, buffer_size_limit_mb=5)
    sink = LocalSink(directory="/path/to/output", output_format="csv", partition_cols=["country"])
    firehose = MiniFirehose(name="orders", sinks=[sink], config=config)
    firehose.start()
    firehose.add_message({"country": "DE", "amount": 9.5})
    firehose.stop()

start() makes the firehose in the agent over HTTP, add_message() writes by ring, stop() waits until
all of it is in files or objects. What was added survives the program, and kill -9 of the agent.

The agent keeps a firehose until delete(). One of that name that is there already, of an earlier run
or another process, is used as it is.
"""
import errno
import http.client
import json
import logging
import os
import time
import urllib.parse

from ._hydrant import Client, Error, Timeout

WARN_S = 10     # how often a stop() that waits says why

_log = logging.getLogger(__name__)
_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False,
                           default=str).encode
_FORMATS = ("csv", "json", "parquet")


class FirehoseConfig:
    """When a batch becomes a file: at any of so many messages, seconds, MiB; -1 turns one off."""

    def __init__(self, buffer_count_limit=10, buffer_time_limit=60, buffer_size_limit_mb=1):
        if buffer_count_limit == buffer_time_limit == buffer_size_limit_mb == -1:
            raise ValueError("All buffer limits cannot be -1 at the same time.")
        if buffer_count_limit != -1 and buffer_count_limit < 10:
            raise ValueError("Buffer count limit should not be less than 10.")
        if buffer_time_limit != -1 and buffer_time_limit < 60:
            raise ValueError("Buffer time limit should not be less than 60 seconds.")
        if buffer_size_limit_mb != -1 and buffer_size_limit_mb < 1:
            raise ValueError("Buffer size limit should not be less than 1 MB.")
        self.buffer_count_limit = buffer_count_limit
        self.buffer_time_limit = buffer_time_limit
        self.buffer_size_limit_mb = buffer_size_limit_mb


class Sink:
    """What LocalSink and S3Sink have in common."""

    def __init__(self, kind, output_format, partition_cols, filename_based_on, callback, **config):
        if output_format not in _FORMATS:
            raise ValueError("Unsupported output format: %s" % output_format)
        if callback is not None:
            raise ValueError("transformation_callback: the agent runs no code of the program's; "
                             "change messages before add_message()")
        self.request = {"sink": kind, "sink-config": {
            **config, "output-format": output_format, "partition-cols": partition_cols,
            "filename-strategy": filename_based_on}}


class LocalSink(Sink):
    """Files right below a directory, which has to be in the agent's [http] file_roots."""

    def __init__(self, directory, output_format, partition_cols=None, filename_based_on="datetime",
                 transformation_callback=None):
        super().__init__("local", output_format, partition_cols, filename_based_on,
                         transformation_callback, directory=os.path.abspath(directory))


class S3Sink(Sink):
    """Objects in a bucket; s3_config: access-key, secret-key, endpoint-url, region."""

    def __init__(self, bucket=None, prefix=None, output_format=None, partition_cols=None,
                 filename_based_on="datetime", s3_config=None, transformation_callback=None,
                 bucket_name=None):
        if not (bucket or bucket_name):
            raise ValueError("S3Sink: no bucket")
        super().__init__("s3", output_format, partition_cols, filename_based_on,
                         transformation_callback, bucket=bucket or bucket_name, prefix=prefix,
                         **({"s3-config": s3_config} if s3_config else {}))


class MiniFirehose:
    """http: where the agent answers, else HYDRANT_HTTP or 127.0.0.1:8000; token: HYDRANT_TOKEN.

    Other options are those of Client.
    """

    def __init__(self, name, sinks, config=None, http=None, token=None, **options):
        if not sinks:
            raise ValueError("Error! No sinks provided")
        self.name, self.sinks, self.config = name, list(sinks), config or FirehoseConfig()
        self._http = http or os.environ.get("HYDRANT_HTTP") or "127.0.0.1:8000"
        self._token = token or os.environ.get("HYDRANT_TOKEN")
        self._options = {"encode": _encode, **options}
        self._client = self._stream = None

    # ---- what MiniFirehose has

    def start(self):
        """Makes the firehose, if the agent has none of that name."""
        if self._client is None:
            self._create()
            client = Client(**self._options)
            self._stream = client.stream(self.name)
            self._client = client

    def add_message(self, message):
        """A dict, or a text, which is an object when it is one in JSON."""
        if self._client is None:
            self.start()
        if isinstance(message, str) and _is_object(message):
            self._stream.write(message, "json")
        else:
            self._stream.write(message)

    def stop(self, timeout=None):
        """Waits until all is delivered, for so many seconds at most (then hydrant.Timeout)."""
        if self._client is None:
            return
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            left = WARN_S if end is None else max(0, end - time.monotonic())
            try:
                self._client.flush("delivered", min(left, WARN_S))
                break
            except Timeout:
                if left < WARN_S:
                    raise
                _log.warning("%s: not all is delivered yet: %s", self.name, self._waits_because())
        self._client.close()
        self._client = self._stream = None

    # ---- what it has not

    def delete(self):
        """Takes the firehose from the agent, which delivers first what it has of it."""
        self.stop()
        self._ask("DELETE", "/minifirehoses/" + urllib.parse.quote(self.name, safe=""))

    def stats(self):
        """What the agent has: buffer-count, buffer-size-in-mb, accepted, delivered, ..."""
        return self._ask("GET", "/minifirehoses/%s/stats" % urllib.parse.quote(self.name, safe=""))

    @property
    def buffer_count(self):
        return self.stats()["buffer-count"]

    @property
    def buffer_size_in_mb(self):
        return self.stats()["buffer-size-in-mb"]

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()

    # ---- the agent

    def _create(self):
        try:
            self._ask("POST", "/minifirehoses", {
                "name": self.name, "buffer-time": self.config.buffer_time_limit,
                "buffer-size": self.config.buffer_size_limit_mb,
                "buffer-count": self.config.buffer_count_limit,
                "sinks": [sink.request for sink in self.sinks]})
        except ValueError as error:
            if "already exists" not in str(error):
                raise
            _log.info("MiniFirehose %r is there already: its settings are kept", self.name)

    def _waits_because(self):
        try:
            sinks = self._ask("GET", "/v1/status")["sinks"]
        except (Error, ValueError) as error:
            return str(error)
        return "; ".join(sink["waits_because"] for sink in sinks if sink.get("waits_because")
                         and sink["name"].startswith(self.name + "~")) or "the agent is at it"

    def _ask(self, method, path, body=None):
        headers = {"Content-Type": "application/json"}
        if self._token:
            headers["Authorization"] = "Bearer " + self._token
        connection = http.client.HTTPConnection(self._http, timeout=60)
        try:
            connection.request(method, path, json.dumps(body) if body else None, headers)
            answer = connection.getresponse()
            status, text = answer.status, answer.read().decode("utf-8", "replace")
        except (OSError, http.client.HTTPException) as error:
            raise Error(getattr(error, "errno", None) or errno.ECONNREFUSED,
                        "no agent answers at http://%s (%s): start one by 'hydrant agent', or say "
                        "where it is by http= or HYDRANT_HTTP" % (self._http, error)) from error
        finally:
            connection.close()
        if status == 200:
            return json.loads(text)
        try:
            detail = json.loads(text)["detail"]
        except (ValueError, KeyError, TypeError):
            detail = text.strip() or "status %d" % status
        if status in (400, 404, 422):
            raise ValueError(detail)
        raise Error(errno.EACCES if status in (401, 403) else errno.EIO,
                    "%s %s: the agent answers %d: %s" % (method, path, status, detail))


def _is_object(text):
    try:
        return text.lstrip().startswith("{") and isinstance(json.loads(text), dict)
    except ValueError:
        return False
