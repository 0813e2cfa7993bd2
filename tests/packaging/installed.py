"""installed: `make install` into a scratch root, once for a program of tests, and what runs there.

Variables: none; the build is build/release, as HYDRANT_BIN is a matter of the agent's own tests.
"""
import atexit
import os
import shutil
import subprocess
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_made = {}


def run(*command, **options):
    """What it prints; a failure shows all of it."""
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "encoding": "utf-8",
               "errors": "replace", "cwd": ROOT, "check": False, "timeout": 120,
               **options}
    done = subprocess.run(command, **options)
    if done.returncode != 0:
        raise AssertionError("%s: exit code %d\n%s"
                             % (" ".join(command), done.returncode, done.stdout))
    return done.stdout


def make(*arguments):
    """The tree's make, without what a make that runs this test has said to its children."""
    environment = {name: value for name, value in os.environ.items()
                   if name not in ("MAKEFLAGS", "MAKELEVEL", "MODE", "MFLAGS")}
    return run("make", "--no-print-directory", *arguments, env=environment)


def destination():
    """The scratch root, with everything in PREFIX=/usr."""
    if "path" not in _made:
        _made["path"] = tempfile.mkdtemp(prefix="hydrant-installed-", dir="/var/tmp")
        atexit.register(shutil.rmtree, _made["path"], True)
        os.chmod(_made["path"], 0o755)      # others run what is in it, too
        make("install", "DESTDIR=" + _made["path"], "PREFIX=/usr")
    return _made["path"]


def path(*parts):
    return os.path.join(destination(), *parts)


def read(*parts):
    with open(path(*parts), encoding="utf-8") as file:
        return file.read()


def compile_environment():
    """Where pkg-config finds the library in the scratch root, and nothing of it elsewhere."""
    return {**os.environ, "PKG_CONFIG_LIBDIR": path("usr/lib/pkgconfig"),
            "PKG_CONFIG_SYSROOT_DIR": destination(), "PKG_CONFIG_ALLOW_SYSTEM_CFLAGS": "1",
            "PKG_CONFIG_ALLOW_SYSTEM_LIBS": "1"}


def run_environment(**more):
    return {**os.environ, "LD_LIBRARY_PATH": path("usr/lib"), **more}
