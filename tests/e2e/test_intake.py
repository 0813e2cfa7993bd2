"""Lines by sockets: TCP, Unix, UDP; what arrives, what a kill takes, what strangers can do."""
import base64
import gzip
import json
import os
import random
import resource
import shutil
import socket
import subprocess
import threading
import unittest

from harness import Agent, Case, DEADLINE_S, batches, files_below, sized, until
from test_status import parse_metrics


def snappy_block(data):
    """One raw block of literals, with a copy in it where the data allows one."""
    def varint(n):
        out = b""
        while n >= 128:
            out += bytes([n & 127 | 128])
            n >>= 7
        return out + bytes([n])

    out = varint(len(data))
    for at in range(0, len(data), 60):
        piece = data[at:at + 60]
        out += bytes([len(piece) - 1 << 2]) + piece
    return out


class Sockets(Case):
    """An agent with a socket of each kind."""

    def setUp(self):
        super().setUp()
        self.path_unix = self.path("lines.sock")
        self.tcp, self.udp = self.port_hold(), self.udp_port()

    def udp_port(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
            free.bind(("127.0.0.1", 0))
            return free.getsockname()[1]

    def make(self, intake="", rest="", **options):
        return Agent(self, "%s\n[intake]\ntcp = 127.0.0.1:%d\nunix = %s\nudp = 127.0.0.1:%d\n%s\n"
                     % (rest, self.tcp, self.path_unix, self.udp, intake), **options)

    def start(self, *arguments, **options):
        self.agent = self.make(*arguments, **options).start()
        return self.agent

    def connect(self, kind="tcp"):
        family, where = {"tcp": (socket.AF_INET, ("127.0.0.1", self.tcp)),
                         "unix": (socket.AF_UNIX, self.path_unix)}[kind]
        s = socket.socket(family)
        self.addCleanup(s.close)
        s.settimeout(DEADLINE_S)
        s.connect(where)
        return s

    def close(self, s):
        """Ends our side and waits for theirs: then all is taken. False: the agent died."""
        try:
            s.shutdown(socket.SHUT_WR)
            taken = s.recv(1) == b""
        except OSError:
            taken = False
        s.close()
        return taken

    def send_all(self, data, kind="tcp"):
        s = self.connect(kind)
        s.sendall(data)
        self.assertTrue(self.close(s))

    def datagram(self, data):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.sendto(data, ("127.0.0.1", self.udp))

    def intake(self):
        return self.agent.status()["intake"]

    def letters(self, stream="default"):
        """What the error output of a stream says: (why, data)."""
        folder = os.path.join(self.agent.out, stream, "errors", "processing-failed")
        found = self.events_of(os.path.join(folder, name) for name in batches(folder))
        return [(e["errorMessage"], base64.b64decode(e["rawData"])) for e in found]

    def events(self, stream="load"):
        """As delivered, without the error output."""
        folder = os.path.join(self.agent.out, stream)
        return self.events_of(os.path.join(folder, name) for name in sorted(os.listdir(folder))
                              if os.path.isfile(os.path.join(folder, name))) \
            if os.path.isdir(folder) else []


class Arrival(Sockets):
    def test_lines_of_a_hundred_connections_arrive_once_each_and_in_order(self):
        self.start()
        lines = sized(100, 500, 10000)
        kinds = ("tcp", "unix")

        def work(i):
            chance = random.Random(self.seed + i)
            data = b"".join(b'load {"p":%d,"n":%d,"pad":"%s"}\n'
                            % (i, n, b"x" * chance.randrange(200)) for n in range(lines))
            s, at = self.connect(kinds[i % 2]), 0
            while at < len(data):
                at += s.send(data[at:at + chance.randrange(1, 30000)])
            self.assertTrue(self.close(s))

        self.in_threads(100, work)
        intake = self.intake()
        self.assertEqual(intake["events"], {"tcp": 50 * lines, "unix": 50 * lines, "udp": 0})
        self.assertEqual(intake["connections_total"], {"tcp": 50, "unix": 50, "udp": 0})
        self.assertEqual(intake["connections"], {"tcp": 0, "unix": 0, "udp": 0})
        self.agent.stop()
        self.check_once_in_order(self.events(), {i: lines for i in range(100)})

    def test_many_threads_with_a_unix_socket_each(self):
        self.start()
        lines = sized(200, 1000, 40000)

        def work(i):
            chance = random.Random(self.seed + i)
            s = self.connect("unix")
            for n in range(lines):
                event = {"zeta": n, "alpha": i, "text": "ü" * chance.randrange(20),
                         "list": [None, 1.5]}
                s.sendall(b"threads.%02d " % i + json.dumps(event, sort_keys=True).encode() + b"\n")
            self.assertTrue(self.close(s))

        self.in_threads(25, work)
        self.agent.stop()
        for i in range(25):
            folder = os.path.join(self.agent.out, "threads.%02d" % i)
            data = b"".join(open(os.path.join(folder, name), "rb").read()
                            for name in batches(folder))
            events = [json.loads(line) for line in data.splitlines()]
            self.assertEqual([e["zeta"] for e in events], list(range(lines)))
            # json passes through as it was written.
            self.assertEqual(data.splitlines(),
                             [json.dumps(e, sort_keys=True).encode() for e in events])

    def test_kinds_names_and_ends_of_lines(self):
        self.start(rest="default_stream = nameless")
        self.send_all(b'a {"x": 1}\r\nb text\n\n\r\n{"y": 2}\nc \xff\xfe\na half', "unix")
        self.agent.stop()
        self.assertEqual(self.events("a"), [{"x": 1}, {"message": "half"}])
        self.assertEqual(self.events("b"), [{"message": "text"}])
        self.assertEqual(self.events("nameless"), [{"y": 2}])
        self.assertEqual(self.events("c"), [{"message_base64": base64.b64encode(b"\xff\xfe").decode()}])

    def test_datagrams_arrive_or_are_counted(self):
        self.start()
        sent = 0

        def send():
            nonlocal sent
            s.send(b'load {"n":%d}\nload {"n":%d}' % (2 * sent, 2 * sent + 1))
            sent += 1

        def told():
            intake = self.intake()
            return intake["events"]["udp"] + 2 * intake["datagrams_dropped"] == 2 * sent

        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.connect(("127.0.0.1", self.udp))
            for _ in range(sized(500, 5000, 100000)):
                send()
            # One more tells how many the kernel had to drop, unless it drops that one, too.
            until(lambda: told() or send(), lambda: "all of %d: %s" % (sent, self.intake()))
        dropped = self.intake()["datagrams_dropped"]
        self.agent.stop()
        numbers = [e["n"] for e in self.events()]
        self.assertEqual(len(numbers), len(set(numbers)))
        self.assertEqual(len(numbers) + 2 * dropped, 2 * sent)
        self.assertEqual(numbers, sorted(numbers))

    def test_compressed_streams_and_datagrams(self):
        self.start()
        lines = [b'load {"n":%d}\n' % n for n in range(sized(1000, 20000, 200000))]
        third = len(lines) // 3
        # Two members and two frames in a row, in small cuts.
        packed = [gzip.compress(b"".join(lines[:10])) + gzip.compress(b"".join(lines[10:third])),
                  b"".join(subprocess.run(["zstd", "-c"], input=b"".join(part),
                                          stdout=subprocess.PIPE, check=True).stdout
                           for part in (lines[third:third + 7], lines[third + 7:2 * third]))]
        for data in packed:
            s = self.connect()
            for at in range(0, 40):
                s.sendall(data[at:at + 1])
            s.sendall(data[40:])
            self.assertTrue(self.close(s))
        rest = lines[2 * third:]
        for at in range(0, len(rest), 100):
            part = b"".join(rest[at:at + 100])
            self.datagram(gzip.compress(part) if at % 200 == 0 else snappy_block(part))
            until(lambda: self.intake()["events"]["udp"] == min(at + 100, len(rest)), "it came")
        self.assertEqual(sum(self.intake()["bad_lines"].values()), 0)
        self.agent.stop()
        self.assertEqual([e["n"] for e in self.events()][:2 * third], list(range(2 * third)))
        self.assertEqual(sorted(e["n"] for e in self.events()), list(range(len(lines))))

    def test_datagrams_that_name_no_stream_go_to_the_default_one(self):
        """As clients send that know JSON and nothing of streams: plain, and as a snappy block."""
        self.start(rest="default_stream = nameless")
        wanted = []
        for n, pack in enumerate((bytes, lambda data: data + b"\n", snappy_block, gzip.compress)):
            wanted.append({"n": n, "text": "häßlich " * 20, "nested": {"list": [None, 1.5, "x y"]}})
            self.datagram(pack(json.dumps(wanted[-1], ensure_ascii=False).encode()))
            until(lambda: self.intake()["events"]["udp"] == n + 1, "it came")
        many = [{"n": n} for n in range(4, 100)]
        self.datagram(snappy_block(b"\n".join(json.dumps(e).encode() for e in many)))
        until(lambda: self.intake()["events"]["udp"] == 100, "all of them")
        self.assertEqual(sum(self.intake()["bad_lines"].values()), 0)
        self.agent.stop()
        self.assertEqual(self.events("nameless"), wanted + many)
        self.assertEqual(self.letters("nameless"), [])

    def test_what_others_send_with(self):
        """nc and socat, where they are installed: each over many connections at once."""
        self.start()
        commands = [["nc", "-N", "127.0.0.1", str(self.tcp)], ["nc", "-N", "-U", self.path_unix],
                    ["socat", "-u", "STDIN", "TCP:127.0.0.1:%d" % self.tcp],
                    ["socat", "-u", "STDIN", "UNIX-CONNECT:" + self.path_unix]]
        commands = [c for c in commands if shutil.which(c[0])] * sized(2, 5, 25)
        lines = sized(100, 1000, 10000)

        def work(i):
            subprocess.run(commands[i], check=True, timeout=2 * DEADLINE_S, input=b"".join(
                b'load {"p":%d,"n":%d}\n' % (i, n) for n in range(lines)))

        if not commands:
            self.skipTest("neither nc nor socat")
        self.in_threads(len(commands), work)
        count = lines * len(commands)
        until(lambda: (self.agent.stream("load") or {}).get("accepted") == count, "all came")
        self.agent.stop()
        self.check_once_in_order(self.events(), {i: lines for i in range(len(commands))})

    def test_a_million_lines(self):
        self.start()
        lines = sized(10000, 40000, 1000000)
        for kind in ("tcp", "unix"):
            s = self.connect(kind)
            for first in range(0, lines, 1000):
                s.sendall(b"".join(b'load-%s {"n":%d}\n' % (kind.encode(), n)
                                   for n in range(first, min(first + 1000, lines))))
            self.assertTrue(self.close(s))
        self.agent.stop()
        for kind in ("tcp", "unix"):
            self.assertEqual([e["n"] for e in self.events("load-" + kind)], list(range(lines)))


class Ends(Sockets):
    def test_what_was_closed_cleanly_survives_kill_9(self):
        self.start()
        done, lock = {}, threading.Lock()
        stop = threading.Event()
        ends = (b"\n", b"")             # the last line of every second one has none
        lives, per_connection = sized(2, 2, 20), 50

        def work(i):
            n = 0
            while not stop.is_set():
                try:
                    s = self.connect(("tcp", "unix")[i % 2])
                    s.sendall(b"\n".join(b'load {"p":%d,"n":%d}' % (i, k)
                                         for k in range(n, n + per_connection)) + ends[i // 2 % 2])
                except OSError:
                    stop.wait(0.01)
                    continue
                finally:
                    first, n = n, n + per_connection
                if self.close(s):
                    with lock:
                        done.setdefault(i, []).append(first)

        threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
        for thread in threads:
            thread.start()
        for life in range(lives):
            before = sum(map(len, done.values()))
            until(lambda: sum(map(len, done.values())) > before + 20, "some are through")
            self.agent.kill()
            self.agent.start()
        stop.set()
        for thread in threads:
            thread.join(DEADLINE_S)
        self.agent.stop()
        events = [(e["p"], e["n"]) for e in self.events()]
        self.assertEqual(len(events), len(set(events)), "once each")
        sure = {(i, k) for i, firsts in done.items() for first in firsts
                for k in range(first, first + per_connection)}
        self.assertEqual(sure - set(events), set(), "seed %d" % self.seed)

    def test_events_are_counted_by_their_entrance_in_every_life(self):
        self.start()
        wanted = dict.fromkeys(("ring", "tcp", "unix", "udp", "http", "firehose", "relay"), 0)

        def some(count):
            for kind in ("tcp", "unix"):
                self.send_all(b"load x\n" * count, kind)
            for _ in range(count):
                self.datagram(b"load x")
            self.send("load", b"x\n" * 2 * count)
            self.assertEqual(self.agent.ask("POST", "/v1/streams/load/events",
                                            {"Content-Type": "application/json"},
                                            b"[%s]" % b",".join([b"{}"] * 3 * count))[0], 202)
            self.assertEqual(self.agent.ask("POST", "/", {
                "Content-Type": "application/x-amz-json-1.1",
                "X-Amz-Target": "Firehose_20150804.PutRecord"},
                b'{"DeliveryStreamName": "load", "Record": {"Data": "eAo="}}')[0], 200)
            for source, times in (("ring", 2 * count), ("tcp", count), ("unix", count),
                                  ("udp", count), ("http", 3 * count), ("firehose", 1)):
                wanted[source] += times

        def found():
            metrics = parse_metrics(self.agent.ask("GET", "/metrics")[1])
            return {source: metrics["hydrant_events_accepted_total"].get(
                '{stream="load",source="%s"}' % source) for source in wanted}

        def check():
            until(lambda: found() == wanted, lambda: "%r, wanted %r" % (found(), wanted))
            self.assertEqual(self.agent.stream("load")["accepted"], sum(wanted.values()))

        some(20)
        check()
        self.agent.kill()
        self.agent.start()
        check()
        some(3)
        check()
        self.agent.stop()
        self.agent.start()
        check()
        self.agent.stop()

    def test_a_stop_takes_what_open_connections_have_sent(self):
        self.start()
        sockets = [self.connect(("tcp", "unix")[i % 2]) for i in range(20)]
        for i, s in enumerate(sockets):
            s.sendall(b"".join(b'load {"p":%d,"n":%d}\n' % (i, n) for n in range(200)))
        sockets[0].sendall(b"load not at its e")
        # Not accepted yet, perhaps: it waits in the kernel.
        late = self.connect("unix")
        late.sendall(b'load {"p":20,"n":0}\n')
        self.agent.stop()
        for s in sockets:
            self.assertEqual(s.recv(1), b"")
        self.check_once_in_order(self.events(), {**{i: 200 for i in range(20)}, 20: 1})
        self.assertEqual(self.letters(), [("the connection broke off in the middle of the line",
                                           b"load not at its e")])
        self.assertFalse(os.path.exists(self.path_unix))

    def test_a_stop_does_not_wait_for_who_goes_on_sending(self):
        self.start(rest="shutdown_timeout = 2s")
        over = threading.Event()

        def flood():
            try:
                s = self.connect()
                while not over.is_set():
                    s.sendall(b'load {"n":1}\n' * 1000)
            except OSError:
                pass

        thread = threading.Thread(target=flood)
        thread.start()
        try:
            until(lambda: self.agent.stream("load"), "it sends")
            self.assertEqual(self.agent.terminate(), 0)
        finally:
            over.set()
            thread.join(DEADLINE_S)

    def test_sockets_that_are_left_behind_are_replaced_and_files_are_not(self):
        self.start()
        self.agent.kill()
        self.assertTrue(os.path.exists(self.path_unix))
        self.agent.start()
        self.assertEqual(os.stat(self.path_unix).st_mode & 0o777, 0o660)
        self.send_all(b"a x\n", "unix")
        self.agent.stop()
        self.write_file("lines.sock", "precious")
        self.agent.spawn()
        self.assertEqual(self.agent.process.wait(DEADLINE_S), 1)
        self.assertIn("there is something that is no socket", self.agent.log())
        with open(self.path_unix, encoding="ascii") as file:
            self.assertEqual(file.read(), "precious")

    def test_a_full_ring_stops_the_reading_and_loses_nothing(self):
        self.start(rest="[wal]\nmax_bytes = 8MiB\nsegment_size = 2MiB\n"
                        "[stream *]\nbuffer_time = 100ms")
        # The destination cannot be made: batches wait, pin the log, and so the rings fill.
        os.rename(self.agent.out, self.path("away")) if os.path.exists(self.agent.out) else None
        self.write_file(os.path.relpath(self.agent.out, self.dir), "in the way")
        lines, pad = sized(500, 500, 2000), "x" * 200000
        s = self.connect()

        def work(_):
            for n in range(lines):
                s.sendall(b'load {"n":%d,"pad":"%s"}\n' % (n, pad.encode()))

        thread = threading.Thread(target=work, args=(0,))
        thread.start()
        other = self.connect("unix")
        try:
            until(lambda: self.intake()["connections_waiting"] == 1, "it waits")
            self.assertTrue(thread.is_alive(), "its sender does not")
            # Who never missed the directory would find it where it was moved to.
            until(lambda: any(k["waits_because"] for k in self.agent.status()["sinks"]),
                  "the destination is missed")
            # Other kinds of sockets have rings of their own.
            other.sendall(b"other x\n")
            until(lambda: self.intake()["events"]["unix"] == 1, "the other goes on")
        finally:
            os.unlink(self.agent.out)
            thread.join(DEADLINE_S)
        self.assertTrue(self.close(s))
        self.agent.stop()
        self.assertEqual([e["n"] for e in self.events()], list(range(lines)))


class Strangers(Sockets):
    def test_bad_lines_are_counted_and_kept_and_the_others_go_on(self):
        self.start("line_bytes_max = 1KiB")
        long = b"load " + b"x" * 1020
        self.send_all(b"nospace\n-bad name\n" + long + b"\n" + b"load good\n")
        self.datagram(b"load x\n\xff\xff bad\nload y")
        until(lambda: self.intake()["events"]["udp"] == 2, "the datagram came")
        self.assertEqual({k: v for k, v in self.intake()["bad_lines"].items() if v},
                         {"no_stream": 1, "bad_name": 2, "too_long": 1})
        metrics = parse_metrics(self.agent.ask("GET", "/metrics")[1])
        self.assertEqual(metrics["hydrant_intake_bad_lines_total"]['{reason="bad_name"}'], 2)
        self.assertEqual(metrics["hydrant_intake_drops_total"]['{reason="bad_line"}'], 0)
        self.assertIn("2 bad lines since the start: bad_name", self.agent.run("status")[1])
        self.agent.stop()
        self.assertEqual(self.events(), [{"message": m} for m in ("good", "x", "y")])
        self.assertEqual(sorted(data[:20] for _, data in self.letters()),
                         sorted([b"nospace", b"-bad name", long[:20], b"\xff\xff bad"]))

    def test_rubbish_is_kept_up_to_a_rate_and_counted(self):
        self.start()
        count = 2000
        self.send_all(b"rubbish\n" * count)
        intake = self.intake()
        self.assertEqual(intake["bad_lines"]["no_stream"], count)
        self.assertGreater(intake["bad_lines_dropped"], 0)
        self.agent.stop()
        self.assertEqual(len(self.letters()), count - intake["bad_lines_dropped"])

    def test_random_bytes_harm_nobody(self):
        self.start()
        for _ in range(sized(50, 150, 5000)):
            s = self.connect(self.random.choice(("tcp", "unix")))
            try:
                head = self.random.choice((b"", b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"\x1f\x8b\x08\0"))
                s.sendall(head + self.random.randbytes(65536))
            except OSError:
                pass                # it was closed on rubbish that cannot be unpacked
            self.close(s)
            self.datagram(self.random.randbytes(self.random.randrange(1400)))
        # 64 KiB more by UDP, in a datagram as large as there can be and one of the rest.
        for head in (b"", b"\x1f\x8b\x08\0", b"\x28\xb5\x2f\xfd", b"\xff\xff\x03"):
            data = head + self.random.randbytes(65536 - len(head))
            self.datagram(data[:65507])
            self.datagram(data[65507:])
        self.send_all(b"load good\n")
        status = self.agent.status()
        self.check_books(status)
        self.assertEqual(status["intake"]["connections"]["tcp"], 0)
        self.agent.stop()
        self.assertEqual(self.events(), [{"message": "good"}])

    def test_damaged_streams_keep_what_came_before(self):
        self.start()
        packed = gzip.compress(b"".join(b"load %d\n" % n for n in range(1000)))
        for data in (packed[:-9], packed + b"garbage!"):
            s = self.connect()
            s.sendall(data)
            self.close(s)
        until(lambda: self.intake()["bad_lines"]["damaged"] == 2, "both are noticed")
        self.datagram(packed[:-9])
        until(lambda: self.intake()["bad_lines"]["damaged"] == 3, "the datagram too")
        self.assertEqual(self.intake()["connections_ended"]["damaged"], 2)
        self.agent.stop()
        numbers = [e["message"] for e in self.events()]
        self.assertGreater(len(numbers), 1500)
        self.assertEqual(set(numbers) - {str(n) for n in range(1000)}, set())

    def test_a_bomb_takes_time_and_no_memory(self):
        self.start("line_bytes_max = 64KiB")
        packed = gzip.compress(b"\0" * sized(20 << 20, 20 << 20, 1 << 30))
        self.send_all(b"load first\n")
        self.datagram(b"load first\n")
        until(lambda: self.intake()["events"]["udp"] == 1, "both rings are there")
        self.agent.flush()
        before = self.resident()
        s = self.connect()
        s.sendall(packed)
        self.assertTrue(self.close(s))
        self.datagram(gzip.compress(b"\0" * (50 << 20)))
        until(lambda: self.intake()["bad_lines"]["damaged"] == 1, "the datagram is given up")
        self.assertLess(self.resident() - before, 40 << 20)
        self.assertGreaterEqual(self.intake()["bad_lines"]["too_long"], 1)
        self.agent.stop()

    def resident(self):
        with open("/proc/%d/statm" % self.agent.process.pid, encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def test_thousands_of_silent_connections_cost_little(self):
        count = sized(500, 2000, 10000)
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if hard != resource.RLIM_INFINITY and hard < 2 * count:
            self.skipTest("RLIMIT_NOFILE is %d" % hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, count + 200), hard))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        self.start()
        for kind in ("tcp", "unix"):            # the rings are made
            self.send_all(b"load first\n", kind)
        self.datagram(b"load first")
        until(lambda: self.intake()["events"]["udp"] == 1, "it came")
        before = self.resident()
        silent = [self.connect(("tcp", "unix")[i % 2]) for i in range(count)]
        until(lambda: sum(self.intake()["connections"].values()) == count, "all are accepted")
        for s in silent[::10]:
            s.sendall(b"load half a li")
        self.datagram(b"load between")
        until(lambda: self.intake()["events"]["udp"] == 2, "it came")
        if not os.environ.get("HYDRANT_BIN", "").count("asan"):     # which keeps what is freed
            self.assertLess((self.resident() - before) / count, 8192)
        for s in silent:
            s.close()
        until(lambda: sum(self.intake()["connections"].values()) == 0, "all are gone")
        self.agent.stop()
        self.assertEqual(len(self.events()), 4 + len(silent[::10]))

    def test_who_sends_byte_by_byte_is_understood(self):
        self.start()
        line = b'load {"slow": true}\r\n'
        sockets = [self.connect(("tcp", "unix")[i % 2]) for i in range(30)]
        for s in sockets[::2]:
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for i in range(len(line)):
            for s in sockets:
                s.sendall(line[i:i + 1])
        for s in sockets:
            self.assertTrue(self.close(s))
        self.agent.stop()
        self.assertEqual(self.events(), [{"slow": True}] * 30)

    def test_senders_of_a_byte_now_and_then_harm_nobody(self):
        """Ever one more byte of the line, while others send all they have."""
        self.start()
        pause, count = sized(0.05, 0.05, 1), sized(10, 20, 20)
        line, stop = b'slow {"slow": true}\n', threading.Event()
        slow = [self.connect(("tcp", "unix")[i % 2]) for i in range(6)]
        sent = []

        def trickle():
            while len(sent) < count or not stop.is_set():
                for s in slow:
                    s.sendall(line[len(sent) % len(line):][:1])
                sent.append(None)
                threading.Event().wait(pause)

        def work(i):
            s = self.connect(("tcp", "unix")[i % 2])
            s.sendall(b"".join(b'load {"p":%d,"n":%d}\n' % (i, n) for n in range(lines)))
            self.assertTrue(self.close(s))

        lines = sized(2000, 20000, 50000)
        thread = threading.Thread(target=trickle)
        thread.start()
        try:
            self.in_threads(8, work)
            until(lambda: self.agent.booked("load", "accepted") == 8 * lines, "the others are through")
            self.assertEqual(self.intake()["connections"]["tcp"], 3)
        finally:
            stop.set()
            thread.join(DEADLINE_S)
        rest = line[len(sent) % len(line):] if len(sent) % len(line) else b""
        for s in slow:
            s.sendall(rest)
            self.assertTrue(self.close(s))
        self.agent.stop()
        self.check_once_in_order(self.events(), {i: lines for i in range(8)})
        whole = (len(sent) + len(rest)) // len(line)
        self.assertEqual(self.events("slow"), [{"slow": True}] * 6 * whole)

    def test_connections_beyond_the_limit_wait(self):
        self.start("connections_max = 3")
        sockets = [self.connect(("tcp", "unix")[i % 2]) for i in range(6)]
        for i, s in enumerate(sockets):
            s.sendall(b"load %d\n" % i)
        until(lambda: sum(self.intake()["events"].values()) == 3, "three are served")
        self.agent.log_has("connections_max is reached")
        self.assertEqual(sum(self.intake()["connections"].values()), 3)
        for s in sockets[:3]:
            s.close()
        until(lambda: sum(self.intake()["events"].values()) == 6, "the others follow")
        for s in sockets[3:]:
            self.assertTrue(self.close(s))
        self.agent.stop()

    @unittest.skipIf(shutil.which("prlimit") is None, "no prlimit")
    def test_connections_leave_descriptors_for_rings_and_files(self):
        # The soft limit is raised to the hard one; half of that is what sockets may have.
        self.start(wrap=["prlimit", "--nofile=200:400"])
        self.agent.log_has("connections_max = 10000: there are 200")
        sockets = [self.connect(("tcp", "unix")[i % 2]) for i in range(250)]
        until(lambda: sum(self.intake()["connections"].values()) == 200, "as many as may be")
        for i in range(20):
            self.send("load", b"x\n", "--durable")
        for s in sockets:
            s.sendall(b"load x\n")
        for s in sockets:
            self.assertTrue(self.close(s))
        until(lambda: self.agent.booked("load", "accepted") == 270, "all")
        self.agent.stop()

    def test_the_silent_and_the_slow_are_closed(self):
        self.start("idle_timeout = 1s")
        silent, half = self.connect(), self.connect("unix")
        half.sendall(b"load whole\nload ha")
        self.assertEqual(silent.recv(1), b"")
        self.assertEqual(half.recv(1), b"")
        until(lambda: sum(self.intake()["connections"].values()) == 0, "both are gone")
        self.assertGreaterEqual(self.intake()["connections_ended"]["idle"], 1)
        self.agent.stop()
        self.assertEqual(self.events(), [{"message": "whole"}])
        self.assertEqual(self.letters(), [("the connection broke off in the middle of the line",
                                           b"load ha")])

    def test_names_of_streams_without_end_do_not_stop_the_others(self):
        self.start(rest="streams_max = 20")
        self.send_all(b"load first\n" + b"".join(b"s%d x\n" % n for n in range(100)))
        self.send_all(b"load last\n")
        self.assertEqual(sum(self.intake()["events"].values()) +
                         self.intake()["bad_lines"]["no_room"], 102)
        self.assertGreaterEqual(self.intake()["bad_lines"]["no_room"], 80)
        self.agent.stop()
        self.assertEqual([e["message"] for e in self.events()], ["first", "last"])

    def test_a_reload_changes_the_default_stream_and_tells_what_waits(self):
        self.start(rest="default_stream = one")
        self.send_all(b'{"n": 1}\n')
        text = open(self.agent.config, encoding="utf-8").read()
        with open(self.agent.config, "w", encoding="utf-8") as file:
            file.write(text.replace("= one", "= two") + "idle_timeout = 7m\n")
        self.agent.process.send_signal(1)
        self.agent.log_has("reloaded")
        self.assertRegex(self.agent.log(), "wait for the next start.*idle_timeout")
        until(lambda: self.send_all(b'{"n": 2}\n') or self.agent.stream("two"), "it is another")
        self.agent.stop()
        self.assertGreaterEqual(len(self.events("two")), 1)

    def test_a_ring_that_others_cut_short_is_followed_by_another(self):
        self.start()
        self.send_all(b"load first\n")
        self.agent.flush()
        ring = next(n for n in os.listdir(self.shm) if n.startswith("hydrant-tcp"))
        os.truncate(os.path.join(self.shm, ring), 4096)
        for n in range(3):
            self.send_all(b"load %d\n" % n)
        self.agent.log_has("another ring is made")
        self.agent.flush()
        self.agent.terminate()
        self.assertEqual([e["message"] for e in self.events()][0], "first")
        self.assertIn("2", [e["message"] for e in self.events()])


class Send(Sockets):
    """`hydrant send` by socket."""

    def by_socket(self, data, *arguments, code=0, **options):
        result = self.run_hydrant("send", "load", *arguments, stdin=data, **options)
        self.assertEqual(result[0], code, result[2])
        return result[2]

    def places(self):
        return ("--tcp", "127.0.0.1:%d" % self.tcp), ("--unix", self.path_unix)

    def test_all_is_committed_when_it_ends(self):
        self.start()
        lines = sized(10000, 40000, 1000000)
        data = b"".join(b'{"n": %d, "pad": "%s"}\n' % (n, b"x" * 100) for n in range(lines))
        for i, place in enumerate(self.places()):
            for how in ((), ("--gzip",)):
                before = self.agent.booked("load", "accepted")
                err = self.by_socket(data, *place, *how)
                self.assertRegex(err, r"^%d events, %d bytes" % (lines, len(data) - lines))
                until(lambda: self.agent.booked("load", "accepted") == before + lines, "all")
        self.agent.stop()
        self.assertEqual([e["n"] for e in self.events()], 4 * list(range(lines)))

    def test_lines_are_those_that_a_ring_would_get(self):
        self.start()
        data = b"a\n\n\r\nb\r\nc\r\r\n{\"d\": 1}\n \xff\nlast"
        self.by_socket(data, *self.places()[0])
        self.send("ring", data)
        self.agent.stop()
        self.assertEqual(len(self.events()), 6)
        self.assertEqual(self.events(), self.events("ring"))

    def test_it_waits_for_an_agent_and_gives_up_when_told(self):
        agent = self.make()
        err = self.by_socket(b"x\n", *self.places()[0], "--timeout", "300ms", code=1)
        self.assertIn("Connection refused: given up", err)
        child = self.popen([self.hydrant, "send", "load", *self.places()[1]],
                           stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        child.stdin.write(b"one\n")
        child.stdin.flush()
        self.agent = agent.start()
        until(lambda: self.agent.stream("load"), "it has come, without the end of the input")
        _, err = child.communicate(b"two\n", DEADLINE_S)
        self.assertEqual(child.returncode, 0, err)
        self.agent.stop()
        self.assertEqual([e["message"] for e in self.events()], ["one", "two"])

    def test_what_a_kill_leaves_unknown_is_said(self):
        self.start()
        lines, pad = sized(40, 40, 400) * 1000, b"x" * 1000
        child = self.popen([self.hydrant, "send", "load", *self.places()[self.random.randrange(2)]],
                           stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        answers = []
        data = b"".join(b'{"n":%d,"pad":"%s"}\n' % (n, pad) for n in range(lines))
        thread = threading.Thread(target=lambda: answers.append(child.communicate(data)))
        thread.start()
        until(lambda: self.agent.booked("load", "accepted") > lines / 10, "some")
        self.agent.kill()
        self.agent.start()
        thread.join(DEADLINE_S)
        err = answers[0][1].decode()
        self.agent.stop()
        numbers = [e["n"] for e in self.events()]
        self.assertEqual(len(numbers), len(set(numbers)), "once each")
        sure = int(err.split("\n")[-2].split()[0])
        unknown = lines - sure
        if unknown:
            self.assertIn("%d events more were sent by connections that broke" % unknown, err)
        self.assertEqual(child.returncode, 1 if unknown else 0, err)
        # One connection that the kill broke, and one that nobody had accepted yet.
        self.assertLessEqual(unknown * len(pad), 20 << 20)
        self.assertGreaterEqual(len(numbers), sure)


if __name__ == "__main__":
    import unittest
    unittest.main()
