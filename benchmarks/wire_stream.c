/*
 * wire_stream: Unix stream sockets and pipes as wires: events of one size, end to end.
 * Owns:   both descriptors until the end is chosen, then its own.
 * Thread: one in each process.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "benchmarks/wire.h"
#include "io/file.h"

static int stream_prepare(struct wire *w, struct errmsg *err)
{
    int ends[2], rc;

    if (w->opt.kind == WIRE_PIPE)
        rc = pipe2(ends, O_CLOEXEC);
    else
        rc = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends);
    if (rc != 0)
        return errmsg_set_errno(err, -errno, "%s", wire_name(w->opt.kind));
    w->read_fd = ends[0];
    w->write_fd = ends[1];
    return 0;
}

static int stream_ring_make(struct wire *w, struct errmsg *err)
{
    (void)w;
    (void)err;
    return 0;
}

static int chunk_open(struct wire *w, struct errmsg *err)
{
    w->chunk = aligned_alloc(FILE_BLOCK_BYTES, WIRE_READ_BYTES);
    if (w->chunk == NULL)
        return errmsg_set_errno(err, -ENOMEM, "chunk");
    memset(w->chunk, 0, WIRE_READ_BYTES);
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

static int write_whole(int fd, const uint8_t *data, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, data, len);

        if (n < 0 && errno != EINTR)
            return -errno;
        if (n > 0) {
            data += n;
            len -= (size_t)n;
        }
    }
    return 0;
}

static int stream_put_end(struct wire *w)
{
    uint64_t len = w->chunk_len;

    w->chunk_len = 0;
    return write_whole(w->write_fd, w->chunk, len);
}

static int stream_put(struct wire *w, const void *data, uint32_t count)
{
    uint32_t bytes = w->opt.event_bytes;
    int rc = 0;

    for (uint32_t i = 0; rc == 0 && i < count; i++) {
        if (w->opt.kind != WIRE_UNIX_BATCH) {
            rc = write_whole(w->write_fd, data, bytes);
            continue;
        }
        if (w->chunk_len + bytes > WIRE_READ_BYTES)
            rc = stream_put_end(w);
        memcpy(w->chunk + w->chunk_len, data, bytes);
        w->chunk_len += bytes;
    }
    return rc;
}

static int stream_take(struct wire *w, uint64_t *ret_events, const uint8_t **ret_first)
{
    ssize_t n = read(w->read_fd, w->chunk, WIRE_READ_BYTES);
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
    .ring_make = stream_ring_make,
    .writer_open = stream_writer_open,
    .reader_open = stream_reader_open,
    .put = stream_put,
    .put_end = stream_put_end,
    .take = stream_take,
    .close = stream_close,
};
