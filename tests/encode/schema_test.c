/*
 * Claims about schemas: columns are found by name however many there are, the text form says what
 * is wrong with it, and the byte form comes back as it was or not at all.
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

#include "encode/schema.h"

static struct schema parsed(const char *text)
{
    struct errmsg err = {0};
    struct schema s;

    if (schema_parse(text, &s, &err))
        fail_msg("'%s': %s", text, err.text);
    return s;
}

static void columns_are_found_by_name(void **state)
{
    struct schema s;
    char name[16];

    (void)state;
    schema_init(&s);
    assert_int_equal(schema_find(&s, "a", 1), -1);
    for (int i = 0; i < SCHEMA_COLUMNS_MAX; i++) {
        int len = snprintf(name, sizeof(name), "c%d", i);

        assert_int_equal(schema_add(&s, name, (size_t)len, COLUMN_I64), 0);
    }
    assert_int_equal(schema_add(&s, "more", 4, COLUMN_I64), -ENOSPC);
    assert_int_equal(schema_add(&s, "c17", 3, COLUMN_I64), -EEXIST);
    for (int i = 0; i < SCHEMA_COLUMNS_MAX; i++) {
        int len = snprintf(name, sizeof(name), "c%d", i);

        assert_int_equal(schema_find(&s, name, (size_t)len), i);
    }
    assert_int_equal(schema_find(&s, "c", 1), -1);
    schema_fini(&s);
}

static void long_names_are_refused(void **state)
{
    char name[COLUMN_NAME_BYTES_MAX + 1];
    struct schema s;

    (void)state;
    memset(name, 'n', sizeof(name));
    schema_init(&s);
    assert_int_equal(schema_add(&s, name, sizeof(name), COLUMN_BOOL), -ENAMETOOLONG);
    assert_int_equal(schema_add(&s, name, sizeof(name) - 1, COLUMN_BOOL), 0);
    schema_fini(&s);
}

static void text_gives_columns(void **state)
{
    struct schema s = parsed(" ts timestamp, user string,\t\"a \"\"b\"\", c\" f64,_x.y-z u64 ");

    (void)state;
    assert_int_equal(s.count, 4);
    assert_string_equal(s.columns[0].name, "ts");
    assert_int_equal(s.columns[0].type, COLUMN_TIMESTAMP);
    assert_string_equal(s.columns[2].name, "a \"b\", c");
    assert_int_equal(s.columns[2].type, COLUMN_F64);
    assert_string_equal(s.columns[3].name, "_x.y-z");
    schema_fini(&s);
    s = parsed("");
    assert_int_equal(s.count, 0);
}

static void wrong_text_is_named(void **state)
{
    static const struct {
        const char *text, *says;
    } wrong[] = {
        {"a", "is no type"},            {"a int", "'int' is no type"},
        {"a i64 b i64", "a comma"},     {"a i64, a f64", "'a' stands there twice"},
        {"a i64, = i64", "column 2"},   {"\"a i64", "a name is expected"},
        {"\"\" i64", "a name"},         {"\"\xff\" i64", "not UTF-8"},
        {"\"a\"\"", "a name"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct errmsg err = {0};
        struct schema s;

        assert_int_equal(schema_parse(wrong[i].text, &s, &err), -EINVAL);
        if (!strstr(err.text, wrong[i].says))
            fail_msg("'%s': says '%s'", wrong[i].text, err.text);
        assert_int_equal(s.count, 0);
    }
}

static void bytes_come_back(void **state)
{
    struct schema s = parsed("ts timestamp, user string, n i32, x bytes, y bool, z f32, q u64");
    struct bytes out = BYTES_INIT, again = BYTES_INIT;
    struct schema back, copy;

    (void)state;
    s.hidden = 2;
    assert_int_equal(schema_format(&s, &out), 0);
    assert_int_equal(schema_read(out.data, out.len, &back), 0);
    assert_int_equal(schema_copy(&back, &copy), 0);
    assert_int_equal(schema_format(&copy, &again), 0);
    assert_int_equal(out.len, again.len);
    assert_memory_equal(out.data, again.data, out.len);
    assert_int_equal(copy.hidden, 2);
    schema_fini(&back);
    schema_fini(&copy);
    for (size_t len = 0; len < out.len; len++) {
        uint8_t *part = malloc(len + 1);

        memcpy(part, out.data, len);
        assert_int_equal(schema_read(part, len, &back), -EBADMSG);
        free(part);
    }
    out.data[4] = COLUMN_TYPE_COUNT;
    assert_int_equal(schema_read(out.data, out.len, &back), -EBADMSG);
    bytes_free(&out);
    bytes_free(&again);
    schema_fini(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_are_found_by_name), cmocka_unit_test(long_names_are_refused),
        cmocka_unit_test(text_gives_columns),        cmocka_unit_test(wrong_text_is_named),
        cmocka_unit_test(bytes_come_back),
    };

    return cmocka_run_group_tests_name("schema", tests, NULL, NULL);
}
