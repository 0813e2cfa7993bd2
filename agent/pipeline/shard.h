/*
 * shard: one thread's whole path, from rings to delivered batches. Its turn, in shard.c, is the
 * place to begin reading the agent. shards.h opens and closes it, with the others.
 *
 * Owns:   some of the rings, a log, its batches.
 * Thread: its own; the mailbox, shard_wake() from any.
 */
#ifndef PIPELINE_SHARD_H
#define PIPELINE_SHARD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/errmsg.h"
#include "flow/settings.h"
#include "pipeline/intake_counters.h"
#include "pipeline/relay_counters.h"
#include "pipeline/mailbox.h"
#include "wal/wal_writer.h"

struct shard;

enum shard_idle { SHARD_IDLE_ADAPTIVE, SHARD_IDLE_SPIN, SHARD_IDLE_SLEEP };

/*
 * Settings of a stream as configured now. 0: *ret_set is the caller's to fini; -ENOENT: this stream
 * may not be made; another -errno with a text.
 */
typedef int (*shard_settings_fn)(void *ctx, const char *stream, struct stream_settings *ret_set,
                                 struct errmsg *err);
/* Directories of all file sinks as configured now: visit each. */
typedef void (*shard_directory_fn)(void *ctx, void (*visit)(void *visit_ctx, const char *directory),
                                   void *visit_ctx);

/* Is there a sink of this name as configured now? What waits for one that is not is given up. */
typedef bool (*shard_sink_fn)(void *ctx, const char *sink);

struct shard_options {                  /* of the agent; strings are copied */
    uint32_t shards;                    /* 0 is 1 */
    const char *agent_name, *data_dir, *wal_dir, *shm_dir;
    const char *shm_group;              /* NULL: none */
    uint64_t segment_size, wal_bytes_max;
    enum wal_sync_policy sync;
    uint64_t sync_interval_ns;
    uint64_t memory_limit;
    uint32_t streams_max, streams_per_uid_max, rings_max, rings_per_uid_max;
    uint64_t ring_bytes_per_uid_max;
    enum shard_idle idle;
    shard_settings_fn settings;
    shard_directory_fn directories;
    shard_sink_fn sink;
    void *settings_ctx;
    void (*control)(void *ctx, struct shard_request *req);  /* takes it over; the first's thread */
    void (*durable)(void *ctx);         /* more of a ring of this process is; any shard's thread; */
    void *control_ctx;                  /* NULL: nobody wants to know */
    const struct intake_counters *intake;   /* borrowed; NULL: none */
    const struct relay_counters *relay;     /* likewise */
};

/*
 * One turn of the path; waits when there is nothing to do. 0: go on, 1: all shards have stopped,
 * -errno: a text.
 */
int shard_turn(struct shard *s, struct errmsg *err);

/*
 * Begins to stop: drains every ring to its head, seals, delivers until `timeout_ns` from now, keeps
 * the rest in the log.
 */
void shard_stop(struct shard *s, uint64_t timeout_ns);

/*
 * Settings may have changed: asks for them again and applies what differs. Options as in open; a
 * REQUEST_RELOAD gives the functions another context first.
 */
void shard_reload(struct shard *s);

/* Ends the wait of a turn. Any thread, signal handlers too. */
void shard_wake(struct shard *s);

struct mailbox *shard_mailbox(struct shard *s);

/* What is left when it stopped: events not delivered, which the log keeps. */
uint64_t shard_pending(const struct shard *s);

#endif
