"""What is configured over HTTP: streams, MiniFirehoses and delivery streams, and what is left of
them after restarts and kills."""
import http.client
import json
import os
import socket
import stat
import threading
import unittest

import botocore.config
import botocore.exceptions
import botocore.session

from format_files import node_install, verify
from harness import DEADLINE_S, Agent, Case, Producer, batches, until
from services import ACCESS_KEY, SECRET_KEY, Aws

LOCAL = {"directory": "mini", "output-format": "json"}


class Rest(Case):
    def start(self, config=""):
        self.agent = Agent(self, config).start()
        return self.agent

    def ask(self, method, path, body=None, **headers):
        """(status, answer) with a body of JSON, or a text that is none."""
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        if body is not None:
            headers = {"Content-Type": "application/json", **headers}
            body = body if isinstance(body, (str, bytes)) else json.dumps(body)
        code, text = self.agent.ask(method, path, headers, body)
        return code, json.loads(text) if text else None

    def make(self, name, sink="local", config=None, **more):
        """POST of a MiniFirehose."""
        return self.ask("POST", "/minifirehoses",
                        {"name": name, "sink": sink, "sink-config": config or LOCAL,
                         **{key.replace("_", "-"): value for key, value in more.items()}})

    def made(self, name, **options):
        self.assertEqual(self.make(name, **options),
                         (200, {"message": "MiniFirehose '%s' created" % name}))

    def message(self, name, message):
        self.assertEqual(self.ask("POST", "/minifirehoses/%s/message" % name,
                                  {"message": message}), (200, {"message": "Message added"}))

    def deleted(self, name):
        self.assertEqual(self.ask("DELETE", "/minifirehoses/" + name),
                         (200, {"message": "MiniFirehose '%s' deleted" % name}))

    def kept(self):
        """What the agent keeps of all that."""
        with open(os.path.join(self.agent.data, "state", "rest.ini"), encoding="utf-8") as file:
            return file.read()

    def files(self, *parts):
        folder = os.path.join(self.agent.data, *parts)
        return [os.path.join(folder, name) for name in batches(folder)]

    def restart(self):
        self.agent.kill()
        self.agent.start()


class Streams(Rest):
    def stream_at(self, name):
        code, answer = self.ask("GET", "/v1/streams/" + name)
        return answer if code == 200 else None

    def test_streams_are_made_changed_and_outlive_a_kill(self):
        self.start("[stream file]\nformat = csv\n")
        code, answer = self.ask("PUT", "/v1/streams/a", {
            "format": "csv", "buffer_time": "1h", "buffer_count": 7, "buffer_size": 1048576,
            "sinks": ["local"], "validate": True, "prefix": "p=\"$\\\t/", "delimiter": "",
            "columns": None})
        self.assertEqual(code, 200, answer)
        self.assertEqual((answer["name"], answer["source"]), ("a", "rest"))
        for key, value in (("format", "csv"), ("buffer_time", "1h"), ("buffer_count", 7),
                           ("buffer_size", "1MiB"), ("sinks", ["local"]), ("validate", True),
                           ("prefix", "p=\"$\\\t/")):
            self.assertEqual(answer["settings"][key], value)
        self.assertEqual(answer["books"]["accepted"], 0)
        self.restart()
        self.assertEqual(self.stream_at("a"), answer)
        self.assertEqual(self.ask("PUT", "/v1/streams/a", answer["settings"]), (200, answer))
        code, answer = self.ask("PUT", "/v1/streams/a", {"buffer_time": 0.25})
        self.assertEqual((code, answer["settings"]["buffer_time"], answer["settings"]["format"]),
                         (200, "250ms", "json"))
        self.send("a", b"1\n2\n")
        self.send("other", b"1\n")
        until(lambda: self.agent.booked("a", "delivered") == 2, "it is sealed by the new time")
        self.agent.flush()
        self.assertEqual([(s["name"], s["source"]) for s in self.ask("GET", "/v1/streams")[1]],
                         [("a", "rest"), ("file", "file"), ("other", "auto")])
        self.assertEqual(self.ask("DELETE", "/v1/streams/a")[0], 200)
        self.assertEqual(self.stream_at("a"), None)
        self.assertEqual(self.agent.stream("a")["delivered"], 2)        # the books stay
        self.restart()
        self.assertEqual(self.stream_at("a"), None)
        self.send("a", b"3\n")
        self.agent.flush()
        self.assertEqual(self.stream_at("a")["source"], "auto")
        self.agent.stop()

    def test_mistakes_are_told_and_change_nothing(self):
        self.start("[stream file]\n[sink s]\ntype = file\ndirectory = elsewhere\n")
        put = lambda body, name="a": self.ask("PUT", "/v1/streams/" + name, body)
        for body, words in (
                ({"fromat": "csv"}, "fromat: unknown key; did you mean format?"),
                ({"about": "{}"}, "about: unknown key"),
                ({"format": "xml"}, "'xml' is not one of json, csv, parquet, raw"),
                ({"buffer_count": 0}, "out of range"), ({"buffer_count": 1.5}, "whole number"),
                ({"buffer_size": "10"}, "one of the units"), ({"sinks": "no"}, "no sink 'no'"),
                ({"sinks": ["a~1"]}, "no sink 'a~1'"), ({"sinks": [1]}, "list of texts"),
                ({"prefix": {"a": 1}}, "list of texts"), ({"prefix": "\x01"}, "control"),
                ({"buffer_count": -1, "buffer_size": -1, "buffer_time": -1}, "all -1"),
                ({"prefix": "!{what:x}"}, "[stream a] prefix")):
            code, answer = put(body)
            self.assertEqual(code, 400, body)
            self.assertIn(words, answer["detail"])
        for body in ("[]", "", "{", "1"):
            self.assertEqual(put(body)[0], 422, body)
        self.assertEqual(put({}, "file")[0], 409)
        self.assertEqual(self.ask("DELETE", "/v1/streams/file")[0], 409)
        self.assertEqual(self.ask("DELETE", "/v1/streams/a")[0], 404)
        self.assertEqual(self.ask("DELETE", "/v1/streams/a%00b")[0], 404)
        self.assertEqual(put({}, "-a")[0], 400)
        self.assertEqual(self.ask("POST", "/v1/streams/a", {})[0], 405)
        self.assertFalse(os.path.exists(os.path.join(self.agent.data, "state", "rest.ini")))
        self.agent.stop()

    def test_what_the_file_says_of_a_name_counts(self):
        self.start()
        self.assertEqual(self.ask("PUT", "/v1/streams/a", {"format": "csv"})[0], 200)
        self.agent.configure("[stream a]\nformat = raw\n")
        self.agent.process.send_signal(1)
        self.agent.log_has("reloaded")
        self.assertEqual(self.stream_at("a")["source"], "file")
        self.assertEqual(self.ask("PUT", "/v1/streams/a", {})[0], 409)
        # A file that is being edited does not count, and does not stand in the way.
        self.agent.configure("[stream")
        self.assertEqual(self.ask("PUT", "/v1/streams/b", {"sinks": "local"})[0], 200)
        self.agent.configure("")
        self.restart()
        self.assertEqual([(s["name"], s["source"]) for s in self.ask("GET", "/v1/streams")[1]],
                         [("a", "rest"), ("b", "rest")])
        self.assertEqual(self.stream_at("a")["settings"]["format"], "csv")
        self.agent.stop()

    def test_a_file_of_the_agents_own_that_cannot_be_read_stops_the_start(self):
        self.start()
        self.assertEqual(self.ask("PUT", "/v1/streams/a", {})[0], 200)
        path = os.path.join(self.agent.data, "state", "rest.ini")
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)
        self.agent.kill()
        for text, words in (("[stream a]\nformt = 1\n", "rest.ini:2: [stream a] formt: unknown"),
                            ("[agent]\n", "rest.ini:1: unknown section"), ("x", "rest.ini:1:")):
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
            self.agent.spawn()
            self.assertEqual(self.agent.process.wait(DEADLINE_S), 1)
            self.assertIn(words, self.agent.log())
        os.remove(path)
        os.mkdir(path)
        self.agent.spawn()
        self.assertEqual(self.agent.process.wait(DEADLINE_S), 1)
        self.assertIn("rest.ini' is not a regular file", self.agent.log())
        os.rmdir(path)
        self.agent.start().stop()

    def test_unknown_streams_are_refused_where_that_is_wanted(self):
        unix = self.path("socket")
        self.start("auto_create_streams = no\ndefault_stream = main\n[intake]\nunix = %s\n" % unix)
        body = '{"n": 1}'
        self.assertEqual(self.ask("POST", "/v1/streams/a/events", body)[0], 404)
        self.assertEqual(self.ask("POST", "/v1/streams/main/events", body)[0], 202)
        self.assertEqual(self.ask("PUT", "/v1/streams/a", {})[0], 200)
        self.assertEqual(self.ask("POST", "/v1/streams/a/events", body)[0], 202)
        self.assertEqual(self.ask("DELETE", "/v1/streams/a")[0], 200)
        self.assertEqual(self.ask("POST", "/v1/streams/a/events", body)[0], 404)
        with socket.socket(socket.AF_UNIX) as line:
            line.connect(unix)
            line.sendall(b"b by socket\n")
        self.send("b", b"by ring\n")
        until(lambda: self.agent.status()["intake"]["bad_lines"]["unknown_stream"] == 1, "counted")
        self.agent.flush()
        letters = self.events_of(self.files("out", "main", "errors", "processing-failed"))
        self.assertEqual(sorted(letter["rawData"] for letter in letters),
                         sorted(["YnkgcmluZw==", "YiBieSBzb2NrZXQ="]))
        for letter in letters:
            self.assertIn("auto_create_streams is no", letter["errorMessage"])
        self.assertEqual(self.agent.stream("b")["delivered"], 1)
        # It counts as soon as it is there, for a ring that is open too.
        producer = Producer(self, "p", stream="b")
        producer.do("write 5")
        self.agent.flush()
        self.assertEqual(self.ask("PUT", "/v1/streams/b", {})[0], 200)
        producer.do("write 5")
        producer.close()
        self.agent.stop()
        self.assertEqual([e["n"] for e in self.agent.events("b")], [5, 6, 7, 8, 9])


class Minis(Rest):
    @classmethod
    def setUpClass(cls):
        node_install()

    def stats(self, name):
        code, answer = self.ask("GET", "/minifirehoses/%s/stats" % name)
        self.assertEqual(code, 200)
        return answer

    def test_messages_become_files_right_below_the_directory(self):
        self.start("[stream *]\nformat = raw\ncompression = gzip\nprefix = x/\n")
        self.assertEqual(self.ask("GET", "/minifirehoses"), (200, []))
        self.made("b")
        self.made("a", buffer_count=-1, buffer_size=-1, buffer_time=60)
        self.assertEqual(self.ask("GET", "/minifirehoses"), (200, ["a", "b"]))
        self.message("a", {"n": 1, "s": "\u00e9"})
        self.message("a", "text\n")
        self.message("a", '{"in": "text"}')
        stats = self.stats("a")
        self.assertEqual(stats["buffer-count"], 3)
        self.assertAlmostEqual(stats["buffer-size-in-mb"] * 1048576,
                               len('{"n": 1, "s": "\\u00e9"}text{"in": "text"}'))
        self.assertEqual([stats[key] for key in ("accepted", "delivered", "dropped", "pending")],
                         [3, 0, 0, 3])
        self.restart()
        self.assertEqual(self.stats("a")["buffer-count"], 3)
        self.deleted("a")
        paths = self.files("mini")
        self.assertEqual([os.path.dirname(path) for path in paths],
                         [os.path.join(self.agent.data, "mini")])
        self.assertTrue(paths[0].endswith(".json"))
        self.assertEqual(self.events_of(paths),
                         [{"n": 1, "s": "\u00e9"}, {"message": "text"}, {"in": "text"}])
        for method, path, body in (("DELETE", "a", None), ("POST", "a/message", {"message": "x"}),
                                   ("GET", "a/stats", None), ("GET", "-/stats", None)):
            self.assertEqual(self.ask(method, "/minifirehoses/" + path, body),
                             (404, {"detail": "MiniFirehose not found"}))
        for n in range(10):
            self.message("b", {"n": n})
        until(lambda: self.stats("b")["delivered"] == 10, "ten are sealed")
        until(lambda: "[sink a~1]" not in self.kept(), "nothing waits for the old sink")
        self.made("a")
        self.agent.stop()

    def test_partitions_are_one_buffer(self):
        self.start()
        self.made("a", **{"sink-config": {**LOCAL, "partition-cols": ["k"]}})
        for n in range(25):
            self.message("a", {"k": n % 4, "n": n})
        until(lambda: self.stats("a")["delivered"] == 20, "twice ten are sealed")
        self.assertEqual(self.stats("a")["buffer-count"], 5)
        for k in range(4):
            self.assertEqual([[e["n"] for e in self.events_of([path])]
                              for path in sorted(self.files("mini/k=%d" % k))],
                             [[n for n in range(first, first + 10) if n % 4 == k]
                              for first in (0, 10)])
        self.agent.stop()

    def test_every_value_is_checked(self):
        self.start("[stream file]\n")
        self.made("taken")
        bad = lambda status, words, **change: self.bad(status, words, change)
        bad(400, "MiniFirehose already exists", name="taken")
        bad(400, "Unknown sink", sink="gcs")
        for key, value, words in (
                ("buffer-count", 9, "at least 10"), ("buffer-count", 0, "at least 10"),
                ("buffer-time", 59, "at least 60"), ("buffer-size", 0, "at least 1"),
                ("buffer-size", -2, "at least 1"), ("buffer-time", 10**9, "out of range"),
                ("buffer-size", 0.5, "at least 1"), ("buffer-count", 1e300, "out of range"),
                ("name", "", "name"), ("name", "a/b", "name"), ("name", "x" * 65, "name")):
            bad(400, words, **{key: value})
        bad(400, "all -1", **{"buffer-time": -1, "buffer-size": -1, "buffer-count": -1})
        bad(409, "no MiniFirehose", name="file")
        for key, value in (("buffer-count", "10"), ("buffer-count", 10.5), ("buffer-time", True),
                           ("buffer-size", []), ("name", 1), ("name", None), ("sink", 1),
                           ("sink", None), ("sink-config", None), ("sink-config", []),
                           ("sinks", []), ("sinks", [1]), ("bufer-count", 10)):
            bad(422, key.split("-", maxsplit=1)[0], **{key: value})
        bad(422, "sink-config: an object is wanted", **{"sink-config": []})
        for config, status, words in (
                ({"output-format": "xml"}, 400, "Unsupported output format"),
                ({"output-format": "raw"}, 400, "Unsupported output format"),
                ({"output-format": 1}, 422, "output-format"),
                ({"filename-strategy": "uuid"}, 400, "strategy"),
                ({"partition-cols": "k"}, 422, "partition-cols"),
                ({"partition-cols": [""]}, 422, "partition-cols"),
                ({"partition-cols": ["k", "k"]}, 400, "twice"), ({"directory": None}, 422, "required"),
                ({"bucket": "b"}, 422, "bucket: unknown key"), ({"directory": "a\x01"}, 400, "control"),
                ({"directory": ""}, 400, "directory"), ({"directory": "/etc"}, 400, "file_roots"),
                ({"directory": "a/../../x"}, 400, "'..'"), ({"directory": "wal/x"}, 400, "own"),
                ({"directory": "state"}, 400, "own")):
            bad(status, words, **{"sink-config": {**LOCAL, **config}})
        for config in ({}, {"bucket": None}, {"bucket": "b", "prefix": 1},
                       {"bucket": "b", "s3-config": 1}, {"bucket": "b", "s3-config": {"key": "k"}},
                       {"bucket": "b", "s3-config": {"access-key": 1}}):
            bad(422, "", **{"sink": "s3", "sink-config": config})
        bad(400, "secret_key", **{"sink": "s3", "sink-config": {
            "bucket": "b", "s3-config": {"access-key": "k"}}})
        bad(400, "endpoint", **{"sink": "s3", "sink-config": {
            "bucket": "b", "s3-config": {"endpoint-url": "nonsense"}}})
        for body in ("", "{", "[]", "1", '{"name": "x"}'):
            self.assertEqual(self.ask("POST", "/minifirehoses", body)[0], 422, body)
        for body in ("", "[]", "{}", '{"message": 1}', '{"message": null}', '{"message": []}'):
            self.assertEqual(self.ask("POST", "/minifirehoses/taken/message", body)[0], 422, body)
        self.assertEqual(self.ask("GET", "/minifirehoses")[1], ["taken"])
        self.assertEqual(self.ask("PUT", "/v1/streams/taken", {})[0], 409)
        self.agent.stop()

    def bad(self, status, words, change):
        body = {"name": "x", "sink": "local", "sink-config": LOCAL, **change}
        code, answer = self.ask("POST", "/minifirehoses", body)
        self.assertEqual(code, status, (change, answer))
        self.assertIn(words, answer["detail"], change)

    def test_files_are_written_below_the_roots_alone(self):
        for name in ("one", "two", "secret"):
            os.mkdir(self.path(name))
        os.symlink(self.path("secret"), self.path("one", "link"))
        os.symlink(self.path("nowhere"), self.path("one", "dangling"))
        os.symlink(self.path("two"), self.path("one", "to-two"))
        self.start("[http]\nfile_roots = %s, %s\n" % (self.path("one"), self.path("two")))
        place = lambda directory: self.make("m", config={"directory": directory})[0]
        for directory in (self.path("secret"), self.path("one", "link"), "link/x", "dangling",
                          self.path("one", "..", "secret"), self.path("onesie"), "/", self.dir):
            self.assertEqual(place(directory), 400, directory)
        for directory in ("rel/ative", self.path("two", "x"), "to-two/x", "./y//z", "."):
            self.assertEqual(place(directory), 200, directory)
            self.message("m", directory)
            self.deleted("m")
        self.agent.stop()
        os.remove(self.path("one", "dangling"))
        self.assertEqual(len(batches(self.path("one"))), 3)
        self.assertEqual(len(batches(self.path("two"))), 2)
        self.assertEqual(os.listdir(self.path("secret")), [])

    def test_what_was_answered_is_there_after_a_kill(self):
        self.start()
        for n in range(5):
            self.made("m%d" % n)
            self.restart()
            self.assertEqual(self.ask("GET", "/minifirehoses")[1],
                             ["m%d" % i for i in range(n + 1)])
        self.message("m0", {"n": 0})
        self.deleted("m0")
        self.restart()
        self.assertEqual(self.ask("GET", "/minifirehoses")[1], ["m%d" % i for i in range(1, 5)])
        self.assertEqual(len(self.files("mini")), 1)
        self.agent.stop()

    def test_partitioned_parquet_is_read_back(self):
        self.start()
        self.made("p", config={"directory": "p", "output-format": "parquet",
                               "partition-cols": ["country", "a \"b\""],
                               "filename-strategy": "epoch"})
        for n in range(6):
            self.message("p", {"n": n, "country": "DE" if n % 2 else "US", "a \"b\"": "x"})
        self.deleted("p")
        paths = self.files("p")
        self.assertEqual(len(paths), 2)
        for path in paths:
            self.check_names([path], ext="parquet", time_pattern=r"\d{10}")
        rows = dict(zip([path.split("/")[-3] for path in paths], verify("hyparquet", paths)))
        self.assertEqual({folder: [int(row[0][1]) for row in found]
                          for folder, found in rows.items()},
                         {"country=DE": [1, 3, 5], "country=US": [0, 2, 4]})
        self.agent.stop()

    def check_draining(self, *names):
        """Of the sinks that the status tells of, these alone have lost their stream."""
        sinks = self.agent.status()["sinks"]
        self.assertEqual([sink["name"] for sink in sinks if sink["draining"]], list(names))
        code, out, _ = self.run_hydrant("status", "--http", self.agent.http())
        self.assertEqual((code, out.count("(draining) ")), (0, len(names)))

    def test_several_sinks_each_get_everything_and_a_deleted_one_is_delivered_later(self):
        aws = Aws(self)
        aws.script(random=[{"fault": "500", "probability": 1}])
        self.start()
        s3 = {"bucket": "events", "prefix": None, "output-format": "csv",
              "s3-config": {"access-key": ACCESS_KEY, "secret-key": SECRET_KEY,
                            "endpoint-url": aws.url, "region": "us-east-1"}}
        code, answer = self.ask("POST", "/minifirehoses", {"name": "m", "sinks": [
            {"sink": "local", "sink-config": {"directory": "one", "output-format": "csv"}},
            {"sink": "local", "sink-config": {"directory": "two"}},
            {"sink": "s3", "sink-config": s3}]})
        self.assertEqual(code, 200, answer)
        self.assertIn(SECRET_KEY, self.kept())
        for n in range(3):
            self.message("m", {"n": n})
        self.deleted("m")               # after five seconds: S3 is down
        self.assertEqual(self.ask("GET", "/minifirehoses"), (200, []))
        self.assertEqual(self.agent.stream("m")["pending"], 3)
        self.check_draining("m~3")
        self.assertEqual(len(self.files("one")), 1)
        self.assertEqual(self.events_of(self.files("two")), [{"n": n} for n in range(3)])
        self.made("m", config={"directory": "again"})       # the old one is none of its business
        self.restart()
        self.assertIn("[sink m~3]", self.kept())
        self.check_draining("m~3")
        aws.script(random=[])
        until(lambda: self.agent.stream("m")["pending"] == 0, "it was delivered later")
        until(lambda: "[sink m~3]" not in self.kept(), "its keys are forgotten")
        self.assertNotIn(SECRET_KEY, self.kept())
        entry, = [e for e in aws.lines("ledger.jsonl") if e["op"] == "PutObject"]
        self.assertRegex(entry["key"], r"^\d{14}-tester-[^/]*\.csv$")
        with open(entry["file"], encoding="utf-8") as file:
            self.assertEqual(file.read(), "n\n0\n1\n2\n")
        self.message("m", {"n": 4})
        self.agent.stop()
        self.assertEqual(self.events_of(self.files("again")), [{"n": 4}])

    def test_messages_beside_deletions_are_all_or_none(self):
        """Whoever was told that a message was added finds it where it belongs."""
        self.start()
        added, stop = [], threading.Event()

        def work():
            connection = http.client.HTTPConnection("127.0.0.1", self.agent.port,
                                                    timeout=DEADLINE_S)
            n = 0
            while not stop.is_set():
                connection.request("POST", "/minifirehoses/m/message",
                                   json.dumps({"message": {"n": n}}),
                                   {"Content-Type": "application/json"})
                answer = connection.getresponse()
                answer.read()
                if answer.status == 200:
                    added.append(n)
                n += 1
            connection.close()

        thread = threading.Thread(target=work)
        thread.start()
        for _ in range(10):
            self.made("m")
            before = len(added)
            until(lambda: len(added) > before + 5, "some are taken")
            self.deleted("m")
        stop.set()
        thread.join()
        self.agent.stop()
        self.assertEqual([e["n"] for e in self.events_of(self.files("mini"))], added)
        self.assertEqual(batches(self.agent.out), [])


class Doors(Rest):
    NEW = (("GET", "/v1/streams"), ("GET", "/v1/streams/a"), ("PUT", "/v1/streams/a"),
           ("DELETE", "/v1/streams/a"), ("GET", "/minifirehoses"), ("POST", "/minifirehoses"),
           ("DELETE", "/minifirehoses/a"), ("POST", "/minifirehoses/a/message"),
           ("GET", "/minifirehoses/a/stats"))

    def test_strangers_are_refused_everywhere(self):
        self.start("[http]\ntoken = one\n")
        for method, path in self.NEW:
            body = "{}" if method in ("PUT", "POST") else None
            good = {"Authorization": "Bearer one"}
            self.assertEqual(self.ask(method, path, body)[0], 401)
            self.assertEqual(self.ask(method, path, body, Origin="http://evil", **good)[0], 403)
            self.assertEqual(self.ask(method, path, body, Host="evil", **good)[0], 403)
            if body:
                self.assertEqual(self.ask(method, path, body, **good, Content_Type="text/plain")[0],
                                 415)
        self.agent.configure("[http]\ntoken = two\n")
        self.agent.process.send_signal(1)
        self.agent.log_has("reloaded")
        ask = lambda token: self.ask("GET", "/minifirehoses", Authorization="Bearer " + token)[0]
        self.assertEqual((ask("one"), ask("two")), (401, 200))
        self.agent.kill()

    def test_a_unix_socket(self):
        path = self.path("http.sock")
        with socket.socket(socket.AF_UNIX) as stale:
            stale.bind(path)
        agent = Agent(self)
        agent.http = lambda: "unix:" + path
        agent.ask = lambda *words, **more: self.ask_unix(path, *words)
        agent.start()
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o660)
        self.assertEqual(self.ask_unix(path, "GET", "/minifirehoses"), (200, "[]"))
        code, out, err = agent.run("status")
        self.assertEqual(code, 0, err)
        self.assertIn("tester", out)
        agent.stop()
        self.assertFalse(os.path.exists(path))

    def ask_unix(self, path, method, what, headers=None, body=None):
        connection = http.client.HTTPConnection("localhost", timeout=DEADLINE_S)
        with socket.socket(socket.AF_UNIX) as connection.sock:
            connection.sock.connect(path)
            connection.request(method, what, body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()


KEYS = "[http]\nfirehose_access_key = AKIDTEST\nfirehose_secret_key = s3cret/+key\n"
DESTINATION = {"RoleARN": "arn:aws:iam::123456789012:role/x",
               "BucketARN": "arn:aws:s3:::events"}


class Deliveries(Rest):
    """The operations of the Firehose API, by AWS's own client."""

    def client(self, secret="s3cret/+key"):
        config = botocore.config.Config(retries={"max_attempts": 0}, proxies={},
                                        read_timeout=DEADLINE_S)
        client = botocore.session.Session().create_client(
            "firehose", region_name="eu-central-1", endpoint_url="http://" + self.agent.http(),
            aws_access_key_id="AKIDTEST", aws_secret_access_key=secret, config=config)
        self.addCleanup(client.close)
        return client

    def refused(self, code, call, **arguments):
        with self.assertRaises(botocore.exceptions.ClientError) as caught:
            call(**arguments)
        self.assertEqual(caught.exception.response["Error"]["Code"], code)

    def described(self, name="d"):
        return self.client().describe_delivery_stream(
            DeliveryStreamName=name)["DeliveryStreamDescription"]

    def test_a_life_of_a_delivery_stream(self):
        self.start(KEYS + "[stream *]\nformat = csv\npartition_by = k\n")
        client = self.client()
        arn = client.create_delivery_stream(
            DeliveryStreamName="d", DeliveryStreamType="DirectPut",
            Tags=[{"Key": "a", "Value": "1"}, {"Key": "b"}],
            ExtendedS3DestinationConfiguration={
                **DESTINATION, "Prefix": "p/", "ErrorOutputPrefix": "e/!{firehose:error-output-"
                "type}/", "CompressionFormat": "GZIP",
                "BufferingHints": {"SizeInMBs": 3, "IntervalInSeconds": 70},
                "ProcessingConfiguration": {"Enabled": False}})["DeliveryStreamARN"]
        self.refused("ResourceInUseException", client.create_delivery_stream,
                     DeliveryStreamName="d")
        found = self.described()
        self.assertEqual((found["DeliveryStreamARN"], found["VersionId"]), (arn, "1"))
        destination = found["Destinations"][0]["ExtendedS3DestinationDescription"]
        for key, value in (("Prefix", "p/"), ("CompressionFormat", "GZIP"), ("RoleARN",
                           DESTINATION["RoleARN"]), ("BucketARN", DESTINATION["BucketARN"]),
                           ("BufferingHints", {"SizeInMBs": 3, "IntervalInSeconds": 70})):
            self.assertEqual(destination[key], value)
        code, stream = self.ask("GET", "/v1/streams/d")
        self.assertEqual(code, 200)
        for key, value in (("format", "raw"), ("delimiter", ""), ("buffer_size", "3MiB"),
                           ("buffer_time", "70s"), ("compression", "gzip"), ("sinks", ["local"])):
            self.assertEqual(stream["settings"][key], value)

        client.update_destination(
            DeliveryStreamName="d", CurrentDeliveryStreamVersionId="1",
            DestinationId=found["Destinations"][0]["DestinationId"],
            ExtendedS3DestinationUpdate={"CompressionFormat": "UNCOMPRESSED"})
        self.refused("ConcurrentModificationException", client.update_destination,
                     DeliveryStreamName="d", CurrentDeliveryStreamVersionId="1",
                     DestinationId="destinationId-000000000001", ExtendedS3DestinationUpdate={})
        client.tag_delivery_stream(DeliveryStreamName="d", Tags=[{"Key": "c", "Value": "3"}])
        client.untag_delivery_stream(DeliveryStreamName="d", TagKeys=["b"])
        client.start_delivery_stream_encryption(DeliveryStreamName="d")
        self.restart()
        client = self.client()
        found = self.described()
        self.assertEqual(found["VersionId"], "2")
        destination = found["Destinations"][0]["ExtendedS3DestinationDescription"]
        self.assertEqual((destination["CompressionFormat"], destination["Prefix"]),
                         ("UNCOMPRESSED", "p/"))
        self.assertEqual(found["DeliveryStreamEncryptionConfiguration"]["Status"], "ENABLED")
        client.stop_delivery_stream_encryption(DeliveryStreamName="d")
        self.assertEqual(self.described()["DeliveryStreamEncryptionConfiguration"]["Status"],
                         "DISABLED")
        tags = client.list_tags_for_delivery_stream(DeliveryStreamName="d", Limit=1)
        self.assertEqual(tags["Tags"], [{"Key": "a", "Value": "1"}])
        self.assertTrue(tags["HasMoreTags"])
        tags = client.list_tags_for_delivery_stream(DeliveryStreamName="d",
                                                    ExclusiveStartTagKey="a")
        self.assertEqual(tags["Tags"], [{"Key": "c", "Value": "3"}])

        client.put_record(DeliveryStreamName="d", Record={"Data": b"one\n"})
        client.put_record_batch(DeliveryStreamName="d", Records=[{"Data": b"\x00two"},
                                                                 {"Data": b"three"}])
        self.restart()
        client = self.client()
        client.delete_delivery_stream(DeliveryStreamName="d")
        self.refused("ResourceNotFoundException", client.describe_delivery_stream,
                     DeliveryStreamName="d")
        self.assertEqual(client.list_delivery_streams()["DeliveryStreamNames"], [])
        self.refused("ResourceNotFoundException", client.delete_delivery_stream,
                     DeliveryStreamName="d")
        self.agent.stop()
        path, = self.files("out", "d", "p")
        with open(path, "rb") as file:
            self.assertEqual(file.read(), b"one\n\x00twothree")

    def test_the_sink_with_the_bucket_takes_it(self):
        aws = Aws(self)
        self.start("[sink cloud]\ntype = s3\nbucket = events\nregion = us-east-1\nendpoint = %s\n"
                   "access_key = %s\nsecret_key = %s\n" % (aws.url, ACCESS_KEY, SECRET_KEY))
        client = self.client()
        client.create_delivery_stream(DeliveryStreamName="d",
                                      ExtendedS3DestinationConfiguration=DESTINATION)
        self.assertEqual(self.ask("GET", "/v1/streams/d")[1]["settings"]["sinks"], ["cloud"])
        client.put_record(DeliveryStreamName="d", Record={"Data": b"x"})
        self.agent.flush("d")
        entry, = aws.lines("ledger.jsonl")
        self.assertRegex(entry["key"], r"^d/[^/]*\.raw$")
        self.agent.stop()

    def test_mistakes_and_limits(self):
        self.start("auto_create_streams = no\n" + KEYS + "[stream file]\n")
        client = self.client()
        self.refused("ResourceNotFoundException", client.put_record, DeliveryStreamName="d",
                     Record={"Data": b"x"})
        create = client.create_delivery_stream
        for change in ({"BufferingHints": {"SizeInMBs": 3}},
                       {"BufferingHints": {"SizeInMBs": 129, "IntervalInSeconds": 60}},
                       {"BufferingHints": {"SizeInMBs": 1, "IntervalInSeconds": 901}},
                       {"CompressionFormat": "ZIP"}, {"BucketARN": "arn:aws:sqs:::q"},
                       {"ProcessingConfiguration": {"Enabled": True}}, {"Prefix": "!{nonsense}"},
                       {"S3BackupMode": "Enabled"}):
            self.refused("InvalidArgumentException", create, DeliveryStreamName="d",
                         ExtendedS3DestinationConfiguration={**DESTINATION, **change})
        self.refused("InvalidArgumentException", create, DeliveryStreamName="d",
                     DeliveryStreamType="KinesisStreamAsSource")
        self.refused("LimitExceededException", create, DeliveryStreamName="d",
                     Tags=[{"Key": str(i), "Value": ""} for i in range(50)]
                     + [{"Key": "x" * 128, "Value": "y"}])
        self.refused("InvalidSignatureException", self.client("other").create_delivery_stream,
                     DeliveryStreamName="d")
        self.refused("ResourceInUseException", create, DeliveryStreamName="file")
        for call, more in ((client.delete_delivery_stream, {}),
                           (client.start_delivery_stream_encryption, {}),
                           (client.tag_delivery_stream, {"Tags": [{"Key": "a"}]})):
            self.refused("InvalidArgumentException", call, DeliveryStreamName="file", **more)
            self.refused("ResourceNotFoundException", call, DeliveryStreamName="none", **more)
        create(DeliveryStreamName="d")
        client.put_record(DeliveryStreamName="d", Record={"Data": b"x"})
        self.assertEqual(self.ask("PUT", "/v1/streams/d", {})[0], 409)
        self.agent.stop()


if __name__ == "__main__":
    unittest.main()
