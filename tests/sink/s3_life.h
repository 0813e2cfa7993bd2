/*
 * s3_life: the kind "s3" over the modelled service: what delivery does with a job's lanes, step by
 * step, in one order or in a seeded one.
 *
 * Owns:   the model, the sink, the job; the file's bytes are for ever there.
 * Thread: one.
 */
#ifndef TESTS_SINK_S3_LIFE_H
#define TESTS_SINK_S3_LIFE_H

#include <stdbool.h>
#include <stdint.h>

#include "support/s3_model.h"
#include "sink/remote.h"

#define S3_LIFE_KEY "p/a b+/2026-1-000-2.json.gz"
#define S3_LIFE_LARGE ((11ull << 20) + 123)     /* in parts of 5 MiB: three */

enum { S3_LIFE_LANES = 4 };

struct s3_life {
    struct s3_model *model;
    struct remote_sink sink;
    struct remote_job job;
    struct remote_lane lanes[S3_LIFE_LANES];
    struct s3_model_answer answers[S3_LIFE_LANES];
    bool answered[S3_LIFE_LANES];
    uint32_t lanes_count;           /* that are in use; 1: all goes in order */
    const uint8_t *file;
    uint8_t *damaged;               /* owned: the same with another last byte */
    uint64_t random, utc_s;         /* of this host */
    int64_t service_ahead_s;
    const char *token, *region;     /* of the keys */
    bool begun, over;
    uint32_t made, classes[RETRY_CLASS_COUNT];
    struct remote_outcome last;     /* that was not OK; its class is OK before that */
};

/* A file of that size for the key; nothing has begun. Settings may be changed. */
void s3_life_open(struct s3_life *l, uint64_t seed, uint64_t file_bytes);
void s3_life_close(struct s3_life *l);

/* One step of one lane, or of that one. */
void s3_life_step(struct s3_life *l);
void s3_life_step_lane(struct s3_life *l, uint32_t i);

/* Until it is over, rejected, or that many answers were failures. */
void s3_life_run(struct s3_life *l, uint32_t failures_max);

/* The agent is killed. What was on its way may still arrive. Then it begins anew. */
void s3_life_kill(struct s3_life *l);

uint64_t s3_life_random(struct s3_life *l);

/* From now on the file's last byte is another one than when it was sealed. */
void s3_life_damage(struct s3_life *l);

/* Of each BLOCK_BYTES of a file of S3_LIFE_LARGE bytes. */
const uint32_t *s3_life_sums(void);

#endif
