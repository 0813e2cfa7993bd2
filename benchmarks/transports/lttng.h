/*
 * lttng: what run.h measures, of LTTng-UST: a tracepoint whose field is the event's bytes, to files
 * on disk, by a session daemon of the bench's own.
 *
 * The trace files are read afterwards: each event must be there, in order and whole, but for those
 * that LTTng itself reports as discarded.
 *
 * Owns:   daemon, producer and trace, until the run ends.
 * Thread: one.
 */
#ifndef BENCHMARKS_TRANSPORTS_LTTNG_H
#define BENCHMARKS_TRANSPORTS_LTTNG_H

#include "benchmarks/transports/run.h"

/* As run_measure(), for RUN_COST and RUN_THROUGHPUT with one producer; ops and dir are not used. */
int lttng_measure(const struct run_options *opt, struct run_result *ret_result,
                  struct errmsg *err);

#endif
