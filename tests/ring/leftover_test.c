/*
 * Claims about what dead producers leave: a process is killed before and after each system call of
 * a ring's whole life, and whatever is in shm_dir then is either removed as a leftover of building
 * or is a whole ring of a dead producer, which an agent reads to its end and removes. A producer
 * that is merely stopped there loses nothing.
 *
 * Owns:   the child it traces.
 * Thread: one, and one in the child.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include "ring/attach.h"
#include "ring/discover.h"
#include "ring/ring_builder.h"
#include "shm_client.h"

#define LEFTOVER_NS 5000000000ULL

struct found {
    int dir;
    unsigned rings, events;
};

/* The child: one ring, one event. Exits with 0 or with what failed. */
static void producer_life(const char *dir)
{
    struct shmc_options opt = SHMC_OPTIONS_INIT;
    struct shmc *h;
    uint16_t stream;

    opt.shm_dir = dir;
    opt.ring_bytes = SHM_RING_BYTES_MIN;
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0 || raise(SIGSTOP) != 0)
        _exit(10);
    if (shmc_open(&opt, &h) != 0)
        _exit(11);
    if (shmc_stream(h, "events", &stream) != 0)
        _exit(12);
    if (shmc_write(h, stream, SHMC_JSON, "{}", 2) != 0)
        _exit(13);
    _exit(shmc_close(h) == 0 ? 0 : 14);
}

/* Lets it run to its next stop. False: it has ended, with this status. */
static bool step(pid_t pid, int *ret_status)
{
    assert_int_equal(ptrace(PTRACE_SYSCALL, pid, NULL, NULL), 0);
    assert_int_equal(waitpid(pid, ret_status, 0), pid);
    return WIFSTOPPED(*ret_status);
}

static pid_t producer_start(const char *dir)
{
    int status;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0)
        producer_life(dir);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSTOPPED(status));
    return pid;
}

static int on_def(void *ctx, const struct ring_def *def)
{
    (void)ctx;
    assert_string_equal(def->name, "events");
    return 0;
}

static void on_ring(void *ctx, const char *name, bool closed)
{
    struct found *found = ctx;
    enum shm_quarantine reason;
    struct ring_file ring;
    uint64_t head;

    if (closed)
        return;
    assert_int_equal(ring_file_open(found->dir, name, -1, &ring, &reason, NULL), 0);
    assert_int_equal(ring_file_head(&ring, 0, &head, &reason), 0);
    assert_int_equal(ring_file_defs(&ring, on_def, NULL, &reason), 0);
    found->rings++;
    found->events += head > 0;
    if (ring_file_alive(&ring) == 0)
        assert_int_equal(ring_file_remove(found->dir, &ring), 0);
    ring_file_close(&ring);
}

/* What an agent finds in the first of two scans, as far apart as a leftover needs. */
static struct found agent_look(const char *path)
{
    struct found found = { 0 }, first = { 0 };
    struct discover *d;

    assert_int_equal(discover_open(path, NULL, &d, NULL), 0);
    found.dir = discover_dir(d);
    for (uint64_t now = 0; now <= LEFTOVER_NS; now += LEFTOVER_NS) {
        discover_rescan(d);
        while (discover_step(d, now, 64, on_ring, &found) > 0)
            continue;
        if (now == 0)
            first = found;
    }
    discover_close(d);
    return first;
}

static int count_name(void *ctx, const char *name)
{
    (void)name;
    ++*(unsigned *)ctx;
    return 0;
}

static void nothing_stays_whatever_step_a_producer_dies_at(void **state)
{
    unsigned points = 0, built = 0, rings = 0;
    bool ended = false;
    char path[64];

    (void)state;
    while (!ended) {
        int dir = built_dir_open(path), status;
        unsigned names = 0, left = 0;
        pid_t pid = producer_start(path);
        struct found found;

        points++;
        for (unsigned i = 0; i < points && !ended; i++)
            ended = !step(pid, &status);
        if (ended) {
            assert_true(WIFEXITED(status));
            assert_int_equal(WEXITSTATUS(status), 0);
        } else {
            assert_int_equal(kill(pid, SIGKILL), 0);
            assert_int_equal(waitpid(pid, &status, 0), pid);
        }
        assert_int_equal(file_list(dir, count_name, &names), 0);
        found = agent_look(path);
        assert_int_equal(file_list(dir, count_name, &left), 0);
        assert_int_equal(left, 0);
        assert_true(names <= 1 && found.rings <= names);
        built += names > found.rings;
        rings += found.rings;
        built_dir_close(dir, path);
    }
    print_message("killed at %u points: %u times while building, %u times a ring was left\n",
                  points, built, rings);
    assert_true(built > 3 && rings > 0);
}

/*
 * Stopped for as long as a leftover needs. Only before it has its lock can its file be taken for
 * one, and then it builds another.
 */
static void a_producer_that_is_stopped_at_any_step_goes_on(void **state)
{
    unsigned points = 0;
    bool ended = false;
    char path[64];

    (void)state;
    while (!ended) {
        int dir = built_dir_open(path), status;
        pid_t pid = producer_start(path);
        struct found before, after;

        points++;
        for (unsigned i = 0; i < points && !ended; i++)
            ended = !step(pid, &status);
        before = agent_look(path);
        while (!ended && step(pid, &status))
            continue;
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
        after = agent_look(path);
        /* Closed already when it was stopped: read to its end, and removed, by the first look. */
        assert_true(before.rings <= 1 && after.rings <= 1);
        assert_int_equal(after.rings > 0 ? after.events : before.events, 1);
        built_dir_close(dir, path);
    }
    assert_true(points > 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_stays_whatever_step_a_producer_dies_at),
        cmocka_unit_test(a_producer_that_is_stopped_at_any_step_goes_on),
    };

    return cmocka_run_group_tests_name("leftovers", tests, NULL, NULL);
}
