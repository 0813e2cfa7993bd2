/*
 * relay: what is posted, the thread, and what others may ask.
 *
 * Owns:   see the header.
 * Thread: the relay's; under the lock: what is posted, the sinks to come, the statuses.
 */
#include "sink/relay.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "io/clock.h"
#include "io/file.h"
#include "sink/relay_session.h"

enum { SINK_NAME_BYTES = 256 };         /* more than a section of the configuration can have */

/* A batch to be sent; without a job, one to be forgotten. */
struct posted {
    struct posted *next;
    struct remote_job *job;
    struct batch_id id, floor;
    char sink[SINK_NAME_BYTES];
};

struct status {
    char name[SINK_NAME_BYTES];
    struct delivery_status status;
};

struct relay {
    uint8_t uuid[16];
    int wake;                           /* owned */
    uint8_t *buffer;                    /* owned */
    pthread_t thread;
    bool started;
    _Atomic bool closing;
    struct relay_session *sessions;     /* owned */
    struct pollfd *polls;               /* owned */
    pthread_mutex_t lock;
    struct posted *posted, **posted_end;
    struct relay_session *fresh;        /* owned */
    bool fresh_there;
    struct status *statuses;            /* owned */
    uint32_t statuses_count;
};

/* --- posting -------------------------------------------------------------------------------- */

static void wake(const struct relay *r)
{
    uint64_t one = 1;

    /* It can only fail when the counter is full, and then the thread is awake. */
    if (write(r->wake, &one, sizeof(one)) < 0)
        return;
}

static void post(struct relay *r, struct posted *p)
{
    pthread_mutex_lock(&r->lock);
    *r->posted_end = p;
    r->posted_end = &p->next;
    pthread_mutex_unlock(&r->lock);
    wake(r);
}

static struct posted *posted_make(const char *sink, struct remote_job *job,
                                  const struct batch_id *id)
{
    struct posted *p = calloc(1, sizeof(*p));

    if (!p)
        return NULL;
    p->job = job;
    p->id = *id;
    snprintf(p->sink, sizeof(p->sink), "%s", sink);
    return p;
}

static void give_back(struct remote_job *job, int err, const char *why)
{
    job->result = SINK_RETRY;
    errmsg_set(&job->err, err, "%s", why);
    job->done(job);
}

void relay_post(struct relay *r, struct remote_job *job, const struct batch_id *id)
{
    struct posted *p = posted_make(job->sink, job, id);

    if (p)
        post(r, p);
    else
        give_back(job, -ENOMEM, "no memory");
}

void relay_forget(struct relay *r, const char *sink, const struct batch_id *id,
                  const struct batch_id *floor)
{
    struct posted *p = posted_make(sink, NULL, id);

    if (!p)
        return;             /* the floor of a later one says it */
    p->floor = *floor;
    post(r, p);
}

/* --- sinks ---------------------------------------------------------------------------------- */

static struct relay_session *session_find(struct relay_session *s, const char *name)
{
    while (s && strcmp(s->set.name, name) != 0)
        s = s->next;
    return s;
}

static void sessions_close(struct relay_session *s)
{
    while (s) {
        struct relay_session *next = s->next;

        relay_session_close(s);
        s = next;
    }
}

int relay_configure(struct relay *r, const struct relay_sink_settings *settings, uint32_t count,
                    struct errmsg *err)
{
    struct relay_session *fresh = NULL, *before;
    int rc = 0;

    for (uint32_t i = 0; !rc && i < count; i++) {
        struct relay_session *s;

        rc = relay_session_open(&settings[i], r->uuid, &s, err);
        if (!rc) {
            s->next = fresh;
            fresh = s;
        }
    }
    if (rc) {
        sessions_close(fresh);
        return rc;
    }
    pthread_mutex_lock(&r->lock);
    before = r->fresh;
    r->fresh = fresh;
    r->fresh_there = true;
    pthread_mutex_unlock(&r->lock);
    sessions_close(before);
    wake(r);
    return 0;
}

static void sessions_replace(struct relay *r, struct relay_session *fresh)
{
    struct relay_session *old = r->sessions;

    r->sessions = fresh;
    for (struct relay_session *s = old; s; s = s->next) {
        struct relay_session *heir = session_find(fresh, s->set.name);

        if (heir)
            relay_session_inherit(heir, s);
        for (struct relay_job *j = s->jobs; j; j = j->next)
            give_back(j->job, -ENOENT, "there is no such sink any more");
    }
    sessions_close(old);
}

static void posted_take(struct relay *r)
{
    struct relay_session *fresh = NULL;
    struct posted *p;
    bool replace;

    pthread_mutex_lock(&r->lock);
    p = r->posted;
    r->posted = NULL;
    r->posted_end = &r->posted;
    replace = r->fresh_there;
    if (replace)
        fresh = r->fresh;
    r->fresh = NULL;
    r->fresh_there = false;
    pthread_mutex_unlock(&r->lock);
    if (replace)
        sessions_replace(r, fresh);
    while (p) {
        struct relay_session *s = session_find(r->sessions, p->sink);
        struct posted *next = p->next;

        if (s && !p->job)       /* without memory as in relay_forget() */
            (void)bytes_append(&s->forgets, &(struct relay_forget){p->id, p->floor},
                               sizeof(struct relay_forget));
        else if (!s && p->job)
            give_back(p->job, -ENOENT, "there is no such sink");
        else if (s && relay_session_add(s, p->job, &p->id))
            give_back(p->job, -ENOMEM, "no memory");
        free(p);
        p = next;
    }
}

/* --- statuses ------------------------------------------------------------------------------- */

/* 0 or -ENOMEM; then they are as old as they are. */
static int statuses_publish(struct relay *r, uint32_t count)
{
    struct status *made = calloc(count + 1, sizeof(*made)), *before;
    uint32_t i = 0;

    if (!made)
        return -ENOMEM;
    for (const struct relay_session *s = r->sessions; s; s = s->next, i++) {
        struct delivery_status *to = &made[i].status;

        snprintf(made[i].name, sizeof(made[i].name), "%s", s->set.name);
        snprintf(to->waits_because, sizeof(to->waits_because), "%s",
                 relay_session_waits_because(s));
        to->retries = s->retries;
        to->jobs = s->jobs_count;
        to->in_flight = s->begun;
        to->window = s->set.in_flight_max;
    }
    pthread_mutex_lock(&r->lock);
    before = r->statuses;
    r->statuses = made;
    r->statuses_count = count;
    pthread_mutex_unlock(&r->lock);
    free(before);
    return 0;
}

bool relay_look(struct relay *r, const char *sink, struct delivery_status *ret_status)
{
    bool found = false;

    pthread_mutex_lock(&r->lock);
    for (uint32_t i = 0; i < r->statuses_count && !found; i++)
        if (strcmp(r->statuses[i].name, sink) == 0) {
            *ret_status = r->statuses[i].status;
            found = true;
        }
    pthread_mutex_unlock(&r->lock);
    return found;
}

bool relay_failing(struct relay *r)
{
    bool failing = false;

    pthread_mutex_lock(&r->lock);
    for (uint32_t i = 0; i < r->statuses_count; i++)
        failing |= r->statuses[i].status.waits_because[0] != '\0';
    pthread_mutex_unlock(&r->lock);
    return failing;
}

/* --- the thread ----------------------------------------------------------------------------- */

static int wait_ms(uint64_t next_ns)
{
    uint64_t now_ns = clock_boot_ns();

    if (next_ns == RETRY_NEVER_NS)
        return -1;
    if (next_ns <= now_ns)
        return 0;
    return next_ns - now_ns < 60000000000ULL ? (int)((next_ns - now_ns) / 1000000) + 1 : 60000;
}

/* Waits for the sockets and for who posts. 0 or -ENOMEM: it has not waited. */
static int sockets_wait(struct relay *r, uint32_t count)
{
    struct pollfd *polls = realloc(r->polls, (count + 1) * sizeof(*polls));
    uint64_t next_ns = RETRY_NEVER_NS, woken;
    nfds_t n = 0;

    if (!polls)
        return -ENOMEM;
    r->polls = polls;
    polls[n++] = (struct pollfd){.fd = r->wake, .events = POLLIN};
    for (const struct relay_session *s = r->sessions; s; s = s->next) {
        if (relay_session_next_ns(s) < next_ns)
            next_ns = relay_session_next_ns(s);
        if (s->link.fd >= 0)
            polls[n++] = (struct pollfd){.fd = s->link.fd, .events = relay_session_events(s)};
    }
    if (poll(polls, n, wait_ms(next_ns)) > 0 && polls[0].revents != 0
        && read(r->wake, &woken, sizeof(woken)) < 0)
        return 0;           /* somebody else's wake was taken with an earlier one */
    return 0;
}

static void *thread_main(void *arg)
{
    struct relay *r = arg;

    while (!atomic_load_explicit(&r->closing, memory_order_relaxed)) {
        uint32_t count = 0;

        posted_take(r);
        for (struct relay_session *s = r->sessions; s; s = s->next, count++)
            relay_session_turn(s, clock_boot_ns(), r->buffer);
        if (statuses_publish(r, count) || sockets_wait(r, count))
            (void)poll(NULL, 0, 100);   /* without memory there is nothing better to do */
    }
    return NULL;
}

int relay_open(const uint8_t uuid[16], struct relay **ret_relay, struct errmsg *err)
{
    struct relay *r = calloc(1, sizeof(*r));
    sigset_t all, before;
    int rc = 0;

    *ret_relay = NULL;
    if (!r)
        return errmsg_set(err, -ENOMEM, "no memory");
    memcpy(r->uuid, uuid, sizeof(r->uuid));
    r->posted_end = &r->posted;
    pthread_mutex_init(&r->lock, NULL);
    r->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    r->buffer = malloc(RELAY_READ_BYTES);
    if (r->wake < 0 || !r->buffer)
        rc = errmsg_set(err, -ENOMEM, "no memory for the relay");
    if (!rc) {
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        rc = -pthread_create(&r->thread, NULL, thread_main, r);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        r->started = rc == 0;
        if (rc)
            errmsg_set_errno(err, rc, "cannot start the relay's thread");
    }
    if (rc) {
        relay_close(r);
        return rc;
    }
    (void)pthread_setname_np(r->thread, "relay-out");
    *ret_relay = r;
    return 0;
}

void relay_close(struct relay *r)
{
    if (!r)
        return;
    atomic_store_explicit(&r->closing, true, memory_order_relaxed);
    if (r->started) {
        wake(r);
        (void)pthread_join(r->thread, NULL);
    }
    while (r->posted) {
        struct posted *p = r->posted;

        r->posted = p->next;
        free(p);
    }
    sessions_close(r->sessions);
    sessions_close(r->fresh);
    file_close(r->wake);
    pthread_mutex_destroy(&r->lock);
    free(r->polls);
    free(r->statuses);
    free(r->buffer);
    free(r);
}
