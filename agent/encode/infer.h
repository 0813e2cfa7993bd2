/*
 * infer: finds the columns of JSON events: the top-level keys in the order in which they first
 * appear, each with the narrowest type that takes all of its values:
 *
 *   bool      only booleans
 *   i64       only integers that fit
 *   f64       numbers, and integers among them that no double would change (json_number_class())
 *   string    everything else: strings, objects, arrays, mixtures; numbers as they are written
 *
 * Null says nothing; a key whose values are all null becomes a string. An event that infer took
 * fits the schema as json_row takes it without JSON_ROW_STRICT, and the other way round: what fits
 * does not change the schema.
 *
 * Owns:   struct infer owns the names.
 * Thread: any one at a time.
 */
#ifndef ENCODE_INFER_H
#define ENCODE_INFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "encode/json_reader.h"
#include "encode/schema.h"

enum infer_result {
    INFER_SAME,         /* no column is new or has another type */
    INFER_WIDER,
    INFER_REJECT,       /* never a row: a name too long, empty or with NUL, too many keys, none */
    INFER_INVALID,      /* no JSON object */
    INFER_NO_MEMORY,
};

struct infer {
    struct json_reader reader;
    uint8_t *seen;      /* owned; what was met, for each column */
    uint32_t seen_cap;
    uint32_t reserved;  /* columns that are none of its own and have to find room beside them */
    bool needs_key;     /* an event without any key of a column is rejected */
    const char *why;    /* of the last event that was not taken; a text that stands */
};

/*
 * Starts with the columns of `from` (NULL: none), which infer made; passes over keys in `skip`
 * (NULL: none) and, if closed, over those that are no columns already. 0, -EINVAL: a column has a
 * type that is not inferred, -ENOMEM. fini in any case.
 */
int infer_init(struct infer *inf, const struct schema *from, const struct schema *skip,
               bool closed);
void infer_fini(struct infer *inf);     /* a zeroed one too */

/* A column without values so far: as if a null had been met. 0 or as schema_add() fails. */
int infer_column(struct infer *inf, const char *name, size_t len);

/* Takes an event in, or leaves all types as they were (columns may be new after NO_MEMORY). */
enum infer_result infer_event(struct infer *inf, const uint8_t *data, size_t len);

/* What was found so far; nothing is hidden. 0 or -ENOMEM. */
int infer_schema(const struct infer *inf, struct schema *ret_schema);

#endif
