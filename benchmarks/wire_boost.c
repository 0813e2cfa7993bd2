/*
 * wire_boost: boost's lock-free queue for one producer and one consumer as a wire.
 * Owns:   the mapping.
 * Thread: one in each process.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "benchmarks/wire_boost.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "benchmarks/boost_spsc.h"
#include "cli/cli_bench_measure.h"

#define FULL_NS_MAX   10000000000U /* a queue that stays full so long has lost its reader */
#define SPINS_A_CHECK 65536U

struct boost_wire {
    const struct boost_spsc *spsc;
    void *queue; /* owned mapping */
    size_t slots_max;
};

static int boost_prepare(struct wire *w, struct errmsg *err)
{
    struct boost_wire *b = calloc(1, sizeof(*b));

    w->other = b;
    if (b == NULL)
        return errmsg_set_errno(err, -ENOMEM, "queue");
    b->spsc = boost_spsc_find(w->opt.event_bytes);
    if (b->spsc == NULL)
        return errmsg_set(err, -EINVAL, "no queue for events of %u bytes", w->opt.event_bytes);
    b->queue = mmap(NULL, b->spsc->bytes, PROT_READ | PROT_WRITE,
                    MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (b->queue == MAP_FAILED) {
        b->queue = NULL;
        return errmsg_set_errno(err, -errno, "memory for a queue");
    }
    b->spsc->make(b->queue);
    b->slots_max = WIRE_BATCH_BYTES / w->opt.event_bytes;
    return 0;
}

static int boost_reader_open(struct wire *w, const char *ring_name, struct errmsg *err)
{
    (void)ring_name;
    w->chunk = aligned_alloc(WIRE_BATCH_BYTES, WIRE_BATCH_BYTES);
    return w->chunk != NULL ? 0 : errmsg_set_errno(err, -ENOMEM, "chunk");
}

static __attribute__((noinline)) int boost_put_waiting(struct boost_wire *b, const void *data)
{
    uint64_t start_ns = bench_now_ns();

    for (uint32_t spin = 1; !b->spsc->push(b->queue, data); spin++) {
        bench_relax();
        if (spin % SPINS_A_CHECK == 0 && bench_now_ns() - start_ns > FULL_NS_MAX)
            return -ETIMEDOUT;
    }
    return 0;
}

static int boost_put(struct wire *w, const void *data, uint32_t count)
{
    struct boost_wire *b = w->other;

    for (uint32_t i = 0; i < count; i++)
        if (__builtin_expect(!b->spsc->push(b->queue, data), 0)) {
            int rc = boost_put_waiting(b, data);

            if (rc != 0)
                return rc;
        }
    return 0;
}

static int boost_put_end(struct wire *w)
{
    (void)w;
    return 0;
}

static int boost_take(struct wire *w, uint64_t *ret_events, const uint8_t **ret_first)
{
    struct boost_wire *b = w->other;

    *ret_events = b->spsc->pop(b->queue, w->chunk, b->slots_max);
    *ret_first = w->chunk;
    return 0;
}

static void boost_close(struct wire *w)
{
    struct boost_wire *b = w->other;

    if (b != NULL && b->queue != NULL)
        (void)munmap(b->queue, b->spsc->bytes);
    free(b);
}

static const struct wire_ops boost_ops = {
    .prepare = boost_prepare,
    .ring_make = wire_nothing,
    .writer_open = wire_nothing,
    .reader_open = boost_reader_open,
    .put = boost_put,
    .put_end = boost_put_end,
    .take = boost_take,
    .close = boost_close,
};

const struct wire_row wire_boost = {"boost", " slots=fixed", &boost_ops};
