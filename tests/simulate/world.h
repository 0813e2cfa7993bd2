/*
 * world: what the parts of a scenario that is carried out share: the host with the agent on it, the
 * ledger, the troubles of the moment, and how chance is drawn. Inner part of lives.
 *
 * It is one static struct: a crash of the agent leaves no stack behind.
 *
 * Owns:   the agent while it lives, the ledger.
 * Thread: one.
 * Units:  permille.
 */
#ifndef SIMULATE_WORLD_H
#define SIMULATE_WORLD_H

#include <stdbool.h>
#include <stdint.h>

#include "pipeline/parts.h"
#include "simulate/scenario.h"
#include "support/sim_agent.h"
#include "support/sim_cloud.h"
#include "support/sim_invariants.h"

typedef unsigned long long ull;

#define SECOND_NS 1000000000ULL

struct world {
    const struct scenario *sc;
    struct sim_agent agent;
    struct inv inv;
    unsigned life;
    bool sink_on[SCENARIO_SINKS_MAX];
    struct scenario_sink sink[SCENARIO_SINKS_MAX];  /* as configured now */
    bool verbose, last, full, sink_full, faults, starting;
    enum sim_cloud_state cloud;
    struct shard_request flush;
    bool flushing;
};
extern struct world world;

/* What is done, where it is asked for. */
void world_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static inline unsigned below(unsigned bound)
{
    return (unsigned)(sim_random() % bound);
}

static inline bool chance(unsigned permille)
{
    return permille > 0 && below(1000) < permille;
}

/* Between 1 and max, each order of magnitude as likely as another. */
static inline uint32_t spread(uint32_t max)
{
    uint32_t bits = 1;

    while (bits < 31 && max >> bits != 0)
        bits++;
    bits = 1 + below(bits);
    return 1 + below(max < 1U << bits ? max : 1U << bits);
}

#endif
