/*
 * s3: batches to S3 and to services that speak like it: the remote kind "s3" (remote.h).
 *
 * A batch is one object under a key that never changes, and there is no second one of it:
 *
 *   S1  What is stored is what was sealed. The last bytes of a body go out only if the checksum of
 *       all of them is that of the seal, or of the part; and an upload is completed only if its
 *       parts' checksums make that of the whole. Until then nothing is visible: half a body is
 *       none, and parts of an upload that is not completed are no object.
 *   S2  What stores it (PutObject, CompleteMultipartUpload) says `If-None-Match: *`, so it takes
 *       nobody's place. Where the key is taken (412), or it is not known what became of a request,
 *       HEAD tells by the object's metadata whether it is this batch: then it is delivered, for an
 *       object is there whole or not at all.
 *   S3  Services that know no such condition (501), or that the configuration says not to ask: HEAD
 *       goes just before, and only an absent key is written. An object that somebody else puts
 *       there in between would be replaced; keys are unique, so there is none.
 *       In the same way a list of parts goes without their checksums to a service whose schema has
 *       none (400 MalformedXML).
 *   S4  One upload at a time is open. Before one is begun after a restart, or after an answer to
 *       CreateMultipartUpload was lost, those that are open under the key are listed and aborted.
 *       A key is of one batch for ever: whatever upload has exactly this key is ours, and left
 *       over. That is why upload ids are not logged: the list has them, and those too that nobody
 *       was told of. A request of before may take effect after that list: there is another one when
 *       the batch is stored.
 *
 * Objects have no Content-Encoding: their keys end in ".gz" and the like, and readers that go by
 * that would decompress twice. Content-Type is that of what was compressed.
 *
 * A job that is cut off (its sink is removed, the agent ends) leaves its upload open: the next life
 * of the batch aborts it, or else the bucket's lifecycle rule AbortIncompleteMultipartUpload.
 *
 * Owns:   of a sink what it has learned of the service; of a job 100 bytes for each part.
 * Thread: delivery.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/blocks.h"
#include "base/crc32c.h"
#include "base/invariant.h"
#include "sink/s3_job.h"

enum {
    ANSWER_BYTES_MAX = 256 * 1024,
    LIST_BYTES_MAX = 8 * 1024 * 1024    /* 1000 uploads with the longest keys, escaped */
};

static bool conditional(const struct remote_job *job)
{
    const struct s3_sink *at = job->at->own;
    enum s3_choice choice = job->at->set.s3.conditional;

    return choice == S3_YES || (choice == S3_AUTO && !at->no_conditional);
}

/* ---------------------------------------------------------------------------- beginning and end */

static int sink_open(struct remote_sink *sink, struct errmsg *err)
{
    sink->own = calloc(1, sizeof(struct s3_sink));
    return sink->own ? 0 : errmsg_set(err, -ENOMEM, "out of memory");
}

static void sink_close(struct remote_sink *sink)
{
    free(sink->own);
    sink->own = NULL;
}

static void job_end(struct remote_job *job)
{
    struct s3_job *own = job->own;

    if (own)
        free(own->parts);
    free(own);
    job->own = NULL;
}

static int job_begin(struct remote_job *job, struct errmsg *err)
{
    struct s3_job *own = calloc(1, sizeof(*own));
    uint64_t part_bytes = job->at->set.s3.part_bytes;
    int r;

    job->own = own;
    if (!own)
        return errmsg_set(err, -ENOMEM, "out of memory");
    own->look = job->resumed;
    /* What now fits one request may have been begun in smaller parts. */
    own->sweep = own->sweep_last = job->resumed && (job->file_bytes > S3_PART_BYTES_MIN
                                                    || job->file_bytes > part_bytes);
    if (job->file_bytes <= part_bytes)
        return 0;
    r = s3_parts(job->file_bytes, part_bytes, &own->part_bytes, &own->parts_count);
    if (r) {
        errmsg_set(err, r, "larger than S3 takes an object");
    } else {
        own->parts = calloc(own->parts_count, sizeof(*own->parts));
        if (!own->parts)
            r = errmsg_set(err, -ENOMEM, "out of memory");
    }
    if (r)
        job_end(job);
    return r;
}

/* ----------------------------------------------------------------------------------------- plan */

static enum remote_plan plan(struct remote_lane *lane, enum s3_step step)
{
    lane->step = (int)step;
    lane->file_at = lane->file_len = 0;
    lane->hash = lane->sha256_wanted = false;
    return REMOTE_SEND;
}

/* The checksum of that part of the file, as the seal has it. False: the file has to be read. */
static bool sealed_crc32c(const struct remote_job *job, uint64_t at, uint64_t len,
                          uint32_t *ret_crc32c)
{
    uint64_t end = at + len;
    uint32_t sum = 0;

    if (len == job->file_bytes) {
        *ret_crc32c = job->crc32c;
        return true;
    }
    if (!job->block_crc32c || at % BLOCK_BYTES != 0
        || (end % BLOCK_BYTES != 0 && end != job->file_bytes))
        return false;
    for (; at < end; at += BLOCK_BYTES)
        sum = crc32c_combine(sum, job->block_crc32c[at / BLOCK_BYTES],
                             end - at < BLOCK_BYTES ? end - at : BLOCK_BYTES);
    *ret_crc32c = sum;
    return true;
}

static enum remote_plan plan_file(struct remote_lane *lane, enum s3_step step, uint64_t at,
                                  uint64_t len)
{
    struct remote_job *job = lane->job;

    (void)plan(lane, step);
    lane->file_at = at;
    lane->file_len = len;
    lane->sha256_wanted = s3_payload_signed(&job->at->set.s3.set);
    lane->hash = !sealed_crc32c(job, at, len, &lane->crc32c) || lane->sha256_wanted;
    return REMOTE_SEND;
}

static enum remote_plan plan_part(struct remote_job *job, struct remote_lane *lane)
{
    struct s3_job *own = job->own;
    uint64_t at = own->planned * own->part_bytes;
    uint64_t rest = job->file_bytes - at;

    lane->number = ++own->planned;
    return plan_file(lane, S3_STEP_PART, at, rest < own->part_bytes ? rest : own->part_bytes);
}

/* Do the parts, each of which was sent with its checksum, make the file that was sealed? */
static bool parts_sound(const struct remote_job *job)
{
    const struct s3_job *own = job->own;
    uint64_t rest = job->file_bytes;
    uint32_t sum = 0;

    for (uint32_t i = 0; i < own->parts_count; i++) {
        uint64_t len = rest < own->part_bytes ? rest : own->part_bytes;

        sum = crc32c_combine(sum, own->parts[i].crc32c, len);
        rest -= len;
    }
    return sum == job->crc32c;
}

static enum remote_plan over(struct remote_job *job, enum sink_result result)
{
    job->result = result;
    return REMOTE_OVER;
}

/* All but parts goes alone, so that no answer is about an upload that is not the present one. */
static enum remote_plan job_plan(struct remote_job *job, struct remote_lane *lane)
{
    struct s3_job *own = job->own;
    bool open = own->upload[0] != '\0';

    if (open && !own->give_up && !own->look && !own->stored && !job->damaged
        && own->planned < own->parts_count)
        return plan_part(job, lane);
    if (job->lanes_out > 0)
        return REMOTE_WAIT;
    if (own->look)
        return plan(lane, S3_STEP_HEAD);
    if (open && (own->give_up || own->stored || job->damaged))
        return plan(lane, S3_STEP_ABORT);
    if (own->sweep || (own->stored && own->sweep_last))
        return plan(lane, S3_STEP_LIST);
    if (own->stored)
        return over(job, SINK_DONE);
    if (job->damaged)
        return over(job, SINK_DAMAGED);     /* job->err says what is wrong with it */
    if (own->parts_count > 0 && !open)
        return plan(lane, S3_STEP_CREATE);
    if (!conditional(job) && !own->absent)
        return plan(lane, S3_STEP_HEAD);
    if (own->parts_count == 0)
        return plan_file(lane, S3_STEP_PUT, 0, job->file_bytes);
    INVARIANT(own->done == own->parts_count);
    if (!parts_sound(job)) {
        remote_damaged_file(job, "it is not what was sealed");
        return plan(lane, S3_STEP_ABORT);
    }
    return plan(lane, S3_STEP_COMPLETE);
}

/* ----------------------------------------------------------------------------------------- make */

/* What was planned is not what is due by now, when it is to go out, perhaps once more. */
static bool outdated(const struct remote_job *job, const struct remote_lane *lane)
{
    const struct s3_job *own = job->own;
    bool of_upload = lane->step == S3_STEP_PART || lane->step == S3_STEP_COMPLETE;
    bool stores = lane->step == S3_STEP_PUT || lane->step == S3_STEP_COMPLETE;

    if (lane->step == S3_STEP_HEAD || lane->step == S3_STEP_LIST || lane->step == S3_STEP_ABORT)
        return false;
    return own->look || job->damaged
           || (of_upload && (own->upload[0] == '\0' || own->give_up))
           || (stores && !conditional(job) && !own->absent)
           || (lane->file_len > 0
               && lane->sha256_wanted != s3_payload_signed(&job->at->set.s3.set));
}

static int request_make(struct remote_job *job, struct remote_lane *lane,
                        const struct s3_bucket *b, struct errmsg *err)
{
    struct s3_job *own = job->own;
    struct s3_object object = s3_job_object(job);
    struct request *r = &lane->request;

    switch ((enum s3_step)lane->step) {
    case S3_STEP_HEAD:
        return s3_head(b, job->key, r, err);
    case S3_STEP_LIST:
        return s3_list_uploads(b, job->key, own->list.key_marker, own->list.upload_id_marker, r,
                               err);
    case S3_STEP_ABORT:
        return s3_abort_upload(b, job->key, own->upload, r, err);
    case S3_STEP_PUT:
        INVARIANT(lane->crc32c == job->crc32c);
        return s3_put(b, &object, own->conditional, r, err);
    case S3_STEP_CREATE:
        return s3_create_upload(b, &object, r, err);
    case S3_STEP_PART:
        return s3_upload_part(b, job->key, own->upload, lane->number, lane->crc32c, r, err);
    case S3_STEP_COMPLETE:
        if (s3_complete_body(b, own->parts, own->parts_count, &lane->body))
            return errmsg_set(err, -ENOMEM, "out of memory");
        return s3_complete_upload(b, job->key, own->upload, own->conditional, r, err);
    }
    INVARIANT(false);
}

static int request_sign(struct remote_sink *sink, struct remote_lane *lane,
                        const struct s3_bucket *b, const struct credentials_keys *keys,
                        uint64_t utc_s, struct errmsg *err)
{
    struct s3_sink *at = sink->own;
    char hash[SIGV4_HEX_BYTES] = SIGV4_EMPTY_SHA256;
    const char *payload = hash;
    int r;

    if (strcmp(sink->sign.region, b->region) != 0) {
        sigv4_fini(&sink->sign);
        r = sigv4_init(&sink->sign, b->region, "s3", err);
        if (r)
            return r;
    }
    if (lane->file_len > 0)
        payload = b->signed_payload ? lane->sha256 : SIGV4_UNSIGNED_PAYLOAD;
    else if (lane->body.len > 0 && sigv4_hash(lane->body.data, lane->body.len, hash))
        return errmsg_set(err, -EIO, "SHA-256 cannot be computed");
    at->signed_utc_s = utc_s;
    at->temporary = keys->sign.session_token && keys->sign.session_token[0] != '\0';
    return sigv4_sign(&sink->sign, &keys->sign,
                      (uint64_t)((int64_t)utc_s + sink->clock_offset_s), payload, &lane->request,
                      err);
}

static int job_make(struct remote_job *job, struct remote_lane *lane,
                    const struct credentials_keys *keys, uint64_t utc_s, struct errmsg *err)
{
    struct s3_settings set = job->at->set.s3.set;
    const struct s3_sink *at = job->at->own;
    struct s3_job *own = job->own;
    struct s3_bucket b;
    int r;

    set.bucket = job->place;
    if (set.region[0] == '\0')
        set.region = keys->region;
    if (s3_bucket_init(&b, &set, err))
        return -EOPNOTSUPP;             /* as it is configured it cannot be sent anywhere */
    if (outdated(job, lane))
        (void)plan(lane, S3_STEP_HEAD);
    if (lane->step == S3_STEP_COMPLETE)
        b.set.checksum = own->checksums = set.checksum && !at->no_checksums;
    own->conditional = conditional(job);
    own->absent = false;
    lane->answer_bytes_max = lane->step == S3_STEP_LIST ? LIST_BYTES_MAX : ANSWER_BYTES_MAX;
    r = request_make(job, lane, &b, err);
    return r ? r : request_sign(job->at, lane, &b, keys, utc_s, err);
}

const struct remote_kind s3_kind = {
    .name = "s3",
    .signs = true,
    .region_wanted = true,
    .open = sink_open,
    .close = sink_close,
    .begin = job_begin,
    .end = job_end,
    .plan = job_plan,
    .make = job_make,
    .take = s3_take,
    .lost = s3_lost,
};
