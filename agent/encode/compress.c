/*
 * compress: gathers input into chunks, hands them to a codec, knows the most that comes out.
 *
 * Owns:   struct compressor.
 * Thread: any one at a time.
 * Units:  bytes.
 */
#include "encode/compress.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "encode/compress_codec.h"

static const struct compress_info infos[COMPRESS_TYPE_COUNT] = {
    [COMPRESS_NONE] = {"none", "", 0, 0, 0, INT_MAX},
    [COMPRESS_GZIP] = {"gzip", ".gz", 0, 9, 1, 4},
    [COMPRESS_ZSTD] = {"zstd", ".zst", 1, 19, 3, 6},
    [COMPRESS_SNAPPY] = {"snappy", ".sz", 0, 0, 0, INT_MAX},
    [COMPRESS_LZ4] = {"lz4", ".lz4", 0, 12, 0, 9},
};

static const struct compress_codec *const codecs[COMPRESS_TYPE_COUNT] = {
    [COMPRESS_GZIP] = &compress_gzip,
    [COMPRESS_ZSTD] = &compress_zstd,
    [COMPRESS_SNAPPY] = &compress_snappy,
    [COMPRESS_LZ4] = &compress_lz4,
};

const struct compress_info *compress_info(enum compress_type type)
{
    return &infos[type];
}

enum compress_type compress_find(const char *name)
{
    int type = COMPRESS_NONE;

    while (type < COMPRESS_TYPE_COUNT && strcmp(infos[type].name, name) != 0)
        type++;
    return (enum compress_type)type;
}

bool compress_slow(enum compress_type type, int level)
{
    const struct compress_info *info = &infos[type];

    return (level == COMPRESS_LEVEL_USUAL ? info->level_usual : level) >= info->level_slow;
}

int compressor_open(enum compress_type type, int level, struct compressor **ret_compressor)
{
    const struct compress_info *info = &infos[type];
    struct compressor *c;
    int e;

    *ret_compressor = NULL;
    if (level == COMPRESS_LEVEL_USUAL)
        level = info->level_usual;
    if (codecs[type] == NULL || level < info->level_min || level > info->level_max)
        return -EINVAL;
    c = calloc(1, sizeof(*c));
    if (c == NULL)
        return -ENOMEM;
    c->codec = codecs[type];
    e = c->codec->open(c, level);
    if (e == 0) {
        c->chunk = malloc(c->chunk_bytes);
        c->made = malloc(c->made_bytes);
        c->memory += sizeof(*c) + c->chunk_bytes + c->made_bytes;
        e = c->chunk != NULL && c->made != NULL ? 0 : -ENOMEM;
    }
    if (e != 0) {
        compressor_close(c);
        return e;
    }
    *ret_compressor = c;
    return 0;
}

void compressor_close(struct compressor *c)
{
    if (c == NULL)
        return;
    c->codec->close(c);
    free(c->chunk);
    free(c->made);
    free(c);
}

uint64_t compressor_memory(const struct compressor *c)
{
    return c->memory;
}

uint64_t compressor_run_bytes_max(const struct compressor *c, uint64_t len)
{
    uint64_t chunks = (c->fill + len) / c->chunk_bytes;

    return chunks == 0 ? 0 : chunks * c->chunk_max + c->held_max;
}

uint64_t compressor_finish_bytes_max(const struct compressor *c)
{
    return c->chunk_max + c->held_max;
}

static int chunk_end(struct compressor *c, bool last, struct block_chain *out)
{
    int e = c->begun ? 0 : c->codec->begin(c, out);

    c->begun = true;
    if (e == 0)
        e = c->codec->chunk(c, c->fill, last, out);
    c->fill = 0;
    return e;
}

int compressor_run(struct compressor *c, const void *data, size_t len, struct block_chain *out)
{
    const uint8_t *from = data;

    while (len > 0) {
        size_t room = c->chunk_bytes - c->fill, part = len < room ? len : room;

        memcpy(c->chunk + c->fill, from, part);
        c->fill += part;
        from += part;
        len -= part;
        if (c->fill == c->chunk_bytes) {
            int e = chunk_end(c, false, out);

            if (e != 0)
                return e;
        }
    }
    return 0;
}

int compressor_finish(struct compressor *c, struct block_chain *out)
{
    int e = chunk_end(c, true, out);

    c->begun = false;
    return e;
}

void compressor_reset(struct compressor *c)
{
    c->begun = false;
    c->fill = 0;
}
