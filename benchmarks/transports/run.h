/*
 * run: one measurement of one transport: producers in processes of their own on one processor, the
 * consumer on another, and what each of them saw. Where a library brings threads of its own they
 * are better off unpinned, and so nothing is.
 *
 *   cost        one producer; bursts of some hundred events into lanes that are empty and whose
 *               consumer keeps up; what an event of the median burst costs its producer
 *   throughput  producers write as fast as they can; the clock stops with the last event that the
 *               consumer has checked. Processor time of all processes between start and end
 *   latency     one producer, one event at a time, some microseconds apart: from the time stamp
 *               before it is written until the consumer has copied and checked it
 *
 * The consumer checks each event (serial.h). Sent but not received is lost, which only transports
 * do that say so; out of order, doubled or damaged fails the run.
 *
 * Owns:   the processes of a run, until it ends.
 * Thread: one.
 * Units:  seconds, nanoseconds, bytes of payload.
 */
#ifndef BENCHMARKS_TRANSPORTS_RUN_H
#define BENCHMARKS_TRANSPORTS_RUN_H

#include "benchmarks/transports/lanes.h"
#include "cli/cli_bench_measure.h"

enum run_mode { RUN_COST, RUN_THROUGHPUT, RUN_LATENCY };

struct run_options {
    enum run_mode mode;
    const struct lanes_ops *ops;
    uint32_t event_bytes;
    unsigned int producers;
    double seconds;
    const char *dir; /* of our own, on tmpfs; borrowed */
    const struct bench_clock *clock;
    int producer_cpu, consumer_cpu; /* -1: any */
};

enum {
    RUN_BURST_EVENTS = 1000,
    RUN_BURST_BYTES = 1 << 19 /* of payload: half of a ring, so that a burst never waits for room */
};

static inline uint32_t run_burst_events(uint32_t event_bytes)
{
    uint32_t fit = RUN_BURST_BYTES / event_bytes;

    return fit < RUN_BURST_EVENTS ? fit : RUN_BURST_EVENTS;
}

enum { RUN_QUANTILES = 5 };
extern const double run_quantiles[RUN_QUANTILES]; /* 0.5, 0.9, 0.99, 0.999, 0.9999 */

struct run_result {
    uint64_t sent, lost;
    double cost_ns;                    /* of RUN_COST */
    double events_per_s, cpu_ns;       /* of RUN_THROUGHPUT; cpu_ns an event */
    double latency_ns[RUN_QUANTILES];  /* of RUN_LATENCY */
};

int run_measure(const struct run_options *opt, struct run_result *ret_result, struct errmsg *err);

#endif
