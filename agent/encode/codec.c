/*
 * codec: blocks compressed by snappy, zstd, lz4, ISA-L's igzip and zlib.
 *
 * gzip: igzip has three levels and at each is several times as fast as zlib at the like; the levels
 * above are zlib's. lz4: the levels from 3 on are those of its slow, dense variant.
 *
 * Owns:   the libraries' contexts.
 * Thread: one codec by one thread at a time.
 * Units:  bytes.
 */
#include "encode/codec.h"

#include "base/invariant.h"

#include <errno.h>
#include <isa-l/igzip_lib.h>
#include <lz4.h>
#include <lz4hc.h>
#include <snappy-c.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

enum {
    IGZIP_LEVEL_MAX = 3,
    GZIP_LEVEL_USUAL = IGZIP_LEVEL_MAX,
    GZIP_WINDOW_BITS = 15 + 16,                 /* 16: a gzip member, not a zlib stream */
    GZIP_MEMORY_LEVEL = 9,
    GZIP_BYTES_EXTRA = 1024,
    LZ4_LEVEL_DENSE = LZ4HC_CLEVEL_MIN,
};

struct igzip {
    struct isal_zstream stream;
    uint8_t room[ISAL_DEF_LVL3_LARGE];          /* the largest of its three levels */
};

_Static_assert((size_t)(ISAL_DEF_LVL3_LARGE) >= (size_t)(ISAL_DEF_LVL2_LARGE)
               && (size_t)(ISAL_DEF_LVL3_LARGE) >= (size_t)(ISAL_DEF_LVL1_LARGE), "room for all");

struct codec {
    ZSTD_CCtx *zstd;            /* owned, as all below; NULL: not used yet */
    struct igzip *igzip;
    z_stream *zlib;
    int zlib_level;
    void *lz4, *lz4_dense;
};

static const struct {
    const char *name;
    int level_min, level_max;
} codecs[CODEC_COUNT] = {
    [CODEC_NONE] = {"none", 0, 0},
    [CODEC_SNAPPY] = {"snappy", 0, 0},
    [CODEC_GZIP] = {"gzip", 1, Z_BEST_COMPRESSION},
    [CODEC_ZSTD] = {"zstd", 1, 22},
    [CODEC_LZ4_RAW] = {"lz4_raw", 1, LZ4HC_CLEVEL_MAX},
};

const char *codec_name(enum codec_type type)
{
    return codecs[type].name;
}

enum codec_type codec_find(const char *name)
{
    int type = 0;

    while (type < CODEC_COUNT && strcmp(codecs[type].name, name) != 0)
        type++;
    return (enum codec_type)type;
}

bool codec_levels(enum codec_type type, int *ret_min, int *ret_max)
{
    *ret_min = codecs[type].level_min;
    *ret_max = codecs[type].level_max;
    return *ret_min < *ret_max;
}

bool codec_level_valid(enum codec_type type, int level)
{
    int min, max;

    return level == CODEC_LEVEL_USUAL
           || (codec_levels(type, &min, &max) && level >= min && level <= max);
}

struct codec *codec_open(void)
{
    return calloc(1, sizeof(struct codec));
}

void codec_close(struct codec *c)
{
    if (c == NULL)
        return;
    ZSTD_freeCCtx(c->zstd);
    if (c->zlib != NULL)
        (void)deflateEnd(c->zlib);
    free(c->zlib);
    free(c->igzip);
    free(c->lz4);
    free(c->lz4_dense);
    free(c);
}

size_t codec_bytes_max(enum codec_type type, size_t len)
{
    switch (type) {
    case CODEC_SNAPPY:
        return snappy_max_compressed_length(len);
    case CODEC_GZIP:
        return len + len / 8 + GZIP_BYTES_EXTRA;
    case CODEC_ZSTD:
        return ZSTD_compressBound(len);
    case CODEC_LZ4_RAW:
        return (size_t)LZ4_compressBound((int)len);
    case CODEC_NONE:
    case CODEC_COUNT:
        break;
    }
    return len;
}

static int compress_igzip(struct codec *c, int level, const void *data, size_t len, void *out,
                          size_t *ret_len)
{
    struct isal_zstream *s;

    if (c->igzip == NULL)
        c->igzip = malloc(sizeof(*c->igzip));
    if (c->igzip == NULL)
        return -ENOMEM;
    s = &c->igzip->stream;
    isal_deflate_init(s);
    s->level = (uint32_t)level;
    s->level_buf = c->igzip->room;
    s->level_buf_size = sizeof(c->igzip->room);
    s->gzip_flag = IGZIP_GZIP;
    s->end_of_stream = 1;
    s->next_in = (uint8_t *)data;               /* its type lacks const; it only reads */
    s->avail_in = (uint32_t)len;
    s->next_out = out;
    s->avail_out = (uint32_t)codec_bytes_max(CODEC_GZIP, len);
    INVARIANT(isal_deflate(s) == COMP_OK && s->internal_state.state == ZSTATE_END);
    *ret_len = s->total_out;
    return 0;
}

static int compress_zlib(struct codec *c, int level, const void *data, size_t len, void *out,
                         size_t *ret_len)
{
    if (c->zlib != NULL && c->zlib_level != level) {
        (void)deflateEnd(c->zlib);
        free(c->zlib);
        c->zlib = NULL;
    }
    if (c->zlib == NULL) {
        c->zlib = calloc(1, sizeof(*c->zlib));
        if (c->zlib == NULL)
            return -ENOMEM;
        if (deflateInit2(c->zlib, level, Z_DEFLATED, GZIP_WINDOW_BITS, GZIP_MEMORY_LEVEL,
                         Z_DEFAULT_STRATEGY) != Z_OK) {
            free(c->zlib);
            c->zlib = NULL;
            return -ENOMEM;
        }
        c->zlib_level = level;
    }
    INVARIANT(deflateReset(c->zlib) == Z_OK);
    c->zlib->next_in = (Bytef *)data;           /* the same */
    c->zlib->avail_in = (uInt)len;
    c->zlib->next_out = out;
    c->zlib->avail_out = (uInt)codec_bytes_max(CODEC_GZIP, len);
    INVARIANT(deflate(c->zlib, Z_FINISH) == Z_STREAM_END);
    *ret_len = c->zlib->total_out;
    return 0;
}

static int compress_zstd(struct codec *c, int level, const void *data, size_t len, void *out,
                         size_t *ret_len)
{
    if (c->zstd == NULL)
        c->zstd = ZSTD_createCCtx();
    if (c->zstd == NULL)
        return -ENOMEM;
    *ret_len = ZSTD_compressCCtx(c->zstd, out, codec_bytes_max(CODEC_ZSTD, len), data, len, level);
    /* The room is enough: what is left to fail are its own tables. */
    return ZSTD_isError(*ret_len) ? -ENOMEM : 0;
}

static int compress_lz4(struct codec *c, int level, const void *data, size_t len, void *out,
                        size_t *ret_len)
{
    bool dense = level >= LZ4_LEVEL_DENSE;
    void **state = dense ? &c->lz4_dense : &c->lz4;
    int room = LZ4_compressBound((int)len), n;

    if (*state == NULL)
        *state = malloc((size_t)(dense ? LZ4_sizeofStateHC() : LZ4_sizeofState()));
    if (*state == NULL)
        return -ENOMEM;
    n = dense ? LZ4_compress_HC_extStateHC(*state, data, out, (int)len, room, level)
              : LZ4_compress_fast_extState(*state, data, out, (int)len, room, 1);
    INVARIANT(n > 0);
    *ret_len = (size_t)n;
    return 0;
}

int codec_compress(struct codec *c, enum codec_type type, int level, const void *data, size_t len,
                   void *out, size_t *ret_len)
{
    static const uint8_t nothing[1];
    bool usual = level == CODEC_LEVEL_USUAL;

    if (len > CODEC_BLOCK_BYTES_MAX)
        return -EMSGSIZE;
    if (len == 0)
        data = nothing;                         /* libraries do not like a null pointer */
    switch (type) {
    case CODEC_SNAPPY:
        *ret_len = snappy_max_compressed_length(len);
        INVARIANT(snappy_compress(data, len, out, ret_len) == SNAPPY_OK);
        return 0;
    case CODEC_GZIP:
        level = usual ? GZIP_LEVEL_USUAL : level;
        return level <= IGZIP_LEVEL_MAX ? compress_igzip(c, level, data, len, out, ret_len)
                                        : compress_zlib(c, level, data, len, out, ret_len);
    case CODEC_ZSTD:
        return compress_zstd(c, usual ? ZSTD_CLEVEL_DEFAULT : level, data, len, out, ret_len);
    case CODEC_LZ4_RAW:
        return compress_lz4(c, usual ? 1 : level, data, len, out, ret_len);
    case CODEC_NONE:
    case CODEC_COUNT:
        break;
    }
    memcpy(out, data, len);
    *ret_len = len;
    return 0;
}
