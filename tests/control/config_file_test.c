/*
 * config_file: the syntax of the configuration, and each habit of inih that must not show.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/config_file.h"

struct parsed {
    struct config_file *file;
    struct config_errors errs;
};

static struct parsed parse_bytes(const char *text, size_t len)
{
    struct parsed p = { NULL, CONFIG_ERRORS_INIT };

    assert_int_equal(config_file_parse("f", text, len, &p.file, &p.errs), 0);
    return p;
}

static struct parsed parse(const char *text)
{
    return parse_bytes(text, strlen(text));
}

static void parsed_free(struct parsed *p)
{
    config_file_free(p->file);
    config_errors_fini(&p->errs);
}

/* The value of the only key of the only section. */
static void check_value(const char *line, const char *value)
{
    char text[1024];
    struct parsed p;

    (void)snprintf(text, sizeof(text), "[s]\n%s\n", line);
    p = parse(text);
    if (p.errs.count > 0)
        print_error("%s: %s\n", line, p.errs.items[0].text);
    assert_int_equal(p.errs.count, 0);
    assert_int_equal(p.file->count, 1);
    assert_int_equal(p.file->sections[0].count, 1);
    assert_string_equal(p.file->sections[0].entries[0].key, "k");
    assert_string_equal(p.file->sections[0].entries[0].value, value);
    parsed_free(&p);
}

/* One mistake at this line, and its text holds the words. */
static void check_error(const char *text, uint32_t line, const char *words)
{
    struct parsed p = parse(text);

    if (p.errs.count != 1)
        print_error("not one mistake in: %s\n", text);
    assert_int_equal(p.errs.count, 1);
    assert_int_equal(p.errs.items[0].line, line);
    assert_string_equal(p.errs.items[0].place, "f");
    if (strstr(p.errs.items[0].text, words) == NULL)
        fail_msg("'%s' lacks '%s'", p.errs.items[0].text, words);
    parsed_free(&p);
}

static void sections_and_keys_come_in_order_with_their_lines(void **state)
{
    struct parsed p = parse("# c\n\n[a]\nx = 1\n  y=2  \n; c\n[b  c] ; why\n[ d ]\r\nz = 3\r\n");

    (void)state;
    assert_int_equal(p.errs.count, 0);
    assert_int_equal(p.file->count, 3);
    assert_string_equal(p.file->sections[0].name, "a");
    assert_int_equal(p.file->sections[0].line, 3);
    assert_int_equal(p.file->sections[0].count, 2);
    assert_string_equal(p.file->sections[0].entries[1].key, "y");
    assert_string_equal(p.file->sections[0].entries[1].value, "2");
    assert_int_equal(p.file->sections[0].entries[1].line, 5);
    assert_string_equal(p.file->sections[1].name, "b c");
    assert_int_equal(p.file->sections[1].count, 0);
    assert_string_equal(p.file->sections[2].name, "d");
    assert_string_equal(p.file->sections[2].entries[0].value, "3");
    assert_int_equal(p.file->sections[2].entries[0].line, 9);
    parsed_free(&p);
}

static void a_file_may_be_empty_or_end_without_a_newline(void **state)
{
    struct parsed p = parse("");

    (void)state;
    assert_int_equal(p.file->count, 0);
    assert_int_equal(p.errs.count, 0);
    parsed_free(&p);
    check_value("k = v", "v");
    p = parse("\xef\xbb\xbf[a]\nk = v");
    assert_int_equal(p.errs.count, 0);
    assert_string_equal(p.file->sections[0].entries[0].value, "v");
    parsed_free(&p);
}

static void comments_behind_values_need_white_space(void **state)
{
    (void)state;
    check_value("k = v ; comment", "v");
    check_value("k = v\t;comment", "v");
    check_value("k = a;b", "a;b");
    check_value("k = a # b", "a # b");
    check_value("k =     ; nothing but a comment", "");
    check_value("k = \"a ; b\" ; c", "a ; b");
    check_value("k = 'a ; b'", "a ; b");
    check_value("k =", "");
}

static void quotes_keep_what_they_hold(void **state)
{
    (void)state;
    check_value("k = \"  spaced  \"", "  spaced  ");
    check_value("k = \"\\n\\t\\r\\\\\\\"\\$\"", "\n\t\r\\\"$");
    check_value("k = '\\n \"x\" ${HOME_OF_NOBODY}'", "\\n \"x\" ${HOME_OF_NOBODY}");
    check_value("k = \"\"", "");
    check_value("k = a \"b\" c", "a \"b\" c");
    check_error("[s]\nk = \"open\n", 2, "closing \"");
    check_error("[s]\nk = 'open\n", 2, "closing '");
    check_error("[s]\nk = \"a\" b\n", 2, "only a comment may follow");
    check_error("[s]\nk = \"a\";b\n", 2, "only a comment may follow");
    check_error("[s]\nk = \"a\\q\"\n", 2, "backslash");
    check_error("[s]\nk = \"a\\\n", 2, "backslash");
}

static void variables_are_replaced_and_must_be_set(void **state)
{
    (void)state;
    assert_int_equal(setenv("CONFIG_FILE_TEST", "va ; \"lue", 1), 0);
    assert_int_equal(setenv("CONFIG_FILE_TEST_EMPTY", "", 1), 0);
    assert_int_equal(setenv("CONFIG_FILE_TEST_CONTROL", "a\nb", 1), 0);
    assert_int_equal(unsetenv("CONFIG_FILE_TEST_UNSET"), 0);
    check_value("k = <${CONFIG_FILE_TEST}>", "<va ; \"lue>");
    check_value("k = \"${CONFIG_FILE_TEST}${CONFIG_FILE_TEST_EMPTY}\"", "va ; \"lue");
    check_value("k = ${CONFIG_FILE_TEST_EMPTY}", "");
    check_value("k = \"\\${CONFIG_FILE_TEST}\"", "${CONFIG_FILE_TEST}");
    check_value("k = $5 and !{timestamp:yyyy}", "$5 and !{timestamp:yyyy}");
    check_error("[s]\nk = ${CONFIG_FILE_TEST_UNSET}\n", 2, "CONFIG_FILE_TEST_UNSET is not set");
    check_error("[s]\nk = ${CONFIG_FILE_TEST\n", 2, "'${' begins a variable");
    check_error("[s]\nk = ${}\n", 2, "'${' begins a variable");
    check_error("[s]\nk = ${A B}\n", 2, "'${' begins a variable");
    check_error("[s]\nk = ${CONFIG_FILE_TEST_CONTROL}\n", 2, "control character");
}

static void long_lines_and_names_stay_whole(void **state)
{
    char text[4096] = "[s]\nk = ";
    char name_a[CONFIG_FILE_NAME_MAX + 1];
    char value[3001];
    struct parsed p;

    (void)state;
    memset(value, 'v', sizeof(value) - 1);
    value[sizeof(value) - 1] = '\0';
    memcpy(text + strlen(text), value, sizeof(value));
    p = parse(text);
    assert_int_equal(p.errs.count, 0);
    assert_string_equal(p.file->sections[0].entries[0].value, value);
    parsed_free(&p);

    /* Two names that differ in their last character only. */
    memset(name_a, 'n', sizeof(name_a) - 1);
    name_a[sizeof(name_a) - 1] = '\0';
    (void)snprintf(text, sizeof(text), "[%s]\nk = 1\n[%.*sm]\nk = 2\n", name_a,
                   CONFIG_FILE_NAME_MAX - 1, name_a);
    p = parse(text);
    assert_int_equal(p.errs.count, 0);
    assert_int_equal(p.file->count, 2);
    assert_string_equal(p.file->sections[0].entries[0].value, "1");
    assert_string_equal(p.file->sections[1].entries[0].value, "2");
    parsed_free(&p);

    (void)snprintf(text, sizeof(text), "[%sn]\nk = 1\n", name_a);
    check_error(text, 1, "a section's name is 1 to 127 characters");
}

static void what_is_no_line_of_ours_is_a_mistake(void **state)
{
    (void)state;
    check_error("[s]\nk: v\n", 2, "not KEY: VALUE");
    check_error("[s]\nk : v = w\n", 2, "not KEY: VALUE");
    check_error("[s]\nk = a\n   going on\n", 3, "cannot go on in the next line");
    check_error("[s]\n= v\n", 2, "expected");
    check_error("[s]\nk\n", 2, "expected");
    check_error("[s]\na b = c\n", 2, "expected");
    check_error("k = v\n[s]\n", 1, "before the first section");
    check_error("[s\nk = v\n", 1, "alone on its line");
    check_error("[s] k = v\n", 1, "alone on its line");
    check_error("[]\n", 1, "1 to 127");
    check_error("[  ]\n", 1, "1 to 127");
    check_error("[s]\nk = a\x01z\n", 2, "control character");
    check_error("[s]\nkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk = v\n", 2,
                 "longer than 63");
}

static void a_nul_byte_is_a_mistake_not_an_end(void **state)
{
    static const char text[] = "[s]\nk = a\0b\nj = 1\n";
    struct parsed p = parse_bytes(text, sizeof(text) - 1);

    (void)state;
    assert_int_equal(p.errs.count, 1);
    assert_int_equal(p.errs.items[0].line, 2);
    assert_string_equal(p.file->sections[0].entries[0].key, "j");
    parsed_free(&p);
}

static void repeated_keys_and_sections_name_both_lines(void **state)
{
    (void)state;
    check_error("[s]\nk = 1\nj = 2\nk = 3\n", 4, "[s] k is repeated, line 2 has it");
    check_error("[s]\nk = 1\n[t]\n[ s ]\nk = 5\nj = 6\n[u]\n", 4,
                 "[s] is repeated, line 1 has it");
}

static void all_mistakes_are_collected_from_top_to_bottom(void **state)
{
    struct parsed p = parse("a = 1\n[s]\nb: 2\n[s]\nk = 'x\n[t\n[u]\nq = \"\n");
    static const uint32_t lines[] = { 1, 3, 4, 6, 8 };

    (void)state;
    assert_int_equal(p.errs.count, sizeof(lines) / sizeof(lines[0]));
    for (size_t i = 0; i < p.errs.count; i++)
        assert_int_equal(p.errs.items[i].line, lines[i]);
    parsed_free(&p);
}

static void limits_are_mistakes_not_crashes(void **state)
{
    size_t cap = (size_t)CONFIG_FILE_BYTES_MAX + 2;
    char *text = malloc(cap);
    struct parsed p;
    size_t len = 0;

    (void)state;
    assert_non_null(text);
    memset(text, '#', cap);
    p = (struct parsed){ NULL, CONFIG_ERRORS_INIT };
    assert_int_equal(config_file_parse("f", text, cap, &p.file, &p.errs), -EFBIG);
    assert_null(p.file);
    assert_int_equal(p.errs.count, 1);
    parsed_free(&p);

    for (int i = 0; i <= CONFIG_FILE_SECTIONS_MAX; i++)
        len += (size_t)snprintf(text + len, cap - len, "[s%d]\n", i);
    p = parse_bytes(text, len);
    assert_int_equal(p.file->count, CONFIG_FILE_SECTIONS_MAX);
    assert_int_equal(p.errs.count, 1);
    parsed_free(&p);

    len = (size_t)snprintf(text, cap, "[s]\n");
    for (int i = 0; i <= CONFIG_FILE_ENTRIES_MAX; i++)
        len += (size_t)snprintf(text + len, cap - len, "k%d = v\n", i);
    p = parse_bytes(text, len);
    assert_int_equal(p.file->sections[0].count, CONFIG_FILE_ENTRIES_MAX);
    assert_int_equal(p.errs.count, 1);
    parsed_free(&p);

    len = (size_t)snprintf(text, cap, "[s]\nk = ");
    memset(text + len, 'v', CONFIG_FILE_VALUE_MAX + 1);
    p = parse_bytes(text, len + CONFIG_FILE_VALUE_MAX);
    assert_int_equal(p.errs.count, 0);
    parsed_free(&p);
    p = parse_bytes(text, len + CONFIG_FILE_VALUE_MAX + 1);
    assert_int_equal(p.errs.count, 1);
    parsed_free(&p);

    /* More mistakes than anybody reads: the rest is counted. */
    len = 0;
    for (int i = 0; i < CONFIG_ERRORS_MAX + 7; i++)
        len += (size_t)snprintf(text + len, cap - len, "what\n");
    p = parse_bytes(text, len);
    assert_int_equal(p.errs.count, CONFIG_ERRORS_MAX);
    assert_int_equal(p.errs.omitted, 7);
    parsed_free(&p);
    free(text);
}

static void only_regular_files_are_read(void **state)
{
    char dir[] = "/tmp/config_file_test.XXXXXX";
    char path[64];
    struct parsed p = { NULL, CONFIG_ERRORS_INIT };
    int fd;

    (void)state;
    assert_non_null(mkdtemp(dir));
    assert_int_equal(config_file_read(dir, &p.file, &p.errs), -EINVAL);
    assert_non_null(strstr(p.errs.items[0].text, "not a regular file"));
    config_errors_fini(&p.errs);

    (void)snprintf(path, sizeof(path), "%s/f", dir);
    assert_int_equal(config_file_read(path, &p.file, &p.errs), -ENOENT);
    assert_non_null(strstr(p.errs.items[0].text, "No such file"));
    config_errors_fini(&p.errs);

    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(config_file_read(path, &p.file, &p.errs), -EINVAL);
    config_errors_fini(&p.errs);
    assert_int_equal(unlink(path), 0);

    fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "[s]\nk = v\n", 10), 10);
    close(fd);
    assert_int_equal(config_file_read(path, &p.file, &p.errs), 0);
    assert_int_equal(p.errs.count, 0);
    assert_string_equal(p.file->sections[0].entries[0].value, "v");
    parsed_free(&p);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sections_and_keys_come_in_order_with_their_lines),
        cmocka_unit_test(a_file_may_be_empty_or_end_without_a_newline),
        cmocka_unit_test(comments_behind_values_need_white_space),
        cmocka_unit_test(quotes_keep_what_they_hold),
        cmocka_unit_test(variables_are_replaced_and_must_be_set),
        cmocka_unit_test(long_lines_and_names_stay_whole),
        cmocka_unit_test(what_is_no_line_of_ours_is_a_mistake),
        cmocka_unit_test(a_nul_byte_is_a_mistake_not_an_end),
        cmocka_unit_test(repeated_keys_and_sections_name_both_lines),
        cmocka_unit_test(all_mistakes_are_collected_from_top_to_bottom),
        cmocka_unit_test(limits_are_mistakes_not_crashes),
        cmocka_unit_test(only_regular_files_are_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
