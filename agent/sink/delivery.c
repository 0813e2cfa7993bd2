/*
 * delivery: sinks, what is posted, and the turn.
 *
 * A turn looks at the sinks when something was posted, answered or due, and then waits for the
 * network. What others may ask is copied under the lock at the end of such a look.
 *
 * Owns:   see the header.
 * Thread: delivery; under the lock: what is posted, the settings to come, and the statuses.
 */
#include "sink/delivery.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/invariant.h"
#include "base/log.h"
#include "io/clock.h"
#include "sink/delivery_job.h"
#include "sink/delivery_sink.h"
#include "sink/remote_settings.h"

#define FAILING_NS (10 * RETRY_SECOND_NS)

enum { CONNECTIONS_MAX = 256 };

struct named_status {
    char name[65];
    struct delivery_status status;
};

struct delivery {
    struct http_pool *pool;             /* owned */
    struct remote_sink *sinks;          /* owned */
    uint8_t *buffer;                    /* owned */
    pthread_t thread;
    bool started;
    bool look;                          /* at the sinks, in the next turn */
    uint64_t next_ns;                   /* and not later than this */
    struct remote_job *lost;            /* for no sink; given back in this turn */

    pthread_mutex_t lock;
    struct remote_job *posted, **posted_end;
    struct remote_settings_copy *fresh; /* owned; to be taken over */
    struct named_status *statuses;      /* owned */
    uint32_t statuses_count;
    struct errmsg trouble;              /* why the last turn failed; "": it did not */

    _Atomic bool some_posted;           /* hints: a turn without any takes no lock */
    _Atomic bool failing, troubled, closing;
};

static void lock(struct delivery *d)
{
    int rc = pthread_mutex_lock(&d->lock);

    INVARIANT(rc == 0);
}

static void unlock(struct delivery *d)
{
    int rc = pthread_mutex_unlock(&d->lock);

    INVARIANT(rc == 0);
}

/* --- sinks ---------------------------------------------------------------------------------- */

static struct remote_sink *sink_find(struct remote_sink *sinks, const char *name)
{
    while (sinks && strcmp(sinks->set.name, name) != 0)
        sinks = sinks->next;
    return sinks;
}

/* What has not changed, and works, is not disturbed. */
static void sinks_configure(struct delivery *d, const struct remote_settings_copy *fresh,
                            uint64_t now_ns)
{
    struct remote_sink *old = d->sinks, **end = &d->sinks;

    d->sinks = NULL;
    for (uint32_t i = 0; i < remote_settings_count(fresh); i++) {
        const struct remote_settings *set = remote_settings_get(fresh, i);
        struct remote_sink *before = sink_find(old, set->name), *sink = before, **at;
        struct errmsg err;

        for (at = &old; *at && *at != before; at = &(*at)->next)
            ;
        if (before)
            *at = before->next;
        if (before && (!remote_settings_equal(&before->set, set)
                       || delivery_sink_bad(before, now_ns))) {
            sink = delivery_sink_open(d, set, now_ns, &err);
            if (sink) {
                delivery_sink_inherit(sink, before, now_ns);
                delivery_sink_close(before, now_ns);
            } else {
                log_error("sink '%s': %s; it goes on as it was configured before", set->name,
                          err.text);
                sink = before;
            }
        } else if (!before) {
            sink = delivery_sink_open(d, set, now_ns, &err);
            if (!sink)
                log_error("sink '%s': %s", set->name, err.text);
        }
        if (!sink)
            continue;
        sink->next = NULL;
        *end = sink;
        end = &sink->next;
    }
    while (old) {
        struct remote_sink *sink = old;

        old = sink->next;
        while (sink->jobs) {
            struct remote_job *job = sink->jobs;

            sink->jobs = job->next;
            delivery_job_drop(job, now_ns);
            job->next = d->lost;
            d->lost = job;
        }
        delivery_sink_close(sink, now_ns);
    }
}

/* --- what others see ------------------------------------------------------------------------ */

/* Says so once each way: what comes and goes within FAILING_NS is one trouble. */
static void say_failing(struct delivery *d, struct remote_sink *sink, uint64_t now_ns)
{
    struct delivery_status status;

    if (delivery_sink_bad(sink, now_ns)) {
        sink->failing_ns = now_ns;
        if (sink->failing)
            return;
        sink->failing = true;
        delivery_sink_status(sink, now_ns, &status);
        log_warn("back pressure: sink_error: sink '%s': %s; what waits is tried again",
                 sink->set.name, status.waits_because);
    } else if (sink->failing && now_ns - sink->failing_ns >= FAILING_NS) {
        sink->failing = false;
        log_info("back pressure: sink_error: sink '%s': over", sink->set.name);
    } else if (sink->failing && sink->failing_ns + FAILING_NS < d->next_ns) {
        d->next_ns = sink->failing_ns + FAILING_NS;
    }
}

static void statuses_publish(struct delivery *d, uint64_t now_ns)
{
    uint32_t count = 0, i = 0;
    bool failing = false;

    for (const struct remote_sink *sink = d->sinks; sink; sink = sink->next)
        count++;
    lock(d);
    if (count != d->statuses_count) {
        struct named_status *more = realloc(d->statuses, (count + 1) * sizeof(*more));

        d->statuses_count = more ? count : 0;
        d->statuses = more ? more : d->statuses;
    }
    for (struct remote_sink *sink = d->sinks; sink; sink = sink->next, i++) {
        say_failing(d, sink, now_ns);
        failing |= sink->failing;
        if (i >= d->statuses_count)
            continue;
        snprintf(d->statuses[i].name, sizeof(d->statuses[i].name), "%s", sink->set.name);
        delivery_sink_status(sink, now_ns, &d->statuses[i].status);
    }
    unlock(d);
    atomic_store_explicit(&d->failing, failing, memory_order_relaxed);
}

bool delivery_look(struct delivery *d, const char *sink, struct delivery_status *ret_status)
{
    bool found = false;

    lock(d);
    for (uint32_t i = 0; i < d->statuses_count && !found; i++)
        if (strcmp(d->statuses[i].name, sink) == 0) {
            *ret_status = d->statuses[i].status;
            if (d->trouble.text[0] != '\0')
                snprintf(ret_status->waits_because, sizeof(ret_status->waits_because), "%s",
                         d->trouble.text);
            found = true;
        }
    unlock(d);
    return found;
}

bool delivery_failing(const struct delivery *d)
{
    return atomic_load_explicit(&d->failing, memory_order_relaxed) ||
           atomic_load_explicit(&d->troubled, memory_order_relaxed);
}

/* --- what others ask ------------------------------------------------------------------------ */

void delivery_post(struct delivery *d, struct remote_job *job)
{
    job->next = NULL;
    job->result = SINK_RETRY;
    job->err.text[0] = '\0';
    job->lanes = job->reading = NULL;
    job->own = NULL;
    job->begun = false;
    job->lanes_out = 0;
    job->duplicates = 0;
    job->file_fd = -1;
    lock(d);
    *d->posted_end = job;
    d->posted_end = &job->next;
    atomic_store_explicit(&d->some_posted, true, memory_order_relaxed);
    unlock(d);
    http_pool_wake(d->pool);
}

int delivery_configure(struct delivery *d, const struct remote_settings *settings, uint32_t count)
{
    struct remote_settings_copy *copy, *unused;
    int r = remote_settings_copy(settings, count, &copy);

    if (r)
        return r;
    lock(d);
    unused = d->fresh;
    d->fresh = copy;
    atomic_store_explicit(&d->some_posted, true, memory_order_relaxed);
    unlock(d);
    remote_settings_free(unused);
    http_pool_wake(d->pool);
    return 0;
}

static void job_add(struct delivery *d, struct remote_job *job)
{
    struct remote_sink *sink = sink_find(d->sinks, job->sink);
    struct remote_job **at;

    job->next = NULL;
    job->at = sink;
    if (!sink) {
        job->next = d->lost;
        d->lost = job;
        return;
    }
    for (at = &sink->jobs; *at; at = &(*at)->next)
        ;
    *at = job;
    sink->jobs_count++;
}

static void posted_take(struct delivery *d, uint64_t now_ns)
{
    struct remote_settings_copy *fresh;
    struct remote_job *job, *next;

    if (!atomic_load_explicit(&d->some_posted, memory_order_relaxed))
        return;
    lock(d);
    atomic_store_explicit(&d->some_posted, false, memory_order_relaxed);
    job = d->posted;
    d->posted = NULL;
    d->posted_end = &d->posted;
    fresh = d->fresh;
    d->fresh = NULL;
    unlock(d);
    d->look = true;
    if (fresh)
        sinks_configure(d, fresh, now_ns);
    remote_settings_free(fresh);
    for (; job; job = next) {
        next = job->next;
        job_add(d, job);
    }
}

/* --- the turn ------------------------------------------------------------------------------- */

static void on_ask(struct http_call *call)
{
    struct remote_sink *sink = call->ctx;

    sink->asking = REMOTE_ASK_ANSWERED;
    sink->delivery->look = true;
}

static void on_answer(struct http_call *call)
{
    struct remote_lane *lane = call->ctx;

    lane->state = REMOTE_LANE_ANSWERED;
    lane->job->at->delivery->look = true;
}

static void sink_turn(struct remote_sink *sink, struct delivery_turn *turn)
{
    struct remote_job **at = &sink->jobs, *job;
    uint64_t keys_ns;

    if (sink->credentials)
        delivery_sink_keys(sink, turn);
    while ((job = *at)) {
        /* In order; but what has not begun waits for a place in the window. */
        bool over = (job->begun || sink->lanes_planned < sink->retry.window)
                    && delivery_job_step(job, turn);

        if (!over) {
            at = &job->next;
            continue;
        }
        *at = job->next;
        sink->jobs_count--;
        sink->duplicates += job->duplicates;
        job->done(job);
    }
    if (!sink->credentials)
        return;
    keys_ns = credentials_next_ns(sink->credentials);
    if (keys_ns < turn->next_ns)
        turn->next_ns = keys_ns;
}

static void sinks_turn(struct delivery *d, uint64_t now_ns)
{
    struct delivery_turn turn = {
        .now_ns = now_ns,
        .utc_ns = clock_utc_ns(),
        .pool = d->pool,
        .buffer = d->buffer,
        .next_ns = RETRY_NEVER_NS,
        .on_answer = on_answer,
        .on_ask = on_ask,
    };

    d->look = false;
    for (struct remote_sink *sink = d->sinks; sink; sink = sink->next)
        sink_turn(sink, &turn);
    while (d->lost) {
        struct remote_job *job = d->lost;

        d->lost = job->next;
        job->result = SINK_RETRY;
        errmsg_set(&job->err, -ENOENT, "there is no sink '%s'", job->sink);
        job->done(job);
    }
    d->next_ns = turn.next_ns;
    statuses_publish(d, now_ns);
}

uint64_t delivery_next_ns(const struct delivery *d)
{
    if (d->look || atomic_load_explicit(&d->some_posted, memory_order_relaxed))
        return 0;
    return d->next_ns;
}

/* "": there is none. */
static void trouble_set(struct delivery *d, const char *text)
{
    bool is = text[0] != '\0';

    if (!is && !atomic_load_explicit(&d->troubled, memory_order_relaxed))
        return;
    lock(d);
    (void)snprintf(d->trouble.text, sizeof(d->trouble.text), "%s", text);
    unlock(d);
    atomic_store_explicit(&d->troubled, is, memory_order_relaxed);
}

int delivery_turn(struct delivery *d, int timeout_ms, struct errmsg *err)
{
    uint64_t now_ns = clock_boot_ns(), next_ns;
    int r;

    posted_take(d, now_ns);
    if (d->look || d->next_ns <= now_ns)
        sinks_turn(d, now_ns);
    next_ns = delivery_next_ns(d);
    if (next_ns <= now_ns) {
        timeout_ms = 0;
    } else if (next_ns != RETRY_NEVER_NS) {
        uint64_t ms = (next_ns - now_ns) / 1000000 + 1;

        if (timeout_ms < 0 || ms < (uint64_t)timeout_ms)
            timeout_ms = ms < 60000 ? (int)ms : 60000;
    }
    r = http_pool_turn(d->pool, timeout_ms, err);
    trouble_set(d, r < 0 ? err->text : "");
    return r < 0 ? r : 0;
}

/* --- open, close ---------------------------------------------------------------------------- */

static void *thread_main(void *arg)
{
    static _Thread_local struct log_limit limit =
        LOG_LIMIT_INIT("failures of the delivery thread", 1, 10 * 1000000000ULL);
    static const struct timespec pause = {.tv_nsec = 100 * 1000000};
    struct delivery *d = arg;
    struct errmsg err;

    while (!atomic_load_explicit(&d->closing, memory_order_relaxed)) {
        if (delivery_turn(d, -1, &err) == 0)
            continue;
        if (log_limit_allow(&limit, clock_boot_ns()))
            log_error("remote sinks get nothing: %s; it is tried again", err.text);
        (void)nanosleep(&pause, NULL);
    }
    return NULL;
}

int delivery_open(struct delivery **ret_delivery, struct errmsg *err)
{
    struct delivery *d = calloc(1, sizeof(*d));
    int r;

    *ret_delivery = NULL;
    if (!d)
        return errmsg_set(err, -ENOMEM, "no memory");
    d->posted_end = &d->posted;
    d->next_ns = RETRY_NEVER_NS;
    pthread_mutex_init(&d->lock, NULL);
    d->buffer = malloc(DELIVERY_READ_BYTES);
    r = d->buffer ? http_pool_open(CONNECTIONS_MAX, &d->pool, err)
                  : errmsg_set(err, -ENOMEM, "no memory");
    if (r) {
        delivery_close(d);
        return r;
    }
    *ret_delivery = d;
    return 0;
}

int delivery_start(struct delivery *d, struct errmsg *err)
{
    sigset_t all, before;
    int rc;

    /* Signals are for the threads that expect them. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    rc = pthread_create(&d->thread, NULL, thread_main, d);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc)
        return errmsg_set_errno(err, -rc, "cannot start the delivery thread");
    d->started = true;
    (void)pthread_setname_np(d->thread, "delivery");
    return 0;
}

void delivery_close(struct delivery *d)
{
    int rc;

    if (!d)
        return;
    if (d->started) {
        atomic_store_explicit(&d->closing, true, memory_order_relaxed);
        http_pool_wake(d->pool);
        rc = pthread_join(d->thread, NULL);
        INVARIANT(rc == 0);
    }
    while (d->sinks) {
        struct remote_sink *sink = d->sinks;

        d->sinks = sink->next;
        delivery_sink_close(sink, clock_boot_ns());
    }
    http_pool_close(d->pool);
    remote_settings_free(d->fresh);
    pthread_mutex_destroy(&d->lock);
    free(d->statuses);
    free(d->buffer);
    free(d);
}
