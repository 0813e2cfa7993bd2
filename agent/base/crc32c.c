/*
 * crc32c: CRC-32C by ISA-L, which picks the fastest instructions of this machine.
 * Owns:   nothing.
 * Thread: any.
 */
#include "base/crc32c.h"

#include <isa-l/crc.h>

/* ISA-L counts in int. */
#define CRC32C_STEP_BYTES ((size_t)1 << 30)

#define POLYNOMIAL 0x82f63b78U
#define X_8 (1U << 23)

uint32_t crc32c(uint32_t seed, const void *data, size_t len)
{
    const unsigned char *at = data;
    uint32_t sum = ~seed; /* ISA-L leaves both inversions to its caller. */

    while (len > 0) {
        size_t step = len < CRC32C_STEP_BYTES ? len : CRC32C_STEP_BYTES;

        /* Its prototype lacks const; it only reads. */
        sum = crc32_iscsi((unsigned char *)at, (int)step, sum);
        at += step;
        len -= step;
    }
    return ~sum;
}

/* Of polynomials, modulo that of the sum; x^0 is bit 31, as in sums. */
static uint32_t multiply(uint32_t a, uint32_t b)
{
    uint32_t product = 0;

    for (uint32_t bit = 1U << 31; bit != 0; bit >>= 1) {
        if (a & bit)
            product ^= b;
        b = (b >> 1) ^ (b & 1 ? POLYNOMIAL : 0);
    }
    return product;
}

/* Bytes behind a move its sum up by x^8 each; that they are no zeros is b's share. */
uint32_t crc32c_combine(uint32_t a, uint32_t b, uint64_t b_len)
{
    uint32_t power = X_8;

    for (; b_len != 0; b_len >>= 1) {
        if (b_len & 1)
            a = multiply(a, power);
        power = multiply(power, power);
    }
    return a ^ b;
}
