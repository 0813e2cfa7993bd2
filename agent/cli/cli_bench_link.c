/*
 * cli_bench_link: a wire with a reader that is always awake, and a pair of wires with an echo.
 * Owns:   the near ends, the peer.
 * Thread: one.
 */
#include "cli/cli_bench_link.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/*
 * A reader that asks an empty socket again at once fights the writer for the socket's lock and
 * takes bytes in small pieces: some microseconds between its looks make sockets up to three times
 * faster. Where answers are waited for it looks all the time.
 */
enum { PUT_EVENTS = 256, SPINS_A_CHECK = 1 << 16, SOCKET_RELAXES = 400 };

/* --- one direction -------------------------------------------------------------------------- */

/* In the child: looks all the time, as a consumer that is awake does. */
static int reader_run(struct peer_page *page, void *ctx, struct errmsg *err)
{
    struct wire *w = ctx;
    const uint8_t *first;
    unsigned int relaxes = w->ops == &wire_stream_ops ? SOCKET_RELAXES : 1;
    uint64_t total = 0, events = 0;
    int rc = wire_reader_open(w, w->ring_name, err);

    if (rc != 0)
        return rc;
    peer_ready(page);
    while (!peer_should_stop(page)) {
        rc = wire_take(w, &events, &first);
        if (rc != 0)
            break;
        if (events == 0) {
            for (unsigned int i = 0; i < relaxes; i++)
                bench_relax();
            continue;
        }
        total += events;
        /* Pairs with the acquire in peer_wait_events(). */
        atomic_store_explicit(&page->events, total, memory_order_release);
    }
    wire_close(w);
    return rc == 0 ? 0 : errmsg_set_errno(err, rc, "reading");
}

int link_start(struct link *l, int reader_cpu, const struct wire_options *opt, struct errmsg *err)
{
    int rc;

    memset(l, 0, sizeof(*l));
    rc = wire_prepare(&l->wire, opt, err);
    if (rc == 0)
        rc = wire_ring_make(&l->wire, err);
    if (rc == 0)
        rc = peer_start(&l->peer, reader_cpu, reader_run, &l->wire, err);
    if (rc == 0)
        rc = wire_writer_open(&l->wire, err);
    return rc == 0 ? 0 : link_close(l, rc, err);
}

int link_put(struct link *l, const void *data, uint32_t count, struct errmsg *err)
{
    int rc = wire_put(&l->wire, data, count);

    l->sent += count;
    return rc == 0 ? 0 : errmsg_set_errno(err, rc, "writing");
}

/* Sends what a batch gathers: the last part of what a burst costs. */
static int link_send(struct link *l, struct errmsg *err)
{
    int rc = wire_put_end(&l->wire);

    return rc == 0 ? 0 : errmsg_set_errno(err, rc, "writing");
}

int link_put_for(struct link *l, const void *data, const struct bench_clock *clock, double seconds,
                 struct errmsg *err)
{
    uint64_t start = bench_ticks(clock), length = bench_seconds_ticks(clock, seconds);
    int rc;

    do {
        rc = link_put(l, data, PUT_EVENTS, err);
    } while (rc == 0 && bench_ticks(clock) - start < length);
    return rc == 0 ? link_settle(l, err) : rc;
}

int link_settle(struct link *l, struct errmsg *err)
{
    int rc = link_send(l, err);

    return rc == 0 ? peer_wait_events(&l->peer, l->sent, err) : rc;
}

int link_burst(struct link *l, const void *data, uint32_t count, const struct bench_clock *clock,
               double *ret_ns, struct errmsg *err)
{
    uint64_t from = bench_ticks(clock);
    int rc = link_put(l, data, count, err);

    if (rc == 0)
        rc = link_send(l, err);
    *ret_ns = bench_ticks_ns(clock, bench_ticks(clock) - from) / count;
    return rc == 0 ? link_settle(l, err) : rc;
}

/* Ends a peer; its failure is the result if nothing failed before. */
static int peer_end(struct peer *p, int rc, struct errmsg *err)
{
    struct errmsg of_peer = {""};
    int peer_rc = peer_stop(p, &of_peer);

    if (rc != 0 || peer_rc == 0)
        return rc;
    *err = of_peer;
    return peer_rc;
}

int link_close(struct link *l, int rc, struct errmsg *err)
{
    rc = peer_end(&l->peer, rc, err);
    wire_close(&l->wire);
    return rc;
}

/* --- there and back ------------------------------------------------------------------------- */

int wire_take_one(struct wire *w, const struct peer_page *page, const uint8_t **ret_first)
{
    uint64_t events = 0;
    int rc = 0;

    while (rc == 0 && events == 0 && !peer_should_stop(page))
        rc = wire_take(w, &events, ret_first);
    return rc;
}

static int echo_run(struct peer_page *page, void *ctx, struct errmsg *err)
{
    struct trip *trip = ctx;
    const uint8_t *first = NULL;
    int rc = wire_reader_open(&trip->there, trip->there.ring_name, err);

    if (rc == 0)
        rc = wire_ring_make(&trip->back, err);
    if (rc == 0)
        rc = wire_writer_open(&trip->back, err);
    if (rc != 0)
        return rc;
    (void)snprintf(page->ring_name, sizeof(page->ring_name), "%s", trip->back.ring_name);
    peer_ready(page);
    for (;;) {
        rc = wire_take_one(&trip->there, page, &first);
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

int trip_start(struct trip *t, int echo_cpu, const struct wire_options *opt, struct errmsg *err)
{
    int rc;

    memset(t, 0, sizeof(*t));
    rc = wire_prepare(&t->there, opt, err);
    if (rc == 0)
        rc = wire_ring_make(&t->there, err);
    if (rc == 0)
        rc = wire_prepare(&t->back, opt, err);
    if (rc == 0)
        rc = peer_start(&t->peer, echo_cpu, echo_run, t, err);
    if (rc == 0)
        rc = wire_writer_open(&t->there, err);
    if (rc == 0)
        rc = wire_reader_open(&t->back, t->peer.page->ring_name, err);
    return rc == 0 ? 0 : trip_close(t, rc, err);
}

/* One event there and back. */
static int trip_once(struct trip *t, const void *data, struct errmsg *err)
{
    uint64_t events = 0;
    const uint8_t *first;
    int rc = wire_put(&t->there, data, 1);

    for (uint32_t spin = 1; rc == 0 && events == 0; spin++) {
        rc = wire_take(&t->back, &events, &first);
        if (spin % SPINS_A_CHECK == 0 && peer_check(&t->peer, err) != 0)
            return -ECHILD;
    }
    return rc == 0 ? 0 : errmsg_set_errno(err, rc, "round trip");
}

int trip_measure(struct trip *t, const void *data, const struct bench_clock *clock, double seconds,
                 double *ret_values, size_t cap, size_t *ret_count, struct errmsg *err)
{
    uint64_t length = bench_seconds_ticks(clock, seconds), start = bench_ticks(clock), from;
    size_t count = 0;
    int rc;

    do {
        from = bench_ticks(clock);
        rc = trip_once(t, data, err);
        ret_values[count++] = bench_ticks_ns(clock, bench_ticks(clock) - from);
    } while (rc == 0 && count < cap && from - start < length);
    *ret_count = count;
    return rc;
}

int trip_close(struct trip *t, int rc, struct errmsg *err)
{
    rc = peer_end(&t->peer, rc, err);
    wire_close(&t->there);
    wire_close(&t->back);
    return rc;
}
