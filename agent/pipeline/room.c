/*
 * room: who gets memory, log and disk when they are short: which batches are sealed before their
 * time, and which give up their files, to be made again from the log (rebuild.c).
 *
 * Owns:   nothing.
 * Thread: shard.
 */
#include <errno.h>
#include <string.h>

#include "pipeline/parts.h"

#define LOOK_NS_A_BATCH   2000ULL   /* of the time, a few hundredths */
#define SHED_RETRY_NS     1000000000ULL
#define SHED_RETRY_NS_MAX 60000000000ULL

static struct seal_batch *seal_of(struct batch *b)
{
    return (struct seal_batch *)b;
}

bool room_to_encode(const struct shard *s)
{
    return s->spool_queue.waiting < SPOOL_WAITING_MAX && !s->work.wanted;
}

bool room_at_rest(const struct seal_batch *sb)
{
    return sb->spool.in_flight == 0 && sb->shard->work.batch != sb;
}

/* --- giving up files ------------------------------------------------------------------------ */

void room_shed(struct seal_batch *sb, uint64_t after_ns)
{
    struct shard *s = sb->shard;

    if (s->rebuild.batch == sb)
        rebuild_end(s);
    if (sb->state == SEAL_OPEN && !seal_end(s, &sb->batch))
        return;
    if (sb->state == SEAL_DELIVER) {    /* damaged: kept until it is replaced, to be looked at */
        char damaged[SPOOL_NAME_MAX];
        int err;

        seal_damaged_name(&sb->batch.id, damaged);
        err = file_rename(s->spool_dir, sb->spool.name, s->spool_dir, damaged);
        if (err && err != -ENOENT && err != -EEXIST) {   /* one that was set aside before stays */
            log_error("spool file %s: cannot be set aside: %s; it is tried again", sb->spool.name,
                      strerror(-err));
            deliver_parked(sb, "cannot be set aside");
            return;
        }
    }
    output_writer_close(sb);
    pack_forget(sb);
    chain_fini(&sb->batch.chain);
    chain_init(&sb->batch.chain, &s->pool);
    spool_drop(&sb->spool);
    sb->rebuild_ns = loop_now_ns(s->loop) + after_ns;
    sb->state = SEAL_REBUILD;
}

void room_shed_later(struct seal_batch *sb)
{
    uint64_t delay = SHED_RETRY_NS << (sb->rebuilds < 6 ? sb->rebuilds : 6);

    log_error("%s; it is made again from the log", sb->spool.trouble.text);
    room_shed(sb, delay < SHED_RETRY_NS_MAX ? delay : SHED_RETRY_NS_MAX);
    sb->rebuilds++;
}

/* There may be more of it later; anything else is for another file to try. */
static bool shortage(int err)
{
    return err == -ENOSPC || err == -EDQUOT || err == -EMFILE || err == -ENFILE || err == -ENOMEM;
}

/*
 * Where the disk is full, the oldest batch, which holds back most of the log, gets what room there
 * is: of the others those give up their files that cannot be written on, and then, one after the
 * other, the youngest. The log has their events. So some batch always comes to its end, and what it
 * held of the log becomes room.
 */
bool room_look_due(const struct shard *s, uint64_t *look_ns)
{
    uint64_t now = loop_now_ns(s->loop);

    if (s->unfinished.count > BATCHES_MANY && now < *look_ns)
        return false;
    *look_ns = now + s->unfinished.count * LOOK_NS_A_BATCH;
    return true;
}

void room_look(struct shard *s)
{
    struct seal_batch *first = NULL, *youngest = NULL;
    uint64_t now = loop_now_ns(s->loop);
    bool waits = false;

    if (!room_look_due(s, &s->room_ns))
        return;
    s->spool_bytes = s->spool_open_bytes = 0;
    for (struct batch *b = s->unfinished.first; b; b = b->all.next) {
        struct seal_batch *sb = seal_of(b);
        struct spool *spool = &sb->spool;

        s->spool_bytes += sb->state > SEAL_SPOOL ? sb->file_bytes : spool->file_bytes;
        s->spool_open_bytes += sb->state == SEAL_OPEN ? spool->file_bytes : 0;
        if (sb->state > SEAL_SPOOL)
            continue;
        if (spool->retry_ns == 0) {
            waits |= sb->state == SEAL_REBUILD && sb->rebuilds == 0 && !sb->sealed;
            if (sb->state == SEAL_REBUILD && !first)
                first = sb;
            if (spool->file_bytes > 0 && room_at_rest(sb))
                youngest = sb;
            continue;
        }
        if (!shortage(spool->error)) {
            if (room_at_rest(sb))
                room_shed_later(sb);
            continue;
        }
        shard_pressure(s, BACKPRESSURE_DISK_FULL, true, spool->trouble.text);
        if (first && room_at_rest(sb)) {
            room_shed(sb, 0);
            continue;
        }
        waits = true;
        if (first)
            continue;
        first = sb;
        if (now >= spool->retry_ns)
            spool_step(spool, now);
    }
    shard_pressure(s, BACKPRESSURE_SPOOL_FULL, s->spool_bytes > s->opt.wal_bytes_max,
                   "files of batches have reached the log's max_bytes");
    s->spool_full = waits || s->backpressure[BACKPRESSURE_SPOOL_FULL];
    if (waits && youngest && first != youngest && first->spool.attempts > 1
        && first->spool.retry_ns != 0) {
        first->spool.attempts = 1;
        room_shed(youngest, 0);
    }
}

/* --- sealing early, or in time -------------------------------------------------------------- */

/*
 * Memory is used up. Open batches may hold all of it, each too small to be due: unless some is
 * being compressed or written already, the oldest gives its blocks back.
 */
static void seal_for_memory(struct shard *s)
{
    struct batch *oldest = NULL;

    if (s->work.batch)
        return;
    for (struct batch *b = s->unfinished.first; b; b = b->all.next) {
        if (seal_of(b)->spool.writes)
            return;
        if (!oldest && seal_of(b)->state == SEAL_OPEN)
            oldest = b;
    }
    if (oldest)
        seal_begin(s, oldest);
}

/* Where half of the segments can be trimmed to: one that the next continues goes with that. */
static uint64_t log_middle(const struct wal_dir *dir)
{
    uint32_t at = dir->count / 2;

    while (at + 1 < dir->count && wal_segment_continues(&dir->segments[at].header))
        at++;
    return dir->segments[at].header.prev_end_lsn;
}

void room_seal_due(struct shard *s)
{
    uint64_t now = loop_now_ns(s->loop), next = UINT64_MAX, middle = 0;
    struct batch *b, *after;

    if (s->backpressure[BACKPRESSURE_MEMORY])
        seal_for_memory(s);
    /* Half a log pinned, or all that there is room for, or as much in open files: early. */
    if (s->spool_open_bytes > s->opt.wal_bytes_max / 2)
        middle = UINT64_MAX;
    else if ((s->backpressure[BACKPRESSURE_LOG_FULL]
              || wal_dir_bytes(&s->dir) > s->opt.wal_bytes_max / 2)
             && s->dir.count > 2)
        middle = log_middle(&s->dir);
    if (middle > s->sealed_below) {
        for (b = s->unfinished.first; b && b->first_lsn < middle; b = after) {
            after = b->all.next;
            if (seal_of(b)->state == SEAL_OPEN)
                seal_begin(s, b);
        }
        /* Once routing is beyond, nothing is opened there any more. */
        s->sealed_below = shard_routed_lsn(s) >= middle ? middle : 0;
    }
    if (now < s->batches_due_ns)
        return;
    for (b = s->unfinished.first; b; b = after) {
        after = b->all.next;
        if (seal_of(b)->state != SEAL_OPEN)
            continue;
        if (b->due_ns <= now)
            output_seal_due(s, b);
        else if (b->due_ns < next)
            next = b->due_ns;
    }
    s->batches_due_ns = next;
}
