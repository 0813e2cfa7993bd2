/*
 * http_wait: requests of the HTTP thread that are under way at the shard.
 *
 * Owns:   see the header. A wait has up to two holders, the HTTP thread and the shard; the flags
 *         `finished` and `abandoned` say who has let go, and the second one frees it.
 * Thread: HTTP and shard meet under the mutex, held for a few instructions.
 */
#include "control/http_wait.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/invariant.h"

struct http_hub {
    struct mailbox *mailbox;            /* borrowed */
    int event_fd;                       /* owned */
    bool shut;                          /* HTTP thread */
    struct http_wait *waiting;          /* HTTP thread: posted, not yet handed out */
    pthread_mutex_t mutex;              /* the rest */
    unsigned refs;                      /* the HTTP thread's one and one of each wait */
    unsigned count[REQUEST_KIND_COUNT]; /* waits that the shard has */
};

uint64_t http_now_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

int http_hub_open(struct mailbox *mailbox, struct http_hub **ret_hub)
{
    struct http_hub *hub = calloc(1, sizeof(*hub));

    if (hub == NULL)
        return -ENOMEM;
    hub->mailbox = mailbox;
    hub->refs = 1;
    hub->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (hub->event_fd < 0) {
        int err = -errno;

        free(hub);
        return err;
    }
    (void)pthread_mutex_init(&hub->mutex, NULL);
    *ret_hub = hub;
    return 0;
}

/* Drops one reference; the mutex is held and is given up. */
static void hub_unref(struct http_hub *hub)
{
    bool last = --hub->refs == 0;

    pthread_mutex_unlock(&hub->mutex);
    if (!last)
        return;
    (void)pthread_mutex_destroy(&hub->mutex);
    (void)close(hub->event_fd);
    free(hub);
}

void http_hub_shut(struct http_hub *hub)
{
    hub->shut = true;
}

void http_hub_close(struct http_hub *hub)
{
    if (hub == NULL)
        return;
    INVARIANT(hub->waiting == NULL);
    pthread_mutex_lock(&hub->mutex);
    hub_unref(hub);
}

int http_hub_fd(const struct http_hub *hub)
{
    return hub->event_fd;
}

void http_hub_wake(struct http_hub *hub)
{
    uint64_t one = 1;

    /* Fails only when the counter is at its end: then the descriptor is readable anyway. */
    (void)!write(hub->event_fd, &one, sizeof(one));
}

/* Both sides have let go of it; the mutex is held and is given up. */
static void wait_free(struct http_wait *wait)
{
    struct http_hub *hub = wait->hub;

    status_free(wait->req.status);
    rest_change_free(wait->change);
    free(wait);
    hub_unref(hub);
}

/* Shard's thread. */
static void on_request_done(struct shard_request *req, int result)
{
    struct http_wait *wait = (struct http_wait *)req->ctx;
    struct http_hub *hub = wait->hub;

    pthread_mutex_lock(&hub->mutex);
    hub->count[req->kind]--;
    wait->finished = true;
    if (wait->abandoned) {
        wait_free(wait);
        return;
    }
    if (!wait->taken)
        wait->result = result;
    http_hub_wake(hub); /* under the mutex: afterwards the hub may be gone */
    pthread_mutex_unlock(&hub->mutex);
}

int http_hub_post(struct http_hub *hub, enum request_kind kind, const char *stream,
                  struct rest_change *change, uint64_t deadline_ns, void *ctx)
{
    struct http_wait *wait = hub->shut ? NULL : calloc(1, sizeof(*wait));
    bool room;
    int res;

    if (wait == NULL) {
        rest_change_free(change);
        return hub->shut ? -ESHUTDOWN : -ENOMEM;
    }
    INVARIANT(strlen(stream) < sizeof(wait->req.stream));
    wait->req.kind = kind;
    memcpy(wait->req.stream, stream, strlen(stream) + 1);
    wait->req.done = on_request_done;
    wait->req.ctx = wait;
    wait->req.control = wait->change = change;
    wait->hub = hub;
    wait->ctx = ctx;
    wait->deadline_ns = deadline_ns;

    pthread_mutex_lock(&hub->mutex);
    room = hub->count[kind] < HTTP_WAITS_MAX;
    if (room) {
        hub->count[kind]++;
        hub->refs++;
    }
    pthread_mutex_unlock(&hub->mutex);
    if (!room) {
        rest_change_free(change);
        free(wait);
        return -EAGAIN;
    }

    res = mailbox_post(hub->mailbox, &wait->req);
    if (res != 0) {
        pthread_mutex_lock(&hub->mutex);
        hub->count[kind]--;
        wait_free(wait);
        return res;
    }
    wait->next = hub->waiting;
    hub->waiting = wait;
    return 0;
}

struct http_wait *http_hub_next(struct http_hub *hub, uint64_t now_ns)
{
    struct http_wait **at = &hub->waiting;
    struct http_wait *wait;
    uint64_t events;

    /* Before the look, so that what finishes after it makes the descriptor readable again. */
    (void)!read(hub->event_fd, &events, sizeof(events));

    pthread_mutex_lock(&hub->mutex);
    for (; (wait = *at) != NULL; at = &wait->next) {
        if (wait->finished)
            break;
        if (hub->shut || wait->deadline_ns <= now_ns) {
            wait->result = hub->shut ? -ESHUTDOWN : -ETIMEDOUT;
            break;
        }
    }
    if (wait != NULL) {
        *at = wait->next;
        wait->taken = true;
        wait->answered = wait->finished;
    }
    pthread_mutex_unlock(&hub->mutex);
    return wait;
}

void http_wait_release(struct http_wait *wait)
{
    struct http_hub *hub = wait->hub;

    pthread_mutex_lock(&hub->mutex);
    wait->abandoned = true;
    if (wait->finished)
        wait_free(wait);
    else
        pthread_mutex_unlock(&hub->mutex);
}

uint64_t http_hub_deadline_ns(const struct http_hub *hub)
{
    uint64_t nearest = UINT64_MAX;

    for (const struct http_wait *w = hub->waiting; w != NULL; w = w->next)
        nearest = w->deadline_ns < nearest ? w->deadline_ns : nearest;
    return nearest;
}
