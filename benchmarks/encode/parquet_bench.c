/*
 * parquet_bench: rows a second from typed cells to Parquet, by codec, and the bytes a row becomes.
 *
 * The rows are like a web shop's log: a growing time, one of 20,000 users, one of 60 countries, an
 * amount with two decimals, a status, and a URL of 40 bytes that does not come back; users and
 * countries are not equally frequent. They are made before, 1 M of them; each pass over them moves
 * time and URLs on, so that nothing repeats but what would. Output goes into blocks that are given
 * back at once.
 *
 * A run writes one file.
 */
#include "base/invariant.h"
#include "benchmarks/harness.h"
#include "encode/parquet.h"
#include "support/rng.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    ROWS = 1 << 20,
    SPAN = 1 << 16,             /* rows between two looks at the clock */
    COLUMNS = 6,
    USERS = 20000,
    COUNTRIES = 60,
    URL_BYTES = 40,
    USER_BYTES = 11,
    PULL_BYTES = 4 * BLOCK_BYTES,
};

struct row {
    int64_t time_us;
    double amount;
    int32_t status;
    uint8_t country[2];
    uint8_t user[USER_BYTES];
    uint8_t url[URL_BYTES];
};

struct work {
    struct block_pool pool;
    struct block_chain out;
    struct schema schema;
    struct parquet_workspace *space;
    struct row *rows;
};

struct task {
    struct work *work;
    enum codec_type codec;
};

/* 0 to count - 1, small ones more often than large ones. */
static uint32_t skewed(uint64_t *rng, uint32_t count)
{
    double u = (double)(rng_next(rng) >> 11) / (double)(1ULL << 53);

    return (uint32_t)(u * u * count);
}

static void rows_make(struct work *w)
{
    static const int32_t statuses[] = {200, 200, 200, 200, 200, 200, 304, 404, 500, 302};
    static const char hex[] = "0123456789abcdef";
    uint64_t rng = 0x9e3779b97f4a7c15ULL;
    int64_t time_us = 1700000000000000;

    for (int i = 0; i < ROWS; i++) {
        struct row *r = &w->rows[i];
        uint32_t country = skewed(&rng, COUNTRIES), user = skewed(&rng, USERS) * 0x9e3779b9U;
        uint64_t bits = rng_next(&rng);

        time_us += (int64_t)(rng_next(&rng) % 500);
        *r = (struct row){.time_us = time_us, .status = statuses[rng_next(&rng) % 10],
                          .amount = (double)skewed(&rng, 1000000) / 100,
                          .country = {(uint8_t)('A' + country % 26), (uint8_t)('A' + country / 3)}};
        memcpy(r->user, "user-", 5);
        for (size_t at = 5; at < USER_BYTES; at++, user >>= 4)
            r->user[at] = (uint8_t)hex[user & 15];
        memcpy(r->url, "https://shop.example/items/", 27);
        for (size_t at = 27; at < URL_BYTES; at++, bits >>= 4)
            r->url[at] = (uint8_t)hex[bits & 15];
    }
}

static inline void cells_set(struct work *w, uint64_t number, struct cell *cells)
{
    uint64_t pass = number / ROWS;
    struct row *r = &w->rows[number % ROWS];

    r->url[30] = (uint8_t)('g' + pass % 16);
    cells[0].u.i = r->time_us + (int64_t)pass * ROWS * 250;
    cells[1].u.s = r->user;
    cells[2].u.s = r->country;
    cells[3].u.f = r->amount;
    cells[4].u.i = r->status;
    cells[5].u.s = r->url;
}

static void discard(struct work *w, struct parquet *p)
{
    struct block *block;

    while (parquet_ready(p)) {
        INVARIANT(chain_reserve(&w->out, PULL_BYTES));
        INVARIANT(parquet_pull(p, &w->out, PULL_BYTES) > 0);
        while ((block = chain_shift(&w->out, true)) != NULL)
            block_give(&w->pool, block);
    }
}

static int task_run(void *ctx, struct bench_run *run, struct errmsg *err)
{
    struct cell cells[COLUMNS] = {
        {.type = CELL_TIMESTAMP}, {.type = CELL_STRING, .len = USER_BYTES},
        {.type = CELL_STRING, .len = 2}, {.type = CELL_F64}, {.type = CELL_I64},
        {.type = CELL_STRING, .len = URL_BYTES}};
    const struct task *task = ctx;
    const struct bench_clock *clock = &run->bench->clock;
    uint64_t length = bench_seconds_ticks(clock, run->seconds), start, number = 0;
    struct parquet_options options = {.codec = task->codec, .level = CODEC_LEVEL_USUAL,
                                      .row_group_bytes = 32 << 20, .created_by = "hydrant"};
    struct parquet *p;
    int e = parquet_open(&task->work->schema, &options, task->work->space, &p);

    if (e)
        return errmsg_set(err, e, "parquet_open");
    start = bench_ticks(clock);
    do {
        for (uint64_t end = number + SPAN; number < end; number++) {
            cells_set(task->work, number, cells);
            if (parquet_ready(p))
                discard(task->work, p);
            INVARIANT(parquet_row(p, cells) == 0);
        }
    } while (bench_ticks(clock) - start < length);
    parquet_finish(p);
    discard(task->work, p);
    bench_add(run, 0, (double)number / bench_ticks_ns(clock, bench_ticks(clock) - start) * 1e3);
    bench_add(run, 1, (double)parquet_bytes(p) / (double)number);
    parquet_close(p);
    return 0;
}

static int body(struct bench *b, struct errmsg *err)
{
    static const struct bench_metric metrics[] = {{"", "Mrows/s", BENCH_MORE},
                                                  {".size", "bytes/row", BENCH_PLAIN}};
    static const struct bench_plan plan = {.rounds = 5, .seconds = 0.4};
    struct work *w = calloc(1, sizeof(*w));
    struct bench_case cases[CODEC_COUNT];
    struct task tasks[CODEC_COUNT];
    char names[CODEC_COUNT][32];
    int rc;

    INVARIANT(w != NULL);
    w->rows = malloc(ROWS * sizeof(*w->rows));
    w->space = parquet_workspace_open();
    INVARIANT(w->rows != NULL && w->space != NULL);
    INVARIANT(schema_parse("time timestamp, user string, country string, amount f64, status i32, "
                           "url string", &w->schema, err) == 0);
    rows_make(w);
    block_pool_init(&w->pool, 2 * PULL_BYTES);
    chain_init(&w->out, &w->pool);
    for (int i = 0; i < CODEC_COUNT; i++) {
        (void)snprintf(names[i], sizeof(names[i]), "parquet/%s", codec_name((enum codec_type)i));
        tasks[i] = (struct task){w, (enum codec_type)i};
        cases[i] = (struct bench_case){names[i], "", metrics, 2, task_run, &tasks[i]};
    }
    rc = bench_group(b, &plan, cases, CODEC_COUNT, err);
    chain_fini(&w->out);
    block_pool_fini(&w->pool);
    parquet_workspace_close(w->space);
    schema_fini(&w->schema);
    free(w->rows);
    free(w);
    return rc;
}

int main(int argc, char **argv)
{
    return bench_main("parquet_bench", argc, argv, body);
}
