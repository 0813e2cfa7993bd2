/*
 * s3_request: requests to S3.
 * Owns:   nothing.
 * Thread: any.
 */
#include "sink/s3_request.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <openssl/evp.h>

#include "base/invariant.h"
#include "sink/endpoint.h"

#define LOWER  "abcdefghijklmnopqrstuvwxyz"
#define DIGITS "0123456789"
#define UPPER  "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

enum { CRC32C_TEXT_BYTES = 9 };     /* base64 of 4 bytes, with NUL */

_Static_assert(S3_BUCKET_MAX + 1 + ENDPOINT_HOST_MAX < S3_URL_BYTES, "room for bucket and host");

/* ------------------------------------------------------------------------------------- bucket */

static int bucket_check(const struct s3_settings *set, struct errmsg *err)
{
    size_t len = strlen(set->bucket);

    if (len == 0)
        return errmsg_set(err, -EINVAL, "no bucket");
    if (len > S3_BUCKET_MAX || strspn(set->bucket, LOWER UPPER DIGITS ".-_") != len
        || strchr(".-_", set->bucket[0]) != NULL)
        return errmsg_set(err, -EINVAL, "bucket '%s': a name has letters, digits and .-_, a letter "
                          "or digit first", set->bucket);
    if (set->region[strspn(set->region, LOWER DIGITS "-")] != '\0')
        return errmsg_set(err, -EINVAL, "region '%s': small letters, digits and -", set->region);
    if (set->region[0] == '\0' && set->endpoint[0] == '\0')
        return errmsg_set(err, -EINVAL, "no region");
    return 0;
}

/* A certificate covers one label in front of the host's name, and that has small letters. */
static bool path_style(const struct s3_settings *set)
{
    if (set->path_style != S3_AUTO)
        return set->path_style == S3_YES;
    return set->endpoint[0] != '\0' || set->bucket[strspn(set->bucket, LOWER DIGITS "-")] != '\0';
}

bool s3_payload_signed(const struct s3_settings *set)
{
    if (set->signed_payload != S3_AUTO)
        return set->signed_payload == S3_YES;
    return strncmp(set->endpoint, "http://", 7) == 0;
}

int s3_bucket_init(struct s3_bucket *b, const struct s3_settings *set, struct errmsg *err)
{
    char aws[S3_URL_BYTES];
    struct endpoint e;
    const char *scheme;
    int res, len;

    memset(b, 0, sizeof(*b));
    b->set = *set;
    b->region = set->region[0] != '\0' ? set->region : "us-east-1";
    b->path_style = path_style(set);
    res = bucket_check(set, err);
    if (res != 0)
        return res;
    (void)snprintf(aws, sizeof(aws), "https://s3.%s.amazonaws.com%s", b->region,
                   strncmp(b->region, "cn-", 3) == 0 ? ".cn" : "");
    res = endpoint_parse(set->endpoint[0] != '\0' ? set->endpoint : aws, &e, err);
    if (res != 0)
        return res;
    b->signed_payload = s3_payload_signed(set);
    (void)snprintf(b->host, sizeof(b->host), "%s%s%s", b->path_style ? "" : set->bucket,
                   b->path_style ? "" : ".", e.host);
    scheme = e.tls ? "https" : "http";
    len = snprintf(b->url, sizeof(b->url), "%s://%s%.*s%s%s", scheme, b->host, (int)e.path_len,
                   e.path, b->path_style ? "/" : "", b->path_style ? set->bucket : "");
    if (len < 0 || (size_t)len >= sizeof(b->url))
        return errmsg_set(err, -EINVAL, "endpoint and bucket are too long");
    return 0;
}

int s3_parts(uint64_t object_bytes, uint64_t part_bytes, uint64_t *ret_part_bytes,
             uint32_t *ret_count)
{
    uint64_t least = (object_bytes + S3_PARTS_MAX - 1) / S3_PARTS_MAX;

    INVARIANT(part_bytes > 0 && part_bytes <= S3_PART_BYTES_MAX);
    if (object_bytes > S3_PARTS_MAX * S3_PART_BYTES_MAX)
        return -EFBIG;
    if (part_bytes < least)
        part_bytes = bytes_round_up(least, 1 << 20);
    *ret_part_bytes = part_bytes;
    *ret_count = (uint32_t)((object_bytes + part_bytes - 1) / part_bytes);
    *ret_count += *ret_count == 0;
    return 0;
}

/* ----------------------------------------------------------------------------------- requests */

static void begin(const struct s3_bucket *b, const char *method, const char *key,
                  struct request *r)
{
    request_start(r, method);
    request_url(r, b->url);
    if (key == NULL) {
        request_url(r, b->path_style ? "" : "/");
        return;
    }
    request_url(r, "/");
    request_url_encoded(r, key, "/");
}

static void query(struct request *r, const char *name, const char *value)
{
    request_url(r, name);
    request_url_encoded(r, value, "");
}

static void host(const struct s3_bucket *b, struct request *r)
{
    request_header(r, "host", "%s", b->host);
}

/* Big-endian, in base64. */
static void crc32c_format(uint32_t crc32c, char ret[static CRC32C_TEXT_BYTES])
{
    uint8_t at[4] = {(uint8_t)(crc32c >> 24), (uint8_t)(crc32c >> 16), (uint8_t)(crc32c >> 8),
                     (uint8_t)crc32c};

    (void)EVP_EncodeBlock((uint8_t *)ret, at, sizeof(at));
}

static void checksum(const struct s3_bucket *b, uint32_t crc32c, struct request *r)
{
    char text[CRC32C_TEXT_BYTES];

    if (!b->set.checksum)
        return;
    crc32c_format(crc32c, text);
    request_header(r, "x-amz-checksum-crc32c", "%s", text);
}

static void unless_empty(struct request *r, const char *name, const char *value)
{
    if (value[0] != '\0')
        request_header(r, name, "%s", value);
}

/* What the object is to be, whichever way it comes. */
static void object_headers(const struct s3_bucket *b, const struct s3_object *o,
                           struct request *r)
{
    request_header(r, "content-type", "%s", o->content_type);
    unless_empty(r, "x-amz-storage-class", b->set.storage_class);
    unless_empty(r, "x-amz-server-side-encryption", b->set.server_side_encryption);
    unless_empty(r, "x-amz-server-side-encryption-aws-kms-key-id", b->set.kms_key_id);
    request_header(r, "x-amz-meta-hydrant-batch", "%s", o->batch);
    request_header(r, "x-amz-meta-hydrant-first", "%" PRIu64, o->first_lsn);
    request_header(r, "x-amz-meta-hydrant-last", "%" PRIu64, o->last_lsn);
    request_header(r, "x-amz-meta-hydrant-events", "%" PRIu64, o->events);
    request_header(r, "x-amz-meta-hydrant-bytes", "%" PRIu64, o->bytes);
    request_header(r, "x-amz-meta-hydrant-crc32c", "%08" PRIx32, o->crc32c);
}

int s3_put(const struct s3_bucket *b, const struct s3_object *o, bool conditional,
           struct request *r, struct errmsg *err)
{
    begin(b, "PUT", o->key, r);
    host(b, r);
    object_headers(b, o, r);
    checksum(b, o->crc32c, r);
    if (conditional)
        request_header(r, "if-none-match", "*");
    return request_result(r, err);
}

int s3_head(const struct s3_bucket *b, const char *key, struct request *r, struct errmsg *err)
{
    begin(b, "HEAD", key, r);
    host(b, r);
    return request_result(r, err);
}

int s3_create_upload(const struct s3_bucket *b, const struct s3_object *o, struct request *r,
                     struct errmsg *err)
{
    begin(b, "POST", o->key, r);
    request_url(r, "?uploads");
    host(b, r);
    object_headers(b, o, r);
    if (b->set.checksum)
        request_header(r, "x-amz-checksum-algorithm", "CRC32C");
    return request_result(r, err);
}

int s3_upload_part(const struct s3_bucket *b, const char *key, const char *upload_id,
                   uint32_t number, uint32_t crc32c, struct request *r, struct errmsg *err)
{
    char text[16];

    INVARIANT(number >= 1 && number <= S3_PARTS_MAX);
    (void)snprintf(text, sizeof(text), "%" PRIu32, number);
    begin(b, "PUT", key, r);
    query(r, "?partNumber=", text);
    query(r, "&uploadId=", upload_id);
    host(b, r);
    checksum(b, crc32c, r);
    return request_result(r, err);
}

int s3_complete_upload(const struct s3_bucket *b, const char *key, const char *upload_id,
                       bool conditional, struct request *r, struct errmsg *err)
{
    begin(b, "POST", key, r);
    query(r, "?uploadId=", upload_id);
    host(b, r);
    request_header(r, "content-type", "application/xml");
    if (conditional)
        request_header(r, "if-none-match", "*");
    return request_result(r, err);
}

int s3_abort_upload(const struct s3_bucket *b, const char *key, const char *upload_id,
                    struct request *r, struct errmsg *err)
{
    begin(b, "DELETE", key, r);
    query(r, "?uploadId=", upload_id);
    host(b, r);
    return request_result(r, err);
}

int s3_list_uploads(const struct s3_bucket *b, const char *prefix, const char *key_marker,
                    const char *upload_id_marker, struct request *r, struct errmsg *err)
{
    begin(b, "GET", NULL, r);
    request_url(r, "?uploads");
    query(r, "&prefix=", prefix);
    if (key_marker[0] != '\0')
        query(r, "&key-marker=", key_marker);
    if (upload_id_marker[0] != '\0')
        query(r, "&upload-id-marker=", upload_id_marker);
    host(b, r);
    return request_result(r, err);
}

/* ------------------------------------------------------------------------------- list of parts */

static int escaped(struct bytes *body, const char *text)
{
    static const struct {
        char c;
        const char *entity;
    } entities[] = {{'&', "&amp;"}, {'<', "&lt;"}, {'>', "&gt;"}, {'"', "&quot;"}};
    int res = 0;

    for (; res == 0 && *text != '\0'; text++) {
        size_t i = 0;

        while (i < 4 && entities[i].c != *text)
            i++;
        res = i < 4 ? bytes_append_str(body, entities[i].entity) : bytes_append_char(body, *text);
    }
    return res;
}

static int part_append(const struct s3_bucket *b, const struct s3_part *part, uint32_t number,
                       struct bytes *body)
{
    char crc32c[CRC32C_TEXT_BYTES];
    int res = bytes_printf(body, "<Part><PartNumber>%" PRIu32 "</PartNumber><ETag>", number);

    if (res == 0)
        res = escaped(body, part->etag);
    if (res == 0)
        res = bytes_append_str(body, "</ETag>");
    if (res == 0 && b->set.checksum) {
        crc32c_format(part->crc32c, crc32c);
        res = bytes_printf(body, "<ChecksumCRC32C>%s</ChecksumCRC32C>", crc32c);
    }
    return res == 0 ? bytes_append_str(body, "</Part>") : res;
}

int s3_complete_body(const struct s3_bucket *b, const struct s3_part *parts, uint32_t count,
                     struct bytes *body)
{
    int res;

    bytes_clear(body);
    res = bytes_append_str(body, "<CompleteMultipartUpload "
                           "xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
    for (uint32_t i = 0; res == 0 && i < count; i++)
        res = part_append(b, &parts[i], i + 1, body);
    return res == 0 ? bytes_append_str(body, "</CompleteMultipartUpload>") : res;
}
