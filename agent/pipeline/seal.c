/*
 * seal: a batch from its first event to its last acknowledgement.
 *
 *   OPEN     events are added, full blocks go to the spool file
 *   (REBUILD) the file had to be given up, or was found damaged: it is made again from the log
 *   PACK     the rest is compressed, beside the loop where that is slow
 *   SPOOL    the rest is written, the file cut to length and synced
 *   STAGE    every file sink gets a synced staging name; remote ones are sent the spool file
 *   LOG      in the order of sealing of its output, the SEAL item is appended
 *   SYNC     it is synced; only now may the first byte be delivered
 *   DELIVER  each target: (verify,) (copy, STAGED,) rename or upload, ACK; or ACK(abandoned)
 *   ACKED    the last ACK is synced, the spool file goes
 *
 * Owns:   batches, spool files, destinations.
 * Thread: shard.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/invariant.h"
#include "pipeline/parts.h"

enum { SEAL_ITEM_BYTES = 512 };     /* of one in the log, about */

static struct seal_batch *seal_of(struct batch *b)
{
    return (struct seal_batch *)b;
}

_Static_assert(offsetof(struct seal_batch, batch) == 0, "a batch begins its seal_batch");

void seal_spool_name(const struct batch_id *id, char ret_name[SPOOL_NAME_MAX])
{
    char text[BATCH_ID_MAX];

    batch_id_format(id, text);
    snprintf(ret_name, SPOOL_NAME_MAX, "%s.spool", text);
}

void seal_damaged_name(const struct batch_id *id, char ret_name[SPOOL_NAME_MAX])
{
    char text[BATCH_ID_MAX];

    batch_id_format(id, text);
    snprintf(ret_name, SPOOL_NAME_MAX, "%s.damaged", text);
}

void seal_staging_prefix(const struct shard *s, char *ret_prefix)
{
    bytes_hex(ret_prefix, s->all->uuid, 4);
    memcpy(ret_prefix + 8, "-", 2);
}

void seal_staging_name(const struct shard *s, const struct batch_id *id, char *ret_name)
{
    seal_staging_prefix(s, ret_name);
    batch_id_format(id, ret_name + strlen(ret_name));
}

/* --- open ----------------------------------------------------------------------------------- */

/* A CHECKPOINT repeats what is sealed: it is to take no more than an eighth of a segment. */
static uint32_t seals_max(const struct shard *s)
{
    uint64_t max = s->opt.segment_size / 8 / SEAL_ITEM_BYTES;

    if (max > SEALS_MAX)
        return SEALS_MAX;
    return max < SEALS_MIN ? SEALS_MIN : (uint32_t)max;
}

struct seal_batch *seal_open(struct shard *s, struct output *o, const char *partition,
                             uint32_t len, uint32_t hash, uint64_t lsn, uint64_t arrival_ns)
{
    uint64_t now = loop_now_ns(s->loop), real = loop_real_ns(s->loop);
    uint64_t age = real > arrival_ns ? real - arrival_ns : 0;
    char name[SPOOL_NAME_MAX];
    struct seal_batch *sb;

    if (s->seals_count >= seals_max(s)) {
        shard_pressure(s, BACKPRESSURE_SEALS_MAX, true, "sinks have not taken what is sealed");
        return NULL;
    }
    sb = calloc(1, sizeof(*sb));
    if (sb)
        sb->batch.partition = malloc(len + 1);
    if (!sb || !sb->batch.partition) {
        free(sb);
        shard_pressure(s, BACKPRESSURE_MEMORY, true, "out of memory");
        return NULL;
    }
    memcpy(sb->batch.partition, partition, len);
    sb->batch.partition[len] = '\0';
    sb->batch.partition_len = len;
    sb->batch.partition_hash = hash;
    if (open_batches_add(&o->open, &sb->batch)) {
        free(sb->batch.partition);
        free(sb);
        shard_pressure(s, BACKPRESSURE_MEMORY, true, "out of memory");
        return NULL;
    }
    chain_init(&sb->batch.chain, &s->pool);
    chain_init(&sb->packed, &s->pack_pool);
    sb->shard = s;
    sb->batch.stream = o->stream;
    sb->batch.output = o;
    sb->batch.id = (struct batch_id){s->epoch, (uint16_t)s->dir.shard, ++s->batch_number};
    sb->batch.first_lsn = lsn;
    sb->batch.arrival_real_ns = arrival_ns;
    sb->batch.due_ns = UINT64_MAX;
    if (o->set->buffer_time_ns >= 0) {
        uint64_t time_ns = (uint64_t)o->set->buffer_time_ns;

        sb->batch.due_ns = now + (age < time_ns ? time_ns - age : 0);
        if (sb->batch.due_ns < s->batches_due_ns)
            s->batches_due_ns = sb->batch.due_ns;
    }
    seal_spool_name(&sb->batch.id, name);
    sb->version = o->version;
    sb->output = o->index;
    sb->file_mode = o->set->file_mode;
    if (sb->batch.partition[0] != OUTPUT_ERROR_MARK)
        pack_choose(sb, o->set);
    spool_init(&sb->spool, s->loop, sb->pack_type == COMPRESS_NONE ? &s->pool : &s->pack_pool,
               &s->spool_queue, s->spool_dir, name, sb->file_mode);
    output_retain(o);
    o->stream->batches_open++;
    ack_add(&s->unfinished, &sb->batch);
    return sb;
}

static void seal_free(struct seal_batch *sb);

void seal_discard(struct shard *s, struct batch *b)
{
    INVARIANT(seal_of(b)->state == SEAL_OPEN && b->events == 0);
    open_batches_remove(&b->output->open, b);
    b->stream->batches_open--;
    ack_remove(&s->unfinished, b);
    output_release(b->output);
    seal_free(seal_of(b));
}

void seal_write_full(struct batch *b)
{
    struct seal_batch *sb = seal_of(b);
    int err = pack_blocks(sb, sb->state == SEAL_PACK);

    if (err && err != -EAGAIN)      /* that leaves them where they are, for another time */
        shard_fail(sb->shard, err, "a batch cannot be written: %s", strerror(-err));
}

/* --- sealing -------------------------------------------------------------------------------- */

static void on_spooled(struct spool *spool, int result)
{
    char *at = (char *)spool - offsetof(struct seal_batch, spool);
    struct seal_batch *sb = (struct seal_batch *)at;

    if (result) {
        /* A failed sync says nothing of the bytes, nor does one more; the log has the events. */
        room_shed_later(sb);
        return;
    }
    sb->file_bytes = spool->file_bytes;
    sb->crc32c = spool->crc32c;
    file_close(spool->fd);
    spool->fd = -1;
    sb->state = sb->sealed ? SEAL_LOG : SEAL_STAGE;
}

bool seal_end(struct shard *s, struct batch *b)
{
    struct seal_batch *sb = seal_of(b);
    uint64_t now = loop_real_ns(s->loop);
    int err = 0;

    INVARIANT(sb->state == SEAL_OPEN && b->events > 0);
    open_batches_remove(&b->output->open, b);
    b->stream->batches_open--;
    b->stream->batches_sealing++;
    if (now < s->last_name_time_ns)
        now = s->last_name_time_ns;
    s->last_name_time_ns = sb->name_time_ns = now;
    seal_staging_name(s, &b->id, sb->staging);
    sb->targets = sb->error >= 0 ? b->output->set->error_targets : b->output->set->targets;
    sb->target = calloc(sb->targets, sizeof(*sb->target));
    err = sb->target ? targets_render(sb) : -ENOMEM;
    if (err) {
        shard_fail(s, err, "stream '%s': cannot name its batch: %s", b->stream->name,
                   strerror(-err));
        return false;
    }
    sb->next = NULL;
    *s->seals_last = sb;
    s->seals_last = &sb->next;
    s->seals_count++;
    return true;
}

/* False: it goes on in another turn. */
static bool pack_step(struct seal_batch *sb)
{
    int err = pack_blocks(sb, true);

    if (err == -EAGAIN)
        return false;
    if (err) {
        shard_fail(sb->shard, err, "a batch cannot be written: %s", strerror(-err));
        return true;
    }
    sb->state = SEAL_SPOOL;
    spool_finish(&sb->spool, on_spooled);
    return true;
}

/*
 * What its writer still holds is written. False: it waits for blocks. All may be taken by batches
 * that each want one more: some are left to one of them at a time, which comes to its end.
 */
static bool encode_step(struct seal_batch *sb)
{
    enum writer_result result = WRITER_TAKEN;
    struct shard *s = sb->shard;

    if (!s->encode_ends)
        s->encode_ends = sb;
    if (sb->writer) {
        s->pool.max += s->encode_ends == sb ? ENCODE_BLOCKS : 0;
        result = writer_finish(sb->writer, &sb->batch.chain);
        s->pool.max -= s->encode_ends == sb ? ENCODE_BLOCKS : 0;
    }
    if (result == WRITER_TAKEN) {
        output_writer_close(sb);
        sb->state = SEAL_PACK;
        return pack_step(sb);
    }
    if (sb->batch.chain.first != sb->batch.chain.last)
        seal_write_full(&sb->batch);
    if (result != WRITER_AGAIN)
        shard_pressure(s, BACKPRESSURE_MEMORY, true, "memory_limit is reached");
    return result == WRITER_AGAIN;
}

void seal_encode(struct seal_batch *sb)
{
    sb->state = SEAL_ENCODE;
    (void)encode_step(sb);
}

void seal_begin(struct shard *s, struct batch *b)
{
    struct seal_batch *sb = seal_of(b);

    if (seal_end(s, b))
        seal_encode(sb);
}

void seal_stream(struct shard *s, struct stream *st, uint64_t below_lsn)
{
    for (uint16_t i = 0; st->now && i < st->now->set.outputs; i++) {
        struct batch *b = st->now->output[i].open.oldest, *next;

        for (; b; b = next) {
            next = b->used.next;
            if (b->first_lsn < below_lsn)
                seal_begin(s, b);
        }
    }
}

/* --- from spool to seal --------------------------------------------------------------------- */

static void on_staged(struct sink_job *job)
{
    struct seal_target *t = job->ctx;

    t->state = TARGET_WAIT;
    if (job->result != SINK_DONE)
        log_debug("%s; it will be copied", job->err.text);
}

/* True: every target has its staging name, or is known to have none. */
static bool stage_step(struct seal_batch *sb)
{
    bool all = true;

    for (uint16_t i = 0; i < sb->targets; i++) {
        struct seal_target *t = &sb->target[i];

        if (t->job.done == NULL) {
            bool staged = t->sink && !t->removed;

            t->job.done = on_staged;
            t->job.file_bytes = sb->file_bytes;
            t->job.crc32c = sb->crc32c;
            t->state = staged ? TARGET_STAGE : TARGET_WAIT;
            if (staged)
                file_sink_stage(t->sink, &t->job);
        }
        all = all && t->state == TARGET_WAIT;
    }
    return all;
}

/* Appends the RESEAL item. False: no place in the log now. */
static bool reseal_log(struct seal_batch *sb)
{
    struct shard *s = sb->shard;
    struct wal_item it = {.type = WAL_RESEAL};

    it.u.reseal.epoch = sb->batch.id.epoch;
    it.u.reseal.number = sb->batch.id.number;
    it.u.reseal.file_bytes = sb->file_bytes;
    it.u.reseal.crc32c = sb->crc32c;
    it.u.reseal.unstaged = deliver_damaged(sb);
    if (wal_writer_item(&s->writer, &it, NULL))
        return false;
    sb->barrier = wal_writer_barrier(&s->writer);
    wal_writer_want_sync(&s->writer, sb->barrier);
    return true;
}

/* Appends the SEAL item. False: no place in the log now. */
static bool seal_log(struct seal_batch *sb)
{
    struct shard *s = sb->shard;
    struct wal_item it = {.type = WAL_SEAL};
    const struct batch *b = &sb->batch;
    int err;

    it.u.seal.epoch = b->id.epoch;
    it.u.seal.number = b->id.number;
    it.u.seal.stream = b->stream->id;
    it.u.seal.version = b->output->version;
    it.u.seal.output = b->output->index;
    it.u.seal.targets = sb->targets;
    it.u.seal.file_mode = sb->file_mode;
    it.u.seal.crc32c = sb->crc32c;
    it.u.seal.first_lsn = b->first_lsn;
    it.u.seal.last_lsn = b->last_lsn;
    it.u.seal.events = b->events;
    it.u.seal.payload_bytes = b->payload_bytes;
    it.u.seal.file_bytes = sb->file_bytes;
    it.u.seal.name_time_ns = sb->name_time_ns;
    it.u.seal.arrival_ns = b->arrival_real_ns;
    it.u.seal.partition = (struct wal_str){b->partition, b->partition_len};
    for (uint16_t i = 0; i < sb->targets; i++) {
        const struct seal_target *t = &sb->target[i];
        const char *place = deliver_place(t);

        it.u.seal.target[i] = (struct wal_target){
            .sink = {t->name, (uint32_t)strlen(t->name)},
            .directory = {place, (uint32_t)strlen(place)},
            .key = {t->key, (uint32_t)strlen(t->key)},
            .type = (uint8_t)t->type,
            .staging_id = t->job.staging_id,
        };
    }
    err = wal_writer_item(&s->writer, &it, NULL);
    if (err)
        return false;
    sb->barrier = wal_writer_barrier(&s->writer);
    wal_writer_want_sync(&s->writer, sb->barrier);
    return true;
}

/* --- from seal to the end ------------------------------------------------------------------- */

static void seal_free(struct seal_batch *sb)
{
    targets_fini(sb);
    output_writer_close(sb);
    pack_forget(sb);
    chain_fini(&sb->packed);
    chain_fini(&sb->batch.chain);
    spool_fini(&sb->spool);
    free(sb->batch.partition);
    free(sb);
}

/* An output's batches are sealed in order: the ones behind wait for this one's SEAL. */
static bool seal_in_turn(const struct shard *s, struct seal_batch *sb)
{
    struct output *o = sb->batch.output;

    if (sb->sealed)
        return true;
    if (o->seal_wait_turn == s->turns)
        return false;
    o->seal_wait_turn = s->turns;
    return true;
}

static bool seal_step(struct shard *s, struct seal_batch *sb)
{
    bool in_turn = sb->state >= SEAL_SYNC || seal_in_turn(s, sb);

    switch (sb->state) {
    case SEAL_ENCODE:
        return encode_step(sb);
    case SEAL_PACK:
        return pack_step(sb);
    case SEAL_STAGE:
        if (!stage_step(sb))
            return false;
        sb->state = SEAL_LOG;
        return true;
    case SEAL_LOG:
        if (!in_turn || !(sb->sealed ? reseal_log(sb) : seal_log(sb)))
            return false;
        if (!sb->sealed)
            sb->batch.output->seal_wait_turn = 0;
        sb->state = SEAL_SYNC;
        return true;
    case SEAL_SYNC:
        if (!wal_writer_barrier_synced(&s->writer, sb->barrier))
            return false;
        if (sb->sealed) {
            char damaged[SPOOL_NAME_MAX];

            deliver_resealed(sb);
            seal_damaged_name(&sb->batch.id, damaged);
            (void)file_unlink(s->spool_dir, damaged);   /* else the next start does */
        } else {
            sb->sealed_ns = loop_now_ns(s->loop);
            histogram_add(&s->meters[METER_BATCH], HISTOGRAM_BYTES, sb->batch.payload_bytes);
        }
        for (uint16_t i = 0; i < sb->targets; i++)
            sb->target[i].verified = true;
        sb->sealed = true;
        sb->barrier = 0;
        sb->state = SEAL_DELIVER;
        return true;
    case SEAL_DELIVER:
        return deliver_step(sb);
    default:
        return false;
    }
}

/* Thousands may wait for a service that is away: they are taken out of the turn's way. */
static void seal_rest(struct shard *s, struct seal_batch *sb)
{
    sb->resting = true;
    sb->rest_prev = NULL;
    sb->next = s->resting;
    if (s->resting)
        s->resting->rest_prev = sb;
    s->resting = sb;
}

void seal_wake(struct seal_batch *sb)
{
    struct shard *s = sb->shard;

    if (!sb->resting)
        return;
    sb->resting = false;
    *(sb->rest_prev ? &sb->rest_prev->next : &s->resting) = sb->next;
    if (sb->next)
        sb->next->rest_prev = sb->rest_prev;
    sb->next = NULL;
    *s->seals_last = sb;
    s->seals_last = &sb->next;
}

bool seal_turn(struct shard *s)
{
    struct seal_batch **at = &s->seals, *sb;
    bool moved = false, rests;
    int blocked = wal_writer_blocked(&s->writer);

    shard_pressure(s, BACKPRESSURE_DISK_FULL, blocked == -ENOSPC || blocked == -EDQUOT,
                   "no room for the next log segment");
    shard_pressure(s, BACKPRESSURE_LOG_ERROR, blocked && !s->backpressure[BACKPRESSURE_DISK_FULL],
                   "the next log segment cannot be made");
    room_look(s);
    moved |= deliver_remote_turn(s);
    while ((sb = *at)) {
        moved |= seal_step(s, sb);
        rests = sb->state == SEAL_DELIVER && deliver_rests(sb);
        if (!rests && (sb->state != SEAL_ACKED
                       || !wal_writer_barrier_synced(&s->writer, sb->barrier))) {
            at = &sb->next;
            continue;
        }
        *at = sb->next;
        if (!*at)
            s->seals_last = at;
        if (rests) {
            seal_rest(s, sb);
            continue;
        }
        /* D8: the ACK is synced, only now the spool file goes. */
        for (uint16_t i = 0; i < sb->targets; i++)
            deliver_remote_forget(&sb->target[i]);
        file_unlink(s->spool_dir, sb->spool.name);
        s->seals_count--;
        ack_remove(&s->unfinished, &sb->batch);
        s->batches_finished++;
        sb->batch.stream->batches_sealing--;
        if (sb->batch.output)
            output_release(sb->batch.output);
        seal_free(sb);
        moved = true;
    }
    deliver_turn_end(s);
    return moved;
}

/* --- starts and ends ------------------------------------------------------------------------ */

/* The error output that a batch belongs to, or -1. */
static int seal_error_of(const struct seal_batch *sb)
{
    const char *name = sb->batch.partition;

    for (int i = 0; name[0] == OUTPUT_ERROR_MARK && i < ENCODING_ERROR_COUNT; i++)
        if (strcmp(name + 1, encoding_error_names[i]) == 0)
            return i;
    return -1;
}

int seal_resume(struct shard *s, const struct wal_seal *seal, struct errmsg *err)
{
    struct seal_batch *sb = calloc(1, sizeof(*sb));
    char name[SPOOL_NAME_MAX];
    int r = 0;

    if (!sb)
        return errmsg_set(err, -ENOMEM, "no memory");
    sb->shard = s;
    sb->batch.partition = malloc(seal->partition_len + 1);
    if (!sb->batch.partition) {
        free(sb);
        return errmsg_set(err, -ENOMEM, "no memory");
    }
    memcpy(sb->batch.partition, seal->partition, seal->partition_len);
    sb->batch.partition[seal->partition_len] = '\0';
    sb->batch.partition_len = seal->partition_len;
    sb->error = seal_error_of(sb);
    sb->batch.stream = stream_by_id(&s->streams, seal->stream);
    sb->batch.id = (struct batch_id){seal->epoch, (uint16_t)s->dir.shard, seal->number};
    sb->batch.first_lsn = seal->first_lsn;
    sb->batch.last_lsn = seal->last_lsn;
    sb->batch.events = seal->events;
    sb->batch.payload_bytes = seal->payload_bytes;
    sb->batch.arrival_real_ns = seal->arrival_ns;
    sb->version = seal->version;
    sb->output = seal->output;
    sb->sealed = true;
    sb->name_time_ns = seal->name_time_ns;
    sb->file_mode = seal->file_mode;
    sb->file_bytes = seal->file_bytes;
    sb->crc32c = seal->crc32c;
    chain_init(&sb->batch.chain, &s->pool);
    chain_init(&sb->packed, &s->pack_pool);
    seal_spool_name(&sb->batch.id, name);
    /* Should it have to be made again, its settings say how: see rebuild.c. */
    spool_init(&sb->spool, s->loop, &s->pool, &s->spool_queue, s->spool_dir, name,
               seal->file_mode);
    seal_staging_name(s, &sb->batch.id, sb->staging);
    sb->targets = seal->targets;
    sb->target = calloc(sb->targets, sizeof(*sb->target));
    if (!sb->target)
        r = -ENOMEM;
    for (uint16_t i = 0; !r && i < sb->targets; i++) {
        const struct wal_seal_target *from = &seal->target[i];

        r = target_init(sb, i, from->type, from->sink, from->directory, from->key);
        sb->target[i].job.staging_id = from->staging_id;
        sb->target[i].job.file_bytes = seal->file_bytes;
        sb->target[i].job.crc32c = seal->crc32c;
        sb->target[i].state = !from->acked      ? TARGET_READY
                              : from->abandoned ? TARGET_ABANDON
                                                : TARGET_DONE;
    }
    if (r) {
        seal_free(sb);
        return errmsg_set(err, r, "no memory for a sealed batch");
    }
    sb->state = SEAL_DELIVER;
    *s->seals_last = sb;
    s->seals_last = &sb->next;
    s->seals_count++;
    sb->batch.stream->batches_sealing++;
    ack_add(&s->unfinished, &sb->batch);
    return 0;
}

void seal_close(struct shard *s)
{
    rebuild_end(s);
    while (s->unfinished.first) {
        struct seal_batch *sb = seal_of(s->unfinished.first);

        ack_remove(&s->unfinished, &sb->batch);
        if (sb->batch.output)
            output_release(sb->batch.output);
        seal_free(sb);
    }
    target_sinks_close(s);
}
