/*
 * sim_fs: inodes, directories and paths of the simulated host.
 *
 * An entry change is logged in its directory until that is synced (sim_data.c), unless on tmpfs.
 *
 * Owns:   inodes, by reference count.
 * Thread: one.
 * Units:  blocks of SIM_BLOCK_BYTES.
 */
#include "support/sim_host.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { SYMLINKS_MAX = 8, BUCKETS_MIN = 8 };

struct sim_inode *sim_inode_new(struct sim_mount *mount, uint32_t mode)
{
    struct sim_inode *inode = sim_alloc(sizeof(*inode));

    inode->ino = sim_host.ino_next++;
    inode->mount = mount;
    inode->mode = mode;
    inode->accounted = true;
    inode->all_next = sim_host.inodes;
    if (inode->all_next != NULL)
        inode->all_next->all_prev = inode;
    sim_host.inodes = inode;
    if (S_ISDIR(mode)) {
        inode->dir_next = sim_host.dirs;
        if (inode->dir_next != NULL)
            inode->dir_next->dir_prev = inode;
        sim_host.dirs = inode;
    }
    return inode;
}

void sim_inode_ref(struct sim_inode *inode)
{
    inode->refs++;
}

void sim_inode_unref(struct sim_inode *inode)
{
    if (inode == NULL || --inode->refs > 0)
        return;
    sim_entries_drop(inode);
    if (inode->accounted)
        inode->mount->used_blocks -= inode->allocated_blocks;
    sim_data_free(inode);
    if (inode->all_next != NULL)
        inode->all_next->all_prev = inode->all_prev;
    if (inode->all_prev != NULL)
        inode->all_prev->all_next = inode->all_next;
    else
        sim_host.inodes = inode->all_next;
    if (inode->dir_next != NULL)
        inode->dir_next->dir_prev = inode->dir_prev;
    if (inode->dir_prev != NULL)
        inode->dir_prev->dir_next = inode->dir_next;
    else if (sim_host.dirs == inode)
        sim_host.dirs = inode->dir_next;
    free(inode->buckets);
    free(inode->name);
    free(inode->target);
    free(inode);
}

/* Space is free again when no name and no description is left, though we may keep the bytes. */
void sim_inode_settle(struct sim_inode *inode)
{
    bool live = inode->nlink > 0 || inode->opens > 0;

    if (live == inode->accounted)
        return;
    inode->accounted = live;
    if (live)
        inode->mount->used_blocks += inode->allocated_blocks;
    else
        inode->mount->used_blocks -= inode->allocated_blocks;
}

struct sim_inode *sim_root(void)
{
    if (sim_host.mounts == NULL)
        sim_die("sim_reset() comes first");
    return sim_host.mounts->root;
}

static uint64_t name_hash(const char *name)
{
    uint64_t hash = 0xcbf29ce484222325ULL;

    for (; *name != '\0'; name++)
        hash = (hash ^ (uint8_t)*name) * 0x100000001b3ULL;
    return hash ^ (hash >> 29);
}

static struct sim_entry **entry_find(const struct sim_inode *dir, const char *name, uint64_t hash)
{
    struct sim_entry **at;

    if (dir->buckets_count == 0)
        return NULL;
    at = &dir->buckets[hash & (dir->buckets_count - 1)];
    while (*at != NULL && ((*at)->hash != hash || strcmp((*at)->name, name) != 0))
        at = &(*at)->next;
    return at;
}

struct sim_inode *sim_lookup(const struct sim_inode *dir, const char *name)
{
    struct sim_entry **at = entry_find(dir, name, name_hash(name));

    return at != NULL && *at != NULL ? (*at)->inode : NULL;
}

static void buckets_grow(struct sim_inode *dir)
{
    uint32_t count = dir->buckets_count == 0 ? BUCKETS_MIN : 2 * dir->buckets_count;
    struct sim_entry **buckets = sim_alloc(count * sizeof(struct sim_entry *));

    for (uint32_t i = 0; i < dir->buckets_count; i++) {
        struct sim_entry *entry = dir->buckets[i];

        while (entry != NULL) {
            struct sim_entry *next = entry->next, **at = &buckets[entry->hash & (count - 1)];

            entry->next = *at;
            *at = entry;
            entry = next;
        }
    }
    free(dir->buckets);
    dir->buckets = buckets;
    dir->buckets_count = count;
}

static void inode_unlinked(struct sim_inode *inode)
{
    inode->nlink--;
    sim_inode_settle(inode);
    sim_inode_unref(inode);
}

/* Makes name mean inode (NULL: nothing), without a word to anybody. */
void sim_entry_set(struct sim_inode *dir, const char *name, struct sim_inode *inode)
{
    uint64_t hash = name_hash(name);
    struct sim_entry **at, *entry;

    if (dir->entries_count >= dir->buckets_count)
        buckets_grow(dir);
    at = entry_find(dir, name, hash);
    entry = *at;
    if (inode != NULL) {
        sim_inode_ref(inode);
        inode->nlink++;
        sim_inode_settle(inode);
        inode->parent_ino = dir->ino;
        free(inode->name);
        inode->name = sim_strdup(name);
    }
    if (entry != NULL) {
        struct sim_inode *before = entry->inode;

        if (inode != NULL) {
            entry->inode = inode;
        } else {
            *at = entry->next;
            free(entry);
            dir->entries_count--;
        }
        inode_unlinked(before);
    } else if (inode != NULL) {
        size_t bytes = strlen(name) + 1;

        entry = sim_alloc(sizeof(*entry) + bytes);
        memcpy(entry->name, name, bytes);
        entry->hash = hash;
        entry->inode = inode;
        *at = entry;
        dir->entries_count++;
    }
}

void sim_entries_drop(struct sim_inode *dir)
{
    for (uint32_t i = 0; i < dir->buckets_count; i++) {
        while (dir->buckets[i] != NULL) {
            struct sim_entry *entry = dir->buckets[i];
            struct sim_inode *inode = entry->inode;

            dir->buckets[i] = entry->next;
            free(entry);
            dir->entries_count--;
            inode_unlinked(inode);
        }
    }
}

/* The same with a log entry, as the agent and strangers do it. */
static void entry_change(struct sim_inode *dir, const char *name, struct sim_inode *inode)
{
    if (!dir->mount->tmpfs)
        sim_change_add(dir, name, sim_lookup(dir, name), inode, sim_host.group);
    sim_entry_set(dir, name, inode);
}

static int resolve(struct sim_inode *at, const char *path, bool follow, int depth,
                   struct sim_where *ret_where);

static int follow_link(struct sim_inode *dir, struct sim_inode *link, int depth,
                       struct sim_where *ret_where)
{
    if (depth >= SYMLINKS_MAX)
        return -ELOOP;
    return resolve(dir, link->target, true, depth + 1, ret_where);
}

/* One component; `last` allows it to be missing. Enters mounted file systems. */
static int step(struct sim_inode **dir, struct sim_where *where, bool last, bool follow, int depth)
{
    struct sim_inode *inode = sim_lookup(*dir, where->name);

    where->dir = *dir;
    if (inode != NULL && S_ISLNK(inode->mode) && (!last || follow)) {
        int rc = follow_link(*dir, inode, depth, where);

        if (rc != 0)
            return rc;
        inode = where->inode;
    }
    if (inode == NULL && !last)
        return -ENOENT;
    if (inode != NULL && inode->covered != NULL)
        inode = inode->covered->root;
    where->inode = inode;
    *dir = inode;
    return 0;
}

static int resolve(struct sim_inode *at, const char *path, bool follow, int depth,
                   struct sim_where *ret_where)
{
    struct sim_inode *dir = path[0] == '/' ? sim_root() : at;

    if (path[0] == '\0')
        return -ENOENT;
    ret_where->dir = NULL;
    ret_where->inode = dir;
    ret_where->name[0] = '\0';
    for (;;) {
        size_t len;
        int rc;

        path += strspn(path, "/");
        if (*path == '\0')
            return 0;
        len = strcspn(path, "/");
        if (!S_ISDIR(dir->mode))
            return -ENOTDIR;
        if (len > SIM_NAME_MAX)
            return -ENAMETOOLONG;
        if (len == 2 && path[0] == '.' && path[1] == '.')
            sim_die("\"..\" is not simulated");
        if (len != 1 || path[0] != '.') {
            memcpy(ret_where->name, path, len);
            ret_where->name[len] = '\0';
            rc = step(&dir, ret_where, path[len + strspn(path + len, "/")] == '\0', follow, depth);
            if (rc != 0)
                return rc;
            if (dir == NULL)
                return 0;
        }
        path += len;
    }
}

int sim_resolve(struct sim_inode *at, const char *path, bool follow, struct sim_where *ret_where)
{
    return resolve(at, path, follow, 0, ret_where);
}

int sim_create(const struct sim_where *where, uint32_t mode, struct sim_inode **ret_inode)
{
    struct sim_inode *inode;

    if (where->dir == NULL || where->inode != NULL)
        return -EEXIST;
    if (where->dir->nlink == 0)
        return -ENOENT;
    inode = sim_inode_new(where->dir->mount, mode);
    if (where->dir->mode & S_ISGID) {
        inode->gid = where->dir->gid;
        if (S_ISDIR(mode))
            inode->mode |= S_ISGID;
    }
    sim_host.group++;
    sim_inode_ref(inode);
    entry_change(where->dir, where->name, inode);
    sim_inode_unref(inode);
    sim_notify(where->dir->ino, FILE_EVENT_ADDED, where->name);
    *ret_inode = inode;
    return 0;
}

/* Both directories and what from names, for a link or rename; the last components never follow. */
static int resolve_pair(struct sim_inode *from_dir, const char *from, struct sim_inode *to_dir,
                        const char *to, struct sim_where *ret_from, struct sim_where *ret_to)
{
    int rc = sim_resolve(from_dir, from, false, ret_from);

    if (rc == 0)
        rc = sim_resolve(to_dir, to, false, ret_to);
    if (rc != 0)
        return rc;
    if (ret_from->inode == NULL)
        return -ENOENT;
    if (ret_from->dir == NULL || ret_to->dir == NULL)
        return -EBUSY;
    if (ret_to->dir->nlink == 0)
        return -ENOENT;
    return ret_from->inode->mount == ret_to->dir->mount ? 0 : -EXDEV;
}

int sim_fs_rename(struct sim_inode *from_dir, const char *from, struct sim_inode *to_dir,
                  const char *to, bool replace)
{
    struct sim_where a, b;
    struct sim_inode *inode;
    int rc = resolve_pair(from_dir, from, to_dir, to, &a, &b);

    if (rc != 0)
        return rc;
    inode = a.inode;
    if (b.inode != NULL && !replace)
        return -EEXIST;
    if (!replace && a.dir->mount->no_noreplace)
        return -EINVAL;
    if (b.inode == inode)
        return 0;                       /* two links of one inode: POSIX has it do nothing */
    if (b.inode != NULL && S_ISDIR(b.inode->mode))
        return S_ISDIR(inode->mode) ? -ENOTEMPTY : -EISDIR;
    if (b.inode != NULL && S_ISDIR(inode->mode))
        return -ENOTDIR;
    sim_host.group++;
    sim_inode_ref(inode);
    entry_change(a.dir, a.name, NULL);
    entry_change(b.dir, b.name, inode);
    sim_inode_unref(inode);
    sim_notify(a.dir->ino, FILE_EVENT_REMOVED, a.name);
    sim_notify(b.dir->ino, FILE_EVENT_ADDED, b.name);
    a.inode = inode;
    sim_see_name(SIM_RENAME, &a, &b);
    return 0;
}

int sim_fs_link(struct sim_inode *from_dir, const char *from, struct sim_inode *to_dir,
                const char *to)
{
    struct sim_where a, b;
    int rc = resolve_pair(from_dir, from, to_dir, to, &a, &b);

    if (rc != 0)
        return rc;
    if (S_ISDIR(a.inode->mode) || a.dir->mount->no_links)
        return -EPERM;
    if (b.inode != NULL)
        return -EEXIST;
    sim_host.group++;
    entry_change(b.dir, b.name, a.inode);
    sim_notify(b.dir->ino, FILE_EVENT_ADDED, b.name);
    sim_see_name(SIM_LINK, &a, &b);
    return 0;
}

int sim_fs_unlink(struct sim_inode *at, const char *path)
{
    struct sim_where where;
    int rc = sim_resolve(at, path, false, &where);

    if (rc != 0)
        return rc;
    if (where.inode == NULL)
        return -ENOENT;
    if (where.dir == NULL || S_ISDIR(where.inode->mode))
        return -EISDIR;
    sim_host.group++;
    sim_inode_ref(where.inode);
    entry_change(where.dir, where.name, NULL);
    sim_notify(where.dir->ino, FILE_EVENT_REMOVED, where.name);
    sim_see_name(SIM_UNLINK, &where, NULL);
    sim_inode_unref(where.inode);
    return 0;
}

int sim_fs_rmdir(struct sim_inode *at, const char *path)
{
    struct sim_where where;
    int rc = sim_resolve(at, path, false, &where);

    if (rc != 0)
        return rc;
    if (where.inode == NULL)
        return -ENOENT;
    if (!S_ISDIR(where.inode->mode))
        return -ENOTDIR;
    if (where.dir == NULL || where.inode->mount != where.dir->mount)
        return -EBUSY;
    if (where.inode->entries_count > 0)
        return -ENOTEMPTY;
    sim_host.group++;
    entry_change(where.dir, where.name, NULL);
    sim_notify(where.dir->ino, FILE_EVENT_REMOVED, where.name);
    return 0;
}
