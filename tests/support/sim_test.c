/*
 * sim_test: the simulated host keeps the contracts of loop.h and file.h; its operations fail as a
 * test wants them to, its strangers and clocks do what they are told.
 *
 * Owns:   nothing.
 * Thread: the test's.
 */
#include "support/sim.h"
#include "support/sim_fixture.h"

static int disorderly_setup(void **state)
{
    int rc = host_setup(state);

    sim_set_disorder(500);
    return rc;
}

/* ---- Faults of operations ---- */

static void the_nth_operation_fails_once(void **state)
{
    int fd = locked_file();
    uint64_t count = sim_op_count(SIM_WRITE);

    (void)state;
    sim_fail(SIM_WRITE, 3, 1, -EIO);
    for (int i = 1; i <= 5; i++)
        assert_int_equal(file_write(fd, "x", 1, (uint64_t)i), i == 3 ? -EIO : 0);
    assert_int_equal(count_bytes("/data/a", 'x', NULL), 4);
    assert_int_equal(sim_op_count(SIM_WRITE), count + 5);
    sim_fail(SIM_WRITE, 2, 0, -ENOSPC);
    for (int i = 1; i <= 5; i++)
        assert_int_equal(file_write(fd, "x", 1, 0), i >= 2 ? -ENOSPC : 0);
    sim_fail_clear();
    sim_fail_next(SIM_ANY, -EMFILE);
    assert_int_equal(file_open(FILE_CWD, "/data/a", O_RDONLY, 0), -EMFILE);
    assert_int_equal(file_write(fd, "x", 1, 0), 0);
}

static void operations_of_the_loop_fail_like_the_others(void **state)
{
    struct io_loop *loop = make_loop(4);
    int fd = locked_file();
    struct result r;

    (void)state;
    sim_fail_next(SIM_WRITE, -EIO);
    io_write(loop, op_of(&r), fd, "x", 1, 0, on_result);
    assert_int_equal(wait_for(loop, &r), -EIO);
    assert_int_equal(count_bytes("/data/a", 'x', NULL), 0);
    sim_fail_next(SIM_RENAME, -EIO);
    io_rename(loop, op_of(&r), FILE_CWD, "/data/a", FILE_CWD, "/data/b", on_result);
    assert_int_equal(wait_for(loop, &r), -EIO);
    assert_true(sim_exists("/data/a"));
    loop_close(loop);
}

static void some_operations_fail_by_chance(void **state)
{
    int fd = locked_file();
    unsigned failed = 0;

    (void)state;
    sim_fail_some(SIM_WRITE, 250, -EIO);
    for (int i = 0; i < 1000; i++)
        failed += file_write(fd, "x", 1, 0) == -EIO;
    assert_in_range(failed, 150, 350);
}

static void transfers_may_be_short_and_late_and_out_of_order(void **state)
{
    struct io_loop *loop = make_loop(BLOCKS);
    struct result r[BLOCKS];
    unsigned shorter = 0, late = 0;
    int fd = locked_file();

    (void)state;
    sim_set_short(500);
    sim_set_disorder(500);
    for (int round = 0; round < 50; round++) {
        for (unsigned i = 0; i < BLOCKS; i++)
            io_write(loop, op_of(&r[i]), fd, block_of['x'], BLOCK, i * BLOCK, on_result);
        assert_true(loop_turn(loop, UINT64_MAX) > 0);
        late += loop_in_flight(loop) > 0;
        for (unsigned i = 0; i < BLOCKS; i++) {
            int res = wait_for(loop, &r[i]);

            assert_in_range(res, 1, BLOCK);
            shorter += res < BLOCK;
        }
    }
    assert_true(shorter > 0 && late > 0);
    loop_close(loop);
}

static void a_full_file_system_gives_enospc_and_space_comes_back(void **state)
{
    struct io_loop *loop = make_loop(4);
    int fd = locked_file();
    struct file_fs fs;
    struct result r;

    (void)state;
    sim_set_capacity("/data", 2 * BLOCK);
    io_write(loop, op_of(&r), fd, block_of, 3 * BLOCK, 0, on_result);
    assert_int_equal(wait_for(loop, &r), 2 * BLOCK);
    io_write(loop, op_of(&r), fd, block_of, BLOCK, 2 * BLOCK, on_result);
    assert_int_equal(wait_for(loop, &r), -ENOSPC);
    assert_int_equal(file_allocate(fd, 0, 3 * BLOCK), -ENOSPC);
    assert_int_equal(file_write(fd, "x", 1, 0), 0);
    assert_int_equal(file_fs(fd, &fs), 0);
    assert_int_equal(fs.free_bytes, 0);
    assert_int_equal(file_unlink(FILE_CWD, "/data/a"), 0);
    assert_int_equal(file_fs(fd, &fs), 0);
    assert_int_equal(fs.free_bytes, 0);
    file_close(fd);
    fd = locked_file();
    assert_int_equal(file_fs(fd, &fs), 0);
    assert_int_equal(fs.free_bytes, 2 * BLOCK);
    loop_close(loop);
}

static void a_watch_overflows_at_its_limit(void **state)
{
    int watch = file_watch_open("/shm");
    struct events events;
    char name[32];

    (void)state;
    memset(&events, 0, sizeof(events));
    sim_set_watch_queue(5);
    for (int i = 0; i < 10; i++) {
        snprintf(name, sizeof(name), "/shm/%d", i);
        assert_int_equal(sim_write_file(name, NULL, 0), 0);
    }
    assert_int_equal(file_watch_read(watch, on_event, &events), 6);
    assert_int_equal(events.added, 5);
    assert_int_equal(events.overflow, 1);
}

static void strangers_plant_what_they_like(void **state)
{
    int dir = open_dir("/shm");
    struct file_stat st;

    (void)state;
    assert_int_equal(sim_write_file("/shm/a", "one", 3), 0);
    assert_int_equal(sim_chown("/shm/a", 1000, 100), 0);
    assert_int_equal(sim_symlink("a", "/shm/link"), 0);
    assert_int_equal(sim_mknod("/shm/fifo", S_IFIFO | 0600), 0);
    sim_mount("/shm/mnt", true, 1 << 20);
    assert_int_equal(sim_write_file("/shm/mnt/a", "one", 3), 0);
    assert_int_equal(file_open_beneath(dir, "link"), -ELOOP);
    assert_int_equal(file_open_beneath(dir, "fifo"), -ENXIO);
    assert_int_equal(file_open_beneath(dir, "mnt/a"), -EXDEV);
    assert_content(dir, "link", "one");
    assert_int_equal(file_stat_at(dir, "link", &st), 0);
    assert_true(S_ISLNK(st.mode));
    assert_int_equal(file_stat_at(dir, "a", &st), 0);
    assert_int_equal(st.uid, 1000);
    assert_int_equal(st.gid, 100);
}

static void clocks_move_only_when_told(void **state)
{
    struct io_loop *loop = make_loop(4);
    uint64_t now_ns = loop_now_ns(loop), real_ns = loop_real_ns(loop);

    (void)state;
    assert_int_equal(loop_turn(loop, now_ns + 5000), 0);
    assert_int_equal(loop_now_ns(loop), now_ns + 5000);
    sim_advance_ns(100);
    assert_int_equal(loop_refresh_ns(loop), now_ns + 5100);
    assert_int_equal(loop_real_ns(loop), real_ns + 5100);
    sim_step_real_ns(-3600000000000);
    assert_int_equal(loop_real_ns(loop), real_ns + 5100 - 3600000000000);
    assert_int_equal(loop_now_ns(loop), now_ns + 5100);
    loop_close(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FILE_CONTRACT_TESTS(host_setup, host_teardown),
        LOOP_CONTRACT_TESTS(host_setup, host_teardown),
        HOST(the_nth_operation_fails_once),
        HOST(operations_of_the_loop_fail_like_the_others),
        HOST(some_operations_fail_by_chance),
        HOST(transfers_may_be_short_and_late_and_out_of_order),
        HOST(a_full_file_system_gives_enospc_and_space_comes_back),
        HOST(a_watch_overflows_at_its_limit),
        HOST(strangers_plant_what_they_like),
        HOST(clocks_move_only_when_told),
    };
    const struct CMUnitTest disorderly_tests[] = {
        LOOP_CONTRACT_TESTS(disorderly_setup, host_teardown),
    };
    int failed;

    blocks_fill();
    failed = cmocka_run_group_tests_name("sim", tests, NULL, NULL);
    failed += cmocka_run_group_tests_name("sim_disorderly", disorderly_tests, NULL, NULL);
    return failed;
}
