/*
 * agent_bench: the whole agent, from shmc_write() to JSON-lines files.
 *
 * One agent with its embedded configuration (log on, sync every 10 ms, batches of 64 MiB) on a
 * fresh directory of a real file system; producers in processes of their own, coarse clock, waiting
 * where a ring is full. A producer has one ring or many: then it goes round those that are active,
 * 64 events into each; the others are attached, have carried one event and are silent. The clock
 * starts when all producers are let go and stops when the last one has heard that all its events
 * are delivered: logged, sealed, written, renamed, every one of it synced. A run writes for a set
 * time, then waits for delivery.
 *
 * CPU seconds are user and system time of the processes themselves; what the kernel's own threads
 * do for the disk is not in it. Afterwards, outside of the timed part, the files are read: every
 * event once, each ring's in order, byte for byte.
 *
 * Beside it, what the disk allows: one process that writes the same lines straight into a file,
 * 64 KiB a write, with one fdatasync at the end. No log, no batches, no promises.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "benchmarks/agent_process.h"
#include "benchmarks/numbered.h"
#include "cli/cli_bench_peer.h"
#include "cli/cli_write.h"
#include "shm_client.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define PAYLOAD_MAX     (12ULL << 30) /* and a quarter of what the file system has left */
#define DELIVERY_NS_MAX 120000000000ULL
#define EVENTS_A_VISIT  64U /* of one ring; between looks at the clock */

enum { PRODUCERS_MAX = 8, STREAMS_MAX = 100, FILE_BATCH_BYTES = 65536 };
enum { VALUE_CPU_S, VALUE_WRITTEN_NS, VALUE_DELIVERED_NS, VALUE_COUNTS };

struct load {
    uint32_t bytes;
    unsigned int producers;
    unsigned int rings, active; /* of each producer */
    uint64_t ring_bytes;
};

/* What a producer is told. */
struct order {
    const struct load *load;
    const struct bench_clock *clock;
    const char *shm_dir;
    unsigned int ring_first; /* number of its first ring, counted over all producers */
    uint64_t events_max;
    double seconds;
    int go[2]; /* a pipe: its end is the starting shot */
};

static uint64_t payload_max(const char *dir)
{
    struct statvfs fs;
    uint64_t room = statvfs(dir, &fs) == 0 ? (uint64_t)fs.f_bavail * fs.f_frsize / 4 : PAYLOAD_MAX;

    return room < PAYLOAD_MAX ? room : PAYLOAD_MAX;
}

static void stream_name(unsigned int ring, char *ret_name, size_t cap)
{
    (void)snprintf(ret_name, cap, "bench-%02u", ring % STREAMS_MAX);
}

/* --- producer ------------------------------------------------------------------------------- */

struct channel {
    struct shmc *ring;
    uint16_t stream;
    uint64_t events;
    struct numbered next;
};

static double cpu_seconds(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts); /* cannot fail for this clock */
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* So many events into one ring; waits where it is full. */
static inline int channel_write(struct channel *c, unsigned int count)
{
    for (unsigned int i = 0; i < count; i++) {
        int rc = shmc_write(c->ring, c->stream, SHMC_JSON, c->next.text, c->next.bytes);

        if (rc != 0)
            return rc;
        numbered_next(&c->next);
        c->events++;
    }
    return 0;
}

/* A ring with its first event in it. */
static int channel_open(struct channel *c, const struct order *order, unsigned int i,
                        struct errmsg *err)
{
    struct shmc_options opt = SHMC_OPTIONS_INIT;
    char stream[32];
    int rc;

    stream_name(order->ring_first + i, stream, sizeof(stream));
    opt.name = stream;
    opt.shm_dir = order->shm_dir;
    opt.ring_bytes = order->load->ring_bytes;
    opt.full = SHMC_FULL_WAIT;
    rc = shmc_open(&opt, &c->ring);
    if (rc != 0)
        return errmsg_set(err, rc, "%s", shmc_error(NULL));
    numbered_init(&c->next, order->load->bytes, order->ring_first + i);
    rc = shmc_stream(c->ring, stream, &c->stream);
    if (rc == 0)
        rc = channel_write(c, 1);
    return rc == 0 ? 0 : errmsg_set(err, rc, "%s", shmc_error(c->ring));
}

/* So many rings have reached that position. The agent hears of all before one is waited for. */
static int channels_flush(const struct channel *channels, unsigned int count, enum shmc_pos pos)
{
    int rc = 0;

    for (unsigned int i = 0; rc == 0 && i < count; i++) {
        rc = shmc_flush(channels[i].ring, pos, 0);
        rc = rc == -ETIMEDOUT ? 0 : rc;
    }
    for (unsigned int i = 0; rc == 0 && i < count; i++)
        rc = shmc_flush(channels[i].ring, pos, DELIVERY_NS_MAX);
    return rc;
}

static int events_write(const struct order *order, struct channel *channels)
{
    const struct bench_clock *clock = order->clock;
    uint64_t start = bench_ticks(clock), length = bench_seconds_ticks(clock, order->seconds);
    uint64_t count = 0;
    int rc = 0;

    for (unsigned int i = 0; rc == 0 && count < order->events_max; count += EVENTS_A_VISIT) {
        rc = channel_write(&channels[i], EVENTS_A_VISIT);
        i = i + 1 == order->load->active ? 0 : i + 1;
        if (bench_ticks(clock) - start >= length || bench_stopped())
            break;
    }
    return rc;
}

static int producer_run(struct peer_page *page, void *ctx, struct errmsg *err)
{
    const struct order *order = ctx;
    const struct load *load = order->load;
    struct channel *channels = calloc(load->rings, sizeof(*channels));
    double cpu_s;
    char shot;
    int rc = channels == NULL ? errmsg_set_errno(err, -ENOMEM, "rings") : 0;

    for (unsigned int i = 0; rc == 0 && i < load->rings; i++)
        rc = channel_open(&channels[i], order, i, err);
    if (rc != 0)
        return rc;
    rc = channels_flush(channels, load->rings, SHMC_ACCEPTED);
    (void)close(order->go[1]);
    peer_ready(page);
    while (rc == 0 && read(order->go[0], &shot, 1) < 0)
        rc = errno == EINTR ? 0 : -errno;

    cpu_s = cpu_seconds();
    if (rc == 0)
        rc = events_write(order, channels);
    page->values[VALUE_WRITTEN_NS] = (double)bench_now_ns();
    if (rc == 0)
        rc = channels_flush(channels, load->active, SHMC_DELIVERED);
    page->values[VALUE_DELIVERED_NS] = (double)bench_now_ns();
    page->values[VALUE_CPU_S] = cpu_seconds() - cpu_s;
    if (rc != 0)
        (void)errmsg_set_errno(err, rc, "writing or waiting for delivery");
    for (unsigned int i = 0; i < load->rings; i++) {
        page->values[VALUE_COUNTS + i] = (double)channels[i].events;
        (void)shmc_close(channels[i].ring);
    }
    free(channels);
    return rc;
}

/* --- run ------------------------------------------------------------------------------------ */

struct result {
    double seconds, tail_seconds; /* tail: from the last write to the last delivery */
    double agent_cpu_s, producers_cpu_s;
    uint64_t events;   /* of the timed part */
    uint64_t *of_ring; /* owned; all of them */
};

static int producers_start(struct bench *b, struct order *orders, struct peer *peers,
                           const struct load *load, struct errmsg *err)
{
    int rc = 0;

    for (unsigned int i = 0; rc == 0 && i < load->producers; i++)
        rc = peer_start(&peers[i], bench_cpu(b, 1 + i), producer_run, &orders[i], err);
    return rc;
}

static int producers_wait(struct peer *peers, const struct load *load, double start_ns,
                          struct result *result, struct errmsg *err)
{
    double written_ns = 0, delivered_ns = 0;
    int rc = 0;

    for (unsigned int i = 0; rc == 0 && i < load->producers; i++) {
        const double *values = peers[i].page->values;

        rc = peer_join(&peers[i], err);
        for (unsigned int r = 0; r < load->rings; r++) {
            uint64_t events = (uint64_t)values[VALUE_COUNTS + r];

            result->of_ring[i * load->rings + r] = events;
            result->events += events > 0 ? events - 1 : 0;
        }
        result->producers_cpu_s += values[VALUE_CPU_S];
        if (values[VALUE_WRITTEN_NS] > written_ns)
            written_ns = values[VALUE_WRITTEN_NS];
        if (values[VALUE_DELIVERED_NS] > delivered_ns)
            delivered_ns = values[VALUE_DELIVERED_NS];
    }
    result->seconds = (delivered_ns - start_ns) / 1e9;
    result->tail_seconds = (delivered_ns - written_ns) / 1e9;
    return rc;
}

/* The timed part, and what it needs set up. */
static int load_run(struct bench *b, const struct agent_process *agent, const struct load *load,
                    double seconds, struct result *result, struct errmsg *err)
{
    struct order orders[PRODUCERS_MAX];
    struct peer peers[PRODUCERS_MAX];
    double start_ns, cpu_s;
    int go[2], rc;

    memset(peers, 0, sizeof(peers));
    if (pipe2(go, O_CLOEXEC) != 0)
        return errmsg_set_errno(err, -errno, "pipe");
    for (unsigned int i = 0; i < load->producers; i++)
        orders[i] = (struct order){.load = load, .clock = &b->clock, .shm_dir = agent->shm_dir,
                                   .ring_first = i * load->rings,
                                   .events_max = payload_max(agent->dir) / load->bytes /
                                                 load->producers,
                                   .seconds = seconds, .go = {go[0], go[1]}};
    rc = producers_start(b, orders, peers, load, err);
    cpu_s = agent_cpu_seconds(agent);
    start_ns = (double)bench_now_ns();
    (void)close(go[1]); /* also after a failure: those that wait must not wait for ever */
    (void)close(go[0]);
    if (rc == 0)
        rc = producers_wait(peers, load, start_ns, result, err);
    result->agent_cpu_s = agent_cpu_seconds(agent) - cpu_s;
    for (unsigned int i = 0; i < load->producers; i++)
        (void)peer_stop(&peers[i], NULL); /* ended, or the first failure is told already */
    return rc;
}

/* Is every event of every ring in the files, once, and nothing else? */
static int files_check(const struct agent_process *agent, const struct load *load,
                       const struct result *result, struct errmsg *err)
{
    unsigned int rings = load->producers * load->rings;
    uint64_t *next = calloc(rings, sizeof(*next));
    char dir[400], stream[32];
    int rc = next == NULL ? errmsg_set_errno(err, -ENOMEM, "counts") : 0;

    for (unsigned int i = 0; rc == 0 && i < rings && i < STREAMS_MAX; i++) {
        stream_name(i, stream, sizeof(stream));
        agent_stream_dir(agent, stream, dir, sizeof(dir));
        rc = numbered_check(dir, load->bytes, next, rings, err);
    }
    for (unsigned int i = 0; rc == 0 && i < rings; i++)
        if (next[i] != result->of_ring[i])
            rc = errmsg_set(err, -EBADMSG, "ring %u: %llu events were sent, %llu are there", i,
                            (unsigned long long)result->of_ring[i], (unsigned long long)next[i]);
    free(next);
    return rc;
}

static int agent_measure(const struct load *load, struct bench_run *run, struct result *result,
                         double *ret_peak_mib, struct errmsg *err)
{
    struct agent_process agent;
    struct errmsg of_stop = {""};
    int rc, stop_rc;

    rc = agent_start(&agent, run->bench, err);
    if (rc == 0)
        rc = load_run(run->bench, &agent, load, run->seconds, result, err);
    if (rc == 0)
        *ret_peak_mib = agent_memory_peak_mib(&agent);
    stop_rc = agent_stop(&agent, &of_stop);
    if (rc == 0 && stop_rc != 0) {
        *err = of_stop;
        rc = stop_rc;
    }
    if (rc == 0)
        rc = files_check(&agent, load, result, err);
    return rc == 0 ? agent_remove(&agent, err) : rc;
}

static int agent_run(void *ctx, struct bench_run *run, struct errmsg *err)
{
    const struct load *load = ctx;
    struct result result = {0};
    double peak_mib = 0, million;
    int rc;

    result.of_ring = calloc((size_t)load->producers * load->rings, sizeof(*result.of_ring));
    if (result.of_ring == NULL)
        return errmsg_set_errno(err, -ENOMEM, "counts");
    rc = agent_measure(load, run, &result, &peak_mib, err);
    if (rc == 0) {
        million = (double)result.events / 1e6;
        bench_add(run, 0, million / result.seconds);
        bench_add(run, 1, million * load->bytes / result.seconds);
        bench_add(run, 2, result.agent_cpu_s / million);
        bench_add(run, 3, result.producers_cpu_s / million);
        bench_add(run, 4, peak_mib);
        bench_add(run, 5, result.tail_seconds);
    }
    free(result.of_ring);
    return rc;
}

/* --- straight to a file --------------------------------------------------------------------- */

static int file_write_for(struct bench *b, int fd, const struct load *load, double seconds,
                          uint64_t bytes_max, uint64_t *ret_events)
{
    static char batch[FILE_BATCH_BYTES];
    uint64_t start = bench_ticks(&b->clock), length = bench_seconds_ticks(&b->clock, seconds);
    uint64_t line = load->bytes + 1, max = bytes_max / load->bytes;
    struct numbered event;
    int rc;

    numbered_init(&event, load->bytes, 0);
    for (*ret_events = 0; *ret_events < max && bench_ticks(&b->clock) - start < length;) {
        uint64_t len;

        for (len = 0; len + line <= sizeof(batch); len += line) {
            memcpy(batch + len, event.text, event.bytes);
            batch[len + line - 1] = '\n';
            numbered_next(&event);
        }
        *ret_events += len / line;
        rc = cli_write(fd, batch, len);
        if (rc != 0)
            return rc;
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
        rc = file_write_for(run->bench, fd, load, run->seconds,
                            payload_max(dir), &events);
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

#define SMALL_RING (256U << 10)
#define LARGE_RING (4U << 20)

/* The main load beside the file; then other sizes and numbers of producers, each by itself. */
static int loads_run(struct bench *b, struct errmsg *err)
{
    static const struct bench_plan first = {.rounds = 3, .seconds = 10, .cold = true};
    static const struct bench_plan others = {.rounds = 2, .seconds = 3, .cold = true};
    static struct load loads[] = {
        {200, 1, 1, 1, LARGE_RING}, {200, 8, 1, 1, LARGE_RING},  {64, 1, 1, 1, LARGE_RING},
        {64, 8, 1, 1, LARGE_RING},  {1024, 1, 1, 1, LARGE_RING}, {1024, 8, 1, 1, LARGE_RING}};
    struct bench_case cases[2];
    char params[2][64];
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < sizeof(loads) / sizeof(loads[0]); i++) {
        (void)snprintf(params[0], sizeof(params[0]), "bytes=%u producers=%u ring=4MiB",
                       loads[i].bytes, loads[i].producers);
        (void)snprintf(params[1], sizeof(params[1]), "bytes=%u batch=64KiB", loads[i].bytes);
        cases[0] = (struct bench_case){"agent/producers", params[0], agent_metrics, 6, agent_run,
                                       &loads[i]};
        cases[1] = (struct bench_case){"agent/file", params[1], file_metrics, 3, file_run,
                                       &loads[i]};
        rc = bench_group(b, i == 0 ? &first : &others, cases, i == 0 ? 2 : 1, err);
    }
    return rc;
}

/* Many rings of one producer: what the silent ones cost, and what many active ones do. */
static int rings_run(struct bench *b, struct errmsg *err)
{
    static const struct bench_plan plan = {.rounds = 3, .seconds = 3, .cold = true};
    static struct load loads[] = {{200, 1, 10, 10, SMALL_RING},
                                  {200, 1, 1000, 10, SMALL_RING},
                                  {200, 1, 100, 100, SMALL_RING},
                                  {200, 1, 1000, 1000, SMALL_RING}};
    enum { LOADS = sizeof(loads) / sizeof(loads[0]) };
    struct bench_case cases[LOADS];
    char params[LOADS][64];

    for (size_t i = 0; i < LOADS; i++) {
        (void)snprintf(params[i], sizeof(params[i]), "bytes=200 rings=%u active=%u ring=256KiB",
                       loads[i].rings, loads[i].active);
        cases[i] = (struct bench_case){"agent/rings", params[i], agent_metrics, 6, agent_run,
                                       &loads[i]};
    }
    return bench_group(b, &plan, cases, LOADS, err);
}

static int body(struct bench *b, struct errmsg *err)
{
    int rc = loads_run(b, err);

    return rc == 0 ? rings_run(b, err) : rc;
}

int main(int argc, char **argv)
{
    return bench_main("agent_bench", argc, argv, body);
}
