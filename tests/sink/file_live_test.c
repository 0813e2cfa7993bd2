/*
 * file, on the real host: directories that somebody removes while batches are on their way.
 */
#include "sink/sink_life.h"

#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

static char root[64];
static char spool[128], out[128];

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

static void remove_tree(const char *path)
{
    assert_int_equal(nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

static int root_make(void **state)
{
    (void)state;
    snprintf(root, sizeof(root), "/var/tmp/hydrant-file-XXXXXX");
    if (mkdtemp(root) == NULL)
        return -1;
    snprintf(spool, sizeof(spool), "%s/spool", root);
    snprintf(out, sizeof(out), "%s/out", root);
    return mkdir(spool, 0700);
}

static int root_remove(void **state)
{
    (void)state;
    return nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void job_of(struct sink_life *life, struct sink_job *job, const char *name, const char *key)
{
    int fd = file_open(life->spool_dir, name, O_RDWR | O_CREAT | O_EXCL, 0600);

    assert_true(fd >= 0);
    assert_int_equal(file_write(fd, name, strlen(name), 0), 0);
    file_close(fd);
    sink_life_job(life, job, name, key, name, strlen(name));
}

/* The key holds the name of its batch. */
static void expect_delivered(const char *key, const char *name)
{
    char path[256], bytes[64] = "";
    ssize_t n;
    int fd;

    snprintf(path, sizeof(path), "%s/%s", out, key);
    fd = file_open(FILE_CWD, path, O_RDONLY, 0);
    if (fd < 0)
        fail_msg("%s: %s", path, strerror(-fd));
    n = file_read(fd, bytes, sizeof(bytes) - 1, 0);
    file_close(fd);
    assert_int_equal(n, (ssize_t)strlen(name));
    assert_string_equal(bytes, name);
}

/* As the pipeline goes on after a step that has to be repeated. */
static void deliver_somehow(struct sink_life *life, struct sink_job *job)
{
    for (int tries = 0; tries < 4; tries++) {
        if (job->staging_id == 0)
            sink_life_stage(life, job);
        if (sink_life_run(life, file_sink_deliver, job) == SINK_DONE)
            return;
        assert_int_equal(job->result, SINK_RETRY);
    }
    fail_msg("not delivered: %s", job->err.text);
}

static void a_batch_goes_from_spool_to_key(void **state)
{
    struct sink_life life;
    struct sink_job job;
    struct stat st;
    char path[256];

    (void)state;
    sink_life_open(&life, spool, out);
    job_of(&life, &job, "b1", "orders/1.json");
    sink_life_expect(&life, file_sink_stage, &job, SINK_DONE, NULL);
    sink_life_expect(&life, file_sink_verify, &job, SINK_DONE, NULL);
    sink_life_expect(&life, file_sink_deliver, &job, SINK_DONE, NULL);
    expect_delivered("orders/1.json", "b1");
    snprintf(path, sizeof(path), "%s/.hydrant/b1", out);
    assert_int_equal(stat(path, &st), -1);
    sink_life_close(&life);
}

/* All were staged below it; the first to find out must not make the others look delivered. */
static void a_removed_directory_takes_no_staged_batch_with_it(void **state)
{
    static const char *const names[] = { "b1", "b2", "b3" };
    static const char *const keys[] = { "orders/1.json", "orders/2.json", "3.json" };
    struct sink_life life;
    struct sink_job job[3];

    (void)state;
    sink_life_open(&life, spool, out);
    for (int i = 0; i < 3; i++) {
        job_of(&life, &job[i], names[i], keys[i]);
        sink_life_expect(&life, file_sink_stage, &job[i], SINK_DONE, NULL);
    }
    remove_tree(out);
    for (int i = 0; i < 3; i++)
        deliver_somehow(&life, &job[i]);
    for (int i = 0; i < 3; i++)
        expect_delivered(keys[i], names[i]);
    sink_life_close(&life);
}

static void verifying_after_a_removal_looks_at_the_spool(void **state)
{
    struct sink_life life;
    struct sink_job job[2];

    (void)state;
    sink_life_open(&life, spool, out);
    job_of(&life, &job[0], "b1", "1.json");
    job_of(&life, &job[1], "b2", "2.json");
    for (int i = 0; i < 2; i++)
        sink_life_stage(&life, &job[i]);
    remove_tree(out);
    deliver_somehow(&life, &job[0]);
    sink_life_expect(&life, file_sink_verify, &job[1], SINK_DONE, NULL);
    assert_int_equal(job[1].staging_id, 0);
    deliver_somehow(&life, &job[1]);
    expect_delivered("2.json", "b2");
    sink_life_close(&life);
}

static void staging_and_copying_into_a_removed_directory_make_it_anew(void **state)
{
    struct sink_life life;
    struct sink_job job[2];

    (void)state;
    sink_life_open(&life, spool, out);
    job_of(&life, &job[0], "b1", "1.json");
    job_of(&life, &job[1], "b2", "2.json");
    deliver_somehow(&life, &job[0]);
    remove_tree(out);
    sink_life_expect(&life, file_sink_stage, &job[1], SINK_RETRY, strerror(ENOENT));
    sink_life_expect(&life, file_sink_copy, &job[1], SINK_DONE, NULL);
    remove_tree(out);
    sink_life_expect(&life, file_sink_deliver, &job[1], SINK_RETRY, out);
    sink_life_expect(&life, file_sink_copy, &job[1], SINK_DONE, NULL);
    sink_life_expect(&life, file_sink_deliver, &job[1], SINK_DONE, NULL);
    expect_delivered("2.json", "b2");
    sink_life_close(&life);
}

/* Between the look at the folder and the rename into it. */
static void a_folder_that_goes_under_the_rename_is_made_again(void **state)
{
    struct sink_life life;
    struct sink_job job;
    char folder[256];

    (void)state;
    sink_life_open(&life, spool, out);
    job_of(&life, &job, "b1", "orders/1.json");
    sink_life_stage(&life, &job);
    snprintf(folder, sizeof(folder), "%s/orders", out);
    life.ended = false;
    file_sink_deliver(&life.sink, &job);
    assert_int_equal(rmdir(folder), 0);
    while (!life.ended)
        assert_true(loop_turn(life.loop, UINT64_MAX) >= 0);
    assert_int_equal(job.result, SINK_RETRY);
    assert_true(job.staging_id != 0);
    sink_life_expect(&life, file_sink_deliver, &job, SINK_DONE, NULL);
    expect_delivered("orders/1.json", "b1");
    sink_life_close(&life);
}

/* Renamed away, it goes on under its new name; staged batches are in it. */
static void a_directory_that_was_moved_is_followed(void **state)
{
    struct sink_life life;
    struct sink_job job[2];
    char moved[128];

    (void)state;
    sink_life_open(&life, spool, out);
    job_of(&life, &job[0], "b1", "orders/1.json");
    job_of(&life, &job[1], "b2", "2.json");
    for (int i = 0; i < 2; i++)
        sink_life_stage(&life, &job[i]);
    snprintf(moved, sizeof(moved), "%s/moved", root);
    assert_int_equal(rename(out, moved), 0);
    for (int i = 0; i < 2; i++)
        sink_life_expect(&life, file_sink_deliver, &job[i], SINK_DONE, NULL);
    assert_int_equal(rename(moved, out), 0);
    expect_delivered("orders/1.json", "b1");
    expect_delivered("2.json", "b2");
    sink_life_close(&life);
}

/* Renamed away with another one in its place: that is the one that is meant by the path. */
static void a_directory_that_was_replaced_takes_what_is_not_delivered_yet(void **state)
{
    struct sink_life life;
    struct sink_job job[2];
    char moved[128];
    struct stat st;

    (void)state;
    sink_life_open(&life, spool, out);
    job_of(&life, &job[0], "b1", "orders/1.json");
    job_of(&life, &job[1], "b2", "orders/2.json");
    for (int i = 0; i < 2; i++)
        sink_life_stage(&life, &job[i]);
    sink_life_expect(&life, file_sink_deliver, &job[0], SINK_DONE, NULL);
    snprintf(moved, sizeof(moved), "%s/moved", root);
    assert_int_equal(rename(out, moved), 0);
    assert_int_equal(mkdir(out, 0700), 0);
    deliver_somehow(&life, &job[1]);
    expect_delivered("orders/2.json", "b2");
    snprintf(moved, sizeof(moved), "%s/moved/orders/1.json", root);
    assert_int_equal(stat(moved, &st), 0);
    sink_life_close(&life);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_batch_goes_from_spool_to_key, root_make, root_remove),
        cmocka_unit_test_setup_teardown(a_removed_directory_takes_no_staged_batch_with_it,
                                        root_make, root_remove),
        cmocka_unit_test_setup_teardown(verifying_after_a_removal_looks_at_the_spool, root_make,
                                        root_remove),
        cmocka_unit_test_setup_teardown(staging_and_copying_into_a_removed_directory_make_it_anew,
                                        root_make, root_remove),
        cmocka_unit_test_setup_teardown(a_folder_that_goes_under_the_rename_is_made_again,
                                        root_make, root_remove),
        cmocka_unit_test_setup_teardown(a_directory_that_was_moved_is_followed, root_make,
                                        root_remove),
        cmocka_unit_test_setup_teardown(
            a_directory_that_was_replaced_takes_what_is_not_delivered_yet, root_make, root_remove),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
