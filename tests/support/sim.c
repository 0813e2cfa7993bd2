/*
 * sim: the simulated host: seed, clock, faults, and how lives of the agent begin and end.
 *
 * Owns:   struct sim_host.
 * Thread: one.
 * Units:  ns; operations and points count from 1.
 */
#include "support/sim_host.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define BOOT_NS_AT_START    1000000000000ULL        /* up for a quarter of an hour */
#define REAL_NS_AT_START    1767225600000000000ULL  /* 2026-01-01 */
#define DARK_NS             60000000000ULL          /* from a power cut to the next boot's start */
#define OP_NS               1000ULL                 /* what an operation takes */
#define STRAGGLER_OPS_MAX   64U

struct sim_host sim_host;

/* Of the leak checker, where this build has one. */
__attribute__((weak)) void __lsan_disable(void);
__attribute__((weak)) void __lsan_enable(void);

void sim_die(const char *fmt, ...)
{
    va_list args;

    fprintf(stderr, "simulator (seed %llu, operation %llu): ", (unsigned long long)sim_host.seed,
            (unsigned long long)sim_host.op_counts[SIM_ANY]);
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fputc('\n', stderr);
    abort();
}

void *sim_alloc(size_t len)
{
    void *p = calloc(1, len);

    if (p == NULL)
        sim_die("out of memory");
    return p;
}

void *sim_grow(void *array, uint32_t *cap, size_t item_bytes, uint32_t need)
{
    uint32_t more = *cap != 0 ? *cap : 8;
    uint8_t *p;

    if (need <= *cap)
        return array;
    while (more < need)
        more *= 2;
    p = realloc(array, more * item_bytes);
    if (p == NULL)
        sim_die("out of memory");
    memset(p + *cap * item_bytes, 0, (more - *cap) * item_bytes);
    *cap = more;
    return p;
}

char *sim_strdup(const char *text)
{
    char *p = strdup(text);

    if (p == NULL)
        sim_die("out of memory");
    return p;
}

/* splitmix64: any seed will do, 0 too, and streams of different seeds don't resemble each other. */
uint64_t sim_random_next(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15ULL);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

uint64_t sim_random(void)
{
    return sim_random_next(&sim_host.random);
}

uint64_t sim_below(uint64_t bound)
{
    return sim_random() % bound;
}

/* Draws nothing for certain outcomes: an unused fault leaves the other draws as they are. */
bool sim_chance(unsigned permille)
{
    if (permille == 0)
        return false;
    return permille >= 1000 || sim_below(1000) < permille;
}

static struct sim_mount *mount_new(bool tmpfs, uint64_t capacity_bytes)
{
    struct sim_mount *mount = sim_alloc(sizeof(*mount)), **end = &sim_host.mounts;

    mount->dev = 1;
    for (; *end != NULL; end = &(*end)->next)
        mount->dev++;
    *end = mount;
    mount->tmpfs = tmpfs;
    mount->capacity_blocks = capacity_bytes / SIM_BLOCK_BYTES;
    mount->root = sim_inode_new(mount, S_IFDIR | 0755);
    mount->root->nlink = 1;
    sim_inode_ref(mount->root);
    return mount;
}

/* A reference to every inode, for work on them all that can free any of them. */
static struct sim_inode **inodes_hold(uint32_t *ret_count)
{
    struct sim_inode **held = NULL;
    uint32_t count = 0, cap = 0;

    for (struct sim_inode *inode = sim_host.inodes; inode != NULL; inode = inode->all_next) {
        held = sim_grow(held, &cap, sizeof(struct sim_inode *), count + 1);
        held[count++] = inode;
        sim_inode_ref(inode);
    }
    *ret_count = count;
    return held;
}

static void inodes_release(struct sim_inode **held, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        sim_inode_unref(held[i]);
    free(held);
}

/* Its producers are gone, without a word to anybody. The caller holds the inode. */
static void inode_unmap(struct sim_inode *inode)
{
    for (; inode->mapped > 0; inode->mapped--)
        sim_inode_unref(inode);
}

/* Frees what hangs together by logged changes only. */
static void inodes_untangle(void)
{
    uint32_t count;
    struct sim_inode **held = inodes_hold(&count);

    for (uint32_t i = 0; i < count; i++) {
        inode_unmap(held[i]);
        sim_entries_drop(held[i]);
        sim_sync_now(held[i]);
    }
    inodes_release(held, count);
    if (sim_host.inodes != NULL)
        sim_die("inode %llu is still referred to", (unsigned long long)sim_host.inodes->ino);
}

static void host_fini(void)
{
    sim_loops_freeze();
    sim_loops_drop();
    for (uint32_t i = 0; i < sim_host.stragglers_count; i++)
        sim_op_free(sim_host.stragglers[i]);
    sim_host.stragglers_count = 0;
    sim_guards_drop_all();
    sim_fds_close_all();
    for (struct sim_mount *mount = sim_host.mounts; mount != NULL; mount = mount->next)
        sim_inode_unref(mount->root);
    inodes_untangle();
    while (sim_host.mounts != NULL) {
        struct sim_mount *mount = sim_host.mounts;

        sim_host.mounts = mount->next;
        free(mount);
    }
    free(sim_host.fds);
    free(sim_host.free_fds);
    free(sim_host.watches);
    free(sim_host.guards);
    free(sim_host.free_guards);
    free(sim_host.stragglers);
}

void sim_reset(uint64_t seed)
{
    host_fini();
    memset(&sim_host, 0, sizeof(sim_host));
    sim_host.seed = seed;
    sim_host.random = seed;
    sim_host.agent_random = ~seed;
    sim_host.boots = 1;
    sim_host.now_ns = BOOT_NS_AT_START;
    sim_host.real_ns_at_zero = REAL_NS_AT_START - BOOT_NS_AT_START;
    sim_host.ino_next = 2;
    sim_host.seq = 1;
    sim_host.watch_queue_max = 16384;
    sim_host.guards = sim_alloc(FILE_GUARDS_MAX * sizeof(*sim_host.guards));
    sim_host.free_guards = sim_alloc(FILE_GUARDS_MAX * sizeof(*sim_host.free_guards));
    mount_new(false, 1ULL << 40);
    sim_mount("/shm", true, 4ULL << 30);
}

uint64_t sim_seed(void)
{
    return sim_host.seed;
}

void sim_mount(const char *path, bool tmpfs, uint64_t capacity_bytes)
{
    struct sim_where where;
    int rc = sim_mkdir(path);

    if (rc == 0)
        rc = sim_resolve(sim_root(), path, true, &where);
    if (rc != 0 || where.dir == NULL || where.inode->covered != NULL)
        sim_die("cannot mount at %s", path);
    where.inode->covered = mount_new(tmpfs, capacity_bytes);
}

static struct sim_mount *mount_of(const char *path)
{
    struct sim_where where;

    if (sim_resolve(sim_root(), path, true, &where) != 0 || where.inode == NULL)
        sim_die("no %s", path);
    return where.inode->mount;
}

void sim_set_capacity(const char *path, uint64_t capacity_bytes)
{
    mount_of(path)->capacity_blocks = capacity_bytes / SIM_BLOCK_BYTES;
}

void sim_set_names(const char *path, bool noreplace, bool links)
{
    mount_of(path)->no_noreplace = !noreplace;
    mount_of(path)->no_links = !links;
}

void sim_set_free(const char *path, uint64_t free_bytes)
{
    struct sim_where where;
    struct sim_mount *mount;

    if (sim_resolve(sim_root(), path, true, &where) != 0 || where.inode == NULL)
        sim_die("no %s", path);
    mount = where.inode->mount;
    mount->used_blocks -= mount->others_blocks;
    mount->others_blocks = 0;
    if (free_bytes / SIM_BLOCK_BYTES < mount->capacity_blocks - mount->used_blocks)
        mount->others_blocks =
            mount->capacity_blocks - mount->used_blocks - free_bytes / SIM_BLOCK_BYTES;
    mount->used_blocks += mount->others_blocks;
}

/* ---- Witnesses ---- */

void sim_set_witness(sim_witness_fn fn, void *ctx)
{
    sim_host.witness = fn;
    sim_host.witness_ctx = ctx;
}

static struct sim_sight sight_of(enum sim_kind kind, const struct sim_inode *inode)
{
    return (struct sim_sight){
        .kind = kind, .dir = inode->parent_ino, .ino = inode->ino,
        .name = inode->name != NULL ? inode->name : "", .seq = sim_host.seq,
        .file = inode->data, .file_bytes = inode->size,
    };
}

void sim_see_write(const struct sim_inode *inode, bool begun, const void *bytes, size_t len,
                   uint64_t offset)
{
    struct sim_sight sight;

    if (sim_host.witness == NULL)
        return;
    sight = sight_of(SIM_WRITE, inode);
    sight.begun = begun;
    sight.bytes = bytes;
    sight.len = len;
    sight.offset = offset;
    sim_host.witness(sim_host.witness_ctx, &sight);
}

void sim_see_sync(const struct sim_inode *inode, uint64_t seq, int res)
{
    struct sim_sight sight;

    if (sim_host.witness == NULL)
        return;
    sight = sight_of(SIM_SYNC, inode);
    sight.seq = seq;
    sight.res = res;
    sim_host.witness(sim_host.witness_ctx, &sight);
}

void sim_see_name(enum sim_kind kind, const struct sim_where *from, const struct sim_where *to)
{
    struct sim_sight sight;

    if (sim_host.witness == NULL)
        return;
    sight = sight_of(kind, from->inode);
    sight.dir = kind == SIM_UNLINK ? from->dir->ino : to->dir->ino;
    sight.name = from->name;
    sight.to = to != NULL ? to->name : NULL;
    sim_host.witness(sim_host.witness_ctx, &sight);
}

/* ---- Operations ---- */

static void crash_if_due(void)
{
    if (sim_host.crash_point == 0 || ++sim_host.points < sim_host.crash_point)
        return;
    if (!sim_host.running)
        sim_die("a crash point was reached outside sim_run()");
    sim_host.crash_point = 0;
    sim_host.crashed = true;
    sim_loops_freeze();                 /* while the stack with the buffers is still there */
    longjmp(sim_host.crash, 1);
}

static void straggler_land(uint32_t i)
{
    struct sim_op *op = sim_host.stragglers[i];

    sim_host.stragglers[i] = sim_host.stragglers[--sim_host.stragglers_count];
    sim_op_perform(op);
    sim_op_free(op);
}

static void stragglers_land(uint64_t until)
{
    for (uint32_t i = 0; i < sim_host.stragglers_count; ) {
        if (sim_host.stragglers[i]->land_at <= until)
            straggler_land(i);
        else
            i++;
    }
}

void sim_land(void)
{
    stragglers_land(UINT64_MAX);
}

void sim_on_op(sim_op_fn fn, void *ctx)
{
    sim_host.on_op = fn;
    sim_host.on_op_ctx = ctx;
}

unsigned sim_late(void)
{
    return sim_host.stragglers_count;
}

int sim_enter(enum sim_kind kind)
{
    uint64_t count = ++sim_host.op_counts[kind], any;

    if (sim_host.crashed)
        sim_die("the crashed life goes on: sim_kill() or sim_power_cut() comes first");
    crash_if_due();
    if (sim_host.on_op != NULL)
        sim_host.on_op(sim_host.on_op_ctx, kind);
    any = ++sim_host.op_counts[SIM_ANY];
    sim_host.now_ns += OP_NS;
    stragglers_land(any);
    for (unsigned i = 0; i < sim_host.faults_count; i++) {
        struct sim_fault *fault = &sim_host.faults[i];
        uint64_t at = fault->kind == SIM_ANY ? any : count;

        if (fault->kind != SIM_ANY && fault->kind != kind)
            continue;
        if (fault->permille == 0 && at >= fault->first && at <= fault->last)
            return fault->err;
        if (fault->row < SIM_FAULTS_IN_A_ROW_MAX && sim_chance(fault->permille)) {
            fault->row++;
            return fault->err;
        }
        fault->row = 0;
    }
    return 0;
}

int sim_leave(int rc)
{
    crash_if_due();
    return rc;
}

uint64_t sim_op_count(enum sim_kind kind)
{
    return sim_host.op_counts[kind];
}

static void fault_add(struct sim_fault fault)
{
    if (sim_host.faults_count == SIM_FAULTS_MAX)
        sim_die("more than %d faults", SIM_FAULTS_MAX);
    if (fault.err >= 0)
        sim_die("a fault needs a negative errno");
    sim_host.faults[sim_host.faults_count++] = fault;
}

void sim_fail(enum sim_kind kind, uint64_t nth, uint64_t times, int err)
{
    uint64_t first = sim_host.op_counts[kind] + nth;

    fault_add((struct sim_fault){.kind = kind, .first = first, .err = err,
                                 .last = times == 0 ? UINT64_MAX : first + times - 1});
}

void sim_fail_next(enum sim_kind kind, int err)
{
    sim_fail(kind, 1, 1, err);
}

void sim_fail_some(enum sim_kind kind, unsigned permille, int err)
{
    if (permille > 0)
        fault_add((struct sim_fault){.kind = kind, .permille = permille, .err = err});
}

void sim_fail_clear(void)
{
    sim_host.faults_count = 0;
}

void sim_set_short(unsigned permille)
{
    sim_host.short_permille = permille;
}

void sim_set_disorder(unsigned permille)
{
    sim_host.disorder_permille = permille;
}

void sim_set_direct(bool allowed)
{
    sim_host.direct_refused = !allowed;
}

void sim_set_journal(bool journal)
{
    sim_host.journal = journal;
}

void sim_set_watch_queue(unsigned events_max)
{
    sim_host.watch_queue_max = events_max;
}

/* ---- Lives ---- */

void sim_crash_at(uint64_t point)
{
    sim_host.crash_point = point;
    sim_host.points = 0;
}

int sim_run(sim_main_fn fn, void *ctx)
{
    volatile bool unchecked = sim_host.crash_point != 0 && __lsan_disable != NULL;
    int rc;

    if (sim_host.crashed)
        sim_die("sim_kill() or sim_power_cut() comes before the next life");
    if (sim_host.running)
        sim_die("sim_run() within sim_run()");
    sim_host.running = true;
    if (unchecked)
        __lsan_disable();
    if (setjmp(sim_host.crash) == 0) {
        rc = fn(ctx);
        if (rc == SIM_CRASHED)
            sim_die("a life returned SIM_CRASHED by itself");
    } else {
        rc = SIM_CRASHED;
    }
    if (unchecked)
        __lsan_enable();
    sim_host.running = false;
    sim_host.crash_point = 0;           /* not reached: it was this life's alone */
    return rc;
}

/* What every end of a process does. Operations that may still land are stragglers already. */
static void process_end(void)
{
    sim_loops_freeze();
    sim_loops_drop();
    sim_guards_drop_all();
    sim_fds_close_all();
    sim_host.crashed = false;
    sim_host.crash_point = 0;
}

void sim_kill(void)
{
    uint64_t now = sim_host.op_counts[SIM_ANY];
    uint64_t span = sim_below(4) == 0 ? 1 : 1 + sim_below(STRAGGLER_OPS_MAX);
    uint32_t kept = 0;

    process_end();
    /* Some were queued only and go with the process; names change before its end, data later. */
    for (uint32_t i = 0; i < sim_host.stragglers_count; i++) {
        struct sim_op *op = sim_host.stragglers[i];

        if (op->land_at == 0 && sim_below(4) == 0) {
            sim_op_free(op);
            continue;
        }
        if (op->land_at == 0)
            op->land_at = now + (op->kind == SIM_WRITE ? sim_below(span) : 0);
        sim_host.stragglers[kept++] = op;
    }
    sim_host.stragglers_count = kept;
    stragglers_land(now);
}

/* Writes under way when the power goes: any of their blocks, in any order. */
static void straggler_tear(const struct sim_op *op)
{
    for (size_t done = 0; done < op->len; ) {
        uint64_t at = op->offset + done;
        size_t len = SIM_BLOCK_BYTES - (size_t)(at % SIM_BLOCK_BYTES);

        if (len > op->len - done)
            len = op->len - done;
        if (sim_below(2) == 0)
            sim_data_write(op->file->inode, op->copy + done, len, at);
        done += len;
    }
}

static void cut_inodes(unsigned keep_permille)
{
    uint32_t count;
    struct sim_inode **held = inodes_hold(&count);

    for (uint32_t i = 0; i < count; i++) {
        struct sim_inode *inode = held[i];

        if (!inode->mount->tmpfs)
            sim_cut_inode(inode, keep_permille);
        else if (inode == inode->mount->root)
            sim_entries_drop(inode);
        inode_unmap(inode);
    }
    inodes_release(held, count);
}

void sim_power_cut(uint64_t seed)
{
    static const unsigned keep[] = {0, 100, 500, 900, 1000};
    uint64_t random = sim_host.random;
    unsigned keep_permille;

    sim_host.random = seed;
    keep_permille = keep[sim_below(sizeof(keep) / sizeof(keep[0]))];
    if (sim_host.journal)
        sim_host.cut_salt = sim_random();
    process_end();
    while (sim_host.stragglers_count > 0) {
        struct sim_op *op = sim_host.stragglers[--sim_host.stragglers_count];

        if (op->kind == SIM_WRITE && op->bad == 0)
            straggler_tear(op);
        else if (op->kind != SIM_SYNC && sim_below(2) == 0)
            sim_op_perform(op);
        sim_op_free(op);
    }
    cut_inodes(keep_permille);
    sim_host.boots++;
    sim_host.real_ns_at_zero += sim_host.now_ns - BOOT_NS_AT_START + DARK_NS;
    sim_host.now_ns = BOOT_NS_AT_START;
    sim_host.random = random;
}

/* ---- Time ---- */

uint64_t sim_now_ns(void)
{
    return sim_host.now_ns;
}

uint64_t sim_real_ns(void)
{
    return sim_host.real_ns_at_zero + sim_host.now_ns;
}

void sim_advance_ns(uint64_t ns)
{
    sim_host.now_ns += ns;
}

void sim_step_real_ns(int64_t ns)
{
    sim_host.real_ns_at_zero += (uint64_t)ns;
}

uint64_t sim_futex_wakes(void)
{
    return sim_host.futex_wakes;
}
