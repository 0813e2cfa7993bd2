"""services: destinations on loopback for remote sinks: the AWS server of the tests, and a receiver
of HTTP that answers by script.

Owns:   what it starts; each ends with its test.
Units:  seconds.
"""
import base64
import gzip
import http.client
import json
import os
import socket
import struct
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from harness import ROOT

ACCESS_KEY = "AKIDEXAMPLE"
SECRET_KEY = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"


class Aws:
    """tests/aws/server.py and its ledger."""

    def __init__(self, case, *options):
        self.case, self.directory = case, case.path("aws")
        self.process = case.popen(["/usr/bin/python3", os.path.join(ROOT, "tests/aws/server.py"),
                                   self.directory, *options],
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.port = int(self.process.stdout.readline())
        self.url = "http://127.0.0.1:%d" % self.port
        case.addCleanup(self.close)

    def close(self):
        if self.process.poll() is None:
            self.process.stdin.close()
            self.process.wait(30)

    def control(self, method, what, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.request(method, "/_control/" + what, json.dumps(body) if body else None)
        answer = connection.getresponse()
        self.case.assertEqual(answer.status, 200)
        text = answer.read()
        connection.close()
        return text

    def script(self, **wanted):
        """Faults for the requests to come; see tests/aws/script.py."""
        self.control("POST", "script", wanted)

    def keys(self, **keys):
        """Other keys from now on: access, secret, token. Those of before have expired."""
        self.control("POST", "keys", keys)

    def uploads_open(self):
        """Keys of objects whose upload was begun and neither ended nor aborted."""
        return json.loads(self.control("GET", "uploads"))

    def lines(self, name):
        try:
            with open(os.path.join(self.directory, name), encoding="utf-8") as file:
                return [json.loads(line) for line in file if line.endswith("\n")]
        except FileNotFoundError:
            return []

    def requests(self):
        return self.lines("requests.jsonl")

    def records(self, stream="hose"):
        """What was stored, in order."""
        return [base64.b64decode(entry["data"]) for entry in self.lines("ledger.jsonl")
                if entry.get("op") == "PutRecord" and entry["stream"] == stream]


class Receiver:
    """An HTTP server that keeps what it takes. `script` says, for each request to come, what to do:
    a status, (status, headers), "reset" (read, and broken off), or "stored_reset" (kept before)."""

    def __init__(self, case, answer=None):
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_POST(self):
                length = int(self.headers["content-length"])
                body = self.rfile.read(length)
                if len(body) < length:  # its sender was killed before the end
                    self.close_connection = True
                    return
                receiver.take(self, body)

            do_PUT = do_POST

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request, client_address):
                """A client that goes away is what the tests do."""
                if not isinstance(sys.exc_info()[1], ConnectionError):
                    super().handle_error(request, client_address)

        self.requests, self.taken, self.script = [], [], []
        self.answer = answer or (lambda request: b"")
        self.lock = threading.Lock()
        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = "http://127.0.0.1:%d/in" % self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        case.addCleanup(self.close)

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def take(self, handler, body):
        encoding = handler.headers.get("content-encoding")
        request = {"method": handler.command, "path": handler.path, "raw": body,
                   "headers": {k.lower(): v for k, v in handler.headers.items()},
                   "body": gzip.decompress(body) if encoding == "gzip" else body}
        with self.lock:
            what = self.script.pop(0) if self.script else 200
            self.requests.append(request)
            if what in (200, "stored_reset"):
                self.taken.append(request)
        if what in ("reset", "stored_reset"):
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                          struct.pack("ii", 1, 0))
            os.close(handler.connection.detach())
            handler.close_connection = True
            return
        status, headers = what if isinstance(what, tuple) else (what, {})
        answer = self.answer(request) if status == 200 else b"as the script says"
        handler.send_response(status)
        for name, value in {"Content-Length": str(len(answer)), **headers}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(answer)
