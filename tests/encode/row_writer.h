/*
 * row_writer: a chain that ends anywhere in a block, what was written into it as one run of bytes,
 * CSV read back by the book, and rows made of random or fuzzed bytes. For tests and fuzz targets.
 *
 * Owns:   see each.
 * Units:  bytes.
 */
#ifndef TESTS_ENCODE_ROW_WRITER_H
#define TESTS_ENCODE_ROW_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/blocks.h"
#include "base/bytes.h"
#include "encode/row.h"
#include "encode/schema.h"

/* A chain that already holds `ahead` bytes and has `most` reserved. */
void written_begin(struct block_chain *chain, size_t ahead, uint64_t most);

/* Checks what stands ahead, appends the rest to `out`, ends the chain. Bytes appended. */
size_t written_end(struct block_chain *chain, size_t ahead, struct bytes *out);

/* Header or row, the bound checked; the row is the first column's if header is false. */
size_t csv_written(const struct schema *s, const struct cell *cells, bool header, size_t ahead,
                   struct bytes *out);

/* One field of CSV text, taken apart in place. */
struct csv_field {
    uint8_t *data;
    size_t len;
    bool quoted;
};

/*
 * Takes the record at *at apart; moves *at behind its LF. The number of fields; -1: no CSV by RFC
 * 4180 (with LF), or more than `most` fields.
 */
int csv_record_read(uint8_t **at, uint8_t *end, struct csv_field *fields, int most);

/* What is wrong with this field as the text of this cell; NULL: nothing. */
const char *csv_field_check(const struct csv_field *field, const struct cell *cell,
                            enum column_type type, bool alone);

#endif
