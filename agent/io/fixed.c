/*
 * fixed: a table of registered buffers beside that of the kernel.
 * Owns:   nothing.
 * Thread: the loop's.
 */
#include "io/fixed.h"

#include <errno.h>

void fixed_init(struct fixed_buffers *fixed, struct io_uring *ring)
{
    *fixed = (struct fixed_buffers){.off = io_uring_register_buffers_sparse(ring, FIXED_MAX) < 0};
}

int fixed_add(struct fixed_buffers *fixed, struct io_uring *ring, void *base, size_t len)
{
    struct iovec iov = {base, len};
    __u64 tag = 0;
    int rc;

    if (fixed->off)
        return -EOPNOTSUPP;
    if (fixed->count == FIXED_MAX)
        return -ENOSPC;
    rc = io_uring_register_buffers_update_tag(ring, fixed->count, &iov, &tag, 1);
    if (rc != 1) {
        fixed->off = true;      /* the next one would not fare better */
        return rc < 0 ? rc : -EIO;
    }
    fixed->base[fixed->count] = (uintptr_t)base;
    fixed->len[fixed->count] = len;
    fixed->count++;
    return 0;
}

int fixed_find(const struct fixed_buffers *fixed, const void *at, size_t len)
{
    uintptr_t first = (uintptr_t)at;

    for (unsigned i = 0; i < fixed->count; i++)
        if (first - fixed->base[i] < fixed->len[i]
            && len <= fixed->len[i] - (first - fixed->base[i]))
            return (int)i;
    return -1;
}
