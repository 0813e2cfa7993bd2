"""Client and Stream: what is written by ring arrives, whole and in order, from wherever."""
import collections
import errno
import gc
import json
import os
import signal
import struct
import subprocess
import sys
import threading
import time
import unittest

from python_case import DEADLINE_S, PACKAGE, PythonCase, batches, hydrant, in_child, until


def frame_impossible(path):
    """Moves a ring's head over bytes that are no frame (include/shm_wire.h)."""
    with open(path, "r+b", buffering=0) as ring:
        page_bytes, head_offset = struct.unpack("<II", os.pread(ring.fileno(), 8, 16))
        at = page_bytes + head_offset
        head = int.from_bytes(os.pread(ring.fileno(), 8, at), "little")
        os.pwrite(ring.fileno(), (head + 24).to_bytes(8, "little"), at)


class Text(str):
    """Not str itself."""


class Kinds(PythonCase):
    def test_what_is_seldom_wanted_is_found_in_the_package_all_the_same(self):
        """In an interpreter of its own: another test may have imported it."""
        code = ("import hydrant; from hydrant import FirehoseConfig, LocalSink, MiniFirehose, S3Sink;"
                "assert MiniFirehose is hydrant.minifirehose.MiniFirehose;"
                "assert hydrant.logging.RingHandler; assert not hasattr(hydrant, 'nothing')")
        subprocess.run([sys.executable, "-c", code], check=True,
                       env={**os.environ, "PYTHONPATH": PACKAGE})

    def test_the_type_of_an_event_says_its_kind(self):
        self.start()
        with self.client() as client:
            stream = client.stream("s")
            for event in ({"a": 1, "b": [True, None, 0.5, {}], "\u00e9": "\"\n\u2028\U0001f600"},
                          "text \u00e9 {}", b"\xff\x00", bytearray(b"\xfe"), memoryview(b"\xfd")):
                stream.write(event)
            stream.write('{"text": "as json"}', "json")
            stream.write(b'{"bytes":"as json"}', kind="json")
            stream.write(b"bytes as text", "text")
            stream.write("text as bytes", kind="bytes")
            stream.write("", kind=None)
            stream.write("k" * 3, "text", time_ns=1)
            client.flush("delivered", DEADLINE_S)
        self.assertEqual(self.agent.events("s"), [
            {"a": 1, "b": [True, None, 0.5, {}], "\u00e9": "\"\n\u2028\U0001f600"},
            {"message": "text \u00e9 {}"}, {"message_base64": "/wA="}, {"message_base64": "/g=="},
            {"message_base64": "/Q=="}, {"text": "as json"}, {"bytes": "as json"},
            {"message": "bytes as text"}, {"message_base64": "dGV4dCBhcyBieXRlcw=="},
            {"message": ""}, {"message": "kkk"}])
        self.finish()

    def test_what_is_no_event_is_refused(self):
        stream = self.client().stream("s")
        for event in (1, None, ["a"], object(), {1, 2}):
            self.assertRaises(TypeError, stream.write, event)
        for event in ({"a": float("nan")}, {"a": "\ud800"}, "\udfff"):
            self.assertRaises(ValueError, stream.write, event)
        self.assertRaises(TypeError, stream.write, {"a": object()})
        self.assertRaises(TypeError, stream.write, {}, "text")
        self.assertRaises(TypeError, stream.write)
        self.assertRaises(TypeError, stream.write, "a", "text", 1)
        self.assertRaises(TypeError, stream.write, "a", "text", kind="text")
        self.assertRaises(TypeError, stream.write, "a", time=1)
        self.assertRaises(TypeError, stream.write, "a", time_ns="1")
        self.assertRaises(OverflowError, stream.write, "a", time_ns=-1)
        self.assertRaises(ValueError, stream.write, "a", "record")

    def random_value(self, depth):
        """Of all that JSON has, and of what is no plain type."""
        pick = self.random.randrange(13 if depth else 9)
        text = "".join(self.random.choice("ab\"\\/\n\x00\x1f\x7f\u00e9\u2028\uffff\U0001f600")
                       for _ in range(self.random.choice((0, 1, 5, 40, 900))))
        if pick < 9:
            return (None, True, False, text, self.random.randrange(-2**63, 2**63),
                    self.random.choice((0, -1, 2**63 - 1, -2**63, 2**63, 10**30)),
                    self.random.choice((0.0, -0.0, 1e16, 1e22, 5e-324, 0.1, 1.7e308)),
                    self.random.uniform(-1e9, 1e9),
                    self.random.choice((signal.SIGINT, Text("t"))))[pick]
        count = self.random.randrange(4)
        if pick == 9:
            return [self.random_value(depth - 1) for _ in range(count)]
        if pick == 10:
            return tuple(self.random_value(depth - 1) for _ in range(count))
        keys = (text, "k", 1, None, 0.5, True)
        return (dict if pick == 11 else collections.OrderedDict)(
            (self.random.choice(keys), self.random_value(depth - 1)) for _ in range(count))

    def test_a_dict_becomes_what_the_json_module_makes_of_it(self):
        self.start("[stream *]\nformat = raw\n")
        encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode
        events = [{"v": self.random_value(5)} for _ in range(2000)] + [{}, {"a": {}, "b": []}]
        own, theirs = self.client(), self.client(encode=encode)
        for client, stream in ((own, "own"), (theirs, "theirs")):
            stream = client.stream(stream)
            for event in events:
                stream.write(event)
            client.flush("delivered", DEADLINE_S)
        self.finish()
        found = {}
        for stream in ("own", "theirs"):
            path, = batches(os.path.join(self.agent.out, stream))
            with open(os.path.join(self.agent.out, stream, path), "rb") as file:
                found[stream] = file.read().splitlines()
        self.assertEqual(len(found["own"]), len(events), "seed %d" % self.seed)
        for mine, other in zip(found["own"], found["theirs"]):
            self.assertEqual(mine, other, "seed %d" % self.seed)

    def test_json_that_is_nested_too_deep_is_an_error_and_no_crash(self):
        stream, deep, loop = self.client().stream("s"), {}, {}
        loop["me"] = loop
        for _ in range(100000):
            deep = {"d": deep}
        for event in (deep, loop):
            self.assertRaises((RecursionError, ValueError), stream.write, event)
        while deep:
            deep = deep["d"]        # its end, one by one

    def test_the_program_may_bring_its_own_encoder(self):
        self.start()
        with self.client(encode=lambda event: b'{"own":%d}' % len(event)) as client:
            client.stream("s").write({"a": 1, "b": 2})
            client.flush("delivered", DEADLINE_S)
        self.assertEqual(self.agent.events("s"), [{"own": 2}])
        self.assertRaises(TypeError, self.client(encode=len).stream("s").write, {})
        self.assertRaises(TypeError, self.client, encode=1)
        self.finish()

    def test_events_may_be_as_large_as_a_quarter_of_the_ring(self):
        self.start()
        sizes = [0, 1, 127, 128, 129, 65535, 262144, 1048576]
        with self.client(ring_bytes=4 << 20) as client:
            stream = client.stream("s")
            for size in sizes:
                stream.write("x" * size)
            with self.assertRaisesRegex(hydrant.Error, "at most 1048576 fit") as raised:
                stream.write("x" * 1048577)
            self.assertEqual(raised.exception.errno, errno.EMSGSIZE)
            client.flush("delivered", DEADLINE_S)
            self.assertEqual(client.stats(), {"events": len(sizes), "bytes": sum(sizes),
                                              "dropped": 0, "rings": 1, "pending_bytes": 0})
        self.assertEqual([len(event["message"]) for event in self.agent.events("s")], sizes)
        self.finish()


class Errors(PythonCase):
    def test_each_says_what_to_do(self):
        client = self.client()
        client.stream("s").write("not taken by anybody")
        for call, words in ((lambda: client.stream("a b"), "a name is"),
                            (lambda: hydrant.Client(shm_dir=self.dir), "not on tmpfs"),
                            (lambda: self.client(ring_bytes=1 << 40), "ring_bytes"),
                            (lambda: client.flush("durable", 0), "hydrant status")):
            self.assertRaisesRegex(hydrant.Error, words, call)
        for call in (lambda: self.client(full="maybe"), lambda: self.client(wake="?"),
                     lambda: self.client(clock="sun"), lambda: client.stream("a\0b"),
                     lambda: self.client(wait_timeout=-1), lambda: client.flush("written"),
                     lambda: client.flush("durable", float("nan"))):
            self.assertRaises(ValueError, call)
        self.assertRaises(TypeError, client.stream, b"a")
        self.assertRaises(TypeError, self.client, size=1)
        self.assertRaises(TypeError, type(client.stream("a")))

    def test_a_closed_client_refuses(self):
        client = self.client()
        stream = client.stream("s")
        client.close()
        client.close()
        for call in (lambda: stream.write("a"), lambda: client.stream("s"), client.flush):
            with self.assertRaisesRegex(hydrant.Error, "closed") as raised:
                call()
            self.assertEqual(raised.exception.errno, errno.EBADF)

    def test_a_ring_that_the_agent_has_quarantined_is_told_once_and_replaced(self):
        self.start()
        client = self.client()
        stream = client.stream("s")
        stream.write("before")
        client.flush("delivered", DEADLINE_S)
        frame_impossible(os.path.join(self.shm, next(name for name in os.listdir(self.shm)
                                                     if name.endswith(".ring"))))
        until(lambda: self.agent.status()["rings_by_state"]["quarantined"] == 1, "it is noticed")
        with self.assertRaisesRegex(hydrant.Error, "quarantined") as raised:
            client.flush("accepted", DEADLINE_S)
        self.assertEqual(raised.exception.errno, errno.ESTALE)
        stream.write("after")
        client.flush("delivered", DEADLINE_S)
        self.assertEqual([event["message"] for event in self.agent.events("s")],
                         ["before", "after"])
        self.assertEqual(client.stats()["events"], 2)
        client.close()
        self.assertEqual(self.agent.terminate(), 0)


class Full(PythonCase):
    """Rings of 64 KiB, and no agent: 64 events of 1,000 bytes fit."""

    FIT, EVENT = 65536 // 1016, "x" * 1000

    def fill(self, **options):
        client = self.client(ring_bytes=65536, **options)
        stream = client.stream("s")
        for _ in range(self.FIT):
            stream.write(self.EVENT)
        return client, stream

    def test_fail_leaves_the_event_to_the_program(self):
        client, stream = self.fill(full="fail")
        with self.assertRaisesRegex(hydrant.Full, "hydrant status") as raised:
            stream.write(self.EVENT)
        self.assertIsInstance(raised.exception, BlockingIOError)
        self.assertIsInstance(raised.exception, hydrant.Error)
        self.assertEqual(raised.exception.errno, errno.EAGAIN)
        record = stream.record_type({"text": str})
        self.assertRaises(hydrant.Full, record.write, (self.EVENT,))
        self.assertEqual(client.stats()["dropped"], 0)

    def test_drop_counts(self):
        client, stream = self.fill(full="drop")
        for _ in range(3):
            stream.write(self.EVENT)
        stream.record_type({"text": str}).write((self.EVENT,))
        self.assertEqual(client.stats()["dropped"], 4)
        self.assertEqual(client.stats()["events"], self.FIT)
        client.close()
        self.assertEqual(client.stats()["dropped"], 4)

    def test_wait_waits_and_may_end(self):
        _, stream = self.fill(wait_timeout=0.05)
        start = time.monotonic()
        with self.assertRaises(hydrant.Timeout) as raised:
            stream.write(self.EVENT)
        self.assertIsInstance(raised.exception, TimeoutError)
        self.assertGreaterEqual(time.monotonic() - start, 0.05)

    def test_a_write_that_waits_goes_on_when_the_agent_comes_and_lets_others_work(self):
        client, stream = self.fill()
        writer = threading.Thread(target=lambda: [stream.write("late %d" % n) for n in range(200)])
        other = self.client().stream("other")
        writer.start()
        with self.subTest("the GIL is free while a write waits"):
            until(lambda: client.stats()["rings"] == 2, "the writer has a ring")
            for _ in range(1000):
                other.write("progress")
        # That ring has room; this one is full, and its thread waits in a write.
        waits = threading.Thread(target=lambda: (
            [stream.write(self.EVENT) for _ in range(2 * self.FIT)]))
        waits.start()
        until(lambda: client.stats()["pending_bytes"] > 2 * 65536 - 20000, "it is full")
        beats, end = 0, time.monotonic() + 0.2
        while beats <= 1000 or time.monotonic() < end:
            beats += 1
        self.assertTrue(waits.is_alive())
        self.start()
        for thread in (writer, waits):
            thread.join(DEADLINE_S)
            self.assertFalse(thread.is_alive())
        client.flush("delivered", DEADLINE_S)
        found = [event["message"] for event in self.agent.events("s")]
        self.assertEqual(collections.Counter(found)[self.EVENT], 3 * self.FIT)
        self.assertEqual([text for text in found if text != self.EVENT],
                         ["late %d" % n for n in range(200)])
        self.finish()

    def test_close_ends_a_write_that_waits(self):
        client, stream = self.client(ring_bytes=65536), None
        stream = client.stream("s")
        errors = []

        def write():
            try:
                while True:
                    stream.write(self.EVENT)
            except hydrant.Error as error:
                errors.append(error.errno)

        thread = threading.Thread(target=write)
        thread.start()
        until(lambda: client.stats()["events"] == self.FIT, "it waits")
        client.close()
        thread.join(DEADLINE_S)
        self.assertEqual(errors, [errno.EBADF])

    def test_a_signal_ends_a_write_that_waits(self):
        program = """if True:
            import hydrant, signal
            signal.signal(signal.SIGINT, signal.default_int_handler)   # a shell may have it ignored
            stream = hydrant.Client(ring_bytes=65536).stream("s")
            for n in range(%d): stream.write("x" * 1000)
            try:
                print("full", flush=True)
                stream.write("x" * 1000)
            except KeyboardInterrupt:
                print("interrupted")
            """ % self.FIT
        child = self.popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True,
                           env={**os.environ, "PYTHONPATH": PACKAGE, "HYDRANT_SHM_DIR": self.shm})
        self.assertEqual(child.stdout.readline(), "full\n")
        child.send_signal(signal.SIGINT)
        self.assertEqual(child.communicate(timeout=DEADLINE_S)[0], "interrupted\n")


    def test_a_program_ends_though_a_daemon_thread_waits(self):
        self.python("""if True:
            import hydrant, threading
            client = hydrant.Client(ring_bytes=65536)
            def write(stream=client.stream("s")):
                while True: stream.write("x" * 1000)
            threading.Thread(target=write, daemon=True).start()
            while client.stats()["events"] < %d: pass
            """ % self.FIT)


class Threads(PythonCase):
    def test_each_thread_writes_by_a_ring_of_its_own_in_order(self):
        self.start()
        client, count, threads = self.client(ring_bytes=65536), 3000, 6
        stream, together = client.stream("s"), threading.Barrier(threads)

        def write(name):
            together.wait()
            for n in range(count):
                stream.write({"p": name, "n": n})
            together.wait()

        workers = [threading.Thread(target=write, args=(str(n),)) for n in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        self.assertEqual(client.stats()["rings"], threads + 1)
        # From here, for rings whose threads have ended.
        client.flush("delivered", DEADLINE_S)
        self.check_once_in_order(self.agent.events("s"), dict.fromkeys(map(str, range(threads)),
                                                                       count))
        self.finish()

    def test_rings_of_ended_threads_go_to_the_next(self):
        client = self.client()
        stream = client.stream("s")
        for n in range(50):
            thread = threading.Thread(target=stream.write, args=("of thread %d" % n,))
            thread.start()
            thread.join()
        self.assertEqual(client.stats()["rings"], 2)
        self.assertEqual(client.stats()["events"], 50)

    def test_flush_waits_for_what_other_threads_have_written(self):
        self.start()
        client = self.client()
        stream, wrote, stay = client.stream("s"), threading.Event(), threading.Event()

        def write():
            stream.write("by a thread that lives on")
            wrote.set()
            stay.wait()

        thread = threading.Thread(target=write)
        thread.start()
        wrote.wait()
        client.flush("delivered", DEADLINE_S)
        self.assertEqual(len(self.agent.events("s")), 1)
        stay.set()
        thread.join()
        self.finish()

    def test_many_clients_that_come_and_go_leave_nothing(self):
        for _ in range(100):
            client = hydrant.Client(shm_dir=self.shm, ring_bytes=65536)
            client.stream("s").write("x")
            del client
        gc.collect()
        with open("/proc/self/maps", encoding="ascii") as file:
            self.assertNotIn(self.shm, file.read())

    def test_a_cycle_through_the_encoder_is_collected(self):
        client = hydrant.Client(shm_dir=self.shm, encode=lambda event: stream.write("x") or "{}")
        stream = client.stream("s")
        stream.write({})
        del client, stream
        gc.collect()
        with open("/proc/self/maps", encoding="ascii") as file:
            self.assertNotIn(self.shm, file.read())


class Fork(PythonCase):
    def test_a_child_writes_by_rings_of_its_own(self):
        self.start()
        client = self.client()
        stream = client.stream("s")
        record = stream.record_type({"p": str, "n": int})
        stream.write({"p": "parent", "n": 0})
        other = threading.Thread(target=stream.write, args=({"p": "thread", "n": 0},))
        other.start()
        other.join()

        def child():
            for n in range(10):
                stream.write({"p": "child", "n": n})
            record.write(("child", 10))
            client.flush("delivered", DEADLINE_S)
            client.close()

        self.assertEqual(in_child(child), 0)
        stream.write({"p": "parent", "n": 1})
        client.flush("delivered", DEADLINE_S)
        self.check_once_in_order(self.agent.events("s"), {"parent": 2, "thread": 1, "child": 11})
        self.finish()

    def test_a_child_may_fork_while_another_thread_waits(self):
        client = self.client(ring_bytes=65536, wait_timeout=DEADLINE_S)
        stream = client.stream("s")

        def fill():
            try:
                while True:
                    stream.write("x" * 1000)
            except hydrant.Error:
                pass

        thread = threading.Thread(target=fill)
        thread.start()
        until(lambda: client.stats()["events"] == Full.FIT, "it waits")
        self.assertEqual(in_child(lambda: (stream.write("child"), client.close())), 0)
        client.close()
        thread.join(DEADLINE_S)
        self.assertFalse(thread.is_alive())


class AgentAway(PythonCase):
    def test_what_is_written_while_it_is_down_is_there_after_its_restart(self):
        with self.client(ring_bytes=4 << 20) as client:
            stream = client.stream("s")
            for n in range(100):
                stream.write({"p": "a", "n": n})
            self.assertRaises(hydrant.Timeout, client.flush, timeout=0.01)
            self.start()
            client.flush("durable", DEADLINE_S)
            self.agent.kill()
            for n in range(100, 200):
                stream.write({"p": "a", "n": n})
            self.agent.start()
            client.flush("delivered", DEADLINE_S)
            self.check_once_in_order(self.agent.events("s"), {"a": 200})
        self.finish()


if __name__ == "__main__":
    unittest.main()
