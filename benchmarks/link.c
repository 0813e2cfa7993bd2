/*
 * link: links in the bench's own directory.
 * Owns:   nothing.
 * Thread: one.
 */
#include "benchmarks/link.h"

#include <errno.h>

enum { BURSTS_UNCOUNTED = 5 };

int link_options(struct bench *b, const struct wire_options *opt, struct wire_options *ret_opt,
                 struct errmsg *err)
{
    *ret_opt = *opt;
    ret_opt->shm_dir = bench_shm_dir(b, err);
    return ret_opt->shm_dir == NULL ? -EIO : peer_pin(bench_cpu(b, 0), err);
}

int link_open(struct link *l, struct bench *b, const struct wire_options *opt, struct errmsg *err)
{
    struct wire_options options;
    int rc = link_options(b, opt, &options, err);

    return rc == 0 ? link_start(l, bench_cpu(b, 1), &options, err) : rc;
}

int trip_open(struct trip *t, struct bench *b, const struct wire_options *opt, struct errmsg *err)
{
    struct wire_options options;
    int rc = link_options(b, opt, &options, err);

    return rc == 0 ? trip_start(t, bench_cpu(b, 1), &options, err) : rc;
}

int link_bursts_run(void *ctx, struct bench_run *run, struct errmsg *err)
{
    static const uint8_t data[LINK_BURST_BYTES_MAX];
    const struct bench_clock *clock = &run->bench->clock;
    uint64_t length = bench_seconds_ticks(clock, run->seconds), start = 0;
    struct link link;
    int rc = link_open(&link, run->bench, ctx, err);

    if (rc != 0)
        return rc;
    for (unsigned int burst = 0; rc == 0; burst++) {
        double ns;

        if (burst == BURSTS_UNCOUNTED)
            start = bench_ticks(clock);
        rc = link_burst(&link, data, LINK_BURST_EVENTS, clock, &ns, err);
        if (burst < BURSTS_UNCOUNTED)
            continue;
        bench_add(run, 0, ns);
        if (bench_ticks(clock) - start >= length)
            break;
    }
    return link_close(&link, rc, err);
}
