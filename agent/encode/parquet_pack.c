/*
 * parquet_pack: runs and packed bits, mixed.
 *
 *   run:     varint of count << 1, the value in whole bytes
 *   packed:  varint of groups << 1 | 1, groups of eight values, each value in `width` bits from the
 *            lowest on; the last group of all may be padded
 *
 * Source: Encodings.md of Apache's parquet-format, "Run Length Encoding / Bit-Packing Hybrid".
 *
 * Owns:   nothing.
 * Thread: any.
 */
#include "encode/parquet_pack.h"

#include <stdbool.h>
#include <string.h>

enum {
    GROUP = 8,
    RUN_BYTES_MIN = 8,          /* packed bytes that a run has to replace: it costs up to 7 */
    HEADER_BYTES_MAX = 10,
    SLACK_BYTES = 16,           /* stored at once by pack_group() */
};

__extension__ typedef unsigned __int128 pack_word;

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "packed words are stored as they are");

unsigned int parquet_pack_width(uint32_t max)
{
    return max < 2 ? 1 : 32U - (unsigned int)__builtin_clz(max);
}

size_t parquet_pack_room(size_t count, unsigned int width)
{
    /* Each run replaces at least RUN_BYTES_MIN bytes, so headers never add up to more than they
       save, but for the first and the last. */
    return (count + GROUP - 1) / GROUP * width + 2 * HEADER_BYTES_MAX + SLACK_BYTES;
}

static uint8_t *put_varint(uint8_t *at, uint64_t v)
{
    for (; v >= 0x80; v >>= 7)
        *at++ = (uint8_t)(v | 0x80);
    *at++ = (uint8_t)v;
    return at;
}

uint8_t *parquet_pack_run(uint8_t *at, uint32_t value, size_t count, unsigned int width)
{
    at = put_varint(at, (uint64_t)count << 1);
    memcpy(at, &value, sizeof(value));
    return at + (width + 7) / 8;
}

/* Two values of 32 bits become one of twice the width. */
static inline uint64_t join(const uint32_t *v, unsigned int width)
{
    return v[0] | (uint64_t)v[1] << width;
}

static inline uint8_t *pack_group(uint8_t *at, const uint32_t *v, unsigned int width)
{
    if (width <= 8) {
        uint64_t low = join(v, width) | join(v + 2, width) << 2 * width;
        uint64_t high = join(v + 4, width) | join(v + 6, width) << 2 * width;
        uint64_t word = low | high << 4 * width;

        memcpy(at, &word, sizeof(word));
    } else if (width <= 16) {
        uint64_t low = join(v, width) | join(v + 2, width) << 2 * width;
        uint64_t high = join(v + 4, width) | join(v + 6, width) << 2 * width;
        pack_word word = low | (pack_word)high << 4 * width;

        memcpy(at, &word, sizeof(word));
    } else {
        uint8_t *to = at;
        uint64_t word = 0;
        unsigned int bits = 0;

        for (int i = 0; i < GROUP; i++) {
            word |= (uint64_t)v[i] << bits;
            for (bits += width; bits >= 8; bits -= 8, word >>= 8)
                *to++ = (uint8_t)word;
        }
    }
    return at + width;
}

uint8_t *parquet_pack_groups(uint8_t *at, const uint32_t *values, size_t count,
                             unsigned int width)
{
    for (; count > 0; count -= GROUP, values += GROUP)
        at = pack_group(at, values, width);
    return at;
}

static uint8_t *pack_literal(uint8_t *at, const uint32_t *v, size_t count, unsigned int width)
{
    size_t groups = (count + GROUP - 1) / GROUP;

    if (count == 0)
        return at;
    at = put_varint(at, (uint64_t)groups << 1 | 1);
    for (; count >= GROUP; count -= GROUP, v += GROUP)
        at = pack_group(at, v, width);
    if (count > 0) {
        uint32_t last[GROUP] = {0};

        memcpy(last, v, count * sizeof(*v));
        at = pack_group(at, last, width);
    }
    return at;
}

static inline bool group_same(const uint32_t *v)
{
    uint32_t differ = 0;

    for (int i = 1; i < GROUP; i++)
        differ |= v[i] ^ v[0];
    return differ == 0;
}

uint8_t *parquet_pack_values(uint8_t *at, const uint32_t *values, size_t count,
                             unsigned int width)
{
    size_t literal = 0, i = 0;          /* values from `literal` to i wait to be packed */

    while (count - i >= GROUP) {
        size_t run = GROUP;

        if (values[i] != values[i + 1] || !group_same(values + i)) {
            i += GROUP;
            continue;
        }
        while (i + run < count && values[i + run] == values[i])
            run++;
        if (run / GROUP * width < RUN_BYTES_MIN) {
            i += run / GROUP * GROUP;
            continue;
        }
        at = pack_literal(at, values + literal, i - literal, width);
        at = parquet_pack_run(at, values[i], run, width);
        i += run;
        literal = i;
    }
    return pack_literal(at, values + literal, count - literal, width);
}

uint8_t *parquet_pack_bits(uint8_t *at, const uint8_t *bits, size_t count)
{
    size_t bytes = count / GROUP, literal = 0, i = 0;

    while (i < bytes) {
        size_t run = 1;

        if (bits[i] == 0 || bits[i] == 0xff)
            while (i + run < bytes && bits[i + run] == bits[i])
                run++;
        if (run < RUN_BYTES_MIN) {
            i += run;
            continue;
        }
        if (i > literal) {
            at = put_varint(at, (uint64_t)(i - literal) << 1 | 1);
            memcpy(at, bits + literal, i - literal);
            at += i - literal;
        }
        at = parquet_pack_run(at, bits[i] & 1, run * GROUP, 1);
        i += run;
        literal = i;
    }
    bytes = (count + GROUP - 1) / GROUP;
    if (bytes > literal) {
        at = put_varint(at, (uint64_t)(bytes - literal) << 1 | 1);
        memcpy(at, bits + literal, bytes - literal);
        at += bytes - literal;
    }
    return at;
}
