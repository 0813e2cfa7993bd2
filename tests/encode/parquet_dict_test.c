/*
 * parquet_dict: numbers of values against a search through all of them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "encode/parquet_dict.h"
#include "support/rng.h"

static uint64_t rng = RNG_SEED;

/* One value in PLAIN encoding; which of `distinct` is by `which`. */
static size_t value_make(uint8_t *out, uint32_t width, uint64_t which)
{
    uint64_t v = which * 0x9e3779b97f4a7c15ULL;
    uint32_t len;

    if (width > 0) {
        memcpy(out, &v, width);
        return width;
    }
    /* Lengths of 0 to 40, strings that begin and end alike. */
    len = (uint32_t)(which % 41);
    memset(out, 'x', sizeof(len) + len);
    memcpy(out, &len, sizeof(len));
    for (uint32_t i = 0; i < len && i < 8; i++)
        out[sizeof(len) + len / 2 + i / 2] = (uint8_t)('a' + (v >> i * 5 & 15));
    return sizeof(len) + len;
}

static void check(uint32_t width, uint64_t distinct, uint32_t values)
{
    uint64_t memory = 0;
    struct parquet_dict d;
    uint32_t most = 0;
    size_t slot;

    parquet_dict_init(&d, width, &memory);
    for (uint32_t done = 0; done < values;) {
        uint8_t batch[PARQUET_DICT_BATCH * 64];
        uint32_t indexes[PARQUET_DICT_BATCH], count = 0;
        size_t len = 0, at = 0;
        uint64_t n = 1 + rng_next(&rng) % PARQUET_DICT_BATCH;

        for (uint64_t i = 0; i < n; i++)
            len += value_make(batch + len, width, rng_next(&rng) % distinct);
        assert_int_equal(parquet_dict_put(&d, batch, len, indexes, &count), 0);
        assert_int_equal(count, n);
        for (uint32_t i = 0; i < count; i++) {
            uint32_t size = width > 0 ? width : 4 + bytes_get_u32(batch + at), theirs;
            const uint8_t *value = parquet_dict_value(&d, indexes[i], &theirs);

            assert_int_equal(theirs, size);
            assert_memory_equal(value, batch + at, size);
            assert_true(indexes[i] <= most);
            most += indexes[i] == most;
            at += size;
        }
        assert_int_equal(at, len);
        done += count;
    }
    assert_int_equal(d.count, most);
    assert_false(d.crowded);
    /* No value twice. */
    for (uint32_t i = 0; i < d.count && d.count < 3000; i++)
        for (uint32_t j = i + 1; j < d.count; j++) {
            uint32_t a, b;
            const uint8_t *x = parquet_dict_value(&d, i, &a), *y = parquet_dict_value(&d, j, &b);

            assert_true(a != b || memcmp(x, y, a) != 0);
        }
    slot = width > 0 ? sizeof(struct parquet_dict_number) : sizeof(struct parquet_dict_string);
    assert_int_equal(memory, d.values.cap + d.starts.cap + d.slots_count * slot);
    parquet_dict_clear(&d);
    assert_int_equal(d.count, 0);
    parquet_dict_fini(&d);
    assert_int_equal(memory, 0);
}

static void numbers_values_in_order_of_appearance(void **state)
{
    (void)state;
    for (uint32_t width = 0; width <= 8; width += 4) {
        check(width, 1, 500);
        check(width, 40, 5000);
        check(width, 1500, 20000);
        check(width, 30000, 60000);
    }
}

static void is_empty_again_when_cleared(void **state)
{
    uint64_t memory = 0, number = 7;
    uint32_t index = 9, count;
    struct parquet_dict d;

    (void)state;
    parquet_dict_init(&d, 8, &memory);
    for (int i = 0; i < 3; i++) {
        number += 5;
        assert_int_equal(parquet_dict_put(&d, (const uint8_t *)&number, 8, &index, &count), 0);
        assert_int_equal(index, 0);
        assert_int_equal(d.values.len, 8);
        parquet_dict_clear(&d);
    }
    parquet_dict_fini(&d);
}

static void is_over_when_it_is_large(void **state)
{
    uint64_t memory = 0;
    uint32_t index, count;
    struct parquet_dict d;

    (void)state;
    parquet_dict_init(&d, 8, &memory);
    for (uint64_t i = 0; i < PARQUET_DICT_BYTES_MAX / 8; i++) {
        assert_false(parquet_dict_over(&d));
        assert_int_equal(parquet_dict_put(&d, (const uint8_t *)&i, 8, &index, &count), 0);
        assert_int_equal(index, i);
    }
    assert_true(parquet_dict_over(&d));
    assert_false(d.crowded);
    parquet_dict_fini(&d);
}

/*
 * Of 16 bytes the second half can be chosen so that its factor in the hash is zero: then whatever
 * the first half is, the hash is the same.
 */
static void is_over_when_values_collide_on_purpose(void **state)
{
    uint64_t memory = 0, chosen = 0xd6e8feb86659fd93ULL, i;
    struct parquet_dict d;

    (void)state;
    parquet_dict_init(&d, 0, &memory);
    for (i = 0; i < 100000 && !parquet_dict_over(&d); i++) {
        uint8_t value[20];
        uint32_t index, count;

        bytes_put_u32(value, 16);
        bytes_put_u64(value + 4, i);
        bytes_put_u64(value + 12, chosen);
        assert_int_equal(parquet_dict_put(&d, value, sizeof(value), &index, &count), 0);
        assert_int_equal(index, i);
    }
    assert_true(d.crowded);
    assert_true(i < 1000);
    parquet_dict_clear(&d);
    assert_false(parquet_dict_over(&d));
    parquet_dict_fini(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_values_in_order_of_appearance),
        cmocka_unit_test(is_empty_again_when_cleared),
        cmocka_unit_test(is_over_when_it_is_large),
        cmocka_unit_test(is_over_when_values_collide_on_purpose),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
