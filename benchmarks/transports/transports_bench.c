/*
 * transports_bench: the ring beside what else brings events from one process to another, measured
 * by the same loops (run.h): what an event costs its producer, by size; events a second from one
 * producer and from many, with the processor time of both sides; latency, beside the floor that the
 * machine itself puts under it; and what was lost.
 *
 * As lines of JSON unless another format is asked for:
 *
 *   {"bench":"transports","metric":M,"name":N,"params":{...},"runs":R,"values":[...],"min":..,
 *    "median":..,"max":..,"unit":U}
 *
 *   cost_ns     ns an event, the median burst of each run; params: bytes, producers; with it "lost"
 *   throughput  events/s; params: bytes, producers
 *   cpu_us      processor time of all processes, us an event (seconds a million)
 *   loss        events sent at that pace and not received; with it "sent" by the last run
 *   latency_ns  one way; min, median and max are those of the runs' p50; p50, p90, p99, p999, p9999
 *               are medians of the runs; params: bytes, wait (poll, sleep: how the reader waits).
 *               "floor" is how much too long a wait of 0.5 us takes that waits for nobody
 *
 * A library that has threads of its own takes events into a queue, and cost_ns is what that takes;
 * what its threads do later shows in throughput and cpu_us. A transport that this host does not let
 * us have is named on stderr and left out.
 */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/invariant.h"
#include "benchmarks/harness.h"
#include "benchmarks/transports/lttng.h"

#define FLOOR_NS       500
#define PROBE_SECONDS  0.002

enum { FLOOR_VALUES_MAX = 1 << 20, METRICS_OF_COST = 2, METRICS_OF_THROUGHPUT = 3 };

/* What a transport takes part in. */
enum { COST = 1, SINGLE = 2, MANY = 4, LATENCY = 8 };

struct transport {
    const struct lanes_ops *ops; /* NULL: LTTng, which has no lanes */
    unsigned int parts;
};

static const struct transport transports[] = {
    {&lanes_ring, COST | SINGLE | MANY | LATENCY},
    {&lanes_ring_untimed, COST | SINGLE},
    {&lanes_ring_mapped, SINGLE | LATENCY},
    {&lanes_unix, COST | SINGLE | MANY | LATENCY},
    {&lanes_unix_batch, COST | SINGLE | MANY},
    {&lanes_unix_sleeping, LATENCY},
    {&lanes_dgram, COST | SINGLE},
    {&lanes_seqpacket, COST | SINGLE},
    {&lanes_tcp, COST | SINGLE | MANY | LATENCY},
    {&lanes_udp, COST | SINGLE | LATENCY},
    {&lanes_pipe, COST | SINGLE | MANY | LATENCY},
    {&lanes_mq, COST | SINGLE | LATENCY},
    {&lanes_zeromq, COST | SINGLE | MANY | LATENCY},
    {&lanes_nng, COST | SINGLE | LATENCY},
    {&lanes_boost_spsc, COST | SINGLE | LATENCY},
    {&lanes_boost_mq, COST | SINGLE | LATENCY},
    {NULL, COST | SINGLE},
};
enum { TRANSPORTS = sizeof(transports) / sizeof(transports[0]) };

static const struct bench_metric cost_metrics[METRICS_OF_COST] = {
    {"", "ns/event", BENCH_LESS}, {".lost", "events", BENCH_PLAIN}};
static const struct bench_metric throughput_metrics[METRICS_OF_THROUGHPUT] = {
    {"", "events/s", BENCH_MORE}, {".cpu", "us/event", BENCH_LESS},
    {".lost", "events", BENCH_PLAIN}};
static const struct bench_metric latency_metrics[RUN_QUANTILES] = {
    {".p50", "ns", BENCH_LESS},    {".p90", "ns", BENCH_LESS},    {".p99", "ns", BENCH_LESS},
    {".p99.9", "ns", BENCH_PLAIN}, {".p99.99", "ns", BENCH_PLAIN}};

/* One case. transport NULL: the floor under all latencies. */
struct cell {
    const struct transport *transport;
    enum run_mode mode;
    uint32_t bytes;
    unsigned int producers;
    uint64_t sent; /* by the last run */
    char name[48], params[48];
};

static bool absent[TRANSPORTS];

static const char *name_of(const struct transport *t)
{
    return t == NULL ? "floor" : t->ops != NULL ? t->ops->name : "lttng";
}

/* --- runs ----------------------------------------------------------------------------------- */

static int cell_measure(struct bench *b, const struct cell *cell, double seconds,
                        struct run_result *ret_result, struct errmsg *err)
{
    struct run_options opt = {
        .mode = cell->mode,
        .ops = cell->transport->ops,
        .event_bytes = cell->bytes,
        .producers = cell->producers,
        .seconds = seconds,
        .clock = &b->clock,
        .producer_cpu = bench_cpu(b, 0),
        .consumer_cpu = bench_cpu(b, 1),
    };

    if (opt.ops == NULL)
        return lttng_measure(&opt, ret_result, err);
    opt.dir = bench_shm_dir(b, err);
    return opt.dir == NULL ? -EIO : run_measure(&opt, ret_result, err);
}

static int cell_run(void *ctx, struct bench_run *run, struct errmsg *err)
{
    struct cell *cell = ctx;
    struct run_result result;
    int rc = cell_measure(run->bench, cell, run->seconds, &result, err);

    if (rc != 0)
        return rc;
    cell->sent = result.sent;
    switch (cell->mode) {
    case RUN_COST:
        bench_add(run, 0, result.cost_ns);
        bench_add(run, 1, (double)result.lost);
        break;
    case RUN_THROUGHPUT:
        bench_add(run, 0, result.events_per_s);
        bench_add(run, 1, result.cpu_ns / 1000);
        bench_add(run, 2, (double)result.lost);
        break;
    case RUN_LATENCY:
        for (size_t i = 0; i < RUN_QUANTILES; i++)
            bench_add(run, i, result.latency_ns[i]);
        break;
    }
    return 0;
}

/* How much longer than asked for a wait takes that waits for nobody. */
static int floor_run(void *ctx, struct bench_run *run, struct errmsg *err)
{
    double *values = calloc(FLOOR_VALUES_MAX, sizeof(*values));
    size_t count;

    (void)ctx;
    if (values == NULL)
        return errmsg_set_errno(err, -ENOMEM, "values");
    count = floor_measure(&run->bench->clock, run->seconds, FLOOR_NS, values, FLOOR_VALUES_MAX);
    for (size_t i = 0; i < RUN_QUANTILES; i++)
        bench_add(run, i, bench_quantile(values, count, run_quantiles[i]) - FLOOR_NS);
    free(values);
    return 0;
}

/* --- lines ---------------------------------------------------------------------------------- */

/* The values stay in the order of their rounds. */
static double quantile_of(const struct bench_values *v, double q)
{
    double *sorted = malloc(v->count * sizeof(*sorted)), value;

    INVARIANT(sorted != NULL);
    memcpy(sorted, v->values, v->count * sizeof(*sorted));
    value = bench_quantile(sorted, v->count, q);
    free(sorted);
    return value;
}

static const char *wait_of(const struct cell *cell)
{
    return cell->transport != NULL && cell->transport->ops->sleeps ? "sleep" : "poll";
}

/* Takes extra over: what else the line has. */
static void line_print(const struct cell *cell, const char *metric, const char *unit,
                       const struct bench_values *v, json_t *extra)
{
    json_t *params = json_pack("{s:I, s:I}", "bytes", (json_int_t)cell->bytes, "producers",
                               (json_int_t)cell->producers);
    json_t *values = json_array(), *line; /* of the rounds in order: ratios are taken within one */

    if (cell->mode == RUN_LATENCY)
        INVARIANT(json_object_set_new(params, "wait", json_string(wait_of(cell))) == 0);
    for (size_t i = 0; i < v->count; i++)
        INVARIANT(json_array_append_new(values, json_real(v->values[i])) == 0);
    line = json_pack("{s:s, s:s, s:s, s:o, s:I, s:o, s:f, s:f, s:f, s:s}", "bench", "transports",
                     "metric", metric, "name", name_of(cell->transport), "params", params, "runs",
                     (json_int_t)v->count, "values", values, "min", quantile_of(v, 0), "median",
                     quantile_of(v, 0.5), "max", quantile_of(v, 1), "unit", unit);
    INVARIANT(line != NULL && json_object_update(line, extra) == 0);
    json_decref(extra);
    (void)json_dumpf(line, stdout, JSON_COMPACT | JSON_REAL_PRECISION(6));
    (void)putchar('\n');
    (void)fflush(stdout);
    json_decref(line);
}

/* The median of the runs. */
static void extra_set(json_t *extra, const char *key, const struct bench_values *v)
{
    INVARIANT(json_object_set_new(extra, key, json_real(quantile_of(v, 0.5))) == 0);
}

static void cell_print(const struct bench *b, const struct bench_case *c,
                       const struct bench_values *of_metric)
{
    static const char *const quantiles[RUN_QUANTILES] = {"p50", "p90", "p99", "p999", "p9999"};
    const struct cell *cell = c->ctx;
    json_t *extra = json_object();

    (void)b;
    switch (cell->mode) {
    case RUN_COST:
        extra_set(extra, "lost", &of_metric[1]);
        line_print(cell, "cost_ns", "ns", &of_metric[0], extra);
        break;
    case RUN_THROUGHPUT:
        line_print(cell, "throughput", "events/s", &of_metric[0], json_object());
        line_print(cell, "cpu_us", "us", &of_metric[1], json_object());
        INVARIANT(json_object_set_new(extra, "sent", json_integer((json_int_t)cell->sent)) == 0);
        line_print(cell, "loss", "events", &of_metric[2], extra);
        break;
    case RUN_LATENCY:
        for (size_t i = 0; i < RUN_QUANTILES; i++)
            extra_set(extra, quantiles[i], &of_metric[i]);
        line_print(cell, "latency_ns", "ns", &of_metric[0], extra);
        break;
    }
}

/* --- groups --------------------------------------------------------------------------------- */

/* Which of them can be had here. */
static int transports_probe(struct bench *b, struct errmsg *err)
{
    for (size_t i = 0; i < TRANSPORTS; i++) {
        struct cell cell = {.transport = &transports[i], .mode = RUN_THROUGHPUT, .bytes = 64,
                            .producers = 1};
        struct run_result result;
        struct errmsg why = {""};

        if (bench_stopped())
            return errmsg_set(err, -EINTR, "stopped by a signal");
        absent[i] = cell_measure(b, &cell, PROBE_SECONDS, &result, &why) != 0;
        if (absent[i])
            (void)fprintf(stderr, "%s: without %s: %s\n", b->program,
                          name_of(&transports[i]), why.text);
    }
    return 0;
}

static struct bench_case case_make(struct cell *cell, const char *what)
{
    static const struct bench_metric *const metrics[] = {[RUN_COST] = cost_metrics,
                                                         [RUN_THROUGHPUT] = throughput_metrics,
                                                         [RUN_LATENCY] = latency_metrics};
    static const size_t counts[] = {[RUN_COST] = METRICS_OF_COST,
                                    [RUN_THROUGHPUT] = METRICS_OF_THROUGHPUT,
                                    [RUN_LATENCY] = RUN_QUANTILES};

    (void)snprintf(cell->name, sizeof(cell->name), "%s/%s", what, name_of(cell->transport));
    (void)snprintf(cell->params, sizeof(cell->params), "bytes=%u producers=%u", cell->bytes,
                   cell->producers);
    return (struct bench_case){cell->name, cell->params, metrics[cell->mode], counts[cell->mode],
                               cell->transport != NULL ? cell_run : floor_run, cell};
}

static int group_run(struct bench *b, const char *what, enum run_mode mode, unsigned int part,
                     uint32_t bytes, unsigned int producers, double seconds, struct errmsg *err)
{
    const struct bench_plan plan = {.rounds = 3, .seconds = seconds, .cold = true};
    struct cell cells[TRANSPORTS + 1];
    struct bench_case cases[TRANSPORTS + 1];
    size_t count = 0;

    for (size_t i = 0; i < TRANSPORTS; i++) {
        if ((transports[i].parts & part) == 0 || absent[i])
            continue;
        cells[count] = (struct cell){.transport = &transports[i], .mode = mode, .bytes = bytes,
                                     .producers = producers};
        cases[count] = case_make(&cells[count], what);
        count++;
    }
    if (mode == RUN_LATENCY) {
        cells[count] = (struct cell){.mode = mode, .bytes = bytes, .producers = producers};
        cases[count] = case_make(&cells[count], what);
        count++;
    }
    return bench_group(b, &plan, cases, count, err);
}

static int body(struct bench *b, struct errmsg *err)
{
    static const uint32_t sizes[] = {64, 256, 1024};
    int rc = b->list ? 0 : transports_probe(b, err);

    for (size_t i = 0; rc == 0 && i < sizeof(sizes) / sizeof(sizes[0]); i++)
        rc = group_run(b, "cost", RUN_COST, COST, sizes[i], 1, 0.2, err);
    for (unsigned int producers = 1; rc == 0 && producers <= LANES_MAX; producers *= 2)
        rc = group_run(b, "throughput", RUN_THROUGHPUT, producers == 1 ? SINGLE : MANY, 64,
                       producers, 0.2, err);
    return rc == 0 ? group_run(b, "latency", RUN_LATENCY, LATENCY, 64, 1, 0.5, err) : rc;
}

int main(int argc, char **argv)
{
    return bench_main_with((struct bench){.program = "transports_bench", .dir = "build/bench",
                                          .format = BENCH_JSON, .pin = true, .json = cell_print},
                           argc, argv, body);
}
