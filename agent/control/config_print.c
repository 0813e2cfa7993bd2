/*
 * config_print: the commented configuration file with every key, from options.def.
 * Keys stand as comments: a default that is not written down can improve with a new version.
 * Owns:   nothing.
 * Thread: any.
 */
#include <stdarg.h>
#include <string.h>

#include "base/invariant.h"
#include "control/config.h"
#include "control/option.h"

#define LINE_COLUMNS 96

static const char header[] =
    "# Hydrant: every key with its default. `hydrant check FILE` finds every mistake in a file.\n"
    "#\n"
    "# A line is [SECTION], KEY = VALUE, or a comment that begins with # or ; . Behind a value\n"
    "# a comment begins with white space and ';'. Values may stand in \"...\" with the escapes\n"
    "# \\n \\t \\r \\\\ \\\" \\$, or in '...' as they are. ${NAME} is replaced by the environment\n"
    "# variable, but not in '...'. Sizes: B KiB MiB GiB. Times: ms s m h. -1 turns a trigger off.\n"
    "# Lists are separated by commas. Instead of a key marked (secret), KEY_file = PATH reads it\n"
    "# from a file. SIGHUP applies a changed file, but for the keys marked (restart).\n"
    "\n";

/* Texts of the table: their length is ours to choose. */
struct help {
    char text[1024];
    size_t len;
};

__attribute__((format(printf, 2, 3))) static void add(struct help *h, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    h->len += (size_t)vsnprintf(h->text + h->len, sizeof(h->text) - h->len, fmt, args);
    va_end(args);
    INVARIANT(h->len < sizeof(h->text));
}

/* "a, b, c." under "# ", broken before column LINE_COLUMNS. */
static void print_comment(FILE *out, const char *text)
{
    size_t column = 1;

    fputc('#', out);
    while (*text != '\0') {
        size_t len = strcspn(text, " ");

        if (column + 1 + len > LINE_COLUMNS) {
            fputs("\n#", out);
            column = 1;
        }
        fprintf(out, " %.*s", (int)len, text);
        column += 1 + len;
        text += len;
        text += strspn(text, " ");
    }
    fputc('\n', out);
}

static void format_words(const struct option *o, struct help *text)
{
    char word[32];

    for (int64_t i = 0; option_word(o->words, i, word); i++)
        add(text, "%s%s", i == 0 ? " One of " : ", ", word);
    add(text, ".");
}

/* What the table adds to the help: words, limits, marks. */
static void format_help(const struct option *o, struct help *text)
{
    char low[32];
    char high[32];

    add(text, "%s.", o->help);
    if (o->type == OPTION_TYPE_CHOICE) {
        format_words(o, text);
    } else {
        if (o->type == OPTION_TYPE_BOOL)
            add(text, " yes or no.");
        if (o->type >= OPTION_TYPE_COUNT)
            add(text, " %s to %s%s.", option_format_number(o, o->min, low),
                option_format_number(o, o->max, high), option_may_be_off(o) ? ", or -1" : "");
    }
    if (o->type == OPTION_TYPE_SECRET)
        add(text, " (secret)");
    if (o->restart)
        add(text, " (restart)");
}

static void print_option(FILE *out, const struct option *o, const char *value)
{
    struct help help = { .len = 0 };

    format_help(o, &help);
    print_comment(out, help.text);
    if (strcmp(value, "\n") == 0)
        fprintf(out, "#%s = \"\\n\"\n\n", o->key);
    else
        fprintf(out, "#%s =%s%s\n\n", o->key, value[0] != '\0' ? " " : "", value);
}

static void print_section(FILE *out, const char *name, uint32_t scope)
{
    fprintf(out, "[%s]\n\n", name);
    for (size_t i = 0; i < OPTION_COUNT; i++)
        if ((option_table[i].scope & scope) != 0)
            print_option(out, &option_table[i], option_table[i].default_text);
}

/* A sink's own keys; those of [stream] that it may override are named once, above the sinks. */
static void print_sink(FILE *out, const char *name, enum config_sink_type type, bool example)
{
    fprintf(out, "%s[sink %s]\n\n", example ? "#" : "", name);
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        const struct option *o = &option_table[i];

        if ((o->scope & option_sink_scope(type)) != 0 && !o->in_output)
            print_option(out, o, o->id == OPTION_sink_type ? config_sink_type_name(type)
                                                           : o->default_text);
    }
}

static void print_overrides(FILE *out)
{
    struct help help = { .len = 0 };

    add(&help, "A sink may override these keys of a stream for itself:");
    for (size_t i = 0; i < OPTION_COUNT; i++)
        if (option_table[i].in_output)
            add(&help, " %s", option_table[i].key);
    print_comment(out, help.text);
    print_comment(out, "The sink `local` is always there. The others are examples.");
    fputc('\n', out);
}

void config_print_defaults(FILE *out)
{
    fputs(header, out);
    print_section(out, "agent", SCOPE_agent);
    print_section(out, "wal", SCOPE_wal);
    print_section(out, "http", SCOPE_http);
    print_section(out, "intake", SCOPE_intake);
    fputs("# [stream *] holds for every stream; [stream NAME] overrides it for one.\n\n", out);
    print_section(out, "stream *", SCOPE_stream);
    print_overrides(out);
    print_sink(out, "local", CONFIG_SINK_FILE, false);
    print_sink(out, "archive", CONFIG_SINK_S3, true);
    print_sink(out, "hose", CONFIG_SINK_FIREHOSE, true);
    print_sink(out, "web", CONFIG_SINK_HTTP, true);
    print_sink(out, "central", CONFIG_SINK_RELAY, true);
}
