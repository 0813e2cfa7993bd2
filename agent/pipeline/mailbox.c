/*
 * mailbox: how other threads ask a shard for something.
 *
 * Owns:   nothing; requests stay the callers'.
 * Thread: mailbox_post() and mailbox_wake() any; the rest the shard's.
 */
#include "pipeline/mailbox.h"

#include <errno.h>
#include <string.h>

void mailbox_init(struct mailbox *box, struct io_loop *loop)
{
    memset(box, 0, sizeof(*box));
    /* A default mutex cannot fail to initialise and owns nothing that would have to be freed. */
    (void)pthread_mutex_init(&box->mutex, NULL);
    box->last = &box->first;
    box->loop = loop;
}

int mailbox_post(struct mailbox *box, struct shard_request *req)
{
    int res = 0;

    pthread_mutex_lock(&box->mutex);
    if (box->closed) {
        res = -ESHUTDOWN;
    } else if (box->count == MAILBOX_MAX) {
        res = -EAGAIN;
    } else {
        req->next = NULL;
        *box->last = req;
        box->last = &req->next;
        box->count++;
        atomic_store_explicit(&box->waiting, true, memory_order_relaxed);
        /* Under the mutex: once mailbox_close() has had it, nobody touches the loop any more. */
        loop_wake(box->loop);
    }
    pthread_mutex_unlock(&box->mutex);
    return res;
}

void mailbox_wake(struct mailbox *box)
{
    pthread_mutex_lock(&box->mutex);
    if (!box->closed)
        loop_wake(box->loop);
    pthread_mutex_unlock(&box->mutex);
}

/* Empties the queue; the mutex is held. */
static struct shard_request *mailbox_empty(struct mailbox *box)
{
    struct shard_request *list = box->first;

    box->first = NULL;
    box->last = &box->first;
    box->count = 0;
    atomic_store_explicit(&box->waiting, false, memory_order_relaxed);
    return list;
}

struct shard_request *mailbox_take(struct mailbox *box)
{
    struct shard_request *list;

    /*
     * Relaxed: the flag only says that a look is worth it, the mutex orders the contents. A flag
     * seen too late is no loss, for the poster's wake ends the wait that comes next.
     */
    if (!atomic_load_explicit(&box->waiting, memory_order_relaxed))
        return NULL;
    pthread_mutex_lock(&box->mutex);
    list = mailbox_empty(box);
    pthread_mutex_unlock(&box->mutex);
    return list;
}

void mailbox_close(struct mailbox *box)
{
    struct shard_request *list;

    pthread_mutex_lock(&box->mutex);
    box->closed = true;
    list = mailbox_empty(box);
    pthread_mutex_unlock(&box->mutex);

    while (list != NULL) {
        struct shard_request *req = list;

        list = req->next; /* done may free it */
        req->done(req, -ESHUTDOWN);
    }
}
