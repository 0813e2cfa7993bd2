/*
 * parts: the intake's state, shared by its files.
 *
 *   intake.c      the thread: listens, accepts, turns, keeps time, stops
 *   connection.c  one stream of bytes: received, unpacked, cut into lines, written
 *   datagrams.c   the same for datagrams
 *   taker.c       what becomes of a line, good or bad
 *
 * Memory: a connection has a receive buffer only while bytes of it wait for the ring; buffers,
 * half lines and what unpacking takes are each bounded over all connections.
 *
 * Owns:   see the fields.
 * Thread: the intake's, but for the fields that say so.
 * Units:  bytes; *_ns on the boot clock.
 */
#ifndef INTAKE_PARTS_H
#define INTAKE_PARTS_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/queue.h>

#include "encode/json_check.h"
#include "intake/intake.h"
#include "intake/intake_ring.h"
#include "intake/line_protocol.h"
#include "intake/unpack.h"
#include "io/loop.h"
#include "io/net.h"

enum {
    RECEIVE_BYTES = 64 * 1024,
    RECEIVE_BUFFERS = 256,
    OUT_BYTES = 32 * 1024,              /* of an unpacker */
    WORK_BYTES = 1 << 20,               /* of one connection in one turn, unpacked */
    MEMORY_WAITERS_MAX = 64,            /* may hold receive buffers: a quarter of them */
    DATAGRAM_BYTES = 64 * 1024,
    DATAGRAM_UNPACKED_MAX = 4 << 20
};
#define HALF_LINES_BYTES_MAX ((size_t)64 << 20)
#define UNPACK_BYTES_MAX     ((size_t)128 << 20)

struct datagrams;

/* Lines of one kind of socket, on their way into its ring. */
struct taker {
    struct intake *in;          /* borrowed */
    enum intake_source source;
    struct intake_ring ring;
};

enum work {
    WORK_DONE,                  /* all that has come is through */
    WORK_MORE,                  /* enough for one turn */
    WORK_FULL,                  /* the ring has no room */
    WORK_MEMORY,                /* memory is short */
    WORK_STARVED,               /* all receive buffers are out */
    WORK_DAMAGED                /* no use in reading on */
};

enum stream_end { STREAM_OPEN, STREAM_ENDED, STREAM_BROKEN };

struct connection {
    struct io_op op;
    struct taker *taker;        /* borrowed */
    int fd;                     /* owned */
    enum stream_end end;
    bool receiving;             /* op is under way; TCP alone */
    bool news;                  /* of UNIX: there may be bytes that were not looked at */
    bool shut;                  /* of UNIX: and none behind them */
    bool last_left;             /* of UNIX: the last byte of what came is still in the socket */
    bool ending;                /* to be freed when it comes back */
    bool waits_memory;          /* counted in intake.memory_waiters */
    bool on_todo, on_starved, on_half;

    uint8_t *buffer;            /* owned receive buffer, or NULL; at .. len are still to be read */
    size_t at, len;
    bool decided;               /* compressed or not; before that the first bytes stand in head */
    uint8_t head[UNPACK_MAGIC_BYTES];
    uint8_t head_at, head_len;

    struct unpacker *unpacker;  /* owned; NULL: not compressed */
    uint8_t *out;               /* owned; OUT_BYTES, of which out_at .. out_len are unread */
    size_t out_at, out_len;
    size_t reserved;            /* of intake.unpack_used */

    struct line_reader lines;
    uint64_t active_ns;         /* bytes came */
    uint64_t half_ns;           /* the half line that it holds has begun, about */
    uint64_t half_ends;         /* lines that had ended by then */
    TAILQ_ENTRY(connection) by_active, by_half, todo;
};
TAILQ_HEAD(connections, connection);

struct listener {
    struct io_op op;
    struct intake *in;          /* borrowed */
    enum intake_source source;
    char *text;                 /* owned */
    int fd;                     /* owned; -1: closed */
    int proxy;                  /* owned; polled in place of fd */
    bool polling;
    struct datagrams *datagrams;    /* owned; UDP alone */
};

struct intake {
    size_t line_bytes_max;
    uint32_t connections_max;
    uint64_t idle_timeout_ns;
    char *shm_dir;              /* owned */
    struct intake_counters *counters;   /* borrowed */

    struct io_loop *loop;           /* NULL once the thread has ended; see mutex */
    struct json_checker *checker;   /* owned */
    struct listener *listeners;     /* owned */
    size_t listeners_count;
    struct taker takers[INTAKE_SOCKET_COUNT];
    struct io_op watch_op;
    int watch;                      /* owned; of UNIX connections: which have something new */
    bool watching;                  /* watch_op is under way: it wakes */
    uint64_t look_ns;               /* it is not asked before this */
    size_t came;                    /* by UNIX connections since it was */
    char default_stream[STREAM_NAME_MAX + 1];

    struct connections active;      /* all, the one silent for longest first */
    struct connections half;        /* with a half line, the oldest first */
    struct connections todo;        /* with bytes that the ring or memory has not taken, or more */
    struct connections starved;     /* all receive buffers were out */
    uint32_t connections, todo_count, memory_waiters;
    struct line_budget half_lines;
    size_t unpack_used;
    bool more;                      /* somebody has had enough for this turn, and not for ever */
    uint64_t letters_ns, letters;   /* bad lines kept in this second */
    bool looked;                    /* at the lines of this feeding, all that are left together */
    bool looked_good;               /* they are UTF-8, and json_lines_object() tells of them */
    uint8_t *snappy;                /* owned; DATAGRAM_UNPACKED_MAX, made at first use */

    pthread_t thread;
    bool stopping;
    uint64_t stop_by_ns;
    _Atomic uint64_t stop_timeout_ns;   /* of the starter: not 0: stop */
    _Atomic bool stopped;               /* S1: everything is committed */
    pthread_mutex_t mutex;              /* for the next, and for who wakes the loop */
    char default_next[STREAM_NAME_MAX + 1];
    _Atomic bool default_changed;
};

/* ---- taker.c ---- */

/* For one feeding. What it has taken is committed by intake_ring_publish(). */
struct line_handler taker_handler(struct taker *t);
void taker_bad(struct taker *t, enum line_fault fault, const uint8_t *text, size_t len);

/* ---- connection.c ---- */

/* A socket that was accepted becomes a connection, or is closed for want of memory. */
void connection_open(struct taker *t, int fd);
/* Goes on where the ring, memory or time was short; it may be gone then. */
void connection_work(struct connection *c);
/* A watch has told of it; it may be gone then. */
void connection_news(struct connection *c, bool shut);
/* Ends it from here. What was received and not committed is lost, and its sender told, by TCP. */
void connection_end(struct connection *c, enum intake_ended why);
/* Frees it when the loop has ended: it is in no list any more. */
void connection_discard(struct connection *c);
/* Ends those that are silent for too long, or in the middle of a line. */
void connections_overdue(struct intake *in);

/* ---- datagrams.c ---- */

int datagrams_open(struct taker *t, struct datagrams **ret_datagrams);     /* 0 or -ENOMEM */
void datagrams_close(struct datagrams *d);                              /* NULL is fine */
/* Takes what is there, a bounded number. DONE: nothing more waits; MORE, FULL: again, later. */
enum work datagrams_turn(struct datagrams *d, int fd);

#endif
