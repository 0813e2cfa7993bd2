/*
 * name: stream names. Pure.
 */
#ifndef FLOW_NAME_H
#define FLOW_NAME_H

#include <stdbool.h>
#include <stddef.h>

#include "shm_wire.h"

enum { STREAM_NAME_MAX = SHM_STREAM_NAME_MAX };

/* [A-Za-z0-9][A-Za-z0-9_.-]{0,63}; `name` need not end in NUL. */
bool stream_name_valid(const char *name, size_t len);

#endif
