/*
 * request: text of an outgoing HTTP request, in one bounded block.
 * Owns:   see the header.
 * Thread: any, one struct by one thread at a time.
 */
#include "sink/request.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <openssl/crypto.h>

#include "base/invariant.h"

static void failed(struct request *r, int err)
{
    if (r->result == 0)
        r->result = err;
}

void request_start(struct request *r, const char *method)
{
    r->method = method;
    r->url = r->text;
    r->headers_count = 0;
    r->result = 0;
    r->len = 0;
    r->text[0] = '\0';
}

static void url_char(struct request *r, char c)
{
    INVARIANT(r->headers_count == 0);
    if (r->len + 1 >= REQUEST_TEXT_BYTES) {
        failed(r, -ENAMETOOLONG);
        return;
    }
    r->text[r->len++] = c;
    r->text[r->len] = '\0';
}

void request_url(struct request *r, const char *text)
{
    for (; *text != '\0'; text++)
        url_char(r, *text);
}

void request_url_encoded(struct request *r, const char *text, const char *keep)
{
    static const char digits[] = "0123456789ABCDEF";
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                "0123456789-._~";

    for (; *text != '\0'; text++) {
        if (strchr(plain, *text) != NULL || strchr(keep, *text) != NULL) {
            url_char(r, *text);
            continue;
        }
        url_char(r, '%');
        url_char(r, digits[(unsigned char)*text >> 4]);
        url_char(r, digits[(unsigned char)*text & 15]);
    }
}

/* Where a header of that name has its value, or NULL: no room. */
static char *header_begin(struct request *r, const char *name)
{
    struct request_header *h = &r->headers[r->headers_count];
    uint32_t at = r->len + 1;
    size_t len = strlen(name);

    if (r->headers_count == REQUEST_HEADERS_MAX || len >= REQUEST_NAME_BYTES
        || len + 2 > REQUEST_TEXT_BYTES - at)
        return NULL;
    for (size_t i = 0; i <= len; i++)
        r->text[at + i] = name[i] >= 'A' && name[i] <= 'Z' ? (char)(name[i] - 'A' + 'a') : name[i];
    h->name = r->text + at;
    h->value = r->text + at + len + 1;
    return r->text + at + len + 1;
}

void request_header(struct request *r, const char *name, const char *fmt, ...)
{
    char *value = header_begin(r, name);
    size_t room = value != NULL ? (size_t)(r->text + sizeof(r->text) - value) : 0;
    va_list args;
    int len = 0;

    if (value != NULL) {
        va_start(args, fmt);
        len = vsnprintf(value, room, fmt, args);
        va_end(args);
    }
    if (value == NULL || len < 0 || (size_t)len >= room) {
        failed(r, -ENAMETOOLONG);
        return;
    }
    if (value[strcspn(value, "\r\n")] != '\0') {
        failed(r, -EINVAL);
        return;
    }
    r->len = (uint32_t)(value - r->text) + (uint32_t)len;
    r->headers_count++;
}

const char *request_header_find(const struct request *r, const char *name)
{
    for (uint32_t i = 0; i < r->headers_count; i++)
        if (strcmp(r->headers[i].name, name) == 0)
            return r->headers[i].value;
    return NULL;
}

int request_result(const struct request *r, struct errmsg *err)
{
    if (r->result == -ENAMETOOLONG)
        return errmsg_set(err, r->result, "URL and headers are larger than %d bytes or %d headers",
                          REQUEST_TEXT_BYTES, REQUEST_HEADERS_MAX);
    if (r->result != 0)
        return errmsg_set(err, r->result, "a header holds a line end");
    return 0;
}

void request_clear(struct request *r)
{
    OPENSSL_cleanse(r->text, sizeof(r->text)); /* all of it: what did not fit is beyond len */
    request_start(r, "");
}

const char *request_reply_header(const struct reply *reply, const char *name)
{
    for (uint32_t i = 0; i < reply->headers_count; i++)
        if (strcasecmp(reply->headers[i].name, name) == 0)
            return reply->headers[i].value;
    return NULL;
}
