/*
 * harness: options, rounds in which the cases of a group take turns, statistics.
 * Owns:   the values of the group that runs.
 * Thread: one.
 * Units:  seconds.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "benchmarks/harness.h"

#include <errno.h>
#include <ftw.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/invariant.h"
#include "benchmarks/report.h"

#define JITTER_SECONDS 0.5
#define QUICK_SECONDS  0.02
#define SECONDS_MAX    3600.0
#define ROUNDS_MAX     100000

/* The values of one metric of one case. */
struct series {
    double *values;  /* owned */
    double *medians; /* owned; one a round */
    size_t count, cap, round_start, rounds;
    bool out_of_memory;
};

static volatile sig_atomic_t stop_asked;

static void on_signal(int number)
{
    (void)number;
    stop_asked = 1;
}

bool bench_stopped(void)
{
    return stop_asked != 0;
}

/* --- values --------------------------------------------------------------------------------- */

static void series_add(struct series *s, double value)
{
    if (s->count == s->cap) {
        size_t cap = s->cap == 0 ? 64 : 2 * s->cap;
        double *grown = realloc(s->values, cap * sizeof(*grown));

        if (grown == NULL) {
            s->out_of_memory = true;
            return;
        }
        s->values = grown;
        s->cap = cap;
    }
    s->values[s->count++] = value;
}

void bench_add(struct bench_run *run, size_t m, double value)
{
    series_add(&run->series[m], value);
}

/* Ends a round: its median joins the others, or the values go if it was there to warm up. */
static int series_round(struct series *s, bool keep)
{
    size_t count = s->count - s->round_start;
    double *grown;

    if (s->out_of_memory)
        return -ENOMEM;
    if (!keep || count == 0) {
        s->count = s->round_start;
        return keep ? -ENODATA : 0;
    }
    grown = realloc(s->medians, (s->rounds + 1) * sizeof(*grown));
    if (grown == NULL)
        return -ENOMEM;
    s->medians = grown;
    s->medians[s->rounds++] = bench_quantile(s->values + s->round_start, count, 0.5);
    s->round_start = s->count;
    return 0;
}

static void series_free(struct series *s)
{
    free(s->values);
    free(s->medians);
    memset(s, 0, sizeof(*s));
}

/* --- groups --------------------------------------------------------------------------------- */

static bool filter_takes(const struct bench *b, const struct bench_case *c)
{
    char text[256];

    (void)snprintf(text, sizeof(text), "%s %s", c->name, c->params);
    for (unsigned int i = 0; i < b->filters_count; i++)
        if (strstr(text, b->filters[i]) != NULL)
            return true;
    return b->filters_count == 0;
}

static void values_report(const struct bench *b, const char *name, const char *versus,
                          const char *params, double *values, size_t count, const char *unit)
{
    struct report_line line = {.name = name, .versus = versus, .params = params, .runs = count,
                               .unit = unit};

    line.min = bench_quantile(values, count, 0.0);
    line.median = bench_quantile(values, count, 0.5);
    line.p99 = bench_quantile(values, count, 0.99);
    report_line(b, &line);
}

static bool prints_itself(const struct bench *b)
{
    return b->format == BENCH_JSON && b->json != NULL;
}

static void case_report(const struct bench *b, const struct bench_case *c, struct series *series)
{
    struct bench_values of_metric[BENCH_METRICS_MAX];
    char name[96];

    for (size_t m = 0; m < c->metrics_count; m++)
        of_metric[m] = (struct bench_values){series[m].values, series[m].count};
    if (prints_itself(b)) {
        b->json(b, c, of_metric);
        return;
    }
    for (size_t m = 0; m < c->metrics_count; m++) {
        (void)snprintf(name, sizeof(name), "%s%s", c->name, c->metrics[m].suffix);
        values_report(b, name, NULL, c->params, series[m].values, series[m].count,
                      c->metrics[m].unit);
    }
}

/* How many times better the first case is than this one, by round. */
static int ratio_report(const struct bench *b, const struct bench_case *first,
                        const struct series *base, const struct bench_case *c,
                        const struct series *series)
{
    char name[96], versus[192];

    for (size_t m = 0; m < c->metrics_count && m < first->metrics_count; m++) {
        size_t rounds = series[m].rounds < base[m].rounds ? series[m].rounds : base[m].rounds;
        double *ratios;

        if (c->metrics[m].better == BENCH_PLAIN)
            continue;
        ratios = calloc(rounds + 1, sizeof(*ratios));
        if (ratios == NULL)
            return -ENOMEM;
        for (size_t i = 0; i < rounds; i++)
            ratios[i] = c->metrics[m].better == BENCH_LESS
                            ? series[m].medians[i] / base[m].medians[i]
                            : base[m].medians[i] / series[m].medians[i];
        (void)snprintf(name, sizeof(name), "%s%s", first->name, first->metrics[m].suffix);
        (void)snprintf(versus, sizeof(versus), "%s %s", c->name, c->params);
        values_report(b, name, versus, first->params, ratios, rounds, "x better");
        free(ratios);
    }
    return 0;
}

static int group_round(struct bench *b, const struct bench_plan *plan,
                       const struct bench_case *const *cases, size_t count, struct series *series,
                       bool keep, struct errmsg *err)
{
    double seconds = b->seconds > 0 ? b->seconds : b->quick ? QUICK_SECONDS : plan->seconds;

    for (size_t i = 0; i < count; i++) {
        struct bench_run run = {b, seconds, series + i * BENCH_METRICS_MAX};
        int rc = bench_stopped() ? errmsg_set(err, -EINTR, "stopped by a signal")
                                 : cases[i]->run(cases[i]->ctx, &run, err);

        for (size_t m = 0; rc == 0 && m < cases[i]->metrics_count; m++) {
            rc = series_round(&run.series[m], keep);
            if (rc != 0)
                (void)errmsg_set_errno(err, rc, "metric %zu", m);
        }
        if (rc != 0) {
            errmsg_prefix(err, "%s %s: ", cases[i]->name, cases[i]->params);
            return rc;
        }
    }
    return 0;
}

static int group_run(struct bench *b, const struct bench_plan *plan,
                     const struct bench_case *const *cases, size_t count, bool has_first,
                     struct errmsg *err)
{
    unsigned int rounds = b->rounds > 0 ? b->rounds : b->quick ? 1 : plan->rounds;
    struct series *series = calloc(count * BENCH_METRICS_MAX, sizeof(*series));
    int rc = 0;

    if (series == NULL)
        return errmsg_set_errno(err, -ENOMEM, "values");
    if (!plan->cold && !b->quick)
        rc = group_round(b, plan, cases, count, series, false, err);
    for (unsigned int i = 0; rc == 0 && i < rounds; i++)
        rc = group_round(b, plan, cases, count, series, true, err);
    for (size_t i = 0; rc == 0 && i < count; i++)
        case_report(b, cases[i], series + i * BENCH_METRICS_MAX);
    for (size_t i = 1; rc == 0 && has_first && !prints_itself(b) && i < count; i++) {
        rc = ratio_report(b, cases[0], series, cases[i], series + i * BENCH_METRICS_MAX);
        if (rc != 0)
            (void)errmsg_set_errno(err, rc, "ratios");
    }
    for (size_t i = 0; i < count * BENCH_METRICS_MAX; i++)
        series_free(&series[i]);
    free(series);
    return rc;
}

int bench_group(struct bench *b, const struct bench_plan *plan, const struct bench_case *cases,
                size_t count, struct errmsg *err)
{
    const struct bench_case **taken = calloc(count, sizeof(*taken));
    size_t taken_count = 0;
    int rc = 0;

    if (taken == NULL)
        return errmsg_set_errno(err, -ENOMEM, "cases");
    for (size_t i = 0; i < count; i++) {
        INVARIANT(cases[i].metrics_count <= BENCH_METRICS_MAX);
        if (filter_takes(b, &cases[i]))
            taken[taken_count++] = &cases[i];
    }
    b->cases_taken += (unsigned int)taken_count;
    if (b->list) {
        for (size_t i = 0; i < taken_count; i++)
            printf("%s %s\n", taken[i]->name, taken[i]->params);
    } else if (taken_count > 0) {
        rc = group_run(b, plan, taken, taken_count, taken[0] == &cases[0], err);
    }
    free(taken);
    return rc;
}

/* --- program -------------------------------------------------------------------------------- */

static const char usage[] =
    "usage: %s [--text | --csv | --json] [--list] [--[no-]pin] [--quick] [--runs N]\n"
    "          [--seconds S] [--rows N] [--dir DIR] [FILTER...]\n"
    "\n"
    "Runs the cases whose name and parameters contain one of the filters, all without one.\n"
    "\n"
    "  --text         print lines to read: the default where nothing else is said\n"
    "  --csv, --json  print lines of CSV or JSON\n"
    "  --list         print the cases and run none\n"
    "  --pin          each process stays on a processor of its own; the default where two are\n"
    "                 measured that never sleep\n"
    "  --no-pin       processes run where the kernel puts them\n"
    "  --quick        one short round: does everything run?\n"
    "  --runs N       rounds of each case\n"
    "  --seconds S    measured part of one run\n"
    "  --rows N       of each file, where benchmarks write files of rows\n"
    "  --dir DIR      where benchmarks of files work (default build/bench)\n";

static bool number_parse(const char *text, double max, double *ret_value)
{
    char *end;
    double value = strtod(text, &end);

    *ret_value = value;
    return end != text && *end == '\0' && value > 0 && value <= max;
}

/* 0: go on; 1: help was asked for; 2: wrong usage, said on stderr. */
static int options_parse(struct bench *b, int argc, char **argv)
{
    enum { OPT_TEXT = 256, OPT_CSV, OPT_JSON, OPT_LIST, OPT_PIN, OPT_NO_PIN, OPT_QUICK, OPT_RUNS,
           OPT_SECONDS, OPT_DIR, OPT_ROWS, OPT_HELP };
    static const struct option longs[] = {
        {"csv", no_argument, NULL, OPT_CSV},         {"json", no_argument, NULL, OPT_JSON},
        {"list", no_argument, NULL, OPT_LIST},       {"pin", no_argument, NULL, OPT_PIN},
        {"runs", required_argument, NULL, OPT_RUNS}, {"seconds", required_argument, NULL,
                                                      OPT_SECONDS},
        {"dir", required_argument, NULL, OPT_DIR},   {"help", no_argument, NULL, OPT_HELP},
        {"rows", required_argument, NULL, OPT_ROWS},
        {"no-pin", no_argument, NULL, OPT_NO_PIN},   {"text", no_argument, NULL, OPT_TEXT},
        {"quick", no_argument, NULL, OPT_QUICK},     {NULL, 0, NULL, 0},
    };
    double number;
    int c;

    while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
        if (c == OPT_TEXT || c == OPT_CSV || c == OPT_JSON) {
            b->format = c == OPT_TEXT ? BENCH_TEXT : c == OPT_CSV ? BENCH_CSV : BENCH_JSON;
        } else if (c == OPT_LIST) {
            b->list = true;
        } else if (c == OPT_QUICK) {
            b->quick = true;
        } else if (c == OPT_PIN || c == OPT_NO_PIN) {
            b->pin = c == OPT_PIN;
        } else if (c == OPT_RUNS && number_parse(optarg, ROUNDS_MAX, &number) && number >= 1) {
            b->rounds = (unsigned int)number;
        } else if (c == OPT_SECONDS && number_parse(optarg, SECONDS_MAX, &b->seconds)) {
            continue;
        } else if (c == OPT_ROWS && number_parse(optarg, 1e12, &number) && number >= 1) {
            b->rows = (uint64_t)number;
        } else if (c == OPT_DIR) {
            b->dir = optarg;
        } else if (c == OPT_HELP) {
            printf(usage, b->program);
            return 1;
        } else {
            if (c == OPT_RUNS || c == OPT_SECONDS || c == OPT_ROWS)
                (void)fprintf(stderr, "%s: '%s' is not a number above 0 that makes sense here\n",
                              b->program, optarg);
            (void)fprintf(stderr, usage, b->program);
            return 2;
        }
    }
    if (argc - optind > BENCH_FILTERS_MAX) {
        (void)fprintf(stderr, "%s: at most %d filters\n", b->program, BENCH_FILTERS_MAX);
        return 2;
    }
    while (optind < argc)
        b->filters[b->filters_count++] = argv[optind++];
    return 0;
}

static int tree_visit(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path) != 0 && errno != ENOENT ? -errno : 0;
}

int bench_remove_tree(const char *path)
{
    return nftw(path, tree_visit, 16, FTW_DEPTH | FTW_PHYS) == 0 || errno == ENOENT ? 0 : -errno;
}

const char *bench_shm_dir(struct bench *b, struct errmsg *err)
{
    char path[sizeof(b->shm_dir)] = "/dev/shm/hydrant-bench-XXXXXX";

    if (b->shm_dir[0] == '\0') {
        if (mkdtemp(path) == NULL) {
            (void)errmsg_set_errno(err, -errno, "'%s'", path);
            return NULL;
        }
        memcpy(b->shm_dir, path, sizeof(path));
    }
    return b->shm_dir;
}

int bench_cpu(const struct bench *b, unsigned int nth)
{
    unsigned int left = nth % (unsigned int)CPU_COUNT(&b->cpus);

    for (int cpu = 0; b->pin && cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET((size_t)cpu, &b->cpus) && left-- == 0)
            return cpu;
    return -1;
}

/* A signal ends the run under way at its next step, so that nothing is left behind. */
static void signals_take(void)
{
    struct sigaction stop = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    struct sigaction ignore = {.sa_handler = SIG_IGN};

    INVARIANT(sigaction(SIGINT, &stop, NULL) == 0 && sigaction(SIGTERM, &stop, NULL) == 0);
    INVARIANT(sigaction(SIGPIPE, &ignore, NULL) == 0);
}

int bench_main_with(struct bench b, int argc, char **argv, bench_body_fn body)
{
    struct errmsg err = {""};
    struct machine machine;
    struct jitter jitter;
    int rc = options_parse(&b, argc, argv);

    if (rc != 0)
        return rc == 1 ? 0 : rc;
    INVARIANT(sched_getaffinity(0, sizeof(b.cpus), &b.cpus) == 0 && CPU_COUNT(&b.cpus) > 0);
    signals_take();
    if (!b.list) {
        bench_clock_open(&b.clock);
        machine_read(&machine);
        jitter_measure(&b.clock, JITTER_SECONDS, &jitter);
        report_machine(&b, &machine, &jitter);
    }
    rc = body(&b, &err);
    if (rc == 0 && b.cases_taken == 0)
        rc = errmsg_set(&err, -ENOENT, "no case matches; --list shows them");
    if (rc != 0)
        (void)fprintf(stderr, "%s: %s\n", b.program, err.text);
    if (b.shm_dir[0] != '\0' && bench_remove_tree(b.shm_dir) != 0) {
        (void)fprintf(stderr, "%s: '%s' cannot be removed\n", b.program, b.shm_dir);
        rc = -EIO;
    }
    if (fflush(stdout) != 0 || ferror(stdout)) {
        (void)fprintf(stderr, "%s: output cannot be written\n", b.program);
        rc = -EIO;
    }
    return rc != 0;
}

int bench_main(const char *program, int argc, char **argv, bench_body_fn body)
{
    return bench_main_with((struct bench){.program = program, .dir = "build/bench"}, argc,
                           argv, body);
}

int bench_main_pinned(const char *program, int argc, char **argv, bench_body_fn body)
{
    return bench_main_with((struct bench){.program = program, .dir = "build/bench", .pin = true},
                           argc, argv, body);
}
