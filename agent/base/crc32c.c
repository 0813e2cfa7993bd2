/*
 * crc32c: CRC-32C by ISA-L, which picks the fastest instructions of this machine.
 * Owns:   nothing.
 * Thread: any.
 */
#include "base/crc32c.h"

#include <isa-l/crc.h>

/* ISA-L counts in int. */
#define CRC32C_STEP_BYTES ((size_t)1 << 30)

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
