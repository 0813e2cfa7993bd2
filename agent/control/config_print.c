/*
 * config_print: the commented configuration file with every key, from options.def.
 * Keys stand as comments: a default that is not written down can improve with a new version.
 * Owns:   nothing.
 * Thread: any.
 */
#include <string.h>

#include "control/config.h"
#include "control/option.h"

#define LINE_COLUMNS 100

static const char header[] =
    "# Hydrant: every key with its default. `hydrant check FILE` finds every mistake in a file.\n"
    "#\n"
    "# A line is [SECTION], KEY = VALUE, or a comment that begins with # or ; . Behind a value a\n"
    "# comment begins with white space and ';'. Values may stand in \"...\" with \\n \\t \\r \\\\ \\\" \\$,\n"
    "# or in '...' as they are. ${NAME} is replaced by the environment variable, but in '...'.\n"
    "# Sizes: B KiB MiB GiB. Times: ms s m h. -1 turns a trigger off. Lists are separated by commas.\n"
    "# Instead of a key marked (secret), KEY_file = PATH reads it from a file.\n"
    "# SIGHUP applies a changed file, but for the keys marked (restart).\n";

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

/* What the table adds to the help: words, limits, marks. */
static void format_help(const struct option *o, char *text, size_t cap)
{
    char low[32];
    char high[32];
    char word[32];
    size_t len = (size_t)snprintf(text, cap, "%s.", o->help);

    if (o->type == OPTION_TYPE_CHOICE) {
        for (int64_t i = 0; option_word(o->words, i, word) && len < cap; i++)
            len += (size_t)snprintf(text + len, cap - len, "%s%s", i == 0 ? " One of " : ", ", word);
        if (len < cap)
            len += (size_t)snprintf(text + len, cap - len, ".");
    } else if (o->type == OPTION_TYPE_BOOL) {
        len += (size_t)snprintf(text + len, cap - len, " yes or no.");
    } else if (o->type >= OPTION_TYPE_COUNT) {
        bool off = o->type == OPTION_TYPE_COUNT_OR_OFF || o->type == OPTION_TYPE_BYTES_OR_OFF ||
                   o->type == OPTION_TYPE_TIME_OR_OFF;

        len += (size_t)snprintf(text + len, cap - len, " %s to %s%s.",
                                option_format_number(o, o->min, low),
                                option_format_number(o, o->max, high), off ? ", or -1" : "");
    }
    if (o->type == OPTION_TYPE_SECRET && len < cap)
        len += (size_t)snprintf(text + len, cap - len, " (secret)");
    if (o->restart && len < cap)
        (void)snprintf(text + len, cap - len, " (restart)");
}

static void print_option(FILE *out, const struct option *o, const char *value)
{
    char help[512];

    format_help(o, help, sizeof(help));
    print_comment(out, help);
    if (strcmp(value, "\n") == 0)
        fprintf(out, "#%s = \"\\n\"\n\n", o->key);
    else
        fprintf(out, "#%s =%s%s\n\n", o->key, value[0] != '\0' ? " " : "", value);
}

static void print_section(FILE *out, const char *name, uint32_t scope)
{
    fprintf(out, "\n[%s]\n\n", name);
    for (size_t i = 0; i < OPTION_COUNT; i++)
        if ((option_table[i].scope & scope) != 0)
            print_option(out, &option_table[i], option_table[i].default_text);
}

/* A sink's own keys; those of [stream] that it may override are named once, above the sinks. */
static void print_sink(FILE *out, const char *name, enum config_sink_type type, bool example)
{
    fprintf(out, "\n%s[sink %s]\n\n", example ? "#" : "", name);
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        const struct option *o = &option_table[i];

        if ((o->scope & option_sink_scope(type)) != 0 && !o->in_output)
            print_option(out, o, o->id == OPTION_sink_type ? config_sink_type_name(type)
                                                           : o->default_text);
    }
}

static void print_overrides(FILE *out)
{
    char text[1024] = "A sink may override these keys of a stream for itself:";
    size_t len = strlen(text);

    for (size_t i = 0; i < OPTION_COUNT; i++)
        if (option_table[i].in_output && len < sizeof(text))
            len += (size_t)snprintf(text + len, sizeof(text) - len, " %s", option_table[i].key);
    fputc('\n', out);
    print_comment(out, text);
    print_comment(out, "The sink `local` is always there. The others are examples.");
}

void config_print_defaults(FILE *out)
{
    fputs(header, out);
    print_section(out, "agent", SCOPE_agent);
    print_section(out, "wal", SCOPE_wal);
    print_section(out, "http", SCOPE_http);
    print_section(out, "intake", SCOPE_intake);
    fputs("\n# [stream *] holds for every stream; [stream NAME] overrides it for one.\n", out);
    print_section(out, "stream *", SCOPE_stream);
    print_overrides(out);
    print_sink(out, "local", CONFIG_SINK_FILE, false);
    print_sink(out, "archive", CONFIG_SINK_S3, true);
    print_sink(out, "hose", CONFIG_SINK_FIREHOSE, true);
    print_sink(out, "web", CONFIG_SINK_HTTP, true);
    print_sink(out, "central", CONFIG_SINK_RELAY, true);
}
