/*
 * Claims about a relay's sender whose aggregator is away for a week: producers wait, the log has
 * its bounds, and when it is back everything is there once and in order, over restarts of the
 * sender.
 *
 * The relay's thread and its sockets are not those of the agent here: in their place stands an
 * aggregator that takes a batch's file from the simulated disk when it is up. How long the real one
 * waits between two attempts is tests/sink/relay_session_test.c's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "encode/framing.h"
#include "pipeline/parts.h"
#include "sink/relay_wire.h"
#include "support/sim.h"
#include "support/sim_schedule.h"

#define SECOND_NS 1000000000ULL
#define SPOOL     SIM_AGENT_DATA "/spool"

enum { EVENTS = 8000, BATCHES_MAX = 4096 };

static struct sim_agent agent;
static int (*settings_before)(void *ctx, const char *stream, struct stream_settings *ret_set,
                              struct errmsg *err);

/* --- an aggregator, and what stands for the way to it --------------------------------------- */

struct relay {
    struct remote_job *jobs[BATCHES_MAX];
    size_t count;
};

static struct relay relay;
static bool up;
static struct { uint64_t numbers[BATCHES_MAX]; size_t count; } known;   /* as its journal would */
static uint32_t last_event;
static uint64_t forgotten;

int relay_open(const uint8_t uuid[16], struct relay **ret_relay, struct errmsg *err)
{
    (void)uuid;
    (void)err;
    relay.count = 0;
    *ret_relay = &relay;
    return 0;
}

void relay_close(struct relay *r)
{
    if (r)
        r->count = 0;
}

int relay_configure(struct relay *r, const struct relay_sink_settings *settings, uint32_t count,
                    struct errmsg *err)
{
    (void)r;
    (void)settings;
    (void)count;
    (void)err;
    return 0;
}

void relay_post(struct relay *r, struct remote_job *job, const struct batch_id *id)
{
    (void)id;
    assert_true(r->count < BATCHES_MAX);
    r->jobs[r->count++] = job;
}

/* Whatever is forgotten was taken, and so was all below the floor that was ever offered. */
void relay_forget(struct relay *r, const char *sink, const struct batch_id *id,
                  const struct batch_id *floor)
{
    assert_string_equal(sink, "central");
    assert_true(floor->epoch < id->epoch
                || (floor->epoch == id->epoch && floor->number <= id->number));
    for (size_t i = 0; i < r->count; i++) {
        struct seal_target *t = r->jobs[i]->ctx;
        const struct batch_id *waits = &t->seal->batch.id;

        assert_true(waits->epoch > floor->epoch
                    || (waits->epoch == floor->epoch && waits->number >= floor->number));
    }
    forgotten++;
}

bool relay_look(struct relay *r, const char *sink, struct delivery_status *ret_status)
{
    (void)sink;
    memset(ret_status, 0, sizeof(*ret_status));
    ret_status->jobs = (uint32_t)r->count;
    return true;
}

bool relay_failing(struct relay *r)
{
    return !up && r->count > 0;
}

static void event_take(const uint8_t *payload, uint32_t len)
{
    char text[64] = "";
    const char *n;

    memcpy(text, payload, len < sizeof(text) - 1 ? len : sizeof(text) - 1);
    n = strstr(text, "\"n\":");
    assert_non_null(n);
    assert_int_equal(strtoul(n + 4, NULL, 10), ++last_event);   /* once, and in order */
}

static void batch_take(const struct remote_job *job)
{
    char path[300];
    uint8_t *data;
    size_t len, at = 0;

    snprintf(path, sizeof(path), SPOOL "/%s", job->spool_name);
    assert_int_equal(sim_read_file(path, &data, &len), 0);
    assert_int_equal(len, job->file_bytes);
    while (at < len) {
        const uint8_t *payload;
        struct shm_frame f;
        int64_t n = relay_frame_next(data + at, len - at, true, &f, &payload);

        assert_true(n > 0);
        event_take(payload, f.len);
        at += (size_t)n;
    }
    free(data);
}

static void aggregator_turn(struct sim_agent *a, uint64_t turn)
{
    (void)a;
    (void)turn;
    while (up && relay.count > 0) {
        struct remote_job *job = relay.jobs[0];
        uint64_t number = job->first_lsn;
        bool again = false;

        for (size_t i = 0; i < known.count; i++)
            again |= known.numbers[i] == number;
        if (!again) {
            batch_take(job);
            known.numbers[known.count++] = number;
            assert_true(known.count < BATCHES_MAX);
        }
        memmove(relay.jobs, relay.jobs + 1, --relay.count * sizeof(relay.jobs[0]));
        job->result = SINK_DONE;
        job->done(job);
    }
}

/* --- the sender ----------------------------------------------------------------------------- */

static int on_settings(void *ctx, const char *stream, struct stream_settings *ret_set,
                       struct errmsg *err)
{
    int r = settings_before(ctx, stream, ret_set, err);

    for (uint16_t i = 0; i < ret_set->outputs; i++)
        for (uint16_t k = 0; k < ret_set->output[i].targets; k++)
            ret_set->output[i].target[k].type = TARGET_RELAY;
    return r;
}

static int setup(void **state)
{
    struct sim_agent_sink *sink = &agent.sinks[0];

    (void)state;
    sim_agent_init(&agent, 59);
    sink->name = "central";
    sink->directory = "central";
    sink->cloud = true;                 /* no directory of its own */
    sink->format = "raw";
    sink->framing = SETTINGS_FRAMING_FRAMES;
    settings_before = agent.opt.settings;
    agent.opt.settings = on_settings;
    agent.on_turn = aggregator_turn;
    memset(&known, 0, sizeof(known));
    last_event = 0;
    forgotten = 0;
    up = false;
    sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    sim_agent_fini(&agent);
    return 0;
}

static void agent_open(void)
{
    struct errmsg err;

    sim_agent_open(&agent);
    assert_int_equal(shards_relay_sinks(agent.shards, NULL, 1, &err), 0);
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

static void a_week_without_the_aggregator(void **state)
{
    enum { DAY = 24 * 6, WEEK = 7 * DAY };
    uint32_t at_day_two = 0;
    bool pressed = false;

    (void)state;
    agent.pad_bytes = 4000;
    agent.sinks[0].buffer_count = 50;
    agent.opt.wal_bytes_max = 20 << 20;
    agent.sources[0].planned = EVENTS;
    agent_open();
    for (unsigned i = 0; i < WEEK; i++) {       /* ten minutes each */
        write_on(40);
        sim_advance_ns(600 * SECOND_NS);
        /* A start adds the beginning of a segment. */
        assert_true(wal_dir_bytes(&agent.shard->dir) + agent.shard->spool_bytes
                    <= agent.opt.wal_bytes_max + (1 << 20));
        pressed |= agent.shard->backpressure[BACKPRESSURE_LOG_FULL]
                   || agent.shard->backpressure[BACKPRESSURE_SPOOL_FULL];
        if (i == 2 * DAY)
            at_day_two = agent.sources[0].events_count;
        if (i % DAY == DAY - 1) {
            sim_agent_close(&agent);
            agent_open();
        }
    }
    assert_true(pressed);
    assert_true(agent.sources[0].events_count < EVENTS);        /* its ring is full */
    /* Since long: a restart has room for a few more. */
    assert_true(agent.sources[0].events_count - at_day_two < at_day_two / 10);
    assert_int_equal(last_event, 0);
    up = true;
    sim_advance_ns(60 * SECOND_NS);
    sim_agent_until(&agent, sim_agent_taken, "all is accepted");
    sim_agent_stop(&agent);
    assert_int_equal(last_event, EVENTS);
    assert_int_equal(agent.delivered, EVENTS);
    assert_int_equal(agent.pending + agent.dropped + agent.lost, 0);
    assert_true(forgotten >= EVENTS / 50);
}

/* Comes and goes; the sender is killed while batches are there that it does not know to be. */
static void what_is_taken_while_the_sender_dies_is_not_sent_as_something_else(void **state)
{
    enum { ROUNDS = 30, MORE = 100 };

    (void)state;
    agent.sinks[0].buffer_count = 7;
    agent_open();
    for (unsigned i = 0; i < ROUNDS; i++) {
        agent.sources[0].planned += MORE;
        up = i % 3 != 0;
        write_on(3 + i % 11);
        sim_advance_ns(SECOND_NS);
        write_on(1 + i % 5);
        sim_agent_close(&agent);
        agent_open();
    }
    up = true;
    sim_agent_until(&agent, sim_agent_taken, "all is accepted");
    sim_agent_stop(&agent);
    assert_int_equal(last_event, ROUNDS * MORE);
    assert_int_equal(agent.delivered, ROUNDS * MORE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_week_without_the_aggregator, setup, teardown),
        cmocka_unit_test_setup_teardown(
            what_is_taken_while_the_sender_dies_is_not_sent_as_something_else, setup, teardown),
    };

    return cmocka_run_group_tests_name("deliver_relay", tests, NULL, NULL);
}
