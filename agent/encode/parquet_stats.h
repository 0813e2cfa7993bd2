/*
 * parquet_stats: the least and the greatest of a column's values, as readers use them to skip what
 * they need not read.
 *
 * Owns:   nothing.
 * Thread: any.
 */
#ifndef ENCODE_PARQUET_STATS_H
#define ENCODE_PARQUET_STATS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "encode/schema.h"

/* Longer strings are cut: the least to what begins it, the greatest to something greater. */
enum { PARQUET_BOUND_BYTES_MAX = 64 };

struct parquet_bound {
    uint8_t data[PARQUET_BOUND_BYTES_MAX];      /* PLAIN, but strings without their length */
    uint8_t len;
    bool exact;                 /* it is a value of the column, not a bound beyond one */
};

enum parquet_stats_state {
    PARQUET_STATS_EMPTY,        /* no value was seen */
    PARQUET_STATS_KNOWN,
    PARQUET_STATS_MIN_ONLY,     /* strings: nothing short is greater than the greatest */
    PARQUET_STATS_NONE          /* there was a NaN, which has no place in an order */
};

struct parquet_stats {
    enum parquet_stats_state state;
    struct parquet_bound min, max;
};

/* Of values in PLAIN encoding; those of bool are one byte each. */
void parquet_stats_make(enum column_type type, const uint8_t *values, size_t len,
                        struct parquet_stats *ret_stats);

/* Makes `into` cover what `more` covers, too. */
void parquet_stats_merge(enum column_type type, struct parquet_stats *into,
                         const struct parquet_stats *more);

#endif
