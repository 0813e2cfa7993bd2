"""The unit of systemd: sound, with little exposure, and enough for the agent to do its work within.

That last is tried without systemd: the unit's system calls, limits, user without capabilities and
read-only places. `tests/fresh-root packages` tries all of it, under systemd itself.
"""
import glob
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import unittest

import installed
import syscall_filter
from installed import path, read, run

UNIT = "usr/lib/systemd/system/hydrant.service"
EXPOSURE_MAX = "20"         # tenths
NOBODY = 65534
EVENTS = 500

# All is read-only but the agent's directory and what are file systems of their own, /dev/shm too.
PLACES = r"""
data=$1; shift
mkdir "$data/root"
mount --rbind / "$data/root"
mount -o remount,bind,ro "$data/root"
mount --bind "$data" "$data/root$data"
exec chroot "$data/root" "$@"
"""


def setting(name):
    return re.findall(r"^%s=(.*)" % name, read(UNIT), re.M)[-1]


class Judged(unittest.TestCase):
    """By systemd-analyze, at the places where this test has installed things."""

    def setUp(self):
        self.folder = tempfile.mkdtemp(dir="/var/tmp")
        self.addCleanup(shutil.rmtree, self.folder)
        self.unit = os.path.join(self.folder, "hydrant.service")
        with open(self.unit, "w", encoding="utf-8") as file:
            file.write(read(UNIT).replace("=/usr/bin/hydrant", "=" + path("usr/bin/hydrant"))
                       .replace("/etc/hydrant", path("etc/hydrant")))

    def test_it_is_sound(self):
        self.assertEqual(run("systemd-analyze", "verify", "--man=no", "--recursive-errors=no",
                             self.unit), "")

    def test_its_pages_are_there(self):
        for name, section in re.findall(r"man:([\w.-]+)\((\d)\)", read(UNIT)):
            self.assertTrue(os.path.exists(path("usr/share/man/man" + section,
                                                "%s.%s" % (name, section))), name)

    def test_it_exposes_little(self):
        self.assertIn("Overall exposure level", run(
            "systemd-analyze", "security", "--offline=true", "--threshold=" + EXPOSURE_MAX,
            self.unit))

    def test_user_and_directory_of_rings_are_made_as_the_configuration_says(self):
        self.assertIn("u hydrant ", read("usr/lib/sysusers.d/hydrant.conf"))
        self.assertRegex(read("usr/lib/tmpfiles.d/hydrant.conf"),
                         r"(?m)^d /dev/shm/hydrant 3773 hydrant hydrant -$")
        self.assertEqual((setting("User"), setting("Group")), ("hydrant", "hydrant"))


class Confined(unittest.TestCase):
    def setUp(self):
        if os.getuid() != 0:
            self.skipTest("needs root, to make places read-only and to be another user")
        self.data = tempfile.mkdtemp(prefix="hydrant-unit-", dir="/var/tmp")
        self.addCleanup(shutil.rmtree, self.data)
        self.shm = tempfile.mkdtemp(prefix="hydrant-unit-", dir="/dev/shm")
        self.addCleanup(shutil.rmtree, self.shm)
        self.manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.manager.close)
        self.manager.bind(self.data + "/notify")
        self.manager.settimeout(60)
        with open(self.data + "/hydrant.ini", "w", encoding="utf-8") as file:
            file.write("[agent]\ndata_dir = %s/data\nshm_dir = %s\n"
                       "[http]\nlisten = unix:%s/http\n[intake]\ntcp = 127.0.0.1:0\n"
                       % (self.data, self.shm, self.data))
        for name in (self.data, self.shm, self.data + "/notify"):
            os.chown(name, NOBODY, -1)

    def limits(self):
        """Of prlimit; those of this process where it may not raise them."""
        options = []
        for name, key in (("NOFILE", "nofile"), ("MEMLOCK", "memlock")):
            wanted = setting("Limit" + name).replace("infinity", "unlimited")
            option = "--%s=%s" % (key, wanted)
            if subprocess.run(["prlimit", option, "true"], stderr=subprocess.DEVNULL,
                              check=False).returncode == 0:
                options.append(option)
        return ["prlimit"] + options

    def start(self, program):
        # Where the agent's user may read it, wherever this tree is.
        shutil.copy(syscall_filter.__file__, self.data)
        with open(self.data + "/filter", "wb") as file:
            file.write(program)
        agent = subprocess.Popen(
            self.limits() + ["unshare", "--mount", "--ipc", "--propagation", "private", "--",
                             "sh", "-euc", PLACES, "sh", self.data,
                             "setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY),
                             "--clear-groups", "--no-new-privs", "--bounding-set", "-all",
                             "/usr/bin/python3", "-I", self.data + "/syscall_filter.py",
                             self.data + "/filter",
                             path("usr/bin/hydrant"), "agent", "--config",
                             self.data + "/hydrant.ini"],
            env=installed.run_environment(NOTIFY_SOCKET=self.data + "/notify"),
            stderr=subprocess.PIPE, encoding="utf-8")
        self.addCleanup(agent.stderr.close)
        self.addCleanup(agent.wait)
        self.addCleanup(agent.kill)
        return agent

    def heard(self, words):
        while words not in (text := self.manager.recv(4096).decode()):
            pass
        return text

    def filter(self, without=()):
        unit = read(UNIT)
        if without:
            unit += "SystemCallFilter=~%s\n" % " ".join(without)
        return syscall_filter.program(unit, os.uname().machine)

    def test_the_agent_does_its_work(self):
        agent = self.start(self.filter())
        self.heard("READY=1")
        with open("/proc/%d/status" % agent.pid, encoding="utf-8") as file:
            self.assertRegex(file.read(), r"(?s)\nUid:\t65534\t.*\nCapBnd:\t0+\n.*"
                                          r"\nNoNewPrivs:\t1\nSeccomp:\t2\n")
        with open("/proc/%d/mountinfo" % agent.pid, encoding="utf-8") as file:
            self.assertRegex(file.read(), r"(?m)^\S+ \S+ \S+ \S+ / ro[, ]")
        environment = installed.run_environment(
            HYDRANT_SHM_DIR=self.shm, HYDRANT_HTTP="unix:%s/http" % self.data)
        run("sh", "-c", "seq $1 | \"$0\" send numbers --durable --timeout 60s",
            path("usr/bin/hydrant"), str(EVENTS), env=environment, user=NOBODY)
        run(path("usr/bin/hydrant"), "flush", "numbers", env=environment)
        lines = ""
        for name in sorted(glob.glob(self.data + "/data/out/numbers/*.json")):
            with open(name, encoding="utf-8") as file:
                lines += file.read()
        self.assertEqual([json.loads(line)["message"] for line in lines.splitlines()],
                         [str(n) for n in range(1, EVENTS + 1)])
        status = json.loads(run(path("usr/bin/hydrant"), "status", "--json", env=environment))
        self.assertEqual(status["pid"], agent.pid)
        agent.terminate()
        said = agent.stderr.read()
        self.assertEqual(agent.wait(60), 0, said)
        self.assertNotRegex(said, r"(?i)not permitted|denied")

    def test_a_filter_that_lacks_io_uring_is_noticed(self):
        """So what the test above shows is the filter's doing; and what the agent says of it."""
        agent = self.start(self.filter(without=["io_uring_setup"]))
        said = agent.stderr.read()
        self.assertEqual(agent.wait(60), 1)
        self.assertIn("io_uring", said)
        self.assertIn("seccomp", said)

    def test_a_filter_that_lacks_openat2_ends_the_agent(self):
        agent = self.start(self.filter(without=["openat2"]))
        said = agent.stderr.read()
        self.assertEqual(agent.wait(60), 1)
        self.assertIn("openat2", said)


if __name__ == "__main__":
    unittest.main()
