/*
 * text_rows: rows as an access log or a shop has them, none like another, and the loop that writes
 * them. For the benchmarks of writers.
 *
 * Owns:   struct text_rows owns its rows.
 * Units:  a row of (ts i64, user string, country string, amount f64, status i32, url string).
 */
#ifndef BENCHMARKS_ENCODE_TEXT_ROWS_H
#define BENCHMARKS_ENCODE_TEXT_ROWS_H

#include <stdint.h>

#include "base/blocks.h"
#include "benchmarks/harness.h"
#include "encode/row.h"
#include "encode/schema.h"

enum { TEXT_ROWS = 16384, TEXT_ROW_COLUMNS = 6 };

struct text_rows {
    struct schema schema;
    struct cell (*cells)[TEXT_ROW_COLUMNS];     /* TEXT_ROWS of them */
    char *text;
    struct block_pool pool;
    struct block_chain out;
};

int text_rows_init(struct text_rows *rows);
void text_rows_fini(struct text_rows *rows);

/* Writes one row; the chain is emptied now and then. */
typedef void (*text_row_fn)(void *ctx, struct text_rows *rows, const struct cell *cells);

struct text_rows_case {
    struct text_rows *rows;
    text_row_fn write;
    void *ctx;
};

/* Metrics of a case: rows/s, MB/s. `ctx` is a struct text_rows_case. */
extern const struct bench_metric text_rows_metrics[2];
int text_rows_run(void *ctx, struct bench_run *run, struct errmsg *err);

#endif
