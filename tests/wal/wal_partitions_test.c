/*
 * Claims about the table of partitions: it finds what it was told, by output and all bytes of the
 * name, in the order in which it was told, and forgets what is trimmed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "wal/log_builder.h"
#include "wal/wal_partitions.h"

static void seal(struct wal_partitions *p, uint16_t output, const char *name, uint64_t lsn)
{
    assert_int_equal(wal_partitions_seal(p, output, built_str(name), lsn), 0);
}

static void an_empty_table_knows_nothing(void **state)
{
    struct wal_partitions p = {0};

    (void)state;
    assert_int_equal(wal_partitions_lsn(&p, 0, "a", 1), 0);
    wal_partitions_trim(&p, UINT64_MAX);
    wal_partitions_free(&p);
}

static void marks_only_rise(void **state)
{
    struct wal_partitions p = {0};

    (void)state;
    seal(&p, 3, "a=1/", 10);
    seal(&p, 3, "a=1/", 30);
    seal(&p, 3, "a=1/", 20);
    assert_int_equal(wal_partitions_lsn(&p, 3, "a=1/", 4), 30);
    assert_int_equal(p.count, 1);
    wal_partitions_free(&p);
    assert_int_equal(wal_partitions_lsn(&p, 3, "a=1/", 4), 0);
}

static void a_name_is_all_its_bytes(void **state)
{
    static const char bytes[] = "a\0b";
    struct wal_partitions p = {0};

    (void)state;
    assert_int_equal(wal_partitions_seal(&p, 0, (struct wal_str){bytes, 3}, 5), 0);
    seal(&p, 0, "a", 6);
    seal(&p, 1, "a", 7);
    assert_int_equal(wal_partitions_lsn(&p, 0, bytes, 3), 5);
    assert_int_equal(wal_partitions_lsn(&p, 0, bytes, 2), 0);
    assert_int_equal(wal_partitions_lsn(&p, 0, bytes, 1), 6);
    assert_int_equal(wal_partitions_lsn(&p, 1, bytes, 1), 7);
    wal_partitions_free(&p);
}

/* Against a plain array: rising, trimming, coming back. */
static void any_run_gives_what_was_told(void **state)
{
    enum { NAMES = 300, STEPS = 20000 };
    uint64_t known[NAMES] = {0}, random = 7, trim_lsn = 0;
    struct wal_partitions p = {0};

    (void)state;
    for (uint64_t step = 1; step <= STEPS; step++) {
        uint32_t i = (uint32_t)(built_random(&random) % NAMES), count = 0;
        uint16_t output = (uint16_t)(i % 3);

        if (step % 97 == 0) {
            trim_lsn += built_random(&random) % 200;
            trim_lsn = step % 1000 < 97 ? step + 1 : trim_lsn < step ? trim_lsn : step;
            wal_partitions_trim(&p, trim_lsn);
            for (uint32_t k = 0; k < NAMES; k++)
                known[k] = known[k] >= trim_lsn ? known[k] : 0;
        } else {
            assert_int_equal(wal_partitions_seal(&p, output,
                                                 (struct wal_str){(char *)&i, sizeof(i)}, step),
                             0);
            known[i] = step;
        }
        for (uint32_t k = (uint32_t)(step % 10); k < NAMES; k += 10)
            assert_int_equal(wal_partitions_lsn(&p, (uint16_t)(k % 3), &k, sizeof(k)), known[k]);
        for (uint32_t k = 0; k < NAMES; k++)
            count += known[k] > 0;
        assert_int_equal(p.count, count);
    }
    wal_partitions_free(&p);
}

static void the_order_is_that_of_first_seals(void **state)
{
    static const char *const left[] = {"c", "a", "d", "b"};
    struct wal_partitions p = {0};

    (void)state;
    seal(&p, 0, "c", 50);
    seal(&p, 0, "b", 10);
    seal(&p, 0, "a", 40);
    seal(&p, 0, "d", 30);
    seal(&p, 0, "c", 60);
    wal_partitions_trim(&p, 30);
    seal(&p, 0, "b", 70);
    assert_int_equal(p.count, 4);
    for (uint32_t i = 0; i < p.count; i++)
        assert_memory_equal(p.items[i].name, left[i], 1);
    wal_partitions_free(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_table_knows_nothing),
        cmocka_unit_test(marks_only_rise),
        cmocka_unit_test(a_name_is_all_its_bytes),
        cmocka_unit_test(any_run_gives_what_was_told),
        cmocka_unit_test(the_order_is_that_of_first_seals),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
