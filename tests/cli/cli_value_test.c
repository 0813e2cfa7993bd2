/*
 * cli_value: what is not there, or of another type, reads as nothing.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "cli/cli_value.h"

static void what_is_there_is_read_and_the_rest_is_nothing(void **state)
{
    json_t *json = json_pack("{s:i, s:s, s:n, s:{s:i, s:i, s:s}}", "n", 7, "s", "text", "none",
                             "counts", "a", 1, "b", 2, "c", "x");

    (void)state;
    assert_int_equal(cli_number(json, "n"), 7);
    assert_int_equal(cli_number(json, "s"), 0);
    assert_int_equal(cli_number(json, "missing"), 0);
    assert_int_equal(cli_number(NULL, "n"), 0);
    assert_string_equal(cli_string(json, "s"), "text");
    assert_string_equal(cli_string(json, "none"), "");
    assert_string_equal(cli_string(json, "n"), "");
    assert_string_equal(cli_string(NULL, "s"), "");
    assert_int_equal(cli_sum(json_object_get(json, "counts")), 3);
    assert_int_equal(cli_sum(NULL), 0);
    json_decref(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_there_is_read_and_the_rest_is_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
