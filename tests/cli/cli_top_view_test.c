/*
 * cli_top_view: rates, order and what fits, of statuses written by hand.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli_top_view.h"

/* Streams b, a, c and one ring; what they have accepted, after so many seconds. */
static json_t *status(const char *epoch, unsigned seconds, unsigned b, unsigned a, unsigned c)
{
    json_t *json = json_pack(
        "{s:s, s:s, s:I, s:b, s:{s:i, s:i}, s:{s:i, s:i}, s:[{s:s, s:s}],"
        " s:[{s:s, s:i, s:i, s:[{s:s, s:i}]}, {s:s, s:i, s:i, s:[]}, {s:s, s:i, s:i, s:[]}],"
        " s:[{s:s, s:s, s:n, s:i}], s:[{s:s, s:s, s:i, s:i, s:i, s:{s:i, s:i}}]}",
        "epoch", epoch, "agent", "here", "uptime_ns", (json_int_t)seconds * 1000000000, "ready", 1,
        "wal", "bytes", 1, "bytes_max", 2, "memory", "bytes", 1, "bytes_max", 2,
        "pushes_back", "reason", "log_full", "words", "the log is\033[2J full",
        "streams", "name", "b", "accepted", b, "pending", 7,
        "sinks", "sink", "local", "delivered", b / 2,
        "name", "a", "accepted", a, "pending", 9, "sinks", "name", "c", "accepted", c,
        "pending", 8, "sinks",
        "sinks", "name", "local", "type", "file", "waits_because", "lag_ns", 0,
        "rings", "name", "app.ring", "state", "attached", "ring_bytes", 1000, "head", 750,
        "accepted", 500, "drops", "full", 3, "stale", 2);

    assert_non_null(json);
    return json;
}

static char *printed(const struct top_view *view, unsigned lines)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    assert_non_null(out);
    top_view_print(view, lines, out);
    assert_int_equal(fclose(out), 0);
    return text;
}

/* The names of the streams' rows as they stand: "abc". */
static void order_is(struct top_view *view, enum top_sort sort, bool reverse, const char *names)
{
    char *text, *at, found[8] = "";
    size_t count = 0;

    view->sort = sort;
    view->reverse = reverse;
    text = printed(view, 0);
    at = strstr(text, "\nSTREAM");
    assert_non_null(at);
    for (at = strchr(at + 1, '\n') + 1; *at != '\n'; at = strchr(at, '\n') + 1)
        found[count++] = *at;
    assert_string_equal(found, names);
    free(text);
}

static void streams_are_in_the_order_asked_for(void **state)
{
    struct top_view view = { .sort = TOP_BY_NAME };

    (void)state;
    assert_true(top_view_status(&view, status("1", 10, 100, 50, 1000)));
    assert_true(top_view_status(&view, status("1", 12, 300, 60, 1100)));
    order_is(&view, TOP_BY_NAME, false, "abc");
    order_is(&view, TOP_BY_NAME, true, "cba");
    order_is(&view, TOP_BY_IN, false, "bca");
    order_is(&view, TOP_BY_OUT, false, "abc");      /* equal: by name */
    order_is(&view, TOP_BY_ACCEPTED, false, "cba");
    order_is(&view, TOP_BY_ACCEPTED, true, "abc");
    order_is(&view, TOP_BY_PENDING, false, "acb");
    top_view_fini(&view);
}

static void rates_are_by_the_agents_clock(void **state)
{
    struct top_view view = { .sort = TOP_BY_NAME };
    char *text;

    (void)state;
    assert_true(top_view_status(&view, status("1", 10, 100, 50, 1000)));
    text = printed(&view, 0);
    assert_non_null(strstr(text, "b          0"));  /* nothing to compare with */
    free(text);
    assert_true(top_view_status(&view, status("1", 12, 300, 55, 1000)));
    text = printed(&view, 0);
    assert_non_null(strstr(text, "\na        2.5 "));
    assert_non_null(strstr(text, "\nb        100 "));
    assert_non_null(strstr(text, "\nlocal  file  well       50 "));
    assert_non_null(strstr(text, " 25 %"));
    assert_non_null(strstr(text, " 500 B        5\n"));
    free(text);

    assert_true(top_view_status(&view, status("2", 1, 9, 9, 9)));   /* it was started anew */
    assert_null(view.before);
    top_view_fini(&view);
}

static void what_comes_from_outside_is_no_command_to_the_terminal(void **state)
{
    struct top_view view = { .sort = TOP_BY_NAME };
    char *text;

    (void)state;
    assert_true(top_view_status(&view, status("1", 10, 1, 1, 1)));
    text = printed(&view, 0);
    assert_null(strchr(text, '\033'));
    assert_non_null(strstr(text, "pushes back: log_full: the log is?[2J full\n"));
    free(text);
    view.colour = true;
    text = printed(&view, 0);
    assert_non_null(strchr(text, '\033'));
    free(text);
    top_view_fini(&view);
}

/* However small the screen is, it says what it has left out. */
static void what_does_not_fit_is_counted(void **state)
{
    struct top_view view = { .sort = TOP_BY_NAME };
    json_t *many = status("1", 10, 1, 1, 1);
    json_t *streams = json_object_get(many, "streams");

    (void)state;
    for (int i = 0; i < 200; i++)
        assert_int_equal(json_array_append_new(streams, json_pack("{s:s++}", "name", "s", "",
                                                                  i % 2 != 0 ? "x" : "y")), 0);
    assert_true(top_view_status(&view, many));
    for (unsigned lines = 14; lines < 240; lines += 3) {
        char *text = printed(&view, lines);
        unsigned found = 0, rows = 0, left_out = 0;

        for (char *at = text; *at != '\0'; at++)
            found += *at == '\n';
        assert_true(found <= lines);
        for (char *at = strchr(strstr(text, "\nSTREAM") + 1, '\n') + 1;
             *at != '\n'; at = strchr(at, '\n') + 1)
            if (sscanf(at, "... %u more", &left_out) != 1)
                rows++;
        assert_int_equal(rows + left_out, 203);
        free(text);
    }
    top_view_fini(&view);
}

static void what_is_no_status_is_refused(void **state)
{
    struct top_view view = { .sort = TOP_BY_NAME };

    (void)state;
    assert_false(top_view_status(&view, NULL));
    assert_false(top_view_status(&view, json_array()));
    assert_false(top_view_status(&view, json_pack("{s:i}", "streams", 1)));
    assert_null(view.now);
}

static void keys_choose_an_order(void **state)
{
    struct top_view view = { .sort = TOP_BY_PENDING };
    char text[200] = "";
    FILE *out = fmemopen(text, sizeof(text), "w");

    (void)state;
    assert_int_equal(top_view_sort_of('n'), TOP_BY_NAME);
    assert_int_equal(top_view_sort_of('t'), TOP_BY_OLDEST);
    assert_int_equal(top_view_sort_of('q'), -1);
    assert_int_equal(top_view_sort_of(-1), -1);
    assert_non_null(out);
    top_view_keys(&view, out);
    assert_int_equal(fclose(out), 0);
    assert_true(strlen(text) <= 80);
    assert_non_null(strstr(text, " p pending* l lost "));
    assert_non_null(strstr(text, "q quit"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(streams_are_in_the_order_asked_for),
        cmocka_unit_test(rates_are_by_the_agents_clock),
        cmocka_unit_test(what_comes_from_outside_is_no_command_to_the_terminal),
        cmocka_unit_test(what_does_not_fit_is_counted),
        cmocka_unit_test(what_is_no_status_is_refused),
        cmocka_unit_test(keys_choose_an_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
