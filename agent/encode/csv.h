/*
 * csv: a header and rows of cells as RFC 4180 writes them, but that lines end in LF alone, as most
 * tools write and all read. Pure.
 *
 * A field is quoted if it holds a comma, a quote or a line end, or begins or ends with a blank.
 * Null is an empty field; the empty string is "", so that the two are told apart. Only where there
 * is one column null is written as "" too: readers skip empty lines. Numbers, bools and times are
 * as in text.h, bytes are base64; line ends in CELL_JSON become spaces.
 *
 * The first schema->hidden columns are not written.
 *
 * Owns:   nothing.
 * Thread: any one at a time.
 * Units:  bytes.
 */
#ifndef ENCODE_CSV_H
#define ENCODE_CSV_H

#include <stdbool.h>
#include <stdint.h>

#include "base/blocks.h"
#include "encode/record_text.h"
#include "encode/row.h"
#include "encode/schema.h"

/* The most that the call beside it can append; the caller has reserved it. Neither can fail. */
uint64_t csv_header_bytes_max(const struct schema *s);
void csv_header(const struct schema *s, struct block_chain *out);

/* A cell for each column of the schema, the hidden ones included; `most` is what was reserved. */
uint64_t csv_row_bytes_max(const struct schema *s, const struct cell *cells);
void csv_row(const struct schema *s, const struct cell *cells, uint64_t most,
             struct block_chain *out);

/*
 * The same row of a record, which was checked and has two columns or more. False, and nothing is
 * written: the block at hand may be too small for it, csv_row() has to write it.
 */
uint64_t csv_record_bytes_max(const struct record_text *t, uint32_t len);
bool csv_record(const struct record_text *t, const uint8_t *payload, uint32_t len, uint64_t most,
                struct block_chain *out);

#endif
