/*
 * crc32c: known vectors, and agreement with the definition bit by bit.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/crc32c.h"

/* The polynomial's own definition, reflected: slow and plain. */
static uint32_t crc32c_by_bits(const uint8_t *data, size_t len)
{
    uint32_t sum = ~0U;

    for (size_t i = 0; i < len; i++) {
        sum ^= data[i];
        for (int bit = 0; bit < 8; bit++)
            sum = (sum >> 1) ^ ((sum & 1) != 0 ? 0x82f63b78U : 0);
    }
    return ~sum;
}

static void matches_the_published_vectors(void **state)
{
    uint8_t block[32];

    (void)state;
    assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283U);
    assert_int_equal(crc32c(0, "", 0), 0);
    memset(block, 0, sizeof(block));
    assert_int_equal(crc32c(0, block, sizeof(block)), 0x8a9136aaU);
    memset(block, 0xff, sizeof(block));
    assert_int_equal(crc32c(0, block, sizeof(block)), 0x62a8ab43U);
}

static void a_sum_goes_on_where_the_last_one_ended(void **state)
{
    uint8_t data[3001];
    uint32_t whole;

    (void)state;
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)(i * i + 7 * i);
    whole = crc32c(0, data, sizeof(data));
    assert_int_equal(whole, crc32c_by_bits(data, sizeof(data)));
    for (size_t cut = 0; cut <= sizeof(data); cut += 13)
        assert_int_equal(crc32c(crc32c(0, data, cut), data + cut, sizeof(data) - cut), whole);
}

static void every_length_and_alignment_agrees_with_the_definition(void **state)
{
    uint8_t data[320];

    (void)state;
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)(i * 31 + 5);
    for (size_t start = 0; start < 16; start++)
        for (size_t len = 0; start + len <= sizeof(data); len++)
            assert_int_equal(crc32c(0, data + start, len), crc32c_by_bits(data + start, len));
}

static void sums_of_pieces_make_that_of_the_whole(void **state)
{
    static uint8_t data[70000];
    uint32_t whole, zeros;

    (void)state;
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)(i * i + 3 * i);
    whole = crc32c(0, data, sizeof(data));
    for (size_t cut = 0; cut <= sizeof(data); cut += 997)
        assert_int_equal(crc32c_combine(crc32c(0, data, cut),
                                        crc32c(0, data + cut, sizeof(data) - cut),
                                        sizeof(data) - cut), whole);
    assert_int_equal(crc32c_combine(whole, 0, 0), whole);
    /* Lengths beyond 32 bits: twice 2^32 zeros are 2^33 of them. */
    zeros = crc32c_combine(crc32c_combine(1, 0, 1ULL << 32), 0, 1ULL << 32);
    assert_int_equal(crc32c_combine(1, 0, 1ULL << 33), zeros);
    assert_int_not_equal(crc32c_combine(1, 0, 1ULL << 32), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matches_the_published_vectors),
        cmocka_unit_test(a_sum_goes_on_where_the_last_one_ended),
        cmocka_unit_test(every_length_and_alignment_agrees_with_the_definition),
        cmocka_unit_test(sums_of_pieces_make_that_of_the_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
