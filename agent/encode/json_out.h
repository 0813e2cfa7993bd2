/*
 * json_out: rows of cells as JSON lines: one object and LF each, a member for every column that is
 * not hidden, in the schema's order. Pure.
 *
 *   null -> null; bool, numbers and CELL_NUMBER as they are in text.h; NaN and Infinity -> null
 *   time -> "2026-11-21T10:11:12.345678Z"; string -> escaped; bytes -> base64 in a string
 *   CELL_JSON -> as it is, line ends, which JSON allows between tokens only, as spaces
 *
 * Owns:   a json_out owns the escaped names, made once.
 * Thread: any one at a time.
 * Units:  bytes.
 */
#ifndef ENCODE_JSON_OUT_H
#define ENCODE_JSON_OUT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/blocks.h"
#include "base/bytes.h"
#include "encode/record_text.h"
#include "encode/row.h"
#include "encode/schema.h"

struct json_out {
    const struct schema *schema;    /* borrowed */
    struct bytes names;             /* owned; {"a":,"b":,"c": one behind the other */
    uint32_t *ends;                 /* owned; in names, of each column that is not hidden */
};

/* 0 or -ENOMEM. The schema stays as it is until json_out_fini(). */
int json_out_init(struct json_out *j, const struct schema *schema);
void json_out_fini(struct json_out *j);

/* The most that json_out_row() can append, which the caller has reserved. It cannot fail. */
uint64_t json_out_row_bytes_max(const struct json_out *j, const struct cell *cells);
void json_out_row(const struct json_out *j, const struct cell *cells, uint64_t most,
                  struct block_chain *out);

/*
 * The same line of a record, which was checked and has a column or more. False, and nothing is
 * written: the block at hand may be too small for it, json_out_row() has to write it.
 */
uint64_t json_out_record_bytes_max(const struct json_out *j, const struct record_text *t,
                                   uint32_t len);
bool json_out_record(const struct json_out *j, const struct record_text *t, const uint8_t *payload,
                     uint32_t len, uint64_t most, struct block_chain *out);

#endif
