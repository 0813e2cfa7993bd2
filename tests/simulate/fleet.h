/*
 * fleet: many seeds, in child processes: what a broken invariant or a crashed life leaves behind
 * goes with its child. Some children at a time, each with a run of seeds.
 *
 * Owns:   children, until fleet_run() returns.
 * Thread: one.
 */
#ifndef SIMULATE_FLEET_H
#define SIMULATE_FLEET_H

#include <stdbool.h>
#include <stdint.h>

#include "support/sim_invariants.h"

struct fleet {
    uint64_t first, count;              /* seeds */
    unsigned jobs;
    unsigned seconds_max;               /* no seed is begun after that; 0: no limit */
    bool keep_going, verbose, progress;
};

struct fleet_result {
    uint64_t cover[COVER_COUNT];
    uint64_t failed;                    /* seeds */
    uint64_t hash;                      /* over all seeds, whatever the order */
    double seconds;
};

/* Failing seeds are described on stderr. Without keep_going the first one ends the run. */
void fleet_run(const struct fleet *fleet, struct fleet_result *ret_result);

/* How often everything was exercised. */
void fleet_print(const struct fleet_result *result);

#endif
