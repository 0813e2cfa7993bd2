"""Full disks, of the destination, of the data directory, of both: the agent pushes back, stops and
starts as ever, loses nothing, and goes on by itself once there is room.
"""
import http.client
import os
import shutil

from disks import Ext4, Tmpfs, fill
from harness import Agent, Case, Producer, batches, sized, until, until_still
from test_status import parse_metrics

MIB = 1 << 20
DISK = 64 * MIB

CONFIG = """
shutdown_timeout = 2s
[wal]
segment_size = 2MiB
max_bytes = 16MiB
[stream *]
buffer_size = 1MiB
buffer_time = 200ms
[sink local]
directory = %s
"""


class FullCase(Case):
    """What a full disk looks like from outside."""

    def pressure(self):
        """The reasons of the status, which are those of the metrics; none: nothing presses."""
        status = self.agent.status()
        self.check_books(status)
        metrics = parse_metrics(self.agent.ask("GET", "/metrics")[1])["hydrant_backpressure"]
        self.assertEqual(set(metrics), {'{reason="%s"}' % r for r in status["backpressure"]})
        return [r for r, on in status["backpressure"].items()
                if on and metrics['{reason="%s"}' % r] == 1]

    def load_until_stuck(self):
        """A full ring has stopped the producer, and the agent says why it is full."""
        self.producer.tell("load 100000")
        until_still(lambda: self.pressure() and self.producer.written(), "back pressure")
        return self.pressure()

    def load_goes_on(self, meanwhile=lambda: None):
        before = self.producer.written()
        until(lambda: meanwhile() or self.producer.written() > before + sized(5000, 20_000, 50_000),
              "the load goes on")


class FullDisk(FullCase):
    """Killed, stopped and started while there is no room, and then there is."""

    def scene(self, kind, data_small, out_small):
        """An agent with its data directory, its destination or both on a small disk."""
        self.small = kind(self, "small", DISK).place
        far = self.path("far")
        os.mkdir(far)
        os.mkdir(self.path("taken"))
        out = os.path.join(self.small if out_small else far, "out")
        self.agent = Agent(self, CONFIG % out,
                           place=os.path.join(self.small if data_small else far, "data"))
        self.agent.out = out
        self.agent.start()

    def take(self):
        """What a consumer does."""
        for name in batches(self.agent.out):
            shutil.move(os.path.join(self.agent.out, name),
                        self.path("taken", os.path.basename(name)))

    def answers(self):
        """After a start, which need not be through before there is room."""
        def asked():
            self.assertIsNone(self.agent.process.poll(), "the agent ended")
            try:
                return self.agent.status()
            except (OSError, http.client.HTTPException):
                return None

        self.check_books(until(asked, "the agent answers"))

    def stop_and_start(self):
        """No start and no stop needs room."""
        self.agent.kill()
        self.agent.spawn()
        self.answers()
        until(self.pressure, "back pressure after a kill")
        self.assertEqual(self.agent.terminate(), 0)
        self.agent.spawn()
        self.answers()
        until(self.pressure, "back pressure after a stop")

    def send_waits(self):
        """A producer finds no room in its ring; what it committed before arrives later."""
        err = self.send("late", b"".join(b"%0199d\n" % n for n in range(5000)), "--ring-bytes",
                        "64KiB", "--timeout", "200ms", code=1)
        self.assertIn("the ring is full", err)
        self.late = int(err.strip().splitlines()[-1].split(" events")[0].split()[-1])

    def finish(self):
        """Without a restart: everything arrives, back pressure goes."""
        self.producer.load_end()
        count = self.producer.close()

        def settled():
            self.take()
            books = {s["name"]: s for s in self.agent.status()["streams"]}
            return (books["load"]["accepted"], books["late"]["accepted"]) == (count, self.late) \
                and sum(s["pending"] for s in books.values()) == 0

        until(settled, lambda: "all is delivered: %s" % self.agent.status())
        until(lambda: not self.pressure(), "back pressure goes")
        self.take()
        self.assertEqual(self.agent.terminate(), 0)
        events = self.events_of(self.path("taken", name)
                                for name in sorted(os.listdir(self.path("taken"))))
        self.check_once_in_order([e for e in events if "p" in e], {"p": count})
        self.assertEqual([int(e["message"]) for e in events if "p" not in e],
                         list(range(self.late)))

    def torture(self, kind, data_small, out_small):
        self.scene(kind, data_small, out_small)
        self.producer = Producer(self, "p", pad=2000, ring_bytes=1 << 20)
        self.producer.do("write 1000")
        self.producer.do("flush delivered 30")
        filler = fill(self.small, leave=8 * MIB if out_small else 64 * 1024)
        self.load_until_stuck()
        self.send_waits()
        for _ in range(sized(1, 1, 20)):
            self.stop_and_start()
        os.unlink(filler)
        self.load_goes_on(self.take if out_small else lambda: None)
        self.finish()

    def test_an_ext4_under_the_destination(self):
        self.torture(Ext4, False, True)

    def test_an_ext4_under_the_data(self):
        self.torture(Ext4, True, False)

    def test_an_ext4_under_both(self):
        self.torture(Ext4, True, True)

    def test_a_tmpfs_under_the_destination(self):
        self.torture(Tmpfs, False, True)

    def test_a_tmpfs_under_the_data(self):
        self.torture(Tmpfs, True, False)

    def test_a_tmpfs_under_both(self):
        self.torture(Tmpfs, True, True)


class FullPart(FullCase):
    """A small file system under the log or under the spool; the destination has room."""

    CONFIG = """
[wal]
dir = %s
segment_size = 2MiB
max_bytes = 16MiB
[stream *]
buffer_time = 200ms
[sink local]
directory = %s
"""

    def setUp(self):
        super().setUp()
        self.place = self.tmpfs("small", 40 * MIB)
        self.far = self.path("out")
        os.mkdir(self.far)

    def start(self, log_small):
        """Either the log or the rest of data_dir is on the small file system."""
        small, large = os.path.join(self.place, "part"), self.path("part")
        self.agent = Agent(self, self.CONFIG % (small if log_small else large, self.far),
                           place=large if log_small else small)
        self.agent.out = self.far
        self.agent.start()
        self.producer = Producer(self, "p", pad=2000)

    def finish(self):
        self.producer.load_end()
        count = self.producer.close()
        self.agent.flush()
        self.check_books(self.agent.status())
        self.check_once_in_order(self.agent.events(), {"p": count})
        self.assertEqual(self.agent.terminate(), 0)

    def test_a_log_at_max_bytes_pushes_back(self):
        """The destination takes nothing: the log grows to its bound and stays there."""
        self.start(log_small=True)
        self.write_file("out/load", b"in the way\n")
        self.assertIn("log_full", self.load_until_stuck())
        self.assertLessEqual(self.agent.status()["wal"]["bytes"], 16 * MIB)
        os.unlink(os.path.join(self.far, "load"))
        self.load_goes_on()
        self.finish()

    def test_a_full_disk_under_the_spool_pushes_back_until_there_is_room(self):
        """The log has room elsewhere: it keeps what the spool cannot take, up to its bound."""
        self.start(log_small=False)
        self.producer.do("write 100")
        self.producer.do("flush delivered 30")
        filler = fill(self.place, leave=64 * 1024)
        self.assertIn("disk_full", self.load_until_stuck())
        os.unlink(filler)
        self.load_goes_on()
        self.finish()

    def test_a_full_disk_under_the_log_pushes_back_and_frees_itself(self):
        """No room for the next segment: what the present one has left goes to acknowledgements."""
        self.start(log_small=True)
        self.write_file("out/load", b"in the way\n")
        part = os.path.join(self.place, "part")
        until(lambda: len(os.listdir(part)) == 2, "the next segment is made")
        filler = fill(self.place, leave=2 * MIB)
        self.assertIn("disk_full", self.load_until_stuck())
        os.unlink(os.path.join(self.far, "load"))
        self.load_goes_on()     # with the disk as full as it was
        os.unlink(filler)
        self.finish()


class Pins(FullCase):
    """Events that nothing makes due must not stop the other streams."""

    CONFIG = """
memory_limit = 64MiB
[wal]
segment_size = 2MiB
max_bytes = %s
[stream *]
buffer_count = 1000000
buffer_size = -1
buffer_time = -1
[stream load]
buffer_size = 1MiB
"""

    def flows(self, log_bytes, rare):
        """Several times what log and memory can hold; the others' batches are due by size alone."""
        agent = self.agent = Agent(self, self.CONFIG % log_bytes).start()
        spread = Producer(self, "r", stream="rare")
        spread.do("spread %d" % rare)
        spread.close()
        self.producer = Producer(self, "p", pad=2000, ring_bytes=1 << 20)
        self.producer.do("write %d" % sized(60_000, 100_000, 1_000_000))
        until(lambda: agent.stream("load")["pending"] < 2000 and not self.pressure(),
              "nothing presses")
        count = self.producer.close()
        sealed = sum(agent.stream("rare.%d" % i)["delivered"] for i in range(rare))
        agent.flush()
        self.check_once_in_order(agent.events(), {"p": count})
        for i in range(rare):
            event, = agent.events("rare.%d" % i)
            self.assertEqual((event["p"], event["n"]), ("r", i))
        agent.stop()
        return sealed

    def test_a_batch_that_stays_open_does_not_fill_the_log(self):
        self.assertEqual(self.flows("16MiB", 1), 1)

    def test_batches_that_stay_open_do_not_fill_the_memory(self):
        """A block of 256 KiB each, and half of memory_limit is blocks."""
        self.assertGreater(self.flows("4GiB", 140), 10)
