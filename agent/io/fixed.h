/*
 * fixed: buffers that an io_uring knows beforehand, so that it need not pin their pages for every
 * write. For loop.c only.
 *
 * Owns:   nothing; the kernel keeps the pages until the io_uring ends.
 * Thread: the loop's.
 * Units:  bytes.
 */
#ifndef IO_FIXED_H
#define IO_FIXED_H

#include <liburing.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { FIXED_MAX = 192 };

struct fixed_buffers {
    uintptr_t base[FIXED_MAX];
    size_t len[FIXED_MAX];
    unsigned count;
    bool off;               /* this kernel or its limits refuse: buffers are used as they are */
};

void fixed_init(struct fixed_buffers *fixed, struct io_uring *ring);

/* 0, or -errno (-ENOMEM: the limit of locked memory; -ENOSPC: no slot): it goes unregistered. */
int fixed_add(struct fixed_buffers *fixed, struct io_uring *ring, void *base, size_t len);

/* The slot that holds all of [at, at + len), or -1. */
int fixed_find(const struct fixed_buffers *fixed, const void *at, size_t len);

#endif
