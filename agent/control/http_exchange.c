/*
 * http_exchange: a request's life: http_exchange_access() with the head (guards, route), with each
 * piece of the body (kept where it is looked at), and once more at its end: then something is asked
 * of the shards or of the main thread, once or several times, or its events are put into a ring,
 * and the connection suspended. http_exchanges_turn() resumes it, and the library calls access()
 * again, which answers. A suspended connection is not looked at, so a client that leaves meanwhile
 * is noticed when its answer is sent, and its memory stays until then.
 *
 * Owns:   exchanges.
 * Thread: HTTP.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/invariant.h"
#include "control/http_parts.h"
#include "control/http_wire.h"

static const char *header(const struct exchange *ex, const char *name)
{
    return http_wire_header(ex->connection, name);
}

static enum MHD_Result reply_send(struct exchange *ex)
{
    char id[2 * 16 + 2];

    (void)snprintf(id, sizeof(id), "%016" PRIx64 "-%016" PRIx64, ex->server->id,
                   ex->server->replies++);
    return http_wire_send(ex->connection, &ex->reply, id);
}

static void operation_check(struct exchange *ex)
{
    struct http_call *call = &ex->call;

    if (!http_firehose_route(header(ex, "X-Amz-Target"), &call->op, &ex->reply))
        return;
    call->puts = call->op == FIREHOSE_PUT_RECORD || call->op == FIREHOSE_PUT_RECORD_BATCH;
    ex->put.form = call->op == FIREHOSE_PUT_RECORD ? HTTP_PUT_RECORD : HTTP_PUT_RECORDS;
    ex->put.durable = true;
}

struct token_question {
    const struct http_guard *guard;
    const char *authorization;
    bool good;
};

static void on_token(void *ctx, const struct config *config)
{
    struct token_question *q = ctx;

    q->good = http_guard_token(q->guard, config->http.token, q->authorization);
}

/* Does it carry the token that is in force now? */
static bool token_good(const struct exchange *ex)
{
    struct token_question q = {.guard = &ex->server->guard,
                               .authorization = header(ex, "Authorization")};

    ex->server->config.look(ex->server->config.ctx, on_token, &q);
    return q.good;
}

/* Guards and route: sets call, or reply. */
static void request_check(struct exchange *ex, const char *method, const char *path,
                          const char *version)
{
    const struct http_guard *guard = &ex->server->guard;
    const char *host = header(ex, "Host");
    bool routed = http_api_route(method, path, &ex->call, &ex->reply);
    bool firehose = routed && ex->call.endpoint == HTTP_FIREHOSE;

    if (host == NULL && strcmp(version, "HTTP/1.0") != 0) {
        http_reply_error(&ex->reply, 400, "the Host header is missing");
        return;
    }
    if (!http_guard_host(guard, host)) {
        http_reply_error(&ex->reply, 403, "Host is not a name of this server");
        return;
    }
    if (!http_guard_origin(header(ex, "Origin"), host)) {
        http_reply_error(&ex->reply, 403, "Origin is another site");
        return;
    }
    if (!ex->call.open && !(firehose && ex->server->access_key != NULL) &&
        !token_good(ex)) {
        http_reply_error(&ex->reply, 401, "the bearer token is missing or wrong");
        ex->reply.allow[0] = '\0';
        routed = false;
    }
    INVARIANT(routed || ex->reply.status != 0);
    if (routed && firehose)
        operation_check(ex);
}

/* What the head says of the body: too large, or of a type that is not taken. */
static void body_check(struct exchange *ex)
{
    const char *length = header(ex, "Content-Length");
    const char *coding = header(ex, "Transfer-Encoding");
    uint64_t bytes = length == NULL ? 0 : strtoull(length, NULL, 10);

    if (bytes > ex->server->body_bytes_max)
        http_reply_error(&ex->reply, 413, "the body is larger than %llu bytes",
                         (unsigned long long)ex->server->body_bytes_max);
    else if (ex->reply.status == 0 && (bytes > 0 || coding != NULL || ex->call.keeps) &&
             !http_api_content_type(&ex->call, header(ex, "Content-Type"), &ex->put.form))
        http_reply_error(&ex->reply, 415, "a body needs Content-Type: %s",
                         ex->reply.firehose                   ? HTTP_FIREHOSE_TYPE
                                                                " or application/json"
                         : ex->call.endpoint == HTTP_EVENTS   ? "application/json or "
                                                                "application/x-ndjson"
                                                              : "application/json");
    else if (ex->reply.status == 0 && ex->call.keeps &&
             !http_body_coding(header(ex, "Content-Encoding"), &ex->coding))
        http_reply_error(&ex->reply, 415, "of Content-Encoding gzip and zstd are taken");
}

/* Why a body, or what it unpacks to, cannot be kept. */
static void body_failed(struct exchange *ex, int res)
{
    if (res == -EBADMSG)
        http_reply_error(&ex->reply, 422, "the body cannot be unpacked");
    else if (res == -EFBIG)
        http_reply_error(&ex->reply, 413, "the body unpacks to more than %llu bytes",
                         (unsigned long long)ex->server->body_bytes_max);
    else
        http_reply_error(&ex->reply, 503, res == -ENOBUFS ? "too many bodies at once"
                                                          : "out of memory");
}

static enum MHD_Result request_begin(struct http_server *server, struct MHD_Connection *connection,
                                     const char *path, const char *method, const char *version,
                                     void **con_cls)
{
    struct exchange *ex = calloc(1, sizeof(*ex));

    if (ex == NULL)
        return MHD_NO;
    ex->server = server;
    ex->connection = connection;
    ex->body.budget = &server->bodies;
    *con_cls = ex;
    server->active++;
    request_check(ex, method, path, version);
    body_check(ex);
    /* A refusal waits for the end of the body, so that the client is there to read it; not for one
     * that is too large: there the library answers at once and closes. */
    return ex->reply.status == 413 ? reply_send(ex) : MHD_YES;
}

/* A piece of the body. Over the limit it is refused at its end, unless that does not come. */
static enum MHD_Result request_body(struct exchange *ex, const char *data,
                                    size_t *upload_data_size)
{
    uint64_t max = ex->server->body_bytes_max;
    int res = 0;

    ex->body_bytes += *upload_data_size;
    if (ex->call.keeps && ex->reply.status == 0 && ex->body_bytes <= max)
        res = http_body_append(&ex->body, data, *upload_data_size);
    if (res != 0)
        body_failed(ex, res);
    if (ex->reply.status != 0)
        http_body_free(&ex->body);
    *upload_data_size = 0;
    if (ex->body_bytes > 2 * max)
        return MHD_NO;
    if (ex->body_bytes > max && ex->reply.status != 413)
        http_reply_error(&ex->reply, 413, "the body is larger than %llu bytes",
                         (unsigned long long)max);
    return MHD_YES;
}

/* The body is whole: is it from who it must be, and what it says? Sets the reply if not. */
static void body_take(struct exchange *ex)
{
    const struct http_server *server = ex->server;
    enum http_sign_result sign = HTTP_SIGN_GOOD;
    struct errmsg why;
    int res;

    if (ex->call.endpoint == HTTP_FIREHOSE && server->access_key != NULL)
        sign = http_wire_signed(ex->connection, &ex->body.bytes, server->access_key,
                                server->secret_key, &why);
    if (sign != HTTP_SIGN_GOOD) {
        http_firehose_unsigned(sign, &why, &ex->reply);
        return;
    }
    res = http_body_unpack(&ex->body, ex->coding, server->body_bytes_max);
    if (res != 0)
        body_failed(ex, res);
}

static void put_answer(struct exchange *ex)
{
    if (ex->call.endpoint == HTTP_FIREHOSE)
        http_firehose_put(ex->call.op, &ex->put, ex->server->id, &ex->reply);
    else
        http_api_put(&ex->call, &ex->put, &ex->reply);
}

/* While its stream is deleted nothing is taken for it. */
static void hold_keep(struct exchange *ex)
{
    bool wanted = ex->call.holds && ex->reply.status == 0;

    if (wanted && !ex->held) {
        memcpy(ex->hold.stream, ex->call.stream, sizeof(ex->hold.stream));
        http_ingest_hold(ex->server->ingest, &ex->hold);
    } else if (!wanted && ex->held) {
        http_ingest_release(ex->server->ingest, &ex->hold);
    }
    ex->held = wanted;
}

/* Asks until there is a reply, or somebody has to be waited for. */
static void exchange_ask(struct exchange *ex)
{
    ex->waits = false;
    while (ex->reply.status == 0 && !ex->waits) {
        struct http_answered failed = {.why = ""};
        struct http_call *call = &ex->call;
        struct rest_change *change = NULL;

        hold_keep(ex);
        if (call->kind == REQUEST_CONTROL) {
            change = call->change;
            call->change = NULL;
        }
        failed.result = http_hub_post(ex->server->hub, call->kind, call->stream, change,
                                      http_now_ns() + call->timeout_ns, ex);
        ex->waits = failed.result == 0;
        if (!ex->waits)
            http_api_next(call, ex->body.bytes.data, ex->body.bytes.len, &failed,
                          &ex->server->config, &ex->reply);
    }
    hold_keep(ex);
}

/* What has been answered, or why nothing has. */
static void exchange_answer(struct exchange *ex, const struct http_wait *wait)
{
    /* Past its deadline the request is still another's: only of a finished one is there more. */
    struct http_answered a = {
        .result = wait->result,
        .status = wait->result == 0 ? wait->req.status : NULL,
        .why = wait->answered && wait->change != NULL ? wait->change->err.text : "",
    };

    http_api_next(&ex->call, ex->body.bytes.data, ex->body.bytes.len, &a, &ex->server->config,
                  &ex->reply);
    exchange_ask(ex);
}

/* The events of a request, which is whole. */
static enum MHD_Result request_put(struct exchange *ex)
{
    struct http_put *put = &ex->put;
    const char *ack = http_wire_argument(ex->connection, "ack");
    uint64_t now_ns = http_now_ns();

    if (ex->call.endpoint == HTTP_EVENTS)
        put->durable = ack != NULL && strcmp(ack, "durable") == 0;
    if (ack != NULL && !put->durable && strcmp(ack, "accepted") != 0) {
        http_reply_error(&ex->reply, 400, "ack: accepted or durable is wanted");
        return reply_send(ex);
    }
    if (ex->call.endpoint == HTTP_MINI_MESSAGE)
        put->form = HTTP_PUT_MESSAGE;
    memcpy(put->stream, ex->call.stream, sizeof(put->stream));
    put->body = ex->body.bytes.data;
    put->body_len = ex->body.bytes.len;
    put->room_by_ns = now_ns + HTTP_ROOM_TIMEOUT_MS * 1000000ULL;
    put->durable_by_ns = now_ns + ex->call.timeout_ns;
    put->ctx = ex;
    if (http_ingest_put(ex->server->ingest, put, now_ns) == 0) {
        put_answer(ex);
        return reply_send(ex);
    }
    ex->suspended = true;
    MHD_suspend_connection(ex->connection);
    return MHD_YES;
}

/* The request is whole: asks, and puts the connection to sleep. */
static enum MHD_Result request_post(struct exchange *ex)
{
    if (ex->call.keeps)
        body_take(ex);
    if (ex->reply.status == 0)
        http_api_begin(&ex->call, http_wire_argument(ex->connection, "timeout"),
                       ex->body.bytes.data, ex->body.bytes.len, &ex->server->config, &ex->reply);
    if (ex->reply.status != 0)
        return reply_send(ex);
    if (ex->call.puts)
        return request_put(ex);
    exchange_ask(ex);
    if (!ex->waits)
        return reply_send(ex);
    ex->suspended = true;
    MHD_suspend_connection(ex->connection);
    return MHD_YES;
}

enum MHD_Result http_exchange_access(void *cls, struct MHD_Connection *connection, const char *url,
                                     const char *method, const char *version,
                                     const char *upload_data, size_t *upload_data_size,
                                     void **con_cls)
{
    struct exchange *ex = (struct exchange *)*con_cls;

    if (ex == NULL)
        return request_begin((struct http_server *)cls, connection, url, method, version, con_cls);
    INVARIANT(!ex->suspended);
    if (*upload_data_size != 0)
        return request_body(ex, upload_data, upload_data_size);
    if (ex->reply.status != 0)
        return reply_send(ex);
    return request_post(ex);
}

void http_exchange_completed(void *cls, struct MHD_Connection *connection, void **con_cls,
                             enum MHD_RequestTerminationCode code)
{
    struct exchange *ex = (struct exchange *)*con_cls;

    (void)cls;
    (void)connection;
    (void)code;
    if (ex == NULL)
        return;
    INVARIANT(!ex->suspended);
    ex->call.holds = false;
    hold_keep(ex);
    ex->server->active--;
    rest_change_free(ex->call.change);
    http_reply_free(&ex->reply);
    http_body_free(&ex->body);
    free(ex);
    *con_cls = NULL;
}

static void exchange_resume(struct exchange *ex)
{
    ex->suspended = false;
    MHD_resume_connection(ex->connection);
}

void http_exchanges_turn(struct http_server *server)
{
    struct http_wait *wait;
    struct http_put *put;

    while ((put = http_ingest_next(server->ingest, http_now_ns())) != NULL) {
        struct exchange *ex = put->ctx;

        put_answer(ex);
        exchange_resume(ex);
    }

    while ((wait = http_hub_next(server->hub, http_now_ns())) != NULL) {
        struct exchange *ex = wait->ctx;

        exchange_answer(ex, wait);
        http_wait_release(wait);
        if (!ex->waits)
            exchange_resume(ex);
    }
}
