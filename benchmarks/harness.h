/*
 * harness: what every benchmark shares: options, the machine in the first line, the jitter floor,
 * rounds in which the cases of a group take turns, statistics, output as text, CSV or JSON lines.
 *
 * A case is one thing that is measured, with one or more metrics; one run of it adds values of each
 * metric. The cases of a group run in turn, A B A B, after a round that warms up and does not
 * count. One line a metric: name, parameters, number of values, minimum, median, p99, unit. Then
 * each case is set against the first of its group: a ratio is taken within each round, so that what
 * the machine does meanwhile meets both, and the median of the ratios is what counts.
 *
 * Owns:   struct bench owns everything below it; strings of a case are borrowed.
 * Thread: one.
 * Units:  seconds for options, ticks of the fastest steady counter for time stamps.
 */
#ifndef BENCHMARKS_HARNESS_H
#define BENCHMARKS_HARNESS_H

#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/errmsg.h"
#include "cli/cli_bench_measure.h"

enum bench_better {
    BENCH_LESS, /* nanoseconds, CPU seconds: the ratio is the other case over the first */
    BENCH_MORE, /* events a second: the ratio is the first case over the other */
    BENCH_PLAIN /* not compared */
};

struct bench_metric {
    const char *suffix; /* behind the name of the case: "", ".p99" */
    const char *unit;
    enum bench_better better;
};

struct bench_run;
typedef int (*bench_run_fn)(void *ctx, struct bench_run *run, struct errmsg *err);

struct bench_case {
    const char *name;   /* no commas, no quotes, no blanks */
    const char *params; /* "bytes=64 clock=none"; no commas, no quotes */
    const struct bench_metric *metrics;
    size_t metrics_count;
    bench_run_fn run;
    void *ctx;
};

/* Defaults of a group; --runs and --seconds replace them. */
struct bench_plan {
    unsigned int rounds;
    double seconds; /* measured part of one run */
    bool cold;      /* no round to warm up: a run is long and warms up in itself */
};

enum bench_format { BENCH_TEXT, BENCH_CSV, BENCH_JSON };

enum { BENCH_FILTERS_MAX = 16, BENCH_METRICS_MAX = 8 };

/* All values of a metric of a case, in the order of the rounds. */
struct bench_values {
    const double *values;
    size_t count;
};

struct bench;
typedef void (*bench_json_fn)(const struct bench *b, const struct bench_case *c,
                              const struct bench_values *of_metric);

struct bench {
    const char *program;
    enum bench_format format;
    bool list, pin, quick;
    bench_json_fn json; /* prints cases as JSON its own way, no ratios; NULL: as report does */
    unsigned int rounds; /* 0: the plan's */
    double seconds;      /* 0: the plan's */
    uint64_t rows;       /* 0: as the program likes */
    const char *dir;     /* where benchmarks of files work; borrowed */
    const char *filters[BENCH_FILTERS_MAX];
    unsigned int filters_count;
    cpu_set_t cpus; /* that we may use, as found at start */
    struct bench_clock clock;
    char shm_dir[64];         /* "": not made yet */
    unsigned int cases_taken; /* matched the filter */
};

/* What a run sees of its round. */
struct bench_run {
    struct bench *bench;
    double seconds;        /* measure about so long */
    struct series *series; /* one a metric; borrowed */
};

/* A value of the case's metric number m. -ENOMEM is kept and fails the group. */
void bench_add(struct bench_run *run, size_t m, double value);

/* Runs the cases in turn and prints. 0 or -errno; -EINTR: a signal asked us to stop. */
int bench_group(struct bench *b, const struct bench_plan *plan, const struct bench_case *cases,
                size_t count, struct errmsg *err);

/*
 * The whole program: options, first lines, body, and what went wrong on stderr. Returns main's
 * exit code: 0 done, 1 failed, 2 wrong usage.
 */
typedef int (*bench_body_fn)(struct bench *b, struct errmsg *err);
int bench_main(const char *program, int argc, char **argv, bench_body_fn body);

/*
 * The same, pinned unless --no-pin says otherwise: where two processes poll and something else runs
 * beside them, the kernel may leave both on one processor, and time slices are what is measured.
 */
int bench_main_pinned(const char *program, int argc, char **argv, bench_body_fn body);

/* The same, with defaults of the program's own. */
int bench_main_with(struct bench b, int argc, char **argv, bench_body_fn body);

/* A directory of our own on tmpfs, removed at the end; NULL with err set if it can't be made. */
const char *bench_shm_dir(struct bench *b, struct errmsg *err);
int bench_remove_tree(const char *path);

/* With --pin: the nth of our processors, counted around; else -1, any. */
int bench_cpu(const struct bench *b, unsigned int nth);

/* True once SIGINT or SIGTERM came. */
bool bench_stopped(void);

#endif
