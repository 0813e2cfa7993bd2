/*
 * wal_writer: appends groups to the log, in order, several in flight, and syncs them.
 *
 * A group is filled (ring bytes into its chunk, items into its list), closed (gets its place), its
 * body is written, then, when the body is complete and the COMMIT before it is done, its COMMIT.
 * Groups with something to route are handed to the caller in log order and come back by
 * wal_writer_release().
 *
 * What later groups build on, definitions, settings, seals, is said again by the next group,
 * whether or not that has anything else to say: then one damaged group costs its own events alone.
 * A barrier of such an item is that of the second time.
 *
 * Rules kept here (agent/DESIGN.md): a COMMIT follows its bodies and the COMMIT before it; every
 * start and every full segment takes a new file whose header and CHECKPOINT are synced, with its
 * directory, before the first group; a sync covers the groups committed when it was asked for.
 *
 * A segment of which a write or a sync has failed is left alone from then on. What it may not hold
 * is still in memory, and is written again to a fresh one (wal_segment.h); until that has succeeded
 * nothing is accepted, committed or said to be synced. `error` is for what cannot be survived.
 *
 * Owns:   groups, the segment's descriptor; borrows loop, directory and state.
 * Thread: shard.
 * Units:  lsn = log byte offset.
 */
#ifndef WAL_WAL_WRITER_H
#define WAL_WAL_WRITER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/errmsg.h"
#include "base/histogram.h"
#include "io/loop.h"
#include "wal/wal_dir.h"
#include "wal/wal_group.h"
#include "wal/wal_segment.h"
#include "wal/wal_state.h"

enum wal_sync_policy { WAL_SYNC_ALWAYS, WAL_SYNC_INTERVAL, WAL_SYNC_NEVER };

struct wal_writer_options {
    uint64_t segment_size;
    enum wal_sync_policy sync;
    uint64_t sync_interval_ns;
    uint64_t kept_bytes_max;                /* of groups not synced; from half of it on they are */
    uint8_t uuid[16];
    uint8_t boot_id[16];
    uint64_t epoch;
};

/* Called for each group when its COMMIT is done, in order, its items applied to the state. */
typedef void (*wal_committed_fn)(void *ctx, const struct wal_group *group);

struct wal_writer {
    struct io_loop *loop;
    struct wal_dir *dir;
    struct wal_state *state;
    struct wal_writer_options opt;
    wal_committed_fn on_committed;
    void *ctx;

    struct wal_identity id;
    int fd;                                 /* owned; the segment being written */
    bool direct;
    uint64_t segment_start_lsn, segment_bytes;
    uint64_t next_number;                   /* of a segment; none is used twice */
    struct wal_roll roll;                   /* the next segment */
    struct wal_identity roll_id;
    uint64_t checkpoint_bytes;              /* about what one would take now */
    int failed;                             /* of the segment: why it is left alone, or 0 */
    struct errmsg trouble;                  /* what wal_writer_failing() is about */

    struct wal_groups groups;
    struct wal_group *filling;
    struct bytes again;                     /* items that the next group says again */
    uint32_t again_count;
    struct wal_group *flight_first;         /* kept ones that are not committed; log order */
    struct wal_group *done_first, **done_last;          /* committed, to be routed */
    unsigned flight_count;
    uint8_t *record;                        /* owned; the one COMMIT in flight */
    uint32_t record_cap;

    uint64_t next_lsn;                      /* where the next group begins */
    uint64_t fresh_lsn;                     /* blocks from here on have never been written */
    bool wearing_in;                        /* zeros are being written there */
    uint8_t *zeros;                         /* owned */
    struct io_op zero_op;
    uint64_t committed_lsn, synced_lsn;
    uint64_t commits, synced_commits;       /* numbers of COMMITs since the start */
    struct histogram commit_ns;             /* from the beginning of their groups' writes */
    uint64_t sync_wanted_first, sync_wanted_last;   /* COMMITs whose sync somebody waits for */
    uint64_t sync_target_lsn, sync_target_commits, sync_last_ns;
    bool sync_in_flight, roll_asked;
    struct io_op sync_op;

    uint64_t syncs, rolls;
    int error;                              /* final */
    struct errmsg error_text;
};

/*
 * Cuts the log of earlier lives at *end_lsn, the end of what recovery found, and makes it durable
 * up to there: beyond `synced_lsn` it may never have been synced. Before that nothing may be
 * removed for what the log says. Moves *end_lsn to where the next segment begins.
 */
int wal_writer_finish(struct wal_dir *dir, uint64_t synced_lsn, uint64_t *end_lsn,
                      struct errmsg *err);

/* Begins a new segment of a new epoch at end_lsn, with a CHECKPOINT of `state`. */
int wal_writer_open(struct wal_writer *w, struct io_loop *loop, struct wal_dir *dir,
                    struct wal_state *state, const struct wal_writer_options *opt, uint64_t end_lsn,
                    wal_committed_fn on_committed, void *ctx, struct errmsg *err);

/* Syncs and cuts the segment; nothing may be in flight. `error` says whether that went well. */
void wal_writer_close(struct wal_writer *w);

/*
 * Group to put ring bytes into, with a chunk; NULL: none free, this one's list is full, or the log
 * takes no data now. The caller tries again after the next step.
 */
struct wal_group *wal_writer_data_group(struct wal_writer *w);

/*
 * Adds an item to the group being filled. 0, -EAGAIN (no group free, this one has schemas enough,
 * or the log is failing), or -ENOMEM. A STREAM gets no reserved group: it would keep the group
 * until it is routed, and that may wait for other items.
 */
int wal_writer_item(struct wal_writer *w, const struct wal_item *item,
                    const struct wal_tally *tallies);

/*
 * A barrier is the number of the COMMIT that an item added now belongs to. It is synced once a sync
 * that began after that COMMIT has ended; want_sync asks for one as soon as it is committed.
 */
uint64_t wal_writer_barrier(const struct wal_writer *w);
bool wal_writer_barrier_synced(const struct wal_writer *w, uint64_t barrier);
void wal_writer_want_sync(struct wal_writer *w, uint64_t barrier);

/*
 * Closes and writes what is due, rolls the segment, syncs. Call once a turn. `flush`: close even
 * a small group behind others in flight.
 */
void wal_writer_step(struct wal_writer *w, bool flush);

/* Goes on in a new segment as soon as nothing is in flight, so that all before can be trimmed. */
void wal_writer_ask_roll(struct wal_writer *w);

/*
 * -ENOSPC, -EDQUOT: no room for the next segment, so that no more data is taken; acknowledgements
 * still are, for they free some. 0 otherwise.
 */
int wal_writer_blocked(const struct wal_writer *w);

/*
 * -errno: the disk under the log fails (`trouble` says how). What was accepted is tried again every
 * second, on fresh segments; nothing else is accepted meanwhile, but in the room that a segment has
 * while only its successor cannot be made. 0 otherwise.
 */
int wal_writer_failing(const struct wal_writer *w);

/*
 * Would a CHECKPOINT take more than a quarter of a segment? Then no new ring, definition or stream
 * should be logged. Approximate between rolls.
 */
bool wal_writer_checkpoint_full(const struct wal_writer *w);

/* How far the log can be read back: not what only a failed segment holds. */
static inline uint64_t wal_writer_readable_lsn(const struct wal_writer *w)
{
    return w->failed ? w->synced_lsn : w->committed_lsn;
}

/* Of chunks and kept groups. */
uint64_t wal_writer_memory_bytes(const struct wal_writer *w);

/* First committed group that waits to be routed, or NULL; release it when it is. */
struct wal_group *wal_writer_done(struct wal_writer *w);
void wal_writer_release(struct wal_writer *w, struct wal_group *g);

/*
 * For wal_segment. fail: for good. segment_failed: of the present segment. commit: the first group
 * in flight is in the log. synced: everything committed is. record: the COMMIT of a group for a
 * place in segment `id`, in the one buffer there is; NULL: no memory.
 */
void wal_writer_fail(struct wal_writer *w, int err, const char *what);
void wal_writer_segment_failed(struct wal_writer *w, int err, const char *what);
void wal_writer_commit(struct wal_writer *w);
void wal_writer_synced(struct wal_writer *w);
const uint8_t *wal_writer_record(struct wal_writer *w, struct wal_group *g,
                                 const struct wal_identity *id, uint64_t synced_lsn);

/* Time of the next sync or attempt that is due by the clock; UINT64_MAX: none. */
uint64_t wal_writer_deadline_ns(const struct wal_writer *w);

/* Nothing filled, in flight, being synced or to be written again. */
bool wal_writer_idle(const struct wal_writer *w);

#endif
