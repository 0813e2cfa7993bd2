"""hydrant.minifirehose: its classes write the files that MiniFirehose's README tells of."""
import datetime
import re
import threading
import unittest
from unittest import mock

from python_case import DEADLINE_S, PythonCase, batches, hydrant, in_child, until
from format_files import files_of, node_install, rows_by_folder
from services import ACCESS_KEY, SECRET_KEY, Aws

from hydrant.minifirehose import FirehoseConfig, LocalSink, MiniFirehose, S3Sink

PEOPLE = [{"name": "A", "country": "DE", "city": "Berlin", "n": 1},
          {"name": "B", "country": "DE", "city": "Bonn", "n": 2},
          {"name": "C", "country": "FR", "city": "Nice, \"Azur\"", "n": 3}]


class Facade(PythonCase):
    @classmethod
    def setUpClass(cls):
        node_install()

    def start(self, config=""):
        return super().start(config + "\n[http]\nfile_roots = %s\n" % self.dir)

    def firehose(self, sink, name="people", **options):
        return MiniFirehose(name=name, sinks=[sink], http=self.agent.http(), shm_dir=self.shm,
                            **options)

    def test_each_format_is_written_right_below_the_directory(self):
        self.start()
        for kind in ("csv", "json", "parquet"):
            sink = LocalSink(directory=self.path("out-" + kind), output_format=kind)
            firehose = self.firehose(sink, kind)
            firehose.start()
            for person in PEOPLE:
                firehose.add_message(person)
            firehose.stop()
            (name, rows), = files_of(self.path("out-" + kind))
            self.assertRegex(name, r"\A\d{14}-[^/]*\." + kind + r"\Z")
            self.assertEqual([[(key, str(value)) for key, value in row] for row in rows],
                             [[(key, str(value)) for key, value in person.items()]
                              for person in PEOPLE])
        self.finish()

    def test_partition_columns_are_folders_and_leave_the_data(self):
        self.start()
        for kind in ("csv", "parquet"):
            with self.firehose(LocalSink(self.path(kind), kind, ["country", "city"]),
                               kind) as firehose:
                for person in PEOPLE:
                    firehose.add_message(person)
            found = rows_by_folder(self.path(kind))
            self.assertEqual(sorted(found), ["country=DE/city=Berlin", "country=DE/city=Bonn",
                                             "country=FR/city=Nice%2C%20%22Azur%22"])
            self.assertEqual([[key, str(value)] for key, value in
                              found["country=DE/city=Bonn"][0]], [["name", "B"], ["n", "2"]])
        self.finish()

    def test_a_count_seals_and_names_are_by_epoch_where_asked(self):
        self.start()
        config = FirehoseConfig(buffer_count_limit=10, buffer_time_limit=-1,
                                buffer_size_limit_mb=-1)
        firehose = self.firehose(LocalSink(self.path("out"), "json", None, "epoch"), config=config)
        for n in range(25):                     # without start(), too
            firehose.add_message({"n": n})
        until(lambda: len(batches(self.path("out"))) == 2, "two files of ten")
        until(lambda: firehose.buffer_count == 5, "five wait")
        self.assertGreater(firehose.buffer_size_in_mb, 0)
        firehose.stop()
        files = files_of(self.path("out"))
        self.assertEqual([len(rows) for _, rows in files], [10, 10, 5])
        self.assertTrue(re.match(r"\d{10}-", files[0][0]), files[0][0])
        self.finish()

    def test_texts_are_objects_where_they_are_and_other_values_become_text(self):
        self.start()
        with self.firehose(LocalSink(self.path("out"), "json")) as firehose:
            for message in ('{"in": "text"}', "plain", '{"half', {"at": datetime.date(2026, 1, 2)}):
                firehose.add_message(message)
        self.assertEqual(self.events_of([self.path("out", name)
                                         for name in batches(self.path("out"))]),
                         [{"in": "text"}, {"message": "plain"}, {"message": '{"half'},
                          {"at": "2026-01-02"}])
        self.finish()

    def test_several_sinks_have_all_of_it(self):
        self.start()
        sinks = [LocalSink(self.path("a"), "csv"), LocalSink(self.path("b"), "json")]
        with MiniFirehose("two", sinks, http=self.agent.http(), shm_dir=self.shm) as firehose:
            firehose.add_message({"n": 1})
        self.assertEqual([len(batches(self.path(name))) for name in "ab"], [1, 1])
        self.finish()

    def test_s3_objects(self):
        aws = Aws(self)
        self.start()
        sink = S3Sink(bucket_name="events", prefix="in", output_format="csv", s3_config={
            "access-key": ACCESS_KEY, "secret-key": SECRET_KEY, "endpoint-url": aws.url,
            "region": "us-east-1"})
        with self.firehose(sink) as firehose:
            firehose.add_message({"n": 1})
        self.finish()
        entry, = [e for e in aws.lines("ledger.jsonl") if e["op"] == "PutObject"]
        self.assertRegex(entry["key"], r"^in/\d{14}-tester-[^/]*\.csv$")
        with open(entry["file"], encoding="utf-8") as file:
            self.assertEqual(file.read(), "n\n1\n")
        aws.close()

    def test_a_stop_that_waits_says_why(self):
        aws = Aws(self)
        aws.script(random=[{"fault": "500", "probability": 1}])
        self.start()
        firehose = self.firehose(S3Sink("events", None, "json", s3_config={
            "access-key": ACCESS_KEY, "secret-key": SECRET_KEY, "endpoint-url": aws.url,
            "region": "us-east-1"}))
        firehose.add_message({"n": 1})
        with mock.patch("hydrant.minifirehose.WARN_S", 0.1), self.assertLogs() as logs:
            self.assertRaises(hydrant.Timeout, firehose.stop, 0.35)
            until(lambda: any(sink["waits_because"] for sink in self.agent.status()["sinks"]),
                  "the sink waits")
            aws.script(random=[])
            firehose.stop()
        self.assertIn("people: not all is delivered yet", logs.output[0])
        self.finish()
        aws.close()

    def test_a_firehose_that_is_there_is_used_by_threads_children_and_other_runs(self):
        self.start()
        firehose = self.firehose(LocalSink(self.path("out"), "json"))
        firehose.start()
        again = self.firehose(LocalSink(self.path("out"), "json"))
        threads = [threading.Thread(target=firehose.add_message, args=({"n": n},))
                   for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        again.add_message({"n": 4})
        again.stop()
        self.assertEqual(in_child(lambda: (firehose.add_message({"n": 5}), firehose.stop())), 0)
        firehose.stop()
        found = [row for _, rows in files_of(self.path("out")) for row in rows]
        self.assertEqual(sorted(row[0][1] for row in found), [0, 1, 2, 3, 4, 5])
        firehose.delete()
        self.assertRaisesRegex(ValueError, "not found", firehose.stats)
        self.finish()

    def test_mistakes_are_told(self):
        self.start()
        for values, words in (((-1, -1, -1), "at the same time"), ((9, 60, 1), "less than 10"),
                              ((10, 59, 1), "60 seconds"), ((10, 60, 0.5), "1 MB")):
            self.assertRaisesRegex(ValueError, words, FirehoseConfig, *values)
        self.assertRaisesRegex(ValueError, "format", LocalSink, self.dir, "xml")
        self.assertRaisesRegex(ValueError, "add_message", LocalSink, self.dir, "csv",
                               transformation_callback=print)
        self.assertRaisesRegex(ValueError, "bucket", S3Sink, output_format="csv")
        self.assertRaisesRegex(ValueError, "sinks", MiniFirehose, "x", [])
        self.assertRaisesRegex(ValueError, "file_roots", self.firehose(LocalSink("/etc", "csv"))
                               .start)
        self.finish()
        with self.assertRaisesRegex(hydrant.Error, "hydrant agent") as raised:
            self.firehose(LocalSink(self.dir, "csv")).start()
        self.assertIsInstance(raised.exception, OSError)

    def test_the_token_is_sent(self):
        self.start("")
        self.agent.terminate()
        self.agent.configure("[http]\ntoken = secret-token\nfile_roots = %s\n" % self.dir)
        self.agent.start()
        sink = LocalSink(self.path("out"), "json")
        self.assertRaisesRegex(hydrant.Error, "401|403", self.firehose(sink).start)
        with self.firehose(sink, token="secret-token") as firehose:
            firehose.add_message({"n": 1})
        self.assertEqual(len(batches(self.path("out"))), 1)
        self.agent.terminate()

    def test_stop_says_what_could_not_be_delivered_in_time(self):
        self.start()
        firehose = self.firehose(LocalSink(self.path("out"), "json"))
        firehose.add_message({"n": 1})
        self.agent.kill()
        self.assertRaises(hydrant.Timeout, firehose.stop, 0.05)
        self.agent.start()
        firehose.stop(DEADLINE_S)
        self.assertEqual(len(batches(self.path("out"))), 1)
        self.finish()


if __name__ == "__main__":
    unittest.main()
