/*
 * Claims about batches for services: stored whole, once and under the key that was sealed, whatever
 * becomes of answers, of their files and of the agent; a service that is away for long holds up
 * nobody else and costs no more than the limits allow; sinks that leave are counted.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/parts.h"
#include "support/sim.h"
#include "support/sim_cloud.h"
#include "support/sim_http.h"
#include "support/sim_schedule.h"

#define SPOOL     SIM_AGENT_DATA "/spool"
#define FOLDER    SIM_CLOUD "/lake/events/stream-0/"
#define SECOND_NS 1000000000ULL

enum { PATH_BYTES = 1200 };

static struct sim_agent agent;

/* One bucket, as the first of the sinks. */
static void bucket_make(struct sim_agent *a)
{
    a->sinks[0].name = "cloud";
    a->sinks[0].directory = "lake/events";
    a->sinks[0].cloud = true;
}

static int setup(void **state)
{
    (void)state;
    sim_agent_init(&agent, 53);
    bucket_make(&agent);
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
    sim_agent_pass(&agent, 200000000);
}

/* So long, most of it in leaps of the clock. */
static void long_pass(uint64_t seconds)
{
    for (uint64_t i = 0; i < seconds; i += 5) {
        sim_advance_ns(5 * SECOND_NS - 100000000);
        sim_agent_pass(&agent, 100000000);
    }
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

/* Of the oldest batch that is not acknowledged: where it will be, and its file. */
static void first_batch(char ret_object[PATH_BYTES], char ret_spool[PATH_BYTES])
{
    const struct seal_batch *sb = (const struct seal_batch *)agent.shard->unfinished.first;

    assert_non_null(sb);
    assert_true(sb->sealed);
    snprintf(ret_object, PATH_BYTES, SIM_CLOUD "/%s/%s", sb->target[0].place, sb->target[0].key);
    snprintf(ret_spool, PATH_BYTES, SPOOL "/%s", sb->spool.name);
}

static void file_spoil(const char *path)
{
    assert_int_equal(sim_poke(path, 3, "?", 1), 0);
}

static void end(uint64_t delivered)
{
    sim_agent_stop(&agent);
    sim_agent_check_all(&agent);
    sim_agent_check_clean(&agent);
    books(delivered, 0, 0);
}

/* ---- Once, whole, under its key ---- */

static void what_is_sealed_is_stored_and_acknowledged(void **state)
{
    char object[PATH_BYTES], spool[PATH_BYTES];

    (void)state;
    agent.pad_bytes = 700;              /* ten of them take two parts */
    sim_cloud_set_state(SIM_CLOUD_AWAY);
    sim_agent_open(&agent);
    take(20);
    first_batch(object, spool);
    assert_int_equal(strncmp(object, FOLDER, strlen(FOLDER)), 0);
    assert_true(sim_exists(spool) && !sim_exists(object));
    books(0, 0, 20);
    sim_cloud_set_state(SIM_CLOUD_UP);
    long_pass(60);
    assert_true(sim_exists(object) && !sim_exists(spool));
    assert_int_equal(sim_cloud_writes(object), 1);
    books(20, 0, 0);
    take(30);
    end(50);
}

/* The ways in which nobody is told; it is stored once. */
static void an_object_whose_answer_is_lost_is_found(void **state)
{
    static const enum s3_model_fault faults[] = {S3_MODEL_LOST_AFTER, S3_MODEL_500_AFTER,
                                                 S3_MODEL_LOST, S3_MODEL_500};
    char object[PATH_BYTES], spool[PATH_BYTES];

    (void)state;
    sim_agent_open(&agent);
    for (unsigned i = 0; i < 8; i++) {
        bool parts = i % 2 == 1;

        agent.pad_bytes = parts ? 700 : 0;
        sim_cloud_set_state(SIM_CLOUD_AWAY);
        take(10);
        first_batch(object, spool);
        sim_cloud_fail("lake", parts ? S3_MODEL_COMPLETE : S3_MODEL_PUT, faults[i / 2]);
        sim_cloud_set_state(SIM_CLOUD_UP);
        long_pass(100);
        assert_int_equal(sim_cloud_writes(object), 1);
        books(10 * (i + 1), 0, 0);
    }
    sim_agent_stop(&agent);
    sim_agent_check_clean(&agent);
}

static void a_damaged_file_is_made_again_for_the_same_key(void **state)
{
    char object[PATH_BYTES], spool[PATH_BYTES];

    (void)state;
    sim_cloud_set_state(SIM_CLOUD_AWAY);
    sim_agent_open(&agent);
    take(20);
    first_batch(object, spool);
    file_spoil(spool);                  /* it was read before, and is compared again */
    sim_cloud_set_state(SIM_CLOUD_UP);
    long_pass(100);
    assert_int_equal(sim_cloud_writes(object), 1);
    books(20, 0, 0);

    sim_cloud_set_state(SIM_CLOUD_AWAY);
    take(10);
    first_batch(object, spool);
    sim_agent_close(&agent);
    file_spoil(spool);
    sim_cloud_set_state(SIM_CLOUD_UP);
    sim_agent_open(&agent);
    sim_agent_pass(&agent, 2 * SECOND_NS);
    assert_int_equal(sim_cloud_writes(object), 1);

    sim_cloud_set_state(SIM_CLOUD_AWAY);
    take(10);
    first_batch(object, spool);
    sim_agent_close(&agent);
    assert_int_equal(sim_unlink(spool), 0);
    sim_cloud_set_state(SIM_CLOUD_UP);
    sim_agent_open(&agent);
    sim_agent_pass(&agent, 2 * SECOND_NS);
    assert_int_equal(sim_cloud_writes(object), 1);
    end(40);
}

static bool stored(struct sim_agent *a)
{
    return sim_agent_files(a, 0, NULL) > 0;
}

/* Killed as soon as there is an object: its answer was lost. */
static int killed_when_stored(void *ctx)
{
    char **names, path[PATH_BYTES];
    size_t count;

    (void)ctx;
    sim_agent_init(&agent, 53);
    bucket_make(&agent);
    sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, 10);
    sim_cloud_fail("lake", S3_MODEL_PUT, S3_MODEL_LOST_AFTER);
    sim_agent_open(&agent);
    sim_agent_until(&agent, stored, "an object");
    sim_agent_killed(&agent);
    sim_land();
    SIM_AGENT_CHECK(sim_list(SPOOL, &names, &count) == 0 && count == 1, "%zu files", count);
    snprintf(path, sizeof(path), SPOOL "/%s", names[0]);
    file_spoil(path);
    SIM_AGENT_CHECK(sim_agent_life(&agent) == 0, "it stops");
    SIM_AGENT_CHECK(sim_agent_files(&agent, 0, NULL) == 1, "one object");
    SIM_AGENT_CHECK(agent.delivered == 10 && agent.pending == 0, "%llu delivered",
                    (unsigned long long)agent.delivered);
    sim_agent_check_all(&agent);
    sim_agent_check_clean(&agent);
    return 0;
}

static void stored_unknown_to_the_agent_and_its_file_damaged(void **state)
{
    (void)state;
    assert_int_equal(sim_agent_child(killed_when_stored, NULL), 0);
}

/* ---- Cut everywhere ---- */

static void two_ways(struct sim_agent *a)
{
    bucket_make(a);
    sim_cloud_set_faults(5);
    a->pad_bytes = 700;
    a->sinks[0].buffer_count = 6;
    a->part_bytes = 1500;
    a->delivery_rests = 300;
    a->stop_ns = 3600 * SECOND_NS;      /* with all these faults */
    sim_agent_sink_add(a, "local", SIM_AGENT_OUT)->cloud = false;
    sim_agent_source_add(a, SHM_RING_BYTES_MIN, 40);
}

static void a_crash_at_any_moment_leaves_one_object_a_batch(void **state)
{
    (void)state;
    assert_true(sim_schedule_run((struct sim_schedule){.name = "kill", .prepare = two_ways,
                                                       .again = 1, .disorder = 300,
                                                       .stride = 67}) > 8);
    assert_true(sim_schedule_run((struct sim_schedule){.name = "spool damaged",
                                                       .prepare = two_ways, .again = 1,
                                                       .down = sim_agent_spool_damage,
                                                       .stride = 67}) > 8);
    assert_true(sim_schedule_run((struct sim_schedule){.name = "power", .prepare = two_ways,
                                                       .power = true, .again = 1,
                                                       .stride = 67}) > 8);
}

/* ---- Sinks that leave ---- */

static void a_job_that_is_out_when_its_sink_leaves_is_given_up(void **state)
{
    (void)state;
    sim_agent_sink_add(&agent, "local", SIM_AGENT_OUT)->cloud = false;
    agent.sinks[0].buffer_count = 7;    /* batches of its own */
    sim_cloud_set_state(SIM_CLOUD_AWAY);
    sim_agent_open(&agent);
    take(21);
    sim_agent_pass(&agent, 2 * SECOND_NS);
    assert_true(sim_http_requests() > 0);
    agent.sinks[0] = agent.sinks[1];
    agent.sinks_count = 1;
    sim_agent_reload(&agent);
    sim_agent_pass(&agent, 2 * SECOND_NS);
    assert_int_equal(agent.shard->seals_count, 0);
    books(21, 0, 0);                    /* the other sink's word counts */
    end(21);
}

static void what_only_the_sink_that_left_had_is_dropped_by_name(void **state)
{
    struct status *status;

    (void)state;
    sim_cloud_set_state(SIM_CLOUD_AWAY);
    sim_agent_open(&agent);
    take(20);
    books(0, 0, 20);
    agent.sinks[0].name = "local";
    agent.sinks[0].directory = SIM_AGENT_OUT;
    agent.sinks[0].cloud = false;
    sim_agent_reload(&agent);
    sim_agent_pass(&agent, 2 * SECOND_NS);
    books(0, 20, 0);
    assert_int_equal(snapshot_make(agent.shard, &status), 0);
    assert_int_equal(status->streams[0].dropped_by[WAL_DROP_SINK_REMOVED], 20);
    assert_int_equal(status->sinks_count, 1);
    status_free(status);
    take(10);
    sim_agent_stop(&agent);
    sim_agent_check_clean(&agent);
    books(10, 20, 0);
}

/* ---- A service that is away ---- */

static unsigned in_turns(void)
{
    unsigned count = 0;

    for (const struct seal_batch *sb = agent.shard->seals; sb; sb = sb->next)
        count++;
    return count;
}

static void others_are_not_held_up_by_thousands_that_wait(void **state)
{
    enum { BATCHES = 1100 };
    uint64_t events;

    (void)state;
    agent.opt.segment_size = 16 << 20;  /* which allows for more of them */
    agent.in_flight_max = 16;
    agent.sinks[0].buffer_count = 1;
    sim_agent_sink_add(&agent, "local", SIM_AGENT_OUT)->cloud = false;
    sim_cloud_set_state(SIM_CLOUD_AWAY);
    sim_agent_open(&agent);
    take(BATCHES);
    assert_int_equal(sim_agent_files(&agent, 1, &events), BATCHES);
    assert_int_equal(sim_agent_files(&agent, 0, &events), 0);
    assert_int_equal(agent.shard->seals_count, BATCHES);
    assert_int_equal(in_turns(), 0);
    assert_false(agent.shard->backpressure[BACKPRESSURE_SEALS_MAX]);
    sim_cloud_set_state(SIM_CLOUD_UP);
    for (unsigned i = 0; i < 200 && agent.shard->seals_count > 0; i++)
        sim_agent_pass(&agent, SECOND_NS);
    assert_int_equal(agent.shard->seals_count, 0);
    assert_null(agent.shard->resting);
    assert_int_equal(sim_agent_files(&agent, 0, &events), BATCHES);
    end(BATCHES);
}

static void write_on(unsigned turns)
{
    for (unsigned i = 0; i < turns; i++) {
        while (agent.sources[0].events_count < agent.sources[0].planned
               && sim_agent_write(&agent, &agent.sources[0], 0))
            ;
        sim_agent_turn(&agent);
    }
}

/* Away for an hour, with one restart: producers wait, the log has its bounds, nothing is lost. */
static void an_hour_without_the_service(void **state)
{
    enum { EVENTS = 8000 };
    bool pressed = false;

    (void)state;
    agent.pad_bytes = 4000;
    agent.sinks[0].buffer_count = 50;
    agent.opt.wal_bytes_max = 20 << 20;
    agent.part_bytes = 64 << 10;
    agent.sources[0].planned = EVENTS;
    sim_cloud_set_state(SIM_CLOUD_AWAY);
    sim_agent_open(&agent);
    for (unsigned minute = 0; minute < 60; minute++) {
        write_on(200);
        sim_advance_ns(60 * SECOND_NS);
        assert_true(wal_dir_bytes(&agent.shard->dir) + agent.shard->spool_bytes
                    <= agent.opt.wal_bytes_max);
        pressed |= agent.shard->backpressure[BACKPRESSURE_LOG_FULL]
                   || agent.shard->backpressure[BACKPRESSURE_SPOOL_FULL];
        assert_true(!pressed || delivery_failing(shards_delivery(agent.shards)));
        if (minute == 30) {
            sim_agent_close(&agent);
            sim_agent_open(&agent);
        }
    }
    assert_true(pressed);
    assert_true(agent.sources[0].events_count < EVENTS);
    assert_false(sim_agent_write(&agent, &agent.sources[0], 0));
    assert_int_equal(sim_agent_files(&agent, 0, NULL), 0);
    sim_cloud_set_state(SIM_CLOUD_UP);
    sim_advance_ns(60 * SECOND_NS);     /* a probe is made at least so often */
    sim_agent_until(&agent, sim_agent_taken, "all is accepted");
    end(EVENTS);
}

int main(void)
{
    struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_sealed_is_stored_and_acknowledged),
        cmocka_unit_test(an_object_whose_answer_is_lost_is_found),
        cmocka_unit_test(a_damaged_file_is_made_again_for_the_same_key),
        cmocka_unit_test(stored_unknown_to_the_agent_and_its_file_damaged),
        cmocka_unit_test(a_crash_at_any_moment_leaves_one_object_a_batch),
        cmocka_unit_test(a_job_that_is_out_when_its_sink_leaves_is_given_up),
        cmocka_unit_test(what_only_the_sink_that_left_had_is_dropped_by_name),
        cmocka_unit_test(others_are_not_held_up_by_thousands_that_wait),
        cmocka_unit_test(an_hour_without_the_service),
    };

    for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
        tests[i].setup_func = setup;
        tests[i].teardown_func = teardown;
    }
    return cmocka_run_group_tests_name("deliver_remote", tests, NULL, NULL);
}
