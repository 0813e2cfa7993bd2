"""A destination that goes away while the agent runs: read-only, failed, removed, replaced, closed.

The status says why its batches wait, streams with other sinks and durability are not touched, and
what waited arrives once the destination is back, without a restart.
"""
import os
import shutil

from disks import SHUTDOWN_NOLOGFLUSH, Ext4
from harness import NOBODY, Agent, Case, Producer, batches, until
from test_status import parse_metrics

MIB = 1 << 20

CONFIG = """
[stream *]
sinks = away
buffer_count = 200
buffer_time = 100ms
[stream near]
sinks = local
[sink local]
[sink away]
type = file
directory = %s
"""


class SinkAway(Case):
    who = {}        # runs the senders

    def begin(self, out, **options):
        """A load that is being delivered."""
        self.agent = Agent(self, CONFIG % out, **options).start()
        self.out = out
        self.producer = Producer(self, "p", uid=options.get("uid"))
        self.producer.tell("load 2000")
        self.delivers()

    def delivers(self):
        before = self.agent.booked("load", "delivered")
        until(lambda: self.agent.booked("load", "delivered") > before + 1000,
              lambda: "deliveries: %s" % self.agent.status()["sinks"])

    def waits(self, words):
        """It says why; nobody else waits."""
        def sink():
            status = self.agent.status()
            self.check_books(status)
            away = next(k for k in status["sinks"] if k["name"] == "away")
            # While they are tried again it says that.
            return away["batches_waiting"] > 3 and words in (away["waits_because"] or "")

        until(sink, lambda: "the sink waits: %s" % self.agent.status()["sinks"])
        self.assertIn("sink 'away': " + self.out, self.agent.log())
        delivered = self.agent.stream("load")["delivered"]
        self.send("near", b"one\n", "--delivered", **self.who)
        self.assertEqual(self.agent.stream("load")["delivered"], delivered)
        self.send("load2", b"two\n", "--durable", **self.who)
        metrics = parse_metrics(self.agent.ask("GET", "/metrics")[1])
        self.assertGreater(metrics["hydrant_sink_retries_total"]['{sink="away"}'], 0)

    def back(self):
        """The events of the load that are there, all of them, and the agent stops clean."""
        self.delivers()
        self.producer.load_end()
        count = self.producer.close()
        until(lambda: self.agent.booked("load", "delivered") == count,
              lambda: "all of the load: %s" % self.agent.status())
        until(lambda: not any(k["waits_because"] for k in self.agent.status()["sinks"]),
              "nothing waits")
        self.assertEqual(self.agent.terminate(), 0)
        self.assertIn("everything is delivered", self.agent.log())
        return count

    def test_read_only(self):
        disk = Ext4(self, "disk", 64 * MIB)
        self.begin(os.path.join(disk.place, "out"))

        def read_only():
            try:
                disk.read_only(True)    # refused while a file is open for writing
            except OSError:
                return False
            return True

        until(read_only, "nothing is being written")
        self.waits("Read-only file system")
        disk.read_only(False)
        count = self.back()
        self.check_once_in_order(self.agent.events(out=self.out), {"p": count})

    def test_failed_and_mounted_again(self):
        """Nothing called durable hangs on the destination; what it forgot was not acknowledged."""
        disk = Ext4(self, "disk", 64 * MIB)
        self.begin(os.path.join(disk.place, "out"))
        disk.shut_down(SHUTDOWN_NOLOGFLUSH)
        self.waits("Input/output error")
        disk.unmount()      # the agent does not hold what is gone
        disk.mount()
        count = self.back()
        self.check_once_in_order(self.agent.events(out=self.out), {"p": count})

    def test_removed(self):
        self.begin(self.path("out"))
        self.producer.load_end()
        count = self.producer.do("write 0")[0]
        until(lambda: self.agent.booked("load", "delivered") == count, "all is delivered")
        first = self.agent.events(out=self.out)
        shutil.rmtree(self.out)
        self.producer.tell("load 2000")
        count = self.back()
        self.check_once_in_order(first + self.agent.events(out=self.out), {"p": count})

    def test_replaced(self):
        """Another directory by the same name: from then on it is the one."""
        self.begin(self.path("out"))
        os.rename(self.out, self.path("before"))
        os.mkdir(self.out)
        count = self.back()
        self.assertGreater(len(batches(self.path("out", "load"))), 0)
        self.check_once_in_order(self.agent.events(out=self.path("before"))
                                 + self.agent.events(out=self.out), {"p": count})

    def test_a_file_in_its_place(self):
        self.begin(self.path("out"))
        os.rename(self.out, self.path("before"))
        self.write_file("out", b"in the way\n")
        self.waits("Not a directory")
        os.unlink(self.out)
        count = self.back()
        self.check_once_in_order(self.agent.events(out=self.path("before"))
                                 + self.agent.events(out=self.out), {"p": count})

    def test_closed(self):
        """To an agent that is not root."""
        uid = None
        if os.getuid() == 0:
            uid = NOBODY
            self.programs_for_all()
            for place in (self.dir, self.shm):
                os.chown(place, uid, uid)
            self.who = {"user": uid, "group": uid, "extra_groups": []}
        self.begin(self.path("out"), uid=uid)
        os.chmod(self.out, 0)
        self.waits("Permission denied")
        os.chmod(self.out, 0o750)
        count = self.back()
        self.check_once_in_order(self.agent.events(out=self.out), {"p": count})
