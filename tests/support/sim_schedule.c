/*
 * sim_schedule: lives that are cut, at every point.
 * Owns:   the agent of this child.
 * Thread: one.
 */
#include "support/sim_schedule.h"

#include <stdio.h>
#include <stdlib.h>

#include "support/sim.h"

enum { CUT, ENDED, AGAIN_POINTS = 300, LATE_EVENTS = 12 };

static struct sim_agent agent;

static void cut(const struct sim_schedule *s)
{
    if (s->power)
        sim_agent_power_cut(&agent, s->seed ^ s->point * 0x9e3779b97f4a7c15ULL);
    else
        sim_agent_killed(&agent);
    sim_agent_check_files(&agent);
    if (s->down)
        s->down(&agent);
}

static int cut_at(void *ctx)
{
    const struct sim_schedule *s = ctx;

    sim_agent_init(&agent, s->seed + s->point);
    sim_set_disorder(s->disorder);
    sim_set_journal(true);
    s->prepare(&agent);
    sim_crash_at(s->point);
    if (sim_agent_life(&agent) == 0) {
        sim_agent_check_all(&agent);
        sim_agent_check_clean(&agent);
        return ENDED;
    }
    cut(s);
    for (unsigned i = 0; i < s->again; i++) {
        sim_crash_at(1 + sim_random() % AGAIN_POINTS);
        if (sim_agent_life(&agent) != 0)
            cut(s);
    }
    if (s->power)
        sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, LATE_EVENTS);
    SIM_AGENT_CHECK(sim_agent_life(&agent) == 0, "the last life ends by itself");
    sim_agent_check_all(&agent);
    sim_agent_check_clean(&agent);
    SIM_AGENT_CHECK(agent.pending == 0, "%llu events pending", (unsigned long long)agent.pending);
    SIM_AGENT_CHECK(s->power || s->books_only || agent.lost == 0, "%llu events lost",
                    (unsigned long long)agent.lost);
    return CUT;
}

static uint64_t stride_of(const struct sim_schedule *s)
{
    if (getenv("HYDRANT_LONG"))
        return 1;
#ifdef __SANITIZE_ADDRESS__
    return 3 * s->stride;
#else
    return s->stride;
#endif
}

unsigned sim_schedule_run(struct sim_schedule s)
{
    uint64_t stride = stride_of(&s);
    unsigned cuts = 0;
    int end = CUT;

    s.seed = 1000;
    for (s.point = s.first ? s.first : 1; end == CUT; s.point += stride) {
        end = sim_agent_child(cut_at, &s);
        cuts += end == CUT;
    }
    printf("%s: %u cuts\n", s.name, cuts);
    fflush(stdout);
    return stride > s.stride ? cuts * (unsigned)(stride / s.stride) : cuts;
}
