/*
 * sim_file: file.h over the simulated host: opening, metadata, contents, names, locks.
 *
 * Every call is one operation: counted, failed and crashed at by sim_enter() and sim_leave().
 *
 * Owns:   nothing.
 * Thread: one.
 * Units:  bytes; errors are -errno.
 */
#include "support/sim_host.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* The directory that a relative path starts from. */
static int start_dir(int dir, struct sim_inode **ret_inode)
{
    struct sim_file *file;

    if (dir == FILE_CWD) {
        *ret_inode = sim_root();
        return 0;
    }
    file = sim_fd_file(dir);
    if (file == NULL || file->kind != SIM_FILE)
        return -EBADF;
    if (!S_ISDIR(file->inode->mode))
        return -ENOTDIR;
    *ret_inode = file->inode;
    return 0;
}

static int resolve_at(int dir, const char *path, bool follow, struct sim_where *ret_where)
{
    struct sim_inode *at;
    int rc = path[0] == '/' ? 0 : start_dir(dir, &at);

    return rc != 0 ? rc : sim_resolve(path[0] == '/' ? sim_root() : at, path, follow, ret_where);
}

/* An open plain file or directory, and whether it may be written to. */
static int plain_file(int fd, bool write, struct sim_file **ret_file)
{
    struct sim_file *file = sim_fd_file(fd);

    if (file == NULL || file->kind != SIM_FILE)
        return -EBADF;
    if (write && (file->flags & O_ACCMODE) == O_RDONLY)
        return -EBADF;
    *ret_file = file;
    return 0;
}

static int open_inode(struct sim_inode *inode, int flags)
{
    bool writes = (flags & O_ACCMODE) != O_RDONLY;

    if (S_ISDIR(inode->mode) && writes)
        return -EISDIR;
    if (!S_ISDIR(inode->mode) && (flags & O_DIRECTORY))
        return -ENOTDIR;
    if (S_ISSOCK(inode->mode))
        return -ENXIO;
    if ((flags & O_TRUNC) && writes && S_ISREG(inode->mode))
        sim_data_truncate(inode, 0);
    return sim_fd_new(sim_file_new(SIM_FILE, inode, flags));
}

static int open_at(int dir, const char *path, int flags, mode_t mode)
{
    bool exclusive = (flags & O_CREAT) && (flags & O_EXCL);
    struct sim_where where;
    int rc = resolve_at(dir, path, !exclusive && !(flags & O_NOFOLLOW), &where);

    if (rc != 0)
        return rc;
    if (where.inode != NULL && exclusive)
        return -EEXIST;
    if (where.inode != NULL && S_ISLNK(where.inode->mode))
        return -ELOOP;
    if (where.inode == NULL) {
        if (!(flags & O_CREAT))
            return -ENOENT;
        rc = sim_create(&where, S_IFREG | (mode & 07777), &where.inode);
        if (rc != 0)
            return rc;
    }
    return open_inode(where.inode, flags);
}

int file_open(int dir, const char *path, int flags, mode_t mode)
{
    int rc = sim_enter(SIM_OPEN);

    return sim_leave(rc != 0 ? rc : open_at(dir, path, flags, mode));
}

int file_open_direct(int dir, const char *path, int flags, mode_t mode, bool *ret_direct)
{
    int rc = sim_enter(SIM_OPEN);

    if (rc == 0)
        rc = open_at(dir, path, flags, mode);
    if (rc >= 0) {
        struct sim_file *file = sim_fd_file(rc);

        file->direct = !file->inode->mount->tmpfs && !sim_host.direct_refused;
        *ret_direct = file->direct;
    }
    return sim_leave(rc);
}

/* openat2's refusals: outside, through a symlink, onto another mount, not a plain file. */
static int open_beneath(int dir, const char *name)
{
    struct sim_inode *at;
    struct sim_where where;
    char part[SIM_NAME_MAX + 1];
    int rc = start_dir(dir, &at);

    if (rc != 0)
        return rc;
    if (name[0] == '/' || strcmp(name, "..") == 0 || strncmp(name, "../", 3) == 0)
        return -EXDEV;
    for (struct sim_inode *inode = at; ; at = inode) {
        size_t len = strcspn(name, "/");

        if (len == 0 || len > SIM_NAME_MAX)
            return len == 0 ? -ENOENT : -ENAMETOOLONG;
        memcpy(part, name, len);
        part[len] = '\0';
        rc = sim_resolve(at, part, false, &where);
        if (rc != 0)
            return rc;
        inode = where.inode;
        if (inode == NULL)
            return -ENOENT;
        if (S_ISLNK(inode->mode))
            return -ELOOP;
        if (inode->mount != at->mount)
            return -EXDEV;
        if (name[len] == '\0')
            return S_ISREG(inode->mode) ? open_inode(inode, O_RDWR) : -ENXIO;
        if (!S_ISDIR(inode->mode))
            return -ENOTDIR;
        name += len + 1;
    }
}

int file_open_beneath(int dir, const char *name)
{
    int rc = sim_enter(SIM_OPEN);

    return sim_leave(rc != 0 ? rc : open_beneath(dir, name));
}

static void stat_fill(const struct sim_inode *inode, struct file_stat *ret_stat)
{
    *ret_stat = (struct file_stat){
        .dev = inode->mount->dev, .ino = inode->ino, .size_bytes = inode->size,
        .allocated_bytes = inode->allocated_blocks * SIM_BLOCK_BYTES,
        .mode = inode->mode, .uid = inode->uid, .gid = inode->gid, .nlink = inode->nlink,
    };
}

int file_stat(int fd, struct file_stat *ret_stat)
{
    struct sim_file *file = sim_fd_file(fd);
    int rc = sim_enter(SIM_STAT);

    if (rc == 0 && file == NULL)
        rc = -EBADF;
    if (rc == 0)
        stat_fill(file->inode, ret_stat);
    return sim_leave(rc);
}

int file_stat_at(int dir, const char *name, struct file_stat *ret_stat)
{
    struct sim_where where;
    int rc = sim_enter(SIM_STAT);

    if (rc == 0)
        rc = resolve_at(dir, name, false, &where);
    if (rc == 0 && where.inode == NULL)
        rc = -ENOENT;
    if (rc == 0)
        stat_fill(where.inode, ret_stat);
    return sim_leave(rc);
}

int file_fs(int fd, struct file_fs *ret_fs)
{
    struct sim_file *file = sim_fd_file(fd);
    int rc = sim_enter(SIM_STAT);

    if (rc == 0 && file == NULL)
        rc = -EBADF;
    if (rc == 0) {
        const struct sim_mount *mount = file->inode->mount;
        uint64_t free_blocks = mount->used_blocks < mount->capacity_blocks
                                   ? mount->capacity_blocks - mount->used_blocks : 0;

        ret_fs->tmpfs = mount->tmpfs;
        ret_fs->total_bytes = mount->capacity_blocks * SIM_BLOCK_BYTES;
        ret_fs->free_bytes = free_blocks * SIM_BLOCK_BYTES;
    }
    return sim_leave(rc);
}

static bool is_misaligned(const struct sim_file *file, const void *buf, size_t len,
                          uint64_t offset)
{
    return file->direct &&
           ((uintptr_t)buf | len | offset) % SIM_BLOCK_BYTES != 0;
}

ssize_t file_read(int fd, void *buf, size_t len, uint64_t offset)
{
    struct sim_file *file = NULL;
    int rc = sim_enter(SIM_READ);
    ssize_t n = 0;

    if (rc == 0)
        rc = plain_file(fd, false, &file);
    if (rc == 0 && S_ISDIR(file->inode->mode))
        rc = -EISDIR;
    if (rc == 0 && is_misaligned(file, buf, len, offset))
        rc = -EINVAL;
    if (rc == 0)
        n = (ssize_t)sim_data_read(file->inode, buf, len, offset);
    rc = sim_leave(rc);
    return rc != 0 ? rc : n;
}

int file_write(int fd, const void *buf, size_t len, uint64_t offset)
{
    struct sim_file *file = NULL;
    int rc = sim_enter(SIM_WRITE);

    if (rc == 0)
        rc = plain_file(fd, true, &file);
    if (rc == 0 && is_misaligned(file, buf, len, offset))
        rc = -EINVAL;
    if (rc == 0) {
        ssize_t n;

        sim_see_write(file->inode, true, buf, len, offset);
        n = sim_data_write(file->inode, buf, len, offset);
        if (n > 0)
            sim_see_write(file->inode, false, buf, (size_t)n, offset);
        rc = n < 0 ? (int)n : (size_t)n < len ? -ENOSPC : 0;
    }
    return sim_leave(rc);
}

int file_truncate(int fd, uint64_t size_bytes)
{
    struct sim_file *file = NULL;
    int rc = sim_enter(SIM_TRUNCATE);

    if (rc == 0)
        rc = plain_file(fd, true, &file);
    if (rc == 0)
        rc = sim_data_truncate(file->inode, size_bytes);
    return sim_leave(rc);
}

int file_allocate(int fd, uint64_t offset, uint64_t len)
{
    struct sim_file *file = NULL;
    int rc = sim_enter(SIM_ALLOCATE);

    if (rc == 0)
        rc = plain_file(fd, true, &file);
    if (rc == 0)
        rc = sim_data_allocate(file->inode, offset, len);
    return sim_leave(rc);
}

int file_sync(int fd)
{
    struct sim_file *file = NULL;
    int rc = sim_enter(SIM_SYNC), bad = plain_file(fd, false, &file);

    if (bad == 0) {
        uint64_t seq, size;

        sim_sync_begin(file->inode, &seq, &size);
        sim_sync_end(file->inode, seq, size, rc);
        sim_see_sync(file->inode, seq, rc);
    }
    return sim_leave(rc != 0 ? rc : bad);
}

/* As root: the group and every bit of the mode are taken. */
int file_own(int fd, gid_t gid, mode_t mode)
{
    struct sim_file *file = NULL;
    int rc = sim_enter(SIM_STAT);

    if (rc == 0)
        rc = plain_file(fd, false, &file);
    if (rc == 0) {
        file->inode->gid = gid;
        file->inode->mode = (file->inode->mode & S_IFMT) | (mode & 07777);
    }
    return sim_leave(rc);
}

static int make_dir(int dir, const char *name, mode_t mode)
{
    struct sim_where where;
    struct sim_inode *inode;
    int rc = resolve_at(dir, name, true, &where);

    if (rc != 0)
        return rc;
    if (where.inode != NULL)
        return S_ISDIR(where.inode->mode) ? 0 : -ENOTDIR;
    return sim_create(&where, S_IFDIR | (mode & 07777), &inode);
}

int file_mkdir(int dir, const char *name, mode_t mode)
{
    int rc = sim_enter(SIM_MKDIR);

    return sim_leave(rc != 0 ? rc : make_dir(dir, name, mode));
}

int file_rmdir(int dir, const char *name)
{
    struct sim_inode *at = NULL;
    int rc = sim_enter(SIM_UNLINK);

    if (rc == 0)
        rc = start_dir(dir, &at);
    return sim_leave(rc != 0 ? rc : sim_fs_rmdir(at, name));
}

static int rename_at(int from_dir, const char *from, int to_dir, const char *to, bool replace)
{
    struct sim_inode *a = NULL, *b = NULL;
    int rc = sim_enter(SIM_RENAME);

    if (rc == 0)
        rc = start_dir(from_dir, &a);
    if (rc == 0)
        rc = start_dir(to_dir, &b);
    return sim_leave(rc != 0 ? rc : sim_fs_rename(a, from, b, to, replace));
}

int file_rename(int from_dir, const char *from, int to_dir, const char *to)
{
    return rename_at(from_dir, from, to_dir, to, false);
}

int file_replace(int from_dir, const char *from, int to_dir, const char *to)
{
    return rename_at(from_dir, from, to_dir, to, true);
}

int file_link(int from_dir, const char *from, int to_dir, const char *to)
{
    struct sim_inode *a = NULL, *b = NULL;
    int rc = sim_enter(SIM_LINK);

    if (rc == 0)
        rc = start_dir(from_dir, &a);
    if (rc == 0)
        rc = start_dir(to_dir, &b);
    return sim_leave(rc != 0 ? rc : sim_fs_link(a, from, b, to));
}

int file_unlink(int dir, const char *name)
{
    struct sim_inode *at = NULL;
    int rc = sim_enter(SIM_UNLINK);

    if (rc == 0)
        rc = start_dir(dir, &at);
    return sim_leave(rc != 0 ? rc : sim_fs_unlink(at, name));
}

struct file_listing {
    char **names;                       /* owned; as of the opening */
    uint32_t count, next;
};

int file_listing_open(int dir, struct file_listing **ret_listing)
{
    struct sim_inode *inode = NULL;
    struct file_listing *listing;
    int rc = sim_enter(SIM_LIST);

    *ret_listing = NULL;
    if (rc == 0)
        rc = start_dir(dir, &inode);
    rc = sim_leave(rc);
    if (rc != 0)
        return rc;
    /* A copy: visit may change the directory, and may crash, which loses this memory too. */
    listing = sim_alloc(sizeof(*listing));
    listing->names = sim_alloc((inode->entries_count + 1) * sizeof(char *));
    for (uint32_t b = 0; b < inode->buckets_count; b++) {
        for (const struct sim_entry *entry = inode->buckets[b]; entry; entry = entry->next)
            listing->names[listing->count++] = sim_strdup(entry->name);
    }
    *ret_listing = listing;
    return 0;
}

int file_listing_step(struct file_listing *listing, file_visit_fn visit, void *ctx)
{
    int rc = 0;

    while (rc == 0 && listing->next < listing->count)
        rc = visit(ctx, listing->names[listing->next++]);
    return rc;
}

void file_listing_close(struct file_listing *listing)
{
    if (listing == NULL)
        return;
    for (uint32_t i = 0; i < listing->count; i++)
        free(listing->names[i]);
    free(listing->names);
    free(listing);
}

int file_list(int dir, file_visit_fn visit, void *ctx)
{
    struct file_listing *listing;
    int rc = file_listing_open(dir, &listing);

    if (rc == 0)
        rc = file_listing_step(listing, visit, ctx);
    file_listing_close(listing);
    return rc;
}

int file_lock(int fd, bool wait)
{
    struct sim_file *file = sim_fd_file(fd);
    int rc = sim_enter(SIM_LOCK);

    if (rc == 0 && file == NULL)
        rc = -EBADF;
    if (rc == 0 && file->inode->locker != NULL && file->inode->locker != file) {
        if (wait)
            sim_land();                 /* what a dead process left under way ends in finite time */
        if (file->inode->locker != NULL)
            rc = -EWOULDBLOCK;
        if (rc != 0 && wait)
            sim_die("a lock is waited for that a living description holds");
    }
    if (rc == 0)
        file->inode->locker = file;
    return sim_leave(rc);
}

int file_lock_probe(int fd)
{
    struct sim_file *file = sim_fd_file(fd);
    int rc = sim_enter(SIM_LOCK);

    if (rc == 0 && file == NULL)
        rc = -EBADF;
    return sim_leave(rc != 0 ? rc : file->inode->mapped > 0);
}

void file_futex_wake(_Atomic uint32_t *word)
{
    (void)word;
    sim_host.futex_wakes++;
}

void file_random(void *buf, size_t len)
{
    uint8_t *p = buf;

    for (size_t i = 0; i < len; i++)
        p[i] = (uint8_t)(sim_random_next(&sim_host.agent_random) >> 56);
}

int file_boot_id(uint8_t ret_id[16])
{
    uint64_t state = sim_host.seed ^ (sim_host.boots << 32);

    for (size_t i = 0; i < 16; i++)
        ret_id[i] = (uint8_t)(sim_random_next(&state) >> 56);
    return 0;
}
