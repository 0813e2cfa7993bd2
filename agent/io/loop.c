/*
 * loop: io_uring behind loop.h.
 *
 * An operation is described in its own arg[] (op.h) when it is prepared and waits in the `prepared`
 * queue; it becomes an SQE when the submission queue and the bound on operations in the kernel have
 * room. So nothing is ever dropped, the completion queue cannot overflow, and preparing cannot
 * fail.
 *
 * Owns:   the io_uring, the eventfd of loop_wake(); borrows operations, buffers, descriptors.
 * Thread: the one that opened it; loop_wake() from any.
 * Units:  *_ns on CLOCK_BOOTTIME unless named real_ns.
 */
#include "io/loop.h"

#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/invariant.h"
#include "io/clock.h"
#include "io/fixed.h"
#include "io/op.h"
#include "io/provided.h"
#include "io/uring.h"
#include "io/worker.h"

#define NS_PER_S 1000000000ULL

/* One read(2) or write(2) takes less than 2 GiB; what is longer completes short. */
#define TRANSFER_BYTES_MAX (1U << 30)

/* Completion slots that are not for callers' operations: the standing read of the eventfd. */
#define RESERVED_CQES 2U

struct op_queue {
    struct io_op *first, **end;
};

struct io_loop {
    struct io_uring ring;
    unsigned kernel_max;        /* callers' operations in the kernel at once */
    unsigned kernel_ops;        /* of them now */
    unsigned in_flight;         /* prepared and not yet completed */
    unsigned entries;
    unsigned prepared_ops;
    bool deferred;              /* completions need an enter to be posted */
    bool enabled;               /* its thread has come: the first that turns it */
    bool turning;
    bool waking;                /* the read of the eventfd is in the kernel */
    bool supported[OP_COUNT];   /* else done by a plain call */
    struct fixed_buffers fixed;
    struct provided_buffers provided;
    struct op_queue prepared;   /* not in the kernel yet */
    struct op_queue completed;  /* done functions not called yet */
    struct io_op *polls;        /* and receives, in the kernel, so that close can cancel them */
    struct worker *worker;      /* owned; NULL: not used so far */
    int wake_fd;                /* owned */
    int wake_error;             /* of the read of the eventfd; ends every turn */
    uint64_t wake_count;        /* the eventfd is read to here */
    uint64_t now_ns;
};

static void queue_init(struct op_queue *queue)
{
    queue->first = NULL;
    queue->end = &queue->first;
}

static void queue_push(struct op_queue *queue, struct io_op *op)
{
    op->next = NULL;
    *queue->end = op;
    queue->end = &op->next;
}

static struct io_op *queue_pop(struct op_queue *queue)
{
    struct io_op *op = queue->first;

    if (op != NULL) {
        queue->first = op->next;
        if (queue->first == NULL)
            queue->end = &queue->first;
    }
    return op;
}

static void polls_add(struct io_loop *loop, struct io_op *op)
{
    op->next = loop->polls;
    op->arg[5] = 0;
    if (op->next != NULL)
        op->next->arg[5] = (uint64_t)(uintptr_t)op;
    loop->polls = op;
}

static void polls_remove(struct io_loop *loop, struct io_op *op)
{
    struct io_op *before = (struct io_op *)(uintptr_t)op->arg[5];

    if (before != NULL)
        before->next = op->next;
    else
        loop->polls = op->next;
    if (op->next != NULL)
        op->next->arg[5] = (uint64_t)(uintptr_t)before;
}

int loop_open(unsigned entries, struct io_loop **ret_loop, struct errmsg *err)
{
    struct io_loop *loop = calloc(1, sizeof(*loop));
    struct io_uring_params params;
    int rc;

    INVARIANT(entries >= 1);
    if (loop == NULL)
        return errmsg_set(err, -ENOMEM, "out of memory");
    queue_init(&loop->prepared);
    queue_init(&loop->completed);
    rc = uring_open(entries, &loop->ring, &params, err);
    if (rc < 0) {
        free(loop);
        return rc;
    }
    loop->deferred = (params.flags & IORING_SETUP_DEFER_TASKRUN) != 0;
    loop->entries = params.sq_entries;
    loop->kernel_max = params.cq_entries - RESERVED_CQES;
    rc = op_probe(&loop->ring, loop->supported);
    if (rc < 0) {
        errmsg_set(err, rc, "io_uring: the probe of its operations failed: %s", strerror(-rc));
        goto fail;
    }
    /* Blocking, so that the standing read waits for a wake instead of ending with -EAGAIN. */
    loop->wake_fd = eventfd(0, EFD_CLOEXEC);
    if (loop->wake_fd < 0) {
        rc = -errno;
        errmsg_set(err, rc, "eventfd: %s", strerror(-rc));
        goto fail;
    }
    fixed_init(&loop->fixed, &loop->ring);
    loop_refresh_ns(loop);
    *ret_loop = loop;
    return 0;

fail:
    io_uring_queue_exit(&loop->ring);
    free(loop);
    return rc;
}

uint64_t loop_now_ns(const struct io_loop *loop)
{
    return loop->now_ns;
}

uint64_t loop_real_ns(const struct io_loop *loop)
{
    (void)loop;
    return clock_utc_ns();
}

uint64_t loop_refresh_ns(struct io_loop *loop)
{
    loop->now_ns = clock_boot_ns();
    return loop->now_ns;
}

int loop_register(struct io_loop *loop, void *base, size_t len)
{
    return fixed_add(&loop->fixed, &loop->ring, base, len);
}

unsigned loop_in_flight(const struct io_loop *loop)
{
    return loop->in_flight;
}

void loop_wake(struct io_loop *loop)
{
    int saved = errno;
    uint64_t one = 1;

    /* Fails only by a signal in a write that would block, which takes 2^64 - 1 unread wakes. */
    while (write(loop->wake_fd, &one, sizeof(one)) < 0 && errno == EINTR)
        ;
    errno = saved;
}

/* The present thread becomes the ring's, once. */
static int ring_enable(struct io_loop *loop)
{
    int rc = 0;

    if (!loop->enabled)
        rc = io_uring_register((unsigned)loop->ring.ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
    loop->enabled = rc == 0;
    return rc;
}

/* Turns prepared operations into SQEs as far as there is room. */
static void fill_submission(struct io_loop *loop)
{
    if (!loop->waking && io_uring_sq_space_left(&loop->ring) > 0) {
        struct io_uring_sqe *sqe = io_uring_get_sqe(&loop->ring);

        io_uring_prep_read(sqe, loop->wake_fd, &loop->wake_count, sizeof(loop->wake_count), 0);
        io_uring_sqe_set_data(sqe, loop);
        loop->waking = true;
    }
    while (loop->prepared.first != NULL) {
        struct io_op *op = loop->prepared.first;
        struct io_uring_sqe *sqe;

        if (!loop->supported[op->arg[0]]) {
            queue_pop(&loop->prepared);
            loop->prepared_ops--;
            op->arg[5] = (uint64_t)(int64_t)op_perform(op);
            queue_push(&loop->completed, op);
            continue;
        }
        if (loop->kernel_ops >= loop->kernel_max)
            return;
        sqe = io_uring_get_sqe(&loop->ring);
        if (sqe == NULL)
            return;
        queue_pop(&loop->prepared);
        loop->prepared_ops--;
        loop->kernel_ops++;
        op_fill(op, &loop->fixed, &loop->provided, sqe);
        if (op_waits(op))
            polls_add(loop, op);
    }
}

/* A signal, a full completion queue, no memory just now: the next turn tries again. */
static bool is_passing(int rc)
{
    return rc == -EINTR || rc == -EBUSY || rc == -EAGAIN || rc == -ETIME;
}

static void prepare(struct io_loop *loop, struct io_op *op, io_done_fn done)
{
    op->done = done;
    queue_push(&loop->prepared, op);
    loop->prepared_ops++;
    loop->in_flight++;
    if (loop->prepared_ops < loop->entries)
        return;
    /* A full batch goes to the kernel at once. What fails stays queued; the turn will say. */
    fill_submission(loop);
    if (io_uring_sq_ready(&loop->ring) > 0 && ring_enable(loop) == 0)
        io_uring_submit(&loop->ring);
}

/* What a receive came to. False: nothing yet, it waits on. */
static bool receive_end(struct io_loop *loop, struct io_op *op, unsigned flags, int *res)
{
    struct provided_buffers *p = &loop->provided;
    ssize_t n;
    int id;

    if (p->ring != NULL) {
        op->arg[4] = flags >> IORING_CQE_BUFFER_SHIFT;
        if ((flags & IORING_CQE_F_BUFFER) != 0) {
            provided_used(p);
            if (*res <= 0)
                provided_give(p, (unsigned)op->arg[4]);
        }
        return *res != -ENOBUFS || !provided_missed(p);
    }
    if (*res < 0)
        return true;
    id = provided_take(p);
    if (id < 0) {
        *res = id;
        return true;
    }
    op->arg[4] = (uint64_t)id;
    n = recv((int)op->arg[1], provided_at(p, (unsigned)id), p->bytes, MSG_DONTWAIT);
    *res = n < 0 ? -errno : (int)n;
    if (n <= 0)
        provided_give(p, (unsigned)id);
    return *res != -EAGAIN && *res != -EINTR;
}

/* Takes one completion; the operation that ended, or NULL where it was one of the loop's own. */
static struct io_op *completion_take(struct io_loop *loop, struct io_uring_cqe *cqe)
{
    struct io_op *op = io_uring_cqe_get_data(cqe);
    unsigned flags = cqe->flags;
    int res = cqe->res;

    io_uring_cqe_seen(&loop->ring, cqe);
    if (op == NULL)                     /* a cancellation; its target completes by itself */
        return NULL;
    if ((void *)op == loop) {
        loop->waking = false;
        if (res < 0 && !is_passing(res))
            loop->wake_error = res;     /* wakes would be lost from here on */
        return NULL;
    }
    loop->kernel_ops--;
    if (op_waits(op))
        polls_remove(loop, op);
    if (op->arg[0] == OP_RECEIVE && !receive_end(loop, op, flags, &res)) {
        queue_push(&loop->prepared, op);
        loop->prepared_ops++;
        return NULL;
    }
    op->arg[5] = (uint64_t)(int64_t)res;
    return op;
}

/* Moves every completion to the local queue, before a done function can make new ones. */
static void reap(struct io_loop *loop)
{
    struct io_uring_cqe *cqe;

    while (io_uring_peek_cqe(&loop->ring, &cqe) == 0 && cqe != NULL) {
        struct io_op *op = completion_take(loop, cqe);

        if (op != NULL)
            queue_push(&loop->completed, op);
    }
    if (loop->worker != NULL) {
        for (struct io_op *op = worker_take(loop->worker), *next; op != NULL; op = next) {
            next = op->next;
            queue_push(&loop->completed, op);
        }
    }
}

static int run_done(struct io_loop *loop)
{
    struct op_queue batch = loop->completed;
    struct io_op *op;
    int count = 0;

    if (batch.first == NULL)
        return 0;
    queue_init(&loop->completed);
    while ((op = queue_pop(&batch)) != NULL) {
        int res = (int)(int64_t)op->arg[5];

        if (op->arg[0] == OP_POLL && res > 0)
            res = 0;                    /* which of POLLIN, POLLERR, POLLHUP: the read will tell */
        loop->in_flight--;
        count++;
        op->done(op, res);
    }
    return count;
}

static int submit_and_wait(struct io_loop *loop, uint64_t until_ns)
{
    uint64_t now_ns = loop_refresh_ns(loop);
    struct io_uring_cqe *cqe;
    struct __kernel_timespec ts;

    if (until_ns > now_ns && loop->completed.first == NULL) {
        uint64_t wait_ns = until_ns - now_ns;

        /* Bounded, so that "for ever" is no overflow; the caller turns again. */
        if (wait_ns > 3600 * NS_PER_S)
            wait_ns = 3600 * NS_PER_S;
        ts.tv_sec = (long long)(wait_ns / NS_PER_S);
        ts.tv_nsec = (long long)(wait_ns % NS_PER_S);
        return io_uring_submit_and_wait_timeout(&loop->ring, &cqe, 1, &ts, NULL);
    }
    /* A busy shard's turn costs no system call while there is nothing to say or to fetch. */
    if (io_uring_sq_ready(&loop->ring) == 0 &&
        !(IO_URING_READ_ONCE(*loop->ring.sq.kflags) &
          (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)))
        return 0;
    if (loop->deferred)
        return io_uring_submit_and_get_events(&loop->ring);
    return io_uring_submit(&loop->ring);
}

int loop_turn(struct io_loop *loop, uint64_t until_ns)
{
    int rc, count;

    INVARIANT(!loop->turning);
    rc = ring_enable(loop);
    if (rc < 0)
        return rc;
    loop->turning = true;
    provided_turn(&loop->provided);
    fill_submission(loop);
    rc = submit_and_wait(loop, until_ns);
    loop_refresh_ns(loop);
    reap(loop);
    count = run_done(loop);
    loop->turning = false;
    if (rc < 0 && !is_passing(rc))
        return rc;
    return loop->wake_error < 0 ? loop->wake_error : count;
}

/* Submits, waits for `wait` completions and forgets all there are. */
static void discard(struct io_loop *loop, unsigned wait)
{
    int rc = io_uring_submit_and_wait(&loop->ring, wait);
    struct io_uring_cqe *cqe;

    INVARIANT(rc >= 0 || is_passing(rc));
    while (io_uring_peek_cqe(&loop->ring, &cqe) == 0 && cqe != NULL)
        completion_take(loop, cqe);
}

static void cancel(struct io_loop *loop, void *target)
{
    struct io_uring_sqe *sqe;

    while ((sqe = io_uring_get_sqe(&loop->ring)) == NULL)
        discard(loop, 0);
    io_uring_prep_cancel64(sqe, (uint64_t)(uintptr_t)target, 0);
    io_uring_sqe_set_data(sqe, NULL);
}

void loop_close(struct io_loop *loop)
{
    if (loop == NULL)
        return;
    INVARIANT(!loop->turning);
    worker_close(loop->worker);
    /* Polls may never end by themselves. cancel() may discard, so they leave the list first. */
    while (loop->polls != NULL) {
        struct io_op *op = loop->polls;

        polls_remove(loop, op);
        op->arg[0] = OP_COUNT;          /* completion_take() must not unlink it once more */
        cancel(loop, op);
    }
    if (loop->waking)
        cancel(loop, loop);
    /* The kernel may write to callers' buffers until the last completion is here. */
    while (loop->enabled && (loop->kernel_ops > 0 || loop->waking))
        discard(loop, 1);
    io_uring_queue_exit(&loop->ring);
    provided_close(&loop->provided);
    close(loop->wake_fd);
    free(loop);
}

static void prepare_transfer(struct io_loop *loop, struct io_op *op, enum op_code code, int fd,
                             const void *buf, size_t len, uint64_t offset, io_done_fn done)
{
    op->arg[0] = code;
    op->arg[1] = (uint64_t)(int64_t)fd;
    op->arg[2] = (uint64_t)(uintptr_t)buf;
    op->arg[3] = len < TRANSFER_BYTES_MAX ? len : TRANSFER_BYTES_MAX;
    op->arg[4] = offset;
    prepare(loop, op, done);
}

void io_read(struct io_loop *loop, struct io_op *op, int fd, void *buf, size_t len,
             uint64_t offset, io_done_fn done)
{
    prepare_transfer(loop, op, OP_READ, fd, buf, len, offset, done);
}

void io_write(struct io_loop *loop, struct io_op *op, int fd, const void *buf, size_t len,
              uint64_t offset, io_done_fn done)
{
    prepare_transfer(loop, op, OP_WRITE, fd, buf, len, offset, done);
}

void io_allocate(struct io_loop *loop, struct io_op *op, int fd, uint64_t offset, uint64_t len,
                 io_done_fn done)
{
    INVARIANT(len <= TRANSFER_BYTES_MAX);
    prepare_transfer(loop, op, OP_ALLOCATE, fd, NULL, len, offset, done);
}

void io_sync(struct io_loop *loop, struct io_op *op, int fd, bool data_only, io_done_fn done)
{
    op->arg[0] = data_only ? OP_DATASYNC : OP_SYNC;
    op->arg[1] = (uint64_t)(int64_t)fd;
    prepare(loop, op, done);
}

static void prepare_names(struct io_loop *loop, struct io_op *op, enum op_code code, int from_dir,
                          const char *from, int to_dir, const char *to, io_done_fn done)
{
    op->arg[0] = code;
    op->arg[1] = (uint64_t)(int64_t)from_dir;
    op->arg[2] = (uint64_t)(uintptr_t)from;
    op->arg[3] = (uint64_t)(int64_t)to_dir;
    op->arg[4] = (uint64_t)(uintptr_t)to;
    prepare(loop, op, done);
}

void io_rename(struct io_loop *loop, struct io_op *op, int from_dir, const char *from,
               int to_dir, const char *to, io_done_fn done)
{
    prepare_names(loop, op, OP_RENAME, from_dir, from, to_dir, to, done);
}

void io_link(struct io_loop *loop, struct io_op *op, int from_dir, const char *from,
             int to_dir, const char *to, io_done_fn done)
{
    prepare_names(loop, op, OP_LINK, from_dir, from, to_dir, to, done);
}

void io_unlink(struct io_loop *loop, struct io_op *op, int dir, const char *name,
               io_done_fn done)
{
    prepare_names(loop, op, OP_UNLINK, dir, name, -1, NULL, done);
}

void io_poll(struct io_loop *loop, struct io_op *op, int fd, io_done_fn done)
{
    op->arg[0] = OP_POLL;
    op->arg[1] = (uint64_t)(int64_t)fd;
    prepare(loop, op, done);
}

int loop_buffers(struct io_loop *loop, unsigned count, size_t bytes)
{
    return provided_open(&loop->provided, &loop->ring, count, bytes);
}

uint8_t *loop_buffer_take(struct io_loop *loop)
{
    int id = provided_take(&loop->provided);

    return id >= 0 ? provided_at(&loop->provided, (unsigned)id) : NULL;
}

void loop_buffer_give(struct io_loop *loop, const uint8_t *buffer)
{
    provided_give(&loop->provided,
                  (unsigned)((size_t)(buffer - loop->provided.memory) / loop->provided.bytes));
}

void io_receive(struct io_loop *loop, struct io_op *op, int fd, io_done_fn done)
{
    INVARIANT(loop->provided.memory != NULL);
    op->arg[0] = OP_RECEIVE;
    op->arg[1] = (uint64_t)(int64_t)fd;
    prepare(loop, op, done);
}

uint8_t *io_received(const struct io_loop *loop, const struct io_op *op)
{
    return provided_at(&loop->provided, (unsigned)op->arg[4]);
}

void io_work(struct io_loop *loop, struct io_op *op, io_work_fn fn, void *arg, io_done_fn done)
{
    op->arg[0] = OP_WORK;
    op->arg[2] = (uint64_t)(uintptr_t)fn;
    op->arg[3] = (uint64_t)(uintptr_t)arg;
    op->done = done;
    loop->in_flight++;
    if (loop->worker == NULL && worker_open(loop, &loop->worker) != 0) {
        worker_run(op);
        queue_push(&loop->completed, op);
        return;
    }
    worker_add(loop->worker, op);
}
