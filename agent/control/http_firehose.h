/*
 * http_firehose: the Firehose API, version 20150804, as far as the agent answers it: what each
 * operation says, and the shape of its errors. Knows nothing of sockets and threads.
 *
 * PutRecord and PutRecordBatch bring events. Describe and List answer from what the configuration
 * names and the agent has, and the rest changes that (http_delivery.h). Whatever else is asked is
 * an unknown operation.
 *
 * Owns:   nothing.
 * Thread: HTTP.
 */
#ifndef CONTROL_HTTP_FIREHOSE_H
#define CONTROL_HTTP_FIREHOSE_H

#include "control/http_call.h"
#include "control/http_ingest.h"
#include "control/http_reply.h"
#include "control/http_sign.h"
#include "pipeline/status.h"

#define HTTP_FIREHOSE_TYPE "application/x-amz-json-1.1"

/* Of the X-Amz-Target header, NULL: there is none. False: reply is set. */
bool http_firehose_route(const char *target, enum firehose_operation *ret_op,
                         struct http_reply *reply);

/* result: other than GOOD. */
void http_firehose_unsigned(enum http_sign_result result, const struct errmsg *why,
                            struct http_reply *reply);

/* put: done; id: of this server, so that no two records have one. */
void http_firehose_put(enum firehose_operation op, const struct http_put *put, uint64_t id,
                       struct http_reply *reply);

/* Another operation, of which the body is there: sets reply, or what to ask first. */
void http_firehose_begin(struct http_call *call, const uint8_t *body, size_t len,
                         const struct http_config *config, struct http_reply *reply);

/* Sets reply, or what to ask next. False: it has failed in no way of this API's own. */
bool http_firehose_next(struct http_call *call, const uint8_t *body, size_t len,
                        const struct http_answered *a, const struct http_config *config,
                        struct http_reply *reply);

#endif
