/*
 * cli_top: `hydrant top`: what the agent is doing, again and again; once where nobody looks.
 *
 * Owns:   nothing beyond a call.
 * Thread: main.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/cli.h"
#include "cli/cli_ask.h"
#include "cli/cli_exit.h"
#include "cli/cli_options.h"
#include "cli/cli_table.h"
#include "cli/cli_terminal.h"
#include "cli/cli_top_view.h"
#include "cli/cli_units.h"

/* While it waits for an answer no key is looked at. */
enum { TIMEOUT_MS = 2000, FIRST_TIMEOUT_MS = 10000 };

#define INTERVAL_NS_DEFAULT 1000000000LL
#define INTERVAL_NS_MIN     100000000LL

static const char usage[] =
    "usage: hydrant top [--interval T] [--http ADDR:PORT]\n"
    "\n"
    "Shows what the running agent is doing until `q`: streams with rates and books, sinks with\n"
    "health and lag, rings, and why it pushes back if it does.\n"
    "\n"
    "  accepted = delivered + dropped + lost + pending, for each stream at any moment\n"
    "\n"
    "Keys are on the last line: those that order the streams, r turns the order round, space\n"
    "stops and goes on, q ends it. Where the output is no terminal it prints all once, with the\n"
    "rates of one interval.\n"
    "\n"
    "  --interval T       time between two looks, 100ms at least (default 1s)\n"
    "  --http ADDR:PORT   where the agent is (HYDRANT_HTTP; default 127.0.0.1:8000)\n"
    "\n"
    "HYDRANT_TOKEN holds the agent's token, if it has one. NO_COLOR turns colours off.\n"
    "\n"
    "Exit code: 0 ended by q, or printed; 1 no agent or an error from it, 2 wrong usage,\n"
    "130 interrupted (143 by SIGTERM).\n";

struct top {
    const char *command, *address;
    uint64_t interval_ns;
    struct top_view view;
    bool paused;
    char failure[400];      /* of the last question; "": it was answered */
};

static uint64_t now_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

/* The answer's body is a status, or failure says what it is. */
static void take(struct top *t, struct http_answer *answer)
{
    json_t *json = json_loadb((const char *)answer->body.data, answer->body.len, 0, NULL);

    if (!top_view_status(&t->view, json))
        (void)snprintf(t->failure, sizeof(t->failure), "what answers there is not a hydrant agent");
    else
        t->failure[0] = '\0';
    http_answer_free(answer);
}

/* Keeps what was there when there is no answer. */
static void ask_again(struct top *t)
{
    struct http_answer answer;
    struct errmsg err = { "" };
    char clean[300];
    int res = cli_ask_try(t->address, "GET", "/v1/status", TIMEOUT_MS, &answer, &err);

    if (res == 0 && answer.status == 200) {
        take(t, &answer);
        return;
    }
    if (res == 0)
        (void)snprintf(t->failure, sizeof(t->failure), "the agent answers %u", answer.status);
    else
        (void)snprintf(t->failure, sizeof(t->failure), "no answer: %s",
                       cli_printable(err.text, clean, sizeof(clean)));
    http_answer_free(&answer);
}

static int draw_text(const struct top *t, FILE *out)
{
    unsigned columns, rows;

    cli_terminal_size(&columns, &rows);
    if (t->failure[0] != '\0')
        fprintf(out, "%s%s%s\n", t->view.colour ? CLI_RED : "", t->failure,
                t->view.colour ? CLI_PLAIN : "");
    else if (t->paused)
        fputs("paused\n", out);
    top_view_print(&t->view, rows > 3 ? rows - 2 : 1, out);
    return fclose(out) == 0 ? 0 : -errno;
}

/* One screen. 0 or -errno. */
static int draw(const struct top *t)
{
    char *text = NULL, *keys = NULL;
    size_t text_len = 0, keys_len = 0;
    FILE *out = open_memstream(&text, &text_len);
    int res = out != NULL ? draw_text(t, out) : -errno;

    out = res == 0 ? open_memstream(&keys, &keys_len) : NULL;
    if (res == 0)
        res = out != NULL ? 0 : -errno;
    if (res == 0) {
        top_view_keys(&t->view, out);
        res = fclose(out) == 0 ? cli_terminal_draw(text, text_len, keys) : -errno;
    }
    free(text);
    free(keys);
    return res;
}

/* False: q. */
static bool key_press(struct top *t, int key)
{
    int sort = top_view_sort_of(key);

    if (sort >= 0) {
        t->view.sort = (enum top_sort)sort;
        t->view.reverse = false;
    } else if (key == 'r') {
        t->view.reverse = !t->view.reverse;
    } else if (key == ' ') {
        t->paused = !t->paused;
    }
    return key != 'q';
}

static int watch(struct top *t)
{
    uint64_t next_ns = now_ns() + t->interval_ns;
    int res = cli_terminal_open();

    while (res == 0) {
        int key;

        res = draw(t);
        if (res != 0)
            break;
        key = cli_terminal_key(next_ns);
        if (key == CLI_KEY_SIGNAL || !key_press(t, key))
            break;
        if (key != CLI_KEY_NONE)
            continue;
        if (!t->paused)
            ask_again(t);
        next_ns = now_ns() + t->interval_ns;
    }
    cli_terminal_close();
    if (res != 0)
        return cli_fail(t->command, "the terminal: %s", strerror(-res));
    res = cli_terminal_signal();
    return res == 0 ? CLI_OK : 128 + res;
}

/* Two looks, so that there are rates. */
static int print_once(struct top *t)
{
    struct timespec wait = { .tv_sec = (time_t)(t->interval_ns / 1000000000U),
                             .tv_nsec = (long)(t->interval_ns % 1000000000U) };

    while (nanosleep(&wait, &wait) != 0)
        continue;
    ask_again(t);
    if (t->failure[0] != '\0')
        return cli_fail(t->command, "%s", t->failure);
    top_view_print(&t->view, 0, stdout);
    return CLI_OK;
}

/* -1: go on; else the exit code. */
static int options_parse(int argc, char **argv, struct top *t)
{
    enum { OPTION_INTERVAL = 256, OPTION_HTTP };
    static const struct option longs[] = {
        { "interval", required_argument, NULL, OPTION_INTERVAL },
        { "http", required_argument, NULL, OPTION_HTTP },
        CLI_OPTION_HELP_ROW,
        { NULL, 0, NULL, 0 },
    };
    int64_t interval_ns = INTERVAL_NS_DEFAULT;
    const char *http = NULL;
    int c;

    cli_options_begin();
    while ((c = cli_options_next(argc, argv, longs)) != -1) {
        switch (c) {
        case OPTION_INTERVAL:
            if (!cli_parse_time(argv[0], "--interval", optarg, &interval_ns))
                return CLI_USAGE;
            break;
        case OPTION_HTTP:
            http = optarg;
            break;
        default:
            return cli_options_end(c, usage);
        }
    }
    if (optind < argc)
        return cli_usage_error(argv[0], "takes no arguments");
    if (interval_ns < INTERVAL_NS_MIN)
        return cli_usage_error(argv[0], "--interval: at least 100ms");
    t->interval_ns = (uint64_t)interval_ns;
    t->address = cli_ask_address(http);
    return -1;
}

int cli_top(int argc, char **argv)
{
    struct top t = { .command = argv[0], .view = { .sort = TOP_BY_NAME } };
    struct http_answer answer;
    int code = options_parse(argc, argv, &t);

    if (code >= 0)
        return code;
    t.view.colour = cli_colour(stdout);
    code = cli_ask(t.command, t.address, "GET", "/v1/status", FIRST_TIMEOUT_MS, &answer);
    if (code != CLI_OK)
        return code;
    take(&t, &answer);
    if (t.failure[0] != '\0')
        code = cli_fail(t.command, "%s", t.failure);
    else
        code = cli_terminal_there() ? watch(&t) : print_once(&t);
    top_view_fini(&t.view);
    return code;
}
