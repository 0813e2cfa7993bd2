/*
 * frames_check() on arbitrary bytes: it stays inside the span, what it calls good can be walked by
 * frames_next(), and its summary and tallies are those of the walk.
 *
 * Input: definitions (2 bytes), event_bytes_max (4 bytes), both cut to their range, then the span.
 * The top bit of these: every other definition is a schema; else that is not known.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/invariant.h"
#include "ring/frames.h"

enum { HEAD_BYTES = 6 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct frames_scratch scratch;
static uint32_t events[SHM_DEFS_MAX + 1];
static uint64_t payload_bytes[SHM_DEFS_MAX + 1];

/* Half of all, or NULL. */
static const struct frames_schemas *schemas;

static bool sort_good(const struct shm_frame *frame)
{
    return schemas == NULL ||
           frames_schemas_has(schemas, frame->def) == (frame->kind == SHM_KIND_RECORD);
}

static void walk_good_part(const uint8_t *span, uint32_t event_bytes_max, uint16_t defs_count,
                           const struct frames_summary *sum)
{
    uint64_t at = 0;
    uint32_t walked = 0;

    while (at < sum->bytes_whole) {
        struct shm_frame frame;
        const uint8_t *payload;
        uint64_t next;

        INVARIANT(sum->bytes_whole - at >= sizeof(frame));
        next = frames_next(span, at, &frame, &payload);
        INVARIANT(next > at && next <= sum->bytes_whole && next % SHM_FRAME_ALIGN == 0);
        INVARIANT(payload + frame.len <= span + next);
        INVARIANT(frame.len <= event_bytes_max && frame.flags == 0);
        INVARIANT(frame.kind > SHM_KIND_NONE && frame.kind < SHM_KIND_COUNT);
        INVARIANT(frame.def >= 1 && frame.def <= defs_count && sort_good(&frame));
        events[frame.def]++;
        payload_bytes[frame.def] += frame.len;
        walked++;
        at = next;
    }
    INVARIANT(walked == sum->events);
}

/* The first frame that is not good is cut, or breaks a rule: nothing good was left out. */
static void check_end(const uint8_t *span, uint64_t len, enum frames_result result,
                      uint32_t event_bytes_max, uint16_t defs_count,
                      const struct frames_summary *sum)
{
    uint64_t room = len - sum->bytes_whole;
    struct shm_frame frame;
    bool bad;

    INVARIANT(sum->bytes_whole <= len);
    INVARIANT((result == FRAMES_CORRUPT) == (sum->reason != SHM_QUARANTINE_NONE));
    if (room < sizeof(frame)) {
        INVARIANT(result == FRAMES_OK);
        return;
    }
    memcpy(&frame, span + sum->bytes_whole, sizeof(frame));
    bad = frame.len > event_bytes_max || frame.kind == SHM_KIND_NONE ||
          frame.kind >= SHM_KIND_COUNT || frame.flags != 0;
    if (result == FRAMES_OK)
        INVARIANT(!bad && frame.def >= 1 && frame.def <= defs_count && sort_good(&frame) &&
                  shm_frame_bytes(frame.len) > room);
    else if (sum->reason == SHM_QUARANTINE_FRAME)
        INVARIANT(bad);
    else
        INVARIANT(sum->reason == SHM_QUARANTINE_DEFINITION && !bad &&
                  (frame.def == 0 || frame.def > defs_count || !sort_good(&frame)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct frames_schemas half;
    struct frames_summary sum;
    enum frames_result result;
    uint32_t event_bytes_max, used_events = 0;
    uint16_t defs_count;
    uint8_t *span;
    size_t len;

    if (size < HEAD_BYTES)
        return 0;
    memcpy(&defs_count, data, 2);
    memcpy(&event_bytes_max, data + 2, 4);
    defs_count = (uint16_t)(defs_count % (SHM_DEFS_MAX + 1));
    memset(half.words, 0x55, sizeof(half.words));
    schemas = event_bytes_max >> 31 ? &half : NULL;
    event_bytes_max %= SHM_EVENT_BYTES_MAX + 1;

    /* A block of exactly this length, so that the sanitizer guards its end. */
    len = size - HEAD_BYTES;
    span = malloc(len > 0 ? len : 1);
    INVARIANT(span != NULL);
    memcpy(span, data + HEAD_BYTES, len);

    result = frames_check(span, len, event_bytes_max, defs_count, schemas, &scratch, &sum);
    check_end(span, len, result, event_bytes_max, defs_count, &sum);
    walk_good_part(span, event_bytes_max, defs_count, &sum);
    for (uint32_t i = 0; i < scratch.used_count; i++) {
        uint32_t def = scratch.used[i];

        INVARIANT(scratch.events[def] == events[def] && events[def] > 0);
        INVARIANT(scratch.payload_bytes[def] == payload_bytes[def]);
        used_events += events[def];
        events[def] = 0;
        payload_bytes[def] = 0;
    }
    INVARIANT(used_events == sum.events);
    frames_scratch_clear(&scratch);
    INVARIANT(scratch.used_count == 0);
    free(span);
    return 0;
}
