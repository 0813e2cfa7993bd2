/*
 * parquet_pack: Parquet's hybrid of runs and packed bits: what levels and dictionary indexes are
 * written in.
 *
 * Owns:   nothing.
 * Thread: any.
 */
#ifndef ENCODE_PARQUET_PACK_H
#define ENCODE_PARQUET_PACK_H

#include <stddef.h>
#include <stdint.h>

enum { PACK_WIDTH_MAX = 32 };

/* Bits that values up to max take; at least 1. */
unsigned int parquet_pack_width(uint32_t max);

/* Room that the functions below may need; they may store beyond what they return, inside it. */
size_t parquet_pack_room(size_t count, unsigned int width);

/* All return where what they wrote ends. Each value is below 1 << width. */
uint8_t *parquet_pack_values(uint8_t *at, const uint32_t *values, size_t count,
                             unsigned int width);
/* Values of one bit, the first in the lowest bit of the first byte. */
uint8_t *parquet_pack_bits(uint8_t *at, const uint8_t *bits, size_t count);
/* One value, count times. */
uint8_t *parquet_pack_run(uint8_t *at, uint32_t value, size_t count, unsigned int width);
/* Packed bits without a header, of a multiple of eight values; stores up to 16 bytes beyond. */
uint8_t *parquet_pack_groups(uint8_t *at, const uint32_t *values, size_t count,
                             unsigned int width);

#endif
