/*
 * Claims about the books across crashes: what a start reads from the log is what the agent that was
 * killed had in memory; no figure ever goes back; and when everything is delivered they are those
 * of an agent that was never killed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "pipeline/parts.h"
#include "support/sim.h"
#include "support/sim_agent.h"

enum { SOURCES = 3, EVENTS = 60, STREAMS = 2, LIVES = 6 };

static struct sim_agent agent;

/* ---- The same books ---- */

#define SAME(x, y, what)                                                                     \
    SIM_AGENT_CHECK((x) == (y), "%s: %llu and %llu", what, (unsigned long long)(x),          \
                    (unsigned long long)(y))

static void same_versions(const struct wal_stream *a, const struct wal_stream *b)
{
    SAME(a->versions_count, b->versions_count, "versions");
    for (uint32_t i = 0; i < a->versions_count; i++) {
        const struct wal_version *x = &a->versions[i], *y = &b->versions[i];

        SAME(x->version, y->version, "version");
        SAME(x->accepted, y->accepted, "accepted of a version");
        SAME(x->lost, y->lost, "lost of a version");
        SAME(x->resolved, y->resolved, "resolved of a version");
        for (uint16_t o = 0; o < x->outputs; o++) {
            SAME(x->delivered[o], y->delivered[o], "delivered by an output");
            SAME(x->dropped[o][0], y->dropped[o][0], "dropped by an output");
            SAME(x->sealed_lsn[o], y->sealed_lsn[o], "sealed by an output");
        }
    }
}

static void same_stream(const struct wal_stream *a, const struct wal_stream *b)
{
    SAME(a->accepted, b->accepted, "accepted");
    SAME(a->accepted_bytes, b->accepted_bytes, "bytes");
    SAME(a->delivered, b->delivered, "delivered");
    SAME(a->dropped[0], b->dropped[0], "dropped");
    SAME(a->lost[0] + a->lost[1], b->lost[0] + b->lost[1], "lost");
    SAME(a->sinks_count, b->sinks_count, "sinks");
    for (uint32_t i = 0; i < a->sinks_count; i++) {
        uint32_t k = 0;                 /* in the order of their first deliveries */

        while (k < b->sinks_count && strcmp(a->sinks[i].sink, b->sinks[k].sink) != 0)
            k++;
        SIM_AGENT_CHECK(k < b->sinks_count, "no sink %s", a->sinks[i].sink);
        SAME(a->sinks[i].events, b->sinks[k].events, a->sinks[i].sink);
    }
}

static void same_states(const struct wal_state *a, const struct wal_state *b)
{
    const struct wal_seal *x = a->seals, *y = b->seals;

    SAME(a->streams_count, b->streams_count, "streams");
    for (uint32_t i = 0; i < a->streams_count; i++) {
        same_stream(a->streams[i], b->streams[i]);
        same_versions(a->streams[i], b->streams[i]);
    }
    SAME(a->seals_count, b->seals_count, "seals");
    for (; x; x = x->next, y = y->next) {
        SAME(x->number, y->number, "number of a seal");
        SAME(x->events, y->events, "events of a seal");
        SAME(x->targets_acked, y->targets_acked, "answers to a seal");
        SAME(x->targets_delivered, y->targets_delivered, "deliveries of a seal");
    }
    SAME(a->intake_drops[SHM_DROP_FULL], b->intake_drops[SHM_DROP_FULL], "intake drops");
}

/* Its tables, as a checkpoint has them. */
static void state_copy(const struct wal_state *from, struct wal_state *to)
{
    struct bytes items = BYTES_INIT;
    struct wal_item item;
    const uint8_t *at;

    SIM_AGENT_CHECK(wal_state_init(to) == 0 && wal_state_checkpoint(from, &items) == 0, "memory");
    for (at = items.data; at < items.data + items.len;)
        SIM_AGENT_CHECK(wal_item_next(&at, items.data + items.len, &item) == 0
                            && wal_state_apply(to, &item, 0) == 0,
                        "a checkpoint that does not apply");
    bytes_free(&items);
}

/* ---- What happens ---- */

static void prepare(uint64_t seed)
{
    sim_agent_init(&agent, seed);
    agent.streams_count = STREAMS;
    sim_set_disorder((unsigned)(seed % 5) * 150);
    agent.sinks[0].buffer_count = 3 + (int64_t)(seed % 7);
    sim_agent_sink_add(&agent, "twin", "/data/twin");
    sim_agent_sink_add(&agent, "other", "/data/other")->buffer_count = 2 + (int64_t)(seed % 11);
    for (unsigned i = 0; i < SOURCES; i++)
        sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, EVENTS)->burst = 1 + (uint32_t)seed % 4;
}

static struct wal_books before[STREAMS + 1];

static void never_back(struct sim_agent *a, uint64_t turn)
{
    const struct wal_state *s = &a->shard->state;

    (void)turn;
    for (uint32_t i = 0; i < s->streams_count; i++) {
        struct wal_books b = wal_stream_books(s->streams[i]), *was = &before[s->streams[i]->id];

        SIM_AGENT_CHECK(b.accepted >= was->accepted && b.delivered >= was->delivered
                            && b.dropped >= was->dropped && b.lost >= was->lost
                            && b.pending <= b.accepted,
                        "%s: a figure went back", s->streams[i]->name);
        *was = b;
    }
}

static bool log_is_quiet(struct sim_agent *a)
{
    const struct wal_writer *w = &a->shard->writer;

    return w->flight_count == 0 && (!w->filling || w->filling->items_count == 0);
}

/* Some settings are others, a sink is gone or back, as the seed will have it. */
static void settings_change(uint64_t seed)
{
    agent.sinks_count = 2 + (unsigned)(seed % 2);
    agent.sinks[1].buffer_count = 2 + (int64_t)(seed % 5);
    if (agent.shard)
        shard_reload(agent.shard);
}

static int killed_in_any_state(void *ctx)
{
    uint64_t seed = *(const uint64_t *)ctx;

    prepare(seed);
    memset(before, 0, sizeof(before));
    agent.on_turn = never_back;
    for (unsigned life = 0; life < LIVES; life++) {
        struct wal_state live;

        for (unsigned i = 0; i < SOURCES; i++)
            agent.sources[i].planned = (life + 1) * EVENTS / LIVES;
        sim_agent_open(&agent);
        if (sim_random() % 2)
            settings_change(sim_random());
        for (uint64_t turns = sim_random() % 400; turns > 0 && !sim_agent_taken(&agent); turns--)
            sim_agent_turn(&agent);
        sim_agent_until(&agent, sim_agent_taken, "events");
        if (sim_random() % 2)
            settings_change(sim_random());
        sim_agent_turns(&agent, sim_random() % 60);
        sim_agent_until(&agent, log_is_quiet, "a quiet log");
        state_copy(&agent.shard->state, &live);
        same_states(&live, &agent.shard->state);
        sim_agent_killed(&agent);
        sim_agent_open(&agent);
        same_states(&live, &agent.shard->state);
        wal_state_fini(&live);
        sim_agent_killed(&agent);
    }
    settings_change(1);
    SIM_AGENT_CHECK(sim_agent_life(&agent) == 0, "the last life");
    SIM_AGENT_CHECK(agent.accepted == SOURCES * EVENTS && agent.pending + agent.lost == 0,
                    "%llu accepted, %llu pending, %llu lost", (unsigned long long)agent.accepted,
                    (unsigned long long)agent.pending, (unsigned long long)agent.lost);
    return 0;
}

static void a_start_reads_what_the_killed_agent_knew(void **state)
{
    uint64_t seeds = getenv("HYDRANT_LONG") ? 2000 : 25;

    (void)state;
    for (uint64_t seed = 1; seed <= seeds; seed++)
        assert_int_equal(sim_agent_child(killed_in_any_state, &seed), 0);
}

/* Cut anywhere, again and again, or never: the last life has delivered it all. */
static struct wal_state *last_life(uint64_t seed, bool cuts, struct wal_state *ret_end)
{
    prepare(seed);
    agent.leave = seed % 3 == 0;
    memset(before, 0, sizeof(before));
    agent.on_turn = never_back;
    for (int life = 0; cuts && life < 4; life++) {
        sim_crash_at(1 + sim_random() % 900);
        if (sim_agent_life(&agent) != SIM_CRASHED)
            break;
        sim_agent_killed(&agent);
    }
    sim_agent_open(&agent);
    sim_agent_until(&agent, sim_agent_taken, "events");
    SIM_AGENT_CHECK(sim_agent_flush(&agent, "") == 0, "flush");
    state_copy(&agent.shard->state, ret_end);
    sim_agent_stop(&agent);
    sim_agent_check_all(&agent);
    sim_agent_fini(&agent);
    return ret_end;
}

static int cut_or_not(void *ctx)
{
    uint64_t seed = *(const uint64_t *)ctx;
    struct wal_state calm, cut;

    last_life(seed, false, &calm);
    last_life(seed, true, &cut);
    SAME(calm.streams_count, cut.streams_count, "streams");
    for (uint32_t i = 0; i < calm.streams_count; i++) {
        same_stream(calm.streams[i], cut.streams[i]);
        SAME(wal_stream_books(cut.streams[i]).pending, 0ULL, "pending");
    }
    SAME(cut.seals_count, 0, "seals");
    return 0;
}

static void in_the_end_nobody_can_tell_that_it_was_killed(void **state)
{
    uint64_t seeds = getenv("HYDRANT_LONG") ? 2000 : 25;

    (void)state;
    for (uint64_t seed = 1; seed <= seeds; seed++)
        assert_int_equal(sim_agent_child(cut_or_not, &seed), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_start_reads_what_the_killed_agent_knew),
        cmocka_unit_test(in_the_end_nobody_can_tell_that_it_was_killed),
    };

    return cmocka_run_group_tests_name("books", tests, NULL, NULL);
}
