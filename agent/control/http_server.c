/*
 * http_server: connections, by libmicrohttpd driven from our own thread.
 *
 * One thread calls the library, so nothing here needs a lock: the shard's answers come through
 * http_wait, whose descriptor is polled beside the library's.
 *
 * A request's life: on_access() with the head (guards, route), with each piece of the body (kept
 * where it brings events), and once more at its end: then it is posted to the shard, or its events
 * are put into a ring, and the connection suspended. turn_finished() resumes it, and the library
 * calls on_access() again, which answers. A suspended connection is not looked at, so a
 * client that leaves meanwhile is noticed when its answer is sent, and its memory stays until then.
 *
 * Owns:   see the header.
 * Thread: HTTP; http_server_start(), _port() and _stop() the caller's.
 */
#include "control/http_server.h"

#include <errno.h>
#include <inttypes.h>
#include <microhttpd.h>
#include <poll.h>
#include <pthread.h>
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
#include "control/http_api.h"
#include "control/http_body.h"
#include "control/http_guard.h"
#include "control/http_listen.h"
#include "control/http_wait.h"
#include "control/http_wire.h"

enum {
    BODY_BYTES_MAX_DEFAULT = 8 << 20,
    HEAD_BYTES_MAX = 32 << 10,
    BODIES_BYTES_MIN = 64 << 20,        /* of all bodies at once, if none may be larger */
    BODIES_OF_ONE = 6                   /* else so many times what one may have: it doubles when it
                                           grows, and is unpacked beside itself */
};

#define STOP_GRACE_NS 1000000000ULL

struct http_server {
    struct MHD_Daemon *daemon;  /* owned; HTTP thread */
    struct http_hub *hub;       /* owned */
    struct http_ingest *ingest; /* owned; HTTP thread */
    struct mailbox *mailbox;    /* borrowed */
    struct http_budget bodies;  /* HTTP thread */
    struct http_streams streams;
    char *access_key, *secret_key;      /* owned; NULL: requests need no signature */
    uint64_t id, replies;       /* random; so that no two answers have one */
    struct http_guard guard;
    uint64_t body_bytes_max;
    unsigned active;            /* requests begun and not completed; HTTP thread */
    int daemon_fd;              /* the daemon's epoll descriptor */
    int port;
    _Atomic bool stopping;
    _Atomic bool shutting;      /* take no more events */
    _Atomic bool shut;          /* I1: and what was taken is in the ring */
    pthread_t thread;
};

/* One request. The library's `con_cls`. */
struct exchange {
    struct http_server *server;         /* borrowed */
    struct MHD_Connection *connection;  /* borrowed */
    struct http_call call;
    struct http_reply reply;            /* ready when status is not 0 */
    uint64_t body_bytes;
    struct http_body body;              /* where it is kept */
    enum unpack_type coding;
    struct http_put put;
    bool suspended;
};

static const char *header(const struct exchange *ex, const char *name)
{
    return http_wire_header(ex->connection, name);
}

static enum MHD_Result reply_send(struct exchange *ex)
{
    char id[2 * 16 + 2];

    (void)snprintf(id, sizeof(id), "%016" PRIx64 "-%016" PRIx64, ex->server->id,
                   ex->server->replies++);
    return http_wire_send(ex->connection, &ex->reply, id);
}

static void operation_check(struct exchange *ex)
{
    struct http_call *call = &ex->call;

    if (!http_firehose_route(header(ex, "X-Amz-Target"), &call->op, &ex->reply))
        return;
    call->puts = call->op == FIREHOSE_PUT_RECORD || call->op == FIREHOSE_PUT_RECORD_BATCH;
    ex->put.form = call->op == FIREHOSE_PUT_RECORD ? HTTP_PUT_RECORD : HTTP_PUT_RECORDS;
    ex->put.durable = true;
}

/* Guards and route: sets call, or reply. */
static void request_check(struct exchange *ex, const char *method, const char *path,
                          const char *version)
{
    const struct http_guard *guard = &ex->server->guard;
    const char *host = header(ex, "Host");
    bool routed = http_api_route(method, path, &ex->call, &ex->reply);
    bool firehose = routed && ex->call.endpoint == HTTP_FIREHOSE;

    if (host == NULL && strcmp(version, "HTTP/1.0") != 0) {
        http_reply_error(&ex->reply, 400, "the Host header is missing");
        return;
    }
    if (!http_guard_host(guard, host)) {
        http_reply_error(&ex->reply, 403, "Host is not a name of this server");
        return;
    }
    if (!http_guard_origin(header(ex, "Origin"), host)) {
        http_reply_error(&ex->reply, 403, "Origin is another site");
        return;
    }
    if (!ex->call.open && !(firehose && ex->server->access_key != NULL) &&
        !http_guard_token(guard, header(ex, "Authorization"))) {
        http_reply_error(&ex->reply, 401, "the bearer token is missing or wrong");
        ex->reply.allow = NULL;
        routed = false;
    }
    INVARIANT(routed || ex->reply.status != 0);
    if (routed && firehose)
        operation_check(ex);
}

/* What the head says of the body: too large, or of a type that is not taken. */
static void body_check(struct exchange *ex)
{
    const char *length = header(ex, "Content-Length");
    const char *coding = header(ex, "Transfer-Encoding");
    uint64_t bytes = length == NULL ? 0 : strtoull(length, NULL, 10);

    if (bytes > ex->server->body_bytes_max)
        http_reply_error(&ex->reply, 413, "the body is larger than %llu bytes",
                         (unsigned long long)ex->server->body_bytes_max);
    else if (ex->reply.status == 0 && (bytes > 0 || coding != NULL || ex->call.keeps) &&
             !http_api_content_type(&ex->call, header(ex, "Content-Type"), &ex->put.form))
        http_reply_error(&ex->reply, 415, "a body needs Content-Type: %s",
                         ex->reply.firehose ? HTTP_FIREHOSE_TYPE
                         : ex->call.puts    ? "application/json or application/x-ndjson"
                                            : "application/json");
    else if (ex->reply.status == 0 && ex->call.keeps &&
             !http_body_coding(header(ex, "Content-Encoding"), &ex->coding))
        http_reply_error(&ex->reply, 415, "of Content-Encoding gzip and zstd are taken");
}

/* Why a body, or what it unpacks to, cannot be kept. */
static void body_failed(struct exchange *ex, int res)
{
    if (res == -EBADMSG)
        http_reply_error(&ex->reply, 422, "the body cannot be unpacked");
    else if (res == -EFBIG)
        http_reply_error(&ex->reply, 413, "the body unpacks to more than %llu bytes",
                         (unsigned long long)ex->server->body_bytes_max);
    else
        http_reply_error(&ex->reply, 503, res == -ENOBUFS ? "too many bodies at once"
                                                          : "out of memory");
}

static enum MHD_Result request_begin(struct http_server *server, struct MHD_Connection *connection,
                                     const char *path, const char *method, const char *version,
                                     void **con_cls)
{
    struct exchange *ex = calloc(1, sizeof(*ex));

    if (ex == NULL)
        return MHD_NO;
    ex->server = server;
    ex->connection = connection;
    ex->body.budget = &server->bodies;
    *con_cls = ex;
    server->active++;
    request_check(ex, method, path, version);
    body_check(ex);
    /* A refusal waits for the end of the body, so that the client is there to read it; not for one
     * that is too large: there the library answers at once and closes. */
    return ex->reply.status == 413 ? reply_send(ex) : MHD_YES;
}

/* A piece of the body. Over the limit it is refused at its end, unless that does not come. */
static enum MHD_Result request_body(struct exchange *ex, const char *data,
                                    size_t *upload_data_size)
{
    uint64_t max = ex->server->body_bytes_max;
    int res = 0;

    ex->body_bytes += *upload_data_size;
    if (ex->call.keeps && ex->reply.status == 0 && ex->body_bytes <= max)
        res = http_body_append(&ex->body, data, *upload_data_size);
    if (res != 0)
        body_failed(ex, res);
    if (ex->reply.status != 0)
        http_body_free(&ex->body);
    *upload_data_size = 0;
    if (ex->body_bytes > 2 * max)
        return MHD_NO;
    if (ex->body_bytes > max && ex->reply.status != 413)
        http_reply_error(&ex->reply, 413, "the body is larger than %llu bytes",
                         (unsigned long long)max);
    return MHD_YES;
}

/* The body is whole: is it from who it must be, and what it says? Sets the reply if not. */
static void body_take(struct exchange *ex)
{
    const struct http_server *server = ex->server;
    enum http_sign_result sign = HTTP_SIGN_GOOD;
    struct errmsg why;
    int res;

    if (ex->call.endpoint == HTTP_FIREHOSE && server->access_key != NULL)
        sign = http_wire_signed(ex->connection, &ex->body.bytes, server->access_key,
                                server->secret_key, &why);
    if (sign != HTTP_SIGN_GOOD) {
        http_firehose_unsigned(sign, &why, &ex->reply);
        return;
    }
    res = http_body_unpack(&ex->body, ex->coding, server->body_bytes_max);
    if (res != 0)
        body_failed(ex, res);
}

static void put_answer(struct exchange *ex)
{
    if (ex->call.endpoint == HTTP_FIREHOSE)
        http_firehose_put(ex->call.op, &ex->put, ex->server->id, &ex->reply);
    else
        http_api_put(&ex->call, &ex->put, &ex->reply);
}

/* What the shard has answered, or why it has not. */
static void shard_answer(struct exchange *ex, int result, const struct status *status)
{
    if (result == 0 && ex->call.endpoint == HTTP_FIREHOSE)
        http_firehose_answer(ex->call.op, ex->body.bytes.data, ex->body.bytes.len,
                             &ex->server->streams, status, &ex->reply);
    else
        http_api_finish(&ex->call, result, status, &ex->reply);
}

/* The events of a request, which is whole. */
static enum MHD_Result request_put(struct exchange *ex)
{
    struct http_put *put = &ex->put;
    const char *ack = http_wire_argument(ex->connection, "ack");
    uint64_t now_ns = http_now_ns();

    if (ex->call.endpoint == HTTP_EVENTS)
        put->durable = ack != NULL && strcmp(ack, "durable") == 0;
    if (ack != NULL && !put->durable && strcmp(ack, "accepted") != 0) {
        http_reply_error(&ex->reply, 400, "ack: accepted or durable is wanted");
        return reply_send(ex);
    }
    memcpy(put->stream, ex->call.stream, sizeof(put->stream));
    put->body = ex->body.bytes.data;
    put->body_len = ex->body.bytes.len;
    put->room_by_ns = now_ns + HTTP_ROOM_TIMEOUT_MS * 1000000ULL;
    put->durable_by_ns = now_ns + ex->call.timeout_ns;
    put->ctx = ex;
    if (http_ingest_put(ex->server->ingest, put, now_ns) == 0) {
        put_answer(ex);
        return reply_send(ex);
    }
    ex->suspended = true;
    MHD_suspend_connection(ex->connection);
    return MHD_YES;
}

/* The request is whole: asks the shard and puts the connection to sleep. */
static enum MHD_Result request_post(struct exchange *ex)
{
    int res;

    if (http_api_begin(&ex->call, http_wire_argument(ex->connection, "timeout"), &ex->reply) &&
        ex->call.keeps)
        body_take(ex);
    if (ex->reply.status != 0)
        return reply_send(ex);
    if (ex->call.puts)
        return request_put(ex);
    res = http_hub_post(ex->server->hub, ex->call.kind, ex->call.stream,
                        http_now_ns() + ex->call.timeout_ns, ex);
    if (res != 0) {
        shard_answer(ex, res, NULL);
        return reply_send(ex);
    }
    ex->suspended = true;
    MHD_suspend_connection(ex->connection);
    return MHD_YES;
}

static enum MHD_Result on_access(void *cls, struct MHD_Connection *connection, const char *url,
                                 const char *method, const char *version, const char *upload_data,
                                 size_t *upload_data_size, void **con_cls)
{
    struct exchange *ex = (struct exchange *)*con_cls;

    if (ex == NULL)
        return request_begin((struct http_server *)cls, connection, url, method, version, con_cls);
    INVARIANT(!ex->suspended);
    if (*upload_data_size != 0)
        return request_body(ex, upload_data, upload_data_size);
    if (ex->reply.status != 0)
        return reply_send(ex);
    return request_post(ex);
}

static void on_completed(void *cls, struct MHD_Connection *connection, void **con_cls,
                         enum MHD_RequestTerminationCode code)
{
    struct exchange *ex = (struct exchange *)*con_cls;

    (void)cls;
    (void)connection;
    (void)code;
    if (ex == NULL)
        return;
    INVARIANT(!ex->suspended);
    ex->server->active--;
    http_reply_free(&ex->reply);
    http_body_free(&ex->body);
    free(ex);
    *con_cls = NULL;
}

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

static void exchange_resume(struct exchange *ex)
{
    ex->suspended = false;
    MHD_resume_connection(ex->connection);
}

/* Wakes the connections whose wait has ended. */
static void turn_finished(struct http_server *server)
{
    struct http_wait *wait;
    struct http_put *put;

    while ((put = http_ingest_next(server->ingest, http_now_ns())) != NULL) {
        struct exchange *ex = put->ctx;

        put_answer(ex);
        exchange_resume(ex);
    }

    while ((wait = http_hub_next(server->hub, http_now_ns())) != NULL) {
        struct exchange *ex = (struct exchange *)wait->ctx;

        /* Past its deadline the request is still the shard's: only a finished one has a status. */
        shard_answer(ex, wait->result, wait->result == 0 ? wait->req.status : NULL);
        http_wait_release(wait);
        exchange_resume(ex);
    }
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
    struct pollfd fds[2] = {
        { .fd = server->daemon_fd, .events = POLLIN },
        { .fd = http_hub_fd(server->hub), .events = POLLIN },
    };

    if (poll(fds, 2, turn_timeout_ms(server, until_ns)) < 0)
        INVARIANT(errno == EINTR || errno == ENOMEM);
    turn_finished(server);
    turn_shut(server);
    if (MHD_run(server->daemon) != MHD_YES)
        on_run_failed();
}

/* Answers what waits, for a second at most; then everything closes. */
static void server_wind_up(struct http_server *server)
{
    uint64_t until_ns = http_now_ns() + STOP_GRACE_NS;
    MHD_socket listener = MHD_quiesce_daemon(server->daemon);

    if (listener != MHD_INVALID_SOCKET)
        (void)close(listener);
    http_hub_shut(server->hub);
    (void)http_ingest_shut(server->ingest, 0);
    turn_finished(server);
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

static int daemon_open(struct http_server *server, int listener, struct errmsg *err)
{
    const union MHD_DaemonInfo *info;

    server->daemon = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0, NULL, NULL, on_access,
        server, MHD_OPTION_EXTERNAL_LOGGER, on_library_log, NULL, MHD_OPTION_LISTEN_SOCKET,
        listener, MHD_OPTION_CONNECTION_LIMIT, (unsigned)HTTP_CONNECTIONS_MAX,
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)HTTP_IDLE_S_MAX,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HEAD_BYTES_MAX, MHD_OPTION_NOTIFY_COMPLETED,
        on_completed, NULL, MHD_OPTION_END);
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
    res = address_parse(options->listen, &address, err);
    if (res != 0)
        goto fail;
    res = http_guard_init(&server->guard, &address, options->token);
    if (res != 0) {
        errmsg_set(err, res, "the token is longer than %d bytes", HTTP_TOKEN_MAX - 1);
        goto fail;
    }
    res = keys_copy(server, options);
    if (res != 0) {
        errmsg_set_errno(err, res, "keys and a random number");
        goto fail;
    }
    server->streams = options->streams;
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
    listener = http_listen_open(&address, options->listen, err);
    if (listener < 0) {
        res = listener;
        goto fail;
    }
    server->port = http_listen_port(listener);
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
