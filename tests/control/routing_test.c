/*
 * routing: from the configuration to what the log keeps of a stream.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "control/routing.h"

#define SECOND 1000000000LL

static struct config *load(const char *text)
{
    struct config_errors errs = CONFIG_ERRORS_INIT;
    struct config *c;

    if (config_load_text("f", text, strlen(text), NULL, &c, &errs) != 0) {
        config_errors_print(&errs, stderr);
        fail();
    }
    config_errors_fini(&errs);
    return c;
}

static void resolve(const char *text, const char *stream, struct stream_settings *ret_set)
{
    struct config *c = load(text);
    struct errmsg err = { "" };

    if (routing_resolve(c, stream, ret_set, &err) != 0)
        fail_msg("%s", err.text);
    config_free(c);
}

static void expect_directory(const struct target_settings *t, const char *relative)
{
    char cwd[PATH_MAX], want[PATH_MAX + 128];

    assert_non_null(getcwd(cwd, sizeof(cwd)));
    snprintf(want, sizeof(want), "%s/%s", cwd, relative);
    assert_string_equal(t->directory, want);
}

/* Its events go to the error output of the default stream, wherever that is. */
static void what_is_nobodys_is_refused_into_the_default_streams_place(void **state)
{
    static const char text[] =
        "[agent]\nauto_create_streams = no\ndefault_stream = main\n"
        "[stream main]\nsinks = local,s\nformat = csv\npartition_by = k\nprefix = p/\n"
        "error_prefix = bad/\n[sink s]\ntype = s3\nbucket = b\nprefix = q\nlayout = flat\n"
        "[stream known]\n";
    struct stream_settings set;
    const struct output_settings *o = &set.output[0];

    (void)state;
    resolve(text, "nobodys", &set);
    assert_int_equal(set.outputs, 1);
    assert_int_equal(o->framing, SETTINGS_FRAMING_REFUSED);
    assert_string_equal(o->format, "raw");
    assert_string_equal(o->partition_by, "");
    assert_string_equal(o->error_prefix, "bad/");
    assert_int_equal(o->error_targets, 2);
    expect_directory(&o->error_target[0], "hydrant-data/out/main");
    assert_true(o->error_target[0].flat);
    assert_string_equal(o->error_target[1].directory, "b/q");
    assert_false(set.named);
    stream_settings_fini(&set);
    resolve(text, "known", &set);
    assert_int_equal(o->framing, SETTINGS_FRAMING_NONE);
    stream_settings_fini(&set);
    resolve(text, "main", &set);
    assert_string_equal(o->format, "csv");
    stream_settings_fini(&set);
}

static void an_unknown_stream_takes_the_defaults(void **state)
{
    struct stream_settings set;
    const struct output_settings *o = &set.output[0];

    (void)state;
    resolve("", "anything", &set);
    assert_int_equal(set.outputs, 1);
    assert_string_equal(o->format, "json");
    assert_string_equal(o->prefix, "");
    assert_int_equal(o->delimiter_len, 0);      /* it is raw's */
    assert_false(o->epoch_name);
    assert_int_equal(o->file_mode, 0640);
    assert_string_equal(o->error_prefix, SETTINGS_ERROR_PREFIX);
    assert_int_equal(o->compression, SETTINGS_COMPRESSION_NONE);
    assert_int_equal(o->compression_level, -1);
    assert_string_equal(o->columns, "");
    assert_string_equal(o->fields, "");
    assert_string_equal(o->drop_fields, "");
    assert_string_equal(o->add_fields, "");
    assert_string_equal(o->partition_by, "");
    assert_false(o->event_clock || o->validate || o->partition_missing_error);
    assert_true(o->partitions_max == 0 && o->infer_bytes == 0 && o->row_group_bytes == 0);
    assert_true(o->buffer_count == -1);
    assert_true(o->buffer_bytes == 64 * 1024 * 1024);
    assert_true(o->buffer_time_ns == 60 * SECOND);
    assert_int_equal(o->targets, 1);
    assert_string_equal(o->target[0].sink, "local");
    assert_int_equal(o->target[0].type, TARGET_FILE);
    assert_false(o->target[0].flat);
    expect_directory(&o->target[0], "hydrant-data/out");
    assert_int_equal(o->error_targets, 1);
    assert_string_equal(o->error_target[0].sink, "local");
    expect_directory(&o->error_target[0], "hydrant-data/out");
    stream_settings_fini(&set);
}

static void a_streams_own_section_counts(void **state)
{
    static const char text[] =
        "[stream *]\nbuffer_time = 2s\nprefix = all/\n"
        "[stream a]\nformat = raw\ndelimiter = \"--\\n\"\nprefix = of-a/!{timestamp:yyyy}/\n"
        "filename = epoch\nbuffer_count = 10\nbuffer_size = 1KiB\n"
        "[sink local]\nfile_mode = 0600\nlayout = flat\ndirectory = /data/out\n";
    struct stream_settings set;
    const struct output_settings *o = &set.output[0];

    (void)state;
    resolve(text, "a", &set);
    assert_string_equal(o->format, "raw");
    assert_int_equal(o->delimiter_len, 3);
    assert_memory_equal(o->delimiter, "--\n", 3);
    assert_string_equal(o->prefix, "of-a/!{timestamp:yyyy}/");
    assert_true(o->epoch_name);
    assert_int_equal(o->file_mode, 0600);
    assert_true(o->buffer_count == 10);
    assert_true(o->buffer_bytes == 1024);
    assert_true(o->buffer_time_ns == 2 * SECOND);
    assert_true(o->target[0].flat);
    assert_string_equal(o->target[0].directory, "/data/out");
    stream_settings_fini(&set);

    resolve(text, "b", &set);
    assert_string_equal(o->format, "json");
    assert_string_equal(o->prefix, "all/");
    assert_true(o->buffer_count == -1);
    stream_settings_fini(&set);
}

/* In the order of `sinks`, outputs by their first one. */
static void sinks_with_equal_settings_share_an_output(void **state)
{
    static const char text[] =
        "[stream a]\nsinks = one, two, three, four, five\nbuffer_count = 10\n"
        "[sink one]\ntype = file\ndirectory = /1\n"
        "[sink two]\ntype = file\ndirectory = /2\nbuffer_count = 20\n"
        "[sink three]\ntype = file\ndirectory = /3\nbuffer_count = 10\nlayout = flat\n"
        "[sink four]\ntype = file\ndirectory = /4\nfile_mode = 0600\n"
        "[sink five]\ntype = file\ndirectory = /5\nformat = raw\nbuffer_count = 20\n";
    struct stream_settings set;

    (void)state;
    resolve(text, "a", &set);
    assert_int_equal(set.outputs, 4);
    assert_int_equal(set.output[0].targets, 2);
    assert_string_equal(set.output[0].target[0].sink, "one");
    assert_false(set.output[0].target[0].flat);
    assert_string_equal(set.output[0].target[1].sink, "three");
    assert_string_equal(set.output[0].target[1].directory, "/3");
    assert_true(set.output[0].target[1].flat);
    assert_true(set.output[0].buffer_count == 10);
    assert_int_equal(set.output[1].targets, 1);
    assert_string_equal(set.output[1].target[0].sink, "two");
    assert_true(set.output[1].buffer_count == 20);
    assert_string_equal(set.output[2].target[0].sink, "four");
    assert_int_equal(set.output[2].file_mode, 0600);
    assert_true(set.output[2].buffer_count == 10);
    assert_string_equal(set.output[3].target[0].sink, "five");
    assert_string_equal(set.output[3].format, "raw");
    stream_settings_fini(&set);
}

static void what_an_output_writes_comes_from_stream_and_sink(void **state)
{
    static const char text[] =
        "[stream a]\nsinks = one, two\nformat = parquet\ncompression = zstd\n"
        "compression_level = 19\nvalidate = yes\nprefix = !{timestamp:HH}/\n"
        "prefix_clock = event\nerror_prefix = bad/\npartition_by = 'b, \"a b\"'\n"
        "columns = 'x  i64 , \"b\" string, \"a b\" string'\n"
        "partitions_max = 7\npartition_missing = error\nrow_group_size = 2MiB\n"
        "[sink one]\ntype = file\ndirectory = /1\nlayout = flat\n"
        "[sink two]\ntype = file\ndirectory = /2\nformat = csv\ncompression = gzip\n"
        "columns =\ninfer_bytes = 1MiB\nfields = c, b,\"a b\"\ndrop_fields = d\n"
        "add_fields = e = 1\npartition_by =\nfilename = epoch\n";
    struct stream_settings set;
    const struct output_settings *o = &set.output[0];

    (void)state;
    resolve(text, "a", &set);
    assert_int_equal(set.outputs, 2);
    assert_string_equal(o->format, "parquet");
    assert_int_equal(o->compression, SETTINGS_COMPRESSION_ZSTD);
    assert_int_equal(o->compression_level, 19);
    assert_true(o->validate && o->event_clock && o->partition_missing_error);
    assert_string_equal(o->error_prefix, "bad/");
    assert_string_equal(o->partition_by, "b,\"a b\"");
    assert_string_equal(o->columns, "x i64,b string,\"a b\" string");
    assert_int_equal(o->partitions_max, 7);
    assert_true(o->infer_bytes == 0);
    assert_true(o->row_group_bytes == 2 << 20);
    assert_true(o->error_target[0].flat);
    assert_string_equal(o->error_target[0].directory, "/1");

    o = &set.output[1];
    assert_string_equal(o->format, "csv");
    assert_int_equal(o->compression, SETTINGS_COMPRESSION_GZIP);
    assert_int_equal(o->compression_level, -1);
    assert_string_equal(o->columns, "");
    assert_true(o->infer_bytes == 1 << 20);
    assert_string_equal(o->fields, "c,b,\"a b\"");
    assert_string_equal(o->drop_fields, "d");
    assert_string_equal(o->add_fields, "e = 1");
    assert_string_equal(o->partition_by, "");
    assert_false(o->partition_missing_error);
    assert_true(o->epoch_name && o->event_clock);
    assert_int_equal(o->partitions_max, 7);     /* of the events' times */
    assert_true(o->row_group_bytes == 0);
    assert_string_equal(o->error_target[0].sink, "two");
    stream_settings_fini(&set);
}

/* How many outputs two sinks make whose sections say this. */
static void expect_outputs(const char *stream, const char *one, const char *two, int outputs)
{
    struct stream_settings set;
    char text[512];

    snprintf(text, sizeof(text), "[stream a]\nsinks = x, y\n%s\n"
             "[sink x]\ntype = file\ndirectory = /x\n%s\n"
             "[sink y]\ntype = file\ndirectory = /y\n%s\n", stream, one, two);
    resolve(text, "a", &set);
    if (set.outputs != outputs)
        fail_msg("%d outputs of: %s", set.outputs, text);
    stream_settings_fini(&set);
}

static void what_has_no_effect_parts_no_sinks(void **state)
{
    static const char *const alike[][3] = {
        { "", "delimiter = '|'", "" },
        { "", "row_group_size = 1MiB", "" },
        { "format = csv", "row_group_size = 1MiB", "" },
        { "", "columns = a i64", "infer_bytes = 1MiB" },
        { "format = raw", "columns = a i64", "infer_bytes = 1MiB" },
        { "format = csv\ncolumns = a i64", "infer_bytes = 1MiB", "" },
        { "", "partitions_max = 3", "partition_missing = error" },
        { "prefix_clock = event", "partitions_max = 3", "" },
        { "format = csv", "columns = a i64,b string", "columns = ' \"a\"   i64 , b  string'" },
        { "", "fields = a,b", "fields = ' a , \"b\" '" },
        { "", "drop_fields = a,b", "drop_fields = ' a , b '" },
        { "", "partition_by = a,b", "partition_by = ' a , b '" },
        { "compression = zstd\ncompression_level = 3", "compression = none", "compression = none" },
    };
    static const char *const different[][3] = {
        { "format = raw", "delimiter = '|'", "" },
        { "format = parquet", "row_group_size = 1MiB", "" },
        { "format = csv", "columns = a i64", "" },
        { "format = csv", "infer_bytes = 1MiB", "" },
        { "partition_by = a", "infer_bytes = 1MiB", "" },
        { "partition_by = a", "partitions_max = 3", "" },
        { "partition_by = a", "partition_missing = error", "" },
        { "prefix = !{timestamp:HH}/\nprefix_clock = event", "partitions_max = 3", "" },
        { "", "compression = gzip", "" },
        { "compression = zstd", "compression_level = 3", "" },
        { "", "fields = a,b", "fields = b,a" },
        { "", "drop_fields = a", "" },
        { "", "add_fields = a = 1", "" },
        { "", "partition_by = a", "" },
        { "", "filename = epoch", "" },
        { "", "format = csv", "" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(alike) / sizeof(alike[0]); i++)
        expect_outputs(alike[i][0], alike[i][1], alike[i][2], 1);
    for (size_t i = 0; i < sizeof(different) / sizeof(different[0]); i++)
        expect_outputs(different[i][0], different[i][1], different[i][2], 2);
}

/* A bucket with its place in it: whatever slashes end that, one follows. */
static void an_objects_place_is_bucket_and_prefix(void **state)
{
    static const struct {
        const char *prefix, *place;
    } cases[] = {
        {"", "lake"}, {"prefix = /\n", "lake"}, {"prefix = in\n", "lake/in"},
        {"prefix = in/\n", "lake/in"}, {"prefix = in//\n", "lake/in"},
        {"prefix = in/deep\n", "lake/in/deep"}, {"prefix = in/deep/\nlayout = flat\n",
                                                   "lake/in/deep"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct bytes text = BYTES_INIT;
        struct stream_settings set;
        const struct output_settings *o = &set.output[0];
        const struct target_settings *both[] = {&o->target[0], &o->error_target[0]};

        assert_int_equal(bytes_printf(&text, "[stream a]\nsinks = s\n[sink s]\ntype = s3\n"
                                      "region = eu-west-1\nbucket = lake\n%s",
                                      cases[i].prefix), 0);
        assert_int_equal(bytes_append(&text, "", 1), 0);
        resolve((const char *)text.data, "a", &set);
        assert_int_equal(set.outputs, 1);
        assert_true(o->targets == 1 && o->error_targets == 1);
        for (int k = 0; k < 2; k++) {
            assert_string_equal(both[k]->sink, "s");
            assert_int_equal(both[k]->type, TARGET_S3);
            assert_string_equal(both[k]->directory, cases[i].place);
            assert_int_equal(both[k]->flat, strstr(cases[i].prefix, "flat") != NULL);
        }
        stream_settings_fini(&set);
        bytes_free(&text);
    }
}

static void a_delivery_stream_has_the_streams_name_or_its_own(void **state)
{
    static const char text[] =
        "[stream a]\nsinks = one\n[stream b]\nsinks = two\n"
        "[sink one]\ntype = firehose\nregion = eu-west-1\n"
        "[sink two]\ntype = firehose\nregion = eu-west-1\ndelivery_stream = hose\n";
    struct stream_settings set;

    (void)state;
    resolve(text, "a", &set);
    assert_int_equal(set.output[0].target[0].type, TARGET_FIREHOSE);
    assert_string_equal(set.output[0].target[0].directory, "a");
    assert_int_equal(set.output[0].framing, SETTINGS_FRAMING_RECORDS);
    stream_settings_fini(&set);
    resolve(text, "b", &set);
    assert_string_equal(set.output[0].target[0].directory, "hose");
    stream_settings_fini(&set);
}

/* Its URL may hold a secret: the log has the sink's name. */
static void a_receivers_place_is_the_sinks_name(void **state)
{
    struct stream_settings set;

    (void)state;
    resolve("[stream a]\nsinks = w\n[sink w]\ntype = http\nurl = https://u:p@example.org/\n",
            "a", &set);
    assert_int_equal(set.output[0].target[0].type, TARGET_HTTP);
    assert_string_equal(set.output[0].target[0].directory, "w");
    stream_settings_fini(&set);
}

/* A batch for a bucket is a file first, which has to be read again; and a file sink's as well. */
static void a_bucket_shares_batches_with_a_directory(void **state)
{
    static const char text[] =
        "[stream a]\nsinks = local, s\n[stream b]\nsinks = s\n"
        "[sink s]\ntype = s3\nregion = eu-west-1\nbucket = lake\n"
        "[sink local]\nfile_mode = 0600\n";
    struct stream_settings set;

    (void)state;
    resolve(text, "a", &set);
    assert_int_equal(set.outputs, 1);
    assert_int_equal(set.output[0].targets, 2);
    stream_settings_fini(&set);
    resolve(text, "b", &set);
    assert_int_equal(set.output[0].file_mode, 0600);
    stream_settings_fini(&set);
}

/* Sinks that take no objects leave their errors below `local`, once. */
static void errors_of_other_sinks_go_to_local(void **state)
{
    struct stream_settings set;

    (void)state;
    resolve("[stream a]\nsinks = x, y, z, f, h\nformat = raw\n"
            "[sink x]\ntype = file\ndirectory = /x\n"
            "[sink y]\ntype = s3\nbucket = lake\nregion = eu-west-1\n"
            "[sink z]\ntype = http\nurl = https://example.org/\nbody = raw\n"
            "[sink f]\ntype = http\nurl = https://example.org/f\nbody = raw\n"
            "[sink h]\ntype = firehose\nregion = eu-west-1\n", "a", &set);
    assert_int_equal(set.outputs, 2);           /* the delivery stream's records are another */
    assert_int_equal(set.output[0].targets, 4);
    assert_int_equal(set.output[0].error_targets, 3);
    assert_string_equal(set.output[0].error_target[0].sink, "x");
    assert_string_equal(set.output[0].error_target[1].sink, "y");
    assert_string_equal(set.output[0].error_target[2].sink, "local");
    assert_int_equal(set.output[0].error_target[2].type, TARGET_FILE);
    expect_directory(&set.output[0].error_target[2], "hydrant-data/out");
    assert_int_equal(set.output[1].error_targets, 1);
    assert_string_equal(set.output[1].error_target[0].sink, "local");
    stream_settings_fini(&set);
}

/* The settings of sixteen sinks, in one output and in sixteen; of seventeen, an error. */
static void as_many_sinks_as_the_log_can_hold(void **state)
{
    (void)state;
    for (int sinks = WAL_OUTPUTS_MAX; sinks <= WAL_OUTPUTS_MAX + 1; sinks++)
        for (int alike = 0; alike < 2; alike++) {
            struct bytes text = BYTES_INIT, kept = BYTES_INIT;
            struct stream_settings set, back;
            struct config_errors errs = CONFIG_ERRORS_INIT;
            struct errmsg err = { "" };
            struct config *c;
            int r;

            assert_int_equal(bytes_append_str(&text, "[stream a]\nsinks = s0"), 0);
            for (int i = 1; i < sinks; i++)
                assert_int_equal(bytes_printf(&text, ",s%d", i), 0);
            for (int i = 0; i < sinks; i++)
                assert_int_equal(bytes_printf(&text,
                                              "\n[sink s%d]\ntype = file\ndirectory = /d%d\n"
                                              "buffer_count = %d\n",
                                              i, i, alike ? 5 : 5 + i), 0);
            r = config_load_text("f", (const char *)text.data, text.len, NULL, &c, &errs);
            if (sinks > WAL_OUTPUTS_MAX && r != 0) {
                assert_true(errs.count > 0);    /* found earlier still */
            } else if (sinks > WAL_OUTPUTS_MAX) {
                assert_int_equal(routing_resolve(c, "a", &set, &err), -E2BIG);
                assert_non_null(strstr(err.text, "stream 'a'"));
                assert_int_equal(set.outputs, 0);
            } else {
                assert_int_equal(r, 0);
                assert_int_equal(routing_resolve(c, "a", &set, &err), 0);
                assert_int_equal(set.outputs, alike ? 1 : sinks);
                assert_int_equal(set.output[0].targets, alike ? sinks : 1);
                assert_int_equal(stream_settings_format(&set, &kept), 0);
                assert_int_equal(stream_settings_parse(kept.data, kept.len, &back), 0);
                stream_settings_fini(&back);
                stream_settings_fini(&set);
            }
            if (r == 0)
                config_free(c);
            config_errors_fini(&errs);
            bytes_free(&text);
            bytes_free(&kept);
        }
}

/* Each service has its own way of telling events apart; what shares none shares no batches. */
static void sinks_share_batches_only_with_sinks_of_their_framing(void **state)
{
    struct config *c = load("[stream a]\nsinks = f, h, w, p, y\n"
                            "[sink f]\ntype = file\ndirectory = /f\n"
                            "[sink h]\ntype = file\ndirectory = /h\ncompression = gzip\n"
                            "[sink w]\ntype = file\ndirectory = /w\ncompression = gzip\n"
                            "[sink p]\ntype = file\ndirectory = /p\n"
                            "[sink y]\ntype = file\ndirectory = /y\n");
    struct sink_config *sinks = &c->sinks[1];
    struct stream_settings set;
    struct errmsg err;

    (void)state;
    /* Stands for sections of their types; places are of no account here. */
    sinks[2].type = CONFIG_SINK_HTTP;
    sinks[2].web.protocol = CONFIG_PROTOCOL_FIREHOSE;
    sinks[3].type = CONFIG_SINK_HTTP;
    sinks[4].type = CONFIG_SINK_HTTP;
    sinks[4].web.body = CONFIG_BODY_ARRAY;
    assert_int_equal(routing_resolve(c, "a", &set, &err), 0);
    assert_int_equal(set.outputs, 4);
    assert_int_equal(set.output[0].framing, SETTINGS_FRAMING_NONE);
    assert_int_equal(set.output[0].targets, 2);     /* f and p */
    assert_int_equal(set.output[1].framing, SETTINGS_FRAMING_NONE);
    assert_int_equal(set.output[1].compression, SETTINGS_COMPRESSION_GZIP);
    assert_int_equal(set.output[2].framing, SETTINGS_FRAMING_RECORDS);
    assert_int_equal(set.output[2].compression, SETTINGS_COMPRESSION_NONE);
    assert_int_equal(set.output[3].framing, SETTINGS_FRAMING_ARRAY);
    stream_settings_fini(&set);
    for (size_t i = 1; i < c->sinks_count; i++)
        c->sinks[i].type = CONFIG_SINK_FILE;
    config_free(c);
}

static void a_stream_without_a_sink_is_an_error_that_names_both(void **state)
{
    char name[] = "nowhere";
    char *names[] = { name };
    struct config c = { .agent = { .auto_create_streams = true },
                        .stream_default = { .sinks = { names, 1 } } };
    struct stream_settings set;
    struct errmsg err = { "" };

    (void)state;
    assert_int_equal(routing_resolve(&c, "a", &set, &err), -ENOENT);
    assert_string_equal(err.text, "stream 'a': no sink 'nowhere'");
    assert_int_equal(set.outputs, 0);
    c.stream_default.sinks.count = 0;
    assert_int_equal(routing_resolve(&c, "a", &set, &err), -EINVAL);
    assert_string_equal(err.text, "stream 'a': no sinks");
}

static void the_same_configuration_gives_the_same_bytes(void **state)
{
    static const char text[] = "[stream a]\nbuffer_count = 3\n";
    struct bytes bytes[2] = { BYTES_INIT, BYTES_INIT };
    struct stream_settings set;

    (void)state;
    for (int i = 0; i < 2; i++) {
        resolve(text, "a", &set);
        assert_int_equal(stream_settings_format(&set, &bytes[i]), 0);
        stream_settings_fini(&set);
    }
    assert_int_equal(bytes[0].len, bytes[1].len);
    assert_memory_equal(bytes[0].data, bytes[1].data, bytes[0].len);
    bytes_free(&bytes[0]);
    bytes_free(&bytes[1]);
}

static void expect_absolute(const char *directory, const char *want)
{
    char *got = routing_absolute(directory);

    assert_non_null(got);
    assert_string_equal(got, want);
    free(got);
}

static void relative_directories_start_where_the_agent_does(void **state)
{
    char cwd[PATH_MAX], want[PATH_MAX + 16];

    (void)state;
    assert_non_null(getcwd(cwd, sizeof(cwd)));
    expect_absolute("/a/b", "/a/b");
    expect_absolute("/", "/");
    snprintf(want, sizeof(want), "%s/a/b", cwd);
    expect_absolute("a/b", want);
    expect_absolute("./a/b", want);
    snprintf(want, sizeof(want), "%s/../a", cwd);
    expect_absolute("../a", want);
    assert_int_equal(chdir("/"), 0);
    expect_absolute("a/b", "/a/b");
    expect_absolute("./a", "/a");
    assert_int_equal(chdir(cwd), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_unknown_stream_takes_the_defaults),
        cmocka_unit_test(what_is_nobodys_is_refused_into_the_default_streams_place),
        cmocka_unit_test(a_streams_own_section_counts),
        cmocka_unit_test(sinks_with_equal_settings_share_an_output),
        cmocka_unit_test(what_an_output_writes_comes_from_stream_and_sink),
        cmocka_unit_test(what_has_no_effect_parts_no_sinks),
        cmocka_unit_test(an_objects_place_is_bucket_and_prefix),
        cmocka_unit_test(a_bucket_shares_batches_with_a_directory),
        cmocka_unit_test(a_delivery_stream_has_the_streams_name_or_its_own),
        cmocka_unit_test(a_receivers_place_is_the_sinks_name),
        cmocka_unit_test(errors_of_other_sinks_go_to_local),
        cmocka_unit_test(as_many_sinks_as_the_log_can_hold),
        cmocka_unit_test(sinks_share_batches_only_with_sinks_of_their_framing),
        cmocka_unit_test(a_stream_without_a_sink_is_an_error_that_names_both),
        cmocka_unit_test(the_same_configuration_gives_the_same_bytes),
        cmocka_unit_test(relative_directories_start_where_the_agent_does),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
