/*
 * cli_help: every command explains itself, misspelt ones are guessed; tables for people.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>

#include "cli/capture.h"
#include "cli/cli.h"
#include "cli/cli_exit.h"
#include "cli/cli_help.h"
#include "cli/cli_table.h"

static const char *const names[] = { "agent", "send", "status", "flush", "ring", "check", "top",
                                     "wal", "bench", "help" };

enum { NAMES = sizeof(names) / sizeof(names[0]) };

static struct capture capture;

static void help_lists_and_explains_every_command(void **state)
{
    char line[64], wanted[64];

    (void)state;
    capture_expect(&capture, cli_help, "help", CLI_OK, "usage: hydrant COMMAND", "");
    for (int i = 0; i < NAMES; i++) {
        (void)snprintf(wanted, sizeof(wanted), "\n  %s ", names[i]);
        capture_expect(&capture, cli_help, "help", CLI_OK, wanted, "");
        if (strcmp(names[i], "help") == 0)
            continue;
        (void)snprintf(line, sizeof(line), "help %s", names[i]);
        (void)snprintf(wanted, sizeof(wanted), "usage: hydrant %s", names[i]);
        capture_expect(&capture, cli_help, line, CLI_OK, wanted, "");
    }
    capture_expect(&capture, cli_help, "help metrics", CLI_OK, "hydrant_events_accepted_total", "");
    capture_expect(&capture, cli_help, "help nonsense", CLI_USAGE, "", "is no command");
    capture_expect(&capture, cli_help, "help send flush", CLI_USAGE, "", "one command");
}

static void misspelt_commands_are_guessed(void **state)
{
    static const char *const pairs[][2] = { { "sned", "send" },   { "statsu", "status" },
                                            { "chek", "check" },  { "rings", "ring" },
                                            { "agnet", "agent" }, { "flsh", "flush" } };

    (void)state;
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        const struct cli_command *command = cli_command_suggest(pairs[i][0]);

        assert_non_null(command);
        assert_string_equal(command->name, pairs[i][1]);
    }
    assert_null(cli_command_suggest("xyzzyx"));
    assert_null(cli_command_suggest(""));
    assert_null(cli_command_suggest("a-word-far-longer-than-any-command-there-is"));
}

static void numbers_are_readable(void **state)
{
    char text[CLI_HUMAN_BYTES];

    (void)state;
    assert_string_equal(cli_human_bytes(0, text), "0 B");
    assert_string_equal(cli_human_bytes(1023, text), "1023 B");
    assert_string_equal(cli_human_bytes(1536, text), "1.5 KiB");
    assert_string_equal(cli_human_bytes(64 << 20, text), "64 MiB");
    assert_string_equal(cli_human_bytes(UINT64_MAX, text), "16 EiB");
    assert_string_equal(cli_human_time(5000000, text), "5ms");
    assert_string_equal(cli_human_time(1500000000, text), "1.5s");
    assert_string_equal(cli_human_time(200000000000, text), "3m 20s");
    assert_string_equal(cli_human_time(7260000000000, text), "2h 1m");
    assert_string_equal(cli_human_time(180000000000000, text), "2d 2h");
}

static void tables_align_and_hide_control_characters(void **state)
{
    struct cli_table table;
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);

    (void)state;
    assert_non_null(out);
    cli_table_init(&table, "lrl");
    cli_table_cell(&table, "NAME");
    cli_table_cell(&table, "N");
    cli_table_cell(&table, "LAST");
    cli_table_cell(&table, "a\033[31m");
    cli_table_cell(&table, "%d", 12345);
    cli_table_cell(&table, "x");
    cli_table_print(&table, false, out);
    cli_table_fini(&table);
    assert_int_equal(fclose(out), 0);
    assert_string_equal(text, "NAME        N  LAST\na?[31m  12345  x\n");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(help_lists_and_explains_every_command),
        cmocka_unit_test(misspelt_commands_are_guessed),
        cmocka_unit_test(numbers_are_readable),
        cmocka_unit_test(tables_align_and_hide_control_characters),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
