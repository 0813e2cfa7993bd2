/*
 * Claims about positions that are said back: of the spans in a group each ring hears the last one,
 * once.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "pipeline/parts.h"
#include "support/sim.h"
#include "support/sim_agent.h"

enum { SEED = 71, RINGS = 2, SPANS = 5, UNKNOWN_RING = 9999 };

static struct sim_agent agent;

/* Two rings, all of whose events are taken. */
static int setup(void **state)
{
    (void)state;
    sim_agent_init(&agent, SEED);
    for (unsigned i = 0; i < RINGS; i++)
        sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, 3);
    sim_agent_open(&agent);
    sim_agent_until(&agent, sim_agent_taken, "all is taken");
    assert_int_equal(agent.shard->rings_count, RINGS);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    sim_agent_close(&agent);
    sim_agent_fini(&agent);
    return 0;
}

static struct shm_mark *accepted_of(const struct ring *r)
{
    return &r->file.consumer->mark[SHM_POS_ACCEPTED];
}

static void span_add(struct wal_group *group, uint32_t ring, uint64_t from)
{
    struct wal_item it = {.type = WAL_SPAN};
    struct wal_tally tally = {.def = 1, .events = 1, .payload_bytes = 8};

    it.u.span.ring = ring;
    it.u.span.events = 1;
    it.u.span.from = from;
    it.u.span.to = from + 8;
    it.u.span.tallies = 1;
    assert_int_equal(wal_item_append(&group->items, &it, &tally), 0);
}

/* Committed: spans of all rings by turns, and one of a ring that is gone. */
static void spans_commit(void)
{
    struct wal_group group = {.end_lsn = agent.shard->writer.committed_lsn};

    for (unsigned i = 0; i < SPANS; i++)
        for (unsigned k = 0; k < RINGS; k++) {
            const struct ring *r = agent.shard->rings[k];

            span_add(&group, r->id, r->accepted + 8 * i);
        }
    span_add(&group, UNKNOWN_RING, 0);
    publish_committed(agent.shard, &group);
    bytes_free(&group.items);
}

static void the_last_span_of_a_group_is_published(void **state)
{
    uint64_t before[RINGS];

    (void)state;
    for (unsigned k = 0; k < RINGS; k++)
        before[k] = agent.shard->rings[k]->accepted;
    spans_commit();
    for (unsigned k = 0; k < RINGS; k++) {
        const struct ring *r = agent.shard->rings[k];

        assert_int_equal(r->accepted, before[k] + 8 * SPANS);
        assert_int_equal(atomic_load(&accepted_of(r)->pos), r->accepted);
        assert_int_equal(r->span_lsn, agent.shard->writer.committed_lsn);
    }
}

static void who_waits_for_room_is_woken_once_a_group(void **state)
{
    uint32_t before[RINGS];

    (void)state;
    for (unsigned k = 0; k < RINGS; k++)
        before[k] = atomic_load(&accepted_of(agent.shard->rings[k])->futex);
    atomic_store(&agent.sources[0].ring.page->waiter, 1);
    spans_commit();
    for (unsigned k = 0; k < RINGS; k++) {
        const struct ring *r = agent.shard->rings[k];
        uint32_t woken = atomic_load(&accepted_of(r)->futex) - before[k];

        assert_int_equal(woken, atomic_load(&r->file.producer->waiter));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_last_span_of_a_group_is_published, setup, teardown),
        cmocka_unit_test_setup_teardown(who_waits_for_room_is_woken_once_a_group, setup, teardown),
    };

    return cmocka_run_group_tests_name("publish", tests, NULL, NULL);
}
