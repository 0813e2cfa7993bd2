/*
 * status_merge: the status of several shards as one.
 *
 * Owns:   nothing; arrays of `to` are made anew as they grow.
 * Thread: any.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/status.h"

static void counts_add(uint64_t *to, const uint64_t *from, size_t count)
{
    for (size_t i = 0; i < count; i++)
        to[i] += from[i];
}

/* `array` with room for `more` items behind `count`. NULL: no memory, and it stays as it is. */
static void *grown(void *array, size_t count, size_t more, size_t item_bytes)
{
    return realloc(array, (count + more + 1) * item_bytes);
}

/* --- streams -------------------------------------------------------------------------------- */

struct stream_place {
    const char *name;
    size_t at;
};

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct stream_place *)a)->name, ((const struct stream_place *)b)->name);
}

static void stream_add(struct status_stream *to, const struct status_stream *from)
{
    to->accepted += from->accepted;
    counts_add(to->accepted_from, from->accepted_from, WAL_SOURCE_COUNT);
    to->accepted_bytes += from->accepted_bytes;
    to->delivered += from->delivered;
    to->dropped += from->dropped;
    counts_add(to->dropped_by, from->dropped_by, WAL_DROP_REASON_COUNT);
    to->lost += from->lost;
    counts_add(to->lost_by, from->lost_by, WAL_LOST_REASON_COUNT);
    counts_add(to->refused_by, from->refused_by, ENCODING_ERROR_COUNT);
    to->pending += from->pending;
    if (to->oldest_pending_ns < from->oldest_pending_ns)
        to->oldest_pending_ns = from->oldest_pending_ns;
    to->batches_open += from->batches_open;
    to->batches_sealing += from->batches_sealing;
    to->buffered += from->buffered;
    to->buffered_bytes += from->buffered_bytes;
}

/* One stream's sinks behind those that are in `pairs`: of `own`, then what only `other` has. */
static void pairs_put(struct status_stream_sink *pairs, size_t *count, struct status_stream *st,
                      size_t index, const struct status_stream_sink *own, uint32_t own_count,
                      const struct status_stream_sink *other, uint32_t other_count)
{
    size_t first = *count;

    if (own_count > 0)
        memcpy(pairs + first, own, own_count * sizeof(*own));
    *count += own_count;
    for (uint32_t i = 0; i < other_count; i++) {
        size_t at = first;

        while (at < *count && strcmp(pairs[at].sink, other[i].sink) != 0)
            at++;
        if (at == *count) {
            pairs[(*count)++] = other[i];
            continue;
        }
        pairs[at].delivered += other[i].delivered;
        pairs[at].delivered_bytes += other[i].delivered_bytes;
        pairs[at].batches += other[i].batches;
    }
    for (size_t i = first; i < *count; i++)
        pairs[i].stream = (uint32_t)index;
    st->first_sink = (uint32_t)first;
    st->sinks = (uint32_t)(*count - first);
}

/* Each stream of `from` by name. NULL: no memory. */
static struct stream_place *places_make(const struct status *from)
{
    struct stream_place *places = calloc(from->streams_count + 1, sizeof(*places));

    for (size_t i = 0; places && i < from->streams_count; i++)
        places[i] = (struct stream_place){from->streams[i].name, i};
    if (places)
        qsort(places, from->streams_count, sizeof(*places), by_name);
    return places;
}

static int streams_merge(struct status *to, const struct status *from)
{
    size_t pairs_max = to->stream_sinks_count + from->stream_sinks_count, count = 0;
    struct status_stream_sink *pairs = calloc(pairs_max + 1, sizeof(*pairs));
    struct stream_place *places = places_make(from);
    struct status_stream *streams = grown(to->streams, to->streams_count, from->streams_count,
                                          sizeof(*streams));

    if (streams)
        to->streams = streams;
    if (!pairs || !places || !streams) {
        free(pairs);
        free(places);
        return -ENOMEM;
    }
    for (size_t i = 0; i < to->streams_count; i++) {
        struct status_stream *st = &to->streams[i];
        struct stream_place key = {.name = st->name};
        struct stream_place *same = bsearch(&key, places, from->streams_count, sizeof(key),
                                            by_name);
        const struct status_stream *other = same ? &from->streams[same->at] : NULL;

        pairs_put(pairs, &count, st, i, to->stream_sinks + st->first_sink, st->sinks,
                  other ? from->stream_sinks + other->first_sink : NULL,
                  other ? other->sinks : 0);
        if (!other)
            continue;
        stream_add(st, other);
        same->at = SIZE_MAX;            /* its name is still in its place */
    }
    for (size_t i = 0; i < from->streams_count; i++) {
        struct stream_place key = {.name = from->streams[i].name};
        struct stream_place *place = bsearch(&key, places, from->streams_count, sizeof(key),
                                             by_name);
        struct status_stream *st = &to->streams[to->streams_count];

        if (place->at == SIZE_MAX)
            continue;
        *st = from->streams[i];
        pairs_put(pairs, &count, st, to->streams_count++,
                  from->stream_sinks + from->streams[i].first_sink, from->streams[i].sinks, NULL,
                  0);
    }
    free(places);
    free(to->stream_sinks);
    to->stream_sinks = pairs;
    to->stream_sinks_count = count;
    return 0;
}

/* --- sinks, rings, shards ------------------------------------------------------------------- */

static int sinks_merge(struct status *to, const struct status *from)
{
    struct status_sink *sinks = grown(to->sinks, to->sinks_count, from->sinks_count,
                                      sizeof(*sinks));

    if (!sinks)
        return -ENOMEM;
    to->sinks = sinks;
    for (size_t i = 0; i < from->sinks_count; i++) {
        const struct status_sink *other = &from->sinks[i];
        size_t at = 0;

        bool file = strcmp(other->type, "file") == 0;

        while (at < to->sinks_count
               && (strcmp(to->sinks[at].name, other->name) != 0
                   || strcmp(to->sinks[at].type, other->type) != 0
                   || (file && strcmp(to->sinks[at].target, other->target) != 0)))
            at++;
        if (at == to->sinks_count) {
            to->sinks[to->sinks_count++] = *other;
            continue;
        }
        if (file)
            to->sinks[at].retries += other->retries;
        else if (to->sinks[at].retries < other->retries)    /* one delivery thread for all */
            to->sinks[at].retries = other->retries;
        if (to->sinks[at].duplicates < other->duplicates)
            to->sinks[at].duplicates = other->duplicates;
        to->sinks[at].batches_waiting += other->batches_waiting;
        if (to->sinks[at].lag_ns < other->lag_ns)
            to->sinks[at].lag_ns = other->lag_ns;
        if (!to->sinks[at].waits_because[0])
            memcpy(to->sinks[at].waits_because, other->waits_because,
                   sizeof(other->waits_because));
    }
    return 0;
}

static int lists_merge(struct status *to, const struct status *from)
{
    struct status_ring *rings = grown(to->rings, to->rings_count, from->rings_count,
                                      sizeof(*rings));
    struct status_shard *shards = grown(to->shards, to->shards_count, from->shards_count,
                                        sizeof(*shards));

    if (rings)
        to->rings = rings;
    if (shards)
        to->shards = shards;
    if (!rings || !shards)
        return -ENOMEM;
    for (size_t i = 0; i < from->rings_count; i++)
        to->rings[to->rings_count++] = from->rings[i];
    for (size_t i = 0; i < from->shards_count; i++)
        to->shards[to->shards_count++] = from->shards[i];
    return 0;
}

int status_merge(struct status *to, const struct status *from)
{
    to->ready = to->ready && from->ready;
    to->stopping = to->stopping || from->stopping;
    to->recovery_left_bytes += from->recovery_left_bytes;
    to->wal_bytes += from->wal_bytes;
    to->spool_bytes += from->spool_bytes;
    to->wal_bytes_max += from->wal_bytes_max;
    to->wal_segments += from->wal_segments;
    to->wal_syncs += from->wal_syncs;
    to->wal_commits += from->wal_commits;
    to->memory_bytes += from->memory_bytes;
    to->memory_bytes_max += from->memory_bytes_max;
    for (int i = 0; i < BACKPRESSURE_COUNT; i++)
        to->backpressure[i] = to->backpressure[i] || from->backpressure[i];
    counts_add(to->lost_bytes, from->lost_bytes, WAL_LOST_REASON_COUNT);
    counts_add(to->rings_by_state, from->rings_by_state, STATUS_RING_STATE_COUNT);
    counts_add(to->intake_drops, from->intake_drops, SHM_DROP_COUNT);
    to->turns += from->turns;
    for (int i = 0; i < METER_COUNT; i++)
        histogram_merge(&to->meters[i], &from->meters[i]);
    if (streams_merge(to, from) || sinks_merge(to, from) || lists_merge(to, from))
        return -ENOMEM;
    return 0;
}
