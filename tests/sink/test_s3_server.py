"""Requests that s3_request makes and sigv4 signs, sent to the AWS server of the tests; its answers
read by s3_reply. The tool makes and reads, Python's HTTP client sends.
"""
import http.client
import json
import os
import shutil
import subprocess
import tempfile
import time
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
HYDRANT = os.environ.get("HYDRANT_BIN", os.path.join(ROOT, "build", "release", "hydrant"))
TOOL = os.path.join(os.path.dirname(os.path.abspath(HYDRANT)), "tests", "sink", "s3_tool")
KEY = "p/s/country=DE/a b+\u00e4/../%41//2026-1-000-2.json"


class S3(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.directory)
        process = subprocess.Popen(
            ["/usr/bin/python3", os.path.join(ROOT, "tests", "aws", "server.py"), self.directory],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.addCleanup(self.end, process)
        self.port = int(process.stdout.readline())

    def end(self, process):
        process.stdin.close()
        self.assertEqual(process.wait(30), 0)
        process.stdout.close()

    def tool(self, *arguments, stdin=b""):
        return subprocess.run([TOOL, *map(str, arguments)], input=stdin, stdout=subprocess.PIPE,
                              check=True, timeout=30).stdout.decode()

    def ask(self, *arguments, body="", style="yes"):
        """Status, headers and body of the answer."""
        host = "127.0.0.1" if style == "yes" else "localhost"
        text = self.tool("ask", "http://%s:%d" % (host, self.port), "events", style,
                         int(time.time()), *arguments)
        head, _, made = text.partition("\n\n")
        line, *headers = head.split("\n")
        method, url = line.split(" ")
        target = url[url.index("/", len("http://")):] if "/" in url[len("http://"):] else "/"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.request(method, target, (body or made).encode(),
                           dict(header.split(": ", 1) for header in headers))
        answer = connection.getresponse()
        result = answer.status, dict(answer.getheaders()), answer.read()
        connection.close()
        return result

    def read(self, what, answer):
        return self.tool("read", what, answer[0], stdin=answer[2])

    def stored(self):
        with open(os.path.join(self.directory, "ledger.jsonl"), encoding="utf-8") as file:
            return [json.loads(line) for line in file]

    def test_an_object_is_put_once_and_says_whose_it_is(self):
        self.assertEqual(self.ask("put", KEY, "body", body="body")[0], 200)
        again = self.ask("put", KEY, "body", body="body")
        self.assertEqual((again[0], self.read("error", again)), (412, "PreconditionFailed"))
        entry, = self.stored()
        self.assertEqual((entry["key"], entry["bytes"]), (KEY, 4))
        self.assertEqual(entry["headers"]["x-amz-storage-class"], "STANDARD_IA")
        status, headers, _ = self.ask("head", KEY)
        self.assertEqual((status, headers["x-amz-meta-hydrant-batch"]), (200, "1-000-2"))
        wrong = self.ask("put", KEY + "2", "body", body="bodz")
        self.assertEqual((wrong[0], self.read("error", wrong)), (400, "XAmzContentSHA256Mismatch"))

    def test_the_bucket_may_be_in_the_host(self):
        self.assertEqual(self.ask("put", KEY, "body", body="body", style="no")[0], 200)
        self.assertEqual(self.stored()[0]["key"], KEY)
        self.assertEqual(self.ask("list", "", "", "", style="no")[0], 200)

    def test_an_object_in_parts(self):
        part = "x" * 100000
        upload = self.read("create", self.ask("create", KEY, part))
        status, headers, _ = self.ask("part", KEY, upload, 1, part, body=part)
        self.assertEqual(status, 200)
        done = self.ask("complete", KEY, upload, headers["ETag"] + ":" + part)
        self.assertEqual((done[0], self.read("complete", done)), (200, ""))
        self.assertEqual([(e["op"], e["bytes"]) for e in self.stored()],
                         [("CompleteMultipartUpload", len(part))])
        again = self.ask("complete", KEY, upload, headers["ETag"] + ":" + part)
        self.assertEqual((again[0], self.read("error", again)), (404, "NoSuchUpload"))

    def test_what_is_left_over_is_found_and_aborted(self):
        ids = sorted(self.read("create", self.ask("create", KEY, "x")) for _ in range(2))
        found = self.read("list", self.ask("list", "p/", "", "")).split("\n")
        self.assertEqual(found, [KEY, ids[0], KEY, ids[1], "", "", ""])
        for upload in ids:
            self.assertEqual(self.ask("abort", KEY, upload)[0], 204)
        self.assertEqual(self.read("list", self.ask("list", "", "", "")), "\n\n")


if __name__ == "__main__":
    unittest.main()
