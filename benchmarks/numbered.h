/*
 * numbered: JSON events of one length that carry their ring and their number, and the proof that
 * the files of streams hold exactly these.
 *
 *   {"p":"0003","n":"0000000123","d":"xxx...x"}
 *
 * Owns:   nothing.
 * Thread: any, one struct by one thread.
 * Units:  bytes; the first number is 0.
 */
#ifndef BENCHMARKS_NUMBERED_H
#define BENCHMARKS_NUMBERED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/errmsg.h"

enum { NUMBERED_BYTES_MIN = 40, NUMBERED_BYTES_MAX = 1024, NUMBERED_RINGS_MAX = 10000 };
enum { NUMBERED_RING_AT = 6, NUMBERED_RING_DIGITS = 4 };

struct numbered {
    uint32_t bytes;
    char text[NUMBERED_BYTES_MAX];
};

/* The event with number 0. */
void numbered_init(struct numbered *n, uint32_t bytes, unsigned int ring);

/* Counts the number up, in place: a few instructions an event. */
void numbered_next(struct numbered *n);

/* The same by any step. */
void numbered_add(struct numbered *n, uint64_t step);

/*
 * Is the line an event of this pattern's size, of any ring and number? With no_ring it has lost its
 * ring's field to the path of a partition.
 */
bool numbered_read(const struct numbered *pattern, const char *line, size_t len, bool no_ring,
                   uint64_t *ret_number);

/*
 * Reads the files below dir in name order: one event a line, whole to its last byte, each the next
 * one of its ring. next[ring]: the number that its next event must have; counts up. 0, or -EBADMSG
 * with the first thing that is not so.
 */
int numbered_check(const char *dir, uint32_t bytes, uint64_t *next, unsigned int rings,
                   struct errmsg *err);

#endif
