/*
 * schema_body: bodies of schema definitions, written by hand as shm_wire.h draws them; also wrong
 * ones.
 *
 * Owns:   its bytes, inline.
 * Thread: one at a time.
 */
#ifndef TESTS_SCHEMA_BODY_H
#define TESTS_SCHEMA_BODY_H

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "shm_wire.h"

struct schema_body {
    uint8_t bytes[SHM_DEFS_BYTES + 1];
    size_t len;
};

static inline void schema_body_init(struct schema_body *b)
{
    memset(b->bytes, 0, sizeof(struct shm_schema));
    b->len = sizeof(struct shm_schema);
}

/* One field more, the count included. The caller sees to it that it fits. */
static inline void schema_body_add(struct schema_body *b, uint8_t type, uint8_t flags,
                                   const char *name)
{
    struct shm_field field = {type, flags, (uint8_t)strlen(name), 0};
    uint16_t count;

    memcpy(&count, b->bytes, sizeof(count));
    count++;
    memcpy(b->bytes, &count, sizeof(count));
    memcpy(b->bytes + b->len, &field, sizeof(field));
    memcpy(b->bytes + b->len + sizeof(field), name, field.name_len);
    b->len += sizeof(field) + field.name_len;
}

#endif
