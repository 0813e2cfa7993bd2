/*
 * clock: what time it is, for who has no loop. Beside loop.h the only place that asks the kernel,
 * so that the simulator can answer instead.
 *
 * Owns:   nothing.
 * Thread: any.
 * Units:  nanoseconds.
 */
#ifndef IO_CLOCK_H
#define IO_CLOCK_H

#include <stdint.h>

uint64_t clock_boot_ns(void);           /* never goes back, counts while the host sleeps */
uint64_t clock_utc_ns(void);            /* since 1970-01-01 00:00 */

#endif
