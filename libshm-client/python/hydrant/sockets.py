"""sockets: StreamClient, which writes lines to the agent's sockets from hosts without its memory.

A line is STREAM SP PAYLOAD TERMINATOR. write() puts it into a queue and returns; a thread sends
what is in the queue, over one connection that it makes anew when it breaks, after a pause that
doubles and is random. When the queue is full, write() waits for a server that takes what it is sent;
for one that is away, or has taken nothing for a second, it does not: the event is dropped, counted.

Sent is what the kernel has taken: a server that dies loses what is on its way. close() waits until
the server has closed its side, which the agent does once it has taken everything.
"""
import json
import os
import queue
import random
import select
import socket
import threading
import time
import urllib.parse
import weakref

PAUSE_S = 0.1
PAUSE_MAX_S = 10.0
CONNECT_S = 10.0
STALL_S = 1.0
BATCH_BYTES = 65536
DATAGRAM_BYTES_MAX = 65507

_clients = weakref.WeakSet()


class JsonEncoder:
    """JSON with sorted keys."""

    def encode(self, event):
        return json.dumps(event, sort_keys=True)


def _address(url):
    """(family, type, address) of tcp://HOST:PORT, unix://PATH or udp://HOST:PORT."""
    if url.startswith("unix://") and len(url) > len("unix://"):
        return socket.AF_UNIX, socket.SOCK_STREAM, url[len("unix://"):]
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in ("tcp", "udp") or not parts.hostname or not parts.port:
        raise ValueError("%r: it is tcp://HOST:PORT, unix://PATH or udp://HOST:PORT" % url)
    return (socket.AF_UNSPEC, socket.SOCK_STREAM if parts.scheme == "tcp" else socket.SOCK_DGRAM,
            (parts.hostname, parts.port))


class StreamClient:
    """Writes events to a server's streams, and waits for none that does not take them.

    encoder: an object whose encode(event) returns str or bytes, or such a function.
    stats(): events sent and dropped, and those in the queue.
    """

    def __init__(self, url, encoder=None, terminator=b"\n", queue_size=5000):
        self._where = _address(url)
        encoder = encoder or JsonEncoder()
        self._encode = encoder.encode if hasattr(encoder, "encode") else encoder
        self._terminator = terminator.encode() if isinstance(terminator, str) else terminator
        self._queue_size = queue_size
        self._closed = False
        self._begin()
        _clients.add(self)

    def _begin(self):
        self._queue = queue.Queue(self._queue_size)
        self._count = threading.Lock()
        self._sent = self._dropped = 0
        self._left = 0                  # taken out of the queue, not sent yet
        self._away = False              # nobody takes what is sent
        self._end = threading.Event()   # close() was called
        self._deadline = None           # ... and gives up at that time
        self._done = threading.Event()
        self._thread = None

    def write(self, stream_name, event):
        """Queues an event; False: the queue is full and nobody takes from it, it is dropped."""
        if self._closed:
            raise ValueError("the client is closed")
        record = self._encode(event)
        line = b"%s %s%s" % (stream_name.encode(), record.encode() if isinstance(record, str)
                             else record, self._terminator)
        if self._thread is None:
            self._start()
        while True:
            try:
                self._queue.put(line, not self._away, PAUSE_S)
                return True
            except queue.Full:
                if self._away or self._closed:
                    self._drop(1)
                    return False

    def stats(self):
        return {"sent": self._sent, "dropped": self._dropped,
                "queued": self._queue.qsize() + self._left}

    def close(self, timeout=None):
        """Sends what is queued, for so many seconds at most; what is left then is dropped.

        True when all was sent, and (over tcp and unix) the server has taken it.
        """
        self._closed = True
        if self._thread is None:
            return True
        self._deadline = None if timeout is None else time.monotonic() + timeout
        self._end.set()
        self._queue_wake()
        self._thread.join()
        self._give_up()
        return self._done.is_set()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # ---- the thread

    def _start(self):
        with self._count:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="hydrant-sockets",
                                                daemon=True)
                self._thread.start()

    def _drop(self, count):
        with self._count:
            self._dropped += count

    def _queue_wake(self):
        """An empty line ends a wait for the next one; in a full queue nobody waits."""
        try:
            self._queue.put_nowait(b"")
        except queue.Full:
            pass

    def _late(self):
        return self._deadline is not None and time.monotonic() >= self._deadline

    def _batch(self):
        """The next lines; an empty list at the end."""
        lines, size = [], 0
        datagrams = self._where[1] == socket.SOCK_DGRAM
        while size < BATCH_BYTES:
            try:
                line = self._queue.get(block=not lines and not self._end.is_set())
            except queue.Empty:
                break
            if line:
                lines.append(line)
                size += len(line)
                self._left += 1
            if datagrams and lines:
                break
        return lines

    def _run(self):
        connection, pause = None, PAUSE_S
        lines = self._batch()
        while lines and not self._late():
            try:
                if connection is None:
                    connection = self._connect()
                    pause = PAUSE_S
                lines = self._send(connection, lines) or self._batch()
            except (OSError, UnicodeError):         # a host's name may be none
                self._away = True
                if connection is not None:
                    connection.close()
                    connection = None
                self._pause(pause * random.uniform(0.5, 1))
                pause = min(pause * 2, PAUSE_MAX_S)
        if not lines and self._taken(connection):
            self._done.set()
        if connection is not None:
            connection.close()

    def _pause(self, seconds):
        """A close() with a time limit does not wait for the whole of it."""
        if self._end.is_set():
            left = PAUSE_MAX_S if self._deadline is None else self._deadline - time.monotonic()
            time.sleep(max(0, min(seconds, PAUSE_S, left)))
        else:
            self._end.wait(seconds)

    def _connect(self):
        family, kind, address = self._where
        if family == socket.AF_UNIX:
            connection = socket.socket(family, kind)
            try:
                connection.connect(address)
            except OSError:
                connection.close()
                raise
        elif kind == socket.SOCK_STREAM:
            connection = socket.create_connection(address, CONNECT_S)
        else:
            family, _, _, _, address = socket.getaddrinfo(*address, type=kind)[0]
            connection = socket.socket(family, kind)
            connection.connect(address)
        connection.settimeout(STALL_S)
        return connection

    def _send(self, connection, lines):
        """Sends lines whole; those that are left. An end of the server is seen before."""
        if self._where[1] == socket.SOCK_DGRAM:
            return self._send_datagram(connection, lines)
        poll = select.poll()
        poll.register(connection, select.POLLIN)
        if poll.poll(0) and not connection.recv(BATCH_BYTES):
            raise ConnectionResetError("the server has closed")
        data, sent = memoryview(b"".join(lines)), 0
        try:
            while sent < len(data):
                try:
                    sent += connection.send(data[sent:])
                    self._away = False
                except TimeoutError:
                    self._away = True
                    if self._late():
                        break
        except OSError:
            # A line of which a part was taken goes again as a whole.
            lines[:] = self._sent_of(lines, sent)
            raise
        return self._sent_of(lines, sent)

    def _send_datagram(self, connection, lines):
        if len(lines[0]) > DATAGRAM_BYTES_MAX:
            self._drop(1)
            self._left -= 1
            return []
        try:
            connection.send(lines[0])
            self._away = False
        except ConnectionRefusedError:
            pass        # it is about an earlier one, and this one may be lost as well: that is UDP
        return self._sent_of(lines, len(lines[0]))

    def _sent_of(self, lines, size):
        """Counts the lines that are in so many bytes; those that are not."""
        count = 0
        while count < len(lines) and len(lines[count]) <= size:
            size -= len(lines[count])
            count += 1
        self._sent += count
        self._left -= count
        return lines[count:]

    def _give_up(self):
        left = self._left
        while True:
            try:
                left += bool(self._queue.get_nowait())
            except queue.Empty:
                break
        self._left = 0
        self._drop(left)

    def _taken(self, connection):
        """At the end: whether the server closes its side after we have closed ours."""
        if connection is None or self._where[1] == socket.SOCK_DGRAM:
            return True
        try:
            connection.shutdown(socket.SHUT_WR)
            while not self._late():
                try:
                    if not connection.recv(BATCH_BYTES):
                        return True
                except TimeoutError:
                    pass
        except OSError:
            pass
        return False


def _after_fork():
    """A child has neither the thread nor a lock that is surely free; the queue is the parent's."""
    for client in list(_clients):
        client._begin()


os.register_at_fork(after_in_child=_after_fork)
