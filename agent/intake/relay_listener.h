/*
 * relay_listener: takes what other agents send (sink/relay_wire.h), on a thread of its own.
 *
 * It is an ordinary producer with a ring in shm_dir. A turn reads what has come, gives it places in
 * the ring, syncs the journal of these places (relay_table.h), writes the ring, and tells senders
 * which of their batches are durable. A full ring stops the reading, and the senders with it. No
 * sender is answered before the rings of earlier lives are durable.
 *
 * Owns:   thread, sockets, ring, journal.
 * Thread: all functions by one other thread.
 */
#ifndef INTAKE_RELAY_LISTENER_H
#define INTAKE_RELAY_LISTENER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/errmsg.h"
#include "intake/relay_old.h"
#include "pipeline/relay_counters.h"
#include "sink/relay_link.h"

struct relay_place {
    const char *text;
    struct sockaddr_storage address;
    socklen_t address_len;
};

struct relay_listener_options {         /* read in open only, but for ctx */
    const struct relay_place *places;   /* none: only what earlier lives have left is settled */
    size_t places_count;
    const char *shm_dir, *data_dir;
    struct relay_tls_files tls;         /* cert_file "": no TLS */
    uint32_t connections_max;
    uint64_t idle_timeout_ns;           /* of a message that does not come to its end */
    struct relay_counters *counters;    /* borrowed */
    bool (*stream_take)(void *ctx, const char *stream);
    relay_ring_end_fn ring_end;         /* in open only */
    void *ctx;
};

struct relay_listener;

/* Listens, and holds old rings; before the shards drain. 0 or -errno with a text. NULL: no need. */
int relay_listener_open(const struct relay_listener_options *options,
                        struct relay_listener **ret_listener, struct errmsg *err);
int relay_listener_start(struct relay_listener *l, struct errmsg *err);

/* Reads no more, waits at most timeout_ns until what was taken is durable. The shards drain on. */
void relay_listener_stop(struct relay_listener *l, uint64_t timeout_ns);
bool relay_listener_stopped(const struct relay_listener *l);
bool relay_listener_failed(const struct relay_listener *l);     /* and has said why */

void relay_listener_close(struct relay_listener *l);    /* ends it at once; NULL is fine */

#endif
