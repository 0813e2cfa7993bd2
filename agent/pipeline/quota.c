/*
 * quota: counts rings and streams under one mutex.
 * Owns:   see quota.h.
 * Thread: any.
 */
#include "pipeline/quota.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/invariant.h"
#include "wal/wal_format.h"

void quota_init(struct quota *q, const struct quota_limits *limits)
{
    memset(q, 0, sizeof(*q));
    (void)pthread_mutex_init(&q->mutex, NULL);      /* a default one cannot fail */
    q->limits = *limits;
}

void quota_fini(struct quota *q)
{
    free(q->users);
    free(q->streams);
    memset(q, 0, sizeof(*q));
}

/* --- rings ---------------------------------------------------------------------------------- */

static struct quota_user *user_find(struct quota *q, uint32_t uid)
{
    for (uint32_t i = 0; i < q->users_count; i++)
        if (q->users[i].uid == uid)
            return &q->users[i];
    return NULL;
}

static struct quota_user *user_get(struct quota *q, uint32_t uid)
{
    struct quota_user *u = user_find(q, uid);

    if (u)
        return u;
    if (q->users_count == q->users_cap) {
        uint32_t cap = q->users_cap ? 2 * q->users_cap : 16;
        struct quota_user *more = realloc(q->users, cap * sizeof(*more));

        if (!more)
            return NULL;
        q->users = more;
        q->users_cap = cap;
    }
    u = &q->users[q->users_count++];
    *u = (struct quota_user){.uid = uid};
    return u;
}

static enum shm_wait ring_limit(struct quota *q, uint32_t uid, uint64_t bytes)
{
    const struct quota_user *u = user_find(q, uid);

    if ((u ? u->rings : 0) >= q->limits.rings_per_uid_max)
        return SHM_WAIT_RINGS_UID;
    if ((u ? u->ring_bytes : 0) + bytes > q->limits.ring_bytes_per_uid_max)
        return SHM_WAIT_BYTES_UID;
    return q->rings >= q->limits.rings_max ? SHM_WAIT_RINGS : SHM_WAIT_NONE;
}

enum shm_wait quota_ring_look(struct quota *q, uint32_t uid, uint64_t bytes)
{
    enum shm_wait why;

    pthread_mutex_lock(&q->mutex);
    why = ring_limit(q, uid, bytes);
    pthread_mutex_unlock(&q->mutex);
    return why;
}

enum shm_wait quota_ring_take(struct quota *q, uint32_t uid, uint64_t bytes)
{
    struct quota_user *u;
    enum shm_wait why;

    pthread_mutex_lock(&q->mutex);
    why = ring_limit(q, uid, bytes);
    u = why == SHM_WAIT_NONE ? user_get(q, uid) : NULL;
    if (u) {
        u->rings++;
        u->ring_bytes += bytes;
        q->rings++;
    }
    pthread_mutex_unlock(&q->mutex);
    return u || why != SHM_WAIT_NONE ? why : SHM_WAIT_RINGS;
}

void quota_ring_give(struct quota *q, uint32_t uid, uint64_t bytes)
{
    struct quota_user *u;

    pthread_mutex_lock(&q->mutex);
    u = user_find(q, uid);
    INVARIANT(u && u->rings > 0 && u->ring_bytes >= bytes && q->rings > 0);
    q->rings--;
    u->ring_bytes -= bytes;
    if (--u->rings == 0)
        *u = q->users[--q->users_count];
    pthread_mutex_unlock(&q->mutex);
}

/* --- streams -------------------------------------------------------------------------------- */

static struct quota_stream *stream_find(struct quota *q, const char *name)
{
    for (uint32_t i = 0; i < q->streams_count; i++)
        if (strcmp(q->streams[i].name, name) == 0)
            return &q->streams[i];
    return NULL;
}

static int stream_append(struct quota *q, const char *name, uint32_t uid)
{
    if (q->streams_count == q->streams_cap) {
        uint32_t cap = q->streams_cap ? 2 * q->streams_cap : 64;
        struct quota_stream *more = realloc(q->streams, cap * sizeof(*more));

        if (!more)
            return -ENOMEM;
        q->streams = more;
        q->streams_cap = cap;
    }
    memcpy(q->streams[q->streams_count].name, name, strlen(name) + 1);
    q->streams[q->streams_count++].uid = uid;
    return 0;
}

int quota_stream_load(struct quota *q, const char *name, uint32_t uid)
{
    int err;

    pthread_mutex_lock(&q->mutex);
    err = stream_find(q, name) ? 0 : stream_append(q, name, uid);
    pthread_mutex_unlock(&q->mutex);
    return err;
}

static enum shm_wait stream_limit(const struct quota *q, uint32_t uid)
{
    uint32_t count = 0;

    if (q->streams_count >= q->limits.streams_max)
        return SHM_WAIT_STREAMS;
    for (uint32_t i = 0; uid != WAL_NO_UID && i < q->streams_count; i++)
        count += q->streams[i].uid == uid;
    return count < q->limits.streams_per_uid_max ? SHM_WAIT_NONE : SHM_WAIT_STREAMS_UID;
}

enum shm_wait quota_stream_take(struct quota *q, const char *name, uint32_t *uid)
{
    enum shm_wait why = SHM_WAIT_NONE;
    const struct quota_stream *known;

    pthread_mutex_lock(&q->mutex);
    known = stream_find(q, name);
    if (known)
        *uid = known->uid;
    else
        why = stream_limit(q, *uid);
    if (!known && why == SHM_WAIT_NONE && stream_append(q, name, *uid))
        why = SHM_WAIT_STREAMS;
    pthread_mutex_unlock(&q->mutex);
    return why;
}

void quota_stream_named(struct quota *q, const char *name)
{
    struct quota_stream *known;

    pthread_mutex_lock(&q->mutex);
    known = stream_find(q, name);
    if (known)
        known->uid = WAL_NO_UID;
    pthread_mutex_unlock(&q->mutex);
}
