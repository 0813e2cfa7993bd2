/*
 * cli_send_pack: what comes out is read back by zlib.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "cli/cli_send_pack.h"

static void without_gzip_nothing_is_copied(void **state)
{
    struct send_pack p;
    const uint8_t *out;
    size_t len;

    (void)state;
    assert_int_equal(send_pack_init(&p, false), 0);
    assert_int_equal(send_pack(&p, (const uint8_t *)"one\n", 4, &out, &len), 0);
    assert_memory_equal(out, "one\n", 4);
    assert_int_equal(len, 4);
    send_pack_fini(&p);
}

static void each_batch_is_a_member_of_its_own(void **state)
{
    static uint8_t batch[300000], back[sizeof(batch)];
    static const size_t sizes[] = { 1, 300000, 17, 65536 };
    struct send_pack p;

    (void)state;
    for (size_t i = 0; i < sizeof(batch); i++)
        batch[i] = (uint8_t)((i * i) >> (i % 7));
    assert_int_equal(send_pack_init(&p, true), 0);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        z_stream z = { .avail_out = sizeof(back), .next_out = back };
        const uint8_t *out;
        size_t len;

        assert_int_equal(send_pack(&p, batch, sizes[i], &out, &len), 0);
        z.next_in = (z_const Bytef *)(uintptr_t)out;
        z.avail_in = (uInt)len;
        assert_int_equal(inflateInit2(&z, 15 + 16), Z_OK);
        assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
        assert_int_equal(z.total_out, sizes[i]);
        assert_int_equal(z.avail_in, 0);
        assert_memory_equal(back, batch, sizes[i]);
        assert_int_equal(inflateEnd(&z), Z_OK);
    }
    send_pack_fini(&p);
    send_pack_fini(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_gzip_nothing_is_copied),
        cmocka_unit_test(each_batch_is_a_member_of_its_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
