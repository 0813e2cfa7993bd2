/*
 * wal_writer: groups from filling to commit, and syncs.
 * Owns:   chunks and the segment's descriptor.
 * Thread: shard.
 */
#include "wal/wal_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/invariant.h"

enum {
    CLOSE_BODY_BYTES = 768 * 1024,
    CLOSE_FLIGHT = 2,
    CLOSE_ROOM_BYTES = 256 * 1024,
    CLOSE_ITEM_BYTES = 64 * 1024,
    ZERO_BYTES = 256 * 1024,
    REWRITE_BYTES = 1024 * 1024,
    CONTROL_ROOM = WAL_CHUNK_BYTES + 1024 * 1024,   /* kept while there is no next segment */
    SPAN_ITEM_BYTES_MAX = 1024 * 1024   /* beyond it no more ring bytes join a group */
};

static void commits_start(struct wal_writer *w);

/* Said by two groups, so that no damaged one takes more than its own events. Idempotent. */
static bool item_twice(enum wal_item_type type)
{
    switch (type) {
    case WAL_ATTACH:
    case WAL_DEF:
    case WAL_STREAM:
    case WAL_SEAL:
    case WAL_STAGED:
        return true;
    default:
        return false;
    }
}

void wal_writer_fail(struct wal_writer *w, int err, const char *what)
{
    if (w->error)
        return;
    w->error = err;
    errmsg_set(&w->error_text, err, "log segment %s/%s: %s: %s", w->dir->path,
               w->dir->count ? w->dir->segments[w->dir->count - 1].name : "", what,
               strerror(-err));
}

/* --- open and close ------------------------------------------------------------------------ */

/*
 * Writes what is not known to be synced once more, as it is. Where a sync failed in a life that
 * ended by it, what it should have covered passes for written: the next sync would succeed without
 * it, and only a power cut would show.
 */
static int tail_rewrite(int fd, uint64_t from, uint64_t to)
{
    uint8_t *buffer = malloc(REWRITE_BYTES);
    int err = buffer ? 0 : -ENOMEM;

    while (!err && from < to) {
        size_t len = to - from < REWRITE_BYTES ? (size_t)(to - from) : REWRITE_BYTES;
        ssize_t n = file_read(fd, buffer, len, from);

        err = n < 0 ? (int)n : n == 0 ? -EIO : file_write(fd, buffer, (size_t)n, from);
        from += n > 0 ? (uint64_t)n : 0;
    }
    free(buffer);
    return err;
}

/* Cuts the unused end off the last segment of an earlier life, and makes the rest of it durable. */
static int segment_finish(struct wal_dir *dir, uint64_t synced_lsn, uint64_t end_lsn)
{
    struct wal_segment *seg = &dir->segments[dir->count - 1];
    uint64_t len = end_lsn - seg->header.start_lsn;
    int fd = file_open(dir->fd, seg->name, O_RDWR, 0);
    int err;

    if (fd < 0)
        return fd;
    err = len < seg->size_bytes ? file_truncate(fd, len) : 0;
    if (synced_lsn < seg->header.start_lsn)
        synced_lsn = seg->header.start_lsn;
    if (!err)
        err = tail_rewrite(fd, synced_lsn - seg->header.start_lsn,
                           len < seg->size_bytes ? len : seg->size_bytes);
    if (!err)
        err = file_sync(fd);
    file_close(fd);
    if (err)
        return err;
    if (len < seg->size_bytes)
        seg->size_bytes = len;
    seg->end_lsn = end_lsn;
    return 0;
}

int wal_writer_finish(struct wal_dir *dir, uint64_t synced_lsn, uint64_t *end_lsn,
                      struct errmsg *err)
{
    const struct wal_segment *last = dir->count > 0 ? &dir->segments[dir->count - 1] : NULL;
    int r;

    if (!last)
        return 0;
    /* A segment without one whole group: the next may not begin at the same place. */
    if (*end_lsn < last->header.start_lsn + WAL_BLOCK)
        *end_lsn = last->header.start_lsn + WAL_BLOCK;
    r = segment_finish(dir, synced_lsn, *end_lsn);
    return r ? errmsg_set(err, r, "%s/%s: cannot finish: %s", dir->path, last->name, strerror(-r))
             : 0;
}

int wal_writer_open(struct wal_writer *w, struct io_loop *loop, struct wal_dir *dir,
                    struct wal_state *state, const struct wal_writer_options *opt, uint64_t end_lsn,
                    wal_committed_fn on_committed, void *ctx, struct errmsg *err)
{
    int r;

    memset(w, 0, sizeof(*w));
    w->loop = loop;
    w->dir = dir;
    w->state = state;
    w->opt = *opt;
    w->on_committed = on_committed;
    w->ctx = ctx;
    w->fd = w->roll.fd = -1;
    w->flight_last = &w->flight_first;
    w->done_last = &w->done_first;
    memcpy(w->id.uuid, opt->uuid, sizeof(w->id.uuid));
    w->id.epoch = opt->epoch;
    for (int i = 0; i < WAL_GROUPS; i++)
        w->groups[i].writer = w;
    w->synced_lsn = end_lsn;
    r = wal_segment_first(w, end_lsn);
    if (r)
        return errmsg_set(err, r, "%s: cannot begin a log segment: %s", dir->path, strerror(-r));
    w->sync_last_ns = loop_now_ns(loop);
    return 0;
}

void wal_writer_close(struct wal_writer *w)
{
    if (w->fd >= 0 && !w->error && w->dir->count > 0) {
        struct wal_segment *seg = &w->dir->segments[w->dir->count - 1];

        int err = file_sync(w->fd);

        seg->end_lsn = w->committed_lsn;
        if (err)
            wal_writer_fail(w, err, "sync");
        /* Only room is at stake: the next start cuts it too. */
        else if (file_truncate(w->fd, w->committed_lsn - seg->header.start_lsn) == 0)
            seg->size_bytes = w->committed_lsn - seg->header.start_lsn;
    }
    file_close(w->fd);
    w->fd = -1;
    wal_segment_drop(w);
    free(w->zeros);
    w->zeros = NULL;
    bytes_free(&w->again);
    if (w->dir)
        wal_dir_drop_spares(w->dir);
    for (int i = 0; i < WAL_GROUPS; i++) {
        free(w->groups[i].chunk);
        free(w->groups[i].record);
        bytes_free(&w->groups[i].items);
        w->groups[i].chunk = w->groups[i].record = NULL;
    }
}

/* --- filling ------------------------------------------------------------------------------ */

static unsigned groups_free(const struct wal_writer *w)
{
    unsigned n = 0;

    for (int i = 0; i < WAL_GROUPS; i++)
        n += w->groups[i].state == WAL_GROUP_FREE;
    return n;
}

/*
 * Groups that are routed come back only when routing gets on, and that may wait for a SEAL or an
 * ACK: WAL_GROUPS_CONTROL groups are left to items that need no routing.
 */
static struct wal_group *group_take(struct wal_writer *w, bool routes)
{
    struct wal_group *found = NULL;

    for (int i = 0; i < WAL_GROUPS; i++)
        /* Prefer one whose chunk is warm. */
        if (w->groups[i].state == WAL_GROUP_FREE
            && (!found || (!found->chunk && w->groups[i].chunk)))
            found = &w->groups[i];
    if (!found || (routes && groups_free(w) <= WAL_GROUPS_CONTROL))
        return NULL;
    found->state = WAL_GROUP_FILLING;
    found->body_len = 0;
    found->items_count = 0;
    found->routes = found->again = false;
    found->body_written = found->commit_written = 0;
    bytes_clear(&found->items);
    if (bytes_append(&found->items, w->again.data, w->again.len)) {
        found->state = WAL_GROUP_FREE;
        return NULL;
    }
    found->items_count = w->again_count;
    found->repeated = (uint32_t)w->again.len;
    bytes_clear(&w->again);
    w->again_count = 0;
    w->filling = found;
    return found;
}

int wal_writer_blocked(const struct wal_writer *w)
{
    uint64_t room = w->segment_start_lsn + w->segment_bytes - w->next_lsn;

    return room < CONTROL_ROOM ? w->roll.blocked : 0;
}

struct wal_group *wal_writer_data_group(struct wal_writer *w)
{
    struct wal_group *g = w->filling;

    if (w->error || wal_writer_blocked(w) || (g && g->items.len >= SPAN_ITEM_BYTES_MAX))
        return NULL;
    if (!g)
        g = group_take(w, true);
    else if (!g->routes && groups_free(w) < WAL_GROUPS_CONTROL)
        return NULL;        /* one of those begun for items */
    if (g && !g->chunk) {
        g->chunk = aligned_alloc(WAL_BLOCK, WAL_CHUNK_BYTES);
        if (!g->chunk)
            return NULL;
        (void)loop_register(w->loop, g->chunk, WAL_CHUNK_BYTES);
    }
    return g;
}

int wal_writer_item(struct wal_writer *w, const struct wal_item *item,
                    const struct wal_tally *tallies)
{
    bool routes = item->type == WAL_SPAN || item->type == WAL_STREAM;
    struct wal_group *g = w->filling;
    int err;

    if (w->error)
        return -EAGAIN;
    if (!g)
        g = group_take(w, routes);
    else if (routes && !g->routes && groups_free(w) < WAL_GROUPS_CONTROL)
        return -EAGAIN;
    if (!g)
        return -EAGAIN;
    err = wal_item_append(&g->items, item, tallies);
    if (err)
        return err;
    g->items_count++;
    g->routes |= routes;
    g->again |= item_twice(item->type);
    return 0;
}

/*
 * A group gets its lsn only when it is closed, but its number in the row of COMMITs is known. What
 * is said again counts from then on.
 */
uint64_t wal_writer_barrier(const struct wal_writer *w)
{
    return w->commits + w->flight_count + 1 + (w->filling && w->filling->again);
}

bool wal_writer_barrier_synced(const struct wal_writer *w, uint64_t barrier)
{
    return w->synced_commits >= barrier;
}

void wal_writer_want_sync(struct wal_writer *w, uint64_t barrier)
{
    if (barrier <= w->synced_commits)
        return;
    if (w->sync_wanted_first <= w->synced_commits || barrier < w->sync_wanted_first)
        w->sync_wanted_first = barrier;
    if (w->sync_wanted_last < barrier)
        w->sync_wanted_last = barrier;
}

/* --- writing ------------------------------------------------------------------------------ */

static void on_body(struct io_op *op, int res);
static void on_commit(struct io_op *op, int res);

static void body_write(struct wal_writer *w, struct wal_group *g)
{
    uint32_t len = (uint32_t)bytes_round_up(g->body_len, WAL_BLOCK);

    io_write(w->loop, &g->op, w->fd, g->chunk + g->body_written, len - g->body_written,
             g->body_lsn - w->segment_start_lsn + g->body_written, on_body);
}

static void commit_write(struct wal_writer *w, struct wal_group *g)
{
    io_write(w->loop, &g->op, w->fd, g->record + g->commit_written,
             g->commit.bytes - g->commit_written,
             g->commit.lsn - w->segment_start_lsn + g->commit_written, on_commit);
}

/* After a short write the rest goes on from the last whole block. True: all of `len` is written. */
static bool written(struct wal_writer *w, int res, uint32_t len, uint32_t *done, const char *what)
{
    if (res <= 0) {
        wal_writer_fail(w, res < 0 ? res : -EIO, what);
        return false;
    }
    *done += (uint32_t)res;
    if (*done >= len)
        return true;
    *done = (uint32_t)bytes_round_down(*done, WAL_BLOCK);
    return false;
}

static void on_body(struct io_op *op, int res)
{
    struct wal_group *g = op->ctx;
    struct wal_writer *w = g->writer;

    if (!written(w, res, (uint32_t)bytes_round_up(g->body_len, WAL_BLOCK), &g->body_written,
                 "write")) {
        if (!w->error)
            body_write(w, g);
        return;
    }
    g->state = WAL_GROUP_READY;
    commits_start(w);
}

/* D3: the first group in flight may write its COMMIT once its body is complete. */
static void commits_start(struct wal_writer *w)
{
    struct wal_group *g = w->flight_first;

    if (!g || g->state != WAL_GROUP_READY || w->error)
        return;
    g->commit.synced_lsn = w->synced_lsn;
    wal_commit_format(&w->id, &g->commit, g->items.data, g->record);
    g->state = WAL_GROUP_COMMIT;
    commit_write(w, g);
}

static void group_apply(struct wal_writer *w, struct wal_group *g)
{
    const uint8_t *at = g->items.data + g->repeated, *end = g->items.data + g->items.len;
    struct wal_item item;

    while (at < end) {
        int err = wal_item_next(&at, end, &item);

        if (!err)
            err = wal_state_apply(w->state, &item, g->end_lsn);
        if (err == -ENOMEM) {
            wal_writer_fail(w, err, "no memory for the log's tables");
            return;
        }
        INVARIANT(err == 0);    /* these are our own items */
    }
}

static void on_commit(struct io_op *op, int res)
{
    struct wal_group *g = op->ctx;
    struct wal_writer *w = g->writer;

    if (!written(w, res, g->commit.bytes, &g->commit_written, "commit")) {
        if (!w->error)
            commit_write(w, g);
        return;
    }
    if (w->error)       /* it may be in the log, and is found there; nobody has been told so */
        return;
    INVARIANT(w->flight_first == g);
    w->flight_first = g->next;
    if (!w->flight_first)
        w->flight_last = &w->flight_first;
    w->flight_count--;
    w->commits++;
    w->committed_lsn = g->end_lsn;
    g->state = WAL_GROUP_COMMITTED;
    g->next = NULL;
    group_apply(w, g);
    if (w->error)
        return;
    w->on_committed(w->ctx, g);
    if (g->routes) {
        *w->done_last = g;
        w->done_last = &g->next;
    } else {
        g->state = WAL_GROUP_FREE;
    }
    commits_start(w);
}

/* Leaves to the next group what it has to say again. 0 or -ENOMEM. */
static int items_again(struct wal_writer *w, const struct wal_group *g)
{
    const uint8_t *at = g->items.data + g->repeated, *end = g->items.data + g->items.len;
    struct wal_item item;
    int err = 0;

    while (g->again && !err && at < end) {
        const uint8_t *from = at;

        err = wal_item_next(&at, end, &item);
        INVARIANT(err == 0);    /* these are our own items */
        if (!item_twice(item.type))
            continue;
        err = bytes_append(&w->again, from, (size_t)(at - from));
        w->again_count++;
    }
    return err;
}

/* Gives the filling group its place and starts writing. False: the segment is full. */
static bool group_close(struct wal_writer *w)
{
    struct wal_group *g = w->filling;
    uint32_t body = (uint32_t)bytes_round_up(g->body_len, WAL_BLOCK);
    uint32_t record = wal_commit_bytes((uint32_t)g->items.len);

    if (w->next_lsn + body + record > w->segment_start_lsn + w->segment_bytes)
        return false;
    if (record > g->record_cap) {
        free(g->record);
        g->record_cap = 0;
        g->record = aligned_alloc(WAL_BLOCK, record);
        if (!g->record) {
            wal_writer_fail(w, -ENOMEM, "no memory for a commit");
            return false;
        }
        g->record_cap = record;
    }
    if (items_again(w, g)) {
        wal_writer_fail(w, -ENOMEM, "no memory for items");
        return false;
    }
    if (body > g->body_len)
        memset(g->chunk + g->body_len, 0, body - g->body_len);
    g->commit = (struct wal_commit){
        .lsn = w->next_lsn + body,
        .group_lsn = w->next_lsn,
        .real_ns = loop_real_ns(w->loop),
        .boot_ns = loop_now_ns(w->loop),
        .items = g->items_count,
        .item_bytes = (uint32_t)g->items.len,
        .bytes = record,
    };
    g->body_lsn = w->next_lsn;
    g->end_lsn = w->next_lsn = g->commit.lsn + record;
    g->op.ctx = g;
    g->next = NULL;
    *w->flight_last = g;
    w->flight_last = &g->next;
    w->flight_count++;
    w->filling = NULL;
    if (body > 0) {
        g->state = WAL_GROUP_BODY;
        body_write(w, g);
    } else {
        g->state = WAL_GROUP_READY;
        commits_start(w);
    }
    return true;
}

/* --- syncing ------------------------------------------------------------------------------ */

/* Who waits between the first and the last is not kept: the next COMMIT may be the one. */
static void sync_wanted_next(struct wal_writer *w)
{
    if (w->sync_wanted_first <= w->synced_commits && w->sync_wanted_last > w->synced_commits)
        w->sync_wanted_first = w->synced_commits + 1;
}

void wal_writer_synced(struct wal_writer *w)
{
    w->synced_commits = w->commits;
    sync_wanted_next(w);
}

static void on_sync(struct io_op *op, int res)
{
    struct wal_writer *w = op->ctx;

    w->sync_in_flight = false;
    if (res < 0) {
        wal_writer_fail(w, res, "sync");
        return;
    }
    w->syncs++;
    w->synced_lsn = w->sync_target_lsn;
    w->synced_commits = w->sync_target_commits;
    sync_wanted_next(w);
}

static void sync_step(struct wal_writer *w)
{
    uint64_t now = loop_now_ns(w->loop);
    bool due;

    if (w->sync_in_flight || w->error || wal_roll_active(&w->roll)
        || w->synced_commits == w->commits)
        return;
    due = w->sync_wanted_first > w->synced_commits && w->sync_wanted_first <= w->commits;
    if (w->opt.sync == WAL_SYNC_ALWAYS)
        due = true;
    if (w->opt.sync == WAL_SYNC_INTERVAL && now - w->sync_last_ns >= w->opt.sync_interval_ns)
        due = true;
    if (!due)
        return;
    w->sync_in_flight = true;
    w->sync_target_lsn = w->committed_lsn;
    w->sync_target_commits = w->commits;
    w->sync_last_ns = now;
    w->sync_op.ctx = w;
    io_sync(w->loop, &w->sync_op, w->fd, true, on_sync);
}

uint64_t wal_writer_deadline_ns(const struct wal_writer *w)
{
    uint64_t retry = w->roll.blocked ? w->roll.retry_ns : UINT64_MAX, sync;

    if (w->opt.sync != WAL_SYNC_INTERVAL || w->sync_in_flight || wal_roll_active(&w->roll)
        || w->synced_commits == w->commits)
        return retry;
    sync = w->sync_last_ns + w->opt.sync_interval_ns;
    return sync < retry ? sync : retry;
}

void wal_writer_ask_roll(struct wal_writer *w)
{
    w->roll_asked = true;
}

static void on_zeros(struct io_op *op, int res)
{
    struct wal_writer *w = op->ctx;

    w->wearing_in = false;
    w->fresh_lsn = res == ZERO_BYTES ? w->fresh_lsn + ZERO_BYTES : UINT64_MAX;
}

/*
 * The first write to a reserved block has the file system note that, which takes it milliseconds.
 * While there is nothing else to do, zeros are written a little ahead, so that the first event
 * after a pause is not the one to wait. Groups wait until they are there: no block is in two
 * writes at once.
 */
static void blocks_wear_in(struct wal_writer *w)
{
    uint64_t end = w->segment_start_lsn + w->segment_bytes;

    if (!w->direct || !wal_writer_idle(w) || w->fresh_lsn >= w->next_lsn + ZERO_BYTES / 4)
        return;
    if (w->fresh_lsn < w->next_lsn)
        w->fresh_lsn = w->next_lsn;
    if (w->fresh_lsn + ZERO_BYTES > end)
        return;
    if (!w->zeros) {
        w->zeros = aligned_alloc(WAL_BLOCK, ZERO_BYTES);
        if (!w->zeros)
            return;
        memset(w->zeros, 0, ZERO_BYTES);
    }
    w->wearing_in = true;
    w->zero_op.ctx = w;
    io_write(w->loop, &w->zero_op, w->fd, w->zeros, ZERO_BYTES,
             w->fresh_lsn - w->segment_start_lsn, on_zeros);
}

/*
 * COMMITs go one after the other, each a round trip to the disk, so under load a group had better
 * be large; and with more than a few in flight they only wait for each other at the disk.
 */
static bool close_due(const struct wal_writer *w, const struct wal_group *g)
{
    if (w->flight_count == 0 || g->items.len >= CLOSE_ITEM_BYTES)
        return true;
    return wal_group_room(g) < CLOSE_ROOM_BYTES
           || (w->flight_count < CLOSE_FLIGHT && g->body_len >= CLOSE_BODY_BYTES);
}

void wal_writer_step(struct wal_writer *w, bool flush)
{
    struct wal_group *g = w->filling;

    if (w->error || wal_roll_active(&w->roll) || w->wearing_in)
        return;
    if (!g && w->again.len > 0)
        g = group_take(w, false);
    if (w->roll_asked && w->flight_count == 0 && !w->sync_in_flight) {
        w->roll_asked = false;
        wal_segment_roll(w);
        return;
    }
    if (g && g->items_count > 0 && (flush || close_due(w, g)) && !group_close(w) && !w->error
        && w->flight_count == 0 && !w->sync_in_flight)
        wal_segment_roll(w);
    else
        wal_segment_prepare(w);
    sync_step(w);
    blocks_wear_in(w);
}

struct wal_group *wal_writer_done(struct wal_writer *w)
{
    return w->done_first;
}

void wal_writer_release(struct wal_writer *w, struct wal_group *g)
{
    INVARIANT(w->done_first == g && g->state == WAL_GROUP_COMMITTED);
    w->done_first = g->next;
    if (!w->done_first)
        w->done_last = &w->done_first;
    g->state = WAL_GROUP_FREE;
}

bool wal_writer_idle(const struct wal_writer *w)
{
    return (!w->filling || w->filling->items_count == 0) && w->again.len == 0
           && w->flight_count == 0
           && !w->sync_in_flight && !w->roll_asked && !w->wearing_in && !wal_roll_active(&w->roll);
}
