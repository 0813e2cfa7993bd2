/*
 * column_text: one way of writing for every way of reading, and mistakes that are named.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>

#include "encode/column_text.h"

static void expect_names(const char *text, const char *written)
{
    struct bytes out = BYTES_INIT;
    struct errmsg err = { "" };
    struct schema names, again;

    if (column_text_names(text, &names, &err) != 0)
        fail_msg("%s: %s", text, err.text);
    assert_int_equal(column_text_put_names(&names, &out), 0);
    assert_string_equal(bytes_cstr(&out), written);
    assert_int_equal(column_text_names(written, &again, &err), 0);
    assert_int_equal(again.count, names.count);
    for (uint32_t i = 0; i < names.count; i++) {
        assert_string_equal(again.columns[i].name, names.columns[i].name);
        assert_int_equal(names.columns[i].type, COLUMN_STRING);
    }
    schema_fini(&names);
    schema_fini(&again);
    bytes_free(&out);
}

static void names_have_one_way_of_writing(void **state)
{
    (void)state;
    expect_names("", "");
    expect_names("  ", "");
    expect_names("country", "country");
    expect_names(" country ,\tcity ", "country,city");
    expect_names("\"country\",\"a b\"", "country,\"a b\"");
    expect_names("\"say \"\"x\"\"\"", "\"say \"\"x\"\"\"");
    expect_names("\"a,b\",c.d-e_F", "\"a,b\",c.d-e_F");
    expect_names("\"\"\"\"", "\"\"\"\"");
    expect_names("\"größe\"", "\"größe\"");
}

static void expect_columns(const char *text, const char *written)
{
    struct bytes out = BYTES_INIT;
    struct errmsg err = { "" };
    struct schema columns;

    assert_int_equal(schema_parse(text, &columns, &err), 0);
    assert_int_equal(column_text_put_columns(&columns, &out), 0);
    assert_string_equal(bytes_cstr(&out), written);
    schema_fini(&columns);
    bytes_free(&out);
}

static void columns_have_one_way_of_writing(void **state)
{
    (void)state;
    expect_columns("", "");
    expect_columns("ts timestamp,  \"user\"   string , \"a b\" f64",
                   "ts timestamp,user string,\"a b\" f64");
}

static void expect_fault(const char *text, const char *words)
{
    static const struct schema none;
    struct errmsg err = { "" };
    struct schema names;

    assert_int_equal(column_text_names(text, &names, &err), -EINVAL);
    assert_string_equal(err.text, words);
    assert_memory_equal(&names, &none, sizeof(names));
}

static void mistakes_are_named(void **state)
{
    char longest[COLUMN_NAME_BYTES_MAX + 2];

    (void)state;
    expect_fault(",a", "a name is expected at ',a'");
    expect_fault("a,,b", "a name is expected at ',b'");
    expect_fault("a,", "nothing follows the last comma");
    expect_fault("a b", "a comma is expected at 'b'");
    expect_fault("a, b,a", "'a' stands there twice");
    expect_fault("a,\"b", "a name is expected at '\"b'");
    expect_fault("\"\"", "a name is expected at '\"\"'");
    expect_fault("a,\"\xff\"", "name 2 is not UTF-8");
    memset(longest, 'n', sizeof(longest));
    longest[sizeof(longest) - 1] = '\0';
    expect_fault(longest, "a name is expected at 'nnnnnnnnnnnnnnnnnnnn'");
    longest[sizeof(longest) - 2] = '\0';
    expect_names(longest, longest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_have_one_way_of_writing),
        cmocka_unit_test(columns_have_one_way_of_writing),
        cmocka_unit_test(mistakes_are_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
