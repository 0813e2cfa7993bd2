/*
 * clock: the kernel's.
 *
 * Owns:   nothing.
 * Thread: any.
 */
#include "io/clock.h"

#include <time.h>

#include "base/invariant.h"

static uint64_t clock_ns(clockid_t id)
{
    struct timespec ts;
    int rc = clock_gettime(id, &ts);

    INVARIANT(rc == 0);
    return (uint64_t)ts.tv_sec * 1000000000ULL + (uint64_t)ts.tv_nsec;
}

uint64_t clock_boot_ns(void)
{
    return clock_ns(CLOCK_BOOTTIME);
}

uint64_t clock_utc_ns(void)
{
    return clock_ns(CLOCK_REALTIME);
}
