/*
 * lanes: events from one or more producers to one consumer, each a process of its own, by one of
 * the ways that are compared; so that each of them is measured by the same loops.
 *
 * Life: prepare() in the parent, before it forks; writer_make() in each producer; reader_open() in
 * the consumer; writer_open() in each producer; events; release() in the parent. Producers and
 * consumer end by _exit(), which gives back what they hold. Names in the file system are in a
 * directory of the bench's own, which is removed as a whole.
 *
 * Owns:   prepare()'s is the parent's, everything else is the process's that made it.
 * Thread: one in each process; some libraries run more beside it.
 * Units:  bytes of payload.
 */
#ifndef BENCHMARKS_TRANSPORTS_LANES_H
#define BENCHMARKS_TRANSPORTS_LANES_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/errmsg.h"
#include "benchmarks/transports/serial.h"

enum {
    LANES_MAX = SERIAL_PRODUCERS_MAX,
    LANES_NAME_MAX = 128,
    LANES_BATCH_BYTES = 65536,
    LANES_TAKE_MAX = 256, /* events of one look, where each is a call */
    LANES_WAIT_MS = 20    /* the longest look of a reader that sleeps */
};

struct lanes_ops;

struct lanes {
    const struct lanes_ops *ops;
    uint32_t event_bytes;
    unsigned int producers;
    const char *dir;               /* of our own, on tmpfs; borrowed */
    char (*names)[LANES_NAME_MAX]; /* by producer, of what writer_make() made; shared; borrowed */
    void *prepared;                /* of the ops */
};

struct lane_writer {
    const struct lanes *lanes;
    unsigned int producer;
    struct serials serials;
    void *state; /* of the ops */
};

struct lane_reader {
    const struct lanes *lanes;
    struct tally tally;
    uint8_t message[SERIAL_BYTES_MAX]; /* the last one, where receive() takes them */
    void *state;                       /* of the ops */
};

struct lanes_ops {
    const char *name;
    uint32_t detail;     /* what tells apart the ops that share functions */
    unsigned int relaxes; /* pauses after a look in vain, where throughput is measured */
    bool sleeps;         /* a look waits for events */
    bool roams;          /* has threads of its own: the kernel places them and ours as it likes */

    /* NULL, but for put and take: there is nothing to do. */
    int (*prepare)(struct lanes *l, struct errmsg *err);
    int (*writer_make)(struct lane_writer *w, struct errmsg *err);
    int (*writer_open)(struct lane_writer *w, struct errmsg *err);
    int (*reader_open)(struct lane_reader *r, struct errmsg *err);

    /* The next count events of w's serials; waits where there is no room. 0 or -errno. */
    int (*put)(struct lane_writer *w, uint32_t count);
    int (*flush)(struct lane_writer *w);

    /* Looks once, at each lane, and adds what is there to the tally. 0 or -errno. */
    int (*take)(struct lane_reader *r);

    /*
     * With lanes_take_messages as take: the next message's length, its bytes in r->message.
     * -EAGAIN: nothing is there; where the first one may be waited for, for LANES_WAIT_MS.
     */
    ssize_t (*receive)(struct lane_reader *r, bool first);
    void (*release)(struct lanes *l); /* after prepare(), whether it failed or not */
};

/*
 * A reader that asks an empty socket again at once fights the writer for the socket's lock and
 * takes bytes in small pieces: some microseconds between its looks make sockets up to three times
 * faster.
 */
enum { LANES_RELAXES_SOCKET = 400 };

/* Looks for messages, an event each, until there is none or there were LANES_TAKE_MAX. */
int lanes_take_messages(struct lane_reader *r);

extern const struct lanes_ops lanes_ring, lanes_ring_untimed, lanes_ring_mapped;
extern const struct lanes_ops lanes_unix, lanes_unix_batch, lanes_unix_sleeping, lanes_dgram,
    lanes_seqpacket, lanes_tcp, lanes_udp, lanes_pipe;
extern const struct lanes_ops lanes_mq, lanes_zeromq, lanes_nng, lanes_boost_spsc, lanes_boost_mq;

#endif
