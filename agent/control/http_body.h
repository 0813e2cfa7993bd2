/*
 * http_body: the body of a request, as it comes in and as it is unpacked. Pure.
 *
 * All bodies of a server share a budget, so that many slow senders cost a bounded amount of memory.
 *
 * Owns:   a body owns its bytes until http_body_free().
 * Thread: HTTP.
 * Units:  bytes.
 */
#ifndef CONTROL_HTTP_BODY_H
#define CONTROL_HTTP_BODY_H

#include "base/bytes.h"
#include "intake/unpack.h"

struct http_budget {
    size_t used, max;
};

struct http_body {
    struct http_budget *budget; /* borrowed */
    struct bytes bytes;
};

/* 0; -ENOBUFS: the budget is used up; -ENOMEM. */
int http_body_append(struct http_body *b, const void *data, size_t len);
void http_body_free(struct http_body *b);       /* zeroed is fine; it can be used again */

/* The type of a Content-Encoding, NULL: there is none. False: not one of ours. */
bool http_body_coding(const char *coding, enum unpack_type *ret_type);

/*
 * Puts what it unpacks to in its place. 0; -EBADMSG: damaged, or not complete; -EFBIG: more than
 * bytes_max; -ENOBUFS, -ENOMEM. It is empty after a failure.
 */
int http_body_unpack(struct http_body *b, enum unpack_type type, size_t bytes_max);

#endif
