/*
 * wal_segment: makes segments, rolls from a full one to the next, and from a failed one to one that
 * continues it.
 *
 * D2: header and CHECKPOINT are synced, then the name, before the first group. D4: the segment
 * before is synced before the new one has its name. D5: what is not synced is written again.
 *
 * Owns:   descriptors of both files, the buffer of a header and CHECKPOINT.
 * Thread: shard.
 */
#include "wal/wal_segment.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/invariant.h"
#include "wal/wal_writer.h"

#define RETRY_NS 1000000000ULL

enum {
    /* Two full groups behind a usual checkpoint, however small segments should be. */
    SEGMENT_BYTES_MIN = 2 * WAL_CHUNK_BYTES + 64 * 1024,
    /* Of a start on a full disk: for acknowledgements, until there is room for a next one. */
    SEGMENT_BYTES_TIGHT = 128 * 1024,
    /* With less than this left, the next one is wanted. */
    PREPARE_ROOM = 2 * WAL_CHUNK_BYTES + 1024 * 1024,
    ZERO_BYTES = 256 * 1024,
    REWRITE_BYTES = 1024 * 1024
};

uint64_t wal_segment_bytes(uint64_t bytes)
{
    bytes = bytes_round_down(bytes, WAL_BLOCK);
    return bytes > SEGMENT_BYTES_MIN ? bytes : SEGMENT_BYTES_MIN;
}

/* --- making ------------------------------------------------------------------------------- */

/* Behind what it begins with: for the group that waits for this segment, or any usual ones. */
static uint64_t room_wanted(const struct wal_writer *w)
{
    uint64_t room = 2 * WAL_CHUNK_BYTES, waits;

    if (!w->filling)
        return room;
    waits = bytes_round_up(w->filling->body_len, WAL_BLOCK)
            + wal_commit_bytes((uint32_t)w->filling->items.len) + WAL_CHUNK_BYTES;
    return waits > room ? waits : room;
}

/*
 * Takes a buffer of `len` bytes and puts the header into it; sizes the segment, with so much room
 * behind that, however large it is. 0 or -errno.
 */
static int header_format(struct wal_writer *w, uint32_t len, uint64_t room)
{
    struct wal_roll *roll = &w->roll;
    struct wal_segment *seg = &roll->seg;
    uint64_t size_bytes = len + room;

    roll->len = len;
    roll->buffer = aligned_alloc(WAL_BLOCK, len);
    if (!roll->buffer)
        return -ENOMEM;
    seg->header.real_ns = loop_real_ns(w->loop);
    wal_segment_header_format(&seg->header);
    wal_segment_header_put(&seg->header, roll->buffer);
    seg->size_bytes = roll->allocated_bytes > size_bytes ? roll->allocated_bytes : size_bytes;
    return size_bytes > roll->allocated_bytes ? file_allocate(roll->fd, 0, size_bytes) : 0;
}

/* Lays header and CHECKPOINT into roll->buffer and sizes the segment. 0 or -errno. */
static int segment_format(struct wal_writer *w, uint64_t start_lsn, uint64_t room)
{
    struct wal_roll *roll = &w->roll;
    struct bytes items = BYTES_INIT;
    struct wal_commit commit = {0};
    uint32_t record_bytes = 0;
    const uint8_t *at;
    int err;

    roll->seg.header.start_lsn = roll->seg.header.prev_end_lsn = start_lsn;
    roll->seg.header.flags = 0;
    err = wal_state_checkpoint(w->state, &items);
    if (!err && items.len > UINT32_MAX / 2 / WAL_CHECKPOINTS)
        err = -EFBIG;
    if (!err) {
        record_bytes = wal_commit_bytes((uint32_t)items.len);
        err = header_format(w, WAL_BLOCK + WAL_CHECKPOINTS * record_bytes, room);
    }
    if (err)
        goto out;
    commit.synced_lsn = w->synced_lsn;
    commit.real_ns = roll->seg.header.real_ns;
    commit.boot_ns = loop_now_ns(w->loop);
    commit.item_bytes = (uint32_t)items.len;
    for (at = items.data; at < items.data + items.len; commit.items++)
        at += 8 + bytes_round_up(bytes_get_u32(at + 4), 8);
    for (uint32_t offset = WAL_BLOCK; offset < roll->len; offset += record_bytes) {
        commit.lsn = commit.group_lsn = start_lsn + offset;
        commit.bytes = record_bytes;
        wal_commit_format(&w->roll_id, &commit, items.data, roll->buffer + offset);
    }
    w->checkpoint_bytes = items.len;
out:
    bytes_free(&items);
    return err;
}

/* The header of a segment that continues the failed one behind its last synced group. */
static int continuation_format(struct wal_writer *w)
{
    struct wal_segment_header *header = &w->roll.seg.header;

    header->prev_end_lsn = w->synced_lsn;
    header->start_lsn = w->synced_lsn - WAL_BLOCK;
    header->flags = WAL_SEGMENT_CONTINUES;
    return header_format(w, WAL_BLOCK, w->next_lsn - w->synced_lsn + room_wanted(w));
}

/* Makes the file and reserves its blocks, under the name that says it is not begun. */
static int segment_make(struct wal_writer *w, uint64_t bytes)
{
    struct wal_roll *roll = &w->roll;
    struct wal_segment *seg = &roll->seg;
    struct file_stat st;
    bool again;
    int err;

    memset(seg, 0, sizeof(*seg));
    seg->header.shard = w->dir->shard;
    memcpy(seg->header.uuid, w->opt.uuid, sizeof(seg->header.uuid));
    memcpy(seg->header.boot_id, w->opt.boot_id, sizeof(seg->header.boot_id));
    seg->header.epoch = w->opt.epoch;
    seg->header.number = w->next_number++;
    w->roll_id = w->id;
    w->roll_id.segment = seg->header.number;
    wal_segment_name(w->dir->shard, w->opt.epoch, seg->header.number, seg->name);
    wal_dir_name_new(seg->name, roll->name_new);
    again = roll->recycled = wal_dir_reuse(w->dir, roll->name_new) == 0;
    roll->fd = file_open_direct(w->dir->fd, roll->name_new,
                                again ? O_RDWR : O_RDWR | O_CREAT | O_EXCL, 0600, &roll->direct);
    if (roll->fd < 0)
        return roll->fd;
    roll->allocated_bytes = bytes;
    err = file_lock(roll->fd, false);
    if (!err && again)
        err = file_stat(roll->fd, &st);
    /* The groups that a file holds from before do not pass for new ones: see the COMMIT's seed. */
    if (!err && again && st.size_bytes >= roll->allocated_bytes)
        roll->allocated_bytes = st.size_bytes;
    else if (!err)
        err = file_allocate(roll->fd, 0, roll->allocated_bytes);
    if (err)
        wal_segment_drop(w);
    return err;
}

void wal_segment_drop(struct wal_writer *w)
{
    struct wal_roll *roll = &w->roll;

    if (roll->fd >= 0) {
        file_close(roll->fd);
        /* What is left of it holds nothing: the next start deals with it. */
        file_unlink(w->dir->fd, roll->name_new);
    }
    free(roll->buffer);
    free(roll->body);
    roll->buffer = roll->body = NULL;
    roll->fd = -1;
    roll->allocated_bytes = 0;
}

/* The next segment is the one being written from now on. */
static int segment_enter(struct wal_writer *w, uint64_t end_lsn)
{
    struct wal_roll *roll = &w->roll;
    int err = wal_dir_add(w->dir, &roll->seg);

    if (err)
        return err;
    w->id = w->roll_id;
    w->fd = roll->fd;
    w->direct = roll->direct;
    w->segment_start_lsn = roll->seg.header.start_lsn;
    w->segment_bytes = roll->seg.size_bytes;
    w->next_lsn = end_lsn;
    w->fresh_lsn = roll->recycled ? w->segment_start_lsn + w->segment_bytes : w->next_lsn;
    free(roll->buffer);
    free(roll->body);
    roll->buffer = roll->body = NULL;
    roll->fd = -1;
    roll->blocked = 0;
    roll->held = false;
    roll->allocated_bytes = 0;
    roll->step = WAL_ROLL_NONE;
    return 0;
}

static int checkpoint_enter(struct wal_writer *w)
{
    uint64_t end_lsn = w->roll.seg.header.start_lsn + w->roll.len;
    int err = segment_enter(w, end_lsn);

    if (err)
        return err;
    w->committed_lsn = end_lsn;
    wal_writer_synced(w);
    return 0;
}

/* To be tried again in a second. */
static void roll_wait(struct wal_writer *w, int err, const char *what)
{
    struct wal_roll *roll = &w->roll;

    roll->blocked = err;
    roll->retry_ns = loop_now_ns(w->loop) + RETRY_NS;
    errmsg_set(&w->trouble, err, "log segment %s/%s: %s: %s", w->dir->path, roll->seg.name, what,
               strerror(-err));
}

static int segment_begin(struct wal_writer *w, uint64_t start_lsn, uint64_t bytes, uint64_t room)
{
    int err = segment_make(w, bytes);

    if (!err)
        err = segment_format(w, start_lsn, room);
    if (err)
        wal_segment_drop(w);
    return err;
}

int wal_segment_first(struct wal_writer *w, uint64_t start_lsn)
{
    struct wal_roll *roll = &w->roll;
    int err = segment_begin(w, start_lsn, w->opt.segment_size, room_wanted(w)), full = err;

    for (uint64_t bytes = WAL_CHUNK_BYTES; (err == -ENOSPC || err == -EDQUOT)
                                           && bytes >= SEGMENT_BYTES_TIGHT; bytes /= 2)
        err = segment_begin(w, start_lsn, bytes, SEGMENT_BYTES_TIGHT / 2);
    if (err)
        return err;
    err = file_write(roll->fd, roll->buffer, roll->len, 0);
    if (!err)
        err = file_sync(roll->fd);
    if (!err)
        err = file_rename(w->dir->fd, roll->name_new, w->dir->fd, roll->seg.name);
    if (!err)
        err = file_sync(w->dir->fd);
    if (!err)
        err = checkpoint_enter(w);
    if (err)
        wal_segment_drop(w);
    else if (full)
        roll_wait(w, full, "cannot make the next one");
    return err;
}

void wal_segment_prepare(struct wal_writer *w)
{
    struct wal_roll *roll = &w->roll;
    uint64_t room = w->segment_start_lsn + w->segment_bytes - w->next_lsn;
    int err;

    if (roll->fd >= 0 || w->error || !wal_segment_may_roll(w) || w->roll_asked
        || (room > w->segment_bytes / 2 && room > PREPARE_ROOM))
        return;
    err = segment_make(w, w->opt.segment_size);
    if (err)
        roll_wait(w, err, "cannot make the next one");
    else
        roll->blocked = 0;
}

/* --- rolling ------------------------------------------------------------------------------ */

static void on_roll(struct io_op *op, int res);

bool wal_segment_may_roll(const struct wal_writer *w)
{
    return !w->roll.blocked || loop_now_ns(w->loop) >= w->roll.retry_ns;
}

/* The old segment keeps its blocks: they will be written again. */
static int roll_end(struct wal_writer *w)
{
    w->dir->segments[w->dir->count - 1].end_lsn = w->committed_lsn;
    w->roll_asked = false;
    w->rolls++;
    return checkpoint_enter(w);
}

/* All that was closed is in the log, synced. Soon a CHECKPOINT should follow. */
static int continue_end(struct wal_writer *w)
{
    int err;

    w->dir->segments[w->dir->count - 1].end_lsn = w->synced_lsn;
    err = segment_enter(w, w->next_lsn);
    if (err)
        return err;
    w->failed = 0;
    w->roll_asked = true;
    while (w->flight_first && !w->error)
        wal_writer_commit(w);
    wal_writer_synced(w);
    return 0;
}

/* Gives the file up when nothing of it is under way any more. */
static void roll_stop(struct wal_writer *w)
{
    struct wal_roll *roll = &w->roll;

    if (roll->under_way || roll->old_syncing)
        return;
    wal_segment_drop(w);
    if (roll->named)
        file_unlink(w->dir->fd, roll->seg.name);    /* superseded if it stays */
    roll->held |= roll->named;
    roll->step = WAL_ROLL_NONE;
    w->roll_asked = true;
    if (roll->failure)
        roll_wait(w, roll->failure, "cannot begin the next one");
}

/*
 * The new segment gets its name, and so is seen by a start, only when all that its CHECKPOINT tells
 * of is durable: what a power cut takes from the old segment must not come back by the new one.
 */
static void roll_name(struct wal_writer *w)
{
    struct wal_roll *roll = &w->roll;

    if (roll->step != WAL_ROLL_NAME || roll->old_syncing)
        return;
    roll->named = roll->under_way = true;
    io_rename(w->loop, &roll->op, w->dir->fd, roll->name_new, w->dir->fd, roll->seg.name, on_roll);
}

static void on_old_sync(struct io_op *op, int res)
{
    struct wal_writer *w = op->ctx;

    w->roll.old_syncing = false;
    if (res < 0)
        wal_writer_segment_failed(w, res, "sync");
    else
        wal_writer_synced(w);
    if (res < 0 || w->roll.failure)
        roll_stop(w);
    else
        roll_name(w);
}

static void piece_write(struct wal_writer *w)
{
    struct wal_roll *roll = &w->roll;

    roll->under_way = true;
    io_write(w->loop, &roll->op, roll->fd, roll->piece + roll->written, roll->len - roll->written,
             roll->piece_lsn - roll->seg.header.start_lsn + roll->written, on_roll);
}

static void piece_begin(struct wal_writer *w, const uint8_t *piece, uint32_t len, uint64_t lsn)
{
    w->roll.piece = piece;
    w->roll.len = len;
    w->roll.piece_lsn = lsn;
    w->roll.written = 0;
    piece_write(w);
}

/* The group's body where direct I/O can write it, whole blocks of it. NULL: no memory. */
static const uint8_t *body_aligned(struct wal_roll *roll, const struct wal_group *g, uint32_t len)
{
    const uint8_t *from = g->chunk ? g->chunk : g->copy;

    if (g->chunk && wal_group_keeps_chunk(g))   /* padded when it was closed */
        return from;        /* another chunk may go meanwhile, when its group is routed */
    free(roll->body);
    roll->body = aligned_alloc(WAL_BLOCK, len);
    if (!roll->body)
        return NULL;
    memcpy(roll->body, from, g->body_len);
    memset(roll->body + g->body_len, 0, len - g->body_len);
    return roll->body;
}

/*
 * The next piece of a segment that continues another: the body, then the COMMIT of each group,
 * which may say that all of them are synced, for so they are when the segment has its name. 1: it
 * is being written, 0: there is none left, -ENOMEM.
 */
static int continue_next(struct wal_writer *w)
{
    struct wal_roll *roll = &w->roll;
    struct wal_group *g = roll->group;
    const uint8_t *piece;
    uint32_t len;

    if (!roll->continues)
        return 0;
    if (g && roll->piece_lsn < g->commit.lsn) {     /* its body is written */
        piece = wal_writer_record(w, g, &w->roll_id, w->next_lsn);
        if (!piece)
            return -ENOMEM;
        piece_begin(w, piece, g->commit.bytes, g->commit.lsn);
        return 1;
    }
    g = roll->group = g ? g->next : w->groups.kept_first;
    if (!g)
        return 0;
    len = (uint32_t)(g->commit.lsn - g->body_lsn);
    piece = len ? body_aligned(roll, g, len) : wal_writer_record(w, g, &w->roll_id, w->next_lsn);
    if (!piece)
        return -ENOMEM;
    piece_begin(w, piece, len ? len : g->commit.bytes, g->body_lsn);
    return 1;
}

/* What follows a step that went well. 0 or -errno. */
static int roll_next(struct wal_writer *w, int res)
{
    struct wal_roll *roll = &w->roll;
    uint32_t before = roll->written;
    int old_fd, r;

    switch (roll->step) {
    case WAL_ROLL_WRITE:
        roll->written += (uint32_t)res;
        if (roll->written < roll->len) {
            if (roll->direct)
                roll->written = (uint32_t)bytes_round_down(roll->written, WAL_BLOCK);
            if (roll->written == before)
                return -EIO;
            piece_write(w);
            return 0;
        }
        r = continue_next(w);
        if (r)
            return r < 0 ? r : 0;
        roll->step = WAL_ROLL_SYNC;
        roll->under_way = true;
        io_sync(w->loop, &roll->op, roll->fd, false, on_roll);
        return 0;
    case WAL_ROLL_SYNC:
        roll->step = WAL_ROLL_NAME;
        roll_name(w);
        return 0;
    case WAL_ROLL_NAME:
        roll->step = WAL_ROLL_SYNC_DIR;
        roll->under_way = true;
        io_sync(w->loop, &roll->op, w->dir->fd, false, on_roll);
        return 0;
    default:
        old_fd = w->fd;
        r = roll->continues ? continue_end(w) : roll_end(w);
        if (r)
            wal_writer_fail(w, r, "cannot begin the next one");
        else
            file_close(old_fd);
        return 0;
    }
}

static void on_roll(struct io_op *op, int res)
{
    struct wal_writer *w = op->ctx;
    struct wal_roll *roll = &w->roll;

    roll->under_way = false;
    if (res >= 0 && (roll->continues || !w->failed))
        res = roll_next(w, res);
    if (res < 0)
        roll->failure = res;
    if (roll->failure || (w->failed && !roll->continues))
        roll_stop(w);
}

/* Makes it if it is not there yet, and begins to write it. */
static void roll_begin(struct wal_writer *w, bool continues)
{
    struct wal_roll *roll = &w->roll;
    int err = roll->fd < 0 ? segment_make(w, w->opt.segment_size) : 0;

    if (!err)
        err = continues ? continuation_format(w)
                        : segment_format(w, w->committed_lsn, room_wanted(w));
    if (err) {
        w->roll_asked = true;
        roll_wait(w, err, "cannot begin the next one");
        free(roll->buffer);
        roll->buffer = NULL;
        if (!wal_roll_full(roll))       /* then the room that it has is better kept */
            wal_segment_drop(w);
        return;
    }
    roll->step = WAL_ROLL_WRITE;
    roll->continues = continues;
    roll->named = false;
    roll->failure = 0;
    roll->group = NULL;
    roll->op.ctx = roll->old_op.ctx = w;
    piece_begin(w, roll->buffer, roll->len, roll->seg.header.start_lsn);
}

void wal_segment_roll(struct wal_writer *w)
{
    INVARIANT(!wal_roll_active(&w->roll) && w->flight_count == 0 && !w->sync_in_flight);
    if (!wal_segment_may_roll(w))
        return;
    roll_begin(w, false);
    if (!wal_roll_active(&w->roll) || w->synced_lsn == w->committed_lsn)
        return;
    w->roll.old_syncing = true;
    io_sync(w->loop, &w->roll.old_op, w->fd, true, on_old_sync);
}

void wal_segment_continue(struct wal_writer *w)
{
    INVARIANT(w->failed && !wal_roll_active(&w->roll));
    if (loop_now_ns(w->loop) >= w->roll.retry_ns)
        roll_begin(w, true);
}

/* --- between lives, and between events ------------------------------------------------------ */

/*
 * Writes what is not known to be synced once more, as it is, as far as it can be read. Where a sync
 * failed in a life that ended by it, what it should have covered passes for written: the next sync
 * would succeed without it, and only a power cut would show.
 */
static int tail_rewrite(int fd, uint64_t from, uint64_t to)
{
    uint8_t *buffer = malloc(REWRITE_BYTES);
    int err = buffer ? 0 : -ENOMEM;
    size_t most = REWRITE_BYTES;

    while (!err && from < to) {
        size_t len = to - from < most ? (size_t)(to - from) : most;
        ssize_t n = file_read(fd, buffer, len, from);

        if (n > 0)
            err = file_write(fd, buffer, (size_t)n, from);
        else if (len > WAL_BLOCK)
            most = WAL_BLOCK;   /* one of them: all others count */
        else
            n = (ssize_t)len;
        from += n > 0 ? (uint64_t)n : 0;
    }
    free(buffer);
    return err;
}

int wal_segment_finish(struct wal_dir *dir, uint64_t synced_lsn, uint64_t end_lsn)
{
    struct wal_segment *seg = &dir->segments[dir->count - 1];
    uint64_t start_lsn = seg->header.start_lsn, len = end_lsn - start_lsn;
    int fd = file_open(dir->fd, seg->name, O_RDWR, 0);
    bool cut = len < seg->size_bytes && dir->bad_count == 0;
    int err;

    if (fd < 0)
        return fd;
    err = cut ? file_truncate(fd, len) : 0;
    if (synced_lsn < seg->header.prev_end_lsn)
        synced_lsn = seg->header.prev_end_lsn;
    if (!err)
        err = tail_rewrite(fd, synced_lsn - start_lsn,
                           len < seg->size_bytes ? len : seg->size_bytes);
    if (!err)
        err = file_sync(fd);
    file_close(fd);
    if (err)
        return err;
    if (cut)
        seg->size_bytes = len;
    seg->end_lsn = end_lsn;
    return 0;
}

static void on_zeros(struct io_op *op, int res)
{
    struct wal_writer *w = op->ctx;

    w->wearing_in = false;
    w->fresh_lsn = res == ZERO_BYTES ? w->fresh_lsn + ZERO_BYTES : UINT64_MAX;
}

void wal_segment_wear_in(struct wal_writer *w)
{
    uint64_t end = w->segment_start_lsn + w->segment_bytes;

    if (!w->direct || w->fresh_lsn >= w->next_lsn + ZERO_BYTES / 4)
        return;
    if (w->fresh_lsn < w->next_lsn)
        w->fresh_lsn = w->next_lsn;
    if (w->fresh_lsn + ZERO_BYTES > end)
        return;
    if (!w->zeros) {
        w->zeros = aligned_alloc(WAL_BLOCK, ZERO_BYTES);
        if (!w->zeros)
            return;
        memset(w->zeros, 0, ZERO_BYTES);
    }
    w->wearing_in = true;
    w->zero_op.ctx = w;
    io_write(w->loop, &w->zero_op, w->fd, w->zeros, ZERO_BYTES,
             w->fresh_lsn - w->segment_start_lsn, on_zeros);
}

