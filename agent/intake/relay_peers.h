/*
 * relay_peers: the connections of the relay's listener: accepted, read, answered, ended.
 *
 * Thousands of them rest most of the time, so a turn touches only those of which there is something
 * to do: the active ones. Memory is bounded over all: beyond the bound nobody is read but a few who
 * bring a message to its end, and who is slow then is cut off, which costs nothing but a reconnect.
 *
 * Owns:   sockets that listen, connections, the epoll.
 * Thread: the listener's.
 * Units:  *_ns on the boot clock.
 */
#ifndef INTAKE_RELAY_PEERS_H
#define INTAKE_RELAY_PEERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "intake/relay_peer.h"
#include "pipeline/relay_counters.h"

enum { RELAY_PLACES_MAX = 16 };

struct relay_peers {
    struct relay_tls *tls;              /* borrowed; NULL: none */
    struct relay_counters *counters;    /* borrowed */
    uint32_t max;
    uint64_t idle_timeout_ns;           /* of a message that does not come to its end */
    int epoll, wake;                    /* owned */
    int places[RELAY_PLACES_MAX];       /* owned */
    size_t places_count;
    bool paused;                        /* nobody is accepted */
    uint64_t accept_ns;                 /* until then */
    uint8_t *scratch;                   /* owned */
    struct relay_peer *all;             /* owned */
    struct relay_peer *active, **active_end;    /* who waits comes first */
    uint32_t count;
    uint64_t bytes;                     /* read and not taken, of all */
    uint64_t alive_ns;                  /* the next sign of life */
};

/* 0 or -errno. fini is fine after a failed init, and for zeroed with -1 for both descriptors. */
int relay_peers_init(struct relay_peers *ps);
void relay_peers_fini(struct relay_peers *ps);

/* Listens. 0 or -errno. */
int relay_peers_listen(struct relay_peers *ps, const struct sockaddr *address, socklen_t len);

/* Any thread: relay_peers_wait() returns. */
void relay_peers_wake(const struct relay_peers *ps);

/* Waits for something to come, accepts, reads. */
void relay_peers_wait(struct relay_peers *ps, int timeout_ms);

/* More of one peer: its socket may have it without telling. */
void relay_peer_read(struct relay_peers *ps, struct relay_peer *p);

/* Of no use to us, for this reason: it is told, and gone. */
void relay_peer_refuse(struct relay_peers *ps, struct relay_peer *p, const struct errmsg *why);

/*
 * The end of a turn: answers go out, who is done rests, who is gone is freed. ready: messages are
 * taken now; else all stay active. True: some do.
 */
bool relay_peers_sweep(struct relay_peers *ps, const struct relay_ring *ring, bool ready,
                       uint64_t now_ns);

/* When it is time: tells all that this agent lives, and why they wait. No peer is freed. */
void relay_peers_alive(struct relay_peers *ps, enum relay_wait all_wait, uint64_t now_ns);

#endif
