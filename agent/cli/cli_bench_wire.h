/*
 * cli_bench_wire: one direction between two processes, by ring or by what an operating system
 * offers. So that each of them is measured by the same loops.
 *
 *   ring, map       the reader copies from its own mapping of the ring file
 *   ring, read      the reader copies by pread(2) of the ring file, as the agent does
 *   unix, dgram,    one write(2) for each event, into a Unix stream or datagram socket, a TCP
 *   tcp, pipe       connection over loopback without delay, a pipe
 *   ..., batch      events copied together, one write(2) for 64 KiB
 *
 * A ring's reader takes what there is up to an eighth of the ring, copies it to private memory,
 * checks every frame there, and gives the room back in steps of an eighth, or when it has caught
 * up. Readers of sockets and pipes take up to 64 KiB with one read(2) that does not block, and
 * check nothing. Writers spin where a ring is full and sleep where a socket is.
 *
 * Life: wire_prepare() before the fork; wire_ring_make() in the writer's process, before or after
 * it; after it wire_writer_open() there, wire_reader_open() in the reader's; wire_close() in both.
 * A ring's file has no name any more once its reader has it open.
 *
 * Owns:   descriptors, handle, buffers of its own end.
 * Thread: one in each process.
 * Units:  bytes of payload.
 */
#ifndef CLI_CLI_BENCH_WIRE_H
#define CLI_CLI_BENCH_WIRE_H

#include <stdbool.h>
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
    WIRE_DGRAM,
    WIRE_DGRAM_BATCH,
    WIRE_TCP,
    WIRE_TCP_BATCH,
    WIRE_PIPE,
    WIRE_PIPE_BATCH,
    WIRE_OTHER, /* the row is the caller's */
    WIRE_KIND_COUNT
};

enum { WIRE_BATCH_BYTES = 65536 };

struct wire_ops;

/* What stands behind a kind. */
struct wire_row {
    const char *name;   /* "ring", "unix", ...: the last part of a case's name */
    const char *detail; /* what a reader should know beside it: "" or " batch=64KiB" */
    const struct wire_ops *ops;
};

struct wire_options {
    enum wire_kind kind;
    uint32_t event_bytes; /* of each event */
    uint64_t ring_bytes;
    uint32_t clock; /* enum shmc_clock, for rings */
    const char *shm_dir;
    const struct wire_row *other; /* of WIRE_OTHER */
};

struct wire {
    const struct wire_ops *ops;
    struct wire_options opt;
    uint64_t seen_bytes; /* of a stream's reader: a read may end within an event */
    uint8_t *chunk;      /* owned; where the reader copies to, the batch writer gathers */
    uint64_t chunk_len;
    int write_fd, read_fd; /* owned; -1: none */
    bool batch;

    struct shmc *ring; /* owned; the writer's */
    uint16_t stream;
    char ring_name[SHM_RING_NAME_MAX + 1]; /* "": no ring; a copy, for fork wipes the handle */

    struct ring_file file; /* owned; the reader's */
    const uint8_t *map;    /* owned; the ring's data, twice in a row */
    uint64_t pos, released;
    struct frames_scratch scratch;

    void *other; /* of the ops of another row */
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

/* For ops without something to do at that point. */
int wire_nothing(struct wire *w, struct errmsg *err);

const struct wire_row *wire_row(const struct wire_options *opt);

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
