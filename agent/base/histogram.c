/*
 * histogram: buckets.
 *
 * Owns:   nothing.
 * Thread: any.
 */
#include "base/histogram.h"

#define US 1000ULL
#define MS (1000 * US)
#define S  (1000 * MS)

#define KIB 1024ULL
#define MIB (1024 * KIB)

static const uint64_t ns_bounds[] = {
    100 * US, 250 * US, 500 * US, MS, 2500 * US, 5 * MS, 10 * MS, 25 * MS, 50 * MS, 100 * MS,
    250 * MS, 500 * MS, S, 2500 * MS, 5 * S, 10 * S, 30 * S, 60 * S, 300 * S,
};
static const uint64_t bytes_bounds[] = {
    KIB, 4 * KIB, 16 * KIB, 64 * KIB, 256 * KIB, MIB, 4 * MIB, 16 * MIB, 64 * MIB, 256 * MIB,
    1024 * MIB,
};

enum { NS_BOUNDS = sizeof(ns_bounds) / sizeof(ns_bounds[0]),
       BYTES_BOUNDS = sizeof(bytes_bounds) / sizeof(bytes_bounds[0]) };

_Static_assert((int)NS_BOUNDS <= HISTOGRAM_BOUNDS_MAX &&
               (int)BYTES_BOUNDS <= HISTOGRAM_BOUNDS_MAX, "there is a bucket for each");

const uint64_t *histogram_bounds(enum histogram_scale scale, size_t *ret_count)
{
    *ret_count = scale == HISTOGRAM_NS ? NS_BOUNDS : BYTES_BOUNDS;
    return scale == HISTOGRAM_NS ? ns_bounds : bytes_bounds;
}

void histogram_add(struct histogram *h, enum histogram_scale scale, uint64_t value)
{
    size_t count, i = 0;
    const uint64_t *bounds = histogram_bounds(scale, &count);

    while (i < count && value > bounds[i])
        i++;
    h->count[i]++;
    h->sum += value;
}

void histogram_merge(struct histogram *to, const struct histogram *from)
{
    for (size_t i = 0; i <= HISTOGRAM_BOUNDS_MAX; i++)
        to->count[i] += from->count[i];
    to->sum += from->sum;
}
