/*
 * Claims about a damaged log: it gives an exact prefix of what was committed, or all but what lies
 * in the damage, which is counted; never a crash, an endless wait, or an event that was never
 * written. What exactly must hold is in damaged_log.h.
 *
 * Flips and cuts are complete: every one is read back, and each different view of the log that
 * results is recovered and delivered to the end. The usual form under a sanitizer takes a part of
 * them; HYDRANT_LONG takes all.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/damaged_log.h"
#include "support/rng.h"
#include "support/sim.h"

enum { PRINTS_MAX = 65536 };

static uint64_t prints[PRINTS_MAX];
static uint32_t prints_count, damages, weak;

static bool print_new(uint64_t print)
{
    for (uint32_t i = 0; i < prints_count; i++)
        if (prints[i] == print)
            return false;
    SIM_AGENT_CHECK(prints_count < PRINTS_MAX, "too many views");
    prints[prints_count++] = print;
    return true;
}

/* Reads the damaged log; recovers it if none was seen that reads like it. True: it did. */
static bool recover(uint32_t segment)
{
    static struct damaged_view v;

    damages++;
    damaged_log_view(segment, &v);
    if (!print_new(v.print))
        return false;
    weak += !damaged_log_check(&v);
    return true;
}

/* A change of some bytes of one segment, and the way back. */
static void recover_change(uint32_t segment, uint64_t at, const void *bytes, size_t len)
{
    const struct damaged_segment *seg = &damaged_log.segment[segment];

    SIM_AGENT_CHECK(at + len <= seg->len, "beyond the segment");
    SIM_AGENT_CHECK(sim_poke(seg->path, at, bytes, len) == 0, "%s", seg->path);
    if (recover(segment))
        damaged_log_restore();
    else
        SIM_AGENT_CHECK(sim_poke(seg->path, at, seg->bytes + at, len) == 0, "%s", seg->path);
}

static void recover_flip(uint32_t segment, uint64_t at, unsigned bit)
{
    uint8_t flipped = (uint8_t)(damaged_log.segment[segment].bytes[at] ^ 1U << bit);

    recover_change(segment, at, &flipped, 1);
}

static const struct damaged_log *begin(void)
{
    const struct damaged_log *log;

    /* What each case allocates is what the one before it has freed. */
    mallopt(M_MMAP_THRESHOLD, 64 << 20);
    mallopt(M_TRIM_THRESHOLD, 1 << 30);
    damaged_log_make(1);
    damaged_log_restore();
    log = &damaged_log;
    SIM_AGENT_CHECK(log->segments >= 4 && log->groups > 40 && log->spans > 60, "%u, %u, %u",
                    log->segments, log->groups, log->spans);
    SIM_AGENT_CHECK(log->group[log->groups - 1].synced_lsn < log->group[log->groups - 1].body_lsn,
                    "all of it was synced");
    return log;
}

static int end(const char *what, uint32_t weak_max)
{
    fprintf(stdout, "%s: %u damages, %u views, %u weak\n", what, damages, prints_count, weak);
    fflush(stdout);
    SIM_AGENT_CHECK(weak <= weak_max, "%s: %u weak", what, weak);
    return 0;
}

/* A sanitized build takes one of 4 n. */
static unsigned stride(unsigned n)
{
#ifdef __SANITIZE_ADDRESS__
    return getenv("HYDRANT_LONG") ? 1 : 4 * n;
#else
    (void)n;
    return 1;
#endif
}

/* ---- Damages ---- */

static int unharmed(void *ctx)
{
    (void)ctx;
    begin();
    SIM_AGENT_CHECK(recover(DAMAGED_ANYWHERE), "the history itself");
    return end("nothing", 0);
}

static void a_history_that_is_unharmed_is_recovered_whole(void **state)
{
    (void)state;
    assert_int_equal(sim_agent_child(unharmed, NULL), 0);
}

static int cuts(void *ctx)
{
    const struct damaged_log *log = begin();

    (void)ctx;
    for (uint32_t i = log->segments; i-- > 0;) {
        const struct damaged_segment *seg = &log->segment[i];

        for (size_t len = seg->written + 1; len > 0; len -= len < stride(37) ? len : stride(37)) {
            SIM_AGENT_CHECK(sim_truncate(seg->path, len) == 0, "%s", seg->path);
            if (!recover(i))
                continue;
            damaged_log_restore();
            for (uint32_t k = i + 1; k < log->segments; k++)
                sim_unlink(log->segment[k].path);
        }
        sim_unlink(seg->path);
    }
    return end("cuts", 0);
}

static void a_cut_anywhere_leaves_a_prefix(void **state)
{
    (void)state;
    assert_int_equal(sim_agent_child(cuts, NULL), 0);
}

static int header_flips(void *ctx)
{
    const struct damaged_log *log = begin();

    (void)ctx;
    for (uint32_t i = 0; i < log->segments; i++)
        for (uint64_t at = 0; at < sizeof(struct wal_segment_header); at++)
            for (unsigned bit = 0; bit < 8; bit++)
                recover_flip(i, at, bit);
    return end("flips of headers", 0);
}

static void a_flipped_bit_of_a_header_costs_nothing(void **state)
{
    (void)state;
    assert_int_equal(sim_agent_child(header_flips, NULL), 0);
}

static int commit_flips(void *ctx)
{
    const struct damaged_log *log = begin();

    (void)ctx;
    for (uint32_t i = 0; i < log->groups; i++) {
        const struct damaged_group *g = &log->group[i];
        uint64_t from = g->commit_lsn - log->segment[g->segment].start_lsn;

        for (uint64_t bit = 0; bit < g->meaningful * 8ULL; bit += stride(61))
            recover_flip(g->segment, from + bit / 8, bit % 8);
        for (uint64_t at = g->meaningful; at < g->commit_bytes; at += 97)
            recover_flip(g->segment, from + at, at % 8);
    }
    return end("flips of COMMITs", 0);
}

static void a_flipped_bit_of_a_commit_costs_its_events_alone(void **state)
{
    (void)state;
    assert_int_equal(sim_agent_child(commit_flips, NULL), 0);
}

static int body_flips(void *ctx)
{
    const struct damaged_log *log = begin();

    (void)ctx;
    for (uint32_t i = 0; i < log->spans; i++) {
        const struct damaged_span *span = &log->span[i];
        uint32_t segment = log->group[span->group].segment;
        uint64_t from = span->lsn - log->segment[segment].start_lsn;

        for (uint64_t at = i % 7; at < span->len; at += 53 * stride(7))
            recover_flip(segment, from + at, (i + (unsigned)at) % 8);
    }
    return end("flips of bodies", 0);
}

static void a_flipped_bit_of_a_body_costs_its_span_alone(void **state)
{
    (void)state;
    assert_int_equal(sim_agent_child(body_flips, NULL), 0);
}

/* Of our own: the simulator's begins anew with each host. */
static uint64_t random_below(uint64_t bound)
{
    static uint64_t x = 88172645463325252ULL;

    return rng_next(&x) % bound;
}

/* What may come to stand in the place of a block of 4 KiB. */
enum block_damage {
    BLOCK_ZEROED,
    BLOCK_GARBAGE,
    BLOCK_COPY,
    BLOCK_OF_OTHER_SEGMENT,
    BLOCK_DAMAGE_COUNT
};

static const uint8_t *block_make(uint32_t segment, uint64_t at, enum block_damage damage)
{
    static uint8_t block[WAL_BLOCK];
    const struct damaged_log *log = &damaged_log;
    const struct damaged_segment *from = &log->segment[segment];

    memset(block, 0, sizeof(block));
    switch (damage) {
    case BLOCK_GARBAGE:
        for (size_t i = 0; i < sizeof(block); i++)
            block[i] = (uint8_t)random_below(256);
        break;
    case BLOCK_OF_OTHER_SEGMENT:        /* as of the file's earlier life */
        from = &log->segment[(segment + 1) % log->segments];
        if (at + WAL_BLOCK <= from->written)
            memcpy(block, from->bytes + at, WAL_BLOCK);
        break;
    case BLOCK_COPY:
        memcpy(block, from->bytes + random_below(from->written / WAL_BLOCK) * WAL_BLOCK,
               WAL_BLOCK);
        break;
    default:
        break;
    }
    return block;
}

static int blocks(void *ctx)
{
    const struct damaged_log *log = begin();

    (void)ctx;
    for (uint32_t i = 0; i < log->segments; i++)
        for (uint64_t at = 0; at < log->segment[i].written; at += WAL_BLOCK * stride(5))
            for (int damage = 0; damage < BLOCK_DAMAGE_COUNT; damage++)
                recover_change(i, at, block_make(i, at, (enum block_damage)damage), WAL_BLOCK);
    return end("blocks", 0);
}

static void a_damaged_block_costs_the_events_of_its_group(void **state)
{
    (void)state;
    assert_int_equal(sim_agent_child(blocks, NULL), 0);
}

/* Two damages at once may take both places of a definition or a seal: then less is promised. */
static int swaps(void *ctx)
{
    const struct damaged_log *log = begin();

    (void)ctx;
    for (uint32_t i = 0; i < log->segments; i++) {
        const struct damaged_segment *seg = &log->segment[i];

        for (uint64_t at = 0; at < seg->written; at += WAL_BLOCK * stride(5)) {
            uint64_t to = random_below(seg->written / WAL_BLOCK) * WAL_BLOCK;

            if (random_below(2))
                to = at + WAL_BLOCK < seg->written ? at + WAL_BLOCK : 0;
            SIM_AGENT_CHECK(sim_poke(seg->path, at, seg->bytes + to, WAL_BLOCK) == 0
                                && sim_poke(seg->path, to, seg->bytes + at, WAL_BLOCK) == 0,
                            "%s", seg->path);
            recover(i);
            damaged_log_restore();
        }
    }
    return end("swaps", UINT32_MAX);
}

/* A run of blocks is lost. */
static int runs(void *ctx)
{
    static const uint8_t zeros[64 * WAL_BLOCK];
    const struct damaged_log *log = begin();

    (void)ctx;
    for (unsigned i = 0; i < 400 / stride(8); i++) {
        uint32_t segment = (uint32_t)random_below(log->segments);
        const struct damaged_segment *seg = &log->segment[segment];
        uint64_t at = random_below(seg->written / WAL_BLOCK) * WAL_BLOCK;
        uint64_t len = (2 + random_below(30)) * WAL_BLOCK;

        recover_change(segment, at, zeros, at + len < seg->written ? len : seg->written - at);
    }
    return end("runs of blocks", UINT32_MAX);
}

static void swapped_and_missing_blocks_are_counted(void **state)
{
    (void)state;
    assert_int_equal(sim_agent_child(swaps, NULL), 0);
    assert_int_equal(sim_agent_child(runs, NULL), 0);
}

/* ---- Segments ---- */

static void recover_files(void)
{
    recover(DAMAGED_ANYWHERE);
    damaged_log_restore();
}

static int segments(void *ctx)
{
    const struct damaged_log *log = begin();
    char path[192];

    (void)ctx;
    for (uint32_t first = 0; first < log->segments; first++)
        for (uint32_t last = first; last < log->segments; last++) {
            for (uint32_t k = first; k <= last; k++)
                sim_unlink(log->segment[k].path);
            recover_files();
            for (uint32_t k = first; k <= last; k++) {
                snprintf(path, sizeof(path), "%s.old", log->segment[k].path);
                sim_rename(log->segment[k].path, path);
            }
            recover_files();
        }
    return end("segments missing", 0);
}

/* A segment under the name of another: what its name says is not what its header says. */
static int renamed(void *ctx)
{
    const struct damaged_log *log = begin();

    (void)ctx;
    for (uint32_t i = 0; i < log->segments; i++)
        for (uint32_t k = 0; k < log->segments; k++) {
            if (i == k)
                continue;
            sim_unlink(log->segment[k].path);
            sim_rename(log->segment[i].path, log->segment[k].path);
            recover_files();
        }
    return end("segments renamed", 0);
}

/* The name of a segment of this log that never was: before all, between, behind all. */
static void name_make(char path[192], unsigned which)
{
    const char *of = damaged_log.segment[0].path;
    const char *slash = strrchr(of, '/');
    uint64_t epoch, number;
    uint32_t shard;

    SIM_AGENT_CHECK(wal_segment_name_parse(slash + 1, &shard, &epoch, &number), "%s", of);
    snprintf(path, 192, "%.*s", (int)(slash + 1 - of), of);
    wal_segment_name(shard, epoch + 7, which == 0 ? 0 : which == 1 ? number + 1 : number + 100,
                     path + strlen(path));
}

static int strangers(void *ctx)
{
    static const size_t sizes[] = {0, 1, 95, 96, 4095, 4096, 8192, 100000};
    static uint8_t garbage[100000];
    const struct damaged_log *log = begin();
    char path[192];

    (void)ctx;
    for (size_t i = 0; i < sizeof(garbage); i++)
        garbage[i] = (uint8_t)random_below(256);
    for (unsigned which = 0; which < 3; which++) {
        name_make(path, which);
        for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
            SIM_AGENT_CHECK(sim_write_file(path, garbage, sizes[i]) == 0, "%s", path);
            recover_files();
        }
        for (uint32_t k = 0; k < log->segments; k++) {      /* of another log, but for its name */
            const struct damaged_segment *seg = &log->segment[k];
            struct wal_segment_header header;
            uint8_t block[WAL_BLOCK];
            uint64_t epoch;
            uint32_t shard;

            SIM_AGENT_CHECK(wal_segment_header_parse(seg->bytes, &header) == 0, "%s", seg->path);
            SIM_AGENT_CHECK(wal_segment_name_parse(strrchr(path, '/') + 1, &shard, &epoch,
                                                   &header.number), "%s", path);
            header.epoch = epoch;
            header.uuid[3] ^= 1;
            wal_segment_header_format(&header);
            wal_segment_header_put(&header, block);
            SIM_AGENT_CHECK(sim_write_file(path, seg->bytes, seg->len) == 0
                                && sim_poke(path, 0, block, sizeof(block)) == 0, "%s", path);
            recover_files();
        }
    }
    SIM_AGENT_CHECK(prints_count == 1, "a stranger's segment is read");
    return end("strangers", 0);
}

static void missing_segments_cost_what_was_in_them(void **state)
{
    (void)state;
    assert_int_equal(sim_agent_child(segments, NULL), 0);
    assert_int_equal(sim_agent_child(renamed, NULL), 0);
}

static void foreign_segments_are_not_read(void **state)
{
    (void)state;
    assert_int_equal(sim_agent_child(strangers, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_history_that_is_unharmed_is_recovered_whole),
        cmocka_unit_test(a_cut_anywhere_leaves_a_prefix),
        cmocka_unit_test(a_flipped_bit_of_a_header_costs_nothing),
        cmocka_unit_test(a_flipped_bit_of_a_commit_costs_its_events_alone),
        cmocka_unit_test(a_flipped_bit_of_a_body_costs_its_span_alone),
        cmocka_unit_test(a_damaged_block_costs_the_events_of_its_group),
        cmocka_unit_test(swapped_and_missing_blocks_are_counted),
        cmocka_unit_test(missing_segments_cost_what_was_in_them),
        cmocka_unit_test(foreign_segments_are_not_read),
    };

    return cmocka_run_group_tests_name("log damage", tests, NULL, NULL);
}
