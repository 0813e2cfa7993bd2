/*
 * errmsg: the text that goes with a negative errno on cold paths.
 * Owns:   nothing.
 * Thread: any.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* strerrordesc_np */
#endif
#include "base/errmsg.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int errmsg_set(struct errmsg *e, int err, const char *fmt, ...)
{
    if (e != NULL) {
        va_list args;

        va_start(args, fmt);
        (void)vsnprintf(e->text, sizeof(e->text), fmt, args);
        va_end(args);
    }
    return err;
}

int errmsg_set_errno(struct errmsg *e, int err, const char *fmt, ...)
{
    const char *reason = strerrordesc_np(-err); /* thread-safe, unlike strerror */
    va_list args;
    size_t len;

    if (e == NULL)
        return err;
    va_start(args, fmt);
    (void)vsnprintf(e->text, sizeof(e->text), fmt, args);
    va_end(args);
    len = strlen(e->text);
    (void)snprintf(e->text + len, sizeof(e->text) - len, ": %s",
                   reason != NULL ? reason : "unknown error");
    return err;
}

void errmsg_prefix(struct errmsg *e, const char *fmt, ...)
{
    char old[ERRMSG_BYTES];
    va_list args;
    size_t len;

    if (e == NULL)
        return;
    memcpy(old, e->text, sizeof(old));
    va_start(args, fmt);
    (void)vsnprintf(e->text, sizeof(e->text), fmt, args);
    va_end(args);
    len = strlen(e->text);
    (void)snprintf(e->text + len, sizeof(e->text) - len, "%s", old);
}
