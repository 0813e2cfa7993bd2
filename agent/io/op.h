/*
 * op: an operation of the loop as it is described in its own arg[], as an SQE, and as a plain call.
 * For loop.c only.
 *
 *   arg[0] code    arg[1] descriptor    arg[2] buffer or name    arg[3] length or second directory
 *   arg[4] offset, second name, or the buffer received
 *   arg[5] result; while a poll or a receive is under way: the one before it
 *
 * Owns:   nothing.
 * Thread: the loop's.
 */
#ifndef IO_OP_H
#define IO_OP_H

#include <liburing.h>
#include <stdbool.h>

#include "io/fixed.h"
#include "io/loop.h"
#include "io/provided.h"

enum op_code {
    OP_READ, OP_WRITE, OP_ALLOCATE, OP_SYNC, OP_DATASYNC, OP_RENAME, OP_LINK, OP_UNLINK, OP_POLL,
    OP_RECEIVE, OP_COUNT,
    OP_WORK                     /* the worker's, not the kernel's */
};

/* May it never end by itself? */
static inline bool op_waits(const struct io_op *op)
{
    return op->arg[0] == OP_POLL || op->arg[0] == OP_RECEIVE;
}

/* Which codes this kernel's io_uring has. 0 or -ENOMEM. */
int op_probe(struct io_uring *ring, bool ret_supported[static OP_COUNT]);

/* The operation as the kernel is asked for it. */
void op_fill(const struct io_op *op, const struct fixed_buffers *fixed,
             const struct provided_buffers *provided, struct io_uring_sqe *sqe);

/* One on names by a plain call, where this kernel's io_uring doesn't have them. 0 or -errno. */
int op_perform(const struct io_op *op);

#endif
