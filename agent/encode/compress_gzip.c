/*
 * compress_gzip: one gzip member a file, by ISA-L for the low levels and by zlib for the others.
 *
 * Owns:   the state of either library.
 * Thread: any one at a time.
 * Units:  bytes.
 */
#include "encode/compress_codec.h"

#include <errno.h>
#include <isa-l/igzip_lib.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum {
    GZIP_CHUNK_BYTES = 64 * 1024,
    GZIP_MADE_BYTES = 64 * 1024,
    GZIP_LEVEL_ISAL_MAX = 3,
    GZIP_WINDOW_BITS = 15 + 16,         /* 32 KiB, and a gzip header */
    GZIP_MEM_LEVEL = 8,                 /* zlib's own default */
    /*
     * What zlib may hold back: 16 Ki symbols of at most 6 bytes, or a window of two times 32 KiB
     * stored; and the memory that its manual names for these settings.
     */
    ZLIB_HELD_BYTES = 256 * 1024,
    ZLIB_MEMORY_BYTES = (1 << (15 + 2)) + (1 << (GZIP_MEM_LEVEL + 9)) + 8 * 1024,
    ISAL_HELD_BYTES = 128 * 1024,       /* the same window, header and trailer */
};

struct gzip_state {
    bool by_isal;
    uint16_t level;
    struct isal_zstream isal;
    uint8_t *isal_memory;               /* owned */
    z_stream zlib;
};

static int isal_open(struct compressor *c, struct gzip_state *s)
{
    static const uint32_t sizes[GZIP_LEVEL_ISAL_MAX + 1] = {
        ISAL_DEF_LVL0_DEFAULT, ISAL_DEF_LVL1_DEFAULT, ISAL_DEF_LVL2_DEFAULT, ISAL_DEF_LVL3_DEFAULT,
    };
    uint32_t size = sizes[s->level];

    if (size > 0) {
        s->isal_memory = malloc(size);
        if (s->isal_memory == NULL)
            return -ENOMEM;
    }
    isal_deflate_init(&s->isal);
    s->isal.level = s->level;
    s->isal.level_buf = s->isal_memory;
    s->isal.level_buf_size = size;
    /* A token of four bytes comes out as at most six. */
    c->held_max = (uint64_t)size / 4 * 6 + ISAL_HELD_BYTES;
    c->chunk_max = 2 * GZIP_CHUNK_BYTES;
    c->memory = sizeof(*s) + size;
    return 0;
}

static int gzip_open(struct compressor *c, int level)
{
    struct gzip_state *s = calloc(1, sizeof(*s));

    c->state = s;
    c->chunk_bytes = GZIP_CHUNK_BYTES;
    c->made_bytes = GZIP_MADE_BYTES;
    if (s == NULL)
        return -ENOMEM;
    s->level = (uint16_t)level;
    s->by_isal = level <= GZIP_LEVEL_ISAL_MAX;
    if (s->by_isal)
        return isal_open(c, s);
    c->held_max = ZLIB_HELD_BYTES;
    c->chunk_max = compressBound(GZIP_CHUNK_BYTES);
    c->memory = sizeof(*s) + ZLIB_MEMORY_BYTES;
    return deflateInit2(&s->zlib, level, Z_DEFLATED, GZIP_WINDOW_BITS, GZIP_MEM_LEVEL,
                        Z_DEFAULT_STRATEGY) == Z_OK
               ? 0
               : -ENOMEM;
}

static void gzip_close(struct compressor *c)
{
    struct gzip_state *s = c->state;

    if (s == NULL)
        return;
    if (!s->by_isal)
        (void)deflateEnd(&s->zlib);
    free(s->isal_memory);
    free(s);
}

static int gzip_begin(struct compressor *c, struct block_chain *out)
{
    struct gzip_state *s = c->state;

    (void)out;
    if (!s->by_isal)
        return deflateReset(&s->zlib) == Z_OK ? 0 : -EIO;
    isal_deflate_reset(&s->isal);
    /* The library notes here that the header is written, and resets all but this. */
    s->isal.gzip_flag = IGZIP_GZIP;
    s->isal.end_of_stream = 0;
    s->isal.flush = NO_FLUSH;
    return 0;
}

static int isal_chunk(struct compressor *c, size_t len, bool last, struct block_chain *out)
{
    struct isal_zstream *s = &((struct gzip_state *)c->state)->isal;
    bool done;

    s->next_in = c->chunk;
    s->avail_in = (uint32_t)len;
    s->end_of_stream = last;
    do {
        uint32_t before = s->avail_in;

        s->next_out = c->made;
        s->avail_out = (uint32_t)c->made_bytes;
        if (isal_deflate(s) != COMP_OK)
            return -EIO;
        chain_append(out, c->made, c->made_bytes - s->avail_out);
        /* At its end the library may leave a few bytes of room that its trailer does not fit. */
        done = last ? s->internal_state.state == ZSTATE_END : s->avail_in == 0 && s->avail_out > 0;
        if (!done && s->avail_out == c->made_bytes && s->avail_in == before)
            return -EIO;
    } while (!done);
    return 0;
}

static int zlib_chunk(struct compressor *c, size_t len, bool last, struct block_chain *out)
{
    z_stream *s = &((struct gzip_state *)c->state)->zlib;
    int e;

    s->next_in = c->chunk;
    s->avail_in = (uInt)len;
    do {
        s->next_out = c->made;
        s->avail_out = (uInt)c->made_bytes;
        e = deflate(s, last ? Z_FINISH : Z_NO_FLUSH);
        /* BUF: the output was full to the byte, and nothing was left to do. */
        if (e != Z_OK && e != Z_STREAM_END && e != Z_BUF_ERROR)
            return -EIO;
        chain_append(out, c->made, c->made_bytes - s->avail_out);
    } while (s->avail_out == 0);
    return !last || e == Z_STREAM_END ? 0 : -EIO;
}

static int gzip_chunk(struct compressor *c, size_t len, bool last, struct block_chain *out)
{
    const struct gzip_state *s = c->state;

    return s->by_isal ? isal_chunk(c, len, last, out) : zlib_chunk(c, len, last, out);
}

const struct compress_codec compress_gzip = {gzip_open, gzip_close, gzip_begin, gzip_chunk};
