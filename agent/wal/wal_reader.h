/*
 * wal_reader: reads groups back, in order, through all segments of a log.
 *
 * Never trusts: a group is returned only when its COMMIT is valid. What lies between the end of one
 * group and the beginning of the next valid one is a hole, and reported as such; what follows the
 * last valid one is the tail. A block that the disk cannot read counts as zeros, so that it makes a
 * hole or spoils a body, and no more than that.
 *
 * Owns:   one descriptor and a window of memory.
 * Thread: shard; the tools use it in their own process.
 */
#ifndef WAL_WAL_READER_H
#define WAL_WAL_READER_H

#include <stdint.h>

#include "wal/wal_dir.h"

struct wal_group_view {
    struct wal_identity id;
    struct wal_commit commit;
    const uint8_t *body;            /* borrowed until the next call; commit.lsn - group_lsn bytes */
    uint64_t body_lsn;
    const uint8_t *items, *items_end;
    uint64_t end_lsn;               /* behind the COMMIT */
    uint64_t hole_from;             /* hole_from < body_lsn: that range was unreadable */
};

struct wal_reader {
    struct wal_dir *dir;            /* borrowed; may grow between calls; told what is unreadable */
    uint64_t lsn;                   /* where the next group is looked for */
    uint64_t hole_from;             /* UINT64_MAX: none open */
    int fd;                         /* owned; of the segment below */
    uint64_t segment_number;
    uint8_t *window;                /* owned */
    size_t window_cap, window_len;
    uint64_t window_offset;         /* in the segment's file */
    uint64_t window_lsn_max;        /* lsn_max of the calls that filled it */
    uint64_t io_errors;             /* blocks that it was the first not to be able to read */
};

/* Starts at the beginning of the oldest segment that can be understood without an earlier one. */
void wal_reader_init(struct wal_reader *r, struct wal_dir *dir);
void wal_reader_fini(struct wal_reader *r);

/*
 * The next group that begins below lsn_max (UINT64_MAX: to the end). 1: *ret_group is filled,
 * 0: there is none (r->lsn is the end of what was read), or -errno when a file cannot be read.
 */
int wal_reader_next(struct wal_reader *r, uint64_t lsn_max, struct wal_group_view *ret_group);

#endif
