/*
 * cli_send_socket: `hydrant send` by TCP or a Unix socket.
 *
 * The protocol has no answers but one: the agent closes its side when everything up to the end of
 * ours is committed. So a connection is ended and followed by another now and then, and what was
 * sent by one that breaks off instead is counted as unknown: it may have arrived or not, and is not
 * sent again. Lines wait in one batch, of bounded size, for a connection to take them.
 *
 * Owns:   see struct send_socket.
 * Thread: main.
 */
#include "cli/cli_send.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/bytes.h"
#include "cli/cli_exit.h"
#include "cli/cli_send_pack.h"
#include "control/address.h"

enum { BATCH_BYTES = 256 * 1024, CONNECTION_BYTES = 8 << 20 };

struct send_socket {
    struct sender *sender;          /* borrowed */
    const char *place;              /* borrowed; as given */
    struct sockaddr_storage address;
    socklen_t address_len;
    int fd;                         /* owned; -1: none */
    struct bytes batch;             /* owned; lines as they go over the wire */
    uint64_t batch_events, batch_payload;
    struct send_pack pack;
    uint64_t sent_bytes, sent_events, sent_payload;     /* by this connection */
};

static int address_read(struct send_socket *w, const struct send_options *o, struct errmsg *err)
{
    struct sockaddr_un *path = (struct sockaddr_un *)&w->address;
    struct address address;
    int r;

    if (o->tcp != NULL) {
        r = address_parse(o->tcp, &address, err);
        if (r != 0)
            return r;
        w->address = address.addr;
        w->address_len = address.len;
        return 0;
    }
    if (o->unix_path[0] == '\0' || strlen(o->unix_path) >= sizeof(path->sun_path))
        return errmsg_set(err, -EINVAL, "'%s' cannot be a socket's path", o->unix_path);
    path->sun_family = AF_UNIX;
    memcpy(path->sun_path, o->unix_path, strlen(o->unix_path) + 1);
    w->address_len = sizeof(*path);
    return 0;
}

bool send_socket_open(struct sender *s)
{
    struct send_socket *w = calloc(1, sizeof(*w));
    struct errmsg err;

    if (w == NULL) {
        (void)cli_fail(s->command, "out of memory");
        return false;
    }
    s->socket = w;
    w->sender = s;
    w->fd = -1;
    w->place = s->options.tcp != NULL ? s->options.tcp : s->options.unix_path;
    if (address_read(w, &s->options, &err) != 0) {
        (void)cli_fail(s->command, "%s", err.text);
        return false;
    }
    if (send_pack_init(&w->pack, s->options.gzip) != 0) {
        (void)cli_fail(s->command, "out of memory");
        return false;
    }
    return true;
}

void send_socket_close(struct send_socket *w)
{
    if (w == NULL)
        return;
    if (w->fd >= 0)
        (void)close(w->fd);
    send_pack_fini(&w->pack);
    bytes_free(&w->batch);
    free(w);
}

/* ---- connections ---- */

/* This connection is over; `taken`: the agent has said that it has everything. */
static void connection_over(struct send_socket *w, bool taken)
{
    if (taken) {
        w->sender->events += w->sent_events;
        w->sender->bytes += w->sent_payload;
    } else {
        w->sender->unknown += w->sent_events;
    }
    w->sent_bytes = w->sent_events = w->sent_payload = 0;
    (void)close(w->fd);
    w->fd = -1;
}

/* Until there is one. False: stop. */
static bool connect_again(struct send_socket *w)
{
    uint64_t since_ns = sender_now_ns(), backoff_ns = 0;

    while (w->fd < 0) {
        char what[400];
        int fd = socket(w->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

        if (fd >= 0 && connect(fd, (const struct sockaddr *)&w->address, w->address_len) == 0) {
            w->fd = fd;
            break;
        }
        (void)snprintf(what, sizeof(what), "%s: %s", w->place, strerror(errno));
        if (fd >= 0)
            (void)close(fd);
        if (!sender_back_off(w->sender, since_ns, &backoff_ns, what))
            return false;
    }
    return true;
}

/* Sends some. Bytes, 0: the connection broke, -EINTR: stop. */
static ssize_t send_some(struct send_socket *w, const uint8_t *data, size_t len)
{
    uint64_t since_ns = sender_now_ns();

    for (;;) {
        ssize_t n = send(w->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);

        if (n > 0)
            return n;
        if (errno == EINTR)
            continue;
        if (errno != EAGAIN)
            return 0;
        if (!sender_waits(w->sender, sender_now_ns() - since_ns, "the agent does not read"))
            return -EINTR;
        (void)sender_await(w->fd, POLLOUT, w->sender->slice_ns);
    }
}

/* Ends our side and waits for the agent's word. False: stop. */
static bool connection_end(struct send_socket *w)
{
    uint64_t since_ns = sender_now_ns();
    char byte;
    ssize_t n;

    if (w->fd < 0)
        return true;
    (void)shutdown(w->fd, SHUT_WR);     /* broken: the next call tells */
    while ((n = recv(w->fd, &byte, 1, MSG_DONTWAIT)) != 0) {
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            break;
        if (n > 0)
            continue;
        if (!sender_waits(w->sender, sender_now_ns() - since_ns, "not all is taken yet")) {
            connection_over(w, false);
            return false;
        }
        (void)sender_await(w->fd, POLLIN, w->sender->slice_ns);
    }
    connection_over(w, n == 0);
    return true;
}

/* ---- lines ---- */

/* Sends the batch. 0, -EINTR: stop, -errno. */
static int batch_send(struct send_socket *w)
{
    const uint8_t *data;
    size_t len, at = 0;
    int r = w->batch.len > 0 ? send_pack(&w->pack, w->batch.data, w->batch.len, &data, &len) : 0;

    if (r != 0 || w->batch.len == 0)
        return r;
    while (at < len) {
        ssize_t n;

        if (w->fd < 0 && !connect_again(w))
            return -EINTR;
        n = send_some(w, data + at, len - at);
        if (n < 0)
            return (int)n;
        if (at == 0 && n > 0) {         /* from here on it belongs to this connection */
            w->sent_events += w->batch_events;
            w->sent_payload += w->batch_payload;
        }
        if (n == 0) {
            connection_over(w, false);
            if (at > 0)
                break;
            continue;
        }
        at += (size_t)n;
        w->sent_bytes += (uint64_t)n;
    }
    bytes_clear(&w->batch);
    w->batch_events = w->batch_payload = 0;
    return w->sent_bytes < CONNECTION_BYTES || connection_end(w) ? 0 : -EINTR;
}

int send_socket_line(struct send_socket *w, const char *stream, const uint8_t *data, size_t len)
{
    /* What ends in CR keeps it: the agent cuts the one behind it. */
    const char *end = len > 0 && data[len - 1] == '\r' ? "\r\n" : "\n";
    int r = bytes_printf(&w->batch, "%s ", stream);

    if (r == 0)
        r = bytes_append(&w->batch, data, len);
    if (r == 0)
        r = bytes_append_str(&w->batch, end);
    if (r != 0)
        return r;
    w->batch_events++;
    w->batch_payload += len;
    return w->batch.len < BATCH_BYTES ? 0 : batch_send(w);
}

bool send_socket_idle(struct send_socket *w)
{
    int r = batch_send(w);

    if (r != 0 && r != -EINTR)
        (void)cli_fail(w->sender->command, "%s", strerror(-r));
    return r == 0;
}

bool send_socket_flush(struct send_socket *w)
{
    return send_socket_idle(w) && connection_end(w);
}
