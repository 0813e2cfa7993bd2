/*
 * cli_bench: the table and the JSON object are whole and add up, an interruption ends it, nothing
 * stays.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <jansson.h>
#include <math.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>

#include "cli/bench_wires.h"
#include "cli/capture.h"
#include "cli/cli.h"
#include "cli/cli_bench.h"
#include "cli/cli_exit.h"

static struct capture capture;

static void wrong_usage_is_refused(void **state)
{
    (void)state;
    capture_expect(&capture, cli_bench, "bench --help", CLI_OK, "usage: hydrant bench", "");
    capture_expect(&capture, cli_bench, "bench now", CLI_USAGE, "", "no arguments");
    capture_expect(&capture, cli_bench, "bench --seconds 0", CLI_USAGE, "", "'0' is not 1 to 60");
    capture_expect(&capture, cli_bench, "bench --seconds 61", CLI_USAGE, "", "is not 1 to 60");
    capture_expect(&capture, cli_bench, "bench --seconds nan", CLI_USAGE, "", "is not 1 to 60");
    capture_expect(&capture, cli_bench, "bench --seconds 1x", CLI_USAGE, "", "is not 1 to 60");
    capture_expect(&capture, cli_bench, "bench --fast", CLI_USAGE, "", "unknown option");
    capture_expect(&capture, cli_bench, "bench --shm-dir /nowhere", CLI_FAILED, "", "/nowhere");
    capture_expect(&capture, cli_bench, "bench --shm-dir /proc", CLI_FAILED, "", "/proc");
}

static double number(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);

    assert_true(json_is_number(value));
    return json_number_value(value);
}

/* To the last digits that are printed. */
static bool same(double a, double b)
{
    return fabs(a - b) <= 1e-9 * fabs(b);
}

/* The ratios and bytes of a row are those of its figures, and of the ring's in the same run. */
static void expect_adds_up(const json_t *row, const json_t *ring)
{
    const json_t *trip = json_object_get(row, "round_trip");

    for (size_t s = 0; s < BENCH_SIZES; s++) {
        const json_t *ours = json_array_get(json_object_get(row, "events"), s);
        const json_t *rings = json_array_get(json_object_get(ring, "events"), s);
        double per_s = number(ours, "sustained_events_per_s");

        assert_true(same(number(ours, "producer_times_ring"),
                         number(ours, "producer_ns") / number(rings, "producer_ns")));
        assert_true(same(number(ours, "sustained_bytes_per_s"), per_s * bench_sizes[s]));
        assert_true(same(number(ours, "ring_sustains_times"),
                         number(rings, "sustained_events_per_s") / per_s));
    }
    if (trip != NULL)
        assert_true(same(number(trip, "p50_times_ring"),
                         number(trip, "p50_ns") /
                             number(json_object_get(ring, "round_trip"), "p50_ns")));
}

static void json_has_a_figure_for_everything(void **state)
{
    char line[128];
    json_t *root, *transports;

    (void)state;
    (void)snprintf(line, sizeof(line), "bench --json --seconds 1 --shm-dir %s", bench_base);
    capture_expect(&capture, cli_bench, line, CLI_OK, "\"transports\"", "");
    assert_int_equal(bench_base_names(), 0);
    root = json_loads(capture.out, 0, NULL);
    assert_non_null(root);
    assert_true(number(json_object_get(root, "machine"), "cores") >= 1);
    assert_true(number(json_object_get(root, "floor"), "p50_ns") >= BENCH_FLOOR_NS * 0.9);
    transports = json_object_get(root, "transports");
    assert_int_equal(json_array_size(transports), BENCH_TRANSPORTS);
    for (size_t t = 0; t < BENCH_TRANSPORTS; t++) {
        const json_t *row = json_array_get(transports, t);
        const json_t *events = json_object_get(row, "events");
        const json_t *trip = json_object_get(row, "round_trip");

        assert_string_equal(json_string_value(json_object_get(row, "name")),
                            bench_transports[t].name);
        assert_int_equal(json_array_size(events), BENCH_SIZES);
        for (size_t s = 0; s < BENCH_SIZES; s++) {
            const json_t *size = json_array_get(events, s);

            assert_int_equal((uint32_t)number(size, "bytes"), bench_sizes[s]);
            assert_true(number(size, "producer_ns") > 0);
            assert_true(number(size, "sustained_events_per_s") > 0);
            assert_true(t > 0 || number(size, "producer_times_ring") == 1);
        }
        assert_int_equal(trip != NULL, bench_transports[t].answers);
        if (trip != NULL)
            assert_true(number(trip, "p50_ns") <= number(trip, "p99_ns"));
        expect_adds_up(row, json_array_get(transports, 0));
    }
    json_decref(root);
}

static void the_table_names_the_machine_first_and_every_transport(void **state)
{
    char line[128];

    (void)state;
    (void)snprintf(line, sizeof(line), "bench --seconds 1 --shm-dir %s", bench_base);
    capture_expect(&capture, cli_bench, line, CLI_OK, "jitter: ", "");
    assert_memory_equal(capture.out, "hydrant ", 8);
    for (size_t t = 0; t < BENCH_TRANSPORTS; t++) {
        (void)snprintf(line, sizeof(line), "\n%s ", bench_transports[t].name);
        if (strstr(capture.out, line) == NULL)
            fail_msg("no row '%s':\n%s", bench_transports[t].name, capture.out);
    }
    assert_non_null(strstr(capture.out, "\nfloor "));
    assert_int_equal(bench_base_names(), 0);
}

static void a_signal_ends_it_and_leaves_nothing(void **state)
{
    char line[128];
    pid_t pid;
    int status;

    (void)state;
    (void)snprintf(line, sizeof(line), "bench --seconds 60 --shm-dir %s", bench_base);
    (void)fflush(NULL);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        char *argv[] = { (char *)(uintptr_t) "bench", (char *)(uintptr_t) "--seconds",
                         (char *)(uintptr_t) "60", (char *)(uintptr_t) "--shm-dir",
                         bench_base, NULL };

        _exit(cli_bench(5, argv));
    }
    /* It takes signals before it makes its directory. */
    while (bench_base_names() == 0 && waitpid(pid, &status, WNOHANG) == 0)
        (void)sched_yield();
    assert_int_equal(kill(pid, SIGINT), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), CLI_INTERRUPTED);
    assert_int_equal(bench_base_names(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_usage_is_refused),
        cmocka_unit_test(json_has_a_figure_for_everything),
        cmocka_unit_test(the_table_names_the_machine_first_and_every_transport),
        cmocka_unit_test(a_signal_ends_it_and_leaves_nothing),
    };

    return cmocka_run_group_tests(tests, bench_base_make, bench_base_remove);
}
