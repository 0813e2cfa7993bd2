/*
 * relay_counters: what the relay's listener counts, for people to see; since the start.
 *
 * Owns:   nothing; lent to the listener, which sets and adds, and to the first shard, which copies.
 * Thread: written by one, read by any; each counter by itself, so all accesses are relaxed.
 */
#ifndef PIPELINE_RELAY_COUNTERS_H
#define PIPELINE_RELAY_COUNTERS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Why a sender is not read, or not answered. */
enum relay_wait {
    RELAY_WAIT_RECOVERY,        /* what was taken before the start is not durable yet */
    RELAY_WAIT_RING_FULL,       /* this agent does not take more: its log or its memory is full */
    RELAY_WAIT_DEFINITIONS,     /* a new ring is needed for more streams or schemas */
    RELAY_WAIT_MEMORY,          /* too much has come of others */
    RELAY_WAIT_JOURNAL,         /* state/relay cannot be written, or no ring be made */
    RELAY_WAIT_COUNT
};
extern const char *const relay_wait_names[RELAY_WAIT_COUNT];    /* "recovery", ... */
extern const char *const relay_wait_texts[RELAY_WAIT_COUNT];    /* as senders are told */

struct relay_counters {
    bool listens;                               /* before anybody counts */
    _Atomic uint64_t peers, peers_total;        /* connected now; accepted */
    _Atomic uint64_t waiting[RELAY_WAIT_COUNT]; /* of the peers */
    _Atomic uint64_t events, batches;           /* taken; told to be durable */
    _Atomic uint64_t duplicates;    /* batches of which some or all had come before */
    _Atomic uint64_t declined;      /* batches that their senders were told to keep */
    _Atomic uint64_t refused;       /* connections ended for what they sent, or did not send */
    _Atomic uint64_t journal_bytes, journal_syncs;
};

static inline void relay_count(_Atomic uint64_t *counter, uint64_t more)
{
    /* One thread adds, so a load and a store do. */
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + more,
                          memory_order_relaxed);
}

static inline void relay_count_set(_Atomic uint64_t *counter, uint64_t value)
{
    atomic_store_explicit(counter, value, memory_order_relaxed);
}

#endif
