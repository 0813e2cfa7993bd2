/*
 * parquet_delta: differences, packed.
 *
 *   numbers:  varints of BLOCK, MINIS, count and the first value, zigzag; then for each BLOCK of
 *             differences: the least of them, a zigzag varint; a byte for each of its MINIS parts:
 *             the bits that what exceeds the least takes there; the parts, packed from the lowest
 *             bit on, the last one of all padded, those behind it left out
 *   strings:  numbers: how many bytes each shares with the one before; numbers: how many follow;
 *             what follows of all, end to end
 *
 * Differences wrap around as integers of the column's width do, so there are none too large.
 *
 * Source: Encodings.md of Apache's parquet-format, "Delta Encoding", "Delta Strings".
 *
 * Owns:   nothing.
 * Thread: any.
 */
#include "encode/parquet_delta.h"

#include "base/bytes.h"
#include "encode/parquet_pack.h"

enum {
    BLOCK = 128,
    MINIS = 4,
    MINI = BLOCK / MINIS,
    VARINT_BYTES_MAX = 10,
    STEP = 16,                  /* bytes of a string that are copied at once */
    SLACK_BYTES = 16,           /* stored beyond the end by that, or by packing */
};

static uint8_t *put_varint(uint8_t *at, uint64_t v)
{
    for (; v >= 0x80; v >>= 7)
        *at++ = (uint8_t)(v | 0x80);
    *at++ = (uint8_t)v;
    return at;
}

static uint8_t *put_zigzag(uint8_t *at, int64_t v)
{
    return put_varint(at, (uint64_t)v << 1 ^ (uint64_t)(v >> 63));
}

/* --- numbers -------------------------------------------------------------------------------- */

static inline unsigned int bits_of(uint64_t v)
{
    return v == 0 ? 0 : 64U - (unsigned int)__builtin_clzll(v);
}

/* MINI values, each in `width` bits. */
static uint8_t *mini_put(uint8_t *at, const uint64_t *v, unsigned int width)
{
    uint64_t word = 0;
    unsigned int bits = 0;

    if (width > 0 && width <= 32) {
        uint32_t narrow[MINI];

        for (int i = 0; i < MINI; i++)
            narrow[i] = (uint32_t)v[i];
        return parquet_pack_groups(at, narrow, MINI, width);
    }
    for (int i = 0; i < MINI && width > 0; i++) {
        word |= v[i] << bits;
        bits += width;
        if (bits < 64)
            continue;
        bytes_put_u64(at, word);
        at += sizeof(word);
        bits -= 64;
        word = bits == 0 ? 0 : v[i] >> (width - bits);
    }
    bytes_put_u64(at, word);    /* MINI values are whole words, or half of one is left */
    return at + bits / 8;
}

/* `count` differences, the rest of BLOCK being whatever; they are changed. */
static uint8_t *block_put(uint8_t *at, uint64_t *deltas, size_t count)
{
    int64_t least = (int64_t)deltas[0];
    uint8_t *widths;

    for (size_t i = 1; i < count; i++)
        least = (int64_t)deltas[i] < least ? (int64_t)deltas[i] : least;
    at = put_zigzag(at, least);
    widths = at;
    at += MINIS;
    for (size_t i = count; i < BLOCK; i++)
        deltas[i] = (uint64_t)least;
    for (size_t m = 0; m < MINIS; m++) {
        uint64_t *mini = deltas + m * MINI, all = 0;

        for (size_t i = 0; i < MINI; i++) {
            mini[i] -= (uint64_t)least;
            all |= mini[i];
        }
        widths[m] = (uint8_t)bits_of(all);
        at = mini_put(at, mini, widths[m]);
    }
    return at;
}

static inline int64_t number_at(const uint8_t *values, size_t i, size_t width)
{
    return width == sizeof(uint32_t) ? (int32_t)bytes_get_u32(values + i * width)
                                     : (int64_t)bytes_get_u64(values + i * width);
}

static inline uint64_t difference(int64_t a, int64_t b, size_t width)
{
    uint64_t d = (uint64_t)a - (uint64_t)b;

    return width == sizeof(uint32_t) ? (uint64_t)(int32_t)(uint32_t)d : d;
}

static inline __attribute__((always_inline)) uint8_t *
numbers_put(uint8_t *at, const uint8_t *values, size_t count, size_t width)
{
    int64_t last = count > 0 ? number_at(values, 0, width) : 0;
    uint64_t deltas[BLOCK];

    at = put_varint(at, BLOCK);
    at = put_varint(at, MINIS);
    at = put_varint(at, count);
    at = put_zigzag(at, last);
    for (size_t done = 1; done < count; done += BLOCK) {
        size_t part = count - done < BLOCK ? count - done : BLOCK;

        for (size_t i = 0; i < part; i++) {
            int64_t v = number_at(values, done + i, width);

            deltas[i] = difference(v, last, width);
            last = v;
        }
        at = block_put(at, deltas, part);
    }
    return at;
}

size_t parquet_delta_numbers_room(size_t count)
{
    return 4 * VARINT_BYTES_MAX + (count / BLOCK + 1) * (VARINT_BYTES_MAX + MINIS)
           + (count + MINI) * sizeof(uint64_t) + SLACK_BYTES;
}

uint8_t *parquet_delta_numbers(uint8_t *at, const uint8_t *values, size_t count, size_t width)
{
    return width == sizeof(uint32_t) ? numbers_put(at, values, count, sizeof(uint32_t))
                                     : numbers_put(at, values, count, sizeof(uint64_t));
}

/* --- strings -------------------------------------------------------------------------------- */

static inline uint32_t shared(const uint8_t *a, const uint8_t *b, uint32_t most)
{
    uint32_t at = 0;

    for (; most - at >= sizeof(uint64_t); at += (uint32_t)sizeof(uint64_t)) {
        uint64_t differ = bytes_get_u64(a + at) ^ bytes_get_u64(b + at);

        if (differ != 0)
            return at + (uint32_t)__builtin_ctzll(differ) / 8;
    }
    while (at < most && a[at] == b[at])
        at++;
    return at;
}

size_t parquet_delta_strings_room(size_t count, size_t len)
{
    return 2 * parquet_delta_numbers_room(count) + len + SLACK_BYTES;
}

/* Most are short, and memcpy() of a length that is not known would be called. */
static inline uint8_t *copy(uint8_t *at, const uint8_t *from, const uint8_t *end, size_t len)
{
    if (__builtin_expect((size_t)(end - from) < len + STEP, 0)) {
        memcpy(at, from, len);
        return at + len;
    }
    for (size_t done = 0; done < len; done += STEP)
        memcpy(at + done, from + done, STEP);
    return at + len;
}

uint8_t *parquet_delta_strings(uint8_t *at, const uint8_t *values, size_t len, size_t count,
                               uint32_t *lengths)
{
    uint32_t *same = lengths, *rest = lengths + count, last_len = 0;
    const uint8_t *v = values, *last = values, *end = values + len;

    for (size_t i = 0; i < count; i++) {
        uint32_t bytes = bytes_get_u32(v);

        v += sizeof(bytes);
        same[i] = shared(v, last, bytes < last_len ? bytes : last_len);
        rest[i] = bytes - same[i];
        last = v;
        last_len = bytes;
        v += bytes;
    }
    at = parquet_delta_numbers(at, (const uint8_t *)same, count, sizeof(*same));
    at = parquet_delta_numbers(at, (const uint8_t *)rest, count, sizeof(*rest));
    v = values;
    for (size_t i = 0; i < count; i++) {
        v += sizeof(uint32_t) + same[i];
        at = copy(at, v, end, rest[i]);
        v += rest[i];
    }
    return at;
}
