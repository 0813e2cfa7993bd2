/*
 * status: a snapshot of one agent, or of one of its shards, for people and machines: what
 * /v1/status, /metrics, `hydrant status` and the final line of a stop are printed from.
 *
 * Owns:   its arrays (status_free). Made on each shard's thread, merged and read on any.
 * Units:  as the names say; counts since the data directory was made unless named otherwise.
 */
#ifndef PIPELINE_STATUS_H
#define PIPELINE_STATUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/histogram.h"
#include "encode/encoding.h"
#include "flow/name.h"
#include "pipeline/intake_counters.h"
#include "pipeline/relay_counters.h"
#include "shm_wire.h"
#include "wal/wal_format.h"

enum { STATUS_SINK_NAME_MAX = 72, STATUS_TEXT_MAX = 200 };

/* Books of one stream: accepted = delivered + dropped + lost + pending, at every turn. */
struct status_stream {
    char name[STREAM_NAME_MAX + 1];
    uint64_t accepted;              /* events; the sum of: */
    uint64_t accepted_from[WAL_SOURCE_COUNT];
    uint64_t accepted_bytes;        /* payload */
    uint64_t delivered;             /* answered by every sink of the stream, taken by one */
    uint64_t dropped;               /* after acceptance; the sum of: */
    uint64_t dropped_by[WAL_DROP_REASON_COUNT];
    uint64_t lost;                  /* the sum of: */
    uint64_t lost_by[WAL_LOST_REASON_COUNT];
    uint64_t pending;
    /* Put into an error output since the start, by each output that refused it; delivered there. */
    uint64_t refused_by[ENCODING_ERROR_COUNT];
    uint64_t oldest_pending_ns;     /* age of the oldest pending event, 0 = none */
    uint32_t batches_open, batches_sealing;
    uint64_t buffered, buffered_bytes;  /* events, payload in open batches; where outputs have */
                                        /* batches of their own, of the one that has most */
    uint32_t first_sink, sinks;     /* slice of status.stream_sinks */
};

/* One stream at one sink. */
struct status_stream_sink {
    uint32_t stream;                /* index into streams */
    char sink[STATUS_SINK_NAME_MAX + 1];
    uint64_t delivered;             /* events */
    uint64_t delivered_bytes;       /* as written to the sink */
    uint64_t batches;
};

struct status_sink {
    char name[STATUS_SINK_NAME_MAX + 1];
    char type[16];
    char target[STATUS_TEXT_MAX];   /* directory, bucket, delivery stream */
    uint64_t retries;               /* since the start */
    uint64_t duplicates;            /* events that the service may have twice; since the start */
    uint64_t batches_waiting;
    uint64_t lag_ns;                /* age of the first event of the oldest of them; 0 = none */
    bool draining;                  /* its stream was deleted: for control to set */
    char waits_because[STATUS_TEXT_MAX];    /* "" = it does not wait */
};

enum status_ring_state {
    STATUS_RING_ATTACHED,
    STATUS_RING_ORPHAN,
    STATUS_RING_QUARANTINED,
    STATUS_RING_WAITING,            /* a limit keeps it, or its next stream, from being taken */
    STATUS_RING_STATE_COUNT
};

struct status_ring {
    char name[SHM_RING_NAME_MAX + 1];
    uint32_t shard;
    enum status_ring_state state;
    enum shm_quarantine quarantine;
    enum shm_wait waits;                /* which limit */
    uint64_t id;                        /* the shard's; 0: not taken, positions are 0 too */
    uint32_t pid, uid;
    uint64_t ring_bytes;
    uint64_t head, accepted, durable, delivered;
    uint64_t drops[SHM_DROP_COUNT];     /* as its producer reports them, believed or not */
};

/* What intake_counters.h counts, as of the snapshot. */
struct status_intake {
    bool on;                        /* there are sockets */
    uint64_t connections[INTAKE_SOCKET_COUNT], connections_total[INTAKE_SOCKET_COUNT];
    uint64_t ended[INTAKE_ENDED_COUNT];
    uint64_t events[INTAKE_SOURCE_COUNT];
    uint64_t bad_lines[LINE_FAULT_COUNT], bad_lines_dropped, datagrams_dropped, waiting;
};

/* What relay_counters.h counts. */
struct status_relay {
    bool on;                        /* other agents may send */
    uint64_t peers, peers_total, waiting[RELAY_WAIT_COUNT];
    uint64_t events, batches, duplicates, declined, refused, journal_bytes, journal_syncs;
};

enum status_backpressure {
    BACKPRESSURE_LOG_FULL,          /* [wal] max_bytes */
    BACKPRESSURE_MEMORY,            /* memory_limit */
    BACKPRESSURE_DISK_FULL,         /* ENOSPC in log or spool */
    BACKPRESSURE_LOG_ERROR,         /* the log's disk fails */
    BACKPRESSURE_SINK_ERROR,        /* a sink fails: its batches wait and pin the log */
    BACKPRESSURE_RINGS_MAX,
    BACKPRESSURE_STREAMS_MAX,
    BACKPRESSURE_SEALS_MAX,         /* sinks have not taken what is sealed */
    BACKPRESSURE_SPOOL_FULL,        /* files of batches have reached [wal] max_bytes too */
    BACKPRESSURE_COUNT
};
extern const char *const backpressure_names[BACKPRESSURE_COUNT];    /* "log_full", ... */
extern const char *const backpressure_words[BACKPRESSURE_COUNT];    /* what it is, what helps */

/* What is measured, since the start. */
enum status_meter {
    METER_COMMIT,                   /* ns from the beginning of a group's write to its COMMIT */
    METER_BATCH,                    /* payload bytes of a sealed batch */
    METER_DELIVERY,                 /* ns from its seal until every sink was done with it */
    METER_REMOTE,                   /* ns of a batch at a remote sink, attempts and pauses */
    METER_COUNT
};

struct status_shard {
    uint32_t shard;
    bool surplus;                   /* there are fewer by configuration: it takes no new rings */
    bool ready;
    uint64_t wal_bytes, wal_end_lsn, wal_synced_lsn, wal_trim_lsn, wal_segments;
    uint64_t rings, turns;
};

struct status {
    char version[32];
    char agent_name[STREAM_NAME_MAX + 1];
    uint64_t epoch;
    uint32_t pid;
    uint64_t uptime_ns;
    bool ready;                     /* recovery is through, rings are drained */
    bool stopping;
    uint64_t recovery_left_bytes;   /* of the log still to be routed after a start */

    uint64_t wal_bytes;             /* on disk */
    uint64_t spool_bytes;           /* of files of batches */
    uint64_t wal_bytes_max;         /* of both */
    uint64_t wal_end_lsn, wal_synced_lsn, wal_trim_lsn;     /* of the first shard */
    uint64_t wal_segments;
    uint64_t wal_syncs, wal_commits;
    uint64_t memory_bytes, memory_bytes_max;    /* chunks and blocks in use */
    bool backpressure[BACKPRESSURE_COUNT];      /* met within the last second */
    uint64_t lost_bytes[WAL_LOST_REASON_COUNT]; /* of the log, unreadable */

    uint64_t rings_by_state[STATUS_RING_STATE_COUNT];   /* those beyond the list included */
    uint64_t intake_drops[SHM_DROP_COUNT];      /* of all rings, those gone included */
    struct status_intake intake;
    struct status_relay relay;
    uint64_t turns;
    struct histogram meters[METER_COUNT];

    struct status_stream *streams;
    size_t streams_count;
    struct status_stream_sink *stream_sinks;
    size_t stream_sinks_count;
    struct status_sink *sinks;
    size_t sinks_count;
    struct status_ring *rings;
    size_t rings_count;
    struct status_shard *shards;    /* by number */
    size_t shards_count;
};

void status_free(struct status *status);        /* NULL is fine */

/*
 * Adds what another shard says, or the books of one that is gone (status_merge.c): counts are
 * summed, streams and sinks of one name are one. 0, or -ENOMEM: then `to` can only be freed.
 */
int status_merge(struct status *to, const struct status *from);

#endif
