/*
 * endpoint: "http[s]://host[:port][/path]" of a service, in its parts. Pure.
 *
 * Owns:   nothing; the path is borrowed from the text.
 * Thread: any.
 */
#ifndef SINK_ENDPOINT_H
#define SINK_ENDPOINT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/errmsg.h"

enum { ENDPOINT_HOST_MAX = 512 };

struct endpoint {
    bool tls;
    char host[ENDPOINT_HOST_MAX + 1];   /* with the port, if it is not the usual one */
    const char *path;                   /* "" or "/..." */
    size_t path_len;                    /* without slashes at its end */
};

/* 0 or -EINVAL with a text. */
int endpoint_parse(const char *text, struct endpoint *ret_endpoint, struct errmsg *err);

#endif
