"""Whatever is done to a ring or planted beside it harms nobody else.

Every test here has a bystander: a producer under load whose events must all arrive, from an agent
that was not restarted.
"""
import os
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time

from harness import PRODUCER, SHORT, Agent, Case, Producer, cpu_seconds, punch_hole, sized, until

HOSTILE = os.path.join(os.path.dirname(PRODUCER), "hostile")

PAGE = os.sysconf("SC_PAGE_SIZE")
RATE = 1000 if SHORT else 5000
DATA_OFFSET = 3 * PAGE + 65536
ACCEPTED_OFFSET = 2 * PAGE + 128
RING_BYTES = 65536


def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


class Hostile(Case):
    config = "[stream *]\nbuffer_count = 5000"

    def setUp(self):
        super().setUp()
        self.agent = Agent(self, self.config).start()
        self.pid = self.agent.process.pid
        self.bystander = Producer(self, "bystander")
        self.bystander.tell("load %d" % RATE)

    def victim(self, name="victim", events=50):
        """A producer that is attached and has been read, and its ring's path."""
        producer = Producer(self, name, stream="victim", ring_bytes=RING_BYTES)
        producer.do("write %d" % events)
        producer.do("flush accepted 30")
        return producer, os.path.join(self.shm, producer.ring)

    def head_at(self, path):
        """Where the producer's head is in its file."""
        with open(path, "rb") as file:
            return PAGE + struct.unpack_from("<I", file.read(32), 20)[0]

    def overwrite(self, path, offset, data):
        fd = os.open(path, os.O_RDWR)
        try:
            self.assertEqual(os.pwrite(fd, data, offset), len(data))
        finally:
            os.close(fd)

    def quarantined(self, ring, reasons):
        """Waits until the agent has stopped reading the ring; status, log and metrics say why."""
        found = until(lambda: (self.agent.ring(ring) or {}).get("quarantine"),
                      lambda: "quarantine of %s: %s" % (ring, self.agent.ring(ring)))
        self.assertIn(found, reasons)
        self.assertEqual(self.agent.ring(ring)["state"], "quarantined")
        self.assertIn("ring %s: quarantined" % ring, self.agent.log())
        return found

    def ring_ls(self, ring):
        """The line of a ring in `hydrant ring ls`."""
        _, out, err = self.agent.run("ring", "ls")
        self.assertEqual(err, "")
        line, = [line for line in out.splitlines() if line.startswith(ring)]
        return line

    def check_unharmed(self):
        """The agent is the same process; the bystander's events arrive, all of them, also now."""
        before = self.bystander.written()
        until(lambda: self.bystander.written() > before, "the bystander goes on")
        self.bystander.load_end()
        self.bystander.do("write 1000")
        self.bystander.do("flush delivered 30")
        count = self.bystander.close()
        self.assertEqual(self.agent.process.pid, self.pid)
        self.assertIsNone(self.agent.process.poll())
        self.check_once_in_order(self.agent.events("load"), {"bystander": count})
        status = self.agent.status()
        self.check_books(status)
        self.assertEqual(status["streams"][0]["lost"], 0)
        self.assertEqual(self.agent.terminate(), 0)

    def check_victim_prefix(self, count):
        """What was taken before is delivered, once and in order."""
        events = self.agent.events("victim")
        self.check_once_in_order(events, {"victim": tuple(range(50, count + 1))})

    # --- every reason ------------------------------------------------------------------------

    def plant_ring(self, name, template, change):
        """A ring made from another one's bytes, with a uuid of its own, and changed."""
        data = bytearray(template)
        data[64:80] = self.random.randbytes(16)
        data[2 * PAGE:3 * PAGE] = bytes(PAGE)           # nobody has read it
        change(data)
        if data[108:112] == template[108:112]:
            data[108:112] = struct.pack("<I", crc32c(data[:108]))
        with open(os.path.join(self.shm, name + ".tmp"), "wb") as file:
            file.write(data)
        os.rename(os.path.join(self.shm, name + ".tmp"), os.path.join(self.shm, name))

    def shown_quarantined(self, ring, reason):
        """In status, in metrics, by ring ls and by ring show, which says what to do."""
        until(lambda: (self.agent.ring(ring) or {}).get("quarantine") == reason,
              lambda: "%s is shown as %s: %s" % (ring, reason, self.agent.ring(ring)))
        self.assertEqual(self.agent.ring(ring)["state"], "quarantined")
        self.assertIn(reason, self.ring_ls(ring))
        _, out, err = self.agent.run("ring", "show", ring)
        self.assertRegex(out + err, "program|removed|remove it|another log")
        _, out, _ = self.agent.run("status")
        self.assertRegex(out, r"%s +quarantined: %s" % (ring, reason))

    def test_each_reason_is_shown_with_what_to_do(self):
        producer, path = self.victim(events=20)
        with open(path, "rb") as file:
            good = file.read()
        head_at = PAGE + struct.unpack_from("<I", good, 20)[0]
        defs_len, = struct.unpack_from("<I", good, PAGE + 48)

        def cut(data):
            del data[-PAGE:]

        def set_head(data, head):
            struct.pack_into("<Q", data, head_at, head)

        def bad_frame(data):
            struct.pack_into("<IHBB", data, DATA_OFFSET, 1, 1, 99, 0)

        def bad_definition(data):
            struct.pack_into("<I", data, PAGE + 48, defs_len + 64)

        def bad_sum(data):
            data[108:112] = b"\0\0\0\0"

        def other_boot(data):
            data[80] ^= 1

        def copied(data):
            data[64:80] = good[64:80]

        cases = {"superblock": bad_sum, "size": cut, "frame": bad_frame,
                 "position": lambda data: set_head(data, 13), "definition": bad_definition,
                 "foreign": other_boot, "duplicate": copied}
        for reason, change in cases.items():
            self.plant_ring("bad-%s.ring" % reason, good, change)
        for reason in cases:
            with self.subTest(reason=reason):
                self.shown_quarantined("bad-%s.ring" % reason, reason)
        os.truncate(path, 0)
        until(lambda: self.agent.ring(producer.ring)["quarantine"] == "fault", "the last reason")
        _, metrics = self.agent.ask("GET", "/metrics")
        self.assertIn('hydrant_rings{state="quarantined"} %d' % (len(cases) + 1), metrics)
        producer.kill()
        self.check_unharmed()
        self.check_once_in_order(self.agent.events("victim"), {"victim": 20})

    # --- a storm -----------------------------------------------------------------------------

    def measure(self, process, seconds):
        """Events so far, and how long they took to be accepted now: median, p99.9, most, in us."""
        process.stdin.write(b"%g\n" % seconds)
        process.stdin.flush()
        line = process.stdout.readline().decode()
        self.assertTrue(line.startswith("ok "), line)
        return [int(word) for word in line.split()[1:]]

    def test_a_storm_of_hostile_rings_stalls_nobody(self):
        """A stall that they cause shows in each round; one of the machine's own does not."""
        rounds, seconds = sized(3, 5, 20), sized(1, 1.5, 3)
        self.bystander.load_end()
        self.bystander.close()
        self.assertEqual(self.agent.terminate(), 0)
        place = tempfile.mkdtemp(prefix="hydrant-e2e-", dir="/dev/shm")     # no disk's stalls
        self.addCleanup(shutil.rmtree, place, ignore_errors=True)
        self.agent = Agent(self, self.config, data="storm", place=place).start()
        self.pid = self.agent.process.pid
        self.bystander = Producer(self, "bystander")
        self.bystander.do("write 10")
        self.bystander.do("flush accepted 30")      # so its stream is there
        honest = self.popen([HOSTILE, "measure", self.shm], stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE)
        _, _, _, quiet = self.measure(honest, seconds)
        storm = self.popen([HOSTILE, "attack", self.shm, str(rounds * seconds + 1),
                            str(self.seed)], stdout=subprocess.PIPE,
                           preexec_fn=lambda: os.nice(19))  # it is not about processor time
        measured = [self.measure(honest, seconds) for _ in range(rounds)]
        done = storm.communicate(timeout=60)[0].decode()
        self.assertEqual(storm.returncode, 0)
        print("commit to accepted, at most: %.1f ms in quiet, %s ms in the storm (median %.2f ms; "
              "%s)" % (quiet / 1e3, " ".join("%.1f" % (m[3] / 1e3) for m in measured),
                       measured[-1][1] / 1e3, done.strip()))
        slow = 4 if SHORT else 1        # small sizes are for the sanitizers, which take their time
        self.assertLess(min(m[3] for m in measured), slow * 50_000 + 5 * quiet)
        honest.stdin.close()
        self.assertEqual(honest.wait(30), 0)
        honest.stdout.close()
        self.assertLess(self.agent.log().count("\n"), 400, "the log is not flooded")
        self.bystander.tell("load %d" % RATE)
        self.check_unharmed()
        self.check_once_in_order(self.agent.events("measured"), {"measured": measured[-1][0]})

    # --- the ring's file ---------------------------------------------------------------------

    def test_a_ring_cut_to_nothing_while_attached(self):
        producer, path = self.victim()
        os.truncate(path, 0)
        self.quarantined(producer.ring, ("fault", "size"))
        self.assertIn("size", self.ring_ls(producer.ring))
        producer.kill()
        self.check_unharmed()
        self.check_victim_prefix(50)

    def test_a_ring_whose_frames_are_cut_off_while_attached(self):
        producer, path = self.victim()
        os.truncate(path, DATA_OFFSET)
        producer.tell("write 10")       # faults: that is the producer's own harm
        self.assertEqual(producer.process.wait(30), -signal.SIGBUS)
        self.check_unharmed()
        self.check_victim_prefix(60)

    def test_a_ring_cut_while_its_frames_wait(self):
        """The agent is stopped meanwhile, so that head is ahead of what was read."""
        producer, path = self.victim()
        self.agent.process.send_signal(signal.SIGSTOP)
        producer.do("write 50")
        os.truncate(path, DATA_OFFSET + 1000)
        self.agent.process.send_signal(signal.SIGCONT)
        self.quarantined(producer.ring, ("size", "frame", "fault"))
        self.assertIn("size", self.ring_ls(producer.ring))
        producer.kill()
        self.check_unharmed()

    def test_a_ring_grown_while_attached(self):
        producer, path = self.victim()
        os.truncate(path, os.path.getsize(path) + (1 << 20))
        producer.do("write 50")         # the ring itself is as it was
        producer.do("flush accepted 30")
        self.assertIn("size", self.ring_ls(producer.ring))
        producer.kill()
        self.check_unharmed()
        self.check_victim_prefix(100)

    def test_a_ring_with_holes_punched_while_attached(self):
        for number, (offset, length) in enumerate(((DATA_OFFSET, RING_BYTES), (PAGE, 2 * PAGE),
                                                   (0, 3 * PAGE), (3 * PAGE, 65536))):
            with self.subTest(offset=offset):
                producer, path = self.victim("victim%d" % number)
                punch_hole(path, offset, length)
                producer.tell("write 20")
                producer.line()         # ok, an error or a fault: its own harm
                producer.kill()
        self.check_unharmed()

    def test_a_ring_filled_with_random_bytes_while_attached(self):
        for number in range(4 if SHORT else 12):
            producer, path = self.victim("victim%d" % number)
            self.overwrite(path, 0, self.random.randbytes(os.path.getsize(path)))
            self.quarantined(producer.ring, ("position", "frame", "definition", "superblock"))
            self.assertIn("superblock", self.ring_ls(producer.ring))
            producer.kill()
        self.check_unharmed()

    def test_a_head_that_goes_back_or_too_far(self):
        for name, delta in (("back", -64), ("far", RING_BYTES + 8), ("odd", 3)):
            producer, path = self.victim(name)
            at = self.head_at(path)
            with open(path, "rb") as file:
                file.seek(at)
                head, = struct.unpack("<Q", file.read(8))
            self.overwrite(path, at, struct.pack("<Q", head + delta))
            self.quarantined(producer.ring, ("position",))
            self.assertIn("position", self.ring_ls(producer.ring))
            producer.kill()
        self.check_unharmed()

    def test_a_frame_of_an_impossible_length(self):
        producer, path = self.victim()
        at = self.head_at(path)
        with open(path, "rb") as file:
            file.seek(at)
            head, = struct.unpack("<Q", file.read(8))
        self.overwrite(path, DATA_OFFSET + head % RING_BYTES,
                       struct.pack("<IHBBQ", 0x7fffffff, 1, 1, 0, 0))
        self.overwrite(path, at, struct.pack("<Q", head + 64))
        self.quarantined(producer.ring, ("frame",))
        self.assertIn("quarantined: frame", self.ring_ls(producer.ring))
        with self.assertRaisesRegex(AssertionError, "ESTALE"):
            producer.do("write 100000")     # the producer is told, and why
        producer.kill()
        code, metrics = self.agent.ask("GET", "/metrics")
        self.assertEqual(code, 200)
        self.assertIn('hydrant_rings{state="quarantined"} 1', metrics)
        self.check_unharmed()
        self.check_victim_prefix(50)

    def test_a_deleted_ring_is_drained_to_its_end(self):
        """A vanished name is not death."""
        producer, path = self.victim()
        os.unlink(path)
        producer.do("write 2000")
        producer.do("flush delivered 30")
        self.assertEqual(producer.close(), 2050)
        self.check_unharmed()
        self.check_once_in_order(self.agent.events("victim"), {"victim": 2050})

    def test_a_ring_renamed_or_copied(self):
        """A copy has the uuid of another ring: it is not read, the ring itself is."""
        producer, path = self.victim()
        with open(path, "rb") as file:
            data = file.read()
        with open(path + ".tmp", "wb") as file:
            file.write(data)
        os.rename(path + ".tmp", os.path.join(self.shm, "copy.ring"))
        self.quarantined("copy.ring", ("duplicate",))
        producer.do("write 50")
        producer.do("flush delivered 30")
        producer.close()
        self.check_unharmed()
        self.check_victim_prefix(100)

    # --- the directory -----------------------------------------------------------------------

    def plant(self, count):
        """Every sort of thing that is no ring, under names of rings and others."""
        os.symlink("/etc/passwd", os.path.join(self.shm, "link.ring"))
        os.symlink("nowhere", os.path.join(self.shm, "dangling.ring"))
        os.symlink(".", os.path.join(self.shm, "self.ring"))
        os.mkfifo(os.path.join(self.shm, "fifo.ring"))
        os.mkdir(os.path.join(self.shm, "folder.ring"))
        os.mkdir(os.path.join(self.shm, ".folder.ring"))
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(os.path.join(self.shm, "socket.ring"))
        if os.getuid() == 0:
            os.mknod(os.path.join(self.shm, "null.ring"), 0o20666, os.makedev(1, 3))
        with open(os.path.join(self.shm, "text.ring"), "w", encoding="ascii") as file:
            file.write("this is no ring\n")
        with open(os.path.join(self.shm, "huge.ring"), "wb") as file:
            file.truncate(1 << 40)
        names = ("junk%05d.ring", "junk%05d", ".junk%05d.ring", "junk %05d\n.ring",
                 "-junk%05d.ring")
        for number in range(count):
            name = names[number % len(names)] % number
            os.close(os.open(os.path.join(self.shm, name), os.O_CREAT | os.O_WRONLY, 0o600))

    def check_planted(self):
        late, _ = self.victim()         # found among all that
        late.close()
        code, text = self.agent.ask("GET", "/healthz")
        self.assertEqual((code, text), (200, "ok"))
        self.assertLess(self.agent.log().count("\n"), 500, "the log is not flooded")
        self.bystander.load_end()       # idle for the measure
        self.bystander.tell("load 1")
        began, used = time.monotonic(), cpu_seconds(self.pid)
        until(lambda: time.monotonic() - began >= 2, "the time of the measure")
        used = cpu_seconds(self.pid) - used
        self.assertLess(used / (time.monotonic() - began), 0.35, "of a CPU, with little to do")
        self.check_unharmed()
        self.assertTrue(os.path.exists(os.path.join(self.shm, "junk00000.ring")))
        self.assertTrue(os.path.islink(os.path.join(self.shm, "link.ring")))

    def test_junk_planted_beside_a_running_agent(self):
        self.plant(20_000)
        self.check_planted()

    def test_junk_there_before_the_agent(self):
        self.assertEqual(self.agent.terminate(), 0)
        self.plant(20_000)
        self.agent.start()
        self.pid = self.agent.process.pid
        self.check_planted()

    def test_the_agents_own_names_are_taken(self):
        """Bell and lock are cleared of what is not theirs."""
        self.assertEqual(self.agent.terminate(), 0)
        os.mkdir(os.path.join(self.shm, ".bell"))
        os.mkfifo(os.path.join(self.shm, ".lock"))
        self.agent.start()
        self.pid = self.agent.process.pid
        self.check_unharmed()


class Quotas(Case):
    """At a limit a ring waits, visibly, with what is in it, until there is room."""

    def waiting(self, agent, ring, limit):
        until(lambda: (agent.ring(ring) or {}).get("state") == "waiting",
              lambda: "%s waits: %s" % (ring, agent.ring(ring)))
        self.assertEqual(agent.ring(ring)["waits_because"], limit)
        self.assertEqual(agent.ring(ring)["uid"], os.getuid())
        _, out, _ = agent.run("ring", "ls")
        self.assertRegex(out, r"%s +waiting: %s" % (ring, limit))
        _, out, _ = agent.run("status")
        self.assertRegex(out, r"%s +waiting: %s" % (ring, limit))
        code, metrics = agent.ask("GET", "/metrics")
        self.assertIn('hydrant_rings{state="waiting"} 1', metrics)
        return metrics

    def test_a_ring_beyond_its_users_limit_waits_for_a_place(self):
        agent = Agent(self, "rings_per_uid_max = 2").start()
        first, second = Producer(self, "first"), Producer(self, "second")
        for producer in (first, second):
            producer.do("write 10")
            producer.do("flush accepted 30")
        third = Producer(self, "third")
        third.do("write 10")
        metrics = self.waiting(agent, third.ring, "rings_per_uid_max")
        self.assertIn('hydrant_backpressure{reason="rings_max"} 1', metrics)
        first.close()
        third.do("flush accepted 30")
        until(lambda: not agent.status()["backpressure"]["rings_max"], "back pressure is over")
        second.close()
        third.close()
        agent.stop()
        self.check_once_in_order(agent.events(), {"first": 10, "second": 10, "third": 10})

    def test_a_stream_beyond_its_users_limit_waits_for_the_limit_to_change(self):
        agent = Agent(self, "streams_per_uid_max = 2\n[stream named]\nformat = json").start()
        names = ("one", "two", "named", "three")
        producers = [Producer(self, name, stream=name) for name in names]
        for producer in producers[:3]:
            producer.do("write 10")
            producer.do("flush accepted 30")
        producers[3].do("write 10")
        metrics = self.waiting(agent, producers[3].ring, "streams_per_uid_max")
        self.assertIn('hydrant_backpressure{reason="streams_max"} 1', metrics)
        agent.flush()                   # which does not wait for it
        self.assertEqual(agent.terminate(), 0)
        agent.configure("streams_per_uid_max = 3\n[stream named]\nformat = json")
        agent.start()
        producers[3].do("flush accepted 30")
        for producer in producers:
            producer.close()
        agent.stop()
        for name in names:
            self.check_once_in_order(agent.events(name), {name: 10})
