/*
 * http_sign: takes the Authorization header apart, signs what it names again and compares.
 *
 * Owns:   nothing.
 * Thread: any.
 */
#include "control/http_sign.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "sink/sigv4.h"

#define ALGORITHM "AWS4-HMAC-SHA256"

enum { FIELD_BYTES = 1024 };

struct authorization {
    char credential[FIELD_BYTES], names[FIELD_BYTES], signature[FIELD_BYTES];
    /* Of the credential, which is cut at its slashes. */
    const char *access_key, *day, *region, *service, *end;
};

static const char *header_find(const struct http_signed *request, const char *name)
{
    for (uint32_t i = 0; i < request->headers_count; i++)
        if (strcasecmp(request->headers[i].name, name) == 0)
            return request->headers[i].value;
    return NULL;
}

/* The value of NAME=VALUE in a list of such, separated by commas. */
static bool field_take(const char *at, const char *name, char ret_value[FIELD_BYTES])
{
    size_t len = strlen(name);

    while (*at != '\0') {
        at += strspn(at, ", ");
        if (strncmp(at, name, len) == 0 && at[len] == '=') {
            size_t value_len = strcspn(at + len + 1, ", ");

            (void)snprintf(ret_value, FIELD_BYTES, "%.*s", (int)value_len, at + len + 1);
            return value_len > 0 && value_len < FIELD_BYTES;
        }
        at += strcspn(at, ",");
    }
    return false;
}

static bool authorization_parse(const char *text, struct authorization *ret)
{
    const char **parts[] = {&ret->access_key, &ret->day, &ret->region, &ret->service, &ret->end};
    char *at = ret->credential;

    if (text == NULL || strncmp(text, ALGORITHM " ", strlen(ALGORITHM " ")) != 0)
        return false;
    text += strlen(ALGORITHM " ");
    if (!field_take(text, "Credential", ret->credential) ||
        !field_take(text, "SignedHeaders", ret->names) ||
        !field_take(text, "Signature", ret->signature))
        return false;
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        if (at == NULL)
            return false;
        *parts[i] = strsep(&at, "/");
    }
    return at == NULL;
}

/* Is it a date of the form that signatures have, and near enough? */
static bool date_good(const char *date, uint64_t utc_s)
{
    struct tm tm = {0};
    const char *end = strptime(date, "%Y%m%dT%H%M%SZ", &tm);
    int64_t skew;

    if (end == NULL || *end != '\0' || strlen(date) != SIGV4_DATE_BYTES - 1)
        return false;
    skew = (int64_t)timegm(&tm) - (int64_t)utc_s;
    return skew <= HTTP_SIGN_SKEW_S && skew >= -HTTP_SIGN_SKEW_S;
}

/* Into r all the headers that the signature names. 0, or -EINVAL with a text. */
static int headers_take(const struct http_signed *request, char *names, struct request *r,
                        struct errmsg *err)
{
    static const char *const needed[] = {"host", "x-amz-date", "x-amz-target"};
    char *name;

    while ((name = strsep(&names, ";")) != NULL) {
        bool found = false;

        if (request_header_find(r, name) != NULL)
            return errmsg_set(err, -EINVAL, "header %s is named twice", name);
        for (uint32_t i = 0; i < request->headers_count; i++) {
            if (strcasecmp(request->headers[i].name, name) != 0)
                continue;
            request_header(r, name, "%s", request->headers[i].value);
            found = true;
        }
        if (!found)
            return errmsg_set(err, -EINVAL, "a header is named as signed that is not there");
    }
    for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++)
        if (request_header_find(r, needed[i]) == NULL)
            return errmsg_set(err, -EINVAL, "header %s is not signed", needed[i]);
    return 0;
}

/* The payload's hash, which must be the one that is given. */
static int payload_hash(const struct http_signed *request, char ret_hex[static SIGV4_HEX_BYTES],
                        struct errmsg *err)
{
    const char *given = header_find(request, "x-amz-content-sha256");

    if (given != NULL && strncmp(given, "STREAMING-", 10) == 0)
        return errmsg_set(err, -EINVAL, "bodies in signed chunks (aws-chunked) are not taken");
    if (sigv4_hash(request->body, request->body_len, ret_hex) != 0)
        return errmsg_set(err, -EIO, "the body cannot be hashed");
    if (given != NULL && strcasecmp(given, ret_hex) != 0)
        return errmsg_set(err, -EINVAL, "x-amz-content-sha256 is not the body's hash");
    return 0;
}

static int signature_make(const struct http_signed *request, struct authorization *a,
                          const char *secret_key, const char *date, struct request *r,
                          char ret_hex[static SIGV4_HEX_BYTES], struct errmsg *err)
{
    char payload[SIGV4_HEX_BYTES];
    struct sigv4 s;
    int rc = payload_hash(request, payload, err);

    if (rc != 0)
        return rc;
    request_start(r, request->method);
    request_url(r, "http://host");
    request_url(r, request->path);
    rc = headers_take(request, a->names, r, err);
    if (rc == 0)
        rc = sigv4_init(&s, a->region, a->service, err);
    if (rc != 0)
        return rc;
    rc = sigv4_signature(&s, secret_key, date, payload, r, ret_hex, err);
    sigv4_fini(&s);
    return rc;
}

enum http_sign_result http_sign_check(const struct http_signed *request, const char *access_key,
                                      const char *secret_key, uint64_t utc_s, struct errmsg *err)
{
    const char *date = header_find(request, "x-amz-date");
    char hex[SIGV4_HEX_BYTES];
    struct authorization a;
    struct request r;

    if (!authorization_parse(header_find(request, "authorization"), &a)) {
        errmsg_set(err, 0, "the Authorization header is missing, or not " ALGORITHM);
        return HTTP_SIGN_MISSING;
    }
    if (strcmp(a.access_key, access_key) != 0) {
        errmsg_set(err, 0, "the access key is not the one of this endpoint");
        return HTTP_SIGN_KEY;
    }
    if (date == NULL || !date_good(date, utc_s)) {
        errmsg_set(err, 0, "X-Amz-Date is missing, malformed, or not within %d minutes of now",
                   HTTP_SIGN_SKEW_S / 60);
        return HTTP_SIGN_WRONG;
    }
    if (strncmp(a.day, date, 8) != 0 || a.day[8] != '\0' || strcmp(a.service, "firehose") != 0 ||
        strcmp(a.end, "aws4_request") != 0) {
        errmsg_set(err, 0, "the credential is not for this day and service firehose");
        return HTTP_SIGN_WRONG;
    }
    if (signature_make(request, &a, secret_key, date, &r, hex, err) != 0)
        return HTTP_SIGN_WRONG;
    if (strlen(a.signature) != SIGV4_HEX_BYTES - 1 ||
        CRYPTO_memcmp(a.signature, hex, SIGV4_HEX_BYTES - 1) != 0) {
        errmsg_set(err, 0, "the signature does not match");
        return HTTP_SIGN_WRONG;
    }
    return HTTP_SIGN_GOOD;
}
