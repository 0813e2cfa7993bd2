/*
 * web: batches to a URL.
 *
 *   plain      one request for each batch, whose body is the batch's file. Its id is in the headers
 *              X-Hydrant-Batch and Idempotency-Key, so that a receiver can tell a repeat.
 *   firehose   as Firehose delivers to HTTP endpoints: requests of up to 4 MiB of records. How a
 *              batch is cut is a function of its file alone, and a request's id one of batch and
 *              number: a repeat has the same id, in another life too.
 *
 * A receiver may have a batch (a request's records) twice if a request whose fate is not known is
 * sent once more, or if an earlier life of the agent had sent it: counted in job->duplicates.
 *
 * Owns:   a job where it stands.
 * Thread: delivery.
 * Units:  bytes; `at` and `end` are offsets in the batch's file.
 */
#include "sink/remote.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/version.h"
#include "encode/compress.h"
#include "sink/records.h"

#define RECORD_OPEN "{\"data\":\""
#define RECORD_CLOSE "\"}"

enum {
    CHUNK_BYTES_MAX = 4 << 20,              /* of a request's body, before compression */
    CHUNK_HEAD_BYTES = 256,
    RECORD_AROUND_BYTES = sizeof(RECORD_OPEN) + sizeof(RECORD_CLOSE),
    ANSWER_BYTES_MAX = 1 << 20,
    UUID_BYTES = 37,
    NAME_BYTES = REQUEST_NAME_BYTES
};

struct web {
    uint64_t at;                /* up to here all is delivered */
    bool doubtful;              /* the receiver may have what is sent now */
    uint64_t utc_s;             /* of the last request */
    /* protocol = firehose: */
    struct records records;     /* file_bytes 0: not yet open */
    uint64_t end;               /* of the chunk under way */
    uint64_t chunk_events, chunk_utc_s;     /* 0: it was never made */
    uint32_t number;
    char id[UUID_BYTES];
};

static bool chunks(const struct remote_job *job)
{
    return job->at->set.web.protocol == REMOTE_FIREHOSE;
}

static int web_begin(struct remote_job *job, struct errmsg *err)
{
    struct web *w = calloc(1, sizeof(*w));

    if (!w)
        return errmsg_set(err, -ENOMEM, "no memory");
    w->doubtful = job->resumed;
    job->own = w;
    return 0;
}

static void web_end(struct remote_job *job)
{
    struct web *w = job->own;

    if (w)
        records_close(&w->records);
    free(w);
    job->own = NULL;
}

static enum remote_plan web_plan(struct remote_job *job, struct remote_lane *lane)
{
    const struct web *w = job->own;

    return remote_plan_whole(job, lane, w->at == job->file_bytes);
}

/* --- the head ------------------------------------------------------------------------------- */

/* "Name: value" of the configuration. */
static void own_header(struct request *request, const char *text)
{
    const char *value = strchr(text, ':');
    char name[NAME_BYTES];
    int len = value ? (int)(value - text) : 0;

    while (len > 0 && text[len - 1] == ' ')
        len--;
    if (len == 0 || len >= NAME_BYTES)
        return;                 /* config_check has passed none such */
    (void)snprintf(name, sizeof(name), "%.*s", len, text);
    value++;
    request_header(request, name, "%s", value + strspn(value, " \t"));
}

/* The configuration's own headers come first, and ours only where they say nothing. */
static void ours(struct request *request, const char *name, const char *value)
{
    if (!request_header_find(request, name))
        request_header(request, name, "%s", value);
}

static void head_make(const struct remote_job *job, struct request *request)
{
    const struct remote_settings *set = &job->at->set;

    request_start(request, set->web.method);
    request_url(request, set->web.url);
    for (uint32_t i = 0; i < set->web.headers_count; i++)
        own_header(request, set->web.headers[i]);
    ours(request, "user-agent", "hydrant/" HYDRANT_VERSION);
    ours(request, "x-hydrant-batch", job->batch);
}

/* A compression that HTTP has no name for goes as what it is: bytes. */
static int plain_make(const struct remote_job *job, struct request *request, struct errmsg *err)
{
    const char *encoding = object_type_encoding(job->type.compression);
    bool named = encoding || job->type.compression == SETTINGS_COMPRESSION_NONE;
    const char *token = job->at->set.web.token;

    if (job->type.framing == SETTINGS_FRAMING_RECORDS)
        return errmsg_set(err, -EOPNOTSUPP, "the batch was sealed for protocol = firehose; it "
                          "waits until [sink %s] says that again", job->sink);
    head_make(job, request);
    ours(request, "content-type", named ? job->type.content_type : "application/octet-stream");
    if (encoding)
        ours(request, "content-encoding", encoding);
    ours(request, "idempotency-key", job->batch);
    if (token[0] != '\0' && !request_header_find(request, "authorization"))
        request_header(request, "authorization", "Bearer %s", token);
    return request_result(request, err);
}

/* --- chunks --------------------------------------------------------------------------------- */

/* Of the batch's id and the chunk's number, in the form of a UUID of one's own making. */
static int chunk_name(const struct remote_job *job, struct web *w)
{
    uint8_t hash[EVP_MAX_MD_SIZE];
    char text[128], hex[33];
    int len = snprintf(text, sizeof(text), "%s/%" PRIu32, job->batch, w->number);

    if (len < 0 || (size_t)len >= sizeof(text)
        || EVP_Digest(text, (size_t)len, hash, NULL, EVP_sha256(), NULL) != 1)
        return -EIO;
    hash[6] = (uint8_t)((hash[6] & 0x0f) | 0x80);
    hash[8] = (uint8_t)((hash[8] & 0x3f) | 0x80);
    bytes_hex(hex, hash, 16);
    (void)snprintf(w->id, sizeof(w->id), "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12,
                   hex + 16, hex + 20);
    return 0;
}

/* The records from w->at on, as many as there is room for. */
static int chunk_records(const struct remote_job *job, struct web *w, struct bytes *body,
                         struct errmsg *err)
{
    uint64_t events = 0, at = w->at;

    while (at < job->file_bytes) {
        struct record record;
        int r = records_get(&w->records, at, &record, err);

        if (r)
            return r;
        if (events > 0 && body->len + records_base64_bytes(record.len) + RECORD_AROUND_BYTES
                              > CHUNK_BYTES_MAX - CHUNK_HEAD_BYTES)
            break;
        r = bytes_append_str(body, events > 0 ? "," RECORD_OPEN : RECORD_OPEN);
        if (r == 0)
            r = records_put_base64(body, record.data, record.len);
        if (r == 0)
            r = bytes_append_str(body, RECORD_CLOSE);
        if (r)
            return errmsg_set(err, r, "no memory");
        at = record.next;
        events++;
    }
    w->end = at;
    w->chunk_events = events;
    return 0;
}

/* In the place of what it was. */
static int body_compress(struct bytes *body, struct errmsg *err)
{
    struct compressor *c = NULL;
    struct block_pool pool;
    struct block_chain chain;
    struct block *block;
    uint64_t most;
    int r = compressor_open(COMPRESS_GZIP, COMPRESS_LEVEL_USUAL, &c);

    if (r)
        return errmsg_set(err, r, "no memory");
    most = compressor_run_bytes_max(c, body->len) + compressor_finish_bytes_max(c);
    block_pool_init(&pool, most + BLOCK_BYTES);
    chain_init(&chain, &pool);
    r = chain_reserve(&chain, most) ? 0 : -ENOMEM;
    if (r == 0)
        r = compressor_run(c, body->data, body->len, &chain);
    if (r == 0)
        r = compressor_finish(c, &chain);
    bytes_clear(body);
    while (r == 0 && (block = chain_shift(&chain, true))) {
        r = bytes_append(body, block->data, block->len);
        block_give(&pool, block);
    }
    chain_fini(&chain);
    block_pool_fini(&pool);
    compressor_close(c);
    return r ? errmsg_set(err, r, "the request's body cannot be compressed") : 0;
}

static int chunk_body(const struct remote_job *job, struct web *w, struct bytes *body,
                      struct errmsg *err)
{
    int r = bytes_printf(body, "{\"requestId\":\"%s\",\"timestamp\":%" PRIu64 ",\"records\":[",
                         w->id, w->chunk_utc_s * 1000);

    if (r == 0) {
        r = chunk_records(job, w, body, err);
        if (r)
            return r;
        r = bytes_append_str(body, "]}");
    }
    return r ? errmsg_set(err, r, "no memory") : 0;
}

static int chunk_make(const struct remote_job *job, struct remote_lane *lane, struct web *w,
                      struct errmsg *err)
{
    const struct remote_settings *set = &job->at->set;
    struct request *request = &lane->request;
    int r = 0;

    if (w->records.file_bytes == 0)
        r = records_open(&w->records, &job->type, job->file_fd, job->file_bytes, err);
    if (r)
        return r;
    if (w->chunk_utc_s == 0)
        w->chunk_utc_s = w->utc_s;      /* a repeat says the same */
    if (chunk_name(job, w))
        return errmsg_set(err, -EIO, "the request's id cannot be made");
    r = chunk_body(job, w, &lane->body, err);
    if (r == 0 && set->web.gzip)
        r = body_compress(&lane->body, err);
    if (r)
        return r;
    head_make(job, request);
    ours(request, "content-type", "application/json");
    if (set->web.gzip)
        ours(request, "content-encoding", "gzip");
    request_header(request, "x-amz-firehose-protocol-version", "1.0");
    request_header(request, "x-amz-firehose-request-id", "%s", w->id);
    request_header(request, "x-amz-firehose-source-arn",
                   "arn:aws:firehose:local:000000000000:deliverystream/%s", job->stream);
    if (set->web.token[0] != '\0')
        request_header(request, "x-amz-firehose-access-key", "%s", set->web.token);
    return request_result(request, err);
}

static int web_make(struct remote_job *job, struct remote_lane *lane,
                    const struct credentials_keys *keys, uint64_t utc_s, struct errmsg *err)
{
    struct web *w = job->own;
    int r;

    (void)keys;
    w->utc_s = utc_s;
    lane->answer_bytes_max = ANSWER_BYTES_MAX;
    r = chunks(job) ? chunk_make(job, lane, w, err) : plain_make(job, &lane->request, err);
    if (r == -EBADMSG)
        remote_doubt_file(job);
    return r;
}

/* --- the answer ----------------------------------------------------------------------------- */

/* The receiver may have taken it: again, if it may have had it before. */
static void may_have(struct remote_job *job)
{
    struct web *w = job->own;

    if (w->doubtful)
        job->duplicates += chunks(job) ? w->chunk_events : job->events;
    w->doubtful = true;
}

/* Sent on connections that died before they had an answer. */
static void may_have_repeats(struct remote_job *job, const struct remote_lane *lane)
{
    for (uint32_t i = 0; i < lane->call.repeats; i++)
        may_have(job);
}

static void delivered(struct remote_job *job, struct remote_outcome *out)
{
    struct web *w = job->own;

    may_have(job);
    w->at = chunks(job) ? w->end : job->file_bytes;
    w->number++;
    w->chunk_utc_s = 0;
    w->doubtful = job->resumed;
    out->class = RETRY_OK;
    out->again = w->at < job->file_bytes;
}

/* "errorMessage" of an answer to a chunk, or the beginning of what there is. */
static void reason(const struct reply *reply, char ret[static REMOTE_EXCERPT_BYTES])
{
    json_t *answer = json_loadb(reply->body, reply->body_len, 0, NULL);
    const json_t *text = json_object_get(answer, "errorMessage");

    if (text)
        remote_excerpt(json_string_value(text), json_string_length(text), ret);
    else
        remote_excerpt(reply->body, reply->body_len, ret);
    json_decref(answer);
}

/* Status 200 is half of a yes: the id has to come back too. */
static bool chunk_taken(const struct web *w, const struct reply *reply, struct remote_outcome *out)
{
    json_t *answer = json_loadb(reply->body, reply->body_len, 0, NULL);
    const char *id = json_string_value(json_object_get(answer, "requestId"));
    bool taken = reply->status == 200 && id && strcmp(id, w->id) == 0;

    if (!taken)
        errmsg_set(&out->text, -EBADMSG, "%u, but the answer is none of the Firehose protocol: "
                   "%s", reply->status, id ? "another requestId" : "no requestId");
    json_decref(answer);
    return taken;
}

static void refused(const struct reply *reply, struct remote_outcome *out)
{
    const char *location = request_reply_header(reply, "location");
    char text[REMOTE_EXCERPT_BYTES], to[REMOTE_EXCERPT_BYTES];

    reason(reply, text);
    if (reply->status >= 300 && reply->status < 400 && location) {
        remote_excerpt(location, strcspn(location, "?"), to);
        errmsg_set(&out->text, -EREMOTEIO, "%u: redirections are not followed; set url to %s",
                   reply->status, to);
        return;
    }
    errmsg_set(&out->text, -EREMOTEIO, "%u%s%s%s", reply->status, text[0] != '\0' ? ": " : "",
               text, reply->status == 401 || reply->status == 403 ? "; is the token right?"
                     : reply->status == 413 ? "; lower buffer_size" : "");
}

static void web_take(struct remote_job *job, struct remote_lane *lane, const struct reply *reply,
                     struct remote_outcome *ret_outcome)
{
    struct web *w = job->own;

    may_have_repeats(job, lane);
    ret_outcome->class = remote_class(reply->status);
    ret_outcome->after_ns = remote_retry_after_ns(reply, w->utc_s);
    if (ret_outcome->class == RETRY_OK && chunks(job) && !chunk_taken(w, reply, ret_outcome)) {
        may_have(job);
        ret_outcome->class = RETRY_AGAIN;
    } else if (ret_outcome->class == RETRY_OK) {
        delivered(job, ret_outcome);
    } else {
        if (reply->status >= 500)
            may_have(job);
        refused(reply, ret_outcome);
    }
    if (ret_outcome->class != RETRY_OK)
        records_rest(&w->records);      /* it may wait for long, beside many others */
}

/* A receiver may take what it reads before it has all. */
static void web_lost(struct remote_job *job, struct remote_lane *lane, uint64_t sent)
{
    struct web *w = job->own;

    may_have_repeats(job, lane);
    if (sent > 0)
        may_have(job);
    records_rest(&w->records);
}

const struct remote_kind web_kind = {
    .name = "http",
    .begin = web_begin,
    .end = web_end,
    .plan = web_plan,
    .make = web_make,
    .take = web_take,
    .lost = web_lost,
};
