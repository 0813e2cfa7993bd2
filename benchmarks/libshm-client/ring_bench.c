/*
 * ring_bench: a ring between two processes that are both awake, beside Unix stream sockets.
 *
 *   sustained   the producer writes as fast as it can; the clock stops when the reader has copied
 *               and checked the last event. Events a second, GB/s of payload
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

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FLOOR_NS  500
#define PAUSE_NS  1000

enum { PUT_EVENTS = 256, EVENT_BYTES_MAX = 1024, SPINS_A_CHECK = 1 << 16, PERCENTILES = 4 };

static const uint8_t zeros[EVENT_BYTES_MAX];

/* --- sustained ------------------------------------------------------------------------------ */

static int put_for(struct link *link, const struct bench_clock *clock, double seconds,
                   struct errmsg *err)
{
    uint64_t start = bench_ticks(clock), length = bench_seconds_ticks(clock, seconds);
    int rc;

    do {
        rc = link_put(link, zeros, PUT_EVENTS, err);
    } while (rc == 0 && bench_ticks(clock) - start < length);
    return rc == 0 ? link_settle(link, err) : rc;
}

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
    rc = put_for(&link, clock, run->seconds / 10, err);
    if (rc == 0) {
        sent = link.sent;
        from = bench_ticks(clock);
        rc = put_for(&link, clock, run->seconds, err);
        seconds = bench_ticks_ns(clock, bench_ticks(clock) - from) / 1e9;
        bench_add(run, 0, (double)(link.sent - sent) / seconds / 1e6);
        bench_add(run, 1, (double)(link.sent - sent) * opt->event_bytes / seconds / 1e9);
    }
    return link_close(&link, rc, err);
}

static int sustained_group(struct bench *b, struct errmsg *err)
{
    static const struct bench_metric metrics[] = {{".events", "M events/s", BENCH_MORE},
                                                  {".bytes", "GB/s", BENCH_PLAIN}};
    static const struct bench_plan plan = {.rounds = 7, .seconds = 0.2};
    static const enum wire_kind kinds[] = {WIRE_RING_MAP, WIRE_RING_READ, WIRE_UNIX_BATCH,
                                           WIRE_UNIX};
    static const uint32_t sizes[] = {64, 256, 1024};
    enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };
    struct wire_options options[KINDS];
    struct bench_case cases[KINDS];
    char names[KINDS][32], params[KINDS][64];
    int rc = 0;

    for (size_t s = 0; rc == 0 && s < sizeof(sizes) / sizeof(sizes[0]); s++) {
        for (size_t i = 0; i < KINDS; i++) {
            options[i] = (struct wire_options){.kind = kinds[i], .event_bytes = sizes[s],
                                               .ring_bytes = 1 << 20, .clock = SHMC_CLOCK_NONE};
            (void)snprintf(names[i], sizeof(names[i]), "sustained/%s", wire_name(kinds[i]));
            (void)snprintf(params[i], sizeof(params[i]), "bytes=%u%s", sizes[s],
                           wire_detail(kinds[i]));
            cases[i] = (struct bench_case){names[i], params[i], metrics, 2, sustained_run,
                                           &options[i]};
        }
        rc = bench_group(b, &plan, cases, KINDS, err);
    }
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

/* There and back. */
struct trip {
    struct wire there, back;
};

/* Looks until an event comes or the reader is to stop. */
static int take_one(struct wire *w, const struct peer_page *page, const uint8_t **ret_first)
{
    uint64_t events = 0;
    int rc = 0;

    while (rc == 0 && events == 0 && !peer_should_stop(page))
        rc = wire_take(w, &events, ret_first);
    return rc;
}

static int echo_run(struct bench *b, struct peer_page *page, void *ctx, struct errmsg *err)
{
    struct trip *trip = ctx;
    const uint8_t *first = NULL;
    int rc = wire_reader_open(&trip->there, trip->there.ring_name, err);

    (void)b;
    if (rc == 0)
        rc = wire_ring_make(&trip->back, err);
    if (rc == 0)
        rc = wire_writer_open(&trip->back, err);
    if (rc != 0)
        return rc;
    (void)snprintf(page->ring_name, sizeof(page->ring_name), "%s", trip->back.ring_name);
    peer_ready(page);
    for (;;) {
        rc = take_one(&trip->there, page, &first);
        if (rc != 0 || peer_should_stop(page))
            break;
        rc = wire_put(&trip->back, first, 1);
        if (rc != 0)
            break;
    }
    wire_close(&trip->there);
    wire_close(&trip->back);
    return rc == 0 ? 0 : errmsg_set_errno(err, rc, "echo");
}

/* One event there and back. */
static int trip_once(struct trip *trip, struct peer *peer, struct errmsg *err)
{
    uint64_t events = 0;
    const uint8_t *first;
    int rc = wire_put(&trip->there, zeros, 1);

    for (uint32_t spin = 1; rc == 0 && events == 0; spin++) {
        rc = wire_take(&trip->back, &events, &first);
        if (spin % SPINS_A_CHECK == 0 && peer_check(peer, err) != 0)
            return -ECHILD;
    }
    return rc == 0 ? 0 : errmsg_set_errno(err, rc, "round trip");
}

static int trips_measure(struct trip *trip, struct peer *peer, struct bench_run *run,
                         struct errmsg *err)
{
    const struct bench_clock *clock = &run->bench->clock;
    uint64_t length = bench_seconds_ticks(clock, run->seconds), start = bench_ticks(clock), from;
    double *values = calloc(PEER_VALUES_MAX, sizeof(*values));
    size_t count = 0;
    int rc = 0;

    if (values == NULL)
        return errmsg_set_errno(err, -ENOMEM, "values");
    do {
        from = bench_ticks(clock);
        rc = trip_once(trip, peer, err);
        values[count++] = bench_ticks_ns(clock, bench_ticks(clock) - from);
    } while (rc == 0 && count < PEER_VALUES_MAX && from - start < length);
    if (rc == 0)
        percentiles_add(run, values, count);
    free(values);
    return rc;
}

static int round_trip_run(void *ctx, struct bench_run *run, struct errmsg *err)
{
    struct wire_options opt = *(const struct wire_options *)ctx;
    struct trip trip;
    struct peer peer = {0};
    int rc, stop_rc;

    memset(&trip, 0, sizeof(trip));
    opt.shm_dir = bench_shm_dir(run->bench, err);
    if (opt.shm_dir == NULL)
        return -EIO;
    rc = bench_pin(run->bench, 0, err);
    if (rc == 0)
        rc = wire_prepare(&trip.there, &opt, err);
    if (rc == 0)
        rc = wire_ring_make(&trip.there, err);
    if (rc == 0)
        rc = wire_prepare(&trip.back, &opt, err);
    if (rc == 0)
        rc = peer_start(&peer, run->bench, 1, echo_run, &trip, err);
    if (rc == 0)
        rc = wire_writer_open(&trip.there, err);
    if (rc == 0)
        rc = wire_reader_open(&trip.back, peer.page->ring_name, err);
    if (rc == 0)
        rc = trips_measure(&trip, &peer, run, err);
    stop_rc = peer_stop(&peer, rc == 0 ? err : NULL);
    wire_close(&trip.there);
    wire_close(&trip.back);
    return rc != 0 ? rc : stop_rc;
}

/* The reader of one way: what it has measured goes into the page. */
static int stamp_run(struct bench *b, struct peer_page *page, void *ctx, struct errmsg *err)
{
    struct wire *w = ctx;
    const uint8_t *first = NULL;
    uint64_t events = 0, from, now;
    int rc = wire_reader_open(w, w->ring_name, err);

    if (rc != 0)
        return rc;
    peer_ready(page);
    for (;;) {
        rc = take_one(w, page, &first);
        now = bench_ticks(&b->clock);
        if (rc != 0 || peer_should_stop(page))
            break;
        memcpy(&from, first, sizeof(from));
        if (now < from) {
            wire_close(w);
            return errmsg_set(err, -ERANGE, "the processors' counters differ");
        }
        page->values[events++] = bench_ticks_ns(&b->clock, now - from);
        /* Pairs with the acquire in peer_wait_events(): the values are read after it. */
        atomic_store_explicit(&page->events, events, memory_order_release);
    }
    wire_close(w);
    return rc == 0 ? 0 : errmsg_set_errno(err, rc, "reading");
}

static void pause_for(const struct bench_clock *clock, double ns)
{
    uint64_t from = bench_ticks(clock), length = bench_seconds_ticks(clock, ns / 1e9);

    while (bench_ticks(clock) - from < length)
        bench_relax();
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
        pause_for(clock, PAUSE_NS);
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
    struct wire_options opt = *(const struct wire_options *)ctx;
    struct wire wire;
    struct peer peer = {0};
    int rc, stop_rc;

    memset(&wire, 0, sizeof(wire));
    opt.shm_dir = bench_shm_dir(run->bench, err);
    if (opt.shm_dir == NULL)
        return -EIO;
    rc = bench_pin(run->bench, 0, err);
    if (rc == 0)
        rc = wire_prepare(&wire, &opt, err);
    if (rc == 0)
        rc = wire_ring_make(&wire, err);
    if (rc == 0)
        rc = peer_start(&peer, run->bench, 1, stamp_run, &wire, err);
    if (rc == 0)
        rc = wire_writer_open(&wire, err);
    if (rc == 0)
        rc = stamps_send(&wire, &peer, run, err);
    stop_rc = peer_stop(&peer, rc == 0 ? err : NULL);
    wire_close(&wire);
    return rc != 0 ? rc : stop_rc;
}

static int floor_run(void *ctx, struct bench_run *run, struct errmsg *err)
{
    const struct bench_clock *clock = &run->bench->clock;
    uint64_t length = bench_seconds_ticks(clock, run->seconds), start = bench_ticks(clock), from;
    double *values = calloc(PEER_VALUES_MAX, sizeof(*values));
    size_t count = 0;

    (void)ctx;
    if (values == NULL)
        return errmsg_set_errno(err, -ENOMEM, "values");
    do {
        from = bench_ticks(clock);
        pause_for(clock, FLOOR_NS);
        values[count++] = bench_ticks_ns(clock, bench_ticks(clock) - from);
    } while (count < PEER_VALUES_MAX && from - start < length);
    percentiles_add(run, values, count);
    free(values);
    return 0;
}

static int latency_group(struct bench *b, const char *what, bench_run_fn fn, struct errmsg *err)
{
    static const struct bench_plan plan = {.rounds = 7, .seconds = 0.1};
    static const enum wire_kind kinds[] = {WIRE_RING_MAP, WIRE_RING_READ, WIRE_UNIX};
    enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };
    struct wire_options options[KINDS];
    struct bench_case cases[KINDS + 1];
    char names[KINDS + 1][32], params[KINDS][64];

    for (size_t i = 0; i < KINDS; i++) {
        options[i] = (struct wire_options){.kind = kinds[i], .event_bytes = 64,
                                           .ring_bytes = 1 << 20, .clock = SHMC_CLOCK_NONE};
        (void)snprintf(names[i], sizeof(names[i]), "%s/%s", what, wire_name(kinds[i]));
        (void)snprintf(params[i], sizeof(params[i]), "bytes=64 polling%s", wire_detail(kinds[i]));
        cases[i] = (struct bench_case){names[i], params[i], latency_metrics, PERCENTILES, fn,
                                       &options[i]};
    }
    (void)snprintf(names[KINDS], sizeof(names[KINDS]), "%s/floor", what);
    cases[KINDS] = (struct bench_case){names[KINDS], "wait=500ns", floor_metrics, PERCENTILES,
                                       floor_run, NULL};
    return bench_group(b, &plan, cases, KINDS + 1, err);
}

static int body(struct bench *b, struct errmsg *err)
{
    int rc = sustained_group(b, err);

    if (rc == 0)
        rc = latency_group(b, "roundtrip", round_trip_run, err);
    return rc == 0 ? latency_group(b, "oneway", one_way_run, err) : rc;
}

int main(int argc, char **argv)
{
    return bench_main("ring_bench", argc, argv, body);
}
