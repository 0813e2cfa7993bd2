/*
 * cli_bench_measure: what a figure was taken on, how steadily its processor runs, and quantiles.
 * Owns:   nothing.
 * Thread: any.
 */
#include "cli/cli_bench_measure.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/invariant.h"

#define CALIBRATE_NS 20000000U

/* The first line of a file, without its end; "" when there is none. */
static void line_read(const char *path, char *ret_line, size_t cap)
{
    FILE *file = fopen(path, "re");

    ret_line[0] = '\0';
    if (file == NULL)
        return;
    if (fgets(ret_line, (int)cap, file) == NULL)
        ret_line[0] = '\0';
    ret_line[strcspn(ret_line, "\n")] = '\0';
    (void)fclose(file);
}

/* The value of the first "key : value" line of /proc/cpuinfo with that key. */
static void cpuinfo_read(const char *key, char *ret_value, size_t cap)
{
    FILE *file = fopen("/proc/cpuinfo", "re");
    char line[8192];

    ret_value[0] = '\0';
    if (file == NULL)
        return;
    while (fgets(line, sizeof(line), file) != NULL) {
        const char *value = strchr(line, ':');

        if (value == NULL || strncmp(line, key, strlen(key)) != 0)
            continue;
        value += value[1] == ' ' ? 2 : 1;
        (void)snprintf(ret_value, cap, "%.*s", (int)strcspn(value, "\n"), value);
        break;
    }
    (void)fclose(file);
}

static bool flag_has(const char *flags, const char *flag)
{
    size_t len = strlen(flag);

    for (const char *at = strstr(flags, flag); at != NULL; at = strstr(at + 1, flag))
        if ((at == flags || at[-1] == ' ') && (at[len] == ' ' || at[len] == '\0'))
            return true;
    return false;
}

void machine_read(struct machine *ret_machine)
{
    struct machine m = {.cores = sysconf(_SC_NPROCESSORS_ONLN)};
    char flags[4096], source[32];
    struct utsname host;

    cpuinfo_read("model name", m.cpu, sizeof(m.cpu));
    cpuinfo_read("flags", flags, sizeof(flags));
    if (uname(&host) == 0)
        (void)snprintf(m.kernel, sizeof(m.kernel), "%.30s %.40s %.20s", host.sysname, host.release,
                       host.machine);
    line_read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", m.governor,
              sizeof(m.governor));
    if (m.governor[0] == '\0')
        (void)snprintf(m.governor, sizeof(m.governor), "none");
    line_read("/sys/devices/system/clocksource/clocksource0/current_clocksource", source,
              sizeof(source));
    (void)snprintf(m.clock, sizeof(m.clock), "%.31s%s%s", source,
                   flag_has(flags, "constant_tsc") ? " constant_tsc" : "",
                   flag_has(flags, "nonstop_tsc") ? " nonstop_tsc" : "");
    m.virtual_machine = flag_has(flags, "hypervisor");
    m.memory_gib = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE) /
                   (1024.0 * 1024.0 * 1024.0);
    if (getloadavg(m.load, 3) != 3)
        memset(m.load, 0, sizeof(m.load));
    *ret_machine = m;
}

void bench_clock_open(struct bench_clock *ret_clock)
{
    struct bench_clock clock = {.ns_per_tick = 1.0};
    char flags[4096];

    cpuinfo_read("flags", flags, sizeof(flags));
    /* Only such a counter runs at one rate and means the same on every processor. */
    if (flag_has(flags, "constant_tsc") && flag_has(flags, "nonstop_tsc")) {
        uint64_t from_ns = bench_now_ns(), from, to, to_ns;

        clock.tsc = true;
        from = bench_ticks(&clock);
        do {
            to_ns = bench_now_ns();
            to = bench_ticks(&clock);
        } while (to_ns - from_ns < CALIBRATE_NS);
        clock.ns_per_tick = (double)(to_ns - from_ns) / (double)(to - from);
    }
    *ret_clock = clock;
}

void jitter_measure(const struct bench_clock *clock, double seconds, struct jitter *ret_jitter)
{
    uint64_t us1 = bench_seconds_ticks(clock, 1e-6), start = bench_ticks(clock), last = start;
    uint64_t end = start + bench_seconds_ticks(clock, seconds), over[3] = {0}, lost = 0;
    uint64_t longest = 0;

    while (last < end) {
        uint64_t now = bench_ticks(clock), gap = now - last;

        last = now;
        if (gap <= us1)
            continue;
        over[0]++;
        over[1] += gap > 10 * us1;
        over[2] += gap > 100 * us1;
        lost += gap;
        longest = gap > longest ? gap : longest;
    }
    *ret_jitter = (struct jitter){
        .seconds = seconds,
        .over_1us = (double)over[0] / seconds,
        .over_10us = (double)over[1] / seconds,
        .over_100us = (double)over[2] / seconds,
        .lost_percent = 100.0 * (double)lost / (double)(last - start),
        .longest_us = bench_ticks_ns(clock, longest) / 1000.0,
    };
}

char *machine_text(const struct machine *m, char text[static MACHINE_TEXT_MAX])
{
    (void)snprintf(text, MACHINE_TEXT_MAX,
                   "%s, %ld cores%s, %s, %.1f GiB, governor %s, clock %s, load %.2f %.2f %.2f",
                   m->cpu, m->cores, m->virtual_machine ? " (virtual)" : "", m->kernel,
                   m->memory_gib, m->governor, m->clock, m->load[0], m->load[1], m->load[2]);
    return text;
}

char *jitter_text(const struct jitter *j, char text[static JITTER_TEXT_MAX])
{
    (void)snprintf(text, JITTER_TEXT_MAX,
                   "a thread that only reads the clock sees %.0f gaps/s over 1 us, %.0f over "
                   "10 us, %.0f over 100 us; %.1f %% of the time; longest %.0f us",
                   j->over_1us, j->over_10us, j->over_100us, j->lost_percent, j->longest_us);
    return text;
}

void bench_pause(const struct bench_clock *clock, double ns)
{
    uint64_t from = bench_ticks(clock), length = bench_seconds_ticks(clock, ns / 1e9);

    while (bench_ticks(clock) - from < length)
        bench_relax();
}

size_t floor_measure(const struct bench_clock *clock, double seconds, double ns, double *ret_values,
                     size_t cap)
{
    uint64_t length = bench_seconds_ticks(clock, seconds), start = bench_ticks(clock), from;
    size_t count = 0;

    do {
        from = bench_ticks(clock);
        bench_pause(clock, ns);
        ret_values[count++] = bench_ticks_ns(clock, bench_ticks(clock) - from);
    } while (count < cap && from - start < length);
    return count;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

double bench_quantile(double *values, size_t count, double q)
{
    size_t rank = (size_t)ceil(q * (double)count); /* the nearest */

    INVARIANT(count > 0);
    qsort(values, count, sizeof(*values), compare);
    return values[rank == 0 ? 0 : rank > count ? count - 1 : rank - 1];
}
