/* remote: dates, pauses and classes as servers say them, and what of an answer is fit for a log. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "sink/remote.h"

static void a_date_is_that_of_http(void **state)
{
    static const char *const none[] = {"", "Tue", "Tue, 03 Feb 2026 04:05:06", "2026-02-03",
                                       "Tue, 03 Feb 2026 04:05:06 GMT+1"};
    uint64_t at;

    (void)state;
    assert_true(remote_date("Tue, 03 Feb 2026 04:05:06 GMT", &at));
    assert_true(at == 1770091506);
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
        assert_false(remote_date(none[i], &at));
}

static void a_pause_is_seconds_or_a_date(void **state)
{
    static const struct {
        const char *text;
        uint64_t seconds;
    } cases[] = {
        {"0", 0}, {"120", 120}, {"99999999999999999999", 3600}, {"-1", 0}, {"1.5", 0}, {"", 0},
        {"Tue, 03 Feb 2026 04:05:16 GMT", 10}, {"Tue, 03 Feb 2026 04:05:00 GMT", 0},
        {"Tue, 03 Feb 2036 04:05:00 GMT", 3600},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct request_header header = {"Retry-After", cases[i].text};
        struct reply reply = {.status = 503, .headers = &header, .headers_count = 1};

        assert_true(remote_retry_after_ns(&reply, 1770091506)
                    == cases[i].seconds * RETRY_SECOND_NS);
        reply.headers_count = 0;
        assert_true(remote_retry_after_ns(&reply, 1770091506) == 0);
    }
}

static void every_status_has_a_class(void **state)
{
    (void)state;
    for (unsigned status = 100; status < 600; status++) {
        enum retry_class want = status == 429 || status == 503                     ? RETRY_THROTTLED
                                : status >= 500 || status == 408 || status == 425 ? RETRY_AGAIN
                                : status / 100 == 2                                ? RETRY_OK
                                                                                   : RETRY_REJECT;

        assert_int_equal(remote_class(status), want);
    }
}

static void an_excerpt_is_short_and_printable(void **state)
{
    char text[REMOTE_EXCERPT_BYTES], long_body[500];

    (void)state;
    remote_excerpt("\r\n <p>no\tway\x1b\xff \n ", 18, text);
    assert_string_equal(text, "<p>no way");
    memset(long_body, 'x', sizeof(long_body));
    remote_excerpt(long_body, sizeof(long_body), text);
    assert_int_equal(strlen(text), REMOTE_EXCERPT_BYTES - 1);
    remote_excerpt(NULL, 0, text);
    assert_string_equal(text, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_date_is_that_of_http),
        cmocka_unit_test(a_pause_is_seconds_or_a_date),
        cmocka_unit_test(every_status_has_a_class),
        cmocka_unit_test(an_excerpt_is_short_and_printable),
    };

    return cmocka_run_group_tests_name("remote", tests, NULL, NULL);
}
