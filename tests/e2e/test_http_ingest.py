"""Events by HTTP: what is taken and arrives, what a kill takes, what strangers can do."""
import datetime
import gzip
import http.client
import json
import os
import subprocess
import threading
import unittest
import unittest.mock

import botocore.auth
import botocore.awsrequest
import botocore.config
import botocore.credentials
import botocore.exceptions
import botocore.session

from harness import DEADLINE_S, LONG, Agent, Case, sized, until
from test_status import parse_metrics


class Ingest(Case):
    def start(self, config=""):
        self.agent = Agent(self, config).start()
        return self.agent

    def put(self, stream, body, query="", kind="application/json", **headers):
        """(status, answer) of a body of events."""
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        if not isinstance(body, (bytes, str)):
            body = json.dumps(body)
        code, text = self.agent.ask("POST", "/v1/streams/%s/events%s" % (stream, query),
                                    {"Content-Type": kind, **headers}, body)
        return code, json.loads(text)

    def taken(self, source):
        code, text = self.agent.ask("GET", "/metrics")
        self.assertEqual(code, 200)
        return parse_metrics(text)["hydrant_intake_events_total"]['{source="%s"}' % source]


class Bodies(Ingest):
    def test_objects_arrays_and_lines_arrive_as_they_are(self):
        self.start()
        self.assertEqual(self.put("a", {"n": 0}), (202, {"accepted": 1}))
        self.assertEqual(self.put("a", [{"n": 1}, {"n": 2, "s": "],["}]), (202, {"accepted": 2}))
        self.assertEqual(self.put("a", '{"n": 3}\r\n\n{"n": 4}'), (202, {"accepted": 2}))
        self.assertEqual(self.put("a", '{"n": 5}\nplain\n\n\xff'.encode("latin-1"),
                                  kind="application/x-ndjson"), (202, {"accepted": 3}))
        packed = gzip.compress(b"".join(b'{"n": %d}\n' % n for n in range(6, 1000)))
        self.assertEqual(self.put("a", packed, Content_Encoding="gzip"), (202, {"accepted": 994}))
        self.assertEqual(self.put("a", [], "?ack=durable"), (200, {"accepted": 0}))
        self.assertEqual(self.taken("http"), 1002)
        self.agent.stop()
        events = self.agent.events("a")
        self.assertEqual([e["n"] for e in events if "n" in e], list(range(1000)))
        self.assertEqual(events[2]["s"], "],[")
        self.assertEqual([e for e in events if "n" not in e],
                         [{"message": "plain"}, {"message_base64": "/w=="}])

    def test_nothing_of_a_bad_body_is_taken(self):
        self.start("[http]\nbody_bytes_max = 1MiB\n")
        code, answer = self.put("a", '{"n": 1}\n{"n": 2}\n{"n": }\n')
        self.assertEqual(code, 422)
        self.assertIn("line 3, at byte 19: not a JSON object", answer["detail"])
        self.assertEqual(self.put("a", [{"n": 1}, "x"])[0], 422)
        self.assertEqual(self.put("a", b"x" * (1 << 20), kind="application/x-ndjson")[0], 202)
        self.assertEqual(self.put("a", b"x" * (1 << 20), kind="text/plain")[0], 415)
        self.assertEqual(self.put("a", b"{}", Content_Encoding="br")[0], 415)
        bomb = gzip.compress(b"x" * (100 << 20))
        code, answer = self.put("a", bomb, Content_Encoding="gzip")
        self.assertEqual(code, 413, answer)
        self.assertIn("unpacks to more than 1048576 bytes", answer["detail"])
        code, answer = self.put("a", b"x\n" * (1 << 19), kind="application/x-ndjson")
        self.assertEqual(code, 202, answer)
        self.assertEqual(self.taken("http"), 1 + (1 << 19))
        self.agent.kill()

    def test_more_at_once_than_a_ring_holds(self):
        self.start()
        code, answer = self.put("a", b"x\n" * (4 << 20), kind="application/x-ndjson")
        self.assertEqual(code, 413)
        self.assertIn("more events than can be taken at once", answer["detail"])
        self.assertEqual(self.taken("http"), 0)
        self.assertEqual(self.put("a", {})[0], 202)
        self.agent.stop()


class Crashes(Ingest):
    def test_all_that_was_answered_survives_kills(self):
        """Accepted or durable, an event that was answered is in the files, once."""
        self.start("[wal]\nsync = never\n[stream *]\nbuffer_time = 200ms\n")
        clients, lives = 8, sized(1, 2, 12)
        answered = [[] for _ in range(clients)]
        asked = [0] * clients
        for _ in range(lives):
            stop = threading.Event()

            def work(i):
                connection = http.client.HTTPConnection("127.0.0.1", self.agent.port,
                                                        timeout=DEADLINE_S)
                try:
                    while not stop.is_set():
                        n = asked[i]
                        asked[i] += 1
                        body = json.dumps([{"p": i, "n": n, "k": k} for k in range(3)])
                        connection.request("POST", "/v1/streams/load/events" + "?ack=durable"
                                           * (n % 2), body, {"Content-Type": "application/json"})
                        answer = connection.getresponse()
                        answer.read()
                        if answer.status in (200, 202):
                            answered[i].append(n)
                except (OSError, http.client.HTTPException):
                    pass
                finally:
                    connection.close()

            threads = [threading.Thread(target=work, args=(i,)) for i in range(clients)]
            for thread in threads:
                thread.start()
            before = sum(map(len, answered))
            until(lambda before=before: sum(map(len, answered)) > before, "one is answered")
            stop.wait(self.random.uniform(0.1, 0.5))
            self.agent.kill()
            stop.set()
            for thread in threads:
                thread.join(2 * DEADLINE_S)
            self.agent.start()
        self.agent.stop()
        found = [(e["p"], e["n"], e["k"]) for e in self.agent.events("load")]
        self.assertEqual(len(found), len(set(found)), "an event is there twice")
        puts = {(p, n) for p, n, _ in found}
        self.assertEqual(len(found), 3 * len(puts), "a part of a request is there")
        self.assertLessEqual({(i, n) for i in range(clients) for n in answered[i]}, puts)

    def test_many_clients_share_syncs(self):
        self.start("[wal]\nsync = never\n")
        puts = sized(10, 20, 400)
        before = self.agent.status()["wal"]["syncs"]

        def work(i):
            connection = http.client.HTTPConnection("127.0.0.1", self.agent.port,
                                                    timeout=DEADLINE_S)
            for n in range(puts):
                connection.request("POST", "/v1/streams/load/events?ack=durable",
                                   json.dumps({"p": i, "n": n}),
                                   {"Content-Type": "application/json"})
                answer = connection.getresponse()
                self.assertEqual((answer.status, answer.read()), (200, b'{"accepted": 1}'))
            connection.close()

        self.in_threads(16, work)
        ring = next(r for r in self.agent.status()["rings"] if r["name"].startswith("hydrant-http"))
        self.assertEqual(ring["durable"], ring["head"])
        self.assertLess(self.agent.status()["wal"]["syncs"] - before, 16 * puts)
        self.agent.stop()
        self.check_once_in_order(self.agent.events(), {i: puts for i in range(16)})


KEYS = "[http]\nfirehose_access_key = AKIDTEST\nfirehose_secret_key = s3cret/+key\n"


class Firehose(Ingest):
    """The endpoint that AWS's own clients talk to."""

    def client(self, secret="s3cret/+key", key="AKIDTEST"):
        """A client that neither retries nor looks for anything on the host."""
        config = botocore.config.Config(retries={"max_attempts": 0}, proxies={},
                                        read_timeout=DEADLINE_S)
        session = botocore.session.Session()
        client = session.create_client("firehose", region_name="eu-central-1",
                                       endpoint_url="http://" + self.agent.http(),
                                       aws_access_key_id=key, aws_secret_access_key=secret,
                                       config=config)
        self.addCleanup(client.close)
        return client

    def refused(self, code, call, **arguments):
        with self.assertRaises(botocore.exceptions.ClientError) as caught:
            call(**arguments)
        self.assertEqual(caught.exception.response["Error"]["Code"], code)
        self.assertTrue(caught.exception.response["ResponseMetadata"]["RequestId"])
        return caught.exception.response["Error"]["Message"]

    def raw(self, operation, body, headers=None):
        code, text = self.agent.ask("POST", "/", {"Content-Type": "application/x-amz-json-1.1",
                                                  "X-Amz-Target": "Firehose_20150804." + operation,
                                                  **(headers or {})}, body)
        return code, json.loads(text)

    def test_records_that_were_answered_survive_a_kill(self):
        self.start(KEYS + "[wal]\nsync = never\n[stream verbatim]\nformat = raw\n"
                   'delimiter = ""\n')
        client = self.client()
        one = client.put_record(DeliveryStreamName="load", Record={"Data": b'{"n": 0}\n'})
        many = client.put_record_batch(DeliveryStreamName="load", Records=[
            {"Data": b'{"n": %d}\n{"n": %d}\n' % (n, n + 1)} for n in range(1, 1001, 2)])
        self.assertEqual(many["FailedPutCount"], 0)
        ids = [one["RecordId"]] + [r["RecordId"] for r in many["RequestResponses"]]
        self.assertEqual(len(set(ids)), 501)
        client.put_record(DeliveryStreamName="verbatim", Record={"Data": b"a\n\nb\n"})
        client.put_record(DeliveryStreamName="verbatim", Record={"Data": b"\x00\xff"})
        self.assertEqual(self.taken("firehose"), 1003)
        ring = next(r for r in self.agent.status()["rings"]
                    if r["name"].startswith("hydrant-firehose"))
        self.assertEqual(ring["durable"], ring["head"])
        self.agent.kill()
        self.agent.start()
        self.agent.stop()
        self.assertEqual([e["n"] for e in self.agent.events("load")], list(range(1001)))
        folder = os.path.join(self.agent.out, "verbatim")
        data = b""
        for name in sorted(os.listdir(folder)):
            with open(os.path.join(folder, name), "rb") as file:
                data += file.read()
        self.assertEqual(data, b"a\n\nb\n\x00\xff")

    def test_only_who_has_the_keys_may_put(self):
        self.start(KEYS + "token = bearer\n")
        good = {"DeliveryStreamName": "a", "Record": {"Data": b"x"}}
        self.client().put_record(**good)
        self.refused("InvalidSignatureException", self.client("other").put_record, **good)
        self.refused("UnrecognizedClientException", self.client(key="AKIDOTHER").put_record, **good)
        body = '{"DeliveryStreamName":"a","Record":{"Data":"eA=="}}'
        code, answer = self.raw("PutRecord", body)
        self.assertEqual((code, answer["__type"]), (403, "MissingAuthenticationTokenException"))
        self.assertEqual(self.raw("PutRecord", body, {"Authorization": "Bearer bearer"})[0], 403)
        self.assertEqual(self.put("a", {})[0], 401)     # elsewhere the token is asked for

        # Signed, and then changed; or signed long ago.
        url = "http://" + self.agent.http() + "/"
        for change, why in (("body", "signature does not match"), ("date", "within 15 minutes"),
                            ("hash", "not the body's hash"), (None, None)):
            request = botocore.awsrequest.AWSRequest("POST", url, data=body, headers={
                "Content-Type": "application/x-amz-json-1.1",
                "X-Amz-Target": "Firehose_20150804.PutRecord"})
            if change == "hash":
                request.headers["X-Amz-Content-SHA256"] = "0" * 64
            keys = botocore.credentials.Credentials("AKIDTEST", "s3cret/+key")
            past = datetime.datetime.utcnow() - datetime.timedelta(minutes=16)
            with unittest.mock.patch("botocore.auth.datetime") as clock:
                clock.datetime.utcnow.return_value = \
                    past if change == "date" else datetime.datetime.utcnow()
                botocore.auth.SigV4Auth(keys, "firehose", "us-east-1").add_auth(request)
            sent = body.replace("eA==", "eQ==") if change == "body" else body
            code, answer = self.raw("PutRecord", sent, dict(request.headers.items()))
            self.assertEqual(code, 403 if why else 200, answer)
            if why:
                self.assertEqual(answer["__type"], "InvalidSignatureException")
                self.assertIn(why, answer["message"])
        self.assertEqual(self.taken_with("bearer"), 2)
        self.agent.stop()

    def taken_with(self, token):
        text = self.agent.ask("GET", "/metrics", {"Authorization": "Bearer " + token})[1]
        return parse_metrics(text)["hydrant_intake_events_total"]['{source="firehose"}']

    def test_limits_and_mistakes(self):
        self.start("[http]\nbody_bytes_max = 16MiB\n")
        client = self.client()
        put, batch = client.put_record, client.put_record_batch
        put(DeliveryStreamName="a", Record={"Data": b"x" * 1024000})
        message = self.refused("InvalidArgumentException", put, DeliveryStreamName="a",
                               Record={"Data": b"x" * 1024001})
        self.assertIn("1024000", message)
        batch(DeliveryStreamName="a", Records=[{"Data": b"x" * 1000000}] * 4)
        self.refused("InvalidArgumentException", batch, DeliveryStreamName="a",
                     Records=[{"Data": b"x" * 1000000}] * 5)
        self.refused("InvalidArgumentException", batch, DeliveryStreamName="a",
                     Records=[{"Data": b"x"}] * 501)
        self.refused("InvalidArgumentException", put, DeliveryStreamName="-a",
                     Record={"Data": b"x"})
        for body in ("", "[]", '{"DeliveryStreamName":"a","Record":{"Data":"eA="}}',
                     '{"DeliveryStreamName":"a","Record":{"Data":"e A="}}',
                     '{"DeliveryStreamName":"a","Record":{"Data":7}}',
                     '{"DeliveryStreamName":"a","Record":7}'):
            code, answer = self.raw("PutRecord", body)
            self.assertEqual((code, answer["__type"]), (400, "SerializationException"), body)
        body = '{"DeliveryStreamName":"a","Records":[{"Data":"eA=="},{"Data":"!"}]}'
        code, answer = self.raw("PutRecordBatch", body)
        self.assertEqual(code, 400)
        self.assertIn("record 2: Data is not base64", answer["message"])
        self.assertEqual(self.taken("firehose"), 5)
        packed = gzip.compress(b'{"DeliveryStreamName":"a","Record":{"Data":"\\/\\/8="}}')
        self.assertEqual(self.raw("PutRecord", packed, {"Content-Encoding": "gzip"})[0], 200)
        plain = '{"DeliveryStreamName":"a","Record":{"Data":"eA=="}}'
        for kind, code in (("application/json", 200), ("application/x-ndjson", 415),
                           ("text/plain", 415)):
            self.assertEqual(self.raw("PutRecord", plain, {"Content-Type": kind})[0], code, kind)
        code, answer = self.raw("PutRecord", "x", {"Content-Encoding": "aws-chunked"})
        self.assertEqual(code, 415)
        self.assertEqual(self.raw("Nothing", "{}")[1]["__type"], "UnknownOperationException")
        self.agent.stop()

    def test_what_can_be_asked(self):
        self.start("[stream named]\n")
        client = self.client()
        self.assertEqual(client.list_delivery_streams()["DeliveryStreamNames"], ["named"])
        for name in ("b", "a"):
            client.put_record(DeliveryStreamName=name, Record={"Data": b"x"})
        self.agent.flush()
        first = client.list_delivery_streams(Limit=2)
        self.assertEqual(first["DeliveryStreamNames"], ["a", "b"])
        self.assertTrue(first["HasMoreDeliveryStreams"])
        rest = client.list_delivery_streams(ExclusiveStartDeliveryStreamName="b")
        self.assertEqual(rest["DeliveryStreamNames"], ["named"])
        self.assertFalse(rest["HasMoreDeliveryStreams"])
        found = client.describe_delivery_stream(DeliveryStreamName="a")["DeliveryStreamDescription"]
        self.assertEqual(found["DeliveryStreamStatus"], "ACTIVE")
        self.assertTrue(found["DeliveryStreamARN"].endswith(":deliverystream/a"))
        self.assertEqual([d["DestinationId"] for d in found["Destinations"]], ["local"])
        self.assertEqual(client.list_tags_for_delivery_stream(DeliveryStreamName="a")["Tags"], [])
        self.refused("ResourceNotFoundException", client.describe_delivery_stream,
                     DeliveryStreamName="c")
        self.refused("ResourceInUseException", client.create_delivery_stream,
                     DeliveryStreamName="named")
        self.refused("ResourceNotFoundException", client.delete_delivery_stream,
                     DeliveryStreamName="a")
        self.agent.stop()

    if LONG:        # its package is one of `make check-full`
        def test_the_command_line_client(self):
            self.start(KEYS)
            environment = {"PATH": os.environ["PATH"], "HOME": self.dir, "AWS_PAGER": "",
                           "AWS_ACCESS_KEY_ID": "AKIDTEST", "AWS_SECRET_ACCESS_KEY": "s3cret/+key",
                           "AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true",
                           "AWS_MAX_ATTEMPTS": "1"}

            def aws(operation, *arguments, name="load"):
                name = ("--delivery-stream-name", name) if name else ()
                done = subprocess.run(["/usr/bin/aws", "firehose", operation, "--endpoint-url",
                                       "http://" + self.agent.http(), *name, *arguments],
                                      env=environment, capture_output=True, timeout=DEADLINE_S,
                                      check=False)
                self.assertEqual(done.returncode, 0, done.stderr)
                return json.loads(done.stdout) if done.stdout else {}

            destination = "RoleARN=arn:aws:iam::123456789012:role/h,BucketARN=arn:aws:s3:::b"
            made = aws("create-delivery-stream", "--extended-s3-destination-configuration",
                       destination, name="made")
            self.assertIn(":deliverystream/made", made["DeliveryStreamARN"])
            found = aws("describe-delivery-stream", name="made")["DeliveryStreamDescription"]
            aws("update-destination", "--current-delivery-stream-version-id", found["VersionId"],
                "--destination-id", found["Destinations"][0]["DestinationId"],
                "--extended-s3-destination-update", "Prefix=p/", name="made")
            aws("tag-delivery-stream", "--tags", "Key=a,Value=1", "Key=b", name="made")
            aws("untag-delivery-stream", "--tag-keys", "b", name="made")
            self.assertEqual(aws("list-tags-for-delivery-stream", name="made")["Tags"],
                             [{"Key": "a", "Value": "1"}])
            aws("start-delivery-stream-encryption", name="made")
            aws("stop-delivery-stream-encryption", name="made")
            self.assertTrue(aws("put-record", "--record", "Data=eyJuIjogMX0K")["RecordId"])
            batch = aws("put-record-batch", "--records",
                        '[{"Data": "eyJuIjogMn0K"}, {"Data": "eyJuIjogM30K"}]')
            self.assertEqual(batch["FailedPutCount"], 0)
            self.assertEqual(aws("list-delivery-streams", name=None)["DeliveryStreamNames"],
                             ["load", "made"])
            aws("delete-delivery-stream", name="made")
            self.agent.stop()
            self.assertEqual(self.agent.events("load"), [{"n": 1}, {"n": 2}, {"n": 3}])


if __name__ == "__main__":
    unittest.main()
