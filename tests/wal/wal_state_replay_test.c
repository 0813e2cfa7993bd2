/*
 * Claims about runs of items made by chance and checked against a model: a checkpoint stands for
 * everything before it, and mends what a hole before it has taken away.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "wal/state_builder.h"

static void same_states(const struct wal_state *a, const struct wal_state *b)
{
    struct bytes x = BYTES_INIT, y = BYTES_INIT;

    state_checkpoint(a, &x);
    state_checkpoint(b, &y);
    assert_int_equal(x.len, y.len);
    assert_memory_equal(x.data, y.data, x.len);
    bytes_free(&x);
    bytes_free(&y);
}

enum { STREAMS = 3, VERSIONS = 64, OUTPUTS = 2, PARTITIONS = 5, SEALS = 512, STEPS = 1500 };

struct model_version {
    uint64_t accepted, lost, sealed[OUTPUTS], resolved[OUTPUTS];
    uint64_t sealed_lsn[OUTPUTS][PARTITIONS];
};

struct model_seal {
    uint32_t stream, version, output;
    uint64_t events;
    struct wal_item item;
    unsigned acked;                     /* bits */
    bool delivered, done;
};

struct model {
    uint64_t seed, lsn, trim_lsn, sealed_lsn;   /* sealed_lsn: the last of all */
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

static const char *const partitions[PARTITIONS] = {"", "a=1/", "a=2/", "b/", "!failed"};

static uint64_t live_seals(const struct model *m, uint64_t *ret_first_lsn)
{
    uint64_t live = 0;

    *ret_first_lsn = UINT64_MAX;
    for (uint32_t i = 0; i < m->seals; i++) {
        if (m->seal[i].done)
            continue;
        live++;
        if (*ret_first_lsn > m->seal[i].item.u.seal.first_lsn)
            *ret_first_lsn = m->seal[i].item.u.seal.first_lsn;
    }
    return live;
}

/* Up to the first event of what is not acknowledged. */
static bool model_trim(struct model *m, struct wal_item *it)
{
    uint64_t low;

    if (live_seals(m, &low) == 0)
        low = m->sealed_lsn + 1;
    if (low <= m->trim_lsn)
        return false;
    *it = (struct wal_item){.type = WAL_TRIM};
    it->u.trim.lsn = m->trim_lsn += 1 + built_random(&m->seed) % (low - m->trim_lsn);
    return true;
}

/* Any batch again, live or acknowledged; its version may be gone unless it is the newest. */
static bool model_seal_again(struct model *m, struct wal_item *it)
{
    const struct model_seal *seal = m->seals ? &m->seal[built_random(&m->seed) % m->seals] : NULL;

    if (!seal || seal->version + 1 != m->versions[seal->stream])
        return false;
    *it = seal->item;
    return true;
}

static bool model_seal(struct model *m, uint32_t s, struct wal_item *it)
{
    uint32_t v = m->versions[s] ? (uint32_t)(built_random(&m->seed) % m->versions[s]) : 0;
    uint32_t o = (uint32_t)(built_random(&m->seed) % OUTPUTS);
    uint32_t p = (uint32_t)(built_random(&m->seed) % PARTITIONS);
    struct model_version *mv = &m->version[s][v];
    uint64_t left = mv->accepted - mv->lost - mv->sealed[o];
    struct model_seal *seal = &m->seal[m->seals];
    uint64_t *sealed_lsn;

    if (left == 0 || m->seals == SEALS)
        return false;
    *seal = (struct model_seal){.stream = s, .version = v, .output = o};
    seal->events = 1 + built_random(&m->seed) % left;
    mv->sealed[o] += seal->events;
    *it = built_seal(m->seals++, s + 1, v + 1, (uint16_t)o, seal->events);
    sealed_lsn = &mv->sealed_lsn[o][p];
    it->u.seal.partition = built_str(partitions[p]);
    it->u.seal.first_lsn = (*sealed_lsn < m->trim_lsn ? m->trim_lsn : *sealed_lsn + 1)
                           + built_random(&m->seed) % 3 * 100;
    it->u.seal.last_lsn = *sealed_lsn = it->u.seal.first_lsn + built_random(&m->seed) % 1000;
    if (m->sealed_lsn < *sealed_lsn)
        m->sealed_lsn = *sealed_lsn;
    seal->item = *it;
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

static const char *const schemas[] = {"a long", "a long, b text, c bytes"};

/* The next item of the run; it contradicts nothing before it. */
static void model_next(struct model *m, struct bytes *out)
{
    static const uint8_t data[4096];
    struct wal_item it = {.type = WAL_TRIM};

    for (bool made = false; !made;) {
        uint32_t s = (uint32_t)(built_random(&m->seed) % STREAMS);

        switch (built_random(&m->seed) % 12) {
        case 0:
            made = model_attach(m, &it);
            break;
        case 1:
            made = model_stream(m, s, &it);
            break;
        case 2:
            if (m->ring && m->versions[0]) {
                struct wal_item def = built_def(m->ring, 1, 1);

                built_item(out, &def);
                it = built_schema(m->ring, 2, 1, schemas[m->ring % 2]);
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
            made = model_trim(m, &it);
            break;
        case 8:
            made = model_seal_again(m, &it);
            break;
        case 9:
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

/* Every batch is there once, however often it was said; what is sealed is known until trimmed. */
static void model_seals(const struct model *m, const struct wal_state *s)
{
    uint64_t first_lsn;

    assert_int_equal(s->seals_count, live_seals(m, &first_lsn));
    for (uint32_t i = 0; i < s->streams_count; i++)
        for (uint32_t k = 0; k < s->streams[i]->versions_count; k++) {
            const struct wal_version *v = &s->streams[i]->versions[k];
            const struct model_version *mv = &m->version[i][v->version - 1];
            uint32_t known = 0;

            for (uint16_t o = 0; o < OUTPUTS; o++)
                for (uint32_t p = 0; p < PARTITIONS; p++) {
                    bool kept = p == 0 || mv->sealed_lsn[o][p] >= m->trim_lsn;

                    assert_int_equal(wal_version_sealed_lsn(v, o, partitions[p],
                                                            strlen(partitions[p])),
                                     kept ? mv->sealed_lsn[o][p] : 0);
                    known += p > 0 && kept && mv->sealed_lsn[o][p] > 0;
                }
            assert_int_equal(v->partitions.count, known);
        }
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
    static struct model m;              /* too large for a stack */

    m = (struct model){.seed = seed, .lsn = 4096};
    memset(run, 0, sizeof(*run));
    assert_int_equal(wal_state_init(&run->live), 0);
    for (int i = 0; i < STEPS; i++) {
        run->end_lsn[i] = m.lsn += 4096;
        run->restates[i] = i > 0 && built_random(&m.seed) % 50 == 0;
        if (run->restates[i]) {
            state_checkpoint(&run->live, &run->piece[i]);  /* the living state does not apply it */
            continue;
        }
        model_next(&m, &run->piece[i]);
        state_replay(&run->live, &run->piece[i], m.lsn);
        model_balances(&m, &run->live);
        model_seals(&m, &run->live);
    }
    assert_true(m.seals > 50 && m.rings > 3 && m.versions[0] > 3 && m.trim_lsn > 1000);
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
                state_replay(&s, &run->piece[i], run->end_lsn[i]);
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
                    state_replay(&s, &run->piece[i], run->end_lsn[i]);
            same_states(&s, &run->live);
            wal_state_fini(&s);
        }
        run_free(run);
    }
}

static struct wal_str numbered(char *buf, size_t cap, unsigned i)
{
    return (struct wal_str){buf, (uint32_t)snprintf(buf, cap, "country=DE/city=%u/", i)};
}

/* Thousands, some of them trimmed away meanwhile: found one by one, restated, and read back. */
static void a_checkpoint_restates_every_partition(void **state)
{
    enum { MANY = 5000, TRIMMED = 1000 };
    struct wal_item it = built_stream(1, 1, "orders", 2);
    struct bytes b = BYTES_INIT;
    struct wal_state live, s;
    const struct wal_version *v;
    char name[64];

    (void)state;
    assert_int_equal(wal_state_init(&live), 0);
    built_item(&b, &it);
    for (unsigned i = 0; i < MANY; i++) {
        it = built_seal(i + 1, 1, 1, i % 2, 1);
        it.u.seal.partition = numbered(name, sizeof(name), i);
        built_item(&b, &it);
        for (uint16_t target = 0; target < 2; target++) {
            it = built_ack(i + 1, target, WAL_ACK_DELIVERED);
            built_item(&b, &it);
        }
    }
    it = (struct wal_item){.type = WAL_TRIM};
    it.u.trim.lsn = (TRIMMED + 1) * 100;        /* the first of them ends at 199 */
    built_item(&b, &it);
    state_replay(&live, &b, 4096);
    state_checkpoint(&live, &b);
    assert_int_equal(wal_state_init(&s), 0);
    state_replay(&s, &b, 8192);
    same_states(&s, &live);
    state_replay(&live, &b, 8192);      /* one that tells nothing new changes nothing */
    same_states(&s, &live);
    v = wal_stream_version(wal_state_stream(&s, 1), 1);
    assert_int_equal(v->partitions.count, MANY - TRIMMED);
    for (unsigned i = 0; i < MANY; i++) {
        struct wal_str p = numbered(name, sizeof(name), i);

        assert_int_equal(wal_version_sealed_lsn(v, i % 2, p.at, p.len),
                         i < TRIMMED ? 0 : (i + 1) * 100 + 99);
        assert_int_equal(wal_version_sealed_lsn(v, (i + 1) % 2, p.at, p.len), 0);
    }
    bytes_free(&b);
    wal_state_fini(&live);
    wal_state_fini(&s);
}

/* What the checkpoint does not name is forgotten with what it was sealed by. */
static void a_partition_belongs_to_its_checkpoint_and_version(void **state)
{
    struct wal_item it = built_stream(1, 1, "orders", 2), mark = {.type = WAL_PARTITION};
    struct wal_item totals = {.type = WAL_VERSION_TOTALS}, end = {.type = WAL_CHECKPOINT_END};
    struct wal_item begin = {.type = WAL_CHECKPOINT};
    struct wal_state s;

    (void)state;
    assert_int_equal(wal_state_init(&s), 0);
    assert_int_equal(wal_state_apply(&s, &it, 0), 0);
    mark.u.partition.stream = mark.u.partition.version = 1;
    mark.u.partition.sealed_lsn = 500;
    mark.u.partition.partition = built_str("a");
    totals.u.version_totals.stream = totals.u.version_totals.version = 1;
    totals.u.version_totals.outputs = 2;
    assert_int_equal(wal_state_apply(&s, &mark, 0), -EBADMSG);  /* only in a checkpoint */
    assert_int_equal(wal_state_apply(&s, &begin, 0), 0);
    assert_int_equal(wal_state_apply(&s, &mark, 0), -EBADMSG);  /* after its version */
    assert_int_equal(wal_state_apply(&s, &totals, 0), 0);
    assert_int_equal(wal_state_apply(&s, &mark, 0), 0);
    mark.u.partition.output = 2;
    assert_int_equal(wal_state_apply(&s, &mark, 0), -EBADMSG);
    mark.u.partition.output = 1;
    mark.u.partition.version = 2;
    assert_int_equal(wal_state_apply(&s, &mark, 0), -EBADMSG);
    mark.u.partition.version = 1;
    mark.u.partition.stream = 2;
    assert_int_equal(wal_state_apply(&s, &mark, 0), -EBADMSG);
    mark.u.partition.stream = 1;
    mark.u.partition.sealed_lsn = 0;
    assert_int_equal(wal_state_apply(&s, &mark, 0), -EBADMSG);
    assert_int_equal(wal_state_apply(&s, &end, 0), 0);
    assert_int_equal(wal_state_stream(&s, 1)->versions[0].partitions.count, 1);
    assert_int_equal(wal_version_sealed_lsn(&wal_state_stream(&s, 1)->versions[0], 0, "a", 1), 500);
    assert_int_equal(wal_state_apply(&s, &begin, 0), 0);
    assert_int_equal(wal_state_apply(&s, &totals, 0), 0);
    assert_int_equal(wal_state_apply(&s, &end, 0), 0);
    assert_int_equal(wal_state_stream(&s, 1)->versions[0].partitions.count, 0);
    wal_state_fini(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_log_read_from_any_checkpoint_gives_the_live_state),
        cmocka_unit_test(a_checkpoint_mends_what_a_hole_before_it_took),
        cmocka_unit_test(a_checkpoint_restates_every_partition),
        cmocka_unit_test(a_partition_belongs_to_its_checkpoint_and_version),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
