/*
 * http_change: see the header.
 *
 * Owns:   nothing.
 * Thread: HTTP.
 */
#include "control/http_change.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static const char *unit_of(const struct option *o)
{
    if (o == NULL)
        return "";
    switch (o->type) {
    case OPTION_TYPE_BYTES:
    case OPTION_TYPE_BYTES_OR_OFF:
        return "B";
    case OPTION_TYPE_TIME:
    case OPTION_TYPE_TIME_OR_OFF:
        return "s";
    default:
        return "";
    }
}

/* -1 and 0 are the same in all units. */
static int number_put(const struct option *o, const json_t *value, struct bytes *out)
{
    const char *unit = unit_of(o);
    double real = json_number_value(value);

    if (json_is_real(value) && strcmp(unit, "s") == 0 && fabs(real) < 1e12)
        return bytes_printf(out, "%lldms", (long long)llround(real * 1000));
    if (json_is_real(value))
        return bytes_printf(out, "%.17g", real);
    return bytes_printf(out, "%" JSON_INTEGER_FORMAT "%s", json_integer_value(value),
                        json_integer_value(value) > 0 ? unit : "");
}

static int list_put(const json_t *value, struct bytes *out)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < json_array_size(value); i++) {
        const char *item = json_string_value(json_array_get(value, i));

        if (item == NULL)
            return -EINVAL;
        if (i > 0)
            r = bytes_append_char(out, ',');
        if (r == 0)
            r = bytes_append_str(out, item);
    }
    return r;
}

int http_change_value(const struct option *o, const json_t *value, struct bytes *out)
{
    switch (json_typeof(value)) {
    case JSON_STRING:
        return bytes_append_str(out, json_string_value(value));
    case JSON_INTEGER:
    case JSON_REAL:
        return number_put(o, value, out);
    case JSON_TRUE:
    case JSON_FALSE:
        return bytes_append_str(out, json_is_true(value) ? "yes" : "no");
    case JSON_ARRAY:
        return list_put(value, out);
    default:
        return -EINVAL;
    }
}

int http_change_set(struct config_section *s, const char *key, const char *fmt, ...)
{
    char *text = NULL;
    va_list args;
    int r;

    va_start(args, fmt);
    r = vasprintf(&text, fmt, args);
    va_end(args);
    if (r < 0)
        return -ENOMEM;
    r = rest_file_set(s, key, text);
    explicit_bzero(text, strlen(text)); /* it may be a key */
    free(text);
    return r;
}

bool http_change_ask(struct http_call *call, struct rest_change *change,
                     struct http_reply *reply)
{
    if (change == NULL) {
        http_reply_error(reply, 503, "out of memory");
        return false;
    }
    call->change = change;
    http_call_ask(call, REQUEST_CONTROL, HTTP_CHANGE_TIMEOUT_S);
    return true;
}

void http_change_failed(const struct http_call *call, const struct http_answered *a,
                        struct http_reply *reply)
{
    switch (a->result) {
    case -EINVAL:
        http_reply_error(reply, 400, "%s", a->why);
        return;
    case -EPERM:
        http_reply_error(reply, 409, "stream '%s' is not changed here: it stands in the "
                         "configuration file, or was made by another part of the API",
                         call->stream);
        return;
    case -EEXIST:
        http_reply_error(reply, 409, "stream '%s' exists", call->stream);
        return;
    case -ENOENT:
        http_reply_error(reply, 404, "Stream not found: '%s'", call->stream);
        return;
    case -ESTALE:
        http_reply_error(reply, 409, "stream '%s' has just been changed", call->stream);
        return;
    case -EFBIG:
        http_reply_error(reply, 507, "%s", a->why);
        return;
    case -ETIMEDOUT:
        http_reply_error(reply, 504, "the agent has not answered in time; ask whether it has been "
                         "done");
        return;
    case -ESHUTDOWN:
        http_reply_error(reply, 503, "the agent is stopping");
        return;
    case -EAGAIN:
        http_reply_error(reply, 503, "too many requests wait for the agent");
        return;
    case -ENOMEM:
        http_reply_error(reply, 503, "out of memory");
        return;
    default:
        http_reply_error(reply, 500, "it cannot be kept: %s", a->why[0] != '\0'
                                                                  ? a->why
                                                                  : strerror(-a->result));
    }
}

/* ---- deleting ---- */

bool http_delete_begin(struct http_call *call, struct http_reply *reply)
{
    if (!http_change_ask(call, rest_change_new(REST_DELETE, call->stream), reply))
        return false;
    call->deletes = call->holds = true;
    http_call_ask(call, REQUEST_SEAL, HTTP_FLUSH_TIMEOUT_S);
    return true;
}

/* Events in the stream's books. */
static uint64_t accepted_of(const struct status *s, const char *stream)
{
    for (size_t i = 0; i < s->streams_count; i++)
        if (strcmp(s->streams[i].name, stream) == 0)
            return s->streams[i].accepted;
    return 0;
}

bool http_delete_next(struct http_call *call, const struct http_answered *a,
                      struct http_reply *reply)
{
    if (call->kind == REQUEST_FLUSH)    /* not delivered yet: it will be */
        return true;
    if (call->kind == REQUEST_SEAL && a->result == -ETIMEDOUT) {
        http_reply_error(reply, 503, "not all that was taken for stream '%s' could be sealed "
                         "within %d seconds; it was not deleted", call->stream,
                         HTTP_FLUSH_TIMEOUT_S);
        return true;
    }
    /* A stream that nothing has come for is not known yet. */
    if (a->result != 0 && !(call->kind == REQUEST_SEAL && a->result == -ENOENT)) {
        http_change_failed(call, a, reply);
        return true;
    }
    switch (call->kind) {
    case REQUEST_SEAL:
        http_call_ask(call, REQUEST_STATUS, HTTP_CHANGE_TIMEOUT_S);
        return false;
    case REQUEST_STATUS:
        call->change->accepted = accepted_of(a->status, call->stream);
        http_call_ask(call, REQUEST_CONTROL, HTTP_CHANGE_TIMEOUT_S);
        return false;
    default:
        call->holds = false;
        http_call_ask(call, REQUEST_FLUSH, HTTP_DELETE_TIMEOUT_S);
        return false;
    }
}
