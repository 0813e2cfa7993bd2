"""Metrics: their list in etc, the alert rules and the Grafana dashboard made of them, histograms;
and, in the long run, what Prometheus's own promtool says of them all."""
import json
import os
import re
import subprocess

from harness import LONG, ROOT, Agent, Case
from test_status import parse_metrics

ETC = os.path.join(ROOT, "etc")
METRIC = re.compile(r"\bhydrant_[a-z_]+\b")


def read(name):
    with open(os.path.join(ETC, name), encoding="utf-8") as file:
        return file.read()


def families(text):
    """{name: type} of a page of metrics."""
    return dict(line.split()[2:] for line in text.splitlines() if line.startswith("# TYPE "))


def samples(text):
    """Names that a query may use."""
    found = set()
    for name, kind in families(text).items():
        found |= {name + part for part in ("_bucket", "_sum", "_count")} \
            if kind == "histogram" else {name}
    return found


def queries():
    """Every query of the dashboard, as Grafana sends it."""
    board = json.loads(read("grafana-dashboard.json"))
    found = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    for variable in board["templating"]["list"]:
        found += re.findall(r"label_values\((.*), \w+\)", variable.get("definition", ""))
    return [q.replace("$__rate_interval", "5m").replace("$instance", ".*").replace("$stream", ".*")
            for q in found]


class Metrics(Case):
    def setUp(self):
        super().setUp()
        self.agent = Agent(self).start()
        self.send("s", b"one\ntwo\n", "--delivered")
        self.page = self.agent.ask("GET", "/metrics")[1]
        self.agent.stop()

    def test_the_list_is_as_the_program_prints_it(self):
        code, out, err = self.run_hydrant("help", "metrics")
        self.assertEqual((code, err), (0, ""))
        self.assertEqual(read("metrics.txt"), out, "build/hydrant help metrics > etc/metrics.txt")
        for name, kind in families(self.page).items():
            self.assertIn("\n%s\n    %s. " % (name, kind), out)

    def test_alerts_and_dashboard_ask_for_what_there_is(self):
        known = samples(self.page)
        for name in ("alerts.yml", "grafana-dashboard.json"):
            used = set(METRIC.findall(read(name)))
            self.assertGreater(len(used), 8)
            self.assertEqual(used - known, set(), name)
        self.assertGreater(len(queries()), 20)

    def test_histograms_count_what_has_happened(self):
        metrics = parse_metrics(self.page)
        self.assertGreater(metrics["hydrant_wal_commit_seconds_count"][""], 0)
        for name, least in (("hydrant_batch_bytes", 6), ("hydrant_delivery_seconds", 0)):
            self.assertEqual(metrics[name + "_count"], {"": 1})
            self.assertEqual(metrics[name + "_bucket"]['{le="+Inf"}'], 1)
            self.assertGreaterEqual(metrics[name + "_sum"][""], least)
        self.assertEqual(metrics["hydrant_remote_delivery_seconds_count"], {"": 0})

    if LONG:
        def promtool(self, *arguments, stdin=None):
            done = subprocess.run(["promtool", *arguments], input=stdin, check=False,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            self.assertEqual(done.returncode, 0, done.stdout.decode())

        def test_promtool_has_no_complaint(self):
            self.promtool("check", "metrics", stdin=self.page.encode())
            self.promtool("check", "rules", os.path.join(ETC, "alerts.yml"))
            rules = [{"record": "q%d" % i, "expr": q} for i, q in enumerate(queries())]
            path = self.write_file("queries.yml", json.dumps(
                {"groups": [{"name": "dashboard", "rules": rules}]}))
            self.promtool("check", "rules", path)
