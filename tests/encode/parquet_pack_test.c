/*
 * parquet_pack: read back by a decoder that goes bit by bit, as the format's document says.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "encode/parquet_pack.h"
#include "encode/varint_read.h"
#include "support/rng.h"

enum { COUNT_MAX = 70000, GUARD_BYTE = 0x5a };

static uint64_t rng = RNG_SEED;

/* How many values were there; padding counts. */
static size_t read_all(const uint8_t *at, const uint8_t *end, unsigned int width, uint32_t *values)
{
    size_t count = 0;

    while (at < end) {
        uint64_t head = varint_read(&at);

        if (head & 1) {
            for (uint64_t i = 0; i < (head >> 1) * 8; i++) {
                uint32_t v = 0;

                for (unsigned int b = 0; b < width; b++) {
                    uint64_t bit = i * width + b;

                    v |= (uint32_t)(at[bit / 8] >> bit % 8 & 1) << b;
                }
                values[count++] = v;
            }
            at += (head >> 1) * width;
        } else {
            uint32_t v = 0;

            assert_true(head > 0);
            memcpy(&v, at, (width + 7) / 8);
            at += (width + 7) / 8;
            for (uint64_t i = 0; i < head >> 1; i++)
                values[count++] = v;
        }
    }
    assert_ptr_equal(at, end);
    return count;
}

static void check(const uint32_t *values, size_t count, unsigned int width)
{
    size_t room = parquet_pack_room(count, width), read;
    uint8_t *out = malloc(room + 1), *end;
    uint32_t *back = malloc((count + 8) * sizeof(*back));

    assert_non_null(out);
    assert_non_null(back);
    out[room] = GUARD_BYTE;
    end = parquet_pack_values(out, values, count, width);
    assert_true((size_t)(end - out) <= room);
    assert_int_equal(out[room], GUARD_BYTE);
    read = read_all(out, end, width, back);
    assert_true(read >= count && read < count + 8);
    assert_memory_equal(back, values, count * sizeof(*values));
    free(out);
    free(back);
}

/* Runs of random lengths, of values below 1 << width. */
static size_t fill(uint32_t *values, size_t count, unsigned int width, uint64_t run_max)
{
    for (size_t i = 0; i < count;) {
        uint32_t v = (uint32_t)(rng_next(&rng) >> (64 - width));

        for (uint64_t run = 1 + rng_next(&rng) % run_max; run > 0 && i < count; run--)
            values[i++] = v;
    }
    return count;
}

static void gives_back_values_of_every_width(void **state)
{
    static const uint64_t runs[] = {1, 2, 9, 20, 100, 5000};
    uint32_t *values = malloc(COUNT_MAX * sizeof(*values));

    (void)state;
    assert_non_null(values);
    for (unsigned int width = 1; width <= PACK_WIDTH_MAX; width++)
        for (size_t r = 0; r < sizeof(runs) / sizeof(runs[0]); r++) {
            for (size_t count = 1; count < 40; count++)
                check(values, fill(values, count, width, runs[r]), width);
            check(values, fill(values, 1000 + rng_next(&rng) % 5000, width, runs[r]), width);
        }
    check(values, fill(values, COUNT_MAX, 17, 1), 17);
    check(values, fill(values, COUNT_MAX, 3, COUNT_MAX), 3);
    free(values);
}

static void gives_back_bits(void **state)
{
    static const unsigned int runs[] = {1, 3, 20, 300, 5000};
    uint8_t bits[2000], out[4000];
    uint32_t back[sizeof(bits) * 8];

    (void)state;
    for (int round = 0; round < 200; round++) {
        size_t count = 1 + rng_next(&rng) % (sizeof(bits) * 8 - 8);
        unsigned int run = runs[round % 5];
        uint8_t *end;

        memset(bits, 0, sizeof(bits));
        for (size_t i = 0; i < sizeof(bits) * 8;) {
            bool one = rng_next(&rng) >> 63;

            for (uint64_t n = 1 + rng_next(&rng) % run; n > 0 && i < sizeof(bits) * 8; n--, i++)
                bits[i / 8] |= (uint8_t)(one << i % 8);
        }
        end = parquet_pack_bits(out, bits, count);
        assert_true((size_t)(end - out) <= parquet_pack_room(count, 1));
        assert_true(read_all(out, end, 1, back) >= count);
        for (size_t i = 0; i < count; i++)
            assert_int_equal(back[i], bits[i / 8] >> i % 8 & 1);
    }
}

static void writes_equal_values_as_one_run(void **state)
{
    static const uint8_t run_300[] = {0xd8, 0x04, 0x01}, packed_3[] = {0x03, 0x88, 0xc6, 0xfa};
    static const uint32_t counting[] = {0, 1, 2, 3, 4, 5, 6, 7};
    uint32_t values[1000] = {0};
    uint8_t out[64];

    (void)state;
    assert_ptr_equal(parquet_pack_run(out, 1, 300, 1), out + 3);
    assert_memory_equal(out, run_300, 3);
    assert_ptr_equal(parquet_pack_values(out, values, 1000, 18), out + 2 + 3);
    /* The example of the format's document. */
    assert_ptr_equal(parquet_pack_values(out, counting, 8, 3), out + 4);
    assert_memory_equal(out, packed_3, 4);
}

static void knows_how_many_bits_a_value_takes(void **state)
{
    (void)state;
    assert_int_equal(parquet_pack_width(0), 1);
    assert_int_equal(parquet_pack_width(1), 1);
    assert_int_equal(parquet_pack_width(2), 2);
    assert_int_equal(parquet_pack_width(255), 8);
    assert_int_equal(parquet_pack_width(256), 9);
    assert_int_equal(parquet_pack_width(UINT32_MAX), 32);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_back_values_of_every_width),
        cmocka_unit_test(gives_back_bits),
        cmocka_unit_test(writes_equal_values_as_one_run),
        cmocka_unit_test(knows_how_many_bits_a_value_takes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
