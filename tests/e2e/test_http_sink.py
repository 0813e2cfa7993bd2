"""An http sink against a receiver that answers by script: what a request says, what is tried again
and when, and that a receiver which drops repeats by their id has every event exactly once.
"""
import base64
import json
import time

from harness import Agent, Case, Producer, sized, until
from services import Receiver
from test_status import parse_metrics

CONFIG = """
[stream *]
sinks = web
buffer_count = 100
buffer_time = 50ms
[sink local]
[sink web]
type = http
url = %s
retry_max_backoff = 200ms
%s
"""


def firehose_answer(request):
    return json.dumps({"requestId": json.loads(request["body"])["requestId"],
                       "timestamp": int(time.time() * 1000)}).encode()


class HttpSink(Case):
    def begin(self, more="", answer=None):
        self.receiver = Receiver(self, answer)
        self.agent = Agent(self, CONFIG % (self.receiver.url, more)).start()

    def lines(self, count):
        lines = [b'{"n": %d}\n' % n for n in range(count)]
        self.send("load", b"".join(lines), "--delivered")
        return lines

    def bodies(self, taken=None):
        return b"".join(r["body"] for r in (taken or self.receiver.taken))

    def once(self, header):
        """What was taken, without the repeats of a request."""
        seen = {}
        for request in self.receiver.taken:
            first = seen.setdefault(request["headers"][header], request)
            self.assertEqual(first["body"], request["body"], "a repeat is the same")
        return list(seen.values())

    def duplicates(self):
        metrics = parse_metrics(self.agent.ask("GET", "/metrics")[1])
        return metrics["hydrant_sink_duplicates_total"]['{sink="web"}']

    def waits(self):
        [sink] = [k for k in self.agent.status()["sinks"] if k["name"] == "web"]
        return sink["waits_because"]

    def test_a_batch_is_a_request(self):
        self.begin("max_in_flight = 1\ntoken = secret\nheaders = X-Team: a, Content-Type: text/x-lines")
        lines = self.lines(250)
        self.assertEqual(self.bodies(), b"".join(lines))
        for request in self.receiver.taken:
            headers = request["headers"]
            self.assertEqual(request["method"], "POST")
            self.assertEqual(headers["content-type"], "text/x-lines")
            self.assertEqual(headers["x-team"], "a")
            self.assertEqual(headers["authorization"], "Bearer secret")
            self.assertEqual(headers["idempotency-key"], headers["x-hydrant-batch"])
            self.assertNotIn("content-encoding", headers)
        self.assertEqual(len(self.once("idempotency-key")), len(self.receiver.taken))
        self.assertEqual(self.duplicates(), 0)
        self.agent.stop()

    def test_an_array_parses(self):
        self.begin("max_in_flight = 1\nbody = array\ncompression = gzip\nmethod = PUT")
        lines = self.lines(250)
        events = []
        for request in self.receiver.taken:
            self.assertEqual(request["method"], "PUT")
            self.assertEqual(request["headers"]["content-type"], "application/json")
            self.assertEqual(request["headers"]["content-encoding"], "gzip")
            events += json.loads(request["body"])
        self.assertEqual(events, [json.loads(line) for line in lines])
        self.agent.stop()

    def test_raw_is_the_file_of_the_format(self):
        self.begin("body = raw\nformat = csv\n[stream load]\nbuffer_time = 1h")
        self.lines(3)
        [request] = self.receiver.taken
        self.assertEqual(request["body"].split(), [b"n", b"0", b"1", b"2"])
        self.assertEqual(request["headers"]["content-type"], "text/csv; charset=utf-8")
        self.agent.stop()

    def test_what_fails_goes_again(self):
        self.begin()
        self.receiver.script = [500, 503, 429, 408, 425, 502, "reset", "stored_reset", 200, 500]
        lines = self.lines(300)
        self.assertEqual(sorted(self.bodies(self.once("x-hydrant-batch")).splitlines(True)),
                         sorted(lines))
        extra = len(self.bodies().splitlines()) - len(lines)
        self.assertGreater(extra, 0)
        self.assertGreaterEqual(self.duplicates(), extra)
        self.agent.stop()

    def test_the_receiver_says_when(self):
        self.begin()
        self.receiver.script = [(503, {"Retry-After": "2"})]
        began = time.monotonic()
        self.lines(1)
        self.assertGreaterEqual(time.monotonic() - began, 2)
        self.agent.stop()

    def test_a_refusal_is_said_and_kept(self):
        for answer, words in ((401, "is the token right?"),
                              ((302, {"Location": "http://there/"}), "set url to http://there/"),
                              (413, "lower buffer_size")):
            with self.subTest(answer=answer):
                self.begin()
                self.receiver.script = [answer]
                self.send("load", b"{}\n", "--durable")
                self.assertIn(words, until(self.waits, "it says why"))
                self.assertEqual(len(self.receiver.requests), 1)
                self.assertEqual(self.agent.stream("load")["pending"], 1)
                # A reload is somebody's help.
                self.agent.process.send_signal(1)
                until(lambda: self.agent.stream("load")["pending"] == 0, "it is tried again")
                self.assertEqual(self.bodies(), b"{}\n")
                self.agent.stop()

    def killed(self, header):
        """Agents are killed under load; the requests taken, each once."""
        producer = Producer(self, "p")
        producer.tell("load 5000")
        for _ in range(sized(2, 4, 20)):
            before = len(self.receiver.taken)
            self.receiver.script += [200, "stored_reset", 500, 200]
            until(lambda before=before: len(self.receiver.taken) > before + 5, "deliveries")
            self.agent.kill()
            self.agent.start()
        producer.load_end()
        count = producer.close()
        until(lambda: self.agent.booked("load", "delivered") == count,
              lambda: "all of the load: %s" % self.agent.status())
        return count, self.once(header)

    def test_killed_agents_deliver_every_batch_once_for_who_drops_repeats(self):
        self.begin()
        count, taken = self.killed("idempotency-key")
        lines = self.bodies(taken).splitlines()
        self.assertEqual((len(lines), len(set(lines))), (count, count))
        self.assertEqual(self.agent.terminate(), 0)

    def test_the_protocol_of_firehose(self):
        self.begin("protocol = firehose\ntoken = secret\ncompression = gzip", firehose_answer)
        self.receiver.script = [500, "stored_reset"]
        lines = self.lines(250)
        records = []
        for request in self.once("x-amz-firehose-request-id"):
            headers, body = request["headers"], json.loads(request["body"])
            self.assertEqual(headers["x-amz-firehose-protocol-version"], "1.0")
            self.assertEqual(headers["x-amz-firehose-access-key"], "secret")
            self.assertEqual(headers["content-encoding"], "gzip")
            self.assertEqual(body["requestId"], headers["x-amz-firehose-request-id"])
            self.assertTrue(headers["x-amz-firehose-source-arn"].endswith("/load"))
            records += [base64.b64decode(record["data"]) for record in body["records"]]
        self.assertEqual(sorted(records), sorted(lines))
        self.assertGreater(self.duplicates(), 0)
        self.agent.stop()

    def test_an_answer_without_the_id_is_no_yes(self):
        answers = [b"", b'{"requestId": "another"}']
        self.begin("protocol = firehose",
                   lambda request: answers.pop() if answers else firehose_answer(request))
        self.send("load", b"{}\n", "--delivered")
        self.assertEqual(len(self.receiver.requests), 3)
        self.assertEqual(len({r["headers"]["x-amz-firehose-request-id"]
                              for r in self.receiver.requests}), 1)
        self.assertEqual(self.duplicates(), 2)
        self.agent.stop()
