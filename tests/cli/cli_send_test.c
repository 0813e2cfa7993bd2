/*
 * cli_send and cli_ring: what one writes into a ring the other shows.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/bytes.h"
#include "cli/capture.h"
#include "cli/cli.h"
#include "cli/cli_exit.h"
#include "cli/cli_ring.h"
#include "cli/cli_shm.h"
#include "shm_client.h"

struct fixture {
    char dir[64];
    struct capture c;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    (void)snprintf(f->dir, sizeof(f->dir), "/dev/shm/hydrant-test-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    assert_int_equal(setenv("HYDRANT_SHM_DIR", f->dir, 1), 0);
    *state = f;
    return 0;
}

/* Calls fn with each ring's name until it returns false. */
static void each_name(const char *path, bool (*fn)(void *ctx, int dir, const char *name),
                      void *ctx)
{
    DIR *dir = opendir(path);
    struct dirent *entry;

    assert_non_null(dir);
    while ((entry = readdir(dir)) != NULL)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
            !fn(ctx, dirfd(dir), entry->d_name))
            break;
    (void)closedir(dir);
}

static bool name_remove(void *ctx, int dir, const char *name)
{
    (void)ctx;
    if (unlinkat(dir, name, 0) != 0)
        (void)unlinkat(dir, name, AT_REMOVEDIR);
    return true;
}

static int teardown(void **state)
{
    struct fixture *f = (struct fixture *)*state;

    each_name(f->dir, name_remove, NULL);
    (void)rmdir(f->dir);
    free(f);
    return 0;
}

static bool name_keep(void *ctx, int dir, const char *name)
{
    (void)dir;
    if (!ring_name_valid(name))
        return true;
    (void)snprintf((char *)ctx, SHM_RING_NAME_MAX + 1, "%s", name);
    return false;
}

/* The one ring there is. */
static const char *ring_name(const struct fixture *f)
{
    static char name[SHM_RING_NAME_MAX + 1];

    name[0] = '\0';
    each_name(f->dir, name_keep, name);
    assert_true(name[0] != '\0');
    return name;
}

static void show_events(struct fixture *f)
{
    char line[256];

    (void)snprintf(line, sizeof(line), "ring show %s --events", ring_name(f));
    capture_expect(&f->c, cli_ring, line, CLI_OK, "", "");
}

static void expect_event(const char **at, const char *kind, const char *key, const char *value)
{
    size_t len = strcspn(*at, "\n");
    json_t *json = json_loadb(*at, len, JSON_REJECT_DUPLICATES, NULL);
    json_t *payload = json_object_get(json, key);
    char *text = json_dumps(payload, JSON_ENCODE_ANY | JSON_COMPACT);

    if (json == NULL || text == NULL)
        fail_msg("not an event: %.*s", (int)len, *at);
    assert_string_equal(json_string_value(json_object_get(json, "stream")), "s1");
    assert_string_equal(json_string_value(json_object_get(json, "kind")), kind);
    assert_true(json_is_string(json_object_get(json, "time")));
    assert_string_equal(text, value);
    free(text);
    json_decref(json);
    *at += len + 1;
}

static void each_line_becomes_an_event_of_its_kind(void **state)
{
    static const char input[] = "{\"a\": 1}\nh\xc3\xa9llo \"x\"\r\n\n\xff\x00\xfe\n[1,2]\nlast";
    struct fixture *f = (struct fixture *)*state;
    const char *at = f->c.out;

    capture_run(&f->c, cli_send, input, sizeof(input) - 1, "send s1");
    assert_int_equal(f->c.code, CLI_OK);
    assert_non_null(strstr(f->c.err, "5 events, 30 bytes in "));
    assert_string_equal(f->c.out, "");

    show_events(f);
    expect_event(&at, "json", "payload", "{\"a\":1}");
    expect_event(&at, "text", "payload", "\"h\xc3\xa9llo \\\"x\\\"\"");
    expect_event(&at, "bytes", "payload_base64", "\"/wD+\"");
    expect_event(&at, "text", "payload", "\"[1,2]\"");
    expect_event(&at, "text", "payload", "\"last\"");
    assert_int_equal(*at, '\0');
}

static void lines_that_are_too_long_are_named_and_the_others_sent(void **state)
{
    struct fixture *f = (struct fixture *)*state;
    struct bytes input = BYTES_INIT;
    size_t max = 16384; /* a quarter of the smallest ring */
    const char *at = f->c.out;

    assert_int_equal(bytes_append_str(&input, "first\n"), 0);
    for (size_t i = 0; i <= max; i++)
        assert_int_equal(bytes_append_char(&input, 'x'), 0);
    assert_int_equal(bytes_append_str(&input, "\nthird\n"), 0);
    capture_run(&f->c, cli_send, input.data, input.len, "send s1 --ring-bytes 64KiB");
    assert_int_equal(f->c.code, CLI_FAILED);
    assert_non_null(strstr(f->c.err, "standard input:2: the line is longer than 16384 bytes"));
    assert_non_null(strstr(f->c.err, "2 events, 10 bytes in "));
    show_events(f);
    expect_event(&at, "text", "payload", "\"first\"");
    expect_event(&at, "text", "payload", "\"third\"");
    bytes_free(&input);
}

static void files_are_sent_in_order_and_missing_ones_named(void **state)
{
    struct fixture *f = (struct fixture *)*state;
    char path[128], line[400];
    const char *at = f->c.out;
    int fd;

    (void)snprintf(path, sizeof(path), "%s/input", f->dir);
    fd = open(path, O_WRONLY | O_CREAT, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "from file\n", 10), 10);
    (void)close(fd);
    (void)snprintf(line, sizeof(line), "send s1 %s %s/none - %s", path, f->dir, f->dir);
    capture_run(&f->c, cli_send, "from input\n", 11, line);
    assert_int_equal(f->c.code, CLI_FAILED);
    assert_non_null(strstr(f->c.err, "/none: No such file"));
    assert_non_null(strstr(f->c.err, "Is a directory"));
    show_events(f);
    expect_event(&at, "text", "payload", "\"from file\"");
    expect_event(&at, "text", "payload", "\"from input\"");
}

static void a_full_ring_waits_until_the_timeout(void **state)
{
    struct fixture *f = (struct fixture *)*state;
    struct bytes input = BYTES_INIT;

    for (int i = 0; i < 20000; i++)
        assert_int_equal(bytes_printf(&input, "line %d\n", i), 0);
    capture_run(&f->c, cli_send, input.data, input.len,
                "send s1 --ring-bytes 64KiB --timeout 50ms");
    assert_int_equal(f->c.code, CLI_FAILED);
    assert_non_null(strstr(f->c.err, "the ring is full: given up"));
    show_events(f);
    assert_non_null(strstr(f->c.out, "\"line 0\""));
    assert_null(strstr(f->c.out, "\"line 19999\""));
    bytes_free(&input);
}

static void durable_without_an_agent_times_out(void **state)
{
    struct fixture *f = (struct fixture *)*state;

    capture_run(&f->c, cli_send, "x\n", 2, "send s1 --durable --timeout 20ms");
    assert_int_equal(f->c.code, CLI_FAILED);
    assert_non_null(strstr(f->c.err, "not all is durable yet"));
    assert_non_null(strstr(f->c.err, "1 events, 1 bytes in "));
}

static void wrong_usage_is_2(void **state)
{
    struct fixture *f = (struct fixture *)*state;
    struct capture *c = &f->c;

    capture_expect(c, cli_send, "send", CLI_USAGE, "", "a stream is wanted");
    capture_expect(c, cli_send, "send -- -x", CLI_USAGE, "", "cannot be a stream's name");
    capture_expect(c, cli_send, "send s1 --nothing", CLI_USAGE, "", "unknown option --nothing");
    capture_expect(c, cli_send, "send s1 -q", CLI_USAGE, "", "unknown option -q");
    capture_expect(c, cli_send, "send s1 --timeout", CLI_USAGE, "", "--timeout needs a value");
    capture_expect(c, cli_send, "send s1 --timeout 5", CLI_USAGE, "", "--timeout: ");
    capture_expect(c, cli_send, "send s1 --ring-bytes 1KiB", CLI_USAGE, "", "--ring-bytes: ");
    capture_expect(c, cli_send, "send s1 --tcp nowhere", CLI_USAGE, "", "--tcp: 'nowhere' is not");
    capture_expect(c, cli_send, "send s1 --tcp 127.0.0.1:1 --unix /x", CLI_USAGE, "", "one of");
    capture_expect(c, cli_send, "send s1 --tcp x --http x", CLI_USAGE, "", "one of them");
    capture_expect(c, cli_send, "send s1 --gzip", CLI_USAGE, "", "--gzip is for");
    capture_expect(c, cli_send, "send s1 --unix /x --durable", CLI_USAGE, "", "need a ring");
    capture_expect(c, cli_send, "send s1 --http x --delivered", CLI_USAGE, "", "needs a ring");
    capture_expect(c, cli_send, "send s1 --http x", CLI_USAGE, "", "--http: 'x' is not ADDR:PORT");
    capture_expect(c, cli_send, "send --help", CLI_OK, "usage: hydrant send STREAM", "");
    capture_expect(c, cli_send, "send s1 --shm-dir /proc", CLI_FAILED, "", "/proc");
    capture_expect(c, cli_ring, "ring", CLI_USAGE, "", "'ls' or 'show NAME");
    capture_expect(c, cli_ring, "ring ls x", CLI_USAGE, "", "");
    capture_expect(c, cli_ring, "ring show", CLI_USAGE, "", "");
    capture_expect(c, cli_ring, "ring show ../x", CLI_USAGE, "", "cannot be a ring's name");
    capture_expect(c, cli_ring, "ring show none", CLI_FAILED, "", "none.ring: no such ring");
    capture_expect(c, cli_ring, "ring ls --shm-dir /nonexistent", CLI_FAILED, "", "/nonexistent");
    capture_expect(c, cli_ring, "ring --help", CLI_OK, "usage: hydrant ring ls", "");
}

static void ls_tells_living_from_closed_and_from_junk(void **state)
{
    struct fixture *f = (struct fixture *)*state;
    struct shmc_options opt = SHMC_OPTIONS_INIT;
    struct shmc *living, *closed;
    uint16_t id;
    char path[128];
    int fd;

    opt.name = "living";
    assert_int_equal(shmc_open(&opt, &living), 0);
    assert_int_equal(shmc_stream(living, "s1", &id), 0);
    assert_int_equal(shmc_write(living, id, SHMC_TEXT, "12345678", 8), 0);
    opt.name = "done";
    assert_int_equal(shmc_open(&opt, &closed), 0);
    assert_int_equal(shmc_close(closed), 0);
    capture_expect(&f->c, cli_ring, "ring ls", CLI_OK, "living.", "");
    assert_non_null(strstr(f->c.out, " closed "));
    assert_non_null(strstr(f->c.out, " alive "));
    assert_non_null(strstr(f->c.out, " 24 B "));

    /* Files that only look like rings are shown as such and hurt nobody. */
    (void)snprintf(path, sizeof(path), "%s/junk.ring", f->dir);
    fd = open(path, O_WRONLY | O_CREAT, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "junk", 4), 4);
    (void)close(fd);
    (void)snprintf(path, sizeof(path), "%s/pipe.ring", f->dir);
    assert_int_equal(mkfifo(path, 0600), 0);
    (void)snprintf(path, sizeof(path), "%s/link.ring", f->dir);
    assert_int_equal(symlink("/etc/passwd", path), 0);
    capture_expect(&f->c, cli_ring, "ring ls", CLI_FAILED, "unreadable: ", "");
    assert_non_null(strstr(f->c.out, " alive "));
    capture_expect(&f->c, cli_ring, "ring show junk", CLI_FAILED, "",
                   "ring 'junk.ring': size: too short");
    capture_expect(&f->c, cli_ring, "ring show pipe", CLI_FAILED, "", "'pipe.ring': cannot be");
    assert_int_equal(shmc_close(living), 0);
}

static void show_prints_positions_and_streams(void **state)
{
    struct fixture *f = (struct fixture *)*state;
    char line[256];

    capture_run(&f->c, cli_send, "x\n", 2, "send s1");
    (void)snprintf(line, sizeof(line), "ring show %s", ring_name(f));
    capture_expect(&f->c, cli_ring, line, CLI_OK, "\nhead           24\n", "");
    assert_non_null(strstr(f->c.out, "\naccepted       0\n"));
    assert_non_null(strstr(f->c.out, "\n  stream 1     s1\n"));
    assert_non_null(strstr(f->c.out, "\nagent          none has read it yet\n"));
}

/* A producer that lies about its frames is shown up to the lie. */
static void events_of_a_corrupt_ring_end_at_the_bad_frame(void **state)
{
    struct fixture *f = (struct fixture *)*state;
    struct ring_view view;
    enum shm_quarantine reason;
    uint32_t len = UINT32_MAX;
    char line[256];
    const char *at = f->c.out;
    int dir;

    capture_run(&f->c, cli_send, "good\nbad\n", 9, "send s1");
    dir = cli_shm_open("test", f->dir);
    assert_true(dir >= 0);
    assert_int_equal(ring_view_open(dir, ring_name(f), &view, &reason, NULL), 0);
    assert_int_equal(pwrite(view.file.fd, &len, sizeof(len),
                            (off_t)view.file.super.data_offset + 24), sizeof(len));
    ring_view_close(&view);
    (void)close(dir);
    (void)snprintf(line, sizeof(line), "ring show %s --events", ring_name(f));
    capture_expect(&f->c, cli_ring, line, CLI_FAILED, "", "unreadable from position 24 on: frame");
    expect_event(&at, "text", "payload", "\"good\"");
    assert_int_equal(*at, '\0');
}

/* Head of the one ring, 0 while there is none. */
static uint64_t ring_head(const struct fixture *f)
{
    char name[SHM_RING_NAME_MAX + 1] = "";
    enum shm_quarantine reason;
    struct ring_view view;
    uint64_t head = 0;
    int dir;

    each_name(f->dir, name_keep, name);
    if (name[0] == '\0')
        return 0;
    dir = open(f->dir, O_RDONLY | O_DIRECTORY);
    assert_true(dir >= 0);
    if (ring_view_open(dir, name, &view, &reason, NULL) == 0)
        head = view.head;
    ring_view_close(&view);
    (void)close(dir);
    return head;
}

/* Forks a `send` whose input stays open; returns its pid and the input's other end. */
static pid_t send_fork(const char *ring_bytes, int *ret_input)
{
    char option[] = "--ring-bytes", name[] = "send", stream[] = "s1", bytes[16];
    char *argv[] = { name, stream, option, bytes, NULL };
    int input[2];
    pid_t pid;

    (void)snprintf(bytes, sizeof(bytes), "%s", ring_bytes);
    assert_int_equal(pipe(input), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        int null = open("/dev/null", O_WRONLY);

        (void)dup2(input[0], STDIN_FILENO);
        (void)dup2(null, STDERR_FILENO);
        (void)close(input[1]);
        _exit(cli_send(4, argv));
    }
    (void)close(input[0]);
    *ret_input = input[1];
    return pid;
}

static void an_interrupted_send_leaves_what_it_committed(void **state)
{
    static const int signals[] = { SIGINT, SIGTERM };
    static const int codes[] = { CLI_INTERRUPTED, 143 };
    struct fixture *f = (struct fixture *)*state;

    for (int i = 0; i < 2; i++) {
        int input, result;
        pid_t pid = send_fork("64KiB", &input);

        assert_int_equal(write(input, "one\ntwo\nunfinis", 15), 15);
        while (ring_head(f) != 48)
            (void)sched_yield();
        assert_int_equal(kill(pid, signals[i]), 0);
        assert_int_equal(waitpid(pid, &result, 0), pid);
        assert_true(WIFEXITED(result));
        assert_int_equal(WEXITSTATUS(result), codes[i]);
        assert_int_equal(ring_head(f), 48);
        (void)close(input);
        each_name(f->dir, name_remove, NULL);
    }
}

static void a_send_that_waits_for_a_full_ring_can_be_interrupted(void **state)
{
    struct fixture *f = (struct fixture *)*state;
    char block[60000];
    int input, result;
    pid_t pid = send_fork("64KiB", &input);

    memset(block, 'x', sizeof(block));
    for (size_t i = 99; i < sizeof(block); i += 100)
        block[i] = '\n';
    for (int i = 0; i < 2; i++)
        assert_int_equal(write(input, block, sizeof(block)), sizeof(block));
    while (ring_head(f) < 65536 - 120)
        (void)sched_yield();
    assert_int_equal(kill(pid, SIGINT), 0);
    assert_int_equal(waitpid(pid, &result, 0), pid);
    assert_true(WIFEXITED(result));
    assert_int_equal(WEXITSTATUS(result), CLI_INTERRUPTED);
    (void)close(input);
}

static void the_directory_is_option_then_environment_then_by_uid(void **state)
{
    char buf[64];

    (void)state;
    assert_string_equal(cli_shm_dir("/x", buf, sizeof(buf)), "/x");
    assert_int_equal(setenv("HYDRANT_SHM_DIR", "/y", 1), 0);
    assert_string_equal(cli_shm_dir(NULL, buf, sizeof(buf)), "/y");
    assert_int_equal(unsetenv("HYDRANT_SHM_DIR"), 0);
    assert_memory_equal(cli_shm_dir(NULL, buf, sizeof(buf)), "/dev/shm/hydrant", 16);
    assert_int_equal(strlen(buf) == 16, geteuid() < 1000);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(each_line_becomes_an_event_of_its_kind),
        TEST(lines_that_are_too_long_are_named_and_the_others_sent),
        TEST(files_are_sent_in_order_and_missing_ones_named),
        TEST(a_full_ring_waits_until_the_timeout),
        TEST(durable_without_an_agent_times_out),
        TEST(wrong_usage_is_2),
        TEST(ls_tells_living_from_closed_and_from_junk),
        TEST(show_prints_positions_and_streams),
        TEST(events_of_a_corrupt_ring_end_at_the_bad_frame),
        TEST(an_interrupted_send_leaves_what_it_committed),
        TEST(a_send_that_waits_for_a_full_ring_can_be_interrupted),
        TEST(the_directory_is_option_then_environment_then_by_uid),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
