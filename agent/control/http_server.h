/*
 * http_server: the agent's HTTP side, on a thread of its own.
 *
 * Requests never wait on this thread: what the shard must answer is posted to its mailbox and the
 * connection sleeps until the answer or a deadline is there. Everything is bounded: connections,
 * requests at the shard, bytes of head and body, seconds of silence.
 *
 * Owns:   thread, listening socket, connections.
 * Thread: start, port and stop by one other thread.
 */
#ifndef CONTROL_HTTP_SERVER_H
#define CONTROL_HTTP_SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/errmsg.h"
#include "control/http_config.h"
#include "control/http_ingest.h"
#include "pipeline/mailbox.h"

enum { HTTP_CONNECTIONS_MAX = 1024, HTTP_IDLE_S_MAX = 30 };

struct http_server;

struct http_server_options {
    const char *listen;         /* "ADDR:PORT", port 0 = any free one, or "unix:PATH"; read in */
                                /* start only */
    uint64_t body_bytes_max;    /* larger bodies: 413; 0 = 8 MiB */
    struct mailbox *mailbox;    /* borrowed until stop; requests in it may outlive that */
    struct http_ingest_options ingest;  /* borrowed until stop */
    int durable_fd;             /* borrowed eventfd: more of its ring is durable; 0: none */
    struct http_config config;          /* in force, with the token; its context: the same */
    const char *firehose_access_key;    /* with its secret: of the Firehose endpoint; "" or NULL: */
    const char *firehose_secret_key;    /* none; read in start only */
};

/* -EADDRINUSE, -EINVAL, ... with a text. The thread takes no signals. */
int http_server_start(const struct http_server_options *options, struct http_server **ret_server,
                      struct errmsg *err);

int http_server_port(const struct http_server *server);         /* 0: a Unix socket */

/*
 * From now on no events are taken. True, soon afterwards: those that were taken are in a ring that
 * is let go. The mailbox is woken then. Until stop all else is answered.
 */
bool http_server_shut(struct http_server *server);

/*
 * Takes no more connections, answers those that wait with 503, gives the answers a second to leave
 * and ends. Does not wait for the shard, so the shard's own thread may call it; the done function
 * of a request that the shard still has may run at any later time. NULL is fine.
 */
void http_server_stop(struct http_server *server);

#endif
