/*
 * s3_life: see the header.
 * Owns:   see the header.
 * Thread: one.
 */
#include "s3_life.h"

#include <stdlib.h>
#include <string.h>

#include "base/blocks.h"
#include "base/crc32c.h"
#include "base/invariant.h"
#include "support/rng.h"

static struct credentials_keys keys_of(const struct s3_life *l)
{
    return (struct credentials_keys){
        .sign = {.access_key = "AKID", .secret_key = "secret", .session_token = l->token},
        .region = l->region,
        .generation = 1,
    };
}

uint64_t s3_life_random(struct s3_life *l)
{
    return rng_next(&l->random);
}

static const uint8_t *file_bytes(void)
{
    static uint8_t *data;

    if (!data) {
        data = malloc(S3_LIFE_LARGE);
        INVARIANT(data);
        for (uint64_t i = 0; i < S3_LIFE_LARGE; i++)
            data[i] = (uint8_t)((i * 2654435761u) >> 13);
    }
    return data;
}

const uint32_t *s3_life_sums(void)
{
    static uint32_t sums[S3_LIFE_LARGE / BLOCK_BYTES + 1];

    for (uint64_t at = 0; at < S3_LIFE_LARGE; at += BLOCK_BYTES)
        sums[at / BLOCK_BYTES] = crc32c(0, file_bytes() + at,
                                        S3_LIFE_LARGE - at < BLOCK_BYTES ? S3_LIFE_LARGE - at
                                                                         : BLOCK_BYTES);
    return sums;
}

void s3_life_damage(struct s3_life *l)
{
    l->damaged = malloc(l->job.file_bytes);
    INVARIANT(l->damaged);
    memcpy(l->damaged, l->file, l->job.file_bytes);
    l->damaged[l->job.file_bytes - 1] ^= 1;
    l->file = l->damaged;
}

static void job_begin(struct s3_life *l)
{
    struct errmsg err;
    int r;

    l->job.damaged = l->job.doubted = false;
    l->job.lanes_out = 0;
    r = s3_kind.begin(&l->job, &err);
    INVARIANT(r == 0);
    l->begun = true;
}

void s3_life_open(struct s3_life *l, uint64_t seed, uint64_t bytes)
{
    struct errmsg err;

    memset(l, 0, sizeof(*l));
    l->model = s3_model_open(seed);
    l->random = seed * 2 + 1;
    l->utc_s = 1790000000;
    l->lanes_count = 1;
    l->token = "";
    l->region = "eu-west-1";
    l->file = file_bytes();
    l->sink.kind = &s3_kind;
    l->sink.set.name = "archive";
    l->sink.set.s3.set = (struct s3_settings){
        .bucket = "tomorrow", .region = "", .endpoint = "http://s3.example.org",
        .storage_class = "", .server_side_encryption = "", .kms_key_id = "",
        .signed_payload = S3_NO, .checksum = true};
    l->sink.set.s3.part_bytes = S3_PART_BYTES_MIN;
    INVARIANT(s3_kind.open(&l->sink, &err) == 0);
    l->job = (struct remote_job){
        .sink = "archive", .stream = "s", .batch = "1-000-2", .place = "events",
        .key = S3_LIFE_KEY, .type = {.content_type = "application/x-ndjson"},
        .file_bytes = bytes, .crc32c = crc32c(0, l->file, bytes), .first_lsn = 4096,
        .last_lsn = 8192, .events = 17, .file_fd = -1, .at = &l->sink};
}

static void lanes_drop(struct s3_life *l)
{
    for (uint32_t i = 0; i < S3_LIFE_LANES; i++) {
        bytes_free(&l->answers[i].body);
        bytes_free(&l->lanes[i].body);
        memset(&l->lanes[i], 0, sizeof(l->lanes[i]));
    }
}

void s3_life_close(struct s3_life *l)
{
    lanes_drop(l);
    if (l->begun)
        s3_kind.end(&l->job);
    s3_kind.close(&l->sink);
    sigv4_fini(&l->sink.sign);
    s3_model_close(l->model);
    free(l->damaged);
}

/* The part's hashes. */
static void lane_read(struct s3_life *l, struct remote_lane *lane)
{
    struct remote_job *job = &l->job;

    lane->crc32c = crc32c(0, l->file + lane->file_at, lane->file_len);
    if (lane->sha256_wanted)
        (void)sigv4_hash(l->file + lane->file_at, lane->file_len, lane->sha256);
    if (lane->file_len == job->file_bytes && lane->crc32c != job->crc32c)
        remote_damaged_file(job, "read");
}

static void lane_plan(struct s3_life *l, struct remote_lane *lane)
{
    enum remote_plan plan;

    lane->job = &l->job;
    plan = s3_kind.plan(&l->job, lane);
    INVARIANT(plan != REMOTE_WAIT || l->job.lanes_out > 0);
    INVARIANT(plan != REMOTE_OVER || l->job.lanes_out == 0);
    l->over = plan == REMOTE_OVER;
    if (plan != REMOTE_SEND)
        return;
    if (lane->hash && lane->file_len > 0)
        lane_read(l, lane);
    if (l->job.damaged && lane->hash)
        return;
    lane->state = REMOTE_LANE_READY;
    l->job.lanes_out++;
}

static void lane_free(struct s3_life *l, struct remote_lane *lane)
{
    lane->state = REMOTE_LANE_FREE;
    l->job.lanes_out--;
}

static void lane_make(struct s3_life *l, struct remote_lane *lane)
{
    struct credentials_keys keys = keys_of(l);
    struct errmsg err;
    int r;

    /* Delivery reads the whole file once more. */
    if (l->job.doubted && lane->file_len > 0) {
        l->job.doubted = false;
        if (crc32c(0, l->file, l->job.file_bytes) != l->job.crc32c) {
            remote_damaged_file(&l->job, "read once more");
            lane_free(l, lane);
            return;
        }
    }
    bytes_clear(&lane->body);
    r = s3_kind.make(&l->job, lane, &keys, l->utc_s, &err);
    INVARIANT(r == 0);
    l->made++;
    lane->state = REMOTE_LANE_OUT;
}

/* The end of a body with another checksum stays here. */
static bool body_sound(const struct s3_life *l, const struct remote_lane *lane)
{
    return lane->body.len > 0 || lane->file_len == 0
           || crc32c(0, l->file + lane->file_at, lane->file_len) == lane->crc32c;
}

static void lane_ask(struct s3_life *l, uint32_t i)
{
    struct remote_lane *lane = &l->lanes[i];
    bool own = lane->body.len > 0;

    if (!body_sound(l, lane)) {
        s3_kind.lost(&l->job, lane, 0);
        remote_damaged_file(&l->job, "sent");
        lane_free(l, lane);
        return;
    }
    l->answered[i] = s3_model_ask(l->model, &lane->request,
                                  own ? lane->body.data : l->file + lane->file_at,
                                  own ? lane->body.len : lane->file_len,
                                  (uint64_t)((int64_t)l->utc_s + l->service_ahead_s),
                                  &l->answers[i]);
    lane->state = REMOTE_LANE_ANSWERED;
}

static void lane_take(struct s3_life *l, uint32_t i)
{
    struct remote_lane *lane = &l->lanes[i];
    struct remote_outcome outcome = {.class = RETRY_AGAIN};

    request_clear(&lane->request);
    if (l->answered[i]) {
        outcome.class = RETRY_OK;
        s3_kind.take(&l->job, lane, &l->answers[i].reply, &outcome);
    } else {
        s3_kind.lost(&l->job, lane, l->answers[i].sent);
    }
    INVARIANT(outcome.class == RETRY_OK || !l->answered[i] || outcome.text.text[0] != '\0');
    l->classes[outcome.class]++;
    if (outcome.class != RETRY_OK)
        l->last = outcome;
    lane->state = REMOTE_LANE_READY;
    if (outcome.class == RETRY_OK && !outcome.again)
        lane_free(l, lane);
}

void s3_life_step(struct s3_life *l)
{
    s3_life_step_lane(l, (uint32_t)(s3_life_random(l) % l->lanes_count));
}

void s3_life_step_lane(struct s3_life *l, uint32_t i)
{
    struct remote_lane *lane = &l->lanes[i];

    if (!l->begun)
        job_begin(l);
    switch (lane->state) {
    case REMOTE_LANE_FREE:
        lane_plan(l, lane);
        break;
    case REMOTE_LANE_READY:
        lane_make(l, lane);
        break;
    case REMOTE_LANE_OUT:
        lane_ask(l, i);
        break;
    default:
        lane_take(l, i);
    }
}

void s3_life_run(struct s3_life *l, uint32_t failures_max)
{
    memset(l->classes, 0, sizeof(l->classes));
    while (!l->over && l->classes[RETRY_REJECT] == 0
           && l->classes[RETRY_AGAIN] < failures_max) {
        INVARIANT(l->classes[RETRY_OK] < 1000);     /* it would never end */
        s3_life_step(l);
    }
}

void s3_life_kill(struct s3_life *l)
{
    for (uint32_t i = 0; i < l->lanes_count; i++)
        if (l->lanes[i].state == REMOTE_LANE_OUT && s3_life_random(l) % 2 == 0)
            lane_ask(l, i);
    lanes_drop(l);
    if (l->begun)
        s3_kind.end(&l->job);
    l->job.resumed = true;
    job_begin(l);
}
