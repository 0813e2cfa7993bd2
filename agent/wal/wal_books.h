/*
 * wal_books: the part of the log's tables that counts: streams with the versions of their settings,
 * seals with their acknowledgements, and what these make of the books. For wal_state.c.
 *
 * Owns:   nothing; streams and seals are the state's.
 * Thread: shard.
 * Errors: as wal_state_apply().
 */
#ifndef WAL_WAL_BOOKS_H
#define WAL_WAL_BOOKS_H

#include <errno.h>
#include <stdlib.h>

#include "wal/wal_state.h"

int wal_books_stream(struct wal_state *s, const struct wal_item *it);
int wal_books_seal(struct wal_state *s, const struct wal_item *it);
int wal_books_ack(struct wal_state *s, const struct wal_item *it);      /* and STAGED */
int wal_books_reseal(struct wal_state *s, const struct wal_item *it);
int wal_books_lost(struct wal_state *s, const struct wal_item *it);
int wal_books_stream_totals(struct wal_state *s, const struct wal_item *it);
int wal_books_stream_sources(struct wal_state *s, const struct wal_item *it);
int wal_books_version_totals(struct wal_state *s, const struct wal_item *it);
int wal_books_partition(struct wal_state *s, const struct wal_item *it);
int wal_books_sink_totals(struct wal_state *s, const struct wal_item *it);

void wal_books_accept(struct wal_stream *st, enum wal_source source, const struct wal_tally *tally);
void wal_books_seal_remove(struct wal_state *s, struct wal_seal *seal);
/* Forgets which partitions are sealed below trim_lsn. */
void wal_books_trim(struct wal_state *s);
/* Forgets the versions of a stream that the checkpoint did not restate. */
void wal_books_versions_restated(struct wal_stream *st);
void wal_books_free(struct wal_state *s);       /* streams and seals */

/* Makes room for one more pointer or struct in an array that doubles. */
static inline int wal_array_grow(void *array_at, uint32_t count, uint32_t *cap, size_t item_bytes)
{
    void **array = array_at;
    uint32_t wanted = *cap ? *cap * 2 : 16;
    void *bigger;

    if (count < *cap)
        return 0;
    bigger = realloc(*array, (size_t)wanted * item_bytes);
    if (!bigger)
        return -ENOMEM;
    *array = bigger;
    *cap = wanted;
    return 0;
}

#endif
