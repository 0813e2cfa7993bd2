/*
 * config_check: what a single value cannot show: names, addresses, paths, and how keys agree.
 * Owns:   nothing.
 * Thread: any.
 */
#ifndef CONTROL_CONFIG_CHECK_H
#define CONTROL_CONFIG_CHECK_H

#include "base/errmsg.h"
#include "control/config.h"
#include "control/config_file.h"
#include "control/option.h"

/* Adds every mistake of a resolved configuration to errs, at the line of f that caused it. */
void config_check(const struct config *c, const struct config_file *f,
                  const struct config_overrides *overrides, struct config_errors *errs);

/*
 * -EINVAL with the reason and the remedy when a sound value asks for what is not built yet. All
 * that is accepted by the contract and missing in this version stands in its one table.
 */
int config_unbuilt(const struct option *o, const char *text, struct errmsg *err);

#endif
