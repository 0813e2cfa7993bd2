/*
 * scenario: from a seed to a scenario, and to words.
 *
 * Most are small and quick; one in some dozens writes enough for the log to roll, to be trimmed and
 * recycled.
 *
 * Owns:   nothing.
 * Thread: any.
 * Units:  see scenario.h.
 */
#include "simulate/scenario.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "encode/compress.h"
#include "flow/settings.h"
#include "pipeline/shard.h"
#include "shm_wire.h"

#define MS 1000000ULL

enum { HEAVY_PERMILLE = 20, LIMIT_NONE = 64 };

/* A stream of its own: what the host draws does not change what is asked of it. */
static uint64_t draw(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15ULL);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

static unsigned below(uint64_t *state, unsigned bound)
{
    return (unsigned)(draw(state) % bound);
}

static bool chance(uint64_t *state, unsigned permille)
{
    return below(state, 1000) < permille;
}

/* Between 1 and 2^bits, each order of magnitude as likely as another. */
static uint64_t spread(uint64_t *state, unsigned bits)
{
    return 1 + draw(state) % (1ULL << (1 + below(state, bits)));
}

/* Mostly nothing, else up to so many permille. */
static unsigned rate(uint64_t *state, unsigned often, unsigned permille)
{
    return chance(state, often) ? 1 + below(state, permille) : 0;
}

static void format_make(uint64_t *r, struct scenario_sink *sink)
{
    static const char *const formats[] = {"json", "json", "json", "json", "raw", "raw", "csv",
                                          "csv", "csv", "parquet"};
    static const int8_t slow_levels[COMPRESS_TYPE_COUNT] = {
        [COMPRESS_GZIP] = 6, [COMPRESS_ZSTD] = 7, [COMPRESS_LZ4] = 9,
    };
    bool rows;

    sink->format = formats[below(r, 10)];
    sink->prefix = "";
    rows = strcmp(sink->format, "csv") == 0 || strcmp(sink->format, "parquet") == 0;
    if (rows && chance(r, 400))
        sink->columns = "p i64,n i64,g i64,x string";
    else if (rows)
        sink->infer_bytes = (int64_t)spread(r, 13);
    if (sink->format[0] == 'p')
        sink->row_group_bytes = 65536 << below(r, 5);
    sink->compression_level = COMPRESS_LEVEL_USUAL;
    if (chance(r, 350)) {
        sink->compression = (uint8_t)(1 + below(r, SETTINGS_COMPRESSION_COUNT - 1));
        if (chance(r, 500))
            sink->compression_level = slow_levels[sink->compression];
    }
    sink->validate = sink->format[0] != 'r' && chance(r, 250);
    if (sink->format[0] != 'r' && chance(r, 300))
        sink->partition_by = "g";
    if (chance(r, 150)) {
        sink->event_clock = true;
        sink->prefix = "!{timestamp:HH}/";
    }
    if (!rows && chance(r, 300)) {
        bool array = sink->format[0] == 'j' && chance(r, 500);

        sink->framing = array ? SETTINGS_FRAMING_ARRAY : SETTINGS_FRAMING_RECORDS;
        if (!array)
            sink->compression = SETTINGS_COMPRESSION_NONE;
    }
    if (sink->partition_by || sink->event_clock)
        sink->partitions_max = 1 + below(r, 8);
}

static void sinks_make(uint64_t *r, struct scenario *sc)
{
    bool alike = chance(r, 500);

    sc->sinks = 1 + below(r, SCENARIO_SINKS_MAX);
    for (unsigned i = 0; i < SCENARIO_SINKS_MAX; i++) {
        struct scenario_sink *sink = &sc->sink[i];

        if (i > 0 && alike) {
            *sink = sc->sink[0];
        } else {
            format_make(r, sink);
            sink->buffer_count = chance(r, 700) ? (int64_t)spread(r, 6) : -1;
            sink->buffer_bytes = chance(r, 300) ? (int64_t)spread(r, 16) : -1;
            sink->buffer_time_ns = chance(r, 700) ? (int64_t)(spread(r, 10) * MS) : -1;
        }
        sink->flat = chance(r, 300);
        snprintf(sink->name, sizeof(sink->name), "sink-%u", i);
        snprintf(sink->directory, sizeof(sink->directory), "%s/%u",
                 chance(r, 300) ? "/far" : "/out", i);
    }
}

static void settings_make(uint64_t *r, struct scenario *sc, bool heavy)
{
    static const enum wal_sync_policy sync[] = {WAL_SYNC_ALWAYS, WAL_SYNC_INTERVAL,
                                                WAL_SYNC_INTERVAL, WAL_SYNC_NEVER};

    sc->sync = sync[below(r, 4)];
    sc->sync_interval_ns = spread(r, 6) * MS;
    sc->segment_size = chance(r, 800) ? 2 << 20 : 8 << 20;
    sc->wal_bytes_max = chance(r, 300) ? (8 + below(r, 16)) << 20 : 64 << 20;
    sc->memory_limit = chance(r, heavy ? 400 : 100) ? (8 + below(r, 16)) << 20 : 64 << 20;
    sc->idle = chance(r, 700) ? SHARD_IDLE_ADAPTIVE : SHARD_IDLE_SLEEP;
    sc->disorder = rate(r, 400, 700);
    sc->short_io = rate(r, 300, 300);
    sc->direct = chance(r, 800);
    sc->rings_max = chance(r, 100) ? 1 + below(r, 6) : LIMIT_NONE;
    sc->streams_max = chance(r, 100) ? 1 + below(r, 4) : LIMIT_NONE;
}

static void producers_make(uint64_t *r, struct scenario *sc, bool heavy)
{
    static const uint32_t sizes[] = {1, 60, 60, 400, 3000, UINT32_MAX};

    sc->rings = 1 + below(r, 8);
    sc->streams = 1 + below(r, SCENARIO_STREAMS_MAX);
    sc->ring_bytes_max = heavy ? 1 << 20 : SHM_RING_BYTES_MIN << below(r, 3);
    sc->event_bytes_max = heavy ? UINT32_MAX : sizes[below(r, 6)];
    sc->kinds = chance(r, 400);
    sc->odd = rate(r, 500, 300);
    sc->burst = (unsigned)spread(r, heavy ? 5 : 4);
    sc->write = (heavy ? 400 : 50) + below(r, 600);
    sc->open = rate(r, 500, 40);
    sc->close = rate(r, 400, 30);
    sc->die = rate(r, 400, 30);
    sc->lie = rate(r, 250, 20);
    sc->want = rate(r, 300, 50);
}

static void troubles_make(uint64_t *r, struct scenario *sc)
{
    sc->take = rate(r, 300, 60);
    sc->clock = rate(r, 200, 30);
    sc->advance = rate(r, 600, 100);
    sc->reload = rate(r, 300, 30);
    sc->flush = rate(r, 300, 30);
    sc->disk_full = rate(r, 200, 30);
    sc->sink_full = rate(r, 200, 30);
    sc->fault = rate(r, 300, 30);
    sc->sync_faults = chance(r, 500);
}

static void lives_make(uint64_t *r, struct scenario *sc, bool heavy)
{
    unsigned power = chance(r, 600) ? 100 + below(r, 900) : 0;

    sc->lives = 1 + below(r, heavy ? 3 : SCENARIO_LIVES_MAX);
    for (unsigned i = 0; i < sc->lives; i++) {
        struct scenario_life *life = &sc->life[i];

        life->turns = heavy ? 50 + below(r, 350) : (unsigned)spread(r, 8);
        life->end = chance(r, 150) ? END_STOP : chance(r, power) ? END_POWER_CUT : END_KILL;
        life->point = heavy ? 1 + below(r, 1 << 13) : spread(r, 11);
        life->stop_ns = chance(r, 500) ? 600000 * MS : spread(r, 10) * MS;
        life->read_faults = sc->fault > 0 && chance(r, 100);
    }
}

static void cloud_make(uint64_t *r, struct scenario *sc, bool heavy)
{
    unsigned often = chance(r, 350) ? 300 + below(r, 700) : 0;

    for (unsigned i = 0; i < SCENARIO_SINKS_MAX; i++) {
        struct scenario_sink *sink = &sc->sink[i];

        sink->cloud = chance(r, often);
        if (sink->cloud)
            snprintf(sink->directory, sizeof(sink->directory), chance(r, 500) ? "lake/%u" : "b-%u",
                     i);
    }
    sc->conditional = chance(r, 800);
    sc->cloud_one_in = chance(r, 700) ? (unsigned)spread(r, 6) + 1 : 0;
    sc->cloud_away = rate(r, 400, 30);
    sc->delivery_rests = rate(r, 300, 900);
    sc->part_bytes = heavy ? 256 << 10 : 512 + (unsigned)spread(r, 13);
    if (!heavy && sc->event_bytes_max > 3000)
        sc->part_bytes += 64 << 10;             /* some dozens at most */
    sc->in_flight_max = (unsigned)spread(r, 4);
}

void scenario_make(uint64_t seed, struct scenario *ret_scenario)
{
    uint64_t r = seed * 0xda942042e4dd58b5ULL;
    struct scenario *sc = ret_scenario;
    bool heavy = chance(&r, HEAVY_PERMILLE);

    memset(sc, 0, sizeof(*sc));
    sc->seed = seed;
    producers_make(&r, sc, heavy);
    sinks_make(&r, sc);
    settings_make(&r, sc, heavy);
    troubles_make(&r, sc);
    lives_make(&r, sc, heavy);
    sc->records = rate(&r, 300, 900);
    cloud_make(&r, sc, heavy);
}

/* ---- In words ---- */

static size_t say(char *text, size_t len, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static size_t say(char *text, size_t len, const char *fmt, ...)
{
    va_list args;
    int n;

    va_start(args, fmt);
    n = vsnprintf(text + len, SCENARIO_TEXT_MAX - len, fmt, args);
    va_end(args);
    return n < 0 || (size_t)n >= SCENARIO_TEXT_MAX - len ? SCENARIO_TEXT_MAX - 1
                                                         : len + (size_t)n;
}

void scenario_format(const struct scenario *sc, char ret_text[SCENARIO_TEXT_MAX])
{
    static const char *const sync[] = {
        [WAL_SYNC_ALWAYS] = "always", [WAL_SYNC_INTERVAL] = "interval", [WAL_SYNC_NEVER] = "never",
    };
    static const char *const ends[] = {"stop", "SIGKILL", "power cut"};
    typedef unsigned long long ull;
    size_t at = 0;

    ret_text[0] = '\0';
    at = say(ret_text, at, "  %u rings up to %llu KiB, %u streams, events up to %u bytes%s, "
             "%u permille records, %u odd, %u a turn\n", sc->rings,
             (ull)sc->ring_bytes_max >> 10, sc->streams, sc->event_bytes_max,
             sc->kinds ? " of every kind" : "", sc->records, sc->odd, sc->burst);
    for (unsigned i = 0; i < SCENARIO_SINKS_MAX; i++) {
        const struct scenario_sink *sink = &sc->sink[i];

        at = say(ret_text, at, "  %s%s: %s%s, %s%s, count %lld, bytes %lld, time %lld ms\n",
                 sink->name, i < sc->sinks ? "" : " (by a reload)", sink->cloud ? "s3 " : "",
                 sink->directory, sink->format, sink->flat ? ", flat" : "",
                 (long long)sink->buffer_count, (long long)sink->buffer_bytes,
                 (long long)sink->buffer_time_ns / 1000000);
        at = say(ret_text, at, "    compression %u:%d, framing %u%s%s%s%s, at most %u partitions, "
                 "infer %lld, row groups %lld\n", sink->compression, sink->compression_level,
                 sink->framing, sink->columns ? ", columns" : "",
                 sink->partition_by ? ", by g" : "",
                 sink->event_clock ? ", by time" : "", sink->validate ? ", validated" : "",
                 sink->partitions_max, (long long)sink->infer_bytes,
                 (long long)sink->row_group_bytes);
    }
    at = say(ret_text, at, "  sync %s (%llu ms), segments %llu MiB, log %llu MiB, memory %llu "
             "MiB%s\n", sync[sc->sync], (ull)(sc->sync_interval_ns / MS),
             (ull)sc->segment_size >> 20, (ull)sc->wal_bytes_max >> 20,
             (ull)sc->memory_limit >> 20, sc->direct ? "" : ", no direct I/O");
    if (sc->rings_max < LIMIT_NONE || sc->streams_max < LIMIT_NONE)
        at = say(ret_text, at, "  at most %u rings, %u streams\n", sc->rings_max, sc->streams_max);
    at = say(ret_text, at, "  permille: disorder %u, short %u; write %u, open %u, close %u, die "
             "%u, lie %u, want %u, take %u, clock %u, advance %u, reload %u, flush %u, disk full "
             "%u, sink full %u, faults %u%s\n", sc->disorder, sc->short_io, sc->write, sc->open,
             sc->close, sc->die, sc->lie, sc->want, sc->take, sc->clock, sc->advance, sc->reload,
             sc->flush, sc->disk_full, sc->sink_full, sc->fault,
             sc->sync_faults ? " (syncs too)" : "");
    at = say(ret_text, at, "  cloud: %s, a fault in %u requests, away %u, delivery rests %u; "
             "parts of %u bytes, %u in flight\n", sc->conditional ? "conditional" : "unconditional",
             sc->cloud_one_in, sc->cloud_away, sc->delivery_rests, sc->part_bytes,
             sc->in_flight_max);
    for (unsigned i = 0; i < sc->lives; i++)
        at = say(ret_text, at, "  life %u: %u turns, %s at point %llu%s\n", i + 1,
                 sc->life[i].turns, ends[sc->life[i].end], (ull)sc->life[i].point,
                 sc->life[i].read_faults ? ", read errors while it starts" : "");
}
