"""python_case: what the tests of the client for Python have in common.

The package is that of the build which HYDRANT_BIN names (`make python`), the agent and its
directories are those of tests/e2e.
"""
import os
import subprocess
import sys

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(TESTS, "e2e"))

from harness import DEADLINE_S, HYDRANT, ROOT, Agent, Case, batches, until    # noqa: E402,F401

PACKAGE = os.path.join(os.path.dirname(HYDRANT), "python")
if not os.path.exists(os.path.join(PACKAGE, "hydrant", "_hydrant.abi3.so")):
    PACKAGE = os.path.join(ROOT, "build", "release", "python")     # HYDRANT_BIN is build/hydrant
sys.path.insert(0, PACKAGE)

import hydrant                                                      # noqa: E402


class PythonCase(Case):
    def start(self, config=""):
        self.agent = Agent(self, config).start()
        return self.agent

    def setUp(self):
        super().setUp()
        self.clients = []

    def client(self, **options):
        client = hydrant.Client(**{"shm_dir": self.shm, **options})
        self.addCleanup(client.close)
        self.clients.append(client)
        return client

    def finish(self):
        """Nothing is left of the rings, nor in the agent."""
        for client in self.clients:
            client.close()
        self.agent.stop()

    def python(self, program, *arguments, code=0, **env):
        """Runs a program with the package, to its end; what it printed."""
        child = self.popen([sys.executable, "-c", program, *arguments], stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, text=True,
                           env={**os.environ, "PYTHONPATH": PACKAGE, "HYDRANT_SHM_DIR": self.shm,
                                **env})
        out, err = child.communicate(timeout=DEADLINE_S)
        self.assertEqual(child.returncode, code, err)
        return out


def in_child(function):
    """Runs it in a child of fork; its exit code, 1 when it raised."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            function()
            code = 0
        except BaseException as error:
            print("in the child: %r" % error, file=sys.stderr)
        finally:
            sys.stderr.flush()
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
