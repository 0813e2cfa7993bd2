/*
 * cli_bench_peer: a peer runs, is asked to stop, and leaves what it measured; whatever ends it
 * before that is noticed and said; it does not outlive its parent.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/cli_bench_peer.h"

static int wait_for_stop(struct peer_page *page, void *ctx, struct errmsg *err)
{
    (void)ctx;
    (void)err;
    peer_ready(page);
    while (!peer_should_stop(page))
        (void)sched_yield();
    return 0;
}

/* Takes so many events, and leaves what it measured. */
static int count_to(struct peer_page *page, void *ctx, struct errmsg *err)
{
    const uint64_t *events = ctx;

    (void)err;
    peer_ready(page);
    for (uint64_t i = 1; i <= *events; i++)
        atomic_store_explicit(&page->events, i, memory_order_release);
    page->values[0] = 1.5;
    page->values[PEER_VALUES_MAX - 1] = 2.5;
    return 0;
}

static int fail_before_ready(struct peer_page *page, void *ctx, struct errmsg *err)
{
    (void)page;
    (void)ctx;
    return errmsg_set(err, -EIO, "no %s", "disk");
}

static int fail_when_ready(struct peer_page *page, void *ctx, struct errmsg *err)
{
    peer_ready(page);
    return fail_before_ready(page, ctx, err);
}

static int end_before_ready(struct peer_page *page, void *ctx, struct errmsg *err)
{
    (void)page;
    (void)ctx;
    (void)err;
    return 0;
}

/* No child of ours is left, ended or not. */
static void expect_no_child(void)
{
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
}

static void runs_until_it_is_asked_to_stop(void **state)
{
    struct errmsg err = { "" };
    struct peer p;

    (void)state;
    assert_int_equal(peer_start(&p, -1, wait_for_stop, NULL, &err), 0);
    assert_true(p.pid > 0);
    assert_int_equal(peer_check(&p, &err), 0);
    assert_int_equal(peer_wait_events(&p, 0, &err), 0);
    assert_int_equal(peer_stop(&p, &err), 0);
    assert_int_equal(p.pid, 0);
    assert_null(p.page);
    assert_int_equal(peer_stop(&p, &err), 0); /* zeroed is fine */
    assert_string_equal(err.text, "");
    expect_no_child();
}

static void leaves_its_page_to_be_read(void **state)
{
    uint64_t events = 100000;
    struct errmsg err = { "" };
    struct peer p;

    (void)state;
    assert_int_equal(peer_start(&p, -1, count_to, &events, &err), 0);
    assert_int_equal(peer_join(&p, &err), 0);
    assert_int_equal(p.pid, 0);
    assert_int_equal(peer_wait_events(&p, events, &err), 0);
    assert_true(p.page->values[0] == 1.5 && p.page->values[PEER_VALUES_MAX - 1] == 2.5);
    assert_int_equal(peer_stop(&p, &err), 0);
    expect_no_child();
}

static void a_start_that_fails_says_why_and_leaves_nothing(void **state)
{
    struct errmsg err = { "" };
    struct peer p;

    (void)state;
    assert_int_equal(peer_start(&p, -1, fail_before_ready, NULL, &err), -ECHILD);
    assert_string_equal(err.text, "the other process: no disk");
    assert_null(p.page);
    assert_int_equal(peer_start(&p, -1, end_before_ready, NULL, &err), -ECHILD);
    assert_string_equal(err.text, "the other process ended too early");
    assert_int_equal(peer_start(&p, CPU_SETSIZE - 1, wait_for_stop, NULL, &err), -ECHILD);
    assert_non_null(strstr(err.text, "pinning to processor"));
    expect_no_child();
}

static void a_failure_later_is_the_result_of_its_end(void **state)
{
    struct errmsg err = { "" };
    struct peer p;

    (void)state;
    assert_int_equal(peer_start(&p, -1, fail_when_ready, NULL, &err), 0);
    assert_int_equal(peer_wait_events(&p, 1, &err), -ECHILD);
    assert_string_equal(err.text, "the other process: no disk");
    assert_int_equal(peer_stop(&p, &err), 0); /* it was taken already */

    assert_int_equal(peer_start(&p, -1, fail_when_ready, NULL, &err), 0);
    assert_int_equal(peer_stop(&p, &err), -ECHILD);
    assert_string_equal(err.text, "the other process: no disk");
    expect_no_child();
}

static void a_death_is_noticed_by_whoever_waits(void **state)
{
    struct errmsg err = { "" };
    struct peer p;

    (void)state;
    assert_int_equal(peer_start(&p, -1, wait_for_stop, NULL, &err), 0);
    assert_int_equal(kill(p.pid, SIGKILL), 0);
    assert_int_equal(peer_wait_events(&p, 1, &err), -ECHILD);
    assert_string_equal(err.text, "the other process died of signal 9");
    assert_int_equal(peer_stop(&p, &err), 0);
    assert_int_equal(peer_start(&p, -1, wait_for_stop, NULL, &err), 0);
    assert_int_equal(kill(p.pid, SIGTERM), 0);
    assert_int_equal(peer_join(&p, &err), -ECHILD);
    assert_string_equal(err.text, "the other process died of signal 15");
    assert_int_equal(peer_stop(&p, &err), 0);
    expect_no_child();
}

/* Both ends of the pipe are in the parent and its peer: it ends when the last of them has. */
static void does_not_outlive_its_parent(void **state)
{
    struct errmsg err = { "" };
    int ends[2], status;
    struct peer p;
    char byte;
    pid_t pid;

    (void)state;
    assert_int_equal(pipe(ends), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(peer_start(&p, -1, wait_for_stop, NULL, &err) == 0 ? 7 : 1);
    (void)close(ends[1]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 7);
    assert_int_equal(read(ends[0], &byte, 1), 0);
    (void)close(ends[0]);
}

static void pinning_is_to_one_processor_or_none_at_all(void **state)
{
    struct errmsg err = { "" };
    cpu_set_t before, now;
    int cpu = 0;

    (void)state;
    assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
    while (!CPU_ISSET((size_t)cpu, &before))
        cpu++;
    assert_int_equal(peer_pin(-1, &err), 0);
    assert_int_equal(sched_getaffinity(0, sizeof(now), &now), 0);
    assert_true(CPU_EQUAL(&now, &before));
    assert_int_equal(peer_pin(CPU_SETSIZE - 1, &err), -EINVAL);
    assert_int_equal(peer_pin(cpu, &err), 0);
    assert_int_equal(sched_getaffinity(0, sizeof(now), &now), 0);
    assert_int_equal(CPU_COUNT(&now), 1);
    assert_true(CPU_ISSET((size_t)cpu, &now));
    assert_int_equal(sched_setaffinity(0, sizeof(before), &before), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_until_it_is_asked_to_stop),
        cmocka_unit_test(leaves_its_page_to_be_read),
        cmocka_unit_test(a_start_that_fails_says_why_and_leaves_nothing),
        cmocka_unit_test(a_failure_later_is_the_result_of_its_end),
        cmocka_unit_test(a_death_is_noticed_by_whoever_waits),
        cmocka_unit_test(does_not_outlive_its_parent),
        cmocka_unit_test(pinning_is_to_one_processor_or_none_at_all),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
