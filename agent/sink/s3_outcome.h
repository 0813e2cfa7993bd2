/*
 * s3_outcome: what an answer of S3 means for the request that it answers, whichever it was: it
 * worked, may work later, or needs somebody's help. Pure.
 *
 * What it means for the batch is s3.c's to say.
 *
 * Owns:   nothing.
 * Thread: any.
 */
#ifndef SINK_S3_OUTCOME_H
#define SINK_S3_OUTCOME_H

#include <stdbool.h>

#include "sink/remote.h"
#include "sink/s3_reply.h"

/*
 * Sets all but after_ns. Status 2xx with an error's code is that error. RETRY_CLOCK: the caller
 * has its clock to correct.
 */
void s3_outcome(const struct remote_job *job, const struct reply *reply,
                const struct s3_error *error, struct remote_outcome *ret_outcome);

/* The service found the body to be another than what was announced. */
bool s3_outcome_doubts_body(const struct s3_error *error);

#endif
