/*
 * loop_test: loop.h over the kernel: its contract, and what only real processes can show: wakes
 * from threads and signal handlers, an unprivileged user's limits.
 *
 * Owns:   nothing.
 * Thread: the test's, and one that wakes it.
 */
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "io/in_child.h"
#include "io/loop_contract.h"
#include "io/real_dirs.h"

#define HOUR_NS (3600ULL * 1000000000ULL)

static bool writes_unprivileged(void)
{
    struct rlimit lim = {8 << 20, 8 << 20};
    struct io_loop *loop = NULL;
    struct errmsg err = {""};
    struct result r = {.res = -1};
    int fd = open(path_in(contract_root, "a"), O_RDWR | O_CREAT, 0600);

    if (fd < 0 || setrlimit(RLIMIT_MEMLOCK, &lim) != 0)
        return false;
    if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0))
        return false;
    if (loop_open(1024, &loop, &err) != 0) {
        fprintf(stderr, "loop_open: %s\n", err.text);
        return false;
    }
    r.op.ctx = &r;
    io_write(loop, &r.op, fd, "hello", 5, 0, on_result);
    while (r.calls == 0 && loop_turn(loop, UINT64_MAX) >= 0)
        ;
    loop_close(loop);
    return r.res == 5;
}

static void works_for_an_ordinary_user_with_8_mib_of_locked_memory(void **state)
{
    (void)state;
    assert_int_equal(in_child(writes_unprivileged), 0);
    assert_content(FILE_CWD, path_in(contract_root, "a"), "hello");
}

static void *wake_from_thread(void *loop)
{
    loop_wake(loop);
    return NULL;
}

static void another_thread_ends_the_wait(void **state)
{
    struct io_loop *loop = make_loop(4);

    (void)state;
    for (int i = 0; i < 100; i++) {
        uint64_t until_ns = loop_refresh_ns(loop) + HOUR_NS;
        pthread_t thread;

        assert_int_equal(pthread_create(&thread, NULL, wake_from_thread, loop), 0);
        assert_int_equal(loop_turn(loop, until_ns), 0);
        assert_true(loop_now_ns(loop) < until_ns);
        assert_int_equal(pthread_join(thread, NULL), 0);
    }
    loop_close(loop);
}

static struct io_loop *loop_of_handler;

static void on_signal(int sig)
{
    (void)sig;
    loop_wake(loop_of_handler);
}

static void a_signal_handler_ends_the_wait_and_keeps_errno(void **state)
{
    struct sigaction action = {.sa_handler = on_signal}, before;
    struct io_loop *loop = make_loop(4);
    uint64_t until_ns = loop_refresh_ns(loop) + HOUR_NS;

    (void)state;
    loop_of_handler = loop;
    assert_int_equal(sigaction(SIGUSR1, &action, &before), 0);
    errno = 12345;
    assert_int_equal(raise(SIGUSR1), 0);
    assert_int_equal(errno, 12345);
    assert_int_equal(loop_turn(loop, until_ns), 0);
    assert_true(loop_now_ns(loop) < until_ns);
    assert_int_equal(sigaction(SIGUSR1, &before, NULL), 0);
    loop_close(loop);
}

enum { CLOSING = 64, CLOSING_BYTES = 65536 };

static void closing_waits_for_writes_that_the_kernel_has(void **state)
{
    int dir = open_dir(contract_root), fd = make_file(dir, "a", "");
    uint8_t *buf = malloc(CLOSING_BYTES), got[16];
    struct io_loop *loop = make_loop(CLOSING);
    struct result r[CLOSING];
    int n, called = 0;

    (void)state;
    assert_non_null(buf);
    memset(buf, 'x', CLOSING_BYTES);
    for (uint32_t i = 0; i < CLOSING; i++)
        io_write(loop, op_of(&r[i]), fd, buf, CLOSING_BYTES, i * CLOSING_BYTES, on_result);
    n = loop_turn(loop, 0);
    assert_true(n >= 0);
    loop_close(loop);
    memset(buf, 'y', CLOSING_BYTES);
    free(buf);
    for (uint32_t i = 0; i < CLOSING; i++) {
        called += (int)r[i].calls;
        assert_int_equal(file_read(fd, got, sizeof(got), (i + 1) * CLOSING_BYTES - sizeof(got)),
                         sizeof(got));
        for (size_t k = 0; k < sizeof(got); k++)
            assert_int_equal(got[k], 'x');
    }
    assert_int_equal(called, n);
    file_close(fd);
    file_close(dir);
}

static void a_bell_that_rings_completes_a_poll(void **state)
{
    int bell = file_bell_open(contract_other, "bell");
    struct io_loop *loop = make_loop(4);
    struct result r;
    pid_t pid;
    int status;

    (void)state;
    assert_true(bell >= 0);
    io_poll(loop, op_of(&r), bell, on_result);
    assert_int_equal(loop_turn(loop, 0), 0);
    assert_int_equal(r.calls, 0);
    pid = fork();
    if (pid == 0) {
        struct sockaddr_un addr = {.sun_family = AF_UNIX};
        int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

        snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/bell", contract_other);
        _exit(sendto(fd, "", 1, 0, (struct sockaddr *)&addr, sizeof(addr)) == 1 ? 0 : 1);
    }
    assert_true(pid > 0);
    assert_int_equal(wait_for(loop, &r), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(file_bell_drain(bell), 1);
    assert_int_equal(file_bell_drain(bell), 0);
    loop_close(loop);
    file_close(bell);
}

#define REAL(test) cmocka_unit_test_setup_teardown(test, real_dirs_setup, real_dirs_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOOP_CONTRACT_TESTS(real_dirs_setup, real_dirs_teardown),
        REAL(works_for_an_ordinary_user_with_8_mib_of_locked_memory),
        REAL(another_thread_ends_the_wait),
        REAL(a_signal_handler_ends_the_wait_and_keeps_errno),
        REAL(closing_waits_for_writes_that_the_kernel_has),
        REAL(a_bell_that_rings_completes_a_poll),
    };

    return cmocka_run_group_tests_name("loop", tests, NULL, NULL);
}
