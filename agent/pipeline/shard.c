/*
 * shard: one turn of the path. Read this first.
 *
 *     rings ─► drain ─► log ─► gather ─► seal ─► deliver ─► acknowledge ─► trim
 *       ▲        │       │                                      │
 *       └────────┴───────┴───── accepted, durable, delivered ◄──┘
 *
 * A turn does a bounded piece of each stage and hands what it prepared to the kernel once; what
 * completes sets states and is picked up by the stage it belongs to. Nothing here waits but the
 * loop.
 *
 * Owns:   the shard.
 * Thread: shard.
 */
#include "pipeline/shard.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/invariant.h"
#include "pipeline/parts.h"

#define SPIN_NS         50000ULL        /* after the last event: look again without sleeping */
#define LOOK_NS         300000ULL       /* while the disk is at work */
#define SLEEP_NS_MIN    50000ULL
#define SLEEP_NS_MAX    4500000ULL      /* and a turn: an event after a pause is taken in 5 ms */
#define TRIM_RETRY_NS   1000000000ULL

enum {
    LOOP_ENTRIES = 256,
    SCANS_WAITED = 2,                       /* one may be under way, one begins after it */
    SEGMENTS_RESERVED = 2,
    PART_BYTES_MIN = 8 * 1024 * 1024,       /* of memory and log for one of several */
    SEGMENT_ROOM = 2 * WAL_CHUNK_BYTES + 64 * 1024,
    LAST_SEGMENT_BYTES = 1024 * 1024        /* more than this is not left behind at a stop */
};

void shard_fail(struct shard *s, int err, const char *fmt, ...)
{
    char text[400];
    va_list ap;

    if (s->error)
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    s->error = err;
    errmsg_set(&s->error_text, err, "%s", text);
}

void shard_pressure(struct shard *s, enum status_backpressure which, bool on, const char *why)
{
    s->backpressure[which] = on;
    if (on)
        s->backpressure_ns[which] = loop_now_ns(s->loop);
    if (on && !s->backpressure_said[which]) {
        s->backpressure_said[which] = true;
        log_warn("back pressure: %s: %s", backpressure_names[which], why);
    }
}

uint64_t shard_routed_lsn(const struct shard *s)
{
    if (s->catching_up)
        return s->replay_has_group ? s->replay.body_lsn : s->reader.lsn;
    return s->writer.done_first ? s->writer.done_first->body_lsn : s->writer.committed_lsn;
}

uint64_t shard_low_water(const struct shard *s)
{
    return ack_low_water(&s->unfinished, shard_routed_lsn(s));
}

/* --- requests ------------------------------------------------------------------------------- */

enum { FLUSH_DISCOVER, FLUSH_DRAIN, FLUSH_ROUTE, FLUSH_DELIVER };

static void request_take(struct shard *s, struct shard_request *req)
{
    if (req->kind == REQUEST_CONTROL) {
        s->opt.control(s->opt.control_ctx, req);
        return;
    }
    if (s->all->count > 1 && s->number == 0 && !req->gathers) {
        gathering_begin(s, req, request_take);
        return;
    }
    if (s->stop == STOP_DONE && req->kind != REQUEST_STATUS) {
        req->done(req, -ESHUTDOWN);
        return;
    }
    switch (req->kind) {
    case REQUEST_STATUS:
        req->done(req, snapshot_make(s, &req->status));
        break;
    case REQUEST_LOOK:
    case REQUEST_SEAL:
    case REQUEST_FLUSH:
        req->step = FLUSH_DISCOVER;
        req->scans_max = discover_scans(s->discover) + SCANS_WAITED;
        req->next = s->flushes;
        s->flushes = req;
        s->watch_ready = true;
        break;
    case REQUEST_RELOAD:
        s->opt.settings_ctx = req->settings_ctx;
        shard_reload(s);
        req->done(req, 0);
        break;
    default:
        req->done(req, -EINVAL);
    }
}

/* Are all batches of a stream sealed that have an event below this? */
static bool stream_sealed(const struct stream *st, uint64_t lsn)
{
    for (const struct batch *b = st->unfinished_first; b && b->first_lsn < lsn;
         b = b->of_stream.next)
        if (!((const struct seal_batch *)b)->sealed)
            return false;
    return true;
}

static bool streams_sealed(const struct shard *s, const char *stream, uint64_t lsn)
{
    for (uint32_t i = 0; i < s->streams.cap; i++) {
        const struct stream *st = s->streams.by_id[i];

        if (st && (!stream[0] || strcmp(st->name, stream) == 0) && !stream_sealed(st, lsn))
            return false;
    }
    return true;
}

/*
 * A flush: find rings, drain each to its present head, route that, seal, wait until delivered; the
 * others end on the way. Returns 1 while under way, else the result.
 */
static int flush_step(struct shard *s, struct shard_request *req)
{
    struct stream *st = NULL;

    switch (req->step) {
    case FLUSH_DISCOVER:
        if (s->watch_ready || (s->scanning && discover_scans(s->discover) < req->scans_max))
            return 1;
        drain_begin(s);
        req->step = FLUSH_DRAIN;
        return 1;
    case FLUSH_DRAIN:
        if (!drain_reached(s))
            return 1;
        req->flush_lsn = s->writer.committed_lsn;
        req->step = FLUSH_ROUTE;
        /* fall through */
    case FLUSH_ROUTE:
        if (shard_routed_lsn(s) < req->flush_lsn)
            return 1;
        if (req->kind == REQUEST_LOOK)
            return snapshot_make(s, &req->status);
        if (req->stream[0] && !stream_by_name(&s->streams, req->stream))
            return -ENOENT;
        for (uint32_t i = 0; i < s->streams.cap; i++) {
            st = s->streams.by_id[i];
            if (st && (!req->stream[0] || strcmp(st->name, req->stream) == 0))
                seal_stream(s, st, req->flush_lsn);
        }
        req->step = FLUSH_DELIVER;
        return 1;
    default:
        if (req->kind == REQUEST_SEAL)
            return !streams_sealed(s, req->stream, req->flush_lsn);
        if (req->stream[0])
            st = stream_by_name(&s->streams, req->stream);
        return (st ? ack_stream_low_water(st, UINT64_MAX)
                   : ack_low_water(&s->unfinished, UINT64_MAX)) < req->flush_lsn;
    }
}

static bool requests_turn(struct shard *s)
{
    struct shard_request *req = mailbox_take(&s->mailbox), **at;
    bool moved = req != NULL;

    while (req) {
        struct shard_request *next = req->next;

        request_take(s, req);
        req = next;
    }
    for (at = &s->flushes; (req = *at);) {
        int r = flush_step(s, req);

        if (r > 0) {
            at = &req->next;
            continue;
        }
        *at = req->next;
        req->done(req, r);
        moved = true;
    }
    return moved;
}

/* --- limits, trim, stop --------------------------------------------------------------------- */

static void limits_check(struct shard *s)
{
    uint64_t used = wal_dir_bytes(&s->dir) + s->spool_bytes, segment = s->opt.segment_size;
    uint64_t now = loop_now_ns(s->loop);

    /* A segment takes two full groups, however small it should be. */
    if (segment < SEGMENT_ROOM)
        segment = SEGMENT_ROOM;
    if (s->writer.error)
        shard_fail(s, s->writer.error, "%s", s->writer.error_text.text);
    /* Control items may still be written: that is what frees the log. */
    shard_pressure(s, BACKPRESSURE_LOG_FULL,
                   used + SEGMENTS_RESERVED * segment > s->opt.wal_bytes_max && s->dir.count > 2,
                   "log and files of batches have reached max_bytes");
    shard_pressure(s, BACKPRESSURE_LOG_ERROR, wal_writer_failing(&s->writer) != 0,
                   s->writer.trouble.text);
    for (int i = 0; i < BACKPRESSURE_COUNT; i++) {
        if (s->backpressure[i])
            s->backpressure_ns[i] = now;
        else if (s->backpressure_said[i] && now - s->backpressure_ns[i] >= PRESSURE_OVER_NS) {
            s->backpressure_said[i] = false;
            log_info("back pressure: %s: over", backpressure_names[i]);
        }
    }
}

/* D8: TRIM synced, then whole segments below it go. */
static void trim_step(struct shard *s)
{
    struct wal_item it = {.type = WAL_TRIM};
    struct errmsg err;
    uint64_t low = shard_low_water(s);

    if (s->trim_barrier != 0) {
        if (!wal_writer_barrier_synced(&s->writer, s->trim_barrier))
            return;
        s->trim_barrier = 0;
        if (wal_dir_trim(&s->dir, s->trim_lsn, &err)) {
            log_error("%s", err.text);
            s->trim_retry_ns = loop_now_ns(s->loop) + TRIM_RETRY_NS;
        }
    }
    if (wal_dir_trimmable(&s->dir, low) == 0 || s->catching_up
        || loop_now_ns(s->loop) < s->trim_retry_ns)
        return;
    it.u.trim.lsn = low;
    if (wal_writer_item(&s->writer, &it, NULL))
        return;
    s->trim_lsn = low;
    s->trim_barrier = wal_writer_barrier(&s->writer);
    wal_writer_want_sync(&s->writer, s->trim_barrier);
}

static void stop_begin(struct shard *s, uint64_t by_ns)
{
    s->stop = STOP_SCAN;
    s->stop_by_ns = by_ns;
    discover_rescan(s->discover);
    s->stop_scans_max = discover_scans(s->discover) + SCANS_WAITED;
    s->scanning = true;
    for (uint32_t i = 0; i < s->rings_count; i++)
        s->rings[i]->check_alive = true;
}

void shard_stop(struct shard *s, uint64_t timeout_ns)
{
    if (s->stop == STOP_NO)
        stop_begin(s, loop_refresh_ns(s->loop) + timeout_ns);
}

/*
 * Find the last rings, drain to their heads of then, route, seal, deliver, trim; at the time limit
 * the log keeps the rest.
 */
static void stop_step(struct shard *s)
{
    bool late = loop_now_ns(s->loop) >= s->stop_by_ns;

    switch (s->stop) {
    case STOP_SCAN:
        if (!late && (s->watch_ready
                      || (s->scanning && discover_scans(s->discover) < s->stop_scans_max)))
            return;
        drain_begin(s);
        s->stop = STOP_DRAIN;
        return;
    case STOP_DRAIN:
        if (!late && !drain_reached(s))
            return;
        s->stop = STOP_DELIVER;
        return;
    case STOP_DELIVER:
        if (!late && shard_routed_lsn(s) < s->writer.committed_lsn)
            return;
        if (!late && !wal_writer_idle(&s->writer))
            return;
        for (uint32_t i = 0; i < s->streams.cap && !late; i++)
            if (s->streams.by_id[i])
                seal_stream(s, s->streams.by_id[i], UINT64_MAX);
        if (!late && (s->unfinished.first || publish_retiring(s)))
            return;
        if (!late && s->writer.committed_lsn - s->writer.segment_start_lsn > LAST_SEGMENT_BYTES)
            wal_writer_ask_roll(&s->writer);
        s->stop = STOP_LOG;
        return;
    case STOP_LOG:
        wal_writer_want_sync(&s->writer, s->writer.commits);
        if (late || (wal_writer_idle(&s->writer) && s->trim_barrier == 0
                     && wal_writer_barrier_synced(&s->writer, s->writer.commits))) {
            s->stop = STOP_DONE;
            /* Releases this shard's state to whoever sees that all have stopped. */
            atomic_fetch_add_explicit(&s->all->stopped, 1, memory_order_acq_rel);
        }
        return;
    default:
        return;
    }
}

/* --- the turn ------------------------------------------------------------------------------- */

static void on_bell(struct io_op *op, int res)
{
    struct shard *s = op->ctx;

    if (res >= 0)
        file_bell_drain(discover_bell(s->discover));
    shards_ring_bell(s->all);
    io_poll(s->loop, op, discover_bell(s->discover), on_bell);
}

static void on_watch(struct io_op *op, int res)
{
    struct shard *s = op->ctx;

    (void)res;
    s->watch_ready = true;
    io_poll(s->loop, op, discover_watch(s->discover), on_watch);
}

/* How long this turn may sleep. */
static uint64_t wait_until(struct shard *s, bool busy)
{
    uint64_t now = loop_now_ns(s->loop), idle, until;

    if (busy || s->opt.idle == SHARD_IDLE_SPIN) {
        s->idle_since_ns = now;
        return 0;
    }
    idle = now - s->idle_since_ns;
    if (loop_in_flight(s->loop) > (s->number == 0 ? 2 : 1)) {   /* the bell's poll, the watch's */
        /* The disk is at work and will wake us; rings are looked at meanwhile, without a spin. */
        until = now + LOOK_NS;
    } else if (idle < SPIN_NS && s->opt.idle == SHARD_IDLE_ADAPTIVE) {
        return 0;
    } else {
        until = idle / 4;
        if (until < SLEEP_NS_MIN)
            until = SLEEP_NS_MIN;
        if (until > SLEEP_NS_MAX || s->opt.idle == SHARD_IDLE_SLEEP)
            until = SLEEP_NS_MAX;
        until += now;
    }
    if (s->batches_due_ns < until)
        until = s->batches_due_ns;
    if (wal_writer_deadline_ns(&s->writer) < until)
        until = wal_writer_deadline_ns(&s->writer);
    return until;
}

static int turn_end(struct shard *s, uint64_t until_ns, struct errmsg *err)
{
    int n = loop_turn(s->loop, until_ns);

    if (n < 0)
        return errmsg_set(err, n, "io_uring: %s", strerror(-n));
    if (n > 0)
        s->idle_since_ns = loop_now_ns(s->loop);
    return 0;
}

static bool all_stopped(const struct shard *s)
{
    return s->stop == STOP_DONE
           && atomic_load_explicit(&s->all->stopped, memory_order_acquire) == s->all->count;
}

/* It has stopped, and others have not: it answers people, and changes nothing any more. */
static int stopped_turn(struct shard *s, struct errmsg *err)
{
    if (all_stopped(s))
        return 1;
    (void)requests_turn(s);
    return turn_end(s, loop_now_ns(s->loop) + SLEEP_NS_MAX, err);
}

int shard_turn(struct shard *s, struct errmsg *err)
{
    uint64_t stop_by_ns = atomic_load_explicit(&s->all->stop_by_ns, memory_order_relaxed);
    bool busy = false;

    s->turns++;
    if (!atomic_load_explicit(&s->turned, memory_order_relaxed))
        atomic_store_explicit(&s->turned, true, memory_order_relaxed);
    crash_note_watch(&s->crash);
    if (s->stop == STOP_DONE)
        return stopped_turn(s, err);
    if (stop_by_ns != 0 && s->stop == STOP_NO)
        stop_begin(s, stop_by_ns);
    if (s->reload_later)
        shard_reload(s);
    admit_turn(s);
    busy |= drain_turn(s);
    busy |= gather_turn(s);
    room_seal_due(s);
    busy |= seal_turn(s);
    busy |= rebuild_turn(s);
    publish_turn(s);
    drops_turn(s);
    trim_step(s);
    busy |= requests_turn(s);
    if (s->stop != STOP_NO)
        stop_step(s);
    wal_writer_step(&s->writer, false);
    limits_check(s);
    if (s->error) {
        *err = s->error_text;
        return s->error;
    }
    if (all_stopped(s))
        return 1;
    s->busy = busy;
    return turn_end(s, wait_until(s, busy), err);
}

/* --- open and close ------------------------------------------------------------------------- */

static int tables_open(struct shard *s)
{
    uint32_t hash = 16;

    while (hash < 2 * s->opt.rings_max)
        hash *= 2;
    s->rings = calloc(s->opt.rings_max, sizeof(struct ring *));
    s->ring_hash = calloc(hash, sizeof(struct ring *));
    s->ring_hash_mask = hash - 1;
    s->dir.fd = s->writer.fd = s->writer.roll.fd = s->reader.fd = s->crash.fd = -1;
    s->seals_last = &s->seals;
    s->batches_due_ns = UINT64_MAX;
    spool_queue_init(&s->spool_queue);
    stream_table_init(&s->streams, UINT32_MAX);     /* quota.c says how many there may be */
    record_types_init(&s->record_types);
    s->workspace = parquet_workspace_open();
    return s->rings && s->ring_hash && s->workspace ? wal_state_init(&s->state) : -ENOMEM;
}

int shard_new(struct shards *a, uint32_t number, struct shard **ret_shard, struct errmsg *err)
{
    struct shard *s = calloc(1, sizeof(*s));
    int r;

    if (!s)
        return errmsg_set(err, -ENOMEM, "no memory");
    s->all = a;
    s->opt = a->opt;
    s->number = number;
    r = tables_open(s);
    if (r)
        errmsg_set(err, r, "no memory");
    else
        r = loop_open(LOOP_ENTRIES, &s->loop, err);
    if (r) {
        shard_free(s);
        return r;
    }
    mailbox_init(&s->mailbox, s->loop);
    s->start_ns = loop_refresh_ns(s->loop);
    *ret_shard = s;
    return 0;
}

/* Its part of what the agent may use. */
static void limits_divide(struct shard *s)
{
    uint64_t memory = s->opt.memory_limit / s->all->count;
    uint64_t log = s->opt.wal_bytes_max / s->all->count;

    if (s->all->count > 1) {
        s->opt.memory_limit = memory < PART_BYTES_MIN ? PART_BYTES_MIN : memory;
        s->opt.wal_bytes_max = log < PART_BYTES_MIN ? PART_BYTES_MIN : log;
    }
    /* Half of the memory for encoded blocks; chunks and tables take the rest. */
    block_pool_init(&s->pool, s->opt.memory_limit / 2);
    /* Beside what is in flight, a block at most for each open batch, which has one of these. */
    block_pool_init(&s->pack_pool, s->opt.memory_limit / 2 + PACK_BYTES_IN_FLIGHT);
}

int shard_begin(struct shard *s, struct errmsg *err)
{
    int r = 0;

    s->epoch = s->all->epoch;
    s->data_dir = s->all->data_dir;
    s->spool_dir = s->all->spool_dir;
    limits_divide(s);
    if (!s->discover)               /* the first has one, with its lock */
        r = discover_join(s->opt.shm_dir, &s->discover, err);
    if (!r)
        r = recovery_begin(s, err);
    if (r)
        return r;
    s->bell_op.ctx = s->watch_op.ctx = s;
    if (discover_bell(s->discover) >= 0)
        io_poll(s->loop, &s->bell_op, discover_bell(s->discover), on_bell);
    io_poll(s->loop, &s->watch_op, discover_watch(s->discover), on_watch);
    s->scanning = true;
    shard_reload(s);
    return 0;
}

void shard_reload(struct shard *s)
{
    struct errmsg err;

    s->reload_later = false;    /* set again where the log has no place now */
    deliver_sinks_changed(s);
    for (uint32_t i = 0; i < s->streams.cap; i++) {
        struct stream *st = s->streams.by_id[i];
        int r = st && st->version_appended > 0 ? gather_stream_settings(s, st, &err) : 0;

        if (r == -EAGAIN)
            s->reload_later = true;
        else if (r && r != -ENOENT)
            log_error("%s", err.text);
    }
}

void shard_wake(struct shard *s)
{
    loop_wake(s->loop);
}

struct mailbox *shard_mailbox(struct shard *s)
{
    return &s->mailbox;
}

uint64_t shard_pending(const struct shard *s)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < s->state.streams_count; i++)
        sum += wal_stream_books(s->state.streams[i]).pending;
    return sum;
}

void shard_quiet(struct shard *s)
{
    if (!s->loop)
        return;
    mailbox_close(&s->mailbox);
    while (s->flushes) {
        struct shard_request *req = s->flushes;

        s->flushes = req->next;
        req->done(req, -ESHUTDOWN);
    }
    loop_close(s->loop);
    s->loop = NULL;
}

void shard_free(struct shard *s)
{
    if (!s)
        return;
    shard_quiet(s);
    seal_close(s);
    wal_writer_close(&s->writer);
    wal_reader_fini(&s->reader);
    wal_state_fini(&s->replay_state);
    drain_close(s);
    stream_table_fini(&s->streams);
    wal_state_fini(&s->state);
    wal_dir_close(&s->dir);
    pack_close(s);
    block_pool_fini(&s->pool);
    block_pool_fini(&s->pack_pool);
    parquet_workspace_close(s->workspace);
    record_types_fini(&s->record_types);
    crash_note_close(&s->crash);
    free(s->rings);
    free(s->ring_hash);
    free(s);
}
