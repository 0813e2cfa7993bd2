/*
 * http_pool: many requests against a server that does what their paths say.
 *
 *   /echo     200 and the body that came; the request line and headers are kept
 *   /head     200 with headers, after an interim answer
 *   /long     200 and 100,000 bytes
 *   /close    like /echo, and then the connection ends without notice
 *   /eat      takes the body and ends the connection, the first time; then as /echo
 *   /hang     nothing
 *   /reset    a reset in the middle of the body
 *   /half     an answer that is longer than what comes of it
 *   /cut      a head that breaks off
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
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "sink/http_pool.h"

enum { CONNECTIONS_MAX = 64, HEAD_MAX = 4096, BODY_MAX = 4 << 20, LONG = 100000,
       STALL_MS = 1000 };

struct server {
    int listener, port;
    pthread_t thread, each[CONNECTIONS_MAX];
    pthread_mutex_t mutex;
    unsigned connections;
    int fds[CONNECTIONS_MAX];
    bool eaten;
    char head[HEAD_MAX];        /* of the request that was answered last */
};

struct connection {
    struct server *server;
    int fd;
    char *buffer;               /* owned; head and body */
    size_t len;
};

/* --- the server ------------------------------------------------------------------------------ */

static bool fill(struct connection *c, size_t upto)
{
    while (c->len < upto) {
        ssize_t n = recv(c->fd, c->buffer + c->len, HEAD_MAX + BODY_MAX - c->len, 0);

        if (n <= 0)
            return false;
        c->len += (size_t)n;
    }
    return true;
}

/* The head's length, or 0: no more requests. */
static size_t head_read(struct connection *c)
{
    const char *end;

    do {
        end = memmem(c->buffer, c->len, "\r\n\r\n", 4);
        if (end)
            return (size_t)(end - c->buffer) + 4;
    } while (fill(c, c->len + 1));
    return 0;
}

static bool say(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

        if (n <= 0)
            return false;
        data += n;
        len -= (size_t)n;
    }
    return true;
}

static bool answer(struct connection *c, const char *headers, const char *body, size_t len)
{
    char head[256];
    int n = snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\n%sContent-Length: %zu\r\n\r\n",
                     headers, len);

    return say(c->fd, head, (size_t)n) && say(c->fd, body, len);
}

/* False: the connection is over. */
static bool request_serve(struct connection *c, size_t head_len)
{
    static const struct linger hard = {.l_onoff = 1};
    static const char interim[] = "HTTP/1.1 100 Continue\r\nX-Kind: interim\r\n\r\n";
    static const char half[] = "HTTP/1.1 200 OK\r\nETag: \"e\"\r\nContent-Length: 10\r\n\r\nhalf!";
    static char many[LONG];
    char *text = strndup(c->buffer, head_len);
    const char *length = strcasestr(text, "\r\nContent-Length: ");
    size_t body_len = length ? strtoul(length + 18, NULL, 10) : 0;
    const char *path = strchr(text, ' ') + 1;
    bool go = true;

    if (strncmp(path, "/hang", 5) == 0 || strncmp(path, "/reset", 6) == 0) {
        if (path[1] == 'h')
            (void)fill(c, head_len + body_len + 1);     /* until the client goes */
        else
            (void)setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
        free(text);
        return false;
    }
    go = fill(c, head_len + body_len);
    pthread_mutex_lock(&c->server->mutex);
    (void)snprintf(c->server->head, sizeof(c->server->head), "%s", text);
    pthread_mutex_unlock(&c->server->mutex);
    if (strncmp(path, "/head", 5) == 0)
        go = go && say(c->fd, interim, sizeof(interim) - 1)
             && answer(c, "X-Kind: \t final \r\nETag:\"e\"\r\nEmpty:\r\n", "", 0);
    else if (strncmp(path, "/long", 5) == 0)
        go = go && answer(c, "", many, LONG);
    else if (strncmp(path, "/half", 5) == 0)
        go = go && say(c->fd, half, sizeof(half) - 1) && false;
    else if (strncmp(path, "/eat", 4) == 0 && !c->server->eaten)
        go = go && (c->server->eaten = true) && false;
    else if (strncmp(path, "/cut", 4) == 0)
        go = go && say(c->fd, half, sizeof(half) / 2) && false;
    else
        go = go && answer(c, "", c->buffer + head_len, body_len);
    c->len -= go ? head_len + body_len : 0;
    memmove(c->buffer, c->buffer + head_len + body_len, go ? c->len : 0);
    go = go && strncmp(path, "/close", 6) != 0;
    free(text);
    return go;
}

static void *connection_main(void *arg)
{
    struct connection *c = arg;
    size_t head_len;

    while ((head_len = head_read(c)) > 0 && request_serve(c, head_len))
        continue;
    (void)shutdown(c->fd, SHUT_RD);
    pthread_mutex_lock(&c->server->mutex);
    for (unsigned i = 0; i < c->server->connections; i++)
        if (c->server->fds[i] == c->fd)
            c->server->fds[i] = -1;
    (void)close(c->fd);
    pthread_mutex_unlock(&c->server->mutex);
    free(c->buffer);
    free(c);
    return NULL;
}

static void *server_main(void *arg)
{
    struct server *s = arg;
    int fd;

    while ((fd = accept(s->listener, NULL, NULL)) >= 0) {
        struct connection *c = calloc(1, sizeof(*c));
        int failed;

        assert_true(s->connections < CONNECTIONS_MAX);
        c->server = s;
        c->fd = fd;
        c->buffer = malloc(HEAD_MAX + BODY_MAX);
        pthread_mutex_lock(&s->mutex);
        s->fds[s->connections] = fd;
        failed = pthread_create(&s->each[s->connections++], NULL, connection_main, c);
        pthread_mutex_unlock(&s->mutex);
        assert_int_equal(failed, 0);
    }
    return NULL;
}

static void server_start(struct server *s)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(addr);

    memset(s, 0, sizeof(*s));
    pthread_mutex_init(&s->mutex, NULL);
    s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(s->listener, (struct sockaddr *)&addr, sizeof(addr)), 0);
    assert_int_equal(listen(s->listener, CONNECTIONS_MAX), 0);
    assert_int_equal(getsockname(s->listener, (struct sockaddr *)&addr, &len), 0);
    s->port = ntohs(addr.sin_port);
    assert_int_equal(pthread_create(&s->thread, NULL, server_main, s), 0);
}

static void server_end(struct server *s)
{
    (void)shutdown(s->listener, SHUT_RDWR);
    (void)pthread_join(s->thread, NULL);
    pthread_mutex_lock(&s->mutex);
    for (unsigned i = 0; i < s->connections; i++)
        if (s->fds[i] >= 0)
            (void)shutdown(s->fds[i], SHUT_RDWR);
    pthread_mutex_unlock(&s->mutex);
    for (unsigned i = 0; i < s->connections; i++)
        (void)pthread_join(s->each[i], NULL);
    (void)close(s->listener);
    pthread_mutex_destroy(&s->mutex);
}

/* --- the client ------------------------------------------------------------------------------ */

struct fixture {
    struct server server;
    struct http_pool *pool;
    struct errmsg err;
    unsigned done;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    server_start(&f->server);
    assert_int_equal(http_pool_open(8, &f->pool, &f->err), 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    http_pool_close(f->pool);
    http_pool_close(NULL);
    server_end(&f->server);
    free(f);
    return 0;
}

static void on_done(struct http_call *call)
{
    ((struct fixture *)call->ctx)->done++;
}

/* The URL is the call's until call_end(). */
static struct http_call call_of(struct fixture *f, const char *method, const char *path)
{
    char *url = NULL;

    assert_true(asprintf(&url, "http://127.0.0.1:%d%s", f->server.port, path) > 0);
    return (struct http_call){.method = method, .url = url, .body_fd = -1,
                              .answer_bytes_max = BODY_MAX, .stall_timeout_ms = 20000,
                              .direct = true, .done = on_done, .ctx = f};
}

static void call_end(struct http_call *call)
{
    free((char *)(uintptr_t)call->url);
    http_call_fini(call);
}

static void turns(struct fixture *f, unsigned done)
{
    while (f->done < done)
        assert_true(http_pool_turn(f->pool, -1, &f->err) >= 0);
}

static void call_do(struct fixture *f, struct http_call *call)
{
    assert_int_equal(http_call_start(f->pool, call), 0);
    turns(f, f->done + 1);
    assert_null(call->slot);
}

static void assert_header(const struct http_call *call, const char *name, const char *value)
{
    size_t len;
    const char *at = http_call_header(call, name, &len);

    assert_non_null(at);
    assert_int_equal(len, strlen(value));
    assert_memory_equal(at, value, len);
}

/* Of bytes that all differ from their neighbours. */
static int file_of(size_t len)
{
    int fd = memfd_create("body", MFD_CLOEXEC);
    uint32_t *at;

    assert_true(fd >= 0 && ftruncate(fd, (off_t)len) == 0);
    at = mmap(NULL, len, PROT_WRITE, MAP_SHARED, fd, 0);
    assert_ptr_not_equal(at, MAP_FAILED);
    for (uint32_t i = 0; i < len / 4; i++)
        at[i] = i * 2654435761U;
    (void)munmap(at, len);
    return fd;
}

static void body_set(struct http_call *call, int fd, size_t at, size_t len)
{
    uint8_t *bytes = malloc(len);

    assert_non_null(bytes);
    call->body_fd = fd;
    call->body_at = at;
    call->body_len = len;
    call->body_crc32c = crc32c(0, bytes, (size_t)pread(fd, bytes, len, (off_t)at));
    free(bytes);
}

/* --- tests ------------------------------------------------------------------------------------ */

static void a_part_of_a_file_goes_out_and_comes_back(void **state)
{
    enum { AT = 100004, LEN = 3000000 };
    struct fixture *f = *state;
    struct http_call call = call_of(f, "PUT", "/echo");
    struct http_header headers[] = {{"X-One", "1"}, {"X-Empty", ""}};
    uint8_t *file;

    body_set(&call, file_of(AT + LEN + 1000), AT, LEN);
    call.headers = headers;
    call.headers_count = 2;
    call_do(f, &call);
    assert_int_equal(call.result, 0);
    assert_int_equal(call.status, 200);
    assert_int_equal(call.sent, LEN);
    assert_int_equal(call.answer.len, LEN);
    file = mmap(NULL, AT + LEN, PROT_READ, MAP_SHARED, call.body_fd, 0);
    assert_ptr_not_equal(file, MAP_FAILED);
    assert_memory_equal(call.answer.data, file + AT, LEN);
    (void)munmap(file, AT + LEN);
    assert_non_null(strstr(f->server.head, "PUT /echo HTTP/1.1\r\n"));
    assert_non_null(strstr(f->server.head, "\r\nX-One: 1\r\n"));
    assert_non_null(strstr(f->server.head, "\r\nX-Empty:\r\n"));
    assert_null(strcasestr(f->server.head, "\r\nExpect"));
    assert_null(strcasestr(f->server.head, "\r\nTransfer-Encoding"));
    (void)close(call.body_fd);
    call_end(&call);
}

static void memory_goes_out_and_so_does_nothing(void **state)
{
    struct fixture *f = *state;
    struct http_call call = call_of(f, "POST", "/echo");

    call.body = "some text";
    call.body_len = 9;
    call_do(f, &call);
    assert_int_equal(call.answer.len, 9);
    assert_memory_equal(call.answer.data, "some text", 9);
    call.body_len = 0;
    call_do(f, &call);
    assert_int_equal(call.result, 0);
    assert_int_equal(call.answer.len, 0);
    assert_non_null(strstr(f->server.head, "\r\nContent-Length: 0\r\n"));
    call.method = "DELETE";
    call_do(f, &call);
    assert_int_equal(call.status, 200);
    assert_non_null(strstr(f->server.head, "DELETE /echo HTTP/1.1\r\n"));
    call_end(&call);
}

static void headers_are_those_of_the_last_answer(void **state)
{
    struct fixture *f = *state;
    struct http_call call = call_of(f, "HEAD", "/head");
    size_t len;

    call_do(f, &call);
    assert_int_equal(call.result, 0);
    assert_header(&call, "x-kind", "final");
    assert_header(&call, "Etag", "\"e\"");
    assert_header(&call, "empty", "");
    assert_null(http_call_header(&call, "X-Kin", &len));
    assert_null(http_call_header(&call, "HTTP/1.1 200", &len));
    call_end(&call);
}

static void paths_arrive_as_they_were_signed(void **state)
{
    struct fixture *f = *state;
    struct http_call call = call_of(f, "GET", "/echo/a/../b//c%2Fd/./e%20?q=%2F&r=");

    call_do(f, &call);
    assert_non_null(strstr(f->server.head, "GET /echo/a/../b//c%2Fd/./e%20?q=%2F&r= HTTP/1.1\r\n"));
    call_end(&call);
}

static void many_at_a_time_share_few_connections(void **state)
{
    enum { MANY = 8, ROUNDS = 20 };     /* as many as the pool keeps */
    struct fixture *f = *state;
    struct http_call calls[MANY];

    for (unsigned i = 0; i < MANY; i++)
        calls[i] = call_of(f, "PUT", "/echo");
    for (unsigned round = 0; round < ROUNDS; round++) {
        unsigned numbers[MANY];

        for (unsigned i = 0; i < MANY; i++) {
            numbers[i] = round * MANY + i;
            calls[i].body = &numbers[i];
            calls[i].body_len = sizeof(numbers[i]);
            assert_int_equal(http_call_start(f->pool, &calls[i]), 0);
        }
        turns(f, f->done + MANY);
        for (unsigned i = 0; i < MANY; i++) {
            assert_int_equal(calls[i].result, 0);
            assert_int_equal(calls[i].answer.len, sizeof(numbers[i]));
            assert_memory_equal(calls[i].answer.data, &numbers[i], sizeof(numbers[i]));
        }
    }
    assert_in_range(f->server.connections, 1, MANY);
    for (unsigned i = 0; i < MANY; i++)
        call_end(&calls[i]);
}

static void a_connection_is_kept_and_replaced(void **state)
{
    struct fixture *f = *state;
    struct http_call call = call_of(f, "PUT", "/echo"), last = call_of(f, "PUT", "/close");

    body_set(&call, file_of(400000), 0, 400000);
    body_set(&last, call.body_fd, 0, 400000);
    for (int i = 0; i < 5; i++)
        call_do(f, &call);
    call_do(f, &last);
    assert_int_equal(f->server.connections, 1);
    call_do(f, &call);          /* whether or not its end was noticed in time */
    assert_int_equal(call.result, 0);
    assert_int_equal(call.answer.len, 400000);
    assert_int_equal(f->server.connections, 2);
    (void)close(call.body_fd);
    call_end(&call);
    call_end(&last);
}

/* The server may have done what it was asked before the connection died. */
static void a_body_that_was_sent_twice_is_told(void **state)
{
    struct fixture *f = *state;
    struct http_call call = call_of(f, "PUT", "/echo"), eaten = call_of(f, "PUT", "/eat");

    body_set(&call, file_of(1000000), 0, 1000000);
    body_set(&eaten, call.body_fd, 0, 1000000);
    call_do(f, &call);
    assert_int_equal(call.repeats, 0);
    call_do(f, &eaten);
    assert_int_equal(eaten.result, 0);
    assert_int_equal(eaten.answer.len, 1000000);
    assert_int_equal(eaten.repeats, 1);
    assert_int_equal(f->server.connections, 2);
    call_do(f, &eaten);
    assert_int_equal(eaten.repeats, 0);
    (void)close(call.body_fd);
    call_end(&call);
    call_end(&eaten);
}

/* However often it is begun, the server never has all of it. */
static void a_file_that_has_changed_does_not_go_out_whole(void **state)
{
    static const size_t lens[] = {1, 1000, 3000000};
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
        struct http_call call = call_of(f, "PUT", "/echo");

        body_set(&call, file_of(lens[i] + 4), 2, lens[i]);
        assert_int_equal(pwrite(call.body_fd, "x", 1, (off_t)(lens[i] / 2 + 2)), 1);
        call_do(f, &call);
        assert_int_equal(call.result, -EBADMSG);
        assert_non_null(strstr(call.err.text, "has changed"));
        assert_true(call.sent < lens[i]);
        assert_int_equal(call.answer.len, 0);
        body_set(&call, call.body_fd, 2, lens[i]);
        call_do(f, &call);
        assert_int_equal(call.result, 0);
        assert_int_equal(call.answer.len, lens[i]);
        (void)close(call.body_fd);
        call_end(&call);
    }
}

static void what_fails_says_how(void **state)
{
    struct fixture *f = *state;
    struct http_call call = call_of(f, "GET", "/long");

    call.answer_bytes_max = LONG - 1;
    call_do(f, &call);
    assert_int_equal(call.result, -EMSGSIZE);
    assert_non_null(strstr(call.err.text, "larger than 99999 bytes"));
    call.answer_bytes_max = LONG;
    call_do(f, &call);
    assert_int_equal(call.result, 0);
    assert_int_equal(call.answer.len, LONG);
    call_end(&call);

    call = call_of(f, "PUT", "/reset");
    body_set(&call, file_of(BODY_MAX), 0, BODY_MAX);
    call_do(f, &call);
    assert_int_equal(call.result, -ECONNRESET);
    assert_string_not_equal(call.err.text, "");
    (void)close(call.body_fd);
    call_end(&call);

    call = call_of(f, "PUT", "/echo");
    call.body_fd = file_of(1000);
    call.body_len = 1001;
    call_do(f, &call);
    assert_int_equal(call.result, -EIO);
    assert_non_null(strstr(call.err.text, "its file is shorter"));
    (void)close(call.body_fd);
    call.body_fd = -1;
    call_do(f, &call);
    assert_int_equal(call.result, -EIO);
    assert_non_null(strstr(call.err.text, strerror(EBADF)));
    call_end(&call);

    call = call_of(f, "GET", "/echo");
    (void)shutdown(f->server.listener, SHUT_RDWR);
    http_pool_close(f->pool);           /* with the connections that it keeps */
    assert_int_equal(http_pool_open(8, &f->pool, &f->err), 0);
    call_do(f, &call);
    assert_int_equal(call.result, -ECONNREFUSED);
    call_end(&call);
}

/* Whoever stored what was sent and was cut off in its answer has not said so. */
static void a_reply_cut_in_half_is_none(void **state)
{
    static const char *const paths[] = {"/half", "/cut"};
    struct fixture *f = *state;

    for (unsigned i = 0; i < 2; i++) {
        struct http_call call = call_of(f, "PUT", paths[i]);

        call.body = "x";
        call.body_len = 1;
        call_do(f, &call);
        assert_int_equal(call.result, -ECONNRESET);
        assert_string_not_equal(call.err.text, "");
        call_end(&call);
    }
}

static void a_server_that_says_nothing_is_given_up(void **state)
{
    struct fixture *f = *state;
    struct http_call call = call_of(f, "PUT", "/hang");

    call.body = "x";
    call.body_len = 1;
    call.stall_timeout_ms = STALL_MS;
    call_do(f, &call);
    assert_int_equal(call.result, -ETIMEDOUT);
    call_end(&call);
}

static void what_cannot_be_asked_does_not_begin(void **state)
{
    struct fixture *f = *state;
    struct http_call call = call_of(f, "GET", "/echo");
    struct http_header bad = {"X-One", "1\r\nX-Two: 2"};

    call.headers = &bad;
    call.headers_count = 1;
    assert_int_equal(http_call_start(f->pool, &call), -EINVAL);
    assert_null(call.slot);
    assert_non_null(strstr(call.err.text, "a header of several lines"));
    call.headers_count = 0;
    call_do(f, &call);
    assert_int_equal(call.status, 200);
    call_end(&call);
    call = call_of(f, "GET", "/echo");
    free((char *)(uintptr_t)call.url);
    call.url = strdup("gopher://127.0.0.1/");
    call_do(f, &call);
    assert_int_equal(call.result, -EINVAL);
    assert_int_equal(f->done, 2);
    call_end(&call);
}

static void what_is_cancelled_is_never_done(void **state)
{
    struct fixture *f = *state;
    struct http_call call = call_of(f, "GET", "/hang"), other = call_of(f, "GET", "/hang");

    http_call_cancel(&call);            /* not under way */
    assert_int_equal(http_call_start(f->pool, &call), 0);
    assert_int_equal(http_call_start(f->pool, &other), 0);
    assert_int_equal(http_pool_turn(f->pool, 0, &f->err), 2);
    http_call_cancel(&call);
    assert_null(call.slot);
    assert_int_equal(http_pool_turn(f->pool, 0, &f->err), 1);
    http_pool_close(f->pool);
    f->pool = NULL;
    assert_null(other.slot);
    assert_int_equal(f->done, 0);
    call_end(&call);
    call_end(&other);
}

static void on_done_again(struct http_call *call)
{
    on_done(call);
    if (((struct fixture *)call->ctx)->done < 5)
        assert_int_equal(http_call_start(((struct fixture *)call->ctx)->pool, call), 0);
}

static void a_call_may_begin_the_next_when_it_is_done(void **state)
{
    struct fixture *f = *state;
    struct http_call call = call_of(f, "GET", "/echo");

    call.done = on_done_again;
    assert_int_equal(http_call_start(f->pool, &call), 0);
    turns(f, 5);
    assert_int_equal(http_pool_turn(f->pool, 0, &f->err), 0);
    assert_int_equal(f->server.connections, 1);
    call_end(&call);
}

static void *wake_main(void *arg)
{
    http_pool_wake(((struct fixture *)arg)->pool);
    return NULL;
}

static void others_end_its_wait(void **state)
{
    struct fixture *f = *state;
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, wake_main, f), 0);
    assert_int_equal(http_pool_turn(f->pool, -1, &f->err), 0);  /* before or after it has begun */
    (void)pthread_join(thread, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_part_of_a_file_goes_out_and_comes_back, setup, teardown),
        cmocka_unit_test_setup_teardown(memory_goes_out_and_so_does_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(headers_are_those_of_the_last_answer, setup, teardown),
        cmocka_unit_test_setup_teardown(paths_arrive_as_they_were_signed, setup, teardown),
        cmocka_unit_test_setup_teardown(many_at_a_time_share_few_connections, setup, teardown),
        cmocka_unit_test_setup_teardown(a_connection_is_kept_and_replaced, setup, teardown),
        cmocka_unit_test_setup_teardown(a_body_that_was_sent_twice_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(a_file_that_has_changed_does_not_go_out_whole, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_fails_says_how, setup, teardown),
        cmocka_unit_test_setup_teardown(a_reply_cut_in_half_is_none, setup, teardown),
        cmocka_unit_test_setup_teardown(a_server_that_says_nothing_is_given_up, setup, teardown),
        cmocka_unit_test_setup_teardown(what_cannot_be_asked_does_not_begin, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_cancelled_is_never_done, setup, teardown),
        cmocka_unit_test_setup_teardown(a_call_may_begin_the_next_when_it_is_done, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(others_end_its_wait, setup, teardown),
    };

    return cmocka_run_group_tests_name("sink/http_pool", tests, NULL, NULL);
}
