"""Events by HTTP: what is taken and arrives, what a kill takes, what strangers can do."""
import gzip
import http.client
import json
import os
import threading

from harness import Agent, Case, DEADLINE_S, sized
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

    def in_threads(self, count, work):
        """Runs work(0) to work(count - 1) at once."""
        errors = []

        def run(i):
            try:
                work(i)
            except BaseException as error:      # to be raised where the test sees it
                errors.append(error)

        threads = [threading.Thread(target=run, args=(i,)) for i in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(2 * DEADLINE_S)
        if errors:
            raise errors[0]


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
        self.assertEqual(self.put("a", b"x" * (2 << 20))[0], 413)
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
        clients, lives = 8, sized(2, 3, 12)
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
        self.assertGreater(sum(map(len, answered)), 0)
        self.assertLessEqual({(i, n) for i in range(clients) for n in answered[i]}, puts)

    def test_many_clients_share_syncs(self):
        self.start("[wal]\nsync = never\n")
        puts = sized(10, 40, 400)
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


if __name__ == "__main__":
    import unittest
    unittest.main()
