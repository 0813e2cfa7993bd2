/*
 * wal_partitions: how far each partition of a version's outputs is sealed, by output and name.
 *
 * Found by hash; listed in the order in which they were first sealed, so that two tables that were
 * told the same are written out alike. Names are what strangers make of their events: whoever makes
 * them collide has a file sealed for each, which costs more than the longer search.
 *
 * Owns:   names and both arrays.
 * Thread: shard.
 * Units:  lsn = log byte offset.
 */
#ifndef WAL_WAL_PARTITIONS_H
#define WAL_WAL_PARTITIONS_H

#include <stddef.h>
#include <stdint.h>

#include "wal/wal_format.h"

struct wal_partition {
    char *name;                     /* owned; name_len bytes */
    uint32_t name_len, hash;
    uint32_t next;                  /* of the same bucket: index + 1, 0: none */
    uint16_t output;
    uint64_t sealed_lsn;            /* last event sealed */
};

struct wal_partitions {             /* all zero: empty */
    struct wal_partition *items;
    uint32_t count, cap;
    uint32_t *buckets;              /* index + 1; a power of two of them */
    uint32_t buckets_count;
};

/* 0: nothing sealed that is remembered. */
uint64_t wal_partitions_lsn(const struct wal_partitions *p, uint16_t output, const void *name,
                            size_t len);

/* It is sealed up to lsn, or further. 0 or -ENOMEM, with the table unharmed. */
int wal_partitions_seal(struct wal_partitions *p, uint16_t output, struct wal_str name,
                        uint64_t lsn);

/* Forgets those with no event at or above lsn sealed. */
void wal_partitions_trim(struct wal_partitions *p, uint64_t lsn);

void wal_partitions_free(struct wal_partitions *p);     /* and empties it */

#endif
