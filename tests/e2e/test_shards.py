"""An agent of several shards: kill -9, a changed number of them, and what it says of itself."""
import json
import os
import signal
import time

from harness import Agent, Case, Producer, sized

RATE = sized(2000, 5000, 20_000)

CONFIG = """
shards = %d
[wal]
segment_size = 2MiB
max_bytes = 64MiB
[stream *]
buffer_count = 500
buffer_time = 100ms
"""


class Shards(Case):
    def pause(self, seconds):
        """Chooses a moment; nothing is awaited by it."""
        time.sleep(seconds)

    def test_each_event_once_across_kills_while_their_number_changes(self):
        agent = Agent(self, CONFIG % 2).start()
        producers = [Producer(self, "p%d" % i, pad=300) for i in range(6)]
        for p in producers:
            p.tell("load %d" % RATE)
        for shards in (2, 4, 3, 1, 2)[:sized(3, 5, 5)]:
            if self.random.random() < 0.3:
                self.pause(self.random.uniform(0, 0.08))
            else:
                agent.wait_ready()
                self.check_books(agent.status())
                self.pause(self.random.uniform(0, 0.5))
            agent.kill()
            agent.configure(CONFIG % shards)
            agent.spawn()
        agent.wait_ready()
        for p in producers:
            p.load_end()
        counts = {p.name: p.close() for p in producers}
        agent.flush()
        code, text, err = agent.run("status", "--json")
        self.assertEqual((code, err), (0, ""))
        status = json.loads(text)
        self.check_books(status)
        events = agent.events()
        self.check_once_in_order(events, counts)
        books = next(s for s in status["streams"] if s["name"] == "load")
        self.assertEqual((books["accepted"], books["delivered"], books["lost"], books["dropped"]),
                         (len(events), len(events), 0, 0), "seed %d" % self.seed)
        # Rings are gone: what is left of logs beyond the configured number is their books.
        self.assertEqual(agent.terminate(), 0)
        self.assertIn("everything is delivered", agent.log())
        agent.configure(CONFIG % 1)
        agent.start()
        status = agent.status()
        self.assertEqual([s["shard"] for s in status["shards"]], [0])
        books = next(s for s in status["streams"] if s["name"] == "load")
        self.assertEqual((books["accepted"], books["delivered"]), (len(events), len(events)))
        self.assertEqual(agent.terminate(), 0)
        wal = os.path.join(agent.data, "wal")
        shards = sorted(name.split("-")[0] for name in os.listdir(wal))
        self.assertEqual(len(shards), len(set(shards)), "one file each: %s" % os.listdir(wal))
        self.assertLess(sum(os.path.getsize(os.path.join(wal, name)) for name in os.listdir(wal)),
                        len(shards) * (1 << 20) + (1 << 20))
        self.check_once_in_order(agent.events(), counts)

    def test_status_is_that_of_all_and_a_reload_reaches_all(self):
        agent = Agent(self, CONFIG % 3).start()
        producers = [Producer(self, "p%d" % i, stream="s%d" % (i % 2)) for i in range(9)]
        for p in producers:
            p.do("write 500")
        agent.flush()
        status = agent.status()
        self.check_books(status)
        self.assertEqual([s["shard"] for s in status["shards"]], [0, 1, 2])
        self.assertEqual([s["surplus"] for s in status["shards"]], [False] * 3)
        self.assertEqual(sum(s["rings"] for s in status["shards"]), 9)
        self.assertEqual(status["rings_by_state"]["attached"], 9)
        self.assertEqual(sorted(s["name"] for s in status["streams"]), ["s0", "s1"])
        self.assertEqual(status["wal"]["segments"],
                         sum(s["wal_segments"] for s in status["shards"]))
        self.assertEqual([s["pending"] for s in status["streams"]], [0, 0])
        self.assertEqual(len(status["sinks"]), 1)
        agent.configure(CONFIG % 3 + "format = raw\n")
        agent.process.send_signal(signal.SIGHUP)
        agent.log_has("reloaded ")
        for p in producers:
            p.do("write 100")
        counts = {p.name: p.close() for p in producers}
        agent.flush()
        raw = [name for name in os.listdir(os.path.join(agent.out, "s0")) if name.endswith(".raw")]
        self.assertEqual(len(set(name.split("-")[3] for name in raw)),
                         len(set(r["shard"] for r in status["rings"]
                                 if r["name"][1] in "02468")))
        self.assertEqual(agent.terminate(), 0)
        self.assertEqual(counts, dict.fromkeys(counts, 600))
        for stream in ("s0", "s1"):
            mine = {p: n for p, n in counts.items() if int(p[1]) % 2 == int(stream[1])}
            self.check_once_in_order(agent.events(stream), mine)
        for name in os.listdir(os.path.join(agent.data, "wal")):
            self.assertRegex(name, r"^00[0-2]-")

