/*
 * troubles: what befalls the host of a scenario: calls that fail, full disks, a cloud that is away,
 * clocks that step, consumers that take files, damaged files. Inner part of lives.
 *
 * Owns:   nothing; they are noted in the world.
 * Thread: one.
 */
#ifndef SIMULATE_TROUBLES_H
#define SIMULATE_TROUBLES_H

/* Between two turns of the agent: some begin, some end. */
void troubles_step(void);

/* All is well again. */
void troubles_end(void);

/* Between two lives: disks may have changed what waits to be delivered. */
void troubles_damage(void);

#endif
