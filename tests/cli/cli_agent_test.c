/*
 * cli_agent: what `hydrant agent` makes of its line and of its environment.
 */
#include "cli/capture.h"

#include "cli/cli.h"
#include "cli/cli_exit.h"
#include "control/agent_process.h"

static struct capture capture;

/* The line of the next child: words, NULL at the end. argv[0] is the command's. */
static char *line[16];

static int run_line(const struct agent_dirs *d)
{
    int argc = 0;

    (void)d;
    while (line[argc] != NULL)
        argc++;
    return cli_agent(argc, line);
}

static void line_set(const char *const *words)
{
    size_t n = 0;

    for (; words[n] != NULL; n++) {
        assert_true(n < sizeof(line) / sizeof(line[0]) - 1);
        line[n] = (char *)(uintptr_t)words[n];
    }
    line[n] = NULL;
}

static void help_says_what_it_does_and_how_it_ends(void **state)
{
    (void)state;
    capture_expect(&capture, cli_agent, "agent --help", CLI_OK, "usage: hydrant agent", "");
    capture_expect(&capture, cli_agent, "agent -h", CLI_OK, "--data-dir DIR", "");
    capture_expect(&capture, cli_agent, "agent --help", CLI_OK, "SIGHUP", "");
}

static void a_wrong_line_starts_nothing(void **state)
{
    (void)state;
    capture_expect(&capture, cli_agent, "agent stray", CLI_USAGE, "", "stray");
    capture_expect(&capture, cli_agent, "agent --nonsense", CLI_USAGE, "", "nonsense");
    capture_expect(&capture, cli_agent, "agent --data-dir", CLI_USAGE, "", "data-dir");
    capture_expect(&capture, cli_agent, "agent -c", CLI_USAGE, "", "");
    capture_expect(&capture, cli_agent, "agent --http off stray", CLI_USAGE, "", "stray");
    capture_expect(&capture, cli_agent, "agent --http nonsense", CLI_USAGE, "",
                   "--http: 'nonsense' is not ADDR:PORT");
    capture_expect(&capture, cli_agent, "agent --http unix:", CLI_USAGE, "", "--http: 'unix:'");
    capture_expect(&capture, cli_agent, "agent --data-dir=", CLI_USAGE, "", "--data-dir: ");
    capture_expect(&capture, cli_agent, "agent --shm-dir=", CLI_USAGE, "", "--shm-dir: ");
}

static void a_configuration_that_is_not_there_ends_it(void **state)
{
    (void)state;
    capture_expect(&capture, cli_agent, "agent -c /nowhere/hydrant.ini", CLI_FAILED, "",
                   "/nowhere/hydrant.ini");
}

static void the_line_counts_before_file_and_environment(void **state)
{
    const struct agent_dirs *d = *state;
    struct agent_process a;

    agent_config_write(d, "[agent]\ndata_dir = /nowhere/data\nshm_dir = /nowhere/shm\n"
                          "[http]\nlisten = 127.0.0.1:1\n");
    assert_int_equal(setenv("HYDRANT_SHM_DIR", "/nowhere/environment", 1), 0);
    assert_int_equal(setenv("HYDRANT_HTTP", "127.0.0.1:2", 1), 0);
    line_set((const char *const[]){ "agent", "-c", d->config, "--data-dir", d->data, "--shm-dir",
                                    d->shm, "--http", "off", NULL });
    agent_start(&a, d, run_line);
    agent_expect(&a, "rings in ");
    agent_expect(&a, d->shm);
    agent_expect(&a, d->data);
    agent_expect(&a, "off");
    agent_signal(&a, SIGTERM);
    agent_end(&a, 0);
    assert_int_equal(access(d->data, F_OK), 0);
}

static void the_environment_counts_before_the_file(void **state)
{
    const struct agent_dirs *d = *state;
    struct agent_process a;
    char text[256];

    snprintf(text, sizeof(text),
             "[agent]\ndata_dir = %s\nshm_dir = /nowhere/shm\n[http]\nlisten = 127.0.0.1:1\n",
             d->data);
    agent_config_write(d, text);
    assert_int_equal(setenv("HYDRANT_SHM_DIR", d->shm, 1), 0);
    assert_int_equal(setenv("HYDRANT_HTTP", "off", 1), 0);
    line_set((const char *const[]){ "agent", "--config", d->config, NULL });
    agent_start(&a, d, run_line);
    agent_expect(&a, "rings in ");
    agent_expect(&a, d->shm);
    agent_expect(&a, d->data);
    agent_signal(&a, SIGTERM);
    agent_end(&a, 0);
}

static void an_empty_variable_says_nothing(void **state)
{
    const struct agent_dirs *d = *state;
    struct agent_process a;
    char text[256];

    snprintf(text, sizeof(text), "[agent]\ndata_dir = %s\nshm_dir = %s\n[http]\nlisten = off\n",
             d->data, d->shm);
    agent_config_write(d, text);
    assert_int_equal(setenv("HYDRANT_SHM_DIR", "", 1), 0);
    assert_int_equal(setenv("HYDRANT_HTTP", "", 1), 0);
    line_set((const char *const[]){ "agent", "-c", d->config, NULL });
    agent_start(&a, d, run_line);
    agent_expect(&a, "rings in ");
    agent_expect(&a, d->shm);
    agent_signal(&a, SIGTERM);
    agent_end(&a, 0);
}

static int environment_clear(void **state)
{
    return unsetenv("HYDRANT_SHM_DIR") != 0 || unsetenv("HYDRANT_HTTP") != 0
           ? -1 : agent_dirs_remove(state);
}

#define WITH_DIRS(test) cmocka_unit_test_setup_teardown(test, agent_dirs_make, environment_clear)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(help_says_what_it_does_and_how_it_ends),
        cmocka_unit_test(a_wrong_line_starts_nothing),
        cmocka_unit_test(a_configuration_that_is_not_there_ends_it),
        WITH_DIRS(the_line_counts_before_file_and_environment),
        WITH_DIRS(the_environment_counts_before_the_file),
        WITH_DIRS(an_empty_variable_says_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
