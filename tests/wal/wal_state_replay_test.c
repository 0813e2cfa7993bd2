/*
 * Claims about runs of items made by chance and checked against a model: a checkpoint stands for
 * everything before it, and mends what a hole before it has taken away.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "wal/log_builder.h"
#include "wal/wal_state.h"

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
    uint64_t drops, ring_drops;         /* of all, of the living one */
    struct wal_books books;             /* before this step */
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
    m->ring_drops = 0;
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
            it->u.ack.staging_id = built_random(&m->seed);
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
            if (m->ring) {
                it = (struct wal_item){.type = WAL_INTAKE_DROPS};
                it.u.intake.ring = m->ring;
                it.u.intake.drops[SHM_DROP_FULL] = ++m->ring_drops;
                m->drops++;
                made = true;
            }
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

static void model_balances(struct model *m, const struct wal_state *s)
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
    assert_true(b.delivered >= m->books.delivered && b.dropped >= m->books.dropped);
    m->books = b;
    assert_int_equal(s->intake_drops[SHM_DROP_FULL], m->drops);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_log_read_from_any_checkpoint_gives_the_live_state),
        cmocka_unit_test(a_checkpoint_mends_what_a_hole_before_it_took),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
