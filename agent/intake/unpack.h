/*
 * unpack: streams that come compressed, by the magic number in front of them. Pure.
 *
 * Output is made in steps as large as the caller's room for it, so that a stream that expands a
 * thousandfold takes time, and no memory. Members (gzip) and frames (zstd) may follow each other.
 *
 * Owns:   the state of either library; a zstd window of at most UNPACK_WINDOW_BYTES_MAX.
 * Thread: any one at a time.
 * Units:  bytes.
 */
#ifndef INTAKE_UNPACK_H
#define INTAKE_UNPACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum unpack_type { UNPACK_NONE, UNPACK_GZIP, UNPACK_ZSTD, UNPACK_UNDECIDED };

/* The longest magic number, and what RFC 8878 asks of a reader at least. */
enum { UNPACK_MAGIC_BYTES = 4, UNPACK_WINDOW_BYTES_MAX = 8 << 20 };

/* By the first bytes of a stream. UNDECIDED: more of them are needed. */
enum unpack_type unpack_detect(const uint8_t *head, size_t len);

/* The most that one of this type may hold. */
size_t unpack_memory_max(enum unpack_type type);

struct unpacker;

int unpacker_open(enum unpack_type type, struct unpacker **ret_unpacker);   /* 0 or -ENOMEM */
void unpacker_close(struct unpacker *u);            /* NULL is fine */
void unpacker_reset(struct unpacker *u);            /* the next stream begins */
size_t unpacker_memory(const struct unpacker *u);   /* what it holds now */

/*
 * Takes from in[0..len), *ret_used of it, and fills out with *ret_made bytes, at most cap. When
 * made < cap all of the input is used. 0; -EBADMSG: it is damaged or wants too large a window,
 * -ENOMEM: both only when everything made before is out, and from then on.
 */
int unpacker_step(struct unpacker *u, const uint8_t *in, size_t len, size_t *ret_used,
                  uint8_t *out, size_t cap, size_t *ret_made);

/* May the stream end here? */
bool unpacker_complete(const struct unpacker *u);

/*
 * A datagram that is one raw snappy block: how long it is unpacked. 0: it is none, or longer than
 * `max`. Then unpack_snappy() fills out with just that.
 */
size_t unpack_snappy_bytes(const uint8_t *data, size_t len, size_t max);
int unpack_snappy(const uint8_t *data, size_t len, uint8_t *out, size_t bytes);    /* 0, -EBADMSG */

#endif
