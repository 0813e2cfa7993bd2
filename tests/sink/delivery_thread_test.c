/*
 * delivery, its thread: jobs posted by several threads at once while sinks come and go and others
 * look, and a thread that ends in the midst of it. Nothing listens where the sinks point, so a job
 * comes back when its sink is no more. TSan looks at what the threads share.
 *
 * Owns:   nothing.
 * Thread: the test's, those that post, and delivery's.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "io/file.h"
#include "sink/delivery.h"

enum { POSTERS = 3, JOBS = 200, ROUNDS = 40 };

struct poster {
    struct delivery *delivery;
    pthread_t thread;
    struct remote_job jobs[JOBS];
    _Atomic unsigned over;
};

static struct poster posters[POSTERS];

static const struct remote_settings sink = {
    .name = "web", .type = TARGET_HTTP, .in_flight_max = 4, .timeout_ns = 1000000000,
    .backoff_max_ns = 1000000000, .web = {.url = "http://127.0.0.1:1/", .method = "POST"},
};

static void on_done(struct remote_job *job)
{
    struct poster *p = job->ctx;

    atomic_fetch_add(&p->over, 1);
}

static void *post_all(void *arg)
{
    struct poster *p = arg;

    for (unsigned i = 0; i < JOBS; i++) {
        p->jobs[i] = (struct remote_job){
            .sink = i % 8 == 0 ? "nobody" : "web", .stream = "s", .batch = "b", .place = "",
            .key = "k.json", .type = object_type_of("k.json"), .spool_dir = FILE_CWD,
            .spool_name = "/dev/null", .file_bytes = 1, .events = 1, .done = on_done, .ctx = p,
        };
        delivery_post(p->delivery, &p->jobs[i]);
        if (i % 16 == 0)
            sched_yield();
    }
    return NULL;
}

static struct delivery *open_with_posters(void)
{
    struct delivery *d;
    struct errmsg err;

    assert_int_equal(delivery_open(&d, &err), 0);
    assert_int_equal(delivery_configure(d, &sink, 1), 0);
    assert_int_equal(delivery_start(d, &err), 0);
    for (unsigned i = 0; i < POSTERS; i++) {
        posters[i].delivery = d;
        atomic_store(&posters[i].over, 0);
        assert_int_equal(pthread_create(&posters[i].thread, NULL, post_all, &posters[i]), 0);
    }
    return d;
}

static void posters_join(void)
{
    for (unsigned i = 0; i < POSTERS; i++)
        assert_int_equal(pthread_join(posters[i].thread, NULL), 0);
}

static void every_job_comes_back_to_who_posted_it(void **state)
{
    struct delivery *d = open_with_posters();
    struct delivery_status status;

    (void)state;
    for (unsigned i = 0; i < ROUNDS; i++) {
        assert_int_equal(delivery_configure(d, &sink, i % 2), 0);
        (void)delivery_look(d, "web", &status);
        (void)delivery_failing(d);
        sched_yield();
    }
    posters_join();
    assert_int_equal(delivery_configure(d, NULL, 0), 0);
    for (unsigned i = 0; i < POSTERS; i++) {
        while (atomic_load(&posters[i].over) < JOBS)
            sched_yield();
        for (unsigned k = 0; k < JOBS; k++)
            assert_int_not_equal(posters[i].jobs[k].result, SINK_DONE);
    }
    delivery_close(d);
    for (unsigned i = 0; i < POSTERS; i++)
        assert_int_equal(atomic_load(&posters[i].over), JOBS);
}

static void an_end_in_the_midst_of_it_calls_nobody_afterwards(void **state)
{
    unsigned over[POSTERS];
    struct delivery *d = open_with_posters();

    (void)state;
    posters_join();
    delivery_close(d);
    for (unsigned i = 0; i < POSTERS; i++)
        over[i] = atomic_load(&posters[i].over);
    sched_yield();
    for (unsigned i = 0; i < POSTERS; i++) {
        assert_int_equal(atomic_load(&posters[i].over), over[i]);
        assert_true(over[i] <= JOBS);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_job_comes_back_to_who_posted_it),
        cmocka_unit_test(an_end_in_the_midst_of_it_calls_nobody_afterwards),
    };

    return cmocka_run_group_tests_name("delivery_thread", tests, NULL, NULL);
}
