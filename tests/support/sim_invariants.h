/*
 * sim_invariants: what must hold of a simulated agent, checked from outside: by what producers have
 * written, what the witness sees of the log and of names (support/sim.h), and what is published.
 *
 * The ledger is built from COMMIT records as they are handed to the disk, in log order, and keeps
 * for each event where it is in the log, in which sealed batch of each output, and what became of
 * that batch's files. Three frontiers say how far the log is begun, written and synced; they are
 * the simulator's truth, not the agent's opinion. A new epoch says where the log before it ends:
 * what the ledger has beyond that is forgotten, and must not have been promised to anybody.
 *
 *   sim_invariants.c         sources, published positions, books, kills and power cuts, the end
 *   sim_invariants_log.c     segments, COMMITs, syncs, new epochs
 *   sim_invariants_items.c   what COMMITs say
 *   sim_invariants_state.c   the agent's state, over the ends of lives
 *   sim_invariants_formats.c which events a file holds, and how: partitions, rows, compression
 *   sim_invariants_files.c   delivered files, spool files, rings: what gets a name and loses it;
 *                            objects of the cloud
 *
 * What does not hold ends the process with the name of the invariant, which is the name of the
 * function that checks it.
 *
 * Owns:   the ledger; sim_invariants_fini().
 * Thread: one.
 * Units:  lsn = log byte offset, pos = ring position, index + 1 where 0 means none.
 */
#ifndef SUPPORT_SIM_INVARIANTS_H
#define SUPPORT_SIM_INVARIANTS_H

#include "flow/settings.h"
#include "support/sim.h"
#include "support/sim_agent.h"
#include "wal/wal_format.h"

enum {
    INV_SOURCES_MAX = 64,
    INV_RINGS_MAX = 512,
    INV_OUTPUTS_MAX = 4,
    INV_TARGETS_MAX = 4,
    INV_BUCKETS = 4096,
    INV_GHOSTS_MAX = 16,
    INV_PAYLOAD_MAX = 96 << 20,
    INV_PARTITION_MAX = 64,
    INV_STRANGER = UINT32_MAX           /* source of what a liar's ring says */
};

/* What was exercised. A name and what it counts; X(name). */
#define SIM_COVERAGE(X) \
    X(seeds) X(lives) X(kills) X(power_cuts) X(stops) X(stops_out_of_time) X(lives_failed) \
    X(starts_failed) X(crashes_while_starting) X(second_crashes) X(late_writes) \
    X(events_written) X(records_written) X(events_accepted) X(events_delivered) \
    X(events_undone) X(events_lost) \
    X(states_compared) X(commits) X(commits_undone) X(segments) X(rolls) \
    X(continuations) X(segments_given_up) X(segments_removed) X(segments_recycled) \
    X(seals) X(seals_partitioned) X(seals_of_errors) \
    X(files_compared) X(files_of_rows) X(files_packed) X(files_framed) \
    X(unstaged_seals) X(copies) X(resumed_seals) X(deliveries) X(objects) X(objects_in_parts) \
    X(uploads_left) X(cloud_outages) X(cloud_faults) X(cloud_waits) \
    X(deliveries_undone) X(acks) X(acks_abandoned) X(reseals) X(files_damaged) X(files_taken) \
    X(rings_opened) X(rings_full) X(rings_removed) X(producers_died) X(producers_lied) \
    X(quarantines) X(disk_full) X(disk_full_waits) X(sink_full) X(rings_max_waits) \
    X(streams_max_waits) X(log_full_waits) X(memory_waits) X(faults) X(sync_faults) X(reloads) \
    X(sinks_added) X(sinks_removed) X(flushes) X(flushes_done) X(wants) X(clock_steps) \
    X(direct_refused) X(disorder) X(short_io)

#define SIM_COVERAGE_ENUM(name) COVER_##name,
enum sim_cover { SIM_COVERAGE(SIM_COVERAGE_ENUM) COVER_COUNT };
#undef SIM_COVERAGE_ENUM
extern const char *const sim_cover_names[COVER_COUNT];

/* An event that a producer has committed to its ring. */
struct inv_written {
    uint64_t end_pos;
    uint32_t len, crc32c;
    uint32_t event;                     /* index + 1 in the ledger */
};

struct inv_source {
    struct sim_producer *ring;          /* borrowed */
    char name[32];
    uint8_t uuid[16];
    struct inv_written *written;        /* owned */
    uint32_t written_count, written_cap;
    uint32_t checked[SHM_POS_COUNT];    /* of written: below the published position, and fine */
    uint64_t pos[SHM_POS_COUNT];        /* as published */
    uint64_t drops;                     /* that it has reported */
    bool gone;                          /* the power cut took its ring */
    bool lies;                          /* what is not in the log yet may be anything */
};

/* An event in the log. */
struct inv_event {
    uint64_t lsn, span_lsn, end_lsn;    /* of its frame, its span, the end of its group */
    uint64_t end_pos;
    bool doubtful;                      /* the power was cut before it was synced */
    uint64_t lost_lsn;                  /* of the LOST item, 0: none */
    uint32_t ring, source, index;       /* index into the source's written */
    uint32_t stream, version;
    uint32_t payload, len;              /* in the ledger's payloads */
    uint8_t kind;
    uint16_t def;                       /* its frame's */
    uint64_t time_ns, arrival_ns;
    uint32_t place[INV_OUTPUTS_MAX];    /* of its partition; 0: not yet found */
    uint32_t seal[INV_OUTPUTS_MAX];     /* index + 1 */
};

enum inv_file { INV_ABSENT, INV_VISIBLE, INV_TAKEN };

struct inv_target {
    char path[400];
    uint32_t next;                      /* of the names that hash alike, see inv_named() */
    bool object;                        /* of a cloud; the rest of this is as for files */
    bool staged;
    uint64_t staged_lsn, ack_lsn;       /* ends of their groups, 0: none */
    enum inv_file file;
    uint64_t name_seq;                  /* of its rename; 0: none since the power was cut */
    bool abandoned;                     /* its ACK says so */
};

struct inv_seal {
    uint64_t epoch, number, first_lsn, last_lsn, file_bytes;
    uint64_t end_lsn, again_lsn;        /* said first, and again; 0: not yet */
    uint64_t reseal_lsn;                /* of the newest RESEAL since a file was set aside */
    uint32_t stream, version;
    uint32_t next;                      /* of the batches that hash alike: index + 1 */
    uint16_t output, targets;
    char partition[INV_PARTITION_MAX];  /* "": none */
    bool spool_removed;                 /* by a start that had not said where the log ends */
    struct inv_target target[INV_TARGETS_MAX];
};

struct inv_version {
    uint32_t stream, version, crc32c;   /* of its settings */
    uint64_t end_lsn;
    uint16_t outputs;
    struct inv_format *format[INV_OUTPUTS_MAX];     /* owned */
    uint16_t targets[INV_OUTPUTS_MAX];
    char sink[INV_OUTPUTS_MAX][INV_TARGETS_MAX][16];
};

struct inv_ring {
    uint32_t id, source;
    enum wal_source from;               /* as its ATTACH names it, whoever wrote in it */
    uint64_t end_lsn;                   /* of its ATTACH */
    uint64_t attach_pos, to;            /* to: end of its last span */
    bool retired;
};

struct inv_def {
    uint32_t ring, stream;
    uint32_t schema_crc32c;             /* 0: a stream */
    uint16_t number;
    uint32_t schema, schema_len;        /* among the payloads */
    uint64_t end_lsn;
};

struct inv_commit {
    uint64_t end_lsn, ino;
    uint64_t from, to, landed;          /* in the file */
    uint64_t seq;                       /* of its last write */
    bool whole, synced;                 /* whole: all of it has landed */
    bool found;                         /* by a start; in a segment that was given up, perhaps, and
                                           has come back with a power cut */
    bool checkpoint;                    /* the CHECKPOINTs of a segment */
};

struct inv_segment {
    uint64_t ino, epoch, number, start_lsn;
    uint64_t from_lsn;                  /* of its first group, or its header */
    uint64_t doomed_seq, name_seq;      /* a sync of writes up to here has failed */
    uint64_t write_seq, sync_seq;       /* of the last of each that went well */
    uint64_t end_lsn, said_lsn;         /* of one that continues another: its groups' end, and
                                           what they say to be synced */
    bool named, name_synced, continues;
    uint8_t *blocks;                    /* owned; 1: written since the segment was begun */
    uint32_t blocks_count;
    bool given_up;                      /* while its file, which has no name yet, stays */
};

struct inv_trim {
    uint64_t lsn, end_lsn;
};

/* What the log counts of the drops that a source reports, from here on. */
struct inv_drops {
    uint64_t end_lsn, count;
    uint32_t source;
};

struct inv {
    struct sim_agent *agent;            /* borrowed */
    uint64_t *cover;                    /* borrowed; by enum sim_cover */
    const char *doing;                  /* for messages; borrowed */
    uint64_t hash;                      /* of all that was seen */

    struct inv_source sources[INV_SOURCES_MAX];
    uint32_t sources_count;

    uint64_t epoch, wal_dir, floor_lsn;
    uint64_t begun_lsn, done_lsn, synced_lsn;
    uint64_t known_lsn;                 /* committed, as the agent knew at its last turn */
    struct bytes state;                 /* owned; the agent's, with all up to state_lsn applied */
    uint64_t state_lsn;
    bool state_cut;                     /* the power was cut since */
    uint64_t ghosts[INV_GHOSTS_MAX];    /* ends of segments that were given up, named */
    uint32_t ghosts_count;
    uint64_t closed_lsn;                /* an orderly end cuts the log here; UINT64_MAX: none did */
    bool cut;                           /* since the last new epoch the power was cut */
    bool abandons;                      /* set by the test: batches of removed sinks are given up */
    bool over;                          /* the last life is over, the next has no epoch yet */
    uint8_t uuid[16];
    struct inv_segment *segments;       /* owned, as all arrays below */
    struct inv_commit *commits;
    struct inv_event *events;
    struct inv_seal *seals;
    uint32_t batches[INV_BUCKETS], names[INV_BUCKETS];
    struct inv_version *versions;
    struct inv_def *defs;
    struct inv_trim *trims;
    struct inv_drops *drops;
    struct inv_ring rings[INV_RINGS_MAX];
    uint32_t segments_count, segments_cap, commits_count, commits_cap, commits_done,
        commits_synced, events_count, events_cap, seals_count, seals_cap, versions_count,
        versions_cap, defs_count, defs_cap, trims_count, trims_cap, drops_count,
        drops_cap, rings_count;
    uint8_t *payloads;                  /* owned; INV_PAYLOAD_MAX of address space */
    uint32_t payloads_len;
};

/* A ring's definition, or NULL. */
const struct inv_def *inv_def_of(const struct inv *v, uint32_t ring, uint16_t number);

/* The seal of a batch, or NULL. */
struct inv_seal *inv_seal_of(const struct inv *v, uint64_t epoch, uint64_t number);

/*
 * The newest target whose path ends in a name that hashes as this one; inv_named_next(): the one
 * before it. NULL: no more.
 */
struct inv_target *inv_named(const struct inv *v, const char *name);
struct inv_target *inv_named_next(const struct inv *v, const struct inv_target *target);
struct inv_seal *inv_seal_with(const struct inv *v, const struct inv_target *target);

/* The newest seal: its epoch, number and paths are there, from now on it is found; and not. */
void inv_seal_index(struct inv *v);
void inv_seal_forget(struct inv *v);

/* The agent's simulated host has been reset. `cover`: COVER_COUNT counters. */
void inv_init(struct inv *v, struct sim_agent *agent, uint64_t *cover);
void inv_fini(struct inv *v);

void inv_fail(const struct inv *v, const char *invariant, const char *fmt, ...)
    __attribute__((noreturn, format(printf, 3, 4)));
#define INV_CHECK(v, x, ...) ((x) ? (void)0 : inv_fail((v), __func__, __VA_ARGS__))

static inline void inv_count(struct inv *v, enum sim_cover which)
{
    v->cover[which]++;
}

/* Room for one more; zeroed. */
void *inv_append(void **array, uint32_t *count, uint32_t *cap, size_t item_bytes);

/* ---- What producers do ---- */

uint32_t inv_source_add(struct inv *v, struct sim_producer *ring, const char *name);
/* Committed: `len` bytes of payload that end at the ring's head. */
void inv_source_wrote(struct inv *v, uint32_t source, const void *payload, uint32_t len);

/* An event found no room: reported in the ring. */
void inv_source_dropped(struct inv *v, uint32_t source);

/* ---- What happens to the host ---- */

void inv_life_over(struct inv *v, bool crashed);    /* before sim_kill() */
void inv_power_cut(struct inv *v);          /* after it */
void inv_state_keep(struct inv *v);         /* at the end of a life, while the shard is there */
/* A consumer takes away about so many of the files it sees. */
void inv_take(struct inv *v, unsigned permille);

/* ---- Checks ---- */

void inv_positions(struct inv *v);          /* after each turn */
void inv_books(struct inv *v);              /* while the shard is open */
void inv_end(struct inv *v);                /* nothing is pending any more */

/* ---- Between the files of sim_invariants ---- */

/* sim_invariants_log.c */
void inv_see_write(struct inv *v, const struct sim_sight *sight);
void inv_see_sync(struct inv *v, const struct sim_sight *sight);
void inv_see_segment_name(struct inv *v, const struct sim_sight *sight);
void inv_frontiers(struct inv *v);
bool inv_name_ends(const char *name, const char *suffix);

/* sim_invariants_items.c */
void inv_item(struct inv *v, const struct sim_sight *sight, const struct wal_commit *c,
              const struct wal_item *it);
uint32_t inv_event_from(const struct inv *v, uint64_t lsn);     /* first event at or above */
uint64_t inv_drops_counted(const struct inv *v, uint32_t source);
struct inv_ring *inv_ring_of(struct inv *v, uint32_t id);       /* NULL: none */
struct inv_version *inv_version_of(struct inv *v, uint32_t stream, uint32_t version);

/* sim_invariants_formats.c */
struct inv_format *inv_format_open(struct inv *v, struct output_settings *set);
void inv_format_close(struct inv_format *f);
/* Of the partition that the event belongs to; a partition of that name. Never 0. */
uint32_t inv_place(struct inv *v, const struct inv_version *version, uint16_t output,
                   struct inv_event *ev);
uint32_t inv_place_named(const void *name, size_t len);
void inv_file_is_its_events(struct inv *v, const struct inv_seal *seal, uint32_t target,
                            const uint8_t *data, uint64_t len);
bool inv_is_key(const char *name);

/* sim_invariants_state.c */
void inv_state_is_found_again(struct inv *v, const uint8_t *items, size_t len, uint64_t end);

/* sim_invariants_files.c */
void inv_see_name(struct inv *v, const struct sim_sight *sight);
void inv_see_object(void *inv, const char *path, const uint8_t *data, size_t len, bool again);
bool inv_sealed(const struct inv *v, const struct inv_event *ev, uint16_t output);
/* Every target of every output has confirmed it, and that is synced. */
bool inv_acknowledged(struct inv *v, const struct inv_event *ev);
void inv_files_after_cut(struct inv *v);
void inv_files_end(struct inv *v);

#endif
