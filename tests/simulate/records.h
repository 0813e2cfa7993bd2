/*
 * records: typed records that simulated producers write, of several types. They say what the JSON
 * objects beside them say: who wrote (p), which one it is (n), a partition (g) and a text (x).
 *
 * Owns:   nothing.
 * Thread: any.
 * Units:  bytes.
 */
#ifndef TESTS_SIMULATE_RECORDS_H
#define TESTS_SIMULATE_RECORDS_H

#include <stddef.h>
#include <stdint.h>

enum {
    RECORDS_PLAIN,              /* the columns that some sinks declare */
    RECORDS_WIDE,               /* with a number beside them that may be missing */
    RECORDS_OTHER,              /* other types under the same names; no sink that declares has it */
    RECORDS_TYPES,
    RECORDS_BODY_MAX = 128,
    RECORDS_FIXED_MAX = 64      /* a record without its text */
};

struct record_values {
    uint32_t producer, number, group;
    uint32_t text_len;
    char text;                  /* repeated */
};

/* The type's definition. Returns its length. */
size_t records_body(unsigned type, uint8_t body[RECORDS_BODY_MAX]);

/* A record into `payload`, which has room for RECORDS_FIXED_MAX and the text. Its length. */
uint32_t records_write(unsigned type, const struct record_values *values, uint8_t *payload);

#endif
