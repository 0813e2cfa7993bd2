/*
 * Claims about compression beside the loop, over the kernel and with the worker's own thread: the
 * file is that of the same compressor used at once, however the blocks come and whatever other
 * batches do; little waits; a batch can be dropped between two jobs, and a shard closed in one.
 *
 * The shard is set up by hand, as far as pack.c and the spool need it.
 */
#include "io/file_contract.h"
#include "io/real_dirs.h"

#include "pipeline/parts.h"

enum { PART_BYTES = 100000, MEMORY = 512 << 20, BATCHES = 3 };

static struct shard shard;
static struct stream stream;
static bool spooled;

static int setup(void **state)
{
    struct errmsg err = {""};

    if (real_dirs_setup(state) != 0)
        return -1;
    shard = (struct shard){.opt.memory_limit = MEMORY};
    stream = (struct stream){.name = "s"};
    spool_queue_init(&shard.spool_queue);
    block_pool_init(&shard.pool, MEMORY / 2);
    block_pool_init(&shard.pack_pool, MEMORY / 2 + PACK_BYTES_IN_FLIGHT);
    shard.spool_dir = open_dir(contract_root);
    return loop_open(64, &shard.loop, &err);
}

static int teardown(void **state)
{
    loop_close(shard.loop);
    pack_close(&shard);
    block_pool_fini(&shard.pool);
    block_pool_fini(&shard.pack_pool);
    file_close(shard.spool_dir);
    return real_dirs_teardown(state);
}

static void batch_init(struct seal_batch *sb, const char *name, enum compress_type type, int level)
{
    struct output_settings set = {.format = (char *)(uintptr_t)"json", .compression = (uint8_t)type,
                                  .compression_level = (int8_t)level};

    *sb = (struct seal_batch){.shard = &shard, .state = SEAL_OPEN, .batch.stream = &stream};
    chain_init(&sb->batch.chain, &shard.pool);
    chain_init(&sb->packed, &shard.pack_pool);
    pack_choose(sb, &set);
    spool_init(&sb->spool, shard.loop, &shard.pack_pool, &shard.spool_queue, shard.spool_dir, name,
               0600);
    ack_add(&shard.unfinished, &sb->batch);
}

static void batch_fini(struct seal_batch *sb)
{
    ack_remove(&shard.unfinished, &sb->batch);
    pack_forget(sb);
    chain_fini(&sb->packed);
    chain_fini(&sb->batch.chain);
    spool_fini(&sb->spool);
}

/* Piece number n: neither equal bytes nor random ones. */
static void piece_make(uint8_t *piece, uint32_t n)
{
    for (uint32_t i = 0; i < PART_BYTES; i++)
        piece[i] = (uint8_t)("0123456789abcdef"[(i * 7 + (i >> 5) * n) % 16] + (i % 97 == n % 97));
}

static void piece_add(struct seal_batch *sb, uint32_t n)
{
    static uint8_t piece[PART_BYTES];

    piece_make(piece, n);
    while (!chain_reserve(&sb->batch.chain, PART_BYTES))
        assert_true(loop_turn(shard.loop, UINT64_MAX) >= 0);
    chain_append(&sb->batch.chain, piece, PART_BYTES);
    seal_write_full(&sb->batch);
}

static void until_packed(struct seal_batch *sb)
{
    int err;

    while ((err = pack_blocks(sb, true)) == -EAGAIN)
        assert_true(loop_turn(shard.loop, loop_refresh_ns(shard.loop) + 10000000) >= 0);
    assert_int_equal(err, 0);
}

static void on_spooled(struct spool *spool, int result)
{
    (void)spool;
    assert_int_equal(result, 0);
    spooled = true;
}

/* All that it got is in its file. */
static void until_spooled(struct seal_batch *sb)
{
    sb->state = SEAL_PACK;
    until_packed(sb);
    spooled = false;
    spool_finish(&sb->spool, on_spooled);
    while (!spooled)
        assert_true(loop_turn(shard.loop, UINT64_MAX) >= 0);
}

/* What the compressor makes of the bytes at once. */
static size_t expected(enum compress_type type, int level, const uint8_t *bytes, size_t bytes_len,
                       uint8_t **ret_bytes)
{
    struct block_chain out;
    struct block_pool pool;
    struct compressor *c;
    struct block *b;
    size_t len = 0;

    block_pool_init(&pool, MEMORY);
    chain_init(&out, &pool);
    assert_int_equal(compressor_open(type, level, &c), 0);
    assert_true(chain_reserve(&out, compressor_run_bytes_max(c, bytes_len)
                                        + compressor_finish_bytes_max(c)));
    assert_int_equal(compressor_run(c, bytes, bytes_len, &out), 0);
    assert_int_equal(compressor_finish(c, &out), 0);
    *ret_bytes = malloc(out.total);
    assert_non_null(*ret_bytes);
    while ((b = chain_shift(&out, true)) != NULL) {
        memcpy(*ret_bytes + len, b->data, b->len);
        len += b->len;
        block_give(&pool, b);
    }
    compressor_close(c);
    chain_fini(&out);
    block_pool_fini(&pool);
    return len;
}

static void file_is(const struct seal_batch *sb, const uint8_t *want, size_t len)
{
    int fd = file_open(shard.spool_dir, sb->spool.name, O_RDONLY, 0);
    uint8_t *got = malloc(len + 1);

    assert_true(fd >= 0);
    assert_int_equal(sb->spool.file_bytes, len);
    assert_int_equal(file_read(fd, got, len + 1, 0), (int)len);
    assert_memory_equal(got, want, len);
    file_close(fd);
    free(got);
}

static void files_are_those_of_the_compressor_alone(void **state)
{
    static const struct {
        enum compress_type type;
        int level;
    } kinds[BATCHES] = {{COMPRESS_GZIP, 6}, {COMPRESS_ZSTD, 9}, {COMPRESS_LZ4, 9}};
    struct seal_batch sb[BATCHES];
    const uint32_t pieces = 40;

    (void)state;
    for (uint32_t i = 0; i < BATCHES; i++) {
        char name[16];

        snprintf(name, sizeof(name), "%u.spool", i);
        batch_init(&sb[i], name, kinds[i].type, kinds[i].level);
    }
    for (uint32_t n = 0; n < pieces; n++) {
        for (uint32_t i = 0; i < BATCHES; i++)
            piece_add(&sb[i], n * (i + 1));
        while (!room_to_encode(&shard))
            assert_true(loop_turn(shard.loop, UINT64_MAX) >= 0);
        /* What is with the worker, a batch at a time, and what each has begun. */
        assert_true(block_pool_bytes_used(&shard.pool) / BLOCK_BYTES <= PACK_AT_ONCE + BATCHES);
    }
    for (uint32_t i = 0; i < BATCHES; i++) {
        sb[i].state = SEAL_PACK;
        assert_int_equal(pack_blocks(&sb[i], true), -EAGAIN);
    }
    for (uint32_t i = 0; i < BATCHES; i++) {
        uint8_t *all = malloc((size_t)pieces * PART_BYTES), *want;
        size_t len;

        for (uint32_t n = 0; n < pieces; n++)
            piece_make(all + (size_t)n * PART_BYTES, n * (i + 1));
        len = expected(kinds[i].type, kinds[i].level, all, (size_t)pieces * PART_BYTES, &want);
        until_spooled(&sb[i]);
        file_is(&sb[i], want, len);
        free(want);
        free(all);
        batch_fini(&sb[i]);
    }
    assert_null(shard.work.batch);
    assert_false(shard.work.wanted);
    assert_int_equal(block_pool_bytes_used(&shard.pool), 0);
    assert_int_equal(block_pool_bytes_used(&shard.pack_pool), 0);
}

/* All of it has gone before the end is known: the worker is asked once more, for the end alone. */
static void a_batch_that_ends_with_a_full_block_gets_its_end(void **state)
{
    const size_t size = 2 * BLOCK_BYTES;
    uint8_t *bytes = malloc(6 * PART_BYTES), *want;
    struct seal_batch sb;
    size_t len;

    (void)state;
    for (uint32_t n = 0; n < 6; n++)
        piece_make(bytes + (size_t)n * PART_BYTES, n);
    batch_init(&sb, "a.spool", COMPRESS_GZIP, 9);
    assert_true(chain_reserve(&sb.batch.chain, size));
    chain_append(&sb.batch.chain, bytes, size);
    seal_write_full(&sb.batch);
    while (shard.work.batch)
        assert_true(loop_turn(shard.loop, UINT64_MAX) >= 0);
    assert_null(sb.batch.chain.first);
    assert_non_null(sb.compressor);
    until_spooled(&sb);
    assert_null(sb.compressor);
    len = expected(COMPRESS_GZIP, 9, bytes, size, &want);
    file_is(&sb, want, len);
    free(want);
    free(bytes);
    batch_fini(&sb);
}

static void a_batch_is_dropped_between_two_jobs(void **state)
{
    struct seal_batch sb[2];

    (void)state;
    batch_init(&sb[0], "a.spool", COMPRESS_GZIP, 9);
    batch_init(&sb[1], "b.spool", COMPRESS_ZSTD, 9);
    for (uint32_t n = 0; n < 6; n++) {
        piece_add(&sb[0], n);
        piece_add(&sb[1], n);
    }
    /* The first has the worker; the second waits and goes. */
    assert_ptr_equal(shard.work.batch, &sb[0]);
    assert_false(room_at_rest(&sb[0]));
    assert_true(shard.work.wanted && !room_to_encode(&shard) && room_at_rest(&sb[1]));
    batch_fini(&sb[1]);
    until_spooled(&sb[0]);
    batch_fini(&sb[0]);
    assert_true(room_to_encode(&shard));
    assert_int_equal(block_pool_bytes_used(&shard.pool), 0);
    assert_int_equal(block_pool_bytes_used(&shard.pack_pool), 0);
}

static void a_loop_is_closed_while_the_worker_has_a_batch(void **state)
{
    struct seal_batch sb;

    (void)state;
    batch_init(&sb, "a.spool", COMPRESS_ZSTD, 19);
    for (uint32_t n = 0; n < 12; n++)
        piece_add(&sb, n);
    assert_ptr_equal(shard.work.batch, &sb);
    loop_close(shard.loop);
    shard.loop = NULL;
    batch_fini(&sb);
    assert_int_equal(block_pool_bytes_used(&shard.pool), 0);
    assert_int_equal(block_pool_bytes_used(&shard.pack_pool), 0);
}

#define REAL(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        REAL(files_are_those_of_the_compressor_alone),
        REAL(a_batch_that_ends_with_a_full_block_gets_its_end),
        REAL(a_batch_is_dropped_between_two_jobs),
        REAL(a_loop_is_closed_while_the_worker_has_a_batch),
    };

    return cmocka_run_group_tests_name("pack_worker", tests, NULL, NULL);
}
