/*
 * cli_bench_measure: the machine is described, time stamps go forward and turn into nanoseconds and
 * back, waits are never too short, quantiles are nearest ranks. How long anything takes is not
 * looked at: another process may always be in between.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <math.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "cli/cli_bench_measure.h"

static void the_machine_is_this_one(void **state)
{
    struct machine m;
    struct utsname host;

    (void)state;
    machine_read(&m);
    assert_int_equal(uname(&host), 0);
    assert_int_equal(m.cores, sysconf(_SC_NPROCESSORS_ONLN));
    assert_memory_equal(m.kernel, host.sysname, strlen(host.sysname));
    assert_non_null(strstr(m.kernel, host.machine));
    assert_true(m.memory_gib > 0);
    assert_true(m.governor[0] != '\0');
    for (size_t i = 0; i < 3; i++)
        assert_true(m.load[i] >= 0);
}

static void texts_say_all_of_it(void **state)
{
    struct machine m = { .cpu = "Xeon", .kernel = "Linux 6.1 x86_64", .governor = "none",
                         .clock = "tsc constant_tsc", .virtual_machine = true, .cores = 4,
                         .memory_gib = 7.75, .load = { 0.5, 1, 2.25 } };
    const struct jitter j = { .seconds = 1, .over_1us = 900, .over_10us = 30, .over_100us = 2,
                              .lost_percent = 1.25, .longest_us = 400 };
    char machine[MACHINE_TEXT_MAX], jitter[JITTER_TEXT_MAX];

    (void)state;
    assert_string_equal(machine_text(&m, machine),
                        "Xeon, 4 cores (virtual), Linux 6.1 x86_64, 7.8 GiB, governor none, "
                        "clock tsc constant_tsc, load 0.50 1.00 2.25");
    m.virtual_machine = false;
    assert_non_null(strstr(machine_text(&m, machine), "4 cores, Linux"));
    assert_string_equal(jitter_text(&j, jitter),
                        "a thread that only reads the clock sees 900 gaps/s over 1 us, 30 over "
                        "10 us, 2 over 100 us; 1.2 % of the time; longest 400 us");
}

static void the_longest_description_is_cut_and_not_more(void **state)
{
    char machine[MACHINE_TEXT_MAX], jitter[JITTER_TEXT_MAX];
    struct jitter j = { .over_1us = 1e300, .longest_us = 1e300 };
    struct machine m = { .cores = 1 };

    (void)state;
    memset(m.cpu, 'c', sizeof(m.cpu) - 1);
    memset(m.kernel, 'k', sizeof(m.kernel) - 1);
    memset(m.clock, 't', sizeof(m.clock) - 1);
    m.memory_gib = 1e300;
    assert_int_equal(strlen(machine_text(&m, machine)), sizeof(machine) - 1);
    assert_int_equal(strlen(jitter_text(&j, jitter)), sizeof(jitter) - 1);
}

static void stamps_go_forward_and_turn_into_time_and_back(void **state)
{
    struct bench_clock clock;
    uint64_t last = 0;

    (void)state;
    bench_clock_open(&clock);
    assert_true(clock.ns_per_tick > 0);
    assert_true(clock.tsc || clock.ns_per_tick == 1.0);
    for (int i = 0; i < 100000; i++) {
        uint64_t now = bench_ticks(&clock);

        assert_true(now >= last);
        last = now;
    }
    for (double seconds = 1e-6; seconds < 1e4; seconds *= 10) {
        uint64_t ticks = bench_seconds_ticks(&clock, seconds);

        /* Whole ticks: at most one is cut off. */
        assert_true(fabs(bench_ticks_ns(&clock, ticks) - seconds * 1e9) <=
                    clock.ns_per_tick * 1.001);
    }
}

static void waits_are_never_too_short(void **state)
{
    static const double waits_ns[] = { 0, 500, 20000 };
    struct bench_clock clock;
    double values[1000];

    (void)state;
    bench_clock_open(&clock);
    for (size_t i = 0; i < sizeof(waits_ns) / sizeof(waits_ns[0]); i++) {
        size_t count = floor_measure(&clock, 1e-3, waits_ns[i], values, 1000);

        assert_in_range(count, 1, 1000);
        assert_true(bench_quantile(values, count, 0) >= waits_ns[i] - clock.ns_per_tick);
    }
    assert_int_equal(floor_measure(&clock, 1000, 1, values, 10), 10);
    assert_int_equal(floor_measure(&clock, 0, 1, values, 10), 1);
}

static void gaps_are_counted_by_how_long_they_are(void **state)
{
    struct bench_clock clock;
    struct jitter j;

    (void)state;
    bench_clock_open(&clock);
    jitter_measure(&clock, 0.02, &j);
    assert_true(j.seconds == 0.02);
    assert_true(j.over_1us >= j.over_10us && j.over_10us >= j.over_100us && j.over_100us >= 0);
    assert_true(j.lost_percent >= 0 && j.lost_percent <= 100);
    assert_true((j.over_1us > 0) == (j.lost_percent > 0));
    assert_true((j.over_1us > 0) == (j.longest_us > 0));
    /* Of whole ticks: a microsecond is a little less than one. */
    assert_true(j.over_100us > 0 ? j.longest_us > 99 : j.longest_us <= 100);
}

static void a_quantile_is_the_nearest_rank(void **state)
{
    double values[] = { 5, 1, 4, 2, 3 };

    (void)state;
    assert_true(bench_quantile(values, 5, 0) == 1);
    assert_true(bench_quantile(values, 5, 0.5) == 3);
    assert_true(bench_quantile(values, 5, 0.6) == 3);
    assert_true(bench_quantile(values, 5, 0.61) == 4);
    assert_true(bench_quantile(values, 5, 0.99) == 5);
    assert_true(bench_quantile(values, 5, 1) == 5);
    assert_true(bench_quantile(values, 1, 0.5) == 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_machine_is_this_one),
        cmocka_unit_test(texts_say_all_of_it),
        cmocka_unit_test(the_longest_description_is_cut_and_not_more),
        cmocka_unit_test(stamps_go_forward_and_turn_into_time_and_back),
        cmocka_unit_test(waits_are_never_too_short),
        cmocka_unit_test(gaps_are_counted_by_how_long_they_are),
        cmocka_unit_test(a_quantile_is_the_nearest_rank),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
