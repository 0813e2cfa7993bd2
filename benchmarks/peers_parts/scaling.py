"""scaling: what an event costs the agent as the log, streams, partitions, rings, producers grow.

200-byte events by ring, as many at each point. CPU and rate are those of the way from the ring to
the log and into the batches, whose files are open by then: a file's beginning and end cost the same
however many events it has. Each event goes to another stream or partition than the one before;
rings get 64 at a time. For the log a batch stays open while the log grows; at each size the agent
is killed, and the start that reads the log is timed until the agent is ready. Every event is looked
for in the files.
"""
import json
import time

from .agents import Place, Sender, count
from .receivers import HydrantRing, until
from .results import row

SIZE = 200
POINTS = {"streams": (1, 10, 100, 1000), "partitions": (1, 5, 50, 500), "rings": (1, 10, 100, 1000),
          "producers": (1, 4, 16, 64)}
WARM_EVENTS = 400               # more than a block: the file of a batch is there
LOG_MIB = (64, 256, 1024)
OPEN_BATCH = "[stream *]\nbuffer_size = 4GiB\nbuffer_time = 1h\n"
PARTITIONED = "[stream *]\npartition_by = p\n"


def check(receiver, sent, *options):
    there = count(SIZE, receiver.written, *options)
    if there != {"lines": sent, "distinct": sent, "twice": 0, "torn": 0}:
        raise SystemExit("peers: scaling: not exactly once: %d sent, %s" % (sent, there))


def point(folder, kind, n, events):
    """CPU nanoseconds an event and millions of events a second with n of that kind."""
    options = {"ring_kib": 256, kind: n} if kind == "rings" else \
        {"ring_kib": 4096 if n < 16 else 1024} if kind == "producers" else {kind: n}
    producers, rings = (n if kind == key else 1 for key in ("producers", "rings"))
    warm = n * WARM_EVENTS if kind in ("streams", "partitions") else 0
    with Place(HydrantRing, folder, PARTITIONED if kind == "partitions" else "") as receiver:
        senders = []
        try:
            if warm:
                senders.append(Sender(receiver.target, 300, "--open-end", bytes=SIZE, events=warm,
                                      **options))
                senders[0].go()
                warm = senders.pop().wait()["events"]
            for i in range(producers):
                senders.append(Sender(receiver.target, 300, "--open-end", bytes=SIZE,
                                      name="p%d-" % i, first=warm + i, step=producers,
                                      events=events // producers, **options))
            until(lambda: len(json.loads(receiver.ask("GET", "/v1/status")[1])["rings"])
                  >= producers * rings, "all rings are attached")
            before, start = receiver.cpu_s(), time.monotonic()
            for sender in senders:
                sender.go()
            sent = sum(sender.wait()["events"] for sender in senders)
            taken, cpu = time.monotonic() - start, receiver.cpu_s() - before
        finally:
            for sender in senders:
                sender.close()
        receiver.stop()
        check(receiver, warm + sent, *(["--partitioned"] if kind == "partitions" else []))
    return {"cpu": cpu / sent * 1e9, "events": sent / taken / 1e6}


def log_sizes(folder, sizes_mib):
    """By size of the log: CPU an event while it has that size, and the start that reads it."""
    found = {}
    with Place(HydrantRing, folder, OPEN_BATCH) as receiver:
        sent = 0
        for mib in sizes_mib:
            while True:
                cpu, first = receiver.cpu_s(), sent
                sender = Sender(receiver.target, 0.25, "--open-end", bytes=SIZE, first=first)
                try:
                    sender.go()
                    sent += sender.wait()["events"]
                finally:
                    sender.close()
                cpu = receiver.cpu_s() - cpu
                if sent * (SIZE + 16) >= mib << 20:
                    break
            receiver.kill()
            start = time.monotonic()
            receiver.start()
            found[mib] = {"running": cpu / (sent - first) * 1e9,
                          "recovery": (time.monotonic() - start) / sent * 1e9,
                          "start": time.monotonic() - start}
        receiver.settle()
        receiver.stop()
        check(receiver, sent)
    return found


def measure(say, folder, events, quick):
    units = {"cpu": "ns/event", "events": "M events/s", "running": "ns/event",
             "recovery": "ns/event", "start": "s"}
    found = []
    for kind, points in POINTS.items():
        for n in points[:2] if quick else points:
            say("scaling: %d %s" % (n, kind))
            found.append((kind, n, point(folder, kind, n, events)))
    say("scaling: size of the log")
    found += [("log", mib, metrics) for mib, metrics in
              log_sizes(folder, LOG_MIB[:1] if quick else LOG_MIB).items()]
    return [row("scaling", kind, metric, units[metric], [value], n=n)
            for kind, n, metrics in found for metric, value in metrics.items()]
