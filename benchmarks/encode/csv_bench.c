/*
 * csv_bench: rows of cells to CSV, beside the same by printf; and rows whose text must be quoted.
 */
#include "base/invariant.h"
#include "benchmarks/encode/text_rows.h"
#include "encode/csv.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

static void write_csv(void *ctx, struct text_rows *rows, const struct cell *cells)
{
    uint64_t most = csv_row_bytes_max(&rows->schema, cells);

    (void)ctx;
    INVARIANT(chain_reserve(&rows->out, most));
    csv_row(&rows->schema, cells, most, &rows->out);
}

static void write_printf(void *ctx, struct text_rows *rows, const struct cell *cells)
{
    char row[256];
    int len = snprintf(row, sizeof(row), "%" PRId64 ",%.*s,%.*s,%.17g,%" PRId64 ",%.*s\n",
                       cells[0].u.i, (int)cells[1].len, cells[1].u.s, (int)cells[2].len,
                       cells[2].u.s, cells[3].u.f, cells[4].u.i, (int)cells[5].len, cells[5].u.s);

    (void)ctx;
    INVARIANT(chain_reserve(&rows->out, sizeof(row)));
    chain_append(&rows->out, row, (size_t)len);
}

/* The same with a url that must be quoted. */
static void write_quoted(void *ctx, struct text_rows *rows, const struct cell *cells)
{
    static const char url[] = "https://example.org/items/?name=\"a,b\"&c=d";
    struct cell quoted[TEXT_ROW_COLUMNS];

    for (int i = 0; i < TEXT_ROW_COLUMNS; i++)
        quoted[i] = cells[i];
    quoted[5].u.s = (const uint8_t *)url;
    quoted[5].len = sizeof(url) - 1;
    write_csv(ctx, rows, quoted);
}

/* An amount of 17 digits. */
static void write_long(void *ctx, struct text_rows *rows, const struct cell *cells)
{
    struct cell longer[TEXT_ROW_COLUMNS];

    for (int i = 0; i < TEXT_ROW_COLUMNS; i++)
        longer[i] = cells[i];
    longer[3].u.f = cells[3].u.f / 3;
    write_csv(ctx, rows, longer);
}

static int body(struct bench *b, struct errmsg *err)
{
    static const struct bench_plan plan = {.rounds = 5, .seconds = 0.1};
    struct text_rows rows;
    struct text_rows_case ctxs[] = {{&rows, write_csv, NULL},
                                    {&rows, write_printf, NULL},
                                    {&rows, write_quoted, NULL},
                                    {&rows, write_long, NULL}};
    struct bench_case cases[] = {
        {"csv", "columns=6", text_rows_metrics, 2, text_rows_run, &ctxs[0]},
        {"printf", "columns=6", text_rows_metrics, 2, text_rows_run, &ctxs[1]},
        {"csv/quoted", "columns=6", text_rows_metrics, 2, text_rows_run, &ctxs[2]},
        {"csv/digits", "columns=6 digits=17", text_rows_metrics, 2, text_rows_run, &ctxs[3]},
    };
    int rc;

    if (text_rows_init(&rows))
        return errmsg_set(err, -ENOMEM, "rows");
    rc = bench_group(b, &plan, cases, sizeof(cases) / sizeof(cases[0]), err);
    text_rows_fini(&rows);
    return rc;
}

int main(int argc, char **argv)
{
    return bench_main("csv_bench", argc, argv, body);
}
