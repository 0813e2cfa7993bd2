/*
 * file: the synchronous calls of file.h over the kernel. Guarded mappings are in guard.c.
 *
 * Owns:   nothing.
 * Thread: any; no state.
 * Units:  bytes; errors are -errno.
 */
#include "io/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/invariant.h"

_Static_assert((int)FILE_CWD == AT_FDCWD, "FILE_CWD is AT_FDCWD");

/* What one watch_read or bell_drain takes at most; the descriptor stays readable for the rest. */
enum { WATCH_READS_MAX = 64, BELL_DATAGRAMS_MAX = 1024 };

int file_open(int dir, const char *path, int flags, mode_t mode)
{
    int fd;

    do {
        fd = openat(dir, path, flags | O_CLOEXEC, mode);
    } while (fd < 0 && errno == EINTR);
    return fd < 0 ? -errno : fd;
}

int file_open_direct(int dir, const char *path, int flags, mode_t mode, bool *ret_direct)
{
    int fd = file_open(dir, path, flags, mode);
    int now;

    if (fd < 0)
        return fd;
    /* Switched on afterwards: open(2) with O_CREAT and a refused O_DIRECT fails, yet creates. */
    now = fcntl(fd, F_GETFL);
    if (now < 0) {
        int err = -errno;

        close(fd);
        return err;
    }
    *ret_direct = fcntl(fd, F_SETFL, now | O_DIRECT) == 0;
    return fd;
}

int file_open_beneath(int dir, const char *name)
{
    struct open_how how = {
        .flags = O_RDWR | O_NONBLOCK | O_NOCTTY | O_CLOEXEC,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV,
    };
    struct stat st;
    int fd;

    do {
        fd = (int)syscall(SYS_openat2, dir, name, &how, sizeof(how));
    } while (fd < 0 && errno == EINTR);
    if (fd < 0)
        return errno == EISDIR ? -ENXIO : -errno;
    /* A FIFO or a device opens without complaint. */
    if (fstat(fd, &st) != 0) {
        int err = -errno;

        close(fd);
        return err;
    }
    if (!S_ISREG(st.st_mode)) {
        close(fd);
        return -ENXIO;
    }
    return fd;
}

void file_close(int fd)
{
    /* On Linux the descriptor is gone whatever close() says; what matters was synced before. */
    if (fd >= 0)
        close(fd);
}

static void stat_fill(const struct stat *st, struct file_stat *ret_stat)
{
    ret_stat->dev = st->st_dev;
    ret_stat->ino = st->st_ino;
    ret_stat->size_bytes = (uint64_t)st->st_size;
    ret_stat->allocated_bytes = (uint64_t)st->st_blocks * 512;
    ret_stat->mode = st->st_mode;
    ret_stat->uid = st->st_uid;
    ret_stat->gid = st->st_gid;
    ret_stat->nlink = (uint32_t)st->st_nlink;
}

int file_stat(int fd, struct file_stat *ret_stat)
{
    struct stat st;

    if (fstat(fd, &st) != 0)
        return -errno;
    stat_fill(&st, ret_stat);
    return 0;
}

int file_stat_at(int dir, const char *name, struct file_stat *ret_stat)
{
    struct stat st;

    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return -errno;
    stat_fill(&st, ret_stat);
    return 0;
}

int file_fs(int fd, struct file_fs *ret_fs)
{
    struct statfs fs;
    uint64_t unit;

    if (fstatfs(fd, &fs) != 0)
        return -errno;
    unit = (uint64_t)(fs.f_frsize != 0 ? fs.f_frsize : fs.f_bsize);
    ret_fs->tmpfs = fs.f_type == TMPFS_MAGIC;
    ret_fs->total_bytes = fs.f_blocks * unit;
    ret_fs->free_bytes = fs.f_bavail * unit;
    if (fs.f_blocks == 0)               /* a tmpfs without a limit, some network file systems */
        ret_fs->total_bytes = ret_fs->free_bytes = UINT64_MAX;
    return 0;
}

ssize_t file_read(int fd, void *buf, size_t len, uint64_t offset)
{
    size_t done = 0;

    while (done < len) {
        ssize_t n = pread(fd, (uint8_t *)buf + done, len - done, (off_t)(offset + done));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        done += (size_t)n;
    }
    return (ssize_t)done;
}

int file_write(int fd, const void *buf, size_t len, uint64_t offset)
{
    size_t done = 0;

    while (done < len) {
        ssize_t n = pwrite(fd, (const uint8_t *)buf + done, len - done, (off_t)(offset + done));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            return -EIO;
        done += (size_t)n;
    }
    return 0;
}

int file_truncate(int fd, uint64_t size_bytes)
{
    int rc;

    do {
        rc = ftruncate(fd, (off_t)size_bytes);
    } while (rc != 0 && errno == EINTR);
    return rc != 0 ? -errno : 0;
}

int file_allocate(int fd, uint64_t offset, uint64_t len)
{
    int rc;

    /* posix_fallocate writes where the file system has no call for it: the promise is the space. */
    do {
        rc = posix_fallocate(fd, (off_t)offset, (off_t)len);
    } while (rc == EINTR);
    return -rc;
}

int file_own(int fd, gid_t gid, mode_t mode)
{
    if (fchown(fd, (uid_t)-1, gid) != 0 || fchmod(fd, mode) != 0)
        return -errno;
    return 0;
}

int file_sync(int fd)
{
    return fsync(fd) != 0 ? -errno : 0;
}

int file_mkdir(int dir, const char *name, mode_t mode)
{
    struct stat st;

    if (mkdirat(dir, name, mode) == 0)
        return 0;
    if (errno != EEXIST)
        return -errno;
    if (fstatat(dir, name, &st, 0) != 0)
        return -errno;
    return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
}

int file_rmdir(int dir, const char *name)
{
    return unlinkat(dir, name, AT_REMOVEDIR) != 0 ? -errno : 0;
}

int file_rename(int from_dir, const char *from, int to_dir, const char *to)
{
    return renameat2(from_dir, from, to_dir, to, RENAME_NOREPLACE) != 0 ? -errno : 0;
}

int file_replace(int from_dir, const char *from, int to_dir, const char *to)
{
    return renameat(from_dir, from, to_dir, to) != 0 ? -errno : 0;
}

int file_link(int from_dir, const char *from, int to_dir, const char *to)
{
    return linkat(from_dir, from, to_dir, to, 0) != 0 ? -errno : 0;
}

int file_unlink(int dir, const char *name)
{
    return unlinkat(dir, name, 0) != 0 ? -errno : 0;
}

/* The listing is the C library's stream under another name. */
int file_listing_open(int dir, struct file_listing **ret_listing)
{
    /* A description of its own: the caller's keeps its offset, and nested lists don't disturb. */
    int fd = file_open(dir, ".", O_RDONLY | O_DIRECTORY, 0);
    DIR *stream;

    *ret_listing = NULL;
    if (fd < 0)
        return fd;
    stream = fdopendir(fd);
    if (stream == NULL) {
        int rc = -errno;

        close(fd);
        return rc;
    }
    *ret_listing = (struct file_listing *)stream;
    return 0;
}

int file_listing_step(struct file_listing *listing, file_visit_fn visit, void *ctx)
{
    int rc = 0;

    while (rc == 0) {
        struct dirent *entry;

        errno = 0;
        entry = readdir((DIR *)listing);
        if (entry == NULL)
            return -errno;
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            rc = visit(ctx, entry->d_name);
    }
    return rc;
}

void file_listing_close(struct file_listing *listing)
{
    if (listing != NULL)
        closedir((DIR *)listing);
}

int file_list(int dir, file_visit_fn visit, void *ctx)
{
    struct file_listing *listing;
    int rc = file_listing_open(dir, &listing);

    if (rc == 0)
        rc = file_listing_step(listing, visit, ctx);
    file_listing_close(listing);
    return rc;
}

int file_lock(int fd, bool wait)
{
    int rc;

    do {
        rc = flock(fd, LOCK_EX | (wait ? 0 : LOCK_NB));
    } while (rc != 0 && errno == EINTR);
    return rc != 0 ? -errno : 0;
}

int file_lock_probe(int fd)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    if (fcntl(fd, F_OFD_GETLK, &lock) != 0)
        return -errno;
    return lock.l_type != F_UNLCK;
}

int file_lock_as_producer(int fd)
{
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    return fcntl(fd, F_OFD_SETLK, &whole) != 0 ? -errno : 0;
}

int file_watch_open(const char *dir_path)
{
    int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);

    if (fd < 0)
        return -errno;
    if (inotify_add_watch(fd, dir_path, IN_CREATE | IN_MOVED_TO | IN_CLOSE_WRITE | IN_DELETE |
                          IN_MOVED_FROM | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR) < 0) {
        int err = -errno;

        close(fd);
        return err;
    }
    return fd;
}

static unsigned watch_events(uint32_t mask)
{
    unsigned events = 0;

    if (mask & (IN_CREATE | IN_MOVED_TO))
        events |= FILE_EVENT_ADDED;
    if (mask & IN_CLOSE_WRITE)
        events |= FILE_EVENT_CLOSED;
    if (mask & (IN_DELETE | IN_MOVED_FROM))
        events |= FILE_EVENT_REMOVED;
    /* The directory itself is gone or elsewhere: nothing short of a look at it helps. */
    if (mask & (IN_Q_OVERFLOW | IN_IGNORED | IN_UNMOUNT | IN_DELETE_SELF | IN_MOVE_SELF))
        events |= FILE_EVENT_OVERFLOW;
    return events;
}

int file_watch_read(int watch, file_event_fn on_event, void *ctx)
{
    _Alignas(struct inotify_event) char buf[16384];
    int count = 0;

    for (int i = 0; i < WATCH_READS_MAX; i++) {
        ssize_t n = read(watch, buf, sizeof(buf));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            break;
        if (n < 0)
            return -errno;
        for (ssize_t at = 0; at < n; count++) {
            const struct inotify_event *event = (const void *)(buf + at);
            unsigned events = watch_events(event->mask);

            on_event(ctx, events, events & FILE_EVENT_OVERFLOW ? NULL : event->name);
            at += (ssize_t)(sizeof(*event) + event->len);
        }
    }
    return count;
}

int file_bell_open(const char *dir_path, const char *name)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    struct stat st;
    int n = snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/%s", dir_path, name);
    int fd, rc;

    if (n < 0 || (size_t)n >= sizeof(addr.sun_path))
        return -ENAMETOOLONG;
    /* A dead agent's: the caller holds the directory's lock, so no living one uses it. */
    if (lstat(addr.sun_path, &st) == 0 && !S_ISDIR(st.st_mode) && unlink(addr.sun_path) != 0)
        return -errno;
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (bind(fd, (const struct sockaddr *)&addr, sizeof(addr)) != 0 ||
        chmod(addr.sun_path, 0666) != 0) {
        rc = -errno;
        close(fd);
        return rc;
    }
    return fd;
}

int file_bell_drain(int bell)
{
    int count = 0;
    char byte;

    while (count < BELL_DATAGRAMS_MAX) {
        ssize_t n = recv(bell, &byte, sizeof(byte), MSG_DONTWAIT | MSG_TRUNC);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            break;
        if (n < 0)
            return -errno;
        count++;
    }
    return count;
}

void file_futex_wake(_Atomic uint32_t *word)
{
    /* Not the private kind: the waiter is another process. No page (-EFAULT): it is gone. */
    syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

void file_random(void *buf, size_t len)
{
    size_t done = 0;

    while (done < len) {
        ssize_t n = getrandom((uint8_t *)buf + done, len - done, 0);

        INVARIANT(n >= 0 || errno == EINTR);
        if (n > 0)
            done += (size_t)n;
    }
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return -1;
}

int file_boot_id(uint8_t ret_id[16])
{
    char text[64];
    int fd = file_open(FILE_CWD, "/proc/sys/kernel/random/boot_id", O_RDONLY, 0);
    size_t digits = 0;
    ssize_t n;

    if (fd < 0)
        return fd;
    n = file_read(fd, text, sizeof(text), 0);
    close(fd);
    if (n < 0)
        return (int)n;
    memset(ret_id, 0, 16);
    for (ssize_t i = 0; i < n && digits < 32; i++) {
        int digit = hex_digit(text[i]);

        if (digit < 0)                  /* the dashes of a UUID */
            continue;
        ret_id[digits / 2] = (uint8_t)((ret_id[digits / 2] << 4) | digit);
        digits++;
    }
    return digits == 32 ? 0 : -EBADMSG;
}
