/*
 * cli_fields: one line of named values, for people or as JSON.
 *
 * Owns:   nothing.
 * Thread: main.
 */
#include "cli/cli_fields.h"

#include <inttypes.h>

#include "base/clockfmt.h"
#include "cli/cli_text.h"

/* What stands between two values. */
static void separate(struct cli_fields *f)
{
    if (f->more)
        fputs(f->json ? ", " : " ", f->out);
    f->more = true;
}

static void begin(struct cli_fields *f, const char *name)
{
    separate(f);
    fprintf(f->out, f->json ? "\"%s\": " : "%s=", name);
}

void cli_fields_open(struct cli_fields *f)
{
    if (f->depth > 0)
        separate(f);
    if (f->json || f->depth > 0)
        putc('{', f->out);
    f->depth++;
    f->more = false;
}

void cli_fields_close(struct cli_fields *f)
{
    f->depth--;
    if (f->json || f->depth > 0)
        putc('}', f->out);
    if (f->depth == 0)
        putc('\n', f->out);
    f->more = f->depth > 0;
}

void cli_fields_list(struct cli_fields *f, const char *name)
{
    begin(f, name);
    putc('[', f->out);
    f->depth++;
    f->more = false;
}

void cli_fields_list_end(struct cli_fields *f)
{
    f->depth--;
    putc(']', f->out);
    f->more = true;
}

void cli_fields_u64(struct cli_fields *f, const char *name, uint64_t value)
{
    begin(f, name);
    fprintf(f->out, "%" PRIu64, value);
}

void cli_fields_x(struct cli_fields *f, const char *name, uint64_t value, int digits)
{
    begin(f, name);
    fprintf(f->out, f->json ? "\"%0*" PRIx64 "\"" : "%0*" PRIx64, digits, value);
}

void cli_fields_bool(struct cli_fields *f, const char *name, bool value)
{
    begin(f, name);
    fputs(value ? "true" : "false", f->out);
}

void cli_fields_word(struct cli_fields *f, const char *name, const char *word)
{
    begin(f, name);
    fprintf(f->out, f->json ? "\"%s\"" : "%s", word);
}

void cli_fields_time(struct cli_fields *f, const char *name, uint64_t utc_ns)
{
    char text[CLOCKFMT_ISO_BYTES];

    cli_fields_word(f, name, clockfmt_iso(utc_ns, text));
}

void cli_fields_hex(struct cli_fields *f, const char *name, const uint8_t *data, size_t len)
{
    begin(f, name);
    if (f->json)
        putc('"', f->out);
    for (size_t i = 0; i < len; i++)
        fprintf(f->out, "%02x", data[i]);
    if (f->json)
        putc('"', f->out);
}

void cli_fields_bytes(struct cli_fields *f, const char *name, const void *data, size_t len)
{
    if (f->json) {
        separate(f);
        cli_json_bytes(f->out, name, data, len);
        return;
    }
    begin(f, name);
    cli_text_quoted(f->out, data, len);
}
