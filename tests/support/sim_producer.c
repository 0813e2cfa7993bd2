/*
 * sim_producer: see sim_producer.h. Written from shm_wire.h alone, so that it checks the client
 * library and the agent instead of sharing their mistakes.
 *
 * Owns:   nothing.
 * Thread: one.
 * Units:  positions in bytes, free-running.
 */
#include "support/sim_producer.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "io/file.h"
#include "support/sim.h"

enum { PAGE_BYTES = 4096, HEAD_OFFSET = 256, BUILD_CHUNK_BYTES = 65536 };

static uint32_t crc32c_slow(const void *data, size_t len)
{
    const uint8_t *p = data;
    uint32_t crc = 0xffffffffU;

    while (len-- > 0) {
        crc ^= *p++;
        for (int bit = 0; bit < 8; bit++)
            crc = (crc >> 1) ^ (0x82f63b78U & (0U - (crc & 1U)));
    }
    return ~crc;
}

void sim_producer_reseal(struct sim_producer *p)
{
    p->superblock->crc32c =
        crc32c_slow(p->superblock, offsetof(struct shm_superblock, crc32c));
}

static void superblock_fill(struct sim_producer *p)
{
    struct shm_superblock *sb = p->superblock;
    uint64_t word;

    sb->magic = SHM_MAGIC;
    sb->version_major = SHM_VERSION_MAJOR;
    sb->version_minor = SHM_VERSION_MINOR;
    sb->page_bytes = PAGE_BYTES;
    sb->head_offset = HEAD_OFFSET;
    sb->defs_offset = 3 * PAGE_BYTES;
    sb->defs_bytes = SHM_DEFS_BYTES;
    sb->data_offset = 3 * PAGE_BYTES + SHM_DEFS_BYTES;
    sb->data_bytes = p->data_bytes;
    sb->file_bytes = p->file_bytes;
    for (size_t i = 0; i < sizeof(sb->uuid); i += sizeof(word)) {
        word = sim_random();
        memcpy(sb->uuid + i, &word, sizeof(word));
    }
    file_boot_id(sb->boot_id);
    sb->created_ns = sim_real_ns();
    sb->pid = 4242;
    sim_producer_reseal(p);
}

int sim_producer_open(struct sim_producer *p, const char *dir, const char *name,
                      uint64_t ring_bytes)
{
    static const uint8_t zeros[BUILD_CHUNK_BYTES];
    char hidden[SIM_PRODUCER_PATH_MAX];
    int rc, n;

    memset(p, 0, sizeof(*p));
    p->data_bytes = ring_bytes;
    p->file_bytes = 3 * PAGE_BYTES + SHM_DEFS_BYTES + ring_bytes;
    n = snprintf(p->path, sizeof(p->path), "%s/%s", dir, name);
    if (n < 0 || (size_t)n >= sizeof(p->path))
        return -ENAMETOOLONG;
    n = snprintf(hidden, sizeof(hidden), "%s/.%s", dir, name);
    if (n < 0 || (size_t)n >= sizeof(hidden))
        return -ENAMETOOLONG;
    rc = sim_write_file(hidden, NULL, 0);
    /* Written, and so allocated, to its end. */
    for (uint64_t at = 0; at < p->file_bytes && rc == 0; at += BUILD_CHUNK_BYTES) {
        size_t len = p->file_bytes - at < BUILD_CHUNK_BYTES ? (size_t)(p->file_bytes - at)
                                                            : BUILD_CHUNK_BYTES;
        rc = sim_poke(hidden, at, zeros, len);
    }
    if (rc != 0)
        return rc;
    rc = sim_map(hidden, &p->bytes);
    if (rc != 0)
        return rc;
    p->superblock = (void *)p->bytes;
    p->page = (void *)(p->bytes + PAGE_BYTES);
    p->head = (void *)(p->bytes + PAGE_BYTES + HEAD_OFFSET);
    p->consumer = (void *)(p->bytes + 2 * PAGE_BYTES);
    p->defs = p->bytes + 3 * PAGE_BYTES;
    p->data = p->defs + SHM_DEFS_BYTES;
    superblock_fill(p);
    rc = sim_rename(hidden, p->path);
    p->open = rc == 0;
    if (rc != 0)
        sim_unmap(p->bytes);
    return rc;
}

/* One definition more, of any type but with these bytes. */
static int def_add(struct sim_producer *p, struct shm_def def, const void *body, size_t len,
                   uint16_t *ret_number)
{
    def.body_len = (uint32_t)len;
    def.bytes = (uint32_t)((sizeof(def) + len + 7) / 8 * 8);
    if (p->defs_count == SIM_PRODUCER_STREAMS_MAX || p->defs_used + def.bytes > SHM_DEFS_BYTES)
        return -ENOSPC;
    def.number = ++p->defs_count;
    memcpy(p->defs + p->defs_used, &def, sizeof(def));
    memcpy(p->defs + p->defs_used + sizeof(def), body, len);
    p->defs_used += def.bytes;
    atomic_store_explicit(&p->page->defs_bytes, p->defs_used, memory_order_release);
    *ret_number = def.number;
    return 0;
}

int sim_producer_stream(struct sim_producer *p, const char *stream, uint16_t *ret_number)
{
    size_t name_len = strlen(stream);
    int rc;

    for (uint16_t i = 0; i < p->defs_count; i++) {
        if (strcmp(p->streams[i], stream) == 0) {
            *ret_number = (uint16_t)(i + 1);
            return 0;
        }
    }
    if (name_len > SHM_STREAM_NAME_MAX)
        return -EINVAL;
    rc = def_add(p, (struct shm_def){.type = SHM_DEF_STREAM}, stream, name_len, ret_number);
    if (rc == 0)
        memcpy(p->streams[*ret_number - 1], stream, name_len + 1);
    return rc;
}

int sim_producer_schema(struct sim_producer *p, uint16_t stream, const void *body, size_t len,
                        uint16_t *ret_number)
{
    return def_add(p, (struct shm_def){.type = SHM_DEF_SCHEMA, .stream = stream}, body, len,
                   ret_number);
}

static void ring_copy(struct sim_producer *p, uint64_t pos, const void *src, size_t len)
{
    size_t at = (size_t)(pos & (p->data_bytes - 1));
    size_t first = len < p->data_bytes - at ? len : (size_t)p->data_bytes - at;

    if (len == 0)
        return;
    memcpy(p->data + at, src, first);
    memcpy(p->data, (const uint8_t *)src + first, len - first);
}

int sim_producer_append(struct sim_producer *p, uint16_t stream, enum shm_kind kind,
                        uint64_t time_ns, const void *data, size_t len)
{
    struct shm_frame frame = {.def = stream, .kind = (uint8_t)kind, .time_ns = time_ns};
    uint64_t tail = atomic_load_explicit(&p->consumer->mark[SHM_POS_ACCEPTED].pos,
                                         memory_order_acquire);

    if (len > shm_event_bytes_max(p->data_bytes))
        return -EMSGSIZE;
    frame.len = (uint32_t)len;
    if (p->head_pos - tail + shm_frame_bytes(frame.len) > p->data_bytes)
        return -EAGAIN;
    ring_copy(p, p->head_pos, &frame, sizeof(frame));
    ring_copy(p, p->head_pos + sizeof(frame), data, len);
    p->head_pos += shm_frame_bytes(frame.len);
    return 0;
}

void sim_producer_publish(struct sim_producer *p)
{
    /* A1: pairs with the agent's acquire of head. */
    atomic_store_explicit(&p->head->head, p->head_pos, memory_order_release);
}

int sim_producer_write(struct sim_producer *p, const char *stream, const char *json)
{
    uint16_t number;
    int rc = sim_producer_stream(p, stream, &number);

    if (rc == 0)
        rc = sim_producer_append(p, number, SHM_KIND_JSON, 0, json, strlen(json));
    if (rc == 0)
        sim_producer_publish(p);
    return rc;
}

void sim_producer_die(struct sim_producer *p)
{
    if (!p->open)
        return;
    p->open = false;
    sim_unmap(p->bytes);
}

void sim_producer_close(struct sim_producer *p)
{
    if (!p->open)
        return;
    atomic_store_explicit(&p->page->closed, 1, memory_order_relaxed);
    sim_producer_die(p);
}

void sim_producer_want(struct sim_producer *p, enum shm_pos pos)
{
    char bell[SIM_PRODUCER_PATH_MAX + sizeof(SHM_BELL_NAME)];
    const char *slash = strrchr(p->path, '/');

    atomic_store_explicit(&p->page->wanted[pos], p->head_pos, memory_order_relaxed);
    snprintf(bell, sizeof(bell), "%.*s/%s", (int)(slash - p->path), p->path, SHM_BELL_NAME);
    /* No bell, or a full one: the timer of the agent finds the wish. */
    sim_ring_bell(bell);
}

uint64_t sim_producer_pos(const struct sim_producer *p, enum shm_pos pos)
{
    return atomic_load_explicit(&p->consumer->mark[pos].pos, memory_order_acquire);
}
