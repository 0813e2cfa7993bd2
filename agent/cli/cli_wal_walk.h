/*
 * cli_wal_walk: goes through the groups of a log that an agent may be writing, trimming and
 * recycling meanwhile, without a lock.
 *
 * What the reader finds missing is believed only when it is still missing at a second look and the
 * segment is still there: its name goes before its bytes do.
 *
 * Owns:   directory and reader.
 * Thread: main.
 * Units:  lsn = log byte offset.
 */
#ifndef CLI_CLI_WAL_WALK_H
#define CLI_CLI_WAL_WALK_H

#include "base/errmsg.h"
#include "cli/cli_wal_files.h"
#include "wal/wal_reader.h"

struct wal_walk {
    const char *path;               /* borrowed */
    uint32_t shard;
    struct wal_dir dir;             /* owned */
    struct wal_reader reader;       /* owned */
};

enum { WAL_WALK_END, WAL_WALK_GROUP, WAL_WALK_TRIMMED };

/* Segments of another log than the newest one's are left out. 0 or -errno with a text. */
int wal_walk_open(struct wal_walk *w, const char *path, uint32_t shard, struct errmsg *err);
void wal_walk_close(struct wal_walk *w);        /* zeroed is fine */

/* Goes to the last segment with a CHECKPOINT at or below lsn. 0 or -errno. */
int wal_walk_seek(struct wal_walk *w, uint64_t lsn, struct errmsg *err);

/*
 * GROUP: the next one. TRIMMED: an agent has removed what was to be read next; it goes on with the
 * oldest segment there is, at reader.lsn. END, or -errno with a text.
 */
int wal_walk_next(struct wal_walk *w, struct wal_group_view *ret_group, struct errmsg *err);

/* Reads the same group once more, from the disk: it may have been cut off while it was written. */
int wal_walk_again(struct wal_walk *w, uint64_t group_lsn, struct wal_group_view *ret_group,
                   struct errmsg *err);

/* Lists the directory anew and goes on where it stands, at what has been written since. */
int wal_walk_refresh(struct wal_walk *w, struct errmsg *err);

/* Name of the segment that holds lsn, for messages. */
const char *wal_walk_segment(const struct wal_walk *w, uint64_t lsn);

/* The first lsn of a segment. */
static inline uint64_t wal_walk_start(const struct wal_segment *segment)
{
    return segment->header.prev_end_lsn;
}

/* Calls on_shard for each shard that has segments. Non-zero ends it and is returned. */
typedef int (*wal_walk_shard_fn)(void *ctx, uint32_t shard);
int wal_walk_shards(const struct wal_files *files, wal_walk_shard_fn on_shard, void *ctx);

#endif
