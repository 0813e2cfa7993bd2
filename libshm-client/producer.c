/*
 * producer: puts frames into the ring.
 *
 * READ FIRST: shmc_write_at() is the normal path, write_slow() what happens past the limit.
 *
 * Owns:   nothing; works on the handle's ring.
 * Thread: the handle's; nested calls of a signal handler are refused.
 * Units:  pos = free-running byte count; lengths in bytes.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <time.h>

#include "handle.h"

static const char *const quarantine_texts[] = {
    [SHM_QUARANTINE_NONE] = "none",
    [SHM_QUARANTINE_SUPERBLOCK] = "its superblock is not that of its file",
    [SHM_QUARANTINE_SIZE] = "its file shrank, grew or has holes",
    [SHM_QUARANTINE_POSITION] = "its positions are impossible",
    [SHM_QUARANTINE_FRAME] = "it holds an impossible frame",
    [SHM_QUARANTINE_DEFINITION] = "a definition is malformed, changed or missing",
    [SHM_QUARANTINE_DUPLICATE] = "it has the uuid of another ring",
    [SHM_QUARANTINE_FOREIGN] = "it is of another boot or another log",
    [SHM_QUARANTINE_FAULT] = "reading it failed",
    [SHM_QUARANTINE_QUOTA] = "the uid has too many rings or bytes",
};
_Static_assert(sizeof(quarantine_texts) / sizeof(quarantine_texts[0]) == SHM_QUARANTINE_COUNT,
               "a text for each reason");

/* Why a call that the normal path refused is refused; leaves the call. */
static int refused(struct shmc *h, uint16_t stream, uint8_t kind, size_t len)
{
    int rc;

    if (!shmc_alive(h))
        rc = -ECHILD;
    else if (stream == 0 || stream > h->streams)
        rc = shmc_text_set(&h->error, -EINVAL, "stream %u: shmc_stream has not given this number",
                           stream);
    else if (kind == SHMC_RECORD)
        rc = shmc_text_set(&h->error, -EINVAL, "kind record: stream %u has no schema", stream);
    else if (kind == 0 || kind > SHMC_RECORD)
        rc = shmc_text_set(&h->error, -EINVAL, "kind %u is not one of enum shmc_kind", kind);
    else
        rc = shmc_text_set(&h->error, -EMSGSIZE, "event of %zu bytes, at most %u fit", len,
                           h->event_bytes_max);
    shmc_leave(h, SHMC_IDLE);
    return rc;
}

static inline bool args_good(const struct shmc *h, uint16_t stream, uint8_t kind, size_t len)
{
    return SHMC_LIKELY((uint32_t)stream - 1U < h->streams && kind - 1U < SHMC_BYTES &&
                       len <= h->event_bytes_max);
}

static inline uint64_t event_time_ns(struct shmc *h)
{
    switch (h->clock) {
    case SHMC_CLOCK_COARSE:
        return shmc_clock_ns(CLOCK_REALTIME_COARSE);
    case SHMC_CLOCK_TSC:
        return shmc_tsc_ns(&h->tsc);
    case SHMC_CLOCK_REAL:
        return shmc_clock_ns(CLOCK_REALTIME);
    default:
        return 0;
    }
}

static inline uint8_t *frame_at_head(const struct shmc *h)
{
    return h->data + (h->head & h->data_mask);
}

/* What a frame says but for its payload; passed by value, so it stays in registers. */
struct event {
    uint64_t time_ns;
    uint32_t len;
    uint16_t stream;
    uint8_t kind;
};

/* Writes the header behind head, where nobody reads yet; returns where the payload goes. */
static inline uint8_t *frame_put(struct shmc *h, struct event event)
{
    struct shm_frame *frame = (struct shm_frame *)frame_at_head(h);

    frame->len = event.len;
    frame->def = event.stream;
    frame->kind = event.kind;
    frame->flags = 0;
    frame->time_ns = event.time_ns;
    return (uint8_t *)(frame + 1);
}

/* The padding is the end of the frame's last word, so that word goes first. */
static inline void event_put(struct shmc *h, struct event event, const void *data)
{
    uint64_t bytes = shm_frame_bytes(event.len);
    uint8_t *payload;

    memset(frame_at_head(h) + bytes - SHM_FRAME_ALIGN, 0, SHM_FRAME_ALIGN);
    payload = frame_put(h, event);
    if (event.len != 0)
        memcpy(payload, data, event.len);
}

static inline void publish(struct shmc *h, uint32_t len)
{
    h->head += shm_frame_bytes(len);
    h->events++;
    h->payload_bytes += len;
    /* A1: pairs with the agent's acquire of head: seeing head means seeing the bytes before it. */
    atomic_store_explicit(h->head_word, h->head, memory_order_release);
}

/* ---- slow path ---- */

int shmc_mark_read(struct shmc *h, enum shm_pos which, uint64_t *ret_pos)
{
    const struct shm_consumer *consumer = h->segment.consumer;
    uint32_t reason = atomic_load_explicit(&consumer->quarantine, memory_order_relaxed);
    uint64_t pos, lag;

    if (reason != SHM_QUARANTINE_NONE)
        return shmc_text_set(&h->error, -ESTALE, "ring '%s': quarantined by the agent: %s",
                             h->segment.name,
                             reason < SHM_QUARANTINE_COUNT ? quarantine_texts[reason] : "?");
    /*
     * A2: pairs with the agent's release of pos, after which it no longer reads the bytes below:
     * what we write there next cannot reach it.
     */
    pos = atomic_load_explicit(&consumer->mark[which].pos, memory_order_acquire);
    lag = h->head - pos;
    if (lag > (which == SHM_POS_ACCEPTED ? h->segment.data_bytes : h->head))
        return shmc_text_set(&h->error, -ESTALE, "ring '%s': position %llu cannot be, head is %llu",
                             h->segment.name, (unsigned long long)pos, (unsigned long long)h->head);
    *ret_pos = pos;
    return 0;
}

void shmc_limit_set(struct shmc *h)
{
    uint64_t room = h->segment.data_bytes - (h->head - h->accepted);
    uint64_t passed = h->head - h->bell_pos;
    uint64_t to_mark = passed < h->bell_after ? h->bell_after - passed : 0;

    h->limit = h->head + (to_mark < room ? to_mark : room);
}

static int tail_refresh(struct shmc *h)
{
    _Atomic uint64_t *high = &h->segment.producer->high_water_bytes;
    uint64_t pos;
    int rc = shmc_mark_read(h, SHM_POS_ACCEPTED, &pos);

    if (rc < 0) {
        h->limit = h->head; /* whatever comes next comes here and is refused, too */
        return rc;
    }
    h->accepted = pos;
    if (h->head - pos > atomic_load_explicit(high, memory_order_relaxed))
        atomic_store_explicit(high, h->head - pos, memory_order_relaxed);
    return 0;
}

/* Makes sure that `bytes` fit behind head, by the handle's policy. */
static int room_make(struct shmc *h, uint64_t bytes)
{
    _Atomic uint64_t *drops = &h->segment.producer->drops[SHM_DROP_FULL];
    int rc;

    for (;;) {
        rc = tail_refresh(h);
        if (rc < 0)
            return rc;
        if (bytes <= h->segment.data_bytes - (h->head - h->accepted))
            return 0;
        if (h->full != SHMC_FULL_WAIT)
            break;
        rc = shmc_doorbell_wait(h, SHM_POS_ACCEPTED, h->segment.data_bytes - bytes, h->wait_ns_max);
        if (rc < 0)
            return rc;
    }
    /* One writer, so a load and a store count as well as an atomic addition. */
    if (h->full == SHMC_FULL_DROP)
        atomic_store_explicit(drops, atomic_load_explicit(drops, memory_order_relaxed) + 1,
                              memory_order_relaxed);
    shmc_doorbell_ring_if_wanted(h);
    return -EAGAIN;
}

/* After a commit that may have passed the mark. */
static void published_slow(struct shmc *h)
{
    if (h->head - h->bell_pos >= h->bell_after) {
        h->bell_pos = h->head;
        shmc_doorbell_ring_if_wanted(h);
    }
    shmc_limit_set(h);
}

static __attribute__((noinline)) int write_slow(struct shmc *h, struct event event,
                                                const void *data)
{
    int rc = room_make(h, shm_frame_bytes(event.len));

    if (rc == 0) {
        event_put(h, event, data);
        publish(h, event.len);
        published_slow(h);
    } else if (rc == -EAGAIN && h->full == SHMC_FULL_DROP) {
        rc = 0;
    }
    shmc_leave(h, SHMC_IDLE);
    return rc;
}

/* ---- public ---- */

static inline int write_event(struct shmc *h, struct event event, const void *data)
{
    if (SHMC_UNLIKELY(shm_frame_bytes(event.len) > h->limit - h->head))
        return write_slow(h, event, data);
    event_put(h, event, data);
    publish(h, event.len);
    shmc_leave(h, SHMC_IDLE);
    return 0;
}

int shmc_write_at(struct shmc *h, uint16_t stream, uint8_t kind, uint64_t time_ns,
                  const void *data, size_t len)
{
    if (!shmc_enter(h))
        return -EBUSY;
    if (!args_good(h, stream, kind, len))
        return refused(h, stream, kind, len);
    return write_event(h, (struct event){time_ns, (uint32_t)len, stream, kind}, data);
}

int shmc_write(struct shmc *h, uint16_t stream, uint8_t kind, const void *data, size_t len)
{
    if (!shmc_enter(h))
        return -EBUSY;
    if (!args_good(h, stream, kind, len))
        return refused(h, stream, kind, len);
    return write_event(h, (struct event){event_time_ns(h), (uint32_t)len, stream, kind}, data);
}

int shmc_reserve(struct shmc *h, uint16_t stream, uint8_t kind, size_t len_max, void **ret_data)
{
    uint64_t bytes;
    int rc;

    if (!shmc_enter(h))
        return -EBUSY;
    if (!args_good(h, stream, kind, len_max))
        return refused(h, stream, kind, len_max);
    bytes = shm_frame_bytes((uint32_t)len_max);
    if (SHMC_UNLIKELY(bytes > h->limit - h->head)) {
        rc = room_make(h, bytes);
        if (rc < 0) {
            shmc_leave(h, SHMC_IDLE);
            return rc;
        }
        shmc_limit_set(h);
    }
    h->reserved_stream = stream;
    h->reserved_kind = kind;
    h->reserved_len_max = (uint32_t)len_max;
    h->reserved_time_ns = event_time_ns(h);
    *ret_data = frame_at_head(h) + sizeof(struct shm_frame);
    shmc_leave(h, SHMC_IN_RESERVE);
    return 0;
}

/* Why commit or abort finds no reserve. */
static int no_reserve(struct shmc *h, uint32_t busy)
{
    if (busy == SHMC_IN_CALL)
        return -EBUSY;
    if (!shmc_alive(h))
        return -ECHILD;
    return shmc_text_set(&h->error, -EINVAL, "no reserve is open");
}

int shmc_commit(struct shmc *h, size_t len)
{
    uint32_t busy = atomic_load_explicit(&h->busy, memory_order_relaxed);
    struct event event;
    uint8_t *payload;

    if (SHMC_UNLIKELY(busy != SHMC_IN_RESERVE))
        return no_reserve(h, busy);
    if (SHMC_UNLIKELY(len > h->reserved_len_max))
        return shmc_text_set(&h->error, -EINVAL, "commit of %zu bytes, %u are reserved", len,
                             h->reserved_len_max);
    atomic_store_explicit(&h->busy, SHMC_IN_CALL, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst);

    event = (struct event){h->reserved_time_ns, (uint32_t)len, h->reserved_stream,
                           h->reserved_kind};
    payload = frame_put(h, event);
    memset(payload + len, 0, shm_frame_bytes(event.len) - sizeof(struct shm_frame) - len);
    publish(h, event.len);
    /* A reserve that went past the limit for the mark, with room, is found here by the mark. */
    if (h->head - h->bell_pos >= h->bell_after)
        published_slow(h);
    shmc_leave(h, SHMC_IDLE);
    return 0;
}

int shmc_abort(struct shmc *h)
{
    uint32_t busy = atomic_load_explicit(&h->busy, memory_order_relaxed);

    if (busy != SHMC_IN_RESERVE)
        return no_reserve(h, busy);
    shmc_leave(h, SHMC_IDLE);
    return 0;
}

int shmc_flush(struct shmc *h, enum shmc_pos pos, uint64_t timeout_ns)
{
    _Atomic uint64_t *wanted;
    int rc = 0;

    if (!shmc_enter(h))
        return -EBUSY;
    if (!shmc_alive(h)) {
        rc = -ECHILD;
    } else if (pos == SHMC_COMMITTED) {
        shmc_doorbell_ring(h);
    } else if ((unsigned int)pos < SHM_POS_COUNT) {
        /*
         * F1: the agent reads wanted on its turn, at the latest after the bell; the fence of W1
         * lies between. What timed out stays wanted: a caller that polls gets on by it.
         */
        wanted = &h->segment.producer->wanted[pos];
        atomic_store_explicit(wanted, h->head, memory_order_relaxed);
        rc = shmc_doorbell_wait(h, (enum shm_pos)pos, 0, timeout_ns);
        if (rc == 0)
            atomic_store_explicit(wanted, 0, memory_order_relaxed);
    } else {
        rc = shmc_text_set(&h->error, -EINVAL, "position %d is not one of enum shmc_pos", (int)pos);
    }
    shmc_leave(h, SHMC_IDLE);
    return rc;
}
