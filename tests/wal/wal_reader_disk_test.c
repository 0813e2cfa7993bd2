/*
 * Claims about reading a log from a disk that fails: a block that cannot be read costs the group
 * whose COMMIT it is in, or spoils the body it is in, and nothing else; and about segments that
 * continue or supersede others. On simulated I/O.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>

#include "support/sim.h"
#include "wal/log_builder.h"
#include "wal/wal_reader.h"

#define DIR "/data/wal"

enum { GROUPS = 4, SEGMENTS = 2 };

static struct built_log built;

static void file_place(uint32_t i)
{
    char path[128];

    snprintf(path, sizeof(path), DIR "/%s", built.name[i]);
    assert_int_equal(sim_write_file(path, built.file[i].data, built.file[i].len), 0);
}

static int place(void **state)
{
    static uint8_t body[3 * WAL_BLOCK];
    struct bytes items = BYTES_INIT;
    struct wal_item it = {.type = WAL_TRIM};

    (void)state;
    sim_reset(1);
    assert_int_equal(sim_mkdir(DIR), 0);
    built_log_init(&built);
    for (int s = 0; s < SEGMENTS; s++) {
        built_segment(&built);
        for (int i = 0; i < GROUPS; i++) {
            bytes_clear(&items);
            it.u.trim.lsn = built.groups;
            built_item(&items, &it);
            memset(body, 0x10 + (int)built.groups, sizeof(body));
            built_append(&built, body, sizeof(body), &items, 1);
        }
        file_place((uint32_t)s);
    }
    bytes_free(&items);
    return 0;
}

static int unplace(void **state)
{
    (void)state;
    built_log_free(&built);
    return 0;
}

struct found {
    uint32_t groups, spoiled;           /* a bit for each group */
    uint64_t io_errors, hole_bytes, lsn;
    int rc;
};

static void log_read(struct wal_dir *dir, struct found *ret)
{
    struct wal_group_view g;
    struct wal_reader r;

    memset(ret, 0, sizeof(*ret));
    wal_reader_init(&r, dir);
    while ((ret->rc = wal_reader_next(&r, UINT64_MAX, &g)) == 1) {
        const uint8_t *at = g.items;
        struct wal_item it;

        assert_int_equal(wal_item_next(&at, g.items_end, &it), 0);
        assert_int_equal(g.body_lsn, built.group[it.u.trim.lsn].group_lsn);
        ret->groups |= 1U << it.u.trim.lsn;
        for (uint64_t i = 0; i < g.commit.lsn - g.body_lsn; i++)
            if (g.body[i] != 0x10 + it.u.trim.lsn) {
                ret->spoiled |= 1U << it.u.trim.lsn;
                break;
            }
        ret->hole_bytes += g.body_lsn - g.hole_from;
    }
    ret->io_errors = r.io_errors;
    ret->lsn = r.lsn;
    wal_reader_fini(&r);
}

static void a_bad_block_costs_its_own_group(void **state)
{
    uint32_t blocks = (uint32_t)(built.file[0].len / WAL_BLOCK) - 1;

    (void)state;
    assert_int_equal(blocks, GROUPS * 4);
    for (uint32_t block = 0; block < blocks; block++) {
        uint32_t group = block / 4, all = (1U << built.groups) - 1;
        struct found found, again;
        struct wal_dir dir;
        struct errmsg err;

        assert_int_equal(wal_dir_open(DIR, 0, built.uuid, false, &dir, &err), 0);
        sim_fail(SIM_READ, 1, 1, -EIO);             /* the window, from the first group on */
        sim_fail(SIM_READ, 2 + block, WAL_READ_ATTEMPTS, -EIO);    /* then the block itself */
        log_read(&dir, &found);
        sim_fail_clear();
        assert_int_equal(found.rc, 0);
        assert_int_equal(found.io_errors, 1);
        if (block % 4 == 3) {       /* its COMMIT */
            assert_int_equal(found.groups, all & ~(1U << group));
            assert_int_equal(found.spoiled, 0);
            /* At the end of a segment, the header of the next one is between the two groups. */
            assert_int_equal(found.hole_bytes, (group == GROUPS - 1 ? 5 : 4) * WAL_BLOCK);
        } else {
            assert_int_equal(found.groups, all);
            assert_int_equal(found.spoiled, 1U << group);
        }
        assert_int_equal(found.lsn, built.end_lsn);
        /* Though the disk has thought better of it: what a life has seen must not change. */
        log_read(&dir, &again);
        assert_int_equal(again.groups, found.groups);
        assert_int_equal(again.spoiled, found.spoiled);
        assert_int_equal(again.io_errors, 0);
        wal_dir_close(&dir);
    }
}

static void a_segment_that_cannot_be_opened_is_a_hole(void **state)
{
    (void)state;
    for (uint32_t gone = 0; gone < SEGMENTS; gone++) {
        struct found found;
        struct wal_dir dir;
        struct errmsg err;

        assert_int_equal(wal_dir_open(DIR, 0, built.uuid, false, &dir, &err), 0);
        sim_fail(SIM_OPEN, 1 + gone, WAL_READ_ATTEMPTS, -EIO);
        log_read(&dir, &found);
        sim_fail_clear();
        assert_int_equal(found.rc, 0);
        assert_true(found.io_errors > 0);
        assert_int_equal(found.groups, 0xfU << (GROUPS * (1 - gone)));
        wal_dir_close(&dir);
    }
}

static void what_is_short_is_no_hole(void **state)
{
    struct found found;
    struct wal_dir dir;
    struct errmsg err;

    (void)state;
    assert_int_equal(wal_dir_open(DIR, 0, built.uuid, false, &dir, &err), 0);
    sim_fail_next(SIM_OPEN, -EMFILE);
    log_read(&dir, &found);
    assert_int_equal(found.rc, -EMFILE);
    assert_int_equal(found.groups, 0);
    wal_dir_close(&dir);
}

/* Segment 2 begins at a group of segment 1, whose later ones count no more. */
static void segment_move(uint64_t prev_end_lsn, bool continues)
{
    struct wal_segment_header *header = &built.header[1];

    header->prev_end_lsn = prev_end_lsn;
    header->start_lsn = prev_end_lsn - (continues ? WAL_BLOCK : 0);
    header->flags = continues ? WAL_SEGMENT_CONTINUES : 0;
    wal_segment_header_format(header);
    built.file[1].len = WAL_BLOCK;
    memcpy(built.file[1].data, header, sizeof(*header));
    built.end_lsn = prev_end_lsn + (continues ? 0 : WAL_BLOCK);
}

static void a_continuation_takes_over_at_its_lsn(void **state)
{
    static const uint8_t body[3 * WAL_BLOCK] = {1};
    struct bytes items = BYTES_INIT;
    struct wal_item it = {.type = WAL_TRIM};
    uint64_t from = built.group[1].end_lsn;
    struct wal_group_view g;
    struct wal_reader r;
    struct wal_dir dir;
    struct errmsg err;

    (void)state;
    segment_move(from, true);
    built.groups = 2;
    it.u.trim.lsn = 77;
    built_item(&items, &it);
    built_append(&built, body, sizeof(body), &items, 1);
    file_place(1);
    assert_int_equal(built.group[2].group_lsn, from);
    assert_int_equal(wal_dir_open(DIR, 0, built.uuid, true, &dir, &err), 0);
    assert_int_equal(dir.count, 2);
    wal_reader_init(&r, &dir);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(wal_reader_next(&r, UINT64_MAX, &g), 1);
        assert_int_equal(g.body_lsn, built.group[i].group_lsn);
        assert_int_equal(g.hole_from, g.body_lsn);
        assert_int_equal(g.id.segment, i < 2 ? 1 : 2);
    }
    assert_int_equal(g.body[0], 1);
    assert_int_equal(wal_reader_next(&r, UINT64_MAX, &g), 0);
    wal_reader_fini(&r);
    /* Without what it continues it is not where reading begins, unless it is all there is. */
    dir.segments++;
    dir.count--;
    wal_reader_init(&r, &dir);
    assert_int_equal(r.lsn, from);
    wal_reader_fini(&r);
    dir.segments--;
    dir.count++;
    wal_dir_close(&dir);
    bytes_free(&items);
}

/* The log grows between the calls: what was complete before is not read again. */
static void following_a_writer_reads_the_log_about_once(void **state)
{
    uint64_t before = sim_op_count(SIM_READ);
    struct wal_group_view g;
    struct wal_reader r;
    struct wal_dir dir;
    struct errmsg err;

    (void)state;
    assert_int_equal(wal_dir_open(DIR, 0, built.uuid, false, &dir, &err), 0);
    before = sim_op_count(SIM_READ);
    wal_reader_init(&r, &dir);
    for (uint64_t lsn = built.end_lsn - 100; lsn < built.end_lsn; lsn++)
        if (wal_reader_next(&r, lsn, &g) != 1)
            break;
    assert_int_equal(r.lsn, built.end_lsn);
    assert_true(sim_op_count(SIM_READ) - before <= SEGMENTS + 1);
    wal_reader_fini(&r);
    wal_dir_close(&dir);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, place, unplace)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_bad_block_costs_its_own_group),
        TEST(a_segment_that_cannot_be_opened_is_a_hole),
        TEST(what_is_short_is_no_hole),
        TEST(a_continuation_takes_over_at_its_lsn),
        TEST(following_a_writer_reads_the_log_about_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
