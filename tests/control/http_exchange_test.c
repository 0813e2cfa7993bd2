/*
 * http_exchange: requests that are let in or not, bodies, waits, and clients that misbehave.
 */
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/http_fixture.h"
#include "control/http_wait.h"

static int setup_token(void **state)
{
    return hf_setup_with(state, "[http]\ntoken = s3cret-token\n");
}

/* Sends these bytes and leaves. */
static void raw_throw(const struct http_fixture *f, const char *data, size_t len)
{
    int fd = hf_connect(f);

    hf_send(fd, data, len);
    (void)close(fd);
}

/* One request by hand; the status code of the answer, 0: none. */
static unsigned raw_status(const struct http_fixture *f, const char *request)
{
    char text[4096];
    unsigned status = 0;

    hf_talk(f, request, strlen(request), text, sizeof(text));
    if (strncmp(text, "HTTP/1.1 ", 9) == 0)
        status = (unsigned)strtoul(text + 9, NULL, 10);
    return status;
}

static void a_post_with_a_body_needs_a_content_type(void **state)
{
    struct http_fixture *f = (struct http_fixture *)*state;
    struct http_ask ask = hf_ask_of(f, "POST", "/v1/flush");

    ask.body = "{}";
    ask.body_len = 2;
    free(hf_ask_for(f, &ask, 415));
    ask.content_type = "text/plain";
    free(hf_ask_for(f, &ask, 415));
    ask.content_type = "application/x-www-form-urlencoded";
    free(hf_ask_for(f, &ask, 415));
    ask.content_type = "application/json; charset=utf-8";
    free(hf_ask_for(f, &ask, 200));
}

static void bodies_over_the_limit_are_413(void **state)
{
    struct http_fixture *f = (struct http_fixture *)*state;
    struct http_ask ask = hf_ask_of(f, "POST", "/v1/flush");
    size_t len = HF_BODY_MAX + HF_BODY_MAX / 2;
    char *body = malloc(len);
    char head[256];
    char text[4096];
    struct bytes raw = BYTES_INIT;

    assert_non_null(body);
    memset(body, ' ', len);
    ask.body = body;
    ask.content_type = "application/json";
    ask.body_len = HF_BODY_MAX;
    free(hf_ask_for(f, &ask, 200));

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
    hf_talk(f, (const char *)raw.data, raw.len, text, sizeof(text));
    assert_non_null(strstr(text, "HTTP/1.1 413 "));
    bytes_free(&raw);
    free(body);
}

static void the_token_is_asked_of_all_but_the_probes(void **state)
{
    static const char *const wrong[] = { "s3cret-toke", "s3cret-token2", "S3cret-token", "x" };
    struct http_fixture *f = (struct http_fixture *)*state;
    struct http_ask ask;
    char text[4096];
    const char *request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

    hf_expect(f, "GET", "/healthz", 200, "ok");
    hf_expect(f, "GET", "/readyz", 200, "ok");
    hf_expect(f, "GET", "/metrics", 401, "{\"detail\": ");
    hf_expect(f, "POST", "/v1/flush", 401, "{\"detail\": ");
    hf_expect(f, "GET", "/nothing", 401, "{\"detail\": ");
    ask = hf_ask_of(f, "GET", "/v1/status");
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        ask.token = wrong[i];
        free(hf_ask_for(f, &ask, 401));
    }
    ask.token = "s3cret-token";
    free(hf_ask_for(f, &ask, 200));
    hf_talk(f, request, strlen(request), text, sizeof(text));
    assert_non_null(strstr(text, "\r\nWWW-Authenticate: Bearer\r\n"));
}

static void a_foreign_host_or_origin_is_refused(void **state)
{
    struct http_fixture *f = (struct http_fixture *)*state;
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

static void codings_that_are_not_known_are_415(void **state)
{
    struct http_fixture *f = (struct http_fixture *)*state;

#define PUT(coding, body) "POST /v1/streams/s/events HTTP/1.1\r\nConnection: close\r\n" \
    "Host: localhost\r\nContent-Type: application/json\r\nContent-Length: 2\r\n" \
    "Content-Encoding: " coding "\r\n\r\n" body
    assert_int_equal(raw_status(f, PUT("identity", "{}")), 202);
    assert_int_equal(raw_status(f, PUT("br", "{}")), 415);
    assert_int_equal(raw_status(f, PUT("aws-chunked", "{}")), 415);
    assert_int_equal(raw_status(f, PUT("gzip", "{}")), 422);
#undef PUT
}

static void a_silent_shard_fails_the_health_check(void **state)
{
    struct http_fixture *f = (struct http_fixture *)*state;
    uint64_t start_ns = http_now_ns();

    atomic_store(&f->shard.silent, true);
    hf_expect(f, "GET", "/healthz", 503, "{\"detail\": \"the agent has not answered within 5");
    assert_true(http_now_ns() - start_ns >= 5000000000U);
    fake_shard_release(&f->shard, 0);
    fake_shard_await_kept(&f->shard, 0);
    atomic_store(&f->shard.silent, false);
    hf_expect(f, "GET", "/healthz", 200, "ok");
}

static void a_client_that_leaves_in_mid_wait_does_no_harm(void **state)
{
    static const char request[] = "POST /v1/streams/slow/flush HTTP/1.1\r\nHost: localhost\r\n"
                                  "Content-Length: 0\r\n\r\n";
    struct http_fixture *f = (struct http_fixture *)*state;

    for (int i = 0; i < 20; i++) {
        int fd = hf_connect(f);
        struct linger hard = { .l_onoff = 1 };

        assert_int_equal(send(fd, request, sizeof(request) - 1, 0), sizeof(request) - 1);
        fake_shard_await_kept(&f->shard, 1);
        if (i % 2 == 0) /* a reset instead of an orderly end */
            (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
        (void)close(fd);
        fake_shard_release(&f->shard, 0);
        fake_shard_await_kept(&f->shard, 0);
    }
    hf_expect(f, "GET", "/healthz", 200, "ok");
}

static void hanging_flushes_are_bounded_and_leave_room(void **state)
{
    static const char request[] = "POST /v1/streams/slow/flush HTTP/1.1\r\nHost: localhost\r\n"
                                  "Content-Length: 0\r\nConnection: close\r\n\r\n";
    struct http_fixture *f = (struct http_fixture *)*state;
    int fds[HTTP_WAITS_MAX];
    char text[1024];

    for (int i = 0; i < HTTP_WAITS_MAX; i++) {
        fds[i] = hf_connect(f);
        assert_int_equal(send(fds[i], request, sizeof(request) - 1, 0), sizeof(request) - 1);
    }
    fake_shard_await_kept(&f->shard, HTTP_WAITS_MAX);
    hf_talk(f, request, sizeof(request) - 1, text, sizeof(text));
    assert_non_null(strstr(text, "HTTP/1.1 503 "));
    assert_non_null(strstr(text, "\r\nRetry-After: 1\r\n"));
    hf_expect(f, "GET", "/v1/status", 200, "");

    fake_shard_release(&f->shard, 0);
    for (int i = 0; i < HTTP_WAITS_MAX; i++) {
        ssize_t n = recv(fds[i], text, sizeof(text) - 1, 0);

        assert_true(n > 0);
        text[n] = '\0';
        assert_non_null(strstr(text, "HTTP/1.1 200 "));
        (void)close(fds[i]);
    }
}

static void every_cut_of_a_request_is_survived(void **state)
{
    static const char request[] = "POST /v1/flush?timeout=1 HTTP/1.1\r\nHost: localhost\r\n"
                                  "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
    struct http_fixture *f = (struct http_fixture *)*state;

    for (size_t len = 0; len < sizeof(request); len++)
        raw_throw(f, request, len);
    hf_expect(f, "GET", "/healthz", 200, "ok");
}

static void a_request_byte_by_byte_is_answered(void **state)
{
    static const char request[] = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
                                  "Connection: close\r\n\r\n";
    struct http_fixture *f = (struct http_fixture *)*state;
    int fd = hf_connect(f);
    char text[1024];
    ssize_t n;

    for (size_t i = 0; i < sizeof(request) - 1; i++) {
        assert_int_equal(send(fd, request + i, 1, 0), 1);
        if (i % 7 == 0) /* others are served meanwhile */
            hf_expect(f, "GET", "/readyz", 200, "ok");
    }
    n = recv(fd, text, sizeof(text) - 1, 0);
    assert_true(n > 12);
    assert_memory_equal(text, "HTTP/1.1 200 ", 13);
    (void)close(fd);
}

static void random_bytes_and_giant_heads_are_survived(void **state)
{
    struct http_fixture *f = (struct http_fixture *)*state;
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
    hf_talk(f, (const char *)head.data, head.len, text, sizeof(text));
    assert_null(strstr(text, "HTTP/1.1 200"));
    bytes_free(&head);
    hf_expect(f, "GET", "/healthz", 200, "ok");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, hf_setup, hf_teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_post_with_a_body_needs_a_content_type),
        TEST(bodies_over_the_limit_are_413),
        cmocka_unit_test_setup_teardown(the_token_is_asked_of_all_but_the_probes, setup_token,
                                        hf_teardown),
        TEST(a_foreign_host_or_origin_is_refused),
        TEST(codings_that_are_not_known_are_415),
        TEST(a_silent_shard_fails_the_health_check),
        TEST(a_client_that_leaves_in_mid_wait_does_no_harm),
        TEST(hanging_flushes_are_bounded_and_leave_room),
        TEST(every_cut_of_a_request_is_survived),
        TEST(a_request_byte_by_byte_is_answered),
        TEST(random_bytes_and_giant_heads_are_survived),
    };

    return cmocka_run_group_tests_name("http_exchange", tests, NULL, NULL);
}
