/*
 * http_mini: /minifirehoses: a stream with sinks of its own, made and deleted by one request.
 *
 * Owns:   nothing.
 * Thread: HTTP.
 */
#ifndef CONTROL_HTTP_MINI_H
#define CONTROL_HTTP_MINI_H

#include "control/http_call.h"

/* The body is there: sets reply, or what to ask first; neither for a message, which is put. */
void http_mini_begin(struct http_call *call, const uint8_t *body, size_t len,
                     const struct http_config *config, struct http_reply *reply);

/* Sets reply, or what to ask next. */
void http_mini_next(struct http_call *call, const struct http_answered *a,
                    struct http_reply *reply);

void http_mini_not_found(struct http_reply *reply);

#endif
