"""tables: what the results say, in Markdown: results.md, and the section of README.md."""
import os

from .results import machine_text, number, ratios, spread

BEGIN, END = "<!-- benchmarks/peers --readme: begin -->", "<!-- benchmarks/peers --readme: end -->"

TITLES = {"transports": "Transports", "agents": "Agents, lines to files",
          "kill": "What survives kill -9", "encoders": "Encoders", "log": "The log",
          "scaling": "Scaling"}


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(cells) + " |" for cells in rows]) + "\n"


def names(rows):
    return list(dict.fromkeys(r["name"] for r in rows))


def by_parameter(results, part, metric, key, head, scale=1.0, **params):
    """A row a name, a column a value of the parameter."""
    rows = [r for r in results.find(part, metric, **params) if key in r["params"]]
    columns = sorted({r["params"][key] for r in rows})
    if not rows:
        return ""
    return table([head, *("{:,} {}".format(c, key[:-1] if c == 1 else key) for c in columns)],
                 [[name, *(spread(scaled(next((r for r in rows if r["name"] == name
                                               and r["params"][key] == c), None), scale))
                           for c in columns)] for name in names(rows)]) + "\n"


def scaled(r, scale):
    return r and {**r, **{key: r[key] * scale for key in ("min", "median", "max")}}


def transports(results):
    text = "Two processes, a write an event but for unix-64k, which carries many events in " \
        "writes of 64 KiB. ring stamps events by the coarse clock, ring-untimed does not; the " \
        "consumer reads as the agent does, by pread, ring-mapped from a mapping. floor is a wait " \
        "of 500 ns in which nothing is done.\n\nNanoseconds an event in the producer:\n\n"
    text += by_parameter(results, "transports", "cost_ns", "bytes", "transport", producers=1)
    text += "Million events a second of 64 bytes, by number of producers:\n\n" + by_parameter(
        results, "transports", "throughput", "producers", "transport", 1e-6)
    rows = results.find("transports", "latency_ns")
    if rows:
        ranks = ("p50", "p90", "p99", "p999", "p9999")
        text += "Latency, nanoseconds:\n\n" + table(
            ["transport", "p50", "p90", "p99", "p99.9", "p99.99", "p50 by round"],
            [[r["name"], *(number(r[rank]) if rank in r else "–" for rank in ranks), spread(r)]
             for r in rows]) + "\n"
    text += "CPU microseconds an event, both sides:\n\n" + by_parameter(
        results, "transports", "cpu_us", "bytes", "transport", producers=1)
    lost = [r for r in results.find("transports", "loss") if r["max"] > 0]
    text += "Lost: " + ("; ".join("%s (%s) %s" % (r["name"], " ".join(
        "%s=%s" % pair for pair in r["params"].items()), spread(r)) for r in lost)
        or "nothing, by none") + ".\n"
    return text


def agents(results):
    text = ""
    for size in sorted({r["params"]["bytes"] for r in results.find("agents", "events")}):
        rows = results.find("agents", "events", bytes=size)
        text += "%d-byte JSON lines, one producer:\n\n" % size + table(
            ["receiver", "", "M events/s", "CPU s per M events", "sender's", "peak memory, MiB",
             "missing, twice"],
            [[r["name"], r["params"]["how"],
              *(spread(results.one("agents", metric, name=r["name"], bytes=size))
                for metric in ("events", "cpu", "sender cpu", "memory")),
              "%s, %s" % tuple(number(results.one("agents", metric, name=r["name"],
                                                  bytes=size)["max"])
                               for metric in ("missing", "twice"))] for r in rows]) + "\n"
    pairs = agent_ratios(results)
    if pairs:
        text += "Of the same round:\n\n" + table(
            ["", "bytes", "events/s", "CPU per event"],
            [["%s / %s" % (ours, theirs), str(size), spread(rate) + " times",
              spread(cpu) + " times"] for ours, theirs, size, rate, cpu in pairs])
    return text


def agent_ratios(results, peers=("rsyslog", "syslog-ng", "fluent-bit", "vector")):
    found = []
    for r in results.find("agents", "events"):
        for peer in peers if r["name"].startswith("hydrant") else ():
            size = r["params"]["bytes"]
            other = results.one("agents", "events", name=peer, bytes=size)
            if other:
                found.append((r["name"], peer, size, ratios(r, other), ratios(
                    results.one("agents", "cpu", name=r["name"], bytes=size),
                    results.one("agents", "cpu", name=peer, bytes=size))))
    return found


def kill(results):
    text = table(["receiver", "events that write() or the ring had taken", "lost", "twice",
                  "torn lines"],
                 [[name, *(spread(results.one("kill", metric, name=name))
                           for metric in ("accepted", "lost", "twice", "torn"))]
                  for name in names(results.find("kill", "lost"))])
    return text + "\nBy socket, what the kernel holds for a process goes with the process, " \
        "whoever it is; a ring is still there.\n"


def harness(part):
    def made(results):
        rows = [r for r in results.rows if r["part"] == part and "ratio" not in r["metric"]]
        text = table(["", "", "runs", "median (least–most)", "unit"],
                     [[r["name"] + ("" if r["metric"] == "rate" else ", " + r["metric"]),
                       " ".join(map(str, r["params"].values())), str(r["runs"]), spread(r),
                       r["unit"]] for r in rows])
        versus = [r for r in results.rows if r["part"] == part and "ratio" in r["metric"]]
        return text + ("\nOf the same round:\n\n" + table(
            ["", "beside", "times better"],
            [[r["name"] + ("" if r["metric"] == "rate ratio" else ", "
                           + r["metric"].removesuffix(" ratio")),
              r["params"]["versus"], spread(r)] for r in versus]) if versus else "")
    return made


def scaling(results):
    text = "200-byte events by ring to files:\n\n"
    for name in names(results.find("scaling", "cpu")):
        text += table([name, "agent's CPU, ns an event", "M events/s"],
                      [["{:,}".format(r["params"]["n"]), spread(r), spread(results.one(
                          "scaling", "events", name=name, n=r["params"]["n"]))]
                       for r in results.find("scaling", "cpu", name=name)]) + "\n"
    return text + "A log that nothing is delivered from; then kill -9, and a start:\n\n" + table(
        ["MiB in the log", "running, CPU ns an event", "start, ns an event", "start, s"],
        [["{:,}".format(r["params"]["n"]), *(spread(results.one(
            "scaling", metric, n=r["params"]["n"])) for metric in ("running", "recovery", "start"))]
         for r in results.find("scaling", "running")])


MAKERS = {"transports": transports, "agents": agents, "kill": kill, "encoders": harness("encoders"),
          "log": harness("log"), "scaling": scaling}

# (what, metric's part, metric, ours, theirs, parameters, more is better)
RIVALS = (
    *(("one producer, 64 B, events/s", "transports", "throughput", "ring", theirs,
       {"producers": 1, "bytes": 64}, True) for theirs in ("unix-64k", "boost-spsc")),
    *(("an event of {:,} B, ns".format(size), "transports", "cost_ns", "ring", theirs,
       {"producers": 1, "bytes": size}, False)
      for size, theirs in ((64, "unix-64k"), (64, "boost-spsc"), (256, "boost-spsc"),
                           (1024, "boost-spsc"))),
    *(("latency, p50, ns", "transports", "latency_ns", "ring", theirs, {}, False)
      for theirs in ("boost-spsc", "pipe")),
    *(("%d B lines into files, %s" % (size, what), "agents", metric, ours, theirs, {"bytes": size},
       more) for what, metric, more in (("events/s", "events", True), ("CPU", "cpu", False))
      for size in (200, 1023) for ours in ("hydrant, ring", "hydrant, socket")
      for theirs in ("recv-write loop", "no agent", "rsyslog", "syslog-ng")),
    ("JSON lines passed through, rows/s", "encoders", "rate", "json/json", "json/copy", {}, True),
    ("direct writes, GB/s", "log", "rate", "log/writer", "log/fio", {}, True),
    ("direct writes, CPU s/GB", "log", "cpu", "log/writer", "log/fio", {}, False),
)


def losses(results):
    """Where somebody else's median is better than ours, worst first."""
    found = []
    for what, part, metric, ours, theirs, params, more in RIVALS:
        a = results.one(part, metric, name=ours, **params)
        for b in results.find(part, metric, name=theirs, **params) if a else ():
            ratio = ratios(b, a) if more else ratios(a, b)
            if ratio and ratio["median"] > 1:
                found.append((ratio["median"], [what, ours, spread(a), " ".join(
                    [theirs, *(str(v) for k, v in b["params"].items() if part == "log")]),
                    spread(b), spread(ratio) + " times"]))
    return [cells for _, cells in sorted(found, key=lambda pair: -pair[0])]


def losses_text(results):
    rows = losses(results)
    if not rows:
        return "Nothing that is measured here.\n"
    return table(["what", "ours", "", "theirs", "", "better by"], rows)


def document(results, pictures):
    """results.md. pictures: names of plots that are there."""
    text = ["# Hydrant beside others, measured\n",
            "Written by `benchmarks/peers` (`make bench-peers`) out of results.jsonl; the same "
            "rows are in results.csv. Medians with least and most of the rounds; rounds go through "
            "all cases in turn and are spread over the whole run. Ratios are those of a round where "
            "that is said.\n",
            "Machine: " + machine_text(results.machine) + ".\n"]
    if results.busy():
        text.append("**The machine was not idle when this began: see the load averages. Ratios mean "
                    "more than figures there; measure again.**\n")
    for name, maker in MAKERS.items():
        if name not in results.parts:
            continue
        part = results.parts[name]
        text.append("## %s\n" % TITLES[name])
        text.append("`%s`, %s, load average %.2f%s.\n" % (
            part["command"], part["date"], part["load"], "".join(
                "; %s %s" % pair for pair in part["versions"].items())))
        text += ["![%s](%s.svg)\n" % (TITLES[name], picture) for picture in pictures
                 if picture.partition("-")[0] == name]
        text.append(maker(results))
    text += ["## What we lose at\n",
             "Every comparison above in which the other one's median is better than ours.\n",
             losses_text(results)]
    return "\n".join(text)


def headline(results):
    """The main figures: (what, ours, theirs and how they compare)."""
    def versus(part, metric, ours, theirs, unit, more, scale=1.0, **params):
        a, b = (results.one(part, metric, name=name, **params) for name in (ours, theirs))
        if not a or not b:
            return []
        ratio = ratios(a, b) if more else ratios(b, a)
        return [[spread(scaled(a, scale)) + unit, "%s %s: %s times" % (
            theirs, spread(scaled(b, scale)), number(ratio["median"]) if ratio else "–")]]

    loggers = [(ours, peer) for ours in ("hydrant, ring", "hydrant, socket")
               for peer in ("rsyslog", "syslog-ng")]
    found = []
    for what, *asked, params in (
            *((what, "transports", "cost_ns", ours, peer, " ns", False, 1.0,
               {"bytes": 64, "producers": 1})
              for what, ours in (("64 B by ring, its time that of arrival", "ring-untimed"),
                                 ("64 B by ring, with the coarse clock", "ring"))
              for peer in ("unix", "lttng")),
            ("64 B events from one producer", "transports", "throughput", "ring", "unix-64k",
             " M/s", True, 1e-6, {"bytes": 64, "producers": 1}),
            *(("200 B lines into files, " + ours.partition(", ")[2], "agents", "events", ours, peer,
               " M/s", True, 1.0, {"bytes": 200})
              for ours, peer in loggers),
            *(("CPU s a million of them, " + ours.partition(", ")[2], "agents", "cpu", ours, peer,
               "", False, 1.0, {"bytes": 200})
              for ours, peer in loggers)):
        found += [[what, *cells] for cells in versus(*asked, **params)]
    for r in results.find("encoders", "rate ratio"):
        if "duckdb" in r["params"]["versus"]:
            ours = results.one("encoders", "rate", name=r["name"])
            found.append([r["name"].replace("/", " to ") + ", one core",
                          spread(ours) + " M rows/s", "DuckDB: %s times" % spread(r)])
    lost = [(name, results.one("kill", "lost", name=name)) for name in
            names(results.find("kill", "lost"))]
    if lost:
        found.append(["kill -9 under load, lost", "; ".join(
            "%s %s" % (name.partition(", ")[2], spread(r)) for name, r in lost
            if name.startswith("hydrant")), "; ".join(
                "%s %s" % (name, spread(r)) for name, r in lost if not name.startswith("hydrant"))])
    return found


def readme_section(results, folder):
    dates = sorted(part["date"][:10] for part in results.parts.values())
    when = dates[0] if dates[0] == dates[-1] else "%s to %s" % (dates[0], dates[-1])
    pictures = {"agents-rate": "Events a second by receiver",
                "transports-cost": "What an event costs its producer, by transport",
                "scaling": "CPU of an event by number of streams, partitions, rings, producers"}
    behind = losses(results)
    return "\n".join([
        BEGIN,
        "Beside others on the same machine, `make bench-peers`, %s, %s%s; medians (least–most):\n"
        % (when, machine_text(results.machine),
           ", **which had other work to do: ratios mean more than figures**" if results.busy() else ""),
        table(["what", "Hydrant", "beside it, same run"], headline(results)),
        *("![%s](benchmarks/results/%s.svg)\n" % (text, name) for name, text in pictures.items()
          if os.path.exists(os.path.join(folder, name + ".svg"))),
        *("Where others are ahead, by medians: %s.\n" % "; ".join(
            "%s, %s beside %s: %s" % (theirs, what, ours, better)
            for what, ours, _, theirs, _, better in behind[:3]) for _ in behind[:1]),
        "All tables and plots, and all that we lose at: "
        "[benchmarks/results](benchmarks/results/results.md).",
        END])


def replaced(text, section):
    """The README with the section between its markers."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit("peers: README.md lacks the lines\n%s\n%s" % (BEGIN, END))
    return before + section + after
