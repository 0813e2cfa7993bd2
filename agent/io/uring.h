/*
 * uring: the io_uring of a loop: the newest set-up that this kernel takes, or why there is none to
 * be had and what to do about it. For loop.c only.
 *
 * Owns:   nothing; an io_uring is its opener's.
 * Thread: any.
 */
#ifndef IO_URING_H
#define IO_URING_H

#include <liburing.h>

#include "base/errmsg.h"

/*
 * For up to `entries` submissions at once. The ring is made disabled, for it belongs to the thread
 * that enables it, not to its maker. -EPERM, -ENOSYS, -ENOMEM, ...: err says it.
 */
int uring_open(unsigned entries, struct io_uring *ret_ring, struct io_uring_params *ret_params,
               struct errmsg *err);

#endif
