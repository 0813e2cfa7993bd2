/*
 * snapshot: copies what people may ask about into a struct status.
 * Owns:   nothing; the caller gets the status.
 * Thread: shard.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/version.h"
#include "pipeline/parts.h"

static void copy_text(char *to, size_t cap, const char *from)
{
    size_t len = strnlen(from, cap - 1);

    memcpy(to, from, len);
    to[len] = '\0';
}

static uint64_t oldest_pending_ns(const struct shard *s, const struct stream *st)
{
    uint64_t real = loop_real_ns(s->loop);
    const struct batch *b = st ? st->unfinished_first : NULL;

    return b && real > b->arrival_real_ns ? real - b->arrival_real_ns : 0;
}

/* What takes events now. An event is in a batch of each output. */
static void buffered_fill(const struct stream *st, struct status_stream *to)
{
    for (uint16_t i = 0; st->now && i < st->now->set.outputs; i++) {
        const struct batch *b = st->now->output[i].open.oldest;
        uint64_t events = 0, bytes = 0;

        for (; b; b = b->used.next) {
            events += b->events;
            bytes += b->payload_bytes;
        }
        if (events > to->buffered) {
            to->buffered = events;
            to->buffered_bytes = bytes;
        }
    }
}

static void stream_fill(const struct shard *s, const struct wal_stream *from,
                        struct status_stream *to)
{
    const struct stream *st = stream_by_id(&s->streams, from->id);
    struct wal_books books = wal_stream_books(from);

    copy_text(to->name, sizeof(to->name), from->name);
    to->accepted = books.accepted;
    for (int i = 0; i < WAL_SOURCE_COUNT; i++)
        to->accepted_from[i] = wal_stream_accepted_from(from, (enum wal_source)i);
    to->accepted_bytes = books.accepted_bytes;
    to->delivered = books.delivered;
    to->dropped = books.dropped;
    memcpy(to->dropped_by, from->dropped, sizeof(to->dropped_by));
    to->lost = books.lost;
    memcpy(to->lost_by, from->lost, sizeof(to->lost_by));
    to->pending = books.pending;
    to->oldest_pending_ns = books.pending > 0 ? oldest_pending_ns(s, st) : 0;
    if (st) {
        memcpy(to->refused_by, st->refused, sizeof(to->refused_by));
        buffered_fill(st, to);
    }
    to->batches_open = st ? st->batches_open : 0;
    to->batches_sealing = st ? st->batches_sealing : 0;
}

static int streams_fill(const struct shard *s, struct status *to)
{
    const struct wal_state *from = &s->state;
    size_t pairs = 0;

    for (uint32_t i = 0; i < from->streams_count; i++)
        pairs += from->streams[i]->sinks_count;
    to->streams = calloc(from->streams_count + 1U, sizeof(*to->streams));
    to->stream_sinks = calloc(pairs + 1, sizeof(*to->stream_sinks));
    if (!to->streams || !to->stream_sinks)
        return -ENOMEM;
    for (uint32_t i = 0; i < from->streams_count; i++) {
        const struct wal_stream *st = from->streams[i];
        struct status_stream *out = &to->streams[to->streams_count];

        stream_fill(s, st, out);
        out->first_sink = (uint32_t)to->stream_sinks_count;
        out->sinks = st->sinks_count;
        for (uint32_t k = 0; k < st->sinks_count; k++) {
            struct status_stream_sink *pair = &to->stream_sinks[to->stream_sinks_count++];

            pair->stream = (uint32_t)to->streams_count;
            copy_text(pair->sink, sizeof(pair->sink), st->sinks[k].sink);
            pair->delivered = st->sinks[k].events;
            pair->delivered_bytes = st->sinks[k].bytes;
            pair->batches = st->sinks[k].batches;
        }
        to->streams_count++;
    }
    return 0;
}

static void remote_look(const struct shard *s, enum target_type type, struct status_sink *sink)
{
    struct delivery *d = shards_delivery(s->all);
    struct relay *relay = shards_relay(s->all);
    struct delivery_status status;
    bool found;

    if (type == TARGET_RELAY)
        found = relay && relay_look(relay, sink->name, &status);
    else
        found = d && delivery_look(d, sink->name, &status);
    if (!found)
        return;
    sink->retries = status.retries;
    sink->duplicates = status.duplicates;
    copy_text(sink->waits_because, sizeof(sink->waits_because), status.waits_because);
}

/*
 * The entry of this sink, made when there is none. A remote one has one for all its places. NULL:
 * no memory.
 */
static struct status_sink *sink_get(const struct shard *s, struct status *to,
                                    enum target_type type, const char *name, const char *place)
{
    static const char *const names[] = {
        [TARGET_FILE] = "file", [TARGET_S3] = "s3", [TARGET_FIREHOSE] = "firehose",
        [TARGET_HTTP] = "http", [TARGET_RELAY] = "relay",
    };
    struct status_sink *more;

    for (size_t i = 0; i < to->sinks_count; i++)
        if (strcmp(to->sinks[i].name, name) == 0
            && strcmp(to->sinks[i].type, names[type]) == 0
            && (type != TARGET_FILE || strcmp(to->sinks[i].target, place) == 0))
            return &to->sinks[i];
    more = realloc(to->sinks, (to->sinks_count + 1) * sizeof(*more));
    if (!more)
        return NULL;
    to->sinks = more;
    more += to->sinks_count++;
    memset(more, 0, sizeof(*more));
    copy_text(more->name, sizeof(more->name), name);
    copy_text(more->type, sizeof(more->type), names[type]);
    copy_text(more->target, sizeof(more->target), place);
    if (type != TARGET_FILE)
        remote_look(s, type, more);
    for (const struct file_sink *sink = s->sinks; sink; sink = sink->next)
        if (type == TARGET_FILE && strcmp(sink->directory, place) == 0)
            more->retries = sink->retries;
    return more;
}

static void sink_waits(struct status_sink *sink, const struct seal_target *t, uint64_t age_ns)
{
    if (t->state == TARGET_DONE)
        return;
    sink->batches_waiting++;
    if (sink->lag_ns < age_ns)
        sink->lag_ns = age_ns;
    if (t->state == TARGET_RETRY)
        copy_text(sink->waits_because, sizeof(sink->waits_because), t->job.err.text);
    else if (t->attempt > 0 && !sink->waits_because[0])
        copy_text(sink->waits_because, sizeof(sink->waits_because), "it is being tried again");
}

static int sinks_wait(const struct shard *s, struct status *to, const struct seal_batch *sb)
{
    uint64_t now_ns = loop_real_ns(s->loop);

    for (; sb; sb = sb->next)
        for (uint16_t i = 0; i < sb->targets; i++) {
            const struct seal_target *t = &sb->target[i];
            struct status_sink *sink = sink_get(s, to, t->type, t->name, deliver_place(t));

            if (!sink)
                return -ENOMEM;
            sink_waits(sink, t, now_ns > sb->batch.arrival_real_ns
                                    ? now_ns - sb->batch.arrival_real_ns : 1);
        }
    return 0;
}

/* Sinks that streams write to now, and those that a sealed batch still waits for. */
static int sinks_fill(const struct shard *s, struct status *to)
{
    for (uint32_t i = 0; i < s->streams.cap; i++) {
        const struct stream *st = s->streams.by_id[i];

        for (uint16_t o = 0; st && st->now && o < st->now->set.outputs; o++)
            for (uint16_t k = 0; k < st->now->set.output[o].targets; k++) {
                const struct target_settings *set = &st->now->set.output[o].target[k];

                if (!sink_get(s, to, set->type, set->sink, set->directory))
                    return -ENOMEM;
            }
    }
    return sinks_wait(s, to, s->seals) || sinks_wait(s, to, s->resting) ? -ENOMEM : 0;
}

/* Ring files that are not taken: of some only their number is known. */
static void outsiders_fill(const struct shard *s, struct status *to)
{
    for (uint32_t i = 0; i < s->outsiders_count; i++) {
        const struct outsider *o = &s->outsiders[i];
        struct status_ring *out = &to->rings[to->rings_count++];

        copy_text(out->name, sizeof(out->name), o->name);
        out->shard = s->number;
        out->state = o->waits != SHM_WAIT_NONE ? STATUS_RING_WAITING : STATUS_RING_QUARANTINED;
        out->quarantine = o->reason;
        out->waits = o->waits;
        out->pid = o->pid;
        out->uid = o->uid;
        out->ring_bytes = o->ring_bytes;
        to->rings_by_state[out->state]++;
    }
    to->rings_by_state[STATUS_RING_WAITING] += s->waiting_hidden;
}

static int rings_fill(const struct shard *s, struct status *to)
{
    memcpy(to->intake_drops, s->state.intake_drops, sizeof(to->intake_drops));
    to->rings = calloc(s->rings_count + s->outsiders_count + 1U, sizeof(*to->rings));
    if (!to->rings)
        return -ENOMEM;
    for (uint32_t i = 0; i < s->rings_count; i++) {
        const struct ring *r = s->rings[i];
        struct status_ring *out = &to->rings[to->rings_count++];
        enum shm_quarantine reason;

        copy_text(out->name, sizeof(out->name), r->file.name);
        out->shard = s->number;
        out->state = r->state == RING_QUARANTINED ? STATUS_RING_QUARANTINED
                     : r->waits != SHM_WAIT_NONE  ? STATUS_RING_WAITING
                     : r->dead_ns != 0            ? STATUS_RING_ORPHAN
                                                  : STATUS_RING_ATTACHED;
        out->quarantine = r->reason;
        out->waits = out->state == STATUS_RING_WAITING ? r->waits : SHM_WAIT_NONE;
        out->id = r->id;
        out->pid = r->file.super.pid;
        out->uid = r->file.stat.uid;
        out->ring_bytes = r->file.super.data_bytes;
        out->accepted = r->accepted;
        out->durable = r->durable;
        out->delivered = r->delivered;
        if (ring_file_head(&r->file, r->read_pos, &out->head, &reason))
            out->head = r->read_pos;
        to->rings_by_state[out->state]++;
        for (int d = 0; d < SHM_DROP_COUNT; d++)
            out->drops[d] = atomic_load_explicit(&r->file.producer->drops[d],
                                                 memory_order_relaxed);
    }
    outsiders_fill(s, to);
    return 0;
}

static void counters_copy(uint64_t *to, const _Atomic uint64_t *from, int count)
{
    for (int i = 0; i < count; i++)
        to[i] = atomic_load_explicit(&from[i], memory_order_relaxed);
}

/* Of the agent, so the first shard says it. */
static void intake_fill(const struct shard *s, struct status_intake *to)
{
    const struct intake_counters *from = s->opt.intake;

    if (!from || s->number != 0)
        return;
    to->on = from->sockets;
    counters_copy(to->connections, from->connections, INTAKE_SOCKET_COUNT);
    counters_copy(to->connections_total, from->connections_total, INTAKE_SOCKET_COUNT);
    counters_copy(to->ended, from->ended, INTAKE_ENDED_COUNT);
    counters_copy(to->events, from->events, INTAKE_SOURCE_COUNT);
    counters_copy(to->bad_lines, from->bad_lines, LINE_FAULT_COUNT);
    counters_copy(&to->bad_lines_dropped, &from->bad_lines_dropped, 1);
    counters_copy(&to->datagrams_dropped, &from->datagrams_dropped, 1);
    counters_copy(&to->waiting, &from->waiting, 1);
}

static void relay_fill(const struct shard *s, struct status_relay *to)
{
    const struct relay_counters *from = s->opt.relay;

    if (!from || s->number != 0)
        return;
    to->on = from->listens;
    counters_copy(&to->peers, &from->peers, 1);
    counters_copy(&to->peers_total, &from->peers_total, 1);
    counters_copy(to->waiting, from->waiting, RELAY_WAIT_COUNT);
    counters_copy(&to->events, &from->events, 1);
    counters_copy(&to->batches, &from->batches, 1);
    counters_copy(&to->duplicates, &from->duplicates, 1);
    counters_copy(&to->declined, &from->declined, 1);
    counters_copy(&to->refused, &from->refused, 1);
    counters_copy(&to->journal_bytes, &from->journal_bytes, 1);
    counters_copy(&to->journal_syncs, &from->journal_syncs, 1);
}

static int shard_fill(const struct shard *s, struct status *to)
{
    to->shards = calloc(1, sizeof(*to->shards));
    if (!to->shards)
        return -ENOMEM;
    to->shards_count = 1;
    *to->shards = (struct status_shard){
        .shard = s->number,
        .surplus = s->number >= s->all->opt.shards,
        .ready = to->ready,
        .wal_bytes = to->wal_bytes,
        .wal_end_lsn = to->wal_end_lsn,
        .wal_synced_lsn = to->wal_synced_lsn,
        .wal_trim_lsn = to->wal_trim_lsn,
        .wal_segments = to->wal_segments,
        .rings = s->rings_count,
        .turns = to->turns,
    };
    return 0;
}

int snapshot_books(const struct shard *s, struct status **ret_status)
{
    struct status *to = calloc(1, sizeof(*to));
    int err;

    *ret_status = NULL;
    if (!to)
        return -ENOMEM;
    to->ready = true;
    memcpy(to->lost_bytes, s->state.lost_bytes, sizeof(to->lost_bytes));
    memcpy(to->intake_drops, s->state.intake_drops, sizeof(to->intake_drops));
    to->wal_bytes = wal_dir_bytes(&s->dir);
    to->wal_segments = s->dir.count;
    err = streams_fill(s, to);
    if (err)
        status_free(to);
    else
        *ret_status = to;
    return err;
}

int snapshot_make(const struct shard *s, struct status **ret_status)
{
    struct status *to = calloc(1, sizeof(*to));
    int err;

    *ret_status = NULL;
    if (!to)
        return -ENOMEM;
    copy_text(to->version, sizeof(to->version), HYDRANT_VERSION);
    copy_text(to->agent_name, sizeof(to->agent_name), s->opt.agent_name);
    to->epoch = s->epoch;
    to->pid = (uint32_t)getpid();
    to->uptime_ns = loop_now_ns(s->loop) - s->start_ns;
    to->ready = !s->catching_up;
    to->stopping = s->stop != STOP_NO;
    if (s->catching_up)
        to->recovery_left_bytes = s->writer.committed_lsn - shard_routed_lsn(s);
    to->wal_bytes = wal_dir_bytes(&s->dir);
    to->spool_bytes = s->spool_bytes;
    to->wal_bytes_max = s->opt.wal_bytes_max;
    to->wal_end_lsn = s->writer.committed_lsn;
    to->wal_synced_lsn = s->writer.synced_lsn;
    to->wal_trim_lsn = s->state.trim_lsn;
    to->wal_segments = s->dir.count;
    to->wal_syncs = s->writer.syncs;
    to->wal_commits = s->writer.commits;
    to->memory_bytes = block_pool_bytes_used(&s->pool) + block_pool_bytes_used(&s->pack_pool)
                       + s->writers_bytes + s->packs_bytes + wal_writer_memory_bytes(&s->writer);
    to->memory_bytes_max = s->opt.memory_limit;
    memcpy(to->backpressure, s->backpressure_said, sizeof(to->backpressure));
    memcpy(to->lost_bytes, s->state.lost_bytes, sizeof(to->lost_bytes));
    to->turns = s->turns;
    memcpy(to->meters, s->meters, sizeof(to->meters));
    to->meters[METER_COMMIT] = s->writer.commit_ns;
    intake_fill(s, &to->intake);
    relay_fill(s, &to->relay);
    err = streams_fill(s, to);
    if (!err)
        err = sinks_fill(s, to);
    if (!err)
        err = rings_fill(s, to);
    if (!err)
        err = shard_fill(s, to);
    if (!err && s->number == 0 && s->all->past)
        err = status_merge(to, s->all->past);
    if (err) {
        status_free(to);
        return err;
    }
    *ret_status = to;
    return 0;
}
