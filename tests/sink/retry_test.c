/*
 * retry: each rule by itself, then whole sinks over virtual time: many jobs, a service that works,
 * fails, throttles and comes back, by seed.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "sink/retry.h"
#include "support/rng.h"

#define SECOND RETRY_SECOND_NS
#define MINUTE (60 * SECOND)
#define MAX_RANDOM UINT64_MAX

static const struct retry_limits usual = { .backoff_max_ns = 60 * SECOND, .in_flight_max = 8 };

static struct retry_reply reply_of(enum retry_class class)
{
    return (struct retry_reply){ .class = class, .text = "said so" };
}

static void again(struct retry *r, struct retry_job *job, enum retry_class class, uint64_t now_ns,
                  uint64_t random)
{
    struct retry_reply reply = reply_of(class);

    assert_true(retry_begin(r, job, now_ns));
    retry_done(r, job, &reply, now_ns, random);
}

/* Fails until the breaker is open; returns the time. */
static uint64_t break_it(struct retry *r, uint64_t now_ns)
{
    for (int i = 0; i < RETRY_FAILURES_MAX; i++)
        again(r, &(struct retry_job){ 0 }, RETRY_AGAIN, now_ns, 0);
    assert_int_equal(r->state, RETRY_STATE_OPEN);
    return now_ns;
}

static void pauses_are_random_below_a_bound_that_doubles(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 20; i++) {
        struct retry_job job = { .attempts = i };
        uint64_t bound = i < 6 ? SECOND << i : 60 * SECOND;
        struct retry r;

        retry_init(&r, &usual, 0);
        again(&r, &job, RETRY_AGAIN, 7, MAX_RANDOM);
        assert_int_equal(retry_next_ns(&r, &job), 7 + bound);
        assert_false(retry_begin(&r, &job, 6 + bound));
        again(&r, &job, RETRY_OK, 7 + bound, 0);
        assert_int_equal(job.attempts, 0);

        retry_init(&r, &usual, 0);
        job = (struct retry_job){ .attempts = i };
        again(&r, &job, RETRY_AGAIN, 7, 0);
        assert_int_equal(retry_next_ns(&r, &job), 7);
    }
}

static void a_bound_below_the_first_pause_holds(void **state)
{
    struct retry_limits limits = { .backoff_max_ns = SECOND / 10, .in_flight_max = 1 };
    struct retry_job job = { 0 };
    struct retry r;
    uint64_t now_ns = 0;

    (void)state;
    retry_init(&r, &limits, 0);
    for (int i = 0; i < 100; i++) {
        again(&r, &job, RETRY_AGAIN, now_ns, MAX_RANDOM);
        assert_int_equal(retry_next_ns(&r, &job), now_ns + SECOND / 10);
        now_ns += SECOND / 10;
    }
}

static void attempts_have_no_end(void **state)
{
    struct retry_job job = { .attempts = UINT32_MAX - 1 };
    struct retry r;

    (void)state;
    retry_init(&r, &usual, 0);
    r.failures = UINT32_MAX - 1;
    for (uint64_t now_ns = 0; now_ns < 10 * MINUTE; now_ns += MINUTE)
        again(&r, &job, RETRY_AGAIN, now_ns, MAX_RANDOM);
    assert_int_equal(job.attempts, UINT32_MAX);
    again(&r, &job, RETRY_OK, 10 * MINUTE, 0);
    assert_int_equal(r.failures, 0);
}

static void retry_after_holds_the_whole_sink(void **state)
{
    struct retry_reply busy = { .class = RETRY_THROTTLED, .after_ns = 90 * SECOND };
    struct retry_job job = { 0 }, other = { 0 };
    struct retry_status status;
    struct retry r;

    (void)state;
    retry_init(&r, &usual, 0);
    assert_true(retry_begin(&r, &job, 0));
    retry_done(&r, &job, &busy, 5, 0);
    assert_int_equal(retry_next_ns(&r, &job), 5 + 90 * SECOND);
    assert_int_equal(retry_next_ns(&r, &other), 5 + 90 * SECOND);
    assert_false(retry_begin(&r, &other, 4 + 90 * SECOND));
    retry_look(&r, 6, &status);
    assert_int_equal(status.next_ns, 5 + 90 * SECOND);
    retry_look(&r, 5 + 90 * SECOND, &status);
    assert_int_equal(status.next_ns, 0);
    assert_true(retry_begin(&r, &other, 5 + 90 * SECOND));
}

static void a_wish_for_more_than_an_hour_is_an_hour(void **state)
{
    struct retry_reply busy = { .class = RETRY_AGAIN, .after_ns = UINT64_MAX };
    struct retry_job job = { 0 };
    struct retry r;

    (void)state;
    retry_init(&r, &usual, 0);
    assert_true(retry_begin(&r, &job, 9));
    retry_done(&r, &job, &busy, 9, 0);
    assert_int_equal(retry_next_ns(&r, &job), 9 + RETRY_AFTER_MAX_NS);
}

static void failures_in_a_row_open_the_breaker(void **state)
{
    struct retry_job job = { 0 };
    struct retry_status status;
    struct retry r;

    (void)state;
    retry_init(&r, &usual, 0);
    for (int i = 0; i < 3 * RETRY_FAILURES_MAX; i++) {  /* not in a row */
        again(&r, &job, RETRY_AGAIN, 0, 0);
        assert_int_equal(r.state, RETRY_STATE_FAILING);
        if (i % 3 == 0)
            again(&r, &job, RETRY_OK, 0, 0);
        else if (i % 3 == 1)
            again(&r, &(struct retry_job){ 0 }, RETRY_REJECT, 0, 0);
    }
    again(&r, &job, RETRY_OK, 0, 0);
    for (int i = 0; i < RETRY_FAILURES_MAX; i++)
        again(&r, &job, RETRY_AGAIN, 100 + (uint64_t)i, 0);
    retry_look(&r, 200, &status);
    assert_int_equal(status.state, RETRY_STATE_OPEN);
    assert_int_equal(status.since_ns, 104);
    assert_int_equal(status.next_ns, 104 + 16 * SECOND / 2);   /* of the fifth pause */
    assert_int_equal(status.failures, RETRY_FAILURES_MAX);
    assert_string_equal(status.error, "said so");
    assert_int_equal(status.error_ns, 104);
    assert_string_equal(retry_state_name(status.state), "open");
}

static void an_open_breaker_lets_one_probe_out(void **state)
{
    struct retry_job job = { 0 }, other = { 0 };
    struct retry_reply bad = reply_of(RETRY_AGAIN);
    struct retry_status status;
    struct retry r;
    uint64_t now_ns, bound = SECOND;

    (void)state;
    retry_init(&r, &usual, 0);
    now_ns = break_it(&r, MINUTE) + SECOND / 2;
    for (int i = 0; i < 12; i++) {
        assert_false(retry_begin(&r, &job, now_ns - 1));
        assert_true(retry_begin(&r, &job, now_ns));
        assert_int_equal(r.state, RETRY_STATE_PROBING);
        assert_int_equal(retry_next_ns(&r, &other), RETRY_NEVER_NS);
        retry_done(&r, &job, &bad, now_ns, MAX_RANDOM);
        bound = bound * 2 < 60 * SECOND ? bound * 2 : 60 * SECOND;
        assert_int_equal(retry_next_ns(&r, &job), now_ns + bound);
        assert_int_equal(retry_next_ns(&r, &other), now_ns + bound);
        now_ns += bound;
    }
    retry_look(&r, now_ns, &status);
    assert_int_equal(status.since_ns, MINUTE);          /* probes do not begin a new outage */
    again(&r, &job, RETRY_OK, now_ns, 0);
    assert_int_equal(r.state, RETRY_STATE_SLOWED);
}

static void a_success_closes_the_breaker_and_voids_pauses(void **state)
{
    struct retry_job waiting = { 0 }, probe = { 0 };
    struct retry r;

    (void)state;
    retry_init(&r, &usual, 0);
    for (int i = 0; i < RETRY_FAILURES_MAX; i++) {
        waiting = (struct retry_job){ .attempts = 9 };
        again(&r, &waiting, RETRY_AGAIN, 0, MAX_RANDOM);
    }
    assert_int_equal(waiting.next_ns, MINUTE);
    assert_int_equal(retry_next_ns(&r, &probe), MINUTE);
    waiting.next_ns = 10 * MINUTE;
    again(&r, &probe, RETRY_OK, MINUTE, 0);
    assert_int_equal(retry_next_ns(&r, &waiting), 0);
    again(&r, &waiting, RETRY_AGAIN, MINUTE, MAX_RANDOM);   /* a new pause counts */
    assert_int_equal(retry_next_ns(&r, &waiting), 2 * MINUTE);
}

static void the_window_begins_at_one_after_an_outage(void **state)
{
    struct retry_job jobs[9];
    struct retry_reply good = reply_of(RETRY_OK);
    struct retry r;
    uint64_t now_ns;
    uint32_t seen[16], rounds = 0;

    (void)state;
    retry_init(&r, &usual, 0);
    now_ns = break_it(&r, 0) + MINUTE;
    while (r.window < 8 || rounds == 0) {
        uint32_t out = 0;

        memset(jobs, 0, sizeof(jobs));
        while (out < 9 && retry_begin(&r, &jobs[out], now_ns))
            out++;
        assert_in_range(out, 1, 8);
        for (uint32_t i = 0; i < out; i++)
            retry_done(&r, &jobs[i], &good, now_ns, 0);
        assert_in_range(rounds, 0, 15);
        seen[rounds++] = out;
    }
    assert_int_equal(seen[0], 1);
    assert_int_equal(seen[1], 2);
    assert_int_equal(seen[2], 4);                   /* half of what it was: then one a round */
    assert_int_equal(seen[3], 5);
    assert_int_equal(r.state, RETRY_STATE_FLOWING);
}

static void a_reject_closes_the_breaker_but_never_opens_it(void **state)
{
    struct retry_job bad[20], job = { 0 };
    struct retry r;
    uint64_t now_ns;

    (void)state;
    memset(bad, 0, sizeof(bad));
    retry_init(&r, &usual, 0);
    for (int i = 0; i < 20; i++)
        again(&r, &bad[i], RETRY_REJECT, 0, 0);
    assert_int_equal(r.state, RETRY_STATE_FLOWING);
    assert_int_equal(r.window, 8);
    assert_int_equal(retry_next_ns(&r, &job), 0);
    assert_int_equal(r.rejected, 20);
    now_ns = break_it(&r, 0) + MINUTE;
    again(&r, &job, RETRY_REJECT, now_ns, 0);
    assert_int_equal(r.state, RETRY_STATE_SLOWED);
}

static void a_rejected_job_waits_five_to_ten_minutes(void **state)
{
    struct retry_job job = { 0 };
    struct retry_status status;
    struct retry r;

    (void)state;
    retry_init(&r, &usual, 0);
    for (uint64_t i = 0; i < 50; i++) {
        uint64_t now_ns = i * 10 * MINUTE;

        again(&r, &job, RETRY_REJECT, now_ns, i % 2 ? MAX_RANDOM : 0);
        assert_int_equal(retry_next_ns(&r, &job), now_ns + (i % 2 ? 10 : 5) * MINUTE);
    }
    retry_look(&r, 0, &status);
    assert_int_equal(status.rejected, 1);
    assert_int_equal(status.retries, 49);
    again(&r, &job, RETRY_AGAIN, 500 * MINUTE, 0);      /* the latest answer is what it is */
    assert_int_equal(r.rejected, 0);
}

static void an_outage_does_not_hurry_rejected_jobs(void **state)
{
    struct retry_job job = { 0 };
    struct retry r;
    uint64_t now_ns;

    (void)state;
    retry_init(&r, &usual, 0);
    again(&r, &job, RETRY_REJECT, 0, 0);
    now_ns = break_it(&r, 0) + SECOND;
    assert_int_equal(retry_next_ns(&r, &job), 5 * MINUTE);
    again(&r, &(struct retry_job){ 0 }, RETRY_OK, now_ns, 0);
    assert_int_equal(retry_next_ns(&r, &job), 5 * MINUTE);
}

static void what_helped_one_rejected_job_is_tried_on_the_others(void **state)
{
    struct retry_job first = { 0 }, second = { 0 };
    struct retry r;

    (void)state;
    retry_init(&r, &usual, 0);
    again(&r, &first, RETRY_REJECT, 0, 0);
    again(&r, &second, RETRY_REJECT, 0, MAX_RANDOM);
    again(&r, &(struct retry_job){ 0 }, RETRY_OK, MINUTE, 0);   /* it was not rejected */
    assert_int_equal(retry_next_ns(&r, &second), 10 * MINUTE);
    again(&r, &first, RETRY_OK, 5 * MINUTE, 0);
    assert_int_equal(retry_next_ns(&r, &second), 0);
    again(&r, &second, RETRY_REJECT, 5 * MINUTE, 0);
    assert_int_equal(retry_next_ns(&r, &second), 10 * MINUTE);
}

static void throttling_halves_the_window_once_a_round(void **state)
{
    struct retry_reply slow = reply_of(RETRY_THROTTLED), good = reply_of(RETRY_OK);
    struct retry_limits limits = { .backoff_max_ns = MINUTE, .in_flight_max = 4 };
    struct retry_job jobs[4];
    struct retry r;

    (void)state;
    memset(jobs, 0, sizeof(jobs));
    retry_init(&r, &limits, 0);
    for (int i = 0; i < 4; i++)
        assert_true(retry_begin(&r, &jobs[i], 10));
    for (int i = 0; i < 3; i++)
        retry_done(&r, &jobs[i], &slow, 20, 0);
    assert_int_equal(r.window, 2);
    retry_done(&r, &jobs[3], &good, 20, 0);
    assert_int_equal(r.state, RETRY_STATE_SLOWED);
    again(&r, &jobs[0], RETRY_THROTTLED, 30, 0);
    assert_int_equal(r.window, 1);
    again(&r, &jobs[0], RETRY_THROTTLED, 40, 0);
    assert_int_equal(r.window, 1);
    for (int i = 0; i < 1 + 2 + 3; i++)             /* a window full of successes: one more */
        again(&r, &jobs[0], RETRY_OK, 50, 0);
    assert_int_equal(r.window, 4);
    assert_int_equal(r.state, RETRY_STATE_FLOWING);
}

static void what_the_sink_put_right_is_tried_at_once_but_once(void **state)
{
    static const enum retry_class classes[] = { RETRY_CREDENTIALS, RETRY_CLOCK };

    (void)state;
    for (int i = 0; i < 4; i++) {
        struct retry_job job = { 0 };
        struct retry r;

        retry_init(&r, &usual, 0);
        again(&r, &job, classes[i & 1], 0, MAX_RANDOM);
        assert_int_equal(retry_next_ns(&r, &job), 0);
        assert_int_equal(r.failures, 0);
        again(&r, &job, classes[i >> 1], 0, MAX_RANDOM);
        assert_int_equal(retry_next_ns(&r, &job), SECOND);
        assert_int_equal(r.failures, 1);
        again(&r, &job, RETRY_OK, SECOND, 0);
        again(&r, &job, classes[i & 1], SECOND, MAX_RANDOM);
        assert_true(retry_next_ns(&r, &job) <= SECOND);
    }
}

static void a_probe_that_needs_new_credentials_is_repeated_at_once(void **state)
{
    struct retry_job job = { 0 };
    struct retry r;
    uint64_t now_ns;

    (void)state;
    retry_init(&r, &usual, 0);
    now_ns = break_it(&r, 0) + MINUTE;
    again(&r, &job, RETRY_CREDENTIALS, now_ns, MAX_RANDOM);
    assert_int_equal(r.state, RETRY_STATE_OPEN);
    again(&r, &job, RETRY_OK, now_ns, 0);
    assert_int_equal(r.state, RETRY_STATE_SLOWED);
}

static void a_forgotten_probe_makes_room_for_another(void **state)
{
    struct retry_job job = { 0 }, other = { 0 };
    struct retry r;
    uint64_t now_ns;

    (void)state;
    retry_init(&r, &usual, 0);
    now_ns = break_it(&r, 0) + MINUTE;
    assert_true(retry_begin(&r, &job, now_ns));
    assert_false(retry_begin(&r, &other, now_ns));
    retry_forget(&r, &job, now_ns);
    assert_int_equal(r.in_flight, 0);
    assert_true(retry_begin(&r, &other, now_ns));
    retry_forget(&r, &other, now_ns);
    again(&r, &other, RETRY_REJECT, now_ns, 0);
    retry_forget(&r, &other, now_ns);
    assert_int_equal(r.rejected, 0);
}

static void limits_change_while_it_runs(void **state)
{
    struct retry_limits more = { .backoff_max_ns = MINUTE, .in_flight_max = 32 };
    struct retry_limits fewer = { .backoff_max_ns = MINUTE, .in_flight_max = 2 };
    struct retry_job jobs[8];
    struct retry r;

    (void)state;
    memset(jobs, 0, sizeof(jobs));
    retry_init(&r, &usual, 0);
    retry_limits_set(&r, &more);
    assert_int_equal(r.window, 32);
    for (int i = 0; i < 8; i++)
        assert_true(retry_begin(&r, &jobs[i], 0));
    retry_limits_set(&r, &fewer);
    assert_int_equal(r.window, 2);
    for (int i = 0; i < 8; i++) {
        assert_int_equal(retry_next_ns(&r, &(struct retry_job){ 0 }),
                         r.in_flight < 2 ? 0 : RETRY_NEVER_NS);
        retry_forget(&r, &jobs[i], 0);
    }
    r.window = 1;                                   /* throttled: that stays */
    retry_limits_set(&r, &more);
    assert_int_equal(r.window, 1);
}

/* --- whole sinks over virtual time ---------------------------------------------------------- */

enum { JOBS_MAX = 1000 };

struct service {
    uint64_t down_ns, up_ns;        /* fails from, until */
    uint64_t latency_ns;
    uint32_t at_once_max;           /* beyond: throttled */
    uint32_t noise_percent;         /* of any other answer */
};

struct life {
    struct retry r;
    struct retry_limits limits;
    struct service service;
    struct retry_job job[JOBS_MAX];
    uint64_t ends_ns[JOBS_MAX];     /* of the request; 0: none */
    bool over[JOBS_MAX];
    struct retry_reply reply[JOBS_MAX];
    uint32_t jobs, left;
    uint64_t now_ns, seed;
    uint64_t requests, in_outage, out_max;
    uint64_t first_ok_ns, last_ok_ns;   /* after the outage */
};

static uint64_t draw(struct life *l)
{
    return rng_next(&l->seed) * 0x2545f4914f6cdd1dULL;
}

static void decide(struct life *l, uint32_t i)
{
    struct retry_reply *reply = &l->reply[i];
    bool down = l->now_ns >= l->service.down_ns && l->now_ns < l->service.up_ns;

    *reply = (struct retry_reply){ .class = RETRY_OK };
    l->ends_ns[i] = l->now_ns + 1 + draw(l) % l->service.latency_ns;
    if (down)
        reply->class = RETRY_AGAIN;
    else if (l->r.in_flight > l->service.at_once_max)
        reply->class = RETRY_THROTTLED;
    else if (draw(l) % 100 < l->service.noise_percent)
        reply->class = (enum retry_class)(draw(l) % RETRY_CLASS_COUNT);
    if (draw(l) % 100 < l->service.noise_percent)
        reply->after_ns = draw(l) % (2 * MINUTE);
    if (down)
        l->in_outage++;
    l->requests++;
}

static void begin_all(struct life *l)
{
    for (uint32_t i = 0; i < l->jobs; i++) {
        if (l->over[i] || l->ends_ns[i] != 0 || !retry_begin(&l->r, &l->job[i], l->now_ns))
            continue;
        assert_in_range(l->r.in_flight, 1, l->limits.in_flight_max);
        decide(l, i);
    }
}

static void end_one(struct life *l, uint32_t i)
{
    uint64_t pause_max_ns = l->limits.backoff_max_ns;

    retry_done(&l->r, &l->job[i], &l->reply[i], l->now_ns, draw(l));
    l->ends_ns[i] = 0;
    assert_in_range(l->r.window, 1, l->limits.in_flight_max);
    if (l->reply[i].class == RETRY_REJECT)
        pause_max_ns = 2 * RETRY_REJECT_NS;
    else if (l->reply[i].class == RETRY_OK)
        pause_max_ns = 0;
    if (l->reply[i].after_ns == 0 && l->r.hold_ns <= l->now_ns && !l->r.probing &&
        l->r.in_flight < l->r.window)
        assert_true(retry_next_ns(&l->r, &l->job[i]) <= l->now_ns + pause_max_ns);
    if (l->reply[i].class != RETRY_OK)
        return;
    l->over[i] = true;
    l->left--;
    if (l->now_ns < l->service.up_ns)
        return;
    if (l->first_ok_ns == 0)
        l->first_ok_ns = l->now_ns;
    l->last_ok_ns = l->now_ns;
}

/* Until all jobs are done. A job that is idle says when it goes on, or a request is out. */
static void live(struct life *l, uint32_t jobs, uint64_t seed)
{
    l->jobs = l->left = jobs;
    l->seed = seed * 0x9e3779b97f4a7c15ULL + 1;
    retry_init(&l->r, &l->limits, l->now_ns);
    while (l->left > 0) {
        uint64_t next_ns = RETRY_NEVER_NS;

        begin_all(l);
        for (uint32_t i = 0; i < jobs; i++) {
            uint64_t at_ns = l->over[i] ? RETRY_NEVER_NS
                             : l->ends_ns[i] ? l->ends_ns[i] : retry_next_ns(&l->r, &l->job[i]);

            if (at_ns < next_ns)
                next_ns = at_ns;
        }
        assert_true(next_ns != RETRY_NEVER_NS && next_ns > l->now_ns);
        l->now_ns = next_ns;
        for (uint32_t i = 0; i < jobs; i++)
            if (l->ends_ns[i] != 0 && l->ends_ns[i] <= l->now_ns)
                end_one(l, i);
        if (l->r.in_flight > l->out_max)
            l->out_max = l->r.in_flight;
        assert_true(l->now_ns < 1000 * MINUTE);
    }
    assert_int_equal(l->r.in_flight, 0);
    assert_int_equal(l->r.rejected, 0);
    assert_false(l->r.open);
}

static void an_hour_of_outage_costs_few_requests_and_ends_soon(void **state)
{
    static struct life l;

    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        uint64_t up_ns = 61 * MINUTE;

        memset(&l, 0, sizeof(l));
        l.limits = usual;
        l.service = (struct service){ .down_ns = 0, .up_ns = up_ns, .latency_ns = SECOND / 10,
                                      .at_once_max = UINT32_MAX };
        l.now_ns = MINUTE;
        live(&l, JOBS_MAX, seed);
        /* Those that open it, then a probe each half of a minute at most, fewer when it doubles. */
        assert_in_range(l.in_outage, 60, 150);
        /* The first to succeed a minute after at most; the rest by the window, not all at once. */
        assert_true(l.first_ok_ns <= up_ns + 60 * SECOND + SECOND / 10);
        assert_in_range(l.last_ok_ns - l.first_ok_ns, JOBS_MAX / 8 * SECOND / 100, 30 * SECOND);
        assert_in_range(l.requests, JOBS_MAX + l.in_outage, JOBS_MAX + l.in_outage);
    }
}

static void after_an_outage_no_herd_comes(void **state)
{
    static struct life l;

    (void)state;
    memset(&l, 0, sizeof(l));
    l.limits = (struct retry_limits){ .backoff_max_ns = MINUTE, .in_flight_max = 1000 };
    l.service = (struct service){ .down_ns = 0, .up_ns = 60 * MINUTE, .latency_ns = SECOND,
                                  .at_once_max = 40 };
    live(&l, JOBS_MAX, 3);
    /* It went to where the service throttles, and not far beyond. */
    assert_in_range(l.requests - l.in_outage, JOBS_MAX, JOBS_MAX + JOBS_MAX / 4);
}

static void hosts_do_not_come_back_together(void **state)
{
    enum { HOSTS = 200 };
    struct retry hosts[HOSTS];
    uint32_t in_second[60] = { 0 };

    (void)state;
    for (uint64_t i = 0; i < HOSTS; i++) {
        struct life l = { .seed = (i + 1) * 0x9e3779b97f4a7c15ULL };
        struct retry_job job = { 0 };
        uint64_t now_ns = break_it((retry_init(&hosts[i], &usual, 0), &hosts[i]), 0) + SECOND / 2;

        for (int n = 0; n < 8; n++) {
            again(&hosts[i], &job, RETRY_AGAIN, now_ns, draw(&l));
            now_ns = retry_next_ns(&hosts[i], &job);
        }
        in_second[now_ns / SECOND % 60]++;
    }
    for (int i = 0; i < 60; i++)
        assert_in_range(in_second[i], 0, HOSTS / 10);
}

static void whatever_comes_back_all_is_done_in_the_end(void **state)
{
    static struct life l;

    (void)state;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        uint64_t n = seed * 0x9e3779b97f4a7c15ULL >> 32;

        memset(&l, 0, sizeof(l));
        l.limits.backoff_max_ns = 1 + n % (5 * MINUTE);
        l.limits.in_flight_max = 1 + (uint32_t)(n % 17);
        l.service.latency_ns = 1 + n % (3 * SECOND);
        l.service.at_once_max = 1 + (uint32_t)(n % 9);
        l.service.noise_percent = (uint32_t)(n % 61);
        l.service.down_ns = n % (3 * MINUTE);
        l.service.up_ns = l.service.down_ns + n % (20 * MINUTE);
        live(&l, 1 + (uint32_t)(n % 60), seed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pauses_are_random_below_a_bound_that_doubles),
        cmocka_unit_test(a_bound_below_the_first_pause_holds),
        cmocka_unit_test(attempts_have_no_end),
        cmocka_unit_test(retry_after_holds_the_whole_sink),
        cmocka_unit_test(a_wish_for_more_than_an_hour_is_an_hour),
        cmocka_unit_test(failures_in_a_row_open_the_breaker),
        cmocka_unit_test(an_open_breaker_lets_one_probe_out),
        cmocka_unit_test(a_success_closes_the_breaker_and_voids_pauses),
        cmocka_unit_test(the_window_begins_at_one_after_an_outage),
        cmocka_unit_test(a_reject_closes_the_breaker_but_never_opens_it),
        cmocka_unit_test(a_rejected_job_waits_five_to_ten_minutes),
        cmocka_unit_test(an_outage_does_not_hurry_rejected_jobs),
        cmocka_unit_test(what_helped_one_rejected_job_is_tried_on_the_others),
        cmocka_unit_test(throttling_halves_the_window_once_a_round),
        cmocka_unit_test(what_the_sink_put_right_is_tried_at_once_but_once),
        cmocka_unit_test(a_probe_that_needs_new_credentials_is_repeated_at_once),
        cmocka_unit_test(a_forgotten_probe_makes_room_for_another),
        cmocka_unit_test(limits_change_while_it_runs),
        cmocka_unit_test(an_hour_of_outage_costs_few_requests_and_ends_soon),
        cmocka_unit_test(after_an_outage_no_herd_comes),
        cmocka_unit_test(hosts_do_not_come_back_together),
        cmocka_unit_test(whatever_comes_back_all_is_done_in_the_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
