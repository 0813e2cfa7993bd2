/*
 * log_life: one life of an agent that does nothing but keep a log, for tests on simulated I/O:
 * recover, begin a segment, write spans, sync, end. What the outside was told is kept in struct
 * world, which outlives it; every life checks what it finds against that.
 *
 * Owns:   struct world is the test's; a life owns what it opens.
 * Thread: one.
 * Units:  pos = ring position; spans are numbered in the order in which they were written.
 */
#ifndef TESTS_WAL_LOG_LIFE_H
#define TESTS_WAL_LOG_LIFE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include "support/sim.h"
#include "wal/log_builder.h"
#include "wal/wal_reader.h"
#include "wal/wal_writer.h"

#define LOG_DIR "/data/wal"

enum { WORLD_SPANS = 128 };

struct world_span {
    uint64_t from, barrier;
    uint32_t len;
    bool committed;             /* said to be accepted */
    bool durable;               /* said to be synced */
    bool gone;                  /* a recovery did not find it */
    bool broken;                /* a recovery found its COMMIT without its bytes */
    bool seen;                  /* by the recovery of this life */
    bool followed;              /* by the reader behind the writer of this life */
};

/* What fails, from its nth time on, so many times. */
struct fault {
    enum sim_kind kind;
    uint64_t times;
    int err;
};

struct world {
    /* How a life goes. */
    unsigned spans_per_life;
    uint32_t len_min, len_max;
    uint64_t segment_size;
    uint64_t kept_bytes_max;    /* 0: plenty */
    bool follow;                /* a reader reads what is committed, at once */
    const struct fault *fault;  /* what fails once the next life has begun, from its nth time on */
    uint64_t fault_nth;
    /* What has become of the host since the last life. */
    bool power_cut;
    /* What is known. */
    struct world_span span[WORLD_SPANS];
    unsigned spans;
    uint64_t pos, seed, epoch;
    uint64_t holes, holes_known;    /* met by this reading; left by power cuts before it */
    unsigned flight_max;
    uint64_t rolls, failures;
};

static const uint8_t world_uuid[16] = {1, 2, 3};

/* A host on which nothing has happened yet. */
static BUILT_UNUSED void world_init(struct world *world, uint64_t seed)
{
    sim_reset(seed);
    memset(world, 0, sizeof(*world));
    world->seed = seed;
    world->spans_per_life = 8;
    world->len_min = 8;
    world->len_max = 9000;
    world->segment_size = 2 << 20;
}

/* Spans of which two or three fill a segment. */
static BUILT_UNUSED void world_rolls(struct world *world)
{
    world->spans_per_life = 4;
    world->len_min = 1 << 20;
    world->len_max = WAL_CHUNK_BYTES;
    world->segment_size = 5 << 20;
}

/* The byte at a ring position. */
static inline uint8_t world_byte(uint64_t pos)
{
    return (uint8_t)((pos * 0x9e3779b97f4a7c15ULL) >> 40);
}

struct life {
    struct world *world;
    struct io_loop *loop;
    struct wal_dir dir;
    struct wal_state state;
    struct wal_writer writer;
    struct wal_reader follower;
    unsigned span_first;        /* of this life */
    uint64_t synced_lsn;        /* as its recovery found it said */
    int failed;                 /* the writer's, at the last look */
};

static BUILT_UNUSED struct world_span *world_span_at(struct world *world, uint64_t from)
{
    for (unsigned i = 0; i < world->spans; i++)
        if (world->span[i].from == from)
            return &world->span[i];
    fail_msg("seed %llu: a span at %llu was never written", (unsigned long long)sim_seed(),
             (unsigned long long)from);
    return NULL;
}

/* Calls visit for each SPAN of a group, which must be one that was written, byte for byte. */
static BUILT_UNUSED void group_spans(struct world *world, const uint8_t *items, const uint8_t *end,
                                     const uint8_t *body, void (*visit)(struct world_span *))
{
    struct wal_item item;

    while (items < end) {
        assert_int_equal(wal_item_next(&items, end, &item), 0);
        if (item.type != WAL_SPAN)
            continue;
        struct world_span *span = world_span_at(world, item.u.span.from);

        assert_int_equal(item.u.span.to - item.u.span.from, span->len);
        visit(span);
        if (!body)
            continue;
        /* Of what was not synced, a power cut may have left the COMMIT and not the body. */
        if (crc32c(0, body + item.u.span.offset, span->len) != item.u.span.crc32c) {
            assert_true(span->broken || (world->power_cut && !span->durable));
            span->broken = true;
            continue;
        }
        for (uint32_t i = 0; i < span->len; i += 61)
            assert_int_equal(body[item.u.span.offset + i], world_byte(span->from + i));
    }
}

static BUILT_UNUSED void on_seen(struct world_span *span)
{
    assert_false(span->gone);
    assert_false(span->seen);
    span->seen = true;
}

static BUILT_UNUSED void on_followed(struct world_span *span)
{
    assert_true(span->committed);
    span->followed = true;
}

static BUILT_UNUSED void on_committed_span(struct world_span *span)
{
    assert_false(span->committed);
    span->committed = true;
}

/* Reads the whole log into the state. Returns its end. */
static BUILT_UNUSED uint64_t life_recover(struct life *life)
{
    struct world *world = life->world;
    struct wal_group_view g;
    struct wal_reader r;
    struct wal_item item;
    uint64_t end;
    int rc;

    for (unsigned i = 0; i < world->spans; i++)
        world->span[i].seen = world->span[i].followed = false;
    wal_reader_init(&r, &life->dir);
    while ((rc = wal_reader_next(&r, UINT64_MAX, &g)) == 1) {
        const uint8_t *at = g.items;

        world->holes += g.hole_from < g.body_lsn;
        if (life->synced_lsn < g.commit.synced_lsn)
            life->synced_lsn = g.commit.synced_lsn;
        group_spans(world, g.items, g.items_end, g.body, on_seen);
        while (at < g.items_end) {
            assert_int_equal(wal_item_next(&at, g.items_end, &item), 0);
            rc = wal_state_apply(&life->state, &item, g.end_lsn);
            /* Only behind a hole may an item refer to what is not known. */
            assert_true(rc == 0 || (rc == -EBADMSG && world->holes > 0));
        }
    }
    end = r.lsn;
    wal_reader_fini(&r);
    if (rc < 0)
        return 0;
    if (!world->power_cut)
        assert_true(world->holes <= world->holes_known);
    for (unsigned i = 0; i < world->spans; i++) {
        struct world_span *span = &world->span[i];

        /* A kill loses nothing that was accepted, a power cut nothing that was durable. */
        if (!span->gone && (world->power_cut ? span->durable : span->committed))
            assert_true(span->seen);
        span->gone |= !span->seen;
        span->committed = span->seen;
    }
    return end;
}

static BUILT_UNUSED void life_on_committed(void *ctx, const struct wal_group *g)
{
    struct life *life = ctx;

    assert_int_equal(life->writer.error, 0);
    assert_int_equal(life->writer.failed, 0);
    group_spans(life->world, g->items.data, g->items.data + g->items.len, NULL, on_committed_span);
}

/* Recovers and begins to write. 0 or -errno. */
static BUILT_UNUSED int life_open(struct life *life, struct world *world)
{
    struct wal_writer_options opt = {.segment_size = world->segment_size,
                                     .sync = WAL_SYNC_INTERVAL, .sync_interval_ns = 1000000};
    struct errmsg err;
    uint64_t end;
    int rc;

    memset(life, 0, sizeof(*life));
    life->world = world;
    life->span_first = world->spans;
    memcpy(opt.uuid, world_uuid, sizeof(opt.uuid));
    opt.epoch = ++world->epoch;
    rc = loop_open(64, &life->loop, &err);
    if (rc)
        return rc;
    rc = wal_dir_open(LOG_DIR, 0, world_uuid, true, &life->dir, &err);
    if (rc) {
        loop_close(life->loop);
        return rc;
    }
    assert_int_equal(wal_state_init(&life->state), 0);
    assert_int_equal(life->dir.set_aside, 0);   /* no crash leaves a segment without its header */
    end = life_recover(life);
    rc = wal_writer_finish(&life->dir, life->synced_lsn, &end, &err);
    opt.kept_bytes_max = world->kept_bytes_max ? world->kept_bytes_max : 64 << 20;
    if (!rc)
        rc = wal_writer_open(&life->writer, life->loop, &life->dir, &life->state, &opt,
                             end, life_on_committed, life, &err);
    for (unsigned i = 0; !rc && i < world->spans; i++)
        world->span[i].durable = world->span[i].seen;   /* its CHECKPOINT says so */
    wal_reader_init(&life->follower, &life->dir);
    world->power_cut = false;
    world->holes_known = world->holes;
    world->holes = 0;
    return rc;
}

static BUILT_UNUSED void life_close(struct life *life)
{
    wal_reader_fini(&life->follower);
    wal_writer_close(&life->writer);
    wal_state_fini(&life->state);
    wal_dir_close(&life->dir);
    loop_close(life->loop);
}

/* D3, seen from outside: one COMMIT at a time, the first in flight, behind a complete body. */
static BUILT_UNUSED void life_check(struct life *life)
{
    struct wal_writer *w = &life->writer;
    unsigned commits = 0, flight = 0;

    for (const struct wal_group *g = w->flight_first; g; g = g->next) {
        flight++;
        if (g->state != WAL_GROUP_COMMIT)
            continue;
        commits++;
        assert_ptr_equal(g, w->flight_first);
        assert_true(g->body_written >= g->body_len);
        assert_int_equal(g->commit.group_lsn, w->committed_lsn);
    }
    assert_true(commits <= 1);
    assert_int_equal(flight, w->flight_count);
    if (life->world->flight_max < flight)
        life->world->flight_max = flight;
    assert_true(w->synced_lsn <= w->committed_lsn && w->committed_lsn <= w->next_lsn);
    for (unsigned i = life->span_first; i < life->world->spans; i++) {
        struct world_span *span = &life->world->span[i];

        if (wal_writer_barrier_synced(w, span->barrier)) {
            assert_true(span->committed);
            span->durable = true;
        }
    }
}

/* Ring, stream and definition, when the log does not know them; then one more span. */
static BUILT_UNUSED int life_span(struct life *life)
{
    struct world *world = life->world;
    struct wal_group *g = wal_writer_data_group(&life->writer);
    struct wal_ring *ring = wal_state_ring(&life->state, 1);
    struct world_span *span = &world->span[world->spans];
    struct wal_tally tally = {1, 1, 8};
    struct wal_item it;

    assert_true(world->spans < WORLD_SPANS);
    span->len = world->len_min + (uint32_t)(built_random(&world->seed)
                                            % (world->len_max - world->len_min + 1)) / 8 * 8;
    if (!g || wal_group_room(g) < span->len)
        return -EAGAIN;
    if (life->span_first == world->spans && (!ring || ring->defs_count == 0)) {
        it = built_attach(1, 0);
        if (!ring)
            assert_int_equal(wal_writer_item(&life->writer, &it, NULL), 0);
        it = built_stream(1, 1, "orders", 1);
        assert_int_equal(wal_writer_item(&life->writer, &it, NULL), 0);
        it = built_def(1, 1, 1);
        assert_int_equal(wal_writer_item(&life->writer, &it, NULL), 0);
    }
    span->from = world->pos;
    span->barrier = wal_writer_barrier(&life->writer);
    world->pos += span->len;
    for (uint32_t i = 0; i < span->len; i++)
        g->chunk[g->body_len + i] = world_byte(span->from + i);
    it = built_span(1, span->from, g->chunk + g->body_len, span->len, g->body_len, 1);
    g->body_len += span->len;
    world->spans++;
    assert_int_equal(wal_writer_item(&life->writer, &it, &tally), 0);
    assert_int_equal(wal_writer_barrier(&life->writer), span->barrier);
    return 0;
}

/* While the log fails nothing is taken, and nothing is said of what is in flight. */
static BUILT_UNUSED void life_check_failing(struct life *life)
{
    struct wal_writer *w = &life->writer;
    struct wal_item it = {.type = WAL_TRIM};

    life->world->failures += life->failed == 0 && w->failed != 0;
    life->failed = w->failed;
    if (!w->failed)
        return;
    assert_int_equal(wal_writer_failing(w), w->failed);
    assert_true(strlen(w->trouble.text) > 0);
    assert_null(wal_writer_data_group(w));
    assert_int_equal(wal_writer_item(w, &it, NULL), -EAGAIN);
    assert_false(wal_writer_idle(w));
}

/* One turn. -errno: the writer has ended. */
static BUILT_UNUSED int life_turn(struct life *life, bool flush)
{
    struct wal_writer *w = &life->writer;
    uint64_t until = wal_writer_deadline_ns(w);
    struct wal_group_view view;
    struct wal_group *g;
    int rc;

    wal_writer_step(w, flush);
    life_check(life);
    if (until == UINT64_MAX || (!w->failed && (w->flight_count > 0 || w->sync_in_flight)))
        until = loop_now_ns(life->loop) + 1000;
    rc = loop_turn(life->loop, until);
    if (rc < 0)
        return rc;
    life_check(life);
    life_check_failing(life);
    while ((g = wal_writer_done(w)) != NULL)
        wal_writer_release(w, g);
    while (life->world->follow
           && (rc = wal_reader_next(&life->follower, wal_writer_readable_lsn(w), &view)) != 0) {
        assert_int_equal(rc, 1);
        assert_int_equal(view.hole_from, view.body_lsn);
        group_spans(life->world, view.items, view.items_end, view.body, on_followed);
    }
    return w->error;
}

/* A whole life, for sim_run(). */
static BUILT_UNUSED int life_main(void *ctx)
{
    struct world *world = ctx;
    struct life life;
    unsigned written = 0;
    int rc = life_open(&life, world);

    if (!rc && world->fault)
        sim_fail(world->fault->kind, world->fault_nth, world->fault->times, world->fault->err);
    while (!rc && (written < world->spans_per_life || !wal_writer_idle(&life.writer)
                   || life.writer.synced_commits < life.writer.commits)) {
        while (written < world->spans_per_life && built_random(&world->seed) % 4 != 0) {
            if (life_span(&life) != 0)
                break;
            written++;
        }
        rc = life_turn(&life, built_random(&world->seed) % 2 == 0);
    }
    if (!rc)
        for (unsigned i = life.span_first; i < world->spans; i++) {
            assert_true(world->span[i].committed && world->span[i].durable);
            assert_true(!world->follow || world->span[i].followed);
        }
    world->rolls += life.writer.rolls;
    if (life.loop && life.dir.path)
        life_close(&life);
    return rc;
}

#endif
