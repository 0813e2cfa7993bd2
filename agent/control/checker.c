/*
 * checker: finds the line to blame.
 * Owns:   nothing.
 * Thread: any.
 */
#include "control/checker.h"

#include <stdarg.h>
#include <string.h>

static const struct config_section *section_of(const struct config_file *f, const char *name)
{
    for (size_t i = 0; f != NULL && i < f->count; i++)
        if (strcmp(f->sections[i].name, name) == 0)
            return &f->sections[i];
    return NULL;
}

const struct config_section *checker_section(const struct checker *k, const char *name)
{
    const struct config_section *s = section_of(k->file, name);

    return s != NULL ? s : section_of(k->rest, name);
}

uint32_t checker_key_line(const struct config_section *s, const char *key)
{
    size_t len = strlen(key);

    for (size_t i = 0; s != NULL && i < s->count; i++) {
        const char *have = s->entries[i].key;

        if (strncmp(have, key, len) == 0 && (have[len] == '\0' || strcmp(have + len, "_file") == 0))
            return s->entries[i].line;
    }
    return 0;
}

void checker_fail(const struct checker *k, const char *section, const char *key, const char *fmt,
                  ...)
{
    const struct config_section *s = checker_section(k, section);
    const struct config_file *file = section_of(k->file, section) == NULL &&
                                             section_of(k->rest, section) != NULL
                                         ? k->rest
                                         : k->file;
    uint32_t line = key != NULL ? checker_key_line(s, key) : 0;
    struct errmsg text;
    va_list args;

    if (key != NULL && line == 0 && strncmp(section, "stream ", 7) == 0) {
        const struct config_section *all = checker_section(k, "stream *");

        line = checker_key_line(all, key);
        if (line > 0) {
            section = "stream *";
            file = k->file;
        }
    }
    if (line == 0 && s != NULL)
        line = s->line;
    va_start(args, fmt);
    (void)vsnprintf(text.text, sizeof(text.text), fmt, args);
    va_end(args);
    config_errors_add(k->errs, file->path, line, "[%s] %s%s%s", section,
                      key != NULL ? key : "", key != NULL ? ": " : "", text.text);
}
