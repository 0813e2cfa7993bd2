/*
 * link: a wire whose reader is a process that drains it, awake, until it is told to stop.
 *
 * Owns:   the wire's writing end, the peer.
 * Thread: one.
 * Units:  events.
 */
#ifndef BENCHMARKS_LINK_H
#define BENCHMARKS_LINK_H

#include "benchmarks/harness.h"
#include "benchmarks/peer.h"
#include "benchmarks/wire.h"

struct link {
    struct wire wire;
    struct peer peer;
    uint64_t sent;
};

int link_open(struct link *l, struct bench *b, const struct wire_options *opt, struct errmsg *err);

/* count events with these bytes, counted as sent. */
int link_put(struct link *l, const void *data, uint32_t count, struct errmsg *err);

/* Sends what a batch gathers and waits until the reader has taken everything. */
int link_settle(struct link *l, struct errmsg *err);

/* Ends the reader. rc, err: of what was done with the link; its own failure counts only after. */
int link_close(struct link *l, int rc, struct errmsg *err);

#endif
