/*
 * file: the synchronous calls: opening, metadata, directories, locks, mappings, directory events
 * and the doorbell. For start, recovery and cold paths; the data path uses loop.h.
 *
 * Owns:   nothing; descriptors and mappings are the caller's to close.
 * Thread: any, except where said.
 * Errors: 0, a count or a descriptor, or -errno.
 */
#ifndef IO_FILE_H
#define IO_FILE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { FILE_CWD = -100 };               /* AT_FDCWD */
enum { FILE_BLOCK_BYTES = 4096 };       /* alignment for direct I/O */

struct file_stat {
    uint64_t dev, ino;
    uint64_t size_bytes;
    uint64_t allocated_bytes;           /* less than size: there are holes */
    uint32_t mode;                      /* S_IFMT and permissions */
    uint32_t uid, gid, nlink;
};

struct file_fs {
    bool tmpfs;
    uint64_t total_bytes, free_bytes;   /* free: to unprivileged writers */
};

/* open(2) with O_CLOEXEC. _direct: with O_DIRECT; where that is refused, without, and says so. */
int file_open(int dir, const char *path, int flags, mode_t mode);
int file_open_direct(int dir, const char *path, int flags, mode_t mode, bool *ret_direct);

/*
 * A name a stranger chose: read-write, non-blocking, no symlink anywhere, beneath dir, same mount
 * (openat2). -ELOOP, -EXDEV, -ENXIO for what is not a plain file there.
 */
int file_open_beneath(int dir, const char *name);

void file_close(int fd);                  /* what is negative was never opened: fine */

int file_stat(int fd, struct file_stat *ret_stat);
int file_stat_at(int dir, const char *name, struct file_stat *ret_stat);  /* does not follow */
int file_fs(int fd, struct file_fs *ret_fs);

/* The whole length or -errno; a read that ends early returns the bytes there were. */
ssize_t file_read(int fd, void *buf, size_t len, uint64_t offset);
int file_write(int fd, const void *buf, size_t len, uint64_t offset);

int file_truncate(int fd, uint64_t size_bytes);
int file_allocate(int fd, uint64_t offset, uint64_t len);
int file_sync(int fd);
int file_own(int fd, gid_t gid, mode_t mode);   /* as chown and chmod: the owner stays */

int file_mkdir(int dir, const char *name, mode_t mode);         /* -EEXIST is 0 */
int file_rmdir(int dir, const char *name);                      /* -ENOTEMPTY */
int file_rename(int from_dir, const char *from, int to_dir, const char *to);    /* no replace */
int file_replace(int from_dir, const char *from, int to_dir, const char *to);
int file_link(int from_dir, const char *from, int to_dir, const char *to);
int file_unlink(int dir, const char *name);

/*
 * A directory and those above it, and a synced name for each, also for those that are there:
 * whoever made them may not have synced them (file_mkdirs.c).
 */
int file_mkdirs(int dir, const char *path, mode_t mode);

/* Every name but "." and "..", in no order, until visit returns non-zero, which is returned. */
typedef int (*file_visit_fn)(void *ctx, const char *name);
int file_list(int dir, file_visit_fn visit, void *ctx);

/*
 * The same in parts, for directories that others may fill: _step goes on behind the name at which
 * visit returned non-zero, and returns that, or 0 at the end. A name that is there from open to end
 * is visited once. NULL is fine for _close.
 */
struct file_listing;
int file_listing_open(int dir, struct file_listing **ret_listing);
int file_listing_step(struct file_listing *listing, file_visit_fn visit, void *ctx);
void file_listing_close(struct file_listing *listing);

/* Exclusive flock(2) of the inode, held by the open file description. -EWOULDBLOCK. */
int file_lock(int fd, bool wait);

/* 1: some open file description holds an OFD lock on it (its producer lives); 0: nobody. */
int file_lock_probe(int fd);
/* Takes that lock of a ring whose producer is gone, so that its producer seems to live. */
int file_lock_as_producer(int fd);

/*
 * Shared mapping whose faults do not kill: when the file loses its pages, anonymous memory takes
 * their place and guard_faulted() turns true. Up to `FILE_GUARDS_MAX` at a time.
 */
enum { FILE_GUARDS_MAX = 16384 };
struct file_guard {
    void *addr;                         /* owned */
    size_t len;
    int slot;
};
int file_guard_map(int fd, uint64_t offset, size_t len, struct file_guard *ret_guard);
void file_guard_unmap(struct file_guard *guard);                /* zeroed is fine */

/* The same for a mapping that another has made, and unmaps after the release. */
int file_guard_adopt(void *addr, size_t len, struct file_guard *ret_guard);
void file_guard_release(struct file_guard *guard);              /* zeroed is fine */
bool file_guard_faulted(const struct file_guard *guard);

/* Directory events. */
enum file_event {
    FILE_EVENT_ADDED = 1,               /* a name appeared (renamed or linked to, created) */
    FILE_EVENT_CLOSED = 2,              /* a writer closed the file */
    FILE_EVENT_REMOVED = 4,
    FILE_EVENT_OVERFLOW = 8             /* events were lost, name is NULL: scan */
};
typedef void (*file_event_fn)(void *ctx, unsigned events, const char *name);
int file_watch_open(const char *dir_path);                      /* a pollable descriptor */
int file_watch_read(int watch, file_event_fn on_event, void *ctx);  /* all there is; no wait */

/* Datagram socket bound to dir_path/name, mode 0666 as far as the directory lets others in. */
int file_bell_open(const char *dir_path, const char *name);
int file_bell_drain(int bell);                                  /* datagrams thrown away */

/* Wakes all waiters on a futex word that other processes map too. */
void file_futex_wake(_Atomic uint32_t *word);

/* Random bytes; the simulator's are seeded. */
void file_random(void *buf, size_t len);

/* This boot's id, 16 bytes. */
int file_boot_id(uint8_t ret_id[16]);

#endif
