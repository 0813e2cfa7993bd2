/*
 * s3_job: what s3.c and s3_take.c share: a batch on its way to S3. For these two alone.
 *
 * Owns:   see s3.c.
 * Thread: delivery.
 * Units:  bytes; seconds since 1970.
 */
#ifndef SINK_S3_JOB_H
#define SINK_S3_JOB_H

#include <stdbool.h>
#include <stdint.h>

#include "sink/remote.h"
#include "sink/s3_reply.h"
#include "sink/s3_request.h"

enum s3_step {
    S3_STEP_HEAD,
    S3_STEP_LIST,                   /* of uploads */
    S3_STEP_ABORT,                  /* of one */
    S3_STEP_PUT,
    S3_STEP_CREATE,                 /* of an upload */
    S3_STEP_PART,
    S3_STEP_COMPLETE
};

struct s3_sink {
    bool no_conditional;            /* it said so */
    bool no_checksums;              /* it takes no list of parts that has them */
    bool no_sweep;                  /* that it may not be done has been logged */
    uint64_t signed_utc_s;          /* when the last request was, by this host's clock, */
    bool temporary;                 /* and with keys that expire */
};

struct s3_job {
    uint64_t part_bytes;
    uint32_t parts_count;           /* 0: one PutObject */
    struct s3_part *parts;          /* owned */
    char upload[S3_UPLOAD_ID_BYTES];    /* "": none is open */
    uint32_t planned, done;         /* of its parts */
    bool give_up;                   /* it is to be aborted */
    bool look;                      /* HEAD is due before all else */
    bool absent;                    /* nothing was sent since HEAD found the key absent */
    bool taken;                     /* a 412 said that there is an object, not yet whose */
    bool stored;
    bool conditional, checksums;    /* what was last sent to store it said so, had those of parts */
    bool sweep;                     /* uploads are to be listed before one is begun, */
    bool sweep_last;                /* and when the batch is stored */
    struct s3_uploads list;         /* as far as that is read */
    char swept[S3_UPLOAD_ID_BYTES]; /* the last one that was found; a list may be out of date */
    uint32_t sweeps, detours;
};

static inline struct s3_object s3_job_object(const struct remote_job *job)
{
    return (struct s3_object){.key = job->key, .content_type = job->type.content_type,
                              .batch = job->batch, .first_lsn = job->first_lsn,
                              .last_lsn = job->last_lsn, .events = job->events,
                              .bytes = job->file_bytes, .crc32c = job->crc32c};
}

/* Of struct remote_kind. */
void s3_take(struct remote_job *job, struct remote_lane *lane, const struct reply *reply,
             struct remote_outcome *ret_outcome);
void s3_lost(struct remote_job *job, struct remote_lane *lane, uint64_t sent);

#endif
