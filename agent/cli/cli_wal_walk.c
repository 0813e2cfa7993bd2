/*
 * cli_wal_walk: goes through the groups of a log that may be in use.
 *
 * Owns:   directory and reader.
 * Thread: main.
 */
#include "cli/cli_wal_walk.h"

#include <errno.h>
#include <string.h>

#include "wal/wal_format.h"

/* How often a directory is listed anew because all that was listed is gone already. */
enum { LISTINGS_MAX = 100 };

static int dir_open(struct wal_walk *w, struct errmsg *err)
{
    uint8_t uuid[16];
    bool foreign = false;
    int r;

    r = wal_dir_open(w->path, w->shard, NULL, false, &w->dir, err);
    if (r || w->dir.count == 0)
        return r;
    memcpy(uuid, w->dir.segments[w->dir.count - 1].header.uuid, sizeof(uuid));
    for (uint32_t i = 0; i < w->dir.count; i++)
        foreign |= memcmp(w->dir.segments[i].header.uuid, uuid, sizeof(uuid)) != 0;
    if (!foreign)
        return 0;
    wal_dir_close(&w->dir);
    return wal_dir_open(w->path, w->shard, uuid, false, &w->dir, err);
}

static void reader_restart(struct wal_walk *w, uint64_t lsn)
{
    wal_reader_fini(&w->reader);
    wal_reader_init(&w->reader, &w->dir);
    w->reader.lsn = lsn;
}

/* Lists until there is something: an agent that trims leaves its newest segment. */
static int list(struct wal_walk *w, struct errmsg *err)
{
    int r = 0;

    for (int i = 0; i < LISTINGS_MAX; i++) {
        r = dir_open(w, err);
        if (r || w->dir.count > 0)
            return r;
        wal_dir_close(&w->dir);
    }
    return errmsg_set(err, -ENOENT, "%s: no segment of shard %u can be read", w->path, w->shard);
}

int wal_walk_open(struct wal_walk *w, const char *path, uint32_t shard, struct errmsg *err)
{
    int r;

    memset(w, 0, sizeof(*w));
    w->dir.fd = w->reader.fd = -1;
    w->path = path;
    w->shard = shard;
    r = list(w, err);
    if (r == 0) {
        wal_reader_init(&w->reader, &w->dir);
        w->reader.lsn = wal_walk_start(&w->dir.segments[0]);
    }
    return r;
}

void wal_walk_close(struct wal_walk *w)
{
    if (w->path == NULL)
        return;
    wal_reader_fini(&w->reader);
    wal_dir_close(&w->dir);
    w->path = NULL;
}

const char *wal_walk_segment(const struct wal_walk *w, uint64_t lsn)
{
    const struct wal_segment *seg = wal_dir_find(&w->dir, lsn);

    return seg != NULL ? seg->name : "-";
}

static bool segment_gone(const struct wal_walk *w, uint64_t lsn)
{
    const struct wal_segment *seg = wal_dir_find(&w->dir, lsn);
    struct file_stat stat;

    /* The oldest goes first: if this one is there, so are those behind it. */
    return seg != NULL && file_stat_at(w->dir.fd, seg->name, &stat) == -ENOENT;
}

static int relist(struct wal_walk *w, struct errmsg *err)
{
    wal_reader_fini(&w->reader);
    wal_dir_close(&w->dir);
    return list(w, err);
}

int wal_walk_refresh(struct wal_walk *w, struct errmsg *err)
{
    uint64_t lsn = w->reader.lsn;
    int r = relist(w, err);

    if (r == 0)
        reader_restart(w, lsn > wal_walk_start(&w->dir.segments[0])
                              ? lsn
                              : wal_walk_start(&w->dir.segments[0]));
    return r;
}

/* Goes on with the oldest segment behind `from`, never back. */
static int trimmed(struct wal_walk *w, uint64_t from, struct errmsg *err)
{
    int r = relist(w, err);

    if (r)
        return r;
    for (uint32_t i = 0; i < w->dir.count; i++)
        if (wal_walk_start(&w->dir.segments[i]) >= from) {
            reader_restart(w, wal_walk_start(&w->dir.segments[i]));
            return WAL_WALK_TRIMMED;
        }
    reader_restart(w, from);
    return WAL_WALK_END;
}

int wal_walk_next(struct wal_walk *w, struct wal_group_view *ret_group, struct errmsg *err)
{
    uint64_t from = w->reader.lsn;
    bool again = false;

    for (;;) {
        int n = wal_reader_next(&w->reader, UINT64_MAX, ret_group);

        if (n > 0 && ret_group->hole_from == ret_group->body_lsn)
            return WAL_WALK_GROUP;
        if (segment_gone(w, from)) {
            return trimmed(w, from, err);
        }
        if (!again) {       /* the COMMIT may have been on its way while its block was read */
            again = true;
            reader_restart(w, from);
            continue;
        }
        if (n >= 0)
            return n > 0 ? WAL_WALK_GROUP : WAL_WALK_END;
        return errmsg_set_errno(err, n, "%s/%s: cannot read", w->path,
                                wal_walk_segment(w, w->reader.lsn));
    }
}

int wal_walk_again(struct wal_walk *w, uint64_t group_lsn, struct wal_group_view *ret_group,
                   struct errmsg *err)
{
    reader_restart(w, group_lsn);
    return wal_walk_next(w, ret_group, err);
}

int wal_walk_seek(struct wal_walk *w, uint64_t lsn, struct errmsg *err)
{
    uint32_t i = w->dir.count;

    while (i-- > 0) {
        struct wal_group_view g;
        struct wal_item it;
        const uint8_t *at;
        int n;

        if (wal_walk_start(&w->dir.segments[i]) > lsn && i > 0)
            continue;
        reader_restart(w, wal_walk_start(&w->dir.segments[i]));
        if (i == 0)
            return 0;
        n = wal_walk_next(w, &g, err);
        if (n < 0)
            return n;
        at = g.items;
        if (n == WAL_WALK_TRIMMED)
            return 0;
        if (n == WAL_WALK_GROUP && wal_item_next(&at, g.items_end, &it) == 0
            && it.type == WAL_CHECKPOINT) {
            reader_restart(w, wal_walk_start(&w->dir.segments[i]));
            return 0;
        }
    }
    return 0;
}

int wal_walk_shards(const struct wal_files *files, wal_walk_shard_fn on_shard, void *ctx)
{
    int64_t last = -1;
    int r = 0;

    for (size_t i = 0; i < files->count && r == 0; i++) {
        if (files->items[i].kind != WAL_FILE_SEGMENT || files->items[i].shard == last)
            continue;
        last = files->items[i].shard;
        r = on_shard(ctx, files->items[i].shard);
    }
    return r;
}
