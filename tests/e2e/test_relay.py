"""Events from one agent to another: once each, over kills of either side, outages and strangers."""
import os
import random
import shutil
import socket
import subprocess
import tempfile

from harness import Agent, Case, Producer, sized, until


class Relay(Case):
    """Two agents, each with a shm_dir of its own: what the first takes, the second has."""

    def setUp(self):
        super().setUp()
        self.shm_far = tempfile.mkdtemp(prefix="hydrant-e2e-", dir="/dev/shm")
        self.addCleanup(shutil.rmtree, self.shm_far, ignore_errors=True)
        self.place = "127.0.0.1:%d" % self.port_hold()
        self.near_start = self.far_start = None

    def agents(self, near="", far="", place=None, far_agent=""):
        self.near = Agent(self, "[sink central]\ntype = relay\naddress = %s\nretry_max_backoff = "
                                "200ms\n%s\n[stream *]\nsinks = central\nbuffer_time = 100ms\n"
                                "buffer_size = 64KiB\n" % (place or self.place, near), data="near")
        self.far = Agent(self, "%s\n[intake]\nrelay = %s\n%s\n[stream *]\nbuffer_time = 1s\n"
                               % (far_agent, self.place, far), data="far", shm=self.shm_far)
        return self.near, self.far

    def sink(self):
        return next((s for s in self.near.status()["sinks"] if s["name"] == "central"), None)

    def delivered(self, stream="load"):
        books = self.near.stream(stream)
        return books["delivered"] if books else 0

    def stop(self):
        """The sender first: then all of it is over there."""
        self.near.stop()
        self.far.stop()


class Arrival(Relay):
    def test_what_one_agent_takes_the_other_writes(self):
        near, far = self.agents()
        far.start()
        near.start()
        count = sized(2000, 20000, 200000)
        producer = Producer(self, "a")
        producer.do("write %d" % count)
        producer.close()
        self.stop()
        self.check_once_in_order(far.events(), {"a": count})
        self.assertEqual(os.listdir(self.shm_far), [])

    def test_typed_records_and_every_kind_arrive_as_they_are(self):
        near, far = self.agents()
        far.start()
        near.start()
        producer = Producer(self, "a")
        producer.do("records 1000")
        producer.do("write 10")
        producer.close()
        self.send("words", b"plain text\n\xff\xfe bytes\n")
        self.stop()
        events = far.events()
        self.assertEqual(len(events), 1010)
        self.assertEqual(sum("pad" in event for event in events), 10)
        self.assertIn({"message": "plain text"}, far.events("words"))
        self.assertEqual(len(far.events("words")), 2)

    def test_an_outage_of_the_aggregator_delays_and_loses_nothing(self):
        near, far = self.agents()
        near.start()
        producer = Producer(self, "a")
        producer.do("write 1000")
        until(lambda: self.sink() and self.sink()["waits_because"], "the sink says why it waits")
        far.start()
        until(lambda: self.delivered() == 1000, "the first are over there")
        self.assertEqual(far.terminate(), 0)
        producer.do("write 1000")
        until(lambda: self.sink()["waits_because"], "the sink says why it waits")
        far.start()
        producer.close()
        until(lambda: self.delivered() == 2000, "all are over there")
        until(lambda: not self.sink()["waits_because"], "nothing waits")
        self.stop()
        self.check_once_in_order(far.events(), {"a": 2000})

    def test_a_stream_that_the_aggregator_cannot_take_holds_up_no_other(self):
        near, far = self.agents(far_agent="streams_per_uid_max = 1")
        far.start()
        near.start()
        self.send("first", b"{}\n")
        until(lambda: self.delivered("first") == 1, "the first stream is there")
        self.send("second", b"{}\n")
        until(lambda: "declined" in (self.sink()["waits_because"] or ""), "it says why")
        self.send("first", b"{}\n" * 9)
        until(lambda: self.delivered("first") == 10, "the first stream goes on")
        relay = far.status()["relay"]
        self.assertGreaterEqual(relay["declined"], 1)
        self.assertEqual((relay["peers"], relay["events"]), (1, 10))
        self.assertEqual(self.near.stream("second")["pending"], 1)
        self.assertGreaterEqual(self.sink()["retries"], 1)
        near.kill()
        far.stop()

    def test_batches_that_were_sealed_go_after_a_restart_of_the_sender(self):
        near, far = self.agents()
        near.start()
        producer = Producer(self, "a")
        producer.do("write 3000")
        producer.close()
        until(lambda: (self.near.stream("load") or {}).get("pending") == 3000
              and len(os.listdir(os.path.join(near.data, "spool"))) > 0, "batches wait")
        near.kill()
        near.start()
        far.start()
        self.stop()
        self.check_once_in_order(far.events(), {"a": 3000})


class Kills(Relay):
    def test_each_event_arrives_once_whoever_is_killed(self):
        near, far = self.agents()
        far.start()
        near.start()
        chance = random.Random(self.seed)
        producers = {name: Producer(self, name, ring_bytes=1 << 20) for name in "ab"}
        for producer in producers.values():
            producer.tell("load %d" % sized(1000, 2000, 5000))
        for _ in range(sized(4, 6, 24)):
            before = self.delivered()
            target = before + chance.randrange(1, 600)
            until(lambda: self.delivered() >= target, "some more have arrived")
            victim = chance.choice((near, far))
            victim.kill()
            if chance.random() < 0.3:
                other = far if victim is near else near
                other.kill()
                other.start()
            victim.start()
        for producer in producers.values():
            producer.load_end()
        counts = {name: producer.close() for name, producer in producers.items()}
        self.stop()
        self.check_once_in_order(far.events(), counts)


class Strangers(Relay):
    def test_garbage_on_the_port_harms_nobody(self):
        near, far = self.agents()
        far.start()
        near.start()
        chance = random.Random(self.seed)
        hello = (b"\x20\0\0\0\1\0\0\0" + bytes(8) + b"HYDRELAY" + b"\1\0\0\0" + bytes(4)
                 + bytes(16))
        for i in range(sized(20, 60, 1000)):
            with socket.create_connection(("127.0.0.1", int(self.place.split(":")[1]))) as s:
                data = bytes(chance.randrange(256) for _ in range(chance.randrange(1, 400)))
                kind = chance.randrange(2, 7)
                message = (len(data).to_bytes(4, "little") + bytes([kind, 0, 0, 0])
                           + (i % 3).to_bytes(8, "little") + data)
                s.sendall(data if i % 2 else hello + message)
                try:
                    s.shutdown(socket.SHUT_WR)
                except OSError:
                    pass                # it was broken off, with data unread
        producer = Producer(self, "a")
        producer.do("write 500")
        producer.close()
        self.stop()
        self.check_once_in_order(far.events(), {"a": 500})


class Tls(Relay):
    def certificates(self):
        """An authority, and certificates of it for both; one of nobody's."""
        def openssl(*arguments):
            subprocess.run(("openssl",) + arguments, check=True, cwd=self.dir,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-days", "2", "-subj", "/CN=authority", "-keyout", "ca.key", "-out", "ca.pem")
        self.write_file("names", "subjectAltName=IP:127.0.0.1")
        for name in ("near", "far"):
            openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-subj", "/CN=" + name, "-keyout", name + ".key", "-out", name + ".csr")
            openssl("x509", "-req", "-in", name + ".csr", "-CA", "ca.pem", "-CAkey", "ca.key",
                    "-CAcreateserial", "-days", "2", "-extfile", "names", "-out", name + ".pem")

    def pair(self, shown=True):
        self.certificates()
        p = self.path
        near = "tls = yes\nca_file = %s\n" % p("ca.pem")
        if shown:
            near += "cert_file = %s\nkey_file = %s\n" % (p("near.pem"), p("near.key"))
        return self.agents(near, "relay_cert_file = %s\nrelay_key_file = %s\nrelay_ca_file = %s\n"
                           % (p("far.pem"), p("far.key"), p("ca.pem")))

    def test_both_sides_know_each_other(self):
        near, far = self.pair()
        far.start()
        near.start()
        count = sized(1000, 10000, 100000)
        producer = Producer(self, "a")
        producer.do("write %d" % count)
        producer.close()
        self.stop()
        self.check_once_in_order(far.events(), {"a": count})

    def test_a_sender_without_a_certificate_is_not_let_in(self):
        near, far = self.pair(shown=False)
        far.start()
        near.start()
        producer = Producer(self, "a")
        producer.do("write 10")
        producer.close()
        until(lambda: self.sink() and "TLS" in (self.sink()["waits_because"] or ""), "it is refused")
        self.assertEqual(far.status()["streams"], [])
        near.kill()
        far.stop()
