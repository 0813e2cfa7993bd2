/*
 * cli_status and cli_flush: against the real HTTP server with a shard that is none.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/capture.h"
#include "cli/cli.h"
#include "cli/cli_ask.h"
#include "cli/cli_exit.h"
#include "control/config_text.h"
#include "control/fake_shard.h"
#include "control/http_server.h"

struct fixture {
    struct fake_shard shard;
    struct http_server *server;
    struct config *config;
    struct intake_counters counters;
    struct capture c;
    char address[64];
};

static int setup_at(void **state, const char *listen_at)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct http_server_options options = { .listen = listen_at, .ingest = {.shm_dir = "/dev/shm"} };

    assert_non_null(f);
    fake_shard_start(&f->shard);
    f->config = config_of("[http]\ntoken = t0ken\n", "");
    options.config = (struct http_config){config_look, f->config};
    options.ingest.counters = &f->counters;
    options.mailbox = &f->shard.box;
    assert_int_equal(http_server_start(&options, &f->server, NULL), 0);
    if (http_server_port(f->server) > 0)
        (void)snprintf(f->address, sizeof(f->address), "127.0.0.1:%d", http_server_port(f->server));
    else
        (void)snprintf(f->address, sizeof(f->address), "%s", listen_at);
    assert_int_equal(setenv("HYDRANT_HTTP", f->address, 1), 0);
    assert_int_equal(setenv("HYDRANT_TOKEN", "t0ken", 1), 0);
    /* A proxy is for others: the agent is asked directly. */
    assert_int_equal(setenv("http_proxy", "http://127.0.0.1:1", 1), 0);
    *state = f;
    return 0;
}

static int setup(void **state)
{
    return setup_at(state, "127.0.0.1:0");
}

static int setup_unix(void **state)
{
    char at[64];

    (void)snprintf(at, sizeof(at), "unix:/tmp/hydrant-ask-%d.sock", (int)getpid());
    return setup_at(state, at);
}

static int teardown(void **state)
{
    struct fixture *f = (struct fixture *)*state;

    http_server_stop(f->server);
    fake_shard_stop(&f->shard);
    config_free(f->config);
    free(f);
    return 0;
}

static void status_prints_tables_without_colours_into_a_file(void **state)
{
    static const char *const parts[] = {
        "hydrant 0.1.0, agent test-host, pid 4711, up 1m 1s, ready\n",
        "log:    64 MiB of 8.0 GiB",
        "\npushes back: disk_full: no space left for the log or the spool; free some,",
        "\nthe log had 8.0 KiB that cannot be read: unsynced: not synced before the host ",
        "\nstream clicks: 5 accepted events are lost: corrupt: damaged on disk; look at the disk",
        "\nstream errors.x-1: 3 accepted events were dropped: sink_removed: they waited for a ",
        "\nstream clicks: 4 accepted events went to the error output since the start: "
        "format-conversion-failed: they do not fit the columns\n",
        "dropped by producers before acceptance: 7\n",
        "\nrelay:   3 peers, 12 connections since the start, 2 of them refused; 5000 events of 40 "
        "batches, 1 of them again, whole or in part; 6 declined\n"
        "         journal: 12 KiB, 41 syncs\n"
        "2 peers wait: ring_full: the aggregator is full: its log, its memory or its sinks\n",
        "\nSTREAM      ACCEPTED  DELIVERED  PENDING  DROPPED  LOST    BYTES  OLDEST\n",
        "\nclicks          1000        900       95        0     5  195 KiB    1.2s\n",
        "\nerrors.x-1         3          0        0        3     0      0 B       -\n",
        "\nlocal  file        0        0  /data/out  -\n",
        "\napp.1.0123456789abcdef.ring  attached    1    0  1.0 MiB   1000 B   3.9 KiB        0\n",
    };
    struct fixture *f = (struct fixture *)*state;

    capture_expect(&f->c, cli_status, "status", CLI_OK, "", "");
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        if (strstr(f->c.out, parts[i]) == NULL)
            fail_msg("no \"%s\" in:\n%s", parts[i], f->c.out);
    assert_null(strchr(f->c.out, '\033'));
}

static void status_as_json_is_what_the_agent_says(void **state)
{
    struct fixture *f = (struct fixture *)*state;
    json_t *json;

    capture_expect(&f->c, cli_status, "status --json", CLI_OK, "", "");
    json = json_loads(f->c.out, 0, NULL);
    assert_non_null(json);
    assert_int_equal(json_integer_value(json_object_get(json, "pid")), 4711);
    json_decref(json);
}

static void a_unix_socket_is_asked_by_its_path(void **state)
{
    struct fixture *f = (struct fixture *)*state;
    const char *path = strchr(f->address, '/');

    capture_expect(&f->c, cli_status, "status", CLI_OK, "agent test-host", "");
    capture_expect(&f->c, cli_flush, "flush clicks", CLI_OK, "clicks: all delivered\n", "");
    assert_int_equal(access(path, F_OK), 0);
    http_server_stop(f->server);
    f->server = NULL;
    assert_int_equal(access(path, F_OK), -1);
    capture_expect(&f->c, cli_status, "status", CLI_FAILED, "", "no agent answers at unix:/tmp/");
}

static void a_recovering_agent_says_so(void **state)
{
    struct fixture *f = (struct fixture *)*state;

    atomic_store(&f->shard.ready, false);
    capture_expect(&f->c, cli_status, "status", CLI_OK, "recovering\nrecovery: 4.0 KiB", "");
}

static void flush_says_when_all_is_delivered(void **state)
{
    struct fixture *f = (struct fixture *)*state;

    capture_expect(&f->c, cli_flush, "flush", CLI_OK, "every stream: all delivered\n", "");
    capture_expect(&f->c, cli_flush, "flush clicks", CLI_OK, "clicks: all delivered\n", "");
}

static void flush_says_why_not(void **state)
{
    struct fixture *f = (struct fixture *)*state;

    capture_expect(&f->c, cli_flush, "flush unknown", CLI_FAILED, "",
                   "answers 404: Stream not found: 'unknown'");
    capture_expect(&f->c, cli_flush, "flush slow --timeout 50ms", CLI_FAILED, "", "answers 504: ");
}

static void a_wrong_token_is_explained(void **state)
{
    struct fixture *f = (struct fixture *)*state;

    assert_int_equal(setenv("HYDRANT_TOKEN", "wrong", 1), 0);
    capture_expect(&f->c, cli_status, "status", CLI_FAILED, "", "answers 401: ");
    assert_non_null(strstr(f->c.err, "HYDRANT_TOKEN"));
    assert_int_equal(unsetenv("HYDRANT_TOKEN"), 0);
    capture_expect(&f->c, cli_flush, "flush", CLI_FAILED, "", "answers 401: ");
}

static void no_agent_is_a_clear_error(void **state)
{
    struct fixture *f = (struct fixture *)*state;

    http_server_stop(f->server);
    f->server = NULL;
    capture_expect(&f->c, cli_status, "status", CLI_FAILED, "", "no agent answers at 127.0.0.1:");
    capture_expect(&f->c, cli_flush, "flush --http 127.0.0.1:1", CLI_FAILED, "",
                   "no agent answers at 127.0.0.1:1 ");
}

static void wrong_usage_is_2(void **state)
{
    struct fixture *f = (struct fixture *)*state;
    struct capture *c = &f->c;

    capture_expect(c, cli_status, "status x", CLI_USAGE, "", "takes no arguments");
    capture_expect(c, cli_status, "status --xml", CLI_USAGE, "", "unknown option --xml");
    capture_expect(c, cli_status, "status --http nonsense", CLI_USAGE, "", "--http: ");
    capture_expect(c, cli_status, "status --http unix:", CLI_USAGE, "", "names no socket");
    capture_expect(c, cli_status, "status --help", CLI_OK, "usage: hydrant status", "");
    capture_expect(c, cli_flush, "flush a b", CLI_USAGE, "", "one stream at a time");
    capture_expect(c, cli_flush, "flush a/b", CLI_USAGE, "", "cannot be a stream's name");
    capture_expect(c, cli_flush, "flush --timeout 2h", CLI_USAGE, "", "an hour at most");
    capture_expect(c, cli_flush, "flush --help", CLI_OK, "usage: hydrant flush", "");
}

static void the_address_is_option_then_environment_then_default(void **state)
{
    (void)state;
    assert_string_equal(cli_ask_address("1.2.3.4:5"), "1.2.3.4:5");
    assert_int_equal(setenv("HYDRANT_HTTP", "1.2.3.4:6", 1), 0);
    assert_string_equal(cli_ask_address(NULL), "1.2.3.4:6");
    assert_int_equal(unsetenv("HYDRANT_HTTP"), 0);
    assert_string_equal(cli_ask_address(NULL), "127.0.0.1:8000");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(status_prints_tables_without_colours_into_a_file),
        TEST(status_as_json_is_what_the_agent_says),
        cmocka_unit_test_setup_teardown(a_unix_socket_is_asked_by_its_path, setup_unix, teardown),
        TEST(a_recovering_agent_says_so),
        TEST(flush_says_when_all_is_delivered),
        TEST(flush_says_why_not),
        TEST(a_wrong_token_is_explained),
        TEST(no_agent_is_a_clear_error),
        TEST(wrong_usage_is_2),
        cmocka_unit_test(the_address_is_option_then_environment_then_default),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
