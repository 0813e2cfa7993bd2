/*
 * numbered: JSON events of one length that carry their producer and their number, and the proof
 * that a stream's files hold exactly these.
 *
 *   {"p":"03","n":"0000000123","d":"xxx...x"}
 *
 * Owns:   nothing.
 * Thread: any, one struct by one thread.
 * Units:  bytes; the first number is 0.
 */
#ifndef BENCHMARKS_NUMBERED_H
#define BENCHMARKS_NUMBERED_H

#include <stdint.h>

#include "base/errmsg.h"

enum { NUMBERED_BYTES_MIN = 40, NUMBERED_BYTES_MAX = 4096 };

struct numbered {
    uint32_t bytes;
    char text[NUMBERED_BYTES_MAX];
};

/* The event with number 0. */
void numbered_init(struct numbered *n, uint32_t bytes, unsigned int producer);

/* Counts the number up, in place: a few instructions an event. */
void numbered_next(struct numbered *n);

/*
 * Reads the files below dir in name order: one event a line, each exactly the next one, from 0 to
 * events - 1. 0, or -EBADMSG with the first thing that is not so.
 */
int numbered_check(const char *dir, uint32_t bytes, unsigned int producer, uint64_t events,
                   struct errmsg *err);

#endif
