"""A start with a large log: all of it waits for a full destination, and the agent is killed.

Prints what a start takes: until it answers, until it has drained a new ring, until it is through
with the log, and the most memory it had. Bounds are asserted where the log is large enough to say
something.
"""
import os
import time

from disks import Tmpfs, fill
from harness import LONG, Agent, Case, Producer, sized, until

MIB = 1 << 20
LOG = sized(24, 64, 1024) * MIB

CONFIG = """
[stream *]
buffer_size = 4MiB
buffer_time = 1h
[stream open]
buffer_size = 2GiB
[sink local]
directory = %s
"""


class LargeLog(Case):
    def build(self):
        """Two streams: one of sealed batches that wait, one whose batch is still open."""
        self.disk = Tmpfs(self, "small", 4 * MIB)
        out = os.path.join(self.disk.place, "out")
        os.mkdir(out)
        fill(self.disk.place, leave=0)
        self.agent = Agent(self, CONFIG % out).start()
        self.agent.out = out
        producers = [Producer(self, "b%d" % i, stream=s, pad=4000, ring_bytes=4 << 20)
                     for i, s in enumerate(("load", "open"))]
        for p in producers:
            p.tell("load 50000")
        until(lambda: self.agent.status()["wal"]["end_lsn"] > LOG, "a log of this size", 600)
        for p in producers:
            p.load_end()
        self.counts = {p.name: p.close() for p in producers}
        until(lambda: sum(s["accepted"] for s in self.agent.status()["streams"])
              == sum(self.counts.values()), "all is in the log")

    def peak(self):
        """The most memory that the process has had."""
        with open("/proc/%d/status" % self.agent.process.pid, encoding="ascii") as file:
            line, = (line for line in file if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024

    def test_a_start_drains_rings_before_it_is_through_with_the_log(self):
        self.build()
        self.agent.kill()
        fresh = Producer(self, "fresh", stream="fresh")
        fresh.do("write 100")
        since = time.monotonic()
        self.agent.spawn()
        fresh.do("flush durable 60")
        drained = time.monotonic() - since
        left = self.agent.status()["recovery_left_bytes"]
        self.agent.wait_ready()
        ready = time.monotonic() - since
        self.check_books(self.agent.status())
        print("log %d MiB: a new ring drained and durable after %.2f s, %d MiB of the log left "
              "then; ready after %.2f s; peak memory %d MiB"
              % (LOG // MIB, drained, left // MIB, ready, self.peak() // MIB), end=" ", flush=True)
        if LONG:
            self.assertGreater(left, 0, "rings are drained before recovery ends")
            self.assertLess(drained, 30)
            self.assertLess(ready, 120)
            self.assertLess(self.peak(), 1024 * MIB)
        self.counts["fresh"] = fresh.close()
        self.disk.resize(2 * LOG + 64 * MIB)
        self.agent.flush()
        for name, stream in (("b0", "load"), ("b1", "open"), ("fresh", "fresh")):
            self.check_once_in_order(self.agent.events(stream), {name: self.counts[name]})
        self.agent.stop()
