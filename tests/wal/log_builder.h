/*
 * log_builder: logs for tests, laid out byte by byte without the writer, and items to fill them.
 *
 * A log is up to BUILT_SEGMENTS_MAX segments in memory; a test puts them where it likes and damages
 * them as it likes. built.group[] says what an undamaged log holds.
 *
 * Owns:   struct built_log owns its files; built_log_free().
 * Thread: one.
 * Units:  lsn = log byte offset.
 */
#ifndef TESTS_WAL_LOG_BUILDER_H
#define TESTS_WAL_LOG_BUILDER_H

#include <string.h>

#include "base/crc32c.h"
#include "base/invariant.h"
#include "wal/wal_format.h"

#define BUILT_UNUSED __attribute__((unused))

enum { BUILT_SEGMENTS_MAX = 8, BUILT_GROUPS_MAX = 64 };

struct built_group {
    uint32_t segment;                   /* index */
    uint64_t lsn, group_lsn, end_lsn;
};

struct built_log {
    uint8_t uuid[16];
    uint64_t epoch;
    struct bytes file[BUILT_SEGMENTS_MAX];              /* owned */
    struct wal_segment_header header[BUILT_SEGMENTS_MAX];
    bool headers_twice;             /* as agents write them; else one can be damaged for good */
    char name[BUILT_SEGMENTS_MAX][WAL_NAME_MAX];
    uint32_t segments;
    struct built_group group[BUILT_GROUPS_MAX];
    uint32_t groups;
    uint64_t end_lsn;
};

/* Small and seeded; good enough to choose damage with. */
static BUILT_UNUSED uint64_t built_random(uint64_t *seed)
{
    uint64_t x = *seed += 0x9e3779b97f4a7c15ULL;

    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
    return x ^ (x >> 31);
}

static BUILT_UNUSED void built_log_init(struct built_log *log)
{
    memset(log, 0, sizeof(*log));
    for (size_t i = 0; i < sizeof(log->uuid); i++)
        log->uuid[i] = (uint8_t)(0xa0 + i);
    log->epoch = 0x0000000165000000ULL;
}

static BUILT_UNUSED void built_log_free(struct built_log *log)
{
    for (uint32_t i = 0; i < log->segments; i++)
        bytes_free(&log->file[i]);
    memset(log, 0, sizeof(*log));
}

/* One more segment behind the last group; it has no group yet. */
static BUILT_UNUSED void built_segment(struct built_log *log)
{
    struct wal_segment_header *header = &log->header[log->segments];
    uint8_t block[WAL_BLOCK] = {0};

    INVARIANT(log->segments < BUILT_SEGMENTS_MAX);
    memset(header, 0, sizeof(*header));
    memcpy(header->uuid, log->uuid, sizeof(header->uuid));
    header->epoch = log->epoch;
    header->number = log->segments + 1;
    header->start_lsn = header->prev_end_lsn = log->end_lsn;
    wal_segment_header_format(header);
    memcpy(block, header, sizeof(*header));
    if (log->headers_twice)
        wal_segment_header_put(header, block);
    wal_segment_name(0, header->epoch, header->number, log->name[log->segments]);
    INVARIANT(bytes_append(&log->file[log->segments], block, sizeof(block)) == 0);
    log->segments++;
    log->end_lsn += WAL_BLOCK;
}

/* One more group in the last segment. */
static BUILT_UNUSED void built_append(struct built_log *log, const void *body, size_t body_len,
                                      const struct bytes *items, uint32_t items_count)
{
    static const uint8_t zero[WAL_BLOCK];
    const struct wal_segment_header *header = &log->header[log->segments - 1];
    struct wal_identity id = {.epoch = header->epoch, .segment = header->number};
    struct bytes *file = &log->file[log->segments - 1];
    struct built_group *group = &log->group[log->groups++];
    size_t padded = (size_t)bytes_round_up(body_len, WAL_BLOCK);
    struct wal_commit commit = {0};

    INVARIANT(log->groups <= BUILT_GROUPS_MAX);
    memcpy(id.uuid, log->uuid, sizeof(id.uuid));
    INVARIANT(bytes_append(file, body, body_len) == 0);
    INVARIANT(bytes_append(file, zero, padded - body_len) == 0);
    commit.group_lsn = log->end_lsn;
    commit.lsn = log->end_lsn + padded;
    commit.items = items_count;
    commit.item_bytes = (uint32_t)items->len;
    INVARIANT(bytes_reserve(file, wal_commit_bytes(commit.item_bytes)) == 0);
    wal_commit_format(&id, &commit, items->data, file->data + file->len);
    file->len += commit.bytes;
    group->segment = log->segments - 1;
    group->group_lsn = commit.group_lsn;
    group->lsn = commit.lsn;
    group->end_lsn = log->end_lsn = commit.lsn + commit.bytes;
}

static BUILT_UNUSED struct wal_str built_str(const char *text)
{
    return (struct wal_str){text, (uint32_t)strlen(text)};
}

static BUILT_UNUSED struct wal_item built_attach(uint32_t ring, uint64_t pos)
{
    struct wal_item it = {.type = WAL_ATTACH};

    it.u.attach.ring = ring;
    it.u.attach.uid = 1000;
    it.u.attach.pid = 4711;
    it.u.attach.ino = 100 + ring;
    it.u.attach.pos = pos;
    memset(it.u.attach.uuid, (int)ring, sizeof(it.u.attach.uuid));
    it.u.attach.name = built_str("app.1.ring");
    return it;
}

static BUILT_UNUSED struct wal_item built_stream(uint32_t stream, uint32_t version,
                                                 const char *name, uint16_t outputs)
{
    struct wal_item it = {.type = WAL_STREAM};

    it.u.stream.stream = stream;
    it.u.stream.version = version;
    it.u.stream.incarnation = 1;
    it.u.stream.outputs = outputs;
    it.u.stream.name = built_str(name);
    it.u.stream.settings = built_str("format = json");
    return it;
}

static BUILT_UNUSED struct wal_item built_def(uint32_t ring, uint16_t number, uint32_t stream)
{
    struct wal_item it = {.type = WAL_DEF};

    it.u.def.ring = ring;
    it.u.def.stream = stream;
    it.u.def.number = number;
    return it;
}

static BUILT_UNUSED struct wal_item built_schema(uint32_t ring, uint16_t number,
                                                 uint16_t stream_def, const char *body)
{
    struct wal_item it = {.type = WAL_SCHEMA};

    it.u.schema.ring = ring;
    it.u.schema.number = number;
    it.u.schema.stream_def = stream_def;
    it.u.schema.body = built_str(body);
    return it;
}

/* A span of ring bytes with one tally. */
static BUILT_UNUSED struct wal_item built_span(uint32_t ring, uint64_t from, const void *data,
                                               uint32_t len, uint32_t offset, uint32_t events)
{
    struct wal_item it = {.type = WAL_SPAN};

    it.u.span.ring = ring;
    it.u.span.events = events;
    it.u.span.from = from;
    it.u.span.to = from + len;
    it.u.span.offset = offset;
    it.u.span.crc32c = crc32c(0, data, len);
    it.u.span.tallies = 1;
    return it;
}

static BUILT_UNUSED struct wal_item built_seal(uint64_t number, uint32_t stream, uint32_t version,
                                               uint16_t output, uint64_t events)
{
    struct wal_item it = {.type = WAL_SEAL};

    it.u.seal.epoch = 7;
    it.u.seal.number = number;
    it.u.seal.stream = stream;
    it.u.seal.version = version;
    it.u.seal.output = output;
    it.u.seal.events = events;
    it.u.seal.file_bytes = events * 10;
    it.u.seal.first_lsn = number * 100;
    it.u.seal.last_lsn = number * 100 + 99;
    it.u.seal.name_time_ns = 1000 + number;
    it.u.seal.targets = 2;
    it.u.seal.target[0].sink = built_str("local");
    it.u.seal.target[0].directory = built_str("/out");
    it.u.seal.target[0].key = built_str("s/a.json");
    it.u.seal.target[0].staging_id = ~number;
    it.u.seal.target[1].sink = built_str("archive");
    it.u.seal.target[1].directory = built_str("");
    it.u.seal.target[1].key = built_str("s/b.json");
    it.u.seal.target[1].type = 1;
    return it;
}

static BUILT_UNUSED struct wal_item built_ack(uint64_t number, uint16_t target, uint8_t how)
{
    struct wal_item it = {.type = WAL_ACK};

    it.u.ack.epoch = 7;
    it.u.ack.number = number;
    it.u.ack.target = target;
    it.u.ack.how = how;
    return it;
}

static BUILT_UNUSED void built_item(struct bytes *out, const struct wal_item *item)
{
    struct wal_tally tally = {1, item->type == WAL_SPAN ? item->u.span.events : 0, 0};

    tally.payload_bytes = tally.events * 8ULL;
    INVARIANT(wal_item_append(out, item, &tally) == 0);
}

#endif
