/*
 * config_errors: all mistakes of one configuration, each with its place, in the order of the file.
 * Owns:   copies of its texts.
 * Thread: any, one struct by one thread at a time.
 */
#include "control/config_errors.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

static bool config_errors_known(const struct config_errors *errs, const char *place,
                                uint32_t line, const char *text)
{
    for (size_t i = 0; i < errs->count; i++) {
        const struct config_error *e = &errs->items[i];

        if (e->line == line && strcmp(e->text, text) == 0 && strcmp(e->place, place) == 0)
            return true;
    }
    return false;
}

void config_errors_add(struct config_errors *errs, const char *place, uint32_t line,
                       const char *fmt, ...)
{
    struct config_error e = { .line = line };
    char *text = NULL;
    va_list args;
    size_t at;

    va_start(args, fmt);
    if (vasprintf(&text, fmt, args) < 0)
        text = NULL; /* its contents are undefined then */
    va_end(args);
    e.text = text;
    e.place = strdup(place);
    if (e.text == NULL || e.place == NULL) {
        errs->out_of_memory = true;
        goto drop;
    }
    if (config_errors_known(errs, place, line, text))
        goto drop;
    if (errs->count == CONFIG_ERRORS_MAX) {
        errs->omitted++;
        goto drop;
    }
    /* Mistakes are found in several passes; readers want them from top to bottom. */
    for (at = errs->count; at > 0 && errs->items[at - 1].line > line; at--)
        errs->items[at] = errs->items[at - 1];
    errs->items[at] = e;
    errs->count++;
    return;
drop:
    free(e.text);
    free(e.place);
}

bool config_errors_any(const struct config_errors *errs)
{
    return errs->count > 0 || errs->out_of_memory;
}

void config_errors_print(const struct config_errors *errs, FILE *out)
{
    for (size_t i = 0; i < errs->count; i++) {
        const struct config_error *e = &errs->items[i];

        if (e->line > 0)
            fprintf(out, "%s:%u: %s\n", e->place, e->line, e->text);
        else
            fprintf(out, "%s: %s\n", e->place, e->text);
    }
    if (errs->omitted > 0)
        fprintf(out, "and %zu more\n", errs->omitted);
    if (errs->out_of_memory)
        fprintf(out, "out of memory while reading the configuration\n");
}

void config_errors_log(const struct config_errors *errs, const char *what)
{
    for (size_t i = 0; i < errs->count; i++) {
        const struct config_error *e = &errs->items[i];

        if (e->line > 0)
            log_error("%s: %s:%u: %s", what, e->place, e->line, e->text);
        else
            log_error("%s: %s: %s", what, e->place, e->text);
    }
    if (errs->omitted > 0)
        log_error("%s: and %zu more", what, errs->omitted);
    if (errs->out_of_memory)
        log_error("%s: out of memory while reading the configuration", what);
}

void config_errors_fini(struct config_errors *errs)
{
    for (size_t i = 0; i < errs->count; i++) {
        free(errs->items[i].place);
        free(errs->items[i].text);
    }
    *errs = (struct config_errors)CONFIG_ERRORS_INIT;
}
