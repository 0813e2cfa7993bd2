/*
 * agent_idle_bench: an agent with little to do: what it costs, and how soon it takes an event.
 *
 *   idle    CPU time of an agent to which 100 rings are attached that say nothing, in per cent of
 *           one processor
 *   first   one event after a pause in which the agent has gone to sleep: from before the write
 *           until `accepted` covers it, that is, it is in the log. The producer looks at the
 *           position and asks for nothing, so with wake = timer only the agent's own timer finds
 *           the event. Beside it the same with wake = immediate
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "benchmarks/agent_process.h"
#include "shm_client.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#define ACCEPT_NS_MAX 10000000000U
#define PAUSE_NS      50000000 /* longer than the agent's longest sleep, many times */
#define SETTLE_NS     500000000
#define LOOK_NS       5000     /* between two looks at the position */

enum { RINGS = 100 };

static void sleep_ns(long ns)
{
    struct timespec ts = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};

    while (clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, &ts) == EINTR && !bench_stopped())
        continue;
}

static int ring_open(const char *shm_dir, enum shmc_wake wake, struct shmc **ret_ring,
                     uint16_t *ret_stream, struct errmsg *err)
{
    struct shmc_options opt = SHMC_OPTIONS_INIT;
    int rc;

    opt.name = "idle";
    opt.shm_dir = shm_dir;
    opt.wake = wake;
    rc = shmc_open(&opt, ret_ring);
    if (rc != 0)
        return errmsg_set(err, rc, "%s", shmc_error(NULL));
    rc = shmc_stream(*ret_ring, "idle", ret_stream);
    return rc == 0 ? 0 : errmsg_set(err, rc, "%s", shmc_error(*ret_ring));
}

/* --- idle ----------------------------------------------------------------------------------- */

/* Each ring has carried one event, is in the log and says no more. */
static int rings_attach(const char *shm_dir, struct shmc **rings, struct errmsg *err)
{
    uint16_t stream;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < RINGS; i++) {
        rc = ring_open(shm_dir, SHMC_WAKE_TIMER, &rings[i], &stream, err);
        if (rc != 0)
            break;
        rc = shmc_write(rings[i], stream, SHMC_JSON, "{}", 2);
        if (rc == 0)
            rc = shmc_flush(rings[i], SHMC_DURABLE, ACCEPT_NS_MAX);
        if (rc != 0)
            (void)errmsg_set_errno(err, rc, "ring %zu: its first event", i);
    }
    return rc;
}

static int idle_measure(struct agent_process *agent, struct bench_run *run, struct errmsg *err)
{
    struct shmc *rings[RINGS] = {NULL};
    double cpu_s;
    uint64_t start_ns;
    int rc = rings_attach(agent->shm_dir, rings, err);

    if (rc == 0) {
        sleep_ns(SETTLE_NS);
        start_ns = bench_now_ns();
        cpu_s = agent_cpu_seconds(agent);
        sleep_ns((long)(run->seconds * 1e9));
        cpu_s = agent_cpu_seconds(agent) - cpu_s;
        bench_add(run, 0, 100 * cpu_s / ((double)(bench_now_ns() - start_ns) / 1e9));
        if (bench_stopped())
            rc = errmsg_set(err, -EINTR, "stopped by a signal");
    }
    for (size_t i = 0; i < RINGS; i++)
        (void)shmc_close(rings[i]);
    return rc;
}

/* --- first event ---------------------------------------------------------------------------- */

/* One event until it is accepted, in nanoseconds. */
static int first_once(struct shmc *ring, uint16_t stream, const struct bench_clock *clock,
                      double *ret_ns, struct errmsg *err)
{
    uint64_t from = bench_ticks(clock), committed, accepted = 0;
    int rc = shmc_write(ring, stream, SHMC_JSON, "{}", 2);

    if (rc == 0)
        rc = shmc_position(ring, SHMC_COMMITTED, &committed);
    while (rc == 0) {
        rc = shmc_position(ring, SHMC_ACCEPTED, &accepted);
        *ret_ns = bench_ticks_ns(clock, bench_ticks(clock) - from);
        if (rc != 0 || accepted >= committed)
            break;
        /* Asleep between looks: one that spins may hold the processor that the agent wakes on. */
        sleep_ns(LOOK_NS);
        if (*ret_ns > ACCEPT_NS_MAX)
            rc = -ETIMEDOUT;
    }
    return rc == 0 ? 0 : errmsg_set_errno(err, rc, "waiting until the event is accepted");
}

static int first_measure(struct agent_process *agent, enum shmc_wake wake, struct bench_run *run,
                         struct errmsg *err)
{
    const struct bench_clock *clock = &run->bench->clock;
    uint64_t start = bench_ticks(clock), length = bench_seconds_ticks(clock, run->seconds);
    struct shmc *ring = NULL;
    uint16_t stream = 0;
    double ns;
    int rc = ring_open(agent->shm_dir, wake, &ring, &stream, err);

    if (rc == 0)
        rc = first_once(ring, stream, clock, &ns, err); /* this one is found by the directory */
    while (rc == 0) {
        sleep_ns(PAUSE_NS);
        rc = bench_stopped() ? errmsg_set(err, -EINTR, "stopped by a signal")
                             : first_once(ring, stream, clock, &ns, err);
        if (rc != 0)
            break;
        bench_add(run, 0, ns / 1000);
        if (bench_ticks(clock) - start >= length)
            break;
    }
    (void)shmc_close(ring);
    return rc;
}

/* --- cases ---------------------------------------------------------------------------------- */

enum { WHAT_IDLE = -1 }; /* else an enum shmc_wake */

static int agent_run(void *ctx, struct bench_run *run, struct errmsg *err)
{
    int what = *(const int *)ctx;
    struct agent_process agent;
    struct errmsg of_stop = {""};
    int rc, stop_rc;

    rc = agent_start(&agent, run->bench, err);
    if (rc == 0)
        rc = what == WHAT_IDLE ? idle_measure(&agent, run, err)
                               : first_measure(&agent, (enum shmc_wake)what, run, err);
    stop_rc = agent_stop(&agent, &of_stop);
    if (rc == 0 && stop_rc != 0) {
        *err = of_stop;
        rc = stop_rc;
    }
    return rc == 0 ? agent_remove(&agent, err) : rc;
}

static int body(struct bench *b, struct errmsg *err)
{
    static const struct bench_metric idle[] = {{".cpu", "% of a processor", BENCH_PLAIN}};
    static const struct bench_metric first[] = {{"", "us", BENCH_LESS}};
    static const struct bench_plan idle_plan = {.rounds = 2, .seconds = 10, .cold = true};
    static const struct bench_plan first_plan = {.rounds = 3, .seconds = 4, .cold = true};
    static int whats[] = {WHAT_IDLE, SHMC_WAKE_IMMEDIATE, SHMC_WAKE_TIMER};
    const struct bench_case cases[] = {
        {"agent/idle", "rings=100 silent", idle, 1, agent_run, &whats[0]},
        {"agent/first", "pause=50ms wake=immediate", first, 1, agent_run, &whats[1]},
        {"agent/first", "pause=50ms wake=timer", first, 1, agent_run, &whats[2]},
    };
    int rc = prctl(PR_SET_TIMERSLACK, 1000UL) ? errmsg_set_errno(err, -errno, "timer slack") : 0;

    if (rc == 0)
        rc = bench_group(b, &idle_plan, cases, 1, err);

    return rc == 0 ? bench_group(b, &first_plan, cases + 1, 2, err) : rc;
}

int main(int argc, char **argv)
{
    return bench_main("agent_idle_bench", argc, argv, body);
}
