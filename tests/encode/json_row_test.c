/*
 * Rows out of JSON objects: which cells, which misfits, and that nothing invalid gets through.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "encode/cell_read.h"
#include "encode/json_check.h"
#include "encode/json_row.h"

enum { CELLS_MAX = 32 };

/* One parser; the last event is an exact heap copy, so that ASan sees a read past its end. */
struct fixture {
    struct schema schema;
    struct json_row *row;
    uint8_t *event;
    struct cell cells[CELLS_MAX];
};

static void names_make(struct schema *s, const char *text)
{
    assert_int_equal(schema_parse(text, s, NULL), 0);
}

static struct fixture *fixture_open(const char *columns, const char *skip, unsigned int flags)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct schema skipped;

    assert_non_null(f);
    names_make(&f->schema, columns);
    names_make(&skipped, skip ? skip : "");
    assert_true(f->schema.count <= CELLS_MAX);
    assert_int_equal(json_row_open(&f->schema, skip ? &skipped : NULL, flags, &f->row), 0);
    schema_fini(&skipped);
    return f;
}

static void fixture_close(struct fixture *f)
{
    json_row_close(f->row);
    schema_fini(&f->schema);
    free(f->event);
    free(f);
}

static enum json_row_result take_bytes(struct fixture *f, const char *text, size_t len)
{
    free(f->event);
    f->event = malloc(len > 0 ? len : 1);
    assert_non_null(f->event);
    memcpy(f->event, text, len);
    memset(f->cells, 0xa5, sizeof(f->cells));
    return json_row_take(f->row, f->event, len, f->cells);
}

static enum json_row_result take(struct fixture *f, const char *text)
{
    return take_bytes(f, text, strlen(text));
}

static void expect(struct fixture *f, const char *text, enum json_row_result expected)
{
    enum json_row_result result = take(f, text);

    if (result != expected)
        fail_msg("%s: result %d, expected %d (%s)", text, (int)result, (int)expected,
                 result == JSON_ROW_TAKEN ? "taken" : json_row_error(f->row)->why);
}

static void expect_text(const struct cell *c, enum cell_type type, const char *text, size_t len)
{
    assert_int_equal(c->type, type);
    assert_int_equal(c->len, len);
    assert_memory_equal(c->u.s, text, len);
}

#define EXPECT_TEXT(cell, type, literal) expect_text(cell, type, literal, sizeof(literal) - 1)

static void converts_each_type(void **state)
{
    struct fixture *f = fixture_open("b bool, i i32, l i64, u u64, f f32, d f64, s string, "
                                     "y bytes, t timestamp", NULL, JSON_ROW_STRICT);

    (void)state;
    expect(f, "{\"b\":true,\"i\":-2147483648,\"l\":-9223372036854775808,"
           "\"u\":18446744073709551615,\"f\":1.5,\"d\":-0.1e1,\"s\":\"x\",\"y\":\"Zm8=\","
           "\"t\":\"1970-01-01T00:00:01.5Z\"}", JSON_ROW_TAKEN);
    assert_int_equal(f->cells[0].type, CELL_BOOL);
    assert_int_equal(f->cells[0].u.i, 1);
    assert_int_equal(f->cells[1].type, CELL_I64);
    assert_int_equal(f->cells[1].u.i, INT32_MIN);
    assert_int_equal(f->cells[2].type, CELL_I64);
    assert_true(f->cells[2].u.i == INT64_MIN);
    assert_int_equal(f->cells[3].type, CELL_U64);
    assert_true(f->cells[3].u.u == UINT64_MAX);
    assert_int_equal(f->cells[4].type, CELL_F64);
    assert_true(f->cells[4].u.f == 1.5);
    assert_int_equal(f->cells[5].type, CELL_F64);
    assert_true(f->cells[5].u.f == -1.0);
    EXPECT_TEXT(&f->cells[6], CELL_STRING, "x");
    EXPECT_TEXT(&f->cells[7], CELL_BYTES, "fo");
    assert_int_equal(f->cells[8].type, CELL_TIMESTAMP);
    assert_int_equal(f->cells[8].u.i, 1500000);

    expect(f, "{\"t\":-1,\"s\":[1, {\"a\":\"b\\n\"}] , \"b\":false}", JSON_ROW_TAKEN);
    assert_int_equal(f->cells[8].type, CELL_TIMESTAMP);
    assert_int_equal(f->cells[8].u.i, -1);
    EXPECT_TEXT(&f->cells[6], CELL_JSON, "[1, {\"a\":\"b\\n\"}]");
    assert_int_equal(f->cells[0].u.i, 0);
    for (int i = 1; i < 6; i++)
        assert_int_equal(f->cells[i].type, CELL_NULL);

    expect(f, "{\"b\":null,\"i\":null,\"l\":null,\"u\":null,\"f\":null,\"d\":null,\"s\":null,"
           "\"y\":null,\"t\":null}", JSON_ROW_TAKEN);
    for (int i = 0; i < 9; i++)
        assert_int_equal(f->cells[i].type, CELL_NULL);
    fixture_close(f);
}

/* Texts of values against the one column of a schema. */
static void expect_values(const char *columns, unsigned int flags, enum json_row_result expected,
                          const char *const *values)
{
    struct fixture *f = fixture_open(columns, NULL, flags);
    char text[512];

    for (; *values != NULL; values++) {
        (void)snprintf(text, sizeof(text), "{\"c\": %s }", *values);
        expect(f, text, expected);
        if (expected == JSON_ROW_MISFIT_TYPE) {
            assert_int_equal(json_row_error(f->row)->column, 0);
            assert_int_equal(json_row_error(f->row)->key_len, 1);
            assert_memory_equal(json_row_error(f->row)->key, "c", 1);
            assert_non_null(json_row_error(f->row)->why);
        }
    }
    fixture_close(f);
}

#define VALUES(...) ((const char *const[]){__VA_ARGS__, NULL})

static void refuses_values_of_other_types(void **state)
{
    (void)state;
    expect_values("c bool", JSON_ROW_STRICT, JSON_ROW_MISFIT_TYPE,
                  VALUES("1", "0", "\"true\"", "{}", "[]"));
    expect_values("c i32", JSON_ROW_STRICT, JSON_ROW_MISFIT_TYPE,
                  VALUES("2147483648", "-2147483649", "1.0", "1e3", "\"1\"", "true", "{}",
                         "18446744073709551616", "9999999999999999999999999999"));
    expect_values("c i64", JSON_ROW_STRICT, JSON_ROW_MISFIT_TYPE,
                  VALUES("9223372036854775808", "-9223372036854775809", "1.0", "-0.0", "1e3",
                         "18446744073709551617", "99999999999999999999", "28446744073709551616"));
    expect_values("c u64", JSON_ROW_STRICT, JSON_ROW_MISFIT_TYPE,
                  VALUES("-1", "18446744073709551616", "18446744073709551617", "1.5",
                         "20000000000000000000", "100000000000000000000", "\"\""));
    expect_values("c f64", JSON_ROW_STRICT, JSON_ROW_MISFIT_TYPE,
                  VALUES("1e999", "-1e309", "1.8e308", "\"1\"", "false", "[1]"));
    expect_values("c f32", JSON_ROW_STRICT, JSON_ROW_MISFIT_TYPE, VALUES("3.5e38", "-1e39"));
    expect_values("c string", JSON_ROW_STRICT, JSON_ROW_MISFIT_TYPE, VALUES("1", "true", "1.5"));
    expect_values("c bytes", JSON_ROW_STRICT, JSON_ROW_MISFIT_TYPE,
                  VALUES("\"x\"", "\"Zg\"", "1", "true", "{}"));
    expect_values("c timestamp", JSON_ROW_STRICT, JSON_ROW_MISFIT_TYPE,
                  VALUES("1.5", "\"\"", "\"2026-02-30T00:00:00Z\"", "true", "-62167219200000001",
                         "253402300800000000", "9223372036854775808"));
    expect_values("c timestamp", JSON_ROW_STRICT, JSON_ROW_TAKEN,
                  VALUES("-62167219200000000", "253402300799999999", "null"));
}

static void inferred_columns_lose_no_digit(void **state)
{
    (void)state;
    expect_values("c f64", 0, JSON_ROW_TAKEN,
                  VALUES("9007199254740992", "-9007199254740992", "18446744073709551616",
                         "100000000000000000000", "0.1234567890123456789", "1e300"));
    expect_values("c f64", 0, JSON_ROW_MISFIT_TYPE,
                  VALUES("9007199254740993", "9223372036854775807", "18446744073709551617",
                         "18446744073709551621", "100000000000000000001", "1e999"));
    expect_values("c f64", JSON_ROW_STRICT, JSON_ROW_TAKEN,
                  VALUES("9007199254740993", "18446744073709551617", "1e-999", "0e999999999999"));
    expect_values("c string", 0, JSON_ROW_TAKEN,
                  VALUES("1", "true", "1e999", "\"x\"", "{}", "99999999999999999999999999"));
}

static void strings_take_the_text_of_scalars_unless_declared(void **state)
{
    struct fixture *f = fixture_open("a string, b string", NULL, 0);

    (void)state;
    expect(f, "{\"a\":-1.50e+2 ,\"b\":false}", JSON_ROW_TAKEN);
    EXPECT_TEXT(&f->cells[0], CELL_STRING, "-1.50e+2");
    EXPECT_TEXT(&f->cells[1], CELL_STRING, "false");
    fixture_close(f);
}

static void numbers_stay_as_written_where_text_is_asked_for(void **state)
{
    struct fixture *f = fixture_open("a f64, b i64, c timestamp, d string", NULL,
                                     JSON_ROW_STRICT | JSON_ROW_NUMBERS_AS_TEXT);

    (void)state;
    expect(f, "{\"a\":1.50E0,\"b\":-0,\"c\":12,\"d\":\"1\"}", JSON_ROW_TAKEN);
    EXPECT_TEXT(&f->cells[0], CELL_NUMBER, "1.50E0");
    EXPECT_TEXT(&f->cells[1], CELL_NUMBER, "-0");
    assert_int_equal(f->cells[2].type, CELL_TIMESTAMP);
    EXPECT_TEXT(&f->cells[3], CELL_STRING, "1");
    expect(f, "{\"a\":1e999}", JSON_ROW_MISFIT_TYPE);
    expect(f, "{\"b\":1.5}", JSON_ROW_MISFIT_TYPE);
    fixture_close(f);
}

static void rounds_doubles_to_the_last_bit(void **state)
{
    static const char *const texts[] = {
        "0.1", "1e22", "1e23", "9007199254740993", "123456789012345678", "2.2250738585072011e-308",
        "2.2250738585072014e-308", "4.9e-324", "2e-324", "1.7976931348623157e308", "0e0", "-0.0",
        "0.30000000000000004", "8.988465674311579e307", "1234567890.0987654321e-5", "5e-1",
        "179769313486231570000000000000000000000", "0.000001", "7e-45", "12.34",
        "0.8444218515250481", "9999999999999999999", "99999999999999999999", "0.1e-400", NULL
    };
    struct fixture *f = fixture_open("c f64", NULL, JSON_ROW_STRICT);
    char text[512];

    (void)state;
    for (size_t i = 0; texts[i] != NULL; i++) {
        double expected = strtod(texts[i], NULL);

        (void)snprintf(text, sizeof(text), "{\"c\":%s}", texts[i]);
        expect(f, text, JSON_ROW_TAKEN);
        assert_int_equal(f->cells[0].type, CELL_F64);
        if (memcmp(&f->cells[0].u.f, &expected, sizeof(expected)) != 0)
            fail_msg("%s: %.17g", texts[i], f->cells[0].u.f);
    }
    fixture_close(f);
}

/* Far from 1 with many zeros: what the exponent says is not what the number is. */
static void tells_too_large_from_too_small(void **state)
{
    struct fixture *f = fixture_open("c f64", NULL, JSON_ROW_STRICT);
    char zeros[1001], text[1100];

    (void)state;
    memset(zeros, '0', sizeof(zeros) - 1);
    zeros[sizeof(zeros) - 1] = '\0';
    (void)snprintf(text, sizeof(text), "{\"c\":0.%s1e400}", zeros);
    expect(f, text, JSON_ROW_TAKEN);
    assert_true(f->cells[0].u.f == 0);
    (void)snprintf(text, sizeof(text), "{\"c\":0.%s1e1002}", zeros);
    expect(f, text, JSON_ROW_TAKEN);
    assert_true(f->cells[0].u.f == 10);
    (void)snprintf(text, sizeof(text), "{\"c\":0.%s1e1400}", zeros);
    expect(f, text, JSON_ROW_MISFIT_TYPE);
    (void)snprintf(text, sizeof(text), "{\"c\":1%s}", zeros);
    expect(f, text, JSON_ROW_MISFIT_TYPE);
    (void)snprintf(text, sizeof(text), "{\"c\":1%se-1000}", zeros);
    expect(f, text, JSON_ROW_TAKEN);
    assert_true(f->cells[0].u.f == 1);
    (void)snprintf(text, sizeof(text), "{\"c\":1e99999999999999999999}");
    expect(f, text, JSON_ROW_MISFIT_TYPE);
    (void)snprintf(text, sizeof(text), "{\"c\":-1e-99999999999999999999}");
    expect(f, text, JSON_ROW_TAKEN);
    assert_true(f->cells[0].u.f == 0);
    fixture_close(f);
}

/* Every length of digits, everywhere against the end of the text. */
static void reads_integers_of_every_length(void **state)
{
    struct fixture *f = fixture_open("c i64, x i64", NULL, JSON_ROW_STRICT);
    int64_t value = 0;
    char text[128];

    (void)state;
    for (int digits = 1; digits <= 18; digits++) {
        value = value * 10 + digits % 10;
        for (int sign = -1; sign <= 1; sign += 2)
            for (int spaces = 0; spaces < 20; spaces++) {
                (void)snprintf(text, sizeof(text), "{\"c\":%lld%*s}", (long long)value * sign,
                               spaces, "");
                expect(f, text, JSON_ROW_TAKEN);
                assert_true(f->cells[0].u.i == value * sign);
                (void)snprintf(text, sizeof(text), "{\"x\":%lld,\"c\":%lld}",
                               (long long)value * sign, (long long)value);
                expect(f, text, JSON_ROW_TAKEN);
                assert_true(f->cells[0].u.i == value && f->cells[1].u.i == value * sign);
            }
    }
    fixture_close(f);
}

static void unescapes_strings_and_keys(void **state)
{
    struct fixture *f = fixture_open("\"a\"\"b\" string, \"caf\xc3\xa9\" string, c bytes, "
                                     "d string, t timestamp", NULL, JSON_ROW_STRICT);

    (void)state;
    for (int again = 0; again < 2; again++) {
        expect(f, "{\"a\\\"b\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0000\\u00e4\\u20aC\\uD83D\\ude00x\","
               "\"caf\\u00e9\":\"\\u0041\",\"\\u0063\":\"AP\\/+++8=\",\"d\":\"plain\","
               "\"t\":\"1970\\u002d01-01T00:00:00Z\"}", JSON_ROW_TAKEN);
        EXPECT_TEXT(&f->cells[0], CELL_STRING,
                    "\"\\/\b\f\n\r\t\0\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80x");
        EXPECT_TEXT(&f->cells[1], CELL_STRING, "A");
        EXPECT_TEXT(&f->cells[2], CELL_BYTES, "\0\xff\xfe\xfb\xef");
        EXPECT_TEXT(&f->cells[3], CELL_STRING, "plain");
        assert_int_equal(f->cells[4].u.i, 0);
        expect(f, "{\"caf\xc3\xa9\":\"\xf0\x9f\x98\x80\",\"d\":\"\"}", JSON_ROW_TAKEN);
        EXPECT_TEXT(&f->cells[1], CELL_STRING, "\xf0\x9f\x98\x80");
        EXPECT_TEXT(&f->cells[3], CELL_STRING, "");
        assert_int_equal(f->cells[0].type, CELL_NULL);
    }
    /* A name that needs an escape is not taken as it is. */
    expect(f, "{\"a\"b\":\"x\"}", JSON_ROW_INVALID);
    fixture_close(f);
}

static void finds_keys_in_any_order(void **state)
{
    static const char *const names[] = {
        "a", "bc", "sixbyt", "seven_b", "eight_by", "thirteen_byte", "fourteen_bytes",
        "fifteen_bytes__", "sixteen_bytes___", "a_name_of_many_more_bytes",
        "a_name_of_many_more_byteS"
    };
    enum { NAMES = sizeof(names) / sizeof(names[0]) };
    struct fixture *f;
    char columns[512] = "", text[1024];
    uint64_t random = 1;

    (void)state;
    for (size_t i = 0; i < NAMES; i++)
        (void)snprintf(columns + strlen(columns), sizeof(columns) - strlen(columns), "%s%s i64",
                       i > 0 ? ", " : "", names[i]);
    f = fixture_open(columns, NULL, JSON_ROW_STRICT);
    for (int event = 0; event < 5000; event++) {
        int64_t expected[NAMES] = {0};
        size_t at = 1, members;

        random = random * 6364136223846793005ULL + 1442695040888963407ULL;
        members = random >> 60;
        text[0] = '{';
        for (size_t i = 0; i < members; i++) {
            /* Half of the events have a row of keys in order. */
            size_t name = random >> 59 & 1 ? i % NAMES : random >> (3 * i) & 7;

            expected[name] = (int64_t)(i + 1);
            at += (size_t)snprintf(text + at, sizeof(text) - at, "%s\"%s\"%*s:%*s%zu",
                                   i > 0 ? "," : "", names[name], (int)(random >> 40 & 1), "",
                                   (int)(random >> 41 & 3), "", i + 1);
        }
        (void)snprintf(text + at, sizeof(text) - at, "}");
        expect(f, text, JSON_ROW_TAKEN);
        for (size_t i = 0; i < NAMES; i++) {
            assert_int_equal(f->cells[i].type, expected[i] ? CELL_I64 : CELL_NULL);
            assert_true(!expected[i] || f->cells[i].u.i == expected[i]);
        }
    }
    fixture_close(f);
}

static void the_last_of_equal_keys_counts(void **state)
{
    struct fixture *f = fixture_open("a i64, b string", NULL, JSON_ROW_STRICT);

    (void)state;
    expect(f, "{\"a\":1,\"b\":\"x\",\"a\":2,\"b\":null}", JSON_ROW_TAKEN);
    assert_int_equal(f->cells[0].u.i, 2);
    assert_int_equal(f->cells[1].type, CELL_NULL);
    expect(f, "{\"a\":\"x\",\"a\":2}", JSON_ROW_MISFIT_TYPE);
    fixture_close(f);
}

static void names_the_first_misfit(void **state)
{
    struct fixture *f = fixture_open("a i64, b string", NULL, JSON_ROW_STRICT);

    (void)state;
    expect(f, "{\"a\":1,\"\\u006eew\":2,\"newer\":3,\"a\":\"x\"}", JSON_ROW_MISFIT_KEY);
    assert_int_equal(json_row_error(f->row)->key_len, 3);
    assert_memory_equal(json_row_error(f->row)->key, "new", 3);
    assert_int_equal(json_row_error(f->row)->column, -1);
    expect(f, "{\"b\":1,\"new\":2}", JSON_ROW_MISFIT_TYPE);
    assert_int_equal(json_row_error(f->row)->column, 1);
    assert_memory_equal(json_row_error(f->row)->key, "b", 1);
    expect(f, "{\"\":1}", JSON_ROW_MISFIT_KEY);
    assert_int_equal(json_row_error(f->row)->key_len, 0);
    expect(f, "{\"b\":1,\"new\":2", JSON_ROW_INVALID);
    assert_non_null(json_row_error(f->row)->why);
    assert_int_equal(json_row_error(f->row)->where, 14);
    fixture_close(f);
}

static void passes_over_keys_but_checks_them(void **state)
{
    struct fixture *f = fixture_open("a i64", "drop string, \"\xc3\xa4\" string", JSON_ROW_STRICT);

    (void)state;
    for (int again = 0; again < 3; again++) {
        expect(f, "{\"drop\":[{\"x\":\"y\"},1e999],\"a\":1,\"\xc3\xa4\":null}", JSON_ROW_TAKEN);
        assert_int_equal(f->cells[0].u.i, 1);
        expect(f, "{\"drop\":[{\"x\":\"y\"},1e],\"a\":1}", JSON_ROW_INVALID);
        expect(f, "{\"drop\":\"\xff\",\"a\":1}", JSON_ROW_INVALID);
        expect(f, "{\"drop\":1,\"dropped\":1}", JSON_ROW_MISFIT_KEY);
    }
    fixture_close(f);
}

static void closed_passes_over_all_other_keys(void **state)
{
    struct fixture *f = fixture_open("a i64", "drop string", JSON_ROW_STRICT | JSON_ROW_CLOSED);
    char text[64];

    (void)state;
    /* More of them than are remembered, some twice. */
    for (int i = 0; i < 1000; i++) {
        (void)snprintf(text, sizeof(text), "{\"k%d\":\"\",\"a\":%d,\"k%d\":true,\"drop\":1}", i,
                       i, i % 300);
        expect(f, text, JSON_ROW_TAKEN);
        assert_int_equal(f->cells[0].u.i, i);
    }
    /* A name that is not UTF-8 is refused each time. */
    for (int again = 0; again < 3; again++)
        expect(f, "{\"\xff\":1,\"a\":1}", JSON_ROW_INVALID);
    fixture_close(f);

    f = fixture_open("", NULL, JSON_ROW_CLOSED);
    for (int again = 0; again < 3; again++) {
        expect(f, "{\"\xff\":1,\"a\":1}", JSON_ROW_INVALID);
        expect(f, "{\"k\":1,\"a\":1}", JSON_ROW_TAKEN);
    }
    fixture_close(f);
}

/* --- hostile input ------------------------------------------------------------------------- */

static struct json_checker *checker;

/* No object by json_classify() gets through, and each of them does. */
static void expect_judged(struct fixture *f, const char *text, size_t len)
{
    enum json_class class = json_classify(checker, text, len);
    enum json_row_result result = take_bytes(f, text, len);

    if ((class == JSON_CLASS_OBJECT) != (result != JSON_ROW_INVALID))
        fail_msg("%.*s: class %d, result %d (%s)", (int)(len < 200 ? len : 200), text, (int)class,
                 (int)result, json_row_error(f->row)->why);
}

static const char sample[] = "{\"a\": -1.5e+3 ,\"b\":\"x\\u00e4\\ud83d\\ude00\\n\xc3\xa4\",\"c\":["
                             "1,{},[],{\"d\":[true,false,null,\"\"]}],\"e\":{\"f\":0.1},\"g\":true,"
                             "\"long_name_of_a_key\":12345678901234567890}";

static void judges_as_the_check_does_wherever_cut(void **state)
{
    struct fixture *f = fixture_open("a f64, b string, long_name_of_a_key u64", NULL,
                                     JSON_ROW_CLOSED);

    (void)state;
    expect_judged(f, sample, sizeof(sample) - 1);
    for (size_t cut = 0; cut < sizeof(sample) - 1; cut++) {
        expect_judged(f, sample, cut);
        expect_judged(f, sample + cut, sizeof(sample) - 1 - cut);
    }
    fixture_close(f);
}

static void judges_as_the_check_does_whatever_is_changed(void **state)
{
    static const char bytes[] = "\0\x01\t\n \"\\{}[]:,.-+eE0159uatfn\x7f\x80\xc3\xed\xff";
    struct fixture *f = fixture_open("a f64, b string, long_name_of_a_key u64", NULL,
                                     JSON_ROW_CLOSED);
    char text[sizeof(sample) + 1];

    (void)state;
    for (size_t at = 0; at < sizeof(sample) - 1; at++)
        for (size_t byte = 0; byte < sizeof(bytes) - 1; byte++) {
            memcpy(text, sample, sizeof(sample));
            text[at] = bytes[byte];
            expect_judged(f, text, sizeof(sample) - 1);
            memmove(text + at + 1, sample + at, sizeof(sample) - at);
            expect_judged(f, text, sizeof(sample));
            memcpy(text + at, sample + at + 1, sizeof(sample) - at - 1);
            expect_judged(f, text, sizeof(sample) - 2);
        }
    fixture_close(f);
}

static void judges_odd_texts_as_the_check_does(void **state)
{
    static const char *const texts[] = {
        "", " ", "{", "}", "{}", " { } ", "{}{}", "{}x", "}{", "[]", "1", "\"{}\"", "{\"a\"}",
        "{\"a\":}", "{,}", "{\"a\":1,}", "{\"a\":1 \"b\":2}", "{\"a\":tru}", "{\"a\":t}",
        "{\"a\":truee}", "{\"a\":nul", "{\"a\":\"}", "{\"a\":\"\\}", "{\"a\":\"\\u}",
        "{\"a\":\"\\u12}", "{\"a\":\"\\ud83d\\u}", "{\"a\":\"\\ud83d\"}", "{\"a\":\"\\ude00\"}",
        "{\"a\":\"\\ud83d\\u0041\"}", "{\"a\":\"\\ud83d\\ud83d\"}", "\xef\xbb\xbf{}",
        "{\"a\":1}\xef\xbb\xbf", "{\"a\":1}                                ",
        "                                  {\"a\":1}", "{\"\":\"\"}", "{\"a\":[}", "{\"a\":{}",
        "{\"a\":[]", "{\"a\":[[}", "{\"a\":{\"b\":{}}", "{\"a\":{\"b\"}}", "{\"a\":[1}}",
        "{\"a\":{]}", "{\"a\":[}]}", "{\"a\":-}", "{\"a\":- 1}", "{\"a\":01}", "{\"a\":1.}",
        "{\"a\":1e+}", "{\"a\":1.e1}", "{\"a\":.1}", "{\"a\":Infinity}", "{\"a\":0x1}",
        "{\"a\":1_}", "{\"\xff\":1}", "{\"a\":\"\xed\xa0\x80\"}", "{\"a\":1\xc3\xa4}",
        "{\"a\":\"\x7f\"}", "{\"a\":1}\v", "\f{}", "{\"\\ud800\":1}", "{\"a\\\":1}", NULL
    };
    struct fixture *f = fixture_open("a string", NULL, JSON_ROW_CLOSED);

    (void)state;
    for (size_t i = 0; texts[i] != NULL; i++)
        expect_judged(f, texts[i], strlen(texts[i]));
    expect_judged(f, "{}\0", 3);
    expect_judged(f, "{\0}", 3);
    expect_judged(f, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0}", 18);
    expect_judged(f, "{\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0}", 22);
    expect_judged(f, "{\"a\":\"\0\"}", 9);
    fixture_close(f);
}

static void bounds_the_depth_as_the_check_does(void **state)
{
    static char text[1 << 20];
    struct fixture *f = fixture_open("a string", NULL, 0);

    (void)state;
    for (int objects = 0; objects < 2; objects++)
        for (size_t depth = JSON_DEPTH_MAX - 4; depth < JSON_DEPTH_MAX + 4; depth++)
            for (int filled = 0; filled < 2; filled++) {
                size_t at = 5;

                memcpy(text, "{\"a\":", at);
                for (size_t i = 1; i < depth; i++) {
                    memcpy(text + at, objects ? "{\"b\":" : "[", objects ? 5 : 1);
                    at += objects ? 5 : 1;
                }
                memcpy(text + at, filled ? "1" : "{}", filled ? 1 : 2);
                at += filled ? 1 : 2;
                memset(text + at, objects ? '}' : ']', depth - 1);
                at += depth - 1;
                text[at++] = '}';
                expect_judged(f, text, at);
            }
    memcpy(text, "{\"a\":", 5);
    memset(text + 5, '[', sizeof(text) - 6);
    text[sizeof(text) - 1] = '}';
    assert_int_equal(take_bytes(f, text, sizeof(text)), JSON_ROW_INVALID);
    fixture_close(f);
}

static void takes_huge_keys_and_many_of_them(void **state)
{
    enum { KEY_BYTES = 200 << 10, KEYS = 10000 };
    struct fixture *f = fixture_open("a i64", NULL, 0);
    struct fixture *closed = fixture_open("a i64", NULL, JSON_ROW_CLOSED);
    char *text = malloc(KEY_BYTES + 64);
    size_t at;

    (void)state;
    assert_non_null(text);
    memset(text, 'k', KEY_BYTES);
    memcpy(text, "{\"", 2);
    at = KEY_BYTES + (size_t)snprintf(text + KEY_BYTES, 64, "%s", "\":1,\"a\":7}");
    assert_int_equal(take_bytes(f, text, at), JSON_ROW_MISFIT_KEY);
    assert_int_equal(json_row_error(f->row)->key_len, KEY_BYTES - 2);
    assert_int_equal(take_bytes(closed, text, at), JSON_ROW_TAKEN);
    assert_int_equal(closed->cells[0].u.i, 7);
    free(text);

    text = malloc(KEYS * 16);
    assert_non_null(text);
    text[0] = '{';
    at = 1;
    for (int i = 0; i < KEYS; i++)
        at += (size_t)snprintf(text + at, 16, "\"k%d\":%d,", i, i);
    at += (size_t)snprintf(text + at, 16, "%s", "\"a\":8}");
    for (int again = 0; again < 3; again++) {
        assert_int_equal(take_bytes(f, text, at), JSON_ROW_MISFIT_KEY);
        assert_int_equal(take_bytes(closed, text, at), JSON_ROW_TAKEN);
        assert_int_equal(closed->cells[0].u.i, 8);
    }
    free(text);
    fixture_close(f);
    fixture_close(closed);
}

static int open_checker(void **state)
{
    (void)state;
    checker = json_checker_open(1 << 20);
    return checker != NULL ? 0 : -1;
}

static int close_checker(void **state)
{
    (void)state;
    json_checker_close(checker);
    json_row_close(NULL);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(converts_each_type),
        cmocka_unit_test(refuses_values_of_other_types),
        cmocka_unit_test(inferred_columns_lose_no_digit),
        cmocka_unit_test(strings_take_the_text_of_scalars_unless_declared),
        cmocka_unit_test(numbers_stay_as_written_where_text_is_asked_for),
        cmocka_unit_test(rounds_doubles_to_the_last_bit),
        cmocka_unit_test(tells_too_large_from_too_small),
        cmocka_unit_test(reads_integers_of_every_length),
        cmocka_unit_test(unescapes_strings_and_keys),
        cmocka_unit_test(finds_keys_in_any_order),
        cmocka_unit_test(the_last_of_equal_keys_counts),
        cmocka_unit_test(names_the_first_misfit),
        cmocka_unit_test(passes_over_keys_but_checks_them),
        cmocka_unit_test(closed_passes_over_all_other_keys),
        cmocka_unit_test(judges_as_the_check_does_wherever_cut),
        cmocka_unit_test(judges_as_the_check_does_whatever_is_changed),
        cmocka_unit_test(judges_odd_texts_as_the_check_does),
        cmocka_unit_test(bounds_the_depth_as_the_check_does),
        cmocka_unit_test(takes_huge_keys_and_many_of_them),
    };

    return cmocka_run_group_tests(tests, open_checker, close_checker);
}
