/*
 * provided: buffers that an io_uring picks from when bytes have come, so that a socket that waits
 * for some holds none. For loop.c only.
 *
 * The kernel takes them in turn, and a buffer that was long unused has left the caches: so it sees
 * only a few of them, about twice what it took in the last turn and half of them at most, and those
 * used last come first.
 *
 * Where the kernel has no such rings (before 5.19, or a sandbox), the caller waits until the socket
 * is readable and takes a buffer itself.
 *
 * Owns:   the buffers, and the ring in which the kernel finds them.
 * Thread: the loop's.
 * Units:  bytes; a buffer's id is its index.
 */
#ifndef IO_PROVIDED_H
#define IO_PROVIDED_H

#include <liburing.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PROVIDED_GROUP = 1 };

struct provided_buffers {
    uint8_t *memory;                    /* owned; NULL: none */
    size_t bytes;                       /* of one */
    unsigned count;
    struct io_uring_buf_ring *ring;     /* owned; NULL: this kernel has none */
    uint16_t *free;                     /* owned; what the kernel does not see, used last on top */
    unsigned free_count;
    unsigned seen;                      /* in its ring, as far as completions tell */
    unsigned wanted;                    /* by it since the turn began */
};

/* count: a power of two, at most 32768. 0 or -ENOMEM. */
int provided_open(struct provided_buffers *p, struct io_uring *ring, unsigned count, size_t bytes);
void provided_close(struct provided_buffers *p);    /* when the io_uring is gone; zeroed: fine */

static inline uint8_t *provided_at(const struct provided_buffers *p, unsigned id)
{
    return p->memory + id * p->bytes;
}

/* One for the caller itself, of those that the kernel does not see, or -ENOBUFS. */
int provided_take(struct provided_buffers *p);
void provided_give(struct provided_buffers *p, unsigned id);

/* The rest where there is a ring. A turn begins: shows the kernel what it may use up in it. */
void provided_turn(struct provided_buffers *p);
/* It has used one. */
void provided_used(struct provided_buffers *p);
/* It has found none. False: all are out. True: it will find some from the next turn on. */
bool provided_missed(struct provided_buffers *p);

#endif
