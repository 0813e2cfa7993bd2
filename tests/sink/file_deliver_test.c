/*
 * file_deliver: a staged batch gets its key, once, whatever fails and whenever the host ends. On
 * the simulated host.
 */
#include <sys/stat.h>

#include "sink/sink_sim.h"
#include "support/sim.h"

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

/* ".hydrant" was removed after the delivery, before its acknowledgement: copied again, in vain. */
static void the_same_bytes_under_the_key_are_a_delivery(void **state)
{
    struct sink_life life;
    struct sink_job job;

    (void)state;
    begin(&life, &job, OUT, KEY, 5000);
    sink_life_stage(&life, &job);
    sink_life_expect(&life, file_sink_deliver, &job, SINK_DONE, NULL);
    sink_life_expect(&life, file_sink_copy, &job, SINK_DONE, NULL);
    sink_life_expect(&life, file_sink_deliver, &job, SINK_DONE, NULL);
    assert_int_equal(names_in(STAGING), 0);
    expect_bytes(OUT "/" KEY, 5000);
    /* As long, and not the same. */
    sink_life_expect(&life, file_sink_copy, &job, SINK_DONE, NULL);
    assert_int_equal(sim_poke(OUT "/" KEY, 2500, "?", 1), 0);
    sink_life_expect(&life, file_sink_deliver, &job, SINK_REJECT, "another file has this name");
    expect_bytes(STAGING "/" NAME, 5000);
    end(&life);
}

static void what_is_no_file_under_the_key_is_not_read(void **state)
{
    static const uint32_t modes[] = { S_IFIFO | 0600, S_IFSOCK | 0600, S_IFDIR };

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct sink_life life;
        struct sink_job job;

        begin(&life, &job, OUT, KEY, 5000);
        assert_int_equal(sim_mkdir(OUT "/orders/2026/11"), 0);
        if (modes[i] == S_IFDIR)
            assert_int_equal(sim_mkdir(OUT "/" KEY), 0);
        else
            assert_int_equal(sim_mknod(OUT "/" KEY, modes[i]), 0);
        sink_life_stage(&life, &job);
        sink_life_expect(&life, file_sink_deliver, &job, SINK_REJECT, "another file has this name");
        end(&life);
    }
}

static void links_serve_where_a_rename_may_replace(void **state)
{
    (void)state;
    for (int other_fs = 0; other_fs < 2; other_fs++) {
        const char *out = other_fs ? "/mnt/out" : OUT;
        struct sink_life life;
        struct sink_job job;
        char path[128];

        begin(&life, &job, out, KEY, 5000);
        sim_mount("/mnt", false, 1ULL << 30);
        sim_set_names(other_fs ? "/mnt" : "/data", false, true);
        sink_life_stage(&life, &job);
        sink_life_expect(&life, file_sink_deliver, &job, SINK_DONE, NULL);
        snprintf(path, sizeof(path), "%s/.hydrant", out);
        assert_int_equal(names_in(path), 0);
        snprintf(path, sizeof(path), "%s/" KEY, out);
        expect_bytes(path, 5000);
        /* And never over another file. */
        assert_int_equal(sim_unlink(path), 0);
        assert_int_equal(sim_write_file(path, "stranger", 8), 0);
        sink_life_expect(&life, file_sink_copy, &job, SINK_DONE, NULL);
        sink_life_expect(&life, file_sink_deliver, &job, SINK_REJECT, "another file has this name");
        end(&life);
    }
}

static void a_file_system_with_neither_is_said_to_be_none_to_deliver_to(void **state)
{
    struct sink_life life;
    struct sink_job job;

    (void)state;
    begin(&life, &job, OUT, KEY, 5000);
    sim_set_names("/data", false, false);
    sink_life_stage(&life, &job);
    for (int i = 0; i < 2; i++)
        sink_life_expect(&life, file_sink_deliver, &job, SINK_REJECT,
                         "RENAME_NOREPLACE); choose another directory");
    sim_set_names("/data", true, false);
    sink_life_expect(&life, file_sink_deliver, &job, SINK_DONE, NULL);
    expect_bytes(OUT "/" KEY, 5000);
    end(&life);
}

/* --- folders of the key --------------------------------------------------------------------- */

/* A consumer that clears empty folders away, at any depth. */
static void folders_that_a_consumer_removed_are_made_again(void **state)
{
    static const char *const removed[] = {
        OUT "/orders/2026/11", OUT "/orders/2026", OUT "/orders"
    };

    (void)state;
    for (uint64_t seed = 1; seed <= 30; seed++) {
        struct sink_life life;
        struct sink_job job;

        begin(&life, &job, OUT, KEY, 5000);
        for (int i = 0; i < 4; i++) {
            sink_life_stage(&life, &job);
            sink_life_expect(&life, file_sink_deliver, &job, SINK_DONE, NULL);
            expect_bytes(OUT "/" KEY, 5000);
            if (i == 3)
                break;
            assert_int_equal(sim_unlink(OUT "/" KEY), 0);
            assert_int_equal(sim_remove_tree(removed[i]), 0);
        }
        end(&life);
        sim_power_cut(seed);
        expect_bytes(OUT "/" KEY, 5000);
    }
}

static void a_file_in_the_place_of_a_folder_stops_that_batch_alone(void **state)
{
    struct sink_life life;
    struct sink_job job, other;

    (void)state;
    begin(&life, &job, OUT, KEY, 5000);
    sink_life_stage(&life, &job);
    assert_int_equal(sim_mkdir(OUT "/orders"), 0);
    assert_int_equal(sim_write_file(OUT "/orders/2026", "note", 4), 0);
    for (int i = 0; i < 2; i++)
        sink_life_expect(&life, file_sink_deliver, &job, SINK_RETRY,
                         "something else is where its folder should be");
    assert_int_equal(sim_write_file(SPOOL "/2", data, 100), 0);
    sink_life_job(&life, &other, "2", "orders/2.json", data, 100);
    sink_life_expect(&life, file_sink_stage, &other, SINK_DONE, NULL);
    sink_life_expect(&life, file_sink_deliver, &other, SINK_DONE, NULL);
    assert_int_equal(sim_unlink(OUT "/orders/2026"), 0);
    sink_life_expect(&life, file_sink_deliver, &job, SINK_DONE, NULL);
    expect_bytes(OUT "/" KEY, 5000);
    end(&life);
}

/* --- failed syncs --------------------------------------------------------------------------- */

static void turn_until_visible(struct sink_life *life)
{
    while (!sim_exists(OUT "/" KEY)) {
        assert_false(life->ended);
        assert_true(loop_turn(life->loop, UINT64_MAX) >= 0);
    }
}

/* Visible, the sync fails, and the consumer was faster than the way back. */
static void what_a_consumer_took_before_a_failed_sync_stays_delivered(void **state)
{
    (void)state;
    for (int way = 0; way < 4; way++) {
        struct sink_life life;
        struct sink_job job;

        begin(&life, &job, OUT, KEY, 5000);
        sim_set_names("/data", way & 1, true);
        sink_life_stage(&life, &job);
        life.ended = false;
        file_sink_deliver(&life.sink, &job);
        turn_until_visible(&life);
        assert_int_equal(sim_unlink(OUT "/" KEY), 0);
        sim_fail(SIM_SYNC, way & 2 ? 2 : 1, 1, -EIO);
        while (!life.ended)
            assert_true(loop_turn(life.loop, UINT64_MAX) >= 0);
        assert_int_equal(job.result, SINK_RETRY);
        sink_life_expect(&life, file_sink_deliver, &job, SINK_DONE, NULL);
        assert_false(sim_exists(OUT "/" KEY));
        assert_int_equal(names_in(STAGING), 0);
        end(&life);
    }
}

static void a_way_back_that_fails_is_gone_before_the_next_delivery(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        bool links = seed & 1;
        struct sink_life life;
        struct sink_job job;

        begin(&life, &job, OUT, KEY, 5000);
        sim_set_names("/data", !links, true);
        sink_life_stage(&life, &job);
        life.ended = false;
        file_sink_deliver(&life.sink, &job);
        turn_until_visible(&life);
        sim_fail_next(SIM_SYNC, -EIO);
        sim_fail(links ? SIM_UNLINK : SIM_RENAME, 1, 2, -EROFS);
        while (!life.ended)
            assert_true(loop_turn(life.loop, UINT64_MAX) >= 0);
        sink_life_expect(&life, file_sink_deliver, &job, SINK_RETRY, "take it back");
        sink_life_expect(&life, file_sink_deliver, &job, SINK_DONE, NULL);
        end(&life);
        sim_power_cut(seed);
        expect_bytes(OUT "/" KEY, 5000);
    }
}

/* Shut down before the link was on the disk, then mounted again: it is not taken for consumed. */
static void a_link_that_a_failed_disk_forgot_is_made_again(void **state)
{
    struct sink_life life;
    struct sink_job job;

    (void)state;
    begin(&life, &job, OUT, KEY, 5000);
    sim_set_names("/data", false, true);
    sink_life_stage(&life, &job);
    life.ended = false;
    file_sink_deliver(&life.sink, &job);
    turn_until_visible(&life);
    sim_fail_next(SIM_SYNC, -EIO);
    sim_fail(SIM_UNLINK, 1, 1, -EIO);
    while (!life.ended)
        assert_true(loop_turn(life.loop, UINT64_MAX) >= 0);
    assert_int_equal(job.result, SINK_RETRY);
    assert_int_equal(sim_unlink(OUT "/" KEY), 0);
    sink_life_expect(&life, file_sink_deliver, &job, SINK_DONE, NULL);
    expect_bytes(OUT "/" KEY, 5000);
    assert_int_equal(names_in(STAGING), 0);
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

static void whatever_fails_the_batch_arrives_when_it_is_over(void **state)
{
    static const int errs[] = { -EIO, -ENOSPC, -EACCES, -EROFS, -ENOENT, -EMFILE };

    (void)state;
    for (size_t e = 0; e < sizeof(errs) / sizeof(errs[0]); e++)
        for (int way = 0; way < 4; way++) {
            bool other_fs = way & 1, no_noreplace = way & 2;
            unsigned retries = 0;

            if (no_noreplace && errs[e] == -ENOENT)
                continue;       /* an unlink that says so has nothing left to do, and is believed */
            for (uint64_t nth = 1;; nth++) {
                struct sink_life life;
                struct sink_job job;
                uint64_t ops;
                int tries = 0;

                begin(&life, &job, other_fs ? "/mnt/out" : OUT, KEY, 5000);
                if (other_fs)
                    sim_mount("/mnt", false, 1ULL << 30);
                sim_set_names(other_fs ? "/mnt" : "/data", !no_noreplace, true);
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

/* One host, and what is done to it. */
struct schedule {
    const char *directory;
    bool power, journal;
    bool no_noreplace;          /* of the file systems */
    uint64_t sync_fails;        /* the nth; 0: none */
};

/* What the log would hold of the batch: it survives whatever ends a life. */
struct written {
    const char *directory;
    uint64_t staging_id;
    bool sealed, renaming, acked;
};

/* As the pipeline does it. */
static int batch_life(void *ctx)
{
    struct written *w = ctx;
    struct sink_life life;
    struct file_stat st;
    struct sink_job job;
    int tries = 0;

    sink_life_open(&life, SPOOL, w->directory);
    sink_life_job(&life, &job, NAME, KEY, data, 5000);
    if (!w->sealed) {
        sink_life_run(&life, file_sink_stage, &job);
        w->staging_id = job.staging_id;
        w->sealed = true;
    }
    job.staging_id = w->staging_id;
    while (sink_life_run(&life, file_sink_verify, &job) != SINK_DONE)
        assert_true(job.result == SINK_RETRY && ++tries < 5);
    do {
        while (job.staging_id == 0)
            sink_life_run(&life, file_sink_copy, &job);
        w->staging_id = job.staging_id;
        w->renaming = true;
        sink_life_run(&life, file_sink_deliver, &job);
        assert_true(job.result != SINK_REJECT && ++tries < 10);
    } while (job.result != SINK_DONE);
    w->acked = true;
    assert_int_equal(file_stat(life.spool_dir, &st), 0);    /* points to stop at, after the last */
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

static void host_for(const struct schedule *s, uint64_t seed)
{
    host_reset(seed);
    sim_mount("/mnt", false, 1ULL << 30);
    sim_set_journal(s->journal);
    sim_set_names("/data", !s->no_noreplace, true);
    sim_set_names("/mnt", !s->no_noreplace, true);
    spool_file(5000);
    if (s->sync_fails > 0)
        sim_fail(SIM_SYNC, s->sync_fails, 1, -EIO);
}

/* One life that is cut at the point, and one that ends by itself. False: it was not cut. */
static bool crash_at(const struct schedule *s, uint64_t seed, uint64_t point)
{
    struct written w = { .directory = s->directory };
    char key[128], staging[128];
    unsigned visible;
    bool halved;
    int r;

    snprintf(key, sizeof(key), "%s/" KEY, s->directory);
    snprintf(staging, sizeof(staging), "%s/" FILE_SINK_STAGING, s->directory);
    host_for(s, seed);
    sim_crash_at(point);
    r = sim_run(batch_life, &w);
    sim_fail_clear();
    if (s->power)
        sim_power_cut(seed);
    else
        sim_kill();
    sim_land();
    visible = check_visible(s->directory);
    assert_true(visible <= 1);
    assert_true(!w.acked || visible == 1);
    assert_true(w.renaming || visible == 0);
    if (r != SIM_CRASHED)
        return false;

    /* Whatever was left: the next life ends with the batch there once, the spool whole. */
    halved = s->power && !s->journal && w.renaming && visible == 0 && names_in(staging) == 0;
    assert_int_equal(sim_run(batch_life, &w), 0);
    assert_true(w.acked);
    assert_int_equal(check_visible(s->directory), halved ? 0 : 1);
    if (!halved)
        expect_bytes(key, 5000);
    expect_bytes(SPOOL "/" NAME, 5000);
    if (s->sync_fails && !s->power)     /* killed before it answers a failed sync, it forgets */
        return true;
    sim_power_cut(point);
    if (!halved)
        expect_bytes(key, 5000);
    return true;
}

static void crash_everywhere(struct schedule s)
{
    static const char *const directories[] = { OUT, "/mnt/out" };
    unsigned crashes = 0;

    for (size_t i = 0; i < 2; i++) {
        s.directory = directories[i];
        for (uint64_t seed = 1; seed <= (s.sync_fails ? 1 : 5); seed++)
            for (uint64_t point = 1; crash_at(&s, seed * 100 + point, point); point++)
                crashes++;
    }
    assert_true(crashes > 50);
}

static void sigkill_at_any_operation_leaves_one_whole_batch(void **state)
{
    (void)state;
    crash_everywhere((struct schedule){ .power = false });
}

/*
 * Without a journal the simulator may keep one half of a rename across directories and lose the
 * other. With the removal kept and the new name lost, a staging name is gone without a delivery:
 * that one state is let pass, and none other.
 */
static void power_cut_at_any_operation_leaves_one_whole_batch(void **state)
{
    (void)state;
    crash_everywhere((struct schedule){ .power = true });
    crash_everywhere((struct schedule){ .power = true, .journal = true });
}

/* Two operations that need no journal between them: the link is synced before the unlink. */
static void a_crash_between_link_and_unlink_leaves_one_whole_batch(void **state)
{
    (void)state;
    crash_everywhere((struct schedule){ .no_noreplace = true });
    crash_everywhere((struct schedule){ .power = true, .no_noreplace = true });
}

/* What a failed sync should have covered is in doubt for ever; nothing is ACKed on a later one. */
static void no_acknowledgement_relies_on_a_sync_after_a_failed_one(void **state)
{
    (void)state;
    for (unsigned way = 0; way < 8; way++) {
        struct schedule s = {
            .directory = way & 1 ? "/mnt/out" : OUT, .power = true, .journal = way & 2,
            .no_noreplace = way & 4, .sync_fails = 1,
        };

        for (bool failed = true; failed; s.sync_fails++)
            for (uint64_t seed = 1; seed <= 40; seed++) {
                struct written w = { .directory = s.directory };
                char key[128];

                snprintf(key, sizeof(key), "%s/" KEY, s.directory);
                host_for(&s, seed);
                assert_int_equal(sim_run(batch_life, &w), 0);
                failed = sim_op_count(SIM_SYNC) >= s.sync_fails;
                sim_fail_clear();
                assert_int_equal(sim_unlink(SPOOL "/" NAME), 0);
                sim_power_cut(seed);
                expect_bytes(key, 5000);
                assert_int_equal(check_visible(s.directory), 1);
            }
        assert_true(s.sync_fails > 8);
    }
}

static void a_crash_after_a_failed_sync_leaves_one_whole_batch(void **state)
{
    (void)state;
    for (uint64_t nth = 1; nth <= 20; nth++) {
        crash_everywhere((struct schedule){ .power = true, .journal = true, .sync_fails = nth });
        crash_everywhere((struct schedule){ .no_noreplace = true, .sync_fails = nth });
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(delivery_moves_the_batch_to_its_key_synced),
        cmocka_unit_test(batches_of_one_folder_follow_each_other),
        cmocka_unit_test(a_key_that_is_this_very_file_is_a_delivery),
        cmocka_unit_test(another_file_under_the_key_is_never_replaced),
        cmocka_unit_test(the_same_bytes_under_the_key_are_a_delivery),
        cmocka_unit_test(what_is_no_file_under_the_key_is_not_read),
        cmocka_unit_test(links_serve_where_a_rename_may_replace),
        cmocka_unit_test(a_file_system_with_neither_is_said_to_be_none_to_deliver_to),
        cmocka_unit_test(folders_that_a_consumer_removed_are_made_again),
        cmocka_unit_test(a_file_in_the_place_of_a_folder_stops_that_batch_alone),
        cmocka_unit_test(what_a_consumer_took_before_a_failed_sync_stays_delivered),
        cmocka_unit_test(a_way_back_that_fails_is_gone_before_the_next_delivery),
        cmocka_unit_test(a_link_that_a_failed_disk_forgot_is_made_again),
        cmocka_unit_test(a_directory_that_cannot_be_had_is_said_and_tried_again),
        cmocka_unit_test(whatever_fails_the_batch_arrives_when_it_is_over),
        cmocka_unit_test(sigkill_at_any_operation_leaves_one_whole_batch),
        cmocka_unit_test(power_cut_at_any_operation_leaves_one_whole_batch),
        cmocka_unit_test(a_crash_between_link_and_unlink_leaves_one_whole_batch),
        cmocka_unit_test(no_acknowledgement_relies_on_a_sync_after_a_failed_one),
        cmocka_unit_test(a_crash_after_a_failed_sync_leaves_one_whole_batch),
    };

    return cmocka_run_group_tests(tests, sink_data_make, sink_data_free);
}
