/*
 * Claims about records as lines: whatever the schema and whatever stands in the strings, a record
 * gives byte for byte the line that its cells give, wherever blocks end, and nothing is read behind
 * its payload.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/blocks.h"
#include "encode/record_lines.h"
#include "libshm-client/schema_body.h"
#include "shm_wire.h"
#include "support/rng.h"

enum { FIELDS_MAX = 12, PAYLOAD_MAX = 1 << 16, ROWS = 400, SCHEMAS = 60 };

struct form {
    struct schema schema;
    struct record_plan plan;
};

static uint64_t rng = RNG_SEED;

static void form_make(struct form *f, uint32_t count)
{
    static const char *const names[] = {"a", "b\"", "c,d", "e_f_g_h_i_j_k_l_m_n_o_p_q", "\\", "z z",
                                        "0123456789abc", "0123456789abcd", "g", "h", "i", "j"};
    struct schema_body body;

    schema_body_init(&body);
    for (uint32_t i = 0; i < count; i++)
        schema_body_add(&body, (uint8_t)(1 + rng_next(&rng) % (COLUMN_TYPE_COUNT - 1)),
                        rng_next(&rng) % 3 == 0 ? SHM_FIELD_NULLABLE : 0, names[i]);
    assert_int_equal(record_schema_read(body.bytes, body.len, &f->schema), 0);
    assert_int_equal(record_plan_init(&f->plan, body.bytes, body.len), 0);
}

static void form_fini(struct form *f)
{
    schema_fini(&f->schema);
    record_plan_fini(&f->plan);
}

/* Mostly plain; else something that either format writes otherwise, or UTF-8, or blanks. */
static uint32_t text_fill(uint8_t *to, bool plain, uint32_t most)
{
    static const char *const rare[] = {"\"", "\\", "\n", "\r", ",", " ", "\t", "\x01", "\xc3\xa9",
                                       "\xef\xbb\xbf", "\x1f", "\x7f"};
    uint32_t len = (uint32_t)(rng_next(&rng) % (most + 1)), at = 0;

    while (at < len) {
        const char *one = !plain && rng_next(&rng) % 8 == 0
                              ? rare[rng_next(&rng) % (sizeof(rare) / sizeof(rare[0]))] : "x";

        if (at + strlen(one) > len)
            one = "y";
        memcpy(to + at, one, strlen(one));
        at += (uint32_t)strlen(one);
    }
    return len;
}

static uint64_t word_of(uint8_t type)
{
    static const double odd[] = {0.0, -0.0, 12.34, -0.5, 1e15, 1e-9, 99999999.99};
    uint64_t bits = rng_next(&rng) >> rng_next(&rng) % 64, word = bits;
    double f64 = (double)(int64_t)bits / 100;
    float f32;

    if (type == COLUMN_BOOL)
        return bits & 1;
    if (type != COLUMN_F64 && type != COLUMN_F32)
        return word;
    if (bits % 5 == 0)
        f64 = odd[bits / 5 % (sizeof(odd) / sizeof(odd[0]))];
    if (bits % 17 == 0)
        f64 = bits % 2 ? (double)NAN : -(double)INFINITY;
    f32 = (float)f64;
    if (type == COLUMN_F64)
        memcpy(&word, &f64, sizeof(f64));
    else
        memcpy(&word, &f32, sizeof(f32));
    return word;
}

/* In memory that ends with it. */
static uint8_t *payload_make(const struct form *f, bool plain, uint32_t longest, uint32_t *ret_len)
{
    static const uint8_t sizes[COLUMN_TYPE_COUNT] = {0, 1, 4, 8, 8, 4, 8, 8, 8, 8};
    static uint8_t all[PAYLOAD_MAX];
    uint32_t len = f->plan.fixed_bytes;
    uint8_t *payload;

    memset(all, 0, len);
    for (uint32_t i = 0; i < f->plan.count; i++) {
        const struct record_step *step = &f->plan.steps[i];
        uint64_t word = word_of(step->type);
        struct shm_ref ref = {len, 0};

        if (step->nullable && rng_next(&rng) % 3 == 0)
            continue;
        if (f->plan.present_at > 0)
            all[f->plan.present_at + i / 8] |= (uint8_t)(1U << i % 8);
        if (step->type == COLUMN_STRING || step->type == COLUMN_BYTES) {
            ref.len = text_fill(all + len, plain, longest);
            len += ref.len;
            memcpy(&word, &ref, sizeof(word));
        }
        memcpy(all + step->at, &word, sizes[step->type]);
    }
    payload = malloc(len);
    assert_non_null(payload);
    memcpy(payload, all, len);
    *ret_len = len;
    return payload;
}

static void check(const struct form *f, bool plain, uint32_t longest, size_t ahead)
{
    struct cell cells[FIELDS_MAX];
    struct record_fault fault;
    uint32_t len;
    uint8_t *payload = payload_make(f, plain, longest, &len);
    const char *wrong;

    /* Text that was cut within a character is none. */
    if (record_cells(&f->plan, payload, len, cells, &fault) == 0) {
        wrong = record_lines_check(&f->plan, &f->schema, payload, len, cells, ahead);
        if (wrong != NULL)
            fail_msg("%s", wrong);
    }
    free(payload);
}

static void any_record_gives_the_line_of_its_cells(void **state)
{
    (void)state;
    for (int i = 0; i < SCHEMAS; i++) {
        struct form f;

        form_make(&f, 1 + (uint32_t)(rng_next(&rng) % FIELDS_MAX));
        for (int row = 0; row < ROWS; row++)
            check(&f, row % 2, row % 5 == 0 ? 200 : 1 + (uint32_t)(rng_next(&rng) % 40), 0);
        form_fini(&f);
    }
}

static void where_a_block_may_end_the_cells_are_asked_for(void **state)
{
    struct form f;

    (void)state;
    form_make(&f, FIELDS_MAX);
    for (size_t left = 0; left < 3000; left += 1 + left / 200)
        check(&f, left % 2, 20, BLOCK_BYTES - left);
    check(&f, true, 4000, BLOCK_BYTES - 20000);
    form_fini(&f);
}

/* The copies of short strings differ by length, and by what stands behind them. */
static void strings_of_every_length_are_whole(void **state)
{
    struct form f;
    struct schema_body body;

    (void)state;
    schema_body_init(&body);
    schema_body_add(&body, SHM_FIELD_STRING, 0, "one");
    schema_body_add(&body, SHM_FIELD_STRING, 0, "two");
    assert_int_equal(record_schema_read(body.bytes, body.len, &f.schema), 0);
    assert_int_equal(record_plan_init(&f.plan, body.bytes, body.len), 0);
    for (uint32_t longest = 0; longest < 70; longest++)
        for (int i = 0; i < 50; i++)
            check(&f, true, longest, 0);
    form_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_record_gives_the_line_of_its_cells),
        cmocka_unit_test(where_a_block_may_end_the_cells_are_asked_for),
        cmocka_unit_test(strings_of_every_length_are_whole),
    };

    return cmocka_run_group_tests_name("record_text", tests, NULL, NULL);
}
