/* Claims about answers of S3: which are tried again, which need somebody, and what he is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "sink/s3_outcome.h"

static const struct remote_job job = {.sink = "archive", .place = "events", .key = "k"};
static struct remote_outcome outcome;
static struct s3_error error;

static enum retry_class class_of(unsigned status, const char *code)
{
    struct reply reply = {.status = status};

    memset(&outcome, 0, sizeof(outcome));
    memset(&error, 0, sizeof(error));
    (void)snprintf(error.code, sizeof(error.code), "%s", code);
    s3_outcome(&job, &reply, &error, &outcome);
    assert_int_equal(outcome.class == RETRY_OK, outcome.text.text[0] == '\0');
    return outcome.class;
}

static void answers_have_a_class_by_code_and_status(void **state)
{
    static const struct {
        unsigned status;
        const char *code;
        enum retry_class class;
    } cases[] = {
        {200, "", RETRY_OK}, {204, "", RETRY_OK},
        {500, "", RETRY_AGAIN}, {502, "", RETRY_AGAIN}, {503, "", RETRY_AGAIN},
        {504, "", RETRY_AGAIN}, {408, "", RETRY_AGAIN}, {500, "InternalError", RETRY_AGAIN},
        {200, "InternalError", RETRY_AGAIN}, {200, "SomethingNew", RETRY_AGAIN},
        {400, "RequestTimeout", RETRY_AGAIN}, {409, "OperationAborted", RETRY_AGAIN},
        {409, "ConditionalRequestConflict", RETRY_AGAIN}, {409, "", RETRY_AGAIN},
        {400, "BadDigest", RETRY_AGAIN},
        {400, "XAmzContentSHA256Mismatch", RETRY_AGAIN},
        {503, "SlowDown", RETRY_THROTTLED}, {429, "", RETRY_THROTTLED},
        {400, "ThrottlingException", RETRY_THROTTLED}, {200, "SlowDown", RETRY_THROTTLED},
        {503, "SlowDownWrite", RETRY_THROTTLED},
        {400, "ExpiredToken", RETRY_CREDENTIALS}, {400, "InvalidToken", RETRY_CREDENTIALS},
        {400, "TokenRefreshRequired", RETRY_CREDENTIALS},
        {403, "RequestTimeTooSkewed", RETRY_CLOCK},
        {403, "AccessDenied", RETRY_REJECT}, {200, "AccessDenied", RETRY_REJECT},
        {404, "NoSuchBucket", RETRY_REJECT}, {400, "", RETRY_REJECT}, {301, "", RETRY_REJECT},
        {307, "TemporaryRedirect", RETRY_REJECT}, {501, "NotImplemented", RETRY_REJECT},
        {412, "PreconditionFailed", RETRY_REJECT}, {100, "", RETRY_REJECT},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        if (class_of(cases[i].status, cases[i].code) != cases[i].class)
            fail_msg("%u %s: %d", cases[i].status, cases[i].code, outcome.class);
}

static void who_is_to_help_is_told_how(void **state)
{
    static const struct {
        unsigned status;
        const char *code, *says;
    } cases[] = {
        {403, "SignatureDoesNotMatch", "check secret_key of [sink archive]"},
        {403, "InvalidAccessKeyId", "check access_key of [sink archive]"},
        {403, "AccessDenied", "allow s3:PutObject"},
        {404, "NoSuchBucket", "bucket 'events': 404 NoSuchBucket; create it"},
        {400, "EntityTooSmall", "check part_size of [sink archive]"},
        {301, "PermanentRedirect", "check region and endpoint of [sink archive]"},
        {418, "Teapot", "bucket 'events': 418 Teapot"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        (void)class_of(cases[i].status, cases[i].code);
        if (!strstr(outcome.text.text, cases[i].says))
            fail_msg("%s: %s", cases[i].code, outcome.text.text);
    }
    /* What may pass by itself needs nobody. */
    (void)class_of(500, "InternalError");
    assert_string_equal(outcome.text.text, "bucket 'events': 500 InternalError");
}

static void a_bucket_that_is_elsewhere_is_told_where(void **state)
{
    struct reply reply = {.status = 301};

    (void)state;
    memset(&error, 0, sizeof(error));
    (void)snprintf(error.endpoint, sizeof(error.endpoint), "b.s3.eu-west-3.amazonaws.com");
    s3_outcome(&job, &reply, &error, &outcome);
    assert_non_null(strstr(outcome.text.text, "set endpoint of [sink archive] to that of "
                           "'b.s3.eu-west-3.amazonaws.com'"));
    (void)snprintf(error.region, sizeof(error.region), "eu-west-3");
    s3_outcome(&job, &reply, &error, &outcome);
    assert_non_null(strstr(outcome.text.text, "set region of [sink archive] to 'eu-west-3'"));
    /* An answer to HEAD has no code. */
    reply.status = 400;
    s3_outcome(&job, &reply, &error, &outcome);
    assert_non_null(strstr(outcome.text.text, "'eu-west-3'"));
    reply.status = 403;
    s3_outcome(&job, &reply, &error, &outcome);
    assert_null(strstr(outcome.text.text, "eu-west-3"));
}

static void what_to_do_is_said_whatever_else_is(void **state)
{
    char bucket[S3_BUCKET_MAX + 1] = "";
    struct remote_job longest = job;
    struct reply reply = {.status = 403};

    (void)state;
    memset(bucket, 'b', S3_BUCKET_MAX);
    longest.place = bucket;
    memset(&error, 0, sizeof(error));
    (void)snprintf(error.code, sizeof(error.code), "SignatureDoesNotMatch");
    memset(error.message, 'm', sizeof(error.message) - 1);
    s3_outcome(&longest, &reply, &error, &outcome);
    assert_non_null(strstr(outcome.text.text, "; check secret_key of [sink archive]"));
}

static void a_body_that_was_bent_is_known_by_its_codes(void **state)
{
    static const char *const codes[] = {"BadDigest", "InvalidDigest", "XAmzContentSHA256Mismatch",
                                        "XAmzContentChecksumMismatch"};

    (void)state;
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        (void)class_of(400, codes[i]);
        assert_true(s3_outcome_doubts_body(&error));
    }
    (void)class_of(400, "InvalidPart");
    assert_false(s3_outcome_doubts_body(&error));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_have_a_class_by_code_and_status),
        cmocka_unit_test(who_is_to_help_is_told_how),
        cmocka_unit_test(a_bucket_that_is_elsewhere_is_told_where),
        cmocka_unit_test(what_to_do_is_said_whatever_else_is),
        cmocka_unit_test(a_body_that_was_bent_is_known_by_its_codes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
