"""A firehose sink against the AWS server of the tests: every record arrives at least once, whatever
fails in between, and what arrives more often was counted.
"""
import collections
import json
import os

from harness import Agent, Case, Producer, batches, sized, until
from services import ACCESS_KEY, SECRET_KEY, Aws
from test_status import parse_metrics

CONFIG = """
[stream *]
sinks = hose
buffer_count = 200
buffer_time = 50ms
[sink local]
[sink hose]
type = firehose
delivery_stream = hose
region = us-east-1
endpoint = %s
access_key = %s
secret_key = %s
retry_max_backoff = 200ms
%s
"""


class FirehoseSink(Case):
    def begin(self, more="", *options):
        self.aws = Aws(self, *options)
        self.agent = Agent(self, CONFIG % (self.aws.url, ACCESS_KEY, SECRET_KEY, more)).start()

    def lines(self, count, stream="load"):
        """Sent and delivered; the lines."""
        lines = [b'{"n": %d}\n' % n for n in range(count)]
        self.send(stream, b"".join(lines), "--delivered")
        return lines

    def duplicates(self):
        metrics = parse_metrics(self.agent.ask("GET", "/metrics")[1])
        return metrics["hydrant_sink_duplicates_total"]['{sink="hose"}']

    def extra(self):
        """How many of the stored records are repeats."""
        stored = self.aws.records()
        return len(stored) - len(set(stored))

    def test_every_event_is_a_record_in_order(self):
        self.begin("max_in_flight = 1")
        lines = self.lines(1203)
        self.assertEqual(self.aws.records(), lines)
        self.assertEqual({r["op"] for r in self.aws.requests()}, {"PutRecordBatch"})
        self.assertEqual(self.duplicates(), 0)
        self.agent.stop()

    def test_a_delivery_stream_has_the_name_of_the_stream(self):
        self.begin("", "--stream", "load")
        self.agent.configure(CONFIG.replace("delivery_stream = hose\n", "")
                             % (self.aws.url, ACCESS_KEY, SECRET_KEY, "format = json"))
        self.agent.terminate()
        self.agent.start()
        self.send("load", b"text\n", "--delivered")
        self.assertEqual(self.aws.records("load"), [b'{"message": "text"}\n'])
        self.agent.stop()

    def test_what_is_refused_goes_again_and_nothing_twice(self):
        self.begin()
        self.aws.script(queue=[{"fault": "partial", "times": 3}, {"fault": "throttle"},
                               {"fault": "500"}, {"fault": "503", "retry_after": 0},
                               {"fault": "partial", "records": list(range(200))},
                               {"fault": "reset_before"}, {"fault": "reset_during"},
                               {"fault": "502"}])
        lines = self.lines(1000)
        self.assertEqual(sorted(self.aws.records()), sorted(lines))
        self.assertTrue(any(r["status"] == 500 for r in self.aws.requests()))
        self.agent.stop()

    def test_what_may_be_there_twice_is_counted(self):
        self.begin("timeout = 2s")
        self.aws.script(queue=[{"fault": "stored_reset"}, {"fault": "stored_500"},
                               {"fault": "cut"}, {"fault": "partial"},
                               {"fault": "stored_hang"}, {"fault": "stored_503"}])
        lines = self.lines(1000)
        self.assertEqual(set(self.aws.records()), set(lines))
        self.assertGreater(self.extra(), 0)
        self.assertGreaterEqual(self.duplicates(), self.extra())
        self.agent.stop()

    def test_random_faults_lose_nothing(self):
        self.begin("max_in_flight = 4\n")
        # Byte by byte, but without pauses: an answer of 12 KiB with them takes seven seconds.
        self.aws.script(seed=self.seed, random=[
            {"fault": name, "probability": 0.06, "pause": 0}
            for name in ("partial", "throttle", "500", "reset_after", "stored_reset", "stored_500",
                         "drip")])
        lines = self.lines(sized(3000, 10000, 100000))
        self.assertEqual(set(self.aws.records()), set(lines), "HYDRANT_SEED=%d" % self.seed)
        self.assertGreaterEqual(self.duplicates(), self.extra())
        self.assertEqual(self.agent.terminate(), 0)

    def test_a_record_that_is_too_large_goes_to_the_error_output(self):
        self.begin("max_in_flight = 1")
        most = b"x" * (1024000 - 1) + b"\n"
        self.send("load", most + b"y" * 1024000 + b"\n" + b"z\n", "--delivered", "--ring-bytes",
                  "8MiB")
        self.assertEqual(self.aws.records(), [most, b"z\n"])
        errors = os.path.join(self.agent.out, "load", "errors", "processing-failed")
        [name] = batches(errors)
        with open(os.path.join(errors, name), encoding="utf-8") as file:
            [letter] = map(json.loads, file)
        self.assertIn("more than 1024000", letter["errorMessage"])
        self.agent.stop()

    def test_keys_that_expire_are_asked_for_again(self):
        self.begin()
        self.aws.script(queue=[{"fault": "expired"}])
        self.assertEqual(sorted(self.lines(10)), sorted(self.aws.records()))
        self.agent.stop()

    def test_events_are_packed(self):
        self.begin("pack_records = yes\nmax_in_flight = 1")
        lines = self.lines(1000)
        stored = self.aws.records()
        self.assertEqual(b"".join(stored), b"".join(lines))
        self.assertLess(len(stored), 100)
        self.agent.stop()

    def test_killed_agents_lose_nothing(self):
        self.begin()
        self.aws.script(seed=self.seed, random=[
            {"fault": name, "probability": 0.1} for name in ("partial", "500", "stored_reset")])
        producer = Producer(self, "p")
        producer.tell("load 5000")
        for _ in range(sized(2, 4, 20)):
            before = len(self.aws.records())
            until(lambda before=before: len(self.aws.records()) > before + 500, "deliveries")
            self.agent.kill()
            self.agent.start()
        producer.load_end()
        count = producer.close()
        until(lambda: self.agent.booked("load", "delivered") == count,
              lambda: "all of the load: %s" % self.agent.status())
        self.assertEqual(len(set(self.aws.records())), count, "HYDRANT_SEED=%d" % self.seed)
        self.assertEqual(self.agent.terminate(), 0)

    def test_a_stream_that_is_not_there_is_said(self):
        self.begin("", "--stream", "other")
        self.send("load", b"one\n", "--durable")

        def waits():
            [sink] = [k for k in self.agent.status()["sinks"] if k["name"] == "hose"]
            return sink["waits_because"]

        self.assertIn("create that delivery stream", until(waits, "it says why"))
        self.assertEqual(self.agent.stream("load")["pending"], 1)
        self.agent.kill()

    def test_copies_are_counted_one_by_one(self):
        """Each repeat of a record counts, not only the first."""
        self.begin()
        self.aws.script(queue=[{"fault": "stored_500", "times": 3}])
        self.send("load", b"one\n", "--delivered")
        self.assertEqual(collections.Counter(self.aws.records()), {b"one\n": 4})
        self.assertEqual(self.duplicates(), 3)
        self.agent.stop()
