/*
 * intake: lines by TCP, Unix stream sockets and UDP, on a thread of its own.
 *
 * It is an ordinary producer: what it takes it writes into rings in shm_dir, one for each kind of
 * socket, made at first use. So what it has taken survives the agent's death like any event, and a
 * connection is closed from here only when everything up to its end is committed. A full ring stops
 * the reading, and the senders with it.
 *
 * Owns:   thread, sockets, rings.
 * Thread: all functions by one other thread.
 */
#ifndef INTAKE_INTAKE_H
#define INTAKE_INTAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/errmsg.h"
#include "pipeline/intake_counters.h"

enum { INTAKE_CONNECTIONS_MAX = 60000 };

struct intake_place {
    enum intake_source source;
    const char *text;                   /* as configured; of UNIX: the path */
    struct sockaddr_storage address;    /* of TCP and UDP */
    socklen_t address_len;
};

struct intake_options {                 /* read in start only, but for ctx and counters */
    const struct intake_place *places;
    size_t places_count;
    const char *shm_dir;
    const char *default_stream;
    size_t line_bytes_max;
    uint32_t connections_max;
    uint64_t idle_timeout_ns;
    /* May there be a stream of this name? It counts against the limits then. 0, -ENOENT: it is
       not configured, and has to be; -EDQUOT. On the intake's thread, once for each name, ring and
       configuration. */
    int (*stream_take)(void *ctx, const char *stream);
    void *ctx;
    struct intake_counters *counters;   /* borrowed */
};

struct intake;

/* Listens; 0 or -errno with a text. The thread takes no signals. */
int intake_start(const struct intake_options *options, struct intake **ret_intake,
                 struct errmsg *err);

/* From now on, for lines that name no stream. */
void intake_default_stream(struct intake *in, const char *stream);

/*
 * Begins to stop: listens no more, takes what open connections have sent already, commits it, and
 * closes them; what is not through after timeout_ns is cut off. The rings have to be drained
 * meanwhile.
 */
void intake_stop(struct intake *in, uint64_t timeout_ns);
bool intake_stopped(const struct intake *in);     /* or it has failed, and said why */

void intake_close(struct intake *in);       /* ends it at once; NULL is fine */

#endif
