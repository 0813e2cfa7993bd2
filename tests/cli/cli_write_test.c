/*
 * cli_write: what does not fit at once arrives whole and in order, whatever interrupts; a reader
 * that is gone is an error.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <unistd.h>

#include "cli/cli_write.h"

enum { BYTES = 1 << 20 }; /* more than a pipe holds */

static uint8_t data[BYTES];

struct writer {
    int fd, rc;
    atomic_bool done;
};

static atomic_uint interruptions;

static void on_signal(int number)
{
    (void)number;
    (void)atomic_fetch_add_explicit(&interruptions, 1, memory_order_relaxed);
}

static void *write_all(void *arg)
{
    struct writer *w = arg;

    w->rc = cli_write(w->fd, data, sizeof(data));
    atomic_store_explicit(&w->done, true, memory_order_release);
    (void)close(w->fd);
    return NULL;
}

static void everything_arrives_in_order_whatever_interrupts(void **state)
{
    struct sigaction action = { .sa_handler = on_signal }, before; /* no SA_RESTART */
    static uint8_t seen[BYTES];
    struct writer w = { .rc = -1 };
    pthread_t thread;
    size_t len = 0;
    int ends[2];
    ssize_t n;

    (void)state;
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)(i * 7 + i / 251);
    assert_int_equal(sigaction(SIGUSR1, &action, &before), 0);
    assert_int_equal(pipe(ends), 0);
    w.fd = ends[1];
    assert_int_equal(pthread_create(&thread, NULL, write_all, &w), 0);
    /* The pipe is full before it has all: signals find it in write(2), or between two. */
    while (len < sizeof(seen)) {
        unsigned int had = atomic_load_explicit(&interruptions, memory_order_relaxed);

        if (!atomic_load_explicit(&w.done, memory_order_acquire)) {
            assert_int_equal(pthread_kill(thread, SIGUSR1), 0);
            while (atomic_load_explicit(&interruptions, memory_order_relaxed) == had &&
                   !atomic_load_explicit(&w.done, memory_order_acquire))
                (void)sched_yield();
        }
        n = read(ends[0], seen + len, sizeof(seen) - len < 4096 ? sizeof(seen) - len : 4096);
        assert_true(n > 0);
        len += (size_t)n;
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(w.rc, 0);
    assert_true(atomic_load_explicit(&interruptions, memory_order_relaxed) > 0);
    assert_int_equal(read(ends[0], seen, 1), 0);
    assert_memory_equal(seen, data, sizeof(data));
    (void)close(ends[0]);
    assert_int_equal(sigaction(SIGUSR1, &before, NULL), 0);
}

static void a_reader_that_is_gone_is_an_error(void **state)
{
    struct sigaction ignore = { .sa_handler = SIG_IGN }, before;
    int ends[2];

    (void)state;
    assert_int_equal(sigaction(SIGPIPE, &ignore, &before), 0);
    assert_int_equal(pipe(ends), 0);
    (void)close(ends[0]);
    assert_int_equal(cli_write(ends[1], "x", 1), -EPIPE);
    assert_int_equal(cli_write(ends[1], "x", 0), 0);
    (void)close(ends[1]);
    assert_int_equal(cli_write(-1, "x", 1), -EBADF);
    assert_int_equal(sigaction(SIGPIPE, &before, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_arrives_in_order_whatever_interrupts),
        cmocka_unit_test(a_reader_that_is_gone_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
