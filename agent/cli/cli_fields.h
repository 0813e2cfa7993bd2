/*
 * cli_fields: one line of named values, as `name=value` for people or as members of a JSON object.
 *
 *     struct cli_fields f = { .out = stdout, .json = json };
 *     cli_fields_open(&f);
 *     cli_fields_u64(&f, "lsn", lsn);
 *     cli_fields_close(&f);           the line ends where the outermost is closed
 *
 * Names are ours, values may be a stranger's.
 *
 * Owns:   nothing; borrows the output.
 * Thread: main.
 */
#ifndef CLI_CLI_FIELDS_H
#define CLI_CLI_FIELDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct cli_fields {
    FILE *out;          /* borrowed */
    bool json;
    bool more;          /* a value stands before the next one at this depth */
    unsigned depth;
};

void cli_fields_open(struct cli_fields *f);     /* an object: the line itself, or one of a list */
void cli_fields_close(struct cli_fields *f);
void cli_fields_list(struct cli_fields *f, const char *name);
void cli_fields_list_end(struct cli_fields *f);

void cli_fields_u64(struct cli_fields *f, const char *name, uint64_t value);
/* As so many hex digits. */
void cli_fields_x(struct cli_fields *f, const char *name, uint64_t value, int digits);
void cli_fields_bool(struct cli_fields *f, const char *name, bool value);
void cli_fields_time(struct cli_fields *f, const char *name, uint64_t utc_ns);
void cli_fields_word(struct cli_fields *f, const char *name, const char *word); /* ours */
void cli_fields_hex(struct cli_fields *f, const char *name, const uint8_t *data, size_t len);
void cli_fields_bytes(struct cli_fields *f, const char *name, const void *data, size_t len);

#endif
