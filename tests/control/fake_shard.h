/*
 * fake_shard: a thread that answers a mailbox as a shard would, and as it should not.
 *
 * Thread: start and stop by the test, everything else by the fake.
 */
#ifndef TESTS_CONTROL_FAKE_SHARD_H
#define TESTS_CONTROL_FAKE_SHARD_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "io/loop.h"
#include "pipeline/mailbox.h"

struct fake_shard {
    struct mailbox box;
    struct io_loop *loop;
    pthread_t thread;
    _Atomic bool stop;
    _Atomic bool silent;            /* keeps status requests too */
    _Atomic bool release;           /* answer what was kept, with release_result */
    _Atomic int release_result;
    _Atomic bool ready, stopping;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    unsigned kept_count;            /* requests held back now; under the mutex */
    unsigned kept_ever;             /* and since the start */
    int started;                    /* 1, or why not; under the mutex */
    struct shard_request *kept;           /* the thread's */
};

static inline struct status *fake_status(const struct fake_shard *f)
{
    struct status *s = calloc(1, sizeof(*s));

    assert_non_null(s);
    memcpy(s->version, "0.1.0", 6);
    memcpy(s->agent_name, "test-host", 10);
    s->epoch = 0x69a1b2c3d4e5f607;
    s->pid = 4711;
    s->uptime_ns = 61500000000U;
    s->ready = atomic_load(&f->ready);
    s->stopping = atomic_load(&f->stopping);
    s->recovery_left_bytes = s->ready ? 0 : 4096;
    s->wal_bytes = 67108864;
    s->wal_bytes_max = 8589934592;
    s->backpressure[BACKPRESSURE_DISK_FULL] = true;
    s->rings_by_state[STATUS_RING_ATTACHED] = 2;
    s->intake_drops[SHM_DROP_FULL] = 7;
    s->lost_bytes[WAL_LOST_UNSYNCED] = 8192;
    s->relay = (struct status_relay){
        .on = true, .peers = 3, .peers_total = 12, .refused = 2, .events = 5000, .batches = 40,
        .duplicates = 1, .declined = 6, .journal_bytes = 12288, .journal_syncs = 41,
        .waiting = {[RELAY_WAIT_RING_FULL] = 2},
    };

    s->streams_count = 2;
    s->streams = calloc(2, sizeof(*s->streams));
    s->stream_sinks_count = 3;
    s->stream_sinks = calloc(3, sizeof(*s->stream_sinks));
    s->sinks_count = 1;
    s->sinks = calloc(1, sizeof(*s->sinks));
    s->rings_count = 1;
    s->rings = calloc(1, sizeof(*s->rings));
    s->shards_count = 1;
    s->shards = calloc(1, sizeof(*s->shards));
    assert_true(s->streams && s->stream_sinks && s->sinks && s->rings && s->shards);

    memcpy(s->streams[0].name, "clicks", 7);
    s->streams[0].accepted = 1000;
    s->streams[0].accepted_from[WAL_FROM_RING] = 990;
    s->streams[0].accepted_from[WAL_FROM_TCP] = 10;
    s->streams[0].accepted_bytes = 200000;
    s->streams[0].delivered = 900;
    s->streams[0].pending = 95;
    s->streams[0].lost = s->streams[0].lost_by[WAL_LOST_CORRUPT] = 5;
    s->streams[0].oldest_pending_ns = 1250000000;
    s->streams[0].sinks = 2;
    memcpy(s->streams[1].name, "errors.x-1", 11);
    s->streams[1].accepted = 3;
    s->streams[1].dropped = s->streams[1].dropped_by[WAL_DROP_SINK_REMOVED] = 3;
    s->streams[0].refused_by[ENCODING_FORMAT_FAILED] = 4;
    s->streams[1].first_sink = 2;
    s->streams[1].sinks = 1;
    for (unsigned i = 0; i < 3; i++)
        memcpy(s->stream_sinks[i].sink, i == 1 ? "second" : "local", 7 - (i != 1));
    s->stream_sinks[0].delivered = 900;
    s->stream_sinks[0].delivered_bytes = 181000;
    s->stream_sinks[0].batches = 9;
    s->stream_sinks[2].stream = 1;
    memcpy(s->sinks[0].name, "local", 6);
    memcpy(s->sinks[0].type, "file", 5);
    memcpy(s->sinks[0].target, "/data/out", 10);
    memcpy(s->rings[0].name, "app.1.0123456789abcdef.ring", 28);
    s->rings[0].pid = 1;
    s->rings[0].ring_bytes = 1048576;
    s->rings[0].head = 5000;
    s->rings[0].accepted = 4000;
    return s;
}

/* What a flush is answered at once; 1: it is kept. */
static inline int fake_flush_result(const struct shard_request *req)
{
    if (strcmp(req->stream, "unknown") == 0)
        return -ENOENT;
    return strcmp(req->stream, "slow") == 0 ? 1 : 0;
}

static inline void fake_count(struct fake_shard *f, int by)
{
    pthread_mutex_lock(&f->mutex);
    f->kept_count += (unsigned)by;
    f->kept_ever += by > 0;
    pthread_cond_broadcast(&f->changed);
    pthread_mutex_unlock(&f->mutex);
}

/* Until it holds back so many requests. */
static inline void fake_shard_await_kept(struct fake_shard *f, unsigned count)
{
    pthread_mutex_lock(&f->mutex);
    while (f->kept_count != count)
        pthread_cond_wait(&f->changed, &f->mutex);
    pthread_mutex_unlock(&f->mutex);
}

/* Until it has held back so many since the start. */
static inline void fake_shard_await_ever(struct fake_shard *f, unsigned count)
{
    pthread_mutex_lock(&f->mutex);
    while (f->kept_ever != count)
        pthread_cond_wait(&f->changed, &f->mutex);
    pthread_mutex_unlock(&f->mutex);
}

static inline void fake_answer(struct fake_shard *f, struct shard_request *req)
{
    int result;

    if (req->kind == REQUEST_STATUS && !atomic_load(&f->silent)) {
        req->status = fake_status(f);
        req->done(req, 0);
        return;
    }
    if (req->kind == REQUEST_FLUSH) {
        result = fake_flush_result(req);
        if (result <= 0) {
            req->done(req, result);
            return;
        }
    }
    req->next = f->kept;
    f->kept = req;
    fake_count(f, 1);
}

static inline void fake_release(struct fake_shard *f, int result)
{
    while (f->kept != NULL) {
        struct shard_request *req = f->kept;

        f->kept = req->next;
        if (req->kind == REQUEST_STATUS && result == 0)
            req->status = fake_status(f);
        req->done(req, result);
        fake_count(f, -1);
    }
}

static inline void *fake_main(void *arg)
{
    struct fake_shard *f = (struct fake_shard *)arg;

    while (!atomic_load(&f->stop)) {
        struct shard_request *list;

        (void)loop_turn(f->loop, UINT64_MAX);
        while ((list = mailbox_take(&f->box)) != NULL) {
            while (list != NULL) {
                struct shard_request *req = list;

                list = req->next;
                fake_answer(f, req);
            }
        }
        if (atomic_exchange(&f->release, false))
            fake_release(f, atomic_load(&f->release_result));
    }
    mailbox_close(&f->box);
    fake_release(f, -ESHUTDOWN);
    pthread_mutex_lock(&f->mutex); /* whoever wakes the loop has done so */
    loop_close(f->loop);
    f->loop = NULL;
    pthread_mutex_unlock(&f->mutex);
    return NULL;
}

/* The loop belongs to the thread that opens it, so the thread begins with a mailbox for it. */
static inline void *fake_thread(void *arg)
{
    struct fake_shard *f = (struct fake_shard *)arg;
    struct errmsg err;
    int res;

    pthread_mutex_lock(&f->mutex);
    res = loop_open(16, &f->loop, &err);
    if (res == 0)
        mailbox_init(&f->box, f->loop);
    f->started = res == 0 ? 1 : res;
    pthread_cond_broadcast(&f->changed);
    pthread_mutex_unlock(&f->mutex);
    return res == 0 ? fake_main(f) : NULL;
}

static inline void fake_shard_start(struct fake_shard *f)
{
    memset(f, 0, sizeof(*f));
    assert_int_equal(pthread_mutex_init(&f->mutex, NULL), 0);
    assert_int_equal(pthread_cond_init(&f->changed, NULL), 0);
    atomic_store(&f->ready, true);
    assert_int_equal(pthread_create(&f->thread, NULL, fake_thread, f), 0);
    pthread_mutex_lock(&f->mutex);
    while (f->started == 0)
        pthread_cond_wait(&f->changed, &f->mutex);
    pthread_mutex_unlock(&f->mutex);
    assert_int_equal(f->started, 1);
}

/* Sets a flag and makes the thread look at it. */
static inline void fake_poke(struct fake_shard *f, _Atomic bool *flag)
{
    pthread_mutex_lock(&f->mutex);
    atomic_store(flag, true);
    if (f->loop != NULL)
        loop_wake(f->loop);
    pthread_mutex_unlock(&f->mutex);
}

static inline void fake_shard_release(struct fake_shard *f, int result)
{
    atomic_store(&f->release_result, result);
    fake_poke(f, &f->release);
}

static inline void fake_shard_stop(struct fake_shard *f)
{
    fake_poke(f, &f->stop);
    assert_int_equal(pthread_join(f->thread, NULL), 0);
}

#endif
