"""programs: the benchmarks in C whose lines are taken over: transports, encoders, the log.

Each command is one turn; those whose lines do not say what each round has found measure one round.
"""
import json
import os
import subprocess

from .receivers import BUILD, ROOT, version_of
from .results import from_harness, from_transports

TRANSPORTS = os.path.join(BUILD, "benchmarks", "transports", "transports_bench")
FORMATS = os.path.join(BUILD, "benchmarks", "encode", "formats_bench")
LOG = os.path.join(BUILD, "benchmarks", "wal", "wal_writer_bench")


def relative(command):
    return " ".join([os.path.relpath(command[0], ROOT), *command[1:]])


def run(say, command):
    """What a program prints; its words on standard error go where ours go."""
    say("running " + relative(command))
    done = subprocess.run(command, stdout=subprocess.PIPE, check=False)
    if done.returncode != 0:
        raise SystemExit("peers: %s ended with %d" % (command[0], done.returncode))
    return done.stdout.decode("utf-8")


def transports_command(quick):
    return [TRANSPORTS, *(["--quick"] if quick else ["--runs", "1"])]


def encoders_command(quick):
    return [FORMATS, "--json", "--rows", "100000" if quick else "1000000", "--runs", "1"]


def log_command(quick):
    return [LOG, "--json", "--seconds", "1" if quick else "3", "--runs", "1"]


def transports(say, command):
    return from_transports(run(say, command))


def harness(say, part, command, folder):
    return from_harness(part, run(say, [*command, "--dir", folder]))


def duckdb_version():
    path = os.path.join(ROOT, "tests", "node", "node_modules", "@duckdb", "node-api",
                        "package.json")
    if not os.path.exists(path):
        return {}
    with open(path, encoding="utf-8") as file:
        return {"DuckDB": json.load(file)["version"]}


def fio_version():
    return {"fio": version_of(["fio", "--version"])}
