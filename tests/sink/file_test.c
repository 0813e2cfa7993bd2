/*
 * file: a batch gets a staging name in a directory that has an identity; nothing that is not
 * complete and synced counts as staged, and what fails can be tried again. On the simulated host.
 */
#include "sink/sink_sim.h"
#include "support/sim.h"

/* --- staging -------------------------------------------------------------------------------- */

static void staging_gives_a_synced_second_name_that_nobody_sees(void **state)
{
    struct sink_life life;
    struct sink_job job;

    (void)state;
    begin(&life, &job, OUT, KEY, 5000);
    sink_life_expect(&life, file_sink_stage, &job, SINK_DONE, NULL);
    assert_ptr_equal(sim_bytes(STAGING "/" NAME), sim_bytes(SPOOL "/" NAME));
    assert_int_equal(sim_unsynced(STAGING), 0);
    assert_int_equal(names_in(OUT), 1);
    assert_int_equal(names_in(STAGING), 1);
    end(&life);
}

/* Not only the name: every directory above it, whoever made it. */
static void a_staging_name_survives_any_power_cut(void **state)
{
    static const char *const made[] = { "/data/deep", "/data/deep/er", "/data/deep/er/out" };

    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        bool made_before = seed % 2 == 0, copied = seed % 3 == 0;
        struct sink_life life;
        struct sink_job job;

        begin(&life, &job, "/data/deep/er/out/", KEY, 5000);
        if (made_before)
            for (size_t i = 0; i < sizeof(made) / sizeof(made[0]); i++)
                assert_int_equal(file_mkdir(FILE_CWD, made[i], 0750), 0);
        sink_life_expect(&life, copied ? file_sink_copy : file_sink_stage, &job, SINK_DONE, NULL);
        end(&life);
        sim_power_cut(seed);
        expect_bytes("/data/deep/er/out/.hydrant/" NAME, 5000);
    }
}

static void another_file_system_cannot_be_staged_to_but_copied(void **state)
{
    struct sink_life life;
    struct sink_job job;

    (void)state;
    begin(&life, &job, "/mnt/out", KEY, DATA_BYTES);
    sim_mount("/mnt", false, 1ULL << 30);
    sink_life_expect(&life, file_sink_stage, &job, SINK_RETRY, strerror(EXDEV));
    assert_int_equal(names_in("/mnt/out/.hydrant"), 0);
    sink_life_expect(&life, file_sink_copy, &job, SINK_DONE, NULL);
    expect_bytes("/mnt/out/.hydrant/" NAME, DATA_BYTES);
    assert_int_equal(sim_unsynced("/mnt/out/.hydrant/" NAME), 0);
    assert_int_equal(sim_unsynced("/mnt/out/.hydrant"), 0);
    assert_int_equal(sim_unsynced("/mnt/out"), 0);
    end(&life);
    sim_power_cut(3);
    expect_bytes("/mnt/out/.hydrant/" NAME, DATA_BYTES);
}

static void copies_are_whole_whatever_the_reads_and_writes_return(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct file_stat st;
        struct sink_life life;
        struct sink_job job;

        begin(&life, &job, OUT, KEY, DATA_BYTES);
        sim_set_short((unsigned)seed * 40);
        sim_set_disorder(300);
        sink_life_expect(&life, file_sink_copy, &job, SINK_DONE, NULL);
        expect_bytes(STAGING "/" NAME, DATA_BYTES);
        assert_int_equal(file_stat_at(life.sink.staging_dir, NAME, &st), 0);
        assert_int_equal(st.mode & 07777, SINK_LIFE_MODE);
        end(&life);
    }
}

/* Linked, and then the sync fails: the staging name is the spool file itself. */
static void a_copy_never_writes_into_the_spool_file(void **state)
{
    struct sink_life life;
    struct sink_job job;

    (void)state;
    begin(&life, &job, OUT, KEY, DATA_BYTES);
    assert_int_equal(file_sink_open(&life.sink, NULL), 0);
    sim_fail_next(SIM_SYNC, -EIO);
    sink_life_expect(&life, file_sink_stage, &job, SINK_RETRY, "sync");
    assert_ptr_equal(sim_bytes(STAGING "/" NAME), sim_bytes(SPOOL "/" NAME));
    sink_life_expect(&life, file_sink_copy, &job, SINK_DONE, NULL);
    assert_ptr_not_equal(sim_bytes(STAGING "/" NAME), sim_bytes(SPOOL "/" NAME));
    expect_bytes(SPOOL "/" NAME, DATA_BYTES);
    expect_bytes(STAGING "/" NAME, DATA_BYTES);
    end(&life);
}

static void a_strangers_staging_name_is_not_taken_for_ours(void **state)
{
    struct sink_life life;
    struct sink_job job;

    (void)state;
    begin(&life, &job, OUT, KEY, 5000);
    assert_int_equal(sim_mkdir(STAGING), 0);
    assert_int_equal(sim_write_file(STAGING "/" NAME, "stranger", 8), 0);
    sink_life_expect(&life, file_sink_stage, &job, SINK_RETRY, strerror(EEXIST));
    sink_life_expect(&life, file_sink_copy, &job, SINK_DONE, NULL);
    expect_bytes(STAGING "/" NAME, 5000);
    end(&life);
}

static void a_damaged_spool_file_is_not_copied(void **state)
{
    struct sink_life life;
    struct sink_job job;

    (void)state;
    begin(&life, &job, OUT, KEY, 5000);
    assert_int_equal(sim_poke(SPOOL "/" NAME, 4999, "?", 1), 0);
    sink_life_expect(&life, file_sink_copy, &job, SINK_DAMAGED, NAME " is damaged");
    spool_file(4999);
    sink_life_expect(&life, file_sink_copy, &job, SINK_DAMAGED, NAME " is damaged");
    spool_file(0);
    sink_life_expect(&life, file_sink_copy, &job, SINK_DAMAGED, NAME " is damaged");
    spool_file(5000);
    sink_life_expect(&life, file_sink_copy, &job, SINK_DONE, NULL);
    end(&life);
}

static void a_missing_spool_file_is_said_and_nothing_is_made(void **state)
{
    struct sink_life life;
    struct sink_job job;

    (void)state;
    begin(&life, &job, OUT, KEY, 5000);
    assert_int_equal(sim_unlink(SPOOL "/" NAME), 0);
    sink_life_expect(&life, file_sink_copy, &job, SINK_DAMAGED, "damaged or gone");
    sink_life_expect(&life, file_sink_verify, &job, SINK_DAMAGED, "damaged or gone");
    assert_int_equal(names_in(STAGING), 0);
    end(&life);
}

static void a_full_destination_takes_the_copy_when_there_is_space(void **state)
{
    struct sink_life life;
    struct sink_job job;

    (void)state;
    begin(&life, &job, "/mnt/out", KEY, DATA_BYTES);
    sim_mount("/mnt", false, 1024 * 1024);
    sink_life_expect(&life, file_sink_copy, &job, SINK_RETRY, strerror(ENOSPC));
    sim_set_capacity("/mnt", 1ULL << 30);
    sink_life_expect(&life, file_sink_copy, &job, SINK_DONE, NULL);
    expect_bytes("/mnt/out/.hydrant/" NAME, DATA_BYTES);
    end(&life);
}

/* --- verifying ------------------------------------------------------------------------------ */

static void verifying_reads_what_will_be_delivered(void **state)
{
    static const size_t lens[] = { 1, 5000, 1024 * 1024, DATA_BYTES };

    (void)state;
    for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
        struct sink_life life;
        struct sink_job job;
        uint64_t staging_id;

        begin(&life, &job, OUT, KEY, lens[i]);
        sink_life_expect(&life, file_sink_verify, &job, SINK_DONE, NULL);
        sink_life_expect(&life, file_sink_copy, &job, SINK_DONE, NULL);
        assert_int_equal(sim_poke(SPOOL "/" NAME, 0, "?", 1), 0);
        sink_life_expect(&life, file_sink_verify, &job, SINK_DONE, NULL);
        staging_id = job.staging_id;
        job.staging_id = 0;
        sink_life_expect(&life, file_sink_verify, &job, SINK_DAMAGED, NAME " is damaged");
        job.staging_id = staging_id;
        assert_int_equal(sim_poke(STAGING "/" NAME, lens[i] - 1, "?", 1), 0);
        sink_life_expect(&life, file_sink_verify, &job, SINK_DAMAGED, "is damaged or gone");
        assert_int_equal(sim_write_file(STAGING "/" NAME, data, lens[i] - 1), 0);
        sink_life_expect(&life, file_sink_verify, &job, SINK_DAMAGED, "is damaged or gone");
        assert_int_equal(sim_write_file(STAGING "/" NAME, data, lens[i] + 1), 0);
        sink_life_expect(&life, file_sink_verify, &job, SINK_DAMAGED, "is damaged or gone");
        end(&life);
    }
}

static void a_staging_name_that_is_gone_means_delivered(void **state)
{
    struct sink_life life;
    struct sink_job job;

    (void)state;
    begin(&life, &job, OUT, KEY, 5000);
    assert_int_equal(file_sink_open(&life.sink, NULL), 0);
    job.staging_id = life.sink.id;
    sink_life_expect(&life, file_sink_verify, &job, SINK_DONE, NULL);
    sink_life_expect(&life, file_sink_deliver, &job, SINK_DONE, NULL);
    assert_false(sim_exists(OUT "/" KEY));
    assert_int_equal(job.staging_id, life.sink.id);
    /* Never staged, there is nothing to be gone. */
    job.staging_id = 0;
    sink_life_expect(&life, file_sink_deliver, &job, SINK_RETRY, strerror(ENOENT));
    end(&life);
}

/* --- identity ------------------------------------------------------------------------------- */

static uint64_t id_of(const char *directory)
{
    struct sink_life life;
    uint64_t id;

    sink_life_open(&life, SPOOL, directory);
    assert_int_equal(file_sink_open(&life.sink, NULL), 0);
    id = life.sink.id;
    end(&life);
    return id;
}

static void a_staging_directory_keeps_its_identity(void **state)
{
    uint64_t id, other;

    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        host_reset(seed);
        id = id_of(OUT);
        assert_int_not_equal(id, 0);
        assert_int_equal(sim_unsynced(STAGING), 0);
        sim_power_cut(seed);
        assert_int_equal(id_of(OUT), id);
        assert_int_equal(sim_rename(OUT, "/data/moved"), 0);
        assert_int_equal(id_of("/data/moved"), id);
        other = id_of(OUT);
        assert_int_not_equal(other, id);
        assert_int_equal(sim_remove_tree(OUT), 0);
        assert_int_not_equal(id_of(OUT), id);
        assert_int_not_equal(id_of(OUT), other);
    }
}

static void what_is_no_identity_is_not_taken_for_one(void **state)
{
    static const char *const names[] = {
        "id-", "id-1", "id-0000000000000000", "id-00000000000000aB", "id-00000000000000ab.old",
        "id-0x000000000000ab", "id--0000000000000ab", "id", "0a1b2c3d-1"
    };
    char path[128];
    uint64_t id;

    (void)state;
    host_reset(1);
    assert_int_equal(sim_mkdir(STAGING), 0);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        snprintf(path, sizeof(path), STAGING "/%s", names[i]);
        assert_int_equal(sim_write_file(path, "x", 1), 0);
    }
    id = id_of(OUT);
    snprintf(path, sizeof(path), STAGING "/id-%016llx", (unsigned long long)id);
    assert_true(sim_exists(path));
    assert_int_equal(id_of(OUT), id);
}

/* The whole directory, the staging directory, or what is in it; the agent was down. */
static void a_staging_directory_replaced_while_down_has_delivered_nothing(void **state)
{
    (void)state;
    for (int way = 0; way < 4; way++) {
        struct sink_life life;
        struct sink_job job;
        uint64_t id;
        char path[128];

        begin(&life, &job, OUT, KEY, 5000);
        sink_life_stage(&life, &job);
        id = job.staging_id;
        end(&life);
        if (way == 0)
            assert_int_equal(sim_remove_tree(OUT), 0);
        if (way >= 1)
            assert_int_equal(sim_remove_tree(STAGING), 0);
        if (way >= 2)
            assert_int_equal(sim_mkdir(STAGING), 0);
        if (way == 3)       /* somebody else's */
            assert_int_equal(sim_write_file(STAGING "/id-00000000000000ab", "", 0), 0);

        sink_life_open(&life, SPOOL, OUT);
        sink_life_job(&life, &job, NAME, KEY, data, 5000);
        job.staging_id = id;
        sink_life_expect(&life, file_sink_verify, &job, SINK_DONE, NULL);
        assert_int_equal(job.staging_id, 0);
        sink_life_expect(&life, file_sink_copy, &job, SINK_DONE, NULL);
        assert_int_equal(job.staging_id, way == 3 ? 0xab : (long)life.sink.id);
        sink_life_expect(&life, file_sink_deliver, &job, SINK_DONE, NULL);
        expect_bytes(OUT "/" KEY, 5000);
        snprintf(path, sizeof(path), STAGING "/id-%016llx", (unsigned long long)job.staging_id);
        assert_true(sim_exists(path));
        end(&life);
    }
}

/* Emptied under a living agent: a new identity, before anything else is staged under the old. */
static void a_staging_directory_emptied_while_up_is_another(void **state)
{
    struct sink_life life;
    struct sink_job job;
    uint64_t id;

    (void)state;
    begin(&life, &job, OUT, KEY, 5000);
    sink_life_stage(&life, &job);
    id = job.staging_id;
    assert_int_equal(sim_remove_tree(STAGING), 0);
    assert_int_equal(sim_mkdir(STAGING), 0);
    sink_life_expect(&life, file_sink_deliver, &job, SINK_RETRY, "staging directory was removed");
    assert_int_equal(job.staging_id, 0);
    sink_life_stage(&life, &job);
    assert_int_not_equal(job.staging_id, id);
    sink_life_expect(&life, file_sink_deliver, &job, SINK_DONE, NULL);
    expect_bytes(OUT "/" KEY, 5000);
    end(&life);
}

/* The identity alone went: what was staged under it cannot be told from what was delivered. */
static void without_its_identity_a_staging_directory_is_another(void **state)
{
    struct sink_life life;
    struct sink_job job[2];
    char path[128];
    uint64_t id;

    (void)state;
    begin(&life, &job[0], OUT, KEY, 5000);
    assert_int_equal(sim_write_file(SPOOL "/2", data, 100), 0);
    sink_life_job(&life, &job[1], "2", "2.json", data, 100);
    for (int i = 0; i < 2; i++)
        sink_life_stage(&life, &job[i]);
    id = life.sink.id;
    sink_life_expect(&life, file_sink_deliver, &job[0], SINK_DONE, NULL);
    snprintf(path, sizeof(path), STAGING "/id-%016llx", (unsigned long long)id);
    assert_int_equal(sim_unlink(path), 0);
    for (int i = 0; i < 2; i++) {
        sink_life_expect(&life, file_sink_deliver, &job[i], SINK_RETRY, "was removed");
        sink_life_expect(&life, file_sink_copy, &job[i], SINK_DONE, NULL);
        assert_int_equal(job[i].staging_id, life.sink.id);
        sink_life_expect(&life, file_sink_deliver, &job[i], SINK_DONE, NULL);
    }
    assert_int_not_equal(life.sink.id, id);
    expect_bytes(OUT "/" KEY, 5000);
    expect_bytes(OUT "/2.json", 100);
    end(&life);
}

/* Two agents that made it at the same moment: the batches of both are known to be delivered. */
static void two_identities_of_one_directory_both_hold(void **state)
{
    static const uint64_t ids[] = { 0xa1, 0xb2 };

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct sink_life life;
        struct sink_job job;

        begin(&life, &job, OUT, KEY, 5000);
        assert_int_equal(sim_mkdir(STAGING), 0);
        assert_int_equal(sim_write_file(STAGING "/id-00000000000000a1", "", 0), 0);
        assert_int_equal(sim_write_file(STAGING "/id-00000000000000b2", "", 0), 0);
        job.staging_id = ids[i];
        sink_life_expect(&life, file_sink_verify, &job, SINK_DONE, NULL);
        sink_life_expect(&life, file_sink_deliver, &job, SINK_DONE, NULL);
        assert_false(sim_exists(OUT "/orders/2026/11/1-host-1.json"));
        end(&life);
    }
}

/* Made and not synced, it may be gone after the next power cut, with a batch staged under it. */
static void an_identity_whose_sync_failed_is_not_used(void **state)
{
    (void)state;
    for (uint64_t nth = 1;; nth++) {
        bool failed = true;

        for (uint64_t seed = 1; seed <= 20 && failed; seed++) {
            struct sink_life life;
            struct sink_job job;

            begin(&life, &job, OUT, KEY, 5000);
            sim_fail(SIM_SYNC, nth, 1, -EIO);
            failed = file_sink_open(&life.sink, NULL) != 0;
            sim_fail_clear();
            sink_life_expect(&life, file_sink_stage, &job, SINK_DONE, NULL);
            end(&life);
            sim_power_cut(seed);
            expect_bytes(STAGING "/" NAME, 5000);
            assert_int_equal(id_of(OUT), job.staging_id);
        }
        if (!failed) {
            assert_true(nth > 3);
            return;
        }
    }
}

/* Linked at the same time, by two jobs: the sync that failed may have been about both. */
static void a_failed_sync_puts_all_that_was_staged_then_in_doubt(void **state)
{
    struct sink_job job[2];
    struct sink_life life;

    (void)state;
    begin(&life, &job[0], OUT, KEY, 5000);
    assert_int_equal(sim_write_file(SPOOL "/2", data, 100), 0);
    sink_life_job(&life, &job[1], "2", "2.json", data, 100);
    job[0].done = job[1].done = on_sink_life_many;
    assert_int_equal(file_sink_open(&life.sink, NULL), 0);
    sim_fail_next(SIM_SYNC, -EIO);
    for (int i = 0; i < 2; i++)
        file_sink_stage(&life.sink, &job[i]);
    while (life.sink.jobs > 0)
        assert_true(loop_turn(life.loop, UINT64_MAX) >= 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(job[i].result, SINK_RETRY);
        assert_int_equal(job[i].staging_id, 0);
        job[i].done = on_sink_life_job;
        sink_life_expect(&life, file_sink_copy, &job[i], SINK_DONE, NULL);
    }
    end(&life);
    sim_power_cut(1);
    expect_bytes(STAGING "/" NAME, 5000);
    expect_bytes(STAGING "/2", 100);
}

/* --- failing disks -------------------------------------------------------------------------- */

/*
 * EIO: a disk that was pulled, or a file system that shut down. Who holds nothing of it can have it
 * unmounted and mounted again; it is the same directory then, and the staging names in it count.
 */
static void a_directory_that_failed_is_let_go_and_opened_anew(void **state)
{
    struct sink_life life;
    struct sink_job job;
    uint64_t id;

    (void)state;
    begin(&life, &job, OUT, KEY, 5000);
    sink_life_stage(&life, &job);
    id = job.staging_id;
    sim_fail(SIM_RENAME, 1, 1, -EIO);
    sink_life_expect(&life, file_sink_deliver, &job, SINK_RETRY, strerror(EIO));
    sim_fail(SIM_SYNC, 1, 1, -EIO);
    sink_life_expect(&life, file_sink_deliver, &job, SINK_RETRY, strerror(EIO));
    assert_true(life.sink.dir == -1 && life.sink.staging_dir == -1);
    /* Not mounted: nothing is made in its place. */
    assert_int_equal(sim_rename(OUT, "/data/unmounted"), 0);
    sink_life_expect(&life, file_sink_deliver, &job, SINK_RETRY, strerror(ENOENT));
    assert_false(sim_exists(OUT));
    assert_int_equal(sim_rename("/data/unmounted", OUT), 0);
    sink_life_expect(&life, file_sink_deliver, &job, SINK_DONE, NULL);
    expect_bytes(OUT "/" KEY, 5000);
    assert_true(job.staging_id == id && life.sink.id == id);
    end(&life);
}

/* A staging name that cannot be opened may be gone, delivered; one that cannot be read is not. */
static void a_file_that_cannot_be_read_is_damaged_once_it_is_known_to_be_there(void **state)
{
    struct sink_life life;
    struct sink_job job;

    (void)state;
    begin(&life, &job, OUT, KEY, 5000);
    sim_fail(SIM_READ, 1, 1, -EIO);
    sink_life_expect(&life, file_sink_verify, &job, SINK_DAMAGED, NAME " is damaged or gone");
    sim_fail(SIM_READ, 1, 1, -EIO);
    sink_life_expect(&life, file_sink_copy, &job, SINK_DAMAGED, NAME " is damaged or gone");
    sink_life_expect(&life, file_sink_copy, &job, SINK_DONE, NULL);
    sim_fail(SIM_READ, 1, 1, -EIO);
    sink_life_expect(&life, file_sink_verify, &job, SINK_DAMAGED, NAME " is damaged or gone");
    sim_fail(SIM_OPEN, 1, 1, -EIO);
    sink_life_expect(&life, file_sink_verify, &job, SINK_RETRY, strerror(EIO));
    sink_life_expect(&life, file_sink_verify, &job, SINK_DONE, NULL);
    end(&life);
}

/* --- giving up ------------------------------------------------------------------------------ */

static void a_batch_was_taken_only_from_the_directory_it_was_staged_in(void **state)
{
    struct sink_life life;
    struct sink_job job;

    (void)state;
    begin(&life, &job, OUT, KEY, 5000);
    assert_false(file_sink_took(&life.sink, &job));     /* never staged */
    assert_false(sim_exists(OUT));
    sink_life_stage(&life, &job);
    assert_false(file_sink_took(&life.sink, &job));
    sink_life_expect(&life, file_sink_deliver, &job, SINK_DONE, NULL);
    assert_true(file_sink_took(&life.sink, &job));
    assert_int_equal(file_sink_unstage(&life.sink, &job), 0);
    assert_int_equal(sim_rename(OUT, "/data/before"), 0);
    assert_false(file_sink_took(&life.sink, &job));
    assert_false(sim_exists(OUT));
    assert_int_equal(sim_mkdir(STAGING), 0);
    assert_false(file_sink_took(&life.sink, &job));
    assert_int_equal(file_sink_unstage(&life.sink, &job), 0);
    end(&life);
}

/* Visible under its key, though its staging name is there as well, or may be. */
static void a_batch_whose_names_are_in_doubt_is_not_given_up(void **state)
{
    struct sink_life life;
    struct sink_job job;

    (void)state;
    begin(&life, &job, OUT, KEY, 5000);
    sim_set_names("/data", false, true);
    sink_life_stage(&life, &job);
    sim_fail(SIM_UNLINK, 1, 1, -EROFS);
    sink_life_expect(&life, file_sink_deliver, &job, SINK_RETRY, strerror(EROFS));
    assert_true(sim_exists(OUT "/" KEY) && sim_exists(STAGING "/" NAME));
    assert_true(file_sink_took(&life.sink, &job));
    assert_int_equal(sim_unlink(OUT "/" KEY), 0);       /* by a consumer */
    sink_life_expect(&life, file_sink_deliver, &job, SINK_DONE, NULL);
    assert_false(sim_exists(OUT "/" KEY));
    assert_int_equal(names_in(STAGING), 0);
    end(&life);
}

/* --- cleaning ------------------------------------------------------------------------------- */

static bool keep_two(void *ctx, const char *name)
{
    ++*(unsigned *)ctx;
    return strcmp(name, "0a1b2c3d-2") == 0;
}

static void cleaning_takes_what_is_ours_and_unclaimed(void **state)
{
    static const char *const names[] = {
        "0a1b2c3d-1", "0a1b2c3d-2", "0a1b2c3d-3", "ffffffff-1", "0a1b2c3", "note"
    };
    struct sink_life life;
    struct sink_job job;
    unsigned asked = 0;
    char path[128];

    (void)state;
    begin(&life, &job, OUT, KEY, 100);
    assert_int_equal(file_sink_open(&life.sink, NULL), 0);
    for (size_t i = 0; i < 6; i++) {
        snprintf(path, sizeof(path), STAGING "/%s", names[i]);
        assert_int_equal(sim_write_file(path, "x", 1), 0);
    }
    assert_int_equal(file_sink_clean(&life.sink, "0a1b2c3d-", keep_two, &asked), 2);
    assert_int_equal(asked, 3);
    for (size_t i = 0; i < 6; i++) {
        snprintf(path, sizeof(path), STAGING "/%s", names[i]);
        assert_int_equal(sim_exists(path), i != 0 && i != 2);
    }
    sim_fail_next(SIM_LIST, -EIO);
    assert_int_equal(file_sink_clean(&life.sink, "0a1b2c3d-", keep_two, &asked), -EIO);
    assert_int_equal(file_sink_clean(&life.sink, "0a1b2c3d-", keep_two, &asked), 0);
    end(&life);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(staging_gives_a_synced_second_name_that_nobody_sees),
        cmocka_unit_test(a_staging_name_survives_any_power_cut),
        cmocka_unit_test(another_file_system_cannot_be_staged_to_but_copied),
        cmocka_unit_test(copies_are_whole_whatever_the_reads_and_writes_return),
        cmocka_unit_test(a_copy_never_writes_into_the_spool_file),
        cmocka_unit_test(a_strangers_staging_name_is_not_taken_for_ours),
        cmocka_unit_test(a_damaged_spool_file_is_not_copied),
        cmocka_unit_test(a_missing_spool_file_is_said_and_nothing_is_made),
        cmocka_unit_test(a_full_destination_takes_the_copy_when_there_is_space),
        cmocka_unit_test(verifying_reads_what_will_be_delivered),
        cmocka_unit_test(a_staging_name_that_is_gone_means_delivered),
        cmocka_unit_test(a_staging_directory_keeps_its_identity),
        cmocka_unit_test(what_is_no_identity_is_not_taken_for_one),
        cmocka_unit_test(a_staging_directory_replaced_while_down_has_delivered_nothing),
        cmocka_unit_test(a_staging_directory_emptied_while_up_is_another),
        cmocka_unit_test(without_its_identity_a_staging_directory_is_another),
        cmocka_unit_test(two_identities_of_one_directory_both_hold),
        cmocka_unit_test(an_identity_whose_sync_failed_is_not_used),
        cmocka_unit_test(a_failed_sync_puts_all_that_was_staged_then_in_doubt),
        cmocka_unit_test(a_directory_that_failed_is_let_go_and_opened_anew),
        cmocka_unit_test(a_file_that_cannot_be_read_is_damaged_once_it_is_known_to_be_there),
        cmocka_unit_test(a_batch_was_taken_only_from_the_directory_it_was_staged_in),
        cmocka_unit_test(a_batch_whose_names_are_in_doubt_is_not_given_up),
        cmocka_unit_test(cleaning_takes_what_is_ours_and_unclaimed),
    };

    return cmocka_run_group_tests(tests, sink_data_make, sink_data_free);
}
