/*
 * run: the processes of one measurement, and what they do.
 *
 * The parent only starts them and waits, asleep. The phases: producers make what has to be there
 * before a consumer can open it; the consumer opens; producers connect and send a first event each;
 * all of them work; the consumer has what there will be and ends; producers end.
 *
 * Owns:   the stage, a mapping that all processes share; the processes.
 * Thread: one in each process.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "benchmarks/transports/run.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/cli_bench_peer.h"

enum {
    BURSTS_UNCOUNTED = 5,
    PUT_EVENTS = 256, /* between two looks at the clock */
    SPINS_A_YIELD = 64,
    PAUSE_NS = 5000,
    ALARM_SECONDS = 60 /* beyond its time: a run that has not ended by then never will */
};

#define LOST_NS 50000000U /* what has not come by then will not */

const double run_quantiles[RUN_QUANTILES] = {0.5, 0.9, 0.99, 0.999, 0.9999};

enum phase { PHASE_MAKE, PHASE_CONNECT, PHASE_WORK, PHASE_END };

struct stage {
    _Alignas(128) _Atomic uint32_t phase;
    _Alignas(128) _Atomic uint64_t received; /* S1: by the consumer */
    _Alignas(128) _Atomic uint64_t sent;     /* of producers that are done */
    _Atomic uint32_t done;                   /* S2: producers */
    uint64_t start, end;                     /* ticks; end: the last event is checked */
    uint64_t lost;
    double cost_ns;
    size_t values; /* in the consumer's page */
    uint64_t consumer_cpu_ns, producer_cpu_ns[LANES_MAX];
    char names[LANES_MAX][LANES_NAME_MAX];
};

struct run {
    const struct run_options *opt;
    struct lanes lanes;
    struct stage *stage; /* owned */
    struct peer consumer, producers[LANES_MAX];
    unsigned int producer; /* the next one to start: its number, as the child finds it */
};

static uint64_t cpu_now_ns(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts); /* cannot fail for this clock */
    return (uint64_t)ts.tv_sec * 1000000000U + (uint64_t)ts.tv_nsec;
}

static void phase_set(struct stage *stage, enum phase phase)
{
    /* S0: pairs with the acquire in phase_wait(): who sees a phase sees what was set for it. */
    atomic_store_explicit(&stage->phase, (uint32_t)phase, memory_order_release);
    (void)syscall(SYS_futex, &stage->phase, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

/* Asleep: waiting producers leave the processor to those that still work. */
static void phase_wait(struct stage *stage, enum phase phase)
{
    uint32_t now;

    while ((now = atomic_load_explicit(&stage->phase, memory_order_acquire)) < (uint32_t)phase)
        (void)syscall(SYS_futex, &stage->phase, FUTEX_WAIT, now, NULL, NULL, 0);
}

/* --- producer ------------------------------------------------------------------------------- */

static int send_events(struct lane_writer *w, uint32_t count)
{
    int rc = w->lanes->ops->put(w, count);

    return rc == 0 && w->lanes->ops->flush != NULL ? w->lanes->ops->flush(w) : rc;
}

/* Until the consumer has everything, or has had nothing more for a while: that is lost. */
static void settle(struct stage *stage, struct lane_writer *w, uint64_t *lost)
{
    uint64_t sent = serials_count(&w->serials), last = 0, last_ns = bench_now_ns();

    for (uint32_t spin = 1;; spin++) {
        /* S1: pairs with the release in taken_publish(). */
        uint64_t seen = atomic_load_explicit(&stage->received, memory_order_acquire);

        if (seen + *lost >= sent)
            return;
        bench_relax();
        if (spin % SPINS_A_YIELD != 0)
            continue;
        (void)sched_yield(); /* to threads of the transport's own, which share this processor */
        if (seen != last) {
            last = seen;
            last_ns = bench_now_ns();
        } else if (bench_now_ns() - last_ns > LOST_NS) {
            *lost = sent - seen;
            return;
        }
    }
}

static int cost_work(const struct run *run, struct lane_writer *w, double *values)
{
    const struct bench_clock *clock = run->opt->clock;
    uint64_t length = bench_seconds_ticks(clock, run->opt->seconds), start = 0, from, to = 0;
    uint64_t lost = 0;
    uint32_t burst = run_burst_events(w->serials.bytes);
    size_t count = 0;
    int rc = 0;

    for (unsigned int i = 0; rc == 0 && count < PEER_VALUES_MAX; i++) {
        from = bench_ticks(clock);
        rc = send_events(w, burst);
        to = bench_ticks(clock);
        settle(run->stage, w, &lost);
        if (i < BURSTS_UNCOUNTED) {
            start = to;
            continue;
        }
        values[count++] = bench_ticks_ns(clock, to - from) / burst;
        if (to - start >= length)
            break;
    }
    if (rc == 0)
        run->stage->cost_ns = bench_quantile(values, count, 0.5);
    return rc;
}

static int throughput_work(const struct run *run, struct lane_writer *w)
{
    const struct bench_clock *clock = run->opt->clock;
    uint64_t end = run->stage->start + bench_seconds_ticks(clock, run->opt->seconds);
    int rc = 0;

    while (rc == 0 && bench_ticks(clock) < end)
        rc = w->lanes->ops->put(w, PUT_EVENTS);
    return rc == 0 && w->lanes->ops->flush != NULL ? w->lanes->ops->flush(w) : rc;
}

static int latency_work(const struct run *run, struct lane_writer *w)
{
    const struct bench_clock *clock = run->opt->clock;
    uint64_t end = run->stage->start + bench_seconds_ticks(clock, run->opt->seconds), lost = 0;
    int rc = 0;

    do {
        bench_pause(clock, PAUSE_NS);
        serials_stamp(&w->serials, bench_ticks(clock));
        rc = send_events(w, 1);
        settle(run->stage, w, &lost);
    } while (rc == 0 && bench_ticks(clock) < end &&
             serials_count(&w->serials) < PEER_VALUES_MAX);
    return rc;
}

static int producer_work(const struct run *run, struct lane_writer *w, double *values)
{
    switch (run->opt->mode) {
    case RUN_COST:
        return cost_work(run, w, values);
    case RUN_LATENCY:
        return latency_work(run, w);
    default:
        return throughput_work(run, w);
    }
}

static int producer_run(struct peer_page *page, void *ctx, struct errmsg *err)
{
    const struct run *run = ctx;
    const struct lanes_ops *ops = run->lanes.ops;
    struct stage *stage = run->stage;
    struct lane_writer *w = aligned_alloc(_Alignof(struct lane_writer), sizeof(*w));
    uint64_t cpu_ns;
    int rc;

    (void)alarm((unsigned int)run->opt->seconds + ALARM_SECONDS);
    if (w == NULL)
        return errmsg_set_errno(err, -ENOMEM, "producer");
    w->lanes = &run->lanes;
    w->producer = run->producer;
    w->state = NULL;
    serials_init(&w->serials, run->opt->event_bytes, run->producer);
    rc = ops->writer_make != NULL ? ops->writer_make(w, err) : 0;
    if (rc != 0)
        return rc;
    peer_ready(page);
    phase_wait(stage, PHASE_CONNECT);
    rc = ops->writer_open != NULL ? ops->writer_open(w, err) : 0;
    if (rc != 0)
        return rc;
    rc = send_events(w, 1);
    phase_wait(stage, PHASE_WORK);
    cpu_ns = cpu_now_ns();
    if (rc == 0)
        rc = producer_work(run, w, page->values);
    if (rc != 0)
        return errmsg_set_errno(err, rc, "writing");
    stage->producer_cpu_ns[run->producer] = cpu_now_ns() - cpu_ns;
    (void)atomic_fetch_add_explicit(&stage->sent, serials_count(&w->serials),
                                    memory_order_relaxed);
    /* S2: pairs with the acquire in all_sent(): who sees it sees what was sent. */
    (void)atomic_fetch_add_explicit(&stage->done, 1, memory_order_release);
    phase_wait(stage, PHASE_END);
    return 0;
}

/* --- consumer ------------------------------------------------------------------------------- */

static void taken_publish(struct stage *stage, const struct tally *tally)
{
    /* S1: pairs with the acquires in settle() and first_events_wait(). */
    atomic_store_explicit(&stage->received, tally->received, memory_order_release);
}

static bool all_sent(struct stage *stage, unsigned int producers)
{
    /* S2: pairs with the release in producer_run(). */
    return atomic_load_explicit(&stage->done, memory_order_acquire) == producers;
}

/* What the consumer knows of its end: everything came, or nothing does for a while. */
struct ending {
    uint64_t cpu_ns, idle_ns; /* when the first look in vain was after all was sent; 0: none */
};

/* After a look in vain. */
static bool is_over(struct stage *stage, const struct tally *tally, unsigned int producers,
                    struct ending *ending)
{
    if (!all_sent(stage, producers))
        return false;
    if (ending->idle_ns == 0) {
        ending->cpu_ns = cpu_now_ns();
        ending->idle_ns = bench_now_ns();
    }
    return tally->received == atomic_load_explicit(&stage->sent, memory_order_relaxed) ||
           bench_now_ns() - ending->idle_ns > LOST_NS;
}

/* Times are the producer's stamps; the hello has none. */
static void latency_add(const struct run *run, const struct tally *tally, double *values)
{
    uint64_t now = bench_ticks(run->opt->clock);

    if (tally->stamp != 0 && run->stage->values < PEER_VALUES_MAX)
        values[run->stage->values++] =
            bench_ticks_ns(run->opt->clock, now > tally->stamp ? now - tally->stamp : 0);
}

static int consume(const struct run *run, struct lane_reader *r, double *values)
{
    const struct lanes_ops *ops = run->lanes.ops;
    struct stage *stage = run->stage;
    struct tally *tally = &r->tally;
    bool latency = run->opt->mode == RUN_LATENCY;
    unsigned int relaxes = latency ? 0 : ops->relaxes;
    struct ending ending = {0, 0};
    uint64_t cpu_ns = 0, before;
    int rc;

    for (;;) {
        if (cpu_ns == 0 && atomic_load_explicit(&stage->phase, memory_order_relaxed) >= PHASE_WORK)
            cpu_ns = cpu_now_ns();
        before = tally->received;
        rc = ops->take(r);
        if (rc != 0)
            return rc;
        if (tally->received != before) {
            if (latency)
                latency_add(run, tally, values);
            stage->end = bench_ticks(run->opt->clock);
            taken_publish(stage, tally);
            ending.idle_ns = 0;
            continue;
        }
        if (is_over(stage, tally, run->opt->producers, &ending))
            break;
        for (unsigned int i = 0; i < relaxes; i++)
            bench_relax();
    }
    stage->lost = atomic_load_explicit(&stage->sent, memory_order_relaxed) - tally->received;
    stage->consumer_cpu_ns = ending.cpu_ns - cpu_ns;
    return 0;
}

static int consumer_run(struct peer_page *page, void *ctx, struct errmsg *err)
{
    const struct run *run = ctx;
    struct lane_reader *r = calloc(1, sizeof(*r));
    int rc;

    (void)alarm((unsigned int)run->opt->seconds + ALARM_SECONDS);
    if (r == NULL)
        return errmsg_set_errno(err, -ENOMEM, "consumer");
    r->lanes = &run->lanes;
    tally_init(&r->tally, run->opt->event_bytes, run->opt->producers);
    rc = run->lanes.ops->reader_open != NULL ? run->lanes.ops->reader_open(r, err) : 0;
    if (rc != 0)
        return rc;
    peer_ready(page);
    rc = consume(run, r, page->values);
    return rc == 0 ? 0 : errmsg_set_errno(err, rc, "reading");
}

/* --- parent --------------------------------------------------------------------------------- */

static struct peer *peer_find(struct run *run, pid_t pid)
{
    if (run->consumer.pid == pid)
        return &run->consumer;
    for (unsigned int i = 0; i < run->opt->producers; i++)
        if (run->producers[i].pid == pid)
            return &run->producers[i];
    return NULL;
}

/* Sleeps until one of them has ended, and takes its result. */
static int ended_wait(struct run *run, struct peer **ret_peer, struct errmsg *err)
{
    siginfo_t info = {0};
    int rc;

    do {
        rc = waitid(P_ALL, 0, &info, WEXITED | WNOWAIT);
    } while (rc != 0 && errno == EINTR);
    if (rc != 0)
        return errmsg_set_errno(err, -errno, "waiting for processes");
    *ret_peer = peer_find(run, info.si_pid);
    if (*ret_peer == NULL)
        return errmsg_set(err, -ECHILD, "process %ld is not ours", (long)info.si_pid);
    return peer_join(*ret_peer, err);
}

/* The first event of each producer: everything is connected. */
static int first_events_wait(struct run *run, struct errmsg *err)
{
    unsigned int producers = run->opt->producers;
    uint64_t start_ns = bench_now_ns();

    /* S1: pairs with the release in taken_publish(). */
    while (atomic_load_explicit(&run->stage->received, memory_order_acquire) < producers) {
        int rc = peer_check(&run->consumer, err);

        for (unsigned int i = 0; rc == 0 && i < producers; i++)
            rc = peer_check(&run->producers[i], err);
        if (rc != 0)
            return rc;
        if (bench_now_ns() - start_ns > ALARM_SECONDS / 4 * 1000000000ULL)
            return errmsg_set(err, -ETIMEDOUT, "the first events did not arrive");
        (void)sched_yield();
    }
    return 0;
}

static int peers_work(struct run *run, struct errmsg *err)
{
    unsigned int left = run->opt->producers + 1;
    struct peer *peer = NULL;
    int rc = first_events_wait(run, err);

    run->stage->start = bench_ticks(run->opt->clock);
    phase_set(run->stage, PHASE_WORK);
    while (rc == 0 && left > 0) {
        rc = ended_wait(run, &peer, err);
        left--;
        if (rc == 0 && peer == &run->consumer)
            phase_set(run->stage, PHASE_END);
    }
    return rc;
}

static int peers_start(struct run *run, struct errmsg *err)
{
    bool roams = run->opt->ops->roams;
    int rc = 0;

    for (run->producer = 0; rc == 0 && run->producer < run->opt->producers; run->producer++)
        rc = peer_start(&run->producers[run->producer], roams ? -1 : run->opt->producer_cpu,
                        producer_run, run, err);
    if (rc == 0)
        rc = peer_start(&run->consumer, roams ? -1 : run->opt->consumer_cpu, consumer_run, run,
                        err);
    if (rc == 0)
        phase_set(run->stage, PHASE_CONNECT);
    return rc;
}

/* After a failure some may never end by themselves. */
static void peer_end(struct peer *peer)
{
    struct errmsg ignored;

    if (peer->pid != 0)
        (void)kill(peer->pid, SIGKILL);
    (void)peer_stop(peer, &ignored);
}

static void result_fill(const struct run *run, struct run_result *ret_result)
{
    const struct stage *stage = run->stage;
    uint64_t received, first = run->opt->producers, cpu_ns = stage->consumer_cpu_ns;
    double ns = bench_ticks_ns(run->opt->clock, stage->end - stage->start);

    for (unsigned int i = 0; i < run->opt->producers; i++)
        cpu_ns += stage->producer_cpu_ns[i];
    ret_result->sent = atomic_load_explicit(&stage->sent, memory_order_relaxed);
    ret_result->lost = stage->lost;
    received = ret_result->sent - stage->lost;
    received = received > first ? received - first : 0;
    ret_result->cost_ns = stage->cost_ns;
    ret_result->events_per_s = (double)received * 1e9 / ns;
    /* Where datagrams are dropped, it may be that none has arrived. */
    ret_result->cpu_ns = (double)cpu_ns / (double)(received > 0 ? received : 1);
    for (size_t i = 0; stage->values > 0 && i < RUN_QUANTILES; i++)
        ret_result->latency_ns[i] = bench_quantile(run->consumer.page->values, stage->values,
                                                   run_quantiles[i]);
}

int run_measure(const struct run_options *opt, struct run_result *ret_result, struct errmsg *err)
{
    struct run *run = calloc(1, sizeof(*run));
    struct stage *stage = mmap(NULL, sizeof(*stage), PROT_READ | PROT_WRITE,
                               MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int rc = 0;

    memset(ret_result, 0, sizeof(*ret_result));
    if (run == NULL || stage == MAP_FAILED) {
        rc = errmsg_set_errno(err, -ENOMEM, "a run");
        goto done;
    }
    run->opt = opt;
    run->stage = stage;
    run->lanes = (struct lanes){opt->ops, opt->event_bytes, opt->producers, opt->dir, stage->names,
                                NULL};
    if (opt->ops->prepare != NULL)
        rc = opt->ops->prepare(&run->lanes, err);
    if (rc == 0)
        rc = peers_start(run, err);
    if (opt->ops->release != NULL)
        opt->ops->release(&run->lanes);
    if (rc == 0)
        rc = peers_work(run, err);
    if (rc == 0)
        result_fill(run, ret_result);
    peer_end(&run->consumer);
    for (unsigned int i = 0; i < opt->producers; i++)
        peer_end(&run->producers[i]);
done:
    if (stage != MAP_FAILED)
        (void)munmap(stage, sizeof(*stage));
    free(run);
    return rc;
}
