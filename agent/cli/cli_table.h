/*
 * cli_table: columns of text for people. Control characters are shown as '?', so that no name can
 * play tricks on a terminal.
 *
 * Owns:   its cells.
 * Thread: main.
 */
#ifndef CLI_CLI_TABLE_H
#define CLI_CLI_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { CLI_COLUMNS_MAX = 12 };

struct cli_table {
    unsigned columns;
    bool right[CLI_COLUMNS_MAX];    /* numbers */
    char **cells;                   /* owned, each owned */
    size_t count, cap;
    bool failed;                    /* out of memory: the table is not whole */
};

/* format: a column each, 'l' or 'r'. Then cells, row by row; the first row is the heading. */
void cli_table_init(struct cli_table *table, const char *format);
void cli_table_cell(struct cli_table *table, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void cli_table_print(const struct cli_table *table, bool colour, FILE *out);
void cli_table_fini(struct cli_table *table);

enum { CLI_HUMAN_BYTES = 32 };

/* "1.5 GiB", "3m 20s", "1.25s": three or so digits that matter. Return text. */
char *cli_human_bytes(uint64_t bytes, char text[static CLI_HUMAN_BYTES]);
char *cli_human_time(uint64_t ns, char text[static CLI_HUMAN_BYTES]);

/* Copies text with what a terminal could obey (cli_text.h) replaced by '?'. Returns ret. */
char *cli_printable(const char *text, char *ret, size_t cap);

/* Is it a terminal that wants colours (NO_COLOR is not set)? */
bool cli_colour(FILE *out);

#define CLI_BOLD   "\033[1m"
#define CLI_RED    "\033[31m"
#define CLI_GREEN  "\033[32m"
#define CLI_YELLOW "\033[33m"
#define CLI_PLAIN  "\033[0m"

#endif
