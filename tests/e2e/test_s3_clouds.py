"""S3 as others have built it: Ceph's gateway, which knows conditional writes, and OpenStack Swift,
which does not. A million events, in many objects and in one that goes in parts; secrets and keys
that are wrong or taken; kills; read back by the AWS CLI and DuckDB.

Part of `make check-full`, which installs the servers.
"""
import gzip
import itertools
import json
import os
import re
import signal
import subprocess
import threading
import unittest

from clouds import REGION, Ceph, Swift
from format_files import node_install, query
from harness import DEADLINE_S, Agent, Producer, files_below, until
from kills import KillCase

EVENTS = 1000000
KILLS = 8
DELIVERY_S = 600
PART_BYTES = 5 << 20
PREFIX = "a b//+x=ü"

SINK = """
[sink cloud]
type = s3
bucket = %s
prefix = %s
endpoint = %s
region = %s
access_key = %s
secret_key = %s
part_size = 5MiB
retry_max_backoff = 500ms
"""


def crc32c(path):
    """As hexadecimal digits, by Debian's python3-crcmod."""
    program = ("import crcmod.predefined, sys; c = crcmod.predefined.Crc('crc-32c');"
               "c.update(open(sys.argv[1], 'rb').read()); print('%08x' % c.crcValue)")
    return subprocess.run(["/usr/bin/python3", "-c", program, path], check=True, text=True,
                          stdout=subprocess.PIPE).stdout.strip()


class Everywhere:
    """The tests; each server has a class for them below, and lives as long as that."""

    @classmethod
    def setUpClass(cls):
        node_install()
        cls.cloud = cls.server()
        cls.addClassCleanup(cls.cloud.end)

    def setUp(self):
        super().setUp()
        self.addCleanup(lambda: self.failed() and self.logs.append(("servers", self.cloud.logs())))
        self.bucket = "events-" + re.sub("[^a-z]", "-", self.id().rpartition(".test_")[2])[:50]
        self.cloud.aws("s3", "mb", "s3://" + self.bucket)

    def sink(self, secret=None, more=""):
        return SINK % (self.bucket, PREFIX, self.cloud.url, REGION, self.cloud.access_key,
                       secret or self.cloud.secret_key) + more

    def text(self, stream, **sink):
        return "[stream *]\nsinks = cloud\n%s\n%s" % (stream, self.sink(**sink))

    def fetched(self):
        """{key: path}: the whole bucket, as the AWS CLI brings it."""
        keys, place = self.cloud.keys(self.bucket), self.path("fetched")
        self.cloud.aws("s3", "cp", "--recursive", "--only-show-errors", "s3://" + self.bucket,
                       place)
        paths = {os.path.normpath(os.path.join(place, key)): key for key in keys}
        self.assertEqual(sorted(paths), [os.path.join(place, name)
                                         for name in files_below(place)])
        for key in keys:
            self.assertTrue(key.startswith(PREFIX + "/l"), key)
        for place, ext in {(os.path.dirname(key), key.partition(".")[2]) for key in keys}:
            self.check_names([key for key in keys if os.path.dirname(key) == place
                              and key.partition(".")[2] == ext], ext=ext)
        return {key: path for path, key in paths.items()}

    def flush(self, agent):
        """All is delivered, if it takes several flushes."""
        until(lambda: agent.ask("POST", "/v1/flush", timeout=2 * DEADLINE_S)[0] == 200,
              "all is delivered", DELIVERY_S)

    def head(self, key):
        return self.cloud.api("head-object", self.bucket, key=key)

    def check_metadata(self, key, path, events):
        """It proves the object: what the batch is, and that it is complete."""
        head = self.head(key)
        says = {name.lower(): value for name, value in head["Metadata"].items()}
        self.assertEqual(head["ContentLength"], os.path.getsize(path))
        self.assertEqual(says["hydrant-bytes"], str(os.path.getsize(path)))
        self.assertEqual(says["hydrant-crc32c"], crc32c(path))
        self.assertEqual(says["hydrant-events"], str(events))
        self.assertIn(says["hydrant-batch"], key)
        self.assertLess(int(says["hydrant-first"]), int(says["hydrant-last"]))

    @staticmethod
    def lines(path):
        with (gzip.open if path.endswith(".gz") else open)(path, "rb") as file:
            return file.read().splitlines()

    def rows(self, objects):
        return [json.loads(line) for path in objects.values() for line in self.lines(path)]

    def check_producers(self, objects, written):
        self.assertEqual(sorted((e["p"], e["n"]) for e in self.rows(objects)),
                         sorted((name, n) for name, count in written.items()
                                for n in range(count)))

    # ----------------------------------------------------------------------------- a million events

    def test_a_million_events_in_many_objects(self):
        agent = Agent(self, self.text("compression = gzip\nbuffer_count = 5000")).start()
        producers = [Producer(self, "p%d" % i, pad=40, ring_bytes=1 << 20) for i in range(2)]
        for p in producers:
            p.tell("write %d" % (EVENTS // 2))
        for p in producers:
            p.answer()
        written = {p.name: p.close() for p in producers}
        self.flush(agent)
        objects = self.fetched()
        self.assertGreaterEqual(len(objects), EVENTS // 5000)
        self.check_producers(objects, written)
        key = max(objects)
        self.check_metadata(key, objects[key], len(self.lines(objects[key])))
        agent.stop()

    def test_a_million_events_in_one_parquet_file(self):
        agent = Agent(self, self.text("format = parquet\ncompression = none\n"
                                      "columns = n i64, t string\nbuffer_size = 512MiB\n"
                                      "buffer_time = 1h\nbuffer_count = %d" % EVENTS)).start()
        self.send("load", b"".join(b'{"n":%d,"t":"%d"}\n' % (n, n * n * 1000003)
                                   for n in range(EVENTS)))
        self.flush(agent)
        objects = self.fetched()
        (key, path), = objects.items()
        parts = -(-os.path.getsize(path) // PART_BYTES)
        self.assertGreaterEqual(parts, 3)
        self.assertRegex(self.head(key)["ETag"], '^"[0-9a-f]{32}-%d"$' % parts)
        self.assertEqual(query("select count(*), count(distinct n), min(n), max(n),"
                               " bool_and(t = (n * n * 1000003)::varchar) from '%s'" % path),
                         [[str(EVENTS), str(EVENTS), "0", str(EVENTS - 1), True]])
        self.check_metadata(key, path, EVENTS)
        agent.stop()

    # ------------------------------------------------------------------------------ what goes wrong

    def test_a_wrong_secret_then_a_key_that_is_taken(self):
        """Both are told, nothing is lost, nothing of others is replaced."""
        agent = Agent(self, self.text("compression = gzip", secret="wrong-hush")).start()

        def waits_for(word):
            def waits():
                sink = next(k for k in agent.status()["sinks"] if k["name"] == "cloud")
                return word in (sink["waits_because"] or "")
            until(waits, "the sink waits because of " + word)
            return agent.run("status")[1]

        self.send("load", b"".join(b'{"n":%d}\n' % n for n in range(1000)))
        flush = threading.Thread(target=self.flush, args=(agent,), daemon=True)
        flush.start()
        # HEAD, which is asked first where there are no conditions, is answered without a body.
        text = waits_for(" 403 ")
        if self.cloud.conditional:
            self.assertIn("SignatureDoesNotMatch", text)
            self.assertIn("check secret_key of [sink cloud]", text)
        else:
            self.assertIn("check access_key and secret_key of [sink cloud]", text)
        self.assertEqual(self.cloud.keys(self.bucket), [])
        dump = self.run_hydrant("wal", "dump", agent.data, "--json", "--type", "seal")[1]
        key = json.loads(dump.splitlines()[0])["targets"][0]["key"]
        strange = self.write_file("strange", "somebody else's")
        self.cloud.api("put-object", self.bucket, key=key, body=strange)
        agent.configure(self.text("compression = gzip"))
        agent.process.send_signal(signal.SIGHUP)
        waits_for("another object has this key")
        self.assertEqual(self.head(key)["ContentLength"], len("somebody else's"))
        self.cloud.api("delete-object", self.bucket, key=key)
        agent.process.send_signal(signal.SIGHUP)
        flush.join(DEADLINE_S)
        self.assertFalse(flush.is_alive())
        objects = self.fetched()
        self.assertEqual(list(objects), [key])
        self.assertEqual([row["n"] for row in self.rows(objects)], list(range(1000)))
        self.check_metadata(key, objects[key], 1000)
        agent.stop()
        self.assertNotIn("hush", agent.log())
        self.assertNotIn(self.cloud.secret_key, agent.log())
        self.assertEqual("no conditional writes" in agent.log(), not self.cloud.conditional)

    def test_every_way_to_check_what_is_sent(self):
        """Small objects and ones in parts, with and without checksums and signed bodies."""
        agent, count = Agent(self, self.text("")).start(), 0
        for checksum, signed in itertools.product(("crc32c", "none"), ("yes", "no")):
            agent.configure(self.text("", more="checksum = %s\nsigned_payload = %s\n"
                                      % (checksum, signed)))
            loaded = agent.log().count("reloaded")
            agent.process.send_signal(signal.SIGHUP)
            until(lambda: agent.log().count("reloaded") > loaded, "it is in use")
            for size in (10, 20000):
                self.send("load", b"".join(b'{"n":%d,"pad":"%s"}\n' % (n, b"%x" % n * 100)
                                           for n in range(count, count + size)))
                self.flush(agent)
                count += size
        objects = self.fetched()
        self.assertEqual(sorted(row["n"] for row in self.rows(objects)), list(range(count)))
        sizes = [os.path.getsize(path) for path in objects.values()]
        self.assertEqual([sum(size > PART_BYTES for size in sizes),
                          sum(size < PART_BYTES for size in sizes)], [4, 4])
        agent.stop()

    def test_kills_under_load(self):
        def more():
            return ("sinks = cloud\ncompression = %s\n[stream large]\nbuffer_count = -1\n"
                    "buffer_time = 1s\ncompression = none\n"
                    % self.random.choice(("none", "gzip")) + self.sink(more="timeout = 10s\n"))

        def config():
            return self.config("%s") % more()

        agent = Agent(self, config()).start()
        producers = [Producer(self, "p0"),
                     Producer(self, "p1", stream="large", pad=8000, ring_bytes=1 << 20)]
        for p in producers:
            p.tell("load 2000")
        for _ in range(KILLS):
            agent.wait_ready()
            self.check_books(agent.status())
            self.pause(self.random.uniform(0, 3))
            agent.kill()
            agent.configure(config())
            agent.spawn()
        agent.wait_ready()
        written = self.end_of(producers)
        self.flush(agent)
        objects = self.fetched()
        self.check_producers(objects, written)
        self.assertTrue(any(os.path.getsize(path) > PART_BYTES for path in objects.values()))
        self.assertEqual(self.cloud.uploads(self.bucket), [])
        agent.stop()


class OnCeph(Everywhere, KillCase):
    server = Ceph


class OnSwift(Everywhere, KillCase):
    server = Swift


if __name__ == "__main__":
    unittest.main()
