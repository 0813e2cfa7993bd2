/*
 * Claims about what a crash leaves behind: SIGKILL at any operation, also during the recovery from
 * another, and every event is still delivered exactly once; power cuts at any operation, and what
 * was durable is delivered exactly once, the rest at most once. The file systems keep a journal: a
 * rename that is undone in one of its two directories alone could not be told from a delivery.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "support/sim.h"
#include "support/sim_schedule.h"

static struct sim_agent agent;

static void run(struct sim_schedule s)
{
    uint64_t stride = getenv("HYDRANT_LONG") ? 1 : s.stride;

    assert_true(sim_schedule_run(s) * stride > 200);
}

/* ---- What runs ---- */

static void two_rings(struct sim_agent *a)
{
    sim_agent_source_add(a, SHM_RING_BYTES_MIN, 25);
    sim_agent_source_add(a, SHM_RING_BYTES_MIN, 13);
}

/* Several streams and sinks, one of them on another file system. */
static void wide(struct sim_agent *a)
{
    sim_mount("/far", false, 1 << 30);
    a->sinks[0].buffer_count = 5;
    sim_agent_sink_add(a, "twin", "/data/twin");
    sim_agent_sink_add(a, "far", "/far/out")->buffer_count = 8;
    a->streams_count = 2;
    sim_agent_source_add(a, SHM_RING_BYTES_MIN, 20);
    sim_agent_source_add(a, SHM_RING_BYTES_MIN, 11);
}

/* Producers go when they have written: drained, retired, removed. */
static void leaving(struct sim_agent *a)
{
    a->leave = true;
    a->sinks[0].buffer_count = 4;
    for (unsigned i = 0; i < 4; i++)
        sim_agent_source_add(a, SHM_RING_BYTES_MIN, 6);
}

/* Enough for segments to roll and to be trimmed. */
static void rolling(struct sim_agent *a)
{
    a->pad_bytes = 8000;
    a->sinks[0].buffer_count = 100;
    sim_agent_source_add(a, 1 << 20, 1400)->burst = 60;
}

static void sigkill_at_any_operation_loses_and_doubles_nothing(void **state)
{
    (void)state;
    run((struct sim_schedule){.name = "two rings", .prepare = two_rings, .stride = 4});
    run((struct sim_schedule){.name = "leaving", .prepare = leaving, .stride = 5});
}

static void sigkill_with_several_sinks_gives_each_every_event_once(void **state)
{
    (void)state;
    run((struct sim_schedule){.name = "wide", .prepare = wide, .stride = 11});
}

static void sigkill_with_completions_out_of_order(void **state)
{
    (void)state;
    run((struct sim_schedule){.name = "disorder", .prepare = two_rings, .disorder = 400,
                          .stride = 7});
    run((struct sim_schedule){.name = "leaving", .prepare = leaving, .disorder = 700,
                          .stride = 11});
}

static void sigkill_during_the_recovery_from_another(void **state)
{
    (void)state;
    run((struct sim_schedule){.name = "again", .prepare = two_rings, .again = 1, .stride = 5});
    run((struct sim_schedule){.name = "wide again", .prepare = wide, .again = 1, .disorder = 300,
                          .stride = 11});
}

static void sigkill_while_the_log_rolls(void **state)
{
    (void)state;
    run((struct sim_schedule){.name = "rolling", .prepare = rolling, .stride = 61});
}

static void a_power_cut_at_any_operation_keeps_what_was_durable(void **state)
{
    (void)state;
    run((struct sim_schedule){.name = "two rings", .prepare = two_rings, .power = true,
                          .stride = 3});
    run((struct sim_schedule){.name = "disorder", .prepare = two_rings, .power = true,
                          .disorder = 500, .stride = 5});
}

static void a_power_cut_with_several_sinks(void **state)
{
    (void)state;
    run((struct sim_schedule){.name = "wide", .prepare = wide, .power = true, .stride = 7});
}

static void a_power_cut_during_the_recovery_from_another(void **state)
{
    (void)state;
    run((struct sim_schedule){.name = "again", .prepare = two_rings, .power = true, .again = 1,
                          .stride = 5});
    run((struct sim_schedule){.name = "wide again", .prepare = wide, .power = true, .again = 1,
                          .disorder = 300, .stride = 13});
}

/* ---- A disk that cannot read ---- */

enum { READS_NO_MORE = 3 };

struct bad_block {
    uint64_t nth, times;
    bool replay;                        /* it goes bad after the start has read it */
};

/* Lives on what it finds; what was damaged may be missing, and nothing may be there twice. */
static int read_fails(void *ctx)
{
    const struct bad_block *bad = ctx;
    struct sim_agent_source *src;
    uint64_t before;
    bool reached;

    sim_agent_init(&agent, bad->nth);
    agent.sinks[0].buffer_count = 1000;
    agent.sinks[0].buffer_time_ns = -1;
    agent.leave = true;
    src = sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, 600);
    sim_crash_at(240);
    SIM_AGENT_CHECK(sim_agent_life(&agent) == SIM_CRASHED, "the first life is cut");
    sim_agent_killed(&agent);
    SIM_AGENT_CHECK(src->pos[SHM_POS_ACCEPTED] > 0, "nothing is in the log");
    src->lies = true;
    sim_crash_at(0);
    before = sim_op_count(SIM_READ);
    if (!bad->replay)
        sim_fail(SIM_READ, bad->nth, bad->times, -EIO);
    agent.may_fail = true;              /* by what is not the log */
    sim_agent_open(&agent);
    agent.may_fail = false;
    reached = bad->replay || sim_op_count(SIM_READ) - before >= bad->nth;
    if (agent.result != 0) {
        SIM_AGENT_CHECK(agent.result == -EIO && !bad->replay, "the start fails");
        sim_fail_clear();
        sim_agent_close(&agent);
        sim_agent_open(&agent);
    }
    sim_fail_clear();
    if (bad->replay)
        sim_fail(SIM_READ, bad->nth, bad->times, -EIO);
    sim_agent_turns(&agent, 3);
    sim_fail_clear();
    sim_agent_until(&agent, sim_agent_taken, "everything is accepted");
    sim_agent_stop(&agent);
    sim_agent_check_files(&agent);
    return reached ? 0 : READS_NO_MORE;
}

static void a_block_that_cannot_be_read_is_no_reason_not_to_start(void **state)
{
    (void)state;
    for (int replay = 0; replay < 2; replay++)
        for (uint64_t times = 1; times < 6; times += 2)
            for (uint64_t nth = 1; nth < 12; nth++) {
                struct bad_block bad = {nth, times, replay != 0};

                int end = sim_agent_child(read_fails, &bad);

                if (end == READS_NO_MORE)
                    break;
                assert_int_equal(end, 0);
            }
}

static void a_power_cut_while_the_log_rolls(void **state)
{
    (void)state;
    run((struct sim_schedule){.name = "rolling", .prepare = rolling, .power = true, .stride = 67});
}

/* What can be read at the second attempt is not lost; a start may fail, the next one does not. */
static void a_read_error_that_passes_costs_no_event(void **state)
{
    (void)state;
    for (uint64_t nth = 1; ; nth++) {
        uint64_t reads;

        sim_agent_init(&agent, nth);
        agent.sinks[0].buffer_count = 1000;
        agent.sinks[0].buffer_time_ns = -1;
        sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, 20);
        sim_agent_open(&agent);
        sim_agent_until(&agent, sim_agent_taken, "everything is accepted");
        sim_agent_close(&agent);
        agent.may_fail = true;
        reads = sim_op_count(SIM_READ);
        sim_fail(SIM_READ, nth, 1, -EIO);
        sim_agent_open(&agent);
        sim_fail_clear();
        reads = sim_op_count(SIM_READ) - reads;
        assert_true(agent.result == 0 || agent.result == -EIO);
        sim_agent_close(&agent);
        agent.may_fail = false;
        assert_int_equal(sim_agent_life(&agent), 0);
        sim_agent_check_all(&agent);
        sim_agent_fini(&agent);
        if (nth > reads)
            break;
    }
}

/* The sync of the next start would succeed, and cover nothing of what the failed one had to. */
static int sync_fails(void *ctx)
{
    uint64_t seed = *(const uint64_t *)ctx;
    struct sim_agent_source *src;

    sim_agent_init(&agent, seed);
    sim_set_journal(true);
    agent.opt.sync = WAL_SYNC_NEVER;
    agent.sinks[0].buffer_count = 1000;
    agent.sinks[0].buffer_time_ns = -1;
    src = sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, 20);
    sim_agent_open(&agent);
    sim_agent_until(&agent, sim_agent_taken, "everything is accepted");
    sim_fail_next(SIM_SYNC, -EIO);
    sim_agent_close(&agent);
    sim_agent_open(&agent);
    sim_agent_turns(&agent, 20);
    SIM_AGENT_CHECK(src->pos[SHM_POS_DURABLE] == src->ring.head_pos, "not all is durable");
    sim_agent_power_cut(&agent, seed);
    SIM_AGENT_CHECK(sim_agent_life(&agent) == 0, "the last life ends by itself");
    sim_agent_check_all(&agent);
    return 0;
}

static void a_failed_sync_is_made_good_by_the_next_start(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++)
        assert_int_equal(sim_agent_child(sync_fails, &seed), 0);
}

static struct {
    uint64_t wal_dir;
    unsigned files;
    bool synced;                        /* the log, since the start */
} witnessed;

static void on_sight(void *ctx, const struct sim_sight *sight)
{
    const char *dot = sight->name ? strrchr(sight->name, '.') : NULL;

    (void)ctx;
    if (sight->kind == SIM_SYNC && sight->dir == witnessed.wal_dir && dot)
        witnessed.synced |= strcmp(dot, ".seg") == 0 && sight->res == 0;
    if (sight->kind != SIM_UNLINK || !dot || strcmp(dot, ".spool") != 0)
        return;
    assert_true(witnessed.synced);
    witnessed.files++;
}

/* Else a power cut takes the ACK back, and the batch is sealed, unconfirmed and without a file. */
static void a_start_syncs_the_log_before_files_go_for_what_it_says(void **state)
{
    bool crashed = true;

    (void)state;
    for (uint64_t point = 1; crashed; point++) {
        sim_agent_init(&agent, point);
        two_rings(&agent);
        sim_crash_at(point);
        crashed = sim_agent_life(&agent) == SIM_CRASHED;
        if (crashed) {
            sim_agent_killed(&agent);
            witnessed.wal_dir = sim_ino(SIM_AGENT_DATA "/wal");
            witnessed.synced = false;
            sim_set_witness(on_sight, NULL);
            sim_agent_open(&agent);
            sim_set_witness(NULL, NULL);
            sim_agent_close(&agent);
        }
        sim_agent_fini(&agent);
    }
    assert_true(witnessed.files > 0);
}

/* ---- Many batches wait ---- */

/* Lists of directories that a start makes when so many batches are sealed and not delivered. */
static uint64_t lists_of_a_start(uint32_t batches)
{
    uint64_t before;

    sim_agent_init(&agent, 61);
    sim_mount("/full", false, 0);
    agent.sinks[0].directory = "/full/out";
    agent.sinks[0].buffer_count = 1;
    sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, batches);
    sim_agent_open(&agent);
    sim_agent_until(&agent, sim_agent_taken, "all");
    sim_agent_pass(&agent, 100000000);
    sim_agent_close(&agent);
    before = sim_op_count(SIM_LIST);
    sim_agent_open(&agent);
    before = sim_op_count(SIM_LIST) - before;
    sim_set_capacity("/full", 1 << 30);
    sim_agent_stop(&agent);
    sim_agent_check_all(&agent);
    sim_agent_check_clean(&agent);
    sim_agent_fini(&agent);
    return before;
}

static void a_directory_is_cleaned_once_whatever_waits_for_it(void **state)
{
    (void)state;
    assert_int_equal(lists_of_a_start(40), lists_of_a_start(4));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sigkill_at_any_operation_loses_and_doubles_nothing),
        cmocka_unit_test(sigkill_with_several_sinks_gives_each_every_event_once),
        cmocka_unit_test(sigkill_with_completions_out_of_order),
        cmocka_unit_test(sigkill_during_the_recovery_from_another),
        cmocka_unit_test(sigkill_while_the_log_rolls),
        cmocka_unit_test(a_power_cut_at_any_operation_keeps_what_was_durable),
        cmocka_unit_test(a_power_cut_with_several_sinks),
        cmocka_unit_test(a_power_cut_during_the_recovery_from_another),
        cmocka_unit_test(a_block_that_cannot_be_read_is_no_reason_not_to_start),
        cmocka_unit_test(a_power_cut_while_the_log_rolls),
        cmocka_unit_test(a_read_error_that_passes_costs_no_event),
        cmocka_unit_test(a_failed_sync_is_made_good_by_the_next_start),
        cmocka_unit_test(a_start_syncs_the_log_before_files_go_for_what_it_says),
        cmocka_unit_test(a_directory_is_cleaned_once_whatever_waits_for_it),
    };

    return cmocka_run_group_tests_name("recovery", tests, NULL, NULL);
}
