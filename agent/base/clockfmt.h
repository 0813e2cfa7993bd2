/*
 * clockfmt: points in time as text for people, logs and status pages.
 * Owns:   nothing.
 * Thread: any.
 * Units:  utc_ns = nanoseconds since 1970-01-01 00:00 UTC.
 */
#ifndef BASE_CLOCKFMT_H
#define BASE_CLOCKFMT_H

#include <stdint.h>

/* "2026-02-03T04:05:06.789Z" and a NUL. */
#define CLOCKFMT_ISO_BYTES 32

/* Cuts below the millisecond. Returns text. */
char *clockfmt_iso(uint64_t utc_ns, char text[static CLOCKFMT_ISO_BYTES]);

#endif
