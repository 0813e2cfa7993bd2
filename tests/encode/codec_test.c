/*
 * codec: what comes out is read back by each library's own decompressor, at every level, and never
 * exceeds the bound, whatever goes in.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <lz4.h>
#include <snappy-c.h>
#include <zlib.h>
#include <zstd.h>

#include "encode/codec.h"
#include "support/rng.h"

enum { BLOCK_MAX = 3 << 20, GUARD = 64, GUARD_BYTE = 0xa7 };

enum content { ZEROS, NOISE, WORDS, CONTENT_COUNT };

static void fill(enum content content, uint8_t *data, size_t len)
{
    static const char *const words[] = {"GET ", "/index.html", " 200 ", "https://", "user=", "\n"};
    uint64_t state = 0x9e3779b97f4a7c15ULL;
    size_t at = 0;

    memset(data, 0, len);
    while (content != ZEROS && at < len) {
        uint64_t r = rng_next(&state);
        const char *word = words[r % (sizeof(words) / sizeof(words[0]))];
        size_t n = content == NOISE ? sizeof(r) : strlen(word);

        n = n < len - at ? n : len - at;
        memcpy(data + at, content == NOISE ? (const void *)&r : word, n);
        at += n;
    }
}

static void decompress_gzip(const uint8_t *data, size_t len, uint8_t *ret_data, size_t expected)
{
    z_stream s = {.next_in = (Bytef *)data, .avail_in = (uInt)len, .next_out = ret_data,
                  .avail_out = (uInt)expected + 1};

    assert_int_equal(inflateInit2(&s, 15 + 16), Z_OK);
    assert_int_equal(inflate(&s, Z_FINISH), Z_STREAM_END);
    assert_int_equal(s.total_out, expected);
    assert_int_equal(s.avail_in, 0);
    assert_int_equal(inflateEnd(&s), Z_OK);
}

/* ret_data has one byte more than expected. */
static void decompress(enum codec_type type, const uint8_t *data, size_t len, uint8_t *ret_data,
                       size_t expected)
{
    size_t room = expected + 1;

    switch (type) {
    case CODEC_SNAPPY:
        assert_int_equal(snappy_uncompress((const char *)data, len, (char *)ret_data, &room),
                         SNAPPY_OK);
        assert_int_equal(room, expected);
        break;
    case CODEC_GZIP:
        decompress_gzip(data, len, ret_data, expected);
        break;
    case CODEC_ZSTD:
        assert_int_equal(ZSTD_getFrameContentSize(data, len), expected);
        assert_int_equal(ZSTD_decompress(ret_data, room, data, len), expected);
        break;
    case CODEC_LZ4_RAW:
        assert_int_equal(LZ4_decompress_safe((const char *)data, (char *)ret_data, (int)len,
                                             (int)room), expected);
        break;
    default:
        assert_int_equal(len, expected);
        memcpy(ret_data, data, len);
    }
}

static void check(struct codec *c, enum codec_type type, int level, const uint8_t *data,
                  size_t len)
{
    size_t max = codec_bytes_max(type, len), got = 0;
    uint8_t *out = malloc(max + GUARD), *back = malloc(len + 1);

    assert_non_null(out);
    assert_non_null(back);
    memset(out + max, GUARD_BYTE, GUARD);
    assert_int_equal(codec_compress(c, type, level, data, len, out, &got), 0);
    assert_true(got <= max);
    for (size_t i = 0; i < GUARD; i++)
        assert_int_equal(out[max + i], GUARD_BYTE);
    decompress(type, out, got, back, len);
    assert_memory_equal(back, data, len);
    free(out);
    free(back);
}

static void gives_back_what_went_in_at_every_level(void **state)
{
    static const size_t sizes[] = {1, 2, 7, 64, 1000, 65535, 65536};
    uint8_t *data = malloc(BLOCK_MAX);
    struct codec *c = codec_open();

    (void)state;
    assert_non_null(data);
    assert_non_null(c);
    for (int type = 0; type < CODEC_COUNT; type++) {
        int min = 0, max = 0;
        bool choice = codec_levels((enum codec_type)type, &min, &max);

        for (int content = 0; content < CONTENT_COUNT; content++) {
            fill((enum content)content, data, BLOCK_MAX);
            check(c, (enum codec_type)type, CODEC_LEVEL_USUAL, data, BLOCK_MAX);
            for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
                check(c, (enum codec_type)type, CODEC_LEVEL_USUAL, data, sizes[s]);
                for (int level = min; choice && level <= max; level++)
                    check(c, (enum codec_type)type, level, data, sizes[s]);
            }
        }
    }
    codec_close(c);
    free(data);
}

static void takes_a_block_of_nothing(void **state)
{
    struct codec *c = codec_open();

    (void)state;
    assert_non_null(c);
    for (int type = 0; type < CODEC_COUNT; type++) {
        uint8_t out[2048], back[1];
        size_t got = 0;

        assert_true(codec_bytes_max((enum codec_type)type, 0) <= sizeof(out));
        assert_int_equal(codec_compress(c, (enum codec_type)type, CODEC_LEVEL_USUAL, NULL, 0, out,
                                        &got), 0);
        decompress((enum codec_type)type, out, got, back, 0);
    }
    codec_close(c);
}

static void makes_blocks_of_words_smaller(void **state)
{
    uint8_t *data = malloc(BLOCK_MAX);
    struct codec *c = codec_open();

    (void)state;
    assert_non_null(data);
    fill(WORDS, data, BLOCK_MAX);
    for (int type = CODEC_SNAPPY; type < CODEC_COUNT; type++) {
        uint8_t *out = malloc(codec_bytes_max((enum codec_type)type, BLOCK_MAX));
        size_t got = BLOCK_MAX;

        assert_non_null(out);
        assert_int_equal(codec_compress(c, (enum codec_type)type, CODEC_LEVEL_USUAL, data,
                                        BLOCK_MAX, out, &got), 0);
        assert_true(got < BLOCK_MAX / 2);
        free(out);
    }
    codec_close(c);
    free(data);
}

static void refuses_blocks_beyond_its_limit(void **state)
{
    struct codec *c = codec_open();
    uint8_t byte = 0;
    size_t got;

    (void)state;
    for (int type = 0; type < CODEC_COUNT; type++)
        assert_int_equal(codec_compress(c, (enum codec_type)type, CODEC_LEVEL_USUAL, &byte,
                                        CODEC_BLOCK_BYTES_MAX + 1, &byte, &got), -EMSGSIZE);
    codec_close(c);
    codec_close(NULL);
}

static void knows_its_names_and_levels(void **state)
{
    (void)state;
    for (int type = 0; type < CODEC_COUNT; type++) {
        assert_int_equal(codec_find(codec_name((enum codec_type)type)), type);
        assert_true(codec_level_valid((enum codec_type)type, CODEC_LEVEL_USUAL));
        assert_false(codec_level_valid((enum codec_type)type, -2));
        assert_false(codec_level_valid((enum codec_type)type, 100));
    }
    assert_int_equal(codec_find("brotli"), CODEC_COUNT);
    assert_int_equal(codec_find(""), CODEC_COUNT);
    assert_false(codec_level_valid(CODEC_NONE, 1));
    assert_false(codec_level_valid(CODEC_SNAPPY, 1));
    assert_true(codec_level_valid(CODEC_GZIP, 9));
    assert_false(codec_level_valid(CODEC_GZIP, 10));
    assert_true(codec_level_valid(CODEC_ZSTD, 22));
    assert_true(codec_level_valid(CODEC_LZ4_RAW, 12));
    assert_false(codec_level_valid(CODEC_LZ4_RAW, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_back_what_went_in_at_every_level),
        cmocka_unit_test(takes_a_block_of_nothing),
        cmocka_unit_test(makes_blocks_of_words_smaller),
        cmocka_unit_test(refuses_blocks_beyond_its_limit),
        cmocka_unit_test(knows_its_names_and_levels),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
