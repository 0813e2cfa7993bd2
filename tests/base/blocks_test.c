/*
 * blocks: the bound of the pool, and chains against a plain buffer that gets the same bytes.
 * Under ASan it also shows that every block is freed and none is overrun.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "base/blocks.h"
#include "support/rng.h"

enum { BLOCKS = 8 };

/* Bytes that differ from block to block, so that a mix-up shows. */
static uint8_t *pattern_make(size_t len)
{
    uint8_t *data = malloc(len);
    uint64_t state = 0x9e3779b97f4a7c15ULL;

    assert_non_null(data);
    for (size_t i = 0; i < len; i++)
        data[i] = (uint8_t)rng_next(&state);
    return data;
}

/* Shifts all that `all` allows and checks that it is what `expected` begins with. */
static size_t drain(struct block_chain *c, bool all, const uint8_t *expected)
{
    struct block *b;
    size_t len = 0;

    while ((b = chain_shift(c, all)) != NULL) {
        assert_true(all || b->len == BLOCK_BYTES);
        assert_memory_equal(b->data, expected + len, b->len);
        len += b->len;
        block_give(c->pool, b);
    }
    return len;
}

static void gives_exactly_the_blocks_that_fit_its_bound(void **state)
{
    struct block_pool pool;
    struct block *taken[BLOCKS];

    (void)state;
    block_pool_init(&pool, (uint64_t)BLOCKS * BLOCK_BYTES + BLOCK_BYTES - 1);
    for (int i = 0; i < BLOCKS; i++) {
        assert_int_equal(block_pool_bytes_used(&pool), (uint64_t)i * BLOCK_BYTES);
        taken[i] = block_take(&pool);
        assert_non_null(taken[i]);
        assert_int_equal((uintptr_t)taken[i]->data % BLOCK_ALIGN, 0);
        memset(taken[i]->data, i, BLOCK_BYTES);
    }
    assert_null(block_take(&pool));
    block_give(&pool, taken[3]);
    assert_int_equal(block_pool_bytes_used(&pool), (uint64_t)(BLOCKS - 1) * BLOCK_BYTES);
    assert_ptr_equal(block_take(&pool), taken[3]);
    assert_null(block_take(&pool));
    for (int i = 0; i < BLOCKS; i++)
        block_give(&pool, taken[i]);
    block_give(&pool, NULL);
    assert_int_equal(block_pool_bytes_used(&pool), 0);
    assert_int_equal(pool.made, BLOCKS);
    block_pool_fini(&pool);
}

/* Who has to come to an end is lent a higher bound; the one for all others stays what it was. */
static void a_bound_that_was_higher_for_a_while_holds_again(void **state)
{
    struct block_pool pool;
    struct block *taken[BLOCKS + 2];

    (void)state;
    block_pool_init(&pool, (uint64_t)BLOCKS * BLOCK_BYTES);
    pool.max += 2;
    for (int i = 0; i < BLOCKS + 2; i++) {
        taken[i] = block_take(&pool);
        assert_non_null(taken[i]);
    }
    assert_null(block_take(&pool));
    pool.max -= 2;
    assert_null(block_take(&pool));
    block_give(&pool, taken[0]);
    block_give(&pool, taken[1]);
    assert_null(block_take(&pool));
    block_give(&pool, taken[2]);
    taken[2] = block_take(&pool);
    assert_non_null(taken[2]);
    assert_null(block_take(&pool));
    for (int i = 2; i < BLOCKS + 2; i++)
        block_give(&pool, taken[i]);
    block_pool_fini(&pool);
}

static void gives_nothing_below_one_block(void **state)
{
    struct block_pool pool;
    struct block_chain c;

    (void)state;
    block_pool_init(&pool, BLOCK_BYTES - 1);
    assert_null(block_take(&pool));
    chain_init(&c, &pool);
    assert_true(chain_reserve(&c, 0));
    assert_false(chain_reserve(&c, 1));
    chain_append(&c, "", 0);
    assert_null(chain_shift(&c, true));
    assert_int_equal(chain_bytes(&c), 0);
    chain_fini(&c);
    block_pool_fini(&pool);
}

static void splits_what_crosses_blocks_and_loses_no_byte(void **state)
{
    const size_t len = 3 * BLOCK_BYTES + 17;
    uint8_t *data = pattern_make(len);
    struct block_pool pool;
    struct block_chain c;

    (void)state;
    block_pool_init(&pool, BLOCKS * BLOCK_BYTES);
    chain_init(&c, &pool);
    assert_true(chain_reserve(&c, len));
    chain_append(&c, data, 5);
    chain_append(&c, data + 5, len - 5);
    assert_int_equal(chain_bytes(&c), len);
    assert_int_equal(c.total, len);
    assert_int_equal(drain(&c, false, data), 3 * BLOCK_BYTES);
    assert_int_equal(chain_bytes(&c), 17);
    assert_int_equal(drain(&c, true, data + 3 * BLOCK_BYTES), 17);
    assert_int_equal(chain_bytes(&c), 0);
    assert_int_equal(c.total, len);
    chain_fini(&c);
    assert_int_equal(block_pool_bytes_used(&pool), 0);
    block_pool_fini(&pool);
    free(data);
}

static void hands_out_a_last_block_that_is_just_full(void **state)
{
    uint8_t *data = pattern_make(2 * BLOCK_BYTES);
    struct block_pool pool;
    struct block_chain c;

    (void)state;
    block_pool_init(&pool, BLOCKS * BLOCK_BYTES);
    chain_init(&c, &pool);
    assert_true(chain_reserve(&c, BLOCK_BYTES));
    chain_append(&c, data, BLOCK_BYTES);
    assert_int_equal(drain(&c, false, data), BLOCK_BYTES);
    assert_true(chain_reserve(&c, 1));
    chain_append(&c, data + BLOCK_BYTES, 1);
    assert_int_equal(drain(&c, false, data), 0);
    assert_int_equal(drain(&c, true, data + BLOCK_BYTES), 1);
    chain_fini(&c);
    block_pool_fini(&pool);
    free(data);
}

static void a_reservation_that_fails_changes_nothing(void **state)
{
    uint8_t *data = pattern_make(BLOCKS * BLOCK_BYTES);
    struct block_pool pool;
    struct block_chain c, other;
    uint64_t used;

    (void)state;
    block_pool_init(&pool, BLOCKS * BLOCK_BYTES);
    chain_init(&c, &pool);
    chain_init(&other, &pool);
    assert_true(chain_reserve(&other, 2 * BLOCK_BYTES));
    assert_true(chain_reserve(&c, 100));
    chain_append(&c, data, 100);
    used = block_pool_bytes_used(&pool);
    assert_false(chain_reserve(&c, (BLOCKS - 2) * BLOCK_BYTES - 99));
    assert_int_equal(block_pool_bytes_used(&pool), used);
    assert_int_equal(chain_bytes(&c), 100);
    assert_true(chain_reserve(&c, (BLOCKS - 2) * BLOCK_BYTES - 100));
    assert_int_equal(block_pool_bytes_used(&pool), BLOCKS * BLOCK_BYTES);
    chain_append(&c, data + 100, (BLOCKS - 2) * BLOCK_BYTES - 100);
    assert_int_equal(drain(&c, true, data), (BLOCKS - 2) * BLOCK_BYTES);
    chain_fini(&c);
    chain_fini(&other);
    assert_int_equal(block_pool_bytes_used(&pool), 0);
    block_pool_fini(&pool);
    free(data);
}

static void spare_blocks_of_a_large_reservation_return_to_the_pool(void **state)
{
    struct block_pool pool;
    struct block_chain c;

    (void)state;
    block_pool_init(&pool, BLOCKS * BLOCK_BYTES);
    chain_init(&c, &pool);
    assert_true(chain_reserve(&c, BLOCKS * BLOCK_BYTES));
    chain_append(&c, "x", 1);
    assert_int_equal(block_pool_bytes_used(&pool), BLOCKS * BLOCK_BYTES);
    assert_true(chain_reserve(&c, BLOCK_BYTES));
    assert_int_equal(block_pool_bytes_used(&pool), 2 * BLOCK_BYTES);
    assert_null(chain_shift(&c, false));
    assert_int_equal(block_pool_bytes_used(&pool), BLOCK_BYTES);
    assert_true(chain_reserve(&c, 3 * BLOCK_BYTES));
    chain_fini(&c);
    assert_int_equal(block_pool_bytes_used(&pool), 0);
    assert_int_equal(chain_bytes(&c), 0);
    block_pool_fini(&pool);
}

/* Seeded by the clock, or by HYDRANT_SEED to repeat a run. */
static void random_work_equals_a_plain_buffer(void **state)
{
    const char *given = getenv("HYDRANT_SEED");
    uint64_t seed = given != NULL ? strtoull(given, NULL, 0) : (uint64_t)time(NULL);
    uint64_t rng = seed * 2 + 1;
    const size_t len = 64 * BLOCK_BYTES;
    uint8_t *data = pattern_make(len);
    size_t in = 0, out = 0;
    struct block_pool pool;
    struct block_chain c;

    (void)state;
    print_message("HYDRANT_SEED=%llu\n", (unsigned long long)seed);
    block_pool_init(&pool, BLOCKS * BLOCK_BYTES);
    chain_init(&c, &pool);
    while (in < len) {
        size_t kind = rng_next(&rng) % 8;
        size_t max = kind == 0 ? 2 * BLOCK_BYTES : kind < 3 ? 5000 : 300;
        size_t step = rng_next(&rng) % (max < len - in ? max + 1 : len - in + 1);

        if (!chain_reserve(&c, step)) {
            assert_true(chain_bytes(&c) + step > (BLOCKS - 1) * BLOCK_BYTES);
            out += drain(&c, true, data + out);
            assert_true(chain_reserve(&c, step));
        }
        while (step > 0) {
            size_t part = 1 + rng_next(&rng) % step;

            chain_append(&c, data + in, part);
            in += part;
            step -= part;
        }
        if (rng_next(&rng) % 64 == 0)
            out += drain(&c, rng_next(&rng) % 4 == 0, data + out);
        assert_int_equal(chain_bytes(&c), in - out);
        assert_true(block_pool_bytes_used(&pool) <= BLOCKS * BLOCK_BYTES);
    }
    out += drain(&c, true, data + out);
    assert_int_equal(out, len);
    assert_int_equal(c.total, len);
    chain_fini(&c);
    assert_int_equal(block_pool_bytes_used(&pool), 0);
    block_pool_fini(&pool);
    free(data);
}

/* Wherever blocks end. */
static void what_is_left_open_is_filled_in_later(void **state)
{
    static const uint8_t value[4] = { 1, 2, 3, 4 };
    uint8_t *data = pattern_make(BLOCK_BYTES + 10);

    (void)state;
    for (size_t room = 0; room <= 5; room++) {
        size_t len = BLOCK_BYTES - room;
        struct chain_hole hole;
        struct block_pool pool;
        struct block_chain c;

        block_pool_init(&pool, 2 * BLOCK_BYTES);
        chain_init(&c, &pool);
        memcpy(data + len, value, sizeof(value));
        memcpy(data + len + 4, "behind", 6);
        assert_true(chain_reserve(&c, len + 10));
        chain_append(&c, data, len);
        hole = chain_leave(&c, sizeof(value));
        chain_append(&c, "behind", 6);
        chain_fill(hole, value, sizeof(value));
        assert_int_equal(c.total, len + 10);
        assert_int_equal(drain(&c, true, data), len + 10);
        chain_fini(&c);
        block_pool_fini(&pool);
    }
    free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_exactly_the_blocks_that_fit_its_bound),
        cmocka_unit_test(a_bound_that_was_higher_for_a_while_holds_again),
        cmocka_unit_test(gives_nothing_below_one_block),
        cmocka_unit_test(splits_what_crosses_blocks_and_loses_no_byte),
        cmocka_unit_test(hands_out_a_last_block_that_is_just_full),
        cmocka_unit_test(a_reservation_that_fails_changes_nothing),
        cmocka_unit_test(spare_blocks_of_a_large_reservation_return_to_the_pool),
        cmocka_unit_test(what_is_left_open_is_filled_in_later),
        cmocka_unit_test(random_work_equals_a_plain_buffer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
