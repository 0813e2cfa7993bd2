/*
 * relay_counters: names.
 * Owns:   nothing.
 * Thread: any.
 */
#include "pipeline/relay_counters.h"

const char *const relay_wait_names[RELAY_WAIT_COUNT] = {
    [RELAY_WAIT_RECOVERY] = "recovery", [RELAY_WAIT_RING_FULL] = "ring_full",
    [RELAY_WAIT_DEFINITIONS] = "definitions", [RELAY_WAIT_MEMORY] = "memory",
    [RELAY_WAIT_JOURNAL] = "journal",
};

const char *const relay_wait_texts[RELAY_WAIT_COUNT] = {
    [RELAY_WAIT_RECOVERY] = "the aggregator is not through with what it took before its start",
    [RELAY_WAIT_RING_FULL] = "the aggregator is full: its log, its memory or its sinks",
    [RELAY_WAIT_DEFINITIONS] = "the aggregator makes room for more streams and schemas",
    [RELAY_WAIT_MEMORY] = "the aggregator has read too much of others",
    [RELAY_WAIT_JOURNAL] = "the aggregator cannot write its journal, or make a ring",
};
_Static_assert(RELAY_WAIT_COUNT == 5, "each reason has a name and a text");
