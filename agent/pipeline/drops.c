/*
 * drops: counts the events that producers have dropped themselves, as each reports in its ring, and
 * puts the counts into the log, so that they outlive rings, restarts and kill -9.
 *
 * A report is the word of a stranger. What is counted of a ring only grows: a report that has gone
 * back is passed over. A dropped event takes its producer more than a nanosecond, so a report that
 * has grown faster than one a nanosecond since it was last believed (of a ring that is new here:
 * since the host has started) is a lie: nothing of it is counted, and the ring goes on being looked
 * at. So a producer can spoil the sums by what it might as well have dropped, and no further.
 *
 * Owns:   nothing.
 * Thread: shard.
 */
#include <inttypes.h>
#include <string.h>

#include "pipeline/parts.h"

#define LOOK_NS 1000000000ULL

static void ring_doubt(struct ring *r, uint64_t reported)
{
    if (r->drops_doubted)
        return;
    r->drops_doubted = true;
    log_warn("ring %s: its producer reports %" PRIu64 " dropped events, more than it can have "
             "tried to write; they are not counted", r->file.name, reported);
}

static uint64_t ring_reports(const struct ring *r, int reason)
{
    return atomic_load_explicit(&r->file.producer->drops[reason], memory_order_relaxed);
}

bool drops_counted(const struct shard *s, const struct ring_file *file)
{
    const struct shm_consumer *page = file->consumer;
    uint64_t id = atomic_load_explicit(&page->ring_id, memory_order_relaxed);

    /* A ring that a log knows is with that log's shard, so that no other needs to be asked. */
    return !wal_state_ring_by_uuid(&s->state, file->super.uuid)
           && atomic_load_explicit(&page->agent_epoch, memory_order_relaxed) != 0
           && shards_ring_was_known(s->all, id);
}

/* Where counting goes on. */
void drops_attach(const struct shard *s, struct ring *r, const struct wal_ring *known)
{
    bool retired = drops_counted(s, &r->file);

    for (int i = 0; i < SHM_DROP_COUNT; i++)
        r->drops[i] = known ? known->drops[i] : retired ? ring_reports(r, i) : 0;
}

int drops_take(struct shard *s, struct ring *r)
{
    uint64_t now = loop_now_ns(s->loop), most = now - r->drops_ns;
    struct wal_item it = {.type = WAL_INTAKE_DROPS};
    bool more = false, doubted = false;
    int err;

    if (!wal_state_ring(&s->state, r->id))      /* the log does not know it (yet) */
        return 0;
    it.u.intake.ring = r->id;
    for (int i = 0; i < SHM_DROP_COUNT; i++) {
        uint64_t reported = ring_reports(r, i);

        it.u.intake.drops[i] = r->drops[i];
        if (reported <= r->drops[i])
            continue;
        if (reported - r->drops[i] > most) {
            doubted = true;
            ring_doubt(r, reported);
            continue;
        }
        it.u.intake.drops[i] = reported;
        more = true;
    }
    err = more ? wal_writer_item(&s->writer, &it, NULL) : 0;
    if (err)
        return err;
    memcpy(r->drops, it.u.intake.drops, sizeof(r->drops));
    if (!doubted)
        r->drops_ns = now;
    return 0;
}

void drops_turn(struct shard *s)
{
    uint64_t now = loop_now_ns(s->loop);

    if (now - s->drops_ns < LOOK_NS)
        return;
    s->drops_ns = now;
    for (uint32_t i = 0; i < s->rings_count; i++)
        if (s->rings[i]->state != RING_RETIRING && drops_take(s, s->rings[i]))
            return;     /* no place in the log now */
}
