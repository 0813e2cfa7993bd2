/*
 * Claims about the tables that the log's items make: a checkpoint stands for everything before it,
 * the books balance, positions are never ahead, contradictions change nothing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "wal/log_builder.h"
#include "wal/wal_state.h"

/* As the log does it: through the bytes. */
static int apply(struct wal_state *s, const struct wal_item *item, uint64_t end_lsn)
{
    struct bytes b = BYTES_INIT;
    struct wal_item parsed;
    const uint8_t *at;
    int rc;

    built_item(&b, item);
    at = b.data;
    assert_int_equal(wal_item_next(&at, b.data + b.len, &parsed), 0);
    rc = wal_state_apply(s, &parsed, end_lsn);
    bytes_free(&b);
    return rc;
}

static void applied(struct wal_state *s, const struct wal_item *item, uint64_t end_lsn)
{
    assert_int_equal(apply(s, item, end_lsn), 0);
}

static void replay(struct wal_state *s, const struct bytes *items, uint64_t end_lsn)
{
    const uint8_t *at = items->data, *end = at + items->len;
    struct wal_item item;

    while (at < end) {
        assert_int_equal(wal_item_next(&at, end, &item), 0);
        assert_int_equal(wal_state_apply(s, &item, end_lsn), 0);
    }
}

static void checkpoint(const struct wal_state *s, struct bytes *out)
{
    bytes_clear(out);
    assert_int_equal(wal_state_checkpoint(s, out), 0);
}

static void same_states(const struct wal_state *a, const struct wal_state *b)
{
    struct bytes x = BYTES_INIT, y = BYTES_INIT;

    checkpoint(a, &x);
    checkpoint(b, &y);
    assert_int_equal(x.len, y.len);
    assert_memory_equal(x.data, y.data, x.len);
    bytes_free(&x);
    bytes_free(&y);
}

/* One ring, one stream of one output, defined as number 1. */
static void small_state(struct wal_state *s)
{
    struct wal_item it;

    assert_int_equal(wal_state_init(s), 0);
    it = built_attach(1, 0);
    applied(s, &it, 4096);
    it = built_stream(1, 1, "orders", 1);
    applied(s, &it, 4096);
    it = built_def(1, 1, 1);
    applied(s, &it, 4096);
}

static void span(struct wal_state *s, uint64_t from, uint32_t len, uint32_t events, uint64_t end_lsn)
{
    static const uint8_t data[65536];
    struct wal_item it = built_span(1, from, data, len, 0, events);

    applied(s, &it, end_lsn);
}

/* ------------------------------------------------------------- a run made by chance, with a model */

enum { STREAMS = 3, VERSIONS = 64, OUTPUTS = 2, SEALS = 512, STEPS = 1500 };

struct model_version {
    uint64_t accepted, lost, sealed[OUTPUTS], resolved[OUTPUTS];
};

struct model_seal {
    uint32_t stream, version, output;
    uint64_t events;
    unsigned acked;                     /* bits */
    bool delivered, done;
};

struct model {
    uint64_t seed, lsn;
    uint32_t ring;                      /* the living one; 0: none */
    uint64_t pos;
    uint32_t rings;                     /* ever */
    uint32_t versions[STREAMS];
    struct model_version version[STREAMS][VERSIONS];
    struct model_seal seal[SEALS];
    uint32_t seals;
    uint64_t drops;
};

static bool model_attach(struct model *m, struct wal_item *it)
{
    if (m->ring) {
        if (built_random(&m->seed) % 8 != 0)
            return false;
        *it = (struct wal_item){.type = WAL_RETIRE};
        it->u.retire.ring = m->ring;
        m->ring = 0;
        return true;
    }
    m->ring = ++m->rings;
    m->pos = built_random(&m->seed) % 1000 * 8;
    *it = built_attach(m->ring, m->pos);
    return true;
}

static bool model_stream(struct model *m, uint32_t s, struct wal_item *it)
{
    static const char *const names[STREAMS] = {"a", "b-2", "c.c"};

    if (m->versions[s] == VERSIONS || (m->versions[s] > 0 && built_random(&m->seed) % 4 != 0))
        return false;
    for (uint32_t i = 0; i < s; i++)            /* ids grow */
        if (m->versions[i] == 0)
            return false;
    *it = built_stream(s + 1, ++m->versions[s], names[s], OUTPUTS);
    return true;
}

static bool model_seal(struct model *m, uint32_t s, struct wal_item *it)
{
    uint32_t v = m->versions[s] ? (uint32_t)(built_random(&m->seed) % m->versions[s]) : 0;
    uint32_t o = (uint32_t)(built_random(&m->seed) % OUTPUTS);
    struct model_version *mv = &m->version[s][v];
    uint64_t left = mv->accepted - mv->lost - mv->sealed[o];
    struct model_seal *seal = &m->seal[m->seals];

    if (left == 0 || m->seals == SEALS)
        return false;
    *seal = (struct model_seal){.stream = s, .version = v, .output = o};
    seal->events = 1 + built_random(&m->seed) % left;
    mv->sealed[o] += seal->events;
    *it = built_seal(m->seals++, s + 1, v + 1, (uint16_t)o, seal->events);
    return true;
}

static bool model_ack(struct model *m, struct wal_item *it)
{
    for (uint32_t i = 0; i < m->seals; i++) {
        struct model_seal *seal = &m->seal[i];
        uint16_t target = (uint16_t)(built_random(&m->seed) % 2);
        bool delivered = built_random(&m->seed) % 4 != 0;

        if (seal->done || seal->acked & (1U << target) || built_random(&m->seed) % 4 == 0)
            continue;
        *it = built_ack(i, target, delivered ? WAL_ACK_DELIVERED : WAL_ACK_ABANDONED);
        if (built_random(&m->seed) % 4 == 0) {
            it->type = WAL_STAGED;
            return true;
        }
        seal->acked |= 1U << target;
        seal->done = seal->acked == 3;
        if (seal->done)
            m->version[seal->stream][seal->version].resolved[seal->output] += seal->events;
        return true;
    }
    return false;
}

static bool model_lost(struct model *m, uint32_t s, struct wal_item *it)
{
    uint32_t v = m->versions[s] ? (uint32_t)(built_random(&m->seed) % m->versions[s]) : 0;
    struct model_version *mv = &m->version[s][v];
    uint64_t sealed = mv->sealed[0] > mv->sealed[1] ? mv->sealed[0] : mv->sealed[1];
    uint64_t left = mv->accepted - mv->lost - sealed;

    if (left == 0)
        return false;
    *it = (struct wal_item){.type = WAL_LOST};
    it->u.lost.lsn = m->lsn - 8;
    it->u.lost.ring = 1;
    it->u.lost.stream = s + 1;
    it->u.lost.version = v + 1;
    it->u.lost.reason = (uint8_t)(built_random(&m->seed) % WAL_LOST_REASON_COUNT);
    it->u.lost.events = 1 + built_random(&m->seed) % left;
    mv->lost += it->u.lost.events;
    return true;
}

/* The next item of the run; it contradicts nothing before it. */
static void model_next(struct model *m, struct bytes *out)
{
    static const uint8_t data[4096];
    struct wal_item it = {.type = WAL_TRIM};

    for (bool made = false; !made;) {
        uint32_t s = (uint32_t)(built_random(&m->seed) % STREAMS);

        switch (built_random(&m->seed) % 10) {
        case 0:
            made = model_attach(m, &it);
            break;
        case 1:
            made = model_stream(m, s, &it);
            break;
        case 2:
            if (m->ring && m->versions[0]) {
                it = built_def(m->ring, 1, 1);
                made = true;
            }
            break;
        case 3:
        case 4:
        case 5:
            made = model_seal(m, s, &it) || model_ack(m, &it);
            break;
        case 6:
            made = model_lost(m, s, &it);
            break;
        case 7:
            it = (struct wal_item){.type = WAL_INTAKE_DROPS};
            it.u.intake.drops[SHM_DROP_FULL] = ++m->drops;
            made = true;
            break;
        default:
            if (m->ring && m->versions[0]) {
                uint32_t len = 8 + (uint32_t)(built_random(&m->seed) % 500) * 8;
                struct wal_item def = built_def(m->ring, 1, 1);

                built_item(out, &def);
                it = built_span(m->ring, m->pos, data, len, 0, len / 8);
                m->version[0][m->versions[0] - 1].accepted += len / 8;
                m->pos += len;
                made = true;
            }
        }
    }
    built_item(out, &it);
}

static void model_balances(const struct model *m, const struct wal_state *s)
{
    uint64_t unresolved = 0, accepted = 0, lost = 0;
    const struct wal_stream *st = wal_state_stream(s, 1);
    struct wal_books b;

    if (!st)
        return;
    for (uint32_t v = 0; v < m->versions[0]; v++) {
        const struct model_version *mv = &m->version[0][v];
        uint64_t done = mv->resolved[0] < mv->resolved[1] ? mv->resolved[0] : mv->resolved[1];

        accepted += mv->accepted;
        lost += mv->lost;
        unresolved += mv->accepted - mv->lost - done;
    }
    b = wal_stream_books(st);
    assert_int_equal(b.accepted, accepted);
    assert_int_equal(b.accepted_bytes, accepted * 8);
    assert_int_equal(b.lost, lost);
    assert_int_equal(b.pending, unresolved);
    assert_int_equal(b.delivered + b.dropped, accepted - lost - unresolved);
}

/* A run in pieces: piece[i] are the items of one group, or a checkpoint. */
struct run {
    struct bytes piece[STEPS];
    bool restates[STEPS];
    uint64_t end_lsn[STEPS];
    struct wal_state live;
};

static void run_make(struct run *run, uint64_t seed)
{
    struct model m = {.seed = seed, .lsn = 4096};

    memset(run, 0, sizeof(*run));
    assert_int_equal(wal_state_init(&run->live), 0);
    for (int i = 0; i < STEPS; i++) {
        run->end_lsn[i] = m.lsn += 4096;
        run->restates[i] = i > 0 && built_random(&m.seed) % 50 == 0;
        if (run->restates[i]) {
            checkpoint(&run->live, &run->piece[i]);     /* the living state does not apply it */
            continue;
        }
        model_next(&m, &run->piece[i]);
        replay(&run->live, &run->piece[i], m.lsn);
        model_balances(&m, &run->live);
    }
    assert_true(m.seals > 50 && m.rings > 3 && m.versions[0] > 3);
}

static void run_free(struct run *run)
{
    for (int i = 0; i < STEPS; i++)
        bytes_free(&run->piece[i]);
    wal_state_fini(&run->live);
    free(run);
}

static void a_log_read_from_any_checkpoint_gives_the_live_state(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 4; seed++) {
        struct run *run = malloc(sizeof(*run));

        assert_non_null(run);
        run_make(run, seed);
        for (int start = 0; start < STEPS; start++) {
            struct wal_state s;

            if (start > 0 && !run->restates[start])
                continue;
            assert_int_equal(wal_state_init(&s), 0);
            for (int i = start; i < STEPS; i++)
                replay(&s, &run->piece[i], run->end_lsn[i]);
            assert_int_equal(s.checkpointed, true);
            same_states(&s, &run->live);
            wal_state_fini(&s);
        }
        run_free(run);
    }
}

static void a_checkpoint_mends_what_a_hole_before_it_took(void **state)
{
    (void)state;
    for (uint64_t seed = 11; seed <= 14; seed++) {
        struct run *run = malloc(sizeof(*run));
        int last = 0;

        assert_non_null(run);
        run_make(run, seed);
        for (int i = 0; i < STEPS; i++)
            last = run->restates[i] ? i : last;
        for (int from = 1; from < last; from += 37) {
            struct wal_state s;
            int to = from;

            while (!run->restates[to])
                to++;
            assert_int_equal(wal_state_init(&s), 0);
            for (int i = 0; i < STEPS; i++)
                if (i < from || i >= to)
                    replay(&s, &run->piece[i], run->end_lsn[i]);
            same_states(&s, &run->live);
            wal_state_fini(&s);
        }
        run_free(run);
    }
}

/* ------------------------------------------------------------------------------------- one by one */

static void books_fold_over_versions(void **state)
{
    struct wal_state s;
    struct wal_item it;
    struct wal_books b;
    uint64_t number = 0;

    (void)state;
    small_state(&s);
    for (uint32_t version = 1; version <= 20; version++) {
        span(&s, (version - 1) * 80ULL, 80, 10, version * 8192ULL);
        it = built_seal(++number, 1, version, 0, 10);
        applied(&s, &it, 0);
        it = built_stream(1, version + 1, "orders", 1);
        applied(&s, &it, 0);
        /* The old version is pending: it stays. */
        assert_int_equal(wal_state_stream(&s, 1)->versions_count, 2);
        it = built_ack(number, 0, WAL_ACK_DELIVERED);
        applied(&s, &it, 0);
        b = wal_stream_books(wal_state_stream(&s, 1));
        assert_int_equal(b.pending, 10);
        it = built_ack(number, 1, WAL_ACK_ABANDONED);
        applied(&s, &it, 0);
        assert_int_equal(wal_state_stream(&s, 1)->versions_count, 1);
        b = wal_stream_books(wal_state_stream(&s, 1));
        assert_int_equal(b.accepted, version * 10);
        assert_int_equal(b.delivered, version * 10);
        assert_int_equal(b.pending, 0);
    }
    assert_int_equal(wal_state_stream(&s, 1)->sinks_count, 1);
    assert_int_equal(wal_state_stream(&s, 1)->sinks[0].events, 200);
    assert_int_equal(wal_state_stream(&s, 1)->sinks[0].batches, 20);
    wal_state_fini(&s);
}

static void a_batch_counts_as_dropped_only_when_no_sink_took_it(void **state)
{
    struct wal_state s;
    struct wal_item it;
    struct wal_books b;

    (void)state;
    small_state(&s);
    span(&s, 0, 80, 10, 8192);
    it = built_seal(1, 1, 1, 0, 10);
    applied(&s, &it, 0);
    it = built_ack(1, 0, WAL_ACK_ABANDONED);
    applied(&s, &it, 0);
    it = built_ack(1, 1, WAL_ACK_ABANDONED);
    applied(&s, &it, 0);
    b = wal_stream_books(wal_state_stream(&s, 1));
    assert_int_equal(b.dropped, 10);
    assert_int_equal(b.delivered, 0);
    assert_int_equal(b.pending, 0);
    assert_int_equal(wal_state_stream(&s, 1)->sinks_count, 0);
    assert_int_equal(s.seals_count, 0);
    assert_ptr_equal(s.seals_last, &s.seals);
    wal_state_fini(&s);
}

static void an_event_is_pending_until_every_output_has_resolved_it(void **state)
{
    struct wal_state s;
    struct wal_item it;

    (void)state;
    small_state(&s);
    it = built_stream(1, 2, "orders", 2);
    applied(&s, &it, 0);
    span(&s, 0, 80, 10, 8192);
    for (uint16_t output = 0; output < 2; output++) {
        it = built_seal(output + 1U, 1, 2, output, 10);
        applied(&s, &it, 0);
        assert_int_equal(wal_stream_books(wal_state_stream(&s, 1)).pending, 10);
        for (uint16_t target = 0; target < 2; target++) {
            it = built_ack(output + 1U, target, WAL_ACK_DELIVERED);
            applied(&s, &it, 0);
        }
    }
    assert_int_equal(wal_stream_books(wal_state_stream(&s, 1)).pending, 0);
    assert_int_equal(wal_stream_books(wal_state_stream(&s, 1)).delivered, 10);
    wal_state_fini(&s);
}

static void what_is_said_again_counts_once(void **state)
{
    struct wal_state s;
    struct wal_item it;

    (void)state;
    small_state(&s);
    span(&s, 0, 80, 10, 8192);
    for (int i = 0; i < 3; i++) {
        it = built_seal(1, 1, 1, 0, 10);
        applied(&s, &it, 0);
        it = built_ack(1, 0, WAL_ACK_DELIVERED);
        applied(&s, &it, 0);
        it = built_def(1, 1, 1);
        applied(&s, &it, 0);
    }
    assert_int_equal(s.seals_count, 1);
    assert_int_equal(s.seals->targets_acked, 1);
    assert_int_equal(wal_state_stream(&s, 1)->sinks[0].events, 10);
    assert_int_equal(wal_state_ring(&s, 1)->defs_count, 1);
    wal_state_fini(&s);
}

static void marks_stay_bounded_and_positions_are_never_ahead(void **state)
{
    enum { SPANS = 5000 };
    struct wal_state s;
    struct wal_ring *ring;
    uint64_t taken = 0;

    (void)state;
    small_state(&s);
    ring = wal_state_ring(&s, 1);
    for (uint64_t i = 1; i <= SPANS; i++) {
        span(&s, (i - 1) * 8, 8, 1, i * 4096);
        assert_true(ring->marks <= WAL_RING_MARKS);
        assert_int_equal(ring->end_pos, i * 8);
        /* Known exactly at the end; never ahead anywhere, but for what is delivered already. */
        assert_int_equal(wal_ring_pos_at(ring, i * 4096), i * 8);
        for (uint64_t lsn = i > 300 ? (i - 300) * 4096 : 0; lsn <= i * 4096; lsn += 40000)
            assert_true(wal_ring_pos_at(ring, lsn) <= lsn / 4096 * 8
                        || wal_ring_pos_at(ring, lsn) == taken);
        if (i % 700 == 0) {
            uint64_t before = wal_ring_pos_at(ring, (i - 100) * 4096);

            assert_int_equal(wal_ring_pos_take(ring, (i - 100) * 4096), before);
            assert_true(before >= taken);
            taken = before;
            assert_int_equal(wal_ring_pos_at(ring, 0), taken);
        }
    }
    assert_true(taken > 0);
    wal_state_fini(&s);
}

static void spans_of_one_group_share_a_mark(void **state)
{
    struct wal_state s;

    (void)state;
    small_state(&s);
    for (uint64_t i = 0; i < 10; i++)
        span(&s, i * 8, 8, 1, 8192);
    assert_int_equal(wal_state_ring(&s, 1)->marks, 1);
    assert_int_equal(wal_ring_pos_at(wal_state_ring(&s, 1), 8192), 80);
    assert_int_equal(wal_ring_pos_at(wal_state_ring(&s, 1), 8191), 0);
    wal_state_fini(&s);
}

static void positions_wrap(void **state)
{
    struct wal_state s;
    struct wal_item it;

    (void)state;
    small_state(&s);
    it = built_attach(1, UINT64_MAX - 15);
    applied(&s, &it, 0);
    span(&s, UINT64_MAX - 15, 32, 4, 8192);
    assert_int_equal(wal_state_ring(&s, 1)->end_pos, 16);
    span(&s, 16, 8, 1, 12288);
    assert_int_equal(wal_ring_pos_at(wal_state_ring(&s, 1), 12288), 24);
    wal_state_fini(&s);
}

static void a_restated_ring_is_as_far_as_its_last_mark(void **state)
{
    struct wal_state live, s;
    struct bytes b = BYTES_INIT;

    (void)state;
    small_state(&live);
    span(&live, 0, 80, 10, 8192);
    span(&live, 80, 80, 10, 16384);
    checkpoint(&live, &b);
    assert_int_equal(wal_state_init(&s), 0);
    replay(&s, &b, 20480);
    /* What is not known any more is late, not ahead. */
    assert_int_equal(wal_ring_pos_at(wal_state_ring(&s, 1), 16383), 0);
    assert_int_equal(wal_ring_pos_at(wal_state_ring(&s, 1), 16384), 160);
    /* Everything delivered: nothing to wait for. */
    wal_ring_pos_take(wal_state_ring(&live, 1), 16384);
    checkpoint(&live, &b);
    replay(&s, &b, 24576);
    assert_int_equal(wal_ring_pos_at(wal_state_ring(&s, 1), 0), 160);
    bytes_free(&b);
    wal_state_fini(&s);
    wal_state_fini(&live);
}

static void lost_spans_are_remembered_until_they_are_trimmed(void **state)
{
    struct wal_state s;
    struct wal_item it = {.type = WAL_LOST};

    (void)state;
    small_state(&s);
    span(&s, 0, 800, 100, 8192);
    it.u.lost.stream = 1;
    it.u.lost.version = 1;
    it.u.lost.events = 1;
    for (uint64_t i = 0; i < 100; i++) {
        it.u.lost.lsn = 4096 + i * 8;
        applied(&s, &it, 12288);
        assert_true(wal_state_span_lost(&s, 4096 + i * 8));
    }
    assert_int_equal(wal_stream_books(wal_state_stream(&s, 1)).lost, 100);
    assert_int_equal(wal_stream_books(wal_state_stream(&s, 1)).pending, 0);
    it = (struct wal_item){.type = WAL_TRIM};
    it.u.trim.lsn = 4096 + 50 * 8;
    applied(&s, &it, 16384);
    assert_false(wal_state_span_lost(&s, 4096 + 49 * 8));
    assert_true(wal_state_span_lost(&s, 4096 + 50 * 8));
    assert_int_equal(s.lost_spans_count, 50);
    it.u.trim.lsn = 4096;                       /* never backwards */
    applied(&s, &it, 16384);
    assert_int_equal(s.trim_lsn, 4096 + 50 * 8);
    wal_state_fini(&s);
}

static void ids_are_not_given_twice(void **state)
{
    struct wal_state live, s;
    struct bytes b = BYTES_INIT;
    struct wal_item it;

    (void)state;
    small_state(&live);
    it = built_attach(9, 0);
    applied(&live, &it, 0);
    it = (struct wal_item){.type = WAL_RETIRE};
    it.u.retire.ring = 9;
    applied(&live, &it, 0);
    assert_int_equal(live.next_ring, 10);
    checkpoint(&live, &b);
    assert_int_equal(wal_state_init(&s), 0);
    replay(&s, &b, 0);
    assert_int_equal(s.next_ring, 10);
    assert_int_equal(s.next_stream, 2);
    bytes_free(&b);
    wal_state_fini(&s);
    wal_state_fini(&live);
}

static void tables_are_found_by_every_key(void **state)
{
    static const uint8_t uuid[16] = {3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3};
    struct wal_state s;
    struct wal_item it;
    char name[16];

    (void)state;
    assert_int_equal(wal_state_init(&s), 0);
    for (uint32_t i = 1; i <= 100; i++) {
        snprintf(name, sizeof(name), "s%u", i);
        it = built_attach(i, 0);
        applied(&s, &it, 0);
        it = built_stream(i, 1, name, 1);
        applied(&s, &it, 0);
    }
    it = (struct wal_item){.type = WAL_RETIRE};
    for (it.u.retire.ring = 2; it.u.retire.ring <= 100; it.u.retire.ring += 2)
        applied(&s, &it, 0);
    for (uint32_t i = 1; i <= 100; i++) {
        snprintf(name, sizeof(name), "s%u", i);
        assert_int_equal(wal_state_ring(&s, i) != NULL, i % 2);
        assert_int_equal(wal_state_stream(&s, i)->id, i);
        assert_ptr_equal(wal_state_stream_by_name(&s, name), wal_state_stream(&s, i));
    }
    assert_ptr_equal(wal_state_ring_by_uuid(&s, uuid), wal_state_ring(&s, 3));
    assert_null(wal_state_ring(&s, 101));
    assert_null(wal_state_stream(&s, 0));
    assert_null(wal_state_stream_by_name(&s, "s101"));
    wal_state_fini(&s);
}

static void refused(struct wal_state *s, struct wal_item it)
{
    struct bytes before = BYTES_INIT, after = BYTES_INIT;

    checkpoint(s, &before);
    assert_int_equal(apply(s, &it, 1 << 20), -EBADMSG);
    checkpoint(s, &after);
    assert_int_equal(before.len, after.len);
    assert_memory_equal(before.data, after.data, before.len);
    bytes_free(&before);
    bytes_free(&after);
}

static void a_contradiction_is_refused_and_changes_nothing(void **state)
{
    static const uint8_t data[64];
    static const char long_name[200] = {'a'};
    struct wal_state s;
    struct wal_item it;

    (void)state;
    small_state(&s);
    span(&s, 0, 64, 8, 8192);
    refused(&s, built_span(2, 0, data, 8, 0, 1));           /* unknown ring */
    refused(&s, built_span(1, 56, data, 16, 0, 1));         /* the same bytes twice */
    it = built_attach(2, 0);
    applied(&s, &it, 0);
    refused(&s, built_span(2, 0, data, 8, 0, 1));           /* undefined stream */
    refused(&s, built_def(3, 1, 1));
    refused(&s, built_def(2, 1, 7));
    refused(&s, built_def(2, 2, 1));                        /* numbers have no gaps */
    refused(&s, built_def(2, 0, 1));
    it = (struct wal_item){.type = WAL_RETIRE};
    it.u.retire.ring = 5;
    refused(&s, it);
    it = built_attach(3, 0);
    it.u.attach.name = (struct wal_str){long_name, SHM_RING_NAME_MAX + 1};
    refused(&s, it);
    it = built_stream(2, 1, "x", 1);
    it.u.stream.name = (struct wal_str){long_name, SHM_STREAM_NAME_MAX + 1};
    refused(&s, it);
    refused(&s, built_stream(2, 1, "x", 0));                /* no output */
    refused(&s, built_seal(1, 2, 1, 0, 1));                 /* unknown stream, version, output */
    refused(&s, built_seal(1, 1, 2, 0, 1));
    refused(&s, built_seal(1, 1, 1, 1, 1));
    it = built_seal(1, 1, 1, 0, 1);
    it.u.seal.targets = 0;
    refused(&s, it);
    it = built_seal(1, 1, 1, 0, 1);
    it.u.seal.last_lsn = it.u.seal.first_lsn - 1;
    refused(&s, it);
    refused(&s, built_ack(1, 0, WAL_ACK_DELIVERED));        /* no such seal, no such target */
    it = built_seal(1, 1, 1, 0, 1);
    applied(&s, &it, 0);
    refused(&s, built_ack(1, 2, WAL_ACK_DELIVERED));
    it = (struct wal_item){.type = WAL_LOST};
    it.u.lost.stream = 9;
    refused(&s, it);
    it.u.lost.stream = 1;
    it.u.lost.reason = WAL_LOST_REASON_COUNT;
    refused(&s, it);
    it = (struct wal_item){.type = WAL_STREAM_TOTALS};
    it.u.stream_totals.stream = 9;
    refused(&s, it);
    it = (struct wal_item){.type = WAL_VERSION_TOTALS};
    it.u.version_totals.stream = 1;                         /* a version without outputs */
    refused(&s, it);
    wal_state_fini(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_log_read_from_any_checkpoint_gives_the_live_state),
        cmocka_unit_test(a_checkpoint_mends_what_a_hole_before_it_took),
        cmocka_unit_test(books_fold_over_versions),
        cmocka_unit_test(a_batch_counts_as_dropped_only_when_no_sink_took_it),
        cmocka_unit_test(an_event_is_pending_until_every_output_has_resolved_it),
        cmocka_unit_test(what_is_said_again_counts_once),
        cmocka_unit_test(marks_stay_bounded_and_positions_are_never_ahead),
        cmocka_unit_test(spans_of_one_group_share_a_mark),
        cmocka_unit_test(positions_wrap),
        cmocka_unit_test(a_restated_ring_is_as_far_as_its_last_mark),
        cmocka_unit_test(lost_spans_are_remembered_until_they_are_trimmed),
        cmocka_unit_test(ids_are_not_given_twice),
        cmocka_unit_test(tables_are_found_by_every_key),
        cmocka_unit_test(a_contradiction_is_refused_and_changes_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
