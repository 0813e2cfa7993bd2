/*
 * cli_bench_link: every wire carries every event to a reader in another process, and every one that
 * answers does; who fails first is who is named; nothing stays.
 */
#include "cli/bench_wires.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>

#include "cli/cli_bench_link.h"

static const uint8_t data[64];

static void every_wire_carries_every_event(void **state)
{
    struct errmsg err = { "" };

    (void)state;
    for (enum wire_kind kind = 0; kind < WIRE_OTHER; kind++) {
        struct wire_options opt = bench_options(kind, sizeof(data));
        struct link link;
        int rc = link_start(&link, -1, &opt, &err);

        assert_int_equal(bench_base_names(), 0); /* a ring in use has no name any more */
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
    struct bench_clock clock;
    double values[100];
    struct trip trip;
    size_t count;
    int rc;

    (void)state;
    bench_clock_open(&clock);
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        struct wire_options opt = bench_options(kinds[i], sizeof(data));

        rc = trip_start(&trip, -1, &opt, &err);
        if (rc == 0)
            rc = trip_measure(&trip, data, &clock, 0.01, values, 100, &count, &err);
        if (rc == 0) {
            assert_in_range(count, 1, 100);
            assert_true(bench_quantile(values, count, 0) > 0);
        }
        if (trip_close(&trip, rc, &err) != 0)
            fail_msg("%s: %s", wire_row(&opt)->name, err.text);
    }
}

static void a_dead_reader_is_an_error_and_no_end(void **state)
{
    struct wire_options opt = bench_options(WIRE_RING_READ, sizeof(data));
    struct errmsg err = { "" };
    struct link link;

    (void)state;
    assert_int_equal(link_start(&link, -1, &opt, &err), 0);
    assert_int_equal(kill(link.peer.pid, SIGKILL), 0);
    assert_int_equal(link_put(&link, data, 1, &err), 0);
    assert_int_equal(link_close(&link, link_settle(&link, &err), &err), -ECHILD);
    assert_non_null(strstr(err.text, "died of signal 9"));
}

static void what_is_put_for_a_while_is_counted_and_taken(void **state)
{
    struct wire_options opt = bench_options(WIRE_UNIX_BATCH, sizeof(data));
    struct errmsg err = { "" };
    struct bench_clock clock;
    struct link link;
    uint64_t before;
    double ns;

    (void)state;
    bench_clock_open(&clock);
    assert_int_equal(link_start(&link, -1, &opt, &err), 0);
    assert_int_equal(link_put(&link, data, 7, &err), 0);
    assert_int_equal(link.sent, 7);
    assert_int_equal(link_settle(&link, &err), 0);
    assert_int_equal(link_burst(&link, data, 3000, &clock, &ns, &err), 0);
    assert_int_equal(link.sent, 3007);
    assert_true(ns > 0);
    assert_int_equal(atomic_load_explicit(&link.peer.page->events, memory_order_acquire),
                     link.sent);
    before = link.sent;
    assert_int_equal(link_put_for(&link, data, &clock, 0, &err), 0); /* no time: once */
    assert_true(link.sent > before);
    assert_int_equal(atomic_load_explicit(&link.peer.page->events, memory_order_acquire),
                     link.sent);
    assert_int_equal(link_close(&link, 0, &err), 0);
    assert_string_equal(err.text, "");
}

static void a_start_that_fails_leaves_nothing_to_close(void **state)
{
    struct wire_options opt = bench_options(WIRE_RING_READ, sizeof(data));
    struct errmsg err = { "" };
    struct link link;
    struct trip trip;

    (void)state;
    opt.shm_dir = "/proc/nowhere";
    assert_int_equal(link_start(&link, -1, &opt, &err), -ENOENT);
    assert_non_null(strstr(err.text, "/proc/nowhere"));
    assert_int_equal(trip_start(&trip, -1, &opt, &err), -ENOENT);
    opt = bench_options(WIRE_UNIX, sizeof(data));
    assert_int_equal(link_start(&link, CPU_SETSIZE - 1, &opt, &err), -ECHILD);
    assert_non_null(strstr(err.text, "pinning"));
    assert_int_equal(trip_start(&trip, CPU_SETSIZE - 1, &opt, &err), -ECHILD);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
}

static void the_first_failure_is_the_one_that_is_told(void **state)
{
    struct wire_options opt = bench_options(WIRE_UNIX, sizeof(data));
    struct errmsg err = { "" };
    struct link link;

    (void)state;
    assert_int_equal(link_start(&link, -1, &opt, &err), 0);
    assert_int_equal(kill(link.peer.pid, SIGKILL), 0);
    assert_int_equal(link_close(&link, errmsg_set(&err, -EIO, "before"), &err), -EIO);
    assert_string_equal(err.text, "before");
    assert_int_equal(link_start(&link, -1, &opt, &err), 0);
    assert_int_equal(kill(link.peer.pid, SIGKILL), 0);
    assert_int_equal(link_close(&link, 0, &err), -ECHILD);
    assert_non_null(strstr(err.text, "died of signal 9"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_wire_carries_every_event),
        cmocka_unit_test(every_wire_answers),
        cmocka_unit_test(a_dead_reader_is_an_error_and_no_end),
        cmocka_unit_test(what_is_put_for_a_while_is_counted_and_taken),
        cmocka_unit_test(a_start_that_fails_leaves_nothing_to_close),
        cmocka_unit_test(the_first_failure_is_the_one_that_is_told),
    };

    return cmocka_run_group_tests(tests, bench_base_make, bench_base_remove);
}
