/*
 * s3_model: see the header.
 * Owns:   see the header.
 * Thread: one.
 */
#include "support/s3_model.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/invariant.h"
#include "sink/xml.h"
#include "support/s3_asked.h"

enum {
    UPLOADS_MAX = 256,
    PARTS_MAX = 10000,
    META_MAX = 10
};

struct meta {
    char name[64], value[128];
};

struct object {
    char key[S3_MODEL_KEY_MAX];     /* "": free */
    struct meta meta[META_MAX];
    uint32_t meta_count, writes;
    struct bytes data;
};

struct part {
    struct bytes data;
    char etag[24];                  /* "": there is none */
};

struct upload {
    char key[S3_MODEL_KEY_MAX], id[32];     /* "": free */
    struct meta meta[META_MAX];
    uint32_t meta_count, parts_count;
    struct part *parts;             /* owned */
};

struct s3_model {
    struct object *objects;         /* owned */
    struct upload uploads[UPLOADS_MAX];
    uint32_t objects_count;
    uint64_t random, part_bytes_min;
    uint32_t ids, one_in;
    bool conditional, checksums, list_stale;
    char aborted[32];               /* the last one */
    struct {
        enum s3_model_fault fault;
        bool always;
    } fails[S3_MODEL_OP_COUNT];
    char trace[1024], told[1024];
};

static uint64_t random_next(struct s3_model *m)
{
    uint64_t x = m->random += 0x9e3779b97f4a7c15u;

    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

/* --- the store ------------------------------------------------------------------------------ */

static struct object *object_find(const struct s3_model *m, const char *key)
{
    for (uint32_t i = 0; i < m->objects_count; i++)
        if (strcmp(m->objects[i].key, key) == 0)
            return &m->objects[i];
    return NULL;
}

/* One more of them, zeroed. */
static void *grow(void *items, uint32_t count, size_t bytes)
{
    char *more = realloc(items, (count + 1) * bytes);

    INVARIANT(more);
    memset(more + count * bytes, 0, bytes);
    return more;
}

/* Under that key, there or made. */
static struct object *object_make(struct s3_model *m, const char *key)
{
    struct object *o = object_find(m, key);

    if (!o)
        o = object_find(m, "");
    if (!o) {
        m->objects = grow(m->objects, m->objects_count, sizeof(*o));
        o = &m->objects[m->objects_count++];
    }
    (void)snprintf(o->key, sizeof(o->key), "%s", key);
    bytes_clear(&o->data);
    o->writes++;
    return o;
}

static struct upload *upload_find(struct s3_model *m, const char *key, const char *id)
{
    for (size_t i = 0; i < UPLOADS_MAX; i++)
        if (strcmp(m->uploads[i].id, id) == 0
            && (id[0] == '\0' || strcmp(m->uploads[i].key, key) == 0))
            return &m->uploads[i];
    return NULL;
}

static void upload_drop(struct upload *u)
{
    for (uint32_t i = 0; i < u->parts_count; i++)
        bytes_free(&u->parts[i].data);
    free(u->parts);
    u->parts = NULL;
    u->parts_count = 0;
    u->id[0] = u->key[0] = '\0';
}

static struct upload *upload_make(struct s3_model *m, const char *key)
{
    struct upload *u = upload_find(m, "", "");

    INVARIANT(u);
    (void)snprintf(u->key, sizeof(u->key), "%s", key);
    /* Ids are in no order. */
    (void)snprintf(u->id, sizeof(u->id), "%016" PRIx64 "-%u", random_next(m), ++m->ids);
    return u;
}

static uint32_t meta_keep(const struct request *r, struct meta *to)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < r->headers_count; i++) {
        const struct request_header *h = &r->headers[i];

        if (strncmp(h->name, "x-amz-meta-", 11) != 0 && strcmp(h->name, "content-type") != 0)
            continue;
        INVARIANT(count < META_MAX);
        (void)snprintf(to[count].name, sizeof(to->name), "%s", h->name);
        (void)snprintf(to[count++].value, sizeof(to->value), "%s", h->value);
    }
    return count;
}

static void append(struct bytes *to, const void *data, size_t len)
{
    int r = bytes_append(to, data, len);

    INVARIANT(r == 0);
}

/* --- operations ----------------------------------------------------------------------------- */

static void store_refuse(struct s3_model *m, struct s3_asked *q, bool *ret_refused)
{
    *ret_refused = q->conditional && (!m->conditional || object_find(m, q->key));
    if (*ret_refused && !m->conditional)
        s3_asked_error(q, 501, "NotImplemented");
    else if (*ret_refused)
        s3_asked_error(q, 412, "PreconditionFailed");
}

static void on_put(struct s3_model *m, struct s3_asked *q)
{
    struct object *o;
    bool refused;

    store_refuse(m, q, &refused);
    if (refused)
        return;
    o = object_make(m, q->key);
    append(&o->data, q->body, q->len);
    o->meta_count = meta_keep(q->r, o->meta);
    s3_asked_text(q, 200, "");
    s3_asked_header(q, "ETag", "\"put\"");
}

static void on_head(struct s3_model *m, struct s3_asked *q)
{
    struct object *o = object_find(m, q->key);
    char len[24];

    s3_asked_status(q, o ? 200 : 404);
    if (!o)
        return;
    (void)snprintf(len, sizeof(len), "%zu", o->data.len);
    s3_asked_header(q, "Content-Length", len);
    for (uint32_t i = 0; i < o->meta_count; i++)
        s3_asked_header(q, o->meta[i].name, o->meta[i].value);
}

static void list_append(struct s3_asked *q, const char *key, const char *id)
{
    char text[512];

    (void)snprintf(text, sizeof(text), "<Upload><Key>%s</Key><UploadId>%s</UploadId></Upload>",
                   key, id);
    s3_asked_append(q, text, strlen(text));
}

/* The prefix is in q->key. */
static void on_list(struct s3_model *m, struct s3_asked *q)
{
    s3_asked_text(q, 200, "<ListMultipartUploadsResult><IsTruncated>false</IsTruncated>");
    if (m->list_stale && m->aborted[0] != '\0')
        list_append(q, q->key, m->aborted);
    for (size_t i = 0; i < UPLOADS_MAX; i++) {
        const struct upload *u = &m->uploads[i];

        if (u->id[0] != '\0' && strncmp(u->key, q->key, strlen(q->key)) == 0)
            list_append(q, u->key, u->id);
    }
    s3_asked_append(q, "</ListMultipartUploadsResult>", 29);
}

static void on_create(struct s3_model *m, struct s3_asked *q)
{
    struct upload *u = upload_make(m, q->key);
    char text[256];

    u->meta_count = meta_keep(q->r, u->meta);
    (void)snprintf(text, sizeof(text), "<InitiateMultipartUploadResult><UploadId>%s</UploadId>"
                   "</InitiateMultipartUploadResult>", u->id);
    s3_asked_text(q, 200, text);
}

static void on_part(struct s3_asked *q, struct upload *u)
{
    struct part *part;

    INVARIANT(q->part >= 1 && q->part <= PARTS_MAX);
    while (u->parts_count < q->part)
        u->parts = grow(u->parts, u->parts_count++, sizeof(*part));
    part = &u->parts[q->part - 1];
    bytes_clear(&part->data);
    append(&part->data, q->body, q->len);
    (void)snprintf(part->etag, sizeof(part->etag), "\"%08x\"", crc32c(0, q->body, q->len));
    s3_asked_text(q, 200, "");
    s3_asked_header(q, "ETag", part->etag);
}

struct completion {
    char number[8], etag[24], crc32c[16];
    const struct upload *u;
    uint64_t part_bytes_min;
    uint32_t count;
    bool checksums;
};

static int on_listed_part(void *ctx)
{
    struct completion *c = ctx;
    const struct part *part = &c->u->parts[c->count];

    if (c->crc32c[0] != '\0' && !c->checksums)
        return 3;
    if (c->count == c->u->parts_count || strtoul(c->number, NULL, 10) != c->count + 1
        || c->etag[0] == '\0' || strcmp(c->etag, part->etag) != 0)
        return 1;
    if (c->count > 0 && part[-1].data.len < c->part_bytes_min)
        return 2;
    c->count++;
    return 0;
}

static void on_complete(struct s3_model *m, struct s3_asked *q, struct upload *u)
{
    struct completion c = {.u = u, .part_bytes_min = m->part_bytes_min,
                           .checksums = m->checksums};
    struct xml_field fields[] = {
        {.path = "CompleteMultipartUpload/Part/PartNumber", .ret = c.number, .cap = 8},
        {.path = "CompleteMultipartUpload/Part/ETag", .ret = c.etag, .cap = sizeof(c.etag)},
        {.path = "CompleteMultipartUpload/Part/ChecksumCRC32C", .ret = c.crc32c, .cap = 16},
    };
    struct object *o;
    bool refused;
    int r;

    store_refuse(m, q, &refused);
    if (refused)
        return;
    r = xml_read((const char *)q->body, q->len, fields, 3, "CompleteMultipartUpload/Part",
                 on_listed_part, &c);
    if (r != 0 || c.count == 0) {
        s3_asked_error(q, 400, r == 2 ? "EntityTooSmall"
                               : r == 1 ? "InvalidPart" : "MalformedXML");
        return;
    }
    o = object_make(m, q->key);
    for (uint32_t i = 0; i < c.count; i++)
        append(&o->data, u->parts[i].data.data, u->parts[i].data.len);
    memcpy(o->meta, u->meta, sizeof(o->meta));
    o->meta_count = u->meta_count;
    upload_drop(u);
    s3_asked_text(q, 200, "<CompleteMultipartUploadResult><ETag>\"e-2\"</ETag>"
                  "</CompleteMultipartUploadResult>");
}

static void on_upload_op(struct s3_model *m, struct s3_asked *q)
{
    struct upload *u = upload_find(m, q->key, q->upload_id);

    if (q->upload_id[0] == '\0' || !u) {
        s3_asked_error(q, 404, "NoSuchUpload");
    } else if (q->op == S3_MODEL_PART) {
        on_part(q, u);
    } else if (q->op == S3_MODEL_COMPLETE) {
        on_complete(m, q, u);
    } else {
        (void)snprintf(m->aborted, sizeof(m->aborted), "%s", u->id);
        upload_drop(u);
        s3_asked_text(q, 204, "");
    }
}

static void effect(struct s3_model *m, struct s3_asked *q)
{
    switch (q->op) {
    case S3_MODEL_PUT:
        on_put(m, q);
        break;
    case S3_MODEL_HEAD:
        on_head(m, q);
        break;
    case S3_MODEL_LIST:
        on_list(m, q);
        break;
    case S3_MODEL_CREATE:
        on_create(m, q);
        break;
    default:
        on_upload_op(m, q);
    }
}

/* --- faults --------------------------------------------------------------------------------- */

static bool makes_sense(const struct s3_asked *q, enum s3_model_fault fault)
{
    switch (fault) {
    case S3_MODEL_DIGEST:
        return q->op == S3_MODEL_PUT || q->op == S3_MODEL_PART;
    case S3_MODEL_CONFLICT:
        return q->conditional;
    case S3_MODEL_GONE:
        return q->upload_id[0] != '\0';
    case S3_MODEL_ERROR_IN_200:
    case S3_MODEL_INVALID_PART:
        return q->op == S3_MODEL_COMPLETE;
    case S3_MODEL_GARBAGE_AFTER:
        return q->op != S3_MODEL_HEAD && q->op != S3_MODEL_PUT && q->op != S3_MODEL_ABORT;
    default:
        return true;
    }
}

static enum s3_model_fault fault_choose(struct s3_model *m, const struct s3_asked *q)
{
    enum s3_model_fault fault = m->fails[q->op].fault;

    if (fault != S3_MODEL_NONE) {
        if (!m->fails[q->op].always)
            m->fails[q->op].fault = S3_MODEL_NONE;
        return fault;
    }
    if (m->one_in == 0 || random_next(m) % m->one_in != 0)
        return S3_MODEL_NONE;
    do
        fault = (enum s3_model_fault)(random_next(m) % S3_MODEL_SEEDED_COUNT);
    while (!makes_sense(q, fault));
    return fault;
}

/* Instead of what the request would do. True: there is an answer. */
static bool fault_answer(struct s3_model *m, struct s3_asked *q, enum s3_model_fault fault)
{
    static const struct {
        unsigned status;
        const char *code;
    } errors[] = {
        [S3_MODEL_500] = {500, "InternalError"},
        [S3_MODEL_SLOW_DOWN] = {503, "SlowDown"},
        [S3_MODEL_EXPIRED] = {400, "ExpiredToken"},
        [S3_MODEL_DIGEST] = {400, "BadDigest"},
        [S3_MODEL_CONFLICT] = {409, "ConditionalRequestConflict"},
        [S3_MODEL_ERROR_IN_200] = {200, "InternalError"},
        [S3_MODEL_INVALID_PART] = {400, "InvalidPart"},
        [S3_MODEL_DENIED] = {403, "AccessDenied"},
        [S3_MODEL_NOT_IMPLEMENTED] = {501, "NotImplemented"},
        [S3_MODEL_MOVED] = {301, "PermanentRedirect"},
    };
    struct upload *u = upload_find(m, q->key, q->upload_id);

    if (fault == S3_MODEL_GONE && u && u->id[0] != '\0')
        upload_drop(u);
    if (!errors[fault].code)
        return false;
    s3_asked_error(q, errors[fault].status, errors[fault].code);
    if (fault == S3_MODEL_MOVED)
        s3_asked_header(q, "x-amz-bucket-region", "eu-west-3");
    if (fault == S3_MODEL_SLOW_DOWN)
        s3_asked_header(q, "Retry-After", "7");
    return true;
}

/* --- asking --------------------------------------------------------------------------------- */

void s3_model_key(const struct request *r, char ret_key[static S3_MODEL_KEY_MAX])
{
    struct s3_asked q = {.r = r};

    s3_asked_read(&q);
    memcpy(ret_key, q.key, S3_MODEL_KEY_MAX);
}

static void trace(struct s3_model *m, enum s3_model_op op)
{
    static const char *const names[] = {"PUT", "HEAD", "LIST", "CREATE", "PART", "COMPLETE",
                                        "ABORT"};
    size_t len = strlen(m->trace);

    (void)snprintf(m->trace + len, sizeof(m->trace) - len, "%s ", names[op]);
}

bool s3_model_ask(struct s3_model *m, const struct request *r, const void *body, size_t len,
                  uint64_t utc_s, struct s3_model_answer *ret_answer)
{
    struct s3_asked q = {.r = r, .body = body, .len = len, .utc_s = utc_s, .a = ret_answer};
    enum s3_model_fault fault;

    s3_asked_read(&q);
    trace(m, q.op);
    fault = fault_choose(m, &q);
    ret_answer->sent = len;
    if (fault == S3_MODEL_LOST) {
        ret_answer->sent = random_next(m) % (len + 1);
        return false;
    }
    if (!fault_answer(m, &q, fault) && !s3_asked_refused(&q))
        effect(m, &q);
    if (fault == S3_MODEL_LOST_AFTER)
        return false;
    if (fault == S3_MODEL_500_AFTER)
        s3_asked_error(&q, 500, "InternalError");
    if (fault == S3_MODEL_GARBAGE_AFTER)
        s3_asked_text(&q, 200, "<html>Welcome</html>");
    ret_answer->reply.body = (const char *)ret_answer->body.data;
    ret_answer->reply.body_len = ret_answer->body.len;
    return true;
}

/* --- from outside --------------------------------------------------------------------------- */

struct s3_model *s3_model_open(uint64_t seed)
{
    struct s3_model *m = calloc(1, sizeof(*m));

    INVARIANT(m);
    m->random = seed;
    m->conditional = m->checksums = true;
    m->part_bytes_min = 5 << 20;
    return m;
}

void s3_model_close(struct s3_model *m)
{
    for (uint32_t i = 0; i < m->objects_count; i++)
        bytes_free(&m->objects[i].data);
    for (size_t i = 0; i < UPLOADS_MAX; i++)
        upload_drop(&m->uploads[i]);
    free(m->objects);
    free(m);
}

void s3_model_set_conditional(struct s3_model *m, bool conditional)
{
    m->conditional = conditional;
}

void s3_model_set_checksums(struct s3_model *m, bool checksums)
{
    m->checksums = checksums;
}

void s3_model_set_part_bytes_min(struct s3_model *m, uint64_t bytes)
{
    m->part_bytes_min = bytes;
}

void s3_model_set_list_stale(struct s3_model *m, bool stale)
{
    m->list_stale = stale;
}

void s3_model_set_faults(struct s3_model *m, uint32_t one_in)
{
    m->one_in = one_in;
}

void s3_model_fail(struct s3_model *m, enum s3_model_op op, enum s3_model_fault fault, bool always)
{
    m->fails[op].fault = fault;
    m->fails[op].always = always;
}

void s3_model_put(struct s3_model *m, const char *key, const char *content)
{
    struct object *o = object_make(m, key);

    append(&o->data, content, strlen(content));
    o->meta_count = 0;
}

void s3_model_delete(struct s3_model *m, const char *key)
{
    struct object *o = object_find(m, key);

    INVARIANT(o);
    o->key[0] = '\0';
    o->writes = 0;
}

void s3_model_begin(struct s3_model *m, const char *key)
{
    (void)upload_make(m, key);
}

const struct bytes *s3_model_find(const struct s3_model *m, const char *key)
{
    const struct object *o = object_find(m, key);

    return o ? &o->data : NULL;
}

uint32_t s3_model_writes(const struct s3_model *m, const char *key)
{
    const struct object *o = object_find(m, key);

    return o ? o->writes : 0;
}

uint32_t s3_model_uploads(const struct s3_model *m, const char *key)
{
    uint32_t count = 0;

    for (size_t i = 0; i < UPLOADS_MAX; i++)
        count += m->uploads[i].id[0] != '\0' && strcmp(m->uploads[i].key, key) == 0;
    return count;
}

const char *s3_model_upload_key(const struct s3_model *m, uint32_t i)
{
    for (size_t at = 0; at < UPLOADS_MAX; at++)
        if (m->uploads[at].id[0] != '\0' && i-- == 0)
            return m->uploads[at].key;
    return NULL;
}

const char *s3_model_trace(struct s3_model *m)
{
    memcpy(m->told, m->trace, sizeof(m->told));
    m->trace[0] = '\0';
    return m->told;
}
