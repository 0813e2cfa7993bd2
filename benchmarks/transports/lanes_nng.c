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

struct nng_reader {
    nng_socket socket;
    uint8_t message[SERIAL_BYTES_MAX];
};

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
    struct nng_reader *own = malloc(sizeof(*own));
    char text[LANES_NAME_MAX];
    int code;

    r->state = own;
    if (own == NULL)
        return errmsg_set_errno(err, -ENOMEM, "message");
    code = nng_pull0_open(&own->socket);
    if (code == 0)
        code = nng_socket_set_ms(own->socket, NNG_OPT_RECVTIMEO, LANES_WAIT_MS);
    if (code == 0)
        code = nng_listen(own->socket, endpoint(r->lanes, text), NULL, 0);
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

static int nng_take(struct lane_reader *r)
{
    struct nng_reader *own = r->state;
    int rc = 0;

    for (uint32_t i = 0; rc == 0 && i < LANES_TAKE_MAX; i++) {
        size_t len = sizeof(own->message);
        int code = nng_recv(own->socket, own->message, &len, i == 0 ? 0 : NNG_FLAG_NONBLOCK);

        if (code != 0)
            return code == NNG_EAGAIN || code == NNG_ETIMEDOUT || code == NNG_EINTR ? 0 : -EIO;
        rc = len == r->tally.bytes ? tally_add(&r->tally, own->message) : -EBADMSG;
    }
    return rc;
}

const struct lanes_ops lanes_nng = {
    .name = "nng",
    .sleeps = true,
    .roams = true,
    .writer_open = nng_writer_open,
    .reader_open = nng_reader_open,
    .put = nng_put,
    .take = nng_take,
};
