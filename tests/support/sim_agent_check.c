/*
 * sim_agent_check: holds what was delivered against what was committed, and asks for the books.
 * Owns:   nothing that outlives a call.
 * Thread: one.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "pipeline/parts.h"
#include "support/sim.h"
#include "support/sim_agent.h"
#include "support/sim_cloud.h"

enum { PATH_BYTES_MAX = 1200 };

/* What has been read of one sink so far. */
struct reading {
    struct sim_agent *a;
    const struct sim_agent_sink *sink;
    uint32_t bit;                       /* of the sink in event.taken */
    bool take;
    uint32_t *last;                     /* number last read of [source][stream] */
    uint8_t *seen;                      /* [event of all sources, by first[]] */
    uint32_t first[SIM_AGENT_SOURCES_MAX];
    unsigned files;
    uint64_t events;
};

static uint32_t *last_of(struct reading *r, unsigned source, unsigned stream)
{
    return &r->last[source * SIM_AGENT_STREAMS_MAX + stream];
}

/* Index of the event among those of its source; they are sorted by number within each stream. */
static uint32_t event_find(const struct reading *r, unsigned source, unsigned stream,
                           unsigned number)
{
    const struct sim_agent_source *src = &r->a->sources[source];
    uint32_t at = (number - 1) * r->a->streams_count + stream;

    if (at < src->events_count && src->events[at].stream == stream
        && src->events[at].number == number)
        return at;                      /* where plans put it */
    for (at = 0; at < src->events_count; at++)
        if (src->events[at].stream == stream && src->events[at].number == number)
            break;
    return at;
}

/* 1: the path has a folder of this name and number. */
static int folder_number(const char *path, const char *name, unsigned *ret_number)
{
    const char *at = strstr(path, name);

    return at ? sscanf(at + strlen(name), "%u", ret_number) : 0;
}

static void line_take(struct reading *r, const char *path, const char *line)
{
    unsigned source, stream, number;
    uint32_t at, *last;
    int end = 0;

    int fields = sscanf(line, "{\"p\":%u,\"s\":%u,\"n\":%u,\"x\":\"%n", &source, &stream,
                        &number, &end);

    /* What a file is partitioned by is in its path. */
    if (fields == 0)
        fields = folder_number(path, "/p=", &source)
                 + sscanf(line, "{\"s\":%u,\"n\":%u,\"x\":\"%n", &stream, &number, &end);
    else if (fields == 1)
        fields += folder_number(path, "/s=", &stream)
                  + (sscanf(line, "{\"p\":%u,\"n\":%u,\"x\":\"%n", &source, &number, &end) - 1);
    SIM_AGENT_CHECK(fields == 3 && end > 0
                        && strlen(line) == (size_t)end + r->a->pad_bytes + 2
                        && strcmp(line + end + r->a->pad_bytes, "\"}") == 0,
                    "%s: '%s'", path, line);
    SIM_AGENT_CHECK(source < r->a->sources_count && stream < SIM_AGENT_STREAMS_MAX && number > 0,
                    "%s: '%s' was never written", path, line);
    at = event_find(r, source, stream, number);
    SIM_AGENT_CHECK(at < r->a->sources[source].events_count, "%s: '%s' was never written", path,
                    line);
    SIM_AGENT_CHECK(!r->seen[r->first[source] + at], "%s: '%s' for the second time", path, line);
    r->seen[r->first[source] + at] = 1;
    if (r->take)
        r->a->sources[source].events[at].taken |= r->bit;
    last = last_of(r, source, stream);
    SIM_AGENT_CHECK(number > *last, "%s: '%s' behind %u", path, line, *last);
    *last = number;
    r->events++;
}

/* All members of a gzip file, each complete; with a zero behind, as sim_read_file() gives it. */
static uint8_t *gunzip(const char *path, uint8_t *data, size_t *len)
{
    size_t cap = 1040 * *len + 65536;   /* DEFLATE makes no more of a byte */
    uint8_t *text = malloc(cap + 1);
    z_stream z = {.next_in = data, .avail_in = (uInt)*len, .next_out = text,
                  .avail_out = (uInt)cap};

    SIM_AGENT_CHECK(text && inflateInit2(&z, 16 + MAX_WBITS) == Z_OK, "out of memory");
    while (z.avail_in > 0) {
        SIM_AGENT_CHECK(inflate(&z, Z_FINISH) == Z_STREAM_END,
                        "%s: a member is not complete", path);
        SIM_AGENT_CHECK(inflateReset(&z) == Z_OK, "%s", path);
    }
    *len = cap - z.avail_out;
    inflateEnd(&z);
    free(data);
    text[*len] = '\0';
    return text;
}

/* What consumers do not see is not looked at: names with a dot in front, and all below them. */
static void file_take(void *ctx, const char *path)
{
    struct reading *r = ctx;
    int64_t max = r->sink->count_max ? r->sink->count_max : r->sink->buffer_count;
    uint64_t before = r->events;
    uint8_t *data;
    size_t len;
    char *line, *end, *last;

    if (strstr(path, "/.") != NULL)
        return;
    SIM_AGENT_CHECK(sim_read_file(path, &data, &len) == 0, "%s", path);
    if (strlen(path) > 3 && strcmp(path + strlen(path) - 3, ".gz") == 0)
        data = gunzip(path, data, &len);
    SIM_AGENT_CHECK(len > 0 && data[len - 1] == '\n', "%s: %zu bytes, not complete", path, len);
    SIM_AGENT_CHECK(strlen((char *)data) == len, "%s: has a hole", path);
    /* Not strchr(): a sanitizer's looks at all that is left of the file. */
    for (line = (char *)data, last = line + len; line < last; line = end + 1) {
        end = memchr(line, '\n', (size_t)(last - line));
        *end = '\0';
        line_take(r, path, line);
    }
    SIM_AGENT_CHECK(max < 0 || r->events - before <= (uint64_t)max, "%s: %llu events", path,
                    (unsigned long long)(r->events - before));
    r->files++;
    free(data);
    if (r->take)
        SIM_AGENT_CHECK(sim_unlink(path) == 0, "%s cannot be taken", path);
}

void sim_agent_sink_path(const struct sim_agent_sink *sink, char *ret_path, size_t cap)
{
    snprintf(ret_path, cap, "%s%s", sink->cloud ? SIM_CLOUD "/" : "", sink->directory);
}

static void reading_open(struct reading *r, struct sim_agent *a, unsigned sink, bool take)
{
    char path[PATH_BYTES_MAX];
    size_t events = 1;

    memset(r, 0, sizeof(*r));
    r->a = a;
    r->sink = &a->sinks[sink];
    r->bit = 1U << sink;
    r->take = take;
    for (unsigned i = 0; i < a->sources_count; i++) {
        r->first[i] = (uint32_t)events;
        events += a->sources[i].events_count;
    }
    r->last = calloc(SIM_AGENT_SOURCES_MAX * SIM_AGENT_STREAMS_MAX, sizeof(*r->last));
    r->seen = calloc(events, 1);
    SIM_AGENT_CHECK(r->last && r->seen, "out of memory");
    for (unsigned i = 0; i < a->sources_count; i++)
        for (uint32_t k = 0; k < a->sources[i].events_count; k++)
            r->seen[r->first[i] + k] = (a->sources[i].events[k].taken & r->bit) != 0;
    sim_agent_sink_path(r->sink, path, sizeof(path));
    sim_walk(path, file_take, r);
}

static void reading_close(struct reading *r)
{
    free(r->last);
    free(r->seen);
}

/* None below `pos` of its source is missing. */
static void none_missing(const struct reading *r, unsigned source, uint64_t pos, const char *what)
{
    const struct sim_agent_source *src = &r->a->sources[source];

    for (uint32_t i = 0; i < src->events_count && src->events[i].end_pos <= pos; i++)
        SIM_AGENT_CHECK(r->seen[r->first[source] + i],
                        "%s: sink '%s' misses event %u of stream %u, which was %s", src->name,
                        r->sink->name, src->events[i].number, src->events[i].stream, what);
}

void sim_agent_check_files(struct sim_agent *a)
{
    for (unsigned i = 0; i < a->sinks_count; i++) {
        struct reading r;

        reading_open(&r, a, i, false);
        for (unsigned s = 0; s < a->sources_count; s++)
            if (!a->sources[s].lies)
                none_missing(&r, s, a->sources[s].pos[SHM_POS_DELIVERED], "delivered");
        reading_close(&r);
    }
}

void sim_agent_check_all(struct sim_agent *a)
{
    for (unsigned i = 0; i < a->sinks_count; i++) {
        struct reading r;

        reading_open(&r, a, i, false);
        for (unsigned s = 0; s < a->sources_count; s++) {
            const struct sim_agent_source *src = &a->sources[s];

            if (src->gone)
                none_missing(&r, s, src->pos[SHM_POS_DURABLE], "durable");
            else if (!src->lies)
                none_missing(&r, s, UINT64_MAX, "committed");
        }
        reading_close(&r);
    }
}

void sim_agent_take(struct sim_agent *a)
{
    for (unsigned i = 0; i < a->sinks_count; i++) {
        struct reading r;

        reading_open(&r, a, i, true);
        reading_close(&r);
    }
}

unsigned sim_agent_files(struct sim_agent *a, unsigned sink, uint64_t *ret_events)
{
    struct reading r;

    reading_open(&r, a, sink, false);
    if (ret_events)
        *ret_events = r.events;
    reading_close(&r);
    return r.files;
}

/* But for the identity of a staging directory. */
static void directory_empty(const char *path)
{
    char **names;
    size_t count;

    if (sim_list(path, &names, &count) != 0)
        return;
    for (size_t i = 0; i < count; i++)
        SIM_AGENT_CHECK(strncmp(names[i], FILE_SINK_ID, strlen(FILE_SINK_ID)) == 0,
                        "%s: %s is left", path, names[i]);
    free(names);
}

void sim_agent_check_clean(struct sim_agent *a)
{
    char path[PATH_BYTES_MAX];

    directory_empty(SIM_AGENT_DATA "/spool");
    for (unsigned i = 0; i < a->sinks_count; i++) {
        snprintf(path, sizeof(path), "%s/" FILE_SINK_STAGING, a->sinks[i].directory);
        directory_empty(path);
    }
    SIM_AGENT_CHECK(!sim_cloud_upload(0, path, sizeof(path)), "%s is left, half uploaded", path);
    for (unsigned i = 0; i < a->sources_count; i++) {
        const struct sim_agent_source *src = &a->sources[i];

        snprintf(path, sizeof(path), SIM_AGENT_SHM "/%s", src->name);
        SIM_AGENT_CHECK(src->ring.open || src->gone || src->lies || !sim_exists(path),
                        "%s is left", path);
    }
}

void sim_agent_check_books(struct sim_agent *a)
{
    uint64_t before = a->accepted, committed = 0;
    struct status *status;

    SIM_AGENT_CHECK(snapshot_make(a->shard, &status) == 0, "no snapshot");
    for (uint32_t i = 1; i < shards_count(a->shards); i++) {
        struct status *other;

        SIM_AGENT_CHECK(snapshot_make(shards_at(a->shards, i), &other) == 0
                            && status_merge(status, other) == 0, "no snapshot");
        status_free(other);
    }
    a->accepted = a->delivered = a->dropped = a->lost = a->pending = 0;
    for (size_t i = 0; i < status->streams_count; i++) {
        const struct status_stream *st = &status->streams[i];

        SIM_AGENT_CHECK(st->accepted == st->delivered + st->dropped + st->lost + st->pending
                            && st->pending <= st->accepted,
                        "%s: accepted %llu, delivered %llu, dropped %llu, lost %llu, pending %llu",
                        st->name, (unsigned long long)st->accepted,
                        (unsigned long long)st->delivered, (unsigned long long)st->dropped,
                        (unsigned long long)st->lost, (unsigned long long)st->pending);
        a->accepted += st->accepted;
        a->delivered += st->delivered;
        a->dropped += st->dropped;
        a->lost += st->lost;
        a->pending += st->pending;
    }
    for (unsigned i = 0; i < a->sources_count; i++)
        committed += a->sources[i].events_count;
    SIM_AGENT_CHECK(a->accepted <= committed, "%llu accepted, %llu committed",
                    (unsigned long long)a->accepted, (unsigned long long)committed);
    SIM_AGENT_CHECK(a->accepted >= before, "%llu accepted, %llu before",
                    (unsigned long long)a->accepted, (unsigned long long)before);
    status_free(status);
}

bool sim_agent_ring(struct sim_agent *a, const char *name, struct status_ring *ret_ring)
{
    struct status *status;
    bool found = false;

    SIM_AGENT_CHECK(snapshot_make(a->shard, &status) == 0, "no snapshot");
    for (size_t i = 0; i < status->rings_count && !found; i++) {
        found = strcmp(status->rings[i].name, name) == 0;
        *ret_ring = status->rings[i];
    }
    status_free(status);
    return found;
}

bool sim_agent_pressed(struct sim_agent *a, enum status_backpressure why)
{
    struct status *status;
    bool on;

    SIM_AGENT_CHECK(snapshot_make(a->shard, &status) == 0, "no snapshot");
    on = status->backpressure[why];
    status_free(status);
    return on;
}
