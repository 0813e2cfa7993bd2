/*
 * http_ingest: events that come by HTTP, into a ring of the agent's own.
 *
 * A put is all or nothing: its events become visible by one store. It is committed at once, or
 * waits a little for room, behind those that wait already. If durability is wanted it waits for a
 * sync, which the first one that waits triggers and all share. Nothing here blocks: what waits for
 * room is looked at each millisecond, what waits for a sync when more is durable: the shard tells
 * whoever drives this, as long as `syncs_awaited` of the counters says that somebody waits.
 *
 *     http_ingest_put()    0: it is done, put->result and what goes with it are set
 *                          -EINPROGRESS: http_ingest_next() will hand it out when it is
 *
 * Owns:   the ring; puts are the caller's.
 * Thread: HTTP.
 * Units:  *_ns on the monotonic clock.
 */
#ifndef CONTROL_HTTP_INGEST_H
#define CONTROL_HTTP_INGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/errmsg.h"
#include "flow/name.h"
#include "intake/body.h"
#include "pipeline/intake_counters.h"

struct http_ingest_options {
    const char *shm_dir;        /* copied */
    int (*stream_take)(void *ctx, const char *stream);      /* as the intake's */
    bool (*stream_raw)(void *ctx, const char *stream);      /* is its own format raw? */
    void *ctx;
    struct intake_counters *counters;   /* borrowed */
};

enum http_put_form {
    HTTP_PUT_JSON,
    HTTP_PUT_LINES,
    HTTP_PUT_MESSAGE,           /* of a MiniFirehose */
    HTTP_PUT_RECORD,            /* of the Firehose API: the body names the stream */
    HTTP_PUT_RECORDS
};

struct http_put {
    /* The caller's, until it is done. */
    char stream[STREAM_NAME_MAX + 1];       /* of records: set here */
    enum http_put_form form;
    const uint8_t *body;        /* borrowed */
    size_t body_len;
    bool durable;
    uint64_t room_by_ns, durable_by_ns;     /* when to give up */
    void *ctx;

    /*
     * 0; -EBADMSG, -EMSGSIZE, of records -EINVAL, with a text; -ENOMEM; -E2BIG: no ring has so much
     * room; -EAGAIN: not now; -EDQUOT, -ENOENT: there may be no such stream; -ESHUTDOWN. Of those
     * that are committed: -ETIMEDOUT: not durable yet; -EIO, -ESTALE: it is not known whether they
     * ever will be.
     */
    int result;
    uint64_t events;
    uint64_t records;           /* of the Firehose API: that many, from this number on */
    uint64_t first_record;
    struct errmsg err;

    /* http_ingest's. */
    bool committed;
    uint64_t ring_bytes;        /* that it needs, as far as it is known */
    uint32_t ring_number;
    uint64_t pos;
    struct http_put *next;
};

/* While its stream is being deleted nothing is taken for it: -ENOENT. */
struct http_hold {
    char stream[STREAM_NAME_MAX + 1];
    struct http_hold *next;     /* http_ingest's */
};

struct http_ingest;

int http_ingest_open(const struct http_ingest_options *options, struct http_ingest **ret_ingest);

/* No put waits any more. What is committed stays. NULL is fine. */
void http_ingest_close(struct http_ingest *in);

int http_ingest_put(struct http_ingest *in, struct http_put *put, uint64_t now_ns);

/* The next one that is done, or NULL. */
struct http_put *http_ingest_next(struct http_ingest *in, uint64_t now_ns);

/* hold is the caller's, and stays until it is released. */
void http_ingest_hold(struct http_ingest *in, struct http_hold *hold);
void http_ingest_release(struct http_ingest *in, const struct http_hold *hold);

/* When to call next() again at the latest; UINT64_MAX: nothing waits. */
uint64_t http_ingest_deadline_ns(const struct http_ingest *in, uint64_t now_ns);

/*
 * Takes no more; what is committed still waits for its sync, not longer than until by_ns. True:
 * nothing waits, and the ring is let go.
 */
bool http_ingest_shut(struct http_ingest *in, uint64_t by_ns);

#endif
