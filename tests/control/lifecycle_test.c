/*
 * lifecycle: one life of the agent, from its configuration to its exit code, by signals alone.
 */
#include "control/agent_process.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include "control/lifecycle.h"
#include "shm_client.h"

/* Every life here: rings and data in the test's directories, no HTTP but where it is the matter. */
static int run_config(const struct agent_dirs *d)
{
    const struct config_overrides over = { .data_dir = d->data, .shm_dir = d->shm, .http = "off" };

    return lifecycle_run(d->config, &over);
}

static int run_default(const struct agent_dirs *d)
{
    const struct config_overrides over = { .data_dir = d->data, .shm_dir = d->shm, .http = "off" };

    return lifecycle_run(NULL, &over);
}

static int run_http(const struct agent_dirs *d)
{
    const struct config_overrides over = { .data_dir = d->data, .shm_dir = d->shm };

    return lifecycle_run(d->config, &over);
}

static unsigned lines, files;

static int count_lines(const char *path, const struct stat *st, int type, struct FTW *at)
{
    FILE *file;
    int c;

    (void)st;
    if (type != FTW_F || strstr(path, "/.hydrant/") || at->level == 0)
        return 0;
    assert_non_null(strstr(path, ".json"));
    files++;
    file = fopen(path, "r");
    assert_non_null(file);
    while ((c = getc(file)) != EOF)
        lines += c == '\n';
    fclose(file);
    return 0;
}

/* Lines in all files that are visible below it. */
static unsigned lines_below(const char *out)
{
    lines = files = 0;
    assert_int_equal(nftw(out, count_lines, 16, FTW_PHYS), 0);
    return lines;
}

static void either_signal_ends_it_with_zero(void **state)
{
    static const int signals[] = { SIGTERM, SIGINT };
    static const char *const words[] = { "SIGTERM: stopping", "SIGINT: stopping" };
    const struct agent_dirs *d = *state;
    struct agent_process a;

    for (int i = 0; i < 2; i++) {
        agent_start(&a, d, run_default);
        agent_expect(&a, "rings in ");
        agent_expect(&a, d->shm);
        agent_expect(&a, d->data);
        agent_signal(&a, signals[i]);
        agent_expect(&a, words[i]);
        agent_expect(&a, "stopped; everything is delivered");
        agent_end(&a, 0);
    }
}

/* However often the signal comes, and whichever. */
static void further_signals_change_nothing(void **state)
{
    const struct agent_dirs *d = *state;
    struct agent_process a;

    agent_start(&a, d, run_default);
    agent_expect(&a, "rings in ");
    for (int i = 0; i < 3; i++) {
        agent_signal(&a, SIGTERM);
        agent_signal(&a, SIGINT);
    }
    agent_end(&a, 0);
}

static void what_was_written_is_delivered_before_it_ends(void **state)
{
    const struct agent_dirs *d = *state;
    struct agent_process a;
    char out[128];

    snprintf(out, sizeof(out), "%s/out", d->data);
    agent_events_write(d, "before", 1000, false);        /* it works before the agent starts */
    agent_start(&a, d, run_default);
    agent_expect(&a, "rings in ");
    agent_events_write(d, "during", 1000, false);
    agent_signal(&a, SIGTERM);
    agent_expect(&a, "stopped; everything is delivered");
    agent_end(&a, 0);
    assert_int_equal(lines_below(out), 2000);
    assert_true(files >= 1);
}

/* The sink's place is taken by a file: what cannot be delivered waits in the log. */
static void config_with_timeout(const struct agent_dirs *d, const char *timeout)
{
    char text[512];

    snprintf(text, sizeof(text),
             "[agent]\nshutdown_timeout = %s\n[sink local]\ntype = file\ndirectory = %s\n",
             timeout, d->out);
    agent_config_write(d, text);
}

static void what_a_sink_does_not_take_is_kept_for_the_next_start(void **state)
{
    const struct agent_dirs *d = *state;
    struct agent_process a;
    int fd;

    config_with_timeout(d, "200ms");
    fd = open(d->out, O_WRONLY | O_CREAT | O_EXCL, 0600);
    assert_true(fd >= 0);
    close(fd);
    agent_start(&a, d, run_config);
    agent_expect(&a, "rings in ");
    agent_events_write(d, "kept", 500, true);
    agent_signal(&a, SIGTERM);
    agent_expect(&a, "500 events are kept in the log for the next start");
    agent_end(&a, 0);

    assert_int_equal(unlink(d->out), 0);
    config_with_timeout(d, "60s");
    agent_start(&a, d, run_config);
    agent_expect(&a, "rings in ");
    agent_signal(&a, SIGTERM);
    agent_expect(&a, "stopped; everything is delivered");
    agent_end(&a, 0);
    assert_int_equal(lines_below(d->out), 500);
}

static void mistakes_in_the_configuration_are_named_and_end_it(void **state)
{
    const struct agent_dirs *d = *state;
    struct agent_process a;
    char words[160];

    agent_config_write(d, "[agent]\nnaem = x\n[stream a]\nbuffer_count = many\n");
    agent_start(&a, d, run_config);
    snprintf(words, sizeof(words), "%s:2:", d->config);
    agent_expect(&a, words);
    snprintf(words, sizeof(words), "%s:4:", d->config);
    agent_expect(&a, words);
    agent_end(&a, 1);

    assert_int_equal(unlink(d->config), 0);
    agent_start(&a, d, run_config);
    agent_expect(&a, strerror(ENOENT));
    agent_end(&a, 1);
}

static void a_second_agent_of_a_directory_does_not_start(void **state)
{
    const struct agent_dirs *d = *state;
    struct agent_process a, b;

    agent_start(&a, d, run_default);
    agent_expect(&a, "rings in ");
    agent_start(&b, d, run_default);
    agent_expect(&b, "another agent");
    agent_end(&b, 1);
    agent_signal(&a, SIGTERM);
    agent_end(&a, 0);
}

static void a_reload_takes_a_good_file_and_refuses_a_bad_one(void **state)
{
    const struct agent_dirs *d = *state;
    struct agent_process a;
    char text[512], words[160];
    unsigned second;

    snprintf(text, sizeof(text), "[sink local]\ntype = file\ndirectory = %s/one\n", d->root);
    agent_config_write(d, text);
    agent_start(&a, d, run_config);
    agent_expect(&a, "rings in ");

    agent_config_write(d, "[stream *]\nformat = xml\n");
    agent_signal(&a, SIGHUP);
    snprintf(words, sizeof(words), "%s:2:", d->config);
    agent_expect(&a, words);
    agent_expect(&a, "the old settings stay");
    agent_events_write(d, "first", 10, false);       /* a stream made now gets the old settings */

    snprintf(text, sizeof(text),
             "[agent]\nname = other\n[sink local]\ntype = file\ndirectory = %s/two\n", d->root);
    agent_config_write(d, text);
    agent_signal(&a, SIGHUP);
    agent_expect(&a, "wait for the next start");
    agent_expect(&a, "name");
    agent_expect(&a, "reloaded ");
    agent_events_write(d, "second", 20, false);
    agent_signal(&a, SIGTERM);
    agent_expect(&a, "stopped; everything is delivered");
    agent_end(&a, 0);

    snprintf(words, sizeof(words), "%s/two", d->root);
    second = lines_below(words);
    assert_true(second >= 20);
    /* The reload may have come before the first ten were routed; none is lost either way. */
    snprintf(words, sizeof(words), "%s/one", d->root);
    assert_int_equal(second + lines_below(words), 30);
}

static void an_address_in_use_is_said_and_ends_it(void **state)
{
    const struct agent_dirs *d = *state;
    struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    socklen_t len = sizeof(addr);
    int taken = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct agent_process a;
    char address[32], text[64];

    assert_true(taken >= 0);
    assert_int_equal(bind(taken, (const struct sockaddr *)&addr, len), 0);
    assert_int_equal(listen(taken, 1), 0);
    assert_int_equal(getsockname(taken, (struct sockaddr *)&addr, &len), 0);
    snprintf(address, sizeof(address), "127.0.0.1:%u", ntohs(addr.sin_port));
    snprintf(text, sizeof(text), "[http]\nlisten = %s\n", address);
    agent_config_write(d, text);
    agent_start(&a, d, run_http);
    agent_expect(&a, address);
    agent_expect(&a, "another program does");
    agent_end(&a, 1);
    close(taken);
}

#define WITH_DIRS(test) cmocka_unit_test_setup_teardown(test, agent_dirs_make, agent_dirs_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_DIRS(either_signal_ends_it_with_zero),
        WITH_DIRS(further_signals_change_nothing),
        WITH_DIRS(what_was_written_is_delivered_before_it_ends),
        WITH_DIRS(what_a_sink_does_not_take_is_kept_for_the_next_start),
        WITH_DIRS(mistakes_in_the_configuration_are_named_and_end_it),
        WITH_DIRS(a_second_agent_of_a_directory_does_not_start),
        WITH_DIRS(a_reload_takes_a_good_file_and_refuses_a_bad_one),
        WITH_DIRS(an_address_in_use_is_said_and_ends_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
