/*
 * writer: files of lines and rows, columns found, widened and learned, and repeats after AGAIN and
 * NO_ROOM that neither lose nor double a row.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "encode/format_file.h"
#include "libshm-client/schema_body.h"

static struct format_file file;

static void opened(struct output_settings set, unsigned blocks)
{
    struct errmsg err = {""};

    if (ff_open(&file, set, blocks, &err))
        fail_msg("%s", err.text);
}

static struct output_settings csv(const char *columns)
{
    return (struct output_settings){.format = (char *)"csv", .columns = (char *)columns,
                                    .compression_level = -1};
}

static void lines_go_out_as_they_come(void **state)
{
    struct event text = ff_event(SHM_KIND_TEXT, "a\"b", 3);
    struct event bytes = ff_event(SHM_KIND_BYTES, "x", 1);

    (void)state;
    opened((struct output_settings){.format = (char *)"json"}, 2);
    assert_int_equal(ff_json(&file, "{\"a\":1}"), 0);
    assert_int_equal(ff_take(&file, &text), 0);
    assert_int_equal(ff_take(&file, &bytes), 0);
    assert_string_equal(ff_finish(&file), "{\"a\":1}\n{\"message\": \"a\\\"b\"}\n"
                                          "{\"message_base64\": \"eA==\"}\n");
    ff_close(&file);
    opened((struct output_settings){.format = (char *)"raw", .delimiter = (uint8_t *)";",
                                    .delimiter_len = 1}, 2);
    assert_int_equal(ff_json(&file, "one"), 0);
    assert_int_equal(ff_take(&file, &bytes), 0);
    assert_string_equal(ff_finish(&file), "one;x;");
    ff_close(&file);
}

/* Straight from their payloads, but where a block may end: the same lines throughout. */
static void records_become_the_same_lines_wherever_blocks_end(void **state)
{
    enum { ROWS = 40000 };
    static const char *const columns[] = {"", "s string,n i64"};
    struct record_types types;
    struct record_type *type;
    struct schema_body body;

    (void)state;
    record_types_init(&types);
    schema_body_init(&body);
    schema_body_add(&body, SHM_FIELD_I64, 0, "n");
    schema_body_add(&body, SHM_FIELD_STRING, 0, "s");
    assert_int_equal(record_types_get(&types, body.bytes, body.len, &type), 0);
    for (int way = 0; way < 3; way++) {
        struct output_settings set = csv(columns[way % 2]);
        struct bytes expected = BYTES_INIT;

        if (way == 2)
            set.format = (char *)"json";
        opened(set, 6);
        if (way < 2)
            assert_int_equal(bytes_append_str(&expected, way ? "s,n\n" : "n,s\n"), 0);
        for (int64_t n = 0; n < ROWS; n++) {
            static const char text[] = "a plain one, or \"not\"";
            struct shm_ref ref = {16, n % 7 ? 11 : sizeof(text) - 1};
            const char *s = n % 7 ? "a plain one" : way == 2 ? "a plain one, or \\\"not\\\""
                                                             : "\"a plain one, or \"\"not\"\"\"";
            uint8_t payload[16 + sizeof(text)];
            struct event ev = ff_event(SHM_KIND_RECORD, payload, 16 + ref.len);

            memcpy(payload, &n, 8);
            memcpy(payload + 8, &ref, 8);
            memcpy(payload + 16, text, ref.len);
            ev.record = type;
            assert_int_equal(ff_take(&file, &ev), 0);
            assert_int_equal(way == 0   ? bytes_printf(&expected, "%d,%s\n", (int)n, s)
                             : way == 1 ? bytes_printf(&expected, "%s,%d\n", s, (int)n)
                                        : bytes_printf(&expected, "{\"n\":%d,\"s\":\"%s\"}\n",
                                                       (int)n, s), 0);
        }
        assert_string_equal(ff_finish(&file), bytes_cstr(&expected));
        assert_true(expected.len > 2 * BLOCK_BYTES);
        bytes_free(&expected);
        ff_close(&file);
    }
    record_types_fini(&types);
}

static void declared_columns_take_what_fits_and_no_more(void **state)
{
    (void)state;
    opened(csv("a i64,b string"), 2);
    assert_int_equal(ff_json(&file, "{\"b\":\"x\",\"a\":1}"), 0);
    assert_int_equal(ff_json(&file, "{\"a\":\"1\"}"), -EBADMSG);
    assert_int_equal(file.enc->error, ENCODING_FORMAT_FAILED);
    assert_int_equal(ff_json(&file, "{\"c\":1}"), -EBADMSG);
    assert_int_equal(ff_json(&file, "{}"), 0);
    assert_string_equal(ff_finish(&file), "a,b\n1,x\n,\n");
    ff_close(&file);
}

static void found_columns_are_the_union_of_what_was_held(void **state)
{
    (void)state;
    opened(csv(""), 2);
    assert_int_equal(ff_json(&file, "{\"a\":1}"), 0);
    assert_int_equal(ff_json(&file, "{\"b\":\"x\",\"a\":2}"), 0);
    assert_int_equal(ff_json(&file, "{}"), -EBADMSG);
    assert_true(writer_memory(file.w) > 0);
    assert_int_equal(ff_json(&file, "{\"c\":null}"), 0);
    assert_string_equal(ff_finish(&file), "a,b,c\n1,,\n2,x,\n,,\n");
    ff_close(&file);
}

static void a_misfit_says_which_columns_would_do(void **state)
{
    struct output_settings set = csv("");
    struct schema wider;
    struct event ev;

    (void)state;
    set.infer_bytes = 1;
    opened(set, 2);
    assert_int_equal(ff_json(&file, "{\"a\":1}"), 0);
    assert_int_equal(ff_json(&file, "{\"a\":2}"), 0);
    assert_int_equal(ff_json(&file, "{\"a\":3,\"b\":\"x\"}"), -ERANGE);
    assert_int_equal(schema_copy(writer_wider(file.w), &wider), 0);
    assert_int_equal(wider.count, 2);
    assert_string_equal(ff_finish(&file), "a\n1\n2\n");
    writer_close(file.w);
    bytes_clear(&file.bytes);
    ev = ff_event(SHM_KIND_JSON, "{\"b\":\"x\"}", 9);
    assert_int_equal(writer_open(file.enc, &ev, &wider, &file.w), 0);
    assert_int_equal(ff_take(&file, &ev), 0);
    assert_int_equal(ff_json(&file, "{\"a\":true}"), -ERANGE);     /* of another type */
    assert_string_equal(ff_finish(&file), "a,b\n,x\n");
    schema_fini(&wider);
    ff_close(&file);
}

/* What no batch could begin with is in none: else it would be elsewhere when it is read again. */
static void what_cannot_begin_a_batch_joins_none(void **state)
{
    static const char *const formats[] = {"csv", "parquet"};
    struct output_settings set = csv("");
    struct bytes many = BYTES_INIT;

    (void)state;
    assert_int_equal(bytes_append(&many, "{", 1), 0);
    for (int i = 0; i <= SCHEMA_COLUMNS_MAX; i++)
        assert_int_equal(bytes_append(&many, i ? ",\"a\":1" : "\"a\":1", i ? 6 : 5), 0);
    assert_int_equal(bytes_append(&many, "}", 2), 0);
    set.drop_fields = (char *)"d";
    for (int i = 0; i < 2; i++)
        for (int first = 0; first < 2; first++) {
            set.format = (char *)formats[i];
            set.infer_bytes = first ? 1 << 20 : 1;
            opened(set, 3);
            assert_int_equal(ff_json(&file, "{}"), -EBADMSG);
            assert_int_equal(ff_json(&file, "{\"d\":1}"), -EBADMSG);
            assert_int_equal(ff_json(&file, (const char *)many.data), -EBADMSG);
            assert_int_equal(ff_json(&file, "{\"a\":1}"), 0);
            assert_int_equal(ff_json(&file, "{}"), -EBADMSG);
            assert_int_equal(ff_json(&file, "{\"d\":1}"), -EBADMSG);
            assert_int_equal(ff_json(&file, (const char *)many.data), -EBADMSG);
            assert_int_equal(ff_json(&file, "nothing"), -EBADMSG);
            assert_int_equal(ff_json(&file, "{\"a\":1,\"d\":2}"), 0);
            ff_finish(&file);
            if (i == 0)
                assert_string_equal(file.bytes.data, "a\n1\n1\n");
            ff_close(&file);
        }
    set.add_fields = (char *)"h = \"y\"";
    opened(set, 3);
    assert_int_equal(ff_json(&file, "{}"), 0);
    ff_finish(&file);
    ff_close(&file);
    bytes_free(&many);
}

/* As many keys as there can be columns, and one more is added. */
static void added_columns_find_room_beside_those_found(void **state)
{
    struct output_settings set = csv("");
    struct bytes many = BYTES_INIT;

    (void)state;
    assert_int_equal(bytes_append(&many, "{", 1), 0);
    for (int i = 0; i < SCHEMA_COLUMNS_MAX; i++) {
        char key[32];
        int n = snprintf(key, sizeof(key), "%s\"k%d\":1", i ? "," : "", i);

        assert_int_equal(bytes_append(&many, key, (size_t)n), 0);
    }
    assert_int_equal(bytes_append(&many, "}", 2), 0);
    opened(set, 2);
    assert_int_equal(ff_json(&file, (const char *)many.data), 0);
    assert_int_equal(ff_json(&file, "{\"other\":1}"), -ERANGE);
    assert_null(writer_wider(file.w));
    ff_finish(&file);
    ff_close(&file);
    set.add_fields = (char *)"h = \"y\"";
    opened(set, 2);
    assert_int_equal(ff_json(&file, (const char *)many.data), -EBADMSG);
    ff_close(&file);
    bytes_free(&many);
}

/* Rows with numbers that count up; each write of the file gives the same bytes. */
static void rows_written(struct output_settings set, unsigned blocks, unsigned rows, unsigned pad,
                         unsigned squeeze)
{
    char *text = malloc(pad + 100);

    assert_non_null(text);
    opened(set, blocks);
    for (unsigned i = 0; i < rows; i++) {
        int n = snprintf(text, 100, "{\"n\":%u,\"x\":\"", i);

        memset(text + n, 'x', pad);
        memcpy(text + n + pad, "\"}", 3);
        assert_int_equal(ff_json(&file, text), 0);
        if (squeeze && i % squeeze == 0)
            writer_squeeze(file.w);
    }
    free(text);
    ff_finish(&file);
}

static void repeats_neither_lose_nor_double_a_row(void **state)
{
    static const char *const formats[] = {"csv", "parquet", "json"};
    struct output_settings set = csv("");

    (void)state;
    set.infer_bytes = 4 << 20;
    for (int i = 0; i < 3; i++) {
        struct bytes whole;

        set.format = (char *)formats[i];
        rows_written(set, 100, 6000, 800, 0);
        whole = file.bytes;
        file.bytes = (struct bytes)BYTES_INIT;
        assert_int_equal(file.no_room, 0);
        ff_close(&file);
        rows_written(set, 2, 6000, 800, 0);
        if (i != 1)
            assert_true(file.no_room > 0);
        if (i == 0)
            assert_true(file.again > 0);
        assert_int_equal(file.bytes.len, whole.len);
        assert_memory_equal(file.bytes.data, whole.data, whole.len);
        if (i == 0) {
            char *at = (char *)file.bytes.data;

            assert_memory_equal(at, "n,x\n", 4);
            for (unsigned n = 0; n < 6000; n++) {
                at = strchr(at, '\n') + 1;
                assert_int_equal(strtoul(at, &at, 10), n);
            }
        }
        ff_close(&file);
        bytes_free(&whole);
    }
}

/* Also in a pool so small that many events are asked for twice. */
static void lines_are_framed_as_they_are_to_be(void **state)
{
    struct output_settings set = {.format = (char *)"json", .framing = SETTINGS_FRAMING_ARRAY};

    (void)state;
    opened(set, 2);
    assert_int_equal(ff_json(&file, "{\"a\":1}"), 0);
    assert_string_equal(ff_finish(&file), "[{\"a\":1}]\n");
    ff_close(&file);
    for (int i = 0; i < 2; i++) {
        struct bytes whole;

        set.framing = i ? SETTINGS_FRAMING_RECORDS : SETTINGS_FRAMING_ARRAY;
        rows_written(set, 100, 3000, 800, 0);
        whole = file.bytes;
        file.bytes = (struct bytes)BYTES_INIT;
        ff_close(&file);
        rows_written(set, 2, 3000, 800, 0);
        assert_true(file.no_room > 0);
        assert_int_equal(file.bytes.len, whole.len);
        assert_memory_equal(file.bytes.data, whole.data, whole.len);
        assert_memory_equal(whole.data + whole.len - 2, i ? "}\n" : "]\n", 2);
        ff_close(&file);
        bytes_free(&whole);
    }
}

static void squeezing_holds_no_more_and_keeps_every_row(void **state)
{
    struct output_settings set = csv("");
    struct bytes whole;

    (void)state;
    set.infer_bytes = 4 << 20;
    rows_written(set, 3, 3000, 100, 0);
    whole = file.bytes;
    file.bytes = (struct bytes)BYTES_INIT;
    ff_close(&file);
    rows_written(set, 3, 3000, 100, 100);
    assert_int_equal(file.bytes.len, whole.len);
    assert_memory_equal(file.bytes.data, whole.data, whole.len);
    ff_close(&file);
    bytes_free(&whole);
    set.format = (char *)"parquet";
    rows_written(set, 3, 3000, 100, 100);
    assert_memory_equal(file.bytes.data, "PAR1", 4);
    assert_memory_equal(file.bytes.data + file.bytes.len - 4, "PAR1", 4);
    ff_close(&file);
}

/* As a file is made again: all are looked at first. */
static void learning_gives_the_same_rows(void **state)
{
    static const char *const events[] = {"{\"a\":1}", "{\"b\":\"x\"}", "{\"a\":0.5,\"c\":[1]}"};
    struct output_settings set = csv("");
    struct event ev;

    (void)state;
    opened(set, 2);
    for (int i = 0; i < 3; i++)
        assert_int_equal(ff_json(&file, events[i]), 0);
    assert_string_equal(ff_finish(&file), "a,b,c\n1,,\n,x,\n0.5,,[1]\n");
    ff_close(&file);
    set.infer_bytes = 1;        /* of no account then */
    opened(set, 2);
    for (int i = 0; i < 3; i++) {
        ev = ff_event(SHM_KIND_JSON, events[i], strlen(events[i]));
        assert_int_equal(encoding_look(file.enc, &ev, true), 0);
        if (i == 0)
            assert_int_equal(writer_open(file.enc, &ev, NULL, &file.w), 0);
        assert_true(writer_learns(file.w));
        assert_int_equal(writer_learn(file.w), 0);
    }
    assert_int_equal(writer_learned(file.w), 0);
    assert_false(writer_learns(file.w));
    for (int i = 0; i < 3; i++)
        assert_int_equal(ff_json(&file, events[i]), 0);
    assert_string_equal(ff_finish(&file), "a,b,c\n1,,\n,x,\n0.5,,[1]\n");
    ff_close(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_go_out_as_they_come),
        cmocka_unit_test(records_become_the_same_lines_wherever_blocks_end),
        cmocka_unit_test(declared_columns_take_what_fits_and_no_more),
        cmocka_unit_test(found_columns_are_the_union_of_what_was_held),
        cmocka_unit_test(a_misfit_says_which_columns_would_do),
        cmocka_unit_test(what_cannot_begin_a_batch_joins_none),
        cmocka_unit_test(added_columns_find_room_beside_those_found),
        cmocka_unit_test(repeats_neither_lose_nor_double_a_row),
        cmocka_unit_test(lines_are_framed_as_they_are_to_be),
        cmocka_unit_test(squeezing_holds_no_more_and_keeps_every_row),
        cmocka_unit_test(learning_gives_the_same_rows),
    };

    return cmocka_run_group_tests_name("writer", tests, NULL, NULL);
}
