/*
 * Claims about a start on a real file system: whatever stands in the place of a file of the agent's
 * own, it starts, loses nothing, and deletes nothing that it did not make. With the kernel's own
 * pipes, links and directories, which a careless open would wait for or follow.
 */
#include "control/agent_process.h"

#include "control/lifecycle.h"
#include "shm_client.h"

enum { EVENTS = 100 };

static int run_agent(const struct agent_dirs *d)
{
    const struct config_overrides over = {.data_dir = d->data, .shm_dir = d->shm, .http = "off"};

    return lifecycle_run(NULL, &over);
}

/* A life that is killed with a hundred events in its log and in no file. */
static void live_and_be_killed(const struct agent_dirs *d)
{
    struct agent_process a;
    int status;

    agent_start(&a, d, run_agent);
    agent_expect(&a, "rings in ");
    agent_events_write(d, "first", EVENTS, true);
    agent_signal(&a, SIGKILL);
    while (agent_read(&a))
        ;
    close(a.stderr_fd);
    assert_int_equal(waitpid(a.pid, &status, 0), a.pid);
    assert_true(WIFSIGNALED(status));
}

static unsigned lines;

static int count_lines(const char *path, const struct stat *st, int type, struct FTW *at)
{
    FILE *file;
    int c;

    (void)st;
    (void)at;
    if (type != FTW_F || strstr(path, "/.hydrant/"))
        return 0;
    file = fopen(path, "r");
    assert_non_null(file);
    while ((c = getc(file)) != EOF)
        lines += c == '\n';
    fclose(file);
    return 0;
}

/* ---- What stands there ---- */

enum thing { GARBAGE, EMPTY, DIRECTORY, PIPE, LINK, LINK_TO_NOTHING, THING_COUNT };

static const char *const thing_names[] = {"garbage", "nothing", "a directory", "a pipe", "a link",
                                          "a link to nothing"};
_Static_assert(sizeof(thing_names) / sizeof(thing_names[0]) == THING_COUNT, "a name each");

static void make_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

/* In the place of what is at the path. */
static void put(const struct agent_dirs *d, const char *path, enum thing thing)
{
    char other[128];

    if (nftw(path, agent_dirs_remove_one, 16, FTW_DEPTH | FTW_PHYS) != 0)
        assert_int_equal(errno, ENOENT);
    snprintf(other, sizeof(other), "%s/elsewhere", d->root);
    switch (thing) {
    case GARBAGE:
        make_file(path, "This is not what you are looking for, however long you read on.");
        break;
    case EMPTY:
        make_file(path, "");
        break;
    case DIRECTORY:
        assert_int_equal(mkdir(path, 0700), 0);
        snprintf(other, sizeof(other), "%s/inside", path);
        make_file(other, "kept");
        break;
    case PIPE:
        assert_int_equal(mkfifo(path, 0600), 0);
        break;
    case LINK:
        make_file(other, "elsewhere");
        assert_int_equal(symlink(other, path), 0);
        break;
    default:
        assert_int_equal(symlink(other, path), 0);
    }
}

/* A file elsewhere that a link led to is as it was. */
static void elsewhere_is_whole(const struct agent_dirs *d, enum thing thing)
{
    char path[128], text[32] = "";
    int fd;

    snprintf(path, sizeof(path), "%s/elsewhere", d->root);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_int_equal(fd >= 0, thing == LINK);
    if (fd < 0)
        return;
    assert_int_equal(read(fd, text, sizeof(text)), strlen("elsewhere"));
    assert_string_equal(text, "elsewhere");
    close(fd);
}

static void it_starts_with(const struct agent_dirs *d, const char *path, enum thing thing)
{
    struct agent_process a;
    char out[128];

    live_and_be_killed(d);
    put(d, path, thing);
    agent_events_write(d, "second", EVENTS, false);
    agent_start(&a, d, run_agent);
    agent_expect(&a, "caught up with the log");
    agent_signal(&a, SIGTERM);
    agent_expect(&a, "stopped; everything is delivered");
    agent_end(&a, 0);
    lines = 0;
    snprintf(out, sizeof(out), "%s/out", d->data);
    assert_int_equal(nftw(out, count_lines, 16, FTW_PHYS), 0);
    if (lines != 2 * EVENTS)
        fail_msg("%s in the place of %s: %u events; it said:\n%s", thing_names[thing], path, lines,
                 a.text);
    assert_null(strstr(a.text, "lost"));
    elsewhere_is_whole(d, thing);
}

/* `root` 0: below data_dir, 1: below shm_dir. */
static void it_starts_with_anything_at(int root, const char *name)
{
    for (int thing = 0; thing < THING_COUNT; thing++) {
        struct agent_dirs *d;
        char path[256];
        void *made = NULL;

        assert_int_equal(agent_dirs_make(&made), 0);
        d = made;
        snprintf(path, sizeof(path), "%s/%s", root == 0 ? d->data : d->shm, name);
        it_starts_with(d, path, (enum thing)thing);
        assert_int_equal(agent_dirs_remove(&made), 0);
    }
}

/* ---- Claims ---- */

static void whatever_is_in_the_place_of_the_log_s_name(void **state)
{
    (void)state;
    it_starts_with_anything_at(0, "state/log");
    it_starts_with_anything_at(0, "state/log.new");
}

static void whatever_is_in_the_place_of_the_crash_note(void **state)
{
    (void)state;
    it_starts_with_anything_at(0, "state/crash");
}

static void whatever_is_in_the_place_of_a_segment(void **state)
{
    (void)state;
    it_starts_with_anything_at(0, "wal/000-0000000000000001-0000000000.seg");
    it_starts_with_anything_at(0, "wal/000-0000000000000001-0000000001.new");
    it_starts_with_anything_at(0, "wal/000-7fffffffffffffff-0000000900.seg");
}

static void whatever_is_in_the_place_of_a_spool_file(void **state)
{
    (void)state;
    it_starts_with_anything_at(0, "spool/0000000000000001-000-0000000001.spool");
    it_starts_with_anything_at(0, "spool/README");
}

static void whatever_is_in_the_place_of_a_ring_or_its_lock(void **state)
{
    (void)state;
    it_starts_with_anything_at(1, "stranger.ring");
    it_starts_with_anything_at(1, ".lock");
    it_starts_with_anything_at(1, ".bell");
}

/* They hold nothing then: a directory that is one is used. */
static void a_file_in_the_place_of_a_directory(void **state)
{
    static const enum thing things[] = {GARBAGE, PIPE};
    static const char *const names[] = {"spool", "state"};

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct agent_dirs *d;
        char path[256];
        void *made = NULL;

        assert_int_equal(agent_dirs_make(&made), 0);
        d = made;
        snprintf(path, sizeof(path), "%s/%s", d->data, names[i / 2]);
        it_starts_with(d, path, things[i % 2]);
        snprintf(path, sizeof(path), "%s/%s.aside.0", d->data, names[i / 2]);
        assert_int_equal(access(path, F_OK), 0);
        assert_int_equal(agent_dirs_remove(&made), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whatever_is_in_the_place_of_the_log_s_name),
        cmocka_unit_test(whatever_is_in_the_place_of_the_crash_note),
        cmocka_unit_test(whatever_is_in_the_place_of_a_segment),
        cmocka_unit_test(whatever_is_in_the_place_of_a_spool_file),
        cmocka_unit_test(whatever_is_in_the_place_of_a_ring_or_its_lock),
        cmocka_unit_test(a_file_in_the_place_of_a_directory),
    };

    return cmocka_run_group_tests_name("recovery, live", tests, NULL, NULL);
}
