/*
 * quota: how many rings and streams the agent has, over all shards, and the limits to that.
 *
 * Asked when a ring is attached or lets go and when a stream comes into being, never on an event's
 * way, so that a mutex may guard it. A stream is one by its name: what one shard knows already is
 * no new one to another.
 *
 * Owns:   its tables.
 * Thread: any.
 */
#ifndef PIPELINE_QUOTA_H
#define PIPELINE_QUOTA_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "flow/name.h"
#include "shm_wire.h"

struct quota_limits {
    uint32_t rings_max, rings_per_uid_max;
    uint64_t ring_bytes_per_uid_max;
    uint32_t streams_max, streams_per_uid_max;
};

struct quota_user {
    uint32_t uid, rings;
    uint64_t ring_bytes;
};

struct quota_stream {
    char name[STREAM_NAME_MAX + 1];
    uint32_t uid;                   /* whose ring brought it into being, or WAL_NO_UID */
};

struct quota {
    pthread_mutex_t mutex;
    struct quota_limits limits;
    uint32_t rings;
    struct quota_user *users;       /* owned; with at least one ring */
    uint32_t users_count, users_cap;
    struct quota_stream *streams;   /* owned */
    uint32_t streams_count, streams_cap;
};

void quota_init(struct quota *q, const struct quota_limits *limits);
void quota_fini(struct quota *q);       /* zeroed is fine */

/* The limit that one more ring of this user would exceed; out of memory counts as rings_max. */
enum shm_wait quota_ring_look(struct quota *q, uint32_t uid, uint64_t bytes);
/* The same, and it is counted when there is none. */
enum shm_wait quota_ring_take(struct quota *q, uint32_t uid, uint64_t bytes);
void quota_ring_give(struct quota *q, uint32_t uid, uint64_t bytes);

/* What a log knows is counted, whatever the limits are today; the first one to name it counts. */
int quota_stream_load(struct quota *q, const char *name, uint32_t uid);    /* 0 or -ENOMEM */
/* May there be such a stream? It is counted then. *uid: whose it is. */
enum shm_wait quota_stream_take(struct quota *q, const char *name, uint32_t *uid);
/* It is the configuration's, and counts for no user any more. */
void quota_stream_named(struct quota *q, const char *name);

#endif
