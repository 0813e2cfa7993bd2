/*
 * relay: sealed batches to other agents (relay_wire.h). One thread for all relay sinks, each of
 * which has one connection.
 *
 * A shard posts a job (remote.h) and has it back when its events are durable on the far side, when
 * its file turns out to be damaged, or when there is no such sink. What fails is tried again here,
 * without end; of a batch that was cut off only what the far side has not.
 *
 * Owns:   sinks, connections, the thread; jobs are the caller's.
 * Thread: its own; what is said to be anybody's is.
 */
#ifndef SINK_RELAY_H
#define SINK_RELAY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/errmsg.h"
#include "flow/object_name.h"
#include "sink/delivery.h"
#include "sink/remote.h"

struct relay_sink_settings {            /* strings are never NULL */
    const char *name, *address;
    bool tls;
    const char *ca_file, *cert_file, *key_file;
    uint32_t in_flight_max;             /* batches begun at once */
    uint64_t timeout_ns, backoff_max_ns;
};

struct relay;

/* uuid: of the log whose batches they are. 0 or -errno with a text. */
int relay_open(const uint8_t uuid[16], struct relay **ret_relay, struct errmsg *err);
/* Ends the thread. What is under way is cut off, and done() is not called for it. NULL is fine. */
void relay_close(struct relay *r);

/* As delivery_configure(); 0 or -errno with a text, and the sinks are as they were. Anybody's. */
int relay_configure(struct relay *r, const struct relay_sink_settings *settings, uint32_t count,
                    struct errmsg *err);

/* Anybody's. The job ends in job->done(), on the relay's thread. `id` is its batch. */
void relay_post(struct relay *r, struct remote_job *job, const struct batch_id *id);
/*
 * That it is delivered is synced in the log: it will not be posted again, nor will any of its shard
 * below the floor. Anybody's.
 */
void relay_forget(struct relay *r, const char *sink, const struct batch_id *id,
                  const struct batch_id *floor);

/* Anybody's. False: there is no such sink. */
bool relay_look(struct relay *r, const char *sink, struct delivery_status *ret_status);
bool relay_failing(struct relay *r);

#endif
