/*
 * http_server: over real sockets, by our own client and by clients that misbehave.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <jansson.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/config_text.h"
#include "control/fake_shard.h"
#include "libshm-client/scratch.h"
#include "control/http_server.h"
#include "control/http_wait.h"
#include "sink/http.h"

enum { BODY_MAX = 100000 };

struct fixture {
    struct fake_shard shard;
    struct scratch *scratch;
    struct intake_counters counters;
    struct config *config;
    struct http_server *server;
    struct http_client *client;
    struct errmsg err;
    char url[128];
};

static int stream_take(void *ctx, const char *stream)
{
    (void)ctx;
    if (strcmp(stream, "nobodys") == 0)
        return -ENOENT;
    return strcmp(stream, "too-many") == 0 ? -EDQUOT : 0;
}

static int setup_with(void **state, const char *config)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct http_server_options options = { .listen = "127.0.0.1:0", .body_bytes_max = BODY_MAX };

    assert_non_null(f);
    fake_shard_start(&f->shard);
    options.mailbox = &f->shard.box;
    assert_int_equal(scratch_setup((void **)&f->scratch), 0);
    options.ingest = (struct http_ingest_options){.shm_dir = f->scratch->dir,
                                                  .stream_take = stream_take,
                                                  .counters = &f->counters};
    f->config = config_of(config, "[stream mini]\nsinks = mini~1\n[sink mini~1]\ntype = file\n"
                                  "directory = /tmp/mini\n");
    options.config = (struct http_config){config_look, f->config};
    assert_int_equal(http_server_start(&options, &f->server, &f->err), 0);
    assert_int_equal(http_client_open(&f->client, &f->err), 0);
    *state = f;
    return 0;
}

static int setup(void **state)
{
    return setup_with(state, "");
}

static int setup_token(void **state)
{
    return setup_with(state, "[http]\ntoken = s3cret-token\n");
}

static int teardown(void **state)
{
    struct fixture *f = (struct fixture *)*state;

    http_client_close(f->client);
    http_server_stop(f->server);
    fake_shard_stop(&f->shard);
    config_free(f->config);
    assert_int_equal(scratch_teardown((void **)&f->scratch), 0);
    free(f);
    return 0;
}

static struct http_ask ask_of(struct fixture *f, const char *method, const char *path)
{
    (void)snprintf(f->url, sizeof(f->url), "http://127.0.0.1:%d%s", http_server_port(f->server),
                   path);
    return (struct http_ask){ .method = method, .url = f->url, .timeout_ms = 20000,
                              .direct = true };
}

/* Asks and expects a status; the body is the caller's to free(). */
static char *ask_for(struct fixture *f, const struct http_ask *ask, unsigned status)
{
    struct http_answer answer;
    char *text;

    if (http_client_do(f->client, ask, &answer, &f->err) != 0)
        fail_msg("%s %s: %s", ask->method, ask->url, f->err.text);
    text = bytes_take_cstr(&answer.body);
    assert_non_null(text);
    if (answer.status != status)
        fail_msg("%s %s: %u, not %u: %s", ask->method, ask->url, answer.status, status, text);
    return text;
}

/* Asks, expects a status and a text in the body ("": any). */
static void expect(struct fixture *f, const char *method, const char *path, unsigned status,
                   const char *part)
{
    struct http_ask ask = ask_of(f, method, path);
    char *text = ask_for(f, &ask, status);

    if (strstr(text, part) == NULL)
        fail_msg("%s %s: no \"%s\" in: %s", method, path, part, text);
    free(text);
}

static int raw_connect(const struct fixture *f)
{
    struct sockaddr_in addr = { .sin_family = AF_INET,
                                .sin_port = htons((uint16_t)http_server_port(f->server)),
                                .sin_addr = { htonl(INADDR_LOOPBACK) } };
    struct timeval limit = { .tv_sec = 20 };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    return fd;
}

/* It may have refused and closed before all is sent. */
static void raw_send(int fd, const char *data, size_t len)
{
    if (send(fd, data, len, MSG_NOSIGNAL) < 0)
        assert_true(errno == EPIPE || errno == ECONNRESET);
}

/* What the server says to these bytes until it closes. */
static void raw_talk(const struct fixture *f, const char *data, size_t len, char *ret_text,
                     size_t cap)
{
    int fd = raw_connect(f);
    size_t got = 0;
    ssize_t n;

    raw_send(fd, data, len);
    while (got + 1 < cap && (n = recv(fd, ret_text + got, cap - 1 - got, 0)) > 0)
        got += (size_t)n;
    ret_text[got] = '\0';
    (void)close(fd);
}

/* Sends these bytes and leaves. */
static void raw_throw(const struct fixture *f, const char *data, size_t len)
{
    int fd = raw_connect(f);

    raw_send(fd, data, len);
    (void)close(fd);
}

/* One request by hand; the status code of the answer, 0: none. */
static unsigned raw_status(const struct fixture *f, const char *request)
{
    char text[4096];
    unsigned status = 0;

    raw_talk(f, request, strlen(request), text, sizeof(text));
    if (strncmp(text, "HTTP/1.1 ", 9) == 0)
        status = (unsigned)strtoul(text + 9, NULL, 10);
    return status;
}

static void healthz_and_readyz_say_ok(void **state)
{
    struct fixture *f = (struct fixture *)*state;

    expect(f, "GET", "/healthz", 200, "ok");
    expect(f, "GET", "/readyz", 200, "ok");
    expect(f, "HEAD", "/healthz", 200, "");
}

static void readyz_says_why_not(void **state)
{
    struct fixture *f = (struct fixture *)*state;

    atomic_store(&f->shard.ready, false);
    expect(f, "GET", "/readyz", 503, "{\"detail\": \"recovering: 4096 bytes");
    expect(f, "GET", "/healthz", 200, "ok");
    atomic_store(&f->shard.stopping, true);
    expect(f, "GET", "/readyz", 503, "{\"detail\": \"stopping\"}");
}

static void status_is_json_with_integers(void **state)
{
    struct fixture *f = (struct fixture *)*state;
    struct http_ask ask = ask_of(f, "GET", "/v1/status");
    char *text = ask_for(f, &ask, 200);
    json_t *json = json_loads(text, 0, NULL);
    json_t *stream;

    assert_non_null(json);
    stream = json_array_get(json_object_get(json, "streams"), 0);
    assert_int_equal(json_integer_value(json_object_get(stream, "accepted")), 1000);
    json_decref(json);
    free(text);
}

static void metrics_are_prometheus_text(void **state)
{
    struct fixture *f = (struct fixture *)*state;

    expect(f, "GET", "/metrics", 200, "# TYPE hydrant_events_accepted_total counter\n");
    expect(f, "GET", "/metrics", 200,
           "\nhydrant_events_accepted_total{stream=\"clicks\",source=\"ring\"} 990\n");
}

static void flush_answers_when_all_is_delivered(void **state)
{
    struct fixture *f = (struct fixture *)*state;

    expect(f, "POST", "/v1/flush", 200, "{\"flushed\": true}");
    expect(f, "POST", "/v1/streams/clicks/flush?timeout=2.5", 200, "{\"flushed\": true}");
}

static void flush_of_an_unknown_stream_is_404(void **state)
{
    struct fixture *f = (struct fixture *)*state;

    expect(f, "POST", "/v1/streams/unknown/flush", 404, "{\"detail\": ");
    expect(f, "POST", "/v1/streams/-bad/flush", 404, "{\"detail\": ");
    expect(f, "POST", "/v1/streams/a%2fb/flush", 404, "{\"detail\": ");
    expect(f, "POST", "/v1/streams/a%00/flush", 404, "{\"detail\": ");
    expect(f, "POST", "/v1/streams//flush", 404, "{\"detail\": ");
}

static void flush_that_takes_too_long_is_504(void **state)
{
    struct fixture *f = (struct fixture *)*state;

    expect(f, "POST", "/v1/streams/slow/flush?timeout=0.05", 504, "within 0.050 seconds");
    fake_shard_await_kept(&f->shard, 1);
    /* The late answer meets nobody and does no harm. */
    fake_shard_release(&f->shard, 0);
    fake_shard_await_kept(&f->shard, 0);
    expect(f, "GET", "/healthz", 200, "ok");
}

static void bad_timeouts_are_400(void **state)
{
    static const char *const bad[] = { "0", "-1", "x", "", "1x", "1e3", "3601", "0.0001", ".5",
                                       "99999999999999999999", "nan", "0x10", "1.2.3" };
    struct fixture *f = (struct fixture *)*state;
    char path[128];

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        (void)snprintf(path, sizeof(path), "/v1/flush?timeout=%s", bad[i]);
        expect(f, "POST", path, 400, "{\"detail\": ");
    }
}

static void unknown_paths_are_404_and_methods_405(void **state)
{
    struct fixture *f = (struct fixture *)*state;
    char text[4096];
    const char *request = "POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n"
                          "Connection: close\r\n\r\n";

    expect(f, "GET", "/nothing", 404, "{\"detail\": \"Not Found\"}");
    expect(f, "GET", "/healthz/", 404, "");
    expect(f, "GET", "/v1/streams/nobodys", 404, "");
    expect(f, "POST", "/v1/streams/clicks", 405, "");
    expect(f, "GET", "/v1/flush", 405, "{\"detail\": ");
    expect(f, "DELETE", "/v1/streams/clicks/flush", 405, "");
    raw_talk(f, request, strlen(request), text, sizeof(text));
    assert_non_null(strstr(text, "HTTP/1.1 405 "));
    assert_non_null(strstr(text, "\r\nAllow: GET, HEAD\r\n"));
}

static void a_post_with_a_body_needs_a_content_type(void **state)
{
    struct fixture *f = (struct fixture *)*state;
    struct http_ask ask = ask_of(f, "POST", "/v1/flush");

    ask.body = "{}";
    ask.body_len = 2;
    free(ask_for(f, &ask, 415));
    ask.content_type = "text/plain";
    free(ask_for(f, &ask, 415));
    ask.content_type = "application/x-www-form-urlencoded";
    free(ask_for(f, &ask, 415));
    ask.content_type = "application/json; charset=utf-8";
    free(ask_for(f, &ask, 200));
}

static void bodies_over_the_limit_are_413(void **state)
{
    struct fixture *f = (struct fixture *)*state;
    struct http_ask ask = ask_of(f, "POST", "/v1/flush");
    size_t len = BODY_MAX + BODY_MAX / 2;
    char *body = malloc(len);
    char head[256];
    char text[4096];
    struct bytes raw = BYTES_INIT;

    assert_non_null(body);
    memset(body, ' ', len);
    ask.body = body;
    ask.content_type = "application/json";
    ask.body_len = BODY_MAX;
    free(ask_for(f, &ask, 200));

    /* By its Content-Length: refused before the body comes. */
    (void)snprintf(head, sizeof(head), "POST /v1/flush HTTP/1.1\r\nHost: localhost\r\n"
                   "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n", len);
    assert_int_equal(raw_status(f, head), 413);

    /* Chunked: found out on the way, and one that goes on for ever is cut off. */
    assert_int_equal(bytes_printf(&raw, "POST /v1/flush HTTP/1.1\r\nHost: localhost\r\n"
                                  "Content-Type: application/json\r\n"
                                  "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n%zx\r\n",
                                  len), 0);
    assert_int_equal(bytes_append(&raw, body, len), 0);
    assert_int_equal(bytes_append_str(&raw, "\r\n0\r\n\r\n"), 0);
    raw_talk(f, (const char *)raw.data, raw.len, text, sizeof(text));
    assert_non_null(strstr(text, "HTTP/1.1 413 "));
    bytes_free(&raw);
    free(body);
}

static void the_token_is_asked_of_all_but_the_probes(void **state)
{
    static const char *const wrong[] = { "s3cret-toke", "s3cret-token2", "S3cret-token", "x" };
    struct fixture *f = (struct fixture *)*state;
    struct http_ask ask;
    char text[4096];
    const char *request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

    expect(f, "GET", "/healthz", 200, "ok");
    expect(f, "GET", "/readyz", 200, "ok");
    expect(f, "GET", "/metrics", 401, "{\"detail\": ");
    expect(f, "POST", "/v1/flush", 401, "{\"detail\": ");
    expect(f, "GET", "/nothing", 401, "{\"detail\": ");
    ask = ask_of(f, "GET", "/v1/status");
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        ask.token = wrong[i];
        free(ask_for(f, &ask, 401));
    }
    ask.token = "s3cret-token";
    free(ask_for(f, &ask, 200));
    raw_talk(f, request, strlen(request), text, sizeof(text));
    assert_non_null(strstr(text, "\r\nWWW-Authenticate: Bearer\r\n"));
}

static void a_foreign_host_or_origin_is_refused(void **state)
{
    struct fixture *f = (struct fixture *)*state;
    char request[512];

#define HEAD(extra) "GET /healthz HTTP/1.1\r\nConnection: close\r\n" extra "\r\n"
    assert_int_equal(raw_status(f, HEAD("Host: localhost\r\n")), 200);
    assert_int_equal(raw_status(f, HEAD("Host: localhost:8000\r\n")), 200);
    assert_int_equal(raw_status(f, HEAD("Host: [::1]:8000\r\n")), 200);
    assert_int_equal(raw_status(f, HEAD("Host: evil.example\r\n")), 403);
    assert_int_equal(raw_status(f, HEAD("Host: localhost.evil.example\r\n")), 403);
    assert_int_equal(raw_status(f, HEAD("Host: 10.1.2.3\r\n")), 403);
    assert_int_equal(raw_status(f, HEAD("")), 400);
    assert_int_equal(raw_status(f, "GET /healthz HTTP/1.0\r\n\r\n"), 200);
    assert_int_equal(raw_status(f, HEAD("Host: localhost\r\nOrigin: http://evil.example\r\n")),
                     403);
    assert_int_equal(raw_status(f, HEAD("Host: localhost\r\nOrigin: null\r\n")), 403);
    (void)snprintf(request, sizeof(request),
                   HEAD("Host: 127.0.0.1:%d\r\nOrigin: http://127.0.0.1:%d\r\n"),
                   http_server_port(f->server), http_server_port(f->server));
    assert_int_equal(raw_status(f, request), 200);
#undef HEAD
}

/* Puts a body into stream s. */
static void expect_put(struct fixture *f, const char *query, const char *type, const char *body,
                       unsigned status, const char *part)
{
    char path[80];
    struct http_ask ask;
    char *text;

    (void)snprintf(path, sizeof(path), "/v1/streams/s/events%s", query);
    ask = ask_of(f, "POST", path);
    ask.content_type = type;
    ask.body = body;
    ask.body_len = strlen(body);
    text = ask_for(f, &ask, status);
    if (strstr(text, part) == NULL)
        fail_msg("%s: no \"%s\" in: %s", body, part, text);
    free(text);
}

static void events_are_taken_all_or_none(void **state)
{
    static const char json[] = "application/json", lines[] = "application/x-ndjson; charset=utf-8";
    struct fixture *f = (struct fixture *)*state;
    struct http_ask ask;

    expect_put(f, "", json, "{\"a\":1}", 202, "{\"accepted\": 1}");
    expect_put(f, "?ack=accepted", json, "[{},{}]", 202, "{\"accepted\": 2}");
    expect_put(f, "", lines, "{}\nplain text\n", 202, "{\"accepted\": 2}");
    assert_int_equal(f->counters.events[INTAKE_HTTP], 5);
    expect_put(f, "", json, "[{},7]", 422, "element 2, at byte 5: not a JSON object; no event");
    expect_put(f, "", json, "", 422, "the body is empty");
    expect_put(f, "", "text/plain", "x", 415, "application/x-ndjson");
    expect_put(f, "?ack=perhaps", json, "{}", 400, "ack: accepted or durable");
    expect_put(f, "?ack=durable&timeout=0", json, "{}", 400, "timeout");
    expect_put(f, "?ack=durable&timeout=0.05", json, "{}", 504, "taken, but are not durable yet");
    expect(f, "GET", "/v1/streams/s/events", 405, "");
    expect(f, "POST", "/v1/streams/-/events", 404, "");
    ask = ask_of(f, "POST", "/v1/streams/too-many/events");
    ask.content_type = json;
    ask.body = "{}";
    ask.body_len = 2;
    free(ask_for(f, &ask, 503));
    assert_int_equal(f->counters.events[INTAKE_HTTP], 6);
}

static void codings_that_are_not_known_are_415(void **state)
{
    struct fixture *f = (struct fixture *)*state;

#define PUT(coding, body) "POST /v1/streams/s/events HTTP/1.1\r\nConnection: close\r\n" \
    "Host: localhost\r\nContent-Type: application/json\r\nContent-Length: 2\r\n" \
    "Content-Encoding: " coding "\r\n\r\n" body
    assert_int_equal(raw_status(f, PUT("identity", "{}")), 202);
    assert_int_equal(raw_status(f, PUT("br", "{}")), 415);
    assert_int_equal(raw_status(f, PUT("aws-chunked", "{}")), 415);
    assert_int_equal(raw_status(f, PUT("gzip", "{}")), 422);
#undef PUT
}

static void shut_lets_the_ring_go_and_answers_all_else(void **state)
{
    struct fixture *f = (struct fixture *)*state;

    expect_put(f, "", "application/json", "{}", 202, "");
    while (!http_server_shut(f->server))
        expect(f, "GET", "/healthz", 200, "ok");
    expect_put(f, "", "application/json", "{}", 503, "stopping");
    expect(f, "GET", "/healthz", 200, "ok");
    assert_int_equal(f->counters.events[INTAKE_HTTP], 1);
}

static void stop_answers_those_that_wait_for_a_sync(void **state)
{
    static const char request[] = "POST /v1/streams/s/events?ack=durable HTTP/1.1\r\n"
                                  "Host: localhost\r\nContent-Type: application/json\r\n"
                                  "Content-Length: 2\r\n\r\n{}";
    struct fixture *f = (struct fixture *)*state;
    char text[1024];
    int fd = raw_connect(f);
    ssize_t n;

    assert_int_equal(send(fd, request, sizeof(request) - 1, 0), sizeof(request) - 1);
    while (atomic_load(&f->counters.events[INTAKE_HTTP]) == 0)
        expect(f, "GET", "/healthz", 200, "ok");
    http_server_stop(f->server);
    f->server = NULL;
    n = recv(fd, text, sizeof(text) - 1, 0);
    assert_true(n > 0);
    text[n] = '\0';
    assert_non_null(strstr(text, "HTTP/1.1 504 "));
    (void)close(fd);
}

static void a_silent_shard_fails_the_health_check(void **state)
{
    struct fixture *f = (struct fixture *)*state;
    uint64_t start_ns = http_now_ns();

    atomic_store(&f->shard.silent, true);
    expect(f, "GET", "/healthz", 503, "{\"detail\": \"the agent has not answered within 5");
    assert_true(http_now_ns() - start_ns >= 5000000000U);
    fake_shard_release(&f->shard, 0);
    fake_shard_await_kept(&f->shard, 0);
    atomic_store(&f->shard.silent, false);
    expect(f, "GET", "/healthz", 200, "ok");
}

static void a_client_that_leaves_in_mid_wait_does_no_harm(void **state)
{
    static const char request[] = "POST /v1/streams/slow/flush HTTP/1.1\r\nHost: localhost\r\n"
                                  "Content-Length: 0\r\n\r\n";
    struct fixture *f = (struct fixture *)*state;

    for (int i = 0; i < 20; i++) {
        int fd = raw_connect(f);
        struct linger hard = { .l_onoff = 1 };

        assert_int_equal(send(fd, request, sizeof(request) - 1, 0), sizeof(request) - 1);
        fake_shard_await_kept(&f->shard, 1);
        if (i % 2 == 0) /* a reset instead of an orderly end */
            (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
        (void)close(fd);
        fake_shard_release(&f->shard, 0);
        fake_shard_await_kept(&f->shard, 0);
    }
    expect(f, "GET", "/healthz", 200, "ok");
}

static void hanging_flushes_are_bounded_and_leave_room(void **state)
{
    static const char request[] = "POST /v1/streams/slow/flush HTTP/1.1\r\nHost: localhost\r\n"
                                  "Content-Length: 0\r\nConnection: close\r\n\r\n";
    struct fixture *f = (struct fixture *)*state;
    int fds[HTTP_WAITS_MAX];
    char text[1024];

    for (int i = 0; i < HTTP_WAITS_MAX; i++) {
        fds[i] = raw_connect(f);
        assert_int_equal(send(fds[i], request, sizeof(request) - 1, 0), sizeof(request) - 1);
    }
    fake_shard_await_kept(&f->shard, HTTP_WAITS_MAX);
    raw_talk(f, request, sizeof(request) - 1, text, sizeof(text));
    assert_non_null(strstr(text, "HTTP/1.1 503 "));
    assert_non_null(strstr(text, "\r\nRetry-After: 1\r\n"));
    expect(f, "GET", "/v1/status", 200, "");

    fake_shard_release(&f->shard, 0);
    for (int i = 0; i < HTTP_WAITS_MAX; i++) {
        ssize_t n = recv(fds[i], text, sizeof(text) - 1, 0);

        assert_true(n > 0);
        text[n] = '\0';
        assert_non_null(strstr(text, "HTTP/1.1 200 "));
        (void)close(fds[i]);
    }
}

static void stop_answers_those_that_wait(void **state)
{
    static const char request[] = "POST /v1/streams/slow/flush HTTP/1.1\r\nHost: localhost\r\n"
                                  "Content-Length: 0\r\n\r\n";
    struct fixture *f = (struct fixture *)*state;
    uint64_t start_ns;
    char text[1024];
    int idle = raw_connect(f);
    int fd = raw_connect(f);
    ssize_t n;

    assert_int_equal(send(fd, request, sizeof(request) - 1, 0), sizeof(request) - 1);
    fake_shard_await_kept(&f->shard, 1);
    start_ns = http_now_ns();
    http_server_stop(f->server);
    f->server = NULL;
    assert_true(http_now_ns() - start_ns < 5000000000U);
    n = recv(fd, text, sizeof(text) - 1, 0);
    assert_true(n > 0);
    text[n] = '\0';
    assert_non_null(strstr(text, "HTTP/1.1 503 "));
    assert_non_null(strstr(text, "stopping"));
    (void)close(fd);
    (void)close(idle);
    /* The shard answers long after the server is gone. */
    fake_shard_release(&f->shard, 0);
    fake_shard_await_kept(&f->shard, 0);
}

static void a_closed_mailbox_is_503(void **state)
{
    struct fixture *f = (struct fixture *)*state;

    fake_shard_stop(&f->shard);
    expect(f, "GET", "/healthz", 503, "stopping");
    expect(f, "POST", "/v1/flush", 503, "stopping");

    http_server_stop(f->server);
    http_client_close(f->client);
    fake_shard_start(&f->shard); /* for the teardown */
    f->server = NULL;
    f->client = NULL;
}

static void every_cut_of_a_request_is_survived(void **state)
{
    static const char request[] = "POST /v1/flush?timeout=1 HTTP/1.1\r\nHost: localhost\r\n"
                                  "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
    struct fixture *f = (struct fixture *)*state;

    for (size_t len = 0; len < sizeof(request); len++)
        raw_throw(f, request, len);
    expect(f, "GET", "/healthz", 200, "ok");
}

static void a_request_byte_by_byte_is_answered(void **state)
{
    static const char request[] = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
                                  "Connection: close\r\n\r\n";
    struct fixture *f = (struct fixture *)*state;
    int fd = raw_connect(f);
    char text[1024];
    ssize_t n;

    for (size_t i = 0; i < sizeof(request) - 1; i++) {
        assert_int_equal(send(fd, request + i, 1, 0), 1);
        if (i % 7 == 0) /* others are served meanwhile */
            expect(f, "GET", "/readyz", 200, "ok");
    }
    n = recv(fd, text, sizeof(text) - 1, 0);
    assert_true(n > 12);
    assert_memory_equal(text, "HTTP/1.1 200 ", 13);
    (void)close(fd);
}

static void random_bytes_and_giant_heads_are_survived(void **state)
{
    struct fixture *f = (struct fixture *)*state;
    unsigned seed = 20260203;
    char junk[2000];
    char text[4096];
    struct bytes head = BYTES_INIT;

    for (int round = 0; round < 200; round++) {
        size_t len = (size_t)(rand_r(&seed) % (int)sizeof(junk));
        bool plausible = round % 2 == 0 && len > 40;

        for (size_t i = 0; i < len; i++)
            junk[i] = (char)rand_r(&seed);
        if (plausible)
            memcpy(junk, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n", 40);
        raw_throw(f, junk, len);
    }
    assert_int_equal(bytes_append_str(&head, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n"), 0);
    for (int i = 0; i < 5000; i++)
        assert_int_equal(bytes_printf(&head, "X-Header-%d: some value\r\n", i), 0);
    raw_talk(f, (const char *)head.data, head.len, text, sizeof(text));
    assert_null(strstr(text, "HTTP/1.1 200"));
    bytes_free(&head);
    expect(f, "GET", "/healthz", 200, "ok");
}

static void a_port_in_use_is_a_clear_error(void **state)
{
    struct fixture *f = (struct fixture *)*state;
    struct http_server_options options = {
        .mailbox = &f->shard.box,
        .ingest = {.shm_dir = f->scratch->dir, .counters = &f->counters},
    };
    struct http_server *second = NULL;
    char at[32];

    (void)snprintf(at, sizeof(at), "127.0.0.1:%d", http_server_port(f->server));
    options.listen = at;
    assert_int_equal(http_server_start(&options, &second, &f->err), -EADDRINUSE);
    assert_non_null(strstr(f->err.text, at));
    options.listen = "nonsense";
    assert_int_equal(http_server_start(&options, &second, &f->err), -EINVAL);
    assert_null(second);
    http_server_stop(NULL);
}

/* Sends a request that somebody has to answer, and leaves it at that. */
static int raw_begin(const struct fixture *f, const char *request)
{
    int fd = raw_connect(f);

    raw_send(fd, request, strlen(request));
    return fd;
}

static void raw_expect(int fd, const char *status, const char *part)
{
    char text[4096];
    size_t got = 0;
    ssize_t n;

    while (got + 1 < sizeof(text) && (n = recv(fd, text + got, sizeof(text) - 1 - got, 0)) > 0)
        got += (size_t)n;
    text[got] = '\0';
    (void)close(fd);
    if (strstr(text, status) == NULL || strstr(text, part) == NULL)
        fail_msg("no \"%s\" and \"%s\" in: %s", status, part, text);
}

static void what_is_configured_is_answered_when_it_is_done(void **state)
{
    static const char request[] =
        "PUT /v1/streams/a HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        "Content-Length: 2\r\nConnection: close\r\n\r\n{}";
    static const struct {
        int result;
        const char *status, *part;
    } rows[] = {{-EPERM, " 409 ", "another part of the API"},
                {-ENOMEM, " 503 ", "out of memory"},
                {0, " 404 ", "Stream not found"}};     /* done, says whoever did nothing */
    struct fixture *f = (struct fixture *)*state;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int fd = raw_begin(f, request);

        fake_shard_await_ever(&f->shard, (unsigned)i + 1);
        fake_shard_release(&f->shard, rows[i].result);
        raw_expect(fd, rows[i].status, rows[i].part);
    }
}

static void a_deletion_asks_one_after_the_other(void **state)
{
    static const char request[] = "DELETE /minifirehoses/mini HTTP/1.1\r\nHost: localhost\r\n"
                                  "Connection: close\r\n\r\n";
    struct fixture *f = (struct fixture *)*state;
    struct http_ask ask = ask_of(f, "POST", "/minifirehoses/mini/message");
    int fd = raw_begin(f, request);

    ask.body = "{\"message\": \"x\"}";
    ask.body_len = strlen(ask.body);
    ask.content_type = "application/json";
    fake_shard_await_ever(&f->shard, 1);        /* it is being sealed: */
    free(ask_for(f, &ask, 404));                /* nothing comes behind */
    fake_shard_release(&f->shard, 0);
    fake_shard_await_ever(&f->shard, 2);        /* it is being forgotten */
    fake_shard_release(&f->shard, 0);
    raw_expect(fd, " 200 ", "MiniFirehose 'mini' deleted");
    free(ask_for(f, &ask, 200));                /* as far as the configuration here says */

    fd = raw_begin(f, request);                 /* its client leaves */
    fake_shard_await_ever(&f->shard, 3);
    (void)close(fd);
    fake_shard_release(&f->shard, 0);
    fake_shard_await_ever(&f->shard, 4);
    fake_shard_release(&f->shard, -ENOENT);
    expect(f, "GET", "/healthz", 200, "ok");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(healthz_and_readyz_say_ok),
        TEST(readyz_says_why_not),
        TEST(status_is_json_with_integers),
        TEST(metrics_are_prometheus_text),
        TEST(flush_answers_when_all_is_delivered),
        TEST(flush_of_an_unknown_stream_is_404),
        TEST(flush_that_takes_too_long_is_504),
        TEST(bad_timeouts_are_400),
        TEST(unknown_paths_are_404_and_methods_405),
        TEST(a_post_with_a_body_needs_a_content_type),
        TEST(bodies_over_the_limit_are_413),
        cmocka_unit_test_setup_teardown(what_is_configured_is_answered_when_it_is_done, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_deletion_asks_one_after_the_other, setup, teardown),
        cmocka_unit_test_setup_teardown(the_token_is_asked_of_all_but_the_probes, setup_token,
                                        teardown),
        TEST(a_foreign_host_or_origin_is_refused),
        TEST(a_silent_shard_fails_the_health_check),
        TEST(a_client_that_leaves_in_mid_wait_does_no_harm),
        TEST(hanging_flushes_are_bounded_and_leave_room),
        TEST(stop_answers_those_that_wait),
        TEST(events_are_taken_all_or_none),
        TEST(codings_that_are_not_known_are_415),
        TEST(shut_lets_the_ring_go_and_answers_all_else),
        TEST(stop_answers_those_that_wait_for_a_sync),
        TEST(a_closed_mailbox_is_503),
        TEST(every_cut_of_a_request_is_survived),
        TEST(a_request_byte_by_byte_is_answered),
        TEST(random_bytes_and_giant_heads_are_survived),
        TEST(a_port_in_use_is_a_clear_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
