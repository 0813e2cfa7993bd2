/*
 * transform: what an output does to the fields of its events: `fields` (only these, in this order),
 * `drop_fields`, `add_fields`, in that order. An added field takes the place of one of its name.
 * Pure.
 *
 *   fields, drop_fields   names with commas between, written as those of `columns`
 *   add_fields            name = value, ...: a bare number, true, false or null is that, other bare
 *                         text up to the comma is a string, as is all in double quotes, where a
 *                         quote is doubled
 *
 * In strings stand expressions: !{timestamp:<Java DateTimeFormatter pattern>} of the event's time,
 * in UTC, as in prefixes (flow/object_name.h: slashes are as in paths, none first, none double);
 * !{hydrant:time} in RFC 3339; !{hydrant:kind} (json, text, bytes, record); !{hydrant:host} and
 * !{hydrant:stream}.
 *
 * Owns:   a transform owns everything below it; its memory is taken when it is parsed.
 * Thread: any one at a time.
 */
#ifndef ENCODE_TRANSFORM_H
#define ENCODE_TRANSFORM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/errmsg.h"
#include "encode/row.h"
#include "encode/schema.h"

/* Borrowed for transform_parse() alone; NULL is as good as empty. */
struct transform_settings {
    const char *fields, *drop_fields, *add_fields;
    const char *host, *stream;
};

/* A member of an object: "name":value, names and strings escaped. */
struct transform_member {
    const uint8_t *text;        /* borrowed from the transform */
    size_t len;
};

struct transform_value;

struct transform {
    struct schema fields;       /* names only; none: all fields are kept */
    struct schema drop;         /* names only */
    struct schema add;          /* the columns that are added, with their types */
    struct cell *cells;         /* owned; one for each of them, as of the last transform_eval() */
    struct transform_member *members;   /* owned; the same for JSON */
    struct transform_value *values;     /* owned */
    unsigned needs;             /* what any value depends on */
    uint64_t time_ns;           /* of the last event */
    uint8_t kind;
};

/* 0, -ENOMEM, or -EINVAL with a text that names what and where. */
int transform_parse(const struct transform_settings *set, struct transform *ret_transform,
                    struct errmsg *err);
void transform_fini(struct transform *t);       /* fine after a failed parse */

bool transform_active(const struct transform *t);       /* false: events stay as they are */
bool transform_keeps(const struct transform *t, const char *name, size_t len);

/*
 * Makes cells and members those of an event of this time (UTC) and kind (enum shm_kind). What does
 * not depend on it, or on its second, is not made again. Cannot fail.
 */
void transform_eval(struct transform *t, uint64_t time_ns, uint8_t kind);

#endif
