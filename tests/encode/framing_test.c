/*
 * framing: arrays that parse, records that can be told apart wherever blocks end, and the size that
 * a record may have, to the byte, for every kind of event.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>

#include "encode/format_file.h"
#include "encode/framing.h"
#include "libshm-client/schema_body.h"

static struct format_file file;

static struct output_settings settings(const char *format, enum settings_framing framing)
{
    return (struct output_settings){.format = (char *)format, .columns = (char *)"",
                                    .delimiter = (uint8_t *)";", .delimiter_len = 1,
                                    .compression_level = -1, .framing = (uint8_t)framing};
}

static void opened(struct output_settings set)
{
    struct errmsg err = {""};

    if (ff_open(&file, set, 40, &err))
        fail_msg("%s", err.text);
}

/* The next record of a file. */
static size_t record_read(const uint8_t **at, const uint8_t *end, const uint8_t **ret_data)
{
    uint32_t len;

    assert_true(end - *at >= FRAMING_LENGTH_BYTES);
    len = bytes_get_u32(*at);
    *ret_data = *at + FRAMING_LENGTH_BYTES;
    assert_true((size_t)(end - *ret_data) >= len);
    *at = *ret_data + len;
    return len;
}

static void formats_that_cannot_be_framed_are_refused(void **state)
{
    static const struct {
        const char *format;
        enum settings_framing framing;
        enum settings_compression compression;
        bool fits;
    } cases[] = {
        {"json", SETTINGS_FRAMING_ARRAY, SETTINGS_COMPRESSION_ZSTD, true},
        {"json", SETTINGS_FRAMING_RECORDS, SETTINGS_COMPRESSION_NONE, true},
        {"raw", SETTINGS_FRAMING_RECORDS, SETTINGS_COMPRESSION_NONE, true},
        {"raw", SETTINGS_FRAMING_ARRAY, SETTINGS_COMPRESSION_NONE, false},
        {"csv", SETTINGS_FRAMING_ARRAY, SETTINGS_COMPRESSION_NONE, false},
        {"csv", SETTINGS_FRAMING_RECORDS, SETTINGS_COMPRESSION_NONE, false},
        {"parquet", SETTINGS_FRAMING_RECORDS, SETTINGS_COMPRESSION_NONE, false},
        {"json", SETTINGS_FRAMING_RECORDS, SETTINGS_COMPRESSION_GZIP, false},
        {"csv", SETTINGS_FRAMING_NONE, SETTINGS_COMPRESSION_GZIP, true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct output_settings set = settings(cases[i].format, cases[i].framing);
        struct errmsg err = {""};
        int r;

        set.compression = (uint8_t)cases[i].compression;
        assert_int_equal(framing_fits(&set), cases[i].fits);
        r = ff_open(&file, set, 2, &err);
        assert_int_equal(r, cases[i].fits ? 0 : -EINVAL);
        assert_int_equal(err.text[0] == '\0', cases[i].fits);
        ff_close(&file);
    }
}

static void an_array_parses_and_holds_every_event(void **state)
{
    struct output_settings set = settings("json", SETTINGS_FRAMING_ARRAY);
    struct event text = ff_event(SHM_KIND_TEXT, "a\n]", 3), bytes = ff_event(SHM_KIND_BYTES, "", 0);
    json_t *array;

    (void)state;
    set.add_fields = (char *)"h = 1";
    for (int edited = 0; edited < 2; edited++) {
        opened(set);
        assert_int_equal(ff_json(&file, "{\"a\":\n[1]}"), 0);
        assert_int_equal(ff_take(&file, &text), 0);
        assert_int_equal(ff_take(&file, &bytes), 0);
        ff_finish(&file);
        array = json_loadb((const char *)file.bytes.data, file.bytes.len, 0, NULL);
        assert_int_equal(json_array_size(array), 3);
        assert_int_equal(json_array_size(json_object_get(json_array_get(array, 0), "a")), 1);
        assert_string_equal(json_string_value(json_object_get(json_array_get(array, 1),
                                                              "message")), "a\n]");
        assert_int_equal(json_object_size(json_array_get(array, 2)), edited ? 1 : 2);
        json_decref(array);
        ff_close(&file);
        set.add_fields = NULL;
    }
}

/* Lengths of all sizes, so that some lie across the end of a block. */
static void records_come_back_wherever_blocks_end(void **state)
{
    enum { EVENTS = 3000 };
    static uint8_t payload[1000];
    const uint8_t *at, *end, *data;

    (void)state;
    memset(payload, 'p', sizeof(payload));
    opened(settings("raw", SETTINGS_FRAMING_RECORDS));
    for (size_t i = 0; i < EVENTS; i++) {
        struct event ev = ff_event(SHM_KIND_BYTES, payload, i % sizeof(payload));

        assert_int_equal(ff_take(&file, &ev), 0);
    }
    ff_finish(&file);
    at = file.bytes.data;
    end = at + file.bytes.len;
    for (size_t i = 0; i < EVENTS; i++) {
        assert_int_equal(record_read(&at, end, &data), i % sizeof(payload) + 1);
        assert_int_equal(data[i % sizeof(payload)], ';');
    }
    assert_true(at == end);
    ff_close(&file);
}

static void a_typed_record_is_one_too(void **state)
{
    struct schema_body body;
    struct record_types types;
    struct record_type *t;
    int64_t n = -3;
    struct event ev = ff_event(SHM_KIND_RECORD, &n, sizeof(n));
    const uint8_t *at, *data;

    (void)state;
    record_types_init(&types);
    schema_body_init(&body);
    schema_body_add(&body, SHM_FIELD_I64, 0, "n");
    assert_int_equal(record_types_get(&types, body.bytes, body.len, &t), 0);
    ev.record = t;
    for (int raw = 0; raw < 2; raw++) {
        opened(settings(raw ? "raw" : "json", SETTINGS_FRAMING_RECORDS));
        assert_int_equal(ff_take(&file, &ev), 0);
        ff_finish(&file);
        at = file.bytes.data;
        assert_int_equal(record_read(&at, at + file.bytes.len, &data), 9);
        assert_memory_equal(data, raw ? "{\"n\":-3};" : "{\"n\":-3}\n", 9);
        ff_close(&file);
    }
    record_types_fini(&types);
}

/* Looks at an event of len bytes, the last one of which makes it too large if it is one more. */
static void expect_most(enum shm_kind kind, uint8_t *payload, size_t len)
{
    struct event ev = ff_event(kind, payload, len);

    assert_int_equal(encoding_look(file.enc, &ev, true), 0);
    ev.len++;
    assert_int_equal(encoding_look(file.enc, &ev, true), -EBADMSG);
    assert_int_equal(file.enc->error, ENCODING_PROCESSING_FAILED);
    if (!strstr(file.enc->why.text, "more than 1024000"))
        fail_msg("%s", file.enc->why.text);
    ev.len--;
    assert_int_equal(ff_take(&file, &ev), 0);
}

static void a_record_has_a_greatest_size(void **state)
{
    enum { MOST = FRAMING_RECORD_BYTES_MAX };
    static const size_t wrapped = sizeof("{\"message\": \"\"}\n") - 1;
    static uint8_t payload[MOST + 100];

    (void)state;
    memset(payload, 'x', sizeof(payload));
    opened(settings("raw", SETTINGS_FRAMING_RECORDS));
    expect_most(SHM_KIND_BYTES, payload, MOST - 1);
    ff_finish(&file);
    assert_int_equal(bytes_get_u32(file.bytes.data), MOST);
    ff_close(&file);

    opened(settings("json", SETTINGS_FRAMING_RECORDS));
    expect_most(SHM_KIND_TEXT, payload, MOST - wrapped);
    memset(payload, '\1', MOST / 6 + 100);      /* six bytes each */
    expect_most(SHM_KIND_TEXT, payload, (MOST - wrapped) / 6);
    ff_finish(&file);
    ff_close(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(formats_that_cannot_be_framed_are_refused),
        cmocka_unit_test(an_array_parses_and_holds_every_event),
        cmocka_unit_test(records_come_back_wherever_blocks_end),
        cmocka_unit_test(a_typed_record_is_one_too),
        cmocka_unit_test(a_record_has_a_greatest_size),
    };

    return cmocka_run_group_tests_name("framing", tests, NULL, NULL);
}
