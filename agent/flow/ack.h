/*
 * ack: which batches are unfinished, and so the log position below which everything is delivered.
 *
 * Each list is sorted by first_lsn, so its head is its minimum. Batches are opened in the order of
 * their first events but for those taken over at a start, so that adding looks from the end.
 *
 * Owns:   nothing; batches lend their links.
 * Thread: shard.
 * Units:  lsn = log byte offset.
 */
#ifndef FLOW_ACK_H
#define FLOW_ACK_H

#include <stdint.h>

#include "flow/stream.h"

struct ack_list {
    struct batch *first, *last;
    uint32_t count;
};

/* The batch's stream and first_lsn are set. */
void ack_add(struct ack_list *all, struct batch *b);

/* Delivered everywhere, acknowledged, synced. */
void ack_remove(struct ack_list *all, struct batch *b);

/* Everything below is delivered, given that all up to routed_lsn has been routed. */
uint64_t ack_low_water(const struct ack_list *all, uint64_t routed_lsn);
uint64_t ack_stream_low_water(const struct stream *s, uint64_t routed_lsn);

#endif
