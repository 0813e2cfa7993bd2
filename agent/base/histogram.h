/*
 * histogram: how often values of a kind were how large, in buckets that never change. Pure.
 *
 * Owns:   nothing.
 * Thread: any, one struct by one thread at a time.
 * Units:  nanoseconds or bytes, by its scale.
 */
#ifndef BASE_HISTOGRAM_H
#define BASE_HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>

enum histogram_scale { HISTOGRAM_NS, HISTOGRAM_BYTES, HISTOGRAM_SCALE_COUNT };

enum { HISTOGRAM_BOUNDS_MAX = 20 };

struct histogram {
    uint64_t count[HISTOGRAM_BOUNDS_MAX + 1];   /* up to each bound, from the one before; above */
    uint64_t sum;
};

/* Upper bounds, each part of its bucket: 0.1 ms to 5 min, 1 KiB to 1 GiB. */
const uint64_t *histogram_bounds(enum histogram_scale scale, size_t *ret_count);

void histogram_add(struct histogram *h, enum histogram_scale scale, uint64_t value);
void histogram_merge(struct histogram *to, const struct histogram *from);   /* of one scale */

#endif
