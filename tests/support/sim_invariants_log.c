/*
 * sim_invariants_log: follows the log as it is written: segments, COMMITs, syncs, new epochs.
 *
 * Owns:   nothing beyond the ledger.
 * Thread: one.
 * Units:  see sim_invariants.h.
 */
#include "support/sim_invariants.h"

#include <stdlib.h>
#include <string.h>

typedef unsigned long long ull;

bool inv_name_ends(const char *name, const char *suffix)
{
    size_t len = strlen(name), end = strlen(suffix);

    return len > end && strcmp(name + len - end, suffix) == 0;
}

static struct inv_segment *segment_of(struct inv *v, uint64_t ino)
{
    for (uint32_t i = v->segments_count; i-- > 0; )
        if (v->segments[i].ino == ino)
            return &v->segments[i];
    return NULL;
}

/* ---- Frontiers ---- */

/* In log order: what is behind something that has not landed is not counted on. */
void inv_frontiers(struct inv *v)
{
    while (v->commits_done < v->commits_count && v->commits[v->commits_done].whole) {
        const struct inv_segment *seg = segment_of(v, v->commits[v->commits_done].ino);

        if (seg ? !seg->named : !v->commits[v->commits_done].found)
            break;
        v->done_lsn = v->commits[v->commits_done++].end_lsn;
    }
    while (v->commits_synced < v->commits_done && v->commits[v->commits_synced].synced) {
        const struct inv_commit *c = &v->commits[v->commits_synced];
        const struct inv_segment *seg = segment_of(v, c->ino);

        if (seg ? !seg->name_synced : !c->found)
            break;
        v->synced_lsn = c->end_lsn;
        v->commits_synced++;
    }
}

/* ---- A new epoch: where the log before it ends ---- */

static void events_forget(struct inv *v, uint64_t end)
{
    while (v->events_count > 0 && v->events[v->events_count - 1].end_lsn > end) {
        const struct inv_event *ev = &v->events[--v->events_count];

        if (ev->source != INV_STRANGER)
            v->sources[ev->source].written[ev->index].event = 0;
        inv_count(v, COVER_events_undone);
    }
    for (uint32_t i = 0; i < v->events_count; i++) {
        struct inv_event *ev = &v->events[i];

        if (ev->lost_lsn > end)
            ev->lost_lsn = 0;
        for (int o = 0; o < INV_OUTPUTS_MAX; o++)
            if (ev->seal[o] > v->seals_count)
                ev->seal[o] = 0;
    }
}

static void nothing_delivered_is_forgotten(struct inv *v, const struct inv_seal *seal)
{
    for (uint16_t t = 0; t < seal->targets; t++)
        INV_CHECK(v, seal->target[t].file == INV_ABSENT, "%s was delivered, its seal at %llu is "
                  "not in the log any more", seal->target[t].path, (ull)seal->end_lsn);
}

static void what_a_start_finds_sealed_keeps_its_file(struct inv *v, const struct inv_seal *seal)
{
    for (uint16_t t = 0; t < seal->targets && seal->spool_removed; t++)
        INV_CHECK(v, seal->target[t].ack_lsn != 0
                  || (seal->target[t].file != INV_ABSENT && !seal->target[t].object),
                  "batch %llu, its seal is at %llu", (ull)seal->number, (ull)seal->end_lsn);
}

static void seals_forget(struct inv *v, uint64_t end)
{
    while (v->seals_count > 0 && v->seals[v->seals_count - 1].end_lsn > end) {
        nothing_delivered_is_forgotten(v, &v->seals[v->seals_count - 1]);
        inv_seal_forget(v);
    }
    for (uint32_t i = 0; i < v->seals_count; i++) {
        struct inv_seal *seal = &v->seals[i];
        bool live = false;

        for (uint16_t t = 0; t < seal->targets; t++) {
            struct inv_target *target = &seal->target[t];

            if (target->ack_lsn > end) {
                target->ack_lsn = 0;
                target->abandoned = false;
            }
            if (target->staged_lsn > end)
                target->staged_lsn = 0;
            live |= target->ack_lsn == 0;
        }
        if (seal->again_lsn > end)
            seal->again_lsn = 0;
        if (seal->reseal_lsn > end)
            seal->reseal_lsn = 0;
        what_a_start_finds_sealed_keeps_its_file(v, seal);
        if (live)
            inv_count(v, COVER_resumed_seals);
    }
}

static void tables_forget(struct inv *v, uint64_t end)
{
    while (v->versions_count > 0 && v->versions[v->versions_count - 1].end_lsn > end) {
        const struct inv_version *version = &v->versions[--v->versions_count];

        for (uint16_t o = 0; o < version->outputs; o++)
            inv_format_close(version->format[o]);
    }
    while (v->defs_count > 0 && v->defs[v->defs_count - 1].end_lsn > end)
        v->defs_count--;
    while (v->trims_count > 0 && v->trims[v->trims_count - 1].end_lsn > end)
        v->trims_count--;
    while (v->drops_count > 0 && v->drops[v->drops_count - 1].end_lsn > end)
        v->drops_count--;
    while (v->rings_count > 0 && v->rings[v->rings_count - 1].end_lsn > end)
        v->rings_count--;
    for (uint32_t i = 0; i < v->rings_count; i++) {
        v->rings[i].to = v->rings[i].attach_pos;
        v->rings[i].retired = false;
    }
    for (uint32_t i = 0; i < v->events_count; i++)
        inv_ring_of(v, v->events[i].ring)->to = v->events[i].end_pos;
}

/*
 * After a kill the log ends at a COMMIT that landed, if only in part: the rest may have been there
 * as zeros. After a power cut it ends at any that was begun.
 */
static void the_log_ends_where_a_commit_ends(struct inv *v, uint64_t end)
{
    bool known = end == 0;

    for (uint32_t i = v->commits_count; i-- > 0 && !known; )
        known = v->commits[i].end_lsn == end
                && (v->cut || v->commits[i].landed > v->commits[i].from);
    /* Or where a continuation did that had its name, were it not yet for sure. */
    for (uint32_t i = 0; i < v->segments_count && !known; i++)
        known = v->segments[i].start_lsn + WAL_BLOCK == end
                || (v->segments[i].continues && v->segments[i].named
                    && v->segments[i].end_lsn == end);
    /* What was given up may come back with a power cut: it was whole. */
    for (uint32_t i = 0; i < v->ghosts_count && v->cut && !known; i++)
        known = v->ghosts[i] == end;
    INV_CHECK(v, known, "a new epoch begins at %llu, and no group ends there", (ull)end);
}

static void what_was_promised_stays_in_the_log(struct inv *v, uint64_t end)
{
    INV_CHECK(v, end >= v->floor_lsn, "a new epoch begins at %llu; up to %llu the log was %s",
              (ull)end, (ull)v->floor_lsn, v->cut ? "synced" : "written");
}

/* The ledger goes back to where it was when the log ended here. */
static void log_forget(struct inv *v, uint64_t end)
{
    while (v->commits_count > 0 && v->commits[v->commits_count - 1].end_lsn > end) {
        v->commits_count--;
        inv_count(v, COVER_commits_undone);
    }
    seals_forget(v, end);
    events_forget(v, end);
    tables_forget(v, end);
    if (v->state_lsn > end)
        bytes_clear(&v->state);
    if (v->commits_done > v->commits_count)
        v->commits_done = v->commits_count;
    if (v->commits_synced > v->commits_done)
        v->commits_synced = v->commits_done;
}

/* The segment before it counts up to here only, and so do its COMMITs. */
static void segment_takes_over(struct inv *v, const struct inv_segment *seg)
{
    for (uint32_t i = v->commits_count; i-- > 0 && v->commits[i].end_lsn > seg->from_lsn; ) {
        struct inv_commit *c = &v->commits[i];

        if (c->ino == seg->ino)
            continue;
        c->ino = seg->ino;
        c->to = c->landed = c->end_lsn - seg->start_lsn;
        c->from = c->to - WAL_BLOCK;
        c->seq = seg->write_seq;
        c->whole = c->synced = true;
    }
}

static void epoch_begin(struct inv *v, const struct wal_segment_header *header)
{
    uint64_t end = header->start_lsn;

    the_log_ends_where_a_commit_ends(v, end);
    what_was_promised_stays_in_the_log(v, end);
    v->epoch = header->epoch;
    memcpy(v->uuid, header->uuid, sizeof(v->uuid));
    log_forget(v, end);
    /* One that had its name and was not known to be durable counts now. */
    for (uint32_t i = 0; i < v->segments_count; i++)
        if (v->segments[i].continues && !v->segments[i].name_synced
            && (v->segments[i].named || v->cut))
            segment_takes_over(v, &v->segments[i]);
    for (uint32_t i = 0; i < v->commits_count; i++) {
        v->commits[i].whole = v->commits[i].found = true;
        v->commits[i].synced |= v->cut;
    }
    for (uint32_t i = 0; v->cut && i < v->segments_count; i++) {
        struct inv_segment *seg = &v->segments[i];

        if (seg->from_lsn >= end) {     /* its name is gone */
            free(seg->blocks);
            *seg = v->segments[--v->segments_count];
            i--;
            continue;
        }
        seg->doomed_seq = 0;
        seg->named = seg->name_synced = true;
    }
    v->begun_lsn = v->done_lsn = v->known_lsn = end;
    if (v->cut || v->synced_lsn > end)
        v->synced_lsn = end;
    inv_frontiers(v);
    v->floor_lsn = end;
    v->closed_lsn = UINT64_MAX;
    v->cut = v->over = false;
}

/* ---- Writes ---- */

static void commit_add(struct inv *v, const struct sim_sight *sight, uint64_t end_lsn,
                       uint64_t from, uint64_t to)
{
    struct inv_commit *c = inv_append((void **)&v->commits, &v->commits_count, &v->commits_cap,
                                      sizeof(*c));

    *c = (struct inv_commit){.end_lsn = end_lsn, .ino = sight->ino, .from = from, .to = to,
                             .landed = from};
    v->begun_lsn = end_lsn;
    inv_count(v, COVER_commits);
}

/* D3: the next COMMIT is begun when the one before it has landed, and where that one ends. */
static void commits_go_one_after_the_other(struct inv *v, uint64_t group_lsn)
{
    INV_CHECK(v, v->commits_done == v->commits_count, "a COMMIT of the group at %llu while %u are "
              "under way", (ull)group_lsn, v->commits_count - v->commits_done);
    INV_CHECK(v, group_lsn == v->begun_lsn, "a group at %llu, the log ends at %llu",
              (ull)group_lsn, (ull)v->begun_lsn);
}

/* What a COMMIT says to be synced is. */
static void commits_tell_the_truth_of_syncs(struct inv *v, const struct wal_commit *c)
{
    INV_CHECK(v, c->synced_lsn <= v->synced_lsn, "the COMMIT at %llu says %llu, synced up to "
              "%llu", (ull)c->lsn, (ull)c->synced_lsn, (ull)v->synced_lsn);
}

/* It restates what is sealed: that is said again. */
static void checkpoints_end(struct inv *v, uint64_t end_lsn)
{
    for (uint32_t i = 0; i < v->seals_count; i++)
        if (v->seals[i].again_lsn == 0)
            v->seals[i].again_lsn = end_lsn;
}

/* Where the CHECKPOINTs end that one write brings with the header. *ret_first: the first one. */
static uint64_t checkpoints_parse(const struct inv *v, const struct sim_sight *sight,
                                  const struct wal_segment_header *header,
                                  struct wal_commit *ret_first)
{
    struct wal_identity id = {.epoch = header->epoch, .segment = header->number};
    uint64_t at = WAL_BLOCK;
    unsigned count = 0;
    struct wal_commit c;

    memcpy(id.uuid, header->uuid, sizeof(id.uuid));
    for (; at < sight->len; at += c.bytes, count++)
        if (wal_commit_parse(&id, (const uint8_t *)sight->bytes + at, sight->len - at,
                             header->start_lsn + at, &c)
            || c.group_lsn != c.lsn)
            inv_fail(v, __func__, "%s: no CHECKPOINT at offset %llu", sight->name, (ull)at);
    if (count != WAL_CHECKPOINTS)
        inv_fail(v, __func__, "%s has %u CHECKPOINTs", sight->name, count);
    memcpy(ret_first, (const uint8_t *)sight->bytes + WAL_BLOCK, sizeof(*ret_first));
    return header->start_lsn + at;
}

static struct inv_segment *segment_add(struct inv *v, const struct sim_sight *sight,
                                       const struct wal_segment_header *header)
{
    struct inv_segment *seg = segment_of(v, sight->ino);

    if (seg)
        free(seg->blocks);
    else
        seg = inv_append((void **)&v->segments, &v->segments_count, &v->segments_cap,
                         sizeof(*seg));
    *seg = (struct inv_segment){.ino = sight->ino, .epoch = header->epoch,
                                .number = header->number, .start_lsn = header->start_lsn,
                                .from_lsn = header->prev_end_lsn,
                                .end_lsn = header->prev_end_lsn,
                                .continues = wal_segment_continues(header)};
    inv_count(v, COVER_segments);
    return seg;
}

/* D5: after a failure all that may not be synced is written again, from the end of a group on. */
static void a_continuation_begins_where_the_log_is_synced(struct inv *v,
                                                          const struct wal_segment_header *header)
{
    bool known = header->prev_end_lsn == v->floor_lsn;

    for (uint32_t i = v->commits_count; i-- > 0 && !known; )
        known = v->commits[i].end_lsn == header->prev_end_lsn;
    INV_CHECK(v, known && header->epoch == v->epoch && header->prev_end_lsn <= v->synced_lsn,
              "the log is continued at %llu, synced up to %llu", (ull)header->prev_end_lsn,
              (ull)v->synced_lsn);
}

/* Some step of its making has failed: as if it had not been begun. */
static bool segment_given_up(struct inv *v, struct inv_segment *seg)
{
    if (seg->given_up)
        return true;
    if (seg->name_synced || seg->epoch != v->epoch || v->over)
        return false;
    seg->given_up = true;
    if (seg->named && v->ghosts_count < INV_GHOSTS_MAX && v->commits_count > 0)
        v->ghosts[v->ghosts_count++] = v->begun_lsn;
    if (!seg->continues) {
        log_forget(v, seg->from_lsn);
        v->begun_lsn = seg->from_lsn;
        v->done_lsn = v->done_lsn < v->begun_lsn ? v->done_lsn : v->begun_lsn;
        v->synced_lsn = v->synced_lsn < v->begun_lsn ? v->synced_lsn : v->begun_lsn;
    }
    return true;
}

/* Its file could not be removed, but the log goes on in the segment before. */
static void a_roll_is_given_up(struct inv *v, const struct inv_segment *seg, uint64_t group_lsn)
{
    const struct inv_commit *last = &v->commits[v->commits_count - 1];
    struct inv_segment *next = v->commits_count > 0 ? segment_of(v, last->ino) : NULL;

    if (next && next != seg && last->checkpoint && !next->named && next->from_lsn == group_lsn
        && segment_given_up(v, next))
        inv_count(v, COVER_segments_given_up);
}

/* Header and CHECKPOINTs are one write. */
static void segment_begin(struct inv *v, const struct sim_sight *sight)
{
    struct wal_segment_header header;
    struct inv_segment *seg = segment_of(v, sight->ino);
    struct wal_commit first;
    uint64_t end_lsn;

    if (wal_segment_header_parse(sight->bytes, &header))
        inv_fail(v, __func__, "%s does not begin with a header", sight->name);
    if (seg && seg->epoch == header.epoch && seg->number == header.number)
        return;                         /* the rest after a short write */
    if (wal_segment_continues(&header)) {
        a_continuation_begins_where_the_log_is_synced(v, &header);
        segment_add(v, sight, &header);
        inv_count(v, COVER_continuations);
        return;
    }
    end_lsn = checkpoints_parse(v, sight, &header, &first);
    if (header.epoch != v->epoch) {
        inv_state_is_found_again(v, (const uint8_t *)sight->bytes + WAL_BLOCK + sizeof(first),
                                 first.item_bytes, header.start_lsn);
        epoch_begin(v, &header);
    } else {
        inv_count(v, COVER_rolls);
    }
    a_roll_is_given_up(v, seg, header.start_lsn);
    commits_go_one_after_the_other(v, header.start_lsn);
    segment_add(v, sight, &header);
    commit_add(v, sight, end_lsn, 0, sight->len);
    v->commits[v->commits_count - 1].checkpoint = true;
    checkpoints_end(v, end_lsn);
}

/*
 * A group in a segment that will continue another. It may be known from there, or it had not come
 * so far; they may all be under way at once, for the segment has no name yet.
 */
static bool continued_group_is_known(struct inv *v, struct inv_segment *seg,
                                     const struct wal_commit *c)
{
    uint64_t end_lsn = c->lsn + c->bytes;

    INV_CHECK(v, c->group_lsn == seg->end_lsn, "a group at %llu in a segment with groups up to "
              "%llu", (ull)c->group_lsn, (ull)seg->end_lsn);
    seg->end_lsn = end_lsn;
    seg->said_lsn = c->synced_lsn > seg->said_lsn ? c->synced_lsn : seg->said_lsn;
    for (uint32_t i = v->commits_count; i-- > 0; )
        if (v->commits[i].end_lsn == end_lsn)
            return true;
    INV_CHECK(v, c->group_lsn == v->begun_lsn, "a group at %llu, the log ends at %llu",
              (ull)c->group_lsn, (ull)v->begun_lsn);
    return false;
}

static void group_begin(struct inv *v, struct inv_segment *seg, const struct sim_sight *sight)
{
    struct wal_identity id = {.epoch = seg->epoch, .segment = seg->number};
    const uint8_t *at = sight->bytes, *end;
    struct wal_commit c;
    struct wal_item it;

    memcpy(id.uuid, v->uuid, sizeof(id.uuid));
    if (wal_commit_parse(&id, at, sight->len, seg->start_lsn + sight->offset, &c))
        return;
    if (seg->continues && !seg->named) {
        if (continued_group_is_known(v, seg, &c))
            return;
    } else {
        a_roll_is_given_up(v, seg, c.group_lsn);
        commits_go_one_after_the_other(v, c.group_lsn);
        commits_tell_the_truth_of_syncs(v, &c);
    }
    end = at + sizeof(c) + c.item_bytes;
    for (at += sizeof(c); at < end; inv_item(v, sight, &c, &it))
        if (wal_item_next(&at, end, &it))
            inv_fail(v, __func__, "an item of the COMMIT at %llu cannot be read", (ull)c.lsn);
    commit_add(v, sight, c.lsn + c.bytes, sight->offset, sight->offset + c.bytes);
}

static bool all_zero(const uint8_t *bytes, size_t len)
{
    return len == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, len - 1) == 0);
}

/* Blocks worn in with zeros count as not written. */
static void a_block_is_written_once(struct inv *v, struct inv_segment *seg,
                                    const struct sim_sight *sight)
{
    const uint8_t *bytes = sight->bytes;
    uint64_t end = sight->offset + sight->len;

    for (uint64_t at = bytes_round_up(sight->offset, WAL_BLOCK); at + WAL_BLOCK <= end;
         at += WAL_BLOCK) {
        uint32_t block = (uint32_t)(at / WAL_BLOCK);

        if (block < seg->blocks_count && seg->blocks[block])
            INV_CHECK(v, memcmp(bytes + (at - sight->offset), sight->file + at, WAL_BLOCK) == 0,
                      "%s: block %u", sight->name, block);
    }
}

static void blocks_note(struct inv_segment *seg, const struct sim_sight *sight)
{
    const uint8_t *bytes = sight->bytes;
    uint64_t end = sight->offset + sight->len;

    for (uint64_t at = bytes_round_up(sight->offset, WAL_BLOCK); at + WAL_BLOCK <= end;
         at += WAL_BLOCK) {
        uint32_t block = (uint32_t)(at / WAL_BLOCK);

        if (block >= seg->blocks_count) {
            uint32_t count = 2 * block + 64;

            seg->blocks = realloc(seg->blocks, count);
            if (!seg->blocks)
                abort();
            memset(seg->blocks + seg->blocks_count, 0, count - seg->blocks_count);
            seg->blocks_count = count;
        }
        seg->blocks[block] |= !all_zero(bytes + (at - sight->offset), WAL_BLOCK);
    }
}

static void commits_land(struct inv *v, const struct sim_sight *sight)
{
    /* Written once more by a later start, from front to back. */
    for (uint32_t i = v->commits_synced; i < v->commits_done; i++) {
        struct inv_commit *c = &v->commits[i];

        if (c->ino == sight->ino && sight->offset < c->to && sight->offset + sight->len >= c->to)
            c->seq = sight->seq;
    }
    for (uint32_t i = v->commits_done; i < v->commits_count; i++) {
        struct inv_commit *c = &v->commits[i];

        if (c->ino != sight->ino || sight->offset > c->landed
            || sight->offset + sight->len <= c->landed)
            continue;
        c->landed = sight->offset + sight->len;
        c->seq = sight->seq;
        c->whole = c->landed >= c->to;
    }
    inv_frontiers(v);
}

void inv_see_write(struct inv *v, const struct sim_sight *sight)
{
    bool new = inv_name_ends(sight->name, ".new");
    struct inv_segment *seg;

    if (!new && !inv_name_ends(sight->name, ".seg"))
        return;
    if (v->wal_dir == 0 || sight->dir != v->wal_dir)
        v->wal_dir = sim_ino(SIM_AGENT_DATA "/wal");
    if (sight->dir != v->wal_dir)
        return;
    if (sight->begun && new && sight->offset == 0) {
        segment_begin(v, sight);
        return;
    }
    seg = segment_of(v, sight->ino);
    if (!seg)
        inv_fail(v, __func__, "%s is written to and was not begun", sight->name);
    if (sight->begun) {
        const struct inv_commit *last = &v->commits[v->commits_count - 1];

        a_block_is_written_once(v, seg, sight);
        if (v->over)
            return;                     /* no group, but a tail that is written once more */
        if (last->ino != sight->ino || sight->offset < last->from || sight->offset >= last->to)
            group_begin(v, seg, sight);
        return;
    }
    blocks_note(seg, sight);
    seg->write_seq = sight->seq;
    commits_land(v, sight);
}

/* ---- Syncs and names ---- */

static void directory_synced(struct inv *v, const struct sim_sight *sight)
{
    for (uint32_t i = 0; i < v->segments_count; i++) {
        struct inv_segment *seg = &v->segments[i];

        if (!seg->named || seg->name_seq > sight->seq || sight->res != 0)
            continue;
        if (seg->continues && !seg->name_synced && seg->epoch == v->epoch && !v->over)
            segment_takes_over(v, seg);
        seg->name_synced = true;
    }
}

void inv_see_sync(struct inv *v, const struct sim_sight *sight)
{
    struct inv_segment *seg = segment_of(v, sight->ino);

    if (sight->res != 0)
        inv_count(v, COVER_sync_faults);
    if (sight->ino == v->wal_dir)
        directory_synced(v, sight);
    else if (seg && sight->res != 0)
        seg->doomed_seq = sight->seq;
    else if (seg && seg->write_seq <= sight->seq)
        seg->sync_seq = sight->seq;
    /* What a power cut has left of the log the next epoch will say. */
    if (v->cut)
        return;
    for (uint32_t i = v->commits_synced; seg && sight->res == 0 && i < v->commits_count; i++) {
        struct inv_commit *c = &v->commits[i];

        c->synced |= c->ino == sight->ino && c->seq != 0 && c->seq <= sight->seq
                     && c->seq > seg->doomed_seq;
    }
    inv_frontiers(v);
}

/* A segment goes when a synced TRIM covers it, and that when all in it is acknowledged. */
static void nothing_needed_is_recycled(struct inv *v, const struct inv_segment *seg,
                                       const char *name)
{
    uint64_t end = UINT64_MAX, trimmed = 0;

    for (uint32_t i = 0; i < v->segments_count; i++)
        if (v->segments[i].from_lsn > seg->from_lsn && v->segments[i].from_lsn < end)
            end = v->segments[i].from_lsn;
    for (uint32_t i = 0; i < v->trims_count; i++)
        if (v->trims[i].end_lsn <= v->synced_lsn && v->trims[i].lsn > trimmed)
            trimmed = v->trims[i].lsn;
    INV_CHECK(v, end <= trimmed, "%s ends at %llu, the log is trimmed to %llu", name, (ull)end,
              (ull)trimmed);
    for (uint32_t i = inv_event_from(v, seg->from_lsn);
         i < v->events_count && v->events[i].lsn < end; i++)
        INV_CHECK(v, inv_acknowledged(v, &v->events[i]), "%s has the event at %llu", name,
                  (ull)v->events[i].lsn);
}

/* D4. What a start finds it has synced too, before it begins an epoch. */
static void a_segment_is_named_when_all_before_it_is_synced(struct inv *v,
                                                            const struct inv_segment *seg,
                                                            const char *name)
{
    for (uint32_t i = 0; i < v->segments_count; i++)
        if (v->segments[i].epoch == seg->epoch && v->segments[i].number < seg->number)
            INV_CHECK(v, v->synced_lsn >= seg->from_lsn, "%s begins at %llu, synced up to %llu",
                      name, (ull)seg->from_lsn, (ull)v->synced_lsn);
}

/* D5: whoever finds the new segment must not miss the old one. */
static void a_continuation_is_whole_when_it_is_named(struct inv *v, const struct inv_segment *seg,
                                                     const char *name)
{
    INV_CHECK(v, seg->end_lsn >= v->begun_lsn && seg->said_lsn <= seg->end_lsn,
              "%s has groups up to %llu and says that %llu is synced; the log ends at %llu", name,
              (ull)seg->end_lsn, (ull)seg->said_lsn, (ull)v->begun_lsn);
    INV_CHECK(v, seg->sync_seq > seg->doomed_seq && seg->sync_seq >= seg->write_seq,
              "%s is not synced", name);
}

void inv_see_segment_name(struct inv *v, const struct sim_sight *sight)
{
    struct inv_segment *seg = segment_of(v, sight->ino);
    bool new = inv_name_ends(sight->name, ".new");

    if (!seg || sight->dir != v->wal_dir)
        return;
    if (sight->kind == SIM_RENAME && new && inv_name_ends(sight->to, ".seg")) {
        INV_CHECK(v, !seg->given_up, "%s was given up and is named", sight->name);
        if (seg->continues)
            a_continuation_is_whole_when_it_is_named(v, seg, sight->name);
        else
            a_segment_is_named_when_all_before_it_is_synced(v, seg, sight->name);
        seg->named = true;
        seg->name_seq = sight->seq;
        inv_frontiers(v);
        return;
    }
    if (sight->kind == SIM_UNLINK && segment_given_up(v, seg)) {
        inv_count(v, COVER_segments_given_up);
    } else if (!new) {
        if (sight->kind == SIM_RENAME && !inv_name_ends(sight->to, ".new"))
            inv_fail(v, "no_segment_is_set_aside", "%s becomes %s", sight->name, sight->to);
        nothing_needed_is_recycled(v, seg, sight->name);
        inv_count(v, sight->kind == SIM_RENAME ? COVER_segments_recycled
                                               : COVER_segments_removed);
    } else if (sight->kind == SIM_RENAME) {
        return;                         /* a spare that gets another name */
    }
    free(seg->blocks);
    *seg = v->segments[--v->segments_count];
}
