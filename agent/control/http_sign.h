/*
 * http_sign: was a request to the Firehose endpoint signed, in headers, by who has the keys? By
 * AWS Signature Version 4. Pure: told the time.
 *
 * Host, X-Amz-Date and X-Amz-Target have to be signed; the payload is always the body as it came,
 * and a hash that is given must be that of it.
 *
 * Owns:   nothing.
 * Thread: any.
 */
#ifndef CONTROL_HTTP_SIGN_H
#define CONTROL_HTTP_SIGN_H

#include <stddef.h>
#include <stdint.h>

#include "base/errmsg.h"
#include "sink/request.h"

enum { HTTP_SIGN_SKEW_S = 15 * 60 };

enum http_sign_result {
    HTTP_SIGN_GOOD,
    HTTP_SIGN_MISSING,          /* no Authorization, or not of this kind */
    HTTP_SIGN_KEY,              /* another access key */
    HTTP_SIGN_WRONG,            /* the signature, its scope, time or payload */
    HTTP_SIGN_RESULT_COUNT
};

/* A request as it came; all of it borrowed. */
struct http_signed {
    const char *method, *path;  /* no query: none is taken */
    const struct request_header *headers;       /* any case */
    uint32_t headers_count;
    const void *body;
    size_t body_len;
};

/* Other than GOOD: with a text. */
enum http_sign_result http_sign_check(const struct http_signed *request, const char *access_key,
                                      const char *secret_key, uint64_t utc_s, struct errmsg *err);

#endif
