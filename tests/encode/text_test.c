/*
 * Claims about values as text: numbers are short and read back exactly, times agree with the C
 * library's calendar, and copies say the same at every length and place.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "encode/text.h"

static char text[TEXT_SCALAR_BYTES + TEXT_SLACK + 1];

static const char *ended(uint8_t *end)
{
    assert_true(end <= (uint8_t *)text + TEXT_SCALAR_BYTES);
    *end = '\0';
    return text;
}

static const char *i64(int64_t v)
{
    return ended(text_i64((uint8_t *)text, v));
}

static const char *u64(uint64_t v)
{
    return ended(text_u64((uint8_t *)text, v));
}

static const char *f64(double v)
{
    return ended(text_f64((uint8_t *)text, v));
}

static const char *timestamp(int64_t us)
{
    return ended(text_timestamp((uint8_t *)text, us));
}

/* 64 random bits. */
static uint64_t bits(void)
{
    return (uint64_t)random() << 42 ^ (uint64_t)random() << 21 ^ (uint64_t)random();
}

static void integers_of_every_length_are_as_printf_has_them(void **state)
{
    char expected[32];
    uint64_t power = 1;

    (void)state;
    srandom(1);
    for (int digits = 0; digits < 20; digits++, power *= 10)
        for (uint64_t near = power - 2; near != power + 3; near++) {
            (void)snprintf(expected, sizeof(expected), "%" PRIu64, near);
            assert_string_equal(u64(near), expected);
        }
    for (int i = 0; i < 100000; i++) {
        uint64_t v = bits() >> random() % 64;

        (void)snprintf(expected, sizeof(expected), "%" PRIu64, v);
        assert_string_equal(u64(v), expected);
        (void)snprintf(expected, sizeof(expected), "%" PRId64, (int64_t)v);
        assert_string_equal(i64((int64_t)v), expected);
    }
    assert_string_equal(i64(INT64_MIN), "-9223372036854775808");
    assert_string_equal(u64(UINT64_MAX), "18446744073709551615");
}

static void decimals_are_as_they_were_written(void **state)
{
    static const struct {
        double v;
        const char *text;
    } cases[] = {
        {0, "0"},           {-0.0, "-0"},         {1, "1"},          {-1.5, "-1.5"},
        {0.1, "0.1"},       {12.34, "12.34"},     {0.001, "0.001"},  {100000, "100000"},
        {0.1 + 0.2, "0.30000000000000004"},       {1.0 / 3, "0.3333333333333333"},
        {999999999999999, "999999999999999"},     {1e15, "1e+15"},   {1e22, "1e+22"},
        {1e-5, "1e-05"},    {1.5e300, "1.5e+300"}, {5e-324, "5e-324"},
        {1.7976931348623157e308, "1.7976931348623157e+308"},
        {123456.789012, "123456.789012"},         {0.000123, "0.000123"},
        {9007199254740993.0, "9007199254740992"}, {1700000000.123456, "1700000000.123456"},
        {(double)INFINITY, "Infinity"},           {-(double)INFINITY, "-Infinity"},
        {(double)NAN, "NaN"},                     {-(double)NAN, "NaN"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_string_equal(f64(cases[i].v), cases[i].text);
}

static void f32_is_no_longer_than_it_need_be(void **state)
{
    (void)state;
    assert_string_equal(ended(text_f32((uint8_t *)text, 0.1f)), "0.1");
    assert_string_equal(ended(text_f32((uint8_t *)text, 3.4028235e38f)), "3.4028235e+38");
    assert_string_equal(ended(text_f32((uint8_t *)text, -(float)INFINITY)), "-Infinity");
    srandom(2);
    for (int i = 0; i < 100000; i++) {
        uint32_t word = (uint32_t)bits();
        float v, back;

        memcpy(&v, &word, sizeof(v));
        if (!isfinite(v))
            continue;
        back = strtof(ended(text_f32((uint8_t *)text, v)), NULL);
        assert_memory_equal(&back, &v, sizeof(v));
    }
}

/* Significant digits: without sign, point, leading and trailing zeros, exponent. */
static int digits_of(const char *number)
{
    int count = 0, zeros = 0;

    for (; *number != '\0' && *number != 'e'; number++) {
        if (*number < '0' || *number > '9' || (*number == '0' && count == 0))
            continue;
        zeros = *number == '0' ? zeros + 1 : 0;
        count++;
    }
    return count - zeros;
}

static void expect_shortest(double v)
{
    char shorter[40];
    int digits;
    double back = strtod(f64(v), NULL);

    assert_memory_equal(&back, &v, sizeof(v));
    digits = digits_of(text);
    /* Without point and exponent, more digits can be less text. */
    if (digits > 1 && strpbrk(text, ".e") != NULL) {
        (void)snprintf(shorter, sizeof(shorter), "%.*e", digits - 2, v);
        if (strtod(shorter, NULL) == v)
            fail_msg("%s is not the shortest: %s", text, shorter);
    }
}

static void every_double_reads_back_and_none_is_longer_than_it_need_be(void **state)
{
    (void)state;
    srandom(3);
    for (int i = 0; i < 200000; i++) {
        uint64_t word = bits();
        double v;

        memcpy(&v, &word, sizeof(v));
        if (isfinite(v))
            expect_shortest(v);
        /* Decimals, and their neighbours, which are none. */
        v = (double)(int64_t)(bits() >> (14 + random() % 50)) / pow(10, (double)(random() % 9));
        expect_shortest(v);
        expect_shortest(nextafter(v, 1e300));
        expect_shortest(-nextafter(v, 0));
    }
}

/* Two decimals have a way of their own: evenly up to 100,000, and random ones beyond. */
static void amounts_are_as_they_were_written(void **state)
{
    char expected[40];

    (void)state;
    srandom(6);
    for (uint64_t i = 0; i < 3000000; i++) {
        uint64_t cents = i < 1000000 ? i * 10 + i % 10 : bits() % 1100000000000000 >> random() % 40;
        int len = snprintf(expected, sizeof(expected), "%" PRIu64 ".%02u", cents / 100,
                           (unsigned)(cents % 100));
        double v = (double)cents / 100;

        if (v >= 1e13)
            continue;
        while (expected[len - 1] == '0')
            expected[--len] = '\0';
        if (expected[len - 1] == '.')
            expected[--len] = '\0';
        assert_string_equal(f64(v), expected);
    }
}

static void times_agree_with_the_calendar_of_the_library(void **state)
{
    char expected[64];

    (void)state;
    srandom(4);
    for (int i = 0; i < 300000; i++) {
        /* Years 0 to 9999; then each day of four centuries. */
        int64_t second = i < 150000 ? (int64_t)(bits() % 315569520000U) - INT64_C(62167219200)
                                    : ((int64_t)i - 200000) * 86400 - 1;
        int64_t fraction = random() % 1000000;
        time_t t = (time_t)second;
        struct tm tm;

        assert_non_null(gmtime_r(&t, &tm));
        (void)snprintf(expected, sizeof(expected), "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ",
                       tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min,
                       tm.tm_sec, (int)fraction);
        assert_string_equal(timestamp(second * 1000000 + fraction), expected);
    }
}

static void times_out_of_four_digits_have_a_sign(void **state)
{
    (void)state;
    assert_string_equal(timestamp(0), "1970-01-01T00:00:00.000000Z");
    assert_string_equal(timestamp(-1), "1969-12-31T23:59:59.999999Z");
    assert_string_equal(timestamp(INT64_C(253402300800000000)), "+010000-01-01T00:00:00.000000Z");
    assert_string_equal(timestamp(INT64_C(-62167219200000000)), "0000-01-01T00:00:00.000000Z");
    assert_string_equal(timestamp(INT64_C(-62167219200000001)), "-000001-12-31T23:59:59.999999Z");
    assert_string_equal(timestamp(INT64_MAX), "+294247-01-10T04:00:54.775807Z");
    assert_string_equal(timestamp(INT64_MIN), "-290308-12-21T19:59:05.224192Z");
}

static uint8_t folded_byte(uint8_t c)
{
    return c == '\n' || c == '\r' ? ' ' : c;
}

static void folding_leaves_all_but_line_ends(void **state)
{
    uint8_t from[80], to[80 + TEXT_SLACK];

    (void)state;
    srandom(5);
    for (int i = 0; i < 20000; i++) {
        size_t len = (size_t)random() % sizeof(from);

        for (size_t at = 0; at < len; at++)
            from[at] = (uint8_t)(random() % 3 ? random() : "\n\r"[random() % 2]);
        assert_ptr_equal(text_folded(to, from, len), to + len);
        for (size_t at = 0; at < len; at++)
            assert_int_equal(to[at], folded_byte(from[at]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_of_every_length_are_as_printf_has_them),
        cmocka_unit_test(decimals_are_as_they_were_written),
        cmocka_unit_test(f32_is_no_longer_than_it_need_be),
        cmocka_unit_test(every_double_reads_back_and_none_is_longer_than_it_need_be),
        cmocka_unit_test(amounts_are_as_they_were_written),
        cmocka_unit_test(times_agree_with_the_calendar_of_the_library),
        cmocka_unit_test(times_out_of_four_digits_have_a_sign),
        cmocka_unit_test(folding_leaves_all_but_line_ends),
    };

    return cmocka_run_group_tests_name("text", tests, NULL, NULL);
}
