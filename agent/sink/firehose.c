/*
 * firehose: batches to a delivery stream by PutRecordBatch.
 *
 * A job has one lane, so that its records go in order, but for those that the service gave back:
 * they go first in the next request. The batch's file is read as a whole and compared with the
 * seal before the first request; the requests are then made from it, record by record.
 *
 * The service may have a record twice if a request whose fate is not known is sent once more, or if
 * an earlier life of the agent had sent it. Each time that it may have taken a record again, the
 * record's events are counted in job->duplicates.
 *
 * Owns:   a sink its endpoint; a job the list of records under way.
 * Thread: delivery.
 * Units:  bytes; `at` and `end` are offsets in the batch's file.
 */
#include "sink/remote.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sink/endpoint.h"
#include "sink/records.h"

#define TARGET "Firehose_20150804.PutRecordBatch"
#define RECORD_OPEN "{\"Data\":\""
#define RECORD_CLOSE "\"}"

enum {
    RECORDS_MAX = 500,                      /* of a request */
    CALL_BYTES_MAX = 4 << 20,
    HEAD_BYTES_MAX = 512,                   /* in front of the records, and behind them */
    RECORD_AROUND_BYTES = sizeof(RECORD_OPEN) + sizeof(RECORD_CLOSE),
    PACK_BYTES = 64 * 1024,
    ANSWER_BYTES_MAX = 1 << 20
};

/* One or, packed, several events. */
struct put {
    uint64_t at, end;
    uint32_t bytes, events;
    bool doubtful;              /* the service may have it */
};

struct hose {
    struct records records;     /* file_bytes 0: not yet open */
    uint64_t at;                /* behind the last record of the list */
    uint64_t utc_s;             /* of the last request, by our own clock */
    uint32_t count;
    struct put puts[RECORDS_MAX];
    struct bytes packed;        /* of one record */
};

/* Where requests go. */
struct place {
    char host[ENDPOINT_HOST_MAX + 1];
    char url[ENDPOINT_HOST_MAX + 512];
};

/* --- sink and job --------------------------------------------------------------------------- */

static int hose_open(struct remote_sink *sink, struct errmsg *err)
{
    sink->own = calloc(1, sizeof(struct place));
    return sink->own ? 0 : errmsg_set(err, -ENOMEM, "no memory");
}

static void hose_close(struct remote_sink *sink)
{
    free(sink->own);
    sink->own = NULL;
}

static int hose_begin(struct remote_job *job, struct errmsg *err)
{
    job->own = calloc(1, sizeof(struct hose));
    return job->own ? 0 : errmsg_set(err, -ENOMEM, "no memory");
}

static void hose_end(struct remote_job *job)
{
    struct hose *h = job->own;

    if (h) {
        records_close(&h->records);
        bytes_free(&h->packed);
    }
    free(h);
    job->own = NULL;
}

static bool all_put(const struct remote_job *job, const struct hose *h)
{
    return h->count == 0 && h->at == job->file_bytes;
}

static enum remote_plan hose_plan(struct remote_job *job, struct remote_lane *lane)
{
    return remote_plan_whole(job, lane, all_put(job, job->own));
}

/* --- the request ---------------------------------------------------------------------------- */

/* The next record: one event, or as many as fit into a pack. 0 or -errno. */
static int put_next(const struct remote_job *job, struct hose *h, struct put *ret,
                    struct errmsg *err)
{
    uint32_t most = job->at->set.firehose.pack ? PACK_BYTES : 0;
    struct put put = {.at = h->at, .end = h->at, .doubtful = job->resumed};

    while (put.end < job->file_bytes) {
        struct record record;
        int r = records_get(&h->records, put.end, &record, err);

        if (r)
            return r;
        if (put.events > 0 && (most == 0 || put.bytes + record.len > most))
            break;
        put.bytes += record.len;
        put.events++;
        put.end = record.next;
    }
    *ret = put;
    return 0;
}

static uint64_t put_bytes(const struct put *put)
{
    return records_base64_bytes(put->bytes) + RECORD_AROUND_BYTES;
}

/* Behind those that came back, as many records as the request takes. */
static int puts_fill(const struct remote_job *job, struct hose *h, struct errmsg *err)
{
    uint64_t bytes = HEAD_BYTES_MAX;

    for (uint32_t i = 0; i < h->count; i++)
        bytes += put_bytes(&h->puts[i]);
    while (h->count < RECORDS_MAX && h->at < job->file_bytes) {
        struct put put;
        int r = put_next(job, h, &put, err);

        if (r)
            return r;
        bytes += put_bytes(&put);
        if (bytes > CALL_BYTES_MAX)
            break;
        h->puts[h->count++] = put;
        h->at = put.end;
    }
    return 0;
}

static int put_append(struct hose *h, const struct put *put, struct bytes *body,
                      struct errmsg *err)
{
    struct record record;
    int r = bytes_append_str(body, RECORD_OPEN);

    bytes_clear(&h->packed);
    for (uint64_t at = put->at; r == 0 && at < put->end; at = record.next) {
        r = records_get(&h->records, at, &record, err);
        if (r)
            return r;
        r = put->events == 1 ? records_put_base64(body, record.data, record.len)
                             : bytes_append(&h->packed, record.data, record.len);
    }
    if (r == 0 && put->events > 1)
        r = records_put_base64(body, h->packed.data, h->packed.len);
    if (r == 0)
        r = bytes_append_str(body, RECORD_CLOSE);
    return r ? errmsg_set(err, r, "no memory") : 0;
}

static int body_make(const struct remote_job *job, struct hose *h, struct bytes *body,
                     struct errmsg *err)
{
    int r = bytes_printf(body, "{\"DeliveryStreamName\":\"%s\",\"Records\":[", job->place);

    for (uint32_t i = 0; r == 0 && i < h->count; i++) {
        if (i > 0)
            r = bytes_append_char(body, ',');
        if (r == 0)
            r = put_append(h, &h->puts[i], body, err);
        if (r != 0 && r != -ENOMEM)
            return r;
    }
    if (r == 0)
        r = bytes_append_str(body, "]}");
    return r ? errmsg_set(err, r, "no memory") : 0;
}

/* The region is known when the credentials are, and is another one at most when they change. */
static int place_set(struct remote_sink *sink, const char *region, struct errmsg *err)
{
    const char *text = sink->set.firehose.endpoint;
    struct place *place = sink->own;
    struct endpoint e;
    char aws[128];
    int r, len;

    if (region[0] == '\0' && text[0] == '\0')
        return errmsg_set(err, -EOPNOTSUPP, "no region is known: set region in [sink %s]",
                          sink->set.name);
    region = region[0] != '\0' ? region : "us-east-1";
    if (strcmp(sink->sign.region, region) == 0)
        return 0;
    if (text[0] == '\0') {
        (void)snprintf(aws, sizeof(aws), "https://firehose.%.64s.amazonaws.com%s", region,
                       strncmp(region, "cn-", 3) == 0 ? ".cn" : "");
        text = aws;
    }
    r = endpoint_parse(text, &e, err);
    if (r)
        return r;
    memcpy(place->host, e.host, sizeof(place->host));
    len = snprintf(place->url, sizeof(place->url), "%s://%s%.*s/", e.tls ? "https" : "http",
                   e.host, (int)e.path_len, e.path);
    if (len < 0 || (size_t)len >= sizeof(place->url))
        return errmsg_set(err, -EINVAL, "the endpoint's path is too long");
    return sigv4_init(&sink->sign, region, "firehose", err);
}

static int signed_head_make(struct remote_lane *lane, const struct credentials_keys *keys,
                            uint64_t utc_s, struct errmsg *err)
{
    struct remote_sink *sink = lane->job->at;
    const struct place *place = sink->own;
    struct request *request = &lane->request;
    char hash[SIGV4_HEX_BYTES];

    request_start(request, "POST");
    request_url(request, place->url);
    request_header(request, "host", "%s", place->host);
    request_header(request, "content-type", "application/x-amz-json-1.1");
    request_header(request, "x-amz-target", TARGET);
    if (sigv4_hash(lane->body.data, lane->body.len, hash))
        return errmsg_set(err, -EIO, "the request cannot be hashed");
    return sigv4_sign(&sink->sign, &keys->sign, utc_s + (uint64_t)sink->clock_offset_s, hash,
                      request, err);
}

static int hose_make(struct remote_job *job, struct remote_lane *lane,
                     const struct credentials_keys *keys, uint64_t utc_s, struct errmsg *err)
{
    struct hose *h = job->own;
    int r = place_set(job->at, keys->region, err);

    if (r == 0 && h->records.file_bytes == 0)
        r = records_open(&h->records, &job->type, job->file_fd, job->file_bytes, err);
    if (r == 0)
        r = puts_fill(job, h, err);
    if (r == 0)
        r = body_make(job, h, &lane->body, err);
    if (r == -EBADMSG)
        remote_doubt_file(job);
    if (r)
        return r;
    h->utc_s = utc_s;
    lane->answer_bytes_max = ANSWER_BYTES_MAX;
    return signed_head_make(lane, keys, utc_s, err);
}

/* --- the answer ----------------------------------------------------------------------------- */

/* The service may have taken it: again, if it may have had it before. */
static void may_have(struct remote_job *job, struct put *put)
{
    if (put->doubtful)
        job->duplicates += put->events;
    put->doubtful = true;
}

static void may_have_all(struct remote_job *job)
{
    struct hose *h = job->own;

    for (uint32_t i = 0; i < h->count; i++)
        may_have(job, &h->puts[i]);
}

/* Sent on connections that died before they had an answer. */
static void may_have_repeats(struct remote_job *job, const struct remote_lane *lane)
{
    for (uint32_t i = 0; i < lane->call.repeats; i++)
        may_have_all(job);
}

/* What a text of JSON says, fit for a log; "" if it is none. */
static void text_of(const json_t *object, const char *key, char ret[static REMOTE_EXCERPT_BYTES])
{
    const json_t *text = json_object_get(object, key);

    remote_excerpt(json_string_value(text), json_string_length(text), ret);
}

static bool throttling(const char *code)
{
    static const char *const codes[] = {
        "ServiceUnavailableException", "LimitExceededException", "ThrottlingException",
        "Throttling", "ThrottledException", "TooManyRequestsException", "RequestLimitExceeded",
        "RequestThrottled", "SlowDown"
    };

    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
        if (strcmp(codes[i], code) == 0)
            return true;
    return false;
}

/* Each record was either taken or given back. */
static bool responses_sound(const json_t *responses, uint32_t count)
{
    if (!json_is_array(responses) || json_array_size(responses) != count)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        const json_t *response = json_array_get(responses, i);

        if (json_is_string(json_object_get(response, "ErrorCode"))
            == json_is_string(json_object_get(response, "RecordId")))
            return false;
    }
    return true;
}

/* What was given back stays in the list. A pause follows only where that is the larger part. */
static void responses_take(struct remote_job *job, const json_t *responses,
                           struct remote_outcome *out)
{
    char code[REMOTE_EXCERPT_BYTES], message[REMOTE_EXCERPT_BYTES];
    struct hose *h = job->own;
    uint32_t before = h->count, kept = 0;
    bool throttled = true;

    for (uint32_t i = 0; i < before; i++) {
        const json_t *response = json_array_get(responses, i);

        if (!json_is_string(json_object_get(response, "ErrorCode"))) {
            may_have(job, &h->puts[i]);
            continue;
        }
        text_of(response, "ErrorCode", code);
        text_of(response, "ErrorMessage", message);
        throttled = throttled && throttling(code);
        h->puts[kept++] = h->puts[i];
    }
    h->count = kept;
    out->again = !all_put(job, h);
    if (kept <= before / 2)
        return;
    out->class = throttled ? RETRY_THROTTLED : RETRY_AGAIN;
    errmsg_set(&out->text, -EREMOTEIO, "%u of %u records were given back: %s: %s", kept, before,
               code, message);
}

static void success_take(struct remote_job *job, const struct reply *reply,
                         struct remote_outcome *out)
{
    const struct hose *h = job->own;
    json_t *answer = json_loadb(reply->body, reply->body_len, 0, NULL);
    const json_t *responses = json_object_get(answer, "RequestResponses");

    out->class = RETRY_OK;
    if (responses_sound(responses, h->count)) {
        responses_take(job, responses, out);
    } else {
        may_have_all(job);
        out->class = RETRY_AGAIN;
        errmsg_set(&out->text, -EBADMSG, "%u, but the answer is none of PutRecordBatch for %u "
                   "records", reply->status, h->count);
    }
    json_decref(answer);
}

/* By the service's clock we are more than a minute late or early: then that is what is wrong. */
static bool clock_wrong(struct remote_job *job, const struct reply *reply)
{
    const struct hose *h = job->own;
    const char *date = request_reply_header(reply, "date");
    int64_t offset_s, change_s;
    uint64_t there_s;

    if (!date || !remote_date(date, &there_s))
        return false;
    offset_s = (int64_t)there_s - (int64_t)h->utc_s;
    change_s = offset_s - job->at->clock_offset_s;
    if (change_s >= -60 && change_s <= 60)
        return false;
    job->at->clock_offset_s = offset_s;
    return true;
}

static void error_class(struct remote_job *job, const struct reply *reply, const char *code,
                        struct remote_outcome *out, const char **ret_todo)
{
    static const struct {
        const char *code, *todo;
        enum retry_class class;
        bool clock;
    } known[] = {
        {"ResourceNotFoundException", "; create that delivery stream, or correct delivery_stream, "
         "region or endpoint", RETRY_REJECT, false},
        {"AccessDeniedException", "; the keys need firehose:PutRecordBatch", RETRY_REJECT, false},
        {"UnrecognizedClientException", "; correct access_key", RETRY_REJECT, false},
        {"InvalidClientTokenId", "; correct access_key", RETRY_REJECT, false},
        {"SignatureDoesNotMatch", "; correct secret_key or region", RETRY_REJECT, true},
        {"InvalidSignatureException", "; correct secret_key or region", RETRY_REJECT, true},
        {"RequestTimeTooSkewed", "; set the clock", RETRY_REJECT, true},
        {"RequestExpired", "; set the clock", RETRY_REJECT, true},
        {"ExpiredTokenException", "", RETRY_CREDENTIALS, false},
        {"ExpiredToken", "", RETRY_CREDENTIALS, false},
    };

    *ret_todo = "";
    out->class = throttling(code) ? RETRY_THROTTLED : remote_class(reply->status);
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (strcmp(known[i].code, code) != 0)
            continue;
        out->class = known[i].clock && clock_wrong(job, reply) ? RETRY_CLOCK : known[i].class;
        *ret_todo = known[i].todo;
    }
}

static void error_take(struct remote_job *job, const struct reply *reply,
                       struct remote_outcome *out)
{
    json_t *answer = json_loadb(reply->body, reply->body_len, 0, NULL);
    char type[REMOTE_EXCERPT_BYTES], message[REMOTE_EXCERPT_BYTES];
    const char *code, *todo;

    text_of(answer, "__type", type);
    text_of(answer, json_object_get(answer, "message") ? "message" : "Message", message);
    if (!answer)
        remote_excerpt(reply->body, reply->body_len, message);
    json_decref(answer);
    /* "com.amazonaws.firehose#Code:http://..." */
    code = strchr(type, '#') ? strchr(type, '#') + 1 : type;
    type[(size_t)(code - type) + strcspn(code, ":")] = '\0';
    if (reply->status >= 500)
        may_have_all(job);
    error_class(job, reply, code, out, &todo);
    errmsg_set(&out->text, -EREMOTEIO, "stream %s: %u %s%s%s%s", job->place, reply->status, code,
               code[0] != '\0' && message[0] != '\0' ? ": " : "", message, todo);
}

static void hose_take(struct remote_job *job, struct remote_lane *lane, const struct reply *reply,
                      struct remote_outcome *ret_outcome)
{
    struct hose *h = job->own;

    may_have_repeats(job, lane);
    if (reply->status == 200)
        success_take(job, reply, ret_outcome);
    else
        error_take(job, reply, ret_outcome);
    ret_outcome->after_ns = remote_retry_after_ns(reply, h->utc_s);
    if (ret_outcome->class != RETRY_OK)
        records_rest(&h->records);      /* it may wait for long, beside many others */
}

/* What the service has not seen the end of, it has not taken. */
static void hose_lost(struct remote_job *job, struct remote_lane *lane, uint64_t sent)
{
    struct hose *h = job->own;

    may_have_repeats(job, lane);
    if (sent >= lane->body.len)
        may_have_all(job);
    records_rest(&h->records);
}

const struct remote_kind firehose_kind = {
    .name = "firehose",
    .signs = true,
    .region_wanted = true,
    .open = hose_open,
    .close = hose_close,
    .begin = hose_begin,
    .end = hose_end,
    .plan = hose_plan,
    .make = hose_make,
    .take = hose_take,
    .lost = hose_lost,
};
