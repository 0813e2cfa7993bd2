/*
 * http_reply: JSON bodies, and errors in two shapes.
 *
 * Owns:   nothing.
 * Thread: HTTP.
 */
#include "control/http_reply.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TYPE_JSON     "application/json"
#define TYPE_FIREHOSE "application/x-amz-json-1.1"

void http_reply_free(struct http_reply *reply)
{
    free(reply->body);
    *reply = (struct http_reply){.firehose = reply->firehose};
}

void http_reply_set(struct http_reply *reply, unsigned status, const char *content_type,
                    char *body, size_t len)
{
    http_reply_free(reply);
    reply->status = status;
    reply->content_type = content_type;
    reply->body = body;
    reply->body_len = len;
}

void http_reply_json(struct http_reply *reply, unsigned status, json_t *json)
{
    char *text = json == NULL ? NULL : json_dumps(json, JSON_ENCODE_ANY);

    json_decref(json);
    http_reply_set(reply, text == NULL ? 500 : status, reply->firehose ? TYPE_FIREHOSE : TYPE_JSON,
                   text, text == NULL ? 0 : strlen(text));
}

/* What a status that is no operation's own is called there. */
static const char *fault_type(unsigned status)
{
    switch (status) {
    case 401:
    case 403:
        return "AccessDeniedException";
    case 413:
        return "InvalidArgumentException";
    case 415:
    case 422:
        return "SerializationException";
    default:
        return status < 500 ? "InvalidArgumentException" : "ServiceUnavailableException";
    }
}

static void fault_set(struct http_reply *reply, unsigned status, const char *type,
                      const char *text)
{
    json_t *json = reply->firehose ? json_pack("{s:s, s:s}", "__type", type, "message", text)
                                   : json_pack("{s:s}", "detail", text);

    http_reply_json(reply, status, json);
    reply->retry_after = status == 503;
    reply->authenticate = status == 401;
}

void http_reply_error(struct http_reply *reply, unsigned status, const char *fmt, ...)
{
    char text[512];
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    fault_set(reply, status, fault_type(status), text);
}

void http_reply_fault(struct http_reply *reply, unsigned status, const char *type, const char *fmt,
                      ...)
{
    char text[512];
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    fault_set(reply, status, type, text);
}
