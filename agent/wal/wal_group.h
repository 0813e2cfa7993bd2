/*
 * wal_group: groups of a log while they are in memory, and what they may take of it.
 *
 * A group is filled, written and committed by wal_writer. It stays until it is both released (by
 * the router, if it has something to route) and synced: were the sync to fail, its bytes would be
 * written again elsewhere. At most WAL_GROUPS are busy, that is not yet released; how many are kept
 * beyond that is bounded by bytes. A chunk is lent to a group that takes ring bytes, the warmest
 * first; a small body moves out of its chunk when its group is released before it is synced.
 *
 * Owns:   groups, chunks.
 * Thread: shard.
 * Units:  lsn = log byte offset.
 */
#ifndef WAL_WAL_GROUP_H
#define WAL_WAL_GROUP_H

#include <stdbool.h>
#include <stdint.h>

#include "io/loop.h"
#include "wal/wal_format.h"

struct wal_writer;

enum {
    WAL_CHUNK_BYTES = 2 * 1024 * 1024,      /* holds the largest event and more */
    WAL_GROUPS = 10,                        /* busy at a time */
    WAL_GROUPS_CONTROL = 2                  /* of these, left to items without data */
};

enum wal_group_state {
    WAL_GROUP_FREE,
    WAL_GROUP_FILLING,
    WAL_GROUP_BODY,                         /* being written */
    WAL_GROUP_READY,                        /* body complete, waits for the COMMIT before it */
    WAL_GROUP_COMMIT,                       /* COMMIT being written */
    WAL_GROUP_COMMITTED
};

struct wal_group {
    enum wal_group_state state;
    struct wal_group *next;                 /* kept ones in log order, or free ones */
    struct wal_group *next_done;            /* in log order, to be routed */
    struct wal_writer *writer;              /* borrowed */
    uint8_t *chunk;                         /* lent; holds the body */
    uint8_t *copy;                          /* owned; or this does, body_len bytes */
    uint32_t body_len;                      /* used, a multiple of 8 */
    struct bytes items;
    uint32_t items_count;
    uint32_t repeated;                      /* bytes of items that the group before has said */
    bool again;                             /* has items that the next one will repeat */
    bool routes;                            /* has SPAN or STREAM items of its own */
    bool kept, released;
    uint64_t cost;                          /* bytes counted while it is kept */
    struct wal_commit commit;
    uint64_t body_lsn, end_lsn;
    uint32_t body_written, commit_written;
    struct io_op op;
};

struct wal_groups {
    struct io_loop *loop;                   /* borrowed */
    struct wal_group *free;
    uint8_t *chunks_free;                   /* each begins with the address of the next */
    unsigned chunks;                        /* all there are */
    unsigned busy;
    struct wal_group *kept_first, **kept_last;      /* closed and not synced, in log order */
    uint64_t kept_bytes;                    /* whole chunks counted where one is kept */
    unsigned kept_chunks;
};

void wal_groups_init(struct wal_groups *gs, struct io_loop *loop);
/* All must be released. Zeroed is fine. */
void wal_groups_fini(struct wal_groups *gs);

/*
 * An empty group to be filled, or NULL. Groups that are routed come back only when routing gets on,
 * and that may wait for a SEAL or an ACK: WAL_GROUPS_CONTROL are left to what needs no routing.
 */
struct wal_group *wal_group_take(struct wal_groups *gs, bool routes);
/* May what is routed be added to a group that was taken for items? */
static inline bool wal_group_may_route(const struct wal_groups *gs, const struct wal_group *g)
{
    return g->routes || WAL_GROUPS - gs->busy >= WAL_GROUPS_CONTROL;
}

/* A chunk for its body; it stays allocated until the loop is closed. 0 or -ENOMEM. */
int wal_group_lend(struct wal_groups *gs, struct wal_group *g);

/* Does a body of this length stay in its chunk until it is synced? */
bool wal_group_keeps_chunk(const struct wal_group *g);

/* It has its place in the log: keep it until a sync says that it is there. */
void wal_group_keep(struct wal_groups *gs, struct wal_group *g);
void wal_group_release(struct wal_groups *gs, struct wal_group *g);
void wal_groups_synced(struct wal_groups *gs, uint64_t lsn);

static inline uint32_t wal_group_room(const struct wal_group *g)
{
    return WAL_CHUNK_BYTES - g->body_len;
}

#endif
