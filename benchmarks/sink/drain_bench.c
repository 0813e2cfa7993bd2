/*
 * drain_bench: how long an event takes from the ring into the log while the delivery thread hashes,
 * encrypts and uploads, beside the same without a remote sink.
 *
 * One agent, one producer at a steady 60 MB/s: so much that an upload is always under way. Every
 * 2 ms the producer waits until all it has written is accepted: that is the stage which must not
 * wait for uploads. The server throws away what it gets; where processors are fewer than threads
 * that want one, all wait for one another.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "benchmarks/agent_process.h"
#include "benchmarks/sink/upload_server.h"
#include "shm_client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define GAP_NS     2000000L
#define FLUSH_NS   10000000000U
#define DELIVER_NS 120000000000U

enum { EVENT_BYTES = 200, EVENTS_A_GAP = 600, SAMPLES_MAX = 1 << 16 };

struct way {
    const char *sinks; /* of [stream *] */
    bool tls;
};

static double samples[SAMPLES_MAX];

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static int config_make(const struct way *way, int port, const char *ca_file, char *ret, size_t cap)
{
    return snprintf(ret, cap,
                    "[stream *]\nsinks = %s\nbuffer_size = 16MiB\n[sink local]\n[sink cloud]\n"
                    "type = s3\nbucket = bucket\nregion = us-east-1\nendpoint = http%s://127.0.0.1:"
                    "%d\naccess_key = AKIDEXAMPLE\nsecret_key = secret\npart_size = 5MiB\n"
                    "ca_file = %s\n",
                    way->sinks, way->tls ? "s" : "", port, ca_file) < (int)cap
               ? 0
               : -ENAMETOOLONG;
}

/* Writes and waits, again and again; how many samples, or -errno. */
static int load(struct shmc *ring, uint16_t stream, const struct bench_run *run)
{
    const struct bench_clock *clock = &run->bench->clock;
    uint64_t start = bench_ticks(clock), length = bench_seconds_ticks(clock, run->seconds);
    struct timespec next;
    char event[EVENT_BYTES];
    int count = 0;

    memset(event, 'x', sizeof(event));
    memcpy(event, "{\"pad\":\"", 8);
    memcpy(event + sizeof(event) - 2, "\"}", 2);
    (void)clock_gettime(CLOCK_MONOTONIC, &next);
    while (count < SAMPLES_MAX && bench_ticks(clock) - start < length && !bench_stopped()) {
        uint64_t from;
        int rc = 0;

        for (int i = 0; rc == 0 && i < EVENTS_A_GAP; i++)
            rc = shmc_write(ring, stream, SHMC_JSON, event, sizeof(event));
        from = bench_ticks(clock);
        if (rc == 0)
            rc = shmc_flush(ring, SHMC_ACCEPTED, FLUSH_NS);
        if (rc != 0)
            return rc;
        samples[count++] = bench_ticks_ns(clock, bench_ticks(clock) - from) / 1e3;
        next.tv_nsec += GAP_NS;
        next.tv_sec += next.tv_nsec / 1000000000;
        next.tv_nsec %= 1000000000;
        (void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
    }
    return count;
}

static int measure(struct agent_process *agent, struct bench_run *run, struct errmsg *err)
{
    struct shmc_options opt = SHMC_OPTIONS_INIT;
    struct shmc *ring;
    uint16_t stream;
    int rc, count;

    opt.name = "drain";
    opt.shm_dir = agent->shm_dir;
    opt.ring_bytes = 16 << 20;
    opt.full = SHMC_FULL_WAIT;
    rc = shmc_open(&opt, &ring);
    if (rc != 0)
        return errmsg_set(err, rc, "%s", shmc_error(NULL));
    rc = shmc_stream(ring, "drain", &stream);
    count = rc == 0 ? load(ring, stream, run) : rc;
    if (count > 0)
        rc = shmc_flush(ring, SHMC_DELIVERED, DELIVER_NS);
    if (count <= 0 || rc != 0)
        rc = errmsg_set(err, count < 0 ? count : rc, "%s", shmc_error(ring));
    (void)shmc_close(ring);
    if (rc != 0)
        return rc;
    qsort(samples, (size_t)count, sizeof(samples[0]), by_value);
    bench_add(run, 0, samples[count / 2]);
    bench_add(run, 1, samples[count * 99 / 100]);
    return 0;
}

static int way_run(void *ctx, struct bench_run *run, struct errmsg *err)
{
    const struct way *way = ctx;
    struct upload_server server;
    struct agent_process agent;
    char ca_file[64], config[1024];
    int rc;

    memset(&agent, 0, sizeof(agent));
    (void)snprintf(ca_file, sizeof(ca_file), "/tmp/hydrant-drain-%d.pem", (int)getpid());
    rc = upload_server_start(&server, way->tls, ca_file, err);
    if (rc != 0)
        return rc;
    rc = config_make(way, server.port, way->tls ? ca_file : "/dev/null", config, sizeof(config));
    if (rc == 0)
        rc = agent_start_with(&agent, run->bench, config, err);
    if (rc == 0)
        rc = measure(&agent, run, err);
    if (rc == 0)
        rc = agent_stop(&agent, err);
    upload_server_stop(&server);
    (void)remove(ca_file);
    return rc == 0 ? agent_remove(&agent, err) : rc;
}

static int body(struct bench *b, struct errmsg *err)
{
    static const struct bench_metric times[] = {
        { ".p50", "us", BENCH_LESS },
        { ".p99", "us", BENCH_LESS },
    };
    static const struct bench_plan plan = { .rounds = 5, .seconds = 4 };
    static struct way file = { "local", false }, signed_http = { "local, cloud", false },
                      tls = { "local, cloud", true };
    static const struct bench_case cases[] = {
        { "drain.files_alone", "60 MB/s", times, 2, way_run, &file },
        { "drain.and_s3_signed", "60 MB/s", times, 2, way_run, &signed_http },
        { "drain.and_s3_https", "60 MB/s", times, 2, way_run, &tls },
    };

    return bench_group(b, &plan, cases, sizeof(cases) / sizeof(cases[0]), err);
}

int main(int argc, char **argv)
{
    return bench_main("drain_bench", argc, argv, body);
}
