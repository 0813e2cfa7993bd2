/*
 * record_type: the types of typed records that were met, by the bytes of their definition.
 *
 * Owns:   the types; a type is borrowed until the next call of record_types_get().
 * Thread: any one at a time.
 */
#ifndef ENCODE_RECORD_TYPE_H
#define ENCODE_RECORD_TYPE_H

#include <stddef.h>
#include <stdint.h>

#include "encode/record.h"
#include "encode/row.h"
#include "encode/schema.h"

/* Beyond it all are forgotten, and made again as they are met. */
enum { RECORD_TYPES_MAX = 1024, RECORD_TYPE_BUCKETS = 1024 };

struct record_type {
    struct record_type *next;
    uint64_t id;                /* never given twice */
    uint32_t hash, len;
    uint8_t *body;              /* owned */
    bool refused;               /* what refused.h tells of */
    struct schema schema;
    struct record_plan plan;
    struct cell *cells;         /* owned; of the record that is being read */
};

struct record_types {
    struct record_type *bucket[RECORD_TYPE_BUCKETS];
    uint32_t count;
    uint64_t last_id;
};

void record_types_init(struct record_types *types);
void record_types_fini(struct record_types *types);

/* The type with this definition. 0, -EBADMSG: it is malformed, -ENOMEM. */
int record_types_get(struct record_types *types, const void *body, size_t len,
                     struct record_type **ret_type);

#endif
