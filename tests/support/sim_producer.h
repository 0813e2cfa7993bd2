/*
 * sim_producer: a producer on the simulated host: makes a ring file by the layout of shm_wire.h in
 * the simulated tmpfs and writes frames into it, as the client library does on a real one.
 *
 * It says the truth; a test that lies writes through the pointers, which show the file itself.
 * After sim_power_cut() the ring is gone and its pointers are dead: set `open` to false by opening
 * another. A ring stays readable for its producer after the agent has unlinked it.
 *
 * Owns:   nothing; the ring is the simulator's. The struct is the caller's memory.
 * Thread: one.
 * Units:  positions in bytes, free-running.
 */
#ifndef SUPPORT_SIM_PRODUCER_H
#define SUPPORT_SIM_PRODUCER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shm_wire.h"

enum { SIM_PRODUCER_PATH_MAX = 512, SIM_PRODUCER_STREAMS_MAX = 64 };

struct sim_producer {
    char path[SIM_PRODUCER_PATH_MAX];
    uint8_t *bytes;                     /* the whole file; borrowed from the simulator */
    size_t file_bytes;
    struct shm_superblock *superblock;
    struct shm_producer *page;
    struct shm_head *head;
    struct shm_consumer *consumer;
    uint8_t *defs, *data;
    uint64_t data_bytes;
    uint64_t head_pos;                  /* appended to here; published by sim_producer_publish() */
    uint32_t defs_used;
    uint16_t defs_count;
    bool open;
    char streams[SIM_PRODUCER_STREAMS_MAX][SHM_STREAM_NAME_MAX + 1];    /* by number - 1 */
};

/* Builds the ring under a dot-name and publishes it as dir/name. ring_bytes: power of two. */
int sim_producer_open(struct sim_producer *p, const char *dir, const char *name,
                      uint64_t ring_bytes);

/* Number of the stream's definition, made at first use. -ENOSPC: definitions are full. */
int sim_producer_stream(struct sim_producer *p, const char *stream, uint16_t *ret_number);

/* A definition of records of that stream, whatever its body is; -ENOSPC as above. */
int sim_producer_schema(struct sim_producer *p, uint16_t stream, const void *body, size_t len,
                        uint16_t *ret_number);

/* A whole frame behind the last one, not published yet. -EAGAIN: full, -EMSGSIZE: too large. */
int sim_producer_append(struct sim_producer *p, uint16_t stream, enum shm_kind kind,
                        uint64_t time_ns, const void *data, size_t len);
void sim_producer_publish(struct sim_producer *p);

/* Stream by name, append and publish, as JSON with no time. */
int sim_producer_write(struct sim_producer *p, const char *stream, const char *json);

/* shmc_close() / the process dies. The file stays. */
void sim_producer_close(struct sim_producer *p);
void sim_producer_die(struct sim_producer *p);

/* A flush waits for pos; the bell of the ring's directory rings, if there is one. */
void sim_producer_want(struct sim_producer *p, enum shm_pos pos);

uint64_t sim_producer_pos(const struct sim_producer *p, enum shm_pos pos);

/* CRC of the superblock as it is now, for tests that change it and want to be believed. */
void sim_producer_reseal(struct sim_producer *p);

#endif
