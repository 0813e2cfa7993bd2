/*
 * producer: puts frames into the ring.
 *
 * READ FIRST: write_normal() is the normal path, write_slow() what happens past the limit.
 *
 * Owns:   nothing; works on the handle's ring.
 * Thread: the handle's; nested calls of a signal handler are refused.
 * Units:  pos = free-running byte count; lengths in bytes.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <time.h>

#include "frame.h"

#define LOOK_NS 100000000ULL /* between two looks for the ring's file */

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

static inline uint8_t *frame_at(const struct shmc *h, uint64_t head)
{
    return h->segment.data + (head & (h->segment.data_bytes - 1));
}

/* ---- refusals ---- */

/* Why a call that the normal path refused is refused; leaves the call. */
static int refused(struct shmc *h, uint16_t number, uint8_t kind, size_t len)
{
    const struct shmc_def_ref *def = shmc_def(h, number);
    int rc;

    if (!shmc_alive(h))
        rc = -ECHILD;
    else if (def == NULL)
        rc = shmc_text_set(&h->error, -EINVAL, "%s %u: %s has not given this number",
                           kind == SHMC_RECORD ? "schema" : "stream", number,
                           kind == SHMC_RECORD ? "shmc_schema" : "shmc_stream");
    else if (kind == 0 || kind > SHMC_RECORD)
        rc = shmc_text_set(&h->error, -EINVAL, "kind %u is not one of enum shmc_kind", kind);
    else if ((kind == SHMC_RECORD) != (def->stream != 0))
        rc = shmc_text_set(&h->error, -EINVAL,
                           def->stream != 0
                               ? "number %u is that of a schema: it takes records alone"
                               : "kind record: %u is the number of a stream, not of a schema",
                           number);
    else if (len < def->fixed_bytes)
        rc = shmc_text_set(&h->error, -EINVAL, "record of %zu bytes, its fixed part has %u", len,
                           def->fixed_bytes);
    else
        rc = shmc_text_set(&h->error, -EMSGSIZE, "event of %zu bytes, at most %u fit", len,
                           h->event_bytes_max);
    shmc_leave(h, SHMC_IDLE);
    return rc;
}

/*
 * May this kind be written under this number? Answered from the handle's first line, and so only
 * for the streams that were declared before the first schema; args_good() is for all.
 */
SHMC_INLINE bool kind_good(const struct shmc *h, uint16_t stream, uint8_t kind)
{
    return (uint16_t)(stream - 1U) < h->streams && (uint8_t)(kind - 1U) < SHMC_BYTES;
}

static inline bool args_good(const struct shmc *h, uint16_t number, uint8_t kind, size_t len)
{
    const struct shmc_def_ref *def = shmc_def(h, number);

    return def != NULL && (uint8_t)(kind - 1U) < SHMC_RECORD &&
           (kind == SHMC_RECORD) == (def->stream != 0) && len >= def->fixed_bytes &&
           len <= h->event_bytes_max;
}

/* ---- slow path ---- */

int shmc_mark_read(struct shmc *h, enum shm_pos which, uint64_t head, uint64_t *ret_pos)
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
    lag = head - pos;
    if (lag > (which == SHM_POS_ACCEPTED ? h->segment.data_bytes : head))
        return shmc_text_set(&h->error, -ESTALE, "ring '%s': position %llu cannot be, head is %llu",
                             h->segment.name, (unsigned long long)pos, (unsigned long long)head);
    *ret_pos = pos;
    return 0;
}

static inline uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static void room_set(struct shmc *h, uint64_t head, uint64_t room)
{
    h->limit = head + room;
    h->end = frame_at(h, head) + room;
    atomic_store_explicit(&h->gate.part.room, (uint32_t)room, memory_order_relaxed);
}

void shmc_head_set(struct shmc *h, uint64_t head)
{
    uint64_t bytes = h->segment.data_bytes;
    uint64_t passed = head - h->bell_pos;
    uint64_t to_mark = passed < h->bell_after ? h->bell_after - passed : 0;
    uint64_t room = least(bytes - (head - h->accepted), to_mark);

    room = least(room, h->event_bytes_max);
    room = least(room, bytes - (head & (bytes - 1)));
    /* The tail is the agent's word, and need not be a multiple of anything. */
    room_set(h, head, room & ~(uint64_t)(SHM_FRAME_ALIGN - 1));
}

static int tail_refresh(struct shmc *h)
{
    _Atomic uint64_t *high = &h->segment.producer->high_water_bytes;
    uint64_t head = shmc_head(h), pos;
    int rc = shmc_mark_read(h, SHM_POS_ACCEPTED, head, &pos);

    if (rc < 0) {
        room_set(h, head, 0); /* whatever comes next comes here and is refused, too */
        return rc;
    }
    h->accepted = pos;
    if (head - pos > atomic_load_explicit(high, memory_order_relaxed))
        atomic_store_explicit(high, head - pos, memory_order_relaxed);
    return 0;
}

int shmc_removed(struct shmc *h)
{
    uint64_t now_ns = shmc_clock_ns(CLOCK_MONOTONIC_COARSE), head = shmc_head(h), accepted;
    uint64_t before = h->looked_accepted;

    if (now_ns - h->looked_ns < LOOK_NS || shmc_mark_read(h, SHM_POS_ACCEPTED, head, &accepted) < 0)
        return 0;
    h->looked_ns = now_ns;
    h->looked_accepted = accepted != head ? accepted : UINT64_MAX;  /* else nothing is left */
    if (h->looked_accepted == UINT64_MAX || accepted != before ||
        !shmc_segment_removed(&h->segment, h->dir))
        return 0;
    return shmc_text_set(&h->error, -ESTALE, "ring '%s': its file was removed, no agent finds it",
                         h->segment.name);
}

int shmc_room_make(struct shmc *h, uint64_t bytes)
{
    _Atomic uint64_t *drops = &h->segment.producer->drops[SHM_DROP_FULL];
    int rc;

    for (;;) {
        rc = tail_refresh(h);
        if (rc < 0)
            return rc;
        if (bytes <= h->segment.data_bytes - (shmc_head(h) - h->accepted))
            return 0;
        if (h->full != SHMC_FULL_WAIT)
            break;
        rc = shmc_doorbell_wait(h, SHM_POS_ACCEPTED, h->segment.data_bytes - bytes, h->wait_ns_max);
        if (rc < 0)
            return rc;
    }
    rc = shmc_removed(h);
    if (rc < 0)
        return rc;
    /* One writer, so a load and a store count as well as an atomic addition. */
    if (h->full == SHMC_FULL_DROP)
        atomic_store_explicit(drops, atomic_load_explicit(drops, memory_order_relaxed) + 1,
                              memory_order_relaxed);
    shmc_doorbell_ring_if_wanted(h);
    return -EAGAIN;
}

/* After publishing a head that may lie past the limit, and past the mark. */
static void published_slow(struct shmc *h, uint64_t head)
{
    if (head - h->bell_pos >= h->bell_after) {
        h->bell_pos = head;
        shmc_doorbell_ring_if_wanted(h);
    }
    shmc_head_set(h, head);
}

void shmc_publish(struct shmc *h, uint64_t bytes, uint32_t len)
{
    uint64_t room = shmc_room(h), head = shmc_head(h) + bytes;

    frame_publish(h, head, len);
    if (bytes > room)
        published_slow(h, head);
    else
        atomic_store_explicit(&h->gate.part.room, (uint32_t)(room - bytes), memory_order_relaxed);
}

/* Looks at everything again, for the normal path says only that it could not. */
static __attribute__((noinline)) int write_slow(struct shmc *h, uint16_t stream, uint8_t kind,
                                                uint64_t time_ns, const void *data, size_t len)
{
    uint64_t bytes, head;
    uint8_t *frame;
    int rc;

    if (!shmc_enter(h))
        return -EBUSY;
    if (!args_good(h, stream, kind, len))
        return refused(h, stream, kind, len);
    bytes = shm_frame_bytes((uint32_t)len);
    rc = shmc_room_make(h, bytes);
    if (rc == 0) {
        head = shmc_head(h);
        frame = frame_at(h, head);
        frame_padding_put(frame, bytes);
        frame_header_put(frame, (struct shmc_event){time_ns, (uint32_t)len, stream, kind});
        if (len != 0)
            memcpy(frame + sizeof(struct shm_frame), data, len);
        frame_publish(h, head + bytes, (uint32_t)len);
        published_slow(h, head + bytes);
    } else if (rc == -EAGAIN && h->full == SHMC_FULL_DROP) {
        rc = 0;
    }
    shmc_leave(h, SHMC_IDLE);
    return rc;
}

/* ---- normal path ---- */

/*
 * What each write comes to. len is at most event_bytes_max or at most FRAME_SMALL_MAX, which is
 * less, and the caller knows which: so one comparison with the room is all there is to check. No
 * call is made but memcpy's, hence no register saved; and every load and store of the handle is in
 * one line.
 */
SHMC_INLINE int write_normal(struct shmc *h, struct shmc_event event, const void *data)
{
    uint64_t bytes = shm_frame_bytes(event.len), room;
    uint8_t *frame;

    if (SHMC_UNLIKELY(!shmc_enter(h)))
        return -EBUSY;
    room = shmc_room(h);
    if (SHMC_UNLIKELY(bytes > room)) {
        shmc_leave(h, SHMC_IDLE);
        return write_slow(h, event.stream, event.kind, event.time_ns, data, event.len);
    }
    frame = h->end - room;
    frame_line_ahead(frame + FRAME_AHEAD_BYTES);
    frame_padding_put(frame, bytes);
    frame_header_put(frame, event);
    if (event.len <= FRAME_SMALL_MAX)
        frame_small_put(frame + sizeof(struct shm_frame), data, event.len);
    else
        frame_large_put(frame + sizeof(struct shm_frame), data, event.len);
    frame_done(h, room, bytes, event.len);
    return 0;
}

/* A record, or an event of a stream that was declared behind a schema. */
static __attribute__((noinline)) int write_other(struct shmc *h, uint16_t number, uint8_t kind,
                                                 uint64_t time_ns, const void *data, size_t len)
{
    if (SHMC_UNLIKELY(!args_good(h, number, kind, len)))
        return write_slow(h, number, kind, time_ns, data, len);
    return write_normal(h, (struct shmc_event){time_ns, (uint32_t)len, number, kind}, data);
}

static __attribute__((noinline)) int write_large(struct shmc *h, uint16_t stream, uint8_t kind,
                                                 uint64_t time_ns, const void *data, size_t len)
{
    if (SHMC_UNLIKELY(len > h->event_bytes_max || !kind_good(h, stream, kind)))
        return write_other(h, stream, kind, time_ns, data, len);
    return write_normal(h, (struct shmc_event){time_ns, (uint32_t)len, stream, kind}, data);
}

SHMC_INLINE int write_event(struct shmc *h, uint16_t stream, uint8_t kind, uint64_t time_ns,
                       const void *data, size_t len)
{
    if (len > FRAME_SMALL_MAX)
        return write_large(h, stream, kind, time_ns, data, len);
    if (SHMC_UNLIKELY(!kind_good(h, stream, kind)))
        return write_other(h, stream, kind, time_ns, data, len);
    return write_normal(h, (struct shmc_event){time_ns, (uint32_t)len, stream, kind}, data);
}

uint64_t shmc_event_time_ns(struct shmc *h)
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

/* Sets the counter's anchor, about once a second: that changes the handle, so from inside. */
static __attribute__((noinline)) int write_anchoring(struct shmc *h, uint16_t stream, uint8_t kind,
                                                     const void *data, size_t len)
{
    uint64_t time_ns;

    if (!shmc_enter(h))
        return -EBUSY;
    time_ns = shmc_event_time_ns(h);
    shmc_leave(h, SHMC_IDLE);
    return write_event(h, stream, kind, time_ns, data, len);
}

/* The anchor that a nested call reads may be half set; but then that call is refused. */
static __attribute__((noinline)) int write_tsc(struct shmc *h, uint16_t stream, uint8_t kind,
                                               const void *data, size_t len)
{
    uint64_t ticks = shmc_tsc_ticks() - h->tsc.anchor_ticks;

    if (SHMC_UNLIKELY(ticks > h->tsc.ticks_max))
        return write_anchoring(h, stream, kind, data, len);
    return write_event(h, stream, kind, shmc_tsc_ns_at(&h->tsc, ticks), data, len);
}

/* A wiped handle says COARSE. */
static __attribute__((noinline)) int write_clock(struct shmc *h, uint16_t stream, uint8_t kind,
                                                 const void *data, size_t len)
{
    clockid_t id = h->clock == SHMC_CLOCK_REAL ? CLOCK_REALTIME : CLOCK_REALTIME_COARSE;

    return write_event(h, stream, kind, shmc_clock_ns(id), data, len);
}

/* ---- public ---- */

int shmc_write_at(struct shmc *h, uint16_t stream, uint8_t kind, uint64_t time_ns,
                  const void *data, size_t len)
{
    return write_event(h, stream, kind, time_ns, data, len);
}

int shmc_write(struct shmc *h, uint16_t stream, uint8_t kind, const void *data, size_t len)
{
    if (h->clock == SHMC_CLOCK_NONE)
        return write_event(h, stream, kind, 0, data, len);
    if (h->clock == SHMC_CLOCK_TSC)
        return write_tsc(h, stream, kind, data, len);
    return write_clock(h, stream, kind, data, len);
}

int shmc_reserve_open(struct shmc *h, uint16_t def, uint8_t kind, uint32_t len_max,
                      uint8_t **ret_payload)
{
    uint64_t bytes = shm_frame_bytes(len_max);
    int rc;

    if (SHMC_UNLIKELY(bytes > shmc_room(h))) {
        rc = shmc_room_make(h, bytes);
        if (rc < 0)
            return rc;
        shmc_head_set(h, shmc_head(h));
    }
    h->reserved_def = def;
    h->reserved_kind = kind;
    h->reserved_len_max = len_max;
    h->reserved_time_ns = shmc_event_time_ns(h);
    *ret_payload = frame_at(h, shmc_head(h)) + sizeof(struct shm_frame);
    return 0;
}

int shmc_reserve(struct shmc *h, uint16_t stream, uint8_t kind, size_t len_max, void **ret_data)
{
    uint8_t *payload;
    int rc;

    if (!shmc_enter(h))
        return -EBUSY;
    if (!args_good(h, stream, kind, len_max))
        return refused(h, stream, kind, len_max);
    if (ret_data == NULL)
        rc = shmc_text_set(&h->error, -EINVAL, "ret_data");
    else
        rc = shmc_reserve_open(h, stream, kind, (uint32_t)len_max, &payload);
    if (rc == 0)
        *ret_data = payload;
    shmc_leave(h, rc == 0 ? SHMC_IN_RESERVE : SHMC_IDLE);
    return rc;
}

int shmc_reserve_none(struct shmc *h, uint32_t busy)
{
    if (busy == SHMC_IN_CALL)
        return -EBUSY;
    if (!shmc_alive(h))
        return -ECHILD;
    if (busy == SHMC_IN_RECORD)
        return shmc_text_set(&h->error, -EINVAL, "a record is open: shmc_record_commit commits it");
    return shmc_text_set(&h->error, -EINVAL,
                         busy == SHMC_IN_RESERVE ? "no record is open, but a reserve"
                                                 : "no reserve is open, nor a record");
}

void shmc_reserve_commit(struct shmc *h, uint32_t len)
{
    uint8_t *frame = frame_at(h, shmc_head(h));
    uint64_t bytes = shm_frame_bytes(len);

    frame_header_put(frame, (struct shmc_event){h->reserved_time_ns, len, h->reserved_def,
                                                h->reserved_kind});
    frame_padding_end(frame + sizeof(struct shm_frame) + len,
                      (uint32_t)(bytes - sizeof(struct shm_frame) - len));
    shmc_publish(h, bytes, len);
    shmc_leave(h, SHMC_IDLE);
}

int shmc_commit(struct shmc *h, size_t len)
{
    uint32_t busy = atomic_load_explicit(&h->gate.part.busy, memory_order_relaxed);

    if (SHMC_UNLIKELY(busy != SHMC_IN_RESERVE))
        return shmc_reserve_none(h, busy);
    if (SHMC_UNLIKELY(len > h->reserved_len_max))
        return shmc_text_set(&h->error, -EINVAL, "commit of %zu bytes, %u are reserved", len,
                             h->reserved_len_max);
    if (SHMC_UNLIKELY(len < h->defs[h->reserved_def - 1U].fixed_bytes))
        return shmc_text_set(&h->error, -EINVAL, "record of %zu bytes, its fixed part has %u", len,
                             h->defs[h->reserved_def - 1U].fixed_bytes);
    atomic_store_explicit(&h->gate.part.busy, SHMC_IN_CALL, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst);
    shmc_reserve_commit(h, (uint32_t)len);
    return 0;
}

int shmc_abort(struct shmc *h)
{
    uint32_t busy = atomic_load_explicit(&h->gate.part.busy, memory_order_relaxed);

    if (busy != SHMC_IN_RESERVE && busy != SHMC_IN_RECORD)
        return shmc_reserve_none(h, busy);
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
        atomic_store_explicit(wanted, shmc_head(h), memory_order_relaxed);
        rc = shmc_doorbell_wait(h, (enum shm_pos)pos, 0, timeout_ns);
        if (rc == 0)
            atomic_store_explicit(wanted, 0, memory_order_relaxed);
    } else {
        rc = shmc_text_set(&h->error, -EINVAL, "position %d is not one of enum shmc_pos", (int)pos);
    }
    shmc_leave(h, SHMC_IDLE);
    return rc;
}
