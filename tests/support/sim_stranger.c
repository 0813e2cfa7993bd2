/*
 * sim_stranger: what other processes do on the simulated host, and what a test looks at.
 *
 * No operation of the agent: nothing is counted, failed or crashed at. On a disk, changes are
 * synced at once, so that a power cut is about the agent's own.
 *
 * Owns:   nothing; results are the caller's.
 * Thread: one.
 * Units:  bytes; errors are -errno.
 */
#include "support/sim_host.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { WALK_PATH_BYTES = 1200 };

static int find(const char *path, bool follow, struct sim_where *ret_where)
{
    int rc = sim_resolve(sim_root(), path, follow, ret_where);

    if (rc != 0)
        return rc;
    return ret_where->inode != NULL ? 0 : -ENOENT;
}

static int find_file(const char *path, struct sim_inode **ret_inode)
{
    struct sim_where where;
    int rc = find(path, true, &where);

    if (rc != 0)
        return rc;
    if (S_ISDIR(where.inode->mode))
        return -EISDIR;
    *ret_inode = where.inode;
    return 0;
}

static int make(const char *path, uint32_t mode, struct sim_inode **ret_inode)
{
    struct sim_where where;
    int rc = sim_resolve(sim_root(), path, false, &where);

    if (rc == 0)
        rc = sim_create(&where, mode, ret_inode);
    if (rc == 0)
        sim_sync_group(where.dir, sim_host.group);
    return rc;
}

int sim_mkdir(const char *path)
{
    char part[4096];
    size_t len = strlen(path);

    if (len >= sizeof(part))
        return -ENAMETOOLONG;
    memcpy(part, path, len + 1);
    for (size_t i = 1; i <= len; i++) {
        struct sim_inode *inode;
        struct sim_where where;
        int rc;

        if ((part[i] != '/' && part[i] != '\0') || part[i - 1] == '/')
            continue;
        part[i] = '\0';
        rc = find(part, true, &where);
        if (rc == -ENOENT)
            rc = make(part, S_IFDIR | 0755, &inode);
        else if (rc == 0 && !S_ISDIR(where.inode->mode))
            rc = -ENOTDIR;
        if (rc != 0)
            return rc;
        part[i] = path[i];
    }
    return 0;
}

int sim_write_file(const char *path, const void *data, size_t len)
{
    struct sim_inode *inode;
    int rc = find_file(path, &inode);
    ssize_t n;

    if (rc == -ENOENT)
        rc = make(path, S_IFREG | 0644, &inode);
    if (rc != 0)
        return rc;
    sim_data_truncate(inode, 0);
    n = sim_data_write(inode, data, len, 0);
    sim_sync_now(inode);
    if (n < 0)
        return (int)n;
    return (size_t)n == len ? 0 : -ENOSPC;
}

int sim_read_file(const char *path, uint8_t **ret_data, size_t *ret_len)
{
    struct sim_inode *inode;
    int rc = find_file(path, &inode);

    if (rc != 0)
        return rc;
    *ret_len = (size_t)inode->size;
    *ret_data = sim_alloc(*ret_len + 1);
    sim_data_read(inode, *ret_data, *ret_len, 0);
    return 0;
}

int sim_poke(const char *path, uint64_t offset, const void *data, size_t len)
{
    struct sim_inode *inode;
    int rc = find_file(path, &inode);
    ssize_t n;

    if (rc != 0)
        return rc;
    n = sim_data_write(inode, data, len, offset);
    sim_sync_now(inode);
    if (n < 0)
        return (int)n;
    return (size_t)n == len ? 0 : -ENOSPC;
}

int sim_truncate(const char *path, uint64_t size_bytes)
{
    struct sim_inode *inode;
    int rc = find_file(path, &inode);

    if (rc == 0)
        rc = sim_data_truncate(inode, size_bytes);
    if (rc == 0)
        sim_sync_now(inode);
    return rc;
}

int sim_punch(const char *path, uint64_t offset, uint64_t len)
{
    struct sim_inode *inode;
    int rc = find_file(path, &inode);

    if (rc == 0) {
        sim_data_punch(inode, offset, len);
        sim_sync_now(inode);
    }
    return rc;
}

int sim_unlink(const char *path)
{
    struct sim_where where;
    int rc = find(path, false, &where);

    if (rc == 0)
        rc = sim_fs_unlink(sim_root(), path);
    if (rc == 0)
        sim_sync_group(where.dir, sim_host.group);
    return rc;
}

int sim_remove_tree(const char *path)
{
    char below[4096], **names;
    struct sim_where where;
    size_t count;
    int rc = sim_list(path, &names, &count);

    if (rc != 0)
        return rc;
    for (size_t i = 0; rc == 0 && i < count; i++) {
        snprintf(below, sizeof(below), "%s/%s", path, names[i]);
        rc = sim_unlink(below);
        if (rc == -EISDIR)
            rc = sim_remove_tree(below);
    }
    free(names);
    if (rc == 0)
        rc = find(path, false, &where);
    if (rc == 0 && where.dir == NULL)
        rc = -EBUSY;
    if (rc != 0)
        return rc;
    sim_host.group++;
    sim_change_add(where.dir, where.name, where.inode, NULL, sim_host.group);
    sim_entry_set(where.dir, where.name, NULL);
    sim_sync_group(where.dir, sim_host.group);
    sim_notify(where.dir->ino, FILE_EVENT_REMOVED, where.name);
    return 0;
}

int sim_rename(const char *from, const char *to)
{
    struct sim_where a, b;
    int rc = find(from, false, &a);

    if (rc == 0)
        rc = sim_resolve(sim_root(), to, false, &b);
    if (rc == 0)
        rc = sim_fs_rename(sim_root(), from, sim_root(), to, true);
    if (rc == 0) {
        sim_sync_group(a.dir, sim_host.group);
        sim_sync_group(b.dir, sim_host.group);
    }
    return rc;
}

int sim_symlink(const char *target, const char *path)
{
    struct sim_inode *inode;
    int rc = make(path, S_IFLNK | 0777, &inode);

    if (rc == 0) {
        inode->target = sim_strdup(target);
        inode->size = strlen(target);
    }
    return rc;
}

int sim_mknod(const char *path, uint32_t mode)
{
    struct sim_inode *inode;

    return make(path, mode, &inode);
}

int sim_chown(const char *path, uint32_t uid, uint32_t gid)
{
    struct sim_where where;
    int rc = find(path, false, &where);

    if (rc == 0) {
        where.inode->uid = uid;
        where.inode->gid = gid;
    }
    return rc;
}

uint64_t sim_ino(const char *path)
{
    struct sim_where where;

    return find(path, false, &where) == 0 ? where.inode->ino : 0;
}

uint64_t sim_synced_seq(const char *path)
{
    struct sim_where where;

    return find(path, false, &where) == 0 ? where.inode->synced_seq : 0;
}

bool sim_name_synced(const char *path)
{
    struct sim_where where;

    if (find(path, false, &where) != 0)
        return false;
    for (uint32_t i = 0; i < where.dir->changes_count; i++)
        if (strcmp(where.dir->changes[i].name, where.name) == 0)
            return false;
    return true;
}

bool sim_exists(const char *path)
{
    struct sim_where where;

    return find(path, false, &where) == 0;
}

static int compare_names(const void *a, const void *b)
{
    const char *const *x = a, *const *y = b;

    return strcmp(*x, *y);
}

int sim_list(const char *path, char ***ret_names, size_t *ret_count)
{
    struct sim_where where;
    size_t bytes = 0, count = 0;
    char **names, *text;
    int rc = find(path, true, &where);

    if (rc == 0 && !S_ISDIR(where.inode->mode))
        rc = -ENOTDIR;
    if (rc != 0)
        return rc;
    for (uint32_t i = 0; i < where.inode->buckets_count; i++) {
        for (const struct sim_entry *e = where.inode->buckets[i]; e != NULL; e = e->next)
            bytes += strlen(e->name) + 1;
    }
    names = sim_alloc((where.inode->entries_count + 1) * sizeof(char *) + bytes);
    text = (char *)(names + where.inode->entries_count + 1);
    for (uint32_t i = 0; i < where.inode->buckets_count; i++) {
        for (const struct sim_entry *e = where.inode->buckets[i]; e != NULL; e = e->next) {
            size_t len = strlen(e->name) + 1;

            names[count++] = memcpy(text, e->name, len);
            text += len;
        }
    }
    qsort(names, count, sizeof(char *), compare_names);
    *ret_names = names;
    *ret_count = count;
    return 0;
}

void sim_walk(const char *dir, sim_visit_fn visit, void *ctx)
{
    char **names, path[WALK_PATH_BYTES];
    size_t count;

    if (sim_list(dir, &names, &count) != 0)
        return;
    for (size_t i = 0; i < count; i++) {
        struct sim_where where;

        if (snprintf(path, sizeof(path), "%s/%s", dir, names[i]) >= (int)sizeof(path))
            sim_die("%s: the path is too long", path);
        if (find(path, true, &where) == 0 && S_ISDIR(where.inode->mode))
            sim_walk(path, visit, ctx);
        else
            visit(ctx, path);
    }
    free(names);
}

uint8_t *sim_bytes(const char *path)
{
    struct sim_inode *inode;

    if (find_file(path, &inode) != 0)
        sim_die("no file %s", path);
    sim_data_map(inode);
    inode->exposed = true;
    return inode->data;
}

int sim_map(const char *path, uint8_t **ret_bytes)
{
    struct sim_inode *inode;
    int rc = find_file(path, &inode);

    if (rc != 0)
        return rc;
    sim_data_map(inode);
    inode->exposed = true;
    sim_inode_ref(inode);
    inode->mapped++;
    *ret_bytes = inode->data;
    return 0;
}

void sim_unmap(const uint8_t *bytes)
{
    struct sim_inode *inode = sim_host.inodes;

    while (inode != NULL && (inode->mapped == 0 || inode->data != bytes))
        inode = inode->all_next;
    if (inode == NULL)
        sim_die("a file is unmapped, and not mapped");
    inode->mapped--;
    if (inode->nlink > 0)
        sim_notify(inode->parent_ino, FILE_EVENT_CLOSED, inode->name);
    sim_inode_unref(inode);
}

int sim_guard_fault(const char *path)
{
    struct sim_inode *inode;
    int rc = find_file(path, &inode);

    if (rc == 0)
        sim_guards_check(inode, true);
    return rc;
}

uint64_t sim_unsynced(const char *path)
{
    struct sim_where where;

    if (find(path, true, &where) != 0)
        sim_die("no %s", path);
    if (S_ISDIR(where.inode->mode))
        return where.inode->changes_count;
    return (uint64_t)where.inode->dirty_count * SIM_BLOCK_BYTES;
}
