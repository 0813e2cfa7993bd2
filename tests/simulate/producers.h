/*
 * producers: the producers of a scenario: they come and go, write events of all kinds, ask for
 * positions, die, and lie. Inner part of lives.
 *
 * Owns:   the producers.
 * Thread: one.
 */
#ifndef SIMULATE_PRODUCERS_H
#define SIMULATE_PRODUCERS_H

#include <stdbool.h>

/* The first ones of a scenario; those of the one before are forgotten. */
void producers_begin(void);

/* What they do between two turns of the agent. */
void producers_step(void);

/* Has the agent accepted all that those wrote who live and do not lie? */
bool producers_are_read(void);

/* The host's power is cut: none is left. */
void producers_cut(void);

#endif
