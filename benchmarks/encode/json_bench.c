/*
 * json_bench: what encoding one event costs, by kind and size, beside what others need for the same
 * bytes: a plain copy for JSON, jansson for text. And what telling the kind of a payload costs.
 *
 * One value is 1 MiB of payload, one event after the other from one buffer, so the input is in the
 * processor's caches and the output is not.
 */
#include "base/invariant.h"
#include "benchmarks/harness.h"
#include "encode/encoder.h"
#include "encode/event_classify.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VALUE_BYTES = 1 << 20, POOL_BYTES = 64 * BLOCK_BYTES, PAYLOAD_MAX = 65536, ROWS_MAX = 4 };

struct work {
    struct block_pool pool;
    struct block_chain out;
    struct json_checker *checker;
    struct event ev;
    volatile uint64_t sink; /* results end here, or the compiler would drop the work */
};

typedef void (*work_fn)(struct work *w);

static void drain(struct work *w)
{
    struct block *block;

    while ((block = chain_shift(&w->out, true)) != NULL)
        block_give(&w->pool, block);
}

static void encode(struct work *w)
{
    const struct encoder_settings set = { 0 };

    INVARIANT(chain_reserve(&w->out, json_encoder.bytes_max(&set, &w->ev)));
    json_encoder.event(&set, &w->ev, &w->out);
}

static void copy(struct work *w)
{
    INVARIANT(chain_reserve(&w->out, (uint64_t)w->ev.len + 1));
    chain_append(&w->out, w->ev.data, w->ev.len);
    chain_append(&w->out, "\n", 1);
}

static void encode_jansson(struct work *w)
{
    json_t *object = json_pack("{s:s%}", "message", w->ev.data, (size_t)w->ev.len);
    char *text = json_dumps(object, 0);

    INVARIANT(text != NULL);
    w->sink += strlen(text);
    free(text);
    json_decref(object);
}

static void classify(struct work *w)
{
    w->sink += (uint64_t)event_classify(w->checker, w->ev.data, w->ev.len);
}

/* An object of exactly len bytes with short members, some escapes and numbers. */
static void fill_json(uint8_t *data, size_t len)
{
    static const char member[] = "\"user\":\"a \\\"b\\\"\",\"amount\":12.5,\"ok\":true,";
    size_t at = 1;

    data[0] = '{';
    for (; at + sizeof(member) + 8 < len; at += sizeof(member) - 1)
        memcpy(data + at, member, sizeof(member) - 1);
    memcpy(data + at, "\"end\":1", 7);
    memset(data + at + 7, ' ', len - at - 8);
    data[len - 1] = '}';
}

/* A log line over and over: a quote now and then, a tab, some UTF-8. */
static void fill_text(uint8_t *data, size_t len)
{
    static const char line[] = "GET /a/b?c=d HTTP/1.1\t200 \"agent 1.0\" caf\xc3\xa9 12 ms; ";

    for (size_t at = 0; at < len; at++)
        data[at] = (uint8_t)line[at % (sizeof(line) - 1)];
    if (data[len - 1] == 0xc3)
        data[len - 1] = '.';
}

/* One thing to be done to each event of a payload. */
struct task {
    struct work *work;
    work_fn fn;
    const uint8_t *data;
    uint32_t len;
    enum shm_kind kind;
};

static int task_run(void *ctx, struct bench_run *run, struct errmsg *err)
{
    const struct task *task = ctx;
    const struct bench_clock *clock = &run->bench->clock;
    uint64_t length = bench_seconds_ticks(clock, run->seconds), start = bench_ticks(clock), from;
    uint32_t events = VALUE_BYTES / task->len;
    struct work *w = task->work;
    double ns;

    (void)err;
    w->ev = (struct event){.data = task->data, .len = task->len, .kind = (uint8_t)task->kind};
    do {
        from = bench_ticks(clock);
        for (uint32_t i = 0; i < events; i++)
            task->fn(w);
        ns = bench_ticks_ns(clock, bench_ticks(clock) - from) / events;
        bench_add(run, 0, ns);
        bench_add(run, 1, task->len / ns * 1000);
        drain(w);
    } while (from - start < length);
    return 0;
}

struct row {
    const char *name;
    work_fn fn;
    enum shm_kind kind;
};

/* The rows on one payload; the second does what the first does by other means. */
static int rows_group(struct bench *b, struct work *w, const struct row *rows, size_t count,
                      const uint8_t *data, uint32_t len, struct errmsg *err)
{
    static const struct bench_metric compared[] = {{"", "ns/event", BENCH_LESS},
                                                   {".rate", "MB/s", BENCH_PLAIN}};
    static const struct bench_metric alone[] = {{"", "ns/event", BENCH_PLAIN},
                                                {".rate", "MB/s", BENCH_PLAIN}};
    static const struct bench_plan plan = {.rounds = 5, .seconds = 0.02};
    struct bench_case cases[ROWS_MAX];
    struct task tasks[ROWS_MAX];
    char params[32];

    INVARIANT(count <= ROWS_MAX);
    (void)snprintf(params, sizeof(params), "bytes=%u", len);
    for (size_t i = 0; i < count; i++) {
        tasks[i] = (struct task){w, rows[i].fn, data, len, rows[i].kind};
        cases[i] = (struct bench_case){rows[i].name, params, i < 2 ? compared : alone, 2, task_run,
                                       &tasks[i]};
    }
    return bench_group(b, &plan, cases, count, err);
}

static int sizes_run(struct bench *b, struct work *w, struct errmsg *err)
{
    static const uint32_t sizes[] = {100, 200, 1000, 10000, PAYLOAD_MAX};
    static const struct row of_json[] = {{"json/json", encode, SHM_KIND_JSON},
                                         {"copy", copy, SHM_KIND_JSON},
                                         {"classify/json", classify, SHM_KIND_JSON}};
    static const struct row of_text[] = {{"json/text", encode, SHM_KIND_TEXT},
                                         {"jansson/text", encode_jansson, SHM_KIND_TEXT},
                                         {"classify/text", classify, SHM_KIND_TEXT},
                                         {"json/bytes", encode, SHM_KIND_BYTES}};
    static uint8_t json[PAYLOAD_MAX], text[PAYLOAD_MAX];
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        fill_json(json, sizes[i]);
        fill_text(text, sizes[i]);
        INVARIANT(event_classify(w->checker, json, sizes[i]) == SHM_KIND_JSON);
        INVARIANT(event_classify(w->checker, text, sizes[i]) == SHM_KIND_TEXT);
        rc = rows_group(b, w, of_json, 3, json, sizes[i], err);
        if (rc == 0)
            rc = rows_group(b, w, of_text, 4, text, sizes[i], err);
    }
    return rc;
}

static int body(struct bench *b, struct errmsg *err)
{
    struct work w = {.checker = json_checker_open(PAYLOAD_MAX)};
    int rc;

    if (w.checker == NULL)
        return errmsg_set(err, -ENOMEM, "JSON checker");
    block_pool_init(&w.pool, POOL_BYTES);
    chain_init(&w.out, &w.pool);
    rc = sizes_run(b, &w, err);
    chain_fini(&w.out);
    block_pool_fini(&w.pool);
    json_checker_close(w.checker);
    return rc;
}

int main(int argc, char **argv)
{
    return bench_main("json_bench", argc, argv, body);
}
