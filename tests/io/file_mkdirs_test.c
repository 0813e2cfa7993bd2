/*
 * file_mkdirs_test: directories that were made are there after any power cut, whoever made them and
 * whatever failed on the way; what they are made of, tests/io/file_test.c and the simulator's own
 * tests hold to the contract. On the simulated host.
 *
 * Owns:   nothing.
 * Thread: the test's.
 */
#include "support/sim.h"
#include "support/sim_fixture.h"

#define PATH "/data/a/b/c"

static void what_was_made_survives_any_power_cut(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        int dir;

        new_host(seed);
        dir = open_dir("/data");
        assert_int_equal(file_mkdirs(FILE_CWD, PATH "/", 0755), 0);
        assert_int_equal(file_mkdirs(dir, "r//s", 0755), 0);
        sim_power_cut(seed);
        assert_true(sim_exists(PATH) && sim_exists("/data/r/s"));
    }
}

static void what_others_made_survives_too(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        new_host(seed);
        assert_int_equal(file_mkdir(FILE_CWD, "/data/a", 0755), 0);
        assert_int_equal(file_mkdir(FILE_CWD, "/data/a/b", 0755), 0);
        assert_int_equal(file_mkdir(FILE_CWD, PATH, 0755), 0);
        assert_int_equal(file_mkdirs(FILE_CWD, PATH, 0755), 0);
        sim_power_cut(seed);
        assert_true(sim_exists(PATH));
    }
}

static void after_a_failed_sync_it_is_made_anew(void **state)
{
    (void)state;
    for (uint64_t nth = 1;; nth++) {
        int failed = 0;

        for (uint64_t seed = 0; seed < SEEDS; seed++) {
            new_host(seed);
            sim_fail(SIM_SYNC, nth, 1, -EIO);
            failed = file_mkdirs(FILE_CWD, PATH, 0755);
            assert_true(failed == 0 || failed == -EIO);
            assert_true(!failed || !sim_exists(PATH));
            sim_fail_clear();
            assert_int_equal(file_mkdirs(FILE_CWD, PATH, 0755), 0);
            sim_power_cut(seed);
            assert_true(sim_exists(PATH));
        }
        if (!failed) {
            assert_int_equal(nth, 4 + 1);       /* "/", "/data" and two below it */
            return;
        }
    }
}

/* Nor what is in it. */
static void what_was_there_is_not_removed(void **state)
{
    (void)state;
    assert_int_equal(sim_mkdir(PATH), 0);
    sim_fail(SIM_SYNC, 1, 0, -EIO);
    assert_int_equal(file_mkdirs(FILE_CWD, PATH, 0755), -EIO);
    assert_true(sim_exists(PATH));
}

/* A read-only "/" above a disk of our own. */
static void what_cannot_be_synced_and_is_not_ours_does_not_matter(void **state)
{
    static const int errs[] = { -EROFS, -EACCES, -EINVAL };

    (void)state;
    assert_int_equal(sim_mkdir(PATH), 0);
    for (int i = 0; i < 3; i++) {
        sim_fail(SIM_SYNC, 1, 4, errs[i]);
        assert_int_equal(file_mkdirs(FILE_CWD, PATH, 0755), 0);
        sim_fail_clear();
        sim_fail(SIM_SYNC, 5, 1, errs[i]);      /* the one that is made */
        assert_int_equal(file_mkdirs(FILE_CWD, PATH "/d", 0755), errs[i]);
        sim_fail_clear();
        assert_false(sim_exists(PATH "/d"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        HOST(what_was_made_survives_any_power_cut),
        HOST(what_others_made_survives_too),
        HOST(after_a_failed_sync_it_is_made_anew),
        HOST(what_was_there_is_not_removed),
        HOST(what_cannot_be_synced_and_is_not_ours_does_not_matter),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
