/*
 * wal_group: lends chunks, keeps groups until they are synced.
 * Owns:   groups and chunks.
 * Thread: shard.
 */
#include "wal/wal_group.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/invariant.h"

enum {
    COPY_BYTES_MAX = 128 * 1024,        /* a larger body keeps its chunk */
    ITEMS_KEPT_MAX = 64 * 1024          /* a longer list's memory is not kept for another */
};

void wal_groups_init(struct wal_groups *gs, struct io_loop *loop)
{
    memset(gs, 0, sizeof(*gs));
    gs->loop = loop;
    gs->kept_last = &gs->kept_first;
}

static void chunk_give(struct wal_groups *gs, struct wal_group *g)
{
    if (!g->chunk)
        return;
    memcpy(g->chunk, &gs->chunks_free, sizeof(gs->chunks_free));
    gs->chunks_free = g->chunk;
    g->chunk = NULL;
}

static uint8_t *chunk_take(struct wal_groups *gs)
{
    uint8_t *chunk = gs->chunks_free;

    if (chunk)
        memcpy(&gs->chunks_free, chunk, sizeof(gs->chunks_free));
    return chunk;
}

int wal_group_lend(struct wal_groups *gs, struct wal_group *g)
{
    if (g->chunk)
        return 0;
    g->chunk = chunk_take(gs);
    if (g->chunk)
        return 0;
    g->chunk = aligned_alloc(WAL_BLOCK, WAL_CHUNK_BYTES);
    if (!g->chunk)
        return -ENOMEM;
    gs->chunks++;
    (void)loop_register(gs->loop, g->chunk, WAL_CHUNK_BYTES);
    return 0;
}

struct wal_group *wal_group_take(struct wal_groups *gs, bool routes)
{
    struct wal_group *g = gs->free;
    struct bytes items;

    if (gs->busy >= WAL_GROUPS - (routes ? WAL_GROUPS_CONTROL : 0))
        return NULL;
    if (g)
        gs->free = g->next;
    else
        g = calloc(1, sizeof(*g));
    if (!g)
        return NULL;
    items = g->items;
    bytes_clear(&items);
    memset(g, 0, sizeof(*g));
    g->items = items;
    g->state = WAL_GROUP_FILLING;
    gs->busy++;
    return g;
}

static void group_free(struct wal_groups *gs, struct wal_group *g)
{
    chunk_give(gs, g);
    free(g->copy);
    g->copy = NULL;
    if (g->items.cap > ITEMS_KEPT_MAX)
        bytes_free(&g->items);
    g->state = WAL_GROUP_FREE;
    g->next = gs->free;
    gs->free = g;
}

bool wal_group_keeps_chunk(const struct wal_group *g)
{
    return g->body_len > COPY_BYTES_MAX;
}

void wal_group_keep(struct wal_groups *gs, struct wal_group *g)
{
    g->next = NULL;
    *gs->kept_last = g;
    gs->kept_last = &g->next;
    g->kept = true;
    g->cost = sizeof(*g) + g->items.cap
              + (wal_group_keeps_chunk(g) ? WAL_CHUNK_BYTES : g->body_len);
    gs->kept_bytes += g->cost;
    gs->kept_chunks += wal_group_keeps_chunk(g);
}

void wal_group_release(struct wal_groups *gs, struct wal_group *g)
{
    INVARIANT(!g->released && gs->busy > 0);
    g->released = true;
    gs->busy--;
    if (!g->kept) {
        group_free(gs, g);
        return;
    }
    if (!g->chunk || wal_group_keeps_chunk(g))
        return;
    if (g->body_len > 0) {
        g->copy = malloc(g->body_len);
        if (!g->copy)
            return;             /* the chunk keeps it */
        memcpy(g->copy, g->chunk, g->body_len);
    }
    chunk_give(gs, g);
}

void wal_groups_synced(struct wal_groups *gs, uint64_t lsn)
{
    struct wal_group *g;

    while ((g = gs->kept_first) && g->end_lsn <= lsn) {
        gs->kept_first = g->next;
        if (!gs->kept_first)
            gs->kept_last = &gs->kept_first;
        gs->kept_bytes -= g->cost;
        gs->kept_chunks -= wal_group_keeps_chunk(g);
        g->kept = false;
        if (g->released)
            group_free(gs, g);
    }
}

void wal_groups_fini(struct wal_groups *gs)
{
    struct wal_group *g;
    uint8_t *chunk;

    wal_groups_synced(gs, UINT64_MAX);
    while ((g = gs->free)) {
        gs->free = g->next;
        bytes_free(&g->items);
        free(g);
    }
    while ((chunk = chunk_take(gs)))
        free(chunk);
    memset(gs, 0, sizeof(*gs));
}
