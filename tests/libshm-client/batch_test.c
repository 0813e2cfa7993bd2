/*
 * batch: several events by one store, all or none.
 */
#include "libshm-client/ring_reader.h"

#include "handle.h"

enum { RING_BYTES = 65536 };

static struct shmc *open_ring(const struct scratch *s, struct ring_reader *reader, uint16_t *ret_id)
{
    struct shmc_options opt = SHMC_OPTIONS_INIT;
    struct shmc *h;

    opt.shm_dir = s->dir;
    opt.name = "batch";
    opt.ring_bytes = RING_BYTES;
    assert_int_equal(shmc_open(&opt, &h), 0);
    assert_int_equal(shmc_stream(h, "s", ret_id), 0);
    reader_open(reader, s->dir, shmc_name(h));
    return h;
}

static void nothing_is_seen_before_the_commit_and_then_all(void **state)
{
    struct ring_reader reader;
    struct shm_frame frame;
    struct shmc_batch batch;
    struct shmc_stats stats = SHMC_STATS_INIT;
    uint16_t id;
    struct shmc *h = open_ring(*state, &reader, &id);
    static const char text[] = "0123456789";

    assert_int_equal(shmc_batch_begin(h, &batch), 0);
    for (size_t i = 0; i < 10; i++)
        assert_int_equal(shmc_batch_add(h, &batch, id, SHMC_TEXT, text, i), 0);
    assert_false(reader_next(&reader, &frame));
    assert_int_equal(shmc_batch_commit(h, &batch), 0);
    for (size_t i = 0; i < 10; i++) {
        assert_true(reader_next(&reader, &frame));
        assert_int_equal(frame.len, i);
        assert_int_equal(frame.def, id);
        assert_int_equal(frame.time_ns, batch.time_ns);
        assert_memory_equal(reader.payload, text, i);
    }
    assert_false(reader_next(&reader, &frame));
    assert_int_equal(shmc_stats(h, &stats), 0);
    assert_int_equal(stats.events, 10);
    assert_int_equal(stats.bytes, 45);

    /* One that is left, and an empty one, leave nothing; writes go on behind. */
    assert_int_equal(shmc_batch_begin(h, &batch), 0);
    assert_int_equal(shmc_batch_add(h, &batch, id, SHMC_TEXT, text, 5), 0);
    assert_int_equal(shmc_batch_begin(h, &batch), 0);
    assert_int_equal(shmc_batch_commit(h, &batch), 0);
    assert_false(reader_next(&reader, &frame));
    assert_int_equal(shmc_write(h, id, SHMC_BYTES, "x", 1), 0);
    assert_true(reader_next(&reader, &frame));
    assert_int_equal(frame.len, 1);
    reader_close(&reader);
    assert_int_equal(shmc_close(h), 0);
}

static void one_that_does_not_fit_leaves_nothing(void **state)
{
    static uint8_t data[RING_BYTES / 4];
    struct ring_reader reader;
    struct shm_frame frame;
    struct shmc_batch batch;
    uint16_t id;
    struct shmc *h = open_ring(*state, &reader, &id);

    assert_int_equal(shmc_batch_begin(h, &batch), 0);
    assert_int_equal(shmc_batch_add(h, &batch, id, SHMC_TEXT, data, sizeof(data) + 1), -EMSGSIZE);
    assert_int_equal(shmc_batch_add(h, &batch, (uint16_t)(id + 1), SHMC_TEXT, data, 1), -EINVAL);
    assert_int_equal(shmc_batch_add(h, &batch, id, SHMC_RECORD, data, 1), -EINVAL);
    for (int i = 0; i < 4; i++)
        assert_int_equal(shmc_batch_add(h, &batch, id, SHMC_TEXT, data, sizeof(data)), 0);
    assert_int_equal(shmc_batch_commit(h, &batch), -EMSGSIZE);
    assert_int_equal(shmc_write(h, id, SHMC_TEXT, "x", 1), 0);

    assert_int_equal(shmc_batch_begin(h, &batch), 0);
    for (int i = 0; i < 4; i++)
        assert_int_equal(shmc_batch_add(h, &batch, id, SHMC_TEXT, data, sizeof(data) - 16), 0);
    assert_int_equal(batch.bytes, RING_BYTES);
    assert_int_equal(shmc_batch_commit(h, &batch), -EAGAIN);
    assert_true(reader_next(&reader, &frame));
    assert_int_equal(frame.len, 1);
    assert_false(reader_next(&reader, &frame));

    /* The whole ring, over its end. */
    (void)reader_publish(&reader, SHM_POS_ACCEPTED, reader_head(&reader));
    memset(data, 'y', sizeof(data));
    assert_int_equal(shmc_batch_begin(h, &batch), 0);
    for (int i = 0; i < 4; i++)
        assert_int_equal(shmc_batch_add(h, &batch, id, SHMC_TEXT, data, sizeof(data) - 16), 0);
    assert_int_equal(shmc_batch_commit(h, &batch), 0);
    for (int i = 0; i < 4; i++) {
        assert_true(reader_next(&reader, &frame));
        assert_int_equal(frame.len, sizeof(data) - 16);
        assert_memory_equal(reader.payload, data, frame.len);
    }
    (void)reader_publish(&reader, SHM_POS_ACCEPTED, reader_head(&reader));
    assert_int_equal(shmc_write(h, id, SHMC_TEXT, "z", 1), 0);
    assert_true(reader_next(&reader, &frame));
    reader_close(&reader);
    assert_int_equal(shmc_close(h), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_setup, scratch_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(nothing_is_seen_before_the_commit_and_then_all),
        TEST(one_that_does_not_fit_leaves_nothing),
    };

    return cmocka_run_group_tests_name("batch", tests, NULL, NULL);
}
