/*
 * s3_asked: see the header.
 * Owns:   nothing.
 * Thread: one.
 */
#include "support/s3_asked.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/evp.h>

#include "base/crc32c.h"
#include "base/invariant.h"
#include "sink/sigv4.h"

enum { SKEW_S_MAX = 15 * 60 };

static void decode(const char *from, size_t len, char *to, size_t cap)
{
    size_t n = 0;

    for (size_t i = 0; i < len; i++) {
        char hex[3] = {0};
        char c = from[i];

        if (c == '%') {
            memcpy(hex, from + i + 1, 2);
            c = (char)strtoul(hex, NULL, 16);
            i += 2;
        }
        INVARIANT(n + 1 < cap);
        to[n++] = c;
    }
    to[n] = '\0';
}

static bool query_find(const char *query, const char *name, char *to, size_t cap)
{
    const char *at = query;

    while ((at = strstr(at, name)) != NULL) {
        const char *value = at + strlen(name);

        if (at > query && (at[-1] == '?' || at[-1] == '&')) {
            if (*value == '=')
                decode(value + 1, strcspn(value + 1, "&"), to, cap);
            return true;
        }
        at = value;
    }
    return false;
}

void s3_asked_read(struct s3_asked *q)
{
    const char *path = strchr(strstr(q->r->url, "//") + 2, '/');
    const char *key = strchr(path + 1, '/'), *query = strchr(path, '?');
    const char *method = q->r->method;
    char part[16] = "0", none[8];

    query = query ? query : path + strlen(path);
    if (key && key < query)
        decode(key + 1, (size_t)(query - key - 1), q->key, sizeof(q->key));
    (void)query_find(query, "uploadId", q->upload_id, sizeof(q->upload_id));
    (void)query_find(query, "partNumber", part, sizeof(part));
    (void)query_find(query, "prefix", q->key, sizeof(q->key));
    q->part = (uint32_t)strtoul(part, NULL, 10);
    q->conditional = request_header_find(q->r, "if-none-match") != NULL;
    if (strcmp(method, "PUT") == 0)
        q->op = q->part > 0 ? S3_MODEL_PART : S3_MODEL_PUT;
    else if (strcmp(method, "POST") == 0)
        q->op = query_find(query, "uploads", none, 8) ? S3_MODEL_CREATE : S3_MODEL_COMPLETE;
    else
        q->op = strcmp(method, "HEAD") == 0 ? S3_MODEL_HEAD
                : strcmp(method, "GET") == 0 ? S3_MODEL_LIST : S3_MODEL_ABORT;
}

static uint64_t signed_at(const struct request *r)
{
    const char *date = request_header_find(r, "x-amz-date");
    struct tm tm = {0};

    INVARIANT(date && request_header_find(r, "authorization") && request_header_find(r, "host"));
    INVARIANT(sscanf(date, "%4d%2d%2dT%2d%2d%2dZ", &tm.tm_year, &tm.tm_mon, &tm.tm_mday,
                     &tm.tm_hour, &tm.tm_min, &tm.tm_sec) == 6);
    tm.tm_year -= 1900;
    tm.tm_mon--;
    return (uint64_t)timegm(&tm);
}

/* What is said of the body is true. */
static bool body_is(const struct s3_asked *q)
{
    const char *crc = request_header_find(q->r, "x-amz-checksum-crc32c");
    const char *sha = request_header_find(q->r, "x-amz-content-sha256");
    uint32_t value = crc32c(0, q->body, q->len);
    uint8_t big[4] = {(uint8_t)(value >> 24), (uint8_t)(value >> 16), (uint8_t)(value >> 8),
                      (uint8_t)value};
    char text[SIGV4_HEX_BYTES];

    INVARIANT(sha);
    (void)EVP_EncodeBlock((uint8_t *)text, big, 4);
    if (crc && strcmp(crc, text) != 0)
        return false;
    return strcmp(sha, SIGV4_UNSIGNED_PAYLOAD) == 0
           || (sigv4_hash(q->body, q->len, text) == 0 && strcmp(sha, text) == 0);
}

bool s3_asked_refused(struct s3_asked *q)
{
    int64_t skew_s = (int64_t)signed_at(q->r) - (int64_t)q->utc_s;

    if (skew_s > SKEW_S_MAX || skew_s < -SKEW_S_MAX)
        s3_asked_error(q, 403, "RequestTimeTooSkewed");
    else if (!body_is(q))
        s3_asked_error(q, 400, "BadDigest");
    else
        return false;
    return true;
}

/* --- answers -------------------------------------------------------------------------------- */

void s3_asked_append(struct s3_asked *q, const void *data, size_t len)
{
    int r = bytes_append(&q->a->body, data, len);

    INVARIANT(r == 0);
}

void s3_asked_header(struct s3_asked *q, const char *name, const char *value)
{
    struct s3_model_answer *a = q->a;
    char *at = a->text + a->text_len;
    size_t len = strlen(name) + strlen(value) + 2;

    INVARIANT(a->text_len + len <= sizeof(a->text) && a->reply.headers_count < 24);
    memcpy(at, name, strlen(name) + 1);
    memcpy(at + strlen(name) + 1, value, strlen(value) + 1);
    a->headers[a->reply.headers_count++] = (struct request_header){at, at + strlen(name) + 1};
    a->text_len += len;
}

void s3_asked_status(struct s3_asked *q, unsigned status)
{
    struct s3_model_answer *a = q->a;
    time_t utc_s = (time_t)q->utc_s;
    char date[64];
    struct tm tm;

    bytes_clear(&a->body);
    a->text_len = 0;
    a->reply = (struct reply){.status = status, .headers = a->headers};
    (void)gmtime_r(&utc_s, &tm);
    (void)strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", &tm);
    s3_asked_header(q, "Date", date);
}

void s3_asked_text(struct s3_asked *q, unsigned status, const char *text)
{
    s3_asked_status(q, status);
    if (q->op != S3_MODEL_HEAD)
        s3_asked_append(q, text, strlen(text));
}

void s3_asked_error(struct s3_asked *q, unsigned status, const char *code)
{
    char text[256];

    (void)snprintf(text, sizeof(text), "<?xml version=\"1.0\"?><Error><Code>%s</Code><Message>"
                   "m</Message><RequestId>R</RequestId></Error>", code);
    s3_asked_text(q, status, text);
}
