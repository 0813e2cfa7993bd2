"""`hydrant send`: what becomes of lines, waiting, durability, errors; `hydrant ring` beside it."""
import base64
import json
import os
import signal
import subprocess

from harness import Agent, Case, Producer, files_below, sized, until


class Lines(Case):
    def setUp(self):
        super().setUp()
        self.agent = Agent(self).start()

    def arrive(self, *arguments, stream="s", stdin=b""):
        """Sends and waits for delivery; the events of the stream."""
        self.send(stream, stdin, *arguments, "--delivered")
        return self.agent.events(stream)

    def test_kinds_are_told_apart_by_parsing(self):
        cases = (
            (b'{"a": 1, "b": {"c": [null, true]}}', {"a": 1, "b": {"c": [None, True]}}),
            (b'  {"spaced" :  2}\t', {"spaced": 2}),
            (b'{}', {}),
            (b'[1, 2]', {"message": "[1, 2]"}),
            (b'17', {"message": "17"}),
            (b'"string"', {"message": '"string"'}),
            (b'null', {"message": "null"}),
            (b'{"a": 1', {"message": '{"a": 1'}),
            (b'{"a": 1} {"b": 2}', {"message": '{"a": 1} {"b": 2}'}),
            (b'{"a": 01}', {"message": '{"a": 01}'}),
            (b'plain text', {"message": "plain text"}),
            (b'tab\tquote" back\\slash \x01', {"message": 'tab\tquote" back\\slash \x01'}),
            ("grüße ☃ 🎉".encode(), {"message": "grüße ☃ 🎉"}),
            (b'\xff\xfe\x00', {"message_base64": base64.b64encode(b"\xff\xfe\x00").decode()}),
            (b'{"a": "\xff"}', {"message_base64": base64.b64encode(b'{"a": "\xff"}').decode()}),
            (b'cut \xe2\x98', {"message_base64": base64.b64encode(b"cut \xe2\x98").decode()}),
            (b'nul \x00 byte', {"message": "nul \x00 byte"}),
        )
        events = self.arrive(stdin=b"".join(line + b"\n" for line, _ in cases))
        self.assertEqual(events, [event for _, event in cases])
        self.agent.stop()

    def test_json_passes_through_unchanged(self):
        line = b' {"z":1.50,"a":1e400, "z":12345678901234567890123, "u":"\\u00e4\\/"} '
        self.arrive(stdin=line + b"\n")
        name, = files_below(os.path.join(self.agent.out, "s"))
        with open(os.path.join(self.agent.out, "s", name), "rb") as file:
            self.assertEqual(file.read(), line + b"\n")
        self.agent.stop()

    def test_line_ends_and_empty_lines(self):
        events = self.arrive(stdin=b"one\r\n\n\r\ntwo\n   \nthree\r\r\nmid\rdle\n\n"
                                   b"last without end")
        self.assertEqual([e["message"] for e in events],
                         ["one", "two", "   ", "three\r", "mid\rdle", "last without end"])
        self.agent.stop()

    def test_several_files_and_standard_input_in_order(self):
        first = self.write_file("first", b"a\nb\n")
        second = self.write_file("second", b"c")
        third = self.write_file("third", b"")
        events = self.arrive(first, third, "-", second, first, stdin=b"in\n")
        self.assertEqual([e["message"] for e in events], ["a", "b", "in", "c", "a", "b"])
        self.agent.stop()

    def test_lines_too_long_are_named_and_the_others_arrive(self):
        limit = 16384
        path = self.write_file("lines", b"\n".join((
            b"first", b"x" * limit, b"y" * (limit + 1), b"middle", b"z" * 3_000_000, b"last")))
        err = self.send("s", b"", path, "--ring-bytes", "64KiB", "--delivered", code=1)
        self.assertIn("%s:3: the line is longer than 16384 bytes" % path, err)
        self.assertIn("%s:5: the line is longer than 16384 bytes" % path, err)
        self.assertIn("4 events", err)
        self.assertEqual([e["message"][:6] for e in self.agent.events("s")],
                         ["first", "xxxxxx", "middle", "last"])
        self.agent.stop()

    def test_the_longest_event(self):
        line = b"x" * (1 << 20)
        events = self.arrive("--ring-bytes", "4MiB", stdin=line + b"\n" + line + b"\n")
        self.assertEqual([len(e["message"]) for e in events], [1 << 20] * 2)
        self.agent.stop()

    def test_a_missing_file_does_not_keep_the_others_back(self):
        path = self.write_file("there", b"a\n")
        err = self.send("s", b"", self.path("absent"), path, "--delivered", code=1)
        self.assertIn(self.path("absent") + ": No such file", err)
        self.assertEqual(self.agent.events("s"), [{"message": "a"}])
        self.agent.stop()

    def test_wrong_usage_exits_2(self):
        for arguments in (("send",), ("send", "bad/name"), ("send", "s", "--timeout", "soon"),
                          ("send", "s", "--nonsense"), ("send", "s" * 65), ("nonsense",)):
            code, out, err = self.run_hydrant(*arguments)
            self.assertEqual((code, out), (2, ""), arguments)
            self.assertTrue(err)
        self.agent.stop()

    def test_nothing_sent_is_fine(self):
        self.assertIn("0 events", self.send("s", b"", "--durable"))
        self.agent.stop()

    def test_an_interrupted_send_has_committed_what_it_counts(self):
        read, write = os.pipe()
        child = self.popen([self.hydrant, "send", "s", "--shm-dir", self.shm], stdin=read,
                           stderr=subprocess.PIPE)
        os.close(read)
        os.write(write, b"one\ntwo\nunfinished")
        until(lambda: (self.agent.stream("s") or {}).get("accepted") == 2, "two lines")
        child.send_signal(signal.SIGINT)
        err = child.communicate(timeout=30)[1].decode()
        os.close(write)
        self.assertEqual(child.returncode, 130)
        self.assertIn("2 events", err)
        self.agent.stop()
        self.assertEqual(len(self.agent.events("s")), 2)


class Waiting(Case):
    """With the agent away."""

    def test_what_is_sent_before_the_agent_starts_arrives(self):
        data = b"".join(b"line %d\n" % i for i in range(1000))
        self.send("s", data)
        agent = Agent(self).start()
        until(lambda: (agent.stream("s") or {}).get("accepted") == 1000, "the ring is found")
        agent.stop()
        self.assertEqual([e["message"] for e in agent.events("s")],
                         ["line %d" % i for i in range(1000)])

    def test_a_full_ring_waits_for_the_agent(self):
        count = sized(5000, 20_000, 20_000)
        path = self.write_file("lines", b"".join(b"%0199d\n" % i for i in range(count)))
        child = self.popen([self.hydrant, "send", "s", path, "--shm-dir", self.shm, "--ring-bytes",
                            "64KiB"], stderr=subprocess.PIPE)
        until(lambda: self.ring_waits() > 60_000, "a full ring")
        self.assertIsNone(child.poll())
        agent = Agent(self).start()
        err = child.communicate(timeout=60)[1].decode()
        self.assertEqual(child.returncode, 0, err)
        agent.stop()
        self.assertEqual([int(e["message"]) for e in agent.events("s")], list(range(count)))

    def ring_waits(self):
        """Bytes that wait in the only ring."""
        names = [n for n in os.listdir(self.shm) if not n.startswith(".")]
        if not names:
            return 0
        code, out, _ = self.run_hydrant("ring", "show", names[0], "--shm-dir", self.shm)
        waiting = [line.split()[1] for line in out.splitlines() if line.startswith("waiting")]
        return int(waiting[0]) if code == 0 and waiting else 0

    def test_a_timeout_on_a_full_ring_exits_1_with_a_message(self):
        data = b"".join(b"%0199d\n" % i for i in range(5000))
        err = self.send("s", data, "--ring-bytes", "64KiB", "--timeout", "200ms", code=1)
        self.assertIn("the ring is full: given up after the time of --timeout", err)
        sent = int(err.strip().splitlines()[-1].split(" events")[0].split()[-1])
        self.assertTrue(0 < sent < 5000, err)
        agent = Agent(self).start()     # what the summary counts is committed
        agent.stop()
        self.assertEqual([int(e["message"]) for e in agent.events("s")], list(range(sent)))

    def test_durable_waits_for_the_agent_or_its_timeout(self):
        err = self.send("s", b"one\n", "--durable", "--timeout", "200ms", code=1)
        self.assertIn("not all is durable yet", err)
        self.assertNotIn(", durable", err)

    def test_durable_events_survive_a_kill_at_once(self):
        agent = Agent(self, "[wal]\nsync = never\n[stream *]\nbuffer_time = 1h")
        for i in range(sized(3, 5, 20)):
            agent.start()
            self.send("s", b"".join(b"%d\n" % (i * 1000 + n) for n in range(1000)), "--durable")
            agent.kill()
        agent.start()
        agent.stop()
        self.assertEqual([int(e["message"]) for e in agent.events("s")],
                         list(range(1000 * sized(3, 5, 20))))

    def test_durable_events_do_not_need_the_ring(self):
        """The log alone gives them back."""
        agent = Agent(self, "[wal]\nsync = never\n[stream *]\nbuffer_time = 1h").start()
        producer = Producer(self, "p")
        producer.do("write 1000")
        producer.do("flush durable 30")
        agent.kill()
        producer.kill()
        for name in os.listdir(self.shm):
            os.unlink(os.path.join(self.shm, name))
        agent.start()
        agent.stop()
        self.check_once_in_order(agent.events(), {"p": 1000})


class Rings(Case):
    """`hydrant ring` without an agent."""

    def test_ls_and_show(self):
        producer = Producer(self, "p", pad=10)
        producer.do("write 3")
        code, out, err = self.run_hydrant("ring", "ls", "--shm-dir", self.shm)
        self.assertEqual((code, err), (0, ""))
        self.assertRegex(out, r"(?m)^%s +alive +%d " % (producer.ring, producer.process.pid))
        code, out, err = self.run_hydrant("ring", "show", producer.ring, "--events", "--shm-dir",
                                          self.shm)
        self.assertEqual((code, err), (0, ""))
        events = [json.loads(line) for line in out.splitlines()]
        self.assertEqual([(e["stream"], e["kind"]) for e in events], [("load", "json")] * 3)
        self.assertIn("agent          none has read it yet",
                      self.run_hydrant("ring", "show", producer.ring, "--shm-dir", self.shm)[1])
        producer.kill()
        _, out, _ = self.run_hydrant("ring", "ls", "--shm-dir", self.shm)
        self.assertRegex(out, r"(?m)^%s +orphan " % producer.ring)
        self.assertEqual(self.run_hydrant("ring", "show", "absent", "--shm-dir", self.shm)[0], 1)
