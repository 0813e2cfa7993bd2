/*
 * name: which stream names are valid.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "flow/name.h"

static void takes_letters_digits_and_inner_marks(void **state)
{
    static const char *const good[] = { "a", "Z", "0", "git-log", "a_b.c-d", "9..", "a-", "A_" };

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_true(stream_name_valid(good[i], strlen(good[i])));
}

static void refuses_all_else(void **state)
{
    static const char *const bad[] = {
        "", ".a", "-a", "_a", ".", "..", "a/b", "a b", " a", "a\n", "a\\b", "a%", "a:b", "a*",
        "\xc3\xa4", "a\xc3\xa4", "a\x7f"
    };

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(stream_name_valid(bad[i], strlen(bad[i])));
    assert_false(stream_name_valid("a\0b", 3));
}

static void the_first_byte_and_the_others_have_their_own_sets(void **state)
{
    static const char first[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    static const char marks[] = "_.-";

    (void)state;
    for (int c = 1; c < 256; c++) {
        const char alone[1] = { (char)c };
        const char second[2] = { 'a', (char)c };
        bool plain = strchr(first, (char)c) != NULL;

        assert_int_equal(stream_name_valid(alone, 1), plain);
        assert_int_equal(stream_name_valid(second, 2), plain || strchr(marks, (char)c) != NULL);
    }
}

static void looks_at_len_bytes_and_no_further(void **state)
{
    char name[STREAM_NAME_MAX + 2];

    (void)state;
    memset(name, 'a', sizeof(name));
    assert_true(stream_name_valid(name, STREAM_NAME_MAX));
    assert_false(stream_name_valid(name, STREAM_NAME_MAX + 1));
    name[3] = '/';
    assert_true(stream_name_valid(name, 3));
    assert_false(stream_name_valid(name, 4));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_letters_digits_and_inner_marks),
        cmocka_unit_test(refuses_all_else),
        cmocka_unit_test(the_first_byte_and_the_others_have_their_own_sets),
        cmocka_unit_test(looks_at_len_bytes_and_no_further),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
