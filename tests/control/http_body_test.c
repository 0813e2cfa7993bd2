/*
 * http_body: what is kept within the budget, and what is unpacked within a bound.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

#include "control/http_body.h"

enum { PLAIN_BYTES = 300000 };

static struct bytes packed(enum unpack_type type, const void *data, size_t len)
{
    struct bytes out = BYTES_INIT;
    z_stream z = {0};

    assert_int_equal(bytes_reserve(&out, ZSTD_compressBound(len) + 1000), 0);
    if (type == UNPACK_ZSTD) {
        out.len = ZSTD_compress(out.data, out.cap, data, len, 1);
        assert_false(ZSTD_isError(out.len));
        return out;
    }
    assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = (uint8_t *)(uintptr_t)data;
    z.avail_in = (uInt)len;
    z.next_out = out.data;
    z.avail_out = (uInt)out.cap;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    out.len = out.cap - z.avail_out;
    assert_int_equal(deflateEnd(&z), Z_OK);
    return out;
}

static void both_codings_are_unpacked(void **state)
{
    static const enum unpack_type types[] = {UNPACK_GZIP, UNPACK_ZSTD};
    struct http_budget budget = {0, 8 << 20};
    uint8_t *plain = malloc(PLAIN_BYTES);

    (void)state;
    assert_non_null(plain);
    for (size_t i = 0; i < PLAIN_BYTES; i++)
        plain[i] = (uint8_t)(i * i >> 7);
    for (size_t t = 0; t < 2; t++) {
        struct http_body b = {.budget = &budget};
        struct bytes in = packed(types[t], plain, PLAIN_BYTES);

        for (size_t at = 0; at < in.len; at += 1000)
            assert_int_equal(http_body_append(&b, in.data + at,
                                              in.len - at < 1000 ? in.len - at : 1000), 0);
        assert_int_equal(http_body_unpack(&b, types[t], PLAIN_BYTES), 0);
        assert_int_equal(b.bytes.len, PLAIN_BYTES);
        assert_memory_equal(b.bytes.data, plain, PLAIN_BYTES);
        http_body_free(&b);

        /* Larger than it may be; cut short; damaged. */
        assert_int_equal(http_body_append(&b, in.data, in.len), 0);
        assert_int_equal(http_body_unpack(&b, types[t], PLAIN_BYTES - 1), -EFBIG);
        assert_int_equal(http_body_append(&b, in.data, in.len - 1), 0);
        assert_int_equal(http_body_unpack(&b, types[t], PLAIN_BYTES), -EBADMSG);
        assert_int_equal(http_body_append(&b, "no", 2), 0);
        assert_int_equal(http_body_unpack(&b, types[t], PLAIN_BYTES), -EBADMSG);
        assert_int_equal(http_body_unpack(&b, types[t], PLAIN_BYTES), -EBADMSG);    /* empty */
        assert_int_equal(budget.used, 0);
        bytes_free(&in);
    }
    free(plain);
}

static void a_bomb_is_stopped_by_bound_or_budget(void **state)
{
    struct http_budget budget = {0, 1 << 20};
    struct http_body b = {.budget = &budget};
    uint8_t *zeros = calloc(1, 32 << 20);
    struct bytes in;

    (void)state;
    assert_non_null(zeros);
    in = packed(UNPACK_GZIP, zeros, 32 << 20);
    free(zeros);
    assert_int_equal(http_body_append(&b, in.data, in.len), 0);
    assert_int_equal(http_body_unpack(&b, UNPACK_GZIP, 100000), -EFBIG);
    assert_int_equal(http_body_append(&b, in.data, in.len), 0);
    assert_int_equal(http_body_unpack(&b, UNPACK_GZIP, 32 << 20), -ENOBUFS);
    assert_int_equal(budget.used, 0);
    bytes_free(&in);
}

static void the_budget_is_shared_and_given_back(void **state)
{
    struct http_budget budget = {0, 10000};
    struct http_body a = {.budget = &budget}, b = {.budget = &budget};
    static const uint8_t data[3000];

    (void)state;
    assert_int_equal(http_body_append(&a, data, sizeof(data)), 0);
    assert_int_equal(http_body_append(&b, data, sizeof(data)), -ENOBUFS);
    http_body_free(&a);
    assert_int_equal(http_body_append(&b, data, sizeof(data)), 0);
    http_body_free(&b);
    assert_int_equal(budget.used, 0);
}

static void other_codings_are_not_taken(void **state)
{
    static const char *const bad[] = {"aws-chunked", "br", "deflate", "", "gzip, zstd"};
    enum unpack_type type;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(http_body_coding(bad[i], &type));
    assert_true(http_body_coding(NULL, &type));
    assert_int_equal(type, UNPACK_NONE);
    assert_true(http_body_coding("GZIP", &type));
    assert_int_equal(type, UNPACK_GZIP);
    assert_true(http_body_coding("zstd", &type));
    assert_int_equal(type, UNPACK_ZSTD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_codings_are_unpacked),
        cmocka_unit_test(a_bomb_is_stopped_by_bound_or_budget),
        cmocka_unit_test(the_budget_is_shared_and_given_back),
        cmocka_unit_test(other_codings_are_not_taken),
    };

    return cmocka_run_group_tests_name("http_body", tests, NULL, NULL);
}
