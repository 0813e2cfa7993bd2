/*
 * upload_server: an S3 that throws away what it gets, in a process of its own: what a transfer
 * costs the sender is measured against it. It believes every signature.
 *
 * Owns:   a process, ended by its id.
 * Thread: one for each connection, in that process.
 */
#ifndef BENCHMARKS_SINK_UPLOAD_SERVER_H
#define BENCHMARKS_SINK_UPLOAD_SERVER_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/errmsg.h"

struct upload_server {
    pid_t pid;
    int port;
};

/* With TLS it makes itself a certificate for 127.0.0.1, written to ca_file. */
int upload_server_start(struct upload_server *s, bool tls, const char *ca_file,
                        struct errmsg *err);
void upload_server_stop(struct upload_server *s);

#endif
