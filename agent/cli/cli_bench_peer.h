/*
 * cli_bench_peer: the other process of a benchmark, a child, and the page that both see.
 *
 * A peer that ends, by whatever way, is noticed: peer_check() says so, and waits that may not end
 * without it ask it now and then. It dies with its parent.
 *
 * Owns:   the child, the page.
 * Thread: one.
 */
#ifndef CLI_CLI_BENCH_PEER_H
#define CLI_CLI_BENCH_PEER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/errmsg.h"

enum { PEER_VALUES_MAX = 1 << 18 };

struct peer_page {
    _Alignas(128) _Atomic uint32_t ready; /* P1: released when what it set up may be read */
    _Alignas(128) _Atomic uint32_t stop;
    _Alignas(128) _Atomic uint64_t events; /* that the peer has taken */
    char ring_name[128];                   /* of a ring that the peer made */
    struct errmsg err;                     /* why it failed; written before it exits */
    double values[PEER_VALUES_MAX];        /* what the peer measured; pages come when touched */
};

struct peer {
    pid_t pid;              /* 0: none */
    struct peer_page *page; /* owned mapping */
};

/* Runs in the child; its negative result ends it as failed, with err. */
typedef int (*peer_fn)(struct peer_page *page, void *ctx, struct errmsg *err);

/* Forks, onto a processor (-1: any), and waits until the child calls peer_ready(). */
int peer_start(struct peer *p, int cpu, peer_fn fn, void *ctx, struct errmsg *err);

/* This process onto that processor; -1: nothing. */
int peer_pin(int cpu, struct errmsg *err);

/* In the child. */
static inline void peer_ready(struct peer_page *page)
{
    /* P1: pairs with the acquire in peer_start(). */
    atomic_store_explicit(&page->ready, 1, memory_order_release);
}

static inline bool peer_should_stop(const struct peer_page *page)
{
    return atomic_load_explicit(&page->stop, memory_order_relaxed) != 0;
}

/* 0: it runs. Else it has ended before it was asked to; err says how. */
int peer_check(struct peer *p, struct errmsg *err);

/* Spins until the peer has taken so many events. -ETIMEDOUT after 10 seconds without any. */
int peer_wait_events(struct peer *p, uint64_t events, struct errmsg *err);

/* Waits for it to end by itself, and leaves the page to be read. Its failure is the result. */
int peer_join(struct peer *p, struct errmsg *err);

/* Asks it to stop and waits for its end; its failure is the result. A zeroed peer is fine. */
int peer_stop(struct peer *p, struct errmsg *err);

#endif
