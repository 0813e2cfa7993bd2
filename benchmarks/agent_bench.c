/*
 * agent_bench: the whole agent, from shmc_write() to JSON-lines files.
 *
 * One agent with its embedded configuration (log on, sync every 10 ms, batches of 64 MiB) on a
 * fresh directory of a real file system; producers in processes of their own, each with a ring of
 * 4 MiB and a stream, coarse clock, waiting where the ring is full. The clock starts when all
 * producers are let go and stops when the last one has heard that all its events are delivered:
 * logged, sealed, written, renamed, every one of it synced. A run writes for a set time, then waits
 * for delivery; at most 4 GiB of payload.
 *
 * CPU seconds are user and system time of the processes themselves; what the kernel's own threads
 * do for the disk is not in it. Afterwards, outside of the timed part, the files are read: every
 * event once, in order, byte for byte.
 *
 * Beside it, what the disk allows: one process that writes the same lines straight into a file,
 * 64 KiB a write, with one fdatasync at the end. No log, no batches, no promises.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "benchmarks/agent_process.h"
#include "benchmarks/numbered.h"
#include "benchmarks/peer.h"
#include "shm_client.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define RING_BYTES       (4U << 20)
#define PAYLOAD_MAX      (4ULL << 30)
#define DELIVERY_NS_MAX  120000000000ULL
#define CLOCK_EVERY      64U /* events */

enum { PRODUCERS_MAX = 8, FILE_BATCH_BYTES = 65536 };
enum { VALUE_CPU_S, VALUE_WRITTEN_NS, VALUE_DELIVERED_NS };

struct load {
    uint32_t bytes;
    unsigned int producers;
};

/* What a producer is told. */
struct order {
    const struct load *load;
    const char *shm_dir;
    char stream[32];
    unsigned int number;
    uint64_t events_max;
    double seconds;
    int go[2]; /* a pipe: its end is the starting shot */
};

/* --- producer ------------------------------------------------------------------------------- */

static double cpu_seconds(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts); /* cannot fail for this clock */
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int events_write(const struct bench_clock *clock, const struct order *order,
                        struct shmc *ring, uint16_t stream, uint64_t *ret_events)
{
    uint64_t start = bench_ticks(clock), length = bench_seconds_ticks(clock, order->seconds);
    uint64_t count = 0;
    struct numbered event;
    int rc = 0;

    numbered_init(&event, order->load->bytes, order->number);
    while (count < order->events_max) {
        rc = shmc_write(ring, stream, SHMC_JSON, event.text, event.bytes);
        if (rc != 0)
            break;
        numbered_next(&event);
        if (++count % CLOCK_EVERY == 0 &&
            (bench_ticks(clock) - start >= length || bench_stopped()))
            break;
    }
    *ret_events = count;
    return rc;
}

static int producer_run(struct bench *b, struct peer_page *page, void *ctx, struct errmsg *err)
{
    struct order *order = ctx;
    struct shmc_options opt = SHMC_OPTIONS_INIT;
    struct shmc *ring;
    uint64_t events = 0;
    uint16_t stream;
    double cpu_s;
    char shot;
    int rc;

    opt.name = order->stream;
    opt.shm_dir = order->shm_dir;
    opt.ring_bytes = RING_BYTES;
    opt.full = SHMC_FULL_WAIT;
    rc = shmc_open(&opt, &ring);
    if (rc != 0)
        return errmsg_set(err, rc, "%s", shmc_error(NULL));
    rc = shmc_stream(ring, order->stream, &stream);
    (void)close(order->go[1]);
    peer_ready(page);
    while (rc == 0 && read(order->go[0], &shot, 1) < 0)
        rc = errno == EINTR ? 0 : -errno;

    cpu_s = cpu_seconds();
    if (rc == 0)
        rc = events_write(&b->clock, order, ring, stream, &events);
    page->values[VALUE_WRITTEN_NS] = (double)bench_now_ns();
    if (rc == 0)
        rc = shmc_flush(ring, SHMC_DELIVERED, DELIVERY_NS_MAX);
    page->values[VALUE_DELIVERED_NS] = (double)bench_now_ns();
    page->values[VALUE_CPU_S] = cpu_seconds() - cpu_s;
    atomic_store_explicit(&page->events, events, memory_order_release);
    if (rc != 0)
        (void)errmsg_set_errno(err, rc, "after %llu events", (unsigned long long)events);
    (void)shmc_close(ring);
    return rc;
}

/* --- run ------------------------------------------------------------------------------------ */

struct result {
    double seconds, tail_seconds; /* tail: from the last write to the last delivery */
    double agent_cpu_s, producers_cpu_s;
    uint64_t events, of_producer[PRODUCERS_MAX];
};

static int producers_start(struct bench *b, struct order *orders, struct peer *peers,
                           const struct load *load, struct errmsg *err)
{
    int rc = 0;

    for (unsigned int i = 0; rc == 0 && i < load->producers; i++)
        rc = peer_start(&peers[i], b, 1 + i, producer_run, &orders[i], err);
    return rc;
}

static int producers_wait(struct peer *peers, unsigned int count, double start_ns,
                          struct result *ret_result, struct errmsg *err)
{
    double written_ns = 0, delivered_ns = 0;
    int rc = 0;

    for (unsigned int i = 0; rc == 0 && i < count; i++) {
        const double *values = peers[i].page->values;

        rc = peer_join(&peers[i], err);
        ret_result->of_producer[i] =
            atomic_load_explicit(&peers[i].page->events, memory_order_acquire);
        ret_result->events += ret_result->of_producer[i];
        ret_result->producers_cpu_s += values[VALUE_CPU_S];
        if (values[VALUE_WRITTEN_NS] > written_ns)
            written_ns = values[VALUE_WRITTEN_NS];
        if (values[VALUE_DELIVERED_NS] > delivered_ns)
            delivered_ns = values[VALUE_DELIVERED_NS];
    }
    ret_result->seconds = (delivered_ns - start_ns) / 1e9;
    ret_result->tail_seconds = (delivered_ns - written_ns) / 1e9;
    return rc;
}

/* The timed part, and what it needs set up. */
static int load_run(struct bench *b, const struct agent_process *agent, const struct load *load,
                    double seconds, struct result *ret_result, struct errmsg *err)
{
    struct order orders[PRODUCERS_MAX];
    struct peer peers[PRODUCERS_MAX];
    double start_ns, cpu_s;
    int go[2], rc;

    memset(peers, 0, sizeof(peers));
    memset(ret_result, 0, sizeof(*ret_result));
    if (pipe2(go, O_CLOEXEC) != 0)
        return errmsg_set_errno(err, -errno, "pipe");
    for (unsigned int i = 0; i < load->producers; i++) {
        orders[i] = (struct order){.load = load, .shm_dir = agent->shm_dir, .number = i,
                                   .events_max = PAYLOAD_MAX / load->bytes / load->producers,
                                   .seconds = seconds, .go = {go[0], go[1]}};
        (void)snprintf(orders[i].stream, sizeof(orders[i].stream), "bench-%02u", i);
    }
    rc = producers_start(b, orders, peers, load, err);
    cpu_s = agent_cpu_seconds(agent);
    start_ns = (double)bench_now_ns();
    (void)close(go[1]); /* also after a failure: those that wait must not wait for ever */
    (void)close(go[0]);
    if (rc == 0)
        rc = producers_wait(peers, load->producers, start_ns, ret_result, err);
    ret_result->agent_cpu_s = agent_cpu_seconds(agent) - cpu_s;
    for (unsigned int i = 0; i < load->producers; i++)
        (void)peer_stop(&peers[i], NULL); /* ended, or the first failure is told already */
    return rc;
}

static int agent_run(void *ctx, struct bench_run *run, struct errmsg *err)
{
    const struct load *load = ctx;
    struct agent_process agent;
    struct result result;
    double peak_mib = 0, million;
    char dir[400], stream[32];
    struct errmsg of_stop = {""};
    int rc, stop_rc;

    rc = agent_start(&agent, run->bench, err);
    if (rc == 0)
        rc = load_run(run->bench, &agent, load, run->seconds, &result, err);
    if (rc == 0)
        peak_mib = agent_memory_peak_mib(&agent);
    stop_rc = agent_stop(&agent, &of_stop);
    if (rc == 0 && stop_rc != 0) {
        *err = of_stop;
        rc = stop_rc;
    }
    for (unsigned int i = 0; rc == 0 && i < load->producers; i++) {
        (void)snprintf(stream, sizeof(stream), "bench-%02u", i);
        agent_stream_dir(&agent, stream, dir, sizeof(dir));
        rc = numbered_check(dir, load->bytes, i, result.of_producer[i], err);
    }
    if (rc == 0)
        rc = agent_remove(&agent, err);
    if (rc != 0)
        return rc;
    million = (double)result.events / 1e6;
    bench_add(run, 0, million / result.seconds);
    bench_add(run, 1, million * load->bytes / result.seconds);
    bench_add(run, 2, result.agent_cpu_s / million);
    bench_add(run, 3, result.producers_cpu_s / million);
    bench_add(run, 4, peak_mib);
    bench_add(run, 5, result.tail_seconds);
    return 0;
}

/* --- straight to a file --------------------------------------------------------------------- */

static int file_write_for(struct bench *b, int fd, const struct load *load, double seconds,
                          uint64_t *ret_events)
{
    static char batch[FILE_BATCH_BYTES];
    uint64_t start = bench_ticks(&b->clock), length = bench_seconds_ticks(&b->clock, seconds);
    uint64_t line = load->bytes + 1, max = PAYLOAD_MAX / load->bytes;
    struct numbered event;

    numbered_init(&event, load->bytes, 0);
    for (*ret_events = 0; *ret_events < max && bench_ticks(&b->clock) - start < length;) {
        uint64_t len;

        for (len = 0; len + line <= sizeof(batch); len += line) {
            memcpy(batch + len, event.text, event.bytes);
            batch[len + line - 1] = '\n';
            numbered_next(&event);
        }
        *ret_events += len / line;
        for (uint64_t at = 0; at < len;) {
            ssize_t n = write(fd, batch + at, len - at);

            if (n < 0 && errno != EINTR)
                return -errno;
            at += n > 0 ? (uint64_t)n : 0;
        }
    }
    return fdatasync(fd) == 0 ? 0 : -errno;
}

static int file_run(void *ctx, struct bench_run *run, struct errmsg *err)
{
    const struct load *load = ctx;
    char dir[280], path[300];
    uint64_t events = 0, from;
    double seconds, cpu_s;
    int fd, rc;

    (void)mkdir("build", 0755); /* what matters fails below */
    (void)mkdir(run->bench->dir, 0755);
    (void)snprintf(dir, sizeof(dir), "%s/file-XXXXXX", run->bench->dir);
    if (mkdtemp(dir) == NULL)
        return errmsg_set_errno(err, -errno, "'%s'", dir);
    (void)snprintf(path, sizeof(path), "%s/events", dir);
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    rc = fd < 0 ? -errno : 0;
    if (rc == 0) {
        from = bench_ticks(&run->bench->clock);
        cpu_s = cpu_seconds();
        rc = file_write_for(run->bench, fd, load, run->seconds, &events);
        seconds = bench_ticks_ns(&run->bench->clock, bench_ticks(&run->bench->clock) - from) / 1e9;
        bench_add(run, 0, (double)events / seconds / 1e6);
        bench_add(run, 1, (double)events * load->bytes / seconds / 1e6);
        bench_add(run, 2, (cpu_seconds() - cpu_s) / ((double)events / 1e6));
        (void)close(fd);
    }
    if (rc == 0)
        rc = bench_remove_tree(dir);
    return rc == 0 ? 0 : errmsg_set_errno(err, rc, "'%s'", path);
}

/* --- cases ---------------------------------------------------------------------------------- */

static const struct bench_metric agent_metrics[] = {
    {".events", "M events/s", BENCH_MORE},       {".bytes", "MB/s", BENCH_PLAIN},
    {".cpu_agent", "s/M events", BENCH_LESS},    {".cpu_producers", "s/M events", BENCH_PLAIN},
    {".memory_peak", "MiB", BENCH_PLAIN},        {".tail", "s", BENCH_PLAIN},
};
static const struct bench_metric file_metrics[] = {
    {".events", "M events/s", BENCH_MORE},
    {".bytes", "MB/s", BENCH_PLAIN},
    {".cpu", "s/M events", BENCH_LESS},
};

static int body(struct bench *b, struct errmsg *err)
{
    static const struct bench_plan plan = {.rounds = 3, .seconds = 5, .cold = true};
    static struct load loads[] = {{200, 1}, {200, 4}, {64, 1}, {64, 4}, {1024, 1}, {1024, 4}};
    struct bench_case cases[2];
    char params[2][64];
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < sizeof(loads) / sizeof(loads[0]); i++) {
        (void)snprintf(params[0], sizeof(params[0]), "bytes=%u producers=%u ring=4MiB",
                       loads[i].bytes, loads[i].producers);
        (void)snprintf(params[1], sizeof(params[1]), "bytes=%u batch=64KiB", loads[i].bytes);
        cases[0] = (struct bench_case){"agent/rings", params[0], agent_metrics, 6, agent_run,
                                       &loads[i]};
        cases[1] = (struct bench_case){"agent/file", params[1], file_metrics, 3, file_run,
                                       &loads[i]};
        rc = bench_group(b, &plan, cases, i == 0 ? 2 : 1, err);
    }
    return rc;
}

int main(int argc, char **argv)
{
    return bench_main("agent_bench", argc, argv, body);
}
