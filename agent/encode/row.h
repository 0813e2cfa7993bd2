/*
 * row: one event as values by column: what parsers fill and what csv, parquet and partitions take.
 * Pure.
 *
 * A row has one cell for each column of its schema, in the same order; a cell that was not met is
 * null. Bytes are borrowed from the event or from the parser's scratch, until the next event.
 *
 * Owns:   nothing; the cells belong to whoever made the row.
 * Thread: any one at a time.
 */
#ifndef ENCODE_ROW_H
#define ENCODE_ROW_H

#include <stdint.h>

enum cell_type {
    CELL_NULL,
    CELL_BOOL,          /* u.i: 0 or 1 */
    CELL_I64,           /* u.i; of columns i32 and i64 */
    CELL_U64,           /* u.u; of columns u64 */
    CELL_F64,           /* u.f; of columns f32 and f64 */
    CELL_TIMESTAMP,     /* u.i: microseconds since 1970, UTC */
    CELL_STRING,        /* u.s: UTF-8, unescaped */
    CELL_BYTES,         /* u.s */
    CELL_NUMBER,        /* u.s: a JSON number as it is written, only where text is asked for */
    CELL_JSON           /* u.s: JSON text of an object or array; stands in columns of type string */
};

struct cell {
    union {
        int64_t i;
        uint64_t u;
        double f;
        const uint8_t *s;
    } u;
    uint32_t len;       /* of u.s, bytes */
    uint32_t type;      /* enum cell_type */
};
_Static_assert(sizeof(struct cell) == 16, "a cell is two words");

#endif
