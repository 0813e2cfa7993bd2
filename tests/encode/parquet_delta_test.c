/*
 * parquet_delta: read back by a decoder that goes bit by bit, as the format's document says.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "encode/parquet_delta.h"
#include "encode/varint_read.h"
#include "support/rng.h"

enum { COUNT_MAX = 2000, STRING_MAX = 100, GUARD_BYTE = 0x5a };

static uint64_t rng = RNG_SEED;

static int64_t zigzag_read(const uint8_t **at)
{
    uint64_t v = varint_read(at);

    return (int64_t)(v >> 1 ^ (0 - (v & 1)));
}

static uint64_t bits_read(const uint8_t *at, size_t first, unsigned int width)
{
    uint64_t v = 0;

    for (unsigned int b = 0; b < width; b++)
        v |= (uint64_t)(at[(first + b) / 8] >> (first + b) % 8 & 1) << b;
    return v;
}

/* Where they end; as 64 bits, of which the caller takes what its column has. */
static const uint8_t *numbers_read(const uint8_t *at, size_t count, uint64_t *values)
{
    uint64_t block = varint_read(&at), minis = varint_read(&at), mini, v, done;

    assert_true(block % 128 == 0 && minis > 0 && block / minis % 32 == 0);
    mini = block / minis;
    assert_int_equal(varint_read(&at), count);
    v = (uint64_t)zigzag_read(&at);
    if (count > 0)
        values[0] = v;
    for (done = 1; done < count;) {
        uint64_t least = (uint64_t)zigzag_read(&at);
        const uint8_t *widths = at;

        at += minis;
        for (uint64_t m = 0; m < minis && done < count; m++) {
            for (uint64_t i = 0; i < mini && done < count; i++) {
                v += least + bits_read(at, i * widths[m], widths[m]);
                values[done++] = v;
            }
            at += mini * widths[m] / 8;
        }
    }
    return at;
}

static void check_numbers(const uint64_t *values, size_t count, size_t width)
{
    size_t room = parquet_delta_numbers_room(count);
    uint8_t *plain = malloc(count * width + 1), *out = malloc(room + 1), *end;
    uint64_t *back = malloc((count + 1) * sizeof(*back));

    assert_true(plain != NULL && out != NULL && back != NULL);
    for (size_t i = 0; i < count; i++)
        memcpy(plain + i * width, &values[i], width);
    out[room] = GUARD_BYTE;
    end = parquet_delta_numbers(out, plain, count, width);
    assert_true((size_t)(end - out) <= room);
    assert_int_equal(out[room], GUARD_BYTE);
    assert_ptr_equal(numbers_read(out, count, back), end);
    for (size_t i = 0; i < count; i++)
        assert_memory_equal(&back[i], &values[i], width);
    free(plain);
    free(out);
    free(back);
}

static void gives_back_numbers_of_every_width(void **state)
{
    uint64_t values[COUNT_MAX];

    (void)state;
    for (unsigned int bits = 0; bits <= 64; bits++)
        for (size_t count = 0; count < 600; count += 1 + count / 4) {
            for (size_t i = 0; i < count; i++)
                values[i] = bits == 0 ? 7 * i
                                      : 0x4000000000000000ULL + (rng_next(&rng) >> (64 - bits));
            check_numbers(values, count, 4);
            check_numbers(values, count, 8);
        }
}

static void gives_back_extremes(void **state)
{
    static const uint64_t odd[] = {0, 1, UINT64_MAX, INT64_MAX, 1ULL << 63, INT32_MAX,
                                   1ULL << 31, UINT32_MAX};
    uint64_t values[COUNT_MAX];

    (void)state;
    for (int round = 0; round < 50; round++) {
        for (size_t i = 0; i < COUNT_MAX; i++)
            values[i] = rng_next(&rng) % 8 < (uint64_t)round % 9 ? odd[rng_next(&rng) % 8] : i * i;
        check_numbers(values, COUNT_MAX, 4);
        check_numbers(values, COUNT_MAX, 8);
    }
}

/* The two examples of the format's document. */
static void writes_what_the_document_writes(void **state)
{
    static const uint64_t growing[] = {1, 2, 3, 4, 5}, jumping[] = {7, 5, 3, 1, 2, 3, 4, 5};
    static const uint8_t wanted_growing[] = {0x80, 1, 4, 5, 2, 2, 0, 0, 0, 0};
    static const uint8_t wanted_jumping[] = {0x80, 1, 4, 8, 14, 3, 2, 0, 0, 0,
                                             0xc0, 0x3f, 0, 0, 0, 0, 0, 0};
    uint8_t out[1024];

    (void)state;
    assert_ptr_equal(parquet_delta_numbers(out, (const uint8_t *)growing, 5, 8),
                     out + sizeof(wanted_growing));
    assert_memory_equal(out, wanted_growing, sizeof(wanted_growing));
    assert_ptr_equal(parquet_delta_numbers(out, (const uint8_t *)jumping, 8, 8),
                     out + sizeof(wanted_jumping));
    assert_memory_equal(out, wanted_jumping, sizeof(wanted_jumping));
}

static void check_strings(const uint8_t *plain, size_t len, size_t count)
{
    size_t room = parquet_delta_strings_room(count, len), done = 0;
    uint8_t *copy = malloc(len + 1), *out = malloc(room + 1), *end, last[STRING_MAX];
    uint32_t *lengths = malloc((2 * count + 1) * sizeof(*lengths));
    uint64_t *same = malloc((count + 1) * sizeof(*same)), *rest = malloc((count + 1) *
                                                                         sizeof(*rest));
    const uint8_t *at;

    assert_true(copy != NULL && out != NULL && lengths != NULL && same != NULL && rest != NULL);
    memcpy(copy, plain, len);           /* nothing may be read behind it */
    out[room] = GUARD_BYTE;
    end = parquet_delta_strings(out, copy, len, count, lengths);
    assert_true((size_t)(end - out) <= room);
    assert_int_equal(out[room], GUARD_BYTE);
    at = numbers_read(numbers_read(out, count, same), count, rest);
    for (size_t i = 0; i < count; i++) {
        uint32_t bytes = bytes_get_u32(plain + done);

        assert_int_equal(same[i] + rest[i], bytes);
        memcpy(last + same[i], at, rest[i]);
        assert_memory_equal(last, plain + done + 4, bytes);
        at += rest[i];
        done += 4 + bytes;
    }
    assert_ptr_equal(at, end);
    free(copy);
    free(out);
    free(lengths);
    free(same);
    free(rest);
}

static void gives_back_strings(void **state)
{
    static uint8_t plain[COUNT_MAX * (STRING_MAX + 4)];

    (void)state;
    for (int round = 0; round < 300; round++) {
        size_t count = rng_next(&rng) % (round % 3 == 0 ? 20 : COUNT_MAX), len = 0;
        uint64_t letters = 1 + rng_next(&rng) % 3, longest = 1 + rng_next(&rng) % STRING_MAX;

        for (size_t i = 0; i < count; i++) {
            uint32_t bytes = (uint32_t)(rng_next(&rng) % longest);

            bytes_put_u32(plain + len, bytes);
            for (uint32_t k = 0; k < bytes; k++)
                plain[len + 4 + k] = (uint8_t)('a' + (rng_next(&rng) % 16 == 0) * letters);
            len += 4 + bytes;
        }
        check_strings(plain, len, count);
    }
}

static void shares_all_that_strings_have_in_common(void **state)
{
    static const char *const texts[] = {"", "a", "a", "ab", "a", "https://example.org/items/1",
                                        "https://example.org/items/2", "https://example.org/",
                                        "https://example.org/items/2", ""};
    static const uint64_t wanted[] = {0, 0, 1, 1, 1, 0, 26, 20, 20, 0};
    uint8_t plain[512], out[1024];
    uint32_t lengths[20];
    uint64_t same[10];
    size_t len = 0;

    (void)state;
    for (size_t i = 0; i < 10; i++) {
        uint32_t bytes = (uint32_t)strlen(texts[i]);

        bytes_put_u32(plain + len, bytes);
        memcpy(plain + len + 4, texts[i], bytes);
        len += 4 + bytes;
    }
    (void)parquet_delta_strings(out, plain, len, 10, lengths);
    (void)numbers_read(out, 10, same);
    for (size_t i = 0; i < 10; i++)
        assert_int_equal(same[i], wanted[i]);
    check_strings(plain, len, 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_back_numbers_of_every_width),
        cmocka_unit_test(gives_back_extremes),
        cmocka_unit_test(writes_what_the_document_writes),
        cmocka_unit_test(gives_back_strings),
        cmocka_unit_test(shares_all_that_strings_have_in_common),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
