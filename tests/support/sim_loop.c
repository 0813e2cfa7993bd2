/*
 * sim_loop: loop.h over the simulated host.
 *
 * A turn hands over what was prepared, picks what completes now (all of it in order, or by chance
 * where disorder is set), lets it take effect, and calls the done functions. An operation takes
 * effect in the turn in which it completes; what is seen of it in between is up to kills and power
 * cuts (sim.c), which find it among the stragglers.
 *
 * Owns:   loops and their operations.
 * Thread: one; loop_wake() from any.
 * Units:  ns.
 */
#include "support/sim_host.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/crc32c.h"
#include "io/clock.h"

#define COMPLETION_NS_MAX 50000U        /* added to the clock when something completes */

void sim_op_free(struct sim_op *op)
{
    sim_file_unref(op->file);
    sim_file_unref(op->file_to);
    free(op->copy);
    free(op->from);
    free(op->to);
    free(op);
}

/* So that a buffer which changes under a write is found out, at a price that loops can pay. */
static uint64_t checksum(const void *buf, size_t len)
{
    return crc32c(0, buf, len);
}

static struct sim_inode *op_dir(const struct sim_file *file)
{
    return file != NULL ? file->inode : sim_root();
}

static ssize_t transfer(struct sim_op *op)
{
    struct sim_inode *inode = op->file->inode;
    size_t len = op->len;
    ssize_t n;

    if (S_ISDIR(inode->mode))
        return -EISDIR;
    if (op->kind == SIM_WRITE && (op->file->flags & O_ACCMODE) == O_RDONLY)
        return -EBADF;
    if (op->file->direct && ((uintptr_t)op->buf | op->len | op->offset) % SIM_BLOCK_BYTES != 0)
        return -EINVAL;
    if (op->op != NULL && len > 1 && sim_chance(sim_host.short_permille)) {
        len = 1 + (size_t)sim_below(len - 1);
        if (op->file->direct && len < SIM_BLOCK_BYTES)
            len = SIM_BLOCK_BYTES;
        if (op->file->direct)
            len = len / SIM_BLOCK_BYTES * SIM_BLOCK_BYTES;
    }
    if (op->kind == SIM_READ)
        return (ssize_t)sim_data_read(inode, op->buf, len, op->offset);
    n = sim_data_write(inode, op->copy != NULL ? op->copy : op->buf, len, op->offset);
    if (n > 0)
        sim_see_write(inode, false, op->copy != NULL ? op->copy : op->buf, (size_t)n, op->offset);
    return n;
}

/* Lets the operation take effect. */
int sim_op_perform(struct sim_op *op)
{
    if (op->bad != 0)
        return op->bad;
    switch (op->kind) {
    case SIM_READ:
    case SIM_WRITE:
        return (int)transfer(op);
    case SIM_ALLOCATE:
        return sim_data_allocate(op->file->inode, op->offset, op->len);
    case SIM_RENAME:
        return sim_fs_rename(op_dir(op->file), op->from, op_dir(op->file_to), op->to, false);
    case SIM_LINK:
        return sim_fs_link(op_dir(op->file), op->from, op_dir(op->file_to), op->to);
    case SIM_UNLINK:
        return sim_fs_unlink(op_dir(op->file), op->from);
    default:
        sim_die("operation kind %d is not asynchronous", (int)op->kind);
    }
}

static int op_run(struct sim_op *op)
{
    int rc;

    if (op->work != NULL) {             /* no call of the kernel's: nothing of the host fails */
        op->res = op->work(op->work_arg);
        op->state = SIM_OP_DONE;
        return op->res;
    }
    rc = sim_enter(op->kind);
    if (op->kind == SIM_WRITE && checksum(op->buf, op->len) != op->check)
        sim_die("the buffer of a write of %zu bytes at %llu changed while it was under way",
                op->len, (unsigned long long)op->offset);
    if (op->kind == SIM_SYNC) {
        if (op->bad == 0) {
            sim_sync_end(op->file->inode, op->sync_seq, op->sync_size, rc);
            sim_see_sync(op->file->inode, op->sync_seq, rc);
        }
        if (rc == 0)
            rc = op->bad;
    } else if (rc == 0) {
        rc = sim_op_perform(op);
    }
    op->res = rc;
    op->state = SIM_OP_DONE;
    return sim_leave(rc);
}

/* ---- Turns ---- */

int loop_open(unsigned entries, struct io_loop **ret_loop, struct errmsg *err)
{
    struct io_loop *loop = sim_alloc(sizeof(*loop));

    (void)err;
    if (entries == 0)
        sim_die("a loop needs entries");
    loop->next = sim_host.loops;
    sim_host.loops = loop;
    *ret_loop = loop;
    return 0;
}

uint64_t loop_now_ns(const struct io_loop *loop)
{
    (void)loop;
    return sim_host.now_ns;
}

uint64_t loop_real_ns(const struct io_loop *loop)
{
    (void)loop;
    return sim_real_ns();
}

uint64_t clock_boot_ns(void)
{
    return sim_host.now_ns;
}

uint64_t clock_utc_ns(void)
{
    return sim_real_ns();
}

uint64_t loop_refresh_ns(struct io_loop *loop)
{
    (void)loop;
    return sim_host.now_ns;
}

void loop_wake(struct io_loop *loop)
{
    atomic_store_explicit(&loop->woken, true, memory_order_release);
}

int loop_register(struct io_loop *loop, void *base, size_t len)
{
    (void)loop;
    (void)base;
    (void)len;
    return 0;
}

unsigned loop_in_flight(const struct io_loop *loop)
{
    return loop->ops_count + loop->done_count;
}

/* Whom this turn completes, in which order: indices into ops. */
static uint32_t pick(struct io_loop *loop, bool wait, uint32_t *ret_picked)
{
    uint32_t count = 0, candidates = 0, lucky = 0;

    for (uint32_t i = 0; i < loop->ops_count; i++) {
        if (loop->ops[i]->poll)
            continue;
        candidates++;
        if (wait && sim_host.disorder_permille > 0 && sim_below(candidates) == 0)
            lucky = i;
        if (!sim_chance(sim_host.disorder_permille))
            ret_picked[count++] = i;
    }
    if (count == 0 && wait && candidates > 0)
        ret_picked[count++] = lucky;
    for (uint32_t i = count; sim_host.disorder_permille > 0 && i > 1; i--) {
        uint32_t k = (uint32_t)sim_below(i), swap = ret_picked[i - 1];

        ret_picked[i - 1] = ret_picked[k];
        ret_picked[k] = swap;
    }
    return count;
}

static uint32_t pick_polls(struct io_loop *loop, uint32_t *ret_picked)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < loop->ops_count; i++) {
        struct sim_op *op = loop->ops[i];

        if (op->poll && (op->bad != 0 || sim_file_readable(op->file))) {
            op->res = op->bad;
            op->state = SIM_OP_DONE;
            ret_picked[count++] = i;
        }
    }
    return count;
}

/* Off the list of what is under way first: done functions prepare more, and may crash. */
static void run_done(struct io_loop *loop, uint32_t count)
{
    uint32_t kept = 0;

    loop->done = sim_grow(loop->done, &loop->done_cap, sizeof(struct sim_op *), count);
    for (uint32_t i = 0; i < count; i++)
        loop->done[count - 1 - i] = loop->ops[loop->picked[i]];
    loop->done_count = count;
    for (uint32_t i = 0; i < loop->ops_count; i++) {
        if (loop->ops[i]->state != SIM_OP_DONE)
            loop->ops[kept++] = loop->ops[i];
    }
    loop->ops_count = kept;
    while (loop->done_count > 0) {
        struct sim_op *done = loop->done[--loop->done_count];
        struct io_op *op = done->op;
        int res = done->res;

        sim_op_free(done);
        op->done(op, res);
    }
}

int loop_turn(struct io_loop *loop, uint64_t until_ns)
{
    bool woken = atomic_exchange_explicit(&loop->woken, false, memory_order_acq_rel);
    bool wait = until_ns > sim_host.now_ns && !woken;
    uint32_t count;

    if (sim_host.crashed)
        sim_die("the crashed life goes on: sim_kill() or sim_power_cut() comes first");
    if (loop->turning)
        sim_die("loop_turn() from within a done function");
    loop->turning = true;
    for (uint32_t i = 0; i < loop->ops_count; i++)
        loop->ops[i]->state = SIM_OP_SUBMITTED;
    loop->picked = sim_grow(loop->picked, &loop->picked_cap, sizeof(*loop->picked),
                            loop->ops_count + 1);
    if (wait)
        wait = pick_polls(loop, loop->picked) == 0;
    count = pick(loop, wait, loop->picked);
    for (uint32_t i = 0; i < count; i++)
        op_run(loop->ops[loop->picked[i]]);
    count += pick_polls(loop, loop->picked + count);
    if (count > 0)
        sim_host.now_ns += 1 + sim_below(COMPLETION_NS_MAX);
    else if (wait && until_ns != UINT64_MAX)
        sim_host.now_ns = until_ns;     /* nothing comes before; for ever: the test goes on */
    run_done(loop, count);
    loop->turning = false;
    return (int)count;
}

/* ---- Ends ---- */

/*
 * What was handed over goes to the stragglers, with a copy of what it writes. Syncs never happened,
 * as far as anybody can tell; reads leave nothing.
 */
static void op_freeze(struct sim_op *op)
{
    bool lands = op->state == SIM_OP_SUBMITTED && op->bad == 0 && !op->poll &&
                 op->work == NULL && op->kind != SIM_READ && op->kind != SIM_SYNC;

    if (op->kind == SIM_SYNC && op->state != SIM_OP_DONE && op->bad == 0)
        sim_sync_end(op->file->inode, op->sync_seq, op->sync_size, -ECANCELED);
    if (!lands) {
        sim_op_free(op);
        return;
    }
    if (op->kind == SIM_WRITE) {
        op->copy = sim_alloc(op->len + 1);
        memcpy(op->copy, op->buf, op->len);
        op->buf = NULL;                 /* aligned as it is; the caller's memory may go */
    }
    op->op = NULL;
    op->land_at = 0;
    sim_host.stragglers = sim_grow(sim_host.stragglers, &sim_host.stragglers_cap,
                                   sizeof(struct sim_op *), sim_host.stragglers_count + 1);
    sim_host.stragglers[sim_host.stragglers_count++] = op;
}

void sim_loops_freeze(void)
{
    for (struct io_loop *loop = sim_host.loops; loop != NULL; loop = loop->next) {
        while (loop->done_count > 0)
            sim_op_free(loop->done[--loop->done_count]);
        for (uint32_t i = 0; i < loop->ops_count; i++)
            op_freeze(loop->ops[i]);
        loop->ops_count = 0;
    }
}

static void loop_free(struct io_loop *loop)
{
    free(loop->ops);
    free(loop->done);
    free(loop->picked);
    free(loop);
}

void sim_loops_drop(void)
{
    while (sim_host.loops != NULL) {
        struct io_loop *loop = sim_host.loops;

        sim_host.loops = loop->next;
        loop_free(loop);
    }
}

void loop_close(struct io_loop *loop)
{
    struct io_loop **at = &sim_host.loops;

    if (loop == NULL)
        return;
    if (loop->turning)
        sim_die("loop_close() from within a done function");
    while (*at != loop) {
        if (*at == NULL)
            sim_die("a loop of an earlier life is closed");
        at = &(*at)->next;
    }
    /* What is in the kernel is waited for; what was only prepared never happens. */
    for (uint32_t i = 0; i < loop->ops_count; i++) {
        struct sim_op *op = loop->ops[i];

        if (op->state == SIM_OP_SUBMITTED && !op->poll)
            op_run(op);
        else if (op->kind == SIM_SYNC && op->bad == 0)
            sim_sync_end(op->file->inode, op->sync_seq, op->sync_size, -ECANCELED);
    }
    for (uint32_t i = 0; i < loop->ops_count; i++)
        sim_op_free(loop->ops[i]);
    *at = loop->next;
    loop_free(loop);
}

/* ---- Preparing ---- */

static struct sim_op *prepare(struct io_loop *loop, struct io_op *op, enum sim_kind kind, int fd,
                              io_done_fn done)
{
    struct sim_op *sim_op = sim_alloc(sizeof(*sim_op));

    op->done = done;
    sim_op->op = op;
    sim_op->kind = kind;
    sim_op->file = sim_fd_file(fd);
    if (sim_op->file != NULL)
        sim_file_ref(sim_op->file);
    else if (fd != FILE_CWD)
        sim_op->bad = -EBADF;
    loop->ops = sim_grow(loop->ops, &loop->ops_cap, sizeof(struct sim_op *),
                         loop->ops_count + 1);
    loop->ops[loop->ops_count++] = sim_op;
    return sim_op;
}

void io_read(struct io_loop *loop, struct io_op *op, int fd, void *buf, size_t len,
             uint64_t offset, io_done_fn done)
{
    struct sim_op *sim_op = prepare(loop, op, SIM_READ, fd, done);

    if (sim_op->file == NULL || sim_op->file->kind != SIM_FILE)
        sim_op->bad = -EBADF;
    sim_op->buf = buf;
    sim_op->len = len;
    sim_op->offset = offset;
}

void io_write(struct io_loop *loop, struct io_op *op, int fd, const void *buf, size_t len,
              uint64_t offset, io_done_fn done)
{
    struct sim_op *sim_op = prepare(loop, op, SIM_WRITE, fd, done);

    if (sim_op->file == NULL || sim_op->file->kind != SIM_FILE)
        sim_op->bad = -EBADF;
    sim_op->buf = (void *)(uintptr_t)buf;
    sim_op->len = len;
    sim_op->offset = offset;
    sim_op->check = checksum(buf, len);
    if (sim_op->bad == 0)
        sim_see_write(sim_op->file->inode, true, buf, len, offset);
}

void io_allocate(struct io_loop *loop, struct io_op *op, int fd, uint64_t offset, uint64_t len,
                 io_done_fn done)
{
    struct sim_op *sim_op = prepare(loop, op, SIM_ALLOCATE, fd, done);

    if (sim_op->file == NULL || sim_op->file->kind != SIM_FILE)
        sim_op->bad = -EBADF;
    sim_op->offset = offset;
    sim_op->len = len;
}

void io_sync(struct io_loop *loop, struct io_op *op, int fd, bool data_only, io_done_fn done)
{
    struct sim_op *sim_op = prepare(loop, op, SIM_SYNC, fd, done);

    (void)data_only;                    /* what fdatasync leaves out is not simulated */
    if (sim_op->file == NULL || sim_op->file->kind != SIM_FILE)
        sim_op->bad = -EBADF;
    else
        sim_sync_begin(sim_op->file->inode, &sim_op->sync_seq, &sim_op->sync_size);
}

static void prepare_names(struct io_loop *loop, struct io_op *op, enum sim_kind kind, int from_dir,
                          const char *from, int to_dir, const char *to, io_done_fn done)
{
    struct sim_op *sim_op = prepare(loop, op, kind, from_dir, done);

    sim_op->from = sim_strdup(from);
    if (to == NULL)
        return;
    sim_op->to = sim_strdup(to);
    sim_op->file_to = sim_fd_file(to_dir);
    if (sim_op->file_to != NULL)
        sim_file_ref(sim_op->file_to);
    else if (to_dir != FILE_CWD)
        sim_op->bad = -EBADF;
}

void io_rename(struct io_loop *loop, struct io_op *op, int from_dir, const char *from,
               int to_dir, const char *to, io_done_fn done)
{
    prepare_names(loop, op, SIM_RENAME, from_dir, from, to_dir, to, done);
}

void io_link(struct io_loop *loop, struct io_op *op, int from_dir, const char *from,
             int to_dir, const char *to, io_done_fn done)
{
    prepare_names(loop, op, SIM_LINK, from_dir, from, to_dir, to, done);
}

void io_unlink(struct io_loop *loop, struct io_op *op, int dir, const char *name,
               io_done_fn done)
{
    prepare_names(loop, op, SIM_UNLINK, dir, name, FILE_CWD, NULL, done);
}

void io_poll(struct io_loop *loop, struct io_op *op, int fd, io_done_fn done)
{
    struct sim_op *sim_op = prepare(loop, op, SIM_ANY, fd, done);

    if (sim_op->file == NULL)
        sim_op->bad = -EBADF;
    sim_op->poll = true;
}

/* Takes effect when it completes, in the chance order of all that is under way. */
void io_work(struct io_loop *loop, struct io_op *op, io_work_fn fn, void *arg, io_done_fn done)
{
    struct sim_op *sim_op = prepare(loop, op, SIM_ANY, FILE_CWD, done);

    sim_op->work = fn;
    sim_op->work_arg = arg;
}
