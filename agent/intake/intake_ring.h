/*
 * intake_ring: the ring into which the intake writes what comes by one kind of socket.
 *
 * Made at first use. One that others have spoilt, or whose definitions are used up, is let go and
 * followed by another; the agent drains it like that of any producer that has ended.
 *
 * Owns:   the handle of the ring, the numbers of its streams.
 * Thread: the intake's.
 */
#ifndef INTAKE_INTAKE_RING_H
#define INTAKE_INTAKE_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "flow/line_fault.h"
#include "flow/name.h"
#include "io/file.h"
#include "shm_client.h"

enum { INTAKE_RING_BYTES = 32 << 20, INTAKE_STREAMS_CAP = 2048, INTAKE_REFUSED_BYTES_MAX = 4096 };

struct intake_stream {
    char name[STREAM_NAME_MAX];
    uint8_t len;                /* 0: this place is free */
    uint16_t id;
};

struct intake_ring {
    const char *name, *shm_dir; /* borrowed */
    struct shmc *ring;          /* owned; NULL: not made yet */
    struct file_guard guard;    /* of its mapping, against those who shrink it */
    struct intake_stream *streams;      /* owned; a hash table, never full */
    uint16_t refused_stream;    /* of the schema below */
    uint16_t refused_id;        /* 0: not declared yet */
    uint64_t retry_ns;          /* no other attempt to make it before this */
    bool (*stream_take)(void *ctx, const char *stream);
    void *ctx;
};

/* 0 or -ENOMEM. */
int intake_ring_init(struct intake_ring *r, const char *name, const char *shm_dir,
                     bool (*stream_take)(void *ctx, const char *stream), void *ctx);
void intake_ring_fini(struct intake_ring *r);   /* what is committed stays; zeroed is fine */

/*
 * Commits one event. 0; -EAGAIN: no room now, in the ring or for a ring; -EDQUOT: limits leave no
 * room for its stream.
 */
int intake_ring_write(struct intake_ring *r, uint64_t now_ns, const char *stream, size_t stream_len,
                      uint8_t kind, const uint8_t *data, size_t len);

/*
 * Commits a line that is no event, which goes to the error output of `stream` with the reason. The
 * same results.
 */
int intake_ring_refuse(struct intake_ring *r, uint64_t now_ns, const char *stream,
                       enum line_fault fault, const uint8_t *text, size_t len);

#endif
