/*
 * ring_bench: a ring between two processes that are both awake, beside sockets, pipes and boost's
 * lock-free queue.
 *
 *   sustained   the producer writes as fast as it can; the clock stops when the reader has copied
 *               and checked the last event. Events a second, GB/s of payload
 *   burst       what an event costs its producer: 1,000 of them into a wire that is empty and
 *               whose reader is awake (clocks and more of the ring: producer_bench)
 *   write       each write timed by itself, about 1 us apart: the producer's tail
 *   round trip  one event there, an event back on another ring; both sides poll
 *   one way     from the time stamp before the write until the reader has copied and checked the
 *               event, by a cycle counter that both processors share; about 1 us between events
 *   floor       how long a wait of 0.5 us takes that waits for nobody: what the machine itself
 *               adds to each p99
 *
 * No event carries a time of its own (clock none). Percentiles are of one run; a line gives their
 * minimum and median over the runs.
 */
#include "benchmarks/link.h"
#include "benchmarks/wire_boost.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FLOOR_NS  500
#define PAUSE_NS  1000

enum { EVENT_BYTES_MAX = 1024, PERCENTILES = 4 };

static const uint8_t zeros[EVENT_BYTES_MAX];

/* --- throughput ----------------------------------------------------------------------------- */

static int sustained_run(void *ctx, struct bench_run *run, struct errmsg *err)
{
    const struct wire_options *opt = ctx;
    const struct bench_clock *clock = &run->bench->clock;
    struct link link;
    uint64_t sent, from;
    double seconds;
    int rc = link_open(&link, run->bench, opt, err);

    if (rc != 0)
        return rc;
    rc = link_put_for(&link, zeros, clock, run->seconds / 10, err);
    if (rc == 0) {
        sent = link.sent;
        from = bench_ticks(clock);
        rc = link_put_for(&link, zeros, clock, run->seconds, err);
        seconds = bench_ticks_ns(clock, bench_ticks(clock) - from) / 1e9;
        bench_add(run, 0, (double)(link.sent - sent) / seconds / 1e6);
        bench_add(run, 1, (double)(link.sent - sent) * opt->event_bytes / seconds / 1e9);
    }
    return link_close(&link, rc, err);
}

/* The wires of a group on one size; the first is what the others are set against. */
static int wires_group(struct bench *b, const char *what, const struct bench_plan *plan,
                       const enum wire_kind *kinds, size_t count, uint32_t bytes,
                       const struct bench_metric *metrics, size_t metrics_count, bench_run_fn fn,
                       const struct bench_case *floor, struct errmsg *err)
{
    struct wire_options options[WIRE_KIND_COUNT];
    struct bench_case cases[WIRE_KIND_COUNT + 1];
    char names[WIRE_KIND_COUNT][32], params[WIRE_KIND_COUNT][64];

    for (size_t i = 0; i < count; i++) {
        const struct wire_row *row;

        options[i] = (struct wire_options){.kind = kinds[i], .event_bytes = bytes,
                                           .ring_bytes = 1 << 20, .clock = SHMC_CLOCK_NONE,
                                           .other = &wire_boost};
        row = wire_row(&options[i]);
        (void)snprintf(names[i], sizeof(names[i]), "%s/%s", what, row->name);
        (void)snprintf(params[i], sizeof(params[i]), "bytes=%u%s", bytes, row->detail);
        cases[i] = (struct bench_case){names[i], params[i], metrics, metrics_count, fn,
                                       &options[i]};
    }
    if (floor != NULL)
        cases[count++] = *floor;
    return bench_group(b, plan, cases, count, err);
}

static int throughput_groups(struct bench *b, struct errmsg *err)
{
    static const struct bench_metric rates[] = {{".events", "M events/s", BENCH_MORE},
                                                {".bytes", "GB/s", BENCH_PLAIN}};
    static const struct bench_metric costs[] = {{"", "ns/event", BENCH_LESS}};
    static const struct bench_plan plan = {.rounds = 5, .seconds = 0.1};
    static const enum wire_kind kinds[] = {
        WIRE_RING_MAP,    WIRE_RING_READ, WIRE_OTHER,     WIRE_UNIX, WIRE_UNIX_BATCH, WIRE_DGRAM,
        WIRE_DGRAM_BATCH, WIRE_TCP,       WIRE_TCP_BATCH, WIRE_PIPE, WIRE_PIPE_BATCH};
    static const uint32_t sizes[] = {64, 256, 1024};
    enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };
    int rc = 0;

    for (size_t s = 0; rc == 0 && s < sizeof(sizes) / sizeof(sizes[0]); s++)
        rc = wires_group(b, "sustained", &plan, kinds, KINDS, sizes[s], rates, 2, sustained_run,
                         NULL, err);
    for (size_t s = 0; rc == 0 && s < sizeof(sizes) / sizeof(sizes[0]); s++)
        rc = wires_group(b, "burst", &plan, kinds, KINDS, sizes[s], costs, 1, link_bursts_run, NULL,
                         err);
    return rc;
}

/* --- latency -------------------------------------------------------------------------------- */

static const struct bench_metric latency_metrics[PERCENTILES] = {{".p50", "ns", BENCH_LESS},
                                                                 {".p99", "ns", BENCH_LESS},
                                                                 {".p99.9", "ns", BENCH_PLAIN},
                                                                 {".p99.99", "ns", BENCH_PLAIN}};
static const struct bench_metric floor_metrics[PERCENTILES] = {{".p50", "ns", BENCH_PLAIN},
                                                               {".p99", "ns", BENCH_PLAIN},
                                                               {".p99.9", "ns", BENCH_PLAIN},
                                                               {".p99.99", "ns", BENCH_PLAIN}};

/* count > 0 */
static void percentiles_add(struct bench_run *run, double *values, size_t count)
{
    static const double shares[PERCENTILES] = {0.5, 0.99, 0.999, 0.9999};

    for (size_t i = 0; i < PERCENTILES; i++)
        bench_add(run, i, bench_quantile(values, count, shares[i]));
}

static double *values_make(struct errmsg *err)
{
    double *values = calloc(PEER_VALUES_MAX, sizeof(*values));

    if (values == NULL)
        (void)errmsg_set_errno(err, -ENOMEM, "values");
    return values;
}

static int round_trip_run(void *ctx, struct bench_run *run, struct errmsg *err)
{
    double *values = values_make(err);
    struct trip trip;
    size_t count = 0;
    int rc = values == NULL ? -ENOMEM : trip_open(&trip, run->bench, ctx, err);

    if (rc == 0) {
        rc = trip_measure(&trip, zeros, &run->bench->clock, run->seconds, values, PEER_VALUES_MAX,
                          &count, err);
        rc = trip_close(&trip, rc, err);
    }
    if (rc == 0)
        percentiles_add(run, values, count);
    free(values);
    return rc;
}

/* Each write by itself. Without a link: what the two time stamps around it cost. */
static int writes_measure(struct link *link, struct bench_run *run, double *values,
                          struct errmsg *err)
{
    const struct bench_clock *clock = &run->bench->clock;
    uint64_t length = bench_seconds_ticks(clock, run->seconds), start = bench_ticks(clock), from;
    size_t count = 0;
    int rc = 0;

    do {
        bench_pause(clock, PAUSE_NS);
        from = bench_ticks(clock);
        if (link != NULL)
            rc = link_put(link, zeros, 1, err);
        values[count++] = bench_ticks_ns(clock, bench_ticks(clock) - from);
    } while (rc == 0 && count < PEER_VALUES_MAX && from - start < length);
    if (rc == 0 && link != NULL)
        rc = link_settle(link, err);
    if (rc == 0)
        percentiles_add(run, values, count);
    return rc;
}

static int write_run(void *ctx, struct bench_run *run, struct errmsg *err)
{
    double *values = values_make(err);
    struct link link;
    int rc = values == NULL ? -ENOMEM : 0;

    if (rc == 0 && ctx == NULL) {
        rc = writes_measure(NULL, run, values, err);
    } else if (rc == 0) {
        rc = link_open(&link, run->bench, ctx, err);
        if (rc == 0)
            rc = link_close(&link, writes_measure(&link, run, values, err), err);
    }
    free(values);
    return rc;
}

struct stamped {
    struct wire wire;
    const struct bench_clock *clock; /* borrowed */
};

/* The reader of one way: what it has measured goes into the page. */
static int stamp_run(struct peer_page *page, void *ctx, struct errmsg *err)
{
    struct stamped *stamped = ctx;
    struct wire *w = &stamped->wire;
    const uint8_t *first = NULL;
    uint64_t events = 0, from, now;
    int rc = wire_reader_open(w, w->ring_name, err);

    if (rc != 0)
        return rc;
    peer_ready(page);
    for (;;) {
        rc = wire_take_one(w, page, &first);
        now = bench_ticks(stamped->clock);
        if (rc != 0 || peer_should_stop(page))
            break;
        memcpy(&from, first, sizeof(from));
        if (now < from) {
            wire_close(w);
            return errmsg_set(err, -ERANGE, "the processors' counters differ");
        }
        page->values[events++] = bench_ticks_ns(stamped->clock, now - from);
        /* Pairs with the acquire in peer_wait_events(): the values are read after it. */
        atomic_store_explicit(&page->events, events, memory_order_release);
    }
    wire_close(w);
    return rc == 0 ? 0 : errmsg_set_errno(err, rc, "reading");
}

static int stamps_send(struct wire *w, struct peer *peer, struct bench_run *run,
                       struct errmsg *err)
{
    const struct bench_clock *clock = &run->bench->clock;
    uint64_t length = bench_seconds_ticks(clock, run->seconds), start = bench_ticks(clock), now;
    uint8_t data[EVENT_BYTES_MAX] = {0};
    uint64_t count = 0;
    int rc;

    do {
        bench_pause(clock, PAUSE_NS);
        now = bench_ticks(clock);
        memcpy(data, &now, sizeof(now));
        rc = wire_put(w, data, 1);
        if (rc != 0)
            return errmsg_set_errno(err, rc, "writing");
        rc = peer_wait_events(peer, ++count, err);
    } while (rc == 0 && count < PEER_VALUES_MAX && now - start < length);
    if (rc == 0)
        percentiles_add(run, peer->page->values, (size_t)count);
    return rc;
}

static int one_way_run(void *ctx, struct bench_run *run, struct errmsg *err)
{
    struct stamped stamped = {.clock = &run->bench->clock};
    struct wire *w = &stamped.wire;
    struct wire_options opt;
    struct peer peer = {0};
    int rc, stop_rc;

    rc = link_options(run->bench, ctx, &opt, err);
    if (rc == 0)
        rc = wire_prepare(w, &opt, err);
    if (rc == 0)
        rc = wire_ring_make(w, err);
    if (rc == 0)
        rc = peer_start(&peer, bench_cpu(run->bench, 1), stamp_run, &stamped, err);
    if (rc == 0)
        rc = wire_writer_open(w, err);
    if (rc == 0)
        rc = stamps_send(w, &peer, run, err);
    stop_rc = peer_stop(&peer, rc == 0 ? err : NULL);
    wire_close(w);
    return rc != 0 ? rc : stop_rc;
}

static int floor_run(void *ctx, struct bench_run *run, struct errmsg *err)
{
    double *values = values_make(err);

    (void)ctx;
    if (values == NULL)
        return -ENOMEM;
    percentiles_add(run, values, floor_measure(&run->bench->clock, run->seconds, FLOOR_NS, values,
                                               PEER_VALUES_MAX));
    free(values);
    return 0;
}

static int latency_group(struct bench *b, const char *what, bench_run_fn fn, struct errmsg *err)
{
    static const struct bench_plan plan = {.rounds = 7, .seconds = 0.1};
    static const enum wire_kind kinds[] = {WIRE_RING_MAP, WIRE_RING_READ, WIRE_OTHER, WIRE_UNIX,
                                           WIRE_DGRAM,    WIRE_TCP,       WIRE_PIPE};
    bool writes = fn == write_run;
    struct bench_case floor;
    char name[32];

    (void)snprintf(name, sizeof(name), "%s/floor", what);
    floor = (struct bench_case){name, writes ? "none" : "wait=500ns", floor_metrics, PERCENTILES,
                                writes ? write_run : floor_run, NULL};
    return wires_group(b, what, &plan, kinds, sizeof(kinds) / sizeof(kinds[0]), 64,
                       latency_metrics, PERCENTILES, fn, &floor, err);
}

static int body(struct bench *b, struct errmsg *err)
{
    int rc = throughput_groups(b, err);

    if (rc == 0)
        rc = latency_group(b, "write", write_run, err);
    if (rc == 0)
        rc = latency_group(b, "roundtrip", round_trip_run, err);
    return rc == 0 ? latency_group(b, "oneway", one_way_run, err) : rc;
}

int main(int argc, char **argv)
{
    return bench_main_pinned("ring_bench", argc, argv, body);
}
