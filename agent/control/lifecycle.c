/*
 * lifecycle: starts the shards and the HTTP thread, turns signals into what they mean, ends.
 * Owns:   the configuration (reload.h), shards, HTTP server, intake, relay listener, and what the
 *         service manager is told by.
 * Thread: main.
 */
#include "control/lifecycle.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/version.h"
#include "control/address.h"
#include "control/http_server.h"
#include "control/notify.h"
#include "control/reload.h"
#include "control/routing.h"
#include "intake/intake.h"
#include "intake/relay_listener.h"
#include "pipeline/crash_note.h"
#include "pipeline/shards.h"

/* What signal handlers may touch. */
static struct shard *_Atomic signalled_shard;
static volatile sig_atomic_t stop_signal, reload_signal;

/* How long a stop waits for what connections have sent, at most. */
#define INTAKE_STOP_NS 5000000000ULL
#define STOP_SPARE_USEC UINT64_C(30000000)     /* for the ends of things */

struct life {
    struct reload *reload;          /* owned */
    struct shards *shards;          /* owned */
    struct http_server *http;       /* owned */
    struct intake *intake;          /* owned; NULL: no sockets */
    struct relay_listener *relay;   /* owned; NULL: nothing of it to do */
    struct intake_counters counters;
    struct relay_counters relay_counters;
    int durable_fd;                 /* owned: wakes HTTP when more of its ring is durable */
    struct notify notify;           /* owned */
    bool reloading;                 /* as the service manager knows it */
};

static void on_signal(int number)
{
    struct shard *shard = signalled_shard;

    if (number == SIGHUP)
        reload_signal = 1;
    else
        stop_signal = number;
    if (shard)
        shard_wake(shard);
}

static void signals_take(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    struct sigaction ignore = {.sa_handler = SIG_IGN};

    sigemptyset(&action.sa_mask);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
    sigaction(SIGPIPE, &ignore, NULL);
}

/* As many descriptors as the hard limit lets us have: one a ring and one a growing batch. */
static void descriptors_raise(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &limit))
            log_warn("cannot raise the limit of open files: %s", strerror(errno));
    }
}

/*
 * Keys and tokens pass through the memory of libraries, too. Whoever may not write a core file may
 * not look into the process's memory and environment either.
 */
static void cores_choose(const struct config *c)
{
    bool yes = c->agent.core_dumps == CONFIG_YES
               || (c->agent.core_dumps == CONFIG_AUTO && !config_has_secrets(c));

    if (prctl(PR_SET_DUMPABLE, yes ? 1 : 0, 0, 0, 0))
        log_warn("core files cannot be turned %s: %s", yes ? "on" : "off", strerror(errno));
}

/* The context of these is a configuration, which does not change. */
static int on_settings(void *ctx, const char *stream, struct stream_settings *ret_set,
                       struct errmsg *err)
{
    return routing_resolve(ctx, stream, ret_set, err);
}

static void on_directories(void *ctx, void (*visit)(void *visit_ctx, const char *directory),
                           void *visit_ctx)
{
    const struct config *config = ctx;

    for (size_t i = 0; i < config->sinks_count; i++) {
        const struct sink_config *sink = &config->sinks[i];
        char *path = sink->type == CONFIG_SINK_FILE ? routing_absolute(sink->file.directory) : NULL;

        if (path)
            visit(visit_ctx, path);
        free(path);
    }
}

static bool on_sink(void *ctx, const char *sink)
{
    return config_find_sink(ctx, sink) != NULL;
}

/* On the thread of any shard. */
static void on_durable(void *ctx)
{
    struct life *life = ctx;
    uint64_t one = 1;

    /* Behind the fence of ring_file_publish(), which pairs with Y1 in http_ingest_next(). */
    if (atomic_load_explicit(&life->counters.syncs_awaited, memory_order_relaxed))
        (void)!write(life->durable_fd, &one, sizeof(one));
}

/* On the first's. */
static void on_control(void *ctx, struct shard_request *req)
{
    struct life *life = ctx;

    reload_control(life->reload, req);
}

static bool intake_wanted(const struct config *c)
{
    return c->intake.tcp.count + c->intake.unix_paths.count + c->intake.udp.count > 0;
}

static int agent_open(struct life *life, struct errmsg *err)
{
    static const enum wal_sync_policy sync[] = {
        [CONFIG_SYNC_ALWAYS] = WAL_SYNC_ALWAYS,
        [CONFIG_SYNC_INTERVAL] = WAL_SYNC_INTERVAL,
        [CONFIG_SYNC_NEVER] = WAL_SYNC_NEVER,
    };
    static const enum shard_idle idle[] = {
        [CONFIG_IDLE_ADAPTIVE] = SHARD_IDLE_ADAPTIVE,
        [CONFIG_IDLE_SPIN] = SHARD_IDLE_SPIN,
        [CONFIG_IDLE_SLEEP] = SHARD_IDLE_SLEEP,
    };
    const struct config *c = reload_config(life->reload);
    struct shard_options opt = {
        .shards = (uint32_t)c->agent.shards,
        .agent_name = c->agent.name,
        .data_dir = c->agent.data_dir,
        .wal_dir = c->wal.dir,
        .shm_dir = c->agent.shm_dir,
        .shm_group = c->agent.shm_group[0] ? c->agent.shm_group : NULL,
        .segment_size = (uint64_t)c->wal.segment_bytes,
        .wal_bytes_max = (uint64_t)c->wal.bytes_max,
        .sync = sync[c->wal.sync],
        .sync_interval_ns = (uint64_t)c->wal.sync_interval_ns,
        .memory_limit = (uint64_t)c->agent.memory_limit_bytes,
        .streams_max = (uint32_t)c->agent.streams_max,
        .streams_per_uid_max = (uint32_t)c->agent.streams_per_uid_max,
        .rings_max = (uint32_t)c->agent.rings_max,
        .rings_per_uid_max = (uint32_t)c->agent.rings_per_uid_max,
        .ring_bytes_per_uid_max = (uint64_t)c->agent.ring_bytes_per_uid_max,
        .idle = idle[c->agent.idle],
        .settings = on_settings,
        .directories = on_directories,
        .sink = on_sink,
        .settings_ctx = (void *)(uintptr_t)c,
        .control = on_control,
        .durable = on_durable,
        .control_ctx = life,
        .intake = &life->counters,
        .relay = &life->relay_counters,
    };

    life->counters.sockets = intake_wanted(c);
    life->relay_counters.listens = c->intake.relay.count > 0;
    return shards_open(&opt, &life->shards, err);
}

/* --- what the other threads ask of the configuration ------------------------------------------ */

struct stream_question {
    const char *stream;
    bool wanted, named, raw;
};

static void on_question(void *ctx, const struct config *config)
{
    struct stream_question *q = ctx;
    const struct stream_config *found = config_find_stream(config, q->stream);

    q->wanted = config_stream_wanted(config, q->stream);
    q->named = found != NULL;
    if (!found)
        found = &config->stream_default;
    q->raw = found->output.format == CONFIG_FORMAT_RAW;
}

static struct stream_question stream_ask(struct life *life, const char *stream)
{
    struct stream_question q = {.stream = stream};

    reload_look(life->reload, on_question, &q);
    return q;
}

/* On the threads of the intake and of HTTP. */
static int on_stream(void *ctx, const char *stream)
{
    struct life *life = ctx;
    struct stream_question q = stream_ask(life, stream);

    if (!q.wanted)
        return -ENOENT;
    return shards_stream_take(life->shards, stream, q.named) ? 0 : -EDQUOT;
}

/* On the relay's: what comes for no stream of ours is for the shards to refuse. */
static bool on_relay_stream(void *ctx, const char *stream)
{
    struct life *life = ctx;

    return shards_stream_take(life->shards, stream, stream_ask(life, stream).named);
}

/* On the thread of HTTP, both. */
static bool on_stream_raw(void *ctx, const char *stream)
{
    return stream_ask(ctx, stream).raw;
}

static void on_look(void *ctx, void (*seen)(void *seen_ctx, const struct config *config),
                    void *seen_ctx)
{
    struct life *life = ctx;

    reload_look(life->reload, seen, seen_ctx);
}

static int http_start(struct life *life, struct errmsg *err)
{
    const struct config *c = reload_config(life->reload);
    struct http_server_options opt = {
        .listen = c->http.listen,
        .body_bytes_max = (uint64_t)c->http.body_bytes_max,
        .mailbox = shards_mailbox(life->shards),
        .ingest = {
            .shm_dir = c->agent.shm_dir,
            .stream_take = on_stream,
            .stream_raw = on_stream_raw,
            .ctx = life,
            .counters = &life->counters,
        },
        .config = {on_look, life},
        .durable_fd = life->durable_fd,
        .firehose_access_key = c->http.firehose_access_key,
        .firehose_secret_key = c->http.firehose_secret_key,
    };

    if (strcmp(opt.listen, "off") == 0)
        return 0;
    return http_server_start(&opt, &life->http, err);
}

static int intake_places(struct intake_place *places, size_t *count, enum intake_source source,
                         const struct config_list *list, struct errmsg *err)
{
    for (size_t i = 0; i < list->count; i++) {
        struct intake_place *place = &places[(*count)++];
        struct address address;
        int r = source == INTAKE_UNIX ? 0 : address_parse(list->items[i], &address, err);

        if (r)
            return r;
        *place = (struct intake_place){.source = source, .text = list->items[i]};
        if (source == INTAKE_UNIX)
            continue;
        place->address = address.addr;
        place->address_len = address.len;
    }
    return 0;
}

/* Half of the descriptors at most, for rings and files need some, too. */
static uint32_t connections_max(const struct config *c)
{
    uint32_t wanted = (uint32_t)c->intake.connections_max;
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || wanted <= limit.rlim_cur / 2)
        return wanted;
    log_warn("[intake] connections_max = %" PRIu32 ": there are %" PRIu64 ", half of the limit of "
             "open files; raise that (LimitNOFILE= of the unit, or ulimit -Hn)", wanted,
             (uint64_t)limit.rlim_cur / 2);
    return (uint32_t)(limit.rlim_cur / 2);
}

static int sockets_start(struct life *life, struct errmsg *err)
{
    const struct config *c = reload_config(life->reload);
    struct intake_options opt = {
        .shm_dir = c->agent.shm_dir,
        .default_stream = c->agent.default_stream,
        .line_bytes_max = (size_t)c->intake.line_bytes_max,
        .connections_max = connections_max(c),
        .idle_timeout_ns = (uint64_t)c->intake.idle_timeout_ns,
        .stream_take = on_stream,
        .ctx = life,
        .counters = &life->counters,
    };
    struct intake_place *places;
    int r;

    if (!intake_wanted(c))
        return 0;
    places = calloc(c->intake.tcp.count + c->intake.unix_paths.count + c->intake.udp.count,
                    sizeof(*places));
    if (!places)
        return errmsg_set(err, -ENOMEM, "out of memory");
    r = intake_places(places, &opt.places_count, INTAKE_TCP, &c->intake.tcp, err);
    if (!r)
        r = intake_places(places, &opt.places_count, INTAKE_UNIX, &c->intake.unix_paths, err);
    if (!r)
        r = intake_places(places, &opt.places_count, INTAKE_UDP, &c->intake.udp, err);
    opt.places = places;
    if (!r)
        r = intake_start(&opt, &life->intake, err);
    for (size_t i = 0; !r && i < opt.places_count; i++)
        log_info("lines by %s at %s", intake_source_names[places[i].source], places[i].text);
    free(places);
    return r;
}

static uint64_t on_ring_end(void *ctx, const uint8_t uuid[16])
{
    const struct life *life = ctx;

    return shards_ring_end(life->shards, uuid);
}

/* Before the shards drain: it holds rings that an earlier life has left. */
static int relay_begin(struct life *life, struct errmsg *err)
{
    const struct config *c = reload_config(life->reload);
    struct relay_listener_options opt = {
        .places_count = c->intake.relay.count,
        .shm_dir = c->agent.shm_dir,
        .data_dir = c->agent.data_dir,
        .tls = {c->intake.relay_cert_file, c->intake.relay_key_file, c->intake.relay_ca_file},
        .connections_max = (uint32_t)c->intake.connections_max,
        .idle_timeout_ns = (uint64_t)c->intake.idle_timeout_ns,
        .counters = &life->relay_counters,
        .stream_take = on_relay_stream,
        .ring_end = on_ring_end,
        .ctx = life,
    };
    struct relay_place *places = calloc(opt.places_count + 1, sizeof(*places));
    int r = places ? 0 : errmsg_set(err, -ENOMEM, "out of memory");

    for (size_t i = 0; !r && i < opt.places_count; i++) {
        struct address address;

        r = address_parse(c->intake.relay.items[i], &address, err);
        if (!r)
            places[i] = (struct relay_place){c->intake.relay.items[i], address.addr, address.len};
    }
    opt.places = places;
    if (!r)
        r = relay_listener_open(&opt, &life->relay, err);
    for (size_t i = 0; !r && i < opt.places_count; i++)
        log_info("events of other agents at %s%s", places[i].text,
                 opt.tls.cert_file[0] ? ", TLS" : "");
    free(places);
    return r;
}

/* Another configuration is in force. */
static void on_applied(void *ctx, const struct config *config)
{
    struct life *life = ctx;

    if (life->intake)
        intake_default_stream(life->intake, config->agent.default_stream);
    atomic_fetch_add_explicit(&life->counters.configurations, 1, memory_order_relaxed);
    log_init(config->agent.log_level, config->agent.log_format);
    cores_choose(config);
}

/*
 * Sockets and HTTP first: what they have goes into rings, which are drained to their heads then.
 * True: the shards have been told.
 */
static bool stop_turn(struct life *life, bool *begun)
{
    uint64_t timeout_ns = (uint64_t)reload_config(life->reload)->agent.shutdown_timeout_ns;

    uint64_t intake_ns = timeout_ns / 2 < INTAKE_STOP_NS ? timeout_ns / 2 : INTAKE_STOP_NS;

    if (!*begun && life->intake)
        intake_stop(life->intake, intake_ns);
    if (!*begun && life->relay)
        relay_listener_stop(life->relay, intake_ns);
    *begun = true;
    if ((life->http && !http_server_shut(life->http))
        || (life->intake && !intake_stopped(life->intake))
        || (life->relay && !relay_listener_stopped(life->relay)))
        return false;
    shards_stop(life->shards, timeout_ns);
    return true;
}

/* How long it may take is in the configuration, not in the unit. */
static void stop_tell(const struct life *life)
{
    uint64_t timeout_ns = (uint64_t)reload_config(life->reload)->agent.shutdown_timeout_ns;

    notify_send(&life->notify, "STOPPING=1\nEXTEND_TIMEOUT_USEC=%" PRIu64
                "\nSTATUS=Draining rings and delivering", timeout_ns / 1000 + STOP_SPARE_USEC);
}

static void ready_tell(const struct life *life)
{
    notify_send(&life->notify, "READY=1\nSTATUS=Taking events from rings in %s",
                reload_config(life->reload)->agent.shm_dir);
}

/* A sign of life only where every shard gives one: the watchdog is for the events' way. */
static void manager_turn(struct life *life)
{
    if (notify_due(&life->notify) && shards_turned(life->shards))
        notify_alive(&life->notify);
    if (life->reloading && !reload_busy(life->reload)) {
        life->reloading = false;
        ready_tell(life);
    }
}

static int turns_run(struct life *life)
{
    bool stopping = false, begun = false, stopped = false;
    struct errmsg err;
    int r;

    do {
        if (reload_signal) {
            reload_signal = 0;
            if (!stopping)
                notify_reloading(&life->notify);
            life->reloading = !stopping;
            reload_ask(life->reload);
        }
        if (stop_signal && !stopping) {
            stopping = true;
            log_info("%s: stopping", stop_signal == SIGINT ? "SIGINT" : "SIGTERM");
            stop_tell(life);
        }
        if (stopping && !stopped)
            stopped = stop_turn(life, &begun);
        r = shards_turn(life->shards, &err);
        if (r == 0 && !stopping && life->intake && intake_stopped(life->intake))
            r = errmsg_set(&err, -EIO, "sockets are read no more");     /* it has said why */
        if (r == 0 && !stopping && life->relay && relay_listener_failed(life->relay))
            r = errmsg_set(&err, -EIO, "nothing is taken of other agents any more");
        reload_turn(life->reload);
        manager_turn(life);
    } while (r == 0);
    if (r < 0) {
        log_error("%s", err.text);
        return 1;
    }
    if (shards_pending(life->shards) > 0)
        log_warn("stopped; %" PRIu64 " events are kept in the log for the next start",
                 shards_pending(life->shards));
    else
        log_info("stopped; everything is delivered");
    return 0;
}

int lifecycle_run(const char *path, const struct config_overrides *overrides)
{
    const struct config *c;
    struct life life = {.durable_fd = -1, .notify = NOTIFY_INIT};
    struct errmsg err = {""};
    int code = 1;

    signals_take();
    crash_note_catch();
    if (reload_open(path, overrides, &life.reload))
        return 1;
    c = reload_config(life.reload);
    log_init(c->agent.log_level, c->agent.log_format);
    cores_choose(c);
    umask(0);       /* file_mode is meant as it is written */
    descriptors_raise();
    if (notify_open(&life.notify, &err))
        log_warn("%s; the service manager is told nothing", err.text);
    notify_send(&life.notify, "STATUS=Reading the log");
    life.durable_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (life.durable_fd < 0) {
        log_error("no event descriptor: %s", strerror(errno));
        goto out;
    }
    if (agent_open(&life, &err)) {
        log_error("%s", err.text);
        goto out;
    }
    reload_shards(life.reload, life.shards, on_applied, &life);
    signalled_shard = shards_at(life.shards, 0);
    if (reload_remote_sinks(life.shards, c, &err) || relay_begin(&life, &err)
        || shards_start(life.shards, &err) || http_start(&life, &err)
        || sockets_start(&life, &err)
        || (life.relay && relay_listener_start(life.relay, &err))) {
        log_error("%s", err.text);
        goto out;
    }
    log_info("hydrant " HYDRANT_VERSION ": rings in %s, data in %s, HTTP on %s",
             c->agent.shm_dir, c->agent.data_dir, c->http.listen);
    if (life.http)
        log_debug("HTTP answers on port %d", http_server_port(life.http));
    ready_tell(&life);
    code = turns_run(&life);
out:
    signalled_shard = NULL;
    intake_close(life.intake);
    relay_listener_close(life.relay);
    http_server_stop(life.http);
    shards_close(life.shards);
    reload_close(life.reload);
    notify_close(&life.notify);
    if (life.durable_fd >= 0)
        (void)close(life.durable_fd);
    return code;
}
