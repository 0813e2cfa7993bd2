/*
 * http_streams: /v1/streams: what streams there are, how they are set, what their books say.
 *
 *   {"name": ..., "source": "file" | "rest" | "auto", "settings": {keys of [stream]}, "books": {}}
 *
 * A stream is there if it is configured, or if something has come for it since it was deleted.
 *
 * Owns:   nothing.
 * Thread: HTTP.
 */
#ifndef CONTROL_HTTP_STREAMS_H
#define CONTROL_HTTP_STREAMS_H

#include "control/http_call.h"

/* The body is there: sets reply, or what to ask first. */
void http_streams_begin(struct http_call *call, const uint8_t *body, size_t len,
                        const struct http_config *config, struct http_reply *reply);

/* Sets reply, or what to ask next. */
void http_streams_next(struct http_call *call, const struct http_answered *a,
                       const struct http_config *config, struct http_reply *reply);

/* Has it been deleted, and nothing come for it since? accepted: of its books. */
bool http_streams_gone(const struct config *config, const char *stream, uint64_t accepted);

#endif
