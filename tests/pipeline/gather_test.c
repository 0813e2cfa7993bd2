/*
 * Claims about routing: settings that change in mid-stream, memory and log that are used up, what
 * is read back after a crash, and spans that the disk has damaged.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/parts.h"
#include "support/sim.h"
#include "support/sim_agent.h"

static struct sim_agent agent;
static bool pressed;

static int setup(void **state)
{
    (void)state;
    sim_agent_init(&agent, 31);
    pressed = false;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    sim_agent_fini(&agent);
    return 0;
}

static void watch_pressure(struct sim_agent *a, enum status_backpressure which)
{
    struct status *status;

    assert_int_equal(snapshot_make(a->shard, &status), 0);
    assert_true(status->memory_bytes <= status->memory_bytes_max);
    pressed |= status->backpressure[which];
    status_free(status);
}

/* ---- Settings ---- */

/* Every few turns something else is configured. */
static void settings_change(struct sim_agent *a, uint64_t turn)
{
    struct sim_agent_sink *sink = &a->sinks[0];

    if (turn % 10 != 9)
        return;
    switch (turn / 10 % 4) {
    case 0:
        sink->buffer_count = 3;
        break;
    case 1:
        sink->format = "raw";
        break;
    case 2:
        sink->buffer_count = 20;
        break;
    default:
        sink->buffer_count = 8;
        sink->format = "json";
    }
    shard_reload(a->shard);
}

static void settings_may_change_at_any_time(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        sim_agent_fini(&agent);
        sim_agent_init(&agent, seed);
        sim_set_disorder(400);
        agent.leave = agent.look_often = true;
        agent.on_turn = settings_change;
        agent.sinks[0].count_max = 20;
        agent.streams_count = 2;
        sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, 500)->burst = 2;
        sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, 300)->burst = 2;
        assert_int_equal(sim_agent_life(&agent), 0);
        sim_agent_check_all(&agent);
        sim_agent_check_clean(&agent);
        assert_int_equal(agent.delivered, 800);
        assert_int_equal(agent.pending + agent.lost + agent.dropped, 0);
    }
}

/* As above, killed again and again: versions of settings are taken up where they were. */
static int changed_and_killed(void *ctx)
{
    uint64_t seed = *(const uint64_t *)ctx;
    unsigned lives = 0;

    sim_agent_init(&agent, seed);
    agent.leave = true;
    agent.sinks[0].buffer_count = 9;
    agent.streams_count = 2;
    sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, 150)->burst = 2;
    sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, 100)->burst = 2;
    do {
        /* A restart finds other settings than the log: that is a reload too. */
        agent.sinks[0].buffer_count = 3 + (int64_t)(seed + lives) % 7;
        agent.sinks[0].count_max = 9;
        agent.sinks[0].format = (seed + lives) % 2 ? "raw" : "json";
        sim_crash_at(lives < 8 ? 150 + sim_random() % 400 : 0);
        lives++;
        if (sim_agent_life(&agent) == 0)
            break;
        sim_agent_killed(&agent);
        sim_agent_check_files(&agent);
    } while (true);
    sim_agent_check_all(&agent);
    sim_agent_check_clean(&agent);
    SIM_AGENT_CHECK(agent.delivered == 250 && agent.pending == 0, "%llu delivered",
                    (unsigned long long)agent.delivered);
    return 0;
}

static void settings_may_change_at_each_restart(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++)
        assert_int_equal(sim_agent_child(changed_and_killed, &seed), 0);
}

static void a_sink_may_be_added_and_taken_away(void **state)
{
    uint64_t events;

    (void)state;
    agent.sinks[0].buffer_time_ns = -1;
    sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, 15);
    sim_agent_open(&agent);
    sim_agent_until(&agent, sim_agent_taken, "fifteen events");
    sim_agent_sink_add(&agent, "second", "/data/second");
    shard_reload(agent.shard);
    agent.sources[0].planned = 40;
    sim_agent_until(&agent, sim_agent_taken, "forty events");
    sim_agent_turns(&agent, 20);
    agent.sinks[1].unused = true;
    shard_reload(agent.shard);
    agent.sources[0].planned = 60;
    sim_agent_until(&agent, sim_agent_taken, "sixty events");
    sim_agent_stop(&agent);
    agent.sinks_count = 1;
    sim_agent_check_all(&agent);
    assert_int_equal(agent.delivered, 60);
    agent.sinks_count = 2;
    sim_agent_files(&agent, 1, &events);
    assert_int_equal(events, 25);
}

/* ---- Memory and log ---- */

static void see_memory(struct sim_agent *a, uint64_t turn)
{
    (void)turn;
    watch_pressure(a, BACKPRESSURE_MEMORY);
}

/* Each of the open batches holds a block, and no trigger would ever seal one. */
static void open_batches_give_back_memory_when_it_is_short(void **state)
{
    (void)state;
    agent.opt.memory_limit = 24 << 20;          /* 48 blocks */
    agent.streams_count = 8;
    for (unsigned i = 0; i < 3; i++)
        sim_agent_sink_add(&agent, "more", i == 0 ? "/data/1" : i == 1 ? "/data/2" : "/data/3");
    for (unsigned i = 0; i < 4; i++) {
        agent.sinks[i].buffer_count = 100000 + (int64_t)i;
        agent.sinks[i].buffer_bytes = 1 << 30;
        agent.sinks[i].buffer_time_ns = -1;
    }
    agent.pad_bytes = 7000;
    agent.on_turn = see_memory;
    sim_agent_source_add(&agent, 1 << 20, 3000)->burst = 50;
    assert_int_equal(sim_agent_life(&agent), 0);
    assert_true(pressed);
    sim_agent_check_all(&agent);
    sim_agent_check_clean(&agent);
}

static void log_is_full_until_space_comes(struct sim_agent *a, uint64_t turn)
{
    watch_pressure(a, BACKPRESSURE_LOG_FULL);
    if (turn == 5)
        sim_set_capacity("/far", 0);
    if (turn == 6000)
        sim_set_capacity("/far", 1 << 30);
}

/* The sink takes nothing: batches pin the log, and rings fill. Then it goes on. */
static void a_full_log_pushes_back_and_goes_on(void **state)
{
    (void)state;
    sim_mount("/far", false, 1 << 30);
    agent.sinks[0].directory = "/far/out";
    agent.sinks[0].buffer_count = 200;
    agent.opt.wal_bytes_max = 24 << 20;
    agent.opt.idle = SHARD_IDLE_SLEEP;
    agent.pad_bytes = 8000;
    agent.on_turn = log_is_full_until_space_comes;
    sim_agent_source_add(&agent, 1 << 20, 6000)->burst = 100;
    sim_agent_source_add(&agent, 1 << 18, 500);
    assert_int_equal(sim_agent_life(&agent), 0);
    assert_true(pressed);
    sim_agent_check_all(&agent);
    sim_agent_check_clean(&agent);
}

static void trickle(struct sim_agent *a, uint64_t turn)
{
    (void)turn;
    watch_pressure(a, BACKPRESSURE_LOG_FULL);
    /* One event of a stream that is hardly used, which nothing but pressure seals. */
    if (a->sources[0].events_count == 0)
        sim_agent_write(a, &a->sources[0], 7);
}

static void one_event_does_not_pin_a_log(void **state)
{
    (void)state;
    agent.opt.wal_bytes_max = 24 << 20;
    agent.pad_bytes = 8000;
    agent.sinks[0].buffer_count = 100;
    agent.sinks[0].buffer_time_ns = -1;
    agent.on_turn = trickle;
    sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, 0);
    sim_agent_source_add(&agent, 1 << 20, 6000)->burst = 10;
    assert_int_equal(sim_agent_life(&agent), 0);
    assert_false(pressed);
    sim_agent_check_all(&agent);
    sim_agent_check_clean(&agent);
}

/* ---- Reading back ---- */

static int killed_with_open_batches(void *ctx)
{
    uint64_t events;

    (void)ctx;
    sim_agent_init(&agent, 5);
    agent.sinks[0].buffer_time_ns = 60000000000;
    sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, 7);
    sim_agent_open(&agent);
    sim_agent_until(&agent, sim_agent_taken, "seven events");
    sim_agent_pass(&agent, 50000000000);
    sim_agent_killed(&agent);
    sim_agent_open(&agent);
    sim_agent_pass(&agent, 9000000000);
    sim_agent_files(&agent, 0, &events);
    SIM_AGENT_CHECK(events == 0, "%llu events before their time", (unsigned long long)events);
    sim_agent_pass(&agent, 2000000000);
    sim_agent_files(&agent, 0, &events);
    SIM_AGENT_CHECK(events == 7, "%llu events", (unsigned long long)events);
    sim_agent_stop(&agent);
    return 0;
}

static void age_counts_from_arrival_across_a_restart(void **state)
{
    (void)state;
    assert_int_equal(sim_agent_child(killed_with_open_batches, NULL), 0);
}

/* Finds the payload in the log and flips a bit of it. False: it is not there. */
static bool log_damage(const char *payload)
{
    char **names, path[256];
    bool done = false;
    size_t count;

    assert_int_equal(sim_list(SIM_AGENT_DATA "/wal", &names, &count), 0);
    for (size_t i = 0; i < count && !done; i++) {
        uint8_t *data, *at;
        size_t len;

        snprintf(path, sizeof(path), SIM_AGENT_DATA "/wal/%s", names[i]);
        assert_int_equal(sim_read_file(path, &data, &len), 0);
        at = memmem(data, len, payload, strlen(payload));
        if (at) {
            *at ^= 1;
            assert_int_equal(sim_poke(path, (uint64_t)(at - data), at, 1), 0);
            done = true;
        }
        free(data);
    }
    free(names);
    return done;
}

static int damaged_and_killed(void *ctx)
{
    unsigned number = *(const unsigned *)ctx;
    char payload[64];
    uint64_t events;

    sim_agent_init(&agent, number);
    agent.sinks[0].buffer_time_ns = -1;
    sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, 95)->burst = 5;
    sim_agent_open(&agent);
    sim_agent_until(&agent, sim_agent_taken, "all events");
    sim_agent_pass(&agent, 1000000000);
    sim_agent_killed(&agent);
    snprintf(payload, sizeof(payload), "\"s\":0,\"n\":%u,", number);
    SIM_AGENT_CHECK(log_damage(payload), "event %u is not in the log", number);
    for (int round = 0; round < 2; round++) {   /* it is counted once */
        sim_agent_open(&agent);
        sim_agent_pass(&agent, 1000000000);
        if (round == 0)
            sim_agent_killed(&agent);
        else
            sim_agent_stop(&agent);
    }
    sim_agent_files(&agent, 0, &events);
    SIM_AGENT_CHECK(events + agent.lost == 95 && agent.delivered == events && agent.pending == 0,
                    "%llu events in files, %llu lost, %llu pending", (unsigned long long)events,
                    (unsigned long long)agent.lost, (unsigned long long)agent.pending);
    /* 90 are sealed: damage below does not matter any more. */
    SIM_AGENT_CHECK((agent.lost > 0) == (number > 90), "%llu lost",
                    (unsigned long long)agent.lost);
    return 0;
}

static void a_damaged_span_is_lost_once_and_visibly(void **state)
{
    static const unsigned numbers[] = {1, 50, 90, 91, 93, 95};

    (void)state;
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        unsigned number = numbers[i];

        assert_int_equal(sim_agent_child(damaged_and_killed, &number), 0);
    }
}

int main(void)
{
    struct CMUnitTest tests[] = {
        cmocka_unit_test(settings_may_change_at_any_time),
        cmocka_unit_test(settings_may_change_at_each_restart),
        cmocka_unit_test(a_sink_may_be_added_and_taken_away),
        cmocka_unit_test(open_batches_give_back_memory_when_it_is_short),
        cmocka_unit_test(a_full_log_pushes_back_and_goes_on),
        cmocka_unit_test(one_event_does_not_pin_a_log),
        cmocka_unit_test(age_counts_from_arrival_across_a_restart),
        cmocka_unit_test(a_damaged_span_is_lost_once_and_visibly),
    };

    for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
        tests[i].setup_func = setup;
        tests[i].teardown_func = teardown;
    }
    return cmocka_run_group_tests_name("gather", tests, NULL, NULL);
}
