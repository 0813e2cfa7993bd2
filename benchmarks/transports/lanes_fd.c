/*
 * lanes_fd: sockets and pipes, one a producer. One write(2) for each event, or for 64 KiB of them.
 *
 * The consumer takes up to 64 KiB with one read(2) of a stream, one event of a datagram socket. It
 * never sleeps and asks epoll which of several lanes have something; but for unix-sleeping, which
 * waits in poll(2) as programs do.
 *
 * Owns:   descriptors; each end closes those of the others, so that the end of one is seen.
 * Thread: one in each process.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "benchmarks/transports/lanes.h"
#include "cli/cli_bench_wire.h"
#include "cli/cli_write.h"
#include "io/file.h"

enum fd_kind { FD_UNIX, FD_DGRAM, FD_SEQPACKET, FD_TCP, FD_UDP, FD_PIPE };

enum { BUFFER_BYTES = 1 << 20 }; /* of sockets, as far as the host allows it */

struct ends {
    int read_fd, write_fd;
};

struct fd_writer {
    int fd;
    uint32_t len;
    uint8_t batch[LANES_BATCH_BYTES];
};

/* The head of an event whose end has not been read yet. */
struct carry {
    uint32_t len;
    uint8_t bytes[SERIAL_BYTES_MAX];
};

struct fd_reader {
    int epoll_fd; /* -1: there is one lane */
    bool whole;   /* a read is an event */
    struct epoll_event ready[LANES_MAX];
    struct carry carries[LANES_MAX];
    uint8_t chunk[SERIAL_BYTES_MAX + LANES_BATCH_BYTES];
};

static enum fd_kind kind_of(const struct lanes *l)
{
    return (enum fd_kind)l->ops->detail;
}

/* --- making --------------------------------------------------------------------------------- */

static int udp_open(struct ends *ends)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof(address);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ends->read_fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    ends->write_fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (ends->read_fd < 0 || ends->write_fd < 0 ||
        bind(ends->read_fd, (struct sockaddr *)&address, sizeof(address)) != 0 ||
        getsockname(ends->read_fd, (struct sockaddr *)&address, &len) != 0 ||
        connect(ends->write_fd, (struct sockaddr *)&address, len) != 0)
        return -errno;
    return 0;
}

/* Those that hydrant bench has, too, are made by its code. */
static int wire_take_over(enum wire_kind kind, uint32_t bytes, struct ends *ends,
                          struct errmsg *err)
{
    struct wire_options opt = {.kind = kind, .event_bytes = bytes};
    struct wire wire;
    int rc = wire_prepare(&wire, &opt, err);

    if (rc == 0) {
        *ends = (struct ends){wire.read_fd, wire.write_fd};
        wire.read_fd = wire.write_fd = -1;
        wire_close(&wire);
    }
    return rc;
}

static int ends_open(const struct lanes *l, struct ends *ends, struct errmsg *err)
{
    static const enum wire_kind wires[] = {[FD_UNIX] = WIRE_UNIX, [FD_DGRAM] = WIRE_DGRAM,
                                           [FD_TCP] = WIRE_TCP, [FD_PIPE] = WIRE_PIPE};
    int pair[2], rc = 0;

    switch (kind_of(l)) {
    case FD_SEQPACKET:
        rc = socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0 ? 0 : -errno;
        if (rc == 0)
            *ends = (struct ends){pair[0], pair[1]};
        break;
    case FD_UDP:
        rc = udp_open(ends);
        break;
    default:
        return wire_take_over(wires[kind_of(l)], l->event_bytes, ends, err);
    }
    return rc == 0 ? 0 : errmsg_set_errno(err, rc, "socket");
}

/* What has room for more loses less: UDP at all, the others time. A refusal leaves the default. */
static void buffers_grow(const struct ends *ends)
{
    int bytes = BUFFER_BYTES;

    (void)setsockopt(ends->read_fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
    (void)setsockopt(ends->write_fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
}

static int fd_prepare(struct lanes *l, struct errmsg *err)
{
    struct ends *ends = calloc(l->producers, sizeof(*ends));
    int rc = 0;

    l->prepared = ends;
    if (ends == NULL)
        return errmsg_set_errno(err, -ENOMEM, "descriptors");
    for (unsigned int i = 0; i < l->producers; i++)
        ends[i] = (struct ends){-1, -1};
    for (unsigned int i = 0; rc == 0 && i < l->producers; i++) {
        rc = ends_open(l, &ends[i], err);
        if (rc == 0 && kind_of(l) == FD_UDP)
            buffers_grow(&ends[i]);
    }
    return rc;
}

static void fd_release(struct lanes *l)
{
    struct ends *ends = l->prepared;

    for (unsigned int i = 0; ends != NULL && i < l->producers; i++) {
        file_close(ends[i].read_fd);
        file_close(ends[i].write_fd);
    }
    free(ends);
}

/* --- producer ------------------------------------------------------------------------------- */

static int fd_writer_make(struct lane_writer *w, struct errmsg *err)
{
    struct ends *ends = w->lanes->prepared;
    struct fd_writer *own = calloc(1, sizeof(*own));

    w->state = own;
    if (own == NULL)
        return errmsg_set_errno(err, -ENOMEM, "batch");
    own->fd = ends[w->producer].write_fd;
    for (unsigned int i = 0; i < w->lanes->producers; i++) {
        file_close(ends[i].read_fd);
        if (i != w->producer)
            file_close(ends[i].write_fd);
    }
    return 0;
}

static int fd_put(struct lane_writer *w, uint32_t count)
{
    const struct fd_writer *own = w->state;
    int rc = 0;

    for (uint32_t i = 0; rc == 0 && i < count; i++)
        rc = cli_write(own->fd, serials_next(&w->serials), w->serials.bytes);
    return rc;
}

static int batch_flush(struct lane_writer *w)
{
    struct fd_writer *own = w->state;
    uint32_t len = own->len;

    own->len = 0;
    return cli_write(own->fd, own->batch, len);
}

static int batch_put(struct lane_writer *w, uint32_t count)
{
    struct fd_writer *own = w->state;
    uint32_t bytes = w->serials.bytes;
    int rc = 0;

    for (uint32_t i = 0; rc == 0 && i < count; i++) {
        if (own->len + bytes > sizeof(own->batch))
            rc = batch_flush(w);
        memcpy(own->batch + own->len, serials_next(&w->serials), bytes);
        own->len += bytes;
    }
    return rc;
}

/* --- consumer ------------------------------------------------------------------------------- */

static int fd_reader_open(struct lane_reader *r, struct errmsg *err)
{
    struct ends *ends = r->lanes->prepared;
    struct fd_reader *own = calloc(1, sizeof(*own));
    bool many = r->lanes->producers > 1;

    r->state = own;
    if (own == NULL)
        return errmsg_set_errno(err, -ENOMEM, "chunk");
    own->whole = kind_of(r->lanes) == FD_DGRAM || kind_of(r->lanes) == FD_SEQPACKET ||
                 kind_of(r->lanes) == FD_UDP;
    own->epoll_fd = many ? epoll_create1(EPOLL_CLOEXEC) : -1;
    if (many && own->epoll_fd < 0)
        return errmsg_set_errno(err, -errno, "epoll");
    for (unsigned int i = 0; i < r->lanes->producers; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = i};
        int fd = ends[i].read_fd, flags = fcntl(fd, F_GETFL);

        file_close(ends[i].write_fd);
        if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0 ||
            (many && epoll_ctl(own->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0))
            return errmsg_set_errno(err, -errno, "descriptor of a reader");
    }
    return 0;
}

/* -EAGAIN: nothing is there. */
static ssize_t fd_read(int fd, void *data, size_t len)
{
    ssize_t n = read(fd, data, len);

    if (n > 0)
        return n;
    return n == 0 ? -EPIPE : errno == EINTR ? -EAGAIN : -errno;
}

static int stream_take(struct lane_reader *r, int fd, struct carry *carry)
{
    struct fd_reader *own = r->state;
    uint32_t bytes = r->tally.bytes;
    uint8_t *at = own->chunk;
    size_t len = carry->len;
    ssize_t n;
    int rc = 0;

    memcpy(at, carry->bytes, len);
    n = fd_read(fd, at + len, LANES_BATCH_BYTES);
    if (n < 0)
        return n == -EAGAIN ? 0 : (int)n;
    for (len += (size_t)n; rc == 0 && len >= bytes; len -= bytes, at += bytes)
        rc = tally_add(&r->tally, at);
    memcpy(carry->bytes, at, len);
    carry->len = (uint32_t)len;
    return rc;
}

static int datagrams_take(struct lane_reader *r, int fd)
{
    struct fd_reader *own = r->state;
    int rc = 0;

    for (uint32_t i = 0; rc == 0 && i < LANES_TAKE_MAX; i++) {
        ssize_t n = fd_read(fd, own->chunk, sizeof(own->chunk));

        if (n == -EAGAIN)
            break;
        rc = n < 0 ? (int)n
                   : n == (ssize_t)r->tally.bytes ? tally_add(&r->tally, own->chunk) : -EBADMSG;
    }
    return rc;
}

static int lane_take(struct lane_reader *r, unsigned int i)
{
    struct fd_reader *own = r->state;
    int fd = ((const struct ends *)r->lanes->prepared)[i].read_fd;

    return own->whole ? datagrams_take(r, fd) : stream_take(r, fd, &own->carries[i]);
}

static int fd_take(struct lane_reader *r)
{
    struct fd_reader *own = r->state;
    int count, rc = 0;

    if (own->epoll_fd < 0)
        return lane_take(r, 0);
    count = epoll_wait(own->epoll_fd, own->ready, LANES_MAX, 0);
    if (count < 0)
        return errno == EINTR ? 0 : -errno;
    for (int i = 0; rc == 0 && i < count; i++)
        rc = lane_take(r, own->ready[i].data.u32);
    return rc;
}

static int sleeping_take(struct lane_reader *r)
{
    struct pollfd wanted = {((const struct ends *)r->lanes->prepared)[0].read_fd, POLLIN, 0};
    int count = poll(&wanted, 1, LANES_WAIT_MS);

    if (count <= 0)
        return count == 0 || errno == EINTR ? 0 : -errno;
    return lane_take(r, 0);
}

#define FD(kind)                                                                                  \
    .detail = (kind), .relaxes = LANES_RELAXES_SOCKET, .prepare = fd_prepare,                     \
    .release = fd_release, .writer_make = fd_writer_make, .reader_open = fd_reader_open

const struct lanes_ops lanes_unix = {
    .name = "unix", FD(FD_UNIX), .put = fd_put, .take = fd_take};
const struct lanes_ops lanes_unix_batch = {
    .name = "unix-64k", FD(FD_UNIX), .put = batch_put, .flush = batch_flush, .take = fd_take};
const struct lanes_ops lanes_unix_sleeping = {
    .name = "unix-sleeping", FD(FD_UNIX), .sleeps = true, .put = fd_put, .take = sleeping_take};
const struct lanes_ops lanes_dgram = {
    .name = "dgram", FD(FD_DGRAM), .put = fd_put, .take = fd_take};
const struct lanes_ops lanes_seqpacket = {
    .name = "seqpacket", FD(FD_SEQPACKET), .put = fd_put, .take = fd_take};
const struct lanes_ops lanes_tcp = {.name = "tcp", FD(FD_TCP), .put = fd_put, .take = fd_take};
const struct lanes_ops lanes_udp = {.name = "udp", FD(FD_UDP), .put = fd_put, .take = fd_take};
const struct lanes_ops lanes_pipe = {.name = "pipe", FD(FD_PIPE), .put = fd_put, .take = fd_take};
