/*
 * rest: applies changes to sections.
 *
 * Owns:   nothing.
 * Thread: any.
 */
#include "control/rest.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct rest_change *rest_change_new(enum rest_operation operation, const char *stream)
{
    struct rest_change *change = calloc(1, sizeof(*change));

    if (change == NULL)
        return NULL;
    change->operation = operation;
    (void)snprintf(change->stream, sizeof(change->stream), "%s", stream);
    change->sections = rest_file_new();
    if (change->sections == NULL || rest_file_add(change->sections, "stream", stream) == NULL) {
        rest_change_free(change);
        return NULL;
    }
    return change;
}

void rest_change_free(struct rest_change *change)
{
    if (change == NULL)
        return;
    config_file_free(change->sections);
    free(change->expected);
    free(change);
}

struct config_section *rest_change_stream(const struct rest_change *change)
{
    return rest_file_find(change->sections, "stream", change->stream);
}

enum rest_maker rest_maker_of(const struct stream_config *stream)
{
    if (stream == NULL)
        return REST_MAKER_NONE;
    if (!stream->rest)
        return REST_MAKER_FILE;
    if (stream->about != NULL)
        return REST_MAKER_DELIVERY;
    return stream->sinks.count > 0 && config_sink_private(stream->sinks.items[0], stream->name)
               ? REST_MAKER_MINI
               : REST_MAKER_STREAM;
}

/* May it be done, as things are? */
static int change_allowed(const struct rest_change *change, const struct config *config,
                          const struct config_section *old)
{
    enum rest_maker maker = rest_maker_of(config_find_stream(config, change->stream));
    const char *about = rest_file_get(old, REST_KEY_ABOUT);

    /* Under a stream of the file there may be one of REST's, which nobody sees. */
    if (maker == REST_MAKER_FILE)
        return change->operation == REST_CREATE ? -EEXIST : -EPERM;
    switch (change->operation) {
    case REST_CREATE:
        return old != NULL ? -EEXIST : 0;
    case REST_PUT:
        return old != NULL && maker != REST_MAKER_STREAM ? -EPERM : 0;
    case REST_UPDATE:
        if (old == NULL)
            return -ENOENT;
        return about == NULL ? -EPERM : strcmp(about, change->expected) != 0 ? -ESTALE : 0;
    case REST_DELETE:
        return old == NULL ? -ENOENT : 0;
    }
    return -EINVAL;
}

static int sections_copy(struct config_file *to, const struct config_file *from)
{
    for (size_t i = 0; i < from->count; i++) {
        const struct config_section *s = &from->sections[i];
        const char *name = strchr(s->name, ' ');
        char kind[16];
        struct config_section *added;

        (void)snprintf(kind, sizeof(kind), "%.*s", (int)(name - s->name), s->name);
        if (rest_file_find(to, kind, name + 1) != NULL)
            return -EEXIST;
        added = rest_file_add(to, kind, name + 1);
        if (added == NULL)
            return -ENOMEM;
        for (size_t k = 0; k < s->count; k++)
            if (rest_file_set(added, s->entries[k].key, s->entries[k].value) != 0)
                return -ENOMEM;
    }
    return 0;
}

static int deleted_note(struct config_file *f, const struct rest_change *change)
{
    struct config_section *s = rest_file_add(f, "deleted", change->stream);
    char number[32];

    (void)snprintf(number, sizeof(number), "%llu", (unsigned long long)change->accepted);
    return s != NULL ? rest_file_set(s, REST_KEY_ACCEPTED, number) : -ENOMEM;
}

int rest_apply(const struct config_file *before, const struct rest_change *change,
               const struct config *config, struct config_file **ret_after)
{
    struct config_section *s = rest_file_find(before, "stream", change->stream);
    struct config_file *after = NULL;
    int r = change_allowed(change, config, s);

    *ret_after = NULL;
    if (r == 0)
        r = rest_file_copy(before, &after);
    if (r != 0)
        return r;
    s = rest_file_find(after, "stream", change->stream);
    if (s != NULL)
        rest_file_remove(after, s);
    s = rest_file_find(after, "deleted", change->stream);
    if (s != NULL)
        rest_file_remove(after, s);
    if (change->operation != REST_DELETE)
        r = sections_copy(after, change->sections);
    else if (change->accepted > 0)
        r = deleted_note(after, change);
    if (r != 0)
        config_file_free(after);
    else
        *ret_after = after;
    return r;
}

unsigned rest_sink_number(const struct config *config, const char *stream)
{
    unsigned number = 1;

    for (size_t i = 0; i < config->sinks_count; i++) {
        const char *name = config->sinks[i].name;
        unsigned long at = 0;

        if (config_sink_private(name, stream))
            at = strtoul(strchr(name, '~') + 1, NULL, 10);
        if (at >= number)
            number = (unsigned)at + 1;
    }
    return number;
}

/* ---- sinks that outlive their stream ---- */

/* The sink of a section that no stream has; NULL: it is something else. */
static const char *orphan(const struct config_file *f, const struct config_section *s)
{
    const char *name = strncmp(s->name, "sink ", 5) == 0 ? s->name + 5 : NULL;
    char stream[CONFIG_FILE_NAME_MAX + 1];
    const char *sinks;

    if (name == NULL)
        return NULL;
    (void)snprintf(stream, sizeof(stream), "%.*s", (int)strcspn(name, "~"), name);
    sinks = rest_file_get(rest_file_find(f, "stream", stream), "sinks");
    while (sinks != NULL && *sinks != '\0') {
        size_t len = strcspn(sinks, ",");

        if (strlen(name) == len && memcmp(name, sinks, len) == 0)
            return NULL;
        sinks += len + (sinks[len] == ',');
    }
    return name;
}

bool rest_drains(const struct config_file *f)
{
    for (size_t i = 0; i < f->count; i++)
        if (orphan(f, &f->sections[i]) != NULL)
            return true;
    return false;
}

bool rest_sweep(const struct config_file *before, bool (*waits)(void *ctx, const char *sink),
                void *ctx, struct config_file **ret_after)
{
    bool found = false;

    *ret_after = NULL;
    for (size_t i = before->count; i-- > 0;) {
        const char *sink = orphan(before, &before->sections[i]);

        if (sink == NULL || waits(ctx, sink))
            continue;
        if (!found && rest_file_copy(before, ret_after) != 0)
            return true;
        found = true;
        rest_file_remove(*ret_after, &(*ret_after)->sections[i]);
    }
    return found;
}
