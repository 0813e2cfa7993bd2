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

void wal_reader_init(struct wal_reader *r, const struct wal_dir *dir)
{
    memset(r, 0, sizeof(*r));
    r->dir = dir;
    r->fd = -1;
    r->hole_from = UINT64_MAX;
    r->segment_number = UINT64_MAX;
    r->lsn = dir->count > 0 ? dir->segments[0].header.start_lsn : 0;
}

void wal_reader_fini(struct wal_reader *r)
{
    file_close(r->fd);
    free(r->window);
    memset(r, 0, sizeof(*r));
    r->fd = -1;
}

/*
 * Makes file bytes [offset, offset + len) readable at *ret_at. Returns how many there are (fewer
 * than len: the file ends), or -errno. What lies beyond lsn_max is not read ahead: it changes.
 */
static ssize_t window_get(struct wal_reader *r, const struct wal_segment *seg, uint64_t offset,
                          size_t len, const uint8_t **ret_at)
{
    uint64_t seg_lsn = seg->header.start_lsn;
    size_t want = WINDOW_BYTES;
    ssize_t n;

    if (offset >= r->window_offset && offset + len <= r->window_offset + r->window_len) {
        *ret_at = r->window + (offset - r->window_offset);
        return (ssize_t)len;
    }
    if (r->window_lsn_max > seg_lsn + offset && want > r->window_lsn_max - seg_lsn - offset)
        want = (size_t)(r->window_lsn_max - seg_lsn - offset);
    if (want < len)
        want = len;
    if (want > r->window_cap) {
        uint8_t *bigger = realloc(r->window, want);

        if (!bigger)
            return -ENOMEM;
        r->window = bigger;
        r->window_cap = want;
    }
    r->window_len = 0;
    n = file_read(r->fd, r->window, want, offset);
    if (n < 0)
        return n;
    r->window_offset = offset;
    r->window_len = (size_t)n;
    *ret_at = r->window;
    return n < (ssize_t)len ? n : (ssize_t)len;
}

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
    if (fd < 0)
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
    uint64_t first_lsn = seg->header.start_lsn + at;
    const uint8_t *block;
    ssize_t n;

    memcpy(id.uuid, seg->header.uuid, sizeof(id.uuid));
    for (; at + WAL_BLOCK <= limit; at += WAL_BLOCK) {
        uint64_t lsn = seg->header.start_lsn + at;
        uint32_t bytes;

        n = window_get(r, seg, at, WAL_BLOCK, &block);
        if (n < WAL_BLOCK)
            return n < 0 ? (int)n : 0;
        if (!wal_commit_begins(block, lsn))
            continue;
        bytes = bytes_get_u32(block + 8);
        if (bytes < WAL_BLOCK || bytes % WAL_BLOCK != 0 || at + bytes > limit)
            continue;
        n = window_get(r, seg, at, bytes, &block);
        if (n < (ssize_t)bytes)
            return n < 0 ? (int)n : 0;
        if (wal_commit_parse(&id, block, bytes, lsn, ret_commit) == 0
            && ret_commit->group_lsn >= first_lsn) {
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
    ssize_t n = window_get(r, seg, body_offset, len, &at);

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
    if (lsn_max != r->window_lsn_max) {     /* more may have been written since it was read */
        r->window_len = 0;
        r->window_lsn_max = lsn_max;
    }
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
        if (seg < last && (seg + 1)->header.start_lsn - seg->header.start_lsn < limit)
            limit = (seg + 1)->header.start_lsn - seg->header.start_lsn;
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
        if ((seg + 1)->header.start_lsn > seg->header.start_lsn + at && r->hole_from == UINT64_MAX)
            r->hole_from = seg->header.start_lsn + at;
        r->lsn = (seg + 1)->header.start_lsn;
    }
    return 0;
}
