/*
 * wal_checkpoint: writes the tables out as the items of a CHECKPOINT, in an order in which each can
 * be applied: streams with their versions and partitions, rings with their definitions, seals, and
 * at the end the totals that the items before them have touched.
 *
 * Owns:   nothing.
 * Thread: shard.
 */
#include <string.h>

#include "wal/wal_state.h"

static struct wal_str str_of(const char *text)
{
    return (struct wal_str){text, (uint32_t)strlen(text)};
}

static int checkpoint_partitions(const struct wal_stream *st, const struct wal_version *v,
                                 struct bytes *out)
{
    int err = 0;

    for (uint32_t i = 0; !err && i < v->partitions.count; i++) {
        const struct wal_partition *p = &v->partitions.items[i];
        struct wal_item it = {.type = WAL_PARTITION};

        it.u.partition.stream = st->id;
        it.u.partition.version = v->version;
        it.u.partition.output = p->output;
        it.u.partition.sealed_lsn = p->sealed_lsn;
        it.u.partition.partition = (struct wal_str){p->name, p->name_len};
        err = wal_item_append(out, &it, NULL);
    }
    return err;
}

static int checkpoint_sources(const struct wal_stream *st, struct bytes *out)
{
    struct wal_item it = {.type = WAL_STREAM_SOURCES};

    it.u.stream_sources.stream = st->id;
    memcpy(it.u.stream_sources.accepted, st->accepted_from, sizeof(st->accepted_from));
    return wal_item_append(out, &it, NULL);
}

static int checkpoint_stream(const struct wal_stream *st, struct bytes *out)
{
    struct wal_item it = {.type = WAL_STREAM};
    const struct wal_version *now = &st->versions[st->versions_count - 1];
    int err;

    it.u.stream.stream = st->id;
    it.u.stream.version = now->version;
    it.u.stream.incarnation = st->incarnation;
    it.u.stream.uid = st->uid;
    it.u.stream.outputs = now->outputs;
    it.u.stream.name = str_of(st->name);
    it.u.stream.settings = (struct wal_str){(const char *)st->settings.data,
                                            (uint32_t)st->settings.len};
    err = wal_item_append(out, &it, NULL);
    for (uint32_t i = 0; !err && i < st->versions_count; i++) {
        const struct wal_version *v = &st->versions[i];

        it = (struct wal_item){.type = WAL_VERSION_TOTALS};
        it.u.version_totals.stream = st->id;
        it.u.version_totals.version = v->version;
        it.u.version_totals.outputs = v->outputs;
        it.u.version_totals.accepted = v->accepted;
        it.u.version_totals.lost = v->lost;
        memcpy(it.u.version_totals.resolved_dropped, v->resolved_dropped,
               sizeof(v->resolved_dropped));
        memcpy(it.u.version_totals.delivered, v->delivered, sizeof(v->delivered));
        memcpy(it.u.version_totals.dropped, v->dropped, sizeof(v->dropped));
        memcpy(it.u.version_totals.sealed_lsn, v->sealed_lsn, sizeof(v->sealed_lsn));
        err = wal_item_append(out, &it, NULL);
        if (!err)
            err = checkpoint_partitions(st, v, out);
    }
    if (err)
        return err;
    it = (struct wal_item){.type = WAL_STREAM_TOTALS};
    it.u.stream_totals.stream = st->id;
    it.u.stream_totals.accepted = st->accepted;
    it.u.stream_totals.accepted_bytes = st->accepted_bytes;
    it.u.stream_totals.delivered = st->delivered;
    memcpy(it.u.stream_totals.dropped, st->dropped, sizeof(st->dropped));
    memcpy(it.u.stream_totals.lost, st->lost, sizeof(st->lost));
    err = wal_item_append(out, &it, NULL);
    return err || wal_stream_accepted_from(st, WAL_FROM_RING) == st->accepted
               ? err : checkpoint_sources(st, out);
}

static int checkpoint_sinks(const struct wal_stream *st, struct bytes *out)
{
    int err = 0;

    for (uint32_t i = 0; !err && i < st->sinks_count; i++) {
        struct wal_item it = {.type = WAL_SINK_TOTALS};

        it.u.sink_totals.stream = st->id;
        it.u.sink_totals.sink = str_of(st->sinks[i].sink);
        it.u.sink_totals.events = st->sinks[i].events;
        it.u.sink_totals.bytes = st->sinks[i].bytes;
        it.u.sink_totals.batches = st->sinks[i].batches;
        err = wal_item_append(out, &it, NULL);
    }
    return err;
}

static int checkpoint_def(const struct wal_ring *r, uint16_t number, struct bytes *out)
{
    const struct wal_def *def = &r->defs[number - 1];
    struct wal_item it = {.type = def->schema ? WAL_SCHEMA : WAL_DEF};

    if (def->schema) {
        it.u.schema.ring = r->id;
        it.u.schema.number = number;
        it.u.schema.stream_def = def->stream_def;
        it.u.schema.body = (struct wal_str){(const char *)def->schema, def->schema_len};
    } else {
        it.u.def.ring = r->id;
        it.u.def.number = number;
        it.u.def.stream = def->stream;
    }
    return wal_item_append(out, &it, NULL);
}

static int checkpoint_ring(const struct wal_ring *r, struct bytes *out)
{
    struct wal_item it = {.type = WAL_ATTACH};
    bool drops = false;
    int err;

    it.u.attach.ring = r->id;
    it.u.attach.uid = r->uid;
    it.u.attach.pid = r->pid;
    it.u.attach.ino = r->ino;
    it.u.attach.pos = r->end_pos;
    it.u.attach.lsn = r->marks > 0 ? r->mark[r->marks - 1].lsn : 0;
    memcpy(it.u.attach.uuid, r->uuid, 16);
    it.u.attach.name = str_of(r->name);
    err = wal_item_append(out, &it, NULL);
    for (uint16_t number = 1; !err && number <= r->defs_count; number++)
        err = checkpoint_def(r, number, out);
    for (int i = 0; i < SHM_DROP_COUNT; i++)
        drops |= r->drops[i] > 0;
    if (err || !drops)
        return err;
    it = (struct wal_item){.type = WAL_INTAKE_DROPS};
    it.u.intake.ring = r->id;
    memcpy(it.u.intake.drops, r->drops, sizeof(r->drops));
    return wal_item_append(out, &it, NULL);
}

static int checkpoint_seal(const struct wal_seal *seal, struct bytes *out)
{
    struct wal_item it = {.type = WAL_SEAL};
    int err;

    it.u.seal.epoch = seal->epoch;
    it.u.seal.number = seal->number;
    it.u.seal.stream = seal->stream;
    it.u.seal.version = seal->version;
    it.u.seal.output = seal->output;
    it.u.seal.targets = seal->targets;
    it.u.seal.file_mode = seal->file_mode;
    it.u.seal.crc32c = seal->crc32c;
    it.u.seal.first_lsn = seal->first_lsn;
    it.u.seal.last_lsn = seal->last_lsn;
    it.u.seal.events = seal->events;
    it.u.seal.payload_bytes = seal->payload_bytes;
    it.u.seal.file_bytes = seal->file_bytes;
    it.u.seal.name_time_ns = seal->name_time_ns;
    it.u.seal.arrival_ns = seal->arrival_ns;
    it.u.seal.partition = (struct wal_str){seal->partition, seal->partition_len};
    for (uint16_t i = 0; i < seal->targets; i++)
        it.u.seal.target[i] = (struct wal_target){
            .sink = str_of(seal->target[i].sink),
            .directory = str_of(seal->target[i].directory),
            .key = str_of(seal->target[i].key),
            .type = seal->target[i].type,
            .staging_id = seal->target[i].staging_id,
        };
    err = wal_item_append(out, &it, NULL);
    return err;
}

int wal_state_checkpoint(const struct wal_state *s, struct bytes *out)
{
    struct wal_item it = {.type = WAL_CHECKPOINT};
    int err;

    it.u.checkpoint.trim_lsn = s->trim_lsn;
    it.u.checkpoint.last_name_time_ns = s->last_name_time_ns;
    it.u.checkpoint.next_ring = s->next_ring;
    it.u.checkpoint.next_stream = s->next_stream;
    memcpy(it.u.checkpoint.lost_bytes, s->lost_bytes, sizeof(s->lost_bytes));
    err = wal_item_append(out, &it, NULL);
    for (uint32_t i = 0; !err && i < s->streams_count; i++)
        err = checkpoint_stream(s->streams[i], out);
    /* Here for their order, which the acknowledgements below would choose otherwise. */
    for (uint32_t i = 0; !err && i < s->streams_count; i++)
        err = checkpoint_sinks(s->streams[i], out);
    for (uint32_t i = 0; !err && i < s->rings_count; i++)
        err = checkpoint_ring(s->rings[i], out);
    it = (struct wal_item){.type = WAL_INTAKE_DROPS};
    memcpy(it.u.intake.drops, s->intake_drops, sizeof(s->intake_drops));
    if (!err)
        err = wal_item_append(out, &it, NULL);
    for (const struct wal_seal *seal = s->seals; !err && seal; seal = seal->next)
        err = checkpoint_seal(seal, out);
    /* Partial acknowledgements count at their sinks; the sinks' totals, behind them, are final. */
    for (const struct wal_seal *seal = s->seals; !err && seal; seal = seal->next)
        for (uint16_t i = 0; !err && i < seal->targets; i++) {
            if (!seal->target[i].acked)
                continue;
            it = (struct wal_item){.type = WAL_ACK};
            it.u.ack.epoch = seal->epoch;
            it.u.ack.number = seal->number;
            it.u.ack.target = i;
            it.u.ack.how = seal->target[i].abandoned ? WAL_ACK_ABANDONED : WAL_ACK_DELIVERED;
            it.u.ack.reason = seal->target[i].reason;
            err = wal_item_append(out, &it, NULL);
        }
    for (uint32_t i = 0; !err && i < s->streams_count; i++)
        err = checkpoint_sinks(s->streams[i], out);
    it = (struct wal_item){.type = WAL_CHECKPOINT_END};
    return err ? err : wal_item_append(out, &it, NULL);
}
