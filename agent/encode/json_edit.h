/*
 * json_edit: a JSON object with members left out, put in order, replaced and added. Values stay as
 * they are written, numbers to the last digit; line ends between tokens become spaces.
 *
 * First `fields` keeps these keys alone, in this order (of a key that is found twice the last
 * value), then `drop` takes keys away, then `add` replaces the value where the key still stands, or
 * puts the member at the end.
 *
 * Owns:   a json_edit owns its names and scratch.
 * Thread: any one at a time.
 * Units:  bytes.
 */
#ifndef ENCODE_JSON_EDIT_H
#define ENCODE_JSON_EDIT_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "encode/schema.h"

/* A member as JSON text, `"key": value`, without line ends; borrowed. */
struct json_addition {
    const uint8_t *text;
    size_t len;
};

struct json_edit;

/* Sets of names, of which the types do not matter; NULL: none, for fields: all. 0 or -ENOMEM. */
int json_edit_open(const struct schema *fields, const struct schema *drop,
                   const struct schema *add, struct json_edit **ret_edit);
void json_edit_close(struct json_edit *edit);   /* NULL is fine */

/*
 * Appends the new object, without a line's end. additions: one for each name of `add`, in that
 * order. 0, -EBADMSG: no JSON object, -ENOMEM; then `out` is as it was.
 */
int json_edit_object(struct json_edit *edit, const uint8_t *data, size_t len,
                     const struct json_addition *additions, struct bytes *out);

/* Why it was no object, and at which byte. */
const char *json_edit_why(const struct json_edit *edit, size_t *ret_where);

#endif
