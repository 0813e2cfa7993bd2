/*
 * crc32c: CRC-32C (Castagnoli) with the usual start and end inversion.
 * A running sum is its own seed: crc32c(crc32c(0, a), b) == crc32c(0, ab).
 * Owns:   nothing.
 * Thread: any.
 */
#ifndef BASE_CRC32C_H
#define BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

uint32_t crc32c(uint32_t seed, const void *data, size_t len);

/* The sum of ab from those of a and b, each with seed 0. Some microseconds, whatever the length. */
uint32_t crc32c_combine(uint32_t a, uint32_t b, uint64_t b_len);

#endif
