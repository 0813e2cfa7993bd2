/*
 * blocks: aligned blocks of one size from a bounded pool, and chains of them that grow at the end
 * and are taken away from the front.
 *
 * Owns:   the pool owns every block it made; a chain holds its blocks and its spares until they are
 *         shifted or given back.
 * Thread: shard.
 * Units:  bytes.
 *
 * Invariants of a chain:
 *   C1  every block but the last is full, so only the last has room: [at, end).
 *   C2  without blocks at == end, and both point at a byte that exists, so that appending nothing
 *       is defined.
 *   C3  spares are empty; they are kept only while a reservation may still need them.
 */
#include "base/blocks.h"

#include "base/invariant.h"

#include <stdlib.h>

_Static_assert(BLOCK_BYTES % BLOCK_ALIGN == 0, "aligned_alloc and direct writes need a multiple");

static uint8_t chain_no_room[1];

void block_pool_init(struct block_pool *pool, uint64_t bytes_max)
{
    uint64_t max = bytes_max / BLOCK_BYTES;

    *pool = (struct block_pool){ .max = max < UINT32_MAX ? (uint32_t)max : UINT32_MAX };
}

void block_pool_fini(struct block_pool *pool)
{
    /* A block that is still out could never be freed again. */
    INVARIANT(pool->free_count == pool->made);
    while (pool->free != NULL) {
        struct block *b = pool->free;

        pool->free = b->next;
        free(b->data);
        free(b);
    }
    pool->free_count = 0;
    pool->made = 0;
}

static struct block *block_make(void)
{
    struct block *b = malloc(sizeof(*b));

    if (b == NULL)
        return NULL;
    b->known = false;
    b->data = aligned_alloc(BLOCK_ALIGN, BLOCK_BYTES);
    if (b->data == NULL) {
        free(b);
        return NULL;
    }
    return b;
}

struct block *block_take(struct block_pool *pool)
{
    struct block *b = pool->free;

    /* By what is used, not by what was made: that may be more, of a time with a higher bound. */
    if (pool->made - pool->free_count >= pool->max)
        return NULL;
    if (b != NULL) {
        pool->free = b->next;
        pool->free_count--;
    } else {
        b = block_make();
        if (b == NULL)
            return NULL;
        pool->made++;
    }
    b->next = NULL;
    b->len = 0;
    return b;
}

void block_give(struct block_pool *pool, struct block *b)
{
    if (b == NULL)
        return;
    INVARIANT(pool->free_count < pool->made);
    b->next = pool->free;
    pool->free = b;
    pool->free_count++;
}

uint64_t block_pool_bytes_used(const struct block_pool *pool)
{
    return (uint64_t)(pool->made - pool->free_count) * BLOCK_BYTES;
}

/* Gives back the whole list. */
static void blocks_give(struct block_pool *pool, struct block *list)
{
    while (list != NULL) {
        struct block *next = list->next;

        block_give(pool, list);
        list = next;
    }
}

void chain_init(struct block_chain *c, struct block_pool *pool)
{
    *c = (struct block_chain){ .pool = pool, .at = chain_no_room, .end = chain_no_room };
}

void chain_fini(struct block_chain *c)
{
    blocks_give(c->pool, c->first);
    blocks_give(c->pool, c->spare);
    chain_init(c, c->pool);
}

bool chain_reserve_slow(struct block_chain *c, uint64_t len)
{
    uint64_t room = (uint64_t)(c->end - c->at);
    uint64_t blocks = len <= room ? 0 : (len - room + BLOCK_BYTES - 1) / BLOCK_BYTES;
    struct block **tail = &c->spare;
    struct block **old_tail;

    while (blocks > 0 && *tail != NULL) {
        tail = &(*tail)->next;
        blocks--;
    }
    old_tail = tail;
    for (; blocks > 0; blocks--) {
        *tail = block_take(c->pool);
        if (*tail == NULL) {
            blocks_give(c->pool, *old_tail);
            *old_tail = NULL;
            return false;
        }
        tail = &(*tail)->next;
    }
    /* The worst case of the event before may be many times this one: others need those blocks. */
    blocks_give(c->pool, *tail);
    *tail = NULL;
    return true;
}

/* The last block is full: goes on in a spare one. */
static void chain_next(struct block_chain *c)
{
    struct block *b = c->spare;

    INVARIANT(b != NULL); /* more was appended than reserved */
    c->spare = b->next;
    b->next = NULL;
    if (c->last != NULL) {
        c->last->len = BLOCK_BYTES;
        c->last->next = b;
    } else {
        c->first = b;
    }
    c->last = b;
    c->at = b->data;
    c->end = b->data + BLOCK_BYTES;
}

void chain_append_slow(struct block_chain *c, const void *data, size_t len)
{
    const uint8_t *from = data;

    while (len > 0) {
        size_t room = (size_t)(c->end - c->at);
        size_t part = len < room ? len : room;

        if (part == 0) {
            chain_next(c);
            continue;
        }
        memcpy(c->at, from, part);
        c->at += part;
        c->total += part;
        from += part;
        len -= part;
    }
}

struct chain_hole chain_leave(struct block_chain *c, size_t len)
{
    static const uint8_t zeros[8];
    struct chain_hole hole;

    INVARIANT(len <= sizeof(zeros));
    if (c->at == c->end)
        chain_next(c);
    hole = (struct chain_hole){ c->last, (uint32_t)(c->at - c->last->data) };
    chain_append(c, zeros, len);
    return hole;
}

void chain_fill(struct chain_hole hole, const void *data, size_t len)
{
    const uint8_t *from = data;

    for (; len > 0; len--) {
        if (hole.at == BLOCK_BYTES)
            hole = (struct chain_hole){ hole.block->next, 0 };
        hole.block->data[hole.at++] = *from++;
    }
}

struct block *chain_shift(struct block_chain *c, bool all)
{
    struct block *b = c->first;

    if (b == NULL || (b == c->last && c->at < c->end && !all)) {
        blocks_give(c->pool, c->spare);
        c->spare = NULL;
        return NULL;
    }
    if (b == c->last) {
        b->len = (uint32_t)(c->at - b->data);
        c->last = NULL;
        c->at = chain_no_room;
        c->end = chain_no_room;
    }
    c->first = b->next;
    b->next = NULL;
    return b;
}

uint64_t chain_bytes(const struct block_chain *c)
{
    uint64_t bytes = 0;

    for (const struct block *b = c->first; b != NULL; b = b->next)
        bytes += b == c->last ? (uint64_t)(c->at - b->data) : b->len;
    return bytes;
}
