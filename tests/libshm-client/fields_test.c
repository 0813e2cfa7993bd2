/*
 * The body of a schema's definition: what is refused, and where the fields of its records lie.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "libshm-client/fields.h"
#include "libshm-client/schema_body.h"

/* Opens a copy of exactly len bytes, so that a sanitizer sees what is read behind them. */
static enum shmc_fields_fault try_open(const uint8_t *body, size_t len, struct shmc_fields *ret_f,
                                       unsigned int *ret_index)
{
    uint8_t *copy = malloc(len > 0 ? len : 1);
    enum shmc_fields_fault fault;

    assert_non_null(copy);
    memcpy(copy, body, len);
    fault = shmc_fields_open(ret_f, copy, len, ret_index);
    free(copy);
    return fault;
}

static void fields_lie_largest_first_without_gaps(void **state)
{
    static const uint16_t places[] = {40, 0, 44, 8, 48, 16, 24, 49, 32};
    struct schema_body b;
    struct shmc_fields f;
    struct shmc_fields_one one;
    unsigned int index;

    (void)state;
    schema_body_init(&b);
    schema_body_add(&b, SHM_FIELD_I32, 0, "a");
    schema_body_add(&b, SHM_FIELD_I64, 0, "b");
    schema_body_add(&b, SHM_FIELD_F32, 0, "c");
    schema_body_add(&b, SHM_FIELD_STRING, 0, "d");
    schema_body_add(&b, SHM_FIELD_BOOL, SHM_FIELD_NULLABLE, "e");
    schema_body_add(&b, SHM_FIELD_BYTES, 0, "f");
    schema_body_add(&b, SHM_FIELD_U64, 0, "g");
    schema_body_add(&b, SHM_FIELD_BOOL, 0, "h");
    schema_body_add(&b, SHM_FIELD_TIMESTAMP, 0, "i");
    assert_int_equal(shmc_fields_open(&f, b.bytes, b.len, &index), SHMC_FIELDS_GOOD);
    assert_int_equal(f.count, 9);
    assert_int_equal(f.present_at, 50);
    assert_int_equal(f.fixed_bytes, 52);
    for (unsigned int i = 0; i < 9; i++) {
        assert_true(shmc_fields_next(&f, &one));
        assert_int_equal(one.at, places[i]);
        assert_int_equal(one.name_len, 1);
        assert_int_equal(one.name[0], 'a' + i);
        assert_int_equal(one.nullable, i == 4);
    }
    assert_false(shmc_fields_next(&f, &one));
}

static void without_nullable_fields_there_is_no_bitmap(void **state)
{
    struct schema_body b;
    struct shmc_fields f;
    unsigned int index;

    (void)state;
    schema_body_init(&b);
    schema_body_add(&b, SHM_FIELD_BOOL, 0, "a");
    assert_int_equal(shmc_fields_open(&f, b.bytes, b.len, &index), SHMC_FIELDS_GOOD);
    assert_int_equal(f.present_at, 0);
    assert_int_equal(f.fixed_bytes, 1);
}

static void each_length_but_the_right_one_is_refused(void **state)
{
    struct schema_body b;
    struct shmc_fields f;
    unsigned int index;

    (void)state;
    schema_body_init(&b);
    schema_body_add(&b, SHM_FIELD_STRING, 0, "user");
    schema_body_add(&b, SHM_FIELD_F64, 1, "amount");
    assert_int_equal(try_open(b.bytes, b.len, &f, &index), SHMC_FIELDS_GOOD);
    for (size_t len = 0; len < b.len; len++)
        assert_int_equal(try_open(b.bytes, len, &f, &index), SHMC_FIELDS_CUT);
    b.bytes[b.len] = 0;
    assert_int_equal(try_open(b.bytes, b.len + 1, &f, &index), SHMC_FIELDS_CUT);
    assert_int_equal(shmc_fields_open(&f, b.bytes, SHM_DEFS_BYTES + 1, &index), SHMC_FIELDS_CUT);
}

static void what_is_wrong_is_named_with_its_field(void **state)
{
    static const struct {
        size_t at; /* from the second field on */
        uint8_t value;
        enum shmc_fields_fault fault;
    } cases[] = {
        {0, 0, SHMC_FIELDS_TYPE},       {0, SHM_FIELD_TYPE_COUNT, SHMC_FIELDS_TYPE},
        {0, 255, SHMC_FIELDS_TYPE},     {1, 2, SHMC_FIELDS_RESERVED},
        {1, 0x81, SHMC_FIELDS_RESERVED}, {3, 1, SHMC_FIELDS_RESERVED},
        {2, 0, SHMC_FIELDS_NAME},       {2, 255, SHMC_FIELDS_CUT},
        {4, 0, SHMC_FIELDS_NAME},       {5, 0xff, SHMC_FIELDS_NAME},
        {4, 'a', SHMC_FIELDS_TWICE},
    };
    struct schema_body b;
    struct shmc_fields f;
    unsigned int index;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t second;

        schema_body_init(&b);
        schema_body_add(&b, SHM_FIELD_I64, 0, "ab");
        second = b.len;
        schema_body_add(&b, SHM_FIELD_I64, 0, "bb");
        b.bytes[second + cases[i].at] = cases[i].value;
        assert_int_equal(try_open(b.bytes, b.len, &f, &index), cases[i].fault);
        assert_int_equal(index, 1);
    }
    schema_body_init(&b);
    assert_int_equal(try_open(b.bytes, b.len, &f, &index), SHMC_FIELDS_NUMBER);
    schema_body_add(&b, SHM_FIELD_I64, 0, "a");
    b.bytes[2] = 1;
    assert_int_equal(try_open(b.bytes, b.len, &f, &index), SHMC_FIELDS_RESERVED);
}

static void as_many_fields_as_there_may_be_and_no_more(void **state)
{
    struct schema_body b;
    struct shmc_fields f;
    unsigned int index;
    char name[8];

    (void)state;
    schema_body_init(&b);
    for (unsigned int i = 0; i <= SHM_FIELDS_MAX; i++) {
        (void)snprintf(name, sizeof(name), "%u", i);
        schema_body_add(&b, SHM_FIELD_STRING, SHM_FIELD_NULLABLE, name);
        assert_int_equal(try_open(b.bytes, b.len, &f, &index),
                         i < SHM_FIELDS_MAX ? SHMC_FIELDS_GOOD : SHMC_FIELDS_NUMBER);
        if (i < SHM_FIELDS_MAX)
            assert_int_equal(f.fixed_bytes, 8 * (i + 1) + (i + 8) / 8);
    }
}

static void names_are_utf8(void **state)
{
    static const char *const good[] = {"a", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf",
                                       "\xee\x80\x80", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf",
                                       "gr\xc3\xb6\xc3\x9fz"};
    static const char *const bad[] = {"\x80", "\xc0\x80", "\xc1\xbf", "\xc2", "\xc2z",
                                      "\xe0\x9f\xbf", "\xed\xa0\x80", "\xe1\x80", "\xe1\x80z",
                                      "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80",
                                      "\xf1\x80\x80", "\xff"};

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_true(shmc_fields_utf8((const uint8_t *)good[i], strlen(good[i])));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(shmc_fields_utf8((const uint8_t *)bad[i], strlen(bad[i])));
    assert_true(shmc_fields_utf8(NULL, 0));
}

static void every_fault_has_a_text(void **state)
{
    (void)state;
    for (int i = 0; i < SHMC_FIELDS_FAULT_COUNT; i++)
        assert_true(strlen(shmc_fields_fault_text((enum shmc_fields_fault)i)) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_lie_largest_first_without_gaps),
        cmocka_unit_test(without_nullable_fields_there_is_no_bitmap),
        cmocka_unit_test(each_length_but_the_right_one_is_refused),
        cmocka_unit_test(what_is_wrong_is_named_with_its_field),
        cmocka_unit_test(as_many_fields_as_there_may_be_and_no_more),
        cmocka_unit_test(names_are_utf8),
        cmocka_unit_test(every_fault_has_a_text),
    };

    return cmocka_run_group_tests_name("fields", tests, NULL, NULL);
}
