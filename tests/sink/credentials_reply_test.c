/*
 * credentials_reply: keys, times and names in good replies and in hostile ones, and that no error
 * tells a secret.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sink/credentials_reply.h"

#define STS_BEGIN "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/" \
                  "2011-06-15/\"><AssumeRoleWithWebIdentityResult><Credentials>"
#define STS_END "</Credentials></AssumeRoleWithWebIdentityResult>" \
                "<ResponseMetadata><RequestId>1</RequestId></ResponseMetadata>" \
                "</AssumeRoleWithWebIdentityResponse>"

static struct credentials_set set;
static struct errmsg err;

static bool wiped(void)
{
    for (size_t i = 0; i < sizeof(set); i++)
        if (((const char *)&set)[i] != 0)
            return false;
    return true;
}

static void keys_are_checked_and_copied(void **state)
{
    char long_key[CREDENTIALS_TOKEN_BYTES + 1];

    (void)state;
    assert_int_equal(credentials_set_fill(&set, "user:name", "s3cret /+=\xc3\xa4", NULL, &err), 0);
    assert_string_equal(set.access_key, "user:name");
    assert_string_equal(set.secret_key, "s3cret /+=\xc3\xa4");
    assert_string_equal(set.session_token, "");
    assert_int_equal(set.expires_utc_ns, 0);
    assert_int_equal(credentials_set_fill(&set, "AKIA", "SECRET\n", "TOKEN", &err), -EINVAL);
    assert_string_equal(err.text, "character 7 of the secret key is a space, a line end or the "
                        "like");
    assert_true(wiped());
    assert_int_equal(credentials_set_fill(&set, "AK IA", "SECRET", "TOKEN", &err), -EINVAL);
    assert_int_equal(credentials_set_fill(&set, "AKIA", "SECRET", "TOK\r\nX: y", &err), -EINVAL);
    assert_null(strstr(err.text, "TOK"));
    assert_int_equal(credentials_set_fill(&set, "", "SECRET", NULL, &err), -EINVAL);
    assert_string_equal(err.text, "the access key is empty");
    assert_int_equal(credentials_set_fill(&set, "AKIA", "", NULL, &err), -EINVAL);
    assert_string_equal(err.text, "the secret key is empty");
    memset(long_key, 'a', sizeof(long_key));
    long_key[CREDENTIALS_TOKEN_BYTES] = '\0';
    assert_int_equal(credentials_set_fill(&set, "AKIA", "SECRET", long_key, &err), -EINVAL);
    long_key[CREDENTIALS_TOKEN_BYTES - 1] = '\0';
    assert_int_equal(credentials_set_fill(&set, "AKIA", "SECRET", long_key, &err), 0);
    assert_int_equal(credentials_set_fill(&set, long_key, "SECRET", NULL, &err), -EINVAL);
    assert_int_equal(credentials_set_fill(&set, "AKIA", long_key, NULL, &err), -EINVAL);
}

static void times_are_read_in_all_forms(void **state)
{
    static const struct {
        const char *text;
        uint64_t seconds;       /* 0: it is none */
    } rows[] = {
        { "2026-02-03T04:05:06Z", 1770091506 }, { "2026-02-03T04:05:06.789Z", 1770091506 },
        { "2026-02-03T04:05:06+00:00", 1770091506 }, { "2026-02-03T05:05:06+01:00", 1770091506 },
        { "2026-02-02T22:35:06.1-05:30", 1770091506 }, { "2024-02-29T00:00:00Z", 1709164800 },
        { "2026-02-29T00:00:00Z", 0 }, { "2026-13-01T00:00:00Z", 0 }, { "2026-00-01T00:00:00Z", 0 },
        { "2026-01-01T24:00:00Z", 0 }, { "2026-01-01T23:60:00Z", 0 }, { "2026-01-01 00:00:00Z", 0 },
        { "2026-01-01T00:00:00", 0 }, { "2026-01-01T00:00:00.Z", 0 },
        { "2026-01-01T00:00:00Zx", 0 },
        { "2026-01-01T00:00:00+1:00", 0 }, { "2026-01-01T00:00:00+24:00", 0 }, { "", 0 },
        { "26-01-01T00:00:00Z", 0 }, { "0000-01-01T00:00:00Z", 0 },
        { "9999-12-31T23:59:59Z", 16725225600 },
        { "1770091506", 0 }, { "20260203T040506Z", 0 }, { "-026-01-01T00:00:00Z", 0 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint64_t utc_ns = 0;
        int res = credentials_parse_time(rows[i].text, &utc_ns);

        if ((res == 0) != (rows[i].seconds != 0) || utc_ns != rows[i].seconds * 1000000000ULL)
            fail_msg("%s: %d, %llu", rows[i].text, res, (unsigned long long)utc_ns);
    }
}

static int json(const char *body)
{
    return credentials_parse_json(body, strlen(body), &set, &err);
}

static void json_replies_are_read(void **state)
{
    (void)state;
    assert_int_equal(json("{\"Code\": \"Success\", \"LastUpdated\": \"2026-02-03T03:00:00Z\","
                          "\"Type\": \"AWS-HMAC\", \"AccessKeyId\": \"ASIA\", \"SecretAccessKey\":"
                          "\"S/+\", \"Token\": \"T==\", \"Expiration\": \"2026-02-03T04:05:06Z\"}"),
                     0);
    assert_string_equal(set.access_key, "ASIA");
    assert_string_equal(set.secret_key, "S/+");
    assert_string_equal(set.session_token, "T==");
    assert_int_equal(set.expires_utc_ns, 1770091506000000000ULL);
    assert_int_equal(json("{\"AccessKeyId\": \"A\", \"SecretAccessKey\": \"S\"}"), 0);
    assert_int_equal(set.expires_utc_ns, 0);
    assert_string_equal(set.session_token, "");
}

static void hostile_json_is_an_error_without_secrets(void **state)
{
    static const char *const bad[] = {
        "", "null", "[]", "\"SECRET\"", "{", "{}", "{\"AccessKeyId\": \"A\"}",
        "{\"AccessKeyId\": 1, \"SecretAccessKey\": \"SECRET\"}",
        "{\"AccessKeyId\": \"A\", \"SecretAccessKey\": \"SECRET\", \"Expiration\": \"SECRET\"}",
        "{\"AccessKeyId\": \"A\", \"SecretAccessKey\": \"SECRET\", \"Token\": \"SECRET \"}",
        "{\"AccessKeyId\": \"A\", \"SecretAccessKey\": \"SECRET\\u0000\"}",
        "{\"AccessKeyId\": \"A\", \"AccessKeyId\": \"B\", \"SecretAccessKey\": \"SECRET\"}",
        "{\"Code\": \"SECRET of mine\", \"AccessKeyId\": \"A\", \"SecretAccessKey\": \"SECRET\"}",
        "{\"Code\": {}, \"AccessKeyId\": \"A\", \"SecretAccessKey\": \"SECRET\"}",
        "{\"AccessKeyId\": \"A\", \"SecretAccessKey\": \"SECRET\"} x",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        memset(&set, 1, sizeof(set));
        err.text[0] = '\0';
        assert_int_equal(json(bad[i]), -EBADMSG);
        assert_true(wiped());
        assert_true(err.text[0] != '\0' && strstr(err.text, "SECRET") == NULL);
    }
    assert_int_equal(json("{\"Code\": \"AssumeRoleUnauthorizedAccess\", \"Message\": \"x\"}"),
                     -EBADMSG);
    assert_string_equal(err.text, "the reply says AssumeRoleUnauthorizedAccess");
}

static int sts(const char *body)
{
    return credentials_parse_sts(body, strlen(body), &set, &err);
}

static void replies_of_sts_are_read(void **state)
{
    (void)state;
    assert_int_equal(sts(STS_BEGIN "<SessionToken>T==</SessionToken><SecretAccessKey>S/+"
                         "</SecretAccessKey><Expiration>2026-02-03T04:05:06Z</Expiration>"
                         "<AccessKeyId>ASIA</AccessKeyId>" STS_END), 0);
    assert_string_equal(set.access_key, "ASIA");
    assert_string_equal(set.secret_key, "S/+");
    assert_string_equal(set.session_token, "T==");
    assert_int_equal(set.expires_utc_ns, 1770091506000000000ULL);
}

static void hostile_replies_of_sts_are_errors_without_secrets(void **state)
{
    static const char *const bad[] = {
        "", "{}", STS_BEGIN STS_END, "<ErrorResponse/>",
        STS_BEGIN "<SessionToken>SECRET</SessionToken><SecretAccessKey>SECRET</SecretAccessKey>"
                  "<AccessKeyId>ASIA</AccessKeyId>" STS_END,
        STS_BEGIN "<SecretAccessKey>SECRET</SecretAccessKey><AccessKeyId>ASIA</AccessKeyId>"
                  "<Expiration>2026-02-03T04:05:06Z</Expiration>" STS_END,
        STS_BEGIN "<SessionToken>SEC RET</SessionToken><SecretAccessKey>SECRET</SecretAccessKey>"
                  "<Expiration>2026-02-03T04:05:06Z</Expiration><AccessKeyId>A</AccessKeyId>"
                  STS_END,
        STS_BEGIN "<SessionToken>SECRET</SessionToken><SecretAccessKey>SECRET</SecretAccessKey>"
                  "<Expiration>SECRET</Expiration><AccessKeyId>A</AccessKeyId>" STS_END,
        STS_BEGIN "<SessionToken>SECRET</SessionToken>",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        memset(&set, 1, sizeof(set));
        err.text[0] = '\0';
        assert_int_equal(sts(bad[i]), -EBADMSG);
        assert_true(wiped());
        assert_true(err.text[0] != '\0' && strstr(err.text, "SECRET") == NULL);
    }
}

static void codes_of_errors_are_codes_or_nothing(void **state)
{
    static const char *const rows[][2] = {
        { "<ErrorResponse><Error><Type>Sender</Type><Code>InvalidIdentityToken</Code>"
          "<Message>m</Message></Error></ErrorResponse>", "InvalidIdentityToken" },
        { "<ErrorResponse><Error><Code>two words</Code></Error></ErrorResponse>", "" },
        { "<ErrorResponse><Error><Code>half", "" }, { "", "" }, { "<html/>", "" },
    };
    char code[65];

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        credentials_parse_sts_code(rows[i][0], strlen(rows[i][0]), code);
        assert_string_equal(code, rows[i][1]);
    }
}

static void names_are_what_is_safe_where_they_go(void **state)
{
    static const char *const no_regions[] = {
        "", "\n", "us east", "evil.com/", "a.b", "x@y", "a\nb", "\xc3\xa4", "us-east-1\x01",
    };
    static const char *const no_roles[] = { "", "a/b", "../x", "a b", "a\nb", "?x", "<html>" };
    char name[CREDENTIALS_NAME_BYTES], longest[65];

    (void)state;
    assert_int_equal(credentials_parse_region("eu-central-1\r\n", 14, name), 0);
    assert_string_equal(name, "eu-central-1");
    for (size_t i = 0; i < sizeof(no_regions) / sizeof(no_regions[0]); i++)
        assert_int_equal(credentials_parse_region(no_regions[i], strlen(no_regions[i]), name),
                         -EBADMSG);
    assert_int_equal(credentials_parse_region("us\0east", 7, name), -EBADMSG);
    memset(longest, 'a', sizeof(longest));
    assert_int_equal(credentials_parse_region(longest, 63, name), 0);
    assert_int_equal(credentials_parse_region(longest, 64, name), -EBADMSG);
    assert_int_equal(credentials_parse_role("My+Role=1,2.3@x_y-z", 19, name), 0);
    for (size_t i = 0; i < sizeof(no_roles) / sizeof(no_roles[0]); i++)
        assert_int_equal(credentials_parse_role(no_roles[i], strlen(no_roles[i]), name), -EBADMSG);
    assert_int_equal(credentials_parse_token("AQAE==\n", 7, name, sizeof(name)), 0);
    assert_string_equal(name, "AQAE==");
    assert_int_equal(credentials_parse_token("a\r\nX: y", 7, name, sizeof(name)), -EBADMSG);
    assert_int_equal(credentials_parse_token("abcdefgh", 8, name, 8), -EBADMSG);
    assert_int_equal(credentials_parse_token(NULL, 0, name, 8), -EBADMSG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_checked_and_copied),
        cmocka_unit_test(times_are_read_in_all_forms),
        cmocka_unit_test(json_replies_are_read),
        cmocka_unit_test(hostile_json_is_an_error_without_secrets),
        cmocka_unit_test(replies_of_sts_are_read),
        cmocka_unit_test(hostile_replies_of_sts_are_errors_without_secrets),
        cmocka_unit_test(codes_of_errors_are_codes_or_nothing),
        cmocka_unit_test(names_are_what_is_safe_where_they_go),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
