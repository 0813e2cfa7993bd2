/*
 * discover: which ring files are in shm_dir.
 *
 * Producers, of other users too when the directory has a group, may fill it with whatever they
 * like. So names are checked before anything else is done with them, what goes by the names of the
 * agent's own files is verified, and a scan is bounded in memory and in names per step.
 *
 * A scan makes one or more passes over the directory. A pass keeps the SCAN_NAMES_MAX smallest
 * valid names behind the last one handed out (a heap with the largest on top), so a scan needs no
 * stable order of the directory, skips nobody who stays and ends. Junk costs a look at its name.
 *
 * Owns:   the watch, the directory's descriptor, the lock and the bell in shm_dir.
 * Thread: shard.
 */
#include "ring/discover.h"

#include "base/invariant.h"
#include "ring/attach.h"
#include "shm_wire.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    SCAN_NAMES_MAX = 4096,      /* names of one pass */
    LEFTOVERS_MAX = 64,         /* build files looked at in one scan */
    LOCK_TRIES_MAX = 8,         /* planted or vanishing lock files, one each */
    MODE_OWNER = 0700,
    MODE_GROUP = 03773          /* others may add files, and do no more than that */
};

struct scan_name {
    char text[SHM_RING_NAME_MAX + 1];
};

/* A build file: its name has the dot in front. */
struct leftover {
    char name[SHM_RING_NAME_MAX + 2];
    uint64_t dev, ino, allocated_bytes;
};

struct discover {
    int dir, lock, watch, bell;             /* owned; -1: not open */
    bool scan_due;                          /* begin a scan when none is under way */
    bool scanning;
    bool scan_more;                         /* the last pass had to leave names out */
    struct scan_name scan_after;            /* the last pass took names behind this one */
    uint32_t names_count, names_next;
    uint32_t leftovers_count, found_count;
    struct leftover leftovers[LEFTOVERS_MAX];   /* with a free lock at the last scan */
    struct leftover found[LEFTOVERS_MAX];       /* of this scan */
    struct scan_name names[SCAN_NAMES_MAX];
};

static bool owner_trusted(uint32_t uid)
{
    return uid == 0 || uid == geteuid();
}

static int group_find(const char *name, gid_t *ret_gid, struct errmsg *err)
{
    struct group entry, *found = NULL;
    char text[16384], *end;
    unsigned long number;
    int res = getgrnam_r(name, &entry, text, sizeof(text), &found);

    if (found != NULL) {
        *ret_gid = found->gr_gid;
        return 0;
    }
    errno = 0;
    number = strtoul(name, &end, 10);
    if (name[0] >= '0' && name[0] <= '9' && *end == '\0' && errno == 0 && number < UINT32_MAX) {
        *ret_gid = (gid_t)number;
        return 0;
    }
    if (res != 0)
        return errmsg_set_errno(err, -res, "group '%s' cannot be looked up", name);
    return errmsg_set(err, -EINVAL, "no such group: '%s'", name);
}

/* The directory is on the kernel's tmpfs here, never simulated with a group: direct calls. */
static int dir_give_to_group(int dir, const char *group, struct errmsg *err)
{
    struct file_stat stat;
    gid_t gid;
    int res = group_find(group, &gid, err);

    if (res < 0)
        return res;
    res = file_stat(dir, &stat);
    if (res < 0)
        return errmsg_set_errno(err, res, "cannot be looked at");
    if (stat.gid == gid && (stat.mode & 07777) == MODE_GROUP)
        return 0;
    if (fchown(dir, (uid_t)-1, gid) != 0)
        return errmsg_set_errno(err, -errno, "cannot be given to group '%s'", group);
    if (fchmod(dir, MODE_GROUP) != 0)
        return errmsg_set_errno(err, -errno, "cannot be given mode %o", (unsigned)MODE_GROUP);
    /* Outside the group, chmod(2) drops the setgid bit and reports success. */
    res = file_stat(dir, &stat);
    if (res < 0)
        return errmsg_set_errno(err, res, "cannot be looked at");
    if (stat.gid != gid || (stat.mode & 07777) != MODE_GROUP)
        return errmsg_set(err, -EPERM, "cannot be given mode %o: this user is not in group '%s'",
                          (unsigned)MODE_GROUP, group);
    return 0;
}

static int dir_open(const char *shm_dir, const char *group, int *ret_dir, struct errmsg *err)
{
    const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;
    struct file_stat stat;
    struct file_fs fs;
    int dir = file_open(FILE_CWD, shm_dir, flags, 0);
    int res;

    if (dir == -ENOENT) {
        res = file_mkdirs(FILE_CWD, shm_dir, MODE_OWNER);
        if (res < 0)
            return errmsg_set_errno(err, res, "cannot be made");
        dir = file_open(FILE_CWD, shm_dir, flags, 0);
    }
    if (dir < 0)
        return errmsg_set_errno(err, dir, "cannot be opened as a directory");
    *ret_dir = dir;
    res = file_fs(dir, &fs);
    if (res == 0)
        res = file_stat(dir, &stat);
    if (res < 0)
        return errmsg_set_errno(err, res, "cannot be looked at");
    if (!fs.tmpfs)
        return errmsg_set(err, -EINVAL, "not on tmpfs: rings live in memory, such as /dev/shm");
    if (!owner_trusted(stat.uid))
        return errmsg_set(err, -EPERM, "belongs to uid %u, neither root nor this user", stat.uid);
    if (group != NULL)
        return dir_give_to_group(dir, group, err);
    if ((stat.mode & (S_IWGRP | S_IWOTH)) != 0 && (stat.mode & S_ISVTX) == 0)
        return errmsg_set(err, -EPERM, "mode %o lets others remove rings: make it 700, or 3773",
                          stat.mode & 07777);
    return 0;
}

/* Takes away what stands at the place of one of the agent's own files. */
static int name_clear(int dir, const char *name)
{
    struct file_stat stat;
    uint64_t number;
    char aside[64];
    int res = file_stat_at(dir, name, &stat);

    if (res == 0 && S_ISDIR(stat.mode)) {
        /* It may be full of things, and not ours: out of the way is enough. */
        file_random(&number, sizeof(number));
        snprintf(aside, sizeof(aside), ".aside.%016" PRIx64, number);
        res = file_rename(dir, name, dir, aside);
    } else if (res == 0) {
        res = file_unlink(dir, name);
    }
    return res == -ENOENT ? 0 : res;
}

/* Opens the lock file. 0 and -1 in *ret_fd: something else was there and is cleared now. */
static int lock_open(int dir, int *ret_fd)
{
    struct file_stat stat;
    int fd = file_open(dir, SHM_LOCK_NAME, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0600);
    int res;

    *ret_fd = -1;
    if (fd >= 0) {
        res = file_stat(fd, &stat);
        if (res == 0 && S_ISREG(stat.mode) && owner_trusted(stat.uid)) {
            *ret_fd = fd;
            return 0;
        }
        file_close(fd);
        return res < 0 ? res : name_clear(dir, SHM_LOCK_NAME);
    }
    res = file_stat_at(dir, SHM_LOCK_NAME, &stat);
    if (res < 0)
        return res == -ENOENT ? fd : res;
    /* A lock of root's that we may not open can be held: it stays. */
    if (S_ISREG(stat.mode) && owner_trusted(stat.uid))
        return fd;
    return name_clear(dir, SHM_LOCK_NAME);
}

/*
 * The holder unlinks the file when it goes, so the lock counts only while the name still leads to
 * the locked file: whoever waited on the old one tries the new one.
 */
static int lock_take(struct discover *d, struct errmsg *err)
{
    for (int tries = 0; tries < LOCK_TRIES_MAX; tries++) {
        struct file_stat held, named;
        int fd, res = lock_open(d->dir, &fd);

        if (res < 0)
            return errmsg_set_errno(err, res, "%s cannot be opened", SHM_LOCK_NAME);
        if (fd < 0)
            continue;
        res = file_lock(fd, false);
        if (res == 0)
            res = file_stat(fd, &held);
        if (res < 0) {
            file_close(fd);
            if (res == -EWOULDBLOCK)
                return errmsg_set(err, res, "in use by another agent");
            return errmsg_set_errno(err, res, "%s cannot be locked", SHM_LOCK_NAME);
        }
        res = file_stat_at(d->dir, SHM_LOCK_NAME, &named);
        if (res == 0 && named.dev == held.dev && named.ino == held.ino) {
            d->lock = fd;
            return 0;
        }
        file_close(fd);
        if (res < 0 && res != -ENOENT)
            return errmsg_set_errno(err, res, "%s cannot be looked at", SHM_LOCK_NAME);
    }
    return errmsg_set(err, -EBUSY, "%s is replaced all the time", SHM_LOCK_NAME);
}

static int bell_open(struct discover *d, const char *shm_dir, struct errmsg *err)
{
    char short_path[64];
    int res = name_clear(d->dir, SHM_BELL_NAME);

    if (res < 0)
        return errmsg_set_errno(err, res, "%s cannot be cleared", SHM_BELL_NAME);
    res = file_bell_open(shm_dir, SHM_BELL_NAME);
    if (res == -ENAMETOOLONG) {
        /* A socket's address holds 107 bytes; by its descriptor any directory is short. */
        snprintf(short_path, sizeof(short_path), "/proc/self/fd/%d", d->dir);
        res = file_bell_open(short_path, SHM_BELL_NAME);
    }
    if (res < 0)
        return errmsg_set_errno(err, res, "%s cannot be opened", SHM_BELL_NAME);
    d->bell = res;
    return 0;
}

int discover_open(const char *shm_dir, const char *shm_group, struct discover **ret_discover,
                  struct errmsg *err)
{
    struct discover *d = calloc(1, sizeof(*d));
    int res;

    *ret_discover = NULL;
    if (d == NULL)
        return errmsg_set(err, -ENOMEM, "shm_dir '%s': out of memory", shm_dir);
    d->dir = d->lock = d->watch = d->bell = -1;
    res = dir_open(shm_dir, shm_group, &d->dir, err);
    if (res < 0)
        goto fail;
    res = lock_take(d, err);
    if (res < 0)
        goto fail;
    res = bell_open(d, shm_dir, err);
    if (res < 0)
        goto fail;
    /* Before the first scan begins: what appears from here on is in one or the other. */
    res = file_watch_open(shm_dir);
    if (res < 0) {
        errmsg_set_errno(err, res, "cannot be watched");
        goto fail;
    }
    d->watch = res;
    d->scan_due = true;
    *ret_discover = d;
    return 0;
fail:
    errmsg_prefix(err, "shm_dir '%s': ", shm_dir);
    discover_close(d);
    return res;
}

void discover_close(struct discover *d)
{
    if (d == NULL)
        return;
    /* A name that stays is harmless: the next agent takes both over. */
    if (d->bell >= 0)
        (void)file_unlink(d->dir, SHM_BELL_NAME);
    if (d->lock >= 0)
        (void)file_unlink(d->dir, SHM_LOCK_NAME);
    file_close(d->watch);
    file_close(d->bell);
    file_close(d->lock);
    file_close(d->dir);
    free(d);
}

int discover_dir(const struct discover *d)
{
    return d->dir;
}

int discover_watch(const struct discover *d)
{
    return d->watch;
}

int discover_bell(const struct discover *d)
{
    return d->bell;
}

void discover_rescan(struct discover *d)
{
    d->scan_due = true;
}

/* Largest on top; the name at `at` may be too small for its place. */
static void heap_sift_down(struct scan_name *names, uint32_t count, uint32_t at)
{
    for (;;) {
        uint32_t child = 2 * at + 1;
        struct scan_name held = names[at];

        if (child >= count)
            return;
        if (child + 1 < count && strcmp(names[child + 1].text, names[child].text) > 0)
            child++;
        if (strcmp(names[child].text, held.text) <= 0)
            return;
        names[at] = names[child];
        names[child] = held;
        at = child;
    }
}

static void heap_sift_up(struct scan_name *names, uint32_t at)
{
    while (at > 0) {
        uint32_t parent = (at - 1) / 2;
        struct scan_name held = names[at];

        if (strcmp(held.text, names[parent].text) <= 0)
            return;
        names[at] = names[parent];
        names[parent] = held;
        at = parent;
    }
}

static void scan_keep(struct discover *d, const char *name)
{
    if (strcmp(name, d->scan_after.text) <= 0)
        return;
    if (d->names_count < SCAN_NAMES_MAX) {
        snprintf(d->names[d->names_count].text, sizeof(d->names[0].text), "%s", name);
        heap_sift_up(d->names, d->names_count++);
        return;
    }
    d->scan_more = true;
    if (strcmp(name, d->names[0].text) < 0) {
        snprintf(d->names[0].text, sizeof(d->names[0].text), "%s", name);
        heap_sift_down(d->names, d->names_count, 0);
    }
}

static int scan_visit(void *ctx, const char *name)
{
    struct discover *d = ctx;

    if (ring_name_valid(name)) {
        scan_keep(d, name);
    } else if (name[0] == '.' && d->scan_after.text[0] == '\0' &&
               d->found_count < LEFTOVERS_MAX && ring_name_valid(name + 1)) {
        snprintf(d->found[d->found_count].name, sizeof(d->found[0].name), "%s", name);
        d->found_count++;
    }
    return 0;
}

static int names_order(const void *a, const void *b)
{
    return strcmp(((const struct scan_name *)a)->text, ((const struct scan_name *)b)->text);
}

/* Is it a build file that nobody has locked? Then its identity is filled in. */
static bool leftover_free(struct discover *d, struct leftover *file)
{
    struct file_stat stat;
    bool is_free = false;
    int fd;

    /* Looked at first: opening has effects on what is no plain file. */
    if (file_stat_at(d->dir, file->name, &stat) < 0 || !S_ISREG(stat.mode))
        return false;
    fd = file_open_beneath(d->dir, file->name);
    if (fd < 0)
        return false;
    if (file_stat(fd, &stat) == 0 && file_lock_probe(fd) == 0) {
        file->dev = stat.dev;
        file->ino = stat.ino;
        file->allocated_bytes = stat.allocated_bytes;
        is_free = true;
    }
    file_close(fd);
    return is_free;
}

/*
 * A producer makes its file, allocates it and then locks it, so a free lock alone may mean that it
 * is about to be taken. A file is a leftover when its lock was free at two consecutive scans and
 * it has not grown in between. What cannot be removed is tried again by the next scan but one.
 */
static void leftovers_remove(struct discover *d)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < d->found_count; i++) {
        struct leftover *file = &d->found[i];
        bool seen = false;

        if (!leftover_free(d, file))
            continue;
        for (uint32_t j = 0; j < d->leftovers_count && !seen; j++) {
            const struct leftover *old = &d->leftovers[j];

            seen = old->dev == file->dev && old->ino == file->ino &&
                   old->allocated_bytes == file->allocated_bytes &&
                   strcmp(old->name, file->name) == 0;
        }
        if (seen)
            (void)file_unlink(d->dir, file->name);
        else
            d->found[kept++] = *file;
    }
    memcpy(d->leftovers, d->found, kept * sizeof(d->found[0]));
    d->leftovers_count = kept;
    d->found_count = 0;
}

/* Reads the directory once, from the start of a scan or from behind what was handed out. */
static int scan_pass(struct discover *d)
{
    bool first = d->scan_after.text[0] == '\0';
    struct file_stat stat;
    int res;

    /* A removed directory still opens and lists as empty; producers would make a new one. */
    res = file_stat(d->dir, &stat);
    if (res < 0 || stat.nlink == 0)
        return res < 0 ? res : -ENOENT;
    d->names_count = d->names_next = d->found_count = 0;
    d->scan_more = false;
    res = file_list(d->dir, scan_visit, d);
    if (res < 0)
        return res;
    qsort(d->names, d->names_count, sizeof(d->names[0]), names_order);
    if (first)
        leftovers_remove(d);
    return 0;
}

struct event_ctx {
    struct discover *d;
    discover_fn on_ring;
    void *ctx;
};

static void event_take(void *ctx, unsigned events, const char *name)
{
    struct event_ctx *e = ctx;

    if ((events & FILE_EVENT_OVERFLOW) != 0)
        discover_rescan(e->d);
    if (name == NULL || !ring_name_valid(name))
        return;
    if ((events & FILE_EVENT_ADDED) != 0)
        e->on_ring(e->ctx, name, false);
    if ((events & FILE_EVENT_CLOSED) != 0)
        e->on_ring(e->ctx, name, true);
}

int discover_step(struct discover *d, unsigned names_max, discover_fn on_ring, void *ctx)
{
    struct event_ctx events = { d, on_ring, ctx };
    int res = file_watch_read(d->watch, event_take, &events);

    INVARIANT(names_max > 0);
    if (res < 0) {
        /* Events may be gone with it. */
        discover_rescan(d);
        return res;
    }
    if (!d->scanning && !d->scan_due)
        return 0;
    if (!d->scanning || (d->names_next == d->names_count && d->scan_more)) {
        if (!d->scanning) {
            /* One asked for while another is under way begins after it, from the start. */
            d->scan_due = false;
            d->scanning = true;
            d->scan_after.text[0] = '\0';
        } else {
            d->scan_after = d->names[d->names_count - 1];
        }
        res = scan_pass(d);
        if (res < 0) {
            d->scanning = false;
            d->scan_due = true;
            return res;
        }
    }
    for (unsigned i = 0; i < names_max && d->names_next < d->names_count; i++)
        on_ring(ctx, d->names[d->names_next++].text, false);
    if (d->names_next == d->names_count && !d->scan_more)
        d->scanning = false;
    return d->scanning || d->scan_due ? 1 : 0;
}
