/*
 * wal_state: applies log items to the tables.
 * Owns:   rings, streams and seals.
 * Thread: shard.
 */
#include "wal/wal_state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/invariant.h"

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
    if (r)
        free(r->def_streams);
    free(r);
}

static void stream_free(struct wal_stream *st)
{
    if (!st)
        return;
    for (uint32_t i = 0; i < st->sinks_count; i++)
        free(st->sinks[i].sink);
    free(st->sinks);
    free(st->versions);
    bytes_free(&st->settings);
    free(st);
}

static void seal_free(struct wal_seal *seal)
{
    for (uint16_t i = 0; i < seal->targets; i++) {
        free(seal->target[i].sink);
        free(seal->target[i].directory);
        free(seal->target[i].key);
    }
    free(seal);
}

void wal_state_fini(struct wal_state *s)
{
    struct wal_seal *seal = s->seals;

    for (uint32_t i = 0; i < s->rings_count; i++)
        ring_free(s->rings[i]);
    for (uint32_t i = 0; i < s->streams_count; i++)
        stream_free(s->streams[i]);
    while (seal) {
        struct wal_seal *next = seal->next;

        seal_free(seal);
        seal = next;
    }
    free(s->rings);
    free(s->streams);
    free(s->lost_spans);
    memset(s, 0, sizeof(*s));
}

/* Makes room for one more pointer or struct in an array that doubles. */
static int array_grow(void *array_at, uint32_t count, uint32_t *cap, size_t item_bytes)
{
    void **array = array_at;
    uint32_t wanted = *cap ? *cap * 2 : 16;
    void *bigger;

    if (count < *cap)
        return 0;
    bigger = realloc(*array, (size_t)wanted * item_bytes);
    if (!bigger)
        return -ENOMEM;
    *array = bigger;
    *cap = wanted;
    return 0;
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

struct wal_version *wal_stream_version(const struct wal_stream *stream, uint32_t version)
{
    for (uint32_t i = stream->versions_count; i-- > 0;)
        if (stream->versions[i].version == version)
            return &stream->versions[i];
    return NULL;
}

struct wal_seal *wal_state_seal(const struct wal_state *s, uint64_t epoch, uint64_t number)
{
    for (struct wal_seal *seal = s->seals; seal; seal = seal->next)
        if (seal->epoch == epoch && seal->number == number)
            return seal;
    return NULL;
}

bool wal_state_span_lost(const struct wal_state *s, uint64_t lsn)
{
    for (uint32_t i = 0; i < s->lost_spans_count; i++)
        if (s->lost_spans[i].lsn == lsn)
            return true;
    return false;
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

/* Events of a version that every output has resolved, and how many of them every output dropped. */
static void version_resolved(const struct wal_version *v, uint64_t *ret_done, uint64_t *ret_dropped)
{
    uint64_t done = UINT64_MAX, dropped = UINT64_MAX;

    for (uint16_t i = 0; i < v->outputs; i++) {
        uint64_t resolved = v->delivered[i] + v->dropped[i];

        if (resolved < done)
            done = resolved;
        if (v->dropped[i] < dropped)
            dropped = v->dropped[i];
    }
    *ret_done = v->outputs ? done : 0;
    *ret_dropped = v->outputs ? dropped : 0;
}

struct wal_books wal_stream_books(const struct wal_stream *stream)
{
    struct wal_books b = {
        .accepted = stream->accepted,
        .accepted_bytes = stream->accepted_bytes,
        .delivered = stream->delivered,
        .dropped = stream->dropped,
    };

    for (int i = 0; i < WAL_LOST_REASON_COUNT; i++)
        b.lost += stream->lost[i];
    for (uint32_t i = 0; i < stream->versions_count; i++) {
        uint64_t done, dropped;

        version_resolved(&stream->versions[i], &done, &dropped);
        b.dropped += dropped;
        b.delivered += done - dropped;
    }
    b.pending = b.accepted - b.delivered - b.dropped - b.lost;
    return b;
}

/* An old version with nothing pending is added to the stream's own figures. */
static void stream_fold(struct wal_stream *st)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < st->versions_count; i++) {
        struct wal_version *v = &st->versions[i];
        uint64_t done, dropped;

        version_resolved(v, &done, &dropped);
        if (i + 1 < st->versions_count && done + v->lost >= v->accepted) {
            st->dropped += dropped;
            st->delivered += done - dropped;
            continue;
        }
        st->versions[kept++] = *v;
    }
    st->versions_count = kept;
}

/* Not strndup(3): there is no NUL behind the text, and strict checkers look for one. */
static char *str_dup(struct wal_str s)
{
    char *copy = malloc((size_t)s.len + 1);

    if (!copy)
        return NULL;
    if (s.len > 0)
        memcpy(copy, s.at, s.len);
    copy[s.len] = '\0';
    return copy;
}

static int apply_attach(struct wal_state *s, const struct wal_item *it)
{
    struct wal_ring *r = wal_state_ring(s, it->u.attach.ring);
    int err;

    if (it->u.attach.name.len > SHM_RING_NAME_MAX)
        return -EBADMSG;
    if (r && it->u.attach.lsn > 0 && r->end_pos == it->u.attach.pos) {  /* a later checkpoint */
        r->restated = true;
        return 0;
    }
    if (!r) {
        if (s->rings_count > 0 && s->rings[s->rings_count - 1]->id > it->u.attach.ring)
            return -EBADMSG;
        err = array_grow(&s->rings, s->rings_count, &s->rings_cap, sizeof(*s->rings));
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

static int apply_def(struct wal_state *s, const struct wal_item *it)
{
    struct wal_ring *r = wal_state_ring(s, it->u.def.ring);
    uint32_t *more;

    if (!r || !wal_state_stream(s, it->u.def.stream))
        return -EBADMSG;
    if (it->u.def.number >= 1 && it->u.def.number <= r->defs_count) {   /* said again */
        r->def_streams[it->u.def.number - 1] = it->u.def.stream;
        return 0;
    }
    if (it->u.def.number != r->defs_count + 1 || r->defs_count >= WAL_DEFS_MAX)
        return -EBADMSG;
    more = realloc(r->def_streams, (r->defs_count + 1U) * sizeof(*more));
    if (!more)
        return -ENOMEM;
    r->def_streams = more;
    r->def_streams[r->defs_count++] = it->u.def.stream;
    return 0;
}

static int apply_stream(struct wal_state *s, const struct wal_item *it)
{
    struct wal_stream *st = wal_state_stream(s, it->u.stream.stream);
    struct wal_version *v;
    int err;

    if (it->u.stream.name.len > SHM_STREAM_NAME_MAX || it->u.stream.outputs == 0)
        return -EBADMSG;
    if (!st) {
        if (s->streams_count > 0 && s->streams[s->streams_count - 1]->id > it->u.stream.stream)
            return -EBADMSG;
        err = array_grow(&s->streams, s->streams_count, &s->streams_cap, sizeof(*s->streams));
        if (err)
            return err;
        st = calloc(1, sizeof(*st));
        if (!st)
            return -ENOMEM;
        st->id = it->u.stream.stream;
        s->streams[s->streams_count++] = st;
        if (s->next_stream <= st->id)
            s->next_stream = st->id + 1;
    }
    memcpy(st->name, it->u.stream.name.at, it->u.stream.name.len);
    st->name[it->u.stream.name.len] = '\0';
    st->incarnation = it->u.stream.incarnation;
    bytes_clear(&st->settings);
    err = bytes_append(&st->settings, it->u.stream.settings.at, it->u.stream.settings.len);
    if (err)
        return err;
    if (wal_stream_version(st, it->u.stream.version))
        return 0;
    v = realloc(st->versions, (st->versions_count + 1U) * sizeof(*v));
    if (!v)
        return -ENOMEM;
    st->versions = v;
    v += st->versions_count++;
    memset(v, 0, sizeof(*v));
    v->version = it->u.stream.version;
    v->outputs = it->u.stream.outputs;
    stream_fold(st);
    return 0;
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
        struct wal_stream *st = wal_state_stream(s, wal_ring_stream(r, t.def));

        st->accepted += t.events;
        st->accepted_bytes += t.payload_bytes;
        st->versions[st->versions_count - 1].accepted += t.events;
    }
    r->end_pos = it->u.span.to;
    ring_mark_add(r, it->u.span.to, end_lsn);
    return 0;
}

static int apply_seal(struct wal_state *s, const struct wal_item *it)
{
    struct wal_stream *st = wal_state_stream(s, it->u.seal.stream);
    struct wal_version *v = st ? wal_stream_version(st, it->u.seal.version) : NULL;
    struct wal_seal *seal;

    if (!v || it->u.seal.output >= v->outputs || it->u.seal.targets == 0
        || it->u.seal.first_lsn > it->u.seal.last_lsn)
        return -EBADMSG;
    seal = wal_state_seal(s, it->u.seal.epoch, it->u.seal.number);
    if (seal) {                                 /* said again by a checkpoint */
        seal->restated = true;
        seal->file_bytes = it->u.seal.file_bytes;
        seal->crc32c = it->u.seal.crc32c;
        for (uint16_t i = 0; i < seal->targets && i < it->u.seal.targets; i++)
            seal->target[i].staged = it->u.seal.target[i].staged != 0;
        return 0;
    }
    seal = calloc(1, sizeof(*seal) + it->u.seal.targets * sizeof(seal->target[0]));
    if (!seal)
        return -ENOMEM;
    seal->epoch = it->u.seal.epoch;
    seal->number = it->u.seal.number;
    seal->stream = it->u.seal.stream;
    seal->version = it->u.seal.version;
    seal->output = it->u.seal.output;
    seal->targets = it->u.seal.targets;
    seal->restated = true;
    seal->file_mode = it->u.seal.file_mode;
    seal->crc32c = it->u.seal.crc32c;
    seal->first_lsn = it->u.seal.first_lsn;
    seal->last_lsn = it->u.seal.last_lsn;
    seal->events = it->u.seal.events;
    seal->payload_bytes = it->u.seal.payload_bytes;
    seal->file_bytes = it->u.seal.file_bytes;
    seal->name_time_ns = it->u.seal.name_time_ns;
    seal->arrival_ns = it->u.seal.arrival_ns;
    for (uint16_t i = 0; i < seal->targets; i++) {
        const struct wal_target *from = &it->u.seal.target[i];
        struct wal_seal_target *to = &seal->target[i];

        to->type = from->type;
        to->staged = from->staged != 0;
        to->sink = str_dup(from->sink);
        to->directory = str_dup(from->directory);
        to->key = str_dup(from->key);
        if (!to->sink || !to->directory || !to->key) {
            seal_free(seal);
            return -ENOMEM;
        }
    }
    seal->prev = s->seals_last;
    *s->seals_last = seal;
    s->seals_last = &seal->next;
    s->seals_count++;
    if (v->sealed_lsn[seal->output] < seal->last_lsn)
        v->sealed_lsn[seal->output] = seal->last_lsn;
    if (s->last_name_time_ns < seal->name_time_ns)
        s->last_name_time_ns = seal->name_time_ns;
    return 0;
}

static struct wal_sink_totals *stream_sink(struct wal_stream *st, struct wal_str name)
{
    struct wal_sink_totals *more;

    for (uint32_t i = 0; i < st->sinks_count; i++)
        if (strlen(st->sinks[i].sink) == name.len
            && memcmp(st->sinks[i].sink, name.at, name.len) == 0)
            return &st->sinks[i];
    more = realloc(st->sinks, (st->sinks_count + 1U) * sizeof(*more));
    if (!more)
        return NULL;
    st->sinks = more;
    more += st->sinks_count;
    memset(more, 0, sizeof(*more));
    more->sink = str_dup(name);
    if (!more->sink)
        return NULL;
    st->sinks_count++;
    return more;
}

static void seal_remove(struct wal_state *s, struct wal_seal *seal)
{
    *seal->prev = seal->next;
    if (seal->next)
        seal->next->prev = seal->prev;
    else
        s->seals_last = seal->prev;
    s->seals_count--;
    seal_free(seal);
}

static int apply_ack(struct wal_state *s, const struct wal_item *it)
{
    struct wal_seal *seal = wal_state_seal(s, it->u.ack.epoch, it->u.ack.number);
    struct wal_stream *st;
    struct wal_version *v;
    struct wal_seal_target *t;

    if (!seal || it->u.ack.target >= seal->targets)
        return -EBADMSG;
    t = &seal->target[it->u.ack.target];
    st = wal_state_stream(s, seal->stream);
    v = wal_stream_version(st, seal->version);
    if (it->type == WAL_STAGED) {
        t->staged = true;
        return 0;
    }
    if (t->acked)
        return 0;
    if (it->u.ack.how == WAL_ACK_DELIVERED) {
        struct wal_sink_totals *totals =
            stream_sink(st, (struct wal_str){t->sink, (uint32_t)strlen(t->sink)});

        if (!totals)
            return -ENOMEM;
        totals->events += seal->events;
        totals->bytes += seal->file_bytes;
        totals->batches++;
        seal->targets_delivered++;
    }
    t->acked = true;
    t->abandoned = it->u.ack.how == WAL_ACK_ABANDONED;
    if (++seal->targets_acked < seal->targets)
        return 0;
    if (v) {
        if (seal->targets_delivered > 0)
            v->delivered[seal->output] += seal->events;
        else
            v->dropped[seal->output] += seal->events;
        stream_fold(st);
    }
    seal_remove(s, seal);
    return 0;
}

static int apply_reseal(struct wal_state *s, const struct wal_item *it)
{
    struct wal_seal *seal = wal_state_seal(s, it->u.reseal.epoch, it->u.reseal.number);

    if (!seal)
        return -EBADMSG;
    seal->file_bytes = it->u.reseal.file_bytes;
    seal->crc32c = it->u.reseal.crc32c;
    for (uint16_t i = 0; i < seal->targets; i++)
        if (it->u.reseal.unstaged & 1U << i)
            seal->target[i].staged = false;
    return 0;
}

static int apply_lost(struct wal_state *s, const struct wal_item *it)
{
    struct wal_stream *st = wal_state_stream(s, it->u.lost.stream);
    struct wal_version *v = st ? wal_stream_version(st, it->u.lost.version) : NULL;
    int err;

    if (!st || it->u.lost.reason >= WAL_LOST_REASON_COUNT)
        return -EBADMSG;
    st->lost[it->u.lost.reason] += it->u.lost.events;
    if (v) {
        v->lost += it->u.lost.events;
        stream_fold(st);
    }
    if (wal_state_span_lost(s, it->u.lost.lsn))
        return 0;
    err = array_grow(&s->lost_spans, s->lost_spans_count, &s->lost_spans_cap,
                     sizeof(*s->lost_spans));
    if (!err)
        s->lost_spans[s->lost_spans_count++].lsn = it->u.lost.lsn;
    return err;
}

static int apply_stream_totals(struct wal_state *s, const struct wal_item *it)
{
    struct wal_stream *st = wal_state_stream(s, it->u.stream_totals.stream);

    if (!st)
        return -EBADMSG;
    st->accepted = it->u.stream_totals.accepted;
    st->accepted_bytes = it->u.stream_totals.accepted_bytes;
    st->delivered = it->u.stream_totals.delivered;
    st->dropped = it->u.stream_totals.dropped;
    memcpy(st->lost, it->u.stream_totals.lost, sizeof(st->lost));
    return 0;
}

/* A checkpoint names every version that is not folded, oldest first, before its totals. */
static int apply_version_totals(struct wal_state *s, const struct wal_item *it)
{
    struct wal_stream *st = wal_state_stream(s, it->u.version_totals.stream);
    struct wal_version *v;

    if (!st || it->u.version_totals.outputs == 0)
        return -EBADMSG;
    v = wal_stream_version(st, it->u.version_totals.version);
    if (!v) {
        v = realloc(st->versions, (st->versions_count + 1U) * sizeof(*v));
        if (!v)
            return -ENOMEM;
        st->versions = v;
        /* Older than the current one, which stays last. */
        v += st->versions_count > 0 ? st->versions_count - 1 : 0;
        if (st->versions_count > 0)
            v[1] = v[0];
        st->versions_count++;
        memset(v, 0, sizeof(*v));
    }
    v->version = it->u.version_totals.version;
    v->outputs = it->u.version_totals.outputs;
    v->restated = true;
    v->accepted = it->u.version_totals.accepted;
    v->lost = it->u.version_totals.lost;
    for (uint16_t i = 0; i < v->outputs; i++) {
        v->delivered[i] = it->u.version_totals.delivered[i];
        v->dropped[i] = it->u.version_totals.dropped[i];
        v->sealed_lsn[i] = it->u.version_totals.sealed_lsn[i];
    }
    return 0;
}

static int apply_sink_totals(struct wal_state *s, const struct wal_item *it)
{
    struct wal_stream *st = wal_state_stream(s, it->u.sink_totals.stream);
    struct wal_sink_totals *t = st ? stream_sink(st, it->u.sink_totals.sink) : NULL;

    if (!t)
        return st ? -ENOMEM : -EBADMSG;
    t->events = it->u.sink_totals.events;
    t->bytes = it->u.sink_totals.bytes;
    t->batches = it->u.sink_totals.batches;
    return 0;
}

/* No reader will come by a span below trim_lsn again. */
static void trim(struct wal_state *s, uint64_t lsn)
{
    uint32_t kept = 0;

    if (lsn > s->trim_lsn)
        s->trim_lsn = lsn;
    for (uint32_t i = 0; i < s->lost_spans_count; i++)
        if (s->lost_spans[i].lsn >= s->trim_lsn)
            s->lost_spans[kept++] = s->lost_spans[i];
    s->lost_spans_count = kept;
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
            seal_remove(s, seal);
    }
    for (uint32_t i = 0; i < s->streams_count; i++) {
        struct wal_stream *st = s->streams[i];

        kept = 0;
        for (uint32_t k = 0; k < st->versions_count; k++)
            if (st->versions[k].restated || k + 1 == st->versions_count)
                st->versions[kept++] = st->versions[k];
        st->versions_count = kept;
    }
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
    case WAL_STREAM:
        return apply_stream(s, item);
    case WAL_SEAL:
        return apply_seal(s, item);
    case WAL_ACK:
    case WAL_STAGED:
        return apply_ack(s, item);
    case WAL_RESEAL:
        return apply_reseal(s, item);
    case WAL_LOST:
        return apply_lost(s, item);
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
        return apply_stream_totals(s, item);
    case WAL_VERSION_TOTALS:
        return apply_version_totals(s, item);
    case WAL_SINK_TOTALS:
        return apply_sink_totals(s, item);
    case WAL_INTAKE_DROPS:
        for (int i = 0; i < SHM_DROP_COUNT; i++)
            if (s->intake_drops[i] < item->u.intake.drops[i])
                s->intake_drops[i] = item->u.intake.drops[i];
        return 0;
    default:
        return -EBADMSG;
    }
}
