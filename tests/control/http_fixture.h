/*
 * http_fixture: an http_server over a fake shard and a directory of its own, asked by our own
 * client and over bare sockets.
 *
 * Owns:   a fixture owns all that it has.
 * Thread: the test's, beside the server's and the fake's.
 */
#ifndef TESTS_CONTROL_HTTP_FIXTURE_H
#define TESTS_CONTROL_HTTP_FIXTURE_H

#include "control/fake_shard.h"
#include "control/http_server.h"
#include "libshm-client/scratch.h"
#include "sink/http.h"

enum { HF_BODY_MAX = 100000 };

struct http_fixture {
    struct fake_shard shard;
    struct scratch *scratch;
    struct intake_counters counters;
    struct config *config;
    struct http_server *server;     /* NULL: a test has stopped it */
    struct http_client *client;
    struct errmsg err;
    char url[128];
};

/* With a configuration, and a delivery stream `mini` of its REST. */
int hf_setup_with(void **state, const char *config);
int hf_setup(void **state);
int hf_teardown(void **state);

/* The url is the fixture's, good until the next one. */
struct http_ask hf_ask_of(struct http_fixture *f, const char *method, const char *path);

/* Asks and expects a status; the body is the caller's to free(). */
char *hf_ask_for(struct http_fixture *f, const struct http_ask *ask, unsigned status);

/* Asks, expects a status and a text in the body ("": any). */
void hf_expect(struct http_fixture *f, const char *method, const char *path, unsigned status,
               const char *part);

/* Puts a body into stream s. */
void hf_expect_put(struct http_fixture *f, const char *query, const char *type, const char *body,
                   unsigned status, const char *part);

/* By hand. The server may have refused and closed before all is sent. */
int hf_connect(const struct http_fixture *f);
void hf_send(int fd, const char *data, size_t len);

/* Sends a request that somebody has to answer; and its answer, when it is there. */
int hf_begin(const struct http_fixture *f, const char *request);
void hf_end(int fd, const char *status, const char *part);

/* What the server says to these bytes until it closes. */
void hf_talk(const struct http_fixture *f, const char *data, size_t len, char *ret_text,
             size_t cap);

#endif
