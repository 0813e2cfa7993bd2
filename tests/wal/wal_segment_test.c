/*
 * wal_segment_test: the next segment is there before it is needed, a roll waits in the loop, and
 * trimmed segments are written again without their old groups ever coming back. On simulated I/O.
 *
 * Owns:   nothing.
 * Thread: one.
 */
#include <fcntl.h>

#include "io/file.h"
#include "support/sim.h"
#include "wal/log_life.h"

static int teardown(void **state)
{
    (void)state;
    print_message("last seed %llu\n", (unsigned long long)sim_seed());
    return 0;
}

static void world_begin(struct world *world, uint64_t seed)
{
    memset(world, 0, sizeof(*world));
    sim_reset(seed);
    world->seed = seed;
    world->len_min = 900 * 1024;
    world->len_max = 1000 * 1024;
    world->segment_size = 8 * 1024 * 1024;
}

static unsigned files_with(const char *suffix)
{
    size_t count, len = strlen(suffix);
    unsigned found = 0;
    char **names;

    assert_int_equal(sim_list(LOG_DIR, &names, &count), 0);
    for (size_t i = 0; i < count; i++) {
        size_t n = strlen(names[i]);

        found += n > len && strcmp(names[i] + n - len, suffix) == 0;
    }
    free(names);
    return found;
}

/* Writes spans until the log has rolled `rolls` times in this life. */
static void spans_until_rolls(struct life *life, uint64_t rolls)
{
    while (life->writer.rolls < rolls) {
        int rc = life_span(life);

        assert_true(rc == 0 || rc == -EAGAIN);
        assert_int_equal(life_turn(life, true), 0);
    }
}

static void drain(struct life *life)
{
    while (!wal_writer_idle(&life->writer))
        assert_int_equal(life_turn(life, true), 0);
}

static void the_next_segment_is_made_when_half_of_one_is_used(void **state)
{
    struct world world;
    struct life life;
    uint64_t half;

    (void)state;
    world_begin(&world, 1);
    world.segment_size *= 2;
    assert_int_equal(life_open(&life, &world), 0);
    half = life.writer.segment_start_lsn + life.writer.segment_bytes / 2;
    while (life.writer.next_lsn < half) {
        assert_int_equal(files_with(".new"), 0);
        assert_int_equal(life_span(&life), 0);
        assert_int_equal(life_turn(&life, true), 0);
    }
    assert_int_equal(life_turn(&life, true), 0);
    assert_int_equal(files_with(".new"), 1);
    assert_int_equal(life.writer.rolls, 0);
    spans_until_rolls(&life, 1);
    assert_int_equal(files_with(".new"), 0);
    assert_int_equal(files_with(".seg"), 2);
    drain(&life);
    life_close(&life);
    assert_int_equal(files_with(".new"), 0);
}

static void spans_join_a_group_while_the_log_rolls(void **state)
{
    struct world world;
    struct life life;
    unsigned during = 0;

    (void)state;
    world_begin(&world, 2);
    world.len_min = 200 * 1024;
    world.len_max = 300 * 1024;
    sim_set_disorder(500);
    assert_int_equal(life_open(&life, &world), 0);
    while (life.writer.rolls < 3) {
        int rc = life_span(&life);

        assert_true(rc == 0 || rc == -EAGAIN);
        wal_writer_step(&life.writer, false);
        during += wal_roll_active(&life.writer.roll) && life_span(&life) == 0;
        assert_int_equal(life_turn(&life, false), 0);
    }
    assert_true(during > 0);
    drain(&life);
    life_close(&life);
    assert_int_equal(life_open(&life, &world), 0);      /* finds every span */
    life_close(&life);
}

/* Lives that trim and recycle; what was trimmed is not looked for any more, and must not appear. */
static void recycle(struct world *world)
{
    struct life life;
    struct errmsg err;

    if (life_open(&life, world) != 0)
        return;
    life.dir.spares_max = WAL_SPARES_MAX;
    for (int round = 0; round < 3; round++) {
        uint64_t lsn;

        spans_until_rolls(&life, life.writer.rolls + 2);
        drain(&life);
        wal_writer_want_sync(&life.writer, life.writer.commits);
        drain(&life);
        lsn = life.writer.segment_start_lsn;
        assert_int_equal(wal_dir_trim(&life.dir, lsn, &err), 0);
        assert_true(life.dir.spares > 0);
        assert_int_equal(files_with(".seg"), 1);
        /* Those that the next start does not find are gone, and must stay so at the one after. */
        for (unsigned i = 0; i < world->spans; i++)
            world->span[i].committed = false;
        life.span_first = world->spans;
    }
    drain(&life);
    life_close(&life);
}

static void trimmed_segments_are_written_again_and_their_groups_stay_gone(void **state)
{
    (void)state;
    for (uint64_t seed = 10; seed < 14; seed++) {
        struct world world;
        struct life life;

        world_begin(&world, seed);
        recycle(&world);
        assert_int_equal(files_with(".new"), 0);
        for (int starts = 0; starts < 3; starts++) {
            assert_int_equal(life_open(&life, &world), 0);
            assert_true(world.span[0].gone);
            assert_int_equal(life_span(&life), 0);
            drain(&life);
            life_close(&life);
        }
        assert_int_equal(life_open(&life, &world), 0);
        assert_true(world.span[world.spans - 1].seen);
        life_close(&life);
    }
}

static int recycle_main(void *ctx)
{
    recycle(ctx);
    return 0;
}

/* Which spans a trim had reached is not known: only that what is there can be read to its end. */
static void log_opens_whole(void)
{
    struct wal_group_view g;
    struct wal_reader r;
    struct wal_dir dir;
    struct errmsg err;
    int n;

    assert_int_equal(wal_dir_open(LOG_DIR, 0, world_uuid, true, &dir, &err), 0);
    assert_int_equal(dir.set_aside, 0);
    wal_reader_init(&r, &dir);
    while ((n = wal_reader_next(&r, UINT64_MAX, &g)) == 1) {
        const uint8_t *at = g.items;
        struct wal_item it;

        while (at < g.items_end)
            assert_int_equal(wal_item_next(&at, g.items_end, &it), 0);
    }
    assert_int_equal(n, 0);
    assert_int_equal(files_with(".new"), 0);
    wal_reader_fini(&r);
    wal_dir_close(&dir);
}

static void a_kill_while_segments_are_recycled_leaves_a_log_that_opens(void **state)
{
    int rc = SIM_CRASHED;

    (void)state;
    for (uint64_t point = 1; rc == SIM_CRASHED; point += 23) {
        struct world world;

        world_begin(&world, 1000 + point);
        sim_crash_at(point);
        rc = sim_run(recycle_main, &world);
        if (point % 2)
            sim_kill();
        else
            sim_power_cut(point);
        sim_crash_at(0);
        log_opens_whole();
    }
}

/* No room for a next segment: data has to wait, acknowledgements go on, and it passes. */
static void a_full_disk_stops_data_and_not_what_frees_the_log(void **state)
{
    struct wal_item trim = {.type = WAL_TRIM};
    struct world world;
    struct life life;
    uint64_t commits;

    (void)state;
    world_begin(&world, 3);
    assert_int_equal(life_open(&life, &world), 0);
    sim_fail(SIM_ALLOCATE, 1, UINT32_MAX, -ENOSPC);
    while (wal_writer_blocked(&life.writer) == 0) {
        assert_int_equal(life_span(&life), 0);
        assert_int_equal(life_turn(&life, true), 0);
    }
    assert_int_equal(wal_writer_blocked(&life.writer), -ENOSPC);
    drain(&life);
    assert_null(wal_writer_data_group(&life.writer));
    for (int i = 0; i < 100; i++) {
        commits = life.writer.commits;
        assert_int_equal(wal_writer_item(&life.writer, &trim, NULL), 0);
        wal_writer_want_sync(&life.writer, commits + 1);
        drain(&life);
        assert_int_equal(life.writer.commits, commits + 1);
    }
    sim_fail_clear();
    sim_advance_ns(1000000000);
    assert_int_equal(life_turn(&life, true), 0);
    assert_int_equal(life_turn(&life, true), 0);
    assert_int_equal(wal_writer_blocked(&life.writer), 0);
    spans_until_rolls(&life, 1);
    drain(&life);
    life_close(&life);
    assert_int_equal(life_open(&life, &world), 0);      /* finds every span */
    life_close(&life);
}

/* Leaves so much room in the log's file system. */
static void room_leave(uint64_t bytes)
{
    int dir = file_open(FILE_CWD, LOG_DIR, O_RDONLY | O_DIRECTORY, 0);
    struct file_fs fs;

    assert_true(dir >= 0);
    assert_int_equal(file_fs(dir, &fs), 0);
    file_close(dir);
    sim_set_capacity(LOG_DIR, fs.total_bytes - fs.free_bytes + bytes);
}

/* Less room than a segment takes: it is there to acknowledge what will free the rest. */
static void a_start_on_a_full_disk_takes_what_there_is(void **state)
{
    struct wal_item trim = {.type = WAL_TRIM};
    struct world world;
    struct life life;

    (void)state;
    world_begin(&world, 4);
    assert_int_equal(life_open(&life, &world), 0);
    assert_int_equal(life_span(&life), 0);
    drain(&life);
    life_close(&life);
    for (uint64_t leave = 4 * 1024 * 1024; leave >= 256 * 1024; leave /= 2) {
        room_leave(leave);
        assert_int_equal(life_open(&life, &world), 0);
        assert_int_equal(wal_writer_blocked(&life.writer), -ENOSPC);
        assert_null(wal_writer_data_group(&life.writer));
        for (int i = 0; i < 5; i++) {
            assert_int_equal(wal_writer_item(&life.writer, &trim, NULL), 0);
            drain(&life);
        }
        life_close(&life);
    }
    assert_int_equal(life_open(&life, &world), 0);
    sim_set_capacity(LOG_DIR, 1 << 30);
    sim_advance_ns(1000000000);
    assert_int_equal(life_turn(&life, true), 0);
    assert_int_equal(wal_writer_blocked(&life.writer), 0);
    spans_until_rolls(&life, 1);
    drain(&life);
    life_close(&life);
    assert_int_equal(life_open(&life, &world), 0);      /* finds every span */
    life_close(&life);
    room_leave(0);
    assert_int_equal(life_open(&life, &world), -ENOSPC);
    life_close(&life);
}

/* A roll with room left, whose name was tried; then more spans, as soon as they are taken. */
static int unnamed_main(void *ctx)
{
    struct world *world = ctx;
    struct life life;
    unsigned last;
    int rc = life_open(&life, world);

    if (rc)
        return rc;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(life_span(&life), 0);
        drain(&life);
    }
    while (life.writer.synced_commits < life.writer.commits)
        assert_int_equal(life_turn(&life, true), 0);
    sim_fail(SIM_SYNC, 2, 1, -EIO);     /* of the directory, behind that of the file */
    wal_writer_ask_roll(&life.writer);
    while (wal_writer_failing(&life.writer) == 0)
        assert_int_equal(life_turn(&life, true), 0);
    assert_int_equal(life.dir.count, 1);
    assert_null(wal_writer_data_group(&life.writer));
    last = world->spans + 3;
    while (world->spans < last) {
        int taken = life_span(&life);

        assert_true(taken == 0 || taken == -EAGAIN);
        assert_int_equal(life_turn(&life, true), 0);
    }
    while (life.writer.synced_commits < life.writer.commits || !wal_writer_idle(&life.writer))
        assert_int_equal(life_turn(&life, true), 0);
    assert_int_equal(life.writer.rolls, 1);
    assert_int_equal(wal_writer_failing(&life.writer), 0);
    life_close(&life);
    return 0;
}

static void a_name_that_comes_back_with_a_power_cut_hides_nothing(void **state)
{
    int rc = SIM_CRASHED;

    (void)state;
    for (uint64_t point = 1; rc == SIM_CRASHED; point += 3)
        for (uint64_t cut = 0; cut < 3; cut++) {
            struct world world;

            world_begin(&world, point);
            world.len_min = 100000;
            world.len_max = 200000;
            sim_crash_at(point);
            rc = sim_run(unnamed_main, &world);
            sim_fail_clear();
            sim_power_cut(point + cut);
            sim_crash_at(0);
            world.power_cut = true;
            assert_int_equal(sim_run(life_main, &world), 0);
            assert_int_equal(sim_run(life_main, &world), 0);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_start_on_a_full_disk_takes_what_there_is),
        cmocka_unit_test(the_next_segment_is_made_when_half_of_one_is_used),
        cmocka_unit_test(spans_join_a_group_while_the_log_rolls),
        cmocka_unit_test(a_full_disk_stops_data_and_not_what_frees_the_log),
        cmocka_unit_test(a_name_that_comes_back_with_a_power_cut_hides_nothing),
        cmocka_unit_test(trimmed_segments_are_written_again_and_their_groups_stay_gone),
        cmocka_unit_test(a_kill_while_segments_are_recycled_leaves_a_log_that_opens),
    };

    return cmocka_run_group_tests(tests, NULL, teardown);
}
