/*
 * serial: what comes is counted once and in order; gaps are counted as lost; what is doubled, out
 * of order, cut, or of nobody is refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "benchmarks/transports/serial.h"

static void event_copy(struct serials *s, uint8_t *ret_event)
{
    memcpy(ret_event, serials_next(s), s->bytes);
}

static void takes_the_events_of_many_producers_in_any_mixture(void **state)
{
    static const uint32_t sizes[] = {SERIAL_BYTES_MIN, 64, 256, SERIAL_BYTES_MAX};
    static struct serials serials[SERIAL_PRODUCERS_MAX];
    struct tally tally;

    (void)state;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        tally_init(&tally, sizes[i], SERIAL_PRODUCERS_MAX);
        for (unsigned int p = 0; p < SERIAL_PRODUCERS_MAX; p++)
            serials_init(&serials[p], sizes[i], p);
        for (unsigned int n = 0; n < 1000; n++) {
            unsigned int p = n * 37 % SERIAL_PRODUCERS_MAX;

            assert_int_equal(tally_add(&tally, serials_next(&serials[p])), 0);
        }
        assert_int_equal(tally.received, 1000);
        assert_int_equal(tally.lost, 0);
        assert_int_equal(serials_count(&serials[0]), 1000 / SERIAL_PRODUCERS_MAX + 1);
    }
}

static void keeps_an_event_as_it_is_while_the_next_ones_are_prepared(void **state)
{
    struct serials serials;
    const uint8_t *event;
    uint8_t copy[64];

    (void)state;
    serials_init(&serials, sizeof(copy), 3);
    for (unsigned int n = 0; n < 5 * SERIAL_SLOTS; n++) {
        event = serials_next(&serials);
        memcpy(copy, event, sizeof(copy));
        for (unsigned int i = 0; i < SERIAL_SLOTS - SERIAL_AHEAD - 1; i++)
            (void)serials_next(&serials);
        assert_memory_equal(copy, event, sizeof(copy));
    }
}

static void counts_what_was_passed_over_as_lost(void **state)
{
    struct serials serials;
    struct tally tally;

    (void)state;
    serials_init(&serials, 64, 1);
    tally_init(&tally, 64, 2);
    for (unsigned int n = 0; n < 100; n++) {
        const uint8_t *event = serials_next(&serials);

        if (n % 10 != 4)
            assert_int_equal(tally_add(&tally, event), 0);
    }
    assert_int_equal(tally.received, 90);
    assert_int_equal(tally.lost, 10);
}

static void refuses_what_came_before(void **state)
{
    uint8_t first[64], second[64];
    struct serials serials;
    struct tally tally;

    (void)state;
    serials_init(&serials, 64, 0);
    tally_init(&tally, 64, 1);
    event_copy(&serials, first);
    event_copy(&serials, second);
    assert_int_equal(tally_add(&tally, first), 0);
    assert_int_equal(tally_add(&tally, first), -EBADMSG);
    assert_int_equal(tally_add(&tally, second), 0);
    assert_int_equal(tally_add(&tally, first), -EBADMSG);
    assert_int_equal(tally.received, 2);
}

static void refuses_what_is_not_whole_or_of_nobody(void **state)
{
    uint8_t event[64], bad[64];
    struct serials serials;
    struct tally tally;

    (void)state;
    serials_init(&serials, 64, 1);
    tally_init(&tally, 64, 1);
    event_copy(&serials, event);
    assert_int_equal(tally_add(&tally, event), -EBADMSG); /* there is no producer 1 */
    tally_init(&tally, 64, 2);
    for (size_t at = 0; at < sizeof(event); at++) {
        memcpy(bad, event, sizeof(bad));
        bad[at] ^= 1;
        if (at < 8 || at >= sizeof(event) - 8)
            assert_int_equal(tally_add(&tally, bad), -EBADMSG);
    }
    memset(bad, 0, sizeof(bad));
    assert_int_equal(tally_add(&tally, bad), -EBADMSG);
    assert_int_equal(tally.received, 0);
    assert_int_equal(tally_add(&tally, event), 0);
}

static void a_stamp_goes_with_the_event_that_comes_next(void **state)
{
    struct serials serials;
    struct tally tally;

    (void)state;
    serials_init(&serials, SERIAL_BYTES_MIN, 0);
    tally_init(&tally, SERIAL_BYTES_MIN, 1);
    for (uint64_t n = 1; n < 100; n++) {
        serials_stamp(&serials, n * 1000);
        assert_int_equal(tally_add(&tally, serials_next(&serials)), 0);
        assert_int_equal(tally.stamp, n * 1000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_the_events_of_many_producers_in_any_mixture),
        cmocka_unit_test(keeps_an_event_as_it_is_while_the_next_ones_are_prepared),
        cmocka_unit_test(counts_what_was_passed_over_as_lost),
        cmocka_unit_test(refuses_what_came_before),
        cmocka_unit_test(refuses_what_is_not_whole_or_of_nobody),
        cmocka_unit_test(a_stamp_goes_with_the_event_that_comes_next),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
