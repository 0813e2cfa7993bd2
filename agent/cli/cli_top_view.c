/*
 * cli_top_view: tables of a status, with rates.
 *
 * Owns:   nothing beyond a call but what the view owns.
 * Thread: main.
 */
#include "cli/cli_top_view.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli_table.h"
#include "cli/cli_value.h"

/* How the streams can be ordered; the letter is a key. */
static const struct {
    char key;
    const char *name;
} sorts[TOP_SORT_COUNT] = {
    [TOP_BY_NAME] = { 'n', "name" },         [TOP_BY_IN] = { 'i', "in" },
    [TOP_BY_OUT] = { 'o', "out" },           [TOP_BY_ACCEPTED] = { 'a', "accepted" },
    [TOP_BY_PENDING] = { 'p', "pending" },   [TOP_BY_LOST] = { 'l', "lost" },
    [TOP_BY_OLDEST] = { 't', "age" },
};

struct stream_row {
    const json_t *stream;
    const char *name;
    double in, out;
    double by;              /* what it is ordered by, unless by name */
};

bool top_view_status(struct top_view *view, json_t *json)
{
    if (!json_is_array(json_object_get(json, "streams"))) {
        json_decref(json);
        return false;
    }
    json_decref(view->before);
    view->before = view->now;
    view->now = json;
    if (view->before != NULL && strcmp(cli_string(view->before, "epoch"),
                                       cli_string(json, "epoch")) != 0) {
        json_decref(view->before); /* another start, with another clock */
        view->before = NULL;
    }
    return true;
}

void top_view_fini(struct top_view *view)
{
    json_decref(view->before);
    json_decref(view->now);
    view->before = view->now = NULL;
}

int top_view_sort_of(int key)
{
    for (int i = 0; i < TOP_SORT_COUNT; i++)
        if (sorts[i].key == key)
            return i;
    return -1;
}

void top_view_keys(const struct top_view *view, FILE *out)
{
    for (int i = 0; i < TOP_SORT_COUNT; i++) {
        bool now = i == (int)view->sort;

        fprintf(out, "%s%c %s%s%s ", view->colour && now ? CLI_BOLD : "", sorts[i].key,
                sorts[i].name, now ? "*" : "", view->colour && now ? CLI_PLAIN : "");
    }
    fputs("r turn space pause q quit", out);
}

/* ---- rates ---- */

static double seconds_between(const struct top_view *view)
{
    return view->before == NULL ? 0
           : ((double)cli_number(view->now, "uptime_ns") -
              (double)cli_number(view->before, "uptime_ns")) / 1e9;
}

static double rate(uint64_t now, uint64_t before, double seconds)
{
    return seconds > 0 && now > before ? (double)(now - before) / seconds : 0;
}

/* The items of a list in the status before, by name. NULL: there are none, or no memory. */
static json_t *named_before(const struct top_view *view, const char *list)
{
    json_t *names = view->before != NULL ? json_object() : NULL;
    json_t *item;
    size_t i;

    if (names == NULL)
        return NULL;
    json_array_foreach(json_object_get(view->before, list), i, item)
        (void)json_object_set(names, cli_string(item, "name"), item); /* else: no rate */
    return names;
}

/* Of one item's counter, 0 for one that was not there before. */
static double item_rate(const json_t *item, const json_t *before, const char *name, double seconds)
{
    const json_t *old = json_object_get(before, cli_string(item, "name"));

    return old == NULL ? 0 : rate(cli_number(item, name), cli_number(old, name), seconds);
}

/* Events that a sink has confirmed, of all streams. */
static uint64_t sink_delivered(const json_t *status, const char *name)
{
    uint64_t total = 0;
    json_t *stream, *pair;
    size_t i, j;

    json_array_foreach(json_object_get(status, "streams"), i, stream)
        json_array_foreach(json_object_get(stream, "sinks"), j, pair)
            if (strcmp(cli_string(pair, "sink"), name) == 0)
                total += cli_number(pair, "delivered");
    return total;
}

/* ---- cells ---- */

static char *rate_text(double value, char text[static CLI_HUMAN_BYTES])
{
    if (value > 0 && value < 10)
        (void)snprintf(text, CLI_HUMAN_BYTES, "%.1f", value);
    else if (value < 1e6)
        (void)snprintf(text, CLI_HUMAN_BYTES, "%.0f", value);
    else
        (void)snprintf(text, CLI_HUMAN_BYTES, "%.2f M", value / 1e6);
    return text;
}

static void cell_rate(struct cli_table *table, double value)
{
    char text[CLI_HUMAN_BYTES];

    cli_table_cell(table, "%s", rate_text(value, text));
}

static void cell_count(struct cli_table *table, const json_t *item, const char *name)
{
    cli_table_cell(table, "%" PRIu64, cli_number(item, name));
}

static void cell_age(struct cli_table *table, uint64_t ns)
{
    char text[CLI_HUMAN_BYTES];

    cli_table_cell(table, "%s", ns == 0 ? "-" : cli_human_time(ns, text));
}

static void cell_bytes(struct cli_table *table, uint64_t bytes)
{
    char text[CLI_HUMAN_BYTES];

    cli_table_cell(table, "%s", cli_human_bytes(bytes, text));
}

static void table_begin(struct cli_table *table, const char *format, const char *const *heads)
{
    cli_table_init(table, format);
    for (size_t i = 0; format[i] != '\0'; i++)
        cli_table_cell(table, "%s", heads[i]);
}

static void table_end(const struct top_view *view, struct cli_table *table, size_t left_out,
                      FILE *out)
{
    fputc('\n', out);
    cli_table_print(table, view->colour, out);
    if (left_out > 0)
        fprintf(out, "... %zu more\n", left_out);
    cli_table_fini(table);
}

/* ---- the parts ---- */

static void print_head(const struct top_view *view, FILE *out)
{
    const json_t *s = view->now, *wal = json_object_get(s, "wal");
    const json_t *memory = json_object_get(s, "memory");
    char a[CLI_HUMAN_BYTES], b[CLI_HUMAN_BYTES], name[128];
    bool ready = json_is_true(json_object_get(s, "ready"));
    bool stopping = json_is_true(json_object_get(s, "stopping"));

    fprintf(out, "agent %s, up %s, ", cli_printable(cli_string(s, "agent"), name, sizeof(name)),
            cli_human_time(cli_number(s, "uptime_ns"), a));
    fprintf(out, "%s%s%s   ", !view->colour ? "" : ready && !stopping ? CLI_GREEN : CLI_YELLOW,
            stopping ? "stopping" : ready ? "ready" : "recovering", view->colour ? CLI_PLAIN : "");
    fprintf(out, "log %s of %s   ", cli_human_bytes(cli_number(wal, "bytes")
                                                      + cli_number(wal, "spool_bytes"), a),
            cli_human_bytes(cli_number(wal, "bytes_max"), b));
    fprintf(out, "memory %s of %s\n", cli_human_bytes(cli_number(memory, "bytes"), a),
            cli_human_bytes(cli_number(memory, "bytes_max"), b));
}

static unsigned print_notes(const struct top_view *view, FILE *out)
{
    const char *red = view->colour ? CLI_RED : "", *plain = view->colour ? CLI_PLAIN : "";
    char name[128], words[400];
    json_t *item;
    unsigned lines = 0;
    size_t i;

    json_array_foreach(json_object_get(view->now, "pushes_back"), i, item) {
        fprintf(out, "%spushes back: %s: %s%s\n", red,
                cli_printable(cli_string(item, "reason"), name, sizeof(name)),
                cli_printable(cli_string(item, "words"), words, sizeof(words)), plain);
        lines++;
    }
    json_array_foreach(json_object_get(view->now, "sinks"), i, item)
        if (cli_string(item, "waits_because")[0] != '\0') {
            fprintf(out, "%ssink %s waits: %s%s\n", red,
                    cli_printable(cli_string(item, "name"), name, sizeof(name)),
                    cli_printable(cli_string(item, "waits_because"), words, sizeof(words)), plain);
            lines++;
        }
    return lines;
}

static int by_order(const void *a, const void *b, void *ctx)
{
    const struct stream_row *x = (const struct stream_row *)a, *y = (const struct stream_row *)b;
    const struct top_view *view = (const struct top_view *)ctx;
    int order = strcmp(x->name, y->name);

    if (view->sort != TOP_BY_NAME && x->by != y->by)
        order = x->by < y->by ? 1 : -1;
    return view->reverse ? -order : order;
}

static double sorted_by(const struct stream_row *row, enum top_sort sort)
{
    switch (sort) {
    case TOP_BY_IN:
        return row->in;
    case TOP_BY_OUT:
        return row->out;
    case TOP_BY_ACCEPTED:
        return (double)cli_number(row->stream, "accepted");
    case TOP_BY_PENDING:
        return (double)cli_number(row->stream, "pending");
    case TOP_BY_LOST:
        return (double)(cli_number(row->stream, "lost") + cli_number(row->stream, "dropped"));
    case TOP_BY_OLDEST:
        return (double)cli_number(row->stream, "oldest_pending_ns");
    case TOP_BY_NAME:
    case TOP_SORT_COUNT:
        break;
    }
    return 0;
}

/* In the order asked for. NULL: no memory, or there are none. */
static struct stream_row *rows_make(const struct top_view *view, const json_t *streams)
{
    struct stream_row *rows = calloc(json_array_size(streams) + 1, sizeof(*rows));
    json_t *before = named_before(view, "streams");
    double seconds = seconds_between(view);
    json_t *stream;
    size_t i;

    if (rows != NULL) {
        json_array_foreach((json_t *)streams, i, stream) {
            rows[i].stream = stream;
            rows[i].name = cli_string(stream, "name");
            rows[i].in = item_rate(stream, before, "accepted", seconds);
            rows[i].out = item_rate(stream, before, "delivered", seconds);
            rows[i].by = sorted_by(&rows[i], view->sort);
        }
        qsort_r(rows, json_array_size(streams), sizeof(*rows), by_order, (void *)(uintptr_t)view);
    }
    json_decref(before);
    return rows;
}

static void print_streams(const struct top_view *view, size_t rows_max, FILE *out)
{
    static const char *const heads[] = { "STREAM", "IN/S", "OUT/S", "ACCEPTED", "DELIVERED",
                                         "PENDING", "DROPPED", "LOST", "OLDEST" };
    const json_t *streams = json_object_get(view->now, "streams");
    size_t count = json_array_size(streams), shown = count < rows_max ? count : rows_max;
    struct stream_row *rows = rows_make(view, streams);
    struct cli_table table;

    table_begin(&table, "lrrrrrrrr", heads);
    for (size_t i = 0; rows != NULL && i < shown; i++) {
        const json_t *s = rows[i].stream;

        cli_table_cell(&table, "%s", rows[i].name);
        cell_rate(&table, rows[i].in);
        cell_rate(&table, rows[i].out);
        cell_count(&table, s, "accepted");
        cell_count(&table, s, "delivered");
        cell_count(&table, s, "pending");
        cell_count(&table, s, "dropped");
        cell_count(&table, s, "lost");
        cell_age(&table, cli_number(s, "oldest_pending_ns"));
    }
    table_end(view, &table, count - shown, out);
    free(rows);
}

static void print_sinks(const struct top_view *view, size_t rows_max, FILE *out)
{
    static const char *const heads[] = { "SINK", "TYPE", "HEALTH", "OUT/S", "WAITING", "LAG",
                                         "RETRIES", "TARGET" };
    json_t *sinks = json_object_get(view->now, "sinks"), *sink;
    size_t count = json_array_size(sinks), i;
    double seconds = seconds_between(view);
    struct cli_table table;

    table_begin(&table, "lllrrrrl", heads);
    json_array_foreach(sinks, i, sink) {
        const char *name = cli_string(sink, "name");

        if (i >= rows_max)
            break;
        cli_table_cell(&table, "%s", name);
        cli_table_cell(&table, "%s", cli_string(sink, "type"));
        cli_table_cell(&table, "%s", cli_string(sink, "waits_because")[0] != '\0'     ? "waits"
                                     : json_is_true(json_object_get(sink, "draining")) ? "draining"
                                                                                       : "well");
        cell_rate(&table, rate(sink_delivered(view->now, name),
                               sink_delivered(view->before, name), seconds));
        cell_count(&table, sink, "batches_waiting");
        cell_age(&table, cli_number(sink, "lag_ns"));
        cell_count(&table, sink, "retries");
        cli_table_cell(&table, "%s", cli_string(sink, "target"));
    }
    table_end(view, &table, count > rows_max ? count - rows_max : 0, out);
}

static void print_rings(const struct top_view *view, size_t rows_max, FILE *out)
{
    static const char *const heads[] = { "RING", "STATE", "PID", "FULL", "SIZE", "BYTES/S", "TAKEN",
                                         "DROPPED" };
    json_t *rings = json_object_get(view->now, "rings"), *ring;
    json_t *before = named_before(view, "rings");
    size_t count = json_array_size(rings), i;
    double seconds = seconds_between(view);
    struct cli_table table;

    table_begin(&table, "llrrrrrr", heads);
    json_array_foreach(rings, i, ring) {
        uint64_t head = cli_number(ring, "head"), accepted = cli_number(ring, "accepted");
        uint64_t size = cli_number(ring, "ring_bytes");

        if (i >= rows_max)
            break;
        cli_table_cell(&table, "%s", cli_string(ring, "name"));
        cli_table_cell(&table, "%s", cli_string(ring, "state"));
        cell_count(&table, ring, "pid");
        cli_table_cell(&table, "%.0f %%", size > 0 && head > accepted
                                              ? 100.0 * (double)(head - accepted) / (double)size
                                              : 0.0);
        cell_bytes(&table, size);
        cell_bytes(&table, (uint64_t)item_rate(ring, before, "accepted", seconds));
        cell_bytes(&table, accepted);
        cli_table_cell(&table, "%" PRIu64, cli_sum(json_object_get(ring, "drops")));
    }
    table_end(view, &table, count > rows_max ? count - rows_max : 0, out);
    json_decref(before);
}

/* Rows of a part that has a share of those that are left, if it needs that many. */
static size_t share(size_t *left, size_t of, size_t wanted)
{
    size_t rows = wanted < of ? wanted : of;

    rows = rows < *left ? rows : *left;
    *left -= rows;
    return rows;
}

void top_view_print(const struct top_view *view, unsigned lines, FILE *out)
{
    size_t streams = json_array_size(json_object_get(view->now, "streams"));
    size_t sinks = json_array_size(json_object_get(view->now, "sinks"));
    size_t rings = json_array_size(json_object_get(view->now, "rings"));
    size_t left, used, own;

    print_head(view, out);
    used = 1 + print_notes(view, out) + 3 * 3; /* of a table: a space, its heads, "... more" */
    left = lines == 0 ? SIZE_MAX : lines > used ? lines - used : 0;
    if (lines == 0) {
        print_streams(view, streams, out);
        print_sinks(view, sinks, out);
        print_rings(view, rings, out);
        return;
    }
    own = left;
    sinks = share(&left, own / 4 > 2 ? own / 4 : 2, sinks);
    rings = share(&left, streams + rings <= left ? rings : own / 4 > 2 ? own / 4 : 2, rings);
    print_streams(view, left, out);
    print_sinks(view, sinks, out);
    print_rings(view, rings, out);
}
