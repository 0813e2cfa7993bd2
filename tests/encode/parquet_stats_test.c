/*
 * parquet_stats: bounds of each type, and that those of a whole are those of its parts.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "encode/parquet_stats.h"
#include "support/rng.h"

static struct parquet_stats made(enum column_type type, const void *values, size_t len)
{
    struct parquet_stats s;

    memset(&s, 0xee, sizeof(s));
    parquet_stats_make(type, values, len, &s);
    return s;
}

static void expect(enum column_type type, const void *values, size_t len, const void *min,
                   const void *max, size_t size)
{
    struct parquet_stats s = made(type, values, len);

    assert_int_equal(s.state, PARQUET_STATS_KNOWN);
    assert_int_equal(s.min.len, size);
    assert_int_equal(s.max.len, size);
    assert_true(s.min.exact && s.max.exact);
    assert_memory_equal(s.min.data, min, size);
    assert_memory_equal(s.max.data, max, size);
}

static void orders_numbers_as_numbers(void **state)
{
    static const int32_t i32[] = {3, -7, 256, -256};
    static const int64_t i64[] = {1, INT64_MIN, INT64_MAX, -1};
    static const uint64_t u64[] = {1, UINT64_MAX, 0x8000000000000000, 2};
    static const uint8_t bools[] = {1, 0, 1}, trues[] = {1, 1};
    static const float f32[] = {1.5F, -2.25F, 100};
    static const double f64[] = {1e300, -INFINITY, 0.1};

    (void)state;
    expect(COLUMN_I32, i32, sizeof(i32), &i32[3], &i32[2], 4);
    expect(COLUMN_I64, i64, sizeof(i64), &i64[1], &i64[2], 8);
    expect(COLUMN_TIMESTAMP, i64, sizeof(i64), &i64[1], &i64[2], 8);
    expect(COLUMN_U64, u64, sizeof(u64), &u64[0], &u64[1], 8);
    expect(COLUMN_BOOL, bools, sizeof(bools), &bools[1], &bools[0], 1);
    expect(COLUMN_BOOL, trues, sizeof(trues), &trues[1], &trues[0], 1);
    expect(COLUMN_F32, f32, sizeof(f32), &f32[1], &f32[2], 4);
    expect(COLUMN_F64, f64, sizeof(f64), &f64[1], &f64[0], 8);
}

static void has_zeros_of_both_signs_inside_its_bounds(void **state)
{
    static const double zeros[] = {0.0, 0.0}, minus[] = {-0.0}, low = -0.0, high = 0.0;
    static const float zero[] = {0.0F}, low32 = -0.0F, high32 = 0.0F;

    (void)state;
    expect(COLUMN_F64, zeros, sizeof(zeros), &low, &high, 8);
    expect(COLUMN_F64, minus, sizeof(minus), &low, &high, 8);
    expect(COLUMN_F32, zero, sizeof(zero), &low32, &high32, 4);
}

static void has_no_bounds_where_there_is_a_nan(void **state)
{
    const double f64[] = {1, (double)NAN, 2}, calm[] = {1, 2};
    const float f32[] = {(float)NAN};
    struct parquet_stats s = made(COLUMN_F64, f64, sizeof(f64)), more;

    (void)state;
    assert_int_equal(s.state, PARQUET_STATS_NONE);
    assert_int_equal(made(COLUMN_F32, f32, sizeof(f32)).state, PARQUET_STATS_NONE);
    more = made(COLUMN_F64, calm, sizeof(calm));
    parquet_stats_merge(COLUMN_F64, &more, &s);
    assert_int_equal(more.state, PARQUET_STATS_NONE);
    more = made(COLUMN_F64, calm, sizeof(calm));
    parquet_stats_merge(COLUMN_F64, &s, &more);
    assert_int_equal(s.state, PARQUET_STATS_NONE);
}

static void says_nothing_of_nothing(void **state)
{
    const int64_t one = 1;
    struct parquet_stats s = made(COLUMN_I64, NULL, 0), more = made(COLUMN_I64, &one, 8);

    (void)state;
    assert_int_equal(s.state, PARQUET_STATS_EMPTY);
    parquet_stats_merge(COLUMN_I64, &more, &s);
    assert_int_equal(more.state, PARQUET_STATS_KNOWN);
    parquet_stats_merge(COLUMN_I64, &s, &more);
    assert_int_equal(s.state, PARQUET_STATS_KNOWN);
}

/* --- strings -------------------------------------------------------------------------------- */

struct text {
    uint8_t data[4096];
    size_t len;
};

static void add(struct text *t, const char *s, size_t len)
{
    bytes_put_u32(t->data + t->len, (uint32_t)len);
    memcpy(t->data + t->len + 4, s, len);
    t->len += 4 + len;
}

static struct parquet_stats of_two(enum column_type type, const char *a, const char *b)
{
    struct text t = {.len = 0};

    add(&t, a, strlen(a));
    add(&t, b, strlen(b));
    return made(type, t.data, t.len);
}

static void orders_strings_by_unsigned_bytes(void **state)
{
    static const char *const ordered[] = {"", "A", "a", "aa", "b", "\x7f", "\xc3\xa4", "\xff"};

    (void)state;
    for (size_t i = 0; i < 8; i++)
        for (size_t j = 0; j < 8; j++) {
            struct parquet_stats s = of_two(COLUMN_BYTES, ordered[i], ordered[j]);
            const char *min = ordered[i < j ? i : j], *max = ordered[i < j ? j : i];

            assert_int_equal(s.state, PARQUET_STATS_KNOWN);
            assert_int_equal(s.min.len, strlen(min));
            assert_int_equal(s.max.len, strlen(max));
            assert_memory_equal(s.min.data, min, s.min.len);
            assert_memory_equal(s.max.data, max, s.max.len);
            assert_true(s.min.exact && s.max.exact);
        }
}

static void cuts_long_strings_to_bounds_beyond_them(void **state)
{
    char x[101], umlauts[101], top[101];
    struct parquet_stats s;

    (void)state;
    memset(x, 'x', 100);
    x[100] = umlauts[100] = top[100] = '\0';
    s = of_two(COLUMN_STRING, x, x);
    assert_int_equal(s.state, PARQUET_STATS_KNOWN);
    assert_int_equal(s.min.len, 64);
    assert_int_equal(s.max.len, 64);
    assert_memory_equal(s.min.data, x, 64);
    assert_memory_equal(s.max.data, x, 63);
    assert_int_equal(s.max.data[63], 'y');
    assert_false(s.min.exact || s.max.exact);

    /* a, then characters of two bytes: the 64th byte is the first of one. */
    umlauts[0] = 'a';
    for (size_t i = 1; i < 99; i += 2)
        memcpy(umlauts + i, "\xc3\xa4", 2);
    umlauts[99] = 'a';
    s = of_two(COLUMN_STRING, umlauts, umlauts);
    assert_int_equal(s.min.len, 63);
    assert_int_equal(s.max.len, 1);
    assert_int_equal(s.max.data[0], 'b');
    s = of_two(COLUMN_BYTES, umlauts, umlauts);
    assert_int_equal(s.max.len, 64);
    assert_int_equal(s.max.data[63], 0xc4);

    memset(top, 0xff, 100);
    s = of_two(COLUMN_BYTES, top, x);
    assert_int_equal(s.state, PARQUET_STATS_MIN_ONLY);
    memset(top, 0x7f, 100);
    s = of_two(COLUMN_STRING, top, x);
    assert_int_equal(s.state, PARQUET_STATS_MIN_ONLY);
    assert_memory_equal(s.min.data, x, 64);
}

static void takes_exactly_64_bytes_whole(void **state)
{
    char x[65];
    struct parquet_stats s;

    (void)state;
    memset(x, 'x', 64);
    x[64] = '\0';
    s = of_two(COLUMN_STRING, x, "y");
    assert_true(s.min.exact && s.max.exact);
    assert_int_equal(s.min.len, 64);
}

static void is_the_same_in_parts_as_at_once(void **state)
{
    static const enum column_type types[] = {COLUMN_I32, COLUMN_I64, COLUMN_U64, COLUMN_F32,
                                             COLUMN_F64};
    uint64_t rng = 88172645463325252ULL;

    (void)state;
    for (int round = 0; round < 2000; round++) {
        enum column_type type = types[round % 5];
        size_t size = type == COLUMN_I32 || type == COLUMN_F32 ? 4 : 8;
        uint8_t values[64];
        struct parquet_stats whole, parts = {.state = PARQUET_STATS_EMPTY};

        for (size_t i = 0; i < sizeof(values); i++) {
            uint64_t random = rng_next(&rng);

            /* Exponents that make no NaN. */
            values[i] = (uint8_t)(i % size >= size - 2 ? random & 0xbf : random);
        }
        whole = made(type, values, sizeof(values));
        for (size_t i = 0; i < sizeof(values); i += size) {
            struct parquet_stats one = made(type, values + i, size);

            parquet_stats_merge(type, &parts, &one);
        }
        assert_int_equal(whole.state, PARQUET_STATS_KNOWN);
        assert_int_equal(parts.state, whole.state);
        assert_memory_equal(parts.min.data, whole.min.data, size);
        assert_memory_equal(parts.max.data, whole.max.data, size);
    }
}

static void says_of_equal_bounds_that_one_is_a_value(void **state)
{
    char x[101], short_x[65];
    struct parquet_stats cut, whole;

    (void)state;
    memset(x, 'x', 100);
    memset(short_x, 'x', 64);
    x[100] = short_x[64] = '\0';
    cut = of_two(COLUMN_STRING, x, x);
    whole = of_two(COLUMN_STRING, short_x, short_x);
    parquet_stats_merge(COLUMN_STRING, &cut, &whole);
    assert_true(cut.min.exact);
    assert_false(cut.max.exact);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(orders_numbers_as_numbers),
        cmocka_unit_test(has_zeros_of_both_signs_inside_its_bounds),
        cmocka_unit_test(has_no_bounds_where_there_is_a_nan),
        cmocka_unit_test(says_nothing_of_nothing),
        cmocka_unit_test(orders_strings_by_unsigned_bytes),
        cmocka_unit_test(cuts_long_strings_to_bounds_beyond_them),
        cmocka_unit_test(takes_exactly_64_bytes_whole),
        cmocka_unit_test(is_the_same_in_parts_as_at_once),
        cmocka_unit_test(says_of_equal_bounds_that_one_is_a_value),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
