/*
 * wal_state: what the log says, as tables in memory: rings and how far each was taken, streams and
 * their books, sealed batches that some sink has not confirmed.
 *
 * One function changes it (wal_state_apply), used alike for items read back at a start and for
 * those just committed, so that a running agent and a recovered one cannot disagree; and
 * wal_state_checkpoint() writes it out as items that rebuild it. A CHECKPOINT also mends what a
 * hole in the log before it has taken away: what it does not restate is forgotten at its end.
 *
 * Owns:   everything below it.
 * Thread: shard.
 * Units:  lsn = log byte offset, pos = ring position.
 */
#ifndef WAL_WAL_STATE_H
#define WAL_WAL_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "wal/wal_format.h"
#include "wal/wal_partitions.h"

/* "Everything of this ring before pos is in the log before lsn." */
struct wal_mark {
    uint64_t pos, lsn;
};

enum { WAL_RING_MARKS = 64 };

/* A ring's definition: a stream, or a schema of the stream that an earlier one defines. */
struct wal_def {
    uint32_t stream;                /* of either */
    uint32_t schema_len;
    uint8_t *schema;                /* owned; NULL: a stream */
    uint16_t stream_def;            /* of a schema */
};

struct wal_ring {
    uint32_t id, uid, pid;
    uint8_t uuid[16];
    uint64_t ino;
    char name[SHM_RING_NAME_MAX + 1];
    enum wal_source source;         /* as its name says */
    uint64_t end_pos;               /* end of the last committed span */
    uint64_t base_pos;              /* pos of the newest mark that was dropped as delivered */
    struct wal_def *defs;           /* owned; [number - 1] */
    uint16_t defs_count;
    bool restated;                  /* by the checkpoint being applied */
    uint64_t drops[SHM_DROP_COUNT]; /* counted of what its producer reports */
    uint16_t marks;
    struct wal_mark mark[WAL_RING_MARKS];   /* oldest first; coarse when there are many */
};

/*
 * What one version of a stream's settings still has to resolve; forgotten once nothing is left. The
 * books themselves are the stream's.
 *
 * Every output gets every event. An output has resolved a batch when each of its targets has
 * answered: delivered if one of them took it, else dropped. An event counts in the books once every
 * output has resolved it: delivered if one of them delivered it, else dropped.
 *
 * Which events an output has resolved is not kept, only how many: of n events that become resolved
 * by the last output to do so, as many count as dropped as every output has dropped beyond those
 * counted before, and the others as delivered. What has been counted is never counted back, so both
 * figures only grow. They are exact as long as what an output drops comes after what it delivers,
 * which is how batches go when a sink is removed; else they err by what went out of order, and
 * towards dropped. Reasons are those of the output that has dropped fewest.
 */
struct wal_version {
    uint32_t version;
    uint16_t outputs;
    uint64_t accepted, lost;
    uint64_t resolved;              /* by every output, and so in the stream's books */
    uint64_t resolved_dropped[WAL_DROP_REASON_COUNT];       /* of these */
    uint64_t delivered[WAL_OUTPUTS_MAX];                    /* events by output */
    uint64_t dropped[WAL_OUTPUTS_MAX][WAL_DROP_REASON_COUNT];
    uint64_t sealed_lsn[WAL_OUTPUTS_MAX];   /* last event sealed in the partition "" */
    struct wal_partitions partitions;       /* and in the others; forgotten below trim_lsn */
    bool restated;
};

struct wal_sink_totals {
    char *sink;                     /* owned */
    uint64_t events, bytes, batches;
};

struct wal_stream {
    uint32_t id, uid;               /* uid: whose ring brought it into being, or WAL_NO_UID */
    uint64_t incarnation;
    char name[SHM_STREAM_NAME_MAX + 1];
    struct bytes settings;          /* of the newest version */
    uint64_t accepted, accepted_bytes, delivered;   /* the books; each only grows */
    uint64_t accepted_from[WAL_SOURCE_COUNT];       /* but for FROM_RING, which is the rest */
    uint64_t dropped[WAL_DROP_REASON_COUNT];
    uint64_t lost[WAL_LOST_REASON_COUNT];
    struct wal_version *versions;   /* owned; oldest first, the last is the current one */
    uint32_t versions_count;
    struct wal_sink_totals *sinks;  /* owned */
    uint32_t sinks_count;
};

struct wal_seal_target {
    char *sink, *directory, *key;   /* owned */
    uint8_t type;
    uint64_t staging_id;            /* of the directory that had a synced staging name; 0: none */
    bool acked, abandoned;
    uint8_t reason;                 /* enum wal_drop_reason, when abandoned */
};

struct wal_seal {
    struct wal_seal *next, **prev;
    uint64_t epoch, number;
    uint32_t stream, version;
    uint16_t output, targets, targets_acked, targets_delivered;
    bool restated;
    uint32_t file_mode, crc32c;
    uint64_t first_lsn, last_lsn, events, payload_bytes, file_bytes, name_time_ns, arrival_ns;
    char *partition;                /* owned; partition_len bytes and a NUL */
    uint32_t partition_len;
    struct wal_seal_target target[];
};

/* A span or range that is lost for good: not to be counted again. Forgotten below trim_lsn. */
struct wal_lost_span {
    uint64_t lsn, bytes;            /* bytes 0: the span at lsn */
};

struct wal_state {
    struct wal_ring **rings;        /* by id */
    uint32_t rings_count, rings_cap;
    struct wal_stream **streams;    /* by id */
    uint32_t streams_count, streams_cap;
    struct wal_seal *seals, **seals_last;   /* in the order of their SEAL items */
    uint32_t seals_count;
    struct wal_lost_span *lost_spans;
    uint32_t lost_spans_count, lost_spans_cap;
    uint32_t next_ring, next_stream;
    uint64_t trim_lsn;
    uint64_t last_name_time_ns;
    uint64_t lost_bytes[WAL_LOST_REASON_COUNT];     /* unreadable ranges of the log */
    uint64_t intake_drops[SHM_DROP_COUNT];          /* of all rings, those gone included */
    bool checkpointed;              /* a CHECKPOINT was seen to its end */
    bool restating;                 /* one is being applied */
};

int wal_state_init(struct wal_state *s);
void wal_state_fini(struct wal_state *s);

/*
 * Applies one item of a group that ends at end_lsn. -EBADMSG when it contradicts what is known,
 * with the state unharmed; -ENOMEM.
 */
int wal_state_apply(struct wal_state *s, const struct wal_item *item, uint64_t end_lsn);

/* Appends the items of a complete CHECKPOINT (wal_checkpoint.c). 0 or -ENOMEM. */
int wal_state_checkpoint(const struct wal_state *s, struct bytes *out);

struct wal_ring *wal_state_ring(const struct wal_state *s, uint32_t id);            /* or NULL */
struct wal_ring *wal_state_ring_by_uuid(const struct wal_state *s, const uint8_t uuid[16]);
struct wal_stream *wal_state_stream(const struct wal_state *s, uint32_t id);        /* or NULL */
struct wal_stream *wal_state_stream_by_name(const struct wal_state *s, const char *name);
struct wal_version *wal_stream_version(const struct wal_stream *stream, uint32_t version);
/*
 * Last event of an output's partition that is in a sealed batch, 0: none. A partition is forgotten
 * once TRIM has passed it: whoever asks which events to skip skips all below trim_lsn, too.
 */
uint64_t wal_version_sealed_lsn(const struct wal_version *v, uint16_t output, const void *partition,
                                size_t len);
/* Events that the output has delivered or dropped. */
uint64_t wal_version_resolved(const struct wal_version *v, uint16_t output);
struct wal_seal *wal_state_seal(const struct wal_state *s, uint64_t epoch, uint64_t number);
bool wal_state_span_lost(const struct wal_state *s, uint64_t lsn);

/* Stream of a ring's definition, of a schema that of its records; 0 = undefined. */
static inline uint32_t wal_ring_stream(const struct wal_ring *ring, uint16_t number)
{
    return number >= 1 && number <= ring->defs_count ? ring->defs[number - 1].stream : 0;
}

/* Is the definition a schema? Its body is the ring's. */
bool wal_ring_schema(const struct wal_ring *ring, uint16_t number, const uint8_t **ret_body,
                     uint32_t *ret_len);

/* The furthest pos whose mark has lsn <= this one. */
uint64_t wal_ring_pos_at(const struct wal_ring *ring, uint64_t lsn);
/* The same; forgets the marks up to it. */
uint64_t wal_ring_pos_take(struct wal_ring *ring, uint64_t lsn);

/*
 * The books: accepted = delivered + dropped + lost + pending. Where a damaged log tells of more
 * events that were resolved than were accepted, accepted is raised to that.
 */
struct wal_books {
    uint64_t accepted, accepted_bytes, delivered, dropped, lost, pending;
};
struct wal_books wal_stream_books(const struct wal_stream *stream);
/* Of those accepted; the sum over all sources is what the books say. */
uint64_t wal_stream_accepted_from(const struct wal_stream *stream, enum wal_source source);

#endif
