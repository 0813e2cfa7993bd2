/*
 * projection: how the records of a type become rows: which columns these have, and where the value
 * of each comes from, a field of the record or what is added. It follows from the type and from
 * what the settings declare, keep, drop, add and partition by. Inner part of encoding.
 *
 * Owns:   a projection owns its columns; the cells that it fills are the encoding's.
 * Thread: shard.
 */
#ifndef ENCODE_PROJECTION_H
#define ENCODE_PROJECTION_H

#include <stdbool.h>
#include <stdint.h>

#include "encode/json_out.h"
#include "encode/record_text.h"
#include "encode/record_type.h"
#include "encode/schema.h"

struct encoding;
struct event;

struct projection {
    uint64_t type_id;           /* of the record; 0: none yet */
    int err;                    /* its records cannot be written so: encoding.why says it */
    struct schema schema;       /* hidden columns first */
    int32_t *from;              /* owned; column of the record, ADDED - index, or MISSING */
    bool same;                  /* the record's columns and no others */
    bool direct;                /* rows out of the records themselves: there are no cells */
    struct json_out json;       /* of the schema */
    struct record_text text;    /* of lines that are made so */
};

/* Of the type, into encoding.record, in place of what is there. 0, see err; or -ENOMEM. */
int projection_make(struct encoding *e, const struct record_type *type);
void projection_fini(struct projection *p);     /* zeroed is fine */

/* Checks a record of that type: its row into encoding.cells. 0, or -EBADMSG with the fault. */
int projection_row(const struct encoding *e, const struct event *ev,
                   struct record_fault *ret_fault);

#endif
