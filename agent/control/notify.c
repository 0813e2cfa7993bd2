/*
 * notify: see the header.
 *
 * Sends wait for the manager, but for SEND_MS at most: the thread is a shard's.
 *
 * Owns:   see the header.
 * Thread: main.
 */
#include "control/notify.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"

#define SEND_MS 500

static uint64_t now_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

/* A number in the environment; false: none, or no number. */
static bool number(const char *name, uint64_t *ret_value)
{
    const char *text = getenv(name);
    char *end;

    if (!text || text[0] < '0' || text[0] > '9')
        return false;
    errno = 0;
    *ret_value = strtoull(text, &end, 10);
    return errno == 0 && *end == '\0';
}

/* WATCHDOG_PID names whom it is for: a parent's may have been inherited. */
static uint64_t watchdog_interval_ns(void)
{
    uint64_t usec, pid;

    if (!number("WATCHDOG_USEC", &usec) || usec == 0 || usec > UINT64_MAX / 1000)
        return 0;
    if (getenv("WATCHDOG_PID") && (!number("WATCHDOG_PID", &pid) || pid != (uint64_t)getpid()))
        return 0;
    return usec * 1000 / 2;
}

static int address(const char *path, struct sockaddr_un *ret_addr, socklen_t *ret_len)
{
    size_t len = strlen(path);

    *ret_addr = (struct sockaddr_un){.sun_family = AF_UNIX};
    if ((path[0] != '/' && path[0] != '@') || len < 2)
        return -EAFNOSUPPORT;
    if (len >= sizeof(ret_addr->sun_path))
        return -ENAMETOOLONG;
    memcpy(ret_addr->sun_path, path, len);
    if (path[0] == '@')
        ret_addr->sun_path[0] = '\0';
    *ret_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + (path[0] == '/'));
    return 0;
}

int notify_open(struct notify *n, struct errmsg *err)
{
    const struct timeval wait = {.tv_usec = SEND_MS * 1000};
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un addr;
    socklen_t len = 0;
    int r;

    *n = (struct notify)NOTIFY_INIT;
    if (!path || path[0] == '\0')
        return 0;
    r = address(path, &addr, &len);
    if (!r) {
        n->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (n->fd < 0 || setsockopt(n->fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait))
            || connect(n->fd, (struct sockaddr *)&addr, len))
            r = -errno;
    }
    if (r) {
        notify_close(n);
        return errmsg_set(err, r, "NOTIFY_SOCKET=%s: %s", path, strerror(-r));
    }
    n->interval_ns = watchdog_interval_ns();
    return 0;
}

void notify_close(struct notify *n)
{
    if (n->fd >= 0)
        (void)close(n->fd);
    *n = (struct notify)NOTIFY_INIT;
}

void notify_send(const struct notify *n, const char *fmt, ...)
{
    static struct log_limit limit = LOG_LIMIT_INIT("failed messages", 1, 60 * 1000000000ULL);
    char text[1024];
    va_list args;
    size_t len;
    int r;

    if (n->fd < 0)
        return;
    va_start(args, fmt);
    r = vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    len = (size_t)r < sizeof(text) ? (size_t)r : sizeof(text) - 1;
    if (send(n->fd, text, len, MSG_NOSIGNAL) < 0) {
        r = errno;
        if (log_limit_allow(&limit, now_ns()))
            log_warn("the service manager does not hear us: %s", strerror(r));
    }
}

bool notify_due(const struct notify *n)
{
    return n->interval_ns != 0 && now_ns() >= n->due_ns;
}

void notify_alive(struct notify *n)
{
    n->due_ns = now_ns() + n->interval_ns;
    notify_send(n, "WATCHDOG=1");
}

/* With the time, by which the manager knows that it is not of an earlier one. */
void notify_reloading(const struct notify *n)
{
    notify_send(n, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, now_ns() / 1000);
}
