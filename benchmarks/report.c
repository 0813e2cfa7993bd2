/*
 * report: one line a result, as text, CSV or JSON lines, on stdout.
 *
 *   text  "# ..." lines about the machine, then name, parameters, runs=, min=, median=, p99=, unit;
 *         a ratio's unit is "x better than" the case that it is set against
 *   CSV   the same comments, a header, then program,name,versus,params,runs,min,median,p99,unit
 *   JSON  an object a line: {"machine": ...}, {"jitter": ...}, then one a result
 *
 * Owns:   nothing.
 * Thread: one.
 */
#include "benchmarks/report.h"

#include <jansson.h>
#include <stdio.h>

#include "base/invariant.h"

/* Takes the object over. A failed write stays with stdout, where the end of the program looks. */
static void json_line(json_t *object)
{
    INVARIANT(object != NULL);
    (void)json_dumpf(object, stdout, JSON_COMPACT);
    json_decref(object);
    (void)putchar('\n');
}

static void machine_json(const struct bench *b, const struct machine *m, const struct jitter *j)
{
    json_line(json_pack("{s:s, s:{s:s, s:I, s:s, s:f, s:s, s:s, s:b, s:[fff], s:b}}", "program",
                        b->program, "machine", "cpu", m->cpu, "cores", (json_int_t)m->cores,
                        "kernel", m->kernel, "memory_gib", m->memory_gib, "governor", m->governor,
                        "clock", m->clock, "virtual", m->virtual_machine, "load", m->load[0],
                        m->load[1], m->load[2], "pinned", b->pin));
    json_line(json_pack("{s:s, s:{s:f, s:f, s:f, s:f, s:f, s:f}}", "program", b->program, "jitter",
                        "seconds", j->seconds, "gaps_over_1us_per_s", j->over_1us,
                        "gaps_over_10us_per_s", j->over_10us, "gaps_over_100us_per_s",
                        j->over_100us, "lost_percent", j->lost_percent, "longest_us",
                        j->longest_us));
}

void report_machine(const struct bench *b, const struct machine *m, const struct jitter *j)
{
    char text[MACHINE_TEXT_MAX];

    _Static_assert((int)MACHINE_TEXT_MAX >= (int)JITTER_TEXT_MAX, "either fits");
    if (b->format == BENCH_JSON) {
        machine_json(b, m, j);
    } else {
        printf("# %s: %s, %s\n", b->program, machine_text(m, text),
               b->pin ? "pinned" : "not pinned");
        printf("# jitter floor: %s\n", jitter_text(j, text));
        if (j->lost_percent > JITTER_QUIET_PERCENT)
            printf("# others use this machine now: minima and ratios mean more than medians\n");
    }
    if (b->format == BENCH_CSV)
        printf("program,name,versus,params,runs,min,median,p99,unit\n");
    (void)fflush(stdout);
}

void report_line(const struct bench *b, const struct report_line *line)
{
    const char *versus = line->versus != NULL ? line->versus : "";

    switch (b->format) {
    case BENCH_TEXT:
        printf("%-26s %-33s runs=%-5zu min=%-9.4g median=%-9.4g p99=%-9.4g %s%s%s\n", line->name,
               line->params, line->runs, line->min, line->median, line->p99, line->unit,
               line->versus != NULL ? " than " : "", versus);
        break;
    case BENCH_CSV:
        printf("%s,%s,%s,%s,%zu,%.6g,%.6g,%.6g,%s\n", b->program, line->name, versus, line->params,
               line->runs, line->min, line->median, line->p99, line->unit);
        break;
    case BENCH_JSON:
        json_line(json_pack("{s:s, s:s, s:s*, s:s, s:I, s:f, s:f, s:f, s:s}", "program",
                            b->program, "name", line->name, "versus", line->versus, "params",
                            line->params, "runs", (json_int_t)line->runs, "min", line->min,
                            "median", line->median, "p99", line->p99, "unit", line->unit));
        break;
    }
    (void)fflush(stdout);
}
