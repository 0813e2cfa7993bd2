/*
 * net: the plain calls of sockets: opening, accepting, what Unix sockets bring, and datagrams, many
 * in a call. What waits for bytes is io_poll() and io_receive() of loop.h.
 *
 * Owns:   nothing; descriptors are the caller's to close (file_close()).
 * Thread: any.
 * Errors: 0, a count or a descriptor, or -errno.
 */
#ifndef IO_NET_H
#define IO_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/errmsg.h"

/* Listens, without blocking. */
int net_listen(const struct sockaddr *address, socklen_t len);

/*
 * Listens at a path whose directory is there; the name gets `mode`, as far as the umask lets it. A
 * socket left there is removed if nobody listens any more (-EADDRINUSE: somebody does); what is no
 * socket never is (-EEXIST). The text says what to do.
 */
int net_listen_unix(const char *path, uint32_t mode, struct errmsg *err);

/* Takes the name away, if it still is this socket's. */
void net_unlisten_unix(const char *path, int fd);

/* The next connection, in blocking mode, as io_receive() wants it. -EAGAIN: none waits. */
int net_accept(int fd);

/* Nothing more comes: what is there can still be read, and then its end. A listener ends. */
void net_end_reading(int fd);

/*
 * on: should it be closed now, by the death of this process perhaps, its peer is told that not all
 * was taken. By TCP; a Unix socket tells that when there are bytes in it that were not read.
 */
void net_abortive(int fd, bool on);

/*
 * Copies what has come by a Unix stream socket, up to `cap` bytes, and takes all of it out but for
 * the last byte, which is the first one of the next call. So the socket is not empty from the first
 * byte on until net_take_last(), and the death of this process resets it. Their number; 0: none; or
 * -errno. *ret_more: there are more than cap.
 */
int net_take_but_last(int fd, uint8_t *buffer, size_t cap, bool *ret_more);
void net_take_last(int fd);

/*
 * A watch tells which of its sockets have something new: once for all that has come, whether it was
 * taken or not. Its descriptor is readable while there is something to tell.
 */
struct net_event {
    void *ctx;
    bool ended;                 /* nothing more comes than what is there */
};
enum { NET_EVENTS_MAX = 64 };
int net_watch_open(void);
int net_watch_add(int watch, int fd, void *ctx);    /* until fd is closed */
int net_watch_take(int watch, struct net_event events[static NET_EVENTS_MAX]); /* their number */

/*
 * A descriptor that is readable while fd is, to be polled by io_uring in its place: that keeps what
 * it polls for some milliseconds longer than the process lives that was killed, and would keep a
 * listening socket's address from the next one.
 */
int net_proxy_open(int fd);

/* Takes datagrams, without blocking; the kernel may keep receive_bytes of them, or what it lets. */
int net_datagrams_open(const struct sockaddr *address, socklen_t len, int receive_bytes);

struct net_datagram {
    uint8_t *data;              /* borrowed; in: cap bytes */
    size_t cap;
    size_t len;                 /* out */
    bool cut;                   /* it was longer than cap */
};

/*
 * Up to `max` (NET_DATAGRAMS_MAX) that are there; their number, or -EAGAIN. *drops is raised to
 * what the kernel has dropped since the socket was opened, modulo 2^32.
 */
enum { NET_DATAGRAMS_MAX = 64 };
int net_datagrams_take(int fd, struct net_datagram *datagrams, unsigned max, uint32_t *drops);

#endif
