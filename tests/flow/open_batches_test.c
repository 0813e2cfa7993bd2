/*
 * open_batches: found by name whatever their hashes, kept in the order of use.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "flow/open_batches.h"

enum { COUNT = 1000 };

static struct batch batch[COUNT];
static char name[COUNT][16];

static void named(unsigned i, uint32_t hash)
{
    snprintf(name[i], sizeof(name[i]), "p=%u/", i);
    batch[i] = (struct batch){.partition = name[i], .partition_len = (uint32_t)strlen(name[i]),
                              .partition_hash = hash};
}

static struct batch *found(struct open_batches *o, unsigned i)
{
    return open_batches_find(o, name[i], (uint32_t)strlen(name[i]), batch[i].partition_hash);
}

static void one_is_found_by_its_name_alone(void **state)
{
    struct open_batches o = {0};

    (void)state;
    named(0, 7);
    named(1, 7);
    assert_null(found(&o, 0));
    assert_int_equal(open_batches_add(&o, &batch[0]), 0);
    assert_ptr_equal(found(&o, 0), &batch[0]);
    assert_null(found(&o, 1));
    open_batches_remove(&o, &batch[0]);
    assert_null(found(&o, 0));
    assert_null(o.oldest);
    assert_int_equal(o.count, 0);
    open_batches_fini(&o);
}

/* Hashes all alike, all different, and in between. */
static void many_are_found_and_removed_in_any_order(void **state)
{
    static const uint32_t spread[] = {1, COUNT, 17};

    (void)state;
    for (int s = 0; s < 3; s++) {
        struct open_batches o = {0};

        for (unsigned i = 0; i < COUNT; i++) {
            named(i, i % spread[s]);
            assert_null(found(&o, i));
            assert_int_equal(open_batches_add(&o, &batch[i]), 0);
        }
        for (unsigned i = 0; i < COUNT; i++)
            assert_ptr_equal(found(&o, i), &batch[i]);
        for (unsigned n = 0; n < COUNT; n++) {
            unsigned i = n * 377 % COUNT;

            open_batches_remove(&o, &batch[i]);
            assert_null(found(&o, i));
            assert_int_equal(o.count, COUNT - 1 - n);
            if (n + 1 < COUNT)
                assert_ptr_equal(found(&o, (n + 1) * 377 % COUNT), &batch[(n + 1) * 377 % COUNT]);
        }
        assert_null(o.recent);
        assert_null(o.oldest);
        open_batches_fini(&o);
    }
}

static void what_was_used_least_recently_is_the_oldest(void **state)
{
    struct open_batches o = {0};

    (void)state;
    for (unsigned i = 0; i < 5; i++) {
        named(i, i);
        assert_int_equal(open_batches_add(&o, &batch[i]), 0);
    }
    assert_ptr_equal(o.oldest, &batch[0]);
    found(&o, 0);
    found(&o, 2);
    assert_ptr_equal(o.oldest, &batch[1]);
    assert_ptr_equal(o.recent, &batch[2]);
    open_batches_remove(&o, &batch[1]);
    assert_ptr_equal(o.oldest, &batch[3]);
    open_batches_remove(&o, &batch[2]);
    assert_ptr_equal(o.recent, &batch[0]);
    open_batches_fini(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_is_found_by_its_name_alone),
        cmocka_unit_test(many_are_found_and_removed_in_any_order),
        cmocka_unit_test(what_was_used_least_recently_is_the_oldest),
    };

    return cmocka_run_group_tests_name("open_batches", tests, NULL, NULL);
}
