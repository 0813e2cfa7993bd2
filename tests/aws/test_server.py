"""The AWS server of the tests is itself right: boto3 gets on with it, it refuses what AWS does."""
import base64
import hashlib
import http.client
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import unittest
from urllib.parse import quote, urlsplit

import boto3
import botocore.config
import botocore.exceptions
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from script import NAMES
from verify import crc32c

HERE = os.path.dirname(os.path.abspath(__file__))
ACCESS, SECRET = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
PART = 5 << 20
SESSION = boto3.session.Session()
BROKEN = (botocore.exceptions.HTTPClientError, botocore.exceptions.ConnectionError)


class Case(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.directory)
        self.port = self.start()

    def start(self, *arguments):
        process = subprocess.Popen([sys.executable, os.path.join(HERE, "server.py"),
                                    self.directory, *arguments], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE)
        self.addCleanup(self.end, process)
        return int(process.stdout.readline())

    def end(self, process):
        process.stdin.close()
        self.assertEqual(process.wait(30), 0)
        process.stdout.close()

    def client(self, service, port=None, access=ACCESS, secret=SECRET, token=None, **options):
        options = {"retries": {"total_max_attempts": 1}, "proxies": {}, "read_timeout": 20,
                   "s3": {"addressing_style": "path"}, **options}
        return SESSION.client(
            service, endpoint_url="http://127.0.0.1:%d" % (port or self.port),
            region_name="us-east-1", aws_access_key_id=access, aws_secret_access_key=secret,
            aws_session_token=token, config=botocore.config.Config(**options))

    def script(self, **script):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.request("POST", "/_control/script", json.dumps(script))
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        return answer.status, text

    def fault(self, fault, **more):
        self.assertEqual(self.script(queue=[{"fault": fault, **more}])[0], 200)

    def lines(self, name):
        with open(os.path.join(self.directory, name), encoding="utf-8") as file:
            return [json.loads(line) for line in file]

    def stored(self):
        return self.lines("ledger.jsonl")

    def refused(self, code, call, **arguments):
        with self.assertRaises(botocore.exceptions.ClientError) as caught:
            call(**arguments)
        self.assertEqual(caught.exception.response["Error"]["Code"], code)
        return caught.exception.response

    def raw(self, method, path, headers=None, body=b"", change=None, key=SECRET):
        """A request signed by botocore, then changed; status and AWS code."""
        url = "http://127.0.0.1:%d%s" % (self.port, path)
        request = AWSRequest(method=method, url=url, data=body, headers=headers or {})
        S3SigV4Auth(Credentials(ACCESS, key), "s3", "us-east-1").add_auth(request)
        sent = dict(request.headers.items())
        if change is not None:
            body = change(sent, body) or body
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        parts = urlsplit(url)
        connection.request(method, parts.path + ("?" + parts.query if parts.query else ""), body,
                           sent)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer.status, text.partition("<Code>")[2].partition("</Code>")[0]


class Objects(Case):
    def setUp(self):
        super().setUp()
        self.s3 = self.client("s3")

    def test_an_object_comes_back_as_it_went(self):
        key, body = "p/a b+=&?#%/../☃//x", bytes(range(256)) * 5
        crc = base64.b64encode(crc32c(body).to_bytes(4, "big")).decode()
        self.s3.put_object(Bucket="events", Key=key, Body=body, ContentType="text/x",
                           ChecksumCRC32C=crc, Metadata={"hydrant-batch": "1"})
        head = self.s3.head_object(Bucket="events", Key=key)
        self.assertEqual(head["Metadata"], {"hydrant-batch": "1"})
        self.assertEqual(head["ContentLength"], len(body))
        self.assertEqual(head["ContentType"], "text/x")
        self.assertEqual(head["ETag"], '"%s"' % hashlib.md5(body).hexdigest())
        self.assertEqual(self.s3.get_object(Bucket="events", Key=key)["Body"].read(), body)
        entry, = self.stored()
        self.assertEqual((entry["op"], entry["key"], entry["bytes"]), ("PutObject", key, len(body)))
        with open(entry["file"], "rb") as file:
            self.assertEqual(file.read(), body)

    def test_lists_go_on_where_they_stopped(self):
        keys = ["a/%d" % i for i in range(5)]
        for key in keys + ["b/1"]:
            self.s3.put_object(Bucket="events", Key=key, Body=b"x")
        pages = self.s3.get_paginator("list_objects_v2").paginate(
            Bucket="events", Prefix="a/", PaginationConfig={"PageSize": 2})
        self.assertEqual([o["Key"] for page in pages for o in page["Contents"]], keys)
        ids = [self.s3.create_multipart_upload(Bucket="events", Key=key)["UploadId"]
               for key in keys + keys[:1]]
        pages = list(self.s3.get_paginator("list_multipart_uploads").paginate(
            Bucket="events", Prefix="a/", PaginationConfig={"PageSize": 2}))
        self.assertEqual(len(pages), 3)
        self.assertEqual(sorted(u["UploadId"] for page in pages for u in page["Uploads"]),
                         sorted(ids))

    def upload(self, *sizes, checksum=True):
        """Uploads parts; id and their list."""
        algorithm = {"ChecksumAlgorithm": "CRC32C"} if checksum else {}
        upload_id = self.s3.create_multipart_upload(Bucket="events", Key="k", Metadata={"m": "1"},
                                                    **algorithm)["UploadId"]
        parts = []
        for number, size in enumerate(sizes, 1):
            body = bytes([number]) * size
            crc = base64.b64encode(crc32c(body).to_bytes(4, "big")).decode()
            with_crc = {"ChecksumCRC32C": crc} if checksum else {}
            part = self.s3.upload_part(Bucket="events", Key="k", UploadId=upload_id,
                                       PartNumber=number, Body=body, **with_crc)
            parts.append({"PartNumber": number, "ETag": part["ETag"], **with_crc})
        return upload_id, parts

    def complete(self, upload_id, parts):
        return self.s3.complete_multipart_upload(Bucket="events", Key="k", UploadId=upload_id,
                                                 MultipartUpload={"Parts": parts})

    def test_parts_become_one_object(self):
        upload_id, parts = self.upload(PART, PART, 7)
        self.assertEqual(self.stored(), [])
        self.assertTrue(self.complete(upload_id, parts)["ETag"].endswith('-3"'))
        got = self.s3.get_object(Bucket="events", Key="k")
        self.assertEqual(got["Metadata"], {"m": "1"})
        self.assertEqual(got["Body"].read(), b"\1" * PART + b"\2" * PART + b"\3" * 7)
        self.assertEqual([entry["op"] for entry in self.stored()], ["CompleteMultipartUpload"])
        self.refused("NoSuchUpload", self.complete, upload_id=upload_id, parts=parts)

    def test_a_completion_must_name_the_parts_as_they_are(self):
        upload_id, parts = self.upload(PART, 8)
        wrong = [dict(parts[0], ETag='"0"'), parts[1]]
        self.refused("InvalidPart", self.complete, upload_id=upload_id, parts=wrong)
        wrong = [dict(parts[0], ChecksumCRC32C="AAAAAA=="), parts[1]]
        self.refused("InvalidPart", self.complete, upload_id=upload_id, parts=wrong)
        wrong = [{k: v for k, v in p.items() if k != "ChecksumCRC32C"} for p in parts]
        self.refused("InvalidPart", self.complete, upload_id=upload_id, parts=wrong)
        self.refused("InvalidPartOrder", self.complete, upload_id=upload_id, parts=parts[::-1])
        self.refused("InvalidPart", self.complete, upload_id=upload_id,
                     parts=parts + [dict(parts[1], PartNumber=3)])
        self.complete(upload_id, parts)
        small, parts = self.upload(8, 8, checksum=False)
        self.refused("EntityTooSmall", self.complete, upload_id=small, parts=parts)

    def test_an_aborted_upload_is_gone(self):
        upload_id, parts = self.upload(8)
        self.s3.abort_multipart_upload(Bucket="events", Key="k", UploadId=upload_id)
        self.refused("NoSuchUpload", self.complete, upload_id=upload_id, parts=parts)
        self.assertNotIn("Uploads", self.s3.list_multipart_uploads(Bucket="events"))
        self.assertEqual(os.listdir(os.path.join(self.directory, "bodies")), [])

    def test_what_is_not_there_is_named(self):
        self.refused("NoSuchKey", self.s3.get_object, Bucket="events", Key="none")
        self.refused("NoSuchBucket", self.s3.put_object, Bucket="other", Key="k", Body=b"")
        self.refused("404", self.s3.head_object, Bucket="events", Key="none")

    def test_a_bucket_may_be_in_the_host(self):
        path = "/a%20b"
        url = "http://events.localhost:%d%s" % (self.port, path)
        request = AWSRequest(method="PUT", url=url, data=b"body")
        S3SigV4Auth(Credentials(ACCESS, SECRET), "s3", "us-east-1").add_auth(request)
        headers = {**dict(request.headers.items()), "Host": "events.localhost:%d" % self.port}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.request("PUT", path, b"body", headers)
        self.assertEqual(connection.getresponse().status, 200)
        connection.close()
        self.assertEqual(self.stored()[0]["key"], "a b")


class Conditions(Case):
    def put(self, key):
        return self.raw("PUT", "/events/" + key, {"If-None-Match": "*"}, b"x")

    def test_a_taken_key_is_refused(self):
        self.assertEqual(self.put("k"), (200, ""))
        self.assertEqual(self.put("k"), (412, "PreconditionFailed"))
        self.assertEqual(self.put("k2"), (200, ""))
        self.assertEqual(len(self.stored()), 2)

    def test_a_taken_key_is_refused_to_a_completion(self):
        s3 = self.client("s3")
        upload = s3.create_multipart_upload(Bucket="events", Key="k")["UploadId"]
        part = s3.upload_part(Bucket="events", Key="k", UploadId=upload, PartNumber=1, Body=b"1")
        self.put("k")
        body = ("<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>%s</ETag></Part>"
                "</CompleteMultipartUpload>" % part["ETag"]).encode()
        path = "/events/k?uploadId=" + quote(upload, safe="")
        self.assertEqual(self.raw("POST", path, {"If-None-Match": "*"}, body),
                         (412, "PreconditionFailed"))
        self.assertEqual(self.raw("POST", path, {}, body), (200, ""))

    def test_a_server_without_conditions_says_so(self):
        self.port = self.start("--no-conditional")
        self.assertEqual(self.put("k"), (501, "NotImplemented"))
        self.assertEqual(self.raw("PUT", "/events/k", {}, b"x"), (200, ""))


class Strictness(Case):
    def test_a_wrong_key_or_token_is_refused(self):
        for code, more in (("SignatureDoesNotMatch", {"secret": "other"}),
                           ("InvalidAccessKeyId", {"access": "other"}),
                           ("InvalidToken", {"token": "other"})):
            s3 = self.client("s3", **more)
            self.refused(code, s3.put_object, Bucket="events", Key="k", Body=b"")
            firehose = self.client("firehose", **more)
            self.refused(code, firehose.put_record, DeliveryStreamName="hose",
                         Record={"Data": b"x"})
        self.assertEqual(self.stored(), [])

    def test_a_token_is_asked_for(self):
        port = self.start("--session-token", "a+/=")
        self.client("s3", port, token="a+/=").put_object(Bucket="events", Key="k", Body=b"")
        self.refused("InvalidToken", self.client("s3", port).put_object, Bucket="events", Key="k",
                     Body=b"")

    def test_what_was_changed_on_the_way_is_refused(self):
        def set_header(name, value):
            return lambda headers, body: headers.update({name: value})

        cases = (
            (None, (200, "")),
            (lambda headers, body: body + b"!", (400, "XAmzContentSHA256Mismatch")),
            (set_header("X-Amz-Content-SHA256", "UNSIGNED-PAYLOAD"),
             (403, "SignatureDoesNotMatch")),
            (set_header("X-Amz-Meta-A", "2"), (403, "SignatureDoesNotMatch")),
            (set_header("X-Amz-Meta-B", "2"), (403, "AccessDenied")),
            (set_header("X-Amz-Date", "20100101T000000Z"), (403, "RequestTimeTooSkewed")),
            (set_header("Authorization", "none"), (403, "AccessDenied")),
            (lambda headers, body: headers.pop("X-Amz-Content-SHA256") and None,
             (403, "SignatureDoesNotMatch")),
        )
        for change, expected in cases:
            self.assertEqual(self.raw("PUT", "/events/k", {"X-Amz-Meta-A": "1"}, b"body", change),
                             expected)
        self.assertEqual(len(self.stored()), 1)

    def test_digests_are_verified(self):
        crc = base64.b64encode(crc32c(b"body").to_bytes(4, "big")).decode()
        md5 = base64.b64encode(hashlib.md5(b"body").digest()).decode()
        cases = (("X-Amz-Checksum-CRC32C", crc, (200, "")),
                 ("X-Amz-Checksum-CRC32C", "AAAAAA==", (400, "BadDigest")),
                 ("X-Amz-Checksum-CRC32C", "AAAA", (400, "InvalidRequest")),
                 ("Content-MD5", md5, (200, "")),
                 ("Content-MD5", "A" * 22 + "==", (400, "BadDigest")),
                 ("Content-MD5", "?", (400, "InvalidDigest")))
        for name, value, expected in cases:
            self.assertEqual(self.raw("PUT", "/events/k", {name: value}, b"body"), expected)

    def test_a_body_without_a_length_is_refused(self):
        status, code = self.raw("PUT", "/events/k", {}, b"x", change=lambda headers, body:
                                headers.update({"Transfer-Encoding": "chunked"}))
        self.assertEqual((status, code), (501, "NotImplemented"))


class Records(Case):
    def setUp(self):
        super().setUp()
        self.firehose = self.client("firehose")

    def put(self, *data):
        return self.firehose.put_record_batch(DeliveryStreamName="hose",
                                              Records=[{"Data": d} for d in data])

    def data(self):
        return [base64.b64decode(entry["data"]) for entry in self.stored()]

    def test_records_arrive_in_order(self):
        self.firehose.put_record(DeliveryStreamName="hose", Record={"Data": b"\0\xff"})
        answer = self.put(b"1", b"2", b"3")
        self.assertEqual(answer["FailedPutCount"], 0)
        self.assertEqual(self.data(), [b"\0\xff", b"1", b"2", b"3"])
        self.assertEqual([r["RecordId"] for r in answer["RequestResponses"]],
                         [entry["record"] for entry in self.stored()[1:]])
        described = self.firehose.describe_delivery_stream(DeliveryStreamName="hose")
        self.assertEqual(described["DeliveryStreamDescription"]["DeliveryStreamStatus"], "ACTIVE")

    def test_limits_are_those_of_the_service(self):
        self.put(*[b"x"] * 500)
        for code, data in (("ValidationException", [b"x"] * 501),
                           ("ValidationException", [b"x" * 1024001]),
                           ("InvalidArgumentException", [b"x" * 1000000] * 5)):
            self.refused(code, lambda data=data: self.put(*data))
        self.put(*[b"x" * 1024000] * 4)
        self.assertEqual(len(self.stored()), 504)
        self.refused("ResourceNotFoundException", self.firehose.put_record,
                     DeliveryStreamName="none", Record={"Data": b""})

    def test_a_partial_failure_names_the_records(self):
        self.fault("partial", records=[1, 2])
        answer = self.put(b"0", b"1", b"2", b"3")
        self.assertEqual(answer["FailedPutCount"], 2)
        self.assertEqual(["ErrorCode" in r for r in answer["RequestResponses"]],
                         [False, True, True, False])
        self.assertEqual(self.data(), [b"0", b"3"])

    def test_errors_are_those_of_the_service(self):
        for fault, code in (("throttle", "LimitExceededException"),
                            ("503", "ServiceUnavailableException"),
                            ("expired", "ExpiredTokenException")):
            self.fault(fault)
            self.refused(code, lambda: self.put(b"x"))
        self.assertEqual(self.stored(), [])


class Faults(Case):
    def setUp(self):
        super().setUp()
        self.s3 = self.client("s3")
        self.body = b"b" * 100000

    def put(self, key="k"):
        return self.s3.put_object(Bucket="events", Key=key, Body=self.body)

    def test_errors_store_nothing(self):
        for fault, status, code in (("500", 500, "InternalError"), ("503", 503, "SlowDown"),
                                    ("502", 502, "502"), ("expired", 400, "ExpiredToken"),
                                    ("skewed", 403, "RequestTimeTooSkewed"),
                                    ("409", 409, "ConditionalRequestConflict"),
                                    ("412", 412, "PreconditionFailed"),
                                    ("501", 501, "NotImplemented")):
            self.fault(fault, retry_after=7)
            answer = self.refused(code, self.put)["ResponseMetadata"]
            self.assertEqual(answer["HTTPStatusCode"], status)
            self.assertEqual(answer["HTTPHeaders"]["retry-after"], "7")
        self.assertEqual(self.stored(), [])
        self.put()
        self.assertEqual(len(self.stored()), 1)

    def test_broken_connections_store_nothing_or_everything(self):
        for fault, stored in (("reset_before", 0), ("reset_during", 0), ("reset_after", 0),
                              ("hang", 0), ("stored_reset", 1), ("stored_hang", 1)):
            self.fault(fault)
            before = len(self.stored())
            self.s3 = self.client("s3", read_timeout=1 if "hang" in fault else 20)
            with self.assertRaises(BROKEN, msg=fault):
                self.put()
            # Who was given up may come to it later.
            end = time.monotonic() + 20
            while len(self.stored()) < before + stored and time.monotonic() < end:
                time.sleep(0.01)
            self.assertEqual(len(self.stored()) - before, stored, fault)

    def test_what_is_stored_may_be_answered_wrongly(self):
        for fault, code in (("stored_500", "InternalError"), ("stored_503", "SlowDown")):
            self.fault(fault)
            self.refused(code, self.put)
        self.assertEqual(len(self.stored()), 2)

    def test_a_completion_fails_with_status_200(self):
        for fault, stored in (("200_error", 0), ("stored_200_error", 1)):
            upload = self.s3.create_multipart_upload(Bucket="events", Key=fault)["UploadId"]
            part = self.s3.upload_part(Bucket="events", Key=fault, UploadId=upload, PartNumber=1,
                                       Body=b"1")
            body = ("<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>%s</ETag>"
                    "</Part></CompleteMultipartUpload>" % part["ETag"]).encode()
            self.fault(fault, op="CompleteMultipartUpload")
            self.assertEqual(self.raw("POST", "/events/%s?uploadId=%s"
                                      % (fault, quote(upload, safe="")), {}, body),
                             (200, "InternalError"))
            self.assertEqual(len(self.stored()), stored)

    def test_answers_come_slowly_or_in_part(self):
        self.put()
        self.fault("drip", pause=0.001)
        self.body = b"d" * 200
        self.put("small")
        self.fault("drip", pause=0.001, op="GetObject")
        self.assertEqual(self.s3.get_object(Bucket="events", Key="small")["Body"].read(), self.body)
        self.fault("cut", op="GetObject")
        got = self.s3.get_object(Bucket="events", Key="k")["Body"]
        with self.assertRaises((botocore.exceptions.IncompleteReadError,
                                botocore.exceptions.ResponseStreamingError)):
            got.read()

    def test_a_fault_waits_for_its_operation_and_number(self):
        self.fault("500", op="GetObject", times=2)
        self.put()
        for _ in range(2):
            self.refused("InternalError", self.s3.get_object, Bucket="events", Key="k")
        self.s3.get_object(Bucket="events", Key="k")
        self.assertEqual([(r["op"], r["status"]) for r in self.lines("requests.jsonl")],
                         [("PutObject", 200), ("GetObject", 500), ("GetObject", 500),
                          ("GetObject", 200)])

    def test_random_faults_repeat_with_their_seed(self):
        seen = []
        for seed in (1, 1, 2):
            self.script(random=[{"fault": "503", "probability": 0.3},
                                {"fault": "500", "probability": 0.3}], seed=seed)
            before = len(self.lines("requests.jsonl"))
            for _ in range(40):
                try:
                    self.put()
                except botocore.exceptions.ClientError:
                    pass
            seen.append([r["status"] for r in self.lines("requests.jsonl")][before:])
        self.assertEqual(seen[0], seen[1])
        self.assertNotEqual(seen[0], seen[2])
        self.assertEqual(set(seen[0]), {200, 500, 503})

    def test_an_unknown_fault_is_refused(self):
        self.assertEqual(self.script(queue=[{"fault": "none"}])[0], 400)
        self.assertIn("reset_before", NAMES)


if __name__ == "__main__":
    unittest.main()
