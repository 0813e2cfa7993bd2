/*
 * parquet: what a writer takes and refuses, how it gives its bytes, and what memory it holds. That
 * others read the files is tests/e2e/test_parquet.py.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/bytes.h"
#include "encode/parquet.h"

enum { GROUP_BYTES = 1 << 20, STEP = 1 << 20, COLUMNS = 5 };

struct file {
    struct parquet_workspace *space;
    struct schema schema;
    struct parquet *p;
    struct block_pool pool;
    struct block_chain chain;
    struct bytes bytes;         /* what came out */
    uint64_t step;              /* of a pull */
    uint64_t pulls;
};

static void file_open(struct file *f, const char *columns, uint32_t hidden, enum codec_type codec)
{
    struct parquet_options options = {.codec = codec, .level = CODEC_LEVEL_USUAL,
                                      .row_group_bytes = GROUP_BYTES, .created_by = "test"};
    struct errmsg err;

    *f = (struct file){.space = parquet_workspace_open(), .step = STEP};
    assert_non_null(f->space);
    assert_int_equal(schema_parse(columns, &f->schema, &err), 0);
    f->schema.hidden = hidden;
    assert_int_equal(parquet_open(&f->schema, &options, f->space, &f->p), 0);
    block_pool_init(&f->pool, 2 * STEP);
    chain_init(&f->chain, &f->pool);
}

static void file_pull(struct file *f)
{
    struct block *b;

    while (parquet_ready(f->p)) {
        int64_t n;

        assert_true(chain_reserve(&f->chain, f->step));
        n = parquet_pull(f->p, &f->chain, f->step);
        assert_true(n > 0 && (uint64_t)n <= f->step);
        f->pulls++;
        while ((b = chain_shift(&f->chain, true)) != NULL) {
            assert_int_equal(bytes_append(&f->bytes, b->data, b->len), 0);
            block_give(&f->pool, b);
        }
    }
    assert_int_equal(parquet_pull(f->p, &f->chain, f->step), 0);
    assert_int_equal(f->bytes.len, parquet_bytes(f->p));
}

static void file_close(struct file *f)
{
    parquet_close(f->p);
    parquet_workspace_close(f->space);
    schema_fini(&f->schema);
    chain_fini(&f->chain);
    block_pool_fini(&f->pool);
    bytes_free(&f->bytes);
}

static const char columns[] = "t timestamp, name string, n i32, v f64, ok bool";

struct texts {
    char name[32];
};

static void row_make(uint64_t row, struct cell cells[COLUMNS], struct texts *texts)
{
    uint64_t r = row * 0x9e3779b97f4a7c15ULL >> 20;

    memset(cells, 0, COLUMNS * sizeof(*cells));
    cells[0] = (struct cell){.u.i = (int64_t)row * 1000, .type = CELL_TIMESTAMP};
    cells[1].len = (uint32_t)snprintf(texts->name, sizeof(texts->name), "name %d", (int)(r % 500));
    cells[1].u.s = (const uint8_t *)texts->name;
    cells[1].type = CELL_STRING;
    if (row % 3 != 0)
        cells[2] = (struct cell){.u.i = (int32_t)(r % 50), .type = CELL_I64};
    cells[3] = (struct cell){.u.f = (double)r, .type = CELL_F64};
    if (row % 2 != 0)
        cells[4] = (struct cell){.u.i = r & 1, .type = CELL_BOOL};
}

static void rows_write(struct file *f, uint64_t from, uint64_t to)
{
    for (uint64_t row = from; row < to; row++) {
        struct cell cells[COLUMNS];
        struct texts texts;

        row_make(row, cells, &texts);
        if (parquet_ready(f->p)) {
            assert_int_equal(parquet_row(f->p, cells), -EAGAIN);
            file_pull(f);
        }
        assert_int_equal(parquet_row(f->p, cells), 0);
    }
}

static void file_finish(struct file *f)
{
    parquet_finish(f->p);
    file_pull(f);
}

static void expect_frame(const struct file *f)
{
    const uint8_t *end = f->bytes.data + f->bytes.len;

    assert_true(f->bytes.len > 12);
    assert_memory_equal(f->bytes.data, "PAR1", 4);
    assert_memory_equal(end - 4, "PAR1", 4);
    assert_true(bytes_get_u32(end - 8) <= f->bytes.len - 12);
}

static void frames_a_file_of_no_rows(void **state)
{
    struct file f;

    (void)state;
    file_open(&f, columns, 0, CODEC_SNAPPY);
    assert_false(parquet_ready(f.p));
    assert_int_equal(parquet_pull(f.p, &f.chain, STEP), 0);
    parquet_group_end(f.p);
    assert_false(parquet_ready(f.p));
    file_finish(&f);
    expect_frame(&f);
    assert_int_equal(parquet_rows_taken(f.p), 0);
    /* Nothing but magic and footer. */
    assert_int_equal(bytes_get_u32(f.bytes.data + f.bytes.len - 8), f.bytes.len - 12);
    file_close(&f);
}

static void gives_the_same_bytes_in_steps_of_any_size(void **state)
{
    static const uint64_t steps[] = {1, 7, 1000, 65536};
    struct file whole, f;

    (void)state;
    file_open(&whole, columns, 0, CODEC_ZSTD);
    rows_write(&whole, 0, 4000);
    file_finish(&whole);
    expect_frame(&whole);
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        file_open(&f, columns, 0, CODEC_ZSTD);
        f.step = steps[i];
        rows_write(&f, 0, 4000);
        file_finish(&f);
        assert_int_equal(f.bytes.len, whole.bytes.len);
        assert_memory_equal(f.bytes.data, whole.bytes.data, f.bytes.len);
        assert_true(f.pulls >= f.bytes.len / f.step);
        file_close(&f);
    }
    file_close(&whole);
}

static void skips_hidden_columns(void **state)
{
    struct file plain, f;

    (void)state;
    file_open(&plain, columns, 0, CODEC_NONE);
    file_open(&f, "city string, country string, t timestamp, name string, n i32, v f64, ok bool",
              2, CODEC_NONE);
    for (uint64_t row = 0; row < 3000; row++) {
        struct cell cells[COLUMNS + 2];
        struct texts texts;

        memset(cells, 0xff, sizeof(cells));
        row_make(row, cells + 2, &texts);
        assert_int_equal(parquet_row(f.p, cells), 0);
    }
    rows_write(&plain, 0, 3000);
    file_finish(&f);
    file_finish(&plain);
    assert_int_equal(f.bytes.len, plain.bytes.len);
    assert_memory_equal(f.bytes.data, plain.bytes.data, f.bytes.len);
    file_close(&f);
    file_close(&plain);
}

static void does_not_open_without_a_column(void **state)
{
    struct parquet_options options = {.codec = CODEC_NONE, .level = CODEC_LEVEL_USUAL,
                                      .row_group_bytes = GROUP_BYTES, .created_by = "test"};
    struct parquet_workspace *space = parquet_workspace_open();
    struct parquet *p = (struct parquet *)space;
    struct schema schema;
    struct errmsg err;

    (void)state;
    assert_int_equal(schema_parse("city string", &schema, &err), 0);
    schema.hidden = 1;
    assert_int_equal(parquet_open(&schema, &options, space, &p), -EINVAL);
    assert_null(p);
    parquet_close(NULL);
    parquet_workspace_close(space);
    parquet_workspace_close(NULL);
    schema_fini(&schema);
}

/* Each bad row between two good ones leaves no trace. */
static void refuses_rows_without_a_trace(void **state)
{
    static const struct {
        struct cell cell;
        uint32_t column;
        int error;
    } bad[] = {
        {{.u.i = 1, .type = CELL_I64}, 0, -EINVAL},
        {{.u.i = 1, .type = CELL_I64}, 1, -EINVAL},
        {{.u.s = (const uint8_t *)"x", .len = 1, .type = CELL_BYTES}, 1, -EINVAL},
        {{.u.s = (const uint8_t *)"x", .len = PARQUET_VALUE_BYTES_MAX + 1, .type = CELL_STRING}, 1,
         -EMSGSIZE},
        {{.u.i = (int64_t)INT32_MAX + 1, .type = CELL_I64}, 2, -ERANGE},
        {{.u.i = (int64_t)INT32_MIN - 1, .type = CELL_I64}, 2, -ERANGE},
        {{.u.u = 1, .type = CELL_U64}, 2, -EINVAL},
        {{.u.i = 1, .type = CELL_I64}, 3, -EINVAL},
        {{.u.i = 1, .type = CELL_I64}, 4, -EINVAL},
        {{.u.s = (const uint8_t *)"1", .len = 1, .type = CELL_NUMBER}, 3, -EINVAL},
    };
    struct file good, f;

    (void)state;
    file_open(&good, columns, 0, CODEC_NONE);
    file_open(&f, columns, 0, CODEC_NONE);
    for (uint64_t row = 0; row < 200; row++) {
        size_t which = row % (sizeof(bad) / sizeof(bad[0]));
        struct cell cells[COLUMNS];
        struct texts texts;

        rows_write(&good, row, row + 1);
        rows_write(&f, row, row + 1);
        row_make(row, cells, &texts);
        cells[bad[which].column] = bad[which].cell;
        assert_int_equal(parquet_row(f.p, cells), bad[which].error);
        assert_int_equal(parquet_rows_taken(f.p), row + 1);
    }
    file_finish(&good);
    file_finish(&f);
    assert_int_equal(f.bytes.len, good.bytes.len);
    assert_memory_equal(f.bytes.data, good.bytes.data, f.bytes.len);
    file_close(&good);
    file_close(&f);
}

static void takes_text_of_json_as_strings(void **state)
{
    static const uint32_t types[] = {CELL_STRING, CELL_JSON, CELL_NUMBER, CELL_NULL};
    struct file f;

    (void)state;
    file_open(&f, "s string", 0, CODEC_NONE);
    for (size_t i = 0; i < 4; i++) {
        struct cell cell = {.u.s = (const uint8_t *)"1e5", .len = 3, .type = types[i]};

        assert_int_equal(parquet_row(f.p, &cell), 0);
    }
    file_finish(&f);
    expect_frame(&f);
    file_close(&f);
}

static void takes_no_row_after_the_end(void **state)
{
    struct cell cells[COLUMNS];
    struct texts texts;
    struct file f;

    (void)state;
    file_open(&f, columns, 0, CODEC_NONE);
    rows_write(&f, 0, 10);
    row_make(10, cells, &texts);
    parquet_finish(f.p);
    assert_int_equal(parquet_row(f.p, cells), -EAGAIN);
    file_pull(&f);
    assert_int_equal(parquet_row(f.p, cells), -EAGAIN);
    parquet_finish(f.p);
    parquet_group_end(f.p);
    assert_false(parquet_ready(f.p));
    assert_int_equal(parquet_rows_taken(f.p), 10);
    file_close(&f);
}

static void finishes_while_a_group_waits(void **state)
{
    struct file one, f;

    (void)state;
    file_open(&one, columns, 0, CODEC_GZIP);
    file_open(&f, columns, 0, CODEC_GZIP);
    rows_write(&one, 0, 100);
    rows_write(&f, 0, 100);
    parquet_group_end(f.p);
    assert_true(parquet_ready(f.p));
    parquet_finish(f.p);
    file_pull(&f);
    file_finish(&one);
    assert_int_equal(f.bytes.len, one.bytes.len);
    assert_memory_equal(f.bytes.data, one.bytes.data, f.bytes.len);
    file_close(&f);
    file_close(&one);
}

static void may_be_closed_at_any_time(void **state)
{
    struct file f;

    (void)state;
    for (uint64_t rows = 0; rows < 30000; rows = rows * 2 + 1) {
        file_open(&f, columns, 0, CODEC_SNAPPY);
        rows_write(&f, 0, rows);
        file_close(&f);

        file_open(&f, columns, 0, CODEC_SNAPPY);
        rows_write(&f, 0, rows);
        parquet_finish(f.p);
        assert_true(chain_reserve(&f.chain, 10));
        assert_true(parquet_pull(f.p, &f.chain, 10) > 0);
        file_close(&f);
    }
}

/* Groups of 1 MiB: neither their number nor the rows change what is held, but for the footer. */
static void holds_a_bounded_amount_of_memory(void **state)
{
    uint64_t most_early = 0, most_late = 0, groups = 0, after = 0;
    struct file f;

    (void)state;
    file_open(&f, columns, 0, CODEC_NONE);
    for (uint64_t row = 0; row < 1000000; row += 1000) {
        uint64_t *most = row < 200000 ? &most_early : &most_late, memory;
        size_t before = f.bytes.len;

        rows_write(&f, row, row + 1000);
        memory = parquet_memory(f.p);
        *most = memory > *most ? memory : *most;
        groups += f.bytes.len > before;
        after = memory < after || after == 0 ? memory : after;
    }
    assert_true(groups > 7);
    assert_true(most_early < 6 * GROUP_BYTES);
    assert_true(most_late < most_early + groups * 4096);
    file_finish(&f);
    assert_true(parquet_memory(f.p) < 64 << 10);
    assert_true(parquet_workspace_memory(f.space) < 24 << 20);
    expect_frame(&f);
    file_close(&f);
}

static void ends_a_group_when_it_is_asked_to(void **state)
{
    uint64_t before;
    struct file f;

    (void)state;
    file_open(&f, "n u64", 0, CODEC_NONE);
    for (uint64_t row = 0; row < 50000; row++) {
        struct cell cell = {.u.u = row * row * 0x9e3779b97f4a7c15ULL, .type = CELL_U64};

        assert_int_equal(parquet_row(f.p, &cell), 0);
    }
    before = parquet_memory(f.p);
    assert_int_equal(parquet_bytes(f.p), 0);
    parquet_group_end(f.p);
    file_pull(&f);
    assert_true(parquet_bytes(f.p) >= 50000 * sizeof(uint64_t));
    assert_true(parquet_memory(f.p) <= before);
    assert_int_equal(parquet_rows_taken(f.p), 50000);
    file_finish(&f);
    expect_frame(&f);
    file_close(&f);
}

static void ends_groups_of_few_bytes_by_rows(void **state)
{
    uint64_t first = 0;
    struct file f;

    (void)state;
    file_open(&f, "ok bool", 0, CODEC_NONE);
    for (uint64_t row = 0; row < 1100000; row++) {
        struct cell cell = {.u.i = 1, .type = CELL_BOOL};

        if (parquet_ready(f.p)) {
            first = first == 0 ? row : first;
            file_pull(&f);
        }
        assert_int_equal(parquet_row(f.p, &cell), 0);
    }
    assert_int_equal(first, 1 << 20);
    file_finish(&f);
    expect_frame(&f);
    file_close(&f);
}

/* --- without memory ------------------------------------------------------------------------- */

#ifndef __SANITIZE_ADDRESS__ /* its run time needs an address space without limits */

/* In a child whose address space may grow by `extra` bytes only. True: it ran out of memory. */
static bool starved(uint64_t extra)
{
    struct rlimit limit;
    unsigned long pages = 0;
    FILE *statm;
    struct file f;
    int64_t e = 0;

    file_open(&f, columns, 0, CODEC_ZSTD);
    assert_true(chain_reserve(&f.chain, 1000));
    statm = fopen("/proc/self/statm", "r");
    assert_non_null(statm);
    assert_int_equal(fscanf(statm, "%lu", &pages), 1);
    (void)fclose(statm);
    limit.rlim_cur = limit.rlim_max = pages * (uint64_t)sysconf(_SC_PAGESIZE) + extra;
    assert_int_equal(setrlimit(RLIMIT_AS, &limit), 0);
    for (uint64_t row = 0; row < 100000 && e >= 0; row++) {
        struct cell cells[COLUMNS];
        struct texts texts;
        struct block *b;

        row_make(row, cells, &texts);
        e = parquet_row(f.p, cells);
        while (e >= 0 && parquet_ready(f.p)) {
            assert_true(chain_reserve(&f.chain, 1000));
            e = parquet_pull(f.p, &f.chain, 1000);
            while ((b = chain_shift(&f.chain, true)) != NULL)
                block_give(&f.pool, b);
        }
        assert_true(e >= 0 || e == -ENOMEM);
        if (e < 0)
            assert_int_equal(parquet_row(f.p, cells), -ENOMEM);
    }
    file_close(&f);
    return e < 0;
}

static void says_that_it_ran_out_of_memory(void **state)
{
    int out = 0;

    (void)state;
    for (uint64_t extra = 0; extra < 16 << 20; extra += 256 << 10) {
        int status;
        pid_t child = fork();

        assert_true(child >= 0);
        if (child == 0)
            _exit(starved(extra) ? 1 : 0);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status));
        assert_true(WEXITSTATUS(status) <= 1);
        out += WEXITSTATUS(status);
    }
    assert_true(out > 5 && out < 64);
}

#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
#ifndef __SANITIZE_ADDRESS__
        cmocka_unit_test(says_that_it_ran_out_of_memory),   /* first: with a heap that is new */
#endif
        cmocka_unit_test(frames_a_file_of_no_rows),
        cmocka_unit_test(gives_the_same_bytes_in_steps_of_any_size),
        cmocka_unit_test(skips_hidden_columns),
        cmocka_unit_test(does_not_open_without_a_column),
        cmocka_unit_test(refuses_rows_without_a_trace),
        cmocka_unit_test(takes_text_of_json_as_strings),
        cmocka_unit_test(takes_no_row_after_the_end),
        cmocka_unit_test(finishes_while_a_group_waits),
        cmocka_unit_test(may_be_closed_at_any_time),
        cmocka_unit_test(holds_a_bounded_amount_of_memory),
        cmocka_unit_test(ends_a_group_when_it_is_asked_to),
        cmocka_unit_test(ends_groups_of_few_bytes_by_rows),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
