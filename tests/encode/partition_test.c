/*
 * Claims about partitions: golden folders, what is refused, and that null, the empty string and
 * whatever is spelled like them stay apart.
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

#include "encode/partition.h"
#include "encode/schema_text.h"

static struct schema schema_hiding(const char *text, uint32_t hidden)
{
    struct schema s = schema_of(text);

    s.hidden = hidden;
    return s;
}

static void expect_key(const struct schema *s, const struct cell *cells, const char *expected)
{
    struct partition_key key;
    struct errmsg err = {0};

    if (partition_key(s, cells, true, &key, &err))
        fail_msg("'%s': %s", expected, err.text);
    assert_string_equal(key.text, expected);
    assert_int_equal(key.len, strlen(expected));
}

static void strings_are_encoded_as_hive_does(void **state)
{
    static const struct {
        const char *value, *key;
    } cases[] = {
        {"DE", "c=DE/"},
        {"a.b-c_9", "c=a.b-c_9/"},
        {"New York", "c=New%20York/"},
        {"a/b", "c=a%2Fb/"},
        {"../x", "c=..%2Fx/"},
        {"50%", "c=50%25/"},
        {"caf\xc3\xa9", "c=caf%C3%A9/"},
        {"a=b", "c=a%3Db/"},
        {"\n", "c=%0A/"},
        {"~", "c=%7E/"},
        {"", "c=/"},
        {".", "c=%2E/"},
        {"..", "c=%2E./"},
        {"...", "c=.../"},
        {".hidden", "c=.hidden/"},
        {"__HIVE_DEFAULT_PARTITION__", "c=%5F_HIVE_DEFAULT_PARTITION__/"},
        {"%5F_HIVE_DEFAULT_PARTITION__", "c=%255F_HIVE_DEFAULT_PARTITION__/"},
    };
    struct schema s = schema_hiding("c string", 1);

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct cell cell = text_cell(CELL_STRING, cases[i].value, strlen(cases[i].value));

        expect_key(&s, &cell, cases[i].key);
    }
    schema_fini(&s);
}

static void every_type_has_its_text(void **state)
{
    struct schema s =
        schema_hiding("a i64, b bool, c f64, d timestamp, e bytes, f u64, g string", 6);
    struct cell cells[7] = {
        {.type = CELL_I64, .u.i = -7}, {.type = CELL_BOOL, .u.i = 1},
        {.type = CELL_F64, .u.f = 1.5},
        {.type = CELL_TIMESTAMP, .u.i = INT64_C(1795255872345678)},
        text_cell(CELL_BYTES, "\xff\xfe", 2), {.type = CELL_U64, .u.u = UINT64_MAX},
        text_cell(CELL_STRING, "x", 1),
    };

    (void)state;
    expect_key(&s, cells, "a=-7/b=true/c=1.5/d=2026-11-21T10%3A11%3A12.345678Z/e=%2F%2F4%3D/"
                          "f=18446744073709551615/");
    s.hidden = 0;
    expect_key(&s, cells, "");
    schema_fini(&s);
}

static void names_are_encoded_and_never_hidden(void **state)
{
    struct schema s = schema_hiding("\"a b\" i64, \".x\" i64, \"k=v\" i64, \"..\" i64", 4);
    struct cell cells[4];

    (void)state;
    for (int i = 0; i < 4; i++)
        cells[i] = (struct cell){.type = CELL_I64, .u.i = i};
    expect_key(&s, cells, "a%20b=0/%2Ex=1/k%3Dv=2/%2E.=3/");
    schema_fini(&s);
}

static void the_missing_have_a_folder_or_are_an_error(void **state)
{
    struct schema s = schema_hiding("a string, b string", 2);
    struct cell cells[2] = {text_cell(CELL_STRING, "x", 1), {.type = CELL_NULL}};
    struct partition_key key;
    struct errmsg err = {0};

    (void)state;
    expect_key(&s, cells, "a=x/b=__HIVE_DEFAULT_PARTITION__/");
    assert_int_equal(partition_key(&s, cells, false, &key, &err), -ENODATA);
    assert_non_null(strstr(err.text, "'b' is missing"));
    schema_fini(&s);
}

static void what_is_too_long_is_named(void **state)
{
    struct schema s = schema_hiding("a string, b string", 2);
    struct partition_key key;
    struct errmsg err = {0};
    char text[PARTITION_VALUE_BYTES_MAX + 1];
    struct cell cells[2] = {text_cell(CELL_STRING, text, PARTITION_VALUE_BYTES_MAX),
                            text_cell(CELL_STRING, text, 100)};

    (void)state;
    memset(text, 'v', sizeof(text));
    assert_int_equal(partition_key(&s, cells, true, &key, &err), 0);
    cells[0].len++;
    assert_int_equal(partition_key(&s, cells, true, &key, &err), -ENAMETOOLONG);
    assert_non_null(strstr(err.text, "'a': more than 200 bytes"));
    cells[0].len--;
    cells[1].len = PARTITION_VALUE_BYTES_MAX;
    assert_int_equal(partition_key(&s, cells, true, &key, &err), -ENAMETOOLONG);
    assert_non_null(strstr(err.text, "'b': more than 320 bytes"));
    /* Counted as they are encoded. */
    memset(text, '/', sizeof(text));
    cells[0].len = PARTITION_VALUE_BYTES_MAX / 3;
    cells[1].len = 1;
    assert_int_equal(partition_key(&s, cells, true, &key, &err), 0);
    cells[0].len++;
    assert_int_equal(partition_key(&s, cells, true, &key, &err), -ENAMETOOLONG);
    cells[0] = text_cell(CELL_BYTES, text, 151);
    assert_int_equal(partition_key(&s, cells, true, &key, &err), -ENAMETOOLONG);
    schema_fini(&s);
}

static void columns_that_can_have_no_key_are_refused(void **state)
{
    struct schema s = schema_hiding("country string, city string", 2);
    struct errmsg err = {0};
    char name[16];

    (void)state;
    assert_int_equal(partition_check(&s, &err), 0);
    schema_fini(&s);
    s = schema_hiding("\"a name with many blanks and so of many bytes\" i64", 1);
    assert_int_equal(partition_check(&s, &err), -EINVAL);
    assert_non_null(strstr(err.text, "its name takes more than 50"));
    schema_fini(&s);
    schema_init(&s);
    for (int i = 0; i < 20; i++) {
        (void)snprintf(name, sizeof(name), "c%d", i);
        assert_int_equal(schema_add(&s, name, strlen(name), COLUMN_STRING), 0);
    }
    s.hidden = s.count;
    assert_int_equal(partition_check(&s, &err), -EINVAL);
    assert_non_null(strstr(err.text, "is one too many"));
    schema_fini(&s);
}

static void keys_are_equal_only_as_text(void **state)
{
    struct schema s = schema_hiding("a string", 1);
    struct partition_key one, same, other;
    struct cell cell = text_cell(CELL_STRING, "x", 1);

    (void)state;
    assert_int_equal(partition_key(&s, &cell, true, &one, NULL), 0);
    assert_int_equal(partition_key(&s, &cell, true, &same, NULL), 0);
    cell = text_cell(CELL_STRING, "y", 1);
    assert_int_equal(partition_key(&s, &cell, true, &other, NULL), 0);
    assert_true(partition_key_equal(&one, &same));
    assert_false(partition_key_equal(&one, &other));
    schema_fini(&s);
}

static void only_encodings_of_ours_decode(void **state)
{
    static const char *const bad[] = {"%", "%2", "%2f", "a b", "/", "%GG", "%2", "=", "a%"};
    uint8_t value[16];

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(partition_decode(bad[i], (uint32_t)strlen(bad[i]), value), -1);
    assert_int_equal(partition_decode("a%2Fb", 5, value), 3);
    assert_memory_equal(value, "a/b", 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strings_are_encoded_as_hive_does),
        cmocka_unit_test(every_type_has_its_text),
        cmocka_unit_test(names_are_encoded_and_never_hidden),
        cmocka_unit_test(the_missing_have_a_folder_or_are_an_error),
        cmocka_unit_test(what_is_too_long_is_named),
        cmocka_unit_test(columns_that_can_have_no_key_are_refused),
        cmocka_unit_test(keys_are_equal_only_as_text),
        cmocka_unit_test(only_encodings_of_ours_decode),
    };

    return cmocka_run_group_tests_name("partition", tests, NULL, NULL);
}
