/*
 * json_row: JSON events as rows: the members of one object into the cells of a schema's columns.
 *
 * A value fits its column, or the event is a misfit:
 *
 *   any type    null
 *   bool        true, false
 *   i32 i64 u64 integers in range, written without point and exponent
 *   f32 f64     numbers that stay finite as the column's type
 *   string      strings; objects and arrays, as CELL_JSON: their text as it is written
 *   bytes       strings of base64 with padding
 *   timestamp   strings as RFC 3339 writes them, integers as microseconds since 1970 UTC, both
 *               within the years 0000 to 9999
 *
 * Integers in floating columns are rounded as doubles are; f32 gets the double nearest to the text,
 * to be rounded by the writer.
 *
 * Columns that were inferred (without JSON_ROW_STRICT) differ in two points, so that an event fits
 * exactly if infer would not widen for it: strings also take numbers and booleans, as they are
 * written; f64 takes an integer only if no digit is lost (json_number_class() says which).
 *
 * Of a key that is found twice the last value counts; each must fit. All of an event is checked,
 * what is skipped too: no event is taken or called a misfit that json_classify() would not call an
 * object.
 *
 * Owns:   a json_row owns its copy of the columns and its scratch, which grows to the largest event
 *         with escapes and no further. Cells borrow from the event or the scratch until the next
 *         event.
 * Thread: any one at a time.
 * Units:  bytes.
 */
#ifndef ENCODE_JSON_ROW_H
#define ENCODE_JSON_ROW_H

#include <stddef.h>
#include <stdint.h>

#include "encode/row.h"
#include "encode/schema.h"

enum json_row_flag {
    JSON_ROW_STRICT = 1,            /* the columns were declared */
    JSON_ROW_CLOSED = 2,            /* keys without a column are skipped */
    JSON_ROW_NUMBERS_AS_TEXT = 4,   /* numbers that fit are CELL_NUMBER, but for timestamps */
};

enum json_row_result {
    JSON_ROW_TAKEN,
    JSON_ROW_MISFIT_KEY,            /* a key without a column: the first one */
    JSON_ROW_MISFIT_TYPE,           /* a value that its column does not take: the first one */
    JSON_ROW_INVALID,               /* no JSON object */
    JSON_ROW_NO_MEMORY,
};

/* Of the last event that was not taken. */
struct json_row_error {
    const char *why;                /* a text that stands */
    const uint8_t *key;             /* misfits: the key's name; borrowed like cells */
    uint32_t key_len;
    int32_t column;                 /* MISFIT_TYPE; else -1 */
    size_t where;                   /* INVALID: offset of the byte where it ended */
};

struct json_row;

/* Keys in `skip` (NULL: none) are passed over. 0 or -ENOMEM. */
int json_row_open(const struct schema *schema, const struct schema *skip, unsigned int flags,
                  struct json_row **ret_row);
void json_row_close(struct json_row *row);      /* NULL is fine */

/* Fills a cell for each column of the schema; what is not met is null. Unless taken: undefined. */
enum json_row_result json_row_take(struct json_row *row, const uint8_t *data, size_t len,
                                   struct cell *ret_cells);
/* Keys of the last event taken that are columns; one that comes twice counts twice. */
uint32_t json_row_members(const struct json_row *row);
const struct json_row_error *json_row_error(const struct json_row *row);

#endif
