/*
 * cli_send_http: `hydrant send` by POST /v1/streams/{name}/events.
 *
 * Lines wait in one batch, of bounded size, and go as one request, which is taken whole or not at
 * all. What was surely not taken is sent again; a request that breaks off may have been taken: its
 * events are counted as unknown, and not sent again. A batch that is too large for the agent goes
 * in pieces, and so do those after it.
 *
 * Owns:   see struct send_http.
 * Thread: main.
 */
#include "cli/cli_send.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "cli/cli_ask.h"
#include "cli/cli_exit.h"
#include "cli/cli_send_pack.h"
#include "cli/cli_table.h"
#include "sink/http.h"

enum { BATCH_BYTES = 256 * 1024, CONNECT_TIMEOUT_MS = 5000 };

struct send_http {
    struct sender *sender;          /* borrowed */
    struct http_client *client;     /* owned */
    char url[512];
    const char *unix_path;          /* borrowed; NULL: none */
    struct bytes batch;             /* owned; a line each */
    size_t piece_bytes;             /* of one request, unless it is one line */
    struct send_pack pack;
};

enum outcome { TAKEN, AGAIN, TOO_LARGE, STOP };

bool send_http_open(struct sender *s)
{
    struct send_http *w = calloc(1, sizeof(*w));
    const struct send_options *o = &s->options;
    struct errmsg err = { "" };
    const char *host;
    int r;

    if (w == NULL) {
        (void)cli_fail(s->command, "out of memory");
        return false;
    }
    s->http = w;
    w->sender = s;
    w->piece_bytes = BATCH_BYTES;
    r = cli_ask_host(o->http, &host, &w->unix_path, &err);
    if (r == 0 && snprintf(w->url, sizeof(w->url), "http://%s/v1/streams/%s/events%s", host,
                           o->stream, o->durable ? "?ack=durable&timeout=3600" : "") >=
                      (int)sizeof(w->url))
        r = errmsg_set(&err, -EINVAL, "the address is too long");
    if (r == 0)
        r = http_client_open(&w->client, &err);
    if (r == 0)
        r = send_pack_init(&w->pack, o->gzip);
    if (r == -ENOMEM)
        (void)errmsg_set(&err, r, "out of memory");
    if (r != 0)
        (void)cli_fail(s->command, "--http: %s", err.text);
    return r == 0;
}

void send_http_close(struct send_http *w)
{
    if (w == NULL)
        return;
    http_client_close(w->client);
    send_pack_fini(&w->pack);
    bytes_free(&w->batch);
    free(w);
}

static bool on_wait(void *ctx)
{
    (void)ctx;
    return sender_signal() == 0;
}

/* ---- one request ---- */

/* What the agent says of an error, or how it answers. */
static void answer_words(const struct http_answer *answer, char *ret, size_t cap)
{
    json_t *json = json_loadb((const char *)answer->body.data, answer->body.len, 0, NULL);
    const char *detail = json_string_value(json_object_get(json, "detail"));
    char clean[300];

    if (detail != NULL)
        (void)snprintf(ret, cap, "the agent answers %u: %s", answer->status,
                       cli_printable(detail, clean, sizeof(clean)));
    else
        (void)snprintf(ret, cap, "the agent answers %u", answer->status);
    json_decref(json);
}

/* Whether they were taken is not known, but why they may not have been. */
static enum outcome unknown(struct send_http *w, uint64_t events, const char *why)
{
    struct sender *s = w->sender;

    s->unknown += events;
    if (sender_signal() != 0)
        return STOP;
    sender_clear(s);
    (void)cli_fail(s->command, "%s: %s", s->options.http, why);
    s->failed = true;
    return TAKEN;   /* by who knows whom */
}

static enum outcome answered(struct send_http *w, const struct http_answer *answer,
                             uint64_t events, uint64_t bytes, char *what, size_t what_cap)
{
    struct sender *s = w->sender;

    if (answer->status == 200 || answer->status == 202) {
        s->events += events;
        s->bytes += bytes;
        return TAKEN;
    }
    answer_words(answer, what, what_cap);
    if (answer->status == 429 || answer->status == 503)
        return AGAIN;
    if (answer->status == 413)
        return TOO_LARGE;
    if (answer->status >= 500)  /* 504: taken, and not durable for an hour; else a proxy's */
        return unknown(w, events, what);
    sender_clear(s);
    (void)cli_fail(s->command, "%s: %s%s", s->options.http, what,
                   answer->status == 401 ? " (HYDRANT_TOKEN has it)" : "");
    s->failed = true;
    return STOP;
}

/* Sends lines once; what: why not. */
static enum outcome request(struct send_http *w, const uint8_t *data, size_t len, uint64_t events,
                            char *what, size_t what_cap)
{
    const struct send_options *o = &w->sender->options;
    struct http_ask ask = { .method = "POST", .url = w->url, .unix_path = w->unix_path,
                            .token = getenv("HYDRANT_TOKEN"),
                            .content_type = "application/x-ndjson",
                            .content_encoding = o->gzip ? "gzip" : NULL,
                            .connect_timeout_ms = CONNECT_TIMEOUT_MS,
                            .timeout_ms = (uint32_t)(o->timeout_ns / 1000000), .direct = true,
                            .single = true, .go_on = on_wait };
    struct http_answer answer;
    struct errmsg err = { "" };
    const uint8_t *body;
    enum outcome outcome;
    int r = send_pack(&w->pack, data, len, &body, &ask.body_len);

    ask.body = body;
    if (r == 0)
        r = http_client_do(w->client, &ask, &answer, &err);
    else
        (void)errmsg_set_errno(&err, r, "cannot compress");
    if (r == 0) {
        outcome = answered(w, &answer, events, len - events, what, what_cap);
        http_answer_free(&answer);
        return outcome;
    }
    (void)snprintf(what, what_cap, "%s: %s", o->http, err.text);
    if (r == -ECONNREFUSED || r == -EHOSTUNREACH)
        return AGAIN;
    outcome = unknown(w, events, err.text);
    return r == -ETIMEDOUT ? STOP : outcome;
}

/* ---- batches ---- */

static uint64_t lines_in(const uint8_t *data, size_t len)
{
    const uint8_t *at = data, *end = data + len;
    uint64_t lines = 0;

    while (at < end && (at = memchr(at, '\n', (size_t)(end - at))) != NULL) {
        lines++;
        at++;
    }
    return lines;
}

/* Bytes of whole lines at the start, max at most, but one line at least. */
static size_t piece_of(const uint8_t *data, size_t len, size_t max)
{
    const uint8_t *lf = len <= max ? data + len - 1 : memrchr(data, '\n', max);

    if (lf == NULL)
        lf = memchr(data, '\n', len);
    return (size_t)(lf - data) + 1;
}

static void refuse(struct send_http *w, const char *what)
{
    struct sender *s = w->sender;

    sender_clear(s);
    (void)cli_fail(s->command, "a line is not taken: %s", what);
    s->failed = true;
}

/* 0 or -EINTR: stop. */
static int batch_send(struct send_http *w)
{
    uint64_t since_ns = sender_now_ns(), backoff_ns = 0;
    size_t at = 0;

    while (at < w->batch.len) {
        size_t len = piece_of(w->batch.data + at, w->batch.len - at, w->piece_bytes);
        uint64_t events = lines_in(w->batch.data + at, len);
        char what[700];

        switch (request(w, w->batch.data + at, len, events, what, sizeof(what))) {
        case AGAIN:
            if (!sender_back_off(w->sender, since_ns, &backoff_ns, what))
                return -EINTR;
            continue;
        case TOO_LARGE:
            if (events > 1) {
                w->piece_bytes = len / 2;
                continue;
            }
            refuse(w, what);
            break;
        case STOP:
            return -EINTR;
        case TAKEN:
            break;
        }
        at += len;
        since_ns = sender_now_ns();
        backoff_ns = 0;
    }
    bytes_clear(&w->batch);
    return 0;
}

int send_http_line(struct send_http *w, const uint8_t *data, size_t len)
{
    /* What ends in CR keeps it: the agent cuts the one behind it. */
    const char *end = len > 0 && data[len - 1] == '\r' ? "\r\n" : "\n";
    int r = bytes_append(&w->batch, data, len);

    if (r == 0)
        r = bytes_append_str(&w->batch, end);
    if (r != 0)
        return r;
    return w->batch.len < BATCH_BYTES ? 0 : batch_send(w);
}

bool send_http_flush(struct send_http *w)
{
    return batch_send(w) == 0;
}
