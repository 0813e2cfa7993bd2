/*
 * config_value: what stands behind `KEY =`: comments cut, quotes, escapes and ${NAME} resolved.
 * Owns:   nothing.
 * Thread: any; reads the environment.
 */
#ifndef CONTROL_CONFIG_VALUE_H
#define CONTROL_CONFIG_VALUE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/bytes.h"
#include "base/errmsg.h"

/*
 * Appends the value of the raw text to value, at most len_max bytes. 0, -EINVAL with the reason,
 * -ENOMEM. Reasons never quote the text: it may be a secret.
 */
int config_value_decode(const char *raw, size_t len, size_t len_max, struct bytes *value,
                        bool *ret_quoted, struct errmsg *err);

#endif
