/*
 * ring_builder: ring files by the layout of shm_wire.h, for tests that play an honest producer or
 * a lying one. Everything is in reach: the mapping is the whole file.
 *
 * Owns:   descriptor and mapping of a struct built; the test's directory below /dev/shm.
 * Thread: one at a time.
 * Units:  bytes; positions are free-running.
 */
#ifndef TESTS_RING_BUILDER_H
#define TESTS_RING_BUILDER_H

#include <fcntl.h>
#include <ftw.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "base/invariant.h"
#include "io/file.h"
#include "shm_wire.h"

#define BUILT_HEAD_OFFSET 512U

struct built {
    int fd;                             /* owned */
    uint8_t *map;                       /* owned, file_bytes long */
    uint64_t page_bytes, file_bytes;
    struct shm_superblock *super;
    struct shm_producer *producer;
    struct shm_head *head;
    struct shm_consumer *consumer;
    uint8_t *defs, *data;
    uint64_t pos;                       /* written, not necessarily published */
    uint32_t defs_len;
    uint16_t defs_count;
};

/* Makes a directory on tmpfs; its descriptor is returned, its path stored. */
static inline int built_dir_open(char path[64])
{
    int fd;

    snprintf(path, 64, "/dev/shm/ring-test-XXXXXX");
    INVARIANT(mkdtemp(path) != NULL);
    fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    INVARIANT(fd >= 0);
    return fd;
}

static inline int built_dir_remove_one(const char *path, const struct stat *st, int type,
                                       struct FTW *where)
{
    (void)st;
    (void)type;
    (void)where;
    return remove(path);
}

/* Removes the directory and all that is in it. */
static inline void built_dir_close(int fd, const char *path)
{
    close(fd);
    INVARIANT(nftw(path, built_dir_remove_one, 16, FTW_DEPTH | FTW_PHYS) == 0);
}

static inline void built_seal_superblock(struct built *b)
{
    b->super->crc32c = crc32c(0, b->super, offsetof(struct shm_superblock, crc32c));
}

/* Makes dir/name with a valid superblock. An OFD lock on it is the caller's to take. */
static inline void built_open(struct built *b, int dir, const char *name, uint64_t data_bytes)
{
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);

    memset(b, 0, sizeof(*b));
    b->page_bytes = page;
    b->file_bytes = 3 * page + SHM_DEFS_BYTES + data_bytes;
    b->fd = openat(dir, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    INVARIANT(b->fd >= 0);
    INVARIANT(posix_fallocate(b->fd, 0, (off_t)b->file_bytes) == 0);
    b->map = mmap(NULL, b->file_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, b->fd, 0);
    INVARIANT(b->map != MAP_FAILED);
    b->super = (void *)b->map;
    b->producer = (void *)(b->map + page);
    b->head = (void *)(b->map + page + BUILT_HEAD_OFFSET);
    b->consumer = (void *)(b->map + 2 * page);
    b->defs = b->map + 3 * page;
    b->data = b->defs + SHM_DEFS_BYTES;

    b->super->magic = SHM_MAGIC;
    b->super->version_major = SHM_VERSION_MAJOR;
    b->super->version_minor = SHM_VERSION_MINOR;
    b->super->page_bytes = (uint32_t)page;
    b->super->head_offset = BUILT_HEAD_OFFSET;
    b->super->defs_offset = 3 * page;
    b->super->defs_bytes = SHM_DEFS_BYTES;
    b->super->data_offset = 3 * page + SHM_DEFS_BYTES;
    b->super->data_bytes = data_bytes;
    b->super->file_bytes = b->file_bytes;
    file_random(b->super->uuid, sizeof(b->super->uuid));
    INVARIANT(file_boot_id(b->super->boot_id) == 0);
    b->super->created_ns = 1;
    b->super->pid = (uint32_t)getpid();
    built_seal_superblock(b);
}

static inline void built_close(struct built *b)
{
    munmap(b->map, b->file_bytes);
    close(b->fd);
    b->fd = -1;
}

/* What a producer does: the mapping keeps the lock, the descriptor goes. */
static inline void built_lock(const struct built *b)
{
    struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

    INVARIANT(fcntl(b->fd, F_OFD_SETLK, &lock) == 0);
}

/* Writes an entry as it is given, behind the others, and publishes it. */
static inline void built_define_raw(struct built *b, const struct shm_def *def, const void *body,
                                    size_t body_len)
{
    INVARIANT(b->defs_len + sizeof(*def) + body_len <= SHM_DEFS_BYTES);
    memcpy(b->defs + b->defs_len, def, sizeof(*def));
    memcpy(b->defs + b->defs_len + sizeof(*def), body, body_len);
    b->defs_len += def->bytes;
    b->defs_count++;
    atomic_store_explicit(&b->producer->defs_bytes, b->defs_len, memory_order_release);
}

static inline struct shm_def built_stream_def(const struct built *b, const char *name)
{
    struct shm_def def = {
        .bytes = (uint32_t)((sizeof(def) + strlen(name) + 7) & ~(size_t)7),
        .number = (uint16_t)(b->defs_count + 1),
        .type = SHM_DEF_STREAM,
        .body_len = (uint32_t)strlen(name),
    };

    return def;
}

static inline uint16_t built_define(struct built *b, const char *name)
{
    struct shm_def def = built_stream_def(b, name);

    built_define_raw(b, &def, name, strlen(name));
    return def.number;
}

/* body_len is that of a body which is written as it is. */
static inline uint16_t built_define_schema(struct built *b, uint16_t stream, const void *body,
                                           size_t body_len)
{
    struct shm_def def = {
        .bytes = (uint32_t)((sizeof(def) + body_len + 7) & ~(size_t)7),
        .number = (uint16_t)(b->defs_count + 1),
        .type = SHM_DEF_SCHEMA,
        .body_len = (uint32_t)body_len,
        .stream = stream,
    };

    built_define_raw(b, &def, body, body_len);
    return def.number;
}

/* One frame at at[]; returns its bytes with padding. */
static inline uint64_t built_frame(uint8_t *at, uint16_t def, uint8_t kind, const void *payload,
                                   uint32_t len)
{
    struct shm_frame frame = { .len = len, .def = def, .kind = kind, .time_ns = 42 };
    uint64_t bytes = shm_frame_bytes(len);

    memset(at, 0, bytes);
    memcpy(at, &frame, sizeof(frame));
    if (len > 0)
        memcpy(at + sizeof(frame), payload, len);
    return bytes;
}

/* Appends a frame, wrapped like the mirror does it, and publishes head. */
static inline void built_append(struct built *b, uint16_t def, uint8_t kind, const void *payload,
                                uint32_t len)
{
    uint64_t bytes = shm_frame_bytes(len), mask = b->super->data_bytes - 1;
    uint8_t *frame = malloc(bytes);

    INVARIANT(frame != NULL);
    built_frame(frame, def, kind, payload, len);
    for (uint64_t i = 0; i < bytes; i++)
        b->data[(b->pos + i) & mask] = frame[i];
    free(frame);
    b->pos += bytes;
    atomic_store_explicit(&b->head->head, b->pos, memory_order_release);
}

#endif
