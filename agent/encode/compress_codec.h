/*
 * compress_codec: what compress.c asks of a codec; only its own files include this.
 *
 * Owns:   struct compressor, see compress.h; a codec's state is its own, behind `state`.
 * Thread: any one at a time.
 * Units:  bytes.
 */
#ifndef ENCODE_COMPRESS_CODEC_H
#define ENCODE_COMPRESS_CODEC_H

#include <stdbool.h>

#include "encode/compress.h"

struct compressor {
    const struct compress_codec *codec;
    void *state;                /* owned by the codec */
    uint8_t *chunk;             /* owned; chunk_bytes, gathered before the codec sees them */
    size_t fill;
    uint8_t *made;              /* owned; made_bytes: where codecs write */
    size_t made_bytes;
    size_t chunk_bytes;
    uint64_t chunk_max;         /* the most that one chunk alone becomes */
    uint64_t held_max;          /* the most that can come out of chunks before it, and of headers */
    uint64_t memory;
    bool begun;                 /* the file has its header */
};

struct compress_codec {
    /* Sets state, the sizes and memory above. 0 or -ENOMEM; close() follows either way. */
    int (*open)(struct compressor *c, int level);
    void (*close)(struct compressor *c);

    /* Starts a file anew; 0 or -EIO. */
    int (*begin)(struct compressor *c, struct block_chain *out);

    /* A full chunk, or the last one, which may be empty, and the file's end. 0 or -EIO. */
    int (*chunk)(struct compressor *c, size_t len, bool last, struct block_chain *out);
};

extern const struct compress_codec compress_gzip, compress_zstd, compress_snappy, compress_lz4;

#endif
