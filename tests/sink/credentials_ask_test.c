/*
 * credentials_ask: the requests, byte for byte, and where none goes.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "sink/credentials_ask.h"

static struct credentials_ask ask;
static struct errmsg err;

static struct credentials_role role_of(const char *region, const char *endpoint)
{
    return (struct credentials_role){
        .endpoint = endpoint, .region = region, .role_arn = "arn:aws:iam::123456789012:role/a b",
        .session_name = "hydrant-1", .token = "e30.e30.x_-+/=", .token_len = 14,
    };
}

static void a_role_is_asked_of_sts(void **state)
{
    static const char body[] =
        "Action=AssumeRoleWithWebIdentity&Version=2011-06-15"
        "&RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Fa%20b&RoleSessionName=hydrant-1"
        "&WebIdentityToken=e30.e30.x_-%2B%2F%3D";
    struct credentials_role role = role_of("eu-west-1", NULL);

    (void)state;
    assert_int_equal(credentials_ask_sts(&ask, &role, &err), 0);
    assert_string_equal(ask.request.method, "POST");
    assert_string_equal(ask.request.url, "https://sts.eu-west-1.amazonaws.com/");
    assert_string_equal(request_header_find(&ask.request, "content-type"),
                        "application/x-www-form-urlencoded; charset=utf-8");
    assert_null(request_header_find(&ask.request, "authorization"));
    assert_int_equal(ask.body_len, sizeof(body) - 1);
    assert_memory_equal(ask.body, body, sizeof(body) - 1);
    assert_false(ask.direct);
    assert_in_range(ask.timeout_ms, 1, 60000);
    credentials_ask_clear(&ask);
    for (size_t i = 0; i < sizeof(ask.body); i++)
        assert_int_equal(ask.body[i], 0);
}

static void sts_is_where_the_region_is(void **state)
{
    static const struct {
        const char *region, *endpoint, *url;
    } rows[] = {
        { NULL, NULL, "https://sts.amazonaws.com/" },
        { "", "", "https://sts.amazonaws.com/" },
        { "us-gov-west-1", NULL, "https://sts.us-gov-west-1.amazonaws.com/" },
        { "cn-north-1", NULL, "https://sts.cn-north-1.amazonaws.com.cn/" },
        { "us-iso-east-1", NULL, "https://sts.us-iso-east-1.c2s.ic.gov/" },
        { "us-isob-east-1", NULL, "https://sts.us-isob-east-1.sc2s.sgov.gov/" },
        { "x", "http://127.0.0.1:9000", "http://127.0.0.1:9000/" },
        { "x", "https://minio:9000/sts/", "https://minio:9000/sts/" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct credentials_role role = role_of(rows[i].region, rows[i].endpoint);

        assert_int_equal(credentials_ask_sts(&ask, &role, &err), 0);
        assert_string_equal(ask.request.url, rows[i].url);
    }
}

static void a_token_that_does_not_fit_is_refused(void **state)
{
    static char token[CREDENTIALS_BODY_BYTES / 3];
    struct credentials_role role = role_of("x", NULL);

    (void)state;
    memset(token, '+', sizeof(token));
    role.token = token;
    role.token_len = sizeof(token);
    assert_int_equal(credentials_ask_sts(&ask, &role, &err), -EINVAL);
    role.token_len = sizeof(token) - 200;
    assert_int_equal(credentials_ask_sts(&ask, &role, &err), 0);
    assert_in_range(ask.body_len, 3 * role.token_len, CREDENTIALS_BODY_BYTES);
}

static void secrets_go_without_encryption_to_near_hosts_alone(void **state)
{
    static const struct {
        const char *url;
        bool allowed;
    } rows[] = {
        { "http://169.254.170.2/v2/credentials/1", true },
        { "http://169.254.170.23/v1/credentials", true },
        { "http://[fd00:ec2::23]/v1/credentials", true },
        { "http://localhost:8080/", true }, { "http://LOCALHOST", true },
        { "http://127.0.0.1:80/x?y", true }, { "http://127.9.9.9/", true },
        { "http://[::1]:8080/x", true }, { "https://example.com/x", true },
        { "https://example.com:8443?x=y", true },
        { "http://169.254.169.254/x", false }, { "http://example.com/x", false },
        { "http://10.0.0.1/", false }, { "http://[::2]/", false },
        { "http://[fd00:ec2::24]/", false },
        { "http://[::ffff:10.0.0.1]/", false }, { "http://127.1/", false },
        { "http://0x7f.0.0.1/", false }, { "http://localhost.example.com/", false },
        { "http://127.0.0.1@example.com/", false }, { "http://localhost:80@example.com/", false },
        { "http://localhost\\@example.com/", false }, { "http://localhost#@example.com/", false },
        { "http://example.com#http://localhost", false }, { "http://[::1]example.com/", false },
        { "http://[::1", false }, { "http://:80/", false }, { "http:///x", false },
        { "http://localhost:80x/", false }, { "http://localhost x/", false },
        { "http://localhost/\r\nX: y", false }, { "http://localhost\t/", false },
        { "https://user:secret@example.com/", false }, { "https://", false },
        { "ftp://localhost/", false },
        { "file:///etc/passwd", false }, { "localhost", false }, { "//localhost/", false },
        { "http://\xc3\xa4/", false },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int res = credentials_ask_container(&ask, NULL, rows[i].url, "Basic SECRET", &err);

        if ((res == 0) != rows[i].allowed)
            fail_msg("%s: %d", rows[i].url, res);
        if (res == 0)
            assert_string_equal(ask.request.url, rows[i].url);
    }
}

static void a_container_is_asked(void **state)
{
    (void)state;
    assert_int_equal(credentials_ask_container(&ask, "/v2/credentials/1?x=y", "http://no/",
                                               "Bearer T", &err), 0);
    assert_string_equal(ask.request.method, "GET");
    assert_string_equal(ask.request.url, "http://169.254.170.2/v2/credentials/1?x=y");
    assert_string_equal(request_header_find(&ask.request, "authorization"), "Bearer T");
    assert_true(ask.direct);
    assert_int_equal(ask.body_len, 0);
    assert_int_equal(credentials_ask_container(&ask, "/x", NULL, NULL, &err), 0);
    assert_null(request_header_find(&ask.request, "authorization"));
    assert_int_equal(credentials_ask_container(&ask, ".example.com/x", NULL, NULL, &err), -EINVAL);
    assert_int_equal(credentials_ask_container(&ask, "@example.com/x", NULL, NULL, &err), -EINVAL);
    assert_int_equal(credentials_ask_container(&ask, "/x y", NULL, NULL, &err), -EINVAL);
    assert_int_equal(credentials_ask_container(&ask, "/x", NULL, "SECRET\r\nX: y", &err), -EINVAL);
    assert_null(strstr(err.text, "SECRET"));
}

static void the_instance_metadata_are_asked(void **state)
{
    (void)state;
    assert_int_equal(credentials_ask_metadata(&ask, CREDENTIALS_METADATA_IPV4, "/latest/api/token",
                                              "", NULL, &err), 0);
    assert_string_equal(ask.request.method, "PUT");
    assert_string_equal(ask.request.url, "http://169.254.169.254/latest/api/token");
    assert_string_equal(request_header_find(&ask.request, "x-aws-ec2-metadata-token-ttl-seconds"),
                        "21600");
    assert_int_equal(ask.body_len, 0);
    assert_true(ask.direct);
    assert_int_equal(credentials_ask_metadata(&ask, CREDENTIALS_METADATA_IPV6 "/", "/a/",
                                              "r+o=l,e@_", "TOKEN", &err), 0);
    assert_string_equal(ask.request.method, "GET");
    assert_string_equal(ask.request.url, "http://[fd00:ec2::254]/a/r+o=l,e@_");
    assert_string_equal(request_header_find(&ask.request, "x-aws-ec2-metadata-token"), "TOKEN");
    assert_null(request_header_find(&ask.request, "x-aws-ec2-metadata-token-ttl-seconds"));
    assert_int_equal(credentials_ask_metadata(&ask, "http://u:p@x", "/a", "", NULL, &err), -EINVAL);
    assert_int_equal(credentials_ask_metadata(&ask, "", "/a", "", NULL, &err), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_role_is_asked_of_sts),
        cmocka_unit_test(sts_is_where_the_region_is),
        cmocka_unit_test(a_token_that_does_not_fit_is_refused),
        cmocka_unit_test(secrets_go_without_encryption_to_near_hosts_alone),
        cmocka_unit_test(a_container_is_asked),
        cmocka_unit_test(the_instance_metadata_are_asked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
