/*
 * cli_wal_item: the items of a log as named values, and what they are about.
 *
 * Owns:   nothing.
 * Thread: main.
 */
#include "cli/cli_wal_item.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "flow/settings.h"

typedef void (*fields_fn)(struct cli_fields *f, const struct wal_state *state,
                          const struct wal_item *it);

static const char *lost_name(unsigned reason)
{
    return reason < WAL_LOST_REASON_COUNT ? wal_lost_names[reason] : "unknown";
}

static void str_field(struct cli_fields *f, const char *name, struct wal_str s)
{
    cli_fields_bytes(f, name, s.at, s.len);
}

void wal_item_ring_fields(struct cli_fields *f, const struct wal_state *state, uint32_t id)
{
    const struct wal_ring *ring = wal_state_ring(state, id);

    cli_fields_u64(f, "ring_id", id);
    if (ring != NULL)
        cli_fields_bytes(f, "ring", ring->name, strlen(ring->name));
}

void wal_item_stream_fields(struct cli_fields *f, const struct wal_state *state, uint32_t id)
{
    const struct wal_stream *stream = wal_state_stream(state, id);

    cli_fields_u64(f, "stream_id", id);
    if (stream != NULL)
        cli_fields_bytes(f, "stream", stream->name, strlen(stream->name));
}

static uint32_t tally_stream(const struct wal_state *state, const struct wal_item *span, uint16_t i)
{
    const struct wal_ring *ring = wal_state_ring(state, span->u.span.ring);

    return ring != NULL ? wal_ring_stream(ring, wal_tally_get(span, i).def) : 0;
}

static uint32_t schema_stream(const struct wal_state *state, const struct wal_item *schema)
{
    const struct wal_ring *ring = wal_state_ring(state, schema->u.schema.ring);

    return ring != NULL ? wal_ring_stream(ring, schema->u.schema.stream_def) : 0;
}

static void span_fields(struct cli_fields *f, const struct wal_state *state,
                        const struct wal_item *it)
{
    wal_item_ring_fields(f, state, it->u.span.ring);
    cli_fields_u64(f, "from", it->u.span.from);
    cli_fields_u64(f, "to", it->u.span.to);
    cli_fields_u64(f, "events", it->u.span.events);
    cli_fields_x(f, "crc32c", it->u.span.crc32c, 8);
    cli_fields_list(f, "tallies");
    for (uint16_t i = 0; i < it->u.span.tallies; i++) {
        struct wal_tally tally = wal_tally_get(it, i);

        cli_fields_open(f);
        cli_fields_u64(f, "definition", tally.def);
        wal_item_stream_fields(f, state, tally_stream(state, it, i));
        cli_fields_u64(f, "events", tally.events);
        cli_fields_u64(f, "payload_bytes", tally.payload_bytes);
        cli_fields_close(f);
    }
    cli_fields_list_end(f);
}

static void attach_fields(struct cli_fields *f, const struct wal_state *state,
                          const struct wal_item *it)
{
    (void)state;
    cli_fields_u64(f, "ring_id", it->u.attach.ring);
    str_field(f, "ring", it->u.attach.name);
    cli_fields_hex(f, "uuid", it->u.attach.uuid, sizeof(it->u.attach.uuid));
    cli_fields_u64(f, "uid", it->u.attach.uid);
    cli_fields_u64(f, "pid", it->u.attach.pid);
    cli_fields_u64(f, "inode", it->u.attach.ino);
    cli_fields_u64(f, "position", it->u.attach.pos);
    cli_fields_u64(f, "covered_lsn", it->u.attach.lsn);
}

static void retire_fields(struct cli_fields *f, const struct wal_state *state,
                          const struct wal_item *it)
{
    wal_item_ring_fields(f, state, it->u.retire.ring);
}

static void def_fields(struct cli_fields *f, const struct wal_state *state,
                       const struct wal_item *it)
{
    wal_item_ring_fields(f, state, it->u.def.ring);
    cli_fields_u64(f, "definition", it->u.def.number);
    wal_item_stream_fields(f, state, it->u.def.stream);
}

static void schema_fields(struct cli_fields *f, const struct wal_state *state,
                          const struct wal_item *it)
{
    wal_item_ring_fields(f, state, it->u.schema.ring);
    cli_fields_u64(f, "definition", it->u.schema.number);
    cli_fields_u64(f, "stream_definition", it->u.schema.stream_def);
    wal_item_stream_fields(f, state, schema_stream(state, it));
    str_field(f, "body", it->u.schema.body);
}

static void output_fields(struct cli_fields *f, const struct output_settings *output)
{
    cli_fields_open(f);
    cli_fields_bytes(f, "format", output->format, strlen(output->format));
    cli_fields_list(f, "targets");
    for (uint16_t i = 0; i < output->targets; i++) {
        const struct target_settings *target = &output->target[i];

        cli_fields_open(f);
        cli_fields_bytes(f, "sink", target->sink, strlen(target->sink));
        cli_fields_bytes(f, "directory", target->directory, strlen(target->directory));
        cli_fields_close(f);
    }
    cli_fields_list_end(f);
    cli_fields_close(f);
}

static void stream_fields(struct cli_fields *f, const struct wal_state *state,
                          const struct wal_item *it)
{
    struct stream_settings set;

    (void)state;
    cli_fields_u64(f, "stream_id", it->u.stream.stream);
    str_field(f, "stream", it->u.stream.name);
    cli_fields_u64(f, "version", it->u.stream.version);
    cli_fields_u64(f, "incarnation", it->u.stream.incarnation);
    if (stream_settings_parse(it->u.stream.settings.at, it->u.stream.settings.len, &set) != 0) {
        cli_fields_u64(f, "outputs", it->u.stream.outputs);
        str_field(f, "settings", it->u.stream.settings);
        return;
    }
    cli_fields_list(f, "outputs");
    for (uint16_t i = 0; i < set.outputs; i++)
        output_fields(f, &set.output[i]);
    cli_fields_list_end(f);
    stream_settings_fini(&set);
}

/* As it is in the names of files. */
static void batch_fields(struct cli_fields *f, uint64_t epoch, uint64_t number)
{
    cli_fields_x(f, "epoch", epoch, 16);
    cli_fields_u64(f, "batch", number);
}

static void seal_fields(struct cli_fields *f, const struct wal_state *state,
                        const struct wal_item *it)
{
    batch_fields(f, it->u.seal.epoch, it->u.seal.number);
    wal_item_stream_fields(f, state, it->u.seal.stream);
    cli_fields_u64(f, "version", it->u.seal.version);
    cli_fields_u64(f, "output", it->u.seal.output);
    if (it->u.seal.partition.len > 0)
        str_field(f, "partition", it->u.seal.partition);
    cli_fields_u64(f, "first_lsn", it->u.seal.first_lsn);
    cli_fields_u64(f, "last_lsn", it->u.seal.last_lsn);
    cli_fields_u64(f, "events", it->u.seal.events);
    cli_fields_u64(f, "payload_bytes", it->u.seal.payload_bytes);
    cli_fields_u64(f, "file_bytes", it->u.seal.file_bytes);
    cli_fields_x(f, "crc32c", it->u.seal.crc32c, 8);
    cli_fields_time(f, "name_time", it->u.seal.name_time_ns);
    cli_fields_time(f, "arrival", it->u.seal.arrival_ns);
    cli_fields_list(f, "targets");
    for (uint16_t i = 0; i < it->u.seal.targets; i++) {
        const struct wal_target *target = &it->u.seal.target[i];

        cli_fields_open(f);
        str_field(f, "sink", target->sink);
        str_field(f, "directory", target->directory);
        str_field(f, "key", target->key);
        cli_fields_x(f, "staging_id", target->staging_id, 16);
        cli_fields_close(f);
    }
    cli_fields_list_end(f);
}

/* ACK and STAGED name a batch and one of its targets. */
static void target_fields(struct cli_fields *f, const struct wal_state *state,
                          const struct wal_item *it)
{
    const struct wal_seal *seal = wal_state_seal(state, it->u.ack.epoch, it->u.ack.number);

    batch_fields(f, it->u.ack.epoch, it->u.ack.number);
    if (seal != NULL)
        wal_item_stream_fields(f, state, seal->stream);
    cli_fields_u64(f, "target", it->u.ack.target);
    if (seal != NULL && it->u.ack.target < seal->targets)
        cli_fields_bytes(f, "sink", seal->target[it->u.ack.target].sink,
                         strlen(seal->target[it->u.ack.target].sink));
    if (it->type == WAL_ACK)
        cli_fields_word(f, "how", it->u.ack.how == WAL_ACK_DELIVERED   ? "delivered"
                                  : it->u.ack.how == WAL_ACK_ABANDONED ? "abandoned"
                                                                       : "unknown");
    else
        cli_fields_x(f, "staging_id", it->u.ack.staging_id, 16);
}

static void lost_fields(struct cli_fields *f, const struct wal_state *state,
                        const struct wal_item *it)
{
    cli_fields_u64(f, "span_lsn", it->u.lost.lsn);
    wal_item_ring_fields(f, state, it->u.lost.ring);
    wal_item_stream_fields(f, state, it->u.lost.stream);
    cli_fields_u64(f, "version", it->u.lost.version);
    cli_fields_word(f, "reason", lost_name(it->u.lost.reason));
    cli_fields_u64(f, "events", it->u.lost.events);
    cli_fields_u64(f, "payload_bytes", it->u.lost.payload_bytes);
}

static void trim_fields(struct cli_fields *f, const struct wal_state *state,
                        const struct wal_item *it)
{
    (void)state;
    cli_fields_u64(f, "below_lsn", it->u.trim.lsn);
}

static void lost_counts(struct cli_fields *f, const char *prefix, const uint64_t *counts)
{
    char name[64];

    for (unsigned i = 0; i < WAL_LOST_REASON_COUNT; i++) {
        (void)snprintf(name, sizeof(name), "%s_%s", prefix, lost_name(i));
        cli_fields_u64(f, name, counts[i]);
    }
}

static void drop_counts(struct cli_fields *f, const char *prefix, const uint64_t *counts)
{
    char name[64];

    for (unsigned i = 0; i < WAL_DROP_REASON_COUNT; i++) {
        (void)snprintf(name, sizeof(name), "%s_%s", prefix, wal_drop_names[i]);
        cli_fields_u64(f, name, counts[i]);
    }
}

static void reseal_fields(struct cli_fields *f, const struct wal_state *state,
                          const struct wal_item *it)
{
    (void)state;
    batch_fields(f, it->u.reseal.epoch, it->u.reseal.number);
    cli_fields_u64(f, "file_bytes", it->u.reseal.file_bytes);
    cli_fields_x(f, "crc32c", it->u.reseal.crc32c, 8);
    cli_fields_list(f, "unstaged");
    for (unsigned i = 0; i < WAL_TARGETS_MAX; i++)
        if (it->u.reseal.unstaged & 1U << i) {
            cli_fields_open(f);
            cli_fields_u64(f, "target", i);
            cli_fields_close(f);
        }
    cli_fields_list_end(f);
}

static void checkpoint_fields(struct cli_fields *f, const struct wal_state *state,
                              const struct wal_item *it)
{
    (void)state;
    cli_fields_u64(f, "trim_lsn", it->u.checkpoint.trim_lsn);
    cli_fields_time(f, "last_name_time", it->u.checkpoint.last_name_time_ns);
    cli_fields_u64(f, "next_ring", it->u.checkpoint.next_ring);
    cli_fields_u64(f, "next_stream", it->u.checkpoint.next_stream);
    lost_counts(f, "lost_bytes", it->u.checkpoint.lost_bytes);
}

static void no_fields(struct cli_fields *f, const struct wal_state *state,
                      const struct wal_item *it)
{
    (void)f;
    (void)state;
    (void)it;
}

static void stream_totals_fields(struct cli_fields *f, const struct wal_state *state,
                                 const struct wal_item *it)
{
    wal_item_stream_fields(f, state, it->u.stream_totals.stream);
    cli_fields_u64(f, "accepted", it->u.stream_totals.accepted);
    cli_fields_u64(f, "accepted_bytes", it->u.stream_totals.accepted_bytes);
    cli_fields_u64(f, "delivered", it->u.stream_totals.delivered);
    drop_counts(f, "dropped", it->u.stream_totals.dropped);
    lost_counts(f, "lost", it->u.stream_totals.lost);
}

static void stream_sources_fields(struct cli_fields *f, const struct wal_state *state,
                                  const struct wal_item *it)
{
    wal_item_stream_fields(f, state, it->u.stream_sources.stream);
    for (int i = WAL_FROM_RING + 1; i < WAL_SOURCE_COUNT; i++)
        cli_fields_u64(f, wal_source_names[i], it->u.stream_sources.accepted[i]);
}

static void version_totals_fields(struct cli_fields *f, const struct wal_state *state,
                                  const struct wal_item *it)
{
    wal_item_stream_fields(f, state, it->u.version_totals.stream);
    cli_fields_u64(f, "version", it->u.version_totals.version);
    cli_fields_u64(f, "accepted", it->u.version_totals.accepted);
    cli_fields_u64(f, "lost", it->u.version_totals.lost);
    cli_fields_list(f, "outputs");
    for (uint16_t i = 0; i < it->u.version_totals.outputs; i++) {
        cli_fields_open(f);
        cli_fields_u64(f, "delivered", it->u.version_totals.delivered[i]);
        drop_counts(f, "dropped", it->u.version_totals.dropped[i]);
        cli_fields_u64(f, "sealed_lsn", it->u.version_totals.sealed_lsn[i]);
        cli_fields_close(f);
    }
    cli_fields_list_end(f);
}

static void partition_fields(struct cli_fields *f, const struct wal_state *state,
                             const struct wal_item *it)
{
    wal_item_stream_fields(f, state, it->u.partition.stream);
    cli_fields_u64(f, "version", it->u.partition.version);
    cli_fields_u64(f, "output", it->u.partition.output);
    str_field(f, "partition", it->u.partition.partition);
    cli_fields_u64(f, "sealed_lsn", it->u.partition.sealed_lsn);
}

static void sink_totals_fields(struct cli_fields *f, const struct wal_state *state,
                               const struct wal_item *it)
{
    wal_item_stream_fields(f, state, it->u.sink_totals.stream);
    str_field(f, "sink", it->u.sink_totals.sink);
    cli_fields_u64(f, "events", it->u.sink_totals.events);
    cli_fields_u64(f, "bytes", it->u.sink_totals.bytes);
    cli_fields_u64(f, "batches", it->u.sink_totals.batches);
}

static void intake_fields(struct cli_fields *f, const struct wal_state *state,
                          const struct wal_item *it)
{
    static const char *const names[SHM_DROP_COUNT] = { "full", "timeout", "too_large", "stale" };

    if (it->u.intake.ring != 0)
        wal_item_ring_fields(f, state, it->u.intake.ring);
    for (int i = 0; i < SHM_DROP_COUNT; i++)
        cli_fields_u64(f, names[i], it->u.intake.drops[i]);
}

static const struct {
    const char *name;
    fields_fn fields;
} types[WAL_ITEM_TYPE_COUNT] = {
    [WAL_SPAN] = { "span", span_fields },
    [WAL_ATTACH] = { "attach", attach_fields },
    [WAL_RETIRE] = { "retire", retire_fields },
    [WAL_DEF] = { "def", def_fields },
    [WAL_STREAM] = { "stream", stream_fields },
    [WAL_SEAL] = { "seal", seal_fields },
    [WAL_ACK] = { "ack", target_fields },
    [WAL_STAGED] = { "staged", target_fields },
    [WAL_LOST] = { "lost", lost_fields },
    [WAL_TRIM] = { "trim", trim_fields },
    [WAL_CHECKPOINT] = { "checkpoint", checkpoint_fields },
    [WAL_CHECKPOINT_END] = { "checkpoint_end", no_fields },
    [WAL_STREAM_TOTALS] = { "stream_totals", stream_totals_fields },
    [WAL_STREAM_SOURCES] = { "stream_sources", stream_sources_fields },
    [WAL_VERSION_TOTALS] = { "version_totals", version_totals_fields },
    [WAL_SINK_TOTALS] = { "sink_totals", sink_totals_fields },
    [WAL_INTAKE_DROPS] = { "intake_drops", intake_fields },
    [WAL_RESEAL] = { "reseal", reseal_fields },
    [WAL_PARTITION] = { "partition", partition_fields },
    [WAL_SCHEMA] = { "schema", schema_fields },
};

const char *wal_item_type_name(enum wal_item_type type)
{
    return (unsigned)type < WAL_ITEM_TYPE_COUNT && types[type].name != NULL ? types[type].name
                                                                            : "unknown";
}

void wal_item_fields(struct cli_fields *f, const struct wal_state *state,
                     const struct wal_item *item)
{
    if (types[item->type].fields != NULL)
        types[item->type].fields(f, state, item);
}

static bool stream_named(const struct wal_state *state, uint32_t id, const char *name)
{
    const struct wal_stream *stream = wal_state_stream(state, id);

    return stream != NULL && strcmp(stream->name, name) == 0;
}

bool wal_item_of_stream(const struct wal_state *state, const struct wal_item *item,
                        const char *name)
{
    const struct wal_seal *seal;

    switch (item->type) {
    case WAL_SPAN:
        for (uint16_t i = 0; i < item->u.span.tallies; i++)
            if (stream_named(state, tally_stream(state, item, i), name))
                return true;
        return false;
    case WAL_DEF:
        return stream_named(state, item->u.def.stream, name);
    case WAL_SCHEMA:
        return stream_named(state, schema_stream(state, item), name);
    case WAL_STREAM:
        return item->u.stream.name.len == strlen(name)
               && memcmp(item->u.stream.name.at, name, strlen(name)) == 0;
    case WAL_SEAL:
        return stream_named(state, item->u.seal.stream, name);
    case WAL_ACK:
    case WAL_STAGED:
        seal = wal_state_seal(state, item->u.ack.epoch, item->u.ack.number);
        return seal != NULL && stream_named(state, seal->stream, name);
    case WAL_RESEAL:
        seal = wal_state_seal(state, item->u.reseal.epoch, item->u.reseal.number);
        return seal != NULL && stream_named(state, seal->stream, name);
    case WAL_LOST:
        return stream_named(state, item->u.lost.stream, name);
    case WAL_STREAM_TOTALS:
        return stream_named(state, item->u.stream_totals.stream, name);
    case WAL_STREAM_SOURCES:
        return stream_named(state, item->u.stream_sources.stream, name);
    case WAL_VERSION_TOTALS:
        return stream_named(state, item->u.version_totals.stream, name);
    case WAL_PARTITION:
        return stream_named(state, item->u.partition.stream, name);
    case WAL_SINK_TOTALS:
        return stream_named(state, item->u.sink_totals.stream, name);
    default:
        return false;
    }
}

static bool ring_is(uint32_t id, const char *ring_name, size_t len, const char *wanted)
{
    size_t wanted_len = strlen(wanted), suffix = strlen(SHM_RING_SUFFIX);
    char *end;

    if (strtoull(wanted, &end, 10) == id && end != wanted && *end == '\0')
        return true;
    if (wanted_len != len && wanted_len + suffix == len
        && memcmp(ring_name + wanted_len, SHM_RING_SUFFIX, suffix) == 0)
        len = wanted_len;
    return wanted_len == len && memcmp(ring_name, wanted, len) == 0;
}

bool wal_item_of_ring(const struct wal_state *state, const struct wal_item *item, const char *name)
{
    const struct wal_ring *ring;
    uint32_t id;

    switch (item->type) {
    case WAL_ATTACH:
        return ring_is(item->u.attach.ring, item->u.attach.name.at, item->u.attach.name.len, name);
    case WAL_SPAN: id = item->u.span.ring; break;
    case WAL_RETIRE: id = item->u.retire.ring; break;
    case WAL_DEF: id = item->u.def.ring; break;
    case WAL_SCHEMA: id = item->u.schema.ring; break;
    case WAL_LOST: id = item->u.lost.ring; break;
    default:
        return false;
    }
    ring = wal_state_ring(state, id);
    return ring_is(id, ring != NULL ? ring->name : "", ring != NULL ? strlen(ring->name) : 0, name);
}
