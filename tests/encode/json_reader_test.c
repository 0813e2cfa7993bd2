/*
 * The walk over an object: what each member is, as it is written. What is refused json_row_test
 * compares with the check.
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

#include "encode/json_reader.h"

/* "index kind key text" of each member, one a line; a known name has none but its index. */
static void expect_walk(struct json_reader *r, const char *text, const char *expected)
{
    static const char kinds[] = "0bnsx";
    size_t len = strlen(text), at_out = 0;
    uint8_t *copy = malloc(len > 0 ? len : 1);
    struct json_member m;
    const uint8_t *at;
    char found[1024] = "";

    assert_non_null(copy);
    memcpy(copy, text, len);
    at = json_reader_begin(r, copy, len);
    while ((at = json_reader_next(r, at, &m)) != NULL) {
        const uint8_t *value = m.text;
        uint32_t value_len = m.len;

        assert_int_equal(*m.key, '"');
        if (m.kind == JSON_KIND_STRING)
            assert_int_equal(json_reader_text(r, &m, &value, &value_len), 0);
        at_out += (size_t)snprintf(found + at_out, sizeof(found) - at_out, "%d %c %.*s %.*s\n",
                                   m.index, kinds[m.kind],
                                   m.index == JSON_KEY_UNKNOWN ? (int)m.name_len : 0,
                                   (const char *)m.name, (int)value_len, (const char *)value);
    }
    if (r->step != JSON_STEP_END)
        fail_msg("%s: %s", text, r->why);
    assert_string_equal(found, expected);
    free(copy);
}

static void names_make(struct schema *s, const char *text)
{
    assert_int_equal(schema_parse(text, s, NULL), 0);
}

static void tells_each_member_as_written(void **state)
{
    struct schema known, skip;
    struct json_reader r;

    (void)state;
    names_make(&known, "a i64, a_name_of_24_characters i64");
    names_make(&skip, "no i64");
    assert_int_equal(json_reader_init(&r, &known, &skip, JSON_KEY_UNKNOWN), 0);
    for (int again = 0; again < 3; again++) {
        expect_walk(&r, "{}", "");
        expect_walk(&r, " {\"a\" : -1.50E+0 ,\"no\":[ 1 ],\"b\":\"x\"}",
                    "0 n  -1.50E+0\n-1 x  [ 1 ]\n-2 s b x\n");
        expect_walk(&r, "{\"a_name_of_24_characters\":true,\"a\":null,\"\\u0062\\n\":\"\\u0041\"}",
                    "1 b  true\n0 0  null\n-2 s b\n A\n");
        expect_walk(&r, "{\"a_name_of_24_characterS\":{\"a\":1},\"a\":false}",
                    "-2 x a_name_of_24_characterS {\"a\":1}\n0 b  false\n");
    }
    json_reader_fini(&r);
    schema_fini(&known);
    schema_fini(&skip);
}

static void learns_what_it_skips(void **state)
{
    struct json_reader r;

    (void)state;
    assert_int_equal(json_reader_init(&r, NULL, NULL, JSON_KEY_SKIPPED), 0);
    for (int again = 0; again < 3; again++)
        expect_walk(&r, "{\"a\":1,\"b\":2,\"\\u0063\":3}", "-1 n  1\n-1 n  2\n-1 n  3\n");
    assert_int_equal(r.skipped.count, 3);
    json_reader_fini(&r);
}

static void takes_more_names_between_events(void **state)
{
    struct json_reader r;
    char name[16];

    (void)state;
    assert_int_equal(json_reader_init(&r, NULL, NULL, JSON_KEY_UNKNOWN), 0);
    expect_walk(&r, "{\"b\":1,\"a\":2}", "-2 n b 1\n-2 n a 2\n");
    assert_int_equal(json_reader_add(&r, "a", 1, COLUMN_I64), 0);
    assert_int_equal(json_reader_add(&r, "a", 1, COLUMN_I64), -EEXIST);
    expect_walk(&r, "{\"b\":1,\"a\":2}", "-2 n b 1\n0 n  2\n");
    for (int i = 0; i < 500; i++) {
        (void)snprintf(name, sizeof(name), "n%d", i);
        assert_int_equal(json_reader_add(&r, name, strlen(name), COLUMN_I64), i + 1);
    }
    assert_int_equal(json_reader_add(&r, "b", 1, COLUMN_I64), 501);
    expect_walk(&r, "{\"b\":1,\"a\":2,\"n499\":3}", "501 n  1\n0 n  2\n500 n  3\n");
    json_reader_fini(&r);
    json_reader_fini(&r);
}

/* Strings of every length, at every place against the end, a special byte at each of its places. */
static void finds_the_end_of_every_string(void **state)
{
    char text[128], expected[128], value[64];
    struct json_reader r;

    (void)state;
    assert_int_equal(json_reader_init(&r, NULL, NULL, JSON_KEY_UNKNOWN), 0);
    for (int len = 0; len < 50; len++)
        for (int behind = 0; behind < 20; behind++) {
            memset(value, 'v', sizeof(value));
            value[len] = '\0';
            (void)snprintf(text, sizeof(text), "{\"k\":\"%s\"%*s}", value, behind, "");
            (void)snprintf(expected, sizeof(expected), "-2 s k %s\n", value);
            expect_walk(&r, text, expected);
            for (int place = 0; place + 1 < len; place++) {
                memset(value, 'v', (size_t)len);
                memcpy(value + place, "\xc3\xa4", 2);
                (void)snprintf(text, sizeof(text), "{\"k\":\"%s\"%*s}", value, behind, "");
                (void)snprintf(expected, sizeof(expected), "-2 s k %s\n", value);
                expect_walk(&r, text, expected);
                memcpy(value + place, "\\\"", 2);
                (void)snprintf(text, sizeof(text), "{\"k\":\"%s\"%*s}", value, behind, "");
                (void)snprintf(expected, sizeof(expected), "-2 s k %.*s\"%s\n", place, value,
                               value + place + 2);
                expect_walk(&r, text, expected);
            }
        }
    json_reader_fini(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_each_member_as_written),
        cmocka_unit_test(learns_what_it_skips),
        cmocka_unit_test(takes_more_names_between_events),
        cmocka_unit_test(finds_the_end_of_every_string),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
