"""Odd requests get the signatures that botocore gives them: sigv4_tool signs, botocore compares.

Variables: HYDRANT_BIN (its folder holds the tool), HYDRANT_SEED repeats a run, HYDRANT_LONG=1.
"""
import datetime
import os
import random
import subprocess
import types
import unittest
from unittest import mock
from urllib.parse import quote

from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
HYDRANT = os.environ.get("HYDRANT_BIN", os.path.join(ROOT, "build", "release", "hydrant"))
TOOL = os.path.join(os.path.dirname(os.path.abspath(HYDRANT)), "tests", "sink", "sigv4_tool")
SEED = int(os.environ.get("HYDRANT_SEED", "1"))
REQUESTS = 20000 if os.environ.get("HYDRANT_LONG") == "1" else 600

PIECES = ["a", "Z", "0", " ", "  ", "+", "=", "/", "//", ".", "..", "./", "../", "/./", "%", "%20",
          "&", "?", "#", ";", ":", ",", "@", "$", "!", "*", "'", "(", ")", "[", "]", "~", "_", "-",
          "\"", "\\", "<", ">", "^", "`", "{", "|", "}", "\t", "\n", "\x7f", "\x01", "ä", "ẞ", "☃",
          "🎉", "日本", "e\u0301", "country=DE", "2026/02/03/"]
BLANKS = ["", " ", "  ", "\t", " \t "]
VALUES = ["", "x", "a b", "a  b", "\"q  q\"", "a,b", "ü", "☃ ☃", "k=v; w", "x:y", "%41"]


class Request:
    """One request in plain form, from a random generator."""

    def __init__(self, draw):
        self.s3 = draw.random() < 0.6
        self.service = "s3" if self.s3 else draw.choice(["firehose", "sts", "kinesis"])
        self.region = draw.choice(["us-east-1", "eu-central-1", "cn-north-1", "x"])
        self.access = "AKIA" + "".join(draw.choices("ABCDEF234567", k=12))
        self.secret = "".join(draw.choices("abcXYZ019+/=", k=draw.choice([1, 40, 100])))
        self.token = "".join(draw.choices("abcXYZ019+/=", k=draw.choice([0, 0, 16, 1500])))
        self.time = draw.randrange(0, 4102444800)
        self.method = draw.choice(["GET", "PUT"])
        self.unsigned = self.s3 and draw.random() < 0.3
        self.host = draw.choice(["localhost:9000", "b.s3.eu-central-1.amazonaws.com", "10.0.0.1"])
        self.origin = draw.choice(["http://", "https://"]) + self.host
        self.path = "/" + "".join(draw.choices(PIECES, k=draw.randrange(0, 12)))
        self.query = [("".join(draw.choices(PIECES, k=draw.randrange(1, 3))),
                       "".join(draw.choices(PIECES, k=draw.randrange(0, 3))))
                      for _ in range(draw.choice([0, 0, 1, 2, 6]))]
        if self.query and draw.random() < 0.5:
            self.query.append((self.query[0][0], draw.choice(["", "again", "A"])))
        self.body = bytes(draw.randrange(256) for _ in range(draw.choice([0, 1, 300])))
        self.headers = [("Host", self.host)]
        for i in range(draw.randrange(0, 8)):
            name = draw.choice(["X-Amz-Meta-%d", "x-amz-meta-B%d", "Content-Type%d", "Range%d",
                                "x-amz_%d", "X-Amz-D%d"]) % draw.randrange(3)
            value = draw.choice(BLANKS) + draw.choice(VALUES) + draw.choice(BLANKS)
            self.headers.append((name, value))
            if draw.random() < 0.2:
                self.headers.append((name.upper(), draw.choice(VALUES)))

    def lines(self):
        """As sigv4_tool reads it."""
        yield "method", self.method
        yield "service", self.service
        yield "region", self.region
        yield "access", self.access
        yield "secret", self.secret
        yield "token", self.token
        yield "origin", self.origin
        yield "path", self.path
        for name, value in self.query:
            yield "name", name
            yield "value", value
        for name, value in self.headers:
            yield "header", name + ":" + value
        yield ("unsigned", "") if self.unsigned else ("body", self.body)

    def text(self):
        pairs = [(word, value if isinstance(value, bytes) else value.encode())
                 for word, value in self.lines()]
        return "".join("%s %s\n" % (word, value.hex()) for word, value in pairs) + (
            "time %d\nsign\n" % self.time)

    def url(self):
        """The path as botocore puts it into URLs."""
        return self.origin + quote(self.path, safe="/~")

    def authorization(self):
        """The Authorization header by botocore."""
        request = AWSRequest(method=self.method, url=self.url(), params=self.query, data=self.body)
        for name, value in self.headers:
            request.headers[name] = value
        signer = S3SigV4Auth if self.s3 else SigV4Auth
        request.context["client_config"] = types.SimpleNamespace(
            s3={"payload_signing_enabled": not self.unsigned})
        now = datetime.datetime.utcfromtimestamp(self.time)

        class Clock(datetime.datetime):
            @classmethod
            def utcnow(cls):
                return now

        with mock.patch("botocore.auth.datetime", types.SimpleNamespace(datetime=Clock)):
            signer(Credentials(self.access, self.secret, self.token or None), self.service,
                   self.region).add_auth(request)
        return request.headers["Authorization"]

    def whole_url(self):
        query = "&".join(quote(name, safe="-_.~") + "=" + quote(value, safe="-_.~")
                         for name, value in self.query)
        return self.url() + ("?" + query if query else "")


class Sigv4(unittest.TestCase):
    def compare(self, requests):
        process = subprocess.run([TOOL], input="".join(r.text() for r in requests).encode(),
                                 stdout=subprocess.PIPE, check=True, timeout=120)
        answers = process.stdout.decode().splitlines()
        self.assertEqual(len(answers), len(requests))
        for request, answer in zip(requests, answers):
            expected = request.whole_url() + " " + request.authorization()
            self.assertEqual(answer, expected, vars(request))

    def test_odd_requests_are_signed_as_botocore_signs_them(self):
        draw = random.Random(SEED)
        requests = [Request(draw) for _ in range(REQUESTS)]
        self.assertGreater(sum(r.s3 for r in requests), REQUESTS // 3)
        self.assertGreater(sum(not r.s3 for r in requests), REQUESTS // 5)
        self.compare(requests)

    def test_every_byte_of_a_key(self):
        draw = random.Random(SEED)
        requests = []
        for code in [*range(1, 0x180), 0x7ff, 0x800, 0xfffd, 0x10000, 0x10ffff]:
            request = Request(draw)
            request.path = "/k" + chr(code) + "/"
            requests.append(request)
        self.compare(requests)


if __name__ == "__main__":
    unittest.main()
