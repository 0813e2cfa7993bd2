/*
 * output: puts events into the open batches of an output: one for each partition, one for what
 * cannot be written as asked (the error output).
 *
 * Which batch an event belongs to is a function of the event and the settings, so that a start
 * which reads the log again finds those that are sealed already: an event is in one of them if its
 * lsn is not above that of the last event sealed in its partition.
 *
 * Owns:   nothing.
 * Thread: shard.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/invariant.h"
#include "encode/dead_letter.h"
#include "flow/prefix_clock.h"
#include "pipeline/parts.h"

/* Of an output, beside its encoding. */
struct placing {
    struct encoding *encoding;
    bool as_is;                 /* all but records go as they are into the one batch */
    bool clock;                 /* prefix_clock = event: the prefix is part of the partition */
    struct prefix_clock prefix;
};

/* Where an event goes. */
struct place {
    char name[PREFIX_BYTES_MAX + PARTITION_KEY_BYTES_MAX + 1];
    uint32_t len, hash;
    uint32_t prefix_len;        /* of the name: the rendered prefix */
    int error;                  /* enum encoding_error, or -1 */
};

static void placing_free(void *placing)
{
    struct placing *p = placing;

    encoding_close(p->encoding);
    free(p);
}

int output_open(struct shard *s, struct output *o, bool folded)
{
    struct placing *p = calloc(1, sizeof(*p));
    struct errmsg err = {""};
    int r;

    if (!p)
        return -ENOMEM;
    r = encoding_open(o->set, s->opt.agent_name, o->stream->name, s->workspace, &p->encoding,
                      &err);
    if (r) {
        log_error("stream '%s': settings in the log: %s", o->stream->name, err.text);
        free(p);
        return r;
    }
    p->clock = o->set->event_clock;
    if (p->clock)
        prefix_clock_init(&p->prefix, o->set->prefix);
    p->as_is = p->encoding->as_is && !p->clock;
    o->encoding = p;
    o->encoding_free = placing_free;
    /* Below the trim all is resolved, and which partitions were sealed is forgotten. */
    o->routed_lsn = folded ? UINT64_MAX : s->state.trim_lsn > 0 ? s->state.trim_lsn - 1 : 0;
    return 0;
}

struct encoding *output_encoding(const struct output *o)
{
    return ((struct placing *)o->encoding)->encoding;
}

static void place_error(struct place *place, enum encoding_error error)
{
    const char *name = encoding_error_names[error];

    place->error = (int)error;
    place->prefix_len = 0;
    place->name[0] = OUTPUT_ERROR_MARK;
    place->len = 1 + (uint32_t)strlen(name);
    memcpy(place->name + 1, name, place->len);
    place->hash = crc32c(0, place->name, place->len);
}

/* 0: it has its place, the error output perhaps, or -ENOMEM. */
static int place_find(struct placing *p, const struct event *ev, bool first, struct place *ret)
{
    const struct partition_key *key = &p->encoding->key;
    uint32_t len = 0;
    int r = encoding_look(p->encoding, ev, first);

    if (r == -ENOMEM)
        return r;
    if (r) {
        place_error(ret, p->encoding->error);
        return 0;
    }
    ret->error = -1;
    ret->len = 0;
    ret->hash = 0;
    if (p->clock) {
        const char *prefix = prefix_clock_render(&p->prefix, ev->time_ns, &len);

        memcpy(ret->name, prefix, len);
        ret->len = len;
    }
    ret->prefix_len = len;
    if (key->len > 0) {
        memcpy(ret->name + ret->len, key->text, key->len);
        ret->len += key->len;
    }
    if (ret->len > 0)
        ret->hash = len > 0 ? crc32c(0, ret->name, ret->len) : key->hash;
    return 0;
}

int output_has(struct output *o, const struct event *ev, const char *partition, uint32_t len)
{
    struct place place;
    int err = place_find(o->encoding, ev, true, &place);

    return err ? err : place.len == len && memcmp(place.name, partition, len) == 0;
}

/* Before this start. A version that the books folded meanwhile is delivered to its last event. */
static bool sealed_before(const struct shard *s, const struct output *o, const struct place *place,
                          uint64_t lsn)
{
    const struct wal_stream *st = wal_state_stream(&s->state, o->stream->id);
    const struct wal_version *v = st ? wal_stream_version(st, o->version) : NULL;

    return !v || lsn <= wal_version_sealed_lsn(v, o->index, place->name, place->len);
}

/* --- memory of writers -------------------------------------------------------------------- */

static void writer_count(struct shard *s, struct seal_batch *sb)
{
    uint64_t now = writer_memory(sb->writer);

    s->writers_bytes += now - sb->writer_bytes;
    sb->writer_bytes = now;
    if (s->writers_bytes > s->opt.memory_limit / 4)
        writer_squeeze(sb->writer);
}

void output_writer_close(struct seal_batch *sb)
{
    if (sb->shard->encode_ends == sb)
        sb->shard->encode_ends = NULL;
    if (!sb->writer)
        return;
    sb->shard->writers_bytes -= sb->writer_bytes;
    sb->writer_bytes = 0;
    writer_close(sb->writer);
    sb->writer = NULL;
}

/* False, having said why: routing stops here. */
static bool no_room(struct shard *s)
{
    shard_pressure(s, BACKPRESSURE_MEMORY, true, "memory_limit is reached");
    return false;
}

/* --- batches ------------------------------------------------------------------------------ */

/* Error outputs that are open; they are the most recently used from then on. */
static uint32_t errors_open(struct output *o)
{
    struct place place;
    uint32_t count = 0;

    for (int i = 0; o->open.count > 0 && i < ENCODING_ERROR_COUNT; i++) {
        place_error(&place, (enum encoding_error)i);
        count += open_batches_find(&o->open, place.name, place.len, place.hash) != NULL;
    }
    return count;
}

/* Room for one partition more: the one that was used least recently is sealed. */
static void partitions_bound(struct shard *s, struct output *o)
{
    uint32_t most = o->set->partitions_max > 0 ? o->set->partitions_max : 1;

    /* The error outputs come on top. */
    while (o->open.count >= most && o->open.count - errors_open(o) >= most)
        seal_begin(s, o->open.oldest);
}

static struct seal_batch *batch_open(struct shard *s, struct output *o, const struct event *ev,
                                     const struct place *place, uint64_t lsn, uint64_t arrival_ns,
                                     const struct schema *start)
{
    struct placing *p = o->encoding;
    struct seal_batch *sb;

    if (place->error < 0)
        partitions_bound(s, o);
    if (o->open.count == 0)
        o->together_events = o->together_bytes = 0;
    sb = seal_open(s, o, place->name, place->len, place->hash, lsn, arrival_ns);
    if (!sb)
        return NULL;
    sb->prefix_len = place->prefix_len;
    sb->event_ns = ev->time_ns;
    sb->error = place->error;
    if (place->error < 0 && writer_open(p->encoding, ev, start, &sb->writer)) {
        seal_discard(s, &sb->batch);
        shard_pressure(s, BACKPRESSURE_MEMORY, true, "out of memory");
        return NULL;
    }
    return sb;
}

static enum writer_result letter_take(struct seal_batch *sb, const struct encoding *e,
                                      const struct event *ev, uint64_t arrival_ns)
{
    struct block_chain *chain = &sb->batch.chain;
    struct event letter = *ev;

    letter.data = e->letter;
    letter.len = e->letter_len;
    if (!chain_reserve(chain, dead_letter_bytes_max(&letter, e->why.text)))
        return WRITER_NO_ROOM;
    dead_letter_append(&letter, arrival_ns, encoding_error_names[sb->error], e->why.text, chain);
    return WRITER_TAKEN;
}

enum writer_result output_write(struct seal_batch *sb, const struct encoding *e,
                                const struct event *ev, uint64_t arrival_ns)
{
    enum writer_result result;

    if (sb->error >= 0)
        return letter_take(sb, e, ev, arrival_ns);
    result = writer_take(sb->writer, ev, &sb->batch.chain);
    writer_count(sb->shard, sb);
    return result;
}

_Static_assert((int)STREAM_REFUSALS == ENCODING_ERROR_COUNT, "each error has its count");

void output_seal_due(struct shard *s, struct batch *b)
{
    struct output *o = b->output;

    if (!o->set->together) {
        seal_begin(s, b);
        return;
    }
    while (o->open.oldest)
        seal_begin(s, o->open.oldest);
}

/* Full: by its own events, or by those of all partitions? */
static inline bool output_full(struct output *o, const struct batch *b, uint32_t payload_bytes)
{
    if (!o->set->together)
        return batch_full(b, o->set);
    o->together_events++;
    o->together_bytes += payload_bytes;
    return o->together_events >= (uint64_t)o->set->buffer_count
           || o->together_bytes >= (uint64_t)o->set->buffer_bytes;
}

/* The event is in the batch. */
static inline void taken(struct shard *s, struct output *o, struct seal_batch *sb,
                         const struct event *ev, uint64_t lsn)
{
    struct batch *b = &sb->batch;

    batch_count(b, lsn, ev->len);
    o->routed_lsn = lsn;
    o->routed_events++;
    if (sb->error >= 0)
        o->stream->refused[sb->error]++;
    if (b->chain.first != b->chain.last)
        seal_write_full(b);
    if (output_full(o, b, ev->len))
        output_seal_due(s, b);
}

/* The batch of an event that goes into it as it is; NULL: it has to be found. */
static struct seal_batch *batch_as_is(const struct shard *s, const struct output *o,
                                      const struct event *ev)
{
    const struct placing *p = o->encoding;
    struct batch *recent = o->open.recent;

    return p->as_is && !s->catching_up && ev->kind != SHM_KIND_RECORD && recent
                   && recent->partition_len == 0
               ? (struct seal_batch *)recent : NULL;
}

/* It has no batch, or the one there is is not for it. */
static bool take_anew(struct shard *s, struct output *o, const struct event *ev,
                      struct place *place, uint64_t lsn, uint64_t arrival_ns,
                      const struct schema *start)
{
    struct placing *p = o->encoding;
    struct seal_batch *sb = batch_open(s, o, ev, place, lsn, arrival_ns, start);
    enum writer_result result;

    if (!sb)
        return false;
    result = output_write(sb, p->encoding, ev, arrival_ns);
    if (result == WRITER_TAKEN) {
        taken(s, o, sb, ev, lsn);
        return true;
    }
    seal_discard(s, &sb->batch);        /* a batch is never without an event */
    INVARIANT(result != WRITER_REFUSED && result != WRITER_MISFIT);
    return result == WRITER_AGAIN ? false : no_room(s);
}

/* No batch takes it: encoding.error says why. */
static bool take_refused(struct shard *s, struct output *o, const struct event *ev, uint64_t lsn,
                         uint64_t arrival_ns)
{
    struct placing *p = o->encoding;
    struct place place;
    struct seal_batch *sb;

    place_error(&place, p->encoding->error);
    sb = (struct seal_batch *)open_batches_find(&o->open, place.name, place.len, place.hash);
    if (!sb)
        return take_anew(s, o, ev, &place, lsn, arrival_ns, NULL);
    if (letter_take(sb, p->encoding, ev, arrival_ns) != WRITER_TAKEN)
        return no_room(s);
    taken(s, o, sb, ev, lsn);
    return true;
}

/* Not into this batch: into the next one, if a batch can begin with it. */
static bool take_misfit(struct shard *s, struct output *o, struct seal_batch *sb,
                        const struct event *ev, uint64_t lsn, uint64_t arrival_ns)
{
    struct placing *p = o->encoding;
    const struct schema *start = writer_wider(sb->writer);
    struct schema wider = {0};
    struct place place;
    bool done;

    if (place_find(p, ev, true, &place))
        return no_room(s);
    if (place.error >= 0)
        return take_refused(s, o, ev, lsn, arrival_ns);
    if (start && schema_copy(start, &wider))
        return no_room(s);
    seal_begin(s, &sb->batch);
    done = take_anew(s, o, ev, &place, lsn, arrival_ns, start ? &wider : NULL);
    schema_fini(&wider);
    return done;
}

/* Into the batch of its partition, which is opened if need be. */
static bool take_placed(struct shard *s, struct output *o, const struct event *ev, uint64_t lsn,
                        uint64_t arrival_ns)
{
    struct placing *p = o->encoding;
    struct place place;
    struct seal_batch *sb;

    if (place_find(p, ev, s->catching_up || o->open.count == 0, &place))
        return no_room(s);
    if (s->catching_up && sealed_before(s, o, &place, lsn)) {
        o->routed_lsn = lsn;
        return true;
    }
    sb = (struct seal_batch *)open_batches_find(&o->open, place.name, place.len, place.hash);
    if (!sb) {
        /* Not the first of this output, perhaps, but the first of a batch. */
        if (place.error < 0 && o->open.count > 0 && place_find(p, ev, true, &place))
            return no_room(s);
        if (place.error >= 0)
            sb = (struct seal_batch *)open_batches_find(&o->open, place.name, place.len,
                                                        place.hash);
    }
    if (!sb)
        return take_anew(s, o, ev, &place, lsn, arrival_ns, NULL);
    switch (output_write(sb, p->encoding, ev, arrival_ns)) {
    case WRITER_TAKEN:
        taken(s, o, sb, ev, lsn);
        return true;
    case WRITER_AGAIN:
        return false;
    case WRITER_MISFIT:
        return take_misfit(s, o, sb, ev, lsn, arrival_ns);
    case WRITER_REFUSED:
        return take_refused(s, o, ev, lsn, arrival_ns);
    default:
        return no_room(s);
    }
}

bool output_take(struct shard *s, struct output *o, const struct event *ev, uint64_t lsn,
                 uint64_t arrival_ns)
{
    const struct placing *p = o->encoding;
    struct seal_batch *sb = batch_as_is(s, o, ev);

    if (!sb)
        return take_placed(s, o, ev, lsn, arrival_ns);
    if (!writer_line(p->encoding, ev, &sb->batch.chain))
        return no_room(s);
    taken(s, o, sb, ev, lsn);
    return true;
}
