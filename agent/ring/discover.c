/*
 * discover: which ring files are in shm_dir.
 *
 * Producers, of other users too when the directory has a group, may fill it with whatever they
 * like. So names are checked before anything else is done with them, what goes by the names of the
 * agent's own files is verified, and each step is bounded in names looked at and handed out.
 *
 * A scan is one listing of the directory, taken in parts over as many steps as it needs. Junk costs
 * a look at its name.
 *
 * Owns:   the watch, the directory's descriptor; the first one the lock and the bell in shm_dir.
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

#define LEFTOVER_NS 5000000000ULL   /* free so long, and of one size: nobody builds it any more */

enum {
    LOOKS_A_STEP = 4096,        /* names of a scan */
    LEFTOVERS_MAX = 64,         /* build files looked at in one scan */
    LOCK_TRIES_MAX = 8,         /* planted or vanishing lock files, one each */
    MODE_OWNER = 0700,
    MODE_GROUP = 03773          /* others may add files, and do no more than that */
};

/* A build file: its name has the dot in front. */
struct leftover {
    char name[SHM_RING_NAME_MAX + 2];
    uint64_t dev, ino, allocated_bytes;
    uint64_t since_ns;          /* free and of this size */
    bool kept;                  /* it cannot be removed, and that has been said */
};

struct discover {
    int dir, lock, watch, bell;             /* owned; -1: not open */
    bool scan_due;                          /* begin a scan when none is under way */
    struct file_listing *scan;              /* owned; NULL: none is under way */
    uint64_t now_ns, due_ns;                /* of this step; of a scan for leftovers */
    uint64_t scans;                         /* that came to their end */
    uint32_t leftovers_count, found_count;
    struct leftover leftovers[LEFTOVERS_MAX];   /* with a free lock at the last scan */
    struct leftover found[LEFTOVERS_MAX];       /* of this scan */
    struct errmsg complaint;
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
    res = file_own(dir, gid, MODE_GROUP);
    if (res < 0)
        return errmsg_set_errno(err, res, "cannot be given to group '%s' with mode %o", group,
                                (unsigned)MODE_GROUP);
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

/*
 * Rings are opened by openat2 alone. Where a sandbox hides that, no ring would ever be taken, and
 * each be tried again for ever: better no start.
 */
static int open_probe(int dir, struct errmsg *err)
{
    int fd = file_open_beneath(dir, ".");       /* a directory is none: any other error is well */

    if (fd == -ENOSYS || fd == -EPERM)
        return errmsg_set_errno(err, fd, "openat2, by which rings are opened, is not to be had: a "
                                "seccomp profile hides it (as RestrictSUIDSGID= of systemd does)");
    if (fd >= 0)
        file_close(fd);
    return 0;
}

static int discover_begin(const char *shm_dir, const char *shm_group, bool first,
                          struct discover **ret_discover, struct errmsg *err)
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
    res = first ? open_probe(d->dir, err) : 0;
    if (res < 0)
        goto fail;
    res = first ? lock_take(d, err) : 0;
    if (res < 0)
        goto fail;
    res = first ? bell_open(d, shm_dir, err) : 0;
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
    d->due_ns = UINT64_MAX;
    *ret_discover = d;
    return 0;
fail:
    errmsg_prefix(err, "shm_dir '%s': ", shm_dir);
    discover_close(d);
    return res;
}

int discover_open(const char *shm_dir, const char *shm_group, struct discover **ret_discover,
                  struct errmsg *err)
{
    return discover_begin(shm_dir, shm_group, true, ret_discover, err);
}

int discover_join(const char *shm_dir, struct discover **ret_discover, struct errmsg *err)
{
    return discover_begin(shm_dir, NULL, false, ret_discover, err);
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
    file_listing_close(d->scan);
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

/*
 * 1: a build file that nobody has locked, its identity filled in; 0: none, or a living producer's;
 * negative: -errno, it cannot be told.
 */
static int leftover_free(struct discover *d, struct leftover *file)
{
    struct file_stat stat;
    int fd, res;

    /* Looked at first: opening has effects on what is no plain file. */
    if (file_stat_at(d->dir, file->name, &stat) < 0 || !S_ISREG(stat.mode))
        return 0;
    file->dev = stat.dev;
    file->ino = stat.ino;
    file->allocated_bytes = stat.allocated_bytes;
    fd = file_open_beneath(d->dir, file->name);
    if (fd < 0)
        return fd == -EACCES || fd == -EPERM ? fd : 0;
    res = file_stat(fd, &stat) == 0 && stat.ino == file->ino && file_lock_probe(fd) == 0;
    file->allocated_bytes = stat.allocated_bytes;
    file_close(fd);
    return res;
}

/* Since when it has been as it is now, from what the scans before have seen. */
static void leftover_recall(const struct discover *d, struct leftover *file)
{
    file->since_ns = d->now_ns;
    file->kept = false;
    for (uint32_t i = 0; i < d->leftovers_count; i++) {
        const struct leftover *old = &d->leftovers[i];

        if (old->dev == file->dev && old->ino == file->ino &&
            old->allocated_bytes == file->allocated_bytes && strcmp(old->name, file->name) == 0) {
            file->since_ns = old->since_ns;
            file->kept = old->kept;
        }
    }
}

/*
 * A producer makes its file and then locks it, so a free lock alone may mean that it is about to be
 * taken. A file is a leftover when scans have found its lock free for LEFTOVER_NS and it has not
 * grown in between. One that is removed all the same costs its producer a second attempt.
 */
static void leftovers_remove(struct discover *d)
{
    uint32_t count = 0;

    d->due_ns = UINT64_MAX;
    for (uint32_t i = 0; i < d->found_count; i++) {
        struct leftover file = d->found[i];
        int res = leftover_free(d, &file);

        if (res == 0)
            continue;
        leftover_recall(d, &file);
        if (!file.kept && d->now_ns - file.since_ns >= LEFTOVER_NS) {
            if (res > 0)
                res = file_unlink(d->dir, file.name);
            if (res == 0 || res == -ENOENT)
                continue;
            file.kept = true;
            errmsg_set_errno(&d->complaint, res, "%s: left by a dead producer; cannot be removed",
                             file.name);
        }
        if (!file.kept && file.since_ns + LEFTOVER_NS < d->due_ns)
            d->due_ns = file.since_ns + LEFTOVER_NS;
        d->found[count++] = file;
    }
    memcpy(d->leftovers, d->found, count * sizeof(d->found[0]));
    d->leftovers_count = count;
}

struct step {
    struct discover *d;
    discover_fn on_ring;
    void *ctx;
    unsigned names, looks;              /* left to this step */
};

static int scan_visit(void *ctx, const char *name)
{
    struct step *step = ctx;
    struct discover *d = step->d;

    step->looks--;
    if (ring_name_valid(name)) {
        step->names--;
        step->on_ring(step->ctx, name, false);
    } else if (name[0] == '.' && d->lock >= 0 && d->found_count < LEFTOVERS_MAX
               && ring_name_valid(name + 1)) {
        snprintf(d->found[d->found_count].name, sizeof(d->found[0].name), "%s", name);
        d->found_count++;
    }
    return step->names == 0 || step->looks == 0;
}

static int scan_begin(struct discover *d)
{
    struct file_stat stat;
    int res;

    /* A removed directory still opens and lists as empty; producers would make a new one. */
    res = file_stat(d->dir, &stat);
    if (res == 0 && stat.nlink == 0)
        res = -ENOENT;
    if (res == 0)
        res = file_listing_open(d->dir, &d->scan);
    if (res < 0)
        return res;
    /* One asked for while this is under way begins after it. */
    d->scan_due = false;
    d->found_count = 0;
    return 0;
}

static void event_take(void *ctx, unsigned events, const char *name)
{
    struct step *step = ctx;
    struct discover *d = step->d;

    if ((events & FILE_EVENT_OVERFLOW) != 0)
        discover_rescan(d);
    if (name == NULL)
        return;
    if (name[0] == '.' && d->lock >= 0 && (events & FILE_EVENT_ADDED) != 0 &&
        d->due_ns == UINT64_MAX && ring_name_valid(name + 1))
        d->due_ns = d->now_ns + LEFTOVER_NS;
    if ((events & (FILE_EVENT_ADDED | FILE_EVENT_CLOSED)) == 0 || !ring_name_valid(name))
        return;
    if (step->names == 0) {
        discover_rescan(d);
        return;
    }
    step->names--;
    if ((events & FILE_EVENT_ADDED) != 0)
        step->on_ring(step->ctx, name, false);
    if ((events & FILE_EVENT_CLOSED) != 0)
        step->on_ring(step->ctx, name, true);
}

int discover_step(struct discover *d, uint64_t now_ns, unsigned names_max, discover_fn on_ring,
                  void *ctx)
{
    struct step step = { d, on_ring, ctx, names_max, LOOKS_A_STEP };
    int res;

    INVARIANT(names_max > 0);
    d->now_ns = now_ns;
    res = file_watch_read(d->watch, event_take, &step);
    if (res < 0) {
        /* Events may be gone with it. */
        discover_rescan(d);
        return res;
    }
    if (d->scan == NULL && !d->scan_due && now_ns < d->due_ns)
        return 0;
    res = d->scan == NULL ? scan_begin(d) : 0;
    if (res == 0) {
        step.names = names_max;
        res = file_listing_step(d->scan, scan_visit, &step);
    }
    if (res > 0)
        return 1;
    file_listing_close(d->scan);
    d->scan = NULL;
    if (res < 0) {
        discover_rescan(d);
        return res;
    }
    leftovers_remove(d);
    d->scans++;
    return d->scan_due ? 1 : 0;
}

uint64_t discover_due_ns(const struct discover *d)
{
    return d->due_ns;
}

uint64_t discover_scans(const struct discover *d)
{
    return d->scans;
}

bool discover_complaint(struct discover *d, struct errmsg *ret_text)
{
    *ret_text = d->complaint;
    d->complaint.text[0] = '\0';
    return ret_text->text[0] != '\0';
}
