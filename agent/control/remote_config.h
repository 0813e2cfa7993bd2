/*
 * remote_config: the remote sinks of a configuration as the delivery thread takes them.
 *
 * Owns:   nothing; strings stay the configuration's.
 * Thread: any.
 */
#ifndef CONTROL_REMOTE_CONFIG_H
#define CONTROL_REMOTE_CONFIG_H

#include "control/config.h"
#include "sink/relay.h"
#include "sink/remote.h"

/* *ret_settings is to be freed. 0 or -ENOMEM. */
int remote_config(const struct config *config, struct remote_settings **ret_settings,
                  uint32_t *ret_count);

/* The same for relay sinks. */
int remote_config_relays(const struct config *config, struct relay_sink_settings **ret_settings,
                         uint32_t *ret_count);

#endif
