/*
 * s3_asked: what a request asks for, what is refused whatever it would do, and how answers look.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "sink/sigv4.h"
#include "support/s3_asked.h"

#define UTC_S 1700000000ULL             /* 2023-11-14T22:13:20Z */
#define DIGITS "123456789"              /* the body whose checksums everybody knows */
#define DIGITS_SHA256 "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225"
#define DIGITS_CRC32C "4waSgw=="

static struct request request;
static struct s3_model_answer answer;

static int teardown(void **state)
{
    (void)state;
    bytes_free(&answer.body);
    memset(&answer, 0, sizeof(answer));
    return 0;
}

static struct s3_asked asked(const char *method, const char *url)
{
    struct s3_asked q = {.r = &request, .utc_s = UTC_S, .a = &answer};

    request_start(&request, method);
    request_url(&request, url);
    s3_asked_read(&q);
    return q;
}

static void method_and_query_say_what_is_asked_for(void **state)
{
    static const struct {
        const char *method, *url;
        enum s3_model_op op;
        const char *key, *upload_id;
        uint32_t part;
    } cases[] = {
        {"PUT", "http://h/bucket/a/b%20c", S3_MODEL_PUT, "a/b c", "", 0},
        {"HEAD", "https://h:9000/bucket/k", S3_MODEL_HEAD, "k", "", 0},
        {"GET", "http://h/bucket?prefix=x%2Fy&uploads=", S3_MODEL_LIST, "x/y", "", 0},
        {"GET", "http://h/bucket/?uploads&prefix=p/", S3_MODEL_LIST, "p/", "", 0},
        {"POST", "http://h/bucket/k?uploads", S3_MODEL_CREATE, "k", "", 0},
        {"PUT", "http://h/bucket/k?partNumber=12&uploadId=i%3D1", S3_MODEL_PART, "k", "i=1", 12},
        {"POST", "http://h/bucket/uploads?uploadId=2", S3_MODEL_COMPLETE, "uploads", "2", 0},
        {"DELETE", "http://h/bucket/k?uploadId=3", S3_MODEL_ABORT, "k", "3", 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct s3_asked q = asked(cases[i].method, cases[i].url);

        assert_int_equal(q.op, cases[i].op);
        assert_string_equal(q.key, cases[i].key);
        assert_string_equal(q.upload_id, cases[i].upload_id);
        assert_int_equal(q.part, cases[i].part);
        assert_false(q.conditional);
    }
}

static void a_condition_is_seen(void **state)
{
    struct s3_asked q = asked("PUT", "http://h/bucket/k");

    (void)state;
    request_header(&request, "If-None-Match", "*");
    s3_asked_read(&q);
    assert_true(q.conditional);
}

/* `code` NULL: nothing is wrong with it. */
static void expect_refused(const char *date, const char *sha256, const char *crc32c,
                           unsigned status, const char *code)
{
    struct s3_asked q = asked("PUT", "http://h/bucket/k");
    char text[100];

    request_header(&request, "Host", "h");
    request_header(&request, "Authorization", "signed");
    request_header(&request, "x-amz-date", "%s", date);
    request_header(&request, "x-amz-content-sha256", "%s", sha256);
    if (crc32c)
        request_header(&request, "x-amz-checksum-crc32c", "%s", crc32c);
    q.body = (const uint8_t *)DIGITS;
    q.len = strlen(DIGITS);
    assert_int_equal(s3_asked_refused(&q), code != NULL);
    if (!code)
        return;
    assert_int_equal(answer.reply.status, status);
    assert_int_equal(bytes_append(&answer.body, "", 1), 0);
    snprintf(text, sizeof(text), "<Code>%s</Code>", code);
    assert_non_null(strstr((const char *)answer.body.data, text));
}

static void clocks_may_differ_by_a_quarter_of_an_hour(void **state)
{
    (void)state;
    expect_refused("20231114T221320Z", DIGITS_SHA256, NULL, 0, NULL);
    expect_refused("20231114T215820Z", DIGITS_SHA256, NULL, 0, NULL);
    expect_refused("20231114T222820Z", DIGITS_SHA256, NULL, 0, NULL);
    expect_refused("20231114T215819Z", DIGITS_SHA256, NULL, 403, "RequestTimeTooSkewed");
    expect_refused("20231114T222821Z", DIGITS_SHA256, NULL, 403, "RequestTimeTooSkewed");
}

static void what_is_said_of_a_body_has_to_be_true(void **state)
{
    static const char now[] = "20231114T221320Z";

    (void)state;
    expect_refused(now, SIGV4_UNSIGNED_PAYLOAD, NULL, 0, NULL);
    expect_refused(now, SIGV4_UNSIGNED_PAYLOAD, DIGITS_CRC32C, 0, NULL);
    expect_refused(now, DIGITS_SHA256, DIGITS_CRC32C, 0, NULL);
    expect_refused(now, DIGITS_SHA256, "4waSgg==", 400, "BadDigest");
    expect_refused(now, SIGV4_UNSIGNED_PAYLOAD, "4waSgg==", 400, "BadDigest");
    expect_refused(now, "0" DIGITS_SHA256, DIGITS_CRC32C, 400, "BadDigest");
}

static void an_answer_takes_the_place_of_the_one_before(void **state)
{
    struct s3_asked q = asked("GET", "http://h/bucket?uploads");

    (void)state;
    s3_asked_text(&q, 200, "one");
    s3_asked_header(&q, "ETag", "\"e\"");
    s3_asked_append(&q, " two", 4);
    assert_int_equal(answer.reply.status, 200);
    assert_int_equal(answer.body.len, 7);
    assert_memory_equal(answer.body.data, "one two", 7);
    assert_string_equal(request_reply_header(&answer.reply, "etag"), "\"e\"");
    assert_string_equal(request_reply_header(&answer.reply, "date"),
                        "Tue, 14 Nov 2023 22:13:20 GMT");
    s3_asked_status(&q, 204);
    assert_int_equal(answer.reply.status, 204);
    assert_int_equal(answer.body.len, 0);
    assert_null(request_reply_header(&answer.reply, "etag"));
}

static void an_answer_to_head_has_no_body(void **state)
{
    struct s3_asked q = asked("HEAD", "http://h/bucket/k");

    (void)state;
    s3_asked_error(&q, 500, "InternalError");
    assert_int_equal(answer.reply.status, 500);
    assert_int_equal(answer.body.len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(method_and_query_say_what_is_asked_for, teardown),
        cmocka_unit_test_teardown(a_condition_is_seen, teardown),
        cmocka_unit_test_teardown(clocks_may_differ_by_a_quarter_of_an_hour, teardown),
        cmocka_unit_test_teardown(what_is_said_of_a_body_has_to_be_true, teardown),
        cmocka_unit_test_teardown(an_answer_takes_the_place_of_the_one_before, teardown),
        cmocka_unit_test_teardown(an_answer_to_head_has_no_body, teardown),
    };

    return cmocka_run_group_tests_name("s3_asked", tests, NULL, NULL);
}
