/*
 * http_api: the endpoints.
 *
 * Owns:   nothing.
 * Thread: HTTP.
 */
#include "control/http_api.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/bytes.h"
#include "control/http_metrics.h"
#include "control/http_mini.h"
#include "control/http_streams.h"
#include "control/http_static.h"
#include "control/status_json.h"

#define TYPE_JSON "application/json"
#define TYPE_TEXT "text/plain; charset=utf-8"

/* Whose an endpoint is: this file's, or the named one's. */
enum family { PLAIN, STREAMS, MINI, FIREHOSE };

struct endpoint {
    const char *method;
    const char *path;   /* up to a stream's name, if it has one */
    const char *tail;   /* after the name; NULL: no name */
    unsigned traits;
    enum family family;
    enum request_kind kind;     /* of PLAIN: what is asked */
};

enum {
    OPEN = 1,           /* it asks no token */
    KEEPS = 2,          /* the body is looked at */
    PUTS = 4 | KEEPS    /* and brings events */
};

#define NOTHING REQUEST_KIND_COUNT

/* One row for each endpoint, by its number. */
static const struct endpoint endpoints[HTTP_ENDPOINT_COUNT] = {
    [HTTP_HEALTHZ] = { "GET", "/healthz", NULL, OPEN, PLAIN, REQUEST_STATUS },
    [HTTP_READYZ] = { "GET", "/readyz", NULL, OPEN, PLAIN, REQUEST_STATUS },
    [HTTP_METRICS] = { "GET", "/metrics", NULL, 0, PLAIN, REQUEST_STATUS },
    [HTTP_STATUS] = { "GET", "/v1/status", NULL, 0, PLAIN, REQUEST_STATUS },
    [HTTP_FLUSH] = { "POST", "/v1/flush", NULL, 0, PLAIN, REQUEST_FLUSH },
    [HTTP_FLUSH_STREAM] = { "POST", "/v1/streams/", "/flush", 0, PLAIN, REQUEST_FLUSH },
    [HTTP_EVENTS] = { "POST", "/v1/streams/", "/events", PUTS, PLAIN, NOTHING },
    [HTTP_FIREHOSE] = { "POST", "/", NULL, KEEPS, FIREHOSE, NOTHING },
    [HTTP_STREAM_LIST] = { "GET", "/v1/streams", NULL, 0, STREAMS, NOTHING },
    [HTTP_STREAM_GET] = { "GET", "/v1/streams/", "", 0, STREAMS, NOTHING },
    [HTTP_STREAM_PUT] = { "PUT", "/v1/streams/", "", KEEPS, STREAMS, NOTHING },
    [HTTP_STREAM_DELETE] = { "DELETE", "/v1/streams/", "", 0, STREAMS, NOTHING },
    [HTTP_MINI_LIST] = { "GET", "/minifirehoses", NULL, 0, MINI, NOTHING },
    [HTTP_MINI_CREATE] = { "POST", "/minifirehoses", NULL, KEEPS, MINI, NOTHING },
    [HTTP_MINI_DELETE] = { "DELETE", "/minifirehoses/", "", 0, MINI, NOTHING },
    [HTTP_MINI_MESSAGE] = { "POST", "/minifirehoses/", "/message", PUTS, MINI, NOTHING },
    [HTTP_MINI_STATS] = { "GET", "/minifirehoses/", "/stats", 0, MINI, NOTHING },
};

static void reply_ok_text(struct http_reply *reply, const char *text)
{
    char *body = strdup(text);

    http_reply_set(reply, body == NULL ? 500 : 200, TYPE_TEXT, body,
                   body == NULL ? 0 : strlen(body));
}

/* Is this its path? Keeps the name in it, empty when it cannot be a stream's. */
static bool endpoint_matches(const struct endpoint *ep, const char *path,
                             char name[STREAM_NAME_MAX + 1])
{
    size_t len = strlen(ep->path);
    size_t name_len;

    name[0] = '\0';
    if (ep->tail == NULL)
        return strcmp(path, ep->path) == 0;
    if (strncmp(path, ep->path, len) != 0)
        return false;
    name_len = strcspn(path + len, "/");
    if (name_len == 0 || strcmp(path + len + name_len, ep->tail) != 0)
        return false;
    if (stream_name_valid(path + len, name_len)) {
        memcpy(name, path + len, name_len);
        name[name_len] = '\0';
    }
    return true;
}

static bool method_matches(const char *wanted, const char *method)
{
    return strcmp(wanted, method) == 0 ||
           (strcmp(wanted, "GET") == 0 && strcmp(method, "HEAD") == 0);
}

/* Its path is there, its method is not: all that are. */
static void method_refuse(const char *path, struct http_reply *reply)
{
    char name[STREAM_NAME_MAX + 1];

    http_reply_error(reply, 405, "Method Not Allowed");
    for (unsigned i = 0; i < HTTP_ENDPOINT_COUNT; i++) {
        size_t len = strlen(reply->allow);

        if (endpoint_matches(&endpoints[i], path, name))
            (void)snprintf(reply->allow + len, sizeof(reply->allow) - len, "%s%s%s",
                           len > 0 ? ", " : "", endpoints[i].method,
                           strcmp(endpoints[i].method, "GET") == 0 ? ", HEAD" : "");
    }
}

/* Pages of the program need no shard: here is the answer. POST / is the Firehose API. */
static bool route_static(const char *method, const char *path, struct http_call *call,
                         struct http_reply *reply)
{
    const struct http_page *page = http_static_find(path);
    bool root = strcmp(path, "/") == 0;

    if (page == NULL || (root && strcmp(method, "POST") == 0))
        return false;
    call->open = true;
    if (method_matches("GET", method)) {
        reply->status = 200;
        reply->page = page;
        return true;
    }
    http_reply_error(reply, 405, "Method Not Allowed");
    (void)snprintf(reply->allow, sizeof(reply->allow), "GET, HEAD%s", root ? ", POST" : "");
    return true;
}

bool http_api_route(const char *method, const char *path, struct http_call *ret_call,
                    struct http_reply *reply)
{
    bool found = false;

    memset(ret_call, 0, sizeof(*ret_call));
    if (route_static(method, path, ret_call, reply))
        return false;
    for (unsigned i = 0; i < HTTP_ENDPOINT_COUNT; i++) {
        const struct endpoint *ep = &endpoints[i];

        if (!endpoint_matches(ep, path, ret_call->stream))
            continue;
        found = true;
        ret_call->open = (ep->traits & OPEN) != 0;
        if (!method_matches(ep->method, method))
            continue;
        ret_call->endpoint = (enum http_endpoint_id)i;
        ret_call->puts = (ep->traits & PUTS) == PUTS;
        ret_call->keeps = (ep->traits & KEEPS) != 0;
        ret_call->kind = ep->kind;
        if (ep->tail != NULL && ret_call->stream[0] == '\0') {
            if (ep->family == MINI)
                http_mini_not_found(reply);
            else if (i == HTTP_STREAM_PUT)
                http_reply_error(reply, 400, "a stream's name is 1 to 64 of A-Z a-z 0-9 _ . - and "
                                 "begins with a letter or digit");
            else
                http_reply_error(reply, 404, "Stream not found: that is not a stream's name");
            return false;
        }
        reply->firehose = ep->family == FIREHOSE;
        return true;
    }
    if (found)
        method_refuse(path, reply);
    else
        http_reply_error(reply, 404, "Not Found");
    return false;
}

static bool type_is(const char *type, const char *wanted)
{
    size_t len = strcspn(type, "; \t");

    return strlen(wanted) == len && strncasecmp(type, wanted, len) == 0;
}

bool http_api_content_type(const struct http_call *call, const char *type,
                           enum http_put_form *ret_form)
{
    static const char *const known[] = {
        [HTTP_PUT_JSON] = "application/json",
        [HTTP_PUT_LINES] = "application/x-ndjson",
    };

    if (type == NULL)
        return false;
    if (call->endpoint == HTTP_FIREHOSE)
        return type_is(type, HTTP_FIREHOSE_TYPE) || type_is(type, known[HTTP_PUT_JSON]);
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (type_is(type, known[i])) {
            *ret_form = (enum http_put_form)i;
            return true;
        }
    return false;
}

/* Seconds, with a fraction if wanted: at least a millisecond, at most HTTP_FLUSH_TIMEOUT_S_MAX. */
static bool timeout_parse(const char *text, uint64_t *ret_ns)
{
    uint64_t unit = 1000000000U;
    uint64_t ns = 0;

    if (text[0] < '0' || text[0] > '9')
        return false;
    for (; *text >= '0' && *text <= '9'; text++) {
        ns = ns * 10 + (uint64_t)(*text - '0') * 1000000000U;
        if (ns > HTTP_FLUSH_TIMEOUT_S_MAX * 1000000000ULL)
            return false;
    }
    if (*text == '.') {
        for (text++; *text >= '0' && *text <= '9'; text++) {
            unit /= 10;
            ns += (uint64_t)(*text - '0') * unit;
        }
    }
    *ret_ns = ns;
    return *text == '\0' && ns >= 1000000U && ns <= HTTP_FLUSH_TIMEOUT_S_MAX * 1000000000ULL;
}

/* Of a flush, or until events are durable. False: reply is set. */
static bool timeout_set(struct http_call *call, const char *timeout, struct http_reply *reply)
{
    call->timeout_ns = (call->puts ? HTTP_DURABLE_TIMEOUT_S : HTTP_FLUSH_TIMEOUT_S) *
                       1000000000ULL;
    if (timeout == NULL || timeout_parse(timeout, &call->timeout_ns))
        return true;
    http_reply_error(reply, 400, "timeout: seconds from 0.001 to %d are wanted",
                     HTTP_FLUSH_TIMEOUT_S_MAX);
    return false;
}

void http_api_begin(struct http_call *call, const char *timeout, const uint8_t *body, size_t len,
                    const struct http_config *config, struct http_reply *reply)
{
    if (call->kind == REQUEST_STATUS)
        http_call_ask(call, REQUEST_STATUS, HTTP_STATUS_TIMEOUT_S);
    else if ((call->puts || call->kind == REQUEST_FLUSH) && !timeout_set(call, timeout, reply))
        return;
    switch (endpoints[call->endpoint].family) {
    case STREAMS:
        http_streams_begin(call, body, len, config, reply);
        return;
    case MINI:
        http_mini_begin(call, body, len, config, reply);
        return;
    case FIREHOSE:
        if (!call->puts)
            http_firehose_begin(call, body, len, config, reply);
        return;
    case PLAIN:
        return;
    }
}

/* Why the shard gave no answer, as far as it is the same for all endpoints. */
static void finish_failed(const struct http_call *call, int result, struct http_reply *reply)
{
    bool status = call->kind == REQUEST_STATUS;

    switch (result) {
    case -ENOENT:
        http_reply_error(reply, 404, "Stream not found: '%s'", call->stream);
        return;
    case -ETIMEDOUT:
        if (status)
            http_reply_error(reply, 503, "the agent has not answered within %d seconds",
                             HTTP_STATUS_TIMEOUT_S);
        else
            http_reply_error(reply, 504, "not all was delivered within %" PRIu64 ".%03" PRIu64
                             " seconds; it will be", call->timeout_ns / 1000000000U,
                             call->timeout_ns / 1000000U % 1000);
        return;
    case -EAGAIN:
        http_reply_error(reply, 503, "too many requests wait for the agent");
        return;
    case -ESHUTDOWN:
        http_reply_error(reply, 503, "the agent is stopping");
        return;
    case -ENOMEM:
        http_reply_error(reply, 503, "out of memory");
        return;
    default:
        http_reply_error(reply, 500, "the agent failed: error %d", -result);
    }
}

static void finish_readyz(const struct status *s, struct http_reply *reply)
{
    if (s->stopping)
        http_reply_error(reply, 503, "stopping");
    else if (!s->ready)
        http_reply_error(reply, 503, "recovering: %" PRIu64 " bytes of the log are left",
                         s->recovery_left_bytes);
    else
        reply_ok_text(reply, "ok");
}

static void finish_metrics(const struct status *s, struct http_reply *reply)
{
    struct bytes page = BYTES_INIT;

    if (http_metrics_render(s, &page) != 0) {
        bytes_free(&page);
        http_reply_error(reply, 503, "out of memory");
        return;
    }
    http_reply_set(reply, 200, HTTP_METRICS_CONTENT_TYPE, (char *)page.data, page.len);
}

/* A sink that REST has made lives on until it has taken what its deleted stream left. */
static void on_draining(void *ctx, const struct config *config)
{
    struct status *s = ctx;

    for (size_t i = 0; i < s->sinks_count; i++) {
        struct status_sink *to = &s->sinks[i];
        const struct sink_config *sink = config_find_sink(config, to->name);

        to->draining = to->batches_waiting > 0 && sink != NULL && sink->rest
                       && !config_sink_used(config, to->name);
    }
}

static void finish_status(struct status *s, const struct http_config *config,
                          struct http_reply *reply)
{
    char *text;
    size_t len;

    config->look(config->ctx, on_draining, s);
    if (status_json_render(s, &text, &len) != 0)
        http_reply_error(reply, 503, "out of memory");
    else
        http_reply_set(reply, 200, TYPE_JSON, text, len);
}

static void finish(const struct http_call *call, int result, struct status *status,
                   const struct http_config *config, struct http_reply *reply)
{
    if (result != 0) {
        finish_failed(call, result, reply);
        return;
    }
    switch (call->endpoint) {
    case HTTP_HEALTHZ:
        reply_ok_text(reply, "ok");
        return;
    case HTTP_READYZ:
        finish_readyz(status, reply);
        return;
    case HTTP_METRICS:
        finish_metrics(status, reply);
        return;
    case HTTP_STATUS:
        finish_status(status, config, reply);
        return;
    case HTTP_FLUSH:
    case HTTP_FLUSH_STREAM:
        http_reply_json(reply, 200, json_pack("{s:b}", "flushed", 1));
        return;
    default:
        http_reply_error(reply, 500, "no such endpoint");
    }
}

struct flushed {
    const char *stream;
    int result;
};

/* A stream that is configured and has had no event is empty, and not unknown. */
static void on_flushed(void *ctx, const struct config *config)
{
    struct flushed *f = ctx;

    if (f->result == -ENOENT && config_find_stream(config, f->stream) != NULL)
        f->result = 0;
}

static int flush_result(const struct http_call *call, int result, const struct http_config *config)
{
    struct flushed f = {call->stream, result};

    if (call->endpoint == HTTP_FLUSH_STREAM)
        config->look(config->ctx, on_flushed, &f);
    return f.result;
}

void http_api_next(struct http_call *call, const uint8_t *body, size_t len,
                   const struct http_answered *a, const struct http_config *config,
                   struct http_reply *reply)
{
    switch (endpoints[call->endpoint].family) {
    case STREAMS:
        http_streams_next(call, a, config, reply);
        return;
    case MINI:
        http_mini_next(call, a, reply);
        return;
    case FIREHOSE:
        if (!http_firehose_next(call, body, len, a, config, reply))
            finish(call, a->result, a->status, config, reply);
        return;
    case PLAIN:
        finish(call, flush_result(call, a->result, config), a->status, config, reply);
    }
}

static void put_failed(const struct http_call *call, const struct http_put *put,
                       struct http_reply *reply)
{
    switch (put->result) {
    case -ENOENT:
        if (call->endpoint == HTTP_MINI_MESSAGE)
            http_mini_not_found(reply);
        else
            http_reply_error(reply, 404, "Stream not found: '%s' is not configured", call->stream);
        return;
    case -EBADMSG:
        http_reply_error(reply, 422, "%s; no event was taken", put->err.text);
        return;
    case -EMSGSIZE:
        http_reply_error(reply, 413, "%s; no event was taken", put->err.text);
        return;
    case -E2BIG:
        http_reply_error(reply, 413, "these are more events than can be taken at once; none was");
        return;
    case -EAGAIN:
        http_reply_error(reply, 503, "the agent does not keep up; no event was taken");
        return;
    case -EDQUOT:
        http_reply_error(reply, 503, "limits leave no room for stream '%s'; no event was taken",
                         call->stream);
        return;
    case -ETIMEDOUT:
        http_reply_error(reply, 504, "the events were taken, but are not durable yet");
        return;
    case -EIO:
    case -ESTALE:
        http_reply_error(reply, 503, "the events were taken, but it is not known whether they "
                         "will be durable: send them again");
        return;
    default:
        finish_failed(call, put->result, reply);
    }
}

void http_api_put(const struct http_call *call, const struct http_put *put,
                  struct http_reply *reply)
{
    if (put->result != 0)
        put_failed(call, put, reply);
    else if (call->endpoint == HTTP_MINI_MESSAGE)
        http_reply_json(reply, 200, json_pack("{s:s}", "message", "Message added"));
    else
        http_reply_json(reply, put->durable ? 200 : 202,
                        json_pack("{s:I}", "accepted", (json_int_t)put->events));
}
