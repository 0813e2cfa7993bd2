/*
 * parquet_dict: the distinct values of a column chunk, numbered in order of first appearance, in
 * the bytes that a dictionary page has. Values are numbers of 4 or 8 bytes, or strings.
 *
 * It refuses a value that it cannot take cheaply: beyond PARQUET_DICT_BYTES_MAX, out of memory, or
 * when values chosen by somebody hostile meet in one place of its table.
 *
 * Owns:   its values and its table.
 * Thread: any one at a time.
 */
#ifndef ENCODE_PARQUET_DICT_H
#define ENCODE_PARQUET_DICT_H

#include <stdint.h>

#include "base/bytes.h"

enum { PARQUET_DICT_BYTES_MAX = 1 << 20 };

/* What the functions below return for a value that is refused. */
#define PARQUET_DICT_FULL UINT32_MAX

struct parquet_dict_slot {
    uint32_t tag;               /* of the hash */
    uint32_t index;             /* + 1; 0: free */
};

struct parquet_dict {
    struct bytes values;        /* owned; PLAIN: numbers, or strings behind a u32 length */
    struct bytes starts;        /* owned; u32 for each string: where in values it stands */
    struct parquet_dict_slot *slots;    /* owned */
    uint32_t slots_count;       /* a power of two, or 0 */
    uint32_t count;
    uint64_t *memory;           /* borrowed; grows and shrinks by what is allocated */
};

void parquet_dict_init(struct parquet_dict *d, uint64_t *memory);
void parquet_dict_fini(struct parquet_dict *d);
void parquet_dict_clear(struct parquet_dict *d);        /* empty; keeps its room */

/* The number of the value, which is added if it is new; or PARQUET_DICT_FULL. */
uint32_t parquet_dict_u32(struct parquet_dict *d, uint32_t value);
uint32_t parquet_dict_u64(struct parquet_dict *d, uint64_t value);
uint32_t parquet_dict_bytes(struct parquet_dict *d, const uint8_t *data, uint32_t len);

/* A string, with its length in front. */
static inline const uint8_t *parquet_dict_string(const struct parquet_dict *d, uint32_t index,
                                                 uint32_t *ret_len)
{
    const uint8_t *at = d->values.data + bytes_get_u32(d->starts.data + index * sizeof(uint32_t));

    *ret_len = bytes_get_u32(at) + (uint32_t)sizeof(uint32_t);
    return at;
}

#endif
