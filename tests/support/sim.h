/*
 * sim: one simulated host in memory: a second implementation of io/loop.h and io/file.h, chosen at
 * link, with what a test needs to set it up, to look into it and to break it.
 *
 * The host has file systems (directories, inodes, hard links, symlinks, locks), descriptors,
 * directory watches, bells, guarded mappings, a virtual clock and a random source. Time passes only
 * here: a wait of loop_turn() with nothing to come jumps to its end, one without end (UINT64_MAX)
 * returns 0 at once. All follows from one seed and from what the program does; tests print
 * sim_seed() when they fail.
 *
 * Faults it may make:
 *   - the Nth operation of a kind fails with any -errno, once, several times or for ever
 *   - seeded: operations fail, reads and writes are short, completions are late and out of order
 *   - a file system is full (-ENOSPC, short writes first); links and renames across file systems
 *     give -EXDEV; direct I/O is refused, or -EINVAL when not aligned to FILE_BLOCK_BYTES
 *   - a crash point before and after each operation, synchronous or not: sim_run() returns there
 *   - SIGKILL (sim_kill): prepared operations vanish; of those handed over some vanish and the
 *     others land later, at seeded moments; a lock is held through its description until then
 *   - power cut (sim_power_cut): each 4 KiB block and each directory entry that was changed and not
 *     synced is kept, lost, or (blocks) torn at 512 bytes, whatever came before or after it; the
 *     size of a file is the synced or the present one; writes under way have landed in part; what a
 *     sync was covering while it was under way counts as not synced; tmpfs is empty; the boot id is
 *     new
 *   - a failed sync: what it should have covered is no longer dirty, and whether it is on disk only
 *     shows at the next power cut; a later sync of the same file succeeds without covering it
 *   - a rename within one directory is atomic; across two, each may keep its half
 *   - unless file systems keep a journal (sim_set_journal): then a rename is kept or lost whole,
 *     and a directory's changes that a failed sync has not covered are covered by the next
 *   - directory events are lost beyond a queue's length; a stranger changes any file at any time
 *   - a guarded mapping loses its pages (truncation, or sim_guard_fault)
 *   - clocks: UTC steps in either direction
 * It stops the test (abort, with the seed) when the program breaks loop.h's rules: changes the
 * buffer of a write under way, waits for a lock that nobody will release, uses a descriptor of an
 * earlier life, turns a loop from within a done function.
 *
 * Not simulated: permissions, "..", memory exhaustion. A block keeps only versions that a sync
 * could have seen; a guard whose file shrinks reads zeros, but shares what is written later.
 *
 * Memory: what a crashed life had taken from malloc() is lost, as its stack is; sim_run() tells the
 * leak checker not to look at what lives with a crash point set have allocated. The simulator frees
 * its own. Lives without a crash point are checked as usual.
 *
 * Owns:   the host; results of sim_read_file() and sim_list() are the caller's.
 * Thread: one; loop_wake() from any.
 * Units:  bytes, ns; points and operations count from 1.
 */
#ifndef SUPPORT_SIM_H
#define SUPPORT_SIM_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum sim_kind {
    SIM_ANY,
    SIM_OPEN, SIM_STAT, SIM_READ, SIM_WRITE, SIM_TRUNCATE, SIM_ALLOCATE, SIM_SYNC, SIM_MKDIR,
    SIM_RENAME, SIM_LINK, SIM_UNLINK, SIM_LIST, SIM_LOCK, SIM_MAP, SIM_WATCH, SIM_BELL,
    SIM_KIND_COUNT
};

enum {
    SIM_CRASHED = INT_MIN,              /* from sim_run() */
    SIM_FAULTS_IN_A_ROW_MAX = 2,
    SIM_FILE_BYTES_MAX = 256 << 20      /* more is -EFBIG */
};

/*
 * A new host: "/" is a disk (1 TiB) and "/shm" a tmpfs (4 GiB), both empty; no faults. Of the host
 * before nothing is left.
 */
void sim_reset(uint64_t seed);
uint64_t sim_seed(void);

/* One more file system over the directory `path`, which is made. */
void sim_mount(const char *path, bool tmpfs, uint64_t capacity_bytes);

/* Of the file system that holds path. Below what is used: full. */
void sim_set_capacity(const char *path, uint64_t capacity_bytes);

/* Others take all of the file system that holds path but so much; UINT64_MAX: they give it back. */
void sim_set_free(const char *path, uint64_t free_bytes);

/* It refuses renames that must not replace (-EINVAL), or links (-EPERM), when they are false. */
void sim_set_names(const char *path, bool noreplace, bool links);

/* ---- Lives of the agent ---- */

typedef int (*sim_main_fn)(void *ctx);

/*
 * Runs one life: what fn returns, or SIM_CRASHED when the crash point was reached. Then only
 * sim_kill() or sim_power_cut() says what became of the host, and must, before the next life. fn
 * must not keep anything in variables of its caller but through ctx.
 */
int sim_run(sim_main_fn fn, void *ctx);

/*
 * Stops the life at this point, counted from now: operation k has point 2k - 1 just before it and
 * 2k just after it, when it took effect and nobody knows yet. 0: never. A test counts up from 1
 * until sim_run() doesn't return SIM_CRASHED any more. For the next life only.
 */
void sim_crash_at(uint64_t point);

void sim_kill(void);
void sim_power_cut(uint64_t seed);

/* Everything that killed lives left under way lands now. */
void sim_land(void);
unsigned sim_late(void);                /* how much that is */

/* ---- Faults ---- */

/* From the nth operation of the kind, from now, `times` operations (0: for ever) fail with err. */
void sim_fail(enum sim_kind kind, uint64_t nth, uint64_t times, int err);
void sim_fail_next(enum sim_kind kind, int err);            /* sim_fail(kind, 1, 1, err) */
/* At most SIM_FAULTS_IN_A_ROW_MAX of the kind one after the other: it passes. */
void sim_fail_some(enum sim_kind kind, unsigned permille, int err);
void sim_fail_clear(void);

void sim_set_short(unsigned permille);      /* of io_read and io_write */
void sim_set_disorder(unsigned permille);   /* of completions held back in a turn; and shuffled */
void sim_set_direct(bool allowed);          /* for later file_open_direct() */
void sim_set_watch_queue(unsigned events_max);
void sim_set_journal(bool journal);

/* Operations of the kind since sim_reset(); SIM_ANY: all. Those of strangers below don't count. */
uint64_t sim_op_count(enum sim_kind kind);

/* Called before each operation of the agent: strangers act in the middle of it. NULL: none. */
typedef void (*sim_op_fn)(void *ctx, enum sim_kind kind);
void sim_on_op(sim_op_fn fn, void *ctx);

/* ---- Witnesses: what happens to files, told to a test at once ---- */

/*
 * A WRITE of the agent is told twice: when it is handed over (`begun`, the file still as it was)
 * and when it has taken effect, for its first `len` bytes. SYNC, RENAME, LINK and UNLINK are told
 * when they have taken effect, a failed SYNC too, and names also when strangers change them. What
 * lands of a killed life is told as well, what a power cut leaves of a write is not.
 */
struct sim_sight {
    enum sim_kind kind;
    bool begun;
    int res;                            /* of SYNC: 0 or the error; else 0 */
    uint64_t dir, ino;                  /* directory of the name, and the file itself */
    const char *name;                   /* last component; of RENAME: the old one */
    const char *to;                     /* RENAME: the new one */
    const void *bytes;                  /* WRITE */
    uint64_t offset, len;
    uint64_t seq;                       /* a SYNC covers effects with a seq not above its own */
    const uint8_t *file;                /* the file's bytes, NULL when it never had any */
    uint64_t file_bytes;
};

typedef void (*sim_witness_fn)(void *ctx, const struct sim_sight *sight);
void sim_set_witness(sim_witness_fn fn, void *ctx);     /* until the next sim_reset() */

uint64_t sim_ino(const char *path);         /* 0: not there */
bool sim_name_synced(const char *path);     /* no power cut takes the name, or brings it back */
uint64_t sim_synced_seq(const char *path);  /* effects that its own last sync has covered */

/* ---- Time and small things ---- */

uint64_t sim_now_ns(void);
uint64_t sim_real_ns(void);
void sim_advance_ns(uint64_t ns);
void sim_step_real_ns(int64_t ns);          /* UTC alone */

uint64_t sim_random(void);                  /* the environment's own stream */
uint64_t sim_futex_wakes(void);             /* calls of file_futex_wake() */
unsigned sim_open_descriptors(void);        /* of the present life */

/* ---- Strangers: other processes of the host. 0 or -errno; on a disk as if synced at once ---- */

int sim_mkdir(const char *path);            /* and its parents; there already is 0 */
int sim_write_file(const char *path, const void *data, size_t len);     /* made or replaced */
int sim_read_file(const char *path, uint8_t **ret_data, size_t *ret_len);   /* NUL behind it */
int sim_poke(const char *path, uint64_t offset, const void *data, size_t len);
int sim_truncate(const char *path, uint64_t size_bytes);
int sim_punch(const char *path, uint64_t offset, uint64_t len);         /* whole blocks */
int sim_unlink(const char *path);
int sim_remove_tree(const char *path);      /* a directory with all that is below it */
int sim_rename(const char *from, const char *to);
int sim_symlink(const char *target, const char *path);
int sim_mknod(const char *path, uint32_t mode);         /* S_IFIFO, S_IFSOCK, ... */
int sim_chown(const char *path, uint32_t uid, uint32_t gid);
bool sim_exists(const char *path);

/* Names in a directory, sorted. One allocation: free(*ret_names). */
int sim_list(const char *path, char ***ret_names, size_t *ret_count);

/* Every file below a directory, in the order of names; visit may take it away. */
typedef void (*sim_visit_fn)(void *ctx, const char *path);
void sim_walk(const char *dir, sim_visit_fn visit, void *ctx);

/* The file's bytes, for reading and writing, at an address that stays until the inode is gone. */
uint8_t *sim_bytes(const char *path);

/*
 * A living producer maps the file: sim_bytes(), the inode stays though its name may go, and
 * file_lock_probe() says 1. Unmapping tells the watches that it was closed. A power cut unmaps all.
 */
int sim_map(const char *path, uint8_t **ret_bytes);
void sim_unmap(const uint8_t *bytes);

int sim_ring_bell(const char *path);        /* -ECONNREFUSED: nobody listens */
int sim_guard_fault(const char *path);      /* as if its pages were gone */

/* Bytes not synced in the file, or entry changes not synced in the directory; 0 on tmpfs. */
uint64_t sim_unsynced(const char *path);

#endif
