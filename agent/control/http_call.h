/*
 * http_call: a request on its way: which endpoint, what it asks next, and of whom.
 *
 * Owns:   a call owns its change until that is posted.
 * Thread: HTTP.
 */
#ifndef CONTROL_HTTP_CALL_H
#define CONTROL_HTTP_CALL_H

#include <stdbool.h>
#include <stdint.h>

#include "control/http_config.h"
#include "control/http_reply.h"
#include "control/rest.h"
#include "flow/name.h"
#include "pipeline/mailbox.h"

enum {
    HTTP_STATUS_TIMEOUT_S = 5,  /* the shard answers a status within this or is not alive */
    HTTP_FLUSH_TIMEOUT_S = 60,
    HTTP_FLUSH_TIMEOUT_S_MAX = 3600,
    HTTP_DURABLE_TIMEOUT_S = 30,
    HTTP_CHANGE_TIMEOUT_S = 30,
    HTTP_DELETE_TIMEOUT_S = 5,  /* for delivery, once it is sealed */
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
    HTTP_STREAM_LIST,
    HTTP_STREAM_GET,
    HTTP_STREAM_PUT,
    HTTP_STREAM_DELETE,
    HTTP_MINI_LIST,
    HTTP_MINI_CREATE,
    HTTP_MINI_DELETE,
    HTTP_MINI_MESSAGE,
    HTTP_MINI_STATS,
    HTTP_ENDPOINT_COUNT
};

enum firehose_operation {
    FIREHOSE_PUT_RECORD,
    FIREHOSE_PUT_RECORD_BATCH,
    FIREHOSE_CREATE,
    FIREHOSE_DELETE,
    FIREHOSE_UPDATE,
    FIREHOSE_DESCRIBE,
    FIREHOSE_LIST,
    FIREHOSE_LIST_TAGS,
    FIREHOSE_TAG,
    FIREHOSE_UNTAG,
    FIREHOSE_ENCRYPT,
    FIREHOSE_DECRYPT,
    FIREHOSE_OPERATION_COUNT
};

struct http_call {
    enum http_endpoint_id endpoint;
    bool open;                          /* asks no token */
    char stream[STREAM_NAME_MAX + 1];   /* of the path, or the body; "" = none */
    bool puts;                          /* the body brings events; nothing to ask */
    bool keeps;                         /* the body is looked at */
    bool deletes;                       /* http_delete.h has it from here on */
    bool holds;                         /* nothing is to be taken for the stream meanwhile */
    enum firehose_operation op;         /* of FIREHOSE; http_firehose_route() */
    enum request_kind kind;             /* what to ask next; KIND_COUNT: nothing */
    uint64_t timeout_ns;                /* of the answer, or until events are durable */
    struct rest_change *change;         /* owned; goes with the next CONTROL */
};

/* What has been answered. */
struct http_answered {
    int result;                         /* or -ETIMEDOUT, -EAGAIN, -ESHUTDOWN, -ENOMEM */
    struct status *status;              /* borrowed; of STATUS and LOOK that succeeded */
    const char *why;                    /* borrowed; of a CONTROL that failed; "" = no words */
};

/* Asks next for this. */
static inline void http_call_ask(struct http_call *call, enum request_kind kind,
                                 unsigned timeout_s)
{
    call->kind = kind;
    call->timeout_ns = timeout_s * 1000000000ULL;
}

#endif
