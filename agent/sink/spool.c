/*
 * spool: writes a batch's blocks in place, several in flight, and syncs file and name at the end.
 * Owns:   descriptor and the blocks being written.
 * Thread: shard.
 */
#include "sink/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "base/invariant.h"
#include "io/file.h"

enum { RETRY_NS = 1000000000 };

/*
 * Blocks reserved ahead of the writes: a direct write that makes a file longer waits for the one
 * before it. A batch of one block is not worth the call.
 */
enum { RESERVE_BYTES_MIN = 4 * 1024 * 1024, RESERVE_BYTES_MAX = 32 * 1024 * 1024 };

struct spool_write {
    struct spool_write *next;
    struct spool_write *queued;     /* next in the shard's queue */
    struct spool *spool;
    struct block *block;            /* owned */
    uint64_t offset;
    uint32_t len, done;             /* len is padded to a block for direct I/O */
    bool flying;                    /* or in the queue */
    struct io_op op;
};

static void finish_step(struct spool *s);

void spool_queue_init(struct spool_queue *q)
{
    *q = (struct spool_queue){.last = &q->first};
}

void spool_init(struct spool *s, struct io_loop *loop, struct block_pool *pool,
                struct spool_queue *queue, int dir, const char *name, uint32_t mode)
{
    memset(s, 0, sizeof(*s));
    s->loop = loop;
    s->pool = pool;
    s->queue = queue;
    s->dir = dir;
    s->fd = -1;
    s->mode = mode;
    INVARIANT(strlen(name) < sizeof(s->name));
    memcpy(s->name, name, strlen(name) + 1);
}

void spool_fini(struct spool *s)
{
    while (s->writes) {
        struct spool_write *w = s->writes;

        s->writes = w->next;
        block_give(s->pool, w->block);
        free(w);
    }
    file_close(s->fd);
    s->fd = -1;
    free(s->block_crc32c);
    s->block_crc32c = NULL;
    s->blocks_count = s->blocks_cap = 0;
}

static void spool_wait(struct spool *s, int err, const char *what)
{
    s->retry_ns = loop_now_ns(s->loop) + RETRY_NS;
    s->attempts++;
    s->error = err;
    errmsg_set(&s->trouble, err, "spool file %s: %s: %s", s->name, what, strerror(-err));
}

static void finish(struct spool *s, int result)
{
    s->finishing = false;
    if (s->done)
        s->done(s, result);
}

static void on_write(struct io_op *op, int res);

static void queue_step(struct spool_queue *q)
{
    while (q->first && q->in_flight < SPOOL_WRITES_MAX) {
        struct spool_write *w = q->first;

        q->first = w->queued;
        if (!q->first)
            q->last = &q->first;
        q->in_flight++;
        q->waiting--;
        w->op.ctx = w;
        io_write(w->spool->loop, &w->op, w->spool->fd, w->block->data + w->done, w->len - w->done,
                 w->offset + w->done, on_write);
    }
}

static void write_start(struct spool_write *w)
{
    struct spool_queue *q = w->spool->queue;

    w->flying = true;
    w->spool->in_flight++;
    w->queued = NULL;
    *q->last = w;
    q->last = &w->queued;
    q->waiting++;
    queue_step(q);
}

static void on_write(struct io_op *op, int res)
{
    struct spool_write *w = op->ctx, **at;
    struct spool *s = w->spool;
    uint32_t before = w->done;

    w->flying = false;
    s->in_flight--;
    s->queue->in_flight--;
    queue_step(s->queue);
    if (res <= 0) {     /* the block stays ours: a write, unlike a sync, can be repeated */
        spool_wait(s, res < 0 ? res : -EIO, "write");
        return;
    }
    w->done += (uint32_t)res;
    if (w->done < w->len && s->direct)
        w->done = (uint32_t)bytes_round_down(w->done, FILE_BLOCK_BYTES);
    if (w->done == before) {
        spool_wait(s, -EIO, "write of less than a block");
        return;
    }
    if (w->done < w->len) {
        write_start(w);
        return;
    }
    s->attempts = 0;
    for (at = &s->writes; *at != w; at = &(*at)->next)
        ;
    *at = w->next;
    block_give(s->pool, w->block);
    free(w);
    finish_step(s);
}

static int spool_open(struct spool *s)
{
    int fd;

    if (s->fd >= 0)
        return 0;
    fd = file_open_direct(s->dir, s->name, O_RDWR | O_CREAT | O_EXCL, s->mode, &s->direct);
    /* Never written into: a sink may have the file under a name of its own. */
    if (fd == -EEXIST && file_unlink(s->dir, s->name) == 0)
        fd = file_open_direct(s->dir, s->name, O_RDWR | O_CREAT | O_EXCL, s->mode, &s->direct);
    if (fd < 0)
        return fd;
    s->fd = fd;
    return 0;
}

/* Of the writes that wait for space, the one handed over first; NULL: none waits. */
static struct spool_write *write_waiting(const struct spool *s)
{
    struct spool_write *first = NULL;

    for (struct spool_write *w = s->writes; w; w = w->next)
        if (!w->flying)
            first = w;
    return first;
}

/* A reservation that is refused is no error: the write will say what there is to say. */
static void on_reserved(struct io_op *op, int res)
{
    struct spool *s = op->ctx;
    struct spool_write *w;

    s->in_flight--;
    if (res == 0)
        s->reserved_bytes += s->reserving_bytes;
    s->reserving_bytes = 0;
    while (s->retry_ns == 0 && (w = write_waiting(s)) != NULL)
        write_start(w);
    finish_step(s);
}

/*
 * Beside the loop, for the file system first waits for all writes to the file that are under way;
 * so half of what is reserved is still to be written when more is asked for.
 */
static void blocks_reserve(struct spool *s, uint64_t end)
{
    uint64_t more = s->reserved_bytes;

    if (end <= s->reserved_bytes / 2 || !s->direct || s->reserving_bytes > 0)
        return;
    if (more < RESERVE_BYTES_MIN)
        more = RESERVE_BYTES_MIN;
    if (more > RESERVE_BYTES_MAX)
        more = RESERVE_BYTES_MAX;
    s->reserving_bytes = more;
    s->to_cut = true;   /* one that fails may have made the file longer, too */
    s->in_flight++;
    s->reserve_op.ctx = s;
    io_allocate(s->loop, &s->reserve_op, s->fd, s->reserved_bytes, more, on_reserved);
}

static bool block_count(struct spool *s, const struct block *b)
{
    uint32_t crc = crc32c(0, b->data, b->len), cap = s->blocks_cap;
    uint32_t *more;

    if (s->blocks_count == cap) {
        cap = cap > 0 ? 2 * cap : 64;
        more = realloc(s->block_crc32c, cap * sizeof(*more));
        if (!more)
            return false;
        s->block_crc32c = more;
        s->blocks_cap = cap;
    }
    s->block_crc32c[s->blocks_count++] = crc;
    s->crc32c = crc32c_combine(s->crc32c, crc, b->len);
    return true;
}

int spool_append(struct spool *s, struct block *b)
{
    struct spool_write *w = calloc(1, sizeof(*w));
    int err;

    INVARIANT(!s->finishing && s->file_bytes % BLOCK_BYTES == 0);
    if (!w || !block_count(s, b)) {
        free(w);
        return -ENOMEM;
    }
    w->spool = s;
    w->block = b;
    w->offset = s->file_bytes;
    w->len = (uint32_t)bytes_round_up(b->len, FILE_BLOCK_BYTES);
    memset(b->data + b->len, 0, w->len - b->len);
    s->file_bytes += b->len;
    if (!b->known) {
        b->known = true;
        (void)loop_register(s->loop, b->data, BLOCK_BYTES);
    }
    w->next = s->writes;
    s->writes = w;
    err = spool_open(s);
    if (err) {
        spool_wait(s, err, "open");
        return 0;
    }
    if (b->len == BLOCK_BYTES)
        blocks_reserve(s, w->offset + w->len);
    if (s->reserving_bytes == 0 || w->offset + w->len <= s->reserved_bytes)
        write_start(w);
    return 0;
}

static void sync_end(struct spool *s, int res)
{
    s->in_flight--;
    if (res < 0)
        errmsg_set(&s->trouble, res, "spool file %s: sync: %s", s->name, strerror(-res));
    finish(s, res < 0 ? res : 0);
}

static void on_name_sync(struct io_op *op, int res)
{
    sync_end(op->ctx, res);
}

/* A batch that no sink could stage is to be found here after a power cut. */
static void on_sync(struct io_op *op, int res)
{
    struct spool *s = op->ctx;

    if (res < 0)
        sync_end(s, res);
    else
        io_sync(s->loop, &s->sync_op, s->dir, false, on_name_sync);
}

/* All blocks are written: cut the padding of the last one, then sync. */
static void finish_step(struct spool *s)
{
    int err;

    if (!s->finishing || s->writes || s->in_flight > 0)
        return;
    err = spool_open(s);
    if (!err && (s->file_bytes % FILE_BLOCK_BYTES != 0 || s->to_cut))
        err = file_truncate(s->fd, s->file_bytes);
    if (err) {
        spool_wait(s, err, "cut");
        return;
    }
    s->retry_ns = 0;
    s->in_flight++;
    s->sync_op.ctx = s;
    io_sync(s->loop, &s->sync_op, s->fd, false, on_sync);
}

void spool_finish(struct spool *s, spool_done_fn done)
{
    s->done = done;
    s->finishing = true;
    finish_step(s);
}

void spool_step(struct spool *s, uint64_t now_ns)
{
    int err;

    if (s->retry_ns == 0 || now_ns < s->retry_ns)
        return;
    s->retry_ns = 0;
    err = spool_open(s);
    if (err) {
        spool_wait(s, err, "open");
        return;
    }
    for (struct spool_write *w = s->writes; w; w = w->next)
        if (!w->flying)
            write_start(w);
    finish_step(s);
}

void spool_drop(struct spool *s)
{
    INVARIANT(s->in_flight == 0);
    spool_fini(s);
    /* A name that stays goes when the file is begun anew, or at the next start. */
    (void)file_unlink(s->dir, s->name);
    s->file_bytes = s->reserved_bytes = 0;
    s->crc32c = 0;
    s->finishing = s->to_cut = false;
    s->retry_ns = 0;
    s->attempts = 0;
}
