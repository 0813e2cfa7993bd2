/*
 * op: the codes of operations, and what each asks of the kernel.
 *
 * Owns:   nothing.
 * Thread: the loop's.
 */
#include "io/op.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "base/invariant.h"

static const int opcodes[] = {
    [OP_READ] = IORING_OP_READ,         [OP_WRITE] = IORING_OP_WRITE,
    [OP_ALLOCATE] = IORING_OP_FALLOCATE,
    [OP_SYNC] = IORING_OP_FSYNC,        [OP_DATASYNC] = IORING_OP_FSYNC,
    [OP_RENAME] = IORING_OP_RENAMEAT,   [OP_LINK] = IORING_OP_LINKAT,
    [OP_UNLINK] = IORING_OP_UNLINKAT,   [OP_POLL] = IORING_OP_POLL_ADD,
    [OP_RECEIVE] = IORING_OP_RECV,
};
_Static_assert(sizeof(opcodes) / sizeof(opcodes[0]) == OP_COUNT, "one opcode per code");

int op_probe(struct io_uring *ring, bool ret_supported[static OP_COUNT])
{
    struct io_uring_probe *probe = io_uring_get_probe_ring(ring);

    if (probe == NULL)
        return -ENOMEM;
    /* The others are older than what uring_open() asks for. */
    for (int i = 0; i < OP_COUNT; i++)
        ret_supported[i] = i < OP_RENAME || i > OP_UNLINK ||
                           io_uring_opcode_supported(probe, opcodes[i]);
    io_uring_free_probe(probe);
    return 0;
}

void op_fill(const struct io_op *op, const struct fixed_buffers *fixed,
             const struct provided_buffers *provided, struct io_uring_sqe *sqe)
{
    int fd = (int)op->arg[1], slot;
    void *first = (void *)(uintptr_t)op->arg[2];
    const char *second = (const char *)(uintptr_t)op->arg[4];

    switch ((enum op_code)op->arg[0]) {
    case OP_READ:
        io_uring_prep_read(sqe, fd, first, (unsigned)op->arg[3], op->arg[4]);
        break;
    case OP_WRITE:
        slot = fixed_find(fixed, first, (size_t)op->arg[3]);
        if (slot >= 0)
            io_uring_prep_write_fixed(sqe, fd, first, (unsigned)op->arg[3], op->arg[4], slot);
        else
            io_uring_prep_write(sqe, fd, first, (unsigned)op->arg[3], op->arg[4]);
        break;
    case OP_ALLOCATE:
        io_uring_prep_fallocate(sqe, fd, 0, (off_t)op->arg[4], (off_t)op->arg[3]);
        break;
    case OP_SYNC:
    case OP_DATASYNC:
        io_uring_prep_fsync(sqe, fd, op->arg[0] == OP_SYNC ? 0 : IORING_FSYNC_DATASYNC);
        break;
    case OP_RENAME:
        io_uring_prep_renameat(sqe, fd, first, (int)op->arg[3], second, RENAME_NOREPLACE);
        break;
    case OP_LINK:
        io_uring_prep_linkat(sqe, fd, first, (int)op->arg[3], second, 0);
        break;
    case OP_UNLINK:
        io_uring_prep_unlinkat(sqe, fd, first, 0);
        break;
    case OP_POLL:
        io_uring_prep_poll_add(sqe, fd, POLLIN);
        break;
    case OP_RECEIVE:
        if (provided->ring == NULL) {
            io_uring_prep_poll_add(sqe, fd, POLLIN);
            break;
        }
        io_uring_prep_recv(sqe, fd, NULL, provided->bytes, 0);
        sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
        sqe->flags |= IOSQE_BUFFER_SELECT;
        sqe->buf_group = PROVIDED_GROUP;
        break;
    case OP_COUNT:
    case OP_WORK:
        INVARIANT(false);
    }
    io_uring_sqe_set_data(sqe, (void *)(uintptr_t)op);
}

int op_perform(const struct io_op *op)
{
    int fd = (int)op->arg[1], to_dir = (int)op->arg[3], rc;
    const char *from = (const char *)(uintptr_t)op->arg[2];
    const char *to = (const char *)(uintptr_t)op->arg[4];

    INVARIANT(op->arg[0] >= OP_RENAME && op->arg[0] <= OP_UNLINK);
    if (op->arg[0] == OP_RENAME)
        rc = renameat2(fd, from, to_dir, to, RENAME_NOREPLACE);
    else if (op->arg[0] == OP_LINK)
        rc = linkat(fd, from, to_dir, to, 0);
    else
        rc = unlinkat(fd, from, 0);
    return rc < 0 ? -errno : 0;
}
