/*
 * relay_ring: the ring into which the relay's listener writes what other agents send: definitions
 * and frames.
 *
 * Owns:   the handle.
 * Thread: the listener's.
 * Units:  bytes; pos = ring position.
 */
#ifndef INTAKE_RELAY_RING_H
#define INTAKE_RELAY_RING_H

#include <stdbool.h>
#include <stdint.h>

#include "base/errmsg.h"
#include "io/file.h"
#include "shm_client.h"
#include "shm_wire.h"

enum { RELAY_RING_BYTES = 32 << 20 };

struct relay_ring {
    const char *shm_dir;        /* borrowed */
    struct shmc *ring;          /* owned; NULL: not made yet */
    struct file_guard guard;
    uint8_t uuid[16];
    uint64_t head, accepted, durable;   /* as last seen */
    uint32_t generation;        /* numbers of definitions are good within one */
    bool full_of_defs;          /* to be let go when all in it is settled */
};

/* 0 or -errno with a text. The next generation of numbers begins. */
int relay_ring_make(struct relay_ring *r, struct errmsg *err);
void relay_ring_drop(struct relay_ring *r);     /* what is in it stays for the agent */

/* Reads head, accepted and durable, and asks for the latter. 0 or -errno with a text. */
int relay_ring_look(struct relay_ring *r, struct errmsg *err);

/* A number for it. -ENOSPC: the ring's definitions are full; or -errno with a text. */
int relay_ring_stream(struct relay_ring *r, const char *name, uint16_t *ret_number,
                      struct errmsg *err);
/* -EINVAL: no schema has such a body. */
int relay_ring_schema(struct relay_ring *r, uint16_t stream, const uint8_t *body, uint32_t len,
                      uint16_t *ret_number, struct errmsg *err);

/* One event, for which there is room. 0 or -errno with a text. */
int relay_ring_write(struct relay_ring *r, uint16_t number, const struct shm_frame *frame,
                     const uint8_t *payload, struct errmsg *err);

#endif
