/*
 * delivery_job: one job of a remote sink, lane by lane. For delivery.c alone.
 *
 * Owns:   a job's lanes, its open file.
 * Thread: delivery.
 */
#ifndef SINK_DELIVERY_JOB_H
#define SINK_DELIVERY_JOB_H

#include "sink/remote.h"

enum { DELIVERY_READ_BYTES = 1 << 20 };     /* of a file in a turn, for each job */

/* What all of a turn's steps know. */
struct delivery_turn {
    uint64_t now_ns, utc_ns;
    struct http_pool *pool;
    uint8_t *buffer;                        /* DELIVERY_READ_BYTES */
    uint64_t next_ns;                       /* out: the earliest time to look again */
    void (*on_answer)(struct http_call *call);  /* of a lane's request */
    void (*on_ask)(struct http_call *call);     /* of one for keys; sink is its context */
};

uint64_t delivery_random64(void);

/* Moves what can be moved. True: the job is over, its result is set, and it holds nothing more. */
bool delivery_job_step(struct remote_job *job, struct delivery_turn *turn);

/* Cuts off what is under way, and lets everything go; the job may begin anew. */
void delivery_job_drop(struct remote_job *job, uint64_t now_ns);

#endif
