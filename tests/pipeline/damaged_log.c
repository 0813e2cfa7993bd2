/*
 * damaged_log: the history and its analysis. Views and the oracle are in damaged_log_check.c.
 * Owns:   see damaged_log.h.
 * Thread: one.
 */
#include "pipeline/damaged_log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "pipeline/parts.h"
#include "support/sim.h"

enum {
    SOURCES = 3, STREAMS = 3, RINGS_MAX = 16,
    FILES_MAX = 256, PATH_BYTES = 512, TAIL_BYTES = 64 * 1024
};

struct disk_file {
    char path[PATH_BYTES];
    uint8_t *data;
    size_t len;
};

struct sim_agent damaged_agent;
struct damaged_log damaged_log;
static uint32_t def_stream[RINGS_MAX][STREAMS + 1];
static uint8_t log_uuid[16];
static struct disk_file files[FILES_MAX];
static uint32_t files_count;

static const char *const sink_directory[DAMAGED_SINKS] = {SIM_AGENT_OUT, "/data/twin"};

/* ---- The history ---- */

static void write_one(unsigned source, uint32_t stream)
{
    SIM_AGENT_CHECK(sim_agent_write(&damaged_agent, &damaged_agent.sources[source], stream),
                    "a ring is full");
}

static void write_some(unsigned rounds)
{
    for (unsigned i = 0; i < rounds; i++) {
        for (unsigned s = 0; s < SOURCES; s++)
            if (damaged_agent.sources[s].ring.open)
                for (unsigned n = 0; n <= (i + s) % 3; n++)
                    write_one(s, (i + n) % 2);
        sim_agent_pass(&damaged_agent, i % 4 == 3 ? 12000000 : 500000);
    }
}

static void roll(void)
{
    uint64_t rolls = damaged_agent.shard->writer.rolls;

    wal_writer_ask_roll(&damaged_agent.shard->writer);
    for (unsigned i = 0; damaged_agent.shard->writer.rolls == rolls; i++) {
        SIM_AGENT_CHECK(i < 10000, "it does not roll");
        sim_agent_turn(&damaged_agent);
    }
}

static shard_settings_fn agent_settings;

/* The third stream keeps its settings: a reload would seal what pins the log. */
static int on_settings(void *ctx, const char *stream, struct stream_settings *ret_set,
                       struct errmsg *err)
{
    int64_t count = damaged_agent.sinks[0].buffer_count;
    int rc;

    if (strcmp(stream, "stream-2") == 0)
        damaged_agent.sinks[0].buffer_count = 10;
    rc = agent_settings(ctx, stream, ret_set, err);
    damaged_agent.sinks[0].buffer_count = count;
    return rc;
}

static void lives(void)
{
    sim_agent_open(&damaged_agent);
    write_one(0, 2);                /* never due: it pins the log */
    write_some(5);
    roll();
    write_some(5);
    damaged_agent.sinks[0].buffer_count = 6;
    shard_reload(damaged_agent.shard);
    sim_producer_close(&damaged_agent.sources[2].ring);
    write_some(4);
    sim_agent_killed(&damaged_agent);

    sim_agent_open(&damaged_agent);
    sim_agent_pass(&damaged_agent, 20000000);
    write_some(4);
    roll();
    damaged_agent.sinks[0].buffer_count = 8;
    shard_reload(damaged_agent.shard);
    write_some(6);
    write_one(1, 2);
    sim_agent_pass(&damaged_agent, 15000000);
    memcpy(log_uuid, damaged_agent.shards->uuid, sizeof(log_uuid));
    write_some(4);                  /* its last groups come after the last sync */
    sim_agent_killed(&damaged_agent);
    sim_land();
}

static void file_keep(void *ctx, const char *path)
{
    struct disk_file *f = &files[files_count++];

    (void)ctx;
    SIM_AGENT_CHECK(files_count <= FILES_MAX, "too many files");
    snprintf(f->path, sizeof(f->path), "%s", path);
    SIM_AGENT_CHECK(sim_read_file(path, &f->data, &f->len) == 0, "%s", path);
}

/* ---- What is in the files ---- */

static struct damaged_event *event_find(uint32_t source, uint32_t stream, uint32_t number)
{
    for (uint32_t i = 0; i < damaged_log.events; i++) {
        struct damaged_event *ev = &damaged_log.event[i];

        if (ev->source == source && ev->stream == stream && ev->number == number)
            return ev;
    }
    return NULL;
}

static void event_parse(const char *text, size_t len, uint32_t *ret_source, uint32_t *ret_stream,
                        uint32_t *ret_number)
{
    char line[512];
    int end = 0;

    SIM_AGENT_CHECK(len < sizeof(line), "%zu bytes", len);
    memcpy(line, text, len);
    line[len] = '\0';
    SIM_AGENT_CHECK(sscanf(line, "{\"p\":%u,\"s\":%u,\"n\":%u,\"x\":\"%n", ret_source, ret_stream,
                           ret_number, &end) == 3 && end > 0
                        && len == (size_t)end + damaged_agent.pad_bytes + 2
                        && strcmp(line + end + damaged_agent.pad_bytes, "\"}") == 0,
                    "'%s' was never written", line);
}

static void file_count(void *ctx, const char *path)
{
    uint32_t sink = *(const uint32_t *)ctx;
    const char *line, *end;
    uint8_t *data;
    size_t len;

    if (strstr(path, "/.") != NULL)
        return; /* not delivered */
    SIM_AGENT_CHECK(sim_read_file(path, &data, &len) == 0, "%s", path);
    SIM_AGENT_CHECK(len > 0 && data[len - 1] == '\n' && strlen((char *)data) == len,
                    "%s is not complete", path);
    for (line = (char *)data; *line; line = end + 1) {
        uint32_t source, stream, number;
        struct damaged_event *ev;

        end = strchr(line, '\n');
        event_parse(line, (size_t)(end - line), &source, &stream, &number);
        ev = event_find(source, stream, number);
        SIM_AGENT_CHECK(ev, "%s: %u/%u/%u is not in the log", path, source, stream, number);
        ev->now[sink]++;
    }
    free(data);
}

void damaged_log_count(void)
{
    for (uint32_t i = 0; i < damaged_log.events; i++)
        memset(damaged_log.event[i].now, 0, sizeof(damaged_log.event[i].now));
    for (uint32_t k = 0; k < DAMAGED_SINKS; k++)
        sim_walk(sink_directory[k], file_count, &k);
}

/* ---- What is in the log ---- */

static void key_add(uint32_t group, struct damaged_key key)
{
    struct damaged_key *at = damaged_log.key;

    while (at < damaged_log.key + damaged_log.keys
           && (at->type != key.type || at->a != key.a || at->b != key.b || at->c != key.c))
        at++;
    if (at == damaged_log.key + damaged_log.keys) {
        SIM_AGENT_CHECK(++damaged_log.keys <= DAMAGED_KEYS_MAX, "too many definitions");
        *at = key;
    }
    SIM_AGENT_CHECK(at->copies < DAMAGED_COPIES_MAX, "too many copies");
    at->group[at->copies++] = group;
}

static void span_add(const struct wal_group_view *g, const struct wal_item *it)
{
    const uint8_t *bytes = g->body + it->u.span.offset, *payload;
    uint64_t len = it->u.span.to - it->u.span.from;
    struct shm_frame frame;

    SIM_AGENT_CHECK(damaged_log.spans < DAMAGED_SPANS_MAX, "too many spans");
    if (damaged_log.group[damaged_log.groups].spans++ == 0)
        damaged_log.group[damaged_log.groups].first_span = damaged_log.spans;
    for (uint64_t at = 0, next; at < len; at = next) {
        struct damaged_event *ev = &damaged_log.event[damaged_log.events++];

        SIM_AGENT_CHECK(damaged_log.events <= DAMAGED_EVENTS_MAX, "too many events");
        next = frames_next(bytes, at, &frame, &payload);
        event_parse((const char *)payload, frame.len, &ev->source, &ev->stream, &ev->number);
        ev->span = damaged_log.spans;
        ev->stream_id = def_stream[it->u.span.ring][frame.def];
        ev->lsn = g->body_lsn + it->u.span.offset + at;
    }
    damaged_log.span[damaged_log.spans++] = (struct damaged_span){
        .group = damaged_log.groups,
        .ring = it->u.span.ring,
        .lsn = g->body_lsn + it->u.span.offset,
        .len = (uint32_t)len,
    };
}

static void item_add(const struct wal_group_view *g, const struct wal_item *it)
{
    uint32_t group = damaged_log.groups;

    switch (it->type) {
    case WAL_SPAN:
        span_add(g, it);
        break;
    case WAL_ATTACH:
        key_add(group, (struct damaged_key){.type = WAL_ATTACH, .a = it->u.attach.ring});
        break;
    case WAL_DEF:
        SIM_AGENT_CHECK(it->u.def.ring < RINGS_MAX && it->u.def.number <= STREAMS, "a definition");
        def_stream[it->u.def.ring][it->u.def.number] = it->u.def.stream;
        key_add(group, (struct damaged_key){.type = WAL_DEF, .a = it->u.def.ring,
                                            .b = it->u.def.number});
        break;
    case WAL_STREAM:
        key_add(group, (struct damaged_key){.type = WAL_STREAM, .a = it->u.stream.stream,
                                    .b = it->u.stream.version});
        break;
    case WAL_SEAL:
        key_add(group, (struct damaged_key){.type = WAL_SEAL, .a = it->u.seal.stream,
                                    .b = it->u.seal.epoch ^ it->u.seal.number << 32,
                                    .c = it->u.seal.output, .first_lsn = it->u.seal.first_lsn,
                                    .last_lsn = it->u.seal.last_lsn});
        break;
    case WAL_CHECKPOINT_END:
        damaged_log.group[group].checkpoint = true;
        break;
    default:
        break;
    }
}

void damaged_log_dir(struct wal_dir *dir)
{
    struct errmsg err = {""};

    SIM_AGENT_CHECK(wal_dir_open(SIM_AGENT_DATA "/wal", 0, log_uuid, false, dir, &err) == 0, "%s",
                    err.text);
}

static void log_analyse(void)
{
    struct wal_group_view g;
    struct wal_reader r;
    struct wal_dir dir;

    damaged_log_dir(&dir);
    SIM_AGENT_CHECK(dir.count <= DAMAGED_SEGMENTS_MAX, "too many segments");
    wal_reader_init(&r, &dir);
    while (wal_reader_next(&r, UINT64_MAX, &g) > 0) {
        const uint8_t *at = g.items;
        struct wal_item it;

        SIM_AGENT_CHECK(damaged_log.groups < DAMAGED_GROUPS_MAX && g.hole_from >= g.body_lsn,
                        "group %u", damaged_log.groups);
        damaged_log.group[damaged_log.groups] = (struct damaged_group){
            .body_lsn = g.body_lsn,
            .commit_lsn = g.commit.lsn,
            .end_lsn = g.end_lsn,
            .commit_bytes = g.commit.bytes,
            .meaningful = (uint32_t)sizeof(struct wal_commit) + g.commit.item_bytes,
            .segment = (uint32_t)(wal_dir_find(&dir, g.body_lsn) - dir.segments),
            .synced_lsn = g.commit.synced_lsn,
        };
        damaged_log.group[damaged_log.groups].print = damaged_log_print(damaged_log.groups, &g);
        while (at < g.items_end) {
            SIM_AGENT_CHECK(wal_item_next(&at, g.items_end, &it) == 0, "an item");
            item_add(&g, &it);
        }
        damaged_log.groups++;
    }
    for (uint32_t i = 0; i < dir.count; i++) {
        struct damaged_segment *seg = &damaged_log.segment[damaged_log.segments++];

        snprintf(seg->path, sizeof(seg->path), SIM_AGENT_DATA "/wal/%s", dir.segments[i].name);
        seg->start_lsn = dir.segments[i].header.start_lsn;
        for (uint32_t k = 0; k < damaged_log.groups; k++)
            if (damaged_log.group[k].segment == i)
                seg->written = (size_t)(damaged_log.group[k].end_lsn - seg->start_lsn);
    }
    wal_reader_fini(&r);
    wal_dir_close(&dir);
}

/* Of what was reserved and never written a little is enough. */
static void tails_cut(void)
{
    for (uint32_t i = 0; i < damaged_log.segments; i++) {
        struct damaged_segment *seg = &damaged_log.segment[i];

        for (uint32_t k = 0; k < files_count; k++)
            if (strcmp(files[k].path, seg->path) == 0) {
                if (files[k].len > seg->written + TAIL_BYTES)
                    files[k].len = seg->written + TAIL_BYTES;
                seg->bytes = files[k].data;
                seg->len = files[k].len;
            }
    }
}

void damaged_log_make(uint64_t seed)
{
    sim_agent_init(&damaged_agent, seed);
    damaged_agent.streams_count = STREAMS;
    damaged_agent.pad_bytes = 100;
    damaged_agent.sinks[0].buffer_time_ns = -1;
    sim_agent_sink_add(&damaged_agent, "twin", sink_directory[1])->buffer_count = 25;
    for (unsigned i = 0; i < SOURCES; i++)
        sim_agent_source_add(&damaged_agent, SHM_RING_BYTES_MIN, 0);
    agent_settings = damaged_agent.opt.settings;
    damaged_agent.opt.settings = on_settings;
    lives();
    log_analyse();
    damaged_log_count();
    for (uint32_t i = 0; i < damaged_log.events; i++)
        memcpy(damaged_log.event[i].before, damaged_log.event[i].now,
               sizeof(damaged_log.event[i].before));
    sim_walk(SIM_AGENT_DATA, file_keep, NULL);
    SIM_AGENT_CHECK(files_count > 0, "nothing in " SIM_AGENT_DATA);
    tails_cut();
    for (unsigned i = 0; i < SOURCES; i++) {
        damaged_agent.sources[i].gone = true;
        damaged_agent.sources[i].ring.open = false;
    }
}

void damaged_log_restore(void)
{
    char dir[PATH_BYTES];

    sim_reset(1);
    SIM_AGENT_CHECK(sim_mkdir(SIM_AGENT_SHM) == 0, "no " SIM_AGENT_SHM);
    for (uint32_t i = 0; i < files_count; i++) {
        const struct disk_file *f = &files[i];

        memcpy(dir, f->path, sizeof(dir));
        *strrchr(dir, '/') = '\0';
        SIM_AGENT_CHECK(sim_mkdir(dir) == 0 && sim_write_file(f->path, f->data, f->len) == 0,
                        "%s", f->path);
    }
}
