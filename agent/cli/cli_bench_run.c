/*
 * cli_bench_run: the measurements of `hydrant bench`.
 * Owns:   the values of the measurement that runs.
 * Thread: main.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli_bench.h"
#include "cli/cli_bench_link.h"

#define RING_BYTES     (1U << 20)
#define JITTER_SECONDS 0.5

enum { VALUES_MAX = 1 << 16, BURST_EVENTS = 1000, BURSTS_UNCOUNTED = 3, EVENT_BYTES_MAX = 1024 };
enum { CELLS = BENCH_TRANSPORTS * (2 * BENCH_SIZES + 1) };

const struct bench_transport bench_transports[BENCH_TRANSPORTS] = {
    {"ring", "shared memory, coarse clock", WIRE_RING_READ, true},
    {"unix", "stream socket, a write an event", WIRE_UNIX, true},
    {"tcp", "loopback, a write an event", WIRE_TCP, true},
    {"pipe", "a write an event", WIRE_PIPE, true},
    {"unix-batch", "stream socket, writes of 64 KiB", WIRE_UNIX_BATCH, false},
};
const uint32_t bench_sizes[BENCH_SIZES] = {64, 256, EVENT_BYTES_MAX};

static const uint8_t zeros[EVENT_BYTES_MAX];

struct work {
    struct bench_clock clock;
    double seconds; /* of one measurement */
    bench_stop_fn stop;
    double *values; /* owned; VALUES_MAX */
    struct wire_options opt;
    int reader_cpu; /* -1: there is only one processor */
};

static int burst_measure(struct work *w, double *ret_ns, struct errmsg *err)
{
    uint64_t length = bench_seconds_ticks(&w->clock, w->seconds), start = 0;
    struct link link;
    size_t bursts = 0, count = 0;
    int rc = link_start(&link, w->reader_cpu, &w->opt, err);

    if (rc != 0)
        return rc;
    do {
        if (bursts == BURSTS_UNCOUNTED)
            start = bench_ticks(&w->clock);
        rc = link_burst(&link, zeros, BURST_EVENTS, &w->clock, &w->values[count], err);
        count += bursts++ >= BURSTS_UNCOUNTED;
    } while (rc == 0 && count < VALUES_MAX &&
             (count == 0 || bench_ticks(&w->clock) - start < length));
    if (rc == 0)
        *ret_ns = bench_quantile(w->values, count, 0.5);
    return link_close(&link, rc, err);
}

static int sustained_measure(struct work *w, double *ret_per_s, struct errmsg *err)
{
    struct link link;
    uint64_t from, sent;
    int rc = link_start(&link, w->reader_cpu, &w->opt, err);

    if (rc != 0)
        return rc;
    rc = link_put_for(&link, zeros, &w->clock, w->seconds / 10, err);
    sent = link.sent;
    from = bench_ticks(&w->clock);
    if (rc == 0)
        rc = link_put_for(&link, zeros, &w->clock, w->seconds, err);
    if (rc == 0)
        *ret_per_s = (double)(link.sent - sent) * 1e9 /
                     bench_ticks_ns(&w->clock, bench_ticks(&w->clock) - from);
    return link_close(&link, rc, err);
}

static int trip_run(struct work *w, double *ret_p50_ns, double *ret_p99_ns, struct errmsg *err)
{
    struct trip trip;
    size_t count = 0;
    int rc = trip_start(&trip, w->reader_cpu, &w->opt, err);

    if (rc != 0)
        return rc;
    rc = trip_measure(&trip, zeros, &w->clock, w->seconds, w->values, VALUES_MAX, &count, err);
    if (rc == 0) {
        *ret_p50_ns = bench_quantile(w->values, count, 0.5);
        *ret_p99_ns = bench_quantile(w->values, count, 0.99);
    }
    return trip_close(&trip, rc, err);
}

/* All that is measured of one transport in one round. */
static int transport_measure(struct work *w, const struct bench_transport *t, struct bench_row *row,
                             struct errmsg *err)
{
    int rc = 0;

    w->opt.kind = t->kind;
    for (size_t s = 0; rc == 0 && s < BENCH_SIZES; s++) {
        w->opt.event_bytes = bench_sizes[s];
        rc = w->stop() ? -EINTR : burst_measure(w, &row->burst_ns[s], err);
        if (rc == 0)
            rc = w->stop() ? -EINTR : sustained_measure(w, &row->sustained_per_s[s], err);
    }
    w->opt.event_bytes = bench_sizes[0];
    if (rc == 0 && t->answers)
        rc = w->stop() ? -EINTR : trip_run(w, &row->trip_p50_ns, &row->trip_p99_ns, err);
    if (rc != 0)
        errmsg_prefix(err, "%s: ", t->name);
    return rc;
}

/* Of a figure that stands at the same place in each round. */
static double rounds_median(const struct bench_result *rounds, const double *first)
{
    size_t offset = (size_t)((const char *)first - (const char *)rounds);
    double values[BENCH_ROUNDS];

    for (size_t i = 0; i < BENCH_ROUNDS; i++)
        memcpy(&values[i], (const char *)&rounds[i] + offset, sizeof(values[i]));
    return bench_quantile(values, BENCH_ROUNDS, 0.5);
}

static void medians_take(const struct bench_result *rounds, struct bench_result *ret_result)
{
    for (size_t t = 0; t < BENCH_TRANSPORTS; t++) {
        const struct bench_row *from = &rounds[0].rows[t];
        struct bench_row *to = &ret_result->rows[t];

        for (size_t s = 0; s < BENCH_SIZES; s++) {
            to->burst_ns[s] = rounds_median(rounds, &from->burst_ns[s]);
            to->sustained_per_s[s] = rounds_median(rounds, &from->sustained_per_s[s]);
        }
        to->trip_p50_ns = rounds_median(rounds, &from->trip_p50_ns);
        to->trip_p99_ns = rounds_median(rounds, &from->trip_p99_ns);
    }
    ret_result->floor_p50_ns = rounds_median(rounds, &rounds[0].floor_p50_ns);
    ret_result->floor_p99_ns = rounds_median(rounds, &rounds[0].floor_p99_ns);
}

/*
 * Both ends poll. Left to itself the kernel may put them onto one processor when something else
 * runs too, and time slices are what is measured: each gets one of its own.
 */
static int cpus_choose(const cpu_set_t *cpus, int *ret_reader_cpu, struct errmsg *err)
{
    int found[2], count = 0;

    *ret_reader_cpu = -1;
    for (int cpu = 0; cpu < CPU_SETSIZE && count < 2; cpu++)
        if (CPU_ISSET((size_t)cpu, cpus))
            found[count++] = cpu;
    if (count < 2)
        return 0;
    *ret_reader_cpu = found[1];
    return peer_pin(found[0], err);
}

static int rounds_run(struct work *w, struct bench_result *rounds, struct errmsg *err)
{
    size_t count;
    int rc = 0;

    for (size_t round = 0; rc == 0 && round < BENCH_ROUNDS; round++) {
        for (size_t t = 0; rc == 0 && t < BENCH_TRANSPORTS; t++)
            rc = transport_measure(w, &bench_transports[t], &rounds[round].rows[t], err);
        if (rc != 0)
            break;
        count = floor_measure(&w->clock, w->seconds, BENCH_FLOOR_NS, w->values, VALUES_MAX);
        rounds[round].floor_p50_ns = bench_quantile(w->values, count, 0.5);
        rounds[round].floor_p99_ns = bench_quantile(w->values, count, 0.99);
    }
    return rc;
}

int bench_measure(const char *shm_dir, double seconds, bench_stop_fn stop,
                  struct bench_result *ret_result, struct errmsg *err)
{
    struct bench_result rounds[BENCH_ROUNDS];
    struct work w = {.seconds = seconds / (BENCH_ROUNDS * CELLS), .stop = stop};
    cpu_set_t cpus;
    int rc;

    memset(rounds, 0, sizeof(rounds));
    memset(ret_result, 0, sizeof(*ret_result));
    w.opt.ring_bytes = RING_BYTES;
    w.opt.clock = SHMC_CLOCK_COARSE;
    w.opt.shm_dir = shm_dir;
    w.values = calloc(VALUES_MAX, sizeof(*w.values));
    if (w.values == NULL)
        return errmsg_set_errno(err, -ENOMEM, "values");
    bench_clock_open(&w.clock);
    machine_read(&ret_result->machine);
    jitter_measure(&w.clock, JITTER_SECONDS, &ret_result->jitter);
    if (sched_getaffinity(0, sizeof(cpus), &cpus) == 0) {
        rc = cpus_choose(&cpus, &w.reader_cpu, err);
        if (rc == 0)
            rc = rounds_run(&w, rounds, err);
        if (sched_setaffinity(0, sizeof(cpus), &cpus) != 0 && rc == 0)
            rc = errmsg_set_errno(err, -errno, "processors");
    } else {
        rc = errmsg_set_errno(err, -errno, "processors");
    }
    if (rc == 0)
        medians_take(rounds, ret_result);
    free(w.values);
    return rc;
}
