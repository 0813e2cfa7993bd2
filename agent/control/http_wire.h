/*
 * http_wire: what is read of a request and said in an answer by the calls of the HTTP library.
 *
 * Owns:   nothing.
 * Thread: HTTP.
 */
#ifndef CONTROL_HTTP_WIRE_H
#define CONTROL_HTTP_WIRE_H

#include <microhttpd.h>

#include "base/bytes.h"
#include "control/http_reply.h"
#include "control/http_sign.h"

const char *http_wire_header(struct MHD_Connection *connection, const char *name);
const char *http_wire_argument(struct MHD_Connection *connection, const char *name);

/*
 * Hands the reply to the library, which has its body from then on. id: of the request, where the
 * reply has the shape that goes with one. MHD_NO (no memory) closes the connection.
 */
enum MHD_Result http_wire_send(struct MHD_Connection *connection, struct http_reply *reply,
                               const char *id);

/* Of POST /: is it signed by who has the keys? body: as it came. Other than GOOD: with a text. */
enum http_sign_result http_wire_signed(struct MHD_Connection *connection, const struct bytes *body,
                                       const char *access_key, const char *secret_key,
                                       struct errmsg *err);

#endif
