/*
 * sim_host: what the simulator's files share. Tests include sim.h instead.
 *
 *   sim.c        the host: seed, faults, clock, lives, crash, SIGKILL, power cut
 *   sim_fs.c     inodes, directories, paths, capacity
 *   sim_data.c   file contents, what is synced of them and of directories
 *   sim_file.c   file.h
 *   sim_loop.c   loop.h
 *   sim_watch.c  descriptors, watches, bells, guards
 *   sim_stranger.c  what other processes do
 *
 * Owns:   the one struct sim_host.
 * Thread: one.
 */
#ifndef SUPPORT_SIM_HOST_H
#define SUPPORT_SIM_HOST_H

#include <setjmp.h>
#include <stdatomic.h>
#include <stdint.h>

#include "io/file.h"
#include "io/loop.h"
#include "support/sim.h"

enum {
    SIM_BLOCK_BYTES = FILE_BLOCK_BYTES,
    SIM_SECTOR_BYTES = 512,
    SIM_NAME_MAX = 255,
    SIM_FD_BASE = 1 << 20,              /* a real descriptor is never taken for one of ours */
    SIM_FAULTS_MAX = 64
};

struct sim_mount {
    struct sim_mount *next;
    struct sim_inode *root;             /* owned reference */
    uint64_t dev, capacity_blocks, used_blocks;
    uint64_t others_blocks;             /* of the used ones: see sim_set_free() */
    bool tmpfs, no_noreplace, no_links;
};

/* An earlier content of a block, newest first; the last one is what is on disk. */
struct sim_version {
    struct sim_version *older;
    uint64_t seq;
    bool zero;                          /* then without bytes */
    bool reserved;                      /* zero, and has a block */
    uint8_t bytes[];
};

struct sim_dirty {
    uint32_t block;
    bool doomed;                        /* its sync failed: only writing it again helps */
    uint64_t seq;                       /* of its latest write */
    struct sim_version *older;
};

struct sim_block {
    uint32_t dirty;                     /* index + 1 */
    bool allocated;
    bool written;                       /* since it was allocated; else it is zeros */
};

struct sim_entry {
    struct sim_entry *next;
    struct sim_inode *inode;            /* reference */
    uint64_t hash;
    char name[];
};

struct sim_change {
    struct sim_inode *before, *after;   /* references or NULL */
    uint64_t seq, group;                /* one group is kept or lost as a whole */
    bool doomed;
    char *name;
};

struct sim_inode {
    uint64_t ino;
    struct sim_mount *mount;
    uint32_t mode, uid, gid, nlink;
    uint32_t refs;                      /* entries, changes, descriptions, root */
    uint32_t opens;                     /* descriptions */
    bool accounted;                     /* its blocks count as used */
    unsigned mapped;                    /* living producers */
    struct sim_file *locker;            /* who holds the flock */
    struct sim_file *bell;
    uint64_t parent_ino;                /* where events about it go, under this name */
    char *name;
    char *target;                       /* of a symlink */

    uint8_t *data;                      /* SIM_FILE_BYTES_MAX of address space, or NULL */
    bool exposed;                       /* somebody has its address: any block may be written */
    uint64_t size, durable_size;
    struct sim_block *blocks;
    uint32_t blocks_cap;
    uint64_t allocated_blocks;
    struct sim_dirty *dirty;
    uint32_t dirty_count, dirty_cap;
    unsigned syncs;                     /* under way */
    uint64_t sync_seq;                  /* the latest of them covers writes up to here */
    uint64_t synced_seq;                /* covered by one that went well */

    struct sim_entry **buckets;
    uint32_t buckets_count, entries_count;
    struct sim_change *changes;
    uint32_t changes_count, changes_cap;
    struct sim_mount *covered;          /* mounted over this directory */
    struct sim_inode *all_next, *all_prev;
    struct sim_inode *dir_next, *dir_prev;  /* of directories */
};

enum sim_file_kind { SIM_FILE, SIM_FILE_WATCH, SIM_FILE_BELL };

struct sim_event {
    unsigned events;
    char *name;
};

/* An open file description. */
struct sim_file {
    enum sim_file_kind kind;
    struct sim_inode *inode;
    int flags;
    bool direct;
    unsigned refs;                      /* descriptor and operations under way */
    struct sim_event *queue;            /* watch */
    uint32_t queue_first, queue_count, queue_cap;
    bool overflowed;
    unsigned rings;                     /* bell */
};

enum sim_op_state { SIM_OP_PREPARED, SIM_OP_SUBMITTED, SIM_OP_DONE };

/* An asynchronous operation; of a killed life (op == NULL): a straggler. */
struct sim_op {
    struct io_op *op;
    enum sim_kind kind;
    enum sim_op_state state;
    bool poll;
    io_work_fn work;                    /* instead of a kind */
    void *work_arg;
    struct sim_file *file, *file_to;    /* references; NULL: the working directory */
    int bad;                            /* -EBADF */
    void *buf;
    uint8_t *copy;                      /* owned: what a straggler will write */
    size_t len;
    uint64_t offset, check, sync_seq, sync_size, land_at;
    char *from, *to;                    /* owned */
    int res;
};

struct io_loop {
    struct io_loop *next;
    struct sim_op **ops;                /* owned, in order of preparation */
    struct sim_op **done;               /* owned; their done functions are being called */
    uint32_t *picked;                   /* owned; of this turn */
    uint32_t ops_count, ops_cap, done_count, done_cap, picked_cap;
    bool turning;
    _Atomic bool woken;
};

struct sim_fault {
    enum sim_kind kind;
    uint64_t first, last;               /* operations of the kind, counted since reset */
    unsigned permille;                  /* instead of first and last */
    unsigned row;                       /* that failed one after the other */
    int err;
};

struct sim_guard {
    struct sim_inode *inode;            /* reference; NULL: free */
    uint64_t end;                       /* of the mapped range in the file */
    bool faulted;
};

struct sim_host {
    uint64_t seed, random, agent_random;
    uint64_t boots;
    uint64_t now_ns, real_ns_at_zero;
    uint64_t ino_next, seq, group;

    struct sim_mount *mounts;           /* the first is "/" */
    struct sim_inode *inodes;           /* all of them */
    struct sim_inode *dirs;             /* those of them that are directories */

    struct sim_file **fds;
    int *free_fds;
    uint32_t fds_first, fds_used, fds_cap, free_fds_count;  /* first: of the present life */
    struct io_loop *loops;
    struct sim_file **watches;
    uint32_t watches_count, watches_cap;
    struct sim_file *watch_read;        /* reference; its events are being told */
    struct sim_guard *guards;           /* FILE_GUARDS_MAX */
    int guards_used, *free_guards, free_guards_count;

    struct sim_op **stragglers;
    uint32_t stragglers_count, stragglers_cap;

    uint64_t op_counts[SIM_KIND_COUNT];
    uint64_t points, crash_point;
    struct sim_fault faults[SIM_FAULTS_MAX];
    unsigned faults_count, short_permille, disorder_permille, watch_queue_max;
    bool direct_refused, journal;
    uint64_t cut_salt;                  /* of the present power cut */
    uint64_t futex_wakes;

    sim_op_fn on_op;
    void *on_op_ctx;
    sim_witness_fn witness;
    void *witness_ctx;
    bool running, crashed;
    jmp_buf crash;
};

extern struct sim_host sim_host;

/* sim.c */
void sim_die(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));
void *sim_alloc(size_t len);                            /* zeroed; never NULL */
void *sim_grow(void *array, uint32_t *cap, size_t item_bytes, uint32_t need);
char *sim_strdup(const char *text);
bool sim_chance(unsigned permille);
uint64_t sim_below(uint64_t bound);                     /* 0 .. bound - 1 */
uint64_t sim_random_next(uint64_t *state);

/*
 * Every operation of the agent stands between these two. enter: counts it, lets stragglers land,
 * and gives the error it shall fail with, or 0. leave: passes rc through, or ends this life.
 */
int sim_enter(enum sim_kind kind);
int sim_leave(int rc);

/* Tells the witness, if there is one. */
struct sim_where;
void sim_see_write(const struct sim_inode *inode, bool begun, const void *bytes, size_t len,
                   uint64_t offset);
void sim_see_sync(const struct sim_inode *inode, uint64_t seq, int res);
void sim_see_name(enum sim_kind kind, const struct sim_where *from, const struct sim_where *to);

/* sim_fs.c */
struct sim_where {
    struct sim_inode *dir;              /* NULL: the path names a root or the start itself */
    struct sim_inode *inode;            /* NULL: not there */
    char name[SIM_NAME_MAX + 1];
};
struct sim_inode *sim_inode_new(struct sim_mount *mount, uint32_t mode);
void sim_inode_ref(struct sim_inode *inode);
void sim_inode_unref(struct sim_inode *inode);          /* NULL is fine */
void sim_inode_settle(struct sim_inode *inode);         /* after nlink or opens changed */
int sim_resolve(struct sim_inode *at, const char *path, bool follow, struct sim_where *ret_where);
struct sim_inode *sim_root(void);
struct sim_inode *sim_lookup(const struct sim_inode *dir, const char *name);
void sim_entry_set(struct sim_inode *dir, const char *name, struct sim_inode *inode);
void sim_entries_drop(struct sim_inode *dir);
int sim_create(const struct sim_where *where, uint32_t mode, struct sim_inode **ret_inode);
int sim_fs_rename(struct sim_inode *from_dir, const char *from, struct sim_inode *to_dir,
                  const char *to, bool replace);
int sim_fs_link(struct sim_inode *from_dir, const char *from, struct sim_inode *to_dir,
                const char *to);
int sim_fs_unlink(struct sim_inode *at, const char *path);
int sim_fs_rmdir(struct sim_inode *at, const char *path);

/* sim_data.c */
ssize_t sim_data_write(struct sim_inode *inode, const void *buf, size_t len, uint64_t offset);
size_t sim_data_read(const struct sim_inode *inode, void *buf, size_t len, uint64_t offset);
int sim_data_truncate(struct sim_inode *inode, uint64_t size);
int sim_data_allocate(struct sim_inode *inode, uint64_t offset, uint64_t len);
void sim_data_punch(struct sim_inode *inode, uint64_t offset, uint64_t len);
void sim_data_map(struct sim_inode *inode);             /* data is not NULL any more */
void sim_data_free(struct sim_inode *inode);
void sim_change_add(struct sim_inode *dir, const char *name, struct sim_inode *before,
                    struct sim_inode *after, uint64_t group);
void sim_sync_begin(struct sim_inode *inode, uint64_t *ret_seq, uint64_t *ret_size);
void sim_sync_end(struct sim_inode *inode, uint64_t seq, uint64_t size, int rc);
void sim_sync_now(struct sim_inode *inode);
void sim_sync_group(struct sim_inode *dir, uint64_t group);     /* these entry changes alone */
void sim_cut_inode(struct sim_inode *inode, unsigned keep_permille);

/* sim_watch.c */
int sim_fd_new(struct sim_file *file);
struct sim_file *sim_fd_file(int fd);                   /* NULL: -EBADF */
struct sim_file *sim_file_new(enum sim_file_kind kind, struct sim_inode *inode, int flags);
void sim_file_ref(struct sim_file *file);
void sim_file_unref(struct sim_file *file);             /* NULL is fine */
bool sim_file_readable(const struct sim_file *file);
void sim_fds_close_all(void);
void sim_notify(uint64_t dir_ino, unsigned events, const char *name);
void sim_guards_check(struct sim_inode *inode, bool all);
void sim_guards_drop_all(void);

/* sim_loop.c */
void sim_loops_freeze(void);            /* a life ends: keep what may still land */
void sim_loops_drop(void);              /* of prepared and finished ones nothing is left */
int sim_op_perform(struct sim_op *op);
void sim_op_free(struct sim_op *op);

#endif
