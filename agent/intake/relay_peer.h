/*
 * relay_peer: one connection to the relay's listener: what it has begun, what its messages mean.
 *
 * Owns:   the link, its buffers, the batches it has begun.
 * Thread: the listener's.
 */
#ifndef INTAKE_RELAY_PEER_H
#define INTAKE_RELAY_PEER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "intake/relay_ring.h"
#include "intake/relay_table.h"
#include "pipeline/relay_counters.h"
#include "sink/relay_link.h"
#include "sink/relay_wire.h"

/* A definition, as the batch numbers it and as the ring does. */
struct relay_schema {
    uint8_t *body;                      /* owned; NULL: not told yet */
    uint32_t len, fixed_bytes;
    uint32_t generation;                /* in which the ring's number is good */
    uint16_t number;
};

struct relay_batch {
    struct relay_batch *next;
    uint64_t ref;
    struct relay_key key;
    char stream[SHM_STREAM_NAME_MAX + 1];
    uint32_t generation;
    uint16_t number;                    /* of the stream in the ring */
    uint64_t end_pos;                   /* of its last bytes in the ring of end_generation */
    uint32_t end_generation;            /* 0: they were durable before */
    bool ended;                         /* all has come */
    struct relay_schema *schemas;       /* owned; by number - 1 */
    uint16_t schemas_count;
};

struct relay_peer {
    struct relay_peer *next, **at;      /* of all */
    struct relay_peer *next_active;
    struct relay_link link;
    struct bytes in, out;
    size_t in_at, out_at;               /* what is done with; in_at also covers what is staged */
    bool hello, welcomed;               /* it has said who it is; it may go on */
    bool waits;                         /* its next message, for: */
    enum relay_wait waits_for;
    bool active, watched;               /* relay_peers.c: in that list, in epoll */
    uint32_t events_watched;
    bool unread;                        /* there may be more to read than there was room for */
    bool held, finishes;                /* memory is short: not read; read to the message's end */
    bool over;                          /* to be closed when `out` is out */
    bool gone;                          /* to be closed now */
    uint64_t read_ns;                   /* when something came last */
    uint8_t uuid[16];                   /* who sends; with TLS of what its certificate says too */
    struct relay_batch *batches;        /* owned; in the order in which they began */
    uint32_t batches_count, ended;
};

/* Frames that have their place in the ring and are written when the journal is. */
struct relay_staged {
    const struct relay_batch *batch;    /* borrowed, as are the frames */
    const uint8_t *frames;
    uint64_t len;
};

/* What the peers share, for one turn. */
struct relay_stage {
    struct relay_ring *ring;
    struct relay_table *table;
    struct relay_counters *counters;
    bool (*stream_take)(void *ctx, const char *stream);
    void *ctx;
    struct relay_staged *list;          /* owned by the listener; of cap */
    size_t count, cap;
    uint64_t bytes;                     /* of all that is staged */
};

void relay_peer_free(struct relay_peer *p);     /* NULL is fine */

/* Who sends, when that is there. 0, or -errno with a text: it has to go. */
int relay_peer_hello(struct relay_peer *p, struct errmsg *err);

/*
 * Takes the messages that are there, up to one for which there is no room now. 0, or -errno with a
 * text for the peer: it has to go.
 */
int relay_peer_take(struct relay_peer *p, struct relay_stage *stage, struct errmsg *err);

/* Writes staged frames into the ring. 0 or -errno with a text: the ring is spoilt. */
int relay_staged_write(const struct relay_staged *s, struct relay_ring *ring, uint64_t *events,
                       struct errmsg *err);

/* Tells the peer which of its batches are durable, and adds how many. 0 or -ENOMEM. */
int relay_peer_done(struct relay_peer *p, const struct relay_ring *ring, uint64_t *done);

#endif
