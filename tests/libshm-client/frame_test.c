/*
 * What a write copies: every length that is copied in a way of its own, by each clock's path, into
 * a ring full of old bytes.
 */
#include "libshm-client/ring_reader.h"

#define LEN_MAX 300U
#define ROOM    1024U
#define OLD     0xee

/* A page that can be read, between two that cannot: neither end may be read past. */
static uint8_t *fenced_page(size_t *ret_bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    uint8_t *pages = mmap(NULL, 3 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    assert_true(pages != MAP_FAILED);
    assert_int_equal(mprotect(pages + page, page, PROT_READ | PROT_WRITE), 0);
    for (size_t i = 0; i < page; i++)
        pages[page + i] = (uint8_t)(i * 7 + i / 251 + 1);
    *ret_bytes = page;
    return pages + page;
}

/* Whatever is written next is written over old bytes. */
static void old_bytes_put(struct shmc *h, uint16_t stream)
{
    void *place;

    assert_int_equal(shmc_reserve(h, stream, SHMC_BYTES, ROOM, &place), 0);
    memset(place, OLD, ROOM);
    assert_int_equal(shmc_abort(h), 0);
}

/* One event: its frame, padding included, and not a byte more. */
static void event_check(struct ring_reader *reader, uint16_t stream, uint8_t kind,
                        const uint8_t *data, uint32_t len)
{
    struct shm_frame frame;
    uint8_t behind[ROOM / 2];

    assert_true(reader_next(reader, &frame));
    assert_int_equal(frame.len, len);
    assert_int_equal(frame.def, stream);
    assert_int_equal(frame.kind, kind);
    assert_memory_equal(reader->payload, data, len);
    reader_copy(reader, reader->pos, behind, sizeof(behind));
    for (size_t i = 0; i < sizeof(behind); i++)
        assert_int_equal(behind[i], OLD);
    assert_false(reader_next(reader, &frame));
    (void)reader_publish(reader, SHM_POS_ACCEPTED, reader->pos);
}

static void every_length_is_copied_whole_and_nothing_beside_it(void **state)
{
    static const enum shmc_clock clocks[] = {SHMC_CLOCK_NONE, SHMC_CLOCK_COARSE, SHMC_CLOCK_TSC,
                                             SHMC_CLOCK_REAL};
    struct scratch *scratch = *state;
    struct shmc_options opt = scratch_options(scratch);
    size_t page;
    uint8_t *data = fenced_page(&page);

    for (size_t c = 0; c < sizeof(clocks) / sizeof(clocks[0]); c++) {
        struct ring_reader reader;
        uint64_t bytes = 0;
        struct shmc *h;
        uint16_t stream;

        opt.clock = clocks[c];
        h = scratch_open(&opt);
        stream = scratch_stream(h);
        reader_open(&reader, scratch->dir, shmc_name(h));
        for (uint32_t len = 0; len <= LEN_MAX; len++) {
            const uint8_t *at_end = data + page - len;
            uint8_t kind = (uint8_t)(SHMC_JSON + len % 3);

            old_bytes_put(h, stream);
            assert_int_equal(shmc_write(h, stream, kind, data, len), 0);
            event_check(&reader, stream, kind, data, len);
            old_bytes_put(h, stream);
            assert_int_equal(shmc_write_at(h, stream, kind, UINT64_MAX, at_end, len), 0);
            event_check(&reader, stream, kind, at_end, len);
            bytes += 2 * len;
        }
        struct shmc_stats stats = SHMC_STATS_INIT;

        assert_int_equal(shmc_stats(h, &stats), 0);
        assert_int_equal(stats.events, 2 * (LEN_MAX + 1));
        assert_int_equal(stats.bytes, bytes);
        assert_int_equal(stats.committed, reader.pos);
        reader_close(&reader);
        assert_int_equal(shmc_close(h), 0);
    }
    assert_int_equal(munmap(data - page, 3 * page), 0);
}

/* Rings that are large, so that a write's room is bounded by the largest event, not by the mark. */
static void the_largest_event_fits_and_one_byte_more_does_not(void **state)
{
    static const uint64_t rings[] = {65536, 4U << 20, 16U << 20};
    struct scratch *scratch = *state;
    struct shmc_options opt = scratch_options(scratch);

    for (size_t r = 0; r < sizeof(rings) / sizeof(rings[0]); r++) {
        struct ring_reader reader;
        struct shm_frame frame;
        struct shmc *h;
        uint16_t stream;
        size_t len;
        uint8_t *data;

        opt.ring_bytes = rings[r];
        h = scratch_open(&opt);
        stream = scratch_stream(h);
        len = shmc_event_bytes_max(h);
        data = malloc(len + 1);
        assert_non_null(data);
        reader_open(&reader, scratch->dir, shmc_name(h));
        for (uint32_t lap = 0; lap < 2 * rings[r] / len + 3; lap++) {
            memset(data, (int)lap, len + 1);
            assert_int_equal(shmc_write(h, stream, SHMC_BYTES, data, len + 1), -EMSGSIZE);
            assert_int_equal(shmc_write(h, stream, SHMC_BYTES, data, SIZE_MAX - lap), -EMSGSIZE);
            assert_int_equal(shmc_write(h, stream, SHMC_BYTES, data, len), 0);
            assert_true(reader_next(&reader, &frame));
            assert_int_equal(frame.len, len);
            assert_memory_equal(reader.payload, data, len);
            (void)reader_publish(&reader, SHM_POS_ACCEPTED, reader.pos);
        }
        free(data);
        reader_close(&reader);
        assert_int_equal(shmc_close(h), 0);
    }
}

#define CLAIM(f) cmocka_unit_test_setup_teardown(f, scratch_setup, scratch_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLAIM(every_length_is_copied_whole_and_nothing_beside_it),
        CLAIM(the_largest_event_fits_and_one_byte_more_does_not),
    };

    return cmocka_run_group_tests_name("frame", tests, NULL, NULL);
}
