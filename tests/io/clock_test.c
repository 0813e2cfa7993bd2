/* clock: what the kernel says, in nanoseconds, between two looks at it by another way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <time.h>

#include "io/clock.h"

static uint64_t kernel_ns(clockid_t id)
{
    struct timespec ts;

    assert_int_equal(clock_gettime(id, &ts), 0);
    return (uint64_t)ts.tv_sec * 1000000000ULL + (uint64_t)ts.tv_nsec;
}

static void the_boot_clock_counts_nanoseconds_and_never_goes_back(void **state)
{
    uint64_t last = kernel_ns(CLOCK_BOOTTIME);

    (void)state;
    for (int i = 0; i < 10000; i++) {
        uint64_t now = clock_boot_ns();

        assert_true(now >= last);
        last = now;
    }
    assert_true(kernel_ns(CLOCK_BOOTTIME) >= last);
}

static void utc_counts_nanoseconds_since_1970(void **state)
{
    enum { TRIES = 100 };
    int within = 0;

    (void)state;
    for (int i = 0; i < TRIES; i++) {
        uint64_t before = kernel_ns(CLOCK_REALTIME), now = clock_utc_ns();

        within += now >= before && now <= kernel_ns(CLOCK_REALTIME);
    }
    assert_true(within > TRIES / 2);    /* somebody may set the clock meanwhile */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_boot_clock_counts_nanoseconds_and_never_goes_back),
        cmocka_unit_test(utc_counts_nanoseconds_since_1970),
    };

    return cmocka_run_group_tests_name("clock", tests, NULL, NULL);
}
