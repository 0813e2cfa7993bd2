/*
 * remote_settings: copies of what remote sinks are configured with. They hold keys and tokens, so
 * they are in memory for secrets (secret.h).
 *
 * Owns:   a copy owns all that it leads to, but for credentials_config.env_ctx.
 * Thread: any.
 */
#ifndef SINK_REMOTE_SETTINGS_H
#define SINK_REMOTE_SETTINGS_H

#include "sink/remote.h"

struct remote_settings_copy;

/* NULL strings become "". 0 or -ENOMEM. */
int remote_settings_copy(const struct remote_settings *settings, uint32_t count,
                         struct remote_settings_copy **ret_copy);
void remote_settings_free(struct remote_settings_copy *copy);   /* NULL is fine */

uint32_t remote_settings_count(const struct remote_settings_copy *copy);
const struct remote_settings *remote_settings_get(const struct remote_settings_copy *copy,
                                                  uint32_t i);

/* Of two that were copied. */
bool remote_settings_equal(const struct remote_settings *a, const struct remote_settings *b);

#endif
