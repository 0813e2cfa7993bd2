/*
 * sim_invariants: sources and what is published to them, the books, the ends of lives.
 *
 * Owns:   the ledger.
 * Thread: one.
 * Units:  see sim_invariants.h.
 */
#include "support/sim_invariants.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/crc32c.h"
#include "pipeline/parts.h"
#include "support/sim_cloud.h"

typedef unsigned long long ull;

#define SIM_COVERAGE_NAME(name) #name,
const char *const sim_cover_names[COVER_COUNT] = {SIM_COVERAGE(SIM_COVERAGE_NAME)};
#undef SIM_COVERAGE_NAME

void inv_fail(const struct inv *v, const char *invariant, const char *fmt, ...)
{
    va_list args;

    fflush(stdout);
    fprintf(stderr, "broken: %s: ", invariant);
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fprintf(stderr, "\n        seed %llu, operation %llu, turn %llu, %s; log begun to %llu, "
            "written to %llu, synced to %llu\n", (ull)sim_seed(), (ull)sim_op_count(SIM_ANY),
            (ull)v->agent->turns, v->doing, (ull)v->begun_lsn, (ull)v->done_lsn,
            (ull)v->synced_lsn);
    abort();
}

void *inv_append(void **array, uint32_t *count, uint32_t *cap, size_t item_bytes)
{
    if (*count == *cap) {
        *cap = *cap ? 2 * *cap : 64;
        *array = realloc(*array, *cap * item_bytes);
        if (!*array)
            abort();
    }
    return memset((char *)*array + (*count)++ * item_bytes, 0, item_bytes);
}

static void hash_add(struct inv *v, uint64_t word)
{
    v->hash = (v->hash ^ word) * 0x9e3779b97f4a7c15ULL;
    v->hash ^= v->hash >> 29;
}

static void on_sight(void *ctx, const struct sim_sight *sight)
{
    struct inv *v = ctx;

    hash_add(v, (uint64_t)sight->kind << 1 | sight->begun);
    hash_add(v, sight->ino);
    hash_add(v, sight->offset << 24 ^ sight->len);
    hash_add(v, sight->seq ^ (uint64_t)(int64_t)sight->res);
    if (sight->kind == SIM_WRITE)
        inv_see_write(v, sight);
    else if (sight->kind == SIM_SYNC)
        inv_see_sync(v, sight);
    else
        inv_see_name(v, sight);
}

void inv_init(struct inv *v, struct sim_agent *agent, uint64_t *cover)
{
    memset(v, 0, sizeof(*v));
    v->agent = agent;
    v->cover = cover;
    v->doing = "";
    v->closed_lsn = UINT64_MAX;
    v->payloads = mmap(NULL, INV_PAYLOAD_MAX, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (v->payloads == MAP_FAILED)
        abort();
    sim_set_witness(on_sight, v);
    sim_cloud_on_stored(inv_see_object, v);
}

void inv_fini(struct inv *v)
{
    for (uint32_t i = 0; i < v->sources_count; i++)
        free(v->sources[i].written);
    for (uint32_t i = 0; i < v->segments_count; i++)
        free(v->segments[i].blocks);
    free(v->segments);
    free(v->commits);
    free(v->events);
    free(v->seals);
    for (uint32_t i = 0; i < v->versions_count; i++)
        for (uint16_t o = 0; o < v->versions[i].outputs; o++)
            inv_format_close(v->versions[i].format[o]);
    free(v->versions);
    free(v->defs);
    free(v->trims);
    free(v->drops);
    bytes_free(&v->state);
    munmap(v->payloads, INV_PAYLOAD_MAX);
    sim_set_witness(NULL, NULL);
    sim_cloud_on_stored(NULL, NULL);
}

/* ---- Seals ---- */

static uint32_t batch_bucket(uint64_t epoch, uint64_t number)
{
    return (uint32_t)((epoch ^ number) % INV_BUCKETS);
}

static uint32_t name_bucket(const char *name)
{
    return crc32c(0, name, strlen(name)) % INV_BUCKETS;
}

struct inv_seal *inv_seal_of(const struct inv *v, uint64_t epoch, uint64_t number)
{
    for (uint32_t i = v->batches[batch_bucket(epoch, number)]; i > 0; i = v->seals[i - 1].next)
        if (v->seals[i - 1].epoch == epoch && v->seals[i - 1].number == number)
            return &v->seals[i - 1];
    return NULL;
}

/* A target is known by the place of its seal and its own in that, + 1. */
static struct inv_target *target_at(const struct inv *v, uint32_t at)
{
    return at == 0 ? NULL
                   : &v->seals[(at - 1) / INV_TARGETS_MAX].target[(at - 1) % INV_TARGETS_MAX];
}

struct inv_target *inv_named(const struct inv *v, const char *name)
{
    return target_at(v, v->names[name_bucket(name)]);
}

struct inv_target *inv_named_next(const struct inv *v, const struct inv_target *target)
{
    return target_at(v, target->next);
}

struct inv_seal *inv_seal_with(const struct inv *v, const struct inv_target *target)
{
    return &v->seals[((size_t)((const char *)target - (const char *)v->seals))
                     / sizeof(struct inv_seal)];
}

void inv_seal_index(struct inv *v)
{
    uint32_t i = v->seals_count - 1, *bucket;
    struct inv_seal *seal = &v->seals[i];

    bucket = &v->batches[batch_bucket(seal->epoch, seal->number)];
    seal->next = *bucket;
    *bucket = i + 1;
    for (uint16_t t = 0; t < seal->targets; t++) {
        bucket = &v->names[name_bucket(strrchr(seal->target[t].path, '/') + 1)];
        seal->target[t].next = *bucket;
        *bucket = i * INV_TARGETS_MAX + t + 1;
    }
}

/* The newest is the first wherever it is found. */
void inv_seal_forget(struct inv *v)
{
    struct inv_seal *seal = &v->seals[--v->seals_count];

    v->batches[batch_bucket(seal->epoch, seal->number)] = seal->next;
    for (uint16_t t = seal->targets; t-- > 0; )
        v->names[name_bucket(strrchr(seal->target[t].path, '/') + 1)] = seal->target[t].next;
}

/* ---- Sources ---- */

uint32_t inv_source_add(struct inv *v, struct sim_producer *ring, const char *name)
{
    struct inv_source *src = &v->sources[v->sources_count];

    if (v->sources_count == INV_SOURCES_MAX)
        inv_fail(v, __func__, "more sources than the ledger keeps");
    src->ring = ring;
    snprintf(src->name, sizeof(src->name), "%s", name);
    memcpy(src->uuid, ring->superblock->uuid, sizeof(src->uuid));
    inv_count(v, COVER_rings_opened);
    return v->sources_count++;
}

void inv_source_wrote(struct inv *v, uint32_t source, const void *payload, uint32_t len)
{
    struct inv_source *src = &v->sources[source];
    struct inv_written *w = inv_append((void **)&src->written, &src->written_count,
                                       &src->written_cap, sizeof(*w));

    *w = (struct inv_written){src->ring->head_pos, len, crc32c(0, payload, len), 0};
    inv_count(v, COVER_events_written);
}

void inv_source_dropped(struct inv *v, uint32_t source)
{
    struct inv_source *src = &v->sources[source];

    sim_advance_ns(1);                  /* no producer is faster */
    src->drops++;
    atomic_store_explicit(&src->ring->page->drops[SHM_DROP_FULL], src->drops,
                          memory_order_relaxed);
}

static void positions_keep_their_order(struct inv *v, struct inv_source *src)
{
    uint64_t before = src->ring->head_pos;

    for (int which = 0; which < SHM_POS_COUNT; which++) {
        uint64_t pos = sim_producer_pos(src->ring, (enum shm_pos)which);

        INV_CHECK(v, pos <= before, "%s: position %d is %llu, beyond %llu", src->name, which,
                  (ull)pos, (ull)before);
        INV_CHECK(v, pos >= src->pos[which], "%s: position %d went back from %llu to %llu",
                  src->name, which, (ull)src->pos[which], (ull)pos);
        if (pos != src->pos[which])
            hash_add(v, pos);
        src->pos[which] = before = pos;
    }
}

static void accepted_is_committed(struct inv *v, const struct inv_source *src,
                                  const struct inv_written *w)
{
    INV_CHECK(v, w->event != 0 && v->events[w->event - 1].end_lsn <= v->done_lsn,
              "%s: accepted %llu, the event before %llu is in no COMMIT on the disk", src->name,
              (ull)src->pos[SHM_POS_ACCEPTED], (ull)w->end_pos);
}

static void durable_is_synced(struct inv *v, const struct inv_source *src,
                              const struct inv_written *w)
{
    INV_CHECK(v, w->event != 0 && v->events[w->event - 1].end_lsn <= v->synced_lsn,
              "%s: durable %llu, the event before %llu is not synced", src->name,
              (ull)src->pos[SHM_POS_DURABLE], (ull)w->end_pos);
}

static void delivered_is_acknowledged(struct inv *v, const struct inv_source *src,
                                      const struct inv_written *w)
{
    INV_CHECK(v, w->event != 0 && inv_acknowledged(v, &v->events[w->event - 1]),
              "%s: delivered %llu, the event before %llu is not acknowledged by every sink",
              src->name, (ull)src->pos[SHM_POS_DELIVERED], (ull)w->end_pos);
}

static void an_honest_ring_is_never_quarantined(struct inv *v, const struct inv_source *src)
{
    unsigned reason = atomic_load_explicit(&src->ring->consumer->quarantine,
                                           memory_order_relaxed);

    INV_CHECK(v, reason == SHM_QUARANTINE_NONE, "%s: reason %u", src->name, reason);
}

void inv_positions(struct inv *v)
{
    static void (*const check[SHM_POS_COUNT])(struct inv *, const struct inv_source *,
                                              const struct inv_written *) = {
        accepted_is_committed, durable_is_synced, delivered_is_acknowledged,
    };

    if (v->agent->shard)
        v->known_lsn = v->agent->shard->writer.committed_lsn;
    for (uint32_t i = 0; i < v->sources_count; i++) {
        struct inv_source *src = &v->sources[i];

        if (src->gone || src->lies || !src->ring->open)
            continue;
        positions_keep_their_order(v, src);
        an_honest_ring_is_never_quarantined(v, src);
        for (int which = 0; which < SHM_POS_COUNT; which++) {
            uint32_t *at = &src->checked[which];

            while (*at < src->written_count && src->written[*at].end_pos <= src->pos[which])
                check[which](v, src, &src->written[(*at)++]);
        }
    }
}

/* ---- Books ---- */

/* Events of one output of a version whose seals are acknowledged, by COMMITs up to here. */
static uint64_t acknowledged_below(const struct inv *v, const struct inv_version *version,
                                   uint16_t output, uint64_t lsn)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < v->events_count; i++) {
        const struct inv_event *ev = &v->events[i];
        const struct inv_seal *seal;
        bool all = true;

        if (ev->stream != version->stream || ev->version != version->version
            || ev->seal[output] == 0)
            continue;
        seal = &v->seals[ev->seal[output] - 1];
        for (uint16_t t = 0; t < seal->targets; t++)
            all = all && seal->target[t].ack_lsn != 0 && seal->target[t].ack_lsn <= lsn;
        sum += all;
    }
    return sum;
}

static void books_balance(struct inv *v, const struct wal_stream *st, const struct wal_books *b)
{
    INV_CHECK(v, b->accepted == b->delivered + b->dropped + b->lost + b->pending
              && b->pending <= b->accepted,
              "%s: accepted %llu, delivered %llu, dropped %llu, lost %llu, pending %llu", st->name,
              (ull)b->accepted, (ull)b->delivered, (ull)b->dropped, (ull)b->lost,
              (ull)b->pending);
    INV_CHECK(v, b->dropped == 0 || v->abandons, "%s: %llu dropped", st->name, (ull)b->dropped);
}

/* The agent's counts are those of the ledger. */
static void books_agree_with_the_log(struct inv *v, const struct wal_stream *st,
                                     const struct wal_books *b, uint64_t lsn)
{
    uint64_t accepted = 0, lost = 0, delivered = 0, from[WAL_SOURCE_COUNT] = {0};

    for (uint32_t i = 0; i < v->events_count; i++) {
        const struct inv_event *ev = &v->events[i];

        if (ev->stream != st->id || ev->end_lsn > lsn)
            continue;
        accepted++;
        from[inv_ring_of(v, ev->ring)->from]++;
        lost += ev->lost_lsn != 0 && ev->lost_lsn <= lsn;
    }
    for (uint32_t i = 0; i < v->versions_count; i++) {
        const struct inv_version *version = &v->versions[i];
        uint64_t least = UINT64_MAX;

        if (version->stream != st->id || version->end_lsn > lsn)
            continue;
        for (uint16_t o = 0; o < version->outputs; o++) {
            uint64_t sum = acknowledged_below(v, version, o, lsn);

            least = sum < least ? sum : least;
        }
        delivered += least;
    }
    INV_CHECK(v, b->accepted == accepted, "%s: accepted %llu, the log has %llu", st->name,
              (ull)b->accepted, (ull)accepted);
    for (int i = 0; i < WAL_SOURCE_COUNT; i++) {
        uint64_t told = wal_stream_accepted_from(st, (enum wal_source)i);

        INV_CHECK(v, told == from[i], "%s: accepted %llu from %s, the log has %llu", st->name,
                  (ull)told, wal_source_names[i], (ull)from[i]);
    }
    INV_CHECK(v, b->lost <= lost, "%s: lost %llu, the log has %llu", st->name, (ull)b->lost,
              (ull)lost);
    INV_CHECK(v, b->delivered + b->dropped <= delivered
              && (lost > 0 || b->delivered + b->dropped == delivered),
              "%s: delivered %llu, dropped %llu, the log has %llu", st->name, (ull)b->delivered,
              (ull)b->dropped, (ull)delivered);
}

void inv_books(struct inv *v)
{
    const struct shard *s = v->agent->shard;

    for (uint32_t i = 0; i < s->state.streams_count; i++) {
        struct wal_books books = wal_stream_books(s->state.streams[i]);

        books_balance(v, s->state.streams[i], &books);
        books_agree_with_the_log(v, s->state.streams[i], &books, s->writer.committed_lsn);
    }
}

/* ---- Ends of lives ---- */

/*
 * What a crash finds on the disk is found again. An orderly end cuts off what had not come back
 * from the disk when it closed: nobody had been told of it.
 */
void inv_life_over(struct inv *v, bool crashed)
{
    uint64_t promised = v->done_lsn;

    inv_positions(v);
    inv_state_keep(v);
    if (!crashed && !v->over && v->closed_lsn > v->known_lsn)
        v->closed_lsn = v->known_lsn;
    if (promised > v->closed_lsn)
        promised = v->closed_lsn;
    v->over = true;
    if (!v->cut && v->floor_lsn < promised)
        v->floor_lsn = promised;
}

void inv_power_cut(struct inv *v)
{
    inv_files_after_cut(v);
    v->cut = v->state_cut = true;
    v->floor_lsn = v->synced_lsn < v->closed_lsn ? v->synced_lsn : v->closed_lsn;
    for (uint32_t i = 0; i < v->events_count; i++)
        v->events[i].doubtful |= v->events[i].end_lsn > v->floor_lsn;
    for (uint32_t i = 0; i < v->sources_count; i++)
        v->sources[i].gone = true;
}

static void every_event_is_delivered_in_the_end(struct inv *v)
{
    for (uint32_t i = 0; i < v->events_count; i++) {
        struct inv_event *ev = &v->events[i];

        INV_CHECK(v, inv_acknowledged(v, ev), "the event at %llu of stream %u, version %u is "
                  "pending", (ull)ev->lsn, ev->stream, ev->version);
        v->cover[COVER_events_delivered] += ev->lost_lsn == 0;
    }
}

static void every_ring_is_read_in_the_end(struct inv *v)
{
    for (uint32_t i = 0; i < v->sources_count; i++) {
        const struct inv_source *src = &v->sources[i];

        for (uint32_t k = 0; k < src->written_count && !src->gone && !src->lies; k++)
            INV_CHECK(v, src->written[k].event != 0, "%s: the event before %llu is not in the log",
                      src->name, (ull)src->written[k].end_pos);
        if (!src->gone && !src->lies && !src->ring->open)
            INV_CHECK(v, !sim_exists(src->ring->path), "%s is left", src->name);
    }
}

void inv_end(struct inv *v)
{
    every_ring_is_read_in_the_end(v);
    every_event_is_delivered_in_the_end(v);
    inv_files_end(v);
}
