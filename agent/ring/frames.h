/*
 * frames: checks a span of frames in private memory. Pure.
 *
 * Owns:   nothing.
 * Thread: any; a scratch belongs to one shard.
 * Units:  bytes; a span starts at a frame.
 */
#ifndef RING_FRAMES_H
#define RING_FRAMES_H

#include <stdbool.h>
#include <stdint.h>

#include "shm_wire.h"

/* Events and payload bytes of one definition within a span. */
struct frames_tally {
    uint16_t def;
    uint32_t events;
    uint64_t payload_bytes;
};

/* Which definitions of a ring are schemas; zeroed: none. */
struct frames_schemas {
    uint64_t words[SHM_DEFS_MAX / 64 + 1];
};

static inline bool frames_schemas_has(const struct frames_schemas *s, uint32_t number)
{
    return (s->words[number / 64] >> number % 64 & 1) != 0;
}

static inline void frames_schemas_add(struct frames_schemas *s, uint32_t number)
{
    s->words[number / 64] |= 1ULL << number % 64;
}

/* Longest span that frames_check() takes: its events fit into 32 bits. A ring is 64 MiB at most. */
#define FRAMES_SPAN_BYTES_MAX ((uint64_t)UINT32_MAX)

/*
 * Scratch of one shard: counts by definition, cleared in time proportional to what was used. Zeroed
 * at first; used[0..used_count) are the definitions with events, in order of first appearance.
 */
struct frames_scratch {
    uint32_t events[SHM_DEFS_MAX + 1];
    uint64_t payload_bytes[SHM_DEFS_MAX + 1];
    uint16_t used[SHM_DEFS_MAX + 1];
    uint16_t used_count;
};

enum frames_result {
    FRAMES_OK,              /* everything whole, or the last one merely cut by the end of span */
    FRAMES_CORRUPT          /* bytes_whole is the end of the last good frame */
};

struct frames_summary {
    uint64_t bytes_whole;   /* bytes of whole good frames from the start */
    uint32_t events;
    enum shm_quarantine reason;     /* for CORRUPT: FRAME or DEFINITION */
};

/*
 * Walks span[0..len): each frame's length at most event_bytes_max, kind known, flags 0, definition
 * 1..defs_count, and that of a schema when and only when the kind is record (schemas NULL: not
 * known, not looked at). Adds the tallies of the whole good frames to scratch (the caller clears it
 * by frames_scratch_clear() before the first span of a tally).
 *
 * The 16 bytes of a frame's header are checked as soon as they are all in the span, its payload may
 * still be cut. A span that ends at a published head must be whole: bytes_whole < len there means
 * that its last frame reaches beyond what was committed, and is the caller's SHM_QUARANTINE_FRAME.
 */
enum frames_result frames_check(const uint8_t *span, uint64_t len, uint32_t event_bytes_max,
                                uint16_t defs_count, const struct frames_schemas *schemas,
                                struct frames_scratch *scratch,
                                struct frames_summary *ret_summary);
void frames_scratch_clear(struct frames_scratch *scratch);

/* The frame at span + at; returns the offset of the next. For spans that frames_check() passed. */
static inline uint64_t frames_next(const uint8_t *span, uint64_t at, struct shm_frame *ret_frame,
                                   const uint8_t **ret_payload)
{
    __builtin_memcpy(ret_frame, span + at, sizeof(*ret_frame));
    *ret_payload = span + at + sizeof(*ret_frame);
    return at + shm_frame_bytes(ret_frame->len);
}

#endif
