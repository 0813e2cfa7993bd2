/*
 * text_rows: see the header.
 */
#include "benchmarks/encode/text_rows.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { POOL_BYTES = 64 * BLOCK_BYTES, ROW_TEXT_BYTES = 96 };

const struct bench_metric text_rows_metrics[2] = {{"", "rows/s", BENCH_MORE},
                                                  {".rate", "MB/s", BENCH_PLAIN}};

static struct cell string_cell(const char *text)
{
    return (struct cell){
        .u.s = (const uint8_t *)text, .len = (uint32_t)strlen(text), .type = CELL_STRING};
}

static void row_fill(struct cell *cells, char *text, int i)
{
    static const char *const countries[] = {"DE", "US", "FR", "JP", "BR", "IN", "GB", "NL"};
    static const int statuses[] = {200, 200, 200, 304, 404, 500};
    char *user = text, *url = text + 16;

    (void)snprintf(user, 16, "user%ld", random() % 100000);
    (void)snprintf(url, ROW_TEXT_BYTES - 16, "https://example.org/items/%07ld/v%06ld",
                   random() % 10000000, random() % 1000000);
    cells[0] = (struct cell){.type = CELL_I64, .u.i = INT64_C(1795255872345) + i * 7};
    cells[1] = string_cell(user);
    cells[2] = string_cell(countries[random() % 8]);
    cells[3] = (struct cell){.type = CELL_F64, .u.f = (double)(random() % 100000) / 100};
    cells[4] = (struct cell){.type = CELL_I64, .u.i = statuses[random() % 6]};
    cells[5] = string_cell(url);
}

int text_rows_init(struct text_rows *rows)
{
    struct errmsg err;

    memset(rows, 0, sizeof(*rows));
    block_pool_init(&rows->pool, POOL_BYTES);
    chain_init(&rows->out, &rows->pool);
    rows->cells = calloc(TEXT_ROWS, sizeof(*rows->cells));
    rows->text = malloc((size_t)TEXT_ROWS * ROW_TEXT_BYTES);
    if (rows->cells == NULL || rows->text == NULL
        || schema_parse("ts i64, user string, country string, amount f64, status i32, url string",
                        &rows->schema, &err)) {
        text_rows_fini(rows);
        return -ENOMEM;
    }
    srandom(1);
    for (int i = 0; i < TEXT_ROWS; i++)
        row_fill(rows->cells[i], rows->text + (size_t)i * ROW_TEXT_BYTES, i);
    return 0;
}

void text_rows_fini(struct text_rows *rows)
{
    schema_fini(&rows->schema);
    free(rows->cells);
    free(rows->text);
    chain_fini(&rows->out);
    block_pool_fini(&rows->pool);
}

static void drain(struct text_rows *rows)
{
    struct block *b;

    while ((b = chain_shift(&rows->out, true)) != NULL)
        block_give(&rows->pool, b);
}

int text_rows_run(void *ctx, struct bench_run *run, struct errmsg *err)
{
    const struct text_rows_case *c = ctx;
    const struct bench_clock *clock = &run->bench->clock;
    uint64_t length = bench_seconds_ticks(clock, run->seconds), start = bench_ticks(clock), from;

    (void)err;
    do {
        uint64_t before = c->rows->out.total;
        double ns;

        from = bench_ticks(clock);
        for (int i = 0; i < TEXT_ROWS; i++)
            c->write(c->ctx, c->rows, c->rows->cells[i]);
        ns = bench_ticks_ns(clock, bench_ticks(clock) - from);
        bench_add(run, 0, TEXT_ROWS / ns * 1e9);
        bench_add(run, 1, (double)(c->rows->out.total - before) / ns * 1e3);
        drain(c->rows);
    } while (from - start < length);
    return 0;
}
