/*
 * cell_read: values of columns that JSON writes as strings: times and bytes.
 *
 * Owns:   nothing.
 * Thread: any.
 */
#ifndef ENCODE_CELL_READ_H
#define ENCODE_CELL_READ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Years 0000 to 9999, what RFC 3339 can write; microseconds since 1970, UTC. */
#define CELL_TIMESTAMP_MIN (-62167219200000000LL)
#define CELL_TIMESTAMP_MAX 253402300799999999LL

/*
 * RFC 3339: `2026-11-21T10:11:12.345678Z`, with or without a fraction, which is cut to
 * microseconds, with Z or an offset, and UTC without either, as many programs write it; a T of
 * either case or a space. False: anything else, days that no calendar has, years beyond 0000 to
 * 9999 in UTC. A leap second has no number and is refused.
 */
bool cell_read_timestamp(const uint8_t *text, size_t len, int64_t *ret_us);

/*
 * RFC 4648 with its padding, nothing else between, bits that are over zero: one text for each
 * value. `to` takes len / 4 * 3 bytes and may be the text itself. False: not base64.
 */
bool cell_read_base64(const uint8_t *text, size_t len, uint8_t *to, size_t *ret_len);

#endif
