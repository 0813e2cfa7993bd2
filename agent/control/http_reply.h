/*
 * http_reply: an answer before it is sent.
 *
 * Errors are {"detail": ...}, and on the Firehose endpoint {"__type": ..., "message": ...}.
 *
 * Owns:   a reply owns its body until http_reply_free().
 * Thread: HTTP.
 */
#ifndef CONTROL_HTTP_REPLY_H
#define CONTROL_HTTP_REPLY_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct http_page;

struct http_reply {
    bool firehose;              /* in the shape of that API; stays when the reply is set */
    unsigned status;            /* 0: no reply yet */
    const char *content_type;   /* borrowed, static */
    char *body;                 /* owned */
    size_t body_len;
    const struct http_page *page;   /* this one instead of a body; static; NULL = none */
    char allow[40];             /* the methods that there are; "" = none */
    bool retry_after;           /* the client may come back in a second */
    bool authenticate;          /* tell that a token is wanted */
};

void http_reply_free(struct http_reply *reply); /* zeroed is fine */

/* body is the reply's from now on; NULL with a status of 200: there was no memory. */
void http_reply_set(struct http_reply *reply, unsigned status, const char *content_type,
                    char *body, size_t len);
/* json is released; NULL: there was no memory. */
void http_reply_json(struct http_reply *reply, unsigned status, json_t *json);

/* When even an error has no memory, the reply has no body. */
void http_reply_error(struct http_reply *reply, unsigned status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The same with the type that the Firehose API has for it. */
void http_reply_fault(struct http_reply *reply, unsigned status, const char *type, const char *fmt,
                      ...) __attribute__((format(printf, 4, 5)));

#endif
