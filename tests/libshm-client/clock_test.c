/*
 * The cycle counter as a clock. Where the counter is not invariant there is none to be tested: the
 * first claim then says that it is refused.
 */
#include "libshm-client/scratch.h"

#include <time.h>

#include "handle.h"

#define MS   1000000LL
#define HOUR 3600000000000ULL

/* How far the counter's time is from the system's; the tightest of some looks. */
static int64_t error_ns(struct shmc_tsc *tsc)
{
    uint64_t width_min = UINT64_MAX;
    int64_t error = 0;

    for (int i = 0; i < 20; i++) {
        uint64_t before = shmc_clock_ns(CLOCK_REALTIME);
        uint64_t ours = shmc_tsc_ns(tsc);
        uint64_t width = shmc_clock_ns(CLOCK_REALTIME) - before;

        if (width < width_min) {
            width_min = width;
            error = (int64_t)(ours - before);
        }
    }
    return error;
}

static bool counter_open(struct shmc_tsc *tsc)
{
    int rc = shmc_tsc_open(tsc);

    assert_true(rc == 0 || rc == -EOPNOTSUPP);
    return rc == 0;
}

static void keeps_step_with_the_system_clock_between_anchors(void **state)
{
    uint64_t start_ns = shmc_clock_ns(CLOCK_MONOTONIC), took_ns, anchor_ticks;
    struct shmc_tsc tsc;

    (void)state;
    if (!counter_open(&tsc))
        return;
    anchor_ticks = tsc.anchor_ticks;
    do {
        assert_in_range(error_ns(&tsc) + MS, 0, 2 * MS);
        took_ns = shmc_clock_ns(CLOCK_MONOTONIC) - start_ns;
    } while (took_ns < 100 * MS);
    /* It may have stood still until the next one was due. */
    assert_true(tsc.anchor_ticks == anchor_ticks || took_ns >= 900 * MS);
}

static void follows_a_step_of_the_system_clock_within_a_second(void **state)
{
    struct shmc_tsc tsc;

    (void)state;
    if (!counter_open(&tsc))
        return;
    assert_in_range(((unsigned __int128)tsc.ticks_max * tsc.mult) >> 32, 990 * MS, 1000 * MS);
    tsc.anchor_ns += HOUR; /* as if the system's clock had gone back since */
    assert_in_range((uint64_t)error_ns(&tsc), HOUR - MS, HOUR + MS);
    tsc.anchor_ticks -= tsc.ticks_max;
    assert_in_range(error_ns(&tsc) + MS, 0, 2 * MS);
}

static void follows_a_counter_that_went_back(void **state)
{
    struct shmc_tsc tsc;

    (void)state;
    if (!counter_open(&tsc))
        return;
    tsc.anchor_ticks += tsc.ticks_max;
    assert_in_range(error_ns(&tsc) + MS, 0, 2 * MS);
}

static void measures_its_rate_anew_after_a_jump(void **state)
{
    struct shmc_tsc tsc;
    uint64_t mult;

    (void)state;
    if (!counter_open(&tsc))
        return;
    mult = tsc.mult;
    tsc.origin_ticks -= tsc.ticks_max * 10; /* as if it had run on while the machine slept */
    tsc.anchor_ticks -= tsc.ticks_max;
    (void)shmc_tsc_ns(&tsc);
    assert_true(tsc.mult == mult);
    assert_true(tsc.origin_ticks == tsc.anchor_ticks);
    assert_in_range(error_ns(&tsc) + MS, 0, 2 * MS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_step_with_the_system_clock_between_anchors),
        cmocka_unit_test(follows_a_step_of_the_system_clock_within_a_second),
        cmocka_unit_test(follows_a_counter_that_went_back),
        cmocka_unit_test(measures_its_rate_anew_after_a_jump),
    };

    return cmocka_run_group_tests_name("clock", tests, NULL, NULL);
}
