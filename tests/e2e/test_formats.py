"""Formats, as a user meets them: events in, files out, read back by programs of others.

Every format, compression and kind of event; columns declared and found; partitions; what cannot
be written as asked, in the error output; reload, restart and kill -9 on the way (more of that in
test_formats_crash.py).
"""
import base64
import itertools
import json
import os
import signal
import struct
import unittest

from format_files import (csv_rows, files_of, json_rows, letters_of, node_install, query,
                          rows_by_folder, rows_of, unpacked, verify)
from harness import SHORT, Agent, Case, Producer, batches, sized, until

JSON, TEXT, BYTES = 1, 2, 3
COMPRESSIONS = {"none": "", "gzip": ".gz", "zstd": ".zst", "snappy": ".sz", "lz4": ".lz4"}
FORMATS = ("json", "csv", "parquet", "raw")
HOUR_NS = 3600 * 10**9
DAY_NS = 1767225600 * 10**9         # 2026-01-01
LETTER_KEYS = ["attemptsMade", "arrivalTimestamp", "errorCode", "errorMessage",
               "attemptEndingTimestamp", "rawData"]


def compact(value):
    return json.dumps(value, ensure_ascii=False).encode()


def csv_text(value):
    """As a CSV field says it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


class FormatCase(Case):
    @classmethod
    def setUpClass(cls):
        node_install()

    def events_file(self, name, events):
        """(kind, time_ns, payload) each, for the producer."""
        return self.write_file(name, b"".join(struct.pack("<BQI", kind, time_ns, len(data)) + data
                                              for kind, time_ns, data in events))

    def produce(self, stream, events):
        """Commits them in one ring."""
        Case.produced = getattr(Case, "produced", 0) + 1
        producer = Producer(self, "w%d" % Case.produced, stream=stream, ring_bytes=1 << 20)
        count = producer.do("send " + self.events_file(producer.name, events))
        self.assertEqual(count, [len(events)])
        producer.close()

    def send_objects(self, stream, events, *arguments):
        """By `hydrant send`, durable unless more is asked for."""
        self.send(stream, b"".join(compact(e) + b"\n" for e in events), *arguments or ["--durable"])

    def check_same(self, found, wanted, what=None):
        """Long lists; the first difference is told."""
        for i, (one, other) in enumerate(zip(found, wanted)):
            if one != other:
                self.fail("%s: %d: %.500r is not %.500r" % (what, i, one, other))
        self.assertEqual(len(found), len(wanted), what)

    def check_stream(self, agent, stream, delivered):
        books = agent.stream(stream)
        self.assertEqual([books[k] for k in ("accepted", "pending", "dropped", "lost")],
                         [delivered, 0, 0, 0])
        self.check_books(agent.status())

    def check_refused(self, agent, stream, **refused):
        """How many went to each error output, as JSON, in the metrics and in words."""
        counts = {"processing-failed": 0, "format-conversion-failed": 0}
        counts.update((reason.replace("_", "-"), count) for reason, count in refused.items())
        self.assertEqual(agent.stream(stream)["refused_by_reason"], counts)
        _, metrics = agent.ask("GET", "/metrics")
        code, text, err = agent.run("status")
        self.assertEqual((code, err), (0, ""))
        for reason, count in counts.items():
            self.assertIn('hydrant_events_refused_total{stream="%s",reason="%s"} %d\n'
                          % (stream, reason, count), metrics)
            line = "\nstream %s: %d accepted events went to the error output since the start: %s: " \
                % (stream, count, reason)
            self.assertEqual(line in text, count > 0, text)

    def check_letter(self, letter, code, why):
        self.assertEqual(list(letter), LETTER_KEYS)
        self.assertEqual((letter["attemptsMade"], letter["errorCode"]), (1, code))
        self.assertIn(why, letter["errorMessage"])
        self.assertNotEqual(letter["errorMessage"], "")
        self.assertLessEqual(letter["arrivalTimestamp"], letter["attemptEndingTimestamp"])
        self.assertGreater(letter["arrivalTimestamp"], 1600000000000)


# --- every format, every compression, every kind ------------------------------------------------

WORDS = ("plain", "", "null", "NaN", "-Infinity", "äöü €\U0001f4a7", 'a "quoted", field',
         "two\nlines", "cr\rlf\r\n", " blank ", "\u0001\t\u2028", "=1+1", "007", "1e3", "true")


def objects(count):
    """Of every type that is inferred; `v` is of several."""
    mixed = (1, "one", True, 2.5, {"in": [1, None]}, [], None)
    found = []
    for i in range(count):
        event = {"n": i, "s": WORDS[i % len(WORDS)],
                 "big": (-2**63, 2**63 - 1, 0, None)[i % 4], "f": (0.1, 3, -2.5e-7, 1e300)[i % 4],
                 "b": (True, False, None)[i % 3], "v": mixed[i % len(mixed)],
                 "o": {"k": [i, {"deep": "x\ny"}], "ä": None}, "nothing": None}
        if i % 5 == 0:
            del event["s"]
        if i % 7 == 3:
            event["ключ, \"q\""] = "late"
        found.append(event)
    return found


class Formats(FormatCase):
    COUNT = sized(50, 700, 7000)

    def setUp(self):
        super().setUp()
        self.values = {
            "objects": objects(self.COUNT),
            "text": [{"message": WORDS[i % len(WORDS)] + str(i)} for i in range(self.COUNT)],
            "bytes": [{"message_base64": base64.b64encode(b"\xff\x00\n\"%d" % i + b"\x80" * (i % 5))
                       .decode()} for i in range(self.COUNT)],
            "records": [self.record(i) for i in range(self.COUNT)],
        }
        self.payloads = {
            "objects": [(JSON, compact(v)) for v in self.values["objects"]],
            "text": [(TEXT, v["message"].encode()) for v in self.values["text"]],
            "bytes": [(BYTES, base64.b64decode(v["message_base64"]))
                      for v in self.values["bytes"]],
        }

    @staticmethod
    def record(i):
        """As do_records() of producer.c makes them."""
        us = i * 1000003
        return {"at": "1970-01-01T%02d:%02d:%02d.%06dZ"
                % (us // 3600000000, us // 60000000 % 60, us // 1000000 % 60, us % 1000000),
                "name": ("plain", "", '"a",b\nc', "ä€", "NaN")[i % 5], "odd": i % 2 == 1,
                "small": -2**31 + i, "big": -2**63 + i if i % 3 else None, "wide": 2**64 - 1 - i,
                "single": i / 4, "real": i * 1.5,
                "blob": base64.b64encode(bytes([i % 256, 255])[:i % 4 - 1]).decode()
                if i % 4 else None}

    def columns(self, kind):
        """Of all of a file's events, in order of appearance."""
        return list({key: None for value in self.values[kind] for key in value})

    def rows(self, kind):
        """With every column, missing values None."""
        names = self.columns(kind)
        return [[[name, value.get(name)] for name in names] for value in self.values[kind]]

    def expected_parquet(self, kind):
        """As verify.mjs shows them."""
        def shown(name, value):
            if value is None:
                return None
            if kind == "records" and name == "at":
                return self.micros[value]
            if kind == "records" and name == "blob":
                return "hex:" + base64.b64decode(value).hex()
            return csv_text(value) if name in ("v", "o", "nothing") else value

        self.micros = {self.record(i)["at"]: i * 1000003 for i in range(self.COUNT)}
        return [[[name, shown(name, value)] for name, value in row] for row in self.rows(kind)]

    def check_parquet(self, kind, paths):
        wanted = self.expected_parquet(kind)
        types = [[type(value) if isinstance(value, bool) else None for _, value in row]
                 for row in wanted]
        for reader in ("duckdb", "hyparquet"):
            for rows in verify(reader, paths):
                self.check_same(rows, wanted, reader)
                self.check_same([[type(value) if isinstance(value, bool) else None
                                  for _, value in row] for row in rows], types)
        text, whole = "BYTE_ARRAY:UTF8", "INT64:INT_64"
        types = {
            "objects": {"n": whole, "s": text, "big": whole, "f": "DOUBLE:", "b": "BOOLEAN:",
                        "v": text, "o": text, "nothing": text, "ключ, \"q\"": text},
            "text": {"message": text}, "bytes": {"message_base64": text},
            "records": {"at": "INT64:TIMESTAMP_MICROS", "name": text, "odd": "BOOLEAN:",
                        "small": "INT32:INT_32", "big": whole, "wide": "INT64:UINT_64",
                        "single": "FLOAT:", "real": "DOUBLE:", "blob": "BYTE_ARRAY:"}}[kind]
        found = query("select file_name, name, type || ':' || coalesce(converted_type, '') from "
                      "parquet_schema(%s) where type is not null" % paths)
        self.check_same(found, [[path, name, types[name]] for path in paths
                                for name in self.columns(kind)])

    def check_csv(self, kind, paths):
        right = self.rows(kind)
        for path in paths:
            rows = csv_rows(unpacked(path))
            self.check_same([[name for name, _ in row] for row in rows],
                            [self.columns(kind)] * self.COUNT)
            for row, values in zip(rows, right):
                for (name, text), (_, value) in zip(row, values):
                    if isinstance(value, float):
                        self.assertEqual(float(text), value, name)
                    else:
                        self.assertEqual(text, csv_text(value), name)
        duck, = verify("csv", [path for path in paths if path.endswith(".csv")])
        self.check_same([[[name, value or ""] for name, value in row] for row in duck],
                        csv_rows(unpacked(next(p for p in paths if p.endswith(".csv")))))

    def check_json(self, kind, paths):
        for path in paths:
            data = unpacked(path)
            self.check_same(json_rows(data), self.pairs(kind))
            if kind == "objects":
                self.assertTrue(data == b"".join(p + b"\n" for _, p in self.payloads[kind]))

    def pairs(self, kind):
        return [[[k, v] for k, v in value.items()] for value in self.values[kind]]

    def check_raw(self, kind, paths):
        if kind == "records":
            self.check_json(kind, paths)
            return
        for path in paths:
            self.assertTrue(unpacked(path) == b"".join(p + b"\n" for _, p in self.payloads[kind]),
                            path)

    def check_kinds(self, kinds):
        """A stream for each format and kind, a sink for each compression."""
        config = "".join("[sink %s]\ntype = file\ndirectory = %s\ncompression = %s\n"
                         % (c, self.path("to", c), c) for c in COMPRESSIONS)
        streams = [(form, kind, "%s.%s" % (form, kind)) for form in FORMATS for kind in kinds]
        for form, _, stream in streams:
            config += "[stream %s]\nformat = %s\nbuffer_time = 1h\nsinks = %s\n" % (
                stream, form, ", ".join(COMPRESSIONS))
        agent = Agent(self, config).start()
        for _, kind, stream in streams:
            if kind == "records":
                producer = Producer(self, stream, stream=stream)
                producer.do("records %d" % self.COUNT)
                producer.close()
            else:
                self.produce(stream, [(k, 0, p) for k, p in self.payloads[kind]])
        agent.flush()
        for form, kind, stream in streams:
            self.check_stream(agent, stream, self.COUNT)
            paths = []
            for compression, ending in COMPRESSIONS.items():
                name, = batches(self.path("to", compression, stream))
                self.check_names([name], ext=form + (ending if form != "parquet" else ""))
                paths.append(self.path("to", compression, stream, name))
            with self.subTest(format=form, kind=kind):
                getattr(self, "check_" + form)(kind, paths)
        agent.stop()

    def test_every_format_and_compression(self):
        self.check_kinds(["objects", "text", "bytes"])

    def test_typed_records_in_every_format_and_compression(self):
        self.check_kinds(["records"])

    def test_white_space_between_tokens(self):
        """Line ends within an object are no line ends of a file."""
        agent = Agent(self, "[stream *]\nsinks = local, rows\n[sink rows]\ntype = file\n"
                      "format = csv\ndirectory = %s" % self.path("rows")).start()
        self.produce("s", [(JSON, 0, b'{\r\n"a" :\n[1,\n2] ,"b":"x\\ny"}')] * 3)
        agent.flush()
        self.assertEqual(agent.events("s"), [{"a": [1, 2], "b": "x\ny"}] * 3)
        rows = rows_of(self.path("rows", "s"))
        self.assertEqual([(json.loads(dict(r)["a"]), dict(r)["b"]) for r in rows],
                         [([1, 2], "x\ny")] * 3)
        agent.stop()


# --- partitions ---------------------------------------------------------------------------------

class Partitions(FormatCase):
    SALES = [{"Salesperson": s, "Region": r, "SalesAmount": a} for s, r, a in (
        ("Ann", "North", 1200), ("Bob", "South", 800.5), ("Ann", "South", 300), ("Cy", "North", 45),
        ("Bob", "South", 17), ("Ann Lee", "Süd/West", 9), ("Cy", "North", 45))]

    def check_partitions(self, directory, columns, text=False, reader="duckdb"):
        """A folder for each combination, its rows in order, the columns gone."""
        spelled = {"Süd/West": "S%C3%BCd%2FWest", "Ann Lee": "Ann%20Lee"}
        groups = {}
        for row in self.SALES:
            folder = "/".join("%s=%s" % (c, spelled.get(row[c], row[c])) for c in columns)
            groups.setdefault(folder, []).append([[k, csv_text(v) if text else v]
                                                  for k, v in row.items() if k not in columns])
        self.assertEqual(rows_by_folder(directory, reader), groups)

    def test_sales_by_region_and_person(self):
        for form in ("parquet", "csv", "json"):
            for columns in (["Region"], ["Region", "Salesperson"]):
                with self.subTest(format=form, columns=columns):
                    agent = Agent(self, "[stream *]\nformat = %s\npartition_by = %s\n"
                                  % (form, ",".join(columns)),
                                  data="%s%d" % (form, len(columns))).start()
                    self.send_objects("sales", self.SALES, "--delivered")
                    self.check_partitions(os.path.join(agent.out, "sales"), columns,
                                          text=form == "csv")
                    self.check_stream(agent, "sales", len(self.SALES))
                    agent.stop()

    def test_flat_csv_and_partitioned_parquet_of_one_stream(self):
        agent = Agent(self, "[stream sales]\nsinks = flat, hive\n[sink flat]\ntype = file\n"
                      "directory = %s\nlayout = flat\nformat = csv\n[sink hive]\ntype = file\n"
                      "directory = %s\nformat = parquet\npartition_by = Region\n"
                      % (self.path("flat"), self.path("hive"))).start()
        self.send_objects("sales", self.SALES, "--delivered")
        self.assertEqual([[v for _, v in row] for row in rows_of(self.path("flat"))],
                         [[csv_text(v) for v in row.values()] for row in self.SALES])
        self.check_partitions(self.path("hive", "sales"), ["Region"], reader="hyparquet")
        hive = query("select Salesperson, Region, SalesAmount from read_parquet('%s/*/*.parquet',"
                     " hive_partitioning = true, union_by_name = true)"
                     % self.path("hive", "sales"))
        self.assertEqual(sorted(hive), sorted([r["Salesperson"], r["Region"], r["SalesAmount"]]
                                              for r in self.SALES))
        agent.stop()

    def test_missing_values(self):
        events = [{"k": "a", "n": 0}, {"n": 1}, {"k": None, "n": 2}, {"k": "", "n": 3},
                  {"k": 5, "n": 4}, {"k": "__HIVE_DEFAULT_PARTITION__", "n": 5}]
        agent = Agent(self, "[stream *]\npartition_by = k\n[stream strict]\n"
                      "partition_missing = error").start()
        for stream in ("loose", "strict"):
            self.send_objects(stream, events)
        agent.flush()

        def numbers(stream):
            return {folder: [dict(row)["n"] for row in rows] for folder, rows
                    in rows_by_folder(os.path.join(agent.out, stream)).items()}

        strict = {"k=a": [0], "k=": [3], "k=5": [4], "k=%5F_HIVE_DEFAULT_PARTITION__": [5]}
        self.assertEqual(numbers("strict"), strict)
        self.assertEqual(numbers("loose"), {**strict, "k=__HIVE_DEFAULT_PARTITION__": [1, 2]})
        letters = letters_of(os.path.join(agent.out, "strict"), "processing-failed")
        self.assertEqual([event for _, event in letters], [compact(e) for e in events[1:3]])
        for letter, _ in letters:
            self.check_letter(letter, "processing-failed", "k")
        self.check_stream(agent, "strict", len(events))
        agent.stop()

    def test_no_more_partitions_are_open_than_may_be(self):
        for form in ("json", "csv", "parquet"):
            agent = Agent(self, "[stream *]\nformat = %s\npartition_by = k\npartitions_max = 2\n"
                          "buffer_time = 1h" % form, data=form).start()
            count = sized(40, 200, 2000)
            events = [{"k": i // 3 % 5, "n": i} for i in range(count)]
            self.send_objects("s", events, "--delivered")
            folder = os.path.join(agent.out, "s")
            self.assertGreater(len(batches(folder)), 5 * 2)
            self.assertEqual({k: [int(row[0][1]) for row in rows]
                              for k, rows in rows_by_folder(folder).items()},
                             {"k=%d" % k: [e["n"] for e in events if e["k"] == k]
                              for k in range(5)})
            self.check_stream(agent, "s", count)
            agent.stop()


# --- columns ------------------------------------------------------------------------------------

class Columns(FormatCase):
    DECLARED = "n i64, s string, t timestamp, f f32, u u64, b bool, x bytes"
    DEEP = b'{"n": 1, "s": ' + b"[" * 1100 + b"]" * 1100 + b"}"

    def good(self, i):
        return {"n": i, "s": ["text", {"nested": i}, None][i % 3],
                "t": ("2026-01-01T00:00:00Z", i)[i % 2], "f": i / 2, "u": 2**64 - 1 - i,
                "b": i % 2 == 0, "x": "AP8="}

    MISFITS = {
        b'{"n": "1"}': "n", b'{"n": 1.0}': "n", b'{"n": 9223372036854775808}': "n",
        b'{"u": -1}': "u", b'{"f": 1e39}': "f", b'{"b": 1}': "b", b'{"x": "no base64!"}': "x",
        b'{"t": "yesterday"}': "t", b'{"n": 1, "other": 2}': "other", b'{"s": 5}': "s",
        b'{"' + b"k" * 200_000 + b'": 1}': "k", b'{"n": 1e400}': "n",
        b'{"n": ' + b"9" * 5000 + b"}": "n", DEEP: "", b'{"s": "\xff\xfe"}': "",
        b'{"n": 1, }': "", b"[1]": "", b"": "", b'{"n": 1} x': "", b'{"s": "\\ud800"}': "",
        b'{"n": 1, "n": "2"}': "n",
    }

    def test_what_fits_no_declared_column_is_a_dead_letter(self):
        agent = Agent(self, "[stream *]\ncolumns = %s\n[stream c]\nformat = csv\n[stream p]\n"
                      "format = parquet" % self.DECLARED).start()
        for stream in ("c", "p"):
            events, good = [], []
            for i, bad in enumerate(self.MISFITS):
                good.append(self.good(i))
                events += [(JSON, 0, compact(good[-1])), (JSON, 0, bad)]
            events.append((TEXT, 0, b"a message"))
            self.produce(stream, events)
            agent.flush()
            folder = os.path.join(agent.out, stream)
            for reader in ("duckdb", "hyparquet") if stream == "p" else ("",):
                rows = [dict(row) for row in rows_of(folder, reader)]
                self.assertEqual([int(r["n"]) for r in rows], [g["n"] for g in good])
                self.assertEqual([int(r["u"]) for r in rows], [g["u"] for g in good])
                self.assertEqual([float(r["f"]) for r in rows], [g["f"] for g in good])
                self.assertEqual([r["s"] or None for r in rows],
                                 [csv_text(g["s"]) or None for g in good])
                self.assertEqual({r["x"] for r in rows}, {"hex:00ff" if reader else "AP8="})
                self.assertEqual([r["t"] for r in rows[:2]],
                                 [1767225600000000, 1] if reader else
                                 ["2026-01-01T00:00:00.000000Z", "1970-01-01T00:00:00.000001Z"])
            letters = letters_of(folder, "format-conversion-failed")
            self.assertEqual([event for _, event in letters], [*self.MISFITS, b"a message"])
            for (letter, _), why in zip(letters, [*self.MISFITS.values(), "message"]):
                self.check_letter(letter, "format-conversion-failed", why)
            self.check_stream(agent, stream, len(events))
            self.check_refused(agent, stream, format_conversion_failed=len(letters))
        agent.stop()

    def test_validate_keeps_what_is_no_json_out_of_json(self):
        agent = Agent(self, "[stream *]\nvalidate = yes").start()
        bad = [b'{"a": 1', b"[]", b"5", b'{"a": "\xff"}', self.DEEP, b'{"a": 01}', b"", b"{} {}"]
        good = [b'{"a": 1}', b'{"a": 1, "a": 2}', b"{}", b'{"' + b"k" * 200_000 + b'": 1e999}',
                b'{"a": ' + b"[" * 1000 + b"]" * 1000 + b"}"]
        events = [event for pair in zip(good * 2, bad) for event in pair]
        self.produce("s", [(JSON, 0, event) for event in events])
        agent.flush()
        folder = os.path.join(agent.out, "s")
        name, = [n for n in batches(folder) if not n.startswith("errors/")]
        self.assertEqual(unpacked(os.path.join(folder, name)).split(b"\n")[:-1],
                         (good * 2)[:len(bad)])
        letters = letters_of(folder, "processing-failed")
        self.assertEqual([event for _, event in letters], bad)
        for letter, _ in letters:
            self.check_letter(letter, "processing-failed", "JSON object")
        self.check_stream(agent, "s", len(events))
        self.check_refused(agent, "s", processing_failed=len(bad))
        agent.stop()

    def test_what_can_never_be_a_row_is_a_dead_letter(self):
        """Columns are found: only what has no columns at all is refused."""
        bad = [b'{"' + b"k" * 200_000 + b'": 1}', b"{", b'{"a": "\xff"}', self.DEEP, b'{"": 1}',
               b'{' + b", ".join(b'"c%d": 1' % i for i in range(5000)) + b"}", b'{"\\u0000": 1}']
        odd = [b'{"a": 1e999}', b'{"a": ' + b"9" * 5000 + b"}", b'{"a": -0.0}']
        events = [event for b in bad for event in (b'{"a": 5, "b": "x"}', b)] + odd
        for form in ("csv", "parquet"):
            agent = Agent(self, "[stream *]\nformat = %s" % form, data=form).start()
            self.produce("s", [(JSON, 0, event) for event in events])
            agent.flush()
            folder = os.path.join(agent.out, "s")
            rows = [dict(row) for row in rows_of(folder)]
            self.assertEqual([row["a"] for row in rows],
                             ["5"] * len(bad) + [e[6:-1].decode() for e in odd])
            letters = letters_of(folder, "format-conversion-failed")
            self.assertEqual([event for _, event in letters], bad)
            self.check_stream(agent, "s", len(events))
            agent.stop()

    def test_the_last_of_equal_keys_or_none(self):
        """Whatever is done with a repeated key, the file has one column of the name."""
        for form in ("csv", "parquet"):
            agent = Agent(self, "[stream *]\nformat = %s" % form, data=form).start()
            self.produce("s", [(JSON, 0, b'{"a": 1, "b": 2, "a": 3}')] * 2)
            agent.flush()
            folder = os.path.join(agent.out, "s")
            self.assertEqual([[(k, int(v)) for k, v in row] for row in rows_of(folder)],
                             [[("a", 3), ("b", 2)]] * 2)
            self.check_stream(agent, "s", 2)
            agent.stop()

    def test_a_new_key_or_type_seals_and_the_next_file_is_wider(self):
        def event(i):
            pad = {"n": i, "pad": "x" * 200}
            return {**pad, **({"late": i} if i == 100 else {}),
                    **({"n": i + 0.5} if 150 <= i < 160 else {}),
                    **({"n": "text"} if i == 200 else {})}

        events = [event(i) for i in range(300)]
        for form in ("csv", "parquet"):
            agent = Agent(self, "[stream *]\nformat = %s\ninfer_bytes = 4KiB\nbuffer_time = 1h"
                          % form, data=form).start()
            self.send_objects("s", events, "--delivered")
            folder = os.path.join(agent.out, "s")
            files = [rows for _, rows in files_of(folder)]
            self.assertEqual([len(rows) for rows in files], [100, 50, 50, 100])
            self.assertEqual([[name for name, _ in rows[0]] for rows in files],
                             [["n", "pad"]] + [["n", "pad", "late"]] * 3)
            found = [dict(row) for rows in files for row in rows]
            if form == "parquet":
                kinds = [{type(dict(row)["n"]) for row in rows} for rows in files]
                self.assertEqual((kinds[0], kinds[3]), ({int}, {str}))
                self.assertEqual([r["n"] for r in found[:200]], [e["n"] for e in events[:200]])
                types = query("select type from parquet_schema('%s/*') where name = 'n' order by "
                              "file_name" % folder)
                self.assertEqual(types, [["INT64"], ["INT64"], ["DOUBLE"], ["BYTE_ARRAY"]])
            self.assertEqual([str(r["n"]) for r in found[200:]],
                             [str(e["n"]) for e in events[200:]])
            self.check_stream(agent, "s", len(events))
            agent.stop()


# --- other settings, changes on the way ---------------------------------------------------------

class Settings(FormatCase):
    def test_compression_level(self):
        levels = {"gzip": (1, 9), "zstd": (1, 19), "lz4": (1, 12)}
        config = "".join("[stream %s.%d]\ncompression = %s\ncompression_level = %d\n"
                         % (c, level, c, level) for c in levels for level in levels[c])
        agent = Agent(self, config).start()
        events = [{"n": i, "r": self.random.choice(WORDS) * self.random.randrange(9)}
                  for i in range(5000)]
        for c in levels:
            sizes = []
            for level in levels[c]:
                stream = "%s.%d" % (c, level)
                self.send_objects(stream, events, "--delivered")
                name, = batches(os.path.join(agent.out, stream))
                path = os.path.join(agent.out, stream, name)
                self.assertTrue(unpacked(path) == b"".join(compact(e) + b"\n" for e in events))
                sizes.append(os.path.getsize(path))
            self.assertGreater(sizes[0], sizes[1], c)
        agent.stop()

    def test_prefix_of_the_events_own_time(self):
        for form in ("json", "parquet"):
            agent = Agent(self, "[stream *]\nformat = %s\nprefix_clock = event\n"
                          "prefix = !{timestamp:yyyy/MM/dd/HH}/\npartition_by = k\n"
                          "filename = epoch" % form, data=form).start()
            self.produce("s", [(JSON, DAY_NS + (i % 2) * HOUR_NS + i, b'{"k": "x", "n": %d}' % i)
                               for i in range(20)])
            agent.flush()
            folder = os.path.join(agent.out, "s")
            self.assertEqual(len(batches(folder)), 2)
            self.check_names(sorted(batches(folder), key=os.path.basename), ext=form,
                             time_pattern=r"\d{10}")
            self.assertEqual(rows_by_folder(folder), {
                "2026/01/01/0%d/k=x" % hour: [[["n", i]] for i in range(hour, 20, 2)]
                for hour in (0, 1)})
            agent.stop()

    def test_fields_are_kept_dropped_and_added(self):
        added = ('who = "!{hydrant:host}/!{hydrant:stream}", kind = !{hydrant:kind}, one = 1, '
                 'at = !{hydrant:time}, hour = !{timestamp:HH}, b = true, z = null, '
                 'day = !{timestamp:dd}')
        kept = {"fields = c, a, n": ["c", "a"], "drop_fields = b, gone, who": ["a", "c"]}
        for form, (chosen, names) in itertools.product(("json", "csv", "parquet"), kept.items()):
            agent = Agent(self, "[stream *]\nformat = %s\n%s\nadd_fields = '%s'\n"
                          "partition_by = n, day" % (form, chosen, added),
                          data=form + names[0]).start()
            self.produce("s", [(JSON, DAY_NS + 5 * HOUR_NS, b'{"a": %d, "one": 5, "gone": 3, '
                                b'"n": 4, "c": "x", "b": 2, "who": 7}' % i) for i in range(5)])
            agent.flush()
            rows = rows_of(os.path.join(agent.out, "s", "n=4", "day=01"))
            self.assertEqual(len(rows), 5)
            for i, row in enumerate(rows):
                found = dict(row)
                self.assertEqual(len(found), len(row))
                self.assertRegex(found.pop("at"), r"^2026-01-01T05:00:00(\.0+)?Z$")
                right = {"c": "x", "a": i, "who": "tester/s", "kind": "json", "one": 1,
                         "hour": "05", "b": True, "z": None}
                self.assertEqual(found, {k: csv_text(v) for k, v in right.items()}
                                 if form == "csv" else right)
                if form != "json":      # fields of objects stay where they are
                    self.assertEqual([k for k, _ in row][:2], names)
            agent.stop()

    def test_formats_change_by_reload_and_restart_in_between(self):
        """Under five settings, and kills: each event once, in order, as it was taken."""
        lives = ("format = json\ncompression = gzip", "format = csv\npartition_by = k",
                 "format = parquet\npartition_by = k, m", "format = parquet\ncompression = zstd",
                 "format = csv\ncompression = lz4\ncolumns = n i64, k i64, m i64")
        agent = Agent(self, "[stream *]\nbuffer_time = 1h\n" + lives[0]).start()
        sent = 0
        for at, life in enumerate(lives):
            if at > 0:
                agent.configure("[stream *]\nbuffer_time = 1h\n" + life)
                if at % 2:
                    reloads = agent.log().count("reloaded")
                    agent.process.send_signal(signal.SIGHUP)
                    until(lambda r=reloads: agent.log().count("reloaded") > r, "a reload")
                else:
                    agent.kill()
                    agent.start()
            self.send_objects("s", [{"n": n, "k": n % 2, "m": n % 3}
                                    for n in range(sent, sent + 100)])
            sent += 100
        agent.kill()
        agent.start()
        agent.flush()
        folder = os.path.join(agent.out, "s")
        seen = {}
        for name, rows in files_of(folder):
            numbers = [int(dict(row)["n"]) for row in rows]
            self.assertEqual(numbers, sorted(numbers))
            ending = os.path.basename(name).partition(".")[2]
            seen.setdefault((ending, os.path.dirname(name).count("=")), []).extend(numbers)
        self.assertEqual({k: sorted(v) for k, v in seen.items()}, {
            ("json.gz", 0): list(range(100)), ("csv", 1): list(range(100, 200)),
            ("parquet", 2): list(range(200, 300)), ("parquet", 0): list(range(300, 400)),
            ("csv.lz4", 0): list(range(400, 500))})
        self.check_stream(agent, "s", sent)
        agent.stop()


if __name__ == "__main__":
    unittest.main()
