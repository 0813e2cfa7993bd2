/*
 * http_mini: see the header. A body of the wrong shape is a 422, values that are not taken are 400.
 *
 * Owns:   nothing.
 * Thread: HTTP.
 */
#include "control/http_mini.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "control/file_roots.h"
#include "control/http_change.h"
#include "encode/column_text.h"

enum { SECONDS_MIN = 60, MEGABYTES_MIN = 1, COUNT_MIN = 10, LOOK_TIMEOUT_S = 1,
       TRIGGER_MAX = 1000000000 };

void http_mini_not_found(struct http_reply *reply)
{
    http_reply_error(reply, 404, "MiniFirehose not found");
}

/* ---- what a body says ---- */

/* Of one body, while a change is made of it. */
struct making {
    const struct config *config;
    struct rest_change *change;
    struct http_reply *reply;
    unsigned sink;              /* number of the next */
    struct bytes sinks;         /* their names */
};

static bool no_memory(struct http_reply *reply)
{
    http_reply_error(reply, 503, "out of memory");
    return false;
}

static bool malformed(struct http_reply *reply, const char *where, const char *key,
                      const char *wanted)
{
    http_reply_error(reply, 422, "%s%s: %s", where, key, wanted);
    return false;
}

/* 0; or what http_change_set() fails with becomes a reply. */
static bool set(struct making *m, const char *key, int r)
{
    if (r == -EINVAL)
        http_reply_error(m->reply, 400, "%s: it is too long, or has control characters", key);
    else if (r != 0)
        (void)no_memory(m->reply);
    return r == 0;
}

/* No other keys than these, but nulls. */
static bool keys_check(struct http_reply *reply, const char *where, json_t *object,
                       const char *const *known, size_t count)
{
    const char *key;
    json_t *value;

    if (!json_is_object(object)) {
        size_t len = strlen(where);     /* it ends in a point, where a key would follow */

        http_reply_error(reply, 422, "%.*s: an object is wanted", len > 0 ? (int)len - 1 : 0,
                         where);
        return false;
    }
    json_object_foreach(object, key, value) {
        size_t i = 0;

        while (i < count && strcmp(known[i], key) != 0)
            i++;
        if (i == count && !json_is_null(value)) {
            http_reply_error(reply, 422, "%s%.64s: unknown key", where, key);
            return false;
        }
    }
    return true;
}

/* A text, or `otherwise` (NULL: it must be there). False: reply is set. */
static bool text_get(struct http_reply *reply, const char *where, const json_t *object,
                     const char *key, const char *otherwise, const char **ret_text)
{
    const json_t *value = json_object_get(object, key);

    *ret_text = otherwise;
    if (value == NULL || json_is_null(value))
        return otherwise != NULL || malformed(reply, where, key, "field required");
    *ret_text = json_string_value(value);
    return *ret_text != NULL || malformed(reply, where, key, "a text is wanted");
}

/* One of the triggers, in what the agent counts (so many of a unit): from min on, or -1. */
static bool trigger_get(struct http_reply *reply, const json_t *body, const char *key,
                        int otherwise, int min, int64_t unit, int64_t *ret_value)
{
    const json_t *value = json_object_get(body, key);
    double number = value == NULL || json_is_null(value) ? otherwise : json_number_value(value);

    if (value != NULL && !json_is_null(value) && !json_is_number(value))
        return malformed(reply, "", key, "a number is wanted");
    if (number == -1) {
        *ret_value = -1;
        return true;
    }
    if (number < min) {
        http_reply_error(reply, 400, "%s must be at least %d, or -1 to turn it off", key, min);
        return false;
    }
    if (number > TRIGGER_MAX) {
        http_reply_error(reply, 400, "%s is out of range", key);
        return false;
    }
    if (unit == 1 && number != (double)(int64_t)number)
        return malformed(reply, "", key, "a whole number is wanted");
    *ret_value = (int64_t)(number * (double)unit);
    return true;
}

/* ---- sinks ---- */

static bool format_put(struct making *m, struct config_section *s, const char *where,
                       const json_t *config)
{
    static const char *const formats[] = {"json", "csv", "parquet"};
    const char *format, *filename;
    size_t i = 0;

    if (!text_get(m->reply, where, config, "output-format", "json", &format) ||
        !text_get(m->reply, where, config, "filename-strategy", "datetime", &filename))
        return false;
    while (i < 3 && strcmp(formats[i], format) != 0)
        i++;
    if (i == 3) {
        http_reply_error(m->reply, 400, "Unsupported output format '%.40s': csv, json and parquet "
                         "are supported", format);
        return false;
    }
    if (strcmp(filename, "datetime") != 0 && strcmp(filename, "epoch") != 0) {
        http_reply_error(m->reply, 400, "Unknown filename strategy '%.40s': datetime and epoch are "
                         "known", filename);
        return false;
    }
    return set(m, "output-format", rest_file_set(s, "format", format)) &&
           set(m, "filename-strategy", rest_file_set(s, "filename", filename));
}

/* Names of columns as the configuration writes them. */
static bool partitions_put(struct making *m, struct config_section *s, const char *where,
                           const json_t *config)
{
    const json_t *cols = json_object_get(config, "partition-cols");
    struct bytes text = BYTES_INIT;
    struct schema names;
    const char *cstr;
    int r = 0;

    schema_init(&names);
    if (cols != NULL && !json_is_null(cols) && !json_is_array(cols))
        return malformed(m->reply, where, "partition-cols", "a list of texts is wanted");
    for (size_t i = 0; r == 0 && i < json_array_size(cols); i++) {
        const json_t *col = json_array_get(cols, i);

        r = json_string_length(col) > 0
                ? schema_add(&names, json_string_value(col), json_string_length(col),
                             COLUMN_STRING)
                : -EINVAL;
    }
    if (r == 0)
        r = column_text_put_names(&names, &text);
    schema_fini(&names);
    cstr = r == 0 ? bytes_cstr(&text) : NULL;
    if (r == 0)
        r = cstr != NULL ? rest_file_set(s, "partition_by", cstr) : -ENOMEM;
    bytes_free(&text);
    if (r == -ENOMEM)
        return no_memory(m->reply);
    if (r == -EEXIST)
        http_reply_error(m->reply, 400, "%spartition-cols: a column stands there twice", where);
    else if (r != 0)
        (void)malformed(m->reply, where, "partition-cols", "a list of names of columns is wanted");
    return r == 0;
}

static bool local_put(struct making *m, struct config_section *s, const char *where,
                      json_t *config)
{
    static const char *const known[] = {"directory", "output-format", "partition-cols",
                                        "filename-strategy"};
    const char *directory;
    struct errmsg err;
    char *path;
    bool ok;

    if (!keys_check(m->reply, where, config, known, sizeof(known) / sizeof(known[0])) ||
        !text_get(m->reply, where, config, "directory", NULL, &directory))
        return false;
    if (file_roots_resolve(m->config, directory, &path, &err) != 0) {
        http_reply_error(m->reply, 400, "%s%s", where, err.text);
        return false;
    }
    ok = set(m, "directory", rest_file_set(s, "directory", path)) &&
         set(m, "type", rest_file_set(s, "type", "file"));
    free(path);
    return ok;
}

static bool s3_keys_put(struct making *m, struct config_section *s, const char *where,
                        json_t *config)
{
    static const char *const known[] = {"access-key", "secret-key", "endpoint-url", "region",
                                        "session-token"};
    static const char *const keys[] = {"access_key", "secret_key", "endpoint", "region",
                                       "session_token"};
    json_t *object = json_object_get(config, "s3-config");
    char inner[80];

    if (object == NULL || json_is_null(object))
        return true;
    (void)snprintf(inner, sizeof(inner), "%ss3-config.", where);
    if (!keys_check(m->reply, inner, object, known, sizeof(known) / sizeof(known[0])))
        return false;
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        const char *text;

        if (!text_get(m->reply, inner, object, known[i], "", &text) ||
            (text[0] != '\0' && !set(m, known[i], rest_file_set(s, keys[i], text))))
            return false;
    }
    return true;
}

static bool s3_put(struct making *m, struct config_section *s, const char *where, json_t *config)
{
    static const char *const known[] = {"bucket", "prefix", "output-format", "partition-cols",
                                        "filename-strategy", "s3-config"};
    const char *bucket, *prefix;

    return keys_check(m->reply, where, config, known, sizeof(known) / sizeof(known[0])) &&
           text_get(m->reply, where, config, "bucket", NULL, &bucket) &&
           text_get(m->reply, where, config, "prefix", "", &prefix) &&
           set(m, "type", rest_file_set(s, "type", "s3")) &&
           set(m, "bucket", rest_file_set(s, "bucket", bucket)) &&
           set(m, "prefix", rest_file_set(s, "prefix", prefix)) &&
           s3_keys_put(m, s, where, config);
}

/* {"sink", "sink-config"}, of the body itself or of its list. */
static bool sink_put(struct making *m, const json_t *from, const char *where)
{
    json_t *config = json_object_get(from, "sink-config");
    char name[STREAM_NAME_MAX + 16], inner[40];
    struct config_section *s;
    const char *type;
    bool local;

    if (!text_get(m->reply, where, from, "sink", NULL, &type))
        return false;
    local = strcmp(type, "local") == 0;
    if (!local && strcmp(type, "s3") != 0) {
        http_reply_error(m->reply, 400, "Unknown sink");
        return false;
    }
    (void)snprintf(inner, sizeof(inner), "%ssink-config.", where);
    if (config == NULL)
        return malformed(m->reply, where, "sink-config", "field required");
    (void)snprintf(name, sizeof(name), "%s~%u", m->change->stream, m->sink++);
    s = rest_file_add(m->change->sections, "sink", name);
    if (s == NULL || (m->sinks.len > 0 && bytes_append_char(&m->sinks, ',') != 0) ||
        bytes_append_str(&m->sinks, name) != 0)
        return no_memory(m->reply);
    return (local ? local_put(m, s, inner, config) : s3_put(m, s, inner, config)) &&
           format_put(m, s, inner, config) && partitions_put(m, s, inner, config) &&
           set(m, "layout", rest_file_set(s, "layout", "flat"));
}

static bool sinks_put(struct making *m, const json_t *body)
{
    static const char *const known[] = {"sink", "sink-config"};
    const json_t *list = json_object_get(body, "sinks");
    const json_t *one = json_object_get(body, "sink");

    if (list == NULL || json_is_null(list))
        return sink_put(m, body, "");
    if (!json_is_array(list) || json_array_size(list) == 0 || (one != NULL && !json_is_null(one)))
        return malformed(m->reply, "", "sinks", "a list of sinks is wanted, and no other beside "
                         "it");
    for (size_t i = 0; i < json_array_size(list); i++) {
        json_t *item = json_array_get(list, i);
        char where[32];

        (void)snprintf(where, sizeof(where), "sinks.%zu.", i);
        if (!keys_check(m->reply, where, item, known, sizeof(known) / sizeof(known[0])) ||
            !sink_put(m, item, where))
            return false;
    }
    return true;
}

/* ---- the stream ---- */

static bool triggers_put(struct making *m, const json_t *body)
{
    struct config_section *s = rest_change_stream(m->change);
    int64_t ms, bytes, count;

    if (!trigger_get(m->reply, body, "buffer-time", 60, SECONDS_MIN, 1000, &ms) ||
        !trigger_get(m->reply, body, "buffer-size", 1, MEGABYTES_MIN, 1048576, &bytes) ||
        !trigger_get(m->reply, body, "buffer-count", 10, COUNT_MIN, 1, &count))
        return false;
    if (ms < 0 && bytes < 0 && count < 0) {
        http_reply_error(m->reply, 400, "buffer-time, buffer-size and buffer-count are all -1: "
                         "nothing would ever be written; turn one on");
        return false;
    }
    return set(m, "buffer-time", http_change_set(s, "buffer_time", "%" PRId64 "%s", ms,
                                                 ms < 0 ? "" : "ms")) &&
           set(m, "buffer-size", http_change_set(s, "buffer_size", "%" PRId64 "%s", bytes,
                                                 bytes < 0 ? "" : "B")) &&
           set(m, "buffer-count", http_change_set(s, "buffer_count", "%" PRId64, count));
}

/* What [stream *] says is for others: its files are as the request says, and right below. */
static bool stream_put(struct making *m)
{
    static const char *const none[] = {"prefix", "partition_by", "columns", "fields",
                                       "drop_fields", "add_fields"};
    struct config_section *s = rest_change_stream(m->change);
    const char *sinks = bytes_cstr(&m->sinks);

    if (sinks == NULL)
        return no_memory(m->reply);
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
        if (!set(m, none[i], rest_file_set(s, none[i], "")))
            return false;
    return set(m, "sinks", rest_file_set(s, "sinks", sinks)) &&
           set(m, "compression", rest_file_set(s, "compression", "none")) &&
           set(m, "compression", rest_file_set(s, "compression_level", "-1"));
}

struct asked {
    struct http_call *call;
    const json_t *body;
    struct http_reply *reply;
};

static void on_create(void *ctx, const struct config *config)
{
    struct asked *a = ctx;
    struct making m = {.config = config, .reply = a->reply, .sinks = BYTES_INIT,
                       .sink = rest_sink_number(config, a->call->stream)};
    enum rest_maker maker = rest_maker_of(config_find_stream(config, a->call->stream));

    if (maker == REST_MAKER_MINI) {
        http_reply_error(a->reply, 400, "MiniFirehose already exists");
        return;
    }
    if (maker != REST_MAKER_NONE) {
        http_reply_error(a->reply, 409, "stream '%s' exists, and is no MiniFirehose",
                         a->call->stream);
        return;
    }
    m.change = rest_change_new(REST_CREATE, a->call->stream);
    if (http_change_ask(a->call, m.change, a->reply) && triggers_put(&m, a->body) &&
        sinks_put(&m, a->body))
        (void)stream_put(&m);
    bytes_free(&m.sinks);
}

static void create_begin(struct http_call *call, json_t *body, const struct http_config *config,
                         struct http_reply *reply)
{
    static const char *const known[] = {"name", "buffer-time", "buffer-size", "buffer-count",
                                        "sink", "sink-config", "sinks"};
    struct asked a = {call, body, reply};
    const char *name;

    if (!json_is_object(body)) {
        http_reply_error(reply, 422, "the body is not a JSON object");
        return;
    }
    if (!keys_check(reply, "", body, known, sizeof(known) / sizeof(known[0])) ||
        !text_get(reply, "", body, "name", NULL, &name))
        return;
    if (!stream_name_valid(name, strlen(name))) {
        http_reply_error(reply, 400, "name: 1 to %d of A-Z a-z 0-9 _ . - are wanted, the first a "
                         "letter or digit", STREAM_NAME_MAX);
        return;
    }
    memcpy(call->stream, name, strlen(name) + 1);
    config->look(config->ctx, on_create, &a);
}

/* ---- the others ---- */

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void on_list(void *ctx, const struct config *config)
{
    struct asked *a = ctx;
    const char **names = calloc(config->streams_count + 1, sizeof(*names));
    json_t *list = json_array();
    size_t count = 0;

    if (names == NULL) {
        json_decref(list);
        (void)no_memory(a->reply);
        return;
    }
    for (size_t i = 0; i < config->streams_count; i++)
        if (rest_maker_of(&config->streams[i]) == REST_MAKER_MINI)
            names[count++] = config->streams[i].name;
    qsort(names, count, sizeof(*names), by_name);
    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, json_string(names[i]));
    free(names);
    http_reply_json(a->reply, 200, list);
}

static void on_one(void *ctx, const struct config *config)
{
    struct asked *a = ctx;

    if (rest_maker_of(config_find_stream(config, a->call->stream)) != REST_MAKER_MINI)
        http_mini_not_found(a->reply);
    else if (a->call->endpoint == HTTP_MINI_STATS)
        http_call_ask(a->call, REQUEST_LOOK, LOOK_TIMEOUT_S);
    else if (a->call->endpoint == HTTP_MINI_DELETE)
        (void)http_delete_begin(a->call, a->reply);
}

void http_mini_begin(struct http_call *call, const uint8_t *body, size_t len,
                     const struct http_config *config, struct http_reply *reply)
{
    struct asked a = {call, NULL, reply};
    json_t *json;

    if (call->endpoint == HTTP_MINI_CREATE) {
        json = json_loadb((const char *)body, len, JSON_REJECT_DUPLICATES, NULL);
        create_begin(call, json, config, reply);
        json_decref(json);
    } else {
        config->look(config->ctx, call->endpoint == HTTP_MINI_LIST ? on_list : on_one, &a);
    }
}

static void stats(const struct http_call *call, const struct status *status,
                  struct http_reply *reply)
{
    static const struct status_stream none;
    const struct status_stream *s = &none;

    for (size_t i = 0; i < status->streams_count; i++)
        if (strcmp(status->streams[i].name, call->stream) == 0)
            s = &status->streams[i];
    http_reply_json(reply, 200,
                    json_pack("{s:I, s:f, s:I, s:I, s:I, s:I}", "buffer-count",
                              (json_int_t)s->buffered, "buffer-size-in-mb",
                              (double)s->buffered_bytes / 1048576, "accepted",
                              (json_int_t)s->accepted, "delivered", (json_int_t)s->delivered,
                              "dropped", (json_int_t)s->dropped, "pending",
                              (json_int_t)s->pending));
}

static void said(struct http_reply *reply, const char *stream, const char *what)
{
    char text[STREAM_NAME_MAX + 40];

    (void)snprintf(text, sizeof(text), "MiniFirehose '%s' %s", stream, what);
    http_reply_json(reply, 200, json_pack("{s:s}", "message", text));
}

void http_mini_next(struct http_call *call, const struct http_answered *a,
                    struct http_reply *reply)
{
    if (call->deletes) {
        if (call->kind == REQUEST_CONTROL && a->result == -ENOENT)
            http_mini_not_found(reply);
        else if (http_delete_next(call, a, reply) && reply->status == 0)
            said(reply, call->stream, "deleted");
    } else if (call->kind == REQUEST_LOOK && (a->result == -ETIMEDOUT || a->result == -EAGAIN)) {
        /* Rings are not drained now: what is known without that. */
        http_call_ask(call, REQUEST_STATUS, HTTP_STATUS_TIMEOUT_S);
    } else if (a->result == -EEXIST) {
        http_reply_error(reply, 400, "MiniFirehose already exists");
    } else if (a->result != 0) {
        http_change_failed(call, a, reply);
    } else if (call->endpoint == HTTP_MINI_STATS) {
        stats(call, a->status, reply);
    } else {
        said(reply, call->stream, "created");
    }
}
