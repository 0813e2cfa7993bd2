/*
 * cli_options and cli_units: what is taken, and what is said about the rest.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>

#include "cli/capture.h"
#include "cli/cli_exit.h"
#include "cli/cli_options.h"
#include "cli/cli_units.h"

static struct capture capture;

/* Writes down what it was given. */
static int echo(int argc, char **argv)
{
    static const struct option longs[] = {
        { "config", required_argument, NULL, 'c' },
        { "quiet", no_argument, NULL, 'q' },
        { "level", required_argument, NULL, 256 },
        CLI_OPTION_HELP_ROW,
        { NULL, 0, NULL, 0 },
    };
    int c;

    cli_options_begin();
    while ((c = cli_options_next(argc, argv, longs)) != -1) {
        switch (c) {
        case 256: printf("level=%s ", optarg); break;
        case 'c': printf("c=%s ", optarg); break;
        case 'q': printf("q= "); break;
        default: return cli_options_end(c, "usage: x\n");
        }
    }
    for (int i = optind; i < argc; i++)
        printf("[%s]", argv[i]);
    return CLI_OK;
}

static void expect(const char *line, int code, const char *out, const char *err)
{
    capture_expect(&capture, echo, line, code, "", err);
    if (code == CLI_OK)
        assert_string_equal(capture.out, out);
}

static void options_are_long_and_short_and_anywhere(void **state)
{
    (void)state;
    expect("x", CLI_OK, "", "");
    expect("x a -c f b --quiet", CLI_OK, "c=f q= [a][b]", "");
    expect("x --config f -q", CLI_OK, "c=f q= ", "");
    expect("x -qcf --level=3", CLI_OK, "q= c=f level=3 ", "");
    expect("x -- -c --what", CLI_OK, "[-c][--what]", "");
    expect("x - a", CLI_OK, "[-][a]", "");
}

static void help_is_the_usage_and_ends_it(void **state)
{
    (void)state;
    expect("x --help", CLI_OK, "usage: x\n", "");
    expect("x --lev 3 -h --zzz", CLI_OK, "level=3 usage: x\n", "");
    assert_string_equal(capture.err, "");
    expect("x --zzz -h", CLI_USAGE, "", "unknown option --zzz;");
    assert_string_equal(capture.out, "");
}

static void mistakes_are_named(void **state)
{
    (void)state;
    expect("x -z", CLI_USAGE, "", "hydrant x: unknown option -z; see 'hydrant help x'\n");
    expect("x -zq", CLI_USAGE, "", "unknown option -z;");
    expect("x --quiet -zq", CLI_USAGE, "", "unknown option -z;");
    expect("x -qz", CLI_USAGE, "", "unknown option -z;");
    expect("x --zzz", CLI_USAGE, "", "unknown option --zzz;");
    expect("x --zzz=1", CLI_USAGE, "", "unknown option --zzz=1;");
    expect("x a --zzz b", CLI_USAGE, "", "unknown option --zzz;");
    expect("x --quiet=1", CLI_USAGE, "", "--quiet=1: the option takes no value;");
    expect("x --config", CLI_USAGE, "", "option --config needs a value;");
    expect("x -c", CLI_USAGE, "", "option -c needs a value;");
}

static void sizes_and_times_have_units(void **state)
{
    int64_t n = 0;

    (void)state;
    assert_true(cli_parse_bytes("x", "--size", "2MiB", 1, 1 << 30, &n));
    assert_int_equal(n, 2 << 20);
    assert_true(cli_parse_time("x", "--time", "500ms", &n));
    assert_int_equal(n, 500000000);
    assert_true(cli_parse_time("x", "--time", "2m", &n));
    assert_int_equal(n, 120000000000);
    n = 7;
    assert_false(cli_parse_bytes("x", "--size", "2MB", 1, 1 << 30, &n));
    assert_false(cli_parse_bytes("x", "--size", "1B", 2, 4, &n));
    assert_false(cli_parse_bytes("x", "--size", "", 1, 4, &n));
    assert_false(cli_parse_time("x", "--time", "5", &n));
    assert_false(cli_parse_time("x", "--time", "0s", &n));
    assert_false(cli_parse_time("x", "--time", "-1", &n));
    assert_false(cli_parse_time("x", "--time", "99999999999999999999h", &n));
    assert_int_equal(n, 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_are_long_and_short_and_anywhere),
        cmocka_unit_test(help_is_the_usage_and_ends_it),
        cmocka_unit_test(mistakes_are_named),
        cmocka_unit_test(sizes_and_times_have_units),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
