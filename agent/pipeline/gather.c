/*
 * gather: takes committed groups in log order and puts each event, encoded, into the open batch of
 * every output of its stream. At a start, and until it has caught up, the groups are read back from
 * the log; the same function routes both.
 *
 * An event whose lsn is not above output->routed_lsn is in a batch already: sealed before the start,
 * or put there before routing had to stop in the middle of a group.
 *
 * Owns:   nothing.
 * Thread: shard.
 */
#include <errno.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/invariant.h"
#include "pipeline/parts.h"

int gather_stream_add(struct shard *s, uint32_t id, const char *name, struct stream **ret_stream)
{
    int err = stream_add(&s->streams, id, name, ret_stream);

    if (!err && s->next_stream <= id)
        s->next_stream = id + 1;
    return err;
}

int gather_stream_settings(struct shard *s, struct stream *st, struct errmsg *err)
{
    struct wal_item it = {.type = WAL_STREAM};
    struct bytes text = BYTES_INIT;
    struct stream_settings set;
    uint16_t outputs;
    int r;

    r = s->opt.settings(s->opt.settings_ctx, st->name, &set, err);
    if (r)
        return r;
    r = stream_settings_format(&set, &text);
    outputs = set.outputs;
    stream_settings_fini(&set);
    if (!r && st->version_appended > 0 && text.len == st->settings_appended.len
        && memcmp(text.data, st->settings_appended.data, text.len) == 0)
        goto out;
    if (!r) {
        it.u.stream.stream = st->id;
        it.u.stream.version = st->version_appended + 1;
        it.u.stream.incarnation = st->id;
        it.u.stream.outputs = outputs;
        it.u.stream.name = (struct wal_str){st->name, (uint32_t)strlen(st->name)};
        it.u.stream.settings = (struct wal_str){(const char *)text.data, (uint32_t)text.len};
        r = wal_writer_item(&s->writer, &it, NULL);
    }
    if (!r) {
        struct bytes old = st->settings_appended;

        st->version_appended++;
        st->settings_appended = text;
        text = old;
    } else if (r != -EAGAIN) {
        errmsg_set(err, r, "stream '%s': %s", st->name, strerror(-r));
    }
out:
    bytes_free(&text);
    return r;
}

/* Puts one event into the batch of one output. False: no block or no batch is to be had now. */
static bool output_take(struct shard *s, struct output *o, const struct event *ev, uint64_t lsn,
                        uint64_t arrival_ns)
{
    const struct encoder *enc = o->encoder;
    struct encoder_settings set = {o->set->delimiter, o->set->delimiter_len};
    struct batch *b = o->open;

    if (!b) {
        b = seal_open(s, o, lsn, arrival_ns);
        if (!b)
            return false;
    }
    if (!chain_reserve(&b->chain, enc->bytes_max(&set, ev))) {
        shard_pressure(s, BACKPRESSURE_MEMORY, true, "memory_limit is reached");
        return false;
    }
    enc->event(&set, ev, &b->chain);
    batch_count(b, lsn, ev->len);
    o->routed_lsn = lsn;
    if (b->chain.first != b->chain.last)
        seal_write_full(b);
    if (batch_full(b, o->set))
        seal_begin(s, b);
    return true;
}

/* Routes the frames of one span from gather.frame_at on. False: it has to stop here for now. */
static bool span_route(struct shard *s, const struct wal_ring *ring, const uint8_t *span,
                       uint64_t len, uint64_t span_lsn, uint64_t arrival_ns)
{
    struct stream *st = NULL;
    uint16_t st_def = 0;
    uint64_t at = s->gather.frame_at;

    while (at < len) {
        struct shm_frame frame;
        struct event ev;
        uint64_t next = frames_next(span, at, &frame, &ev.data);

        if (frame.def != st_def || !st) {
            st = stream_by_id(&s->streams, wal_ring_stream(ring, frame.def));
            INVARIANT(st && st->now);
            st_def = frame.def;
        }
        ev.len = frame.len;
        ev.kind = frame.kind;
        ev.time_ns = frame.time_ns ? frame.time_ns : arrival_ns;
        for (uint16_t i = 0; i < st->now->set.outputs; i++) {
            struct output *o = &st->now->output[i];

            if (span_lsn + at > o->routed_lsn
                && !output_take(s, o, &ev, span_lsn + at, arrival_ns)) {
                s->gather.frame_at = at;
                return false;
            }
        }
        at = next;
    }
    s->gather.frame_at = 0;
    return true;
}

/* Routing meets new settings of a stream: what is open is sealed under the old ones. */
static int stream_meet(struct shard *s, const struct wal_item *it)
{
    struct stream *st = stream_by_id(&s->streams, it->u.stream.stream);
    struct wal_stream *known = wal_state_stream(&s->state, it->u.stream.stream);
    struct wal_version *v = known ? wal_stream_version(known, it->u.stream.version) : NULL;
    uint64_t resolved[WAL_OUTPUTS_MAX];
    int err;

    if (!st)
        return -EBADMSG;
    if (st->now && st->now->version == it->u.stream.version)
        return 0;
    if (st->now)
        seal_stream(s, st, UINT64_MAX);
    /* A version that the books have folded is delivered to its last event. */
    memset(resolved, 0xff, sizeof(resolved));
    err = stream_route_version(st, it->u.stream.version, it->u.stream.settings.at,
                               it->u.stream.settings.len, v ? v->sealed_lsn : resolved,
                               WAL_OUTPUTS_MAX);
    for (uint16_t i = 0; !err && i < st->now->set.outputs; i++) {
        st->now->output[i].encoder = encoder_find(st->now->set.output[i].format);
        if (!st->now->output[i].encoder)
            err = -ENOTSUP;
    }
    return err;
}

/* A span that the log cannot give back: its events are counted as lost, once. */
static int span_lost(struct shard *s, const struct wal_ring *ring, const struct wal_item *it,
                     uint64_t span_lsn)
{
    int err = 0;

    for (uint16_t i = 0; !err && i < it->u.span.tallies; i++) {
        struct wal_tally t = wal_tally_get(it, i);
        struct wal_item lost = {.type = WAL_LOST};
        struct stream *st = stream_by_id(&s->streams, wal_ring_stream(ring, t.def));

        lost.u.lost.lsn = span_lsn;
        lost.u.lost.ring = ring->id;
        lost.u.lost.stream = st->id;
        lost.u.lost.version = st->now ? st->now->version : 0;
        lost.u.lost.reason = WAL_LOST_CORRUPT;
        lost.u.lost.events = t.events;
        lost.u.lost.payload_bytes = t.payload_bytes;
        err = wal_writer_item(&s->writer, &lost, NULL);
        log_error("log at %llu: a span of %u events of stream '%s' is damaged; they are lost",
                  (unsigned long long)span_lsn, t.events, st->name);
    }
    return err;
}

/* Are these the bytes that were checked before they were logged? */
static bool span_sound(struct shard *s, const struct wal_ring *ring, const struct wal_item *it,
                       const uint8_t *body, uint64_t body_len)
{
    uint64_t len = it->u.span.to - it->u.span.from;
    struct frames_summary sum;
    bool sound;

    if (!ring || len > body_len || it->u.span.offset > body_len - len
        || crc32c(0, body + it->u.span.offset, len) != it->u.span.crc32c)
        return false;
    sound = frames_check(body + it->u.span.offset, len, SHM_EVENT_BYTES_MAX, ring->defs_count,
                         &s->scratch, &sum)
                == FRAMES_OK
            && sum.bytes_whole == len;
    frames_scratch_clear(&s->scratch);
    return sound;
}

/*
 * Routes a group. False: stopped in the middle; call again with the same group. `tables`: rings as
 * of this group.
 */
static bool group_route(struct shard *s, const struct wal_state *tables, const uint8_t *items,
                        const uint8_t *items_end, const uint8_t *body, uint64_t body_lsn,
                        uint64_t body_len, uint64_t arrival_ns, bool replay)
{
    if (!s->gather.item_at)
        s->gather.item_at = items;
    while (s->gather.item_at < items_end) {
        const uint8_t *at = s->gather.item_at;
        const struct wal_ring *ring;
        struct wal_item it;
        uint64_t len;
        int err = wal_item_next(&at, items_end, &it);

        if (err) {
            shard_fail(s, err, "log at %llu: a malformed item",
                       (unsigned long long)(body_lsn + body_len));
            return false;
        }
        if (it.type == WAL_STREAM) {
            err = stream_meet(s, &it);
            if (err) {
                shard_fail(s, err, "stream settings in the log: %s", strerror(-err));
                return false;
            }
        }
        if (replay && it.type != WAL_SPAN && it.type != WAL_SEAL && it.type != WAL_ACK
            && it.type != WAL_STAGED && it.type != WAL_LOST) {
            err = wal_state_apply(&s->replay_state, &it, body_lsn + body_len);
            if (err == -ENOMEM) {
                shard_fail(s, err, "no memory for the log's tables");
                return false;
            }
        }
        if (it.type == WAL_SPAN) {
            ring = wal_state_ring(tables, it.u.span.ring);
            len = it.u.span.to - it.u.span.from;
            if (replay && !span_sound(s, ring, &it, body, body_len)) {
                if (ring && !wal_state_span_lost(&s->state, body_lsn + it.u.span.offset)
                    && span_lost(s, ring, &it, body_lsn + it.u.span.offset) == -EAGAIN)
                    return false;
            } else if (!span_route(s, ring, body + it.u.span.offset, len,
                                   body_lsn + it.u.span.offset, arrival_ns)) {
                return false;
            }
        }
        s->gather.item_at = at;
    }
    s->gather.item_at = NULL;
    return true;
}

/* Reads the log back until routing stands where writing does. */
static bool replay_turn(struct shard *s)
{
    uint64_t from = s->reader.lsn;

    while (s->reader.lsn - from < REPLAY_BYTES_A_TURN) {
        const struct wal_group_view *g = &s->replay;

        if (!s->replay_has_group) {
            int n = wal_reader_next(&s->reader, s->writer.committed_lsn, &s->replay);

            if (n < 0) {
                shard_fail(s, n, "reading the log back: %s", strerror(-n));
                return false;
            }
            if (n == 0) {
                s->catching_up = false;
                wal_reader_fini(&s->reader);
                wal_state_fini(&s->replay_state);
                log_info("caught up with the log");
                return true;
            }
            s->replay_has_group = true;
        }
        if (!group_route(s, &s->replay_state, g->items, g->items_end, g->body, g->body_lsn,
                         g->commit.lsn - g->body_lsn, g->commit.real_ns, true))
            break;
        s->replay_has_group = false;
    }
    return s->reader.lsn != from;
}

bool gather_turn(struct shard *s)
{
    struct wal_group *g;
    bool moved = false;

    shard_pressure(s, BACKPRESSURE_MEMORY, false, NULL);
    shard_pressure(s, BACKPRESSURE_SEALS_MAX, false, NULL);
    if (s->catching_up) {
        /* Their bytes are in the log; chunks go back so that draining goes on. */
        while ((g = wal_writer_done(&s->writer)))
            wal_writer_release(&s->writer, g);
        return replay_turn(s);
    }
    while ((g = wal_writer_done(&s->writer))) {
        const uint8_t *items = g->items.data;

        if (!group_route(s, &s->state, items, items + g->items.len, g->chunk, g->body_lsn,
                         g->body_len, g->commit.real_ns, false))
            break;
        wal_writer_release(&s->writer, g);
        moved = true;
    }
    return moved;
}
