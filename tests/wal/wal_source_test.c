/*
 * wal_source: which entrance a ring's name tells of.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "intake/relay_old.h"
#include "wal/wal_source.h"

static void each_entrance_is_known_by_its_ring(void **state)
{
    char name[64];

    (void)state;
    for (int i = WAL_FROM_RING + 1; i < WAL_SOURCE_COUNT; i++) {
        snprintf(name, sizeof(name), "%s.123.0123456789abcdef.ring", wal_source_rings[i]);
        assert_int_equal(wal_source_of(name), i);
        snprintf(name, sizeof(name), "hydrant-%s", wal_source_names[i]);
        assert_string_equal(name, wal_source_rings[i]);
    }
    assert_string_equal(wal_source_rings[WAL_FROM_RELAY], RELAY_RING_NAME);
}

static void other_rings_are_rings(void **state)
{
    static const char *const names[] = {
        "", ".ring", "app.1.0123456789abcdef.ring", "hydrant-tcp", "hydrant-tcp2.1.0.ring",
        "hydrant-.ring", "hydrant-ring.1.0.ring", "tcp.1.0.ring", "xhydrant-tcp.1.0.ring",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        assert_int_equal(wal_source_of(names[i]), WAL_FROM_RING);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_entrance_is_known_by_its_ring),
        cmocka_unit_test(other_rings_are_rings),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
