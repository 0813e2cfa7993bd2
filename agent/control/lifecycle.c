/*
 * lifecycle: starts the shards and the HTTP thread, turns signals into what they mean, ends.
 * Owns:   configuration, shards, HTTP server, intake, relay listener.
 * Thread: main.
 */
#include "control/lifecycle.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/version.h"
#include "control/address.h"
#include "control/http_server.h"
#include "control/remote_config.h"
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

struct life {
    const char *path;
    const struct config_overrides *overrides;
    struct config *config;          /* owned */
    struct config *fresh;           /* owned; read, and being taken over by the shards */
    struct shard_request reload;          /* which the shards have then */
    _Atomic bool reload_answered;   /* L1: and its result is there */
    int reload_result;
    struct shards *shards;          /* owned */
    struct http_server *http;       /* owned */
    struct intake *intake;          /* owned; NULL: no sockets */
    struct relay_listener *relay;   /* owned; NULL: nothing of it to do */
    struct intake_counters counters;
    struct relay_counters relay_counters;
    pthread_mutex_t config_mutex;   /* for who looks at the configuration from another thread */
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

static bool intake_wanted(const struct config *c)
{
    return c->intake.tcp.count + c->intake.unix_paths.count + c->intake.udp.count > 0;
}

static int config_read(struct life *life, struct config **ret_config)
{
    struct config_errors errs = CONFIG_ERRORS_INIT;
    int r = config_load(life->path, life->overrides, ret_config, &errs);

    if (r)
        config_errors_print(&errs, stderr);
    config_errors_fini(&errs);
    return r;
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
    struct config *c = life->config;
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
        .settings_ctx = c,
        .intake = &life->counters,
        .relay = &life->relay_counters,
    };

    life->counters.sockets = intake_wanted(c);
    life->relay_counters.listens = c->intake.relay.count > 0;
    return shards_open(&opt, &life->shards, err);
}

/* Before the shards hear of the configuration: they send to its sinks. */
static int remote_sinks(struct shards *shards, const struct config *config, struct errmsg *err)
{
    struct relay_sink_settings *relays;
    struct remote_settings *settings;
    uint32_t count;
    int r = remote_config(config, &settings, &count);

    if (r)
        return errmsg_set(err, r, "no memory");
    r = shards_remote(shards, settings, count, err);
    free(settings);
    if (r)
        return r;
    r = remote_config_relays(config, &relays, &count);
    if (r)
        return errmsg_set(err, r, "no memory");
    r = shards_relay_sinks(shards, relays, count, err);
    free(relays);
    return r;
}

/* On the threads of the intake and of HTTP. */
static bool on_stream(void *ctx, const char *stream)
{
    struct life *life = ctx;
    bool named;

    (void)pthread_mutex_lock(&life->config_mutex);
    named = config_find_stream(life->config, stream) != NULL;
    (void)pthread_mutex_unlock(&life->config_mutex);
    return shards_stream_take(life->shards, stream, named);
}

/* On the thread of HTTP, both. */
static bool on_stream_raw(void *ctx, const char *stream)
{
    struct life *life = ctx;
    const struct stream_config *found;
    bool raw;

    (void)pthread_mutex_lock(&life->config_mutex);
    found = config_find_stream(life->config, stream);
    if (!found)
        found = &life->config->stream_default;
    raw = found->output.format == CONFIG_FORMAT_RAW;
    (void)pthread_mutex_unlock(&life->config_mutex);
    return raw;
}

static void on_streams(void *ctx, void (*seen)(void *seen_ctx, const char *stream), void *seen_ctx)
{
    struct life *life = ctx;

    (void)pthread_mutex_lock(&life->config_mutex);
    for (size_t i = 0; i < life->config->streams_count; i++)
        seen(seen_ctx, life->config->streams[i].name);
    (void)pthread_mutex_unlock(&life->config_mutex);
}

static int http_start(struct life *life, struct errmsg *err)
{
    struct http_server_options opt = {
        .listen = life->config->http.listen,
        .token = life->config->http.token,
        .body_bytes_max = (uint64_t)life->config->http.body_bytes_max,
        .mailbox = shards_mailbox(life->shards),
        .ingest = {
            .shm_dir = life->config->agent.shm_dir,
            .stream_take = on_stream,
            .stream_raw = on_stream_raw,
            .ctx = life,
            .counters = &life->counters,
        },
        .streams = {on_streams, life},
        .firehose_access_key = life->config->http.firehose_access_key,
        .firehose_secret_key = life->config->http.firehose_secret_key,
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

static int sockets_start(struct life *life, struct errmsg *err)
{
    const struct config *c = life->config;
    struct intake_options opt = {
        .shm_dir = c->agent.shm_dir,
        .default_stream = c->agent.default_stream,
        .line_bytes_max = (size_t)c->intake.line_bytes_max,
        .connections_max = (uint32_t)c->intake.connections_max,
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
    const struct config *c = life->config;
    struct relay_listener_options opt = {
        .places_count = c->intake.relay.count,
        .shm_dir = c->agent.shm_dir,
        .data_dir = c->agent.data_dir,
        .tls = {c->intake.relay_cert_file, c->intake.relay_key_file, c->intake.relay_ca_file},
        .connections_max = (uint32_t)c->intake.connections_max,
        .idle_timeout_ns = (uint64_t)c->intake.idle_timeout_ns,
        .counters = &life->relay_counters,
        .stream_take = on_stream,
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

/* On the thread of the shard that was the last to take it over. */
static void on_reloaded(struct shard_request *req, int result)
{
    struct life *life = req->ctx;

    life->reload_result = result;
    /* L1 pairs with the acquire in reload_end(). */
    atomic_store_explicit(&life->reload_answered, true, memory_order_release);
    mailbox_wake(shards_mailbox(life->shards));
}

/* A bad file keeps the old settings and says why; a good one is taken over by every shard. */
static void reload_begin(struct life *life)
{
    struct errmsg why;
    int r;

    if (config_read(life, &life->fresh)) {
        life->fresh = NULL;
        log_error("reload: the configuration has mistakes; the old settings stay");
        return;
    }
    if (config_restart_needed(life->config, life->fresh, &why))
        log_warn("reload: these wait for the next start: %s", why.text);
    if (remote_sinks(life->shards, life->fresh, &why)) {
        log_error("reload: %s; the old settings stay", why.text);
        config_free(life->fresh);
        life->fresh = NULL;
        return;
    }
    life->reload = (struct shard_request){
        .kind = REQUEST_RELOAD, .settings_ctx = life->fresh, .done = on_reloaded, .ctx = life,
    };
    r = mailbox_post(shards_mailbox(life->shards), &life->reload);
    if (r)
        on_reloaded(&life->reload, r);
}

/* No shard looks into the old configuration any more. */
static void reload_end(struct life *life)
{
    if (!atomic_load_explicit(&life->reload_answered, memory_order_acquire))
        return;
    atomic_store_explicit(&life->reload_answered, false, memory_order_relaxed);
    if (life->reload_result == -ESHUTDOWN)      /* by some: both stay to the end */
        return;
    if (life->reload_result) {
        log_error("reload: %s; the old settings stay", strerror(-life->reload_result));
        config_free(life->fresh);
    } else {
        (void)pthread_mutex_lock(&life->config_mutex);
        config_free(life->config);
        life->config = life->fresh;
        (void)pthread_mutex_unlock(&life->config_mutex);
        if (life->intake)
            intake_default_stream(life->intake, life->config->agent.default_stream);
        log_init(life->config->agent.log_level, life->config->agent.log_format);
        cores_choose(life->config);
        log_info("reloaded %s", life->path ? life->path : "the default configuration");
    }
    life->fresh = NULL;
}

/*
 * Sockets and HTTP first: what they have goes into rings, which are drained to their heads then.
 * True: the shards have been told.
 */
static bool stop_turn(struct life *life, bool *begun)
{
    uint64_t timeout_ns = (uint64_t)life->config->agent.shutdown_timeout_ns;

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

static int turns_run(struct life *life)
{
    bool stopping = false, begun = false, stopped = false;
    struct errmsg err;
    int r;

    do {
        if (reload_signal && !life->fresh) {
            reload_signal = 0;
            reload_begin(life);
        }
        if (stop_signal && !stopping) {
            stopping = true;
            log_info("%s: stopping", stop_signal == SIGINT ? "SIGINT" : "SIGTERM");
        }
        if (stopping && !stopped)
            stopped = stop_turn(life, &begun);
        r = shards_turn(life->shards, &err);
        if (r == 0 && !stopping && life->intake && intake_stopped(life->intake))
            r = errmsg_set(&err, -EIO, "sockets are read no more");     /* it has said why */
        if (r == 0 && !stopping && life->relay && relay_listener_failed(life->relay))
            r = errmsg_set(&err, -EIO, "nothing is taken of other agents any more");
        if (life->fresh)
            reload_end(life);
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
    struct life life = {.path = path, .overrides = overrides,
                        .config_mutex = PTHREAD_MUTEX_INITIALIZER};
    struct errmsg err = {""};
    int code = 1;

    signals_take();
    crash_note_catch();
    if (config_read(&life, &life.config))
        return 1;
    log_init(life.config->agent.log_level, life.config->agent.log_format);
    cores_choose(life.config);
    umask(0);       /* file_mode is meant as it is written */
    descriptors_raise();
    if (agent_open(&life, &err)) {
        log_error("%s", err.text);
        goto out;
    }
    signalled_shard = shards_at(life.shards, 0);
    if (remote_sinks(life.shards, life.config, &err) || relay_begin(&life, &err)
        || shards_start(life.shards, &err) || http_start(&life, &err)
        || sockets_start(&life, &err)
        || (life.relay && relay_listener_start(life.relay, &err))) {
        log_error("%s", err.text);
        goto out;
    }
    log_info("hydrant " HYDRANT_VERSION ": rings in %s, data in %s, HTTP on %s",
             life.config->agent.shm_dir, life.config->agent.data_dir, life.config->http.listen);
    if (life.http)
        log_debug("HTTP answers on port %d", http_server_port(life.http));
    code = turns_run(&life);
out:
    signalled_shard = NULL;
    intake_close(life.intake);
    relay_listener_close(life.relay);
    http_server_stop(life.http);
    shards_close(life.shards);
    config_free(life.fresh);
    config_free(life.config);
    return code;
}
