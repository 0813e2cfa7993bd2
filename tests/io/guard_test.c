/*
 * guard_test: guarded mappings over the kernel: which faults they take, and which they leave to
 * whoever had SIGBUS before.
 *
 * Faults that kill happen in a child. The handler is installed once in a process, with the first
 * guard, and remembers the action it found; so the tests of that action come first.
 *
 * Owns:   nothing.
 * Thread: the test's, and some that fault.
 */
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "io/file_contract.h"
#include "io/real_dirs.h"

enum { PAGES = 3, BYTES = PAGES * 4096, EXIT_BY_HANDLER = 42 };

static int make_pages(int dir, const char *name)
{
    int fd = make_file(dir, name, "");

    assert_int_equal(file_allocate(fd, 0, BYTES), 0);
    return fd;
}

static int in_child(void (*fn)(void))
{
    int status = -1;
    pid_t pid = fork();

    if (pid == 0) {
        fn();
        _exit(0);
    }
    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void on_previous(int sig)
{
    _exit(sig == SIGBUS ? EXIT_BY_HANDLER : 1);
}

static void map_guard(struct file_guard *guard)
{
    int fd = open(path_in(contract_other, "a"), O_RDWR);

    if (fd < 0 || file_guard_map(fd, 0, BYTES, guard) != 0)
        _exit(2);
    close(fd);
}

static void fault_outside(void)
{
    struct file_guard guard;
    int fd = open(path_in(contract_other, "b"), O_RDWR);
    volatile uint8_t *p = mmap(NULL, BYTES, PROT_READ, MAP_SHARED, fd, 0);

    map_guard(&guard);
    if (p == MAP_FAILED || ftruncate(fd, 0) != 0)
        _exit(3);
    _exit(p[0] == 0 ? 4 : 5);
}

static void fault_outside_with_handler(void)
{
    if (signal(SIGBUS, on_previous) == SIG_ERR)
        _exit(6);
    fault_outside();
}

static void fault_outside_by_default(void)
{
    if (signal(SIGBUS, SIG_DFL) == SIG_ERR)
        _exit(6);
    fault_outside();
}

static void send_sigbus(void)
{
    struct file_guard guard;

    if (signal(SIGBUS, on_previous) == SIG_ERR)
        _exit(6);
    map_guard(&guard);
    raise(SIGBUS);
    _exit(7);
}

static void a_fault_elsewhere_goes_to_the_action_of_before(void **state)
{
    int dir = open_dir(contract_other), status;

    (void)state;
    file_close(make_pages(dir, "a"));
    file_close(make_pages(dir, "b"));
    status = in_child(fault_outside_with_handler);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), EXIT_BY_HANDLER);
    file_close(make_pages(dir, "c"));
    assert_int_equal(file_replace(dir, "c", dir, "b"), 0);
    status = in_child(fault_outside_by_default);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGBUS);
    file_close(dir);
}

static void a_sent_signal_goes_to_the_action_of_before(void **state)
{
    int dir = open_dir(contract_other), status;

    (void)state;
    file_close(make_pages(dir, "a"));
    status = in_child(send_sigbus);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), EXIT_BY_HANDLER);
    file_close(dir);
}

static void a_fault_replaces_the_whole_guard_and_nothing_else(void **state)
{
    int dir = open_dir(contract_other), fd = make_pages(dir, "a"), other_fd = make_pages(dir, "b");
    struct file_guard guard, other;
    volatile uint8_t *p, *q;

    (void)state;
    real_guards_begin();
    assert_int_equal(file_guard_map(fd, 0, BYTES, &guard), 0);
    assert_int_equal(file_guard_map(other_fd, 0, BYTES, &other), 0);
    p = guard.addr;
    q = other.addr;
    p[0] = 1;
    q[0] = 2;
    assert_int_equal(file_truncate(fd, 4096), 0);
    assert_int_equal(p[0], 1);
    assert_false(file_guard_faulted(&guard));
    assert_int_equal(p[8192], 0);
    assert_true(file_guard_faulted(&guard));
    /* One mapping has one meaning: the first page is no longer the file's either. */
    assert_int_equal(p[0], 0);
    p[0] = 3;
    assert_int_equal(q[0], 2);
    assert_false(file_guard_faulted(&other));
    file_guard_unmap(&guard);
    file_guard_unmap(&other);
    file_close(fd);
    file_close(other_fd);
    file_close(dir);
}

static void a_mapping_of_another_is_guarded_and_left_to_him(void **state)
{
    int dir = open_dir(contract_other), fd = make_pages(dir, "a");
    uint8_t *at = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    struct file_guard guard = {0};
    volatile uint8_t *p = at;

    (void)state;
    real_guards_begin();
    assert_true(at != MAP_FAILED);
    file_guard_release(&guard);         /* none */
    assert_int_equal(file_guard_adopt(at, BYTES, &guard), 0);
    assert_int_equal(file_truncate(fd, 0), 0);
    p[4096] = 1;
    assert_true(file_guard_faulted(&guard));
    file_guard_release(&guard);
    assert_false(file_guard_faulted(&guard));
    assert_int_equal(p[4096], 1);
    assert_int_equal(munmap(at, BYTES), 0);
    file_close(fd);
    file_close(dir);
}

static void a_read_into_a_lost_guard_fails_and_does_not_kill(void **state)
{
    int dir = open_dir(contract_other), fd = make_pages(dir, "a"), from = make_pages(dir, "b");
    struct file_guard guard;

    (void)state;
    real_guards_begin();
    assert_int_equal(file_guard_map(fd, 0, BYTES, &guard), 0);
    assert_int_equal(file_truncate(fd, 0), 0);
    assert_int_equal(file_read(from, guard.addr, 4096, 0), -EFAULT);
    file_futex_wake(guard.addr);
    file_guard_unmap(&guard);
    file_close(fd);
    file_close(from);
    file_close(dir);
}

static void *fault_in_thread(void *arg)
{
    const struct file_guard *guard = arg;

    return ((volatile uint8_t *)guard->addr)[4096] == 0 && file_guard_faulted(guard) ? arg : NULL;
}

static void threads_fault_at_the_same_time(void **state)
{
    enum { THREADS = 8 };
    int dir = open_dir(contract_other);
    struct file_guard guards[THREADS];
    pthread_t threads[THREADS];
    char name[32];

    (void)state;
    real_guards_begin();
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < THREADS; i++) {
            int fd;

            snprintf(name, sizeof(name), "%d-%d", round, i);
            fd = make_pages(dir, name);
            assert_int_equal(file_guard_map(fd, 0, BYTES, &guards[i]), 0);
            assert_int_equal(file_truncate(fd, 0), 0);
            file_close(fd);
        }
        for (int i = 0; i < THREADS; i++)
            assert_int_equal(pthread_create(&threads[i], NULL, fault_in_thread, &guards[i]), 0);
        for (int i = 0; i < THREADS; i++) {
            void *ret;

            assert_int_equal(pthread_join(threads[i], &ret), 0);
            assert_ptr_equal(ret, &guards[i]);
            file_guard_unmap(&guards[i]);
        }
    }
    file_close(dir);
}

static void guards_are_bounded_and_slots_come_back(void **state)
{
    int dir = open_dir(contract_other), fd = make_pages(dir, "a");
    struct file_guard *guards = calloc(FILE_GUARDS_MAX, sizeof(*guards)), one;
    int count = 0, rc = 0;

    (void)state;
    real_guards_begin();
    assert_non_null(guards);
    while (count < FILE_GUARDS_MAX) {
        rc = file_guard_map(fd, 0, 4096, &guards[count]);
        if (rc != 0)
            break;
        count++;
    }
    assert_int_equal(rc, 0);
    assert_int_equal(file_guard_map(fd, 0, 4096, &one), -ENOSPC);
    file_guard_unmap(&guards[77]);
    assert_int_equal(file_guard_map(fd, 0, 4096, &guards[77]), 0);
    assert_int_equal(file_truncate(fd, 0), 0);
    assert_int_equal(*(volatile uint8_t *)guards[77].addr, 0);
    assert_true(file_guard_faulted(&guards[77]));
    assert_false(file_guard_faulted(&guards[78]));
    while (count > 0)
        file_guard_unmap(&guards[--count]);
    /* A slot that comes back has forgotten the fault. */
    assert_int_equal(file_allocate(fd, 0, 4096), 0);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(file_guard_map(fd, 0, 4096, &guards[i]), 0);
        assert_false(file_guard_faulted(&guards[i]));
    }
    for (int i = 0; i < 100; i++)
        file_guard_unmap(&guards[i]);
    free(guards);
    file_close(fd);
    file_close(dir);
}

#define REAL(test) cmocka_unit_test_setup_teardown(test, real_dirs_setup, real_dirs_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        REAL(a_fault_elsewhere_goes_to_the_action_of_before),
        REAL(a_sent_signal_goes_to_the_action_of_before),
        REAL(a_fault_replaces_the_whole_guard_and_nothing_else),
        REAL(a_mapping_of_another_is_guarded_and_left_to_him),
        REAL(a_read_into_a_lost_guard_fails_and_does_not_kill),
        REAL(threads_fault_at_the_same_time),
        REAL(guards_are_bounded_and_slots_come_back),
    };

    return cmocka_run_group_tests_name("guard", tests, NULL, NULL);
}
