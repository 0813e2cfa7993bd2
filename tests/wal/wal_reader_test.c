/*
 * Claims about reading a log back: an undamaged one gives every group, a damaged one gives what is
 * whole and says where the holes are, and nothing that was not written. On real files.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "wal/log_builder.h"
#include "wal/wal_reader.h"

struct place {
    char path[64];
    struct built_log log;
};

/* Items of about `bytes`, the first of which says which group it is. */
static void items_make(struct bytes *items, uint32_t n, size_t bytes, uint32_t *ret_count)
{
    struct wal_item it = {.type = WAL_TRIM};

    bytes_clear(items);
    it.u.trim.lsn = n;
    *ret_count = 0;
    do {
        built_item(items, &it);
        ++*ret_count;
    } while (items->len < bytes);
}

/*
 * Three segments with four groups each: without a body, with one of odd length, with one that is a
 * copy of the log so far, with a COMMIT of several blocks.
 */
static void log_make(struct built_log *log)
{
    static uint8_t odd[5000];
    struct bytes items = BYTES_INIT;
    uint32_t n = 0, count;

    built_log_init(log);
    memset(odd, 0x11, sizeof(odd));
    for (int s = 0; s < 3; s++) {
        struct bytes copy = BYTES_INIT;

        built_segment(log);
        items_make(&items, n++, 64, &count);
        built_append(log, NULL, 0, &items, count);
        items_make(&items, n++, 64, &count);
        built_append(log, odd, sizeof(odd), &items, count);
        assert_int_equal(bytes_append(&copy, log->file[s].data, log->file[s].len), 0);
        if (s > 0)
            assert_int_equal(bytes_append(&copy, log->file[0].data, log->file[0].len), 0);
        items_make(&items, n++, 64, &count);
        built_append(log, copy.data, copy.len, &items, count);
        items_make(&items, n++, 10000, &count);
        built_append(log, odd, 8, &items, count);
        bytes_free(&copy);
    }
    bytes_free(&items);
}

static int place_open(void **state)
{
    struct place *p = calloc(1, sizeof(*p));

    if (!p)
        return -1;
    snprintf(p->path, sizeof(p->path), "/tmp/wal_reader_test.XXXXXX");
    if (!mkdtemp(p->path))
        return -1;
    log_make(&p->log);
    *state = p;
    return 0;
}

static void segment_path(const struct place *p, uint32_t i, const char *suffix, char path[160])
{
    snprintf(path, 160, "%s/%s%s", p->path, p->log.name[i], suffix);
}

static int place_close(void **state)
{
    struct place *p = *state;
    char path[160];

    for (uint32_t i = 0; i < BUILT_SEGMENTS_MAX; i++) {
        if (i < p->log.segments)
            segment_path(p, i, "", path);
        unlink(path);
    }
    rmdir(p->path);
    built_log_free(&p->log);
    free(p);
    return 0;
}

/* Writes segment i as it is in memory, `len` bytes of it. */
static void segment_place(const struct place *p, uint32_t i, size_t len)
{
    char path[160];
    int fd;

    segment_path(p, i, "", path);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, p->log.file[i].data, len), len);
    close(fd);
}

static void all_place(const struct place *p)
{
    for (uint32_t i = 0; i < p->log.segments; i++)
        segment_place(p, i, p->log.file[i].len);
}

/* One group of the log, whole: its COMMIT and items are byte for byte what was written. */
static void group_is(const struct place *p, const struct wal_group_view *g,
                     const struct built_group *want)
{
    const struct wal_segment_header *header = &p->log.header[want->segment];
    struct wal_item item;
    const uint8_t *at = g->items;

    assert_int_equal(g->commit.lsn, want->lsn);
    assert_int_equal(g->body_lsn, want->group_lsn);
    assert_int_equal(g->end_lsn, want->end_lsn);
    assert_int_equal(g->id.segment, header->number);
    assert_int_equal(wal_item_next(&at, g->items_end, &item), 0);
    assert_int_equal(item.u.trim.lsn, want - p->log.group);
}

/*
 * Reads everything. Groups come in order, each is one that was written, and what is missing between
 * two of them is reported as a hole, no more and no less. Returns a bit for each group that came.
 */
static uint64_t read_all(const struct place *p)
{
    struct wal_group_view g;
    struct wal_reader r;
    struct wal_dir dir;
    struct errmsg err;
    uint64_t came = 0, end = UINT64_MAX;
    uint32_t next = 0;
    int rc;

    assert_int_equal(wal_dir_open(p->path, 0, p->log.uuid, false, &dir, &err), 0);
    wal_reader_init(&r, &dir);
    while ((rc = wal_reader_next(&r, UINT64_MAX, &g)) == 1) {
        while (next < p->log.groups && p->log.group[next].lsn != g.commit.lsn)
            next++;
        assert_true(next < p->log.groups);
        group_is(p, &g, &p->log.group[next]);
        if (end == UINT64_MAX)      /* of the oldest segment that is readable */
            end = dir.segments[0].header.start_lsn + WAL_BLOCK;
        if (next > 0 && !(came >> (next - 1) & 1) && g.body_lsn != end)
            assert_int_equal(g.hole_from, end);
        else
            assert_int_equal(g.hole_from, g.body_lsn);
        end = g.end_lsn;
        came |= 1ULL << next++;
        /* The header of the next segment can be read: what is missing begins behind it. */
        if (wal_dir_find(&dir, end)->header.start_lsn == end)
            end += WAL_BLOCK;
    }
    assert_int_equal(rc, 0);
    wal_reader_fini(&r);
    wal_dir_close(&dir);
    return came;
}

static uint64_t all_groups(const struct place *p)
{
    return (1ULL << p->log.groups) - 1;
}

static void an_undamaged_log_gives_every_group(void **state)
{
    struct place *p = *state;

    all_place(p);
    assert_int_equal(p->log.groups, 12);
    assert_int_equal(read_all(p), all_groups(p));
}

static void bodies_are_the_bytes_that_were_written(void **state)
{
    struct place *p = *state;
    struct wal_group_view g;
    struct wal_reader r;
    struct wal_dir dir;
    struct errmsg err;

    all_place(p);
    assert_int_equal(wal_dir_open(p->path, 0, p->log.uuid, false, &dir, &err), 0);
    wal_reader_init(&r, &dir);
    for (uint32_t i = 0; i < p->log.groups; i++) {
        const struct built_group *want = &p->log.group[i];
        uint64_t at = want->group_lsn - p->log.header[want->segment].start_lsn;

        assert_int_equal(wal_reader_next(&r, UINT64_MAX, &g), 1);
        assert_int_equal(g.commit.lsn - g.body_lsn, want->lsn - want->group_lsn);
        assert_memory_equal(g.body, p->log.file[want->segment].data + at,
                            want->lsn - want->group_lsn);
        assert_memory_equal(g.id.uuid, p->log.uuid, 16);
        assert_int_equal(g.id.epoch, p->log.epoch);
    }
    assert_int_equal(wal_reader_next(&r, UINT64_MAX, &g), 0);
    assert_int_equal(r.lsn, p->log.end_lsn);
    wal_reader_fini(&r);
    wal_dir_close(&dir);
}

static void copies_of_log_blocks_in_a_body_are_not_taken_for_groups(void **state)
{
    struct place *p = *state;
    struct built_log *log = &p->log;

    /* Without its own COMMIT, a body full of COMMITs is a hole like any. */
    all_place(p);
    for (uint32_t i = 2; i < log->groups; i += 4) {
        const struct built_group *g = &log->group[i];
        uint8_t *at = log->file[g->segment].data + (g->lsn - log->header[g->segment].start_lsn);

        assert_true(g->lsn - g->group_lsn >= 3 * WAL_BLOCK);
        at[100] ^= 1;
        segment_place(p, g->segment, log->file[g->segment].len);
        assert_int_equal(read_all(p), all_groups(p) & ~(1ULL << i));
        at[100] ^= 1;
        segment_place(p, g->segment, log->file[g->segment].len);
    }
}

static void a_cut_log_gives_an_exact_prefix(void **state)
{
    struct place *p = *state;
    struct built_log *log = &p->log;
    uint64_t seed = 5;

    all_place(p);
    /* The last segment is cut; the ones before it stay. */
    for (size_t len = 0; len <= log->file[2].len; len += len % 512 ? 512 - len % 512
                                                  : 1 + built_random(&seed) % 511) {
        uint64_t want = 0;

        for (uint32_t i = 0; i < log->groups; i++)
            if (log->group[i].segment < 2
                || log->group[i].end_lsn <= log->header[2].start_lsn + len)
                want |= 1ULL << i;
        segment_place(p, 2, len);
        assert_int_equal(read_all(p), want);
    }
}

static void a_segment_cut_in_the_middle_of_the_log_is_a_hole(void **state)
{
    struct place *p = *state;
    struct built_log *log = &p->log;

    all_place(p);
    for (size_t len = WAL_BLOCK; len < log->file[1].len; len += 1024) {
        uint64_t want = 0;

        for (uint32_t i = 0; i < log->groups; i++)
            if (log->group[i].segment != 1
                || log->group[i].end_lsn <= log->header[1].start_lsn + len)
                want |= 1ULL << i;
        segment_place(p, 1, len);
        assert_int_equal(read_all(p), want);
    }
}

static void a_missing_segment_is_a_hole(void **state)
{
    struct place *p = *state;
    char path[160];

    for (uint32_t gone = 0; gone < 3; gone++) {
        all_place(p);
        segment_path(p, gone, "", path);
        assert_int_equal(unlink(path), 0);
        assert_int_equal(read_all(p), all_groups(p) & ~(0xfULL << gone * 4));
    }
}

/* Flips bits of the file in place: quicker than to write it each time. */
static void flip(const struct place *p, uint32_t segment, size_t at, uint8_t bit)
{
    uint8_t byte = (uint8_t)(p->log.file[segment].data[at] ^ bit);
    char path[160];
    int fd;

    segment_path(p, segment, "", path);
    fd = open(path, O_WRONLY);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, &byte, 1, (off_t)at), 1);
    close(fd);
}

static void a_flipped_bit_costs_its_own_group_and_is_reported(void **state)
{
    struct place *p = *state;
    struct built_log *log = &p->log;
    uint64_t seed = 6;

    all_place(p);
    for (uint32_t i = 0; i < log->groups; i++) {
        const struct built_group *g = &log->group[i];
        size_t lsn_at = (size_t)(g->lsn - log->header[g->segment].start_lsn);
        size_t end = lsn_at + (size_t)(g->end_lsn - g->lsn);

        /* Every bit of a COMMIT's fields; a bit here and there of the rest. */
        for (size_t bit = lsn_at * 8; bit < end * 8;
             bit += i == 5 && bit < (lsn_at + 64) * 8 ? 1 : 1 + built_random(&seed) % 1999) {
            flip(p, g->segment, bit / 8, (uint8_t)(1U << bit % 8));
            assert_int_equal(read_all(p), all_groups(p) & ~(1ULL << i));
            flip(p, g->segment, bit / 8, 0);
        }
        /* Of a body: the sums of its spans tell, not the COMMIT. */
        if (g->lsn > g->group_lsn) {
            flip(p, g->segment, lsn_at - 1, 0x80);
            assert_int_equal(read_all(p), all_groups(p));
            flip(p, g->segment, lsn_at - 1, 0);
        }
    }
    assert_int_equal(read_all(p), all_groups(p));
}

static void a_flipped_bit_in_a_segment_header_costs_the_segment(void **state)
{
    struct place *p = *state;

    all_place(p);
    for (uint32_t s = 0; s < 3; s++)
        for (size_t bit = 0; bit < sizeof(struct wal_segment_header) * 8; bit += s == 1 ? 1 : 7) {
            flip(p, s, bit / 8, (uint8_t)(1U << bit % 8));
            assert_int_equal(read_all(p), all_groups(p) & ~(0xfULL << s * 4));
            flip(p, s, bit / 8, 0);
        }
}

/* A file with blocks of an earlier use behind its groups, at the offsets they were written to. */
static void old_groups_of_a_recycled_segment_never_pass(void **state)
{
    struct place *p = *state;
    struct built_log *log = &p->log;
    struct bytes items = BYTES_INIT;
    uint32_t count;
    size_t keep = log->file[2].len;
    uint8_t *old = malloc(keep);
    uint32_t groups = log->groups;

    assert_non_null(old);
    memcpy(old, log->file[2].data, keep);
    /* The same segment again, of the next epoch: header and first group; the rest is as it was. */
    log->groups = 8;
    log->segments = 2;
    log->end_lsn = log->header[2].start_lsn;
    log->epoch++;
    bytes_clear(&log->file[2]);
    built_segment(log);
    items_make(&items, 8, 64, &count);
    built_append(log, NULL, 0, &items, count);
    assert_true(log->file[2].len < keep);
    assert_int_equal(bytes_append(&log->file[2], old + log->file[2].len, keep - log->file[2].len),
                     0);
    all_place(p);
    assert_int_equal(groups, 12);
    assert_int_equal(read_all(p), all_groups(p));
    assert_int_equal(log->groups, 9);
    bytes_free(&items);
    free(old);
}

static void a_limit_stops_before_the_group_that_begins_there(void **state)
{
    struct place *p = *state;
    struct built_log *log = &p->log;
    struct wal_group_view g;
    struct wal_reader r;
    struct wal_dir dir;
    struct errmsg err;
    uint32_t n = 0;

    all_place(p);
    assert_int_equal(wal_dir_open(p->path, 0, log->uuid, false, &dir, &err), 0);
    wal_reader_init(&r, &dir);
    for (uint32_t i = 0; i < log->groups; i++) {
        /* Up to the end of group i: that many and no more, however often it is asked. */
        for (int again = 0; again < 2; again++)
            while (wal_reader_next(&r, log->group[i].end_lsn, &g) == 1)
                group_is(p, &g, &log->group[n++]);
        assert_int_equal(n, i + 1);
        assert_int_equal(r.lsn, log->group[i].end_lsn);
    }
    wal_reader_fini(&r);
    wal_dir_close(&dir);
}

static void an_empty_log_has_no_group(void **state)
{
    struct place *p = *state;

    assert_int_equal(read_all(p), 0);
    segment_place(p, 0, WAL_BLOCK);
    assert_int_equal(read_all(p), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, place_open, place_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_undamaged_log_gives_every_group),
        TEST(bodies_are_the_bytes_that_were_written),
        TEST(copies_of_log_blocks_in_a_body_are_not_taken_for_groups),
        TEST(a_cut_log_gives_an_exact_prefix),
        TEST(a_segment_cut_in_the_middle_of_the_log_is_a_hole),
        TEST(a_missing_segment_is_a_hole),
        TEST(a_flipped_bit_costs_its_own_group_and_is_reported),
        TEST(a_flipped_bit_in_a_segment_header_costs_the_segment),
        TEST(old_groups_of_a_recycled_segment_never_pass),
        TEST(a_limit_stops_before_the_group_that_begins_there),
        TEST(an_empty_log_has_no_group),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
