/*
 * sigv4: the canonical request goes into the hash piece by piece, so that a session token in it is
 * copied nowhere.
 *
 * Owns:   a hash context within a call.
 * Thread: one at a time for each struct.
 */
#include "sink/sigv4.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "base/bytes.h"
#include "base/invariant.h"

#define ALGORITHM "AWS4-HMAC-SHA256"

enum {
    NAMES_BYTES = REQUEST_HEADERS_MAX * REQUEST_NAME_BYTES,
    SCOPE_BYTES = SIGV4_DAY_BYTES + 2 * SIGV4_NAME_BYTES + sizeof("/aws4_request")
};

/* A run of bytes in somebody else's text. */
struct span {
    const char *at;
    size_t len;
};

struct canonical {
    EVP_MD_CTX *hash;               /* owned */
    bool failed;
};

struct url_parts {
    struct span path, query;
};

struct parameter {
    struct span name, value;
};

int sigv4_init(struct sigv4 *s, const char *region, const char *service, struct errmsg *err)
{
    memset(s, 0, sizeof(*s));
    if (region[0] == '\0' || strlen(region) >= sizeof(s->region))
        return errmsg_set(err, -EINVAL, "region '%s': 1 to %zu characters", region,
                          sizeof(s->region) - 1);
    INVARIANT(strlen(service) < sizeof(s->service));
    memcpy(s->region, region, strlen(region) + 1);
    memcpy(s->service, service, strlen(service) + 1);
    s->path_as_it_is = s->content_sha256 = strcmp(service, "s3") == 0;
    return 0;
}

void sigv4_fini(struct sigv4 *s)
{
    OPENSSL_cleanse(s, sizeof(*s));
}

int sigv4_hash(const void *data, size_t len, char ret_hex[static SIGV4_HEX_BYTES])
{
    uint8_t hash[SIGV4_SHA256_BYTES];

    if (EVP_Digest(data, len, hash, NULL, EVP_sha256(), NULL) != 1)
        return -EIO;
    bytes_hex(ret_hex, hash, sizeof(hash));
    return 0;
}

void sigv4_date(uint64_t utc_s, char ret_date[static SIGV4_DATE_BYTES])
{
    time_t seconds = (time_t)utc_s;
    struct tm tm;

    INVARIANT(gmtime_r(&seconds, &tm) != NULL && tm.tm_year < 8100);
    INVARIANT(strftime(ret_date, SIGV4_DATE_BYTES, "%Y%m%dT%H%M%SZ", &tm) == SIGV4_DATE_BYTES - 1);
}

/* ------------------------------------------------------------------------ canonical request */

static void put(struct canonical *c, const char *at, size_t len)
{
    if (len > 0 && EVP_DigestUpdate(c->hash, at, len) != 1)
        c->failed = true;
}

static void put_text(struct canonical *c, const char *text)
{
    put(c, text, strlen(text));
}

static void put_char(struct canonical *c, char byte)
{
    put(c, &byte, 1);
}

/* Path and query of "scheme://host/path?query". */
static int url_split(const char *url, struct url_parts *ret_parts)
{
    const char *at = strstr(url, "://");

    if (at == NULL)
        return -EINVAL;
    at += 3;
    at += strcspn(at, "/?");
    ret_parts->path = (struct span){at, strcspn(at, "?")};
    at += ret_parts->path.len;
    at += *at == '?';
    ret_parts->query = (struct span){at, strlen(at)};
    return 0;
}

static void put_encoded(struct canonical *c, struct span text)
{
    char hex[4];

    for (size_t i = 0; i < text.len; i++) {
        unsigned char byte = (unsigned char)text.at[i];

        if ((byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z')
            || (byte >= 'a' && byte <= 'z') || strchr("-._~", byte) != NULL) {
            put_char(c, (char)byte);
            continue;
        }
        (void)snprintf(hex, sizeof(hex), "%%%02X", byte);
        put(c, hex, 3);
    }
}

/* Without "." and empty segments, each ".." takes the one before along. 0 or -E2BIG. */
static int put_normalized(struct canonical *c, struct span path)
{
    struct span kept[SIGV4_SEGMENTS_MAX];
    size_t count = 0, len;
    const char *at = path.at, *end = path.at + path.len;

    for (; at < end; at += len + 1) {
        const char *slash = memchr(at, '/', (size_t)(end - at));

        len = slash != NULL ? (size_t)(slash - at) : (size_t)(end - at);
        if (len == 0 || (len == 1 && at[0] == '.'))
            continue;
        if (len == 2 && at[0] == '.' && at[1] == '.') {
            count -= count > 0;
            continue;
        }
        if (count == SIGV4_SEGMENTS_MAX)
            return -E2BIG;
        kept[count++] = (struct span){at, len};
    }
    for (size_t i = 0; i < count; i++) {
        put_char(c, '/');
        put_encoded(c, kept[i]);
    }
    if (count == 0 || end[-1] == '/')
        put_char(c, '/');
    return 0;
}

static int put_path(const struct sigv4 *s, struct canonical *c, struct span path)
{
    if (!s->path_as_it_is)
        return put_normalized(c, path);
    if (path.len == 0)
        put_char(c, '/');
    put(c, path.at, path.len);
    return 0;
}

static int span_compare(struct span a, struct span b)
{
    int order = memcmp(a.at, b.at, a.len < b.len ? a.len : b.len);

    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

static bool parameter_after(const struct parameter *a, const struct parameter *b)
{
    int order = span_compare(a->name, b->name);

    return order != 0 ? order > 0 : span_compare(a->value, b->value) > 0;
}

/* Parameters by name, then by value; each with its "=". 0 or -E2BIG. */
static int put_query(struct canonical *c, struct span query)
{
    struct parameter all[SIGV4_PARAMETERS_MAX], one;
    const char *at = query.at, *end = query.at + query.len;
    size_t count = 0, i;

    for (; at < end; at = one.value.at + one.value.len + 1) {
        size_t len = strcspn(at, "&");
        const char *equals = memchr(at, '=', len);

        one.name = (struct span){at, equals != NULL ? (size_t)(equals - at) : len};
        one.value = (struct span){equals != NULL ? equals + 1 : at + len, 0};
        one.value.len = (size_t)(at + len - one.value.at);
        if (count == SIGV4_PARAMETERS_MAX)
            return -E2BIG;
        for (i = count++; i > 0 && parameter_after(&all[i - 1], &one); i--)
            all[i] = all[i - 1];
        all[i] = one;
    }
    for (i = 0; i < count; i++) {
        if (i > 0)
            put_char(c, '&');
        put(c, all[i].name.at, all[i].name.len);
        put_char(c, '=');
        put(c, all[i].value.at, all[i].value.len);
    }
    return 0;
}

/* Without blanks around it, and one for several within. */
static void put_header_value(struct canonical *c, const char *value)
{
    static const char blanks[] = " \t";
    bool first = true;

    for (;;) {
        size_t len;

        value += strspn(value, blanks);
        len = strcspn(value, blanks);
        if (len == 0)
            return;
        if (!first)
            put_char(c, ' ');
        put(c, value, len);
        value += len;
        first = false;
    }
}

/* Order by name; equal names stay in their order. */
static void headers_sort(const struct request *r, uint8_t order[static REQUEST_HEADERS_MAX])
{
    for (uint32_t i = 0, k; i < r->headers_count; i++) {
        for (k = i; k > 0 && strcmp(r->headers[order[k - 1]].name, r->headers[i].name) > 0; k--)
            order[k] = order[k - 1];
        order[k] = (uint8_t)i;
    }
}

/* Does the header at that place of the order go on with the one before it? */
static bool name_again(const struct request *r, const uint8_t *order, uint32_t i)
{
    return i > 0 && strcmp(r->headers[order[i - 1]].name, r->headers[order[i]].name) == 0;
}

static void put_headers(struct canonical *c, const struct request *r, const uint8_t *order)
{
    for (uint32_t i = 0; i < r->headers_count; i++) {
        if (name_again(r, order, i)) {
            put_char(c, ',');
        } else {
            if (i > 0)
                put_char(c, '\n');
            put_text(c, r->headers[order[i]].name);
            put_char(c, ':');
        }
        put_header_value(c, r->headers[order[i]].value);
    }
    put_text(c, "\n\n");
}

/* "host;x-amz-date" */
static void names_signed(const struct request *r, char ret_names[static NAMES_BYTES])
{
    uint8_t order[REQUEST_HEADERS_MAX];
    size_t len = 0;

    headers_sort(r, order);
    ret_names[0] = '\0';
    for (uint32_t i = 0; i < r->headers_count; i++)
        if (!name_again(r, order, i))
            len += (size_t)snprintf(ret_names + len, NAMES_BYTES - len, "%s%s", i > 0 ? ";" : "",
                                    r->headers[order[i]].name);
}

static int canonical_put(const struct sigv4 *s, struct canonical *c, const struct request *r,
                         const char *payload)
{
    char names[NAMES_BYTES];
    uint8_t order[REQUEST_HEADERS_MAX];
    struct url_parts url;
    int res = url_split(r->url, &url);

    if (res != 0)
        return res;
    headers_sort(r, order);
    names_signed(r, names);
    put_text(c, r->method);
    put_char(c, '\n');
    res = put_path(s, c, url.path);
    put_char(c, '\n');
    if (res == 0)
        res = put_query(c, url.query);
    put_char(c, '\n');
    put_headers(c, r, order);
    put_text(c, names);
    put_char(c, '\n');
    put_text(c, payload);
    return res;
}

/* Hash of the canonical request, in hex. */
static int canonical_hash(const struct sigv4 *s, const struct request *r, const char *payload,
                          char ret_hex[static SIGV4_HEX_BYTES])
{
    struct canonical c = {.hash = EVP_MD_CTX_new()};
    uint8_t hash[SIGV4_SHA256_BYTES];
    int res;

    if (c.hash == NULL)
        return -ENOMEM;
    c.failed = EVP_DigestInit_ex(c.hash, EVP_sha256(), NULL) != 1;
    res = canonical_put(s, &c, r, payload);
    if (res == 0 && (c.failed || EVP_DigestFinal_ex(c.hash, hash, NULL) != 1))
        res = -EIO;
    EVP_MD_CTX_free(c.hash);
    if (res == 0)
        bytes_hex(ret_hex, hash, sizeof(hash));
    return res;
}

/* ---------------------------------------------------------------------------------- signature */

static int hmac(const void *key, size_t key_len, const char *text,
                uint8_t ret[static SIGV4_SHA256_BYTES])
{
    return HMAC(EVP_sha256(), key, (int)key_len, (const uint8_t *)text, strlen(text), ret, NULL)
           != NULL ? 0 : -EIO;
}

/* secret -> day -> region -> service -> end, each the key of the next. */
static int key_derive(struct sigv4 *s, const char *secret_key)
{
    char first[4 + SIGV4_SECRET_MAX + 1];
    const char *then[] = {s->region, s->service, "aws4_request"};
    int res;

    (void)snprintf(first, sizeof(first), "AWS4%s", secret_key);
    res = hmac(first, strlen(first), s->day, s->key);
    OPENSSL_cleanse(first, sizeof(first));
    for (size_t i = 0; res == 0 && i < sizeof(then) / sizeof(then[0]); i++)
        res = hmac(s->key, sizeof(s->key), then[i], s->key);
    return res;
}

/* The derived key is the one of this day and secret, or made. */
static int key_ready(struct sigv4 *s, const char *secret_key, const char *date)
{
    uint8_t secret_sha256[SIGV4_SHA256_BYTES];
    int res;

    if (strlen(secret_key) > SIGV4_SECRET_MAX)
        return -ENAMETOOLONG;
    if (EVP_Digest(secret_key, strlen(secret_key), secret_sha256, NULL, EVP_sha256(), NULL) != 1)
        return -EIO;
    if (memcmp(s->day, date, sizeof(s->day) - 1) == 0
        && CRYPTO_memcmp(s->secret_sha256, secret_sha256, sizeof(secret_sha256)) == 0)
        return 0;
    memcpy(s->day, date, sizeof(s->day) - 1);
    memcpy(s->secret_sha256, secret_sha256, sizeof(secret_sha256));
    res = key_derive(s, secret_key);
    if (res != 0)
        s->day[0] = '\0';
    return res;
}

/* "20150830/us-east-1/service/aws4_request" */
static void scope_format(const struct sigv4 *s, const char *date, char ret[static SCOPE_BYTES])
{
    (void)snprintf(ret, SCOPE_BYTES, "%.8s/%s/%s/aws4_request", date, s->region, s->service);
}

static int signature(struct sigv4 *s, const char *secret_key, const char *date,
                     const char *payload, const struct request *r, char *ret_hex)
{
    char hash[SIGV4_HEX_BYTES], scope[SCOPE_BYTES];
    char text[sizeof(ALGORITHM) + SIGV4_DATE_BYTES + SCOPE_BYTES + SIGV4_HEX_BYTES];
    uint8_t mac[SIGV4_SHA256_BYTES];
    int res = key_ready(s, secret_key, date);

    if (res == 0)
        res = canonical_hash(s, r, payload, hash);
    if (res != 0)
        return res;
    scope_format(s, date, scope);
    (void)snprintf(text, sizeof(text), ALGORITHM "\n%s\n%s\n%s", date, scope, hash);
    res = hmac(s->key, sizeof(s->key), text, mac);
    if (res == 0)
        bytes_hex(ret_hex, mac, sizeof(mac));
    return res;
}

int sigv4_signature(struct sigv4 *s, const char *secret_key, const char *date, const char *payload,
                    const struct request *r, char ret_hex[static SIGV4_HEX_BYTES],
                    struct errmsg *err)
{
    int res = request_result(r, err);

    INVARIANT(strlen(date) == SIGV4_DATE_BYTES - 1);
    if (res != 0)
        return res;
    if (request_header_find(r, "host") == NULL)
        return errmsg_set(err, -EINVAL, "cannot sign: no Host header");
    res = signature(s, secret_key, date, payload, r, ret_hex);
    return res == 0 ? 0 : errmsg_set_errno(err, res, "cannot sign");
}

int sigv4_sign(struct sigv4 *s, const struct sigv4_credentials *credentials, uint64_t utc_s,
               const char *payload, struct request *r, struct errmsg *err)
{
    char date[SIGV4_DATE_BYTES], hex[SIGV4_HEX_BYTES], names[NAMES_BYTES], scope[SCOPE_BYTES];
    int res;

    sigv4_date(utc_s, date);
    request_header(r, "x-amz-date", "%s", date);
    if (s->content_sha256)
        request_header(r, "x-amz-content-sha256", "%s", payload);
    if (credentials->session_token != NULL && credentials->session_token[0] != '\0')
        request_header(r, "x-amz-security-token", "%s", credentials->session_token);
    res = sigv4_signature(s, credentials->secret_key, date, payload, r, hex, err);
    if (res != 0)
        return res;
    names_signed(r, names);
    scope_format(s, date, scope);
    request_header(r, "authorization", ALGORITHM " Credential=%s/%s, SignedHeaders=%s, "
                   "Signature=%s", credentials->access_key, scope, names, hex);
    return request_result(r, err);
}
