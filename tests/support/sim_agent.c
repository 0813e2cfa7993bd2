/*
 * sim_agent: lives of a shard, its producers, its settings.
 * Owns:   see sim_agent.h.
 * Thread: one.
 */
#include "support/sim_agent.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "encode/compress.h"
#include "support/sim.h"
#include "support/sim_cloud.h"
#include "support/sim_http.h"
#include "support/small_agent.h"

enum { LOOK_TURNS = 64, TURN_NS = 1000, CHILD_TEXT_MAX = 16384 };

void sim_agent_fail(const char *file, int line, const char *fmt, ...)
{
    va_list args;

    fprintf(stderr, "%s:%d: (seed %llu, operation %llu) ", file, line,
            (unsigned long long)sim_seed(), (unsigned long long)sim_op_count(SIM_ANY));
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fputc('\n', stderr);
    abort();
}

/* ---- Settings ---- */

static bool texts_equal(const char *a, const char *b)
{
    return strcmp(a ? a : "", b ? b : "") == 0;
}

static bool sinks_equal(const struct sim_agent_sink *a, const struct sim_agent_sink *b)
{
    return strcmp(a->format, b->format) == 0 && strcmp(a->prefix, b->prefix) == 0
           && texts_equal(a->columns, b->columns) && texts_equal(a->partition_by, b->partition_by)
           && a->compression == b->compression && a->compression_level == b->compression_level
           && a->framing == b->framing && a->validate == b->validate
           && a->event_clock == b->event_clock && a->partitions_max == b->partitions_max
           && a->together == b->together
           && a->infer_bytes == b->infer_bytes && a->row_group_bytes == b->row_group_bytes
           && a->buffer_count == b->buffer_count && a->buffer_bytes == b->buffer_bytes
           && a->buffer_time_ns == b->buffer_time_ns;
}

static void output_fill(struct output_settings *o, const struct sim_agent_sink *sink)
{
    small_agent_output(o, sink->format, sink->prefix);
    o->columns = sink->columns ? small_agent_text(sink->columns) : NULL;
    o->partition_by = sink->partition_by ? small_agent_text(sink->partition_by) : NULL;
    o->compression = sink->compression;
    o->compression_level = sink->compression_level;
    o->framing = sink->framing;
    o->validate = sink->validate;
    o->event_clock = sink->event_clock;
    o->partitions_max = sink->partitions_max;
    o->together = sink->together;
    o->infer_bytes = sink->infer_bytes;
    o->row_group_bytes = sink->row_group_bytes;
    o->buffer_count = sink->buffer_count;
    o->buffer_bytes = sink->buffer_bytes;
    o->buffer_time_ns = sink->buffer_time_ns;
}

/* Sinks with equal settings share an output. */
static int on_settings(void *ctx, const char *stream, struct stream_settings *ret_set,
                       struct errmsg *err)
{
    const struct sim_agent *a = ctx;
    const struct sim_agent_sink *first[SIM_AGENT_SINKS_MAX];

    (void)stream;
    (void)err;
    memset(ret_set, 0, sizeof(*ret_set));
    for (unsigned i = 0; i < a->sinks_count; i++) {
        const struct sim_agent_sink *sink = &a->sinks[i];
        struct output_settings *o;
        uint16_t at = 0;

        if (sink->unused)
            continue;
        while (at < ret_set->outputs && !sinks_equal(first[at], sink))
            at++;
        o = &ret_set->output[at];
        if (at == ret_set->outputs) {
            first[ret_set->outputs++] = sink;
            output_fill(o, sink);
        }
        small_agent_target(o, sink->name, sink->directory, sink->flat);
        if (sink->cloud)
            o->target[o->targets - 1].type = o->error_target[o->error_targets - 1].type = TARGET_S3;
    }
    return 0;
}

static void on_directories(void *ctx, void (*visit)(void *visit_ctx, const char *directory),
                           void *visit_ctx)
{
    const struct sim_agent *a = ctx;

    for (unsigned i = 0; i < a->sinks_count; i++)
        if (!a->sinks[i].cloud)
            visit(visit_ctx, a->sinks[i].directory);
}

static bool on_sink(void *ctx, const char *sink)
{
    const struct sim_agent *a = ctx;

    for (unsigned i = 0; i < a->sinks_count; i++)
        if (strcmp(a->sinks[i].name, sink) == 0)
            return true;
    return false;
}

void sim_agent_init(struct sim_agent *a, uint64_t seed)
{
    log_init(getenv("SIM_AGENT_LOG") ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
    sim_reset(seed);
    sim_cloud_open(seed);
    memset(a, 0, sizeof(*a));
    a->sources = calloc(SIM_AGENT_SOURCES_MAX, sizeof(*a->sources));
    SIM_AGENT_CHECK(a->sources, "out of memory");
    SIM_AGENT_CHECK(sim_mkdir(SIM_AGENT_SHM) == 0, "no " SIM_AGENT_SHM);
    a->opt = small_agent_options();
    a->opt.data_dir = SIM_AGENT_DATA;
    a->opt.wal_dir = SIM_AGENT_DATA "/wal";
    a->opt.shm_dir = SIM_AGENT_SHM;
    a->opt.idle = SHARD_IDLE_ADAPTIVE;
    a->opt.settings = on_settings;
    a->opt.directories = on_directories;
    a->opt.sink = on_sink;
    a->opt.settings_ctx = a;
    a->streams_count = 1;
    a->stop_ns = 600000000000ULL;
    a->part_bytes = 4096;
    a->in_flight_max = 4;
    a->sinks_count = 1;
    a->sinks[0] = (struct sim_agent_sink){
        .name = "local", .directory = SIM_AGENT_OUT, .format = "json", .prefix = "",
        .buffer_count = 10, .buffer_bytes = -1, .buffer_time_ns = 1000000000,
        .compression_level = COMPRESS_LEVEL_USUAL,
    };
}

void sim_agent_fini(struct sim_agent *a)
{
    for (unsigned i = 0; i < a->sources_count; i++)
        free(a->sources[i].events);
    free(a->sources);
    a->sources = NULL;
    sim_cloud_close();
}

struct sim_agent_sink *sim_agent_sink_add(struct sim_agent *a, const char *name,
                                          const char *directory)
{
    struct sim_agent_sink *sink = &a->sinks[a->sinks_count++];

    SIM_AGENT_CHECK(a->sinks_count <= SIM_AGENT_SINKS_MAX, "too many sinks");
    *sink = a->sinks[0];
    sink->name = name;
    sink->directory = directory;
    return sink;
}

/* ---- Producers ---- */

struct sim_agent_source *sim_agent_source_add(struct sim_agent *a, uint64_t ring_bytes,
                                              uint32_t planned)
{
    struct sim_agent_source *src = &a->sources[a->sources_count++];
    int rc;

    SIM_AGENT_CHECK(a->sources_count <= SIM_AGENT_SOURCES_MAX, "too many producers");
    snprintf(src->name, sizeof(src->name), "p%u.ring", a->sources_count - 1);
    rc = sim_producer_open(&src->ring, SIM_AGENT_SHM, src->name, ring_bytes);
    SIM_AGENT_CHECK(rc == 0, "%s: %s", src->name, strerror(-rc));
    src->planned = planned;
    src->burst = 7;
    return src;
}

bool sim_agent_write(struct sim_agent *a, struct sim_agent_source *src, uint32_t stream)
{
    struct sim_agent_event *ev;
    char name[SHM_STREAM_NAME_MAX + 1], json[8192];
    uint16_t number;
    int rc, len;

    snprintf(name, sizeof(name), "stream-%u", stream);
    rc = sim_producer_stream(&src->ring, name, &number);
    SIM_AGENT_CHECK(rc == 0, "%s: %s", name, strerror(-rc));
    len = snprintf(json, sizeof(json), "{\"p\":%u,\"s\":%u,\"n\":%u,\"x\":\"%*s\"}",
                   (unsigned)(src - a->sources), stream, src->written[stream] + 1,
                   (int)a->pad_bytes, "");
    SIM_AGENT_CHECK(len > 0 && (size_t)len < sizeof(json), "pad_bytes");
    rc = sim_producer_append(&src->ring, number, SHM_KIND_JSON, 0, json, (size_t)len);
    if (rc == -EAGAIN)
        return false;
    SIM_AGENT_CHECK(rc == 0, "append: %s", strerror(-rc));
    if (src->events_count == src->events_cap) {
        src->events_cap = src->events_cap ? 2 * src->events_cap : 256;
        src->events = realloc(src->events, src->events_cap * sizeof(*src->events));
        SIM_AGENT_CHECK(src->events, "out of memory");
    }
    ev = &src->events[src->events_count++];
    *ev = (struct sim_agent_event){stream, ++src->written[stream], src->ring.head_pos, 0};
    sim_producer_publish(&src->ring);
    return true;
}

/* What the producers do in this turn. */
static void sources_step(struct sim_agent *a)
{
    for (unsigned i = 0; i < a->sources_count; i++) {
        struct sim_agent_source *src = &a->sources[i];

        if (src->gone || !src->ring.open)
            continue;
        for (uint32_t n = 0; n < src->burst && src->events_count < src->planned; n++)
            if (!sim_agent_write(a, src, src->events_count % a->streams_count))
                break;
        if (a->leave && src->events_count >= src->planned)
            sim_producer_close(&src->ring);
    }
}

/* Positions only grow, in their order, and never pass what was committed. */
static void sources_look(struct sim_agent *a)
{
    for (unsigned i = 0; i < a->sources_count; i++) {
        struct sim_agent_source *src = &a->sources[i];
        uint64_t before = src->ring.head_pos;

        if (src->gone || src->lies || !src->ring.open)
            continue;
        for (int which = 0; which < SHM_POS_COUNT; which++) {
            uint64_t pos = sim_producer_pos(&src->ring, (enum shm_pos)which);

            SIM_AGENT_CHECK(pos <= before, "%s: position %d is %llu, beyond %llu", src->name,
                            which, (unsigned long long)pos, (unsigned long long)before);
            SIM_AGENT_CHECK(pos >= src->pos[which], "%s: position %d went back to %llu",
                            src->name, which, (unsigned long long)pos);
            src->pos[which] = pos;
            before = pos;
        }
    }
}

static bool written(const struct sim_agent *a)
{
    for (unsigned i = 0; i < a->sources_count; i++) {
        const struct sim_agent_source *src = &a->sources[i];

        if (!src->gone && !src->lies && src->events_count < src->planned)
            return false;
    }
    return true;
}

bool sim_agent_taken(struct sim_agent *a)
{
    for (unsigned i = 0; i < a->sources_count; i++) {
        const struct sim_agent_source *src = &a->sources[i];

        if (!src->gone && !src->lies && src->ring.open
            && sim_producer_pos(&src->ring, SHM_POS_ACCEPTED) < src->ring.head_pos)
            return false;
    }
    return written(a);
}

/* ---- Remote sinks ---- */

static void remote_configure(struct sim_agent *a)
{
    struct remote_settings set[SIM_AGENT_SINKS_MAX];
    struct errmsg err = {""};
    uint32_t count = 0;
    int rc;

    memset(set, 0, sizeof(set));        /* padding is compared */
    for (unsigned i = 0; i < a->sinks_count; i++) {
        struct remote_settings *to = &set[count];

        if (!a->sinks[i].cloud)
            continue;
        to->name = a->sinks[i].name;
        to->type = TARGET_S3;
        to->in_flight_max = a->in_flight_max;
        to->timeout_ns = 30000000000ULL;
        to->backoff_max_ns = 60000000000ULL;
        to->cloud.access_key = "AKIDEXAMPLE";
        to->cloud.secret_key = "secret";
        to->cloud.session_token = "token";
        to->cloud.region = to->s3.set.region = "eu-1";
        to->s3.set.endpoint = SIM_CLOUD_ENDPOINT;
        to->s3.set.path_style = S3_YES;
        to->s3.set.checksum = true;
        to->s3.part_bytes = a->part_bytes;
        count++;
    }
    rc = shards_remote(a->shards, set, count, &err);
    SIM_AGENT_CHECK(rc == 0, "remote sinks: %s", err.text);
}

static void delivery_step(struct sim_agent *a)
{
    struct delivery *d = shards_delivery(a->shards);
    struct errmsg err = {""};
    int rc;

    if (!d || (a->delivery_rests > 0 && sim_random() % 1000 < a->delivery_rests))
        return;
    rc = delivery_turn(d, 0, &err);
    SIM_AGENT_CHECK(rc == 0, "delivery: %s", err.text);
}

/* ---- Lives ---- */

void sim_agent_open(struct sim_agent *a)
{
    struct errmsg err = {""};
    int rc = shards_open(&a->opt, &a->shards, &err);

    SIM_AGENT_CHECK(rc == 0 || a->may_fail, "open: %s", err.text);
    SIM_AGENT_CHECK(rc == 0 || (rc < 0 && !a->shards && err.text[0]), "open failed with %d", rc);
    a->shard = rc == 0 ? shards_at(a->shards, 0) : NULL;
    a->result = rc;
    a->accepted = 0;
    if (rc == 0)
        remote_configure(a);
}

void sim_agent_reload(struct sim_agent *a)
{
    remote_configure(a);
    for (uint32_t i = 0; i < shards_count(a->shards); i++)
        shard_reload(shards_at(a->shards, i));
}

void sim_agent_turn(struct sim_agent *a)
{
    struct errmsg err = {""};
    int result = 1;

    for (uint32_t i = 0; result >= 0 && i < shards_count(a->shards); i++) {
        int rc = shard_turn(shards_at(a->shards, i), &err);

        result = rc <= 0 && result > rc ? rc : result;
    }
    if (result >= 0)
        delivery_step(a);
    a->result = result;
    SIM_AGENT_CHECK(a->result >= 0 || (a->may_fail && err.text[0]), "turn: %d, '%s'", a->result,
                    err.text);
    a->turns++;
    sim_advance_ns(TURN_NS);
    sources_look(a);
    if (a->on_turn && a->result == 0)
        a->on_turn(a, a->turns);
    if (a->look_often && a->turns % LOOK_TURNS == 0) {
        sim_agent_check_books(a);
        sim_agent_check_files(a);
    }
}

void sim_agent_turns(struct sim_agent *a, uint64_t turns)
{
    while (turns-- > 0)
        sim_agent_turn(a);
}

void sim_agent_until(struct sim_agent *a, bool (*reached)(struct sim_agent *a), const char *what)
{
    for (uint64_t i = 0; a->result == 0 && !reached(a); i++) {
        SIM_AGENT_CHECK(i < SIM_AGENT_TURNS_MAX, "stuck before: %s", what);
        sources_step(a);
        sim_agent_turn(a);
    }
}

void sim_agent_pass(struct sim_agent *a, uint64_t ns)
{
    uint64_t end = sim_now_ns() + ns;

    for (uint64_t i = 0; sim_now_ns() < end; i++) {
        SIM_AGENT_CHECK(i < SIM_AGENT_TURNS_MAX, "time does not pass");
        sim_agent_turn(a);
    }
}

void sim_agent_close(struct sim_agent *a)
{
    shards_close(a->shards);
    a->shards = NULL;
    a->shard = NULL;
    SIM_AGENT_CHECK(sim_open_descriptors() == 0, "%u descriptors are left open",
                    sim_open_descriptors());
}

static void shard_end(struct sim_agent *a)
{
    if (a->result == 0)
        shards_stop(a->shards, a->stop_ns);
    for (uint64_t i = 0; a->result == 0; i++) {
        SIM_AGENT_CHECK(i < SIM_AGENT_TURNS_MAX, "it does not stop");
        sim_agent_turn(a);
    }
    sim_agent_check_books(a);
}

void sim_agent_stop(struct sim_agent *a)
{
    shard_end(a);
    sim_agent_close(a);
}

static void on_flushed(struct shard_request *req, int result)
{
    *(int *)req->ctx = result;
}

int sim_agent_flush(struct sim_agent *a, const char *stream)
{
    return sim_agent_ask(a, REQUEST_FLUSH, stream, NULL);
}

int sim_agent_ask(struct sim_agent *a, enum request_kind kind, const char *stream,
                  struct status **ret_status)
{
    int result = 1;
    struct shard_request req = {.kind = kind, .done = on_flushed, .ctx = &result};

    snprintf(req.stream, sizeof(req.stream), "%s", stream);
    SIM_AGENT_CHECK(mailbox_post(shard_mailbox(a->shard), &req) == 0, "the mailbox is full");
    for (uint64_t i = 0; i < SIM_AGENT_TURNS_MAX; i++) {
        sim_agent_turn(a);
        if (result > 0)
            continue;
        if (ret_status)
            *ret_status = req.status;
        return result;
    }
    sim_agent_fail(__FILE__, __LINE__, "a request does not end");
}

static int life(void *ctx)
{
    struct sim_agent *a = ctx;

    sim_agent_open(a);
    if (a->shard) {
        sim_agent_until(a, sim_agent_taken, "everything is accepted");
        shard_end(a);
    }
    sim_agent_close(a);
    return a->result < 0 ? a->result : 0;
}

int sim_agent_life(struct sim_agent *a)
{
    return sim_run(life, a);
}

void sim_agent_killed(struct sim_agent *a)
{
    sources_look(a);
    sim_http_land();
    sim_kill();
    a->shards = NULL;
    a->shard = NULL;
}

void sim_agent_power_cut(struct sim_agent *a, uint64_t seed)
{
    sources_look(a);
    for (unsigned i = 0; i < a->sources_count; i++) {
        a->sources[i].gone = true;
        a->sources[i].ring.open = false;
    }
    sim_http_land();
    sim_power_cut(seed);
    a->shards = NULL;
    a->shard = NULL;
    SIM_AGENT_CHECK(sim_mkdir(SIM_AGENT_SHM) == 0, "no " SIM_AGENT_SHM);
}

static void file_damage(void *ctx, const char *path)
{
    uint8_t *data;
    size_t len;

    (void)ctx;
    SIM_AGENT_CHECK(sim_read_file(path, &data, &len) == 0 && sim_unlink(path) == 0, "%s", path);
    if (len > 0) {
        data[len / 3] ^= 1;
        SIM_AGENT_CHECK(sim_write_file(path, data, len) == 0, "%s", path);
    }
    free(data);
}

void sim_agent_spool_damage(struct sim_agent *a)
{
    (void)a;
    sim_land();
    sim_walk(SIM_AGENT_DATA "/spool", file_damage, NULL);
}

/* ---- Children ---- */

static void child_report(int text)
{
    static char said[CHILD_TEXT_MAX];
    off_t end = lseek(text, 0, SEEK_END);
    off_t from = end > CHILD_TEXT_MAX ? end - CHILD_TEXT_MAX : 0;
    ssize_t n = pread(text, said, sizeof(said), from);

    if (n > 0)
        fwrite(said, 1, (size_t)n, stderr);
}

int sim_agent_child(int (*fn)(void *ctx), void *ctx)
{
    int text = memfd_create("sim_agent", MFD_CLOEXEC), status = 0;
    pid_t pid;

    SIM_AGENT_CHECK(text >= 0, "memfd_create: %s", strerror(errno));
    fflush(NULL);
    pid = fork();
    SIM_AGENT_CHECK(pid >= 0, "fork: %s", strerror(errno));
    if (pid == 0) {
        if (dup2(text, STDERR_FILENO) < 0)
            _exit(101);
        _exit(fn(ctx));
    }
    while (waitpid(pid, &status, 0) < 0)
        SIM_AGENT_CHECK(errno == EINTR, "waitpid: %s", strerror(errno));
    if (!WIFEXITED(status) || WEXITSTATUS(status) > 100) {
        child_report(text);
        sim_agent_fail(__FILE__, __LINE__, "a child ended with status %x", (unsigned)status);
    }
    close(text);
    return WEXITSTATUS(status);
}
