"""What the host may refuse: io_uring, locked memory, a proper shm_dir."""
import os
import shutil
import subprocess
import unittest

from harness import DEADLINE_S, Agent, Case


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
        self.assertEqual(agent.process.wait(DEADLINE_S), 1)
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
        self.assertEqual(agent.process.wait(DEADLINE_S), 1)
        self.assertIn("not on tmpfs", agent.log())
        code, _, err = self.run_hydrant("send", "s", "--shm-dir", self.path("disk"), stdin=b"a\n")
        self.assertEqual(code, 1)
        self.assertIn("tmpfs", err)

    def test_a_shm_dir_of_somebody_else_is_refused(self):
        if os.getuid() != 0:
            self.skipTest("only root can give a directory away")
        os.chown(self.shm, 12345, 12345)
        agent = Agent(self).spawn()
        self.assertEqual(agent.process.wait(DEADLINE_S), 1)
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
