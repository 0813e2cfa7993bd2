/*
 * cli_table: output for people.
 *
 * Owns:   see the header.
 * Thread: main.
 */
#include "cli/cli_table.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/invariant.h"
#include "cli/cli_text.h"
#include "encode/json_check.h"

void cli_table_init(struct cli_table *table, const char *format)
{
    memset(table, 0, sizeof(*table));
    table->columns = (unsigned)strlen(format);
    INVARIANT(table->columns >= 1 && table->columns <= CLI_COLUMNS_MAX);
    for (unsigned i = 0; i < table->columns; i++)
        table->right[i] = format[i] == 'r';
}

void cli_table_cell(struct cli_table *table, const char *fmt, ...)
{
    char text[512], clean[512];
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    if (table->count == table->cap) {
        size_t cap = table->cap == 0 ? 64 : table->cap * 2;
        char **cells = reallocarray(table->cells, cap, sizeof(*cells));

        if (cells == NULL) {
            table->failed = true;
            return;
        }
        table->cells = cells;
        table->cap = cap;
    }
    table->cells[table->count] = strdup(cli_printable(text, clean, sizeof(clean)));
    if (table->cells[table->count] == NULL)
        table->failed = true;
    else
        table->count++;
}

void cli_table_print(const struct cli_table *table, bool colour, FILE *out)
{
    int width[CLI_COLUMNS_MAX] = { 0 };

    for (size_t i = 0; i < table->count; i++) {
        int len = (int)strlen(table->cells[i]);

        if (len > width[i % table->columns])
            width[i % table->columns] = len;
    }
    for (size_t i = 0; i < table->count; i++) {
        unsigned column = (unsigned)(i % table->columns);
        bool last = column + 1 == table->columns;

        if (i == 0 && colour)
            fputs(CLI_BOLD, out);
        if (last && !table->right[column]) /* no white space at the end */
            fputs(table->cells[i], out);
        else
            fprintf(out, "%*s", table->right[column] ? width[column] : -width[column],
                    table->cells[i]);
        if (last && i + 1 == table->columns && colour)
            fputs(CLI_PLAIN, out);
        fputs(last ? "\n" : "  ", out);
    }
    if (table->failed)
        fputs("(out of memory: there is more)\n", out);
}

void cli_table_fini(struct cli_table *table)
{
    for (size_t i = 0; i < table->count; i++)
        free(table->cells[i]);
    free(table->cells);
    memset(table, 0, sizeof(*table));
}

char *cli_human_bytes(uint64_t bytes, char text[static CLI_HUMAN_BYTES])
{
    static const char *const units[] = { "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
    double value = (double)bytes;
    int unit = -1;

    while (value >= 1024 && unit < 5) {
        value /= 1024;
        unit++;
    }
    if (unit < 0)
        (void)snprintf(text, CLI_HUMAN_BYTES, "%" PRIu64 " B", bytes);
    else
        (void)snprintf(text, CLI_HUMAN_BYTES, value < 10 ? "%.1f %s" : "%.0f %s", value,
                       units[unit]);
    return text;
}

char *cli_human_time(uint64_t ns, char text[static CLI_HUMAN_BYTES])
{
    uint64_t s = ns / 1000000000U;

    if (ns < 1000000000U)
        (void)snprintf(text, CLI_HUMAN_BYTES, "%" PRIu64 "ms", ns / 1000000U);
    else if (s < 60)
        (void)snprintf(text, CLI_HUMAN_BYTES, "%.1fs", (double)(ns / 1000000U) / 1000);
    else if (s < 3600)
        (void)snprintf(text, CLI_HUMAN_BYTES, "%" PRIu64 "m %" PRIu64 "s", s / 60, s % 60);
    else if (s < 86400)
        (void)snprintf(text, CLI_HUMAN_BYTES, "%" PRIu64 "h %" PRIu64 "m", s / 3600,
                       s / 60 % 60);
    else
        (void)snprintf(text, CLI_HUMAN_BYTES, "%" PRIu64 "d %" PRIu64 "h", s / 86400,
                       s / 3600 % 24);
    return text;
}

char *cli_printable(const char *text, char *ret, size_t cap)
{
    size_t len = strnlen(text, cap - 1);
    const uint8_t *at = (const uint8_t *)text;
    bool utf8 = json_check_utf8(at, len);

    for (size_t i = 0, unsafe = 0; i < len; i++, unsafe -= unsafe > 0) {
        uint32_t code;

        if (unsafe == 0)
            unsafe = utf8 ? cli_text_unsafe(at + i, len - i, &code) : at[i] < 0x20 || at[i] >= 0x7f;
        ret[i] = unsafe > 0 ? '?' : text[i];
    }
    ret[len] = '\0';
    return ret;
}

bool cli_colour(FILE *out)
{
    const char *off = getenv("NO_COLOR");
    const char *term = getenv("TERM");

    return isatty(fileno(out)) == 1 && (off == NULL || off[0] == '\0') &&
           (term == NULL || strcmp(term, "dumb") != 0);
}
