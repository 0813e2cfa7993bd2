/*
 * json_bench: what encoding one event costs, by kind and size, beside what others need for the same
 * bytes: a plain copy for JSON, jansson for text.
 *
 * Prints the machine, then one line a result: name, payload bytes, runs, then min, median and p99
 * over the runs of nanoseconds per event, and the rate at the median.
 */
#include "base/invariant.h"
#include "encode/encoder.h"
#include "encode/event_classify.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>

enum { RUNS = 101, RUN_BYTES = 1 << 20, POOL_BYTES = 64 * BLOCK_BYTES, PAYLOAD_MAX = 65536 };

struct bench {
    struct block_pool pool;
    struct block_chain out;
    struct json_checker *checker;
    struct event ev;
    uint64_t sink;              /* keeps results alive */
};

typedef void (*bench_fn)(struct bench *b);

static uint64_t now_ns(void)
{
    struct timespec ts;

    INVARIANT(clock_gettime(CLOCK_MONOTONIC, &ts) == 0);
    return (uint64_t)ts.tv_sec * 1000000000U + (uint64_t)ts.tv_nsec;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void drain(struct bench *b)
{
    struct block *block;

    while ((block = chain_shift(&b->out, true)) != NULL)
        block_give(&b->pool, block);
}

static void measure(struct bench *b, const char *name, bench_fn fn)
{
    double ns[RUNS];
    uint32_t events = RUN_BYTES / b->ev.len;

    for (int run = -1; run < RUNS; run++) {     /* the first warms up and is not counted */
        uint64_t start = now_ns();

        for (uint32_t i = 0; i < events; i++)
            fn(b);
        if (run >= 0)
            ns[run] = (double)(now_ns() - start) / events;
        drain(b);
    }
    qsort(ns, RUNS, sizeof(ns[0]), compare);
    printf("%-22s bytes=%-6u runs=%d min=%.1f median=%.1f p99=%.1f ns/event %.0f MB/s\n", name,
           b->ev.len, RUNS, ns[0], ns[RUNS / 2], ns[RUNS * 99 / 100],
           b->ev.len / ns[RUNS / 2] * 1000);
}

static void encode(struct bench *b)
{
    const struct encoder_settings set = { 0 };

    INVARIANT(chain_reserve(&b->out, json_encoder.bytes_max(&set, &b->ev)));
    json_encoder.event(&set, &b->ev, &b->out);
}

static void copy(struct bench *b)
{
    INVARIANT(chain_reserve(&b->out, (uint64_t)b->ev.len + 1));
    chain_append(&b->out, b->ev.data, b->ev.len);
    chain_append(&b->out, "\n", 1);
}

static void encode_jansson(struct bench *b)
{
    json_t *object = json_pack("{s:s%}", "message", b->ev.data, (size_t)b->ev.len);
    char *text = json_dumps(object, 0);

    INVARIANT(text != NULL);
    b->sink += strlen(text);
    free(text);
    json_decref(object);
}

static void classify(struct bench *b)
{
    b->sink += (uint64_t)event_classify(b->checker, b->ev.data, b->ev.len);
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

int main(void)
{
    static const uint32_t sizes[] = { 100, 200, 1000, 10000, PAYLOAD_MAX };
    static uint8_t data[PAYLOAD_MAX];
    struct bench b = { .checker = json_checker_open(PAYLOAD_MAX) };
    struct utsname host;

    INVARIANT(b.checker != NULL && uname(&host) == 0);
    printf("json_bench: %s %s %s\n", host.sysname, host.release, host.machine);
    block_pool_init(&b.pool, POOL_BYTES);
    chain_init(&b.out, &b.pool);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        b.ev = (struct event){ .data = data, .len = sizes[i], .kind = SHM_KIND_JSON };
        fill_json(data, sizes[i]);
        INVARIANT(event_classify(b.checker, data, sizes[i]) == SHM_KIND_JSON);
        measure(&b, "copy", copy);
        measure(&b, "json/json", encode);
        measure(&b, "classify/json", classify);
        fill_text(data, sizes[i]);
        INVARIANT(event_classify(b.checker, data, sizes[i]) == SHM_KIND_TEXT);
        b.ev.kind = SHM_KIND_TEXT;
        measure(&b, "json/text", encode);
        measure(&b, "jansson/text", encode_jansson);
        measure(&b, "classify/text", classify);
        b.ev.kind = SHM_KIND_BYTES;
        measure(&b, "json/bytes", encode);
    }
    chain_fini(&b.out);
    block_pool_fini(&b.pool);
    json_checker_close(b.checker);
    return b.sink == 0;
}
