/*
 * file_test: file.h over the kernel: its contract, and what only real file types, processes and
 * queues can show.
 *
 * Owns:   nothing.
 * Thread: the test's.
 */
#include <limits.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "io/file_contract.h"
#include "io/real_dirs.h"

static void a_stranger_s_symlinks_fifos_and_sockets_are_refused(void **state)
{
    int dir = open_dir(contract_other), bell = file_bell_open(contract_other, "socket");

    (void)state;
    assert_true(bell >= 0);
    file_close(make_file(dir, "a", "one"));
    assert_int_equal(file_mkdir(dir, "d", 0755), 0);
    file_close(make_file(dir, "d/a", "one"));
    assert_int_equal(symlinkat("a", dir, "link"), 0);
    assert_int_equal(symlinkat("/etc/passwd", dir, "outside"), 0);
    assert_int_equal(symlinkat("d", dir, "e"), 0);
    assert_int_equal(symlinkat("loop", dir, "loop"), 0);
    assert_int_equal(mkfifoat(dir, "fifo", 0600), 0);
    assert_int_equal(file_open_beneath(dir, "link"), -ELOOP);
    assert_int_equal(file_open_beneath(dir, "outside"), -ELOOP);
    assert_int_equal(file_open_beneath(dir, "loop"), -ELOOP);
    assert_int_equal(file_open_beneath(dir, "e/a"), -ELOOP);
    assert_int_equal(file_open_beneath(dir, "fifo"), -ENXIO);
    assert_int_equal(file_open_beneath(dir, "socket"), -ENXIO);
    assert_int_equal(file_open_beneath(dir, "../a"), -EXDEV);
    file_close(bell);
    file_close(dir);
}

/* The producer's side of the liveness rule: the lock outlives the descriptor, in the mapping. */
static void lock_and_map(int ready, int end)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int fd = open(path_in(contract_other, "a"), O_RDWR);
    char byte;

    if (fd < 0 || fcntl(fd, F_OFD_SETLK, &lock) != 0)
        _exit(1);
    if (mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED)
        _exit(2);
    close(fd);
    if (write(ready, "", 1) != 1 || read(end, &byte, 1) != 0)
        _exit(3);
    _exit(0);
}

static void a_mapping_keeps_its_process_s_lock_alive(void **state)
{
    int dir = open_dir(contract_other), fd = make_file(dir, "a", ""), ready[2], end[2], status;
    char byte;
    pid_t pid;

    (void)state;
    assert_int_equal(file_allocate(fd, 0, 4096), 0);
    assert_int_equal(pipe(ready), 0);
    assert_int_equal(pipe(end), 0);
    pid = fork();
    if (pid == 0) {
        close(end[1]);
        lock_and_map(ready[1], end[0]);
    }
    assert_true(pid > 0);
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_int_equal(file_lock_probe(fd), 1);
    close(end[1]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(file_lock_probe(fd), 0);
    close(ready[0]);
    close(end[0]);
    file_close(fd);
    file_close(dir);
}

static long events_max(void)
{
    FILE *f = fopen("/proc/sys/fs/inotify/max_queued_events", "re");
    long max = 0;

    assert_non_null(f);
    assert_int_equal(fscanf(f, "%ld", &max), 1);
    fclose(f);
    return max;
}

static void a_full_watch_says_that_events_were_lost(void **state)
{
    int dir = open_dir(contract_other), watch = file_watch_open(contract_other), n;
    long max = events_max();
    struct events events;

    (void)state;
    assert_true(watch >= 0);
    /* A host may allow more than a test should make; then there is nothing to show here. */
    if (max > 200000)
        skip();
    memset(&events, 0, sizeof(events));
    file_close(make_file(dir, "a", ""));
    for (long i = 0; i < max / 2 + 10; i++) {
        assert_int_equal(file_link(dir, "a", dir, "b"), 0);
        assert_int_equal(file_unlink(dir, "b"), 0);
    }
    do {
        n = file_watch_read(watch, on_event, &events);
        assert_true(n >= 0);
    } while (n > 0);
    assert_int_equal(events.overflow, 1);
    assert_true(events.added > max / 4);
    file_close(watch);
    file_close(dir);
}

static void a_watch_says_when_its_directory_goes(void **state)
{
    int dir = open_dir(contract_other), watch;
    struct events events;

    (void)state;
    memset(&events, 0, sizeof(events));
    assert_int_equal(file_mkdir(dir, "d", 0755), 0);
    watch = file_watch_open(path_in(contract_other, "d"));
    assert_true(watch >= 0);
    assert_int_equal(unlinkat(dir, "d", AT_REMOVEDIR), 0);
    assert_true(file_watch_read(watch, on_event, &events) > 0);
    assert_true(events.overflow > 0);
    file_close(watch);
    file_close(dir);
}

static int ring(const char *path)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0), rc;

    assert_true(fd >= 0);
    snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
    rc = sendto(fd, "", 1, 0, (const struct sockaddr *)&addr, sizeof(addr)) < 0 ? -errno : 0;
    close(fd);
    return rc;
}

static void a_bell_takes_the_place_of_a_dead_agent_s(void **state)
{
    char name[120];
    int bell = file_bell_open(contract_other, "bell"), rc = 0, rung = 0;
    struct stat st;

    (void)state;
    assert_true(bell >= 0);
    file_close(bell);
    assert_int_equal(ring(path_in(contract_other, "bell")), -ECONNREFUSED);
    bell = file_bell_open(contract_other, "bell");
    assert_true(bell >= 0);
    assert_int_equal(stat(path_in(contract_other, "bell"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0666);
    while (rc == 0 && rung < 100000) {
        rc = ring(path_in(contract_other, "bell"));
        rung += rc == 0;
    }
    assert_int_equal(rc, -EAGAIN);
    assert_int_equal(file_bell_drain(bell), rung);
    assert_int_equal(ring(path_in(contract_other, "bell")), 0);
    file_close(bell);
    memset(name, 'n', sizeof(name));
    name[sizeof(name) - 1] = '\0';
    assert_int_equal(file_bell_open(contract_other, name), -ENAMETOOLONG);
    assert_int_equal(file_bell_open(path_in(contract_other, "none"), "bell"), -ENOENT);
}

static void a_futex_wake_reaches_other_processes(void **state)
{
    _Atomic uint32_t *word = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
                                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t pid;
    int status;

    (void)state;
    assert_true(word != MAP_FAILED);
    pid = fork();
    if (pid == 0) {
        while (atomic_load_explicit(word, memory_order_acquire) == 0)
            syscall(SYS_futex, word, FUTEX_WAIT, 0, NULL, NULL, 0);
        _exit(0);
    }
    assert_true(pid > 0);
    atomic_store_explicit(word, 1, memory_order_release);
    file_futex_wake(word);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    munmap(word, 4096);
}

static void errors_of_descriptors_are_told(void **state)
{
    struct file_stat st;
    struct file_fs fs;
    struct file_guard guard;
    char buf[4];

    (void)state;
    assert_int_equal(file_open(FILE_CWD, path_in(contract_root, "none"), O_RDONLY, 0), -ENOENT);
    assert_int_equal(file_stat(-1, &st), -EBADF);
    assert_int_equal(file_fs(-1, &fs), -EBADF);
    assert_int_equal(file_read(-1, buf, 1, 0), -EBADF);
    assert_int_equal(file_write(-1, buf, 1, 0), -EBADF);
    assert_int_equal(file_truncate(-1, 0), -EBADF);
    assert_int_equal(file_allocate(-1, 0, 1), -EBADF);
    assert_int_equal(file_sync(-1), -EBADF);
    assert_int_equal(file_lock(-1, false), -EBADF);
    assert_int_equal(file_lock_probe(-1), -EBADF);
    assert_int_equal(file_list(-1, on_name, NULL), -EBADF);
    assert_int_equal(file_guard_map(-1, 0, 4096, &guard), -EBADF);
    assert_int_equal(file_mkdirs(FILE_CWD, "", 0755), -ENOENT);
    file_close(-1);
}

#define REAL(test) cmocka_unit_test_setup_teardown(test, real_dirs_setup, real_dirs_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FILE_CONTRACT_TESTS(real_dirs_setup, real_dirs_teardown),
        REAL(a_stranger_s_symlinks_fifos_and_sockets_are_refused),
        REAL(a_mapping_keeps_its_process_s_lock_alive),
        REAL(a_full_watch_says_that_events_were_lost),
        REAL(a_watch_says_when_its_directory_goes),
        REAL(a_bell_takes_the_place_of_a_dead_agent_s),
        REAL(a_futex_wake_reaches_other_processes),
        REAL(errors_of_descriptors_are_told),
    };

    return cmocka_run_group_tests_name("file", tests, NULL, NULL);
}
