/*
 * Claims about requests as text: what is put in comes out, and what does not fit is an error that
 * stays, never a cut or an overrun.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sink/request.h"

static struct request r;
static struct errmsg err;

static void url_and_headers_come_out_as_put_in(void **state)
{
    (void)state;
    request_start(&r, "PUT");
    request_url(&r, "https://host/");
    request_url_encoded(&r, "a b/\xc3\xa4+~.-_%=&?#", "/");
    request_url(&r, "?x=");
    request_url_encoded(&r, "1/2", "");
    request_header(&r, "Host", "%s", "host");
    request_header(&r, "X-Number", "%d", 17);
    request_header(&r, "X-Empty", "%s", "");
    assert_int_equal(request_result(&r, NULL), 0);
    assert_string_equal(r.method, "PUT");
    assert_string_equal(r.url, "https://host/a%20b/%C3%A4%2B~.-_%25%3D%26%3F%23?x=1%2F2");
    assert_int_equal(r.headers_count, 3);
    assert_string_equal(r.headers[0].name, "host");
    assert_string_equal(request_header_find(&r, "x-number"), "17");
    assert_string_equal(request_header_find(&r, "x-empty"), "");
    assert_null(request_header_find(&r, "x-other"));
}

static void a_value_with_a_line_end_is_refused_and_not_shown(void **state)
{
    const char *bad[] = {"secret\r\nX-Evil: 1", "secret\n", "\rsecret"};

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        request_start(&r, "GET");
        request_url(&r, "http://host/");
        request_header(&r, "X-Token", "%s", bad[i]);
        request_header(&r, "X-Good", "1");
        assert_int_equal(request_result(&r, &err), -EINVAL);
        assert_null(strstr(err.text, "secret"));
        assert_null(request_header_find(&r, "x-token"));
    }
}

/* At every length about the limit: it is there whole, or it is an error. */
static void what_does_not_fit_is_an_error(void **state)
{
    char *value = calloc(1, REQUEST_TEXT_BYTES + 64);
    bool fits[2] = {false, false};

    (void)state;
    for (size_t len = REQUEST_TEXT_BYTES - 64; len < REQUEST_TEXT_BYTES + 32; len++) {
        int res;

        memset(value, 'v', len);
        value[len] = '\0';
        request_start(&r, "GET");
        request_url(&r, "http://h/");
        request_header(&r, "name", "%s", value);
        res = request_result(&r, NULL);
        fits[res == 0] = true;
        if (res == 0)
            assert_string_equal(request_header_find(&r, "name"), value);
        else
            assert_int_equal(res, -ENAMETOOLONG);
        assert_string_equal(r.url, "http://h/");

        request_start(&r, "GET");
        request_url_encoded(&r, value, "");
        res = request_result(&r, NULL);
        assert_int_equal(res, len < REQUEST_TEXT_BYTES ? 0 : -ENAMETOOLONG);
        if (res == 0)
            assert_string_equal(r.url, value);
    }
    assert_true(fits[0] && fits[1]);
    free(value);
}

static void headers_are_counted_and_their_names_bounded(void **state)
{
    char name[REQUEST_NAME_BYTES + 1];

    (void)state;
    request_start(&r, "GET");
    for (int i = 0; i < REQUEST_HEADERS_MAX; i++)
        request_header(&r, "n", "%d", i);
    assert_int_equal(request_result(&r, NULL), 0);
    request_header(&r, "one-more", "x");
    assert_int_equal(request_result(&r, &err), -ENAMETOOLONG);
    assert_int_equal(r.headers_count, REQUEST_HEADERS_MAX);

    memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    request_start(&r, "GET");
    request_header(&r, name + 1, "fits");
    assert_int_equal(request_result(&r, NULL), 0);
    request_header(&r, name, "does not");
    assert_int_equal(request_result(&r, NULL), -ENAMETOOLONG);
}

static void clearing_leaves_nothing_behind(void **state)
{
    char huge[REQUEST_TEXT_BYTES];

    (void)state;
    memset(huge, 's', sizeof(huge) - 1);
    huge[sizeof(huge) - 1] = '\0';
    request_start(&r, "GET");
    request_url(&r, "http://host/");
    request_header(&r, "fits", "secret");
    request_header(&r, "too-large", "%s", huge);
    request_clear(&r);
    for (size_t i = 0; i < sizeof(r.text); i++)
        assert_int_equal(r.text[i], 0);
    assert_int_equal(r.headers_count, 0);
    assert_int_equal(request_result(&r, NULL), 0);
}

static void headers_of_a_reply_are_found_in_any_case(void **state)
{
    const struct request_header headers[] = {{"ETag", "\"1\""}, {"etag", "\"2\""}, {"X-Y", "z"}};
    const struct reply reply = {.status = 200, .headers = headers, .headers_count = 3};

    (void)state;
    assert_string_equal(request_reply_header(&reply, "etag"), "\"1\"");
    assert_string_equal(request_reply_header(&reply, "x-y"), "z");
    assert_null(request_reply_header(&reply, "x"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(url_and_headers_come_out_as_put_in),
        cmocka_unit_test(a_value_with_a_line_end_is_refused_and_not_shown),
        cmocka_unit_test(what_does_not_fit_is_an_error),
        cmocka_unit_test(headers_are_counted_and_their_names_bounded),
        cmocka_unit_test(clearing_leaves_nothing_behind),
        cmocka_unit_test(headers_of_a_reply_are_found_in_any_case),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
