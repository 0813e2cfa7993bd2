/*
 * made_item: see the header.
 * Owns:   nothing.
 * Thread: one.
 */
#include "wal/made_item.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "wal/log_builder.h"

/* Fills a word with an extreme or a random value. */
static uint64_t word(struct made_item *t)
{
    uint64_t r = built_random(&t->seed);

    return r % 4 == 0 ? 0 : r % 4 == 1 ? UINT64_MAX : built_random(&t->seed);
}

static struct wal_str text(struct made_item *t, char *buf, uint32_t cap)
{
    uint32_t len = built_random(&t->seed) % 3 == 0 ? 0 : (uint32_t)(built_random(&t->seed) % cap);

    for (uint32_t i = 0; i < len; i++)
        buf[i] = (char)('!' + built_random(&t->seed) % 90);
    return (struct wal_str){buf, len};
}

static void fill_seal(struct wal_item *it, struct made_item *t)
{
    it->u.seal.epoch = word(t);
    it->u.seal.number = word(t);
    it->u.seal.stream = (uint32_t)word(t);
    it->u.seal.version = (uint32_t)word(t);
    it->u.seal.output = (uint16_t)(word(t) % WAL_OUTPUTS_MAX);
    it->u.seal.targets = (uint16_t)(word(t) % (WAL_TARGETS_MAX + 1));
    it->u.seal.file_mode = (uint32_t)word(t);
    it->u.seal.crc32c = (uint32_t)word(t);
    it->u.seal.first_lsn = word(t);
    it->u.seal.last_lsn = word(t);
    it->u.seal.events = word(t);
    it->u.seal.payload_bytes = word(t);
    it->u.seal.file_bytes = word(t);
    it->u.seal.name_time_ns = word(t);
    it->u.seal.arrival_ns = word(t);
    it->u.seal.partition = text(t, t->partition, sizeof(t->partition));
    for (uint16_t i = 0; i < it->u.seal.targets; i++) {
        it->u.seal.target[i].type = (uint8_t)word(t);
        it->u.seal.target[i].staging_id = word(t);
        it->u.seal.target[i].sink = text(t, t->a[i][0], sizeof(t->a[i][0]));
        it->u.seal.target[i].directory = text(t, t->a[i][1], sizeof(t->a[i][1]));
        it->u.seal.target[i].key = text(t, t->a[i][2], sizeof(t->a[i][2]));
    }
}

static void fill_totals(struct wal_item *it, struct made_item *t)
{
    switch (it->type) {
    case WAL_CHECKPOINT:
        it->u.checkpoint.trim_lsn = word(t);
        it->u.checkpoint.last_name_time_ns = word(t);
        it->u.checkpoint.next_ring = (uint32_t)word(t);
        it->u.checkpoint.next_stream = (uint32_t)word(t);
        for (int i = 0; i < WAL_LOST_REASON_COUNT; i++)
            it->u.checkpoint.lost_bytes[i] = word(t);
        break;
    case WAL_STREAM_TOTALS:
        it->u.stream_totals.stream = (uint32_t)word(t);
        it->u.stream_totals.accepted = word(t);
        it->u.stream_totals.accepted_bytes = word(t);
        it->u.stream_totals.delivered = word(t);
        for (int i = 0; i < WAL_DROP_REASON_COUNT; i++)
            it->u.stream_totals.dropped[i] = word(t);
        for (int i = 0; i < WAL_LOST_REASON_COUNT; i++)
            it->u.stream_totals.lost[i] = word(t);
        break;
    case WAL_STREAM_SOURCES:
        it->u.stream_sources.stream = (uint32_t)word(t);
        for (int i = WAL_FROM_RING + 1; i < WAL_SOURCE_COUNT; i++)
            it->u.stream_sources.accepted[i] = word(t);
        break;
    case WAL_VERSION_TOTALS:
        it->u.version_totals.stream = (uint32_t)word(t);
        it->u.version_totals.version = (uint32_t)word(t);
        it->u.version_totals.outputs = (uint16_t)(word(t) % (WAL_OUTPUTS_MAX + 1));
        it->u.version_totals.accepted = word(t);
        it->u.version_totals.lost = word(t);
        for (int i = 0; i < WAL_DROP_REASON_COUNT; i++)
            it->u.version_totals.resolved_dropped[i] = word(t);
        for (int i = 0; i < WAL_OUTPUTS_MAX; i++) {
            it->u.version_totals.delivered[i] = word(t);
            for (int k = 0; k < WAL_DROP_REASON_COUNT; k++)
                it->u.version_totals.dropped[i][k] = word(t);
            it->u.version_totals.sealed_lsn[i] = word(t);
        }
        break;
    case WAL_PARTITION:
        it->u.partition.stream = (uint32_t)word(t);
        it->u.partition.version = (uint32_t)word(t);
        it->u.partition.output = (uint16_t)(word(t) % WAL_OUTPUTS_MAX);
        it->u.partition.sealed_lsn = word(t) | 1;
        memset(t->partition, 'p', sizeof(t->partition));
        it->u.partition.partition = (struct wal_str){t->partition,
                                                     1 + (uint32_t)(word(t) % WAL_PARTITION_MAX)};
        break;
    case WAL_SINK_TOTALS:
        it->u.sink_totals.stream = (uint32_t)word(t);
        it->u.sink_totals.sink = text(t, t->a[0][0], sizeof(t->a[0][0]));
        it->u.sink_totals.events = word(t);
        it->u.sink_totals.bytes = word(t);
        it->u.sink_totals.batches = word(t);
        break;
    default:
        it->u.intake.ring = (uint32_t)word(t);
        for (int i = 0; i < SHM_DROP_COUNT; i++)
            it->u.intake.drops[i] = word(t);
    }
}

static void fill_span(struct wal_item *it, struct made_item *t)
{
    it->u.span.ring = (uint32_t)word(t);
    it->u.span.events = (uint32_t)word(t);
    it->u.span.from = word(t);
    it->u.span.to = it->u.span.from + word(t) % (SHM_RING_BYTES_MAX + 1ULL);
    it->u.span.offset = (uint32_t)word(t);
    it->u.span.crc32c = (uint32_t)word(t);
    it->u.span.tallies = (uint16_t)(word(t) % (WAL_DEFS_MAX + 1));
    for (uint16_t i = 0; i < it->u.span.tallies; i++)
        t->tally[i] = (struct wal_tally){(uint16_t)word(t), (uint32_t)word(t), word(t)};
}

void made_item_fill(struct made_item *t, struct wal_item *it)
{
    switch (it->type) {
    case WAL_SPAN:
        fill_span(it, t);
        break;
    case WAL_ATTACH:
        it->u.attach.ring = (uint32_t)word(t);
        it->u.attach.uid = (uint32_t)word(t);
        it->u.attach.pid = (uint32_t)word(t);
        it->u.attach.ino = word(t);
        it->u.attach.pos = word(t);
        it->u.attach.lsn = word(t);
        bytes_put_u64(it->u.attach.uuid, word(t));
        bytes_put_u64(it->u.attach.uuid + 8, word(t));
        it->u.attach.name = text(t, t->a[0][0], SHM_RING_NAME_MAX);
        break;
    case WAL_RETIRE:
        it->u.retire.ring = (uint32_t)word(t);
        break;
    case WAL_DEF:
        it->u.def.ring = (uint32_t)word(t);
        it->u.def.stream = (uint32_t)word(t);
        it->u.def.number = (uint16_t)word(t);
        break;
    case WAL_SCHEMA:
        it->u.schema.ring = (uint32_t)word(t);
        it->u.schema.number = (uint16_t)word(t);
        it->u.schema.stream_def = (uint16_t)word(t);
        memset(t->schema, (int)(word(t) & 0xff), sizeof(t->schema));
        it->u.schema.body = (struct wal_str){t->schema,
                                             1 + (uint32_t)(word(t) % WAL_SCHEMA_BYTES_MAX)};
        break;
    case WAL_STREAM:
        it->u.stream.stream = (uint32_t)word(t);
        it->u.stream.version = (uint32_t)word(t);
        it->u.stream.uid = (uint32_t)word(t);
        it->u.stream.incarnation = word(t);
        it->u.stream.outputs = (uint16_t)(word(t) % (WAL_OUTPUTS_MAX + 1));
        it->u.stream.name = text(t, t->a[0][0], SHM_STREAM_NAME_MAX);
        it->u.stream.settings = text(t, t->a[0][1], sizeof(t->a[0][1]));
        break;
    case WAL_SEAL:
        fill_seal(it, t);
        break;
    case WAL_ACK:
    case WAL_STAGED:
        it->u.ack.epoch = word(t);
        it->u.ack.number = word(t);
        it->u.ack.target = (uint16_t)(word(t) % WAL_TARGETS_MAX);
        it->u.ack.how = (uint8_t)word(t);
        it->u.ack.reason = (uint8_t)word(t);
        it->u.ack.staging_id = it->type == WAL_STAGED ? word(t) : 0;
        break;
    case WAL_RESEAL:
        it->u.reseal.epoch = word(t);
        it->u.reseal.number = word(t);
        it->u.reseal.file_bytes = word(t);
        it->u.reseal.crc32c = (uint32_t)word(t);
        it->u.reseal.unstaged = (uint16_t)word(t);
        break;
    case WAL_LOST:
        it->u.lost.lsn = word(t);
        it->u.lost.ring = (uint32_t)word(t);
        it->u.lost.stream = (uint32_t)word(t);
        it->u.lost.version = (uint32_t)word(t);
        it->u.lost.reason = (uint8_t)word(t);
        it->u.lost.events = word(t);
        it->u.lost.payload_bytes = word(t);
        break;
    case WAL_TRIM:
        it->u.trim.lsn = word(t);
        break;
    case WAL_CHECKPOINT_END:
        break;
    default:
        fill_totals(it, t);
    }
}

static void same_str(struct wal_str a, struct wal_str b)
{
    assert_int_equal(a.len, b.len);
    if (a.len > 0)
        assert_memory_equal(a.at, b.at, a.len);
}

#define SAME(field) assert_true(a->u.field == b->u.field)

static void same_seal(const struct wal_item *a, const struct wal_item *b)
{
    SAME(seal.epoch);
    SAME(seal.number);
    SAME(seal.stream);
    SAME(seal.version);
    SAME(seal.output);
    SAME(seal.targets);
    SAME(seal.file_mode);
    SAME(seal.crc32c);
    SAME(seal.first_lsn);
    SAME(seal.last_lsn);
    SAME(seal.events);
    SAME(seal.payload_bytes);
    SAME(seal.file_bytes);
    SAME(seal.name_time_ns);
    SAME(seal.arrival_ns);
    same_str(a->u.seal.partition, b->u.seal.partition);
    for (uint16_t i = 0; i < a->u.seal.targets; i++) {
        SAME(seal.target[i].type);
        SAME(seal.target[i].staging_id);
        same_str(a->u.seal.target[i].sink, b->u.seal.target[i].sink);
        same_str(a->u.seal.target[i].directory, b->u.seal.target[i].directory);
        same_str(a->u.seal.target[i].key, b->u.seal.target[i].key);
    }
}

static void same_totals(const struct wal_item *a, const struct wal_item *b)
{
    switch (a->type) {
    case WAL_CHECKPOINT:
        SAME(checkpoint.trim_lsn);
        SAME(checkpoint.last_name_time_ns);
        SAME(checkpoint.next_ring);
        SAME(checkpoint.next_stream);
        for (int i = 0; i < WAL_LOST_REASON_COUNT; i++)
            SAME(checkpoint.lost_bytes[i]);
        break;
    case WAL_STREAM_TOTALS:
        SAME(stream_totals.stream);
        SAME(stream_totals.accepted);
        SAME(stream_totals.accepted_bytes);
        SAME(stream_totals.delivered);
        for (int i = 0; i < WAL_DROP_REASON_COUNT; i++)
            SAME(stream_totals.dropped[i]);
        for (int i = 0; i < WAL_LOST_REASON_COUNT; i++)
            SAME(stream_totals.lost[i]);
        break;
    case WAL_STREAM_SOURCES:
        SAME(stream_sources.stream);
        for (int i = 0; i < WAL_SOURCE_COUNT; i++)
            SAME(stream_sources.accepted[i]);
        break;
    case WAL_VERSION_TOTALS:
        SAME(version_totals.stream);
        SAME(version_totals.version);
        SAME(version_totals.outputs);
        SAME(version_totals.accepted);
        SAME(version_totals.lost);
        for (int i = 0; i < WAL_DROP_REASON_COUNT; i++)
            SAME(version_totals.resolved_dropped[i]);
        for (uint16_t i = 0; i < a->u.version_totals.outputs; i++) {
            SAME(version_totals.delivered[i]);
            for (int k = 0; k < WAL_DROP_REASON_COUNT; k++)
                SAME(version_totals.dropped[i][k]);
            SAME(version_totals.sealed_lsn[i]);
        }
        break;
    case WAL_PARTITION:
        SAME(partition.stream);
        SAME(partition.version);
        SAME(partition.output);
        SAME(partition.sealed_lsn);
        same_str(a->u.partition.partition, b->u.partition.partition);
        break;
    case WAL_SINK_TOTALS:
        SAME(sink_totals.stream);
        same_str(a->u.sink_totals.sink, b->u.sink_totals.sink);
        SAME(sink_totals.events);
        SAME(sink_totals.bytes);
        SAME(sink_totals.batches);
        break;
    default:
        SAME(intake.ring);
        for (int i = 0; i < SHM_DROP_COUNT; i++)
            SAME(intake.drops[i]);
    }
}

static void same_span(const struct wal_item *a, const struct wal_item *b, const struct made_item *t)
{
    SAME(span.ring);
    SAME(span.events);
    SAME(span.from);
    SAME(span.to);
    SAME(span.offset);
    SAME(span.crc32c);
    SAME(span.tallies);
    for (uint16_t i = 0; i < a->u.span.tallies; i++) {
        struct wal_tally tally = wal_tally_get(b, i);

        assert_int_equal(t->tally[i].def, tally.def);
        assert_int_equal(t->tally[i].events, tally.events);
        assert_true(t->tally[i].payload_bytes == tally.payload_bytes);
    }
}

void made_item_same(const struct made_item *t, const struct wal_item *a, const struct wal_item *b)
{
    assert_int_equal(a->type, b->type);
    switch (a->type) {
    case WAL_SPAN:
        same_span(a, b, t);
        break;
    case WAL_ATTACH:
        SAME(attach.ring);
        SAME(attach.uid);
        SAME(attach.pid);
        SAME(attach.ino);
        SAME(attach.pos);
        SAME(attach.lsn);
        assert_memory_equal(a->u.attach.uuid, b->u.attach.uuid, 16);
        same_str(a->u.attach.name, b->u.attach.name);
        break;
    case WAL_RETIRE:
        SAME(retire.ring);
        break;
    case WAL_DEF:
        SAME(def.ring);
        SAME(def.stream);
        SAME(def.number);
        break;
    case WAL_SCHEMA:
        SAME(schema.ring);
        SAME(schema.number);
        SAME(schema.stream_def);
        same_str(a->u.schema.body, b->u.schema.body);
        break;
    case WAL_STREAM:
        SAME(stream.stream);
        SAME(stream.version);
        SAME(stream.uid);
        SAME(stream.incarnation);
        SAME(stream.outputs);
        same_str(a->u.stream.name, b->u.stream.name);
        same_str(a->u.stream.settings, b->u.stream.settings);
        break;
    case WAL_SEAL:
        same_seal(a, b);
        break;
    case WAL_ACK:
    case WAL_STAGED:
        SAME(ack.epoch);
        SAME(ack.number);
        SAME(ack.target);
        SAME(ack.how);
        SAME(ack.reason);
        SAME(ack.staging_id);
        break;
    case WAL_RESEAL:
        SAME(reseal.epoch);
        SAME(reseal.number);
        SAME(reseal.file_bytes);
        SAME(reseal.crc32c);
        SAME(reseal.unstaged);
        break;
    case WAL_LOST:
        SAME(lost.lsn);
        SAME(lost.ring);
        SAME(lost.stream);
        SAME(lost.version);
        SAME(lost.reason);
        SAME(lost.events);
        SAME(lost.payload_bytes);
        break;
    case WAL_TRIM:
        SAME(trim.lsn);
        break;
    case WAL_CHECKPOINT_END:
        break;
    default:
        same_totals(a, b);
    }
}
