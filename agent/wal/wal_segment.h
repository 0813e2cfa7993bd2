/*
 * wal_segment: the segment being written and the one after it, for wal_writer only.
 *
 * A segment is made as "<name>.new" and gets its name when all that it begins with is synced. The
 * next one is made and its blocks are reserved while the one before is being filled, so that a roll
 * waits for little more than syncs; and it waits in the loop, while rings are drained, events
 * routed and files written.
 *
 * It begins with a CHECKPOINT, behind the end of the one before. Or, where a write or a sync of
 * that one has failed, it continues it: from the last synced group on it holds the same groups, at
 * the same lsns, written from memory, and what the failed one has there does not count any more.
 *
 * A file for which some step fails is given up for another one, with another number: after a failed
 * sync of the directory its name may come back with a power cut. Then it is superseded by the next,
 * which begins at the same lsn; so once a name was tried, nothing more is written to the segment
 * before (`held`).
 *
 * Owns:   descriptors of both files, the buffer of a header and CHECKPOINT being written.
 * Thread: shard.
 */
#ifndef WAL_WAL_SEGMENT_H
#define WAL_WAL_SEGMENT_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

#include "io/loop.h"
#include "wal/wal_dir.h"
#include "wal/wal_group.h"


enum wal_roll_step {
    WAL_ROLL_NONE,
    WAL_ROLL_WRITE,             /* header and CHECKPOINT, or header and groups */
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
    bool continues;             /* it takes over from a failed one */
    int blocked;                /* why there is no next one; tried again at retry_ns */
    bool held;                  /* nothing may be written before there is one */
    uint64_t retry_ns;
    uint64_t allocated_bytes;
    uint8_t *buffer;            /* owned; header and CHECKPOINT */
    uint32_t len, written;      /* of the buffer, or of the piece being written */
    const uint8_t *piece;       /* borrowed */
    uint64_t piece_lsn;
    struct wal_group *group;    /* being written again */
    uint8_t *body;              /* lent; aligned place for a body that has left its chunk */
    bool under_way, old_syncing, named;
    int failure;
    struct io_op op, old_op;
};

/* The size that segments get when they should have `bytes`. */
uint64_t wal_segment_bytes(uint64_t bytes);

/*
 * Cuts the unused end off the last segment of an earlier life, unless something could not be read,
 * and makes the rest durable, whatever became of that life's own syncs. 0 or -errno.
 */
int wal_segment_finish(struct wal_dir *dir, uint64_t synced_lsn, uint64_t end_lsn);

/* The first segment of an epoch, synchronously. 0 or -errno. */
int wal_segment_first(struct wal_writer *w, uint64_t start_lsn);

/*
 * Makes the next one if it is time to and it is not there yet. Where that fails it is tried again
 * every second; if the disk is full, what room the present one has is left to items that free some.
 */
void wal_segment_prepare(struct wal_writer *w);

/* Is it not too early to try again? */
bool wal_segment_may_roll(const struct wal_writer *w);

/*
 * Begins to roll: nothing may be in flight. Ends with the next segment in place, or w->failed, or
 * roll.blocked: to be tried again.
 */
void wal_segment_roll(struct wal_writer *w);

/* The same for a segment that has failed: all that is not synced is written again. */
void wal_segment_continue(struct wal_writer *w);

/*
 * The first write to a reserved block has the file system note that, which takes it milliseconds.
 * While there is nothing else to do, zeros are written a little ahead, so that the first event
 * after a pause is not the one to wait. Groups wait until they are there: no block is in two
 * writes at once.
 */
void wal_segment_wear_in(struct wal_writer *w);

static inline bool wal_roll_active(const struct wal_roll *roll)
{
    return roll->step != WAL_ROLL_NONE;
}

/* There is no room for the next one. */
static inline bool wal_roll_full(const struct wal_roll *roll)
{
    return roll->blocked == -ENOSPC || roll->blocked == -EDQUOT;
}

/* Gives up the next segment, at the end of a life. */
void wal_segment_drop(struct wal_writer *w);

#endif
