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

/*
 * Adds every mistake of a resolved configuration to errs, at the line of f, or of what REST has
 * made (NULL: nothing), that caused it.
 */
void config_check(const struct config *c, const struct config_file *f,
                  const struct config_file *rest, const struct config_overrides *overrides,
                  struct config_errors *errs);

#endif
