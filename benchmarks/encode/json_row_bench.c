/*
 * json_row_bench: rows out of JSON lines: into cells, beside simdjson on demand, which converts the
 * same fields but skips the rest unchecked, the check for JSON alone, and jansson, which builds a
 * tree; inference, which has nothing new to find; members taken out and added.
 *
 * The events are all different; they fit into the second-level cache, as chunks of the log do.
 * Shapes: six fields; the same with white space; with escapes, other letters and 17 digits; fifty
 * fields.
 */
#include "base/invariant.h"
#include "benchmarks/harness.h"
#include "benchmarks/simdjson_rows.h"
#include "encode/infer.h"
#include "encode/json_check.h"
#include "encode/json_edit.h"
#include "encode/json_row.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EVENTS = 1024, EVENT_BYTES_MAX = 1024, CELLS_MAX = 64, WIDE_FIELDS = 50 };

struct events {
    char *text;                 /* end to end */
    uint32_t at[EVENTS + 1];
};

struct work {
    struct events events;
    struct schema schema;
    struct json_row *row;
    struct infer infer;
    struct json_edit *edit;
    struct bytes edited;
    struct json_checker *checker;
    struct simdjson_rows *simdjson;
    volatile uint64_t sink;     /* results end here, or the compiler would drop the work */
};

typedef void (*work_fn)(struct work *w, const char *text, size_t len);

static void take(struct work *w, const char *text, size_t len)
{
    struct cell cells[CELLS_MAX];

    INVARIANT(json_row_take(w->row, (const uint8_t *)text, len, cells) == JSON_ROW_TAKEN);
    w->sink += cells[0].u.u;
}

static void infer(struct work *w, const char *text, size_t len)
{
    INVARIANT(infer_event(&w->infer, (const uint8_t *)text, len) == INFER_SAME);
}

static void edit(struct work *w, const char *text, size_t len)
{
    static const struct json_addition addition = {(const uint8_t *)"\"host\":\"h\"", 10};

    bytes_clear(&w->edited);
    INVARIANT(json_edit_object(w->edit, (const uint8_t *)text, len, &addition, &w->edited) == 0);
    w->sink += w->edited.len;
}

static void on_demand(struct work *w, const char *text, size_t len)
{
    struct simdjson_row row;

    INVARIANT(simdjson_rows_take(w->simdjson, text, len, &row));
    w->sink += (uint64_t)row.ts;
}

static void check(struct work *w, const char *text, size_t len)
{
    w->sink += (uint64_t)json_classify(w->checker, text, len);
}

static void build_tree(struct work *w, const char *text, size_t len)
{
    json_t *object = json_loadb(text, len, 0, NULL);

    INVARIANT(object != NULL);
    w->sink += json_object_size(object);
    json_decref(object);
}

typedef int (*make_fn)(char *text, size_t cap, uint32_t n);

static int make_short(char *text, size_t cap, uint32_t n)
{
    return snprintf(text, cap, "{\"ts\":17%011u,\"user\":\"u%u\",\"country\":\"%.2s\","
                    "\"amount\":%u.%02u,\"status\":%u,\"url\":\"https://example.org/shop/%08x"
                    "/item/%04x\"}", n * 7919U, n % 1000, &"DEFRUSGBITES"[n % 6 * 2],
                    n * 31 % 1000, n * 17 % 100, n % 7 == 0 ? 404 : 200, n * 2654435761U,
                    n % 65536);
}

static int make_spaced(char *text, size_t cap, uint32_t n)
{
    return snprintf(text, cap, "{\"ts\": 17%011u, \"user\": \"u%u\", \"country\": \"%.2s\", "
                    "\"amount\": %u.%02u, \"status\": %u, \"url\": \"https://example.org/shop/%08x"
                    "/item/%04x\"}", n * 7919U, n % 1000, &"DEFRUSGBITES"[n % 6 * 2],
                    n * 31 % 1000, n * 17 % 100, n % 7 == 0 ? 404 : 200, n * 2654435761U,
                    n % 65536);
}

static int make_hard(char *text, size_t cap, uint32_t n)
{
    return snprintf(text, cap, "{\"ts\":17%011u,\"user\":\"J\xc3\xbcrgen %u\","
                    "\"country\":\"\\u00%.2s\","
                    "\"amount\":%.17g,\"status\":%u,\"url\":\"https:\\/\\/example.org\\/%08x"
                    "\\/item\\/%04x\"}", n * 7919U, n % 1000, &"DEFCAB"[n % 3 * 2],
                    (n + 1) / 7.0, n % 7 == 0 ? 404 : 200, n * 2654435761U, n % 65536);
}

static int make_wide(char *text, size_t cap, uint32_t n)
{
    int at = 0;

    for (uint32_t i = 0; i < WIDE_FIELDS; i++)
        at += snprintf(text + at, cap - (size_t)at, "%c\"field_%02u\":%u", i == 0 ? '{' : ',', i,
                       n * i * 31 % 100000);
    return at + snprintf(text + at, cap - (size_t)at, "}");
}

/* With room behind the last one, which simdjson reads. */
static void events_make(struct events *e, make_fn make)
{
    e->text = malloc((size_t)EVENTS * EVENT_BYTES_MAX + EVENT_BYTES_MAX);
    INVARIANT(e->text != NULL);
    e->at[0] = 0;
    for (uint32_t i = 0; i < EVENTS; i++) {
        int len = make(e->text + e->at[i], EVENT_BYTES_MAX, i);

        INVARIANT(len > 0 && len < EVENT_BYTES_MAX);
        e->at[i + 1] = e->at[i] + (uint32_t)len;
    }
    memset(e->text + e->at[EVENTS], 0, EVENT_BYTES_MAX);
}

/* The columns are those that are found in the events. */
static void work_open(struct work *w, make_fn make)
{
    struct schema drop, add;

    *w = (struct work){0};
    events_make(&w->events, make);
    INVARIANT(infer_init(&w->infer, NULL, NULL, false) == 0);
    for (uint32_t i = 0; i < EVENTS; i++)
        INVARIANT(infer_event(&w->infer, (uint8_t *)w->events.text + w->events.at[i],
                              w->events.at[i + 1] - w->events.at[i]) <= INFER_WIDER);
    INVARIANT(infer_schema(&w->infer, &w->schema) == 0 && w->schema.count <= CELLS_MAX);
    INVARIANT(json_row_open(&w->schema, NULL, 0, &w->row) == 0);
    INVARIANT(schema_parse("user string", &drop, NULL) == 0);
    INVARIANT(schema_parse("host string", &add, NULL) == 0);
    INVARIANT(json_edit_open(NULL, &drop, &add, &w->edit) == 0);
    schema_fini(&drop);
    schema_fini(&add);
    w->checker = json_checker_open(EVENT_BYTES_MAX);
    w->simdjson = simdjson_rows_open();
    INVARIANT(w->checker && w->simdjson);
}

static void work_close(struct work *w)
{
    simdjson_rows_close(w->simdjson);
    json_checker_close(w->checker);
    json_edit_close(w->edit);
    bytes_free(&w->edited);
    json_row_close(w->row);
    infer_fini(&w->infer);
    schema_fini(&w->schema);
    free(w->events.text);
}

struct task {
    struct work *work;
    work_fn fn;
};

static int task_run(void *ctx, struct bench_run *run, struct errmsg *err)
{
    const struct task *task = ctx;
    const struct bench_clock *clock = &run->bench->clock;
    uint64_t length = bench_seconds_ticks(clock, run->seconds), start = bench_ticks(clock), from;
    const struct events *e = &task->work->events;
    double ns;

    (void)err;
    do {
        from = bench_ticks(clock);
        for (uint32_t i = 0; i < EVENTS; i++)
            task->fn(task->work, e->text + e->at[i], e->at[i + 1] - e->at[i]);
        ns = bench_ticks_ns(clock, bench_ticks(clock) - from);
        bench_add(run, 0, EVENTS / ns * 1000);
        bench_add(run, 1, e->at[EVENTS] / ns * 1000);
    } while (from - start < length);
    return 0;
}

static int shape_run(struct bench *b, const char *params, make_fn make, bool on_demand_too,
                     struct errmsg *err)
{
    static const struct bench_metric metrics[] = {{"", "M events/s", BENCH_MORE},
                                                  {".rate", "MB/s", BENCH_PLAIN}};
    static const struct bench_plan plan = {.rounds = 5, .seconds = 0.1};
    static const struct {
        const char *name;
        work_fn fn;
    } rows[] = {{"json_row", take}, {"json_check", check}, {"jansson", build_tree},
                {"infer", infer}, {"json_edit", edit}, {"simdjson/on_demand", on_demand}};
    enum { ROWS = sizeof(rows) / sizeof(rows[0]) };
    struct bench_case cases[ROWS];
    struct task tasks[ROWS];
    struct work w;
    int rc;

    work_open(&w, make);
    for (size_t i = 0; i < ROWS; i++) {
        tasks[i] = (struct task){&w, rows[i].fn};
        cases[i] = (struct bench_case){rows[i].name, params, metrics, 2, task_run, &tasks[i]};
    }
    rc = bench_group(b, &plan, cases, on_demand_too ? ROWS : ROWS - 1, err);
    work_close(&w);
    return rc;
}

static int body(struct bench *b, struct errmsg *err)
{
    int rc = shape_run(b, "fields=6", make_short, true, err);

    if (rc == 0)
        rc = shape_run(b, "fields=6 spaced", make_spaced, true, err);
    if (rc == 0)
        rc = shape_run(b, "fields=6 escapes", make_hard, true, err);
    return rc == 0 ? shape_run(b, "fields=50", make_wide, false, err) : rc;
}

int main(int argc, char **argv)
{
    return bench_main("json_row_bench", argc, argv, body);
}
