/*
 * lttng_producer: traces events by LTTng-UST, flat out or in bursts, and says what it took. A
 * program of its own, for the library starts its threads before main() and finds the session daemon
 * by the environment.
 *
 *   lttng_producer BYTES SECONDS burst|flat
 *
 * Bursts are as long as those of run.h, and so far apart that a disk takes them.
 * Prints: events, ns an event of the median burst, start by the monotonic clock in ns, processor
 * time from there in ns.
 *
 * Owns:   nothing.
 * Thread: one, and the library's.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LTTNG_UST_TRACEPOINT_CREATE_PROBES
#define LTTNG_UST_TRACEPOINT_DEFINE
#include "benchmarks/transports/lttng_event.def"

#include "benchmarks/transports/run.h"

#define DISK_BYTES_A_NS 0.2

enum { VALUES_MAX = 1 << 16 };

static double values[VALUES_MAX];

static uint64_t cpu_now_ns(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts); /* cannot fail for this clock */
    return (uint64_t)ts.tv_sec * 1000000000U + (uint64_t)ts.tv_nsec;
}

int main(int argc, char **argv)
{
    uint32_t bytes = argc == 4 ? (uint32_t)strtoul(argv[1], NULL, 10) : 0;
    double seconds = argc == 4 ? strtod(argv[2], NULL) : 0;
    uint64_t start_ns, cpu_ns, from, to, end;
    static struct serials serials;
    struct bench_clock clock;
    size_t count = 0;
    bool rests;

    if (bytes < SERIAL_BYTES_MIN || bytes > SERIAL_BYTES_MAX || seconds <= 0) {
        (void)fprintf(stderr, "usage: lttng_producer BYTES SECONDS burst|flat\n");
        return 2;
    }
    rests = strcmp(argv[3], "burst") == 0;
    serials_init(&serials, bytes, 0);
    bench_clock_open(&clock);
    start_ns = bench_now_ns();
    cpu_ns = cpu_now_ns();
    end = bench_ticks(&clock) + bench_seconds_ticks(&clock, seconds);
    do {
        from = bench_ticks(&clock);
        for (uint32_t i = run_burst_events(bytes); i > 0; i--)
            lttng_ust_tracepoint(hydrant_bench, event, serials_next(&serials), bytes);
        to = bench_ticks(&clock);
        values[count++] = bench_ticks_ns(&clock, to - from) / run_burst_events(bytes);
        if (rests)
            bench_pause(&clock, run_burst_events(bytes) * bytes / DISK_BYTES_A_NS);
    } while (to < end && count < VALUES_MAX);
    cpu_ns = cpu_now_ns() - cpu_ns;
    printf("%llu %.9g %llu %llu\n", (unsigned long long)serials_count(&serials),
           bench_quantile(values, count, 0.5), (unsigned long long)start_ns,
           (unsigned long long)cpu_ns);
    return fflush(stdout) == 0 ? 0 : 1;
}
