/*
 * http: the client against a server that says exactly what the test wants.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sink/http.h"

enum { REQUEST_MAX = 8192 };

/* Takes one connection, reads a request and answers. */
struct script {
    const char *answer;         /* NULL: none, the connection stays until the client goes */
    bool reset;                 /* ends by a reset */
    int listener;
    int port;
    pthread_t thread;
    char request[REQUEST_MAX];  /* what came */
};

static bool request_whole(const char *text, size_t len)
{
    const char *end = strstr(text, "\r\n\r\n");
    const char *length = strstr(text, "Content-Length: ");

    if (end == NULL)
        return false;
    return length == NULL || len >= (size_t)(end + 4 - text) + strtoul(length + 16, NULL, 10);
}

static void *script_main(void *arg)
{
    struct script *s = (struct script *)arg;
    struct linger hard = { .l_onoff = 1 };
    size_t len = 0;
    ssize_t n;
    int fd = accept(s->listener, NULL, NULL);

    if (fd < 0)
        return s;
    while (!request_whole(s->request, len) && len + 1 < REQUEST_MAX &&
           (n = recv(fd, s->request + len, REQUEST_MAX - 1 - len, 0)) > 0) {
        len += (size_t)n;
        s->request[len] = '\0';
    }
    if (s->answer == NULL && !s->reset) /* until the client gives up */
        while (recv(fd, s->request, 1, 0) > 0)
            continue;
    else if (s->answer != NULL)
        (void)send(fd, s->answer, strlen(s->answer), MSG_NOSIGNAL);
    if (s->reset)
        (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
    (void)close(fd);
    return NULL;
}

static int listener_open(int *ret_port)
{
    struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    socklen_t len = sizeof(addr);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    assert_int_equal(listen(fd, 4), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
    *ret_port = ntohs(addr.sin_port);
    return fd;
}

static void script_start(struct script *s, const char *answer, bool reset)
{
    memset(s, 0, sizeof(*s));
    s->answer = answer;
    s->reset = reset;
    s->listener = listener_open(&s->port);
    assert_int_equal(pthread_create(&s->thread, NULL, script_main, s), 0);
}

static void script_end(struct script *s)
{
    void *failed;

    assert_int_equal(pthread_join(s->thread, &failed), 0);
    assert_null(failed);
    (void)close(s->listener);
}

struct fixture {
    struct http_client *client;
    struct http_answer answer;
    struct errmsg err;
    char url[64];
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    assert_int_equal(http_client_open(&f->client, &f->err), 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = (struct fixture *)*state;

    http_answer_free(&f->answer);
    http_client_close(f->client);
    http_client_close(NULL);
    free(f);
    return 0;
}

static struct http_ask ask_of(struct fixture *f, int port)
{
    (void)snprintf(f->url, sizeof(f->url), "http://127.0.0.1:%d/path", port);
    return (struct http_ask){ .method = "GET", .url = f->url, .timeout_ms = 20000,
                              .direct = true };
}

static void a_get_brings_status_and_body(void **state)
{
    struct fixture *f = (struct fixture *)*state;
    struct script s;
    struct http_ask ask;

    script_start(&s, "HTTP/1.1 503 No\r\nContent-Length: 5\r\n\r\nhello", false);
    ask = ask_of(f, s.port);
    ask.token = "abc";
    assert_int_equal(http_client_do(f->client, &ask, &f->answer, &f->err), 0);
    script_end(&s);
    assert_int_equal(f->answer.status, 503);
    assert_int_equal(f->answer.body.len, 5);
    assert_memory_equal(f->answer.body.data, "hello", 5);
    assert_memory_equal(s.request, "GET /path HTTP/1.1\r\n", 20);
    assert_non_null(strstr(s.request, "\r\nAuthorization: Bearer abc\r\n"));
    assert_null(strstr(s.request, "\r\nContent-Type:"));
}

static void a_post_sends_its_body(void **state)
{
    struct fixture *f = (struct fixture *)*state;
    struct script s;
    struct http_ask ask;

    script_start(&s, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", false);
    ask = ask_of(f, s.port);
    ask.method = "POST";
    ask.body = "{\"a\": 1}\n";
    ask.body_len = 9;
    ask.content_type = "application/json";
    ask.content_encoding = "identity";
    assert_int_equal(http_client_do(f->client, &ask, &f->answer, &f->err), 0);
    script_end(&s);
    assert_int_equal(f->answer.status, 200);
    assert_memory_equal(s.request, "POST /path HTTP/1.1\r\n", 21);
    assert_non_null(strstr(s.request, "\r\nContent-Type: application/json\r\n"));
    assert_non_null(strstr(s.request, "\r\nContent-Encoding: identity\r\n"));
    assert_non_null(strstr(s.request, "\r\nContent-Length: 9\r\n"));
    assert_non_null(strstr(s.request, "\r\n\r\n{\"a\": 1}\n"));
    assert_null(strstr(s.request, "Authorization"));
    assert_null(strstr(s.request, "Expect"));
}

static void a_post_without_body_has_length_zero_and_no_type(void **state)
{
    struct fixture *f = (struct fixture *)*state;
    struct script s;
    struct http_ask ask;

    script_start(&s, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", false);
    ask = ask_of(f, s.port);
    ask.method = "POST";
    assert_int_equal(http_client_do(f->client, &ask, &f->answer, &f->err), 0);
    script_end(&s);
    assert_non_null(strstr(s.request, "\r\nContent-Length: 0\r\n"));
    assert_null(strstr(s.request, "\r\nContent-Type:"));
}

/* One exchange that must fail this way. */
static void expect_failure(struct fixture *f, const char *answer, bool reset, uint32_t timeout_ms,
                           size_t bytes_max, int res)
{
    struct script s;
    struct http_ask ask;

    script_start(&s, answer, reset);
    ask = ask_of(f, s.port);
    ask.timeout_ms = timeout_ms;
    ask.answer_bytes_max = bytes_max;
    assert_int_equal(http_client_do(f->client, &ask, &f->answer, &f->err), res);
    assert_true(f->err.text[0] != '\0');
    assert_null(f->answer.body.data);
    http_client_close(f->client); /* and with it the connection, which ends the script */
    script_end(&s);
    assert_int_equal(http_client_open(&f->client, &f->err), 0);
}

static void failures_have_their_own_errno(void **state)
{
    struct fixture *f = (struct fixture *)*state;

    expect_failure(f, NULL, true, 20000, 0, -ECONNRESET);
    expect_failure(f, "", false, 20000, 0, -ECONNRESET);
    expect_failure(f, "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nshort", false, 20000, 0,
                   -ECONNRESET);
    expect_failure(f, "HTTP/1.1 200 OK\r\nContent-Le", false, 20000, 0, -ECONNRESET);
    expect_failure(f, NULL, false, 100, 0, -ETIMEDOUT);
    expect_failure(f, "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello world", false, 20000, 10,
                   -EMSGSIZE);
}

static bool not_long(void *ctx)
{
    return ++*(unsigned *)ctx < 3;
}

/* The server never answers, and there is no time limit: who asks has had enough. */
static void an_ask_can_be_broken_off(void **state)
{
    struct fixture *f = (struct fixture *)*state;
    unsigned asked = 0;
    struct script s;
    struct http_ask ask;

    script_start(&s, NULL, false);
    ask = ask_of(f, s.port);
    ask.timeout_ms = 0;
    ask.single = true;
    ask.go_on = not_long;
    ask.ctx = &asked;
    assert_int_equal(http_client_do(f->client, &ask, &f->answer, &f->err), -ECANCELED);
    assert_int_equal(asked, 3);
    assert_null(f->answer.body.data);
    script_end(&s);     /* the connection is gone, without the client */
}

static void nobody_there_is_connection_refused(void **state)
{
    struct fixture *f = (struct fixture *)*state;
    struct http_ask ask;
    int port;
    int listener = listener_open(&port);

    (void)close(listener);
    ask = ask_of(f, port);
    assert_int_equal(http_client_do(f->client, &ask, &f->answer, &f->err), -ECONNREFUSED);
}

static void bad_urls_and_header_values_are_refused(void **state)
{
    struct fixture *f = (struct fixture *)*state;
    struct http_ask ask = ask_of(f, 1);

    ask.url = "file:///etc/passwd";
    assert_int_equal(http_client_do(f->client, &ask, &f->answer, &f->err), -EINVAL);
    ask.url = "http://[broken";
    assert_int_equal(http_client_do(f->client, &ask, &f->answer, &f->err), -EINVAL);
    ask = ask_of(f, 1);
    ask.token = "a\r\nX-Injected: 1";
    assert_int_equal(http_client_do(f->client, &ask, &f->answer, &f->err), -EINVAL);
}

static void one_client_serves_many_requests(void **state)
{
    struct fixture *f = (struct fixture *)*state;

    for (int i = 0; i < 3; i++) {
        struct script s;
        struct http_ask ask;

        script_start(&s, "HTTP/1.1 204 No\r\nConnection: close\r\n\r\n", false);
        ask = ask_of(f, s.port);
        ask.method = i == 1 ? "DELETE" : "GET";
        assert_int_equal(http_client_do(f->client, &ask, &f->answer, &f->err), 0);
        script_end(&s);
        assert_int_equal(f->answer.status, 204);
        assert_memory_equal(s.request, ask.method, strlen(ask.method));
        http_answer_free(&f->answer);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_get_brings_status_and_body),
        TEST(a_post_sends_its_body),
        TEST(a_post_without_body_has_length_zero_and_no_type),
        TEST(failures_have_their_own_errno),
        TEST(an_ask_can_be_broken_off),
        TEST(nobody_there_is_connection_refused),
        TEST(bad_urls_and_header_values_are_refused),
        TEST(one_client_serves_many_requests),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
