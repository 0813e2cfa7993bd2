/*
 * lives: see lives.h.
 *
 * Owns:   the world, and with it the agent while it lives.
 * Thread: one.
 * Units:  turns; permille.
 */
#include "simulate/lives.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "simulate/producers.h"
#include "simulate/troubles.h"
#include "simulate/world.h"

enum {
    RINGS_MAX = 64,
    LOOK_TURNS = 32,
    LAST_TURNS_MAX = 60000,             /* of the last life: more without an end is stuck */
    PATIENT_TURNS = 4000                /* then what is tried again every minute need not wait */
};

struct world world;

void world_say(const char *fmt, ...)
{
    va_list args;

    if (!world.verbose)
        return;
    fprintf(stderr, "[life %u turn %llu op %llu] ", world.life + 1, (ull)world.agent.turns,
            (ull)sim_op_count(SIM_ANY));
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fputc('\n', stderr);
}

/* ---- Settings ---- */

static void sinks_apply(void)
{
    world.agent.sinks_count = 0;
    for (unsigned i = 0; i < SCENARIO_SINKS_MAX; i++) {
        const struct scenario_sink *from = &world.sink[i];

        if (!world.sink_on[i])
            continue;
        world.agent.sinks[world.agent.sinks_count++] = (struct sim_agent_sink){
            .name = from->name, .directory = from->directory, .cloud = from->cloud,
            .format = from->format,
            .prefix = from->prefix, .buffer_count = from->buffer_count,
            .buffer_bytes = from->buffer_bytes,
            .buffer_time_ns = from->buffer_time_ns, .flat = from->flat,
            .columns = from->columns, .partition_by = from->partition_by,
            .compression = from->compression, .compression_level = from->compression_level,
            .framing = from->framing, .validate = from->validate, .event_clock = from->event_clock,
            .partitions_max = from->partitions_max,
            .together = from->partition_by && from->partitions_max % 2 == 0,
            .infer_bytes = from->infer_bytes, .row_group_bytes = from->row_group_bytes,
        };
    }
}

static void settings_change(void)
{
    unsigned i = below(SCENARIO_SINKS_MAX);

    if (world.sink[i].cloud && chance(200)) {
        world.agent.in_flight_max = 1 + below(8);
    } else if (chance(500)) {
        world.sink[i].buffer_count = chance(700) ? (int64_t)spread(40) : -1;
        world.sink[i].buffer_time_ns = chance(700) ? (int64_t)spread(1000) * 1000000 : -1;
    } else if (!world.sink_on[i]) {
        world.sink_on[i] = true;
        inv_count(&world.inv, COVER_sinks_added);
    } else if (world.agent.sinks_count > 1) {
        world.sink_on[i] = false;
        inv_count(&world.inv, COVER_sinks_removed);
    }
    sinks_apply();
    world_say("settings change, %u sinks", world.agent.sinks_count);
}

/* ---- A life ---- */

static void on_flushed(struct shard_request *req, int result)
{
    (void)req;
    world.flushing = false;
    world.inv.cover[COVER_flushes_done] += result == 0;
}

static void flush_ask(void)
{
    if (world.flushing)
        return;
    world.flush = (struct shard_request){.kind = REQUEST_FLUSH, .done = on_flushed};
    if (chance(300))
        snprintf(world.flush.stream, sizeof(world.flush.stream), "stream-%u",
                 below(world.sc->streams));
    world.flushing = mailbox_post(shard_mailbox(world.agent.shard), &world.flush) == 0;
    inv_count(&world.inv, COVER_flushes);
    world_say("flush '%s'", world.flush.stream);
}

static void backpressure_count(void)
{
    const struct shard *s = world.agent.shard;

    world.inv.cover[COVER_log_full_waits] += s->backpressure[BACKPRESSURE_LOG_FULL];
    world.inv.cover[COVER_memory_waits] += s->backpressure[BACKPRESSURE_MEMORY];
    world.inv.cover[COVER_disk_full_waits] += s->backpressure[BACKPRESSURE_DISK_FULL];
    world.inv.cover[COVER_rings_max_waits] += s->backpressure[BACKPRESSURE_RINGS_MAX];
    world.inv.cover[COVER_streams_max_waits] += s->backpressure[BACKPRESSURE_STREAMS_MAX];
    world.inv.cover[COVER_cloud_waits] += shards_delivery(world.agent.shards)
                                          && delivery_failing(shards_delivery(world.agent.shards));
}

static void look(void)
{
    const struct shard *s = world.agent.shard;

    inv_positions(&world.inv);
    backpressure_count();
    if (world.agent.turns % LOOK_TURNS != 0)
        return;
    inv_books(&world.inv);
    for (uint32_t i = 0; i < s->rings_count; i++)
        world.inv.cover[COVER_quarantines] += s->rings[i]->state == RING_QUARANTINED;
}

static void turn(void)
{
    world.agent.may_fail = world.faults && !world.last;
    sim_agent_turn(&world.agent);
    if (world.agent.result >= 0)
        look();
    else if (strncmp(world.agent.shard->error_text.text, "log segment", 11) == 0)
        inv_fail(&world.inv, "failures_of_the_log_are_survived", "%s",
                 world.agent.shard->error_text.text);
}

static void life_stop(uint64_t stop_ns)
{
    unsigned turns = 0;

    world_say("stop within %llu ms", (ull)stop_ns / 1000000);
    world.inv.doing = "stopping";
    shard_stop(world.agent.shard, stop_ns);
    while (world.agent.result == 0) {
        if (++turns == LAST_TURNS_MAX)
            inv_fail(&world.inv, "a_stop_ends", "%u turns", turns);
        if (turns > PATIENT_TURNS)
            sim_advance_ns(SECOND_NS / (world.last ? 100 : 10));
        if ((world.full || world.sink_full || world.cloud != SIM_CLOUD_UP) && chance(20))
            troubles_end();
        turn();
    }
    if (world.agent.result < 0)
        return;
    inv_books(&world.inv);
    inv_count(&world.inv, COVER_stops);
    world.inv.cover[COVER_stops_out_of_time] += shard_pending(world.agent.shard) > 0;
}

static bool life_open(bool read_faults)
{
    world.inv.doing = "starting";
    world.flushing = false;
    world.starting = true;
    world.agent.may_fail = !world.last && (world.faults || world.full || read_faults);
    if (read_faults)
        sim_fail_some(SIM_READ, 100, -EIO);
    sim_agent_open(&world.agent);
    if (read_faults)
        sim_fail_clear();
    world.starting = false;
    world.inv.cover[COVER_starts_failed] += !world.agent.shard;
    return world.agent.shard != NULL;
}

static int life(void *ctx)
{
    const struct scenario_life *plan = ctx;

    if (!life_open(plan->read_faults))
        goto out;
    world.inv.doing = "running";
    for (unsigned i = 0; i < plan->turns && world.agent.result == 0; i++) {
        producers_step();
        troubles_step();
        if (chance(world.sc->reload)) {
            settings_change();
            sim_agent_reload(&world.agent);
            inv_count(&world.inv, COVER_reloads);
        }
        if (chance(world.sc->flush))
            flush_ask();
        turn();
    }
    if (world.agent.result == 0)
        life_stop(plan->stop_ns);
out:
    world.inv.doing = "closing";
    inv_state_keep(&world.inv);
    world.inv.cover[COVER_lives_failed] += world.agent.result < 0;
    sim_agent_close(&world.agent);
    return world.agent.result < 0 ? world.agent.result : 0;
}

/* All is well again: everything is taken, delivered and acknowledged. */
static int last_life(void *ctx)
{
    unsigned turns = 0;

    (void)ctx;
    world.agent.opt.rings_max = world.agent.opt.rings_per_uid_max = RINGS_MAX;
    world.agent.opt.streams_max = world.agent.opt.streams_per_uid_max = RINGS_MAX;
    world.agent.delivery_rests = 0;
    world.agent.in_flight_max = 16;
    (void)life_open(false);
    world.inv.doing = "running for the last time";
    while (turns < 20 || !producers_are_read()) {
        if (++turns == LAST_TURNS_MAX)
            inv_fail(&world.inv, "rings_are_drained_in_the_end", "%u turns", turns);
        if (turns < 20)
            producers_step();
        if (turns > PATIENT_TURNS)
            sim_advance_ns(SECOND_NS / 100);
        turn();
    }
    life_stop(600 * SECOND_NS);
    if (shard_pending(world.agent.shard) != 0)
        inv_fail(&world.inv, "nothing_is_pending_in_the_end", "%llu events",
                 (ull)shard_pending(world.agent.shard));
    sim_agent_close(&world.agent);
    return 0;
}

/* ---- Between lives ---- */

static void life_crashed(const struct scenario_life *plan)
{
    bool cut = plan->end == END_POWER_CUT;

    world_say("%s while %s", cut ? "power cut" : "SIGKILL", world.inv.doing);
    world.inv.cover[COVER_crashes_while_starting] += world.starting;
    world.inv.cover[cut ? COVER_power_cuts : COVER_kills]++;
    if (!cut) {
        sim_agent_killed(&world.agent);
        world.inv.cover[COVER_late_writes] += sim_late();
        return;
    }
    producers_cut();
    sim_agent_power_cut(&world.agent, sim_random());
    inv_power_cut(&world.inv);
}

static void life_run(const struct scenario_life *plan, bool again)
{
    int rc;

    inv_count(&world.inv, COVER_lives);
    if (plan->end != END_STOP)
        sim_crash_at(plan->point);
    rc = sim_run(life, (void *)(uintptr_t)plan);
    inv_life_over(&world.inv, rc == SIM_CRASHED);
    if (rc == SIM_CRASHED) {
        world.inv.cover[COVER_second_crashes] += again && world.starting;
        life_crashed(plan);
    }
    sim_fail_clear();
    world.faults = false;
    troubles_damage();
    if (chance(500)) {
        producers_step();
        troubles_step();
        sim_fail_clear();
    }
}

static void host_make(void)
{
    const struct scenario *sc = world.sc;

    sim_agent_init(&world.agent, sc->seed);
    sim_mount("/far", false, 1 << 30);
    sim_set_disorder(sc->disorder);
    sim_set_short(sc->short_io);
    sim_set_direct(sc->direct);
    sim_set_journal(true);
    world.agent.opt.sync = sc->sync;
    world.agent.opt.sync_interval_ns = sc->sync_interval_ns;
    world.agent.opt.segment_size = sc->segment_size;
    world.agent.opt.wal_bytes_max = sc->wal_bytes_max;
    world.agent.opt.memory_limit = sc->memory_limit;
    world.agent.opt.idle = (enum shard_idle)sc->idle;
    world.agent.opt.rings_max = world.agent.opt.rings_per_uid_max = sc->rings_max;
    world.agent.opt.streams_max = world.agent.opt.streams_per_uid_max = sc->streams_max;
    world.agent.part_bytes = sc->part_bytes;
    world.agent.in_flight_max = sc->in_flight_max;
    world.agent.delivery_rests = sc->delivery_rests;
    sim_cloud_set_conditional(sc->conditional);
    sim_cloud_set_faults(sc->cloud_one_in);
    for (unsigned i = 0; i < SCENARIO_SINKS_MAX; i++) {
        world.sink[i] = sc->sink[i];
        world.sink_on[i] = i < sc->sinks;
    }
    sinks_apply();
}

uint64_t lives_run(const struct scenario *sc, uint64_t *cover, bool verbose)
{
    uint64_t hash;

    memset(&world, 0, sizeof(world));
    world.sc = sc;
    world.verbose = verbose;
    host_make();
    inv_init(&world.inv, &world.agent, cover);
    world.inv.abandons = true;
    inv_count(&world.inv, COVER_seeds);
    world.inv.cover[COVER_direct_refused] += !sc->direct;
    world.inv.cover[COVER_disorder] += sc->disorder > 0;
    world.inv.cover[COVER_short_io] += sc->short_io > 0;
    world.inv.cover[COVER_cloud_faults] += sc->cloud_one_in > 0;
    producers_begin();
    for (world.life = 0; world.life < sc->lives; world.life++)
        life_run(&sc->life[world.life], world.life > 0);
    troubles_end();
    sim_cloud_set_faults(0);
    world.last = true;
    inv_count(&world.inv, COVER_lives);
    sim_run(last_life, NULL);
    world.inv.doing = "the end";
    inv_end(&world.inv);
    hash = world.inv.hash;
    inv_fini(&world.inv);
    sim_agent_fini(&world.agent);
    sim_reset(0);
    return hash;
}
