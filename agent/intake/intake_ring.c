/*
 * intake_ring: an ordinary producer's handle, and what becomes of it when it is spoilt or full.
 *
 * Owns:   see the header.
 * Thread: any one at a time.
 * Units:  *_ns on the boot clock.
 */
#include "intake/intake_ring.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/log.h"
#include "encode/refused.h"
#include "handle.h"

#define RETRY_NS 1000000000ULL

_Static_assert(INTAKE_STREAMS_CAP >= 2 * SHM_DEFS_MAX, "the table is never full");

static const struct shmc_field refused_fields[] = {
    {.name = REFUSED_FIELD_WHY, .type = SHMC_TYPE_STRING},
    {.name = REFUSED_FIELD_DATA, .type = SHMC_TYPE_BYTES},
};

int intake_ring_init(struct intake_ring *r, const char *name, const char *shm_dir,
                     int (*stream_take)(void *ctx, const char *stream), void *ctx,
                     const _Atomic uint32_t *configurations)
{
    *r = (struct intake_ring){.name = name, .shm_dir = shm_dir, .stream_take = stream_take,
                              .ctx = ctx, .configurations = configurations};
    r->streams = calloc(INTAKE_STREAMS_CAP, sizeof(*r->streams));
    return r->streams != NULL ? 0 : -ENOMEM;
}

static void ring_drop(struct intake_ring *r)
{
    if (r->ring == NULL)
        return;
    file_guard_release(&r->guard);
    (void)shmc_close(r->ring);
    r->ring = NULL;
    r->refused_id = 0;
    r->last = NULL;
    r->open = (struct shmc_batch){0};
    memset(r->streams, 0, INTAKE_STREAMS_CAP * sizeof(*r->streams));
}

void intake_ring_fini(struct intake_ring *r)
{
    ring_drop(r);
    free(r->streams);
    r->streams = NULL;
}

/* 0 or -EAGAIN, said once a second at most. */
static int ring_make(struct intake_ring *r, uint64_t now_ns)
{
    struct shmc_options opt = SHMC_OPTIONS_INIT;
    int rc;

    if (r->ring != NULL)
        return 0;
    if (now_ns < r->retry_ns)
        return -EAGAIN;
    r->retry_ns = now_ns + RETRY_NS;
    opt.name = r->name;
    opt.shm_dir = r->shm_dir;
    opt.ring_bytes = INTAKE_RING_BYTES;
    opt.full = SHMC_FULL_FAIL;
    if (shmc_open(&opt, &r->ring) != 0) {
        log_error("intake: no ring, so nothing is read: %s", shmc_error(NULL));
        return -EAGAIN;
    }
    rc = file_guard_adopt(r->ring->segment.base, r->ring->segment.mapped_bytes, &r->guard);
    if (rc != 0) {
        log_error("intake: no guard for the ring, so nothing is read: %s", strerror(-rc));
        ring_drop(r);
        return -EAGAIN;
    }
    r->number++;
    return 0;
}

/* Others have spoilt it: what was in it is theirs to answer for, the next one takes its place. */
static int ring_spoilt(struct intake_ring *r)
{
    uint64_t committed = 0, accepted = 0;

    (void)shmc_position(r->ring, SHMC_COMMITTED, &committed);
    (void)shmc_position(r->ring, SHMC_ACCEPTED, &accepted);
    log_error("intake: ring %s: %s; of its %" PRIu64 " bytes the agent had taken %" PRIu64
              ", the rest may be lost; another ring is made", shmc_name(r->ring),
              file_guard_faulted(&r->guard) ? "its file was cut short" : shmc_error(r->ring),
              committed, accepted);
    ring_drop(r);
    return -EAGAIN;
}

/* What an error of the library means to who writes. */
static int result(struct intake_ring *r, int rc)
{
    uint64_t accepted, committed;

    if (file_guard_faulted(&r->guard))
        return ring_spoilt(r);
    if (rc == 0 || rc == -EAGAIN)
        return rc;
    if (rc != -ENOSPC)
        return ring_spoilt(r);
    /* Its definitions are used up. In order: the next one begins when this one is drained. */
    if (shmc_position(r->ring, SHMC_ACCEPTED, &accepted) == 0 &&
        shmc_position(r->ring, SHMC_COMMITTED, &committed) == 0 && accepted == committed)
        ring_drop(r);
    return -EAGAIN;
}

static int publish(struct intake_ring *r)
{
    struct shmc_batch open = r->open;

    r->open = (struct shmc_batch){0};
    return open.events > 0 ? result(r, shmc_batch_commit(r->ring, &open)) : 0;
}

void intake_ring_publish(struct intake_ring *r)
{
    (void)publish(r);           /* refused: the ring was spoilt, and they with it */
}

/* The place of a stream in the table, or the free one where it belongs. */
static struct intake_stream *stream_at(const struct intake_ring *r, const char *name, size_t len)
{
    uint32_t at = crc32c(0, name, len);

    for (;; at++) {
        struct intake_stream *s = &r->streams[at % INTAKE_STREAMS_CAP];

        if (s->len == 0 || (s->len == len && memcmp(s->name, name, len) == 0))
            return s;
    }
}

static int stream_get(struct intake_ring *r, const char *name, size_t len, uint16_t *ret_id)
{
    struct intake_stream *s;
    /* Relaxed: whoever is told of a configuration too late is as if it had come later. */
    uint32_t now = atomic_load_explicit(r->configurations, memory_order_relaxed);
    char text[STREAM_NAME_MAX + 1];
    int rc;

    if (r->last != NULL && r->last->configuration == now && r->last->len == len &&
        memcmp(r->last->name, name, len) == 0) {
        *ret_id = r->last->id;
        return 0;
    }
    s = stream_at(r, name, len);
    if (s->len != 0 && s->configuration == now) {
        r->last = s;
        *ret_id = s->id;
        return 0;
    }
    rc = publish(r);            /* a ring without place for the stream may be let go */
    if (rc != 0)
        return rc;
    memcpy(text, name, len);
    text[len] = '\0';
    /* A ring that defines one stream too many would wait, and all that is behind it. */
    rc = r->stream_take(r->ctx, text);
    if (rc != 0)
        return rc;
    s->configuration = now;
    *ret_id = s->id;
    if (s->len != 0)
        return 0;
    rc = shmc_stream(r->ring, text, ret_id);
    if (rc != 0)
        return result(r, rc);
    memcpy(s->name, name, len);
    s->len = (uint8_t)len;
    s->id = *ret_id;
    r->last = s;
    return 0;
}

/* Room for a frame of so many bytes in the open batch, or in another one. */
static int room_make(struct intake_ring *r, uint64_t bytes)
{
    int rc;

    if (bytes <= r->open.room - r->open.bytes)
        return 0;
    rc = publish(r);
    if (rc == 0)
        rc = result(r, shmc_batch_begin(r->ring, &r->open));
    return rc == 0 && bytes > r->open.room ? -EAGAIN : rc;
}

int intake_ring_ready(struct intake_ring *r, uint64_t now_ns, size_t len)
{
    int rc = ring_make(r, now_ns);

    return rc == 0 ? room_make(r, shm_frame_bytes((uint32_t)len)) : rc;
}

int intake_ring_write(struct intake_ring *r, uint64_t now_ns, const char *stream, size_t stream_len,
                      uint8_t kind, const uint8_t *data, size_t len)
{
    uint16_t id;
    int rc = ring_make(r, now_ns);

    if (rc == 0)
        rc = stream_get(r, stream, stream_len, &id);
    if (rc == 0)
        rc = room_make(r, shm_frame_bytes((uint32_t)len));
    if (rc != 0)
        return rc;
    rc = shmc_batch_add(r->ring, &r->open, id, kind, data, len);
    return rc == 0 ? 0 : result(r, rc);
}

int intake_ring_refuse(struct intake_ring *r, uint64_t now_ns, const char *stream,
                       enum line_fault fault, const uint8_t *text, size_t len)
{
    const char *why = line_fault_words[fault];
    uint16_t id;
    int rc;

    intake_ring_publish(r);
    rc = ring_make(r, now_ns);
    if (rc == 0)
        rc = stream_get(r, stream, strlen(stream), &id);
    if (rc != 0)
        return rc;
    if (r->refused_id == 0 || r->refused_stream != id) {
        rc = shmc_schema(r->ring, id, refused_fields, 2, &r->refused_id);
        if (rc != 0) {
            r->refused_id = 0;
            return result(r, rc);
        }
        r->refused_stream = id;
    }
    if (len > INTAKE_REFUSED_BYTES_MAX)
        len = INTAKE_REFUSED_BYTES_MAX;
    rc = shmc_record_begin(r->ring, r->refused_id, strlen(why) + len);
    if (rc != 0)
        return result(r, rc);
    (void)shmc_set_string(r->ring, 0, why, strlen(why));    /* the commit tells */
    (void)shmc_set_bytes(r->ring, 1, text, len);
    return result(r, shmc_record_commit(r->ring));
}

int intake_ring_begin(struct intake_ring *r, uint64_t now_ns, const char *stream,
                      struct intake_batch *ret_batch)
{
    int rc = ring_make(r, now_ns);

    if (rc == 0)
        rc = stream_get(r, stream, strlen(stream), &ret_batch->id);
    if (rc != 0)
        return rc;
    return result(r, shmc_batch_begin(r->ring, &ret_batch->events));
}

int intake_ring_add(struct intake_ring *r, struct intake_batch *batch, enum shm_kind kind,
                    const uint8_t *data, size_t len)
{
    int rc = shmc_batch_add(r->ring, &batch->events, batch->id, (uint8_t)kind, data, len);

    return rc == -EMSGSIZE ? rc : result(r, rc);
}

int intake_ring_commit(struct intake_ring *r, const struct intake_batch *batch, uint64_t *ret_pos)
{
    int rc = shmc_batch_commit(r->ring, &batch->events);

    if (rc == 0)
        rc = shmc_position(r->ring, SHMC_COMMITTED, ret_pos);
    return rc == -EMSGSIZE ? rc : result(r, rc);
}

bool intake_ring_room(struct intake_ring *r, uint64_t bytes)
{
    uint64_t accepted, committed;

    /* Where it cannot tell, the attempt does. */
    return r->ring == NULL || shmc_position(r->ring, SHMC_ACCEPTED, &accepted) != 0 ||
           shmc_position(r->ring, SHMC_COMMITTED, &committed) != 0 ||
           bytes <= INTAKE_RING_BYTES - (committed - accepted);
}

int intake_ring_durable(struct intake_ring *r, uint64_t *ret_pos)
{
    int rc;

    if (r->ring == NULL)
        return -ESTALE;
    rc = shmc_flush(r->ring, SHMC_DURABLE, 0);
    if (rc == 0 || rc == -ETIMEDOUT)
        rc = shmc_position(r->ring, SHMC_DURABLE, ret_pos);
    if (rc == -EIO && !file_guard_faulted(&r->guard))
        return rc;
    return result(r, rc) == 0 ? 0 : -ESTALE;
}
