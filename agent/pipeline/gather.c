/*
 * gather: takes committed groups in log order and puts each event, encoded, into the open batch of
 * every output of its stream. At a start, and until it has caught up, the groups are read back from
 * the log; the same function routes both.
 *
 * An event whose lsn is not above output->routed_lsn is in a batch already: sealed before the
 * start, or put there before routing had to stop in the middle of a group.
 *
 * What the log cannot give back is counted here, as LOST items: spans that are damaged or that kill
 * the agent, ranges without a valid COMMIT, and at the end of a replay the events that the books
 * still hold and nothing that was read has brought.
 *
 * Owns:   nothing.
 * Thread: shard.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/invariant.h"
#include "pipeline/parts.h"

int gather_stream_add(struct shard *s, uint32_t id, uint32_t uid, const char *name,
                      struct stream **ret_stream)
{
    int err = stream_add(&s->streams, id, name, ret_stream);

    if (err)
        return err;
    (*ret_stream)->uid = uid;
    if (s->next_stream <= id)
        s->next_stream = id + 1;
    return 0;
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
    if (set.named) {
        st->uid = WAL_NO_UID;
        quota_stream_named(&s->all->quota, st->name);
    }
    stream_settings_fini(&set);
    if (!r && st->version_appended > 0 && text.len == st->settings_appended.len
        && memcmp(text.data, st->settings_appended.data, text.len) == 0)
        goto out;
    if (!r) {
        it.u.stream.stream = st->id;
        it.u.stream.version = st->version_appended + 1;
        it.u.stream.incarnation = st->id;
        it.u.stream.uid = st->uid;
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

int gather_record(struct shard *s, const struct wal_ring *ring, uint16_t number, struct event *ev)
{
    const uint8_t *body;
    uint32_t len;
    int err;

    if (!wal_ring_schema(ring, number, &body, &len))
        return 0;               /* it goes to the error output */
    err = record_types_get(&s->record_types, body, len, &ev->record);
    if (err == -ENOMEM)
        shard_pressure(s, BACKPRESSURE_MEMORY, true, "out of memory");
    return err == -ENOMEM ? err : 0;
}

/* Routes the frames of one span from gather.frame_at on. False: it has to stop here. */
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
        ev.record = NULL;
        if (frame.kind == SHM_KIND_RECORD && gather_record(s, ring, frame.def, &ev))
            return false;
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

/* Events of one output that were sealed before the start, delivered or not. */
static uint64_t events_sealed(const struct shard *s, uint32_t stream, const struct wal_version *v,
                              uint16_t output)
{
    uint64_t sum = wal_version_resolved(v, output);

    for (const struct wal_seal *seal = s->state.seals; seal; seal = seal->next)
        if (seal->stream == stream && seal->version == v->version && seal->output == output)
            sum += seal->events;
    return sum;
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
    if (st->now && st->now->version >= it->u.stream.version)    /* said again */
        return 0;
    if (st->now)
        seal_stream(s, st, UINT64_MAX);
    /* A version that the books have folded is delivered to its last event. */
    memset(resolved, 0xff, sizeof(resolved));
    err = stream_route_version(st, it->u.stream.version, it->u.stream.settings.at,
                               it->u.stream.settings.len, v ? v->sealed_lsn : resolved,
                               WAL_OUTPUTS_MAX);
    for (uint16_t i = 0; !err && i < st->now->set.outputs; i++) {
        st->now->output[i].routed_events =
            v ? events_sealed(s, st->id, v, i) : UINT64_MAX / 2;
        err = output_open(s, &st->now->output[i], v == NULL);
    }
    return err;
}

/*
 * How many of a damaged span's events are lost to a stream: those that some output has not got in a
 * batch sealed before. All before the span are routed or lost, so what an output has beyond those
 * is of the span itself.
 */
static uint32_t events_lost(const struct stream *st, const struct wal_version *replayed,
                            uint32_t events)
{
    uint64_t before = replayed->accepted - events - replayed->lost;
    uint32_t most = 0;

    for (uint16_t i = 0; i < st->now->set.outputs; i++) {
        uint64_t routed = st->now->output[i].routed_events;
        uint64_t had = routed > before ? routed - before : 0;

        if (had < events && events - (uint32_t)had > most)
            most = events - (uint32_t)had;
    }
    return most;
}

/* Appends a LOST item. Until it is committed the books do not know of it: see rest_lost(). */
static int lost_log(struct shard *s, const struct wal_item *lost)
{
    int err = wal_writer_item(&s->writer, lost, NULL);

    if (!err) {
        s->lost_barrier = wal_writer_barrier(&s->writer);
        wal_writer_want_sync(&s->writer, s->lost_barrier);
    }
    return err;
}

/* Was it counted already? Below the trim the log's tables have forgotten which ones were. */
static bool lost_known(const struct shard *s, uint64_t lsn)
{
    return lsn < s->state.trim_lsn || wal_state_span_lost(&s->state, lsn);
}

/*
 * A span that is not routed: its events are counted as lost, once. All its items go into one group:
 * only the first can find no place.
 */
static int span_lost(struct shard *s, const struct wal_ring *ring, const struct wal_item *it,
                     uint64_t span_lsn, enum wal_lost_reason reason)
{
    bool known = lost_known(s, span_lsn);

    for (uint16_t i = 0; i < it->u.span.tallies; i++) {
        struct wal_tally t = wal_tally_get(it, i);
        struct wal_item lost = {.type = WAL_LOST};
        struct stream *st = stream_by_id(&s->streams, wal_ring_stream(ring, t.def));
        struct wal_stream *at = wal_state_stream(&s->replay_state, st->id);
        struct wal_version *v = wal_stream_version(at, st->now->version);
        uint32_t events = events_lost(st, v, t.events);
        int err;

        if (events == 0)
            continue;
        lost.u.lost.lsn = span_lsn;
        lost.u.lost.ring = ring->id;
        lost.u.lost.stream = st->id;
        lost.u.lost.version = st->now->version;
        lost.u.lost.reason = (uint8_t)reason;
        lost.u.lost.events = events;
        lost.u.lost.payload_bytes = t.payload_bytes;
        err = known ? 0 : lost_log(s, &lost);
        if (err)
            return err;
        v->lost += events;
        if (!known)
            log_error("log at %" PRIu64 ": a span of ring %s, stream '%s' %s; %" PRIu32
                      " events are lost",
                      span_lsn, ring->name, st->name,
                      reason == WAL_LOST_CRASH ? "was being routed when the agent died, again and "
                                                 "again, and is left out"
                                               : "is damaged",
                      events);
    }
    return 0;
}

/*
 * A range that holds no valid group, or a span that nothing says how to read: its bytes are
 * counted, once. Events that it held are known where a CHECKPOINT behind it tells of them; those
 * are for rest_lost().
 */
static int range_lost(struct shard *s, uint64_t lsn, uint64_t bytes)
{
    struct wal_item lost = {.type = WAL_LOST};

    if (lost_known(s, lsn))
        return 0;
    lost.u.lost.lsn = lsn;
    lost.u.lost.reason = WAL_LOST_CORRUPT;
    lost.u.lost.payload_bytes = bytes;
    return lost_log(s, &lost);
}

/* Events of one output that are in batches which the tables do not know as sealed. */
static uint64_t events_unsealed(const struct shard *s, uint32_t stream, uint32_t version,
                                uint16_t output)
{
    uint64_t sum = 0;

    for (const struct batch *b = s->unfinished.first; b; b = b->all.next) {
        const struct seal_batch *sb = (const struct seal_batch *)b;

        if (b->output && b->stream->id == stream && b->output->version == version
            && b->output->index == output
            && (sb->state < SEAL_SYNC
                || (sb->state == SEAL_SYNC && !wal_state_seal(&s->state, b->id.epoch,
                                                              b->id.number))))
            sum += b->events;
    }
    return sum;
}

/*
 * Routing has caught up: whatever the log has is in a batch, and will not come again. Events that
 * the books hold beyond that were in a part of the log that cannot be read, and known to a
 * CHECKPOINT behind it. 0, -EAGAIN or -errno; all items go into one group.
 */
static int rest_lost(struct shard *s)
{
    if (s->writer.commits < s->lost_barrier)
        return -EAGAIN;
    for (uint32_t i = 0; i < s->state.streams_count; i++) {
        const struct wal_stream *st = s->state.streams[i];

        for (uint32_t k = 0; k < st->versions_count; k++) {
            const struct wal_version *v = &st->versions[k];
            struct wal_item lost = {.type = WAL_LOST};
            int err;

            for (uint16_t o = 0; o < v->outputs; o++) {
                uint64_t had = v->lost + events_sealed(s, st->id, v, o)
                               + events_unsealed(s, st->id, v->version, o);

                if (had < v->accepted && v->accepted - had > lost.u.lost.events)
                    lost.u.lost.events = v->accepted - had;
            }
            if (lost.u.lost.events == 0)
                continue;
            lost.u.lost.stream = st->id;
            lost.u.lost.version = v->version;
            lost.u.lost.reason = WAL_LOST_CORRUPT;
            err = lost_log(s, &lost);
            if (err)
                return err;
            log_error("stream '%s': %" PRIu64 " accepted events were in a damaged part of the log "
                      "and are lost",
                      st->name, lost.u.lost.events);
        }
    }
    return 0;
}

/* Keeps the bytes of a span that the agent died of, for whoever looks for the bug. */
static void span_keep(struct shard *s, const uint8_t *bytes, uint64_t len, uint64_t lsn)
{
    char name[64];
    int fd, err;

    if (s->number > 0)
        snprintf(name, sizeof(name), "state/set-aside-%03" PRIu32 "-%" PRIu64 ".bin", s->number,
                 lsn);
    else
        snprintf(name, sizeof(name), "state/set-aside-%" PRIu64 ".bin", lsn);
    err = fd = file_open(s->data_dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600);
    if (err >= 0)
        err = file_write(fd, bytes, len, 0);
    if (!err)
        err = file_sync(fd);
    file_close(fd);
    if (err)
        log_error("%s/%s: cannot be written: %s", s->opt.data_dir, name, strerror(-err));
    else
        log_error("log at %" PRIu64 ": the agent has died there %" PRIu32 " times; the span is "
                  "kept in %s/%s",
                  lsn, s->crash.deaths, s->opt.data_dir, name);
}

bool gather_span_sound(struct shard *s, const struct wal_ring *ring, const struct wal_item *it,
                       const uint8_t *body, uint64_t body_len)
{
    uint64_t len = it->u.span.to - it->u.span.from;
    struct frames_summary sum;
    bool sound;

    if (!ring || len > body_len || it->u.span.offset > body_len - len
        || crc32c(0, body + it->u.span.offset, len) != it->u.span.crc32c)
        return false;
    sound = frames_check(body + it->u.span.offset, len, SHM_EVENT_BYTES_MAX, ring->defs_count,
                         NULL, &s->scratch, &sum)
                == FRAMES_OK
            && sum.bytes_whole == len;
    frames_scratch_clear(&s->scratch);
    return sound;
}

int gather_tables_take(struct wal_state *tables, const struct wal_item *it, uint64_t end_lsn)
{
    switch (it->type) {
    case WAL_SEAL:
    case WAL_RESEAL:
    case WAL_ACK:
    case WAL_STAGED:
    case WAL_LOST:
        return 0;
    case WAL_SPAN:
        if (!tables->checkpointed)
            return -EBADMSG;
        /* fall through */
    default:
        return wal_state_apply(tables, it, end_lsn);
    }
}

/*
 * What an item other than a span means for routing, and for the tables of a replay, which have to
 * take and refuse just what the tables of the start did.
 */
static int item_meet(struct shard *s, const struct wal_item *it, uint64_t end_lsn, bool replay)
{
    int err = it->type == WAL_STREAM ? stream_meet(s, it) : 0;

    s->gather.span_known = true;
    if (err) {
        shard_fail(s, err, "stream settings in the log: %s", strerror(-err));
        return err;
    }
    if (!replay)
        return 0;
    err = gather_tables_take(&s->replay_state, it, end_lsn);
    if (err == -ENOMEM) {
        shard_fail(s, err, "no memory for the log's tables");
        return err;
    }
    s->gather.span_known = err == 0;
    return 0;
}

/* Where the events of a group are, in the log and in memory. */
struct group_place {
    const uint8_t *items, *items_end, *body;
    uint64_t body_lsn, body_len, end_lsn, arrival_ns;
    bool replay;
};

/*
 * In a replay a span may be one that cannot be routed, or is not to be: damaged, counted as lost
 * before, or the one that the agent dies of. 1: route it, 0: it is done with, -errno.
 */
static int span_admit(struct shard *s, const struct wal_ring *ring, const struct wal_item *it,
                      const struct group_place *g, uint64_t span_lsn)
{
    enum wal_lost_reason reason = span_lsn < s->replay_synced_lsn ? WAL_LOST_CORRUPT
                                                                  : WAL_LOST_UNSYNCED;
    uint64_t len = it->u.span.to - it->u.span.from;

    if (!s->gather.span_known)
        return range_lost(s, span_lsn, len);
    if (!gather_span_sound(s, ring, it, g->body, g->body_len))
        return span_lost(s, ring, it, span_lsn, reason);
    if (s->crash.deaths >= CRASH_NOTE_DEATHS_MAX && s->crash.lsn == span_lsn) {
        if (!lost_known(s, span_lsn))
            span_keep(s, g->body + it->u.span.offset, len, span_lsn);
        return span_lost(s, ring, it, span_lsn, WAL_LOST_CRASH);
    }
    if (wal_state_span_lost(&s->state, span_lsn))
        return span_lost(s, ring, it, span_lsn, reason);
    return 1;
}

/* False: it has to stop here. */
static bool item_route(struct shard *s, const struct wal_state *tables, const struct wal_item *it,
                       const struct group_place *g)
{
    const struct wal_ring *ring = wal_state_ring(tables, it->u.span.ring);
    uint64_t span_lsn = g->body_lsn + it->u.span.offset;
    int admitted = 1;
    bool done = true;

    crash_note_enter(&s->crash, span_lsn);
    if (g->replay && s->gather.frame_at == 0)
        admitted = span_admit(s, ring, it, g, span_lsn);
    if (admitted < 0 && admitted != -EAGAIN)
        shard_fail(s, admitted, "log item: %s", strerror(-admitted));
    if (admitted > 0)
        done = span_route(s, ring, g->body + it->u.span.offset, it->u.span.to - it->u.span.from,
                          span_lsn, g->arrival_ns);
    crash_note_leave(&s->crash);
    return done && admitted >= 0;
}

/* Routes a group. False: stopped in the middle; call again with the same group. */
static bool group_route(struct shard *s, const struct group_place *g)
{
    const struct wal_state *tables = g->replay ? &s->replay_state : &s->state;

    if (!s->gather.item_at)
        s->gather.item_at = g->items;
    while (s->gather.item_at < g->items_end) {
        const uint8_t *at = s->gather.item_at;
        struct wal_item it;
        int err = wal_item_next(&at, g->items_end, &it);

        if (err) {
            shard_fail(s, err, "log at %llu: a malformed item",
                       (unsigned long long)(g->body_lsn + g->body_len));
            return false;
        }
        if (!s->gather.item_met && item_meet(s, &it, g->end_lsn, g->replay))
            return false;
        s->gather.item_met = true;
        if (it.type == WAL_SPAN && !item_route(s, tables, &it, g))
            return false;
        s->gather.item_met = false;
        s->gather.item_at = at;
    }
    s->gather.item_at = NULL;
    return true;
}

/* Reads the log back until routing stands where writing does. */
static bool replay_turn(struct shard *s)
{
    uint64_t from = s->reader.lsn;

    while (s->reader.lsn - from < REPLAY_BYTES_A_TURN && room_to_encode(s) && !s->spool_full) {
        const struct wal_group_view *g = &s->replay;
        struct group_place place;
        int err;

        if (!s->replay_has_group) {
            int n = wal_reader_next(&s->reader, wal_writer_readable_lsn(&s->writer), &s->replay);

            if (n < 0) {
                shard_fail(s, n, "reading the log back: %s", strerror(-n));
                return false;
            }
            if (n == 0 && wal_writer_readable_lsn(&s->writer) < s->writer.committed_lsn)
                break;      /* the rest is being written again */
            if (n == 0) {
                n = rest_lost(s);
                if (n == -EAGAIN)
                    break;
                if (n) {
                    shard_fail(s, n, "log item: %s", strerror(-n));
                    return false;
                }
                if (s->reader.io_errors > 0)
                    log_error("%" PRIu64 " blocks of the log could not be read back",
                              s->reader.io_errors);
                s->catching_up = false;
                wal_reader_fini(&s->reader);
                wal_state_fini(&s->replay_state);
                log_info("caught up with the log");
                return true;
            }
            s->replay_has_group = true;
        }
        if (g->hole_from < g->body_lsn) {
            err = range_lost(s, g->hole_from, g->body_lsn - g->hole_from);
            if (err && err != -EAGAIN)
                shard_fail(s, err, "log item: %s", strerror(-err));
            if (err)
                break;
            s->replay.hole_from = g->body_lsn;
        }
        place = (struct group_place){
            .items = g->items,
            .items_end = g->items_end,
            .body = g->body,
            .body_lsn = g->body_lsn,
            .body_len = g->commit.lsn - g->body_lsn,
            .end_lsn = g->end_lsn,
            .arrival_ns = g->commit.real_ns,
            .replay = true,
        };
        if (!group_route(s, &place))
            break;
        s->replay_has_group = false;
    }
    return s->reader.lsn != from;
}

/* Routing got beyond where the agent had died: what was noted is over, once it is on the disk. */
static void crash_pass(struct shard *s)
{
    int err;

    if (s->crash.deaths == 0 || shard_routed_lsn(s) <= s->crash.lsn
        || !wal_writer_barrier_synced(&s->writer, s->lost_barrier))
        return;
    err = crash_note_clear(&s->crash);
    if (err)
        log_warn("%s/state/crash: cannot be emptied: %s", s->opt.data_dir, strerror(-err));
}

bool gather_turn(struct shard *s)
{
    struct wal_group *g;
    bool moved = false;

    crash_pass(s);
    shard_pressure(s, BACKPRESSURE_MEMORY, false, NULL);
    shard_pressure(s, BACKPRESSURE_SEALS_MAX, false, NULL);
    if (s->catching_up) {
        /* Their bytes are in the log; chunks go back so that draining goes on. */
        while ((g = wal_writer_done(&s->writer)))
            wal_writer_release(&s->writer, g);
        return replay_turn(s);
    }
    while (room_to_encode(s) && !s->spool_full && (g = wal_writer_done(&s->writer))) {
        struct group_place place = {
            .items = g->items.data,
            .items_end = g->items.data + g->items.len,
            .body = g->chunk,
            .body_lsn = g->body_lsn,
            .body_len = g->body_len,
            .end_lsn = g->end_lsn,
            .arrival_ns = g->commit.real_ns,
        };

        if (!group_route(s, &place))
            break;
        wal_writer_release(&s->writer, g);
        moved = true;
    }
    return moved;
}
