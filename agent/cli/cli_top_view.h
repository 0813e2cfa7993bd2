/*
 * cli_top_view: two statuses of an agent, one after the other, as text for a screen: books and
 * rates of streams, sinks, rings, and what needs attention.
 *
 * Owns:   a view owns its statuses.
 * Thread: main.
 * Units:  events a second, by the agent's own clock.
 */
#ifndef CLI_CLI_TOP_VIEW_H
#define CLI_CLI_TOP_VIEW_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

enum top_sort {
    TOP_BY_NAME, TOP_BY_IN, TOP_BY_OUT, TOP_BY_ACCEPTED, TOP_BY_PENDING, TOP_BY_LOST, TOP_BY_OLDEST,
    TOP_SORT_COUNT
};

struct top_view {
    json_t *before, *now;   /* owned; NULL: not yet */
    enum top_sort sort;
    bool reverse;           /* names fall, numbers rise */
    bool colour;
};

/* json: owned by the view from then on. False: that is no status. */
bool top_view_status(struct top_view *view, json_t *json);
void top_view_fini(struct top_view *view);

/* The order of a key, or -1. */
int top_view_sort_of(int key);

/* "n name* i in ..." with the present order marked, for a screen's last line: 80 columns. */
void top_view_keys(const struct top_view *view, FILE *out);

/* lines: what there is room for; 0: for everything. */
void top_view_print(const struct top_view *view, unsigned lines, FILE *out);

#endif
