/*
 * Claims about files of batches that are damaged, gone or had to be given up: they are made again
 * from the log, the same events under the same keys, delivered exactly once, whatever crash comes
 * in between; and a batch that the log cannot supply is kept and holds up no other.
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

#define SPOOL   SIM_AGENT_DATA "/spool"
#define STAGING SIM_AGENT_OUT "/" FILE_SINK_STAGING

static struct sim_agent agent;

static int setup(void **state)
{
    (void)state;
    sim_agent_init(&agent, 21);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    sim_agent_fini(&agent);
    return 0;
}

/* ---- Damage ---- */

/*
 * Each file in `dir` goes, or another one with a wrong byte takes its place: a consumer may have
 * the first under a name of its own. Returns how many.
 */
static unsigned damage(const char *dir, bool remove)
{
    char **names, path[512];
    unsigned done = 0;
    size_t count;

    if (sim_list(dir, &names, &count) != 0)
        return 0;
    for (size_t i = 0; i < count; i++) {
        uint8_t *data;
        size_t len;

        snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
        if (sim_read_file(path, &data, &len) != 0)
            continue;
        if (remove || len > 0) {
            assert_int_equal(sim_unlink(path), 0);
            done++;
        }
        if (!remove && len > 0) {
            data[len / 2] ^= 0x20;
            assert_int_equal(sim_write_file(path, data, len), 0);
        }
        free(data);
    }
    free(names);
    return done;
}

static unsigned names_like(const char *dir, const char *end)
{
    char **names;
    unsigned found = 0;
    size_t count;

    assert_int_equal(sim_list(dir, &names, &count), 0);
    for (size_t i = 0; i < count; i++)
        found += strlen(names[i]) > strlen(end)
                 && strcmp(names[i] + strlen(names[i]) - strlen(end), end) == 0;
    free(names);
    return found;
}

/* A sink elsewhere that is full: batches are sealed, and wait in the spool. */
static void stalled_sink(void)
{
    sim_mount("/far", false, 1 << 30);
    agent.sinks[0].directory = "/far/out";
    sim_set_capacity("/far", 0);
}

static void life_with_sealed_batches(unsigned events)
{
    sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, events);
    sim_agent_open(&agent);
    sim_agent_until(&agent, sim_agent_taken, "all is taken");
    sim_agent_pass(&agent, 3000000000);
    sim_agent_check_books(&agent);
    assert_int_equal(agent.delivered, 0);
    sim_agent_close(&agent);
    sim_kill();
}

static void last_life(void)
{
    assert_int_equal(sim_agent_life(&agent), 0);
    sim_agent_check_all(&agent);
    sim_agent_check_clean(&agent);
    assert_int_equal(agent.pending + agent.lost + agent.dropped, 0);
}

static void a_damaged_spool_file_is_made_again(void **state)
{
    (void)state;
    stalled_sink();
    life_with_sealed_batches(40);
    assert_int_equal(damage(SPOOL, false), 4);
    sim_set_capacity("/far", 1 << 30);
    last_life();
    assert_int_equal(sim_agent_files(&agent, 0, NULL), 4);
}

/* Nothing is removed meanwhile: what cannot be set aside may be all that is left of its batch. */
static void a_damaged_file_that_cannot_be_set_aside_stays_and_is_tried_again(void **state)
{
    (void)state;
    stalled_sink();
    life_with_sealed_batches(40);
    assert_int_equal(damage(SPOOL, false), 4);
    sim_set_capacity("/far", 1 << 30);
    sim_agent_open(&agent);
    sim_fail(SIM_RENAME, 1, 8, -EIO);   /* there, and back in case it had been */
    sim_agent_turns(&agent, 200);
    assert_int_equal(names_like(SPOOL, ".spool"), 4);
    assert_int_equal(names_like(SPOOL, ".damaged"), 0);
    assert_int_equal(agent.shard->batches_rebuilt, 0);
    sim_agent_pass(&agent, 200000000000);
    assert_int_equal(agent.shard->batches_rebuilt, 4);
    assert_int_equal(names_like(SPOOL, ".damaged"), 0);
    sim_agent_close(&agent);
    sim_kill();
    last_life();
    assert_int_equal(sim_agent_files(&agent, 0, NULL), 4);
}

/* The file that was made again is damaged too, before it is sealed again. */
static void of_damaged_files_the_first_is_kept(void **state)
{
    char **names, path[512];
    size_t count;

    (void)state;
    stalled_sink();
    life_with_sealed_batches(40);
    assert_int_equal(damage(SPOOL, false), 4);
    assert_int_equal(sim_list(SPOOL, &names, &count), 0);
    for (size_t i = 0; i < count; i++) {
        snprintf(path, sizeof(path), SPOOL "/%.*s.damaged", (int)(strlen(names[i]) - 6), names[i]);
        assert_int_equal(sim_write_file(path, "first", 5), 0);
    }
    free(names);
    sim_set_capacity("/far", 1 << 30);
    last_life();
    assert_int_equal(sim_agent_files(&agent, 0, NULL), 4);
}

static void a_spool_file_that_is_gone_is_made_again(void **state)
{
    (void)state;
    stalled_sink();
    life_with_sealed_batches(40);
    assert_int_equal(damage(SPOOL, true), 4);
    sim_set_capacity("/far", 1 << 30);
    last_life();
    assert_int_equal(sim_agent_files(&agent, 0, NULL), 4);
}

static void large_batches_over_several_segments_are_made_again(void **state)
{
    (void)state;
    stalled_sink();
    agent.pad_bytes = 4000;
    agent.streams_count = 3;
    agent.sinks[0].buffer_count = 400;
    sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, 900);
    life_with_sealed_batches(1500);
    assert_true(damage(SPOOL, false) >= 6);
    sim_set_capacity("/far", 1 << 30);
    last_life();
}

/* Two sinks share a batch: one has its copy, the other's is damaged. */
static void a_sink_that_has_the_batch_does_not_get_it_again(void **state)
{
    uint64_t near;

    (void)state;
    sim_mount("/far", false, 1 << 30);
    sim_agent_sink_add(&agent, "far", "/far/out");
    sim_set_capacity("/far", 0);
    life_with_sealed_batches(30);
    assert_int_equal(sim_agent_files(&agent, 0, &near), 3);
    assert_int_equal(near, 30);
    assert_int_equal(damage(SPOOL, true), 3);
    sim_set_capacity("/far", 1 << 30);
    last_life();
    assert_int_equal(sim_agent_files(&agent, 0, NULL), 3);
    assert_int_equal(sim_agent_files(&agent, 1, NULL), 3);
}

/* ---- Crashes around it ---- */

struct schedule {
    uint64_t seed, point;
    bool power, remove;
};

enum { CUT, ENDED };

/* A sanitized build takes one point of three. */
#ifdef __SANITIZE_ADDRESS__
enum { STEP = 3 };
#else
enum { STEP = 1 };
#endif

static void cut(const struct schedule *s)
{
    if (s->power)
        sim_agent_power_cut(&agent, s->seed ^ s->point * 0x9e3779b97f4a7c15ULL);
    else
        sim_agent_killed(&agent);
    sim_agent_check_files(&agent);
}

/* Crashed, then damaged wherever it was, then crashed again while that is mended. */
static int damaged_and_cut(void *ctx)
{
    const struct schedule *s = ctx;

    sim_agent_init(&agent, s->seed + s->point);
    sim_set_journal(true);
    agent.sinks[0].buffer_count = 4;
    sim_mount("/far", false, 1 << 30);
    sim_agent_sink_add(&agent, "far", "/far/out");
    sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, 13);
    sim_crash_at(150 + s->point % 150);
    if (sim_agent_life(&agent) == 0)
        return CUT;     /* too late to cut this one: the next is another */
    cut(s);
    sim_land();
    if (damage(SPOOL, s->remove) == 0 && damage("/far/out/" FILE_SINK_STAGING, false) == 0)
        return CUT;
    damage(STAGING, false);
    sim_crash_at(1 + s->point * 2 % 250);
    if (sim_agent_life(&agent) != 0)
        cut(s);
    sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, 5);
    SIM_AGENT_CHECK(sim_agent_life(&agent) == 0, "the last life ends by itself");
    sim_agent_check_all(&agent);
    sim_agent_check_clean(&agent);
    SIM_AGENT_CHECK(agent.pending == 0, "%llu events pending", (unsigned long long)agent.pending);
    SIM_AGENT_CHECK(s->power || agent.lost == 0, "%llu events lost",
                    (unsigned long long)agent.lost);
    return ENDED;
}

static void crashes_while_it_is_made_again_lose_and_double_nothing(void **state)
{
    unsigned mended = 0;

    (void)state;
    for (uint64_t point = 1; point <= (getenv("HYDRANT_LONG") ? 4000 : 400); point += STEP) {
        struct schedule s = {.seed = 4000, .point = point, .power = point % 2 == 0,
                             .remove = point / STEP % 3 == 0};

        mended += sim_agent_child(damaged_and_cut, &s) == ENDED;
    }
    print_message("%u lives with damaged batches\n", mended);
    assert_true(mended * STEP > 100);
}

/* ---- What the log cannot supply ---- */

/* One payload byte of the log is another: the first that says so. */
static void damage_log(const char *text)
{
    char **names, path[512];
    size_t count;
    bool done = false;

    assert_int_equal(sim_list(SIM_AGENT_DATA "/wal", &names, &count), 0);
    for (size_t i = 0; i < count && !done; i++) {
        uint8_t *data, *at;
        size_t len;

        snprintf(path, sizeof(path), SIM_AGENT_DATA "/wal/%s", names[i]);
        assert_int_equal(sim_read_file(path, &data, &len), 0);
        at = memmem(data, len, text, strlen(text));
        if (at) {
            assert_int_equal(sim_poke(path, (uint64_t)(at - data), "X", 1), 0);
            done = true;
        }
        free(data);
    }
    free(names);
    assert_true(done);
}

static void a_batch_that_the_log_has_not_got_is_kept_and_holds_up_no_other(void **state)
{
    (void)state;
    stalled_sink();
    agent.streams_count = 2;
    life_with_sealed_batches(40);
    assert_int_equal(damage(SPOOL, false), 4);
    damage_log("{\"p\":0,\"s\":1,\"n\":3");
    sim_set_capacity("/far", 1 << 30);
    agent.sources[0].lies = true;       /* a batch is missing */
    for (int life = 0; life < 2; life++) {
        sim_agent_open(&agent);
        sim_agent_pass(&agent, 200000000000);
        sim_agent_check_books(&agent);
        /* The whole span is excluded, and with it events of the batches behind. */
        assert_true(agent.pending > 0 && agent.pending <= 40);
        assert_int_equal(agent.pending % 10, 0);
        assert_true(names_like(SPOOL, ".spool") >= 1);
        sim_agent_close(&agent);
        sim_kill();
    }
    sim_agent_check_files(&agent);
}

/* Much of its file has been handed over by the time at which it shows that events are missing. */
static void a_batch_that_lacks_its_last_events_is_kept_too(void **state)
{
    (void)state;
    stalled_sink();
    agent.pad_bytes = 4000;
    agent.sinks[0].buffer_count = 500;
    life_with_sealed_batches(1000);
    assert_int_equal(damage(SPOOL, false), 2);
    damage_log("{\"p\":0,\"s\":0,\"n\":490");
    sim_set_capacity("/far", 1 << 30);
    agent.sources[0].lies = true;
    sim_agent_open(&agent);
    sim_agent_pass(&agent, 200000000000);
    sim_agent_check_books(&agent);
    assert_int_equal(agent.pending % 500, 0);
    assert_true(agent.pending > 0 && agent.shard->batches_rebuilt + agent.pending / 500 == 2);
    assert_int_equal(names_like(SPOOL, ".spool"), agent.pending / 500);
    sim_agent_close(&agent);
    sim_kill();
    sim_agent_check_files(&agent);
}

/* ---- Files that had to be given up ---- */

static void a_failed_sync_of_a_file_is_not_believed_and_not_repeated(void **state)
{
    (void)state;
    for (uint64_t nth = 1; nth <= 30; nth++) {
        sim_agent_fini(&agent);
        sim_agent_init(&agent, nth);
        agent.leave = true;
        agent.opt.wal_dir = "/log/wal";
        sim_mount("/log", false, 1 << 30);
        sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, 30);
        sim_agent_open(&agent);
        sim_agent_turns(&agent, 20);
        sim_fail(SIM_SYNC, nth, 1, -EIO);
        agent.may_fail = true;          /* where it was the log's */
        sim_agent_until(&agent, sim_agent_taken, "all is taken");
        if (agent.result == 0)
            sim_agent_stop(&agent);
        else
            sim_agent_close(&agent);
        sim_fail_clear();
        agent.may_fail = false;
        agent.result = 0;
        last_life();
    }
}

static unsigned taken;

/* Whoever reads the files takes them away now and then; the disk stays small. */
static void consumer(struct sim_agent *a, uint64_t turn)
{
    if (turn % 50 == 0) {
        sim_agent_take(a);
        taken++;
    }
}

/*
 * A disk that cannot hold the open batches of all streams: none of them is ever full, and none
 * could be written to its end if the others kept what they have.
 */
static void a_full_disk_frees_itself_from_batches_that_are_not_full(void **state)
{
    (void)state;
    sim_mount("/log", false, 1 << 30);
    sim_mount(SIM_AGENT_DATA, false, 5 << 20);
    agent.opt.wal_dir = "/log/wal";
    agent.opt.idle = SHARD_IDLE_SLEEP;
    agent.leave = true;
    agent.pad_bytes = 7000;
    agent.streams_count = 6;
    agent.sinks[0].buffer_count = -1;
    agent.sinks[0].buffer_bytes = 64 << 20;
    agent.sinks[0].buffer_time_ns = 3600000000000;
    agent.on_turn = consumer;
    sim_agent_source_add(&agent, 1 << 20, 3000)->burst = 20;
    sim_agent_open(&agent);
    sim_agent_until(&agent, sim_agent_taken, "all is taken");
    assert_true(agent.shard->batches_rebuilt > 0);
    sim_agent_stop(&agent);
    agent.on_turn = NULL;
    sim_agent_check_all(&agent);
    sim_agent_check_clean(&agent);
    assert_int_equal(agent.pending + agent.lost + agent.dropped, 0);
}

int main(void)
{
    struct CMUnitTest tests[] = {
        cmocka_unit_test(a_damaged_spool_file_is_made_again),
        cmocka_unit_test(a_damaged_file_that_cannot_be_set_aside_stays_and_is_tried_again),
        cmocka_unit_test(of_damaged_files_the_first_is_kept),
        cmocka_unit_test(a_spool_file_that_is_gone_is_made_again),
        cmocka_unit_test(large_batches_over_several_segments_are_made_again),
        cmocka_unit_test(a_sink_that_has_the_batch_does_not_get_it_again),
        cmocka_unit_test(crashes_while_it_is_made_again_lose_and_double_nothing),
        cmocka_unit_test(a_batch_that_the_log_has_not_got_is_kept_and_holds_up_no_other),
        cmocka_unit_test(a_batch_that_lacks_its_last_events_is_kept_too),
        cmocka_unit_test(a_failed_sync_of_a_file_is_not_believed_and_not_repeated),
        cmocka_unit_test(a_full_disk_frees_itself_from_batches_that_are_not_full),
    };

    for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
        tests[i].setup_func = setup;
        tests[i].teardown_func = teardown;
    }
    return cmocka_run_group_tests_name("rebuild", tests, NULL, NULL);
}
