/*
 * recovery: from what is on disk to a running shard: what the log says, what is left of batches
 * that were never sealed, delivery of those that were, a new epoch. Routing of the unsealed events
 * goes on in gather.c while rings are drained again. First every log is read, and then every shard
 * begins: which ring is whose, and what is nobody's, follows from all of them (shards.c).
 *
 * Owns:   nothing; fills the shard.
 * Thread: the one that opens the agent.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/invariant.h"
#include "pipeline/parts.h"

enum { SEGMENT_BYTES_MIN = 2 * 1024 * 1024 };

/*
 * Does a group from `from` on know that the log was synced beyond `lsn`? 1, 0 or -errno, and where
 * the last group looked at ends.
 */
static int synced_later(struct shard *s, uint64_t from, uint64_t lsn, uint64_t *ret_end_lsn)
{
    struct wal_group_view g;
    struct wal_reader r;
    int n;

    wal_reader_init(&r, &s->dir);
    r.lsn = *ret_end_lsn = from;
    while ((n = wal_reader_next(&r, UINT64_MAX, &g)) > 0) {
        *ret_end_lsn = g.end_lsn;
        if (g.commit.synced_lsn > lsn)
            break;
    }
    wal_reader_fini(&r);
    return n;
}

/*
 * A hole before this group. Where it had been synced, a disk has lost what was there, and what
 * follows still counts: routing counts the bytes (gather.c). Where it had not, a power cut has kept
 * some blocks and not others: then the log ends here. What follows may build on what is missing,
 * such as a SEAL on the one before it, and nobody was told that it is durable. 1: go on, 0: the
 * end, -errno.
 */
static int hole_meet(struct shard *s, const struct wal_group_view *g, uint64_t synced_lsn)
{
    uint64_t to = g->body_lsn;
    int synced = g->hole_from < synced_lsn || g->commit.synced_lsn > g->hole_from;

    if (!synced)
        synced = synced_later(s, g->end_lsn, g->hole_from, &to);
    if (synced < 0)
        return synced;
    if (synced)
        to = g->body_lsn;
    else
        s->state.lost_bytes[WAL_LOST_UNSYNCED] += to - g->hole_from;
    log_error("log at %" PRIu64 ": %" PRIu64 " bytes are lost (%s)", g->hole_from,
              to - g->hole_from, synced ? "corrupt" : "not synced before a crash");
    return synced;
}

/*
 * R2, R3: what the log says. Returns the end of the last group that counts, and whether there is a
 * hole behind the last CHECKPOINT: then nothing restates what was in it.
 */
static int log_read(struct shard *s, uint64_t *ret_end_lsn, bool *ret_unsure, struct errmsg *err)
{
    uint64_t end = 0, synced = 0, refused = 0;
    struct wal_group_view g;
    struct wal_reader r;
    int n;

    wal_reader_init(&r, &s->dir);
    end = r.lsn;
    /* The last segment has its name only because all before it was synced. */
    if (s->dir.count > 0)
        synced = s->dir.segments[s->dir.count - 1].header.prev_end_lsn;
    while ((n = wal_reader_next(&r, UINT64_MAX, &g)) > 0) {
        const uint8_t *at = g.items;
        struct wal_item it;

        if (g.hole_from < g.body_lsn) {
            n = hole_meet(s, &g, synced);
            if (n <= 0)
                break;
            *ret_unsure = true;
        }
        if (synced < g.commit.synced_lsn)
            synced = g.commit.synced_lsn;
        while (at < g.items_end) {
            int e = wal_item_next(&at, g.items_end, &it);

            if (e) {                /* where the next one begins is not known either */
                refused++;
                break;
            }
            /* Before the first complete checkpoint nothing else can be understood. */
            if (!s->state.checkpointed && it.type == WAL_SPAN)
                e = -EBADMSG;
            else
                e = wal_state_apply(&s->state, &it, g.end_lsn);
            if (e == -ENOMEM) {
                wal_reader_fini(&r);
                return errmsg_set(err, e, "no memory for the log's tables");
            }
            refused += e != 0;
            if (it.type == WAL_CHECKPOINT_END)
                *ret_unsure = false;
        }
        end = g.end_lsn;
    }
    wal_reader_fini(&r);
    if (n < 0)
        return errmsg_set(err, n, "%s: cannot read the log: %s", s->opt.wal_dir, strerror(-n));
    if (refused > 0)
        log_error("log: %" PRIu64 " items contradict what is known and were passed over", refused);
    for (uint32_t i = 0; i < s->dir.bad_count; i++)
        log_error("%s: segment %" PRIu64 ": bytes %" PRIu64 " to %" PRIu64 " cannot be read; what "
                  "they held counts as lost",
                  s->opt.wal_dir, s->dir.bad[i].segment, s->dir.bad[i].from, s->dir.bad[i].to);
    s->replay_synced_lsn = synced;
    *ret_end_lsn = end;
    return 0;
}

/* The seal of the batch whose id this begins with, or NULL. */
static const struct wal_seal *seal_of_id(const struct shard *s, const char *text)
{
    uint64_t epoch, number;

    if (sscanf(text, "%16" SCNx64 "-%*3[0-9]-%20" SCNu64, &epoch, &number) != 2)
        return NULL;
    return wal_state_seal(&s->state, epoch, number);
}

/*
 * R5: what no seal claims is thrown away; its events are still in the log. A file that stays is in
 * nobody's way: this life has an epoch, and so names, of its own.
 */
static int on_spool_name(void *ctx, const char *name)
{
    struct shard *s = ctx;
    const struct wal_seal *seal;
    char claimed[SPOOL_NAME_MAX];
    const char *dot = strrchr(name, '.');
    size_t len = strlen(name);
    int r;

    if (!dot || (strcmp(dot, ".spool") != 0 && strcmp(dot, ".damaged") != 0))
        return 0;
    if (len >= sizeof(claimed) || place_clear(s->spool_dir, "spool", name, S_IFREG))
        return 0;
    if (!shards_cleans(s, name))
        return 0;
    seal = seal_of_id(s, name);
    if (seal) {
        struct batch_id id = {seal->epoch, (uint16_t)s->dir.shard, seal->number};

        seal_spool_name(&id, claimed);
        if (strcmp(claimed, name) == 0)
            return 0;
        seal_damaged_name(&id, claimed);
        if (strcmp(claimed, name) == 0)
            return 0;
    }
    r = file_unlink(s->spool_dir, name);
    if (r && r != -ENOENT)
        log_warn("%s/spool/%s: cannot be removed: %s", s->opt.data_dir, name, strerror(-r));
    return 0;
}

static bool staging_claimed(void *ctx, const char *name)
{
    const struct shard *s = ctx;
    const struct wal_seal *seal;
    char claimed[SPOOL_NAME_MAX];
    struct batch_id id;

    seal_staging_prefix(s, claimed);
    name += strlen(claimed);
    if (!shards_cleans(s, name))
        return true;
    seal = seal_of_id(s, name);
    if (!seal)
        return false;
    id = (struct batch_id){seal->epoch, (uint16_t)s->dir.shard, seal->number};
    batch_id_format(&id, claimed);
    return strcmp(claimed, name) == 0;
}

/* Once each, however many batches wait for it. */
static void on_directory(void *ctx, const char *directory)
{
    struct shard *s = ctx;
    struct file_sink *sink = target_sink(s, directory);
    char prefix[SPOOL_NAME_MAX];
    struct errmsg err;
    int n;

    if (!sink || sink->cleaned)
        return;
    sink->cleaned = true;
    if (file_sink_open(sink, &err)) {
        log_warn("sink directory %s; will be retried", err.text);
        return;
    }
    seal_staging_prefix(s, prefix);
    n = file_sink_clean(sink, prefix, staging_claimed, s);
    if (n < 0)
        log_warn("%s/" FILE_SINK_STAGING ": cannot clean: %s", directory, strerror(-n));
}

/* The directory of a sink that is not configured any more is not made again. */
static void on_target(struct shard *s, const struct wal_seal_target *t)
{
    struct file_sink *sink;

    if (t->type != TARGET_FILE)
        return;
    sink = target_sink(s, t->directory);
    if (s->opt.sink(s->opt.settings_ctx, t->sink) || (sink && file_sink_there(sink)))
        on_directory(s, t->directory);
}

/* Streams and live seals of the log become streams and batches of this shard. */
static int tables_build(struct shard *s, struct errmsg *err)
{
    int r = 0;

    for (uint32_t i = 0; !r && i < s->state.streams_count; i++) {
        const struct wal_stream *known = s->state.streams[i];
        struct stream *st;

        r = gather_stream_add(s, known->id, known->uid, known->name, &st);
        if (!r) {
            st->version_appended = known->versions[known->versions_count - 1].version;
            r = bytes_append(&st->settings_appended, known->settings.data, known->settings.len);
        }
    }
    if (r)
        return errmsg_set(err, r, "streams of the log: %s", strerror(-r));
    for (const struct wal_seal *seal = s->state.seals; !r && seal; seal = seal->next)
        r = seal_resume(s, seal, err);
    return r;
}

/*
 * The logs take at most half of their file system together, a segment a sixteenth, and no more of
 * its own log than leaves room for four.
 */
static int limits_fit(struct shard *s)
{
    struct file_fs fs;
    uint64_t part, half;
    int r = file_fs(s->dir.fd, &fs);

    if (r)
        return r;
    half = fs.total_bytes / 2 / s->all->count;
    if (s->opt.wal_bytes_max > half)
        s->opt.wal_bytes_max = half;
    part = bytes_round_down(fs.total_bytes / 16, WAL_BLOCK);
    if (s->all->count > 1 && part > s->opt.wal_bytes_max / 4)
        part = bytes_round_down(s->opt.wal_bytes_max / 4, WAL_BLOCK);
    if (s->opt.segment_size > part)
        s->opt.segment_size = part > SEGMENT_BYTES_MIN ? part : SEGMENT_BYTES_MIN;
    /* Spares are worth their place only where there is much of it. */
    part = s->opt.wal_bytes_max / 8 / s->opt.segment_size;
    s->dir.spares_max = part < WAL_SPARES_MAX ? (uint32_t)part : WAL_SPARES_MAX;
    return 0;
}

static void on_committed(void *ctx, const struct wal_group *group)
{
    publish_committed(ctx, group);
}

/* Where the agent died, if it did. */
static void crash_load(struct shard *s)
{
    char name[32] = "crash";
    int r;

    if (s->number > 0)
        snprintf(name, sizeof(name), "crash-%03" PRIu32, s->number);
    r = place_clear(s->all->state_dir, "state", name, S_IFREG);
    if (!r)
        r = crash_note_open(&s->crash, s->all->state_dir, name, s->all->uuid);
    if (r)
        log_error("%s/state/%s: %s; a span that kills the agent will not be found out",
                  s->opt.data_dir, name, strerror(-r));
    if (s->crash.deaths > 0)
        log_warn("the agent has died %" PRIu32 " times routing log at %" PRIu64, s->crash.deaths,
                 s->crash.lsn);
}

int recovery_read(struct shard *s, struct errmsg *err)
{
    int r = wal_dir_open(s->opt.wal_dir, s->number, s->all->uuid, true, &s->dir, err);

    if (r)
        return r;
    if (s->dir.set_aside > 0)
        log_error("%s: %u unreadable or foreign segments were set aside (*.aside)",
                  s->opt.wal_dir, s->dir.set_aside);
    if (s->dir.passed_over > 0)
        log_error("%s: %u files could neither be read nor renamed or removed, and were left alone",
                  s->opt.wal_dir, s->dir.passed_over);
    r = log_read(s, &s->recovered_lsn, &s->recovered_unsure, err);
    if (r)
        return r;
    s->next_ring = s->rings_at_start = s->state.next_ring;
    s->next_stream = s->state.next_stream;
    s->last_name_time_ns = s->state.last_name_time_ns;
    return 0;
}

bool recovery_over(const struct shard *s)
{
    bool over = s->dir.count <= 1 && s->state.rings_count == 0 && s->state.seals_count == 0;

    for (uint32_t i = 0; over && i < s->state.streams_count; i++)
        over = wal_stream_books(s->state.streams[i]).pending == 0;
    return over;
}

int recovery_finish(struct shard *s, struct errmsg *err)
{
    return wal_writer_finish(&s->dir, s->replay_synced_lsn, &s->recovered_lsn, err);
}

int recovery_begin(struct shard *s, struct errmsg *err)
{
    struct wal_writer_options wopt = {0};
    int r = limits_fit(s);

    if (r)
        return errmsg_set(err, r, "%s: %s", s->opt.wal_dir, strerror(-r));
    crash_load(s);
    r = tables_build(s, err);
    if (r)
        return r;
    /* I5: an ACK that a power cut can still take does not let a spool file go. */
    r = recovery_finish(s, err);
    if (r)
        return r;
    r = file_list(s->spool_dir, on_spool_name, s);
    if (r)
        return errmsg_set(err, r, "%s/spool: cannot clean: %s", s->opt.data_dir, strerror(-r));
    s->opt.directories(s->opt.settings_ctx, on_directory, s);
    for (const struct wal_seal *seal = s->state.seals; seal; seal = seal->next)
        for (uint16_t i = 0; i < seal->targets; i++)
            on_target(s, &seal->target[i]);

    wopt.segment_size = s->opt.segment_size;
    wopt.sync = s->opt.sync;
    wopt.sync_interval_ns = s->opt.sync_interval_ns;
    wopt.kept_bytes_max = s->opt.memory_limit / 4;
    memcpy(wopt.uuid, s->all->uuid, sizeof(wopt.uuid));
    memcpy(wopt.boot_id, s->all->boot_id, sizeof(wopt.boot_id));
    wopt.epoch = s->epoch;
    r = wal_writer_open(&s->writer, s->loop, &s->dir, &s->state, &wopt, s->recovered_lsn,
                        on_committed, s, err);
    if (r)
        return r;
    r = wal_state_init(&s->replay_state);
    wal_reader_init(&s->reader, &s->dir);
    /*
     * Trimmed segments go, from the oldest on: where the first begins beyond the last TRIM, others
     * are missing. Unless that TRIM itself may be in a hole.
     */
    if (!s->recovered_unsure && s->dir.segments[0].header.prev_end_lsn > s->state.trim_lsn)
        s->reader.hole_from = s->state.trim_lsn;
    s->catching_up = true;
    log_info("log %s, shard %" PRIu32 ": epoch %016" PRIx64 ", %u segments, %u streams, %u rings, "
             "%u sealed batches to deliver",
             s->opt.wal_dir, s->number, s->epoch, s->dir.count, s->state.streams_count,
             s->state.rings_count, s->state.seals_count);
    return r;
}
