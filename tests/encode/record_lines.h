/*
 * record_lines: records as lines of CSV and JSON beside the lines of their cells, which say what is
 * right. For tests and fuzz targets.
 *
 * Owns:   nothing.
 */
#ifndef TESTS_ENCODE_RECORD_LINES_H
#define TESTS_ENCODE_RECORD_LINES_H

#include "encode/record.h"

/*
 * The record has passed record_check(), the cells are its own. Its lines with the fields in their
 * order, and in the other one, begin `ahead` bytes into a block. What is wrong; NULL: nothing.
 */
const char *record_lines_check(const struct record_plan *plan, const struct schema *schema,
                               const uint8_t *payload, uint32_t len, const struct cell *cells,
                               size_t ahead);

#endif
