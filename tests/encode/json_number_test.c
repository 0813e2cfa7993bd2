/*
 * What numbers are worth, against the C library.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "encode/json_reader.h"

/* The number of `text` as the reader reads it. */
static void number_read(struct json_reader *r, const char *text, struct json_member *ret_member)
{
    static char object[1024];
    const uint8_t *at;

    (void)snprintf(object, sizeof(object), "{\"n\":%s}", text);
    at = json_reader_begin(r, (uint8_t *)object, strlen(object));
    if (json_reader_next(r, at, ret_member) == NULL)
        fail_msg("%s: %s", text, r->why);
    assert_int_equal(ret_member->kind, JSON_KIND_NUMBER);
    assert_int_equal(ret_member->len, strlen(text));
}

static void expect_double(struct json_reader *r, const char *text)
{
    double expected = strtod(text, NULL), found = 0;
    struct json_member m;
    bool finite;

    number_read(r, text, &m);
    finite = json_number_f64(&m.number, m.text, m.len, &found);
    if (finite != (expected - expected == 0) ||
        (finite && memcmp(&found, &expected, sizeof(found)) != 0))
        fail_msg("%s: %d, %.17g", text, finite, found);
}

static void doubles_are_the_nearest_ones(void **state)
{
    struct json_reader r;
    uint64_t random = 3;
    char text[400];

    (void)state;
    assert_int_equal(json_reader_init(&r, NULL, NULL, JSON_KEY_UNKNOWN), 0);
    for (int i = 0; i < 100000; i++) {
        double value;

        random = random * 6364136223846793005ULL + 1442695040888963407ULL;
        memcpy(&value, &random, sizeof(value));
        if (value - value != 0)
            continue;
        (void)snprintf(text, sizeof(text), "%.*g", 1 + i % 25, value);
        if (strchr(text, '+'))
            memmove(strchr(text, '+'), strchr(text, '+') + 1, strlen(strchr(text, '+')));
        expect_double(&r, text);
        (void)snprintf(text, sizeof(text), "%lld.%0*llu", (long long)(random >> (i % 64)),
                       1 + i % 12, (unsigned long long)(random >> (20 + i % 40)));
        expect_double(&r, text);
        (void)snprintf(text, sizeof(text), "-%llue%d", (unsigned long long)(random >> (i % 60)),
                       i % 60 - 30);
        expect_double(&r, text);
    }
    /* Halfway between two doubles, and just beside. */
    expect_double(&r, "9007199254740993");
    expect_double(&r, "9007199254740993.00000000000000000000000000000000000001");
    expect_double(&r, "9007199254740992.99999999999999999999999999999999999999");
    json_reader_fini(&r);
}

static void integers_end_where_their_types_end(void **state)
{
    static const struct {
        const char *text;
        bool i64, u64;
    } cases[] = {
        {"0", true, true}, {"-0", true, true}, {"-1", true, false},
        {"9223372036854775807", true, true}, {"9223372036854775808", false, true},
        {"-9223372036854775808", true, false}, {"-9223372036854775809", false, false},
        {"18446744073709551615", false, true}, {"18446744073709551616", false, false},
        {"19999999999999999999", false, false}, {"20000000000000000000", false, false},
        {"99999999999999999999", false, false}, {"100000000000000000000", false, false},
        {"184467440737095516170", false, false}, {"1.0", false, false}, {"1e0", false, false},
    };
    struct json_reader r;

    (void)state;
    assert_int_equal(json_reader_init(&r, NULL, NULL, JSON_KEY_UNKNOWN), 0);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct json_member m;
        uint64_t u = 0;
        int64_t n = 0;

        number_read(&r, cases[i].text, &m);
        if (json_number_i64(&m.number, &n) != cases[i].i64 ||
            json_number_u64(&m.number, &u) != cases[i].u64)
            fail_msg("%s: %lld %llu", cases[i].text, (long long)n, (unsigned long long)u);
        if (cases[i].i64)
            assert_true(n == strtoll(cases[i].text, NULL, 10));
        if (cases[i].u64)
            assert_true(u == strtoull(cases[i].text, NULL, 10));
    }
    json_reader_fini(&r);
}

static void classes_keep_every_digit_of_integers(void **state)
{
    static const struct {
        const char *text;
        enum json_number_class class;
    } cases[] = {
        {"0", JSON_NUMBER_SMALL}, {"-9007199254740992", JSON_NUMBER_SMALL},
        {"9007199254740993", JSON_NUMBER_WIDE}, {"-9223372036854775808", JSON_NUMBER_WIDE},
        {"9223372036854775808", JSON_NUMBER_REAL}, {"9223372036854775809", JSON_NUMBER_TEXT},
        {"-9223372036854775809", JSON_NUMBER_TEXT}, {"1000000000000000000000", JSON_NUMBER_REAL},
        {"1000000000000000000001", JSON_NUMBER_TEXT}, {"1.0", JSON_NUMBER_REAL},
        {"1e300", JSON_NUMBER_REAL}, {"1e308", JSON_NUMBER_REAL}, {"1e309", JSON_NUMBER_TEXT},
        {"1e-400", JSON_NUMBER_REAL}, {"-1e999999999999999999", JSON_NUMBER_TEXT},
        {"0e999999999999999999", JSON_NUMBER_REAL}, {"-0.000e400", JSON_NUMBER_REAL},
    };
    struct json_reader r;

    (void)state;
    assert_int_equal(json_reader_init(&r, NULL, NULL, JSON_KEY_UNKNOWN), 0);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct json_member m;

        number_read(&r, cases[i].text, &m);
        if (json_number_class(&m.number, m.text, m.len) != cases[i].class)
            fail_msg("%s: class %d", cases[i].text,
                     (int)json_number_class(&m.number, m.text, m.len));
    }
    json_reader_fini(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(doubles_are_the_nearest_ones),
        cmocka_unit_test(integers_end_where_their_types_end),
        cmocka_unit_test(classes_keep_every_digit_of_integers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
