/*
 * Claims about rings and their producers: who lies, damages or replaces its ring loses its own
 * events and nobody else's; who dies leaves nothing behind; limits push back and let go; who waits
 * for a position gets it.
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

enum { SEED = 13 };

static struct sim_agent agent;

static int setup(void **state)
{
    (void)state;
    sim_agent_init(&agent, 23);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    sim_agent_fini(&agent);
    return 0;
}

/* ---- Hostile rings ---- */

static void head_jumps(struct sim_agent_source *src)
{
    atomic_store(&src->ring.head->head, src->ring.head_pos + 100 * src->ring.data_bytes);
}

static void head_goes_back(struct sim_agent_source *src)
{
    atomic_store(&src->ring.head->head, 8);
}

static void head_is_unaligned(struct sim_agent_source *src)
{
    atomic_store(&src->ring.head->head, src->ring.head_pos + 13);
}

static void head_is_within_a_frame(struct sim_agent_source *src)
{
    assert_true(sim_agent_write(&agent, src, 0));
    atomic_store(&src->ring.head->head, src->ring.head_pos - 8);
}

static void frames_are_garbage(struct sim_agent_source *src)
{
    for (uint64_t i = 0; i < 4096; i++)
        src->ring.data[(src->ring.head_pos + i) & (src->ring.data_bytes - 1)] = (uint8_t)(i * 37);
    atomic_store(&src->ring.head->head, src->ring.head_pos + 4096);
}

static void frame_is_of_no_stream(struct sim_agent_source *src)
{
    assert_int_equal(sim_producer_append(&src->ring, 77, SHM_KIND_JSON, 0, "{}", 2), 0);
    sim_producer_publish(&src->ring);
}

static void definitions_are_garbage(struct sim_agent_source *src)
{
    memset(src->ring.defs + src->ring.defs_used, 0xee, 64);
    atomic_store(&src->ring.page->defs_bytes, src->ring.defs_used + 64);
    assert_true(sim_agent_write(&agent, src, 0));
}

static void definition_is_a_schema(struct sim_agent_source *src)
{
    struct shm_def def = {.bytes = 24, .number = (uint16_t)(src->ring.defs_count + 1),
                          .type = SHM_DEF_SCHEMA, .body_len = 8, .stream = 1};

    memcpy(src->ring.defs + src->ring.defs_used, &def, sizeof(def));
    atomic_store(&src->ring.page->defs_bytes, src->ring.defs_used + 24);
    assert_true(sim_agent_write(&agent, src, 0));
}

static void file_is_cut(struct sim_agent_source *src)
{
    assert_int_equal(sim_truncate(src->ring.path, 8192), 0);
}

static void file_is_cut_to_nothing(struct sim_agent_source *src)
{
    assert_int_equal(sim_truncate(src->ring.path, 0), 0);
}

static void data_is_cut(struct sim_agent_source *src)
{
    assert_true(sim_agent_write(&agent, src, 0));
    assert_int_equal(sim_truncate(src->ring.path, src->ring.file_bytes - src->ring.data_bytes), 0);
}

static void control_pages_fault(struct sim_agent_source *src)
{
    assert_int_equal(sim_guard_fault(src->ring.path), 0);
}

static void accepted_is_changed(struct sim_agent_source *src)
{
    atomic_store(&src->ring.consumer->mark[SHM_POS_ACCEPTED].pos, 1ULL << 60);
    sim_agent_write(&agent, src, 0);
}

struct attack {
    const char *name;
    void (*attack)(struct sim_agent_source *src);
    enum shm_quarantine reason, or;     /* NONE: it is not found out, and harms nobody */
};

static const struct attack attacks[] = {
    {"head jumps", head_jumps, SHM_QUARANTINE_POSITION, 0},
    {"head goes back", head_goes_back, SHM_QUARANTINE_POSITION, 0},
    {"head is unaligned", head_is_unaligned, SHM_QUARANTINE_POSITION, 0},
    {"head is within a frame", head_is_within_a_frame, SHM_QUARANTINE_FRAME, 0},
    {"frames are garbage", frames_are_garbage, SHM_QUARANTINE_FRAME, 0},
    {"frame is of no stream", frame_is_of_no_stream, SHM_QUARANTINE_FRAME,
     SHM_QUARANTINE_DEFINITION},
    {"definitions are garbage", definitions_are_garbage, SHM_QUARANTINE_DEFINITION, 0},
    {"definition is a schema", definition_is_a_schema, SHM_QUARANTINE_DEFINITION, 0},
    {"file is cut", file_is_cut, SHM_QUARANTINE_FAULT, SHM_QUARANTINE_SIZE},
    {"file is cut to nothing", file_is_cut_to_nothing, SHM_QUARANTINE_FAULT, SHM_QUARANTINE_SIZE},
    {"data is cut", data_is_cut, SHM_QUARANTINE_SIZE, SHM_QUARANTINE_FAULT},
    {"control pages fault", control_pages_fault, SHM_QUARANTINE_FAULT, 0},
    {"accepted is changed", accepted_is_changed, SHM_QUARANTINE_NONE, 0},
};

static void one_attack(const struct attack *attack, uint64_t seed)
{
    struct sim_agent_source *victim, *liar;
    struct status_ring ring;

    sim_agent_fini(&agent);
    sim_agent_init(&agent, seed);
    sim_set_disorder(300);
    agent.leave = true;
    victim = sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, 300);
    liar = sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, UINT32_MAX);
    liar->burst = 0;
    sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, 200);
    victim->burst = 1;
    sim_agent_open(&agent);
    liar->lies = true;
    for (unsigned i = 0; i < 20; i++)
        assert_true(sim_agent_write(&agent, liar, 0));
    sim_agent_turns(&agent, seed % 40);
    attack->attack(liar);
    sim_agent_until(&agent, sim_agent_taken, "the others are taken");
    sim_agent_turns(&agent, 50);
    if (attack->reason) {
        if (!sim_agent_ring(&agent, liar->name, &ring) || ring.state != STATUS_RING_QUARANTINED)
            fail_msg("%s (seed %u): not quarantined", attack->name, (unsigned)seed);
        if (ring.quarantine != attack->reason && ring.quarantine != attack->or)
            fail_msg("%s (seed %u): %s", attack->name, (unsigned)seed,
                     ring_quarantine_name(ring.quarantine));
    }
    sim_producer_die(&liar->ring);
    if (seed == SEED && attack->reason) {
        sim_agent_pass(&agent, QUARANTINE_KEPT_NS + 5000000000);
        assert_false(sim_agent_ring(&agent, liar->name, &ring));
        assert_false(sim_exists(liar->ring.path));
    }
    sim_agent_stop(&agent);
    sim_agent_check_all(&agent);
    sim_agent_check_clean(&agent);
    assert_int_equal(agent.pending + agent.lost, 0);
}

static void a_hostile_ring_is_quarantined_and_harms_nobody(void **state)
{
    (void)state;
    agent.opt.idle = SHARD_IDLE_SLEEP;
    for (size_t i = 0; i < sizeof(attacks) / sizeof(attacks[0]); i++)
        for (uint64_t seed = SEED; seed <= 3 * SEED; seed += SEED)
            one_attack(&attacks[i], seed);
}

/* What a number stands for is in the log; events under it may wait there to be routed. */
static void a_definition_that_changes_between_lives_is_found_out(void **state)
{
    struct sim_agent_source *src, *liar;
    struct status_ring ring;
    uint8_t *name;

    (void)state;
    src = sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, 0);
    liar = sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, 0);
    sim_agent_open(&agent);
    assert_true(sim_agent_write(&agent, src, 0));
    assert_true(sim_agent_write(&agent, liar, 0));
    sim_agent_turns(&agent, 50);
    sim_agent_close(&agent);
    liar->lies = true;
    name = memmem(liar->ring.defs, 64, "stream-0", 8);
    assert_non_null(name);
    name[7] = '7';
    assert_true(sim_agent_write(&agent, src, 0));
    assert_true(sim_agent_write(&agent, liar, 0));
    sim_agent_open(&agent);
    sim_agent_turns(&agent, 50);
    assert_true(sim_agent_ring(&agent, liar->name, &ring) && ring.state == STATUS_RING_QUARANTINED);
    assert_int_equal(ring.quarantine, SHM_QUARANTINE_DEFINITION);
    assert_null(wal_state_stream_by_name(&agent.shard->state, "stream-7"));
    sim_agent_stop(&agent);
    sim_agent_check_all(&agent);
}

static void a_ring_whose_name_is_gone_is_drained_on(void **state)
{
    struct sim_agent_source *src, *other;

    (void)state;
    src = sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, 0);
    sim_agent_open(&agent);
    assert_true(sim_agent_write(&agent, src, 0));
    sim_agent_turns(&agent, 50);
    assert_int_equal(sim_unlink(src->ring.path), 0);
    assert_true(sim_agent_write(&agent, src, 0));
    /* Another ring takes the name. */
    other = sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, 0);
    assert_int_equal(sim_rename(other->ring.path, src->ring.path), 0);
    assert_true(sim_agent_write(&agent, other, 0));
    sim_agent_turns(&agent, 50);
    assert_true(sim_agent_write(&agent, src, 0));
    sim_producer_die(&src->ring);
    sim_agent_pass(&agent, 3000000000);
    assert_true(sim_exists(src->ring.path));        /* it is the other's */
    assert_true(sim_agent_write(&agent, other, 0));
    sim_agent_stop(&agent);
    sim_agent_check_all(&agent);
    assert_int_equal(agent.delivered, 5);
}

/* ---- Producers that go ---- */

static void a_dead_producers_ring_is_drained_and_removed(void **state)
{
    struct sim_agent_source *src;
    struct status_ring ring;

    (void)state;
    src = sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, 0);
    for (unsigned i = 0; i < 5; i++)
        assert_true(sim_agent_write(&agent, src, 0));
    sim_producer_die(&src->ring);
    sim_agent_open(&agent);
    sim_agent_pass(&agent, 3000000000);
    assert_false(sim_agent_ring(&agent, src->name, &ring));
    assert_false(sim_exists(src->ring.path));
    sim_agent_stop(&agent);
    sim_agent_check_all(&agent);
    assert_int_equal(agent.delivered, 5);
}

/* One that has events, one that never wrote any, one that is quarantined; each counts drops. */
static int retired_and_killed_at(void *ctx)
{
    struct sim_agent_source *src[3];
    struct status *status;
    int end;

    sim_agent_init(&agent, 31);
    for (unsigned i = 0; i < 3; i++) {
        src[i] = sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, 0);
        atomic_store(&src[i]->ring.page->drops[SHM_DROP_FULL], 7);
    }
    for (unsigned i = 0; i < 5; i++)
        SIM_AGENT_CHECK(sim_agent_write(&agent, src[0], 0), "full");
    src[2]->lies = true;
    head_is_unaligned(src[2]);
    for (unsigned i = 0; i < 3; i++)
        sim_producer_die(&src[i]->ring);
    sim_crash_at(*(const uint64_t *)ctx);
    end = sim_agent_life(&agent);
    if (end == SIM_CRASHED)
        sim_agent_killed(&agent);
    sim_agent_open(&agent);
    sim_agent_pass(&agent, 3000000000);
    sim_advance_ns(QUARANTINE_KEPT_NS);
    sim_agent_pass(&agent, 3000000000);
    for (unsigned i = 0; i < 3; i++)
        SIM_AGENT_CHECK(!sim_exists(src[i]->ring.path), "%s is left", src[i]->name);
    SIM_AGENT_CHECK(snapshot_make(agent.shard, &status) == 0, "no snapshot");
    /* The third was never taken. */
    SIM_AGENT_CHECK(status->intake_drops[SHM_DROP_FULL] == 14, "%llu drops",
                    (unsigned long long)status->intake_drops[SHM_DROP_FULL]);
    status_free(status);
    sim_agent_stop(&agent);
    sim_agent_check_all(&agent);
    return end == SIM_CRASHED;
}

static void rings_of_the_dead_go_wherever_the_agent_dies_retiring_them(void **state)
{
    uint64_t point = 1;

    (void)state;
    while (sim_agent_child(retired_and_killed_at, &point) == 1)
        point += getenv("HYDRANT_LONG") ? 1 : 3;
    print_message("killed at up to point %llu\n", (unsigned long long)point);
    assert_true(point > 100);
}

/* A full ring among many full ones is not kept waiting for all of them again and again. */
static void many_full_rings_share_the_turns(void **state)
{
    enum { RINGS = 40, BYTES = 1 << 20 };
    static const char payload[1000];
    uint64_t ahead_max = 0, least = 0;

    (void)state;
    agent.opt.ring_bytes_per_uid_max = UINT64_MAX;
    agent.opt.wal_bytes_max = 4ULL << 30;
    agent.opt.memory_limit = 512 << 20;
    agent.sinks[0].buffer_count = 100000;
    for (unsigned i = 0; i < RINGS; i++) {
        struct sim_producer *ring = &sim_agent_source_add(&agent, BYTES, 0)->ring;
        uint16_t number;

        assert_int_equal(sim_producer_stream(ring, "full", &number), 0);
    }
    sim_agent_open(&agent);
    sim_agent_turns(&agent, 20);
    for (unsigned turn = 0; turn < 100; turn++) {
        uint64_t most = 0;

        least = UINT64_MAX;
        for (unsigned i = 0; i < RINGS; i++) {
            struct sim_producer *ring = &agent.sources[i].ring;
            uint64_t pos;

            while (sim_producer_append(ring, 1, SHM_KIND_BYTES, 0, payload, 1000) == 0)
                continue;
            sim_producer_publish(ring);
            pos = sim_producer_pos(ring, SHM_POS_ACCEPTED);
            least = pos < least ? pos : least;
            most = pos > most ? pos : most;
        }
        ahead_max = most - least > ahead_max ? most - least : ahead_max;
        sim_agent_turn(&agent);
    }
    print_message("the slowest has %llu KiB, the fastest never more than %llu KiB more\n",
                  (unsigned long long)least / 1024, (unsigned long long)ahead_max / 1024);
    assert_true(least > BYTES / 2);
    assert_in_range(ahead_max, 1, 2 * BYTES);       /* the first turn cannot know how many wait */
    sim_agent_close(&agent);
}

static void deaths_are_noticed_when_events_were_lost(void **state)
{
    struct status *status;

    (void)state;
    sim_set_watch_queue(1);
    for (unsigned i = 0; i < 30; i++)
        sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, 3);
    agent.leave = true;
    sim_agent_open(&agent);
    sim_agent_until(&agent, sim_agent_taken, "all is written");
    sim_agent_pass(&agent, 5000000000);
    assert_int_equal(snapshot_make(agent.shard, &status), 0);
    assert_int_equal(status->rings_count, 0);
    status_free(status);
    sim_agent_stop(&agent);
    sim_agent_check_all(&agent);
    sim_agent_check_clean(&agent);
}

/* After a power cut no ring is left: the log does not carry them along for ever. */
static void rings_that_are_gone_are_forgotten(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 4; round++) {
        for (unsigned i = 0; i < 3; i++)
            sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, 4);
        sim_agent_open(&agent);
        sim_agent_until(&agent, sim_agent_taken, "all is taken");
        sim_agent_pass(&agent, 2000000000);
        assert_int_equal(agent.shard->state.rings_count, 3);
        sim_agent_stop(&agent);
        sim_agent_power_cut(&agent, round);
    }
    sim_agent_check_all(&agent);
}

/* ---- Limits ---- */

static void streams_beyond_the_limit_wait_and_others_go_on(void **state)
{
    struct sim_agent_source *few, *many;

    (void)state;
    agent.opt.streams_max = 2;
    few = sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, 0);
    many = sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, 0);
    for (unsigned i = 0; i < 10; i++)
        assert_true(sim_agent_write(&agent, few, i % 2));
    sim_agent_open(&agent);
    sim_agent_turns(&agent, 50);
    for (unsigned i = 0; i < 10; i++)
        assert_true(sim_agent_write(&agent, many, 2 + i % 2));
    sim_agent_turns(&agent, 50);
    assert_true(sim_agent_pressed(&agent, BACKPRESSURE_STREAMS_MAX));
    assert_true(sim_agent_write(&agent, few, 0));
    sim_agent_pass(&agent, 2000000000);
    assert_int_equal(sim_producer_pos(&few->ring, SHM_POS_DELIVERED), few->ring.head_pos);
    assert_int_equal(sim_producer_pos(&many->ring, SHM_POS_ACCEPTED), 0);
    sim_agent_close(&agent);
    /* The next start has room for them. */
    agent.opt.streams_max = 4;
    assert_int_equal(sim_agent_life(&agent), 0);
    sim_agent_check_all(&agent);
}

/* ---- Positions ---- */

static void rings_wait_while_the_tables_of_the_log_are_too_large(void **state)
{
    (void)state;
    sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, 20);
    sim_agent_open(&agent);
    sim_agent_until(&agent, sim_agent_taken, "the first ring is taken");
    agent.shard->writer.checkpoint_bytes = agent.shard->writer.opt.segment_size;
    sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, 30);
    agent.streams_count = 2;            /* the first ring defines one more */
    agent.sources[0].planned = 40;
    sim_agent_pass(&agent, 2000000000);
    assert_true(sim_agent_pressed(&agent, BACKPRESSURE_RINGS_MAX));
    assert_int_equal(agent.shard->rings_count, 1);
    sim_agent_write(&agent, &agent.sources[0], 1);
    sim_agent_turns(&agent, 20);
    assert_true(sim_agent_pressed(&agent, BACKPRESSURE_STREAMS_MAX));
    agent.shard->writer.checkpoint_bytes = 0;
    sim_agent_until(&agent, sim_agent_taken, "all is taken");
    sim_agent_stop(&agent);
    sim_agent_check_all(&agent);
    assert_int_equal(agent.delivered, agent.sources[0].events_count + 30);
}

static bool failing_seen;

static void look_for_failing(struct sim_agent *a, uint64_t turn)
{
    (void)a;
    (void)turn;
    failing_seen |= sim_agent_pressed(&agent, BACKPRESSURE_LOG_ERROR);
}

static void a_failing_log_makes_producers_wait_and_lets_them_go(void **state)
{
    (void)state;
    agent.sinks[0].buffer_count = 1000;
    agent.sinks[0].buffer_time_ns = 600000000000;
    sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, 700);
    sim_agent_open(&agent);
    sim_fail(SIM_SYNC, 1, 3, -EIO);     /* of the log, then of what should continue it, twice */
    failing_seen = false;
    agent.on_turn = look_for_failing;
    sim_agent_until(&agent, sim_agent_taken, "all is taken");
    sim_agent_pass(&agent, 4000000000);
    sim_fail_clear();
    assert_true(failing_seen);
    assert_false(sim_agent_pressed(&agent, BACKPRESSURE_LOG_ERROR));
    agent.on_turn = NULL;
    assert_int_equal(agent.sources[0].pos[SHM_POS_DURABLE], agent.sources[0].ring.head_pos);
    sim_agent_stop(&agent);
    sim_agent_check_all(&agent);
    assert_int_equal(agent.delivered, 700);
}

static void who_waits_for_durable_gets_a_sync(void **state)
{
    struct sim_agent_source *src;

    (void)state;
    agent.opt.sync = WAL_SYNC_NEVER;
    agent.sinks[0].buffer_time_ns = -1;
    src = sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, 0);
    sim_agent_open(&agent);
    assert_true(sim_agent_write(&agent, src, 0));
    sim_agent_pass(&agent, 10000000000);
    assert_int_equal(sim_producer_pos(&src->ring, SHM_POS_ACCEPTED), src->ring.head_pos);
    assert_int_equal(sim_producer_pos(&src->ring, SHM_POS_DURABLE), 0);
    sim_producer_want(&src->ring, SHM_POS_DURABLE);
    sim_agent_pass(&agent, 50000000);
    assert_int_equal(sim_producer_pos(&src->ring, SHM_POS_DURABLE), src->ring.head_pos);
    sim_agent_stop(&agent);
}

static void who_waits_for_delivered_gets_a_seal(void **state)
{
    struct sim_agent_source *src;

    (void)state;
    agent.sinks[0].buffer_time_ns = -1;
    src = sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, 0);
    sim_agent_open(&agent);
    for (unsigned i = 0; i < 3; i++) {
        assert_true(sim_agent_write(&agent, src, 0));
        sim_producer_want(&src->ring, SHM_POS_DELIVERED);
        sim_agent_pass(&agent, 1100000000);
        assert_int_equal(sim_producer_pos(&src->ring, SHM_POS_DELIVERED), src->ring.head_pos);
    }
    sim_agent_check_files(&agent);
    sim_agent_stop(&agent);
}

/* A stream that nobody seals holds back the rings that use it and no others. */
static void delivered_follows_the_streams_of_the_ring(void **state)
{
    struct sim_agent_source *slow, *fast;

    (void)state;
    agent.sinks[0].buffer_time_ns = -1;
    slow = sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, 0);
    fast = sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, 0);
    sim_agent_open(&agent);
    assert_true(sim_agent_write(&agent, slow, 0));
    sim_agent_turns(&agent, 50);
    for (unsigned i = 0; i < 10; i++)
        assert_true(sim_agent_write(&agent, fast, 1));
    sim_agent_pass(&agent, 1000000000);
    assert_int_equal(sim_producer_pos(&slow->ring, SHM_POS_DELIVERED), 0);
    assert_int_equal(sim_producer_pos(&fast->ring, SHM_POS_DELIVERED), fast->ring.head_pos);
    sim_agent_stop(&agent);
    sim_agent_check_all(&agent);
}

int main(void)
{
    struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hostile_ring_is_quarantined_and_harms_nobody),
        cmocka_unit_test(a_definition_that_changes_between_lives_is_found_out),
        cmocka_unit_test(a_ring_whose_name_is_gone_is_drained_on),
        cmocka_unit_test(a_dead_producers_ring_is_drained_and_removed),
        cmocka_unit_test(rings_of_the_dead_go_wherever_the_agent_dies_retiring_them),
        cmocka_unit_test(many_full_rings_share_the_turns),
        cmocka_unit_test(deaths_are_noticed_when_events_were_lost),
        cmocka_unit_test(rings_that_are_gone_are_forgotten),
        cmocka_unit_test(streams_beyond_the_limit_wait_and_others_go_on),
        cmocka_unit_test(rings_wait_while_the_tables_of_the_log_are_too_large),
        cmocka_unit_test(a_failing_log_makes_producers_wait_and_lets_them_go),
        cmocka_unit_test(who_waits_for_durable_gets_a_sync),
        cmocka_unit_test(who_waits_for_delivered_gets_a_seal),
        cmocka_unit_test(delivered_follows_the_streams_of_the_ring),
    };

    for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
        tests[i].setup_func = setup;
        tests[i].teardown_func = teardown;
    }
    return cmocka_run_group_tests_name("drain", tests, NULL, NULL);
}
