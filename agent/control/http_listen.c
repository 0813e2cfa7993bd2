/*
 * http_listen: where HTTP is served.
 *
 * Owns:   nothing.
 * Thread: any.
 */
#include "control/http_listen.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LISTEN_BACKLOG = 128 };

int http_listen_open(const struct address *address, const char *text, struct errmsg *err)
{
    int one = 1;
    int fd = socket(address->addr.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return errmsg_set_errno(err, -errno, "cannot listen on %s", text);
    /* A restart must not wait for the old connections' last packets. */
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) != 0 ||
        bind(fd, (const struct sockaddr *)&address->addr, address->len) != 0 ||
        listen(fd, LISTEN_BACKLOG) != 0) {
        int res = -errno;

        (void)close(fd);
        if (res == -EADDRINUSE)
            return errmsg_set(err, res, "cannot listen on %s: another program does (another agent"
                              " perhaps); [http] listen or --http choose another port", text);
        return errmsg_set_errno(err, res, "cannot listen on %s", text);
    }
    return fd;
}

int http_listen_port(int fd)
{
    struct sockaddr_storage addr;
    socklen_t len = sizeof(addr);

    if (getsockname(fd, (struct sockaddr *)&addr, &len) != 0)
        return -errno;
    if (addr.ss_family == AF_INET6)
        return ntohs(((const struct sockaddr_in6 *)&addr)->sin6_port);
    return ntohs(((const struct sockaddr_in *)&addr)->sin_port);
}
