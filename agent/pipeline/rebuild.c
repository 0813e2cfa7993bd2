/*
 * rebuild: makes a batch's file once more, from the events that the log has.
 *
 *   a sealed batch whose file is damaged or gone: the same events, under the same keys (RESEAL)
 *   one not yet sealed that had to give up its file: the disk was full, or a write or sync failed
 *
 * One at a time, the oldest first, a bounded piece a turn. A reader of its own goes from the
 * CHECKPOINT before the batch's first event to its last one, with tables that tell which stream a
 * ring's number meant and which settings held there.
 *
 * Owns:   the rebuild under way.
 * Thread: shard.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/invariant.h"
#include "pipeline/parts.h"

#define PARKED_NS 60000000000ULL

/* The oldest that is due, or NULL. */
static struct seal_batch *candidate(struct shard *s)
{
    uint64_t now = loop_now_ns(s->loop);

    for (struct batch *b = s->unfinished.first; b; b = b->all.next) {
        struct seal_batch *sb = (struct seal_batch *)b;

        if (sb->state == SEAL_REBUILD && now >= sb->rebuild_ns)
            return sb;
        if (sb->state <= SEAL_SPOOL && sb->spool.retry_ns != 0)
            return NULL;        /* it waits for room, which is not for a younger one to take */
    }
    return NULL;
}

/* Goes to the CHECKPOINT before the batch's first event. 0 or -ENOMEM. */
static int log_begin(struct shard *s)
{
    struct rebuild *r = &s->rebuild;
    uint64_t from;

    wal_reader_init(&r->reader, &s->dir);
    from = wal_dir_checkpoint_lsn(&s->dir, r->batch->batch.first_lsn);
    if (from != UINT64_MAX)     /* else the log begins later: too few will be found */
        r->reader.lsn = from;
    return wal_state_init(&r->tables);
}

static bool rebuild_begin(struct shard *s)
{
    struct rebuild *r = &s->rebuild;
    struct seal_batch *sb = candidate(s);

    if (!sb)
        return false;
    memset(r, 0, sizeof(*r));
    r->batch = sb;
    if (log_begin(s) == 0)
        return true;
    rebuild_end(s);
    sb->rebuild_ns = loop_now_ns(s->loop) + PARKED_NS;
    return false;
}

/* From the beginning, with the columns that the first pass has found. */
static int pass_again(struct shard *s)
{
    struct rebuild *r = &s->rebuild;
    int err = writer_learned(r->batch->writer);

    wal_reader_fini(&r->reader);
    wal_state_fini(&r->tables);
    r->has_group = r->learning = false;
    r->learned = true;
    memset(&r->at, 0, sizeof(r->at));
    return err ? err : log_begin(s);
}

void rebuild_end(struct shard *s)
{
    struct rebuild *r = &s->rebuild;

    if (!r->batch)
        return;
    output_writer_close(r->batch);
    wal_reader_fini(&r->reader);
    wal_state_fini(&r->tables);
    if (r->output.encoding)
        r->output.encoding_free(r->output.encoding);
    stream_settings_fini(&r->set);
    r->batch = NULL;
}

/* The log has not got it. The batch is kept and looked for again every minute. */
static void rebuild_park(struct shard *s, const char *why)
{
    struct seal_batch *sb = s->rebuild.batch;
    char text[BATCH_ID_MAX];

    s->rebuild.parked = why;
    if (!room_at_rest(sb))
        return;                 /* in another turn */
    batch_id_format(&sb->batch.id, text);
    if (sb->rebuilds++ == 0)
        log_error("stream '%s', batch %s: %s; it is kept, and tried again every minute",
                  sb->batch.stream->name, text, why);
    room_shed(sb, PARKED_NS);
    if (sb->sealed)
        deliver_parked(sb, why);
}

/* Its encoding goes with the rebuild: what the writer holds is written before. */
static bool writer_end(struct seal_batch *sb)
{
    enum writer_result result = writer_finish(sb->writer, &sb->batch.chain);

    if (sb->batch.chain.first != sb->batch.chain.last)
        seal_write_full(&sb->batch);
    if (result == WRITER_TAKEN)
        output_writer_close(sb);
    else if (result != WRITER_AGAIN)
        shard_pressure(sb->shard, BACKPRESSURE_MEMORY, true, "memory_limit is reached");
    return result == WRITER_TAKEN;
}

/* All events are through. */
static void rebuild_finish(struct shard *s)
{
    struct rebuild *r = &s->rebuild;
    struct seal_batch *sb = r->batch;

    if (r->learning) {
        if (pass_again(s))
            rebuild_park(s, "there is no memory for its columns");
        return;
    }
    if (r->events != sb->batch.events || r->payload_bytes != sb->batch.payload_bytes) {
        rebuild_park(s, "the log has not got all of its events any more");
        return;
    }
    if (sb->writer && !writer_end(sb))
        return;                 /* in another turn */
    log_info("stream '%s': the file of %" PRIu64 " events was made again from the log",
             sb->batch.stream->name, r->events);
    rebuild_end(s);
    s->batches_rebuilt++;
    seal_encode(sb);
}

/* The settings under which the batch was opened: those that hold at its events. */
static int settings_meet(struct shard *s)
{
    struct rebuild *r = &s->rebuild;
    struct seal_batch *sb = r->batch;
    const struct wal_stream *st = wal_state_stream(&r->tables, sb->batch.stream->id);
    int err;

    if (!st || st->versions_count == 0
        || st->versions[st->versions_count - 1].version != sb->version)
        return -EBADMSG;
    err = stream_settings_parse(st->settings.data, st->settings.len, &r->set);
    if (err)
        return err;
    if (sb->output >= r->set.outputs)
        return -EBADMSG;
    memcpy(r->stream.name, sb->batch.stream->name, sizeof(r->stream.name));
    r->output = (struct output){.stream = &r->stream, .version = sb->version,
                                .index = sb->output, .set = &r->set.output[sb->output]};
    err = output_open(s, &r->output, false);
    if (err)
        return err;
    if (sb->error < 0)
        pack_choose(sb, r->output.set);
    sb->spool.pool = sb->pack_type == COMPRESS_NONE ? &s->pool : &s->pack_pool;
    return 0;
}

/* One event of the batch. 1: it is taken, 0: no block is to be had now, or -errno. */
static int event_take(struct shard *s, const struct event *ev)
{
    struct rebuild *r = &s->rebuild;
    struct seal_batch *sb = r->batch;
    struct encoding *e = output_encoding(&r->output);

    if (!sb->writer && sb->error < 0) {
        int err = writer_open(e, ev, NULL, &sb->writer);

        if (err)
            return err;
        r->learning = writer_learns(sb->writer) && !r->learned;
    }
    if (r->learning) {
        int err = writer_learn(sb->writer);

        return err ? err : 1;
    }
    switch (output_write(sb, e, ev, r->group.commit.real_ns)) {
    case WRITER_TAKEN:
        return 1;
    case WRITER_AGAIN:
        return 0;
    case WRITER_NO_ROOM:
    case WRITER_NO_MEMORY:
        if (sb->batch.chain.first != sb->batch.chain.last)
            seal_write_full(&sb->batch);
        shard_pressure(s, BACKPRESSURE_MEMORY, true, "memory_limit is reached");
        return 0;
    default:
        return -EBADMSG;        /* the batch has taken it before */
    }
}

/* 1: done, 0: no block is to be had now, or -errno. */
static int span_take(struct shard *s, const struct wal_ring *ring, const uint8_t *span,
                     uint64_t len, uint64_t span_lsn)
{
    struct rebuild *r = &s->rebuild;
    struct batch *b = &r->batch->batch;
    uint64_t at = r->at.frame_at;

    while (at < len && span_lsn + at <= b->last_lsn) {
        struct shm_frame frame;
        struct event ev;
        uint64_t lsn = span_lsn + at;
        uint64_t next = frames_next(span, at, &frame, &ev.data);
        int err;

        r->at.frame_at = at;
        at = next;
        if (lsn < b->first_lsn || wal_ring_stream(ring, frame.def) != b->stream->id)
            continue;
        if (!r->output.encoding) {
            err = settings_meet(s);
            if (err)
                return err;
        }
        ev.len = frame.len;
        ev.kind = frame.kind;
        ev.time_ns = frame.time_ns ? frame.time_ns : r->group.commit.real_ns;
        ev.record = NULL;
        err = frame.kind == SHM_KIND_RECORD ? gather_record(s, ring, frame.def, &ev) : 0;
        if (err)
            return 0;
        err = output_has(&r->output, &ev, b->partition, b->partition_len);
        if (err < 0)
            return err;
        if (err == 0)
            continue;
        err = event_take(s, &ev);
        if (err <= 0)
            return err;
        if (r->learning)
            continue;
        r->events++;
        r->payload_bytes += ev.len;
        if (b->chain.first != b->chain.last)
            seal_write_full(b);
    }
    r->at.frame_at = 0;
    return 1;
}

/* 1: done, 0: stopped in the middle, or -errno. */
static int group_take(struct shard *s)
{
    struct rebuild *r = &s->rebuild;
    const struct wal_group_view *g = &r->group;
    uint64_t body_len = g->commit.lsn - g->body_lsn, span_lsn;

    if (!r->at.item_at)
        r->at.item_at = g->items;
    while (r->at.item_at < g->items_end) {
        const uint8_t *next = r->at.item_at;
        const struct wal_ring *ring;
        struct wal_item it;
        int err = wal_item_next(&next, g->items_end, &it);

        if (err)
            return err;
        if (!r->at.item_met) {
            err = gather_tables_take(&r->tables, &it, g->end_lsn);
            if (err == -ENOMEM)
                return err;
            r->at.span_known = err == 0;
            r->at.item_met = true;
        }
        ring = it.type == WAL_SPAN && r->at.span_known
                   ? wal_state_ring(&r->tables, it.u.span.ring) : NULL;
        span_lsn = g->body_lsn + it.u.span.offset;
        if (ring && !wal_state_span_lost(&s->state, span_lsn)
            && (r->at.frame_at > 0 || gather_span_sound(s, ring, &it, g->body, body_len))) {
            err = span_take(s, ring, g->body + it.u.span.offset, it.u.span.to - it.u.span.from,
                            span_lsn);
            if (err <= 0)
                return err;
        }
        r->at.item_met = false;
        r->at.item_at = next;
    }
    r->at.item_at = NULL;
    return 1;
}

bool rebuild_turn(struct shard *s)
{
    struct rebuild *r = &s->rebuild;
    uint64_t from;
    int n;

    if (!r->batch && (!room_look_due(s, &s->rebuild_look_ns) || !rebuild_begin(s)))
        return false;
    if (r->parked) {
        rebuild_park(s, r->parked);
        return !r->batch;
    }
    from = r->reader.lsn;
    while (r->reader.lsn - from < REPLAY_BYTES_A_TURN && !s->error
           && room_to_encode(s) && r->batch->spool.retry_ns == 0) {
        if (!r->has_group) {
            n = wal_reader_next(&r->reader, wal_writer_readable_lsn(&s->writer), &r->group);
            if (n < 0) {
                rebuild_park(s, "the log cannot be read");
                return true;
            }
            if (n == 0 && wal_writer_readable_lsn(&s->writer) < s->writer.committed_lsn)
                break;      /* the rest is being written again */
            if (n == 0 || r->group.body_lsn > r->batch->batch.last_lsn) {
                rebuild_finish(s);
                return true;
            }
            r->has_group = true;
        }
        n = group_take(s);
        if (n < 0) {
            rebuild_park(s, "the log no longer says how it was made");
            return true;
        }
        if (n == 0)
            break;
        r->has_group = false;
    }
    return r->reader.lsn != from;
}
