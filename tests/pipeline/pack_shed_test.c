/*
 * Claims about batches that are compressed beside the loop, whatever order things end in: their
 * files are complete, each event once, while writes fail and files have to be given up in the midst
 * of it, while the disk is full, and over crashes at any point.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>

#include "pipeline/parts.h"
#include "support/sim.h"
#include "support/sim_agent.h"

/* Compression is what this is about, and slow where it is sanitized. */
#ifdef __SANITIZE_ADDRESS__
enum { SEEDS = 2, STEP = 73 };
#else
enum { SEEDS = 5, STEP = 37 };
#endif

static struct sim_agent agent;

/* Two streams, several blocks a batch, the worker's completions among all others. */
static void slow_agent(uint64_t seed)
{
    sim_agent_init(&agent, seed);
    agent.leave = agent.look_often = true;
    agent.streams_count = 2;
    agent.pad_bytes = 4000;
    agent.sinks[0].compression = COMPRESS_GZIP;
    agent.sinks[0].compression_level = 6;
    agent.sinks[0].buffer_count = 250;
    sim_set_disorder(800);
    sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, 700);
    sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, 500);
}

static void all_is_well(void)
{
    sim_agent_check_all(&agent);
    sim_agent_check_clean(&agent);
    SIM_AGENT_CHECK(agent.pending + agent.lost + agent.dropped == 0, "events are missing");
}

static bool worked;

static void look_at_the_worker(struct sim_agent *a, uint64_t turn)
{
    const struct shard *s = a->shard;

    (void)turn;
    worked |= s->work.batch != NULL;
    SIM_AGENT_CHECK(s->work.batch || !s->work.wanted, "nobody will look who waits");
}

static void files_are_complete_in_any_order(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        slow_agent(seed);
        worked = false;
        agent.on_turn = look_at_the_worker;
        assert_int_equal(sim_agent_life(&agent), 0);
        all_is_well();
        assert_true(worked);
        sim_agent_fini(&agent);
    }
}

static uint64_t rebuilt;

static void count_rebuilt(struct sim_agent *a, uint64_t turn)
{
    (void)turn;
    if (a->shard->batches_rebuilt > rebuilt)
        rebuilt = a->shard->batches_rebuilt;
}

static void files_that_are_given_up_are_made_again(void **state)
{
    (void)state;
    rebuilt = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        slow_agent(seed);
        agent.on_turn = count_rebuilt;
        sim_mount("/log", false, 1 << 30);
        agent.opt.wal_dir = "/log/wal";
        sim_fail(SIM_WRITE, 20 + seed * 3, 4, -EIO);
        assert_int_equal(sim_agent_life(&agent), 0);
        sim_fail_clear();
        all_is_well();
        sim_agent_fini(&agent);
    }
    assert_true(rebuilt > 0);
}

static void disk_is_full_for_a_while(struct sim_agent *a, uint64_t turn)
{
    count_rebuilt(a, turn);
    if (turn == 60)
        sim_set_capacity(SIM_AGENT_DATA, 0);
    if (turn == 4000)
        sim_set_capacity(SIM_AGENT_DATA, 1 << 30);
}

static void a_full_disk_takes_files_while_they_are_compressed(void **state)
{
    (void)state;
    rebuilt = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        slow_agent(seed);
        sim_mount("/log", false, 1 << 30);
        agent.opt.wal_dir = "/log/wal";
        sim_mount(SIM_AGENT_DATA, false, 1 << 30);
        agent.on_turn = disk_is_full_for_a_while;
        agent.opt.idle = SHARD_IDLE_SLEEP;
        assert_int_equal(sim_agent_life(&agent), 0);
        all_is_well();
        sim_agent_fini(&agent);
    }
    assert_true(rebuilt > 0);
}

static int cut_at(void *ctx)
{
    const uint64_t *point = ctx;

    slow_agent(*point);
    sim_set_journal(true);
    sim_crash_at(*point);
    if (sim_agent_life(&agent) == 0)
        return 1;
    if (*point % 2 == 0)
        sim_agent_power_cut(&agent, *point * 77);
    else
        sim_agent_killed(&agent);
    sim_agent_check_files(&agent);
    SIM_AGENT_CHECK(sim_agent_life(&agent) == 0, "the last life ends by itself");
    sim_agent_check_all(&agent);
    sim_agent_check_clean(&agent);
    return 0;
}

static void crashes_lose_and_double_nothing(void **state)
{
    uint64_t step = getenv("HYDRANT_LONG") ? 3 : STEP, cuts = 0;

    (void)state;
    for (uint64_t point = 40; point < 1500; point += step)
        cuts += sim_agent_child(cut_at, &point) == 0;
    assert_true(cuts > 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_are_complete_in_any_order),
        cmocka_unit_test(files_that_are_given_up_are_made_again),
        cmocka_unit_test(a_full_disk_takes_files_while_they_are_compressed),
        cmocka_unit_test(crashes_lose_and_double_nothing),
    };

    return cmocka_run_group_tests_name("pack_shed", tests, NULL, NULL);
}
