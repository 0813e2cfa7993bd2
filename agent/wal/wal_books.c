/*
 * wal_books: applies the items that count events.
 * Owns:   nothing.
 * Thread: shard.
 */
#include "wal/wal_books.h"

#include <string.h>

static void stream_free(struct wal_stream *st)
{
    if (!st)
        return;
    for (uint32_t i = 0; i < st->sinks_count; i++)
        free(st->sinks[i].sink);
    free(st->sinks);
    for (uint32_t i = 0; i < st->versions_count; i++)
        wal_partitions_free(&st->versions[i].partitions);
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
    free(seal->partition);
    free(seal);
}

void wal_books_free(struct wal_state *s)
{
    struct wal_seal *seal = s->seals;

    for (uint32_t i = 0; i < s->streams_count; i++)
        stream_free(s->streams[i]);
    while (seal) {
        struct wal_seal *next = seal->next;

        seal_free(seal);
        seal = next;
    }
    free(s->streams);
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

uint64_t wal_version_sealed_lsn(const struct wal_version *v, uint16_t output, const void *partition,
                                size_t len)
{
    return len == 0 ? v->sealed_lsn[output]
                    : wal_partitions_lsn(&v->partitions, output, partition, len);
}

/* --- counting ------------------------------------------------------------------------------- */

static uint64_t dropped_sum(const uint64_t dropped[WAL_DROP_REASON_COUNT])
{
    uint64_t sum = 0;

    for (int i = 0; i < WAL_DROP_REASON_COUNT; i++)
        sum += dropped[i];
    return sum;
}

uint64_t wal_version_resolved(const struct wal_version *v, uint16_t output)
{
    return v->delivered[output] + dropped_sum(v->dropped[output]);
}

static uint64_t lost_sum(const struct wal_stream *st)
{
    uint64_t sum = 0;

    for (int i = 0; i < WAL_LOST_REASON_COUNT; i++)
        sum += st->lost[i];
    return sum;
}

struct wal_books wal_stream_books(const struct wal_stream *stream)
{
    struct wal_books b = {
        .accepted = stream->accepted,
        .accepted_bytes = stream->accepted_bytes,
        .delivered = stream->delivered,
        .dropped = dropped_sum(stream->dropped),
        .lost = lost_sum(stream),
    };

    b.pending = b.accepted - b.delivered - b.dropped - b.lost;
    return b;
}

uint64_t wal_stream_accepted_from(const struct wal_stream *stream, enum wal_source source)
{
    uint64_t rest = stream->accepted;

    if (source != WAL_FROM_RING)
        return stream->accepted_from[source];
    for (int i = WAL_FROM_RING + 1; i < WAL_SOURCE_COUNT; i++)
        rest -= stream->accepted_from[i];
    return rest;
}

/* Resolved by every output. */
static uint64_t version_resolved(const struct wal_version *v)
{
    uint64_t done = UINT64_MAX;

    for (uint16_t i = 0; i < v->outputs; i++)
        if (wal_version_resolved(v, i) < done)
            done = wal_version_resolved(v, i);
    return done;
}

/* Of `fresh` events that every output has resolved now: those that count as dropped. */
static uint64_t version_drop(struct wal_stream *st, struct wal_version *v, uint64_t fresh)
{
    uint64_t counted = dropped_sum(v->resolved_dropped), drop, left;
    uint16_t fewest = 0;

    for (uint16_t i = 1; i < v->outputs; i++)
        if (dropped_sum(v->dropped[i]) < dropped_sum(v->dropped[fewest]))
            fewest = i;
    drop = dropped_sum(v->dropped[fewest]);
    drop = drop > counted ? drop - counted : 0;
    if (drop > fresh)
        drop = fresh;
    left = drop;
    for (int i = 0; i < WAL_DROP_REASON_COUNT; i++) {
        uint64_t of_reason = v->dropped[fewest][i];

        of_reason = of_reason > v->resolved_dropped[i] ? of_reason - v->resolved_dropped[i] : 0;
        if (of_reason > left)
            of_reason = left;
        v->resolved_dropped[i] += of_reason;
        st->dropped[i] += of_reason;
        left -= of_reason;
    }
    return drop;
}

/* Keeps the version at i as the one at *kept, which is not behind it, or forgets it. */
static void version_keep(struct wal_stream *st, uint32_t i, bool keep, uint32_t *kept)
{
    if (keep)
        st->versions[(*kept)++] = st->versions[i];
    else
        wal_partitions_free(&st->versions[i].partitions);
}

/* Takes into the books what has become resolved, and forgets versions with nothing left. */
static void stream_settle(struct wal_stream *st)
{
    uint32_t kept = 0;
    uint64_t sum;

    for (uint32_t i = 0; i < st->versions_count; i++) {
        struct wal_version *v = &st->versions[i];
        uint64_t done = version_resolved(v);

        if (done > v->resolved) {
            st->delivered += done - v->resolved - version_drop(st, v, done - v->resolved);
            v->resolved = done;
        }
        version_keep(st, i, i + 1 == st->versions_count || done + v->lost < v->accepted, &kept);
    }
    st->versions_count = kept;
    sum = st->delivered + dropped_sum(st->dropped) + lost_sum(st);
    if (st->accepted < sum)
        st->accepted = sum;
}

void wal_books_versions_restated(struct wal_stream *st)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < st->versions_count; i++)
        version_keep(st, i, st->versions[i].restated || i + 1 == st->versions_count, &kept);
    st->versions_count = kept;
}

void wal_books_trim(struct wal_state *s)
{
    for (uint32_t i = 0; i < s->streams_count; i++)
        for (uint32_t k = 0; k < s->streams[i]->versions_count; k++)
            wal_partitions_trim(&s->streams[i]->versions[k].partitions, s->trim_lsn);
}

void wal_books_accept(struct wal_stream *st, enum wal_source source, const struct wal_tally *tally)
{
    st->accepted += tally->events;
    if (source != WAL_FROM_RING)
        st->accepted_from[source] += tally->events;
    st->accepted_bytes += tally->payload_bytes;
    st->versions[st->versions_count - 1].accepted += tally->events;
}

/* --- items ---------------------------------------------------------------------------------- */

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

int wal_books_stream(struct wal_state *s, const struct wal_item *it)
{
    struct wal_stream *st = wal_state_stream(s, it->u.stream.stream);
    struct wal_version *v;
    int err;

    if (it->u.stream.name.len > SHM_STREAM_NAME_MAX || it->u.stream.outputs == 0)
        return -EBADMSG;
    if (!st) {
        if (s->streams_count > 0 && s->streams[s->streams_count - 1]->id > it->u.stream.stream)
            return -EBADMSG;
        err = wal_array_grow(&s->streams, s->streams_count, &s->streams_cap, sizeof(*s->streams));
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
    if (st->versions_count > 0
        && it->u.stream.version < st->versions[st->versions_count - 1].version)
        return 0;                               /* said again, and there is a newer one */
    memcpy(st->name, it->u.stream.name.at, it->u.stream.name.len);
    st->name[it->u.stream.name.len] = '\0';
    st->incarnation = it->u.stream.incarnation;
    st->uid = it->u.stream.uid;
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
    stream_settle(st);
    return 0;
}

/*
 * Was this batch, of which nothing is known, sealed before, acknowledged and forgotten? It rests on
 * this: batches of one partition of an output are sealed in the order of their events and share
 * none, the last event of each partition is remembered until TRIM has passed it, and TRIM passes
 * only what is acknowledged. So the last event of a batch sealed for the first time is neither
 * below trim_lsn nor at or below the one remembered. Batches of other partitions tell nothing, nor
 * do numbers: they are given when a batch is begun.
 */
static bool seal_over(const struct wal_state *s, const struct wal_version *v,
                      const struct wal_item *it)
{
    return it->u.seal.last_lsn < s->trim_lsn
           || it->u.seal.last_lsn <= wal_version_sealed_lsn(v, it->u.seal.output,
                                                            it->u.seal.partition.at,
                                                            it->u.seal.partition.len);
}

/* What TRIM has passed is not remembered, whatever a checkpoint behind a hole may restate. */
static int version_seal(const struct wal_state *s, struct wal_version *v, const struct wal_item *it)
{
    uint64_t lsn = it->u.seal.last_lsn, *unnamed = &v->sealed_lsn[it->u.seal.output];

    if (it->u.seal.partition.len > 0)
        return lsn < s->trim_lsn ? 0 : wal_partitions_seal(&v->partitions, it->u.seal.output,
                                                           it->u.seal.partition, lsn);
    if (*unnamed < lsn)
        *unnamed = lsn;
    return 0;
}

int wal_books_seal(struct wal_state *s, const struct wal_item *it)
{
    struct wal_stream *st = wal_state_stream(s, it->u.seal.stream);
    struct wal_version *v = st ? wal_stream_version(st, it->u.seal.version) : NULL;
    struct wal_seal *seal;

    if (!v || it->u.seal.output >= v->outputs || it->u.seal.targets == 0
        || it->u.seal.first_lsn > it->u.seal.last_lsn)
        return -EBADMSG;
    seal = wal_state_seal(s, it->u.seal.epoch, it->u.seal.number);
    if (!seal && !s->restating && seal_over(s, v, it))
        return 0;                               /* said again, and acknowledged in between */
    if (seal && !s->restating)                  /* said again: what changed since is right */
        return 0;
    if (seal) {                                 /* said again by a checkpoint */
        seal->restated = true;
        seal->file_bytes = it->u.seal.file_bytes;
        seal->crc32c = it->u.seal.crc32c;
        for (uint16_t i = 0; i < seal->targets && i < it->u.seal.targets; i++)
            seal->target[i].staging_id = it->u.seal.target[i].staging_id;
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
    seal->partition = str_dup(it->u.seal.partition);
    seal->partition_len = it->u.seal.partition.len;
    for (uint16_t i = 0; i < seal->targets; i++) {
        const struct wal_target *from = &it->u.seal.target[i];
        struct wal_seal_target *to = &seal->target[i];

        to->type = from->type;
        to->staging_id = from->staging_id;
        to->sink = str_dup(from->sink);
        to->directory = str_dup(from->directory);
        to->key = str_dup(from->key);
        if (!to->sink || !to->directory || !to->key) {
            seal_free(seal);
            return -ENOMEM;
        }
    }
    if (!seal->partition || version_seal(s, v, it)) {
        seal_free(seal);
        return -ENOMEM;
    }
    seal->prev = s->seals_last;
    *s->seals_last = seal;
    s->seals_last = &seal->next;
    s->seals_count++;
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

void wal_books_seal_remove(struct wal_state *s, struct wal_seal *seal)
{
    *seal->prev = seal->next;
    if (seal->next)
        seal->next->prev = seal->prev;
    else
        s->seals_last = seal->prev;
    s->seals_count--;
    seal_free(seal);
}

int wal_books_reseal(struct wal_state *s, const struct wal_item *it)
{
    struct wal_seal *seal = wal_state_seal(s, it->u.reseal.epoch, it->u.reseal.number);

    if (!seal)
        return -EBADMSG;
    seal->file_bytes = it->u.reseal.file_bytes;
    seal->crc32c = it->u.reseal.crc32c;
    for (uint16_t i = 0; i < seal->targets; i++)
        if (it->u.reseal.unstaged & 1U << i)
            seal->target[i].staging_id = 0;
    return 0;
}

int wal_books_ack(struct wal_state *s, const struct wal_item *it)
{
    struct wal_seal *seal = wal_state_seal(s, it->u.ack.epoch, it->u.ack.number);
    struct wal_stream *st;
    struct wal_version *v;
    struct wal_seal_target *t;

    if (!seal || it->u.ack.target >= seal->targets
        || it->u.ack.reason >= WAL_DROP_REASON_COUNT)
        return -EBADMSG;
    t = &seal->target[it->u.ack.target];
    st = wal_state_stream(s, seal->stream);
    v = wal_stream_version(st, seal->version);
    if (it->type == WAL_STAGED) {
        t->staging_id = it->u.ack.staging_id;
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
    t->abandoned = it->u.ack.how != WAL_ACK_DELIVERED;
    t->reason = it->u.ack.reason;
    if (++seal->targets_acked < seal->targets)
        return 0;
    if (v) {
        if (seal->targets_delivered > 0)
            v->delivered[seal->output] += seal->events;
        else
            v->dropped[seal->output][t->reason] += seal->events;
        stream_settle(st);
    }
    wal_books_seal_remove(s, seal);
    return 0;
}

int wal_books_lost(struct wal_state *s, const struct wal_item *it)
{
    struct wal_stream *st = wal_state_stream(s, it->u.lost.stream);
    struct wal_version *v = st ? wal_stream_version(st, it->u.lost.version) : NULL;
    bool range = it->u.lost.stream == 0;
    int err;

    if ((!st && !range) || it->u.lost.reason >= WAL_LOST_REASON_COUNT)
        return -EBADMSG;
    if (range)
        s->lost_bytes[it->u.lost.reason] += it->u.lost.payload_bytes;
    else
        st->lost[it->u.lost.reason] += it->u.lost.events;
    if (v)
        v->lost += it->u.lost.events;
    if (st)
        stream_settle(st);
    if ((range && it->u.lost.lsn == 0) || wal_state_span_lost(s, it->u.lost.lsn))
        return 0;
    err = wal_array_grow(&s->lost_spans, s->lost_spans_count, &s->lost_spans_cap,
                         sizeof(*s->lost_spans));
    if (!err)
        s->lost_spans[s->lost_spans_count++] = (struct wal_lost_span){
            it->u.lost.lsn, range ? it->u.lost.payload_bytes : 0};
    return err;
}

int wal_books_stream_totals(struct wal_state *s, const struct wal_item *it)
{
    struct wal_stream *st = wal_state_stream(s, it->u.stream_totals.stream);

    if (!st)
        return -EBADMSG;
    st->accepted = it->u.stream_totals.accepted;
    st->accepted_bytes = it->u.stream_totals.accepted_bytes;
    st->delivered = it->u.stream_totals.delivered;
    memcpy(st->dropped, it->u.stream_totals.dropped, sizeof(st->dropped));
    memcpy(st->lost, it->u.stream_totals.lost, sizeof(st->lost));
    memset(st->accepted_from, 0, sizeof(st->accepted_from));    /* what is not 0 follows */
    return 0;
}

int wal_books_stream_sources(struct wal_state *s, const struct wal_item *it)
{
    struct wal_stream *st = wal_state_stream(s, it->u.stream_sources.stream);
    uint64_t left;

    if (!st)
        return -EBADMSG;
    left = st->accepted;
    for (int i = WAL_FROM_RING + 1; i < WAL_SOURCE_COUNT; i++) {
        if (it->u.stream_sources.accepted[i] > left)
            return -EBADMSG;
        left -= it->u.stream_sources.accepted[i];
    }
    memcpy(st->accepted_from, it->u.stream_sources.accepted, sizeof(st->accepted_from));
    return 0;
}

/* A checkpoint names every version that is not folded, oldest first, before its totals. */
int wal_books_version_totals(struct wal_state *s, const struct wal_item *it)
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
        memcpy(v->dropped[i], it->u.version_totals.dropped[i], sizeof(v->dropped[i]));
        v->sealed_lsn[i] = it->u.version_totals.sealed_lsn[i];
    }
    v->resolved = version_resolved(v);
    memcpy(v->resolved_dropped, it->u.version_totals.resolved_dropped,
           sizeof(v->resolved_dropped));
    wal_partitions_free(&v->partitions);        /* they follow */
    return 0;
}

int wal_books_partition(struct wal_state *s, const struct wal_item *it)
{
    struct wal_stream *st = wal_state_stream(s, it->u.partition.stream);
    struct wal_version *v = st ? wal_stream_version(st, it->u.partition.version) : NULL;

    if (!s->restating || !v || !v->restated || it->u.partition.output >= v->outputs
        || it->u.partition.sealed_lsn == 0)
        return -EBADMSG;
    return wal_partitions_seal(&v->partitions, it->u.partition.output, it->u.partition.partition,
                               it->u.partition.sealed_lsn);
}

int wal_books_sink_totals(struct wal_state *s, const struct wal_item *it)
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
