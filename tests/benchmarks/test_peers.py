"""What benchmarks/peers makes of lines: rows, spreads, ratios, tables, plots, the README's section.

Nothing is measured and no peer is needed: the lines are a small sample.
"""
import json
import os
import sys
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(ROOT, "benchmarks"))

from peers_parts import plots, receivers, tables                                # noqa: E402
from peers_parts.results import (Results, agree, from_harness, from_transports,   # noqa: E402
                                 number, ratios, row, spread, words)


def harness_line(name, value, runs=1, **more):
    return json.dumps({"program": "x", "name": name, "params": "rows=500", "runs": runs,
                       "min": value, "median": value, "p99": value, "unit": "any", **more})


HARNESS = "\n".join([
    '{"program":"x","machine":{"cpu":"some","cores":2}}',
    harness_line("table/csv.duckdb", 2), harness_line("table/csv.duckdb.size", 80),
    harness_line("records/csv", 6),
    harness_line("records/csv", 3, versus="table/csv.duckdb rows=500")])


def transport(metric, name, value, **more):
    return json.dumps({"bench": "transports", "metric": metric, "name": name, "runs": 3,
                       "params": {"bytes": 64, "producers": 1, **more.pop("params", {})},
                       "values": [value * 1.2, value, value * 0.9], "min": value * 0.9, "median": value, "max": value * 1.2, "unit": "ns",
                       **more})


TRANSPORTS = "\n".join([
    '{"program":"transports","machine":{"cpu":"some"}}',
    transport("cost_ns", "ring", 10), transport("cost_ns", "ring", 20, params={"bytes": 256}),
    transport("cost_ns", "unix", 900), transport("cost_ns", "unix", 990, params={"bytes": 256}),
    transport("cost_ns", "boost-spsc", 5),
    transport("throughput", "ring", 60e6), transport("throughput", "ring", 9e6,
                                                     params={"producers": 64}),
    transport("latency_ns", "ring", 500, p50=500, p90=600, p99=900, p999=4000, p9999=90000),
    transport("loss", "ring", 0), transport("loss", "udp", 30)])


def sample():
    results = Results()
    for part in ("transports", "agents", "kill", "encoders", "scaling"):
        results.begin(part, "measure " + part)
        results.parts[part].update(date="2026-11-22 12:00 UTC", load=0.1)
    results.add(from_transports(TRANSPORTS))
    results.add(from_harness("encoders", HARNESS))
    for name, rate, cpu in (("hydrant, ring", [2.0, 2.4, 2.2], [0.2, 0.25, 0.2]),
                            ("rsyslog", [0.4, 0.5, 0.45], [2.4, 2.5, 2.6]),
                            ("recv-write loop", [3.0, 4.0, 3.5], [0.1, 0.1, 0.1])):
        for metric, unit, values in (("events", "M events/s", rate), ("cpu", "s/M events", cpu),
                                     ("sender cpu", "s/M events", cpu), ("memory", "MiB", [40] * 3),
                                     ("missing", "events", [0] * 3), ("twice", "events", [0] * 3)):
            results.add([row("agents", name, metric, unit, values, bytes=200, how="somehow")])
        results.add([row("kill", name, metric, "events", [0 if name == "hydrant, ring" else 70],
                         bytes=200) for metric in ("accepted", "lost", "twice", "torn")])
    results.add([row("scaling", "streams", metric, "ns/event", [n + 1, n + 2], n=n)
                 for n in (1, 10) for metric in ("cpu", "events")])
    results.add([row("scaling", "log", metric, "ns/event", [300, 310, 305], n=64)
                 for metric in ("running", "recovery", "start")])
    return results


class Rows(unittest.TestCase):
    def test_a_row_has_the_median_and_the_ends_of_its_rounds(self):
        found = row("agents", "x", "events", "M events/s", [3, 1, 2], bytes=200)
        self.assertEqual((1, 2, 3, 3),
                         tuple(found[key] for key in ("min", "median", "max", "runs")))

    def test_harness_lines_become_rows_by_metric_and_ratios_name_their_rival(self):
        rows = from_harness("encoders", HARNESS)
        self.assertEqual([("table/csv.duckdb", "rate"), ("table/csv.duckdb", "size"),
                          ("records/csv", "rate"), ("records/csv", "rate ratio")],
                         [(r["name"], r["metric"]) for r in rows])
        self.assertEqual([2], rows[0]["values"])
        self.assertEqual({"rows": 500, "versus": "table/csv.duckdb rows=500"}, rows[3]["params"])

    def test_parameters_that_are_words_stay_words(self):
        self.assertEqual({"bytes": 64, "clock": "none"}, words("bytes=64 clock=none"))
        self.assertEqual({"how": "direct 1MiB x 8"}, words("direct 1MiB x 8"))

    def test_lines_of_transports_keep_their_percentiles_and_others_are_left_out(self):
        rows = from_transports(TRANSPORTS)
        self.assertEqual(10, len(rows))
        self.assertEqual(90000, next(r for r in rows if r["metric"] == "latency_ns")["p9999"])

    def test_a_line_that_is_no_json_is_not_passed_over(self):
        with self.assertRaises(ValueError):
            from_harness("log", "log/writer 1.2 GB/s\n")

    def test_a_harness_line_of_several_rounds_is_refused(self):
        with self.assertRaises(ValueError):
            from_harness("log", harness_line("log/writer", 1, runs=3))

    def test_turns_become_one_row_of_all_their_rounds(self):
        results = sample()
        results.add(from_transports(transport("latency_ns", "ring", 700, p50=700, p90=800, p99=901,
                                              p999=4100, p9999=10000)))
        found = results.find("transports", "latency_ns")
        self.assertEqual(1, len(found))
        self.assertEqual([600, 500, 450, 840, 700, 630], [round(v) for v in found[0]["values"]])
        self.assertEqual((6, 450, 615, 840, 50000), tuple(
            round(found[0][key]) for key in ("runs", "min", "median", "max", "p9999")))

    def test_another_turn_keeps_when_the_part_began(self):
        results = sample()
        results.begin("agents", "measure agents again")
        self.assertEqual("2026-11-22 12:00 UTC", results.parts["agents"]["date"])
        self.assertEqual(3, len(results.find("agents", "events")))

    def test_rows_of_two_runs_agree_where_their_spreads_meet(self):
        ours, theirs = sample(), sample()
        self.assertTrue(all(agree(a, b) for a, b in ours.pairs(theirs)))
        self.assertEqual(len(ours.rows), len(ours.pairs(theirs)))
        theirs.drop("kill")
        theirs.drop("transports")
        theirs.add(from_transports(transport("cost_ns", "ring", 13.3)))
        theirs.add(from_transports(transport("cost_ns", "unix", 600)))
        pairs = ours.pairs(theirs)
        self.assertEqual(["unix"], [a["name"] for a, b in pairs if not agree(a, b)])
        self.assertNotIn("kill", {a["part"] for a, _ in pairs})

    def test_results_are_read_as_they_were_written(self):
        results = sample()
        with tempfile.TemporaryDirectory() as folder:
            results.write(folder)
            again = Results.read(folder)
            with open(os.path.join(folder, "results.jsonl"), encoding="utf-8") as file:
                self.assertIn("machine", json.loads(file.readline()))
            with open(os.path.join(folder, "results.csv"), encoding="utf-8") as file:
                self.assertEqual(len(results.rows) + 1, len(file.readlines()))
        self.assertEqual((results.machine, results.parts, results.rows),
                         (again.machine, again.parts, again.rows))

    def test_a_part_that_is_measured_again_drops_its_old_rows_alone(self):
        results = sample()
        results.drop("transports")
        results.begin("transports", "measure again")
        self.assertEqual([], results.find("transports", "cost_ns"))
        self.assertEqual("measure again", results.parts["transports"]["command"])
        self.assertEqual(3, len(results.find("agents", "events")))


class Numbers(unittest.TestCase):
    def test_three_digits_matter(self):
        self.assertEqual(["0", "0.123", "1.00", "9.99", "10.0", "99.9", "100", "12,346"],
                         [number(v) for v in (0, 0.1234, 0.9999, 9.99, 9.996, 99.9, 99.96,
                                              12345.6)])

    def test_a_spread_is_printed_where_there_is_one(self):
        self.assertEqual("2.00 (1.00–3.00)", spread({"min": 1, "median": 2, "max": 3}))
        self.assertEqual("2.00", spread({"min": 2, "median": 2, "max": 2}))
        self.assertEqual("–", spread(None))

    def test_ratios_are_taken_within_rounds_where_there_are_rounds(self):
        results = sample()
        a, b = (results.one("agents", "events", name=n) for n in ("hydrant, ring", "rsyslog"))
        found = ratios(a, b)
        self.assertAlmostEqual(4.888, found["median"], 2)
        self.assertAlmostEqual(5.0, found["max"])

    def test_ratios_of_rows_with_other_rounds_are_bounded_by_their_ends(self):
        self.assertEqual({"median": 2, "min": 1, "max": 4}, ratios(
            {"min": 2, "median": 4, "max": 4, "values": [2, 4, 4]},
            {"min": 1, "median": 2, "max": 2, "values": [1, 2]}))

    def test_nothing_is_set_against_zero(self):
        self.assertIsNone(ratios({"min": 1, "median": 1, "max": 1, "values": [1]},
                                 {"min": 0, "median": 0, "max": 0, "values": [0]}))


class Tables(unittest.TestCase):
    def test_each_part_says_its_command_date_and_figures(self):
        text = tables.document(sample(), ["agents-rate"])
        for part in ("transports", "agents", "kill", "encoders", "scaling"):
            self.assertIn("`measure %s`, 2026-11-22 12:00 UTC, load average 0.10" % part, text)
        self.assertIn("| ring | 10.0 (9.00–12.0) | 20.0 (18.0–24.0) |", text)
        self.assertIn("![Agents, lines to files](agents-rate.svg)", text)
        self.assertIn("| hydrant, ring / rsyslog | 200 | 4.89 (4.80–5.00) times |", text)
        self.assertIn("udp (bytes=64 producers=1) 30.0", text)
        self.assertNotIn("not idle", text)

    def test_a_busy_machine_is_said(self):
        results = sample()
        results.parts["agents"]["load"] = results.machine["cores"] + 0.5
        self.assertIn("not idle when this began", tables.document(results, []))

    def test_what_is_lost_is_found_out_of_the_rows(self):
        found = tables.losses(sample())
        self.assertEqual([("an event of 64 B, ns", "boost-spsc"),
                          ("200 B lines into files, events/s", "recv-write loop"),
                          ("200 B lines into files, CPU", "recv-write loop")],
                         sorted(((cells[0], cells[3]) for cells in found), reverse=True))

    def test_the_readme_keeps_all_but_the_section(self):
        section = tables.readme_section(sample(), ROOT)
        text = "before\n%s\nold\n%s\nafter\n" % (tables.BEGIN, tables.END)
        self.assertEqual("before\n%s\nafter\n" % section, tables.replaced(text, section))
        self.assertIn("rsyslog 0.450 (0.400–0.500): 4.89 times", section)
        with self.assertRaises(SystemExit):
            tables.replaced("no markers", section)

    def test_the_readme_has_the_markers(self):
        with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as file:
            text = file.read()
        self.assertEqual(text, tables.replaced(text, tables.BEGIN + text.partition(
            tables.BEGIN)[2].partition(tables.END)[0] + tables.END))


class Plots(unittest.TestCase):
    def test_a_plot_is_made_of_all_that_there_are_rows_for(self):
        self.assertEqual(["transports-cost", "transports-throughput", "transports-latency",
                          "agents-rate", "agents-cpu", "encoders", "scaling", "scaling-log"],
                         list(plots.scripts(sample())))
        self.assertEqual({}, plots.scripts(Results()))

    def test_lines_carry_their_names_and_their_spread(self):
        script = plots.scripts(sample())["transports-cost"]
        self.assertIn("64 10 9 12\n256 20 18 24\n", script)
        self.assertIn('"boost-spsc" at graph 1,', script)
        self.assertIn("set logscale y", script)
        self.assertEqual(3, script.count("with yerrorlines"))

    def test_bars_begin_at_zero_and_carry_their_spread(self):
        script = plots.scripts(sample())["agents-rate"]
        self.assertIn("set xrange [0:", script)
        self.assertIn("3 2.2 2 2.4 %d 2.2\n" % int(plots.OURS[1:], 16), script)
        self.assertIn("with xerrorbars", script)

    def test_names_cannot_end_a_string_of_the_script(self):
        self.assertEqual('"a\\"b\\\\c"', plots.quoted('a"b\\c'))

    def test_labels_keep_apart_and_in_order(self):
        found = plots.apart([0.5, 0.5, 0.51, 1.0], 0.1)
        for low, high in zip(found, found[1:]):
            self.assertGreaterEqual(high - low, 0.0999)
        self.assertLessEqual(found[-1], 1.0)

    def test_scales_have_four_to_eight_marks(self):
        for high in (0.011, 0.7, 1.0, 1.4, 3.3, 9.9, 47, 1200):
            self.assertTrue(2.9 <= high / plots.step(high) <= 7, high)


class Settings(unittest.TestCase):
    def test_receivers_listen_in_their_own_folder_or_on_loopback_alone(self):
        for kind in receivers.RECEIVERS:
            with tempfile.TemporaryDirectory() as folder:
                made = kind(folder)
                try:
                    scheme, _, where = made.target.partition(":")
                    self.assertIn(scheme, ("unix", "ring", "tcp", "file"))
                    self.assertTrue(scheme == "tcp" or where.startswith((folder, "/dev/shm/")))
                finally:
                    made.stop()


if __name__ == "__main__":
    unittest.main()
