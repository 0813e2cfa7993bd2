/*
 * Claims about the files of a log: what is listed, what is set aside and never deleted, what is
 * trimmed. On simulated I/O.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "support/sim.h"
#include "wal/log_builder.h"
#include "wal/wal_dir.h"

#define DIR "/data/wal"

/* Three segments of two groups each, on disk. */
static void log_place(struct built_log *log)
{
    struct bytes items = BYTES_INIT;
    struct wal_item it = {.type = WAL_TRIM};

    sim_reset(1);
    assert_int_equal(sim_mkdir(DIR), 0);
    built_log_init(log);
    log->end_lsn = 1 << 20;
    built_item(&items, &it);
    for (int i = 0; i < 3; i++) {
        built_segment(log);
        built_append(log, "body", 4, &items, 1);
        built_append(log, NULL, 0, &items, 1);
    }
    bytes_free(&items);
}

static void file_place(const char *name, const void *data, size_t len)
{
    char path[128];

    snprintf(path, sizeof(path), DIR "/%s", name);
    assert_int_equal(sim_write_file(path, data, len), 0);
}

static void segment_place(const struct built_log *log, uint32_t i)
{
    file_place(log->name[i], log->file[i].data, log->file[i].len);
}

static bool there(const char *name, const char *suffix)
{
    char path[128];

    snprintf(path, sizeof(path), DIR "/%s%s", name, suffix);
    return sim_exists(path);
}

static void same_file(const char *name, const char *suffix, const void *data, size_t len)
{
    char path[128];
    uint8_t *found;
    size_t found_len;

    snprintf(path, sizeof(path), DIR "/%s%s", name, suffix);
    assert_int_equal(sim_read_file(path, &found, &found_len), 0);
    assert_int_equal(found_len, len);
    assert_memory_equal(found, data, len);
    free(found);
}

static void a_new_directory_is_made_and_empty(void **state)
{
    struct wal_dir dir;
    struct errmsg err;

    (void)state;
    sim_reset(1);
    assert_int_equal(wal_dir_open(DIR, 0, NULL, false, &dir, &err), -ENOENT);
    assert_non_null(strstr(err.text, DIR));
    assert_int_equal(wal_dir_open(DIR, 0, NULL, true, &dir, &err), 0);
    assert_int_equal(dir.count, 0);
    assert_null(wal_dir_find(&dir, 0));
    assert_int_equal(wal_dir_bytes(&dir), 0);
    wal_dir_close(&dir);
    assert_int_equal(sim_open_descriptors(), 0);
}

static void segments_are_listed_by_number(void **state)
{
    struct built_log log;
    struct wal_dir dir;
    struct errmsg err;
    uint64_t sum = 0;

    (void)state;
    log_place(&log);
    for (uint32_t i = 3; i-- > 0;)
        segment_place(&log, i);
    assert_int_equal(wal_dir_open(DIR, 0, log.uuid, true, &dir, &err), 0);
    assert_int_equal(dir.count, 3);
    for (uint32_t i = 0; i < 3; i++) {
        assert_memory_equal(&dir.segments[i].header, &log.header[i], sizeof(log.header[i]));
        assert_int_equal(dir.segments[i].size_bytes, log.file[i].len);
        sum += log.file[i].len;
        if (i < 2)
            assert_int_equal(dir.segments[i].end_lsn, log.header[i + 1].start_lsn);
        assert_ptr_equal(wal_dir_find(&dir, log.header[i].start_lsn), &dir.segments[i]);
        assert_ptr_equal(wal_dir_find(&dir, log.header[i].start_lsn + log.file[i].len - 1),
                         &dir.segments[i]);
    }
    assert_int_equal(wal_dir_bytes(&dir), sum);
    assert_int_equal(dir.set_aside, 0);
    wal_dir_close(&dir);
    built_log_free(&log);
}

/* What is wrong with the middle one of three segments. */
enum damage {
    DAMAGE_BIT, DAMAGE_SHORT, DAMAGE_EMPTY, DAMAGE_ZERO, DAMAGE_UUID, DAMAGE_NUMBER, DAMAGE_EPOCH,
    DAMAGE_SHARD, DAMAGE_ORDER, DAMAGE_COUNT
};

static void header_change(struct built_log *log, enum damage damage)
{
    struct wal_segment_header *header = &log->header[1];

    if (damage == DAMAGE_UUID)
        header->uuid[3] ^= 1;
    else if (damage == DAMAGE_NUMBER)
        header->number += 10;
    else if (damage == DAMAGE_EPOCH)
        header->epoch++;
    else if (damage == DAMAGE_SHARD)
        header->shard++;
    else
        header->start_lsn = header->prev_end_lsn = log->header[0].start_lsn - WAL_BLOCK;
    wal_segment_header_format(header);
    memcpy(log->file[1].data, header, sizeof(*header));
}

static void damage_do(struct built_log *log, enum damage damage)
{
    switch (damage) {
    case DAMAGE_BIT:
        log->file[1].data[50] ^= 4;
        break;
    case DAMAGE_SHORT:
        log->file[1].len = sizeof(struct wal_segment_header) - 1;
        break;
    case DAMAGE_EMPTY:
        log->file[1].len = 0;
        break;
    case DAMAGE_ZERO:
        memset(log->file[1].data, 0, log->file[1].len);
        break;
    default:
        header_change(log, damage);
    }
}

static void what_is_unreadable_or_foreign_is_set_aside_whole(void **state)
{
    (void)state;
    for (int damage = 0; damage < DAMAGE_COUNT; damage++) {
        struct built_log log;
        struct wal_dir dir;
        struct errmsg err;

        log_place(&log);
        damage_do(&log, (enum damage)damage);
        for (uint32_t i = 0; i < 3; i++)
            segment_place(&log, i);
        /* Who only looks changes nothing. */
        assert_int_equal(wal_dir_open(DIR, 0, log.uuid, false, &dir, &err), 0);
        assert_int_equal(dir.count, 2);
        wal_dir_close(&dir);
        assert_true(there(log.name[1], ""));
        assert_int_equal(wal_dir_open(DIR, 0, log.uuid, true, &dir, &err), 0);
        assert_int_equal(dir.count, 2);
        assert_int_equal(dir.set_aside, 1);
        assert_string_equal(dir.segments[0].name, log.name[0]);
        assert_string_equal(dir.segments[1].name, log.name[2]);
        assert_false(there(log.name[1], ""));
        same_file(log.name[1], ".aside", log.file[1].data, log.file[1].len);
        wal_dir_close(&dir);
        built_log_free(&log);
    }
}

static void a_file_set_aside_never_replaces_another(void **state)
{
    struct built_log log;
    struct wal_dir dir;
    struct errmsg err;

    (void)state;
    log_place(&log);
    for (int i = 0; i < 3; i++) {
        char garbage[32];

        snprintf(garbage, sizeof(garbage), "garbage %d", i);
        file_place(log.name[1], garbage, strlen(garbage));
        assert_int_equal(wal_dir_open(DIR, 0, log.uuid, true, &dir, &err), 0);
        assert_int_equal(dir.set_aside, 1);
        wal_dir_close(&dir);
    }
    same_file(log.name[1], ".aside", "garbage 0", 9);
    same_file(log.name[1], ".aside.1", "garbage 1", 9);
    same_file(log.name[1], ".aside.2", "garbage 2", 9);
    built_log_free(&log);
}

static void what_is_no_file_is_set_aside_too(void **state)
{
    struct built_log log;
    struct wal_dir dir;
    struct errmsg err;
    char path[128];

    (void)state;
    log_place(&log);
    snprintf(path, sizeof(path), DIR "/%s", log.name[0]);
    assert_int_equal(sim_mkdir(path), 0);
    snprintf(path, sizeof(path), DIR "/%s", log.name[1]);
    assert_int_equal(sim_symlink("/nowhere", path), 0);
    segment_place(&log, 2);
    assert_int_equal(wal_dir_open(DIR, 0, log.uuid, true, &dir, &err), 0);
    assert_int_equal(dir.count, 1);
    assert_true(there(log.name[0], ".aside"));
    wal_dir_close(&dir);
    built_log_free(&log);
}

static void what_was_not_begun_is_removed_by_a_start(void **state)
{
    struct built_log log;
    char name[WAL_NAME_MAX];
    struct wal_dir dir;
    struct errmsg err;

    (void)state;
    log_place(&log);
    segment_place(&log, 0);
    wal_dir_name_new(log.name[1], name);
    assert_string_equal(name, "000-0000000165000000-0000000002.new");
    file_place(name, log.file[1].data, log.file[1].len);
    file_place("001-0000000165000000-0000000002.new", "x", 1);
    file_place("notes.new", "x", 1);
    assert_int_equal(wal_dir_open(DIR, 0, log.uuid, false, &dir, &err), 0);
    assert_int_equal(dir.count, 1);
    wal_dir_close(&dir);
    assert_true(there(name, ""));
    assert_int_equal(wal_dir_open(DIR, 0, log.uuid, true, &dir, &err), 0);
    assert_int_equal(dir.count, 1);
    assert_int_equal(dir.set_aside, 0);
    wal_dir_close(&dir);
    assert_false(there(name, ""));
    assert_true(there("001-0000000165000000-0000000002.new", ""));
    assert_true(there("notes.new", ""));
    built_log_free(&log);
}

static int open_life(void *ctx)
{
    struct wal_dir dir;
    struct errmsg err;
    int rc = wal_dir_open(ctx, 0, NULL, true, &dir, &err);

    if (!rc)
        wal_dir_close(&dir);
    return rc;
}

static void a_new_directory_survives_a_power_cut(void **state)
{
    static const char *const paths[] = {"/data/deep/wal", "/wal", "data/wal", "wal",
                                        "./a//b/wal//"};

    (void)state;
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
        for (uint64_t cut = 0; cut < 10; cut++) {
            char path[64];

            snprintf(path, sizeof(path), "%s", paths[i]);
            sim_reset(cut);
            assert_int_equal(sim_run(open_life, path), 0);
            sim_power_cut(cut);
            assert_true(sim_exists(path));
        }
}

static void names_of_others_are_left_alone(void **state)
{
    static const char *const names[] = {
        "README", "000-0000000000000001-0000000001.seg.aside", "000-1-1.seg", ".lock",
        "001-0000000165000000-0000000001.seg",
    };
    struct built_log log;
    struct wal_dir dir;
    struct errmsg err;

    (void)state;
    log_place(&log);
    segment_place(&log, 0);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        file_place(names[i], "x", 1);
    assert_int_equal(wal_dir_open(DIR, 0, log.uuid, true, &dir, &err), 0);
    assert_int_equal(dir.count, 1);
    assert_int_equal(dir.set_aside, 0);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        same_file(names[i], "", "x", 1);
    wal_dir_close(&dir);
    built_log_free(&log);
}

/* Each operation of an open fails once: the log is as whole as before, whatever it says. */
static void a_failing_call_loses_nothing(void **state)
{
    static const int errors[] = {-EMFILE, -ENOMEM, -EIO};

    (void)state;
    for (size_t e = 0; e < sizeof(errors) / sizeof(errors[0]); e++) {
        int rc = -1;

        for (uint64_t nth = 1; rc != 0 || nth < 3; nth++) {
            struct built_log log;
            struct wal_dir dir;
            struct errmsg err;
            uint64_t ops;

            log_place(&log);
            for (uint32_t i = 0; i < 3; i++)
                segment_place(&log, i);
            ops = sim_op_count(SIM_ANY);
            sim_fail(SIM_ANY, nth, 1, errors[e]);
            rc = wal_dir_open(DIR, 0, log.uuid, true, &dir, &err);
            ops = sim_op_count(SIM_ANY) - ops;
            sim_fail_clear();
            if (rc == 0 && nth <= ops) {
                assert_int_equal(dir.set_aside + dir.passed_over, 0);
                assert_int_equal(dir.count, 3);
            }
            for (uint32_t i = 0; i < 3; i++)
                assert_true(there(log.name[i], ""));
            if (rc == 0)
                wal_dir_close(&dir);
            else
                assert_true(strlen(err.text) > 0);
            assert_int_equal(sim_open_descriptors(), 0);
            built_log_free(&log);
            rc = nth <= ops ? -1 : rc;
        }
    }
}

static void trim_removes_only_whole_segments_below(void **state)
{
    (void)state;
    for (uint32_t first = 0; first < 3; first++)
        for (int late = 0; late < 2; late++) {
            struct built_log log;
            struct wal_dir dir;
            struct errmsg err;
            /* Just below where segment `first` begins, and just there. */
            uint64_t lsn;
            uint32_t gone = late ? first : first ? first - 1 : 0;

            log_place(&log);
            lsn = log.header[first].start_lsn;
            lsn = late || lsn == 0 ? lsn : lsn - 1;
            for (uint32_t i = 0; i < 3; i++)
                segment_place(&log, i);
            assert_int_equal(wal_dir_open(DIR, 0, log.uuid, true, &dir, &err), 0);
            assert_int_equal(wal_dir_trim(&dir, lsn, &err), 0);
            assert_int_equal(dir.count, 3 - gone);
            for (uint32_t i = 0; i < 3; i++)
                assert_int_equal(there(log.name[i], ""), i >= gone);
            assert_string_equal(dir.segments[0].name, log.name[gone]);
            assert_int_equal(wal_dir_trim(&dir, UINT64_MAX, &err), 0);
            assert_int_equal(dir.count, 1);             /* never the last */
            assert_true(there(log.name[2], ""));
            wal_dir_close(&dir);
            built_log_free(&log);
        }
}

static int trim_life(void *ctx)
{
    struct built_log *log = ctx;
    struct wal_dir dir;
    struct errmsg err;
    int rc = wal_dir_open(DIR, 0, log->uuid, true, &dir, &err);

    if (!rc)
        rc = wal_dir_trim(&dir, UINT64_MAX, &err);
    if (!rc)
        wal_dir_close(&dir);
    return rc;
}

static void a_power_cut_while_trimming_leaves_no_gap(void **state)
{
    int rc = SIM_CRASHED;

    (void)state;
    for (uint64_t point = 1; rc == SIM_CRASHED; point++)
        for (uint64_t cut = 0; cut < 8; cut++) {
            struct built_log log;

            log_place(&log);
            for (uint32_t i = 0; i < 3; i++)
                segment_place(&log, i);
            sim_crash_at(point);
            rc = sim_run(trim_life, &log);
            assert_true(rc == 0 || rc == SIM_CRASHED);
            sim_power_cut(cut);
            assert_true(there(log.name[2], ""));
            if (there(log.name[0], ""))
                assert_true(there(log.name[1], ""));
            built_log_free(&log);
        }
}

/* A header that the disk cannot read, in a directory that it cannot write either. */
static void what_can_neither_be_read_nor_renamed_is_passed_over(void **state)
{
    struct built_log log;
    struct wal_dir dir;
    struct errmsg err;

    (void)state;
    log_place(&log);
    for (uint32_t i = 0; i < 3; i++)
        segment_place(&log, i);
    sim_fail(SIM_READ, 2, WAL_READ_ATTEMPTS, -EIO);
    sim_fail(SIM_RENAME, 1, 0, -EIO);
    assert_int_equal(wal_dir_open(DIR, 0, log.uuid, true, &dir, &err), 0);
    sim_fail_clear();
    assert_int_equal(dir.count, 2);
    assert_int_equal(dir.set_aside, 0);
    assert_int_equal(dir.passed_over, 1);
    assert_int_equal(dir.number_max, 3);
    assert_true(there(log.name[1], ""));
    wal_dir_close(&dir);
    built_log_free(&log);
}

/* Segment i of the log begins at `prev_end_lsn`, and continues the one before or not. */
static void header_place(struct built_log *log, uint32_t i, uint64_t prev_end_lsn, bool continues)
{
    struct wal_segment_header *header = &log->header[i];

    header->prev_end_lsn = prev_end_lsn;
    header->start_lsn = prev_end_lsn - (continues ? WAL_BLOCK : 0);
    header->flags = continues ? WAL_SEGMENT_CONTINUES : 0;
    wal_segment_header_format(header);
    memcpy(log->file[i].data, header, sizeof(*header));
    segment_place(log, i);
}

static void the_next_segment_says_where_one_ends(void **state)
{
    struct built_log log;
    struct wal_dir dir;
    struct errmsg err;
    uint64_t from, middle;

    (void)state;
    log_place(&log);
    from = log.header[0].prev_end_lsn;
    middle = log.group[0].end_lsn;
    segment_place(&log, 0);
    header_place(&log, 1, middle, false);       /* given up: the third begins there too */
    header_place(&log, 2, middle, true);
    assert_int_equal(wal_dir_open(DIR, 0, log.uuid, true, &dir, &err), 0);
    assert_int_equal(dir.set_aside, 0);
    assert_int_equal(dir.count, 3);
    assert_int_equal(dir.segments[0].end_lsn, middle);
    assert_int_equal(dir.segments[1].end_lsn, middle);
    assert_null(wal_dir_find(&dir, from - 1));
    assert_ptr_equal(wal_dir_find(&dir, from), &dir.segments[0]);
    assert_ptr_equal(wal_dir_find(&dir, middle - 1), &dir.segments[0]);
    assert_ptr_equal(wal_dir_find(&dir, middle), &dir.segments[2]);
    wal_dir_close(&dir);
    built_log_free(&log);
}

static void a_segment_goes_only_with_what_continues_it(void **state)
{
    struct built_log log;
    struct wal_dir dir;
    struct errmsg err;

    (void)state;
    log_place(&log);
    segment_place(&log, 0);
    header_place(&log, 1, log.group[0].end_lsn, true);
    segment_place(&log, 2);
    assert_int_equal(wal_dir_open(DIR, 0, log.uuid, true, &dir, &err), 0);
    assert_int_equal(dir.count, 3);
    assert_int_equal(wal_dir_trimmable(&dir, log.group[0].end_lsn), 0);
    assert_int_equal(wal_dir_trimmable(&dir, log.header[2].prev_end_lsn - 1), 0);
    assert_int_equal(wal_dir_trimmable(&dir, log.header[2].prev_end_lsn), 2);
    assert_int_equal(wal_dir_trim(&dir, log.header[2].prev_end_lsn - 1, &err), 0);
    assert_int_equal(dir.count, 3);
    dir.spares_max = WAL_SPARES_MAX;
    dir.segments[0].damaged = true;
    assert_int_equal(wal_dir_trim(&dir, log.header[2].prev_end_lsn, &err), 0);
    assert_int_equal(dir.count, 1);
    assert_int_equal(dir.spares, 1);            /* a damaged one is not written again */
    wal_dir_close(&dir);
    built_log_free(&log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_directory_is_made_and_empty),
        cmocka_unit_test(segments_are_listed_by_number),
        cmocka_unit_test(what_is_unreadable_or_foreign_is_set_aside_whole),
        cmocka_unit_test(a_file_set_aside_never_replaces_another),
        cmocka_unit_test(what_is_no_file_is_set_aside_too),
        cmocka_unit_test(what_was_not_begun_is_removed_by_a_start),
        cmocka_unit_test(a_new_directory_survives_a_power_cut),
        cmocka_unit_test(names_of_others_are_left_alone),
        cmocka_unit_test(a_failing_call_loses_nothing),
        cmocka_unit_test(what_can_neither_be_read_nor_renamed_is_passed_over),
        cmocka_unit_test(the_next_segment_says_where_one_ends),
        cmocka_unit_test(a_segment_goes_only_with_what_continues_it),
        cmocka_unit_test(trim_removes_only_whole_segments_below),
        cmocka_unit_test(a_power_cut_while_trimming_leaves_no_gap),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
