/*
 * relay, its thread: batches posted and forgotten by several threads at once while sinks come and
 * go and others look, and a thread that ends in the midst of it. Nothing listens where the sinks
 * point, so a job comes back when its sink is no more. TSan looks at what the threads share.
 *
 * Owns:   nothing.
 * Thread: the test's, those that post, and the relay's.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "io/file.h"
#include "sink/relay.h"

enum { POSTERS = 3, JOBS = 200, ROUNDS = 40 };

struct poster {
    struct relay *relay;
    pthread_t thread;
    struct remote_job jobs[JOBS];
    _Atomic unsigned over;
};

static struct poster posters[POSTERS];
static const uint8_t uuid[16] = "log of a sender";
static char address[32];
static int bound = -1;                  /* holds the port, where nobody listens */

static struct relay_sink_settings sink_of(const char *name)
{
    return (struct relay_sink_settings){
        .name = name, .address = address, .ca_file = "", .cert_file = "", .key_file = "",
        .in_flight_max = 4, .timeout_ns = 1000000000, .backoff_max_ns = 1000000,
    };
}

static int group_setup(void **state)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);

    (void)state;
    log_init(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
    bound = socket(AF_INET, SOCK_STREAM, 0);
    if (bound < 0 || bind(bound, (struct sockaddr *)&at, len)
        || getsockname(bound, (struct sockaddr *)&at, &len))
        return -1;
    snprintf(address, sizeof(address), "127.0.0.1:%u", ntohs(at.sin_port));
    return 0;
}

static int group_teardown(void **state)
{
    (void)state;
    return close(bound);
}

static void on_done(struct remote_job *job)
{
    struct poster *p = job->ctx;

    atomic_fetch_add(&p->over, 1);
}

static void *post_all(void *arg)
{
    struct poster *p = arg;

    for (unsigned i = 0; i < JOBS; i++) {
        struct batch_id id = {1, (uint16_t)(p - posters), i + 1};

        p->jobs[i] = (struct remote_job){
            .sink = i % 8 == 0 ? "nobody" : "central", .stream = "s", .spool_dir = FILE_CWD,
            .spool_name = "/dev/null", .done = on_done, .ctx = p,
        };
        relay_post(p->relay, &p->jobs[i], &id);
        if (i % 4 == 0)
            relay_forget(p->relay, i % 8 == 0 ? "central" : "nobody", &id, &id);
        if (i % 16 == 0)
            sched_yield();
    }
    return NULL;
}

static struct relay *open_with_posters(void)
{
    struct relay_sink_settings sink = sink_of("central");
    struct relay *r;
    struct errmsg err;

    assert_int_equal(relay_open(uuid, &r, &err), 0);
    assert_int_equal(relay_configure(r, &sink, 1, &err), 0);
    for (unsigned i = 0; i < POSTERS; i++) {
        posters[i].relay = r;
        atomic_store(&posters[i].over, 0);
        assert_int_equal(pthread_create(&posters[i].thread, NULL, post_all, &posters[i]), 0);
    }
    return r;
}

static void posters_join(void)
{
    for (unsigned i = 0; i < POSTERS; i++)
        assert_int_equal(pthread_join(posters[i].thread, NULL), 0);
}

static void every_job_comes_back_to_who_posted_it(void **state)
{
    struct relay *r = open_with_posters();
    struct relay_sink_settings sinks[] = {sink_of("central"), sink_of("other")};
    struct delivery_status status;
    struct errmsg err;

    (void)state;
    for (unsigned i = 0; i < ROUNDS; i++) {
        assert_int_equal(relay_configure(r, sinks, i % 3, &err), 0);
        (void)relay_look(r, "central", &status);
        (void)relay_failing(r);
        sched_yield();
    }
    posters_join();
    assert_int_equal(relay_configure(r, NULL, 0, &err), 0);
    for (unsigned i = 0; i < POSTERS; i++) {
        while (atomic_load(&posters[i].over) < JOBS)
            sched_yield();
        for (unsigned k = 0; k < JOBS; k++) {
            assert_int_equal(posters[i].jobs[k].result, SINK_RETRY);
            assert_non_null(strstr(posters[i].jobs[k].err.text, "there is no such sink"));
        }
    }
    while (relay_look(r, "central", &status))
        sched_yield();
    assert_false(relay_failing(r));
    relay_close(r);
    for (unsigned i = 0; i < POSTERS; i++)
        assert_int_equal(atomic_load(&posters[i].over), JOBS);
}

static void an_end_in_the_midst_of_it_calls_nobody_afterwards(void **state)
{
    unsigned over[POSTERS];
    struct relay *r = open_with_posters();

    (void)state;
    posters_join();
    relay_close(r);
    for (unsigned i = 0; i < POSTERS; i++)
        over[i] = atomic_load(&posters[i].over);
    sched_yield();
    for (unsigned i = 0; i < POSTERS; i++) {
        assert_int_equal(atomic_load(&posters[i].over), over[i]);
        /* Those for nobody may be back, those for the sink cannot. */
        assert_true(over[i] <= JOBS / 8);
    }
}

static void a_reload_keeps_what_waits_and_why(void **state)
{
    struct relay *r = open_with_posters();
    struct relay_sink_settings sinks[] = {sink_of("other"), sink_of("central")};
    struct delivery_status status = {.jobs = 0};
    struct errmsg err;

    (void)state;
    posters_join();
    assert_int_equal(relay_configure(r, sinks, 2, &err), 0);
    while (!relay_look(r, "other", &status) || !relay_look(r, "central", &status)
           || status.jobs < POSTERS * (JOBS - JOBS / 8) || status.retries == 0)
        sched_yield();
    assert_int_equal(status.jobs, POSTERS * (JOBS - JOBS / 8));
    assert_int_equal(status.window, 4);
    assert_int_equal(status.in_flight, 0);
    assert_string_equal(status.waits_because, "Connection refused");
    assert_true(relay_failing(r));
    assert_true(relay_look(r, "other", &status));
    assert_int_equal(status.jobs, 0);
    assert_string_equal(status.waits_because, "");
    relay_close(r);
}

static void a_sink_that_cannot_be_made_changes_nothing(void **state)
{
    struct relay *r = open_with_posters();
    struct relay_sink_settings sinks[] = {sink_of("other"), sink_of("tls")};
    struct delivery_status status;
    struct errmsg err;

    (void)state;
    posters_join();
    sinks[1].tls = true;
    sinks[1].ca_file = "/nowhere/ca.pem";
    assert_int_equal(relay_configure(r, sinks, 2, &err), -EINVAL);
    assert_non_null(strstr(err.text, "sink 'tls': certificates to trust '/nowhere/ca.pem': "));
    while (!relay_look(r, "central", &status) || status.retries == 0)
        sched_yield();
    assert_false(relay_look(r, "other", &status));
    relay_close(r);
}

static void closing_nothing_is_fine(void **state)
{
    struct relay *r;
    struct errmsg err;

    (void)state;
    relay_close(NULL);
    assert_int_equal(relay_open(uuid, &r, &err), 0);
    relay_close(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_job_comes_back_to_who_posted_it),
        cmocka_unit_test(an_end_in_the_midst_of_it_calls_nobody_afterwards),
        cmocka_unit_test(a_reload_keeps_what_waits_and_why),
        cmocka_unit_test(a_sink_that_cannot_be_made_changes_nothing),
        cmocka_unit_test(closing_nothing_is_fine),
    };

    return cmocka_run_group_tests_name("relay", tests, group_setup, group_teardown);
}
