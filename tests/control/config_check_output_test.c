/*
 * config_check_output: what contradicts itself in an output is found at the line that says it, and
 * what is sound passes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "control/config.h"
#include "encode/codec.h"
#include "encode/compress.h"
#include "flow/object_name.h"
#include "flow/settings.h"

static void expect_ok(const char *text)
{
    struct config_errors errs = CONFIG_ERRORS_INIT;
    struct config *c = NULL;

    if (config_load_text("f", text, strlen(text), NULL, &c, &errs) != 0) {
        config_errors_print(&errs, stderr);
        fail_msg("refused: %s", text);
    }
    config_errors_fini(&errs);
    config_free(c);
}

/* This one mistake and no other. */
static void expect_error(const char *text, uint32_t line, const char *words)
{
    struct config_errors errs = CONFIG_ERRORS_INIT;
    struct config *c;
    int r = config_load_text("f", text, strlen(text), NULL, &c, &errs);

    if (r == 0 || errs.count != 1 || errs.items[0].line != line
        || strstr(errs.items[0].text, words) == NULL) {
        config_errors_print(&errs, stderr);
        fail_msg("line %u: '%s' is expected of: %s", line, words, text);
    }
    assert_int_equal(r, -EINVAL);
    config_errors_fini(&errs);
}

static void columns_are_read(void **state)
{
    (void)state;
    expect_ok("[stream a]\nformat = csv\ncolumns = ts timestamp, user string, amount f64\n");
    expect_ok("[stream a]\nformat = parquet\ncolumns = 'a i32, \"full name\" string, c bytes'\n");
    expect_ok("[stream a]\ncolumns = a i64\n");     /* nothing to json, and no harm */
    expect_error("[stream a]\nformat = csv\ncolumns = a int\n", 3,
                 "[stream a] columns: column 'a': 'int' is no type; there are bool, i32, i64, u64, "
                 "f32, f64, string, bytes, timestamp");
    expect_error("[stream a]\nformat = csv\ncolumns = a i64, a string\n", 3,
                 "columns: column 'a' stands there twice");
    expect_error("[stream a]\nformat = csv\ncolumns = a i64 b string\n", 3,
                 "a comma is expected at 'b string'");
    expect_error("[stream a]\ncolumns = a\n", 2, "'' is no type");
    expect_error("[stream *]\ncolumns = a\n[stream a]\n[stream b]\n", 2, "[stream *] columns: ");
    expect_error("[stream *]\nsinks = local,x\n[sink x]\ntype = file\ndirectory = /x\n"
                 "columns = a\n", 6, "[sink x] columns: ");
    /* Also of a sink that no stream has yet. */
    expect_error("[sink x]\ntype = file\ndirectory = /x\nfields = a,\n", 4,
                 "[sink x] fields: nothing follows the last comma");
}

static void lists_of_fields_are_read(void **state)
{
    (void)state;
    expect_ok("[stream a]\nfields = user, amount\n");
    expect_ok("[stream a]\ndrop_fields = '\"pass word\", pin'\n");
    expect_ok("[stream a]\nfields = a, b\ndrop_fields = c\n");
    expect_error("[stream a]\nfields = a,,b\n", 2, "fields: a name is expected at ',b'");
    expect_error("[stream a]\nfields = a,b,a\n", 2, "fields: 'a' stands there twice");
    expect_error("[stream a]\ndrop_fields = a b\n", 2, "drop_fields: a comma is expected");
    expect_error("[stream a]\nfields = a,b\ndrop_fields = c,b\n", 3,
                 "drop_fields: 'b' stands in fields too; keep it in one");
    expect_error("[stream a]\nformat = csv\ncolumns = a i64\nfields = a,b\n", 4,
                 "fields: 'b' is not among columns");
    expect_ok("[stream a]\nformat = json\ncolumns = a i64\nfields = a,b\n");
}

static void added_fields_are_read(void **state)
{
    (void)state;
    expect_ok("[stream a]\nadd_fields = 'host = !{hydrant:host}, n = 1, \"a b\" = \"x, y\"'\n");
    expect_ok("[stream a]\nadd_fields = day = \"!{timestamp:yyyy-MM-dd}\", ok = true\n");
    expect_error("[stream a]\nadd_fields = a\n", 2, "add_fields: ");
    expect_error("[stream a]\nadd_fields = a = !{hydrant:what}\n", 2, "unknown expression");
    expect_error("[stream a]\nadd_fields = a = 1, a = 2\n", 2, "'a' stands there twice");
    expect_error("[stream a]\nadd_fields = a = !{timestamp:QQ}\n", 2, "'Q' is not supported");
    expect_error("[stream a]\nformat = parquet\ncolumns = a i64\nadd_fields = host = x\n", 4,
                 "add_fields: 'host' is not among columns");
    expect_ok("[stream a]\nformat = csv\ncolumns = a i64, host string\nadd_fields = host = x\n");
}

static void partition_columns_must_be_there(void **state)
{
    (void)state;
    expect_ok("[stream a]\npartition_by = country, city\n");
    expect_ok("[stream a]\nformat = parquet\ncolumns = country string, n i64\n"
              "partition_by = country\npartition_missing = error\npartitions_max = 100000\n");
    expect_ok("[stream a]\nfields = n\nadd_fields = day = !{timestamp:dd}\npartition_by = day\n");
    expect_error("[stream a]\nformat = csv\ncolumns = a i64\npartition_by = country\n", 4,
                 "partition_by: 'country' is not among columns");
    expect_error("[stream a]\npartition_by = a,a\n", 2, "'a' stands there twice");
    expect_error("[stream a]\nfields = n\npartition_by = a\n", 3, "'a' is not among fields");
    expect_error("[stream a]\ndrop_fields = a\npartition_by = a\n", 3,
                 "'a' stands in drop_fields; partition columns leave the data anyway");
    expect_error("[stream a]\nformat = csv\ncolumns = a i64\npartition_by = a\n", 4,
                 "it takes all columns");
    expect_error("[stream a]\npartition_by = nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn\n",
                 2, "its name takes more than 50 bytes");
    expect_error("[stream a]\npartition_by = a,b,c,d,e,f,g,h,i,j,k,l,m\n", 2, "is one too many");
    expect_error("[stream a]\npartitions_max = 0\n", 2, "1 to 100000");
    expect_error("[stream a]\npartitions_max = 100001\n", 2, "1 to 100000");
    expect_error("[stream a]\npartition_missing = skip\n", 2, "not one of default, error");
}

static void folders_of_partitions_follow_a_folder(void **state)
{
    char text[1024], prefix[PREFIX_PARTITIONED_BYTES_MAX + 1];

    (void)state;
    expect_ok("[stream a]\nprefix = !{timestamp:yyyy/}\npartition_by = a\n");
    expect_ok("[stream a]\nprefix = x-\n");
    expect_error("[stream a]\nprefix = x-\npartition_by = a\n", 2, "it must end in a slash");
    expect_error("[stream *]\nprefix = x-\n[stream a]\npartition_by = a\n", 2,
                 "[stream *] prefix: folders");
    for (int over = 0; over < 2; over++) {
        int len = PREFIX_PARTITIONED_BYTES_MAX + over;

        memset(prefix, 'p', sizeof(prefix));
        prefix[200] = prefix[len - 1] = '/';
        snprintf(text, sizeof(text), "[stream a]\npartition_by = a\nprefix = %.*s\n", len, prefix);
        if (over)
            expect_error(text, 3, "longer than 375 bytes");
        else
            expect_ok(text);
    }
}

/* To ignore them would let out what they take away. */
static void raw_payloads_take_no_edits(void **state)
{
    (void)state;
    expect_error("[stream a]\nformat = raw\npartition_by = a\n", 3,
                 "partition_by: sink 'local' has format = raw");
    expect_error("[stream a]\nformat = raw\nfields = a\n", 3, "fields: sink 'local' has");
    expect_error("[stream a]\nformat = raw\ndrop_fields = a\n", 3, "drop_fields: sink 'local' has");
    expect_error("[stream a]\nformat = raw\nadd_fields = a = 1\n", 3, "add_fields: sink 'local'");
    expect_error("[stream a]\ndrop_fields = pin\nsinks = local, x\n[sink x]\ntype = file\n"
                 "directory = /x\nformat = raw\n", 2,
                 "or an empty 'drop_fields =' in [sink x]");
    expect_ok("[stream a]\ndrop_fields = pin\nsinks = local, x\n[sink x]\ntype = file\n"
              "directory = /x\nformat = raw\ndrop_fields =\n");
    expect_ok("[stream a]\nformat = raw\ncolumns = a i64\ncompression = gzip\n");
}

/* What the check lets pass can be opened, and nothing else. */
static void levels_are_those_of_the_codecs(void **state)
{
    static const enum codec_type codecs[] = {
        CODEC_NONE, CODEC_GZIP, CODEC_ZSTD, CODEC_SNAPPY, CODEC_LZ4_RAW
    };

    (void)state;
    for (int type = COMPRESS_GZIP; type < COMPRESS_TYPE_COUNT; type++)
        for (int parquet = 0; parquet < 2; parquet++)
            for (int level = -1; level <= 22; level++) {
                struct compressor *c = NULL;
                char text[160];
                bool fine;

                snprintf(text, sizeof(text),
                         "[stream a]\nformat = %s\ncompression = %s\ncompression_level = %d\n",
                         parquet ? "parquet" : "csv", compress_info((enum compress_type)type)->name,
                         level);
                if (parquet)
                    fine = codec_level_valid(codecs[type], level);
                else
                    fine = compressor_open((enum compress_type)type, level, &c) == 0
                           && (level < 0 || type != COMPRESS_SNAPPY);
                compressor_close(c);
                if (fine)
                    expect_ok(text);
                else
                    expect_error(text, 4, type == COMPRESS_SNAPPY ? "snappy has no levels"
                                                                  : "levels of ");
            }
    expect_error("[stream a]\ncompression_level = 23\n", 2, "0 to 22, or -1");
    expect_error("[stream a]\ncompression_level = 3\n", 2, "there is no compression");
    expect_error("[stream a]\ncompression = zstd\ncompression_level = 20\n", 3,
                 "levels of zstd are 1 to 19, or -1 for the usual one");
}

/* A stream's level is for the stream's compression. */
static void a_sink_with_its_own_compression_has_its_own_level(void **state)
{
    static const char sinks[] = "[stream *]\nsinks = local, x\ncompression = zstd\n"
                                "compression_level = 19\n"
                                "[sink x]\ntype = file\ndirectory = /x\n";
    char text[256];

    (void)state;
    expect_ok(sinks);
    snprintf(text, sizeof(text), "%scompression = gzip\n", sinks);
    expect_ok(text);
    snprintf(text, sizeof(text), "%scompression = none\n", sinks);
    expect_ok(text);
    snprintf(text, sizeof(text), "%scompression = gzip\ncompression_level = 10\n", sinks);
    expect_error(text, 9, "[sink x] compression_level: levels of gzip are 0 to 9");
    snprintf(text, sizeof(text), "%scompression_level = 20\n", sinks);
    expect_error(text, 8, "[sink x] compression_level: levels of zstd are 1 to 19");
}

static void every_sound_combination_passes(void **state)
{
    (void)state;
    expect_ok("[stream a]\nformat = parquet\nrow_group_size = 1MiB\ncompression = snappy\n");
    expect_ok("[stream a]\nformat = parquet\nrow_group_size = 1GiB\ncompression = lz4\n");
    expect_error("[stream a]\nrow_group_size = 1023KiB\n", 2, "1MiB to 1GiB");
    expect_error("[stream a]\nrow_group_size = 2GiB\n", 2, "1MiB to 1GiB");
    expect_error("[stream a]\ninfer_bytes = 1KiB\n", 2, "4KiB to 1GiB");
    expect_ok("[stream a]\nvalidate = yes\n");
    expect_ok("[stream a]\nprefix = !{timestamp:HH}/\nprefix_clock = event\n");
    expect_error("[stream a]\nprefix = !{timestamp:HH}/!{firehose:random-string}/\n"
                 "prefix_clock = event\n", 3, "each event would have a file of its own");
}

static void settings_must_fit_in_the_log(void **state)
{
    struct bytes text = BYTES_INIT;

    (void)state;
    for (int sinks = 3; sinks <= 5; sinks += 2) {
        bytes_clear(&text);
        assert_int_equal(bytes_append_str(&text, "[stream a]\nformat = csv\nsinks = s0"), 0);
        for (int i = 1; i < sinks; i++)
            assert_int_equal(bytes_printf(&text, ",s%d", i), 0);
        assert_int_equal(bytes_append_str(&text, "\ncolumns = c0 i64"), 0);
        for (int i = 1; i < 4000; i++)
            assert_int_equal(bytes_printf(&text, ",column%d i64", i), 0);
        for (int i = 0; i < sinks; i++)
            assert_int_equal(bytes_printf(&text, "\n[sink s%d]\ntype = file\ndirectory = /%d\n"
                                          "buffer_count = %d\n", i, i, i + 1), 0);
        if (sinks == 3)
            expect_ok(bytes_cstr(&text));
        else
            expect_error(bytes_cstr(&text), 1, "larger than the log can hold, 256 KiB");
    }
    bytes_clear(&text);
    assert_int_equal(bytes_append_str(&text, "[sink local]\ndirectory = /"), 0);
    for (int i = 0; i < SETTINGS_STR_MAX; i++)
        assert_int_equal(bytes_append_char(&text, 'd'), 0);
    expect_error(bytes_cstr(&text), 0, "longer than 4096 bytes");
    bytes_free(&text);
}

#define HOSE "[stream a]\nsinks = x\n[sink x]\ntype = firehose\nregion = eu-west-1\n"
#define WEB "[stream a]\nsinks = x\n[sink x]\ntype = http\nurl = https://h/in\n"

static void a_delivery_stream_takes_records(void **state)
{
    (void)state;
    expect_ok(HOSE);
    expect_ok(HOSE "format = json\npartition_by = c\ndelivery_stream = d.1\n");
    expect_ok(HOSE "pack_records = yes\nendpoint = http://127.0.0.1:4573/\n");
    expect_ok(HOSE "pack_records = yes\nformat = json\n");
    expect_error(HOSE "format = csv\n", 6, "sends each event as a record, which is json or raw");
    expect_error(HOSE "format = parquet\n", 6, "set one of them in [sink x]");
    expect_error(HOSE "compression = gzip\n", 6, "what a delivery stream is given it stores");
    expect_error("[stream a]\ncompression = zstd\nsinks = x\n[sink x]\ntype = firehose\n", 2,
                 "set compression = none in [sink x]");
    expect_ok("[stream a]\ncompression = zstd\nsinks = local, x\n"
              "[sink x]\ntype = firehose\ncompression = none\n");
    expect_error(HOSE "pack_records = yes\ndelimiter = \"\"\n", 7, "could not be told apart");
    expect_error(HOSE "delivery_stream = a/b\n", 6, "'a/b' is not the name of one");
    expect_error(HOSE "endpoint = http://a b\n", 6, "not http[s]://HOST[:PORT][/PATH]");
}

static void a_receiver_of_http_takes_what_it_is_told(void **state)
{
    (void)state;
    expect_ok(WEB "compression = gzip\n");
    expect_ok(WEB "body = array\ncompression = zstd\nmethod = PUT\n");
    expect_ok(WEB "body = raw\n");
    expect_ok(WEB "body = raw\nformat = parquet\ncompression = snappy\n");
    expect_ok(WEB "body = raw\nformat = csv\n");
    expect_error(WEB "format = csv\n", 6, "sink 'x' has body = ndjson, which is JSON");
    expect_error(WEB "body = array\nformat = raw\n", 7, "sink 'x' has body = array");
    expect_error(WEB "compression = lz4\n", 6, "HTTP has no name for lz4");
    expect_error(WEB "headers = X-A: b, c\n", 6, "a header is written Name: value");
    expect_error(WEB "headers = X A: b\n", 6, "a header is written Name: value");
    expect_error(WEB "headers = \"A: b\\nC: d\"\n", 6, "a header is written Name: value");
    expect_error(WEB "headers = Content-Length: 3\n", 6, "content-length is set by the agent");
    expect_ok(WEB "headers = Content-Type: text/plain, Authorization: Basic eA==\n");
}

static void the_protocol_of_firehose_has_its_own_body(void **state)
{
    (void)state;
    expect_ok(WEB "protocol = firehose\ntoken = t\n");
    expect_ok(WEB "protocol = firehose\nformat = raw\ncompression = gzip\n");
    expect_error(WEB "protocol = firehose\nformat = csv\n", 7, "which is json or raw");
    expect_error(WEB "protocol = firehose\ncompression = zstd\n", 7, "by gzip or not at all");
    expect_error(WEB "protocol = firehose\nbody = array\n", 7, "a body of its own");
    expect_error(WEB "protocol = firehose\nmethod = PUT\n", 7, "done by POST");
    expect_error(WEB "protocol = firehose\ncompression = gzip\ncompression_level = 3\n", 8,
                 "at the usual level");
    expect_error("[stream a]\ncompression = gzip\nsinks = x\n[sink x]\ntype = http\n"
                 "url = http://h/\nprotocol = firehose\n", 2, "for all streams alike");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_are_read),
        cmocka_unit_test(lists_of_fields_are_read),
        cmocka_unit_test(added_fields_are_read),
        cmocka_unit_test(partition_columns_must_be_there),
        cmocka_unit_test(folders_of_partitions_follow_a_folder),
        cmocka_unit_test(raw_payloads_take_no_edits),
        cmocka_unit_test(levels_are_those_of_the_codecs),
        cmocka_unit_test(a_sink_with_its_own_compression_has_its_own_level),
        cmocka_unit_test(every_sound_combination_passes),
        cmocka_unit_test(settings_must_fit_in_the_log),
        cmocka_unit_test(a_delivery_stream_takes_records),
        cmocka_unit_test(a_receiver_of_http_takes_what_it_is_told),
        cmocka_unit_test(the_protocol_of_firehose_has_its_own_body),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
