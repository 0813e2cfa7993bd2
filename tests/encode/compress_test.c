/*
 * Claims about compressed files: libraries and the tools that people use read them back, they
 * depend on the content alone, a compressor goes from file to file, and no bound is exceeded.
 *
 * Snappy's framing, for which Debian has no tool that works, is read by a decoder of our own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <lz4frame.h>
#include <snappy-c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "base/crc32c.h"
#include "encode/compress.h"
#include "encode/row_writer.h"

enum { DATA_MAX = 400 * 1000 };

/* --- contents ------------------------------------------------------------------------------- */

enum content { CONTENT_TEXT, CONTENT_NOISE, CONTENT_ZEROS, CONTENT_MIXED, CONTENT_COUNT };

static void fill(uint8_t *data, size_t len, enum content content)
{
    char line[64];
    size_t at = 0;

    if (content == CONTENT_ZEROS) {
        memset(data, 0, len);
        return;
    }
    while (at < len) {
        bool noise = content == CONTENT_NOISE || (content == CONTENT_MIXED && random() % 400 == 0);
        size_t n = (size_t)snprintf(line, sizeof(line), "{\"n\":%ld,\"u\":\"%ld\"}\n", random(),
                                    random() % 1000);

        n = noise ? 4096 : n;
        n = n < len - at ? n : len - at;
        if (noise)
            for (size_t i = 0; i < n; i++)
                data[at + i] = (uint8_t)random();
        else
            memcpy(data + at, line, n);
        at += n;
    }
}

/* --- readers -------------------------------------------------------------------------------- */

static void gzip_read(const struct bytes *in, struct bytes *out)
{
    z_stream s = {.next_in = in->data, .avail_in = (uInt)in->len};

    assert_int_equal(inflateInit2(&s, 31), Z_OK);
    s.next_out = out->data;
    s.avail_out = (uInt)out->cap;
    assert_int_equal(inflate(&s, Z_FINISH), Z_STREAM_END);
    assert_int_equal(s.avail_in, 0);            /* one member */
    out->len = s.total_out;
    assert_int_equal(inflateEnd(&s), Z_OK);
}

static void zstd_read(const struct bytes *in, struct bytes *out)
{
    assert_int_equal(ZSTD_findFrameCompressedSize(in->data, in->len), in->len);
    out->len = ZSTD_decompress(out->data, out->cap, in->data, in->len);
    assert_false(ZSTD_isError(out->len));
}

static void lz4_read(const struct bytes *in, struct bytes *out)
{
    size_t taken = 0, left = 1;
    LZ4F_dctx *context;

    assert_false(LZ4F_isError(LZ4F_createDecompressionContext(&context, LZ4F_VERSION)));
    while (left != 0) {
        size_t n = in->len - taken, made = out->cap - out->len;

        assert_true(n > 0);
        left = LZ4F_decompress(context, out->data + out->len, &made, in->data + taken, &n, NULL);
        assert_false(LZ4F_isError(left));
        taken += n;
        out->len += made;
    }
    assert_int_equal(taken, in->len);
    (void)LZ4F_freeDecompressionContext(context);
}

static void snappy_read(const struct bytes *in, struct bytes *out)
{
    size_t at = 10;

    assert_true(in->len >= 10);
    assert_memory_equal(in->data, "\xff\x06\0\0sNaPpY", 10);
    while (at < in->len) {
        uint32_t head = bytes_get_u32(in->data + at), crc;
        size_t len = head >> 8, made = out->cap - out->len;

        assert_true(len > 4 && len <= in->len - at - 4);
        assert_true((head & 0xff) <= 1);
        if ((head & 0xff) == 0) {
            assert_int_equal(snappy_uncompress((char *)in->data + at + 8, len - 4,
                                               (char *)out->data + out->len, &made), SNAPPY_OK);
        } else {
            made = len - 4;
            memcpy(out->data + out->len, in->data + at + 8, made);
        }
        assert_true(made <= 65536);
        crc = crc32c(0, out->data + out->len, made);
        assert_int_equal(bytes_get_u32(in->data + at + 4),
                         ((crc >> 15 | crc << 17) + 0xa282ead8U) & 0xffffffffU);
        out->len += made;
        at += len + 4;
    }
}

typedef void (*read_fn)(const struct bytes *in, struct bytes *out);
static const read_fn readers[COMPRESS_TYPE_COUNT] = {NULL, gzip_read, zstd_read, snappy_read,
                                                     lz4_read};

static void expect_content(enum compress_type type, const struct bytes *file, const uint8_t *data,
                           size_t len)
{
    struct bytes back = BYTES_INIT;

    assert_int_equal(bytes_reserve(&back, len + 70000), 0);
    readers[type](file, &back);
    assert_int_equal(back.len, len);
    if (len > 0)
        assert_memory_equal(back.data, data, len);
    bytes_free(&back);
}

/* --- writing -------------------------------------------------------------------------------- */

static struct compressor *opened(enum compress_type type, int level)
{
    struct compressor *c;

    assert_int_equal(compressor_open(type, level, &c), 0);
    return c;
}

/* In pieces of up to `piece` bytes; each call's bound is held. */
static void write_file(struct compressor *c, const uint8_t *data, size_t len, size_t piece,
                       struct bytes *out)
{
    struct block_chain chain;
    uint64_t before = 0, most;

    bytes_clear(out);
    written_begin(&chain, 0, 0);
    for (size_t at = 0; at < len;) {
        size_t n = 1 + (size_t)random() % piece;

        n = n < len - at ? n : len - at;
        most = compressor_run_bytes_max(c, n);
        assert_true(chain_reserve(&chain, most));
        assert_int_equal(compressor_run(c, data + at, n, &chain), 0);
        assert_true(chain.total - before <= most);
        before = chain.total;
        at += n;
    }
    most = compressor_finish_bytes_max(c);
    assert_true(chain_reserve(&chain, most));
    assert_int_equal(compressor_finish(c, &chain), 0);
    assert_true(chain.total - before <= most);
    (void)written_end(&chain, 0, out);
}

static int levels_of(enum compress_type type, int *ret_levels)
{
    const struct compress_info *info = compress_info(type);
    int count = 0;

    ret_levels[count++] = COMPRESS_LEVEL_USUAL;
    for (int level = info->level_min; level <= info->level_max; level++)
        /* The highest of zstd are slow and no other way. */
        if (type != COMPRESS_ZSTD || level <= 6 || level == info->level_max)
            ret_levels[count++] = level;
    return count;
}

static void names_extensions_and_levels(void **state)
{
    struct compressor *c;

    (void)state;
    for (int type = 0; type < COMPRESS_TYPE_COUNT; type++)
        assert_int_equal(compress_find(compress_info((enum compress_type)type)->name), type);
    assert_int_equal(compress_find("bzip2"), COMPRESS_TYPE_COUNT);
    assert_string_equal(compress_info(COMPRESS_GZIP)->extension, ".gz");
    assert_string_equal(compress_info(COMPRESS_ZSTD)->extension, ".zst");
    assert_string_equal(compress_info(COMPRESS_SNAPPY)->extension, ".sz");
    assert_string_equal(compress_info(COMPRESS_LZ4)->extension, ".lz4");
    assert_string_equal(compress_info(COMPRESS_NONE)->extension, "");
    assert_int_equal(compressor_open(COMPRESS_NONE, -1, &c), -EINVAL);
    assert_int_equal(compressor_open(COMPRESS_GZIP, 10, &c), -EINVAL);
    assert_int_equal(compressor_open(COMPRESS_ZSTD, 0, &c), -EINVAL);
    assert_int_equal(compressor_open(COMPRESS_LZ4, -2, &c), -EINVAL);
    assert_int_equal(compressor_open(COMPRESS_SNAPPY, 1, &c), -EINVAL);
    compressor_close(NULL);
}

static void slow_are_the_upper_levels_of_those_that_have_some(void **state)
{
    (void)state;
    for (int type = 0; type < COMPRESS_TYPE_COUNT; type++)
        assert_false(compress_slow((enum compress_type)type, COMPRESS_LEVEL_USUAL));
    assert_false(compress_slow(COMPRESS_GZIP, 3));
    assert_true(compress_slow(COMPRESS_GZIP, 4));
    assert_false(compress_slow(COMPRESS_ZSTD, 5));
    assert_true(compress_slow(COMPRESS_ZSTD, 6));
    assert_false(compress_slow(COMPRESS_LZ4, 8));
    assert_true(compress_slow(COMPRESS_LZ4, 9));
    assert_false(compress_slow(COMPRESS_SNAPPY, 0));
    assert_false(compress_slow(COMPRESS_NONE, 19));     /* of what compresses inside the format */
}

static void every_level_reads_back_within_its_bounds(void **state)
{
    static const size_t sizes[] = {0, 1, 100, 65535, 65536, 65537, 131072, 262144, 390000};
    uint8_t *data = malloc(DATA_MAX);
    struct bytes file = BYTES_INIT;

    (void)state;
    srandom(1);
    for (int type = COMPRESS_GZIP; type < COMPRESS_TYPE_COUNT; type++) {
        int levels[32], count = levels_of((enum compress_type)type, levels);

        for (int i = 0; i < count; i++) {
            struct compressor *c = opened((enum compress_type)type, levels[i]);

            assert_true(compressor_memory(c) > 65536);
            for (size_t n = 0; n < sizeof(sizes) / sizeof(sizes[0]); n++) {
                fill(data, sizes[n], (enum content)((n + (size_t)i) % CONTENT_COUNT));
                write_file(c, data, sizes[n], 40000, &file);
                expect_content((enum compress_type)type, &file, data, sizes[n]);
            }
            compressor_close(c);
        }
    }
    bytes_free(&file);
    free(data);
}

/* Output of every length around the size of a codec's buffer: noise is as long as its file. */
static void a_file_may_end_anywhere_in_a_buffer(void **state)
{
    uint8_t *data = malloc(DATA_MAX);
    struct bytes file = BYTES_INIT;

    (void)state;
    srandom(4);
    fill(data, DATA_MAX, CONTENT_NOISE);
    for (int level = 0; level <= 4; level++) {
        struct compressor *c = opened(COMPRESS_GZIP, level);

        for (size_t len = 65536 - 90; len < 65536 + 40; len++) {
            write_file(c, data, len, len, &file);
            expect_content(COMPRESS_GZIP, &file, data, len);
            write_file(c, data, len * 2, len, &file);
            expect_content(COMPRESS_GZIP, &file, data, len * 2);
        }
        compressor_close(c);
    }
    bytes_free(&file);
    free(data);
}

static void the_same_content_gives_the_same_file_however_it_arrives(void **state)
{
    uint8_t *data = malloc(DATA_MAX), *other = malloc(DATA_MAX);
    struct bytes file = BYTES_INIT, again = BYTES_INIT;

    (void)state;
    srandom(2);
    fill(data, DATA_MAX, CONTENT_MIXED);
    fill(other, DATA_MAX, CONTENT_TEXT);
    for (int type = COMPRESS_GZIP; type < COMPRESS_TYPE_COUNT; type++) {
        int levels[32], count = levels_of((enum compress_type)type, levels);

        for (int i = 0; i < count; i++) {
            struct compressor *c = opened((enum compress_type)type, levels[i]);
            struct block_chain chain;

            write_file(c, data, DATA_MAX, DATA_MAX, &file);
            /* After another file, and after one that was given up. */
            write_file(c, other, DATA_MAX, 1000, &again);
            written_begin(&chain, 0, compressor_run_bytes_max(c, 300000));
            assert_int_equal(compressor_run(c, other, 300000, &chain), 0);
            (void)written_end(&chain, 0, &again);
            compressor_reset(c);
            write_file(c, data, DATA_MAX, 900, &again);
            assert_int_equal(again.len, file.len);
            assert_memory_equal(again.data, file.data, file.len);
            compressor_close(c);
        }
    }
    bytes_free(&file);
    bytes_free(&again);
    free(data);
    free(other);
}

static void gzip_says_neither_time_nor_name(void **state)
{
    struct bytes file = BYTES_INIT;

    (void)state;
    for (int level = 0; level <= 9; level++) {
        struct compressor *c = opened(COMPRESS_GZIP, level);

        write_file(c, (const uint8_t *)"abc", 3, 3, &file);
        assert_memory_equal(file.data, "\x1f\x8b\x08\0\0\0\0\0", 8);
        compressor_close(c);
    }
    bytes_free(&file);
}

/* --- tools ---------------------------------------------------------------------------------- */

static int temporary(const struct bytes *content)
{
    char name[] = "/tmp/compress_test.XXXXXX";
    int fd = mkstemp(name);

    assert_true(fd >= 0);
    assert_int_equal(unlink(name), 0);
    if (content != NULL) {
        assert_int_equal(write(fd, content->data, content->len), content->len);
        assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    }
    return fd;
}

/* The tool reads the file from its input and writes the content to its output. */
static void expect_tool(char *const argv[], const struct bytes *file, const uint8_t *data,
                        size_t len)
{
    int in = temporary(file), out = temporary(NULL), status;
    uint8_t *back = malloc(len + 1);
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        if (dup2(in, 0) == 0 && dup2(out, 1) == 1)
            (void)execvp(argv[0], argv);
        _exit(127);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (status != 0)
        fail_msg("%s: status %x", argv[0], (unsigned)status);
    assert_int_equal(pread(out, back, len + 1, 0), len);
    assert_memory_equal(back, data, len);
    free(back);
    (void)close(in);
    (void)close(out);
}

static void tools_read_what_they_are_for(void **state)
{
    static char python_zlib[] = "import sys, zlib; sys.stdout.buffer.write("
                                "zlib.decompress(sys.stdin.buffer.read(), 31))";
    static char *const tools[][5] = {
        {"gzip", "-dc", NULL},
        {"/usr/bin/python3", "-c", python_zlib, NULL},
        {"zstd", "-dc", NULL},
        {"lz4", "-dc", NULL},
    };
    static const enum compress_type types[] = {COMPRESS_GZIP, COMPRESS_GZIP, COMPRESS_ZSTD,
                                               COMPRESS_LZ4};
    uint8_t *data = malloc(DATA_MAX);
    struct bytes file = BYTES_INIT;

    (void)state;
    srandom(3);
    fill(data, DATA_MAX, CONTENT_MIXED);
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        const struct compress_info *info = compress_info(types[i]);
        const int levels[] = {COMPRESS_LEVEL_USUAL, info->level_min, info->level_max};

        for (size_t l = 0; l < sizeof(levels) / sizeof(levels[0]); l++) {
            struct compressor *c = opened(types[i], levels[l]);

            write_file(c, data, DATA_MAX, 100000, &file);
            expect_tool(tools[i], &file, data, DATA_MAX);
            compressor_close(c);
        }
    }
    bytes_free(&file);
    free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_extensions_and_levels),
        cmocka_unit_test(slow_are_the_upper_levels_of_those_that_have_some),
        cmocka_unit_test(every_level_reads_back_within_its_bounds),
        cmocka_unit_test(a_file_may_end_anywhere_in_a_buffer),
        cmocka_unit_test(the_same_content_gives_the_same_file_however_it_arrives),
        cmocka_unit_test(gzip_says_neither_time_nor_name),
        cmocka_unit_test(tools_read_what_they_are_for),
    };

    return cmocka_run_group_tests_name("compress", tests, NULL, NULL);
}
