/*
 * Columns found in events: order, types, limits; and that an event is taken by the columns exactly
 * if it does not widen them.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "encode/infer.h"
#include "encode/json_row.h"

static enum infer_result event_bytes(struct infer *inf, const char *text, size_t len)
{
    uint8_t *copy = malloc(len > 0 ? len : 1);
    enum infer_result result;

    assert_non_null(copy);
    memcpy(copy, text, len);
    result = infer_event(inf, copy, len);
    free(copy);
    return result;
}

static void expect(struct infer *inf, const char *text, enum infer_result expected)
{
    enum infer_result result = event_bytes(inf, text, strlen(text));

    if (result != expected)
        fail_msg("%s: result %d, expected %d", text, (int)result, (int)expected);
}

/* "a i64, b string" */
static void expect_columns(const struct infer *inf, const char *columns)
{
    char text[1024] = "";
    struct schema s;

    assert_int_equal(infer_schema(inf, &s), 0);
    for (uint32_t i = 0; i < s.count; i++)
        (void)snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s %s",
                       i > 0 ? ", " : "", s.columns[i].name,
                       column_type_name((enum column_type)s.columns[i].type));
    assert_int_equal(s.hidden, 0);
    assert_string_equal(text, columns);
    schema_fini(&s);
}

static void init(struct infer *inf, const char *from, const char *skip, bool closed)
{
    struct schema f, s;

    assert_int_equal(schema_parse(from, &f, NULL), 0);
    assert_int_equal(schema_parse(skip, &s, NULL), 0);
    assert_int_equal(infer_init(inf, &f, &s, closed), 0);
    schema_fini(&f);
    schema_fini(&s);
}

static void columns_come_in_order_of_first_appearance(void **state)
{
    struct infer inf;

    (void)state;
    assert_int_equal(infer_init(&inf, NULL, NULL, false), 0);
    expect_columns(&inf, "");
    expect(&inf, "{}", INFER_SAME);
    expect(&inf, "{\"b\":1,\"a\":\"x\"}", INFER_WIDER);
    expect(&inf, "{\"a\":\"y\",\"c\":true,\"b\":2}", INFER_WIDER);
    expect(&inf, "{\"c\":false,\"b\":3,\"\\u0061\":\"z\"}", INFER_SAME);
    expect_columns(&inf, "b i64, a string, c bool");
    infer_fini(&inf);
}

/* All values of one key, in this order and backwards: the type is the same. */
static void expect_type(const char *type, const char *const *values)
{
    char text[512], columns[64];
    struct infer inf;
    size_t count = 0;

    while (values[count] != NULL)
        count++;
    (void)snprintf(columns, sizeof(columns), "k %s", type);
    for (int backwards = 0; backwards < 2; backwards++) {
        assert_int_equal(infer_init(&inf, NULL, NULL, false), 0);
        for (size_t i = 0; i < count; i++) {
            (void)snprintf(text, sizeof(text), "{\"k\":%s}",
                           values[backwards ? count - 1 - i : i]);
            assert_true(event_bytes(&inf, text, strlen(text)) <= INFER_WIDER);
        }
        expect_columns(&inf, columns);
        /* What was taken in does not widen again. */
        for (size_t i = 0; i < count; i++) {
            (void)snprintf(text, sizeof(text), "{\"k\":%s}", values[i]);
            expect(&inf, text, INFER_SAME);
        }
        infer_fini(&inf);
    }
}

#define TYPE(type, ...) expect_type(type, (const char *const[]){__VA_ARGS__, NULL})

static void types_widen_as_far_as_they_must(void **state)
{
    (void)state;
    TYPE("string", "null");
    TYPE("bool", "true", "null", "false");
    TYPE("i64", "1", "null", "-9223372036854775808", "9223372036854775807");
    TYPE("f64", "1.5");
    TYPE("f64", "1", "1.5", "-1e300", "null");
    TYPE("f64", "9007199254740992", "1e0", "-9007199254740992");
    TYPE("string", "9007199254740993", "1.5");
    TYPE("string", "-9007199254740993", "1.5", "2");
    TYPE("string", "1", "true");
    TYPE("string", "1.5", "false");
    TYPE("string", "1", "\"x\"");
    TYPE("string", "\"1\"");
    TYPE("string", "{}");
    TYPE("string", "true", "[1]");
}

static void huge_numbers_lose_no_digit(void **state)
{
    (void)state;
    TYPE("f64", "18446744073709551616");
    TYPE("f64", "9223372036854775808", "5");
    TYPE("f64", "-100000000000000000000");
    TYPE("string", "18446744073709551617");
    TYPE("string", "9223372036854775809");
    TYPE("string", "9223372036854775808", "9223372036854775807");
    TYPE("string", "123456789012345678901234567890");
    TYPE("string", "1e999");
    TYPE("string", "1.5", "-1e999");
    TYPE("f64", "1e-999");
    TYPE("f64", "1e308", "0.1234567890123456789012345678901234567890");
}

static void the_whole_range_of_doubles_is_told(void **state)
{
    char digits[400], text[420], columns[] = "k f64";
    struct infer inf;

    (void)state;
    /* The largest double, digit for digit, and ten times that. */
    (void)snprintf(digits, sizeof(digits), "%.0f", 1.7976931348623157e308);
    (void)snprintf(text, sizeof(text), "{\"k\":-%s}", digits);
    assert_int_equal(infer_init(&inf, NULL, NULL, false), 0);
    expect(&inf, text, INFER_WIDER);
    expect_columns(&inf, columns);
    (void)snprintf(text, sizeof(text), "{\"k\":%s0}", digits);
    expect(&inf, text, INFER_WIDER);
    expect_columns(&inf, "k string");
    infer_fini(&inf);
}

static void widens_from_a_schema(void **state)
{
    struct infer inf;
    struct schema declared;

    (void)state;
    init(&inf, "a i64, b bool, c f64, d string", "", false);
    expect(&inf, "{\"d\":1,\"c\":1,\"b\":true,\"a\":9223372036854775807}", INFER_SAME);
    expect(&inf, "{\"b\":1}", INFER_WIDER);
    expect(&inf, "{\"c\":9007199254740993,\"e\":1}", INFER_WIDER);
    expect_columns(&inf, "a i64, b string, c string, d string, e i64");
    infer_fini(&inf);

    assert_int_equal(schema_parse("a i64, b i32", &declared, NULL), 0);
    assert_int_equal(infer_init(&inf, &declared, NULL, false), -EINVAL);
    infer_fini(&inf);
    schema_fini(&declared);
}

static void passes_over_keys(void **state)
{
    struct infer inf;

    (void)state;
    init(&inf, "", "x string, y string", false);
    expect(&inf, "{\"x\":1,\"a\":1,\"y\":[]}", INFER_WIDER);
    expect(&inf, "{\"x\":\"\",\"a\":2}", INFER_SAME);
    expect(&inf, "{\"x\":1.,\"a\":2}", INFER_INVALID);
    expect_columns(&inf, "a i64");
    infer_fini(&inf);

    init(&inf, "", "x string", true);
    assert_int_equal(infer_column(&inf, "b", 1), 0);
    assert_int_equal(infer_column(&inf, "a", 1), 0);
    assert_int_equal(infer_column(&inf, "c", 1), 0);
    assert_int_equal(infer_column(&inf, "a", 1), -EEXIST);
    expect(&inf, "{\"z\":\"\",\"a\":2,\"\":1,\"b\":true,\"c\":null}", INFER_WIDER);
    expect_columns(&inf, "b bool, a i64, c string");
    expect(&inf, "{\"z\":\"\",\"c\":2}", INFER_WIDER);
    expect_columns(&inf, "b bool, a i64, c i64");
    infer_fini(&inf);
}

static void rejects_what_cannot_be_a_column(void **state)
{
    char text[COLUMN_NAME_BYTES_MAX + 32];
    struct infer inf;

    (void)state;
    assert_int_equal(infer_init(&inf, NULL, NULL, false), 0);
    expect(&inf, "{\"a\":1}", INFER_WIDER);
    expect(&inf, "{\"a\":1.5,\"b\":1,\"\":1}", INFER_REJECT);
    expect(&inf, "{\"a\":1.5,\"b\\u0000\":1}", INFER_REJECT);
    assert_non_null(inf.why);
    (void)snprintf(text, sizeof(text), "{\"%0*d\":1}", COLUMN_NAME_BYTES_MAX + 1, 0);
    expect(&inf, text, INFER_REJECT);
    /* Nothing of them is left. */
    expect_columns(&inf, "a i64");
    (void)snprintf(text, sizeof(text), "{\"%0*d\":1}", COLUMN_NAME_BYTES_MAX, 0);
    expect(&inf, text, INFER_WIDER);
    infer_fini(&inf);
}

static void rejects_more_columns_than_there_may_be(void **state)
{
    enum { KEYS = 10000 };
    char *text = malloc(KEYS * 16);
    struct infer inf;
    struct schema s;
    size_t at = 1;

    (void)state;
    assert_non_null(text);
    text[0] = '{';
    for (int i = 0; i < KEYS; i++)
        at += (size_t)snprintf(text + at, 16, "\"k%d\":%d,", i, i);
    text[at - 1] = '}';
    assert_int_equal(infer_init(&inf, NULL, NULL, false), 0);
    assert_int_equal(event_bytes(&inf, text, at), INFER_REJECT);
    expect_columns(&inf, "");
    for (int i = 0; i < SCHEMA_COLUMNS_MAX; i++) {
        (void)snprintf(text, KEYS, "{\"k%d\":%d,\"k0\":true}", i, i);
        assert_int_equal(event_bytes(&inf, text, strlen(text)), INFER_WIDER);
    }
    expect(&inf, "{\"k4096\":1}", INFER_REJECT);
    expect(&inf, "{\"k4095\":1}", INFER_SAME);
    assert_int_equal(infer_schema(&inf, &s), 0);
    assert_int_equal(s.count, SCHEMA_COLUMNS_MAX);
    assert_int_equal(s.columns[0].type, COLUMN_STRING);
    assert_int_equal(s.columns[SCHEMA_COLUMNS_MAX - 1].type, COLUMN_I64);
    schema_fini(&s);
    infer_fini(&inf);
    free(text);
}

static void an_invalid_event_changes_nothing(void **state)
{
    static const char *const texts[] = {
        "", "{", "[]", "{\"a\":1.5,\"b\":1", "{\"a\":1.5,\"b\":1,}", "{\"a\":1.5,\"b\":\"\xff\"}",
        "{\"\xff\":1}", "{\"a\":1.5,\"b\":1}}", "{\"b\":\"\\ud800\"}", "\xef\xbb\xbf{\"b\":1}", NULL
    };
    struct infer inf;

    (void)state;
    assert_int_equal(infer_init(&inf, NULL, NULL, false), 0);
    expect(&inf, "{\"a\":1}", INFER_WIDER);
    for (size_t i = 0; texts[i] != NULL; i++) {
        expect(&inf, texts[i], INFER_INVALID);
        assert_non_null(inf.why);
    }
    expect_columns(&inf, "a i64");
    infer_fini(&inf);
}

/* Random values: what is taken by the row of a schema widens nothing, and only that. */
static void rows_take_exactly_what_does_not_widen(void **state)
{
    static const char *const values[] = {
        "null", "true", "false", "0", "-1", "9007199254740992", "9007199254740993",
        "9223372036854775807", "9223372036854775808", "18446744073709551616",
        "18446744073709551617", "99999999999999999999", "1.5", "1e3", "1e999", "1e-999", "\"x\"",
        "\"\\n\"", "{}", "[1]", "-0", "-0.0", "1e308"
    };
    enum { VALUES = sizeof(values) / sizeof(values[0]) };
    uint64_t random = 7;
    char text[256];

    (void)state;
    for (int round = 0; round < 3000; round++) {
        struct schema schema;
        struct infer inf;
        struct json_row *row;
        struct cell cells[8];
        bool taken;

        assert_int_equal(infer_init(&inf, NULL, NULL, false), 0);
        for (int event = 0; event < 3; event++) {
            random = random * 6364136223846793005ULL + 1442695040888963407ULL;
            (void)snprintf(text, sizeof(text), "{\"%c\":%s,\"%c\":%s}",
                           (char)('a' + (random >> 60) % 3), values[(random >> 40) % VALUES],
                           (char)('a' + (random >> 57) % 3), values[(random >> 32) % VALUES]);
            if (event == 2)
                break;
            assert_true(event_bytes(&inf, text, strlen(text)) <= INFER_WIDER);
        }
        assert_int_equal(infer_schema(&inf, &schema), 0);
        infer_fini(&inf);
        assert_int_equal(json_row_open(&schema, NULL, 0, &row), 0);
        taken = json_row_take(row, (uint8_t *)text, strlen(text), cells) == JSON_ROW_TAKEN;
        assert_int_equal(infer_init(&inf, &schema, NULL, false), 0);
        expect(&inf, text, taken ? INFER_SAME : INFER_WIDER);
        json_row_close(row);
        schema_fini(&schema);
        infer_fini(&inf);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_come_in_order_of_first_appearance),
        cmocka_unit_test(types_widen_as_far_as_they_must),
        cmocka_unit_test(huge_numbers_lose_no_digit),
        cmocka_unit_test(the_whole_range_of_doubles_is_told),
        cmocka_unit_test(widens_from_a_schema),
        cmocka_unit_test(passes_over_keys),
        cmocka_unit_test(rejects_what_cannot_be_a_column),
        cmocka_unit_test(rejects_more_columns_than_there_may_be),
        cmocka_unit_test(an_invalid_event_changes_nothing),
        cmocka_unit_test(rows_take_exactly_what_does_not_widen),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
