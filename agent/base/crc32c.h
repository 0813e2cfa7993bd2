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

#endif
