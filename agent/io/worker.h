/*
 * worker: a thread beside a loop, for what takes the processor longer than a turn may.
 *
 * Operations are run in the order in which they come, one at a time. An operation's function, its
 * argument and its result are in arg[2], arg[3] and arg[5]; its `next` is the worker's meanwhile.
 *
 * Owns:   the thread; borrows operations.
 * Thread: the loop's; the functions run on the worker's.
 */
#ifndef IO_WORKER_H
#define IO_WORKER_H

#include "io/loop.h"

struct worker;

/* Wakes the loop whenever one is done. 0 or -errno: no thread is to be had. */
int worker_open(struct io_loop *loop, struct worker **ret_worker);

/* Waits for the one that runs; those behind it are never run. NULL is fine. */
void worker_close(struct worker *w);

void worker_add(struct worker *w, struct io_op *op);

/* What is done since the last call, linked by `next`, in order. NULL: nothing. */
struct io_op *worker_take(struct worker *w);

/* Runs the operation's function here and now. */
void worker_run(struct io_op *op);

#endif
