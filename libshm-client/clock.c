/*
 * clock: the time of an event, UTC nanoseconds.
 *
 * The cycle counter is set against CLOCK_REALTIME at open and about once a second after, so it
 * follows steps and slewing of the system's clock; its rate is measured against CLOCK_MONOTONIC,
 * which never steps, over an ever longer time.
 *
 * Owns:   nothing; struct shmc_tsc is the caller's.
 * Thread: the handle's.
 * Units:  ticks of the counter; nanoseconds.
 */
#define _GNU_SOURCE
#include <errno.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "handle.h"

#define NS_PER_S         1000000000ULL
#define CALIBRATE_NS     1000000ULL /* of spinning in open: a rate good to about 1e-4 */
#define SAMPLES          3
#define CPUID_POWER_LEAF 0x80000007U
#define CPUID_INVARIANT  (1U << 8)

#if defined(__x86_64__)

struct sample {
    uint64_t ticks, real_ns, mono_ns;
};

/* One instant on all three clocks: the tightest of a few tries, lest we were interrupted. */
static struct sample sample_take(void)
{
    struct sample best = {0};
    uint64_t width_min = UINT64_MAX;

    for (int i = 0; i < SAMPLES; i++) {
        uint64_t before = shmc_tsc_ticks();
        uint64_t real_ns = shmc_clock_ns(CLOCK_REALTIME);
        uint64_t mono_ns = shmc_clock_ns(CLOCK_MONOTONIC);
        uint64_t width = shmc_tsc_ticks() - before;

        if (width < width_min) {
            width_min = width;
            best = (struct sample){before + width / 2, real_ns, mono_ns};
        }
    }
    return best;
}

static uint64_t mult_of(uint64_t ns, uint64_t ticks)
{
    return (uint64_t)(((unsigned __int128)ns << 32) / ticks);
}

static void anchor_set(struct shmc_tsc *tsc)
{
    struct sample now = sample_take();
    uint64_t ticks = now.ticks - tsc->origin_ticks;
    uint64_t mult = ticks != 0 ? mult_of(now.mono_ns - tsc->origin_mono_ns, ticks) : tsc->mult;

    /* A rate that moved by a thousandth did not: the machine slept or was moved. Measure anew. */
    if (mult - tsc->mult + tsc->mult / 1024 > tsc->mult / 512) {
        tsc->origin_ticks = now.ticks;
        tsc->origin_mono_ns = now.mono_ns;
    } else {
        tsc->mult = mult;
    }
    tsc->anchor_ticks = now.ticks;
    tsc->anchor_ns = now.real_ns;
}

int shmc_tsc_open(struct shmc_tsc *tsc)
{
    unsigned int a, b, c, d;
    struct sample from, to;

    if (__get_cpuid(CPUID_POWER_LEAF, &a, &b, &c, &d) == 0 || (d & CPUID_INVARIANT) == 0)
        return -EOPNOTSUPP;
    from = sample_take();
    do {
        to = sample_take();
    } while (to.mono_ns - from.mono_ns < CALIBRATE_NS);
    if (to.ticks <= from.ticks)
        return -EOPNOTSUPP;

    tsc->mult = mult_of(to.mono_ns - from.mono_ns, to.ticks - from.ticks);
    if (tsc->mult == 0)
        return -EOPNOTSUPP;
    tsc->ticks_max = (uint64_t)(((unsigned __int128)NS_PER_S << 32) / tsc->mult);
    tsc->origin_ticks = from.ticks;
    tsc->origin_mono_ns = from.mono_ns;
    tsc->anchor_ticks = to.ticks;
    tsc->anchor_ns = to.real_ns;
    return 0;
}

uint64_t shmc_tsc_ns(struct shmc_tsc *tsc)
{
    uint64_t ticks = shmc_tsc_ticks() - tsc->anchor_ticks;

    /* Also when the counter went back, on another processor: the difference is then huge. */
    if (SHMC_LIKELY(ticks <= tsc->ticks_max))
        return shmc_tsc_ns_at(tsc, ticks);
    anchor_set(tsc);
    return tsc->anchor_ns;
}

#else

int shmc_tsc_open(struct shmc_tsc *tsc)
{
    (void)tsc;
    return -EOPNOTSUPP;
}

uint64_t shmc_tsc_ns(struct shmc_tsc *tsc)
{
    (void)tsc;
    return shmc_clock_ns(CLOCK_REALTIME_COARSE);
}

#endif
