"""etc/examples: each is built, run against an agent, and what it wrote is looked at."""
import csv
import os
import shutil
import subprocess
import sys
import unittest

from python_case import DEADLINE_S, PACKAGE, PythonCase, ROOT, batches
from format_files import node_install, rows_by_folder, rows_of

EXAMPLES = os.path.join(ROOT, "etc", "examples")
WARNINGS = ["-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror"]


class Examples(PythonCase):
    @classmethod
    def setUpClass(cls):
        node_install()

    def run_here(self, *command, **env):
        child = self.popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                           cwd=self.dir, env={**os.environ, "PYTHONPATH": PACKAGE, "HYDRANT":
                                              self.hydrant, "HYDRANT_SHM_DIR": self.shm,
                                              "HYDRANT_HTTP": self.agent.http(), **env})
        out, err = child.communicate(timeout=DEADLINE_S)
        self.assertEqual(child.returncode, 0, err)
        return out

    def example(self, name, *arguments):
        """Runs one; those in C and C++ are built first, with the library of the release build."""
        path = os.path.join(EXAMPLES, name)
        if name.endswith((".c", ".cpp")):
            library = os.path.join(ROOT, "build", "release", "libshm-client.a")
            compiler = ["gcc", "-std=gnu11"] if name.endswith(".c") else ["g++", "-std=c++17"]
            self.run_here(*compiler, *WARNINGS, "-I" + os.path.join(ROOT, "include"), path, library,
                          "-o", self.path("program"))
            path = self.path("program")
        return self.run_here(*([sys.executable] if name.endswith(".py") else []), path, *arguments)

    def rows(self, *streams):
        """The rows of streams, when all is in files."""
        self.finish()
        return [rows_of(os.path.join(self.agent.out, stream)) for stream in streams]

    def test_events_c(self):
        self.start()
        self.assertEqual(self.example("events.c"), "11 events are committed\n")
        rows, = self.rows("orders")
        self.assertEqual(rows, [[["order", n], ["state", "paid"]] for n in range(1, 11)]
                         + [[["order", 1], ["state", "shipped"]]])

    def test_records_c(self):
        self.start("[stream payments]\nformat = parquet\n")
        self.example("records.c")
        rows, = self.rows("payments")
        self.assertEqual([[dict(row)[key] for key in ("user", "country", "amount", "fee")]
                          for row in rows], [["ada", "DE", n + 0.5, None] for n in range(10)])

    def test_events_cpp(self):
        self.start()
        self.assertIn("Message too long", self.example("events.cpp"))
        log, readings = self.rows("log", "readings")
        self.assertEqual([row[-1][1] for row in log], ["started", "ready", "3 lines"])
        self.assertEqual([dict(row)["value"] for row in readings], [n / 2 for n in range(10)])

    def test_events_py(self):
        self.start()
        self.assertIn("'events': 9", self.example("events.py"))
        clicks, visits = self.rows("clicks", "visits")
        self.assertEqual(sorted(row[0][1] for row in clicks if row[0][0] == "thread"), [0, 1, 2, 3])
        self.assertIn([["user", "ada"], ["page", "/"]], clicks)
        self.assertEqual([dict(row)["page"] for row in visits], ["/", "/about"])

    def test_log_py(self):
        self.start()
        self.example("log.py")
        rows, = self.rows("app-log")
        self.assertEqual([dict(row)["message"] for row in rows], ["ready", "it failed"])
        self.assertEqual(dict(rows[0])["port"], 8080)
        self.assertIn("KeyError", dict(rows[1])["exception"])

    def test_firehose_py(self):
        self.start("[http]\nfile_roots = %s\n" % self.dir)
        self.example("firehose.py", self.path("orders"))
        found = rows_by_folder(self.path("orders"))
        self.assertEqual(sorted(found), ["country=DE", "country=FR"])
        self.assertEqual([row for row in found["country=FR"]],
                         [[["order", str(n)]] for n in range(0, 20, 2)])
        self.finish()

    def test_lines_py_and_lines_sh(self):
        if not shutil.which("nc"):
            self.skipTest("nc is not installed")
        port, unix = self.port_hold(), self.path("socket")
        self.start("[intake]\ntcp = 127.0.0.1:%d\nunix = %s\n" % (port, unix))
        self.example("lines.py", "tcp://127.0.0.1:%d" % port)
        self.example("lines.sh", "127.0.0.1", str(port), unix)
        remote, shell = self.rows("remote", "shell")
        self.assertEqual(remote, [[["number", n]] for n in range(10)])
        self.assertEqual(sorted(map(str, shell)), sorted(map(str, [
            [["by", "tcp"], ["n", 1]], [["message", "any text"]], [["by", "gzip"], ["n", 2]],
            [["by", "unix"], ["n", 3]]])))

    def test_send_sh(self):
        self.start()
        self.example("send.sh")
        rows, = self.rows("numbers")
        self.assertEqual(rows, [[["n", n]] for n in range(1, 1001)])

    def test_http_sh(self):
        if not shutil.which("curl"):
            self.skipTest("curl is not installed")
        self.start()
        self.assertIn('"accepted": 2', self.example("http.sh"))
        found = [os.path.join(self.agent.out, "web", name)
                 for name in batches(os.path.join(self.agent.out, "web"))]
        rows = []
        for path in found:
            with open(path, encoding="utf-8", newline="") as file:
                rows += list(csv.reader(file))[1:]
        self.assertEqual(rows, [["/", "12"], ["/a", "3"], ["/b", "4"]])
        self.finish()

    def test_all_are_tested_and_listed(self):
        names = sorted(os.listdir(EXAMPLES))
        with open(os.path.join(EXAMPLES, "README.md"), encoding="utf-8") as file:
            listed = file.read()
        with open(__file__, encoding="utf-8") as file:
            tested = file.read()
        for name in names:
            if name != "README.md":
                self.assertIn("[%s](%s)" % (name, name), listed)
                self.assertIn('self.example("%s"' % name, tested)


if __name__ == "__main__":
    unittest.main()
