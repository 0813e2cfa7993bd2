/*
 * sim_invariants_state: the state that a start reads back from the log is the one that the agent
 * had (I10 of agent/DESIGN.md): what a life ends with, as the items of a CHECKPOINT, is held
 * against the first CHECKPOINT of the next.
 *
 * Owns:   nothing beyond the ledger.
 * Thread: one.
 * Units:  see sim_invariants.h.
 */
#include "support/sim_invariants.h"

#include <string.h>

#include "pipeline/parts.h"

typedef unsigned long long ull;

void inv_state_keep(struct inv *v)
{
    const struct shard *s = v->agent->shard;

    if (!s)
        return;
    bytes_clear(&v->state);
    v->state_lsn = s->writer.committed_lsn;
    v->state_cut = false;
    if (wal_state_checkpoint(&s->state, &v->state))
        inv_fail(v, __func__, "no memory");
}

/* Nothing was logged since but CHECKPOINTs, of starts that were cut off. */
static bool state_stands(const struct inv *v, uint64_t end)
{
    if (v->state.len == 0 || v->state_lsn > end)        /* forgotten */
        return false;
    for (uint32_t i = v->commits_count; i-- > 0 && v->commits[i].end_lsn > v->state_lsn; )
        if (!v->commits[i].checkpoint && v->commits[i].end_lsn <= end)
            return false;
    return true;
}

/*
 * Two items, but for what may differ: how far a ring's positions are known to be delivered is
 * learnt again, and a power cut may have left a range of the log behind its end, which is counted.
 */
static bool items_equal(const struct inv *v, const uint8_t *a, const uint8_t *b, size_t len)
{
    const uint8_t *at_a = a, *at_b = b;
    struct wal_item first, second;

    if (wal_item_next(&at_a, a + len, &first) || wal_item_next(&at_b, b + len, &second)
        || first.type != second.type)
        return false;
    if (first.type == WAL_ATTACH) {
        first.u.attach.lsn = second.u.attach.lsn = 0;
        return first.u.attach.ring == second.u.attach.ring
               && first.u.attach.pos == second.u.attach.pos
               && memcmp(first.u.attach.uuid, second.u.attach.uuid, 16) == 0;
    }
    if (first.type == WAL_CHECKPOINT)
        return first.u.checkpoint.trim_lsn == second.u.checkpoint.trim_lsn
               && first.u.checkpoint.last_name_time_ns == second.u.checkpoint.last_name_time_ns
               && first.u.checkpoint.next_ring == second.u.checkpoint.next_ring
               && first.u.checkpoint.next_stream == second.u.checkpoint.next_stream
               && (v->state_cut
                   || memcmp(first.u.checkpoint.lost_bytes, second.u.checkpoint.lost_bytes,
                             sizeof(first.u.checkpoint.lost_bytes)) == 0);
    return memcmp(a, b, len) == 0;
}

void inv_state_is_found_again(struct inv *v, const uint8_t *items, size_t len, uint64_t end)
{
    const uint8_t *at = v->state.data, *stop = v->state.data + v->state.len;

    if (!state_stands(v, end))
        return;
    inv_count(v, COVER_states_compared);
    for (const uint8_t *from = items, *next = items; next < items + len; from = next) {
        const uint8_t *kept = at;
        struct wal_item it;

        if (wal_item_next(&next, items + len, &it))
            inv_fail(v, __func__, "an item of the CHECKPOINT at %llu cannot be read", (ull)end);
        INV_CHECK(v, at < stop && wal_item_next(&at, stop, &it) == 0 && at - kept == next - from
                  && items_equal(v, kept, from, (size_t)(at - kept)),
                  "item at byte %zu of the CHECKPOINT at %llu, of type %u, is not what the agent "
                  "had at %llu", (size_t)(from - items), (ull)end, bytes_get_u16(from),
                  (ull)v->state_lsn);
    }
    INV_CHECK(v, at == stop, "the CHECKPOINT at %llu lacks %zu bytes of items", (ull)end,
              (size_t)(stop - at));
}
