/*
 * wal_reader: finds valid COMMITs from block to block and hands out their groups.
 * Owns:   one descriptor and a window of memory.
 * Thread: one.
 */
#include "wal/wal_reader.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/invariant.h"

enum { WINDOW_BYTES = 4 * 1024 * 1024 };

void wal_reader_init(struct wal_reader *r, struct wal_dir *dir)
{
    uint32_t first = 0;

    memset(r, 0, sizeof(*r));
    r->dir = dir;
    r->fd = -1;
    r->hole_from = UINT64_MAX;
    r->segment_number = UINT64_MAX;
    while (first + 1 < dir->count && wal_segment_continues(&dir->segments[first].header))
        first++;
    r->lsn = dir->count > 0 ? dir->segments[first].header.prev_end_lsn : 0;
}

void wal_reader_fini(struct wal_reader *r)
{
    file_close(r->fd);
    free(r->window);
    memset(r, 0, sizeof(*r));
    r->fd = -1;
}

/* Another attempt, or another file, may fare better: the disk itself says that it has lost this. */
static bool disk_error(int err)
{
    return err == -EIO || err == -ENODATA || err == -EUCLEAN || err == -EILSEQ;
}

/* Reads what can be read, block by block. Returns how many bytes there are, or -errno. */
static ssize_t blocks_read(struct wal_reader *r, uint8_t *to, size_t len, uint64_t offset)
{
    size_t done = 0;

    while (done < len) {
        uint64_t at = offset + done;
        size_t part = WAL_BLOCK - at % WAL_BLOCK;
        ssize_t n = -EIO;

        part = part < len - done ? part : len - done;
        for (int i = 0; r->fd >= 0 && n == -EIO && i < WAL_READ_ATTEMPTS; i++)
            n = file_read(r->fd, to + done, part, at);
        if (n < 0 && disk_error((int)n)) {
            n = wal_dir_bad_add(r->dir, r->segment_number, at, at + part);
            r->io_errors += n > 0;
            n = n < 0 ? n : (ssize_t)part;
        }
        if (n < 0)
            return n;
        done += (size_t)n;
        if ((size_t)n < part)
            break;
    }
    return (ssize_t)done;
}

static ssize_t window_read(struct wal_reader *r, uint8_t *to, size_t len, uint64_t offset)
{
    ssize_t n = r->fd < 0 ? -EIO : file_read(r->fd, to, len, offset);

    if (n < 0 && disk_error((int)n))
        n = blocks_read(r, to, len, offset);
    if (n > 0)
        wal_dir_bad_mask(r->dir, r->segment_number, to, (size_t)n, offset);
    return n;
}

/*
 * Makes file bytes [offset, offset + len) readable at *ret_at. What the window has from `keep` on
 * stays in it as long as that fits, so that all is read once. Returns how many there are (fewer
 * than len: the file ends), or -errno. What lies beyond lsn_max is not read ahead: it changes.
 */
static ssize_t window_get(struct wal_reader *r, const struct wal_segment *seg, uint64_t keep,
                          uint64_t offset, size_t len, const uint8_t **ret_at)
{
    uint64_t from = offset + len - keep > WINDOW_BYTES ? offset : keep;
    uint64_t from_lsn = seg->header.start_lsn + from;
    size_t want = (size_t)(offset + len - from), have = 0;
    ssize_t n;

    if (offset >= r->window_offset && offset + len <= r->window_offset + r->window_len) {
        *ret_at = r->window + (offset - r->window_offset);
        return (ssize_t)len;
    }
    if (want < WINDOW_BYTES && r->window_lsn_max > from_lsn + want)
        want = r->window_lsn_max - from_lsn < WINDOW_BYTES ? (size_t)(r->window_lsn_max - from_lsn)
                                                           : WINDOW_BYTES;
    if (want > r->window_cap) {
        uint8_t *bigger = realloc(r->window, want);

        if (!bigger)
            return -ENOMEM;
        r->window = bigger;
        r->window_cap = want;
    }
    if (from >= r->window_offset && from < r->window_offset + r->window_len) {
        have = (size_t)(r->window_offset + r->window_len - from);
        memmove(r->window, r->window + (from - r->window_offset), have);
    }
    r->window_offset = from;
    r->window_len = have;
    n = window_read(r, r->window + have, want - have, from + have);
    if (n < 0)
        return n;
    r->window_len += (size_t)n;
    *ret_at = r->window + (offset - from);
    if (r->window_len < offset - from)
        return 0;
    return r->window_len - (offset - from) < len ? (ssize_t)(r->window_len - (offset - from))
                                                 : (ssize_t)len;
}

/* More may have been written since the window was read, beyond what was complete then. */
static void window_cut(struct wal_reader *r, uint64_t lsn_max)
{
    const struct wal_segment *seg = r->dir->count ? wal_dir_find(r->dir, r->lsn) : NULL;
    uint64_t sure = 0;

    if (lsn_max == r->window_lsn_max)
        return;
    if (seg && seg->header.number == r->segment_number
        && r->window_lsn_max > seg->header.start_lsn + r->window_offset)
        sure = r->window_lsn_max - seg->header.start_lsn - r->window_offset;
    if (r->window_len > sure)
        r->window_len = (size_t)sure;
    r->window_lsn_max = lsn_max;
}

/* One that cannot be opened for the disk's sake is read as one great hole. */
static int segment_enter(struct wal_reader *r, const struct wal_segment *seg)
{
    int fd;

    if (r->segment_number == seg->header.number)
        return 0;
    file_close(r->fd);
    r->fd = -1;
    r->window_len = 0;
    r->segment_number = UINT64_MAX;
    fd = file_open(r->dir->fd, seg->name, O_RDONLY, 0);
    for (int i = 1; fd == -EIO && i < WAL_READ_ATTEMPTS; i++)
        fd = file_open(r->dir->fd, seg->name, O_RDONLY, 0);
    if (fd < 0 && !disk_error(fd))
        return fd;
    r->fd = fd;
    r->segment_number = seg->header.number;
    return 0;
}

/*
 * Looks for a valid COMMIT from file offset `at` on, below `limit`. 1: found, *ret_commit filled
 * and its offset in *ret_offset; 0: none.
 */
static int commit_find(struct wal_reader *r, const struct wal_segment *seg, uint64_t at,
                       uint64_t limit, struct wal_commit *ret_commit, uint64_t *ret_offset)
{
    struct wal_identity id = {.epoch = seg->header.epoch, .segment = seg->header.number};
    uint64_t first = at;
    const uint8_t *block;
    ssize_t n;

    memcpy(id.uuid, seg->header.uuid, sizeof(id.uuid));
    for (; at + WAL_BLOCK <= limit; at += WAL_BLOCK) {
        uint64_t lsn = seg->header.start_lsn + at;
        uint32_t bytes;

        n = window_get(r, seg, first, at, WAL_BLOCK, &block);
        if (n < WAL_BLOCK)
            return n < 0 ? (int)n : 0;
        if (!wal_commit_begins(block, lsn))
            continue;
        bytes = bytes_get_u32(block + 8);
        if (bytes < WAL_BLOCK || bytes % WAL_BLOCK != 0 || at + bytes > limit)
            continue;
        n = window_get(r, seg, first, at, bytes, &block);
        if (n < (ssize_t)bytes)
            return n < 0 ? (int)n : 0;
        if (wal_commit_parse(&id, block, bytes, lsn, ret_commit) == 0
            && ret_commit->group_lsn >= seg->header.start_lsn + first) {
            *ret_offset = at;
            return 1;
        }
    }
    return 0;
}

static int group_view(struct wal_reader *r, const struct wal_segment *seg,
                      const struct wal_commit *commit, uint64_t offset,
                      struct wal_group_view *ret_group)
{
    uint64_t body_offset = commit->group_lsn - seg->header.start_lsn;
    size_t len = (size_t)(offset - body_offset) + commit->bytes;
    const uint8_t *at;
    ssize_t n = window_get(r, seg, body_offset, body_offset, len, &at);

    if (n < (ssize_t)len)
        return n < 0 ? (int)n : -EBADMSG;
    ret_group->commit = *commit;
    memcpy(ret_group->id.uuid, seg->header.uuid, sizeof(ret_group->id.uuid));
    ret_group->id.epoch = seg->header.epoch;
    ret_group->id.segment = seg->header.number;
    ret_group->body = at;
    ret_group->body_lsn = commit->group_lsn;
    ret_group->items = at + (offset - body_offset) + sizeof(struct wal_commit);
    ret_group->items_end = ret_group->items + commit->item_bytes;
    ret_group->end_lsn = commit->lsn + commit->bytes;
    ret_group->hole_from = r->hole_from < commit->group_lsn ? r->hole_from : commit->group_lsn;
    r->hole_from = UINT64_MAX;
    r->lsn = ret_group->end_lsn;
    return 1;
}

int wal_reader_next(struct wal_reader *r, uint64_t lsn_max, struct wal_group_view *ret_group)
{
    window_cut(r, lsn_max);
    while (r->lsn < lsn_max) {
        const struct wal_segment *seg = wal_dir_find(r->dir, r->lsn);
        const struct wal_segment *last;
        struct wal_commit commit;
        uint64_t at, limit, offset = 0;
        int found;

        if (!seg)
            return 0;
        last = &r->dir->segments[r->dir->count - 1];
        found = segment_enter(r, seg);
        if (found)
            return found;
        at = r->lsn - seg->header.start_lsn;
        if (at < WAL_BLOCK)         /* the header's block */
            at = WAL_BLOCK;
        limit = seg->size_bytes;
        if (seg < last && (seg + 1)->header.prev_end_lsn - seg->header.start_lsn < limit)
            limit = (seg + 1)->header.prev_end_lsn - seg->header.start_lsn;
        found = commit_find(r, seg, at, limit, &commit, &offset);
        if (found < 0)
            return found;
        if (found) {
            if (commit.group_lsn >= lsn_max)
                return 0;
            if (commit.group_lsn != seg->header.start_lsn + at && r->hole_from == UINT64_MAX)
                r->hole_from = seg->header.start_lsn + at;
            return group_view(r, seg, &commit, offset, ret_group);
        }
        if (seg == last)
            return 0;
        /* No more groups here. The next segment says where this one ended. */
        if ((seg + 1)->header.prev_end_lsn > seg->header.start_lsn + at
            && r->hole_from == UINT64_MAX)
            r->hole_from = seg->header.start_lsn + at;
        r->lsn = (seg + 1)->header.prev_end_lsn;
    }
    return 0;
}
