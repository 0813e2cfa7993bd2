/*
 * frames: checks a span of frames in private memory. Pure, and the hot loop of the drain.
 *
 * The bytes come from a stranger. A length is used only after it was found to be at most
 * event_bytes_max, so offsets are sums of small 64-bit numbers and cannot overflow.
 *
 * Owns:   nothing.
 * Thread: any; a scratch belongs to one shard.
 * Units:  bytes; at = offset in the span.
 */
#include "ring/frames.h"

#include "base/invariant.h"

#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "a frame's words are little-endian");
_Static_assert(SHM_DEFS_MAX <= UINT16_MAX, "used_count counts every definition");

/* Of a frame's second word: the definition, and the one bit of the kind that only RECORD has. */
#define DEF_RECORD (0xffffU | (uint32_t)SHM_KIND_RECORD << 16)
_Static_assert(SHM_KIND_RECORD == 4 && SHM_KIND_COUNT == 5, "a bit of its own");

/* The first eight bytes of a frame in one register: len, def, kind, flags. */
static inline uint64_t frame_word(const uint8_t *frame)
{
    uint64_t word;

    memcpy(&word, frame, sizeof(word));
    return word;
}

/* Cold: which rule the frame broke. The length, kind and flags come before the definition. */
static enum shm_quarantine frame_fault(uint64_t word, uint32_t event_bytes_max)
{
    uint32_t kind_flags = (uint32_t)(word >> 48);

    if ((uint32_t)word > event_bytes_max || kind_flags == SHM_KIND_NONE ||
        kind_flags >= SHM_KIND_COUNT)
        return SHM_QUARANTINE_FRAME;
    return SHM_QUARANTINE_DEFINITION;
}

static inline void scratch_add(struct frames_scratch *scratch, uint32_t def, uint32_t events,
                               uint64_t payload_bytes)
{
    if (scratch->events[def] == 0)
        scratch->used[scratch->used_count++] = (uint16_t)def;
    scratch->events[def] += events;
    scratch->payload_bytes[def] += payload_bytes;
}

enum frames_result frames_check(const uint8_t *span, uint64_t len, uint32_t event_bytes_max,
                                uint16_t defs_count, const struct frames_schemas *schemas,
                                struct frames_scratch *scratch,
                                struct frames_summary *ret_summary)
{
    enum frames_result result = FRAMES_OK;
    enum shm_quarantine reason = SHM_QUARANTINE_NONE;
    uint64_t at = 0, run_payload_bytes = 0;
    uint32_t events = 0, run_events = 0, run_def = 0;

    INVARIANT(len <= FRAMES_SPAN_BYTES_MAX); /* what an uint32_t of events can count */
    INVARIANT(event_bytes_max <= SHM_EVENT_BYTES_MAX && defs_count <= SHM_DEFS_MAX);

    /* Most frames follow one of their own definition: a run is counted in registers. */
    while (len - at >= sizeof(struct shm_frame)) {
        uint64_t word = frame_word(span + at);
        uint32_t payload_len = (uint32_t)word;
        uint32_t def_record = (uint32_t)(word >> 32) & DEF_RECORD;
        uint32_t def = def_record & 0xffffU;
        uint32_t kind_flags = (uint32_t)(word >> 48); /* flags are 0: then this is the kind */
        uint64_t next = at + shm_frame_bytes(payload_len);

        /* One branch for all rules; unsigned wrap-around makes 0 the largest number. */
        if (__builtin_expect((payload_len > event_bytes_max) | (def - 1U >= defs_count) |
                             (kind_flags - 1U >= SHM_KIND_COUNT - 1U), 0)) {
            result = FRAMES_CORRUPT;
            reason = frame_fault(word, event_bytes_max);
            break;
        }
        if (def_record != run_def) {
            if (schemas && frames_schemas_has(schemas, def) != (kind_flags == SHM_KIND_RECORD)) {
                result = FRAMES_CORRUPT;
                reason = SHM_QUARANTINE_DEFINITION;
                break;
            }
            if (run_events > 0)
                scratch_add(scratch, run_def & 0xffffU, run_events, run_payload_bytes);
            run_def = def_record;
            run_events = 0;
            run_payload_bytes = 0;
        }
        if (__builtin_expect(next > len, 0))
            break;
        run_events++;
        run_payload_bytes += payload_len;
        events++;
        at = next;
    }
    if (run_events > 0)
        scratch_add(scratch, run_def & 0xffffU, run_events, run_payload_bytes);
    ret_summary->bytes_whole = at;
    ret_summary->events = events;
    ret_summary->reason = reason;
    return result;
}

void frames_scratch_clear(struct frames_scratch *scratch)
{
    for (uint32_t i = 0; i < scratch->used_count; i++) {
        uint32_t def = scratch->used[i];

        scratch->events[def] = 0;
        scratch->payload_bytes[def] = 0;
    }
    scratch->used_count = 0;
}
