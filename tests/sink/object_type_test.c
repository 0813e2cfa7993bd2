/* object_type: what a batch's file is, by the end of its key. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "sink/object_type.h"

static void test_each_end(void **state)
{
    static const struct {
        const char *key;
        enum object_format format;
        enum settings_compression compression;
        enum settings_framing framing;
        const char *content_type;
    } ends[] = {
        {"a/b.json", OBJECT_JSON, SETTINGS_COMPRESSION_NONE, SETTINGS_FRAMING_NONE,
         "application/x-ndjson"},
        {"b.json.gz", OBJECT_JSON, SETTINGS_COMPRESSION_GZIP, SETTINGS_FRAMING_NONE,
         "application/x-ndjson"},
        {"b.csv.zst", OBJECT_CSV, SETTINGS_COMPRESSION_ZSTD, SETTINGS_FRAMING_NONE,
         "text/csv; charset=utf-8"},
        {"b.parquet", OBJECT_PARQUET, SETTINGS_COMPRESSION_NONE, SETTINGS_FRAMING_NONE,
         "application/vnd.apache.parquet"},
        {"b.raw.sz", OBJECT_RAW, SETTINGS_COMPRESSION_SNAPPY, SETTINGS_FRAMING_NONE,
         "application/octet-stream"},
        {"b.raw.lz4", OBJECT_RAW, SETTINGS_COMPRESSION_LZ4, SETTINGS_FRAMING_NONE,
         "application/octet-stream"},
        {"b.array.gz", OBJECT_JSON, SETTINGS_COMPRESSION_GZIP, SETTINGS_FRAMING_ARRAY,
         "application/json"},
        {"b.records", OBJECT_RAW, SETTINGS_COMPRESSION_NONE, SETTINGS_FRAMING_RECORDS,
         "application/octet-stream"},
        {"", OBJECT_RAW, SETTINGS_COMPRESSION_NONE, SETTINGS_FRAMING_NONE,
         "application/octet-stream"},
        {"csv", OBJECT_RAW, SETTINGS_COMPRESSION_NONE, SETTINGS_FRAMING_NONE,
         "application/octet-stream"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        struct object_type type = object_type_of(ends[i].key);

        assert_int_equal(type.format, ends[i].format);
        assert_int_equal(type.compression, ends[i].compression);
        assert_int_equal(type.framing, ends[i].framing);
        assert_string_equal(type.content_type, ends[i].content_type);
    }
}

static void test_encodings_that_http_names(void **state)
{
    (void)state;
    assert_string_equal(object_type_encoding(SETTINGS_COMPRESSION_GZIP), "gzip");
    assert_string_equal(object_type_encoding(SETTINGS_COMPRESSION_ZSTD), "zstd");
    assert_null(object_type_encoding(SETTINGS_COMPRESSION_NONE));
    assert_null(object_type_encoding(SETTINGS_COMPRESSION_SNAPPY));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_end),
        cmocka_unit_test(test_encodings_that_http_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
