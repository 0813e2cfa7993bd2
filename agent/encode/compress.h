/*
 * compress: whole files compressed as they are written. Pure: bytes to bytes, no I/O.
 *
 * Input is gathered into chunks of one size before a codec sees it, so that what comes out depends
 * on the bytes of the file alone, not on how they arrive (and, gzip below level 4, on the machine:
 * ISA-L has a way for each kind of processor). Nothing else, no time and no name, is in it.
 *
 *   gzip    one member; levels 0 to 3 by ISA-L (0 compresses too), 4 to 9 by zlib
 *   zstd    one frame with a checksum
 *   snappy  the framing format (.sz): chunks of up to 64 KiB, each with its CRC-32C
 *   lz4     one frame of independent blocks of 256 KiB with a checksum of all
 *
 * Owns:   a compressor owns its codec's memory, all of it taken when it is opened (snappy's library
 *         takes and gives back some for every chunk), and goes from file to file.
 * Thread: any one at a time.
 * Units:  bytes.
 */
#ifndef ENCODE_COMPRESS_H
#define ENCODE_COMPRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/blocks.h"

enum compress_type {
    COMPRESS_NONE,
    COMPRESS_GZIP,
    COMPRESS_ZSTD,
    COMPRESS_SNAPPY,
    COMPRESS_LZ4,
    COMPRESS_TYPE_COUNT
};

enum { COMPRESS_LEVEL_USUAL = -1 };

struct compress_info {
    const char *name;           /* as in `compression = ` */
    const char *extension;      /* with its dot; "" for none */
    int level_min, level_max;   /* equal: there is no choice */
    int level_usual;            /* what -1 stands for */
    int level_slow;             /* from here on */
};

const struct compress_info *compress_info(enum compress_type type);
enum compress_type compress_find(const char *name);     /* COMPRESS_TYPE_COUNT: no such type */

/* Below about 100 MB/s: it would hold up whoever has something else to do. */
bool compress_slow(enum compress_type type, int level);

struct compressor;

/* Not for COMPRESS_NONE. 0, -EINVAL: no such level, or -ENOMEM. */
int compressor_open(enum compress_type type, int level, struct compressor **ret_compressor);
void compressor_close(struct compressor *c);            /* NULL is fine */
uint64_t compressor_memory(const struct compressor *c); /* bytes it holds, constant */

/* The most that the call beside it can append; the caller has reserved it. */
uint64_t compressor_run_bytes_max(const struct compressor *c, uint64_t len);
uint64_t compressor_finish_bytes_max(const struct compressor *c);

/*
 * Takes input; ends the file, whose bytes are then complete, and is ready for the next one. 0, or
 * -EIO: the library failed, which it has no reason to; the file is lost, reset() starts another.
 */
int compressor_run(struct compressor *c, const void *data, size_t len, struct block_chain *out);
int compressor_finish(struct compressor *c, struct block_chain *out);

/* Forgets the file under way. */
void compressor_reset(struct compressor *c);

#endif
