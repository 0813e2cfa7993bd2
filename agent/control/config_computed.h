/*
 * config_computed: defaults that depend on the host or on other keys.
 *
 * Owns:   nothing; what it makes is the configuration's.
 * Thread: any.
 */
#ifndef CONTROL_CONFIG_COMPUTED_H
#define CONTROL_CONFIG_COMPUTED_H

#include "control/config.h"

/* Fills in what was not given; all else is there, the command line's too. 0 or -ENOMEM. */
int config_compute(struct config *c);

#endif
