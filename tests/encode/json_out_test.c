/*
 * Claims about rows as JSON lines: golden lines, and rows of random strings read back by jansson,
 * wherever blocks end.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "encode/json_out.h"
#include "encode/row_writer.h"
#include "encode/schema_text.h"
#include "encode/text.h"

static void row_written(const struct schema *s, const struct cell *cells, size_t ahead,
                        struct bytes *out)
{
    struct block_chain chain;
    struct json_out json;
    uint64_t most;

    assert_int_equal(json_out_init(&json, s), 0);
    most = json_out_row_bytes_max(&json, cells);
    written_begin(&chain, ahead, most);
    json_out_row(&json, cells, most, &chain);
    assert_true(written_end(&chain, ahead, out) <= most);
    json_out_fini(&json);
}

static void expect_row(const struct schema *s, const struct cell *cells, const char *expected)
{
    struct bytes out = BYTES_INIT;

    row_written(s, cells, 0, &out);
    assert_string_equal(bytes_cstr(&out), expected);
    bytes_free(&out);
}

static void every_kind_of_cell_has_its_value(void **state)
{
    struct schema s = schema_of("a bool, b i64, c u64, d f64, e f32, f timestamp, g bytes, "
                                "h string, i string, j string, k i32");
    struct cell cells[11] = {
        {.type = CELL_BOOL, .u.i = 1}, {.type = CELL_I64, .u.i = INT64_MIN},
        {.type = CELL_U64, .u.u = UINT64_MAX}, {.type = CELL_F64, .u.f = 12.5},
        {.type = CELL_F64, .u.f = (double)0.1f},
        {.type = CELL_TIMESTAMP, .u.i = INT64_C(1795255872345678)},
        text_cell(CELL_BYTES, "\0\xff?", 3), text_cell(CELL_NUMBER, "1.50e+03", 8),
        text_cell(CELL_JSON, "{\n\"a\":\r\n[1,2]}", 14), text_cell(CELL_STRING, "a\"\n\x01\\", 5),
    };

    (void)state;
    expect_row(&s, cells, "{\"a\":true,\"b\":-9223372036854775808,\"c\":18446744073709551615,"
                          "\"d\":12.5,\"e\":0.1,\"f\":\"2026-11-21T10:11:12.345678Z\","
                          "\"g\":\"AP8/\",\"h\":1.50e+03,\"i\":{ \"a\":  [1,2]},"
                          "\"j\":\"a\\\"\\n\\u0001\\\\\",\"k\":null}\n");
    schema_fini(&s);
}

static void what_json_has_no_number_for_is_null(void **state)
{
    struct schema s = schema_of("a f64, b f64, c f32");
    struct cell cells[3] = {{.type = CELL_F64, .u.f = (double)NAN},
                            {.type = CELL_F64, .u.f = -(double)INFINITY},
                            {.type = CELL_F64, .u.f = (double)INFINITY}};

    (void)state;
    expect_row(&s, cells, "{\"a\":null,\"b\":null,\"c\":null}\n");
    schema_fini(&s);
}

static void empty_text_and_no_columns(void **state)
{
    struct schema s = schema_of("a string, b bytes");
    struct cell cells[2] = {text_cell(CELL_STRING, NULL, 0), text_cell(CELL_BYTES, NULL, 0)};

    (void)state;
    expect_row(&s, cells, "{\"a\":\"\",\"b\":\"\"}\n");
    s.hidden = 1;
    expect_row(&s, cells, "{\"b\":\"\"}\n");
    s.hidden = 2;
    expect_row(&s, cells, "{}\n");
    schema_fini(&s);
}

static void names_are_escaped(void **state)
{
    struct schema s;
    struct cell cell = {.type = CELL_I64, .u.i = 7};

    (void)state;
    schema_init(&s);
    assert_int_equal(schema_add(&s, "a\"\t\\", 4, COLUMN_I64), 0);
    expect_row(&s, &cell, "{\"a\\\"\\t\\\\\":7}\n");
    schema_fini(&s);
}

static void every_split_between_two_blocks_gives_the_same_row(void **state)
{
    struct schema s = schema_of("a string, b f64, c bytes, d string, e timestamp");
    struct cell cells[5] = {text_cell(CELL_STRING, "say \"hi\", twice", 15),
                            {.type = CELL_F64, .u.f = -12.25},
                            text_cell(CELL_BYTES, "some bytes", 10),
                            text_cell(CELL_JSON, "[\"a\"\n]", 6),
                            {.type = CELL_TIMESTAMP, .u.i = 5}};
    struct bytes whole = BYTES_INIT, split = BYTES_INIT;

    (void)state;
    row_written(&s, cells, 0, &whole);
    for (size_t before = 0; before < 256; before++) {
        bytes_clear(&split);
        row_written(&s, cells, BLOCK_BYTES - before, &split);
        assert_int_equal(split.len, whole.len);
        assert_memory_equal(split.data, whole.data, whole.len);
    }
    bytes_free(&whole);
    bytes_free(&split);
    schema_fini(&s);
}

/* ASCII of every kind, and two bytes that belong together. */
static size_t fill_text(uint8_t *data, size_t cap)
{
    size_t len = (size_t)random() % cap;

    for (size_t i = 0; i < len; i++)
        data[i] = (uint8_t)(random() % 4 ? 'a' + random() % 26 : random() % 128);
    for (size_t i = 1; i < len; i += 13)
        memcpy(data + i - 1, "\xc3\xa9", 2);
    return len;
}

static void random_strings_come_back(void **state)
{
    struct schema s = schema_of("a string, b string, c f64");
    static uint8_t data[2][300 * 1000];

    (void)state;
    srandom(11);
    for (int round = 0; round < 2000; round++) {
        size_t cap = round % 100 ? 100 : sizeof(data[0]);
        size_t a = fill_text(data[0], cap), b = fill_text(data[1], cap);
        size_t ahead = (size_t)(round % 5 == 0 ? BLOCK_BYTES - random() % 200 : 0);
        struct cell cells[3] = {text_cell(CELL_STRING, data[0], a),
                                text_cell(CELL_STRING, data[1], b),
                                {.type = CELL_F64, .u.f = (double)random() / 1000}};
        struct bytes out = BYTES_INIT;
        json_t *row;

        row_written(&s, cells, ahead, &out);
        assert_int_equal(out.data[out.len - 1], '\n');
        assert_ptr_equal(memchr(out.data, '\n', out.len), out.data + out.len - 1);
        row = json_loadb((const char *)out.data, out.len, JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES,
                         NULL);
        assert_non_null(row);
        assert_int_equal(json_object_size(row), 3);
        assert_int_equal(json_string_length(json_object_get(row, "a")), a);
        assert_memory_equal(json_string_value(json_object_get(row, "a")), data[0], a);
        assert_int_equal(json_string_length(json_object_get(row, "b")), b);
        assert_memory_equal(json_string_value(json_object_get(row, "b")), data[1], b);
        assert_true(json_number_value(json_object_get(row, "c")) == cells[2].u.f);
        json_decref(row);
        bytes_free(&out);
    }
    schema_fini(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_of_cell_has_its_value),
        cmocka_unit_test(what_json_has_no_number_for_is_null),
        cmocka_unit_test(empty_text_and_no_columns),
        cmocka_unit_test(names_are_escaped),
        cmocka_unit_test(every_split_between_two_blocks_gives_the_same_row),
        cmocka_unit_test(random_strings_come_back),
    };

    return cmocka_run_group_tests_name("json_out", tests, NULL, NULL);
}
