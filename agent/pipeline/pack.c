/*
 * pack: what leaves a batch's chain for its file: as it is, or compressed.
 *
 * Compressors are shared by the batches of a shard: one has its own only while a file is under way,
 * and where many are, each file is made of several frames (members), which all readers of these
 * formats take for one.
 *
 * Owns:   compressors.
 * Thread: shard.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/parts.h"

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

int pack_blocks(struct seal_batch *sb, bool all)
{
    int err;

    if (sb->pack_type == COMPRESS_NONE)
        return blocks_hand_over(sb, &sb->batch.chain, all);
    err = chain_pack(sb, all);
    if (err || !all)
        return err;
    ended(sb);
    return blocks_hand_over(sb, &sb->packed, true);
}

void pack_forget(struct seal_batch *sb)
{
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
