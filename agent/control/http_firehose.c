/*
 * http_firehose: operations and their answers.
 *
 * Owns:   nothing.
 * Thread: HTTP.
 */
#include "control/http_firehose.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "control/http_delivery.h"
#include "control/http_streams.h"

#define TARGET "Firehose_20150804."

enum { LIST_LIMIT_DEFAULT = 10, LIST_LIMIT_MAX = 10000, TAGS_LIMIT_MAX = 50,
       QUESTION_BYTES_MAX = 64 << 10 };

static const char *const operations[FIREHOSE_OPERATION_COUNT] = {
    [FIREHOSE_PUT_RECORD] = "PutRecord",
    [FIREHOSE_PUT_RECORD_BATCH] = "PutRecordBatch",
    [FIREHOSE_CREATE] = "CreateDeliveryStream",
    [FIREHOSE_DELETE] = "DeleteDeliveryStream",
    [FIREHOSE_UPDATE] = "UpdateDestination",
    [FIREHOSE_DESCRIBE] = "DescribeDeliveryStream",
    [FIREHOSE_LIST] = "ListDeliveryStreams",
    [FIREHOSE_LIST_TAGS] = "ListTagsForDeliveryStream",
    [FIREHOSE_TAG] = "TagDeliveryStream",
    [FIREHOSE_UNTAG] = "UntagDeliveryStream",
    [FIREHOSE_ENCRYPT] = "StartDeliveryStreamEncryption",
    [FIREHOSE_DECRYPT] = "StopDeliveryStreamEncryption",
};
_Static_assert(FIREHOSE_OPERATION_COUNT == 12, "each operation has a name");

bool http_firehose_route(const char *target, enum firehose_operation *ret_op,
                         struct http_reply *reply)
{
    const char *name = target == NULL ? "" : target;

    if (strncmp(name, TARGET, strlen(TARGET)) == 0)
        for (unsigned i = 0; i < FIREHOSE_OPERATION_COUNT; i++)
            if (strcmp(name + strlen(TARGET), operations[i]) == 0) {
                *ret_op = (enum firehose_operation)i;
                return true;
            }
    http_reply_fault(reply, 400, "UnknownOperationException",
                     target == NULL ? "X-Amz-Target is missing"
                                    : "this agent does not have that operation");
    return false;
}

void http_firehose_unsigned(enum http_sign_result result, const struct errmsg *why,
                            struct http_reply *reply)
{
    static const char *const types[HTTP_SIGN_RESULT_COUNT] = {
        [HTTP_SIGN_MISSING] = "MissingAuthenticationTokenException",
        [HTTP_SIGN_KEY] = "UnrecognizedClientException",
        [HTTP_SIGN_WRONG] = "InvalidSignatureException",
    };

    http_reply_fault(reply, 403, types[result], "%s", why->text);
}

/* ---- puts ---- */

static void put_failed(const struct http_put *put, struct http_reply *reply)
{
    switch (put->result) {
    case -EBADMSG:
        http_reply_fault(reply, 400, "SerializationException", "%s", put->err.text);
        return;
    case -EINVAL:
    case -EMSGSIZE:
        http_reply_fault(reply, 400, "InvalidArgumentException", "%s", put->err.text);
        return;
    case -E2BIG:
        http_reply_fault(reply, 400, "InvalidArgumentException",
                         "these are more events than can be taken at once");
        return;
    case -ENOENT:
        http_reply_fault(reply, 400, "ResourceNotFoundException", "there is no stream '%s'",
                         put->stream);
        return;
    case -EDQUOT:
        http_reply_fault(reply, 400, "LimitExceededException",
                         "limits leave no room for stream '%s'", put->stream);
        return;
    case -EAGAIN:
        http_reply_fault(reply, 503, "ServiceUnavailableException", "Slow down.");
        return;
    case -ENOMEM:
        http_reply_fault(reply, 503, "ServiceUnavailableException", "out of memory");
        return;
    case -ESHUTDOWN:
        http_reply_fault(reply, 503, "ServiceUnavailableException", "the agent is stopping");
        return;
    default:
        /* It may have been taken: who sends it again may have it twice. */
        http_reply_fault(reply, 503, "ServiceUnavailableException",
                         "it is not known whether the records will be durable");
    }
}

static int record_id(struct bytes *text, uint64_t id, uint64_t number)
{
    return bytes_printf(text, "{\"RecordId\":\"%016" PRIx64 "%016" PRIx64 "\"", id, number);
}

void http_firehose_put(enum firehose_operation op, const struct http_put *put, uint64_t id,
                       struct http_reply *reply)
{
    struct bytes text = BYTES_INIT;
    char *body;
    int rc = 0;

    if (put->result != 0) {
        put_failed(put, reply);
        return;
    }
    if (op == FIREHOSE_PUT_RECORD) {
        rc = record_id(&text, id, put->first_record);
        if (rc == 0)
            rc = bytes_append_str(&text, ",\"Encrypted\":false}");
    } else {
        rc = bytes_append_str(&text, "{\"FailedPutCount\":0,\"Encrypted\":false,"
                              "\"RequestResponses\":[");
        for (uint64_t i = 0; rc == 0 && i < put->records; i++) {
            rc = i > 0 ? bytes_append_char(&text, ',') : 0;
            if (rc == 0)
                rc = record_id(&text, id, put->first_record + i);
            if (rc == 0)
                rc = bytes_append_char(&text, '}');
        }
        if (rc == 0)
            rc = bytes_append_str(&text, "]}");
    }
    body = rc == 0 ? bytes_take_cstr(&text) : NULL;
    bytes_free(&text);
    if (body == NULL)
        http_reply_error(reply, 503, "out of memory");
    else
        http_reply_set(reply, 200, HTTP_FIREHOSE_TYPE, body, strlen(body));
}

/* ---- what is there ---- */

struct names {
    const char **at;            /* owned; the names are owned, too */
    size_t count, cap;
    bool failed;
};

static void on_name(struct names *n, const char *name)
{
    if (n->count == n->cap) {
        size_t cap = n->cap == 0 ? 64 : 2 * n->cap;
        const char **at = realloc(n->at, cap * sizeof(*at));

        n->failed |= at == NULL;
        if (at == NULL)
            return;
        n->at = at;
        n->cap = cap;
    }
    n->at[n->count] = strdup(name);
    n->failed |= n->at[n->count] == NULL;
    n->count += n->at[n->count] != NULL;
}

static int name_compare(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Of what is configured, and of what came without that. */
static void names_collect(const struct config *config, const struct status *status,
                          struct names *n)
{
    for (size_t i = 0; i < config->streams_count; i++)
        on_name(n, config->streams[i].name);
    for (size_t i = 0; i < status->streams_count; i++)
        if (!http_streams_gone(config, status->streams[i].name, status->streams[i].accepted))
            on_name(n, status->streams[i].name);
    if (n->count > 0)
        qsort(n->at, n->count, sizeof(*n->at), name_compare);
}

static void names_free(struct names *n)
{
    for (size_t i = 0; i < n->count; i++)
        free((void *)(uintptr_t)n->at[i]);
    free(n->at);
}

static bool names_have(const struct names *n, const char *name)
{
    return n->count > 0 && bsearch(&name, n->at, n->count, sizeof(*n->at), name_compare) != NULL;
}

static json_t *list_json(const struct names *n, const char *after, size_t limit)
{
    json_t *list = json_array();
    bool more = false;

    for (size_t i = 0; i < n->count; i++) {
        if ((i > 0 && strcmp(n->at[i], n->at[i - 1]) == 0) || strcmp(n->at[i], after) <= 0)
            continue;
        more = json_array_size(list) == limit;
        if (more)
            break;
        json_array_append_new(list, json_string(n->at[i]));
    }
    return json_pack("{s:o, s:b}", "DeliveryStreamNames", list, "HasMoreDeliveryStreams", more);
}

static void list_answer(const json_t *request, const struct names *n, struct http_reply *reply)
{
    const json_t *limit = json_object_get(request, "Limit");
    const json_t *after = json_object_get(request, "ExclusiveStartDeliveryStreamName");
    const json_t *type = json_object_get(request, "DeliveryStreamType");
    json_int_t count = limit != NULL ? json_integer_value(limit) : LIST_LIMIT_DEFAULT;
    bool none = type != NULL && json_is_string(type) &&
                strcmp(json_string_value(type), "DirectPut") != 0;
    const struct names no_names = {0};

    if (count < 1 || count > LIST_LIMIT_MAX || (after != NULL && !json_is_string(after)))
        http_reply_fault(reply, 400, "InvalidArgumentException",
                         "Limit: 1 to %d; ExclusiveStartDeliveryStreamName: a name",
                         LIST_LIMIT_MAX);
    else
        http_reply_json(reply, 200, list_json(none ? &no_names : n,
                                              after != NULL ? json_string_value(after) : "",
                                              (size_t)count));
}

static json_t *describe_json(const char *name, const struct config *config,
                             const struct status *status)
{
    json_t *about = http_delivery_about(config_find_stream(config, name));
    json_t *destinations = json_array();
    char arn[sizeof(HTTP_ARN) + STREAM_NAME_MAX];
    json_t *json;

    for (size_t i = 0; i < status->stream_sinks_count; i++) {
        const struct status_stream_sink *sink = &status->stream_sinks[i];

        if (strcmp(status->streams[sink->stream].name, name) == 0)
            json_array_append_new(destinations, json_pack("{s:s}", "DestinationId", sink->sink));
    }
    (void)snprintf(arn, sizeof(arn), HTTP_ARN "%s", name);
    json = json_pack("{s:s, s:s, s:s, s:s, s:s, s:o, s:b}", "DeliveryStreamName", name,
                     "DeliveryStreamARN", arn, "DeliveryStreamStatus", "ACTIVE",
                     "DeliveryStreamType", "DirectPut", "VersionId", "1", "Destinations",
                     destinations, "HasMoreDestinations", 0);
    http_delivery_describe(about, json);
    json_decref(about);
    return json_pack("{s:o}", "DeliveryStreamDescription", json);
}

static void tags_answer(const json_t *request, const struct stream_config *stream,
                        struct http_reply *reply)
{
    const json_t *limit = json_object_get(request, "Limit");
    json_int_t count = limit != NULL ? json_integer_value(limit) : TAGS_LIMIT_MAX;
    json_t *about = http_delivery_about(stream);

    if (count < 1 || count > TAGS_LIMIT_MAX)
        http_reply_fault(reply, 400, "InvalidArgumentException", "Limit: 1 to %d", TAGS_LIMIT_MAX);
    else
        http_reply_json(reply, 200,
                        http_delivery_tags(about, json_string_value(json_object_get(
                                                      request, "ExclusiveStartTagKey")),
                                           (size_t)count));
    json_decref(about);
}

struct question {
    enum firehose_operation op;
    const char *stream;
    const json_t *request;
    const struct status *status;
    struct http_reply *reply;
};

static void on_question(void *ctx, const struct config *config)
{
    const struct question *q = ctx;
    struct names names = {0};

    names_collect(config, q->status, &names);
    if (names.failed)
        http_reply_error(q->reply, 503, "out of memory");
    else if (q->op == FIREHOSE_LIST)
        list_answer(q->request, &names, q->reply);
    else if (!names_have(&names, q->stream))
        http_reply_fault(q->reply, 400, "ResourceNotFoundException", "there is no stream '%s'",
                         q->stream);
    else if (q->op == FIREHOSE_LIST_TAGS)
        tags_answer(q->request, config_find_stream(config, q->stream), q->reply);
    else
        http_reply_json(q->reply, 200, describe_json(q->stream, config, q->status));
    names_free(&names);
}

/* NULL: reply is set. */
static json_t *request_read(struct http_call *call, const uint8_t *body, size_t len,
                            struct http_reply *reply)
{
    json_t *request = len > QUESTION_BYTES_MAX
                          ? NULL
                          : json_loadb((const char *)body, len, JSON_REJECT_DUPLICATES, NULL);
    const char *name = json_string_value(json_object_get(request, "DeliveryStreamName"));

    if (!json_is_object(request)) {
        http_reply_fault(reply, 400, "SerializationException",
                         "the body is not a JSON object, or a very large one");
    } else if (call->op == FIREHOSE_LIST) {
        return request;
    } else if (name == NULL || !stream_name_valid(name, strlen(name))) {
        http_reply_fault(reply, 400, "InvalidArgumentException",
                         "DeliveryStreamName is missing, or no name of a stream");
    } else {
        memcpy(call->stream, name, strlen(name) + 1);
        return request;
    }
    json_decref(request);
    return NULL;
}

static bool asks(enum firehose_operation op)
{
    return op == FIREHOSE_DESCRIBE || op == FIREHOSE_LIST || op == FIREHOSE_LIST_TAGS;
}

void http_firehose_begin(struct http_call *call, const uint8_t *body, size_t len,
                         const struct http_config *config, struct http_reply *reply)
{
    json_t *request = request_read(call, body, len, reply);

    if (request != NULL && asks(call->op))
        http_call_ask(call, REQUEST_STATUS, HTTP_STATUS_TIMEOUT_S);
    else if (request != NULL)
        http_delivery_begin(call, request, config, reply);
    json_decref(request);
}

bool http_firehose_next(struct http_call *call, const uint8_t *body, size_t len,
                        const struct http_answered *a, const struct http_config *config,
                        struct http_reply *reply)
{
    struct question q = {call->op, call->stream, NULL, a->status, reply};
    json_t *request;

    if (!asks(call->op)) {
        http_delivery_next(call, a, reply);
        return true;
    }
    if (a->result != 0)
        return false;
    request = request_read(call, body, len, reply);
    q.request = request;
    if (request != NULL)
        config->look(config->ctx, on_question, &q);
    json_decref(request);
    return true;
}
