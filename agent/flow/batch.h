/*
 * batch: events of one output which are delivered together: what is in it, and when it is due.
 *
 * Owns:   the blocks of its chain.
 * Thread: shard.
 * Units:  lsn = log byte offset of an event's frame.
 */
#ifndef FLOW_BATCH_H
#define FLOW_BATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/blocks.h"
#include "flow/object_name.h"
#include "flow/settings.h"

struct output;
struct stream;

/* A place in a list of unfinished batches, in the order in which they were opened. */
struct batch_link {
    struct batch *next, *prev;
};

struct batch {
    struct stream *stream;          /* borrowed */
    struct output *output;          /* borrowed; NULL: sealed before this start */
    struct batch_id id;
    struct block_chain chain;       /* encoded, not yet handed to the spool */
    uint64_t first_lsn, last_lsn;
    uint64_t events, payload_bytes;
    uint64_t arrival_real_ns;       /* of the first event */
    uint64_t due_ns;                /* boot clock; UINT64_MAX: no time trigger */
    struct batch_link all, of_stream;   /* flow/ack.h */
    char *partition;                /* owned; which of its output's it is, "" alone: the only one */
    uint32_t partition_len, partition_hash;
    struct batch *hash_next;        /* flow/open_batches.h */
    struct batch_link used;
};

/* Counts one event that was appended to the chain. */
static inline void batch_count(struct batch *b, uint64_t lsn, uint32_t payload_bytes)
{
    b->last_lsn = lsn;
    b->events++;
    b->payload_bytes += payload_bytes;
}

/* Full by count or size? -1 turns a trigger off. */
static inline bool batch_full(const struct batch *b, const struct output_settings *set)
{
    return b->events >= (uint64_t)set->buffer_count
           || b->payload_bytes >= (uint64_t)set->buffer_bytes;
}

#endif
