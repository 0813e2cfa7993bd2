/*
 * compress_zstd: one zstd frame a file, with a checksum.
 *
 * Owns:   the library's context.
 * Thread: any one at a time.
 * Units:  bytes.
 */
#include "encode/compress_codec.h"

#include <errno.h>
#include <zstd.h>

enum {
    ZSTD_CHUNK_BYTES = 128 * 1024,      /* a block of the format */
    ZSTD_MADE_BYTES = 128 * 1024,
    ZSTD_FRAME_BYTES = 32,              /* header and checksum, rounded up */
};

static int zstd_chunk(struct compressor *c, size_t len, bool last, struct block_chain *out)
{
    ZSTD_inBuffer in = {c->chunk, len, 0};
    size_t left;

    do {
        ZSTD_outBuffer made = {c->made, c->made_bytes, 0};

        left = ZSTD_compressStream2(c->state, &made, &in, last ? ZSTD_e_end : ZSTD_e_continue);
        if (ZSTD_isError(left))
            return -EIO;
        if (made.pos > 0)
            chain_append(out, c->made, made.pos);
    } while (in.pos < in.size || (last && left > 0));
    return 0;
}

static int zstd_begin(struct compressor *c, struct block_chain *out)
{
    (void)out;
    return ZSTD_isError(ZSTD_CCtx_reset(c->state, ZSTD_reset_session_only)) ? -EIO : 0;
}

/* The context takes its memory at the first byte of a frame, and keeps it. */
static int zstd_warm(ZSTD_CCtx *context)
{
    uint8_t made[ZSTD_FRAME_BYTES];
    ZSTD_inBuffer in = {"", 1, 0};
    ZSTD_outBuffer out = {made, sizeof(made), 0};

    return ZSTD_isError(ZSTD_compressStream2(context, &out, &in, ZSTD_e_continue)) ? -ENOMEM : 0;
}

static int zstd_open(struct compressor *c, int level)
{
    ZSTD_CCtx *context = ZSTD_createCCtx();
    int e;

    c->state = context;
    if (context == NULL || ZSTD_isError(ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel,
                                                               level))
        || ZSTD_isError(ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1)))
        return -ENOMEM;
    e = zstd_warm(context);
    c->chunk_bytes = ZSTD_CHUNK_BYTES;
    c->made_bytes = ZSTD_MADE_BYTES;
    c->chunk_max = ZSTD_compressBound(ZSTD_CHUNK_BYTES);
    c->held_max = ZSTD_compressBound(ZSTD_CHUNK_BYTES) + ZSTD_FRAME_BYTES;
    c->memory = ZSTD_sizeof_CCtx(context);
    return e;
}

static void zstd_close(struct compressor *c)
{
    (void)ZSTD_freeCCtx(c->state);
}

const struct compress_codec compress_zstd = {zstd_open, zstd_close, zstd_begin, zstd_chunk};
