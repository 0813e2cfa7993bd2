/*
 * wal_segment: makes segments, and rolls from a full one to the next.
 *
 * D2: header and CHECKPOINT are synced, then the name, before the first group. D4: the segment
 * before is synced before the new one has its name.
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
    PREPARE_ROOM = 2 * WAL_CHUNK_BYTES + 1024 * 1024
};

/* Behind the CHECKPOINT: for the group that waits for this segment, or any usual one. */
static uint64_t room_wanted(const struct wal_writer *w)
{
    uint64_t room = 2 * WAL_CHUNK_BYTES, waits;

    if (!w->filling)
        return room;
    waits = bytes_round_up(w->filling->body_len, WAL_BLOCK)
            + wal_commit_bytes((uint32_t)w->filling->items.len) + WAL_CHUNK_BYTES;
    return waits > room ? waits : room;
}

/* Lays header and CHECKPOINT into roll->buffer and sizes the segment. 0 or -errno. */
static int segment_format(struct wal_writer *w, uint64_t start_lsn, uint64_t room)
{
    struct wal_roll *roll = &w->roll;
    struct wal_segment *seg = &roll->seg;
    struct bytes items = BYTES_INIT;
    struct wal_commit commit = {0};
    uint32_t record_bytes;
    const uint8_t *at;
    int err;

    seg->header.start_lsn = seg->header.prev_end_lsn = start_lsn;
    seg->header.real_ns = loop_real_ns(w->loop);
    wal_segment_header_format(&seg->header);
    err = wal_state_checkpoint(w->state, &items);
    if (!err && items.len > UINT32_MAX / 2 / WAL_CHECKPOINTS)
        err = -EFBIG;
    if (err)
        goto out;
    record_bytes = wal_commit_bytes((uint32_t)items.len);
    roll->len = WAL_BLOCK + WAL_CHECKPOINTS * record_bytes;
    roll->buffer = aligned_alloc(WAL_BLOCK, roll->len);
    if (!roll->buffer) {
        err = -ENOMEM;
        goto out;
    }
    wal_segment_header_put(&seg->header, roll->buffer);
    commit.synced_lsn = w->synced_lsn;
    commit.real_ns = seg->header.real_ns;
    commit.boot_ns = loop_now_ns(w->loop);
    commit.item_bytes = (uint32_t)items.len;
    for (at = items.data; at < items.data + items.len; commit.items++)
        at += 8 + bytes_round_up(bytes_get_u32(at + 4), 8);
    for (uint32_t offset = WAL_BLOCK; offset < roll->len; offset += record_bytes) {
        commit.lsn = commit.group_lsn = start_lsn + offset;
        commit.bytes = record_bytes;
        wal_commit_format(&w->roll_id, &commit, items.data, roll->buffer + offset);
    }
    seg->size_bytes = roll->allocated_bytes;
    if (seg->size_bytes < roll->len + room)     /* however large the checkpoint is */
        seg->size_bytes = roll->len + room;
    if (seg->size_bytes > roll->allocated_bytes)
        err = file_allocate(roll->fd, 0, seg->size_bytes);
out:
    bytes_free(&items);
    return err;
}

static uint64_t bytes_wanted(const struct wal_writer *w)
{
    uint64_t bytes = bytes_round_down(w->opt.segment_size, WAL_BLOCK);

    return bytes < SEGMENT_BYTES_MIN ? SEGMENT_BYTES_MIN : bytes;
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
    seg->header.number = w->dir->count ? w->dir->segments[w->dir->count - 1].header.number + 1 : 1;
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
    roll->buffer = NULL;
    roll->fd = -1;
    roll->allocated_bytes = 0;
}

/* The next segment is the one being written from now on. */
static int segment_enter(struct wal_writer *w)
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
    w->next_lsn = w->committed_lsn = w->synced_lsn = w->segment_start_lsn + roll->len;
    w->fresh_lsn = roll->recycled ? w->segment_start_lsn + w->segment_bytes : w->next_lsn;
    free(roll->buffer);
    roll->buffer = NULL;
    roll->fd = -1;
    roll->blocked = 0;
    roll->allocated_bytes = 0;
    return 0;
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

/* True: the disk is full, which passes; to be tried again. */
static bool roll_wait(struct wal_writer *w, int err)
{
    if (err != -ENOSPC && err != -EDQUOT)
        return false;
    w->roll.blocked = err;
    w->roll.retry_ns = loop_now_ns(w->loop) + RETRY_NS;
    return true;
}

int wal_segment_first(struct wal_writer *w, uint64_t start_lsn)
{
    struct wal_roll *roll = &w->roll;
    int err = segment_begin(w, start_lsn, bytes_wanted(w), room_wanted(w)), full = err;

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
        err = segment_enter(w);
    if (err)
        wal_segment_drop(w);
    else
        (void)roll_wait(w, full);
    return err;
}

void wal_segment_prepare(struct wal_writer *w)
{
    struct wal_roll *roll = &w->roll;
    uint64_t room = w->segment_start_lsn + w->segment_bytes - w->next_lsn;

    if (roll->fd >= 0 || wal_roll_active(roll) || w->error || loop_now_ns(w->loop) < roll->retry_ns
        || (room > w->segment_bytes / 2 && room > PREPARE_ROOM))
        return;
    roll->blocked = 0;
    (void)roll_wait(w, segment_make(w, bytes_wanted(w)));    /* another failure shows at the roll */
}

/* The old segment keeps its blocks: they will be written again. */
static void roll_end(struct wal_writer *w)
{
    int old_fd = w->fd;
    int err;

    w->dir->segments[w->dir->count - 1].end_lsn = w->committed_lsn;
    err = segment_enter(w);
    if (err) {
        wal_writer_fail(w, err, "cannot begin the next one");
        return;
    }
    w->roll.step = WAL_ROLL_NONE;
    w->rolls++;
    wal_writer_synced(w);
    file_close(old_fd);
}

static void on_roll(struct io_op *op, int res);

/*
 * The new segment gets its name, and so is seen by a start, only when all that its CHECKPOINT tells
 * of is durable: what a power cut takes from the old segment must not come back by the new one.
 */
static void roll_name(struct wal_writer *w)
{
    struct wal_roll *roll = &w->roll;

    if (roll->step != WAL_ROLL_NAME || roll->old_syncing)
        return;
    io_rename(w->loop, &roll->op, w->dir->fd, roll->name_new, w->dir->fd, roll->seg.name, on_roll);
}

static void on_old_sync(struct io_op *op, int res)
{
    struct wal_writer *w = op->ctx;

    w->roll.old_syncing = false;
    if (res < 0)
        wal_writer_fail(w, res, "sync");
    else
        roll_name(w);
}

static void on_roll(struct io_op *op, int res)
{
    struct wal_writer *w = op->ctx;
    struct wal_roll *roll = &w->roll;

    if (res < 0 || (res == 0 && roll->step == WAL_ROLL_WRITE)) {
        wal_writer_fail(w, res < 0 ? res : -EIO, "cannot begin the next one");
        return;
    }
    switch (roll->step) {
    case WAL_ROLL_WRITE:
        roll->written += (uint32_t)res;
        if (roll->written < roll->len) {
            roll->written = (uint32_t)bytes_round_down(roll->written, WAL_BLOCK);
            io_write(w->loop, op, roll->fd, roll->buffer + roll->written,
                     roll->len - roll->written, roll->written, on_roll);
            return;
        }
        roll->step = WAL_ROLL_SYNC;
        io_sync(w->loop, op, roll->fd, false, on_roll);
        return;
    case WAL_ROLL_SYNC:
        roll->step = WAL_ROLL_NAME;
        roll_name(w);
        return;
    case WAL_ROLL_NAME:
        roll->step = WAL_ROLL_SYNC_DIR;
        io_sync(w->loop, op, w->dir->fd, false, on_roll);
        return;
    default:
        roll_end(w);
    }
}

void wal_segment_roll(struct wal_writer *w)
{
    struct wal_roll *roll = &w->roll;
    int err;

    INVARIANT(!wal_roll_active(roll) && w->flight_count == 0 && !w->sync_in_flight);
    if (roll->blocked && loop_now_ns(w->loop) < roll->retry_ns)
        return;
    err = roll->fd < 0 ? segment_make(w, bytes_wanted(w)) : 0;
    if (!err)
        err = segment_format(w, w->committed_lsn, room_wanted(w));
    if (err && roll_wait(w, err)) {
        free(roll->buffer);
        roll->buffer = NULL;
        return;
    }
    roll->blocked = 0;
    if (err) {
        wal_writer_fail(w, err, "cannot begin the next one");
        return;
    }
    roll->step = WAL_ROLL_WRITE;
    roll->written = 0;
    roll->op.ctx = roll->old_op.ctx = w;
    roll->old_syncing = true;
    io_sync(w->loop, &roll->old_op, w->fd, true, on_old_sync);
    io_write(w->loop, &roll->op, roll->fd, roll->buffer, roll->len, 0, on_roll);
}
