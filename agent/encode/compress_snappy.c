/*
 * compress_snappy: the snappy framing format: after a chunk that names it come chunks of up to
 * 64 KiB of data each, on their own.
 *
 *   0  u8   0xff name of the stream, 0x00 compressed, 0x01 as it is
 *   1  u24  bytes that follow, little-endian
 *   4  u32  CRC-32C of the data before compression, masked
 *   8       a snappy block, or the data
 *
 * Owns:   nothing but the compressor's buffers.
 * Thread: any one at a time.
 * Units:  bytes.
 */
#include "encode/compress_codec.h"

#include <errno.h>
#include <snappy-c.h>
#include <string.h>

#include "base/bytes.h"
#include "base/crc32c.h"

enum {
    SNAPPY_CHUNK_BYTES = 65536,         /* the most that a chunk may hold */
    SNAPPY_HEAD_BYTES = 8,
    SNAPPY_CRC_BYTES = 4,
    SNAPPY_COMPRESSED = 0x00,
    SNAPPY_PLAIN = 0x01,
};

static const char snappy_name[10] = {(char)0xff, 6, 0, 0, 's', 'N', 'a', 'P', 'p', 'Y'};

static int snappy_open(struct compressor *c, int level)
{
    (void)level;
    c->chunk_bytes = SNAPPY_CHUNK_BYTES;
    c->made_bytes = SNAPPY_HEAD_BYTES + snappy_max_compressed_length(SNAPPY_CHUNK_BYTES);
    c->chunk_max = SNAPPY_HEAD_BYTES + SNAPPY_CHUNK_BYTES;
    c->held_max = sizeof(snappy_name);
    return 0;
}

static void snappy_close(struct compressor *c)
{
    (void)c;
}

static int snappy_begin(struct compressor *c, struct block_chain *out)
{
    (void)c;
    chain_append(out, snappy_name, sizeof(snappy_name));
    return 0;
}

static int snappy_chunk(struct compressor *c, size_t len, bool last, struct block_chain *out)
{
    size_t room = c->made_bytes - SNAPPY_HEAD_BYTES;
    uint8_t *block = c->made + SNAPPY_HEAD_BYTES;
    uint32_t crc;
    bool plain;

    (void)last;
    if (len == 0)
        return 0;
    if (snappy_compress((const char *)c->chunk, len, (char *)block, &room) != SNAPPY_OK)
        return -EIO;
    /* Less than an eighth saved is not worth the reader's time. */
    plain = room >= len - len / 8;
    if (plain) {
        memcpy(block, c->chunk, len);
        room = len;
    }
    bytes_put_u32(c->made, (uint32_t)(room + SNAPPY_CRC_BYTES) << 8
                               | (plain ? SNAPPY_PLAIN : SNAPPY_COMPRESSED));
    crc = crc32c(0, c->chunk, len);
    bytes_put_u32(c->made + 4, (crc >> 15 | crc << 17) + 0xa282ead8U);
    chain_append(out, c->made, SNAPPY_HEAD_BYTES + room);
    return 0;
}

const struct compress_codec compress_snappy = {snappy_open, snappy_close, snappy_begin,
                                               snappy_chunk};
