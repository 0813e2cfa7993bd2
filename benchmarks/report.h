/*
 * report: one line a result, as text, CSV or JSON lines, on stdout.
 * Owns:   nothing.
 * Thread: one.
 */
#ifndef BENCHMARKS_REPORT_H
#define BENCHMARKS_REPORT_H

#include "benchmarks/harness.h"

struct report_line {
    const char *name;   /* with the metric's suffix */
    const char *versus; /* the case that a ratio sets the first one against; NULL: no ratio */
    const char *params;
    size_t runs;
    double min, median, p99;
    const char *unit;
};

void report_machine(const struct bench *b, const struct machine *m, const struct jitter *j);
void report_line(const struct bench *b, const struct report_line *line);

#endif
