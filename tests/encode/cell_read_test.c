/*
 * Times and base64 as JSON strings: what is taken, as what, and what is not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "encode/cell_read.h"

/* From an exact heap copy, so that ASan sees a read past the end. */
static bool read_time(const char *text, int64_t *ret_us)
{
    size_t len = strlen(text);
    uint8_t *copy = malloc(len > 0 ? len : 1);
    bool taken;

    assert_non_null(copy);
    memcpy(copy, text, len);
    taken = cell_read_timestamp(copy, len, ret_us);
    free(copy);
    return taken;
}

static void expect_time(const char *text, int64_t us)
{
    int64_t found;

    if (!read_time(text, &found))
        fail_msg("%s: refused", text);
    if (found != us)
        fail_msg("%s: %lld, expected %lld", text, (long long)found, (long long)us);
}

static void takes_rfc_3339(void **state)
{
    (void)state;
    expect_time("1970-01-01T00:00:00Z", 0);
    expect_time("1970-01-01t00:00:00z", 0);
    expect_time("1970-01-01 00:00:00-00:00", 0);
    expect_time("1969-12-31T23:59:59.999999Z", -1);
    expect_time("2026-11-21T10:11:12.345678Z", 1795255872345678);
    expect_time("2026-11-21T10:11:12.3Z", 1795255872300000);
    expect_time("2026-11-21T10:11:12.34567899999999999999999Z", 1795255872345678);
    expect_time("2026-11-21T12:11:12+02:00", 1795255872000000);
    expect_time("2026-11-20T23:41:12.5-10:30", 1795255872500000);
    expect_time("2024-02-29T00:00:00Z", 1709164800000000);
    expect_time("2000-02-29T00:00:00Z", 951782400000000);
    expect_time("0000-01-01T00:00:00Z", CELL_TIMESTAMP_MIN);
    expect_time("9999-12-31T23:59:59.999999Z", CELL_TIMESTAMP_MAX);
    expect_time("0000-02-29T00:00:00Z", CELL_TIMESTAMP_MIN + 59 * 86400000000LL);
}

static void takes_times_without_a_zone_as_utc(void **state)
{
    (void)state;
    expect_time("2026-11-21T10:11:12", 1795255872000000);
    expect_time("2026-11-21 10:11:12.345678", 1795255872345678);
}

static void refuses_what_is_no_time(void **state)
{
    static const char *const texts[] = {
        "", "2026", "2026-11-21", "2026-11-21T10:11", "2026-11-21T10:11:12 ",
        "2026-11-21T10:11:12.",
        "2026-11-21T10:11:12.Z", "2026-11-21T10:11:12,5Z", "2026-11-21T10:11:12Zx",
        "2026-11-21T10:11:12+2:00", "2026-11-21T10:11:12+0200", "2026-11-21T10:11:12+02",
        "2026-11-21T10:11:12+24:00", "2026-11-21T10:11:12+00:60", "2026-11-21T10:11:12*00:00",
        "2026-11-21T24:00:00Z", "2026-11-21T10:60:12Z", "2026-11-21T10:11:60Z",
        "2016-12-31T23:59:60Z", "2026-00-21T10:11:12Z", "2026-13-21T10:11:12Z",
        "2026-11-00T10:11:12Z", "2026-11-31T10:11:12Z", "2026-02-29T10:11:12Z",
        "1900-02-29T10:11:12Z", "2026/11/21T10:11:12Z", "2026-11-21_10:11:12Z",
        "2026-11-21T10.11.12Z", "+026-11-21T10:11:12Z", "2026- 1-21T10:11:12Z",
        "0000-01-01T00:00:00+00:01", "9999-12-31T23:59:59-00:01", "12026-11-21T10:11:12Z", NULL
    };
    int64_t us;

    (void)state;
    for (size_t i = 0; texts[i] != NULL; i++)
        if (read_time(texts[i], &us))
            fail_msg("%s: taken", texts[i]);
}

/* Against the C library, a day of each month over all years. */
static void counts_days_as_the_calendar_does(void **state)
{
    (void)state;
    for (int month = 0; month < 10000 * 12; month++) {
        struct tm tm = {.tm_year = month / 12 - 1900, .tm_mon = month % 12,
                        .tm_mday = 1 + month % 28, .tm_hour = 23, .tm_min = 58, .tm_sec = 57};
        char text[32];

        (void)snprintf(text, sizeof(text), "%04d-%02d-%02dT23:58:57Z", month / 12, month % 12 + 1,
                       1 + month % 28);
        expect_time(text, (int64_t)timegm(&tm) * 1000000);
    }
}

static void expect_bytes(const char *text, const char *bytes, size_t len)
{
    size_t text_len = strlen(text), found_len;
    uint8_t *copy = malloc(text_len + 1), *found = malloc(text_len + 1);

    assert_non_null(copy);
    assert_non_null(found);
    memcpy(copy, text, text_len);
    assert_true(cell_read_base64(copy, text_len, found, &found_len));
    assert_int_equal(found_len, len);
    assert_memory_equal(found, bytes, len);
    /* In place. */
    assert_true(cell_read_base64(copy, text_len, copy, &found_len));
    assert_int_equal(found_len, len);
    assert_memory_equal(copy, bytes, len);
    free(copy);
    free(found);
}

static void takes_base64(void **state)
{
    (void)state;
    expect_bytes("", "", 0);
    expect_bytes("Zg==", "f", 1);
    expect_bytes("Zm8=", "fo", 2);
    expect_bytes("Zm9v", "foo", 3);
    expect_bytes("Zm9vYg==", "foob", 4);
    expect_bytes("Zm9vYmFy", "foobar", 6);
    expect_bytes("AP/+++8=", "\0\xff\xfe\xfb\xef", 5);
}

static void refuses_what_is_no_base64(void **state)
{
    static const char *const texts[] = {
        "Z", "Zg", "Zg=", "Zg===", "Zh==", "Zm9=", "====", "Z===", "=g==", "Zg==Zg==", "Zm=v",
        "Zm9v\n", "Zm 9v===", "Zm9-", "Zm9_", "Zm9\xc3", NULL
    };
    uint8_t to[16];
    size_t len;

    (void)state;
    for (size_t i = 0; texts[i] != NULL; i++)
        if (cell_read_base64((const uint8_t *)texts[i], strlen(texts[i]), to, &len))
            fail_msg("%s: taken", texts[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_rfc_3339),
        cmocka_unit_test(takes_times_without_a_zone_as_utc),
        cmocka_unit_test(refuses_what_is_no_time),
        cmocka_unit_test(counts_days_as_the_calendar_does),
        cmocka_unit_test(takes_base64),
        cmocka_unit_test(refuses_what_is_no_base64),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
