/*
 * notify: tells the service manager how the agent is, by the protocol of sd_notify(3): datagrams of
 * NAME=VALUE lines to the Unix socket that NOTIFY_SOCKET names. Without one nothing is sent.
 *
 * Owns:   a socket.
 * Thread: main.
 * Units:  ns on the monotonic clock.
 */
#ifndef CONTROL_NOTIFY_H
#define CONTROL_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/errmsg.h"

struct notify {
    int fd;                 /* owned; -1: nobody wants to know */
    uint64_t interval_ns;   /* half of what the watchdog allows; 0: it is off */
    uint64_t due_ns;
};

#define NOTIFY_INIT { .fd = -1 }

/*
 * As the environment says: NOTIFY_SOCKET, and WATCHDOG_USEC for this very process. 0 where there is
 * none; -errno with a text: there is one, and it cannot be used.
 */
int notify_open(struct notify *n, struct errmsg *err);
void notify_close(struct notify *n);

/* One message: lines without the last newline. A message that cannot be sent is said in the log. */
void notify_send(const struct notify *n, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Is a sign of life due? */
bool notify_due(const struct notify *n);

/* Gives it. */
void notify_alive(struct notify *n);

/* The configuration is being read again: READY=1 ends that. */
void notify_reloading(const struct notify *n);

#endif
