"""The main job: lines in, files out, each once and in order, and a clean end."""
import hashlib
import os
import shutil
import tempfile
import threading
import time

from harness import DEADLINE_S, NOBODY, Agent, Case, Producer, batches, sized, until

COUNT = sized(100_000, 1_000_000, 1_000_000)
BATCH = 10_000
LINE_BYTES = 200


def numbered_lines(path, count):
    """Writes JSON lines of 200 bytes that carry their number; the digest of all."""
    digest = hashlib.sha256()
    with open(path, "wb") as file:
        for start in range(0, count, 10_000):
            piece = bytearray()
            for n in range(start, min(start + 10_000, count)):
                head = b'{"n": %d, "pad": "' % n
                piece += head + b"x" * (LINE_BYTES - len(head) - 3) + b'"}\n'
            file.write(piece)
            digest.update(piece)
    return digest.hexdigest()


class Lateness:
    """How much longer its own short waits took than they should have: time in which the machine
    stood still, or had no processor for who wanted to run."""

    WAIT_S = 0.01

    def __enter__(self):
        self.seconds, self.over = 0, threading.Event()
        self.thread = threading.Thread(target=self.watch)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()

    def watch(self):
        began, waits = time.monotonic(), 0
        while not self.over.wait(self.WAIT_S):
            waits += 1
            self.seconds = time.monotonic() - began - waits * self.WAIT_S


class MainJob(Case):
    def check_million(self, agent, name):
        """The files, read in name order, are the input; none has more than buffer_count."""
        digest = hashlib.sha256()
        names = batches(os.path.join(agent.out, name))
        self.check_names(names)
        total = 0
        for file_name in names:
            with open(os.path.join(agent.out, name, file_name), "rb") as file:
                data = file.read()
            lines = data.count(b"\n")
            self.assertLessEqual(lines, BATCH, file_name)
            total += lines
            digest.update(data)
        self.assertEqual(total, COUNT)
        self.assertGreaterEqual(len(names), COUNT // BATCH)
        return digest.hexdigest()

    def test_a_million_lines_arrive_once_each_and_in_order(self):
        expected = numbered_lines(self.path("lines"), COUNT)
        agent = Agent(self, "[stream *]\nbuffer_count = %d" % BATCH).start()
        code, _, text = agent.run("send", "lines", self.path("lines"), "--durable")
        self.assertEqual(code, 0, text)
        self.assertIn("%d events" % COUNT, text)
        self.assertIn(", durable", text)
        agent.flush()
        books = agent.stream("lines")
        self.assertEqual((books["accepted"], books["delivered"], books["pending"]),
                         (COUNT, COUNT, 0))
        self.assertEqual(books["accepted_bytes"], COUNT * (LINE_BYTES - 1))
        self.assertEqual(self.check_million(agent, "lines"), expected)
        agent.stop()
        self.assertEqual(self.check_million(agent, "lines"), expected)
        self.check_log_small(agent)

    def check_log_small(self, agent):
        """When everything is delivered one short segment is left."""
        name, = os.listdir(os.path.join(agent.data, "wal"))
        self.assertLessEqual(os.path.getsize(os.path.join(agent.data, "wal", name)), 2 << 20)

    def test_sigterm_drains_what_was_just_committed(self):
        """No flush, no waiting: what is committed when the signal comes is delivered."""
        agent = Agent(self, "[stream *]\nbuffer_count = %d" % BATCH).start()
        expected = numbered_lines(self.path("lines"), COUNT // 10)
        self.assertEqual(agent.run("send", "lines", self.path("lines"))[0], 0)
        agent.stop()
        digest = hashlib.sha256()
        for name in batches(os.path.join(agent.out, "lines")):
            with open(os.path.join(agent.out, "lines", name), "rb") as file:
                digest.update(file.read())
        self.assertEqual(digest.hexdigest(), expected)

    def test_three_events_arrive_within_buffer_time(self):
        place = tempfile.mkdtemp(prefix="hydrant-e2e-", dir="/dev/shm")     # no disk's stalls
        self.addCleanup(shutil.rmtree, place, ignore_errors=True)
        agent = Agent(self, "[stream *]\nbuffer_time = 1s", place=place).start()
        began = time.monotonic()
        with Lateness() as late:
            self.send("few", b"one\ntwo\nthree\n")
            until(lambda: batches(os.path.join(agent.out, "few")), "a file")
            took = time.monotonic() - began
        self.assertGreater(took, 0.9)
        self.assertLess(took - late.seconds, 2.0)
        until(lambda: agent.events("few") == [{"message": m} for m in ("one", "two", "three")],
              "all three, in one file or in several")
        agent.stop()

    def test_sigint_ends_as_sigterm_does(self):
        agent = Agent(self).start()
        self.send("few", b"one\n")
        agent.process.send_signal(2)
        self.assertEqual(agent.process.wait(DEADLINE_S), 0)
        self.assertEqual(agent.events("few"), [{"message": "one"}])

    def test_an_idle_agent_starts_and_ends_with_nothing(self):
        agent = Agent(self).start()
        agent.stop()
        self.assertEqual(batches(agent.out), [])

    def test_streams_do_not_mix(self):
        agent = Agent(self).start()
        for i in range(20):
            self.send("s-%d" % (i % 4), b"line %d of it\n" % i)
        agent.flush()
        for k in range(4):
            self.assertEqual(agent.events("s-%d" % k),
                             [{"message": "line %d of it" % i} for i in range(k, 20, 4)])
        agent.stop()

    def test_a_living_producers_ring_stays_when_the_agent_ends(self):
        agent = Agent(self).start()
        producer = Producer(self, "p")
        producer.do("write 100")
        self.assertEqual(agent.terminate(), 0)
        self.assertEqual(os.listdir(self.shm), [producer.ring])
        producer.do("write 100")
        agent.start()
        producer.do("write 100")
        producer.do("flush delivered 30")
        self.assertEqual(producer.close(), 300)
        agent.stop()
        self.check_once_in_order(agent.events(), {"p": 300})

    def test_many_producers_at_once(self):
        agent = Agent(self, "[stream *]\nbuffer_count = 1000").start()
        producers = [Producer(self, "p%d" % i) for i in range(16)]
        for p in producers:
            p.tell("write %d" % sized(1000, 5000, 5000))
        for p in producers:
            p.answer()
        counts = {p.name: p.close() for p in producers}
        agent.stop()
        self.check_once_in_order(agent.events(), counts)

    def test_a_producer_waits_for_durable_and_delivered(self):
        agent = Agent(self, "[stream *]\nbuffer_time = 1h\n[wal]\nsync = never").start()
        producer = Producer(self, "p")
        producer.do("write 10")
        producer.do("flush accepted 30")
        producer.do("flush durable 30")
        self.assertEqual(batches(agent.out), [])
        producer.do("flush delivered 30")
        self.assertEqual(len(agent.events()), 10)
        producer.close()
        agent.stop()


class Unprivileged(Case):
    """The same as nobody in particular, with 8 MiB of locked memory."""

    def test_nobody_with_little_locked_memory_does_the_main_job(self):
        if os.getuid() != 0:
            self.skipTest("only root can become somebody else")
        self.programs_for_all()
        home = self.path("home")
        for place in (home, self.shm):
            os.makedirs(place, exist_ok=True)
            os.chown(place, NOBODY, NOBODY)
        agent = Agent(self, "[stream *]\nbuffer_count = 1000", data="home/data", uid=NOBODY,
                      memlock=8 << 20)
        for path in (agent.config, agent.log_path):
            with open(path, "ab"):
                os.chmod(path, 0o666)
        agent.start()
        os.chmod(self.dir, 0o777)
        producers = [Producer(self, "p%d" % i, uid=NOBODY) for i in range(4)]
        for p in producers:
            p.tell("write %d" % sized(5000, 50_000, 50_000))
        for p in producers:
            p.answer()
        expected = numbered_lines(self.path("lines"), COUNT // 10)
        os.chmod(self.path("lines"), 0o644)
        code, _, text = agent.run("send", "lines", self.path("lines"), user=NOBODY, group=NOBODY,
                                  extra_groups=[])
        self.assertEqual(code, 0, text)
        counts = {p.name: p.close() for p in producers}
        agent.kill()
        agent.start()
        agent.stop()
        self.check_once_in_order(agent.events(), counts)
        digest = hashlib.sha256()
        for name in batches(os.path.join(agent.out, "lines")):
            path = os.path.join(agent.out, "lines", name)
            self.assertEqual(os.stat(path).st_uid, NOBODY)
            with open(path, "rb") as file:
                digest.update(file.read())
        self.assertEqual(digest.hexdigest(), expected)
