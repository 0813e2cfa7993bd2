/*
 * Claims about transforms: what settings mean, what is wrong with them and where, and that added
 * fields follow the event in what depends on it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "encode/transform.h"
#include "shm_wire.h"

#define NS_PER_S UINT64_C(1000000000)
/* 2026-11-21T10:11:12.345678901Z */
#define TIME_NS  UINT64_C(1795255872345678901)

static struct transform parsed(const char *fields, const char *drop, const char *add)
{
    const struct transform_settings set = {fields, drop, add, "box-1", "clicks"};
    struct errmsg err = {0};
    struct transform t;

    if (transform_parse(&set, &t, &err))
        fail_msg("%s", err.text);
    return t;
}

static void string_is(const struct transform *t, uint32_t index, const char *expected)
{
    const struct cell *c = &t->cells[index];

    assert_int_equal(c->type, CELL_STRING);
    assert_int_equal(c->len, strlen(expected));
    assert_memory_equal(c->u.s, expected, c->len);
}

static void member_is(const struct transform *t, uint32_t index, const char *expected)
{
    assert_int_equal(t->members[index].len, strlen(expected));
    assert_memory_equal(t->members[index].text, expected, strlen(expected));
}

static void nothing_set_changes_nothing(void **state)
{
    struct transform t = parsed("", NULL, "  ");

    (void)state;
    assert_false(transform_active(&t));
    assert_true(transform_keeps(&t, "any", 3));
    transform_eval(&t, TIME_NS, SHM_KIND_JSON);
    transform_fini(&t);
}

static void fields_keep_their_order_and_drop_takes_away(void **state)
{
    struct transform t = parsed("ts, user,\"a \"\"b\"\", c\" , d", "d,e", "");

    (void)state;
    assert_true(transform_active(&t));
    assert_int_equal(t.fields.count, 4);
    assert_string_equal(t.fields.columns[0].name, "ts");
    assert_string_equal(t.fields.columns[2].name, "a \"b\", c");
    assert_true(transform_keeps(&t, "user", 4));
    assert_false(transform_keeps(&t, "d", 1));
    assert_false(transform_keeps(&t, "other", 5));
    transform_fini(&t);
    t = parsed("", "d", "");
    assert_true(transform_keeps(&t, "other", 5));
    assert_false(transform_keeps(&t, "d", 1));
    transform_fini(&t);
}

static void constants_have_their_type_and_are_written_as_they_stand(void **state)
{
    struct transform t = parsed("", "", "a=1, b = -2.50e1 ,c=true,d=null, e=18446744073709551615,"
                                        "f=plain text , g=\"5\", h=\"\", \"i \"\"\"=\"x\"\"y, z\","
                                        "j=01, k=-");
    static const struct {
        enum column_type type;
        const char *member;
    } expected[] = {
        {COLUMN_I64, "\"a\":1"},
        {COLUMN_F64, "\"b\":-2.50e1"},
        {COLUMN_BOOL, "\"c\":true"},
        {COLUMN_STRING, "\"d\":null"},
        {COLUMN_U64, "\"e\":18446744073709551615"},
        {COLUMN_STRING, "\"f\":\"plain text\""},
        {COLUMN_STRING, "\"g\":\"5\""},
        {COLUMN_STRING, "\"h\":\"\""},
        {COLUMN_STRING, "\"i \\\"\":\"x\\\"y, z\""},
        {COLUMN_STRING, "\"j\":\"01\""},
        {COLUMN_STRING, "\"k\":\"-\""},
    };

    (void)state;
    assert_int_equal(t.add.count, sizeof(expected) / sizeof(expected[0]));
    for (uint32_t i = 0; i < t.add.count; i++) {
        assert_int_equal(t.add.columns[i].type, expected[i].type);
        member_is(&t, i, expected[i].member);
    }
    assert_int_equal(t.cells[0].type, CELL_I64);
    assert_int_equal(t.cells[0].u.i, 1);
    assert_int_equal(t.cells[1].type, CELL_F64);
    assert_true(t.cells[1].u.f == -25.0);
    assert_int_equal(t.cells[2].u.i, 1);
    assert_int_equal(t.cells[3].type, CELL_NULL);
    assert_true(t.cells[4].u.u == UINT64_MAX);
    string_is(&t, 8, "x\"y, z");
    transform_fini(&t);
}

static void expressions_follow_the_event(void **state)
{
    struct transform t = parsed("", "", "day=!{timestamp:yyyy-MM-dd}, at = !{hydrant:time},"
                                        "kind=!{hydrant:kind}, from=\"!{hydrant:stream}@"
                                        "!{hydrant:host}\", ms=!{timestamp:HH:mm:ss.SSS},"
                                        "mix=\"on !{timestamp:EEEE, d 'of' MMMM} a !{hydrant:kind}"
                                        " came\", q=!{timestamp:'}'yy}");

    (void)state;
    transform_eval(&t, TIME_NS, SHM_KIND_JSON);
    string_is(&t, 0, "2026-11-21");
    string_is(&t, 1, "2026-11-21T10:11:12.345678Z");
    string_is(&t, 2, "json");
    string_is(&t, 3, "clicks@box-1");
    string_is(&t, 4, "10:11:12.345");
    string_is(&t, 5, "on Saturday, 21 of November a json came");
    string_is(&t, 6, "}26");
    member_is(&t, 0, "\"day\":\"2026-11-21\"");
    transform_eval(&t, TIME_NS + NS_PER_S / 10, SHM_KIND_JSON);
    string_is(&t, 1, "2026-11-21T10:11:12.445678Z");
    string_is(&t, 4, "10:11:12.445");
    transform_eval(&t, TIME_NS + 86400 * NS_PER_S, SHM_KIND_RECORD);
    string_is(&t, 0, "2026-11-22");
    string_is(&t, 2, "record");
    string_is(&t, 5, "on Sunday, 22 of November a record came");
    member_is(&t, 5, "\"mix\":\"on Sunday, 22 of November a record came\"");
    transform_eval(&t, UINT64_MAX, SHM_KIND_TEXT);
    string_is(&t, 0, "2554-07-21");
    string_is(&t, 2, "text");
    transform_eval(&t, 0, SHM_KIND_BYTES);
    string_is(&t, 1, "1970-01-01T00:00:00.000000Z");
    transform_fini(&t);
}

static void what_does_not_change_is_not_made_again(void **state)
{
    struct transform t = parsed("", "", "a=const, b=!{timestamp:ss}, c=!{hydrant:kind}");

    (void)state;
    transform_eval(&t, TIME_NS, SHM_KIND_JSON);
    for (uint32_t i = 0; i < 3; i++)
        ((uint8_t *)(uintptr_t)t.cells[i].u.s)[0] = '#';
    /* Within the second, of the same kind: as it was left. */
    transform_eval(&t, TIME_NS + 1000, SHM_KIND_JSON);
    string_is(&t, 0, "#onst");
    string_is(&t, 1, "#2");
    string_is(&t, 2, "#son");
    transform_eval(&t, TIME_NS + NS_PER_S, SHM_KIND_JSON);
    string_is(&t, 1, "13");
    string_is(&t, 2, "#son");
    transform_eval(&t, TIME_NS + NS_PER_S, SHM_KIND_TEXT);
    string_is(&t, 2, "text");
    string_is(&t, 0, "#onst");
    transform_fini(&t);
}

static void mistakes_are_named(void **state)
{
    static const struct {
        const char *fields, *drop, *add, *says;
    } wrong[] = {
        {"a,,b", "", "", "fields: a name is expected at ',b'"},
        {"a b", "", "", "fields: a comma is expected at 'b'"},
        {"a,", "", "", "fields: nothing follows the last comma"},
        {"", "x,y,x", "", "drop_fields: 'x' stands there twice"},
        {"", "\"\xff\"", "", "drop_fields: name 1 is not UTF-8"},
        {"", "", "a", "add_fields: 'a': '=' is expected"},
        {"", "", "a=", "add_fields: 'a': a value is expected"},
        {"", "", "a=,b=1", "add_fields: 'a': a value is expected at ',b=1'"},
        {"", "", "a=1,a=2", "add_fields: 'a' stands there twice"},
        {"", "", "a=\"x", "add_fields: 'a': a quote without end"},
        {"", "", "a=x\"y\"", "add_fields: 'a': a quote within bare text"},
        {"", "", "a=\"x\"y", "add_fields: a comma is expected at 'y'"},
        {"", "", "a=\"\xc3(\"", "add_fields: 'a': its value is not UTF-8"},
        {"", "", "a=1e999", "add_fields: 'a': 1e999 is larger than numbers are"},
        {"", "", "a=18446744073709551616", "more than 64 bits"},
        {"", "", "a=-9223372036854775809", "more than 64 bits"},
        {"", "", "a=!{hydrant:x}", "'a': unknown expression !{hydrant:x}; there are"},
        {"", "", "a=\"!{timestamp:yyyy\"", "'a': '!{timestamp:yyyy' has no '}'"},
        {"", "", "a=!{hydrant:time", "has no '}'"},
        {"", "", "a=!{timestamp:Q}", "!{timestamp:Q}: column 13: pattern letter 'Q'"},
        {"", "", "a=!{timestamp:}", "empty timestamp pattern"},
        {"", "", "a=\"!{timestamp:'\t'}\"", "control character"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        const struct transform_settings set = {wrong[i].fields, wrong[i].drop, wrong[i].add, "h",
                                               "s"};
        struct errmsg err = {0};
        struct transform t;

        assert_int_equal(transform_parse(&set, &t, &err), -EINVAL);
        if (strstr(err.text, wrong[i].says) == NULL)
            fail_msg("'%s' says '%s'", wrong[i].add, err.text);
        transform_fini(&t);
    }
}

static void random_settings_parse_or_say_why(void **state)
{
    static const char *const pieces[] = {
        "a", "b=", "=", ",", "\"", "!{", "}", "timestamp:", "hydrant:time}", "hydrant:kind}",
        "'", " ", "1", "-0.5", "true", "!{hydrant:host}", "!{timestamp:HH}", "\xc3\xa9", "yyyy",
        "n", "S", "/",
    };
    char text[200];

    (void)state;
    srandom(5);
    for (int i = 0; i < 200000; i++) {
        const struct transform_settings set = {i % 3 ? "" : text, i % 3 == 1 ? text : "",
                                               i % 3 == 2 ? text : "", "host", "stream"};
        struct errmsg err = {0};
        struct transform t;
        size_t len = 0;

        for (long n = random() % 12; n >= 0 && len < sizeof(text) - 24; n--)
            len += (size_t)snprintf(text + len, sizeof(text) - len, "%s",
                                    pieces[(size_t)random() % (sizeof(pieces) / sizeof(*pieces))]);
        if (transform_parse(&set, &t, &err)) {
            assert_true(err.text[0] != '\0');
        } else {
            transform_eval(&t, TIME_NS, SHM_KIND_JSON);
            transform_eval(&t, UINT64_MAX - (uint64_t)random(), SHM_KIND_TEXT);
        }
        transform_fini(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_set_changes_nothing),
        cmocka_unit_test(fields_keep_their_order_and_drop_takes_away),
        cmocka_unit_test(constants_have_their_type_and_are_written_as_they_stand),
        cmocka_unit_test(expressions_follow_the_event),
        cmocka_unit_test(what_does_not_change_is_not_made_again),
        cmocka_unit_test(mistakes_are_named),
        cmocka_unit_test(random_settings_parse_or_say_why),
    };

    return cmocka_run_group_tests_name("transform", tests, NULL, NULL);
}
