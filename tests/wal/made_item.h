/*
 * made_item: items of every type with extreme and random contents, and whether two are the same.
 *
 * Owns:   struct made_item is the test's; an item's texts lie in it until the next one is filled.
 * Thread: one.
 */
#ifndef TESTS_WAL_MADE_ITEM_H
#define TESTS_WAL_MADE_ITEM_H

#include <stdint.h>

#include "wal/wal_format.h"

struct made_item {
    uint64_t seed;
    char a[WAL_TARGETS_MAX][3][300];
    char partition[WAL_PARTITION_MAX], schema[WAL_SCHEMA_BYTES_MAX];
    struct wal_tally tally[WAL_DEFS_MAX];       /* of a SPAN */
};

/* Of the type that the item has. */
void made_item_fill(struct made_item *t, struct wal_item *it);

/* Fails the test unless b, which was read, is a, which was filled. */
void made_item_same(const struct made_item *t, const struct wal_item *a, const struct wal_item *b);

#endif
