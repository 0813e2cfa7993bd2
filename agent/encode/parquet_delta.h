/*
 * parquet_delta: values of a page as differences: DELTA_BINARY_PACKED for integers,
 * DELTA_BYTE_ARRAY for strings. Made of values in PLAIN encoding.
 *
 * Integers of which each is near to the one before take a byte or two, strings that begin alike
 * only what differs, and both in a fraction of the time in which a codec would find that out.
 *
 * Owns:   nothing.
 * Thread: any.
 * Units:  bytes.
 */
#ifndef ENCODE_PARQUET_DELTA_H
#define ENCODE_PARQUET_DELTA_H

#include <stddef.h>
#include <stdint.h>

/* Room that the functions below need at `at`; they may store beyond what they return, inside it. */
size_t parquet_delta_numbers_room(size_t count);
size_t parquet_delta_strings_room(size_t count, size_t len);

/* `count` integers of `width` bytes, 4 or 8. Where what was written ends. */
uint8_t *parquet_delta_numbers(uint8_t *at, const uint8_t *values, size_t count, size_t width);

/* `count` strings behind their lengths, `len` bytes; `lengths` holds two numbers for each. */
uint8_t *parquet_delta_strings(uint8_t *at, const uint8_t *values, size_t len, size_t count,
                               uint32_t *lengths);

#endif
