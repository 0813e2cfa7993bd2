/*
 * request: an outgoing HTTP request as text (method, URL, headers), made by who decides, signed by
 * sigv4, sent by http. And what came back. Pure.
 *
 *     request_start(r, "PUT");
 *     request_url(r, "https://host/");
 *     request_url_encoded(r, key, "/");
 *     request_header(r, "Host", "%s", host);
 *     ...
 *     return request_result(r, err);
 *
 * All text lies in the struct: nothing is allocated, nothing moves, and an error is kept until
 * request_result() is asked. The URL is whole before the first header. It goes out byte for byte,
 * without anybody's normalisation: signatures cover it.
 *
 * Headers can hold secrets: request_clear() wipes them.
 *
 * Owns:   its text; the method is borrowed, and for ever there.
 * Thread: any, one struct by one thread at a time.
 */
#ifndef SINK_REQUEST_H
#define SINK_REQUEST_H

#include <stddef.h>
#include <stdint.h>

#include "base/errmsg.h"

enum {
    REQUEST_HEADERS_MAX = 32,
    REQUEST_NAME_BYTES = 64,        /* of a header, with its NUL */
    REQUEST_TEXT_BYTES = 16384      /* URL and headers; AWS takes 8 KiB of headers */
};

struct request_header {
    const char *name, *value;
};

struct request {
    const char *method;
    const char *url;
    struct request_header headers[REQUEST_HEADERS_MAX];
    uint32_t headers_count;
    int result;                     /* 0 or the first error */
    uint32_t len;                   /* of text in use, without the last NUL */
    char text[REQUEST_TEXT_BYTES];
};

void request_start(struct request *r, const char *method);

/* Adds to the URL: as it is; or with all but letters, digits, "-._~" and `keep` as %XX. */
void request_url(struct request *r, const char *text);
void request_url_encoded(struct request *r, const char *text, const char *keep);

/* Names are kept in lower case. A value that would end its line is -EINVAL. */
void request_header(struct request *r, const char *name, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* The value of the first header of that name (in lower case), or NULL. */
const char *request_header_find(const struct request *r, const char *name);

/* 0, -ENAMETOOLONG or -EINVAL with a text that shows no value. */
int request_result(const struct request *r, struct errmsg *err);

/* Overwrites what may be secret. */
void request_clear(struct request *r);

/* What came back; all of it borrowed. */
struct reply {
    unsigned status;
    const struct request_header *headers;
    uint32_t headers_count;
    const char *body;               /* need not end in NUL */
    size_t body_len;
};

/* The first header of that name in any case, or NULL. */
const char *request_reply_header(const struct reply *reply, const char *name);

#endif
