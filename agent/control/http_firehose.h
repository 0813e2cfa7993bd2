/*
 * http_firehose: the Firehose API, version 20150804, as far as the agent answers it: what each
 * operation says, and the shape of its errors. Knows nothing of sockets and threads.
 *
 * PutRecord and PutRecordBatch bring events. The others that are there answer from what the
 * configuration names and the agent has. Whatever else is asked is an unknown operation.
 *
 * Owns:   nothing.
 * Thread: HTTP.
 */
#ifndef CONTROL_HTTP_FIREHOSE_H
#define CONTROL_HTTP_FIREHOSE_H

#include "control/http_ingest.h"
#include "control/http_reply.h"
#include "control/http_sign.h"
#include "pipeline/status.h"

#define HTTP_FIREHOSE_TYPE "application/x-amz-json-1.1"

enum firehose_operation {
    FIREHOSE_PUT_RECORD,
    FIREHOSE_PUT_RECORD_BATCH,
    FIREHOSE_CREATE,
    FIREHOSE_DESCRIBE,
    FIREHOSE_LIST,
    FIREHOSE_LIST_TAGS,
    FIREHOSE_OPERATION_COUNT
};

/* Which streams the configuration names. */
struct http_streams {
    void (*visit)(void *ctx, void (*seen)(void *seen_ctx, const char *stream), void *seen_ctx);
    void *ctx;
};

/* Of the X-Amz-Target header, NULL: there is none. False: reply is set. */
bool http_firehose_route(const char *target, enum firehose_operation *ret_op,
                         struct http_reply *reply);

/* result: other than GOOD. */
void http_firehose_unsigned(enum http_sign_result result, const struct errmsg *why,
                            struct http_reply *reply);

/* put: done; id: of this server, so that no two records have one. */
void http_firehose_put(enum firehose_operation op, const struct http_put *put, uint64_t id,
                       struct http_reply *reply);

/* An operation that asks: body is the request's. */
void http_firehose_answer(enum firehose_operation op, const uint8_t *body, size_t len,
                          const struct http_streams *streams, const struct status *status,
                          struct http_reply *reply);

#endif
