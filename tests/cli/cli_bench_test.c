/*
 * cli_bench: the table and the JSON object are whole, an interruption ends it, nothing stays.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <sched.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "cli/capture.h"
#include "cli/cli.h"
#include "cli/cli_bench.h"
#include "cli/cli_bench_link.h"
#include "cli/cli_exit.h"

static struct capture capture;
static char base[64];

static int base_make(void **state)
{
    (void)state;
    (void)snprintf(base, sizeof(base), "/dev/shm/hydrant-test-XXXXXX");
    return mkdtemp(base) != NULL ? 0 : -1;
}

static int base_remove(void **state)
{
    (void)state;
    return rmdir(base);
}

static void expect_empty(const char *path)
{
    DIR *dir = opendir(path);
    const struct dirent *entry;

    assert_non_null(dir);
    while ((entry = readdir(dir)) != NULL)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            fail_msg("'%s' was left in %s", entry->d_name, path);
    (void)closedir(dir);
}

/* --- the command ---------------------------------------------------------------------------- */

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

static void json_has_a_figure_for_everything(void **state)
{
    char line[128];
    json_t *root, *transports;

    (void)state;
    (void)snprintf(line, sizeof(line), "bench --json --seconds 1 --shm-dir %s", base);
    capture_expect(&capture, cli_bench, line, CLI_OK, "\"transports\"", "");
    expect_empty(base);
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
    }
    json_decref(root);
}

static void the_table_names_the_machine_first_and_every_transport(void **state)
{
    char line[128];

    (void)state;
    (void)snprintf(line, sizeof(line), "bench --seconds 1 --shm-dir %s", base);
    capture_expect(&capture, cli_bench, line, CLI_OK, "jitter: ", "");
    assert_memory_equal(capture.out, "hydrant ", 8);
    for (size_t t = 0; t < BENCH_TRANSPORTS; t++) {
        (void)snprintf(line, sizeof(line), "\n%s ", bench_transports[t].name);
        if (strstr(capture.out, line) == NULL)
            fail_msg("no row '%s':\n%s", bench_transports[t].name, capture.out);
    }
    assert_non_null(strstr(capture.out, "\nfloor "));
    expect_empty(base);
}

/* How many names are in the directory; -1: it is gone. */
static int names_count(const char *path)
{
    DIR *dir = opendir(path);
    int count = 0;

    if (dir == NULL)
        return -1;
    while (readdir(dir) != NULL)
        count++;
    (void)closedir(dir);
    return count - 2;
}

static void a_signal_ends_it_and_leaves_nothing(void **state)
{
    char line[128];
    pid_t pid;
    int status;

    (void)state;
    (void)snprintf(line, sizeof(line), "bench --seconds 60 --shm-dir %s", base);
    (void)fflush(NULL);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        char *argv[] = { (char *)(uintptr_t) "bench", (char *)(uintptr_t) "--seconds",
                         (char *)(uintptr_t) "60", (char *)(uintptr_t) "--shm-dir", base, NULL };

        _exit(cli_bench(5, argv));
    }
    /* It takes signals before it makes its directory. */
    while (names_count(base) == 0 && waitpid(pid, &status, WNOHANG) == 0)
        (void)sched_yield();
    assert_int_equal(kill(pid, SIGINT), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), CLI_INTERRUPTED);
    expect_empty(base);
}

/* --- links ---------------------------------------------------------------------------------- */

static struct wire_options options(enum wire_kind kind)
{
    return (struct wire_options){ .kind = kind, .event_bytes = 64, .ring_bytes = 65536,
                                  .shm_dir = base };
}

static void every_wire_carries_every_event(void **state)
{
    static const uint8_t data[64];
    struct errmsg err = { "" };

    (void)state;
    for (enum wire_kind kind = 0; kind < WIRE_OTHER; kind++) {
        struct wire_options opt = options(kind);
        struct link link;
        int rc = link_start(&link, -1, &opt, &err);

        expect_empty(base); /* a ring in use has no name any more */
        for (uint32_t i = 1; rc == 0 && i <= 2000; i += i / 2 + 1)
            rc = link_put(&link, data, i, &err);
        if (rc == 0)
            rc = link_settle(&link, &err);
        if (rc == 0) /* settled means taken: neither more nor less */
            assert_int_equal(
                atomic_load_explicit(&link.peer.page->events, memory_order_acquire), link.sent);
        if (link_close(&link, rc, &err) != 0)
            fail_msg("%s%s: %s", wire_row(&opt)->name, wire_row(&opt)->detail, err.text);
    }
}

static void every_wire_answers(void **state)
{
    static const enum wire_kind kinds[] = { WIRE_RING_MAP, WIRE_RING_READ, WIRE_UNIX, WIRE_DGRAM,
                                            WIRE_TCP,      WIRE_PIPE };
    struct errmsg err = { "" };
    uint8_t data[64] = { 0 };
    struct bench_clock clock;
    double values[100];
    struct trip trip;
    size_t count;
    int rc;

    (void)state;
    bench_clock_open(&clock);
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        struct wire_options opt = options(kinds[i]);

        rc = trip_start(&trip, -1, &opt, &err);
        if (rc == 0)
            rc = trip_measure(&trip, data, &clock, 0.01, values, 100, &count, &err);
        if (rc == 0) {
            assert_true(count >= 1 && count <= 100);
            assert_true(bench_quantile(values, count, 0) > 0);
            rc = trip_close(&trip, rc, &err);
        }
        if (rc != 0)
            fail_msg("%s: %s", wire_row(&opt)->name, err.text);
    }
}

/* A reader that dies. */
static void a_dead_reader_is_an_error_and_no_end(void **state)
{
    static const uint8_t data[64];
    struct wire_options opt = options(WIRE_RING_READ);
    struct errmsg err = { "" };
    struct link link;

    (void)state;
    assert_int_equal(link_start(&link, -1, &opt, &err), 0);
    assert_int_equal(kill(link.peer.pid, SIGKILL), 0);
    assert_int_equal(link_put(&link, data, 1, &err), 0);
    assert_int_equal(link_close(&link, link_settle(&link, &err), &err), -ECHILD);
    assert_non_null(strstr(err.text, "died of signal 9"));
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
        cmocka_unit_test(wrong_usage_is_refused),
        cmocka_unit_test(json_has_a_figure_for_everything),
        cmocka_unit_test(the_table_names_the_machine_first_and_every_transport),
        cmocka_unit_test(a_signal_ends_it_and_leaves_nothing),
        cmocka_unit_test(every_wire_carries_every_event),
        cmocka_unit_test(every_wire_answers),
        cmocka_unit_test(a_dead_reader_is_an_error_and_no_end),
        cmocka_unit_test(a_quantile_is_the_nearest_rank),
    };

    return cmocka_run_group_tests(tests, base_make, base_remove);
}
