/*
 * cli_bench_ring: the ring as a wire. The writer is the client library as a user has it; the reader
 * uses the agent's own code to attach, check and publish.
 * Owns:   handle, or attached ring file and its mapping.
 * Thread: one in each process.
 * Units:  pos = free-running ring position.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "cli/cli_bench_measure.h"
#include "cli/cli_bench_wire.h"
#include "io/file.h"

#define FULL_NS_MAX   10000000000U /* a ring that stays full so long has lost its reader */
#define SPINS_A_CHECK 65536U

static int ring_make(struct wire *w, struct errmsg *err)
{
    struct shmc_options opt = SHMC_OPTIONS_INIT;
    int rc;

    opt.name = "bench";
    opt.shm_dir = w->opt.shm_dir;
    opt.ring_bytes = w->opt.ring_bytes;
    opt.full = SHMC_FULL_FAIL;
    opt.clock = w->opt.clock;
    rc = shmc_open(&opt, &w->ring);
    if (rc != 0)
        return errmsg_set(err, rc, "%s", shmc_error(NULL));
    (void)snprintf(w->ring_name, sizeof(w->ring_name), "%s", shmc_name(w->ring));
    rc = shmc_stream(w->ring, "bench", &w->stream);
    return rc == 0 ? 0 : errmsg_set(err, rc, "%s", shmc_error(w->ring));
}

static int on_def(void *ctx, const struct ring_def *def)
{
    (void)ctx;
    (void)def;
    return 0;
}

/* The data twice in a row, like the producer has it, so that a span is one copy. */
static int ring_map(struct wire *w, struct errmsg *err)
{
    size_t bytes = w->file.super.data_bytes;
    off_t at = (off_t)w->file.super.data_offset;
    uint8_t *map = mmap(NULL, 2 * bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (map == MAP_FAILED)
        return errmsg_set_errno(err, -errno, "address space for the ring");
    w->map = map;
    for (size_t i = 0; i < 2; i++)
        if (mmap(map + i * bytes, bytes, PROT_READ, MAP_SHARED | MAP_FIXED | MAP_POPULATE,
                 w->file.fd, at) == MAP_FAILED)
            return errmsg_set_errno(err, -errno, "mapping the ring");
    return 0;
}

static int ring_reader_open(struct wire *w, const char *ring_name, struct errmsg *err)
{
    enum shm_quarantine reason;
    uint64_t head;
    int dir, rc;

    dir = file_open(FILE_CWD, w->opt.shm_dir, O_RDONLY | O_DIRECTORY, 0);
    if (dir < 0)
        return errmsg_set_errno(err, dir, "'%s'", w->opt.shm_dir);
    rc = ring_file_open(dir, ring_name, -1, &w->file, &reason, err);
    if (rc == 0) {
        /* Both ends have it: whatever happens to them now leaves no file behind. */
        rc = ring_file_remove(dir, &w->file);
        if (rc != 0)
            (void)errmsg_set_errno(err, rc, "removing ring '%s'", ring_name);
    }
    file_close(dir);
    if (rc != 0)
        return rc;
    if (w->opt.kind == WIRE_RING_MAP)
        rc = ring_map(w, err);
    if (rc != 0)
        return rc;
    rc = ring_file_head(&w->file, 0, &head, &reason);
    if (rc == 0)
        rc = ring_file_defs(&w->file, on_def, NULL, &reason);
    if (rc != 0)
        return errmsg_set(err, rc, "ring '%s': %s", ring_name, ring_quarantine_name(reason));
    ring_file_adopt(&w->file, 1, 1);
    w->chunk = aligned_alloc(FILE_BLOCK_BYTES, w->file.super.data_bytes / 8);
    if (w->chunk == NULL)
        return errmsg_set_errno(err, -ENOMEM, "chunk");
    memset(w->chunk, 0, w->file.super.data_bytes / 8);
    return 0;
}

/*
 * The ring is full: again until there is room. Its file is gone since the reader has it, so that a
 * reader who stands still for long makes it -ESTALE meanwhile.
 */
static __attribute__((noinline)) int ring_put_waiting(struct wire *w, const void *data)
{
    uint64_t start_ns = bench_now_ns();
    uint32_t spin = 0;
    int rc;

    do {
        bench_relax();
        rc = shmc_write(w->ring, w->stream, SHMC_BYTES, data, w->opt.event_bytes);
        if (++spin % SPINS_A_CHECK == 0 && bench_now_ns() - start_ns > FULL_NS_MAX)
            return -ETIMEDOUT;
    } while (rc == -EAGAIN || rc == -ESTALE);
    return rc;
}

static int ring_put(struct wire *w, const void *data, uint32_t count)
{
    struct shmc *ring = w->ring;
    uint32_t bytes = w->opt.event_bytes;
    uint16_t stream = w->stream;

    for (uint32_t i = 0; i < count; i++) {
        int rc = shmc_write(ring, stream, SHMC_BYTES, data, bytes);

        if (__builtin_expect(rc == -EAGAIN || rc == -ESTALE, 0))
            rc = ring_put_waiting(w, data);
        if (__builtin_expect(rc != 0, 0))
            return rc;
    }
    return 0;
}

static int ring_put_end(struct wire *w)
{
    (void)w;
    return 0;
}

/* A span of the ring's bytes to private memory; it may wrap in the file. */
static int span_copy(struct wire *w, uint64_t len)
{
    uint64_t bytes = w->file.super.data_bytes, at = w->pos & (bytes - 1);
    uint64_t first = bytes - at < len ? bytes - at : len;
    ssize_t n;

    if (w->map != NULL) {
        memcpy(w->chunk, w->map + at, len);
        return 0;
    }
    n = file_read(w->file.fd, w->chunk, first, w->file.super.data_offset + at);
    if (n == (ssize_t)first && first < len) {
        n = file_read(w->file.fd, w->chunk + first, len - first, w->file.super.data_offset);
        first = len - first;
    }
    return n == (ssize_t)first ? 0 : n < 0 ? (int)n : -EIO;
}

static int ring_take(struct wire *w, uint64_t *ret_events, const uint8_t **ret_first)
{
    uint64_t eighth = w->file.super.data_bytes / 8, head, len;
    struct frames_summary sum;
    enum shm_quarantine reason;
    int rc = ring_file_head(&w->file, w->pos, &head, &reason);

    *ret_events = 0;
    if (rc != 0 || head == w->pos)
        return rc;
    len = head - w->pos < eighth ? head - w->pos : eighth;
    rc = span_copy(w, len);
    if (rc != 0)
        return rc;
    if (frames_check(w->chunk, len, shm_event_bytes_max(w->file.super.data_bytes),
                     w->file.defs_count, &w->file.schemas, &w->scratch, &sum) != FRAMES_OK)
        return -EBADMSG;
    frames_scratch_clear(&w->scratch);
    w->pos += sum.bytes_whole;
    if (w->pos == head || w->pos - w->released >= eighth) {
        ring_file_publish(&w->file, SHM_POS_ACCEPTED, w->pos);
        w->released = w->pos;
    }
    *ret_events = sum.events;
    *ret_first = w->chunk + sizeof(struct shm_frame);
    return 0;
}

static void ring_close(struct wire *w)
{
    if (w->map != NULL)
        (void)munmap((void *)(uintptr_t)w->map, 2 * w->file.super.data_bytes);
    ring_file_close(&w->file);
    (void)shmc_close(w->ring);
}

const struct wire_ops wire_ring_ops = {
    .prepare = wire_nothing,
    .ring_make = ring_make,
    .writer_open = wire_nothing,
    .reader_open = ring_reader_open,
    .put = ring_put,
    .put_end = ring_put_end,
    .take = ring_take,
    .close = ring_close,
};
