/*
 * Claims about sinks that leave the configuration: what waits for them is given up, counted and
 * cleaned away, by a reload and by a start; what they or another sink had taken counts as
 * delivered; nothing else is touched, wherever the agent is killed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "pipeline/parts.h"
#include "support/sim.h"
#include "support/sim_agent.h"

static struct sim_agent agent;

static int setup(void **state)
{
    (void)state;
    sim_agent_init(&agent, 31);
    sim_mount("/far", false, 1 << 30);
    sim_agent_sink_add(&agent, "far", "/far/out");
    sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    sim_agent_fini(&agent);
    return 0;
}

static void take(uint32_t events)
{
    agent.sources[0].planned += events;
    sim_agent_until(&agent, sim_agent_taken, "events");
    sim_agent_pass(&agent, 100000000);
}

static void far_leaves(void)
{
    agent.sinks_count = 1;
    agent.sinks[0].unused = false;
    if (agent.shard)
        shard_reload(agent.shard);
}

static uint64_t events_in(unsigned sink)
{
    unsigned count = agent.sinks_count;
    uint64_t events;

    agent.sinks_count = 2;
    sim_agent_files(&agent, sink, &events);
    agent.sinks_count = count;
    return events;
}

static void books(uint64_t delivered, uint64_t dropped, uint64_t pending)
{
    if (agent.shard)                    /* else as they were at the end of the last life */
        sim_agent_check_books(&agent);
    assert_int_equal(agent.delivered, delivered);
    assert_int_equal(agent.dropped, dropped);
    assert_int_equal(agent.pending, pending);
    assert_int_equal(agent.lost, 0);
}

static void nothing_is_left(void)
{
    agent.sinks_count = 2;
    sim_agent_check_clean(&agent);
    agent.sinks_count = 1;
}

/* Sinks of one batch: what the other one took is delivered. */
static void another_sinks_word_counts(void **state)
{
    (void)state;
    sim_set_capacity("/far", 0);
    sim_agent_open(&agent);
    take(40);
    books(0, 0, 40);
    far_leaves();
    sim_agent_pass(&agent, 100000000);
    books(40, 0, 0);
    take(20);
    sim_agent_stop(&agent);
    sim_agent_check_all(&agent);
    books(60, 0, 0);
    assert_int_equal(events_in(1), 0);
    nothing_is_left();
}

/* Batches of its own: events that another output has delivered are delivered all the same. */
static void another_outputs_word_counts(void **state)
{
    (void)state;
    sim_set_capacity("/far", 0);
    agent.sinks[1].buffer_count = 7;
    sim_agent_open(&agent);
    take(40);
    books(0, 0, 40);
    far_leaves();
    sim_agent_pass(&agent, 100000000);
    /* Seven of the new settings' first batch are not there yet; all but five were. */
    assert_int_equal(agent.shard->seals_count, 0);
    sim_agent_stop(&agent);
    sim_agent_check_all(&agent);
    books(40, 0, 0);
    nothing_is_left();
}

static void what_nobody_else_takes_is_dropped_by_name(void **state)
{
    struct status *status;

    (void)state;
    agent.sinks[0].unused = true;
    agent.sinks[1].buffer_time_ns = -1;
    sim_agent_open(&agent);
    take(10);
    books(10, 0, 0);
    sim_set_capacity("/far", 0);
    take(35);
    books(10, 0, 35);
    far_leaves();
    sim_agent_pass(&agent, 100000000);
    books(10, 35, 0);                   /* five of them were in an open batch */
    assert_int_equal(snapshot_make(agent.shard, &status), 0);
    assert_int_equal(status->streams[0].dropped_by[WAL_DROP_SINK_REMOVED], 35);
    assert_int_equal(status->sinks_count, 1);
    assert_string_equal(status->sinks[0].name, "local");
    status_free(status);
    take(20);
    sim_agent_stop(&agent);
    books(30, 35, 0);
    assert_int_equal(events_in(0), 20);
    assert_int_equal(events_in(1), 10);
    nothing_is_left();
}

static void a_start_gives_up_what_a_reload_would(void **state)
{
    (void)state;
    agent.sinks[0].unused = true;
    sim_agent_open(&agent);
    take(20);
    sim_set_capacity("/far", 0);
    take(20);
    agent.stop_ns = 1000000000;
    sim_agent_stop(&agent);
    agent.stop_ns = 600000000000ULL;
    far_leaves();
    for (int life = 0; life < 2; life++) {
        sim_agent_open(&agent);
        take(10);
        sim_agent_stop(&agent);
        books(20 + 10 * (1 + (uint64_t)life), 20, 0);
    }
    assert_int_equal(events_in(1), 20);
    nothing_is_left();
}

/* One that streams stop to use is still a sink: what is sealed for it arrives. */
static void a_sink_that_is_only_unused_takes_what_was_meant_for_it(void **state)
{
    (void)state;
    agent.sinks[1].buffer_count = 100;
    sim_agent_open(&agent);
    take(45);
    agent.sinks[1].unused = true;
    shard_reload(agent.shard);
    sim_agent_stop(&agent);
    books(45, 0, 0);
    assert_int_equal(events_in(1), 45);
}

static void a_sink_that_is_back_in_time_loses_nothing(void **state)
{
    (void)state;
    sim_set_capacity("/far", 0);
    sim_agent_open(&agent);
    take(40);
    agent.sinks_count = 1;
    shard_reload(agent.shard);
    agent.sinks_count = 2;
    shard_reload(agent.shard);
    sim_set_capacity("/far", 1 << 30);
    sim_agent_stop(&agent);
    sim_agent_check_all(&agent);
    books(40, 0, 0);
}

/* Its directory went with it: nothing is made again there, and nothing counts as taken. */
static void a_directory_that_is_gone_too_stays_gone(void **state)
{
    (void)state;
    agent.sinks[0].unused = true;
    sim_set_capacity("/far", 0);
    sim_agent_open(&agent);
    take(20);
    agent.stop_ns = 1000000000;
    sim_agent_stop(&agent);
    agent.stop_ns = 600000000000ULL;
    assert_int_equal(sim_remove_tree("/far/out"), 0);
    sim_set_capacity("/far", 1 << 30);
    far_leaves();
    assert_int_equal(sim_agent_life(&agent), 0);
    books(0, 20, 0);
    assert_false(sim_exists("/far/out"));
}

/* ---- Crashes ---- */

struct cut {
    uint64_t point;
    bool power, near;                   /* near: linked into staging, else copied */
};

enum { CUT, ENDED };

/* What is in its directory was delivered, what is not was dropped, wherever it stopped. */
static int far_leaves_after_a_crash(void *ctx)
{
    const struct cut *c = ctx;
    uint64_t gone, here;
    int result;

    sim_agent_init(&agent, 100 + c->point);
    sim_set_journal(true);
    sim_mount("/far", false, 1 << 30);
    agent.sinks[0].unused = true;
    sim_agent_sink_add(&agent, "far", c->near ? "/data/far" : "/far/out")->unused = false;
    sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, 25);
    sim_crash_at(c->point);
    result = sim_agent_life(&agent);
    if (result == SIM_CRASHED && c->power)
        sim_agent_power_cut(&agent, c->point);
    else if (result == SIM_CRASHED)
        sim_agent_killed(&agent);
    agent.sinks_count = 1;
    agent.sinks[0].unused = false;
    for (int life = 0; life < 2; life++) {
        if (life == 0)
            sim_crash_at(1 + sim_random() % 400);
        if (sim_agent_life(&agent) == SIM_CRASHED)
            sim_agent_killed(&agent);
    }
    gone = events_in(1);
    here = events_in(0);
    SIM_AGENT_CHECK(agent.delivered == gone + here && agent.pending == 0,
                    "%llu delivered, but %llu and %llu there; %llu pending",
                    (unsigned long long)agent.delivered, (unsigned long long)gone,
                    (unsigned long long)here, (unsigned long long)agent.pending);
    SIM_AGENT_CHECK(c->power || (agent.accepted == 25 && agent.lost == 0),
                    "%llu accepted, %llu lost", (unsigned long long)agent.accepted,
                    (unsigned long long)agent.lost);
    sim_agent_check_clean(&agent);
    return result == SIM_CRASHED ? CUT : ENDED;
}

static void wherever_it_is_killed_the_books_say_what_is_there(void **state)
{
    uint64_t stride = getenv("HYDRANT_LONG") ? 1 : 11;

    (void)state;
    for (int kind = 0; kind < 4; kind++) {
        struct cut c = {.point = 1, .power = kind & 1, .near = kind & 2};
        unsigned cuts = 0;

        while (sim_agent_child(far_leaves_after_a_crash, &c) == CUT) {
            c.point += stride;
            cuts++;
        }
        print_message("%s, %s: %u cuts\n", c.power ? "power" : "SIGKILL",
                      c.near ? "linked" : "copied", cuts);
        assert_true(cuts * stride > 200);
    }
}

int main(void)
{
    struct CMUnitTest tests[] = {
        cmocka_unit_test(another_sinks_word_counts),
        cmocka_unit_test(another_outputs_word_counts),
        cmocka_unit_test(what_nobody_else_takes_is_dropped_by_name),
        cmocka_unit_test(a_start_gives_up_what_a_reload_would),
        cmocka_unit_test(a_sink_that_is_only_unused_takes_what_was_meant_for_it),
        cmocka_unit_test(a_sink_that_is_back_in_time_loses_nothing),
        cmocka_unit_test(a_directory_that_is_gone_too_stays_gone),
        cmocka_unit_test(wherever_it_is_killed_the_books_say_what_is_there),
    };

    for (size_t i = 0; i + 1 < sizeof(tests) / sizeof(tests[0]); i++) {
        tests[i].setup_func = setup;
        tests[i].teardown_func = teardown;
    }
    return cmocka_run_group_tests_name("deliver", tests, NULL, NULL);
}
