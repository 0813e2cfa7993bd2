/*
 * Claims about shm_dir: who may open it, what is reported, and what junk in it costs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

#include "ring/attach.h"
#include "ring/discover.h"
#include "ring/ring_builder.h"

#define SEEN_MAX 32768

struct place {
    int dir;
    char path[64];
    struct discover *d;
    uint64_t now_ns;
    uint32_t seen_count, closed_count;
    char seen[SEEN_MAX][40];        /* names that appeared, in order */
};

static int place_open(void **state)
{
    struct place *p = calloc(1, sizeof(*p));

    if (p == NULL)
        return -1;
    p->dir = built_dir_open(p->path);
    *state = p;
    return 0;
}

static int place_close(void **state)
{
    struct place *p = *state;

    discover_close(p->d);
    built_dir_close(p->dir, p->path);
    free(p);
    return 0;
}

static void open_ok(struct place *p)
{
    struct errmsg err = { "" };

    assert_int_equal(discover_open(p->path, NULL, &p->d, &err), 0);
    assert_non_null(p->d);
}

static void touch(struct place *p, const char *name)
{
    int fd = openat(p->dir, name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    close(fd);
}

static bool there(struct place *p, const char *name)
{
    return faccessat(p->dir, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static void on_ring(void *ctx, const char *name, bool closed)
{
    struct place *p = ctx;

    assert_true(ring_name_valid(name));
    if (closed) {
        p->closed_count++;
        return;
    }
    assert_in_range(p->seen_count, 0, SEEN_MAX - 1);
    snprintf(p->seen[p->seen_count++], sizeof(p->seen[0]), "%s", name);
}

/* Steps until nothing is left; returns the number of steps. */
static unsigned step_all(struct place *p, unsigned names_max)
{
    unsigned steps = 0;
    int res;

    p->seen_count = p->closed_count = 0;
    do {
        uint32_t before = p->seen_count;

        res = discover_step(p->d, p->now_ns, names_max, on_ring, p);
        assert_true(res >= 0);
        assert_true(p->seen_count - before <= 2 * names_max);
        steps++;
    } while (res > 0);
    return steps;
}

/* So long must a leftover have been free. */
#define LEFTOVER_NS 5000000000ULL

static void scan_again(struct place *p)
{
    p->now_ns += LEFTOVER_NS;
    discover_rescan(p->d);
    step_all(p, 64);
}

static int names_order(const void *a, const void *b)
{
    return strcmp(a, b);
}

static void a_missing_directory_is_made_for_its_owner_only(void **state)
{
    struct place *p = *state;
    char path[128];
    struct stat st;
    mode_t mask = umask(0);

    snprintf(path, sizeof(path), "%s/shm", p->path);
    assert_int_equal(discover_open(path, NULL, &p->d, NULL), 0);
    umask(mask);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    assert_int_equal(fstat(discover_dir(p->d), &st), 0);
    assert_true(S_ISDIR(st.st_mode));
}

static void with_a_group_the_directory_is_the_groups(void **state)
{
    struct place *p = *state;
    struct errmsg err = { "" };
    char group[16];
    struct stat st;

    snprintf(group, sizeof(group), "%u", getegid());
    assert_int_equal(discover_open(p->path, group, &p->d, &err), 0);
    assert_int_equal(stat(p->path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 03773);
    assert_int_equal(st.st_gid, getegid());
    discover_close(p->d);
    p->d = NULL;
    assert_int_equal(discover_open(p->path, "no such group", &p->d, &err), -EINVAL);
    assert_non_null(strstr(err.text, "no such group"));
    assert_non_null(strstr(err.text, p->path));
}

static void a_directory_that_cannot_be_trusted_is_refused(void **state)
{
    struct place *p = *state;
    struct errmsg err = { "" };
    char link[128], missing[160];
    struct file_fs fs;
    int other;

    assert_int_equal(fchmod(p->dir, 0777), 0);
    assert_int_equal(discover_open(p->path, NULL, &p->d, &err), -EPERM);
    assert_null(p->d);
    assert_int_equal(fchmod(p->dir, 01777), 0);
    assert_int_equal(discover_open(p->path, NULL, &p->d, &err), 0);
    discover_close(p->d);
    assert_int_equal(fchmod(p->dir, 0700), 0);

    snprintf(link, sizeof(link), "%s/link", p->path);
    assert_int_equal(symlink(p->path, link), 0);
    assert_int_equal(discover_open(link, NULL, &p->d, &err), -ENOTDIR);
    touch(p, "file");
    snprintf(missing, sizeof(missing), "%s/file/dir", p->path);
    assert_int_equal(discover_open(missing, NULL, &p->d, &err), -ENOTDIR);

    /* A directory of the kernel's own is of root and on no tmpfs, wherever this runs. */
    other = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(other >= 0);
    assert_int_equal(file_fs(other, &fs), 0);
    assert_false(fs.tmpfs);
    close(other);
    assert_int_equal(discover_open("/proc/self/fd", NULL, &p->d, &err), -EINVAL);
    assert_non_null(strstr(err.text, "tmpfs"));
}

static void a_strangers_directory_is_refused(void **state)
{
    struct place *p = *state;
    struct errmsg err = { "" };

    /* Only root can make such a directory; for others root's own /dev/shm parent stands in. */
    if (geteuid() == 0) {
        assert_int_equal(fchown(p->dir, 65534, 65534), 0);
        assert_int_equal(discover_open(p->path, NULL, &p->d, &err), -EPERM);
        assert_non_null(strstr(err.text, "65534"));
    } else {
        assert_int_equal(discover_open("/dev/shm", "root", &p->d, &err), -EPERM);
    }
    assert_null(p->d);
}

static void a_second_agent_is_turned_away_until_the_first_is_gone(void **state)
{
    struct place *p = *state;
    struct discover *second;
    struct errmsg err = { "" };

    open_ok(p);
    assert_int_equal(discover_open(p->path, NULL, &second, &err), -EWOULDBLOCK);
    assert_null(second);
    assert_non_null(strstr(err.text, "another agent"));
    assert_true(there(p, SHM_BELL_NAME));
    discover_close(p->d);
    assert_false(there(p, SHM_BELL_NAME));
    assert_false(there(p, SHM_LOCK_NAME));
    open_ok(p);
}

static void what_a_killed_agent_left_is_taken_over(void **state)
{
    struct place *p = *state;
    int status;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0)
        _exit(discover_open(p->path, NULL, &p->d, NULL) == 0 ? 7 : 1);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(WEXITSTATUS(status), 7);
    assert_true(there(p, SHM_BELL_NAME));
    assert_true(there(p, SHM_LOCK_NAME));
    open_ok(p);
}

static void what_stands_in_the_place_of_lock_and_bell_is_moved_away(void **state)
{
    struct place *p = *state;

    assert_int_equal(symlinkat("/etc/passwd", p->dir, SHM_LOCK_NAME), 0);
    assert_int_equal(symlinkat("/etc/passwd", p->dir, SHM_BELL_NAME), 0);
    open_ok(p);
    discover_close(p->d);
    assert_int_equal(mkfifoat(p->dir, SHM_LOCK_NAME, 0600), 0);
    assert_int_equal(mkfifoat(p->dir, SHM_BELL_NAME, 0600), 0);
    open_ok(p);
    discover_close(p->d);
    assert_int_equal(mkdirat(p->dir, SHM_LOCK_NAME, 0700), 0);
    assert_int_equal(mkdirat(p->dir, SHM_BELL_NAME, 0700), 0);
    assert_int_equal(mkdirat(p->dir, SHM_BELL_NAME "/full", 0700), 0);
    open_ok(p);
    assert_int_equal(access("/etc/passwd", F_OK), 0);
}

static void the_bell_can_be_rung_also_in_a_directory_with_a_long_name(void **state)
{
    struct place *p = *state;
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    int sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    char path[256];
    struct pollfd bell;

    snprintf(path, sizeof(path), "%s/%0150d", p->path, 7);
    assert_int_equal(discover_open(path, NULL, &p->d, NULL), 0);
    snprintf(addr.sun_path, sizeof(addr.sun_path), "/proc/self/fd/%d/%s", discover_dir(p->d),
             SHM_BELL_NAME);
    assert_int_equal(sendto(sock, "", 1, 0, (struct sockaddr *)&addr, sizeof(addr)), 1);
    bell = (struct pollfd){ .fd = discover_bell(p->d), .events = POLLIN };
    assert_int_equal(poll(&bell, 1, 0), 1);
    assert_int_equal(file_bell_drain(discover_bell(p->d)), 1);
    close(sock);
}

static void the_first_scan_finds_what_was_there(void **state)
{
    struct place *p = *state;

    touch(p, "b.1.ring");
    touch(p, "a.1.ring");
    touch(p, ".hidden.ring");
    touch(p, "a.ring.tmp");
    assert_int_equal(symlinkat("nowhere", p->dir, "c.ring"), 0);
    open_ok(p);
    step_all(p, 1);
    assert_int_equal(p->seen_count, 3);
    qsort(p->seen, 3, sizeof(p->seen[0]), names_order);
    assert_string_equal(p->seen[0], "a.1.ring");
    assert_string_equal(p->seen[1], "b.1.ring");
    assert_string_equal(p->seen[2], "c.ring");
    assert_int_equal(step_all(p, 1), 1);
    assert_int_equal(p->seen_count, 0);
}

static void events_name_what_appears_and_what_is_closed(void **state)
{
    struct place *p = *state;
    struct pollfd watch;
    struct built built;

    open_ok(p);
    step_all(p, 64);
    built_open(&built, p->dir, ".a.1.ring", SHM_RING_BYTES_MIN);
    step_all(p, 64);
    assert_int_equal(p->seen_count, 0);
    assert_int_equal(renameat(p->dir, ".a.1.ring", p->dir, "a.1.ring"), 0);
    watch = (struct pollfd){ .fd = discover_watch(p->d), .events = POLLIN };
    assert_int_equal(poll(&watch, 1, 0), 1);
    step_all(p, 64);
    assert_int_equal(p->seen_count, 1);
    assert_string_equal(p->seen[0], "a.1.ring");
    assert_int_equal(p->closed_count, 0);
    built_close(&built);
    step_all(p, 64);
    assert_int_equal(p->seen_count, 0);
    assert_int_equal(p->closed_count, 1);
}

static void lost_events_are_made_good_by_a_scan(void **state)
{
    struct place *p = *state;
    char name[40];

    open_ok(p);
    step_all(p, 64);
    /* More than a watch holds, each file two or three events. */
    for (unsigned i = 0; i < 9000; i++) {
        snprintf(name, sizeof(name), "junk-%u", i);
        touch(p, name);
    }
    touch(p, "late.ring");
    step_all(p, 64);
    assert_int_equal(p->seen_count, 1);
    assert_string_equal(p->seen[0], "late.ring");
}

static void junk_costs_a_look_at_its_name(void **state)
{
    struct place *p = *state;
    struct timespec from, to;
    char name[40];
    double ms;

    for (unsigned i = 0; i < 20000; i++) {
        snprintf(name, sizeof(name), "%s%u", i % 2 ? "junk-" : "x.ring.", i);
        assert_int_equal(symlinkat("/dev/null", p->dir, name), 0);
    }
    touch(p, "real.ring");
    open_ok(p);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
    assert_in_range(step_all(p, 64), 4, 6);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &to);
    assert_int_equal(p->seen_count, 1);
    ms = (double)(to.tv_sec - from.tv_sec) * 1e3 + (double)(to.tv_nsec - from.tv_nsec) / 1e6;
    /* A few ms of CPU time; far more only if something is opened, sorted or kept for each. */
    assert_true(ms < 500);
}

static void a_scan_hands_out_every_name_once_in_bounded_steps(void **state)
{
    struct place *p = *state;
    enum { NAMES = 10000 };     /* more than are looked at in one step */
    char name[40];

    for (unsigned i = 0; i < NAMES; i++) {
        snprintf(name, sizeof(name), "r%u.ring", i * 7919 % NAMES);
        assert_int_equal(symlinkat("/dev/null", p->dir, name), 0);
    }
    open_ok(p);
    assert_true(step_all(p, 100) >= NAMES / 100);
    assert_int_equal(p->seen_count, NAMES);
    qsort(p->seen, NAMES, sizeof(p->seen[0]), names_order);
    for (uint32_t i = 1; i < p->seen_count; i++)
        assert_true(strcmp(p->seen[i - 1], p->seen[i]) < 0);
}

static void a_scan_asked_for_during_a_scan_starts_over_after_it(void **state)
{
    struct place *p = *state;

    touch(p, "m.ring");
    touch(p, "n.ring");
    open_ok(p);
    assert_int_equal(discover_step(p->d, p->now_ns, 1, on_ring, p), 1);
    discover_rescan(p->d);
    assert_int_equal(discover_step(p->d, p->now_ns, 8, on_ring, p), 1);
    assert_int_equal(p->seen_count, 2);
    assert_int_equal(discover_step(p->d, p->now_ns, 8, on_ring, p), 0);
    assert_int_equal(p->seen_count, 4);
}

static void a_dead_build_is_removed_after_a_while(void **state)
{
    struct place *p = *state;
    struct built alive, dead;

    built_open(&alive, p->dir, ".alive.ring", SHM_RING_BYTES_MIN);
    built_lock(&alive);
    built_open(&dead, p->dir, ".dead.ring", SHM_RING_BYTES_MIN);
    built_close(&dead);
    touch(p, ".other");
    assert_int_equal(mkfifoat(p->dir, ".fifo.ring", 0600), 0);
    assert_int_equal(mkdirat(p->dir, ".dir.ring", 0700), 0);
    assert_int_equal(symlinkat("dead.ring", p->dir, ".link.ring"), 0);
    open_ok(p);
    step_all(p, 64);
    assert_true(there(p, ".dead.ring"));
    assert_int_equal(discover_due_ns(p->d), p->now_ns + LEFTOVER_NS);
    /* Scans that follow at once, as after lost events, prove nothing. */
    p->now_ns += LEFTOVER_NS - 1;
    discover_rescan(p->d);
    step_all(p, 64);
    assert_true(there(p, ".dead.ring"));
    /* Due by itself. */
    p->now_ns += 1;
    step_all(p, 64);
    assert_false(there(p, ".dead.ring"));
    assert_int_equal(discover_due_ns(p->d), UINT64_MAX);
    scan_again(p);
    assert_true(there(p, ".alive.ring"));
    assert_true(there(p, ".other"));
    assert_true(there(p, ".fifo.ring"));
    assert_true(there(p, ".dir.ring"));
    assert_true(there(p, ".link.ring"));
    assert_int_equal(p->seen_count, 0);
    built_close(&alive);
    scan_again(p);
    scan_again(p);
    assert_false(there(p, ".alive.ring"));
}

/* No scan is under way when a producer begins to build: the event alone must lead to one. */
static void a_build_that_dies_beside_a_running_agent_is_removed(void **state)
{
    struct place *p = *state;
    struct built dead;

    open_ok(p);
    step_all(p, 64);
    assert_int_equal(discover_due_ns(p->d), UINT64_MAX);
    built_open(&dead, p->dir, ".dead.ring", SHM_RING_BYTES_MIN);
    built_close(&dead);
    step_all(p, 64);
    for (unsigned i = 0; i < 2; i++) {
        assert_true(there(p, ".dead.ring"));
        assert_int_equal(discover_due_ns(p->d), p->now_ns + LEFTOVER_NS);
        p->now_ns += LEFTOVER_NS;
        step_all(p, 64);
    }
    assert_false(there(p, ".dead.ring"));
    assert_int_equal(discover_due_ns(p->d), UINT64_MAX);
}

/* Neither is it asked again and again, nor said again. */
static void a_dead_build_that_cannot_be_removed_is_said_once(void **state)
{
    struct place *p = *state;
    struct errmsg text;
    pid_t pid;
    int status;

    touch(p, ".dead.ring");
    assert_int_equal(fchmod(p->dir, 01777), 0);
    if (geteuid() == 0)
        assert_int_equal(fchownat(p->dir, ".dead.ring", 1, 1, 0), 0);
    assert_int_equal(chmod(p->path, 01777), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        /* As a user that may not touch it; for others than root, a mode stands in for that. */
        unsigned said = 0;

        if (geteuid() == 0 ? setresuid(2, 2, 2) != 0
                           : fchmodat(p->dir, ".dead.ring", 0, 0) != 0)
            _exit(99);
        if (discover_open(p->path, NULL, &p->d, NULL) != 0)
            _exit(98);
        for (unsigned i = 0; i < 5; i++) {
            scan_again(p);
            said += discover_complaint(p->d, &text);
        }
        if (discover_due_ns(p->d) != UINT64_MAX)
            _exit(97);
        _exit((int)said);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(WEXITSTATUS(status), 1);
    assert_true(there(p, ".dead.ring"));
}

/* A flood of events is taken in bounded steps, and the scan that follows misses nobody. */
static void a_flood_of_events_is_taken_in_bounded_steps(void **state)
{
    struct place *p = *state;
    unsigned distinct = 1;
    char name[40];

    open_ok(p);
    step_all(p, 64);
    for (unsigned i = 0; i < 2000; i++) {
        snprintf(name, sizeof(name), "flood%u.ring", i);
        touch(p, name);
    }
    assert_true(step_all(p, 64) >= 2000 / 64);
    assert_in_range(p->seen_count, 2000, 2000 + 64);
    qsort(p->seen, p->seen_count, sizeof(p->seen[0]), names_order);
    for (uint32_t i = 1; i < p->seen_count; i++)
        distinct += strcmp(p->seen[i - 1], p->seen[i]) != 0;
    assert_int_equal(distinct, 2000);
}

static void a_build_that_still_grows_is_no_leftover(void **state)
{
    struct place *p = *state;
    int fd = openat(p->dir, ".young.ring", O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    open_ok(p);
    step_all(p, 64);
    for (int i = 1; i < 4; i++) {
        assert_int_equal(posix_fallocate(fd, 0, i * 65536), 0);
        scan_again(p);
        assert_true(there(p, ".young.ring"));
    }
    scan_again(p);
    assert_false(there(p, ".young.ring"));
    close(fd);
}

static void a_directory_that_vanishes_is_an_error_and_no_crash(void **state)
{
    struct place *p = *state;
    char path[128];

    snprintf(path, sizeof(path), "%s/shm", p->path);
    assert_int_equal(discover_open(path, NULL, &p->d, NULL), 0);
    step_all(p, 64);
    assert_int_equal(unlinkat(discover_dir(p->d), SHM_BELL_NAME, 0), 0);
    assert_int_equal(unlinkat(discover_dir(p->d), SHM_LOCK_NAME, 0), 0);
    assert_int_equal(rmdir(path), 0);
    /* As long as it is held open, its removal is no event: the next scan notices. */
    discover_rescan(p->d);
    assert_int_equal(discover_step(p->d, p->now_ns, 64, on_ring, p), -ENOENT);
    assert_int_equal(discover_step(p->d, p->now_ns, 64, on_ring, p), -ENOENT);
}

#define CLAIM(test) cmocka_unit_test_setup_teardown(test, place_open, place_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLAIM(a_missing_directory_is_made_for_its_owner_only),
        CLAIM(with_a_group_the_directory_is_the_groups),
        CLAIM(a_directory_that_cannot_be_trusted_is_refused),
        CLAIM(a_strangers_directory_is_refused),
        CLAIM(a_second_agent_is_turned_away_until_the_first_is_gone),
        CLAIM(what_a_killed_agent_left_is_taken_over),
        CLAIM(what_stands_in_the_place_of_lock_and_bell_is_moved_away),
        CLAIM(the_bell_can_be_rung_also_in_a_directory_with_a_long_name),
        CLAIM(the_first_scan_finds_what_was_there),
        CLAIM(events_name_what_appears_and_what_is_closed),
        CLAIM(lost_events_are_made_good_by_a_scan),
        CLAIM(junk_costs_a_look_at_its_name),
        CLAIM(a_scan_hands_out_every_name_once_in_bounded_steps),
        CLAIM(a_scan_asked_for_during_a_scan_starts_over_after_it),
        CLAIM(a_dead_build_is_removed_after_a_while),
        CLAIM(a_build_that_dies_beside_a_running_agent_is_removed),
        CLAIM(a_dead_build_that_cannot_be_removed_is_said_once),
        CLAIM(a_flood_of_events_is_taken_in_bounded_steps),
        CLAIM(a_build_that_still_grows_is_no_leftover),
        CLAIM(a_directory_that_vanishes_is_an_error_and_no_crash),
    };

    return cmocka_run_group_tests_name("discover", tests, NULL, NULL);
}
