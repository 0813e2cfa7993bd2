/*
 * delivery_job: lanes: planned, read, sent, answered, until the kind says that the job is over.
 *
 * What a service stores is what was sealed, byte for byte, or it is nothing: what is sent of a file
 * is counted on its way, and held back at its end if it has another checksum than the lane's. That
 * checksum is the seal's own, or comes of reading the file before, where the kind asks for it.
 *
 * Owns:   see the header.
 * Thread: delivery.
 */
#include "sink/delivery_job.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/invariant.h"
#include "base/log.h"
#include "io/file.h"

enum { REPLY_HEADERS_MAX = 64, CONNECT_TIMEOUT_MS = 10000 };

static const char other_bytes[] = "it is not what was sealed";

void remote_doubt_file(struct remote_job *job)
{
    job->doubted = true;
    job->doubt_read = 0;
    job->doubt_crc32c = 0;
}

void remote_damaged_file(struct remote_job *job, const char *why)
{
    job->damaged = true;
    errmsg_set(&job->err, -EBADMSG, "spool/%s: %s", job->spool_name, why);
}

uint64_t delivery_random64(void)
{
    uint64_t random;

    file_random(&random, sizeof(random));
    return random;
}

/* --- a lane's state ------------------------------------------------------------------------- */

/* Lanes that wait for somebody's help leave room for others. */
static bool lane_counts(const struct remote_lane *lane)
{
    return lane->state != REMOTE_LANE_FREE && !lane->retry.rejected;
}

static void lane_set(struct remote_lane *lane, enum remote_lane_state state)
{
    struct remote_job *job = lane->job;

    if (lane_counts(lane))
        job->at->lanes_planned--;
    if (lane->state != REMOTE_LANE_FREE)
        job->lanes_out--;
    lane->state = state;
    if (lane_counts(lane))
        job->at->lanes_planned++;
    if (lane->state != REMOTE_LANE_FREE)
        job->lanes_out++;
}

/* Whatever retry_*() makes of the lane, the sink counts it right. */
#define LANE_RETRY(lane, statement)                     \
    do {                                                \
        (lane)->job->at->lanes_planned -= lane_counts(lane); \
        statement;                                      \
        (lane)->job->at->lanes_planned += lane_counts(lane); \
    } while (0)

static struct remote_lane *lane_free_one(struct remote_job *job)
{
    struct remote_lane *lane;

    for (lane = job->lanes; lane; lane = lane->next)
        if (lane->state == REMOTE_LANE_FREE)
            return lane;
    lane = calloc(1, sizeof(*lane));
    if (!lane)
        return NULL;
    lane->job = job;
    lane->next = job->lanes;
    job->lanes = lane;
    return lane;
}

static void lane_drop(struct remote_lane *lane, uint64_t now_ns)
{
    http_call_cancel(&lane->call);
    http_call_fini(&lane->call);
    request_clear(&lane->request);
    bytes_free(&lane->body);
    EVP_MD_CTX_free(lane->sha256_ctx);
    LANE_RETRY(lane, retry_forget(&lane->job->at->retry, &lane->retry, now_ns));
    lane_set(lane, REMOTE_LANE_FREE);
    free(lane);
}

/* --- the file ------------------------------------------------------------------------------- */

/* Reads `len` bytes at `at`. False: it cannot be done. */
static bool file_read_whole(struct remote_job *job, uint8_t *to, size_t len, uint64_t at)
{
    for (size_t have = 0; have < len;) {
        ssize_t n = file_read(job->file_fd, to + have, len - have, at + have);

        if (n <= 0) {
            remote_damaged_file(job, n < 0 ? strerror((int)-n)
                                           : "it is shorter than it was sealed");
            return false;
        }
        have += (size_t)n;
    }
    return true;
}

/* One more pass over all of it. */
static void doubt_step(struct remote_job *job, struct delivery_turn *turn)
{
    uint64_t rest = job->file_bytes - job->doubt_read;
    size_t len = rest < DELIVERY_READ_BYTES ? (size_t)rest : DELIVERY_READ_BYTES;

    if (!file_read_whole(job, turn->buffer, len, job->doubt_read))
        return;
    job->doubt_crc32c = crc32c(job->doubt_crc32c, turn->buffer, len);
    job->doubt_read += len;
    if (job->doubt_read < job->file_bytes)
        return;
    job->doubted = false;
    if (job->doubt_crc32c != job->crc32c)
        remote_damaged_file(job, other_bytes);
}

static bool read_begin(struct remote_lane *lane)
{
    lane->hashed = 0;
    lane->crc32c = 0;
    lane->sha256[0] = '\0';
    if (!lane->sha256_wanted)
        return true;
    if (!lane->sha256_ctx)
        lane->sha256_ctx = EVP_MD_CTX_new();
    return lane->sha256_ctx && EVP_DigestInit_ex(lane->sha256_ctx, EVP_sha256(), NULL) == 1;
}

static bool read_end(struct remote_lane *lane)
{
    uint8_t hash[SIGV4_SHA256_BYTES];

    if (!lane->sha256_wanted)
        return true;
    if (EVP_DigestFinal_ex(lane->sha256_ctx, hash, NULL) != 1)
        return false;
    bytes_hex(lane->sha256, hash, sizeof(hash));
    return true;
}

static void lane_read(struct remote_lane *lane, struct delivery_turn *turn)
{
    struct remote_job *job = lane->job;
    uint64_t rest = lane->file_len - lane->hashed;
    size_t len = rest < DELIVERY_READ_BYTES ? (size_t)rest : DELIVERY_READ_BYTES;
    bool sound = true;

    if (job->doubted) {
        doubt_step(job, turn);
    } else {
        uint64_t at = lane->file_at + lane->hashed;

        if (lane->hashed == 0)
            sound = read_begin(lane);
        if (sound && file_read_whole(job, turn->buffer, len, at)) {
            lane->crc32c = crc32c(lane->crc32c, turn->buffer, len);
            if (lane->sha256_wanted)
                sound = EVP_DigestUpdate(lane->sha256_ctx, turn->buffer, len) == 1;
            lane->hashed += len;
            if (sound && lane->hashed == lane->file_len)
                sound = read_end(lane);
        }
    }
    if (!sound)
        remote_damaged_file(job, "its hash cannot be computed");
    if (!job->damaged && (job->doubted || lane->hashed < lane->file_len))
        return;
    if (!job->damaged && lane->file_len == job->file_bytes && lane->crc32c != job->crc32c)
        remote_damaged_file(job, other_bytes);
    job->reading = NULL;
    lane_set(lane, job->damaged ? REMOTE_LANE_FREE      /* the kind decides anew */
                                : REMOTE_LANE_READY);
}

/* The first in the file of those that are to be read. */
static struct remote_lane *lane_to_read(struct remote_job *job)
{
    struct remote_lane *first = NULL;

    for (struct remote_lane *lane = job->lanes; lane; lane = lane->next)
        if (lane->state == REMOTE_LANE_READ && (!first || lane->file_at < first->file_at))
            first = lane;
    return first;
}

/* A plan is to be carried out, for the first time or once more. */
static void lane_to_send(struct remote_lane *lane)
{
    bool read = lane->file_len > 0
                && (lane->job->doubted || (lane->hash && lane->hashed < lane->file_len));

    if (read)
        lane->hashed = lane->hash ? 0 : lane->file_len;
    lane_set(lane, read ? REMOTE_LANE_READ : REMOTE_LANE_READY);
}

/* --- out and back --------------------------------------------------------------------------- */

static void lane_answered(struct remote_lane *lane, const struct remote_outcome *outcome,
                          struct delivery_turn *turn)
{
    static struct log_limit limit = LOG_LIMIT_INIT("batches refused", 5, 10 * 1000000000ULL);
    struct remote_job *job = lane->job;
    struct remote_sink *sink = job->at;
    struct retry_reply reply = {outcome->class, outcome->after_ns, outcome->text.text};

    if (outcome->class == RETRY_CREDENTIALS && sink->credentials)
        credentials_refused(sink->credentials, lane->keys_generation);
    if (outcome->class == RETRY_REJECT && !lane->retry.rejected
        && log_limit_allow(&limit, turn->now_ns))
        log_warn("sink '%s': %s: %s; it is kept, and tried again every few minutes", job->sink,
                 job->key, outcome->text.text);
    else if (outcome->class != RETRY_OK)
        log_debug("sink '%s': %s: %s", job->sink, job->key, outcome->text.text);
    if (outcome->class != RETRY_OK)
        bytes_free(&lane->body);        /* it may wait for long, beside many others */
    LANE_RETRY(lane, retry_done(&sink->retry, &lane->retry, &reply, turn->now_ns,
                                delivery_random64()));
    if (outcome->class == RETRY_OK && !outcome->again)
        lane_set(lane, REMOTE_LANE_FREE);
    else
        lane_to_send(lane);
}

/* "Name: value" lines of a head become headers; its text is cut up. */
static uint32_t head_split(struct bytes *head, struct request_header *to)
{
    char *at = (char *)head->data, *end = at + head->len;
    uint32_t count = 0;

    while (at < end && count < REPLY_HEADERS_MAX) {
        char *line_end = memchr(at, '\n', (size_t)(end - at)), *colon, *value, *tail;

        if (!line_end)
            break;
        colon = memchr(at, ':', (size_t)(line_end - at));
        if (colon && colon > at) {
            *colon = '\0';
            for (value = colon + 1; *value == ' ' || *value == '\t';)
                value++;
            for (tail = line_end; tail > value && strchr(" \t\r", tail[-1]) && tail[-1];)
                tail--;
            *tail = '\0';
            to[count++] = (struct request_header){at, value};
        }
        at = line_end + 1;
    }
    return count;
}

/* Nothing is wrong with the service. The kind decides anew. */
static void lane_damaged(struct remote_lane *lane, const char *why, uint64_t now_ns)
{
    remote_damaged_file(lane->job, why);
    LANE_RETRY(lane, retry_forget(&lane->job->at->retry, &lane->retry, now_ns));
    lane_set(lane, REMOTE_LANE_FREE);
}

static void lane_take(struct remote_lane *lane, struct delivery_turn *turn)
{
    const struct remote_kind *kind = lane->job->at->kind;
    struct request_header headers[REPLY_HEADERS_MAX];
    struct remote_outcome outcome = {0};
    struct http_call *call = &lane->call;

    request_clear(&lane->request);
    if (call->result == 0) {
        struct reply reply = {
            .status = call->status,
            .headers = headers,
            .headers_count = head_split(&call->head, headers),
            .body = (const char *)call->answer.data,
            .body_len = call->answer.len,
        };

        kind->take(lane->job, lane, &reply, &outcome);
    } else {
        if (kind->lost)
            kind->lost(lane->job, lane, call->sent);
        outcome.class = RETRY_AGAIN;
        outcome.text = call->err;
    }
    http_call_fini(call);
    if (call->result == -EIO || call->result == -EBADMSG)
        lane_damaged(lane, call->result == -EIO ? call->err.text : other_bytes, turn->now_ns);
    else
        lane_answered(lane, &outcome, turn);
}

/* NULL: the system's. */
static const char *ca_file_of(const struct remote_sink *sink)
{
    const char *file = sink->set.ca_file;

    if (!file[0])
        file = sink->kind->signs ? getenv("AWS_CA_BUNDLE") : NULL;
    return file && file[0] ? file : NULL;
}

static int call_start(struct remote_lane *lane, struct delivery_turn *turn, struct errmsg *err)
{
    const struct remote_sink *sink = lane->job->at;
    uint64_t timeout_ms = sink->set.timeout_ns / 1000000;
    struct request *request = &lane->request;
    int r;

    for (uint32_t i = 0; i < request->headers_count; i++)
        lane->headers[i] = (struct http_header){request->headers[i].name,
                                                request->headers[i].value};
    lane->call = (struct http_call){
        .method = request->method,
        .url = request->url,
        .headers = lane->headers,
        .headers_count = request->headers_count,
        .body = lane->body.len > 0 ? lane->body.data : NULL,
        .body_fd = lane->job->file_fd,
        .body_at = lane->file_at,
        .body_len = lane->body.len > 0 ? lane->body.len : lane->file_len,
        .body_crc32c = lane->crc32c,
        .connect_timeout_ms = timeout_ms < CONNECT_TIMEOUT_MS ? (uint32_t)timeout_ms
                                                              : CONNECT_TIMEOUT_MS,
        .stall_timeout_ms = (uint32_t)timeout_ms,
        .ca_file = ca_file_of(sink),
        .answer_bytes_max = lane->answer_bytes_max,
        .done = turn->on_answer,
        .ctx = lane,
    };
    r = http_call_start(turn->pool, &lane->call);
    if (r)
        *err = lane->call.err;
    return r;
}

static void lane_send(struct remote_lane *lane, struct delivery_turn *turn)
{
    struct remote_sink *sink = lane->job->at;
    uint64_t at_ns = retry_next_ns(&sink->retry, &lane->retry);
    struct remote_outcome outcome = {.class = RETRY_AGAIN};
    struct credentials_keys keys;
    bool begun;
    int r = 0;

    if (at_ns > turn->now_ns) {
        if (at_ns < turn->next_ns)
            turn->next_ns = at_ns;
        return;
    }
    if (sink->credentials) {
        if (credentials_get(sink->credentials, turn->now_ns, &keys, &outcome.text))
            return;
        lane->keys_generation = keys.generation;
    }
    LANE_RETRY(lane, begun = retry_begin(&sink->retry, &lane->retry, turn->now_ns));
    INVARIANT(begun);
    bytes_clear(&lane->body);
    r = sink->kind->make(lane->job, lane, sink->credentials ? &keys : NULL,
                         turn->utc_ns / 1000000000ULL, &outcome.text);
    if (!r)
        r = call_start(lane, turn, &outcome.text);
    if (!r) {
        lane_set(lane, REMOTE_LANE_OUT);
        return;
    }
    if (r == -EOPNOTSUPP)
        outcome.class = RETRY_REJECT;
    request_clear(&lane->request);
    lane_answered(lane, &outcome, turn);
    at_ns = retry_next_ns(&sink->retry, &lane->retry);
    if (at_ns < turn->next_ns)
        turn->next_ns = at_ns;
}

/* --- the job -------------------------------------------------------------------------------- */

void delivery_job_drop(struct remote_job *job, uint64_t now_ns)
{
    while (job->lanes) {
        struct remote_lane *lane = job->lanes;

        job->lanes = lane->next;
        lane_drop(lane, now_ns);
    }
    if (job->begun && job->at->kind->end)
        job->at->kind->end(job);
    if (job->begun)
        file_close(job->file_fd);
    job->begun = false;
    job->reading = NULL;
    job->own = NULL;
}

/* False: it is over, with a result. */
static bool job_begin(struct remote_job *job)
{
    int r;

    job->file_fd = file_open(job->spool_dir, job->spool_name, O_RDONLY, 0);
    job->damaged = job->doubted = false;
    if (job->file_fd < 0) {
        job->result = job->file_fd == -ENOENT ? SINK_DAMAGED : SINK_RETRY;
        errmsg_set_errno(&job->err, job->file_fd, "spool/%s", job->spool_name);
        return false;
    }
    r = job->at->kind->begin ? job->at->kind->begin(job, &job->err) : 0;
    if (r) {
        file_close(job->file_fd);
        job->result = SINK_RETRY;
        return false;
    }
    job->begun = true;
    return true;
}

/* More lanes, as far as the sink's window goes. True: the job is over. */
static bool job_plan(struct remote_job *job)
{
    struct remote_sink *sink = job->at;

    /* What has nothing out is asked in any case: it may be over. */
    while (sink->lanes_planned < sink->retry.window || job->lanes_out == 0) {
        struct remote_lane *lane = lane_free_one(job);
        enum remote_plan plan;

        if (!lane) {
            job->result = SINK_RETRY;
            errmsg_set(&job->err, -ENOMEM, "no memory");
            return job->lanes_out == 0;
        }
        lane->file_at = lane->file_len = lane->hashed = 0;
        lane->hash = lane->sha256_wanted = false;
        plan = sink->kind->plan(job, lane);
        if (plan == REMOTE_OVER) {
            INVARIANT(job->lanes_out == 0);
            return true;
        }
        if (plan == REMOTE_WAIT) {
            INVARIANT(job->lanes_out > 0);
            return false;
        }
        lane_to_send(lane);
    }
    return false;
}

bool delivery_job_step(struct remote_job *job, struct delivery_turn *turn)
{
    if (!job->begun && !job_begin(job))
        return true;
    for (struct remote_lane *lane = job->lanes; lane; lane = lane->next)
        if (lane->state == REMOTE_LANE_ANSWERED)
            lane_take(lane, turn);
    if (job->reading)
        lane_read(job->reading, turn);
    if (job_plan(job)) {
        delivery_job_drop(job, turn->now_ns);
        return true;
    }
    for (struct remote_lane *lane = job->lanes; lane; lane = lane->next)
        if (lane->state == REMOTE_LANE_READY)
            lane_send(lane, turn);
    if (!job->reading)
        job->reading = lane_to_read(job);
    if (job->reading)
        turn->next_ns = turn->now_ns;
    return false;
}
