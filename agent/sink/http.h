/*
 * http: outgoing HTTP. The only file that sees libcurl.
 *
 * A client does one request at a time and waits for its end; it keeps the connection for the next.
 * An HTTP status is not an error here: whoever asked decides what it means.
 *
 * Owns:   client and connection; an answer owns its body until http_answer_free().
 * Thread: one at a time for each client.
 * Units:  milliseconds, bytes.
 */
#ifndef SINK_HTTP_H
#define SINK_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/errmsg.h"

struct http_client;

struct http_ask {
    const char *method;         /* "GET", "POST", ... */
    const char *url;            /* http or https */
    const char *unix_path;      /* of the socket where that is served; NULL: where the url says */
    const char *token;          /* bearer token; NULL or "": none */
    const char *content_type, *content_encoding;    /* of the body; NULL: no header */
    const void *body;           /* borrowed; NULL: none */
    size_t body_len;
    uint32_t connect_timeout_ms, timeout_ms;    /* 0: none but the library's */
    size_t answer_bytes_max;    /* a longer body is -EMSGSIZE; 0 = 64 MiB */
    bool direct;                /* whatever proxy the environment names is not used */
    bool single;                /* a connection of its own: a reused one that breaks off would make
                                   the library ask again */
    bool (*go_on)(void *ctx);   /* asked about each second; false: -ECANCELED; NULL: always */
    void *ctx;
};

struct http_answer {
    unsigned status;
    struct bytes body;
};

int http_client_open(struct http_client **ret_client, struct errmsg *err);
void http_client_close(struct http_client *client); /* NULL is fine */

/*
 * 0 with an answer; -ECONNREFUSED (nobody listens), -EHOSTUNREACH (name or address unknown),
 * -ETIMEDOUT, -EMSGSIZE, -ECONNRESET (broken off), -EINVAL (url), -ECANCELED (by go_on), -EPROTO,
 * -ENOMEM with a text.
 */
int http_client_do(struct http_client *client, const struct http_ask *ask,
                   struct http_answer *ret_answer, struct errmsg *err);

void http_answer_free(struct http_answer *answer); /* zeroed is fine */

#endif
