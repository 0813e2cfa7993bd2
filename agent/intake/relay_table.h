/*
 * relay_table: how much of each batch of each sender is taken, over kills of either side.
 *
 * What is about to be written into the relay's ring is told to a journal first, and synced there:
 * that these bytes of the batch will have these positions of the ring. Whether they got into the
 * log is what the log says of the ring: its end, or the ring's own head while it still is to be
 * drained. So at a start the journal and the log together tell to the byte what was taken, and
 * neither the log nor the rings know anything of relays.
 *
 * The journal, state/relay, is a run of records, each with its checksum. It is written anew when it
 * has grown: what is settled as one record for each batch, and behind it what is not known to be
 * durable yet. A record that a power cut has torn was not relied on: it is left out, whatever
 * stands behind it.
 *
 * Owns:   the journal's descriptor, batches, ranges.
 * Thread: any one at a time.
 * Units:  bytes; pos = ring position.
 */
#ifndef INTAKE_RELAY_TABLE_H
#define INTAKE_RELAY_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "flow/object_name.h"

struct relay_key {
    uint8_t peer[16];                   /* the sender's log */
    struct batch_id id;
};

/* Bytes of a batch that have their place in a ring, and are not known to be durable. */
struct relay_range {
    struct relay_key key;
    uint8_t ring[16];
    uint64_t offset;                    /* in the batch's frames */
    uint64_t from, to;                  /* pos */
};

struct relay_entry {
    struct relay_entry *next;
    struct relay_key key;
    uint64_t settled;                   /* durable for certain */
    uint64_t taken;                     /* with its ranges */
};

/* Of one sender, and of all; who has more to remember is not told to be done with anything. */
enum { RELAY_KNOWN_MAX = 8192, RELAY_KNOWN_ALL_MAX = 2 << 20 };

struct relay_table {
    int dir, fd;                        /* dir is borrowed */
    uint64_t file_bytes, syncs;
    uint32_t damaged;                   /* records of the journal with sound ones behind them */
    struct bytes unwritten;             /* records */
    bool unsynced;                      /* a range is among them, or in the file without a sync */
    bool broken;                        /* a write failed: only a new file will do */
    struct relay_entry **buckets;       /* owned; a sender's are in one */
    size_t buckets_count, count;
    struct relay_range *ranges;         /* owned; a queue: ranges_at is the oldest */
    size_t ranges_at, ranges_end, ranges_cap;
};

/* Whether a data directory has a journal at all. */
bool relay_table_exists(int state_dir);

/* Reads the journal, if there is one. 0 or -errno. */
int relay_table_open(int state_dir, struct relay_table *ret_table);
void relay_table_close(struct relay_table *t);      /* zeroed but for fd = -1 is fine */

uint64_t relay_table_taken(const struct relay_table *t, const struct relay_key *key);
/* Whether there is a place to remember it. */
bool relay_table_room(const struct relay_table *t, const struct relay_key *key);

/* `len` bytes more of the batch will be at `from` of the ring. To be synced before they are. */
int relay_table_add(struct relay_table *t, const struct relay_key *key, const uint8_t ring[16],
                    uint64_t from, uint64_t len);
/*
 * Its sender has its end in its own log, and that of all below the floor, of the same shard. 0, or
 * -ENOMEM: some may still be known.
 */
int relay_table_forget(struct relay_table *t, const struct relay_key *key,
                       const struct batch_id *floor);

/* Writes what was told; `sync`: and what was added is on the disk. Again after a failure. */
int relay_table_write(struct relay_table *t, bool sync);

/* Of the ring all below pos is durable. */
void relay_table_durable(struct relay_table *t, const uint8_t ring[16], uint64_t pos);
/* The ring has ended at pos: what was to come behind it has never been. */
void relay_table_settle(struct relay_table *t, const uint8_t ring[16], uint64_t pos);

/* The journal anew, synced. 0 or -errno: the old one is as it was. */
int relay_table_rewrite(struct relay_table *t);

#endif
