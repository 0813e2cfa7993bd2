/*
 * spool: the file of one batch while it grows and until every sink has it.
 *
 * Owns:   descriptor and the blocks being written.
 * Thread: shard.
 * Units:  bytes.
 */
#ifndef SINK_SPOOL_H
#define SINK_SPOOL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/blocks.h"
#include "base/errmsg.h"
#include "io/loop.h"

enum { SPOOL_NAME_MAX = 64 };

/*
 * All spools of a shard write through one queue: a few writes in flight fill the disk, and more
 * would only make the log's COMMITs wait behind them.
 */
enum { SPOOL_WRITES_MAX = 4 };
struct spool_queue {
    struct spool_write *first, **last;  /* waiting, oldest first */
    unsigned in_flight, waiting;
};
void spool_queue_init(struct spool_queue *q);

struct spool;
typedef void (*spool_done_fn)(struct spool *s, int result);

struct spool {
    struct io_loop *loop;           /* borrowed */
    struct block_pool *pool;        /* borrowed; blocks go back when written */
    struct spool_queue *queue;      /* borrowed */
    int dir;                        /* borrowed */
    char name[SPOOL_NAME_MAX];
    int fd;                         /* owned; -1: not made yet */
    bool direct;
    uint32_t mode;
    uint64_t file_bytes;            /* handed over so far */
    uint32_t crc32c;                /* of them */
    uint32_t *block_crc32c;         /* owned: of each block, seed 0 */
    uint32_t blocks_count, blocks_cap;
    uint64_t reserved_bytes;        /* of blocks on disk */
    uint64_t reserving_bytes;       /* being added to them; 0: none */
    struct spool_write *writes;     /* in flight or waiting for a retry */
    unsigned in_flight;
    bool to_cut;                    /* to file_bytes: it may be longer */
    bool finishing;
    struct io_op reserve_op, sync_op;
    spool_done_fn done;
    uint64_t retry_ns;              /* boot clock; 0: nothing waits */
    unsigned attempts;              /* that failed since the last write that did not */
    int error;                      /* of the last one */
    struct errmsg trouble;          /* the same in words */
};

void spool_init(struct spool *s, struct io_loop *loop, struct block_pool *pool,
                struct spool_queue *queue, int dir, const char *name, uint32_t mode);

/* Closes and gives blocks back; nothing may be in flight. */
void spool_fini(struct spool *s);

/*
 * Hands over one block: full, or the last one. 0, -ENOMEM (the block stays the caller's). Opening
 * and writing go on without the caller; what fails (a full disk) is retried every second with the
 * block kept.
 */
int spool_append(struct spool *s, struct block *b);

/*
 * No more blocks: writes what is left, cuts the padding, syncs the file, then its name. Then
 * done(s, 0, or -errno of a failed sync, after which nothing is known of the file's bytes).
 */
void spool_finish(struct spool *s, spool_done_fn done);

/* Retries what is due. */
void spool_step(struct spool *s, uint64_t now_ns);

/*
 * Gives up all that was handed over: the file goes, the blocks go back, the next block begins the
 * file anew. Nothing may be in flight.
 */
void spool_drop(struct spool *s);

#endif
