/*
 * drain: finds rings, reads their new spans into chunks, and checks them there. The life of a ring:
 * read, retired (publish.c), or quarantined.
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

#define RESCAN_NS               1000000000ULL   /* while rings wait for a place */
#define FLUSH_SEAL_NS           1000000000ULL   /* a producer's flush seals a stream this often */

enum { DISCOVER_NAMES_A_TURN = 64, QUIET_TURNS = 8, COLD_TURNS = 16 };

/* --- table ---------------------------------------------------------------------------------- */

static void hash_put(struct shard *s, struct ring *r)
{
    uint32_t at = r->id * 2654435761U & s->ring_hash_mask;

    while (s->ring_hash[at])
        at = (at + 1) & s->ring_hash_mask;
    s->ring_hash[at] = r;
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
    memset(s->ring_hash, 0, (s->ring_hash_mask + 1U) * sizeof(*s->ring_hash));
    for (uint32_t i = 0; i < s->rings_count; i++)
        hash_put(s, s->rings[i]);
    ring_file_close(&r->file);
    free(r);
}

void drain_quarantine(struct ring *r, enum shm_quarantine reason)
{
    if (r->state == RING_QUARANTINED)
        return;
    r->state = RING_QUARANTINED;
    r->reason = reason;
    ring_file_quarantine(&r->file, reason, r->read_pos);
    log_warn("ring %s: quarantined at %" PRIu64 ": %s", r->file.name, r->read_pos,
             ring_quarantine_name(reason));
}

/* --- attaching ------------------------------------------------------------------------------ */

static bool attach_allowed(struct shard *s, const struct ring_file *file)
{
    uint32_t rings = 0;
    uint64_t bytes = 0;

    for (uint32_t i = 0; i < s->rings_count; i++)
        if (s->rings[i]->file.stat.uid == file->stat.uid) {
            rings++;
            bytes += s->rings[i]->file.super.data_bytes;
        }
    return s->rings_count < s->opt.rings_max && rings < s->opt.rings_per_uid_max
           && bytes + file->super.data_bytes <= s->opt.ring_bytes_per_uid_max;
}

/* A ring that stays until its producer is dead, unread. */
static void ring_keep_quarantined(struct shard *s, struct ring *r, enum shm_quarantine reason)
{
    r->id = s->next_ring++;
    s->rings[s->rings_count++] = r;
    hash_put(s, r);
    drain_quarantine(r, reason);
}

/*
 * R6: where to go on. L = end of the last committed span of this uuid. Returns the reason why the
 * ring cannot be read, or NONE with *ret_pos set.
 */
static enum shm_quarantine attach_position(struct shard *s, const struct ring_file *file,
                                           const struct wal_ring *known, uint64_t *ret_pos)
{
    uint64_t accepted = atomic_load_explicit(&file->consumer->mark[SHM_POS_ACCEPTED].pos,
                                             memory_order_acquire);
    enum shm_quarantine reason;
    uint64_t head;

    for (uint32_t i = 0; i < s->rings_count; i++)
        if (memcmp(s->rings[i]->file.super.uuid, file->super.uuid, 16) == 0)
            return SHM_QUARANTINE_DUPLICATE;
    if (ring_file_head(file, accepted, &head, &reason))
        return reason;
    *ret_pos = accepted;
    if (!known)
        return SHM_QUARANTINE_NONE;
    if (known->end_pos - accepted <= head - accepted) {
        *ret_pos = known->end_pos;
        return SHM_QUARANTINE_NONE;
    }
    if (accepted - known->end_pos <= file->super.data_bytes * 1024) {
        /* Another log, or a later state of this one, took what lies between. */
        log_warn("ring %s: this log ends at %" PRIu64 ", but the ring was taken up to %" PRIu64
                 "; that range is not in this log",
                 file->name, known->end_pos, accepted);
        return SHM_QUARANTINE_NONE;
    }
    return SHM_QUARANTINE_FOREIGN;
}

static int attach_log(struct shard *s, struct ring *r, bool known)
{
    struct wal_item it = {.type = WAL_ATTACH};

    if (known)
        return 0;
    it.u.attach.ring = r->id;
    it.u.attach.uid = r->file.stat.uid;
    it.u.attach.pid = r->file.super.pid;
    it.u.attach.ino = r->file.stat.ino;
    it.u.attach.pos = r->read_pos;
    memcpy(it.u.attach.uuid, r->file.super.uuid, 16);
    it.u.attach.name = (struct wal_str){r->file.name, (uint32_t)strlen(r->file.name)};
    return wal_writer_item(&s->writer, &it, NULL);
}

/* A position that never goes back, nor forward for what another log has taken. */
static uint64_t published(const struct ring_file *file, enum shm_pos which,
                          const struct wal_ring *known, uint64_t pos)
{
    uint64_t there =
        atomic_load_explicit(&file->consumer->mark[which].pos, memory_order_relaxed);

    return known && there <= pos ? there : pos;
}

/* A failure that says nothing of the file: descriptors or memory are short. */
static bool attach_retry(int err)
{
    switch (err) {
    case -EBADMSG:
    case -EINVAL:
    case -ELOOP:
    case -ENXIO:
    case -ENOENT:
    case -EPERM:
    case -EACCES:
    case -EXDEV:
    case -EISDIR:
        return false;
    default:
        return true;
    }
}

static void ring_attach(struct shard *s, const char *name)
{
    struct ring *r = calloc(1, sizeof(*r));
    enum shm_quarantine reason = SHM_QUARANTINE_NONE;
    struct wal_ring *known;
    struct errmsg err;
    uint64_t pos = 0;
    int e;

    if (!r)
        return;
    r->file.fd = -1;
    e = ring_file_open(discover_dir(s->discover), name, -1, &r->file, &reason, &err);
    if (e == -EBADMSG && reason != SHM_QUARANTINE_NONE) {
        static struct log_limit limit =
            LOG_LIMIT_INIT("rings not taken", 5, 10 * 1000000000ULL);

        if (log_limit_allow(&limit, loop_now_ns(s->loop)))
            log_warn("ring %s: not taken: %s: %s", name, ring_quarantine_name(reason), err.text);
    }
    if (e) {
        s->rescan_later |= attach_retry(e);
        free(r);
        return;
    }
    if (!attach_allowed(s, &r->file)) {
        shard_pressure(s, BACKPRESSURE_RINGS_MAX, true,
                       "rings_max or a quota of their user is met");
        s->rescan_later = true;
        goto drop;
    }
    known = wal_state_ring_by_uuid(&s->state, r->file.super.uuid);
    reason = attach_position(s, &r->file, known, &pos);
    if (reason == SHM_QUARANTINE_NONE)
        reason = (enum shm_quarantine)atomic_load_explicit(&r->file.consumer->quarantine,
                                                           memory_order_relaxed);
    if (reason >= SHM_QUARANTINE_COUNT)
        reason = SHM_QUARANTINE_POSITION;
    if (reason != SHM_QUARANTINE_NONE) {
        r->check_alive = true;
        ring_keep_quarantined(s, r, reason);
        return;
    }
    r->id = known ? known->id : s->next_ring;
    r->read_pos = r->accepted = pos;
    r->durable = published(&r->file, SHM_POS_DURABLE, known, pos);
    r->delivered = published(&r->file, SHM_POS_DELIVERED, known, pos);
    drops_attach(s, r, known);
    r->check_alive = true;
    if (attach_log(s, r, known && known->end_pos == pos)) {
        s->rescan_later = true;     /* no place in the log now */
        goto drop;
    }
    r->logged = true;
    if (!known)
        s->next_ring++;
    s->rings[s->rings_count++] = r;
    hash_put(s, r);
    ring_file_adopt(&r->file, s->epoch, r->id);
    ring_file_publish(&r->file, SHM_POS_ACCEPTED, pos);
    ring_file_want(&r->file, true);
    log_debug("ring %s: attached as %u at %" PRIu64, name, r->id, pos);
    return;

drop:
    ring_file_close(&r->file);
    free(r);
}

static void on_ring_name(void *ctx, const char *name, bool closed)
{
    struct shard *s = ctx;
    struct file_stat st;

    for (uint32_t i = 0; i < s->rings_count; i++) {
        struct ring *r = s->rings[i];

        if (strcmp(r->file.name, name) != 0)
            continue;
        r->check_alive = true;
        if (closed || file_stat_at(discover_dir(s->discover), name, &st) != 0
            || (st.ino == r->file.stat.ino && st.dev == r->file.stat.dev))
            return;
    }
    if (!closed)
        ring_attach(s, name);
}

void drain_discover(struct shard *s)
{
    uint64_t now = loop_now_ns(s->loop);
    struct errmsg text;
    int r;

    if (s->rescan_later && now - s->rescan_ns >= RESCAN_NS) {
        s->rescan_later = false;
        s->rescan_ns = now;
        shard_pressure(s, BACKPRESSURE_RINGS_MAX, false, NULL);
        discover_rescan(s->discover);
        s->scanning = true;
    }
    if (!s->watch_ready && !s->scanning && now < discover_due_ns(s->discover))
        return;
    s->watch_ready = false;
    r = discover_step(s->discover, now, DISCOVER_NAMES_A_TURN, on_ring_name, s);
    s->scanning = r > 0;
    if (discover_complaint(s->discover, &text))
        log_warn("%s: %s", s->opt.shm_dir, text.text);
    if (r < 0) {
        static struct log_limit limit =
            LOG_LIMIT_INIT("scans", 5, 10 * 1000000000ULL);

        s->rescan_later = true;
        if (log_limit_allow(&limit, now))
            log_error("%s: looking for rings: %s", s->opt.shm_dir, strerror(-r));
    }
}

/* --- reading -------------------------------------------------------------------------------- */

struct def_call {
    struct shard *s;
    struct ring *r;
};

/* A new definition: its stream gets an id and settings, in the log before the first span. */
static int on_def(void *ctx, const struct ring_def *def)
{
    struct def_call *c = ctx;
    struct shard *s = c->s;
    struct stream *st = stream_by_name(&s->streams, def->name);
    struct wal_item it = {.type = WAL_DEF};
    struct errmsg err = {""};
    int r;

    if (def->type != SHM_DEF_STREAM)    /* typed records: nothing here understands them */
        return -EBADMSG;
    if (!st) {
        if (s->streams.count >= s->streams.max) {
            shard_pressure(s, BACKPRESSURE_STREAMS_MAX, true, "streams_max is reached");
            return -EAGAIN;
        }
        r = gather_stream_add(s, s->next_stream, def->name, &st);
        if (r) {
            shard_fail(s, r, "stream '%s': %s", def->name, strerror(-r));
            return -EAGAIN;
        }
    }
    if (st->version_appended == 0) {
        r = gather_stream_settings(s, st, &err);
        if (r && r != -EAGAIN) {
            static struct log_limit limit =
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
                     r->file.defs_count, &s->scratch, ret_sum)
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
        drain_quarantine(r, reason);
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

/* Takes up to SPAN_BYTES_MAX of one ring. True: it took something. */
static bool ring_take(struct shard *s, struct ring *r)
{
    struct def_call call = {s, r};
    enum shm_quarantine reason = SHM_QUARANTINE_NONE;
    uint64_t head, from = r->read_pos;
    int err;

    if (ring_file_head(&r->file, r->read_pos, &head, &reason)) {
        drain_quarantine(r, reason);
        return false;
    }
    if (head == r->read_pos || !wal_writer_data_group(&s->writer))
        return false;
    err = ring_file_defs(&r->file, on_def, &call, &reason);
    if (err == -EBADMSG)
        drain_quarantine(r, reason ? reason : SHM_QUARANTINE_DEFINITION);
    if (err)
        return false;
    while (r->read_pos != head && r->read_pos - from < SPAN_BYTES_MAX)
        if (!piece_take(s, r, head, PIECE_BYTES))
            break;
    return r->read_pos != from;
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
    known = wal_state_ring(&s->state, r->id);
    for (uint16_t i = 1; known && i <= known->defs_count; i++) {
        struct stream *st = stream_by_id(&s->streams, wal_ring_stream(known, i));

        if (!st || (st->seal_asked_ns != 0 && now - st->seal_asked_ns < FLUSH_SEAL_NS))
            continue;
        if (shard_routed_lsn(s) < r->span_lsn)
            continue;
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
    uint32_t count = s->rings_count, start = s->rings_next;
    bool all = !s->busy || s->bell_rang || s->stop != STOP_NO || s->flushes;
    bool took = false;

    if (s->backpressure[BACKPRESSURE_LOG_FULL] || s->stop >= STOP_DELIVER)
        return false;
    shard_pressure(s, BACKPRESSURE_STREAMS_MAX, false, NULL);
    for (uint32_t i = 0; i < count && i < s->rings_count; i++) {
        struct ring *r = s->rings[(start + i) % s->rings_count];

        if (r->state != RING_READING)
            continue;
        if (s->stop == STOP_DRAIN && r->read_pos - r->drain_to < UINT64_MAX / 2)
            continue;               /* at its target */
        if (!all && r->look_turn > s->turns)
            continue;
        if (ring_take(s, r)) {
            took = true;
            r->quiet_turns = 0;
        } else if (++r->quiet_turns > QUIET_TURNS) {
            r->look_turn = s->turns + COLD_TURNS;
        }
        ring_wants(s, r);
    }
    s->bell_rang = false;
    if (s->rings_count > 0)
        s->rings_next = (start + 1) % s->rings_count;
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

        if (r->state == RING_READING && r->drain_to - r->accepted - 1 < UINT64_MAX / 2)
            return false;
    }
    return true;
}

void drain_close(struct shard *s)
{
    while (s->rings_count > 0) {
        struct ring *r = s->rings[--s->rings_count];

        ring_file_close(&r->file);
        free(r);
    }
    discover_close(s->discover);
    s->discover = NULL;
}
