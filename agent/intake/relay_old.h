/*
 * relay_old: the rings that earlier lives of the relay's listener have left behind, until they are
 * drained and durable.
 *
 * The journal (relay_table.h) knows what was to come into them; they know what did. So none may be
 * removed before that is settled in the journal: until then this holds the lock by which the agent
 * tells a producer's life.
 *
 * Owns:   descriptors, and with them the locks.
 * Thread: any one at a time.
 */
#ifndef INTAKE_RELAY_OLD_H
#define INTAKE_RELAY_OLD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/errmsg.h"
#include "intake/relay_table.h"

#define RELAY_RING_NAME "hydrant-relay"

struct relay_old_ring {
    struct relay_old_ring *next;
    int fd;                             /* owned */
    uint8_t uuid[16];
    uint64_t head, page_bytes;
};

struct relay_old {
    struct relay_old_ring *rings;
};

/* How far the log has a ring, by its uuid; 0: it knows none. */
typedef uint64_t (*relay_ring_end_fn)(void *ctx, const uint8_t uuid[16]);

/*
 * Before any shard drains: finds and locks the rings of the journal that are there, and settles by
 * the log those that are not. 0 or -errno with a text.
 */
int relay_old_open(struct relay_old *old, const char *shm_dir, struct relay_table *table,
                   relay_ring_end_fn ring_end, void *ctx, struct errmsg *err);

/*
 * Settles the rings whose last event is durable, or that the agent reads no more. 1: all are, and
 * let go; 0: not yet; -errno: the journal cannot be written; later again.
 */
int relay_old_turn(struct relay_old *old, struct relay_table *table);

void relay_old_close(struct relay_old *old);        /* zeroed is fine */

#endif
