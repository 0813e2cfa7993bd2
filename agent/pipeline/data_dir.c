/*
 * data_dir: the data directory at a start: its lock, the folders in it, and which log it is.
 *
 * Owns:   nothing; fills the shards.
 * Thread: the one that opens the agent.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/crc32c.h"
#include "pipeline/parts.h"

enum { DIR_MODE = 0750, ASIDE_MAX = 1000 };

/*
 * R1: what stands in the place of one of our files or directories and is none is set aside, never
 * deleted.
 */
int place_clear(int dir, const char *path, const char *name, uint32_t type)
{
    char aside[SPOOL_NAME_MAX + 32];
    struct file_stat st;
    int r = file_stat_at(dir, name, &st);

    if (!r && S_ISLNK(st.mode) && type == S_IFDIR)
        return 0;       /* to wherever somebody wants it */
    if (r || (st.mode & S_IFMT) == type)
        return r == -ENOENT ? 0 : r;
    r = -EEXIST;
    for (unsigned i = 0; r == -EEXIST && i < ASIDE_MAX; i++) {
        snprintf(aside, sizeof(aside), "%s.aside.%u", name, i);
        r = file_rename(dir, name, dir, aside);
    }
    if (!r)
        log_error("%s/%s is no %s and was set aside as %s", path, name,
                  type == S_IFDIR ? "directory" : "plain file", aside);
    return r;
}

/* R1: one agent a data directory. */
static int dirs_open(struct shards *a, struct errmsg *err)
{
    int r = file_mkdirs(FILE_CWD, a->opt.data_dir, DIR_MODE);

    if (!r)
        r = a->data_dir = file_open(FILE_CWD, a->opt.data_dir, O_RDONLY | O_DIRECTORY, 0);
    if (r < 0)
        return errmsg_set(err, r, "data_dir %s: cannot make or open: %s", a->opt.data_dir,
                          strerror(-r));
    r = file_lock(a->data_dir, false);
    if (r)
        return errmsg_set(err, r,
                          "data_dir %s: another agent uses it; stop that one, or give this one a "
                          "data_dir of its own",
                          a->opt.data_dir);
    r = place_clear(a->data_dir, a->opt.data_dir, "spool", S_IFDIR);
    if (!r)
        r = place_clear(a->data_dir, a->opt.data_dir, "state", S_IFDIR);
    if (!r)
        r = file_mkdirs(a->data_dir, "spool", 0700);
    if (!r)
        r = file_mkdirs(a->data_dir, "state", 0700);
    if (!r)
        r = a->spool_dir = file_open(a->data_dir, "spool", O_RDONLY | O_DIRECTORY, 0);
    if (r >= 0)
        r = a->state_dir = file_open(a->data_dir, "state", O_RDONLY | O_DIRECTORY, 0);
    if (r < 0)
        return errmsg_set(err, r, "data_dir %s: %s", a->opt.data_dir, strerror(-r));
    return 0;
}

/* state/log: the log's uuid and its sum. */
struct identity {
    uint8_t uuid[16];
    uint32_t crc32c;
};
_Static_assert(sizeof(struct identity) == 20, "state/log");

/* 0, -ENOENT, -EBADMSG, or another -errno. */
static int identity_read(int state_dir, struct identity *ret_id)
{
    int fd = file_open(state_dir, "log", O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
    ssize_t n = fd < 0 ? fd : file_read(fd, ret_id, sizeof(*ret_id), 0);

    file_close(fd);
    if (n < 0)
        return (int)n;
    return n == (ssize_t)sizeof(*ret_id)
                   && ret_id->crc32c == crc32c(0, ret_id->uuid, sizeof(ret_id->uuid))
               ? 0 : -EBADMSG;
}

static int identity_write(int state_dir, struct identity *id)
{
    int fd, r;

    id->crc32c = crc32c(0, id->uuid, sizeof(id->uuid));
    r = fd = file_open(state_dir, "log.new", O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600);
    if (r >= 0)
        r = file_write(fd, id, sizeof(*id), 0);
    if (!r)
        r = file_sync(fd);
    file_close(fd);
    if (!r)
        r = file_replace(state_dir, "log.new", state_dir, "log");
    if (!r)
        r = file_sync(state_dir);
    return r;
}

/* The uuid of a log whose identity is lost. */
struct identity_look {
    const struct shards *a;
    uint8_t uuid[16];
    bool known;
    int error;
};

static void on_log(void *ctx, uint32_t shard)
{
    struct identity_look *look = ctx;
    struct wal_dir dir;
    int r;

    if (look->known || look->error)
        return;
    r = wal_dir_open(look->a->opt.wal_dir, shard, NULL, false, &dir, NULL);
    if (r) {
        look->error = r;
        return;
    }
    look->known = dir.count > 0;
    if (look->known)
        memcpy(look->uuid, dir.segments[dir.count - 1].header.uuid, sizeof(look->uuid));
    wal_dir_close(&dir);
}

/*
 * The log's uuid: in state/log, made with the directory. If that is lost or damaged, any segment
 * has it. Under a new uuid every segment would be foreign: none is made while one may be there.
 */
static int identity_load(struct shards *a)
{
    struct identity_look look = {.a = a};
    struct identity id;
    int read, r = place_clear(a->state_dir, "state", "log", S_IFREG);

    if (!r)
        r = place_clear(a->state_dir, "state", "log.new", S_IFREG);
    if (r)
        return r;
    read = identity_read(a->state_dir, &id);
    if (read) {
        r = wal_dir_shards(a->opt.wal_dir, on_log, &look);
        if (!r)
            r = look.error;
        if (r && r != -ENOENT)
            return r;
        file_random(id.uuid, sizeof(id.uuid));
        if (look.known)
            memcpy(id.uuid, look.uuid, sizeof(id.uuid));
        else if (read != -ENOENT && read != -EBADMSG)
            return read;
        if (read != -ENOENT)
            log_error("%s/state/log cannot be read; the log's segments say which log it is",
                      a->opt.data_dir);
        r = identity_write(a->state_dir, &id);
    }
    memcpy(a->uuid, id.uuid, sizeof(a->uuid));
    return r;
}

int data_dir_open(struct shards *a, struct errmsg *err)
{
    int r = dirs_open(a, err);

    if (r)
        return r;
    r = identity_load(a);
    if (r)
        return errmsg_set(err, r, "%s/state/log: %s", a->opt.data_dir, strerror(-r));
    r = file_boot_id(a->boot_id);
    return r ? errmsg_set(err, r, "/proc/sys/kernel/random/boot_id: %s", strerror(-r)) : 0;
}

void data_dir_close(struct shards *a)
{
    file_close(a->state_dir);
    file_close(a->spool_dir);
    file_close(a->data_dir);
    a->state_dir = a->spool_dir = a->data_dir = -1;
}
