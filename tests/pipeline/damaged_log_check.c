/*
 * damaged_log_check: what of a damaged log is still read, and what must come of it.
 * Owns:   nothing.
 * Thread: one.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "pipeline/damaged_log.h"
#include "pipeline/parts.h"
#include "support/sim.h"

/* ---- Views ---- */

/* Of all that the reader says of a group, in no order. */
uint64_t damaged_log_print(uint32_t group, const struct wal_group_view *g)
{
    uint64_t place[3] = {group, g->hole_from, g->commit.crc32c};
    uint32_t sum = crc32c(crc32c(0, place, sizeof(place)), g->body,
                          (size_t)(g->commit.lsn - g->body_lsn));

    return (sum + 1ULL) * 0x9e3779b97f4a7c15ULL ^ (group + 1ULL) * 0xbf58476d1ce4e5b9ULL;
}

static uint32_t group_find(const struct wal_group_view *g)
{
    uint32_t lo = 0, hi = damaged_log.groups;

    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;

        if (damaged_log.group[mid].commit_lsn < g->commit.lsn)
            lo = mid + 1;
        else
            hi = mid;
    }
    SIM_AGENT_CHECK(lo < damaged_log.groups && damaged_log.group[lo].commit_lsn == g->commit.lsn,
                    "a group at %llu that was never written", (unsigned long long)g->commit.lsn);
    return lo;
}

static uint32_t view_group(struct damaged_view *v, const struct wal_group_view *g)
{
    uint32_t at = group_find(g);
    const struct damaged_group *group = &damaged_log.group[at];
    const struct damaged_segment *seg = &damaged_log.segment[group->segment];

    v->group[at] = true;
    v->print += damaged_log_print(at, g);
    for (uint32_t k = group->first_span; k < group->first_span + group->spans; k++) {
        const struct damaged_span *span = &damaged_log.span[k];

        v->span[k] = memcmp(g->body + (span->lsn - g->body_lsn),
                            seg->bytes + (span->lsn - seg->start_lsn), span->len) == 0;
    }
    return at;
}

static void view_unharmed(struct damaged_view *v, uint32_t from, uint32_t to)
{
    for (uint32_t i = from; i < to; i++) {
        v->group[i] = true;
        v->print += damaged_log.group[i].print;
        for (uint32_t k = 0; k < damaged_log.group[i].spans; k++)
            v->span[damaged_log.group[i].first_span + k] = true;
    }
}

/* Does anything left say that the log was synced beyond the hole? */
static bool hole_synced(const struct damaged_view *v, const struct wal_dir *dir, uint64_t from)
{
    for (uint32_t i = 0; i < damaged_log.groups; i++)
        if (v->group[i] && damaged_log.group[i].synced_lsn > from)
            return true;
    return dir->segments[dir->count - 1].header.start_lsn > from;
}

static void hole_take(struct damaged_view *v, const struct wal_dir *dir, uint64_t from, uint64_t to)
{
    if (hole_synced(v, dir, from)) {
        v->hole_bytes += to - from;
        return;
    }
    for (uint32_t k = 0; k < damaged_log.groups; k++)
        if (damaged_log.group[k].body_lsn >= to)
            v->group[k] = false;
}

void damaged_log_view(uint32_t segment, struct damaged_view *v)
{
    uint64_t hole_from[DAMAGED_GROUPS_MAX], hole_to[DAMAGED_GROUPS_MAX];
    struct wal_group_view g;
    struct wal_reader r;
    struct wal_dir dir;
    uint32_t holes = 0, at = 0;

    memset(v, 0, sizeof(*v));
    damaged_log_dir(&dir);
    for (uint32_t i = 0; i < dir.count; i++)
        v->print += (dir.segments[i].header.start_lsn + 1) * 0x94d049bb133111ebULL;
    wal_reader_init(&r, &dir);
    if (segment > 0 && segment != DAMAGED_ANYWHERE) {
        while (at < damaged_log.groups && damaged_log.group[at].segment < segment)
            at++;
        view_unharmed(v, 0, at);
        r.lsn = damaged_log.segment[segment].start_lsn;
    } else if (dir.count > 0 && dir.segments[0].header.start_lsn > 0) {
        r.hole_from = 0;        /* nothing of the history was trimmed */
    }
    while (wal_reader_next(&r, UINT64_MAX, &g) > 0) {
        at = view_group(v, &g);
        if (g.hole_from < g.body_lsn) {
            hole_from[holes] = g.hole_from;
            hole_to[holes++] = g.body_lsn;
        }
        if (segment != DAMAGED_ANYWHERE && damaged_log.group[at].segment > segment) {
            view_unharmed(v, at + 1, damaged_log.groups);
            break;
        }
    }
    for (uint32_t i = 0; i < holes; i++)
        hole_take(v, &dir, hole_from[i], hole_to[i]);
    wal_reader_fini(&r);
    wal_dir_close(&dir);
}

/* ---- The oracle ---- */

static bool checkpoint_between(const struct damaged_view *v, uint32_t after, uint32_t up_to)
{
    for (uint32_t i = after + 1; i <= up_to && i < damaged_log.groups; i++)
        if (v->group[i] && damaged_log.group[i].checkpoint)
            return true;
    return false;
}

/* Is what was said first in its first group known at group `at`? */
static bool key_known(const struct damaged_view *v, const struct damaged_key *key, uint32_t at)
{
    for (uint32_t i = 0; i < key->copies; i++)
        if (key->group[i] <= at && v->group[key->group[i]])
            return true;
    return checkpoint_between(v, key->group[0], at);
}

static uint32_t view_last(const struct damaged_view *v)
{
    uint32_t last = damaged_log.groups;

    while (last > 0 && !v->group[last - 1])
        last--;
    return last;                    /* index behind it */
}

/* Is all that was said before the end still known wherever a group is left to refer to it? */
static bool view_strong(const struct damaged_view *v)
{
    uint32_t last = view_last(v), first = 0;

    while (first < last && !v->group[first])
        first++;
    if (first < last && !damaged_log.group[first].checkpoint)
        return false;
    for (uint32_t k = 0; k < damaged_log.keys; k++) {
        const struct damaged_key *key = &damaged_log.key[k];

        if (key->group[0] >= last)
            continue;
        /* From the first group behind it on that is left: whether it is needed there or not. */
        for (uint32_t i = key->group[0]; i < last; i++)
            if (v->group[i] && !key_known(v, key, i)) {
                if (getenv("SIM_AGENT_LOG"))
                    fprintf(stderr, "weak: type %d %llu/%llu of group %u unknown at %u\n",
                            (int)key->type, (unsigned long long)key->a, (unsigned long long)key->b,
                            key->group[0], i);
                return false;
            }
    }
    return true;
}

static bool sealed(const struct damaged_view *v, const struct damaged_event *ev, uint32_t sink)
{
    uint32_t last = view_last(v);

    for (uint32_t k = 0; k < damaged_log.keys; k++) {
        const struct damaged_key *key = &damaged_log.key[k];

        if (key->type == WAL_SEAL && key->a == ev->stream_id && key->c == sink
            && key->first_lsn <= ev->lsn && ev->lsn <= key->last_lsn && last > 0
            && key_known(v, key, last - 1))
            return true;
    }
    return false;
}

static uint64_t lost_bytes_seen;

static void see_lost_bytes(struct sim_agent *a, uint64_t turn)
{
    (void)turn;
    lost_bytes_seen = a->shard->state.lost_bytes[WAL_LOST_CORRUPT];
}

/* What the books should say, and files hold, when nothing but events was lost. */
static void check_strong(const struct damaged_view *v)
{
    uint32_t last = view_last(v);
    uint64_t accepted = 0, lost = 0;

    for (uint32_t i = 0; i < damaged_log.events; i++) {
        const struct damaged_event *ev = &damaged_log.event[i];
        uint32_t group = damaged_log.span[ev->span].group;
        bool sound = v->group[group] && v->span[ev->span], all_sealed = true;
        bool told = v->group[group] || (last > 0 && checkpoint_between(v, group, last - 1));

        for (uint32_t k = 0; k < DAMAGED_SINKS; k++) {
            bool is_sealed = sealed(v, ev, k);
            uint32_t due = is_sealed ? 1 : ev->before[k] + sound;

            SIM_AGENT_CHECK(ev->now[k] == due,
                            "sink %u has %u/%u/%u (lsn %llu, group %u) %u times, not %u; %u before",
                            k, ev->source, ev->stream, ev->number, (unsigned long long)ev->lsn,
                            group, ev->now[k], due, ev->before[k]);
            all_sealed = all_sealed && is_sealed;
        }
        accepted += told;
        lost += told && !sound && !all_sealed;
    }
    SIM_AGENT_CHECK(damaged_agent.accepted == accepted && damaged_agent.lost == lost,
                    "%llu accepted and %llu lost, not %llu and %llu",
                    (unsigned long long)damaged_agent.accepted,
                    (unsigned long long)damaged_agent.lost,
                    (unsigned long long)accepted, (unsigned long long)lost);
    SIM_AGENT_CHECK(lost_bytes_seen == v->hole_bytes, "%llu bytes lost, not %llu",
                    (unsigned long long)lost_bytes_seen, (unsigned long long)v->hole_bytes);
}

/* Where more than events was lost. What is not delivered is counted, or was never said to be. */
static void check_weak(const struct damaged_view *v)
{
    uint32_t last = view_last(v), missing = 0;

    for (uint32_t i = 0; i < damaged_log.events; i++)
        for (uint32_t k = 0; k < DAMAGED_SINKS; k++) {
            const struct damaged_event *ev = &damaged_log.event[i];

            SIM_AGENT_CHECK(ev->now[k] >= ev->before[k] && ev->now[k] <= ev->before[k] + 1,
                            "sink %u has %u/%u/%u %u times, %u before", k, ev->source, ev->stream,
                            ev->number, ev->now[k], ev->before[k]);
            missing += ev->now[k] == 0 && damaged_log.span[ev->span].group < last;
        }
    SIM_AGENT_CHECK(missing == 0 || damaged_agent.lost + lost_bytes_seen > 0,
                    "%u events are missing and nothing says so", missing);
}

bool damaged_log_check(const struct damaged_view *v)
{
    bool strong = view_strong(v);

    damaged_agent.on_turn = see_lost_bytes;
    lost_bytes_seen = 0;
    sim_agent_open(&damaged_agent);
    sim_agent_pass(&damaged_agent, 30000000);
    sim_agent_stop(&damaged_agent);
    damaged_agent.on_turn = NULL;
    damaged_log_count();
    SIM_AGENT_CHECK(damaged_agent.pending == 0, "%llu events are pending for ever",
                    (unsigned long long)damaged_agent.pending);
    if (strong)
        check_strong(v);
    else
        check_weak(v);
    return strong;
}
