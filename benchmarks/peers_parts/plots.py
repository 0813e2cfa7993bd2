"""plots: gnuplot scripts of two kinds, lines over a scale and bars beside names, SVG and PNG.

Opaque white ground and colours that differ in lightness too, so that they read on light and dark
pages and without colour. Lines and bars carry their names; error bars are the least and the most.
"""
import math
import os
import subprocess

COLOURS = ("#0b5fb0", "#c8501e", "#2c7d38", "#8a3ab0", "#a8780a", "#00808a", "#b02a60", "#5a5a5a",
           "#6b8e23", "#484a9c", "#8b4513", "#d07090", "#3f6f8f", "#101010")
OURS, THEIRS, FLOOR = "#0b5fb0", "#b4541f", "#8c8c8c"
WIDTH, HEIGHT = 960, 560
HEAD = """set encoding utf8
set border 3 lc rgb "#303030"
set tics nomirror textcolor rgb "#303030"
set grid ytics lc rgb "#d8d8d8" lw 1
set title font ",17" textcolor rgb "#101010"
set bars small
unset key
"""


def quoted(text):
    return '"' + str(text).replace("\\", "\\\\").replace('"', '\\"').replace("_", "\\_") + '"'


def bounds(values, log):
    """Of a scale with some room at its ends; 0 is on it unless it is logarithmic."""
    low, high = min(values), max(values)
    if not log:
        return 0, high * 1.12
    low = min((value for value in values if value > 0), default=1.0)    # 0 is nowhere on it
    room = max(high / low, 3) ** 0.08
    return low / room, max(high, low) * room


def apart(wanted, least):
    """Places as near to the wanted ones as lets neighbours be so far apart; all within 0 to 1."""
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    places = [wanted[i] for i in order]
    for _ in range(200):
        for i in range(len(places) - 1):
            close = least - (places[i + 1] - places[i])
            if close > 1e-9:
                places[i] -= close / 2
                places[i + 1] += close / 2
        places = [min(max(place, 0.0), 1.0) for place in places]
    found = [0.0] * len(wanted)
    for i, place in zip(order, places):
        found[i] = place
    return found


def lines(title, xlabel, ylabel, series, ticks=None, log=True):
    """series: name -> [(x, median, least, most)]. ticks: text by x, which is then no scale."""
    points = [point for found in series.values() for point in found]
    low, high = bounds([value for _, *three in points for value in three], log)
    script = [HEAD, "set title %s" % quoted(title), "set xlabel %s" % quoted(xlabel),
              "set ylabel %s" % quoted(ylabel), "set yrange [%g:%g]" % (low, high),
              "set rmargin 18"]
    if log:
        script += ["set logscale y", 'set format y "%s"' % ("%.0s%c" if high >= 1e4 else "%g")]
    xs = sorted({x for x, *_ in points})
    if ticks:
        script += ["set xrange [%g:%g]" % (min(xs) - 0.2, max(xs) + 0.05),
                   "set xtics (%s)" % ", ".join("%s %d" % (quoted(t), x) for x, t in ticks.items())]
    else:
        script += ["set logscale x", "set xrange [%g:%g]" % (min(xs) * 0.9, max(xs) * 1.05),
                   "set xtics (%s)" % ", ".join('"{0:,}" {0}'.format(x) for x in xs)]

    def place(y):
        return (math.log(max(y, low) / low) / math.log(high / low)) if log else (y - low) / (high - low)

    labels = apart([place(found[-1][1]) for found in series.values()], 0.045)
    plots = []
    for i, (name, found) in enumerate(series.items()):
        colour = COLOURS[i % len(COLOURS)]
        script += ["$d%d << EOD" % i,
                   *(" ".join("%.6g" % v for v in point) for point in found), "EOD",
                   "set label %d %s at graph 1, graph %.4f left offset 0.8,0 front "
                   "textcolor rgb \"%s\"" % (i + 1, quoted(name), labels[i], colour)]
        plots.append('$d%d with yerrorlines lw %g pt %d ps 1.1 lc rgb "%s"'
                     % (i, 3 if i == 0 else 1.6, (7, 5, 9, 11, 13)[i % 5], colour))
    return "\n".join(script) + "\nplot " + ", \\\n     ".join(plots) + "\n"


def step(high):
    """Between marks of a scale up to high, so that there are four to eight."""
    base = 10.0 ** math.floor(math.log10(high))
    return next(base * part for part in (0.1, 0.2, 0.25, 0.5, 1, 2) if high / (base * part) <= 6)


def bars(title, panels):
    """panels: [(heading, [(name, median, least, most, colour)])], beside each other."""
    script = [HEAD, "unset grid", "set grid xtics lc rgb \"#d8d8d8\" lw 1",
              "set multiplot layout 1,%d title %s font \",18\" textcolor rgb \"#101010\""
              % (len(panels), quoted(title)), "set style fill solid 0.9 noborder"]
    for i, (heading, found) in enumerate(panels):
        count, high = len(found), max(most for _, _, _, most, _ in found)
        script += ["$p%d << EOD" % i]
        script += ["%g %.6g %.6g %.6g %d %s" % (count - at, median, least, most,
                                                int(colour.lstrip("#"), 16), label(median))
                   for at, (_, median, least, most, colour) in enumerate(found)]
        script += ["EOD", "set title %s font \",15\"" % quoted(heading),
                   "set yrange [0.4:%g]" % (count + 0.6), "set xrange [0:%g]" % (high * 1.22),
                   "set ytics (%s) scale 0" % ", ".join(
                       "%s %d" % (quoted(name), count - at)
                       for at, (name, *_) in enumerate(found)),
                   "set xtics 0,%g" % step(high),
                   "plot $p%d using (0):1:(0):2:($1-0.31):($1+0.31):5 with boxxyerror "
                   "lc rgb variable, \\\n     $p%d using 2:1:3:4 with xerrorbars pt -1 lw 1.6 "
                   "lc rgb \"#202020\", \\\n     $p%d using 4:1:6 with labels left offset 0.7,0 "
                   "textcolor rgb \"#202020\"" % (i, i, i)]
    return "\n".join(script) + "\nunset multiplot\n"


def label(value):
    return "%.3g" % value if value < 1000 else "{:,.0f}".format(value)


def render(name, script, folder):
    """folder/name.svg and .png."""
    for kind, terminal, points in (("svg", "svg", 14), ("png", "pngcairo", 12)):
        text = ('set terminal %s size %d,%d enhanced font "DejaVu Sans,%d" background rgb '
                '"#ffffff"\nset output "%s"\n' % (terminal, WIDTH, HEIGHT, points,
                                       os.path.join(folder, name + "." + kind))) + script
        subprocess.run(["gnuplot"], input=text.encode("utf-8"), check=True)


def three(r, scale=1.0):
    return r["median"] * scale, r["min"] * scale, r["max"] * scale


def over(results, part, metric, key, scale=1.0, **params):
    """name -> points over a parameter, in order of first appearance."""
    series = {}
    for r in results.find(part, metric, **params):
        if r["median"] > 0 and key in r["params"]:
            series.setdefault(r["name"], []).append((r["params"][key], *three(r, scale)))
    return {name: sorted(points) for name, points in series.items()}


def colour_of(name):
    return OURS if name.startswith("hydrant") else \
        FLOOR if name in ("recv-write loop", "no agent") else THEIRS


def agent_panels(results, metric):
    return [("{:,} B lines".format(size),
             [(r["name"], *three(r), colour_of(r["name"]))
              for r in results.find("agents", metric, bytes=size)])
            for size in sorted({r["params"]["bytes"] for r in results.find("agents", metric)})]


def encoder_panel(results):
    found = []
    for r in results.find("encoders", "rate"):
        theirs = "duckdb" in r["name"] or r["name"].endswith("copy")
        name = r["name"].replace(".duckdb", "").replace("/", " → ")
        found.append((("DuckDB: " if "duckdb" in r["name"] else "plain copy: " if theirs else "")
                      + name, *three(r), THEIRS if theirs else OURS))
    return found


def latency_series(results):
    ranks = ("p50", "p90", "p99", "p999", "p9999")
    return {r["name"]: [(i, r[rank], r[rank], r[rank]) for i, rank in enumerate(ranks) if rank in r]
            for r in results.find("transports", "latency_ns") if r.get("p50", 0) > 0}


def scripts(results):
    """name -> script, of all that the results have rows for."""
    found = {}
    cost = over(results, "transports", "cost_ns", "bytes", producers=1)
    if cost:
        found["transports-cost"] = lines("What an event costs its producer", "event size, bytes",
                                         "nanoseconds, log scale", cost)
    rate = over(results, "transports", "throughput", "producers", 1e-6)
    rate = {name: points for name, points in rate.items() if len(points) > 1}
    if rate:
        found["transports-throughput"] = lines("64-byte events through one consumer", "producers",
                                               "million events a second, log scale", rate)
    latency = latency_series(results)
    if latency:
        found["transports-latency"] = lines(
            "Latency by percentile", "percentile", "nanoseconds, log scale", latency,
            ticks={0: "50", 1: "90", 2: "99", 3: "99.9", 4: "99.99"})
    if results.find("agents", "events"):
        found["agents-rate"] = bars("From one producer into files, million events a second",
                                    agent_panels(results, "events"))
        found["agents-cpu"] = bars("Receiver's CPU seconds per million events",
                                   agent_panels(results, "cpu"))
    if results.find("encoders", "rate"):
        found["encoders"] = bars("Rows into files on one core",
                                 [("million rows a second", encoder_panel(results))])
    if results.find("log", "rate"):
        found["log"] = bars("The log beside fio", [
            (heading, [(" ".join([r["name"].partition("/")[2], *map(str, r["params"].values())]),
                        *three(r), OURS if r["name"] == "log/writer" else THEIRS)
                       for r in results.find("log", metric)])
            for metric, heading in (("rate", "GB/s"), ("cpu", "CPU seconds per GB"))])
    for name, kinds, title in (
            ("scaling", ("streams", "partitions", "rings", "producers"),
             "Agent's CPU per 200-byte event, ring to files"),
            ("scaling-log", ("log",), "Agent's time per 200-byte event by size of the log")):
        series = {text: over(results, "scaling", metric, "n").get(kind)
                  for kind in kinds
                  for metric, text in ((("running", "running, CPU"), ("recovery", "start, elapsed"))
                                       if kind == "log" else (("cpu", kind),))}
        series = {text: points for text, points in series.items() if points}
        if series:
            found[name] = lines(title, "MiB in the log" if name == "scaling-log" else "number",
                                "nanoseconds", series, log=False)
    return found


def render_all(results, folder):
    for name, script in scripts(results).items():
        render(name, script, folder)
