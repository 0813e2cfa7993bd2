"""What the host may refuse: io_uring, room on the disk, locked memory, a proper shm_dir."""
import http.client
import os
import shutil
import subprocess
import unittest

from harness import Agent, Case, Producer, until

MIB = 1 << 20


class Uring(Case):
    def refused(self, error):
        """Starts an agent whose io_uring_setup(2) fails; what it says."""
        if not shutil.which("strace"):
            self.skipTest("strace is not installed")
        probe = subprocess.run(["strace", "-o", "/dev/null", "true"], stderr=subprocess.PIPE,
                               text=True)
        if probe.returncode != 0:
            self.skipTest("strace may not trace here: " + probe.stderr.strip())
        # Looking for leaks at the exit needs to trace, too, which one at a time may.
        sanitizer = "ASAN_OPTIONS=%s:detect_leaks=0" % os.environ.get("ASAN_OPTIONS", "")
        agent = Agent(self, data=error, wrap=[
            "strace", "-f", "-o", "/dev/null", "-E", sanitizer, "-e", "trace=io_uring_setup",
            "-e", "inject=io_uring_setup:error=" + error])
        agent.spawn()
        self.assertEqual(agent.process.wait(30), 1)
        self.assertEqual(os.listdir(self.shm), [])
        return agent.log()

    def test_a_refused_io_uring_is_named_with_its_remedy(self):
        for error, words in (("ENOSYS", "run on Linux 6.1 or later"),
                             ("ENOMEM", "LimitMEMLOCK="),
                             ("EPERM", "seccomp")):
            with self.subTest(error=error):
                log = self.refused(error)
                self.assertIn("io_uring is not to be had", log)
                if error == "EPERM" and "io_uring_disabled is" in log:
                    words = "sysctl kernel.io_uring_disabled=0"
                self.assertIn(words, log)


class SharedMemory(Case):
    def test_a_shm_dir_that_is_not_in_memory_is_refused(self):
        os.mkdir(self.path("disk"))
        agent = Agent(self, shm=self.path("disk")).spawn()
        self.assertEqual(agent.process.wait(30), 1)
        self.assertIn("not on tmpfs", agent.log())
        code, _, err = self.run_hydrant("send", "s", "--shm-dir", self.path("disk"), stdin=b"a\n")
        self.assertEqual(code, 1)
        self.assertIn("tmpfs", err)

    def test_a_shm_dir_of_somebody_else_is_refused(self):
        if os.getuid() != 0:
            self.skipTest("only root can give a directory away")
        os.chown(self.shm, 12345, 12345)
        agent = Agent(self).spawn()
        self.assertEqual(agent.process.wait(30), 1)
        self.assertIn("belongs to uid 12345", agent.log())
        code, _, err = self.run_hydrant("send", "s", "--shm-dir", self.shm, stdin=b"a\n")
        self.assertEqual(code, 1)
        self.assertIn("12345", err)

    def test_a_full_shared_memory_is_an_error_at_the_start_of_a_producer(self):
        shm = self.tmpfs("shm", 512 * 1024)
        code, _, err = self.run_hydrant("send", "s", "--shm-dir", shm, stdin=b"a\n")
        self.assertEqual(code, 1)
        self.assertIn("--shm-size", err)
        self.assertEqual([n for n in os.listdir(shm) if n.endswith(".ring")], [])
        agent = Agent(self, shm=shm).start()
        self.send("s", b"a\n", "--ring-bytes", "64KiB", "--delivered", shm=shm)
        self.assertEqual(agent.events("s"), [{"message": "a"}])
        agent.stop()


class FullDisk(Case):
    """A small file system under the log or the spool; the destination has room."""

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
        if os.getuid() != 0:
            self.skipTest("only root can mount")
        self.place = self.tmpfs("small", 40 * MIB)
        self.filler = os.path.join(self.place, "filler")
        self.far = self.path("out")
        os.mkdir(self.far)

    def start(self, log_small):
        """Either the log or the rest of data_dir is on the small file system."""
        small, large = os.path.join(self.place, "part"), self.path("part")
        self.agent = Agent(self, self.CONFIG % (small if log_small else large, self.far),
                           place=large if log_small else small)
        self.agent.out = self.far
        self.agent.start()

    def fill(self, leave):
        """Takes all room but so many bytes."""
        free = os.statvfs(self.place)
        with open(self.filler, "wb") as file:
            os.posix_fallocate(file.fileno(), 0, free.f_bavail * free.f_frsize - leave)

    def load_until_stuck(self, producer):
        """Loads until a full ring has stopped it, or the agent has ended."""
        producer.tell("load 100000")
        last = [None]

        def stuck():
            try:
                status = self.agent.status()
            except (OSError, http.client.HTTPException):
                self.agent.process.wait(30)
                return True
            before, last[0] = last[0], producer.written()
            return any(status["backpressure"].values()) and before == last[0]

        until(stuck, "back pressure")

    def finish(self, producer):
        producer.load_end()
        count = producer.close()
        self.agent.flush()
        self.check_books(self.agent.status())
        self.check_once_in_order(self.agent.events(), {"p": count})
        self.assertEqual(self.agent.terminate(), 0)

    def test_a_log_at_max_bytes_pushes_back(self):
        """The destination takes nothing: the log grows to its bound and stays there."""
        self.start(log_small=True)
        self.write_file("out/load", b"in the way\n")
        producer = Producer(self, "p", pad=2000)
        self.load_until_stuck(producer)
        self.assertIsNone(self.agent.process.poll())
        status = self.agent.status()
        self.assertTrue(status["backpressure"]["log_full"], status["backpressure"])
        self.assertLessEqual(status["wal"]["bytes"], 16 * MIB)
        os.unlink(os.path.join(self.far, "load"))
        before = producer.written()
        until(lambda: producer.written() > before + 20_000, "the load goes on")
        self.finish(producer)

    def test_a_full_disk_under_the_spool_pushes_back_until_there_is_room(self):
        """The log has room elsewhere: it keeps what the spool cannot take, up to its bound."""
        self.start(log_small=False)
        producer = Producer(self, "p", pad=2000)
        producer.do("write 100")
        producer.do("flush delivered 30")
        self.fill(leave=64 * 1024)
        self.load_until_stuck(producer)
        self.assertIsNone(self.agent.process.poll(), "it goes on")
        self.assertTrue(self.agent.status()["backpressure"]["disk_full"])
        os.unlink(self.filler)
        before = producer.written()
        until(lambda: producer.written() > before + 20_000, "the load goes on")
        self.finish(producer)

    def test_a_full_disk_under_the_log_pushes_back_and_frees_itself(self):
        """No room for the next segment: what the present one has left goes to acknowledgements."""
        self.start(log_small=True)
        self.write_file("out/load", b"in the way\n")
        part = os.path.join(self.place, "part")
        until(lambda: len(os.listdir(part)) == 2, "the next segment is made")
        self.fill(leave=2 * MIB)
        producer = Producer(self, "p", pad=2000)
        self.load_until_stuck(producer)
        self.assertIsNone(self.agent.process.poll(), "it goes on")
        self.assertTrue(self.agent.status()["backpressure"]["disk_full"])
        os.unlink(os.path.join(self.far, "load"))
        before = producer.written()
        until(lambda: producer.written() > before + 20_000, "the load goes on, the disk still full")
        os.unlink(self.filler)
        self.finish(producer)
