"""A file system that fails under the agent: it shuts down, as if the disk were pulled, or turns
read-only. The agent says so, does not spin, can be stopped, and publishes nothing as durable that
is not: after a mount and a start on the same rings every event that was called durable is there,
once, and what was in the rings arrives.

A file system that is shut down forgets what was not synced. So an event that was accepted and not
yet durable may be missing afterwards, as after a power cut; those in the ring may not.
"""
import os
import shutil
import subprocess

from disks import SHUTDOWN_DEFAULT, SHUTDOWN_NOLOGFLUSH, Ext4
from harness import (DEADLINE_S, Agent, Case, Producer, batches, cpu_seconds, sized, until,
                     until_still)

MIB = 1 << 20
RING_EVENTS = 100       # of a producer here, surely in a ring that is full
ERRORS = ("Input/output error", "Read-only file system")
ROUNDS = sized(2, 3, 30)

CONFIG = """
shutdown_timeout = 2s
[wal]
segment_size = 2MiB
max_bytes = 32MiB
sync = %s
[stream *]
buffer_count = 500
buffer_time = 100ms
"""


class Sender:
    """`hydrant send --durable` of a few events, and again when it has returned."""

    LINES = 100

    def __init__(self, case, name):
        self.case, self.name = case, name
        self.sent = self.confirmed = 0
        self.process = None

    def step(self, go_on=True):
        """True: none is under way."""
        if self.process:
            if self.process.poll() is None:
                return False
            err = self.process.stderr.read().decode()
            self.process.stderr.close()
            self.case.children.remove(self.process)
            if self.process.returncode != 0:
                self.case.assertEqual(self.process.returncode, 1, err)
                self.case.assertIn("were lost with its log", err)
                self.case.may_miss[self.name].append((self.confirmed, self.sent))
            else:
                self.case.assertIn(", durable", err)
            self.confirmed, self.process = self.sent, None
        if go_on:
            first, self.sent = self.sent, self.sent + self.LINES
            path = self.case.write_file(self.name, "".join(
                '{"p": "%s", "n": %d}\n' % (self.name, n) for n in range(first, self.sent)))
            self.process = self.case.popen(
                [self.case.hydrant, "send", "sent", path, "--durable", "--shm-dir", self.case.shm],
                stderr=subprocess.PIPE)
        return not self.process


class FailingDisk(Case):
    def begin(self, options="", sync="interval"):
        print("seed %d" % self.seed, end=" ", flush=True)
        for stream in ("load", "sent"):
            os.makedirs(self.path("taken", stream))
        self.disk = Ext4(self, "disk", 128 * MIB, options)
        self.agent = Agent(self, CONFIG % sync, place=os.path.join(self.disk.place, "data")).start()
        self.senders = [Sender(self, "s%d" % i) for i in range(3)]
        self.producers = [Producer(self, "p%d" % i, pad=300) for i in range(3)]
        self.producers[0].tell("keep 20")
        self.producers[1].tell("keep 2000")
        self.producers[2].tell("load %d" % sized(2000, 10_000, 5000))
        self.may_miss = {p.name: [] for p in self.senders + self.producers}

    def senders_step(self, go_on=True):
        return all([s.step(go_on) for s in self.senders])

    def runs(self, seconds):
        """Under load until a moment chosen before, and until something of this life is durable."""
        before = [s.confirmed for s in self.senders] + [p.durable() for p in self.producers[:2]]
        end = self.random.uniform(0.05, seconds)
        started = os.times().elapsed

        def passed():
            self.senders_step()
            now = [s.confirmed for s in self.senders] + [p.durable() for p in self.producers[:2]]
            return os.times().elapsed - started > end and all(b < n for b, n in zip(before, now))

        until(passed, "a moment under load")

    def losses(self):
        """Of each producer what may be lost now: neither called durable nor in its ring."""
        self.senders_step()
        for s in self.senders:
            self.may_miss[s.name].append((s.confirmed, s.sent))
        for p in self.producers[1:]:    # the first one writes too little to fill its ring
            until_still(p.written, "the ring of %s is full" % p.name)
            self.may_miss[p.name].append((p.durable(), p.written() - RING_EVENTS))
        self.may_miss["p0"].append((self.producers[0].durable(), self.producers[0].written() + 1))

    def fails(self):
        """The agent names what it meets. It may end by that; if not, it waits and can be stopped."""
        agent = self.agent
        until(lambda: any(word in agent.log().rpartition("--- start")[2] for word in ERRORS),
              lambda: "the log names the error:\n" + agent.log())
        if agent.process.poll() is None:
            self.waits()
            agent.process.terminate()
        self.assertIn(agent.process.wait(DEADLINE_S), (0, 1), "it ends in good order")
        self.losses()

    def waits(self):
        """Or is on its way to the end: an agent that lives takes little time to do nothing."""
        began, used = os.times().elapsed, cpu_seconds(self.agent.process.pid)
        until(lambda: self.agent.process.poll() is not None or os.times().elapsed > began + 1,
              "a second")
        if self.agent.process.poll() is None:
            used = cpu_seconds(self.agent.process.pid) - used
            self.assertLess(used, 0.5 * (os.times().elapsed - began))

    def again(self):
        self.disk.unmount()
        self.disk.mount()
        self.take()
        self.agent.spawn()
        self.agent.wait_ready()
        self.check_books(self.agent.status())

    def take(self):
        """A consumer, so that the disk does not fill."""
        for name in batches(self.agent.out):
            shutil.move(os.path.join(self.agent.out, name), self.path("taken", name))

    def finish(self):
        until(lambda: self.senders_step(go_on=False), "senders that waited return")
        counts = {s.name: s.sent for s in self.senders}
        for p in self.producers:
            p.load_end()
            counts[p.name] = p.close()
        self.agent.flush()
        status = self.agent.status()
        self.check_books(status)
        self.assertEqual(status["lost_bytes"]["corrupt"], 0)
        self.agent.stop()
        self.take()
        missed = self.check_kept(self.events_of(self.path("taken", name)
                                                for name in batches(self.path("taken"))), counts)
        print("%d events were accepted, not durable, and are gone" % missed, end=" ", flush=True)
        # Those of a ring that the log has forgotten altogether are told to its producer alone.
        if "is not in this log" in self.agent.log():
            self.assertGreater(status["lost_bytes"]["unsynced"], 0, "nothing is lost silently")

    def check_kept(self, events, counts):
        """Each once, in order, and missing only what a failure may take; how many are missing."""
        seen = {name: [] for name in counts}
        for event in events:
            seen[event["p"]].append(event["n"])
        missed = 0
        for name, numbers in seen.items():
            text = "%s, seed %d" % (name, self.seed)
            self.assertTrue(all(a < b for a, b in zip(numbers, numbers[1:])), text)
            self.assertLess(numbers[-1], counts[name], text)
            missing = set(range(counts[name])) - set(numbers)
            for durable, end in self.may_miss[name]:
                missing -= set(range(durable, end))
            missed += counts[name] - len(numbers) - len(missing)
            self.assertEqual(sorted(missing)[:20], [], text)
        return missed

    def shut_downs(self, sync):
        self.begin(sync=sync)
        for i in range(ROUNDS):
            self.runs(1)
            self.disk.shut_down(SHUTDOWN_DEFAULT if i % 2 else SHUTDOWN_NOLOGFLUSH)
            self.fails()
            self.again()
        self.finish()

    def test_durable_events_survive_a_file_system_that_shuts_down(self):
        self.shut_downs("interval")

    def test_durable_events_survive_when_only_flushes_sync(self):
        self.shut_downs("never")

    def test_durable_events_survive_a_file_system_that_turns_read_only(self):
        self.begin(options="errors=remount-ro")
        for _ in range(sized(1, 1, 10)):
            self.runs(1)
            self.disk.error()
            self.fails()
            self.again()
        self.finish()
