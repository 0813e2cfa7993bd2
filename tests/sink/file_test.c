/*
 * file: a batch gets a staging name, then its key; nothing is visible that is not complete and
 * synced, and what fails can be tried again. On the simulated host.
 */
#include "sink/sink_life.h"
#include "support/sim.h"

#define SPOOL "/data/spool"
#define OUT "/data/out"
#define STAGING OUT "/" FILE_SINK_STAGING
#define NAME "0a1b2c3d-1"
#define KEY "orders/2026/11/1-host-1.json"

enum { DATA_BYTES = 2 * 1024 * 1024 + 12345 };     /* two reads of a copy and a bit */

static uint8_t *data;

static void spool_file(size_t len)
{
    assert_int_equal(sim_write_file(SPOOL "/" NAME, data, len), 0);
}

static void host_reset(uint64_t seed)
{
    sim_reset(seed);
    assert_int_equal(sim_mkdir(SPOOL), 0);
}

/* A host with a spool file, a life, and a job of it. */
static void begin(struct sink_life *life, struct sink_job *job, const char *directory,
                  const char *key, size_t len)
{
    host_reset(1);
    spool_file(len);
    sink_life_open(life, SPOOL, directory);
    sink_life_job(life, job, NAME, key, data, len);
}

static void end(struct sink_life *life)
{
    sink_life_close(life);
    assert_int_equal(sim_open_descriptors(), 0);
}

static void expect_bytes(const char *path, size_t len)
{
    uint8_t *bytes;
    size_t there;

    if (sim_read_file(path, &bytes, &there) != 0)
        fail_msg("no %s (seed %llu)", path, (unsigned long long)sim_seed());
    assert_int_equal(there, len);
    assert_memory_equal(bytes, data, len);
    free(bytes);
}

static unsigned names_in(const char *path)
{
    char **names;
    size_t count;

    assert_int_equal(sim_list(path, &names, &count), 0);
    free(names);
    return (unsigned)count;
}

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
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        bool made_before = seed % 2 == 0, copied = seed % 3 == 0;
        struct sink_life life;
        struct sink_job job;

        begin(&life, &job, "/data/deep/er/out/", KEY, 5000);
        if (made_before)
            assert_int_equal(file_mkdirs(FILE_CWD, "/data/deep/er/out", 0750), 0);
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

        begin(&life, &job, OUT, KEY, lens[i]);
        sink_life_expect(&life, file_sink_verify, &job, SINK_DONE, NULL);
        sink_life_expect(&life, file_sink_copy, &job, SINK_DONE, NULL);
        job.staged = true;
        assert_int_equal(sim_poke(SPOOL "/" NAME, 0, "?", 1), 0);
        sink_life_expect(&life, file_sink_verify, &job, SINK_DONE, NULL);
        job.staged = false;
        sink_life_expect(&life, file_sink_verify, &job, SINK_DAMAGED, NAME " is damaged");
        job.staged = true;
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
    job.staged = true;
    sink_life_expect(&life, file_sink_verify, &job, SINK_DONE, NULL);
    sink_life_expect(&life, file_sink_deliver, &job, SINK_DONE, NULL);
    assert_false(sim_exists(OUT "/" KEY));
    assert_true(job.staged);
    /* Never staged, there is nothing to be gone. */
    job.staged = false;
    sink_life_expect(&life, file_sink_deliver, &job, SINK_RETRY, strerror(ENOENT));
    end(&life);
}

/* --- delivering ----------------------------------------------------------------------------- */

static void delivery_moves_the_batch_to_its_key_synced(void **state)
{
    static const char *const keys[] = { KEY, "orders/1-host-1.json", "1-host-1.json" };

    (void)state;
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        struct sink_life life;
        struct sink_job job;
        char path[128];

        begin(&life, &job, OUT, keys[i], 5000);
        sink_life_stage(&life, &job);
        sink_life_expect(&life, file_sink_deliver, &job, SINK_DONE, NULL);
        snprintf(path, sizeof(path), OUT "/%s", keys[i]);
        expect_bytes(path, 5000);
        assert_int_equal(names_in(STAGING), 0);
        end(&life);
        sim_power_cut(i);
        expect_bytes(path, 5000);
        assert_int_equal(names_in(STAGING), 0);
    }
}

static void batches_of_one_folder_follow_each_other(void **state)
{
    static const char *const keys[] = {
        "orders/a/1.json", "orders/a/2.json", "orders/3.json", "orders/a/4.json", "5.json"
    };
    struct sink_life life;
    struct sink_job job;
    char path[128];

    (void)state;
    begin(&life, &job, OUT, KEY, 100);
    for (size_t i = 0; i < 5; i++) {
        spool_file(100 + i);
        sink_life_job(&life, &job, NAME, keys[i], data, 100 + i);
        sink_life_stage(&life, &job);
        sink_life_expect(&life, file_sink_deliver, &job, SINK_DONE, NULL);
        assert_int_equal(sim_unlink(SPOOL "/" NAME), 0);
        if (i == 1)     /* a consumer takes the folder away, files and all */
            assert_int_equal(sim_rename(OUT "/orders/a", "/data/taken"), 0);
    }
    end(&life);
    sim_power_cut(4);
    for (size_t i = 0; i < 5; i++) {
        snprintf(path, sizeof(path), i < 2 ? "/data/taken/%s" : OUT "/%s",
                 i < 2 ? strrchr(keys[i], '/') + 1 : keys[i]);
        expect_bytes(path, 100 + i);
    }
}

/* A power cut kept both names of a rename. */
static void a_key_that_is_this_very_file_is_a_delivery(void **state)
{
    struct sink_life life;
    struct sink_job job;

    (void)state;
    begin(&life, &job, OUT, KEY, 5000);
    sink_life_stage(&life, &job);
    assert_int_equal(file_mkdirs(life.sink.dir, "orders/2026/11", 0750), 0);
    assert_int_equal(file_link(life.sink.staging_dir, NAME, life.sink.dir, KEY), 0);
    sink_life_expect(&life, file_sink_deliver, &job, SINK_DONE, NULL);
    assert_int_equal(names_in(STAGING), 0);
    end(&life);
    sim_power_cut(5);
    expect_bytes(OUT "/" KEY, 5000);
    assert_int_equal(names_in(STAGING), 0);
}

static void another_file_under_the_key_is_never_replaced(void **state)
{
    struct sink_life life;
    struct sink_job job;
    uint8_t *bytes;
    size_t len;

    (void)state;
    begin(&life, &job, OUT, KEY, 5000);
    sink_life_stage(&life, &job);
    assert_int_equal(sim_mkdir(OUT "/orders/2026/11"), 0);
    assert_int_equal(sim_write_file(OUT "/" KEY, "stranger", 8), 0);
    for (int i = 0; i < 2; i++)
        sink_life_expect(&life, file_sink_deliver, &job, SINK_REJECT,
                         OUT "/" KEY ": another file has this name; move it away");
    assert_int_equal(sim_read_file(OUT "/" KEY, &bytes, &len), 0);
    assert_int_equal(len, 8);
    assert_memory_equal(bytes, "stranger", 8);
    free(bytes);
    expect_bytes(STAGING "/" NAME, 5000);

    assert_int_equal(sim_unlink(OUT "/" KEY), 0);
    sink_life_expect(&life, file_sink_deliver, &job, SINK_DONE, NULL);
    expect_bytes(OUT "/" KEY, 5000);
    end(&life);
}

static void a_directory_that_cannot_be_had_is_said_and_tried_again(void **state)
{
    static const sink_step_fn steps[] = {
        file_sink_stage, file_sink_copy, file_sink_verify, file_sink_deliver
    };
    struct sink_life life;
    struct sink_job job;
    struct errmsg err;

    (void)state;
    begin(&life, &job, OUT, KEY, 5000);
    assert_int_equal(sim_write_file(OUT, "a file", 6), 0);
    assert_int_equal(file_sink_open(&life.sink, &err), -ENOTDIR);
    assert_non_null(strstr(err.text, OUT));
    for (size_t i = 0; i < 4; i++)
        sink_life_expect(&life, steps[i], &job, SINK_RETRY, OUT);
    assert_int_equal(sim_unlink(OUT), 0);
    assert_int_equal(sim_write_file("/data/x", "", 0), 0);
    assert_int_equal(sim_mkdir(OUT), 0);
    assert_int_equal(sim_write_file(STAGING, "a file", 6), 0);
    assert_int_equal(file_sink_open(&life.sink, &err), -ENOTDIR);
    assert_non_null(strstr(err.text, STAGING));
    assert_int_equal(sim_unlink(STAGING), 0);
    sink_life_stage(&life, &job);
    sink_life_expect(&life, file_sink_deliver, &job, SINK_DONE, NULL);
    expect_bytes(OUT "/" KEY, 5000);
    end(&life);
}

/* --- faults at every operation -------------------------------------------------------------- */

/*
 * EIO: a disk that was pulled, or a file system that shut down. Who holds nothing of it can have it
 * unmounted and mounted again; it is the same directory then, and the staging names in it count.
 */
static void a_directory_that_failed_is_let_go_and_opened_anew(void **state)
{
    struct sink_life life;
    struct sink_job job;

    (void)state;
    begin(&life, &job, OUT, KEY, 5000);
    sink_life_stage(&life, &job);
    sim_fail(SIM_RENAME, 1, 1, -EIO);
    sink_life_expect(&life, file_sink_deliver, &job, SINK_RETRY, strerror(EIO));
    sim_fail(SIM_SYNC, 1, 1, -EIO);
    sink_life_expect(&life, file_sink_deliver, &job, SINK_RETRY, strerror(EIO));
    assert_true(life.sink.dir == -1 && life.sink.staging_dir == -1);
    sink_life_expect(&life, file_sink_deliver, &job, SINK_DONE, NULL);
    expect_bytes(OUT "/" KEY, 5000);
    assert_int_equal(life.sink.generation, 0);
    end(&life);
}

static void whatever_fails_the_batch_arrives_when_it_is_over(void **state)
{
    static const int errs[] = { -EIO, -ENOSPC, -EACCES, -EROFS, -ENOENT, -EMFILE };

    (void)state;
    for (size_t e = 0; e < sizeof(errs) / sizeof(errs[0]); e++)
        for (int other_fs = 0; other_fs < 2; other_fs++) {
            unsigned retries = 0;

            for (uint64_t nth = 1;; nth++) {
                struct sink_life life;
                struct sink_job job;
                uint64_t ops;
                int tries = 0;

                begin(&life, &job, other_fs ? "/mnt/out" : OUT, KEY, 5000);
                if (other_fs)
                    sim_mount("/mnt", false, 1ULL << 30);
                ops = sim_op_count(SIM_ANY);
                sim_fail(SIM_ANY, nth, 1, errs[e]);
                sink_life_stage(&life, &job);
                while (sink_life_run(&life, file_sink_deliver, &job) != SINK_DONE) {
                    assert_int_equal(job.result, SINK_RETRY);
                    assert_true(++tries < 4);
                    retries++;
                }
                expect_bytes(other_fs ? "/mnt/out/" KEY : OUT "/" KEY, 5000);
                expect_bytes(SPOOL "/" NAME, 5000);
                assert_int_equal(names_in(other_fs ? "/mnt/out/.hydrant" : STAGING), 0);
                ops = sim_op_count(SIM_ANY) - ops;
                end(&life);
                if (ops < nth)
                    break;
            }
            assert_true(retries > 5);
        }
}

/* --- crashes at every operation ------------------------------------------------------------- */

/* What the log would hold of the batch: it survives whatever ends a life. */
struct written {
    const char *directory;
    bool sealed, staged, renaming, acked;
};

static int batch_life(void *ctx)
{
    struct written *w = ctx;
    struct sink_life life;
    struct sink_job job;

    sink_life_open(&life, SPOOL, w->directory);
    sink_life_job(&life, &job, NAME, KEY, data, 5000);
    if (!w->sealed) {
        w->staged = sink_life_run(&life, file_sink_stage, &job) == SINK_DONE;
        w->sealed = true;
    }
    job.staged = w->staged;
    sink_life_expect(&life, file_sink_verify, &job, SINK_DONE, NULL);
    while (!w->staged)
        job.staged = w->staged = sink_life_run(&life, file_sink_copy, &job) == SINK_DONE;
    w->renaming = true;
    sink_life_expect(&life, file_sink_deliver, &job, SINK_DONE, NULL);
    w->acked = true;
    assert_int_equal(file_sync(life.spool_dir), 0);     /* points to stop at, after the last one */
    sink_life_close(&life);
    return 0;
}

/* Of all names below the directory but .hydrant, each is the whole batch. */
static unsigned check_visible(const char *path)
{
    unsigned files = 0;
    char **names;
    size_t count;

    if (!sim_exists(path))
        return 0;
    assert_int_equal(sim_list(path, &names, &count), 0);
    for (size_t i = 0; i < count; i++) {
        char below[512];

        if (strcmp(names[i], FILE_SINK_STAGING) == 0)
            continue;
        snprintf(below, sizeof(below), "%s/%s", path, names[i]);
        if (strstr(names[i], ".json")) {
            expect_bytes(below, 5000);
            files++;
        } else {
            files += check_visible(below);
        }
    }
    free(names);
    return files;
}

static void crash_everywhere(const char *directory, bool power)
{
    unsigned crashes = 0;
    uint64_t point;
    char key[128];

    snprintf(key, sizeof(key), "%s/" KEY, directory);
    for (uint64_t seed = 1; seed <= 5; seed++)
        for (point = 1;; point++) {
            struct written w = { .directory = directory };
            unsigned visible;
            int r;

            host_reset(seed * 100 + point);
            sim_mount("/mnt", false, 1ULL << 30);
            spool_file(5000);
            sim_crash_at(point);
            r = sim_run(batch_life, &w);
            if (power)
                sim_power_cut(seed * 100 + point);
            else
                sim_kill();
            sim_land();
            visible = check_visible(directory);
            assert_true(visible <= 1);
            assert_true(!w.acked || visible == 1);
            assert_true(w.renaming || visible == 0);
            if (r != SIM_CRASHED)
                break;
            crashes++;

            /* Whatever was left: the next life ends with the batch there once, the spool whole. */
            bool halved = power && w.renaming && visible == 0
                          && names_in(w.directory[1] == 'm' ? "/mnt/out/.hydrant" : STAGING) == 0;

            assert_int_equal(sim_run(batch_life, &w), 0);
            assert_true(w.acked);
            assert_int_equal(check_visible(directory), halved ? 0 : 1);
            if (!halved)
                expect_bytes(key, 5000);
            expect_bytes(SPOOL "/" NAME, 5000);
            sim_power_cut(point);
            if (!halved)
                expect_bytes(key, 5000);
        }
    assert_true(crashes > 100);
}

static void sigkill_at_any_operation_leaves_one_whole_batch(void **state)
{
    (void)state;
    crash_everywhere(OUT, false);
    crash_everywhere("/mnt/out", false);
}

/*
 * The simulator may keep one half of a rename across directories and lose the other; no journaling
 * file system does. With the removal kept and the new name lost, a staging name is gone without a
 * delivery: that one state is let pass, and none other.
 */
static void power_cut_at_any_operation_leaves_one_whole_batch(void **state)
{
    (void)state;
    crash_everywhere(OUT, true);
    crash_everywhere("/mnt/out", true);
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

static int data_make(void **state)
{
    (void)state;
    data = malloc(DATA_BYTES + 1);
    if (data == NULL)
        return -1;
    for (size_t i = 0; i <= DATA_BYTES; i++)
        data[i] = (uint8_t)(i * 17 + i / 4096);
    return 0;
}

static int data_free(void **state)
{
    (void)state;
    free(data);
    return 0;
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
        cmocka_unit_test(delivery_moves_the_batch_to_its_key_synced),
        cmocka_unit_test(batches_of_one_folder_follow_each_other),
        cmocka_unit_test(a_key_that_is_this_very_file_is_a_delivery),
        cmocka_unit_test(another_file_under_the_key_is_never_replaced),
        cmocka_unit_test(a_directory_that_cannot_be_had_is_said_and_tried_again),
        cmocka_unit_test(a_directory_that_failed_is_let_go_and_opened_anew),
        cmocka_unit_test(whatever_fails_the_batch_arrives_when_it_is_over),
        cmocka_unit_test(sigkill_at_any_operation_leaves_one_whole_batch),
        cmocka_unit_test(power_cut_at_any_operation_leaves_one_whole_batch),
        cmocka_unit_test(cleaning_takes_what_is_ours_and_unclaimed),
    };

    return cmocka_run_group_tests(tests, data_make, data_free);
}
