/*
 * cli_bench_run: a figure for every transport, size and direction; it ends where it is told to and
 * says where it failed; its processors are given back and its directory is empty, whatever happens.
 */
#include "cli/bench_wires.h"

#include <errno.h>
#include <sched.h>

#include "cli/cli_bench.h"

enum { MEASUREMENTS = BENCH_ROUNDS * (BENCH_TRANSPORTS * (2 * BENCH_SIZES + 1) - 1) };

static unsigned int looks, looks_max;

static bool stop_after_some(void)
{
    return ++looks > looks_max;
}

/* With this thread's processors as before. */
static int measure(const char *shm_dir, unsigned int max, struct bench_result *ret_result,
                   struct errmsg *err)
{
    cpu_set_t before, after;
    int rc;

    looks = 0;
    looks_max = max;
    assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
    rc = bench_measure(shm_dir, 0.1, stop_after_some, ret_result, err);
    assert_int_equal(sched_getaffinity(0, sizeof(after), &after), 0);
    assert_true(CPU_EQUAL(&after, &before));
    assert_int_equal(bench_base_names(), 0);
    return rc;
}

static void the_ring_is_first_and_each_is_named_once(void **state)
{
    (void)state;
    assert_string_equal(bench_transports[0].name, "ring");
    for (size_t t = 0; t < BENCH_TRANSPORTS; t++) {
        assert_true(bench_transports[t].what[0] != '\0');
        for (size_t other = 0; other < t; other++)
            assert_string_not_equal(bench_transports[t].name, bench_transports[other].name);
    }
}

static void there_is_a_figure_for_everything(void **state)
{
    struct errmsg err = { "" };
    struct bench_result r;

    (void)state;
    if (measure(bench_base, UINT32_MAX, &r, &err) != 0)
        fail_msg("%s", err.text);
    assert_int_equal(looks, MEASUREMENTS); /* it can be ended before each of them */
    assert_true(r.machine.cores >= 1);
    assert_true(r.jitter.seconds > 0);
    assert_true(r.floor_p50_ns >= BENCH_FLOOR_NS * 0.99 && r.floor_p50_ns <= r.floor_p99_ns);
    for (size_t t = 0; t < BENCH_TRANSPORTS; t++) {
        const struct bench_row *row = &r.rows[t];

        for (size_t s = 0; s < BENCH_SIZES; s++)
            assert_true(row->burst_ns[s] > 0 && row->sustained_per_s[s] > 0);
        assert_true((row->trip_p50_ns > 0) == bench_transports[t].answers);
        assert_true(row->trip_p50_ns <= row->trip_p99_ns);
    }
}

static void it_ends_before_the_measurement_at_which_it_is_told_to(void **state)
{
    static const unsigned int points[] = { 0, 1, 2 * BENCH_SIZES, 2 * BENCH_SIZES + 1 };
    struct errmsg err = { "" };
    struct bench_result r;

    (void)state;
    for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++) {
        assert_int_equal(measure(bench_base, points[i], &r, &err), -EINTR);
        assert_int_equal(looks, points[i] + 1);
        assert_true(r.rows[0].burst_ns[0] == 0); /* no figure is that of a part */
    }
}

static void a_failure_names_its_transport(void **state)
{
    struct errmsg err = { "" };
    struct bench_result r;

    (void)state;
    assert_int_equal(measure("/proc/nowhere", UINT32_MAX, &r, &err), -ENOENT);
    assert_memory_equal(err.text, "ring: ", 6);
    assert_non_null(strstr(err.text, "/proc/nowhere"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_ring_is_first_and_each_is_named_once),
        cmocka_unit_test(there_is_a_figure_for_everything),
        cmocka_unit_test(it_ends_before_the_measurement_at_which_it_is_told_to),
        cmocka_unit_test(a_failure_names_its_transport),
    };

    return cmocka_run_group_tests(tests, bench_base_make, bench_base_remove);
}
