/*
 * Claims about back pressure, limit by limit: at it rings fill and producers are refused, the
 * status says so, one line in the log says so, one that it is over; then everything goes on by
 * itself and nothing is lost.
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
#include <sys/mman.h>
#include <unistd.h>

#include "pipeline/parts.h"
#include "support/sim.h"
#include "support/sim_agent.h"

enum { REFUSED_TURNS = 400, TEXT_MAX = 1 << 20 };

static struct sim_agent agent;

/* ---- What the agent says ---- */

static int text_fd = -1, stderr_fd = -1;

/* From here on what the agent logs goes into a file of this test. */
static void log_catch(void)
{
    text_fd = memfd_create("pressure", 0);
    stderr_fd = dup(STDERR_FILENO);
    assert_true(text_fd >= 0 && stderr_fd >= 0);
    assert_true(dup2(text_fd, STDERR_FILENO) >= 0);
    log_init(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
}

static void log_release(void)
{
    log_init(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
    assert_true(dup2(stderr_fd, STDERR_FILENO) >= 0);
    close(stderr_fd);
    close(text_fd);
    text_fd = stderr_fd = -1;
}

/* A test that failed has not released it: why is in there. */
static int teardown(void **state)
{
    static char text[8192];
    off_t end;
    ssize_t n;

    (void)state;
    if (text_fd < 0)
        return 0;
    end = lseek(text_fd, 0, SEEK_END);
    n = pread(text_fd, text, sizeof(text), end > (off_t)sizeof(text) ? end - (off_t)sizeof(text)
                                                                     : 0);
    log_release();
    return n > 0 && write(STDERR_FILENO, text, (size_t)n) == n ? 0 : -1;
}

static unsigned said(const char *words)
{
    static char text[TEXT_MAX];
    ssize_t n = pread(text_fd, text, sizeof(text) - 1, 0);
    unsigned count = 0;

    assert_in_range(n, 0, sizeof(text) - 2);
    text[n] = '\0';
    for (const char *at = text; (at = strstr(at, words)); at++)
        count++;
    return count;
}

static unsigned said_of(enum status_backpressure which, const char *words)
{
    char line[128];

    snprintf(line, sizeof(line), "back pressure: %s: %s", backpressure_names[which], words);
    return said(line);
}

/* ---- The limits ---- */

static void full_sink_press(void)
{
    sim_set_capacity("/far", 0);
}

static void full_sink_release(void)
{
    sim_set_capacity("/far", 1 << 30);
}

static void far_sink(void)
{
    sim_mount("/far", false, 1 << 30);
    agent.sinks[0].directory = "/far/out";
}

static void log_full_prepare(void)
{
    far_sink();
    agent.sinks[0].buffer_count = 200;
    agent.opt.wal_bytes_max = 24 << 20;
}

static void seals_max_prepare(void)
{
    far_sink();
    agent.sinks[0].buffer_count = 1;
}

static void spool_disk_prepare(void)
{
    sim_mount("/spool", false, 1 << 30);
    agent.opt.wal_dir = "/spool/wal";
    sim_mount(SIM_AGENT_DATA, false, 1 << 30);
    agent.sinks[0].buffer_count = 100000;
    agent.sinks[0].buffer_bytes = 1 << 30;
}

static void data_disk_press(void)
{
    sim_set_capacity(SIM_AGENT_DATA, 0);
}

static void data_disk_release(void)
{
    sim_set_capacity(SIM_AGENT_DATA, 1 << 30);
}

/* Nothing is sealed meanwhile, so that no segment is free to be written again. */
static void log_disk_prepare(void)
{
    agent.sinks[0].buffer_count = 100000;
    agent.sinks[0].buffer_time_ns = -1;
    sim_mount("/log", false, 1 << 30);
    agent.opt.wal_dir = "/log/wal";
}

static void log_disk_press(void)
{
    sim_set_capacity("/log", 0);
}

static void log_disk_release(void)
{
    sim_set_capacity("/log", 1 << 30);
}

static void sink_error_press(void)
{
    sim_fail(SIM_RENAME, 1, 0, -EIO);
}

static void rings_max_prepare(void)
{
    agent.opt.rings_max = 2;
    for (int i = 0; i < 2; i++)
        sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, 0);
}

static void rings_max_release(void)
{
    sim_producer_close(&agent.sources[0].ring);
}

static void nothing(void)
{
}

struct limit {
    enum status_backpressure which;
    void (*prepare)(void), (*press)(void), (*release)(void);
    bool fills;                         /* rings, without further ado */
    uint32_t events;
};

static const struct limit limits[] = {
    {BACKPRESSURE_LOG_FULL, log_full_prepare, full_sink_press, full_sink_release, true, 4500},
    {BACKPRESSURE_DISK_FULL, spool_disk_prepare, data_disk_press, data_disk_release, true, 5500},
    {BACKPRESSURE_DISK_FULL, log_disk_prepare, log_disk_press, log_disk_release, true, 3000},
    {BACKPRESSURE_SINK_ERROR, nothing, sink_error_press, sim_fail_clear, false, 100},
    {BACKPRESSURE_RINGS_MAX, rings_max_prepare, nothing, rings_max_release, true, 1000},
    {BACKPRESSURE_SEALS_MAX, seals_max_prepare, full_sink_press, full_sink_release, true, 4500},
};

static uint32_t written_before;
static unsigned refused;

/* The producer has had no place for some hundred turns, or has written all. */
static bool is_refused(struct sim_agent *a)
{
    const struct sim_agent_source *src = &a->sources[a->sources_count - 1];

    refused = src->events_count == written_before ? refused + 1 : 0;
    written_before = src->events_count;
    if (a->turns % 16 == 0)
        sim_agent_check_books(a);
    return refused == REFUSED_TURNS;
}

static void limit_check(const struct limit *limit)
{
    struct sim_agent_source *src;

    sim_agent_init(&agent, 500 + limit->which);
    agent.pad_bytes = 8000;
    agent.opt.idle = SHARD_IDLE_SLEEP;
    limit->prepare();
    log_catch();
    sim_agent_open(&agent);
    sim_agent_turns(&agent, 20);
    for (int i = 0; i < BACKPRESSURE_COUNT; i++)
        assert_false(sim_agent_pressed(&agent, (enum status_backpressure)i));
    limit->press();
    src = sim_agent_source_add(&agent, 1 << 18, limit->events);
    src->burst = 40;
    refused = written_before = 0;
    sim_agent_until(&agent, is_refused, "the producer is refused");
    assert_true(sim_agent_pressed(&agent, limit->which));
    if (limit->fills) {
        assert_true(src->events_count < src->planned);
        assert_false(sim_agent_write(&agent, src, 0));
    }
    sim_agent_pass(&agent, 5000000000);
    assert_true(sim_agent_pressed(&agent, limit->which));
    assert_int_equal(said_of(limit->which, ""), 1);
    limit->release();
    sim_agent_until(&agent, sim_agent_taken, "everything is accepted");
    sim_agent_pass(&agent, 70000000000);        /* the longest pause between attempts */
    for (int i = 0; i < BACKPRESSURE_COUNT; i++)
        assert_false(sim_agent_pressed(&agent, (enum status_backpressure)i));
    assert_int_equal(said_of(limit->which, ""), 2);
    assert_int_equal(said(": over"), said("back pressure: ") / 2);
    sim_agent_stop(&agent);
    log_release();
    sim_agent_check_all(&agent);
    sim_agent_check_clean(&agent);
    assert_int_equal(agent.lost + agent.dropped + agent.pending, 0);
    sim_agent_fini(&agent);
}

static void each_limit_pushes_back_says_so_and_lets_go(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        print_message("%s\n", backpressure_names[limits[i].which]);
        limit_check(&limits[i]);
    }
}

/* A stream never ends, so that only a start with more room lets the others in. */
static void a_stream_too_many_waits_in_its_ring(void **state)
{
    (void)state;
    sim_agent_init(&agent, 9);
    agent.opt.streams_max = 1;
    agent.streams_count = 2;
    agent.opt.idle = SHARD_IDLE_SLEEP;
    log_catch();
    sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, 2000);
    sim_agent_open(&agent);
    refused = written_before = 0;
    sim_agent_until(&agent, is_refused, "the producer is refused");
    assert_false(sim_agent_write(&agent, &agent.sources[0], 0));
    sim_agent_pass(&agent, 5000000000);
    assert_true(sim_agent_pressed(&agent, BACKPRESSURE_STREAMS_MAX));
    assert_int_equal(said_of(BACKPRESSURE_STREAMS_MAX, ""), 1);
    sim_agent_close(&agent);
    agent.opt.streams_max = 2;
    assert_int_equal(sim_agent_life(&agent), 0);
    log_release();
    sim_agent_check_all(&agent);
    assert_int_equal(agent.delivered, 2000);
    sim_agent_fini(&agent);
}

/* Each sink says that it fails, once, however many of its batches do. */
static void every_sink_that_fails_is_named_once(void **state)
{
    struct status *status;

    (void)state;
    sim_agent_init(&agent, 10);
    sim_mount("/a", false, 0);
    sim_mount("/b", false, 0);
    sim_agent_sink_add(&agent, "first", "/a/out");
    sim_agent_sink_add(&agent, "second", "/b/out")->buffer_count = 7;
    sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, 100);
    log_catch();
    sim_agent_open(&agent);
    sim_agent_until(&agent, sim_agent_taken, "events");
    sim_agent_pass(&agent, 9000000000);
    assert_int_equal(said_of(BACKPRESSURE_SINK_ERROR, "sink 'first': /a/out/"), 1);
    assert_int_equal(said_of(BACKPRESSURE_SINK_ERROR, "sink 'second': /b/out/"), 1);
    assert_int_equal(said_of(BACKPRESSURE_SINK_ERROR, ""), 2);
    assert_int_equal(snapshot_make(agent.shard, &status), 0);
    assert_int_equal(status->sinks_count, 3);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(strcmp(status->sinks[i].name, "local") == 0,
                         status->sinks[i].waits_because[0] == '\0');
    status_free(status);
    sim_set_capacity("/a", 1 << 30);
    sim_agent_pass(&agent, 70000000000);
    assert_int_equal(said_of(BACKPRESSURE_SINK_ERROR, "/a/out: over"), 1);
    assert_true(sim_agent_pressed(&agent, BACKPRESSURE_SINK_ERROR));
    sim_set_capacity("/b", 1 << 30);
    sim_agent_pass(&agent, 70000000000);
    assert_int_equal(said_of(BACKPRESSURE_SINK_ERROR, ""), 4);
    assert_false(sim_agent_pressed(&agent, BACKPRESSURE_SINK_ERROR));
    sim_agent_stop(&agent);
    log_release();
    sim_agent_check_all(&agent);
    sim_agent_fini(&agent);
}

/* Met and left at every turn: two lines, whenever one looks it is on, until it is over. */
static void a_limit_that_comes_and_goes_is_said_once(void **state)
{
    uint64_t end;

    (void)state;
    sim_agent_init(&agent, 11);
    log_catch();
    sim_agent_open(&agent);
    for (end = sim_now_ns() + 10000000000; sim_now_ns() < end;) {
        shard_pressure(agent.shard, BACKPRESSURE_STREAMS_MAX, true, "a test");
        sim_agent_turn(&agent);         /* draining takes it back */
        assert_false(agent.shard->backpressure[BACKPRESSURE_STREAMS_MAX]);
        assert_true(sim_agent_pressed(&agent, BACKPRESSURE_STREAMS_MAX));
    }
    assert_int_equal(said_of(BACKPRESSURE_STREAMS_MAX, "a test"), 1);
    sim_agent_pass(&agent, PRESSURE_OVER_NS - 10000000);
    assert_true(sim_agent_pressed(&agent, BACKPRESSURE_STREAMS_MAX));
    sim_agent_pass(&agent, 20000000);
    assert_false(sim_agent_pressed(&agent, BACKPRESSURE_STREAMS_MAX));
    assert_int_equal(said_of(BACKPRESSURE_STREAMS_MAX, ""), 2);
    assert_int_equal(said_of(BACKPRESSURE_STREAMS_MAX, "over"), 1);
    sim_agent_stop(&agent);
    log_release();
    sim_agent_fini(&agent);
}

/* ---- Memory, which the agent itself frees by sealing what is not full ---- */

static bool memory_short;

static void memory_look(struct sim_agent *a, uint64_t turn)
{
    (void)turn;
    memory_short |= a->shard->backpressure[BACKPRESSURE_MEMORY];
}

static void open_batches_for_which_memory_is_short_are_sealed(void **state)
{
    (void)state;
    sim_agent_init(&agent, 77);
    agent.opt.memory_limit = 8 << 20;       /* 16 blocks, for 32 batches */
    agent.streams_count = 8;
    agent.leave = true;
    agent.pad_bytes = 7000;
    agent.on_turn = memory_look;
    agent.sinks[0].buffer_count = 100000;
    agent.sinks[0].buffer_time_ns = -1;
    sim_agent_sink_add(&agent, "b", "/data/b")->buffer_count = 100001;
    sim_agent_sink_add(&agent, "c", "/data/c")->buffer_count = 100002;
    sim_agent_sink_add(&agent, "d", "/data/d")->buffer_count = 100003;
    sim_agent_source_add(&agent, 1 << 18, 800)->burst = 20;
    memory_short = false;
    assert_int_equal(sim_agent_life(&agent), 0);
    assert_true(memory_short);
    sim_agent_check_all(&agent);
    sim_agent_check_clean(&agent);
    assert_int_equal(agent.pending + agent.lost + agent.dropped, 0);
    sim_agent_fini(&agent);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(each_limit_pushes_back_says_so_and_lets_go, teardown),
        cmocka_unit_test(open_batches_for_which_memory_is_short_are_sealed),
        cmocka_unit_test_teardown(a_stream_too_many_waits_in_its_ring, teardown),
        cmocka_unit_test_teardown(every_sink_that_fails_is_named_once, teardown),
        cmocka_unit_test_teardown(a_limit_that_comes_and_goes_is_said_once, teardown),
    };

    return cmocka_run_group_tests_name("pressure", tests, NULL, NULL);
}
