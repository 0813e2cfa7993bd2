/*
 * codec: compresses one block of bytes into another, by the codecs that Parquet pages have.
 *
 * Owns:   struct codec owns the contexts of the libraries, made at first use and kept.
 * Thread: one codec by one thread at a time; the other functions any.
 * Units:  bytes.
 */
#ifndef ENCODE_CODEC_H
#define ENCODE_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum codec_type {
    CODEC_NONE,
    CODEC_SNAPPY,       /* one raw block, without a frame */
    CODEC_GZIP,         /* one gzip member */
    CODEC_ZSTD,         /* one frame, its content size said in it */
    CODEC_LZ4_RAW,      /* one LZ4 block, without a frame */
    CODEC_COUNT
};

enum { CODEC_LEVEL_USUAL = -1 };

/* Blocks of more are refused: lengths of Parquet and of some libraries are 32 bits. */
#define CODEC_BLOCK_BYTES_MAX ((size_t)1 << 30)

const char *codec_name(enum codec_type type);           /* as in `compression = ` */
enum codec_type codec_find(const char *name);           /* CODEC_COUNT: no such codec */

/* The usual level is always fine; else from the first to the second. False: there is no choice. */
bool codec_levels(enum codec_type type, int *ret_min, int *ret_max);
bool codec_level_valid(enum codec_type type, int level);

struct codec;

struct codec *codec_open(void);                         /* NULL: no memory */
void codec_close(struct codec *c);                      /* NULL is fine */

/* Most bytes that a block of len bytes becomes. */
size_t codec_bytes_max(enum codec_type type, size_t len);

/*
 * Compresses into `out`, which has codec_bytes_max() bytes. 0, -ENOMEM, or -EMSGSIZE: the block is
 * larger than CODEC_BLOCK_BYTES_MAX. The level is valid.
 */
int codec_compress(struct codec *c, enum codec_type type, int level, const void *data, size_t len,
                   void *out, size_t *ret_len);

#endif
