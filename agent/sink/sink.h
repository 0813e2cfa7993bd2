/*
 * sink: one sealed batch on its way to one destination.
 *
 * Owns:   nothing; every string is borrowed from the seal.
 * Thread: shard.
 */
#ifndef SINK_SINK_H
#define SINK_SINK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/errmsg.h"
#include "flow/object_name.h"
#include "io/loop.h"

enum sink_result {
    SINK_DONE,
    SINK_RETRY,         /* it may work later; err says why */
    SINK_REJECT,        /* not without somebody's help; err says what is wrong */
    SINK_DAMAGED        /* the batch's own file is not what was sealed, or gone */
};

struct sink_job;
typedef void (*sink_done_fn)(struct sink_job *job);

struct sink_job {
    /* In. */
    struct io_loop *loop;
    int spool_dir;
    const char *spool_name;
    const char *staging_name;
    const char *key;                /* below the destination */
    uint64_t file_bytes;
    uint32_t crc32c, file_mode;
    uint64_t staging_id;            /* of the directory it is staged in; set by the sink, 0: none */
    sink_done_fn done;
    void *ctx;
    /* Out. */
    enum sink_result result;
    struct errmsg err;
    /* The sink's. */
    struct file_sink *sink;
    struct io_op op;
    int step;
    uint32_t syncs_failed;          /* of the sink, when the job began */
    bool linked;                    /* key and staging name are both there; until the end, if so */
    bool in_doubt;                  /* the sync of its names has failed; delivery takes it back */
    void (*read_then)(struct sink_job *job, int err);
    int parent_dir;
    int from_fd, to_fd;
    uint8_t *buffer;                /* owned */
    uint64_t copied;
    uint32_t crc32c_read;
    char name[256];                 /* last part of the key */
    char parent[OBJECT_KEY_MAX];    /* the rest */
};

#endif
