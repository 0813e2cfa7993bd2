/*
 * lanes_zeromq: ZeroMQ over ipc: a PUSH socket for each producer, one PULL socket. All as the
 * library has it by default: a thread for I/O in each process, 1,000 messages waiting at each end,
 * and a consumer that sleeps when there is nothing.
 * Owns:   contexts and sockets, until the process ends.
 * Thread: one in each process, and the library's.
 */
#include <errno.h>
#include <stdio.h>
#include <zmq.h>

#include "benchmarks/transports/lanes.h"

static int failed(struct errmsg *err, const char *what)
{
    int code = errno;

    return errmsg_set(err, code > 0 && code < ZMQ_HAUSNUMERO ? -code : -EIO, "ZeroMQ: %s: %s", what,
                      zmq_strerror(code));
}

static char *endpoint(const struct lanes *l, char text[static LANES_NAME_MAX])
{
    (void)snprintf(text, LANES_NAME_MAX, "ipc://%.90s/zeromq", l->dir);
    return text;
}

static void *socket_make(int type)
{
    void *context = zmq_ctx_new();

    return context != NULL ? zmq_socket(context, type) : NULL;
}

static int zeromq_reader_open(struct lane_reader *r, struct errmsg *err)
{
    char text[LANES_NAME_MAX];
    int wait_ms = LANES_WAIT_MS;

    r->state = socket_make(ZMQ_PULL);
    if (r->state == NULL)
        return failed(err, "PULL socket");
    if (zmq_setsockopt(r->state, ZMQ_RCVTIMEO, &wait_ms, sizeof(wait_ms)) != 0 ||
        zmq_bind(r->state, endpoint(r->lanes, text)) != 0)
        return failed(err, text);
    return 0;
}

static int zeromq_writer_open(struct lane_writer *w, struct errmsg *err)
{
    char text[LANES_NAME_MAX];

    w->state = socket_make(ZMQ_PUSH);
    if (w->state == NULL)
        return failed(err, "PUSH socket");
    return zmq_connect(w->state, endpoint(w->lanes, text)) == 0 ? 0 : failed(err, text);
}

static int zeromq_put(struct lane_writer *w, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *event = serials_next(&w->serials);

        while (zmq_send(w->state, event, w->serials.bytes, 0) < 0)
            if (errno != EINTR)
                return -errno;
    }
    return 0;
}

static ssize_t zeromq_receive(struct lane_reader *r, bool first)
{
    int n = zmq_recv(r->state, r->message, sizeof(r->message), first ? 0 : ZMQ_DONTWAIT);

    return n >= 0 ? n : -errno;
}

const struct lanes_ops lanes_zeromq = {
    .name = "zeromq",
    .sleeps = true,
    .roams = true,
    .writer_open = zeromq_writer_open,
    .reader_open = zeromq_reader_open,
    .put = zeromq_put,
    .take = lanes_take_messages,
    .receive = zeromq_receive,
};
