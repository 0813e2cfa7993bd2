/*
 * compress_lz4: one LZ4 frame a file, of independent blocks, with a checksum of the content.
 *
 * Owns:   the library's context.
 * Thread: any one at a time.
 * Units:  bytes.
 */
#include "encode/compress_codec.h"

#include <errno.h>
#include <lz4.h>
#include <lz4frame.h>
#include <lz4hc.h>
#include <stdlib.h>

enum {
    LZ4_CHUNK_BYTES = 256 * 1024,       /* a block of the format */
    LZ4_HC_LEVEL_MIN = 3,               /* from here on the library takes more memory */
    LZ4_CONTEXT_BYTES = 512,
};

struct lz4_state {
    LZ4F_cctx *context;
    LZ4F_preferences_t preferences;
};

static int lz4_begin(struct compressor *c, struct block_chain *out)
{
    struct lz4_state *s = c->state;
    size_t len = LZ4F_compressBegin(s->context, c->made, c->made_bytes, &s->preferences);

    if (LZ4F_isError(len))
        return -EIO;
    chain_append(out, c->made, len);
    return 0;
}

static int lz4_chunk(struct compressor *c, size_t len, bool last, struct block_chain *out)
{
    struct lz4_state *s = c->state;
    size_t made = 0;

    if (len > 0) {
        made = LZ4F_compressUpdate(s->context, c->made, c->made_bytes, c->chunk, len, NULL);
        if (LZ4F_isError(made))
            return -EIO;
        chain_append(out, c->made, made);
    }
    if (last) {
        made = LZ4F_compressEnd(s->context, c->made, c->made_bytes, NULL);
        if (LZ4F_isError(made))
            return -EIO;
        chain_append(out, c->made, made);
    }
    return 0;
}

static int lz4_open(struct compressor *c, int level)
{
    struct lz4_state *s = calloc(1, sizeof(*s));
    uint8_t header[LZ4F_HEADER_SIZE_MAX];

    c->state = s;
    if (s == NULL)
        return -ENOMEM;
    s->preferences.frameInfo.blockSizeID = LZ4F_max256KB;
    s->preferences.frameInfo.blockMode = LZ4F_blockIndependent;
    s->preferences.frameInfo.contentChecksumFlag = LZ4F_contentChecksumEnabled;
    s->preferences.compressionLevel = level;
    /* A chunk is a block: nothing is kept for the next one. */
    s->preferences.autoFlush = 1;
    c->chunk_bytes = LZ4_CHUNK_BYTES;
    c->chunk_max = LZ4F_compressBound(LZ4_CHUNK_BYTES, &s->preferences);
    c->held_max = LZ4F_HEADER_SIZE_MAX;
    c->made_bytes = c->chunk_max;
    c->memory = sizeof(*s) + LZ4_CONTEXT_BYTES
                + (size_t)(level < LZ4_HC_LEVEL_MIN ? LZ4_sizeofState() : LZ4_sizeofStateHC());
    if (LZ4F_isError(LZ4F_createCompressionContext(&s->context, LZ4F_VERSION)))
        return -ENOMEM;
    /* The context takes its memory at the first frame of a kind, and keeps it. */
    return LZ4F_isError(LZ4F_compressBegin(s->context, header, sizeof(header), &s->preferences))
               ? -ENOMEM
               : 0;
}

static void lz4_close(struct compressor *c)
{
    struct lz4_state *s = c->state;

    if (s == NULL)
        return;
    (void)LZ4F_freeCompressionContext(s->context);
    free(s);
}

const struct compress_codec compress_lz4 = {lz4_open, lz4_close, lz4_begin, lz4_chunk};
