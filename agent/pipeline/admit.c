/*
 * admit: which ring files become rings of this shard: found, checked, within the limits, and read
 * on from where they were left. Those that are not taken are kept in a list of outsiders: rings
 * that wait for a limit to allow them, and files that claim to be rings and cannot be read. That
 * list is what people are told of them, it lets who waits in again in order of arrival, and it
 * sees to it that files of dead producers go.
 *
 * Owns:   the outsiders, in the shard; the rings it makes are drain.c's.
 * Thread: shard.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/invariant.h"
#include "pipeline/parts.h"

#define RESCAN_NS   1000000000ULL   /* for rings that found no place even among the outsiders */
#define LOOK_NS     250000000ULL    /* one slice of the outsiders */

enum { DISCOVER_NAMES_A_TURN = 64, OUTSIDERS_A_SLICE = 64 };

/* --- outsiders ------------------------------------------------------------------------------ */

static struct outsider *outsider_find(struct shard *s, const char *name)
{
    for (uint32_t i = 0; i < s->outsiders_count; i++)
        if (strcmp(s->outsiders[i].name, name) == 0)
            return &s->outsiders[i];
    return NULL;
}

/* The others keep their order: who came first is let in first. */
static void outsider_drop(struct shard *s, struct outsider *o)
{
    size_t at = (size_t)(o - s->outsiders);

    memmove(o, o + 1, (--s->outsiders_count - at) * sizeof(*o));
}

/* Half of the places are for rings that wait: no flood of files can take those. */
static bool outsider_fits(const struct shard *s, bool waits)
{
    uint32_t of_kind = 0;

    for (uint32_t i = 0; i < s->outsiders_count; i++)
        of_kind += (s->outsiders[i].waits != SHM_WAIT_NONE) == waits;
    return of_kind < OUTSIDERS_MAX / 2;
}

/* NULL: the list is full. A new one is said once, up to a rate. */
static struct outsider *outsider_note(struct shard *s, const struct ring_file *file,
                                      enum shm_quarantine reason, enum shm_wait waits,
                                      const char *why)
{
    static _Thread_local struct log_limit limit =
        LOG_LIMIT_INIT("rings not taken", 5, 10 * 1000000000ULL);
    struct outsider *o = outsider_find(s, file->name);
    bool fresh = !o || o->dev != file->stat.dev || o->ino != file->stat.ino
                 || o->reason != reason;

    if (!o && outsider_fits(s, waits != SHM_WAIT_NONE))
        o = &s->outsiders[s->outsiders_count++];
    if (fresh && log_limit_allow(&limit, loop_now_ns(s->loop)))
        log_warn("ring %s: not taken: %s", file->name, why);
    if (!o)
        return NULL;
    if (fresh)
        *o = (struct outsider){.dev = file->stat.dev, .ino = file->stat.ino};
    memcpy(o->name, file->name, sizeof(o->name));
    o->uid = file->stat.uid;
    o->pid = file->super.pid;
    o->ring_bytes = file->super.data_bytes;
    o->reason = reason;
    o->waits = waits;
    return o;
}

/* --- attaching ------------------------------------------------------------------------------ */

/* A ring that stays until its producer is dead, unread. */
static void ring_keep_quarantined(struct shard *s, struct ring *r, enum shm_quarantine reason)
{
    r->id = s->next_ring++;
    drain_add(s, r);
    drain_quarantine(s, r, reason);
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
        if (s->rings[i]->state != RING_QUARANTINED
            && memcmp(s->rings[i]->file.super.uuid, file->super.uuid, 16) == 0)
            return SHM_QUARANTINE_DUPLICATE;
    /* A copy that was found first must not pass for the ring. */
    if (known && known->ino != file->stat.ino)
        return SHM_QUARANTINE_DUPLICATE;
    if (accepted % SHM_FRAME_ALIGN != 0)
        return SHM_QUARANTINE_POSITION;
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

/* What this log has not got of the ring is counted with its ATTACH: one place serves both. */
static int attach_log(struct shard *s, struct ring *r, const struct wal_ring *known)
{
    struct wal_item it = {.type = WAL_ATTACH}, lost = {.type = WAL_LOST};

    if (known && known->end_pos == r->read_pos)
        return 0;
    if (known) {
        int err;

        lost.u.lost.ring = r->id;
        lost.u.lost.reason = WAL_LOST_UNSYNCED;
        lost.u.lost.payload_bytes = r->read_pos - known->end_pos;
        err = wal_writer_item(&s->writer, &lost, NULL);
        if (err)
            return err;
    }
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
static uint64_t published(const struct ring_file *file, enum shm_pos which, uint64_t pos)
{
    uint64_t there =
        atomic_load_explicit(&file->consumer->mark[which].pos, memory_order_relaxed);

    return pos - there <= file->super.data_bytes * 1024 ? there : pos;
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

/* Attached by another of its names. */
static bool attached_already(const struct shard *s, const struct ring_file *file)
{
    for (uint32_t i = 0; i < s->rings_count; i++)
        if (s->rings[i]->file.stat.ino == file->stat.ino
            && s->rings[i]->file.stat.dev == file->stat.dev)
            return true;
    return false;
}

/* An open ring becomes one of the shard's. True: it is, and is owned by it. */
static bool ring_attach(struct shard *s, struct ring *r)
{
    struct wal_ring *known = wal_state_ring_by_uuid(&s->state, r->file.super.uuid);
    uint64_t pos = 0;
    bool lost;      /* what was accepted before pos and is not durable is not in this log */
    enum shm_quarantine reason = attach_position(s, &r->file, known, &pos);

    if (reason == SHM_QUARANTINE_NONE)
        reason = (enum shm_quarantine)atomic_load_explicit(&r->file.consumer->quarantine,
                                                           memory_order_relaxed);
    if (reason >= SHM_QUARANTINE_COUNT)
        reason = SHM_QUARANTINE_POSITION;
    r->check_alive = true;
    ring_file_wait(&r->file, SHM_WAIT_NONE);
    if (reason != SHM_QUARANTINE_NONE) {
        ring_keep_quarantined(s, r, reason);
        return true;
    }
    r->id = known ? known->id : s->next_ring;
    r->read_pos = r->accepted = pos;
    r->durable = published(&r->file, SHM_POS_DURABLE, pos);
    r->delivered = published(&r->file, SHM_POS_DELIVERED, pos);
    lost = known ? known->end_pos != pos : r->durable != pos;
    drops_attach(s, r, known);
    if (attach_log(s, r, known)) {
        s->rescan_later = true;     /* no place in the log now */
        return false;
    }
    r->logged = true;
    if (!known)
        s->next_ring++;
    drain_add(s, r);
    ring_file_adopt(&r->file, s->epoch, shards_ring_id(s->number, r->id));
    if (lost)
        ring_file_lost(&r->file, pos);
    ring_file_publish(&r->file, SHM_POS_ACCEPTED, pos);
    ring_file_want(&r->file, true);
    log_debug("ring %s: attached as %u at %" PRIu64, r->file.name, r->id, pos);
    return true;
}

/* It stays in shared memory, and its producer's ring fills. */
static void ring_refuse(struct shard *s, struct ring_file *file, enum shm_wait why)
{
    struct errmsg text;

    errmsg_set(&text, 0, "uid %u waits for a place (%s); what is in it stays", file->stat.uid,
               ring_wait_name(why));
    ring_file_wait(file, why);
    if (!outsider_note(s, file, SHM_QUARANTINE_NONE, why, text.text)) {
        s->waiting_hidden++;
        s->rescan_later = true;
    }
}

/* Nobody can read it. While its producer lives, and for a while after, people can see why. */
static void file_refuse(struct shard *s, struct ring_file *file, enum shm_quarantine reason,
                        const char *why)
{
    uint64_t now = loop_now_ns(s->loop);
    struct outsider *o;

    if (!ring_file_claims(file)) {
        static _Thread_local struct log_limit limit =
            LOG_LIMIT_INIT("files that are no rings", 5, 10 * 1000000000ULL);

        if (log_limit_allow(&limit, now))
            log_warn("ring %s: not taken: %s", file->name, why);
        o = outsider_find(s, file->name);
        if (o)
            outsider_drop(s, o);
        return;
    }
    o = outsider_note(s, file, reason, SHM_WAIT_NONE, why);
    if (!o)
        return;
    if (ring_file_alive(file) != 0)
        o->dead_ns = 0;
    else if (o->dead_ns == 0)
        o->dead_ns = now;
    else if (now - o->dead_ns >= QUARANTINE_KEPT_NS) {
        int err = ring_file_remove(discover_dir(s->discover), file);

        if (err == 0 || err == -ENOENT || err == -ESTALE) {
            outsider_drop(s, o);
        } else if (!o->kept) {
            o->kept = true;
            log_warn("ring %s: cannot be removed: %s", file->name, strerror(-err));
        }
    }
}

/*
 * This log has known and retired it, and a crash has kept its file: all that it held was taken, and
 * what its producer reports is counted. Attached once more it would be another ring to the log.
 */
static bool ring_left_over(const struct shard *s, const struct ring_file *file)
{
    uint64_t accepted = atomic_load_explicit(&file->consumer->mark[SHM_POS_ACCEPTED].pos,
                                             memory_order_acquire);
    enum shm_quarantine reason;
    uint64_t head;

    return drops_counted(s, file) && ring_file_alive(file) == 0
           && ring_file_head(file, accepted, &head, &reason) == 0 && head == accepted;
}

/*
 * Is it another shard's? A look that leaves no trace: to attach to all rings, and let go again,
 * would tell every shard of each that a writer has closed it. What cannot be read has no uuid, and
 * a shard of its own by that.
 */
static bool ring_elsewhere(const struct shard *s, const char *name)
{
    struct shm_superblock super = {0};
    int fd;

    if (s->all->count == 1)
        return false;
    fd = file_open(discover_dir(s->discover), name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
    if (fd >= 0 && file_read(fd, &super, sizeof(super), 0) != (ssize_t)sizeof(super))
        memset(&super, 0, sizeof(super));
    file_close(fd);
    return !shards_own(s, super.uuid);
}

static void ring_admit(struct shard *s, const char *name)
{
    bool elsewhere = ring_elsewhere(s, name), counted = false;
    struct ring *r = elsewhere ? NULL : calloc(1, sizeof(*r));
    enum shm_quarantine reason = SHM_QUARANTINE_NONE;
    struct outsider *o;
    struct errmsg err;
    enum shm_wait why;
    int e;

    if (elsewhere) {
        o = outsider_find(s, name);
        if (o)
            outsider_drop(s, o);
        return;
    }
    if (!r) {
        s->rescan_later = true;
        return;
    }
    r->file.fd = -1;
    e = ring_file_open(discover_dir(s->discover), name, -1, &r->file, &reason, &err);
    if (e == -EBADMSG) {
        file_refuse(s, &r->file, reason, err.text);
        goto drop;
    }
    o = outsider_find(s, name);
    if (e) {
        s->rescan_later |= attach_retry(e);
        if (o && !attach_retry(e))
            outsider_drop(s, o);
        goto drop;
    }
    /* By now the name may be another ring's. */
    if (!shards_own(s, r->file.super.uuid) || attached_already(s, &r->file)) {
        if (o)
            outsider_drop(s, o);
        goto drop;
    }
    if (ring_left_over(s, &r->file)) {
        e = publish_remove(s, &r->file);
        s->rescan_later |= e == -EAGAIN;
        if (!e || e == -EAGAIN)
            goto drop;
    }
    /* A CHECKPOINT has to fit into a segment. */
    if (wal_writer_checkpoint_full(&s->writer)
        && !wal_state_ring_by_uuid(&s->state, r->file.super.uuid))
        why = SHM_WAIT_RINGS;
    else
        why = quota_ring_take(&s->all->quota, r->file.stat.uid, r->file.super.data_bytes);
    counted = why == SHM_WAIT_NONE;
    if (why != SHM_WAIT_NONE) {
        ring_refuse(s, &r->file, why);
        goto drop;
    }
    if (ring_attach(s, r)) {
        if (o)
            outsider_drop(s, o);
        return;
    }
drop:
    if (counted)
        quota_ring_give(&s->all->quota, r->file.stat.uid, r->file.super.data_bytes);
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
    /* Outsiders have their own turn. */
    if (!closed && !outsider_find(s, name))
        ring_admit(s, name);
}

/* Looks at some outsiders anew: a place may be free, the file mended, gone or orphaned. */
static void outsiders_look(struct shard *s, uint64_t now)
{
    char name[SHM_RING_NAME_MAX + 1];

    if (now - s->outsiders_ns < LOOK_NS)
        return;
    s->outsiders_ns = now;
    for (uint32_t i = 0; i < OUTSIDERS_A_SLICE && s->outsiders_count > 0; i++) {
        uint32_t count = s->outsiders_count;
        struct outsider *o;
        struct file_stat st;
        int err;

        if (s->outsiders_next >= count) {
            s->outsiders_next = 0;
            if (i > 0)
                break;
        }
        o = &s->outsiders[s->outsiders_next];
        err = file_stat_at(discover_dir(s->discover), o->name, &st);
        if (err == -ENOENT) {
            outsider_drop(s, o);
        } else if (!err && (o->waits == SHM_WAIT_NONE || st.ino != o->ino
                            || quota_ring_look(&s->all->quota, o->uid, o->ring_bytes)
                                   == SHM_WAIT_NONE)) {
            memcpy(name, o->name, sizeof(name));
            ring_admit(s, name);
        }
        s->outsiders_next += s->outsiders_count == count;
    }
}

static bool outsiders_waiting(const struct shard *s)
{
    for (uint32_t i = 0; i < s->outsiders_count; i++)
        if (s->outsiders[i].waits != SHM_WAIT_NONE)
            return true;
    return s->waiting_hidden > 0;
}

void admit_turn(struct shard *s)
{
    uint64_t now = loop_now_ns(s->loop);
    struct errmsg text;
    int r;

    if (s->rescan_later && now - s->rescan_ns >= RESCAN_NS) {
        s->rescan_later = false;
        s->rescan_ns = now;
        s->waiting_hidden = 0;
        discover_rescan(s->discover);
        s->scanning = true;
    }
    outsiders_look(s, now);
    shard_pressure(s, BACKPRESSURE_RINGS_MAX, outsiders_waiting(s),
                   "rings_max or a quota of their user is met");
    if (!s->watch_ready && !s->scanning && now < discover_due_ns(s->discover))
        return;
    s->watch_ready = false;
    r = discover_step(s->discover, now, DISCOVER_NAMES_A_TURN, on_ring_name, s);
    s->scanning = r > 0;
    if (discover_complaint(s->discover, &text))
        log_warn("%s: %s", s->opt.shm_dir, text.text);
    if (r < 0) {
        static _Thread_local struct log_limit limit =
            LOG_LIMIT_INIT("scans", 5, 10 * 1000000000ULL);

        s->rescan_later = true;
        if (log_limit_allow(&limit, now))
            log_error("%s: looking for rings: %s", s->opt.shm_dir, strerror(-r));
    }
}

/* --- streams -------------------------------------------------------------------------------- */

/* Has it a section of its own? Then it is the configuration's, whoever uses it first. */
static bool stream_named(const struct shard *s, const char *name)
{
    struct stream_settings set;
    struct errmsg err;
    bool named;

    if (s->opt.settings(s->opt.settings_ctx, name, &set, &err))
        return false;
    named = set.named;
    stream_settings_fini(&set);
    return named;
}

enum shm_wait admit_stream(struct shard *s, const char *name, uint32_t *uid)
{
    enum shm_wait why = quota_stream_take(&s->all->quota, name, uid);

    if (why != SHM_WAIT_STREAMS_UID || !stream_named(s, name))
        return why;
    *uid = WAL_NO_UID;
    return quota_stream_take(&s->all->quota, name, uid);
}
