/*
 * histogram: where values go.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdint.h>

#include "base/histogram.h"

static void a_value_is_in_the_bucket_whose_bound_it_reaches(void **state)
{
    (void)state;
    for (int scale = 0; scale < HISTOGRAM_SCALE_COUNT; scale++) {
        size_t count;
        const uint64_t *bounds = histogram_bounds((enum histogram_scale)scale, &count);
        struct histogram h = { .sum = 0 };
        uint64_t sum = 0;

        for (size_t i = 0; i < count; i++) {
            if (i > 0)
                assert_true(bounds[i] > bounds[i - 1]);
            histogram_add(&h, (enum histogram_scale)scale, bounds[i]);
            histogram_add(&h, (enum histogram_scale)scale, bounds[i] + 1);
            sum += 2 * bounds[i] + 1;
        }
        histogram_add(&h, (enum histogram_scale)scale, 0);
        assert_int_equal(h.count[0], 2);        /* 0 and the bound */
        for (size_t i = 1; i < count; i++)
            assert_int_equal(h.count[i], 2);    /* the bound, and what is above the one before */
        assert_int_equal(h.count[count], 1);
        assert_int_equal(h.sum, sum);
    }
}

static void merging_adds(void **state)
{
    struct histogram a = { .sum = 0 }, b = { .sum = 0 };

    (void)state;
    histogram_add(&a, HISTOGRAM_BYTES, 1);
    histogram_add(&b, HISTOGRAM_BYTES, 1);
    histogram_add(&b, HISTOGRAM_BYTES, UINT32_MAX);
    histogram_merge(&a, &b);
    assert_int_equal(a.count[0], 2);
    assert_int_equal(a.count[11], 1);
    assert_int_equal(a.sum, 2 + (uint64_t)UINT32_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_value_is_in_the_bucket_whose_bound_it_reaches),
        cmocka_unit_test(merging_adds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
