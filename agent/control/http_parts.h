/*
 * http_parts: what http_server.c and http_exchange.c share.
 *
 * Owns:   as the fields say.
 * Thread: HTTP, but where said.
 */
#ifndef CONTROL_HTTP_PARTS_H
#define CONTROL_HTTP_PARTS_H

#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "control/http_api.h"
#include "control/http_body.h"
#include "control/http_guard.h"
#include "control/http_ingest.h"
#include "control/http_wait.h"

struct http_server {
    struct MHD_Daemon *daemon;  /* owned; HTTP thread */
    struct http_hub *hub;       /* owned */
    struct http_ingest *ingest; /* owned; HTTP thread */
    struct mailbox *mailbox;    /* borrowed */
    struct http_budget bodies;  /* HTTP thread */
    struct http_config config;
    char *access_key, *secret_key;      /* owned; NULL: requests need no signature */
    uint64_t id, replies;       /* random; so that no two answers have one */
    struct http_guard guard;
    uint64_t body_bytes_max;
    unsigned active;            /* requests begun and not completed; HTTP thread */
    int daemon_fd;              /* the daemon's epoll descriptor */
    int durable_fd;             /* borrowed; -1: none */
    int port;                   /* 0: a Unix socket */
    char *unix_path;            /* owned; NULL: none */
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
    struct http_hold hold;
    bool held;                          /* hold is http_ingest's */
    bool waits;                         /* something was asked and is not answered */
    bool suspended;
};

/* ---- http_exchange.c ---- */

/* What the library calls with heads and bodies, and at the end. cls: the server. */
enum MHD_Result http_exchange_access(void *cls, struct MHD_Connection *connection, const char *url,
                                     const char *method, const char *version,
                                     const char *upload_data, size_t *upload_data_size,
                                     void **con_cls);
void http_exchange_completed(void *cls, struct MHD_Connection *connection, void **con_cls,
                             enum MHD_RequestTerminationCode code);

/* Goes on with those that have been answered. */
void http_exchanges_turn(struct http_server *server);

#endif
