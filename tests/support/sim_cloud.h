/*
 * sim_cloud: S3 of the simulated host, behind sim_http: an s3_model for each bucket. What is stored
 * appears as a file, as if a stranger had written it, so that whoever reads the files of a sink
 * reads objects likewise; who removes the file has deleted the object.
 *
 *     /cloud/BUCKET/KEY
 *
 * Its clock is its own: the host's UTC may step, its does not.
 *
 * Owns:   objects and uploads, from sim_cloud_open() to sim_cloud_close().
 * Thread: one.
 * Units:  bytes; faults as they are said.
 */
#ifndef SUPPORT_SIM_CLOUD_H
#define SUPPORT_SIM_CLOUD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "support/s3_model.h"

#define SIM_CLOUD "/cloud"
#define SIM_CLOUD_ENDPOINT "http://s3.sim"

/* After sim_reset(): a new cloud, and a network without faults that leads to it. */
void sim_cloud_open(uint64_t seed);
void sim_cloud_close(void);

/* An object is stored; `again`: in the place of one. The bytes are those of the file. */
typedef void (*sim_cloud_stored_fn)(void *ctx, const char *path, const uint8_t *data, size_t len,
                                    bool again);
void sim_cloud_on_stored(sim_cloud_stored_fn fn, void *ctx);

enum sim_cloud_state {
    SIM_CLOUD_UP,
    SIM_CLOUD_AWAY,                 /* nobody listens */
    SIM_CLOUD_BUSY,                 /* 503 to everything */
    SIM_CLOUD_DENIED,               /* 403 */
    SIM_CLOUD_STATE_COUNT
};
void sim_cloud_set_state(enum sim_cloud_state state);

/* Without conditional writes it says 501, and stores again what is there. */
void sim_cloud_set_conditional(bool conditional);
/* One request in so many meets a fault of s3_model, or a network that loses it; 0: none. */
void sim_cloud_set_faults(uint32_t one_in);
/* The bucket's next request of that kind. */
void sim_cloud_fail(const char *bucket, enum s3_model_op op, enum s3_model_fault fault);

/* How often, since it was opened, the key of the path was stored. */
uint32_t sim_cloud_writes(const char *path);

/*
 * Uploads that are open, with the path that the ith would have. Whoever may not list them cannot
 * abort them: sim_cloud_denied() says that this has happened.
 */
bool sim_cloud_upload(unsigned i, char *ret_path, size_t cap);
bool sim_cloud_denied(void);

#endif
