/*
 * sim_schedule: a small run of the whole agent that is cut at its Nth point, for every N until it
 * is no longer cut; each in a child process. Then what must hold is checked.
 *
 * The long form (HYDRANT_LONG) takes every N, the usual one a part of them that differs from
 * schedule to schedule; of these, sanitized, a third.
 *
 * Owns:   nothing; the agent is made for each N.
 * Thread: one.
 */
#ifndef SUPPORT_SIM_SCHEDULE_H
#define SUPPORT_SIM_SCHEDULE_H

#include "support/sim_agent.h"

struct sim_schedule {
    const char *name;
    void (*prepare)(struct sim_agent *a);   /* sinks and producers */
    void (*down)(struct sim_agent *a);      /* what happens after a cut, before the next life */
    unsigned first;                         /* 0: 1; the first N */
    bool power;                             /* power cuts, else SIGKILL */
    unsigned again;                         /* so many more, in the lives that follow */
    unsigned disorder;                      /* permille */
    uint64_t stride;                        /* of N in the usual form */
    bool books_only;                        /* events may be lost, if the books say so */
    /* Of this child. */
    uint64_t seed, point;
};

/* Runs it and says how many cuts there were, or would be if a sanitized build made all of them. */
unsigned sim_schedule_run(struct sim_schedule s);

#endif
