/*
 * wal_dir: lists, checks, locks, sets aside, recycles and unlinks segment files.
 * Owns:   the directory's descriptor and the list.
 * Thread: shard.
 */
#include "wal/wal_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/invariant.h"

int wal_dir_add(struct wal_dir *dir, const struct wal_segment *segment)
{
    if (dir->count == dir->cap) {
        uint32_t cap = dir->cap ? dir->cap * 2 : 16;
        struct wal_segment *more = realloc(dir->segments, cap * sizeof(*more));

        if (!more)
            return -ENOMEM;
        dir->segments = more;
        dir->cap = cap;
    }
    dir->segments[dir->count++] = *segment;
    return 0;
}

void wal_dir_name_new(const char *name, char ret_name[WAL_NAME_MAX])
{
    snprintf(ret_name, WAL_NAME_MAX, "%.*s.new", (int)(strlen(name) - strlen(".seg")), name);
}

/* A segment that a writer had not finished to begin. */
static bool name_is_new(const char *name)
{
    size_t len = strlen(name);

    return len > 4 && strcmp(name + len - 4, ".new") == 0;
}

/* Of a segment, or of one that was being begun. */
static bool name_parse(const char *name, uint32_t *ret_shard, uint64_t *ret_epoch,
                       uint64_t *ret_number)
{
    char finished[WAL_NAME_MAX];

    if (strlen(name) >= sizeof(finished))
        return false;
    snprintf(finished, sizeof(finished), "%s", name);
    if (name_is_new(name))
        memcpy(finished + strlen(name) - 4, ".seg", 4);
    return wal_segment_name_parse(finished, ret_shard, ret_epoch, ret_number);
}

static int on_name(void *ctx, const char *name)
{
    struct wal_dir *dir = ctx;
    struct wal_segment seg = {0};
    uint64_t epoch, number;
    uint32_t shard;

    if (!name_parse(name, &shard, &epoch, &number) || shard != dir->shard)
        return 0;
    snprintf(seg.name, sizeof(seg.name), "%s", name);
    seg.header.epoch = epoch;
    seg.header.number = number;
    if (dir->number_max < number)
        dir->number_max = number;
    return wal_dir_add(dir, &seg);
}

static int by_number(const void *a, const void *b)
{
    const struct wal_segment *x = a, *y = b;

    if (x->header.number != y->header.number)
        return x->header.number < y->header.number ? -1 : 1;
    return x->header.epoch < y->header.epoch ? -1 : x->header.epoch > y->header.epoch;
}

/* Reads one header; with `wait` first waits for the dead writer's last write. */
static int segment_load(struct wal_dir *dir, struct wal_segment *seg, const uint8_t uuid[16],
                        bool wait)
{
    struct wal_segment_header named = seg->header;
    uint8_t block[WAL_BLOCK] = {0};
    struct file_stat st;
    ssize_t n;
    int fd, err;

    /* A link or a pipe by this name is none of ours, and the pipe would keep us waiting. */
    fd = file_open(dir->fd, seg->name, (wait ? O_RDWR : O_RDONLY) | O_NOFOLLOW | O_NONBLOCK, 0);
    if (fd < 0)
        return fd;
    err = wait ? file_lock(fd, true) : 0;
    if (!err)
        err = file_stat(fd, &st);
    n = err ? err : file_read(fd, block, sizeof(block), 0);
    file_close(fd);
    if (n < 0)
        return (int)n;
    seg->size_bytes = st.size_bytes;
    err = wal_segment_header_parse(block, &seg->header);
    if (err)
        return err;
    if (seg->header.epoch != named.epoch || seg->header.number != named.number
        || seg->header.shard != dir->shard
        || (uuid && memcmp(seg->header.uuid, uuid, sizeof(seg->header.uuid)) != 0))
        return -EBADMSG;
    return 0;
}

/* The file may be as good as any: another attempt can read it. */
static bool passes(int err)
{
    return err == -EMFILE || err == -ENFILE || err == -ENOMEM;
}

static int set_aside(struct wal_dir *dir, const char *name)
{
    char aside[WAL_NAME_MAX + 32];
    int err = -EEXIST;

    for (unsigned i = 0; err == -EEXIST && i < 1000; i++) {
        snprintf(aside, sizeof(aside), i ? "%s.aside.%u" : "%s.aside", name, i);
        err = file_rename(dir->fd, name, dir->fd, aside);
    }
    dir->set_aside += err == 0;
    return err;
}

/* Makes and opens the directory, and lists the names in it. */
static int names_load(struct wal_dir *dir, bool make, struct errmsg *err)
{
    int r;

    if (make) {
        r = file_mkdirs(FILE_CWD, dir->path, 0700);
        if (r)
            return errmsg_set(err, r, "%s: cannot make the log's directory: %s", dir->path,
                              strerror(-r));
    }
    r = file_open(FILE_CWD, dir->path, O_RDONLY | O_DIRECTORY, 0);
    if (r < 0)
        return errmsg_set(err, r, "%s: cannot open: %s", dir->path, strerror(-r));
    dir->fd = r;
    r = file_list(dir->fd, on_name, dir);
    if (r)
        return errmsg_set(err, r, "%s: cannot list: %s", dir->path, strerror(-r));
    if (dir->count > 0)
        qsort(dir->segments, dir->count, sizeof(*dir->segments), by_number);
    return 0;
}

/* 1: a segment behind `before`, 0: there is nothing to be read, or -errno: try again later. */
static int segment_check(struct wal_dir *dir, struct wal_segment *seg,
                         const struct wal_segment *before, const uint8_t uuid[16], bool repair)
{
    int r;

    if (name_is_new(seg->name)) {
        r = repair ? file_unlink(dir->fd, seg->name) : 0;
        if (r == -EISDIR)
            r = set_aside(dir, seg->name);
        dir->passed_over += r != 0;
        return 0;
    }
    r = segment_load(dir, seg, uuid, repair);
    for (int i = 1; r == -EIO && i < WAL_READ_ATTEMPTS; i++)
        r = segment_load(dir, seg, uuid, repair);
    if (passes(r))
        return r;
    /* One that begins at the same place supersedes the one before. */
    if (!r && before && seg->header.prev_end_lsn < before->header.prev_end_lsn)
        r = -EBADMSG;
    if (!r)
        return 1;
    if (repair && r != -ENOENT)
        dir->passed_over += set_aside(dir, seg->name) != 0;
    return 0;
}

int wal_dir_open(const char *path, uint32_t shard, const uint8_t uuid[16], bool repair,
                 struct wal_dir *ret_dir, struct errmsg *err)
{
    uint32_t kept = 0;
    int r;

    memset(ret_dir, 0, sizeof(*ret_dir));
    ret_dir->shard = shard;
    ret_dir->path = strdup(path);
    ret_dir->fd = -1;
    if (!ret_dir->path)
        return errmsg_set(err, -ENOMEM, "no memory");
    r = names_load(ret_dir, repair, err);
    if (r)
        goto fail;
    for (uint32_t i = 0; i < ret_dir->count; i++) {
        struct wal_segment *seg = &ret_dir->segments[i];

        r = segment_check(ret_dir, seg, kept ? &ret_dir->segments[kept - 1] : NULL, uuid, repair);
        if (r < 0) {
            r = errmsg_set(err, r, "%s/%s: cannot read: %s", path, seg->name, strerror(-r));
            goto fail;
        }
        if (r > 0)
            ret_dir->segments[kept++] = *seg;
    }
    ret_dir->count = kept;
    for (uint32_t i = 0; i + 1 < kept; i++)
        ret_dir->segments[i].end_lsn = ret_dir->segments[i + 1].header.prev_end_lsn;
    return 0;

fail:
    wal_dir_close(ret_dir);
    return r;
}

void wal_dir_close(struct wal_dir *dir)
{
    file_close(dir->fd);
    free(dir->path);
    free(dir->segments);
    free(dir->bad);
    memset(dir, 0, sizeof(*dir));
    dir->fd = -1;
}

static int on_shard_name(void *ctx, const char *name)
{
    bool *there = ctx;
    uint64_t epoch, number;
    uint32_t shard;

    if (name_parse(name, &shard, &epoch, &number) && shard < WAL_SHARDS_END)
        there[shard] = true;
    return 0;
}

int wal_dir_shards(const char *path, void (*on_shard)(void *ctx, uint32_t shard), void *ctx)
{
    int fd = file_open(FILE_CWD, path, O_RDONLY | O_DIRECTORY, 0), r = fd;
    bool there[WAL_SHARDS_END] = {false};

    if (r >= 0)
        r = file_list(fd, on_shard_name, there);
    file_close(fd);
    for (uint32_t i = 0; r == 0 && i < WAL_SHARDS_END; i++)
        if (there[i])
            on_shard(ctx, i);
    return r;
}

static int segment_remove(struct wal_dir *dir, const struct wal_segment *seg)
{
    char *spare = dir->spare[dir->spares];
    int r;

    if (seg->damaged || dir->spares >= dir->spares_max || dir->spares >= WAL_SPARES_MAX)
        return file_unlink(dir->fd, seg->name);
    wal_dir_name_new(seg->name, spare);
    r = file_replace(dir->fd, seg->name, dir->fd, spare);
    dir->spares += r == 0;
    return r;
}

int wal_dir_reuse(struct wal_dir *dir, const char *name)
{
    int r = dir->spares > 0 ? file_rename(dir->fd, dir->spare[dir->spares - 1], dir->fd, name)
                            : -ENOENT;

    dir->spares -= dir->spares > 0;
    return r;
}

void wal_dir_drop_spares(struct wal_dir *dir)
{
    while (dir->spares > 0)
        file_unlink(dir->fd, dir->spare[--dir->spares]);
}

uint32_t wal_dir_trimmable(const struct wal_dir *dir, uint64_t lsn)
{
    uint32_t n = 0;

    for (uint32_t i = 1; i < dir->count && dir->segments[i].header.prev_end_lsn <= lsn; i++)
        if (!wal_segment_continues(&dir->segments[i].header))
            n = i;
    return n;
}

int wal_dir_trim(struct wal_dir *dir, uint64_t lsn, struct errmsg *err)
{
    uint32_t n = 0, count = wal_dir_trimmable(dir, lsn);
    int r = 0;

    while (n < count) {
        r = segment_remove(dir, &dir->segments[n]);
        if (r && r != -ENOENT) {
            errmsg_set(err, r, "%s/%s: cannot remove: %s", dir->path, dir->segments[n].name,
                       strerror(-r));
            break;
        }
        n++;
        r = file_sync(dir->fd);
        if (r) {
            errmsg_set(err, r, "%s: cannot sync: %s", dir->path, strerror(-r));
            break;
        }
    }
    dir->count -= n;
    memmove(dir->segments, dir->segments + n, dir->count * sizeof(*dir->segments));
    return r;
}

int wal_dir_bad_add(struct wal_dir *dir, uint64_t segment, uint64_t from, uint64_t to)
{
    struct wal_bad *last = dir->bad_count ? &dir->bad[dir->bad_count - 1] : NULL;

    for (uint32_t i = 0; i < dir->bad_count; i++)
        if (dir->bad[i].segment == segment && dir->bad[i].from <= from && to <= dir->bad[i].to)
            return 0;
    if (last && last->segment == segment && last->to == from) {
        last->to = to;
        return 1;
    }
    if (dir->bad_count == dir->bad_cap) {
        uint32_t cap = dir->bad_cap ? dir->bad_cap * 2 : 16;
        struct wal_bad *more = realloc(dir->bad, cap * sizeof(*more));

        if (!more)
            return -ENOMEM;
        dir->bad = more;
        dir->bad_cap = cap;
    }
    dir->bad[dir->bad_count++] = (struct wal_bad){segment, from, to};
    return 1;
}

void wal_dir_bad_mask(const struct wal_dir *dir, uint64_t segment, uint8_t *data, size_t len,
                      uint64_t offset)
{
    for (uint32_t i = 0; i < dir->bad_count; i++) {
        const struct wal_bad *bad = &dir->bad[i];
        uint64_t from = bad->from > offset ? bad->from : offset;
        uint64_t to = bad->to < offset + len ? bad->to : offset + len;

        if (bad->segment == segment && from < to)
            memset(data + (from - offset), 0, (size_t)(to - from));
    }
}

uint64_t wal_dir_bytes(const struct wal_dir *dir)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < dir->count; i++)
        sum += dir->segments[i].size_bytes;
    return sum;
}

struct wal_segment *wal_dir_find(const struct wal_dir *dir, uint64_t lsn)
{
    for (uint32_t i = dir->count; i-- > 0;)
        if (dir->segments[i].header.prev_end_lsn <= lsn)
            return &dir->segments[i];
    return NULL;
}

uint64_t wal_dir_checkpoint_lsn(const struct wal_dir *dir, uint64_t lsn)
{
    const struct wal_segment *seg = wal_dir_find(dir, lsn);

    while (seg && wal_segment_continues(&seg->header))
        seg = seg > dir->segments ? seg - 1 : NULL;
    return seg ? seg->header.prev_end_lsn : UINT64_MAX;
}
