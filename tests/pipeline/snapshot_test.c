/*
 * Claims about what a shard says of itself: books that balance at every turn and across restarts,
 * rings, sinks and limits as they are, and requests that are answered, whatever happens.
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
#include "support/sim_cloud.h"

static struct sim_agent agent;

static int setup(void **state)
{
    (void)state;
    sim_agent_init(&agent, 41);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    sim_agent_fini(&agent);
    return 0;
}

static struct status *status_now(void)
{
    struct status *status;

    assert_int_equal(snapshot_make(agent.shard, &status), 0);
    return status;
}

static void books_each_turn(struct sim_agent *a, uint64_t turn)
{
    uint64_t delivered = a->delivered;

    (void)turn;
    sim_agent_check_books(a);
    assert_true(a->delivered >= delivered);
}

static void books_hold_at_every_turn(void **state)
{
    (void)state;
    agent.leave = true;
    agent.on_turn = books_each_turn;
    agent.streams_count = 3;
    sim_agent_sink_add(&agent, "other", "/data/other")->buffer_count = 4;
    sim_set_disorder(600);
    for (unsigned i = 0; i < 4; i++)
        sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, 100)->burst = 1;
    assert_int_equal(sim_agent_life(&agent), 0);
    assert_int_equal(agent.accepted, 400);
    assert_int_equal(agent.delivered, 400);
}

static void books_go_on_across_restarts(void **state)
{
    (void)state;
    sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, 0);
    for (unsigned life = 1; life <= 5; life++) {
        agent.sources[0].planned = life * 25;
        assert_int_equal(sim_agent_life(&agent), 0);
        assert_int_equal(agent.accepted, life * 25);
        assert_int_equal(agent.delivered, life * 25);
    }
}

static void streams_and_sinks_show_what_went_where(void **state)
{
    struct status *status;

    (void)state;
    agent.streams_count = 2;
    agent.sinks[0].buffer_time_ns = -1;
    sim_agent_sink_add(&agent, "other", "/data/other")->buffer_count = 7;
    sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, 38);
    sim_agent_open(&agent);
    sim_agent_until(&agent, sim_agent_taken, "38 events");
    sim_agent_pass(&agent, 1000000000);
    status = status_now();
    assert_true(status->ready);
    assert_false(status->stopping);
    assert_int_equal(status->streams_count, 2);
    for (unsigned i = 0; i < 2; i++) {
        const struct status_stream *st = &status->streams[i];
        const struct status_stream_sink *pair = &status->stream_sinks[st->first_sink];

        assert_int_equal(st->accepted, 19);
        /* 10 of one sink, 14 of the other. */
        assert_int_equal(st->delivered, 10);
        assert_int_equal(st->pending, 9);
        assert_int_equal(st->batches_open, 2);
        assert_int_equal(st->batches_sealing, 0);
        assert_in_range(st->oldest_pending_ns, 900000000, 1500000000);
        assert_int_equal(st->sinks, 2);
        assert_int_equal(pair[0].delivered + pair[1].delivered, 24);
        assert_int_equal(pair[0].batches + pair[1].batches, 3);
        assert_true(pair[0].delivered_bytes > 0);
    }
    assert_int_equal(status->sinks_count, 2);
    assert_string_equal(status->sinks[0].waits_because, "");
    assert_true(status->wal_synced_lsn <= status->wal_end_lsn);
    assert_true(status->wal_trim_lsn <= status->wal_synced_lsn);
    status_free(status);
    sim_agent_stop(&agent);
}

static void a_sink_that_waits_says_why(void **state)
{
    struct status *status;

    (void)state;
    agent.sinks[0].buffer_time_ns = -1;
    sim_mount("/full", false, 0);
    agent.sinks[0].directory = "/full/out";
    sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, 20);
    sim_agent_open(&agent);
    sim_agent_until(&agent, sim_agent_taken, "20 events");
    sim_agent_pass(&agent, 500000000);
    status = status_now();
    assert_int_equal(status->sinks_count, 1);
    assert_int_equal(status->sinks[0].batches_waiting, 2);
    assert_non_null(strstr(status->sinks[0].waits_because, "No space"));
    assert_true(status->sinks[0].retries >= 2);
    assert_int_equal(status->streams[0].batches_sealing, 2);
    status_free(status);
    sim_set_capacity("/full", 1 << 30);
    sim_agent_stop(&agent);
    sim_agent_check_all(&agent);
}

/* A service is asked by the delivery thread, which knows why it waits. */
static void a_service_that_is_away_is_why_its_sink_waits(void **state)
{
    struct status *status;

    (void)state;
    agent.sinks[0].buffer_time_ns = -1;
    agent.sinks[0].directory = "lake/events";
    agent.sinks[0].cloud = true;
    sim_cloud_set_state(SIM_CLOUD_BUSY);
    sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, 20);
    sim_agent_open(&agent);
    status = status_now();
    assert_int_equal(status->sinks_count, 0);   /* nobody writes to it yet */
    status_free(status);
    sim_agent_until(&agent, sim_agent_taken, "20 events");
    sim_agent_pass(&agent, 20000000000);
    status = status_now();
    assert_int_equal(status->sinks_count, 1);
    assert_string_equal(status->sinks[0].name, "local");
    assert_string_equal(status->sinks[0].type, "s3");
    assert_string_equal(status->sinks[0].target, "lake/events");
    assert_int_equal(status->sinks[0].batches_waiting, 2);
    assert_non_null(strstr(status->sinks[0].waits_because, "bucket 'lake': 503 SlowDown"));
    assert_true(status->sinks[0].retries >= 2);
    assert_int_equal(status->sinks[0].duplicates, 0);
    assert_int_equal(status->streams[0].batches_sealing, 2);
    assert_true(status->backpressure[BACKPRESSURE_SINK_ERROR]);
    status_free(status);
    sim_cloud_set_state(SIM_CLOUD_UP);
    sim_agent_pass(&agent, 70000000000);
    status = status_now();
    assert_int_equal(status->sinks[0].batches_waiting, 0);
    assert_string_equal(status->sinks[0].waits_because, "");
    assert_false(status->backpressure[BACKPRESSURE_SINK_ERROR]);
    status_free(status);
    sim_agent_stop(&agent);
    sim_agent_check_all(&agent);
}

static void rings_are_shown_with_their_positions(void **state)
{
    struct status *status;
    struct sim_agent_source *src;

    (void)state;
    agent.sinks[0].buffer_time_ns = -1;
    src = sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, 12);
    sim_agent_open(&agent);
    sim_agent_until(&agent, sim_agent_taken, "12 events");
    sim_agent_pass(&agent, 1000000000);
    status = status_now();
    assert_int_equal(status->rings_count, 1);
    assert_string_equal(status->rings[0].name, src->name);
    assert_int_equal(status->rings[0].state, STATUS_RING_ATTACHED);
    assert_int_equal(status->rings[0].head, src->ring.head_pos);
    assert_int_equal(status->rings[0].accepted, src->ring.head_pos);
    assert_int_equal(status->rings[0].durable, src->ring.head_pos);
    assert_in_range(status->rings[0].delivered, 1, src->events[9].end_pos);    /* two are open */
    assert_int_equal(status->rings_by_state[STATUS_RING_ATTACHED], 1);
    status_free(status);
    sim_agent_stop(&agent);
}

/* Reported by producers, of rings that are gone too: each once, also of those that go together. */
static void intake_drops_are_kept_when_rings_go(void **state)
{
    struct status *status;

    (void)state;
    for (unsigned i = 0; i < 5; i++) {
        struct sim_agent_source *src = sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, 2);

        atomic_store(&src->ring.page->drops[SHM_DROP_FULL], 10 + i);
    }
    sim_agent_open(&agent);
    sim_agent_until(&agent, sim_agent_taken, "10 events");
    sim_agent_pass(&agent, 1500000000);
    for (unsigned i = 0; i < 5; i++)
        sim_producer_die(&agent.sources[i].ring);
    for (unsigned i = 0; i < 400; i++) {
        sim_agent_turn(&agent);
        status = status_now();
        assert_int_equal(status->intake_drops[SHM_DROP_FULL], 60);
        status_free(status);
    }
    sim_agent_pass(&agent, 3000000000);
    status = status_now();
    assert_int_equal(status->rings_count, 0);
    status_free(status);
    sim_agent_stop(&agent);
    sim_agent_open(&agent);
    status = status_now();
    assert_int_equal(status->intake_drops[SHM_DROP_FULL], 60);
    status_free(status);
    sim_agent_stop(&agent);
}

/* ---- Requests ---- */

static void on_done(struct shard_request *req, int result)
{
    *(int *)req->ctx = result;
}

static void a_status_request_is_answered_by_the_next_turn(void **state)
{
    int result = 1;
    struct shard_request req = {.kind = REQUEST_STATUS, .done = on_done, .ctx = &result};

    (void)state;
    sim_agent_open(&agent);
    assert_int_equal(mailbox_post(shard_mailbox(agent.shard), &req), 0);
    sim_agent_turn(&agent);
    assert_int_equal(result, 0);
    assert_string_equal(req.status->agent_name, "host");
    status_free(req.status);
    sim_agent_stop(&agent);
}

static void a_flush_that_cannot_end_is_answered_at_the_end(void **state)
{
    int result = 1;
    struct shard_request req = {.kind = REQUEST_FLUSH, .done = on_done, .ctx = &result};

    (void)state;
    sim_mount("/full", false, 0);
    agent.sinks[0].directory = "/full/out";
    sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, 5);
    sim_agent_open(&agent);
    sim_agent_until(&agent, sim_agent_taken, "5 events");
    assert_int_equal(mailbox_post(shard_mailbox(agent.shard), &req), 0);
    sim_agent_turns(&agent, 200);
    assert_int_equal(result, 1);
    sim_agent_close(&agent);
    assert_int_equal(result, -ESHUTDOWN);
}

static void what_is_pending_at_the_end_is_counted(void **state)
{
    (void)state;
    agent.sinks[0].buffer_time_ns = -1;
    sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, 7);
    sim_agent_open(&agent);
    sim_agent_until(&agent, sim_agent_taken, "7 events");
    sim_agent_turns(&agent, 20);
    assert_int_equal(shard_pending(agent.shard), 7);
    sim_agent_close(&agent);
    sim_agent_open(&agent);
    assert_int_equal(shard_pending(agent.shard), 7);
    sim_agent_stop(&agent);
    sim_agent_check_all(&agent);
}

int main(void)
{
    struct CMUnitTest tests[] = {
        cmocka_unit_test(books_hold_at_every_turn),
        cmocka_unit_test(books_go_on_across_restarts),
        cmocka_unit_test(streams_and_sinks_show_what_went_where),
        cmocka_unit_test(a_sink_that_waits_says_why),
        cmocka_unit_test(a_service_that_is_away_is_why_its_sink_waits),
        cmocka_unit_test(rings_are_shown_with_their_positions),
        cmocka_unit_test(intake_drops_are_kept_when_rings_go),
        cmocka_unit_test(a_status_request_is_answered_by_the_next_turn),
        cmocka_unit_test(a_flush_that_cannot_end_is_answered_at_the_end),
        cmocka_unit_test(what_is_pending_at_the_end_is_counted),
    };

    for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
        tests[i].setup_func = setup;
        tests[i].teardown_func = teardown;
    }
    return cmocka_run_group_tests_name("snapshot", tests, NULL, NULL);
}
