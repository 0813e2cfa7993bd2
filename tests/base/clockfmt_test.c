/*
 * clockfmt: points in time as text.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clockfmt.h"

static void times_are_utc_with_milliseconds(void **state)
{
    char text[CLOCKFMT_ISO_BYTES];

    (void)state;
    assert_string_equal(clockfmt_iso(0, text), "1970-01-01T00:00:00.000Z");
    assert_string_equal(clockfmt_iso(1700000000999999999U, text), "2023-11-14T22:13:20.999Z");
    assert_string_equal(clockfmt_iso(1709210096007000000U, text), "2024-02-29T12:34:56.007Z");
}

static void the_last_nanosecond_fits(void **state)
{
    char text[CLOCKFMT_ISO_BYTES];

    (void)state;
    assert_string_equal(clockfmt_iso(UINT64_MAX, text), "2554-07-21T23:34:33.709Z");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_are_utc_with_milliseconds),
        cmocka_unit_test(the_last_nanosecond_fits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
