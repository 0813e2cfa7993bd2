/*
 * http_server: connections, by libmicrohttpd driven from our own thread.
 *
 * One thread calls the library, so nothing here needs a lock: the shard's answers come through
 * http_wait, whose descriptor is polled beside the library's. What becomes of a request stands in
 * http_exchange.c.
 *
 * Owns:   see the header.
 * Thread: HTTP; http_server_start(), _port() and _stop() the caller's.
 */
#include "control/http_server.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/invariant.h"
#include "base/log.h"
#include "control/address.h"
#include "control/http_listen.h"
#include "control/http_parts.h"
#include "io/net.h"

enum {
    HTTP_SOCKET_MODE = 0660,            /* of a Unix socket: who may connect may do everything */
    BODY_BYTES_MAX_DEFAULT = 8 << 20,
    HEAD_BYTES_MAX = 32 << 10,
    BODIES_BYTES_MIN = 64 << 20,        /* of all bodies at once, if none may be larger */
    BODIES_OF_ONE = 6                   /* else so many times what one may have: it doubles when it
                                           grows, and is unpacked beside itself */
};

#define STOP_GRACE_NS 1000000000ULL

static void __attribute__((format(printf, 2, 0)))
on_library_log(void *cls, const char *fmt, va_list args)
{
    char text[256];

    (void)cls;
    if (!log_enabled(LOG_LEVEL_DEBUG))
        return;
    (void)vsnprintf(text, sizeof(text), fmt, args);
    text[strcspn(text, "\n")] = '\0';
    log_debug("http: %s", text);
}

/* What was taken is in the ring, for the shards to drain to its end. */
static void turn_shut(struct http_server *server)
{
    if (!atomic_load_explicit(&server->shutting, memory_order_relaxed) ||
        atomic_load_explicit(&server->shut, memory_order_relaxed) ||
        !http_ingest_shut(server->ingest, http_now_ns() + STOP_GRACE_NS))
        return;
    /* I1 pairs with the acquire in http_server_shut(). */
    atomic_store_explicit(&server->shut, true, memory_order_release);
    mailbox_wake(server->mailbox);
}

static int turn_timeout_ms(struct http_server *server, uint64_t until_ns)
{
    uint64_t deadline = http_hub_deadline_ns(server->hub);
    MHD_UNSIGNED_LONG_LONG library_ms;
    uint64_t now = http_now_ns();
    uint64_t put_ns = http_ingest_deadline_ns(server->ingest, now);
    uint64_t ms = UINT64_MAX;

    if (until_ns < deadline)
        deadline = until_ns;
    if (put_ns < deadline)
        deadline = put_ns;
    if (deadline != UINT64_MAX)
        ms = deadline <= now ? 0 : (deadline - now + 999999) / 1000000;
    if (MHD_get_timeout(server->daemon, &library_ms) == MHD_YES && library_ms < ms)
        ms = library_ms;
    if (ms == UINT64_MAX)
        return -1;
    return ms > 60000 ? 60000 : (int)ms;
}

static void on_run_failed(void)
{
    static struct log_limit limit = LOG_LIMIT_INIT("http: event loop", 1, 60 * 1000000000ULL);

    if (log_limit_allow(&limit, http_now_ns()))
        log_error("http: the library's event loop failed");
}

/* Waits for something to do, at most until until_ns, and does it. */
static void server_turn(struct http_server *server, uint64_t until_ns)
{
    struct pollfd fds[3] = {
        { .fd = server->daemon_fd, .events = POLLIN },
        { .fd = http_hub_fd(server->hub), .events = POLLIN },
        { .fd = server->durable_fd, .events = POLLIN },
    };
    uint64_t events;

    if (poll(fds, 3, turn_timeout_ms(server, until_ns)) < 0)
        INVARIANT(errno == EINTR || errno == ENOMEM);
    else if (fds[2].revents != 0)
        (void)!read(server->durable_fd, &events, sizeof(events));
    http_exchanges_turn(server);
    turn_shut(server);
    if (MHD_run(server->daemon) != MHD_YES)
        on_run_failed();
}

/* Answers what waits, for a second at most; then everything closes. */
static void server_wind_up(struct http_server *server)
{
    uint64_t until_ns = http_now_ns() + STOP_GRACE_NS;
    MHD_socket listener = MHD_quiesce_daemon(server->daemon);

    if (listener != MHD_INVALID_SOCKET) {
        if (server->unix_path != NULL)
            net_unlisten_unix(server->unix_path, listener);
        (void)close(listener);
    }
    http_hub_shut(server->hub);
    (void)http_ingest_shut(server->ingest, 0);
    http_exchanges_turn(server);
    while (server->active > 0 && http_now_ns() < until_ns)
        server_turn(server, until_ns);
    MHD_stop_daemon(server->daemon);
    INVARIANT(server->active == 0);
}

static void *server_main(void *arg)
{
    struct http_server *server = (struct http_server *)arg;

    while (!atomic_load_explicit(&server->stopping, memory_order_relaxed))
        server_turn(server, UINT64_MAX);
    server_wind_up(server);
    return NULL;
}

static int hex_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* In place of the library's own: %00 stays as it is, or what follows it would not be seen. */
static size_t on_unescape(void *cls, struct MHD_Connection *connection, char *text)
{
    char *to = text;

    (void)cls;
    (void)connection;
    for (const char *at = text; *at != '\0'; at++) {
        int high = *at == '%' ? hex_of(at[1]) : -1;
        int low = high >= 0 ? hex_of(at[2]) : -1;

        if (low >= 0 && (high | low) != 0) {
            *to++ = (char)(high << 4 | low);
            at += 2;
        } else {
            *to++ = *at;
        }
    }
    *to = '\0';
    return (size_t)(to - text);
}

static int daemon_open(struct http_server *server, int listener, struct errmsg *err)
{
    const union MHD_DaemonInfo *info;

    server->daemon = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0, NULL, NULL,
        http_exchange_access,
        server, MHD_OPTION_EXTERNAL_LOGGER, on_library_log, NULL, MHD_OPTION_LISTEN_SOCKET,
        listener, MHD_OPTION_CONNECTION_LIMIT, (unsigned)HTTP_CONNECTIONS_MAX,
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)HTTP_IDLE_S_MAX,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HEAD_BYTES_MAX, MHD_OPTION_UNESCAPE_CALLBACK,
        on_unescape, NULL, MHD_OPTION_NOTIFY_COMPLETED, http_exchange_completed, NULL,
        MHD_OPTION_END);
    if (server->daemon == NULL) {
        (void)close(listener);
        return errmsg_set(err, -EIO, "the HTTP library does not start");
    }
    info = MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    if (info == NULL || info->epoll_fd < 0)
        return errmsg_set(err, -EIO, "the HTTP library has no event descriptor");
    server->daemon_fd = info->epoll_fd;
    return 0;
}

/* Signals are for the main thread: the new one starts with all blocked but its own faults. */
static int thread_start(struct http_server *server)
{
    static const int faults[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT };
    sigset_t most, before;
    int res;

    (void)sigfillset(&most);
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
        (void)sigdelset(&most, faults[i]);
    (void)pthread_sigmask(SIG_SETMASK, &most, &before);
    res = pthread_create(&server->thread, NULL, server_main, server);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (res == 0)
        (void)pthread_setname_np(server->thread, "http");
    return -res;
}

static int keys_copy(struct http_server *server, const struct http_server_options *options)
{
    if (getrandom(&server->id, sizeof(server->id), 0) != (ssize_t)sizeof(server->id))
        return -errno;
    if (options->firehose_access_key == NULL || options->firehose_access_key[0] == '\0')
        return 0;
    server->access_key = strdup(options->firehose_access_key);
    server->secret_key = strdup(options->firehose_secret_key);
    return server->access_key != NULL && server->secret_key != NULL ? 0 : -ENOMEM;
}

static void server_free(struct http_server *server)
{
    if (server->secret_key != NULL)
        explicit_bzero(server->secret_key, strlen(server->secret_key));
    free(server->access_key);
    free(server->secret_key);
    free(server->unix_path);
    free(server);
}

int http_server_start(const struct http_server_options *options, struct http_server **ret_server,
                      struct errmsg *err)
{
    struct http_server *server = calloc(1, sizeof(*server));
    struct address address;
    int listener, res;

    if (server == NULL)
        return errmsg_set(err, -ENOMEM, "out of memory");
    server->body_bytes_max =
        options->body_bytes_max != 0 ? options->body_bytes_max : BODY_BYTES_MAX_DEFAULT;
    if (strncmp(options->listen, HTTP_LISTEN_UNIX, strlen(HTTP_LISTEN_UNIX)) != 0) {
        res = address_parse(options->listen, &address, err);
        if (res != 0)
            goto fail;
        http_guard_init(&server->guard, &address);
    } else {
        http_guard_init(&server->guard, NULL);
        server->unix_path = strdup(options->listen + strlen(HTTP_LISTEN_UNIX));
        if (server->unix_path == NULL) {
            res = errmsg_set(err, -ENOMEM, "out of memory");
            goto fail;
        }
    }
    res = keys_copy(server, options);
    if (res != 0) {
        errmsg_set_errno(err, res, "keys and a random number");
        goto fail;
    }
    server->config = options->config;
    server->durable_fd = options->durable_fd > 0 ? options->durable_fd : -1;
    server->bodies.max = BODIES_OF_ONE * server->body_bytes_max;
    if (server->bodies.max < BODIES_BYTES_MIN)
        server->bodies.max = BODIES_BYTES_MIN;
    server->mailbox = options->mailbox;
    res = http_ingest_open(&options->ingest, &server->ingest);
    if (res != 0) {
        errmsg_set(err, res, "out of memory");
        goto fail;
    }
    res = http_hub_open(options->mailbox, &server->hub);
    if (res != 0) {
        errmsg_set_errno(err, res, "cannot open an event descriptor");
        goto fail;
    }
    listener = server->unix_path != NULL
                   ? net_listen_unix(server->unix_path, HTTP_SOCKET_MODE, err)
                   : http_listen_open(&address, options->listen, err);
    if (listener < 0) {
        res = listener;
        goto fail;
    }
    server->port = server->unix_path != NULL ? 0 : http_listen_port(listener);
    res = daemon_open(server, listener, err); /* the listener is the daemon's now, or closed */
    if (res != 0)
        goto fail;
    res = thread_start(server);
    if (res != 0) {
        errmsg_set_errno(err, res, "cannot start the HTTP thread");
        goto fail;
    }
    *ret_server = server;
    return 0;

fail:
    errmsg_prefix(err, "http: ");
    if (server->daemon != NULL)
        MHD_stop_daemon(server->daemon);
    http_hub_close(server->hub);
    http_ingest_close(server->ingest);
    server_free(server);
    return res;
}

int http_server_port(const struct http_server *server)
{
    return server->port;
}

bool http_server_shut(struct http_server *server)
{
    if (!atomic_load_explicit(&server->shutting, memory_order_relaxed)) {
        atomic_store_explicit(&server->shutting, true, memory_order_relaxed);
        http_hub_wake(server->hub);
    }
    return atomic_load_explicit(&server->shut, memory_order_acquire);
}

void http_server_stop(struct http_server *server)
{
    if (server == NULL)
        return;
    atomic_store_explicit(&server->stopping, true, memory_order_relaxed);
    http_hub_wake(server->hub);
    (void)pthread_join(server->thread, NULL);
    http_hub_close(server->hub);
    http_ingest_close(server->ingest);
    server_free(server);
}
