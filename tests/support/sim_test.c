/*
 * sim_test: the simulated host keeps the contracts of loop.h and file.h, and its faults are those
 * that sim.h lists: a claim is looked for over many seeds, so that "may" has been seen to happen.
 *
 * Owns:   nothing.
 * Thread: the test's.
 */
#include "io/loop_contract.h"
#include "shm_wire.h"
#include "support/sim.h"
#include "support/sim_producer.h"

enum { SEEDS = 300, BLOCKS = 8, BLOCK = FILE_BLOCK_BYTES };

static uint8_t block_of[256][BLOCK];    /* block_of[c] is a block full of c */

static int host_setup(void **state)
{
    (void)state;
    sim_reset(1);
    contract_root = "/data";
    contract_root_tmpfs = false;
    contract_other = "/shm";
    return sim_mkdir("/data");
}

static int disorderly_setup(void **state)
{
    int rc = host_setup(state);

    sim_set_disorder(500);
    return rc;
}

/* A reset frees the host before; the leak checker sees to it that nothing is left. */
static int host_teardown(void **state)
{
    (void)state;
    print_message("             last seed %llu\n", (unsigned long long)sim_seed());
    sim_reset(0);
    return 0;
}

static void new_host(uint64_t seed)
{
    sim_reset(seed);
    assert_int_equal(sim_mkdir("/data"), 0);
}

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

/* How many of the file's bytes are c, of its size; the size may be wanted too. */
static size_t count_bytes(const char *path, char c, size_t *ret_len)
{
    uint8_t *data;
    size_t len, count = 0;

    assert_int_equal(sim_read_file(path, &data, &len), 0);
    for (size_t i = 0; i < len; i++)
        count += data[i] == (uint8_t)c;
    free(data);
    if (ret_len != NULL)
        *ret_len = len;
    return count;
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
        assert_int_equal(file_mkdirs(FILE_CWD, "/data/d/e", 0755), 0);
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

static int locked_file(void)
{
    int fd = file_open(FILE_CWD, "/data/a", O_RDWR | O_CREAT, 0600);

    assert_true(fd >= 0);
    return fd;
}

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

/* ---- Producers ---- */

static void a_ring_is_published_whole_and_says_who_lives(void **state)
{
    struct sim_producer p;
    int dir = open_dir("/shm"), watch = file_watch_open("/shm"), fd;
    struct shm_superblock sb;
    struct file_stat st;
    struct events events;
    char **names;
    size_t count;

    (void)state;
    memset(&events, 0, sizeof(events));
    assert_int_equal(sim_producer_open(&p, "/shm", "p.ring", 65536), 0);
    assert_true(file_watch_read(watch, on_event, &events) > 0);
    assert_string_equal(events.last_added, "p.ring");
    assert_int_equal(sim_list("/shm", &names, &count), 0);
    assert_int_equal(count, 1);
    assert_string_equal(names[0], "p.ring");
    free(names);
    fd = file_open_beneath(dir, "p.ring");
    assert_true(fd >= 0);
    assert_int_equal(file_stat(fd, &st), 0);
    assert_int_equal(st.size_bytes, 3 * 4096 + SHM_DEFS_BYTES + 65536);
    assert_int_equal(st.allocated_bytes, st.size_bytes);
    assert_int_equal(file_read(fd, &sb, sizeof(sb), 0), sizeof(sb));
    assert_true(sb.magic == SHM_MAGIC);
    assert_int_equal(sb.data_bytes, 65536);
    assert_int_equal(sb.file_bytes, st.size_bytes);
    assert_int_equal(file_lock_probe(fd), 1);
    memset(&events, 0, sizeof(events));
    sim_producer_die(&p);
    assert_int_equal(file_lock_probe(fd), 0);
    assert_int_equal(file_watch_read(watch, on_event, &events), 1);
    assert_int_equal(events.closed, 1);
}

static void frames_lie_in_the_file_as_the_layout_says(void **state)
{
    struct sim_producer p;
    struct shm_frame frame;
    struct shm_def def;
    char text[16] = "";
    unsigned written = 0;
    int fd, rc;

    (void)state;
    assert_int_equal(sim_producer_open(&p, "/shm", "p.ring", 65536), 0);
    assert_int_equal(sim_producer_write(&p, "web", "{\"a\":1}"), 0);
    fd = file_open(FILE_CWD, "/shm/p.ring", O_RDWR, 0);
    assert_int_equal(file_read(fd, &def, sizeof(def), p.superblock->defs_offset), sizeof(def));
    assert_int_equal(def.number, 1);
    assert_int_equal(def.body_len, 3);
    assert_int_equal(file_read(fd, text, 3, p.superblock->defs_offset + sizeof(def)), 3);
    assert_string_equal(text, "web");
    assert_int_equal(file_read(fd, &frame, sizeof(frame), p.superblock->data_offset),
                     sizeof(frame));
    assert_int_equal(frame.len, 7);
    assert_int_equal(frame.def, 1);
    assert_int_equal(frame.kind, SHM_KIND_JSON);
    do {
        rc = sim_producer_write(&p, "web", "{\"a\":1}");
        written += rc == 0;
    } while (rc == 0);
    assert_int_equal(rc, -EAGAIN);
    assert_int_equal(written + 1, 65536 / shm_frame_bytes(7));
    atomic_store(&p.consumer->mark[SHM_POS_ACCEPTED].pos, p.head_pos);
    assert_int_equal(sim_producer_write(&p, "web", "{\"b\":2}"), 0);
    /* The agent may unlink a ring whose producer still holds it. */
    assert_int_equal(file_unlink(FILE_CWD, "/shm/p.ring"), 0);
    file_close(fd);
    assert_int_equal(sim_producer_write(&p, "web", "{\"c\":3}"), 0);
    sim_producer_close(&p);
}

static void a_bell_rings_while_its_agent_lives(void **state)
{
    struct io_loop *loop = make_loop(4);
    struct sim_producer p;
    struct result r;
    int bell = file_bell_open("/shm", SHM_BELL_NAME);

    (void)state;
    assert_true(bell >= 0);
    assert_int_equal(sim_producer_open(&p, "/shm", "p.ring", 65536), 0);
    io_poll(loop, op_of(&r), bell, on_result);
    assert_int_equal(loop_turn(loop, 0), 0);
    sim_producer_want(&p, SHM_POS_DURABLE);
    assert_int_equal(wait_for(loop, &r), 0);
    assert_int_equal(file_bell_drain(bell), 1);
    sim_kill();
    assert_int_equal(sim_ring_bell("/shm/.bell"), -ECONNREFUSED);
    bell = file_bell_open("/shm", SHM_BELL_NAME);
    assert_true(bell >= 0);
    assert_int_equal(sim_ring_bell("/shm/.bell"), 0);
    sim_producer_close(&p);
}

static void a_stranger_s_truncation_faults_the_guards_it_hits(void **state)
{
    struct sim_producer p;
    struct file_guard control, defs;
    int fd;

    (void)state;
    assert_int_equal(sim_producer_open(&p, "/shm", "p.ring", 65536), 0);
    fd = file_open(FILE_CWD, "/shm/p.ring", O_RDWR, 0);
    assert_int_equal(file_guard_map(fd, 0, 3 * 4096, &control), 0);
    assert_int_equal(file_guard_map(fd, 3 * 4096, SHM_DEFS_BYTES, &defs), 0);
    assert_int_equal(sim_truncate("/shm/p.ring", 3 * 4096), 0);
    assert_false(file_guard_faulted(&control));
    assert_true(file_guard_faulted(&defs));
    assert_int_equal(sim_guard_fault("/shm/p.ring"), 0);
    assert_true(file_guard_faulted(&control));
    file_guard_unmap(&control);
    file_guard_unmap(&defs);
    sim_producer_close(&p);
}

#define HOST(test) cmocka_unit_test_setup_teardown(test, host_setup, host_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FILE_CONTRACT_TESTS(host_setup, host_teardown),
        LOOP_CONTRACT_TESTS(host_setup, host_teardown),
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
        HOST(the_nth_operation_fails_once),
        HOST(operations_of_the_loop_fail_like_the_others),
        HOST(some_operations_fail_by_chance),
        HOST(transfers_may_be_short_and_late_and_out_of_order),
        HOST(a_full_file_system_gives_enospc_and_space_comes_back),
        HOST(a_watch_overflows_at_its_limit),
        HOST(strangers_plant_what_they_like),
        HOST(clocks_move_only_when_told),
        HOST(one_seed_makes_one_history),
        HOST(a_ring_is_published_whole_and_says_who_lives),
        HOST(frames_lie_in_the_file_as_the_layout_says),
        HOST(a_bell_rings_while_its_agent_lives),
        HOST(a_stranger_s_truncation_faults_the_guards_it_hits),
    };
    const struct CMUnitTest disorderly_tests[] = {
        LOOP_CONTRACT_TESTS(disorderly_setup, host_teardown),
    };
    int failed;

    for (int c = 0; c < 256; c++)
        memset(block_of[c], c, BLOCK);
    failed = cmocka_run_group_tests_name("sim", tests, NULL, NULL);
    failed += cmocka_run_group_tests_name("sim_disorderly", disorderly_tests, NULL, NULL);
    return failed;
}
