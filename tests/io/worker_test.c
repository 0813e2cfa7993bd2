/*
 * worker_test: work beside the loop: in order, one at a time, its results handed over to the loop's
 * thread and back without a race (TSan looks), and a loop that is closed in the midst of it.
 *
 * Owns:   nothing.
 * Thread: the test's, and the worker's.
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#include "io/loop_contract.h"
#include "io/real_dirs.h"

enum { JOBS = 500 };

struct job {
    struct result r;
    uint64_t *sum;              /* of all before: plain memory that changes hands with each job */
    uint64_t add;
    pthread_t ran_on;
};

static int add(void *arg)
{
    struct job *job = arg;

    *job->sum = *job->sum * 31 + job->add;
    job->ran_on = pthread_self();
    return (int)job->add;
}

static void work_runs_in_order_on_a_thread_of_its_own(void **state)
{
    struct io_loop *loop = make_loop(4);
    static struct job jobs[JOBS];
    uint64_t sum = 1, want = 1;

    (void)state;
    for (uint64_t i = 0; i < JOBS; i++) {
        jobs[i] = (struct job){.sum = &sum, .add = i};
        want = want * 31 + i;
        io_work(loop, op_of(&jobs[i].r), add, &jobs[i], on_result);
        assert_int_equal(jobs[i].r.calls, 0);
    }
    assert_int_equal(loop_in_flight(loop), JOBS);
    for (int i = 0; i < JOBS; i++) {
        assert_int_equal(wait_for(loop, &jobs[i].r), i);
        assert_false(pthread_equal(jobs[i].ran_on, pthread_self()));
    }
    assert_true(sum == want);
    assert_int_equal(loop_in_flight(loop), 0);
    loop_close(loop);
}

static void memory_goes_to_the_worker_and_back(void **state)
{
    struct io_loop *loop = make_loop(4);
    uint64_t sum = 1, want = 1;

    (void)state;
    for (uint64_t i = 1; i <= JOBS; i++) {
        struct job job = {.sum = &sum, .add = i};

        io_work(loop, op_of(&job.r), add, &job, on_result);
        assert_int_equal(wait_for(loop, &job.r), (int)i);
        want = (want * 31 + i) + 7;
        sum += 7;
    }
    assert_true(sum == want);
    loop_close(loop);
}

struct gate {
    _Atomic bool entered, open;
    bool left;                  /* plain: loop_close() hands it back */
};

static int pass(void *arg)
{
    struct gate *gate = arg;

    atomic_store(&gate->entered, true);
    while (!atomic_load(&gate->open))
        sched_yield();
    gate->left = true;
    return 0;
}

static void *open_later(void *arg)
{
    struct gate *gate = arg;

    while (!atomic_load(&gate->entered))
        sched_yield();
    atomic_store(&gate->open, true);
    return NULL;
}

static void closing_waits_for_what_runs_and_calls_nothing(void **state)
{
    struct io_loop *loop = make_loop(4);
    struct gate first = {0}, second = {.open = true};   /* which may run or not */
    struct result r[2];
    pthread_t thread;

    (void)state;
    io_work(loop, op_of(&r[0]), pass, &first, on_result);
    while (!atomic_load(&first.entered))
        sched_yield();
    io_work(loop, op_of(&r[1]), pass, &second, on_result);
    assert_int_equal(pthread_create(&thread, NULL, open_later, &first), 0);
    loop_close(loop);
    assert_true(first.left);
    assert_true(second.left == atomic_load(&second.entered));
    assert_int_equal(r[0].calls + r[1].calls, 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

static _Atomic bool signal_met;

static void on_signal(int sig)
{
    (void)sig;
    atomic_store(&signal_met, true);
}

static int blocked(void *arg)
{
    sigset_t now;

    (void)arg;
    return pthread_sigmask(SIG_SETMASK, NULL, &now) == 0 && sigismember(&now, SIGTERM) == 1;
}

static void signals_are_for_other_threads(void **state)
{
    struct io_loop *loop = make_loop(4);
    struct result r;
    sigset_t now;

    (void)state;
    assert_true(signal(SIGUSR1, on_signal) != SIG_ERR);
    io_work(loop, op_of(&r), blocked, NULL, on_result);
    assert_int_equal(wait_for(loop, &r), 1);
    assert_int_equal(pthread_sigmask(SIG_SETMASK, NULL, &now), 0);
    assert_int_equal(sigismember(&now, SIGTERM), 0);
    assert_int_equal(raise(SIGUSR1), 0);
    assert_true(atomic_load(&signal_met));
    loop_close(loop);
}

#define REAL(test) cmocka_unit_test_setup_teardown(test, real_dirs_setup, real_dirs_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        REAL(work_runs_in_order_on_a_thread_of_its_own),
        REAL(memory_goes_to_the_worker_and_back),
        REAL(closing_waits_for_what_runs_and_calls_nothing),
        REAL(signals_are_for_other_threads),
    };

    return cmocka_run_group_tests_name("worker", tests, NULL, NULL);
}
