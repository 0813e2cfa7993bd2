/*
 * intake_ring: the ring into which the agent itself writes what comes by one kind of socket, or by
 * HTTP.
 *
 * Made at first use. One that others have spoilt, or whose definitions are used up, is let go and
 * followed by another; the agent drains it like that of any producer that has ended.
 *
 * Owns:   the handle of the ring, the numbers of its streams.
 * Thread: any one at a time.
 */
#ifndef INTAKE_INTAKE_RING_H
#define INTAKE_INTAKE_RING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "flow/line_fault.h"
#include "flow/name.h"
#include "handle.h"
#include "io/file.h"

enum { INTAKE_RING_BYTES = 32 << 20, INTAKE_STREAMS_CAP = 2048, INTAKE_REFUSED_BYTES_MAX = 4096 };

struct intake_stream {
    char name[STREAM_NAME_MAX];
    uint8_t len;                /* 0: this place is free */
    uint16_t id;
    uint32_t configuration;     /* in which it was allowed */
};

struct intake_ring {
    const char *name, *shm_dir; /* borrowed */
    struct shmc *ring;          /* owned; NULL: not made yet */
    uint32_t number;            /* of that ring, for this struct: the first one is 1 */
    struct file_guard guard;    /* of its mapping, against those who shrink it */
    struct intake_stream *streams;      /* owned; a hash table, never full */
    const struct intake_stream *last;   /* of them, the one of the last event, or NULL */
    struct shmc_batch open;     /* events written and not yet published */
    uint16_t refused_stream;    /* of the schema below */
    uint16_t refused_id;        /* 0: not declared yet */
    uint64_t retry_ns;          /* no other attempt to make it before this */
    int (*stream_take)(void *ctx, const char *stream);
    void *ctx;
    const _Atomic uint32_t *configurations;     /* borrowed: which one it is */
};

/* 0 or -ENOMEM. */
int intake_ring_init(struct intake_ring *r, const char *name, const char *shm_dir,
                     int (*stream_take)(void *ctx, const char *stream), void *ctx,
                     const _Atomic uint32_t *configurations);
void intake_ring_fini(struct intake_ring *r);   /* what is committed stays; zeroed is fine */

/*
 * Writes one event, which is committed with others by intake_ring_publish(), or before. 0; -EAGAIN:
 * no room now, in the ring or for a ring; or what stream_take() says of its stream: -ENOENT,
 * -EDQUOT.
 */
int intake_ring_write(struct intake_ring *r, uint64_t now_ns, const char *stream, size_t stream_len,
                      uint8_t kind, const uint8_t *data, size_t len);
void intake_ring_publish(struct intake_ring *r);
/* Is there room to write so many bytes of payload? Before more is done for them. 0 or -EAGAIN. */
int intake_ring_ready(struct intake_ring *r, uint64_t now_ns, size_t len);

/*
 * Commits a line that is no event, which goes to the error output of `stream` with the reason. The
 * same results.
 */
int intake_ring_refuse(struct intake_ring *r, uint64_t now_ns, const char *stream,
                       enum line_fault fault, const uint8_t *text, size_t len);

/*
 * Several events of one stream that become visible together, or not at all. They are put into the
 * ring between begin and commit, with no other call; without a commit there are none of them.
 */
struct intake_batch {
    struct shmc_batch events;
    uint16_t id;
};

/* The same results. */
int intake_ring_begin(struct intake_ring *r, uint64_t now_ns, const char *stream,
                      struct intake_batch *ret_batch);
/* 0; -EMSGSIZE: too large for an event; -EAGAIN: the ring is spoilt. */
int intake_ring_add(struct intake_ring *r, struct intake_batch *batch, enum shm_kind kind,
                    const uint8_t *data, size_t len);
/* 0, *ret_pos behind it; -EMSGSIZE: no ring has so much room; -EAGAIN: this one has not now. */
int intake_ring_commit(struct intake_ring *r, const struct intake_batch *batch, uint64_t *ret_pos);
/* May so many bytes of frames find room now? */
bool intake_ring_room(struct intake_ring *r, uint64_t bytes);

/*
 * Asks for a sync of what is committed. 0, *ret_pos: what lies below it is durable; -EIO: some of
 * what was accepted is lost with the log, told once; -ESTALE: the ring is gone.
 */
int intake_ring_durable(struct intake_ring *r, uint64_t *ret_pos);

#endif
