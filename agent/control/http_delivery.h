/*
 * http_delivery: delivery streams that the Firehose API makes and changes.
 *
 * One is a stream whose batches go to the [sink] of type s3 with its bucket, else to `local`. What
 * clients want to read again, and nothing else needs, is kept beside its settings as JSON:
 *
 *   {"version": n, "created": s, "updated": s, "destination": {as it was given, with defaults},
 *    "tags": {key: value}, "encryption": {as it is described}}
 *
 * Encryption is a mark of whoever asks for it: puts are answered that records are not encrypted.
 *
 * Owns:   nothing.
 * Thread: HTTP.
 * Units:  seconds, with a fraction.
 */
#ifndef CONTROL_HTTP_DELIVERY_H
#define CONTROL_HTTP_DELIVERY_H

#include <jansson.h>

#include "control/http_call.h"

#define HTTP_ARN "arn:aws:firehose:us-east-1:000000000000:deliverystream/"

/* An operation that changes something: sets reply, or what to ask first. request: the body. */
void http_delivery_begin(struct http_call *call, const json_t *request,
                         const struct http_config *config, struct http_reply *reply);

/* Sets reply, or what to ask next. */
void http_delivery_next(struct http_call *call, const struct http_answered *a,
                        struct http_reply *reply);

/* What was kept beside a stream's settings; NULL: nothing, or no memory. */
json_t *http_delivery_about(const struct stream_config *stream);

/* Puts into a DeliveryStreamDescription what `about` (NULL: nothing) knows. */
void http_delivery_describe(const json_t *about, json_t *description);

/* Tags from behind `after` on (NULL: all), at most `limit`. */
json_t *http_delivery_tags(const json_t *about, const char *after, size_t limit);

#endif
