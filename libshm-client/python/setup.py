"""Builds the extension: pip install libshm-client/python, or with --no-build-isolation offline.

The client library is compiled in, from the folder above. With HYDRANT_SYSTEM_LIBRARY=1, or without
that folder, the extension is linked with the installed libshm-client.
"""
import glob
import os
import re

from setuptools import Extension, setup

os.chdir(os.path.dirname(os.path.abspath(__file__)))
TREE = os.path.join("..", "..")
HEADER = os.path.join(TREE, "include", "shm_client.h")
IN_TREE = os.path.exists(HEADER) and os.environ.get("HYDRANT_SYSTEM_LIBRARY") != "1"


def version():
    """The library's, of the header that is compiled against."""
    for path in (HEADER, "/usr/include/shm_client.h", "/usr/local/include/shm_client.h"):
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                return re.search(r'#define SHMC_VERSION "(.*)"', file.read())[1]
    raise SystemExit("shm_client.h is not to be found: install libshm-client-dev, or build this "
                     "in Hydrant's source tree")


setup(version=version(), ext_modules=[Extension(
    "hydrant._hydrant",
    sources=sorted(glob.glob("src/*.c"))
    + (sorted(glob.glob(os.path.join("..", "*.c"))) if IN_TREE else []),
    depends=["src/module.h"],
    include_dirs=[os.path.join(TREE, "include"), ".."] if IN_TREE else [],
    libraries=[] if IN_TREE else ["shm-client"],
    define_macros=[("Py_LIMITED_API", "0x030b0000")],
    extra_compile_args=["-std=gnu11", "-fvisibility=hidden"],
    py_limited_api=True)],
    options={"bdist_wheel": {"py_limited_api": "cp311"}})
