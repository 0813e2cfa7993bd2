/*
 * sim_watch: descriptors of the simulated process, directory watches, bells and guards.
 *
 * Owns:   open file descriptions, by reference count: their descriptor and operations under way.
 * Thread: one.
 * Units:  guard ends in bytes of the file.
 */
#include "support/sim_host.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

enum { BELL_QUEUE_MAX = 10 };           /* net.unix.max_dgram_qlen */

/* ---- Descriptors ---- */

int sim_fd_new(struct sim_file *file)
{
    uint32_t i;

    if (sim_host.free_fds_count > 0) {
        i = (uint32_t)sim_host.free_fds[--sim_host.free_fds_count];
    } else {
        uint32_t cap = sim_host.fds_cap;

        sim_host.fds = sim_grow(sim_host.fds, &sim_host.fds_cap, sizeof(struct sim_file *),
                                sim_host.fds_used + 1);
        sim_host.free_fds = sim_grow(sim_host.free_fds, &cap, sizeof(int),
                                     sim_host.fds_used + 1);
        i = sim_host.fds_used++;
    }
    sim_host.fds[i] = file;
    return SIM_FD_BASE + (int)i;
}

struct sim_file *sim_fd_file(int fd)
{
    if (fd < SIM_FD_BASE || (uint32_t)(fd - SIM_FD_BASE) >= sim_host.fds_used)
        return NULL;
    if ((uint32_t)(fd - SIM_FD_BASE) < sim_host.fds_first)
        sim_die("descriptor %d is of an earlier life", fd);
    return sim_host.fds[fd - SIM_FD_BASE];
}

struct sim_file *sim_file_new(enum sim_file_kind kind, struct sim_inode *inode, int flags)
{
    struct sim_file *file = sim_alloc(sizeof(*file));

    file->kind = kind;
    file->inode = inode;
    file->flags = flags;
    file->refs = 1;
    sim_inode_ref(inode);
    inode->opens++;
    sim_inode_settle(inode);
    if (kind == SIM_FILE_WATCH) {
        sim_host.watches = sim_grow(sim_host.watches, &sim_host.watches_cap,
                                    sizeof(struct sim_file *), sim_host.watches_count + 1);
        sim_host.watches[sim_host.watches_count++] = file;
    }
    return file;
}

void sim_file_ref(struct sim_file *file)
{
    file->refs++;
}

void sim_file_unref(struct sim_file *file)
{
    struct sim_inode *inode;

    if (file == NULL || --file->refs > 0)
        return;
    inode = file->inode;
    for (uint32_t i = 0; i < sim_host.watches_count; i++) {
        if (sim_host.watches[i] == file)
            sim_host.watches[i--] = sim_host.watches[--sim_host.watches_count];
    }
    for (; file->queue_first < file->queue_count; file->queue_first++)
        free(file->queue[file->queue_first].name);
    free(file->queue);
    if (inode->locker == file)
        inode->locker = NULL;
    if (inode->bell == file)
        inode->bell = NULL;
    inode->opens--;
    if (file->kind == SIM_FILE && (file->flags & O_ACCMODE) != O_RDONLY && inode->nlink > 0)
        sim_notify(inode->parent_ino, FILE_EVENT_CLOSED, inode->name);
    sim_inode_settle(inode);
    sim_inode_unref(inode);
    free(file);
}

bool sim_file_readable(const struct sim_file *file)
{
    switch (file->kind) {
    case SIM_FILE_WATCH:
        return file->overflowed || file->queue_first < file->queue_count;
    case SIM_FILE_BELL:
        return file->rings > 0;
    case SIM_FILE:
        break;
    }
    return true;
}

void file_close(int fd)
{
    struct sim_file *file = sim_fd_file(fd);
    int i = fd - SIM_FD_BASE;

    if (fd < 0)
        return;
    if (file == NULL)
        sim_die("descriptor %d is closed, and not open", fd);
    sim_host.fds[i] = NULL;
    sim_host.free_fds[sim_host.free_fds_count++] = i;
    sim_file_unref(file);
}

void sim_fds_close_all(void)
{
    /* Numbers are not given out again: a descriptor kept from an earlier life is found out. */
    for (uint32_t i = sim_host.fds_first; i < sim_host.fds_used; i++) {
        if (sim_host.fds[i] != NULL) {
            struct sim_file *file = sim_host.fds[i];

            sim_host.fds[i] = NULL;
            sim_file_unref(file);
        }
    }
    sim_file_unref(sim_host.watch_read);
    sim_host.watch_read = NULL;
    sim_host.free_fds_count = 0;
    sim_host.fds_first = sim_host.fds_used;
}

unsigned sim_open_descriptors(void)
{
    unsigned count = 0;

    for (uint32_t i = sim_host.fds_first; i < sim_host.fds_used; i++)
        count += sim_host.fds[i] != NULL;
    return count;
}

/* ---- Watches ---- */

static void watch_push(struct sim_file *watch, unsigned events, const char *name)
{
    if (watch->queue_count - watch->queue_first >= sim_host.watch_queue_max) {
        watch->overflowed = true;
        return;
    }
    watch->queue = sim_grow(watch->queue, &watch->queue_cap, sizeof(*watch->queue),
                            watch->queue_count + 1);
    watch->queue[watch->queue_count++] = (struct sim_event){events, sim_strdup(name)};
}

void sim_notify(uint64_t dir_ino, unsigned events, const char *name)
{
    for (uint32_t i = 0; i < sim_host.watches_count; i++) {
        if (sim_host.watches[i]->inode->ino == dir_ino)
            watch_push(sim_host.watches[i], events, name);
    }
}

int file_watch_open(const char *dir_path)
{
    struct sim_where where;
    int rc = sim_enter(SIM_WATCH);

    if (rc == 0)
        rc = sim_resolve(sim_root(), dir_path, true, &where);
    if (rc == 0 && where.inode == NULL)
        rc = -ENOENT;
    if (rc == 0 && (where.inode->mode & S_IFMT) != S_IFDIR)
        rc = -ENOTDIR;
    if (rc == 0)
        rc = sim_fd_new(sim_file_new(SIM_FILE_WATCH, where.inode, O_RDONLY));
    return sim_leave(rc);
}

int file_watch_read(int watch, file_event_fn on_event, void *ctx)
{
    struct sim_file *file = sim_fd_file(watch);
    int rc = sim_enter(SIM_WATCH), count = 0;

    if (file == NULL || file->kind != SIM_FILE_WATCH)
        rc = -EBADF;
    rc = sim_leave(rc);
    if (rc < 0)
        return rc;
    /* Held: on_event may close the watch, and may add to the queue. Or crash: then it is let go. */
    sim_file_ref(file);
    sim_host.watch_read = file;
    while (file->queue_first < file->queue_count) {
        struct sim_event event = file->queue[file->queue_first++];

        on_event(ctx, event.events, event.name);
        free(event.name);
        count++;
    }
    file->queue_first = file->queue_count = 0;
    if (file->overflowed) {
        file->overflowed = false;
        on_event(ctx, FILE_EVENT_OVERFLOW, NULL);
        count++;
    }
    sim_host.watch_read = NULL;
    sim_file_unref(file);
    return count;
}

/* ---- Bells ---- */

int file_bell_open(const char *dir_path, const char *name)
{
    struct sim_where where;
    struct sim_inode *dir, *inode;
    int rc = sim_enter(SIM_BELL);

    if (rc == 0 && strlen(dir_path) + 1 + strlen(name) >= 108)
        rc = -ENAMETOOLONG;
    if (rc == 0)
        rc = sim_resolve(sim_root(), dir_path, true, &where);
    if (rc == 0 && where.inode == NULL)
        rc = -ENOENT;
    if (rc == 0) {
        dir = where.inode;
        rc = sim_resolve(dir, name, false, &where);
        if (rc == 0 && where.inode != NULL && (where.inode->mode & S_IFMT) == S_IFDIR)
            rc = -EADDRINUSE;
        if (rc == 0 && where.inode != NULL) {
            rc = sim_fs_unlink(dir, name);
            where.inode = NULL;
        }
    }
    if (rc == 0)
        rc = sim_create(&where, S_IFSOCK | 0666, &inode);
    if (rc == 0) {
        inode->bell = sim_file_new(SIM_FILE_BELL, inode, O_RDWR);
        rc = sim_fd_new(inode->bell);
    }
    return sim_leave(rc);
}

int file_bell_drain(int bell)
{
    struct sim_file *file = sim_fd_file(bell);
    int rc = sim_enter(SIM_BELL);

    if (file == NULL || file->kind != SIM_FILE_BELL)
        rc = -EBADF;
    if (rc == 0) {
        rc = (int)file->rings;
        file->rings = 0;
    }
    return sim_leave(rc);
}

int sim_ring_bell(const char *path)
{
    struct sim_where where;
    int rc = sim_resolve(sim_root(), path, true, &where);

    if (rc != 0)
        return rc;
    if (where.inode == NULL)
        return -ENOENT;
    if (where.inode->bell == NULL)
        return -ECONNREFUSED;
    if (where.inode->bell->rings >= BELL_QUEUE_MAX)
        return -EAGAIN;
    where.inode->bell->rings++;
    return 0;
}

/* ---- Guards ---- */

static uint64_t pages_end(uint64_t size)
{
    return (size + SIM_BLOCK_BYTES - 1) / SIM_BLOCK_BYTES * SIM_BLOCK_BYTES;
}

/* After the file shrank, or lost its pages altogether. */
void sim_guards_check(struct sim_inode *inode, bool all)
{
    for (int i = 0; i < sim_host.guards_used; i++) {
        struct sim_guard *guard = &sim_host.guards[i];

        if (guard->inode == inode && (all || guard->end > pages_end(inode->size)))
            guard->faulted = true;
    }
}

int file_guard_map(int fd, uint64_t offset, size_t len, struct file_guard *ret_guard)
{
    struct sim_file *file = sim_fd_file(fd);
    int rc = sim_enter(SIM_MAP), slot;
    struct sim_guard *guard;

    if (file == NULL || file->kind != SIM_FILE)
        rc = -EBADF;
    if (rc == 0 && (len == 0 || offset % SIM_BLOCK_BYTES != 0))
        rc = -EINVAL;
    if (rc == 0 && (offset > SIM_FILE_BYTES_MAX || len > SIM_FILE_BYTES_MAX - offset))
        rc = -ENOMEM;
    if (rc == 0 && (file->flags & O_ACCMODE) != O_RDWR)
        rc = -EACCES;
    if (rc == 0 && sim_host.free_guards_count == 0 && sim_host.guards_used == FILE_GUARDS_MAX)
        rc = -ENOSPC;
    if (rc == 0) {
        slot = sim_host.free_guards_count > 0
                   ? sim_host.free_guards[--sim_host.free_guards_count]
                   : sim_host.guards_used++;
        guard = &sim_host.guards[slot];
        sim_data_map(file->inode);
        file->inode->exposed = true;
        sim_inode_ref(file->inode);
        guard->inode = file->inode;
        guard->end = pages_end(offset + len);
        guard->faulted = guard->end > pages_end(file->inode->size);
        ret_guard->addr = file->inode->data + offset;
        ret_guard->len = len;
        ret_guard->slot = slot;
    }
    return sim_leave(rc);
}

void file_guard_unmap(struct file_guard *guard)
{
    struct sim_guard *slot = &sim_host.guards[guard->slot];

    if (guard->addr == NULL)
        return;
    if (slot->inode == NULL)
        sim_die("a guard is unmapped, and not mapped");
    sim_inode_unref(slot->inode);
    *slot = (struct sim_guard){0};
    sim_host.free_guards[sim_host.free_guards_count++] = guard->slot;
    *guard = (struct file_guard){0};
}

bool file_guard_faulted(const struct file_guard *guard)
{
    return guard->addr != NULL && sim_host.guards[guard->slot].faulted;
}

void sim_guards_drop_all(void)
{
    for (int i = 0; i < sim_host.guards_used; i++) {
        sim_inode_unref(sim_host.guards[i].inode);
        sim_host.guards[i] = (struct sim_guard){0};
    }
    sim_host.guards_used = 0;
    sim_host.free_guards_count = 0;
}
