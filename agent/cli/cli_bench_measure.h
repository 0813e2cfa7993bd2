/*
 * cli_bench_measure: what a figure was taken on, how steadily its processor runs, time stamps, and
 * quantiles. For `hydrant bench` and for the programs in benchmarks/.
 *
 * Owns:   nothing.
 * Thread: any.
 * Units:  ticks of the cycle counter where it is invariant, else nanoseconds.
 */
#ifndef CLI_CLI_BENCH_MEASURE_H
#define CLI_CLI_BENCH_MEASURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>
#if defined(__x86_64__)
#include <x86intrin.h>
#endif

struct machine {
    char cpu[96];
    char kernel[96];
    char governor[32]; /* "none": no frequency driver, as in most virtual machines */
    char clock[96];    /* clock source and the flags that make cycle counts comparable */
    bool virtual_machine;
    long cores;
    double memory_gib;
    double load[3];
};

void machine_read(struct machine *ret_machine);

/* "Xeon ..., 2 cores (virtual), Linux 6.1 x86_64, 7.8 GiB, ...": the line above all figures. */
enum { MACHINE_TEXT_MAX = 512 };
char *machine_text(const struct machine *m, char text[static MACHINE_TEXT_MAX]);

struct bench_clock {
    bool tsc;
    double ns_per_tick;
};

/* Measures the counter against CLOCK_MONOTONIC for some milliseconds. */
void bench_clock_open(struct bench_clock *ret_clock);

static inline uint64_t bench_now_ns(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts); /* cannot fail for this clock */
    return (uint64_t)ts.tv_sec * 1000000000U + (uint64_t)ts.tv_nsec;
}

static inline uint64_t bench_ticks(const struct bench_clock *clock)
{
#if defined(__x86_64__)
    if (__builtin_expect(clock->tsc, 1))
        return __rdtsc();
#endif
    (void)clock;
    return bench_now_ns();
}

static inline double bench_ticks_ns(const struct bench_clock *clock, uint64_t ticks)
{
    return (double)ticks * clock->ns_per_tick;
}

static inline uint64_t bench_seconds_ticks(const struct bench_clock *clock, double seconds)
{
    return (uint64_t)(seconds * 1e9 / clock->ns_per_tick);
}

/* What a loop that waits for another processor does meanwhile. */
static inline void bench_relax(void)
{
#if defined(__x86_64__)
    _mm_pause();
#endif
}

/* Gaps that a thread sees which does nothing but read the clock. */
struct jitter {
    double seconds;
    double over_1us, over_10us, over_100us; /* a second */
    double lost_percent;                    /* time in gaps over 1 us */
    double longest_us;
};

#define JITTER_QUIET_PERCENT 10.0 /* a quiet virtual machine was seen to lose up to 8 */

void jitter_measure(const struct bench_clock *clock, double seconds, struct jitter *ret_jitter);

enum { JITTER_TEXT_MAX = 256 };
char *jitter_text(const struct jitter *j, char text[static JITTER_TEXT_MAX]);

/* Does nothing for so long, awake. */
void bench_pause(const struct bench_clock *clock, double ns);

/*
 * The floor under each latency: how long waits of `ns` take that wait for nobody, in nanoseconds.
 * Goes on for `seconds` or until there are cap of them; returns how many.
 */
size_t floor_measure(const struct bench_clock *clock, double seconds, double ns, double *ret_values,
                     size_t cap);

/* Sorts values; the smallest that at least the share q of them does not exceed. count > 0. */
double bench_quantile(double *values, size_t count, double q);

#endif
