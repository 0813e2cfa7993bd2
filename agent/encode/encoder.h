/*
 * encoder: turns events into the bytes of a file. Pure: bytes to bytes, no I/O.
 *
 * Thread: any one at a time.
 */
#ifndef ENCODE_ENCODER_H
#define ENCODE_ENCODER_H

#include <stdint.h>

#include "base/blocks.h"
#include "shm_wire.h"

struct record_type;

/* An event in private memory. */
struct event {
    const uint8_t *data;        /* borrowed */
    uint32_t len;
    uint8_t kind;               /* enum shm_kind */
    uint64_t time_ns;           /* UTC */
    struct record_type *record; /* borrowed; of a record whose type is known, else NULL */
};

struct encoder_settings {
    const uint8_t *delimiter;   /* raw; borrowed */
    uint32_t delimiter_len;
};

struct encoder {
    const char *name;           /* as in `format = ` */
    const char *extension;

    /* Most bytes that event() can append for this event. */
    uint64_t (*bytes_max)(const struct encoder_settings *set, const struct event *ev);

    /* Appends one event; the caller has reserved bytes_max(). Cannot fail. */
    void (*event)(const struct encoder_settings *set, const struct event *ev,
                  struct block_chain *out);
};

extern const struct encoder json_encoder;       /* JSON lines */
extern const struct encoder raw_encoder;

const struct encoder *encoder_find(const char *format);     /* NULL: no such format */

#endif
