/*
 * cli_exit: what is wrong is one line on stderr that names the command, with the exit code of its
 * kind; wrong usage also says where help is.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "cli/capture.h"
#include "cli/cli_exit.h"

static struct capture capture;

static int failing(int argc, char **argv)
{
    return cli_fail(argv[0], "%d of %s", argc, argv[1]);
}

static int misused(int argc, char **argv)
{
    return cli_usage_error(argv[0], "%d of %s", argc, argv[1]);
}

static void a_failure_is_one_line_on_stderr(void **state)
{
    (void)state;
    capture_run(&capture, failing, "", 0, "status 100%s");
    assert_int_equal(capture.code, CLI_FAILED);
    assert_string_equal(capture.err, "hydrant status: 2 of 100%s\n");
    assert_string_equal(capture.out, "");
}

static void wrong_usage_says_where_help_is(void **state)
{
    (void)state;
    capture_run(&capture, misused, "", 0, "flush --soon");
    assert_int_equal(capture.code, CLI_USAGE);
    assert_string_equal(capture.err, "hydrant flush: 2 of --soon; see 'hydrant help flush'\n");
    assert_string_equal(capture.out, "");
}

/* Scripts look at them: the numbers are those of every --help. */
static void exit_codes_are_what_help_says(void **state)
{
    (void)state;
    assert_int_equal(CLI_OK, 0);
    assert_int_equal(CLI_FAILED, 1);
    assert_int_equal(CLI_USAGE, 2);
    assert_int_equal(CLI_INTERRUPTED, 130);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_failure_is_one_line_on_stderr),
        cmocka_unit_test(wrong_usage_says_where_help_is),
        cmocka_unit_test(exit_codes_are_what_help_says),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
