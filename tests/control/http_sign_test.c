/*
 * http_sign: what our own signer signs is good, and whatever is changed afterwards is not.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "control/http_sign.h"
#include "sink/sigv4.h"

#define BODY  "{\"DeliveryStreamName\":\"s\"}"
#define NOW_S 1764000000ULL

static struct request r;
static struct errmsg err;

/* Signs a request with the headers that are needed, but for `without`. */
static struct http_signed signed_request(const char *service, const char *secret,
                                         const char *without)
{
    static const char *const headers[][2] = {
        {"Host", "127.0.0.1:8000"}, {"X-Amz-Target", "Firehose_20150804.PutRecord"},
        {"Content-Type", "application/x-amz-json-1.1"}};
    struct sigv4_credentials keys = {.access_key = "AKID", .secret_key = secret};
    char payload[SIGV4_HEX_BYTES];
    struct sigv4 s;

    assert_int_equal(sigv4_init(&s, "eu-west-3", service, &err), 0);
    request_start(&r, "POST");
    request_url(&r, "http://x/");
    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++)
        if (strcmp(headers[i][0], without) != 0)
            request_header(&r, headers[i][0], "%s", headers[i][1]);
    assert_int_equal(sigv4_hash(BODY, strlen(BODY), payload), 0);
    assert_int_equal(sigv4_sign(&s, &keys, NOW_S, payload, &r, &err), 0);
    sigv4_fini(&s);
    return (struct http_signed){.method = "POST", .path = "/", .headers = r.headers,
                                .headers_count = r.headers_count, .body = BODY,
                                .body_len = strlen(BODY)};
}

static void check_at(const struct http_signed *request, uint64_t utc_s,
                     enum http_sign_result wanted, const char *why)
{
    err.text[0] = '\0';
    assert_int_equal(http_sign_check(request, "AKID", "secret", utc_s, &err), wanted);
    if (strstr(err.text, why) == NULL)
        fail_msg("no \"%s\" in: %s", why, err.text);
    assert_null(strstr(err.text, "secret"));
}

static void check(const struct http_signed *request, enum http_sign_result wanted, const char *why)
{
    check_at(request, NOW_S, wanted, why);
}

static void what_is_signed_is_good_for_a_quarter_of_an_hour(void **state)
{
    struct http_signed request = signed_request("firehose", "secret", "");

    (void)state;
    check(&request, HTTP_SIGN_GOOD, "");
    check_at(&request, NOW_S + 900, HTTP_SIGN_GOOD, "");
    check_at(&request, NOW_S - 900, HTTP_SIGN_GOOD, "");
    check_at(&request, NOW_S + 901, HTTP_SIGN_WRONG, "within 15 minutes");
    check_at(&request, NOW_S - 901, HTTP_SIGN_WRONG, "within 15 minutes");
}

static void other_keys_and_services_are_not(void **state)
{
    struct http_signed request = signed_request("firehose", "another", "");

    (void)state;
    check(&request, HTTP_SIGN_WRONG, "the signature does not match");
    request = signed_request("kinesis", "secret", "");
    check(&request, HTTP_SIGN_WRONG, "service firehose");
    request = signed_request("firehose", "secret", "");
    assert_int_equal(http_sign_check(&request, "AKIE", "secret", NOW_S, &err), HTTP_SIGN_KEY);
    request = signed_request("firehose", "secret", "X-Amz-Target");
    check(&request, HTTP_SIGN_WRONG, "x-amz-target is not signed");
}

static void any_change_is_seen(void **state)
{
    struct http_signed request = signed_request("firehose", "secret", "");

    (void)state;
    request.body = "{\"DeliveryStreamName\":\"t\"}";
    check(&request, HTTP_SIGN_WRONG, "does not match");
    request.body = BODY;
    request.method = "PUT";
    check(&request, HTTP_SIGN_WRONG, "does not match");
    request.method = "POST";
    for (uint32_t i = 0; i < r.headers_count; i++) {
        const char *kept = r.headers[i].value;

        r.headers[i].value = strcmp(r.headers[i].name, "x-amz-date") == 0 ? "20251124T160001Z"
                                                                         : "changed";
        assert_int_not_equal(http_sign_check(&request, "AKID", "secret", NOW_S, &err),
                             HTTP_SIGN_GOOD);
        r.headers[i].value = kept;
    }
    check(&request, HTTP_SIGN_GOOD, "");
    request.headers_count--;        /* the signature itself */
    check(&request, HTTP_SIGN_MISSING, "Authorization");
}

static void a_given_hash_must_be_the_bodys(void **state)
{
    struct http_signed request = signed_request("firehose", "secret", "");
    char hash[SIGV4_HEX_BYTES];

    (void)state;
    assert_int_equal(sigv4_hash(BODY, strlen(BODY), hash), 0);
    request_header(&r, "x-amz-content-sha256", "%s", hash);
    request.headers_count = r.headers_count;
    check(&request, HTTP_SIGN_GOOD, "");
    r.headers[r.headers_count - 1].value = SIGV4_EMPTY_SHA256;
    check(&request, HTTP_SIGN_WRONG, "not the body's hash");
    r.headers[r.headers_count - 1].value = SIGV4_UNSIGNED_PAYLOAD;
    check(&request, HTTP_SIGN_WRONG, "not the body's hash");
    r.headers[r.headers_count - 1].value = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";
    check(&request, HTTP_SIGN_WRONG, "aws-chunked");
}

static void malformed_authorizations_are_refused(void **state)
{
    static const char *const bad[] = {
        "", "Bearer x", "AWS4-HMAC-SHA256", "AWS4-HMAC-SHA256 ", "AWS4-HMAC-SHA256 Credential=AKID",
        "AWS4-HMAC-SHA256 Credential=, SignedHeaders=host, Signature=0",
        "AWS4-HMAC-SHA256 Credential=AKID/20251124/r/firehose, SignedHeaders=host, Signature=0",
        "AWS4-HMAC-SHA256 Credential=AKID/20251124/r/firehose/aws4_request/x, SignedHeaders=host, "
        "Signature=0",
        "AWS4-HMAC-SHA256 Credential=AKID/20251124/r/firehose/aws4_request, SignedHeaders=, "
        "Signature=0",
    };
    static const char *const wrong[] = {
        "AWS4-HMAC-SHA256 Credential=AKID/20251124/r/firehose/aws4_request, "
        "SignedHeaders=host;;x-amz-date;x-amz-target, Signature=0",
        "AWS4-HMAC-SHA256 Credential=AKID/20251124/r/firehose/aws4_request, "
        "SignedHeaders=host;host;x-amz-date;x-amz-target, Signature=0",
        "AWS4-HMAC-SHA256 Credential=AKID/20251124/r/firehose/aws4_request, "
        "SignedHeaders=host;x-amz-date;x-amz-target, Signature=0",
        "AWS4-HMAC-SHA256 Credential=AKID/20251124//firehose/aws4_request, "
        "SignedHeaders=host;x-amz-date;x-amz-target, Signature=0",
    };
    struct http_signed request = signed_request("firehose", "secret", "");

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        r.headers[r.headers_count - 1].value = bad[i];
        check(&request, HTTP_SIGN_MISSING, "");
    }
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        r.headers[r.headers_count - 1].value = wrong[i];
        check(&request, HTTP_SIGN_WRONG, "");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_signed_is_good_for_a_quarter_of_an_hour),
        cmocka_unit_test(other_keys_and_services_are_not),
        cmocka_unit_test(any_change_is_seen),
        cmocka_unit_test(a_given_hash_must_be_the_bodys),
        cmocka_unit_test(malformed_authorizations_are_refused),
    };

    return cmocka_run_group_tests_name("http_sign", tests, NULL, NULL);
}
