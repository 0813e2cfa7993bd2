"""harness: one agent, its producers and its directories for an end-to-end test.

Case makes a data directory below the temporary directory, a shm_dir below /dev/shm and holds a
free port. Whatever a test starts is ended by its id, and a test that leaves a process or a ring
behind fails. The agent's log is printed when a test fails.

Variables: HYDRANT_BIN (default build/release/hydrant), HYDRANT_SHORT=1 and HYDRANT_LONG=1 choose
sizes, HYDRANT_SEED repeats a run.

Units: seconds.
"""
import ctypes
import http.client
import json
import os
import random
import re
import resource
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

from disks import Tmpfs, mounts_below, unmount

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
HYDRANT = os.path.abspath(os.environ.get("HYDRANT_BIN",
                                         os.path.join(ROOT, "build", "release", "hydrant")))
PRODUCER = os.path.join(os.path.dirname(HYDRANT), "tests", "e2e", "producer")
SHORT = os.environ.get("HYDRANT_SHORT") == "1"
LONG = os.environ.get("HYDRANT_LONG") == "1"
NOBODY = 65534
DEADLINE_S = 60
POLL_S = 0.005

FILE_NAME = re.compile(r"(?P<time>\d+)-(?P<agent>[A-Za-z0-9][A-Za-z0-9_.-]*)"
                       r"-(?P<epoch>[0-9a-f]{16})-(?P<shard>\d{3})-(?P<number>\d{10})"
                       r"\.(?P<ext>[a-z0-9.]+)")


def sized(short, normal, long):
    """The size that this run asks for."""
    return long if LONG else short if SHORT else normal


def until(condition, what, seconds=DEADLINE_S):
    """Polls until the condition is true and returns what it returned."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError("not within %g s: %s" % (seconds, what() if callable(what)
                                                          else what))
        time.sleep(POLL_S)


def until_still(value, what, seconds=1):
    """Polls until the value is true and has been the same for so long, and at as many looks as that
    takes: while the whole machine stands still, everything does."""
    same, since, looks = None, 0, 0

    def still():
        nonlocal same, since, looks
        now = value()
        if not now or now != same:
            same, since, looks = now, time.monotonic(), 0
        looks += 1
        return now and time.monotonic() - since >= seconds and looks * POLL_S >= seconds / 2

    until(still, what)


def cpu_seconds(pid):
    """Processor time of a process so far."""
    with open("/proc/%d/stat" % pid, encoding="ascii", errors="replace") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def processes_in(*directories):
    """Command lines of living processes that work in one of these directories."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/cmdline" % pid, "rb") as file:
                words = file.read()
        except OSError:
            continue        # it has ended
        if any(directory.encode() in words for directory in directories):
            found.append(words)
    return found


def files_below(directory):
    """Paths of all plain files below a directory, relative to it, in name order."""
    found = []
    for folder, _, names in os.walk(directory):
        found += [os.path.relpath(os.path.join(folder, name), directory) for name in names]
    return sorted(found)


def batches(directory):
    """Delivered files below a directory, in name order, without those under dot-names."""
    return [path for path in files_below(directory)
            if not any(part.startswith(".") for part in path.split("/"))]


def staged(directory):
    """Batches in a sink's staging directory: what is in it but its identity."""
    return [name for name in os.listdir(os.path.join(directory, ".hydrant"))
            if not name.startswith("id-")]


class Agent:
    """One data directory's agent: it may be started again and again."""

    def __init__(self, case, config="", data="data", place=None, shm=None, uid=None, memlock=None,
                 wrap=()):
        """data names its files in the test's directory; place is a data_dir elsewhere."""
        self.case = case
        self.data = place or os.path.join(case.dir, data)
        self.out = os.path.join(self.data, "out")
        self.shm = shm or case.shm
        self.port = case.port_hold()
        self.uid, self.memlock, self.wrap = uid, memlock, list(wrap)
        self.config = os.path.join(case.dir, data + ".ini")
        self.log_path = os.path.join(case.dir, data + ".log")
        self.process = None
        self.configure(config)

    def configure(self, text):
        """Writes the file; sections of the text come after what every test needs."""
        with open(self.config, "w", encoding="utf-8") as file:
            file.write("[agent]\ndata_dir = %s\nshm_dir = %s\nname = tester\n%s\n"
                       % (self.data, self.shm, text.lstrip("\n")))

    def spawn(self):
        def limit():
            if self.memlock is not None:
                resource.setrlimit(resource.RLIMIT_MEMLOCK, (self.memlock, self.memlock))

        who = {} if self.uid is None else {"user": self.uid, "group": self.uid, "extra_groups": []}
        with open(self.log_path, "ab") as log:
            log.write(b"--- start\n")
            log.flush()
            self.process = self.case.popen(
                self.wrap + [self.case.hydrant, "agent", "-c", self.config, "--http", self.http()],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=limit,
                cwd=self.case.dir, **who)
        return self

    def start(self):
        """Starts it and waits until it is ready."""
        self.spawn()
        self.wait_ready()
        return self

    def wait_ready(self):
        def ready():
            if self.process.poll() is not None:
                raise AssertionError("the agent ended with %d" % self.process.returncode)
            try:
                return self.ask("GET", "/readyz")[0] == 200
            except (OSError, http.client.HTTPException):
                return False

        until(ready, "the agent is ready")

    def http(self):
        return "127.0.0.1:%d" % self.port

    def ask(self, method, path, headers=None, body=None, timeout=DEADLINE_S):
        """(status, text) of a request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            answer = connection.getresponse()
            return answer.status, answer.read().decode("utf-8")
        finally:
            connection.close()

    def status(self):
        code, text = self.ask("GET", "/v1/status")
        if code != 200:
            raise AssertionError("status answers %d: %s" % (code, text))
        return json.loads(text)

    def stream(self, name):
        """The books of one stream, or None."""
        return next((s for s in self.status()["streams"] if s["name"] == name), None)

    def booked(self, name, what):
        """So many events of a stream, 0 before its first one is seen."""
        stream = self.stream(name)
        return stream[what] if stream else 0

    def ring(self, name):
        return next((r for r in self.status()["rings"] if r["name"] == name), None)

    def flush(self, stream=None):
        path = "/v1/streams/%s/flush" % stream if stream else "/v1/flush"
        code, text = self.ask("POST", path)
        if code != 200:
            raise AssertionError("flush answers %d: %s" % (code, text))

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def log_has(self, text):
        until(lambda: text in self.log(), "the log says: " + text)

    def terminate(self):
        """SIGTERM; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(DEADLINE_S)

    def kill(self, stopping=False):
        """SIGKILL; unless it was asked to stop it must not have ended before that."""
        if not stopping:
            self.case.assertIsNone(self.process.poll(), "the agent ended by itself")
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(DEADLINE_S)

    def stop(self):
        """SIGTERM must end with everything delivered and nothing but a small log left."""
        code = self.terminate()
        self.case.assertEqual(code, 0, "exit code of the agent")
        self.case.assertIn("everything is delivered", self.log())
        self.case.assertEqual(files_below(os.path.join(self.data, "spool")), [])
        self.case.assertEqual(staged(self.out) if os.path.isdir(self.out) else [], [])
        self.case.assertEqual(len(os.listdir(os.path.join(self.data, "wal"))), 1)
        self.case.assertEqual(sorted(os.listdir(self.shm)), [])

    def events(self, stream="load", out=None):
        """Every delivered event of a stream, parsed, files in name order."""
        folder = os.path.join(out or self.out, stream)
        return self.case.events_of(os.path.join(folder, name) for name in batches(folder))

    def run(self, *arguments, **options):
        """A command that asks this agent or its rings."""
        return self.case.run_hydrant(*arguments, env={"HYDRANT_HTTP": self.http(),
                                                      "HYDRANT_SHM_DIR": self.shm}, **options)


class Producer:
    """The helper program; see producer.c for its commands."""

    def __init__(self, case, name, shm=None, stream="load", pad=200, ring_bytes=65536, drop=False,
                 uid=None):
        self.name = name
        self.progress = os.path.join(case.dir, "progress." + name)
        arguments = [case.producer, "-d", shm or case.shm, "-s", stream, "-i", name, "-p", str(pad),
                     "-b", str(ring_bytes), "-f", self.progress] + (["-D"] if drop else [])
        who = {} if uid is None else {"user": uid, "group": uid, "extra_groups": []}
        self.process = case.popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                  bufsize=0, **who)
        self.ring = self.answer()[0]

    def line(self):
        """One line of its output, empty when it has ended."""
        end, line = time.monotonic() + DEADLINE_S, b""
        while not line.endswith(b"\n"):
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.process.stdout], [], [], left)[0]:
                raise AssertionError("producer %s has not answered" % self.name)
            byte = self.process.stdout.read(1)
            if not byte:
                self.process.wait(DEADLINE_S)
                break
            line += byte
        return line.decode()

    def answer(self):
        line = self.line()
        if not line.startswith("ok "):
            raise AssertionError("producer %s: %s" % (self.name, line.strip() or "it ended with %d"
                                                      % self.process.returncode))
        return line.split()[1:]

    def tell(self, line):
        self.process.stdin.write(line.encode() + b"\n")

    def do(self, line):
        """A command and its answer's numbers."""
        self.tell(line)
        return [int(word) for word in self.answer()]

    def load_end(self):
        """Ends a load or keep: any line does, and is answered after it."""
        self.tell("stop")
        self.answer()
        self.answer()

    def written(self):
        """Events surely committed, also of a dead producer."""
        with open(self.progress, "rb") as file:
            return int.from_bytes(file.read(8), sys.byteorder)

    def durable(self):
        """Events that a flush has said to be durable, of a `keep`."""
        with open(self.progress, "rb") as file:
            return int.from_bytes(file.read(16)[8:], sys.byteorder)

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(DEADLINE_S)
        self.process.stdin.close()
        self.process.stdout.close()

    def close(self):
        """Ends it in good order; the events it wrote."""
        self.process.stdin.close()
        code = self.process.wait(DEADLINE_S)
        self.process.stdout.close()
        if code != 0:
            raise AssertionError("producer %s ended with %d" % (self.name, code))
        return self.written()


class Case(unittest.TestCase):
    """A test with directories of its own that leaves nothing behind."""

    maxDiff = 2000
    hydrant, producer = HYDRANT, PRODUCER

    def run(self, result=None):
        result = result if result is not None else self.defaultTestResult()
        before = len(result.failures) + len(result.errors)
        self.failed = lambda: (len(result.failures) + len(result.errors) > before
                               or bool(self._outcome and self._outcome.expectedFailure))
        self.logs = []
        super().run(result)
        if self.failed():
            for path, text in self.logs:
                print("--- %s\n%s" % (path, text), file=sys.stderr)

    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="hydrant-e2e-")
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)
        self.shm = tempfile.mkdtemp(prefix="hydrant-e2e-", dir="/dev/shm")
        self.addCleanup(shutil.rmtree, self.shm, ignore_errors=True)
        self.children = []
        self.addCleanup(self.end)
        self.seed = int(os.environ.get("HYDRANT_SEED", random.SystemRandom().randrange(1 << 32)))
        self.random = random.Random(self.seed)

    def end(self):
        """Ends what is left by its id, keeps the logs for a failure's report."""
        left = [child for child in self.children if child.poll() is None]
        for child in left:
            child.kill()
            child.wait()
        for child in self.children:
            for stream in (child.stdin, child.stdout, child.stderr):
                if stream:
                    stream.close()
        for name in sorted(os.listdir(self.dir)):
            if name.endswith(".log"):
                with open(os.path.join(self.dir, name), encoding="utf-8",
                          errors="replace") as file:
                    self.logs.append((name, file.read()[-20000:]))
        for place in reversed(mounts_below(self.dir)):
            unmount(place)
        if not self.failed():           # else one report is enough
            self.assertEqual([child.args for child in left], [], "left running by the test")
            self.assertEqual(processes_in(self.dir, self.shm), [],
                             "left running by what the test started")

    def popen(self, arguments, **options):
        child = subprocess.Popen(arguments, **options)
        self.children.append(child)
        return child

    def port_hold(self):
        """A port that nobody else gets: bound here, and free for who may share it to listen."""
        held = socket.socket()
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        self.addCleanup(held.close)
        return held.getsockname()[1]

    def run_hydrant(self, *arguments, env=None, stdin=b"", timeout=DEADLINE_S, **options):
        """Runs a command to its end; (code, stdout, stderr), the texts as text."""
        child = self.popen([self.hydrant, *arguments], stdin=subprocess.PIPE,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                           env={**os.environ, **(env or {})}, **options)
        out, err = child.communicate(stdin, timeout)
        return (child.returncode, out.decode("utf-8", "backslashreplace"),
                err.decode("utf-8", "backslashreplace"))

    def send(self, stream, data, *arguments, shm=None, code=0, **options):
        """`hydrant send` of bytes on standard input; its stderr."""
        result = self.run_hydrant("send", stream, "--shm-dir", shm or self.shm, *arguments,
                                  stdin=data, **options)
        self.assertEqual(result[0], code, result[2])
        return result[2]

    def path(self, *parts):
        return os.path.join(self.dir, *parts)

    def write_file(self, name, data):
        with open(self.path(name), "wb") as file:
            file.write(data if isinstance(data, bytes) else data.encode())
        return self.path(name)

    def programs_for_all(self):
        """Copies, to be run by another user: the tree may lie where others cannot go."""
        os.chmod(self.dir, 0o755)
        for name in ("hydrant", "producer"):
            path = shutil.copy(getattr(self, name), self.path(name))
            os.chmod(path, 0o755)
            setattr(self, name, path)

    def tmpfs(self, name, size):
        """A small file system of its own."""
        return Tmpfs(self, name, size).place

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

    def events_of(self, paths):
        """The events of some files, parsed."""
        found = []
        for path in paths:
            with open(path, "rb") as file:
                data = file.read()
            self.assertTrue(data.endswith(b"\n"), path)
            found += [json.loads(line) for line in data.splitlines()]
        return found

    def check_names(self, names, ext="json", time_pattern=r"\d{14}"):
        """Names are as promised, sort in batch order and never repeat."""
        ids = []
        for name in names:
            match = FILE_NAME.fullmatch(os.path.basename(name))
            self.assertIsNotNone(match, name)
            self.assertRegex(match["time"], "^" + time_pattern + "$")
            self.assertEqual((match["agent"], match["ext"]), ("tester", ext))
            ids.append((match["epoch"], match["shard"], int(match["number"])))
        self.assertEqual(ids, sorted(ids))
        self.assertEqual(len(ids), len(set(ids)))

    def check_books(self, status):
        """accepted = delivered + dropped + lost + pending, for every stream."""
        for s in status["streams"]:
            self.assertEqual(s["accepted"],
                             s["delivered"] + s["dropped"] + s["lost"] + s["pending"], s)

    def check_once_in_order(self, events, counts):
        """Of each producer its events 0 to n, once and in order; n as counted, or one of two."""
        seen = dict.fromkeys(counts, 0)
        for event in events:
            self.assertEqual(event["n"], seen[event["p"]],
                             "producer %s, seed %d" % (event["p"], self.seed))
            seen[event["p"]] += 1
        for name, allowed in counts.items():
            self.assertIn(seen[name], allowed if isinstance(allowed, tuple) else (allowed,),
                          "events of producer %s, seed %d" % (name, self.seed))


def punch_hole(path, offset, length):
    """Takes the pages of a range away; the file's size stays."""
    libc = ctypes.CDLL(None, use_errno=True)
    fd = os.open(path, os.O_RDWR)
    try:
        if libc.fallocate(fd, 3, ctypes.c_long(offset), ctypes.c_long(length)) != 0:
            raise OSError(ctypes.get_errno(), "fallocate")
    finally:
        os.close(fd)
