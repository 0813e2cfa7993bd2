/*
 * link: the link of agent/cli/cli_bench_link.h as benchmarks open it: in the bench's own directory,
 * its two processes each on a processor of its own if asked for.
 *
 * Owns:   nothing.
 * Thread: one.
 */
#ifndef BENCHMARKS_LINK_H
#define BENCHMARKS_LINK_H

#include "benchmarks/harness.h"
#include "cli/cli_bench_link.h"

int link_open(struct link *l, struct bench *b, const struct wire_options *opt, struct errmsg *err);
int trip_open(struct trip *t, struct bench *b, const struct wire_options *opt, struct errmsg *err);

/* The options with the bench's directory, and this process pinned. */
int link_options(struct bench *b, const struct wire_options *opt, struct wire_options *ret_opt,
                 struct errmsg *err);

enum { LINK_BURST_EVENTS = 1000, LINK_BURST_BYTES_MAX = 1024 /* of an event */ };

/*
 * A case's run: what an event costs its producer, in nanoseconds, as the first metric. A value is a
 * burst, begun when everything before it has been taken. ctx: the wire_options.
 */
int link_bursts_run(void *ctx, struct bench_run *run, struct errmsg *err);

#endif
