/*
 * quota: limits of rings and streams over all that ask, also at once.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "pipeline/quota.h"
#include "wal/wal_format.h"

static const struct quota_limits limits = {
    .rings_max = 6, .rings_per_uid_max = 4, .ring_bytes_per_uid_max = 1000,
    .streams_max = 5, .streams_per_uid_max = 3,
};
static struct quota q;

static int setup(void **state)
{
    (void)state;
    quota_init(&q, &limits);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    quota_fini(&q);
    return 0;
}

static void rings_count_for_their_user_and_for_all(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++)
        assert_int_equal(quota_ring_take(&q, 7, 100), SHM_WAIT_NONE);
    assert_int_equal(quota_ring_look(&q, 7, 100), SHM_WAIT_RINGS_UID);
    assert_int_equal(quota_ring_take(&q, 7, 100), SHM_WAIT_RINGS_UID);
    assert_int_equal(quota_ring_take(&q, 8, 1001), SHM_WAIT_BYTES_UID);
    assert_int_equal(quota_ring_take(&q, 8, 900), SHM_WAIT_NONE);
    assert_int_equal(quota_ring_take(&q, 8, 101), SHM_WAIT_BYTES_UID);
    assert_int_equal(quota_ring_take(&q, 8, 100), SHM_WAIT_NONE);
    assert_int_equal(quota_ring_take(&q, 9, 1), SHM_WAIT_RINGS);
    quota_ring_give(&q, 8, 900);
    assert_int_equal(quota_ring_look(&q, 9, 1), SHM_WAIT_NONE);
    assert_int_equal(quota_ring_take(&q, 9, 1), SHM_WAIT_NONE);
    quota_ring_give(&q, 9, 1);
    quota_ring_give(&q, 8, 100);
    for (int i = 0; i < 4; i++)
        quota_ring_give(&q, 7, 100);
    assert_int_equal(q.rings, 0);
    assert_int_equal(q.users_count, 0);
}

static enum shm_wait take(const char *name, uint32_t uid, uint32_t *ret_uid)
{
    *ret_uid = uid;
    return quota_stream_take(&q, name, ret_uid);
}

static void a_stream_counts_once_and_for_whoever_was_first(void **state)
{
    uint32_t uid;

    (void)state;
    assert_int_equal(take("a", 7, &uid), SHM_WAIT_NONE);
    assert_int_equal(take("a", 8, &uid), SHM_WAIT_NONE);
    assert_int_equal(uid, 7);
    assert_int_equal(take("b", 7, &uid), SHM_WAIT_NONE);
    assert_int_equal(take("c", 7, &uid), SHM_WAIT_NONE);
    assert_int_equal(take("d", 7, &uid), SHM_WAIT_STREAMS_UID);
    assert_int_equal(take("c", 7, &uid), SHM_WAIT_NONE);
    /* The configuration's count for nobody. */
    assert_int_equal(take("d", WAL_NO_UID, &uid), SHM_WAIT_NONE);
    quota_stream_named(&q, "a");
    quota_stream_named(&q, "nobody's");
    assert_int_equal(take("e", 7, &uid), SHM_WAIT_NONE);
    assert_int_equal(take("f", 8, &uid), SHM_WAIT_STREAMS);
    assert_int_equal(take("a", 8, &uid), SHM_WAIT_NONE);
    assert_int_equal(uid, WAL_NO_UID);
}

static void what_logs_know_counts_whatever_the_limits(void **state)
{
    char name[16];
    uint32_t uid;

    (void)state;
    for (int i = 0; i < 9; i++) {
        snprintf(name, sizeof(name), "s%d", i / 2);
        assert_int_equal(quota_stream_load(&q, name, 7 + (uint32_t)i), 0);
    }
    assert_int_equal(q.streams_count, 5);
    assert_int_equal(take("s2", 1, &uid), SHM_WAIT_NONE);
    assert_int_equal(uid, 11);
    assert_int_equal(take("other", 1, &uid), SHM_WAIT_STREAMS);
}

static _Atomic unsigned taken;

static void *many_main(void *arg)
{
    for (int i = 0; i < 1000; i++)
        if (quota_ring_take(&q, *(const uint32_t *)arg, 10) == SHM_WAIT_NONE) {
            if (atomic_fetch_add(&taken, 1) >= limits.rings_max)
                abort();
            atomic_fetch_sub(&taken, 1);
            quota_ring_give(&q, *(const uint32_t *)arg, 10);
        }
    return NULL;
}

static void no_limit_is_passed_when_many_ask_at_once(void **state)
{
    uint32_t uids[4] = {1, 2, 3, 1};
    pthread_t thread[4];

    (void)state;
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, many_main, &uids[i]), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(thread[i], NULL);
    assert_int_equal(q.rings, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(rings_count_for_their_user_and_for_all),
        TEST(a_stream_counts_once_and_for_whoever_was_first),
        TEST(what_logs_know_counts_whatever_the_limits),
        TEST(no_limit_is_passed_when_many_ask_at_once),
    };

    return cmocka_run_group_tests_name("quota", tests, NULL, NULL);
}
