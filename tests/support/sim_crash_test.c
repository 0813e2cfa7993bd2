/*
 * sim_crash_test: what a power cut and a SIGKILL may do to the simulated host, and what never. A
 * claim is looked for over many seeds, so that "may" has been seen to happen.
 *
 * Owns:   nothing.
 * Thread: the test's.
 */
#include "support/sim.h"
#include "support/sim_fixture.h"

static int make_blocks(char c)
{
    int fd = file_open(FILE_CWD, "/data/a", O_RDWR | O_CREAT, 0600);

    assert_true(fd >= 0);
    for (unsigned i = 0; i < BLOCKS; i++)
        assert_int_equal(file_write(fd, block_of[(uint8_t)c], BLOCK, i * BLOCK), 0);
    return fd;
}

static void sync_path(const char *path)
{
    int fd = file_open(FILE_CWD, path, O_RDONLY, 0);

    assert_true(fd >= 0);
    assert_int_equal(file_sync(fd), 0);
    file_close(fd);
}

/* ---- Power cuts ---- */

static void unsynced_blocks_may_vanish_at_a_power_cut(void **state)
{
    unsigned all = 0, none = 0, some = 0, torn = 0;

    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        size_t kept;

        new_host(seed);
        assert_int_equal(sim_write_file("/data/a", NULL, 0), 0);
        file_close(make_blocks('x'));
        assert_int_equal(sim_unsynced("/data/a"), BLOCKS * BLOCK);
        sim_power_cut(seed);
        kept = count_bytes("/data/a", 'x', NULL);
        all += kept == BLOCKS * BLOCK;
        none += kept == 0;
        some += kept > 0 && kept < BLOCKS * BLOCK;
        torn += kept % BLOCK != 0;
        assert_int_equal(sim_unsynced("/data/a"), 0);
    }
    assert_true(all > 0 && none > 0 && some > 0 && torn > 0);
}

static void synced_blocks_never_vanish(void **state)
{
    unsigned old = 0, young = 0;

    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        size_t len, x, y;
        int fd;

        new_host(seed);
        fd = make_blocks('x');
        assert_int_equal(file_sync(fd), 0);
        sync_path("/data");
        assert_int_equal(file_write(fd, block_of['y'], BLOCK, 2 * BLOCK), 0);
        assert_int_equal(file_truncate(fd, 5 * BLOCK + 1), 0);
        sim_power_cut(seed);
        x = count_bytes("/data/a", 'x', &len);
        y = count_bytes("/data/a", 'y', NULL);
        assert_true(len == BLOCKS * BLOCK || len == 5 * BLOCK + 1);
        assert_true(y <= BLOCK && x >= 4 * BLOCK);
        old += x == BLOCKS * BLOCK;
        young += len == 5 * BLOCK + 1 && y == BLOCK;
    }
    assert_true(old > 0 && young > 0);
}

static void a_sync_covers_what_was_written_before_it_alone(void **state)
{
    unsigned second = 0;

    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct io_loop *loop = NULL;
        struct result r;
        size_t len, y;
        int fd;

        new_host(seed);
        loop = make_loop(4);
        fd = make_blocks('x');
        sync_path("/data");
        io_sync(loop, op_of(&r), fd, true, on_result);
        assert_int_equal(file_write(fd, block_of['y'], BLOCK, 0), 0);
        assert_int_equal(wait_for(loop, &r), 0);
        sim_power_cut(seed);
        y = count_bytes("/data/a", 'y', &len);
        assert_int_equal(len, BLOCKS * BLOCK);
        assert_int_equal(count_bytes("/data/a", 'x', NULL), len - y);
        second += y == BLOCK;
    }
    assert_true(second > 0 && second < SEEDS);
}

static void a_failed_sync_leaves_its_blocks_in_doubt(void **state)
{
    unsigned lost = 0, kept = 0;

    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        size_t x;
        int fd;

        new_host(seed);
        fd = make_blocks('x');
        sync_path("/data");
        sim_fail_next(SIM_SYNC, -EIO);
        assert_int_equal(file_sync(fd), -EIO);
        assert_int_equal(file_write(fd, block_of['y'], BLOCK, 0), 0);
        assert_int_equal(file_sync(fd), 0);
        sim_power_cut(seed);
        x = count_bytes("/data/a", 'x', NULL);
        assert_int_equal(count_bytes("/data/a", 'y', NULL), BLOCK);
        lost += x < (BLOCKS - 1) * BLOCK;
        kept += x == (BLOCKS - 1) * BLOCK;
    }
    assert_true(lost > 0 && kept > 0);
}

static void an_unsynced_name_may_vanish_and_a_synced_one_never(void **state)
{
    unsigned with = 0, without = 0;

    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        int dir;

        new_host(seed);
        dir = open_dir("/data");
        file_close(make_file(dir, "a", "one"));
        sync_path("/data/a");
        assert_int_equal(file_sync(dir), 0);
        file_close(make_file(dir, "b", "two"));
        sync_path("/data/b");
        assert_int_equal(sim_unsynced("/data"), 1);
        sim_power_cut(seed);
        assert_content(FILE_CWD, "/data/a", "one");
        with += sim_exists("/data/b");
        without += !sim_exists("/data/b");
        if (sim_exists("/data/b"))
            assert_content(FILE_CWD, "/data/b", "two");
    }
    assert_true(with > 0 && without > 0);
}

static void a_rename_is_atomic_in_a_directory_and_not_across_two(void **state)
{
    unsigned seen[4] = {0, 0, 0, 0};

    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        int dir;

        new_host(seed);
        assert_int_equal(sim_mkdir("/data/to"), 0);
        assert_int_equal(sim_write_file("/data/a", "one", 3), 0);
        assert_int_equal(sim_write_file("/data/b", "two", 3), 0);
        dir = open_dir("/data");
        assert_int_equal(file_rename(dir, "a", dir, "c"), 0);
        assert_int_equal(file_rename(dir, "b", dir, "to/b"), 0);
        sim_power_cut(seed);
        assert_int_equal(sim_exists("/data/a") + sim_exists("/data/c"), 1);
        seen[sim_exists("/data/b") + 2 * sim_exists("/data/to/b")]++;
    }
    assert_true(seen[0] > 0 && seen[1] > 0 && seen[2] > 0 && seen[3] > 0);
}

static void a_lost_directory_takes_its_synced_files_along(void **state)
{
    unsigned lost = 0;

    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        new_host(seed);
        assert_int_equal(file_mkdir(FILE_CWD, "/data/d", 0755), 0);
        assert_int_equal(file_mkdir(FILE_CWD, "/data/d/e", 0755), 0);
        file_close(make_file(FILE_CWD, "/data/d/e/a", "one"));
        sync_path("/data/d/e/a");
        sync_path("/data/d/e");
        sync_path("/data/d");
        sim_power_cut(seed);
        lost += !sim_exists("/data/d");
        if (sim_exists("/data/d"))
            assert_content(FILE_CWD, "/data/d/e/a", "one");
    }
    assert_true(lost > 0 && lost < SEEDS);
}

static void a_power_cut_empties_tmpfs_and_begins_another_boot(void **state)
{
    uint8_t before[16], after[16];
    uint64_t real_ns = sim_real_ns();

    (void)state;
    assert_int_equal(sim_write_file("/shm/a", "one", 3), 0);
    assert_int_equal(file_boot_id(before), 0);
    sim_kill();
    assert_true(sim_exists("/shm/a"));
    assert_int_equal(file_boot_id(after), 0);
    assert_memory_equal(before, after, 16);
    sim_power_cut(1);
    assert_false(sim_exists("/shm/a"));
    assert_int_equal(file_boot_id(after), 0);
    assert_memory_not_equal(before, after, 16);
    assert_true(sim_real_ns() > real_ns);
}

static void what_strangers_do_is_on_the_disk_at_once(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        int dir;

        new_host(seed);
        dir = open_dir("/data");
        file_close(make_file(dir, "mine", ""));
        assert_int_equal(sim_write_file("/data/a", "one", 3), 0);
        assert_int_equal(sim_rename("/data/a", "/data/b"), 0);
        assert_int_equal(sim_poke("/data/b", 3, "two", 3), 0);
        assert_int_equal(sim_write_file("/data/c", "one", 3), 0);
        assert_int_equal(sim_unlink("/data/c"), 0);
        assert_int_equal(sim_unsynced("/data"), 1);
        sim_power_cut(seed);
        assert_content(FILE_CWD, "/data/b", "onetwo");
        assert_false(sim_exists("/data/a"));
        assert_false(sim_exists("/data/c"));
    }
}

/* ---- SIGKILL ---- */

static void leave_writes_under_way(void)
{
    struct io_loop *loop = make_loop(BLOCKS);
    static struct result r[BLOCKS];
    int fd = locked_file();

    assert_int_equal(file_lock(fd, false), 0);
    sim_set_disorder(1000);
    for (unsigned i = 0; i < BLOCKS; i++)
        io_write(loop, op_of(&r[i]), fd, block_of['x'], BLOCK, i * BLOCK, on_result);
    assert_int_equal(loop_turn(loop, 0), 0);
    sim_kill();
    sim_set_disorder(0);
}

static void a_killed_writer_holds_its_lock_until_the_last_write_landed(void **state)
{
    unsigned held = 0, at_once = 0;

    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        size_t before;
        int fd, rc;

        new_host(seed);
        leave_writes_under_way();
        fd = locked_file();
        rc = file_lock(fd, false);
        assert_true(rc == 0 || rc == -EWOULDBLOCK);
        held += rc != 0;
        at_once += rc == 0;
        assert_int_equal(file_lock(fd, true), 0);
        before = count_bytes("/data/a", 'x', NULL);
        sim_land();
        assert_int_equal(count_bytes("/data/a", 'x', NULL), before);
    }
    assert_true(held > 0 && at_once > 0);
}

static void writes_of_a_killed_life_land_while_the_next_one_runs(void **state)
{
    unsigned late = 0, missing = 0;

    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct file_stat st;
        size_t before, after;

        new_host(seed);
        leave_writes_under_way();
        before = count_bytes("/data/a", 'x', NULL);
        for (int i = 0; i < 200; i++)
            assert_int_equal(file_stat_at(FILE_CWD, "/data/a", &st), 0);
        after = count_bytes("/data/a", 'x', NULL);
        late += after > before;
        missing += after < BLOCKS * BLOCK;
        assert_int_equal(after % BLOCK, 0);
    }
    assert_true(late > 0 && missing > 0);
}

static void what_was_only_prepared_never_lands(void **state)
{
    static struct result r;
    struct io_loop *loop = make_loop(4);
    int fd = locked_file();

    (void)state;
    io_write(loop, op_of(&r), fd, block_of['x'], BLOCK, 0, on_result);
    sim_kill();
    sim_land();
    assert_int_equal(count_bytes("/data/a", 'x', NULL), 0);
}

static void a_kill_closes_descriptors_and_unsynced_data_stays(void **state)
{
    int fd = make_blocks('x');

    (void)state;
    assert_int_equal(file_lock(fd, false), 0);
    assert_int_equal(sim_open_descriptors(), 1);
    sim_kill();
    assert_int_equal(sim_open_descriptors(), 0);
    assert_int_equal(count_bytes("/data/a", 'x', NULL), BLOCKS * BLOCK);
    fd = locked_file();
    assert_int_equal(file_lock(fd, false), 0);
}

/* ---- Crash points ---- */

struct life {
    unsigned step;                      /* survives the crash, as the host does */
};

/* Writes a file under a dot-name, syncs it, renames it, syncs the directory: each step counts. */
static int deliver(void *ctx)
{
    struct life *life = ctx;
    struct result r;
    struct io_loop *loop = make_loop(4);
    int dir = open_dir("/data"), fd;

    life->step = 1;
    if (file_unlink(dir, ".tmp") == 0 || sim_exists("/data/final"))
        life->step = 2;
    if (!sim_exists("/data/final")) {
        fd = file_open(dir, ".tmp", O_RDWR | O_CREAT | O_TRUNC, 0600);
        assert_true(fd >= 0);
        io_write(loop, op_of(&r), fd, block_of['x'], BLOCK, 0, on_result);
        assert_int_equal(wait_for(loop, &r), BLOCK);
        io_sync(loop, op_of(&r), fd, true, on_result);
        assert_int_equal(wait_for(loop, &r), 0);
        file_close(fd);
        io_rename(loop, op_of(&r), dir, ".tmp", dir, "final", on_result);
        assert_int_equal(wait_for(loop, &r), 0);
    }
    assert_int_equal(file_sync(dir), 0);
    life->step = 3;
    file_close(dir);
    loop_close(loop);
    return 17;
}

static void check_delivery(const struct life *life)
{
    size_t len;

    if (life->step == 3)
        assert_true(sim_exists("/data/final"));
    if (!sim_exists("/data/final"))
        return;
    assert_int_equal(count_bytes("/data/final", 'x', &len), BLOCK);
    assert_int_equal(len, BLOCK);
}

static void crash_everywhere(bool power, uint64_t seed, unsigned *ret_points)
{
    for (uint64_t point = 1; ; point++) {
        struct life life = {0};
        int rc;

        new_host(seed + point);
        sim_set_disorder(300);
        sim_crash_at(point);
        rc = sim_run(deliver, &life);
        if (rc != SIM_CRASHED) {
            assert_int_equal(rc, 17);
            *ret_points = (unsigned)point;
            return;
        }
        if (power)
            sim_power_cut(seed + point);
        else
            sim_kill();
        check_delivery(&life);
        assert_int_equal(sim_run(deliver, &life), 17);
        check_delivery(&life);
        assert_int_equal(sim_open_descriptors(), 0);
    }
}

static void a_crash_at_every_operation_ends(void **state)
{
    unsigned points = 0;

    (void)state;
    crash_everywhere(false, 1, &points);
    assert_int_equal(points, 2 * sim_op_count(SIM_ANY) + 1);
    for (uint64_t seed = 0; seed < 100; seed++) {
        crash_everywhere(true, seed * 1000, &points);
        crash_everywhere(false, seed * 1000, &points);
    }
    assert_int_equal(points, 2 * sim_op_count(SIM_ANY) + 1);
}

static int write_one(void *ctx)
{
    int fd = *(int *)ctx;

    return file_write(fd, "x", 1, 0);
}

static void a_crash_point_is_before_or_after_the_operation(void **state)
{
    (void)state;
    for (uint64_t point = 1; point <= 2; point++) {
        int fd;

        new_host(point);
        fd = locked_file();
        sim_crash_at(point);
        assert_int_equal(sim_run(write_one, &fd), SIM_CRASHED);
        sim_kill();
        assert_int_equal(count_bytes("/data/a", 'x', NULL), point == 2);
    }
}

static uint64_t scenario(uint64_t seed)
{
    uint64_t sum = seed;
    uint8_t *data;
    size_t len;

    new_host(seed);
    leave_writes_under_way();
    sim_power_cut(seed);
    if (!sim_exists("/data/a"))
        return sum;
    assert_int_equal(sim_read_file("/data/a", &data, &len), 0);
    for (size_t i = 0; i < len; i++)
        sum = sum * 31 + data[i];
    free(data);
    return sum;
}

static void one_seed_makes_one_history(void **state)
{
    unsigned different = 0;

    (void)state;
    for (uint64_t seed = 0; seed < 50; seed++) {
        assert_int_equal(scenario(seed), scenario(seed));
        different += scenario(seed) * 31 != scenario(seed + 1);
    }
    assert_true(different > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        HOST(unsynced_blocks_may_vanish_at_a_power_cut),
        HOST(synced_blocks_never_vanish),
        HOST(a_sync_covers_what_was_written_before_it_alone),
        HOST(a_failed_sync_leaves_its_blocks_in_doubt),
        HOST(an_unsynced_name_may_vanish_and_a_synced_one_never),
        HOST(a_rename_is_atomic_in_a_directory_and_not_across_two),
        HOST(a_lost_directory_takes_its_synced_files_along),
        HOST(a_power_cut_empties_tmpfs_and_begins_another_boot),
        HOST(what_strangers_do_is_on_the_disk_at_once),
        HOST(a_killed_writer_holds_its_lock_until_the_last_write_landed),
        HOST(writes_of_a_killed_life_land_while_the_next_one_runs),
        HOST(what_was_only_prepared_never_lands),
        HOST(a_kill_closes_descriptors_and_unsynced_data_stays),
        HOST(a_crash_at_every_operation_ends),
        HOST(a_crash_point_is_before_or_after_the_operation),
        HOST(one_seed_makes_one_history),
    };

    blocks_fill();
    return cmocka_run_group_tests_name("sim_crash", tests, NULL, NULL);
}
