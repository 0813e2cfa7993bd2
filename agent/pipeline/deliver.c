/*
 * deliver: a sealed batch to each of its targets.
 *
 *   (VERIFY)          of an earlier start: its file is read and compared; if it is damaged, the
 *                     batch goes back to be made again from the log
 *   (COPY, STAGED)    what could not be linked into staging is copied there, and STAGED synced
 *   DELIVER           renamed to its key; from here on it is visible. To a service: the delivery
 *                     thread verifies and sends it (deliver_remote.c)
 *   ACK               in the log; the seal waits for its sync
 *
 * What fails is tried again, later and later; a file whose name somebody else has, now and then.
 * Each sink that fails says so once, and once when it is over.
 *
 * What waits for a sink that has left the configuration is abandoned (K3): an ACK says so, and when
 * that is synced the staging name goes. What is under way comes to its end before.
 *
 * Owns:   nothing; targets are the seal's.
 * Thread: shard.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/invariant.h"
#include "pipeline/parts.h"

#define RETRY_NS_MIN 1000000000ULL
#define RETRY_NS_MAX 60000000000ULL

/* A sink's trouble is said once for all that wait, a batch's own for each. */
static void failure_say(struct seal_target *t, uint64_t now)
{
    static _Thread_local struct log_limit limit =
        LOG_LIMIT_INIT("batches refused", 5, 10 * 1000000000ULL);
    bool own = t->job.result == SINK_REJECT && t->attempt == 0;

    if (!t->sink) {                 /* the delivery thread says what a service does */
        log_debug("sink '%s': %s", t->name, t->job.err.text);
        return;
    }
    if (!t->sink->failing || (own && log_limit_allow(&limit, now)))
        log_warn("back pressure: %s: sink '%s': %s; what waits is tried again",
                 backpressure_names[BACKPRESSURE_SINK_ERROR], t->name, t->job.err.text);
    t->sink->failing = true;
    t->sink->failing_ns = now;
    t->sink->retries++;
}

static void target_retry(struct seal_target *t)
{
    struct shard *s = t->seal->shard;
    uint64_t now = loop_now_ns(s->loop);
    uint64_t delay = RETRY_NS_MIN << (t->attempt < 6 ? t->attempt : 6);

    if (delay > RETRY_NS_MAX || t->job.result == SINK_REJECT)
        delay = RETRY_NS_MAX;
    failure_say(t, now);
    t->attempt++;
    t->retry_ns = now + delay;
    t->state = TARGET_RETRY;
}

static void on_job(struct sink_job *job)
{
    struct seal_target *t = job->ctx;

    if (job->result == SINK_DAMAGED) {
        log_error("sink '%s': %s; it is made again from the log", t->name, job->err.text);
        t->state = TARGET_DAMAGED;
        return;
    }
    if (job->result != SINK_DONE) {
        target_retry(t);
        return;
    }
    switch (t->state) {
    case TARGET_VERIFY:
        t->verified = true;
        t->state = TARGET_READY;
        break;
    case TARGET_COPY:
        t->state = TARGET_STAGED;
        t->barrier = 0;
        break;
    default:
        INVARIANT(t->state == TARGET_DELIVER);
        if (t->attempt > 0)
            log_debug("sink '%s': delivered %s/%s after %u attempts", t->name, deliver_place(t),
                      t->key, t->attempt + 1);
        t->state = TARGET_ACK;
    }
}

const char *deliver_place(const struct seal_target *t)
{
    return t->sink ? t->sink->directory : t->place;
}

static bool target_item(struct seal_target *t, enum wal_item_type type, enum wal_ack_how how)
{
    struct shard *s = t->seal->shard;
    struct wal_item it = {.type = type};

    it.u.ack.epoch = t->seal->batch.id.epoch;
    it.u.ack.number = t->seal->batch.id.number;
    it.u.ack.target = (uint16_t)(t - t->seal->target);
    it.u.ack.how = (uint8_t)how;
    it.u.ack.reason = WAL_DROP_SINK_REMOVED;
    it.u.ack.staging_id = t->job.staging_id;
    if (wal_writer_item(&s->writer, &it, NULL))
        return false;
    t->barrier = wal_writer_barrier(&s->writer);
    wal_writer_want_sync(&s->writer, t->barrier);
    return true;
}

static bool target_abandon(struct seal_target *t)
{
    struct shard *s = t->seal->shard;

    if (!target_item(t, WAL_ACK, WAL_ACK_ABANDONED))
        return false;
    if (s->abandoned.batches++ == 0)
        snprintf(s->abandoned.sink, sizeof(s->abandoned.sink), "%s", t->name);
    s->abandoned.others |= strcmp(s->abandoned.sink, t->name) != 0;
    s->abandoned.events += t->seal->batch.events;
    t->state = TARGET_ABANDON;
    return true;
}

static void target_unstage(struct seal_target *t)
{
    int err = t->sink ? file_sink_unstage(t->sink, &t->job) : 0;

    if (err)
        log_warn("%s/" FILE_SINK_STAGING "/%s: abandoned, but cannot be removed: %s",
                 t->sink->directory, t->job.staging_name, strerror(-err));
    t->state = TARGET_DONE;
}

/* True: something moved. */
static bool target_step(struct seal_target *t)
{
    struct shard *s = t->seal->shard;

    t->job.done = on_job;
    switch (t->state) {
    case TARGET_WAIT:
        t->state = TARGET_READY;
        return true;
    case TARGET_RETRY:
        if (loop_now_ns(s->loop) < t->retry_ns)
            return false;
        t->state = TARGET_READY;
        return true;
    case TARGET_READY:
        if (t->removed && !(t->sink && file_sink_took(t->sink, &t->job)))
            return target_abandon(t);
        if (!t->sink) {
            t->state = TARGET_DELIVER;
            deliver_remote_begin(t);
        } else if (!t->verified) {
            t->state = TARGET_VERIFY;
            file_sink_verify(t->sink, &t->job);
        } else if (t->job.staging_id == 0) {
            t->state = TARGET_COPY;
            file_sink_copy(t->sink, &t->job);
        } else {
            t->state = TARGET_DELIVER;
            file_sink_deliver(t->sink, &t->job);
        }
        return true;
    case TARGET_STAGED:     /* from here on a missing staging name means delivered */
        if (t->barrier == 0)
            return target_item(t, WAL_STAGED, WAL_ACK_DELIVERED);
        if (!wal_writer_barrier_synced(&s->writer, t->barrier))
            return false;
        t->state = TARGET_READY;
        return true;
    case TARGET_ACK:
        if (!target_item(t, WAL_ACK, WAL_ACK_DELIVERED))
            return false;
        t->state = TARGET_DONE;
        return true;
    case TARGET_ABANDON:
        if (!wal_writer_barrier_synced(&s->writer, t->barrier))
            return false;
        target_unstage(t);
        return true;
    default:
        return false;
    }
}

uint16_t deliver_damaged(const struct seal_batch *sb)
{
    unsigned bits = 0;

    for (uint16_t i = 0; i < sb->targets; i++)
        if (sb->target[i].state == TARGET_DAMAGED)
            bits |= 1U << i;
    return (uint16_t)bits;
}

/* The target waits for nothing but its turn. */
static bool target_rests(const struct seal_target *t)
{
    return t->state == TARGET_WAIT || t->state == TARGET_READY || t->state == TARGET_RETRY;
}

bool deliver_step(struct seal_batch *sb)
{
    bool damaged = deliver_damaged(sb) != 0, moved = false, all = true, rest = true;

    for (uint16_t i = 0; i < sb->targets; i++) {
        struct seal_target *t = &sb->target[i];

        /* What is on its way comes to its end; nothing new begins from a damaged file. */
        if (!damaged || !target_rests(t))
            moved |= target_step(t);
        if (t->attempt > 0 && t->state != TARGET_DONE && t->sink)
            t->sink->failing_ns = loop_now_ns(sb->shard->loop);
        all = all && t->state == TARGET_DONE;
        rest = rest && (target_rests(t) || t->state == TARGET_DONE || t->state == TARGET_DAMAGED);
        if (t->state == TARGET_DONE && sb->barrier < t->barrier)
            sb->barrier = t->barrier;
    }
    if (all) {
        sb->state = SEAL_ACKED;
        if (sb->sealed_ns > 0)
            histogram_add(&sb->shard->meters[METER_DELIVERY], HISTOGRAM_NS,
                          loop_now_ns(sb->shard->loop) - sb->sealed_ns);
    } else if (damaged && rest)
        room_shed(sb, 0);
    return moved || all || sb->state != SEAL_DELIVER;
}

bool deliver_rests(const struct seal_batch *sb)
{
    bool some = false;

    for (uint16_t i = 0; i < sb->targets; i++) {
        const struct seal_target *t = &sb->target[i];

        if (t->state != TARGET_DONE && (t->state != TARGET_DELIVER || t->sink))
            return false;
        some |= t->state == TARGET_DELIVER;
    }
    return some;
}

void deliver_resealed(struct seal_batch *sb)
{
    for (uint16_t i = 0; i < sb->targets; i++) {
        struct seal_target *t = &sb->target[i];

        t->job.file_bytes = sb->file_bytes;
        t->job.crc32c = sb->crc32c;
        if (t->state != TARGET_DAMAGED)
            continue;
        t->job.staging_id = 0;
        t->state = TARGET_READY;
    }
}

void deliver_parked(struct seal_batch *sb, const char *why)
{
    char damaged[SPOOL_NAME_MAX];

    /* Rather a damaged file than none. */
    seal_damaged_name(&sb->batch.id, damaged);
    (void)file_rename(sb->shard->spool_dir, damaged, sb->shard->spool_dir, sb->spool.name);
    for (uint16_t i = 0; i < sb->targets; i++) {
        struct seal_target *t = &sb->target[i];

        if (t->state != TARGET_DAMAGED)
            continue;
        errmsg_set(&t->job.err, -EBADMSG, "%s/%s: its file is damaged and %s", deliver_place(t),
                   t->key, why);
        t->job.result = SINK_REJECT;
        t->attempt++;
        t->retry_ns = loop_now_ns(sb->shard->loop) + RETRY_NS_MAX;
        t->state = TARGET_RETRY;
    }
    sb->state = SEAL_DELIVER;
}

void deliver_turn_end(struct shard *s)
{
    uint64_t now = loop_now_ns(s->loop);
    const struct delivery *remote = shards_delivery(s->all);
    struct relay *relay = shards_relay(s->all);
    bool failing = (remote && delivery_failing(remote)) || (relay && relay_failing(relay));

    if (s->abandoned.batches > 0)
        log_warn("the configuration has no sink '%s'%s any more: %" PRIu64 " batches with %" PRIu64
                 " events that waited for it are abandoned",
                 s->abandoned.sink, s->abandoned.others ? " and others" : "", s->abandoned.batches,
                 s->abandoned.events);
    memset(&s->abandoned, 0, sizeof(s->abandoned));
    for (struct file_sink *sink = s->sinks; sink; sink = sink->next) {
        if (sink->failing && now - sink->failing_ns >= PRESSURE_OVER_NS) {
            sink->failing = false;
            log_info("back pressure: %s: %s: over", backpressure_names[BACKPRESSURE_SINK_ERROR],
                     sink->directory);
        }
        failing |= sink->failing;
    }
    /* Said above, sink by sink. */
    s->backpressure[BACKPRESSURE_SINK_ERROR] = failing;
    s->backpressure_said[BACKPRESSURE_SINK_ERROR] = failing;
}

static void sinks_ask(struct shard *s, struct seal_batch *sb)
{
    for (; sb; sb = sb->next)
        for (uint16_t i = 0; i < sb->targets; i++) {
            struct seal_target *t = &sb->target[i];

            t->removed = !s->opt.sink(s->opt.settings_ctx, t->name);
            if (t->removed)
                t->retry_ns = 0;    /* to be given up at once */
        }
}

void deliver_sinks_changed(struct shard *s)
{
    sinks_ask(s, s->seals);
    sinks_ask(s, s->resting);
}
