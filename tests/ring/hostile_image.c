/*
 * hostile_image: the table of mutations. Each takes its chances from the simulated host's random
 * source, so that a seed repeats a run.
 *
 * Owns:   the counts of the kinds.
 * Thread: one.
 */
#include "ring/hostile_image.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/invariant.h"
#include "support/sim.h"

static uint64_t below(uint64_t bound)
{
    return sim_random() % bound;
}

/* Numbers at which code breaks, and neighbours of what is there. */
static uint64_t odd_number(uint64_t now)
{
    static const uint64_t odd[] = {
        0, 1, 7, 8, 15, 16, 127, 128, 255, 4095, 4096, 65535, 65536, 77824, 1 << 20, 1 << 26,
        0x7fffffff, 0x80000000, 0xfffffff8, 0xffffffff, 0x100000000, 1ULL << 62, 1ULL << 63,
        UINT64_MAX - 7, UINT64_MAX,
    };

    switch (below(6)) {
    case 0:
        return sim_random();
    case 1:
        return now + below(64) * 8;
    case 2:
        return now - below(64) * 8;
    case 3:
        return now ^ 1ULL << below(64);
    default:
        return odd[below(sizeof(odd) / sizeof(odd[0]))];
    }
}

static void bytes_random(uint8_t *at, size_t len)
{
    for (size_t i = 0; i < len; i++)
        at[i] = (uint8_t)(sim_random() >> 56);
}

/* ---- Superblock ---- */

static void super_bit(struct hostile *h)
{
    h->ring.bytes[below(sizeof(struct shm_superblock))] ^= (uint8_t)(1U << below(8));
}

/* One field, and the sum made right again. */
static void super_field(struct hostile *h)
{
    struct shm_superblock *s = h->ring.superblock;

    switch (below(11)) {
    case 0:
        s->version_major = (uint16_t)odd_number(s->version_major);
        break;
    case 1:
        s->version_minor = (uint16_t)odd_number(s->version_minor);
        break;
    case 2:
        s->incompat = (uint32_t)odd_number(0);
        break;
    case 3:
        s->page_bytes = (uint32_t)odd_number(s->page_bytes);
        break;
    case 4:
        s->head_offset = (uint32_t)odd_number(s->head_offset);
        break;
    case 5:
        s->defs_offset = odd_number(s->defs_offset);
        break;
    case 6:
        s->defs_bytes = odd_number(s->defs_bytes);
        break;
    case 7:
        s->data_offset = odd_number(s->data_offset);
        break;
    case 8:
        s->data_bytes = odd_number(s->data_bytes);
        break;
    case 9:
        s->file_bytes = odd_number(s->file_bytes);
        break;
    default:
        s->pid = (uint32_t)odd_number(s->pid);
        break;
    }
    sim_producer_reseal(&h->ring);
}

/* A larger or smaller ring, in all places alike: only the file says otherwise. */
static void super_size(struct hostile *h)
{
    struct shm_superblock *s = h->ring.superblock;

    s->data_bytes = below(2) ? s->data_bytes * 2 : s->data_bytes / 2;
    s->file_bytes = s->data_offset + s->data_bytes;
    sim_producer_reseal(&h->ring);
}

static void super_uuid(struct hostile *h)
{
    if (h->other && h->other->open)
        memcpy(h->ring.superblock->uuid, h->other->ring.superblock->uuid, 16);
    else
        memset(h->ring.superblock->uuid, 0, 16);
    sim_producer_reseal(&h->ring);
}

static void super_boot(struct hostile *h)
{
    h->ring.superblock->boot_id[below(16)] ^= 0x10;
    sim_producer_reseal(&h->ring);
}

static void super_random(struct hostile *h)
{
    bytes_random(h->ring.bytes, sizeof(struct shm_superblock));
}

/* ---- Positions and the other words of the control pages ---- */

static void head_odd(struct hostile *h)
{
    atomic_store(&h->ring.head->head, odd_number(h->ring.head_pos));
}

static void head_near(struct hostile *h)
{
    atomic_store(&h->ring.head->head, h->ring.head_pos - below(8) * 8 + 8 * below(8));
}

static void head_full(struct hostile *h)
{
    uint64_t tail = sim_producer_pos(&h->ring, SHM_POS_ACCEPTED);

    atomic_store(&h->ring.head->head, tail + h->ring.data_bytes + below(2) * 8);
}

static void mark_odd(struct hostile *h)
{
    struct shm_mark *mark = &h->ring.consumer->mark[below(SHM_POS_COUNT)];

    atomic_store(&mark->pos, odd_number(atomic_load(&mark->pos)));
}

static void wanted_odd(struct hostile *h)
{
    atomic_store(&h->ring.page->wanted[below(SHM_POS_COUNT)], odd_number(h->ring.head_pos));
}

static void drops_odd(struct hostile *h)
{
    atomic_store(&h->ring.page->drops[below(SHM_DROP_COUNT)], odd_number(0));
}

static void producer_page(struct hostile *h)
{
    bytes_random((uint8_t *)h->ring.page, 4096);
}

static void consumer_word(struct hostile *h)
{
    struct shm_consumer *c = h->ring.consumer;

    switch (below(5)) {
    case 0:
        atomic_store(&c->agent_epoch, sim_random());
        break;
    case 1:
        atomic_store(&c->ring_id, odd_number(1));
        break;
    case 2:
        atomic_store(&c->quarantine, (uint32_t)odd_number(SHM_QUARANTINE_FRAME));
        break;
    case 3:
        atomic_store(&c->waits, (uint32_t)odd_number(SHM_WAIT_RINGS));
        break;
    default:
        atomic_store(&c->quarantine_pos, sim_random());
        break;
    }
}

static void consumer_page(struct hostile *h)
{
    bytes_random((uint8_t *)h->ring.consumer, sizeof(struct shm_consumer));
}

static void waiter_up(struct hostile *h)
{
    atomic_store(&h->ring.page->waiter, 1);
}

static void closed_up(struct hostile *h)
{
    atomic_store(&h->ring.page->closed, (uint32_t)odd_number(1));
}

/* ---- Definitions ---- */

static void defs_len_odd(struct hostile *h)
{
    atomic_store(&h->ring.page->defs_bytes, (uint32_t)odd_number(h->defs_used));
}

static void defs_bit(struct hostile *h)
{
    h->ring.defs[below(h->defs_used + 16)] ^= (uint8_t)(1U << below(8));
}

/* One more entry, valid but for one field. */
static void def_field(struct hostile *h)
{
    struct shm_def def = {.bytes = 24, .number = (uint16_t)(h->defs_count + 1),
                          .type = SHM_DEF_STREAM, .body_len = 8};
    uint8_t *at = h->ring.defs + h->defs_used;

    if (h->defs_used + 64 > SHM_DEFS_BYTES)
        return;
    memcpy(at + sizeof(def), h->tag, 8);
    switch (below(8)) {
    case 0:
        def.bytes = (uint32_t)odd_number(def.bytes);
        break;
    case 1:
        def.number = (uint16_t)odd_number(def.number);
        break;
    case 2:
        def.type = (uint8_t)odd_number(SHM_DEF_SCHEMA);
        break;
    case 3:
        def.body_len = (uint32_t)odd_number(def.body_len);
        break;
    case 4:
        def.stream = (uint16_t)odd_number(1);
        break;
    case 5:
        def.reserved0 = (uint8_t)sim_random();
        break;
    case 6:
        def.type = SHM_DEF_SCHEMA;
        def.stream = 1;
        break;
    default:
        at[sizeof(def) + below(8)] = (uint8_t)sim_random();
        break;
    }
    memcpy(at, &def, sizeof(def));
    h->defs_used += 24;
    h->defs_count++;
    atomic_store(&h->ring.page->defs_bytes, h->defs_used);
}

/* As many as there can be; most exceed what their user may have. */
static void defs_many(struct hostile *h)
{
    while (h->defs_used + 24 <= SHM_DEFS_BYTES && h->defs_count < SHM_DEFS_MAX) {
        struct shm_def def = {.bytes = 24, .number = (uint16_t)(h->defs_count + 1),
                              .type = SHM_DEF_STREAM, .body_len = 8};
        uint8_t *at = h->ring.defs + h->defs_used;

        memcpy(at, &def, sizeof(def));
        memcpy(at + sizeof(def), h->tag + below(4), 8);
        h->defs_used += 24;
        h->defs_count++;
    }
    atomic_store(&h->ring.page->defs_bytes, h->defs_used);
}

static void defs_again(struct hostile *h)
{
    bytes_random(h->ring.defs, h->defs_used);
}

/* ---- Frames ---- */

static uint8_t *data_at(struct hostile *h, uint64_t pos)
{
    return h->ring.data + (pos & (h->ring.data_bytes - 1) & ~7ULL);
}

/* The next frame, valid but for one field. */
static void frame_field(struct hostile *h)
{
    struct shm_frame frame = {.len = 40, .def = 1, .kind = SHM_KIND_JSON};

    switch (below(5)) {
    case 0:
        frame.len = (uint32_t)odd_number(frame.len);
        break;
    case 1:
        frame.def = (uint16_t)odd_number(h->defs_count);
        break;
    case 2:
        frame.kind = (uint8_t)odd_number(SHM_KIND_RECORD);
        break;
    case 3:
        frame.flags = (uint8_t)(1 + below(255));
        break;
    default:
        frame.time_ns = odd_number(0);
        break;
    }
    memcpy(data_at(h, h->ring.head_pos), &frame, sizeof(frame));
    h->ring.head_pos += 56;
    sim_producer_publish(&h->ring);
}

static void data_bits(struct hostile *h)
{
    for (unsigned i = 0; i < 4; i++)
        h->ring.data[below(h->ring.data_bytes)] ^= (uint8_t)(1U << below(8));
}

static void data_fill(struct hostile *h)
{
    static const uint8_t with[] = {0, 0xff, 0x01, 0x20};
    uint64_t tail = sim_producer_pos(&h->ring, SHM_POS_ACCEPTED);

    if (below(2))
        bytes_random(data_at(h, tail), 64);
    else
        memset(h->ring.data, with[below(sizeof(with))], h->ring.data_bytes);
    atomic_store(&h->ring.head->head, tail + 64 * below(1024));
}

/* Nothing but frames without a payload, as many as there is room for. */
static void data_minimal(struct hostile *h)
{
    const struct shm_frame frame = {.def = 1, .kind = SHM_KIND_TEXT};
    uint64_t tail = sim_producer_pos(&h->ring, SHM_POS_ACCEPTED);

    if (h->ring.head_pos - tail > h->ring.data_bytes)
        return;
    while (h->ring.head_pos - tail + sizeof(frame) <= h->ring.data_bytes) {
        uint8_t *at = data_at(h, h->ring.head_pos);

        memcpy(at, &frame, 8);
        memset(data_at(h, h->ring.head_pos + 8), 0, 8);
        h->ring.head_pos += sizeof(frame);
    }
    sim_producer_publish(&h->ring);
}

static void data_whole(struct hostile *h)
{
    bytes_random(h->ring.data, 8192);
    atomic_store(&h->ring.head->head, h->ring.head_pos + 8 * below(1024));
}

/* ---- The file ---- */

static void path_of(const char *name, char path[SIM_PRODUCER_PATH_MAX])
{
    snprintf(path, SIM_PRODUCER_PATH_MAX, HOSTILE_DIR "/%s", name);
}

static void file_cut(struct hostile *h)
{
    static const uint64_t sizes[] = {0, 1, 111, 112, 4096, 8192, 12288, 77823, 77824};

    (void)sim_truncate(h->ring.path, below(3) ? sizes[below(sizeof(sizes) / sizeof(sizes[0]))]
                                              : below(h->ring.file_bytes));
}

static void file_grow(struct hostile *h)
{
    (void)sim_truncate(h->ring.path, h->ring.file_bytes + 4096 * (1 + below(64)));
}

static void file_hole(struct hostile *h)
{
    (void)sim_punch(h->ring.path, 4096 * below(h->ring.file_bytes / 4096),
                    4096 * (1 + below(16)));
}

static void file_fault(struct hostile *h)
{
    (void)sim_guard_fault(h->ring.path);
}

static void file_gone(struct hostile *h)
{
    (void)sim_unlink(h->ring.path);
}

static void file_owner(struct hostile *h)
{
    h->uid = (uint32_t)(2000 + below(4));
    (void)sim_chown(h->ring.path, h->uid, h->uid);
}

/* Another file takes its name: a directory, a symlink, a device, an empty one. */
static void file_replaced(struct hostile *h)
{
    if (sim_unlink(h->ring.path) != 0)
        return;
    switch (below(6)) {
    case 0:
        (void)sim_mkdir(h->ring.path);
        break;
    case 1:
        (void)sim_symlink(below(2) ? h->ring.path : "p0.ring", h->ring.path);
        break;
    case 2:
        (void)sim_mknod(h->ring.path, S_IFIFO | 0666);
        break;
    case 3:
        (void)sim_mknod(h->ring.path, S_IFSOCK | 0666);
        break;
    case 4:
        (void)sim_mknod(h->ring.path, S_IFCHR | 0666);
        break;
    default:
        (void)sim_write_file(h->ring.path, h->ring.bytes, below(200));
        break;
    }
    /* What follows would go through the link, to a file that is not this one's to change. */
    path_of("gone", h->ring.path);
}

/* A copy of it, or of another one's file, beside it or in the other's place. */
static void file_copied(struct hostile *h)
{
    const struct hostile *from = h->other && below(2) ? h->other : h;
    char path[SIM_PRODUCER_PATH_MAX], name[64];
    uint8_t *bytes;
    size_t len;

    if (sim_read_file(from->ring.path, &bytes, &len) != 0)
        return;
    snprintf(name, sizeof(name), "c%llu.ring", (unsigned long long)below(64));
    path_of(name, path);
    (void)sim_write_file(path, bytes, len);
    (void)sim_chown(path, h->uid, h->uid);
    free(bytes);
}

static void file_renamed(struct hostile *h)
{
    static const char *const names[] = {".%u.ring", "-%u.ring", "n\n%u.ring", "\xff%u.ring",
                                        "r%u.ring.ring", "r%u", "r%u.RING", "_%u..ring"};
    char path[SIM_PRODUCER_PATH_MAX], name[64];

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(name, sizeof(name), names[below(sizeof(names) / sizeof(names[0]))],
             (unsigned)below(64));
#pragma GCC diagnostic pop
    path_of(name, path);
    if (sim_rename(h->ring.path, path) == 0)
        memcpy(h->ring.path, path, sizeof(h->ring.path));
}

/* ---- The table ---- */

static struct {
    const char *name;
    void (*apply)(struct hostile *h);
    enum hostile_what what;
    uint64_t count;
} kinds[] = {
    {"superblock: a bit", super_bit, HOSTILE_BYTES, 0},
    {"superblock: a field, summed", super_field, HOSTILE_BYTES, 0},
    {"superblock: another size, summed", super_size, HOSTILE_BYTES, 0},
    {"superblock: another's uuid", super_uuid, HOSTILE_BYTES, 0},
    {"superblock: another boot", super_boot, HOSTILE_BYTES, 0},
    {"superblock: random", super_random, HOSTILE_BYTES, 0},
    {"head: an odd number", head_odd, HOSTILE_BYTES, 0},
    {"head: near", head_near, HOSTILE_BYTES, 0},
    {"head: a full ring", head_full, HOSTILE_BYTES, 0},
    {"published position: an odd number", mark_odd, HOSTILE_BYTES, 0},
    {"wanted position: an odd number", wanted_odd, HOSTILE_BYTES, 0},
    {"drops: an odd number", drops_odd, HOSTILE_BYTES, 0},
    {"producer page: random", producer_page, HOSTILE_BYTES, 0},
    {"consumer page: a word", consumer_word, HOSTILE_BYTES, 0},
    {"consumer page: random", consumer_page, HOSTILE_BYTES, 0},
    {"waiter raised", waiter_up, HOSTILE_BYTES, 0},
    {"closed raised", closed_up, HOSTILE_BYTES, 0},
    {"definitions: length an odd number", defs_len_odd, HOSTILE_BYTES, 0},
    {"definitions: a bit", defs_bit, HOSTILE_BYTES, 0},
    {"definitions: a field of a new one", def_field, HOSTILE_BYTES, 0},
    {"definitions: a thousand", defs_many, HOSTILE_BYTES, 0},
    {"definitions: written over", defs_again, HOSTILE_BYTES, 0},
    {"frame: a field of the next", frame_field, HOSTILE_BYTES, 0},
    {"data: bits", data_bits, HOSTILE_BYTES, 0},
    {"data: filled", data_fill, HOSTILE_BYTES, 0},
    {"data: minimal frames", data_minimal, HOSTILE_BYTES, 0},
    {"data: random", data_whole, HOSTILE_BYTES, 0},
    {"file: cut", file_cut, HOSTILE_FILES, 0},
    {"file: grown", file_grow, HOSTILE_FILES, 0},
    {"file: holes", file_hole, HOSTILE_FILES, 0},
    {"file: pages lost", file_fault, HOSTILE_FILES, 0},
    {"file: unlinked", file_gone, HOSTILE_FILES, 0},
    {"file: another owner", file_owner, HOSTILE_FILES, 0},
    {"file: replaced", file_replaced, HOSTILE_FILES, 0},
    {"file: copied", file_copied, HOSTILE_FILES, 0},
    {"file: renamed", file_renamed, HOSTILE_FILES, 0},
};

enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

void hostile_mutate(struct hostile *h, enum hostile_what what)
{
    unsigned kind = (unsigned)below(KINDS);

    while (kinds[kind].what > what)
        kind = (unsigned)below(KINDS);
    kinds[kind].count++;
    kinds[kind].apply(h);
}

unsigned hostile_kinds(void)
{
    return KINDS;
}

const char *hostile_kind_name(unsigned kind)
{
    return kinds[kind].name;
}

uint64_t hostile_kind_count(unsigned kind)
{
    return kinds[kind].count;
}

/* ---- An image's life ---- */

void hostile_open(struct hostile *h, const char *name, uint32_t uid, const char *stream,
                  const char *tag)
{
    const struct hostile *other = h->other;
    uint16_t number;

    memset(h, 0, sizeof(*h));
    h->other = other;
    h->uid = uid;
    snprintf(h->name, sizeof(h->name), "%s", name);
    snprintf(h->stream, sizeof(h->stream), "%s", stream);
    snprintf(h->tag, sizeof(h->tag), "%s", tag);
    INVARIANT(sim_producer_open(&h->ring, HOSTILE_DIR, name,
                                (uint64_t)SHM_RING_BYTES_MIN << (below(16) == 0 ? below(3) : 0))
              == 0);
    INVARIANT(sim_chown(h->ring.path, uid, uid) == 0);
    h->open = true;
    INVARIANT(sim_producer_stream(&h->ring, stream, &number) == 0);
    h->defs_used = h->ring.defs_used;
    h->defs_count = h->ring.defs_count;
    for (uint64_t n = below(12); n > 0; n--)
        hostile_write(h);
}

void hostile_write(struct hostile *h)
{
    char json[128];

    snprintf(json, sizeof(json), "{\"h\":\"%s\",\"n\":%llu}", h->tag,
             (unsigned long long)h->ring.head_pos);
    /* Refusals are the ring's own harm. */
    (void)sim_producer_write(&h->ring, h->stream, json);
}

void hostile_close(struct hostile *h)
{
    if (!h->open)
        return;
    h->open = false;
    sim_producer_die(&h->ring);
}

void hostile_ruin(struct hostile *h)
{
    atomic_store(&h->ring.head->head, h->ring.head_pos | 1);
}
