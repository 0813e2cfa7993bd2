/*
 * sim_agent: a whole agent on the simulated host, its shards one after the other in each turn, with
 * producers that number their events, a reader of what was delivered, and the books.
 *
 * Sinks are directories, or buckets of a cloud (sim_cloud.h). Delivery has its turn after the
 * shards'.
 *
 * Each event is {"p":producer,"s":stream,"n":number}, n counting up from 1 for each producer and
 * stream, so that what is delivered can be held against what was committed: exactly once, in order,
 * in files that are complete. A life is one run of the agent from its opening to its end; it may be
 * cut by sim_crash_at() and is then followed by another, while producers and their rings live on.
 *
 * What does not hold stops the test (abort, with the seed). Thousands of cut lives run each in a
 * child of its own (sim_agent_child), so that what they leave in memory goes with them. With
 * SIM_AGENT_LOG in the environment the agent's log shows everything.
 *
 * Owns:   the agent while it lives; events and texts, until sim_agent_fini().
 * Thread: one.
 * Units:  turns of all shards; ns.
 */
#ifndef SUPPORT_SIM_AGENT_H
#define SUPPORT_SIM_AGENT_H

#include <stdbool.h>
#include <stdint.h>

#include "flow/settings.h"
#include "pipeline/shards.h"
#include "support/sim_producer.h"

#define SIM_AGENT_DATA "/data"
#define SIM_AGENT_OUT  "/data/out"
#define SIM_AGENT_SHM  "/shm/hydrant"

enum {
    SIM_AGENT_SOURCES_MAX = 64,
    SIM_AGENT_STREAMS_MAX = 8,
    SIM_AGENT_SINKS_MAX = 4,
    SIM_AGENT_TURNS_MAX = 400000        /* more without an end: it is stuck */
};

/* A sink as configured, with the effective settings of every stream for it. */
struct sim_agent_sink {
    const char *name, *directory, *format, *prefix;
    bool cloud;                         /* of S3; directory: "bucket" or "bucket/prefix" */
    int64_t buffer_count, buffer_bytes, buffer_time_ns;
    bool flat;
    /* As in struct output_settings; NULL and 0: nothing of the kind. */
    const char *columns, *partition_by;
    uint8_t compression, framing;
    int8_t compression_level;
    bool validate, event_clock;
    uint32_t partitions_max;
    bool together;
    int64_t infer_bytes, row_group_bytes;
    bool unused;                        /* configured, but no stream has it */
    int64_t count_max;                  /* of any file, 0: as buffer_count */
};

/* An event that was committed to a ring. */
struct sim_agent_event {
    uint32_t stream, number;
    uint64_t end_pos;
    uint32_t taken;                     /* bit i: a consumer has taken it away from sink i */
};

/* A producer and all that it has committed. */
struct sim_agent_source {
    struct sim_producer ring;
    char name[32];
    uint32_t written[SIM_AGENT_STREAMS_MAX];    /* last number of each stream */
    struct sim_agent_event *events;     /* owned */
    uint32_t events_count, events_cap;
    uint32_t planned;                   /* events it will have committed in the end */
    uint32_t burst;                     /* at most so many in one turn */
    uint64_t pos[SHM_POS_COUNT];        /* as published, the furthest seen */
    bool gone;                          /* the power cut took its ring */
    bool lies;                          /* damaged on purpose: it may lose its own events */
};

struct sim_agent {
    struct shard_options opt;
    struct shards *shards;              /* opt.shards of them, and surplus ones */
    struct shard *shard;                /* the first; most tests have no other */
    struct sim_agent_sink sinks[SIM_AGENT_SINKS_MAX];
    unsigned sinks_count, streams_count;
    struct sim_agent_source *sources;   /* owned, SIM_AGENT_SOURCES_MAX */
    unsigned sources_count;
    unsigned pad_bytes;                 /* added to each event */
    uint64_t part_bytes;                /* of objects; larger ones are uploaded in parts */
    uint32_t in_flight_max;
    unsigned delivery_rests;            /* permille of turns without one of delivery */
    bool leave;                         /* producers close their rings when all is written */
    uint64_t stop_ns;                   /* timeout of the stop */
    bool look_often;                    /* at books and files, every 64 turns */
    bool may_fail;                      /* a life may end with an error, which is its result */
    void (*on_turn)(struct sim_agent *a, uint64_t turn);
    void *ctx;                          /* the test's */
    /* Seen by the last look at the books. */
    uint64_t accepted, delivered, dropped, lost, pending;
    uint64_t turns;
    int result;                         /* of the last life */
};

void sim_agent_fail(const char *file, int line, const char *fmt, ...)
    __attribute__((noreturn, format(printf, 3, 4)));
#define SIM_AGENT_CHECK(x, ...) \
    ((x) ? (void)0 : sim_agent_fail(__FILE__, __LINE__, __VA_ARGS__))

/* A new host, one sink (10 events a file), one stream, no producers. */
void sim_agent_init(struct sim_agent *a, uint64_t seed);
void sim_agent_fini(struct sim_agent *a);

/* One more sink with the settings of the first. */
struct sim_agent_sink *sim_agent_sink_add(struct sim_agent *a, const char *name,
                                          const char *directory);
/* One more producer with a ring of its own. */
struct sim_agent_source *sim_agent_source_add(struct sim_agent *a, uint64_t ring_bytes,
                                              uint32_t planned);

/* Commits one event. False: the ring is full. */
bool sim_agent_write(struct sim_agent *a, struct sim_agent_source *src, uint32_t stream);

/* ---- One life by hand ---- */

void sim_agent_open(struct sim_agent *a);
void sim_agent_turn(struct sim_agent *a);           /* and looks at the published positions */
void sim_agent_turns(struct sim_agent *a, uint64_t turns);
void sim_agent_until(struct sim_agent *a, bool (*reached)(struct sim_agent *a), const char *what);
void sim_agent_pass(struct sim_agent *a, uint64_t ns);  /* turns until so much time is over */
void sim_agent_stop(struct sim_agent *a);           /* asks for it, turns to the end, closes */
void sim_agent_close(struct sim_agent *a);          /* at once */
int sim_agent_flush(struct sim_agent *a, const char *stream);   /* "": all; its result */
/* Another request of that shape; ret_status may be NULL. */
int sim_agent_ask(struct sim_agent *a, enum request_kind kind, const char *stream,
                  struct status **ret_status);

/* The sinks have changed. */
void sim_agent_reload(struct sim_agent *a);

/* Everything planned is committed, and accepted. */
bool sim_agent_taken(struct sim_agent *a);

/* ---- Whole lives ---- */

/* Opens, goes on until what is planned is written and accepted, stops, closes. */
int sim_agent_life(struct sim_agent *a);            /* 0, SIM_CRASHED, or -errno if it may */

/* After sim_run() has returned SIM_CRASHED: reads positions, then kills or cuts the power. */
void sim_agent_killed(struct sim_agent *a);
void sim_agent_power_cut(struct sim_agent *a, uint64_t seed);

/* Files that are wrong in one byte take the place of those in the spool; their other links stay. */
void sim_agent_spool_damage(struct sim_agent *a);

/* ---- What must hold ---- */

/*
 * At any time: files are complete, no event twice, in order, none that was not committed, none
 * missing below a published `delivered`.
 */
void sim_agent_check_files(struct sim_agent *a);
/* At the end: also, none missing: of rings that are gone, none below their `durable`. */
void sim_agent_check_all(struct sim_agent *a);
/* After a clean stop: no spool, no staging, no ring whose producer is gone. */
void sim_agent_check_clean(struct sim_agent *a);
/* Asks the shard: the books of each stream. */
void sim_agent_check_books(struct sim_agent *a);

/* What the first shard says of a ring; false: it has none of that name. */
bool sim_agent_ring(struct sim_agent *a, const char *name, struct status_ring *ret_ring);
/* Whether it says that it pushes back for that reason. */
bool sim_agent_pressed(struct sim_agent *a, enum status_backpressure why);

/* A consumer: takes all files away that it can see, and remembers what was in them. */
void sim_agent_take(struct sim_agent *a);

/* Below which its files, or objects, are. */
void sim_agent_sink_path(const struct sim_agent_sink *sink, char *ret_path, size_t cap);
/* Files below that now, and events in them. */
unsigned sim_agent_files(struct sim_agent *a, unsigned sink, uint64_t *ret_events);

/* ---- Children ---- */

/*
 * Runs fn in a child process and returns what it returned (0 to 100). Another end of it, or of a
 * check in it, fails the test with what it printed.
 */
int sim_agent_child(int (*fn)(void *ctx), void *ctx);

#endif
