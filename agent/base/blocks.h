/*
 * blocks: a growing sequence of bytes in equal, aligned blocks from one bounded pool: what encoders
 * write into and what direct writes take away from the front.
 *
 * Owns:   the pool owns every block; a block_chain holds those it took until they are given back.
 * Thread: shard.
 * Units:  bytes.
 */
#ifndef BASE_BLOCKS_H
#define BASE_BLOCKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { BLOCK_BYTES = 256 * 1024, BLOCK_ALIGN = 4096 };

struct block {
    struct block *next;
    uint8_t *data;              /* BLOCK_BYTES, aligned to BLOCK_ALIGN */
    uint32_t len;               /* bytes used; set when the chain moves on */
    bool known;                 /* its user has shown it to the kernel */
};

/* Blocks are allocated at first use and kept; never more than `max` are out. */
struct block_pool {
    struct block *free;
    uint32_t free_count, made, max;
};

void block_pool_init(struct block_pool *pool, uint64_t bytes_max);
void block_pool_fini(struct block_pool *pool);
struct block *block_take(struct block_pool *pool);      /* NULL: at the limit or out of memory */
void block_give(struct block_pool *pool, struct block *b);
uint64_t block_pool_bytes_used(const struct block_pool *pool);

struct block_chain {
    struct block_pool *pool;    /* borrowed */
    struct block *first, *last;
    struct block *spare;        /* taken by chain_reserve(), not yet written to */
    uint8_t *at, *end;          /* free bytes of the last block */
    uint64_t total;             /* bytes ever appended */
};

void chain_init(struct block_chain *c, struct block_pool *pool);
void chain_fini(struct block_chain *c);                 /* gives every block back */

/*
 * Makes sure that `len` more bytes can be appended without failing, until the next reservation or
 * shift. Takes several blocks when needed and gives back what an earlier, larger reservation left
 * over. False: the pool is exhausted, nothing has changed.
 */
bool chain_reserve_slow(struct block_chain *c, uint64_t len);
static inline bool chain_reserve(struct block_chain *c, uint64_t len)
{
    return __builtin_expect(len <= (uint64_t)(c->end - c->at) && !c->spare, 1)
           || chain_reserve_slow(c, len);
}

/* Appends; only within what was reserved. Splits across blocks. */
void chain_append_slow(struct block_chain *c, const void *data, size_t len);
static inline void chain_append(struct block_chain *c, const void *data, size_t len)
{
    if (__builtin_expect(len <= (size_t)(c->end - c->at), 1)) {
        memcpy(c->at, data, len);
        c->at += len;
        c->total += len;
        return;
    }
    chain_append_slow(c, data, len);
}

/*
 * Bytes that are known only when what follows them is written: they are filled in before the next
 * shift.
 */
struct chain_hole {
    struct block *block;
    uint32_t at;
};
struct chain_hole chain_leave(struct block_chain *c, size_t len);
void chain_fill(struct chain_hole hole, const void *data, size_t len);

/*
 * Takes the first block away when it is full (or any, when `all`); its len is set, it is the
 * caller's to give back to the pool. NULL: none, and spare blocks have gone back to the pool.
 */
struct block *chain_shift(struct block_chain *c, bool all);

/* Bytes now held in the chain. */
uint64_t chain_bytes(const struct block_chain *c);

#endif
