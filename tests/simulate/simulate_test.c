/*
 * The whole agent on the simulated host, under scenarios that seeds choose: crashes, power cuts,
 * full disks, failing disks, lying producers, reloads. Every invariant of support/sim_invariants.h
 * is checked throughout, and in the end nothing may be pending.
 *
 * Without arguments a test; with arguments the program behind `make simulate`:
 *
 *   --seed N      the first seed (1)
 *   --seeds N     how many (1000)
 *   --jobs N      at a time (as many as there are processors)
 *   --keep-going  do not end at the first seed that does not hold
 *   --verbose     say what is done, with the agent's log
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "simulate/fleet.h"
#include "support/sim.h"

#if defined(__SANITIZE_ADDRESS__)
enum { SEEDS_USUAL = 150, SEEDS_LONG = 10000, JOBS = 1 };
#else
enum { SEEDS_USUAL = 20000, SEEDS_LONG = 100000, JOBS = 2 };
#endif

enum {
    SEEDS_TWICE = 40,
    SEEDS_FOR_COVERAGE = 400,
    SEEDS_FOR_ALL = 5000,               /* what is seldom too */
    SECONDS_USUAL = 40                  /* on a busy machine fewer seeds, which is said */
};

static void one_seed_makes_one_history(void **state)
{
    struct fleet fleet = {.first = 1, .count = SEEDS_TWICE, .jobs = JOBS};
    struct fleet_result first, second;

    (void)state;
    fleet_run(&fleet, &first);
    assert_int_equal(first.failed, 0);
    fleet.jobs = 1;
    fleet_run(&fleet, &second);
    assert_int_equal(first.hash, second.hash);
    fleet.first += SEEDS_TWICE;
    fleet_run(&fleet, &second);
    assert_int_not_equal(first.hash, second.hash);
}

/* Almost all faults are survived, few of them meet a sync of the log, or a sink that leaves. */
static bool seldom(int what)
{
    return what == COVER_lives_failed || what == COVER_starts_failed || what == COVER_sync_faults
           || what == COVER_continuations || what == COVER_segments_given_up
           || what == COVER_uploads_left;
}

static void some_hundred_seeds_exercise_everything(void **state)
{
    struct fleet fleet = {.first = 1, .count = SEEDS_FOR_COVERAGE, .jobs = JOBS};
    struct fleet_result result;
    unsigned missing = 0;

    (void)state;
    fleet_run(&fleet, &result);
    fleet_print(&result);
    assert_int_equal(result.failed, 0);
    for (int i = 0; i < COVER_COUNT; i++) {
        if (result.cover[i] > 0 || seldom(i))
            continue;
        print_message("not exercised: %s\n", sim_cover_names[i]);
        missing++;
    }
    assert_int_equal(missing, 0);
}

static void every_seed_keeps_every_invariant(void **state)
{
    struct fleet fleet = {.first = 1 + SEEDS_FOR_COVERAGE, .count = SEEDS_USUAL, .jobs = JOBS};
    struct fleet_result result;

    (void)state;
    if (getenv("HYDRANT_LONG"))
        fleet.count = SEEDS_LONG;
    else
        fleet.seconds_max = SECONDS_USUAL;
    fleet_run(&fleet, &result);
    fleet_print(&result);
    assert_int_equal(result.failed, 0);
    if (result.cover[COVER_seeds] < SEEDS_FOR_ALL)
        return;
    assert_true(result.cover[COVER_sync_faults] > 0);
    assert_true(result.cover[COVER_continuations] > 0);
    assert_true(result.cover[COVER_segments_given_up] > 0);
}

static uint64_t number(const char *text)
{
    char *end;
    unsigned long long n = strtoull(text, &end, 10);

    if (*text == '\0' || *end != '\0') {
        fprintf(stderr, "simulate: '%s' is no number\n", text);
        exit(2);
    }
    return n;
}

static int command(int argc, char **argv)
{
    static const struct option options[] = {
        {"seed", required_argument, NULL, 's'}, {"seeds", required_argument, NULL, 'n'},
        {"jobs", required_argument, NULL, 'j'}, {"keep-going", no_argument, NULL, 'k'},
        {"verbose", no_argument, NULL, 'v'},    {0},
    };
    struct fleet fleet = {.first = 1, .count = 1000, .progress = isatty(STDERR_FILENO) == 1,
                          .jobs = (unsigned)sysconf(_SC_NPROCESSORS_ONLN)};
    struct fleet_result result;
    int c;

    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (c) {
        case 's':
            fleet.first = number(optarg);
            break;
        case 'n':
            fleet.count = number(optarg);
            break;
        case 'j':
            fleet.jobs = (unsigned)number(optarg);
            break;
        case 'k':
            fleet.keep_going = true;
            break;
        case 'v':
            fleet.verbose = true;
            break;
        default:
            return 2;
        }
    }
    fleet_run(&fleet, &result);
    fleet_print(&result);
    return result.failed > 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_seed_makes_one_history),
        cmocka_unit_test(some_hundred_seeds_exercise_everything),
        cmocka_unit_test(every_seed_keeps_every_invariant),
    };

    if (argc > 1)
        return command(argc, argv);
    return cmocka_run_group_tests_name("simulate", tests, NULL, NULL);
}
