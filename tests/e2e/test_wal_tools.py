"""`hydrant wal` and `hydrant ring show` at work on what is alive, dead and damaged.

Logs are those of real agents, read while they write, after their death and their end.
"""
import base64
import json
import os
import shutil
import signal

from harness import NOBODY, Agent, Case, Producer, files_below, sized, until

# Segments as small as they get, so that a load rolls and trims all the time.
CONFIG = """
[wal]
segment_size = 2MiB
max_bytes = 64MiB
[stream *]
buffer_count = %s
buffer_time = %s
"""
BUSY = CONFIG % (500, "100ms")
KEEPING = CONFIG % (-1, "1h")
BLOCK = 4096
HEADER_AGAIN = 2048


class WalTools(Case):
    def wal(self, *arguments, code=0, **options):
        found, out, err = self.run_hydrant("wal", *arguments, **options)
        self.assertEqual(found, code, out + err)
        return out if code != 2 else err

    def dump(self, directory, *arguments, code=0):
        return [json.loads(line) for line in
                self.wal("dump", directory, "--json", *arguments, code=code).splitlines()]

    def files(self, directory, code=0):
        return json.loads(self.wal("ls", directory, "--json", code=code))

    # --- a sound log -------------------------------------------------------------------------

    def test_dump_shows_what_was_sent(self):
        agent = Agent(self, KEEPING).start()
        hostile = b"a\x1b]0;title\x07b\xc2\x9bc"
        self.send("first", b'{"n": 1}\n' + hostile + b"\n\xff\xfe\n", "--durable")
        self.send("second", b"one\ntwo\n", "--durable")
        for _ in ("alive", "dead"):
            events = self.dump(agent.data, "--events", "--type", "event")
            payloads = [e["payload"] if "payload" in e
                        else base64.b64decode(e["payload_base64"]) for e in events]
            self.assertEqual(payloads, ['{"n": 1}', hostile.decode(), b"\xff\xfe", "one", "two"])
            self.assertEqual([e["kind"] for e in events], ["json", "text", "bytes", "text", "text"])
            self.assertEqual([e["stream"] for e in events], ["first"] * 3 + ["second"] * 2)
            lsns = [e["lsn"] for e in events]
            self.assertEqual(lsns, sorted(set(lsns)))
            for line in self.dump(agent.data, "--type", "attach,def,stream,span"):
                self.assertIn(line["type"], ("attach", "def", "stream", "span"))
            self.assertEqual([e["payload"] for e in self.dump(agent.data, "--type", "event",
                                                              "--stream", "second")],
                             ["one", "two"])
            ring = self.dump(agent.data, "--type", "attach")[0]
            for name in (ring["ring"], ring["ring"][:-len(".ring")], str(ring["ring_id"])):
                spans = self.dump(agent.data, "--type", "span", "--ring", name)
                self.assertEqual(sum(s["events"] for s in spans), 3)
            self.assertEqual(self.dump(agent.data, "--type", "event", "--to", str(lsns[0])), [])
            self.assertEqual(len(self.dump(agent.data, "--type", "event", "--from",
                                           str(lsns[3]))), 2)
            text = self.wal("dump", agent.data, "--events")
            self.assertIn('payload="a\\x1b]0;title\\x07b\\xc2\\x9bc"', text)
            self.assertIn('payload="\\xff\\xfe"', text)
            for unsafe in ("\x1b", "\x07", "\x9b"):
                self.assertNotIn(unsafe, text)
                self.assertNotIn(unsafe, self.wal("dump", agent.data, "--events", "--json"))
            self.assertTrue(self.wal("verify", agent.data).endswith("sound\n"))
            if agent.process.poll() is None:
                agent.kill()

    def test_tools_read_a_log_that_is_being_written_trimmed_and_recycled(self):
        agent = Agent(self, BUSY).start()
        producers = [Producer(self, "p%d" % i, pad=600) for i in range(3)]
        for p in producers:
            p.tell("load 20000")
        first = self.files(agent.data)["files"][0]["number"]
        runs = 0

        def trimmed():
            nonlocal runs
            runs += 1
            self.assertNotIn("damage", self.wal("verify", agent.data))
            for line in self.dump(agent.data, "--events"):
                self.assertNotIn(line["type"], ("hole", "damage"))
            listed = self.files(agent.data)["files"]
            self.assertIn("being written", [f["state"].split(",")[0] for f in listed])
            return listed[0]["number"] > first + sized(2, 10, 50)

        until(trimmed, lambda: "segments are trimmed; %d runs" % runs)
        agent.kill()
        out = self.wal("verify", agent.data)
        self.assertNotIn("damage", out)
        # The kernel ends what was in flight, and with it the lock, after the process.
        until(lambda: "being written" not in self.wal("ls", agent.data), "the lock is gone")
        agent.start()
        for p in producers:
            p.load_end()
        counts = {p.name: p.close() for p in producers}
        self.assertNotIn("damage", self.wal("verify", agent.data))
        agent.flush()
        agent.stop()
        self.check_once_in_order(agent.events(), counts)
        books = self.wal("verify", "-c", agent.config)
        total = sum(counts.values())
        self.assertRegex(books, r"(?m)^load +%d +%d +0 +0 +0 " % (total, total))
        self.assertTrue(books.endswith("sound\n"), books)
        self.assertIn("ends here", self.wal("ls", "--data-dir", agent.data))

    def test_nothing_is_written_and_nothing_locked(self):
        agent = Agent(self, KEEPING).start()
        self.send("s", b"x\n" * 1000, "--durable")
        agent.kill()
        until(lambda: "being written" not in self.wal("ls", agent.data), "the lock is gone")

        def content():
            found = {}
            for name in files_below(agent.data):
                with open(os.path.join(agent.data, name), "rb") as file:
                    found[name] = (os.fstat(file.fileno()).st_mtime_ns, file.read())
            return found

        before = content()
        for command in ("ls", "dump", "verify"):
            self.wal(command, agent.data)
        self.assertEqual(content(), before)

    # --- a damaged one -----------------------------------------------------------------------

    def log_make(self):
        """A dead agent's log of several segments, with sealed batches that could not go out."""
        agent = Agent(self, BUSY)
        os.makedirs(agent.out)
        with open(os.path.join(agent.out, "load"), "w", encoding="ascii"):
            pass                        # no directory: no batch can be delivered
        agent.start()
        producer = Producer(self, "p", pad=1000)
        producer.tell("load 100000")
        wal = os.path.join(agent.data, "wal")
        until(lambda: sum(name.endswith(".seg") for name in os.listdir(wal)) >= 4, "four segments")
        agent.kill()
        producer.load_end()
        producer.close()
        self.assertTrue(self.wal("verify", agent.data).endswith("sound\n"))
        self.assertEqual(self.files(agent.data)["segments"],
                         len(self.dump(agent.data, "--type", "segment")))
        return agent.data

    def damaged(self, data, what, change, expected, commands=("verify", "dump"), lsn=None):
        """Changes a copy; the tools must say so, and what it says must name the place."""
        copy = self.path("copy")
        shutil.copytree(data, copy, symlinks=True)
        try:
            with self.subTest(what):
                change(copy)
                for command in commands:
                    out = self.wal(command, copy, *(["--events"] if command == "dump" else []),
                                   code=1)
                    if command == "verify":
                        self.assertIn("damage", out)
                        self.assertIn(expected, out)
                        if lsn is not None:
                            self.assertIn("lsn %d " % lsn, out)
        finally:
            shutil.rmtree(copy)

    def test_verify_finds_every_damage(self):
        data = self.log_make()
        segments = [f for f in self.files(data)["files"] if f["kind"] == "segment"]
        groups = self.dump(data, "--type", "group")
        second = segments[1]
        inside = [g for g in groups if second["from_lsn"] < g["lsn"] < second["to_lsn"]]
        group = next(g for g in inside[2:] if g["commit_lsn"] > g["lsn"])

        def seg(copy, which=second):
            return os.path.join(copy, "wal", which["file"])

        def at(lsn):
            return lsn - second["from_lsn"]

        def flip(path, offset):
            with open(path, "r+b") as file:
                file.seek(offset)
                byte = file.read(1)[0]
                file.seek(offset)
                file.write(bytes([byte ^ 0x10]))

        self.damaged(data, "a byte of a body", lambda copy: flip(seg(copy), at(group["lsn"]) + 40),
                     "checksum of its bytes differs")
        self.damaged(data, "a byte of a COMMIT",
                     lambda copy: flip(seg(copy), at(group["commit_lsn"]) + 70),
                     "no group that can be read", lsn=group["lsn"])
        self.damaged(data, "a byte of a header", lambda copy: flip(seg(copy), 20),
                     "one copy of its header is damaged", commands=("verify",))

        def both(copy):
            flip(seg(copy), 20)
            flip(seg(copy), HEADER_AGAIN + 20)

        self.damaged(data, "a byte of both copies of a header", both, "header is damaged",
                     commands=("verify", "dump", "ls"))
        self.damaged(data, "a byte of a checkpoint",
                     lambda copy: flip(seg(copy), BLOCK + 100), "no group that can be read")
        self.damaged(data, "the last segment's checkpoint",
                     lambda copy: os.truncate(seg(copy, segments[-1]), BLOCK),
                     "no checkpoint", commands=("verify",))
        self.damaged(data, "a segment cut short",
                     lambda copy: os.truncate(seg(copy), at(group["lsn"])),
                     "no group that can be read", lsn=group["lsn"])
        self.damaged(data, "a segment gone", lambda copy: os.unlink(seg(copy)),
                     "no group that can be read", lsn=second["from_lsn"])
        self.damaged(data, "the first segment gone",
                     lambda copy: os.unlink(seg(copy, segments[0])), "segments before this one",
                     commands=("verify",))
        self.damaged(data, "zeros instead of blocks",
                     lambda copy: self.overwrite(seg(copy), at(group["lsn"]), bytes(4 * BLOCK)),
                     "lsn")

        def spool(copy):
            folder = os.path.join(copy, "spool")
            sealed = {"%016x-000-%010d.spool" % (int(s["epoch"], 16), s["batch"])
                      for s in self.dump(data, "--type", "seal")}
            return os.path.join(folder, sorted(sealed & set(os.listdir(folder)))[0])

        self.damaged(data, "a spool file gone", lambda copy: os.unlink(spool(copy)), "is missing",
                     commands=("verify",))
        self.damaged(data, "a byte of a spool file", lambda copy: flip(spool(copy), 10),
                     "other bytes", commands=("verify",))
        self.damaged(data, "a spool file cut short", lambda copy: os.truncate(spool(copy), 10),
                     "another length", commands=("verify",))

    def overwrite(self, path, offset, data):
        with open(path, "r+b") as file:
            file.seek(offset)
            file.write(data)

    def test_what_a_crash_leaves_is_no_damage(self):
        data = self.log_make()
        wal = os.path.join(data, "wal")
        last = [f for f in self.files(data)["files"] if f["kind"] == "segment"][-1]
        with open(os.path.join(wal, last["file"]), "r+b") as file:
            file.seek(last["to_lsn"] - last["from_lsn"])
            file.write(os.urandom(3 * BLOCK))
        out = self.wal("verify", data)
        self.assertIn("the log ends here", out)
        self.assertTrue(out.endswith("sound\n"))

    def test_strange_files_are_named_and_harm_nothing(self):
        data = self.log_make()
        wal = os.path.join(data, "wal")
        first = self.files(data)["files"][0]["file"]
        shutil.copy(os.path.join(wal, first), os.path.join(wal, first + ".aside"))
        with open(os.path.join(wal, "x\x1b[31m"), "w", encoding="ascii") as file:
            file.write("x")
        out = self.wal("ls", data)
        self.assertRegex(out, r"(?m)^%s\.aside .* set aside$" % first)
        self.assertRegex(out, r"(?m)^x\?\[31m .* no part of the log$")
        self.assertIn("set aside", self.wal("verify", data))
        os.mkfifo(os.path.join(wal, "000-0000000000000001-0000000001.seg"))
        for command in ("ls", "dump", "verify"):
            code, _, err = self.run_hydrant("wal", command, data)
            self.assertEqual(code, 1)
            self.assertIn("no plain file", err)

    def test_errors_say_what_to_do(self):
        data = self.log_make()
        for command in ("ls", "dump", "verify"):
            code, _, err = self.run_hydrant("wal", command, self.path("absent"))
            self.assertEqual(code, 1)
            self.assertIn("name the agent's data_dir", err)
            code, _, err = self.run_hydrant("wal", command, self.dir)
            self.assertEqual(code, 1)
            self.assertIn("there is no log in it", err)
            if os.geteuid() == 0:
                os.chmod(self.dir, 0o755)
                code, _, err = self.run_hydrant("wal", command, data, user=NOBODY, group=NOBODY,
                                                extra_groups=[])
                self.assertEqual(code, 1)
                self.assertIn("run as", err)
        self.assertIn("'ls', 'dump' or 'verify'", self.wal(code=2))
        self.assertIn("unknown option", self.wal("ls", "--nonsense", code=2))
        self.assertIn("there is no 'nonsense'", self.wal("dump", "--type", "nonsense", code=2))



class RingTools(Case):
    def test_a_ring_is_shown_while_it_is_written_and_drained(self):
        """Nothing in it may ever look damaged, however fast its positions move."""
        agent = Agent(self, BUSY).start()
        producer = Producer(self, "p", pad=100)
        producer.tell("load 50000")
        seen = 0
        for _ in range(sized(10, 40, 500)):
            code, out, err = self.run_hydrant("ring", "show", producer.ring, "--shm-dir", self.shm)
            self.assertEqual((code, err), (0, ""))
            self.assertRegex(out, r"(?m)^state +alive$")
            code, out, err = self.run_hydrant("ring", "show", producer.ring, "--events",
                                              "--shm-dir", self.shm)
            self.assertEqual((code, err), (0, ""))
            numbers = [json.loads(line)["payload"]["n"] for line in out.splitlines()]
            self.assertEqual(numbers, list(range(numbers[0], numbers[0] + len(numbers)))
                             if numbers else [])
            seen += len(numbers)
        # However fast the agent is: while it stands still, there is something to be seen.
        agent.process.send_signal(signal.SIGSTOP)
        until(lambda: self.run_hydrant("ring", "show", producer.ring, "--events",
                                       "--shm-dir", self.shm)[1] != "" or seen > 0,
              "events in the ring")
        agent.process.send_signal(signal.SIGCONT)
        producer.load_end()
        count = producer.close()
        agent.flush()
        agent.stop()
        self.check_once_in_order(agent.events(), {"p": count})
