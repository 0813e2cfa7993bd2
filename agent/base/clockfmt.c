/*
 * clockfmt: points in time as text for people, logs and status pages.
 * Owns:   nothing.
 * Thread: any.
 */
#include "base/clockfmt.h"

#include <stdio.h>
#include <time.h>

char *clockfmt_iso(uint64_t utc_ns, char text[static CLOCKFMT_ISO_BYTES])
{
    time_t seconds = (time_t)(utc_ns / 1000000000U);
    unsigned ms = (unsigned)(utc_ns / 1000000U % 1000U);
    struct tm tm;
    size_t len;

    /* 64 bits of nanoseconds end in 2554: the year cannot overflow. */
    (void)gmtime_r(&seconds, &tm);
    len = strftime(text, CLOCKFMT_ISO_BYTES, "%Y-%m-%dT%H:%M:%S", &tm);
    (void)snprintf(text + len, CLOCKFMT_ISO_BYTES - len, ".%03uZ", ms);
    return text;
}
