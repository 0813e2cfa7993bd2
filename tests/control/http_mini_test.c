/*
 * http_mini: what a MiniFirehose's request becomes, and what is answered. Which values are refused
 * with which words stands in tests/e2e/test_rest.py.
 */
#include "control/http_call_fixture.h"

#include <errno.h>

#include "control/http_mini.h"

static int setup(void **state)
{
    (void)state;
    return call_begin("[agent]\ndata_dir = /tmp\n[stream file]\n",
                      "[stream mini]\nsinks = mini~1\n[sink mini~1]\ntype = file\n"
                      "directory = /tmp/mini\n[sink new~4]\ntype = file\ndirectory = /tmp/new\n");
}

static void begin(enum http_endpoint_id endpoint, const char *stream, const char *body)
{
    call.endpoint = endpoint;
    (void)snprintf(call.stream, sizeof(call.stream), "%s", stream);
    http_mini_begin(&call, (const uint8_t *)body, strlen(body), &look, &reply);
}

static void said(unsigned status, const char *body)
{
    assert_int_equal(reply.status, status);
    assert_string_equal(reply.body, body);
    http_reply_free(&reply);
}

static void is(const char *kind, const char *name, const char *key, const char *value)
{
    const struct config_section *s = rest_file_find(call.change->sections, kind, name);
    const char *have = rest_file_get(s, key);

    if (have == NULL || strcmp(have, value) != 0)
        fail_msg("[%s %s] %s is %s", kind, name, key, have != NULL ? have : "not there");
}

static void a_request_becomes_a_stream_and_its_sinks(void **state)
{
    (void)state;
    begin(HTTP_MINI_CREATE, "",
          "{\"name\": \"new\", \"buffer-size\": -1, \"buffer-count\": 20, \"sinks\": ["
          "{\"sink\": \"local\", \"sink-config\": {\"directory\": \"d\", "
          "\"output-format\": \"csv\", \"partition-cols\": [\"k\", \"a b\"]}}, "
          "{\"sink\": \"s3\", \"sink-config\": {"
          "\"bucket\": \"b\", \"prefix\": null, \"filename-strategy\": \"epoch\", \"s3-config\": {"
          "\"access-key\": \"AK\", \"secret-key\": \"SK\", \"endpoint-url\": \"http://h:1\"}}}]}");
    assert_int_equal(reply.status, 0);
    assert_int_equal(call.kind, REQUEST_CONTROL);
    assert_int_equal(call.change->operation, REST_CREATE);
    assert_string_equal(call.stream, "new");
    is("stream", "new", "sinks", "new~5,new~6");    /* of a fourth one something may be left */
    is("stream", "new", "buffer_time", "60000ms");
    is("stream", "new", "buffer_size", "-1");
    is("stream", "new", "buffer_count", "20");
    is("stream", "new", "prefix", "");
    is("stream", "new", "compression", "none");
    is("sink", "new~5", "type", "file");
    is("sink", "new~5", "directory", "/tmp/d");
    is("sink", "new~5", "layout", "flat");
    is("sink", "new~5", "format", "csv");
    is("sink", "new~5", "filename", "datetime");
    is("sink", "new~5", "partition_by", "k,\"a b\"");
    is("sink", "new~6", "type", "s3");
    is("sink", "new~6", "prefix", "");
    is("sink", "new~6", "format", "json");
    is("sink", "new~6", "filename", "epoch");
    is("sink", "new~6", "access_key", "AK");
    is("sink", "new~6", "secret_key", "SK");
    is("sink", "new~6", "endpoint", "http://h:1");
}

static void what_is_there_is_told_apart(void **state)
{
    static const char body[] = "{\"name\": \"%s\", \"sink\": \"local\", \"sink-config\": "
                               "{\"directory\": \"d\"}}";
    char text[128];

    (void)state;
    begin(HTTP_MINI_LIST, "", "");
    said(200, "[\"mini\"]");
    (void)snprintf(text, sizeof(text), body, "mini");
    begin(HTTP_MINI_CREATE, "", text);
    said(400, "{\"detail\": \"MiniFirehose already exists\"}");
    (void)snprintf(text, sizeof(text), body, "file");
    begin(HTTP_MINI_CREATE, "", text);
    assert_int_equal(reply.status, 409);
    http_reply_free(&reply);
    begin(HTTP_MINI_DELETE, "file", "");
    said(404, "{\"detail\": \"MiniFirehose not found\"}");
    begin(HTTP_MINI_STATS, "new", "");
    said(404, "{\"detail\": \"MiniFirehose not found\"}");
    begin(HTTP_MINI_MESSAGE, "new", "");
    said(404, "{\"detail\": \"MiniFirehose not found\"}");
    begin(HTTP_MINI_MESSAGE, "mini", "");
    assert_int_equal(reply.status, 0);
}

static void answers_are_in_the_words_of_the_contract(void **state)
{
    struct status_stream stream = {.name = "mini", .accepted = 9, .delivered = 4, .dropped = 1,
                                   .pending = 4, .buffered = 3, .buffered_bytes = 1048576 / 2};
    struct status status = {.streams = &stream, .streams_count = 1};
    struct http_answered good = {0, &status, ""}, there = {-EEXIST, NULL, ""};
    struct http_answered late = {-ETIMEDOUT, NULL, ""};

    (void)state;
    begin(HTTP_MINI_STATS, "mini", "");
    assert_int_equal(call.kind, REQUEST_LOOK);
    http_mini_next(&call, &good, &reply);
    said(200, "{\"buffer-count\": 3, \"buffer-size-in-mb\": 0.5, \"accepted\": 9, \"delivered\": 4,"
              " \"dropped\": 1, \"pending\": 4}");
    begin(HTTP_MINI_STATS, "mini", "");
    http_mini_next(&call, &late, &reply);
    assert_int_equal(reply.status, 0);
    assert_int_equal(call.kind, REQUEST_STATUS);
    http_mini_next(&call, &good, &reply);
    assert_int_equal(reply.status, 200);
    call.endpoint = HTTP_MINI_CREATE;
    call.kind = REQUEST_CONTROL;
    http_mini_next(&call, &good, &reply);
    said(200, "{\"message\": \"MiniFirehose 'mini' created\"}");
    http_mini_next(&call, &there, &reply);
    said(400, "{\"detail\": \"MiniFirehose already exists\"}");
    begin(HTTP_MINI_DELETE, "mini", "");
    assert_true(call.deletes);
    call.kind = REQUEST_FLUSH;
    http_mini_next(&call, &good, &reply);
    said(200, "{\"message\": \"MiniFirehose 'mini' deleted\"}");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, call_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_request_becomes_a_stream_and_its_sinks),
        TEST(what_is_there_is_told_apart),
        TEST(answers_are_in_the_words_of_the_contract),
    };

    return cmocka_run_group_tests_name("http_mini", tests, NULL, NULL);
}
