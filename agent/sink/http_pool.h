/*
 * http_pool: many outgoing requests at a time, on connections that are kept: how the delivery
 * thread uploads.
 *
 * An HTTP status is not an error here, and redirections are not followed: a request is signed for
 * the place it goes to. A server that says nothing, or next to nothing, for stall_timeout_ms is
 * given up; a request that moves may take as long as it takes.
 *
 *     http_call_start(pool, call)
 *     http_pool_turn(pool, -1)         until call->done has run
 *     http_call_fini(call)
 *
 * Owns:   connections; a call's answer until http_call_fini(). A call and what it points at is the
 *         caller's, and stays where it is until done() has run or the call is cancelled.
 * Thread: one; http_pool_wake() is anybody's.
 * Units:  milliseconds, bytes.
 */
#ifndef SINK_HTTP_POOL_H
#define SINK_HTTP_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/errmsg.h"

struct http_pool;
struct http_call;
struct http_slot;
typedef void (*http_done_fn)(struct http_call *call);

struct http_header {
    const char *name, *value;
};

struct http_call {
    /* The request. */
    const char *method;             /* "GET", "PUT", ... */
    const char *url;                /* http or https; goes out as it is, nothing is normalised */
    const struct http_header *headers;
    uint32_t headers_count;
    const void *body;               /* NULL: of body_fd, if body_len is not 0 */
    int body_fd;
    uint64_t body_at, body_len;     /* of the file: a part */
    uint32_t body_crc32c;           /* of that part, seed 0; the last of it goes out only if so */
    uint32_t connect_timeout_ms;    /* 0: the library's */
    uint32_t stall_timeout_ms;      /* 0: none; rounded up to seconds */
    size_t answer_bytes_max;        /* of the answer's body; a longer one is -EMSGSIZE */
    const char *ca_file;            /* NULL: the system's */
    bool direct;                    /* whatever proxy the environment names is not used */
    http_done_fn done;              /* may start, cancel and free calls, this one too */
    void *ctx;

    /*
     * The answer. result: 0 with status, head and body, or as http_client_do() in sink/http.h has
     * it, with err; -EIO: the body's file cannot be read, or is shorter; -EBADMSG: it has other
     * bytes than body_crc32c tells. The server has no whole request then.
     */
    int result;
    struct errmsg err;
    unsigned status;
    struct bytes head;              /* header lines of the final answer */
    struct bytes answer;
    uint64_t sent;                  /* bytes of the body that were handed to the connection */
    uint32_t repeats;               /* how often it was sent, or begun, on one that then died */

    struct http_slot *slot;         /* the pool's; NULL: not under way */
};

/* connections_max: kept open at a time, idle ones among them. */
int http_pool_open(uint32_t connections_max, struct http_pool **ret_pool, struct errmsg *err);
void http_pool_close(struct http_pool *pool);       /* cancels what is under way; NULL is fine */

/* 0, and done() runs in a later turn; or -EINVAL, -ENOMEM with call->err, and it does not. */
int http_call_start(struct http_pool *pool, struct http_call *call);

/* Breaks off; done() does not run. A call that is not under way is left alone. */
void http_call_cancel(struct http_call *call);

/* What the answer says under this name, without blanks around it; NULL: nothing. Not ended by 0. */
const char *http_call_header(const struct http_call *call, const char *name, size_t *ret_len);

/* Frees the answer; zeroed is fine. */
void http_call_fini(struct http_call *call);

/*
 * Waits until something moves, for at most timeout_ms (-1: for ever), and moves it. Returns how
 * many calls are under way, or -errno with a text.
 */
int http_pool_turn(struct http_pool *pool, int timeout_ms, struct errmsg *err);

/* Ends the wait of a turn, this one's or else the next one's. */
void http_pool_wake(struct http_pool *pool);

#endif
