"""disks: small file systems for tests: full ones, failing ones.

They are mounted in a mount namespace of this process, so none outlives it, however it ends. Root
may mount all; anybody else gets a user namespace with it, in which a tmpfs can be had. Skipped is
what cannot be mounted, and whoever counts skips as failures reads here what the host lacks.

Owns:   the namespace of the process; a test unmounts what it mounts (Case.end).
Units:  bytes; seconds.
"""
import ctypes
import errno
import fcntl
import os
import struct
import subprocess
import time

CLONE_NEWNS, CLONE_NEWUSER = 0x20000, 0x10000000
MS_RDONLY, MS_REMOUNT, MS_REC, MS_PRIVATE = 1, 32, 16384, 1 << 18
MNT_DETACH = 2
EXT4_IOC_SHUTDOWN = 0x8004587d          # _IOR('X', 125, __u32)
SHUTDOWN_DEFAULT, SHUTDOWN_NOLOGFLUSH = 0, 2
BUSY_S = 20         # writes of a killed process may still be on their way

libc = ctypes.CDLL(None, use_errno=True)
entered = False


def call(name, *arguments):
    if getattr(libc, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, "%s: %s" % (name, os.strerror(number)))


def namespace_enter():
    """Once a process. Identity stays; a child of somebody who is not root may not mount."""
    global entered
    if entered:
        return
    uid, gid = os.getuid(), os.getgid()
    call("unshare", CLONE_NEWNS | (0 if uid == 0 else CLONE_NEWUSER))
    if uid != 0:
        for name, text in (("setgroups", "deny"), ("uid_map", "%d %d 1" % (uid, uid)),
                           ("gid_map", "%d %d 1" % (gid, gid))):
            with open("/proc/self/" + name, "w", encoding="ascii") as file:
                file.write(text)
    try:
        call("mount", None, b"/", None, ctypes.c_ulong(MS_REC | MS_PRIVATE), None)
    except OSError as error:
        if error.errno != errno.EINVAL:     # in a chroot / is no mount: Case.end must do
            raise
    entered = True


def mounts_below(directory):
    with open("/proc/self/mounts", encoding="utf-8", errors="surrogateescape") as file:
        return [line.split()[1] for line in file if line.split()[1].startswith(directory)]


def unmount(place):
    """For good if that can be had in time, else by name only. True: for good."""
    end = time.monotonic() + BUSY_S
    while True:
        try:
            call("umount2", os.fsencode(place), 0)
            return True
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
        if time.monotonic() > end:
            call("umount2", os.fsencode(place), MNT_DETACH)
            return False
        time.sleep(0.02)


class Tmpfs:
    """A file system in memory: no journal, but full when it is full."""

    def __init__(self, case, name, size):
        self.place = case.path(name)
        os.mkdir(self.place)
        try:
            namespace_enter()
            call("mount", b"none", os.fsencode(self.place), b"tmpfs", 0, b"size=%d" % size)
        except OSError as error:
            case.skipTest("cannot mount a tmpfs: %s; it takes root, or user namespaces"
                          % error.strerror)

    def resize(self, size):
        call("mount", b"none", os.fsencode(self.place), None, ctypes.c_ulong(MS_REMOUNT),
             b"size=%d" % size)


class Ext4:
    """An ext4 in a file, by a loop device: it has a journal, and can be made to fail."""

    def __init__(self, case, name, size, options=""):
        self.case, self.options = case, options
        self.place = case.path(name)
        self.image = self.place + ".img"
        if os.getuid() != 0:
            case.skipTest("only root can mount an ext4")
        if not os.path.exists("/dev/loop-control"):
            case.skipTest("no /dev/loop-control: load the module loop, and let a container have "
                          "/dev/loop* (docker run --privileged -v /dev:/dev)")
        os.mkdir(self.place)
        with open(self.image, "wb") as file:
            file.truncate(size)
        namespace_enter()
        self.tool("mkfs.ext4", "-q", "-m", "0", self.image)
        self.mount()

    def tool(self, *words):
        try:
            done = subprocess.run(words, stderr=subprocess.PIPE, text=True)
        except FileNotFoundError:
            self.case.skipTest("no %s: install e2fsprogs and mount" % words[0])
        if done.returncode != 0:
            self.case.skipTest("%s: %s; it takes root with CAP_SYS_ADMIN and a free loop device"
                               % (" ".join(words), done.stderr.strip()))

    def mount(self):
        self.tool("mount", "-t", "ext4", "-o", ",".join(filter(None, ("loop", self.options))),
                  self.image, self.place)
        with open("/proc/self/mounts", encoding="utf-8") as file:
            self.device = next(line.split()[0] for line in file if line.split()[1] == self.place)

    def unmount(self):
        self.case.assertTrue(unmount(self.place), self.place + " stays busy")

    def read_only(self, on):
        call("mount", b"none", os.fsencode(self.place), None,
             ctypes.c_ulong(MS_REMOUNT | (MS_RDONLY if on else 0)), None)

    def shut_down(self, how):
        """Nothing reaches it any more, as if its disk were pulled; every call gets EIO."""
        fd = os.open(self.place, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.ioctl(fd, EXT4_IOC_SHUTDOWN, struct.pack("I", how))
        finally:
            os.close(fd)

    def error(self):
        """The file system finds an error in itself; with errors=remount-ro: EROFS from now on."""
        with open("/sys/fs/ext4/%s/trigger_fs_error" % os.path.basename(self.device), "w",
                  encoding="ascii") as file:
            file.write("1")


def fill(place, leave):
    """A foreign file takes all room but so many bytes; its path."""
    path = os.path.join(place, "filler")
    free = os.statvfs(place)
    with open(path, "wb") as file:
        os.posix_fallocate(file.fileno(), 0, free.f_bavail * free.f_frsize - leave)
    return path
