/*
 * lifecycle: one life of the agent: configuration, signals, the shards, the HTTP thread, the end.
 *
 * Owns:   all of it while it runs.
 * Thread: main, which is the first shard's thread.
 */
#ifndef CONTROL_LIFECYCLE_H
#define CONTROL_LIFECYCLE_H

#include "control/config.h"

/*
 * Runs until SIGTERM or SIGINT and what follows from it. `path` NULL: the embedded default. Returns
 * the exit code: 0 stopped as asked, 1 it could not start or go on (said on stderr).
 */
int lifecycle_run(const char *path, const struct config_overrides *overrides);

#endif
