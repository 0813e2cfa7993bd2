/*
 * Claims about signatures: they are those of the published suite and examples, the derived key is
 * never another day's or another secret's, and errors hold no secret.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "sink/sigv4.h"

enum { NORMALIZED, AS_IS, HASHED, S3 };

struct vector {
    const char *name;
    int how;
    const char *method, *url, *headers, *body, *session_token, *signature;
};

static const struct vector vectors[] = {
#define VECTOR(...) {__VA_ARGS__},
#include "sigv4_vectors.def"
};

static const struct sigv4_credentials suite = {
    .access_key = "AKIDEXAMPLE", .secret_key = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"};
static const struct sigv4_credentials s3 = {
    .access_key = "AKIAIOSFODNN7EXAMPLE", .secret_key = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"};
static const uint64_t suite_s = 1440938160, s3_s = 1369353600;

static struct request r;
static struct errmsg err;

static void headers_add(const char *at)
{
    for (; *at != '\0'; at += strcspn(at, "\n") + 1) {
        char name[REQUEST_NAME_BYTES];
        size_t len = strcspn(at, ":");

        (void)snprintf(name, sizeof(name), "%.*s", (int)len, at);
        request_header(&r, name, "%.*s", (int)strcspn(at + len + 1, "\n"), at + len + 1);
    }
}

static void request_make(const char *method, const char *url, const char *headers)
{
    request_start(&r, method);
    request_url(&r, url);
    headers_add(headers);
}

/* The last part of the Authorization header. */
static const char *signature_made(void)
{
    const char *authorization = request_header_find(&r, "authorization");

    assert_non_null(authorization);
    authorization = strstr(authorization, "Signature=");
    assert_non_null(authorization);
    return authorization + strlen("Signature=");
}

static void published_requests_get_their_published_signatures(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        const struct vector *v = &vectors[i];
        struct sigv4_credentials with = v->how == S3 ? s3 : suite;
        char payload[SIGV4_HEX_BYTES];
        struct sigv4 s;

        assert_int_equal(sigv4_init(&s, "us-east-1", v->how == S3 ? "s3" : "service", NULL), 0);
        if (v->how != S3) {
            s.path_as_it_is = v->how == AS_IS;
            s.content_sha256 = v->how == HASHED;
        }
        with.session_token = v->session_token;
        request_make(v->method, v->url, v->headers);
        assert_int_equal(sigv4_hash(v->body, strlen(v->body), payload), 0);
        assert_int_equal(sigv4_sign(&s, &with, v->how == S3 ? s3_s : suite_s, payload, &r, &err),
                         0);
        if (strcmp(signature_made(), v->signature) != 0)
            fail_msg("%s: %s", v->name, signature_made());
        sigv4_fini(&s);
    }
}

static void the_header_names_key_scope_and_what_is_signed(void **state)
{
    static const char begins[] =
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/eu-west-1/s3/aws4_request, "
        "SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-meta-a;x-amz-security-token, "
        "Signature=";
    struct sigv4_credentials with = s3;
    struct sigv4 s;

    (void)state;
    with.session_token = "token";
    assert_int_equal(sigv4_init(&s, "eu-west-1", "s3", NULL), 0);
    request_make("PUT", "https://b.s3.eu-west-1.amazonaws.com/k", "Host:b\nX-Amz-Meta-A:1\n");
    assert_int_equal(sigv4_sign(&s, &with, s3_s, SIGV4_UNSIGNED_PAYLOAD, &r, &err), 0);
    assert_string_equal(request_header_find(&r, "x-amz-date"), "20130524T000000Z");
    assert_string_equal(request_header_find(&r, "x-amz-content-sha256"), "UNSIGNED-PAYLOAD");
    assert_string_equal(request_header_find(&r, "x-amz-security-token"), "token");
    assert_int_equal(strncmp(request_header_find(&r, "authorization"), begins, strlen(begins)), 0);
    assert_int_equal(strlen(signature_made()), SIGV4_HEX_BYTES - 1);
    sigv4_fini(&s);
}

static void sign_into(struct sigv4 *s, const struct sigv4_credentials *with, uint64_t utc_s,
                      char ret_hex[SIGV4_HEX_BYTES])
{
    request_make("GET", "http://host/", "Host:host\n");
    assert_int_equal(sigv4_sign(s, with, utc_s, SIGV4_EMPTY_SHA256, &r, &err), 0);
    (void)snprintf(ret_hex, SIGV4_HEX_BYTES, "%s", signature_made());
}

/* A signer that has signed anything before signs like a new one. */
static void the_derived_key_follows_day_and_secret(void **state)
{
    const struct sigv4_credentials *with[] = {&suite, &s3};
    char used_hex[SIGV4_HEX_BYTES], fresh_hex[SIGV4_HEX_BYTES];
    struct sigv4 used, fresh;

    (void)state;
    assert_int_equal(sigv4_init(&used, "us-east-1", "s3", NULL), 0);
    for (unsigned i = 0; i < 64; i++) {
        uint64_t at = suite_s + (i >> 2 & 3) * 43200;

        sign_into(&used, with[i & 1], at, used_hex);
        assert_int_equal(sigv4_init(&fresh, "us-east-1", "s3", NULL), 0);
        sign_into(&fresh, with[i & 1], at, fresh_hex);
        assert_string_equal(used_hex, fresh_hex);
        sigv4_fini(&fresh);
    }
    sigv4_fini(&used);
}

static void whoever_verifies_comes_to_the_same_signature(void **state)
{
    char signed_hex[SIGV4_HEX_BYTES], hex[SIGV4_HEX_BYTES];
    struct sigv4 s;

    (void)state;
    assert_int_equal(sigv4_init(&s, "us-east-1", "firehose", NULL), 0);
    sign_into(&s, &suite, suite_s, signed_hex);
    request_make("GET", "http://host/", "X-Amz-Date: 20150830T123600Z\nhost:  host\n");
    assert_int_equal(sigv4_signature(&s, suite.secret_key, "20150830T123600Z", SIGV4_EMPTY_SHA256,
                                     &r, hex, &err), 0);
    assert_string_equal(hex, signed_hex);
    sigv4_fini(&s);
}

static void what_cannot_be_signed_is_an_error_without_the_secret(void **state)
{
    char long_secret[SIGV4_SECRET_MAX + 2], many[512] = "http://host/?";
    struct sigv4_credentials with = suite;
    struct sigv4 s;

    (void)state;
    assert_int_equal(sigv4_init(&s, "", "s3", &err), -EINVAL);
    assert_int_equal(sigv4_init(&s, "us-east-1", "firehose", &err), 0);
    request_make("GET", "http://host/", "X-A:1\n");
    assert_int_equal(sigv4_sign(&s, &suite, suite_s, SIGV4_EMPTY_SHA256, &r, &err), -EINVAL);
    assert_non_null(strstr(err.text, "Host"));
    request_make("GET", "host", "Host:host\n");
    assert_int_equal(sigv4_sign(&s, &suite, suite_s, SIGV4_EMPTY_SHA256, &r, &err), -EINVAL);

    with.session_token = "secret\r\ntoken";
    request_make("GET", "http://host/", "Host:host\n");
    assert_int_equal(sigv4_sign(&s, &with, suite_s, SIGV4_EMPTY_SHA256, &r, &err), -EINVAL);
    assert_null(strstr(err.text, "secret"));

    memset(long_secret, 's', sizeof(long_secret) - 1);
    long_secret[sizeof(long_secret) - 1] = '\0';
    with = (struct sigv4_credentials){.access_key = "a", .secret_key = long_secret};
    request_make("GET", "http://host/", "Host:host\n");
    assert_int_equal(sigv4_sign(&s, &with, suite_s, SIGV4_EMPTY_SHA256, &r, &err), -ENAMETOOLONG);
    assert_null(strstr(err.text, "ssss"));

    for (int i = 0; i <= SIGV4_PARAMETERS_MAX; i++)
        (void)snprintf(many + strlen(many), sizeof(many) - strlen(many), "&p%d", i);
    request_make("GET", many, "Host:host\n");
    assert_int_equal(sigv4_sign(&s, &suite, suite_s, SIGV4_EMPTY_SHA256, &r, &err), -E2BIG);
    sigv4_fini(&s);
}

static void nothing_of_a_secret_stays_in_a_signer(void **state)
{
    static const struct sigv4 zero;
    char hex[SIGV4_HEX_BYTES];
    struct sigv4 s;

    (void)state;
    assert_int_equal(sigv4_init(&s, "us-east-1", "s3", NULL), 0);
    sign_into(&s, &suite, suite_s, hex);
    sigv4_fini(&s);
    assert_memory_equal(&s, &zero, sizeof(s));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_requests_get_their_published_signatures),
        cmocka_unit_test(the_header_names_key_scope_and_what_is_signed),
        cmocka_unit_test(the_derived_key_follows_day_and_secret),
        cmocka_unit_test(whoever_verifies_comes_to_the_same_signature),
        cmocka_unit_test(what_cannot_be_signed_is_an_error_without_the_secret),
        cmocka_unit_test(nothing_of_a_secret_stays_in_a_signer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
