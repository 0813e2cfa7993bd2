/*
 * wal_writer: groups from filling to commit, and syncs.
 * Owns:   groups and the segment's descriptor.
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
    CONTROL_ROOM = WAL_CHUNK_BYTES + 1024 * 1024,   /* kept while there is no next segment */
    ITEM_BYTES_MAX = 1024 * 1024,       /* beyond it no more ring bytes or schemas join a group */
    RING_ITEM_BYTES = 96,               /* of an ATTACH, a DEF, a SCHEMA without its body, about */
    DEF_ITEM_BYTES = 24,
    SCHEMA_ITEM_BYTES = 24
};

static void commits_start(struct wal_writer *w);

/* Said by two groups, so that no damaged one takes more than its own events. Idempotent. */
static bool item_twice(enum wal_item_type type)
{
    switch (type) {
    case WAL_ATTACH:
    case WAL_DEF:
    case WAL_SCHEMA:
    case WAL_STREAM:
    case WAL_SEAL:
    case WAL_STAGED:
        return true;
    default:
        return false;
    }
}

static void say(const struct wal_writer *w, struct errmsg *ret_text, int err, const char *what)
{
    errmsg_set(ret_text, err, "log segment %s/%s: %s: %s", w->dir->path,
               w->dir->count ? w->dir->segments[w->dir->count - 1].name : "", what,
               strerror(-err));
}

void wal_writer_fail(struct wal_writer *w, int err, const char *what)
{
    if (w->error)
        return;
    w->error = err;
    say(w, &w->error_text, err, what);
}

/* What completes from now on counts for nothing: all that is not synced will be written again. */
void wal_writer_segment_failed(struct wal_writer *w, int err, const char *what)
{
    if (w->failed)
        return;
    w->failed = err;
    w->dir->segments[w->dir->count - 1].damaged = true;
    say(w, &w->trouble, err, what);
}

/* --- open and close ------------------------------------------------------------------------ */

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
    r = wal_segment_finish(dir, synced_lsn, *end_lsn);
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
    w->opt.segment_size = wal_segment_bytes(opt->segment_size);
    w->done_last = &w->done_first;
    w->next_number = dir->number_max + 1;
    wal_groups_init(&w->groups, loop);
    memcpy(w->id.uuid, opt->uuid, sizeof(w->id.uuid));
    w->id.epoch = opt->epoch;
    w->synced_lsn = end_lsn;
    r = wal_segment_first(w, end_lsn);
    if (r)
        return errmsg_set(err, r, "%s: cannot begin a log segment: %s", dir->path, strerror(-r));
    w->sync_last_ns = loop_now_ns(loop);
    return 0;
}

static void segment_close(struct wal_writer *w)
{
    struct wal_segment *seg = &w->dir->segments[w->dir->count - 1];
    int err = file_sync(w->fd);

    seg->end_lsn = w->committed_lsn;
    if (err)
        wal_writer_fail(w, err, "sync");
    /* Only room is at stake: the next start cuts it too. */
    else if (file_truncate(w->fd, w->committed_lsn - seg->header.start_lsn) == 0)
        seg->size_bytes = w->committed_lsn - seg->header.start_lsn;
}

static void groups_close(struct wal_writer *w)
{
    struct wal_group *g, *next;

    wal_groups_synced(&w->groups, UINT64_MAX);      /* nobody will write them again */
    for (g = w->flight_first; g; g = next) {
        next = g->next;
        wal_group_release(&w->groups, g);
    }
    for (g = w->done_first; g; g = next) {
        next = g->next_done;
        wal_group_release(&w->groups, g);
    }
    if (w->filling)
        wal_group_release(&w->groups, w->filling);
    w->flight_first = w->done_first = w->filling = NULL;
    wal_groups_fini(&w->groups);
}

void wal_writer_close(struct wal_writer *w)
{
    if (w->failed && !w->error) {
        w->error = w->failed;
        w->error_text = w->trouble;
    }
    if (w->fd >= 0 && !w->error && w->dir->count > 0)
        segment_close(w);
    file_close(w->fd);
    w->fd = -1;
    wal_segment_drop(w);
    free(w->zeros);
    free(w->record);
    w->zeros = w->record = NULL;
    bytes_free(&w->again);
    if (w->dir)
        wal_dir_drop_spares(w->dir);
    groups_close(w);
}

/* --- filling ------------------------------------------------------------------------------ */

static struct wal_group *group_take(struct wal_writer *w, bool routes)
{
    struct wal_group *g = wal_group_take(&w->groups, routes);

    if (!g)
        return NULL;
    if (bytes_append(&g->items, w->again.data, w->again.len)) {
        wal_group_release(&w->groups, g);
        return NULL;
    }
    g->writer = w;
    g->items_count = w->again_count;
    g->repeated = (uint32_t)w->again.len;
    bytes_clear(&w->again);
    w->again_count = 0;
    w->filling = g;
    return g;
}

static uint64_t segment_room(const struct wal_writer *w)
{
    return w->segment_start_lsn + w->segment_bytes - w->next_lsn;
}

int wal_writer_blocked(const struct wal_writer *w)
{
    return wal_roll_full(&w->roll) && segment_room(w) < CONTROL_ROOM ? w->roll.blocked : 0;
}

int wal_writer_failing(const struct wal_writer *w)
{
    if (w->failed)
        return w->failed;
    return wal_roll_full(&w->roll) && !w->roll.held ? 0 : w->roll.blocked;
}

/* Nothing may be written to this segment any more. */
static bool segment_over(const struct wal_writer *w)
{
    return w->failed || w->roll.held;
}

struct wal_group *wal_writer_data_group(struct wal_writer *w)
{
    struct wal_group *g = w->filling;

    if (w->error || segment_over(w) || (w->roll.blocked && segment_room(w) < CONTROL_ROOM)
        || w->groups.kept_bytes >= w->opt.kept_bytes_max
        || (g && g->items.len >= ITEM_BYTES_MAX))
        return NULL;
    if (!g)
        g = group_take(w, true);
    else if (!wal_group_may_route(&w->groups, g))
        return NULL;        /* one of those begun for items */
    return g && wal_group_lend(&w->groups, g) == 0 ? g : NULL;
}

/* Adds to what a CHECKPOINT will take; one at the next roll counts it anew. */
static void checkpoint_count(struct wal_writer *w, const struct wal_item *item, size_t bytes)
{
    if (item->type == WAL_ATTACH || item->type == WAL_DEF || item->type == WAL_SCHEMA
        || item->type == WAL_STREAM)
        w->checkpoint_bytes += bytes;
}

bool wal_writer_checkpoint_full(const struct wal_writer *w)
{
    return w->checkpoint_bytes > w->opt.segment_size / 4;
}

int wal_writer_item(struct wal_writer *w, const struct wal_item *item,
                    const struct wal_tally *tallies)
{
    bool routes = item->type == WAL_SPAN || item->type == WAL_STREAM;
    struct wal_group *g = w->filling;
    size_t before;
    int err;

    if (w->error || segment_over(w))
        return -EAGAIN;
    if (!g)
        g = group_take(w, routes);
    else if (routes && !wal_group_may_route(&w->groups, g))
        return -EAGAIN;
    if (!g || (item->type == WAL_SCHEMA && g->items.len >= ITEM_BYTES_MAX))
        return -EAGAIN;
    before = g->items.len;
    err = wal_item_append(&g->items, item, tallies);
    if (err)
        return err;
    checkpoint_count(w, item, g->items.len - before);
    g->items_count++;
    g->routes |= routes;
    g->again |= item_twice(item->type);
    return 0;
}

uint64_t wal_writer_memory_bytes(const struct wal_writer *w)
{
    const struct wal_groups *gs = &w->groups;

    return gs->kept_bytes + (uint64_t)(gs->chunks - gs->kept_chunks) * WAL_CHUNK_BYTES;
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
    io_write(w->loop, &g->op, w->fd, w->record + g->commit_written,
             g->commit.bytes - g->commit_written,
             g->commit.lsn - w->segment_start_lsn + g->commit_written, on_commit);
}

/* 1: all of `len` is written, 0: there is more to write, -errno. */
static int written(const struct wal_writer *w, int res, uint32_t len, uint32_t *done)
{
    uint32_t before = *done;

    if (res < 0)
        return res;
    *done += (uint32_t)res;
    if (*done >= len)
        return 1;
    if (w->direct)          /* goes on from the last whole block */
        *done = (uint32_t)bytes_round_down(*done, WAL_BLOCK);
    return *done > before ? 0 : -EIO;
}

static void on_body(struct io_op *op, int res)
{
    struct wal_group *g = op->ctx;
    struct wal_writer *w = g->writer;
    int r = written(w, res, (uint32_t)bytes_round_up(g->body_len, WAL_BLOCK), &g->body_written);

    if (r == 0 && !w->failed) {
        body_write(w, g);
        return;
    }
    g->state = WAL_GROUP_READY;
    if (r < 0)
        wal_writer_segment_failed(w, r, "write");
    commits_start(w);
}

const uint8_t *wal_writer_record(struct wal_writer *w, struct wal_group *g,
                                 const struct wal_identity *id, uint64_t synced_lsn)
{
    if (g->commit.bytes > w->record_cap) {
        free(w->record);
        w->record = aligned_alloc(WAL_BLOCK, g->commit.bytes);
        w->record_cap = w->record ? g->commit.bytes : 0;
    }
    if (!w->record)
        return NULL;
    g->commit.synced_lsn = synced_lsn;
    wal_commit_format(id, &g->commit, g->items.data, w->record);
    return w->record;
}

/* D3: the first group in flight may write its COMMIT once its body is complete. */
static void commits_start(struct wal_writer *w)
{
    struct wal_group *g = w->flight_first;

    if (!g || g->state != WAL_GROUP_READY || w->failed || w->error)
        return;
    if (!wal_writer_record(w, g, &w->id, w->synced_lsn)) {
        wal_writer_fail(w, -ENOMEM, "no memory for a commit");
        return;
    }
    g->state = WAL_GROUP_COMMIT;
    g->commit_written = 0;
    commit_write(w, g);
}

/* What the CHECKPOINTs to come will not say of a ring any more. */
static void checkpoint_uncount(struct wal_writer *w, uint32_t ring)
{
    const struct wal_ring *r = wal_state_ring(w->state, ring);
    uint64_t bytes = r ? RING_ITEM_BYTES : 0;

    for (uint16_t i = 0; r && i < r->defs_count; i++)
        bytes += r->defs[i].schema ? SCHEMA_ITEM_BYTES + r->defs[i].schema_len : DEF_ITEM_BYTES;
    w->checkpoint_bytes -= bytes < w->checkpoint_bytes ? bytes : w->checkpoint_bytes;
}

static void group_apply(struct wal_writer *w, struct wal_group *g)
{
    const uint8_t *at = g->items.data + g->repeated, *end = g->items.data + g->items.len;
    struct wal_item item;

    while (at < end) {
        int err = wal_item_next(&at, end, &item);

        if (!err && item.type == WAL_RETIRE)
            checkpoint_uncount(w, item.u.retire.ring);
        if (!err)
            err = wal_state_apply(w->state, &item, g->end_lsn);
        if (err == -ENOMEM) {
            wal_writer_fail(w, err, "no memory for the log's tables");
            return;
        }
        INVARIANT(err == 0);    /* these are our own items */
    }
}

void wal_writer_commit(struct wal_writer *w)
{
    struct wal_group *g = w->flight_first;

    w->flight_first = g->next;
    w->flight_count--;
    w->commits++;
    histogram_add(&w->commit_ns, HISTOGRAM_NS, loop_now_ns(w->loop) - g->commit.boot_ns);
    w->committed_lsn = g->end_lsn;
    g->state = WAL_GROUP_COMMITTED;
    group_apply(w, g);
    if (w->error)
        return;
    w->on_committed(w->ctx, g);
    if (!g->routes) {
        wal_group_release(&w->groups, g);
        return;
    }
    g->next_done = NULL;
    *w->done_last = g;
    w->done_last = &g->next_done;
}

static void on_commit(struct io_op *op, int res)
{
    struct wal_group *g = op->ctx;
    struct wal_writer *w = g->writer;
    int r = written(w, res, g->commit.bytes, &g->commit_written);

    if (r == 0 && !w->failed) {
        commit_write(w, g);
        return;
    }
    g->state = WAL_GROUP_READY;
    if (r < 0)
        wal_writer_segment_failed(w, r, "commit");
    if (w->failed || w->error)  /* it may be in the log, and is found there; nobody has been told */
        return;
    INVARIANT(w->flight_first == g);
    wal_writer_commit(w);
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
    wal_group_keep(&w->groups, g);
    if (!w->flight_first)
        w->flight_first = g;
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

static void synced(struct wal_writer *w, uint64_t lsn, uint64_t commits)
{
    w->synced_lsn = lsn;
    w->synced_commits = commits;
    wal_groups_synced(&w->groups, lsn);
    sync_wanted_next(w);
}

void wal_writer_synced(struct wal_writer *w)
{
    synced(w, w->committed_lsn, w->commits);
}

static void on_sync(struct io_op *op, int res)
{
    struct wal_writer *w = op->ctx;

    w->sync_in_flight = false;
    if (res < 0) {
        wal_writer_segment_failed(w, res, "sync");
        return;
    }
    w->syncs++;
    synced(w, w->sync_target_lsn, w->sync_target_commits);
}

static void sync_step(struct wal_writer *w)
{
    uint64_t now = loop_now_ns(w->loop);
    bool due;

    if (w->sync_in_flight || w->error || wal_roll_active(&w->roll)
        || w->synced_commits == w->commits)
        return;
    due = w->sync_wanted_first > w->synced_commits && w->sync_wanted_first <= w->commits;
    due |= w->groups.kept_bytes >= w->opt.kept_bytes_max / 2;
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

/* Nothing is under way to the segment. */
static bool settled(const struct wal_writer *w)
{
    for (const struct wal_group *g = w->flight_first; g; g = g->next)
        if (g->state != WAL_GROUP_READY)
            return false;
    return !w->sync_in_flight && !w->wearing_in;
}

uint64_t wal_writer_deadline_ns(const struct wal_writer *w)
{
    uint64_t retry = w->roll.blocked ? w->roll.retry_ns : UINT64_MAX, sync;

    if (wal_roll_active(&w->roll))
        return UINT64_MAX;
    if (w->failed)
        return settled(w) ? w->roll.retry_ns : UINT64_MAX;
    if (w->opt.sync != WAL_SYNC_INTERVAL || w->sync_in_flight || w->synced_commits == w->commits)
        return retry;
    sync = w->sync_last_ns + w->opt.sync_interval_ns;
    return sync < retry ? sync : retry;
}

void wal_writer_ask_roll(struct wal_writer *w)
{
    w->roll_asked = true;
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

    if (w->error || wal_roll_active(&w->roll))
        return;
    if (w->failed) {
        if (settled(w))
            wal_segment_continue(w);
        return;
    }
    if (w->wearing_in)
        return;
    if (w->roll.held || (w->roll_asked && wal_segment_may_roll(w))) {
        if (w->flight_count == 0 && !w->sync_in_flight)
            wal_segment_roll(w);
        return;
    }
    if (!g && w->again.len > 0)
        g = group_take(w, false);
    if (g && g->items_count > 0 && (flush || close_due(w, g)) && !group_close(w) && !w->error
        && w->flight_count == 0 && !w->sync_in_flight)
        wal_segment_roll(w);
    else
        wal_segment_prepare(w);
    sync_step(w);
    if (wal_writer_idle(w))
        wal_segment_wear_in(w);
}

struct wal_group *wal_writer_done(struct wal_writer *w)
{
    return w->done_first;
}

void wal_writer_release(struct wal_writer *w, struct wal_group *g)
{
    INVARIANT(w->done_first == g && g->state == WAL_GROUP_COMMITTED);
    w->done_first = g->next_done;
    if (!w->done_first)
        w->done_last = &w->done_first;
    wal_group_release(&w->groups, g);
}

bool wal_writer_idle(const struct wal_writer *w)
{
    return (!w->filling || w->filling->items_count == 0) && w->again.len == 0
           && w->flight_count == 0 && !w->sync_in_flight && (!w->roll_asked || w->roll.blocked)
           && !w->wearing_in && !wal_roll_active(&w->roll) && !segment_over(w);
}
