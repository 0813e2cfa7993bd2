/*
 * worker: a thread that runs operations for a loop.
 *
 * Owns:   the thread; borrows operations.
 * Thread: the loop's and its own; the lock holds for every field but `thread`.
 */
#include "io/worker.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/invariant.h"

struct work_queue {
    struct io_op *first, **end;
};

struct worker {
    struct io_loop *loop;               /* borrowed */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct work_queue waiting, done;
    _Atomic bool some_done;             /* a hint, so that a turn without any takes no lock */
    bool closing;
};

static void queue_init(struct work_queue *q)
{
    q->first = NULL;
    q->end = &q->first;
}

static void queue_push(struct work_queue *q, struct io_op *op)
{
    op->next = NULL;
    *q->end = op;
    q->end = &op->next;
}

static struct io_op *queue_pop(struct work_queue *q)
{
    struct io_op *op = q->first;

    if (op != NULL) {
        q->first = op->next;
        if (q->first == NULL)
            q->end = &q->first;
    }
    return op;
}

static void lock(struct worker *w)
{
    int rc = pthread_mutex_lock(&w->lock);

    INVARIANT(rc == 0);
}

static void unlock(struct worker *w)
{
    int rc = pthread_mutex_unlock(&w->lock);

    INVARIANT(rc == 0);
}

void worker_run(struct io_op *op)
{
    io_work_fn fn = (io_work_fn)(uintptr_t)op->arg[2];

    op->arg[5] = (uint64_t)(int64_t)fn((void *)(uintptr_t)op->arg[3]);
}

static void *body(void *arg)
{
    struct worker *w = arg;

    lock(w);
    while (!w->closing) {
        struct io_op *op = queue_pop(&w->waiting);

        if (op == NULL) {
            pthread_cond_wait(&w->more, &w->lock);
            continue;
        }
        unlock(w);
        worker_run(op);
        lock(w);
        queue_push(&w->done, op);
        atomic_store_explicit(&w->some_done, true, memory_order_relaxed);
        unlock(w);
        /* After the hint: the turn that this ends looks for it. */
        loop_wake(w->loop);
        lock(w);
    }
    unlock(w);
    return NULL;
}

int worker_open(struct io_loop *loop, struct worker **ret_worker)
{
    struct worker *w = calloc(1, sizeof(*w));
    sigset_t all, before;
    int rc;

    *ret_worker = NULL;
    if (w == NULL)
        return -ENOMEM;
    w->loop = loop;
    queue_init(&w->waiting);
    queue_init(&w->done);
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->more, NULL);
    /* Signals are for the threads that expect them. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    rc = pthread_create(&w->thread, NULL, body, w);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc != 0) {
        pthread_cond_destroy(&w->more);
        pthread_mutex_destroy(&w->lock);
        free(w);
        return -rc;
    }
    (void)pthread_setname_np(w->thread, "hydrant-worker");
    *ret_worker = w;
    return 0;
}

void worker_close(struct worker *w)
{
    int rc;

    if (w == NULL)
        return;
    lock(w);
    w->closing = true;
    pthread_cond_signal(&w->more);
    unlock(w);
    rc = pthread_join(w->thread, NULL);
    INVARIANT(rc == 0);
    pthread_cond_destroy(&w->more);
    pthread_mutex_destroy(&w->lock);
    free(w);
}

void worker_add(struct worker *w, struct io_op *op)
{
    lock(w);
    queue_push(&w->waiting, op);
    pthread_cond_signal(&w->more);
    unlock(w);
}

struct io_op *worker_take(struct worker *w)
{
    struct io_op *first;

    if (!atomic_load_explicit(&w->some_done, memory_order_relaxed))
        return NULL;
    lock(w);
    first = w->done.first;
    queue_init(&w->done);
    atomic_store_explicit(&w->some_done, false, memory_order_relaxed);
    unlock(w);
    return first;
}
