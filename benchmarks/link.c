/*
 * link: a wire whose reader is a process that drains it, awake, until it is told to stop.
 * Owns:   the wire's writing end, the peer.
 * Thread: one.
 */
#include "benchmarks/link.h"

#include <errno.h>
#include <string.h>

/* In the child: looks all the time, as a consumer that is awake does. */
static int reader_run(struct bench *b, struct peer_page *page, void *ctx, struct errmsg *err)
{
    struct wire *w = ctx;
    const uint8_t *first;
    uint64_t total = 0, events = 0;
    int rc = wire_reader_open(w, w->ring_name, err);

    (void)b;
    if (rc != 0)
        return rc;
    peer_ready(page);
    while (!peer_should_stop(page)) {
        rc = wire_take(w, &events, &first);
        if (rc != 0)
            break;
        if (events == 0) {
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

int link_open(struct link *l, struct bench *b, const struct wire_options *opt, struct errmsg *err)
{
    struct wire_options options = *opt;
    int rc;

    memset(l, 0, sizeof(*l));
    options.shm_dir = bench_shm_dir(b, err);
    if (options.shm_dir == NULL)
        return -EIO;
    rc = bench_pin(b, 0, err);
    if (rc == 0)
        rc = wire_prepare(&l->wire, &options, err);
    if (rc != 0)
        return rc;
    rc = wire_ring_make(&l->wire, err);
    if (rc == 0)
        rc = peer_start(&l->peer, b, 1, reader_run, &l->wire, err);
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

int link_settle(struct link *l, struct errmsg *err)
{
    int rc = wire_put_end(&l->wire);

    if (rc != 0)
        return errmsg_set_errno(err, rc, "writing");
    return peer_wait_events(&l->peer, l->sent, err);
}

int link_close(struct link *l, int rc, struct errmsg *err)
{
    struct errmsg of_peer = {""};
    int peer_rc;

    peer_rc = peer_stop(&l->peer, &of_peer);
    wire_close(&l->wire);
    if (rc == 0 && peer_rc != 0) {
        *err = of_peer;
        rc = peer_rc;
    }
    return rc;
}
