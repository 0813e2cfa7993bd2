/*
 * frame: how an event's bytes get into the ring, at the least cost on the normal path.
 *
 * Owns:   nothing; `frame` points where head lies in the mapping, where nobody reads yet.
 * Thread: the handle's.
 * Units:  bytes.
 */
#ifndef SHMC_FRAME_H
#define SHMC_FRAME_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "handle.h"

#define SHMC_INLINE static inline __attribute__((always_inline))

#define FRAME_SMALL_MAX   128U  /* payload copied by our own few instructions, more by memcpy */
#define FRAME_LINE_BYTES  64U
#define FRAME_AHEAD_BYTES 1024U /* how far in front of head lines are asked for */
#define FRAME_AHEAD_MAX   2048U /* bytes of them in one write: more would leave the L1 again */

SHMC_INLINE void word_put(uint8_t *at, uint64_t word)
{
    memcpy(at, &word, sizeof(word));
}

/* What a frame says but for its payload; passed by value, so it stays in registers. */
struct shmc_event {
    uint64_t time_ns;
    uint32_t len;
    uint16_t stream;
    uint8_t kind;
};

/* The header as two words, for each store counts: five fields cost three stores more. */
SHMC_INLINE void frame_header_put(uint8_t *frame, struct shmc_event event)
{
    uint64_t what = (uint64_t)((uint32_t)event.kind << 16 | event.stream) << 32 | event.len;

    _Static_assert(offsetof(struct shm_frame, len) == 0 && offsetof(struct shm_frame, def) == 4 &&
                       offsetof(struct shm_frame, kind) == 6 &&
                       offsetof(struct shm_frame, time_ns) == 8 &&
                       __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
                   "what, then time");
    word_put(frame, what);
    word_put(frame + offsetof(struct shm_frame, time_ns), event.time_ns);
}

/* The padding is the end of the frame's last word, so that word goes before all else. */
SHMC_INLINE void frame_padding_put(uint8_t *frame, uint64_t bytes)
{
    word_put(frame + bytes - SHM_FRAME_ALIGN, 0);
}

/* The same where the payload is there already: `bytes` are 0..7, behind its end. */
SHMC_INLINE void frame_padding_end(uint8_t *at, uint32_t bytes)
{
    static const uint8_t zeros[4];

    if ((bytes & 4) != 0) {
        memcpy(at, zeros, 4);
        at += 4;
    }
    if ((bytes & 2) != 0) {
        memcpy(at, zeros, 2);
        at += 2;
    }
    if ((bytes & 1) != 0)
        *at = 0;
}

/*
 * A line that is to be written some events later. The agent's processor has it, having read it a
 * lap ago; asked for early, and to be owned, it is here in time. Else the stores wait for it in
 * their buffer, and soon the producer for the buffer. Nothing is stored, and `at` is in the mapping
 * as its second copy lies behind the first.
 */
SHMC_INLINE void frame_line_ahead(const uint8_t *at)
{
#if defined(__x86_64__)
    /* By name: without it in -march compilers ask only to read. Old processors ignore it. */
    __asm__ volatile("prefetchw %0" : : "m"(*at));
#else
    __builtin_prefetch(at, 1);
#endif
}

struct block {
    uint64_t words[2];
};

SHMC_INLINE struct block block_get(const uint8_t *at)
{
    struct block block;

    memcpy(&block, at, sizeof(block));
    return block;
}

SHMC_INLINE void block_put(uint8_t *at, struct block block)
{
    memcpy(at, &block, sizeof(block));
}

/* Less than a block: two pieces that may overlap, or up to three bytes. */
SHMC_INLINE void tiny_copy(uint8_t *to, const uint8_t *from, size_t len)
{
    uint64_t first8, last8;
    uint32_t first4, last4;

    if (len >= sizeof(first8)) {
        memcpy(&first8, from, sizeof(first8));
        memcpy(&last8, from + len - sizeof(last8), sizeof(last8));
        memcpy(to, &first8, sizeof(first8));
        memcpy(to + len - sizeof(last8), &last8, sizeof(last8));
    } else if (len >= sizeof(first4)) {
        memcpy(&first4, from, sizeof(first4));
        memcpy(&last4, from + len - sizeof(last4), sizeof(last4));
        memcpy(to, &first4, sizeof(first4));
        memcpy(to + len - sizeof(last4), &last4, sizeof(last4));
    } else if (len != 0) {
        to[0] = from[0];
        to[len / 2] = from[len / 2];
        to[len - 1] = from[len - 1];
    }
}

/*
 * Up to FRAME_SMALL_MAX: blocks from the front and from the back, which may overlap in the middle.
 * A call of memcpy would cost more than the copy, and make its caller save registers.
 */
SHMC_INLINE void frame_small_put(uint8_t *to, const uint8_t *from, size_t len)
{
    const uint8_t *from_end = from + len;
    uint8_t *to_end = to + len;
    struct block last;

    if (len < sizeof(struct block)) {
        tiny_copy(to, from, len);
        return;
    }
    last = block_get(from_end - 16);
    block_put(to, block_get(from));
    if (len > 32) {
        block_put(to + 16, block_get(from + 16));
        block_put(to_end - 32, block_get(from_end - 32));
        if (len > 64) {
            frame_line_ahead(to + FRAME_AHEAD_BYTES + FRAME_LINE_BYTES);
            block_put(to + 32, block_get(from + 32));
            block_put(to + 48, block_get(from + 48));
            block_put(to_end - 64, block_get(from_end - 64));
            block_put(to_end - 48, block_get(from_end - 48));
        }
    }
    block_put(to_end - 16, last);
}

SHMC_INLINE void frame_large_put(uint8_t *to, const uint8_t *from, size_t len)
{
    size_t ahead = len < FRAME_AHEAD_MAX ? len : FRAME_AHEAD_MAX;

    for (size_t i = 0; i < ahead; i += FRAME_LINE_BYTES)
        frame_line_ahead(to + FRAME_AHEAD_BYTES + i);
    memcpy(to, from, len);
}

/* The frame below head becomes an event. */
SHMC_INLINE void frame_publish(struct shmc *h, uint64_t head, uint32_t len)
{
    /* A1: pairs with the agent's acquire of head: seeing head means seeing the bytes before it. */
    atomic_store_explicit(h->head_word, head, memory_order_release);
    h->events++;
    h->payload_bytes += len;
}

/*
 * The end of a write whose frame of `bytes` lies below the limit, at the start of the room: it
 * becomes an event, and the call is left.
 */
SHMC_INLINE void frame_done(struct shmc *h, uint64_t room, uint64_t bytes, uint32_t len)
{
    room -= bytes;
    frame_publish(h, h->limit - room, len);
    atomic_signal_fence(memory_order_seq_cst);
    atomic_store_explicit(&h->gate.both, room, memory_order_relaxed); /* as shmc_leave() */
}

#endif
