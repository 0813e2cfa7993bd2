/*
 * batch: what is counted, and at which event count and size make a batch full.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "flow/batch.h"

static void counting_moves_the_end_and_the_sums(void **state)
{
    struct batch b = { .first_lsn = 100, .last_lsn = 100 };

    (void)state;
    batch_count(&b, 100, 7);
    batch_count(&b, 140, 0);
    batch_count(&b, 164, 0xffffffffU);
    assert_true(b.first_lsn == 100);
    assert_true(b.last_lsn == 164);
    assert_true(b.events == 3);
    assert_true(b.payload_bytes == 0x100000006ULL);
}

static void a_count_of_n_holds_n_events(void **state)
{
    const struct output_settings set = { .buffer_count = 3, .buffer_bytes = -1 };
    struct batch b = { 0 };

    (void)state;
    for (uint64_t i = 1; i < 3; i++) {
        batch_count(&b, i, 1000);
        assert_false(batch_full(&b, &set));
    }
    batch_count(&b, 3, 1000);
    assert_true(batch_full(&b, &set));
}

static void a_size_is_reached_by_payload_alone(void **state)
{
    const struct output_settings set = { .buffer_count = -1, .buffer_bytes = 100 };
    struct batch b = { 0 };

    (void)state;
    batch_count(&b, 1, 99);
    assert_false(batch_full(&b, &set));
    batch_count(&b, 2, 0);
    assert_false(batch_full(&b, &set));
    batch_count(&b, 3, 1);
    assert_true(batch_full(&b, &set));
}

static void one_event_over_the_size_is_a_batch(void **state)
{
    const struct output_settings set = { .buffer_count = 10, .buffer_bytes = 100 };
    struct batch b = { 0 };

    (void)state;
    batch_count(&b, 1, 5000);
    assert_true(batch_full(&b, &set));
}

static void triggers_that_are_off_never_fill_it(void **state)
{
    const struct output_settings set = { .buffer_count = -1, .buffer_bytes = -1 };
    struct batch b = { .events = UINT64_MAX - 1, .payload_bytes = UINT64_MAX - 1 };

    (void)state;
    assert_false(batch_full(&b, &set));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counting_moves_the_end_and_the_sums),
        cmocka_unit_test(a_count_of_n_holds_n_events),
        cmocka_unit_test(a_size_is_reached_by_payload_alone),
        cmocka_unit_test(one_event_over_the_size_is_a_batch),
        cmocka_unit_test(triggers_that_are_off_never_fill_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
