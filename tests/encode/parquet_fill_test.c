/*
 * parquet_fill: records give the very file that their cells give.
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

#include "base/bytes.h"
#include "encode/parquet.h"
#include "libshm-client/schema_body.h"
#include "support/rng.h"

enum { STEP = 1 << 20, STRING_MAX = 100000, TYPES = 9 };

struct form {
    struct schema_body body;
    struct schema schema;
    struct record_plan plan;
};

static uint64_t rng = RNG_SEED;

/* A field of each type that must have a value, and one that need not. */
static void form_make(struct form *f, bool nullable)
{
    schema_body_init(&f->body);
    for (uint8_t type = 1; type <= TYPES; type++) {
        char name[16];

        (void)snprintf(name, sizeof(name), "a%d", type);
        schema_body_add(&f->body, type, 0, name);
        (void)snprintf(name, sizeof(name), "b%d", type);
        if (nullable)
            schema_body_add(&f->body, type, SHM_FIELD_NULLABLE, name);
    }
    assert_int_equal(record_schema_read(f->body.bytes, f->body.len, &f->schema), 0);
    assert_int_equal(record_plan_init(&f->plan, f->body.bytes, f->body.len), 0);
}

static void form_fini(struct form *f)
{
    schema_fini(&f->schema);
    record_plan_fini(&f->plan);
}

static size_t text_put(struct bytes *payload, uint64_t row, uint64_t longest)
{
    size_t len = row % 97 == 0 ? rng_next(&rng) % longest : rng_next(&rng) % 30;

    assert_int_equal(bytes_reserve(payload, len), 0);
    for (size_t i = 0; i < len; i++)
        payload->data[payload->len + i] = (uint8_t)('a' + (i < 10 ? row % 5 : rng_next(&rng) % 26));
    payload->len += len;
    return len;
}

static void payload_make(const struct form *f, uint64_t row, uint64_t longest,
                         struct bytes *payload)
{
    bytes_clear(payload);
    assert_int_equal(bytes_reserve(payload, f->plan.fixed_bytes), 0);
    memset(payload->data, 0, f->plan.fixed_bytes);
    payload->len = f->plan.fixed_bytes;
    for (uint32_t i = 0; i < f->plan.count; i++) {
        const struct record_step *step = &f->plan.steps[i];
        uint64_t v = rng_next(&rng) % (row % 3 == 0 ? UINT64_MAX : 50);
        float f32 = (float)v / 8;
        double f64 = (double)v / 7;

        if (step->nullable && rng_next(&rng) % 4 == 0)
            continue;
        if (f->plan.present_at > 0)
            payload->data[f->plan.present_at + i / 8] |= (uint8_t)(1U << i % 8);
        switch (step->type) {
        case COLUMN_BOOL:
            payload->data[step->at] = v & 1;
            break;
        case COLUMN_I32:
            memcpy(payload->data + step->at, &v, 4);
            break;
        case COLUMN_F32:
            memcpy(payload->data + step->at, &f32, sizeof(f32));
            break;
        case COLUMN_F64:
            memcpy(payload->data + step->at, &f64, sizeof(f64));
            break;
        case COLUMN_STRING:
        case COLUMN_BYTES: {
            struct shm_ref ref = {(uint32_t)payload->len, 0};

            ref.len = (uint32_t)text_put(payload, row, longest);
            memcpy(payload->data + step->at, &ref, sizeof(ref));
            break;
        }
        default:
            memcpy(payload->data + step->at, &v, sizeof(v));
        }
    }
}

/* --- two files ------------------------------------------------------------------------------ */

struct file {
    struct parquet_workspace *space;
    struct parquet *p;
    struct block_pool pool;
    struct block_chain chain;
    struct bytes bytes;
};

static void file_open(struct file *f, const struct form *form, bool records)
{
    struct parquet_options options = {.codec = CODEC_SNAPPY, .level = CODEC_LEVEL_USUAL,
                                      .row_group_bytes = 32 << 20, .created_by = "test"};

    *f = (struct file){.space = parquet_workspace_open()};
    assert_non_null(f->space);
    assert_int_equal(parquet_open(&form->schema, &options, f->space, &f->p), 0);
    if (records)
        assert_int_equal(parquet_records(f->p, &form->plan), 0);
    block_pool_init(&f->pool, 2 * STEP);
    chain_init(&f->chain, &f->pool);
}

static void file_pull(struct file *f)
{
    struct block *b;

    while (parquet_ready(f->p)) {
        assert_true(chain_reserve(&f->chain, STEP));
        assert_true(parquet_pull(f->p, &f->chain, STEP) > 0);
        while ((b = chain_shift(&f->chain, true)) != NULL) {
            assert_int_equal(bytes_append(&f->bytes, b->data, b->len), 0);
            block_give(&f->pool, b);
        }
    }
}

static void file_close(struct file *f)
{
    parquet_close(f->p);
    parquet_workspace_close(f->space);
    chain_fini(&f->chain);
    block_pool_fini(&f->pool);
    bytes_free(&f->bytes);
}

static void check(bool nullable, uint64_t rows, uint64_t group_rows, uint64_t longest)
{
    struct bytes payload = BYTES_INIT;
    struct record_fault fault;
    struct file one, two;
    struct cell *cells;
    struct form form;

    form_make(&form, nullable);
    cells = calloc(form.plan.count, sizeof(*cells));
    assert_non_null(cells);
    file_open(&one, &form, true);
    file_open(&two, &form, false);
    for (uint64_t row = 0; row < rows; row++) {
        payload_make(&form, row, longest, &payload);
        assert_int_equal(record_check(&form.plan, payload.data, (uint32_t)payload.len).what,
                         RECORD_GOOD);
        assert_int_equal(parquet_record(one.p, payload.data, (uint32_t)payload.len), 0);
        assert_int_equal(record_cells(&form.plan, payload.data, (uint32_t)payload.len, cells,
                                      &fault), 0);
        assert_int_equal(parquet_row(two.p, cells), 0);
        assert_int_equal(parquet_rows_taken(one.p), row + 1);
        if (row % group_rows == group_rows - 1) {
            parquet_group_end(one.p);
            parquet_group_end(two.p);
            assert_int_equal(parquet_record(one.p, payload.data, (uint32_t)payload.len), -EAGAIN);
            file_pull(&one);
            file_pull(&two);
        }
    }
    parquet_finish(one.p);
    parquet_finish(two.p);
    assert_int_equal(parquet_record(one.p, payload.data, (uint32_t)payload.len), -EAGAIN);
    file_pull(&one);
    file_pull(&two);
    assert_int_equal(one.bytes.len, two.bytes.len);
    assert_memory_equal(one.bytes.data, two.bytes.data, one.bytes.len);
    file_close(&one);
    file_close(&two);
    form_fini(&form);
    bytes_free(&payload);
    free(cells);
}

static void records_give_the_file_of_their_cells(void **state)
{
    (void)state;
    for (int nullable = 0; nullable < 2; nullable++) {
        check(nullable, 0, 1, 10);
        check(nullable, 1, 100, 10);
        check(nullable, 63, 7, 200);
        check(nullable, 64, 64, 200);
        check(nullable, 5000, 777, 200);
    }
}

static void long_strings_are_theirs_too(void **state)
{
    (void)state;
    check(false, 600, 250, STRING_MAX);
    check(true, 600, 250, STRING_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_give_the_file_of_their_cells),
        cmocka_unit_test(long_strings_are_theirs_too),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
