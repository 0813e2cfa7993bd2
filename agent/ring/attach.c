/*
 * attach: opens a ring file that a stranger made, checks it, and reads it without trusting it.
 *
 * Each shared word is read once, the copy is checked and the copy is used. Memory order: the
 * acquire loads here pair with the releases A1 (head) and D1 (definitions) of the producer; the
 * fences in ring_file_publish(), ring_file_want() and ring_file_quarantine() pair with W1.
 *
 * A mapping whose file lost its pages reads as anonymous zeros from then on. So each value is
 * loaded first and the flag looked at afterwards: a value seen with the flag still down came from
 * the file.
 *
 * Owns:   descriptor and mapping of each attached ring.
 * Thread: shard.
 * Units:  positions are free-running bytes.
 */
#include "ring/attach.h"

#include "base/crc32c.h"
#include "base/invariant.h"
#include "libshm-client/fields.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const quarantine_names[] = {
    [SHM_QUARANTINE_NONE] = "none",
    [SHM_QUARANTINE_SUPERBLOCK] = "superblock",
    [SHM_QUARANTINE_SIZE] = "size",
    [SHM_QUARANTINE_POSITION] = "position",
    [SHM_QUARANTINE_FRAME] = "frame",
    [SHM_QUARANTINE_DEFINITION] = "definition",
    [SHM_QUARANTINE_DUPLICATE] = "duplicate",
    [SHM_QUARANTINE_FOREIGN] = "foreign",
    [SHM_QUARANTINE_FAULT] = "fault",
    [SHM_QUARANTINE_QUOTA] = "quota",
};
_Static_assert(sizeof(quarantine_names) / sizeof(quarantine_names[0]) == SHM_QUARANTINE_COUNT,
               "a name each");

static const char *const quarantine_texts[] = {
    [SHM_QUARANTINE_NONE] = "nothing is wrong with it",
    [SHM_QUARANTINE_SUPERBLOCK] = "not a ring that this agent reads: overwritten, or made by "
                                  "another version; let its program open a new one",
    [SHM_QUARANTINE_SIZE] = "its file was cut, grown or has holes; find out who changes it, and "
                            "let its program open a new one",
    [SHM_QUARANTINE_POSITION] = "its positions are impossible: its program has overwritten them; "
                                "restart that program",
    [SHM_QUARANTINE_FRAME] = "an event in it is malformed: its program has overwritten it; "
                             "restart that program",
    [SHM_QUARANTINE_DEFINITION] = "a definition of a stream or schema in it is malformed, missing "
                                  "or of the other sort; restart its program, with a library of "
                                  "this version",
    [SHM_QUARANTINE_DUPLICATE] = "a copy of another ring; remove it",
    [SHM_QUARANTINE_FOREIGN] = "of another boot or another log; nobody can read it on, and it "
                               "will be removed",
    [SHM_QUARANTINE_FAULT] = "its file lost its pages while it was in use; find out who changes "
                             "it, and restart its program",
    [SHM_QUARANTINE_QUOTA] = "its user has more rings or bytes than the agent allows",
};
_Static_assert(sizeof(quarantine_texts) / sizeof(quarantine_texts[0]) == SHM_QUARANTINE_COUNT,
               "a text each");

static const char *const wait_names[] = {
    [SHM_WAIT_NONE] = "none",
    [SHM_WAIT_RINGS] = "rings_max",
    [SHM_WAIT_RINGS_UID] = "rings_per_uid_max",
    [SHM_WAIT_BYTES_UID] = "ring_bytes_per_uid_max",
    [SHM_WAIT_STREAMS] = "streams_max",
    [SHM_WAIT_STREAMS_UID] = "streams_per_uid_max",
};
_Static_assert(sizeof(wait_names) / sizeof(wait_names[0]) == SHM_WAIT_COUNT, "a name each");

/* The consumer page must hold its struct, the producer page its struct and a head line. */
_Static_assert(sizeof(struct shm_consumer) <= 4096, "consumer fits the smallest page");
_Static_assert(sizeof(struct shm_producer) <= SHM_HEAD_OFFSET_MIN, "head is behind the struct");

#define HEAD_LINE_BYTES 128U

const char *ring_quarantine_name(enum shm_quarantine reason)
{
    /* A reason may come from a page that others write. */
    return (unsigned)reason < SHM_QUARANTINE_COUNT ? quarantine_names[reason] : "unknown";
}

const char *ring_quarantine_text(enum shm_quarantine reason)
{
    return (unsigned)reason < SHM_QUARANTINE_COUNT ? quarantine_texts[reason]
                                                   : "for a reason that this version does not know";
}

const char *ring_wait_name(enum shm_wait why)
{
    return (unsigned)why < SHM_WAIT_COUNT ? wait_names[why] : "unknown";
}

static bool name_char(char c, bool first)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
           c == '_' || (!first && (c == '-' || c == '.'));
}

bool ring_name_valid(const char *name)
{
    size_t suffix_len = strlen(SHM_RING_SUFFIX);
    size_t len = strnlen(name, SHM_RING_NAME_MAX + 1);

    if (len > SHM_RING_NAME_MAX || len <= suffix_len)
        return false;
    if (memcmp(name + len - suffix_len, SHM_RING_SUFFIX, suffix_len) != 0)
        return false;
    for (size_t i = 0; i < len - suffix_len; i++)
        if (!name_char(name[i], i == 0))
            return false;
    return true;
}

static int refuse(enum shm_quarantine *ret_reason, enum shm_quarantine reason, struct errmsg *err,
                  const char *text)
{
    *ret_reason = reason;
    return errmsg_set(err, -EBADMSG, "%s: %s", ring_quarantine_name(reason), text);
}

/* Is there a page of it for each byte? On tmpfs a hole shows as blocks that are missing. */
static bool stat_whole(const struct file_stat *stat, uint64_t size_bytes)
{
    return stat->size_bytes == size_bytes && stat->allocated_bytes >= size_bytes;
}

/* What the superblock says of itself, then what it says of its file. */
static int super_check(const struct shm_superblock *super, uint64_t page_bytes,
                       enum shm_quarantine *ret_reason, struct errmsg *err)
{
    const enum shm_quarantine reason = SHM_QUARANTINE_SUPERBLOCK;

    if (super->magic != SHM_MAGIC)
        return refuse(ret_reason, reason, err, "no ring: another magic number");
    if (super->version_major != SHM_VERSION_MAJOR)
        return refuse(ret_reason, reason, err, "another major version of the layout");
    if (super->crc32c != crc32c(0, super, offsetof(struct shm_superblock, crc32c)))
        return refuse(ret_reason, reason, err, "checksum differs");
    if (super->incompat != 0)
        return refuse(ret_reason, reason, err, "needs a feature that this agent lacks");
    if (super->page_bytes != page_bytes)
        return refuse(ret_reason, reason, err, "page size of another host");
    if (super->head_offset % HEAD_LINE_BYTES != 0 || super->head_offset < SHM_HEAD_OFFSET_MIN ||
        super->head_offset > page_bytes - HEAD_LINE_BYTES)
        return refuse(ret_reason, reason, err, "head outside its page");
    if (super->data_bytes < SHM_RING_BYTES_MIN || super->data_bytes > SHM_RING_BYTES_MAX ||
        (super->data_bytes & (super->data_bytes - 1)) != 0)
        return refuse(ret_reason, reason, err, "impossible ring size");
    if (super->defs_offset != 3 * page_bytes || super->defs_bytes != SHM_DEFS_BYTES ||
        super->data_offset != super->defs_offset + SHM_DEFS_BYTES ||
        super->file_bytes != super->data_offset + super->data_bytes)
        return refuse(ret_reason, reason, err, "impossible offsets");
    return 0;
}

/* Reads the superblock once into ring->super and checks the copy. */
static int super_read(struct ring_file *ring, uint64_t page_bytes, enum shm_quarantine *ret_reason,
                      struct errmsg *err)
{
    uint8_t boot_id[sizeof(ring->super.boot_id)];
    ssize_t len;
    int res;

    len = file_read(ring->fd, &ring->super, sizeof(ring->super), 0);
    if (len < 0)
        return refuse(ret_reason, SHM_QUARANTINE_FAULT, err, "superblock cannot be read");
    if ((size_t)len < sizeof(ring->super) || ring->stat.size_bytes < 3 * page_bytes)
        return refuse(ret_reason, SHM_QUARANTINE_SIZE, err, "too short to be a ring");
    res = super_check(&ring->super, page_bytes, ret_reason, err);
    if (res < 0)
        return res;
    if (!stat_whole(&ring->stat, ring->super.file_bytes))
        return refuse(ret_reason, SHM_QUARANTINE_SIZE, err, "cut, grown or with holes");
    res = file_boot_id(boot_id);
    if (res < 0)
        return errmsg_set(err, res, "this boot's id cannot be read");
    if (memcmp(boot_id, ring->super.boot_id, sizeof(boot_id)) != 0)
        return refuse(ret_reason, SHM_QUARANTINE_FOREIGN, err, "made in another boot");
    return 0;
}

/* Opens the name and makes sure that it is a plain file on tmpfs of the expected owner. */
static int plain_open(struct ring_file *ring, int shm_dir, const char *name, int64_t expect_uid,
                      struct errmsg *err)
{
    struct file_fs fs;
    int res;

    if (!ring_name_valid(name))
        return errmsg_set(err, -EINVAL, "no name of a published ring");
    res = file_open_beneath(shm_dir, name);
    if (res < 0)
        return errmsg_set(err, res, "cannot be opened as a plain file");
    ring->fd = res;
    res = file_stat(ring->fd, &ring->stat);
    if (res < 0)
        return errmsg_set(err, res, "cannot be looked at");
    if (!S_ISREG(ring->stat.mode))
        return errmsg_set(err, -ENXIO, "no plain file");
    if (ring->stat.nlink == 0)
        return errmsg_set(err, -ENOENT, "removed meanwhile");
    if (expect_uid >= 0 && ring->stat.uid != expect_uid)
        return errmsg_set(err, -EPERM, "belongs to uid %u, expected %lld", ring->stat.uid,
                          (long long)expect_uid);
    res = file_fs(ring->fd, &fs);
    if (res < 0)
        return errmsg_set(err, res, "file system cannot be looked at");
    if (!fs.tmpfs)
        return errmsg_set(err, -EINVAL, "not on tmpfs");
    return 0;
}

int ring_file_open(int shm_dir, const char *name, int64_t expect_uid, struct ring_file *ret_ring,
                   enum shm_quarantine *ret_reason, struct errmsg *err)
{
    struct ring_file ring = { .fd = -1 };
    long page_asked = sysconf(_SC_PAGESIZE);
    uint64_t page_bytes = (uint64_t)page_asked;
    int res;

    INVARIANT(page_asked >= 4096);
    *ret_reason = SHM_QUARANTINE_NONE;
    *ret_ring = ring;
    res = plain_open(&ring, shm_dir, name, expect_uid, err);
    if (res < 0)
        goto fail;
    memcpy(ring.name, name, strlen(name) + 1); /* valid, so it fits */
    res = super_read(&ring, page_bytes, ret_reason, err);
    if (res < 0)
        goto fail;
    res = file_guard_map(ring.fd, page_bytes, (size_t)(2 * page_bytes), &ring.guard);
    if (res < 0) {
        errmsg_set(err, res, "control pages cannot be mapped");
        goto fail;
    }
    ring.producer = ring.guard.addr;
    ring.head = (const void *)((const uint8_t *)ring.guard.addr + ring.super.head_offset);
    ring.consumer = (void *)((uint8_t *)ring.guard.addr + page_bytes);
    *ret_ring = ring;
    return 0;
fail:
    errmsg_prefix(err, "ring '%.*s': ", (int)SHM_RING_NAME_MAX, name);
    if (*ret_reason != SHM_QUARANTINE_NONE)
        *ret_ring = ring;
    else
        ring_file_close(&ring);
    return res;
}

bool ring_file_claims(const struct ring_file *ring)
{
    return ring->super.magic == SHM_MAGIC;
}

void ring_file_close(struct ring_file *ring)
{
    file_guard_unmap(&ring->guard);
    file_close(ring->fd);
    memset(ring, 0, sizeof(*ring));
    ring->fd = -1;
}

int ring_file_head(const struct ring_file *ring, uint64_t from, uint64_t *ret_head,
                   enum shm_quarantine *ret_reason)
{
    /* A1 pairs with the producer's commit: seeing head means seeing the frames below it. */
    uint64_t head = atomic_load_explicit(&ring->head->head, memory_order_acquire);

    *ret_reason = SHM_QUARANTINE_NONE;
    *ret_head = from;
    if (__builtin_expect(file_guard_faulted(&ring->guard), 0)) {
        *ret_reason = SHM_QUARANTINE_FAULT;
        return -EBADMSG;
    }
    /* Also a head that went back: then the difference is huge. */
    if (__builtin_expect(head - from > ring->super.data_bytes || head % SHM_FRAME_ALIGN != 0, 0)) {
        *ret_reason = SHM_QUARANTINE_POSITION;
        return -EBADMSG;
    }
    *ret_head = head;
    return 0;
}

static bool stream_name_ok(const uint8_t *name, uint32_t len)
{
    if (len == 0 || len > SHM_STREAM_NAME_MAX || name[0] == '_')
        return false;
    for (uint32_t i = 0; i < len; i++)
        if (!name_char((char)name[i], i == 0))
            return false;
    return true;
}

/*
 * Checks the definition at the start of at[0..room), room > 0 and a multiple of 8. Returns its
 * bytes, 0: malformed.
 */
static uint32_t def_check(const uint8_t *at, uint32_t room, const struct ring_file *ring,
                          struct ring_def *ret_def)
{
    uint16_t defs_count = ring->defs_count;
    struct shmc_fields fields;
    struct shm_def entry;
    unsigned int index;

    if (room < sizeof(entry) || defs_count >= SHM_DEFS_MAX)
        return 0;
    memcpy(&entry, at, sizeof(entry));
    if (entry.bytes % SHM_FRAME_ALIGN != 0 || entry.bytes < sizeof(entry) || entry.bytes > room ||
        entry.body_len > entry.bytes - sizeof(entry))
        return 0;
    if (entry.number != defs_count + 1 || entry.reserved0 != 0 || entry.reserved1 != 0)
        return 0;
    memset(ret_def, 0, sizeof(*ret_def));
    ret_def->number = entry.number;
    ret_def->type = entry.type;
    switch (entry.type) {
    case SHM_DEF_STREAM:
        if (entry.stream != 0 || !stream_name_ok(at + sizeof(entry), entry.body_len))
            return 0;
        memcpy(ret_def->name, at + sizeof(entry), entry.body_len);
        return entry.bytes;
    case SHM_DEF_SCHEMA:
        if (entry.stream == 0 || entry.stream > defs_count ||
            frames_schemas_has(&ring->schemas, entry.stream))
            return 0;
        ret_def->stream = entry.stream;
        ret_def->body = at + sizeof(entry);
        ret_def->body_len = entry.body_len;
        return shmc_fields_open(&fields, ret_def->body, entry.body_len, &index) ==
                       SHMC_FIELDS_GOOD
                   ? entry.bytes
                   : 0;
    default:
        return 0;
    }
}

int ring_file_defs(struct ring_file *ring, ring_def_fn on_def, void *ctx,
                   enum shm_quarantine *ret_reason)
{
    /* D1 pairs with the producer's definition: seeing the length means seeing the entries. */
    uint32_t published =
        atomic_load_explicit(&ring->producer->defs_bytes, memory_order_acquire);
    uint8_t copy[SHM_DEFS_BYTES];
    uint32_t len, used;
    ssize_t got;

    *ret_reason = SHM_QUARANTINE_NONE;
    if (file_guard_faulted(&ring->guard)) {
        *ret_reason = SHM_QUARANTINE_FAULT;
        return -EBADMSG;
    }
    if (published == ring->defs_read)
        return 0;
    *ret_reason = SHM_QUARANTINE_DEFINITION;
    if (published < ring->defs_read || published > SHM_DEFS_BYTES ||
        published % SHM_FRAME_ALIGN != 0)
        return -EBADMSG;
    len = published - ring->defs_read;
    got = file_read(ring->fd, copy, len, ring->super.defs_offset + ring->defs_read);
    if (got < 0 || (size_t)got < len) {
        *ret_reason = got < 0 ? SHM_QUARANTINE_FAULT : SHM_QUARANTINE_SIZE;
        return -EBADMSG;
    }
    for (uint32_t at = 0; at < len; at += used) {
        struct ring_def def;
        int res;

        used = def_check(copy + at, len - at, ring, &def);
        if (used == 0)
            return -EBADMSG;
        res = on_def(ctx, &def);
        if (res != 0) {
            *ret_reason = SHM_QUARANTINE_NONE;
            return res;
        }
        ring->defs_read += used;
        ring->defs_count++;
        if (def.type == SHM_DEF_SCHEMA)
            frames_schemas_add(&ring->schemas, def.number);
    }
    *ret_reason = SHM_QUARANTINE_NONE;
    return 0;
}

bool ring_file_defs_waiting(const struct ring_file *ring)
{
    return atomic_load_explicit(&ring->producer->defs_bytes, memory_order_relaxed) !=
           ring->defs_read;
}

bool ring_file_intact(const struct ring_file *ring)
{
    struct file_stat stat;

    return !file_guard_faulted(&ring->guard) && file_stat(ring->fd, &stat) == 0 &&
           stat_whole(&stat, ring->super.file_bytes);
}

int ring_file_alive(const struct ring_file *ring)
{
    return file_lock_probe(ring->fd);
}

/*
 * W1: the producer raises `waiter`, fences, and looks at pos and quarantine once more before it
 * sleeps on the futex word as it read it first; we store, fence, and look at `waiter`. One of the
 * two sees the other. The word changes so that a producer on its way to sleep does not fall asleep.
 */
static void mark_wake(struct ring_file *ring, enum shm_pos which)
{
    struct shm_mark *mark = &ring->consumer->mark[which];

    if (atomic_load_explicit(&ring->producer->waiter, memory_order_relaxed) == 0)
        return;
    atomic_fetch_add_explicit(&mark->futex, 1, memory_order_release);
    file_futex_wake(&mark->futex);
}

void ring_file_publish(struct ring_file *ring, enum shm_pos which, uint64_t pos)
{
    INVARIANT((unsigned)which < SHM_POS_COUNT);
    /* The release orders our reads of the ring before the room is given back to the producer. */
    atomic_store_explicit(&ring->consumer->mark[which].pos, pos, memory_order_release);
    atomic_thread_fence(memory_order_seq_cst);
    mark_wake(ring, which);
}

void ring_file_adopt(struct ring_file *ring, uint64_t agent_epoch, uint64_t ring_id)
{
    atomic_store_explicit(&ring->consumer->ring_id, ring_id, memory_order_relaxed);
    /* Whoever sees the epoch sees the id that it gave. */
    atomic_store_explicit(&ring->consumer->agent_epoch, agent_epoch, memory_order_release);
}

void ring_file_want(struct ring_file *ring, bool wanted)
{
    atomic_store_explicit(&ring->consumer->wanted, wanted ? 1 : 0, memory_order_relaxed);
    /*
     * The producer publishes head, fences, and looks at `wanted`; we raise it, fence, and the
     * caller looks at head once more before it sleeps. One of the two sees the other.
     */
    atomic_thread_fence(memory_order_seq_cst);
}

void ring_file_quarantine(struct ring_file *ring, enum shm_quarantine reason, uint64_t pos)
{
    INVARIANT(reason > SHM_QUARANTINE_NONE && reason < SHM_QUARANTINE_COUNT);
    /* The first reason is the true one; those after it are its consequences. */
    if (atomic_load_explicit(&ring->consumer->quarantine, memory_order_relaxed) !=
        SHM_QUARANTINE_NONE)
        return;
    atomic_store_explicit(&ring->consumer->quarantine_pos, pos, memory_order_relaxed);
    atomic_store_explicit(&ring->consumer->quarantine, reason, memory_order_release);
    atomic_thread_fence(memory_order_seq_cst);
    for (int which = 0; which < SHM_POS_COUNT; which++)
        mark_wake(ring, (enum shm_pos)which);
}

void ring_file_lost(struct ring_file *ring, uint64_t pos)
{
    /* Before any position beyond it is published: who sees that one sees this. */
    atomic_store_explicit(&ring->consumer->lost_pos, pos, memory_order_release);
    atomic_thread_fence(memory_order_seq_cst);
    for (int which = 0; which < SHM_POS_COUNT; which++)
        mark_wake(ring, (enum shm_pos)which);
}

void ring_file_wait(struct ring_file *ring, enum shm_wait why)
{
    INVARIANT((unsigned)why < SHM_WAIT_COUNT);
    atomic_store_explicit(&ring->consumer->waits, why, memory_order_relaxed);
}

uint64_t ring_file_wanted(const struct ring_file *ring, enum shm_pos which)
{
    INVARIANT((unsigned)which < SHM_POS_COUNT);
    return atomic_load_explicit(&ring->producer->wanted[which], memory_order_relaxed);
}

int ring_file_remove(int shm_dir, const struct ring_file *ring)
{
    struct file_stat stat;
    int res = file_stat_at(shm_dir, ring->name, &stat);

    if (res < 0)
        return res;
    if (stat.dev != ring->stat.dev || stat.ino != ring->stat.ino)
        return -ESTALE;
    /* Nobody renames over a name, so it can change hands only if somebody unlinks it first. */
    return file_unlink(shm_dir, ring->name);
}
