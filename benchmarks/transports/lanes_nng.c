/*
 * lanes_nng: nng over ipc: a push socket for each producer, one pull socket, with room for messages
 * at both ends. The library's own threads do the I/O; the consumer sleeps when there is nothing.
 * Owns:   sockets, until the process ends.
 * Thread: one in each process, and the library's.
 */
#include <errno.h>
#include <nng/nng.h>
#include <nng/protocol/pipeline0/pull.h>
#include <nng/protocol/pipeline0/push.h>
#include <stdio.h>
#include <stdlib.h>

#include "benchmarks/transports/lanes.h"

enum { MESSAGES_WAITING = 1000 }; /* as many as ZeroMQ has by default; nng has room for none */

/* Codes below NNG_EINTERNAL are the library's own, not errno's. */
static int failed(struct errmsg *err, int code, const char *what)
{
    return errmsg_set(err, -EIO, "nng: %s: %s", what, nng_strerror(code));
}

static char *endpoint(const struct lanes *l, char text[static LANES_NAME_MAX])
{
    (void)snprintf(text, LANES_NAME_MAX, "ipc://%.90s/nng", l->dir);
    return text;
}

static int nng_reader_open(struct lane_reader *r, struct errmsg *err)
{
    nng_socket *socket = malloc(sizeof(*socket));
    char text[LANES_NAME_MAX];
    int code;

    r->state = socket;
    if (socket == NULL)
        return errmsg_set_errno(err, -ENOMEM, "socket");
    code = nng_pull0_open(socket);
    if (code == 0)
        code = nng_socket_set_ms(*socket, NNG_OPT_RECVTIMEO, LANES_WAIT_MS);
    if (code == 0)
        code = nng_listen(*socket, endpoint(r->lanes, text), NULL, 0);
    return code == 0 ? 0 : failed(err, code, "pull socket");
}

static int nng_writer_open(struct lane_writer *w, struct errmsg *err)
{
    nng_socket *socket = malloc(sizeof(*socket));
    char text[LANES_NAME_MAX];
    int code;

    w->state = socket;
    if (socket == NULL)
        return errmsg_set_errno(err, -ENOMEM, "socket");
    code = nng_push0_open(socket);
    if (code == 0)
        code = nng_socket_set_int(*socket, NNG_OPT_SENDBUF, MESSAGES_WAITING);
    if (code == 0)
        code = nng_dial(*socket, endpoint(w->lanes, text), NULL, 0);
    return code == 0 ? 0 : failed(err, code, "push socket");
}

static int nng_put(struct lane_writer *w, uint32_t count)
{
    nng_socket socket = *(const nng_socket *)w->state;
    int code = 0;

    /* It copies what it sends. */
    for (uint32_t i = 0; code == 0 && i < count; i++)
        code = nng_send(socket, (void *)(uintptr_t)serials_next(&w->serials), w->serials.bytes, 0);
    return code == 0 ? 0 : -EIO;
}

static ssize_t nng_receive(struct lane_reader *r, bool first)
{
    size_t len = sizeof(r->message);
    int code = nng_recv(*(const nng_socket *)r->state, r->message, &len,
                        first ? 0 : NNG_FLAG_NONBLOCK);

    if (code != 0)
        return code == NNG_EAGAIN || code == NNG_ETIMEDOUT || code == NNG_EINTR ? -EAGAIN : -EIO;
    return (ssize_t)len;
}

const struct lanes_ops lanes_nng = {
    .name = "nng",
    .sleeps = true,
    .roams = true,
    .writer_open = nng_writer_open,
    .reader_open = nng_reader_open,
    .put = nng_put,
    .take = lanes_take_messages,
    .receive = nng_receive,
};
