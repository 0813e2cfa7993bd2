/*
 * Claims about CSV: what is quoted and what is not, null told apart from empty, and every row read
 * back as it was, wherever blocks end.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "encode/csv.h"
#include "encode/row_writer.h"
#include "encode/schema_text.h"

static struct cell string_cell(const char *text)
{
    return text_cell(CELL_STRING, text, strlen(text));
}

static void expect_row(const struct schema *s, const struct cell *cells, const char *expected)
{
    struct bytes out = BYTES_INIT;

    (void)csv_written(s, cells, false, 0, &out);
    assert_string_equal(bytes_cstr(&out), expected);
    bytes_free(&out);
}

static void quotes_only_what_needs_it(void **state)
{
    static const struct {
        const char *text, *field;
    } cases[] = {
        {"plain", "plain"},           {"a b", "a b"},               {"a,b", "\"a,b\""},
        {"a\"b", "\"a\"\"b\""},       {"a\nb", "\"a\nb\""},         {"a\rb", "\"a\rb\""},
        {" a", "\" a\""},             {"a ", "\"a \""},             {"\ta", "\"\ta\""},
        {"a\t", "\"a\t\""},           {"a\tb", "a\tb"},             {"", "\"\""},
        {"\"", "\"\"\"\""},           {",", "\",\""},               {"'", "'"},
        {"caf\xc3\xa9", "caf\xc3\xa9"}, {"\xef\xbb\xbf" "a", "\"\xef\xbb\xbf" "a\""},
        {"0123456789abcde,", "\"0123456789abcde,\""},
        {"0123456789abcdef,", "\"0123456789abcdef,\""},
        {"0123456789abcdef\"0123456789", "\"0123456789abcdef\"\"0123456789\""},
        {"01234567890123456789012345678901", "01234567890123456789012345678901"},
    };
    struct schema s = schema_of("a string, b string");

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct cell cells[2] = {string_cell(cases[i].text), string_cell("x")};
        char expected[64];

        (void)snprintf(expected, sizeof(expected), "%s,x\n", cases[i].field);
        expect_row(&s, cells, expected);
    }
    schema_fini(&s);
}

static void a_special_character_is_found_at_every_place(void **state)
{
    static const char specials[] = ",\"\n\r";
    struct schema s = schema_of("a string");

    (void)state;
    for (size_t len = 1; len < 70; len++)
        for (size_t at = 0; at < len; at++)
            for (const char *c = specials; *c != '\0'; c++) {
                struct bytes out = BYTES_INIT;
                char text[70];
                struct cell cell = text_cell(CELL_STRING, text, len);

                memset(text, 'x', len);
                text[at] = *c;
                (void)csv_written(&s, &cell, false, 0, &out);
                assert_int_equal(out.data[0], '"');
                assert_int_equal(out.len, len + 3 + (*c == '"'));
                bytes_free(&out);
            }
    schema_fini(&s);
}

static void null_is_told_from_empty(void **state)
{
    struct schema s = schema_of("a string, b bytes, c i64");
    struct cell nulls[3] = {{.type = CELL_NULL}};
    struct cell empty[3] = {text_cell(CELL_STRING, NULL, 0), text_cell(CELL_BYTES, NULL, 0)};

    (void)state;
    expect_row(&s, nulls, ",,\n");
    expect_row(&s, empty, "\"\",\"\",\n");
    schema_fini(&s);
    s = schema_of("a string");
    expect_row(&s, nulls, "\"\"\n");
    schema_fini(&s);
    s = schema_of("");
    expect_row(&s, nulls, "\n");
    schema_fini(&s);
}

static void hidden_columns_are_not_written(void **state)
{
    struct schema s = schema_of("h string, a i64, b bool");
    struct cell cells[3] = {string_cell("gone"), {.type = CELL_I64, .u.i = -5},
                            {.type = CELL_BOOL, .u.i = 1}};
    struct bytes out = BYTES_INIT;

    (void)state;
    s.hidden = 1;
    (void)csv_written(&s, NULL, true, 0, &out);
    assert_string_equal(bytes_cstr(&out), "a,b\n");
    expect_row(&s, cells, "-5,true\n");
    bytes_free(&out);
    schema_fini(&s);
}

static void names_are_quoted_as_fields_are(void **state)
{
    struct schema s = schema_of("\"\xef\xbb\xbf" "a\" i64, \"b,\"\"c\" i64, d i64");
    struct bytes out = BYTES_INIT;

    (void)state;
    (void)csv_written(&s, NULL, true, 0, &out);
    assert_string_equal(bytes_cstr(&out), "\"\xef\xbb\xbf" "a\",\"b,\"\"c\",d\n");
    bytes_free(&out);
    schema_fini(&s);
}

static void every_kind_of_cell_has_its_text(void **state)
{
    struct schema s = schema_of("a bool, b i64, c u64, d f64, e f32, f timestamp, g bytes, "
                                "h string, i string");
    struct cell cells[9] = {
        {.type = CELL_BOOL}, {.type = CELL_I64, .u.i = INT64_MIN},
        {.type = CELL_U64, .u.u = UINT64_MAX}, {.type = CELL_F64, .u.f = 0.1},
        {.type = CELL_F64, .u.f = (double)0.1f},
        {.type = CELL_TIMESTAMP, .u.i = INT64_C(1795255872345678)},
        text_cell(CELL_BYTES, "\0\xff?", 3), text_cell(CELL_NUMBER, "1.50e+03", 8),
        text_cell(CELL_JSON, "{\n\"a\":\r\n[1,2]}", 14),
    };

    (void)state;
    expect_row(&s, cells, "false,-9223372036854775808,18446744073709551615,0.1,0.1,"
                          "2026-11-21T10:11:12.345678Z,AP8/,1.50e+03,\"{ \"\"a\"\":  [1,2]}\"\n");
    schema_fini(&s);
}

static void every_split_between_two_blocks_gives_the_same_row(void **state)
{
    struct schema s = schema_of("a string, b f64, c bytes, d string, e string");
    struct cell cells[5] = {string_cell("say \"hi\", twice"), {.type = CELL_F64, .u.f = -12.25},
                            text_cell(CELL_BYTES, "some bytes", 10),
                            text_cell(CELL_JSON, "[\"a\"\n]", 6), string_cell("plain text")};
    struct bytes whole = BYTES_INIT, split = BYTES_INIT;

    (void)state;
    (void)csv_written(&s, cells, false, 0, &whole);
    for (size_t before = 0; before < 256; before++) {
        bytes_clear(&split);
        (void)csv_written(&s, cells, false, BLOCK_BYTES - before, &split);
        assert_int_equal(split.len, whole.len);
        assert_memory_equal(split.data, whole.data, whole.len);
    }
    bytes_free(&whole);
    bytes_free(&split);
    schema_fini(&s);
}

/* Random text of characters that matter. */
static void fill_text(uint8_t *data, size_t len)
{
    static const char some[] = ",\"\n\r \tabcdefgh\xc3\xa9";

    for (size_t i = 0; i < len; i++)
        data[i] = (uint8_t)(random() % 4 ? 'x' : some[(size_t)random() % (sizeof(some) - 1)]);
}

static void large_fields_cross_blocks_unharmed(void **state)
{
    struct schema s = schema_of("a string, b bytes, c string");
    static uint8_t data[700 * 1000];

    (void)state;
    srandom(7);
    for (int round = 0; round < 12; round++) {
        size_t len = (size_t)random() % sizeof(data), ahead = (size_t)random() % BLOCK_BYTES;
        struct cell cells[3] = {text_cell(CELL_STRING, data, len), text_cell(CELL_BYTES, data, len),
                                text_cell(CELL_JSON, data, len)};
        struct bytes out = BYTES_INIT;
        struct csv_field fields[3];
        uint8_t *at;

        fill_text(data, len);
        (void)csv_written(&s, cells, false, ahead, &out);
        at = out.data;
        assert_int_equal(csv_record_read(&at, out.data + out.len, fields, 3), 3);
        assert_ptr_equal(at, out.data + out.len);
        for (int i = 0; i < 3; i++) {
            const char *wrong = csv_field_check(&fields[i], &cells[i], COLUMN_STRING, false);

            if (wrong != NULL)
                fail_msg("round %d, field %d: %s", round, i, wrong);
        }
        bytes_free(&out);
    }
    schema_fini(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quotes_only_what_needs_it),
        cmocka_unit_test(a_special_character_is_found_at_every_place),
        cmocka_unit_test(null_is_told_from_empty),
        cmocka_unit_test(hidden_columns_are_not_written),
        cmocka_unit_test(names_are_quoted_as_fields_are),
        cmocka_unit_test(every_kind_of_cell_has_its_text),
        cmocka_unit_test(every_split_between_two_blocks_gives_the_same_row),
        cmocka_unit_test(large_fields_cross_blocks_unharmed),
    };

    return cmocka_run_group_tests_name("csv", tests, NULL, NULL);
}
