/*
 * line_fault: each reason has a name that can stand in a label, and words of its own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "flow/line_fault.h"

static void names_fit_labels_and_differ(void **state)
{
    (void)state;
    for (int i = 0; i < LINE_FAULT_COUNT; i++) {
        assert_non_null(line_fault_names[i]);
        assert_non_null(line_fault_words[i]);
        assert_int_equal(strspn(line_fault_names[i], "abcdefghijklmnopqrstuvwxyz_"),
                         strlen(line_fault_names[i]));
        for (int k = 0; k < i; k++) {
            assert_string_not_equal(line_fault_names[i], line_fault_names[k]);
            assert_string_not_equal(line_fault_words[i], line_fault_words[k]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(names_fit_labels_and_differ) };

    return cmocka_run_group_tests_name("line_fault", tests, NULL, NULL);
}
