/*
 * lives: carries out a scenario: producers, consumers, troubles and the agent's lives, with every
 * invariant checked as it goes, and a last life in which all is well and nothing stays pending.
 *
 * Owns:   nothing that outlives a call but what crashed lives had taken from malloc().
 * Thread: one.
 */
#ifndef SIMULATE_LIVES_H
#define SIMULATE_LIVES_H

#include <stdint.h>

#include "simulate/scenario.h"
#include "support/sim_invariants.h"

/*
 * Runs the seed's scenario; `cover` (COVER_COUNT) is added to. Returns a hash of all that happened.
 * What does not hold ends the process. `verbose`: says what is done.
 */
uint64_t lives_run(const struct scenario *sc, uint64_t *cover, bool verbose);

#endif
