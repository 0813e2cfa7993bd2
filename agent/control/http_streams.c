/*
 * http_streams: see the header.
 *
 * Owns:   nothing.
 * Thread: HTTP.
 */
#include "control/http_streams.h"

#include <errno.h>
#include <string.h>

#include "control/http_change.h"

/* ---- a stream as JSON ---- */

static json_t *list_json(const struct config_list *list)
{
    json_t *json = json_array();

    for (size_t i = 0; i < list->count; i++)
        json_array_append_new(json, json_string(list->items[i]));
    return json;
}

/* As PUT takes it. */
static json_t *setting_json(const struct option *o, const struct stream_config *stream)
{
    const void *owner = o->in_output ? (const void *)&stream->output : stream;
    struct option_value v = option_value_of(o, owner);
    char text[32];

    switch (o->type) {
    case OPTION_TYPE_STRING:
    case OPTION_TYPE_TEXT:
        return json_string(v.text);
    case OPTION_TYPE_LIST:
        return list_json(&v.list);
    case OPTION_TYPE_BOOL:
        return json_boolean(v.number);
    case OPTION_TYPE_CHOICE:
        return option_word(o->words, v.number, text) ? json_string(text) : NULL;
    case OPTION_TYPE_COUNT:
    case OPTION_TYPE_COUNT_OR_OFF:
        return json_integer(v.number);
    default:
        return json_string(option_format_number(o, v.number, text));
    }
}

static json_t *settings_json(const struct stream_config *stream)
{
    json_t *json = json_object();

    for (size_t i = 0; i < OPTION_COUNT; i++)
        if ((option_table[i].scope & SCOPE_stream) != 0)
            json_object_set_new(json, option_table[i].key, setting_json(&option_table[i], stream));
    return json;
}

static json_t *books_json(const struct status_stream *s)
{
    static const struct status_stream none;

    if (s == NULL)
        s = &none;
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "accepted", (json_int_t)s->accepted,
                     "accepted_bytes", (json_int_t)s->accepted_bytes, "delivered",
                     (json_int_t)s->delivered, "dropped", (json_int_t)s->dropped, "lost",
                     (json_int_t)s->lost, "pending", (json_int_t)s->pending);
}

/* stream: NULL: it is not configured. */
static json_t *stream_json(const struct config *config, const char *name,
                           const struct stream_config *stream, const struct status_stream *s)
{
    return json_pack("{s:s, s:s, s:o, s:o}", "name", name, "source",
                     stream == NULL ? "auto" : stream->rest ? "rest" : "file", "settings",
                     settings_json(stream != NULL ? stream : &config->stream_default), "books",
                     books_json(s));
}

static const struct status_stream *books_of(const struct status *s, const char *name)
{
    for (size_t i = 0; i < s->streams_count; i++)
        if (strcmp(s->streams[i].name, name) == 0)
            return &s->streams[i];
    return NULL;
}

bool http_streams_gone(const struct config *config, const char *stream, uint64_t accepted)
{
    for (size_t i = 0; i < config->deleted_count; i++)
        if (strcmp(config->deleted[i].name, stream) == 0)
            return accepted <= config->deleted[i].accepted;
    return false;
}

/* ---- what there is ---- */

struct asked {
    struct http_call *call;
    const struct status *status;
    struct http_reply *reply;
};

static int by_name(const void *a, const void *b)
{
    const char *x = json_string_value(json_object_get(*(json_t *const *)a, "name"));
    const char *y = json_string_value(json_object_get(*(json_t *const *)b, "name"));

    return strcmp(x != NULL ? x : "", y != NULL ? y : "");
}

/* NULL: no memory. */
static json_t *sorted(json_t *list)
{
    size_t count = json_array_size(list);
    json_t **items = calloc(count + 1, sizeof(json_t *));
    json_t *json = items != NULL ? json_array() : NULL;

    for (size_t i = 0; items != NULL && i < count; i++)
        items[i] = json_array_get(list, i);
    if (items != NULL)
        qsort(items, count, sizeof(items[0]), by_name);
    for (size_t i = 0; items != NULL && i < count; i++)
        json_array_append(json, items[i]);
    free(items);
    json_decref(list);
    return json;
}

static void on_list(void *ctx, const struct config *config)
{
    const struct asked *a = ctx;
    json_t *list = json_array();

    for (size_t i = 0; i < config->streams_count; i++)
        json_array_append_new(list, stream_json(config, config->streams[i].name,
                                                &config->streams[i],
                                                books_of(a->status, config->streams[i].name)));
    for (size_t i = 0; i < a->status->streams_count; i++) {
        const struct status_stream *s = &a->status->streams[i];

        if (config_find_stream(config, s->name) == NULL &&
            !http_streams_gone(config, s->name, s->accepted))
            json_array_append_new(list, stream_json(config, s->name, NULL, s));
    }
    http_reply_json(a->reply, 200, sorted(list));
}

static void not_found(const char *stream, struct http_reply *reply)
{
    http_reply_error(reply, 404, "Stream not found: '%s'", stream);
}

static void on_get(void *ctx, const struct config *config)
{
    const struct asked *a = ctx;
    const char *name = a->call->stream;
    const struct stream_config *stream = config_find_stream(config, name);
    const struct status_stream *s = books_of(a->status, name);

    if (stream == NULL && (s == NULL || http_streams_gone(config, name, s->accepted)))
        not_found(name, a->reply);
    else
        http_reply_json(a->reply, 200, stream_json(config, name, stream, s));
}

/* ---- changes ---- */

static void on_delete(void *ctx, const struct config *config)
{
    const struct asked *a = ctx;

    switch (rest_maker_of(config_find_stream(config, a->call->stream))) {
    case REST_MAKER_NONE:
        http_reply_error(a->reply, 404, "Stream not found: '%s' has no settings of its own",
                         a->call->stream);
        return;
    case REST_MAKER_FILE:
        http_reply_error(a->reply, 409, "stream '%s' stands in the configuration file; take it "
                         "out there", a->call->stream);
        return;
    default:
        (void)http_delete_begin(a->call, a->reply);
    }
}

/* One key of the body. False: reply is set. */
static bool key_put(struct config_section *s, const char *key, const json_t *value,
                    struct http_reply *reply)
{
    struct bytes text = BYTES_INIT;
    const char *cstr;
    int r = http_change_value(option_find(SCOPE_stream, key), value, &text);

    cstr = r == 0 ? bytes_cstr(&text) : NULL;
    if (r == 0)
        r = cstr != NULL ? rest_file_set(s, key, cstr) : -ENOMEM;
    bytes_free(&text);
    if (r == -EINVAL)
        http_reply_error(reply, 400, "%.64s: a text, a number, true, false or a list of texts is "
                         "wanted, not too long and without control characters", key);
    else if (r != 0)
        http_reply_error(reply, 503, "out of memory");
    return r == 0;
}

static void stream_put(struct http_call *call, json_t *body, struct http_reply *reply)
{
    struct rest_change *change;
    const char *key;
    json_t *value;

    if (!json_is_object(body)) {
        http_reply_error(reply, 422, "the body is not a JSON object of keys of [stream]");
        return;
    }
    change = rest_change_new(REST_PUT, call->stream);
    if (!http_change_ask(call, change, reply))
        return;
    json_object_foreach(body, key, value) {
        if (strcmp(key, REST_KEY_ABOUT) == 0) {
            http_reply_error(reply, 400, "[stream %s] %s: unknown key", call->stream, key);
            return;
        }
        if (!json_is_null(value) && !key_put(rest_change_stream(change), key, value, reply))
            return;
    }
}

void http_streams_begin(struct http_call *call, const uint8_t *body, size_t len,
                        const struct http_config *config, struct http_reply *reply)
{
    struct asked a = {.call = call, .reply = reply};
    json_t *json;

    if (call->endpoint == HTTP_STREAM_DELETE) {
        config->look(config->ctx, on_delete, &a);
    } else if (call->endpoint == HTTP_STREAM_PUT) {
        json = json_loadb((const char *)body, len, JSON_REJECT_DUPLICATES, NULL);
        stream_put(call, json, reply);
        json_decref(json);
    } else {
        http_call_ask(call, REQUEST_STATUS, HTTP_STATUS_TIMEOUT_S);
    }
}

void http_streams_next(struct http_call *call, const struct http_answered *answered,
                       const struct http_config *config, struct http_reply *reply)
{
    struct asked a = {call, answered->status, reply};

    if (call->deletes) {
        if (http_delete_next(call, answered, reply) && reply->status == 0)
            http_reply_json(reply, 200, json_pack("{s:b}", "deleted", 1));
    } else if (answered->result != 0) {
        http_change_failed(call, answered, reply);
    } else if (call->kind == REQUEST_CONTROL) {
        http_call_ask(call, REQUEST_STATUS, HTTP_STATUS_TIMEOUT_S);
    } else {
        config->look(config->ctx, call->endpoint == HTTP_STREAM_LIST ? on_list : on_get, &a);
    }
}
