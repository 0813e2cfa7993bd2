/*
 * web: the requests of both protocols, whose repeats are the same; what answers mean; and that what
 * the receiver may have twice is counted.
 */
#include "sink/driven_job.h"

#include <jansson.h>
#include <zlib.h>

static struct driven d;
static json_t *sent;                    /* the last chunk */

static void opened(const char *key, const char *text)
{
    struct bytes file = BYTES_INIT;

    assert_int_equal(bytes_append_str(&file, text), 0);
    d.sink.set.web.url = "https://host/in?x=1";
    d.sink.set.web.method = d.sink.set.web.method ? d.sink.set.web.method : "POST";
    d.sink.set.web.token = d.sink.set.web.token ? d.sink.set.web.token : "";
    driven_open(&d, &web_kind, &file, key, 2);
}

/* Records of `bytes` each, for protocol = firehose. */
static void opened_records(unsigned count, uint32_t bytes)
{
    struct bytes file = BYTES_INIT;
    static uint8_t payload[1 << 20];

    for (unsigned i = 0; i < count; i++) {
        payload[0] = (uint8_t)i;
        driven_record(&file, payload, bytes);
    }
    d.sink.set.web.url = "https://host/in";
    d.sink.set.web.method = "POST";
    d.sink.set.web.token = "secret";
    d.sink.set.web.protocol = REMOTE_FIREHOSE;
    driven_open(&d, &web_kind, &file, "b.records", count);
}

static void closed(void)
{
    json_decref(sent);
    sent = NULL;
    driven_close(&d);
}

static void chunk_read(const uint8_t *data, size_t len)
{
    json_decref(sent);
    sent = json_loadb((const char *)data, len, 0, NULL);
    assert_non_null(sent);
    assert_string_equal(json_string_value(json_object_get(sent, "requestId")),
                        driven_header(&d, "x-amz-firehose-request-id"));
}

static size_t chunk_send(void)
{
    driven_send(&d);
    assert_true(d.lane.body.len <= 4 << 20);
    chunk_read(d.lane.body.data, d.lane.body.len);
    return json_array_size(json_object_get(sent, "records"));
}

static enum retry_class chunk_answer(unsigned status, const char *id)
{
    char body[200];

    snprintf(body, sizeof(body), "{\"requestId\":\"%s\",\"timestamp\":1}",
             id ? id : driven_header(&d, "x-amz-firehose-request-id"));
    return driven_answer(&d, status, body, NULL);
}

static void a_plain_request_says_what_its_file_is(void **state)
{
    static const struct {
        const char *key, *type, *encoding;
    } cases[] = {
        {"b.json", "application/x-ndjson", ""},
        {"b.array.gz", "application/json", "gzip"},
        {"b.csv.zst", "text/csv; charset=utf-8", "zstd"},
        {"b.parquet", "application/vnd.apache.parquet", ""},
        {"b.json.lz4", "application/octet-stream", ""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        d.sink.set.web.token = i == 1 ? "secret" : "";
        opened(cases[i].key, "body");
        driven_send(&d);
        assert_string_equal(d.lane.request.method, "POST");
        assert_string_equal(d.lane.request.url, "https://host/in?x=1");
        assert_string_equal(driven_header(&d, "content-type"), cases[i].type);
        assert_string_equal(driven_header(&d, "content-encoding"), cases[i].encoding);
        assert_string_equal(driven_header(&d, "authorization"), i == 1 ? "Bearer secret" : "");
        assert_string_equal(driven_header(&d, "x-hydrant-batch"), d.job.batch);
        assert_string_equal(driven_header(&d, "idempotency-key"), d.job.batch);
        assert_int_equal(d.lane.body.len, 0);       /* the file is the body */
        assert_int_equal(driven_answer(&d, i % 2 ? 200 : 204, "", NULL), RETRY_OK);
        driven_expect_over(&d, SINK_DONE);
        assert_int_equal(d.job.duplicates, 0);
        closed();
    }
}

static void headers_of_the_configuration_go_first(void **state)
{
    static const char *const headers[] = {"Content-Type: text/plain", "X-Team:  a b ",
                                          "authorization: Basic eA=="};

    (void)state;
    d.sink.set.web.method = "PUT";
    d.sink.set.web.token = "secret";
    d.sink.set.web.headers = headers;
    d.sink.set.web.headers_count = 3;
    opened("b.json", "{}\n");
    driven_send(&d);
    assert_string_equal(d.lane.request.method, "PUT");
    assert_string_equal(driven_header(&d, "content-type"), "text/plain");
    assert_string_equal(driven_header(&d, "x-team"), "a b ");
    assert_string_equal(driven_header(&d, "authorization"), "Basic eA==");
    for (uint32_t i = 0; i < d.lane.request.headers_count; i++)
        for (uint32_t k = 0; k < i; k++)
            assert_string_not_equal(d.lane.request.headers[i].name,
                                    d.lane.request.headers[k].name);
    closed();
}

static void each_answer_has_its_class_and_says_why(void **state)
{
    static const char *const headers[] = {"Retry-After", "3", "Location", "https://there/?key=s",
                                          NULL};
    static const struct {
        unsigned status;
        enum retry_class class;
        const char *text;
    } cases[] = {
        {408, RETRY_AGAIN, "408: why"}, {425, RETRY_AGAIN, "425"}, {429, RETRY_THROTTLED, "429"},
        {500, RETRY_AGAIN, "500"}, {503, RETRY_THROTTLED, "503"}, {504, RETRY_AGAIN, "504"},
        {400, RETRY_REJECT, "400: why"}, {401, RETRY_REJECT, "is the token right?"},
        {413, RETRY_REJECT, "lower buffer_size"},
        {302, RETRY_REJECT, "302: redirections are not followed; set url to https://there/"},
    };

    (void)state;
    opened("b.json", "{}\n");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        driven_send(&d);
        assert_int_equal(driven_answer(&d, cases[i].status, "why\r\n", headers), cases[i].class);
        assert_true(d.outcome.after_ns == 3 * RETRY_SECOND_NS);
        if (!strstr(d.outcome.text.text, cases[i].text) || strstr(d.outcome.text.text, "key=s"))
            fail_msg("%s", d.outcome.text.text);
    }
    closed();
}

static void a_batch_that_may_be_there_twice_is_counted(void **state)
{
    (void)state;
    opened("b.json", "{}\n{}\n");
    driven_send(&d);
    web_kind.lost(&d.job, &d.lane, 0);
    driven_send(&d);
    web_kind.lost(&d.job, &d.lane, 1);
    assert_int_equal(d.job.duplicates, 0);
    driven_send(&d);
    assert_int_equal(driven_answer(&d, 429, "", NULL), RETRY_THROTTLED);
    assert_int_equal(d.job.duplicates, 0);
    driven_send(&d);
    assert_int_equal(driven_answer(&d, 500, "", NULL), RETRY_AGAIN);
    assert_int_equal(d.job.duplicates, 2);
    driven_send(&d);
    assert_int_equal(driven_answer(&d, 200, "", NULL), RETRY_OK);
    assert_int_equal(d.job.duplicates, 4);
    driven_expect_over(&d, SINK_DONE);
    driven_again(&d);
    driven_send(&d);
    assert_int_equal(driven_answer(&d, 200, "", NULL), RETRY_OK);
    assert_int_equal(d.job.duplicates, 6);
    closed();

    /* A connection that had been kept died under it. */
    opened("b.json", "{}\n{}\n");
    driven_send(&d);
    d.lane.call.repeats = 1;
    assert_int_equal(driven_answer(&d, 200, "", NULL), RETRY_OK);
    assert_int_equal(d.job.duplicates, 2);
    closed();
}

static void a_chunk_is_that_of_firehose(void **state)
{
    (void)state;
    opened_records(3, 2);
    assert_int_equal(chunk_send(), 3);
    assert_string_equal(driven_header(&d, "content-type"), "application/json");
    assert_string_equal(driven_header(&d, "x-amz-firehose-protocol-version"), "1.0");
    assert_string_equal(driven_header(&d, "x-amz-firehose-access-key"), "secret");
    assert_string_equal(driven_header(&d, "x-amz-firehose-source-arn"),
                        "arn:aws:firehose:local:000000000000:deliverystream/clicks");
    assert_string_equal(driven_header(&d, "authorization"), "");
    assert_int_equal(json_integer_value(json_object_get(sent, "timestamp")), 1770091506000);
    assert_string_equal(json_string_value(json_object_get(json_array_get(
                            json_object_get(sent, "records"), 1), "data")), "AQA=");
    assert_int_equal(strlen(driven_header(&d, "x-amz-firehose-request-id")), 36);
    assert_int_equal(chunk_answer(200, NULL), RETRY_OK);
    driven_expect_over(&d, SINK_DONE);
    assert_int_equal(d.job.duplicates, 0);
    closed();
}

static void a_repeat_is_the_same_request(void **state)
{
    struct bytes first = BYTES_INIT;
    char id[64];

    (void)state;
    opened_records(5, 1000000);             /* three in a request */
    assert_int_equal(chunk_send(), 3);
    snprintf(id, sizeof(id), "%s", driven_header(&d, "x-amz-firehose-request-id"));
    assert_int_equal(bytes_append(&first, d.lane.body.data, d.lane.body.len), 0);
    assert_int_equal(chunk_answer(503, NULL), RETRY_THROTTLED);
    d.utc_s += 100;
    assert_int_equal(chunk_send(), 3);
    assert_int_equal(d.lane.body.len, first.len);
    assert_memory_equal(d.lane.body.data, first.data, first.len);
    assert_int_equal(chunk_answer(200, NULL), RETRY_OK);
    assert_int_equal(d.job.duplicates, 3);
    assert_true(d.outcome.again);
    assert_int_equal(chunk_send(), 2);
    assert_string_not_equal(id, driven_header(&d, "x-amz-firehose-request-id"));
    driven_again(&d);                       /* killed */
    assert_int_equal(chunk_send(), 3);
    assert_string_equal(id, driven_header(&d, "x-amz-firehose-request-id"));
    assert_int_equal(chunk_answer(200, NULL), RETRY_OK);
    assert_int_equal(d.job.duplicates, 6);
    bytes_free(&first);
    closed();
}

static void a_chunk_is_compressed_if_that_is_wanted(void **state)
{
    static uint8_t plain[1 << 16];
    z_stream z = {.next_out = plain, .avail_out = sizeof(plain)};

    (void)state;
    d.sink.set.web.gzip = true;
    opened_records(1, 30000);
    driven_send(&d);
    assert_string_equal(driven_header(&d, "content-encoding"), "gzip");
    assert_true(d.lane.body.len < 2000);
    z.next_in = d.lane.body.data;
    z.avail_in = (unsigned)d.lane.body.len;
    assert_int_equal(inflateInit2(&z, 15 + 16), Z_OK);
    assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
    chunk_read(plain, z.total_out);
    assert_int_equal(inflateEnd(&z), Z_OK);
    assert_int_equal(json_string_length(json_object_get(json_array_get(
                         json_object_get(sent, "records"), 0), "data")), 40000);
    closed();
}

static void a_chunk_is_taken_when_its_id_comes_back(void **state)
{
    (void)state;
    opened_records(2, 1);
    chunk_send();
    assert_int_equal(chunk_answer(200, "another"), RETRY_AGAIN);
    assert_non_null(strstr(d.outcome.text.text, "another requestId"));
    chunk_send();
    assert_int_equal(driven_answer(&d, 200, "OK", NULL), RETRY_AGAIN);
    assert_non_null(strstr(d.outcome.text.text, "no requestId"));
    assert_int_equal(d.job.duplicates, 2);
    chunk_send();
    assert_int_equal(driven_answer(&d, 400, "{\"errorMessage\":\"no\\nway\"}", NULL), RETRY_REJECT);
    assert_string_equal(d.outcome.text.text, "400: no way");
    chunk_send();
    assert_int_equal(chunk_answer(200, NULL), RETRY_OK);
    assert_int_equal(d.job.duplicates, 4);
    closed();
}

static void files_of_the_other_protocol_go_as_what_they_are_or_wait(void **state)
{
    (void)state;
    opened("b.records", "x");
    assert_int_equal(driven_make(&d), -EOPNOTSUPP);
    assert_non_null(strstr(d.err.text, "protocol = firehose"));
    closed();
    d.sink.set.web.protocol = REMOTE_FIREHOSE;
    opened("b.json", "{}\n{\"a\":1}\n");
    assert_int_equal(chunk_send(), 2);
    closed();
    d.sink.set.web.protocol = REMOTE_FIREHOSE;
    opened("b.csv", "a\n");
    assert_int_equal(driven_make(&d), -EOPNOTSUPP);
    closed();
}

static void a_damaged_file_is_not_sent(void **state)
{
    (void)state;
    opened("b.json", "{}\n");
    d.job.damaged = true;
    driven_expect_over(&d, SINK_DAMAGED);
    closed();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plain_request_says_what_its_file_is),
        cmocka_unit_test(headers_of_the_configuration_go_first),
        cmocka_unit_test(each_answer_has_its_class_and_says_why),
        cmocka_unit_test(a_batch_that_may_be_there_twice_is_counted),
        cmocka_unit_test(a_chunk_is_that_of_firehose),
        cmocka_unit_test(a_repeat_is_the_same_request),
        cmocka_unit_test(a_chunk_is_compressed_if_that_is_wanted),
        cmocka_unit_test(a_chunk_is_taken_when_its_id_comes_back),
        cmocka_unit_test(files_of_the_other_protocol_go_as_what_they_are_or_wait),
        cmocka_unit_test(a_damaged_file_is_not_sent),
    };

    return cmocka_run_group_tests_name("web", tests, NULL, NULL);
}
