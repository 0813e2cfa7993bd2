/*
 * Claims about writing the log: what was said to be accepted survives a kill, what was said to be
 * durable survives a power cut, wherever it happens, and beside a disk that fails, too. On
 * simulated I/O.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "support/sim.h"
#include "wal/log_life.h"

static bool thorough(void)
{
    const char *text = getenv("HYDRANT_LONG");

    return text && strcmp(text, "1") == 0;
}

/* Lives that end at a point, and then one that must find everything it has been promised. */
static void crash_everywhere(void (*setup)(struct world *), bool power, uint64_t stride)
{
    int rc = SIM_CRASHED;

    for (uint64_t point = 1; rc == SIM_CRASHED; point += stride) {
        struct world world;

        world_init(&world, point * 2 + power);
        if (setup)
            setup(&world);
        sim_set_disorder(400);
        sim_set_short(100);
        assert_int_equal(sim_run(life_main, &world), 0);
        /* Twice: the second crash falls into what the first has left, at another point. */
        for (uint64_t n = 0; n < 2; n++) {
            sim_crash_at(n == 0 ? point : 1 + built_random(&world.seed) % (point + 20));
            if (n == 0)
                rc = sim_run(life_main, &world);
            else
                sim_run(life_main, &world);
            if (power)
                sim_power_cut(point + n);
            else
                sim_kill();
            world.power_cut = power;
        }
        sim_crash_at(0);
        assert_int_equal(sim_run(life_main, &world), 0);
        assert_int_equal(sim_run(life_main, &world), 0);
    }
}

static void what_was_accepted_survives_a_kill_anywhere(void **state)
{
    (void)state;
    crash_everywhere(NULL, false, thorough() ? 1 : 5);
}

static void what_was_durable_survives_a_power_cut_anywhere(void **state)
{
    (void)state;
    crash_everywhere(NULL, true, thorough() ? 1 : 5);
}

static void rolls_survive_a_kill_anywhere(void **state)
{
    (void)state;
    crash_everywhere(world_rolls, false, thorough() ? 1 : 53);
}

static void rolls_survive_a_power_cut_anywhere(void **state)
{
    (void)state;
    crash_everywhere(world_rolls, true, thorough() ? 1 : 53);
}

static void a_kill_and_then_a_power_cut_lose_nothing_that_a_start_has_built_on(void **state)
{
    int rc = SIM_CRASHED;

    (void)state;
    for (uint64_t point = 1; rc == SIM_CRASHED; point += thorough() ? 1 : 4) {
        struct world world;

        /* Not synced when the agent dies; the next one counts on it, and then the power fails. */
        world_init(&world, point);
        sim_crash_at(point);
        rc = sim_run(life_main, &world);
        sim_kill();
        sim_crash_at(0);
        world.spans_per_life = 0;
        assert_int_equal(sim_run(life_main, &world), 0);
        sim_power_cut(point);
        world.power_cut = true;
        assert_int_equal(sim_run(life_main, &world), 0);
    }
}

/* --- a failing disk ----------------------------------------------------------------------- */

static const struct fault faults[] = {
    {SIM_WRITE, 1, -EIO},    {SIM_WRITE, 4, -ENOSPC},    {SIM_SYNC, 1, -EIO},
    {SIM_SYNC, 5, -EIO},     {SIM_ALLOCATE, 2, -EIO},    {SIM_ALLOCATE, 2, -ENOSPC},
    {SIM_OPEN, 2, -EIO},     {SIM_RENAME, 3, -EIO},      {SIM_UNLINK, 3, -EIO},
    {SIM_LOCK, 1, -EIO},     {SIM_STAT, 1, -EIO},        {SIM_TRUNCATE, 1, -EIO},
};

/* A life in which something fails, a while after it has begun. */
static int life_of_faults(struct world *world, const struct fault *fault, uint64_t nth)
{
    int rc;

    world->fault = fault;
    world->fault_nth = nth;
    rc = sim_run(life_main, world);
    world->fault = NULL;
    sim_fail_clear();
    return rc;
}

static void a_life_survives_any_failure(void **state)
{
    uint64_t failures = 0;

    (void)state;
    for (size_t f = 0; f < sizeof(faults) / sizeof(faults[0]); f++)
        for (int rolls = 0; rolls < 2; rolls++) {
            bool reached = true;

            for (uint64_t nth = 1; reached; nth += rolls && !thorough() ? 3 : 1) {
                struct world world;
                uint64_t before;

                world_init(&world, nth);
                if (rolls)
                    world_rolls(&world);
                else
                    world.spans_per_life = 24;
                /* The reader opens files, too. */
                world.follow = nth % 2 && faults[f].kind != SIM_OPEN;
                sim_set_disorder(500);
                sim_set_short(nth % 3 == 0 ? 200 : 0);
                sim_set_direct(nth % 5 != 0);
                assert_int_equal(sim_run(life_main, &world), 0);
                before = sim_op_count(faults[f].kind);
                assert_int_equal(life_of_faults(&world, &faults[f], nth), 0);
                reached = sim_op_count(faults[f].kind) - before >= nth && nth < 100;
                failures += world.failures;
                /* The next life finds all that was accepted, and goes on. */
                assert_int_equal(sim_run(life_main, &world), 0);
                assert_int_equal(sim_run(life_main, &world), 0);
                assert_int_equal(sim_open_descriptors(), 0);
            }
        }
    assert_true(failures > 20);
}

static void a_failure_after_the_start_ends_nothing(void **state)
{
    uint64_t failures = 0;

    (void)state;
    for (uint64_t nth = 1; nth < 60; nth++)
        for (int sync = 0; sync < 2; sync++) {
            struct world world;
            struct life life;

            world_init(&world, nth);
            assert_int_equal(life_open(&life, &world), 0);
            sim_fail(sync ? SIM_SYNC : SIM_WRITE, 1 + nth % 7, 1 + nth / 7, -EIO);
            while (world.spans < 20 || !wal_writer_idle(&life.writer)
                   || life.writer.synced_commits < life.writer.commits) {
                if (world.spans < 20)
                    life_span(&life);
                assert_int_equal(life_turn(&life, true), 0);
            }
            failures += world.failures;
            assert_int_equal(wal_writer_failing(&life.writer), 0);
            sim_fail_clear();
            life_close(&life);
            assert_int_equal(life.writer.error, 0);
            assert_int_equal(sim_run(life_main, &world), 0);
        }
    assert_true(failures > 20);
}

enum end { END_KILL, END_POWER, END_KILL_THEN_POWER, END_COUNT };

/* A failure, then the end, wherever: in the middle of what mends it, too. */
static void fail_and_end(const struct fault *fault, void (*setup)(struct world *), enum end end,
                         uint64_t stride)
{
    uint64_t seed = (uint64_t)end + 1;

    for (uint64_t nth = 1; nth < 30; nth += thorough() ? 1 : 9) {
        int rc = SIM_CRASHED;

        for (uint64_t point = 1 + built_random(&seed) % stride; rc == SIM_CRASHED;
             point += 1 + built_random(&seed) % (2 * stride)) {
            struct world world;

            world_init(&world, point * END_COUNT + end);
            world.spans_per_life = 24;
            if (setup)
                setup(&world);
            sim_set_disorder(400);
            assert_int_equal(sim_run(life_main, &world), 0);
            sim_crash_at(point);
            rc = life_of_faults(&world, fault, nth);
            if (end == END_POWER)
                sim_power_cut(point);
            else
                sim_kill();
            world.power_cut = end == END_POWER;
            sim_crash_at(0);
            assert_int_equal(sim_run(life_main, &world), 0);
            if (end == END_KILL_THEN_POWER) {
                sim_power_cut(point);
                world.power_cut = true;
            }
            assert_int_equal(sim_run(life_main, &world), 0);
        }
    }
}

static void a_failure_and_then_an_end_lose_nothing(void **state)
{
    (void)state;
    for (size_t f = 0; f < sizeof(faults) / sizeof(faults[0]); f++)
        for (int end = 0; end < END_COUNT; end++) {
            if (faults[f].kind != SIM_WRITE && faults[f].kind != SIM_SYNC && !thorough())
                continue;
            fail_and_end(&faults[f], NULL, (enum end)end, thorough() ? 3 : 250);
            fail_and_end(&faults[f], world_rolls, (enum end)end, thorough() ? 11 : 2500);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_accepted_survives_a_kill_anywhere),
        cmocka_unit_test(what_was_durable_survives_a_power_cut_anywhere),
        cmocka_unit_test(rolls_survive_a_kill_anywhere),
        cmocka_unit_test(rolls_survive_a_power_cut_anywhere),
        cmocka_unit_test(a_kill_and_then_a_power_cut_lose_nothing_that_a_start_has_built_on),
        cmocka_unit_test(a_life_survives_any_failure),
        cmocka_unit_test(a_failure_after_the_start_ends_nothing),
        cmocka_unit_test(a_failure_and_then_an_end_lose_nothing),
    };

    return cmocka_run_group_tests_name("wal_writer_crash", tests, NULL, NULL);
}
