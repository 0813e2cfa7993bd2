/*
 * http_api: what each path answers. Knows nothing of sockets and threads: the server hands it a
 * method, a path and what the shard said, and gets a reply back.
 *
 *   http_api_route()   headers are there: which endpoint, or 404, 405
 *   http_api_begin()   the body is over: what to ask of the shards first; or a reply
 *   http_api_next()    they have answered or have not: what to ask next; or a reply
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

/* timeout: of the query, NULL = none. The body is borrowed. Sets reply, or what to ask. */
void http_api_begin(struct http_call *call, const char *timeout, const uint8_t *body, size_t len,
                    const struct http_config *config, struct http_reply *reply);

/* Sets reply, or what to ask next. */
void http_api_next(struct http_call *call, const uint8_t *body, size_t len,
                   const struct http_answered *a, const struct http_config *config,
                   struct http_reply *reply);

/* put: done. */
void http_api_put(const struct http_call *call, const struct http_put *put,
                  struct http_reply *reply);

#endif
