/*
 * address: ADDR:PORT texts of listeners and of the agent's HTTP server. Numeric addresses and
 * "localhost" only: nothing here asks a name server.
 *
 *   127.0.0.1:8000   localhost:8000   [::1]:8000   0.0.0.0:0 (port 0: any free port)
 *
 * Owns:   nothing.
 * Thread: any.
 */
#ifndef CONTROL_ADDRESS_H
#define CONTROL_ADDRESS_H

#include <stdbool.h>
#include <sys/socket.h>

#include "base/errmsg.h"

struct address {
    struct sockaddr_storage addr;
    socklen_t len;
};

/* 0, or -EINVAL with what is wrong and the remedy. */
int address_parse(const char *text, struct address *ret_address, struct errmsg *err);

/* True if only this host can reach it. */
bool address_is_loopback(const struct address *a);

/* HOST:PORT of a peer, where HOST may be a name. 0, or -EINVAL with the reason. */
int address_check_peer(const char *text, struct errmsg *err);

#endif
