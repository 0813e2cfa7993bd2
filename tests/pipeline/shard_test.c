/*
 * Claims about the whole path on the simulated host when nothing goes wrong: what is committed
 * arrives, once, in order, in the files that the settings ask for, and a stop leaves nothing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/parts.h"
#include "support/sim.h"
#include "support/sim_agent.h"

static struct sim_agent agent;

static int setup(void **state)
{
    (void)state;
    sim_agent_init(&agent, 7);
    agent.look_often = true;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    sim_agent_fini(&agent);
    return 0;
}

static uint64_t events_in(unsigned sink)
{
    uint64_t events;

    sim_agent_files(&agent, sink, &events);
    return events;
}

/* One whole life; then everything must be there and nothing else. */
static void life_and_check(void)
{
    agent.leave = true;
    assert_int_equal(sim_agent_life(&agent), 0);
    sim_agent_check_all(&agent);
    sim_agent_check_clean(&agent);
    assert_int_equal(agent.pending, 0);
    assert_int_equal(agent.lost + agent.dropped, 0);
}

static void one_ring_arrives_in_files_of_buffer_count(void **state)
{
    (void)state;
    sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, 95);
    life_and_check();
    assert_int_equal(sim_agent_files(&agent, 0, NULL), 10);
    assert_int_equal(agent.delivered, 95);
}

static void many_rings_and_streams_arrive(void **state)
{
    (void)state;
    agent.streams_count = 5;
    for (unsigned i = 0; i < 20; i++)
        sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, 100 + 10 * i);
    life_and_check();
    assert_int_equal(agent.delivered, 20 * 100 + 10 * 190);
}

static void a_ring_takes_more_than_it_holds(void **state)
{
    (void)state;
    agent.pad_bytes = 1000;
    sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, 700)->burst = 100;
    life_and_check();
}

static void equal_sinks_share_batches_and_others_make_their_own(void **state)
{
    struct sim_agent_sink *twin, *other;

    (void)state;
    twin = sim_agent_sink_add(&agent, "twin", "/data/twin");
    other = sim_agent_sink_add(&agent, "other", "/data/other");
    other->buffer_count = 7;
    other->format = "raw";
    agent.streams_count = 2;
    sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, 140);
    life_and_check();
    assert_string_equal(twin->directory, "/data/twin");
    assert_int_equal(sim_agent_files(&agent, 0, NULL), 14);
    assert_int_equal(sim_agent_files(&agent, 1, NULL), 14);
    assert_int_equal(sim_agent_files(&agent, 2, NULL), 20);
    /* Confirmed by all sinks, each event counts once. */
    assert_int_equal(agent.delivered, 140);
}

static void a_sink_on_another_file_system_gets_copies(void **state)
{
    (void)state;
    sim_mount("/far", false, 1 << 30);
    agent.sinks[0].directory = "/far/out";
    sim_agent_sink_add(&agent, "near", SIM_AGENT_OUT);
    sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, 90);
    life_and_check();
    assert_int_equal(sim_agent_files(&agent, 0, NULL), 9);
}

static void a_flat_sink_has_no_folder_of_the_stream(void **state)
{
    char **names;
    size_t count;

    (void)state;
    agent.sinks[0].flat = true;
    agent.streams_count = 3;
    sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, 60);
    life_and_check();
    assert_int_equal(sim_list(SIM_AGENT_OUT, &names, &count), 0);
    assert_int_equal(count, 6 + 1);             /* and .hydrant */
    free(names);
}

static void folders_of_a_prefix_are_made(void **state)
{
    (void)state;
    agent.sinks[0].prefix = "!{timestamp:yyyy/MM/dd}/deep/";
    sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, 30);
    life_and_check();
    assert_true(sim_exists(SIM_AGENT_OUT "/stream-0/2026/01/01/deep"));
}

static void size_seals_a_batch(void **state)
{
    (void)state;
    agent.pad_bytes = 500;
    agent.sinks[0].buffer_count = -1;
    agent.sinks[0].buffer_bytes = 5000;
    sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, 100);
    life_and_check();
    assert_int_equal(sim_agent_files(&agent, 0, NULL), 10);
}

static void time_seals_a_batch_without_new_events(void **state)
{
    (void)state;
    agent.sinks[0].buffer_time_ns = 5000000000;
    sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, 3);
    sim_agent_open(&agent);
    sim_agent_until(&agent, sim_agent_taken, "three events are taken");
    sim_agent_pass(&agent, 4900000000);
    assert_int_equal(events_in(0), 0);
    sim_agent_pass(&agent, 200000000);
    assert_int_equal(events_in(0), 3);
    sim_agent_stop(&agent);
    assert_int_equal(sim_agent_files(&agent, 0, NULL), 1);
}

static void nothing_is_sealed_early_without_a_reason(void **state)
{
    (void)state;
    agent.sinks[0].buffer_time_ns = -1;
    sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, 9);
    sim_agent_open(&agent);
    sim_agent_until(&agent, sim_agent_taken, "nine events are taken");
    sim_agent_pass(&agent, 100000000000);
    assert_int_equal(events_in(0), 0);
    sim_agent_stop(&agent);
    assert_int_equal(events_in(0), 9);
}

static void a_flush_delivers_what_was_committed_before(void **state)
{
    struct sim_agent_source *src;

    (void)state;
    agent.streams_count = 2;
    agent.sinks[0].buffer_time_ns = -1;
    src = sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, 0);
    sim_agent_open(&agent);
    for (unsigned i = 0; i < 6; i++)
        assert_true(sim_agent_write(&agent, src, i % 2));
    assert_int_equal(sim_agent_flush(&agent, "stream-1"), 0);
    assert_int_equal(events_in(0), 3);
    assert_int_equal(sim_agent_flush(&agent, ""), 0);
    assert_int_equal(events_in(0), 6);
    assert_int_equal(sim_agent_flush(&agent, "unheard-of"), -ENOENT);
    sim_agent_stop(&agent);
}

static void a_look_knows_of_what_is_in_rings(void **state)
{
    struct sim_agent_source *src;
    struct status *status;

    (void)state;
    agent.sinks[0].buffer_time_ns = -1;
    sim_agent_open(&agent);
    src = sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, 0);
    for (uint64_t n = 1; n <= 3; n++) {
        assert_true(sim_agent_write(&agent, src, 0));
        assert_int_equal(sim_agent_ask(&agent, REQUEST_LOOK, "", &status), 0);
        assert_int_equal(status->streams_count, 1);
        assert_int_equal(status->streams[0].accepted, n);
        assert_int_equal(status->streams[0].buffered, n);
        assert_int_equal(status->streams[0].buffered_bytes, status->streams[0].accepted_bytes);
        status_free(status);
    }
    assert_int_equal(sim_agent_flush(&agent, ""), 0);
    assert_int_equal(sim_agent_ask(&agent, REQUEST_LOOK, "", &status), 0);
    assert_int_equal(status->streams[0].buffered, 0);
    status_free(status);
    sim_agent_stop(&agent);
}

/* All is durable then, and needs no other settings than the log's. */
static void a_seal_waits_for_no_sink(void **state)
{
    struct sim_agent_source *src;
    struct status *status;

    (void)state;
    sim_mount("/full", false, 0);
    agent.sinks[0].directory = "/full/out";
    agent.sinks[0].buffer_time_ns = -1;
    agent.streams_count = 2;
    src = sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, 0);
    sim_agent_open(&agent);
    for (unsigned i = 0; i < 6; i++)
        assert_true(sim_agent_write(&agent, src, i % 2));
    assert_int_equal(sim_agent_ask(&agent, REQUEST_SEAL, "stream-1", NULL), 0);
    assert_int_equal(sim_agent_ask(&agent, REQUEST_SEAL, "unheard-of", NULL), -ENOENT);
    assert_int_equal(sim_agent_ask(&agent, REQUEST_LOOK, "", &status), 0);
    for (size_t i = 0; i < 2; i++) {
        const struct status_stream *s = &status->streams[i];

        assert_int_equal(s->buffered, strcmp(s->name, "stream-1") == 0 ? 0 : 3);
        assert_int_equal(s->pending, 3);
    }
    status_free(status);
    assert_int_equal(sim_agent_ask(&agent, REQUEST_SEAL, "", NULL), 0);
    sim_agent_close(&agent);
    sim_set_capacity("/full", 1 << 30);
    assert_int_equal(sim_agent_life(&agent), 0);
    sim_agent_check_all(&agent);
}

/* A ring that appears and is written just before the flush or the stop is part of it. */
static void a_flush_and_a_stop_find_new_rings(void **state)
{
    struct sim_agent_source *src;

    (void)state;
    sim_agent_open(&agent);
    sim_agent_turns(&agent, 100);
    src = sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, 0);
    assert_true(sim_agent_write(&agent, src, 0));
    assert_int_equal(sim_agent_flush(&agent, ""), 0);
    assert_int_equal(events_in(0), 1);
    assert_true(sim_agent_write(&agent, src, 0));
    src = sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, 0);
    assert_true(sim_agent_write(&agent, src, 0));
    sim_agent_stop(&agent);
    assert_int_equal(events_in(0), 3);
    sim_agent_check_all(&agent);
}

static void a_stop_ends_in_time_when_a_sink_does_not_take(void **state)
{
    uint64_t before;

    (void)state;
    sim_mount("/full", false, 0);
    agent.sinks[0].directory = "/full/out";
    sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, 50);
    agent.stop_ns = 3000000000;
    sim_agent_open(&agent);
    sim_agent_until(&agent, sim_agent_taken, "everything is taken");
    before = sim_now_ns();
    sim_agent_stop(&agent);
    assert_in_range(sim_now_ns() - before, 3000000000, 3500000000);
    assert_int_equal(agent.pending, 50);
    /* The log has it. */
    sim_set_capacity("/full", 1 << 30);
    agent.stop_ns = 600000000000;
    assert_int_equal(sim_agent_life(&agent), 0);
    sim_agent_check_all(&agent);
    sim_agent_check_clean(&agent);
}

static void a_producer_may_go_on_where_the_agent_left(void **state)
{
    struct sim_agent_source *src;

    (void)state;
    src = sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, 33);
    assert_int_equal(sim_agent_life(&agent), 0);
    assert_int_equal(events_in(0), 33);
    while (src->events_count < 300)
        assert_true(sim_agent_write(&agent, src, 0));
    src->planned = 500;
    assert_int_equal(sim_agent_life(&agent), 0);
    assert_int_equal(events_in(0), 500);
    sim_agent_check_all(&agent);
}

static void full_segments_roll_and_are_trimmed(void **state)
{
    (void)state;
    agent.pad_bytes = 4000;
    agent.sinks[0].buffer_count = 100;
    sim_agent_source_add(&agent, 1 << 20, 6000)->burst = 100;
    sim_agent_open(&agent);
    sim_agent_until(&agent, sim_agent_taken, "24 MB are taken");
    assert_int_equal(sim_agent_flush(&agent, ""), 0);
    sim_agent_turns(&agent, 200);
    assert_true(agent.shard->writer.rolls >= 3);
    assert_in_range(agent.shard->dir.count, 1, 2);
    sim_agent_stop(&agent);
    sim_agent_check_all(&agent);
    sim_agent_check_clean(&agent);
}

/* A batch that no trigger ends holds on to what several starts have left of a small log. */
static void a_small_log_is_freed_by_sealing_what_pins_it(void **state)
{
    struct sim_agent_source *src;

    (void)state;
    agent.opt.wal_bytes_max = 10 << 20;
    agent.sinks[0].buffer_count = 1000;
    agent.sinks[0].buffer_time_ns = -1;
    src = sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, 0);
    src->burst = 1;                     /* over some turns */
    for (unsigned start = 0; start < 5; start++) {
        src->planned += 5;
        sim_agent_open(&agent);
        sim_agent_until(&agent, sim_agent_taken, "the events of one more start are taken");
        sim_agent_close(&agent);
    }
    life_and_check();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_ring_arrives_in_files_of_buffer_count),
        cmocka_unit_test(many_rings_and_streams_arrive),
        cmocka_unit_test(a_ring_takes_more_than_it_holds),
        cmocka_unit_test(equal_sinks_share_batches_and_others_make_their_own),
        cmocka_unit_test(a_sink_on_another_file_system_gets_copies),
        cmocka_unit_test(a_flat_sink_has_no_folder_of_the_stream),
        cmocka_unit_test(folders_of_a_prefix_are_made),
        cmocka_unit_test(size_seals_a_batch),
        cmocka_unit_test(time_seals_a_batch_without_new_events),
        cmocka_unit_test(nothing_is_sealed_early_without_a_reason),
        cmocka_unit_test(a_flush_delivers_what_was_committed_before),
        cmocka_unit_test(a_look_knows_of_what_is_in_rings),
        cmocka_unit_test(a_seal_waits_for_no_sink),
        cmocka_unit_test(a_flush_and_a_stop_find_new_rings),
        cmocka_unit_test(a_stop_ends_in_time_when_a_sink_does_not_take),
        cmocka_unit_test(a_producer_may_go_on_where_the_agent_left),
        cmocka_unit_test(full_segments_roll_and_are_trimmed),
        cmocka_unit_test(a_small_log_is_freed_by_sealing_what_pins_it),
    };
    struct CMUnitTest each[sizeof(tests) / sizeof(tests[0])];

    for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
        each[i] = tests[i];
        each[i].setup_func = setup;
        each[i].teardown_func = teardown;
    }
    return cmocka_run_group_tests_name("shard", each, NULL, NULL);
}
