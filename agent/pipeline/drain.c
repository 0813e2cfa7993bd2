/*
 * drain: reads the new spans of rings into chunks, and checks them there. The life of a ring: taken
 * (admit.c), read, retired (publish.c), or quarantined.
 *
 * A turn takes from every ring that has something, up to a quantum that shrinks when many have, and
 * the next turn begins with the one that found no room: no ring waits for more than a few chunks of
 * the others. Definitions, which cost more than events, are bounded by turn.
 *
 * Owns:   rings.
 * Thread: shard.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/invariant.h"
#include "pipeline/parts.h"

#define FLUSH_SEAL_NS           1000000000ULL   /* a producer's flush seals a stream this often */
#define DEFS_RETRY_NS           1000000000ULL   /* while a ring's next stream has no place */
#define TURN_BYTES              (8U * 1024 * 1024)  /* shared by the rings that have something */

enum { QUIET_TURNS = 8, COLD_TURNS = 16, DEFS_A_TURN = 256 };

/* --- table ---------------------------------------------------------------------------------- */

static void hash_put(struct shard *s, struct ring *r)
{
    uint32_t at = r->id * 2654435761U & s->ring_hash_mask;

    while (s->ring_hash[at])
        at = (at + 1) & s->ring_hash_mask;
    s->ring_hash[at] = r;
}

void drain_add(struct shard *s, struct ring *r)
{
    INVARIANT(s->rings_count < s->opt.rings_max);
    s->rings[s->rings_count++] = r;
    hash_put(s, r);
}

struct ring *drain_ring(const struct shard *s, uint32_t id)
{
    uint32_t at = id * 2654435761U & s->ring_hash_mask;

    while (s->ring_hash[at] && s->ring_hash[at]->id != id)
        at = (at + 1) & s->ring_hash_mask;
    return s->ring_hash[at];
}

void drain_drop(struct shard *s, struct ring *r)
{
    for (uint32_t i = 0; i < s->rings_count; i++)
        if (s->rings[i] == r)
            s->rings[i] = s->rings[--s->rings_count];
    quota_ring_give(&s->all->quota, r->file.stat.uid, r->file.super.data_bytes);
    memset(s->ring_hash, 0, (s->ring_hash_mask + 1U) * sizeof(*s->ring_hash));
    for (uint32_t i = 0; i < s->rings_count; i++)
        hash_put(s, s->rings[i]);
    ring_file_close(&r->file);
    free(r);
}

void drain_quarantine(struct shard *s, struct ring *r, enum shm_quarantine reason)
{
    static _Thread_local struct log_limit limit =
        LOG_LIMIT_INIT("quarantines", 50, 10 * 1000000000ULL);

    if (r->state == RING_QUARANTINED)
        return;
    r->state = RING_QUARANTINED;
    r->reason = reason;
    ring_file_quarantine(&r->file, reason, r->read_pos);
    if (log_limit_allow(&limit, loop_now_ns(s->loop)))
        log_warn("ring %s: quarantined at %" PRIu64 ": %s: %s", r->file.name, r->read_pos,
                 ring_quarantine_name(reason), ring_quarantine_text(reason));
}

/* --- reading -------------------------------------------------------------------------------- */

struct def_call {
    struct shard *s;
    struct ring *r;
};

/* The ring is not read on until there is room; it is asked seldom, so that asking costs little. */
static int ring_wait(struct shard *s, struct ring *r, enum shm_wait why)
{
    r->waits = why;
    r->retry_ns = loop_now_ns(s->loop) + DEFS_RETRY_NS;
    ring_file_wait(&r->file, why);
    return -EAGAIN;
}

/* Stream of a definition that an earlier life has logged, 0: none. */
static uint32_t def_logged(const struct shard *s, const struct ring *r, uint16_t number)
{
    const struct wal_ring *known = wal_state_ring(&s->state, r->id);

    return known ? wal_ring_stream(known, number) : 0;
}

static bool def_is_schema(const struct shard *s, const struct ring *r, uint16_t number)
{
    const struct wal_ring *known = wal_state_ring(&s->state, r->id);
    const uint8_t *body;
    uint32_t len;

    return known && wal_ring_schema(known, number, &body, &len);
}

/* May one more be logged now? 0 or -EAGAIN. */
static int def_admit(struct shard *s)
{
    if (wal_writer_checkpoint_full(&s->writer)) {
        shard_pressure(s, BACKPRESSURE_STREAMS_MAX, true, "the log's tables fill their segments");
        return -EAGAIN;
    }
    if (s->defs_left == 0)
        return -EAGAIN;
    s->defs_left--;
    return 0;
}

/* A type of records: in the log before the first of them, and never another one. */
static int schema_take(struct shard *s, const struct ring *r, const struct ring_def *def)
{
    const struct wal_ring *known = wal_state_ring(&s->state, r->id);
    struct wal_item it = {.type = WAL_SCHEMA};
    const uint8_t *body;
    uint32_t len;
    int err;

    if (known && def->number <= known->defs_count)
        return wal_ring_schema(known, def->number, &body, &len) && len == def->body_len
                       && memcmp(body, def->body, len) == 0
                       && known->defs[def->number - 1].stream_def == def->stream
                   ? 0 : -EBADMSG;
    if (def->body_len > WAL_SCHEMA_BYTES_MAX)
        return -EBADMSG;
    err = def_admit(s);
    if (err)
        return err;
    it.u.schema.ring = r->id;
    it.u.schema.number = def->number;
    it.u.schema.stream_def = def->stream;
    it.u.schema.body = (struct wal_str){(const char *)def->body, def->body_len};
    return wal_writer_item(&s->writer, &it, NULL);
}

/* A new definition: its stream gets an id and settings, in the log before the first span. */
static int on_def(void *ctx, const struct ring_def *def)
{
    struct def_call *c = ctx;
    struct shard *s = c->s;
    struct stream *st = stream_by_name(&s->streams, def->name);
    uint32_t logged = def_logged(s, c->r, def->number);
    struct wal_item it = {.type = WAL_DEF};
    struct errmsg err = {""};
    int r;

    if (def->type == SHM_DEF_SCHEMA)
        return schema_take(s, c->r, def);
    if (logged != 0)                    /* what it means never changes */
        return st && st->id == logged && !def_is_schema(s, c->r, def->number) ? 0 : -EBADMSG;
    r = def_admit(s);
    if (r)
        return r;
    if (!st) {
        uint32_t uid = c->r->file.stat.uid;
        enum shm_wait why = admit_stream(s, def->name, &uid);

        if (why != SHM_WAIT_NONE)
            return ring_wait(s, c->r, why);
        r = gather_stream_add(s, s->next_stream, uid, def->name, &st);
        if (r) {
            shard_fail(s, r, "stream '%s': %s", def->name, strerror(-r));
            return -EAGAIN;
        }
    }
    if (st->version_appended == 0) {
        r = gather_stream_settings(s, st, &err);
        if (r && r != -EAGAIN) {
            static _Thread_local struct log_limit limit =
                LOG_LIMIT_INIT("streams refused", 5, 10 * 1000000000ULL);

            if (log_limit_allow(&limit, loop_now_ns(s->loop)))
                log_error("ring %s: %s", c->r->file.name, err.text);
        }
        if (r)
            return -EAGAIN;
    }
    it.u.def.ring = c->r->id;
    it.u.def.stream = st->id;
    it.u.def.number = def->number;
    return wal_writer_item(&s->writer, &it, NULL);
}

/* One span of the ring's bytes into the chunk; it may wrap. 0 or -errno; -EIO: fewer bytes came. */
static int span_read(struct ring *r, uint8_t *to, uint64_t len)
{
    uint64_t at = r->read_pos & (r->file.super.data_bytes - 1);
    uint64_t first = r->file.super.data_bytes - at < len ? r->file.super.data_bytes - at : len;
    ssize_t n = file_read(r->file.fd, to, first, r->file.super.data_offset + at);

    if (n < 0 || (uint64_t)n < first)
        return n < 0 ? (int)n : -EIO;
    if (first == len)
        return 0;
    n = file_read(r->file.fd, to + first, len - first, r->file.super.data_offset);
    return n < 0 ? (int)n : (uint64_t)n < len - first ? -EIO : 0;
}

/* Logs the checked bytes at the end of the group's body. */
static int span_log(struct shard *s, struct ring *r, struct wal_group *g,
                    const struct frames_summary *sum)
{
    struct wal_tally tallies[SHM_DEFS_MAX];
    struct wal_item it = {.type = WAL_SPAN};
    int err;

    for (uint16_t i = 0; i < s->scratch.used_count; i++) {
        uint16_t def = s->scratch.used[i];

        tallies[i] = (struct wal_tally){def, s->scratch.events[def], s->scratch.payload_bytes[def]};
    }
    it.u.span.ring = r->id;
    it.u.span.events = sum->events;
    it.u.span.from = r->read_pos;
    it.u.span.to = r->read_pos + sum->bytes_whole;
    it.u.span.offset = g->body_len;
    it.u.span.crc32c = crc32c(0, g->chunk + g->body_len, sum->bytes_whole);
    it.u.span.tallies = s->scratch.used_count;
    err = wal_writer_item(&s->writer, &it, tallies);
    if (err)
        return err;
    INVARIANT(s->writer.filling == g);
    g->body_len += (uint32_t)sum->bytes_whole;
    r->read_pos += sum->bytes_whole;
    r->span_barrier = wal_writer_barrier(&s->writer);
    return 0;
}

/* Reads and checks `len` bytes at read_pos into the chunk. 0, or a reason to read no more. */
static enum shm_quarantine span_check(struct shard *s, struct ring *r, struct wal_group *g,
                                      uint64_t len, uint64_t head, struct frames_summary *ret_sum)
{
    *ret_sum = (struct frames_summary){0};
    if (span_read(r, g->chunk + g->body_len, len))
        return ring_file_intact(&r->file) ? SHM_QUARANTINE_FAULT : SHM_QUARANTINE_SIZE;
    if (frames_check(g->chunk + g->body_len, len, shm_event_bytes_max(r->file.super.data_bytes),
                     r->file.defs_count, &r->file.schemas, &s->scratch, ret_sum)
        == FRAMES_CORRUPT)
        return ret_sum->reason;
    if (ret_sum->bytes_whole < len && len == head - r->read_pos)
        return SHM_QUARANTINE_FRAME;    /* head is in the middle of a frame */
    return SHM_QUARANTINE_NONE;
}

/*
 * Takes one piece of the span that ends at head: small enough to be still in the cache when it is
 * checked and summed, large enough for the frame at its start. True: it did, and there may be more.
 */
static bool piece_take(struct shard *s, struct ring *r, uint64_t head, uint64_t len_max)
{
    struct wal_group *g = wal_writer_data_group(&s->writer);
    enum shm_quarantine reason;
    struct frames_summary sum;
    uint64_t len = head - r->read_pos, room;
    int err = 0;

    if (!g)
        return false;
    room = bytes_round_down(wal_group_room(g), SHM_FRAME_ALIGN);
    if (len > len_max)
        len = len_max;
    if (len > room)
        len = room;
    reason = span_check(s, r, g, len, head, &sum);
    if (sum.bytes_whole > 0)
        err = span_log(s, r, g, &sum);
    frames_scratch_clear(&s->scratch);
    if (err) {
        if (err != -EAGAIN)
            shard_fail(s, err, "log item: %s", strerror(-err));
        return false;
    }
    if (reason != SHM_QUARANTINE_NONE) {
        drain_quarantine(s, r, reason);
        return false;
    }
    if (sum.bytes_whole > 0)
        return true;
    if (len == room) {              /* the frame needs a fresh chunk */
        wal_writer_step(&s->writer, true);
        return s->writer.filling != g;
    }
    return piece_take(s, r, head, SPAN_BYTES_MAX);
}

/* Definitions published since the last turn. False: what is behind them cannot be read now. */
static bool defs_take(struct shard *s, struct ring *r)
{
    struct def_call call = {s, r};
    enum shm_quarantine reason;
    int err;

    if (s->defs_left == 0 && ring_file_defs_waiting(&r->file))
        return false;
    err = ring_file_defs(&r->file, on_def, &call, &reason);
    if (err == -EBADMSG)
        drain_quarantine(s, r, reason ? reason : SHM_QUARANTINE_DEFINITION);
    if (err)
        return false;
    if (r->waits != SHM_WAIT_NONE) {
        r->waits = SHM_WAIT_NONE;
        ring_file_wait(&r->file, SHM_WAIT_NONE);
    }
    return true;
}

enum take { TAKE_NOTHING, TAKE_SOME, TAKE_NO_ROOM };

/* Takes up to about a quantum of one ring. NO_ROOM: it has something, and the log has no place. */
static enum take ring_take(struct shard *s, struct ring *r, uint64_t quantum)
{
    enum shm_quarantine reason;
    uint64_t head, from = r->read_pos;

    if (ring_file_head(&r->file, r->read_pos, &head, &reason)) {
        drain_quarantine(s, r, reason);
        return TAKE_NOTHING;
    }
    if (head == r->read_pos || (r->waits != SHM_WAIT_NONE && loop_now_ns(s->loop) < r->retry_ns))
        return TAKE_NOTHING;
    if (wal_writer_data_group(&s->writer) && defs_take(s, r))
        while (r->read_pos != head && r->read_pos - from < quantum)
            if (!piece_take(s, r, head, PIECE_BYTES))
                break;
    if (r->read_pos != from)
        return TAKE_SOME;
    return r->state == RING_READING && r->waits == SHM_WAIT_NONE ? TAKE_NO_ROOM : TAKE_NOTHING;
}

/* Requests of waiting producers: room is coming anyway; durable and delivered need a push. */
static void ring_wants(struct shard *s, struct ring *r)
{
    struct wal_ring *known;
    uint64_t want = ring_file_wanted(&r->file, SHM_POS_DURABLE), now = loop_now_ns(s->loop);

    if (want > r->durable && want <= r->read_pos)
        wal_writer_want_sync(&s->writer, r->span_barrier);
    want = ring_file_wanted(&r->file, SHM_POS_DELIVERED);
    if (want <= r->delivered || want > r->accepted)
        return;
    if (now < r->seal_look_ns || shard_routed_lsn(s) < r->span_lsn)
        return;
    known = wal_state_ring(&s->state, r->id);
    r->seal_look_ns = now + FLUSH_SEAL_NS;
    for (uint16_t i = 1; known && i <= known->defs_count; i++) {
        struct stream *st = stream_by_id(&s->streams, wal_ring_stream(known, i));

        if (!st)
            continue;
        if (st->seal_asked_ns != 0 && now - st->seal_asked_ns < FLUSH_SEAL_NS) {
            if (r->seal_look_ns > st->seal_asked_ns + FLUSH_SEAL_NS)
                r->seal_look_ns = st->seal_asked_ns + FLUSH_SEAL_NS;
            continue;
        }
        st->seal_asked_ns = now;
        seal_stream(s, st, UINT64_MAX);
    }
}

/*
 * While there is work, a ring that had nothing for some turns is looked at in every sixteenth only.
 * A turn that follows an idle one, a bell, or a wish to drain everything looks at all.
 */
bool drain_turn(struct shard *s)
{
    uint32_t count = s->rings_count, start = s->rings_next, blocked = count, full = 0;
    bool all = !s->busy || s->stop != STOP_NO || s->flushes;
    bool waits = false, took = false;
    uint64_t quantum;

    if (s->backpressure[BACKPRESSURE_LOG_FULL] || s->stop >= STOP_DELIVER)
        return false;
    /* Taken before the look: what rings from here on is for the next turn. */
    if (atomic_load_explicit(&s->bell_rang, memory_order_relaxed))
        all |= atomic_exchange_explicit(&s->bell_rang, false, memory_order_acquire);
    quantum = TURN_BYTES / (s->rings_full + 1);
    quantum = quantum < PIECE_BYTES ? PIECE_BYTES : quantum;
    quantum = quantum > SPAN_BYTES_MAX ? SPAN_BYTES_MAX : quantum;
    s->defs_left = DEFS_A_TURN;
    for (uint32_t i = 0; i < count; i++) {
        struct ring *r = s->rings[(start + i) % count];

        waits |= r->waits != SHM_WAIT_NONE && r->state == RING_READING;
        if (r->state != RING_READING)
            continue;
        if (s->stop == STOP_DRAIN && r->read_pos - r->drain_to < UINT64_MAX / 2)
            continue;               /* at its target */
        if (!all && r->look_turn > s->turns)
            continue;
        switch (ring_take(s, r, quantum)) {
        case TAKE_SOME:
            took = true;
            full++;
            r->quiet_turns = 0;
            break;
        case TAKE_NO_ROOM:          /* it stays warm, and the first one is the next turn's first */
            full++;
            blocked = blocked < i ? blocked : i;
            break;
        case TAKE_NOTHING:
            if (++r->quiet_turns > QUIET_TURNS)
                r->look_turn = s->turns + COLD_TURNS;
            break;
        }
        ring_wants(s, r);
    }
    shard_pressure(s, BACKPRESSURE_STREAMS_MAX, waits,
                   "streams_max or streams_per_uid_max is reached");
    s->rings_full = full;
    if (count > 0)
        s->rings_next = (start + (blocked < count ? blocked : 1)) % count;
    return took;
}

/* --- flush and stop ------------------------------------------------------------------------- */

void drain_begin(struct shard *s)
{
    enum shm_quarantine reason;
    uint64_t head;

    for (uint32_t i = 0; i < s->rings_count; i++) {
        struct ring *r = s->rings[i];

        if (r->state == RING_READING && ring_file_head(&r->file, r->read_pos, &head, &reason) == 0)
            r->drain_to = head;
        else
            r->drain_to = r->read_pos;
    }
}

bool drain_reached(const struct shard *s)
{
    for (uint32_t i = 0; i < s->rings_count; i++) {
        const struct ring *r = s->rings[i];

        /* One that waits for a limit keeps its events; it must not hold up the others. */
        if (r->state == RING_READING && r->waits == SHM_WAIT_NONE
            && r->drain_to - r->accepted - 1 < UINT64_MAX / 2)
            return false;
    }
    return true;
}

void drain_close(struct shard *s)
{
    while (s->rings_count > 0) {
        struct ring *r = s->rings[--s->rings_count];

        quota_ring_give(&s->all->quota, r->file.stat.uid, r->file.super.data_bytes);
        ring_file_close(&r->file);
        free(r);
    }
    discover_close(s->discover);
    s->discover = NULL;
}
