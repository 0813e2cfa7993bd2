/*
 * firehose: what is put in which order, what comes back and goes again, what every answer means,
 * and that each record which the service may have twice is counted.
 */
#include "sink/driven_job.h"

#include <jansson.h>
#include <openssl/evp.h>

static struct driven d;
static json_t *sent;                    /* of the last request */

/* Records "0", "1", ... */
static void opened(unsigned records)
{
    struct bytes file = BYTES_INIT;
    char text[16];

    d.sink.set.firehose.endpoint = d.sink.set.firehose.endpoint ? d.sink.set.firehose.endpoint
                                                                : "http://127.0.0.1:9000";
    for (unsigned i = 0; i < records; i++)
        driven_record(&file, text, (uint32_t)snprintf(text, sizeof(text), "%u", i));
    driven_open(&d, &firehose_kind, &file, "a/b.records", records);
}

static void closed(void)
{
    json_decref(sent);
    sent = NULL;
    driven_close(&d);
}

static const json_t *send_next(void)
{
    driven_send(&d);
    assert_true(d.lane.body.len <= 4 << 20);
    json_decref(sent);
    sent = json_loadb((const char *)d.lane.body.data, d.lane.body.len, 0, NULL);
    assert_non_null(sent);
    assert_string_equal(json_string_value(json_object_get(sent, "DeliveryStreamName")), "hose");
    return json_object_get(sent, "Records");
}

/* How many the request holds. */
static size_t send_count(void)
{
    return json_array_size(send_next());
}

static void expect_data(size_t i, const char *text)
{
    const json_t *record = json_array_get(json_object_get(sent, "Records"), i);
    const char *data = json_string_value(json_object_get(record, "Data"));
    unsigned char plain[64];
    int len = EVP_DecodeBlock(plain, (const unsigned char *)data, (int)strlen(data));

    assert_true(len >= (int)strlen(text) && len <= (int)strlen(text) + 2);
    assert_memory_equal(plain, text, strlen(text));
}

/* An answer in which the records whose bit is set in `failed` (from 64 on none) are given back. */
static enum retry_class answer(size_t records, uint64_t failed, const char *code)
{
    struct bytes body = BYTES_INIT;
    enum retry_class class;

    assert_int_equal(bytes_printf(&body, "{\"FailedPutCount\":%d,\"RequestResponses\":[",
                                  __builtin_popcountll(failed)), 0);
    for (size_t i = 0; i < records; i++) {
        bool fails = i < 64 && failed >> i & 1;

        assert_int_equal(bytes_printf(&body, "%s{\"%s\":\"%s\"}", i ? "," : "",
                                      fails ? "ErrorCode" : "RecordId", fails ? code : "r"), 0);
    }
    assert_int_equal(bytes_append_str(&body, "]}"), 0);
    class = driven_answer(&d, 200, bytes_cstr(&body), NULL);
    bytes_free(&body);
    return class;
}

static void a_request_is_signed_and_complete(void **state)
{
    (void)state;
    opened(2);
    assert_int_equal(send_count(), 2);
    expect_data(0, "0");
    expect_data(1, "1");
    assert_string_equal(d.lane.request.method, "POST");
    assert_string_equal(d.lane.request.url, "http://127.0.0.1:9000/");
    assert_string_equal(driven_header(&d, "host"), "127.0.0.1:9000");
    assert_string_equal(driven_header(&d, "content-type"), "application/x-amz-json-1.1");
    assert_string_equal(driven_header(&d, "x-amz-target"), "Firehose_20150804.PutRecordBatch");
    assert_string_equal(driven_header(&d, "x-amz-date"), "20260203T040506Z");
    assert_non_null(strstr(driven_header(&d, "authorization"),
                           "AKIDEXAMPLE/20260203/eu-west-1/firehose/aws4_request"));
    assert_int_equal(answer(2, 0, ""), RETRY_OK);
    assert_false(d.outcome.again);
    driven_expect_over(&d, SINK_DONE);
    assert_int_equal(d.job.duplicates, 0);
    closed();
}

static void the_service_is_found_by_region(void **state)
{
    static const struct {
        const char *endpoint, *region, *url;
    } cases[] = {
        {"", "eu-west-1", "https://firehose.eu-west-1.amazonaws.com/"},
        {"", "cn-north-1", "https://firehose.cn-north-1.amazonaws.com.cn/"},
        {"http://host:80/a/", "", "http://host/a/"},
        {"", "", NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        d.sink.set.firehose.endpoint = cases[i].endpoint;
        d.region = cases[i].region;
        opened(1);
        if (cases[i].url) {
            send_count();
            assert_string_equal(d.lane.request.url, cases[i].url);
        } else {
            assert_int_equal(driven_make(&d), -EOPNOTSUPP);
            assert_string_equal(d.err.text, "no region is known: set region in [sink far]");
        }
        closed();
    }
}

static void requests_keep_the_limits(void **state)
{
    static uint8_t big[1000 * 1024];
    struct bytes file = BYTES_INIT;

    (void)state;
    opened(1003);
    for (int i = 0; i < 3; i++) {
        size_t count = i < 2 ? 500 : 3;

        assert_int_equal(send_count(), count);
        assert_int_equal(answer(count, 0, ""), RETRY_OK);
        assert_int_equal(d.outcome.again, i < 2);
    }
    driven_expect_over(&d, SINK_DONE);
    closed();

    for (int i = 0; i < 4; i++)
        driven_record(&file, big, sizeof(big));
    d.sink.set.firehose.endpoint = "http://h";
    driven_open(&d, &firehose_kind, &file, "b.records", 4);
    assert_int_equal(send_count(), 3);      /* in base64 */
    assert_int_equal(answer(3, 0, ""), RETRY_OK);
    assert_int_equal(send_count(), 1);
    assert_int_equal(answer(1, 0, ""), RETRY_OK);
    driven_expect_over(&d, SINK_DONE);
    closed();
}

static void what_is_given_back_goes_first_and_alone_again(void **state)
{
    (void)state;
    opened(600);
    assert_int_equal(send_count(), 500);
    assert_int_equal(answer(500, 0x8001, "ServiceUnavailableException"), RETRY_OK);
    assert_true(d.outcome.again);           /* most of them went through: no pause */
    assert_int_equal(send_count(), 102);
    expect_data(0, "0");
    expect_data(1, "15");
    expect_data(2, "500");
    expect_data(101, "599");
    assert_int_equal(answer(102, 1, "InternalFailure"), RETRY_OK);
    assert_int_equal(send_count(), 1);
    expect_data(0, "0");
    assert_int_equal(answer(1, 1, "ServiceUnavailableException"), RETRY_THROTTLED);
    assert_non_null(strstr(d.outcome.text.text, "1 of 1 records"));
    assert_int_equal(send_count(), 1);
    assert_int_equal(answer(1, 1, "InternalFailure"), RETRY_AGAIN);
    assert_int_equal(send_count(), 1);
    assert_int_equal(answer(1, 0, ""), RETRY_OK);
    driven_expect_over(&d, SINK_DONE);
    assert_int_equal(d.job.duplicates, 0);
    closed();
}

static void a_record_that_may_be_there_twice_is_counted(void **state)
{
    (void)state;
    opened(10);
    send_count();
    firehose_kind.lost(&d.job, &d.lane, d.lane.body.len - 1);
    send_count();
    firehose_kind.lost(&d.job, &d.lane, d.lane.body.len);
    assert_int_equal(d.job.duplicates, 0);
    send_count();
    assert_int_equal(answer(10, 3, "InternalFailure"), RETRY_OK);
    assert_int_equal(d.job.duplicates, 8);
    assert_int_equal(send_count(), 2);
    assert_int_equal(driven_answer(&d, 500, "{\"__type\":\"InternalFailure\"}", NULL), RETRY_AGAIN);
    assert_int_equal(d.job.duplicates, 10);
    send_count();
    assert_int_equal(driven_answer(&d, 400, "{\"__type\":\"InvalidArgumentException\"}", NULL),
                     RETRY_REJECT);
    assert_int_equal(d.job.duplicates, 10);     /* a refusal takes nothing */
    send_count();
    assert_int_equal(answer(2, 0, ""), RETRY_OK);
    assert_int_equal(d.job.duplicates, 12);
    driven_expect_over(&d, SINK_DONE);

    driven_again(&d);
    assert_int_equal(send_count(), 10);
    assert_int_equal(answer(10, 0, ""), RETRY_OK);
    assert_int_equal(d.job.duplicates, 22);
    closed();

    /* Connections that had been kept died under it. */
    opened(3);
    send_count();
    d.lane.call.repeats = 2;
    assert_int_equal(answer(3, 0, ""), RETRY_OK);
    assert_int_equal(d.job.duplicates, 6);
    closed();
}

static void an_answer_that_does_not_fit_is_none(void **state)
{
    static const char *const bodies[] = {
        "", "no JSON", "{}", "{\"RequestResponses\":{}}", "{\"RequestResponses\":[]}",
        "{\"RequestResponses\":[{\"RecordId\":\"a\"}]}",
        "{\"RequestResponses\":[{\"RecordId\":\"a\"},{}]}",
        "{\"RequestResponses\":[{\"RecordId\":\"a\"},{\"RecordId\":\"b\",\"ErrorCode\":\"c\"}]}",
        "{\"RequestResponses\":[{\"RecordId\":\"a\"},1]}",
        "{\"RequestResponses\":[{\"RecordId\":\"a\"},{\"RecordId\":\"a\"},{\"RecordId\":\"a\"}]}",
    };

    (void)state;
    opened(2);
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        assert_int_equal(send_count(), 2);
        assert_int_equal(driven_answer(&d, 200, bodies[i], NULL), RETRY_AGAIN);
        assert_non_null(strstr(d.outcome.text.text, "none of PutRecordBatch for 2 records"));
        assert_int_equal(d.job.duplicates, 2 * i);
    }
    assert_int_equal(driven_answer(&d, 200, NULL, NULL), RETRY_AGAIN);
    closed();
}

static void each_error_has_its_class_and_says_what_to_do(void **state)
{
    static const struct {
        unsigned status;
        const char *type, *text;
        enum retry_class class;
    } cases[] = {
        {400, "ResourceNotFoundException", "create that delivery stream", RETRY_REJECT},
        {400, "com.amazonaws.firehose#AccessDeniedException:http://x/",
         "400 AccessDeniedException: why; the keys need", RETRY_REJECT},
        {400, "InvalidArgumentException", "why", RETRY_REJECT},
        {400, "SignatureDoesNotMatch", "correct secret_key", RETRY_REJECT},
        {400, "InvalidSignatureException", "correct secret_key", RETRY_REJECT},
        {400, "UnrecognizedClientException", "correct access_key", RETRY_REJECT},
        {400, "ExpiredTokenException", "why", RETRY_CREDENTIALS},
        {400, "LimitExceededException", "why", RETRY_THROTTLED},
        {400, "ThrottlingException", "why", RETRY_THROTTLED},
        {503, "ServiceUnavailableException", "why", RETRY_THROTTLED},
        {503, "", "503", RETRY_THROTTLED},
        {500, "InternalFailure", "why", RETRY_AGAIN},
        {502, "", "502", RETRY_AGAIN},
        {429, "", "429", RETRY_THROTTLED},
        {301, "", "301", RETRY_REJECT},
        {404, "", "404", RETRY_REJECT},
    };

    (void)state;
    opened(1);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char body[200];

        send_count();
        snprintf(body, sizeof(body), "{\"__type\":\"%s\",\"%s\":\"why\"}", cases[i].type,
                 i % 2 ? "message" : "Message");
        assert_int_equal(driven_answer(&d, cases[i].status, cases[i].type[0] ? body : "<p>proxy",
                                       (const char *const[]){"Retry-After", "7", NULL}),
                         cases[i].class);
        if (!strstr(d.outcome.text.text, cases[i].text))
            fail_msg("%s: %s", cases[i].type, d.outcome.text.text);
        assert_true(d.outcome.after_ns == 7 * RETRY_SECOND_NS);
    }
    closed();
}

/* A signature that is not believed because of the clock is made by the service's. */
static void a_wrong_clock_is_put_right(void **state)
{
    static const char *const date[] = {"Date", "Tue, 03 Feb 2026 05:05:06 GMT", NULL};
    static const char skewed[] = "{\"__type\":\"InvalidSignatureException\","
                                 "\"message\":\"Signature expired\"}";

    (void)state;
    opened(1);
    send_count();
    assert_int_equal(driven_answer(&d, 400, skewed, date), RETRY_CLOCK);
    assert_int_equal(d.sink.clock_offset_s, 3600);
    send_count();
    assert_string_equal(driven_header(&d, "x-amz-date"), "20260203T050506Z");
    /* It is not the clock. */
    assert_int_equal(driven_answer(&d, 400, skewed, date), RETRY_REJECT);
    closed();
}

static void events_are_packed_if_that_is_wanted(void **state)
{
    struct bytes file = BYTES_INIT;
    static char line[30001];

    (void)state;
    memset(line, 'x', 30000);
    line[29999] = '\n';
    for (int i = 0; i < 5; i++)
        driven_record(&file, line, 30000);
    d.sink.set.firehose.pack = true;
    d.sink.set.firehose.endpoint = "http://h";
    driven_open(&d, &firehose_kind, &file, "b.records", 5);
    assert_int_equal(send_count(), 3);
    for (size_t i = 0; i < 3; i++) {
        const json_t *record = json_array_get(json_object_get(sent, "Records"), i);

        assert_int_equal(json_string_length(json_object_get(record, "Data")),
                         i < 2 ? 80000 : 40000);
    }
    firehose_kind.lost(&d.job, &d.lane, d.lane.body.len);
    send_count();
    assert_int_equal(answer(3, 2, "InternalFailure"), RETRY_OK);
    assert_int_equal(d.job.duplicates, 3);
    assert_int_equal(send_count(), 1);
    assert_int_equal(answer(1, 0, ""), RETRY_OK);
    assert_int_equal(d.job.duplicates, 5);
    driven_expect_over(&d, SINK_DONE);
    closed();
}

static void files_of_other_kinds_go_as_what_they_are_or_wait(void **state)
{
    struct bytes file = BYTES_INIT;

    (void)state;
    d.sink.set.firehose.endpoint = "http://h";
    assert_int_equal(bytes_append_str(&file, "{\"a\":1}\n{}\n"), 0);
    driven_open(&d, &firehose_kind, &file, "b.json", 2);
    assert_int_equal(send_count(), 2);
    expect_data(0, "{\"a\":1}\n");
    expect_data(1, "{}\n");
    closed();
    d.sink.set.firehose.endpoint = "http://h";
    assert_int_equal(bytes_append_str(&file, "a\n1\n"), 0);
    driven_open(&d, &firehose_kind, &file, "b.csv", 1);
    assert_int_equal(driven_make(&d), -EOPNOTSUPP);
    assert_non_null(strstr(d.err.text, "cannot be sent as records"));
    closed();
}

static void a_damaged_file_is_not_sent(void **state)
{
    struct bytes file = BYTES_INIT;

    (void)state;
    opened(1);
    d.job.damaged = true;
    driven_expect_over(&d, SINK_DAMAGED);
    closed();
    d.sink.set.firehose.endpoint = "http://h";
    driven_record(&file, "abc", 3);
    file.len--;
    driven_open(&d, &firehose_kind, &file, "b.records", 1);
    assert_int_equal(driven_make(&d), -EBADMSG);
    assert_true(d.job.doubted);         /* it is read once more, and compared */
    closed();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_is_signed_and_complete),
        cmocka_unit_test(the_service_is_found_by_region),
        cmocka_unit_test(requests_keep_the_limits),
        cmocka_unit_test(what_is_given_back_goes_first_and_alone_again),
        cmocka_unit_test(a_record_that_may_be_there_twice_is_counted),
        cmocka_unit_test(an_answer_that_does_not_fit_is_none),
        cmocka_unit_test(each_error_has_its_class_and_says_what_to_do),
        cmocka_unit_test(a_wrong_clock_is_put_right),
        cmocka_unit_test(events_are_packed_if_that_is_wanted),
        cmocka_unit_test(files_of_other_kinds_go_as_what_they_are_or_wait),
        cmocka_unit_test(a_damaged_file_is_not_sent),
    };

    return cmocka_run_group_tests_name("firehose", tests, NULL, NULL);
}
