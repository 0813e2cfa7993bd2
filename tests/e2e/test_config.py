"""The configuration: what each setting does to files, reload, mistakes."""
import json
import os
import re
import shutil
import signal
import stat
import tempfile
import time

from harness import DEADLINE_S, Agent, Case, Producer, batches, staged, until

LINES = b"".join(b"line %d\n" % i for i in range(100))
MESSAGES = [{"message": "line %d" % i} for i in range(100)]


class Batches(Case):
    """When a batch ends, and what its file is called and holds."""

    def counts(self, agent, stream="s"):
        """Lines of each file."""
        found = []
        for name in batches(os.path.join(agent.out, stream)):
            with open(os.path.join(agent.out, stream, name), "rb") as file:
                found.append(file.read().count(b"\n"))
        return found

    def test_buffer_count(self):
        agent = Agent(self, "[stream s]\nbuffer_count = 30").start()
        self.send("s", LINES, "--durable")
        until(lambda: len(batches(os.path.join(agent.out, "s"))) == 3, "three full batches")
        agent.flush()
        self.assertEqual(self.counts(agent), [30, 30, 30, 10])
        self.assertEqual(agent.events("s"), MESSAGES)
        self.check_names(batches(os.path.join(agent.out, "s")))
        agent.stop()

    def test_buffer_size_counts_payload_bytes(self):
        agent = Agent(self, "[stream s]\nbuffer_size = 1KiB").start()
        self.send("s", b"".join(b"%099d\n" % i for i in range(100)), "--durable")
        agent.flush()
        counts = self.counts(agent)
        self.assertEqual(sum(counts), 100)
        for count in counts[:-1]:
            self.assertIn(count, (10, 11))
        agent.stop()

    def test_buffer_time(self):
        agent = Agent(self, "[stream *]\nbuffer_time = 1h\n[stream s]\nbuffer_time = 300ms").start()
        began = time.monotonic()
        self.send("s", LINES, "--durable")
        self.send("t", LINES, "--durable")
        until(lambda: batches(os.path.join(agent.out, "s")), "a file")
        self.assertGreater(time.monotonic() - began, 0.29)
        until(lambda: agent.events("s") == MESSAGES, "all of them, in one file or in several")
        self.assertFalse(os.path.exists(os.path.join(agent.out, "t")))
        agent.stop()

    def test_prefix_with_a_time(self):
        agent = Agent(self, "[stream s]\nprefix = in/!{timestamp:yyyy/MM/dd}/h!{timestamp:HH}-")
        agent.start()
        before = time.gmtime()
        self.send("s", LINES, "--delivered")
        path, = batches(os.path.join(agent.out, "s"))
        days = [time.strftime("in/%Y/%m/%d/h%H-", t) for t in (before, time.gmtime())]
        self.assertTrue(path.startswith(tuple(days)), path)
        self.check_names([re.sub(r"/h\d\d-", "/", path)])
        agent.stop()

    def test_filename_epoch(self):
        agent = Agent(self, "[stream s]\nfilename = epoch").start()
        before = int(time.time())
        self.send("s", LINES, "--delivered")
        name, = batches(os.path.join(agent.out, "s"))
        self.check_names([name], time_pattern=r"\d{10}")
        self.assertIn(int(name.split("-")[0]), range(before, int(time.time()) + 1))
        agent.stop()

    def test_filename_datetime_is_utc_and_now(self):
        agent = Agent(self).start()
        before = int(time.time())
        self.send("s", LINES, "--delivered")
        name, = batches(os.path.join(agent.out, "s"))
        self.check_names([name])
        self.assertIn(name.split("-")[0], [time.strftime("%Y%m%d%H%M%S", time.gmtime(s))
                                           for s in range(before, int(time.time()) + 1)])
        agent.stop()

    def test_layout_flat_and_file_mode(self):
        agent = Agent(self, "[sink local]\nlayout = flat\nfile_mode = 0604").start()
        self.send("s", LINES, "--delivered")
        name, = batches(agent.out)
        self.check_names([name])
        self.assertEqual(stat.S_IMODE(os.stat(os.path.join(agent.out, name)).st_mode), 0o604)
        agent.stop()

    def test_file_mode_is_0640_else(self):
        agent = Agent(self).start()
        self.send("s", LINES, "--delivered")
        name, = batches(agent.out)
        self.assertEqual(stat.S_IMODE(os.stat(os.path.join(agent.out, name)).st_mode), 0o640)
        agent.stop()

    def test_raw_with_its_delimiter(self):
        for text, delimiter in ((None, b"\n"), ('"|\\t"', b"|\t"), ('""', b"")):
            with self.subTest(delimiter=delimiter):
                agent = Agent(self, "[stream *]\nformat = raw\n" +
                              ("delimiter = %s\n" % text if text else ""),
                              data="raw%d" % len(self.children)).start()
                self.send("s", b'{"a": 1}\ntext\n\xff\xfe\n', "--delivered")
                name, = batches(os.path.join(agent.out, "s"))
                self.check_names([name], ext="raw")
                with open(os.path.join(agent.out, "s", name), "rb") as file:
                    self.assertEqual(file.read(), b"".join(
                        part + delimiter for part in (b'{"a": 1}', b"text", b"\xff\xfe")))
                agent.stop()


class Sinks(Case):
    def test_sinks_of_equal_settings_share_batches(self):
        agent = Agent(self, "[stream *]\nsinks = local, twin\nbuffer_count = 40\n[sink twin]\n"
                      "type = file\ndirectory = %s" % self.path("twin")).start()
        self.send("s", LINES, "--delivered")
        first, twin = (batches(os.path.join(d, "s")) for d in (agent.out, self.path("twin")))
        self.assertEqual(first, twin)
        self.assertEqual(len(first), 3)
        self.assertEqual(agent.events("s"), agent.events("s", out=self.path("twin")))
        self.assertEqual(sorted((k["sink"], k["delivered"], k["batches"])
                                for k in agent.stream("s")["sinks"]),
                         [("local", 100, 3), ("twin", 100, 3)])
        agent.stop()

    def test_sinks_of_other_settings_have_batches_of_their_own(self):
        agent = Agent(self, "[stream *]\nsinks = local, other\nbuffer_count = 40\n[sink other]\n"
                      "type = file\ndirectory = %s\nformat = raw\nbuffer_count = 25\n"
                      "filename = epoch" % self.path("other")).start()
        self.send("s", LINES, "--delivered")
        names = batches(os.path.join(self.path("other"), "s"))
        self.check_names(names, ext="raw", time_pattern=r"\d{10}")
        self.assertEqual(len(names), 4)
        data = b""
        for name in names:
            with open(self.path("other", "s", name), "rb") as file:
                data += file.read()
        self.assertEqual(data, LINES)
        self.assertEqual(agent.events("s"), MESSAGES)
        self.assertEqual(len(batches(os.path.join(agent.out, "s"))), 3)
        agent.stop()

    def test_a_sink_on_another_file_system(self):
        far = tempfile.mkdtemp(prefix="hydrant-e2e-", dir="/dev/shm")
        self.addCleanup(shutil.rmtree, far, ignore_errors=True)
        self.assertNotEqual(os.stat(far).st_dev, os.stat(self.dir).st_dev)
        agent = Agent(self, "[sink local]\ndirectory = %s\n[stream *]\nbuffer_count = 10" % far)
        agent.start()
        self.send("s", LINES, "--delivered")
        self.assertEqual(agent.events("s", out=far), MESSAGES)
        self.assertEqual(stat.S_IMODE(os.stat(os.path.join(far, batches(far)[0])).st_mode), 0o640)
        agent.stop()
        self.assertEqual(staged(far), [])

    def test_modes_are_as_configured_whatever_the_umask(self):
        """Files as file_mode says, by link and by copy; folders 0750; staging nobody else's."""
        far = tempfile.mkdtemp(prefix="hydrant-e2e-", dir="/dev/shm")
        self.addCleanup(shutil.rmtree, far, ignore_errors=True)
        for umask, mode in (("000", 0o640), ("077", 0o664), ("777", 0o444)):
            agent = Agent(self, "[sink local]\nfile_mode = %04o\n[sink far]\ntype = file\n"
                          "directory = %s/%s\nfile_mode = %04o\n[stream *]\nbuffer_count = 10\n"
                          "prefix = a/b/\nsinks = local, far" % (mode, far, umask, mode),
                          data="data" + umask,
                          wrap=["sh", "-c", 'umask %s; exec "$@"' % umask, "sh"])
            agent.start()
            self.send("s", LINES, "--delivered")
            for out in (agent.out, os.path.join(far, umask)):
                self.assertEqual(agent.events("s", out=out), MESSAGES)
                for folder, _, names in os.walk(out):
                    private = os.path.basename(folder) == ".hydrant"
                    self.assertEqual(stat.S_IMODE(os.stat(folder).st_mode),
                                     0o700 if private else 0o750, folder)
                    for name in [] if private else names:
                        path = os.path.join(folder, name)
                        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), mode, path)
            agent.stop()

    def test_data_on_another_file_system(self):
        """A tmpfs takes no direct writes everywhere; the log and the spool do without."""
        far = tempfile.mkdtemp(prefix="hydrant-e2e-", dir="/dev/shm")
        self.addCleanup(shutil.rmtree, far, ignore_errors=True)
        agent = Agent(self, "[stream *]\nbuffer_count = 10\n[sink local]\ndirectory = %s"
                      % self.path("near"), place=far)
        agent.start()
        self.send("s", LINES, "--delivered")
        agent.kill()
        agent.start()
        self.assertEqual(agent.events("s", out=self.path("near")), MESSAGES)
        agent.out = self.path("near")
        agent.stop()


class Reload(Case):
    def test_sighup_changes_settings_and_a_bad_file_keeps_them(self):
        agent = Agent(self, "[stream *]\nbuffer_count = 10\nbuffer_time = 1h").start()
        self.send("s", LINES, "--durable")
        until(lambda: len(batches(agent.out)) == 10, "batches of 10")
        agent.configure("[stream *]\nbuffer_count = 50\nbuffer_time = 1h\nformat = raw")
        agent.process.send_signal(signal.SIGHUP)
        agent.log_has("reloaded")
        self.send("s", LINES, "--durable")
        until(lambda: len(batches(agent.out)) == 12, "batches of 50")
        self.assertEqual([name[-4:] for name in batches(agent.out)].count(".raw"), 2)
        agent.configure("[stream *]\nbuffer_cuont = 5")
        agent.process.send_signal(signal.SIGHUP)
        agent.log_has("the old settings stay")
        self.assertRegex(agent.log(), r"%s:\d+: \[stream \*\] buffer_cuont: unknown key; did you "
                         r"mean buffer_count\?" % re.escape(agent.config))
        self.send("s", LINES, "--durable")
        until(lambda: len(batches(agent.out)) == 14, "batches of 50 again")
        agent.stop()
        self.check_names([n for n in batches(agent.out) if n.endswith("json")])

    def test_mistakes_are_told_as_the_log_is_written(self):
        agent = Agent(self, "log_format = json").start()
        agent.configure("log_format = json\nshards = many")
        agent.process.send_signal(signal.SIGHUP)
        agent.log_has("the old settings stay")
        lines = [json.loads(line) for line in agent.log().splitlines()[1:]]
        told, = [line for line in lines if "shards" in line["message"]]
        self.assertEqual(told["level"], "error")
        self.assertRegex(told["message"], r"%s:\d+: \[agent\] shards: 'many' is not a whole number"
                         % re.escape(agent.config))
        agent.stop()

    def test_reload_under_load_loses_nothing(self):
        agent = Agent(self, "[stream *]\nbuffer_count = 100").start()
        producer = Producer(self, "p")
        producer.tell("load 5000")
        for count in (200, 50, 1000, 30):
            before = producer.written()
            agent.configure("[stream *]\nbuffer_count = %d" % count)
            reloads = agent.log().count("reloaded")
            agent.process.send_signal(signal.SIGHUP)
            until(lambda: agent.log().count("reloaded") > reloads, "a reload")
            until(lambda: producer.written() > before + 1000, "load goes on")
        producer.load_end()
        count = producer.close()
        agent.stop()
        self.check_once_in_order(agent.events(), {"p": count})

    def test_what_waits_for_a_restart_is_named(self):
        agent = Agent(self, "[wal]\nsegment_size = 4MiB").start()
        agent.configure("[wal]\nsegment_size = 8MiB")
        agent.process.send_signal(signal.SIGHUP)
        agent.log_has("reload: these wait for the next start: ")
        self.assertIn("segment_size", agent.log())
        agent.stop()

    def test_a_sink_that_no_stream_uses_any_more_takes_what_was_meant_for_it(self):
        sink = "[sink gone]\ntype = file\ndirectory = %s" % self.path("gone")
        agent = Agent(self, "[stream *]\nsinks = local, gone\nbuffer_count = 1000\n" + sink).start()
        self.send("s", LINES, "--durable")
        agent.configure(sink)
        agent.process.send_signal(signal.SIGHUP)
        agent.log_has("reloaded")
        self.send("s", LINES, "--durable")
        agent.flush()
        self.assertEqual(agent.events("s"), MESSAGES * 2)
        self.assertEqual(agent.events("s", out=self.path("gone")), MESSAGES)
        self.check_books(agent.status())
        agent.stop()


class SinkRemoved(Case):
    """A sink that leaves the file: what waits for it is given up, by name and number."""

    def removed(self, again):
        """100 events wait for a sink alone, 100 for it and another; it leaves by again(agent)."""
        self.write_file("gone", b"in the way of the directory\n")
        agent = Agent(self, "[stream alone]\nsinks = gone\nbuffer_count = 30\n"
                      "[stream *]\nsinks = local, gone\nbuffer_count = 30\n[sink gone]\n"
                      "type = file\ndirectory = %s" % self.path("gone")).start()
        self.send("alone", LINES, "--durable")
        self.send("both", LINES, "--durable")
        until(lambda: agent.stream("both")["sinks"]
              and agent.stream("both")["sinks"][0]["delivered"] == 90, "local has its batches")
        until(lambda: agent.status()["backpressure"]["sink_error"], "the sink fails")
        self.assertIn("sink_error: a sink fails", agent.run("status")[1])
        for name in ("alone", "both"):
            self.assertEqual([agent.stream(name)[k] for k in ("accepted", "pending")], [100, 100])
        agent.configure("[stream *]\nbuffer_count = 30")
        again(agent)
        agent.log_has("the configuration has no sink 'gone' any more: ")
        agent.flush()
        self.assertEqual(agent.stream("alone")["dropped_by_reason"], {"sink_removed": 100})
        self.assertEqual([agent.stream("both")[k] for k in ("delivered", "dropped")], [100, 0])
        self.assertEqual(agent.events("both"), MESSAGES)
        metrics = agent.ask("GET", "/metrics")[1]
        self.assertIn('hydrant_events_dropped_total{stream="alone",reason="sink_removed"} 100\n',
                      metrics)
        self.assertIn("stream alone: 100 accepted events were dropped: sink_removed",
                      agent.run("status")[1])
        self.send("alone", LINES, "--delivered")
        self.assertEqual(agent.events("alone"), MESSAGES)
        self.check_books(agent.status())
        until(lambda: os.listdir(os.path.join(agent.data, "spool")) == [], "the spool is empty")
        agent.stop()

    def test_by_reload(self):
        def reload(agent):
            agent.process.send_signal(signal.SIGHUP)
            agent.log_has("reloaded")
        self.removed(reload)

    def test_by_restart(self):
        def restart(agent):
            agent.kill()
            agent.start()
        self.removed(restart)


class Mistakes(Case):
    def refused(self, text):
        """Starts an agent that must not start; what it says."""
        agent = Agent(self, text, data="refused%d" % len(self.children))
        agent.spawn()
        self.assertEqual(agent.process.wait(DEADLINE_S), 1)
        self.assertFalse(os.path.exists(agent.data))
        return agent.log()

    def test_check_lists_every_mistake_with_its_line(self):
        path = self.write_file("bad.ini", """\
[agent]
shards = many
streams_max = 0
[wal]
sync = sometimes
sync = always
segment_size = 1MiB
[http]
listen = 0.0.0.0:8000
[stream s]
buffer_size = 10 parsecs
prefix = !{timestamp:yyyy
sinks = nowhere
[sink x]
type = file
[mystery]
""")
        code, out, err = self.run_hydrant("check", path)
        self.assertEqual((code, out), (1, ""))
        lines = err.splitlines()
        for line, words in ((2, "shards"), (3, "streams_max"), (5, "sync"), (6, "sync"),
                            (7, "segment_size"), (9, "token"), (11, "buffer_size"),
                            (12, "prefix"), (13, "nowhere"), (14, "directory"), (16, "mystery")):
            self.assertTrue(any(text.startswith("%s:%d: " % (path, line)) and words in text
                                for text in lines), (line, words, err))
        numbers = [int(text[len(path) + 1:].split(":")[0]) for text in lines]
        self.assertEqual(numbers, sorted(numbers))

    def test_check_takes_what_the_agent_prints(self):
        code, defaults, _ = self.run_hydrant("check", "--defaults")
        self.assertEqual(code, 0)
        path = self.write_file("defaults.ini", defaults)
        code, out, err = self.run_hydrant("check", path)
        self.assertEqual((code, err), (0, ""))
        self.assertIn("ok", out)

    def test_check_of_no_file(self):
        code, _, err = self.run_hydrant("check", self.path("absent.ini"))
        self.assertEqual(code, 1)
        self.assertIn("absent.ini", err)
        self.assertEqual(self.run_hydrant("check")[0], 2)

    def test_mistakes_are_refused_at_the_start(self):
        log = self.refused("[wal]\nsync = sometimes\n[stream *]\nbuffer_count = none")
        self.assertRegex(log, r"\.ini:6: \[wal\] sync: ")
        self.assertRegex(log, r"\.ini:8: \[stream \*\] buffer_count: ")

    def test_an_address_beyond_the_host_needs_a_token(self):
        agent = Agent(self)
        agent.http = lambda: "0.0.0.0:%d" % agent.port
        agent.spawn()
        self.assertEqual(agent.process.wait(DEADLINE_S), 1)
        self.assertIn("token", agent.log())


class Second(Case):
    """One agent per directory."""

    def ends_with(self, agent, words):
        agent.spawn()
        self.assertEqual(agent.process.wait(DEADLINE_S), 1)
        self.assertIn(words, agent.log())

    def test_a_second_agent_on_one_data_dir_exits(self):
        first = Agent(self).start()
        other = tempfile.mkdtemp(prefix="hydrant-e2e-", dir="/dev/shm")
        self.addCleanup(shutil.rmtree, other, ignore_errors=True)
        second = Agent(self, data="second", place=first.data, shm=other)
        self.ends_with(second, "another agent uses it")
        self.check_first(first)

    def test_a_second_agent_on_one_shm_dir_exits(self):
        first = Agent(self).start()
        self.ends_with(Agent(self, data="second"), "in use by another agent")
        self.check_first(first)

    def test_a_second_agent_on_one_port_exits(self):
        first = Agent(self).start()
        other = tempfile.mkdtemp(prefix="hydrant-e2e-", dir="/dev/shm")
        self.addCleanup(shutil.rmtree, other, ignore_errors=True)
        second = Agent(self, data="second", shm=other)
        second.port = first.port
        self.ends_with(second, "another program does")
        self.check_first(first)

    def check_first(self, first):
        self.send("s", LINES, "--delivered")
        self.assertEqual(first.events("s"), MESSAGES)
        first.stop()
