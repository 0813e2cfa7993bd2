/*
 * wal_segment: the segment being written and the one after it, for wal_writer only.
 *
 * A segment is made as "<name>.new" and gets its name when its header and CHECKPOINT are synced.
 * The next one is made and its blocks are reserved while the one before is being filled, so that a
 * roll waits for little more than syncs; and it waits in the loop, while rings are drained, events
 * routed and files written.
 *
 * Owns:   descriptors of both files, the buffer of a header and CHECKPOINT being written.
 * Thread: shard.
 */
#ifndef WAL_WAL_SEGMENT_H
#define WAL_WAL_SEGMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "io/loop.h"
#include "wal/wal_dir.h"

struct wal_writer;

enum wal_roll_step {
    WAL_ROLL_NONE,
    WAL_ROLL_WRITE,             /* header and CHECKPOINT */
    WAL_ROLL_SYNC,
    WAL_ROLL_NAME,              /* waits for the sync of the old segment */
    WAL_ROLL_SYNC_DIR
};

struct wal_roll {
    enum wal_roll_step step;
    struct wal_segment seg;     /* the next one */
    char name_new[WAL_NAME_MAX];
    int fd;                     /* owned; of the next one, -1: not made yet */
    bool direct;
    bool recycled;              /* its blocks have been written before */
    int blocked;                /* why there is no next one: no room, tried again at retry_ns */
    uint64_t retry_ns;
    uint64_t allocated_bytes;
    uint8_t *buffer;            /* owned */
    uint32_t len, written;
    bool old_syncing;
    struct io_op op, old_op;
};

/* The first segment of an epoch, synchronously. 0 or -errno. */
int wal_segment_first(struct wal_writer *w, uint64_t start_lsn);

/*
 * Makes the next one if it is time to and it is not there yet. Where the disk is full it is tried
 * again every second, and what room the present one has is left to items that free some.
 */
void wal_segment_prepare(struct wal_writer *w);

/*
 * Begins to roll: nothing may be in flight. Ends with the next segment in place, or w->error; does
 * nothing while the disk is full.
 */
void wal_segment_roll(struct wal_writer *w);

static inline bool wal_roll_active(const struct wal_roll *roll)
{
    return roll->step != WAL_ROLL_NONE;
}

/* Gives up the next segment, at the end of a life. */
void wal_segment_drop(struct wal_writer *w);

#endif
