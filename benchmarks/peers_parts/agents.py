"""agents: one producer's lines through each receiver into files, and what a kill leaves of them.

A round goes through all receivers in turn. The clock starts when the sender may begin and stops
when all its lines are in files: the agent's are then synced, under their final names, and have
been logged before; the others' are written. Afterwards every line is looked for in the files.
"""
import json
import os
import shutil
import subprocess
import tempfile
import time

from . import receivers
from .receivers import TOOL, Hydrant, NoAgent
from .results import row


class Sender:
    """lines_tool send: it has connected when this returns, and sends when told."""

    def __init__(self, target, seconds, *options, **settings):
        words = [word for key, value in settings.items()
                 for word in ("--" + key.replace("_", "-"), str(value))]
        self.process = subprocess.Popen(
            [TOOL, "send", target, "--seconds", str(seconds), *options, *words],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if self.process.stdout.readline() != "ready\n":
            raise SystemExit("peers: the sender to %s ended with %d"
                             % (target, self.process.wait()))

    def go(self):
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def wait(self):
        self.process.stdin.close()
        text = self.process.stdout.read()
        if self.process.wait() != 0:
            raise SystemExit("peers: the sender ended with %d" % self.process.returncode)
        return json.loads(text)

    def close(self):
        """After a failure elsewhere it must not go on."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def count(size, paths, *options):
    paths = [path for path in paths if os.path.exists(path)]
    if not paths:
        return {"lines": 0, "distinct": 0, "twice": 0, "torn": 0}
    return json.loads(subprocess.run([TOOL, "count", "--bytes", str(size), *options, *paths],
                                     stdout=subprocess.PIPE, check=True).stdout)


class Place:
    """A receiver at work in a folder that is not there any more afterwards."""

    def __init__(self, kind, folder, *arguments):
        self.folder = tempfile.mkdtemp(prefix="peers-", dir=folder)
        self.receiver = kind(self.folder, *arguments)

    def __enter__(self):
        os.sync()                               # what others have left to be written is theirs
        try:
            return self.receiver.start()
        except BaseException:
            self.receiver.stop()
            raise

    def __exit__(self, kind, value, trace):
        self.receiver.stop()
        if kind is None:
            shutil.rmtree(self.folder)          # else its log says why


def once(kind, folder, size, seconds):
    """One run: events a second, CPU seconds a million and MiB, or why there is no figure."""
    with Place(kind, folder) as receiver:
        plain = kind is NoAgent
        sender = Sender(receiver.target, seconds, bytes=size)
        try:
            before, start = 0 if plain else receiver.cpu_s(), time.monotonic()
            sender.go()
            sent = sender.wait()
            receiver.settle(sent["events"] * (size + 1))
            taken = time.monotonic() - start
        finally:
            sender.close()
        cpu = sent["cpu_s"] if plain else receiver.cpu_s() - before
        peak = 0 if plain else receiver.peak_mib()
        receiver.stop()
        there = count(size, receiver.written)
    if issubclass(kind, Hydrant) and there != {"lines": sent["events"], "twice": 0, "torn": 0,
                                               "distinct": sent["events"]}:
        raise SystemExit("peers: %s: not exactly once: %s sent, %s" % (kind.name, sent, there))
    million = sent["events"] / 1e6
    return {"events": million / taken, "cpu": cpu / million, "sender cpu": sent["cpu_s"] / million,
            "memory": peak, "missing": sent["events"] - there["distinct"],
            "twice": there["twice"], "torn": there["torn"]}


UNITS = {"events": "M events/s", "cpu": "s/M events", "sender cpu": "s/M events", "memory": "MiB",
         "missing": "events", "twice": "events", "torn": "lines"}


def throughput(say, folder, sizes, seconds):
    rows = []
    for size in sizes:
        for kind in receivers.receivers():
            say("agents: %d B, %s" % (size, kind.name))
            rows += [row("agents", kind.name, metric, UNITS[metric], [value], bytes=size,
                         how=kind.what)
                     for metric, value in once(kind, folder, size, seconds).items()]
    return rows


def killed(kind, folder, size):
    """kill -9 in the middle of the load, a restart, and what is in files then."""
    with Place(kind, folder) as receiver:
        sender = Sender(receiver.target, 1.6, bytes=size)
        try:
            sender.go()
            try:
                sender.process.wait(0.8)        # long enough that queues and batches are full
            except subprocess.TimeoutExpired:
                pass
            receiver.kill()
            receiver.start()
            sent = sender.wait()
        finally:
            sender.close()
        receiver.settle()
        receiver.stop()
        there = count(size, receiver.written)
    return {"accepted": sent["events"], "lost": max(0, sent["events"] - there["distinct"]),
            "twice": there["twice"], "torn": there["torn"]}


def kills(say, folder, size):
    rows = []
    for kind in receivers.receivers():
        if kind is NoAgent:
            continue
        say("agents: kill -9, " + kind.name)
        rows += [row("kill", kind.name, metric, "lines" if metric == "torn" else "events", [value],
                     bytes=size, how=kind.what)
                 for metric, value in killed(kind, folder, size).items()]
    return rows


def versions():
    found = {kind.name: kind.version() for kind in receivers.receivers()}
    return {name: version for name, version in found.items() if version}
