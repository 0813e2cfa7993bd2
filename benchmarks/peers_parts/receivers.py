"""receivers: what takes lines by a socket or a ring and writes them to files, each a child of ours.

Each is started in a folder of its own with a configuration that its documentation recommends for
throughput; start() returns when it listens. Nothing listens beyond Unix sockets and loopback,
nothing of the host's own configuration is read, and processes are ended by their id.
"""
import glob
import http.client
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(ROOT, "build", "release")
HYDRANT = os.path.join(BUILD, "hydrant")
TOOL = os.path.join(BUILD, "benchmarks", "lines_tool")
UNPACKED = os.path.join(ROOT, "build", "peers")
POLL_S = 0.005


def until(condition, what, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise SystemExit("peers: not within %d s: %s" % (seconds, what))
        time.sleep(POLL_S)


def proc(pid, name):
    with open("/proc/%d/%s" % (pid, name), encoding="ascii", errors="replace") as file:
        return file.read()


def write(path, text):
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


class UnixHttp(http.client.HTTPConnection):
    """HTTP by a Unix socket."""

    def __init__(self, path):
        super().__init__("localhost", timeout=300)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)


class Receiver:
    """Lines by the Unix socket "in" to the file "out", both in the receiver's folder."""
    name = what = program = None
    version_option = "--version"

    def __init__(self, folder):
        self.folder, self.process = folder, None
        self.socket, self.out = os.path.join(folder, "in"), os.path.join(folder, "out")
        self.target = "unix:" + self.socket
        self.written = [self.out]               # where lines end up

    @classmethod
    def there(cls):
        return cls.program is None or shutil.which(cls.program) is not None

    @classmethod
    def version(cls):
        """Of another's program; None: it is ours, or does not run."""
        return cls.program and version_of([cls.program, cls.version_option])

    def command(self):
        raise NotImplementedError

    def configured(self, text):
        """The path of its configuration, which says so."""
        path = os.path.join(self.folder, "conf")
        write(path, text)
        return path

    def listens(self):
        # The socket of an earlier life, which was killed, is still there: only a connection tells.
        with socket.socket(socket.AF_UNIX) as s:
            return s.connect_ex(self.socket) == 0

    def environment(self):
        return None

    def start(self):
        with open(os.path.join(self.folder, "log"), "ab") as log:
            self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, cwd=self.folder, env=self.environment())
        until(lambda: self.alive() and self.listens(), self.name + " listens")
        return self

    def alive(self):
        if self.process.poll() is not None:
            raise SystemExit("peers: %s ended with %d, see %s/log"
                             % (self.name, self.process.returncode, self.folder))
        return True

    def size(self):
        return os.path.getsize(self.out) if os.path.exists(self.out) else 0

    def settle(self, sent_bytes=None):
        """Waits until its files have so many bytes; or, without a number, as many as they get."""
        before, since = self.size(), time.monotonic()
        while sent_bytes is None or before < sent_bytes:
            if time.monotonic() - since > (1 if sent_bytes is None else 10):
                return
            time.sleep(POLL_S)
            now = self.size()
            if now != before:
                before, since = now, time.monotonic()

    def cpu_s(self):
        fields = proc(self.process.pid, "stat").rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")

    def peak_mib(self):
        line, = (line for line in proc(self.process.pid, "status").splitlines()
                 if line.startswith("VmHWM:"))
        return int(line.split()[1]) / 1024

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.kill()


class Hydrant(Receiver):
    """The agent as it comes, its log on; delivered is in files, durable, under final names."""
    name, what = "hydrant, socket", "Unix socket"
    settings = ""

    def __init__(self, folder, settings=""):
        super().__init__(folder)
        self.shm = tempfile.mkdtemp(prefix="hydrant-peers-", dir="/dev/shm")
        self.http = os.path.join(folder, "http")
        self.written = [os.path.join(folder, "data", "out")]
        self.settings = settings

    def command(self):
        return [HYDRANT, "agent", "-c", self.configured(
            "[agent]\ndata_dir = %s/data\nshm_dir = %s\nlog_level = warn\n[intake]\n"
            "unix = %s\n[http]\nlisten = unix:%s\n%s"
            % (self.folder, self.shm, self.socket, self.http, self.settings))]

    def ask(self, method, path):
        connection = UnixHttp(self.http)
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def listens(self):
        try:
            return self.ask("GET", "/readyz")[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def settle(self, sent_bytes=None):
        status, text = self.ask("POST", "/v1/flush")
        if status != 200:
            raise SystemExit("peers: flush answers %d: %s" % (status, text.decode()))

    def stop(self):
        super().stop()
        shutil.rmtree(self.shm, ignore_errors=True)


class HydrantRing(Hydrant):
    name, what = "hydrant, ring", "ring in shared memory"

    def __init__(self, folder, settings=""):
        super().__init__(folder, settings)
        self.target = "ring:" + self.shm


class Rsyslog(Receiver):
    """imptcp by a Unix socket into a queue of the ruleset's own, omfile in large batches."""
    name, what, program = "rsyslog", "imptcp, Unix stream socket, to omfile", "rsyslogd"
    version_option = "-v"

    def command(self):
        return [self.program, "-n", "-i", os.path.join(self.folder, "pid"), "-f", self.configured(
            'global(workDirectory="%s" maxMessageSize="64k")\n'
            'module(load="imptcp" threads="1" processOnPoller="on")\n'
            'input(type="imptcp" path="%s" unlink="on" ruleset="lines")\n'
            'template(name="raw" type="string" string="%%rawmsg%%\\n")\n'
            'ruleset(name="lines" queue.type="FixedArray" queue.size="100000"\n'
            '        queue.dequeueBatchSize="4096" queue.workerThreads="1") {\n'
            '  action(type="omfile" file="%s" template="raw" ioBufferSize="256k")\n}\n'
            % (self.folder, self.socket, self.out))]


class SyslogNg(Receiver):
    """unix-stream to file, unparsed, with large fetches and writes.

    Debian installs one system logger only, so this one is unpacked into build/peers and not
    installed.
    """
    name, what = "syslog-ng", "unix-stream, flags(no-parse), to file"
    LIBRARIES = os.path.join(UNPACKED, "syslog-ng-core", "usr", "lib", "syslog-ng")

    @classmethod
    def there(cls):
        return (shutil.which("syslog-ng") is not None or unpack("syslog-ng-core")) and \
            cls.version() is not None

    @classmethod
    def base(cls):
        installed = shutil.which("syslog-ng")
        if installed:
            return [installed], None
        modules, = glob.glob(os.path.join(cls.LIBRARIES, "[0-9]*"))
        return ([os.path.join(UNPACKED, "syslog-ng-core", "usr", "sbin", "syslog-ng"),
                 "--module-path", modules], {**os.environ, "LD_LIBRARY_PATH": cls.LIBRARIES})

    def environment(self):
        return self.base()[1]

    def command(self):
        config = self.configured(
            '@version: 3.38\noptions { stats-freq(0); use-dns(no); };\n'
            'source s { unix-stream("%s" flags(no-parse) max-connections(16)\n'
            '  log-fetch-limit(1000) log-iw-size(160000) log-msg-size(65536)); };\n'
            'destination d { file("%s" template("${MESSAGE}\\n") flush-lines(1000)\n'
            '  log-fifo-size(200000)); };\n'
            'log { source(s); destination(d); flags(flow-control); };\n'
            % (self.socket, self.out))
        return [*self.base()[0], "-F", "--no-caps", "-f", config,
                *("--%s=%s" % (option, os.path.join(self.folder, option))
                  for option in ("persist-file", "pidfile", "control"))]

    @classmethod
    def version(cls):
        command, environment = cls.base()
        return version_of([*command, "--version"], environment)


class FluentBit(Receiver):
    """tcp without parsing, to file; it has no Unix stream input that takes plain lines."""
    name, what, program = "fluent-bit", "tcp, format none, to file", "fluent-bit"

    def __init__(self, folder):
        super().__init__(folder)
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        self.target = "tcp:%d" % self.port

    def listens(self):
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", self.port)) == 0

    def command(self):
        return [self.program, "-c", self.configured(
            "[SERVICE]\n  flush 0.2\n  log_level error\n[INPUT]\n  name tcp\n"
            "  listen 127.0.0.1\n  port %d\n  format none\n  chunk_size 64\n  buffer_size 1024\n"
            "  mem_buf_limit 256M\n[OUTPUT]\n  name file\n  match *\n  path %s\n  file out\n"
            "  format template\n  template {log}\n" % (self.port, self.folder))]


class Vector(Receiver):
    """socket, mode unix_stream, to file as text."""
    name, what, program = "vector", "socket, unix_stream, to file", "vector"

    def command(self):
        return [self.program, "--quiet", "--config-toml", self.configured(
            'data_dir = "%s"\n[sources.s]\ntype = "socket"\nmode = "unix_stream"\n'
            'path = "%s"\n[sinks.d]\ntype = "file"\ninputs = ["s"]\npath = "%s"\n'
            '[sinks.d.encoding]\ncodec = "text"\n' % (self.folder, self.socket, self.out))]


class Loop(Receiver):
    """What the kernel costs: read() and write() of 64 KiB, nothing looked at, nothing promised."""
    name, what = "recv-write loop", "64 KiB a read, C"

    def command(self):
        return [TOOL, "loop", "--listen", self.socket, self.out]


class NoAgent(Receiver):
    """The sender writes its lines straight into a file, 64 KiB a write, and syncs it at the end."""
    name, what = "no agent", "straight into a file, fdatasync"

    def __init__(self, folder):
        super().__init__(folder)
        self.target = "file:" + self.out

    def start(self):
        return self

    def settle(self, sent_bytes=None):
        pass


def version_of(command, environment=None):
    """The first number with points that a program says of itself; None: it does not run."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          env=environment, check=False)
    found = re.search(r"\d+(\.\d+)+", done.stdout.decode("utf-8", "replace"))
    return found.group() if done.returncode == 0 and found else None


def unpack(package):
    """A Debian package's files below build/peers, without installing it. True: they are there."""
    folder = os.path.join(UNPACKED, package)
    if os.path.isdir(folder):
        return True
    if shutil.which("apt-get") is None:
        return False
    os.makedirs(UNPACKED, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=UNPACKED) as work:
        os.chmod(work, 0o777)                   # apt fetches under a user of its own
        if subprocess.run(["apt-get", "-q", "download", package], cwd=work,
                          stdout=subprocess.DEVNULL, check=False).returncode != 0:
            return False
        file, = glob.glob(os.path.join(work, "*.deb"))
        subprocess.run(["dpkg-deb", "-x", file, os.path.join(work, "files")], check=True)
        os.rename(os.path.join(work, "files"), folder)
    return True


RECEIVERS = (HydrantRing, Hydrant, Rsyslog, SyslogNg, FluentBit, Vector, Loop, NoAgent)


def receivers():
    """Those that are here."""
    return [kind for kind in RECEIVERS if kind.there()]
