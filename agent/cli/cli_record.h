/*
 * cli_record: schemas and typed records for people: `id i64, note string null`, and an object of
 * the fields' values.
 *
 * Owns:   a cli_schema owns all it has.
 * Thread: main.
 */
#ifndef CLI_CLI_RECORD_H
#define CLI_CLI_RECORD_H

#include <stdint.h>
#include <stdio.h>

#include "encode/record.h"

struct cli_schema {
    struct schema columns;
    struct record_plan plan;
    struct cell *cells;         /* owned; of the record that is printed */
};

/* Of the body of a definition that has been checked. NULL: out of memory. */
struct cli_schema *cli_schema_open(const void *body, uint32_t len);
void cli_schema_close(struct cli_schema *s);    /* NULL is fine */

void cli_schema_print(FILE *out, const struct cli_schema *s);

/*
 * `"payload": {...}`: bytes in base64, times as UTC text, numbers that JSON does not have as null.
 * Of a malformed record `"error": "...", "payload_base64": "..."`.
 */
void cli_record_print(FILE *out, struct cli_schema *s, const uint8_t *payload, uint32_t len);

#endif
