/*
 * http_server: how it starts, lets go and ends, with requests under way.
 */
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/http_call.h"
#include "control/http_fixture.h"
#include "control/http_wait.h"

static void shut_lets_the_ring_go_and_answers_all_else(void **state)
{
    struct http_fixture *f = (struct http_fixture *)*state;

    hf_expect_put(f, "", "application/json", "{}", 202, "");
    while (!http_server_shut(f->server))
        hf_expect(f, "GET", "/healthz", 200, "ok");
    hf_expect_put(f, "", "application/json", "{}", 503, "stopping");
    hf_expect(f, "GET", "/healthz", 200, "ok");
    assert_int_equal(f->counters.events[INTAKE_HTTP], 1);
}

static void stop_answers_those_that_wait_for_a_sync(void **state)
{
    static const char request[] = "POST /v1/streams/s/events?ack=durable HTTP/1.1\r\n"
                                  "Host: localhost\r\nContent-Type: application/json\r\n"
                                  "Content-Length: 2\r\n\r\n{}";
    struct http_fixture *f = (struct http_fixture *)*state;
    char text[1024];
    int fd = hf_connect(f);
    ssize_t n;

    assert_int_equal(send(fd, request, sizeof(request) - 1, 0), sizeof(request) - 1);
    while (atomic_load(&f->counters.events[INTAKE_HTTP]) == 0)
        hf_expect(f, "GET", "/healthz", 200, "ok");
    http_server_stop(f->server);
    f->server = NULL;
    n = recv(fd, text, sizeof(text) - 1, 0);
    assert_true(n > 0);
    text[n] = '\0';
    assert_non_null(strstr(text, "HTTP/1.1 504 "));
    (void)close(fd);
}

static void stop_answers_those_that_wait(void **state)
{
    static const char request[] = "POST /v1/streams/slow/flush HTTP/1.1\r\nHost: localhost\r\n"
                                  "Content-Length: 0\r\n\r\n";
    struct http_fixture *f = (struct http_fixture *)*state;
    uint64_t start_ns;
    char text[1024];
    int idle = hf_connect(f);
    int fd = hf_connect(f);
    ssize_t n;

    assert_int_equal(send(fd, request, sizeof(request) - 1, 0), sizeof(request) - 1);
    fake_shard_await_kept(&f->shard, 1);
    start_ns = http_now_ns();
    http_server_stop(f->server);
    f->server = NULL;
    assert_true(http_now_ns() - start_ns < HTTP_FLUSH_TIMEOUT_S / 2 * 1000000000ULL);
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
    struct http_fixture *f = (struct http_fixture *)*state;

    fake_shard_stop(&f->shard);
    hf_expect(f, "GET", "/healthz", 503, "stopping");
    hf_expect(f, "POST", "/v1/flush", 503, "stopping");

    http_server_stop(f->server);
    http_client_close(f->client);
    fake_shard_start(&f->shard); /* for the teardown */
    f->server = NULL;
    f->client = NULL;
}

static void a_port_in_use_is_a_clear_error(void **state)
{
    struct http_fixture *f = (struct http_fixture *)*state;
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

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, hf_setup, hf_teardown)
    const struct CMUnitTest tests[] = {
        TEST(shut_lets_the_ring_go_and_answers_all_else),
        TEST(stop_answers_those_that_wait_for_a_sync),
        TEST(stop_answers_those_that_wait),
        TEST(a_closed_mailbox_is_503),
        TEST(a_port_in_use_is_a_clear_error),
    };

    return cmocka_run_group_tests_name("http_server", tests, NULL, NULL);
}
