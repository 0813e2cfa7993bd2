/*
 * net: sockets.
 * Owns:   nothing.
 * Thread: any.
 */
#include "io/net.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/invariant.h"

enum { LISTEN_BACKLOG = 4096 };     /* or net.core.somaxconn */

/* Closes it and passes its error on. */
static int fail(int fd)
{
    int err = -errno;

    (void)close(fd);
    return err;
}

int net_listen(const struct sockaddr *address, socklen_t len)
{
    int one = 1, fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -errno;
    /* A restart must not wait for old connections' last packets; peers that vanish are found. */
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one)) != 0 ||
        bind(fd, address, len) != 0 || listen(fd, LISTEN_BACKLOG) != 0)
        return fail(fd);
    return fd;
}

static int unix_address(const char *path, struct sockaddr_un *ret, struct errmsg *err)
{
    size_t len = strlen(path);

    *ret = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (len == 0 || len >= sizeof(ret->sun_path))
        return errmsg_set(err, -ENAMETOOLONG, "%s: a socket's path has at most %zu bytes", path,
                          sizeof(ret->sun_path) - 1);
    memcpy(ret->sun_path, path, len);
    return 0;
}

/* Removes a socket that nobody listens at. */
static int stale_remove(const char *path, const struct sockaddr_un *address, struct errmsg *err)
{
    struct stat st;
    int fd, rc;

    if (lstat(path, &st) != 0)
        return errno == ENOENT ? 0 : errmsg_set_errno(err, -errno, "%s", path);
    if (!S_ISSOCK(st.st_mode))
        return errmsg_set(err, -EEXIST, "%s: there is something that is no socket; move it away, or"
                          " choose another path", path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return errmsg_set_errno(err, -errno, "%s", path);
    rc = connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 ? 0 : -errno;
    (void)close(fd);
    if (rc != -ECONNREFUSED)        /* -EAGAIN: somebody listens, and is busy */
        return rc == -ENOENT ? 0 : errmsg_set(err, -EADDRINUSE, "%s: another program listens there "
                                              "(another agent perhaps)", path);
    if (unlink(path) != 0 && errno != ENOENT)
        return errmsg_set_errno(err, -errno, "%s: a socket is left there and cannot be removed",
                                path);
    return 0;
}

int net_listen_unix(const char *path, uint32_t mode, struct errmsg *err)
{
    struct sockaddr_un address;
    int rc = unix_address(path, &address, err), fd;

    if (rc == 0)
        rc = stale_remove(path, &address, err);
    if (rc != 0)
        return rc;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return errmsg_set_errno(err, -errno, "%s", path);
    /* The name gets the mode that the socket has when it is bound, so it is never another. */
    if (fchmod(fd, (mode_t)mode) != 0 ||
        bind(fd, (const struct sockaddr *)&address, sizeof(address)) != 0 ||
        listen(fd, LISTEN_BACKLOG) != 0) {
        rc = fail(fd);
        return errmsg_set_errno(err, rc, "%s: cannot listen", path);
    }
    return fd;
}

void net_unlisten_unix(const char *path, int fd)
{
    struct sockaddr_un address;
    socklen_t len = sizeof(address);
    struct stat st;
    int probe;

    /* Another agent's socket at the path answers; ours, which listens no more, does not. */
    if (getsockname(fd, (struct sockaddr *)&address, &len) != 0 || lstat(path, &st) != 0 ||
        !S_ISSOCK(st.st_mode))
        return;
    (void)shutdown(fd, SHUT_RDWR);
    probe = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (probe < 0)
        return;
    if (connect(probe, (const struct sockaddr *)&address, len) != 0 && errno == ECONNREFUSED)
        (void)unlink(path);
    (void)close(probe);
}

int net_accept(int fd)
{
    int got = accept4(fd, NULL, NULL, SOCK_CLOEXEC);

    return got < 0 ? -errno : got;
}

void net_abortive(int fd, bool on)
{
    struct linger none = {.l_onoff = on};

    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));   /* Unix: it is ignored */
}

/* Of what is there. */
static ssize_t receive(int fd, void *buffer, size_t len, int flags)
{
    ssize_t n;

    do
        n = recv(fd, buffer, len, flags | MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    return n < 0 && errno != EAGAIN ? -errno : n < 0 ? 0 : n;
}

int net_take_but_last(int fd, uint8_t *buffer, size_t cap, bool *ret_more)
{
    ssize_t n = 0, last;
    int there = 0;

    *ret_more = false;
    if (ioctl(fd, FIONREAD, &there) != 0)
        return -errno;
    if (there > 1)
        n = receive(fd, buffer, (size_t)there < cap ? (size_t)there - 1 : cap - 1, 0);
    if (n < 0 || there < 1)
        return (int)n;
    /* Less where descriptors came along. Nothing is left to look at: it was sent out of band. */
    last = receive(fd, buffer + n, 1, MSG_PEEK);
    *ret_more = last == 1 && n + last < there;
    if (last == 0 && n > 0)
        return -EPROTO;
    return (int)(last < 0 ? last : n + last);
}

void net_take_last(int fd)
{
    uint8_t last;

    (void)receive(fd, &last, 1, 0);
}

int net_watch_open(void)
{
    int fd = epoll_create1(EPOLL_CLOEXEC);

    return fd < 0 ? -errno : fd;
}

int net_watch_add(int watch, int fd, void *ctx)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data.ptr = ctx};

    return epoll_ctl(watch, EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : -errno;
}

int net_watch_take(int watch, struct net_event events[static NET_EVENTS_MAX])
{
    struct epoll_event got[NET_EVENTS_MAX];
    int n = epoll_wait(watch, got, NET_EVENTS_MAX, 0);

    for (int i = 0; i < n; i++)
        events[i] = (struct net_event){got[i].data.ptr, (got[i].events & EPOLLRDHUP) != 0};
    return n < 0 ? 0 : n;       /* a signal: what is there is told next time */
}

int net_proxy_open(int fd)
{
    struct epoll_event event = {.events = EPOLLIN};
    int proxy = epoll_create1(EPOLL_CLOEXEC);

    if (proxy >= 0 && epoll_ctl(proxy, EPOLL_CTL_ADD, fd, &event) == 0)
        return proxy;
    return proxy < 0 ? -errno : fail(proxy);
}

void net_end_reading(int fd)
{
    (void)shutdown(fd, SHUT_RD);        /* -ENOTCONN: it has ended by itself */
}

int net_datagrams_open(const struct sockaddr *address, socklen_t len, int receive_bytes)
{
    int one = 1, fd = socket(address->sa_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -errno;
    /* The second needs no privilege, and is bounded by net.core.rmem_max. */
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &receive_bytes, sizeof(receive_bytes)) != 0 &&
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof(receive_bytes)) != 0)
        return fail(fd);
    if (setsockopt(fd, SOL_SOCKET, SO_RXQ_OVFL, &one, sizeof(one)) != 0 ||
        bind(fd, address, len) != 0)
        return fail(fd);
    return fd;
}

union control {
    char bytes[CMSG_SPACE(sizeof(uint32_t))];
    struct cmsghdr align;
};

static void drops_read(struct msghdr *msg, uint32_t *drops)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c != NULL; c = CMSG_NXTHDR(msg, c))
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_RXQ_OVFL)
            memcpy(drops, CMSG_DATA(c), sizeof(*drops));
}

int net_datagrams_take(int fd, struct net_datagram *datagrams, unsigned max, uint32_t *drops)
{
    struct mmsghdr msgs[NET_DATAGRAMS_MAX];
    struct iovec iov[NET_DATAGRAMS_MAX];
    union control control[NET_DATAGRAMS_MAX];
    int n;

    INVARIANT(max >= 1 && max <= NET_DATAGRAMS_MAX);
    memset(msgs, 0, max * sizeof(msgs[0]));
    for (unsigned i = 0; i < max; i++) {
        iov[i] = (struct iovec){datagrams[i].data, datagrams[i].cap};
        msgs[i].msg_hdr.msg_iov = &iov[i];
        msgs[i].msg_hdr.msg_iovlen = 1;
        msgs[i].msg_hdr.msg_control = &control[i];
        msgs[i].msg_hdr.msg_controllen = sizeof(control[i]);
    }
    n = recvmmsg(fd, msgs, max, MSG_DONTWAIT, NULL);
    if (n < 0)
        return errno == EINTR ? -EAGAIN : -errno;
    for (int i = 0; i < n; i++) {
        datagrams[i].len = msgs[i].msg_len;
        datagrams[i].cut = (msgs[i].msg_hdr.msg_flags & MSG_TRUNC) != 0;
        drops_read(&msgs[i].msg_hdr, drops);
    }
    return n;
}
