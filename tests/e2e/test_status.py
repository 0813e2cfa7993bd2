"""What the agent says of itself: books, metrics, probes, flush, and whom it answers."""
import json
import os
import re

from harness import SHORT, Agent, Case, Producer, batches, until

RATE = 1000 if SHORT else 10_000
TOKEN = "open-sesame"

SAMPLE = re.compile(r'(?P<name>[a-z_][a-z0-9_]*)(?P<labels>\{[^}]*\})? (?P<value>[0-9.]+)')


def parse_metrics(text):
    """{name: {labels: value}}; every line must be a comment or a sample of a described family."""
    values, described = {}, set()
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            name, kind = line.split()[2:]
            described.update([name + part for part in ("_bucket", "_sum", "_count")]
                             if kind == "histogram" else [name])
        elif not line.startswith("#"):
            match = SAMPLE.fullmatch(line)
            if not match or match["name"] not in described:
                raise AssertionError("not a sample: " + line)
            values.setdefault(match["name"], {})[match["labels"] or ""] = float(match["value"])
    return values


class Books(Case):
    def test_books_hold_at_every_poll_under_load(self):
        agent = Agent(self, "[wal]\nsegment_size = 2MiB\n[stream *]\nbuffer_count = 700\n"
                      "buffer_time = 50ms").start()
        producers = [Producer(self, "p%d" % i, stream="s%d" % (i % 2)) for i in range(4)]
        for p in producers:
            p.tell("load %d" % RATE)
        last, polls = {}, 0
        while polls < 100 or min(p.written() for p in producers) < RATE:
            code, out, err = agent.run("status", "--json") if polls % 10 == 0 \
                else (*agent.ask("GET", "/v1/status"), "")
            self.assertIn(code, (0, 200), err)
            status = json.loads(out)
            self.check_books(status)
            for s in status["streams"]:
                for key in ("accepted", "delivered"):
                    self.assertGreaterEqual(s[key], last.get((s["name"], key), 0))
                    last[s["name"], key] = s[key]
            written = sum(p.written() + 1 for p in producers)
            self.assertLessEqual(sum(s["accepted"] for s in status["streams"]), written)
            polls += 1
        counts = {}
        for p in producers:
            p.load_end()
            counts[p.name] = p.close()
        agent.flush()
        status = agent.status()
        self.check_books(status)
        for name, pair in (("s0", ("p0", "p2")), ("s1", ("p1", "p3"))):
            books = next(s for s in status["streams"] if s["name"] == name)
            total = sum(counts[p] for p in pair)
            self.assertEqual((books["accepted"], books["delivered"]), (total, total))
            self.assertEqual([(k["sink"], k["delivered"]) for k in books["sinks"]],
                             [("local", total)])
            self.check_once_in_order(agent.events(name), {p: counts[p] for p in pair})
        agent.stop()

    def test_books_go_on_across_restarts(self):
        agent = Agent(self, "[stream *]\nbuffer_time = 1h").start()
        self.send("s", b"a\nb\nc\n", "--durable")
        agent.kill()
        agent.start()
        self.assertEqual([agent.stream("s")[k] for k in ("accepted", "delivered", "pending")],
                         [3, 0, 3])
        self.send("s", b"d\n", "--durable")
        agent.flush("s")
        self.assertEqual([agent.stream("s")[k] for k in ("accepted", "delivered", "pending")],
                         [4, 4, 0])
        agent.stop()
        agent.start()
        self.assertEqual([agent.stream("s")[k] for k in ("accepted", "delivered", "pending")],
                         [4, 4, 0])
        agent.stop()

    def test_drops_of_a_full_ring_stand_apart(self):
        agent = Agent(self).start()
        agent.kill()
        producer = Producer(self, "p", drop=True)
        producer.do("write 2000")
        _, dropped, _ = producer.do("stats")
        self.assertGreater(dropped, 0)
        agent.start()
        producer.do("flush delivered 30")
        until(lambda: agent.status()["intake_drops"]["full"] == dropped, "the ring's report")
        self.assertEqual(agent.stream("load")["accepted"], 2000 - dropped)
        producer.close()
        until(lambda: sorted(os.listdir(self.shm)) == [".bell", ".lock"], "the ring goes")
        self.assertEqual(agent.status()["intake_drops"]["full"], dropped)
        metrics = parse_metrics(agent.ask("GET", "/metrics")[1])
        self.assertEqual(metrics["hydrant_intake_drops_total"]['{reason="full"}'], dropped)
        agent.stop()

    def test_metrics_say_what_status_says(self):
        agent = Agent(self).start()
        self.send("s.a-b", b"one\ntwo\n", "--delivered")
        code, text = agent.ask("GET", "/metrics")
        self.assertEqual(code, 200)
        metrics = parse_metrics(text)
        accepted = metrics["hydrant_events_accepted_total"]
        self.assertEqual(accepted['{stream="s.a-b",source="ring"}'], 2)
        self.assertEqual(sum(accepted.values()), 2)
        self.assertEqual(metrics["hydrant_events_delivered_total"],
                         {'{stream="s.a-b",sink="local"}': 2})
        self.assertEqual(metrics["hydrant_events_pending"], {'{stream="s.a-b"}': 0})
        self.assertEqual(len(metrics["hydrant_build_info"]), 1)
        self.assertEqual(metrics["hydrant_ready"], {"": 1})
        self.assertEqual(set(metrics["hydrant_backpressure"].values()), {0})
        self.assertGreater(metrics["hydrant_wal_bytes"][""], 0)
        for name in ("hydrant_events_dropped_total", "hydrant_events_lost_total", "hydrant_rings",
                     "hydrant_stream_oldest_pending_seconds", "hydrant_lost_bytes_total",
                     "hydrant_sink_retries_total"):
            self.assertIn(name, metrics)
        agent.stop()

    def test_status_for_people(self):
        agent = Agent(self).start()
        self.send("s", b"one\ntwo\n", "--delivered")
        code, out, err = agent.run("status")
        self.assertEqual((code, err), (0, ""))
        self.assertIn("agent tester", out)
        self.assertRegex(out, r"(?m)^s +2 +2 +0 +0 +0 ")
        agent.stop()
        code, out, err = agent.run("status")
        self.assertEqual((code, out), (1, ""))
        self.assertIn("no agent answers at " + agent.http(), err)

    def test_a_sink_that_cannot_be_written_shows_and_recovers(self):
        agent = Agent(self, "[stream *]\nbuffer_time = 50ms").start()
        self.send("s", b"one\n", "--delivered")
        os.rename(os.path.join(agent.out, "s"), self.path("before"))
        self.write_file("data/out/s", b"in the way\n")
        self.send("s", b"two\n", "--durable")
        # While it is tried again it says that.
        sink = until(lambda: next((k for k in agent.status()["sinks"]
                                   if "Not a directory" in (k["waits_because"] or "")), None),
                     "the sink waits")
        self.assertEqual((sink["name"], sink["batches_waiting"]), ("local", 1))
        self.assertEqual(agent.stream("s")["pending"], 1)
        os.unlink(os.path.join(agent.out, "s"))
        agent.flush("s")
        self.assertEqual(agent.events("s"), [{"message": "two"}])
        self.assertEqual(agent.stream("s")["pending"], 0)
        agent.stop()


class Flush(Case):
    def test_flush_by_http_and_command(self):
        agent = Agent(self, "[stream *]\nbuffer_time = 1h").start()
        for number, flush in enumerate((
                lambda: agent.ask("POST", "/v1/flush"),
                lambda: agent.ask("POST", "/v1/streams/s/flush"),
                lambda: agent.run("flush"),
                lambda: agent.run("flush", "s"))):
            self.send("s", b"line %d\n" % number)
            code, text = flush()[:2]
            self.assertIn(code, (200, 0), text)
            self.assertEqual(agent.events("s")[-1], {"message": "line %d" % number})
        self.assertEqual(len(batches(os.path.join(agent.out, "s"))), 4)
        agent.stop()

    def test_a_flush_of_one_stream_leaves_the_others_open(self):
        agent = Agent(self, "[stream *]\nbuffer_time = 1h").start()
        self.send("a", b"one\n")
        self.send("b", b"one\n")
        agent.flush("a")
        self.assertEqual(len(batches(os.path.join(agent.out, "a"))), 1)
        self.assertFalse(os.path.exists(os.path.join(agent.out, "b")))
        agent.stop()

    def test_a_flush_of_nothing_and_of_nobody(self):
        agent = Agent(self).start()
        self.assertEqual(agent.ask("POST", "/v1/flush")[0], 200)
        code, text = agent.ask("POST", "/v1/streams/nobody/flush")
        self.assertEqual(code, 404)
        self.assertIn("nobody", json.loads(text)["detail"])
        code, _, err = agent.run("flush", "nobody")
        self.assertEqual(code, 1)
        self.assertIn("nobody", err)
        agent.stop()

    def test_a_flush_in_time_or_not(self):
        agent = Agent(self, "[stream *]\nbuffer_time = 1h").start()
        self.write_file("data/out/s", b"in the way\n")
        self.send("s", b"one\n")
        self.assertEqual(agent.ask("POST", "/v1/flush?timeout=0.2")[0], 504)
        self.assertEqual(agent.ask("POST", "/v1/flush?timeout=soon")[0], 400)
        os.unlink(os.path.join(agent.out, "s"))
        agent.flush()
        agent.stop()


class Guards(Case):
    def test_probes(self):
        agent = Agent(self).start()
        self.assertEqual(agent.ask("GET", "/healthz"), (200, "ok"))
        self.assertEqual(agent.ask("GET", "/readyz"), (200, "ok"))
        self.assertEqual(agent.ask("GET", "/nothing")[0], 404)
        self.assertEqual(agent.ask("POST", "/metrics")[0], 405)
        agent.stop()

    def test_a_token_is_asked_of_all_but_the_probes(self):
        agent = Agent(self, "[http]\ntoken = %s" % TOKEN)
        agent.start()
        self.assertEqual(agent.ask("GET", "/healthz")[0], 200)
        self.assertEqual(agent.ask("GET", "/readyz")[0], 200)
        asked = (("GET", "/metrics"), ("GET", "/v1/status"), ("POST", "/v1/flush"))
        for method, path in asked:
            self.assertEqual(agent.ask(method, path)[0], 401)
            for wrong in ("Bearer", "Bearer " + TOKEN[:-1], "Bearer " + TOKEN + "x",
                          "Basic " + TOKEN):
                self.assertEqual(agent.ask(method, path, {"Authorization": wrong})[0], 401)
            self.assertEqual(agent.ask(method, path, {"Authorization": "Bearer " + TOKEN})[0], 200)
        code, _, err = agent.run("status", "--json")
        self.assertEqual(code, 1)
        self.assertIn("HYDRANT_TOKEN", err)
        env = {"HYDRANT_HTTP": agent.http(), "HYDRANT_TOKEN": TOKEN}
        self.assertEqual(self.run_hydrant("status", "--json", env=env)[0], 0)
        self.assertEqual(self.run_hydrant("flush", env=env)[0], 0)
        self.assertNotIn(TOKEN, agent.log())
        agent.stop()

    def test_a_token_may_stand_in_a_file(self):
        agent = Agent(self, "[http]\ntoken_file = %s" % self.write_file("token", TOKEN + "\n"))
        agent.start()
        self.assertEqual(agent.ask("GET", "/v1/status")[0], 401)
        self.assertEqual(agent.ask("GET", "/v1/status",
                                   {"Authorization": "Bearer " + TOKEN})[0], 200)
        agent.stop()

    def test_a_foreign_host_or_origin_is_refused(self):
        agent = Agent(self).start()
        own = "http://127.0.0.1:%d" % agent.port
        for headers, code in (({"Host": "evil.example"}, 403),
                              ({"Host": "evil.example:%d" % agent.port}, 403),
                              ({"Host": "localhost:%d" % agent.port}, 200),
                              ({"Origin": "http://evil.example"}, 403),
                              ({"Origin": "null"}, 403),
                              ({"Origin": own.replace(str(agent.port), "1")}, 403),
                              ({"Origin": own}, 200)):
            for method, path in (("GET", "/v1/status"), ("POST", "/v1/flush"), ("GET", "/healthz")):
                self.assertEqual(agent.ask(method, path, headers)[0], code, (headers, path))
        agent.stop()

    def test_a_body_needs_its_type_and_has_a_limit(self):
        agent = Agent(self, "[http]\nbody_bytes_max = 4KiB").start()
        json_type, text_type = ({"Content-Type": t} for t in ("application/json", "text/plain"))
        self.assertEqual(agent.ask("POST", "/v1/flush", text_type, "{}")[0], 415)
        self.assertEqual(agent.ask("POST", "/v1/flush", json_type, "{}")[0], 200)
        self.assertEqual(agent.ask("POST", "/v1/flush", json_type, "x" * 5000)[0], 413)
        self.assertEqual(agent.ask("GET", "/healthz")[0], 200)
        agent.stop()

    def test_without_http_the_agent_still_works(self):
        agent = Agent(self)
        agent.http = lambda: "off"
        agent.spawn()
        self.send("s", b"one\n", "--durable")
        agent.stop()
        self.assertEqual(agent.events("s"), [{"message": "one"}])
