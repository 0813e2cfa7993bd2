/*
 * cli_bench_stream: sockets and pipes as wires: events of one size, end to end.
 * Owns:   both descriptors until the end is chosen, then its own.
 * Thread: one in each process.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cli/cli_bench_wire.h"
#include "cli/cli_write.h"
#include "io/file.h"

/* A connection over loopback, as socketpair() would make it. 0 or -errno. */
static int tcp_pair(int ret_ends[2])
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof(address);
    int one = 1, rc = 0;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    ret_ends[0] = -1;
    ret_ends[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (listener < 0 || ret_ends[1] < 0 ||
        bind(listener, (struct sockaddr *)&address, sizeof(address)) != 0 ||
        listen(listener, 1) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &len) != 0 ||
        connect(ret_ends[1], (struct sockaddr *)&address, len) != 0 ||
        (ret_ends[0] = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) < 0 ||
        setsockopt(ret_ends[1], IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) != 0)
        rc = -errno;
    file_close(listener);
    if (rc != 0) {
        file_close(ret_ends[0]);
        file_close(ret_ends[1]);
    }
    return rc;
}

static int stream_prepare(struct wire *w, struct errmsg *err)
{
    int ends[2], rc;

    switch (w->opt.kind) {
    case WIRE_PIPE:
    case WIRE_PIPE_BATCH:
        rc = pipe2(ends, O_CLOEXEC) == 0 ? 0 : -errno;
        break;
    case WIRE_TCP:
    case WIRE_TCP_BATCH:
        rc = tcp_pair(ends);
        break;
    case WIRE_DGRAM:
    case WIRE_DGRAM_BATCH:
        rc = socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends) == 0 ? 0 : -errno;
        break;
    default:
        rc = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0 ? 0 : -errno;
        break;
    }
    if (rc != 0)
        return errmsg_set_errno(err, rc, "%s", wire_row(&w->opt)->name);
    w->batch = w->opt.kind == WIRE_UNIX_BATCH || w->opt.kind == WIRE_DGRAM_BATCH ||
               w->opt.kind == WIRE_TCP_BATCH || w->opt.kind == WIRE_PIPE_BATCH;
    w->read_fd = ends[0];
    w->write_fd = ends[1];
    return 0;
}

static int chunk_open(struct wire *w, struct errmsg *err)
{
    w->chunk = aligned_alloc(FILE_BLOCK_BYTES, WIRE_BATCH_BYTES);
    if (w->chunk == NULL)
        return errmsg_set_errno(err, -ENOMEM, "chunk");
    memset(w->chunk, 0, WIRE_BATCH_BYTES);
    return 0;
}

static int stream_writer_open(struct wire *w, struct errmsg *err)
{
    file_close(w->read_fd);
    w->read_fd = -1;
    return chunk_open(w, err);
}

static int stream_reader_open(struct wire *w, const char *ring_name, struct errmsg *err)
{
    int flags = fcntl(w->read_fd, F_GETFL);

    (void)ring_name;
    file_close(w->write_fd);
    w->write_fd = -1;
    if (flags < 0 || fcntl(w->read_fd, F_SETFL, flags | O_NONBLOCK) != 0)
        return errmsg_set_errno(err, -errno, "making the reader non-blocking");
    return chunk_open(w, err);
}

static int stream_put_end(struct wire *w)
{
    uint64_t len = w->chunk_len;

    w->chunk_len = 0;
    return cli_write(w->write_fd, w->chunk, len);
}

static int stream_put(struct wire *w, const void *data, uint32_t count)
{
    uint32_t bytes = w->opt.event_bytes;
    int rc = 0;

    for (uint32_t i = 0; rc == 0 && i < count; i++) {
        if (!w->batch) {
            rc = cli_write(w->write_fd, data, bytes);
            continue;
        }
        if (w->chunk_len + bytes > WIRE_BATCH_BYTES)
            rc = stream_put_end(w);
        memcpy(w->chunk + w->chunk_len, data, bytes);
        w->chunk_len += bytes;
    }
    return rc;
}

static int stream_take(struct wire *w, uint64_t *ret_events, const uint8_t **ret_first)
{
    ssize_t n = read(w->read_fd, w->chunk, WIRE_BATCH_BYTES);
    uint64_t before = w->seen_bytes / w->opt.event_bytes;

    *ret_events = 0;
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    if (n == 0)
        return -EPIPE;
    w->seen_bytes += (uint64_t)n;
    *ret_events = w->seen_bytes / w->opt.event_bytes - before;
    *ret_first = w->chunk;
    return 0;
}

static void stream_close(struct wire *w)
{
    file_close(w->read_fd);
    file_close(w->write_fd);
}

const struct wire_ops wire_stream_ops = {
    .prepare = stream_prepare,
    .ring_make = wire_nothing,
    .writer_open = stream_writer_open,
    .reader_open = stream_reader_open,
    .put = stream_put,
    .put_end = stream_put_end,
    .take = stream_take,
    .close = stream_close,
};
