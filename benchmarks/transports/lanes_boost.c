/*
 * lanes_boost: boost's queues: lockfree::spsc_queue, slots of the event's size in memory that both
 * processes map, without names, frames, or a process that may die in between; and
 * interprocess::message_queue. The consumer never sleeps.
 * Owns:   the mapping of the queue, in each process.
 * Thread: one in each process.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "benchmarks/boost_spsc.h"
#include "benchmarks/transports/boost_mq.h"
#include "benchmarks/transports/lanes.h"
#include "cli/cli_bench_measure.h"

enum { SPINS_A_YIELD = 1024, QUEUE_BYTES = 1 << 20 };

struct spsc {
    const struct boost_spsc *type;
    void *queue; /* owned mapping */
};

/* --- lock-free ------------------------------------------------------------------------------ */

static int spsc_prepare(struct lanes *l, struct errmsg *err)
{
    struct spsc *s = calloc(1, sizeof(*s));

    l->prepared = s;
    if (s == NULL)
        return errmsg_set_errno(err, -ENOMEM, "queue");
    s->type = boost_spsc_find(l->event_bytes);
    if (s->type == NULL)
        return errmsg_set(err, -EINVAL, "no queue for events of %u bytes", l->event_bytes);
    s->queue = mmap(NULL, s->type->bytes, PROT_READ | PROT_WRITE,
                    MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (s->queue == MAP_FAILED) {
        s->queue = NULL;
        return errmsg_set_errno(err, -errno, "memory for a queue");
    }
    s->type->make(s->queue);
    return 0;
}

static void spsc_release(struct lanes *l)
{
    struct spsc *s = l->prepared;

    if (s != NULL && s->queue != NULL)
        (void)munmap(s->queue, s->type->bytes);
    free(s);
}

static __attribute__((noinline)) void push_waiting(const struct spsc *s, const void *event)
{
    for (uint32_t spin = 1; !s->type->push(s->queue, event); spin++) {
        bench_relax();
        if (spin % SPINS_A_YIELD == 0)
            (void)sched_yield();
    }
}

static int spsc_put(struct lane_writer *w, uint32_t count)
{
    const struct spsc *s = w->lanes->prepared;

    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *event = serials_next(&w->serials);

        if (__builtin_expect(!s->type->push(s->queue, event), 0))
            push_waiting(s, event);
    }
    return 0;
}

static int chunk_open(struct lane_reader *r, struct errmsg *err)
{
    r->state = aligned_alloc(LANES_BATCH_BYTES, LANES_BATCH_BYTES);
    return r->state != NULL ? 0 : errmsg_set_errno(err, -ENOMEM, "chunk");
}

static int spsc_take(struct lane_reader *r)
{
    const struct spsc *s = r->lanes->prepared;
    const uint8_t *event = r->state;
    size_t count = s->type->pop(s->queue, r->state, LANES_BATCH_BYTES / r->tally.bytes);
    int rc = 0;

    for (; rc == 0 && count > 0; count--, event += r->tally.bytes)
        rc = tally_add(&r->tally, event);
    return rc;
}

/* --- interprocess --------------------------------------------------------------------------- */

static int mq_prepare(struct lanes *l, struct errmsg *err)
{
    char name[64];

    (void)snprintf(name, sizeof(name), "hydrant-bench-%ld", (long)getpid());
    l->prepared = boost_mq_open(name, QUEUE_BYTES / l->event_bytes, l->event_bytes);
    return l->prepared != NULL ? 0 : errmsg_set_errno(err, -errno, "boost's message queue");
}

static void mq_release(struct lanes *l)
{
    boost_mq_close(l->prepared);
}

static int mq_put(struct lane_writer *w, uint32_t count)
{
    bool done = true;

    for (uint32_t i = 0; done && i < count; i++)
        done = boost_mq_put(w->lanes->prepared, serials_next(&w->serials), w->serials.bytes);
    return done ? 0 : -EIO;
}

static ssize_t mq_receive_one(struct lane_reader *r, bool first)
{
    long len = boost_mq_take(r->lanes->prepared, r->message, sizeof(r->message));

    (void)first;
    return len > 0 ? len : len == 0 ? -EAGAIN : -EIO;
}

const struct lanes_ops lanes_boost_spsc = {
    .name = "boost-spsc",
    .relaxes = 1,
    .prepare = spsc_prepare,
    .release = spsc_release,
    .reader_open = chunk_open,
    .put = spsc_put,
    .take = spsc_take,
};

const struct lanes_ops lanes_boost_mq = {
    .name = "boost-mq",
    .relaxes = LANES_RELAXES_SOCKET,
    .prepare = mq_prepare,
    .release = mq_release,
    .put = mq_put,
    .take = lanes_take_messages,
    .receive = mq_receive_one,
};
