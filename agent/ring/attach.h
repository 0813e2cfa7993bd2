/*
 * attach: opens a ring file that a stranger made, checks it, and reads it without trusting it.
 *
 * The agent maps the producer and consumer pages only (guarded: a file that loses its pages flags
 * the mapping instead of killing the agent). Frames and definitions are read into private memory;
 * what is checked is the copy that is used.
 *
 * Owns:   descriptor and mapping of each attached ring.
 * Thread: one at a time for each ring_file: its shard, or `hydrant ring` in a process of its own.
 * Units:  positions are free-running bytes.
 * Errors: -EBADMSG comes with a reason: the file claims to be a ring and is not one that we read.
 */
#ifndef RING_ATTACH_H
#define RING_ATTACH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/errmsg.h"
#include "io/file.h"
#include "ring/frames.h"
#include "shm_wire.h"

/* A definition as the agent knows it: copied, checked, immutable. */
struct ring_def {
    uint16_t number;
    uint8_t type;                               /* enum shm_def_type */
    char name[SHM_STREAM_NAME_MAX + 1];         /* STREAM; else empty */
    uint16_t stream;                            /* SCHEMA: number of its stream; else 0 */
    uint32_t body_len;                          /* SCHEMA: its fields, as shm_wire.h draws them, */
    const uint8_t *body;                        /* borrowed for the call of on_def; else NULL */
};

struct ring_file {
    char name[SHM_RING_NAME_MAX + 1];
    int fd;                                     /* owned; -1: not open */
    struct file_stat stat;                      /* at attach */
    struct shm_superblock super;                /* checked copy */
    struct file_guard guard;                    /* owned: producer and consumer page */
    struct shm_producer *producer;              /* borrowed from guard */
    const struct shm_head *head;
    struct shm_consumer *consumer;
    uint32_t defs_read;                         /* bytes of definitions taken so far */
    uint16_t defs_count;
    struct frames_schemas schemas;              /* which of them are schemas */
};

/*
 * Opens shm_dir/name and checks: plain file beneath the directory on tmpfs, owner uid any, or
 * expect_uid when >= 0, exact size, no holes, superblock, this boot's id. Never blocks on what else
 * may stand there, and writes nothing into the file, so `hydrant ring` may open rings beside an
 * agent as long as it calls none of the functions that publish.
 *
 * -EBADMSG with *ret_reason set: a file that has a ring's name and is none that we read. It is left
 * open, but unmapped, so that the caller can ask ring_file_claims(), ring_file_alive() and
 * ring_file_remove(); close it. Any other -errno, reason NONE: no ring at all (-EINVAL a name that
 * is not published or not on tmpfs, -ELOOP symlink, -ENXIO no plain file, -ENOENT vanished, -EPERM
 * another owner) or out of resources (-EMFILE, -ENOMEM, ...); *ret_ring is empty then and may be
 * closed.
 */
int ring_file_open(int shm_dir, const char *name, int64_t expect_uid, struct ring_file *ret_ring,
                   enum shm_quarantine *ret_reason, struct errmsg *err);
void ring_file_close(struct ring_file *ring);   /* zeroed with fd = -1 is fine */

/* Of one that was refused: was it made as a ring? Else it is somebody's other file. */
bool ring_file_claims(const struct ring_file *ring);

/* Is it a name that the agent looks at: [A-Za-z0-9_][A-Za-z0-9_.-]*.ring, within the length. */
bool ring_name_valid(const char *name);

/*
 * Head, once (acquire; pairs with A1 in the client's producer). -EBADMSG and a reason, *ret_head =
 * from, when head - from exceeds the ring, head is no multiple of a frame's alignment, or the
 * mapping has faulted.
 */
int ring_file_head(const struct ring_file *ring, uint64_t from, uint64_t *ret_head,
                   enum shm_quarantine *ret_reason);

/*
 * Reads and checks definitions published since the last call and hands each to on_def in order. A
 * schema belongs to a stream before it, and its body is checked whole.
 *
 * Call after ring_file_head(): frames below that head use only these. Costs a load when there is
 * nothing new. -EBADMSG and a reason when one is malformed or the published length shrank; on_def's
 * non-zero result stops before that definition is counted and is returned, the next call begins
 * with it.
 */
typedef int (*ring_def_fn)(void *ctx, const struct ring_def *def);
int ring_file_defs(struct ring_file *ring, ring_def_fn on_def, void *ctx,
                   enum shm_quarantine *ret_reason);

/* Has the producer published definitions that were not read? A load. */
bool ring_file_defs_waiting(const struct ring_file *ring);

/* Size and blocks as at attach? One fstat: call when a read came up short, or now and then. */
bool ring_file_intact(const struct ring_file *ring);

/*
 * 1: an address space still maps it (its producer's, or a child's); 0: none; negative: -errno. The
 * head that is read after a 0 is final.
 */
int ring_file_alive(const struct ring_file *ring);

/*
 * Publishes a position: release store, full fence, then futex word and wake if a waiter is seen.
 * The caller's positions of one kind never go back.
 */
void ring_file_publish(struct ring_file *ring, enum shm_pos which, uint64_t pos);

/* Writes epoch and id: before the first position. */
void ring_file_adopt(struct ring_file *ring, uint64_t agent_epoch, uint64_t ring_id);

/*
 * Asks for the bell, or no more. A full fence is included: after raising it, look at the head once
 * more before going to sleep.
 */
void ring_file_want(struct ring_file *ring, bool wanted);

/* Tells the producer, and wakes it when it waits. The first reason stays. */
void ring_file_quarantine(struct ring_file *ring, enum shm_quarantine reason, uint64_t pos);

/* Tells the producer that events before pos, accepted and not durable, are lost; wakes it. */
void ring_file_lost(struct ring_file *ring, uint64_t pos);

/* Says on the ring itself, for people who list it, which limit it waits for. */
void ring_file_wait(struct ring_file *ring, enum shm_wait why);

/* Position that a waiting flush asks for, 0 = none. */
uint64_t ring_file_wanted(const struct ring_file *ring, enum shm_pos which);

/* Unlinks the name only if it still is this inode. 0, -ENOENT, or -ESTALE when it is another. */
int ring_file_remove(int shm_dir, const struct ring_file *ring);

const char *ring_quarantine_name(enum shm_quarantine reason);   /* "frame", "size", ... */
const char *ring_quarantine_text(enum shm_quarantine reason);   /* what happened, what to do */
const char *ring_wait_name(enum shm_wait why);                  /* the limit: "rings_max", ... */

#endif
