/*
 * lanes_ring: rings, one a producer. The producer is the client library as a user has it, with the
 * defaults it gives a ring; the consumer uses the agent's own code to attach, copy, check and
 * publish, by pread(2) as the agent does or from a mapping, and never sleeps.
 * Owns:   each end's handle.
 * Thread: one in each process.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "benchmarks/transports/lanes.h"
#include "cli/cli_bench_measure.h"
#include "cli/cli_bench_wire.h"

#define MAPPED 0x100U /* the consumer copies from a mapping of its own, else by pread(2) */

enum { RING_BYTES = 1 << 20, SPINS_MAX = 4096 };

static void options_fill(const struct lanes *l, struct wire_options *ret_opt)
{
    *ret_opt = (struct wire_options){
        .kind = (l->ops->detail & MAPPED) != 0 ? WIRE_RING_MAP : WIRE_RING_READ,
        .event_bytes = l->event_bytes,
        .ring_bytes = RING_BYTES,
        .clock = l->ops->detail & ~MAPPED,
        .shm_dir = l->dir,
    };
}

static int ring_writer_make(struct lane_writer *w, struct errmsg *err)
{
    struct wire *wire = calloc(1, sizeof(*wire));
    struct wire_options opt;
    int rc;

    w->state = wire;
    if (wire == NULL)
        return errmsg_set_errno(err, -ENOMEM, "ring");
    options_fill(w->lanes, &opt);
    rc = wire_prepare(wire, &opt, err);
    if (rc == 0)
        rc = wire_ring_make(wire, err);
    if (rc == 0)
        (void)snprintf(w->lanes->names[w->producer], LANES_NAME_MAX, "%s", wire->ring_name);
    return rc;
}

static int ring_reader_open(struct lane_reader *r, struct errmsg *err)
{
    struct wire *wires = calloc(r->lanes->producers, sizeof(*wires));
    struct wire_options opt;
    int rc = 0;

    r->state = wires;
    if (wires == NULL)
        return errmsg_set_errno(err, -ENOMEM, "rings");
    options_fill(r->lanes, &opt);
    for (unsigned int i = 0; rc == 0 && i < r->lanes->producers; i++) {
        rc = wire_prepare(&wires[i], &opt, err);
        if (rc == 0)
            rc = wire_reader_open(&wires[i], r->lanes->names[i], err);
    }
    return rc;
}

/*
 * The ring is full: again until there is room, soon as a rule. A consumer that gives none for some
 * time is not running: asleep until it has taken all leaves the processor to others. The ring's
 * file is gone since the consumer has it: who stands still for long makes it -ESTALE meanwhile.
 */
static __attribute__((noinline)) int put_waiting(struct wire *wire, const void *event)
{
    int rc;

    for (uint32_t spin = 1;; spin++) {
        bench_relax();
        rc = shmc_write(wire->ring, wire->stream, SHMC_BYTES, event, wire->opt.event_bytes);
        if (rc == -EAGAIN && spin % SPINS_MAX == 0)
            rc = shmc_flush(wire->ring, SHMC_ACCEPTED, UINT64_MAX);
        else if (rc == 0)
            return 0;
        if (rc != 0 && rc != -EAGAIN && rc != -ESTALE)
            return rc;
    }
}

static int ring_put(struct lane_writer *w, uint32_t count)
{
    struct wire *wire = w->state;
    struct shmc *ring = wire->ring;
    uint32_t bytes = w->serials.bytes;
    uint16_t stream = wire->stream;

    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *event = serials_next(&w->serials);
        int rc = shmc_write(ring, stream, SHMC_BYTES, event, bytes);

        if (__builtin_expect(rc == -EAGAIN || rc == -ESTALE, 0))
            rc = put_waiting(wire, event);
        if (__builtin_expect(rc != 0, 0))
            return rc;
    }
    return 0;
}

/* Frames have been checked; those of events that are all as long as this one lie evenly. */
static int ring_take(struct lane_reader *r)
{
    struct wire *wires = r->state;
    uint64_t stride = shm_frame_bytes(r->tally.bytes), events = 0;
    const uint8_t *payload;
    int rc = 0;

    for (unsigned int i = 0; rc == 0 && i < r->lanes->producers; i++) {
        rc = wire_take(&wires[i], &events, &payload);
        for (; rc == 0 && events > 0; events--, payload += stride)
            rc = tally_add(&r->tally, payload);
    }
    return rc;
}

#define RING(clock)                                                                               \
    .detail = (clock), .relaxes = 1, .writer_make = ring_writer_make,                             \
    .reader_open = ring_reader_open, .put = ring_put, .take = ring_take

const struct lanes_ops lanes_ring = {.name = "ring", RING(SHMC_CLOCK_COARSE)};
const struct lanes_ops lanes_ring_untimed = {.name = "ring-untimed", RING(SHMC_CLOCK_NONE)};
const struct lanes_ops lanes_ring_mapped = {.name = "ring-mapped",
                                            RING(SHMC_CLOCK_COARSE | MAPPED)};
