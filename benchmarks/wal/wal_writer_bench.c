/*
 * wal_writer_bench: the log alone, beside fio on the same file system.
 *
 * The writer as the agent uses it, over real I/O: groups whose chunks hold spans of 256 KiB, summed
 * and listed as items; COMMITs, segments of 64 MiB, syncs at the default interval, segments that
 * are not needed any more trimmed and written again. The chunks are filled once, for what is
 * measured is the log and not the copy from a ring. The clock stops when all is synced. Afterwards
 * what is left of the log is read: every span whole, one behind the other, to the last.
 *
 * fio: direct writes by io_uring into a preallocated file, 1 MiB x 8 and 256 KiB x 4 in flight, one
 * fdatasync at the end, for as long. Its CPU is that of its process as it counts it itself.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "base/crc32c.h"
#include "benchmarks/harness.h"
#include "io/loop.h"
#include "support/rng.h"
#include "wal/wal_dir.h"
#include "wal/wal_reader.h"
#include "wal/wal_state.h"
#include "wal/wal_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SPAN_BYTES       (256U << 10)
#define SEGMENT_BYTES    (64ULL << 20)
#define SYNC_INTERVAL_NS 10000000ULL
#define GAP_NS           1000000ULL /* a turn waits at most so long: the next sync may be due */
#define FIO_FILE_BYTES   (1ULL << 30)

enum { LOOP_ENTRIES = 256, EVENT_BYTES = 216, OUTPUT_MAX = 1 << 20, RING = 1, STREAM = 1,
       CHUNKS = 64 };

struct log {
    struct io_loop *loop;
    struct wal_dir dir;
    struct wal_state state;
    struct wal_writer writer;
    uint64_t pos, bytes;
    const uint8_t *filled[CHUNKS]; /* chunks that hold events already */
    unsigned int filled_count;
};

static double cpu_seconds(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts); /* cannot fail for this clock */
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* --- our log -------------------------------------------------------------------------------- */

static void on_committed(void *ctx, const struct wal_group *group)
{
    (void)ctx;
    (void)group;
}

/* What a span refers to. */
static int items_first(struct wal_writer *w)
{
    struct wal_item ring = {.type = WAL_ATTACH}, stream = {.type = WAL_STREAM},
                    def = {.type = WAL_DEF};
    int rc;

    ring.u.attach.ring = RING;
    ring.u.attach.name = (struct wal_str){"bench.ring", 10};
    stream.u.stream.stream = STREAM;
    stream.u.stream.version = 1;
    stream.u.stream.incarnation = 1;
    stream.u.stream.outputs = 1;
    stream.u.stream.name = (struct wal_str){"bench", 5};
    stream.u.stream.settings = (struct wal_str){"format = json", 13};
    def.u.def.ring = RING;
    def.u.def.number = 1;
    def.u.def.stream = STREAM;
    rc = wal_writer_item(w, &ring, NULL);
    if (rc == 0)
        rc = wal_writer_item(w, &stream, NULL);
    return rc == 0 ? wal_writer_item(w, &def, NULL) : rc;
}

static void chunk_fill(struct log *log, uint8_t *chunk)
{
    uint64_t x = 0x9e3779b97f4a7c15U;

    for (unsigned int i = 0; i < log->filled_count; i++)
        if (log->filled[i] == chunk)
            return;
    for (size_t at = 0; at < WAL_CHUNK_BYTES; at += sizeof(x)) {
        (void)rng_next(&x);
        memcpy(chunk + at, &x, sizeof(x));
    }
    if (log->filled_count < CHUNKS)
        log->filled[log->filled_count++] = chunk;
}

/* One more span, if there is a group that has room. 0, -EAGAIN or an error. */
static int span_add(struct log *log)
{
    struct wal_group *g = wal_writer_data_group(&log->writer);
    struct wal_tally tally = {.def = 1, .events = SPAN_BYTES / EVENT_BYTES,
                              .payload_bytes = SPAN_BYTES};
    struct wal_item item = {.type = WAL_SPAN};
    int rc;

    if (g == NULL || wal_group_room(g) < SPAN_BYTES)
        return -EAGAIN;
    chunk_fill(log, g->chunk);
    item.u.span.ring = RING;
    item.u.span.events = tally.events;
    item.u.span.from = log->pos;
    item.u.span.to = log->pos + SPAN_BYTES;
    item.u.span.offset = g->body_len;
    item.u.span.crc32c = crc32c(0, g->chunk + g->body_len, SPAN_BYTES);
    item.u.span.tallies = 1;
    rc = wal_writer_item(&log->writer, &item, &tally);
    if (rc != 0)
        return rc;
    g->body_len += SPAN_BYTES;
    log->pos += SPAN_BYTES;
    log->bytes += SPAN_BYTES;
    return 0;
}

/* One turn: what is committed is as good as routed and delivered. */
static int turn(struct log *log, bool flush, struct errmsg *err)
{
    struct wal_writer *w = &log->writer;
    struct wal_group *g;
    int rc;

    wal_writer_step(w, flush);
    rc = loop_turn(log->loop, loop_now_ns(log->loop) + GAP_NS);
    if (rc < 0)
        return errmsg_set_errno(err, rc, "loop");
    if (w->error != 0)
        return errmsg_set(err, w->error, "%s", w->error_text.text);
    while ((g = wal_writer_done(w)) != NULL)
        wal_writer_release(w, g);
    return wal_dir_trim(&log->dir, w->synced_lsn, err);
}

static int log_write(struct log *log, const struct bench_clock *clock, double seconds,
                     struct errmsg *err)
{
    struct wal_writer *w = &log->writer;
    uint64_t start = bench_ticks(clock), length = bench_seconds_ticks(clock, seconds), barrier;
    int rc = 0;

    while (rc == 0 && bench_ticks(clock) - start < length && !bench_stopped()) {
        do {
            rc = span_add(log);
        } while (rc == 0 && w->filling != NULL && wal_group_room(w->filling) >= SPAN_BYTES);
        if (rc != 0 && rc != -EAGAIN)
            return errmsg_set_errno(err, rc, "span");
        rc = turn(log, false, err);
    }
    barrier = wal_writer_barrier(w);
    if (w->filling == NULL)
        barrier--;
    wal_writer_want_sync(w, barrier);
    while (rc == 0 && !(wal_writer_barrier_synced(w, barrier) && wal_writer_idle(w)))
        rc = turn(log, true, err);
    return rc;
}

static int log_open(struct log *log, const char *path, struct errmsg *err)
{
    struct wal_writer_options opt = {.segment_size = SEGMENT_BYTES, .sync = WAL_SYNC_INTERVAL,
                                     .sync_interval_ns = SYNC_INTERVAL_NS, .epoch = 1,
                                     .kept_bytes_max = 128ULL << 20};
    int rc;

    memset(opt.uuid, 0xa5, sizeof(opt.uuid));
    rc = loop_open(LOOP_ENTRIES, &log->loop, err);
    if (rc == 0)
        rc = wal_dir_open(path, 0, opt.uuid, true, &log->dir, err);
    if (rc != 0)
        return rc;
    log->dir.spares_max = WAL_SPARES_MAX;
    rc = wal_state_init(&log->state);
    if (rc != 0)
        return errmsg_set_errno(err, rc, "state");
    rc = wal_writer_open(&log->writer, log->loop, &log->dir, &log->state, &opt, 0, on_committed,
                         NULL, err);
    if (rc != 0)
        return rc;
    rc = items_first(&log->writer);
    return rc == 0 ? 0 : errmsg_set_errno(err, rc, "first items");
}

static int log_measure(struct log *log, struct bench_run *run, struct errmsg *err)
{
    const struct bench_clock *clock = &run->bench->clock;
    uint64_t from, bytes, syncs;
    double seconds, cpu_s;
    int rc = log_write(log, clock, run->seconds / 4, err); /* files and chunks are there then */

    bytes = log->bytes;
    syncs = log->writer.syncs;
    from = bench_ticks(clock);
    cpu_s = cpu_seconds();
    if (rc == 0)
        rc = log_write(log, clock, run->seconds, err);
    cpu_s = cpu_seconds() - cpu_s;
    seconds = bench_ticks_ns(clock, bench_ticks(clock) - from) / 1e9;
    if (rc == 0 && bench_stopped())
        rc = errmsg_set(err, -EINTR, "stopped by a signal");
    if (rc == 0) {
        bench_add(run, 0, (double)(log->bytes - bytes) / seconds / 1e9);
        bench_add(run, 1, cpu_s / ((double)(log->bytes - bytes) / 1e9));
        bench_add(run, 2, (double)(log->writer.syncs - syncs) / seconds);
    }
    return rc;
}

/* The spans of one group; *pos: where the next one begins, UINT64_MAX: not known yet. */
static int group_check(const struct wal_group_view *g, uint64_t *pos)
{
    const uint8_t *at = g->items;
    struct wal_item item;

    while (at < g->items_end) {
        int rc = wal_item_next(&at, g->items_end, &item);

        if (rc != 0)
            return rc;
        if (item.type != WAL_SPAN)
            continue;
        if ((*pos != UINT64_MAX && item.u.span.from != *pos) ||
            crc32c(0, g->body + item.u.span.offset, SPAN_BYTES) != item.u.span.crc32c)
            return -EBADMSG;
        *pos = item.u.span.to;
    }
    return g->hole_from < g->body_lsn ? -EBADMSG : 0;
}

static int log_check(struct log *log, struct errmsg *err)
{
    struct wal_group_view group;
    struct wal_reader reader;
    uint64_t pos = UINT64_MAX;
    int rc;

    wal_reader_init(&reader, &log->dir);
    while ((rc = wal_reader_next(&reader, log->writer.committed_lsn, &group)) == 1) {
        rc = group_check(&group, &pos);
        if (rc != 0)
            break;
    }
    wal_reader_fini(&reader);
    if (rc == 0 && pos != log->pos)
        rc = -EBADMSG;
    return rc == 0 ? 0 : errmsg_set_errno(err, rc, "what was written is not what is read");
}

static int dir_make(const struct bench *b, char *ret_path, size_t cap, struct errmsg *err)
{
    (void)mkdir("build", 0755); /* what matters fails below */
    (void)mkdir(b->dir, 0755);
    (void)snprintf(ret_path, cap, "%s/wal-XXXXXX", b->dir);
    return mkdtemp(ret_path) != NULL ? 0 : errmsg_set_errno(err, -errno, "'%s'", ret_path);
}

static int dir_remove(const char *path, int rc, struct errmsg *err)
{
    int remove_rc = bench_remove_tree(path);

    if (rc == 0 && remove_rc != 0)
        return errmsg_set_errno(err, remove_rc, "'%s'", path);
    return rc;
}

static int log_run(void *ctx, struct bench_run *run, struct errmsg *err)
{
    struct log log;
    char path[400];
    int rc = dir_make(run->bench, path, sizeof(path), err);

    (void)ctx;
    if (rc != 0)
        return rc;
    memset(&log, 0, sizeof(log));
    log.writer.fd = log.writer.roll.fd = log.dir.fd = -1;
    rc = log_open(&log, path, err);
    if (rc == 0)
        rc = log_measure(&log, run, err);
    if (rc == 0)
        rc = log_check(&log, err);
    /* After a failure writes may be under way, from chunks that are about to go. */
    while (log.loop != NULL && loop_in_flight(log.loop) > 0 &&
           loop_turn(log.loop, loop_now_ns(log.loop) + GAP_NS) >= 0)
        continue;
    if (log.writer.dir != NULL)
        wal_writer_close(&log.writer);
    wal_state_fini(&log.state);
    wal_dir_close(&log.dir);
    loop_close(log.loop);
    return dir_remove(path, rc, err);
}

/* --- fio ------------------------------------------------------------------------------------ */

struct fio {
    const char *block, *depth;
};

/* In the child; its words go to the pipe. */
static void fio_exec(const struct fio *fio, const char *path, double seconds, int out)
{
    char directory[420], block[32], depth[32], size[48], runtime[48];

    (void)snprintf(directory, sizeof(directory), "--directory=%s", path);
    (void)snprintf(block, sizeof(block), "--bs=%s", fio->block);
    (void)snprintf(depth, sizeof(depth), "--iodepth=%s", fio->depth);
    (void)snprintf(size, sizeof(size), "--size=%llu", FIO_FILE_BYTES);
    (void)snprintf(runtime, sizeof(runtime), "--runtime=%.2f", seconds);
    if (dup2(out, STDOUT_FILENO) >= 0)
        (void)execlp("fio", "fio", "--name=log", "--rw=write", "--direct=1", "--ioengine=io_uring",
                     "--fallocate=posix", "--end_fsync=1", "--time_based", "--output-format=json",
                     directory, block, depth, size, runtime, (char *)NULL);
    _exit(errno == ENOENT ? 127 : 126);
}

static int output_read(int fd, char *ret_text, size_t cap, struct errmsg *err)
{
    size_t len = 0;
    ssize_t n;

    while ((n = read(fd, ret_text + len, cap - 1 - len)) != 0) {
        if (n < 0 && errno != EINTR)
            return errmsg_set_errno(err, -errno, "reading what fio says");
        len += n > 0 ? (size_t)n : 0;
        if (len + 1 == cap)
            return errmsg_set(err, -EFBIG, "fio says too much");
    }
    ret_text[len] = '\0';
    return 0;
}

/* Its JSON begins behind what it may say before. */
static int output_take(const char *text, struct bench_run *run, struct errmsg *err)
{
    const char *begin = strchr(text, '{');
    json_t *root = begin != NULL ? json_loads(begin, JSON_DISABLE_EOF_CHECK, NULL) : NULL;
    double bytes = 0, ms = 0, user = 0, sys = 0, rate = 0;
    int rc = 0;

    if (root == NULL || json_unpack(root, "{s:[{s:{s:F, s:F, s:F}, s:F, s:F}]}", "jobs", "write",
                                    "io_bytes", &bytes, "runtime", &ms, "bw_bytes", &rate,
                                    "usr_cpu", &user, "sys_cpu", &sys) != 0 || bytes <= 0)
        rc = errmsg_set(err, -EBADMSG, "fio: no figures in its output");
    if (rc == 0) {
        bench_add(run, 0, rate / 1e9);
        bench_add(run, 1, (user + sys) / 100 * (ms / 1000) / (bytes / 1e9));
    }
    json_decref(root);
    return rc;
}

static int fio_wait(pid_t pid, struct errmsg *err)
{
    int status;

    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return errmsg_set_errno(err, -errno, "fio");
    if (bench_stopped())
        return errmsg_set(err, -EINTR, "stopped by a signal");
    if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
        return errmsg_set(err, -ENOENT, "fio is not installed: etc/deps bench does that");
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return errmsg_set(err, -ECHILD, "fio failed");
    return 0;
}

static int fio_measure(const struct fio *fio, const char *path, struct bench_run *run,
                       struct errmsg *err)
{
    static char text[OUTPUT_MAX];
    int out[2], rc, wait_rc;
    pid_t pid;

    if (pipe2(out, O_CLOEXEC) != 0)
        return errmsg_set_errno(err, -errno, "pipe");
    (void)fflush(NULL);
    pid = fork();
    if (pid == 0)
        fio_exec(fio, path, run->seconds, out[1]);
    (void)close(out[1]);
    rc = pid < 0 ? errmsg_set_errno(err, -errno, "fork")
                 : output_read(out[0], text, sizeof(text), err);
    (void)close(out[0]);
    if (pid < 0)
        return rc;
    wait_rc = fio_wait(pid, err);
    if (wait_rc != 0)
        return wait_rc;
    return rc == 0 ? output_take(text, run, err) : rc;
}

static int fio_run(void *ctx, struct bench_run *run, struct errmsg *err)
{
    char path[400];
    int rc = dir_make(run->bench, path, sizeof(path), err);

    if (rc != 0)
        return rc;
    rc = fio_measure(ctx, path, run, err);
    return dir_remove(path, rc, err);
}

/* --- cases ---------------------------------------------------------------------------------- */

static int body(struct bench *b, struct errmsg *err)
{
    static const struct bench_metric of_log[] = {{"", "GB/s", BENCH_MORE},
                                                 {".cpu", "s/GB", BENCH_LESS},
                                                 {".syncs", "syncs/s", BENCH_PLAIN}};
    static const struct bench_metric of_fio[] = {{"", "GB/s", BENCH_MORE},
                                                 {".cpu", "s/GB", BENCH_LESS}};
    static const struct bench_plan plan = {.rounds = 5, .seconds = 2, .cold = true};
    static struct fio large = {"1M", "8"}, small = {"256k", "4"};
    const struct bench_case cases[] = {
        {"log/writer", "span=256KiB sync=10ms", of_log, 3, log_run, NULL},
        {"log/fio", "direct 1MiB x 8", of_fio, 2, fio_run, &large},
        {"log/fio", "direct 256KiB x 4", of_fio, 2, fio_run, &small},
    };

    return bench_group(b, &plan, cases, sizeof(cases) / sizeof(cases[0]), err);
}

int main(int argc, char **argv)
{
    return bench_main("wal_writer_bench", argc, argv, body);
}
