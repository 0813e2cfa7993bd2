/*
 * encoding: settings that are refused, what a look leaves of an event: its object, its partition,
 * or the reason why it cannot be written.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "encode/format_file.h"
#include "encode/refused.h"
#include "libshm-client/schema_body.h"

static struct format_file file;
static struct record_types types;

static void opened(struct output_settings set)
{
    struct errmsg err = {""};

    if (ff_open(&file, set, 1, &err))
        fail_msg("%s", err.text);
}

static int look(enum shm_kind kind, const char *text, bool first)
{
    struct event ev = ff_event(kind, text, strlen(text));

    return encoding_look(file.enc, &ev, first);
}

static void expect_object(const char *text, const char *object)
{
    if (look(SHM_KIND_JSON, text, false))
        fail_msg("%s: %s", text, file.enc->why.text);
    assert_int_equal(file.enc->object_len, strlen(object));
    assert_memory_equal(file.enc->object, object, strlen(object));
}

static void expect_key(enum shm_kind kind, const char *text, const char *key)
{
    if (look(kind, text, true))
        fail_msg("%s: %s", text, file.enc->why.text);
    assert_string_equal(file.enc->key.text, key);
    assert_int_equal(file.enc->key.len, strlen(key));
}

static int setup(void **state)
{
    (void)state;
    record_types_init(&types);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    record_types_fini(&types);
    return 0;
}

/* --- settings ----------------------------------------------------------------------------- */

static void an_extension_says_format_and_compression(void **state)
{
    static const char *const formats[] = {"json", "csv", "raw"};
    static const char *const behind[SETTINGS_COMPRESSION_COUNT] = {
        [SETTINGS_COMPRESSION_NONE] = "",
        [SETTINGS_COMPRESSION_GZIP] = ".gz",
        [SETTINGS_COMPRESSION_ZSTD] = ".zst",
        [SETTINGS_COMPRESSION_SNAPPY] = ".sz",
        [SETTINGS_COMPRESSION_LZ4] = ".lz4",
    };
    struct output_settings set;
    char text[32];

    (void)state;
    for (uint8_t c = 0; c < SETTINGS_COMPRESSION_COUNT; c++) {
        for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
            set = ff_settings(formats[i]);
            set.compression = c;
            snprintf(text, sizeof(text), "%s%s", formats[i], behind[c]);
            assert_string_equal(encoding_extension(&set), text);
        }
        set = ff_settings("parquet");
        set.compression = c;
        assert_string_equal(encoding_extension(&set), "parquet");
        set = ff_settings("json");
        set.compression = c;
        set.framing = SETTINGS_FRAMING_ARRAY;
        snprintf(text, sizeof(text), "array%s", behind[c]);
        assert_string_equal(encoding_extension(&set), text);
    }
    set = ff_settings("raw");
    set.framing = SETTINGS_FRAMING_RECORDS;
    assert_string_equal(encoding_extension(&set), "records");
}

static void settings_no_check_has_passed_are_refused_with_a_reason(void **state)
{
    static const struct {
        const char *format, *columns, *fields, *drop, *add, *partition_by, *why;
    } cases[] = {
        {"xml", "", "", "", "", "", "'xml' is no format"},
        {"csv", "a what", "", "", "", "", "what"},
        {"json", "", "a,", "", "", "", "fields: nothing follows the last comma"},
        {"json", "", "", "a a", "", "", "drop_fields: a comma is expected"},
        {"json", "", "", "", "a", "", "add_fields: "},
        {"json", "", "", "", "", "c,c", "'c' stands there twice"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct output_settings set = ff_settings(cases[i].format);
        struct errmsg err = {""};

        set.columns = (char *)cases[i].columns;
        set.fields = (char *)cases[i].fields;
        set.drop_fields = (char *)cases[i].drop;
        set.add_fields = (char *)cases[i].add;
        set.partition_by = (char *)cases[i].partition_by;
        assert_int_equal(ff_open(&file, set, 1, &err), -EINVAL);
        assert_null(file.enc);
        if (!strstr(err.text, cases[i].why))
            fail_msg("'%s' where '%s' is expected", err.text, cases[i].why);
        ff_close(&file);
    }
}

static void more_fields_than_a_file_has_columns_are_refused(void **state)
{
    struct output_settings set = ff_settings("csv");
    struct bytes many = BYTES_INIT;
    struct errmsg err = {""};

    (void)state;
    for (int i = 0; i < SCHEMA_COLUMNS_MAX; i++)
        assert_int_equal(bytes_printf(&many, "%sf%d", i ? "," : "", i), 0);
    set.fields = (char *)bytes_cstr(&many);
    opened(set);
    ff_close(&file);
    set.add_fields = (char *)"h = 1";
    assert_int_equal(ff_open(&file, set, 1, &err), -EINVAL);
    assert_non_null(strstr(err.text, "more than 4096 columns"));
    ff_close(&file);
    set.drop_fields = (char *)"f7";     /* one less */
    opened(set);
    ff_close(&file);
    bytes_free(&many);
}

/* What says that batches may be filled without a look must never be said of these. */
static void only_lines_that_nothing_changes_need_no_look(void **state)
{
    static const struct {
        const char *format, *fields, *add, *partition_by;
        bool validate, as_is;
    } cases[] = {
        {"json", "", "", "", false, true},
        {"raw", "", "", "", false, true},
        {"csv", "", "", "", false, false},
        {"parquet", "", "", "", false, false},
        {"json", "", "", "", true, false},
        {"raw", "", "", "", true, false},
        {"json", "a", "", "", false, false},
        {"json", "", "h = 1", "", false, false},
        {"json", "", "", "c", false, false},
        {"raw", "", "", "c", false, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct output_settings set = ff_settings(cases[i].format);

        set.fields = (char *)cases[i].fields;
        set.add_fields = (char *)cases[i].add;
        set.partition_by = (char *)cases[i].partition_by;
        set.validate = cases[i].validate;
        opened(set);
        assert_int_equal(file.enc->as_is, cases[i].as_is);
        ff_close(&file);
        if (encoder_find(cases[i].format)) {
            set.framing = SETTINGS_FRAMING_RECORDS;
            opened(set);
            assert_false(file.enc->as_is);
            ff_close(&file);
        }
    }
}

/* --- events that are refused -------------------------------------------------------------- */

static void each_refusal_has_its_error_and_says_why(void **state)
{
    enum { FAILED = ENCODING_PROCESSING_FAILED, FORMAT = ENCODING_FORMAT_FAILED, TAKEN = -1 };
    static const struct {
        const char *format, *columns, *add, *partition_by;
        bool validate, first;
        const char *text;
        int error;
        const char *why;
    } cases[] = {
        {"json", "", "", "", false, true, "nothing", TAKEN, ""},
        {"json", "", "", "", true, true, "nothing", FAILED, "it is no JSON object"},
        {"json", "", "", "", true, true, "[1]", FAILED, "it is no JSON object"},
        {"json", "", "", "", true, true, "{\"a\":1}", TAKEN, ""},
        {"raw", "", "", "", true, true, "{\"a\":1,}", FAILED, "it is no JSON object"},
        {"json", "", "h = 1", "", false, true, "{\"a\":1", FAILED, "at byte 6"},
        {"json", "", "", "c", false, true, "{\"c\":1", FAILED, "it is no JSON object"},
        {"raw", "", "", "c", false, true, "{\"c\":1", FAILED, "at byte 6"},
        {"csv", "a i64", "", "", false, true, "{\"a\":1}", TAKEN, ""},
        {"csv", "a i64", "", "", false, true, "{\"a\":\"x\"}", FORMAT, "'a': "},
        {"csv", "a i64", "", "", false, true, "{\"b\":1}", FORMAT, "'b': "},
        {"csv", "a string", "", "", false, true, "{\"a\":1}", FORMAT, "'a': "},
        {"csv", "a string,c i64", "", "c", false, true, "{\"c\":\"x\"}", FORMAT, "'c': "},
        {"parquet", "a i64", "", "", false, true, "{\"a\":1", FORMAT, "at byte 6"},
        {"parquet", "", "", "c", false, true, "{\"c\":1", FORMAT, "at byte 6"},
        {"csv", "", "", "", false, true, "{\"a\":1}", TAKEN, ""},
        {"csv", "", "", "", false, true, "nothing", FORMAT, ""},
        {"csv", "", "", "", true, true, "nothing", FORMAT, ""},
        {"csv", "", "", "", false, true, "{}", FORMAT, ""},
        {"csv", "", "", "", false, true, "{\"\":1}", FORMAT, ""},
        {"csv", "", "h = 1", "", false, true, "{}", TAKEN, ""},
        {"csv", "", "", "c", false, true, "{\"c\":1}", FORMAT, ""},
        {"csv", "", "", "", false, false, "{}", TAKEN, ""},     /* its batch says it */
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct output_settings set = ff_settings(cases[i].format);
        int r;

        set.columns = (char *)cases[i].columns;
        set.add_fields = (char *)cases[i].add;
        set.partition_by = (char *)cases[i].partition_by;
        set.validate = cases[i].validate;
        opened(set);
        r = look(SHM_KIND_JSON, cases[i].text, cases[i].first);
        if ((r == 0) != (cases[i].error == TAKEN))
            fail_msg("%s of %s: %d %s", cases[i].format, cases[i].text, r, file.enc->why.text);
        if (r) {
            assert_int_equal(r, -EBADMSG);
            assert_int_equal(file.enc->error, cases[i].error);
            assert_true(file.enc->why.text[0] != '\0');
            if (!strstr(file.enc->why.text, cases[i].why))
                fail_msg("'%s' where '%s' is expected", file.enc->why.text, cases[i].why);
        }
        ff_close(&file);
    }
    assert_string_equal(encoding_error_names[FAILED], "processing-failed");
    assert_string_equal(encoding_error_names[FORMAT], "format-conversion-failed");
}

/* As one that was refused before must leave nothing behind. */
static void a_refused_event_does_not_touch_the_next(void **state)
{
    struct output_settings set = ff_settings("csv");

    (void)state;
    set.partition_by = (char *)"c";
    set.partition_missing_error = true;
    opened(set);
    expect_key(SHM_KIND_JSON, "{\"a\":1,\"c\":\"x\"}", "c=x/");
    assert_int_equal(look(SHM_KIND_JSON, "{\"a\":1}", true), -EBADMSG);
    assert_int_equal(file.enc->error, ENCODING_PROCESSING_FAILED);
    assert_string_equal(file.enc->why.text, "partition column 'c' is missing");
    assert_int_equal(look(SHM_KIND_JSON, "{\"a\":1,\"c\":null}", true), -EBADMSG);
    assert_int_equal(look(SHM_KIND_JSON, "{\"c\":\"x\"}", true), -EBADMSG);
    assert_int_equal(file.enc->error, ENCODING_FORMAT_FAILED);
    expect_key(SHM_KIND_JSON, "{\"a\":1,\"c\":\"y\"}", "c=y/");
    ff_close(&file);
}

/* --- partitions --------------------------------------------------------------------------- */

static void keys_are_in_the_order_of_the_settings(void **state)
{
    struct output_settings set = ff_settings("json");
    struct partition_key key;
    char text[300];

    (void)state;
    set.partition_by = (char *)"country,city";
    opened(set);
    expect_key(SHM_KIND_JSON, "{\"city\":\"Sao Paulo\",\"country\":\"BR\",\"n\":1}",
               "country=BR/city=Sao%20Paulo/");
    key = file.enc->key;
    assert_int_equal(file.enc->object_len, strlen("{\"n\":1}"));
    assert_memory_equal(file.enc->object, "{\"n\":1}", file.enc->object_len);
    expect_key(SHM_KIND_JSON, "{\"country\":7}", "country=7/city=__HIVE_DEFAULT_PARTITION__/");
    assert_false(partition_key_equal(&key, &file.enc->key));
    expect_key(SHM_KIND_JSON, "{\"country\":\"BR\",\"n\":2,\"city\":\"Sao Paulo\"}",
               "country=BR/city=Sao%20Paulo/");
    assert_true(partition_key_equal(&key, &file.enc->key));
    snprintf(text, sizeof(text), "{\"country\":\"%0*d\"}", PARTITION_VALUE_BYTES_MAX + 1, 0);
    assert_int_equal(look(SHM_KIND_JSON, text, true), -EBADMSG);
    assert_int_equal(file.enc->error, ENCODING_PROCESSING_FAILED);
    assert_non_null(strstr(file.enc->why.text, "'country': more than 200 bytes"));
    ff_close(&file);
}

static void text_and_bytes_have_the_keys_of_their_object(void **state)
{
    struct output_settings set = ff_settings("csv");

    (void)state;
    set.partition_by = (char *)"message";
    set.add_fields = (char *)"h = 1";
    opened(set);
    expect_key(SHM_KIND_TEXT, "a\"b", "message=a%22b/");
    expect_key(SHM_KIND_TEXT, "", "message=/");
    expect_key(SHM_KIND_BYTES, "x", "message=__HIVE_DEFAULT_PARTITION__/");
    /* What says to be text and is not goes as bytes. */
    expect_key(SHM_KIND_TEXT, "\xff", "message=__HIVE_DEFAULT_PARTITION__/");
    ff_close(&file);
}

/* A key is of the event that was looked at, not of the one before. */
static void added_fields_may_be_what_partitions(void **state)
{
    struct output_settings set = ff_settings("json");
    struct event ev = ff_event(SHM_KIND_JSON, "{\"day\":1,\"n\":2}", 15);

    (void)state;
    set.partition_by = (char *)"day";
    set.add_fields = (char *)"day = \"!{timestamp:yyyy-MM-dd}\", kind = \"!{hydrant:kind}\"";
    opened(set);
    assert_int_equal(encoding_look(file.enc, &ev, true), 0);
    assert_string_equal(file.enc->key.text, "day=2023-11-14/");
    assert_memory_equal(file.enc->object, "{\"n\":2,\"kind\":\"json\"}", file.enc->object_len);
    ev.time_ns += 86400000000000ULL;
    assert_int_equal(encoding_look(file.enc, &ev, true), 0);
    assert_string_equal(file.enc->key.text, "day=2023-11-15/");
    ff_close(&file);
}

/* --- fields ------------------------------------------------------------------------------- */

static void an_object_that_nothing_changes_is_the_event_itself(void **state)
{
    struct event ev = ff_event(SHM_KIND_JSON, "{ \"a\" : 1 }", 11);

    (void)state;
    opened(ff_settings("json"));
    assert_int_equal(encoding_look(file.enc, &ev, true), 0);
    assert_ptr_equal(file.enc->object, ev.data);
    assert_int_equal(file.enc->object_len, ev.len);
    assert_int_equal(file.enc->key.len, 0);
    ff_close(&file);
}

static void fields_are_kept_dropped_and_added(void **state)
{
    struct output_settings set = ff_settings("json");

    (void)state;
    set.fields = (char *)"b,a,secret";
    set.drop_fields = (char *)"secret";
    set.add_fields = (char *)"a = 5, host = \"!{hydrant:host}\"";
    opened(set);
    expect_object("{\"a\":1,\"b\":1.50,\"c\":3,\"secret\":4}",
                  "{\"b\":1.50,\"a\":5,\"host\":\"host\"}");
    expect_object("{\"c\":3}", "{\"a\":5,\"host\":\"host\"}");
    assert_int_equal(look(SHM_KIND_TEXT, "hidden", true), 0);   /* it is no field that is kept */
    assert_memory_equal(file.enc->object, "{\"a\":5,\"host\":\"host\"}", file.enc->object_len);
    ff_close(&file);
    set = ff_settings("json");
    set.drop_fields = (char *)"a";
    opened(set);
    expect_object("{\"a\":1,\"b\":2}", "{\"b\":2}");
    assert_int_equal(look(SHM_KIND_TEXT, "x", true), 0);
    assert_memory_equal(file.enc->object, "{\"message\":\"x\"}", file.enc->object_len);
    ff_close(&file);
}

static void declared_columns_leave_out_what_is_dropped_and_take_what_is_added(void **state)
{
    struct output_settings set = ff_settings("csv");
    const struct schema *s;

    (void)state;
    set.columns = (char *)"a i64,b string,c string,d i64";
    set.drop_fields = (char *)"b";
    set.add_fields = (char *)"d = 9, e = true";
    set.partition_by = (char *)"c";
    opened(set);
    s = &file.enc->declared;
    assert_int_equal(s->hidden, 1);
    assert_int_equal(s->count, 4);
    assert_string_equal(s->columns[0].name, "c");
    assert_string_equal(s->columns[1].name, "a");
    assert_string_equal(s->columns[2].name, "d");
    assert_string_equal(s->columns[3].name, "e");
    assert_int_equal(look(SHM_KIND_JSON, "{\"a\":1,\"b\":[2],\"c\":\"x\",\"d\":3}", true), 0);
    assert_string_equal(file.enc->key.text, "c=x/");
    assert_int_equal(file.enc->cells[1].type, CELL_NUMBER);
    assert_int_equal(file.enc->cells[2].u.i, 9);
    assert_int_equal(file.enc->cells[3].u.i, 1);
    ff_close(&file);
}

static void found_columns_begin_with_the_fields_and_leave_out_the_hidden(void **state)
{
    struct output_settings set = ff_settings("csv");
    struct schema found;
    struct infer infer;

    (void)state;
    set.fields = (char *)"b,c,a";
    set.partition_by = (char *)"c";
    opened(set);
    assert_int_equal(look(SHM_KIND_JSON, "{\"a\":1,\"c\":2,\"x\":3}", true), 0);
    assert_int_equal(encoding_infer(file.enc, NULL, &infer), 0);
    assert_false(infer.needs_key);
    assert_int_equal(infer_event(&infer, file.enc->object, file.enc->object_len), INFER_WIDER);
    assert_int_equal(infer_schema(&infer, &found), 0);
    assert_int_equal(found.count, 2);
    assert_string_equal(found.columns[0].name, "b");
    assert_string_equal(found.columns[1].name, "a");
    assert_int_equal(found.columns[1].type, COLUMN_I64);
    schema_fini(&found);
    infer_fini(&infer);
    ff_close(&file);
}

/* --- records ------------------------------------------------------------------------------ */

/* With the producer's reason, and as what it was before it was put into a record. */
static void what_its_producer_has_refused_is_refused(void **state)
{
    static const uint8_t payload[] = "\x10\0\0\0\x03\0\0\0\x13\0\0\0\x04\0\0\0badline";
    struct event ev = ff_event(SHM_KIND_RECORD, payload, 23);
    struct schema_body body;

    (void)state;
    schema_body_init(&body);
    schema_body_add(&body, SHM_FIELD_STRING, 0, REFUSED_FIELD_WHY);
    schema_body_add(&body, SHM_FIELD_BYTES, 0, REFUSED_FIELD_DATA);
    assert_int_equal(record_types_get(&types, body.bytes, body.len, &ev.record), 0);
    opened(ff_settings("json"));
    assert_int_equal(encoding_look(file.enc, &ev, true), -EBADMSG);
    assert_int_equal(file.enc->error, ENCODING_PROCESSING_FAILED);
    assert_string_equal(file.enc->why.text, "bad");
    assert_int_equal(file.enc->letter_len, 4);
    assert_memory_equal(file.enc->letter, "line", 4);
    /* One that is malformed itself is kept whole. */
    ev.len--;
    assert_int_equal(encoding_look(file.enc, &ev, true), -EBADMSG);
    assert_ptr_equal(file.enc->letter, payload);
    assert_int_equal(file.enc->letter_len, 22);
    ff_close(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_extension_says_format_and_compression),
        cmocka_unit_test(settings_no_check_has_passed_are_refused_with_a_reason),
        cmocka_unit_test(more_fields_than_a_file_has_columns_are_refused),
        cmocka_unit_test(only_lines_that_nothing_changes_need_no_look),
        cmocka_unit_test(each_refusal_has_its_error_and_says_why),
        cmocka_unit_test(a_refused_event_does_not_touch_the_next),
        cmocka_unit_test(keys_are_in_the_order_of_the_settings),
        cmocka_unit_test(text_and_bytes_have_the_keys_of_their_object),
        cmocka_unit_test(added_fields_may_be_what_partitions),
        cmocka_unit_test(an_object_that_nothing_changes_is_the_event_itself),
        cmocka_unit_test(fields_are_kept_dropped_and_added),
        cmocka_unit_test(declared_columns_leave_out_what_is_dropped_and_take_what_is_added),
        cmocka_unit_test(found_columns_begin_with_the_fields_and_leave_out_the_hidden),
        cmocka_unit_test(what_its_producer_has_refused_is_refused),
    };

    return cmocka_run_group_tests_name("encoding", tests, setup, teardown);
}
