"""StreamClient: lines by sockets, never waited for, across a server's end and return."""
import os
import socket
import threading
import time
import unittest

from python_case import DEADLINE_S, PythonCase, hydrant, in_child, until


class ByAgent(PythonCase):
    def start_with(self, intake):
        return self.start("[intake]\n%s\n" % intake)

    def test_events_arrive_by_each_kind_of_socket(self):
        port, udp = self.port_hold(), self.udp_port()
        unix = self.path("socket")
        self.start_with("tcp = 127.0.0.1:%d\nunix = %s\nudp = 127.0.0.1:%d" % (port, unix, udp))
        urls = {"tcp": "tcp://127.0.0.1:%d" % port, "unix": "unix://" + unix,
                "udp": "udp://127.0.0.1:%d" % udp}
        for stream, url in urls.items():
            client = hydrant.StreamClient(url)
            for n in range(100):
                self.assertTrue(client.write(stream, {"p": stream, "n": n, "a": "\u00e9"}))
            self.assertTrue(client.close(DEADLINE_S))
            self.assertEqual(client.stats(), {"sent": 100, "dropped": 0, "queued": 0})
        until(lambda: all((self.agent.stream(stream) or {"accepted": 0})["accepted"] == 100
                          for stream in urls), "all of them are taken")
        self.agent.flush()
        for stream in urls:
            self.check_once_in_order(self.agent.events(stream), {stream: 100})
        self.finish()

    def udp_port(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as held:
            held.bind(("127.0.0.1", 0))
            return held.getsockname()[1]

    def test_a_child_after_fork_has_a_connection_of_its_own(self):
        unix = self.path("socket")
        self.start_with("unix = " + unix)
        client = hydrant.StreamClient("unix://" + unix)
        client.write("s", {"p": "parent", "n": 0})
        until(lambda: client.stats()["sent"] == 1, "it is sent")
        self.assertEqual(in_child(lambda: (client.write("s", {"p": "child", "n": 0}),
                                           client.close(DEADLINE_S) or os._exit(2))), 0)
        client.write("s", {"p": "parent", "n": 1})
        self.assertTrue(client.close(DEADLINE_S))
        self.agent.flush()
        self.check_once_in_order(self.agent.events("s"), {"parent": 2, "child": 1})
        self.finish()


class Server:
    """Takes connections to a Unix socket and keeps what comes, until it is closed."""

    def __init__(self, path):
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen()
        self.path, self.data, self.connection = path, b"", None
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        self.connection = self.listener.accept()[0]
        while True:
            try:
                data = self.connection.recv(65536)
            except OSError:
                break
            if not data:
                break
            self.data += data
        self.connection.close()

    def close(self):
        """As a server that ends in good order: what was sent to it is read."""
        until(lambda: self.connection, "it has accepted who connected")
        self.connection.shutdown(socket.SHUT_RDWR)
        self.thread.join(DEADLINE_S)
        self.listener.close()
        os.unlink(self.path)


class Wire(PythonCase):
    def test_the_line_is_stream_space_payload_terminator(self):
        server = Server(self.path("s"))
        client = hydrant.StreamClient("unix://" + self.path("s"), encoder=lambda event: event,
                                      terminator="\r\n")
        client.write("one", "text \u00e9")
        client.write("two", b"\xff")
        until(lambda: client.stats()["sent"] == 2, "both are sent")
        server.close()
        client.close(0)
        self.assertEqual(server.data, "one text \u00e9\r\ntwo ".encode() + b"\xff\r\n")

    def test_keys_are_sorted_and_any_encoder_will_do(self):
        class Encoder(hydrant.JsonEncoder):
            def encode(self, event):
                return super().encode({"z": 1, **event})

        server = Server(self.path("s"))
        with hydrant.StreamClient("unix://" + self.path("s"), encoder=Encoder()) as client:
            client.write("a", {"b": 1, "a": 2})
        server.thread.join(DEADLINE_S)
        server.listener.close()
        self.assertEqual(server.data, b'a {"a": 2, "b": 1, "z": 1}\n')

    def test_it_goes_on_when_the_server_comes_back(self):
        first = Server(self.path("s"))
        client = hydrant.StreamClient("unix://" + self.path("s"))
        client.write("s", {"n": 0})
        until(lambda: first.data.endswith(b"\n"), "the first is there")
        first.close()
        for n in range(1, 50):
            client.write("s", {"n": n})
        self.assertEqual(client.stats()["dropped"], 0)
        second = Server(self.path("s"))
        until(lambda: second.data.count(b"\n") == 49, "the others come when it is back")
        self.assertTrue(client.close(DEADLINE_S))
        second.thread.join(DEADLINE_S)
        second.listener.close()
        self.assertEqual(second.data, b"".join(b's {"n": %d}\n' % n for n in range(1, 50)))

    def test_nobody_waits_for_a_server_that_is_away(self):
        client = hydrant.StreamClient("unix://" + self.path("nowhere"), queue_size=10)
        taken, times = [], [time.monotonic()]
        for n in range(100):
            taken.append(client.write("s", {"n": n}))
            times.append(time.monotonic())
        # Who is dropped has not waited; some may take their time as the machine does.
        took = sorted(later - sooner for sooner, later in zip(times, times[1:]))
        self.assertLess(took[50], 0.01)
        # Ten wait in the queue, and what the thread has taken to be sent.
        self.assertGreaterEqual(sum(taken), 10)
        self.assertLessEqual(sum(taken), 30)
        self.assertEqual(client.stats()["dropped"], 100 - sum(taken))
        self.assertFalse(client.close(0.2))
        self.assertEqual(client.stats(), {"sent": 0, "dropped": 100, "queued": 0})
        self.assertRaises(ValueError, client.write, "s", {})

    def test_a_server_that_takes_what_it_is_sent_is_waited_for(self):
        server = Server(self.path("s"))
        client = hydrant.StreamClient("unix://" + self.path("s"), queue_size=10)
        self.assertTrue(all(client.write("s", {"n": n}) for n in range(3000)))
        self.assertTrue(client.close(DEADLINE_S))
        server.thread.join(DEADLINE_S)
        server.listener.close()
        self.assertEqual(client.stats(), {"sent": 3000, "dropped": 0, "queued": 0})
        self.assertEqual(server.data, b"".join(b's {"n": %d}\n' % n for n in range(3000)))

    def test_a_server_that_stands_still_is_not(self):
        listener = socket.socket(socket.AF_UNIX)
        self.addCleanup(listener.close)
        listener.bind(self.path("s"))
        listener.listen()
        client = hydrant.StreamClient("unix://" + self.path("s"), queue_size=10,
                                      encoder=lambda event: event)
        until(lambda: not client.write("s", b"x" * 100000), "one is dropped")
        start = time.monotonic()
        self.assertFalse(any([client.write("s", b"x" * 100000) for _ in range(1000)]))
        self.assertLess(time.monotonic() - start, 10, "nor is it waited for again")
        self.assertFalse(client.close(0))

    def test_a_server_that_does_not_read_is_not_waited_for_longer_than_is_said(self):
        listener = socket.socket(socket.AF_UNIX)
        self.addCleanup(listener.close)
        listener.bind(self.path("s"))
        listener.listen()
        client = hydrant.StreamClient("unix://" + self.path("s"), encoder=lambda event: event)
        for _ in range(50):
            client.write("s", b"x" * 100000)
        start = time.monotonic()
        self.assertFalse(client.close(0.3))
        self.assertLess(time.monotonic() - start, DEADLINE_S)
        stats = client.stats()
        self.assertEqual((stats["sent"] + stats["dropped"], stats["queued"]), (50, 0))

    def test_a_close_without_a_write_needs_no_server(self):
        self.assertTrue(hydrant.StreamClient("tcp://127.0.0.1:1").close())

    def test_a_datagram_that_is_too_large_is_dropped_alone(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
            server.bind(("127.0.0.1", 0))
            server.settimeout(DEADLINE_S)
            client = hydrant.StreamClient("udp://127.0.0.1:%d" % server.getsockname()[1])
            client.write("s", {"a": "x" * 70000})
            client.write("s", {"a": 1})
            self.assertTrue(client.close(DEADLINE_S))
            self.assertEqual(server.recv(65536), b's {"a": 1}\n')
            self.assertEqual(client.stats(), {"sent": 1, "dropped": 1, "queued": 0})

    def test_urls_are_checked(self):
        for url in ("", "host:1", "tcp://host", "tcp://:1", "http://host:1", "unix://", "udp://h"):
            self.assertRaises(ValueError, hydrant.StreamClient, url)


if __name__ == "__main__":
    unittest.main()
