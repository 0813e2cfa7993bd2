/*
 * Claims about batches on their way to their sinks when the host does not play along: operations
 * that fail, disks that are full, links that are refused, names that are taken, consumers that
 * remove what they find.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/parts.h"
#include "support/sim.h"
#include "support/sim_agent.h"

static struct sim_agent agent;

static int setup(void **state)
{
    (void)state;
    sim_agent_init(&agent, 11);
    agent.leave = true;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    sim_agent_fini(&agent);
    return 0;
}

static void check_all(void)
{
    sim_agent_check_all(&agent);
    sim_agent_check_clean(&agent);
    assert_int_equal(agent.pending + agent.lost + agent.dropped, 0);
}

static void life_and_check(void)
{
    assert_int_equal(sim_agent_life(&agent), 0);
    check_all();
}

static void short_reads_and_writes_are_completed(void **state)
{
    (void)state;
    agent.pad_bytes = 3000;
    agent.sinks[0].buffer_count = 150;
    sim_mount("/far", false, 1 << 30);
    sim_agent_sink_add(&agent, "far", "/far/out");
    sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, 400);
    sim_set_short(700);
    life_and_check();
}

static void completions_may_come_in_any_order(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        sim_agent_fini(&agent);
        sim_agent_init(&agent, seed);
        agent.leave = agent.look_often = true;
        agent.streams_count = 3;
        sim_agent_sink_add(&agent, "other", "/data/other")->buffer_count = 3;
        sim_set_disorder(900);
        for (unsigned i = 0; i < 3; i++)
            sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, 60);
        life_and_check();
    }
}

static void buffered_files_serve_where_direct_ones_are_refused(void **state)
{
    (void)state;
    sim_set_direct(false);
    sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, 95);
    sim_set_short(300);
    life_and_check();
}

/* ---- Each operation fails once ---- */

struct failure {
    enum sim_kind kind;
    int err;
    uint64_t nth;
};

enum { FAILED, NOT_REACHED };

static int fail_at(void *ctx)
{
    const struct failure *f = ctx;
    uint64_t before;
    bool reached;

    sim_agent_init(&agent, f->nth);
    agent.leave = agent.may_fail = true;
    agent.sinks[0].buffer_count = 6;
    sim_mount("/far", false, 1 << 30);
    sim_agent_sink_add(&agent, "far", "/far/out");
    sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, 20);
    sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, 9);
    before = sim_op_count(f->kind);
    sim_fail(f->kind, f->nth, 1, f->err);
    if (sim_agent_life(&agent) < 0) {
        /* It has ended with a word; the next start goes on. */
        sim_fail_clear();
        sim_agent_check_files(&agent);
        agent.may_fail = false;
        SIM_AGENT_CHECK(sim_agent_life(&agent) == 0, "the second life ends by itself");
    }
    sim_agent_check_all(&agent);
    SIM_AGENT_CHECK(agent.pending + agent.lost == 0, "%llu events pending, %llu lost",
                    (unsigned long long)agent.pending, (unsigned long long)agent.lost);
    reached = sim_op_count(f->kind) - before >= f->nth;
    sim_fail_clear();
    /* Names that could not be removed are found at the next start. */
    if (f->kind == SIM_UNLINK || f->kind == SIM_STAT)
        SIM_AGENT_CHECK(sim_agent_life(&agent) == 0, "a life to clean up");
    sim_agent_check_clean(&agent);
    return reached ? FAILED : NOT_REACHED;
}

static void each_operation_may_fail_once(void **state)
{
    static const struct failure failures[] = {
        {SIM_WRITE, -EIO, 0},     {SIM_WRITE, -ENOSPC, 0}, {SIM_SYNC, -EIO, 0},
        {SIM_TRUNCATE, -EIO, 0},  {SIM_ALLOCATE, -ENOSPC, 0}, {SIM_MKDIR, -ENOSPC, 0},
        {SIM_RENAME, -EIO, 0},    {SIM_LINK, -EPERM, 0},   {SIM_UNLINK, -EIO, 0},
        {SIM_LIST, -EIO, 0},      {SIM_OPEN, -EMFILE, 0},  {SIM_MAP, -ENOMEM, 0},
        {SIM_WATCH, -EMFILE, 0},  {SIM_BELL, -EMFILE, 0},  {SIM_LOCK, -EIO, 0},
        {SIM_STAT, -EIO, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(failures) / sizeof(failures[0]); i++) {
        struct failure f = failures[i];
        int end = FAILED;

        for (f.nth = 1; end == FAILED; f.nth++) {
            end = sim_agent_child(fail_at, &f);
            assert_true(f.nth < 2000);
        }
        print_message("kind %d: %u failures\n", (int)f.kind, (unsigned)f.nth - 2);
        assert_true(f.nth > 2);
    }
}

/* ---- No space ---- */

static bool pressed;

/* Full for a while, and for longer than a retry takes. */
static void disk_is_full_for_a_while(struct sim_agent *a, uint64_t turn)
{
    const char *path = a->ctx;

    if (turn == 10)
        sim_set_capacity(path, 0);
    if (turn == 2000)
        pressed = sim_agent_pressed(&agent, BACKPRESSURE_DISK_FULL);
    if (turn == 2500)
        sim_set_capacity(path, 1 << 30);
}

static void a_full_spool_waits_for_space(void **state)
{
    (void)state;
    sim_mount("/log", false, 1 << 30);
    agent.opt.wal_dir = "/log/wal";
    sim_mount(SIM_AGENT_DATA, false, 1 << 30);
    agent.ctx = SIM_AGENT_DATA;
    agent.on_turn = disk_is_full_for_a_while;
    agent.pad_bytes = 500;
    agent.opt.idle = SHARD_IDLE_SLEEP;
    sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, 3000)->burst = 1;
    pressed = false;
    life_and_check();
    assert_true(pressed);
}

static void a_full_sink_waits_for_space(void **state)
{
    (void)state;
    sim_mount("/far", false, 1 << 30);
    agent.sinks[0].directory = "/far/out";
    sim_agent_sink_add(&agent, "near", SIM_AGENT_OUT);
    agent.ctx = "/far";
    agent.on_turn = disk_is_full_for_a_while;
    agent.opt.idle = SHARD_IDLE_SLEEP;
    sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, 3000)->burst = 1;
    life_and_check();
}

static void refused_links_lead_to_copies(void **state)
{
    (void)state;
    sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, 95);
    sim_fail(SIM_LINK, 1, 0, -EPERM);
    life_and_check();
}

/* ---- Others in the directory ---- */

static char blocked[256];

/* As soon as the first batch is staged, somebody else takes its name. */
static void name_is_taken(struct sim_agent *a, uint64_t turn)
{
    char **names;
    size_t count;

    (void)a;
    (void)turn;
    if (blocked[0] || sim_list(SIM_AGENT_OUT "/.hydrant", &names, &count) != 0)
        return;
    if (count > 1) {        /* the identity sorts behind */
        assert_int_equal(sim_mkdir(SIM_AGENT_OUT "/stream-0"), 0);
        snprintf(blocked, sizeof(blocked), SIM_AGENT_OUT "/stream-0/20260101000000-host-%s.json",
                 strchr(names[0], '-') + 1);
        assert_int_equal(sim_write_file(blocked, "not ours\n", 9), 0);
    }
    free(names);
}

static void another_file_of_that_name_is_never_replaced(void **state)
{
    uint8_t *data;
    size_t len;

    (void)state;
    blocked[0] = '\0';
    agent.on_turn = name_is_taken;
    sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, 15);
    sim_agent_open(&agent);
    sim_agent_until(&agent, sim_agent_taken, "all is taken");
    sim_agent_pass(&agent, 5000000000);
    assert_true(blocked[0]);
    assert_int_equal(sim_read_file(blocked, &data, &len), 0);
    assert_string_equal((char *)data, "not ours\n");
    free(data);
    sim_agent_check_books(&agent);
    assert_int_equal(agent.pending, 10);
    assert_int_equal(sim_unlink(blocked), 0);
    sim_agent_pass(&agent, 61000000000);
    sim_agent_stop(&agent);
    check_all();
}

static void take(struct sim_agent *a, uint64_t turn)
{
    (void)turn;
    sim_agent_take(a);
}

static void remove_out(struct sim_agent *a, uint64_t turn)
{
    if (turn % 25 != 24 || turn > 3000)
        return;
    sim_agent_take(a);
    if (sim_exists(SIM_AGENT_OUT))
        assert_int_equal(sim_remove_tree(SIM_AGENT_OUT), 0);
}

static void a_consumer_may_take_each_file_at_once(void **state)
{
    (void)state;
    agent.on_turn = take;
    agent.sinks[0].buffer_count = 3;
    sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, 200);
    life_and_check();
    assert_int_equal(sim_agent_files(&agent, 0, NULL), 0);
}

static void a_consumer_may_remove_the_whole_directory(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        sim_agent_fini(&agent);
        sim_agent_init(&agent, seed);
        sim_set_disorder(500);
        agent.leave = true;
        agent.on_turn = remove_out;
        agent.sinks[0].buffer_count = 3;
        agent.streams_count = 2;
        agent.opt.idle = SHARD_IDLE_SLEEP;
        sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, 400)->burst = 1;
        life_and_check();
    }
}

/* Taken between the rename and its acknowledgement, then SIGKILL: it is not delivered again. */
static int taken_then_killed(void *ctx)
{
    uint64_t point = *(const uint64_t *)ctx;

    sim_agent_init(&agent, point);
    agent.on_turn = take;
    agent.sinks[0].buffer_count = 4;
    sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, 14);
    sim_crash_at(point);
    if (sim_agent_life(&agent) == 0) {
        sim_agent_check_all(&agent);
        return NOT_REACHED;
    }
    sim_agent_killed(&agent);
    sim_agent_take(&agent);
    SIM_AGENT_CHECK(sim_agent_life(&agent) == 0, "the second life ends by itself");
    sim_agent_check_all(&agent);
    sim_agent_check_clean(&agent);
    return FAILED;
}

static void what_a_consumer_took_is_not_delivered_again_after_sigkill(void **state)
{
    uint64_t point = 1;
    int end = FAILED;

    (void)state;
    for (; end == FAILED; point += getenv("HYDRANT_LONG") ? 1 : 3)
        end = sim_agent_child(taken_then_killed, &point);
    assert_true(point > 150);
}

/* ---- Directories that are exchanged while the agent is down ---- */

enum { MOVED_EVENTS = 14 };

/* Marks the numbers of the events in all files below the path. */
static void numbers_below(const char *path, uint8_t seen[MOVED_EVENTS + 1])
{
    char **names, below[512];
    size_t count, len;
    uint8_t *bytes;

    if (sim_list(path, &names, &count) != 0)
        return;
    for (size_t i = 0; i < count; i++) {
        snprintf(below, sizeof(below), "%s/%s", path, names[i]);
        if (names[i][0] == '.')
            continue;
        if (sim_read_file(below, &bytes, &len) != 0) {
            numbers_below(below, seen);
            continue;
        }
        for (char *at = (char *)bytes; (at = strstr(at, "\"n\":")); at++) {
            unsigned long number = strtoul(at + 4, NULL, 10);

            SIM_AGENT_CHECK(number >= 1 && number <= MOVED_EVENTS, "%s: event %lu", below, number);
            seen[number] = 1;
        }
        free(bytes);
    }
    free(names);
}

/* Moved away, staged batches and all, and made anew by the next life: nothing is in neither. */
static int moved_then_started(void *ctx)
{
    static const char *const moved[2] = { "/data/old", "/far/old" };
    uint64_t point = *(const uint64_t *)ctx;

    sim_agent_init(&agent, point);
    agent.sinks[0].buffer_count = 4;
    sim_mount("/far", false, 1 << 30);
    sim_agent_sink_add(&agent, "far", "/far/out");
    sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, MOVED_EVENTS);
    sim_crash_at(point);
    if (sim_agent_life(&agent) == 0)
        return NOT_REACHED;
    sim_agent_killed(&agent);
    sim_land();
    for (unsigned i = 0; i < 2; i++)
        if (sim_exists(agent.sinks[i].directory))
            SIM_AGENT_CHECK(sim_rename(agent.sinks[i].directory, moved[i]) == 0, "no %s", moved[i]);
    SIM_AGENT_CHECK(sim_agent_life(&agent) == 0, "the second life ends by itself");
    for (unsigned i = 0; i < 2; i++) {
        uint8_t seen[MOVED_EVENTS + 1] = {0};

        sim_agent_files(&agent, i, NULL);       /* none twice */
        numbers_below(agent.sinks[i].directory, seen);
        numbers_below(moved[i], seen);
        for (unsigned n = 1; n <= MOVED_EVENTS; n++)
            SIM_AGENT_CHECK(seen[n], "sink '%s' misses event %u", agent.sinks[i].name, n);
    }
    sim_agent_check_clean(&agent);
    return FAILED;
}

static void a_directory_replaced_while_down_loses_nothing(void **state)
{
    uint64_t point = 1;
    int end = FAILED;

    (void)state;
    for (; end == FAILED; point += getenv("HYDRANT_LONG") ? 1 : 3)
        end = sim_agent_child(moved_then_started, &point);
    assert_true(point > 150);
}

/* ---- File systems without RENAME_NOREPLACE ---- */

static int linked_then_cut(void *ctx)
{
    uint64_t point = *(const uint64_t *)ctx;

    sim_agent_init(&agent, point);
    sim_mount("/far", false, 1 << 30);
    sim_mount(SIM_AGENT_OUT, false, 1 << 30);
    sim_set_names("/far", false, true);
    sim_set_names(SIM_AGENT_OUT, false, true);
    agent.sinks[0].buffer_count = 4;
    sim_agent_sink_add(&agent, "far", "/far/out");
    sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, 14);
    sim_crash_at(point);
    if (sim_agent_life(&agent) == 0) {
        sim_agent_check_all(&agent);
        return NOT_REACHED;
    }
    if (point % 2)
        sim_agent_killed(&agent);
    else
        sim_agent_power_cut(&agent, point);
    sim_agent_check_files(&agent);
    SIM_AGENT_CHECK(sim_agent_life(&agent) == 0, "the second life ends by itself");
    sim_agent_check_all(&agent);
    sim_agent_check_clean(&agent);
    return FAILED;
}

static void links_deliver_each_event_once_over_crashes(void **state)
{
    uint64_t point = 1;
    int end = FAILED;

    (void)state;
    for (; end == FAILED; point += getenv("HYDRANT_LONG") ? 1 : 3)
        end = sim_agent_child(linked_then_cut, &point);
    assert_true(point > 150);
}

static void a_directory_that_cannot_be_delivered_to_is_said_in_the_status(void **state)
{
    struct status *status;

    (void)state;
    sim_mount("/far", false, 1 << 30);
    sim_set_names("/far", false, false);
    sim_agent_sink_add(&agent, "far", "/far/out");
    sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, 15);
    sim_agent_open(&agent);
    sim_agent_until(&agent, sim_agent_taken, "all is taken");
    sim_agent_pass(&agent, 5000000000);
    assert_int_equal(snapshot_make(agent.shard, &status), 0);
    assert_int_equal(status->sinks_count, 2);
    for (size_t i = 0; i < 2; i++)
        if (strcmp(status->sinks[i].name, "far") == 0)
            assert_non_null(strstr(status->sinks[i].waits_because, "choose another directory"));
        else
            assert_int_equal(status->sinks[i].batches_waiting, 0);
    status_free(status);
    sim_set_names("/far", false, true);
    sim_agent_pass(&agent, 61000000000);
    sim_agent_stop(&agent);
    check_all();
}

int main(void)
{
    struct CMUnitTest tests[] = {
        cmocka_unit_test(short_reads_and_writes_are_completed),
        cmocka_unit_test(completions_may_come_in_any_order),
        cmocka_unit_test(buffered_files_serve_where_direct_ones_are_refused),
        cmocka_unit_test(a_full_spool_waits_for_space),
        cmocka_unit_test(a_full_sink_waits_for_space),
        cmocka_unit_test(refused_links_lead_to_copies),
        cmocka_unit_test(another_file_of_that_name_is_never_replaced),
        cmocka_unit_test(a_consumer_may_take_each_file_at_once),
        cmocka_unit_test(a_consumer_may_remove_the_whole_directory),
        cmocka_unit_test(what_a_consumer_took_is_not_delivered_again_after_sigkill),
        cmocka_unit_test(a_directory_replaced_while_down_loses_nothing),
        cmocka_unit_test(links_deliver_each_event_once_over_crashes),
        cmocka_unit_test(a_directory_that_cannot_be_delivered_to_is_said_in_the_status),
        cmocka_unit_test(each_operation_may_fail_once),
    };

    for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
        tests[i].setup_func = setup;
        tests[i].teardown_func = teardown;
    }
    return cmocka_run_group_tests_name("seal", tests, NULL, NULL);
}
