/*
 * deliver_remote: the shard's side of remote sinks: a sealed batch goes to the delivery thread as a
 * job, which is back when the service has it, or its file is damaged.
 *
 * Owns:   a target's job.
 * Thread: shard, but for on_done(), which is the delivery thread's.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/parts.h"

/*
 * A stack that every completion is pushed on and the shard takes whole. R1, release: the job's
 * result is seen by whoever takes it; pairs with the acquire in deliver_remote_turn().
 */
static void on_done(struct remote_job *job)
{
    struct seal_target *t = job->ctx;
    struct shard *s = t->seal->shard;
    struct remote_job *first = atomic_load_explicit(&s->remote_done, memory_order_relaxed);

    do
        job->next = first;
    while (!atomic_compare_exchange_weak_explicit(&s->remote_done, &first, job,
                                                  memory_order_release, memory_order_relaxed));
    mailbox_wake(&s->mailbox);
}

int deliver_remote_init(struct seal_target *t, const char *place)
{
    t->remote = calloc(1, sizeof(*t->remote));
    t->place = strdup(place);
    return t->remote && t->place ? 0 : -ENOMEM;
}

void deliver_remote_fini(struct seal_target *t)
{
    free(t->remote);
    free(t->place);
}

void deliver_remote_begin(struct seal_target *t)
{
    const struct seal_batch *sb = t->seal;
    struct shard *s = sb->shard;
    struct remote_job *job = t->remote;

    *job = (struct remote_job){
        .sink = t->name,
        .stream = sb->batch.stream->name,
        .batch = t->batch,
        .place = t->place,
        .key = t->key,
        .type = object_type_of(t->key),
        .spool_dir = s->spool_dir,
        .spool_name = sb->spool.name,
        .file_bytes = sb->file_bytes,
        .crc32c = sb->crc32c,
        .block_crc32c = sb->spool.block_crc32c,
        .first_lsn = sb->batch.first_lsn,
        .last_lsn = sb->batch.last_lsn,
        .events = sb->batch.events,
        .resumed = !t->verified || t->attempt > 0,
        .done = on_done,
        .ctx = t,
    };
    batch_id_format(&sb->batch.id, t->batch);
    t->posted_ns = loop_now_ns(s->loop);
    if (t->type == TARGET_RELAY && shards_relay(s->all)) {
        relay_post(shards_relay(s->all), job, &sb->batch.id);
        return;
    }
    if (t->type != TARGET_RELAY && shards_delivery(s->all)) {
        delivery_post(shards_delivery(s->all), job);
        return;
    }
    job->result = SINK_RETRY;
    errmsg_set(&job->err, -ENOENT, "there is no sink '%s'", t->name);
    on_done(job);
}

void deliver_remote_forget(const struct seal_target *t)
{
    struct relay *relay = shards_relay(t->seal->shard->all);
    const struct batch_id *floor = &t->seal->batch.id;

    if (t->type != TARGET_RELAY || !relay)
        return;
    for (const struct batch *b = t->seal->shard->unfinished.first; b; b = b->all.next)
        if (b->id.epoch < floor->epoch
            || (b->id.epoch == floor->epoch && b->id.number < floor->number))
            floor = &b->id;
    relay_forget(relay, t->name, &t->seal->batch.id, floor);
}

bool deliver_remote_turn(struct shard *s)
{
    struct remote_job *job, *next;

    if (!atomic_load_explicit(&s->remote_done, memory_order_relaxed))
        return false;
    /* R1 */
    job = atomic_exchange_explicit(&s->remote_done, NULL, memory_order_acquire);
    for (; job; job = next) {
        struct seal_target *t = job->ctx;

        next = job->next;
        if (job->result == SINK_DONE)
            histogram_add(&s->meters[METER_REMOTE], HISTOGRAM_NS,
                          loop_now_ns(s->loop) - t->posted_ns);
        t->job.result = job->result;
        t->job.err = job->err;
        t->job.done(&t->job);
        seal_wake(t->seal);
    }
    return true;
}
