/*
 * cli_bench_link: a wire whose reader is a process that drains it, awake, until it is told to stop;
 * and a pair of wires whose far end sends back what comes.
 *
 * Owns:   the near ends, the peer.
 * Thread: one.
 * Units:  events; nanoseconds.
 */
#ifndef CLI_CLI_BENCH_LINK_H
#define CLI_CLI_BENCH_LINK_H

#include "cli/cli_bench_measure.h"
#include "cli/cli_bench_peer.h"
#include "cli/cli_bench_wire.h"

struct link {
    struct wire wire;
    struct peer peer;
    uint64_t sent;
};

/* The reader goes onto that processor (-1: any). After a failure there is nothing to close. */
int link_start(struct link *l, int reader_cpu, const struct wire_options *opt, struct errmsg *err);

/* count events with these bytes, counted as sent. */
int link_put(struct link *l, const void *data, uint32_t count, struct errmsg *err);

/* Events with these bytes for so long, then all of them taken. */
int link_put_for(struct link *l, const void *data, const struct bench_clock *clock, double seconds,
                 struct errmsg *err);

/* count events at once, then all of them taken; *ret_ns: what an event cost to put and send. */
int link_burst(struct link *l, const void *data, uint32_t count, const struct bench_clock *clock,
               double *ret_ns, struct errmsg *err);

/* Sends what a batch gathers, and waits until the reader has taken everything. */
int link_settle(struct link *l, struct errmsg *err);

/* Ends the reader. rc, err: of what was done with the link; its own failure counts only after. */
int link_close(struct link *l, int rc, struct errmsg *err);

/* There and back. */
struct trip {
    struct wire there, back;
    struct peer peer;
};

int trip_start(struct trip *t, int echo_cpu, const struct wire_options *opt, struct errmsg *err);

/*
 * One event there and back, over and over, both sides polling: for so long, or until there are cap
 * values. *ret_count >= 1 of them.
 */
int trip_measure(struct trip *t, const void *data, const struct bench_clock *clock, double seconds,
                 double *ret_values, size_t cap, size_t *ret_count, struct errmsg *err);
int trip_close(struct trip *t, int rc, struct errmsg *err);

/* In the far end of a wire: looks until an event comes or it is to stop. */
int wire_take_one(struct wire *w, const struct peer_page *page, const uint8_t **ret_first);

#endif
