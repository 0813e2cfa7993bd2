"""The package installs from the tree by pip, offline, and needs nothing of the tree after that."""
import os
import shutil
import subprocess
import sys
import unittest

from python_case import ROOT, PythonCase

PROGRAM = """if True:
    import hydrant, hydrant.logging, hydrant.minifirehose
    with hydrant.Client() as client:
        client.stream("s").write({"n": 1})
        print(hydrant.__file__, hydrant.__version__, client.stats()["events"])
"""


class Install(PythonCase):
    def test_pip_installs_it(self):
        # A copy, for building leaves files beside the sources.
        for folder in ("include", "libshm-client"):
            shutil.copytree(os.path.join(ROOT, folder), self.path("tree", folder))
        target = self.path("site")
        pip = subprocess.run(
            [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps",
             "--no-build-isolation", "--root-user-action=ignore", "--target", target,
             self.path("tree", "libshm-client", "python")],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=self.dir,
            env={**os.environ, "CFLAGS": "-O0", "TMPDIR": self.dir})
        self.assertEqual(pip.returncode, 0, pip.stdout)
        shutil.rmtree(self.path("tree"))
        extension, = [name for name in os.listdir(os.path.join(target, "hydrant"))
                      if name.endswith(".so")]
        self.assertEqual(extension, "_hydrant.abi3.so")
        self.assertLess({"py.typed", "_hydrant.pyi"}, set(os.listdir(os.path.dirname(
            os.path.join(target, "hydrant", extension)))))
        with open(os.path.join(ROOT, "include", "shm_client.h"), encoding="utf-8") as file:
            version = file.read().partition('#define SHMC_VERSION "')[2].partition('"')[0]
        self.assertEqual(self.python(PROGRAM, PYTHONPATH=target),
                         "%s/hydrant/__init__.py %s 1\n" % (target, version))


if __name__ == "__main__":
    unittest.main()
