/*
 * prefix_clock: what it remembers is what would be rendered, at any order of times.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "flow/prefix_clock.h"
#include "support/rng.h"

#define SECOND UINT64_C(1000000000)
#define HOUR   (3600 * SECOND)

/* 2026-02-03T04:05:06.007008009 */
#define START_NS UINT64_C(1770091506007008009)

static void expect_rendered(struct prefix_clock *c, const char *prefix, uint64_t time_ns)
{
    const struct expression_values values = { .time_ns = time_ns, .random_string = "" };
    char want[PREFIX_BYTES_MAX + 1];
    const char *got;
    uint32_t len;

    assert_int_equal(prefix_render(prefix, &values, want, sizeof(want)), 0);
    got = prefix_clock_render(c, time_ns, &len);
    assert_string_equal(got, want);
    assert_int_equal(len, strlen(want));
}

static void an_event_gets_the_prefix_of_its_own_time(void **state)
{
    static const char *const prefixes[] = {
        "", "plain/", "!{timestamp:yyyy}/", "!{timestamp:yyyy/MM/dd/HH}/", "!{timestamp:a-h}/",
        "!{timestamp:HH:mm}/", "x-!{timestamp:ss}-", "!{timestamp:SSS}/", "!{timestamp:n}/",
    };
    static const uint64_t steps[] = { 1, 999, 1000000, SECOND, 59 * SECOND, HOUR, 25 * HOUR };
    uint64_t random = 88172645463325252U;

    (void)state;
    for (size_t p = 0; p < sizeof(prefixes) / sizeof(prefixes[0]); p++) {
        struct prefix_clock c;
        uint64_t now = START_NS;

        prefix_clock_init(&c, prefixes[p]);
        for (int i = 0; i < 5000; i++) {
            (void)rng_next(&random);
            now += steps[random % (sizeof(steps) / sizeof(steps[0]))];
            /* Late ones, too. */
            expect_rendered(&c, prefixes[p], now - (random >> 8) % (3 * HOUR));
        }
    }
}

static void the_first_and_the_last_of_times_have_one(void **state)
{
    struct prefix_clock c;

    (void)state;
    prefix_clock_init(&c, "!{timestamp:yyyy-SSSSSSSSS}");
    expect_rendered(&c, "!{timestamp:yyyy-SSSSSSSSS}", UINT64_MAX - 1);
    expect_rendered(&c, "!{timestamp:yyyy-SSSSSSSSS}", 0);
    prefix_clock_init(&c, "!{timestamp:yyyy}");
    expect_rendered(&c, "!{timestamp:yyyy}", UINT64_MAX);
}

static void what_is_in_use_is_rendered_once(void **state)
{
    struct prefix_clock c;
    const char *kept[PREFIX_CLOCK_KEPT];
    uint32_t len;

    (void)state;
    prefix_clock_init(&c, "!{timestamp:yyyy/MM/dd/HH}/");
    for (unsigned i = 0; i < PREFIX_CLOCK_KEPT; i++) {
        kept[i] = prefix_clock_render(&c, START_NS + i * HOUR, &len);
        c.kept[(START_NS / HOUR + i) % PREFIX_CLOCK_KEPT].text[0] = '!';
    }
    for (unsigned i = 0; i < PREFIX_CLOCK_KEPT; i++) {
        assert_ptr_equal(prefix_clock_render(&c, START_NS + i * HOUR + 60 * SECOND, &len),
                         kept[i]);
        assert_int_equal(kept[i][0], '!');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_event_gets_the_prefix_of_its_own_time),
        cmocka_unit_test(the_first_and_the_last_of_times_have_one),
        cmocka_unit_test(what_is_in_use_is_rendered_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
