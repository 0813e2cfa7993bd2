/*
 * bytes: growth, formatting, stored words, rounding, hex.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

static void appends_keep_every_byte_across_growth(void **state)
{
    struct bytes b = BYTES_INIT;

    (void)state;
    for (int i = 0; i < 10000; i++)
        assert_int_equal(bytes_append_char(&b, (char)i), 0);
    assert_int_equal(b.len, 10000);
    for (int i = 0; i < 10000; i++)
        assert_int_equal(b.data[i], (uint8_t)i);
    bytes_free(&b);
    assert_null(b.data);
    assert_int_equal(b.cap, 0);
    bytes_free(&b);
}

static void a_reservation_too_large_fails_and_keeps_the_contents(void **state)
{
    struct bytes b = BYTES_INIT;

    (void)state;
    assert_int_equal(bytes_append_str(&b, "kept"), 0);
    assert_int_equal(bytes_reserve(&b, SIZE_MAX), -ENOMEM);
    assert_int_equal(bytes_reserve(&b, SIZE_MAX / 2), -ENOMEM);
    assert_string_equal(bytes_cstr(&b), "kept");
    bytes_free(&b);
}

static void printf_appends_behind_what_is_there(void **state)
{
    struct bytes b = BYTES_INIT;
    char *text;

    (void)state;
    assert_int_equal(bytes_append_str(&b, "a="), 0);
    assert_int_equal(bytes_printf(&b, "%d %0200d", 7, 5), 0);
    assert_int_equal(b.len, 2 + 2 + 200);
    text = bytes_take_cstr(&b);
    assert_null(b.data);
    assert_int_equal(strncmp(text, "a=7 000", 7), 0);
    assert_int_equal(strlen(text), 204);
    free(text);
}

static void empty_appends_need_no_data(void **state)
{
    struct bytes b = BYTES_INIT;

    (void)state;
    assert_int_equal(bytes_append(&b, NULL, 0), 0);
    assert_int_equal(b.len, 0);
    assert_string_equal(bytes_cstr(&b), "");
    bytes_free(&b);
}

static void words_are_stored_little_endian_at_any_address(void **state)
{
    static const uint8_t want[] = { 0x34, 0x12, 0x78, 0x56, 0x34, 0x12,
                                    0xf0, 0xde, 0xbc, 0x9a, 0x78, 0x56, 0x34, 0x12 };
    uint8_t at[1 + sizeof(want)];

    (void)state;
    bytes_put_u16(at + 1, 0x1234);
    bytes_put_u32(at + 3, 0x12345678);
    bytes_put_u64(at + 7, 0x123456789abcdef0);
    assert_memory_equal(at + 1, want, sizeof(want));
    assert_int_equal(bytes_get_u16(at + 1), 0x1234);
    assert_int_equal(bytes_get_u32(at + 3), 0x12345678);
    assert_true(bytes_get_u64(at + 7) == 0x123456789abcdef0);
}

static void rounding_goes_to_the_next_multiple(void **state)
{
    (void)state;
    assert_int_equal(bytes_round_up(0, 8), 0);
    assert_int_equal(bytes_round_up(1, 8), 8);
    assert_int_equal(bytes_round_up(8, 8), 8);
    assert_int_equal(bytes_round_down(4097, 4096), 4096);
    assert_int_equal(bytes_round_down(4095, 4096), 0);
    assert_true(bytes_is_pow2(1));
    assert_true(bytes_is_pow2(4096));
    assert_false(bytes_is_pow2(0));
    assert_false(bytes_is_pow2(12));
}

static void hex_has_two_digits_a_byte(void **state)
{
    char text[7];

    (void)state;
    bytes_hex(text, "\x00\xaf\x10", 3);
    assert_string_equal(text, "00af10");
    bytes_hex(text, "", 0);
    assert_string_equal(text, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(appends_keep_every_byte_across_growth),
        cmocka_unit_test(a_reservation_too_large_fails_and_keeps_the_contents),
        cmocka_unit_test(printf_appends_behind_what_is_there),
        cmocka_unit_test(empty_appends_need_no_data),
        cmocka_unit_test(words_are_stored_little_endian_at_any_address),
        cmocka_unit_test(rounding_goes_to_the_next_multiple),
        cmocka_unit_test(hex_has_two_digits_a_byte),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
