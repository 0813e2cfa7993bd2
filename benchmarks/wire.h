/*
 * wire: one direction between two processes, by ring or by what an operating system offers. So that
 * each of them is measured by the same loops.
 *
 *   ring, map    the reader copies from its own mapping of the ring file
 *   ring, read   the reader copies by pread(2) of the ring file, as the agent does
 *   unix, pipe   one write(2) for each event
 *   unix, batch  events copied together, one write(2) for 64 KiB
 *
 * A ring's reader takes what there is up to an eighth of the ring, copies it to private memory,
 * checks every frame there, and gives the room back in steps of an eighth, or when it has caught
 * up. Readers of sockets and pipes take up to 64 KiB with one read(2) that does not block, and
 * check nothing. Writers spin where a ring is full and sleep where a socket is.
 *
 * Life: wire_prepare() before the fork; wire_ring_make() in the writer's process, before or after
 * it; after it wire_writer_open() there, wire_reader_open() in the reader's; wire_close() in both.
 *
 * Owns:   descriptors, handle, buffers of its own end.
 * Thread: one in each process.
 * Units:  bytes of payload.
 */
#ifndef BENCHMARKS_WIRE_H
#define BENCHMARKS_WIRE_H

#include <stdint.h>

#include "base/errmsg.h"
#include "ring/attach.h"
#include "ring/frames.h"
#include "shm_client.h"

enum wire_kind {
    WIRE_RING_MAP,
    WIRE_RING_READ,
    WIRE_UNIX,
    WIRE_UNIX_BATCH,
    WIRE_PIPE,
    WIRE_KIND_COUNT
};

enum { WIRE_READ_BYTES = 65536 };

struct wire_options {
    enum wire_kind kind;
    uint32_t event_bytes; /* of each event */
    uint64_t ring_bytes;
    uint32_t clock; /* enum shmc_clock, for rings */
    const char *shm_dir;
};

struct wire {
    const struct wire_ops *ops;
    struct wire_options opt;
    uint64_t seen_bytes; /* of a stream's reader: a read may end within an event */
    uint8_t *chunk;      /* owned; where the reader copies to, the batch writer gathers */
    uint64_t chunk_len;
    int write_fd, read_fd; /* owned; -1: none */

    struct shmc *ring; /* owned; the writer's */
    uint16_t stream;
    char ring_name[SHM_RING_NAME_MAX + 1]; /* "": no ring; a copy, for fork wipes the handle */

    struct ring_file file; /* owned; the reader's */
    const uint8_t *map;    /* owned; the ring's data, twice in a row */
    uint64_t pos, released;
    struct frames_scratch scratch;
};

struct wire_ops {
    int (*prepare)(struct wire *w, struct errmsg *err);
    int (*ring_make)(struct wire *w, struct errmsg *err);
    int (*writer_open)(struct wire *w, struct errmsg *err);
    int (*reader_open)(struct wire *w, const char *ring_name, struct errmsg *err);
    int (*put)(struct wire *w, const void *data, uint32_t count);
    int (*put_end)(struct wire *w);
    int (*take)(struct wire *w, uint64_t *ret_events, const uint8_t **ret_first);
    void (*close)(struct wire *w);
};

extern const struct wire_ops wire_ring_ops;
extern const struct wire_ops wire_stream_ops;

/* "ring", "unix", ...: the last part of a case's name, and what a reader should know beside it. */
const char *wire_name(enum wire_kind kind);
const char *wire_detail(enum wire_kind kind);

int wire_prepare(struct wire *w, const struct wire_options *opt, struct errmsg *err);

/* Makes the ring; does nothing where there is none. */
int wire_ring_make(struct wire *w, struct errmsg *err);

int wire_writer_open(struct wire *w, struct errmsg *err);

/* ring_name: of the writer's wire; looked at where there is a ring. */
int wire_reader_open(struct wire *w, const char *ring_name, struct errmsg *err);
void wire_close(struct wire *w); /* after wire_prepare(), or zeroed */

/* count events of event_bytes each, all with these bytes. 0 or -errno. */
static inline int wire_put(struct wire *w, const void *data, uint32_t count)
{
    return w->ops->put(w, data, count);
}

/* Sends what a batch still gathers. */
static inline int wire_put_end(struct wire *w)
{
    return w->ops->put_end(w);
}

/*
 * Looks once and takes what is there: *ret_events of them, 0 = nothing; *ret_first is the payload
 * of the first one, valid until the next call. -EPIPE: the writer is gone. -EBADMSG: bad frames.
 */
static inline int wire_take(struct wire *w, uint64_t *ret_events, const uint8_t **ret_first)
{
    return w->ops->take(w, ret_events, ret_first);
}

#endif
