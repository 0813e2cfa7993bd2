#!/usr/bin/python3
"""server: S3 and Firehose for tests, on loopback: strict about signatures, wrong by script.

Usage: tests/aws/server.py DIRECTORY [option...]; see --help. Its first line on standard output is
its port. It ends with its standard input, so that no test leaves one behind.

DIRECTORY gets ledger.jsonl, a line for each thing stored, in order, and bodies/ that it names; and
requests.jsonl, a line for each request: operation, fault, status and error code.

Control, without a signature: POST /_control/script takes a script (see script.py); POST
/_control/keys other keys ({"access", "secret", "token"}), and those of before have expired; GET
/_control/uploads answers the keys of unfinished uploads.
"""
import argparse
import json
import os
import socket
import ssl
import struct
import sys
import threading
import types
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

import verify
from firehose import TARGET, Firehose
from s3 import S3, Answer, document
from script import ERRORS, Script
from verify import Refused

CONTROL = "/_control/"


class Gone(Exception):
    """The connection is not answered any more."""


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, options):
        super().__init__(("127.0.0.1", options.port), Handler)
        self.keys = types.SimpleNamespace(access=options.access_key, secret=options.secret_key,
                                          token=options.session_token, region=options.region,
                                          expired=[])
        os.makedirs(options.directory, exist_ok=True)
        self.ledger_file = open(os.path.join(options.directory, "ledger.jsonl"), "a",
                                encoding="utf-8")
        self.requests_file = open(os.path.join(options.directory, "requests.jsonl"), "a",
                                  encoding="utf-8")
        self.s3 = S3(options.directory, self.ledger, options.bucket or ["events"])
        self.firehose = Firehose(self.ledger, options.stream or ["hose"])
        self.conditional = not options.no_conditional
        self.script = Script()
        self.script.set(json.loads(options.script))
        self.lock = threading.Lock()
        if options.tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*options.tls)
            self.socket = context.wrap_socket(self.socket, server_side=True,
                                              do_handshake_on_connect=False)

    def ledger(self, entry):
        self.ledger_file.write(json.dumps(entry) + "\n")
        self.ledger_file.flush()

    def log(self, entry):
        with self.lock:
            self.requests_file.write(json.dumps(entry) + "\n")
            self.requests_file.flush()

    def handle_error(self, request, client_address):
        """A client that goes away is what the tests do."""
        if not isinstance(sys.exc_info()[1], (ConnectionError, ssl.SSLError)):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1               # one segment for head and body

    def log_message(self, *_):
        pass

    def handle_expect_100(self):
        """Whoever waits for it sends no body before."""
        more = super().handle_expect_100()
        self.wfile.flush()
        return more

    # ---------------------------------------------------------------------------------- the call

    def call(self):
        path, _, query = self.path.partition("?")
        pieces = (piece.partition("=") for piece in query.split("&") if piece)
        return types.SimpleNamespace(
            method=self.command, path=path, query=query, headers=self.headers, body=b"",
            parameters={unquote(name): unquote(value) for name, _, value in pieces})

    def read_body(self, half=False):
        length = self.headers.get("content-length")
        if "transfer-encoding" in self.headers:
            raise Refused(501, "NotImplemented", "Transfer-Encoding")
        if length is None and self.command in ("PUT", "POST"):
            raise Refused(411, "MissingContentLength")
        wanted = int(length or 0)
        body = self.rfile.read(wanted // 2 if half else wanted)
        if not half and len(body) < wanted:
            raise Gone()
        return body

    def check(self, call, service):
        verify.check_signature(call, self.server.keys, service)
        verify.check_body(call)
        if service == "s3" and "x-amz-content-sha256" not in call.headers:
            raise Refused(400, "InvalidRequest", "no x-amz-content-sha256")
        if "if-none-match" in call.headers and not self.server.conditional:
            raise Refused(501, "NotImplemented", "If-None-Match")

    def perform(self, call, service, operation, fault):
        """Done as asked, and the answer."""
        self.check(call, service)
        with self.server.lock:
            if service == "s3":
                return self.server.s3.perform(call, operation)
            failed = ()
            if fault.get("fault") == "partial":
                failed = fault.get("records", range(0, 500, 2))
            return self.server.firehose.perform(call, operation, failed)

    # -------------------------------------------------------------------------------- the faults

    def reset(self):
        """The peer sees a reset, not an end."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        os.close(self.connection.detach())
        raise Gone()

    def hang(self):
        """Until the peer has had enough."""
        while self.connection.recv(65536):
            pass
        raise Gone()

    def fault_before(self, name):
        if name == "reset_before":
            self.reset()
        if name == "hang":
            self.hang()
        if name == "reset_during":
            self.read_body(half=True)
            self.reset()

    def fault_instead(self, name, fault, service):
        """Nothing is stored."""
        if name == "reset_after":
            self.reset()
        if name == "200_error":
            raise Refused(200, "InternalError", "as the script says")
        if name in ERRORS:
            status, s3_code, firehose_code = ERRORS[name]
            wait = fault.get("retry_after")
            raise Refused(status, s3_code if service == "s3" else firehose_code,
                          "as the script says",
                          {"Retry-After": str(wait)} if wait is not None else {})

    def fault_afterwards(self, name, fault):
        """It is stored."""
        if name == "stored_reset":
            self.reset()
        if name == "stored_hang":
            self.hang()
        if name in ("stored_500", "stored_503", "stored_200_error"):
            status = int(name.split("_")[1])
            raise Refused(status, "SlowDown" if status == 503 else "InternalError",
                          "as the script says", fault.get("headers"))

    # -------------------------------------------------------------------------------- the answer

    def refusal(self, refused, service):
        if service == "firehose":
            body = json.dumps({"__type": refused.code, "message": refused.message}).encode()
            return Answer(refused.status, {"Content-Type": "application/x-amz-json-1.1"}, body)
        if not refused.code:
            return Answer(refused.status, {"Content-Type": "text/html"}, b"<html><body>proxy</p>")
        answer = document("Error", [("Code", refused.code), ("Message", refused.message),
                                    ("RequestId", self.request_id)])
        answer.body = answer.body.replace(b' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"', b"")
        answer.status = refused.status
        return answer

    def send(self, answer, fault):
        name = fault.get("fault")
        self.send_response(answer.status)
        for header, value in answer.headers.items():
            self.send_header(header, value)
        if "Content-Length" not in answer.headers and answer.status != 204:
            self.send_header("Content-Length", str(len(answer.body)))
        self.send_header("x-amz-request-id", self.request_id)
        self.send_header("x-amzn-RequestId", self.request_id)
        body = b"" if self.command == "HEAD" else answer.body
        self.end_headers()
        if name == "cut":
            self.wfile.write(body[:len(body) // 2])
            raise Gone()
        if name == "drip":
            self.drip(body, fault.get("pause", 0.01))
        else:
            self.wfile.write(body)
        self.wfile.flush()

    def drip(self, body, pause):
        never = threading.Event()
        for i in range(len(body)):
            self.wfile.flush()
            never.wait(pause)
            self.wfile.write(body[i:i + 1])

    # ---------------------------------------------------------------------------------- the turn

    def control(self, what):
        try:
            body, answer = self.read_body(), Answer()
            with self.server.lock:
                if what == "script":
                    self.server.script.set(json.loads(body))
                elif what == "keys":
                    keys = self.server.keys
                    keys.expired = keys.expired + [keys.access]
                    keys.__dict__.update(json.loads(body))
                else:
                    found = [u.key for u in self.server.s3.uploads.values()]
                    answer = Answer(200, {}, json.dumps(found).encode())
        except ValueError as error:
            answer = Answer(400, {}, str(error).encode())
        self.send(answer, {})

    def serve(self):
        self.request_id = uuid.uuid4().hex[:16].upper()
        if self.path.startswith(CONTROL):
            self.control(self.path[len(CONTROL):])
            return
        call = self.call()
        service = "firehose" if self.headers.get("x-amz-target", "").startswith(TARGET) else "s3"
        operation = getattr(self.server, service).operation(call)
        with self.server.lock:
            fault = self.server.script.next(operation)
        name = fault.get("fault", "")
        entry = {"op": operation, "key": unquote(call.path), "fault": name, "status": 0}
        try:
            self.fault_before(name)
            call.body = self.read_body()
            self.fault_instead(name, fault, service)
            answer = self.perform(call, service, operation, fault)
            self.fault_afterwards(name, fault)
            entry["status"] = answer.status
        except Refused as refused:
            entry.update(status=refused.status, code=refused.code, message=refused.message)
            answer = self.refusal(refused, service)
            answer.headers.update(refused.headers)
            if refused.status in (411, 501):    # the body may still be on its way
                answer.headers["Connection"] = "close"
        except (Gone, ConnectionError):
            self.close_connection = True
            return
        finally:
            self.server.log(entry)
        try:
            self.send(answer, fault)
        except Gone:
            self.close_connection = True

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = serve


def options(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("directory")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--access-key", default="AKIDEXAMPLE")
    parser.add_argument("--secret-key", default="wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
    parser.add_argument("--session-token", default="")
    parser.add_argument("--region", default="us-east-1")
    parser.add_argument("--bucket", action="append", help="default: events")
    parser.add_argument("--stream", action="append", help="default: hose")
    parser.add_argument("--no-conditional", action="store_true",
                        help="If-None-Match is answered with 501")
    parser.add_argument("--tls", nargs=2, metavar=("CERTIFICATE", "KEY"))
    parser.add_argument("--script", default="{}", help="see script.py")
    return parser.parse_args(arguments)


def main():
    server = Server(options(sys.argv[1:]))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_address[1], flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
