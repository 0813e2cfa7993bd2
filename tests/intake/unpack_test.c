/*
 * unpack: streams come back as they were in any cut and with any room; damage is found; a window is
 * bounded; a datagram passes for snappy only when it is.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <snappy-c.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "intake/unpack.h"

enum { TEXT_BYTES = 100000, PACKED_MAX = 2 * TEXT_BYTES };

static uint8_t text[TEXT_BYTES], packed[PACKED_MAX];

static size_t gzip_pack(const uint8_t *data, size_t len, uint8_t *out)
{
    z_stream z = {0};

    assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = (uint8_t *)(uintptr_t)data;
    z.avail_in = (uInt)len;
    z.next_out = out;
    z.avail_out = PACKED_MAX / 2;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    len = PACKED_MAX / 2 - z.avail_out;
    assert_int_equal(deflateEnd(&z), Z_OK);
    return len;
}

static size_t pack(enum unpack_type type, const uint8_t *data, size_t len, uint8_t *out)
{
    size_t n = type == UNPACK_GZIP ? gzip_pack(data, len, out)
                                   : ZSTD_compress(out, PACKED_MAX / 2, data, len, 3);

    assert_int_equal(unpack_detect(out, n), type);
    return n;
}

/* Unpacks in pieces with little room; the bytes made, or the error. */
static size_t made_before;      /* and before the error */

static ssize_t unpack(enum unpack_type type, size_t len, size_t piece, size_t cap, uint8_t *made,
                      bool *ret_complete)
{
    struct unpacker *u;
    size_t total = 0;
    int rc = 0;

    assert_int_equal(unpacker_open(type, &u), 0);
    for (size_t at = 0; rc == 0 && at < len;) {
        size_t n = len - at < piece ? len - at : piece, used, got;

        do {
            size_t room = TEXT_BYTES + 1 - total < cap ? TEXT_BYTES + 1 - total : cap;

            rc = unpacker_step(u, packed + at, n, &used, made + total, room, &got);
            assert_true(used <= n && got <= room);
            at += used;
            n -= used;
            total += got;
            if (rc == 0 && total > TEXT_BYTES)
                fail_msg("more came out than went in");
            if (got < room && (n == 0 || rc != 0))
                break;
        } while (rc == 0);
        assert_true(unpacker_memory(u) <= unpack_memory_max(type));
    }
    made_before = total;
    *ret_complete = unpacker_complete(u);
    unpacker_close(u);
    return rc != 0 ? rc : (ssize_t)total;
}

static void fill(void)
{
    for (size_t i = 0; i < TEXT_BYTES; i++)
        text[i] = (uint8_t)(i * 2654435761U >> 13) & (i / 1000 % 2 == 0 ? 0xff : 3);
}

static void streams_come_back_however_they_are_cut(void **state)
{
    static const size_t pieces[] = {1, 7, 1000, PACKED_MAX}, caps[] = {1, 100, 65536};
    uint8_t *made = malloc(TEXT_BYTES + 1);
    bool complete;

    (void)state;
    fill();
    for (int type = UNPACK_GZIP; type <= UNPACK_ZSTD; type++) {
        size_t first = pack((enum unpack_type)type, text, TEXT_BYTES / 3, packed);
        size_t len = first + pack((enum unpack_type)type, text + TEXT_BYTES / 3,
                                  TEXT_BYTES - TEXT_BYTES / 3, packed + first);

        for (size_t p = 0; p < 4; p++)
            for (size_t c = 0; c < 3; c++) {
                assert_int_equal(unpack((enum unpack_type)type, len, pieces[p], caps[c], made,
                                        &complete), TEXT_BYTES);
                assert_memory_equal(made, text, TEXT_BYTES);
                assert_true(complete);
            }
        assert_int_equal(unpack((enum unpack_type)type, first, 1000, 100, made, &complete),
                         TEXT_BYTES / 3);
        assert_true(complete);
        assert_true(unpack((enum unpack_type)type, len - 1, 1000, 100, made, &complete) >= 0);
        assert_false(complete);
    }
    free(made);
}

static void damage_is_found(void **state)
{
    uint8_t *made = malloc(TEXT_BYTES + 1);
    bool complete;

    (void)state;
    fill();
    for (int type = UNPACK_GZIP; type <= UNPACK_ZSTD; type++) {
        size_t len = pack((enum unpack_type)type, text, TEXT_BYTES, packed);

        memcpy(packed + len, "garbage", 7);
        for (size_t cap = 100; cap < 1000000; cap *= 30) {
            assert_int_equal(unpack((enum unpack_type)type, len + 7, 1 << 20, cap, made, &complete),
                             -EBADMSG);
            /* What came before is whole. */
            assert_int_equal(made_before, TEXT_BYTES);
            assert_false(complete);
        }
        packed[0] ^= 1;
        assert_int_equal(unpack((enum unpack_type)type, len, 1000, 100, made, &complete),
                         -EBADMSG);
    }
    free(made);
}

static void a_window_is_bounded(void **state)
{
    ZSTD_CCtx *c = ZSTD_createCCtx();
    uint8_t made[100];
    ZSTD_inBuffer in = {text, TEXT_BYTES, 0};
    ZSTD_outBuffer out = {packed, sizeof(packed), 0};
    bool complete;

    (void)state;
    assert_false(ZSTD_isError(ZSTD_CCtx_setParameter(c, ZSTD_c_windowLog, 24)));
    assert_false(ZSTD_isError(ZSTD_compressStream2(c, &out, &in, ZSTD_e_continue)));
    assert_int_equal(ZSTD_compressStream2(c, &out, &in, ZSTD_e_end), 0);
    assert_int_equal(unpack(UNPACK_ZSTD, out.pos, 1000, sizeof(made), made, &complete), -EBADMSG);
    ZSTD_freeCCtx(c);
}

static void the_first_bytes_tell(void **state)
{
    (void)state;
    assert_int_equal(unpack_detect((const uint8_t *)"\x1f", 1), UNPACK_UNDECIDED);
    assert_int_equal(unpack_detect((const uint8_t *)"\x1f\x8b", 2), UNPACK_GZIP);
    assert_int_equal(unpack_detect((const uint8_t *)"\x1f ", 2), UNPACK_NONE);
    assert_int_equal(unpack_detect((const uint8_t *)"\x28\xb5\x2f", 3), UNPACK_UNDECIDED);
    assert_int_equal(unpack_detect((const uint8_t *)"\x28\xb5\x2f\xfd", 4), UNPACK_ZSTD);
    assert_int_equal(unpack_detect((const uint8_t *)"(\xb5 a", 4), UNPACK_NONE);
    assert_int_equal(unpack_detect((const uint8_t *)"a b", 3), UNPACK_NONE);
}

static void a_snappy_block_is_one_that_validates_and_is_not_too_long(void **state)
{
    size_t len = PACKED_MAX, bytes;
    uint8_t *made = malloc(TEXT_BYTES);

    (void)state;
    fill();
    assert_int_equal(snappy_compress((const char *)text, TEXT_BYTES, (char *)packed, &len),
                     SNAPPY_OK);
    bytes = unpack_snappy_bytes(packed, len, TEXT_BYTES);
    assert_int_equal(bytes, TEXT_BYTES);
    assert_int_equal(unpack_snappy(packed, len, made, bytes), 0);
    assert_memory_equal(made, text, TEXT_BYTES);
    assert_int_equal(unpack_snappy_bytes(packed, len, TEXT_BYTES - 1), 0);
    assert_int_equal(unpack_snappy_bytes(packed, len - 1, TEXT_BYTES), 0);
    assert_int_equal(unpack_snappy_bytes((const uint8_t *)"clicks {\"a\":1}\n", 15, 1000), 0);
    assert_int_equal(unpack_snappy_bytes(packed, 0, 1000), 0);
    free(made);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(streams_come_back_however_they_are_cut),
        cmocka_unit_test(damage_is_found),
        cmocka_unit_test(a_window_is_bounded),
        cmocka_unit_test(the_first_bytes_tell),
        cmocka_unit_test(a_snappy_block_is_one_that_validates_and_is_not_too_long),
    };

    return cmocka_run_group_tests_name("unpack", tests, NULL, NULL);
}
