/*
 * json_out_bench: rows of cells to JSON lines, beside the same by printf; and rows whose text must
 * be escaped.
 */
#include "base/invariant.h"
#include "benchmarks/encode/text_rows.h"
#include "encode/json_out.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

static void write_json(void *ctx, struct text_rows *rows, const struct cell *cells)
{
    const struct json_out *json = ctx;
    uint64_t most = json_out_row_bytes_max(json, cells);

    INVARIANT(chain_reserve(&rows->out, most));
    json_out_row(json, cells, most, &rows->out);
}

static void write_printf(void *ctx, struct text_rows *rows, const struct cell *cells)
{
    char row[256];
    int len = snprintf(row, sizeof(row),
                       "{\"ts\":%" PRId64 ",\"user\":\"%.*s\",\"country\":\"%.*s\","
                       "\"amount\":%.17g,\"status\":%" PRId64 ",\"url\":\"%.*s\"}\n",
                       cells[0].u.i, (int)cells[1].len, cells[1].u.s, (int)cells[2].len,
                       cells[2].u.s, cells[3].u.f, cells[4].u.i, (int)cells[5].len, cells[5].u.s);

    (void)ctx;
    INVARIANT(chain_reserve(&rows->out, sizeof(row)));
    chain_append(&rows->out, row, (size_t)len);
}

/* The same with a url that must be escaped. */
static void write_escaped(void *ctx, struct text_rows *rows, const struct cell *cells)
{
    static const char url[] = "https://example.org/items/?name=\"a,b\"&c=d";
    struct cell escaped[TEXT_ROW_COLUMNS];

    for (int i = 0; i < TEXT_ROW_COLUMNS; i++)
        escaped[i] = cells[i];
    escaped[5].u.s = (const uint8_t *)url;
    escaped[5].len = sizeof(url) - 1;
    write_json(ctx, rows, escaped);
}

static int body(struct bench *b, struct errmsg *err)
{
    static const struct bench_plan plan = {.rounds = 5, .seconds = 0.1};
    struct text_rows rows;
    struct json_out json;
    struct text_rows_case ctxs[] = {{&rows, write_json, &json},
                                    {&rows, write_printf, NULL},
                                    {&rows, write_escaped, &json}};
    struct bench_case cases[] = {
        {"json_out", "columns=6", text_rows_metrics, 2, text_rows_run, &ctxs[0]},
        {"printf", "columns=6", text_rows_metrics, 2, text_rows_run, &ctxs[1]},
        {"json_out/escaped", "columns=6", text_rows_metrics, 2, text_rows_run, &ctxs[2]},
    };
    int rc;

    if (text_rows_init(&rows))
        return errmsg_set(err, -ENOMEM, "rows");
    rc = json_out_init(&json, &rows.schema);
    if (rc == 0)
        rc = bench_group(b, &plan, cases, sizeof(cases) / sizeof(cases[0]), err);
    json_out_fini(&json);
    text_rows_fini(&rows);
    return rc;
}

int main(int argc, char **argv)
{
    return bench_main("json_out_bench", argc, argv, body);
}
