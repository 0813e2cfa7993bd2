/*
 * http_config: how the thread of HTTP looks at the configuration in force.
 *
 * Owns:   nothing.
 * Thread: HTTP.
 */
#ifndef CONTROL_HTTP_CONFIG_H
#define CONTROL_HTTP_CONFIG_H

#include "control/config.h"

typedef void (*http_config_fn)(void *ctx, const struct config *config);

struct http_config {
    void (*look)(void *ctx, http_config_fn seen, void *seen_ctx);   /* calls seen() once */
    void *ctx;
};

#endif
