/*
 * delivery: sealed batches to services. One thread for all remote sinks: it hashes, signs, uploads
 * and waits, so that shards do not.
 *
 * A shard posts a job (remote.h) and has it back when it is delivered, when its file turns out to
 * be damaged, or when there is no such sink; what fails is tried again here, without end. A sink
 * that stalls holds up its own batches alone.
 *
 * Each sink's jobs begin in the order in which they were posted. Of one batch several requests are
 * out where its kind has them (parts of an object); of a sink as many as its window allows.
 *
 * Owns:   sinks, connections, the thread; jobs are the caller's.
 * Thread: its own; what is said to be anybody's is. A simulator calls delivery_turn() itself.
 */
#ifndef SINK_DELIVERY_H
#define SINK_DELIVERY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/errmsg.h"
#include "sink/remote.h"

struct delivery;

/* Without a thread yet, and without sinks. */
int delivery_open(struct delivery **ret_delivery, struct errmsg *err);
int delivery_start(struct delivery *d, struct errmsg *err);

/* Ends the thread. What is under way is cut off, and done() is not called for it. NULL is fine. */
void delivery_close(struct delivery *d);

/*
 * The sinks as they are configured from now on, which are copied. What waits for one that failed is
 * tried at once, what waits for a sink that is no more is given back. Anybody's. 0 or -ENOMEM.
 */
int delivery_configure(struct delivery *d, const struct remote_settings *settings, uint32_t count);

/* Anybody's. The job ends in job->done(), on the delivery thread. */
void delivery_post(struct delivery *d, struct remote_job *job);

/*
 * Waits for at most timeout_ms (-1: for ever) for something to do, and does it. 0; or -errno, which
 * every sink's status says from then on: nothing has got lost, and the next turn tries it again.
 */
int delivery_turn(struct delivery *d, int timeout_ms, struct errmsg *err);
/* When the next turn has something to do by itself; RETRY_NEVER_NS: when something is posted. */
uint64_t delivery_next_ns(const struct delivery *d);

struct delivery_status {
    char waits_because[ERRMSG_BYTES];   /* "": it does not wait */
    enum retry_state state;
    uint64_t retries, duplicates;
    uint32_t jobs, in_flight, window, rejected;
    char credentials[32];               /* where they come from; "": the sink takes none */
    uint64_t credentials_expire_utc_ns; /* 0: never, or not known */
};

/* Anybody's. False: there is no such sink. */
bool delivery_look(struct delivery *d, const char *sink, struct delivery_status *ret_status);

/* Anybody's: some sink does not take what it is sent. */
bool delivery_failing(const struct delivery *d);

#endif
