/*
 * sink_sim: a host with one batch in its spool and a directory to deliver to, for tests of the file
 * sink on the simulated host.
 *
 * Owns:   the bytes of the batch.
 * Thread: the test's.
 */
#ifndef SINK_SINK_SIM_H
#define SINK_SINK_SIM_H

#include "sink/sink_life.h"
#include "support/sim.h"

#define SPOOL "/data/spool"
#define OUT "/data/out"
#define STAGING OUT "/" FILE_SINK_STAGING
#define NAME "0a1b2c3d-1"
#define KEY "orders/2026/11/1-host-1.json"

enum { DATA_BYTES = 2 * 1024 * 1024 + 12345 };     /* two reads of a copy and a bit */

static uint8_t *data;            /* owned; from sink_data_make() to sink_data_free() */

static inline void spool_file(size_t len)
{
    assert_int_equal(sim_write_file(SPOOL "/" NAME, data, len), 0);
}

static inline void host_reset(uint64_t seed)
{
    sim_reset(seed);
    assert_int_equal(sim_mkdir(SPOOL), 0);
}

/* A host with a spool file, a life, and a job of it. */
static inline void begin(struct sink_life *life, struct sink_job *job, const char *directory,
                  const char *key, size_t len)
{
    host_reset(1);
    spool_file(len);
    sink_life_open(life, SPOOL, directory);
    sink_life_job(life, job, NAME, key, data, len);
}

static inline void end(struct sink_life *life)
{
    sink_life_close(life);
    assert_int_equal(sim_open_descriptors(), 0);
}

static inline void expect_bytes(const char *path, size_t len)
{
    uint8_t *bytes;
    size_t there;

    if (sim_read_file(path, &bytes, &there) != 0)
        fail_msg("no %s (seed %llu)", path, (unsigned long long)sim_seed());
    assert_int_equal(there, len);
    assert_memory_equal(bytes, data, len);
    free(bytes);
}

/* Batches, that is: not the identity. */
static inline unsigned names_in(const char *path)
{
    unsigned batches = 0;
    char **names;
    size_t count;

    assert_int_equal(sim_list(path, &names, &count), 0);
    for (size_t i = 0; i < count; i++)
        batches += strncmp(names[i], FILE_SINK_ID, strlen(FILE_SINK_ID)) != 0;
    free(names);
    return batches;
}

static inline int sink_data_make(void **state)
{
    (void)state;
    data = malloc(DATA_BYTES + 1);
    if (data == NULL)
        return -1;
    for (size_t i = 0; i <= DATA_BYTES; i++)
        data[i] = (uint8_t)(i * 17 + i / 4096);
    return 0;
}

static inline int sink_data_free(void **state)
{
    (void)state;
    free(data);
    return 0;
}

#endif
