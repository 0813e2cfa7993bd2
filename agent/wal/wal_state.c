/*
 * wal_state: the tables, their keys, what becomes of rings; wal_books.c has what counts.
 * Owns:   rings, streams and seals.
 * Thread: shard.
 */
#include "wal/wal_state.h"

#include <string.h>

#include "wal/wal_books.h"

int wal_state_init(struct wal_state *s)
{
    memset(s, 0, sizeof(*s));
    s->seals_last = &s->seals;
    s->next_ring = 1;
    s->next_stream = 1;
    return 0;
}

static void ring_free(struct wal_ring *r)
{
    if (!r)
        return;
    for (uint16_t i = 0; i < r->defs_count; i++)
        free(r->defs[i].schema);
    free(r->defs);
    free(r);
}

void wal_state_fini(struct wal_state *s)
{
    for (uint32_t i = 0; i < s->rings_count; i++)
        ring_free(s->rings[i]);
    wal_books_free(s);
    free(s->rings);
    free(s->lost_spans);
    memset(s, 0, sizeof(*s));
}

/* Both tables are sorted by id, which only grows: search by halves, append at the end. */
struct wal_ring *wal_state_ring(const struct wal_state *s, uint32_t id)
{
    uint32_t lo = 0, hi = s->rings_count;

    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;

        if (s->rings[mid]->id < id)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < s->rings_count && s->rings[lo]->id == id ? s->rings[lo] : NULL;
}

struct wal_ring *wal_state_ring_by_uuid(const struct wal_state *s, const uint8_t uuid[16])
{
    for (uint32_t i = 0; i < s->rings_count; i++)
        if (memcmp(s->rings[i]->uuid, uuid, 16) == 0)
            return s->rings[i];
    return NULL;
}

struct wal_stream *wal_state_stream(const struct wal_state *s, uint32_t id)
{
    uint32_t lo = 0, hi = s->streams_count;

    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;

        if (s->streams[mid]->id < id)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < s->streams_count && s->streams[lo]->id == id ? s->streams[lo] : NULL;
}

struct wal_stream *wal_state_stream_by_name(const struct wal_state *s, const char *name)
{
    for (uint32_t i = 0; i < s->streams_count; i++)
        if (strcmp(s->streams[i]->name, name) == 0)
            return s->streams[i];
    return NULL;
}

bool wal_state_span_lost(const struct wal_state *s, uint64_t lsn)
{
    for (uint32_t i = 0; i < s->lost_spans_count; i++)
        if (s->lost_spans[i].lsn == lsn || lsn - s->lost_spans[i].lsn < s->lost_spans[i].bytes)
            return true;
    return false;
}

bool wal_ring_schema(const struct wal_ring *ring, uint16_t number, const uint8_t **ret_body,
                     uint32_t *ret_len)
{
    const struct wal_def *def;

    if (number < 1 || number > ring->defs_count)
        return false;
    def = &ring->defs[number - 1];
    *ret_body = def->schema;
    *ret_len = def->schema_len;
    return def->schema != NULL;
}

/* Marks. A mark may be forgotten as long as a later one stays: that only makes positions late. */
static void ring_mark_add(struct wal_ring *r, uint64_t pos, uint64_t lsn)
{
    if (r->marks > 0 && r->mark[r->marks - 1].lsn == lsn) {     /* another span of one group */
        r->mark[r->marks - 1].pos = pos;
        return;
    }
    if (r->marks == WAL_RING_MARKS) {
        uint16_t kept = 0;

        for (uint16_t i = 1; i < WAL_RING_MARKS; i += 2)
            r->mark[kept++] = r->mark[i];
        r->marks = kept;
    }
    r->mark[r->marks++] = (struct wal_mark){pos, lsn};
}

uint64_t wal_ring_pos_at(const struct wal_ring *ring, uint64_t lsn)
{
    uint64_t pos = ring->base_pos;

    for (uint16_t i = 0; i < ring->marks && ring->mark[i].lsn <= lsn; i++)
        pos = ring->mark[i].pos;
    return pos;
}

uint64_t wal_ring_pos_take(struct wal_ring *ring, uint64_t lsn)
{
    uint16_t n = 0;

    while (n < ring->marks && ring->mark[n].lsn <= lsn)
        n++;
    if (n > 0) {
        ring->base_pos = ring->mark[n - 1].pos;
        ring->marks = (uint16_t)(ring->marks - n);
        memmove(ring->mark, ring->mark + n, ring->marks * sizeof(ring->mark[0]));
    }
    return ring->base_pos;
}

static int apply_attach(struct wal_state *s, const struct wal_item *it)
{
    struct wal_ring *r = wal_state_ring(s, it->u.attach.ring);
    int err;

    if (it->u.attach.name.len > SHM_RING_NAME_MAX)
        return -EBADMSG;
    /* A later checkpoint, or the group behind the one that said it first. */
    if (r && memcmp(r->uuid, it->u.attach.uuid, 16) == 0
        && (s->restating ? it->u.attach.lsn > 0 && r->end_pos == it->u.attach.pos
                         : (int64_t)(r->end_pos - it->u.attach.pos) >= 0)) {
        r->restated = true;
        return 0;
    }
    if (!r) {
        if (s->rings_count > 0 && s->rings[s->rings_count - 1]->id > it->u.attach.ring)
            return -EBADMSG;
        err = wal_array_grow(&s->rings, s->rings_count, &s->rings_cap, sizeof(*s->rings));
        if (err)
            return err;
        r = calloc(1, sizeof(*r));
        if (!r)
            return -ENOMEM;
        s->rings[s->rings_count++] = r;
    }
    r->id = it->u.attach.ring;
    r->uid = it->u.attach.uid;
    r->pid = it->u.attach.pid;
    r->ino = it->u.attach.ino;
    memcpy(r->uuid, it->u.attach.uuid, 16);
    memcpy(r->name, it->u.attach.name.at, it->u.attach.name.len);
    r->name[it->u.attach.name.len] = '\0';
    r->source = wal_source_of(r->name);
    r->end_pos = it->u.attach.pos;
    r->restated = true;
    r->marks = 0;
    r->base_pos = it->u.attach.pos;
    if (it->u.attach.lsn > 0) {     /* a checkpoint: what is before pos may not be delivered yet */
        r->base_pos = 0;
        ring_mark_add(r, it->u.attach.pos, it->u.attach.lsn);
    }
    if (s->next_ring <= r->id)
        s->next_ring = r->id + 1;
    return 0;
}

static int apply_retire(struct wal_state *s, const struct wal_item *it)
{
    for (uint32_t i = 0; i < s->rings_count; i++) {
        if (s->rings[i]->id != it->u.retire.ring)
            continue;
        ring_free(s->rings[i]);
        s->rings_count--;
        memmove(&s->rings[i], &s->rings[i + 1], (s->rings_count - i) * sizeof(*s->rings));
        return 0;
    }
    return -EBADMSG;
}

/*
 * Definition `number`; of a schema with a copy of its body. It may be said again: what a number
 * stands for never changes.
 */
static int def_take(struct wal_ring *r, uint16_t number, struct wal_def def, const void *schema)
{
    struct wal_def *known;

    if (number >= 1 && number <= r->defs_count) {
        known = &r->defs[number - 1];
        return known->stream == def.stream && known->stream_def == def.stream_def
                       && known->schema_len == def.schema_len
                       && (def.schema_len == 0
                           || memcmp(known->schema, schema, def.schema_len) == 0)
                   ? 0 : -EBADMSG;
    }
    if (number != r->defs_count + 1 || r->defs_count >= WAL_DEFS_MAX)
        return -EBADMSG;
    known = realloc(r->defs, (r->defs_count + 1U) * sizeof(*known));
    if (!known)
        return -ENOMEM;
    r->defs = known;
    if (def.schema_len > 0) {
        uint8_t *copy = malloc(def.schema_len);

        if (!copy)
            return -ENOMEM;
        def.schema = memcpy(copy, schema, def.schema_len);
    }
    known[r->defs_count++] = def;
    return 0;
}

static int apply_def(struct wal_state *s, const struct wal_item *it)
{
    struct wal_ring *r = wal_state_ring(s, it->u.def.ring);

    if (!r || !wal_state_stream(s, it->u.def.stream))
        return -EBADMSG;
    return def_take(r, it->u.def.number, (struct wal_def){.stream = it->u.def.stream}, NULL);
}

static int apply_schema(struct wal_state *s, const struct wal_item *it)
{
    struct wal_ring *r = wal_state_ring(s, it->u.schema.ring);
    uint16_t stream_def = it->u.schema.stream_def;

    if (!r || stream_def < 1 || stream_def > r->defs_count || r->defs[stream_def - 1].schema)
        return -EBADMSG;
    return def_take(r, it->u.schema.number,
                    (struct wal_def){.stream = r->defs[stream_def - 1].stream,
                                     .schema_len = it->u.schema.body.len,
                                     .stream_def = stream_def},
                    it->u.schema.body.at);
}

static int apply_span(struct wal_state *s, const struct wal_item *it, uint64_t end_lsn)
{
    struct wal_ring *r = wal_state_ring(s, it->u.span.ring);

    if (!r || (int64_t)(it->u.span.from - r->end_pos) < 0)     /* never the same bytes twice */
        return -EBADMSG;
    for (uint16_t i = 0; i < it->u.span.tallies; i++)
        if (!wal_state_stream(s, wal_ring_stream(r, wal_tally_get(it, i).def)))
            return -EBADMSG;
    for (uint16_t i = 0; i < it->u.span.tallies; i++) {
        struct wal_tally t = wal_tally_get(it, i);

        wal_books_accept(wal_state_stream(s, wal_ring_stream(r, t.def)), r->source, &t);
    }
    r->end_pos = it->u.span.to;
    ring_mark_add(r, it->u.span.to, end_lsn);
    return 0;
}

/* Of a ring its own count, which only grows; of none the totals, at the end of a checkpoint. */
static int apply_intake_drops(struct wal_state *s, const struct wal_item *it)
{
    struct wal_ring *r = it->u.intake.ring ? wal_state_ring(s, it->u.intake.ring) : NULL;

    if (it->u.intake.ring && !r)
        return -EBADMSG;
    for (int i = 0; i < SHM_DROP_COUNT; i++) {
        uint64_t *counted = r ? &r->drops[i] : &s->intake_drops[i];
        uint64_t now = it->u.intake.drops[i], more = now > *counted ? now - *counted : 0;

        *counted += more;
        if (r)
            s->intake_drops[i] = more < UINT64_MAX - s->intake_drops[i] ? s->intake_drops[i] + more
                                                                        : UINT64_MAX;
    }
    return 0;
}

/* What is below trim_lsn is done with. */
static void trim(struct wal_state *s, uint64_t lsn)
{
    uint32_t kept = 0;

    if (lsn > s->trim_lsn)
        s->trim_lsn = lsn;
    for (uint32_t i = 0; i < s->lost_spans_count; i++)
        if (s->lost_spans[i].lsn >= s->trim_lsn)
            s->lost_spans[kept++] = s->lost_spans[i];
    s->lost_spans_count = kept;
    wal_books_trim(s);
}

static void apply_checkpoint(struct wal_state *s, const struct wal_item *it)
{
    for (uint32_t i = 0; i < s->rings_count; i++)
        s->rings[i]->restated = false;
    for (uint32_t i = 0; i < s->streams_count; i++)
        for (uint32_t k = 0; k < s->streams[i]->versions_count; k++)
            s->streams[i]->versions[k].restated = false;
    for (struct wal_seal *seal = s->seals; seal; seal = seal->next)
        seal->restated = false;
    s->restating = true;
    trim(s, it->u.checkpoint.trim_lsn);
    if (s->last_name_time_ns < it->u.checkpoint.last_name_time_ns)
        s->last_name_time_ns = it->u.checkpoint.last_name_time_ns;
    if (s->next_ring < it->u.checkpoint.next_ring)
        s->next_ring = it->u.checkpoint.next_ring;
    if (s->next_stream < it->u.checkpoint.next_stream)
        s->next_stream = it->u.checkpoint.next_stream;
    memcpy(s->lost_bytes, it->u.checkpoint.lost_bytes, sizeof(s->lost_bytes));
}

/*
 * What was not restated had ended in a part of the log that could not be read. Streams and their
 * sinks never end; the current version of a stream stays, whatever the log says.
 */
static void apply_checkpoint_end(struct wal_state *s)
{
    struct wal_seal *seal = s->seals, *next;
    uint32_t kept = 0;

    for (uint32_t i = 0; i < s->rings_count; i++) {
        if (s->rings[i]->restated)
            s->rings[kept++] = s->rings[i];
        else
            ring_free(s->rings[i]);
    }
    s->rings_count = kept;
    for (; seal; seal = next) {
        next = seal->next;
        if (!seal->restated)
            wal_books_seal_remove(s, seal);
    }
    for (uint32_t i = 0; i < s->streams_count; i++)
        wal_books_versions_restated(s->streams[i]);
    s->restating = false;
    s->checkpointed = true;
}

int wal_state_apply(struct wal_state *s, const struct wal_item *item, uint64_t end_lsn)
{
    switch (item->type) {
    case WAL_SPAN:
        return apply_span(s, item, end_lsn);
    case WAL_ATTACH:
        return apply_attach(s, item);
    case WAL_RETIRE:
        return apply_retire(s, item);
    case WAL_DEF:
        return apply_def(s, item);
    case WAL_SCHEMA:
        return apply_schema(s, item);
    case WAL_STREAM:
        return wal_books_stream(s, item);
    case WAL_SEAL:
        return wal_books_seal(s, item);
    case WAL_ACK:
    case WAL_STAGED:
        return wal_books_ack(s, item);
    case WAL_RESEAL:
        return wal_books_reseal(s, item);
    case WAL_LOST:
        return wal_books_lost(s, item);
    case WAL_TRIM:
        trim(s, item->u.trim.lsn);
        return 0;
    case WAL_CHECKPOINT:
        apply_checkpoint(s, item);
        return 0;
    case WAL_CHECKPOINT_END:
        apply_checkpoint_end(s);
        return 0;
    case WAL_STREAM_TOTALS:
        return wal_books_stream_totals(s, item);
    case WAL_STREAM_SOURCES:
        return wal_books_stream_sources(s, item);
    case WAL_VERSION_TOTALS:
        return wal_books_version_totals(s, item);
    case WAL_PARTITION:
        return wal_books_partition(s, item);
    case WAL_SINK_TOTALS:
        return wal_books_sink_totals(s, item);
    case WAL_INTAKE_DROPS:
        return apply_intake_drops(s, item);
    default:
        return -EBADMSG;
    }
}
