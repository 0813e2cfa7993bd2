/*
 * pack: what leaves a batch's chain for its file: as it is, or compressed.
 *
 * Compressors are shared by the batches of a shard: one has its own only while a file is under way,
 * and where many are, each file is made of several frames (members), which all readers of these
 * formats take for one.
 *
 * What is slow is done by the loop's worker, which has some blocks of one batch at a time; those
 * that it cannot have yet stay in the chains of their batches. While any do, nothing more is
 * encoded (room_to_encode()): memory would fill with what waits, and batches be sealed for it.
 *
 * Owns:   compressors; blocks that the worker has.
 * Thread: shard; work() on the worker's.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/invariant.h"
#include "pipeline/parts.h"

/* As many as what the worker is given at once can become. */
enum { PACK_BLOCKS_KEPT = 8 };

/* Idle compressors by output settings; few kinds are in use at a time. */
struct pack_idle {
    struct pack_idle *next;
    enum compress_type type;
    int level;
    struct compressor *compressor;
};

void pack_choose(struct seal_batch *sb, const struct output_settings *set)
{
    bool inside = strcmp(set->format, "parquet") == 0;

    sb->pack_type = inside ? COMPRESS_NONE : (enum compress_type)set->compression;
    sb->pack_level = set->compression_level;
}

static int compressor_take(struct seal_batch *sb)
{
    struct shard *s = sb->shard;
    int err;

    for (struct pack_idle **at = &s->packs; *at; at = &(*at)->next) {
        struct pack_idle *idle = *at;

        if (idle->type != sb->pack_type || idle->level != sb->pack_level)
            continue;
        sb->compressor = idle->compressor;
        *at = idle->next;
        free(idle);
        return 0;
    }
    err = compressor_open(sb->pack_type, sb->pack_level, &sb->compressor);
    if (!err)
        s->packs_bytes += compressor_memory(sb->compressor);
    return err;
}

static void compressor_drop(struct shard *s, struct compressor *c)
{
    s->packs_bytes -= compressor_memory(c);
    compressor_close(c);
}

static void compressor_give(struct seal_batch *sb)
{
    struct shard *s = sb->shard;
    struct pack_idle *idle = calloc(1, sizeof(*idle));

    if (idle && s->packs_bytes <= s->opt.memory_limit / 8) {
        *idle = (struct pack_idle){s->packs, sb->pack_type, sb->pack_level, sb->compressor};
        s->packs = idle;
    } else {
        free(idle);
        compressor_drop(s, sb->compressor);
    }
    sb->compressor = NULL;
}

static int blocks_hand_over(struct seal_batch *sb, struct block_chain *chain, bool all)
{
    struct block *block;

    while ((block = chain_shift(chain, all)))
        if (spool_append(&sb->spool, block)) {
            block_give(chain->pool, block);
            return -ENOMEM;
        }
    return 0;
}

/*
 * Room for what is packed next. Some blocks are kept for one batch at a time that comes to its end,
 * so that batches which hold a block each cannot stop each other: what has ended gives all back.
 */
static bool room_make(struct seal_batch *sb, bool all, uint64_t bytes)
{
    struct shard *s = sb->shard;
    const struct block_pool *pool = &s->pack_pool;
    uint64_t need = bytes / BLOCK_BYTES + 2, left = pool->max - (pool->made - pool->free_count);

    if (left < need + PACK_BLOCKS_KEPT) {
        if (!all || (s->pack_ends && s->pack_ends != sb))
            return false;
        s->pack_ends = sb;
    }
    return chain_reserve(&sb->packed, bytes);
}

static void ended(struct seal_batch *sb)
{
    if (sb->shard->pack_ends == sb)
        sb->shard->pack_ends = NULL;
}

static int frame_end(struct seal_batch *sb)
{
    int err = compressor_finish(sb->compressor, &sb->packed);

    compressor_give(sb);
    return err;
}

/* There is room for all that it makes. */
static int block_pack(struct seal_batch *sb, const struct block *block)
{
    struct shard *s = sb->shard;
    int err = compressor_run(sb->compressor, block->data, block->len, &sb->packed);

    if (!err && s->packs_bytes > s->opt.memory_limit / 8)
        err = frame_end(sb);
    return err;
}

/* 0, -EAGAIN: there is no room, nothing has changed, or -EIO. */
static int chain_pack(struct seal_batch *sb, bool all)
{
    struct block_chain *chain = &sb->batch.chain;

    while (chain->first && (all || chain->first != chain->last)) {
        struct block *block;
        int err;

        if (!sb->compressor && compressor_take(sb))
            return -EAGAIN;
        if (!room_make(sb, all, compressor_run_bytes_max(sb->compressor, BLOCK_BYTES)
                                    + compressor_finish_bytes_max(sb->compressor)))
            return -EAGAIN;
        block = chain_shift(chain, all);
        if (!block)
            break;
        err = block_pack(sb, block);
        block_give(chain->pool, block);
        if (!err)
            err = blocks_hand_over(sb, &sb->packed, false);
        if (err)
            return err;
    }
    if (!all || !sb->compressor)
        return 0;
    if (!room_make(sb, all, compressor_finish_bytes_max(sb->compressor)))
        return -EAGAIN;
    return frame_end(sb);
}

/* --- beside the loop ------------------------------------------------------------------------ */

/* The worker's: until on_worked() what it touches here is nobody else's. */
static int work(void *arg)
{
    const struct shard *s = arg;
    struct seal_batch *sb = s->work.batch;
    int err = 0;

    for (const struct block *b = s->work.blocks; b && !err; b = b->next)
        err = compressor_run(sb->compressor, b->data, b->len, &sb->packed);
    if (!err && s->work.ends)
        err = compressor_finish(sb->compressor, &sb->packed);
    return err;
}

static void work_end(struct shard *s)
{
    while (s->work.blocks) {
        struct block *block = s->work.blocks;

        s->work.blocks = block->next;
        block_give(&s->pool, block);
    }
    s->work.batch = NULL;
}

static void on_worked(struct io_op *op, int res)
{
    struct shard *s = op->ctx;
    struct seal_batch *sb = s->work.batch;

    work_end(s);
    if (!res && s->work.ends)
        compressor_give(sb);
    if (!res)
        res = blocks_hand_over(sb, &sb->packed, false);
    if (res)
        shard_fail(s, res, "a batch cannot be written: %s", strerror(-res));
    if (!s->work.wanted)
        return;
    /* The oldest that waits is next; the first that has to wait on says so. */
    s->work.wanted = false;
    for (struct batch *b = s->unfinished.first; b && !s->work.wanted && !s->error; b = b->all.next)
        if (((struct seal_batch *)b)->state <= SEAL_PACK)
            seal_write_full(b);
}

/* There is something for the worker, beyond what it has. */
static bool work_left(const struct seal_batch *sb, bool all)
{
    const struct block_chain *chain = &sb->batch.chain;
    const struct shard *s = sb->shard;

    if (!all)
        return chain->first != chain->last;
    return chain->first || (sb->compressor && !(s->work.batch == sb && s->work.ends));
}

/* 0: all is packed, -EAGAIN: something is on its way, or waits for the worker or for room. */
static int chain_work(struct seal_batch *sb, bool all)
{
    struct block_chain *chain = &sb->batch.chain;
    struct shard *s = sb->shard;
    struct block **end = &s->work.blocks;

    if (!work_left(sb, all))
        return s->work.batch == sb ? -EAGAIN : 0;
    if (s->work.batch) {
        s->work.wanted = true;
        return -EAGAIN;
    }
    if (!sb->compressor && compressor_take(sb))
        return -EAGAIN;
    if (!room_make(sb, all, compressor_run_bytes_max(sb->compressor, PACK_AT_ONCE * BLOCK_BYTES)
                                + compressor_finish_bytes_max(sb->compressor)))
        return -EAGAIN;
    for (int i = 0; i < PACK_AT_ONCE && (*end = chain_shift(chain, all)); i++)
        end = &(*end)->next;
    s->work.ends = (all && !chain->first) || s->packs_bytes > s->opt.memory_limit / 8;
    s->work.batch = sb;
    s->work.op.ctx = s;
    io_work(s->loop, &s->work.op, work, s, on_worked);
    s->work.wanted |= work_left(sb, all);
    return -EAGAIN;
}

/* -------------------------------------------------------------------------------------------- */

int pack_blocks(struct seal_batch *sb, bool all)
{
    int err;

    if (sb->pack_type == COMPRESS_NONE)
        return blocks_hand_over(sb, &sb->batch.chain, all);
    if (compress_slow(sb->pack_type, sb->pack_level))
        err = chain_work(sb, all);
    else
        err = chain_pack(sb, all);
    if (err || !all)
        return err;
    ended(sb);
    return blocks_hand_over(sb, &sb->packed, true);
}

void pack_forget(struct seal_batch *sb)
{
    if (sb->shard->work.batch == sb) {
        INVARIANT(!sb->shard->loop);
        work_end(sb->shard);
    }
    if (sb->compressor) {
        compressor_reset(sb->compressor);
        compressor_give(sb);
    }
    ended(sb);
    chain_fini(&sb->packed);
    chain_init(&sb->packed, &sb->shard->pack_pool);
}

void pack_close(struct shard *s)
{
    while (s->packs) {
        struct pack_idle *idle = s->packs;

        s->packs = idle->next;
        compressor_drop(s, idle->compressor);
        free(idle);
    }
}
