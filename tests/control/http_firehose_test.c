/*
 * http_firehose: which operations there are, and what they say.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control/config_text.h"
#include "control/http_firehose.h"

static struct http_reply reply;

static int setup(void **state)
{
    (void)state;
    reply = (struct http_reply){.firehose = true};
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    http_reply_free(&reply);
    return 0;
}

static void said(unsigned status, const char *part)
{
    assert_int_equal(reply.status, status);
    assert_string_equal(reply.content_type, HTTP_FIREHOSE_TYPE);
    if (strstr(reply.body, part) == NULL)
        fail_msg("no \"%s\" in: %s", part, reply.body);
}

static void targets_are_those_of_the_api(void **state)
{
    static const char *const bad[] = {"", "PutRecord", "Firehose_20150804.", "Kinesis.PutRecord",
                                      "Firehose_20150804.putRecord", "Firehose_20150804.PutRecords",
                                      "Firehose_20150804.DeleteDeliveryStreams"};
    enum firehose_operation op;

    (void)state;
    assert_true(http_firehose_route("Firehose_20150804.PutRecord", &op, &reply));
    assert_int_equal(op, FIREHOSE_PUT_RECORD);
    assert_true(http_firehose_route("Firehose_20150804.ListDeliveryStreams", &op, &reply));
    assert_int_equal(op, FIREHOSE_LIST);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(http_firehose_route(bad[i], &op, &reply));
        said(400, "{\"__type\": \"UnknownOperationException\", \"message\": ");
    }
    assert_false(http_firehose_route(NULL, &op, &reply));
    said(400, "X-Amz-Target is missing");
}

static void puts_are_answered_with_ids_of_their_own(void **state)
{
    struct http_put put = {.records = 3, .first_record = 16};

    (void)state;
    http_firehose_put(FIREHOSE_PUT_RECORD, &put, 0xabc, &reply);
    said(200, "{\"RecordId\":\"0000000000000abc0000000000000010\",\"Encrypted\":false}");
    http_firehose_put(FIREHOSE_PUT_RECORD_BATCH, &put, 0xabc, &reply);
    said(200, "{\"FailedPutCount\":0,\"Encrypted\":false,\"RequestResponses\":["
              "{\"RecordId\":\"0000000000000abc0000000000000010\"},"
              "{\"RecordId\":\"0000000000000abc0000000000000011\"},"
              "{\"RecordId\":\"0000000000000abc0000000000000012\"}]}");
}

static void failures_are_of_the_service_or_of_the_request(void **state)
{
    static const struct {
        int result;
        unsigned status;
        const char *type;
    } rows[] = {
        {-EBADMSG, 400, "SerializationException"},      {-EINVAL, 400, "InvalidArgument"},
        {-EMSGSIZE, 400, "InvalidArgumentException"},   {-E2BIG, 400, "InvalidArgument"},
        {-EDQUOT, 400, "LimitExceededException"},       {-EAGAIN, 503, "ServiceUnavailable"},
        {-ESHUTDOWN, 503, "the agent is stopping"},     {-ENOMEM, 503, "out of memory"},
        {-ETIMEDOUT, 503, "it is not known whether"},   {-EIO, 503, "it is not known whether"},
        {-ESTALE, 503, "it is not known whether"},      {-ENOENT, 400, "ResourceNotFound"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct http_put put = {.result = rows[i].result};

        http_firehose_put(FIREHOSE_PUT_RECORD, &put, 1, &reply);
        said(rows[i].status, rows[i].type);
        assert_int_equal(reply.retry_after, rows[i].status == 503);
    }
}

/* A question, asked and answered at once. */
static void ask(enum firehose_operation op, const char *body)
{
    struct config *config = config_of("[stream live]\n[stream configured]\n",
                                      "[deleted gone]\naccepted = 5\n[deleted back]\n"
                                      "accepted = 5\n");
    struct http_config look = {config_look, config};
    struct status_stream lives[] = {{.name = "zeta"}, {.name = "live"},
                                    {.name = "gone", .accepted = 5},
                                    {.name = "back", .accepted = 6}};
    struct status_stream_sink sinks[] = {{.stream = 1, .sink = "local"}, {.stream = 0},
                                         {.stream = 1, .sink = "s3"}};
    struct status status = {.streams = lives, .streams_count = 4, .stream_sinks = sinks,
                            .stream_sinks_count = 3};
    struct http_answered answered = {.status = &status, .why = ""};
    struct http_call call = {.endpoint = HTTP_FIREHOSE, .op = op};
    const uint8_t *bytes = (const uint8_t *)body;

    http_reply_free(&reply);
    http_firehose_begin(&call, bytes, strlen(body), &look, &reply);
    if (reply.status == 0) {
        assert_int_equal(call.kind, REQUEST_STATUS);
        assert_true(http_firehose_next(&call, bytes, strlen(body), &answered, &look, &reply));
    }
    rest_change_free(call.change);
    config_free(config);
}

static void lists_are_in_order_without_repeats(void **state)
{
    (void)state;
    ask(FIREHOSE_LIST, "{}");
    said(200, "{\"DeliveryStreamNames\": [\"back\", \"configured\", \"live\", "
              "\"zeta\"], \"HasMoreDeliveryStreams\": false}");
    ask(FIREHOSE_LIST, "{\"Limit\": 1, \"ExclusiveStartDeliveryStreamName\": \"d\"}");
    said(200, "{\"DeliveryStreamNames\": [\"live\"], \"HasMoreDeliveryStreams\": true}");
    ask(FIREHOSE_LIST, "{\"DeliveryStreamType\": \"KinesisStreamAsSource\"}");
    said(200, "{\"DeliveryStreamNames\": [], \"HasMoreDeliveryStreams\": false}");
    ask(FIREHOSE_LIST, "{\"Limit\": 0}");
    said(400, "InvalidArgumentException");
    ask(FIREHOSE_LIST, "{\"Limit\": \"x\"}");
    said(400, "InvalidArgumentException");
    ask(FIREHOSE_LIST, "[]");
    said(400, "SerializationException");
}

static void streams_are_described(void **state)
{
    (void)state;
    ask(FIREHOSE_DESCRIBE, "{\"DeliveryStreamName\": \"live\"}");
    said(200, "\"Destinations\": [{\"DestinationId\": \"local\"}, {\"DestinationId\": \"s3\"}]");
    said(200, "\"DeliveryStreamARN\": \"arn:aws:firehose:us-east-1:000000000000:deliverystream/"
              "live\"");
    ask(FIREHOSE_DESCRIBE, "{\"DeliveryStreamName\": \"other\"}");
    said(400, "ResourceNotFoundException");
    ask(FIREHOSE_DESCRIBE, "{\"DeliveryStreamName\": \"-\"}");
    said(400, "InvalidArgumentException");
    ask(FIREHOSE_DESCRIBE, "{}");
    said(400, "InvalidArgumentException");
    ask(FIREHOSE_LIST_TAGS, "{\"DeliveryStreamName\": \"configured\"}");
    said(200, "{\"Tags\": [], \"HasMoreTags\": false}");
    ask(FIREHOSE_CREATE, "{\"DeliveryStreamName\": \"configured\"}");
    said(400, "ResourceInUseException");
    ask(FIREHOSE_DESCRIBE, "{\"DeliveryStreamName\": \"gone\"}");
    said(400, "ResourceNotFoundException");
    ask(FIREHOSE_DELETE, "{\"DeliveryStreamName\": \"configured\"}");
    said(400, "InvalidArgumentException");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(targets_are_those_of_the_api),
        TEST(puts_are_answered_with_ids_of_their_own),
        TEST(failures_are_of_the_service_or_of_the_request),
        TEST(lists_are_in_order_without_repeats),
        TEST(streams_are_described),
    };

    return cmocka_run_group_tests_name("http_firehose", tests, NULL, NULL);
}
