/*
 * Claims about the short way of usual members: whatever stands in an object, it gives the result
 * and the cells of the same object with white space between its tokens, which never goes that way.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "encode/json_row.h"
#include "support/rng.h"

enum { COLUMNS = 8, OBJECTS = 60000 };

static const char *const names[COLUMNS] = {"a", "i32", "text", "real", "a_name_of_14_b",
                                           "a_name_of_15_by", "single", "wide"};
static const char columns[] = "a i64,i32 i32,text string,real f64,a_name_of_14_b i64,"
                              "a_name_of_15_by string,single f32,wide u64";

static uint64_t rng = RNG_SEED;

static void put(struct bytes *to, const char *text)
{
    assert_int_equal(bytes_append_str(to, text), 0);
}

static void digits_put(struct bytes *to, uint64_t count)
{
    for (; count > 0; count--) {
        uint64_t digit = rng_next(&rng) % 3 != 0 ? rng_next(&rng) % 10 : 0;

        assert_int_equal(bytes_append_char(to, (char)('0' + digit)), 0);
    }
}

/* Mostly one that JSON allows. */
static void number_put(struct bytes *to)
{
    if (rng_next(&rng) % 4 == 0)
        put(to, "-");
    if (rng_next(&rng) % 20)
        digits_put(to, 1 + rng_next(&rng) % (rng_next(&rng) % 4 ? 5 : 20));
    if (rng_next(&rng) % 3 == 0) {
        put(to, ".");
        digits_put(to, rng_next(&rng) % 20 ? 1 + rng_next(&rng) % 9 : 0);
    }
    if (rng_next(&rng) % 20 == 0)
        put(to, "e-2");
    if (rng_next(&rng) % 60 == 0)
        put(to, "x");
}

static void string_put(struct bytes *to)
{
    static const char *const rare[] = {"\\n", "\xc3\xa9", "\\u00e9", "\x01", "\\x", "\xff"};

    put(to, "\"");
    for (uint64_t len = rng_next(&rng) % 50; len > 0; len--)
        put(to, rng_next(&rng) % 200 == 0 ? rare[rng_next(&rng) % 6] : "x");
    put(to, "\"");
}

static void value_put(struct bytes *to, size_t column)
{
    bool text = column == 2 || column == 5;
    uint64_t kind = rng_next(&rng) % 20;

    if (kind == 0)
        put(to, "null");
    else if (kind == 1)
        put(to, "[1,2]");
    else if (kind == 2 ? !text : text)
        string_put(to);
    else
        number_put(to);
}

/* Twice: as it is usually written, and with white space. */
static void object_make(struct bytes *usual, struct bytes *spaced)
{
    static const char *const spaces[] = {" ", "\t", "\n", " \r "};
    size_t first = rng_next(&rng) % 3 ? 0 : rng_next(&rng) % COLUMNS;
    struct bytes value = BYTES_INIT;

    put(usual, "{");
    put(spaced, "{");
    for (size_t i = first; i < COLUMNS; i++) {
        size_t column = rng_next(&rng) % 10 ? i : rng_next(&rng) % COLUMNS;
        const char *space = spaces[rng_next(&rng) % 4], *comma = i > first ? "," : "";

        bytes_clear(&value);
        value_put(&value, column);
        assert_int_equal(bytes_printf(usual, "%s\"%s\":%s", comma, names[column],
                                      bytes_cstr(&value)), 0);
        assert_int_equal(bytes_printf(spaced, "%s%s\"%s\"%s:%s%s%s", comma, space, names[column],
                                      space, space, bytes_cstr(&value), space), 0);
    }
    put(usual, "}");
    put(spaced, "}");
    bytes_free(&value);
}

static void cells_compare(const struct cell *one, const struct cell *two, const char *text)
{
    for (size_t i = 0; i < COLUMNS; i++) {
        bool same = one[i].type == two[i].type;

        if (same && one[i].type >= CELL_STRING)
            same = one[i].len == two[i].len && memcmp(one[i].u.s, two[i].u.s, one[i].len) == 0;
        else if (same && one[i].type != CELL_NULL)
            same = one[i].u.u == two[i].u.u;
        if (!same)
            fail_msg("column %s: %s", names[i], text);
    }
}

/* In memory that ends with it. */
static enum json_row_result take(struct json_row *row, const struct bytes *text, uint8_t **ret_copy,
                                 struct cell *cells)
{
    *ret_copy = malloc(text->len);
    assert_non_null(*ret_copy);
    memcpy(*ret_copy, text->data, text->len);
    return json_row_take(row, *ret_copy, text->len, cells);
}

static void check(unsigned int flags)
{
    struct bytes usual = BYTES_INIT, spaced = BYTES_INIT;
    struct json_row *one, *two;
    struct schema schema;
    uint32_t taken = 0;

    assert_int_equal(schema_parse(columns, &schema, NULL), 0);
    assert_int_equal(json_row_open(&schema, NULL, flags, &one), 0);
    assert_int_equal(json_row_open(&schema, NULL, flags, &two), 0);
    for (int i = 0; i < OBJECTS; i++) {
        struct cell cells[2][COLUMNS];
        enum json_row_result result;
        uint8_t *copies[2];

        bytes_clear(&usual);
        bytes_clear(&spaced);
        object_make(&usual, &spaced);
        result = take(one, &usual, &copies[0], cells[0]);
        if (result != take(two, &spaced, &copies[1], cells[1])
            || (result && strcmp(json_row_error(one)->why, json_row_error(two)->why) != 0))
            fail_msg("not as with white space: %s", bytes_cstr(&usual));
        if (result == JSON_ROW_TAKEN) {
            assert_int_equal(json_row_members(one), json_row_members(two));
            cells_compare(cells[0], cells[1], bytes_cstr(&usual));
            taken++;
        }
        free(copies[0]);
        free(copies[1]);
    }
    assert_true(taken > OBJECTS / 100);
    json_row_close(one);
    json_row_close(two);
    schema_fini(&schema);
    bytes_free(&usual);
    bytes_free(&spaced);
}

static void usual_members_are_as_all_others(void **state)
{
    (void)state;
    check(0);
    check(JSON_ROW_STRICT);
    check(JSON_ROW_NUMBERS_AS_TEXT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(usual_members_are_as_all_others),
    };

    return cmocka_run_group_tests_name("json_row_usual", tests, NULL, NULL);
}
