/*
 * rest: which changes may be made, what sections they leave, and when sinks go.
 */
#include "control/config_text.h"

#include <errno.h>
#include <stdio.h>

#include "control/rest.h"

static const char user[] = "[stream file]\n[sink s]\ntype = file\ndirectory = d\n";
static const char made[] =
    "[stream plain]\n[stream mini]\nsinks = mini~1,mini~3\n"
    "[sink mini~1]\ntype = file\ndirectory = /a\n[sink mini~3]\ntype = file\ndirectory = /b\n"
    "[stream hose]\nabout = {}\n[stream file]\nformat = csv\n"
    "[sink gone~2]\ntype = file\ndirectory = /c\n[deleted gone]\naccepted = 7\n";

static struct config *config;
static struct config_file *before;

static int setup(void **state)
{
    struct config_errors errs = CONFIG_ERRORS_INIT;

    (void)state;
    config = config_of(user, made);
    return config_file_parse("rest", made, sizeof(made) - 1, &before, &errs);
}

static int teardown(void **state)
{
    (void)state;
    config_free(config);
    config_file_free(before);
    return 0;
}

static int apply(enum rest_operation op, const char *stream, const char *expected,
                 struct config_file **ret_after)
{
    struct rest_change *change = rest_change_new(op, stream);
    int r;

    change->expected = expected != NULL ? strdup(expected) : NULL;
    change->accepted = 9;
    assert_int_equal(rest_file_set(rest_change_stream(change), "format", "raw"), 0);
    r = rest_apply(before, change, config, ret_after);
    rest_change_free(change);
    return r;
}

static void makers_are_told_apart(void **state)
{
    static const struct {
        const char *name;
        enum rest_maker maker;
    } rows[] = {{"file", REST_MAKER_FILE},     {"plain", REST_MAKER_STREAM},
                {"mini", REST_MAKER_MINI},     {"hose", REST_MAKER_DELIVERY},
                {"gone", REST_MAKER_NONE}};

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_int_equal(rest_maker_of(config_find_stream(config, rows[i].name)), rows[i].maker);
    assert_int_equal(config->deleted_count, 1);
    assert_int_equal(config->deleted[0].accepted, 7);
}

static void only_its_maker_changes_a_stream(void **state)
{
    static const struct {
        enum rest_operation op;
        const char *name;
        int result;
    } rows[] = {
        {REST_CREATE, "plain", -EEXIST}, {REST_CREATE, "file", -EEXIST}, {REST_CREATE, "new", 0},
        {REST_PUT, "file", -EPERM},      {REST_PUT, "mini", -EPERM},     {REST_PUT, "hose", -EPERM},
        {REST_PUT, "plain", 0},          {REST_PUT, "new", 0},           {REST_UPDATE, "hose", 0},
        {REST_UPDATE, "plain", -EPERM},  {REST_UPDATE, "new", -ENOENT},  {REST_DELETE, "mini", 0},
        {REST_DELETE, "file", -EPERM},   {REST_DELETE, "new", -ENOENT},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct config_file *after;
        int r = apply(rows[i].op, rows[i].name, "{}", &after);

        if (r != rows[i].result)
            fail_msg("%d of %s: %d", (int)rows[i].op, rows[i].name, r);
        assert_int_equal(after != NULL, r == 0);
        config_file_free(after);
    }
}

static void an_update_of_what_was_changed_meanwhile_is_stale(void **state)
{
    struct config_file *after;

    (void)state;
    assert_int_equal(apply(REST_UPDATE, "hose", "{\"version\": 1}", &after), -ESTALE);
    assert_null(after);
}

static void a_change_leaves_the_others(void **state)
{
    struct config_file *after;

    (void)state;
    assert_int_equal(apply(REST_CREATE, "gone", NULL, &after), 0);
    assert_null(rest_file_find(after, "deleted", "gone"));
    assert_string_equal(rest_file_get(rest_file_find(after, "stream", "gone"), "format"), "raw");
    assert_non_null(rest_file_find(after, "stream", "mini"));
    assert_int_equal(after->count, before->count);
    config_file_free(after);
    assert_int_equal(apply(REST_DELETE, "mini", NULL, &after), 0);
    assert_null(rest_file_find(after, "stream", "mini"));
    assert_non_null(rest_file_find(after, "sink", "mini~1"));      /* it may wait for something */
    assert_string_equal(rest_file_get(rest_file_find(after, "deleted", "mini"), "accepted"), "9");
    config_file_free(after);
}

static bool waits(void *ctx, const char *sink)
{
    return strcmp(ctx, sink) == 0;
}

static void a_sink_goes_when_its_stream_has_and_nothing_waits(void **state)
{
    char none[] = "", gone[] = "gone~2";
    struct config_file *after, *last;

    (void)state;
    assert_true(rest_drains(before));
    assert_false(rest_sweep(before, waits, gone, &after));
    assert_null(after);
    assert_true(rest_sweep(before, waits, none, &after));
    assert_null(rest_file_find(after, "sink", "gone~2"));
    assert_non_null(rest_file_find(after, "sink", "mini~1"));
    assert_non_null(rest_file_find(after, "sink", "mini~3"));
    assert_false(rest_drains(after));
    config_file_free(after);
    assert_int_equal(apply(REST_DELETE, "mini", NULL, &after), 0);
    assert_true(rest_sweep(after, waits, none, &last));
    assert_int_equal(last->count, before->count - 3);   /* one stream less, and three sinks; */
    config_file_free(last);                             /* one deleted more */
    config_file_free(after);
}

static void a_new_sink_has_a_name_of_its_own(void **state)
{
    (void)state;
    assert_int_equal(rest_sink_number(config, "mini"), 4);
    assert_int_equal(rest_sink_number(config, "gone"), 3);
    assert_int_equal(rest_sink_number(config, "min"), 1);
    assert_true(config_sink_private("mini~1", "mini"));
    assert_true(config_sink_private("mini~1", "*"));
    assert_false(config_sink_private("mini~1", "min"));
    assert_false(config_sink_private("mini~", "mini"));
    assert_false(config_sink_private("mini~x", "*"));
    assert_false(config_sink_private("~1", "*"));
    assert_false(config_sink_private("mini", "mini"));
    assert_false(config_sink_private("mini~12345678", "mini"));
}

/* What REST makes of names and sinks is nobody else's. */
static void the_users_file_has_no_part_in_it(void **state)
{
    static const char *const bad[] = {
        "[sink a~1]\ntype = file\ndirectory = x\n", "[stream a]\nsinks = mini~1\n",
        "[stream *]\nsinks = mini~1\n", "[stream a]\nabout = x\n", "[deleted a]\naccepted = 1\n",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct config_errors errs = CONFIG_ERRORS_INIT;
        struct config *c;

        assert_int_equal(config_load_both("user", bad[i], strlen(bad[i]), before, NULL, &c, &errs),
                         -EINVAL);
        assert_string_equal(errs.items[0].place, "user");
        config_errors_fini(&errs);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(makers_are_told_apart),
        TEST(only_its_maker_changes_a_stream),
        TEST(an_update_of_what_was_changed_meanwhile_is_stale),
        TEST(a_change_leaves_the_others),
        TEST(a_sink_goes_when_its_stream_has_and_nothing_waits),
        TEST(a_new_sink_has_a_name_of_its_own),
        TEST(the_users_file_has_no_part_in_it),
    };

    return cmocka_run_group_tests_name("rest", tests, NULL, NULL);
}
