/*
 * loop: asynchronous I/O of one shard: one thread, one io_uring.
 *
 * This header and file.h are the only way in which ring/ to pipeline/ touch the kernel, so that the
 * simulator can take the kernel's place at link time (tests/support/sim.h). Clocks are here too:
 * nothing above this layer asks the kernel for the time.
 *
 * An operation is prepared by an io_*() call, handed to the kernel by the next turn (or earlier,
 * when the submission queue is full) and ends in exactly one call of its done function, from
 * within loop_turn(), never from within the io_*() call. Operations may complete in any order.
 * The caller keeps the operation, its buffer and its strings alive and unchanged until then.
 *
 * Owns:   the io_uring; borrows every descriptor, buffer and io_op.
 * Thread: one from the first submission on, the closing included; before that, whichever calls.
 *         loop_wake() from any.
 * Units:  *_ns on the boot clock unless named real_ns; res is bytes or 0, or -errno.
 */
#ifndef IO_LOOP_H
#define IO_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/errmsg.h"

struct io_op;
struct io_loop;

typedef void (*io_done_fn)(struct io_op *op, int res);
typedef int (*io_work_fn)(void *arg);   /* 0 or -errno */

struct io_op {
    io_done_fn done;            /* borrowed; set by the io_*() call */
    void *ctx;                  /* the caller's, untouched by the loop */
    struct io_op *next;         /* the loop's, while the operation is under way */
    uint64_t arg[6];            /* the loop's */
};

/*
 * Opens a loop for up to `entries` operations in one submission. -EPERM, -ENOSYS, -ENOMEM: io_uring
 * is not to be had; err names the reason (seccomp, kernel.io_uring_disabled, memlock) and the
 * remedy.
 */
int loop_open(unsigned entries, struct io_loop **ret_loop, struct errmsg *err);

/* Waits for what is under way (their done functions are not called any more). NULL is fine. */
void loop_close(struct io_loop *loop);

/* Boot clock as of the last loop_turn(); UTC as of now. */
uint64_t loop_now_ns(const struct io_loop *loop);
uint64_t loop_real_ns(const struct io_loop *loop);

/* Fresh reading of the boot clock, which loop_now_ns() then returns. */
uint64_t loop_refresh_ns(struct io_loop *loop);

/*
 * Submits what was prepared, waits until at least one completion, a wake or `until_ns` (a time in
 * the past: do not wait), then calls the done functions of all completions found. Returns their
 * number or -errno (-EINTR is not an error: 0).
 */
int loop_turn(struct io_loop *loop, uint64_t until_ns);

/* Ends the current or next wait of loop_turn(). Any thread, async-signal-safe. */
void loop_wake(struct io_loop *loop);

/*
 * Makes a buffer known to the kernel, which then need not pin its pages for every write from it. It
 * stays allocated until loop_close(). 0; or -errno where that is not to be had (no slot, the limit
 * of locked memory): nothing is lost but some cycles.
 */
int loop_register(struct io_loop *loop, void *base, size_t len);

/*
 * Buffers for io_receive(): `count`, a power of two, of `bytes` each; once. Pages of them are taken
 * as they are used. 0 or -ENOMEM.
 */
int loop_buffers(struct io_loop *loop, unsigned count, size_t bytes);

/* One of them for plain calls, or NULL: all are out. */
uint8_t *loop_buffer_take(struct io_loop *loop);

/* Gives one back that io_received() has handed out, or loop_buffer_take(). */
void loop_buffer_give(struct io_loop *loop, const uint8_t *buffer);

/* Operations prepared and not yet completed. */
unsigned loop_in_flight(const struct io_loop *loop);

/* Positional. A read or write may be short. Direct I/O needs buf, len and offset on 4 KiB. */
void io_read(struct io_loop *loop, struct io_op *op, int fd, void *buf, size_t len,
             uint64_t offset, io_done_fn done);
void io_write(struct io_loop *loop, struct io_op *op, int fd, const void *buf, size_t len,
              uint64_t offset, io_done_fn done);

/*
 * Space for that part of a file, which grows if need be; at most 1 GiB. -EOPNOTSUPP where the file
 * system cannot, which file_allocate() makes up for.
 */
void io_allocate(struct io_loop *loop, struct io_op *op, int fd, uint64_t offset, uint64_t len,
                 io_done_fn done);

/* Files and directories; `data_only` is fdatasync. Covers writes completed before the call. */
void io_sync(struct io_loop *loop, struct io_op *op, int fd, bool data_only, io_done_fn done);

/* Never replaces: -EEXIST when `to` is there. */
void io_rename(struct io_loop *loop, struct io_op *op, int from_dir, const char *from,
               int to_dir, const char *to, io_done_fn done);
void io_link(struct io_loop *loop, struct io_op *op, int from_dir, const char *from,
             int to_dir, const char *to, io_done_fn done);
void io_unlink(struct io_loop *loop, struct io_op *op, int dir, const char *name,
               io_done_fn done);

/* Completes once when fd is readable (bell, watch). Cancelled by loop_close() only. */
void io_poll(struct io_loop *loop, struct io_op *op, int fd, io_done_fn done);

/*
 * Waits until a connected socket, which must be in blocking mode, has bytes, and only then takes a
 * buffer: one that is silent holds none. res: how many bytes are in io_received(); 0: the end;
 * -ENOBUFS: all buffers are out. Each ends with one buffer, so that whoever prepares no other has
 * stopped reading. Cancelled by loop_close(); ends by shutdown(2).
 */
void io_receive(struct io_loop *loop, struct io_op *op, int fd, io_done_fn done);

/* Within the done function of an io_receive() with res > 0: its buffer, now the caller's. */
uint8_t *io_received(const struct io_loop *loop, const struct io_op *op);

/*
 * Runs fn(arg), whose result is res, on a thread of the loop's own (made at first use; where there
 * is none to be had, here): for what takes the processor longer than a turn may. They run one
 * after the other.
 * What `arg` leads to is the function's alone until the done function is called, or until
 * loop_close() returns, which waits for one that runs.
 */
void io_work(struct io_loop *loop, struct io_op *op, io_work_fn fn, void *arg, io_done_fn done);

#endif
