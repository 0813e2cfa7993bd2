/*
 * wal_format: lays out and checks segment headers, COMMIT records and their items.
 * Owns:   nothing.
 * Thread: any.
 */
#include "wal/wal_format.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/invariant.h"

const char *const wal_lost_names[WAL_LOST_REASON_COUNT] = {
    [WAL_LOST_CORRUPT] = "corrupt",
    [WAL_LOST_UNSYNCED] = "unsynced",
    [WAL_LOST_CRASH] = "crash",
};
_Static_assert(WAL_LOST_REASON_COUNT == 3, "each reason has a name");

const char *const wal_drop_names[WAL_DROP_REASON_COUNT] = {
    [WAL_DROP_SINK_REMOVED] = "sink_removed",
};
_Static_assert(WAL_DROP_REASON_COUNT == 1, "each reason has a name");

uint32_t wal_crc_seed(const struct wal_identity *id, uint64_t lsn)
{
    uint8_t seed[40];

    memcpy(seed, id->uuid, 16);
    bytes_put_u64(seed + 16, id->epoch);
    bytes_put_u64(seed + 24, id->segment);
    bytes_put_u64(seed + 32, lsn);
    return crc32c(0, seed, sizeof(seed));
}

void wal_segment_header_format(struct wal_segment_header *header)
{
    header->magic = WAL_SEGMENT_MAGIC;
    header->version = WAL_VERSION;
    header->crc32c = crc32c(0, header, offsetof(struct wal_segment_header, crc32c));
}

void wal_segment_header_put(const struct wal_segment_header *header, uint8_t *block)
{
    memset(block, 0, WAL_BLOCK);
    memcpy(block, header, sizeof(*header));
    memcpy(block + WAL_HEADER_AGAIN, header, sizeof(*header));
}

static int header_parse(const uint8_t *at, struct wal_segment_header *ret_header)
{
    memcpy(ret_header, at, sizeof(*ret_header));
    if (ret_header->magic != WAL_SEGMENT_MAGIC || ret_header->version != WAL_VERSION)
        return -EBADMSG;
    if (ret_header->crc32c
        != crc32c(0, ret_header, offsetof(struct wal_segment_header, crc32c)))
        return -EBADMSG;
    if (ret_header->flags & ~(uint32_t)WAL_SEGMENT_CONTINUES)
        return -EBADMSG;
    if (ret_header->start_lsn % WAL_BLOCK != 0 || ret_header->start_lsn > UINT64_MAX / 2
        || ret_header->prev_end_lsn - ret_header->start_lsn
               != (wal_segment_continues(ret_header) ? WAL_BLOCK : 0))
        return -EBADMSG;
    return 0;
}

int wal_segment_header_parse(const void *block, struct wal_segment_header *ret_header)
{
    const uint8_t *at = block;
    int err = header_parse(at, ret_header);

    return err ? header_parse(at + WAL_HEADER_AGAIN, ret_header) : 0;
}

uint32_t wal_commit_bytes(uint32_t item_bytes)
{
    return (uint32_t)bytes_round_up(sizeof(struct wal_commit) + (uint64_t)item_bytes, WAL_BLOCK);
}

void wal_commit_format(const struct wal_identity *id, struct wal_commit *header, const void *items,
                       uint8_t *record)
{
    uint32_t bytes = wal_commit_bytes(header->item_bytes);

    header->magic = WAL_COMMIT_MAGIC;
    header->bytes = bytes;
    header->crc32c = 0;
    memset(record, 0, bytes);
    memcpy(record, header, sizeof(*header));
    if (header->item_bytes > 0)
        memcpy(record + sizeof(*header), items, header->item_bytes);
    header->crc32c = crc32c(wal_crc_seed(id, header->lsn), record, bytes);
    memcpy(record, header, sizeof(*header));
}

int wal_commit_parse(const struct wal_identity *id, const uint8_t *record, size_t len, uint64_t lsn,
                     struct wal_commit *ret_header)
{
    static const uint8_t zero[4];
    uint32_t crc;

    if (len < WAL_BLOCK || !wal_commit_begins(record, lsn))
        return -EBADMSG;
    memcpy(ret_header, record, sizeof(*ret_header));
    if (ret_header->bytes < WAL_BLOCK || ret_header->bytes % WAL_BLOCK != 0
        || ret_header->bytes > len
        || ret_header->item_bytes > ret_header->bytes - sizeof(*ret_header)
        || ret_header->group_lsn > lsn || ret_header->group_lsn % WAL_BLOCK != 0)
        return -EBADMSG;
    crc = crc32c(wal_crc_seed(id, lsn), record, offsetof(struct wal_commit, crc32c));
    crc = crc32c(crc, zero, sizeof(zero));
    crc = crc32c(crc, record + 16, ret_header->bytes - 16);
    return crc == ret_header->crc32c ? 0 : -EBADMSG;
}

void wal_segment_name(uint32_t shard, uint64_t epoch, uint64_t number, char ret_name[WAL_NAME_MAX])
{
    int n = snprintf(ret_name, WAL_NAME_MAX, "%03" PRIu32 "-%016" PRIx64 "-%010" PRIu64 ".seg",
                     shard, epoch, number);

    INVARIANT(n > 0 && n < WAL_NAME_MAX);
}

bool wal_segment_name_parse(const char *name, uint32_t *ret_shard, uint64_t *ret_epoch,
                            uint64_t *ret_number)
{
    char again[WAL_NAME_MAX];

    if (sscanf(name, "%3" SCNu32 "-%16" SCNx64 "-%20" SCNu64, ret_shard, ret_epoch, ret_number) != 3
        || *ret_shard > 999)
        return false;
    if (snprintf(again, sizeof(again), "%03" PRIu32 "-%016" PRIx64 "-%010" PRIu64 ".seg",
                 *ret_shard, *ret_epoch, *ret_number)
        >= (int)sizeof(again))
        return false;
    return strcmp(name, again) == 0;
}

/*
 * Items. One description of each item's fields serves both directions: a codec either appends to
 * `out` or takes from [at, end). After the first failure everything is a no-op and `err` is kept.
 */
struct codec {
    struct bytes *out;              /* writing when not NULL */
    const uint8_t *at, *end;        /* reading */
    int err;
};

static void code_raw(struct codec *c, void *field, size_t len)
{
    if (c->err)
        return;
    if (c->out) {
        c->err = bytes_append(c->out, field, len);
        return;
    }
    if ((size_t)(c->end - c->at) < len) {
        c->err = -EBADMSG;
        return;
    }
    memcpy(field, c->at, len);
    c->at += len;
}

static void code_u8(struct codec *c, uint8_t *v) { code_raw(c, v, sizeof(*v)); }
static void code_u16(struct codec *c, uint16_t *v) { code_raw(c, v, sizeof(*v)); }
static void code_u32(struct codec *c, uint32_t *v) { code_raw(c, v, sizeof(*v)); }
static void code_u64(struct codec *c, uint64_t *v) { code_raw(c, v, sizeof(*v)); }

static void code_str(struct codec *c, struct wal_str *s)
{
    code_u32(c, &s->len);
    if (c->err)
        return;
    if (c->out) {
        if (s->len > 0)
            c->err = bytes_append(c->out, s->at, s->len);
        return;
    }
    if ((size_t)(c->end - c->at) < s->len) {
        c->err = -EBADMSG;
        return;
    }
    s->at = (const char *)c->at;
    c->at += s->len;
}

static void code_count(struct codec *c, uint16_t *count, uint16_t max)
{
    code_u16(c, count);
    if (!c->err && *count > max)
        c->err = -EBADMSG;
}

static void code_partition(struct codec *c, struct wal_str *s)
{
    code_str(c, s);
    if (!c->err && s->len > WAL_PARTITION_MAX)
        c->err = -EBADMSG;
}

static void code_u64s(struct codec *c, uint64_t *v, size_t count)
{
    for (size_t i = 0; i < count; i++)
        code_u64(c, &v[i]);
}

enum { TALLY_BYTES = 14 };

static void code_span(struct codec *c, struct wal_item *it, const struct wal_tally *tallies)
{
    code_u32(c, &it->u.span.ring);
    code_u32(c, &it->u.span.events);
    code_u64(c, &it->u.span.from);
    code_u64(c, &it->u.span.to);
    code_u32(c, &it->u.span.offset);
    code_u32(c, &it->u.span.crc32c);
    code_count(c, &it->u.span.tallies, WAL_DEFS_MAX);
    if (c->err)
        return;
    if (!c->out) {
        size_t len = (size_t)it->u.span.tallies * TALLY_BYTES;

        if ((size_t)(c->end - c->at) < len
            || it->u.span.to - it->u.span.from > SHM_RING_BYTES_MAX) {
            c->err = -EBADMSG;
            return;
        }
        it->u.span.tally_bytes = c->at;
        c->at += len;
        return;
    }
    for (uint16_t i = 0; i < it->u.span.tallies; i++) {
        struct wal_tally t = tallies[i];

        code_u16(c, &t.def);
        code_u32(c, &t.events);
        code_u64(c, &t.payload_bytes);
    }
}

static void code_seal(struct codec *c, struct wal_item *it)
{
    code_u64(c, &it->u.seal.epoch);
    code_u64(c, &it->u.seal.number);
    code_u32(c, &it->u.seal.stream);
    code_u32(c, &it->u.seal.version);
    code_count(c, &it->u.seal.output, WAL_OUTPUTS_MAX - 1);
    code_u32(c, &it->u.seal.file_mode);
    code_u32(c, &it->u.seal.crc32c);
    code_u64(c, &it->u.seal.first_lsn);
    code_u64(c, &it->u.seal.last_lsn);
    code_u64(c, &it->u.seal.events);
    code_u64(c, &it->u.seal.payload_bytes);
    code_u64(c, &it->u.seal.file_bytes);
    code_u64(c, &it->u.seal.name_time_ns);
    code_u64(c, &it->u.seal.arrival_ns);
    code_partition(c, &it->u.seal.partition);
    code_count(c, &it->u.seal.targets, WAL_TARGETS_MAX);
    for (uint16_t i = 0; !c->err && i < it->u.seal.targets; i++) {
        struct wal_target *t = &it->u.seal.target[i];

        code_u8(c, &t->type);
        code_u64(c, &t->staging_id);
        code_str(c, &t->sink);
        code_str(c, &t->directory);
        code_str(c, &t->key);
    }
}

static void code_version_totals(struct codec *c, struct wal_item *it)
{
    code_u32(c, &it->u.version_totals.stream);
    code_u32(c, &it->u.version_totals.version);
    code_u64(c, &it->u.version_totals.accepted);
    code_u64(c, &it->u.version_totals.lost);
    code_u64s(c, it->u.version_totals.resolved_dropped, WAL_DROP_REASON_COUNT);
    code_count(c, &it->u.version_totals.outputs, WAL_OUTPUTS_MAX);
    if (c->err)
        return;
    code_u64s(c, it->u.version_totals.delivered, it->u.version_totals.outputs);
    for (uint16_t i = 0; i < it->u.version_totals.outputs; i++)
        code_u64s(c, it->u.version_totals.dropped[i], WAL_DROP_REASON_COUNT);
    code_u64s(c, it->u.version_totals.sealed_lsn, it->u.version_totals.outputs);
}

/* CHECKPOINT, and what else says how things stand, not what has happened. */
static void code_totals(struct codec *c, struct wal_item *it)
{
    switch (it->type) {
    case WAL_CHECKPOINT:
        code_u64(c, &it->u.checkpoint.trim_lsn);
        code_u64(c, &it->u.checkpoint.last_name_time_ns);
        code_u32(c, &it->u.checkpoint.next_ring);
        code_u32(c, &it->u.checkpoint.next_stream);
        code_u64s(c, it->u.checkpoint.lost_bytes, WAL_LOST_REASON_COUNT);
        break;
    case WAL_CHECKPOINT_END:
        break;
    case WAL_STREAM_TOTALS:
        code_u32(c, &it->u.stream_totals.stream);
        code_u64(c, &it->u.stream_totals.accepted);
        code_u64(c, &it->u.stream_totals.accepted_bytes);
        code_u64(c, &it->u.stream_totals.delivered);
        code_u64s(c, it->u.stream_totals.dropped, WAL_DROP_REASON_COUNT);
        code_u64s(c, it->u.stream_totals.lost, WAL_LOST_REASON_COUNT);
        break;
    case WAL_STREAM_SOURCES:
        code_u32(c, &it->u.stream_sources.stream);
        code_u64s(c, it->u.stream_sources.accepted + 1, WAL_SOURCE_COUNT - 1);
        break;
    case WAL_PARTITION:
        code_u32(c, &it->u.partition.stream);
        code_u32(c, &it->u.partition.version);
        code_count(c, &it->u.partition.output, WAL_OUTPUTS_MAX - 1);
        code_u64(c, &it->u.partition.sealed_lsn);
        code_partition(c, &it->u.partition.partition);
        if (!c->err && it->u.partition.partition.len == 0)
            c->err = -EBADMSG;
        break;
    case WAL_SINK_TOTALS:
        code_u32(c, &it->u.sink_totals.stream);
        code_str(c, &it->u.sink_totals.sink);
        code_u64(c, &it->u.sink_totals.events);
        code_u64(c, &it->u.sink_totals.bytes);
        code_u64(c, &it->u.sink_totals.batches);
        break;
    case WAL_INTAKE_DROPS:
        code_u32(c, &it->u.intake.ring);
        code_u64s(c, it->u.intake.drops, SHM_DROP_COUNT);
        break;
    default:
        c->err = -EBADMSG;
    }
}

static void code_small(struct codec *c, struct wal_item *it)
{
    switch (it->type) {
    case WAL_ATTACH:
        code_u32(c, &it->u.attach.ring);
        code_u32(c, &it->u.attach.uid);
        code_u32(c, &it->u.attach.pid);
        code_u64(c, &it->u.attach.ino);
        code_u64(c, &it->u.attach.pos);
        code_u64(c, &it->u.attach.lsn);
        code_raw(c, it->u.attach.uuid, 16);
        code_str(c, &it->u.attach.name);
        break;
    case WAL_RETIRE:
        code_u32(c, &it->u.retire.ring);
        break;
    case WAL_DEF:
        code_u32(c, &it->u.def.ring);
        code_u32(c, &it->u.def.stream);
        code_u16(c, &it->u.def.number);
        break;
    case WAL_SCHEMA:
        code_u32(c, &it->u.schema.ring);
        code_u16(c, &it->u.schema.number);
        code_u16(c, &it->u.schema.stream_def);
        code_str(c, &it->u.schema.body);
        if (!c->err && (it->u.schema.body.len == 0
                        || it->u.schema.body.len > WAL_SCHEMA_BYTES_MAX))
            c->err = -EBADMSG;
        break;
    case WAL_STREAM:
        code_u32(c, &it->u.stream.stream);
        code_u32(c, &it->u.stream.version);
        code_u32(c, &it->u.stream.uid);
        code_u64(c, &it->u.stream.incarnation);
        code_count(c, &it->u.stream.outputs, WAL_OUTPUTS_MAX);
        code_str(c, &it->u.stream.name);
        code_str(c, &it->u.stream.settings);
        break;
    case WAL_ACK:
    case WAL_STAGED:
        code_u64(c, &it->u.ack.epoch);
        code_u64(c, &it->u.ack.number);
        code_count(c, &it->u.ack.target, WAL_TARGETS_MAX - 1);
        code_u8(c, &it->u.ack.how);
        code_u8(c, &it->u.ack.reason);
        if (it->type == WAL_STAGED)
            code_u64(c, &it->u.ack.staging_id);
        break;
    case WAL_RESEAL:
        code_u64(c, &it->u.reseal.epoch);
        code_u64(c, &it->u.reseal.number);
        code_u64(c, &it->u.reseal.file_bytes);
        code_u32(c, &it->u.reseal.crc32c);
        code_u16(c, &it->u.reseal.unstaged);
        break;
    case WAL_LOST:
        code_u64(c, &it->u.lost.lsn);
        code_u32(c, &it->u.lost.ring);
        code_u32(c, &it->u.lost.stream);
        code_u32(c, &it->u.lost.version);
        code_u8(c, &it->u.lost.reason);
        code_u64(c, &it->u.lost.events);
        code_u64(c, &it->u.lost.payload_bytes);
        break;
    case WAL_TRIM:
        code_u64(c, &it->u.trim.lsn);
        break;
    default:
        code_totals(c, it);
    }
}

static void code_item(struct codec *c, struct wal_item *it, const struct wal_tally *tallies)
{
    switch (it->type) {
    case WAL_SPAN:
        code_span(c, it, tallies);
        break;
    case WAL_SEAL:
        code_seal(c, it);
        break;
    case WAL_VERSION_TOTALS:
        code_version_totals(c, it);
        break;
    default:
        code_small(c, it);
    }
}

int wal_item_append(struct bytes *out, const struct wal_item *item,
                    const struct wal_tally *tallies)
{
    static const uint8_t zero[8];
    struct wal_item copy = *item;
    struct codec c = {.out = out};
    uint8_t head[8] = {0};
    size_t start = out->len;
    size_t len;

    c.err = bytes_append(out, head, sizeof(head));
    code_item(&c, &copy, tallies);
    len = out->len - start;
    if (!c.err && len % 8 != 0)
        c.err = bytes_append(out, zero, 8 - len % 8);
    if (c.err) {
        INVARIANT(c.err == -ENOMEM);
        out->len = start;
        return c.err;
    }
    bytes_put_u16(out->data + start, (uint16_t)item->type);
    bytes_put_u32(out->data + start + 4, (uint32_t)(len - sizeof(head)));
    return 0;
}

int wal_item_next(const uint8_t **at, const uint8_t *end, struct wal_item *ret_item)
{
    struct codec c = {0};
    uint32_t len;
    uint16_t type;

    if (end - *at < 8)
        return -EBADMSG;
    type = bytes_get_u16(*at);
    len = bytes_get_u32(*at + 4);
    if (type == 0 || type >= WAL_ITEM_TYPE_COUNT || bytes_get_u16(*at + 2) != 0
        || (size_t)(end - *at - 8) < bytes_round_up(len, 8))
        return -EBADMSG;
    memset(ret_item, 0, offsetof(struct wal_item, u) + sizeof(ret_item->u.attach));
    ret_item->type = (enum wal_item_type)type;
    c.at = *at + 8;
    c.end = c.at + len;
    code_item(&c, ret_item, NULL);
    if (c.err || c.at != c.end)
        return -EBADMSG;
    *at += 8 + bytes_round_up(len, 8);
    return 0;
}

struct wal_tally wal_tally_get(const struct wal_item *span, uint16_t i)
{
    const uint8_t *at = span->u.span.tally_bytes + (size_t)i * TALLY_BYTES;

    return (struct wal_tally){bytes_get_u16(at), bytes_get_u32(at + 2), bytes_get_u64(at + 6)};
}
