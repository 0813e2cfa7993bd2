"""results: the rows that all parts yield, read and written as JSON lines and CSV.

A row is a dict: part, name, metric, params (a dict), unit, runs, values (one a round), and their
min, median and max; latencies have p50 to p9999 besides, medians of those of the turns. In a file
the first line is the machine, then one line a part (when it began, by which command, under which
load), then the rows.
"""
import csv
import json
import os
import statistics
import time

PERCENTILES = ("p50", "p90", "p99", "p999", "p9999")
LOAD = round(os.getloadavg()[0], 2)         # as it begins: later it is our own
SUFFIXES = ("size", "cpu", "syncs")         # metrics of harness lines, behind the last dot


def row(part, name, metric, unit, values, **params):
    """One result."""
    return {"part": part, "name": name, "metric": metric, "params": params, "unit": unit,
            **of_rounds(values)}


def of_rounds(values):
    return {"runs": len(values), "min": min(values), "median": statistics.median(values),
            "max": max(values), "values": list(values)}


def merged(turns):
    """One row of what the turns have found of it."""
    if len(turns) == 1:
        return turns[0]
    return {**turns[0], **of_rounds([value for turn in turns for value in turn["values"]]),
            **{key: statistics.median(turn[key] for turn in turns)
               for key in PERCENTILES if key in turns[0]}}


def words(text):
    """The parameters of a harness line: "bytes=64 clock=none" or other words."""
    pairs = [word.partition("=") for word in text.split()]
    if not all(equals for _, equals, _ in pairs):
        return {"how": text}
    return {key: int(value) if value.isdigit() else value for key, _, value in pairs}


def from_harness(part, text):
    """Rows out of the JSON lines of benchmarks/report.c, of one round."""
    rows = []
    for line in map(json.loads, filter(None, text.splitlines())):
        if "median" not in line:
            continue
        params, (name, dot, suffix) = words(line["params"]), line["name"].rpartition(".")
        if not dot or suffix not in SUFFIXES:
            name, suffix = line["name"], "rate"
        if "versus" in line:
            params, suffix = {**params, "versus": line["versus"]}, suffix + " ratio"
        if line["runs"] != 1:
            raise ValueError("a line of %d rounds does not say what each has found" % line["runs"])
        rows.append(row(part, name, suffix, line["unit"], [line["median"]], **params))
    return rows


def from_transports(text):
    """Rows out of the JSON lines of benchmarks/transports."""
    rows = []
    for line in map(json.loads, filter(None, text.splitlines())):
        if line.get("bench") == "transports" and "median" in line:
            rows.append({"part": line.pop("bench"), **line})
    return rows


def machine():
    """What this host is."""
    def value(path, key):
        try:
            with open(path, encoding="utf-8") as file:
                lines = [line for line in file if line.startswith(key)]
        except OSError:
            return "?"
        return lines[0][len(key):].strip(' \t:="\n') if lines else "?"

    memory = value("/proc/meminfo", "MemTotal").split()
    return {"cpu": value("/proc/cpuinfo", "model name"), "cores": os.cpu_count(),
            "memory_gib": round(int(memory[0]) / 2 ** 20, 1) if memory[0].isdigit() else 0,
            "virtual": "hypervisor" in value("/proc/cpuinfo", "flags").split(),
            "kernel": os.uname().release, "system": value("/etc/os-release", "PRETTY_NAME")}


def machine_text(of):
    return "%d x %s%s, %s GiB, kernel %s, %s" % (
        of["cores"], of["cpu"], " (virtual machine)" if of["virtual"] else "", of["memory_gib"],
        of["kernel"], of["system"])


def agree(a, b):
    """Do the spreads of two rows meet?"""
    return a["min"] <= b["max"] and b["min"] <= a["max"]


def identity(r):
    return r["part"], r["name"], r["metric"], tuple(sorted(r["params"].items()))


class Results:
    def __init__(self):
        self.machine, self.parts, self.turns = machine(), {}, {}

    @property
    def rows(self):
        return [merged(turns) for turns in self.turns.values()]

    def begin(self, part, command, versions=None):
        """A part starts, or goes on with another turn."""
        self.parts.setdefault(part, {
            "command": command, "load": LOAD, "versions": versions or {},
            "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())})

    def add(self, rows):
        """What one turn has found."""
        for r in rows:
            self.turns.setdefault(identity(r), []).append(r)

    def busy(self):
        """Was there work for all processors, before anything ran? Building us is less."""
        return max(part["load"] for part in self.parts.values()) > self.machine["cores"]

    def drop(self, part):
        """Nothing of a part that is measured again, or has failed."""
        self.turns = {key: turns for key, turns in self.turns.items() if key[0] != part}
        self.parts.pop(part, None)

    def find(self, part, metric, **params):
        """Rows of a part and metric; name and parameters may be asked for, too."""
        name = params.pop("name", None)
        return [r for r in self.rows if r["part"] == part and r["metric"] == metric
                and name in (None, r["name"])
                and all(r["params"].get(key) == value for key, value in params.items())]

    def one(self, part, metric, **params):
        """The first such row, or None."""
        return next(iter(self.find(part, metric, **params)), None)

    def pairs(self, others):
        """Our rows with those of others that are of the same."""
        found = {identity(r): r for r in others.rows}
        return [(r, found[identity(r)]) for r in self.rows if identity(r) in found]

    def write(self, folder):
        with open(os.path.join(folder, "results.jsonl"), "w", encoding="utf-8") as file:
            for line in [{"machine": self.machine}, *({"part": name, **part} for name, part
                                                      in self.parts.items()), *self.rows]:
                file.write(json.dumps(line, ensure_ascii=False) + "\n")
        with open(os.path.join(folder, "results.csv"), "w", encoding="utf-8", newline="") as file:
            out = csv.writer(file, lineterminator="\n")
            out.writerow(["part", "name", "metric", "params", "unit", "runs", "min", "median",
                          "max", *PERCENTILES])
            for r in self.rows:
                out.writerow([r["part"], r["name"], r["metric"],
                              " ".join("%s=%s" % pair for pair in r["params"].items()), r["unit"],
                              r["runs"], *("%.6g" % r[key] for key in ("min", "median", "max")),
                              *("%.6g" % r[key] if key in r else "" for key in PERCENTILES)])

    @staticmethod
    def read(folder):
        results = Results()
        with open(os.path.join(folder, "results.jsonl"), encoding="utf-8") as file:
            for line in map(json.loads, file):
                if "machine" in line:
                    results.machine = line["machine"]
                elif "metric" in line:
                    results.add([line])
                else:
                    results.parts[line.pop("part")] = line
        return results


def number(value):
    """Three digits that matter, thousands set apart."""
    if value == 0:
        return "0"
    if abs(value) >= 99.95:
        return "{:,.0f}".format(value)
    return "%.*f" % (1 if abs(value) >= 9.995 else 2 if abs(value) >= 0.9995 else 3, value)


def spread(r):
    """Median, least and most, as all tables and notes print it."""
    if r is None:
        return "–"
    if r["min"] == r["max"]:
        return number(r["median"])
    return "%s (%s–%s)" % (number(r["median"]), number(r["min"]), number(r["max"]))


def ratios(ours, theirs):
    """Ours over theirs: by round where both have as many, else of medians with the bounds."""
    if len(ours["values"]) == len(theirs["values"]):
        values = [a / b for a, b in zip(ours["values"], theirs["values"]) if b > 0]
        if values:
            return {"median": statistics.median(values), "min": min(values), "max": max(values)}
    if theirs["median"] <= 0 or theirs["min"] <= 0:
        return None
    return {"median": ours["median"] / theirs["median"], "min": ours["min"] / theirs["max"],
            "max": ours["max"] / theirs["min"]}
