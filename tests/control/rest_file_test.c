/*
 * rest_file: what is written is read again as it was, whatever its values; a file of mistakes is
 * none.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/rest_file.h"

static char dir[64];

static int setup(void **state)
{
    char state_dir[80];

    (void)state;
    (void)snprintf(dir, sizeof(dir), "/tmp/hydrant-rest-XXXXXX");
    if (mkdtemp(dir) == NULL)
        return -1;
    (void)snprintf(state_dir, sizeof(state_dir), "%s/state", dir);
    return mkdir(state_dir, 0700);
}

static int teardown(void **state)
{
    char path[96];

    (void)state;
    (void)snprintf(path, sizeof(path), "%s/state/rest.ini", dir);
    (void)unlink(path);
    (void)snprintf(path, sizeof(path), "%s/state", dir);
    return rmdir(path) != 0 || rmdir(dir) != 0;
}

static struct config_file *read_file(int expected)
{
    struct config_errors errs = CONFIG_ERRORS_INIT;
    struct config_file *f = NULL;

    assert_int_equal(rest_file_read(dir, &f, &errs), expected);
    assert_int_equal(config_errors_any(&errs), expected != 0);
    config_errors_fini(&errs);
    return f;
}

static void values_come_back_as_they_were(void **state)
{
    static const char *const values[] = {
        "", " ", "plain", "\"", "\\", "\\n", "\n\t\r", "${HOME}", "$", "; comment", "# no", "'",
        "a\"b\\c\nd", "\xc3\xa9", " spaces ", "[x]", "a = b"
    };
    enum { COUNT = sizeof(values) / sizeof(values[0]) };
    struct config_file *f = rest_file_new(), *copy, *again;
    struct errmsg err;
    char key[16];

    (void)state;
    for (int i = 0; i < COUNT; i++) {
        (void)snprintf(key, sizeof(key), "k%d", i);
        assert_non_null(rest_file_add(f, "stream", key));
        assert_int_equal(rest_file_set(rest_file_find(f, "stream", key), key, values[i]), 0);
    }
    assert_int_equal(rest_file_copy(f, &copy), 0);
    assert_int_equal(rest_file_write(dir, copy, &err), 0);
    again = read_file(0);
    assert_int_equal(again->count, COUNT);
    for (int i = 0; i < COUNT; i++) {
        const struct config_section *s;

        (void)snprintf(key, sizeof(key), "k%d", i);
        s = rest_file_find(again, "stream", key);
        assert_non_null(s);
        assert_string_equal(rest_file_get(s, key), values[i]);
        assert_true(s->entries[0].quoted);
    }
    config_file_free(f);
    config_file_free(copy);
    config_file_free(again);
}

static void what_no_file_can_hold_is_refused(void **state)
{
    struct config_file *f = rest_file_new();
    struct config_section *s = rest_file_add(f, "stream", "a");
    char *large = malloc(CONFIG_FILE_VALUE_MAX + 2);
    struct errmsg err;

    (void)state;
    assert_non_null(large);
    assert_int_equal(rest_file_set(s, "k", "\x01"), -EINVAL);
    assert_int_equal(rest_file_set(s, "k", "\x7f"), -EINVAL);
    memset(large, 'x', CONFIG_FILE_VALUE_MAX + 1);
    large[CONFIG_FILE_VALUE_MAX + 1] = '\0';
    assert_int_equal(rest_file_set(s, "k", large), -EINVAL);
    assert_int_equal(s->count, 0);
    large[CONFIG_FILE_VALUE_MAX] = '\0';
    for (int i = 0; i < 20; i++) {
        char key[16];

        (void)snprintf(key, sizeof(key), "k%d", i);
        assert_int_equal(rest_file_set(s, key, large), 0);
    }
    assert_int_equal(rest_file_write(dir, f, &err), -EFBIG);
    assert_non_null(strstr(err.text, "1024 KiB"));
    config_file_free(f);
    free(large);
}

static void it_is_nobody_elses_and_replaced_as_a_whole(void **state)
{
    struct config_file *f = rest_file_new(), *again;
    struct config_section *s;
    struct errmsg err;
    struct stat st;
    char path[96];

    (void)state;
    again = read_file(0);               /* there is none */
    assert_int_equal(again->count, 0);
    config_file_free(again);
    s = rest_file_add(f, "sink", "a~1");
    assert_int_equal(rest_file_set(s, "k", "one"), 0);
    assert_int_equal(rest_file_write(dir, f, &err), 0);
    assert_int_equal(rest_file_set(s, "k", "two"), 0);
    assert_int_equal(s->count, 1);
    assert_int_equal(rest_file_write(dir, f, &err), 0);
    (void)snprintf(path, sizeof(path), "%s/state/rest.ini", dir);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    again = read_file(0);
    assert_string_equal(rest_file_get(rest_file_find(again, "sink", "a~1"), "k"), "two");
    assert_null(rest_file_find(again, "stream", "a~1"));
    assert_null(rest_file_get(NULL, "k"));
    config_file_free(again);
    rest_file_remove(f, s);
    assert_int_equal(f->count, 0);
    config_file_free(f);
}

static void one_that_cannot_be_written_says_where(void **state)
{
    struct config_file *f = rest_file_new();
    struct errmsg err;

    (void)state;
    assert_int_equal(rest_file_write("/nonexistent", f, &err), -ENOENT);
    assert_non_null(strstr(err.text, "/nonexistent/state/rest.ini"));
    config_file_free(f);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(values_come_back_as_they_were),
        TEST(what_no_file_can_hold_is_refused),
        TEST(it_is_nobody_elses_and_replaced_as_a_whole),
        TEST(one_that_cannot_be_written_says_where),
    };

    return cmocka_run_group_tests_name("rest_file", tests, NULL, NULL);
}
