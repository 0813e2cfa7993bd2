/*
 * shards: all shards of one agent, and what they share.
 *
 * Each shard has a thread, an io_uring, a log, batches and rings of its own. In common they have
 * the locks, the identity of the log, the epoch of this start and its configuration; what they
 * share beyond that is read-only, a counter (quota.h) or a mailbox, and none of it is on an event's
 * way. The first shard is the caller's thread.
 *
 * A ring belongs to the shard whose log knew its uuid at the start, else to one that its uuid
 * chooses, so that no rename, and no second name, ever gives it to two. That holds for a life.
 *
 * Where `shards` was lowered, logs of more shards are there. Each is read first and gets a surplus
 * shard, which takes no new ring and ends with the agent. A log with nothing left in it gets none:
 * its last file stays, for it holds the books of what went through it.
 *
 * Owns:   shards, locks, threads.
 * Thread: the first shard's, but for the mailbox.
 */
#ifndef PIPELINE_SHARDS_H
#define PIPELINE_SHARDS_H

#include <stdint.h>

#include "base/errmsg.h"
#include "pipeline/mailbox.h"
#include "pipeline/shard.h"
#include "sink/delivery.h"
#include "sink/relay.h"

enum { SHARDS_MAX = 64 };           /* as configured; surplus ones come on top */

struct shards;

/* Takes the locks, recovers every log, begins a new epoch. 0 or -errno with a text. */
int shards_open(const struct shard_options *opt, struct shards **ret_shards, struct errmsg *err);

uint32_t shards_count(const struct shards *a);                  /* surplus ones included */
struct shard *shards_at(const struct shards *a, uint32_t i);    /* 0: the first */

/* What is asked here is asked of all. */
struct mailbox *shards_mailbox(struct shards *a);

/* Threads for all but the first and for delivery; they take no signals. 0 or -errno, a text. */
int shards_start(struct shards *a, struct errmsg *err);

/* A turn of the first. 0: go on, 1: all have stopped, -errno with a text: one has failed. */
int shards_turn(struct shards *a, struct errmsg *err);

/*
 * The remote sinks as configured from now on; they are copied. Before the shards are told of them.
 * 0 or -errno with a text.
 */
int shards_remote(struct shards *a, const struct remote_settings *settings, uint32_t count,
                  struct errmsg *err);
/* The same for relay sinks. */
int shards_relay_sinks(struct shards *a, const struct relay_sink_settings *settings,
                       uint32_t count, struct errmsg *err);
/* NULL: there never was a relay sink. */
struct relay *shards_relay(const struct shards *a);

/* Before the threads run: how far some log has the ring with this uuid; 0: none knows it. */
uint64_t shards_ring_end(const struct shards *a, const uint8_t uuid[16]);

/* NULL: there never was a remote sink. */
struct delivery *shards_delivery(const struct shards *a);

/*
 * May a ring of this process define such a stream, as far as limits go? It is counted then.
 * `named`: it has a section of its own. Any thread.
 */
bool shards_stream_take(struct shards *a, const char *stream, bool named);

/* Asks all to stop, as shard_stop(). */
void shards_stop(struct shards *a, uint64_t timeout_ns);

/* Has each shard begun a turn since this was last true? To one watchdog, in the first's thread. */
bool shards_turned(struct shards *a);

/* Once all have stopped: events not delivered, which the logs keep. */
uint64_t shards_pending(const struct shards *a);

void shards_close(struct shards *a);        /* ends the threads; NULL is fine */

#endif
