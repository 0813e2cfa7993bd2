/*
 * publish: says back to producers how far their rings were accepted, are durable and are delivered,
 * and lets rings go whose producers are dead: drained, RETIRE synced, file removed.
 *
 * Owns:   nothing.
 * Thread: shard.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "pipeline/parts.h"

#define PROBE_NS                1000000000ULL   /* one slice of the liveness probes */
#define REMOVE_BYTES_A_TURN     (16U * 1024 * 1024) /* the kernel takes a millisecond for four */

enum { PROBES_A_SLICE = 64 };

/* The next SPAN of the group whose ring is here; NULL: none. */
static struct ring *span_next(struct shard *s, const uint8_t **at, const uint8_t *end,
                              struct wal_item *ret_item)
{
    struct ring *r = NULL;

    while (!r && *at < end && wal_item_next(at, end, ret_item) == 0)
        r = ret_item->type == WAL_SPAN ? drain_ring(s, ret_item->u.span.ring) : NULL;
    return r;
}

/*
 * Each ring once, though a group has many spans of it: every position wakes a producer that waits
 * for room, and one woken for each span would fall asleep again after each.
 */
void publish_committed(struct shard *s, const struct wal_group *group)
{
    const uint8_t *first = group->items.data, *end = first + group->items.len, *at = first;
    struct wal_item it;
    struct ring *r;

    while ((r = span_next(s, &at, end, &it)) != NULL) {
        r->accepted = it.u.span.to;
        r->span_lsn = group->end_lsn;
    }
    at = first;
    while ((r = span_next(s, &at, end, &it)) != NULL)
        if (it.u.span.to == r->accepted)
            ring_file_publish(&r->file, SHM_POS_ACCEPTED, r->accepted);
}

/* delivered of a ring = minimum over the streams that it uses. */
static uint64_t ring_low_water(struct shard *s, const struct wal_ring *known, uint64_t routed_lsn)
{
    uint64_t low = routed_lsn;

    for (uint16_t i = 1; i <= known->defs_count; i++) {
        struct stream *st = stream_by_id(&s->streams, wal_ring_stream(known, i));
        uint64_t of_stream = st ? ack_stream_low_water(st, routed_lsn) : routed_lsn;

        if (of_stream < low)
            low = of_stream;
    }
    return low;
}

/* One of several names is followed by the others: they are found by a scan. */
int publish_remove(struct shard *s, const struct ring_file *file)
{
    uint64_t bytes = file->super.file_bytes;
    struct file_stat st;
    int err;

    if (s->remove_left == 0)
        return -EAGAIN;     /* freeing its memory takes time */
    s->remove_left -= bytes < s->remove_left ? bytes : s->remove_left;
    err = ring_file_remove(discover_dir(s->discover), file);
    if (err && err != -ENOENT && err != -ESTALE) {
        log_warn("ring %s: cannot be removed: %s", file->name, strerror(-err));
        return err;
    }
    if (file_stat(file->fd, &st) == 0 && st.nlink > 0)
        s->rescan_later = true;
    return 0;
}

/* A name that stays is found by the next start. */
static void ring_remove(struct shard *s, struct ring *r)
{
    if (publish_remove(s, &r->file) != -EAGAIN)
        drain_drop(s, r);
}

/* D8 for rings: drained, its last span synced and routed; then RETIRE is synced, then it goes. */
static void ring_retire_step(struct shard *s, struct ring *r, uint64_t routed_lsn)
{
    struct wal_item it = {.type = WAL_RETIRE};
    enum shm_quarantine reason;
    uint64_t head, now = loop_now_ns(s->loop);

    if (r->state == RING_RETIRING) {
        if (!wal_writer_barrier_synced(&s->writer, r->retire_barrier))
            return;
        ring_remove(s, r);
        return;
    }
    /* What was taken of it has to be routed first: that needs its definitions. */
    if (r->read_pos != r->accepted || r->span_lsn > routed_lsn)
        return;
    if (r->state == RING_QUARANTINED) {
        if (now - r->dead_ns < QUARANTINE_KEPT_NS && ring_file_intact(&r->file))
            return;
    } else {
        /* Dead first, head then: what it had committed is final. */
        if (ring_file_head(&r->file, r->read_pos, &head, &reason)) {
            drain_quarantine(s, r, reason);
            return;
        }
        if (head != r->accepted)
            return;
        if (!wal_writer_barrier_synced(&s->writer, r->span_barrier)) {
            wal_writer_want_sync(&s->writer, r->span_barrier);
            return;
        }
    }
    if (!wal_state_ring(&s->state, r->id)) {
        if (r->logged)      /* its ATTACH is on the way */
            return;
        ring_remove(s, r);
        return;
    }
    it.u.retire.ring = r->id;
    if (drops_take(s, r) || wal_writer_item(&s->writer, &it, NULL))
        return;
    r->retire_barrier = wal_writer_barrier(&s->writer);
    wal_writer_want_sync(&s->writer, r->retire_barrier);
    r->state = RING_RETIRING;
}

static void ring_probe(struct shard *s, struct ring *r)
{
    int alive;

    if (!r->check_alive || r->dead_ns != 0)
        return;
    r->check_alive = false;
    alive = ring_file_alive(&r->file);
    if (alive == 0)
        r->dead_ns = loop_now_ns(s->loop);
}

/*
 * Rings of the log whose files are gone, after a power cut all of them: nobody will drain them any
 * more, so the log need not carry them along. Once after a start, when the first scan is through
 * and what they had written is routed.
 */
static void rings_forget(struct shard *s)
{
    struct wal_item it = {.type = WAL_RETIRE};
    struct file_stat st;

    if (s->catching_up || s->scanning || s->watch_ready || s->rescan_later)
        return;
    for (uint32_t i = 0; i < s->state.rings_count && s->forget_next < s->rings_at_start; i++) {
        const struct wal_ring *known = s->state.rings[i];

        if (known->id < s->forget_next)
            continue;
        if (known->id >= s->rings_at_start)
            break;
        it.u.retire.ring = known->id;
        if (!drain_ring(s, known->id)
            && (file_stat_at(discover_dir(s->discover), known->name, &st) == -ENOENT
                || st.ino != known->ino)
            && wal_writer_item(&s->writer, &it, NULL))
            return;     /* no place in the log now */
        s->forget_next = known->id + 1;
    }
    s->forget_next = s->rings_at_start;
}

void publish_turn(struct shard *s)
{
    uint64_t synced = s->writer.synced_lsn, routed = shard_routed_lsn(s);
    uint64_t now = loop_now_ns(s->loop);
    bool durable = synced != s->durable_published, own = false;
    bool delivered = routed != s->routed_published || s->batches_finished != s->finished_published;

    s->remove_left = REMOVE_BYTES_A_TURN;
    if (now - s->probe_ns >= PROBE_NS) {    /* events can be lost: look at some unasked */
        s->probe_ns = now;
        for (uint32_t i = 0; i < PROBES_A_SLICE && i < s->rings_count; i++)
            s->rings[s->probe_next++ % s->rings_count]->check_alive = true;
    }
    for (uint32_t i = s->rings_count; i-- > 0;) {
        struct ring *r = s->rings[i];
        struct wal_ring *known;
        uint64_t pos;

        ring_probe(s, r);
        /* A silent ring has nothing outstanding and costs next to nothing. */
        if ((durable || delivered) && (r->durable != r->accepted || r->delivered != r->accepted)) {
            known = wal_state_ring(&s->state, r->id);
            pos = known && durable ? wal_ring_pos_at(known, synced) : r->durable;
            if (pos - r->durable - 1 < UINT64_MAX / 2 && r->state == RING_READING) {
                r->durable = pos;
                ring_file_publish(&r->file, SHM_POS_DURABLE, pos);
                own |= r->file.super.pid == s->all->pid;
            }
            pos = known && delivered ? wal_ring_pos_take(known, ring_low_water(s, known, routed))
                                     : r->delivered;
            if (pos - r->delivered - 1 < UINT64_MAX / 2 && r->state == RING_READING) {
                r->delivered = pos;
                ring_file_publish(&r->file, SHM_POS_DELIVERED, pos);
            }
        }
        if (r->dead_ns != 0)
            ring_retire_step(s, r, routed);
    }
    if (own && s->opt.durable)
        s->opt.durable(s->opt.control_ctx);
    if (s->forget_next < s->rings_at_start)
        rings_forget(s);
    s->durable_published = synced;
    s->routed_published = routed;
    s->finished_published = s->batches_finished;
}

/* One that a producer left with more than was asked for stays for the next start. */
bool publish_retiring(const struct shard *s)
{
    enum shm_quarantine reason;
    uint64_t head;

    for (uint32_t i = 0; i < s->rings_count; i++) {
        const struct ring *r = s->rings[i];

        if (r->state == RING_RETIRING)
            return true;
        if (r->state == RING_READING && r->dead_ns != 0
            && ring_file_head(&r->file, r->read_pos, &head, &reason) == 0 && head == r->accepted)
            return true;
    }
    return false;
}
