/*
 * file_roots: where directories really are, and which are let in.
 */
#include "control/config_text.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/file_roots.h"

static char top[PATH_MAX];

static void at(char path[PATH_MAX], const char *name)
{
    assert_true(snprintf(path, PATH_MAX, "%.200s/%s", top, name) < PATH_MAX);
}

static int setup(void **state)
{
    static const char *const dirs[] = {"one", "two", "out", "data", "data/state"};
    static const char *const links[][2] = {{"out", "one/escape"}, {"two", "one/inner"},
                                           {"nowhere", "one/dangling"}, {"one", "alias"}};
    char path[PATH_MAX], to[PATH_MAX];

    (void)state;
    (void)snprintf(top, sizeof(top), "/tmp/hydrant-roots-XXXXXX");
    if (mkdtemp(top) == NULL)
        return -1;
    for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
        at(path, dirs[i]);
        assert_int_equal(mkdir(path, 0700), 0);
    }
    for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++) {
        at(to, links[i][0]);
        at(path, links[i][1]);
        assert_int_equal(symlink(to, path), 0);
    }
    return 0;
}

static int teardown(void **state)
{
    static const char *const names[] = {"one/escape", "one/inner", "one/dangling", "alias"};
    static const char *const dirs[] = {"one", "two", "out", "data/state", "data"};
    char path[PATH_MAX];

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        at(path, names[i]);
        assert_int_equal(unlink(path), 0);
    }
    for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
        at(path, dirs[i]);
        assert_int_equal(rmdir(path), 0);
    }
    return rmdir(top);
}

static struct config *config_roots(void)
{
    char text[2 * PATH_MAX];

    (void)snprintf(text, sizeof(text), "[agent]\ndata_dir = %.200s/data\n[http]\nfile_roots = "
                   "%.200s/alias, %.200s/two, %.200s/data\n", top, top, top, top);
    return config_of(text, "");
}

static void what_is_below_is_let_in_where_it_really_is(void **state)
{
    static const char *const rows[][2] = {
        {"a", "one/a"},           {"a/./b//c/", "one/a/b/c"}, {".", "one"},
        {"inner/x", "two/x"},     {"/one/a", "one/a"},        {"/alias/a", "one/a"},
        {"/two", "two"},          {"/data/other", "data/other"}, {"...", "one/..."},
    };
    struct config *c = config_roots();

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char ask[PATH_MAX], want[PATH_MAX], *path;
        struct errmsg err;

        at(want, rows[i][1]);
        if (rows[i][0][0] == '/')
            at(ask, rows[i][0] + 1);
        else
            (void)snprintf(ask, sizeof(ask), "%s", rows[i][0]);
        if (file_roots_resolve(c, ask, &path, &err) != 0)
            fail_msg("%s: %s", ask, err.text);
        assert_string_equal(path, want);
        free(path);
    }
    config_free(c);
}

static void all_else_is_refused(void **state)
{
    static const char *const rows[] = {
        "", "..", "a/../b", "escape", "escape/x", "dangling", "dangling/x", "/out", "/oneself",
        "/one/../out", "/data/state", "/data/state/x", "/data/wal", "/data/spool/x", "/",
    };
    struct config *c = config_roots();

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char ask[PATH_MAX], *path;
        struct errmsg err;

        if (rows[i][0] == '/')
            at(ask, rows[i] + 1);
        else
            (void)snprintf(ask, sizeof(ask), "%s", rows[i]);
        if (file_roots_resolve(c, ask, &path, &err) != -EINVAL)
            fail_msg("%s is let in", ask);
        assert_null(path);
        assert_non_null(strstr(err.text, "directory: "));
    }
    config_free(c);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_below_is_let_in_where_it_really_is),
        TEST(all_else_is_refused),
    };

    return cmocka_run_group_tests_name("file_roots", tests, NULL, NULL);
}
