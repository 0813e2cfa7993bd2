/*
 * Claims about the invariants themselves: each finds what it is for. A run of the agent that is
 * well is tampered with, in a child process, which has to end with the name of the invariant.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pipeline/parts.h"
#include "support/sim.h"
#include "support/sim_invariants.h"

enum { EVENTS = 12 };

static struct sim_agent agent;
static struct inv inv;
static struct sim_producer ring;
static uint64_t cover[COVER_COUNT];

static void event_write(void)
{
    static const char payload[] = "{\"a\":1}";
    uint16_t number;

    assert_int_equal(sim_producer_stream(&ring, "stream", &number), 0);
    assert_int_equal(sim_producer_append(&ring, number, SHM_KIND_JSON, 0, payload,
                                         sizeof(payload) - 1), 0);
    inv_source_wrote(&inv, 0, payload, sizeof(payload) - 1);
    sim_producer_publish(&ring);
}

static void run(unsigned turns)
{
    while (turns-- > 0) {
        sim_agent_turn(&agent);
        inv_positions(&inv);
        inv_books(&inv);
    }
}

/* An agent that has accepted some events, nothing of it synced or sealed unless asked for. */
static void begin(enum wal_sync_policy sync)
{
    sim_agent_init(&agent, 1);
    agent.opt.sync = sync;
    agent.sinks[0].directory = "/out/0";
    agent.sinks[0].buffer_count = 5;
    agent.sinks[0].buffer_time_ns = -1;
    inv_init(&inv, &agent, cover);
    inv.doing = "a test";
    assert_int_equal(sim_producer_open(&ring, SIM_AGENT_SHM, "p0.ring", SHM_RING_BYTES_MIN), 0);
    inv_source_add(&inv, &ring, "p0.ring");
    sim_agent_open(&agent);
}

static void begin_with_events(enum wal_sync_policy sync, unsigned events)
{
    begin(sync);
    for (unsigned i = 0; i < events; i++)
        event_write();
    run(20);
    assert_true(sim_producer_pos(&ring, SHM_POS_ACCEPTED) == ring.head_pos);
}

static void stop(void)
{
    shard_stop(agent.shard, agent.stop_ns);
    while (agent.result == 0)
        run(1);
    sim_agent_close(&agent);
}

static void publish(enum shm_pos which)
{
    atomic_store(&ring.consumer->mark[which].pos, ring.head_pos);
    inv_positions(&inv);
}

/* The segment that is being written; the next one may be there, not begun. */
static void segment_path(char path[200])
{
    char **names;
    size_t count;

    assert_int_equal(sim_list(SIM_AGENT_DATA "/wal", &names, &count), 0);
    assert_true(count > 0);
    snprintf(path, 200, SIM_AGENT_DATA "/wal/%s", names[0]);
    free(names);
}

/* ---- Tampering ---- */

static void nothing(void)
{
    begin_with_events(WAL_SYNC_ALWAYS, EVENTS);
    sim_producer_close(&ring);
    stop();
    inv_life_over(&inv, false);
    inv_end(&inv);
    abort();                            /* as if something had been found */
}

static void accepted_too_far(void)
{
    begin(WAL_SYNC_ALWAYS);
    event_write();
    publish(SHM_POS_ACCEPTED);
}

static void durable_too_far(void)
{
    begin_with_events(WAL_SYNC_NEVER, 2);
    publish(SHM_POS_DURABLE);
}

static void delivered_too_far(void)
{
    begin_with_events(WAL_SYNC_ALWAYS, 2);
    publish(SHM_POS_DELIVERED);
}

static void position_goes_back(void)
{
    begin_with_events(WAL_SYNC_ALWAYS, 2);
    atomic_store(&ring.consumer->mark[SHM_POS_DURABLE].pos, 0);
    inv_positions(&inv);
}

static void payload_changes_in_the_ring(void)
{
    begin(WAL_SYNC_ALWAYS);
    event_write();
    ring.data[sizeof(struct shm_frame) + 2] = 'b';
    run(20);
}

static void delivered_file_changes(void)
{
    begin_with_events(WAL_SYNC_ALWAYS, EVENTS);
    sim_producer_close(&ring);
    stop();
    assert_int_equal(sim_poke(inv.seals[0].target[0].path, 2, "b", 1), 0);
    inv_end(&inv);
}

static void delivered_file_vanishes(void)
{
    begin_with_events(WAL_SYNC_ALWAYS, EVENTS);
    stop();
    assert_int_equal(sim_unlink(inv.seals[0].target[0].path), 0);
    sim_power_cut(1);
    inv_power_cut(&inv);
}

static void file_comes_from_nowhere(void)
{
    begin_with_events(WAL_SYNC_ALWAYS, 2);
    assert_int_equal(sim_write_file("/out/0/x", "x", 1), 0);
    assert_int_equal(sim_rename("/out/0/x", "/out/0/x.json"), 0);
}

static void ring_is_not_read(void)
{
    begin_with_events(WAL_SYNC_ALWAYS, 2);
    event_write();
    inv_end(&inv);
}

static void events_stay_pending(void)
{
    begin_with_events(WAL_SYNC_ALWAYS, 2);
    inv_end(&inv);
}

static void segment_goes_early(void)
{
    char path[200];

    begin_with_events(WAL_SYNC_ALWAYS, 2);
    segment_path(path);
    assert_int_equal(sim_unlink(path), 0);
}

static void log_is_cut_short(void)
{
    char path[200];

    begin_with_events(WAL_SYNC_ALWAYS, 2);
    segment_path(path);
    sim_agent_killed(&agent);
    inv_life_over(&inv, true);
    assert_int_equal(sim_truncate(path, inv.commits[0].to), 0);
    sim_agent_open(&agent);
}

static void ring_goes_while_its_producer_lives(void)
{
    begin_with_events(WAL_SYNC_ALWAYS, 2);
    assert_int_equal(sim_unlink(SIM_AGENT_SHM "/p0.ring"), 0);
}

static void books_are_cooked(void)
{
    begin_with_events(WAL_SYNC_ALWAYS, 2);
    agent.shard->state.streams[0]->accepted++;
    inv_books(&inv);
}

static void sources_are_mixed_up(void)
{
    begin_with_events(WAL_SYNC_ALWAYS, 2);
    agent.shard->state.streams[0]->accepted_from[WAL_FROM_TCP]++;
    inv_books(&inv);
}

static void state_is_not_what_the_log_says(void)
{
    begin_with_events(WAL_SYNC_ALWAYS, 2);
    agent.shard->state.streams[0]->accepted_bytes++;
    inv_life_over(&inv, true);
    sim_agent_killed(&agent);
    sim_agent_open(&agent);
}

static void spool_file_goes_early(void)
{
    char **names, path[200];
    size_t count;

    begin(WAL_SYNC_ALWAYS);
    for (unsigned i = 0; i < EVENTS; i++)
        event_write();
    while (inv.seals_count == 0)
        run(1);
    assert_int_equal(sim_list(SIM_AGENT_DATA "/spool", &names, &count), 0);
    for (size_t i = 0; i < count; i++) {
        snprintf(path, sizeof(path), SIM_AGENT_DATA "/spool/%s", names[i]);
        assert_int_equal(sim_unlink(path), 0);
    }
    free(names);
}

static void drops_are_made_up(void)
{
    begin_with_events(WAL_SYNC_ALWAYS, 2);
    atomic_store(&ring.page->drops[SHM_DROP_FULL], 5);
    sim_advance_ns(2000000000);
    run(20);
}

/* ---- What is found ---- */

static void each_invariant_finds_what_it_is_for(void **state)
{
    static const struct {
        void (*tamper)(void);
        const char *found;              /* NULL: nothing is to be found */
    } cases[] = {
        {nothing, NULL},
        {accepted_too_far, "accepted_is_committed"},
        {durable_too_far, "durable_is_synced"},
        {delivered_too_far, "delivered_is_acknowledged"},
        {position_goes_back, "positions_keep_their_order"},
        {payload_changes_in_the_ring, "nothing_is_logged_that_was_not_written"},
        {delivered_file_changes, "inv_file_is_its_events"},
        {delivered_file_vanishes, "delivery_undone"},
        {file_comes_from_nowhere, "only_sealed_batches_are_delivered"},
        {ring_is_not_read, "every_ring_is_read_in_the_end"},
        {events_stay_pending, "every_event_is_delivered_in_the_end"},
        {segment_goes_early, "nothing_needed_is_recycled"},
        {log_is_cut_short, "what_was_promised_stays_in_the_log"},
        {ring_goes_while_its_producer_lives, "a_ring_goes_when_all_of_it_is_logged"},
        {sources_are_mixed_up, "books_agree_with_the_log"},
        {books_are_cooked, "books_agree_with_the_log"},
        {state_is_not_what_the_log_says, "inv_state_is_found_again"},
        {spool_file_goes_early, "a_spool_file_outlives_its_seal"},
        {drops_are_made_up, "drops_are_counted_once"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int text = memfd_create("tampering", MFD_CLOEXEC), status = 0;
        char said[2000] = "", wanted[100];
        pid_t pid;

        fflush(NULL);
        pid = fork();
        assert_true(text >= 0 && pid >= 0);
        if (pid == 0) {
            if (dup2(text, STDERR_FILENO) < 0)
                _exit(2);
            signal(SIGABRT, SIG_DFL);
            cases[i].tamper();
            _exit(0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(pread(text, said, sizeof(said) - 1, 0) >= 0);
        snprintf(wanted, sizeof(wanted), "broken: %s: ", cases[i].found ? cases[i].found : "");
        if (!WIFSIGNALED(status) || (cases[i].found ? strstr(said, wanted) == NULL : said[0]))
            fail_msg("case %zu: status %x, '%s'", i, (unsigned)status, said);
        close(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_invariant_finds_what_it_is_for),
    };

    return cmocka_run_group_tests_name("sim_invariants", tests, NULL, NULL);
}
