/*
 * sim_data: contents of simulated files, and what of them and of directories is synced.
 *
 * A file's bytes are the present ones. A block that differs, or may differ, from the disk has an
 * entry in dirty[] with its earlier contents; the last of them is the disk's. Directories keep
 * their unsynced entry changes in order. A power cut picks among these.
 *
 * Owns:   bytes, versions and changes of the inodes.
 * Thread: one.
 * Units:  seq counts writes and entry changes; a sync covers those up to its own.
 */
#include "support/sim_host.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

static uint32_t blocks_of(uint64_t bytes)
{
    return (uint32_t)((bytes + SIM_BLOCK_BYTES - 1) / SIM_BLOCK_BYTES);
}

static uint8_t *block_bytes(const struct sim_inode *inode, uint32_t block)
{
    return inode->data + (uint64_t)block * SIM_BLOCK_BYTES;
}

/* Reserved at most: its bytes are zeros, and their pages were never touched. */
static bool block_is_blank(const struct sim_inode *inode, uint32_t block)
{
    return !inode->exposed && (block >= inode->blocks_cap || !inode->blocks[block].written);
}

void sim_data_map(struct sim_inode *inode)
{
    void *p;

    if (inode->data != NULL)
        return;
    /* Address space only: pages come when they are touched, and never move. */
    p = mmap(NULL, SIM_FILE_BYTES_MAX, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        sim_die("no address space for one more file: %s", strerror(errno));
    inode->data = p;
}

/* ---- Versions ---- */

static void versions_free(struct sim_version *version)
{
    while (version != NULL) {
        struct sim_version *older = version->older;

        free(version);
        version = older;
    }
}

static void version_push(const struct sim_inode *inode, struct sim_dirty *dirty, uint64_t seq)
{
    bool zero = block_is_blank(inode, dirty->block);
    struct sim_version *version = sim_alloc(sizeof(*version) + (zero ? 0 : SIM_BLOCK_BYTES));

    version->seq = seq;
    version->zero = zero;
    version->reserved = inode->blocks[dirty->block].allocated;
    if (!zero)
        memcpy(version->bytes, block_bytes(inode, dirty->block), SIM_BLOCK_BYTES);
    version->older = dirty->older;
    dirty->older = version;
}

/* Before a block changes: remember what a power cut could bring back. */
static void block_dirty(struct sim_inode *inode, uint32_t block, uint64_t seq)
{
    struct sim_dirty *dirty;

    if (inode->mount->tmpfs)
        return;
    if (inode->blocks[block].dirty == 0) {
        inode->dirty = sim_grow(inode->dirty, &inode->dirty_cap, sizeof(*inode->dirty),
                                inode->dirty_count + 1);
        dirty = &inode->dirty[inode->dirty_count++];
        *dirty = (struct sim_dirty){.block = block};
        inode->blocks[block].dirty = inode->dirty_count;
        version_push(inode, dirty, 0);
    } else {
        dirty = &inode->dirty[inode->blocks[block].dirty - 1];
        /* A sync under way may yet put this content on the disk. */
        if (inode->syncs > 0 && inode->sync_seq >= dirty->seq)
            version_push(inode, dirty, dirty->seq);
    }
    dirty->seq = seq;
    dirty->doomed = false;
}

static void dirty_remove(struct sim_inode *inode, uint32_t i)
{
    versions_free(inode->dirty[i].older);
    inode->blocks[inode->dirty[i].block].dirty = 0;
    inode->dirty_count--;
    if (i != inode->dirty_count) {
        inode->dirty[i] = inode->dirty[inode->dirty_count];
        inode->blocks[inode->dirty[i].block].dirty = i + 1;
    }
}

/* ---- Blocks ---- */

static void block_claim(struct sim_inode *inode, uint32_t block)
{
    if (inode->blocks[block].allocated)
        return;
    inode->blocks[block].allocated = true;
    inode->allocated_blocks++;
    if (inode->accounted)
        inode->mount->used_blocks++;
}

static void block_release(struct sim_inode *inode, uint32_t block)
{
    if (!block_is_blank(inode, block))
        memset(block_bytes(inode, block), 0, SIM_BLOCK_BYTES);
    inode->blocks[block].allocated = inode->blocks[block].written = false;
    inode->allocated_blocks--;
    if (inode->accounted)
        inode->mount->used_blocks--;
}

/* Blocks [from, to) become holes. Their pages go back at once where there are many. */
static void blocks_drop(struct sim_inode *inode, uint32_t from, uint32_t to, uint64_t seq)
{
    if (to > inode->blocks_cap)
        to = inode->blocks_cap;
    for (uint32_t block = from; block < to; block++) {
        if (!inode->blocks[block].allocated)
            continue;
        if (seq != 0)
            block_dirty(inode, block, seq);
        block_release(inode, block);
    }
}

size_t sim_data_read(const struct sim_inode *inode, void *buf, size_t len, uint64_t offset)
{
    if (offset >= inode->size)
        return 0;
    if (len > inode->size - offset)
        len = (size_t)(inode->size - offset);
    for (size_t done = 0; done < len; ) {
        uint64_t at = offset + done;
        size_t part = SIM_BLOCK_BYTES - (size_t)(at % SIM_BLOCK_BYTES);

        if (part > len - done)
            part = len - done;
        /* Without touching their pages. */
        if (inode->data == NULL || block_is_blank(inode, (uint32_t)(at / SIM_BLOCK_BYTES)))
            memset((uint8_t *)buf + done, 0, part);
        else
            memcpy((uint8_t *)buf + done, inode->data + at, part);
        done += part;
    }
    return len;
}

/* Bytes written, fewer when space ends; -ENOSPC when there is none at all. */
ssize_t sim_data_write(struct sim_inode *inode, const void *buf, size_t len, uint64_t offset)
{
    uint64_t seq = ++sim_host.seq;
    size_t done = 0;

    if (offset > SIM_FILE_BYTES_MAX || len > SIM_FILE_BYTES_MAX - offset)
        return -EFBIG;
    if (len > 0)
        sim_data_map(inode);
    while (done < len) {
        uint64_t at = offset + done;
        uint32_t block = (uint32_t)(at / SIM_BLOCK_BYTES);
        size_t part = SIM_BLOCK_BYTES - (size_t)(at % SIM_BLOCK_BYTES);

        inode->blocks = sim_grow(inode->blocks, &inode->blocks_cap, sizeof(*inode->blocks),
                                 block + 1);
        if (!inode->blocks[block].allocated &&
            inode->mount->used_blocks >= inode->mount->capacity_blocks) {
            if (done == 0)
                return -ENOSPC;
            break;
        }
        if (part > len - done)
            part = len - done;
        block_dirty(inode, block, seq);
        block_claim(inode, block);
        inode->blocks[block].written = true;
        memcpy(inode->data + at, (const uint8_t *)buf + done, part);
        done += part;
    }
    if (done > 0 && offset + done > inode->size)
        inode->size = offset + done;
    return (ssize_t)done;
}

int sim_data_truncate(struct sim_inode *inode, uint64_t size)
{
    uint64_t seq = ++sim_host.seq;

    if (size > SIM_FILE_BYTES_MAX)
        return -EFBIG;
    if (size < inode->size) {
        uint32_t keep = blocks_of(size);
        size_t tail = (size_t)(size % SIM_BLOCK_BYTES);

        blocks_drop(inode, keep, blocks_of(inode->size), seq);
        if (tail != 0 && keep - 1 < inode->blocks_cap && inode->blocks[keep - 1].allocated) {
            block_dirty(inode, keep - 1, seq);
            memset(inode->data + size, 0, SIM_BLOCK_BYTES - tail);
        }
    }
    inode->size = size;
    sim_guards_check(inode, false);
    return 0;
}

int sim_data_allocate(struct sim_inode *inode, uint64_t offset, uint64_t len)
{
    uint32_t from = (uint32_t)(offset / SIM_BLOCK_BYTES), to, missing = 0;

    if (len == 0)
        return -EINVAL;
    if (offset > SIM_FILE_BYTES_MAX || len > SIM_FILE_BYTES_MAX - offset)
        return -EFBIG;
    to = blocks_of(offset + len);
    inode->blocks = sim_grow(inode->blocks, &inode->blocks_cap, sizeof(*inode->blocks), to);
    for (uint32_t block = from; block < to; block++)
        missing += !inode->blocks[block].allocated;
    if (inode->mount->used_blocks + missing > inode->mount->capacity_blocks)
        return -ENOSPC;                 /* all or nothing, as fallocate does it */
    sim_data_map(inode);
    for (uint32_t block = from; block < to; block++)
        block_claim(inode, block);
    if (offset + len > inode->size)
        inode->size = offset + len;
    return 0;
}

void sim_data_punch(struct sim_inode *inode, uint64_t offset, uint64_t len)
{
    blocks_drop(inode, blocks_of(offset), (uint32_t)((offset + len) / SIM_BLOCK_BYTES),
                ++sim_host.seq);
}

/* ---- Directories ---- */

void sim_change_add(struct sim_inode *dir, const char *name, struct sim_inode *before,
                    struct sim_inode *after, uint64_t group)
{
    dir->changes = sim_grow(dir->changes, &dir->changes_cap, sizeof(*dir->changes),
                            dir->changes_count + 1);
    dir->changes[dir->changes_count++] = (struct sim_change){
        .before = before, .after = after, .seq = ++sim_host.seq, .group = group,
        .name = sim_strdup(name),
    };
    if (before != NULL)
        sim_inode_ref(before);
    if (after != NULL)
        sim_inode_ref(after);
}

static void change_free(struct sim_change *change)
{
    sim_inode_unref(change->before);
    sim_inode_unref(change->after);
    free(change->name);
}

/* What is marked is on the disk now, and so is that no older change of its name is. */
static void changes_cover(const struct sim_inode *dir, bool *drop)
{
    const struct sim_change *changes = dir->changes;
    uint32_t last = 0;

    for (uint32_t i = 0; i < dir->changes_count; i++)
        last = drop[i] ? i : last;
    for (uint32_t i = 0; i < last; i++) {
        for (uint32_t k = i + 1; k <= last && !drop[i]; k++)
            drop[i] = drop[k] && strcmp(changes[k].name, changes[i].name) == 0;
    }
}

static void changes_drop(struct sim_inode *dir, const bool *drop)
{
    struct sim_change *changes = dir->changes;
    uint32_t kept = 0, count = dir->changes_count;

    for (uint32_t i = 0; i < count; i++) {
        if (!drop[i]) {
            changes[kept++] = changes[i];
            continue;
        }
        change_free(&changes[i]);
    }
    dir->changes_count = kept;
}

/* One answer for all directories that the group has changed. */
static bool group_kept(uint64_t group, unsigned keep_permille)
{
    uint64_t state = sim_host.cut_salt ^ group;

    return sim_random_next(&state) % 1000 < keep_permille;
}

/* What a sync lets go of may be the last of an inode: the present one is held. */
static void group_sync_elsewhere(const struct sim_inode *dir, uint64_t group)
{
    for (struct sim_inode *inode = sim_host.dirs, *next; inode != NULL; inode = next) {
        next = inode->dir_next;
        if (inode == dir || inode->changes_count == 0)
            continue;
        sim_inode_ref(inode);
        sim_sync_group(inode, group);
        next = inode->dir_next;
        sim_inode_unref(inode);
    }
}

/*
 * What is marked goes to the disk, and where file systems keep a journal the other halves of its
 * renames go with it.
 */
static void changes_settle(struct sim_inode *dir, bool *drop)
{
    uint64_t *groups = sim_alloc(dir->changes_count * sizeof(*groups));
    uint32_t count = 0;

    changes_cover(dir, drop);
    for (uint32_t i = 0; sim_host.journal && i < dir->changes_count; i++)
        if (drop[i])
            groups[count++] = dir->changes[i].group;
    changes_drop(dir, drop);
    for (uint32_t i = 0; i < count; i++)
        group_sync_elsewhere(dir, groups[i]);
    free(groups);
}

/* What a failed sync covered stays in doubt; everything else up to seq is on the disk. */
static void changes_sync(struct sim_inode *dir, uint64_t seq)
{
    bool *drop;

    if (dir->changes_count == 0)
        return;
    drop = sim_alloc(dir->changes_count);
    for (uint32_t i = 0; i < dir->changes_count; i++)
        drop[i] = dir->changes[i].seq <= seq && !dir->changes[i].doomed;
    changes_settle(dir, drop);
    free(drop);
}

void sim_sync_group(struct sim_inode *dir, uint64_t group)
{
    bool *drop;

    if (dir->changes_count == 0)
        return;
    drop = sim_alloc(dir->changes_count);
    for (uint32_t i = 0; i < dir->changes_count; i++)
        drop[i] = dir->changes[i].group == group;
    changes_settle(dir, drop);
    free(drop);
}

/* Back to the disk's entries, then forward again with the changes that chance lets through. */
static void changes_cut(struct sim_inode *dir, unsigned keep_permille)
{
    uint32_t count = dir->changes_count;
    uint64_t group = 0;
    bool keep = false;

    for (uint32_t i = count; i-- > 0; )
        sim_entry_set(dir, dir->changes[i].name, dir->changes[i].before);
    for (uint32_t i = 0; i < count; i++) {
        if (sim_host.journal)
            keep = group_kept(dir->changes[i].group, keep_permille);
        else if (i == 0 || dir->changes[i].group != group)
            keep = sim_chance(keep_permille);
        group = dir->changes[i].group;
        if (keep)
            sim_entry_set(dir, dir->changes[i].name, dir->changes[i].after);
    }
    for (uint32_t i = 0; i < count; i++)
        change_free(&dir->changes[i]);
    dir->changes_count = 0;
}

/* ---- Sync and power cut ---- */

void sim_sync_begin(struct sim_inode *inode, uint64_t *ret_seq, uint64_t *ret_size)
{
    inode->syncs++;
    inode->sync_seq = sim_host.seq;
    *ret_seq = sim_host.seq;
    *ret_size = inode->size;
}

void sim_sync_end(struct sim_inode *inode, uint64_t seq, uint64_t size, int rc)
{
    inode->syncs--;
    if (rc == -ECANCELED)               /* never happened */
        return;
    if (rc == 0) {
        inode->durable_size = size;
        inode->synced_seq = seq > inode->synced_seq ? seq : inode->synced_seq;
        changes_sync(inode, seq);
    }
    for (uint32_t i = 0; i < inode->changes_count && rc < 0 && !sim_host.journal; i++)
        inode->changes[i].doomed |= inode->changes[i].seq <= seq;
    for (uint32_t i = inode->dirty_count; i-- > 0; ) {
        struct sim_dirty *dirty = &inode->dirty[i];
        struct sim_version *version = dirty->older;

        if (rc < 0) {
            dirty->doomed |= dirty->seq <= seq;
        } else if (dirty->seq <= seq) {
            if (!dirty->doomed)
                dirty_remove(inode, i);
        } else {
            while (version->seq > seq)
                version = version->older;
            versions_free(version->older);
            version->older = NULL;
            version->seq = 0;
        }
    }
}

void sim_sync_now(struct sim_inode *inode)
{
    for (uint32_t i = 0; i < inode->dirty_count; i++)
        inode->dirty[i].doomed = false;
    for (uint32_t i = 0; i < inode->changes_count; i++)
        inode->changes[i].doomed = false;
    inode->syncs++;
    sim_sync_end(inode, sim_host.seq, inode->size, 0);
}

static void block_cut(struct sim_inode *inode, const struct sim_dirty *dirty,
                      unsigned keep_permille)
{
    const struct sim_version *version = dirty->older;
    uint8_t *bytes;
    bool torn;

    if (sim_chance(keep_permille))
        return;
    while (version->older != NULL && sim_below(2) == 0)
        version = version->older;
    torn = keep_permille > 0 && sim_below(4) == 0;
    if (version->zero && !torn) {
        if (inode->blocks[dirty->block].allocated)
            block_release(inode, dirty->block);
        if (version->reserved)
            block_claim(inode, dirty->block);
        return;
    }
    block_claim(inode, dirty->block);
    inode->blocks[dirty->block].written = true;
    bytes = block_bytes(inode, dirty->block);
    for (size_t at = 0; at < SIM_BLOCK_BYTES; at += SIM_SECTOR_BYTES) {
        if (torn && sim_below(2) == 0)
            continue;
        if (version->zero)
            memset(bytes + at, 0, SIM_SECTOR_BYTES);
        else
            memcpy(bytes + at, version->bytes + at, SIM_SECTOR_BYTES);
    }
}

void sim_cut_inode(struct sim_inode *inode, unsigned keep_permille)
{
    if (S_ISDIR(inode->mode)) {
        changes_cut(inode, keep_permille);
        return;
    }
    if (inode->size != inode->durable_size && !sim_chance(keep_permille))
        inode->size = inode->durable_size;
    for (uint32_t i = inode->dirty_count; i-- > 0; ) {
        block_cut(inode, &inode->dirty[i], keep_permille);
        dirty_remove(inode, i);
    }
    blocks_drop(inode, blocks_of(inode->size), inode->blocks_cap, 0);
    if (inode->size % SIM_BLOCK_BYTES != 0 && inode->data != NULL)
        memset(inode->data + inode->size, 0,
               SIM_BLOCK_BYTES - (size_t)(inode->size % SIM_BLOCK_BYTES));
    inode->durable_size = inode->size;
}

void sim_data_free(struct sim_inode *inode)
{
    while (inode->dirty_count > 0)
        dirty_remove(inode, inode->dirty_count - 1);
    for (uint32_t i = 0; i < inode->changes_count; i++)
        change_free(&inode->changes[i]);
    free(inode->changes);
    free(inode->dirty);
    free(inode->blocks);
    if (inode->data != NULL)
        munmap(inode->data, SIM_FILE_BYTES_MAX);
}
