/*
 * Claims about what producers report to have dropped: it is counted within a second, only ever
 * grows, outlives rings and agents, and a liar spoils nobody else's sums.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "pipeline/parts.h"
#include "support/sim.h"
#include "support/sim_agent.h"

static struct sim_agent agent;

static int setup(void **state)
{
    (void)state;
    sim_agent_init(&agent, 77);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    sim_agent_fini(&agent);
    return 0;
}

static uint64_t counted(enum shm_drop reason)
{
    struct status *status;
    uint64_t n;

    assert_int_equal(snapshot_make(agent.shard, &status), 0);
    n = status->intake_drops[reason];
    status_free(status);
    return n;
}

static void report(unsigned source, enum shm_drop reason, uint64_t events)
{
    atomic_store(&agent.sources[source].ring.page->drops[reason], events);
}

static void open_with(unsigned rings)
{
    for (unsigned i = 0; i < rings; i++)
        sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, 3);
    sim_agent_open(&agent);
    sim_agent_until(&agent, sim_agent_taken, "events");
}

static void reports_are_counted_within_a_second(void **state)
{
    (void)state;
    open_with(2);
    report(0, SHM_DROP_FULL, 100);
    report(1, SHM_DROP_FULL, 20);
    report(1, SHM_DROP_STALE, 3);
    sim_agent_pass(&agent, 1100000000);
    assert_int_equal(counted(SHM_DROP_FULL), 120);
    assert_int_equal(counted(SHM_DROP_STALE), 3);
    assert_int_equal(counted(SHM_DROP_TIMEOUT), 0);
    report(0, SHM_DROP_FULL, 101);
    sim_agent_pass(&agent, 1100000000);
    assert_int_equal(counted(SHM_DROP_FULL), 121);
    sim_agent_stop(&agent);
}

/* Nothing is written for a ring that has nothing new to report. */
static void a_silent_report_costs_no_log(void **state)
{
    uint64_t commits;

    (void)state;
    open_with(2);
    report(0, SHM_DROP_FULL, 100);
    sim_agent_pass(&agent, 3000000000);
    commits = agent.shard->writer.commits;
    sim_agent_pass(&agent, 5000000000);
    assert_int_equal(agent.shard->writer.commits, commits);
    sim_agent_stop(&agent);
}

static void a_report_that_goes_back_changes_nothing(void **state)
{
    (void)state;
    open_with(2);
    report(0, SHM_DROP_FULL, 100);
    sim_agent_pass(&agent, 2000000000);
    report(0, SHM_DROP_FULL, 4);
    sim_agent_pass(&agent, 2000000000);
    assert_int_equal(counted(SHM_DROP_FULL), 100);
    report(0, SHM_DROP_FULL, 90);
    sim_agent_pass(&agent, 2000000000);
    assert_int_equal(counted(SHM_DROP_FULL), 100);
    report(0, SHM_DROP_FULL, 105);
    sim_agent_pass(&agent, 2000000000);
    assert_int_equal(counted(SHM_DROP_FULL), 105);
    sim_agent_stop(&agent);
}

static void an_absurd_report_is_not_counted_and_others_are(void **state)
{
    static const uint64_t absurd[] = {UINT64_MAX, UINT64_MAX - 1, 1ULL << 63, 1ULL << 50};

    (void)state;
    open_with(3);
    for (size_t i = 0; i < sizeof(absurd) / sizeof(absurd[0]); i++) {
        report(0, SHM_DROP_FULL, absurd[i]);
        report(0, SHM_DROP_TIMEOUT, i + 1);     /* the rest of its word still counts */
        report(1, SHM_DROP_FULL, 10 * (i + 1));
        report(2, SHM_DROP_STALE, absurd[i]);
        sim_agent_pass(&agent, 1100000000);
        assert_int_equal(counted(SHM_DROP_FULL), 10 * (i + 1));
        assert_int_equal(counted(SHM_DROP_TIMEOUT), i + 1);
        assert_int_equal(counted(SHM_DROP_STALE), 0);
    }
    report(0, SHM_DROP_FULL, 7);                /* sane again */
    sim_agent_pass(&agent, 1100000000);
    assert_int_equal(counted(SHM_DROP_FULL), 47);
    /* No faster than one a nanosecond, once it has been believed. */
    report(0, SHM_DROP_FULL, 3000000000);
    sim_agent_pass(&agent, 1100000000);
    assert_int_equal(counted(SHM_DROP_FULL), 47);
    sim_agent_pass(&agent, 3000000000);
    assert_int_equal(counted(SHM_DROP_FULL), 40 + 3000000000);
    sim_agent_stop(&agent);
}

static void a_dead_producers_last_word_counts(void **state)
{
    (void)state;
    open_with(1);
    sim_agent_pass(&agent, 1100000000);
    report(0, SHM_DROP_FULL, 55);
    sim_producer_die(&agent.sources[0].ring);
    sim_agent_pass(&agent, 5000000000);
    assert_int_equal(agent.shard->rings_count, 0);
    assert_int_equal(counted(SHM_DROP_FULL), 55);
    sim_agent_stop(&agent);
}

static void a_quarantined_ring_may_still_report(void **state)
{
    (void)state;
    open_with(1);
    agent.sources[0].lies = true;
    atomic_store(&agent.sources[0].ring.head->head, UINT64_MAX / 2);
    sim_agent_pass(&agent, 1100000000);
    assert_int_equal(agent.shard->rings[0]->state, RING_QUARANTINED);
    report(0, SHM_DROP_STALE, 12);
    sim_agent_pass(&agent, 1100000000);
    assert_int_equal(counted(SHM_DROP_STALE), 12);
    sim_agent_close(&agent);
}

/* ---- Restarts ---- */

static uint64_t seen, reported;

static void never_less(struct sim_agent *a, uint64_t turn)
{
    uint64_t now = counted(SHM_DROP_FULL);

    (void)turn;
    SIM_AGENT_CHECK(now >= seen, "%llu counted, %llu before", (unsigned long long)now,
                    (unsigned long long)seen);
    seen = now;
    for (unsigned i = 0; i < a->sources_count; i++)
        if (a->sources[i].ring.open) {
            atomic_fetch_add(&a->sources[i].ring.page->drops[SHM_DROP_FULL], i + 1);
            reported += i + 1;
        }
}

/* Rings come, report, die; the agent is killed at any moment: at each turn of each life. */
static int killed_while_rings_report(void *ctx)
{
    uint64_t seed = *(const uint64_t *)ctx;

    sim_agent_init(&agent, seed);
    agent.on_turn = never_less;
    seen = reported = 0;
    for (unsigned life = 0; life < 6; life++) {
        sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, 4);
        sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, 4);
        sim_agent_open(&agent);
        sim_agent_until(&agent, sim_agent_taken, "events");
        sim_agent_pass(&agent, sim_random() % 3000000000);
        sim_producer_die(&agent.sources[life].ring);
        sim_agent_turns(&agent, sim_random() % 200);
        sim_agent_killed(&agent);
    }
    agent.on_turn = NULL;
    sim_agent_open(&agent);
    sim_agent_pass(&agent, 5000000000);
    SIM_AGENT_CHECK(counted(SHM_DROP_FULL) == reported && reported > 0,
                    "%llu counted of %llu", (unsigned long long)counted(SHM_DROP_FULL),
                    (unsigned long long)reported);
    sim_agent_stop(&agent);
    return 0;
}

static void sums_never_go_back_across_kills(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 30; seed++)
        assert_int_equal(sim_agent_child(killed_while_rings_report, &seed), 0);
}

int main(void)
{
    struct CMUnitTest tests[] = {
        cmocka_unit_test(reports_are_counted_within_a_second),
        cmocka_unit_test(a_silent_report_costs_no_log),
        cmocka_unit_test(a_report_that_goes_back_changes_nothing),
        cmocka_unit_test(an_absurd_report_is_not_counted_and_others_are),
        cmocka_unit_test(a_dead_producers_last_word_counts),
        cmocka_unit_test(a_quarantined_ring_may_still_report),
        cmocka_unit_test(sums_never_go_back_across_kills),
    };

    for (size_t i = 0; i + 1 < sizeof(tests) / sizeof(tests[0]); i++) {
        tests[i].setup_func = setup;
        tests[i].teardown_func = teardown;
    }
    return cmocka_run_group_tests_name("drops", tests, NULL, NULL);
}
