/*
 * http_api: what each path answers. Knows nothing of sockets and threads: the server hands it a
 * method, a path and what the shard said, and gets a reply back.
 *
 *   http_api_route()   headers are there: which endpoint, or 404, 405
 *   http_api_begin()   the body is over: what to ask the shard, or 400
 *   http_api_finish()  the shard has answered or has not
 *   http_api_put()     or, where the body brings events: what has become of them
 *
 * Owns:   nothing.
 * Thread: HTTP.
 */
#ifndef CONTROL_HTTP_API_H
#define CONTROL_HTTP_API_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/http_firehose.h"
#include "control/http_ingest.h"
#include "control/http_reply.h"
#include "pipeline/mailbox.h"

enum {
    HTTP_STATUS_TIMEOUT_S = 5,  /* the shard answers a status within this or is not alive */
    HTTP_FLUSH_TIMEOUT_S = 60,
    HTTP_FLUSH_TIMEOUT_S_MAX = 3600,
    HTTP_DURABLE_TIMEOUT_S = 30,
    HTTP_ROOM_TIMEOUT_MS = 250  /* a full ring is waited for */
};

enum http_endpoint_id {
    HTTP_HEALTHZ,
    HTTP_READYZ,
    HTTP_METRICS,
    HTTP_STATUS,
    HTTP_FLUSH,
    HTTP_FLUSH_STREAM,
    HTTP_EVENTS,
    HTTP_FIREHOSE,
    HTTP_ENDPOINT_COUNT
};

struct http_call {
    enum http_endpoint_id endpoint;
    bool open;                          /* asks no token */
    char stream[STREAM_NAME_MAX + 1];   /* of the path; "" = none */
    bool puts;                          /* the body brings events; nothing to ask the shard */
    bool keeps;                         /* the body is looked at */
    enum firehose_operation op;         /* of FIREHOSE; http_firehose_route() */
    enum request_kind kind;             /* what to ask the shard */
    uint64_t timeout_ns;                /* of the shard's answer, or until events are durable */
};

/*
 * False: reply is set, and *ret_call is not. A path that is open to all says so in any case. The
 * reply has the shape of the endpoint's errors from then on.
 */
bool http_api_route(const char *method, const char *path, struct http_call *ret_call,
                    struct http_reply *reply);

/*
 * May its body have this Content-Type (NULL: none)? A browser's form cannot send those. Says in
 * which form events come in it.
 */
bool http_api_content_type(const struct http_call *call, const char *type,
                           enum http_put_form *ret_form);

/* timeout: the query's, NULL = none. False: reply is set. */
bool http_api_begin(struct http_call *call, const char *timeout, struct http_reply *reply);

/*
 * result: the shard's, or -ETIMEDOUT, -EAGAIN, -ESHUTDOWN, -ENOMEM; status: of a REQUEST_STATUS
 * that succeeded, borrowed.
 */
void http_api_finish(const struct http_call *call, int result, const struct status *status,
                     struct http_reply *reply);

/* put: done. */
void http_api_put(const struct http_call *call, const struct http_put *put,
                  struct http_reply *reply);

#endif
