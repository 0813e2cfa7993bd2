/*
 * fields: what a schema's definition says, and where each field of its records lies: the one thing
 * that producer and agent have to compute alike, so both use this. Pure.
 *
 * Not installed. The bytes are drawn in shm_wire.h.
 *
 * Owns:   nothing; the body is borrowed.
 * Thread: any one at a time.
 * Units:  bytes; places are offsets in a record's payload.
 */
#ifndef SHMC_FIELDS_H
#define SHMC_FIELDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shm_wire.h"

/* What is wrong with a body. */
enum shmc_fields_fault {
    SHMC_FIELDS_GOOD,
    SHMC_FIELDS_CUT,        /* ends within a field, or does not end with the last one */
    SHMC_FIELDS_NUMBER,     /* no field, or more than SHM_FIELDS_MAX */
    SHMC_FIELDS_RESERVED,   /* a reserved byte is set, or a flag that is not known */
    SHMC_FIELDS_TYPE,
    SHMC_FIELDS_NAME,       /* empty, not UTF-8, or a NUL in it */
    SHMC_FIELDS_TWICE,      /* a name that an earlier field has */
    SHMC_FIELDS_FAULT_COUNT
};

struct shmc_fields {
    const uint8_t *at, *end;    /* borrowed: the body, from the next field on */
    uint16_t count;
    uint16_t next[3];           /* places: of the next field of 8, 4 and 1 bytes */
    uint16_t present_at;        /* 0: no field is nullable */
    uint16_t fixed_bytes;       /* from there on lies what refs point to */
};

/* A field as the body has it, and its place. */
struct shmc_fields_one {
    const char *name;           /* borrowed, no NUL behind it */
    uint8_t name_len, type;
    bool nullable;
    uint16_t at;
};

/*
 * Checks all of body[0..len), which must stay as it is meanwhile and for shmc_fields_next(). On a
 * fault *ret_index is the field that has it.
 */
enum shmc_fields_fault shmc_fields_open(struct shmc_fields *f, const void *body, size_t len,
                                        unsigned int *ret_index);

/* The next field, in declared order; false behind the last. */
bool shmc_fields_next(struct shmc_fields *f, struct shmc_fields_one *ret_one);

/* Bytes of a field of this type in the fixed part: 8, 4 or 1. */
unsigned int shmc_fields_type_bytes(uint8_t type);

const char *shmc_fields_fault_text(enum shmc_fields_fault fault);

/* RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF. For names, not for speed. */
bool shmc_fields_utf8(const uint8_t *text, size_t len);

#endif
