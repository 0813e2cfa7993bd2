/*
 * notify: what the service manager hears, message by message, and of a whole life of an agent.
 *
 * Owns:   a datagram socket in the place of the manager's, directories as agent_process.h has them.
 * Thread: the test's; the agent is a process.
 */
#include "control/agent_process.h"

#include <sys/socket.h>
#include <sys/un.h>

#include "control/lifecycle.h"
#include "control/notify.h"

enum { MESSAGE_MAX = 1024 };

static int manager = -1;

/* A name without a file begins with '@', as in NOTIFY_SOCKET. */
static void manager_bind(const char *name)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name));

    manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(manager >= 0);
    memcpy(addr.sun_path, name, strlen(name));
    if (name[0] == '@')
        addr.sun_path[0] = '\0';
    assert_int_equal(bind(manager, (const struct sockaddr *)&addr, len + (name[0] == '/')), 0);
    assert_int_equal(setenv("NOTIFY_SOCKET", name, 1), 0);
}

/* The next message; fails where none comes. */
static const char *manager_hears(void)
{
    static char text[MESSAGE_MAX];
    struct pollfd fd = {.fd = manager, .events = POLLIN};
    ssize_t n;

    if (poll(&fd, 1, AGENT_WAIT_MS) != 1)
        fail_msg("no message in %d ms", AGENT_WAIT_MS);
    n = recv(manager, text, sizeof(text) - 1, 0);
    assert_true(n > 0);
    text[n] = '\0';
    return text;
}

static bool manager_has_more(void)
{
    struct pollfd fd = {.fd = manager, .events = POLLIN};

    return poll(&fd, 1, 0) == 1;
}

/* Past signs of life, the first other message. */
static const char *manager_hears_news(void)
{
    const char *text;

    do {
        text = manager_hears();
    } while (strcmp(text, "WATCHDOG=1") == 0);
    return text;
}

static int setup(void **state)
{
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
    return agent_dirs_make(state);
}

static int teardown(void **state)
{
    if (manager >= 0)
        close(manager);
    manager = -1;
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
    return agent_dirs_remove(state);
}

static void without_a_manager_nothing_is_sent_and_nothing_is_wrong(void **state)
{
    struct notify n;
    struct errmsg err;

    (void)state;
    setenv("WATCHDOG_USEC", "1000000", 1);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(notify_open(&n, &err), 0);
        assert_false(notify_due(&n));
        notify_send(&n, "READY=1");
        notify_close(&n);
        setenv("NOTIFY_SOCKET", "", 1);
    }
}

static void messages_arrive_by_path_and_by_abstract_name(void **state)
{
    const struct agent_dirs *d = *state;
    struct notify n;
    struct errmsg err;
    char name[2][128];

    snprintf(name[0], sizeof(name[0]), "%s/notify", d->root);
    snprintf(name[1], sizeof(name[1]), "@%s/notify", d->root);
    for (int i = 0; i < 2; i++) {
        manager_bind(name[i]);
        assert_int_equal(notify_open(&n, &err), 0);
        notify_send(&n, "READY=1\nSTATUS=%s", "up");
        assert_string_equal(manager_hears(), "READY=1\nSTATUS=up");
        notify_reloading(&n);
        assert_non_null(strstr(manager_hears(), "RELOADING=1\nMONOTONIC_USEC="));
        notify_close(&n);
        close(manager);
    }
    manager = -1;
}

static void a_socket_that_cannot_be_is_said(void **state)
{
    struct notify n;
    struct errmsg err;
    char longest[300];

    (void)state;
    memset(longest, 'x', sizeof(longest) - 1);
    longest[0] = '/';
    longest[sizeof(longest) - 1] = '\0';
    setenv("NOTIFY_SOCKET", longest, 1);
    assert_int_equal(notify_open(&n, &err), -ENAMETOOLONG);
    setenv("NOTIFY_SOCKET", "vsock:2:1", 1);
    assert_int_equal(notify_open(&n, &err), -EAFNOSUPPORT);
    setenv("NOTIFY_SOCKET", "/nowhere/notify", 1);
    assert_int_equal(notify_open(&n, &err), -ENOENT);
    assert_non_null(strstr(err.text, "/nowhere/notify"));
    assert_false(notify_due(&n));
    notify_send(&n, "READY=1");
}

static void the_watchdog_is_for_this_process_alone(void **state)
{
    static const char *const none[] = {"", "0", "-1", "1s", "99999999999999999999"};
    const struct agent_dirs *d = *state;
    struct notify n;
    struct errmsg err;
    char name[128], pid[32];

    snprintf(name, sizeof(name), "@%s", d->root);
    manager_bind(name);
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
        setenv("WATCHDOG_USEC", none[i], 1);
        assert_int_equal(notify_open(&n, &err), 0);
        assert_int_equal(n.interval_ns, 0);
        assert_false(notify_due(&n));
        notify_close(&n);
    }
    setenv("WATCHDOG_USEC", "3600000000", 1);
    for (int own = 0; own < 2; own++) {
        snprintf(pid, sizeof(pid), "%d", (int)(own ? getpid() : getppid()));
        setenv("WATCHDOG_PID", pid, 1);
        assert_int_equal(notify_open(&n, &err), 0);
        assert_int_equal(n.interval_ns, own ? 1800000000000 : 0);
        if (own) {
            assert_true(notify_due(&n));
            notify_alive(&n);
            assert_false(notify_due(&n));       /* for half an hour */
            assert_string_equal(manager_hears(), "WATCHDOG=1");
        }
        notify_close(&n);
    }
}

static int run_config(const struct agent_dirs *d)
{
    const struct config_overrides over = {.data_dir = d->data, .shm_dir = d->shm, .http = "off"};
    char pid[32];

    snprintf(pid, sizeof(pid), "%d", (int)getpid());
    setenv("WATCHDOG_PID", pid, 1);
    return lifecycle_run(d->config, &over);
}

static void a_life_is_told_from_its_first_turn_to_its_last(void **state)
{
    const struct agent_dirs *d = *state;
    struct agent_process a;
    char name[128];

    snprintf(name, sizeof(name), "%s/notify", d->root);
    manager_bind(name);
    setenv("WATCHDOG_USEC", "20000", 1);
    agent_config_write(d, "[agent]\nshards = 2\nshutdown_timeout = 7s\n");
    agent_start(&a, d, run_config);
    assert_string_equal(manager_hears(), "STATUS=Reading the log");
    assert_non_null(strstr(manager_hears(), "READY=1\nSTATUS=Taking events from rings in "));
    agent_expect(&a, "rings in ");
    for (int i = 0; i < 5; i++)
        assert_string_equal(manager_hears(), "WATCHDOG=1");

    agent_signal(&a, SIGHUP);
    assert_non_null(strstr(manager_hears_news(), "RELOADING=1\n"));
    assert_non_null(strstr(manager_hears_news(), "READY=1\n"));
    agent_expect(&a, "reloaded ");

    agent_config_write(d, "[agent]\nshards = none\n");
    agent_signal(&a, SIGHUP);       /* one that is refused ends, too */
    assert_non_null(strstr(manager_hears_news(), "RELOADING=1\n"));
    assert_non_null(strstr(manager_hears_news(), "READY=1\n"));

    agent_signal(&a, SIGTERM);
    assert_non_null(strstr(manager_hears_news(),
                           "STOPPING=1\nEXTEND_TIMEOUT_USEC=37000000\nSTATUS="));
    agent_end(&a, 0);
    while (manager_has_more())
        assert_string_equal(manager_hears(), "WATCHDOG=1");
}

static void a_start_that_fails_is_never_ready(void **state)
{
    const struct agent_dirs *d = *state;
    struct agent_process a;
    char name[128];

    snprintf(name, sizeof(name), "@%s", d->root);
    manager_bind(name);
    agent_config_write(d, "[wal]\ndir = /dev/null/wal\n");
    agent_start(&a, d, run_config);
    agent_end(&a, 1);
    assert_string_equal(manager_hears(), "STATUS=Reading the log");
    assert_false(manager_has_more());
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(without_a_manager_nothing_is_sent_and_nothing_is_wrong),
        TEST(messages_arrive_by_path_and_by_abstract_name),
        TEST(a_socket_that_cannot_be_is_said),
        TEST(the_watchdog_is_for_this_process_alone),
        TEST(a_life_is_told_from_its_first_turn_to_its_last),
        TEST(a_start_that_fails_is_never_ready),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
