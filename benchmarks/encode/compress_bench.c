/*
 * compress_bench: whole files of JSON lines compressed, by type and level: speed, what is left of
 * the bytes, and the memory that a compressor holds.
 */
#include "base/invariant.h"
#include "benchmarks/encode/text_rows.h"
#include "encode/compress.h"
#include "encode/json_out.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { INPUT_BYTES = 2 * 1000 * 1000, PIECE_BYTES = 16 * 1024 };

struct work {
    const uint8_t *input;
    size_t len;
    struct compressor *compressor;
    struct block_pool pool;
    struct block_chain out;
};

static uint64_t drain(struct work *w)
{
    uint64_t bytes = 0;
    struct block *b;

    while ((b = chain_shift(&w->out, true)) != NULL) {
        bytes += b->len;
        block_give(&w->pool, b);
    }
    return bytes;
}

static int file_run(void *ctx, struct bench_run *run, struct errmsg *err)
{
    struct work *w = ctx;
    const struct bench_clock *clock = &run->bench->clock;
    uint64_t length = bench_seconds_ticks(clock, run->seconds), start = bench_ticks(clock), from;
    struct compressor *c = w->compressor;
    double ns;

    (void)err;
    do {
        from = bench_ticks(clock);
        for (size_t at = 0; at < w->len; at += PIECE_BYTES) {
            size_t piece = w->len - at < PIECE_BYTES ? w->len - at : PIECE_BYTES;

            INVARIANT(chain_reserve(&w->out, compressor_run_bytes_max(c, piece)));
            INVARIANT(compressor_run(c, w->input + at, piece, &w->out) == 0);
        }
        INVARIANT(chain_reserve(&w->out, compressor_finish_bytes_max(c)));
        INVARIANT(compressor_finish(c, &w->out) == 0);
        ns = bench_ticks_ns(clock, bench_ticks(clock) - from);
        bench_add(run, 0, (double)w->len / ns * 1e3);
        bench_add(run, 1, (double)drain(w) / (double)w->len * 100);
        bench_add(run, 2, (double)compressor_memory(c) / 1024);
    } while (bench_ticks(clock) - start < length);
    return 0;
}

static int level_run(struct bench *b, struct work *w, enum compress_type type, int level,
                     struct errmsg *err)
{
    static const struct bench_metric metrics[] = {{"", "MB/s", BENCH_PLAIN},
                                                  {".size", "percent", BENCH_PLAIN},
                                                  {".memory", "KiB", BENCH_PLAIN}};
    static const struct bench_plan plan = {.rounds = 3, .seconds = 0.05};
    char params[32];
    struct bench_case c = {compress_info(type)->name, params, metrics, 3, file_run, w};
    int rc;

    (void)snprintf(params, sizeof(params), "level=%d", level);
    if (compressor_open(type, level, &w->compressor))
        return errmsg_set(err, -ENOMEM, "compressor");
    rc = bench_group(b, &plan, &c, 1, err);
    compressor_close(w->compressor);
    return rc;
}

/* JSON lines of the usual rows. */
static int input_make(uint8_t *input, size_t *ret_len)
{
    struct text_rows rows;
    struct json_out json;
    struct block *b;
    size_t len = 0;
    int rc = text_rows_init(&rows);

    if (rc != 0)
        return rc;
    rc = json_out_init(&json, &rows.schema);
    for (int i = 0; rc == 0 && i < TEXT_ROWS && rows.out.total < INPUT_BYTES - 1024; i++) {
        uint64_t most = json_out_row_bytes_max(&json, rows.cells[i]);

        INVARIANT(chain_reserve(&rows.out, most));
        json_out_row(&json, rows.cells[i], most, &rows.out);
    }
    for (; (b = chain_shift(&rows.out, true)) != NULL; block_give(&rows.pool, b)) {
        memcpy(input + len, b->data, b->len);
        len += b->len;
    }
    json_out_fini(&json);
    text_rows_fini(&rows);
    *ret_len = len;
    return rc;
}

static int body(struct bench *b, struct errmsg *err)
{
    static const struct {
        enum compress_type type;
        int level;
    } levels[] = {
        {COMPRESS_GZIP, 0}, {COMPRESS_GZIP, 1}, {COMPRESS_GZIP, 2}, {COMPRESS_GZIP, 3},
        {COMPRESS_GZIP, 4}, {COMPRESS_GZIP, 6}, {COMPRESS_GZIP, 9}, {COMPRESS_ZSTD, 1},
        {COMPRESS_ZSTD, 3}, {COMPRESS_ZSTD, 9}, {COMPRESS_ZSTD, 19}, {COMPRESS_SNAPPY, 0},
        {COMPRESS_LZ4, 0},  {COMPRESS_LZ4, 9},
    };
    uint8_t *input = malloc(INPUT_BYTES);
    struct work w = {.input = input};
    int rc = input != NULL ? input_make(input, &w.len) : -ENOMEM;

    if (rc != 0) {
        free(input);
        return errmsg_set(err, rc, "input");
    }
    block_pool_init(&w.pool, 64 * BLOCK_BYTES);
    chain_init(&w.out, &w.pool);
    for (size_t i = 0; rc == 0 && i < sizeof(levels) / sizeof(levels[0]); i++)
        rc = level_run(b, &w, levels[i].type, levels[i].level, err);
    chain_fini(&w.out);
    block_pool_fini(&w.pool);
    free(input);
    return rc;
}

int main(int argc, char **argv)
{
    return bench_main("compress_bench", argc, argv, body);
}
