/*
 * cli_wal_verify_log: checks group by group, as a start would read them, and more strictly.
 *
 * Owns:   nothing beyond a call.
 * Thread: main.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "cli/cli_fields.h"
#include "cli/cli_wal_item.h"
#include "cli/cli_wal_verify.h"

/*
 * Does a group behind `from` know that the log was synced beyond `lsn`? Only groups of one epoch
 * are asked, if epoch is not UINT64_MAX: a later one calls synced what it has found, whole or not.
 * 1, 0 or -errno, and how far it was synced.
 */
static int synced_ahead(struct wal_verify *v, uint64_t from, uint64_t lsn, uint64_t epoch,
                        uint64_t *ret_synced_lsn)
{
    struct wal_group_view g;
    struct wal_reader r;
    int n, found = 0;

    wal_reader_init(&r, &v->walk.dir);
    r.lsn = from;
    while (!found && (n = wal_reader_next(&r, UINT64_MAX, &g)) > 0
           && (epoch == UINT64_MAX || g.id.epoch == epoch)) {
        const struct wal_segment *seg = wal_dir_find(&v->walk.dir, g.body_lsn);

        if (*ret_synced_lsn < g.commit.synced_lsn)
            *ret_synced_lsn = g.commit.synced_lsn;
        /* A segment gets its name when the one before it is synced. */
        if (seg != NULL && wal_walk_start(seg) >= from && *ret_synced_lsn < wal_walk_start(seg))
            *ret_synced_lsn = wal_walk_start(seg);
        found = *ret_synced_lsn > lsn;
    }
    wal_reader_fini(&r);
    return found;
}

/* Was the log synced beyond this lsn, which is of group g, before its writer ended? */
static bool synced(struct wal_verify *v, const struct wal_group_view *g, uint64_t lsn)
{
    if (v->synced_epoch != g->id.epoch) {
        v->synced_epoch = g->id.epoch;
        v->synced_lsn = g->commit.synced_lsn;
        v->synced_final = false;
    }
    if (v->synced_lsn <= lsn && !v->synced_final)
        v->synced_final = synced_ahead(v, g->end_lsn, lsn, g->id.epoch, &v->synced_lsn) == 0;
    return v->synced_lsn > lsn;
}

/*
 * Nothing can be read before this group. If it had been synced, a disk has lost it; if not, a power
 * cut has kept some blocks and not others, and the next start ends the log here.
 */
static void hole_meet(struct wal_verify *v, const struct wal_group_view *g)
{
    const struct wal_segment *seg = wal_dir_find(&v->walk.dir, g->body_lsn);
    uint64_t synced_lsn = g->commit.synced_lsn;
    const char *name = wal_walk_segment(&v->walk, g->hole_from);

    if (seg != NULL && synced_lsn < wal_walk_start(seg))
        synced_lsn = wal_walk_start(seg);
    if (v->synced_epoch == g->id.epoch && synced_lsn < v->synced_lsn)
        synced_lsn = v->synced_lsn;
    v->holes++;
    v->hole_bytes += g->body_lsn - g->hole_from;
    v->trusted = false;
    if (synced_lsn > g->hole_from
        || synced_ahead(v, g->end_lsn, g->hole_from, UINT64_MAX, &synced_lsn) > 0) {
        wal_verify_damage(v, g->hole_from, name,
                          "%" PRIu64 " bytes hold no group that can be read, up to lsn %" PRIu64,
                          g->body_lsn - g->hole_from, g->body_lsn);
        return;
    }
    v->ended = true;
    wal_verify_note(v, g->hole_from, name,
                    "the log ends here: what follows was not synced when its writer died");
}

static const char *counts_trouble(const struct wal_verify *v, const struct wal_item *it,
                                  const struct frames_summary *sum)
{
    if (sum->events != it->u.span.events)
        return "its events are not as many as its item says";
    if (v->scratch.used_count != it->u.span.tallies)
        return "its events are of other definitions than its item says";
    for (uint16_t i = 0; i < it->u.span.tallies; i++) {
        struct wal_tally t = wal_tally_get(it, i);

        if (t.def > SHM_DEFS_MAX || v->scratch.events[t.def] != t.events
            || v->scratch.payload_bytes[t.def] != t.payload_bytes)
            return "its tallies are not those of its events";
    }
    return NULL;
}

/* The one fault that a crash may leave: bytes that never reached the disk. */
static const char other_bytes[] = "the checksum of its bytes differs";

/* What is wrong with a span, or NULL. */
static const char *span_trouble(struct wal_verify *v, const struct wal_item *it,
                                const struct wal_group_view *g)
{
    uint64_t len = it->u.span.to - it->u.span.from, body_len = g->commit.lsn - g->body_lsn;
    const struct wal_ring *ring = wal_state_ring(&v->state, it->u.span.ring);
    const uint8_t *span = g->body + it->u.span.offset;
    const char *trouble;
    struct frames_summary sum;

    if (len > body_len || it->u.span.offset > body_len - len
        || it->u.span.offset % SHM_FRAME_ALIGN != 0)
        return "it lies outside its group";
    if (it->u.span.offset < v->span_end)
        return "it overlaps the one before it";
    if (crc32c(0, span, len) != it->u.span.crc32c)
        return other_bytes;
    if (ring == NULL)           /* said of the item, or behind a hole */
        return NULL;
    if (frames_check(span, len, SHM_EVENT_BYTES_MAX, ring->defs_count, NULL, &v->scratch, &sum)
            != FRAMES_OK
        || sum.bytes_whole != len)
        trouble = "its bytes are no frames";
    else
        trouble = counts_trouble(v, it, &sum);
    frames_scratch_clear(&v->scratch);
    return trouble;
}

static void span_report(struct wal_verify *v, const struct wal_item *it,
                        const struct wal_group_view *g, const char *trouble)
{
    const struct wal_ring *ring = wal_state_ring(&v->state, it->u.span.ring);
    uint64_t lsn = g->body_lsn + it->u.span.offset;
    const char *name = wal_walk_segment(&v->walk, g->body_lsn);

    if (trouble != other_bytes || synced(v, g, g->body_lsn))
        wal_verify_damage(v, lsn, name, "span of %" PRIu32 " events of ring %" PRIu32 " (%s): %s",
                          it->u.span.events, it->u.span.ring, ring != NULL ? ring->name : "?",
                          trouble);
    else
        wal_verify_note(v, lsn, name, "span of %" PRIu32 " events was not synced when its writer "
                        "died: %s", it->u.span.events, trouble);
}

static char *item_text(const struct wal_verify *v, const struct wal_item *it)
{
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    struct cli_fields line = { .out = out };

    if (out == NULL)
        return NULL;
    cli_fields_open(&line);
    cli_fields_word(&line, "type", wal_item_type_name(it->type));
    wal_item_fields(&line, &v->state, it);
    (void)fclose(out);          /* the line is not closed: it is part of a sentence */
    return text;
}

/* Two items of checkpoints that may say the same. */
static bool items_alike(struct wal_item *said, struct wal_item *known, bool same_epoch)
{
    if (said->type != known->type)
        return false;
    /* An agent forgets where in the log a ring's delivered bytes were, a reader does not. */
    if (said->type == WAL_ATTACH)
        said->u.attach.lsn = known->u.attach.lsn;
    /* A start counts what it could not read, and says so here for the first time. */
    if (said->type == WAL_CHECKPOINT && !same_epoch)
        memcpy(said->u.checkpoint.lost_bytes, known->u.checkpoint.lost_bytes,
               sizeof(known->u.checkpoint.lost_bytes));
    return true;
}

/*
 * The checkpoint that begins at `at` against the one that the log before it would give. 0 or
 * -ENOMEM.
 */
static int checkpoint_compare(struct wal_verify *v, const struct wal_group_view *g,
                              const uint8_t *at)
{
    struct bytes known = BYTES_INIT, a = BYTES_INIT, b = BYTES_INIT;
    int r = wal_state_checkpoint(&v->state, &known);
    const uint8_t *known_at = known.data, *known_end = known.data + known.len;
    bool same_epoch = v->epoch == g->id.epoch;

    while (r == 0 && known_at < known_end) {
        struct wal_item said, should;
        char *said_text, *should_text;

        (void)wal_item_next(&known_at, known_end, &should);
        if (at >= g->items_end || wal_item_next(&at, g->items_end, &said) != 0)
            break;              /* said as a malformed item */
        bytes_clear(&a);
        bytes_clear(&b);
        if (said.type != WAL_SPAN && items_alike(&said, &should, same_epoch)) {
            r = wal_item_append(&a, &said, NULL);
            if (r == 0)
                r = wal_item_append(&b, &should, NULL);
            if (r == 0 && a.len == b.len && memcmp(a.data, b.data, a.len) == 0)
                continue;
        }
        if (r != 0)
            break;
        said_text = item_text(v, &said);
        should_text = item_text(v, &should);
        wal_verify_damage(v, g->commit.lsn, wal_walk_segment(&v->walk, g->body_lsn),
                          "the checkpoint says: %s; the log before it: %s",
                          said_text != NULL ? said_text : "?",
                          should_text != NULL ? should_text : "?");
        free(said_text);
        free(should_text);
        break;                  /* what follows may be shifted */
    }
    bytes_free(&known);
    bytes_free(&a);
    bytes_free(&b);
    return r;
}

/*
 * A batch that is new to the log begins behind the last event sealed in its partition, and behind
 * what was trimmed. One said again is known: it is acknowledged only after that.
 */
static void seal_check(struct wal_verify *v, const struct wal_item *it,
                       const struct wal_group_view *g)
{
    const struct wal_stream *st = wal_state_stream(&v->state, it->u.seal.stream);
    const struct wal_version *ver = st != NULL ? wal_stream_version(st, it->u.seal.version) : NULL;
    uint64_t sealed_lsn;
    char *text;

    if (!v->trusted || v->state.restating || ver == NULL || it->u.seal.output >= ver->outputs
        || wal_state_seal(&v->state, it->u.seal.epoch, it->u.seal.number) != NULL)
        return;
    sealed_lsn = wal_version_sealed_lsn(ver, it->u.seal.output, it->u.seal.partition.at,
                                        it->u.seal.partition.len);
    if (it->u.seal.first_lsn > sealed_lsn && it->u.seal.first_lsn >= v->state.trim_lsn)
        return;
    text = item_text(v, it);
    wal_verify_damage(v, g->commit.lsn, wal_walk_segment(&v->walk, g->body_lsn),
                      "seals again what is sealed up to lsn %" PRIu64 " and trimmed below lsn %"
                      PRIu64 ": %s", sealed_lsn, v->state.trim_lsn, text != NULL ? text : "?");
    free(text);
}

/* Applies one item that is not a damaged span. 0 or -ENOMEM. */
static int item_apply(struct wal_verify *v, const struct wal_item *it,
                      const struct wal_group_view *g, const uint8_t *at)
{
    int r = 0;

    if (it->type == WAL_CHECKPOINT && v->trusted)
        r = checkpoint_compare(v, g, at);
    else if (it->type == WAL_CHECKPOINT) {      /* all that is known comes from it */
        wal_state_fini(&v->state);
        r = wal_state_init(&v->state);
    }
    if (r)
        return r;
    if (it->type == WAL_SEAL)
        seal_check(v, it, g);
    r = it->type == WAL_SPAN && !v->state.checkpointed ? -EBADMSG
                                                       : wal_state_apply(&v->state, it, g->end_lsn);
    if (r == -ENOMEM)
        return r;
    if (r != 0 && v->trusted) {
        char *text = item_text(v, it);

        wal_verify_damage(v, g->commit.lsn, wal_walk_segment(&v->walk, g->body_lsn),
                          "contradicts the log before it: %s", text != NULL ? text : "?");
        free(text);
    } else if (r != 0) {
        v->passed_over++;
    }
    if (it->type == WAL_CHECKPOINT_END)
        v->trusted = true;
    return 0;
}

static bool segment_continues(const struct wal_verify *v, const struct wal_group_view *g)
{
    const struct wal_segment *seg = wal_dir_find(&v->walk.dir, g->body_lsn);

    return seg != NULL && wal_segment_continues(&seg->header);
}

/* The first group of a segment is its CHECKPOINT, unless the segment continues the one before. */
static void segment_enter(struct wal_verify *v, const struct wal_group_view *g)
{
    const struct wal_segment *seg = wal_dir_find(&v->walk.dir, g->body_lsn);
    const uint8_t *at = g->items;
    struct wal_item it;

    v->segment = g->id.segment;
    v->segments++;
    if (seg == NULL || g->body_lsn != seg->header.start_lsn + WAL_BLOCK
        || wal_segment_continues(&seg->header))
        return;
    if (wal_item_next(&at, g->items_end, &it) != 0 || it.type != WAL_CHECKPOINT)
        wal_verify_damage(v, g->commit.lsn, seg->name, "the segment has no checkpoint");
}

/* The items of a group. As wal_walk_next(): a group that was read again may be gone. */
static int group_items(struct wal_verify *v, struct wal_group_view *g, struct errmsg *err)
{
    const uint8_t *at = g->items;
    bool again = false;
    uint32_t count = 0;

    v->span_end = 0;
    while (at < g->items_end) {
        const uint8_t *item_at = at;
        const char *trouble;
        struct wal_item it;

        if (wal_item_next(&at, g->items_end, &it) != 0) {
            wal_verify_damage(v, g->commit.lsn, wal_walk_segment(&v->walk, g->body_lsn),
                              "item %" PRIu32 " of %" PRIu32 " is malformed", count + 1,
                              g->commit.items);
            return WAL_WALK_GROUP;
        }
        trouble = it.type == WAL_SPAN ? span_trouble(v, &it, g) : NULL;
        if (trouble != NULL && !again) {
            size_t done = (size_t)(item_at - g->items);
            uint64_t group_lsn = g->body_lsn;
            int n = wal_walk_again(&v->walk, group_lsn, g, err);

            if (n != WAL_WALK_GROUP || g->body_lsn != group_lsn)
                return n;
            again = true;
            at = g->items + done;
            continue;
        }
        if (trouble != NULL)
            span_report(v, &it, g, trouble);
        if (it.type == WAL_SPAN) {
            v->span_end = it.u.span.offset + (it.u.span.to - it.u.span.from);
            v->spans++;
            v->events += it.u.span.events;
        }
        if (item_apply(v, &it, g, item_at) != 0)
            return errmsg_set(err, -ENOMEM, "out of memory");
        count++;
    }
    if (count != g->commit.items)
        wal_verify_damage(v, g->commit.lsn, wal_walk_segment(&v->walk, g->body_lsn),
                          "%" PRIu32 " items, its COMMIT says %" PRIu32, count, g->commit.items);
    v->items += count;
    return WAL_WALK_GROUP;
}

static int group_verify(struct wal_verify *v, struct wal_group_view *g, struct errmsg *err)
{
    uint64_t bytes = g->end_lsn - g->body_lsn;
    int n;

    if (g->hole_from < g->body_lsn)
        hole_meet(v, g);
    if (v->ended)
        return WAL_WALK_GROUP;
    if (g->id.segment != v->segment)
        segment_enter(v, g);
    /* One that continues another has its name only when all that it begins with is synced. */
    if (g->commit.synced_lsn > g->commit.group_lsn && !segment_continues(v, g))
        wal_verify_damage(v, g->commit.lsn, wal_walk_segment(&v->walk, g->body_lsn),
                          "a COMMIT cannot know of a sync behind it, up to lsn %" PRIu64,
                          g->commit.synced_lsn);
    n = group_items(v, g, err);
    v->epoch = g->id.epoch;
    v->groups++;
    v->bytes += bytes;
    wal_verify_progress(v, bytes);
    return n;
}

int wal_verify_log(struct wal_verify *v, struct errmsg *err)
{
    struct wal_group_view g;
    int n;

    while (!v->ended && (n = wal_walk_next(&v->walk, &g, err)) > 0) {
        if (n == WAL_WALK_GROUP)
            n = group_verify(v, &g, err);
        if (n < 0)
            return n;
        if (n == WAL_WALK_TRIMMED) {
            wal_verify_note(v, v->walk.reader.lsn, wal_walk_segment(&v->walk, v->walk.reader.lsn),
                            "the agent has trimmed the log up to here while it was read");
            v->trusted = false;
        }
    }
    return v->ended ? 0 : n;
}

/* Events of one output of a version that are in live seals. */
static uint64_t events_sealed(const struct wal_state *s, uint32_t stream, uint32_t version,
                              uint16_t output)
{
    uint64_t sum = 0;

    for (const struct wal_seal *seal = s->seals; seal != NULL; seal = seal->next)
        if (seal->stream == stream && seal->version == version && seal->output == output)
            sum += seal->events;
    return sum;
}

static void stream_books(struct wal_verify *v, const struct wal_stream *st)
{
    struct wal_books b = wal_stream_books(st);

    if (b.delivered + b.dropped + b.lost > b.accepted)
        wal_verify_damage(v, WAL_NO_LSN, NULL,
                          "the books of stream %s: more events delivered (%" PRIu64 "), dropped (%"
                          PRIu64 ") and lost (%" PRIu64 ") than accepted (%" PRIu64 ")", st->name,
                          b.delivered, b.dropped, b.lost, b.accepted);
    for (uint32_t i = 0; i < st->versions_count; i++)
        for (uint16_t o = 0; o < st->versions[i].outputs; o++) {
            const struct wal_version *ver = &st->versions[i];
            uint64_t done = ver->delivered[o]
                            + events_sealed(&v->state, st->id, ver->version, o);

            for (int why = 0; why < WAL_DROP_REASON_COUNT; why++)
                done += ver->dropped[o][why];
            if (done > ver->accepted)
                wal_verify_damage(v, WAL_NO_LSN, NULL,
                                  "the books of stream %s, version %" PRIu32 ", output %u: %" PRIu64
                                  " events sealed, %" PRIu64 " accepted", st->name, ver->version,
                                  o, done, ver->accepted);
        }
}

void wal_verify_books(struct wal_verify *v)
{
    uint64_t oldest = wal_walk_start(&v->walk.dir.segments[0]);

    if (!v->state.checkpointed)
        return;                 /* nothing is known; that is said */
    for (uint32_t i = 0; i < v->state.streams_count; i++)
        stream_books(v, v->state.streams[i]);
    if (v->state.trim_lsn < oldest)
        wal_verify_damage(v, v->state.trim_lsn, v->walk.dir.segments[0].name,
                          "segments before this one are missing: the log is needed from there on");
    for (const struct wal_seal *seal = v->state.seals; seal != NULL; seal = seal->next)
        if (seal->first_lsn < oldest)
            wal_verify_damage(v, seal->first_lsn, NULL,
                              "batch %016" PRIx64 "-%" PRIu64 " is not delivered, and its events "
                              "are no longer in the log", seal->epoch, seal->number);
}
