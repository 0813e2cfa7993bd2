/*
 * http_listen: a listening TCP socket.
 *
 * Owns:   nothing; the descriptor is the caller's.
 * Thread: any.
 */
#ifndef CONTROL_HTTP_LISTEN_H
#define CONTROL_HTTP_LISTEN_H

#include "base/errmsg.h"
#include "control/address.h"

/* What stands in front of the path of a Unix socket, in [http] listen. */
#define HTTP_LISTEN_UNIX "unix:"

/* A non-blocking listening socket, or -EADDRINUSE, -EACCES, ... ; text names it in errors. */
int http_listen_open(const struct address *address, const char *text, struct errmsg *err);

/* The port that the socket has got, or -errno. */
int http_listen_port(int fd);

#endif
