/*
 * varint_read: whole numbers as Parquet and Thrift write them, seven bits a byte, lowest first.
 *
 * Owns:   nothing; the bytes are of a test's own making, and whole.
 */
#ifndef TESTS_ENCODE_VARINT_READ_H
#define TESTS_ENCODE_VARINT_READ_H

#include <stdint.h>

static inline uint64_t varint_read(const uint8_t **at)
{
    uint64_t v = 0;

    for (unsigned int shift = 0;; shift += 7) {
        uint8_t byte = *(*at)++;

        v |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return v;
    }
}

#endif
