/*
 * s3_take: what answers of S3 mean for a batch: whether it is stored, and what is due next.
 *
 * An answer that leads somewhere else is RETRY_OK, for then the batch is planned anew. What is not
 * known for certain is never taken for success: HEAD is due.
 *
 * Owns:   see s3.c.
 * Thread: delivery.
 */
#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "sink/s3_job.h"
#include "sink/s3_outcome.h"

enum {
    DETOURS_AT_ONCE = 3,            /* then with a pause: a service could lead us in a circle */
    SWEEPS_MAX = 64,                /* lists that are asked for, one after the other */
    SKEW_S_MAX = 15 * 60            /* S3 refuses signatures that are older */
};

static void detour(struct s3_job *own, struct remote_outcome *o)
{
    o->class = own->detours < DETOURS_AT_ONCE ? RETRY_OK : RETRY_AGAIN;
    own->detours++;
}

static bool is_code(const struct s3_error *e, const char *code)
{
    return strcmp(e->code, code) == 0;
}

static void upload_gone(struct s3_job *own)
{
    own->upload[0] = '\0';
    own->give_up = false;
    own->planned = own->done = 0;
}

static void stored(struct s3_job *own)
{
    own->stored = true;
    own->look = own->taken = false;
}

/* It says that it worked, and not what is needed of it. */
static void unreadable(const struct remote_job *job, struct remote_outcome *o, const char *what)
{
    o->class = RETRY_AGAIN;
    (void)errmsg_set(&o->text, -EBADMSG, "bucket '%s': the answer %s", job->place, what);
}

/* 0: the service does not say what time it is. */
static uint64_t date_of(const struct reply *reply)
{
    const char *text = request_reply_header(reply, "date");
    uint64_t utc_s;

    return text && remote_date(text, &utc_s) ? utc_s : 0;
}

/* A HEAD that fails has no body, so no code: what else its head says has to do. */
static void head_failed(struct remote_job *job, const struct reply *reply,
                        struct remote_outcome *o)
{
    struct s3_job *own = job->own;
    const struct s3_sink *at = job->at->own;
    int64_t ours_s = (int64_t)at->signed_utc_s + job->at->clock_offset_s;
    int64_t date_s = (int64_t)date_of(reply), ahead_s = date_s - ours_s;
    struct errmsg said = o->text;

    if (reply->status == 400 && at->temporary
        && !request_reply_header(reply, "x-amz-bucket-region")) {
        o->class = RETRY_CREDENTIALS;
    } else if (reply->status == 403 && date_s > 0
               && (ahead_s > SKEW_S_MAX || ahead_s < -SKEW_S_MAX)) {
        o->class = RETRY_CLOCK;
    } else if (reply->status == 403 && own->conditional && !own->taken) {
        /* Keys that may only write: the condition protects the key, and 412 tells what HEAD did
         * not. */
        own->look = false;
        o->class = RETRY_OK;
    } else if (reply->status == 403) {
        (void)errmsg_set(&o->text, -EACCES, "%.300s; check access_key and secret_key of [sink %s], "
                         "and allow them s3:GetObject and s3:ListBucket: whose object '%.64s' is "
                         "cannot be told", said.text, job->sink, job->key);
    }
}

static void take_head(struct remote_job *job, const struct reply *reply, struct remote_outcome *o)
{
    struct s3_job *own = job->own;
    struct s3_object object = s3_job_object(job);

    if (reply->status == 404) {
        own->absent = true;
        own->look = own->taken = false;
        o->class = RETRY_OK;
    } else if (o->class == RETRY_REJECT) {
        head_failed(job, reply, o);
    } else if (o->class == RETRY_OK && s3_object_is(reply, &object)) {
        stored(own);
    } else if (o->class == RETRY_OK) {
        o->class = RETRY_REJECT;
        (void)errmsg_set(&o->text, -EEXIST, "bucket '%s': another object has this key; it is not "
                         "replaced: move it away", job->place);
    }
}

/* 501: whether it can store only where there is nothing is learned by asking. */
static void condition_refused(struct remote_job *job, struct remote_outcome *o)
{
    struct s3_sink *at = job->at->own;

    if (job->at->set.s3.conditional == S3_YES) {
        errmsg_prefix(&o->text, "[sink %s] conditional_write = yes, which the service does not "
                      "have; auto goes without: ", job->sink);
        return;
    }
    if (!at->no_conditional)
        log_info("sink '%s': the service has no conditional writes: keys are looked at before they "
                 "are written", job->sink);
    at->no_conditional = true;
    o->class = RETRY_OK;
}

/* Some check lists of parts by a schema that is older than checksums. */
static void checksums_refused(struct remote_job *job, struct remote_outcome *o)
{
    struct s3_sink *at = job->at->own;

    if (!at->no_checksums)
        log_info("sink '%s': the service takes no checksums in lists of parts: they go without",
                 job->sink);
    at->no_checksums = true;
    o->class = RETRY_OK;
}

/* Of PutObject and CompleteMultipartUpload. */
static void take_store(struct remote_job *job, const struct reply *reply,
                       const struct s3_error *e, struct remote_outcome *o)
{
    struct s3_job *own = job->own;

    if (o->class == RETRY_OK) {
        upload_gone(own);
        stored(own);
    } else if (reply->status == 412 || is_code(e, "PreconditionFailed")) {
        own->look = own->taken = true;
        detour(own, o);
    } else if (s3_outcome_doubts_body(e)) {
        remote_doubt_file(job);
    } else if (own->conditional && (reply->status == 501 || is_code(e, "NotImplemented"))) {
        condition_refused(job, o);
    }
}

/* What stored an object names its ETag; a proxy in between says 200 to what it likes. */
static void take_put(struct remote_job *job, const struct reply *reply, const struct s3_error *e,
                     struct remote_outcome *o)
{
    struct s3_job *own = job->own;
    char etag[S3_ETAG_BYTES];

    if (o->class == RETRY_OK && s3_etag_read(reply, etag)) {
        own->look = true;
        unreadable(job, o, "names no ETag");
    } else {
        take_store(job, reply, e, o);
    }
}

static void take_complete(struct remote_job *job, const struct reply *reply, struct s3_error *e,
                          struct remote_outcome *o)
{
    struct s3_job *own = job->own;
    int r = reply->status / 100 == 2 ? s3_complete_read(reply, e) : 0;

    if (r == -EBADMSG) {
        own->look = true;
        unreadable(job, o, "does not tell whether the object is complete");
        return;
    }
    if (r)
        s3_outcome(job, reply, e, o);
    if (is_code(e, "NoSuchUpload")) {
        upload_gone(own);
        own->look = true;               /* it may have worked before */
        detour(own, o);
    } else if (is_code(e, "InvalidPart") || is_code(e, "InvalidPartOrder")
               || is_code(e, "ConditionalRequestConflict")) {
        own->give_up = true;
        detour(own, o);
    } else if (own->checksums && is_code(e, "MalformedXML")) {
        checksums_refused(job, o);
    } else {
        take_store(job, reply, e, o);
    }
}

static void take_part(struct remote_job *job, struct remote_lane *lane, const struct reply *reply,
                      const struct s3_error *e, struct remote_outcome *o)
{
    struct s3_job *own = job->own;
    struct s3_part *part = &own->parts[lane->number - 1];

    if (own->upload[0] == '\0' || own->give_up) {
        /* Of an upload that is no more: there is nothing that anybody could help with. */
        o->class = o->class == RETRY_REJECT ? RETRY_OK : o->class;
    } else if (is_code(e, "NoSuchUpload")) {
        upload_gone(own);
        own->look = true;
        detour(own, o);
    } else if (s3_outcome_doubts_body(e)) {
        remote_doubt_file(job);
    } else if (o->class == RETRY_OK && s3_etag_read(reply, part->etag)) {
        unreadable(job, o, "names no ETag");
    } else if (o->class == RETRY_OK) {
        part->crc32c = lane->crc32c;
        own->done++;
    }
}

static void take_create(struct remote_job *job, const struct reply *reply,
                        struct remote_outcome *o)
{
    struct s3_job *own = job->own;

    if (o->class == RETRY_OK && s3_upload_id_read(reply, own->upload)) {
        own->upload[0] = '\0';
        unreadable(job, o, "names no upload");
    }
    if (o->class == RETRY_AGAIN)
        own->look = own->sweep = own->sweep_last = true;  /* it may have begun one nevertheless */
}

/* ---------------------------------------------------------------------------------------- sweep */

static void sweep_end(struct s3_job *own)
{
    own->sweep = false;
    own->sweep_last = own->sweep_last && !own->stored;
    own->sweeps = 0;
    own->swept[0] = '\0';
    memset(&own->list, 0, sizeof(own->list));
}

/* Uploads that are left over hold up nothing: the batch goes on without. */
static void sweep_refused(struct remote_job *job, struct remote_outcome *o)
{
    struct s3_sink *at = job->at->own;
    struct s3_job *own = job->own;

    if (!at->no_sweep)
        log_warn("sink '%s': %s; uploads that are broken off stay in the bucket: allow "
                 "s3:ListBucketMultipartUploads and s3:AbortMultipartUpload, or let a lifecycle "
                 "rule abort incomplete uploads", job->sink, o->text.text);
    at->no_sweep = true;
    own->sweep_last = false;
    sweep_end(own);
    o->class = RETRY_OK;
}

static bool is_refused(const struct reply *reply)
{
    return reply->status == 403 || reply->status == 405 || reply->status == 501;
}

static int on_upload(const struct s3_upload *upload, void *ctx)
{
    struct remote_job *job = ctx;
    struct s3_job *own = job->own;

    if (strcmp(upload->key, job->key) != 0 || strcmp(upload->id, own->swept) == 0)
        return 0;
    memcpy(own->upload, upload->id, sizeof(own->upload));
    return 1;
}

static void take_list(struct remote_job *job, const struct reply *reply,
                      struct remote_outcome *o)
{
    struct s3_job *own = job->own;
    int r;

    if (o->class != RETRY_OK) {
        if (o->class == RETRY_REJECT && is_refused(reply))
            sweep_refused(job, o);
        return;
    }
    r = s3_uploads_read(reply, &own->list, on_upload, job);
    if (r < 0) {
        memset(&own->list, 0, sizeof(own->list));
        unreadable(job, o, "is no list of uploads");
        return;
    }
    if (r == 1) {
        /* From the beginning when it is aborted: the order of ids is not that of lists. */
        memset(&own->list, 0, sizeof(own->list));
        memcpy(own->swept, own->upload, sizeof(own->swept));
        own->give_up = true;
    }
    if (++own->sweeps == SWEEPS_MAX) {
        (void)errmsg_set(&o->text, -E2BIG, "bucket '%s': the list of uploads has no end",
                         job->place);
        sweep_refused(job, o);
    } else if (r == 0 && !own->list.truncated) {
        sweep_end(own);
    }
}

static void take_abort(struct remote_job *job, const struct reply *reply,
                       const struct s3_error *e, struct remote_outcome *o)
{
    if (o->class == RETRY_REJECT && is_code(e, "NoSuchUpload"))
        o->class = RETRY_OK;
    else if (o->class == RETRY_REJECT && is_refused(reply))
        sweep_refused(job, o);
    if (o->class == RETRY_OK)
        upload_gone(job->own);
}

/* -------------------------------------------------------------------------------------- answers */

static void clock_correct(struct remote_job *job, const struct reply *reply,
                          struct remote_outcome *o)
{
    const struct s3_sink *at = job->at->own;
    uint64_t date_s = date_of(reply);

    if (date_s > 0)
        job->at->clock_offset_s = (int64_t)(date_s - at->signed_utc_s);
    else
        o->class = RETRY_AGAIN;
}

void s3_take(struct remote_job *job, struct remote_lane *lane, const struct reply *reply,
             struct remote_outcome *ret_outcome)
{
    const struct s3_sink *at = job->at->own;
    struct remote_outcome *o = ret_outcome;
    struct s3_error e = {.code = ""};

    if (reply->status / 100 != 2)
        s3_error_read(reply, &e);
    s3_outcome(job, reply, &e, o);
    switch ((enum s3_step)lane->step) {
    case S3_STEP_HEAD:
        take_head(job, reply, o);
        break;
    case S3_STEP_LIST:
        take_list(job, reply, o);
        break;
    case S3_STEP_ABORT:
        take_abort(job, reply, &e, o);
        break;
    case S3_STEP_PUT:
        take_put(job, reply, &e, o);
        break;
    case S3_STEP_CREATE:
        take_create(job, reply, o);
        break;
    case S3_STEP_PART:
        take_part(job, lane, reply, &e, o);
        break;
    case S3_STEP_COMPLETE:
        take_complete(job, reply, &e, o);
        break;
    }
    if (o->class == RETRY_CLOCK)
        clock_correct(job, reply, o);
    if (o->class != RETRY_OK)
        o->after_ns = remote_retry_after_ns(reply, at->signed_utc_s);
}

void s3_lost(struct remote_job *job, struct remote_lane *lane, uint64_t sent)
{
    struct s3_job *own = job->own;

    if (lane->step == S3_STEP_CREATE)
        own->look = own->sweep = own->sweep_last = true;
    /* HEAD costs less than a body that is sent to be told 412, or to be cut off by that. */
    if (lane->step == S3_STEP_COMPLETE || (lane->step == S3_STEP_PUT && sent > 0))
        own->look = true;
}
