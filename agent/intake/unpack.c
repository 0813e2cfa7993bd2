/*
 * unpack: gzip by zlib, zstd, and snappy blocks.
 *
 * Owns:   see the header.
 * Thread: any one at a time.
 */
#include "intake/unpack.h"

#include <errno.h>
#include <snappy-c.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "base/invariant.h"

enum {
    GZIP_WINDOW_BITS = 15 + 16,         /* 32 KiB, and a gzip header */
    GZIP_MEMORY_BYTES = 48 * 1024,      /* its window, and what zlib's manual names besides */
    ZSTD_WINDOW_LOG = 23,
    ZSTD_MEMORY_MORE = 1 << 20          /* beside the window: tables, and a block in and out */
};
_Static_assert(1 << ZSTD_WINDOW_LOG == UNPACK_WINDOW_BYTES_MAX, "one limit");

struct unpacker {
    enum unpack_type type;
    bool complete;              /* at the end of a member or frame */
    bool over;                  /* gzip: a member has ended, the next is to begin */
    int failed;                 /* told once what was made before it is out */
    z_stream gzip;
    ZSTD_DStream *zstd;         /* owned */
};

enum unpack_type unpack_detect(const uint8_t *head, size_t len)
{
    static const uint8_t gzip[] = {0x1f, 0x8b}, zstd[] = {0x28, 0xb5, 0x2f, 0xfd};

    if (memcmp(head, gzip, len < sizeof(gzip) ? len : sizeof(gzip)) == 0)
        return len < sizeof(gzip) ? UNPACK_UNDECIDED : UNPACK_GZIP;
    if (memcmp(head, zstd, len < sizeof(zstd) ? len : sizeof(zstd)) == 0)
        return len < sizeof(zstd) ? UNPACK_UNDECIDED : UNPACK_ZSTD;
    return UNPACK_NONE;
}

size_t unpack_memory_max(enum unpack_type type)
{
    return type == UNPACK_ZSTD ? UNPACK_WINDOW_BYTES_MAX + ZSTD_MEMORY_MORE : GZIP_MEMORY_BYTES;
}

int unpacker_open(enum unpack_type type, struct unpacker **ret_unpacker)
{
    struct unpacker *u = calloc(1, sizeof(*u));

    INVARIANT(type == UNPACK_GZIP || type == UNPACK_ZSTD);
    if (u == NULL)
        return -ENOMEM;
    u->type = type;
    if (type == UNPACK_GZIP && inflateInit2(&u->gzip, GZIP_WINDOW_BITS) != Z_OK) {
        free(u);
        return -ENOMEM;
    }
    if (type == UNPACK_ZSTD) {
        u->zstd = ZSTD_createDStream();
        if (u->zstd == NULL ||
            ZSTD_isError(ZSTD_DCtx_setParameter(u->zstd, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG))) {
            unpacker_close(u);
            return -ENOMEM;
        }
    }
    *ret_unpacker = u;
    return 0;
}

void unpacker_close(struct unpacker *u)
{
    if (u == NULL)
        return;
    if (u->type == UNPACK_GZIP)
        (void)inflateEnd(&u->gzip);
    (void)ZSTD_freeDStream(u->zstd);
    free(u);
}

void unpacker_reset(struct unpacker *u)
{
    u->complete = u->over = false;
    u->failed = 0;
    if (u->type == UNPACK_GZIP)
        (void)inflateReset(&u->gzip);
    else
        (void)ZSTD_DCtx_reset(u->zstd, ZSTD_reset_session_only);
}

size_t unpacker_memory(const struct unpacker *u)
{
    return u->type == UNPACK_ZSTD ? ZSTD_sizeof_DStream(u->zstd) : GZIP_MEMORY_BYTES;
}

static int gzip_step(struct unpacker *u, const uint8_t *in, size_t len, size_t *ret_used,
                     uint8_t *out, size_t cap, size_t *ret_made)
{
    z_stream *z = &u->gzip;
    int rc = Z_OK;

    z->next_in = (uint8_t *)(uintptr_t)in;      /* zlib reads it, and has no const */
    z->avail_in = (uInt)len;
    z->next_out = out;
    z->avail_out = (uInt)cap;
    while (rc == Z_OK && z->avail_out > 0 && (z->avail_in > 0 || !u->over)) {
        if (u->over)
            (void)inflateReset(z);      /* fails only where there is no state */
        u->over = false;
        rc = inflate(z, Z_NO_FLUSH);
        if (rc == Z_STREAM_END) {
            u->over = true;
            rc = Z_OK;
        }
    }
    u->complete = u->over;
    *ret_used = len - z->avail_in;
    *ret_made = cap - z->avail_out;
    if (rc == Z_MEM_ERROR)
        return -ENOMEM;
    return rc == Z_OK || rc == Z_BUF_ERROR ? 0 : -EBADMSG;     /* BUF: it wants more input */
}

static int zstd_step(struct unpacker *u, const uint8_t *in, size_t len, size_t *ret_used,
                     uint8_t *out, size_t cap, size_t *ret_made)
{
    ZSTD_inBuffer from = {in, len, 0};
    ZSTD_outBuffer to = {out, cap, 0};
    size_t more, made = SIZE_MAX;

    /* Asked behind a frame's end without input, it would speak of the next frame. */
    while (to.pos < cap && (from.pos < len || (to.pos != made && !u->complete))) {
        made = to.pos;
        more = ZSTD_decompressStream(u->zstd, &to, &from);
        *ret_used = from.pos;
        *ret_made = to.pos;
        if (ZSTD_isError(more))
            return ZSTD_getErrorCode(more) == ZSTD_error_memory_allocation ? -ENOMEM : -EBADMSG;
        u->complete = more == 0;
    }
    return 0;
}

int unpacker_step(struct unpacker *u, const uint8_t *in, size_t len, size_t *ret_used,
                  uint8_t *out, size_t cap, size_t *ret_made)
{
    *ret_used = *ret_made = 0;
    if (u->failed == 0)
        u->failed = u->type == UNPACK_GZIP ? gzip_step(u, in, len, ret_used, out, cap, ret_made)
                                           : zstd_step(u, in, len, ret_used, out, cap, ret_made);
    return *ret_made > 0 ? 0 : u->failed;
}

bool unpacker_complete(const struct unpacker *u)
{
    return u->complete && u->failed == 0;
}

size_t unpack_snappy_bytes(const uint8_t *data, size_t len, size_t max)
{
    size_t bytes;

    if (snappy_uncompressed_length((const char *)data, len, &bytes) != SNAPPY_OK || bytes > max ||
        snappy_validate_compressed_buffer((const char *)data, len) != SNAPPY_OK)
        return 0;
    return bytes;
}

int unpack_snappy(const uint8_t *data, size_t len, uint8_t *out, size_t bytes)
{
    size_t made = bytes;

    return snappy_uncompress((const char *)data, len, (char *)out, &made) == SNAPPY_OK &&
                   made == bytes
               ? 0
               : -EBADMSG;
}
