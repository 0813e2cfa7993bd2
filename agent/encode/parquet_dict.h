/*
 * parquet_dict: the distinct values of a column chunk, numbered in order of first appearance, in
 * the bytes that a dictionary page has. Values are numbers of 4 or 8 bytes, or strings.
 *
 * Values come in batches, so that their places in the table are on their way from memory while
 * others are looked at. A batch is taken whole; afterwards parquet_dict_over() tells that no more
 * should follow: the dictionary is large, or values meet in one place of its table, as those of
 * somebody hostile do.
 *
 * Owns:   its values and its table.
 * Thread: any one at a time.
 */
#ifndef ENCODE_PARQUET_DICT_H
#define ENCODE_PARQUET_DICT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

enum { PARQUET_DICT_BYTES_MAX = 1 << 20, PARQUET_DICT_BATCH = 64 };

/* Tables are looked at all over: the smaller they are, the more of them is in the cache. */
struct parquet_dict_number {
    uint64_t value;
    uint32_t index;             /* + 1; 0: free */
};

struct parquet_dict_string {
    uint32_t index;             /* + 1; 0: free */
    uint32_t start;             /* where in values */
};

struct parquet_dict {
    struct bytes values;        /* owned; PLAIN: numbers, or strings behind a u32 length */
    struct bytes starts;        /* owned; u32 for each string: where in values it stands */
    void *slots;                /* owned; of numbers or of strings */
    uint32_t slots_count;       /* a power of two, or 0 */
    uint32_t count;
    uint32_t width;             /* of numbers; 0: strings */
    bool crowded;
    uint64_t *memory;           /* borrowed; grows and shrinks by what is allocated */
};

void parquet_dict_init(struct parquet_dict *d, uint32_t width, uint64_t *memory);
void parquet_dict_fini(struct parquet_dict *d);
void parquet_dict_clear(struct parquet_dict *d);        /* empty; keeps its room */

/*
 * Writes the number of each value, adding what is new. `values` are `len` bytes in PLAIN encoding,
 * at most PARQUET_DICT_BATCH values. 0, or -ENOMEM: nothing was added.
 */
int parquet_dict_put(struct parquet_dict *d, const uint8_t *values, size_t len,
                     uint32_t *ret_indexes, uint32_t *ret_count);

static inline bool parquet_dict_over(const struct parquet_dict *d)
{
    return d->crowded || d->values.len >= PARQUET_DICT_BYTES_MAX;
}

/* A value as it stands in values. */
static inline const uint8_t *parquet_dict_value(const struct parquet_dict *d, uint32_t index,
                                                uint32_t *ret_len)
{
    const uint8_t *at;

    *ret_len = d->width;
    if (d->width > 0)
        return d->values.data + (size_t)index * d->width;
    at = d->values.data + bytes_get_u32(d->starts.data + index * sizeof(uint32_t));
    *ret_len = bytes_get_u32(at) + (uint32_t)sizeof(uint32_t);
    return at;
}

#endif
