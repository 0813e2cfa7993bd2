/*
 * link: links in the bench's own directory.
 * Owns:   nothing.
 * Thread: one.
 */
#include "benchmarks/link.h"

#include <errno.h>

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
