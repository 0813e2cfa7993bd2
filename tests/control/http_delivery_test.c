/*
 * http_delivery: what is made of a delivery stream's settings, and what is described of it again.
 */
#include "control/config_text.h"

#include <errno.h>

#include "control/http_delivery.h"

static struct config *config;
static struct http_reply reply;
static struct http_call call;

static int setup(void **state)
{
    (void)state;
    reply = (struct http_reply){.firehose = true};
    call = (struct http_call){.endpoint = HTTP_FIREHOSE, .stream = "hose"};
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rest_change_free(call.change);
    http_reply_free(&reply);
    config_free(config);
    config = NULL;
    return 0;
}

static void begin(enum firehose_operation op, const char *rest, const char *body)
{
    json_t *request = json_loads(body, 0, NULL);
    struct http_config look = {config_look, NULL};

    assert_non_null(request);
    config_free(config);
    rest_change_free(call.change);
    call.change = NULL;
    http_reply_free(&reply);
    look.ctx = config = config_of("[sink cloud]\ntype = s3\nbucket = events\n[stream file]\n",
                                  rest);
    call.op = op;
    http_delivery_begin(&call, request, &look, &reply);
    json_decref(request);
}

static void failed(const char *type)
{
    assert_int_equal(reply.status, 400);
    if (strstr(reply.body, type) == NULL)
        fail_msg("no %s in %s", type, reply.body);
}

static const char *value(const char *key)
{
    const char *text = rest_file_get(rest_change_stream(call.change), key);

    return text != NULL ? text : "(none)";
}

static void hints_prefix_and_compression_become_settings(void **state)
{
    (void)state;
    begin(FIREHOSE_CREATE, "",
          "{\"ExtendedS3DestinationConfiguration\": {\"BucketARN\": \"arn:aws:s3:::events\", "
          "\"Prefix\": \"p/\", \"ErrorOutputPrefix\": \"e/\", \"CompressionFormat\": \"Snappy\", "
          "\"BufferingHints\": {\"SizeInMBs\": 2, \"IntervalInSeconds\": 0}}}");
    assert_int_equal(reply.status, 0);
    assert_int_equal(call.change->operation, REST_CREATE);
    assert_string_equal(value("sinks"), "cloud");
    assert_string_equal(value("format"), "raw");
    assert_string_equal(value("delimiter"), "");
    assert_string_equal(value("prefix"), "p/");
    assert_string_equal(value("error_prefix"), "e/");
    assert_string_equal(value("compression"), "snappy");
    assert_string_equal(value("buffer_size"), "2MiB");
    assert_string_equal(value("buffer_time"), "1s");
    assert_string_equal(value("partition_by"), "");
    begin(FIREHOSE_CREATE, "", "{}");
    assert_string_equal(value("sinks"), "local");
    assert_string_equal(value("buffer_size"), "5MiB");
    assert_string_equal(value("buffer_time"), "300s");
    assert_string_equal(value("error_prefix"), "(none)");
}

static void what_cannot_be_done_is_not_ignored(void **state)
{
    static const char *const rows[] = {
        "{\"Nonsense\": 1}", "{\"KinesisStreamSourceConfiguration\": {\"a\": 1}}",
        "{\"ExtendedS3DestinationConfiguration\": []}",
        "{\"ExtendedS3DestinationConfiguration\": {\"KMS\": \"x\"}}",
        "{\"ExtendedS3DestinationConfiguration\": {\"Prefix\": 1}}",
        "{\"ExtendedS3DestinationConfiguration\": {\"CustomTimeZone\": \"Asia/Tokyo\"}}",
        "{\"Tags\": {}}", "{\"Tags\": [{}]}", "{\"Tags\": [{\"Key\": \"\"}]}",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        begin(FIREHOSE_CREATE, "", rows[i]);
        failed("InvalidArgumentException");
    }
    begin(FIREHOSE_CREATE, "[stream hose]\n", "{}");
    failed("ResourceInUseException");
    begin(FIREHOSE_TAG, "[stream hose]\n", "{\"Tags\": []}");
    failed("InvalidArgumentException");
    begin(FIREHOSE_TAG, "", "{\"Tags\": []}");
    failed("ResourceNotFoundException");
}

static void an_update_changes_what_it_names(void **state)
{
    static const char rest[] =
        "[stream hose]\nabout = '{\"version\":4,\"destination\":{\"Prefix\":\"p/\","
        "\"CompressionFormat\":\"GZIP\"},\"tags\":{\"a\":\"1\",\"b\":\"2\"}}'\n";
    json_t *about, *description = json_object(), *tags;
    const char *version;

    (void)state;
    begin(FIREHOSE_UPDATE, rest,
          "{\"CurrentDeliveryStreamVersionId\": \"4\", \"DestinationId\": "
          "\"destinationId-000000000001\", \"ExtendedS3DestinationUpdate\": {\"Prefix\": \"q/\"}}");
    assert_int_equal(call.change->operation, REST_UPDATE);
    assert_string_equal(value("prefix"), "q/");
    assert_string_equal(value("compression"), "gzip");
    about = json_loads(value("about"), 0, NULL);
    http_delivery_describe(about, description);
    version = json_string_value(json_object_get(description, "VersionId"));
    assert_string_equal(version, "5");
    tags = http_delivery_tags(about, NULL, 1);
    assert_true(json_is_true(json_object_get(tags, "HasMoreTags")));
    json_decref(tags);
    tags = http_delivery_tags(about, "a", 1);
    assert_int_equal(json_array_size(json_object_get(tags, "Tags")), 1);
    assert_false(json_is_true(json_object_get(tags, "HasMoreTags")));
    json_decref(tags);
    json_decref(description);
    json_decref(about);

    begin(FIREHOSE_UPDATE, rest, "{\"CurrentDeliveryStreamVersionId\": \"3\"}");
    failed("ConcurrentModificationException");
    begin(FIREHOSE_UPDATE, rest, "{}");
    failed("InvalidArgumentException");
    begin(FIREHOSE_UNTAG, rest, "{\"TagKeys\": [\"a\", \"c\"]}");
    assert_non_null(strstr(value("about"), "\"tags\":{\"b\":\"2\"}"));
    assert_string_equal(call.change->expected, config->streams[0].rest ? config->streams[0].about
                                                                       : config->streams[1].about);
    begin(FIREHOSE_ENCRYPT, rest, "{}");
    assert_non_null(strstr(value("about"), "\"Status\":\"ENABLED\""));
}

static void failures_are_the_services_own(void **state)
{
    static const struct {
        int result;
        const char *type;
    } rows[] = {
        {-EEXIST, "ResourceInUse"}, {-ENOENT, "ResourceNotFound"}, {-EINVAL, "InvalidArgument"},
        {-ESTALE, "ConcurrentModification"}, {-EFBIG, "LimitExceeded"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct http_answered a = {rows[i].result, NULL, "words"};

        call.kind = REQUEST_CONTROL;
        http_delivery_next(&call, &a, &reply);
        failed(rows[i].type);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(hints_prefix_and_compression_become_settings),
        TEST(what_cannot_be_done_is_not_ignored),
        TEST(an_update_changes_what_it_names),
        TEST(failures_are_the_services_own),
    };

    return cmocka_run_group_tests_name("http_delivery", tests, NULL, NULL);
}
