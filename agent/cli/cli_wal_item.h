/*
 * cli_wal_item: the items of a log as named values, and what they are about.
 *
 * A new type of item is one more row of the table, and a function for its fields.
 *
 * Owns:   nothing.
 * Thread: main.
 */
#ifndef CLI_CLI_WAL_ITEM_H
#define CLI_CLI_WAL_ITEM_H

#include <stdbool.h>

#include "cli/cli_fields.h"
#include "wal/wal_state.h"

const char *wal_item_type_name(enum wal_item_type type);

/*
 * The fields of an item; `state` is the log before it, from which names of rings and streams are
 * taken.
 */
void wal_item_fields(struct cli_fields *f, const struct wal_state *state,
                     const struct wal_item *item);

/* Is it about this stream; about this ring (by its name, with or without .ring, or its number)? */
bool wal_item_of_stream(const struct wal_state *state, const struct wal_item *item,
                        const char *name);
bool wal_item_of_ring(const struct wal_state *state, const struct wal_item *item,
                      const char *name);

/* Ring and stream as number and, if the log knows it, name. */
void wal_item_ring_fields(struct cli_fields *f, const struct wal_state *state, uint32_t id);
void wal_item_stream_fields(struct cli_fields *f, const struct wal_state *state, uint32_t id);

#endif
