/*
 * reload: what is in force from the start on, what becomes of changes that nobody does any more.
 * Reloads under way, by signals and requests, are those of tests/control/lifecycle_test.c and
 * tests/e2e/test_rest.py.
 */
#include "control/config_text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/reload.h"
#include "control/rest.h"

static char dir[64], path[96], rest_path[96];

static void text_write(const char *to, const char *text)
{
    FILE *file = fopen(to, "w");

    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static int setup(void **state)
{
    char state_dir[96], text[160];

    (void)state;
    (void)snprintf(dir, sizeof(dir), "/tmp/hydrant-reload-XXXXXX");
    assert_non_null(mkdtemp(dir));
    (void)snprintf(state_dir, sizeof(state_dir), "%s/state", dir);
    assert_int_equal(mkdir(state_dir, 0700), 0);
    (void)snprintf(path, sizeof(path), "%s/file.ini", dir);
    (void)snprintf(rest_path, sizeof(rest_path), "%s/state/rest.ini", dir);
    (void)snprintf(text, sizeof(text), "[agent]\ndata_dir = %s\n[stream both]\nformat = csv\n",
                   dir);
    text_write(path, text);
    return 0;
}

static int teardown(void **state)
{
    char state_dir[96];

    (void)state;
    (void)snprintf(state_dir, sizeof(state_dir), "%s/state", dir);
    (void)unlink(rest_path);
    (void)unlink(path);
    return rmdir(state_dir) != 0 || rmdir(dir) != 0;
}

static void on_look(void *ctx, const struct config *config)
{
    *(const struct config **)ctx = config;
}

static void the_file_and_what_rest_has_made_are_in_force(void **state)
{
    const struct config *seen = NULL;
    struct reload *r;

    (void)state;
    text_write(rest_path, "[stream both]\nformat = raw\n[stream mine]\nformat = raw\n");
    assert_int_equal(reload_open(path, NULL, &r), 0);
    reload_look(r, on_look, &seen);
    assert_ptr_equal(seen, reload_config(r));
    assert_int_equal(seen->streams_count, 2);
    assert_int_equal(config_find_stream(seen, "both")->output.format, CONFIG_FORMAT_CSV);
    assert_false(config_find_stream(seen, "both")->rest);
    assert_true(config_find_stream(seen, "mine")->rest);
    reload_close(r);
    assert_int_equal(unlink(rest_path), 0);     /* no such file is none at all */
    assert_int_equal(reload_open(path, NULL, &r), 0);
    assert_int_equal(reload_config(r)->streams_count, 1);
    reload_close(r);
}

static void a_mistake_in_either_is_no_start(void **state)
{
    static const char *const bad[] = {"x", "[stream a]\nnonsense = 1\n", "[stream a]\nsinks = b\n",
                                      "[wal]\n", "[sink a]\ntype = file\ndirectory = x\n"};
    struct reload *r = NULL;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        text_write(rest_path, bad[i]);
        assert_int_equal(reload_open(path, NULL, &r), -EINVAL);
    }
    text_write(rest_path, "");
    text_write(path, "[agent]\nnonsense = 1\n");
    assert_int_equal(reload_open(path, NULL, &r), -EINVAL);
    assert_int_equal(reload_open("/nonexistent/file", NULL, &r), -ENOENT);
    assert_null(r);
}

static void on_done(struct shard_request *req, int result)
{
    *(int *)req->ctx = result;
}

static void changes_that_nobody_does_are_answered_at_the_end(void **state)
{
    int results[2] = {1, 1};
    struct shard_request requests[2];
    struct reload *r;

    (void)state;
    assert_int_equal(reload_open(path, NULL, &r), 0);
    for (int i = 0; i < 2; i++) {
        requests[i] = (struct shard_request){.kind = REQUEST_CONTROL, .done = on_done,
                                             .ctx = &results[i]};
        reload_control(r, &requests[i]);
    }
    assert_int_equal(results[0], 1);
    reload_close(r);
    assert_int_equal(results[0], -ESHUTDOWN);
    assert_int_equal(results[1], -ESHUTDOWN);
    reload_close(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_file_and_what_rest_has_made_are_in_force),
        TEST(a_mistake_in_either_is_no_start),
        TEST(changes_that_nobody_does_are_answered_at_the_end),
    };

    return cmocka_run_group_tests_name("reload", tests, NULL, NULL);
}
