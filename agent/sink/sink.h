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
    bool staged;                    /* a missing staging name means delivered; the sink may unset */
    sink_done_fn done;
    void *ctx;
    /* Out. */
    enum sink_result result;
    struct errmsg err;
    /* The sink's. */
    struct file_sink *sink;
    uint32_t generation;            /* of the sink's directories, when it was staged */
    struct io_op op;
    int step;
    int parent_dir;
    int from_fd, to_fd;
    uint8_t *buffer;                /* owned */
    uint64_t copied;
    uint32_t crc32c_read;
    char name[256];                 /* last part of the key */
    char parent[OBJECT_KEY_MAX];    /* the rest */
};

#endif
