/*
 * Several shards of one agent, one after the other on one simulated host: which ring is whose, also
 * when their number changes, what they share, and what is asked of all.
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
#include "support/sim_agent.h"

#define WAL SIM_AGENT_DATA "/wal"

static struct sim_agent agent;

static int setup(void **state)
{
    (void)state;
    sim_agent_init(&agent, 20);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    sim_agent_fini(&agent);
    return 0;
}

static struct sim_agent_source *sources_add(unsigned count, uint32_t planned)
{
    struct sim_agent_source *first = NULL;

    for (unsigned i = 0; i < count; i++) {
        struct sim_agent_source *src = sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, planned);

        first = first ? first : src;
    }
    return first;
}

/* Number of the shard that has attached the ring; checks that it is one. */
static uint32_t shard_of(const char *ring)
{
    uint32_t found = UINT32_MAX;

    for (uint32_t i = 0; i < shards_count(agent.shards); i++) {
        const struct shard *s = shards_at(agent.shards, i);

        for (uint32_t k = 0; k < s->rings_count; k++)
            if (strcmp(s->rings[k]->file.name, ring) == 0) {
                assert_int_equal(found, UINT32_MAX);
                assert_int_equal(s->rings[k]->state, RING_READING);
                found = s->number;
            }
    }
    return found;
}

static unsigned rings_in_all(void)
{
    unsigned sum = 0;

    for (uint32_t i = 0; i < shards_count(agent.shards); i++)
        sum += shards_at(agent.shards, i)->rings_count;
    return sum;
}

/* Segments of one shard's log, and their size. */
static unsigned segments_of(uint32_t shard, uint64_t *ret_bytes)
{
    char **names, path[200], prefix[8];
    size_t count, len;
    unsigned found = 0;

    *ret_bytes = 0;
    snprintf(prefix, sizeof(prefix), "%03u-", shard);
    assert_int_equal(sim_list(WAL, &names, &count), 0);
    for (size_t i = 0; i < count; i++) {
        uint8_t *data;

        if (strncmp(names[i], prefix, 4) != 0)
            continue;
        snprintf(path, sizeof(path), WAL "/%s", names[i]);
        assert_int_equal(sim_read_file(path, &data, &len), 0);
        free(data);
        *ret_bytes += len;
        found++;
    }
    free(names);
    return found;
}

static uint32_t committed(void)
{
    uint32_t sum = 0;

    for (unsigned i = 0; i < agent.sources_count; i++)
        sum += agent.sources[i].events_count;
    return sum;
}

/* --- rings ---------------------------------------------------------------------------------- */

static void each_ring_is_one_shards_and_all_shards_have_some(void **state)
{
    unsigned of[4] = {0};

    (void)state;
    agent.opt.shards = 4;
    agent.streams_count = 3;
    sources_add(24, 60);
    sim_agent_open(&agent);
    assert_int_equal(shards_count(agent.shards), 4);
    sim_agent_until(&agent, sim_agent_taken, "everything is accepted");
    for (unsigned i = 0; i < agent.sources_count; i++) {
        uint32_t number = shard_of(agent.sources[i].name);

        assert_true(number < 4);
        of[number]++;
    }
    for (int i = 0; i < 4; i++)
        assert_true(of[i] > 0);
    sim_agent_stop(&agent);
    sim_agent_check_all(&agent);
    assert_int_equal(agent.pending + agent.lost + agent.dropped, 0);
    assert_int_equal(agent.accepted, committed());
}

/* Another name, or a second one, leaves it where it is: nothing of it is read twice. */
static void a_ring_that_is_renamed_stays_with_its_shard(void **state)
{
    struct sim_agent_source *src;
    char path[64];

    (void)state;
    agent.opt.shards = 8;
    src = sources_add(3, 40);
    src->burst = 1;
    sim_agent_open(&agent);
    for (int i = 0; i < 24; i++) {
        snprintf(src->name, sizeof(src->name), "renamed-%d.ring", i);
        snprintf(path, sizeof(path), SIM_AGENT_SHM "/%s", src->name);
        assert_int_equal(sim_rename(src->ring.path, path), 0);
        snprintf(src->ring.path, sizeof(src->ring.path), "%s", path);
        sim_agent_write(&agent, src, 0);
        sim_agent_turns(&agent, 5);
        assert_int_equal(rings_in_all(), 3);
    }
    sim_agent_until(&agent, sim_agent_taken, "everything is accepted");
    sim_agent_stop(&agent);
    sim_agent_check_all(&agent);
    assert_int_equal(agent.accepted, committed());
}

static void a_ring_stays_with_the_shard_whose_log_knows_it(void **state)
{
    uint32_t before[12], surplus = 0;
    struct status *status;

    (void)state;
    agent.opt.shards = 4;
    agent.sinks[0].buffer_count = 7;
    sources_add(12, 30);
    sim_agent_open(&agent);
    sim_agent_until(&agent, sim_agent_taken, "everything is accepted");
    for (int i = 0; i < 12; i++)
        before[i] = shard_of(agent.sources[i].name);
    sim_agent_stop(&agent);

    agent.opt.shards = 2;
    sim_agent_open(&agent);
    assert_int_equal(shards_count(agent.shards), 4);
    for (int i = 0; i < 12; i++)
        agent.sources[i].planned = 60;
    sources_add(12, 30);
    sim_agent_until(&agent, sim_agent_taken, "everything is accepted");
    for (int i = 0; i < 12; i++) {
        assert_int_equal(shard_of(agent.sources[i].name), before[i]);
        assert_true(shard_of(agent.sources[12 + i].name) < 2);
        surplus += before[i] >= 2;
    }
    assert_true(surplus > 0);
    assert_int_equal(snapshot_make(shards_at(agent.shards, 3), &status), 0);
    assert_true(status->shards[0].surplus);
    assert_int_equal(status->shards[0].shard, 3);
    status_free(status);
    /* Their producers leave: now their logs have nothing left to do. */
    for (unsigned i = 0; i < agent.sources_count; i++)
        sim_producer_close(&agent.sources[i].ring);
    sim_agent_stop(&agent);
    sim_agent_check_all(&agent);
    sim_agent_check_clean(&agent);

    sim_agent_open(&agent);
    assert_int_equal(shards_count(agent.shards), 2);
    sim_agent_check_books(&agent);
    assert_int_equal(agent.accepted, committed());
    assert_int_equal(agent.delivered, committed());
    sim_agent_stop(&agent);
    for (uint32_t i = 2; i < 4; i++) {
        uint64_t bytes;

        assert_int_equal(segments_of(i, &bytes), 1);
        assert_true(bytes <= 1 << 20);
    }
    /* And up again: they go on where they were. */
    agent.opt.shards = 4;
    sources_add(12, 20);
    sim_agent_open(&agent);
    assert_int_equal(shards_count(agent.shards), 4);
    sim_agent_until(&agent, sim_agent_taken, "everything is accepted");
    sim_agent_stop(&agent);
    sim_agent_check_all(&agent);
    assert_int_equal(agent.accepted, committed());
    assert_int_equal(agent.pending + agent.lost + agent.dropped, 0);
}

/* A dead ring's file that a crash has left behind says which log had it. */
static void ids_on_rings_say_whose_they_are(void **state)
{
    (void)state;
    agent.opt.shards = 3;
    sources_add(9, 10);
    sim_agent_open(&agent);
    sim_agent_until(&agent, sim_agent_taken, "everything is accepted");
    for (int i = 0; i < 9; i++) {
        uint64_t id = atomic_load(&agent.sources[i].ring.consumer->ring_id);

        assert_int_equal(id >> 32, shard_of(agent.sources[i].name));
        assert_false(shards_ring_was_known(agent.shards, id));
    }
    sim_agent_stop(&agent);
    sim_agent_open(&agent);
    for (int i = 0; i < 9; i++) {
        uint64_t id = atomic_load(&agent.sources[i].ring.consumer->ring_id);

        assert_true(shards_ring_was_known(agent.shards, id));
    }
    assert_false(shards_ring_was_known(agent.shards, shards_ring_id(WAL_SHARDS_END, 0)));
    assert_false(shards_ring_was_known(agent.shards, shards_ring_id(3, 0)));
    sim_agent_stop(&agent);
}

/* --- limits --------------------------------------------------------------------------------- */

static void limits_are_those_of_the_agent(void **state)
{
    (void)state;
    agent.opt.shards = 4;
    agent.opt.rings_max = 5;
    agent.opt.memory_limit = 64 << 20;
    agent.opt.wal_bytes_max = 64 << 20;
    sources_add(9, 10);
    sim_agent_open(&agent);
    sim_agent_pass(&agent, 3000000000);
    assert_int_equal(rings_in_all(), 5);
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(shards_at(agent.shards, i)->opt.memory_limit, 16 << 20);
        assert_int_equal(shards_at(agent.shards, i)->opt.wal_bytes_max, 16 << 20);
    }
    /* Whoever leaves makes room, whichever shard it was with. */
    agent.leave = true;
    sim_agent_until(&agent, sim_agent_taken, "all have written, and left");
    sim_agent_pass(&agent, 5000000000);
    assert_int_equal(rings_in_all(), 0);
    sim_agent_stop(&agent);
    sim_agent_check_all(&agent);
    assert_int_equal(agent.accepted, 90);
}

static void a_stream_is_one_whichever_shards_know_it(void **state)
{
    (void)state;
    agent.opt.shards = 4;
    agent.opt.streams_max = 2;
    agent.streams_count = 2;
    sources_add(12, 10);
    sim_agent_open(&agent);
    sim_agent_until(&agent, sim_agent_taken, "everything is accepted");
    assert_int_equal(agent.shards->quota.streams_count, 2);
    /* A third is one too many, for all of them, and after a restart too. */
    assert_true(sim_agent_write(&agent, &agent.sources[0], 2));
    sim_agent_pass(&agent, 2000000000);
    assert_true(sim_producer_pos(&agent.sources[0].ring, SHM_POS_ACCEPTED)
                < agent.sources[0].ring.head_pos);
    sim_agent_stop(&agent);
    sim_agent_open(&agent);
    assert_int_equal(agent.shards->quota.streams_count, 2);
    sim_agent_pass(&agent, 2000000000);
    assert_true(sim_producer_pos(&agent.sources[0].ring, SHM_POS_ACCEPTED)
                < agent.sources[0].ring.head_pos);
    sim_agent_stop(&agent);
    agent.opt.streams_max = 3;
    assert_int_equal(sim_agent_life(&agent), 0);
    agent.streams_count = 3;
    sim_agent_check_all(&agent);
}

/* --- what is asked of all ------------------------------------------------------------------- */

static void on_done(struct shard_request *req, int result)
{
    *(int *)req->ctx = result;
}

static void a_status_is_that_of_all(void **state)
{
    int result = 1;
    struct shard_request req = {.kind = REQUEST_STATUS, .done = on_done, .ctx = &result};

    (void)state;
    agent.opt.shards = 3;
    agent.streams_count = 2;
    sources_add(12, 20);
    sim_agent_open(&agent);
    sim_agent_until(&agent, sim_agent_taken, "everything is accepted");
    assert_int_equal(mailbox_post(shards_mailbox(agent.shards), &req), 0);
    sim_agent_turn(&agent);
    assert_int_equal(result, 0);
    assert_int_equal(req.status->shards_count, 3);
    assert_int_equal(req.status->rings_count, 12);
    assert_int_equal(req.status->streams_count, 2);
    assert_int_equal(req.status->streams[0].accepted + req.status->streams[1].accepted, 240);
    assert_int_equal(req.status->rings_by_state[STATUS_RING_ATTACHED], 12);
    assert_int_equal(req.status->wal_bytes_max, agent.opt.wal_bytes_max / 3 * 3);
    status_free(req.status);
    sim_agent_stop(&agent);
}

static void a_flush_is_done_when_all_have_delivered(void **state)
{
    struct sim_agent_source *src;
    struct status *status;
    uint64_t buffered = 0;

    (void)state;
    agent.opt.shards = 3;
    agent.sinks[0].buffer_count = 1000;
    agent.sinks[0].buffer_time_ns = -1;
    src = sources_add(9, 20);
    sim_agent_open(&agent);
    sim_agent_until(&agent, sim_agent_taken, "everything is accepted");
    assert_true(sim_agent_write(&agent, src, 5));   /* of one shard alone */
    assert_int_equal(sim_agent_ask(&agent, REQUEST_SEAL, "stream-5", NULL), 0);
    assert_int_equal(sim_agent_ask(&agent, REQUEST_SEAL, "no-such-stream", NULL), -ENOENT);
    assert_int_equal(sim_agent_ask(&agent, REQUEST_LOOK, "", &status), 0);
    for (size_t i = 0; i < status->streams_count; i++)
        buffered += status->streams[i].buffered;
    assert_in_range(buffered, 1, 180);
    status_free(status);
    assert_int_equal(sim_agent_flush(&agent, "stream-5"), 0);
    assert_int_equal(sim_producer_pos(&src->ring, SHM_POS_ACCEPTED), src->ring.head_pos);
    assert_int_equal(sim_agent_flush(&agent, "no-such-stream"), -ENOENT);
    assert_int_equal(sim_agent_flush(&agent, ""), 0);
    sim_agent_check_books(&agent);
    assert_int_equal(agent.pending, 0);
    assert_int_equal(agent.delivered, 181);
    sim_agent_stop(&agent);
}

static void a_reload_reaches_all(void **state)
{
    struct sim_agent_sink *other;
    uint64_t events;
    int result = 1;
    struct shard_request req = {.kind = REQUEST_RELOAD, .done = on_done, .ctx = &result,
                          .settings_ctx = &agent};

    (void)state;
    agent.opt.shards = 3;
    sources_add(9, 20);
    sim_agent_open(&agent);
    sim_agent_until(&agent, sim_agent_taken, "everything is accepted");
    other = sim_agent_sink_add(&agent, "other", "/other");
    other->count_max = 10;
    assert_int_equal(mailbox_post(shards_mailbox(agent.shards), &req), 0);
    sim_agent_turn(&agent);
    assert_int_equal(result, 0);
    for (int i = 0; i < 9; i++)
        agent.sources[i].planned = 30;
    sim_agent_until(&agent, sim_agent_taken, "the rest is accepted");
    sim_agent_stop(&agent);
    sim_agent_files(&agent, 1, &events);
    assert_int_equal(events, 90);
}

static void what_is_asked_at_the_end_is_answered(void **state)
{
    int flushed = 1, status = 1;
    struct shard_request flush = {.kind = REQUEST_FLUSH, .done = on_done, .ctx = &flushed};
    struct shard_request look = {.kind = REQUEST_STATUS, .done = on_done, .ctx = &status};

    (void)state;
    sim_mount("/full", false, 0);
    agent.sinks[0].directory = "/full/out";
    agent.opt.shards = 3;
    sources_add(9, 5);
    sim_agent_open(&agent);
    sim_agent_until(&agent, sim_agent_taken, "everything is accepted");
    assert_int_equal(mailbox_post(shards_mailbox(agent.shards), &flush), 0);
    sim_agent_turns(&agent, 200);
    assert_int_equal(flushed, 1);
    shards_stop(agent.shards, 1000000);
    assert_int_equal(mailbox_post(shards_mailbox(agent.shards), &look), 0);
    while (agent.result == 0)
        sim_agent_turn(&agent);
    assert_int_equal(status, 0);
    assert_true(look.status->stopping);
    status_free(look.status);
    assert_int_equal(shards_pending(agent.shards), 45);
    sim_agent_close(&agent);
    assert_int_equal(flushed, -ESHUTDOWN);
}

/* --- what is left --------------------------------------------------------------------------- */

/* Files of batches of a shard that is no more, whose log somebody has removed. */
static void what_a_shard_left_without_its_log_goes(void **state)
{
    static const char *const names[] = {
        "0123456789abcdef-002-0000000001.spool", "0123456789abcdef-000-0000000001.spool",
        "0123456789abcdef-001-0000000001.spool", "strange.spool",
    };
    char path[200];

    (void)state;
    agent.opt.shards = 2;
    assert_int_equal(sim_mkdir(SIM_AGENT_DATA "/spool"), 0);
    for (size_t i = 0; i < 4; i++) {
        snprintf(path, sizeof(path), SIM_AGENT_DATA "/spool/%s", names[i]);
        assert_int_equal(sim_write_file(path, "x", 1), 0);
    }
    assert_int_equal(sim_agent_life(&agent), 0);
    sim_agent_check_clean(&agent);
}

static void epochs_of_all_shards_are_one_and_grow(void **state)
{
    uint64_t before = 0;

    (void)state;
    for (uint32_t n = 4; n > 0; n--) {
        agent.opt.shards = n;
        sim_step_real_ns(-3600 * 1000000000LL);
        sim_agent_open(&agent);
        for (uint32_t i = 0; i < shards_count(agent.shards); i++)
            assert_int_equal(shards_at(agent.shards, i)->epoch, agent.shards->epoch);
        assert_true(agent.shards->epoch > before);
        before = agent.shards->epoch;
        sim_agent_stop(&agent);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_ring_is_one_shards_and_all_shards_have_some),
        TEST(a_ring_that_is_renamed_stays_with_its_shard),
        TEST(a_ring_stays_with_the_shard_whose_log_knows_it),
        TEST(ids_on_rings_say_whose_they_are),
        TEST(limits_are_those_of_the_agent),
        TEST(a_stream_is_one_whichever_shards_know_it),
        TEST(a_status_is_that_of_all),
        TEST(a_flush_is_done_when_all_have_delivered),
        TEST(a_reload_reaches_all),
        TEST(what_is_asked_at_the_end_is_answered),
        TEST(what_a_shard_left_without_its_log_goes),
        TEST(epochs_of_all_shards_are_one_and_grow),
    };

    return cmocka_run_group_tests_name("shards", tests, NULL, NULL);
}
