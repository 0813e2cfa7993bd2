/*
 * scenario: what one seed stands for: the host, the settings, who does what how often, and how the
 * lives of the agent end. A pure function of the seed.
 *
 * Owns:   nothing.
 * Thread: any.
 * Units:  bytes, ns; permille of turns unless said otherwise.
 */
#ifndef SIMULATE_SCENARIO_H
#define SIMULATE_SCENARIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wal/wal_writer.h"

enum {
    SCENARIO_SINKS_MAX = 3,
    SCENARIO_STREAMS_MAX = 6,
    SCENARIO_LIVES_MAX = 8,
    SCENARIO_TEXT_MAX = 2048
};

struct scenario_sink {
    char name[16], directory[32];
    bool cloud;                         /* directory: bucket, perhaps a prefix */
    const char *format;
    int64_t buffer_count, buffer_bytes, buffer_time_ns;
    bool flat;
    const char *columns, *partition_by, *prefix;        /* NULL: none; prefix "": none */
    uint8_t compression, framing;
    int8_t compression_level;
    bool validate, event_clock;
    uint32_t partitions_max;
    int64_t infer_bytes, row_group_bytes;
};

enum scenario_end { END_STOP, END_KILL, END_POWER_CUT };

struct scenario_life {
    unsigned turns;
    enum scenario_end end;
    uint64_t point;                     /* crash point, if the life gets there */
    uint64_t stop_ns;
    bool read_faults;                   /* while it starts */
};

struct scenario {
    uint64_t seed;
    unsigned rings, streams, sinks;
    struct scenario_sink sink[SCENARIO_SINKS_MAX];
    uint64_t ring_bytes_max;
    uint32_t event_bytes_max;           /* UINT32_MAX: as large as a ring takes */
    bool kinds;                         /* text and bytes too, not JSON alone */
    unsigned records;                   /* permille of the events: typed, where they fit */
    unsigned odd;                       /* permille of JSON events that are odd in some way */
    unsigned burst;

    enum wal_sync_policy sync;
    uint64_t sync_interval_ns, segment_size, wal_bytes_max, memory_limit;
    unsigned rings_max, streams_max;    /* of the agent; not in the last life */
    unsigned idle;
    unsigned disorder, short_io;
    bool direct;

    unsigned write, open, close, die, lie, take, clock, advance, reload, flush, want;
    unsigned disk_full, sink_full, fault;
    bool sync_faults;

    bool conditional;                   /* the cloud's writes can be */
    unsigned cloud_one_in;              /* of its requests meets a fault; 0: none */
    unsigned cloud_away, delivery_rests;
    unsigned part_bytes, in_flight_max;

    unsigned lives;
    struct scenario_life life[SCENARIO_LIVES_MAX];
};

void scenario_make(uint64_t seed, struct scenario *ret_scenario);

/* In words, a line each. */
void scenario_format(const struct scenario *sc, char ret_text[SCENARIO_TEXT_MAX]);

#endif
