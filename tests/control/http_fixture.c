/*
 * http_fixture: see the header.
 *
 * Owns:   see the header.
 * Thread: the test's.
 */
#include "control/http_fixture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/config_text.h"

static int stream_take(void *ctx, const char *stream)
{
    (void)ctx;
    if (strcmp(stream, "nobodys") == 0)
        return -ENOENT;
    return strcmp(stream, "too-many") == 0 ? -EDQUOT : 0;
}

int hf_setup_with(void **state, const char *config)
{
    struct http_fixture *f = calloc(1, sizeof(*f));
    struct http_server_options options = { .listen = "127.0.0.1:0", .body_bytes_max = HF_BODY_MAX };

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

int hf_setup(void **state)
{
    return hf_setup_with(state, "");
}

int hf_teardown(void **state)
{
    struct http_fixture *f = (struct http_fixture *)*state;

    http_client_close(f->client);
    http_server_stop(f->server);
    fake_shard_stop(&f->shard);
    config_free(f->config);
    assert_int_equal(scratch_teardown((void **)&f->scratch), 0);
    free(f);
    return 0;
}

struct http_ask hf_ask_of(struct http_fixture *f, const char *method, const char *path)
{
    (void)snprintf(f->url, sizeof(f->url), "http://127.0.0.1:%d%s", http_server_port(f->server),
                   path);
    return (struct http_ask){ .method = method, .url = f->url, .timeout_ms = 20000,
                              .direct = true };
}

char *hf_ask_for(struct http_fixture *f, const struct http_ask *ask, unsigned status)
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

void hf_expect(struct http_fixture *f, const char *method, const char *path, unsigned status,
               const char *part)
{
    struct http_ask ask = hf_ask_of(f, method, path);
    char *text = hf_ask_for(f, &ask, status);

    if (strstr(text, part) == NULL)
        fail_msg("%s %s: no \"%s\" in: %s", method, path, part, text);
    free(text);
}

void hf_expect_put(struct http_fixture *f, const char *query, const char *type, const char *body,
                   unsigned status, const char *part)
{
    char path[80];
    struct http_ask ask;
    char *text;

    (void)snprintf(path, sizeof(path), "/v1/streams/s/events%s", query);
    ask = hf_ask_of(f, "POST", path);
    ask.content_type = type;
    ask.body = body;
    ask.body_len = strlen(body);
    text = hf_ask_for(f, &ask, status);
    if (strstr(text, part) == NULL)
        fail_msg("%s: no \"%s\" in: %s", body, part, text);
    free(text);
}

int hf_connect(const struct http_fixture *f)
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

void hf_send(int fd, const char *data, size_t len)
{
    if (send(fd, data, len, MSG_NOSIGNAL) < 0)
        assert_true(errno == EPIPE || errno == ECONNRESET);
}

int hf_begin(const struct http_fixture *f, const char *request)
{
    int fd = hf_connect(f);

    hf_send(fd, request, strlen(request));
    return fd;
}

void hf_end(int fd, const char *status, const char *part)
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

void hf_talk(const struct http_fixture *f, const char *data, size_t len, char *ret_text,
             size_t cap)
{
    int fd = hf_connect(f);
    size_t got = 0;
    ssize_t n;

    hf_send(fd, data, len);
    while (got + 1 < cap && (n = recv(fd, ret_text + got, cap - 1 - got, 0)) > 0)
        got += (size_t)n;
    ret_text[got] = '\0';
    (void)close(fd);
}
