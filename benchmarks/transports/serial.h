/*
 * serial: events that carry their producer and their number, and the account of those that came.
 *
 *   bytes 0 to 7     producer (16 bits), number from 0 (48 bits)
 *   bytes 8 to 15    a time stamp, where latency is measured
 *   the last 8       the first 8 inverted, so that a cut event is seen
 *
 * An event is prepared some events before it is sent: a copy that begins with what has just been
 * stored would wait for the store, a cost of this bench and not of the transport.
 *
 * Owns:   the memory of the events.
 * Thread: any, one struct by one thread.
 * Units:  bytes; numbers count events of one producer.
 */
#ifndef BENCHMARKS_TRANSPORTS_SERIAL_H
#define BENCHMARKS_TRANSPORTS_SERIAL_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum {
    SERIAL_BYTES_MIN = 24,
    SERIAL_BYTES_MAX = 1024,
    SERIAL_SLOTS = 16, /* two for each line that is prepared; all of 1,024 bytes fit the L1 */
    SERIAL_AHEAD = 8,
    SERIAL_PRODUCERS_MAX = 64,
    SERIAL_NUMBER_BITS = 48
};

struct serials {
    uint32_t bytes;
    uint64_t next; /* producer and number of the event that comes next */
    _Alignas(64) uint8_t slots[SERIAL_SLOTS * SERIAL_BYTES_MAX];
};

static inline uint8_t *serials_slot(struct serials *s, uint64_t word)
{
    return s->slots + word % SERIAL_SLOTS * s->bytes;
}

static inline void serials_prepare(struct serials *s, uint64_t word)
{
    uint8_t *slot = serials_slot(s, word);
    uint64_t inverted = ~word;

    memcpy(slot, &word, sizeof(word));
    memcpy(slot + s->bytes - sizeof(inverted), &inverted, sizeof(inverted));
}

/* bytes: a multiple of 8 between the limits. */
static inline void serials_init(struct serials *s, uint32_t bytes, unsigned int producer)
{
    memset(s, 0, sizeof(*s));
    s->bytes = bytes;
    s->next = (uint64_t)producer << SERIAL_NUMBER_BITS;
    for (uint64_t i = 0; i < SERIAL_AHEAD; i++)
        serials_prepare(s, s->next + i);
}

/* The next event; its bytes stay until SERIAL_SLOTS - SERIAL_AHEAD more have been taken. */
static inline const uint8_t *serials_next(struct serials *s)
{
    uint64_t word = s->next++;

    serials_prepare(s, word + SERIAL_AHEAD);
    return serials_slot(s, word);
}

/* Into the event that comes next. */
static inline void serials_stamp(struct serials *s, uint64_t stamp)
{
    memcpy(serials_slot(s, s->next) + 8, &stamp, sizeof(stamp));
}

/* How many the producer has taken. */
static inline uint64_t serials_count(const struct serials *s)
{
    return s->next & ((1ULL << SERIAL_NUMBER_BITS) - 1);
}

struct tally {
    uint32_t bytes;
    unsigned int producers;
    uint64_t received, lost; /* lost: numbers that were passed over */
    uint64_t stamp;          /* of the last event */
    uint64_t next[SERIAL_PRODUCERS_MAX];
};

static inline void tally_init(struct tally *t, uint32_t bytes, unsigned int producers)
{
    memset(t, 0, sizeof(*t));
    t->bytes = bytes;
    t->producers = producers;
    for (uint64_t i = 0; i < producers; i++)
        t->next[i] = i << SERIAL_NUMBER_BITS;
}

/* An event of one of these producers, whole, and none that came already or should have come. */
static inline bool tally_fits(const struct tally *t, const uint8_t *event)
{
    uint64_t word, inverted;

    memcpy(&word, event, sizeof(word));
    memcpy(&inverted, event + t->bytes - sizeof(inverted), sizeof(inverted));
    return inverted == ~word && word >> SERIAL_NUMBER_BITS < t->producers &&
           word - t->next[word >> SERIAL_NUMBER_BITS] < 1ULL << SERIAL_NUMBER_BITS;
}

/* 0, or -EBADMSG: it does not fit. */
static inline int tally_add(struct tally *t, const uint8_t *event)
{
    uint64_t word, *next;

    if (!tally_fits(t, event))
        return -EBADMSG;
    memcpy(&word, event, sizeof(word));
    memcpy(&t->stamp, event + 8, sizeof(t->stamp));
    next = &t->next[word >> SERIAL_NUMBER_BITS];
    t->lost += word - *next;
    *next = word + 1;
    t->received++;
    return 0;
}

#endif
