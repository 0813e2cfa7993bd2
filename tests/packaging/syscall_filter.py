"""syscall_filter: the SystemCallFilter= of a unit as a program for seccomp, without systemd.

Sets are as systemd-analyze of this host has them, numbers as the C library's header does.

Usage: syscall_filter.py FILE PROGRAM [ARGUMENT...]     (what program() has made; runs within it)
"""
import ctypes
import os
import re
import struct
import subprocess
import sys

ARCHITECTURES = {"x86_64": 0xc000003e, "aarch64": 0xc00000b7}       # AUDIT_ARCH_*
ALLOW, ERRNO = 0x7fff0000, 0x00050000
LOAD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
NUMBER_AT, ARCHITECTURE_AT = 0, 4           # in struct seccomp_data
EPERM = 1
PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 22, 2

# What systemd always lets through, so that a filter can be put in place and a program begin.
ALWAYS = {"execve", "exit", "exit_group", "getrlimit", "rt_sigreturn", "sigreturn"}


def _output(*command, text=""):
    return subprocess.run(command, input=text, stdout=subprocess.PIPE, encoding="utf-8",
                          check=True).stdout


def _sets():
    sets, name = {}, None
    for line in _output("systemd-analyze", "syscall-filter").splitlines():
        line = re.sub(r"\x1b\[[0-9;]*m", "", line)
        if line.startswith("@"):
            name = line.strip()
            sets[name] = []
        elif name and line.startswith("    ") and not line.strip().startswith("#"):
            sets[name].append(line.strip())
    return sets


def _expand(words, sets):
    found = set()
    for word in words:
        found |= _expand(sets[word], sets) if word.startswith("@") else {word}
    return found


def allowed(unit):
    """Names: the first line of the unit allows, those with ~ take away."""
    sets = _sets()
    names = ALWAYS | _expand(["@default"], sets)
    for words in re.findall(r"^SystemCallFilter=(.*)", unit, re.M):
        if words.startswith("~"):
            names -= _expand(words[1:].split(), sets)
        else:
            names |= _expand(words.split(), sets)
    return names


def program(unit, machine):
    """Bytes for seccomp: EPERM for every other system call."""
    defined = dict(re.findall(r"^#define __NR_(\w+) (\d+)$", _output(
        "gcc", "-E", "-dM", "-", text="#include <asm/unistd.h>\n"), re.M))
    code = [(LOAD, 0, 0, ARCHITECTURE_AT), (JUMP_IF_EQUAL, 1, 0, ARCHITECTURES[machine]),
            (RETURN, 0, 0, ERRNO | EPERM), (LOAD, 0, 0, NUMBER_AT)]
    for name in sorted(allowed(unit)):
        if name in defined:
            code += [(JUMP_IF_EQUAL, 0, 1, int(defined[name])), (RETURN, 0, 0, ALLOW)]
    code.append((RETURN, 0, 0, ERRNO | EPERM))
    return b"".join(struct.pack("=HBBI", *one) for one in code)


def main():
    with open(sys.argv[1], "rb") as file:
        code = file.read()
    buffer = ctypes.create_string_buffer(code, len(code))
    prog = struct.pack("@HP", len(code) // 8, ctypes.addressof(buffer))    # struct sock_fprog
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, prog, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "seccomp")
    os.execvp(sys.argv[2], sys.argv[2:])


if __name__ == "__main__":
    main()
