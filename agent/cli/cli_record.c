/*
 * cli_record: schemas and typed records for people.
 *
 * Owns:   as in the header.
 * Thread: main.
 */
#include "cli/cli_record.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clockfmt.h"
#include "cli/cli_text.h"

struct cli_schema *cli_schema_open(const void *body, uint32_t len)
{
    struct cli_schema *s = calloc(1, sizeof(*s));

    if (s == NULL)
        return NULL;
    if (record_schema_read(body, len, &s->columns) == 0 &&
        record_plan_init(&s->plan, body, len) == 0)
        s->cells = calloc(s->plan.count, sizeof(*s->cells));
    if (s->cells != NULL)
        return s;
    cli_schema_close(s);
    return NULL;
}

void cli_schema_close(struct cli_schema *s)
{
    if (s == NULL)
        return;
    schema_fini(&s->columns);
    record_plan_fini(&s->plan);
    free(s->cells);
    free(s);
}

void cli_schema_print(FILE *out, const struct cli_schema *s)
{
    for (uint32_t i = 0; i < s->columns.count; i++) {
        const struct column *c = &s->columns.columns[i];
        const char *comma = i > 0 ? ", " : "";

        fputs(comma, out);
        if (strspn(c->name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") ==
            c->name_len)
            fputs(c->name, out);
        else
            cli_text_quoted(out, c->name, c->name_len);
        fprintf(out, " %s%s", column_type_name((enum column_type)c->type),
                s->plan.steps[i].nullable ? " null" : "");
    }
}

/* With as many digits as give the same number back. */
static void number_print(FILE *out, double value, bool single)
{
    char text[40];
    int digits = single ? 6 : 15;

    if (!isfinite(value)) {
        fputs("null", out);
        return;
    }
    do
        (void)snprintf(text, sizeof(text), "%.*g", digits, value);
    while (digits++ < 17 && (single ? (double)strtof(text, NULL) : strtod(text, NULL)) != value);
    fputs(text, out);
}

/* UTC text to the microsecond; what is before 1970 or far away stays a number. */
static void time_print(FILE *out, int64_t us)
{
    char text[CLOCKFMT_ISO_BYTES];

    if (us < 0 || us > INT64_MAX / 1000) {
        fprintf(out, "%" PRId64, us);
        return;
    }
    (void)clockfmt_iso((uint64_t)us * 1000, text);
    fprintf(out, "\"%.*s%03dZ\"", (int)strlen(text) - 1, text, (int)(us % 1000));
}

static void cell_print(FILE *out, const struct cell *cell, uint8_t type)
{
    switch (cell->type) {
    case CELL_BOOL:
        fputs(cell->u.i != 0 ? "true" : "false", out);
        break;
    case CELL_I64:
        fprintf(out, "%" PRId64, cell->u.i);
        break;
    case CELL_U64:
        fprintf(out, "%" PRIu64, cell->u.u);
        break;
    case CELL_F64:
        number_print(out, cell->u.f, type == COLUMN_F32);
        break;
    case CELL_TIMESTAMP:
        time_print(out, cell->u.i);
        break;
    case CELL_STRING:
        cli_json_string(out, cell->u.s, cell->len);
        break;
    case CELL_BYTES:
        cli_json_base64(out, cell->u.s, cell->len);
        break;
    default:
        fputs("null", out);
        break;
    }
}

void cli_record_print(FILE *out, struct cli_schema *s, const uint8_t *payload, uint32_t len)
{
    struct record_fault fault;
    struct errmsg err;

    if (record_cells(&s->plan, payload, len, s->cells, &fault) != 0) {
        (void)record_fault_tell(&fault, &s->columns, &err);
        fputs("\"error\": ", out);
        cli_json_string(out, err.text, strlen(err.text));
        fputs(", \"payload_base64\": ", out);
        cli_json_base64(out, payload, len);
        return;
    }
    fputs("\"payload\": {", out);
    for (uint32_t i = 0; i < s->plan.count; i++) {
        const struct column *c = &s->columns.columns[i];

        if (i > 0)
            fputs(", ", out);
        cli_json_string(out, c->name, c->name_len);
        fputs(": ", out);
        cell_print(out, &s->cells[i], c->type);
    }
    putc('}', out);
}
