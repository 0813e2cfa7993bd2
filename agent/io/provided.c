/*
 * provided: a ring of buffers shared with the kernel, or a list of free ones.
 * Owns:   see the header.
 * Thread: the loop's.
 */
#include "io/provided.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/invariant.h"

enum { SEEN_MIN = 8 };

static size_t ring_bytes(unsigned count)
{
    return count * sizeof(struct io_uring_buf);
}

/* The kernel wants it on a page. */
static int ring_open(struct provided_buffers *p, struct io_uring *ring)
{
    struct io_uring_buf_reg reg = {.ring_entries = p->count, .bgid = PROVIDED_GROUP};
    void *at = mmap(NULL, ring_bytes(p->count), PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int rc;

    if (at == MAP_FAILED)
        return -errno;
    reg.ring_addr = (uint64_t)(uintptr_t)at;
    rc = io_uring_register_buf_ring(ring, &reg, 0);
    if (rc < 0) {
        (void)munmap(at, ring_bytes(p->count));
        return rc;
    }
    p->ring = at;
    io_uring_buf_ring_init(p->ring);
    return 0;
}

int provided_open(struct provided_buffers *p, struct io_uring *ring, unsigned count, size_t bytes)
{
    void *at;

    INVARIANT(p->memory == NULL && count > 0 && (count & (count - 1)) == 0 && count <= 32768);
    p->free = calloc(count, sizeof(*p->free));
    /* Pages are taken when they are first used. */
    at = mmap(NULL, count * bytes, PROT_READ | PROT_WRITE,
              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p->free == NULL || at == MAP_FAILED) {
        free(p->free);
        if (at != MAP_FAILED)
            (void)munmap(at, count * bytes);
        *p = (struct provided_buffers){0};
        return -ENOMEM;
    }
    p->memory = at;
    p->bytes = bytes;
    p->count = count;
    (void)ring_open(p, ring);           /* refused: the list of free ones serves */
    while (p->free_count < count) {
        p->free[p->free_count] = (uint16_t)(count - 1 - p->free_count);
        p->free_count++;
    }
    return 0;
}

void provided_close(struct provided_buffers *p)
{
    if (p->ring != NULL)
        (void)munmap(p->ring, ring_bytes(p->count));
    if (p->memory != NULL)
        (void)munmap(p->memory, p->count * p->bytes);
    free(p->free);
    *p = (struct provided_buffers){0};
}

int provided_take(struct provided_buffers *p)
{
    return p->free_count > 0 ? p->free[--p->free_count] : -ENOBUFS;
}

void provided_give(struct provided_buffers *p, unsigned id)
{
    INVARIANT(id < p->count && p->free_count < p->count);
    p->free[p->free_count++] = (uint16_t)id;
}

void provided_turn(struct provided_buffers *p)
{
    unsigned most = 2 * p->wanted > SEEN_MIN ? 2 * p->wanted : SEEN_MIN;
    int shown = 0;

    if (p->ring == NULL)
        return;
    if (most > (p->count + 1) / 2)      /* what it sees, others cannot take */
        most = (p->count + 1) / 2;
    p->wanted = 0;
    for (; p->seen < most && p->free_count > 0; p->seen++) {
        unsigned id = p->free[--p->free_count];

        io_uring_buf_ring_add(p->ring, provided_at(p, id), (unsigned)p->bytes, (unsigned short)id,
                              io_uring_buf_ring_mask(p->count), shown++);
    }
    io_uring_buf_ring_advance(p->ring, shown);
}

void provided_used(struct provided_buffers *p)
{
    INVARIANT(p->seen > 0);
    p->seen--;
    p->wanted++;
}

bool provided_missed(struct provided_buffers *p)
{
    p->wanted++;
    return p->seen > 0 || p->free_count > 0;
}
