/*
 * routing: what the configuration says of one stream, in the form that the log keeps: sinks with
 * equal effective settings share one output.
 *
 * Owns:   nothing.
 * Thread: any.
 */
#ifndef CONTROL_ROUTING_H
#define CONTROL_ROUTING_H

#include "base/errmsg.h"
#include "control/config.h"
#include "flow/settings.h"

/* 0 with *ret_set the caller's to fini, or -errno with a text. Directories become absolute. */
int routing_resolve(const struct config *config, const char *stream,
                    struct stream_settings *ret_set, struct errmsg *err);

/* Absolute form of a directory, for free(); NULL: no memory, or no current directory. */
char *routing_absolute(const char *directory);

#endif
